
#include "ngx_http_pulse_gateway.h"


/*
 * A balancer over candidates, each of which has a balancer of its own: the
 * one of its provider's upstream{}.  get() and free() are called for every
 * attempt, reinit_request() is not, so that the request of a candidate is
 * written in get().
 */


static ngx_int_t ngx_http_pulse_gateway_get_peer(ngx_peer_connection_t *pc,
    void *data);
static ngx_int_t ngx_http_pulse_gateway_start_candidate(
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_free_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static ngx_uint_t ngx_http_pulse_gateway_timedout(ngx_peer_connection_t *pc);
static ngx_uint_t ngx_http_pulse_gateway_stale(ngx_peer_connection_t *pc,
    ngx_http_pulse_gateway_ctx_t *ctx);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_pulse_gateway_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_pulse_gateway_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif


ngx_int_t
ngx_http_pulse_gateway_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_t           *u;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    u = r->upstream;
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    u->peer.get = ngx_http_pulse_gateway_get_peer;
    u->peer.free = ngx_http_pulse_gateway_free_peer;
    u->peer.data = ctx;
    u->peer.tries = ctx->route.n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    ngx_int_t  rc;

    for ( ;; ) {

        if (!ctx->started) {
            rc = ngx_http_pulse_gateway_start_candidate(ctx);

            if ((rc == NGX_DECLINED || rc == NGX_BUSY)
                && ctx->candidate + 1 < ctx->route.n)
            {
                /* what it cannot express, or not now, another one may */

                ctx->candidate++;
                continue;
            }

            if (rc != NGX_OK) {

                /* NGX_BUSY would have nginx write a line for each request */

                ctx->refused = (rc == NGX_DECLINED && !ctx->unavailable);
                return NGX_ERROR;
            }
        }

        ngx_http_pulse_gateway_reset(ctx->request, ctx);

        pc->tries = ctx->tries;
        rc = ctx->get(pc, ctx->data);
        ctx->tries = pc->tries;

        if (rc != NGX_BUSY) {
            break;
        }

        /* all addresses of it are known to be down: the next one then */

        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_BREAKS);
        ngx_http_pulse_gateway_hop_end(ctx, "down");

        if (ctx->candidate + 1 == ctx->route.n) {
            break;
        }

        ctx->candidate++;
        ctx->started = 0;
    }

    pc->tries = ctx->route.n - ctx->candidate;
    ctx->record->attempts++;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                   "pulse gateway: candidate %ui, get:%i cached:%d",
                   ctx->candidate, rc, pc->cached);

    return rc;
}


static ngx_int_t
ngx_http_pulse_gateway_start_candidate(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_int_t                       rc;
    ngx_http_request_t             *r;
    ngx_http_upstream_t            *u;
    ngx_http_pulse_provider_t      *provider;
    ngx_http_pulse_candidate_t     *candidate;
    ngx_http_upstream_srv_conf_t   *uscf;

    r = ctx->request;
    u = r->upstream;

    candidate = &ctx->route.elts[ctx->candidate];
    provider = candidate->provider;
    uscf = provider->peers;

    ctx->record->provider = provider->name;
    ctx->record->model = candidate->name;

    ngx_http_pulse_gateway_hop(ctx);

    rc = ngx_http_pulse_gateway_admit(ctx);

    if (rc != NGX_OK) {
        ctx->unavailable = 1;
        ngx_http_pulse_gateway_hop_end(ctx, ctx->held ? "held" : "open");
        return rc;
    }

    rc = ngx_http_pulse_gateway_build(r, ctx);

    if (rc != NGX_OK) {
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_NOTHING);
        ngx_http_pulse_gateway_hop_end(ctx, "unable");
        return rc;
    }

    /* round robin takes what it finds in peer.data for its own */

    u->peer.data = NULL;

    rc = uscf->peer.init(r, uscf);

    ctx->get = u->peer.get;
    ctx->free = u->peer.free;
    ctx->data = u->peer.data;
    ctx->tries = u->peer.tries;

    u->peer.get = ngx_http_pulse_gateway_get_peer;
    u->peer.free = ngx_http_pulse_gateway_free_peer;
    u->peer.data = ctx;

#if (NGX_HTTP_SSL)

    ctx->set_session = u->peer.set_session;
    ctx->save_session = u->peer.save_session;

    u->peer.set_session = ngx_http_pulse_gateway_set_session;
    u->peer.save_session = ngx_http_pulse_gateway_save_session;

    u->ssl = (provider->waiting.ssl != NULL);
    u->ssl_name = provider->ssl_name;

#endif

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    u->conf = &provider->waiting;
    ctx->started = 1;

    ngx_http_pulse_gateway_total(ctx);

    if (provider->drain || ngx_http_pulse_gateway_lasts(ctx)) {
        ngx_http_pulse_gateway_client_watch(r);
    }

    return NGX_OK;
}


static void
ngx_http_pulse_gateway_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    ngx_uint_t            left, stale;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;
    stale = (state & NGX_PEER_FAILED) && ngx_http_pulse_gateway_stale(pc, ctx);

    pc->tries = ctx->tries;
    ctx->free(pc, ctx->data, stale ? 0 : state);
    ctx->tries = pc->tries;

    left = ctx->route.n - ctx->candidate - 1;
    pc->tries = left;

    if (!(state & NGX_PEER_FAILED)) {
        return;
    }

    if (stale) {

        /* nginx adds a try itself: the same provider, connected anew */

        ctx->started = 0;
        ctx->record->attempts--;
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_NOTHING);
        return;
    }

    if (!u->request_sent && ctx->tries) {

        /* another address of it: the request has not been anywhere */

        ctx->record->attempts--;
        pc->tries = left + 1;
        return;
    }

    /* what had begun to answer is not stale: nginx must not add a try */

    pc->cached = 0;

    if (!ctx->told) {
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_BREAKS);
    }

    ngx_http_pulse_gateway_hop_end(ctx,
                                   ngx_http_pulse_gateway_timedout(pc)
                                   ? "timeout" : "failed");

    if (left && !ctx->draining) {
        ctx->candidate++;
        ctx->started = 0;
    }
}


static ngx_uint_t
ngx_http_pulse_gateway_timedout(ngx_peer_connection_t *pc)
{
    ngx_connection_t  *c;

    c = pc->connection;

    return c && (c->read->timedout || c->write->timedout);
}


void
ngx_http_pulse_gateway_forget(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_uint_t                    i, n;
    ngx_http_pulse_provider_t    *provider;
    ngx_http_pulse_route_list_t  *route;

    route = &ctx->route;
    provider = route->elts[ctx->candidate].provider;
    n = ctx->candidate + 1;

    for (i = n; i < route->n; i++) {
        if (route->elts[i].provider != provider) {
            route->elts[n++] = route->elts[i];
        }
    }

    route->n = n;

    /* as get_peer() counts them: this is what nginx asks before it goes on */

    r->upstream->peer.tries = n - ctx->candidate;
}


/* a kept connection that the provider had closed in the meantime */

static ngx_uint_t
ngx_http_pulse_gateway_stale(ngx_peer_connection_t *pc,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_connection_t  *c;

    c = pc->connection;

    return pc->cached && c && !ctx->answered
           && !ngx_http_pulse_gateway_timedout(pc);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_pulse_gateway_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    return ctx->set_session(pc, ctx->data);
}


static void
ngx_http_pulse_gateway_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    ctx->save_session(pc, ctx->data);
}

#endif
