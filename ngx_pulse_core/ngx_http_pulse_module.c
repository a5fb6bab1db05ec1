
#include "ngx_http_pulse.h"


#define NGX_HTTP_PULSE_PG_CONNECTIONS      2
#define NGX_HTTP_PULSE_PG_MAX_CONNECTIONS  64
#define NGX_HTTP_PULSE_PG_TIMEOUT          3000
#define NGX_HTTP_PULSE_REDIS_PORT          6379
#define NGX_HTTP_PULSE_REDIS_TIMEOUT       1000
#define NGX_HTTP_PULSE_MAX_NODE            64


static ngx_int_t ngx_http_pulse_init_process(ngx_cycle_t *cycle);
static void ngx_http_pulse_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_pulse_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_pulse_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_pulse_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_pulse_postgres(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_redis_server(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_pulse_redis_address(ngx_conf_t *cf,
    ngx_pulse_redis_conf_t *redis, ngx_str_t *url);
static ngx_int_t ngx_http_pulse_password(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *password);
static ngx_int_t ngx_http_pulse_msec(ngx_str_t *value, size_t prefix,
    ngx_msec_t *msec);
static char *ngx_http_pulse_check_node(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_pulse_check_url(ngx_conf_t *cf, void *post, void *data);
static char *ngx_http_pulse_check_socket(ngx_conf_t *cf, void *post,
    void *data);


static ngx_conf_enum_t  ngx_http_pulse_dialects[] = {
    { ngx_string("studio"), NGX_HTTP_PULSE_STUDIO },
    { ngx_string("openai"), NGX_HTTP_PULSE_OPENAI },
    { ngx_string("anthropic"), NGX_HTTP_PULSE_ANTHROPIC },
    { ngx_string("gemini"), NGX_HTTP_PULSE_GEMINI },
    { ngx_string("responses"), NGX_HTTP_PULSE_RESPONSES },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_pulse_node_post = {
    ngx_http_pulse_check_node
};


static ngx_conf_post_t  ngx_http_pulse_url_post = {
    ngx_http_pulse_check_url
};


static ngx_conf_post_t  ngx_http_pulse_socket_post = {
    ngx_http_pulse_check_socket
};


static ngx_command_t  ngx_http_pulse_commands[] = {

    { ngx_string("pulse_postgres"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_pulse_postgres,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_pulse_redis_server,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_node"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_main_conf_t, node),
      &ngx_http_pulse_node_post },

    { ngx_string("pulse_public_url"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_main_conf_t, public_url),
      &ngx_http_pulse_url_post },

    { ngx_string("pulse_upgrade_url"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_main_conf_t, upgrade_url),
      &ngx_http_pulse_url_post },

    { ngx_string("pulse_sidecar"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_main_conf_t, sidecar),
      &ngx_http_pulse_socket_post },

    { ngx_string("pulse_dialect"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_pulse_loc_conf_t, dialect),
      &ngx_http_pulse_dialects },

    { ngx_string("pulse_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_pulse_api_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_error"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_pulse_error_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_pulse_module_ctx = {
    ngx_http_pulse_preconfiguration,       /* preconfiguration */
    ngx_http_pulse_trace_filter_init,      /* postconfiguration */

    ngx_http_pulse_create_main_conf,       /* create main configuration */
    ngx_http_pulse_init_main_conf,         /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_pulse_create_loc_conf,        /* create location configuration */
    ngx_http_pulse_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_pulse_module = {
    NGX_MODULE_V1,
    &ngx_http_pulse_module_ctx,            /* module context */
    ngx_http_pulse_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_pulse_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_pulse_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * Of the worker, not of a cycle: set in init_process, which runs once in the
 * life of a worker.
 */

ngx_pulse_pg_t     *ngx_http_pulse_pg_pool;
ngx_pulse_redis_t  *ngx_http_pulse_redis_link;


static ngx_int_t
ngx_http_pulse_init_process(ngx_cycle_t *cycle)
{
    ngx_http_pulse_main_conf_t  *pmcf;

    /* the cache manager and the loader come here as well */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    pmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_pulse_module);

    if (pmcf == NULL) {
        return NGX_OK;
    }

    /* a store that is down is no reason to fail: that would end the worker */

    if (pmcf->pg.conninfo.len) {
        ngx_http_pulse_pg_pool = ngx_pulse_pg_create(&pmcf->pg, cycle->log);

        if (ngx_http_pulse_pg_pool == NULL) {
            return NGX_ERROR;
        }
    }

    if (pmcf->redis_on) {
        ngx_http_pulse_redis_link = ngx_pulse_redis_create(&pmcf->redis,
                                                           cycle->log);

        if (ngx_http_pulse_redis_link == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Handlers of what is still under way run here; they find no store, so that
 * none of them sends anew.
 */

static void
ngx_http_pulse_exit_process(ngx_cycle_t *cycle)
{
    ngx_pulse_pg_t     *pg;
    ngx_pulse_redis_t  *rd;

    pg = ngx_http_pulse_pg_pool;
    rd = ngx_http_pulse_redis_link;

    ngx_http_pulse_pg_pool = NULL;
    ngx_http_pulse_redis_link = NULL;

    if (pg) {
        ngx_pulse_pg_destroy(pg);
    }

    if (rd) {
        ngx_pulse_redis_destroy(rd);
    }
}


/* The first of the suite: what others register comes after this. */

static ngx_int_t
ngx_http_pulse_preconfiguration(ngx_conf_t *cf)
{
    ngx_pulse_pg_reset_statements();

    if (ngx_pulse_metrics_zone(cf, &ngx_http_pulse_module) != NGX_OK
        || ngx_pulse_pg_metrics(cf) != NGX_OK
        || ngx_pulse_redis_metrics(cf) != NGX_OK
        || ngx_http_pulse_add_variables(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_pulse_health_init(cf);
}


static void *
ngx_http_pulse_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_main_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->pg = { 0 };
     *     conf->redis = { 0 };
     *     conf->redis_on = 0;
     *     conf->node = { 0, NULL };
     *     conf->public_url = { 0, NULL };
     *     conf->upgrade_url = { 0, NULL };
     *     conf->sidecar = { 0, NULL };
     */

    if (ngx_array_init(&conf->routes, cf->pool, 32,
                       sizeof(ngx_http_pulse_route_t))
        != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


static char *
ngx_http_pulse_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_pulse_main_conf_t  *pmcf = conf;

    if (pmcf->node.data) {
        return NGX_CONF_OK;
    }

    pmcf->node = cf->cycle->hostname;

    if (ngx_http_pulse_check_node(cf, NULL, &pmcf->node) != NGX_CONF_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "host name \"%V\" cannot be the name of a node, "
                      "\"pulse_node\" is needed", &pmcf->node);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_pulse_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->dialect = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_pulse_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_pulse_loc_conf_t *prev = parent;
    ngx_http_pulse_loc_conf_t *conf = child;

    ngx_conf_merge_uint_value(conf->dialect, prev->dialect,
                              NGX_HTTP_PULSE_STUDIO);

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_postgres(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_main_conf_t  *pmcf = conf;

    ngx_int_t             n;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_pulse_pg_conf_t  *pg;

    pg = &pmcf->pg;

    if (pg->conninfo.data) {
        return "is duplicate";
    }

    pg->connections = NGX_HTTP_PULSE_PG_CONNECTIONS;
    pg->timeout = NGX_HTTP_PULSE_PG_TIMEOUT;
    pg->connect_timeout = NGX_HTTP_PULSE_PG_TIMEOUT;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "connections=", 12) == 0) {
            n = ngx_atoi(value[i].data + 12, value[i].len - 12);

            if (n < 1 || n > NGX_HTTP_PULSE_PG_MAX_CONNECTIONS) {
                goto invalid;
            }

            pg->connections = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            if (ngx_http_pulse_msec(&value[i], 8, &pg->timeout) != NGX_OK) {
                goto invalid;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "connect_timeout=", 16) == 0) {
            if (ngx_http_pulse_msec(&value[i], 16, &pg->connect_timeout)
                != NGX_OK)
            {
                goto invalid;
            }

            continue;
        }

        /* not shown: it may be a part of an unquoted connection string */

        return "has an unknown parameter; is the connection string quoted?";
    }

    if (ngx_pulse_pg_conninfo(cf, pg, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_pulse_redis_server(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_main_conf_t  *pmcf = conf;

    ngx_int_t                n;
    ngx_str_t               *value, s;
    ngx_uint_t               i;
    ngx_pulse_redis_conf_t  *redis;

    if (pmcf->redis_on) {
        return "is duplicate";
    }

    pmcf->redis_on = 1;

    redis = &pmcf->redis;
    redis->timeout = NGX_HTTP_PULSE_REDIS_TIMEOUT;
    redis->connect_timeout = NGX_HTTP_PULSE_REDIS_TIMEOUT;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "password_file=", 14) == 0) {
            s.len = value[i].len - 14;
            s.data = value[i].data + 14;

            if (ngx_http_pulse_password(cf, &s, &redis->password) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "database=", 9) == 0) {
            n = ngx_atoi(value[i].data + 9, value[i].len - 9);

            if (n == NGX_ERROR) {
                goto invalid;
            }

            redis->database = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            if (ngx_http_pulse_msec(&value[i], 8, &redis->timeout) != NGX_OK)
            {
                goto invalid;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "connect_timeout=", 16) == 0) {
            if (ngx_http_pulse_msec(&value[i], 16, &redis->connect_timeout)
                != NGX_OK)
            {
                goto invalid;
            }

            continue;
        }

        goto invalid;
    }

    if (ngx_http_pulse_redis_address(cf, redis, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_pulse_redis_address(ngx_conf_t *cf, ngx_pulse_redis_conf_t *redis,
    ngx_str_t *url)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *url;
    u.default_port = NGX_HTTP_PULSE_REDIS_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\" of \"pulse_redis\"",
                           u.err ? u.err : "no address", url);
        return NGX_ERROR;
    }

    redis->addr = u.addrs[0];

    if (u.family == AF_UNIX) {

        /* of a configuration value, and so terminated by NUL */

        redis->unix_path.len = url->len - 5;
        redis->unix_path.data = url->data + 5;
    }

    return NGX_OK;
}


/* The first line of a file. */

static ngx_int_t
ngx_http_pulse_password(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *password)
{
    u_char    text[512];
    size_t    len;
    ssize_t   n;
    ngx_fd_t  fd;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, text, sizeof(text));

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", name);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    if (n == -1) {
        return NGX_ERROR;
    }

    for (len = 0; len < (size_t) n; len++) {
        if (text[len] == LF || text[len] == CR) {
            break;
        }
    }

    if (len == 0 || len == sizeof(text)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no password in \"%V\", or one that is too long",
                           name);
        return NGX_ERROR;
    }

    password->len = len;
    password->data = ngx_pnalloc(cf->pool, len);

    if (password->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(password->data, text, len);
    ngx_explicit_memzero(text, sizeof(text));

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_msec(ngx_str_t *value, size_t prefix, ngx_msec_t *msec)
{
    ngx_str_t  s;

    s.len = value->len - prefix;
    s.data = value->data + prefix;

    *msec = ngx_parse_time(&s, 0);

    if (*msec == (ngx_msec_t) NGX_ERROR || *msec == 0) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_pulse_check_node(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *node = data;

    if (node->len == 0 || node->len > NGX_HTTP_PULSE_MAX_NODE) {
        return "takes a name of 1 to 64 characters";
    }

    if (!ngx_pulse_name_valid(node)) {
        return "takes letters, digits, \".\", \"_\" and \"-\" only";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_check_url(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *url = data;

    size_t  prefix;

    if (ngx_strncmp(url->data, "https://", 8) == 0) {
        prefix = 8;

    } else if (ngx_strncmp(url->data, "http://", 7) == 0) {
        prefix = 7;

    } else {
        return "takes a URL that begins with \"https://\" or \"http://\"";
    }

    /* paths are put behind it */

    while (url->len > prefix && url->data[url->len - 1] == '/') {
        url->len--;
    }

    if (url->len == prefix) {
        return "takes a URL with a host";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_check_socket(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *socket = data;

    struct sockaddr_un  sun;

    if (socket->len < 7 || ngx_strncmp(socket->data, "unix:/", 6) != 0) {
        return "takes the path of a socket, as \"unix:/run/pulse.sock\"";
    }

    if (socket->len - 5 >= sizeof(sun.sun_path)) {
        return "takes a shorter path";
    }

    return NGX_CONF_OK;
}
