
#include <openssl/rand.h>
#include "ngx_http_pulse_moderation.h"
#include "ngx_pulse_json_string.h"


/*
 * A prompt is looked at before anything is reserved for it, so that one which
 * is refused costs nothing and no provider has seen it.
 */


#define NGX_HTTP_PULSE_MODERATION_RULES    (1024 * 1024)
#define NGX_HTTP_PULSE_MODERATION_KEY      4096
#define NGX_HTTP_PULSE_MODERATION_TIMEOUT  5000
#define NGX_HTTP_PULSE_MODERATION_ANSWER   (1024 * 1024)


static ngx_http_pulse_moderation_ctx_t *ngx_http_pulse_moderation_make(
    ngx_http_request_t *r);
static void ngx_http_pulse_moderation_cleanup(void *data);
static ngx_int_t ngx_http_pulse_moderation_refuse(ngx_http_request_t *r,
    const char *by, const ngx_pulse_buf_t *names, const ngx_pulse_buf_t *text);

static ngx_int_t ngx_http_pulse_moderation_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_pulse_moderation_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_moderation_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void *ngx_http_pulse_moderation_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_moderation_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_pulse_moderation_need(ngx_conf_t *cf,
    ngx_http_pulse_moderation_loc_conf_t *conf);
static char *ngx_http_pulse_moderation_provider_conf(ngx_conf_t *cf,
    ngx_http_pulse_moderation_main_conf_t *mmcf);
static ngx_int_t ngx_http_pulse_moderation_init_zone(ngx_shm_zone_t *zone,
    void *data);
