
#include "ngx_pulse_openai.h"

#include <string.h>


/*
 * What answers of other vendors' models bear in this dialect is no part of
 * it: clients send it back, and most who speak it refuse such members.
 */


static ngx_int_t ngx_pulse_openai_foreign_message(
    ngx_pulse_conversation_t *cv, const ngx_str_t *body,
    const ngx_pulse_json_value_t *v, ngx_uint_t keep);
static ngx_int_t ngx_pulse_openai_foreign_thinking(
    ngx_pulse_conversation_t *cv, const ngx_str_t *body,
    const ngx_pulse_json_value_t *v);
static ngx_uint_t ngx_pulse_openai_foreign_ours(
    const ngx_pulse_json_value_t *details);


ngx_int_t
ngx_pulse_openai_foreign(const ngx_str_t *body, ngx_pool_t *pool,
    ngx_uint_t keep, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_error_t     err;
    ngx_pulse_json_value_t    *root, *v;
    ngx_pulse_json_limits_t    limits;
    ngx_pulse_conversation_t   cv;

    limits.size = body->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = body->len;
    limits.keys = body->len;

    root = ngx_pulse_json_tree(pool, body->data, body->len, &limits, &err);
    v = ngx_pulse_json_get(root, "messages");

    if (v == NULL || v->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_DECLINED;
    }

    ngx_memzero(&cv, sizeof(ngx_pulse_conversation_t));
    cv.pool = pool;

    for (v = v->children; v; v = v->next) {

        if (ngx_pulse_openai_foreign_message(&cv, body, v, keep) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (cv.edits == NULL) {
        return NGX_DECLINED;
    }

    ngx_pulse_edit_body(&cv, body, 0, b);

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_foreign_message(ngx_pulse_conversation_t *cv,
    const ngx_str_t *body, const ngx_pulse_json_value_t *v, ngx_uint_t keep)
{
    ngx_pulse_json_value_t  *details, *calls, *text, *extra;

    details = ngx_pulse_json_get(v, "reasoning_details");
    text = ngx_pulse_json_get(v, "reasoning_content");

    if (keep & NGX_PULSE_OPENAI_NO_THINKING) {

        if (ngx_pulse_openai_foreign_thinking(cv, body, v) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_pulse_openai_foreign_ours(details)) {

        if (ngx_pulse_edit_member(cv, body, details) != NGX_OK) {
            return NGX_ERROR;
        }

        if (text && !(keep & NGX_PULSE_OPENAI_KEEP_THINKING)
            && ngx_pulse_edit_member(cv, body, text) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (keep & NGX_PULSE_OPENAI_KEEP_EXTRA) {
        return NGX_OK;
    }

    extra = ngx_pulse_json_get(v, "extra_content");

    if (extra
        && ngx_pulse_edit_member(cv, body, extra) != NGX_OK)
    {
        return NGX_ERROR;
    }

    calls = ngx_pulse_json_get(v, "tool_calls");

    if (calls == NULL || calls->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_OK;
    }

    for (calls = calls->children; calls; calls = calls->next) {
        extra = ngx_pulse_json_get(calls, "extra_content");

        if (extra
            && ngx_pulse_edit_member(cv, body, extra) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* in whatever shape */

static ngx_int_t
ngx_pulse_openai_foreign_thinking(ngx_pulse_conversation_t *cv,
    const ngx_str_t *body, const ngx_pulse_json_value_t *v)
{
    for (v = v->children; v; v = v->next) {

        if ((ngx_pulse_is(&v->key, "reasoning")
             || ngx_pulse_is(&v->key, "reasoning_content")
             || ngx_pulse_is(&v->key, "reasoning_details"))
            && ngx_pulse_edit_member(cv, body, v) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* types of other vendors' own begin with "reasoning." */

static ngx_uint_t
ngx_pulse_openai_foreign_ours(const ngx_pulse_json_value_t *details)
{
    ngx_pulse_json_value_t  *type;

    if (details == NULL || details->type != NGX_PULSE_JSON_ARRAY
        || details->children == NULL)
    {
        return 0;
    }

    type = ngx_pulse_json_get(details->children, "type");

    return type && type->type == NGX_PULSE_JSON_STRING
           && (ngx_pulse_is(&type->string, "thinking")
               || ngx_pulse_is(&type->string, "redacted_thinking"));
}
