
#include "ngx_pulse_openai.h"

#include <string.h>


#define NGX_PULSE_OPENAI_ALLOWED  128


typedef struct {
    ngx_pulse_conversation_t   *cv;
    ngx_pool_t                 *pool;
    const ngx_str_t            *body;
    ngx_pulse_chat_refusal_t   *refusal;
} ngx_pulse_openai_tools_t;


static ngx_int_t ngx_pulse_openai_tools_tool(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_tools_function(
    ngx_pulse_openai_tools_t *tl, const ngx_pulse_json_value_t *function);
static ngx_int_t ngx_pulse_openai_tools_custom(
    ngx_pulse_openai_tools_t *tl, const ngx_pulse_json_value_t *custom);
static ngx_int_t ngx_pulse_openai_tools_grammar(
    ngx_pulse_openai_tools_t *tl, const ngx_pulse_json_value_t *format,
    ngx_pulse_tool_t *tool);
static ngx_int_t ngx_pulse_openai_tools_choice(
    ngx_pulse_openai_tools_t *tl, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_tools_mode(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_tools_allowed(
    ngx_pulse_openai_tools_t *tl, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_tools_named(
    ngx_pulse_openai_tools_t *tl, const ngx_pulse_json_value_t *v,
    ngx_str_t *name);


ngx_int_t
ngx_pulse_openai_tools(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body, const ngx_pulse_json_value_t *root,
    ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                  rc;
    ngx_pulse_json_value_t    *tools, *functions, *v;
    ngx_pulse_openai_tools_t   tl;

    tl.cv = cv;
    tl.pool = pool;
    tl.body = body;
    tl.refusal = refusal;

    if (ngx_pulse_member_array(root, "tools", &tools, refusal) != NGX_OK
        || ngx_pulse_member_array(root, "functions", &functions, refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    for (v = tools ? tools->children : NULL; v; v = v->next) {
        cv->at = v;
        rc = ngx_pulse_openai_tools_tool(&tl, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (v = functions ? functions->children : NULL; v; v = v->next) {
        cv->at = v;
        rc = ngx_pulse_openai_tools_function(&tl, v);

        if (rc != NGX_OK) {
            return rc;
        }

        /* the old form of an answer has room for one call */

        cv->functions = 1;
        cv->no_parallel = 1;
    }

    return ngx_pulse_openai_tools_choice(&tl, root);
}


static ngx_int_t
ngx_pulse_openai_tools_tool(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                rc;
    ngx_str_t                type;
    ngx_uint_t               custom;
    const char              *key;
    ngx_pulse_tool_t        *tool;
    ngx_pulse_json_value_t  *inner;

    static const char  *known[] = {
        "type", "function", "custom", "cache_control",
        "prompt_cache_breakpoint", NULL
    };

    if (ngx_pulse_openai_required(v, "type", &type, tl->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&type, "function") || ngx_pulse_is(&type, "custom")) {
        ngx_pulse_unknown_members(tl->cv, v, known);
        custom = ngx_pulse_is(&type, "custom");
        key = custom ? "custom" : "function";

        inner = ngx_pulse_member(v, key);

        if (inner == NULL) {
            return ngx_pulse_refuse(tl->refusal, v, key, "is required");
        }

        rc = custom ? ngx_pulse_openai_tools_custom(tl, inner)
                    : ngx_pulse_openai_tools_function(tl, inner);

        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_pulse_openai_marker(v, &tl->cv->last_tool->cache,
                                       tl->refusal);
    }

    tool = ngx_pulse_tool_add(tl->cv, tl->pool);
    if (tool == NULL) {
        return NGX_ERROR;
    }

    tool->name = type;
    tool->raw = ngx_pulse_raw(tl->body, v);
    tool->dialect = NGX_PULSE_DIALECT_OPENAI;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_tools_function(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *function)
{
    ngx_uint_t               strict;
    ngx_pulse_tool_t        *tool;
    ngx_pulse_json_value_t  *parameters;

    static const char  *known[] = {
        "name", "description", "parameters", "strict", NULL
    };

    tool = ngx_pulse_tool_add(tl->cv, tl->pool);
    if (tool == NULL) {
        return NGX_ERROR;
    }

    strict = 0;

    if (ngx_pulse_openai_required(function, "name", &tool->name, tl->refusal)
        != NGX_OK
        || ngx_pulse_member_string(function, "description",
                                   &tool->description, tl->refusal)
           != NGX_OK
        || ngx_pulse_member_object(function, "parameters", &parameters,
                                   tl->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(function, "strict", &strict, tl->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (parameters) {
        tool->parameters = ngx_pulse_raw(tl->body, parameters);
    }

    tool->strict = (strict != 0);

    ngx_pulse_unknown_members(tl->cv, function, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_tools_custom(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *custom)
{
    ngx_pulse_tool_t        *tool;
    ngx_pulse_json_value_t  *format;

    static const char  *known[] = { "name", "description", "format", NULL };

    tool = ngx_pulse_tool_add(tl->cv, tl->pool);
    if (tool == NULL) {
        return NGX_ERROR;
    }

    tool->custom = 1;

    if (ngx_pulse_openai_required(custom, "name", &tool->name, tl->refusal)
        != NGX_OK
        || ngx_pulse_member_string(custom, "description", &tool->description,
                                   tl->refusal)
           != NGX_OK
        || ngx_pulse_member_object(custom, "format", &format, tl->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(tl->cv, custom, known);

    return format ? ngx_pulse_openai_tools_grammar(tl, format, tool)
                  : NGX_OK;
}


/* kept as Responses writes it: the members of "grammar" beside "type" */

static ngx_int_t
ngx_pulse_openai_tools_grammar(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *format, ngx_pulse_tool_t *tool)
{
    u_char                  *p;
    ngx_str_t                type, raw;
    ngx_pulse_json_value_t  *grammar;

    if (ngx_pulse_openai_required(format, "type", &type, tl->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (!ngx_pulse_is(&type, "grammar")) {
        return NGX_OK;
    }

    if (ngx_pulse_member_object(format, "grammar", &grammar, tl->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (grammar == NULL || grammar->nelts == 0) {
        return ngx_pulse_refuse(tl->refusal, format, "grammar",
                                "is required");
    }

    raw = ngx_pulse_raw(tl->body, grammar);

    p = ngx_pnalloc(tl->pool, sizeof("{\"type\":\"grammar\",") - 1 + raw.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tool->parameters.data = p;

    p = ngx_cpymem(p, "{\"type\":\"grammar\",",
                   sizeof("{\"type\":\"grammar\",") - 1);
    p = ngx_cpymem(p, raw.data + 1, raw.len - 1);

    tool->parameters.len = p - tool->parameters.data;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_tools_choice(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t                  type;
    ngx_uint_t                 parallel;
    ngx_pulse_json_value_t    *choice;
    ngx_pulse_conversation_t  *cv;

    cv = tl->cv;
    parallel = 1;

    if (ngx_pulse_member_bool(root, "parallel_tool_calls", &parallel,
                              tl->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (!parallel) {
        cv->no_parallel = 1;
    }

    choice = ngx_pulse_member(root, "tool_choice");

    if (choice == NULL) {
        choice = ngx_pulse_member(root, "function_call");

        if (choice && choice->type == NGX_PULSE_JSON_OBJECT) {
            cv->choice = NGX_PULSE_CHOICE_NAMED;
            cv->choice_at = choice;

            return ngx_pulse_openai_required(choice, "name",
                                             &cv->choice_name, tl->refusal);
        }
    }

    if (choice == NULL) {
        return NGX_OK;
    }

    cv->choice_at = choice;

    if (choice->type == NGX_PULSE_JSON_STRING) {
        return ngx_pulse_openai_tools_mode(tl, choice);
    }

    if (ngx_pulse_openai_required(choice, "type", &type, tl->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&type, "allowed_tools")) {
        return ngx_pulse_openai_tools_allowed(tl, choice);
    }

    cv->choice = NGX_PULSE_CHOICE_NAMED;

    if (!ngx_pulse_is(&type, "function") && !ngx_pulse_is(&type, "custom")) {
        (void) ngx_pulse_refuse(&cv->native, choice, NULL,
                                "forces a tool of another provider than the"
                                " model");
    }

    return ngx_pulse_openai_tools_named(tl, choice, &cv->choice_name);
}


static ngx_int_t
ngx_pulse_openai_tools_mode(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_conversation_t  *cv;

    cv = tl->cv;

    if (ngx_pulse_is(&v->string, "auto")) {
        cv->choice = NGX_PULSE_CHOICE_AUTO;

    } else if (ngx_pulse_is(&v->string, "none")) {
        cv->choice = NGX_PULSE_CHOICE_NONE;

    } else if (ngx_pulse_is(&v->string, "required")) {
        cv->choice = NGX_PULSE_CHOICE_ANY;

    } else {
        return ngx_pulse_refuse(tl->refusal, v, NULL,
                                "must be none, auto or required");
    }

    return NGX_OK;
}


/* the others could not be called: they are not offered at all */

static ngx_int_t
ngx_pulse_openai_tools_allowed(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t                names[NGX_PULSE_OPENAI_ALLOWED];
    ngx_uint_t               i, n;
    ngx_pulse_tool_t        *tool, **last;
    ngx_pulse_json_value_t  *allowed, *mode, *list, *one;

    if (ngx_pulse_member_object(v, "allowed_tools", &allowed, tl->refusal)
        != NGX_OK
        || ngx_pulse_member_array(allowed, "tools", &list, tl->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    mode = ngx_pulse_member(allowed, "mode");

    if (list == NULL || mode == NULL || mode->type != NGX_PULSE_JSON_STRING) {
        return ngx_pulse_refuse(tl->refusal, v, "allowed_tools",
                                "must have a mode and a list of tools");
    }

    if (list->nelts > NGX_PULSE_OPENAI_ALLOWED) {
        return ngx_pulse_refuse(tl->refusal, list, NULL,
                                "has too many tools");
    }

    n = 0;

    for (one = list->children; one; one = one->next) {
        if (ngx_pulse_openai_tools_named(tl, one, &names[n++]) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    last = &tl->cv->tools;
    tl->cv->last_tool = NULL;

    for (tool = tl->cv->tools; tool; tool = tool->next) {

        for (i = 0; i < n; i++) {

            if (names[i].len == tool->name.len
                && ngx_memcmp(names[i].data, tool->name.data, names[i].len)
                   == 0)
            {
                *last = tool;
                last = &tool->next;
                tl->cv->last_tool = tool;
                break;
            }
        }
    }

    *last = NULL;

    return ngx_pulse_openai_tools_mode(tl, mode);
}


/* {"type": "function", "function": {"name"}}, or custom, or a bare type */

static ngx_int_t
ngx_pulse_openai_tools_named(ngx_pulse_openai_tools_t *tl,
    const ngx_pulse_json_value_t *v, ngx_str_t *name)
{
    const char              *key;
    ngx_pulse_json_value_t  *inner;

    if (ngx_pulse_openai_required(v, "type", name, tl->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(name, "function")) {
        key = "function";

    } else if (ngx_pulse_is(name, "custom")) {
        key = "custom";

    } else {
        return NGX_OK;
    }

    if (ngx_pulse_member_object(v, key, &inner, tl->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (inner == NULL) {
        return ngx_pulse_refuse(tl->refusal, v, key, "is required");
    }

    return ngx_pulse_openai_required(inner, "name", name, tl->refusal);
}
