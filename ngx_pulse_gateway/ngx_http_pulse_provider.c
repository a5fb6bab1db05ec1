
#include "ngx_http_pulse_provider.h"


#define NGX_HTTP_PULSE_PROVIDER_KEY_MAX  4096


static char *ngx_http_pulse_provider_directive(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_pulse_provider_base_url(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_pulse_provider_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_provider_dialect(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_pulse_provider_globs(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_pulse_provider_value(ngx_conf_t *cf,
    ngx_str_t *value);
static ngx_int_t ngx_http_pulse_provider_key_file(ngx_conf_t *cf,
    ngx_str_t *path, ngx_str_t *key);

static char *ngx_http_pulse_provider_make(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *conf);
static char *ngx_http_pulse_provider_url(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *conf, ngx_url_t *u);
static ngx_int_t ngx_http_pulse_provider_sidecar(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *conf);
static ngx_uint_t ngx_http_pulse_provider_loopback(ngx_url_t *u);
static ngx_int_t ngx_http_pulse_provider_names(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *conf, ngx_url_t *u);
static ngx_int_t ngx_http_pulse_provider_headers(ngx_conf_t *cf,
    ngx_http_pulse_provider_t *provider, ngx_str_t *key);


static ngx_command_t  ngx_http_pulse_provider_commands[] = {

    { ngx_string("base_url"),
      NGX_CONF_TAKE12,
      ngx_http_pulse_provider_base_url,
      0,
      0,
      NULL },

    { ngx_string("key"),
      NGX_CONF_TAKE12,
      ngx_http_pulse_provider_key,
      0,
      0,
      NULL },

    { ngx_string("dialect"),
      NGX_CONF_1MORE,
      ngx_http_pulse_provider_dialect,
      0,
      0,
      NULL },

    { ngx_string("models"),
      NGX_CONF_1MORE,
      ngx_http_pulse_provider_globs,
      0,
      0,
      NULL },

    { ngx_string("upstream"),
      NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, upstream),
      NULL },

    { ngx_string("keepalive"),
      NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, keepalive),
      NULL },

    { ngx_string("connect_timeout"),
      NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, connect_timeout),
      NULL },

    { ngx_string("send_timeout"),
      NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, send_timeout),
      NULL },

    { ngx_string("read_timeout"),
      NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, read_timeout),
      NULL },

    { ngx_string("first_byte_timeout"),
      NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, first_byte_timeout),
      NULL },

    { ngx_string("first_token_timeout"),
      NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, first_token_timeout),
      NULL },

    { ngx_string("total_timeout"),
      NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, total_timeout),
      NULL },

    { ngx_string("client_gone"),
      NGX_CONF_1MORE,
      ngx_http_pulse_provider_client_gone,
      0,
      0,
      NULL },

    { ngx_string("breaker"),
      NGX_CONF_1MORE,
      ngx_http_pulse_provider_breaker,
      0,
      0,
      NULL },

    { ngx_string("ssl_trusted_certificate"),
      NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, certificate),
      NULL },

    { ngx_string("ssl_verify"),
      NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, ssl_verify),
      NULL },

    { ngx_string("allow_insecure"),
      NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, insecure),
      NULL },

    { ngx_string("standby"),
      NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, standby),
      NULL },

    { ngx_string("prefix_only"),
      NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      0,
      offsetof(ngx_http_pulse_provider_conf_t, prefix_only),
      NULL },

      ngx_null_command
};


