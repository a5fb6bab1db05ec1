
#include "ngx_http_pulse_gateway.h"


/*
 * What happens while nothing does: a sign of life for a client that awaits
 * the first token, and the end of a provider's time.
 *
 * With the first sign of life the header goes out, before any provider has
 * answered.  Another candidate can still be asked after it, as no event was
 * sent; what fails after it is told by an event.
 */


static void ngx_http_pulse_gateway_alive_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_pulse_gateway_alive(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_early_header(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_total_handler(ngx_event_t *ev);


/* as the dialect's own servers do; comments are read over by all clients */

static ngx_str_t  ngx_http_pulse_gateway_ping =
    ngx_string("event: ping\ndata: {\"type\": \"ping\"}\n\n");

static ngx_str_t  ngx_http_pulse_gateway_comment =
    ngx_string(": keep-alive\n\n");

/* before a text of JSON, RFC 8259, 2 */

static ngx_str_t  ngx_http_pulse_gateway_space = ngx_string("\n");

static ngx_str_t  ngx_http_pulse_gateway_event_stream =
    ngx_string("text/event-stream; charset=utf-8");

static ngx_str_t  ngx_http_pulse_gateway_json =
    ngx_string("application/json; charset=utf-8");


void
ngx_http_pulse_gateway_timers_start(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_pulse_gateway_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_gateway_module);

    ctx->total.handler = ngx_http_pulse_gateway_total_handler;
    ctx->total.data = ctx;
    ctx->total.log = r->connection->log;

    ctx->alive.handler = ngx_http_pulse_gateway_alive_handler;
    ctx->alive.data = ctx;
    ctx->alive.log = r->connection->log;

    if (ctx->chat.stream && glcf->keepalive) {
        ngx_add_timer(&ctx->alive, glcf->keepalive);
    }
}


void
ngx_http_pulse_gateway_timers_stop(ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->alive.timer_set) {
        ngx_del_timer(&ctx->alive);
    }

    if (ctx->total.timer_set) {
        ngx_del_timer(&ctx->total);
    }
}


static void
ngx_http_pulse_gateway_alive_handler(ngx_event_t *ev)
{
    ngx_connection_t                   *c;
    ngx_http_request_t                 *r;
    ngx_http_pulse_gateway_ctx_t       *ctx;
    ngx_http_pulse_gateway_loc_conf_t  *glcf;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ngx_http_pulse_gateway_alive(r, ctx) == NGX_OK) {
        glcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_gateway_module);

        ngx_add_timer(ev, glcf->keepalive);
        return;
    }

    /* the client is gone */

    ngx_http_pulse_gateway_leave(r);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_pulse_gateway_alive(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t    *text;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (!ctx->early
        && ngx_http_pulse_gateway_early_header(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->connection->buffered) {

        /* the last one is not even sent, and nobody else tries */

        return (ngx_http_output_filter(r, NULL) == NGX_ERROR) ? NGX_ERROR
                                                              : NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    text = ctx->array ? &ngx_http_pulse_gateway_space
           : (ctx->dialect == NGX_PULSE_DIALECT_ANTHROPIC)
           ? &ngx_http_pulse_gateway_ping
           : &ngx_http_pulse_gateway_comment;

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    return (ngx_http_output_filter(r, &out) == NGX_ERROR) ? NGX_ERROR
                                                          : NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_early_header(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->headers_out.status = NGX_HTTP_OK;
    ngx_http_clear_content_length(r);

    ctx->content_type = ctx->array ? ngx_http_pulse_gateway_json
                                   : ngx_http_pulse_gateway_event_stream;

    if (ngx_http_pulse_gateway_stream_type(r, ctx) != NGX_OK
        || ngx_http_pulse_gateway_headers_common(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the one that nginx sends later is held back until then */

    ctx->passing = 1;

    rc = ngx_http_send_header(r);

    ctx->passing = 0;

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    ctx->early = 1;

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(r->connection) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Until the first token the patience is less, if it is so configured. */

void
ngx_http_pulse_gateway_total(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_msec_t                  total;
    ngx_http_pulse_provider_t  *provider;

    provider = ctx->route.elts[ctx->candidate].provider;
    total = provider->total_timeout;

    if (ctx->chat.stream && provider->token_timeout
        && (total == 0 || provider->token_timeout < total))
    {
        total = provider->token_timeout;
    }

    ctx->asked = ngx_current_msec;

    if (total) {
        ngx_add_timer(&ctx->total, total);

    } else if (ctx->total.timer_set) {
        ngx_del_timer(&ctx->total);
    }
}


void
ngx_http_pulse_gateway_began(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_msec_t                  spent;
    ngx_http_pulse_provider_t  *provider;

    provider = ctx->route.elts[ctx->candidate].provider;

    if (provider->token_timeout == 0 || !ctx->total.timer_set) {
        return;
    }

    ngx_del_timer(&ctx->total);

    if (provider->total_timeout) {
        spent = ngx_min(ngx_current_msec - ctx->asked,
                        provider->total_timeout);

        ngx_add_timer(&ctx->total, provider->total_timeout - spent);
    }
}


/* Goes the way of a read that timed out, whatever nginx waits for now. */

static void
ngx_http_pulse_gateway_total_handler(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    ctx = ev->data;
    c = ctx->request->upstream->peer.connection;

    if (c) {
        c->read->timedout = 1;
        c->read->handler(c->read);
    }
}