static char *ngx_http_pulse_moderation(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_moderation_rules(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_pulse_moderation_key(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_pulse_moderation_provider(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);


/* by the bits of a mode, and then by what happens if the provider is down */

static ngx_str_t  ngx_http_pulse_moderation_modes[] = {
    ngx_string("off"), ngx_string("local"),
    ngx_string("provider refuse"), ngx_string("both refuse"),
    ngx_string("off"), ngx_string("local"),
    ngx_string("provider pass"), ngx_string("both pass")
};


static ngx_command_t  ngx_http_pulse_moderation_commands[] = {

    { ngx_string("pulse_moderation"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_pulse_moderation,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_moderation_rules"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_pulse_moderation_rules,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_moderation_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_pulse_moderation_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_moderation_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_pulse_moderation_provider,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_pulse_moderation_module_ctx = {
    ngx_http_pulse_moderation_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_pulse_moderation_create_main_conf, /* create main configuration */
    ngx_http_pulse_moderation_init_main_conf,   /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_pulse_moderation_create_loc_conf,  /* create location
                                                   configuration */
    ngx_http_pulse_moderation_merge_loc_conf    /* merge location
                                                   configuration */
};


ngx_module_t  ngx_http_pulse_moderation_module = {
    NGX_MODULE_V1,
    &ngx_http_pulse_moderation_module_ctx, /* module context */
    ngx_http_pulse_moderation_commands,    /* module directives */
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


ngx_int_t
ngx_http_pulse_moderation_local(ngx_http_request_t *r, const ngx_str_t *body,
    ngx_int_t *rc)
{
    ngx_str_t                               where;
    ngx_pulse_buf_t                        *names, *text;
    ngx_pulse_moderation_t                  m;
    ngx_http_pulse_moderation_loc_conf_t   *mlcf;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_moderation_module);

    if (!(mlcf->mode & NGX_HTTP_PULSE_MODERATION_LOCAL)) {
        return NGX_OK;
    }

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_moderation_module);

    ngx_pulse_moderation_start(&m, mmcf->rules);

    if (ngx_pulse_moderation_json(&m, body, &where) == 0) {

        if (mlcf->mode == NGX_HTTP_PULSE_MODERATION_LOCAL) {
            ngx_http_pulse_moderation_count(
                                     NGX_HTTP_PULSE_MODERATION_COUNT_PASSED);
        }

        return NGX_OK;
    }

    ngx_http_pulse_moderation_count(NGX_HTTP_PULSE_MODERATION_COUNT_RULES);

    names = ngx_http_pulse_buf(r, 0);
    text = ngx_http_pulse_buf(r, 0);

    if (names == NULL || text == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DECLINED;
    }

    ngx_pulse_moderation_names(mmcf->rules, m.categories, names);
    ngx_pulse_json_decode(text, where.data, where.data + where.len);

    *rc = ngx_http_pulse_moderation_refuse(r, "rules", names, text);

    return NGX_DECLINED;
}


void
ngx_http_pulse_moderation_ask(ngx_http_request_t *r, const ngx_str_t *body,
    ngx_http_pulse_moderation_pt handler, void *data)
{
    ngx_int_t                              rc;
    ngx_http_pulse_moderation_ctx_t       *ctx;
    ngx_http_pulse_moderation_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_moderation_module);

    if (!(mlcf->mode & NGX_HTTP_PULSE_MODERATION_PROVIDER)) {
        handler(r, data);
        return;
    }

    rc = NGX_ERROR;
    ctx = ngx_http_pulse_moderation_make(r);

    if (ctx) {
        ctx->handler = handler;
        ctx->data = data;

        rc = ngx_pulse_moderation_question_read(&ctx->question, body);
    }

    switch (rc) {

    case NGX_OK:
        ngx_http_pulse_moderation_call(ctx);
        break;

    case NGX_DECLINED:
        ctx->verdict = NGX_HTTP_PULSE_MODERATION_UNFIT;
        ngx_http_pulse_moderation_done(ctx);
        break;

    default: /* NGX_ERROR */
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static ngx_http_pulse_moderation_ctx_t *
ngx_http_pulse_moderation_make(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t               *cln;
    ngx_http_pulse_moderation_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_moderation_ctx_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (ctx == NULL || cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_pulse_moderation_cleanup;
    cln->data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_pulse_moderation_module);

    ctx->request = r;
    ctx->start = ngx_current_msec;

    ngx_pulse_buf_init(&ctx->categories, 0);
    ngx_pulse_buf_init(&ctx->body, 0);
    ngx_pulse_buf_init(&ctx->answer, NGX_HTTP_PULSE_MODERATION_ANSWER);

    if (ngx_pulse_moderation_question(&ctx->question, r->pool) != NGX_OK) {
        return NULL;
    }

    return ctx;
}


/* The provider has said all, or nothing that is of use. */

void
ngx_http_pulse_moderation_done(ngx_http_pulse_moderation_ctx_t *ctx)
{
    ngx_int_t                              rc;
    ngx_http_request_t                    *r;
    ngx_http_pulse_moderation_loc_conf_t  *mlcf;

    static ngx_str_t  down = ngx_string("{\"reason\":\"moderation\"}");

    r = ctx->request;
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_moderation_module);

    ngx_http_pulse_moderation_observe(ngx_current_msec - ctx->start);

    switch (ctx->verdict) {

    case NGX_HTTP_PULSE_MODERATION_PASSED:
        ngx_http_pulse_moderation_count(
                                     NGX_HTTP_PULSE_MODERATION_COUNT_PASSED);
        ctx->handler(r, ctx->data);
        return;

    case NGX_HTTP_PULSE_MODERATION_FLAGGED:
        ngx_http_pulse_moderation_count(
                                   NGX_HTTP_PULSE_MODERATION_COUNT_PROVIDER);
        rc = ngx_http_pulse_moderation_refuse(r, "provider",
                                              &ctx->categories,
                                              &ctx->question.text);
        break;

    case NGX_HTTP_PULSE_MODERATION_UNFIT:
        ngx_http_pulse_moderation_count(
                                      NGX_HTTP_PULSE_MODERATION_COUNT_UNFIT);
        rc = ngx_http_pulse_invalid(r, "", "has more than 16 pictures, or one"
                                           " that moderation cannot read");
        break;

    default: /* NGX_HTTP_PULSE_MODERATION_DOWN */

        if (mlcf->pass) {
            ngx_http_pulse_moderation_count(
                                  NGX_HTTP_PULSE_MODERATION_COUNT_UNCHECKED);
            ctx->handler(r, ctx->data);
            return;
        }

        ngx_http_pulse_moderation_count(
                                    NGX_HTTP_PULSE_MODERATION_COUNT_REFUSED);
        rc = ngx_http_pulse_error(r, NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE,
                                  &down);
    }

    ngx_http_finalize_request(r, rc);
}


/* The log has what was refused as a hash only. */

static ngx_int_t
ngx_http_pulse_moderation_refuse(ngx_http_request_t *r, const char *by,
    const ngx_pulse_buf_t *names, const ngx_pulse_buf_t *text)
{
    u_char                                  hash[NGX_PULSE_MODERATION_HASH];
    ngx_str_t                               categories, details;
    ngx_pulse_buf_t                        *b;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    b = ngx_http_pulse_buf(r, 0);

    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_pulse_buf_literal(b, "{\"categories\":");
    ngx_pulse_buf_str(b, names);
    ngx_pulse_buf_char(b, '}');

    if (names->failed || text->failed || b->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    categories.data = names->data;
    categories.len = names->len;

    details.data = b->data;
    details.len = b->len;

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_moderation_module);

    ngx_pulse_moderation_hash(&mmcf->key, text->data, text->len, hash);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "pulse moderation: flagged by %s: %V: %*s", by, &categories,
                  (size_t) NGX_PULSE_MODERATION_HASH, hash);

    ngx_http_pulse_moderation_count_categories(&categories);

    return ngx_http_pulse_error(r, NGX_HTTP_PULSE_CONTENT_FLAGGED, &details);
}


static void
ngx_http_pulse_moderation_cleanup(void *data)
{
    ngx_http_pulse_moderation_ctx_t *ctx = data;

    if (ctx->asked) {

        /* the client left: another one may probe */

        ngx_http_pulse_moderation_told(ctx,
                                       NGX_HTTP_PULSE_MODERATION_NOTHING);
    }

    ngx_pulse_buf_free(&ctx->categories);
    ngx_pulse_buf_free(&ctx->body);
    ngx_pulse_buf_free(&ctx->answer);
}


ngx_str_t
ngx_http_pulse_moderation_header(ngx_http_request_t *r)
{
    ngx_http_pulse_moderation_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_moderation_module);

    return ngx_http_pulse_moderation_modes[mlcf->mode + 4 * mlcf->pass];
}


static ngx_int_t
ngx_http_pulse_moderation_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_pulse_moderation_metrics(cf);
}


static void *
ngx_http_pulse_moderation_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mmcf = ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_pulse_moderation_main_conf_t));
    if (mmcf == NULL) {
        return NULL;
    }

    ngx_str_set(&mmcf->name, "openai");
    ngx_str_set(&mmcf->model, "omni-moderation-latest");
    mmcf->timeout = NGX_HTTP_PULSE_MODERATION_TIMEOUT;

    return mmcf;
}


