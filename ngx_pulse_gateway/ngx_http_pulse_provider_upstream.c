
#include "ngx_http_pulse_provider.h"


#define NGX_HTTP_PULSE_PROVIDER_CA      "/etc/ssl/certs/ca-certificates.crt"
#define NGX_HTTP_PULSE_PROVIDER_DEPTH   5
#define NGX_HTTP_PULSE_PROVIDER_BUFFER  16384
#define NGX_HTTP_PULSE_PROVIDER_ENDING  1000


static ngx_http_conf_ctx_t *ngx_http_pulse_provider_context(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_pulse_provider_keepalive(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx, ngx_str_t *n);
static ngx_int_t ngx_http_pulse_provider_ssl(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *conf, ngx_http_upstream_conf_t *upstream);


ngx_int_t
ngx_http_pulse_provider_peers(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc, ngx_url_t *u)
{
    u_char                        *p;
    ngx_url_t                      url;
    ngx_http_conf_ctx_t           *ctx;
    ngx_http_upstream_server_t    *us;
    ngx_http_upstream_srv_conf_t  *uscf;

    ngx_memzero(&url, sizeof(ngx_url_t));

    if (pc->upstream.len) {
        url.url = pc->upstream;
        url.no_resolve = 1;

        pc->provider->peers = ngx_http_upstream_add(cf, &url, 0);

        return pc->provider->peers ? NGX_OK : NGX_ERROR;
    }

    url.host.len = sizeof("pulse_provider_") - 1 + pc->provider->name.len;
    p = ngx_pnalloc(cf->pool, url.host.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url.host.data = p;
    (void) ngx_sprintf(p, "pulse_provider_%V", &pc->provider->name);
    url.no_resolve = 1;
    url.no_port = 1;

    uscf = ngx_http_upstream_add(cf, &url, NGX_HTTP_UPSTREAM_CREATE
                                           |NGX_HTTP_UPSTREAM_WEIGHT
                                           |NGX_HTTP_UPSTREAM_MAX_FAILS
                                           |NGX_HTTP_UPSTREAM_FAIL_TIMEOUT);
    if (uscf == NULL) {
        return NGX_ERROR;
    }

    ctx = ngx_http_pulse_provider_context(cf, uscf);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    uscf->servers = ngx_array_create(cf->pool, 1,
                                     sizeof(ngx_http_upstream_server_t));
    if (uscf->servers == NULL) {
        return NGX_ERROR;
    }

    us = ngx_array_push(uscf->servers);
    if (us == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(us, sizeof(ngx_http_upstream_server_t));

    us->name = u->url;
    us->addrs = u->addrs;
    us->naddrs = u->naddrs;
    us->weight = 1;
    us->max_fails = 1;
    us->fail_timeout = 10;

    pc->provider->peers = uscf;

    return ngx_http_pulse_provider_keepalive(cf, ctx, &pc->keepalive);
}


/* the configuration context that the directive "upstream" would open */

static ngx_http_conf_ctx_t *
ngx_http_pulse_provider_context(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    void                 *conf;
    ngx_uint_t            i;
    ngx_module_t         *module;
    ngx_http_module_t    *type;
    ngx_http_conf_ctx_t  *ctx;

    ctx = ngx_pcalloc(cf->pool, sizeof(ngx_http_conf_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->main_conf = ((ngx_http_conf_ctx_t *) cf->ctx)->main_conf;

    ctx->srv_conf = ngx_pcalloc(cf->pool, sizeof(void *) * ngx_http_max_module);
    ctx->loc_conf = ngx_pcalloc(cf->pool, sizeof(void *) * ngx_http_max_module);

    if (ctx->srv_conf == NULL || ctx->loc_conf == NULL) {
        return NULL;
    }

    ctx->srv_conf[ngx_http_upstream_module.ctx_index] = uscf;
    uscf->srv_conf = ctx->srv_conf;

    for (i = 0; cf->cycle->modules[i]; i++) {
        module = cf->cycle->modules[i];

        if (module->type != NGX_HTTP_MODULE) {
            continue;
        }

        type = module->ctx;

        if (type->create_srv_conf) {
            conf = type->create_srv_conf(cf);
            if (conf == NULL) {
                return NULL;
            }

            ctx->srv_conf[module->ctx_index] = conf;
        }

        if (type->create_loc_conf) {
            conf = type->create_loc_conf(cf);
            if (conf == NULL) {
                return NULL;
            }

            ctx->loc_conf[module->ctx_index] = conf;
        }
    }

    return ctx;
}


/* "keepalive N;", found and run as the parser would */

static ngx_int_t
ngx_http_pulse_provider_keepalive(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx,
    ngx_str_t *n)
{
    void           *conf;
    char           *rv;
    ngx_str_t      *arg;
    ngx_uint_t      i;
    ngx_conf_t      save;
    ngx_array_t    *args;
    ngx_module_t   *module;
    ngx_command_t  *cmd;

    for (i = 0; cf->cycle->modules[i]; i++) {
        module = cf->cycle->modules[i];

        if (ngx_strcmp(module->name, "ngx_http_upstream_keepalive_module")
            == 0)
        {
            goto found;
        }
    }

    return NGX_OK;

found:

    args = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    if (args == NULL) {
        return NGX_ERROR;
    }

    arg = ngx_array_push_n(args, 2);
    if (arg == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&arg[0], "keepalive");
    arg[1] = *n;

    for (cmd = module->commands; cmd->name.len; cmd++) {

        if (cmd->name.len != arg[0].len
            || ngx_strncmp(cmd->name.data, arg[0].data, arg[0].len) != 0)
        {
            continue;
        }

        save = *cf;
        cf->ctx = ctx;
        cf->args = args;

        conf = ctx->srv_conf[module->ctx_index];
        rv = cmd->set(cf, cmd, conf);

        *cf = save;

        if (rv == NGX_CONF_OK) {
            return NGX_OK;
        }

        if (rv != NGX_CONF_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"keepalive\" %s", rv);
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_provider_timeouts(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc)
{
    ngx_http_upstream_conf_t   *upstream;
    ngx_http_pulse_provider_t  *provider;

    provider = pc->provider;
    upstream = &provider->waiting;

    /*
     * set by ngx_pcalloc():
     *
     *     upstream->buffering = 0; and all else that is of no use here;
     *     hide_headers_hash stays empty: no header of a provider gets into
     *     the list that it is asked for
     */

    ngx_str_set(&upstream->module, "pulse_gateway");

    upstream->connect_timeout = pc->connect_timeout;
    upstream->send_timeout = pc->send_timeout;
    upstream->buffer_size = NGX_HTTP_PULSE_PROVIDER_BUFFER;
    upstream->pass_request_headers = 1;
    upstream->pass_request_body = 1;
    upstream->request_buffering = 1;

    upstream->next_upstream = NGX_HTTP_UPSTREAM_FT_ERROR
                              |NGX_HTTP_UPSTREAM_FT_TIMEOUT
                              |NGX_HTTP_UPSTREAM_FT_INVALID_HEADER
                              |NGX_HTTP_UPSTREAM_FT_HTTP_500
                              |NGX_HTTP_UPSTREAM_FT_HTTP_502
                              |NGX_HTTP_UPSTREAM_FT_HTTP_503
                              |NGX_HTTP_UPSTREAM_FT_HTTP_504
                              |NGX_HTTP_UPSTREAM_FT_HTTP_429
                              |NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;

    if (pc->ssl && ngx_http_pulse_provider_ssl(cf, pc, upstream) != NGX_OK) {
        return NGX_ERROR;
    }

    provider->reading = *upstream;
    provider->ending = *upstream;

    provider->waiting.read_timeout = pc->first_byte_timeout;
    provider->reading.read_timeout = pc->read_timeout;
    provider->ending.read_timeout = NGX_HTTP_PULSE_PROVIDER_ENDING;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_provider_ssl(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc, ngx_http_upstream_conf_t *upstream)
{
#if (NGX_HTTP_SSL)

    ngx_ssl_t           *ssl;
    ngx_str_t            ciphers;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    ngx_str_set(&ciphers, "DEFAULT");

    if (ngx_ssl_ciphers(cf, ssl, &ciphers, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (pc->ssl_verify) {

        if (pc->certificate.len == 0) {
            ngx_str_set(&pc->certificate, NGX_HTTP_PULSE_PROVIDER_CA);
        }

        if (ngx_ssl_trusted_certificate(cf, ssl, &pc->certificate,
                                        NGX_HTTP_PULSE_PROVIDER_DEPTH)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_ssl_client_session_cache(cf, ssl, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    upstream->ssl = ssl;
    upstream->ssl_verify = pc->ssl_verify;
    upstream->ssl_server_name = 1;
    upstream->ssl_session_reuse = 1;

    return NGX_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "pulse provider \"%V\": this nginx has no SSL support",
                       &pc->provider->name);
    return NGX_ERROR;

#endif
}
