
#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include "ngx_http_pulse_auth.h"
#include "ngx_pulse_base64url.h"


static ngx_table_elt_t *ngx_http_pulse_auth_header(ngx_http_request_t *r,
    ngx_list_part_t **part, ngx_uint_t *i, const char *name, size_t len);
static ngx_uint_t ngx_http_pulse_auth_authorization(ngx_http_request_t *r,
    ngx_http_pulse_auth_credential_t *credential);
static ngx_uint_t ngx_http_pulse_auth_api_key(ngx_http_request_t *r,
    ngx_http_pulse_auth_credential_t *credential);
static void ngx_http_pulse_auth_cookies(ngx_http_request_t *r,
    ngx_str_t *name, ngx_http_pulse_auth_credential_t *credential);
static void ngx_http_pulse_auth_cookie_line(ngx_str_t *line, ngx_str_t *name,
    ngx_http_pulse_auth_credential_t *credential);
static void ngx_http_pulse_auth_take(
    ngx_http_pulse_auth_credential_t *credential, ngx_str_t *text,
    ngx_uint_t by);
static ngx_uint_t ngx_http_pulse_auth_same_origin(ngx_http_request_t *r,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_pulse_auth_host_is(ngx_str_t *host,
    ngx_str_t *authority, ngx_uint_t tls);


void
ngx_http_pulse_auth_credential(ngx_http_request_t *r, ngx_str_t *cookie,
    ngx_http_pulse_auth_credential_t *credential)
{
    ngx_memzero(credential, sizeof(ngx_http_pulse_auth_credential_t));

    /* what was sent on purpose decides, even if it is wrong; a cookie is
     * what the browser adds by itself */

    if (ngx_http_pulse_auth_authorization(r, credential)
        || ngx_http_pulse_auth_api_key(r, credential))
    {
        return;
    }

    ngx_http_pulse_auth_cookies(r, cookie, credential);
}


/* Goes through all headers of a name: nginx's own fields hold the first one
 * only, or differ between versions. */

static ngx_table_elt_t *
ngx_http_pulse_auth_header(ngx_http_request_t *r, ngx_list_part_t **part,
    ngx_uint_t *i, const char *name, size_t len)
{
    ngx_table_elt_t  *h;

    if (*part == NULL) {
        *part = &r->headers_in.headers.part;
        *i = 0;
    }

    for ( ;; ) {

        if (*i == (*part)->nelts) {
            if ((*part)->next == NULL) {
                return NULL;
            }

            *part = (*part)->next;
            *i = 0;
            continue;
        }

        h = (ngx_table_elt_t *) (*part)->elts + (*i)++;

        if (h->key.len == len && ngx_memcmp(h->lowcase_key, name, len) == 0) {
            return h;
        }
    }
}


static ngx_uint_t
ngx_http_pulse_auth_authorization(ngx_http_request_t *r,
    ngx_http_pulse_auth_credential_t *credential)
{
    ngx_str_t         text;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const size_t  scheme = sizeof("bearer") - 1;

    part = NULL;

    for ( ;; ) {
        h = ngx_http_pulse_auth_header(r, &part, &i, "authorization",
                                       sizeof("authorization") - 1);
        if (h == NULL) {
            return credential->bad || credential->text.data != NULL;
        }

        text = h->value;

        if (text.len <= scheme
            || ngx_strncasecmp(text.data, (u_char *) "bearer", scheme) != 0
            || text.data[scheme] != ' ')
        {
            credential->bad = 1;
            continue;
        }

        text.data += scheme;
        text.len -= scheme;

        while (text.len > 0 && text.data[0] == ' ') {
            text.data++;
            text.len--;
        }

        ngx_http_pulse_auth_take(credential, &text,
                                 NGX_HTTP_PULSE_BY_BEARER);
    }
}


/* The places where the SDKs of these dialects put their key. */

static ngx_uint_t
ngx_http_pulse_auth_api_key(ngx_http_request_t *r,
    ngx_http_pulse_auth_credential_t *credential)
{
    size_t            len;
    const char       *name;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    switch (ngx_http_pulse_record(r)->dialect) {

    case NGX_HTTP_PULSE_ANTHROPIC:
        name = "x-api-key";
        len = sizeof("x-api-key") - 1;
        break;

    case NGX_HTTP_PULSE_GEMINI:
        name = "x-goog-api-key";
        len = sizeof("x-goog-api-key") - 1;
        break;

    default:
        return 0;
    }

    part = NULL;

    for ( ;; ) {
        h = ngx_http_pulse_auth_header(r, &part, &i, name, len);

        if (h == NULL) {
            return credential->bad || credential->text.data != NULL;
        }

        ngx_http_pulse_auth_take(credential, &h->value,
                                 NGX_HTTP_PULSE_BY_BEARER);
    }
}


static void
ngx_http_pulse_auth_cookies(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_pulse_auth_credential_t *credential)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = NULL;

    for ( ;; ) {
        h = ngx_http_pulse_auth_header(r, &part, &i, "cookie",
                                       sizeof("cookie") - 1);
        if (h == NULL) {
            return;
        }

        ngx_http_pulse_auth_cookie_line(&h->value, name, credential);
    }
}