char *
ngx_http_pulse_provider_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_gateway_main_conf_t *gmcf = conf;

    char                             *rv;
    ngx_str_t                        *value;
    ngx_conf_t                        save;
    ngx_http_pulse_provider_t        *provider, **pp;
    ngx_http_pulse_provider_conf_t    pc;

    value = cf->args->elts;

    if (!ngx_pulse_models_provider(&value[1])) {
        return "takes a name of " NGX_PULSE_MODELS_PROVIDER;
    }

    if (ngx_http_pulse_provider_find(gmcf, &value[1])) {
        return "is duplicate";
    }

    provider = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_provider_t));
    if (provider == NULL) {
        return NGX_CONF_ERROR;
    }

    pp = ngx_array_push(&gmcf->providers);
    if (pp == NULL) {
        return NGX_CONF_ERROR;
    }

    *pp = provider;

    provider->name = value[1];
    provider->dialect = NGX_PULSE_DIALECT_OPENAI;
    provider->dialects = 1 << NGX_PULSE_DIALECT_OPENAI;
    provider->row = ngx_http_pulse_gateway_row(&provider->name);

    provider->drain_max = 1024 * 1024;
    provider->drain_time = 60000;

    provider->breaker.failures = 5;
    provider->breaker.window = 10000;
    provider->breaker.pause = 10000;
    provider->breaker.probe = 30000;

    if (ngx_array_init(&provider->globs, cf->pool, 4, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&pc, sizeof(ngx_http_pulse_provider_conf_t));

    pc.provider = provider;
    pc.connect_timeout = NGX_CONF_UNSET_MSEC;
    pc.send_timeout = NGX_CONF_UNSET_MSEC;
    pc.read_timeout = NGX_CONF_UNSET_MSEC;
    pc.first_byte_timeout = NGX_CONF_UNSET_MSEC;
    pc.first_token_timeout = NGX_CONF_UNSET_MSEC;
    pc.total_timeout = NGX_CONF_UNSET_MSEC;
    pc.ssl_verify = NGX_CONF_UNSET;
    pc.insecure = NGX_CONF_UNSET;
    pc.standby = NGX_CONF_UNSET;
    pc.prefix_only = NGX_CONF_UNSET;

    provider->waiting.upstream = &gmcf->balancer;

    save = *cf;
    cf->handler = ngx_http_pulse_provider_directive;
    cf->handler_conf = &pc;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_pulse_provider_make(cf, &pc);
}


ngx_http_pulse_provider_t *
ngx_http_pulse_provider_find(ngx_http_pulse_gateway_main_conf_t *gmcf,
    const ngx_str_t *name)
{
    ngx_uint_t                   i;
    ngx_http_pulse_provider_t  **providers;

    providers = gmcf->providers.elts;

    for (i = 0; i < gmcf->providers.nelts; i++) {
        if (providers[i]->name.len == name->len
            && ngx_strncmp(providers[i]->name.data, name->data, name->len)
               == 0)
        {
            return providers[i];
        }
    }

    return NULL;
}


