
#include "ngx_pulse_gemini.h"

#include <string.h>
#include <strings.h>


#define NGX_PULSE_GEMINI_BODY_MAX  (4 * 1024 * 1024)


static ngx_int_t ngx_pulse_gemini_read_members(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_gemini_read_model(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_gemini_read_config(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_gemini_read_sampling(
    ngx_pulse_gemini_request_t *rq, const ngx_pulse_json_value_t *config);
static ngx_int_t ngx_pulse_gemini_read_stops(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config);
static ngx_int_t ngx_pulse_gemini_read_format(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config);
static ngx_int_t ngx_pulse_gemini_read_thinking(
    ngx_pulse_gemini_request_t *rq, const ngx_pulse_json_value_t *config);
static void ngx_pulse_gemini_read_modalities(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config);


static const char  *ngx_pulse_gemini_members[] = {
    "contents", "systemInstruction", "tools", "toolConfig",
    "generationConfig", "model", NULL
};


/* the first only if it says no more than what is done anyway */

static const char  *ngx_pulse_gemini_settings[] = {
    "responseModalities", "temperature", "topP", "topK", "candidateCount",
    "maxOutputTokens", "stopSequences", "presencePenalty",
    "frequencyPenalty", "seed", "responseMimeType", "responseSchema",
    "responseJsonSchema", "thinkingConfig", "responseLogprobs", "logprobs",
    NULL
};


/* in the order of NGX_PULSE_EFFORT_MINIMAL and on */

static const char  *ngx_pulse_gemini_levels[] = {
    "MINIMAL", "LOW", "MEDIUM", "HIGH", NULL
};


ngx_int_t
ngx_pulse_gemini_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body, ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                    rc;
    ngx_pulse_json_error_t       err;
    ngx_pulse_json_value_t      *root, *inner;
    ngx_pulse_json_limits_t      limits;
    ngx_pulse_gemini_request_t   rq;

    ngx_memzero(cv, sizeof(ngx_pulse_conversation_t));
    ngx_memzero(&err, sizeof(ngx_pulse_json_error_t));
    ngx_memzero(refusal, sizeof(ngx_pulse_chat_refusal_t));
    ngx_memzero(&rq, sizeof(ngx_pulse_gemini_request_t));

    cv->pool = pool;
    cv->dialect = NGX_PULSE_DIALECT_GEMINI;
    cv->n = 1;

    limits.size = NGX_PULSE_GEMINI_BODY_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    root = ngx_pulse_json_tree(pool, body->data, body->len, &limits, &err);

    if (root == NULL) {
        if (err.reason == NULL || ngx_strcmp(err.reason, "no memory") == 0) {
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

    ngx_pulse_gemini_camel(root);

    /* countTokens takes a whole request as a member */

    if (ngx_pulse_gemini_object(&rq, root, "generateContentRequest", &inner)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (inner) {
        root = inner;
    }

    rc = ngx_pulse_gemini_read_members(&rq, root);

    if (rc == NGX_OK) {
        ngx_pulse_unknown_members(cv, root, ngx_pulse_gemini_members);
        ngx_pulse_conversation_count(cv);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_read_members(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *root)
{
    ngx_int_t  rc;

    /* what is cached is a part of the prompt that nobody else has */

    static const char  *native[] = {
        "cachedContent", "is of another provider than the model", NULL
    };

    ngx_pulse_native_members(rq->cv, root, native);

    rc = ngx_pulse_gemini_read_model(rq, root);

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_config(rq, root);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_tools(rq, root);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_choice(rq, root);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_system(rq, root);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_contents(rq, root);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_read_model(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_str_t  *model;

    model = &rq->cv->model;

    if (ngx_pulse_member_string(root, "model", model, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (model->len > 7 && ngx_strncmp(model->data, "models/", 7) == 0) {
        model->data += 7;
        model->len -= 7;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_read_config(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *config;

    if (ngx_pulse_gemini_object(rq, root, "generationConfig", &config)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (config == NULL) {
        return NGX_OK;
    }

    rc = ngx_pulse_gemini_read_sampling(rq, config);

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_stops(rq, config);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_format(rq, config);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_thinking(rq, config);
    }

    if (rc == NGX_OK) {
        ngx_pulse_gemini_read_modalities(rq, config);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_read_sampling(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config)
{
    ngx_uint_t                 logprobs;
    ngx_pulse_conversation_t  *cv;
    ngx_pulse_chat_refusal_t  *refusal;

    cv = rq->cv;
    refusal = rq->refusal;
    logprobs = 0;

    if (ngx_pulse_member_number(config, "temperature", &cv->temperature,
                                refusal)
        != NGX_OK
        || ngx_pulse_member_number(config, "topP", &cv->top_p, refusal)
           != NGX_OK
        || ngx_pulse_member_number(config, "topK", &cv->top_k, refusal)
           != NGX_OK
        || ngx_pulse_member_number(config, "presencePenalty",
                                   &cv->presence_penalty, refusal)
           != NGX_OK
        || ngx_pulse_member_number(config, "frequencyPenalty",
                                   &cv->frequency_penalty, refusal)
           != NGX_OK
        || ngx_pulse_member_number(config, "seed", &cv->seed, refusal)
           != NGX_OK
        || ngx_pulse_member_count(config, "maxOutputTokens", 1,
                                  &cv->max_tokens, refusal)
           != NGX_OK
        || ngx_pulse_member_count(config, "candidateCount", 1, &cv->n,
                                  refusal)
           != NGX_OK
        || ngx_pulse_member_bool(config, "responseLogprobs", &logprobs,
                                 refusal)
           != NGX_OK
        || ngx_pulse_member_count(config, "logprobs", 0, &cv->top_logprobs,
                                  refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    cv->logprobs = (logprobs != 0);

    if (cv->top_logprobs && !logprobs) {
        ngx_pulse_unknown_note(cv, "logprobs");
    }

    cv->n_at = ngx_pulse_member(config, "candidateCount");

    if (cv->n > 1) {
        (void) ngx_pulse_refuse(&cv->native, config, "candidateCount",
                                "must be 1 for a model of another provider");
    }

    if (cv->n > NGX_PULSE_CHAT_MAX_N) {
        return ngx_pulse_refuse(refusal, config, "candidateCount",
                                "is too large");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_read_stops(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config)
{
    ngx_int_t                  rc;
    ngx_pulse_json_value_t    *v;
    ngx_pulse_conversation_t  *cv;

    cv = rq->cv;

    rc = ngx_pulse_gemini_list(rq, config, "stopSequences", &v);
    if (rc != NGX_OK) {
        return rc;
    }

    cv->stops_at = ngx_pulse_member(config, "stopSequences");

    for ( /* void */ ; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_STRING) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be a string");
        }

        if (cv->nstops == NGX_PULSE_CHAT_STOPS) {
            return ngx_pulse_refuse(rq->refusal, config, "stopSequences",
                                    "has too many strings");
        }

        cv->stops[cv->nstops++] = v->string;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_read_format(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config)
{
    ngx_str_t                  type;
    ngx_pulse_buf_t            b;
    ngx_pulse_json_value_t    *schema, *json;
    ngx_pulse_conversation_t  *cv;

    cv = rq->cv;
    ngx_str_null(&type);

    if (ngx_pulse_member_string(config, "responseMimeType", &type,
                                rq->refusal)
        != NGX_OK
        || ngx_pulse_member_object(config, "responseSchema", &schema,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(config, "responseJsonSchema", &json,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (type.len && !ngx_pulse_is(&type, "application/json")) {

        if (ngx_pulse_is(&type, "text/plain")) {
            return NGX_OK;
        }

        if (cv->native.reason == NULL) {
            (void) ngx_pulse_refuse(&cv->native, config, "responseMimeType",
                       "must be application/json or text/plain for a model"
                       " of another provider");
        }

        return NGX_OK;
    }

    if (json) {
        cv->format = NGX_PULSE_FORMAT_SCHEMA;
        cv->format_schema = ngx_pulse_raw(rq->body, json);
        return NGX_OK;
    }

    if (schema) {
        cv->format = NGX_PULSE_FORMAT_SCHEMA;

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_gemini_schema(rq->body, schema, &b);

        return ngx_pulse_gemini_copy(rq, &b, &cv->format_schema);
    }

    if (type.len) {
        cv->format = NGX_PULSE_FORMAT_JSON;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_read_thinking(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config)
{
    int64_t                    budget;
    ngx_str_t                  level;
    ngx_uint_t                 i, include;
    ngx_pulse_json_value_t    *thinking;
    ngx_pulse_conversation_t  *cv;

    static const char  *known[] = {
        "thinkingLevel", "thinkingBudget", "includeThoughts", NULL
    };

    cv = rq->cv;
    include = 0;
    budget = -2;
    ngx_str_null(&level);

    if (ngx_pulse_gemini_object(rq, config, "thinkingConfig", &thinking)
        != NGX_OK
        || ngx_pulse_member_string(thinking, "thinkingLevel", &level,
                                   rq->refusal)
           != NGX_OK
        || ngx_pulse_member_count(thinking, "thinkingBudget", -1, &budget,
                                  rq->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(thinking, "includeThoughts", &include,
                                 rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (thinking == NULL) {
        return NGX_OK;
    }

    ngx_pulse_unknown_members(cv, thinking, known);

    cv->include_thoughts = (include != 0);

    switch (budget) {

    case -2:
        break;

    case -1:
        cv->adaptive = 1;
        break;

    case 0:
        cv->effort = NGX_PULSE_EFFORT_NONE;
        break;

    default:
        cv->budget = budget;
    }

    if (level.len == 0 || ngx_pulse_is(&level, "THINKING_LEVEL_UNSPECIFIED")) {
        return NGX_OK;
    }

    for (i = 0; ngx_pulse_gemini_levels[i]; i++) {

        if (level.len == strlen(ngx_pulse_gemini_levels[i])
            && strncasecmp((char *) level.data, ngx_pulse_gemini_levels[i],
                           level.len) == 0)
        {
            cv->effort = NGX_PULSE_EFFORT_MINIMAL + i;
            return NGX_OK;
        }
    }

    return ngx_pulse_refuse(rq->refusal, thinking, "thinkingLevel",
                            "must be MINIMAL, LOW, MEDIUM or HIGH");
}


/* text is what every model answers with; only for clients of this dialect
 * does anything else come beside it, or instead */

static void
ngx_pulse_gemini_read_modalities(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *config)
{
    ngx_uint_t               text, others;
    ngx_pulse_json_value_t  *list, *v;

    text = 0;
    others = 0;

    list = ngx_pulse_member(config, "responseModalities");

    if (list && list->type == NGX_PULSE_JSON_ARRAY) {

        for (v = list->children; v; v = v->next) {

            if (v->string.len == 4
                && strncasecmp((char *) v->string.data, "TEXT", 4) == 0)
            {
                text = 1;

            } else {
                others = 1;
            }
        }
    }

    if (others && !text && rq->cv->native.reason == NULL) {
        (void) ngx_pulse_refuse(&rq->cv->native, config, "responseModalities",
                                "must have TEXT for a model of another"
                                " provider");
    }

    ngx_pulse_unknown_members(rq->cv, config,
                              ngx_pulse_gemini_settings + others);
}


/* Google takes a value in the place of a list of one */

ngx_int_t
ngx_pulse_gemini_list(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **first)
{
    ngx_pulse_json_value_t  *member, *copy;

    *first = NULL;

    member = ngx_pulse_member(v, key);

    if (member == NULL) {
        return NGX_OK;
    }

    if (member->type == NGX_PULSE_JSON_ARRAY) {
        *first = member->children;
        return NGX_OK;
    }

    copy = ngx_palloc(rq->pool, sizeof(ngx_pulse_json_value_t));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *member;
    copy->next = NULL;

    *first = copy;

    return NGX_OK;
}


ngx_int_t
ngx_pulse_gemini_object(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **member)
{
    if (ngx_pulse_member_object(v, key, member, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_pulse_gemini_camel(*member);

    return NGX_OK;
}


ngx_int_t
ngx_pulse_gemini_required(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key, ngx_str_t *s)
{
    ngx_str_null(s);

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
    }

    if (ngx_pulse_member_string(v, key, s, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (s->len == 0) {
        return ngx_pulse_refuse(rq->refusal, v, key, "is required");
    }

    return NGX_OK;
}


/* moves what was written into the pool */

ngx_int_t
ngx_pulse_gemini_copy(ngx_pulse_gemini_request_t *rq, ngx_pulse_buf_t *b,
    ngx_str_t *s)
{
    ngx_int_t  rc;

    rc = NGX_ERROR;

    if (!b->failed) {
        s->data = ngx_pnalloc(rq->pool, b->len ? b->len : 1);

        if (s->data) {
            ngx_memcpy(s->data, b->data, b->len);
            s->len = b->len;
            rc = NGX_OK;
        }
    }

    ngx_pulse_buf_free(b);

    return rc;
}