static void
ngx_http_pulse_auth_cookie_line(ngx_str_t *line, ngx_str_t *name,
    ngx_http_pulse_auth_credential_t *credential)
{
    u_char     *p, *last, *end;
    ngx_str_t   value;

    p = line->data;
    last = p + line->len;

    for ( ; p < last; p = end + 1) {

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        end = ngx_strlchr(p, last, ';');

        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) <= name->len
            || ngx_memcmp(p, name->data, name->len) != 0
            || p[name->len] != '=')
        {
            continue;
        }

        value.data = p + name->len + 1;
        value.len = end - value.data;

        while (value.len > 0 && (value.data[value.len - 1] == ' '
                                 || value.data[value.len - 1] == '\t'))
        {
            value.len--;
        }

        ngx_http_pulse_auth_take(credential, &value,
                                 NGX_HTTP_PULSE_BY_COOKIE);
    }
}


/*
 * Of two that differ neither is believed: the one that came first may have
 * been planted by a page of another subdomain, so that what the victim does
 * is done in the attacker's name.
 */

static void
ngx_http_pulse_auth_take(ngx_http_pulse_auth_credential_t *credential,
    ngx_str_t *text, ngx_uint_t by)
{
    if (text->len == 0) {
        credential->bad = 1;
        return;
    }

    if (credential->text.data != NULL
        && (credential->text.len != text->len
            || ngx_memcmp(credential->text.data, text->data, text->len) != 0))
    {
        credential->bad = 1;
        return;
    }

    credential->text = *text;
    credential->by = by;
}


ngx_uint_t
ngx_http_pulse_auth_same_site(ngx_http_request_t *r)
{
    ngx_str_t        *value;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS)) {
        return 1;
    }

    part = NULL;

    for (n = 0; /* void */ ; n++) {
        h = ngx_http_pulse_auth_header(r, &part, &i, "sec-fetch-site",
                                       sizeof("sec-fetch-site") - 1);
        if (h == NULL) {
            break;
        }

        if ((h->value.len != sizeof("same-origin") - 1
             || ngx_memcmp(h->value.data, "same-origin", h->value.len) != 0)
            && (h->value.len != sizeof("none") - 1
                || ngx_memcmp(h->value.data, "none", h->value.len) != 0))
        {
            return 0;
        }
    }

    if (n > 0) {
        return 1;
    }

    value = ngx_http_pulse_header(r, "origin", sizeof("origin") - 1);

    return value != NULL && ngx_http_pulse_auth_same_origin(r, value);
}


/*
 * The host is the one the request was sent to, or, where a proxy changed it,
 * that of "pulse_public_url".  The scheme is left out of it: behind a proxy
 * that ends TLS it is not ours to see.
 */

static ngx_uint_t
ngx_http_pulse_auth_same_origin(ngx_http_request_t *r, ngx_str_t *origin)
{
    ngx_str_t                    host, url;
    ngx_uint_t                   tls;
    ngx_http_pulse_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);
    url = pmcf->public_url;
    host = *origin;

    if (host.len > 8
        && ngx_strncasecmp(host.data, (u_char *) "https://", 8) == 0)
    {
        tls = 1;
        host.data += 8;
        host.len -= 8;

    } else if (host.len > 7
               && ngx_strncasecmp(host.data, (u_char *) "http://", 7) == 0)
    {
        tls = 0;
        host.data += 7;
        host.len -= 7;

    } else {
        return 0;
    }

    if (url.len >= origin->len
        && ngx_strncasecmp(url.data, origin->data, origin->len) == 0
        && (url.len == origin->len || url.data[origin->len] == '/'))
    {
        return 1;
    }

    return r->headers_in.host != NULL
           && ngx_http_pulse_auth_host_is(&r->headers_in.host->value, &host,
                                          tls);
}


/* A browser leaves the scheme's own port out, others may write it. */

