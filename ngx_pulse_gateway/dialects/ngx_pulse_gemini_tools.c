
#include "ngx_pulse_gemini.h"


static ngx_int_t ngx_pulse_gemini_read_functions(
    ngx_pulse_gemini_request_t *rq, const ngx_pulse_json_value_t *tool);
static ngx_int_t ngx_pulse_gemini_read_function(
    ngx_pulse_gemini_request_t *rq, ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_read_own_tool(
    ngx_pulse_gemini_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_read_allowed(
    ngx_pulse_gemini_request_t *rq, ngx_pulse_json_value_t *calling);


ngx_int_t
ngx_pulse_gemini_read_tools(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *v, *member;

    rc = ngx_pulse_gemini_list(rq, root, "tools", &v);

    for ( /* void */ ; rc == NGX_OK && v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
        }

        ngx_pulse_gemini_camel(v);

        rc = ngx_pulse_gemini_read_functions(rq, v);

        for (member = v->children; rc == NGX_OK && member;
             member = member->next)
        {
            if (member->type != NGX_PULSE_JSON_NULL
                && !ngx_pulse_is(&member->key, "functionDeclarations"))
            {
                rc = ngx_pulse_gemini_read_own_tool(rq, member);
            }
        }
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_read_functions(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *tool)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *v;

    rc = ngx_pulse_gemini_list(rq, tool, "functionDeclarations", &v);

    for ( /* void */ ; rc == NGX_OK && v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
        }

        ngx_pulse_gemini_camel(v);

        rq->cv->at = v;
        rc = ngx_pulse_gemini_read_function(rq, v);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_read_function(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v)
{
    ngx_pulse_buf_t          b;
    ngx_pulse_tool_t        *tool;
    ngx_pulse_json_value_t  *schema, *json;

    static const char  *known[] = {
        "name", "description", "parameters", "parametersJsonSchema", NULL
    };

    tool = ngx_pulse_tool_add(rq->cv, rq->pool);
    if (tool == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_gemini_required(rq, v, "name", &tool->name) != NGX_OK
        || ngx_pulse_member_string(v, "description", &tool->description,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(v, "parameters", &schema, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(v, "parametersJsonSchema", &json,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    if (json) {
        tool->parameters = ngx_pulse_raw(rq->body, json);
        return NGX_OK;
    }

    if (schema == NULL) {
        return NGX_OK;
    }

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_gemini_schema(rq->body, schema, &b);

    return ngx_pulse_gemini_copy(rq, &b, &tool->parameters);
}


/* googleSearch, codeExecution ...: members of a tool may be several */

static ngx_int_t
ngx_pulse_gemini_read_own_tool(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t          raw;
    ngx_pulse_buf_t    b;
    ngx_pulse_tool_t  *tool;

    rq->cv->at = v;

    tool = ngx_pulse_tool_add(rq->cv, rq->pool);
    if (tool == NULL) {
        return NGX_ERROR;
    }

    tool->name = v->key;
    tool->dialect = NGX_PULSE_DIALECT_GEMINI;

    raw = ngx_pulse_raw(rq->body, v);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_char(&b, '{');
    ngx_pulse_buf_json(&b, v->key.data, v->key.len);
    ngx_pulse_buf_char(&b, ':');
    ngx_pulse_buf_str(&b, &raw);
    ngx_pulse_buf_char(&b, '}');

    return ngx_pulse_gemini_copy(rq, &b, &tool->raw);
}


ngx_int_t
ngx_pulse_gemini_read_choice(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    size_t                     i;
    ngx_str_t                  mode;
    ngx_uint_t                 validated;
    ngx_pulse_json_value_t    *config, *calling;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = { "functionCallingConfig", NULL };

    /* the first unless it asks for more than is done */

    static const char  *calls[] = { "mode", "allowedFunctionNames", NULL };

    cv = rq->cv;
    ngx_str_null(&mode);

    if (ngx_pulse_gemini_object(rq, root, "toolConfig", &config) != NGX_OK
        || ngx_pulse_gemini_object(rq, config, "functionCallingConfig",
                                   &calling)
           != NGX_OK
        || ngx_pulse_member_string(calling, "mode", &mode, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (config) {
        ngx_pulse_unknown_members(cv, config, known);
    }

    if (calling == NULL) {
        return NGX_OK;
    }

    /* taken in small letters, too: some SDKs write them so */

    for (i = 0; i < mode.len; i++) {
        mode.data[i] = ngx_toupper(mode.data[i]);
    }

    validated = ngx_pulse_is(&mode, "VALIDATED");

    ngx_pulse_unknown_members(cv, calling, calls + validated);

    if (ngx_pulse_is(&mode, "AUTO") || validated) {
        cv->choice = NGX_PULSE_CHOICE_AUTO;

    } else if (ngx_pulse_is(&mode, "ANY")) {
        cv->choice = NGX_PULSE_CHOICE_ANY;

    } else if (ngx_pulse_is(&mode, "NONE")) {
        cv->choice = NGX_PULSE_CHOICE_NONE;

    } else if (mode.len && !ngx_pulse_is(&mode, "MODE_UNSPECIFIED")) {
        return ngx_pulse_refuse(rq->refusal, calling, "mode",
                                "must be AUTO, ANY, NONE or VALIDATED");
    }

    return ngx_pulse_gemini_read_allowed(rq, calling);
}


/* one of them is a named choice; for some the other functions are left out */

static ngx_int_t
ngx_pulse_gemini_read_allowed(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *calling)
{
    ngx_int_t                  rc;
    ngx_uint_t                 n, left;
    ngx_pulse_tool_t          *tool, **p;
    ngx_pulse_json_value_t    *first, *v;
    ngx_pulse_conversation_t  *cv;

    cv = rq->cv;

    rc = ngx_pulse_gemini_list(rq, calling, "allowedFunctionNames", &first);

    if (rc != NGX_OK || first == NULL) {
        return rc;
    }

    n = 0;

    for (v = first; v; v = v->next) {
        n++;

        if (v->type != NGX_PULSE_JSON_STRING || v->string.len == 0) {
            return ngx_pulse_refuse(rq->refusal, v, NULL,
                                    "must be the name of a function");
        }
    }

    left = 0;

    for (p = &cv->tools; *p; /* void */ ) {
        tool = *p;

        for (v = first; v; v = v->next) {
            if (v->string.len == tool->name.len
                && ngx_memcmp(v->string.data, tool->name.data,
                              tool->name.len) == 0)
            {
                break;
            }
        }

        if (v) {
            left++;
        }

        if (v || tool->raw.len
            || (n == 1 && cv->choice == NGX_PULSE_CHOICE_ANY))
        {
            p = &tool->next;

        } else {
            *p = tool->next;
        }
    }

    cv->last_tool = NULL;

    for (tool = cv->tools; tool; tool = tool->next) {
        cv->last_tool = tool;
    }

    if (left == 0) {
        return ngx_pulse_refuse(rq->refusal, calling, "allowedFunctionNames",
                                "names no function of the request");
    }

    if (n == 1 && cv->choice == NGX_PULSE_CHOICE_ANY) {
        cv->choice = NGX_PULSE_CHOICE_NAMED;
        cv->choice_name = first->string;
    }

    return NGX_OK;
}
