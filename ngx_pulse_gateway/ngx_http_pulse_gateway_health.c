
#include "ngx_http_pulse_gateway.h"


/*
 * Who is worth asking: a breaker for each provider, in memory that all
 * workers share and that outlives reloads.  While nothing fails no lock is
 * taken.
 */


#define NGX_HTTP_PULSE_GATEWAY_ZONE_SIZE  (256 * 1024)


typedef struct ngx_http_pulse_health_s  ngx_http_pulse_health_t;

struct ngx_http_pulse_health_s {
    ngx_pulse_breaker_t                 breaker;
    ngx_http_pulse_health_t            *next;
    size_t                              len;
    u_char                              name[1];
};


typedef struct {
    ngx_http_pulse_health_t            *first;
} ngx_http_pulse_health_list_t;


static ngx_int_t ngx_http_pulse_gateway_health_init_zone(
    ngx_shm_zone_t *zone, void *data);
static ngx_http_pulse_health_t *ngx_http_pulse_gateway_health_get(
    ngx_slab_pool_t *shpool, ngx_str_t *name);
static void ngx_http_pulse_gateway_told(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_http_pulse_provider_t *provider, ngx_uint_t edge, ngx_uint_t probe);
static void ngx_http_pulse_gateway_again(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_msec_t wait);
static uint32_t ngx_http_pulse_gateway_model(ngx_http_pulse_candidate_t *c);


ngx_int_t
ngx_http_pulse_gateway_health_zone(ngx_conf_t *cf,
    ngx_http_pulse_gateway_main_conf_t *gmcf)
{
    ngx_str_t  name;

    ngx_str_set(&name, "pulse_gateway");

    gmcf->zone = ngx_shared_memory_add(cf, &name,
                                       NGX_HTTP_PULSE_GATEWAY_ZONE_SIZE,
                                       &ngx_http_pulse_gateway_module);
    if (gmcf->zone == NULL) {
        return NGX_ERROR;
    }

    gmcf->zone->init = ngx_http_pulse_gateway_health_init_zone;
    gmcf->zone->data = gmcf;

    return NGX_OK;
}


/* Providers of a name keep what is known of them over a reload. */

static ngx_int_t
ngx_http_pulse_gateway_health_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_uint_t                           i;
    ngx_slab_pool_t                     *shpool;
    ngx_http_pulse_health_t             *health;
    ngx_http_pulse_provider_t          **providers;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = zone->data;
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data == NULL) {
        shpool->data = ngx_slab_calloc(shpool,
                                       sizeof(ngx_http_pulse_health_list_t));
        if (shpool->data == NULL) {
            return NGX_ERROR;
        }
    }

    providers = gmcf->providers.elts;

    for (i = 0; i < gmcf->providers.nelts; i++) {

        health = ngx_http_pulse_gateway_health_get(shpool,
                                                   &providers[i]->name);
        if (health == NULL) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "pulse gateway: no shared memory for provider"
                          " \"%V\"", &providers[i]->name);
            return NGX_ERROR;
        }

        providers[i]->health = &health->breaker;
    }

    return NGX_OK;
}


static ngx_http_pulse_health_t *
ngx_http_pulse_gateway_health_get(ngx_slab_pool_t *shpool, ngx_str_t *name)
{
    ngx_http_pulse_health_t       *health;
    ngx_http_pulse_health_list_t  *list;

    list = shpool->data;

    for (health = list->first; health; health = health->next) {
        if (health->len == name->len
            && ngx_memcmp(health->name, name->data, name->len) == 0)
        {
            return health;
        }
    }

    health = ngx_slab_calloc(shpool, offsetof(ngx_http_pulse_health_t, name)
                                     + name->len);
    if (health == NULL) {
        return NULL;
    }

    health->len = name->len;
    ngx_memcpy(health->name, name->data, name->len);

    health->next = list->first;
    list->first = health;

    return health;
}


ngx_int_t
ngx_http_pulse_gateway_admit(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_slab_pool_t             *shpool;
    ngx_pulse_breaker_turn_t     turn;
    ngx_http_pulse_provider_t   *provider;
    ngx_http_pulse_candidate_t  *candidate;

    candidate = &ctx->route.elts[ctx->candidate];
    provider = candidate->provider;

    ctx->told = 0;

    if (ngx_pulse_breaker_calm(provider->health)) {
        return NGX_OK;
    }

    shpool = ngx_http_pulse_gateway_shpool(ctx->request);

    ngx_shmtx_lock(&shpool->mutex);

    rc = ngx_pulse_breaker_admit(provider->health, &provider->breaker,
                                 ngx_http_pulse_gateway_model(candidate),
                                 ngx_current_msec, &turn);

    ngx_shmtx_unlock(&shpool->mutex);

    ctx->ticket = turn.ticket;

    ngx_http_pulse_gateway_told(ctx, provider, turn.edge, 1);

    if (rc == NGX_BUSY) {
        ctx->held = turn.held;
        ngx_http_pulse_gateway_again(ctx, turn.wait);
    }

    return rc;
}