/* Without a key of its own a configuration's hashes compare with one another
 * only. */

static char *
ngx_http_pulse_moderation_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_pulse_moderation_main_conf_t *mmcf = conf;

    if (mmcf->key.len) {
        return NGX_CONF_OK;
    }

    mmcf->key.data = ngx_pnalloc(cf->pool, NGX_PULSE_MODERATION_KEY);

    if (mmcf->key.data == NULL
        || RAND_bytes(mmcf->key.data, NGX_PULSE_MODERATION_KEY) != 1)
    {
        return NGX_CONF_ERROR;
    }

    mmcf->key.len = NGX_PULSE_MODERATION_KEY;

    return NGX_CONF_OK;
}


static void *
ngx_http_pulse_moderation_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_moderation_loc_conf_t  *mlcf;

    mlcf = ngx_palloc(cf->pool, sizeof(ngx_http_pulse_moderation_loc_conf_t));
    if (mlcf == NULL) {
        return NULL;
    }

    mlcf->mode = NGX_CONF_UNSET_UINT;
    mlcf->pass = NGX_CONF_UNSET_UINT;

    return mlcf;
}


static char *
ngx_http_pulse_moderation_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_pulse_moderation_loc_conf_t *prev = parent;
    ngx_http_pulse_moderation_loc_conf_t *conf = child;

    /* one directive sets both */

    ngx_conf_merge_uint_value(conf->mode, prev->mode, 0);
    ngx_conf_merge_uint_value(conf->pass, prev->pass, 0);

    return ngx_http_pulse_moderation_need(cf, conf);
}


static char *
ngx_http_pulse_moderation_need(ngx_conf_t *cf,
    ngx_http_pulse_moderation_loc_conf_t *conf)
{
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf,
                                            ngx_http_pulse_moderation_module);

    if ((conf->mode & NGX_HTTP_PULSE_MODERATION_LOCAL)
        && mmcf->rules == NULL)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"pulse_moderation\" needs \"pulse_moderation_rules\"");
        return NGX_CONF_ERROR;
    }

    if ((conf->mode & NGX_HTTP_PULSE_MODERATION_PROVIDER)
        && mmcf->provider == NULL)
    {
        return ngx_http_pulse_moderation_provider_conf(cf, mmcf);
    }

    return NGX_CONF_OK;
}


/*
 * The provider is asked as the gateway asks it, but with a patience and a
 * breaker of its own: chats may be limited where moderation is not, and the
 * other way round.
 */

