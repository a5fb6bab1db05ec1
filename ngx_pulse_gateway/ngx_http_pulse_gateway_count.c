
#include "ngx_http_pulse_gateway.h"
#include "ngx_pulse_splice.h"


/*
 * What a prompt comes to, before it is asked.  It is our own estimate, the
 * one that is charged where a provider says nothing: no provider is reached
 * and nothing is metered.
 */


static void ngx_http_pulse_gateway_count_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_count_answer(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_pulse_gateway_count_prepare(ngx_http_request_t *r,
    ngx_uint_t dialect, ngx_str_t *body);


static ngx_str_t  ngx_http_pulse_gateway_count_json =
    ngx_string("application/json; charset=utf-8");


ngx_int_t
ngx_http_pulse_gateway_count_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_pulse_gateway_check(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_pulse_gateway_count_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_pulse_gateway_count_body(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    rc = ngx_http_pulse_body(r, &body);

    if (rc == NGX_OK) {
        rc = ngx_http_pulse_gateway_count_answer(r, &body);
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_pulse_gateway_count_answer(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char                      *p;
    uint64_t                     n;
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_uint_t                   dialect;
    ngx_http_pulse_record_t     *record;
    ngx_pulse_conversation_t    *cv;
    ngx_pulse_chat_refusal_t     refusal;

    record = ngx_http_pulse_record(r);
    cv = ngx_pcalloc(r->pool, sizeof(ngx_pulse_conversation_t));
    p = ngx_pnalloc(r->pool, 64);

    if (record == NULL || cv == NULL || p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    dialect = ngx_http_pulse_gateway_dialect_of(record->dialect);
    cv->pool = r->pool;

    if (ngx_http_pulse_gateway_count_prepare(r, dialect, body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_pulse_gateway_dialect(dialect)->read(cv, r->pool, body,
                                                       &refusal);

    if (rc == NGX_DECLINED) {
        return ngx_http_pulse_invalid(r, refusal.pointer, refusal.reason);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = ngx_pulse_tokens_likely(&cv->prompt);

    text.data = p;
    text.len = ngx_sprintf(p, dialect == NGX_PULSE_DIALECT_GEMINI
                              ? "{\"totalTokens\":%uL}"
                              : "{\"input_tokens\":%uL}", n)
               - p;

    return ngx_http_pulse_reply_raw(r, NGX_HTTP_OK,
                                    &ngx_http_pulse_gateway_count_json, &text);
}


/* What is to be counted says no limit, which a chat must have. */

static ngx_int_t
ngx_http_pulse_gateway_count_prepare(ngx_http_request_t *r,
    ngx_uint_t dialect, ngx_str_t *body)
{
    ngx_pulse_buf_t           *b;
    ngx_pulse_splice_t         splice;
    ngx_pulse_json_limits_t    limits;

    if (dialect != NGX_PULSE_DIALECT_ANTHROPIC) {
        return NGX_OK;
    }

    b = ngx_palloc(r->pool, sizeof(ngx_pulse_buf_t));

    if (b == NULL || ngx_pulse_buf_init_pool(b, 0, r->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&splice, sizeof(ngx_pulse_splice_t));

    limits.size = body->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    splice.key[0] = "max_tokens";
    ngx_str_set(&splice.value, "1");

    /* what is no object is left to the reader, which says why */

    if (ngx_pulse_splice(body, &splice, 1, &limits, b) == NGX_OK) {
        body->data = b->data;
        body->len = b->len;
    }

    return NGX_OK;
}
