
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <time.h>
#include "ngx_pulse_link.h"
#include "pulse_hex.h"
#include "pulse_sigv4.h"


#define PULSE_SIGV4_BYTES      32
#define PULSE_SIGV4_DAY        8            /* of a date's characters */


typedef struct {
    ngx_str_t               name;           /* as it is signed */
    ngx_str_t               value;
    ngx_uint_t              order;          /* as given */
} pulse_sigv4_entry_t;


static ngx_int_t pulse_sigv4_canonical(pulse_sigv4_t *s,
    const pulse_sigv4_pair_t *query, ngx_uint_t nquery,
    const pulse_sigv4_pair_t *headers, ngx_uint_t nheaders);
static void pulse_sigv4_path(pulse_sigv4_t *s, ngx_pulse_buf_t *b);
static ngx_str_t pulse_sigv4_normal(pulse_sigv4_t *s);
static ngx_int_t pulse_sigv4_query(pulse_sigv4_t *s,
    const pulse_sigv4_pair_t *query, ngx_uint_t n, ngx_pulse_buf_t *b);
static ngx_int_t pulse_sigv4_headers(pulse_sigv4_t *s,
    const pulse_sigv4_pair_t *headers, ngx_uint_t n, ngx_pulse_buf_t *b);
static void pulse_sigv4_value(ngx_pulse_buf_t *b, const ngx_str_t *value);
static ngx_str_t pulse_sigv4_names(pulse_sigv4_t *s,
    const pulse_sigv4_pair_t *headers, ngx_uint_t n);
static pulse_sigv4_entry_t *pulse_sigv4_entries(pulse_sigv4_t *s,
    const pulse_sigv4_pair_t *pairs, ngx_uint_t n, ngx_uint_t escape);
static ngx_str_t pulse_sigv4_lower(ngx_pool_t *pool, const ngx_str_t *text);
static ngx_str_t pulse_sigv4_escaped(ngx_pool_t *pool,
    const ngx_str_t *text);
static int pulse_sigv4_compare_pairs(const void *one, const void *two);
static int pulse_sigv4_compare_names(const void *one, const void *two);
static int pulse_sigv4_text(const ngx_str_t *one, const ngx_str_t *two);
static ngx_int_t pulse_sigv4_seal(pulse_sigv4_t *s, const ngx_str_t *text);
static ngx_int_t pulse_sigv4_hmac(u_char *key, const ngx_str_t *text);
static ngx_pulse_buf_t *pulse_sigv4_buf(pulse_sigv4_t *s);
static ngx_int_t pulse_sigv4_keep(ngx_pulse_buf_t *b, ngx_str_t *text);


ngx_int_t
pulse_sigv4_hash(const u_char *data, size_t len, u_char *hex)
{
    u_char  bytes[PULSE_SIGV4_BYTES];

    if (!EVP_Digest(data, len, bytes, NULL, EVP_sha256(), NULL)) {
        return NGX_ERROR;
    }

    pulse_hex((char *) hex, bytes, PULSE_SIGV4_BYTES);

    return NGX_OK;
}


ngx_int_t
pulse_sigv4_sign(pulse_sigv4_t *s)
{
    ngx_str_t            names;
    ngx_uint_t           n;
    ngx_pulse_buf_t     *b;
    pulse_sigv4_pair_t  *headers;

    headers = ngx_palloc(s->pool, (s->nheaders + 3)
                                  * sizeof(pulse_sigv4_pair_t));
    b = pulse_sigv4_buf(s);

    if (headers == NULL || b == NULL || pulse_sigv4_stamp(s) != NGX_OK) {
        return NGX_ERROR;
    }

    for (n = 0; n < s->nheaders; n++) {
        headers[n] = s->headers[n];
    }

    ngx_str_set(&headers[n].name, "x-amz-date");
    headers[n].value.data = s->date;
    headers[n++].value.len = PULSE_SIGV4_DATE;

    if (s->key->token.len) {
        ngx_str_set(&headers[n].name, "x-amz-security-token");
        headers[n++].value = s->key->token;
    }

    if (s->say_payload) {
        ngx_str_set(&headers[n].name, "x-amz-content-sha256");
        headers[n++].value = s->payload;
    }

    if (pulse_sigv4_canonical(s, s->query, s->nquery, headers, n) != NGX_OK) {
        return NGX_ERROR;
    }

    names = pulse_sigv4_names(s, headers, n);

    ngx_pulse_buf_literal(b, PULSE_SIGV4_ALGORITHM " Credential=");
    pulse_sigv4_credential(s, b);
    ngx_pulse_buf_literal(b, ", SignedHeaders=");
    ngx_pulse_buf_str(b, &names);
    ngx_pulse_buf_literal(b, ", Signature=");
    ngx_pulse_buf_append(b, s->signature, PULSE_SIGV4_HEX);

    return (names.data == NULL) ? NGX_ERROR
                                : pulse_sigv4_keep(b, &s->authorization);
}


