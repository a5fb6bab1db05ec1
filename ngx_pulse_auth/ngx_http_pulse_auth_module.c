
#include "ngx_http_pulse_auth.h"


#define NGX_HTTP_PULSE_AUTH_ZONE          (8 * 1024 * 1024)
#define NGX_HTTP_PULSE_AUTH_SESSION_TIME  (30 * 24 * 60 * 60)
#define NGX_HTTP_PULSE_AUTH_LEEWAY        5
#define NGX_HTTP_PULSE_AUTH_MAX_COOKIE    64


static ngx_int_t ngx_http_pulse_auth_init_process(ngx_cycle_t *cycle);
static void ngx_http_pulse_auth_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_pulse_auth_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_pulse_auth_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_pulse_auth_register(ngx_conf_t *cf,
    ngx_pulse_pg_statement_t *statements);
static void *ngx_http_pulse_auth_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_auth_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_pulse_auth_own_issuer(ngx_conf_t *cf,
    ngx_http_pulse_auth_main_conf_t *amcf);
static ngx_int_t ngx_http_pulse_auth_seed(
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_str_t *text);
static void *ngx_http_pulse_auth_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_auth_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_pulse_auth_keys_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_auth_jwks_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_auth_jwks_error(ngx_conf_t *cf, ngx_str_t *name,
    ngx_pulse_jwks_error_t *err);
