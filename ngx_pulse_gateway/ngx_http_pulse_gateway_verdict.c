
#include "ngx_http_pulse_gateway.h"
#include "ngx_pulse_redact.h"


/*
 * What an answer that is no stream means for the client, for other candidates
 * and for the provider's health.
 */


static void ngx_http_pulse_gateway_success(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_readable(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_refused(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_owed(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_uint_t all);


/*
 * What an answer that was collected means: ctx->code, and the status that
 * tells nginx whether another candidate is to be asked.
 */

void
ngx_http_pulse_gateway_verdict(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_uint_t            status;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    status = ctx->status.code;

    u->headers_in.status_n = NGX_HTTP_OK;

    if (ctx->broken) {
        ctx->code = NGX_HTTP_PULSE_PROVIDER_ERROR;
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_BREAKS);
        return;
    }

    if (status == NGX_HTTP_OK) {
        ngx_http_pulse_gateway_success(r, ctx);
        ngx_http_pulse_gateway_report(ctx,
                                      ctx->code == NGX_HTTP_PULSE_OK
                                      ? NGX_HTTP_PULSE_GATEWAY_WORKS
                                      : NGX_HTTP_PULSE_GATEWAY_BREAKS);
        return;
    }

    ngx_http_pulse_gateway_redact(ctx, ctx->body.data, ctx->body.len);

    if (ngx_http_pulse_gateway_dialect(ctx->spoken)->read_error(&ctx->error,
                                     r->pool, ctx->body.data, ctx->body.len)
        == NGX_ERROR)
    {
        ctx->code = NGX_HTTP_PULSE_INTERNAL_ERROR;
        return;
    }

    if (ctx->retry_after == 0 && ctx->error.retry > 0) {
        ctx->retry_after = ngx_min(ctx->error.retry,
                                   NGX_HTTP_PULSE_GATEWAY_RETRY_MAX);
    }

    if (status < NGX_HTTP_BAD_REQUEST) {
        ctx->code = NGX_HTTP_PULSE_PROVIDER_ERROR;
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_BREAKS);

    } else if (!ctx->error.quota
               && (status >= NGX_HTTP_INTERNAL_SERVER_ERROR
                   || status == NGX_HTTP_REQUEST_TIME_OUT
                   || status == NGX_HTTP_TOO_MANY_REQUESTS))
    {
        /* 529 and others are not in nginx's list of what may be retried */

        ctx->code = NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE;
        u->headers_in.status_n = NGX_HTTP_SERVICE_UNAVAILABLE;

        /* who has too much to do does work */

        ngx_http_pulse_gateway_report(ctx,
                                      status == NGX_HTTP_TOO_MANY_REQUESTS
                                      ? NGX_HTTP_PULSE_GATEWAY_WORKS
                                      : NGX_HTTP_PULSE_GATEWAY_BREAKS);
        ngx_http_pulse_gateway_hold(ctx);

    } else {
        ngx_http_pulse_gateway_refused(r, ctx);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "pulse gateway: provider \"%V\" answered %ui",
                  &ctx->record->provider, status);
}


static void
ngx_http_pulse_gateway_success(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->sse || ctx->chat.stream
        || ngx_http_pulse_gateway_readable(r, ctx) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent no answer that"
                      " can be used", &ctx->record->provider);
        ctx->code = NGX_HTTP_PULSE_PROVIDER_ERROR;
        return;
    }

    ctx->code = NGX_HTTP_PULSE_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_readable(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->embedding) {
        return ngx_http_pulse_gateway_embedding_answer(ctx);
    }

    if (ctx->mode != NGX_HTTP_PULSE_GATEWAY_SPLICE) {
        return ngx_http_pulse_gateway_translate_read(r, ctx);
    }

    if (ngx_pulse_openai_answer(&ctx->answer, ctx->body.data, ctx->body.len)
        != NGX_OK
        || !ctx->answer.choices_at.set
        || ctx->answer.failed)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * 4xx: what the caller wrote goes back to the caller, what we owe (key,
 * money, country) is ours.
 */

static void
ngx_http_pulse_gateway_refused(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_uint_t  status;

    static ngx_str_t  key = ngx_string("API_KEY_INVALID");

    status = ctx->status.code;

    if (ctx->error.quota
        || (ctx->error.code.len == key.len
            && ngx_memcmp(ctx->error.code.data, key.data, key.len) == 0))
    {
        /* a 400 of some, a 429 or 503 of others */

        status = NGX_HTTP_UNAUTHORIZED;
    }

    if (status == NGX_HTTP_UNAUTHORIZED || status == 402
        || status == NGX_HTTP_FORBIDDEN)
    {
        ngx_http_pulse_gateway_owed(r, ctx, status != NGX_HTTP_FORBIDDEN);
        return;
    }

    ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_WORKS);

    switch (status) {

    case NGX_HTTP_NOT_FOUND:
        ctx->code = NGX_HTTP_PULSE_MODEL_NOT_FOUND;
        break;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        ctx->code = NGX_HTTP_PULSE_REQUEST_TOO_LARGE;
        break;

    default:
        ctx->code = NGX_HTTP_PULSE_INVALID_REQUEST;
    }

    ctx->pass = (ctx->error.message.len != 0);
}


/* Before it is read, so that nothing of it is forgotten. */

void
ngx_http_pulse_gateway_redact(ngx_http_pulse_gateway_ctx_t *ctx, u_char *p,
    size_t len)
{
    ngx_pulse_redact(p, len, &ctx->route.elts[ctx->candidate].provider->key);
}


void
ngx_http_pulse_gateway_event_error(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->error.quota) {
        ngx_http_pulse_gateway_owed(r, ctx, 1);

    } else {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" answered an error event",
                      &ctx->record->provider);

        ctx->code = NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE;
        r->upstream->headers_in.status_n = NGX_HTTP_SERVICE_UNAVAILABLE;

        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_BREAKS);
    }

    if (ctx->early) {
        r->header_sent = 0;
    }
}


/*
 * The provider is never asked again for this request, nor for others for a
 * while if "all" are refused.  Its words are not logged: they quote keys.
 */

static void
ngx_http_pulse_gateway_owed(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_uint_t all)
{
    ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                  "pulse gateway: provider \"%V\" refuses us: %ui",
                  &ctx->record->provider, ctx->status.code);

    ctx->code = NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE;

    ngx_http_pulse_gateway_hop_end(ctx, "owed");

    if (all) {
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_OWED);
        ngx_http_pulse_gateway_forget(r, ctx);

    } else {
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_WORKS);
    }

    /* other candidates may be asked, as nginx does after this status */

    r->upstream->headers_in.status_n = NGX_HTTP_SERVICE_UNAVAILABLE;
}