ngx_int_t
pulse_sigv4_presign(pulse_sigv4_t *s, ngx_uint_t expires)
{
    u_char               number[NGX_INT64_LEN + 1];
    ngx_uint_t           n;
    ngx_pulse_buf_t     *credential, *b;
    pulse_sigv4_pair_t  *query;

    query = ngx_palloc(s->pool, (s->nquery + 6) * sizeof(pulse_sigv4_pair_t));
    credential = pulse_sigv4_buf(s);
    b = pulse_sigv4_buf(s);

    if (query == NULL || credential == NULL || b == NULL
        || pulse_sigv4_stamp(s) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (n = 0; n < s->nquery; n++) {
        query[n] = s->query[n];
    }

    ngx_str_set(&query[n].name, "X-Amz-Algorithm");
    ngx_str_set(&query[n].value, PULSE_SIGV4_ALGORITHM);
    n++;

    pulse_sigv4_credential(s, credential);
    ngx_str_set(&query[n].name, "X-Amz-Credential");

    if (pulse_sigv4_keep(credential, &query[n++].value) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&query[n].name, "X-Amz-Date");
    query[n].value.data = s->date;
    query[n++].value.len = PULSE_SIGV4_DATE;

    ngx_str_set(&query[n].name, "X-Amz-Expires");
    query[n].value.data = number;
    query[n++].value.len = snprintf((char *) number, sizeof(number), "%lu",
                                    expires);

    ngx_str_set(&query[n].name, "X-Amz-SignedHeaders");
    query[n++].value = pulse_sigv4_names(s, s->headers, s->nheaders);

    if (s->key->token.len) {
        ngx_str_set(&query[n].name, "X-Amz-Security-Token");
        query[n++].value = s->key->token;
    }

    if (pulse_sigv4_canonical(s, query, n, s->headers, s->nheaders) != NGX_OK)
    {
        return NGX_ERROR;
    }

    pulse_sigv4_path(s, b);
    ngx_pulse_buf_char(b, '?');

    if (pulse_sigv4_query(s, query, n, b) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(b, "&X-Amz-Signature=");
    ngx_pulse_buf_append(b, s->signature, PULSE_SIGV4_HEX);

    return pulse_sigv4_keep(b, &s->uri);
}


ngx_int_t
pulse_sigv4_policy(pulse_sigv4_t *s, const ngx_str_t *policy)
{
    return (pulse_sigv4_stamp(s) == NGX_OK) ? pulse_sigv4_seal(s, policy)
                                            : NGX_ERROR;
}


void
pulse_sigv4_credential(const pulse_sigv4_t *s, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_str(b, &s->key->access);
    ngx_pulse_buf_char(b, '/');
    ngx_pulse_buf_append(b, s->date, PULSE_SIGV4_DAY);
    ngx_pulse_buf_char(b, '/');
    ngx_pulse_buf_str(b, &s->key->region);
    ngx_pulse_buf_char(b, '/');
    ngx_pulse_buf_str(b, &s->key->service);
    ngx_pulse_buf_literal(b, "/aws4_request");
}


ngx_int_t
pulse_sigv4_stamp(pulse_sigv4_t *s)
{
    struct tm  tm;

    return (gmtime_r(&s->time, &tm) != NULL
            && strftime((char *) s->date, sizeof(s->date), "%Y%m%dT%H%M%SZ",
                        &tm) == PULSE_SIGV4_DATE)
           ? NGX_OK : NGX_ERROR;
}


/* The request in the one form that both sides make of it, what is signed of
 * it, and the signature. */

static ngx_int_t
pulse_sigv4_canonical(pulse_sigv4_t *s, const pulse_sigv4_pair_t *query,
    ngx_uint_t nquery, const pulse_sigv4_pair_t *headers, ngx_uint_t nheaders)
{
    u_char            hash[PULSE_SIGV4_HEX + 1];
    ngx_str_t         names;
    ngx_pulse_buf_t  *b, *text;

    b = pulse_sigv4_buf(s);
    text = pulse_sigv4_buf(s);
    names = pulse_sigv4_names(s, headers, nheaders);

    if (b == NULL || text == NULL || names.data == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_append(b, (u_char *) s->method, strlen(s->method));
    ngx_pulse_buf_char(b, '\n');
    pulse_sigv4_path(s, b);
    ngx_pulse_buf_char(b, '\n');

    if (pulse_sigv4_query(s, query, nquery, b) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_char(b, '\n');

    if (pulse_sigv4_headers(s, headers, nheaders, b) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_char(b, '\n');
    ngx_pulse_buf_str(b, &names);
    ngx_pulse_buf_char(b, '\n');
    ngx_pulse_buf_str(b, &s->payload);

    if (pulse_sigv4_keep(b, &s->canonical) != NGX_OK
        || pulse_sigv4_hash(b->data, b->len, hash) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(text, PULSE_SIGV4_ALGORITHM "\n");
    ngx_pulse_buf_append(text, s->date, PULSE_SIGV4_DATE);
    ngx_pulse_buf_char(text, '\n');
    ngx_pulse_buf_append(text, s->date, PULSE_SIGV4_DAY);
    ngx_pulse_buf_char(text, '/');
    ngx_pulse_buf_str(text, &s->key->region);
    ngx_pulse_buf_char(text, '/');
    ngx_pulse_buf_str(text, &s->key->service);
    ngx_pulse_buf_literal(text, "/aws4_request\n");
    ngx_pulse_buf_append(text, hash, PULSE_SIGV4_HEX);

    if (pulse_sigv4_keep(text, &s->to_sign) != NGX_OK) {
        return NGX_ERROR;
    }

    return pulse_sigv4_seal(s, &s->to_sign);
}


static void
pulse_sigv4_path(pulse_sigv4_t *s, ngx_pulse_buf_t *b)
{
    ngx_str_t  path;

    path = s->normalize ? pulse_sigv4_normal(s) : s->path;

    if (path.data == NULL) {
        b->failed = 1;
        return;
    }

    pulse_sigv4_escape_path(b, &path);
}


void
pulse_sigv4_escape_path(ngx_pulse_buf_t *b, const ngx_str_t *path)
{
    u_char     *p, *last;
    ngx_str_t   part;

    last = path->data + path->len;

    for (part.data = path->data; part.data <= last; part.data = p + 1) {

        for (p = part.data; p < last && *p != '/'; p++) { /* void */ }

        part.len = p - part.data;
        ngx_pulse_link_escape(b, &part);

        if (p < last) {
            ngx_pulse_buf_char(b, '/');
        }
    }
}


/* RFC 3986, 5.2.4, and one slash for several */

static ngx_str_t
pulse_sigv4_normal(pulse_sigv4_t *s)
{
    u_char     *p, *end, *last, *out;
    ngx_str_t   path;

    ngx_str_null(&path);

    out = ngx_pnalloc(s->pool, s->path.len + 1);
    if (out == NULL) {
        return path;
    }

    path.data = out;
    last = s->path.data + s->path.len;

    for (p = s->path.data; p < last; p = end) {

        if (*p == '/') {
            end = p + 1;
            continue;
        }

        for (end = p; end < last && *end != '/'; end++) { /* void */ }

        if (end - p == 1 && p[0] == '.') {
            continue;
        }

        if (end - p == 2 && p[0] == '.' && p[1] == '.') {
            while (out > path.data && *--out != '/') { /* void */ }
            continue;
        }

        *out++ = '/';
        out = ngx_cpymem(out, p, end - p);
    }

    if (out == path.data || last[-1] == '/') {
        *out++ = '/';
    }

    path.len = out - path.data;

    return path;
}


static ngx_int_t
pulse_sigv4_query(pulse_sigv4_t *s, const pulse_sigv4_pair_t *query,
    ngx_uint_t n, ngx_pulse_buf_t *b)
{
    ngx_uint_t            i;
    pulse_sigv4_entry_t  *entries;

    entries = pulse_sigv4_entries(s, query, n, 1);
    if (entries == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (i) {
            ngx_pulse_buf_char(b, '&');
        }

        ngx_pulse_buf_str(b, &entries[i].name);
        ngx_pulse_buf_char(b, '=');
        ngx_pulse_buf_str(b, &entries[i].value);
    }

    return NGX_OK;
}


/* those of one name are one, in the order that they were given */

static ngx_int_t
pulse_sigv4_headers(pulse_sigv4_t *s, const pulse_sigv4_pair_t *headers,
    ngx_uint_t n, ngx_pulse_buf_t *b)
{
    ngx_uint_t            i;
    pulse_sigv4_entry_t  *entries;

    entries = pulse_sigv4_entries(s, headers, n, 0);
    if (entries == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (i && pulse_sigv4_text(&entries[i].name, &entries[i - 1].name)
                 == 0)
        {
            ngx_pulse_buf_char(b, ',');

        } else {
            if (i) {
                ngx_pulse_buf_char(b, '\n');
            }

            ngx_pulse_buf_str(b, &entries[i].name);
            ngx_pulse_buf_char(b, ':');
        }

        pulse_sigv4_value(b, &entries[i].value);
    }

    ngx_pulse_buf_char(b, '\n');

    return NGX_OK;
}


/* without space around it, and with one blank for each space within */

static void
pulse_sigv4_value(ngx_pulse_buf_t *b, const ngx_str_t *value)
{
    size_t      i;
    ngx_uint_t  begun, space;

    begun = 0;
    space = 0;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] == ' ' || (value->data[i] >= '\t'
                                      && value->data[i] <= '\r'))
        {
            space = 1;
            continue;
        }

        if (begun && space) {
            ngx_pulse_buf_char(b, ' ');
        }

        begun = 1;
        space = 0;
        ngx_pulse_buf_char(b, value->data[i]);
    }
}


static ngx_str_t
pulse_sigv4_names(pulse_sigv4_t *s, const pulse_sigv4_pair_t *headers,
    ngx_uint_t n)
{
    ngx_str_t             names;
    ngx_uint_t            i;
    ngx_pulse_buf_t      *b;
    pulse_sigv4_entry_t  *entries;

    ngx_str_null(&names);

    b = pulse_sigv4_buf(s);
    entries = pulse_sigv4_entries(s, headers, n, 0);

    if (b == NULL || entries == NULL) {
        return names;
    }

    for (i = 0; i < n; i++) {

        if (i && pulse_sigv4_text(&entries[i].name, &entries[i - 1].name)
                 == 0)
        {
            continue;
        }

        if (i) {
            ngx_pulse_buf_char(b, ';');
        }

        ngx_pulse_buf_str(b, &entries[i].name);
    }

    if (pulse_sigv4_keep(b, &names) != NGX_OK) {
        ngx_str_null(&names);
    }

    return names;
}


/* In the order of their bytes; a query's are escaped before that, a header's
 * names are in lower case. */

static pulse_sigv4_entry_t *
pulse_sigv4_entries(pulse_sigv4_t *s, const pulse_sigv4_pair_t *pairs,
    ngx_uint_t n, ngx_uint_t escape)
{
    ngx_uint_t            i;
    pulse_sigv4_entry_t  *entries;

    entries = ngx_palloc(s->pool, (n + 1) * sizeof(pulse_sigv4_entry_t));
    if (entries == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {
        entries[i].order = i;

        if (escape) {
            entries[i].name = pulse_sigv4_escaped(s->pool, &pairs[i].name);
            entries[i].value = pulse_sigv4_escaped(s->pool, &pairs[i].value);

        } else {
            entries[i].name = pulse_sigv4_lower(s->pool, &pairs[i].name);
            entries[i].value = pairs[i].value;
        }

        if (entries[i].name.data == NULL
            || (escape && entries[i].value.data == NULL))
        {
            return NULL;
        }
    }

    qsort(entries, n, sizeof(pulse_sigv4_entry_t),
          escape ? pulse_sigv4_compare_pairs : pulse_sigv4_compare_names);

    return entries;
}


static ngx_str_t
pulse_sigv4_lower(ngx_pool_t *pool, const ngx_str_t *text)
{
    size_t     i;
    ngx_str_t  lower;

    lower.len = text->len;
    lower.data = ngx_pnalloc(pool, text->len + 1);

    for (i = 0; lower.data && i < text->len; i++) {
        lower.data[i] = ngx_tolower(text->data[i]);
    }

    return lower;
}


static ngx_str_t
pulse_sigv4_escaped(ngx_pool_t *pool, const ngx_str_t *text)
{
    ngx_str_t         escaped;
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_link_escape(&b, text);

    escaped.len = b.len;
    escaped.data = b.failed ? NULL : ngx_pnalloc(pool, b.len + 1);

    /* of an empty value there are no bytes, and no place of them either */

    if (escaped.data && b.len) {
        ngx_memcpy(escaped.data, b.data, b.len);
    }

    ngx_pulse_buf_free(&b);

    return escaped;
}


static int
pulse_sigv4_compare_pairs(const void *one, const void *two)
{
    int                         rc;
    const pulse_sigv4_entry_t  *a = one;
    const pulse_sigv4_entry_t  *b = two;

    rc = pulse_sigv4_text(&a->name, &b->name);

    return rc ? rc : pulse_sigv4_text(&a->value, &b->value);
}


static int
pulse_sigv4_compare_names(const void *one, const void *two)
{
    int                         rc;
    const pulse_sigv4_entry_t  *a = one;
    const pulse_sigv4_entry_t  *b = two;

    rc = pulse_sigv4_text(&a->name, &b->name);

    return rc ? rc : (a->order > b->order) - (a->order < b->order);
}


static int
pulse_sigv4_text(const ngx_str_t *one, const ngx_str_t *two)
{
    int  rc;

    rc = ngx_memcmp(one->data, two->data, ngx_min(one->len, two->len));

    return rc ? rc : (one->len > two->len) - (one->len < two->len);
}


/* The key of a day, a region and a service, so that what is derived from the
 * secret is good for no other; then the signature. */

static ngx_int_t
pulse_sigv4_seal(pulse_sigv4_t *s, const ngx_str_t *text)
{
    u_char           key[PULSE_SIGV4_BYTES];
    ngx_int_t        rc;
    ngx_str_t        day, last;
    ngx_pulse_buf_t  secret;

    day.data = s->date;
    day.len = PULSE_SIGV4_DAY;
    ngx_str_set(&last, "aws4_request");

    ngx_pulse_buf_init(&secret, 0);
    ngx_pulse_buf_literal(&secret, "AWS4");
    ngx_pulse_buf_str(&secret, &s->key->secret);

    rc = NGX_ERROR;

    if (!secret.failed
        && HMAC(EVP_sha256(), secret.data, secret.len, day.data, day.len, key,
                NULL) != NULL
        && pulse_sigv4_hmac(key, &s->key->region) == NGX_OK
        && pulse_sigv4_hmac(key, &s->key->service) == NGX_OK
        && pulse_sigv4_hmac(key, &last) == NGX_OK
        && pulse_sigv4_hmac(key, text) == NGX_OK)
    {
        pulse_hex((char *) s->signature, key, PULSE_SIGV4_BYTES);
        rc = NGX_OK;
    }

    if (secret.data) {
        OPENSSL_cleanse(secret.data, secret.len);
    }

    ngx_pulse_buf_free(&secret);
    OPENSSL_cleanse(key, sizeof(key));

    return rc;
}


/* in the place of the key */

static ngx_int_t
pulse_sigv4_hmac(u_char *key, const ngx_str_t *text)
{
    u_char  bytes[PULSE_SIGV4_BYTES];

    if (HMAC(EVP_sha256(), key, PULSE_SIGV4_BYTES, text->data, text->len,
             bytes, NULL)
        == NULL)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(key, bytes, PULSE_SIGV4_BYTES);
    OPENSSL_cleanse(bytes, sizeof(bytes));

    return NGX_OK;
}


static ngx_pulse_buf_t *
pulse_sigv4_buf(pulse_sigv4_t *s)
{
    ngx_pulse_buf_t  *b;

    b = ngx_palloc(s->pool, sizeof(ngx_pulse_buf_t));

    return (b && ngx_pulse_buf_init_pool(b, 0, s->pool) == NGX_OK) ? b : NULL;
}


static ngx_int_t
pulse_sigv4_keep(ngx_pulse_buf_t *b, ngx_str_t *text)
{
    /* with a NUL, for those who take it as a C string */

    ngx_pulse_buf_char(b, '\0');

    if (b->failed) {
        return NGX_ERROR;
    }

    text->data = b->data;
    text->len = --b->len;

    return NGX_OK;
}
