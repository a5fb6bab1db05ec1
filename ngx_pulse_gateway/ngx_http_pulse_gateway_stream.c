
#include "ngx_http_pulse_gateway.h"


#define NGX_HTTP_PULSE_GATEWAY_OUT_FIRST    512
#define NGX_HTTP_PULSE_GATEWAY_OUT_SIZE     4096
#define NGX_HTTP_PULSE_GATEWAY_AWAITED_MAX  65536


static ngx_int_t ngx_http_pulse_gateway_first(ngx_http_request_t *r);
static ngx_uint_t ngx_http_pulse_gateway_failed_early(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_pulse_gateway_commit(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_forget_body(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_introduce(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_uint_t ngx_http_pulse_gateway_event_failed(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_sse_event_t *ev,
    ngx_uint_t action);
static ngx_int_t ngx_http_pulse_gateway_send(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_sse_event_t *ev,
    ngx_uint_t action);
static ngx_int_t ngx_http_pulse_gateway_extend(
    ngx_http_pulse_gateway_ctx_t *ctx);
static uint64_t ngx_http_pulse_gateway_counted(
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_in_place(
    ngx_http_pulse_gateway_ctx_t *ctx, u_char *p, size_t len);
static ngx_buf_t *ngx_http_pulse_gateway_out(
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_buf_t *ngx_http_pulse_gateway_out_link(
    ngx_http_pulse_gateway_ctx_t *ctx);


ngx_int_t
ngx_http_pulse_gateway_stream(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->mode != NGX_HTTP_PULSE_GATEWAY_SPLICE
        && ngx_http_pulse_gateway_translate_init(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->hold = 0;
    ctx->begun = 1;

    r->upstream->process_header = ngx_http_pulse_gateway_first;

    return ngx_http_pulse_gateway_first(r);
}


void
ngx_http_pulse_gateway_stream_reset(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_chain_t          *cl;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ngx_memzero(&ctx->answer, sizeof(ngx_pulse_openai_answer_t));
    ctx->answer.hide = !ctx->chat.include_usage;

    ngx_pulse_sse_free(&ctx->splitter);
    ngx_pulse_sse_init(&ctx->splitter, NGX_HTTP_PULSE_GATEWAY_EVENT_MAX,
                       ngx_http_pulse_gateway_event, ctx);

    ngx_pulse_sse_free(&ctx->framer);

    ctx->reader = NULL;
    ctx->writer = NULL;
    ctx->begun = 0;
    ctx->awaited = 0;
    ctx->elements = 0;

    /* what was written is for nobody; the buffers are used again */

    for (cl = u->out_bufs; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
    }

    ngx_chain_update_chains(r->pool, &u->free_bufs, &u->busy_bufs,
                            &u->out_bufs, u->output.tag);
}


/* Part of the "header", as far as nginx knows. */

static ngx_int_t
ngx_http_pulse_gateway_first(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_buf_t                     *b;
    ngx_http_upstream_t           *u;
    ngx_http_pulse_provider_t     *provider;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    u = r->upstream;
    b = &u->buffer;
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    ctx->awaited += b->last - b->pos;

    ngx_http_pulse_gateway_append(ctx);

    rc = ngx_http_pulse_gateway_body(r, ctx, b);

    if (rc == NGX_ABORT) {
        return NGX_ERROR;
    }

    if (ctx->out) {
        ctx->out->flush = 1;
    }

    /* the bytes were copied */

    b->pos = b->start;
    b->last = b->start;

    if (ctx->answer.deltas == 0
        && ngx_http_pulse_gateway_failed_early(r, ctx, rc))
    {
        return (ctx->code == NGX_HTTP_PULSE_OK)
               ? NGX_HTTP_UPSTREAM_INVALID_HEADER : NGX_OK;
    }

    if (rc == NGX_AGAIN && ctx->answer.deltas == 0 && !ctx->answer.finished
        && !ctx->answer.failed && !ctx->ended
        && ctx->awaited < NGX_HTTP_PULSE_GATEWAY_AWAITED_MAX)
    {
        provider = ctx->route.elts[ctx->candidate].provider;

        ngx_add_timer(u->peer.connection->read,
                      provider->reading.read_timeout);

        return NGX_AGAIN;
    }

    ctx->first = rc;

    return ngx_http_pulse_gateway_commit(r, ctx);
}


/* 1 if nothing came and nothing will: ctx->code is what is said of it, or
 * it is as an answer that is not HTTP. */

static ngx_uint_t
ngx_http_pulse_gateway_failed_early(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc)
{
    if (ctx->answer.failed
        && (ctx->error.quota || ctx->candidate + 1 < ctx->route.n))
    {
        ctx->hold = 1;
        ctx->complete = 1;
        ngx_http_pulse_gateway_stream_reset(r, ctx);
        ngx_http_pulse_gateway_event_error(r, ctx);
        return 1;
    }

    if (rc == NGX_ERROR || ctx->broken
        || (rc == NGX_DONE && !ctx->answer.failed && !ctx->answer.finished
            && !ctx->ended))
    {
        ctx->hold = 1;
        ctx->broken = 1;
        ngx_http_pulse_gateway_stream_reset(r, ctx);
        return 1;
    }

    return 0;
}


static ngx_int_t
ngx_http_pulse_gateway_commit(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ctx->committed = 1;

    if (ctx->alive.timer_set) {
        ngx_del_timer(&ctx->alive);
    }

    ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_WORKS);
    ngx_http_pulse_gateway_forget_body(r, ctx);

    /* nginx writes only after it has read: a byte is left for it */

    u->buffer.last = u->buffer.start + 1;

    if (ctx->early) {
        r->header_sent = 0;
        return ngx_http_pulse_gateway_introduce(r, ctx);
    }

    if (ngx_http_pulse_gateway_stream_type(r, ctx) != NGX_OK
        || ngx_http_pulse_gateway_headers(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * An answer may take minutes, and nobody else is asked any more: what was sent
 * is not needed, nor what came, unless it is of another dialect, whose writer
 * has its names.  A provider that answers before all was sent has more to
 * read.
 */

static void
ngx_http_pulse_gateway_forget_body(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (!r->upstream->request_body_sent) {
        return;
    }

    r->upstream->request_bufs = NULL;

    ngx_pulse_buf_free(ctx->question);

    if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_SPLICE) {
        ngx_http_pulse_body_free(r, &ctx->text);
        ctx->chat.body = ctx->text;
    }
}


/* Comments in the place of headers that went out before. */

static ngx_int_t
ngx_http_pulse_gateway_introduce(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    u_char       *p;
    ngx_str_t     warning;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->array || ctx->elements) {

        /* JSON has no comments: the log says who it was */

        return NGX_OK;
    }

    if (ngx_http_pulse_gateway_warning_text(r, ctx, &warning) != NGX_OK) {
        return NGX_ERROR;
    }

    b = ngx_create_temp_buf(r->pool, 128 + ctx->record->provider.len
                                     + warning.len);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(b->last, ": X-Pulse-Provider: %V\n"
                             ": X-Pulse-Attempts: %ui\n",
                    &ctx->record->provider, ctx->record->attempts);

    if (warning.len) {
        p = ngx_sprintf(p, ": X-Pulse-Warning: %V\n", &warning);
    }

    *p++ = LF;
    b->last = p;

    cl->buf = b;
    cl->next = r->upstream->out_bufs;
    r->upstream->out_bufs = cl;

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_stream_type(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    u_char     *p;
    ngx_str_t  *type;

    static ngx_str_t  no_cache = ngx_string("no-cache");

    type = &ctx->content_type;
    p = ngx_strlchr(type->data, type->data + type->len, ';');

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = p ? (size_t) (p - type->data)
                                        : type->len;
    r->headers_out.content_type_lowcase = NULL;

    return ngx_http_pulse_set_header(r, "Cache-Control", &no_cache);
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

    if (ctx->answer.failed && action != NGX_PULSE_OPENAI_DROP) {
        action = ngx_http_pulse_gateway_event_failed(ctx, ev, action);

        if (ctx->edited.failed) {
            return NGX_ABORT;
        }
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


/*
 * Before the first token an error may be said in another way, or not at all;
 * after it, it is told, but for what only the studio owes.
 */

static ngx_uint_t
ngx_http_pulse_gateway_event_failed(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_sse_event_t *ev, ngx_uint_t action)
{
    ngx_str_t               name, data;
    ngx_pulse_buf_t         text;
    ngx_http_request_t     *r;
    ngx_pulse_chat_error_t  error;

    r = ctx->request;

    if (ngx_pulse_openai_error(&error, r->pool, ev->data.data, ev->data.len)
        != NGX_OK)
    {
        return action;
    }

    ctx->error = error;

    ngx_http_pulse_gateway_redact(ctx, ev->raw.data, ev->raw.len);
    ngx_http_pulse_gateway_redact(ctx, ctx->edited.data, ctx->edited.len);

    if (!error.quota || (ctx->answer.deltas == 0 && !ctx->committed)) {
        return action;
    }

    ctx->edited.len = 0;

    ngx_str_null(&name);
    ngx_pulse_buf_init(&text, 0);
    ngx_http_pulse_error_text(r, NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE, NULL,
                              &text);

    data.data = text.data;
    data.len = text.len;

    ngx_pulse_sse_write(&ctx->edited, &name, &data);

    if (text.failed) {
        ctx->edited.failed = 1;
    }

    ngx_pulse_buf_free(&text);

    return NGX_PULSE_OPENAI_EDITED;
}


ngx_int_t
ngx_http_pulse_gateway_delta(ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->answer.deltas == 1) {
        ngx_http_pulse_gateway_first_token(ctx->request, ctx);
        ngx_http_pulse_gateway_began(ctx);
    }

    if (ngx_http_pulse_gateway_counted(ctx)
        > ngx_http_pulse_gateway_most(ctx)
        && ngx_http_pulse_gateway_extend(ctx) != NGX_OK)
    {
        return NGX_DONE;
    }

    ngx_http_pulse_usage_progress(ctx->reservation, ctx->likely
                              + ngx_pulse_tokens_likely(&ctx->answer.output));

    return NGX_OK;
}


/*
 * A prompt that was dearer than its bound has taken from what the answer was
 * granted.  That is our mistake, and ends nothing while the user has tokens
 * left; NGX_DECLINED if it is the answer that is too long.
 */

static ngx_int_t
ngx_http_pulse_gateway_extend(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t  lacking;

    if (ctx->extended || ctx->answer.usage.input <= ctx->prompt
        || ngx_http_pulse_gateway_counted(ctx) > ctx->most)
    {
        return NGX_DECLINED;
    }

    lacking = ctx->answer.usage.input - ctx->prompt;

    if (ngx_http_pulse_usage_extend(ctx->request, lacking) != NGX_OK) {
        return NGX_DECLINED;
    }

    ctx->extended = 1;
    ctx->granted += lacking;

    return NGX_OK;
}


/*
 * What the answer has come to at least: so it is never cut too early.  Each
 * event has one token, a text has a floor, and some providers tell.
 */

static uint64_t
ngx_http_pulse_gateway_counted(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t  n;

    n = ngx_pulse_tokens_floor(&ctx->answer.output);
    n = ngx_max(n, ctx->answer.deltas);

    return ngx_max(n, ctx->answer.usage.output);
}


uint64_t
ngx_http_pulse_gateway_most(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t  left, prompt;

    prompt = ctx->answer.usage.input;

    if (prompt <= ctx->prompt) {
        return ctx->most;
    }

    left = (ctx->granted > prompt) ? ctx->granted - prompt : 0;

    return ngx_min(ctx->most, left);
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


void
ngx_http_pulse_gateway_append(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    for (ctx->last_out = &u->out_bufs; *ctx->last_out; /* void */ ) {
        ctx->last_out = &(*ctx->last_out)->next;
    }

    ctx->out = NULL;
}


/*
 * Appends to u->out_bufs.  What nginx has just read stays where it is until it
 * is sent, so the first of it needs no copy: most often there is no more.  The
 * rest goes into buffers that are used again, for one large piece is sent
 * sooner than many small ones.
 */

ngx_int_t
ngx_http_pulse_gateway_output(ngx_http_pulse_gateway_ctx_t *ctx,
    const u_char *p, size_t len)
{
    size_t      n;
    ngx_int_t   rc;
    ngx_buf_t  *b;

    rc = ngx_http_pulse_gateway_in_place(ctx, (u_char *) p, len);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    while (len) {
        b = ctx->out;

        if (b == NULL || b->memory || b->last == b->end) {
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


static ngx_int_t
ngx_http_pulse_gateway_in_place(ngx_http_pulse_gateway_ctx_t *ctx, u_char *p,
    size_t len)
{
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    /* before the first token the buffer is that of the header */

    if (!ctx->committed || len == 0
        || p < u->buffer.start || p >= u->buffer.last)
    {
        return NGX_DECLINED;
    }

    b = ctx->out;

    if (b == NULL) {
        b = ngx_http_pulse_gateway_out_link(ctx);
        if (b == NULL) {
            return NGX_ABORT;
        }

        b->pos = p;
        b->last = p;
        b->temporary = 0;
        b->memory = 1;
    }

    if (!b->memory || b->last != p) {
        return NGX_DECLINED;
    }

    b->last += len;

    return NGX_OK;
}


static ngx_buf_t *
ngx_http_pulse_gateway_out(ngx_http_pulse_gateway_ctx_t *ctx)
{
    size_t      size;
    ngx_buf_t  *b;

    b = ngx_http_pulse_gateway_out_link(ctx);
    if (b == NULL) {
        return NULL;
    }

    if (b->start == NULL) {
        size = ctx->committed ? NGX_HTTP_PULSE_GATEWAY_OUT_SIZE
                              : NGX_HTTP_PULSE_GATEWAY_OUT_FIRST;

        b->start = ngx_palloc(ctx->request->pool, size);
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + size;
    }

    b->pos = b->start;
    b->last = b->start;
    b->temporary = 1;
    b->memory = 0;

    return b;
}


static ngx_buf_t *
ngx_http_pulse_gateway_out_link(ngx_http_pulse_gateway_ctx_t *ctx)
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

    b->flush = 0;
    b->tag = u->output.tag;

    *ctx->last_out = cl;
    ctx->last_out = &cl->next;
    ctx->out = b;

    return b;
}
