
#include "ngx_http_pulse_gateway.h"


#define NGX_HTTP_PULSE_GATEWAY_EVENT_MAX  (16 * 1024 * 1024)


static ngx_int_t ngx_http_pulse_gateway_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_reinit_request(ngx_http_request_t *r);
static void ngx_http_pulse_gateway_abort_request(ngx_http_request_t *r);
static ngx_chain_t *ngx_http_pulse_gateway_body_chain(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, size_t *len);


static ngx_str_t  ngx_http_pulse_gateway_endpoint =
    ngx_string("/chat/completions");


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
 * provider but what the dialect took from the body.
 */

ngx_int_t
ngx_http_pulse_gateway_build(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    size_t                      len, size;
    ngx_buf_t                  *b;
    ngx_chain_t                *cl, *body;
    ngx_http_pulse_record_t    *record;
    ngx_http_pulse_provider_t  *provider;

    record = ctx->record;
    provider = ctx->route.elts[ctx->candidate].provider;

    body = ngx_http_pulse_gateway_body_chain(r, ctx, &len);
    if (body == NULL) {
        return NGX_ERROR;
    }

    size = 512 + provider->path.len + provider->host.len
           + provider->authorization.len + record->trace_id.len
           + record->traceparent.len;

    b = ngx_create_temp_buf(r->pool, size);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_sprintf(b->last,
                          "POST %V%V HTTP/1.1" CRLF
                          "Host: %V" CRLF
                          "Content-Type: application/json" CRLF
                          "Content-Length: %uz" CRLF
                          "Accept: %s" CRLF
                          "Accept-Encoding: identity" CRLF
                          "User-Agent: pulse-gateway" CRLF
                          "X-Request-ID: %V" CRLF,
                          &provider->path, &ngx_http_pulse_gateway_endpoint,
                          &provider->host, len,
                          ctx->chat.stream ? "text/event-stream"
                                           : "application/json",
                          &record->trace_id);

    if (record->traceparent.len) {
        b->last = ngx_sprintf(b->last, "traceparent: %V" CRLF,
                              &record->traceparent);
    }

    if (provider->authorization.len) {
        b->last = ngx_sprintf(b->last, "Authorization: %V" CRLF,
                              &provider->authorization);
    }

    *b->last++ = CR;
    *b->last++ = LF;

    cl->buf = b;
    cl->next = body;

    r->upstream->request_bufs = cl;

    return NGX_OK;
}


/* On a retry nginx sets pos to start, so start is where the body begins. */

static ngx_chain_t *
ngx_http_pulse_gateway_body_chain(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, size_t *len)
{
    ngx_buf_t                   *b;
    ngx_chain_t                 *cl;
    ngx_pulse_buf_t             *text;
    ngx_pulse_openai_edit_t      edit;
    ngx_http_pulse_candidate_t  *candidate;

    candidate = &ctx->route.elts[ctx->candidate];

    text = ngx_palloc(r->pool, sizeof(ngx_pulse_buf_t));
    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (text == NULL || b == NULL || cl == NULL
        || ngx_pulse_buf_init_pool(text, 0, r->pool) != NGX_OK)
    {
        return NULL;
    }

    edit.model = candidate->name;
    edit.max_tokens = ctx->max_tokens;

    if (candidate->model && candidate->model->parameter.len) {
        edit.parameter = candidate->model->parameter;

    } else {
        ngx_str_set(&edit.parameter, "max_completion_tokens");
    }

    (void) ngx_pulse_buf_reserve(text, ctx->chat.body.len + 512);

    ngx_pulse_openai_write(&ctx->chat, &edit, text);

    if (text->failed) {
        return NULL;
    }

    b->start = text->data;
    b->pos = text->data;
    b->last = text->data + text->len;
    b->end = b->last;
    b->memory = 1;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    *len = text->len;

    return cl;
}
