
#include "ngx_http_pulse_gateway.h"


#define NGX_HTTP_PULSE_GATEWAY_ANSWER_MAX   (16 * 1024 * 1024)
#define NGX_HTTP_PULSE_GATEWAY_MAX_TOKENS   4096
#define NGX_HTTP_PULSE_GATEWAY_KEEPALIVE    15000


static ngx_int_t ngx_http_pulse_gateway_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_output_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_pulse_gateway_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_pulse_gateway_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_pulse_gateway_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_gateway_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void *ngx_http_pulse_gateway_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_gateway_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_pulse_gateway(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_embeddings(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_count_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_gateway_defaults(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);


static ngx_conf_num_bounds_t  ngx_http_pulse_gateway_tokens_bounds = {
    ngx_conf_check_num_bounds, 1, 10000000
};


static ngx_command_t  ngx_http_pulse_gateway_commands[] = {

    { ngx_string("pulse_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_pulse_provider_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_models"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_pulse_models_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_route"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_pulse_route_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_route_default"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_pulse_gateway_defaults,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_gateway"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_pulse_gateway,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_embeddings"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_pulse_embeddings,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_count_tokens"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_pulse_count_tokens,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_answer_max"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_pulse_gateway_loc_conf_t, answer_max),
      NULL },

    { ngx_string("pulse_keepalive_comment"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_pulse_gateway_loc_conf_t, keepalive),
      NULL },

    { ngx_string("pulse_default_max_tokens"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_pulse_gateway_loc_conf_t, default_max_tokens),
      &ngx_http_pulse_gateway_tokens_bounds },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_pulse_gateway_module_ctx = {
    ngx_http_pulse_gateway_preconfiguration,   /* preconfiguration */
    ngx_http_pulse_gateway_postconfiguration,  /* postconfiguration */

    ngx_http_pulse_gateway_create_main_conf,   /* create main configuration */
    ngx_http_pulse_gateway_init_main_conf,     /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_pulse_gateway_create_loc_conf,    /* create location
                                                  configuration */
    ngx_http_pulse_gateway_merge_loc_conf      /* merge location
                                                  configuration */
};


ngx_module_t  ngx_http_pulse_gateway_module = {
    NGX_MODULE_V1,
    &ngx_http_pulse_gateway_module_ctx,    /* module context */
    ngx_http_pulse_gateway_commands,       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


/*
 * An answer that is no stream has its header made when its body is whole; the
 * one that the upstream module sends before is held back here, ahead of all
 * other filters.
 */

static ngx_int_t
ngx_http_pulse_gateway_header_filter(ngx_http_request_t *r)
{
    ngx_http_pulse_gateway_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    if (ctx && r == r->main && !ctx->passing) {

        if (ctx->hold && ngx_http_pulse_gateway_lasts(ctx)) {
            return NGX_OK;
        }

        if (ctx->draining) {
            ngx_http_pulse_gateway_keep_header(r, ctx);
            r->header_sent = 1;
            return NGX_OK;
        }

        if (ctx->early) {

            /* it went out with the first sign of life */

            r->header_sent = 1;
            r->headers_out.status = NGX_HTTP_OK;

            return NGX_OK;
        }

        if (ctx->hold) {
            return NGX_OK;
        }
    }

    if (ctx && r == r->main) {
        ngx_http_pulse_gateway_keep_header(r, ctx);
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_pulse_gateway_output_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    return ngx_http_pulse_gateway_body_filter(r, in,
                                              ngx_http_next_body_filter);
}


static ngx_int_t
ngx_http_pulse_gateway_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_pulse_gateway_metrics(cf) != NGX_OK
        || ngx_http_pulse_gateway_claim_init(cf) != NGX_OK
        || ngx_http_pulse_gateway_keep_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_pulse_gateway_hop_init(cf);
}


static ngx_int_t
ngx_http_pulse_gateway_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_pulse_gateway_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_pulse_gateway_output_filter;

    return ngx_http_pulse_routes(cf, ngx_http_pulse_models_routes);
}


static void *
ngx_http_pulse_gateway_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_gateway_main_conf_t));
    if (gmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&gmcf->providers, cf->pool, 4,
                       sizeof(ngx_http_pulse_provider_t *))
        != NGX_OK)
    {
        return NULL;
    }

    ngx_str_set(&gmcf->balancer.host, "pulse_gateway");
    gmcf->balancer.peer.init = ngx_http_pulse_gateway_init_peer;

    return gmcf;
}


