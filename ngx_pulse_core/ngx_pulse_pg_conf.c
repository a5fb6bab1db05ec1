
#include "ngx_pulse_pg.h"


#define NGX_PULSE_PG_MAX_STATEMENTS  256
#define NGX_PULSE_PG_PORT            5432

/* one address as text and its comma */

#define NGX_PULSE_PG_ADDRESS_LEN     (NGX_INET6_ADDRSTRLEN + 1)

/* all that is added to a connection string, less the addresses */

#define NGX_PULSE_PG_ADDED_LEN       256


static u_char *ngx_pulse_pg_addresses(ngx_conf_t *cf, const char *hosts);
static u_char *ngx_pulse_pg_address(ngx_conf_t *cf, ngx_str_t *host,
    u_char *p);
static ngx_uint_t ngx_pulse_pg_numeric(ngx_str_t *host);
static const char *ngx_pulse_pg_option(PQconninfoOption *options,
    const char *keyword);
static ngx_int_t ngx_pulse_pg_write(ngx_conf_t *cf, ngx_pulse_pg_conf_t *conf,
    PQconninfoOption *options, const char *hostaddr);
static u_char *ngx_pulse_pg_keyword(u_char *p, const char *keyword,
    const char *value);


/*
 * Not tied to a cycle: the statements are static and the same in each, and a
 * configuration that fails has registered the very same ones.
 */

static ngx_pulse_pg_statement_t
    *ngx_pulse_pg_registered[NGX_PULSE_PG_MAX_STATEMENTS];
static ngx_uint_t  ngx_pulse_pg_nregistered;


void
ngx_pulse_pg_reset_statements(void)
{
    ngx_pulse_pg_nregistered = 0;
}


ngx_int_t
ngx_pulse_pg_register(ngx_conf_t *cf, ngx_pulse_pg_statement_t *statement)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_pulse_pg_nregistered; i++) {

        if (ngx_pulse_pg_registered[i] == statement) {
            return NGX_OK;
        }

        if (ngx_strcmp(ngx_pulse_pg_registered[i]->name, statement->name)
            == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "pulse postgres: statement \"%s\" is "
                               "registered twice", statement->name);
            return NGX_ERROR;
        }
    }

    if (ngx_pulse_pg_nregistered == NGX_PULSE_PG_MAX_STATEMENTS
        || statement->nparams > NGX_PULSE_PG_MAX_PARAMS)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pulse postgres: too many statements, or "
                           "parameters of \"%s\"", statement->name);
        return NGX_ERROR;
    }

    ngx_pulse_pg_registered[ngx_pulse_pg_nregistered++] = statement;

    return NGX_OK;
}


ngx_pulse_pg_statement_t **
ngx_pulse_pg_statements(ngx_uint_t *n)
{
    *n = ngx_pulse_pg_nregistered;

    return ngx_pulse_pg_registered;
}


ngx_int_t
ngx_pulse_pg_conninfo(ngx_conf_t *cf, ngx_pulse_pg_conf_t *conf,
    ngx_str_t *text)
{
    char              *error;
    u_char            *hostaddr;
    ngx_int_t          rc;
    const char        *hosts;
    PQconninfoOption  *options;

    error = NULL;
    options = PQconninfoParse((char *) text->data, &error);

    if (options == NULL) {

        /* the text of the error may hold a part of the password */

        PQfreemem(error);
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "malformed connection string in "
                           "\"pulse_postgres\"");
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_pulse_pg_option(options, "service")) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"service\" is not supported in "
                           "\"pulse_postgres\": write the host instead");
        goto done;
    }

    hosts = ngx_pulse_pg_option(options, "hostaddr");

    if (hosts == NULL) {
        hosts = ngx_pulse_pg_option(options, "host");
    }

    if (hosts == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"host\" in \"pulse_postgres\": it is a "
                           "directory of a unix socket, an address or "
                           "a name");
        goto done;
    }

    hostaddr = ngx_pulse_pg_addresses(cf, hosts);

    if (hostaddr != NULL) {
        rc = ngx_pulse_pg_write(cf, conf, options, (char *) hostaddr);
    }

done:

    PQconninfoFree(options);

    return rc;
}


/*
 * libpq would ask the DNS from a worker and block it, so that each host that
 * is a name is resolved here; what stands for a unix socket is empty.
 */

static u_char *
ngx_pulse_pg_addresses(ngx_conf_t *cf, const char *hosts)
{
    u_char      *addresses, *p;
    ngx_str_t    host;
    ngx_uint_t   n;
    const char  *h;

    n = 1;

    for (h = hosts; *h; h++) {
        n += (*h == ',');
    }

    addresses = ngx_pnalloc(cf->pool, n * NGX_PULSE_PG_ADDRESS_LEN + 1);

    if (addresses == NULL) {
        return NULL;
    }

    p = addresses;
    h = hosts;

    for ( ;; ) {
        host.len = strcspn(h, ",");
        host.data = (u_char *) h;

        p = ngx_pulse_pg_address(cf, &host, p);

        if (p == NULL) {
            return NULL;
        }

        h += host.len;

        if (*h == '\0') {
            break;
        }

        *p++ = *h++;
    }

    *p = '\0';

    return addresses;
}


