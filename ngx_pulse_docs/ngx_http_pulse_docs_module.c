
#include "ngx_http_pulse_docs.h"


#define NGX_HTTP_PULSE_DOCS_CONNECT  2000
#define NGX_HTTP_PULSE_DOCS_SEND     30000
#define NGX_HTTP_PULSE_DOCS_READ     120000     /* outlines of long decks */
#define NGX_HTTP_PULSE_DOCS_BUFFER   16384

#define NGX_HTTP_PULSE_DOCS_KEY_MAX  128


static ngx_int_t ngx_http_pulse_docs_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_pulse_docs_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_docs_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_pulse_docs_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_docs_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_pulse_docs(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_docs_files(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_docs_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_pulse_docs_key(ngx_conf_t *cf, ngx_str_t *name,
    ngx_pulse_link_key_t *key);


static ngx_command_t  ngx_http_pulse_docs_commands[] = {

    { ngx_string("pulse_file_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_pulse_docs_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_docs"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_pulse_docs,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_docs_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_pulse_docs_loc_conf_t, upstream.read_timeout),
      NULL },

    { ngx_string("pulse_files"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_pulse_docs_files,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_pulse_docs_module_ctx = {
    ngx_http_pulse_docs_preconfiguration,  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_pulse_docs_create_main_conf,  /* create main configuration */
    ngx_http_pulse_docs_init_main_conf,    /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_pulse_docs_create_loc_conf,   /* create location configuration */
    ngx_http_pulse_docs_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_pulse_docs_module = {
    NGX_MODULE_V1,
    &ngx_http_pulse_docs_module_ctx,       /* module context */
    ngx_http_pulse_docs_commands,          /* module directives */
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


static ngx_int_t
ngx_http_pulse_docs_preconfiguration(ngx_conf_t *cf)
{
    return ngx_pulse_pg_register(cf, &ngx_http_pulse_docs_feature_statement);
}


static void *
ngx_http_pulse_docs_create_main_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     conf->store = { 0, NULL };
     *     conf->key = NULL;
     *     conf->sidecar = { 0 };
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_docs_main_conf_t));
}


/* The sidecar's address, as requests take it. */

static char *
ngx_http_pulse_docs_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_pulse_docs_main_conf_t *dmcf = conf;

    struct sockaddr_un          *sun;
    ngx_http_pulse_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_pulse_module);

    if (pmcf->sidecar.len == 0) {
        return NGX_CONF_OK;
    }

    sun = ngx_pcalloc(cf->pool, sizeof(struct sockaddr_un));
    if (sun == NULL) {
        return NGX_CONF_ERROR;
    }

    /* its length was checked by "pulse_sidecar" */

    sun->sun_family = AF_UNIX;
    ngx_memcpy(sun->sun_path, pmcf->sidecar.data + 5, pmcf->sidecar.len - 5);

    dmcf->sidecar.host = pmcf->sidecar;
    dmcf->sidecar.name = pmcf->sidecar;
    dmcf->sidecar.no_port = 1;
    dmcf->sidecar.naddrs = 1;
    dmcf->sidecar.sockaddr = (struct sockaddr *) sun;
    dmcf->sidecar.socklen = sizeof(struct sockaddr_un);

    return NGX_CONF_OK;
}


static void *
ngx_http_pulse_docs_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_docs_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_docs_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->feature = { 0, NULL };
     *     conf->stored = { 0, NULL };
     *     conf->chat = 0;
     *     conf->form = 0;
     *     conf->open = 0;
     *     conf->upstream.buffering = 0; and all else that is of no use here;
     *     hide_headers_hash stays empty: no header of the sidecar gets into
     *     the list that it is asked for
     */

    conf->upstream.read_timeout = NGX_CONF_UNSET_MSEC;

    ngx_str_set(&conf->upstream.module, "pulse_docs");
    conf->upstream.connect_timeout = NGX_HTTP_PULSE_DOCS_CONNECT;
    conf->upstream.send_timeout = NGX_HTTP_PULSE_DOCS_SEND;
    conf->upstream.buffer_size = NGX_HTTP_PULSE_DOCS_BUFFER;
    conf->upstream.request_buffering = 1;
    conf->upstream.pass_request_headers = 1;
    conf->upstream.pass_request_body = 1;

    return conf;
}


static char *
ngx_http_pulse_docs_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_pulse_docs_loc_conf_t *prev = parent;
    ngx_http_pulse_docs_loc_conf_t *conf = child;

    ngx_conf_merge_msec_value(conf->upstream.read_timeout,
                              prev->upstream.read_timeout,
                              NGX_HTTP_PULSE_DOCS_READ);

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_docs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_docs_loc_conf_t *dlcf = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == ngx_http_pulse_docs_handler) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 4 && ngx_strncmp(value[i].data, "chat", 4) == 0) {
            dlcf->chat = 1;
            continue;
        }

        if (value[i].len == 4 && ngx_strncmp(value[i].data, "form", 4) == 0) {
            dlcf->form = 1;
            continue;
        }

        if (value[i].len == 6
            && ngx_strncmp(value[i].data, "public", 6) == 0)
        {
            dlcf->open = 1;
            continue;
        }

        if (value[i].len <= 8
            || ngx_strncmp(value[i].data, "feature=", 8) != 0)
        {
            return "takes \"feature=NAME\", \"chat\", \"form\" and"
                   " \"public\" only";
        }

        dlcf->feature.data = value[i].data + 8;
        dlcf->feature.len = value[i].len - 8;
    }

    if (dlcf->open && cf->args->nelts != 2) {
        return "takes nothing beside \"public\"";
    }

    clcf->handler = ngx_http_pulse_docs_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_docs_files(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_docs_loc_conf_t *dlcf = conf;

    ngx_str_t                        *value;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_pulse_docs_main_conf_t  *dmcf;

    value = cf->args->elts;

    if (dlcf->stored.data) {
        return "is duplicate";
    }

    if (value[1].data[0] != '/' || value[1].data[value[1].len - 1] != '/') {
        return "takes the name of a location that begins and ends with \"/\"";
    }

    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_pulse_docs_module);

    if (dmcf->key == NULL) {
        return "needs \"pulse_file_store\" before it";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->name.len == 0 || clcf->name.data[clcf->name.len - 1] != '/') {
        return "is of use in a location whose name ends with \"/\" only";
    }

    dlcf->stored = value[1];
    clcf->handler = ngx_http_pulse_docs_files_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_docs_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_docs_main_conf_t *dmcf = conf;

    ngx_str_t  *value, name;

    value = cf->args->elts;

    if (dmcf->key) {
        return "is duplicate";
    }

    if (value[2].len <= 4 || ngx_strncmp(value[2].data, "key=", 4) != 0) {
        return "takes a directory and \"key=FILE\"";
    }

    /* the sidecar makes both, so that they are kept with what is of a run,
     * below the prefix */

    dmcf->store = value[1];

    name.data = value[2].data + 4;
    name.len = value[2].len - 4;

    if (ngx_conf_full_name(cf->cycle, &dmcf->store, 0) != NGX_OK
        || ngx_conf_full_name(cf->cycle, &name, 0) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    dmcf->key = ngx_palloc(cf->pool, sizeof(ngx_pulse_link_key_t));

    if (dmcf->key == NULL
        || ngx_http_pulse_docs_key(cf, &name, dmcf->key) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_pulse_docs_key(ngx_conf_t *cf, ngx_str_t *name,
    ngx_pulse_link_key_t *key)
{
    u_char     buf[NGX_HTTP_PULSE_DOCS_KEY_MAX];
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_int_t  rc;
    ngx_str_t  text;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "the key \"%V\" cannot be opened (pulse-sidecar"
                           " makes it)", name);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));

    (void) ngx_close_file(fd);

    text.data = buf;
    text.len = (n > 0) ? n : 0;

    rc = ngx_pulse_link_key(key, &text);

    ngx_explicit_memzero(buf, sizeof(buf));

    if (rc != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the file \"%V\" holds no key of 64 hexadecimal"
                           " digits", name);
    }

    return rc;
}
