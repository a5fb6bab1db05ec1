
#include "ngx_http_pulse_gateway.h"


/*
 * A client that leaves.  nginx would end the upstream, and does so where the
 * provider is to be canceled.  To drain a provider its answer is read on for
 * the figures at its end, while nothing goes to the client: the filters here
 * take what is written, so that nginx finds no error in it.  So is an answer
 * read that is no stream and has an idempotency key: whoever asks again with
 * the key gets it.
 */


static void ngx_http_pulse_gateway_client_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_pulse_gateway_client_broken(ngx_http_request_t *r);
static void ngx_http_pulse_gateway_drain_handler(ngx_event_t *ev);


void
ngx_http_pulse_gateway_client_watch(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_pulse_gateway_client_handler;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static void
ngx_http_pulse_gateway_client_handler(ngx_http_request_t *r)
{
    ngx_http_pulse_gateway_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    if (ctx->draining || !ngx_http_pulse_gateway_client_broken(r)) {
        return;
    }

    if (ngx_http_pulse_gateway_drain(r, ctx) == NGX_OK) {
        return;
    }

    r->connection->error = 1;
    ngx_http_pulse_gateway_leave(r);
}


/*
 * The cleanup of the upstream settles, and gives back the count that its
 * request had: without one more the request would be freed while nginx still
 * goes through its cleanups.  It ends with the posted requests, whatever its
 * count is by then.
 */

void
ngx_http_pulse_gateway_leave(ngx_http_request_t *r)
{
    r->main->count++;

    ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
}


/* As nginx looks for it; bytes that follow the request say nothing. */

static ngx_uint_t
ngx_http_pulse_gateway_client_broken(ngx_http_request_t *r)
{
    int                n;
    char               byte;
    ngx_event_t       *ev;
    ngx_connection_t  *c;

    c = r->connection;
    ev = c->read;

    if (c->error) {
        return 1;
    }

#if (NGX_HTTP_V2)
    if (r->stream) {
        return 0;
    }
#endif

    n = recv(c->fd, &byte, 1, MSG_PEEK);

    if (n == -1 && ngx_socket_errno == NGX_EAGAIN) {
        return 0;
    }

    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && ev->active) {
        (void) ngx_del_event(ev, NGX_READ_EVENT, 0);
    }

    return n <= 0 || ev->pending_eof;
}


ngx_int_t
ngx_http_pulse_gateway_drain(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_connection_t           *c;
    ngx_http_upstream_t        *u;
    ngx_http_pulse_provider_t  *provider;

    c = r->connection;
    u = r->upstream;
    provider = ctx->route.elts[ctx->candidate].provider;

    if (ctx->draining) {
        return NGX_OK;
    }

    if ((!provider->drain && !ngx_http_pulse_gateway_lasts(ctx))
        || ctx->finalized || !u->request_body_sent)
    {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "pulse gateway: client is gone, provider \"%V\" is read to"
                  " its end", &provider->name);

    ctx->draining = 1;
    c->error = 1;

    if (ctx->alive.timer_set) {
        ngx_del_timer(&ctx->alive);
    }

    if (!ngx_http_pulse_gateway_lasts(ctx)) {
        ctx->alive.handler = ngx_http_pulse_gateway_drain_handler;
        ngx_add_timer(&ctx->alive, provider->drain_time);
    }

    /*
     * Nobody waits for this client to take anything.  The buffers are left as
     * they are: frames of HTTP/2 that are still to be sent may be of them.
     */

    u->busy_bufs = NULL;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->write->ready = 1;
    ngx_post_event(c->write, &ngx_posted_events);

    return NGX_OK;
}


/* It took too long: what was counted is settled. */

static void
ngx_http_pulse_gateway_drain_handler(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_pulse_gateway_leave(r);
    ngx_http_run_posted_requests(c);
}


ngx_int_t
ngx_http_pulse_gateway_body_filter(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next)
{
    ngx_int_t                      rc;
    ngx_chain_t                   *cl;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    if (ctx == NULL || r != r->main) {
        return next(r, in);
    }

    ngx_http_pulse_gateway_keep_body(r, ctx, in);

    if (!ctx->draining) {
        rc = next(r, in);

        if (rc != NGX_ERROR || r->upstream == NULL
            || ngx_http_pulse_gateway_drain(r, ctx) != NGX_OK)
        {
            return rc;
        }
    }

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
    }

    return NGX_OK;
}
