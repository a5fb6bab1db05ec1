
#include "ngx_pulse_openai.h"

#include <string.h>


/*
 * Vendors that speak as OpenAI does take less than it, or call it otherwise.
 * What a row of the catalogue says of that is done here, on a body that is
 * OpenAI's own and otherwise stays as it was, byte for byte.
 */


typedef struct {
    ngx_pulse_conversation_t         cv;        /* of which only the edits */
    const ngx_str_t                 *body;
    const ngx_pulse_target_t        *target;
    ngx_pulse_dropped_t             *dropped;
    const ngx_pulse_json_value_t    *root;
} ngx_pulse_openai_vendor_t;


static ngx_uint_t ngx_pulse_openai_vendor_applies(const ngx_str_t *body,
    const ngx_pulse_target_t *target);
static ngx_uint_t ngx_pulse_openai_vendor_has(const ngx_str_t *body,
    const ngx_str_t *name);
static ngx_int_t ngx_pulse_openai_vendor_parameters(
    ngx_pulse_openai_vendor_t *vendor);
static ngx_int_t ngx_pulse_openai_vendor_parameter(
    ngx_pulse_openai_vendor_t *vendor, const ngx_pulse_json_value_t *v,
    const ngx_pulse_chat_parameter_t *parameter);
static ngx_int_t ngx_pulse_openai_vendor_choice(
    ngx_pulse_openai_vendor_t *vendor);
static ngx_int_t ngx_pulse_openai_vendor_effort(
    ngx_pulse_openai_vendor_t *vendor);
static ngx_int_t ngx_pulse_openai_vendor_roles(
    ngx_pulse_openai_vendor_t *vendor);
static ngx_int_t ngx_pulse_openai_vendor_put(
    ngx_pulse_openai_vendor_t *vendor, size_t start, size_t end,
    const ngx_str_t *text);


static ngx_str_t  ngx_pulse_openai_vendor_auto = ngx_string("\"auto\"");
static ngx_str_t  ngx_pulse_openai_vendor_any = ngx_string("\"required\"");
static ngx_str_t  ngx_pulse_openai_vendor_system = ngx_string("\"system\"");

static ngx_str_t  ngx_pulse_openai_vendor_tool_choice =
    ngx_string("tool_choice");

static ngx_str_t  ngx_pulse_openai_vendor_developer = ngx_string("developer");

static ngx_str_t  ngx_pulse_openai_vendor_no_effort = ngx_string("\"none\"");

static ngx_str_t  ngx_pulse_openai_vendor_off =
    ngx_string("\"thinking\":{\"type\":\"disabled\"}");