void
ngx_http_pulse_gateway_report(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_http_pulse_gateway_report_e report)
{
    ngx_uint_t                  edge, was, ticket;
    ngx_msec_t                  now;
    ngx_slab_pool_t            *shpool;
    ngx_pulse_breaker_t        *b;
    ngx_http_pulse_provider_t  *provider;

    provider = ctx->route.elts[ctx->candidate].provider;
    b = provider->health;
    ticket = ctx->ticket;

    if (report == NGX_HTTP_PULSE_GATEWAY_WORKS && ngx_pulse_breaker_calm(b)) {
        ctx->told = 1;
        return;
    }

    if (report == NGX_HTTP_PULSE_GATEWAY_NOTHING && ticket == 0) {
        return;
    }

    ctx->told = 1;
    ctx->ticket = 0;

    now = ngx_current_msec;
    edge = NGX_PULSE_BREAKER_SAME;
    shpool = ngx_http_pulse_gateway_shpool(ctx->request);

    ngx_shmtx_lock(&shpool->mutex);

    was = b->state;

    switch (report) {

    case NGX_HTTP_PULSE_GATEWAY_WORKS:
        edge = ngx_pulse_breaker_success(b, &provider->breaker, ticket, now);
        break;

    case NGX_HTTP_PULSE_GATEWAY_NOTHING:
        ngx_pulse_breaker_release(b, ticket);
        break;

    default: /* NGX_HTTP_PULSE_GATEWAY_BREAKS, NGX_HTTP_PULSE_GATEWAY_OWED */
        edge = ngx_pulse_breaker_failure(b, &provider->breaker, ticket,
                                     report == NGX_HTTP_PULSE_GATEWAY_OWED,
                                     now);
    }

    ngx_shmtx_unlock(&shpool->mutex);

    ngx_http_pulse_gateway_told(ctx, provider, edge,
                                was == NGX_PULSE_BREAKER_HALF_OPEN);
}


void
ngx_http_pulse_gateway_hold(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint32_t                     model;
    ngx_uint_t                   status;
    ngx_slab_pool_t             *shpool;
    ngx_http_pulse_candidate_t  *candidate;

    status = ctx->status.code;

    if (ctx->retry_after == 0) {
        return;
    }

    ngx_http_pulse_gateway_again(ctx, ctx->retry_after);

    candidate = &ctx->route.elts[ctx->candidate];
    model = NGX_PULSE_BREAKER_ALL;

    if (status == NGX_HTTP_TOO_MANY_REQUESTS) {
        model = ngx_http_pulse_gateway_model(candidate);
    }

    shpool = ngx_http_pulse_gateway_shpool(ctx->request);

    ngx_shmtx_lock(&shpool->mutex);

    ngx_pulse_breaker_hold(candidate->provider->health, model,
                           ctx->retry_after, ngx_current_msec);

    ngx_shmtx_unlock(&shpool->mutex);
}


/* An edge: the only lines on it, whatever number of requests fail. */

static void
ngx_http_pulse_gateway_told(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_http_pulse_provider_t *provider, ngx_uint_t edge, ngx_uint_t probe)
{
    ngx_log_t  *log;

    if (edge == NGX_PULSE_BREAKER_SAME) {
        return;
    }

    log = ctx->request->connection->log;

    switch (edge) {

    case NGX_PULSE_BREAKER_OPEN:
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "pulse gateway: provider \"%V\" is not asked for %M ms:"
                      " the breaker opened", &provider->name,
                      provider->breaker.pause);

        ngx_http_pulse_gateway_count_breaker(provider, 1, probe ? -1 : 0);
        break;

    case NGX_PULSE_BREAKER_HALF_OPEN:
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "pulse gateway: provider \"%V\" is probed: the pause of"
                      " the breaker is over", &provider->name);

        ngx_http_pulse_gateway_count_breaker(provider, -1, 1);
        break;

    default: /* NGX_PULSE_BREAKER_CLOSED */
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "pulse gateway: provider \"%V\" is asked again: the"
                      " breaker closed", &provider->name);

        ngx_http_pulse_gateway_count_breaker(provider, 0, -1);
    }
}


/* The shortest is what the client is told. */

static void
ngx_http_pulse_gateway_again(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_msec_t wait)
{
    if (ctx->again == 0 || wait < ctx->again) {
        ctx->again = wait;
    }
}


static uint32_t
ngx_http_pulse_gateway_model(ngx_http_pulse_candidate_t *c)
{
    uint32_t  hash;

    hash = ngx_murmur_hash2(c->name.data, c->name.len);

    return hash ? hash : 1;
}