static char *
ngx_http_pulse_moderation_provider_conf(ngx_conf_t *cf,
    ngx_http_pulse_moderation_main_conf_t *mmcf)
{
    ngx_str_t                            name;
    ngx_http_upstream_conf_t            *upstream;
    ngx_http_pulse_provider_t           *provider;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_pulse_gateway_module);

    provider = ngx_http_pulse_provider_find(gmcf, &mmcf->name);

    if (provider == NULL
        || !(provider->dialects & (1 << NGX_PULSE_DIALECT_OPENAI)))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"pulse_moderation\" needs the provider \"%V\", in"
                      " OpenAI's dialect", &mmcf->name);
        return NGX_CONF_ERROR;
    }

    mmcf->provider = provider;
    mmcf->upstream = provider->waiting;
    mmcf->ssl_name.value = provider->ssl_name;

    upstream = &mmcf->upstream;

    upstream->upstream = provider->peers;
    upstream->connect_timeout = ngx_min(upstream->connect_timeout,
                                        mmcf->timeout);
    upstream->send_timeout = mmcf->timeout;
    upstream->read_timeout = mmcf->timeout;
    upstream->next_upstream_timeout = mmcf->timeout;

#if (NGX_HTTP_SSL)
    upstream->ssl_name = &mmcf->ssl_name;
#endif

    ngx_str_set(&name, "pulse_moderation");

    mmcf->zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                       &ngx_http_pulse_moderation_module);
    if (mmcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    mmcf->zone->init = ngx_http_pulse_moderation_init_zone;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_pulse_moderation_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    shpool->data = ngx_slab_calloc(shpool, sizeof(ngx_pulse_breaker_t));
    zone->data = shpool->data;

    return zone->data ? NGX_OK : NGX_ERROR;
}


/* "pulse_moderation off|local|provider|both [down=refuse|pass];" */

static char *
ngx_http_pulse_moderation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_moderation_loc_conf_t *mlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    static ngx_str_t  names[] = {
        ngx_string("off"), ngx_string("local"), ngx_string("provider"),
        ngx_string("both")
    };

    if (mlcf->mode != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < 4; i++) {
        if (names[i].len == value[1].len
            && ngx_memcmp(names[i].data, value[1].data, value[1].len) == 0)
        {
            mlcf->mode = i;
            break;
        }
    }

    if (i == 4) {
        return "is \"off\", \"local\", \"provider\" or \"both\"";
    }

    mlcf->pass = 0;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[2].data, "down=pass") == 0) {
        mlcf->pass = 1;

    } else if (ngx_strcmp(value[2].data, "down=refuse") != 0) {
        return "has another parameter than \"down=refuse\" or"
               " \"down=pass\"";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_moderation_rules(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_moderation_main_conf_t *mmcf = conf;

    ngx_str_t                     *value, text;
    ngx_uint_t                     i;
    ngx_pulse_moderation_fault_t   fault;

    if (mmcf->rules) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_pulse_gateway_file(cf, &value[1],
                                    NGX_HTTP_PULSE_MODERATION_RULES, &text)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    mmcf->rules = ngx_pulse_moderation_read(cf->pool, &text, &fault);

    if (mmcf->rules == NULL) {

        if (fault.reason) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "pulse moderation: \"%V\": line %ui %s",
                               &value[1], fault.line, fault.reason);
        }

        return NGX_CONF_ERROR;
    }

    for (i = 0; i < mmcf->rules->ncategories; i++) {
        ngx_http_pulse_moderation_category(&mmcf->rules->categories[i]);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_moderation_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_moderation_main_conf_t *mmcf = conf;

    ngx_str_t  *value;

    if (mmcf->key.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_pulse_gateway_file(cf, &value[1],
                                    NGX_HTTP_PULSE_MODERATION_KEY, &mmcf->key)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (mmcf->key.len < NGX_PULSE_MODERATION_KEY) {
        return "needs a file of 32 bytes or more";
    }

    return NGX_CONF_OK;
}


/* "pulse_moderation_provider NAME [model=NAME] [timeout=TIME];" */

static char *
ngx_http_pulse_moderation_provider(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_moderation_main_conf_t *mmcf = conf;

    ngx_str_t   *value, s;
    ngx_uint_t   i;

    value = cf->args->elts;

    mmcf->name = value[1];

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "model=", 6) == 0
            && value[i].len > 6)
        {
            mmcf->model.data = value[i].data + 6;
            mmcf->model.len = value[i].len - 6;
            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;

            mmcf->timeout = ngx_parse_time(&s, 0);

            if (mmcf->timeout != (ngx_msec_t) NGX_ERROR && mmcf->timeout) {
                continue;
            }
        }

        return "has another parameter than \"model=NAME\" or"
               " \"timeout=TIME\"";
    }

    return NGX_CONF_OK;
}
