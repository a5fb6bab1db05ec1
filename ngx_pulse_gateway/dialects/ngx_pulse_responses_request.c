
#include "ngx_pulse_responses.h"
#include "ngx_pulse_openai.h"

#include <string.h>


#define NGX_PULSE_RESPONSES_BODY_MAX  (4 * 1024 * 1024)


static ngx_int_t ngx_pulse_responses_read_state(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_responses_read_basics(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_responses_read_include(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_responses_read_defaults(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_responses_read_reasoning(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_responses_read_text(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_responses_read_format(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *format);
static ngx_int_t ngx_pulse_responses_read_tools(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_responses_read_tool(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_responses_read_choice(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *root);


static const char  *ngx_pulse_responses_members[] = {
    "model", "input", "instructions", "max_output_tokens", "tools",
    "tool_choice", "parallel_tool_calls", "reasoning", "text", "include",
    "store", "stream", "stream_options", "temperature", "top_p",
    "truncation", "top_logprobs", "service_tier", "user",
    "safety_identifier", "previous_response_id", "conversation",
    "background", "prompt", "metadata", "moderation", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", NULL
};


ngx_pulse_dialect_t  ngx_pulse_dialect_responses = {
    ngx_string("responses"),
    sizeof(ngx_pulse_responses_answer_t),
    sizeof(ngx_pulse_responses_stream_t),
    ngx_pulse_responses_read,
    ngx_pulse_responses_write_event,
    ngx_pulse_responses_write_answer,
    ngx_pulse_responses_write,
    ngx_pulse_responses_read_event,
    ngx_pulse_responses_read_end,
    ngx_pulse_responses_read_answer,
    ngx_pulse_openai_error
};


ngx_int_t
ngx_pulse_responses_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body, ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_pulse_json_value_t         *root;
    ngx_pulse_json_error_t          err;
    ngx_pulse_json_limits_t         limits;
    ngx_pulse_responses_request_t   rq;

    static ngx_int_t  (*steps[])(ngx_pulse_responses_request_t *rq,
                                 const ngx_pulse_json_value_t *root) =
    {
        ngx_pulse_responses_read_state,
        ngx_pulse_responses_read_basics,
        ngx_pulse_responses_read_include,
        ngx_pulse_responses_read_defaults,
        ngx_pulse_responses_read_reasoning,
        ngx_pulse_responses_read_text,
        ngx_pulse_responses_read_tools,
        ngx_pulse_responses_read_choice,
        ngx_pulse_responses_read_input,
        NULL
    };

    ngx_memzero(cv, sizeof(ngx_pulse_conversation_t));
    ngx_memzero(&rq, sizeof(ngx_pulse_responses_request_t));
    ngx_memzero(&err, sizeof(ngx_pulse_json_error_t));
    ngx_memzero(refusal, sizeof(ngx_pulse_chat_refusal_t));

    cv->pool = pool;
    cv->dialect = NGX_PULSE_DIALECT_RESPONSES;
    cv->n = 1;

    rq.cv = cv;
    rq.pool = pool;
    rq.body = body;
    rq.refusal = refusal;

    limits.size = NGX_PULSE_RESPONSES_BODY_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    root = ngx_pulse_json_tree(pool, body->data, body->len, &limits, &err);

    if (root == NULL) {
        if (err.reason == NULL || strcmp(err.reason, "no memory") == 0) {
            return NGX_ERROR;
        }

        return ngx_pulse_refuse(refusal, NULL, NULL, err.reason);
    }

    if (root->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_refuse(refusal, root, NULL, "must be an object");
    }

    ngx_pulse_unknown_members(cv, root, ngx_pulse_responses_members);

    for (i = 0; steps[i]; i++) {
        rc = steps[i](&rq, root);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_pulse_conversation_count(cv);

    return NGX_OK;
}


/* What would need the state that a former answer left behind. */

static ngx_int_t
ngx_pulse_responses_read_state(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_uint_t  background, store;

    background = 0;
    store = 0;

    if (ngx_pulse_member(root, "previous_response_id")) {
        return ngx_pulse_refuse(rq->refusal, root, "previous_response_id",
                                "answers are not stored here: send all items"
                                " of the conversation in \"input\"");
    }

    if (ngx_pulse_member(root, "conversation")) {
        return ngx_pulse_refuse(rq->refusal, root, "conversation",
                                "conversations are not stored here: send all"
                                " items in \"input\"");
    }

    if (ngx_pulse_member(root, "prompt")) {
        return ngx_pulse_refuse(rq->refusal, root, "prompt",
                                "prompts are not stored here: send the text"
                                " in \"instructions\" or \"input\"");
    }

    if (ngx_pulse_member_bool(root, "background", &background, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_bool(root, "store", &store, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (background) {
        return ngx_pulse_refuse(rq->refusal, root, "background",
                                "answers are not stored here: must be false");
    }

    if (store) {
        ngx_pulse_unknown_note(rq->cv, "store");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_basics(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_uint_t                 stream, parallel;
    ngx_pulse_json_value_t    *options;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = { "include_obfuscation", NULL };

    cv = rq->cv;
    stream = 0;
    parallel = 1;

    if (ngx_pulse_responses_required(rq, root, "model", &cv->model) != NGX_OK
        || ngx_pulse_member_count(root, "max_output_tokens", 1,
                                  &cv->max_tokens, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(root, "stream", &stream, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(root, "parallel_tool_calls", &parallel,
                                 rq->refusal)
           != NGX_OK
        || ngx_pulse_member_number(root, "temperature", &cv->temperature,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_number(root, "top_p", &cv->top_p, rq->refusal)
           != NGX_OK
        || ngx_pulse_shared_user(cv, root, rq->refusal) != NGX_OK
        || ngx_pulse_member_object(root, "stream_options", &options,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (options) {
        ngx_pulse_unknown_members(cv, options, known);
    }

    cv->stream = (stream != 0);
    cv->no_parallel = (parallel == 0);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_include(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t  *include, *v;

    if (ngx_pulse_member_array(root, "include", &include, rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    for (v = include ? include->children : NULL; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_STRING) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be a string");
        }

        /* which is always given */

        if (ngx_pulse_is(&v->string, "message.output_text.logprobs")) {
            rq->cv->logprobs = 1;

        } else if (!ngx_pulse_is(&v->string, "reasoning.encrypted_content")) {
            ngx_pulse_unknown_note(rq->cv, "include");
        }
    }

    return NGX_OK;
}


/* Members that ask for nothing special unless they differ from this. */

static ngx_int_t
ngx_pulse_responses_read_defaults(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    int64_t    logprobs;
    ngx_str_t  truncation, tier;

    logprobs = 0;
    ngx_str_null(&truncation);
    ngx_str_null(&tier);

    if (ngx_pulse_member_string(root, "truncation", &truncation, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_string(root, "service_tier", &tier, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_count(root, "top_logprobs", 0, &logprobs,
                                  rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (truncation.len && !ngx_pulse_is(&truncation, "disabled")) {
        ngx_pulse_unknown_note(rq->cv, "truncation");
    }

    ngx_pulse_shared_read(rq->cv, rq->body, root);

    rq->cv->top_logprobs = logprobs;

    if (logprobs && !rq->cv->logprobs) {
        ngx_pulse_unknown_note(rq->cv, "top_logprobs");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_reasoning(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t                effort, summary;
    ngx_pulse_json_value_t  *reasoning;

    static const char  *known[] = {
        "effort", "summary", "generate_summary", NULL
    };

    ngx_str_null(&effort);
    ngx_str_null(&summary);

    if (ngx_pulse_member_object(root, "reasoning", &reasoning, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_string(reasoning, "effort", &effort, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_string(reasoning, "generate_summary", &summary,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_string(reasoning, "summary", &summary,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (reasoning == NULL) {
        return NGX_OK;
    }

    if (effort.len) {
        rq->cv->effort = ngx_pulse_responses_effort_of(&effort);

        if (rq->cv->effort == NGX_PULSE_EFFORT_UNSET) {
            return ngx_pulse_refuse(rq->refusal, reasoning, "effort",
                                    "must be none, minimal, low, medium, high,"
                                    " xhigh or max");
        }
    }

    rq->cv->include_thoughts = (summary.len != 0);

    ngx_pulse_unknown_members(rq->cv, reasoning, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_text(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t  *text, *format;

    static const char  *known[] = { "format", "verbosity", NULL };

    if (ngx_pulse_member_object(root, "text", &text, rq->refusal) != NGX_OK
        || ngx_pulse_member_string(text, "verbosity", &rq->cv->verbosity,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(text, "format", &format, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (text == NULL) {
        return NGX_OK;
    }

    ngx_pulse_unknown_members(rq->cv, text, known);

    return format ? ngx_pulse_responses_read_format(rq, format) : NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_format(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *format)
{
    ngx_str_t                  type;
    ngx_uint_t                 strict;
    ngx_pulse_json_value_t    *schema;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = {
        "type", "name", "description", "schema", "strict", NULL
    };

    cv = rq->cv;
    strict = 0;

    if (ngx_pulse_responses_required(rq, format, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&type, "text")) {
        return NGX_OK;
    }

    if (ngx_pulse_is(&type, "json_object")) {
        cv->format = NGX_PULSE_FORMAT_JSON;
        return NGX_OK;
    }

    if (!ngx_pulse_is(&type, "json_schema")) {
        return ngx_pulse_refuse(rq->refusal, format, "type",
                                "must be text, json_object or json_schema");
    }

    if (ngx_pulse_member_string(format, "name", &cv->format_name, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_string(format, "description",
                                   &cv->format_description, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(format, "strict", &strict, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(format, "schema", &schema, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (schema == NULL) {
        return ngx_pulse_refuse(rq->refusal, format, "schema", "is required");
    }

    cv->format = NGX_PULSE_FORMAT_SCHEMA;
    cv->format_strict = (strict != 0);
    cv->format_schema = ngx_pulse_raw(rq->body, schema);

    ngx_pulse_unknown_members(cv, format, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_tools(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *tools, *v;

    if (ngx_pulse_member_array(root, "tools", &tools, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (v = tools ? tools->children : NULL; v; v = v->next) {
        rq->cv->at = v;
        rc = ngx_pulse_responses_read_tool(rq, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_tool(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t                type;
    ngx_uint_t               strict;
    ngx_pulse_tool_t        *tool;
    ngx_pulse_json_value_t  *parameters;

    static const char  *known[] = {
        "type", "name", "description", "parameters", "strict", "format", NULL
    };

    if (ngx_pulse_responses_required(rq, v, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    tool = ngx_pulse_tool_add(rq->cv, rq->pool);
    if (tool == NULL) {
        return NGX_ERROR;
    }

    tool->dialect = NGX_PULSE_DIALECT_RESPONSES;
    tool->custom = ngx_pulse_is(&type, "custom");

    if (!tool->custom && !ngx_pulse_is(&type, "function")) {
        tool->name = type;
        tool->raw = ngx_pulse_raw(rq->body, v);
        return NGX_OK;
    }

    /* that a schema must be strict if nothing is said holds for this vendor
     * only, and most schemas could not be */

    strict = 0;

    if (ngx_pulse_responses_required(rq, v, "name", &tool->name) != NGX_OK
        || ngx_pulse_member_string(v, "description", &tool->description,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(v, "strict", &strict, rq->refusal) != NGX_OK
        || ngx_pulse_member_object(v, tool->custom ? "format" : "parameters",
                                   &parameters, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    tool->strict = (strict != 0);

    if (parameters) {
        tool->parameters = ngx_pulse_raw(rq->body, parameters);
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_choice(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t                  type;
    ngx_pulse_json_value_t    *choice;
    ngx_pulse_conversation_t  *cv;

    cv = rq->cv;
    choice = ngx_pulse_member(root, "tool_choice");

    if (choice == NULL) {
        return NGX_OK;
    }

    cv->choice_at = choice;

    if (choice->type == NGX_PULSE_JSON_STRING) {

        if (ngx_pulse_is(&choice->string, "auto")) {
            cv->choice = NGX_PULSE_CHOICE_AUTO;

        } else if (ngx_pulse_is(&choice->string, "none")) {
            cv->choice = NGX_PULSE_CHOICE_NONE;

        } else if (ngx_pulse_is(&choice->string, "required")) {
            cv->choice = NGX_PULSE_CHOICE_ANY;

        } else {
            return ngx_pulse_refuse(rq->refusal, choice, NULL,
                                    "must be auto, none or required");
        }

        return NGX_OK;
    }

    if (ngx_pulse_responses_required(rq, choice, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    cv->choice = NGX_PULSE_CHOICE_NAMED;

    if (ngx_pulse_is(&type, "function") || ngx_pulse_is(&type, "custom")) {
        return ngx_pulse_responses_required(rq, choice, "name",
                                            &cv->choice_name);
    }

    if (ngx_pulse_is(&type, "allowed_tools")) {
        return ngx_pulse_refuse(rq->refusal, choice, NULL,
                                "is not supported: send only the tools that"
                                " are allowed");
    }

    /* a tool of the vendor's own is named by its type */

    cv->choice_name = type;

    (void) ngx_pulse_refuse(&cv->native, choice, NULL,
                            "forces a tool of another provider than the"
                            " model");
    return NGX_OK;
}


ngx_int_t
ngx_pulse_responses_required(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key, ngx_str_t *s)
{
    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
    }

    if (ngx_pulse_member(v, key) == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, key, "is required");
    }

    return ngx_pulse_member_string(v, key, s, rq->refusal);
}
