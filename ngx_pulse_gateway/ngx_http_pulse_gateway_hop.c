
#include "ngx_http_pulse_gateway.h"


/* Who was asked for a request, or passed over, and what came of it. */


static ngx_int_t ngx_http_pulse_gateway_hop_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_pulse_gateway_hop_text(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *text);


static ngx_str_t  ngx_http_pulse_gateway_hops = ngx_string("pulse_hops");


ngx_int_t
ngx_http_pulse_gateway_hop_init(ngx_conf_t *cf)
{
    ngx_http_variable_t  *v;

    v = ngx_http_add_variable(cf, &ngx_http_pulse_gateway_hops,
                              NGX_HTTP_VAR_NOCACHEABLE);
    if (v == NULL) {
        return NGX_ERROR;
    }

    v->get_handler = ngx_http_pulse_gateway_hop_variable;

    return NGX_OK;
}


void
ngx_http_pulse_gateway_hop(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_pulse_hop_t  *hop;

    if (ctx->nhops && ctx->hops[ctx->nhops - 1].outcome == NULL) {

        /* the same provider once more: another address, or connected anew */

        return;
    }

    if (ctx->hops == NULL) {

        /* the first, when no candidate is given up yet */

        ctx->hops = ngx_palloc(ctx->request->pool,
                               ctx->route.n * sizeof(ngx_http_pulse_hop_t));
        ctx->most_hops = ctx->hops ? ctx->route.n : 0;
    }

    if (ctx->nhops == ctx->most_hops) {
        return;
    }

    hop = &ctx->hops[ctx->nhops++];

    hop->provider = ctx->route.elts[ctx->candidate].provider;
    hop->start = ngx_current_msec;
    hop->outcome = NULL;
}


void
ngx_http_pulse_gateway_hop_end(ngx_http_pulse_gateway_ctx_t *ctx,
    const char *outcome)
{
    ngx_http_pulse_hop_t  *hop;

    if (ctx->nhops == 0) {
        return;
    }

    hop = &ctx->hops[ctx->nhops - 1];

    if (hop->outcome) {
        return;
    }

    hop->outcome = outcome;
    hop->status = ctx->answered ? ctx->status.code : 0;
    hop->ms = ngx_current_msec - hop->start;
}


ngx_uint_t
ngx_http_pulse_gateway_hop_over(ngx_http_pulse_gateway_ctx_t *ctx)
{
    return ctx->nhops && ctx->hops[ctx->nhops - 1].outcome;
}


ngx_int_t
ngx_http_pulse_gateway_hop_header(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t  text;

    if (ctx->nhops == 0
        || (ctx->nhops == 1 && ctx->hops[0].outcome == NULL))
    {
        return NGX_OK;
    }

    if (ngx_http_pulse_gateway_hop_text(r, ctx, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_pulse_set_header(r, "X-Pulse-Hops", &text);
}


static ngx_int_t
ngx_http_pulse_gateway_hop_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                      text;
    ngx_http_upstream_t           *u;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    u = r->main->upstream;

    /* an internal redirect has wiped the module's context, not this */

    if (u == NULL || u->input_filter != ngx_http_pulse_gateway_filter) {
        v->not_found = 1;
        return NGX_OK;
    }

    ctx = u->input_filter_ctx;

    if (ngx_http_pulse_gateway_hop_text(r, ctx, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    v->data = text.data;
    v->len = text.len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* "one 503 failed 12, two 200 served 80": status and ms, of those that are
 * over */

static ngx_int_t
ngx_http_pulse_gateway_hop_text(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *text)
{
    u_char                *p;
    size_t                 len;
    ngx_uint_t             i;
    ngx_http_pulse_hop_t  *hop;

    len = 1;

    for (i = 0; i < ctx->nhops; i++) {
        len += ctx->hops[i].provider->name.len + sizeof(" served, ")
               + 2 * NGX_INT64_LEN;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (i = 0; i < ctx->nhops; i++) {
        hop = &ctx->hops[i];

        if (hop->outcome == NULL) {
            break;
        }

        p = ngx_sprintf(p, "%s%V %ui %s %M", i ? ", " : "",
                        &hop->provider->name, hop->status, hop->outcome,
                        hop->ms);
    }

    text->len = p - text->data;

    return NGX_OK;
}