static char *
ngx_http_pulse_provider_directive(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    char           *rv;
    ngx_str_t      *value;
    ngx_uint_t      n;
    ngx_command_t  *cmd;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    for (cmd = ngx_http_pulse_provider_commands; cmd->name.len; cmd++) {
        if (cmd->name.len == value[0].len
            && ngx_strncmp(cmd->name.data, value[0].data, value[0].len) == 0)
        {
            break;
        }
    }

    if (cmd->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown directive \"%V\" in \"pulse_provider\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (n == 0
        || (n > 1 && !(cmd->type & (NGX_CONF_TAKE2|NGX_CONF_1MORE)))
        || (n > 2 && !(cmd->type & NGX_CONF_1MORE)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\"", &value[0]);
        return NGX_CONF_ERROR;
    }

    rv = cmd->set(cf, cmd, cf->handler_conf);

    if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR) {
        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", &value[0], rv);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_pulse_provider_base_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_provider_conf_t *pc = conf;

    if (ngx_http_pulse_provider_value(cf, &pc->base_url) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* No message shows any part of a key. */

static char *
ngx_http_pulse_provider_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_provider_conf_t *pc = conf;

    size_t      i;
    ngx_str_t  *value, path;

    value = cf->args->elts;

    pc->needs_key = 1;

    if (value[1].len > 5 && ngx_strncmp(value[1].data, "file:", 5) == 0) {
        path.data = value[1].data + 5;
        path.len = value[1].len - 5;

        if (ngx_http_pulse_provider_key_file(cf, &path, &pc->key) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (value[1].len > 4 && ngx_strncmp(value[1].data, "env:", 4) == 0)
    {
        if (ngx_http_pulse_provider_value(cf, &pc->key) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else {
        return "must be env:NAME or file:PATH";
    }

    for (i = 0; i < pc->key.len; i++) {
        if (pc->key.data[i] <= ' ' || pc->key.data[i] >= 0x7f) {
            return "has a character that no header may have";
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_provider_dialect(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_provider_conf_t *pc = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, dialect;

    value = cf->args->elts;

    pc->provider->dialects = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        dialect = ngx_http_pulse_gateway_dialect_find(&value[i]);

        if (dialect == NGX_PULSE_DIALECTS) {
            return "must be openai, responses, anthropic or gemini";
        }

        if (i == 1) {
            pc->provider->dialect = dialect;
        }

        pc->provider->dialects |= 1 << dialect;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_provider_globs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_provider_conf_t *pc = conf;

    ngx_str_t   *value, *glob;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        glob = ngx_array_push(&pc->provider->globs);
        if (glob == NULL) {
            return NGX_CONF_ERROR;
        }

        *glob = value[i];
    }

    return NGX_CONF_OK;
}


/* A value as it is, or "env:NAME [default]" looked up now. */

static ngx_int_t
ngx_http_pulse_provider_value(ngx_conf_t *cf, ngx_str_t *to)
{
    char       *text;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len < 5 || ngx_strncmp(value[1].data, "env:", 4) != 0) {
        *to = value[1];
        return NGX_OK;
    }

    text = getenv((char *) value[1].data + 4);

    if (text == NULL || text[0] == '\0') {

        if (cf->args->nelts > 2) {
            *to = value[2];

        } else {
            ngx_str_null(to);
        }

        return NGX_OK;
    }

    /* the environment may change under us at a later reload */

    to->len = ngx_strlen(text);
    to->data = ngx_pnalloc(cf->pool, to->len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, text, to->len + 1);

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_provider_key_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *key)
{
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_file_t  file;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.fd = fd;
    file.name = *path;
    file.log = cf->log;

    n = -1;
    key->data = ngx_pnalloc(cf->pool, NGX_HTTP_PULSE_PROVIDER_KEY_MAX);

    if (key->data) {
        n = ngx_read_file(&file, key->data, NGX_HTTP_PULSE_PROVIDER_KEY_MAX,
                          0);
    }

    (void) ngx_close_file(fd);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    while (n && (key->data[n - 1] == LF || key->data[n - 1] == CR)) {
        n--;
    }

    key->len = n;

    return NGX_OK;
}


static char *
ngx_http_pulse_provider_make(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc)
{
    char                       *rv;
    ngx_url_t                   u;
    ngx_http_pulse_provider_t  *provider;

    provider = pc->provider;

    ngx_conf_init_msec_value(pc->connect_timeout, 5000);
    ngx_conf_init_msec_value(pc->send_timeout, 30000);
    ngx_conf_init_msec_value(pc->read_timeout, 60000);
    ngx_conf_init_msec_value(pc->first_byte_timeout, 120000);
    ngx_conf_init_msec_value(pc->first_token_timeout, 0);
    ngx_conf_init_msec_value(pc->total_timeout, 3600000);
    ngx_conf_init_value(pc->ssl_verify, 1);
    ngx_conf_init_value(pc->insecure, 0);
    ngx_conf_init_value(pc->standby, 0);
    ngx_conf_init_value(pc->prefix_only, 0);

    if (pc->keepalive.len == 0) {
        ngx_str_set(&pc->keepalive, "32");
    }

    provider->standby = (pc->standby != 0);
    provider->prefix_only = (pc->prefix_only != 0);
    provider->token_timeout = pc->first_token_timeout;
    provider->total_timeout = pc->total_timeout;

    if (pc->base_url.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pulse provider \"%V\" has no base_url",
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    if (pc->needs_key && pc->key.len == 0) {

        /* not to be had: no name is resolved for it */

        return NGX_CONF_OK;
    }

    rv = ngx_http_pulse_provider_url(cf, pc, &u);

    if (rv != NGX_CONF_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pulse provider \"%V\": base_url \"%V\": %s",
                           &provider->name, &pc->base_url, rv);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_pulse_provider_names(cf, pc, &u) != NGX_OK
        || ngx_http_pulse_provider_peers(cf, pc, &u) != NGX_OK
        || ngx_http_pulse_provider_timeouts(cf, pc) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    provider->available = 1;

    return NGX_CONF_OK;
}


/* Reads and resolves the base URL; returns what is wrong with it. */

static char *
ngx_http_pulse_provider_url(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc, ngx_url_t *u)
{
    size_t      add;
    u_char     *end;
    in_port_t   port;
    ngx_str_t  *url;

    url = &pc->base_url;

    if (url->len > 9 && ngx_strncmp(url->data, "sidecar:/", 9) == 0) {

        if (ngx_http_pulse_provider_sidecar(cf, pc) != NGX_OK) {
            return "needs \"pulse_sidecar\" above it";
        }
    }

    if (url->len > 7
        && ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0)
    {
        add = 7;
        port = 80;

    } else if (url->len > 8
               && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0)
    {
        add = 8;
        port = 443;
        pc->ssl = 1;

    } else {
        return "must begin with https:// or http://";
    }

    end = ngx_strlchr(url->data + add, url->data + url->len, '/');

    if (end == NULL) {
        end = url->data + url->len;
    }

    if (ngx_strlchr(url->data + add, end, '@')) {
        return "must not name a user";
    }

    if (ngx_strlchr(url->data, url->data + url->len, '?')
        || ngx_strlchr(url->data, url->data + url->len, '#'))
    {
        return "must not have a query";
    }

    ngx_memzero(u, sizeof(ngx_url_t));

    u->url.data = url->data + add;
    u->url.len = url->len - add;
    u->default_port = port;
    u->uri_part = 1;
    u->no_resolve = (pc->upstream.len != 0);

    if (ngx_parse_url(cf->pool, u) != NGX_OK) {
        return u->err ? u->err : "is not valid";
    }

    if (!pc->ssl && !pc->insecure && !ngx_http_pulse_provider_loopback(u)) {
        return "is not encrypted; \"allow_insecure on\" would let it be";
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_pulse_provider_sidecar(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc)
{
    u_char                      *p;
    ngx_str_t                    path;
    ngx_http_pulse_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_pulse_module);

    if (pmcf == NULL || pmcf->sidecar.len == 0) {
        return NGX_ERROR;
    }

    path.data = pc->base_url.data + 8;
    path.len = pc->base_url.len - 8;

    p = ngx_pnalloc(cf->pool, 7 + pmcf->sidecar.len + 1 + path.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    pc->base_url.data = p;
    p = ngx_sprintf(p, "http://%V:%V", &pmcf->sidecar, &path);
    pc->base_url.len = p - pc->base_url.data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_pulse_provider_loopback(ngx_url_t *u)
{
    u_char               *p;
    ngx_uint_t            i;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    if (u->no_resolve && u->naddrs == 0) {

        /* an upstream{} written by hand says what it wants itself */

        return 1;
    }

    for (i = 0; i < u->naddrs; i++) {

        switch (u->addrs[i].sockaddr->sa_family) {

        case AF_UNIX:
            break;

        case AF_INET:
            sin = (struct sockaddr_in *) u->addrs[i].sockaddr;
            p = (u_char *) &sin->sin_addr;

            if (p[0] != 127) {
                return 0;
            }

            break;

#if (NGX_HAVE_INET6)
        case AF_INET6:
            sin6 = (struct sockaddr_in6 *) u->addrs[i].sockaddr;

            if (!IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)) {
                return 0;
            }

            break;
#endif

        default:
            return 0;
        }
    }

    return 1;
}


/* Host, path before the endpoint, key. */

static ngx_int_t
ngx_http_pulse_provider_names(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc, ngx_url_t *u)
{
    u_char                     *p;
    ngx_http_pulse_provider_t  *provider;

    provider = pc->provider;

    provider->path = u->uri;

    while (provider->path.len
           && provider->path.data[provider->path.len - 1] == '/')
    {
        provider->path.len--;
    }

    if (u->family == AF_UNIX) {
        ngx_str_set(&provider->host, "localhost");

    } else {
        provider->ssl_name = u->host;
        provider->host = u->host;

        if (!u->no_port && u->port != u->default_port) {
            provider->host.len += sizeof(":65535") - 1;
            p = ngx_pnalloc(cf->pool, provider->host.len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            provider->host.data = p;
            p = ngx_sprintf(p, "%V:%ui", &u->host, (ngx_uint_t) u->port);
            provider->host.len = p - provider->host.data;
        }
    }

    return ngx_http_pulse_provider_headers(cf, provider, &pc->key);
}


/* A secret among them, so that nobody logs these lines. */

static ngx_int_t
ngx_http_pulse_provider_headers(ngx_conf_t *cf,
    ngx_http_pulse_provider_t *provider, ngx_str_t *key)
{
    u_char      *p;
    const char  *name, *more;

    name = "Authorization: Bearer ";
    more = "";

    provider->key = *key;

    if (provider->dialect == NGX_PULSE_DIALECT_ANTHROPIC) {
        name = "x-api-key: ";
        more = "anthropic-version: 2023-06-01" CRLF;

    } else if (provider->dialect == NGX_PULSE_DIALECT_GEMINI) {
        name = "x-goog-api-key: ";
    }

    p = ngx_pnalloc(cf->pool, ngx_strlen(name) + key->len + 2
                              + ngx_strlen(more));
    if (p == NULL) {
        return NGX_ERROR;
    }

    provider->headers.data = p;

    if (key->len) {
        p = ngx_sprintf(p, "%s%V" CRLF, name, key);
    }

    p = ngx_sprintf(p, "%s", more);

    provider->headers.len = p - provider->headers.data;

    return NGX_OK;
}