static ngx_int_t ngx_http_pulse_auth_read_file(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *text, ngx_uint_t secret);
static char *ngx_http_pulse_auth_check_cookie(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_pulse_auth_check_zone(ngx_conf_t *cf, void *post,
    void *data);


static ngx_conf_enum_t  ngx_http_pulse_auth_modes[] = {
    { ngx_string("off"), NGX_HTTP_PULSE_AUTH_OFF },
    { ngx_string("on"), NGX_HTTP_PULSE_AUTH_ON },
    { ngx_string("optional"), NGX_HTTP_PULSE_AUTH_OPTIONAL },
    { ngx_string("internal"), NGX_HTTP_PULSE_AUTH_INTERNAL },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_pulse_auth_secure[] = {
    { ngx_string("off"), NGX_HTTP_PULSE_AUTH_SECURE_OFF },
    { ngx_string("on"), NGX_HTTP_PULSE_AUTH_SECURE_ON },
    { ngx_string("auto"), NGX_HTTP_PULSE_AUTH_SECURE_AUTO },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_pulse_auth_cookie_post = {
    ngx_http_pulse_auth_check_cookie
};


static ngx_conf_post_t  ngx_http_pulse_auth_zone_post = {
    ngx_http_pulse_auth_check_zone
};


static ngx_conf_num_bounds_t  ngx_http_pulse_auth_leeway_bounds = {
    ngx_conf_check_num_bounds, 0, NGX_PULSE_JWT_MAX_LEEWAY
};


static ngx_conf_num_bounds_t  ngx_http_pulse_auth_session_bounds = {
    ngx_conf_check_num_bounds, 60, 400 * 24 * 60 * 60
};


static ngx_command_t  ngx_http_pulse_auth_commands[] = {

    { ngx_string("pulse_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_loc_conf_t, mode),
      &ngx_http_pulse_auth_modes },

    { ngx_string("pulse_auth_keys"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_pulse_auth_keys_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_auth_jwks"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE3,
      ngx_http_pulse_auth_jwks_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_auth_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_main_conf_t, issuer),
      NULL },

    { ngx_string("pulse_auth_audience"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_main_conf_t, audience),
      NULL },

    { ngx_string("pulse_auth_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_main_conf_t, zone_size),
      &ngx_http_pulse_auth_zone_post },

    { ngx_string("pulse_auth_cookie"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_main_conf_t, cookie),
      &ngx_http_pulse_auth_cookie_post },

    { ngx_string("pulse_auth_cookie_secure"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_main_conf_t, cookie_secure),
      &ngx_http_pulse_auth_secure },

    { ngx_string("pulse_auth_session_time"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_main_conf_t, session_time),
      &ngx_http_pulse_auth_session_bounds },

    { ngx_string("pulse_auth_leeway"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_auth_main_conf_t, leeway),
      &ngx_http_pulse_auth_leeway_bounds },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_pulse_auth_module_ctx = {
    ngx_http_pulse_auth_preconfiguration,  /* preconfiguration */
    ngx_http_pulse_auth_postconfiguration, /* postconfiguration */

    ngx_http_pulse_auth_create_main_conf,  /* create main configuration */
    ngx_http_pulse_auth_init_main_conf,    /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_pulse_auth_create_loc_conf,   /* create location configuration */
    ngx_http_pulse_auth_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_pulse_auth_module = {
    NGX_MODULE_V1,
    &ngx_http_pulse_auth_module_ctx,       /* module context */
    ngx_http_pulse_auth_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_pulse_auth_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_pulse_auth_exit_process,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_http_pulse_auth_zone_name = ngx_string("pulse_auth");


static ngx_int_t
ngx_http_pulse_auth_init_process(ngx_cycle_t *cycle)
{
    ngx_http_pulse_auth_main_conf_t  *amcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    amcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_pulse_auth_module);

    if (amcf == NULL || amcf->zone == NULL) {
        return NGX_OK;
    }

    return ngx_http_pulse_auth_follow(cycle, amcf->zone);
}


static void
ngx_http_pulse_auth_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_pulse_auth_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_pulse_auth_module);

    if (amcf != NULL && amcf->zone != NULL) {
        ngx_http_pulse_auth_unfollow(amcf->zone);
    }
}


static ngx_int_t
ngx_http_pulse_auth_preconfiguration(ngx_conf_t *cf)
{
    return ngx_pulse_metrics_register(cf, ngx_http_pulse_auth_metrics,
                                      ngx_http_pulse_auth_nmetrics);
}


static ngx_int_t
ngx_http_pulse_auth_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt              *h;
    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_pulse_main_conf_t       *pmcf;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_pulse_auth_module);

    if (amcf->ring == NULL) {

        if (amcf->used) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"pulse_auth\" needs \"pulse_auth_keys\"");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_pulse_module);

    if (pmcf->pg.conninfo.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"pulse_auth_keys\" needs \"pulse_postgres\"");
        return NGX_ERROR;
    }

    if (ngx_http_pulse_auth_register(cf,
                                     ngx_http_pulse_auth_access_statements)
        != NGX_OK
        || ngx_http_pulse_auth_register(cf,
                                   ngx_http_pulse_auth_revocation_statements)
           != NGX_OK
        || ngx_http_pulse_auth_register(cf,
                                      ngx_http_pulse_auth_session_statements)
           != NGX_OK
        || ngx_http_pulse_auth_register(cf,
                                        ngx_http_pulse_auth_key_statements)
           != NGX_OK
        || ngx_http_pulse_routes(cf, ngx_http_pulse_auth_session_routes)
           != NGX_OK
        || ngx_http_pulse_routes(cf, ngx_http_pulse_auth_key_routes)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_pulse_auth_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_auth_register(ngx_conf_t *cf,
    ngx_pulse_pg_statement_t *statements)
{
    for ( /* void */ ; statements->name != NULL; statements++) {
        if (ngx_pulse_pg_register(cf, statements) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void *
ngx_http_pulse_auth_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_auth_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_auth_main_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->ring = NULL;
     *     conf->issuer = { 0, NULL };
     *     conf->audience = { 0, NULL };
     *     conf->zone = NULL;
     *     conf->cookie = { 0, NULL };
     *     conf->used = 0;
     *     conf->seed = { 0 };
     */

    if (ngx_array_init(&conf->issuers, cf->pool, 4,
                       sizeof(ngx_http_pulse_auth_issuer_t))
        != NGX_OK)
    {
        return NULL;
    }

    conf->zone_size = NGX_CONF_UNSET_SIZE;
    conf->cookie_secure = NGX_CONF_UNSET_UINT;
    conf->session_time = NGX_CONF_UNSET;
    conf->leeway = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_pulse_auth_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_pulse_auth_main_conf_t *amcf = conf;

    ngx_conf_init_size_value(amcf->zone_size, NGX_HTTP_PULSE_AUTH_ZONE);
    ngx_conf_init_uint_value(amcf->cookie_secure,
                             NGX_HTTP_PULSE_AUTH_SECURE_AUTO);
    ngx_conf_init_value(amcf->session_time, NGX_HTTP_PULSE_AUTH_SESSION_TIME);
    ngx_conf_init_value(amcf->leeway, NGX_HTTP_PULSE_AUTH_LEEWAY);

    if (amcf->issuer.data == NULL) {
        ngx_str_set(&amcf->issuer, "pulse");
    }

    if (amcf->audience.data == NULL) {
        ngx_str_set(&amcf->audience, "pulse");
    }

    if (amcf->cookie.data == NULL) {
        ngx_str_set(&amcf->cookie, "session");
    }

    if (amcf->ring == NULL) {
        return NGX_CONF_OK;
    }

    amcf->zone = ngx_shared_memory_add(cf, &ngx_http_pulse_auth_zone_name,
                                       amcf->zone_size,
                                       &ngx_http_pulse_auth_module);
    if (amcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    amcf->zone->init = ngx_http_pulse_auth_zone_init;

    return ngx_http_pulse_auth_own_issuer(cf, amcf);
}


static char *
ngx_http_pulse_auth_own_issuer(ngx_conf_t *cf,
    ngx_http_pulse_auth_main_conf_t *amcf)
{
    u_char                         buf[NGX_TIME_T_LEN];
    ngx_str_t                      leeway;
    ngx_uint_t                     i, k;
    ngx_http_pulse_auth_issuer_t  *own, *issuer;

    own = ngx_array_push(&amcf->issuers);
    if (own == NULL) {
        return NGX_CONF_ERROR;
    }

    own->issuer = amcf->issuer;
    own->audience = amcf->audience;
    own->jwks = amcf->ring;

    issuer = amcf->issuers.elts;

    for (i = 0; i < amcf->issuers.nelts; i++) {

        for (k = 0; k < i; k++) {
            if (issuer[i].issuer.len == issuer[k].issuer.len
                && ngx_memcmp(issuer[i].issuer.data, issuer[k].issuer.data,
                              issuer[i].issuer.len)
                   == 0)
            {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "two sets of keys for the issuer \"%V\"",
                              &issuer[i].issuer);
                return NGX_CONF_ERROR;
            }
        }

        if (ngx_http_pulse_auth_seed(amcf, &issuer[i].issuer) != NGX_OK
            || ngx_http_pulse_auth_seed(amcf, &issuer[i].audience) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    leeway.data = buf;
    leeway.len = ngx_sprintf(buf, "%T", amcf->leeway) - buf;

    return (ngx_http_pulse_auth_seed(amcf, &leeway) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_pulse_auth_seed(ngx_http_pulse_auth_main_conf_t *amcf,
    ngx_str_t *text)
{
    u_char  hash[NGX_HTTP_PULSE_AUTH_HASH_LEN];

    if (ngx_http_pulse_auth_hash(hash, amcf->seed, sizeof(amcf->seed),
                                 text->data, text->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(amcf->seed, hash, sizeof(hash));

    return NGX_OK;
}


static void *
ngx_http_pulse_auth_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_auth_loc_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(ngx_http_pulse_auth_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->mode = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_pulse_auth_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_pulse_auth_loc_conf_t *prev = parent;
    ngx_http_pulse_auth_loc_conf_t *conf = child;

    ngx_http_pulse_auth_main_conf_t  *amcf;

    ngx_conf_merge_uint_value(conf->mode, prev->mode, NGX_HTTP_PULSE_AUTH_OFF);

    if (conf->mode != NGX_HTTP_PULSE_AUTH_OFF) {
        amcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_pulse_auth_module);
        amcf->used = 1;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_auth_keys_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_auth_main_conf_t *amcf = conf;

    ngx_str_t               *value, text;
    ngx_pulse_jwks_error_t   err;

    if (amcf->ring != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_pulse_auth_read_file(cf, &value[1], &text, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    amcf->ring = ngx_pulse_jwks_ring(cf->pool, &text, &err);

    if (amcf->ring == NULL) {
        return ngx_http_pulse_auth_jwks_error(cf, &value[1], &err);
    }

    if (ngx_http_pulse_auth_seed(amcf, &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_auth_jwks_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_auth_main_conf_t *amcf = conf;

    ngx_str_t                     *value, text;
    ngx_uint_t                     i;
    ngx_pulse_jwks_error_t         err;
    ngx_http_pulse_auth_issuer_t  *issuer;

    issuer = ngx_array_push(&amcf->issuers);
    if (issuer == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(issuer, sizeof(ngx_http_pulse_auth_issuer_t));

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (value[i].len > 7 && ngx_strncmp(value[i].data, "issuer=", 7) == 0)
        {
            issuer->issuer.data = value[i].data + 7;
            issuer->issuer.len = value[i].len - 7;
            continue;
        }

        if (value[i].len > 9
            && ngx_strncmp(value[i].data, "audience=", 9) == 0)
        {
            issuer->audience.data = value[i].data + 9;
            issuer->audience.len = value[i].len - 9;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    if (issuer->issuer.len == 0 || issuer->audience.len == 0) {
        return "needs both \"issuer\" and \"audience\"";
    }

    if (ngx_http_pulse_auth_read_file(cf, &value[1], &text, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    issuer->jwks = ngx_pulse_jwks_foreign(cf->pool, &text, &err);

    if (issuer->jwks == NULL) {
        return ngx_http_pulse_auth_jwks_error(cf, &value[1], &err);
    }

    if (ngx_http_pulse_auth_seed(amcf, &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_auth_jwks_error(ngx_conf_t *cf, ngx_str_t *name,
    ngx_pulse_jwks_error_t *err)
{
    if (err->index < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "keys \"%V\": %s", name,
                           err->reason);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "keys \"%V\": key %i: %s",
                           name, err->index, err->reason);
    }

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_pulse_auth_read_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text, ngx_uint_t secret)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_info_t  fi;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    n = NGX_ERROR;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        goto done;
    }

    if (!ngx_is_file(&fi) || ngx_file_size(&fi) > NGX_PULSE_JWKS_MAX_SIZE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no file of at most 256k", name);
        goto done;
    }

    if (secret && (ngx_file_access(&fi) & S_IRWXO)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "private keys in \"%V\" are open to every user",
                           name);
    }

    text->len = ngx_file_size(&fi);

    text->data = ngx_pnalloc(cf->pool, text->len + 1);
    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_fd(fd, text->data, text->len);

    if (n != (ssize_t) text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", name);
        n = NGX_ERROR;
    }

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    return (n == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* A token as RFC 6265 has it. */

static char *
ngx_http_pulse_auth_check_cookie(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t *name = data;

    size_t  i;

    if (name->len == 0 || name->len > NGX_HTTP_PULSE_AUTH_MAX_COOKIE) {
        return "is not a name of 1 to 64 characters";
    }

    for (i = 0; i < name->len; i++) {
        if (name->data[i] <= ' ' || name->data[i] >= 0x7f
            || ngx_strchr("()<>@,;:\\\"/[]?={}", name->data[i]) != NULL)
        {
            return "is not the name of a cookie";
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_auth_check_zone(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    if (*size < 32 * ngx_pagesize) {
        return "is smaller than 32 pages of memory";
    }

    return NGX_CONF_OK;
}
