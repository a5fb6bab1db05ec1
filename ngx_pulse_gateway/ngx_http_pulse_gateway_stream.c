
#include "ngx_http_pulse_gateway.h"


#define NGX_HTTP_PULSE_GATEWAY_OUT_SIZE  4096


static ngx_int_t ngx_http_pulse_gateway_send(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_sse_event_t *ev,
    ngx_uint_t action);
static ngx_buf_t *ngx_http_pulse_gateway_out(
    ngx_http_pulse_gateway_ctx_t *ctx);


/* A stream is started: the only headers that the client will see. */

ngx_int_t
ngx_http_pulse_gateway_stream_headers(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    static ngx_str_t  no_cache = ngx_string("no-cache");

    if (ctx->mode != NGX_HTTP_PULSE_GATEWAY_SPLICE
        && ngx_http_pulse_gateway_translate_init(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.content_type = ctx->content_type;
    r->headers_out.content_type_len = ctx->array
                                      ? sizeof("application/json") - 1
                                      : sizeof("text/event-stream") - 1;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_pulse_set_header(r, "Cache-Control", &no_cache) != NGX_OK
        || ngx_http_pulse_gateway_headers(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_feed(ngx_http_pulse_gateway_ctx_t *ctx, u_char *p,
    size_t len)
{
    ngx_int_t  rc;

    if (ctx->ended) {
        return NGX_OK;
    }

    rc = ngx_pulse_sse_feed(&ctx->splitter, p, len);

    if (rc == NGX_ERROR && !ctx->broken) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent an event that is"
                      " too long", &ctx->record->provider);
        ctx->broken = 1;
    }

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


/* One event of the provider, whole. */

ngx_int_t
ngx_http_pulse_gateway_event(void *data, ngx_pulse_sse_event_t *ev)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    uint64_t             deltas;
    ngx_uint_t           action;
    ngx_http_request_t  *r;

    if (ctx->ended) {
        return NGX_OK;
    }

    if (ctx->mode != NGX_HTTP_PULSE_GATEWAY_SPLICE) {
        return ngx_http_pulse_gateway_translate_event(ctx, ev);
    }

    r = ctx->request;
    deltas = ctx->answer.deltas;

    ctx->edited.len = 0;

    action = ngx_pulse_openai_event(&ctx->answer, ev, &ctx->edited);

    if (action == NGX_PULSE_OPENAI_BAD || ctx->edited.failed) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent an event that is"
                      " no JSON", &ctx->record->provider);
        ctx->broken = 1;
        return NGX_ERROR;
    }

    if (ctx->answer.deltas != deltas) {

        if (ngx_http_pulse_gateway_delta(ctx) != NGX_OK) {
            return ngx_http_pulse_gateway_cut(ctx);
        }
    }

    if (ctx->answer.done) {
        ngx_http_pulse_gateway_done(ctx);
    }

    return ngx_http_pulse_gateway_send(ctx, ev, action);
}


ngx_int_t
ngx_http_pulse_gateway_delta(ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->answer.deltas == 1) {
        ngx_http_pulse_gateway_first_token(ctx->request, ctx);
    }

    /* each event has one token at least, so this never cuts too early */

    if (ctx->answer.deltas > ctx->max_tokens * ctx->chat.n) {
        return NGX_DONE;
    }

    ngx_http_pulse_usage_progress(ctx->request, ctx->likely
                              + ngx_pulse_tokens_likely(&ctx->answer.output));

    return NGX_OK;
}


void
ngx_http_pulse_gateway_done(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_pulse_provider_t  *provider;

    /* the meter is written before the client knows that it is over */

    ngx_http_pulse_gateway_settle(ctx->request, ctx);

    provider = ctx->route.elts[ctx->candidate].provider;

    ctx->ended = 1;
    ctx->request->upstream->conf = &provider->ending;
}


static ngx_int_t
ngx_http_pulse_gateway_send(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_sse_event_t *ev, ngx_uint_t action)
{
    switch (action) {

    case NGX_PULSE_OPENAI_PASS:
        return ngx_http_pulse_gateway_output(ctx, ev->raw.data, ev->raw.len);

    case NGX_PULSE_OPENAI_EDITED:
        return ngx_http_pulse_gateway_output(ctx, ctx->edited.data,
                                             ctx->edited.len);

    default: /* NGX_PULSE_OPENAI_DROP */
        return NGX_OK;
    }
}


ngx_int_t
ngx_http_pulse_gateway_cut(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                  "pulse gateway: provider \"%V\" went past max tokens",
                  &ctx->record->provider);

    ctx->cut = 1;
    ctx->ended = 1;

    ngx_http_pulse_gateway_settle(ctx->request, ctx);

    return ngx_http_pulse_gateway_finish(ctx, NGX_PULSE_FINISH_LENGTH);
}


/* What the provider would have ended with. */

ngx_int_t
ngx_http_pulse_gateway_finish(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_uint_t finish)
{
    const char              *reason;
    ngx_pulse_chat_usage_t   usage;

    if (ctx->mode != NGX_HTTP_PULSE_GATEWAY_SPLICE) {
        return ngx_http_pulse_gateway_translate_finish(ctx, finish);
    }

    reason = (finish == NGX_PULSE_FINISH_LENGTH) ? "length" : "stop";

    ngx_memzero(&usage, sizeof(ngx_pulse_chat_usage_t));

    usage.input = ctx->record->input;
    usage.output = ctx->record->output;

    ctx->edited.len = 0;

    ngx_pulse_openai_finish(&ctx->answer, reason, &usage, &ctx->edited);

    if (ctx->edited.failed) {
        return NGX_ABORT;
    }

    return ngx_http_pulse_gateway_output(ctx, ctx->edited.data,
                                         ctx->edited.len);
}


/* Appends to u->out_bufs, in buffers of one size that are used again. */

ngx_int_t
ngx_http_pulse_gateway_output(ngx_http_pulse_gateway_ctx_t *ctx,
    const u_char *p, size_t len)
{
    size_t      n;
    ngx_buf_t  *b;

    while (len) {
        b = ctx->out;

        if (b == NULL || b->last == b->end) {
            b = ngx_http_pulse_gateway_out(ctx);
            if (b == NULL) {
                return NGX_ABORT;
            }
        }

        n = ngx_min(len, (size_t) (b->end - b->last));

        b->last = ngx_cpymem(b->last, p, n);
        p += n;
        len -= n;
    }

    return NGX_OK;
}


static ngx_buf_t *
ngx_http_pulse_gateway_out(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_buf_t            *b;
    ngx_chain_t          *cl;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    cl = ngx_chain_get_free_buf(ctx->request->pool, &u->free_bufs);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(ctx->request->pool,
                              NGX_HTTP_PULSE_GATEWAY_OUT_SIZE);
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + NGX_HTTP_PULSE_GATEWAY_OUT_SIZE;
    }

    b->pos = b->start;
    b->last = b->start;
    b->temporary = 1;
    b->flush = 0;
    b->tag = u->output.tag;

    *ctx->last_out = cl;
    ctx->last_out = &cl->next;
    ctx->out = b;

    return b;
}