ngx_int_t
ngx_pulse_openai_vendor(const ngx_str_t *body, ngx_pool_t *pool,
    const ngx_pulse_target_t *target, ngx_pulse_dropped_t *dropped,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_error_t      err;
    ngx_pulse_json_limits_t     limits;
    ngx_pulse_openai_vendor_t   vendor;

    if (!ngx_pulse_openai_vendor_applies(body, target)) {
        return NGX_DECLINED;
    }

    limits.size = body->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = body->len;
    limits.keys = body->len;

    ngx_memzero(&vendor, sizeof(ngx_pulse_openai_vendor_t));

    vendor.cv.pool = pool;
    vendor.body = body;
    vendor.target = target;
    vendor.dropped = dropped;
    vendor.root = ngx_pulse_json_tree(pool, body->data, body->len, &limits,
                                      &err);
    if (vendor.root == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_openai_vendor_parameters(&vendor) != NGX_OK
        || ngx_pulse_openai_vendor_choice(&vendor) != NGX_OK
        || ngx_pulse_openai_vendor_effort(&vendor) != NGX_OK
        || ngx_pulse_openai_vendor_roles(&vendor) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (vendor.cv.edits == NULL) {
        return NGX_DECLINED;
    }

    ngx_pulse_edit_body(&vendor.cv, body, 0, b);

    return b->failed ? NGX_ERROR : NGX_OK;
}


/* a tree takes time, and few bodies have what their model does not take */

static ngx_uint_t
ngx_pulse_openai_vendor_applies(const ngx_str_t *body,
    const ngx_pulse_target_t *target)
{
    ngx_uint_t  i;

    for (i = 0; i < target->nparameters; i++) {
        if (ngx_pulse_openai_vendor_has(body, &target->parameters[i].name)) {
            return 1;
        }
    }

    if ((!target->named_choice || !target->forced_choice)
        && ngx_pulse_openai_vendor_has(body,
                                       &ngx_pulse_openai_vendor_tool_choice))
    {
        return 1;
    }

    if (target->thinking_off
        && ngx_pulse_openai_vendor_has(body,
                                       &ngx_pulse_openai_vendor_no_effort))
    {
        return 1;
    }

    return !target->developer
           && ngx_pulse_openai_vendor_has(body,
                                          &ngx_pulse_openai_vendor_developer);
}


static ngx_uint_t
ngx_pulse_openai_vendor_has(const ngx_str_t *body, const ngx_str_t *name)
{
    return memmem(body->data, body->len, name->data, name->len) != NULL;
}


static ngx_int_t
ngx_pulse_openai_vendor_parameters(ngx_pulse_openai_vendor_t *vendor)
{
    ngx_uint_t                         i;
    const ngx_pulse_json_value_t      *v;
    const ngx_pulse_chat_parameter_t  *parameter;

    for (v = vendor->root->children; v; v = v->next) {

        for (i = 0; i < vendor->target->nparameters; i++) {
            parameter = &vendor->target->parameters[i];

            if (v->key.len == parameter->name.len
                && ngx_memcmp(v->key.data, parameter->name.data, v->key.len)
                   == 0)
            {
                if (ngx_pulse_openai_vendor_parameter(vendor, v, parameter)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }

                break;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_vendor_parameter(ngx_pulse_openai_vendor_t *vendor,
    const ngx_pulse_json_value_t *v,
    const ngx_pulse_chat_parameter_t *parameter)
{
    size_t     key;
    ngx_str_t  name;

    key = ngx_pulse_edit_key(vendor->body, v);

    if (parameter->as.len && key) {
        name.len = parameter->as.len + 2;
        name.data = ngx_pnalloc(vendor->cv.pool, name.len);
        if (name.data == NULL) {
            return NGX_ERROR;
        }

        name.data[0] = '"';
        ngx_memcpy(name.data + 1, parameter->as.data, parameter->as.len);
        name.data[name.len - 1] = '"';

        return ngx_pulse_openai_vendor_put(vendor, key, key + v->key.len + 2,
                                           &name);
    }

    /* usage is asked for by us, who also get it where that is not known */

    if (v->type != NGX_PULSE_JSON_NULL
        && !ngx_pulse_is(&parameter->name, "stream_options"))
    {
        ngx_pulse_dropped_name(vendor->dropped, &parameter->name);
    }

    return ngx_pulse_edit_member(&vendor->cv, vendor->body, v);
}


/* where a tool cannot be named one can still be demanded, which of a single
 * tool is the same */

static ngx_int_t
ngx_pulse_openai_vendor_choice(ngx_pulse_openai_vendor_t *vendor)
{
    ngx_str_t                     *text;
    ngx_uint_t                     named;
    const ngx_pulse_json_value_t  *choice, *type, *tools;

    choice = ngx_pulse_json_get(vendor->root, "tool_choice");
    type = ngx_pulse_json_get(choice, "type");

    named = type && type->type == NGX_PULSE_JSON_STRING
            && (ngx_pulse_is(&type->string, "function")
                || ngx_pulse_is(&type->string, "custom"));

    if (!named
        && (choice == NULL || choice->type != NGX_PULSE_JSON_STRING
            || !ngx_pulse_is(&choice->string, "required")))
    {
        return NGX_OK;
    }

    if (vendor->target->forced_choice
        && (!named || vendor->target->named_choice))
    {
        return NGX_OK;
    }

    text = vendor->target->forced_choice ? &ngx_pulse_openai_vendor_any
                                         : &ngx_pulse_openai_vendor_auto;

    tools = ngx_pulse_json_get(vendor->root, "tools");

    if (!vendor->target->forced_choice
        || tools == NULL || tools->nelts != 1)
    {
        ngx_pulse_dropped_add(vendor->dropped, "tool_choice");
    }

    return ngx_pulse_openai_vendor_put(vendor, choice->start, choice->end,
                                       text);
}


/* a switch of its own is for what OpenAI has an effort */

static ngx_int_t
ngx_pulse_openai_vendor_effort(ngx_pulse_openai_vendor_t *vendor)
{
    size_t                         key;
    const ngx_pulse_json_value_t  *effort;

    effort = ngx_pulse_json_get(vendor->root, "reasoning_effort");

    if (!vendor->target->thinking_off
        || effort == NULL || effort->type != NGX_PULSE_JSON_STRING
        || !ngx_pulse_is(&effort->string, "none")
        || ngx_pulse_json_get(vendor->root, "thinking"))
    {
        return NGX_OK;
    }

    key = ngx_pulse_edit_key(vendor->body, effort);

    return key ? ngx_pulse_openai_vendor_put(vendor, key, effort->end,
                                             &ngx_pulse_openai_vendor_off)
               : NGX_OK;
}


/* the newer name of the same role */

static ngx_int_t
ngx_pulse_openai_vendor_roles(ngx_pulse_openai_vendor_t *vendor)
{
    const ngx_pulse_json_value_t  *v, *role;

    v = ngx_pulse_json_get(vendor->root, "messages");

    if (vendor->target->developer || v == NULL) {
        return NGX_OK;
    }

    for (v = v->children; v; v = v->next) {
        role = ngx_pulse_json_get(v, "role");

        if (role && role->type == NGX_PULSE_JSON_STRING
            && ngx_pulse_is(&role->string, "developer")
            && ngx_pulse_openai_vendor_put(vendor, role->start, role->end,
                                           &ngx_pulse_openai_vendor_system)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_vendor_put(ngx_pulse_openai_vendor_t *vendor, size_t start,
    size_t end, const ngx_str_t *text)
{
    ngx_pulse_edit_t  *edit;

    edit = ngx_pulse_edit_add(&vendor->cv, vendor->cv.pool, start, end);
    if (edit == NULL) {
        return NGX_ERROR;
    }

    edit->text = *text;

    return NGX_OK;
}
