
#include "ngx_pulse_openai.h"


#define NGX_PULSE_OPENAI_BODY_MAX   (4 * 1024 * 1024)


typedef struct {
    ngx_pulse_conversation_t   *cv;
    ngx_pool_t                 *pool;
    const ngx_str_t            *body;
    ngx_pulse_chat_refusal_t   *refusal;
} ngx_pulse_openai_convert_t;


typedef ngx_int_t (*ngx_pulse_openai_step_pt)(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root);


static ngx_int_t ngx_pulse_openai_convert_root(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root, ngx_uint_t studio);
static ngx_int_t ngx_pulse_openai_convert_basics(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_sampling(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_limits(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_stop(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_effort(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_format(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_output(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_extras(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_convert_system(
    ngx_pulse_openai_convert_t *ct, const ngx_pulse_json_value_t *root);


/* the first ones are of the studio only */

#define NGX_PULSE_OPENAI_STUDIO_MEMBERS  3

static const char  *ngx_pulse_openai_convert_members[] = {
    "system", "locale", "fallbacks",
    "model", "messages", "stream", "stream_options", "max_tokens",
    "max_completion_tokens", "n", "temperature", "top_p", "presence_penalty",
    "frequency_penalty", "seed", "stop", "tools", "functions", "tool_choice",
    "function_call", "parallel_tool_calls", "response_format",
    "reasoning_effort", "verbosity", "user", "safety_identifier",
    "web_search_options",
    "modalities", "logprobs", "top_logprobs", "store", "service_tier",
    "metadata", "moderation", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", NULL
};


/* in the order of NGX_PULSE_EFFORT_* */

static const char  *ngx_pulse_openai_efforts[] = {
    "", "none", "minimal", "low", "medium", "high", "xhigh", "max", NULL
};


static ngx_pulse_openai_step_pt  ngx_pulse_openai_steps[] = {
    ngx_pulse_openai_convert_basics,
    ngx_pulse_openai_convert_sampling,
    ngx_pulse_openai_convert_limits,
    ngx_pulse_openai_convert_stop,
    ngx_pulse_openai_convert_effort,
    ngx_pulse_openai_convert_format,
    ngx_pulse_openai_convert_output,
    ngx_pulse_openai_convert_extras,
    NULL
};


ngx_int_t
ngx_pulse_openai_convert(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body, ngx_uint_t studio,
    ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                   rc;
    ngx_pulse_json_error_t      err;
    ngx_pulse_json_value_t     *root;
    ngx_pulse_json_limits_t     limits;
    ngx_pulse_openai_convert_t  ct;

    ngx_memzero(cv, sizeof(ngx_pulse_conversation_t));
    ngx_memzero(&err, sizeof(ngx_pulse_json_error_t));
    ngx_memzero(refusal, sizeof(ngx_pulse_chat_refusal_t));
    ngx_memzero(&ct, sizeof(ngx_pulse_openai_convert_t));

    cv->pool = pool;
    cv->dialect = NGX_PULSE_DIALECT_OPENAI;
    cv->n = 1;

    limits.size = NGX_PULSE_OPENAI_BODY_MAX;
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

    ct.cv = cv;
    ct.pool = pool;
    ct.body = body;
    ct.refusal = refusal;

    rc = ngx_pulse_openai_convert_root(&ct, root, studio);

    if (rc == NGX_OK) {
        ngx_pulse_conversation_count(cv);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_openai_convert_root(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root, ngx_uint_t studio)
{
    ngx_int_t     rc;
    ngx_uint_t    i;
    const char  **known;

    for (i = 0; ngx_pulse_openai_steps[i]; i++) {
        rc = ngx_pulse_openai_steps[i](ct, root);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    known = ngx_pulse_openai_convert_members;

    if (studio) {
        rc = ngx_pulse_openai_convert_system(ct, root);

        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        known += NGX_PULSE_OPENAI_STUDIO_MEMBERS;
    }

    ngx_pulse_unknown_members(ct->cv, root, known);

    rc = ngx_pulse_openai_tools(ct->cv, ct->pool, ct->body, root, ct->refusal);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_pulse_openai_turns(ct->cv, ct->pool, root, ct->refusal);
}


static ngx_int_t
ngx_pulse_openai_convert_basics(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_uint_t                 stream, usage;
    ngx_pulse_json_value_t    *options;
    ngx_pulse_conversation_t  *cv;

    cv = ct->cv;
    stream = 0;
    usage = 0;

    if (ngx_pulse_member_string(root, "model", &cv->model, ct->refusal)
        != NGX_OK
        || ngx_pulse_member_bool(root, "stream", &stream, ct->refusal)
           != NGX_OK
        || ngx_pulse_member_object(root, "stream_options", &options,
                                   ct->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(options, "include_usage", &usage,
                                 ct->refusal)
           != NGX_OK
        || ngx_pulse_shared_user(cv, root, ct->refusal) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    cv->stream = (stream != 0);
    cv->include_usage = (usage != 0);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_convert_sampling(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_uint_t  i;

    struct {
        const char  *name;
        ngx_str_t   *number;
    } members[] = {
        { "temperature", &ct->cv->temperature },
        { "top_p", &ct->cv->top_p },
        { "presence_penalty", &ct->cv->presence_penalty },
        { "frequency_penalty", &ct->cv->frequency_penalty },
        { "seed", &ct->cv->seed },
        { NULL, NULL }
    };

    for (i = 0; members[i].name; i++) {
        if (ngx_pulse_member_number(root, members[i].name, members[i].number,
                                    ct->refusal)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_convert_limits(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    int64_t                    other;
    ngx_pulse_conversation_t  *cv;

    cv = ct->cv;
    other = 0;

    if (ngx_pulse_member_count(root, "max_completion_tokens", 1,
                               &cv->max_tokens, ct->refusal)
        != NGX_OK
        || ngx_pulse_member_count(root, "max_tokens", 1, &other, ct->refusal)
           != NGX_OK
        || ngx_pulse_member_count(root, "n", 1, &cv->n, ct->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (other && (cv->max_tokens == 0 || other < cv->max_tokens)) {
        cv->max_tokens = other;
    }

    cv->n_at = ngx_pulse_member(root, "n");

    if (cv->n > NGX_PULSE_CHAT_MAX_N) {
        return ngx_pulse_refuse(ct->refusal, root, "n", "is too large");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_convert_stop(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t    *stop, *v;
    ngx_pulse_conversation_t  *cv;

    cv = ct->cv;
    stop = ngx_pulse_member(root, "stop");

    if (stop == NULL) {
        return NGX_OK;
    }

    cv->stops_at = stop;

    if (stop->type == NGX_PULSE_JSON_STRING) {
        cv->stops[cv->nstops++] = stop->string;
        return NGX_OK;
    }

    if (stop->type != NGX_PULSE_JSON_ARRAY) {
        return ngx_pulse_refuse(ct->refusal, stop, NULL,
                                "must be a string or an array of strings");
    }

    for (v = stop->children; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_STRING) {
            return ngx_pulse_refuse(ct->refusal, v, NULL, "must be a string");
        }

        if (cv->nstops == NGX_PULSE_CHAT_STOPS) {
            return ngx_pulse_refuse(ct->refusal, stop, NULL,
                                    "has too many strings");
        }

        cv->stops[cv->nstops++] = v->string;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_convert_effort(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t   effort;
    ngx_uint_t  i;

    ngx_str_null(&effort);

    if (ngx_pulse_member_string(root, "reasoning_effort", &effort,
                                ct->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (effort.data == NULL) {
        return NGX_OK;
    }

    for (i = NGX_PULSE_EFFORT_NONE; i <= NGX_PULSE_EFFORT_MAX; i++) {
        if (ngx_pulse_is(&effort, ngx_pulse_openai_efforts[i])) {
            ct->cv->effort = i;
            return NGX_OK;
        }
    }

    return ngx_pulse_refuse(ct->refusal, root, "reasoning_effort",
                            "must be none, minimal, low, medium, high, xhigh "
                            "or max");
}


static ngx_int_t
ngx_pulse_openai_convert_format(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t                  type;
    ngx_uint_t                 strict;
    ngx_pulse_json_value_t    *format, *wrapped, *schema;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = {
        "name", "description", "schema", "strict", NULL
    };

    cv = ct->cv;
    strict = 0;

    if (ngx_pulse_member_object(root, "response_format", &format, ct->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (format == NULL) {
        return NGX_OK;
    }

    if (ngx_pulse_openai_required(format, "type", &type, ct->refusal)
        != NGX_OK)
    {
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
        return ngx_pulse_refuse(ct->refusal, format, "type",
                                "must be text, json_object or json_schema");
    }

    if (ngx_pulse_member_object(format, "json_schema", &wrapped, ct->refusal)
        != NGX_OK
        || ngx_pulse_member_object(wrapped, "schema", &schema, ct->refusal)
           != NGX_OK
        || ngx_pulse_member_string(wrapped, "name", &cv->format_name,
                                   ct->refusal)
           != NGX_OK
        || ngx_pulse_member_string(wrapped, "description",
                                   &cv->format_description, ct->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(wrapped, "strict", &strict, ct->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (wrapped == NULL || schema == NULL) {
        return ngx_pulse_refuse(ct->refusal, wrapped ? wrapped : format,
                                wrapped ? "schema" : "json_schema",
                                "is required");
    }

    cv->format = NGX_PULSE_FORMAT_SCHEMA;
    cv->format_schema = ngx_pulse_raw(ct->body, schema);
    cv->format_strict = (strict != 0);

    ngx_pulse_unknown_members(cv, wrapped, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_convert_output(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t  *modalities, *v;

    if (ngx_pulse_member_string(root, "verbosity", &ct->cv->verbosity,
                                ct->refusal)
        != NGX_OK
        || ngx_pulse_member_array(root, "modalities", &modalities,
                                  ct->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    for (v = modalities ? modalities->children : NULL; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_STRING
            || !ngx_pulse_is(&v->string, "text"))
        {
            return ngx_pulse_refuse(ct->refusal, v, NULL,
                           "is no form of output that this model can give");
        }
    }

    return NGX_OK;
}


/* what says nothing when it has its default */

static ngx_int_t
ngx_pulse_openai_convert_extras(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t   tier;
    ngx_uint_t  logprobs, store;

    /* a search is a tool of the vendor's, by another name */

    static const char  *native[] = {
        "web_search_options", "is of another provider than the model", NULL
    };

    logprobs = 0;
    store = 0;
    ngx_str_null(&tier);

    ngx_pulse_native_members(ct->cv, root, native);

    if (ngx_pulse_member_bool(root, "logprobs", &logprobs, ct->refusal)
        != NGX_OK
        || ngx_pulse_member_count(root, "top_logprobs", 0,
                                  &ct->cv->top_logprobs, ct->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(root, "store", &store, ct->refusal) != NGX_OK
        || ngx_pulse_member_string(root, "service_tier", &tier, ct->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ct->cv->logprobs = (logprobs != 0);

    if (!logprobs && ct->cv->top_logprobs) {
        ngx_pulse_unknown_note(ct->cv, "top_logprobs");
    }

    if (store) {
        ngx_pulse_unknown_note(ct->cv, "store");
    }

    ngx_pulse_shared_read(ct->cv, ct->body, root);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_convert_system(ngx_pulse_openai_convert_t *ct,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t          system;
    ngx_pulse_part_t  *part;
    ngx_pulse_turn_t  *turn;

    ngx_str_null(&system);

    if (ngx_pulse_member_string(root, "system", &system, ct->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (system.len == 0) {
        return NGX_OK;
    }

    turn = ngx_pulse_turn_add(ct->cv, ct->pool, NGX_PULSE_ROLE_SYSTEM);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    part = ngx_pulse_part_add(turn, ct->pool, NGX_PULSE_PART_TEXT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->text = system;

    return NGX_OK;
}
