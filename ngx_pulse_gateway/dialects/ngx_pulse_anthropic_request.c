
#include "ngx_pulse_anthropic.h"


#define NGX_PULSE_ANTHROPIC_BODY_MAX  (4 * 1024 * 1024)


static ngx_int_t ngx_pulse_anthropic_read_members(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_read_again(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_read_stops(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_read_thinking(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_read_output(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_read_effort(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_anthropic_read_format(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *format);
static ngx_int_t ngx_pulse_anthropic_read_tools(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_read_tool(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_anthropic_read_choice(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *root);


static const char  *ngx_pulse_anthropic_members[] = {
    "model", "messages", "max_tokens", "system", "stop_sequences", "stream",
    "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking",
    "output_config", "output_format", "metadata", "cache_control", NULL
};


/* in the order of NGX_PULSE_EFFORT_LOW and on */

static const char  *ngx_pulse_anthropic_efforts[] = {
    "low", "medium", "high", "xhigh", "max", NULL
};


ngx_int_t
ngx_pulse_anthropic_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body, ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                       rc;
    ngx_pulse_json_error_t          err;
    ngx_pulse_json_value_t         *root;
    ngx_pulse_json_limits_t         limits;
    ngx_pulse_anthropic_request_t   rq;

    ngx_memzero(cv, sizeof(ngx_pulse_conversation_t));
    ngx_memzero(&err, sizeof(ngx_pulse_json_error_t));
    ngx_memzero(refusal, sizeof(ngx_pulse_chat_refusal_t));
    ngx_memzero(&rq, sizeof(ngx_pulse_anthropic_request_t));

    cv->pool = pool;
    cv->dialect = NGX_PULSE_DIALECT_ANTHROPIC;
    cv->n = 1;

    limits.size = NGX_PULSE_ANTHROPIC_BODY_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    root = ngx_pulse_json_tree(pool, body->data, body->len, &limits, &err);

    if (root == NULL) {
        if (err.reason == NULL) {
            return NGX_ERROR;
        }

        return ngx_pulse_refuse(refusal, NULL, NULL, err.reason);
    }

    if (root->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_refuse(refusal, NULL, NULL, "must be an object");
    }

    rq.cv = cv;
    rq.pool = pool;
    rq.body = body;
    rq.refusal = refusal;

    rc = ngx_pulse_anthropic_read_members(&rq, root);

    if (rc == NGX_OK) {
        rc = ngx_pulse_anthropic_read_again(&rq, root);
    }

    if (rc == NGX_OK) {
        ngx_pulse_unknown_members(cv, root, ngx_pulse_anthropic_members);
        ngx_pulse_conversation_count(cv);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_anthropic_read_members(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                  rc;
    ngx_uint_t                 stream;
    ngx_pulse_json_value_t    *metadata;
    ngx_pulse_conversation_t  *cv;
    ngx_pulse_chat_refusal_t  *refusal;

    static const char  *known[] = { "user_id", NULL };

    /* tools and turns that the vendor has, where it may compute */

    static const char  *native[] = {
        "mcp_servers", "is of another provider than the model",
        "thread", "is of another provider than the model",
        "inference_geo", "cannot be promised for a model of another provider",
        NULL
    };

    cv = rq->cv;
    refusal = rq->refusal;
    stream = 0;

    ngx_pulse_native_members(cv, root, native);

    if (ngx_pulse_member_string(root, "model", &cv->model, refusal) != NGX_OK
        || ngx_pulse_member_count(root, "max_tokens", 1, &cv->max_tokens,
                                  refusal)
           != NGX_OK
        || ngx_pulse_member_bool(root, "stream", &stream, refusal) != NGX_OK
        || ngx_pulse_member_number(root, "temperature", &cv->temperature,
                                   refusal)
           != NGX_OK
        || ngx_pulse_member_number(root, "top_p", &cv->top_p, refusal)
           != NGX_OK
        || ngx_pulse_member_number(root, "top_k", &cv->top_k, refusal)
           != NGX_OK
        || ngx_pulse_member_object(root, "metadata", &metadata, refusal)
           != NGX_OK
        || ngx_pulse_member_string(metadata, "user_id", &cv->user, refusal)
           != NGX_OK
        || ngx_pulse_anthropic_read_cache(rq, root, &cv->cache) != NGX_OK
        || ngx_pulse_anthropic_read_stops(rq, root) != NGX_OK
        || ngx_pulse_anthropic_read_output(rq, root) != NGX_OK
        || ngx_pulse_anthropic_read_thinking(rq, root) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    cv->stream = (stream != 0);

    if (metadata) {
        ngx_pulse_unknown_members(cv, metadata, known);
    }

    rc = ngx_pulse_anthropic_read_tools(rq, root);

    if (rc == NGX_OK) {
        rc = ngx_pulse_anthropic_read_choice(rq, root);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_anthropic_read_system(rq, root);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_anthropic_read_messages(rq, root);
    }

    return rc;
}


/* thinking by budget must begin a turn that goes on after calls: where that
 * was another vendor's there is none to send */

static ngx_int_t
ngx_pulse_anthropic_read_again(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_edit_t        *edit;
    ngx_pulse_json_value_t  *v;

    if (rq->cv->edits == NULL || rq->cv->budget == 0
        || !ngx_pulse_anthropic_resumes(rq->cv))
    {
        return NGX_OK;
    }

    v = ngx_pulse_member(root, "thinking");

    edit = ngx_pulse_edit_add(rq->cv, rq->pool, v->start, v->end);
    if (edit == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&edit->text, "{\"type\":\"disabled\"}");

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_stops(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t    *stops, *v;
    ngx_pulse_conversation_t  *cv;

    cv = rq->cv;

    if (ngx_pulse_member_array(root, "stop_sequences", &stops, rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rq->cv->stops_at = stops;

    for (v = stops ? stops->children : NULL; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_STRING) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be a string");
        }

        if (cv->nstops == NGX_PULSE_CHAT_STOPS) {
            return ngx_pulse_refuse(rq->refusal, stops, NULL,
                                    "has too many strings");
        }

        cv->stops[cv->nstops++] = v->string;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_thinking(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t                  type, display;
    ngx_pulse_json_value_t    *thinking;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = {
        "type", "budget_tokens", "display", NULL
    };

    cv = rq->cv;
    ngx_str_null(&display);

    if (ngx_pulse_member_object(root, "thinking", &thinking, rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (thinking == NULL) {
        return NGX_OK;
    }

    if (ngx_pulse_anthropic_required(rq, thinking, "type", &type) != NGX_OK
        || ngx_pulse_member_string(thinking, "display", &display, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(cv, thinking, known);

    if (ngx_pulse_is(&type, "disabled")
        || ngx_pulse_is(&type, "between_tools"))
    {
        cv->answer_effort = cv->effort;
        cv->effort = NGX_PULSE_EFFORT_NONE;
        return NGX_OK;
    }

    cv->omit_thoughts = ngx_pulse_is(&display, "omitted");
    cv->include_thoughts = !cv->omit_thoughts;

    if (ngx_pulse_is(&type, "adaptive")) {
        cv->adaptive = 1;
        return NGX_OK;
    }

    if (!ngx_pulse_is(&type, "enabled")) {
        return ngx_pulse_refuse(rq->refusal, thinking, "type",
                   "must be enabled, adaptive, disabled or between_tools");
    }

    if (ngx_pulse_member(thinking, "budget_tokens") == NULL) {
        return ngx_pulse_refuse(rq->refusal, thinking, "budget_tokens",
                                "is required");
    }

    return ngx_pulse_member_count(thinking, "budget_tokens", 1024,
                                  &cv->budget, rq->refusal);
}


static ngx_int_t
ngx_pulse_anthropic_read_output(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t  *config, *format, *effort;

    static const char  *known[] = { "effort", "format", NULL };

    /* "output_format" is what "output_config.format" was called in beta */

    if (ngx_pulse_member_object(root, "output_config", &config, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_object(root, "output_format", &format,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (config) {
        ngx_pulse_unknown_members(rq->cv, config, known);

        effort = ngx_pulse_member(config, "effort");

        if (effort && ngx_pulse_anthropic_read_effort(rq, effort) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (format == NULL
            && ngx_pulse_member_object(config, "format", &format, rq->refusal)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return format ? ngx_pulse_anthropic_read_format(rq, format) : NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_effort(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_uint_t  i;

    if (v->type == NGX_PULSE_JSON_STRING) {

        for (i = 0; ngx_pulse_anthropic_efforts[i]; i++) {

            if (ngx_pulse_is(&v->string, ngx_pulse_anthropic_efforts[i])) {
                rq->cv->effort = NGX_PULSE_EFFORT_LOW + i;
                return NGX_OK;
            }
        }
    }

    return ngx_pulse_refuse(rq->refusal, v, NULL,
                            "must be low, medium, high, xhigh or max");
}


static ngx_int_t
ngx_pulse_anthropic_read_format(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *format)
{
    ngx_str_t                  type;
    ngx_pulse_json_value_t    *schema;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = { "type", "schema", "name", NULL };

    cv = rq->cv;

    if (ngx_pulse_anthropic_required(rq, format, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!ngx_pulse_is(&type, "json_schema")) {
        return ngx_pulse_refuse(rq->refusal, format, "type",
                                "must be json_schema");
    }

    if (ngx_pulse_member_object(format, "schema", &schema, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_string(format, "name", &cv->format_name,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (schema == NULL) {
        return ngx_pulse_refuse(rq->refusal, format, "schema", "is required");
    }

    cv->format = NGX_PULSE_FORMAT_SCHEMA;
    cv->format_schema = ngx_pulse_raw(rq->body, schema);
    cv->format_strict = 1;

    ngx_pulse_unknown_members(cv, format, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_tools(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *tools, *v;

    if (ngx_pulse_member_array(root, "tools", &tools, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (v = tools ? tools->children : NULL; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
        }

        rq->cv->at = v;
        rc = ngx_pulse_anthropic_read_tool(rq, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_tool(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t                type;
    ngx_uint_t               strict;
    ngx_pulse_tool_t        *tool;
    ngx_pulse_json_value_t  *schema;

    static const char  *known[] = {
        "type", "name", "description", "input_schema", "strict",
        "cache_control", NULL
    };

    strict = 0;
    ngx_str_null(&type);

    tool = ngx_pulse_tool_add(rq->cv, rq->pool);
    if (tool == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_member_string(v, "type", &type, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (type.len && !ngx_pulse_is(&type, "custom")) {
        tool->name = type;
        tool->raw = ngx_pulse_raw(rq->body, v);
        tool->dialect = NGX_PULSE_DIALECT_ANTHROPIC;
        return NGX_OK;
    }

    if (ngx_pulse_anthropic_required(rq, v, "name", &tool->name) != NGX_OK
        || ngx_pulse_member_string(v, "description", &tool->description,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(v, "input_schema", &schema, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(v, "strict", &strict, rq->refusal) != NGX_OK
        || ngx_pulse_anthropic_read_cache(rq, v, &tool->cache) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (schema == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "input_schema", "is required");
    }

    tool->parameters = ngx_pulse_raw(rq->body, schema);
    tool->strict = (strict != 0);

    ngx_pulse_unknown_members(rq->cv, v, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_choice(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t                  type;
    ngx_uint_t                 alone;
    ngx_pulse_json_value_t    *choice;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = {
        "type", "name", "disable_parallel_tool_use", NULL
    };

    cv = rq->cv;
    alone = 0;

    if (ngx_pulse_member_object(root, "tool_choice", &choice, rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rq->cv->choice_at = choice;

    if (choice == NULL) {
        return NGX_OK;
    }

    if (ngx_pulse_anthropic_required(rq, choice, "type", &type) != NGX_OK
        || ngx_pulse_member_bool(choice, "disable_parallel_tool_use", &alone,
                                 rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(cv, choice, known);

    cv->no_parallel = (alone != 0);

    if (ngx_pulse_is(&type, "auto")) {
        cv->choice = NGX_PULSE_CHOICE_AUTO;

    } else if (ngx_pulse_is(&type, "none")) {
        cv->choice = NGX_PULSE_CHOICE_NONE;

    } else if (ngx_pulse_is(&type, "any")) {
        cv->choice = NGX_PULSE_CHOICE_ANY;

    } else if (ngx_pulse_is(&type, "tool")) {
        cv->choice = NGX_PULSE_CHOICE_NAMED;

        return ngx_pulse_anthropic_required(rq, choice, "name",
                                            &cv->choice_name);

    } else {
        return ngx_pulse_refuse(rq->refusal, choice, "type",
                                "must be auto, any, tool or none");
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_anthropic_read_cache(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_str_t *cache)
{
    ngx_str_t                type;
    ngx_pulse_json_value_t  *control;

    if (ngx_pulse_member_object(v, "cache_control", &control, rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (control == NULL) {
        return NGX_OK;
    }

    ngx_str_set(cache, "5m");

    if (ngx_pulse_anthropic_required(rq, control, "type", &type) != NGX_OK
        || ngx_pulse_member_string(control, "ttl", cache, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (!ngx_pulse_is(&type, "ephemeral")) {
        return ngx_pulse_refuse(rq->refusal, control, "type",
                                "must be ephemeral");
    }

    if (!ngx_pulse_is(cache, "5m") && !ngx_pulse_is(cache, "1h")) {
        return ngx_pulse_refuse(rq->refusal, control, "ttl",
                                "must be 5m or 1h");
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_anthropic_required(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key, ngx_str_t *s)
{
    ngx_str_null(s);

    if (ngx_pulse_member_string(v, key, s, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (s->len == 0) {
        return ngx_pulse_refuse(rq->refusal, v, key, "is required");
    }

    return NGX_OK;
}