static ngx_uint_t
ngx_http_pulse_auth_host_is(ngx_str_t *host, ngx_str_t *authority,
    ngx_uint_t tls)
{
    ngx_str_t   h, port;

    h = *host;

    if (tls) {
        ngx_str_set(&port, ":443");

    } else {
        ngx_str_set(&port, ":80");
    }

    if (h.len > port.len
        && ngx_memcmp(h.data + h.len - port.len, port.data, port.len) == 0
        && h.len != authority->len)
    {
        h.len -= port.len;
    }

    return h.len == authority->len
           && ngx_strncasecmp(h.data, authority->data, h.len) == 0;
}


ngx_str_t
ngx_http_pulse_auth_network(ngx_http_request_t *r, u_char *buf)
{
    u_char               *p;
    ngx_str_t             network;
    struct sockaddr      *sa;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    sa = r->connection->sockaddr;
    network.data = buf;

    switch (sa->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            network.len = ngx_sprintf(buf, "%ud.%ud.%ud.0/24", p[12], p[13],
                                      p[14])
                          - buf;
            break;
        }

        network.len = ngx_sprintf(buf, "%02xd%02xd:%02xd%02xd:%02xd%02xd:"
                                  "%02xd%02xd::/64", p[0], p[1], p[2], p[3],
                                  p[4], p[5], p[6], p[7])
                      - buf;
        break;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        p = (u_char *) &sin->sin_addr.s_addr;

        network.len = ngx_sprintf(buf, "%ud.%ud.%ud.0/24", p[0], p[1], p[2])
                      - buf;
        break;

    default: /* AF_UNIX */
        network.len = ngx_sprintf(buf, "unix") - buf;
        break;
    }

    return network;
}


ngx_int_t
ngx_http_pulse_auth_hash(u_char *hash, const u_char *one, size_t one_len,
    const u_char *two, size_t two_len)
{
    ngx_int_t    rc;
    EVP_MD_CTX  *ctx;

    /* for the life of the process: EVP_sha256() would search the providers
     * for it at each request */

    static EVP_MD  *md;

    if (md == NULL) {
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
    }

    rc = NGX_ERROR;
    ctx = EVP_MD_CTX_new();

    if (ctx != NULL
        && EVP_DigestInit_ex(ctx, md, NULL) == 1
        && EVP_DigestUpdate(ctx, one, one_len) == 1
        && EVP_DigestUpdate(ctx, two, two_len) == 1
        && EVP_DigestFinal_ex(ctx, hash, NULL) == 1)
    {
        rc = NGX_OK;

    } else {
        ERR_clear_error();
    }

    EVP_MD_CTX_free(ctx);

    return rc;
}


ngx_int_t
ngx_http_pulse_auth_secret(ngx_http_request_t *r, const char *prefix,
    ngx_str_t *secret, ngx_str_t *bytea)
{
    size_t   len;
    u_char  *p;
    u_char   random[NGX_HTTP_PULSE_AUTH_SECRET];

    len = ngx_strlen(prefix);

    p = ngx_pnalloc(r->pool, len + NGX_HTTP_PULSE_AUTH_TEXT);
    if (p == NULL || ngx_pulse_random(random, sizeof(random)) != NGX_OK) {
        return NGX_ERROR;
    }

    secret->data = p;

    p = ngx_cpymem(p, prefix, len);
    p = ngx_pulse_base64url_encode(p, random, sizeof(random));

    secret->len = p - secret->data;

    OPENSSL_cleanse(random, sizeof(random));

    return ngx_http_pulse_auth_bytea(r, secret, bytea);
}


ngx_int_t
ngx_http_pulse_auth_bytea(ngx_http_request_t *r, const ngx_str_t *secret,
    ngx_str_t *bytea)
{
    u_char  *p;
    u_char   hash[NGX_HTTP_PULSE_AUTH_HASH_LEN];

    if (ngx_http_pulse_auth_hash(hash, secret->data, secret->len, NULL, 0)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, 2 + 2 * sizeof(hash));
    if (p == NULL) {
        return NGX_ERROR;
    }

    bytea->data = p;

    *p++ = '\\';
    *p++ = 'x';

    bytea->len = ngx_hex_dump(p, hash, sizeof(hash)) - bytea->data;

    return NGX_OK;
}


ngx_uint_t
ngx_http_pulse_auth_secret_valid(const u_char *p, size_t len)
{
    u_char     bytes[NGX_HTTP_PULSE_AUTH_SECRET];
    size_t     n;
    ngx_str_t  text;

    if (len != NGX_HTTP_PULSE_AUTH_TEXT) {
        return 0;
    }

    text.data = (u_char *) p;
    text.len = len;

    return ngx_pulse_base64url_decode(bytes, &n, &text) == NGX_OK;
}