/* A default that nobody could ever serve is a mistake to be told now. */

static char *
ngx_http_pulse_gateway_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_pulse_gateway_main_conf_t *gmcf = conf;

    ngx_str_t                     *name;
    ngx_uint_t                     i;
    ngx_pulse_openai_request_t     chat;
    ngx_http_pulse_candidate_t     elts[NGX_HTTP_PULSE_GATEWAY_CANDIDATES];
    ngx_http_pulse_route_list_t    route;

    if (ngx_http_pulse_gateway_health_zone(cf, gmcf) != NGX_OK
        || ngx_http_pulse_gateway_learn_zone(cf, gmcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    name = gmcf->defaults ? gmcf->defaults->elts : NULL;

    for (i = 0; gmcf->defaults && i < gmcf->defaults->nelts; i++) {
        ngx_memzero(&chat, sizeof(ngx_pulse_openai_request_t));
        chat.model = name[i];

        ngx_memzero(&route, sizeof(ngx_http_pulse_route_list_t));
        route.elts = elts;
        route.kind = NGX_PULSE_MODEL_CHAT;

        ngx_http_pulse_gateway_route(gmcf, &chat, &route);

        if (!route.known) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "pulse gateway: no provider or catalogue has the"
                          " model \"%V\" of \"pulse_route_default\"",
                          &name[i]);
            return NGX_CONF_ERROR;
        }
    }

    /* last, since it lets the turns of routes begin */

    if (ngx_http_pulse_route_check(cf, gmcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_pulse_gateway_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_gateway_loc_conf_t  *glcf;

    glcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_gateway_loc_conf_t));
    if (glcf == NULL) {
        return NULL;
    }

    glcf->answer_max = NGX_CONF_UNSET_SIZE;
    glcf->keepalive = NGX_CONF_UNSET_MSEC;
    glcf->default_max_tokens = NGX_CONF_UNSET;

    return glcf;
}


static char *
ngx_http_pulse_gateway_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_pulse_gateway_loc_conf_t *prev = parent;
    ngx_http_pulse_gateway_loc_conf_t *conf = child;

    ngx_conf_merge_size_value(conf->answer_max, prev->answer_max,
                              NGX_HTTP_PULSE_GATEWAY_ANSWER_MAX);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive,
                              NGX_HTTP_PULSE_GATEWAY_KEEPALIVE);
    ngx_conf_merge_value(conf->default_max_tokens, prev->default_max_tokens,
                         NGX_HTTP_PULSE_GATEWAY_MAX_TOKENS);

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_pulse_gateway_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_embeddings(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_gateway_loc_conf_t *glcf = conf;

    glcf->kind = NGX_PULSE_MODEL_EMBEDDING;

    return ngx_http_pulse_gateway(cf, cmd, conf);
}


static char *
ngx_http_pulse_count_tokens(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_pulse_gateway_count_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_gateway_defaults(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_gateway_main_conf_t *gmcf = conf;

    ngx_str_t   *value, *model;
    ngx_uint_t   i;

    if (gmcf->defaults) {
        return "is duplicate";
    }

    gmcf->defaults = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (gmcf->defaults == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        model = ngx_array_push(gmcf->defaults);
        if (model == NULL) {
            return NGX_CONF_ERROR;
        }

        *model = value[i];
    }

    return NGX_CONF_OK;
}
