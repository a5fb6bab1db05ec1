
#include "ngx_http_pulse_gateway.h"


static ngx_int_t ngx_http_pulse_gateway_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_reinit_request(ngx_http_request_t *r);
static void ngx_http_pulse_gateway_abort_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_body_chain(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_chain_t **body);
static ngx_chain_t *ngx_http_pulse_gateway_body_link(ngx_http_request_t *r,
    ngx_chain_t **ll, u_char *p, u_char *last);
static ngx_str_t *ngx_http_pulse_gateway_beta(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);


void
ngx_http_pulse_gateway_start(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    if (ngx_http_upstream_create(r) != NGX_OK) {
        ngx_http_pulse_usage_cancel(r);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    u = r->upstream;

    ngx_str_set(&u->schema, "http://");
    u->output.tag = (ngx_buf_tag_t) &ngx_http_pulse_gateway_module;
    u->conf = &ctx->route.elts[0].provider->waiting;

    u->create_request = ngx_http_pulse_gateway_create_request;
    u->reinit_request = ngx_http_pulse_gateway_reinit_request;
    u->abort_request = ngx_http_pulse_gateway_abort_request;
    u->finalize_request = ngx_http_pulse_gateway_finalize;

    u->buffering = 0;
    u->input_filter_init = ngx_http_pulse_gateway_filter_init;
    u->input_filter = ngx_http_pulse_gateway_filter;
    u->input_filter_ctx = ctx;

    ctx->answer.hide = !ctx->chat.include_usage;

    ngx_pulse_sse_init(&ctx->splitter, NGX_HTTP_PULSE_GATEWAY_EVENT_MAX,
                       ngx_http_pulse_gateway_event, ctx);

    ngx_http_pulse_gateway_timers_start(r, ctx);

    ngx_http_upstream_init(r);
}


/* Called once, but a request is written for each candidate. */

static ngx_int_t
ngx_http_pulse_gateway_create_request(ngx_http_request_t *r)
{
    return NGX_OK;
}


/* Called between some attempts only; get_peer() resets before all. */

static ngx_int_t
ngx_http_pulse_gateway_reinit_request(ngx_http_request_t *r)
{
    return NGX_OK;
}


static void
ngx_http_pulse_gateway_abort_request(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "pulse gateway: abort");
}


/*
 * The headers are ours alone: nothing that the client wrote goes to the
 * provider but what the dialect took from the body, and the names of betas
 * that a body of the provider's own dialect may need.
 */

ngx_int_t
ngx_http_pulse_gateway_build(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    off_t                       length;
    size_t                      size;
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_str_t                  *beta, endpoint;
    ngx_chain_t                *cl, *body;
    ngx_http_pulse_record_t    *record;
    ngx_http_pulse_provider_t  *provider;

    record = ctx->record;
    provider = ctx->route.elts[ctx->candidate].provider;

    ngx_http_pulse_gateway_dialect_choose(r, ctx);

    rc = ngx_http_pulse_gateway_body_chain(r, ctx, &body);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_pulse_gateway_dialect_endpoint(r, ctx, &endpoint) != NGX_OK) {
        return NGX_ERROR;
    }

    length = 0;

    for (cl = body; cl; cl = cl->next) {
        length += ngx_buf_size(cl->buf);
    }

    beta = ngx_http_pulse_gateway_beta(r, ctx);

    size = 512 + provider->path.len + endpoint.len + provider->host.len
           + provider->headers.len + record->trace_id.len
           + record->traceparent.len + (beta ? beta->len : 0);

    b = ngx_create_temp_buf(r->pool, size);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_sprintf(b->last,
                          "POST %V%V HTTP/1.1" CRLF
                          "Host: %V" CRLF
                          "Content-Type: application/json" CRLF
                          "Content-Length: %O" CRLF
                          "Accept: %s" CRLF
                          "Accept-Encoding: identity" CRLF
                          "User-Agent: pulse-gateway" CRLF
                          "X-Request-ID: %V" CRLF,
                          &provider->path, &endpoint, &provider->host,
                          length,
                          ctx->chat.stream ? "text/event-stream"
                                           : "application/json",
                          &record->trace_id);

    if (record->traceparent.len) {
        b->last = ngx_sprintf(b->last, "traceparent: %V" CRLF,
                              &record->traceparent);
    }

    if (beta) {
        b->last = ngx_sprintf(b->last, "anthropic-beta: %V" CRLF, beta);
    }

    b->last = ngx_cpymem(b->last, provider->headers.data,
                         provider->headers.len);

    *b->last++ = CR;
    *b->last++ = LF;

    cl->buf = b;
    cl->next = body;

    r->upstream->request_bufs = cl;

    return NGX_OK;
}


static ngx_str_t *
ngx_http_pulse_gateway_beta(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    u_char      ch;
    size_t      i;
    ngx_str_t  *value;

    if (ctx->mode != NGX_HTTP_PULSE_GATEWAY_PASS
        || ctx->spoken != NGX_PULSE_DIALECT_ANTHROPIC)
    {
        return NULL;
    }

    value = ngx_http_pulse_header(r, "anthropic-beta",
                                  sizeof("anthropic-beta") - 1);

    for (i = 0; value && i < value->len; i++) {
        ch = value->data[i];

        if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'z')
            && (ch < 'A' || ch > 'Z') && ngx_strchr("-_., ", ch) == NULL)
        {
            return NULL;
        }
    }

    return value;
}


static ngx_int_t
ngx_http_pulse_gateway_body_chain(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_chain_t **body)
{
    u_char                     *p;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_chain_t                *cl;
    ngx_pulse_buf_t            *text;
    ngx_pulse_openai_piece_t   *piece;
    ngx_pulse_openai_pieces_t   pieces;

    text = ngx_palloc(r->pool, sizeof(ngx_pulse_buf_t));

    if (text == NULL
        || ngx_pulse_buf_init_pool(text, 0, r->pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_pulse_gateway_dialect_pieces(ctx, &pieces, text);

    if (rc == NGX_DECLINED) {
        (void) ngx_pulse_buf_reserve(text, ctx->chat.body.len + 512);

        rc = ngx_http_pulse_gateway_dialect_write(r, ctx, text);

        pieces.elts[0].start = 0;
        pieces.elts[0].end = text->len;
        pieces.elts[0].own = 1;
        pieces.n = 1;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (text->failed) {
        return NGX_ERROR;
    }

    ctx->question = text;
    cl = NULL;

    for (i = 0; i < pieces.n; i++) {
        piece = &pieces.elts[i];
        p = piece->own ? text->data : ctx->chat.body.data;

        cl = ngx_http_pulse_gateway_body_link(r, body, p + piece->start,
                                              p + piece->end);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        body = &cl->next;
    }

    /* TLS keeps what is not the last for more to come */

    cl->buf->last_buf = 1;

    return NGX_OK;
}


/* On a retry nginx sets pos to start, so start is where the piece begins. */

static ngx_chain_t *
ngx_http_pulse_gateway_body_link(ngx_http_request_t *r, ngx_chain_t **ll,
    u_char *p, u_char *last)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    b->start = p;
    b->pos = p;
    b->last = last;
    b->end = last;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    *ll = cl;

    return cl;
}
