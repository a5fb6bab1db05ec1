
#include "ngx_http_pulse_gateway.h"
#include "ngx_pulse_anthropic.h"
#include "ngx_pulse_gemini.h"


/*
 * What a prompt comes to, before it is asked.  It is the figure that a chat
 * would reserve, which no tokenizer in use passes on real text: whoever cuts
 * a prompt to fit is on the safe side.  No provider is reached and nothing is
 * metered.
 */


static void ngx_http_pulse_gateway_count_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_count_answer(ngx_http_request_t *r);


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

    rc = ngx_http_pulse_read_body(r, ngx_http_pulse_gateway_count_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_pulse_gateway_count_body(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r, ngx_http_pulse_gateway_count_answer(r));
}


static ngx_int_t
ngx_http_pulse_gateway_count_answer(ngx_http_request_t *r)
{
    ngx_int_t                            rc;
    ngx_str_t                            text;
    ngx_pulse_buf_t                     *b;
    ngx_http_pulse_candidate_t           elts[
                                           NGX_HTTP_PULSE_GATEWAY_CANDIDATES];
    ngx_http_pulse_gateway_ctx_t        *ctx;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    /* not the request's context, which would have a chat settled */

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_gateway_ctx_t));
    b = ngx_http_pulse_buf(r, 0);

    if (ctx == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;
    ctx->record = ngx_http_pulse_record(r);

    if (ctx->record == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_pulse_gateway_read(r, ctx, &rc) != NGX_OK) {
        return rc;
    }

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    ctx->route.elts = elts;

    ngx_http_pulse_gateway_route(gmcf, &ctx->chat, &ctx->route);

    if (!ctx->route.known) {
        return ngx_http_pulse_models_error(r, NGX_HTTP_PULSE_MODEL_NOT_FOUND,
                                           &ctx->chat.model);
    }

    ngx_http_pulse_gateway_estimate(ctx);

    if (ctx->dialect == NGX_PULSE_DIALECT_GEMINI) {
        ngx_pulse_gemini_write_count(ctx->prompt, b);

    } else {
        ngx_pulse_anthropic_write_count(ctx->prompt, b);
    }

    if (b->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.data = b->data;
    text.len = b->len;

    return ngx_http_pulse_reply_raw(r, NGX_HTTP_OK,
                                    &ngx_http_pulse_gateway_count_json, &text);
}