static u_char *
ngx_pulse_pg_address(ngx_conf_t *cf, ngx_str_t *host, u_char *p)
{
    ngx_url_t  u;

    if (host->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty host in \"pulse_postgres\"");
        return NULL;
    }

    if (host->data[0] == '/' || host->data[0] == '@') {
        return p;
    }

    if (ngx_pulse_pg_numeric(host)) {
        return ngx_cpymem(p, host->data, host->len);
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *host;
    u.default_port = NGX_PULSE_PG_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in host \"%V\" of \"pulse_postgres\"",
                           u.err ? u.err : "no address", host);
        return NULL;
    }

    return p + ngx_sock_ntop(u.addrs[0].sockaddr, u.addrs[0].socklen, p,
                             NGX_INET6_ADDRSTRLEN, 0);
}


static ngx_uint_t
ngx_pulse_pg_numeric(ngx_str_t *host)
{
#if (NGX_HAVE_INET6)
    u_char  addr[16];

    if (host->len < NGX_INET6_ADDRSTRLEN
        && ngx_inet6_addr(host->data, host->len, addr) == NGX_OK)
    {
        return 1;
    }
#endif

    return ngx_inet_addr(host->data, host->len) != INADDR_NONE;
}


static const char *
ngx_pulse_pg_option(PQconninfoOption *options, const char *keyword)
{
    for ( /* void */ ; options->keyword; options++) {
        if (ngx_strcmp(options->keyword, keyword) == 0) {
            return (options->val && options->val[0]) ? options->val : NULL;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_pulse_pg_write(ngx_conf_t *cf, ngx_pulse_pg_conf_t *conf,
    PQconninfoOption *options, const char *hostaddr)
{
    size_t             size;
    u_char            *p, *extra;
    const char        *given;
    PQconninfoOption  *o;

    size = NGX_PULSE_PG_ADDED_LEN + ngx_strlen(hostaddr);

    for (o = options; o->keyword; o++) {
        if (o->val) {
            size += ngx_strlen(o->keyword) + 2 * ngx_strlen(o->val)
                    + sizeof("='' ") - 1;
        }
    }

    given = ngx_pulse_pg_option(options, "options");

    conf->conninfo.data = ngx_pnalloc(cf->pool, size);
    extra = ngx_pnalloc(cf->pool, NGX_PULSE_PG_ADDED_LEN
                                  + (given ? ngx_strlen(given) : 0));

    if (conf->conninfo.data == NULL || extra == NULL) {
        return NGX_ERROR;
    }

    p = conf->conninfo.data;

    for (o = options; o->keyword; o++) {
        if (o->val && o->val[0] && ngx_strcmp(o->keyword, "hostaddr") != 0
            && ngx_strcmp(o->keyword, "options") != 0)
        {
            p = ngx_pulse_pg_keyword(p, o->keyword, o->val);
        }
    }

    /* only commas: all of them are unix sockets */

    if (hostaddr[strspn(hostaddr, ",")] != '\0') {
        p = ngx_pulse_pg_keyword(p, "hostaddr", hostaddr);
    }

    /*
     * The server ends a statement that nobody waits for any more; options
     * that were given come later and so win.  GSSAPI would look for
     * credentials in files, and for realms in the DNS.
     */

    *ngx_sprintf(extra, "-c statement_timeout=%M %s", 2 * conf->timeout,
                 given ? given : "") = '\0';

    p = ngx_pulse_pg_keyword(p, "options", (char *) extra);

    if (ngx_pulse_pg_option(options, "gssencmode") == NULL) {
        p = ngx_pulse_pg_keyword(p, "gssencmode", "disable");
    }

    if (ngx_pulse_pg_option(options, "application_name") == NULL) {
        p = ngx_pulse_pg_keyword(p, "application_name", "pulse");
    }

    if (ngx_pulse_pg_option(options, "client_encoding") == NULL) {
        p = ngx_pulse_pg_keyword(p, "client_encoding", "UTF8");
    }

    conf->conninfo.len = p - conf->conninfo.data;
    *p = '\0';

    return NGX_OK;
}


static u_char *
ngx_pulse_pg_keyword(u_char *p, const char *keyword, const char *value)
{
    p = ngx_cpymem(p, keyword, ngx_strlen(keyword));
    *p++ = '=';
    *p++ = '\'';

    for ( /* void */ ; *value; value++) {
        if (*value == '\'' || *value == '\\') {
            *p++ = '\\';
        }

        *p++ = *value;
    }

    *p++ = '\'';
    *p++ = ' ';

    return p;
}
