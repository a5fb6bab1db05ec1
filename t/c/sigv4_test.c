
#include <dirent.h>
#include <time.h>
#include "unit.h"
#include "ngx_pulse_json.h"
#include "pulse_sigv4.h"


/*
 * All requests of Amazon's own test suite, signed in the header and in the
 * query, and what they leave out: policies, and names that change on the way.
 */


#define SUITE  "data/vectors/aws_sigv4_suite/tests/aws-signing-test-suite/v4"
#define MAX    64


typedef struct {
    pulse_sigv4_t        s;
    pulse_sigv4_key_t    key;
    pulse_sigv4_pair_t   query[MAX];
    pulse_sigv4_pair_t   headers[MAX];
    ngx_uint_t           expires;
    u_char               hash[PULSE_SIGV4_HEX + 1];
} vector_t;


static void test_suite(void);
static void test_vector(const char *dir);
static void read_context(vector_t *v, const char *dir, ngx_uint_t in_query);
static ngx_str_t text_of(ngx_pulse_json_value_t *v, const char *name);
static ngx_uint_t flag_of(ngx_pulse_json_value_t *v, const char *name);
static void read_request(vector_t *v, const char *dir);
static void read_target(vector_t *v, ngx_str_t target);
static ngx_str_t unescape(ngx_str_t text);
static ngx_str_t file_of(const char *dir, const char *name);
static void same(const char *dir, const char *name, ngx_str_t *made);
static void test_policy(void);
static void test_empty_value(void);
static void test_no_memory(void);


static ngx_pool_t  *pool;


int
main(void)
{
    pool = unit_pool();

    test_suite();
    test_policy();
    test_empty_value();
    test_no_memory();

    ngx_destroy_pool(pool);

    return unit_done();
}


static void
test_suite(void)
{
    int             n;
    DIR            *dir;
    char            name[1024];
    const char     *shared;
    struct dirent  *entry;

    shared = unit_shared();

    if (shared == NULL) {
        return;
    }

    snprintf(name, sizeof(name), "%s/" SUITE, shared);

    dir = opendir(name);

    check(dir != NULL);

    for (n = 0; dir && (entry = readdir(dir)) != NULL; /* void */ ) {

        if (entry->d_name[0] == '.') {
            continue;
        }

        snprintf(name, sizeof(name), "%s/" SUITE "/%s", shared,
                 entry->d_name);

        unit_case("%s", entry->d_name);
        test_vector(name);
        n++;
    }

    unit_case(NULL);

    /* that many there are */

    check_int(n, 38);

    if (dir) {
        closedir(dir);
    }
}


static void
test_vector(const char *dir)
{
    ngx_str_t  signature;
    vector_t  *v;

    v = ngx_pcalloc(pool, sizeof(vector_t));

    read_request(v, dir);
    read_context(v, dir, 0);

    check_int(pulse_sigv4_sign(&v->s), NGX_OK);

    signature.data = v->s.signature;
    signature.len = PULSE_SIGV4_HEX;

    same(dir, "header-canonical-request.txt", &v->s.canonical);
    same(dir, "header-string-to-sign.txt", &v->s.to_sign);
    same(dir, "header-signature.txt", &signature);

    read_context(v, dir, 1);

    check_int(pulse_sigv4_presign(&v->s, v->expires), NGX_OK);

    same(dir, "query-canonical-request.txt", &v->s.canonical);
    same(dir, "query-string-to-sign.txt", &v->s.to_sign);
    same(dir, "query-signature.txt", &signature);

    /* the address ends with what was signed */

    check_mem(v->s.uri.data + v->s.uri.len - PULSE_SIGV4_HEX,
              PULSE_SIGV4_HEX, signature.data, signature.len);
}


static void
read_context(vector_t *v, const char *dir, ngx_uint_t in_query)
{
    struct tm                tm;
    ngx_str_t                text;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root, *keys;

    text = file_of(dir, "context.json");
    root = ngx_pulse_json_tree(pool, text.data, text.len, NULL, &err);

    check(root != NULL);

    keys = ngx_pulse_json_get(root, "credentials");

    v->key.access = text_of(keys, "access_key_id");
    v->key.secret = text_of(keys, "secret_access_key");
    v->key.region = text_of(root, "region");
    v->key.service = text_of(root, "service");
    v->key.token = text_of(keys, "token");

    /* one that is added after signing is not signed */

    if (flag_of(root, "omit_session_token")) {
        v->key.token.len = 0;
    }

    v->expires = strtoul((char *) ngx_pulse_json_get(root,
                                     "expiration_in_seconds")->string.data,
                         NULL, 10);

    memset(&tm, 0, sizeof(tm));
    text = text_of(root, "timestamp");
    check_int(sscanf((char *) text.data, "%d-%d-%dT%d:%d:%d", &tm.tm_year,
                     &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                     &tm.tm_sec), 6);
    tm.tm_year -= 1900;
    tm.tm_mon--;

    v->s.pool = pool;
    v->s.key = &v->key;
    v->s.time = timegm(&tm);
    v->s.normalize = flag_of(root, "normalize");
    v->s.say_payload = flag_of(root, "sign_body") && !in_query;
}


static ngx_str_t
text_of(ngx_pulse_json_value_t *v, const char *name)
{
    ngx_str_t                text;
    ngx_pulse_json_value_t  *member;

    ngx_str_set(&text, "");

    member = ngx_pulse_json_get(v, name);

    return member ? member->string : text;
}


static ngx_uint_t
flag_of(ngx_pulse_json_value_t *v, const char *name)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, name);

    return member && member->boolean;
}


static void
read_request(vector_t *v, const char *dir)
{
    u_char     *p, *end, *last, *colon, *blank;
    ngx_str_t   text, body;

    text = file_of(dir, "request.txt");
    p = text.data;
    last = p + text.len;

    blank = memchr(p, ' ', text.len);
    *blank = '\0';
    v->s.method = (char *) p;

    end = memchr(blank + 1, '\n', last - blank - 1);

    text.data = blank + 1;
    text.len = end - sizeof(" HTTP/1.1") + 1 - text.data;
    read_target(v, text);

    v->s.headers = v->headers;

    for (p = end + 1; p < last && *p != '\n'; p = end + 1) {
        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        if (*p == ' ') {
            v->headers[v->s.nheaders - 1].value.len =
                end - v->headers[v->s.nheaders - 1].value.data;
            continue;
        }

        colon = memchr(p, ':', end - p);

        v->headers[v->s.nheaders].name.data = p;
        v->headers[v->s.nheaders].name.len = colon - p;
        v->headers[v->s.nheaders].value.data = colon + 1;
        v->headers[v->s.nheaders++].value.len = end - colon - 1;
    }

    body.data = (p < last) ? p + 1 : last;
    body.len = last - body.data;

    check_int(pulse_sigv4_hash(body.data, body.len, v->hash), NGX_OK);

    v->s.payload.data = v->hash;
    v->s.payload.len = PULSE_SIGV4_HEX;
}


static void
read_target(vector_t *v, ngx_str_t target)
{
    u_char     *p, *end, *last, *sign;
    ngx_str_t   part;

    last = target.data + target.len;
    p = memchr(target.data, '?', target.len);

    v->s.path = target;
    v->s.query = v->query;

    if (p == NULL) {
        v->s.path = unescape(v->s.path);
        return;
    }

    v->s.path.len = p - target.data;
    v->s.path = unescape(v->s.path);

    for (p++; p < last; p = end + 1) {
        end = memchr(p, '&', last - p);

        if (end == NULL) {
            end = last;
        }

        sign = memchr(p, '=', end - p);

        if (sign == NULL) {
            sign = end;
        }

        part.data = p;
        part.len = sign - p;
        v->query[v->s.nquery].name = unescape(part);

        part.data = ngx_min(sign + 1, end);
        part.len = end - part.data;
        v->query[v->s.nquery++].value = unescape(part);
    }
}


static ngx_str_t
unescape(ngx_str_t text)
{
    size_t     i;
    unsigned   code;
    ngx_str_t  out;

    out.len = 0;
    out.data = ngx_pnalloc(pool, text.len + 1);

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '%' && i + 2 < text.len
            && sscanf((char *) text.data + i + 1, "%2x", &code) == 1)
        {
            out.data[out.len++] = code;
            i += 2;
            continue;
        }

        out.data[out.len++] = text.data[i];
    }

    return out;
}


static ngx_str_t
file_of(const char *dir, const char *name)
{
    char       path[2048];
    ngx_str_t  text, copy;

    snprintf(path, sizeof(path), "%s/%s", dir, name);

    text = unit_file(path);

    check(text.data != NULL);

    copy.len = text.len;
    copy.data = ngx_pnalloc(pool, text.len + 1);
    ngx_memcpy(copy.data, text.data, text.len);
    copy.data[text.len] = '\0';
    free(text.data);

    return copy;
}


static void
same(const char *dir, const char *name, ngx_str_t *made)
{
    ngx_str_t  wanted;

    wanted = file_of(dir, name);

    check_mem(made->data, made->len, wanted.data, wanted.len);
}


/* Amazon's example of a policy, "Example: Browser-Based Upload using HTTP
 * POST" of its reference of S3 */

static void
test_policy(void)
{
    ngx_str_t           policy;
    pulse_sigv4_t       s;
    pulse_sigv4_key_t   key;
    ngx_pulse_buf_t     b;

    ngx_memzero(&s, sizeof(s));
    ngx_memzero(&key, sizeof(key));

    ngx_str_set(&key.access, "AKIAIOSFODNN7EXAMPLE");
    ngx_str_set(&key.secret, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    ngx_str_set(&key.region, "us-east-1");
    ngx_str_set(&key.service, "s3");

    s.pool = pool;
    s.key = &key;
    s.time = 1451347200;                /* 2015-12-29T00:00:00Z */

    ngx_str_set(&policy,
        "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29u"
        "ZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwN"
        "CiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7"
        "ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJl"
        "Y3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1"
        "Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250"
        "ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQz"
        "NjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24i"
        "OiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWci"
        "LCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VY"
        "QU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsi"
        "eC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16"
        "LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9");

    check_int(pulse_sigv4_policy(&s, &policy), NGX_OK);
    check_text((char *) s.date, "20151229T000000Z");
    check_text((char *) s.signature, "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f"
                                     "3255ac628749a66d7f09699e");

    ngx_pulse_buf_init(&b, 0);
    pulse_sigv4_credential(&s, &b);
    check_str(&b, "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request");
    ngx_pulse_buf_free(&b);
}


/* "?uploads" begins an upload in parts. */

static void
test_empty_value(void)
{
    pulse_sigv4_t        s;
    pulse_sigv4_key_t    key;
    pulse_sigv4_pair_t   query, header;

    ngx_memzero(&s, sizeof(s));
    ngx_memzero(&key, sizeof(key));

    ngx_str_set(&key.region, "us-east-1");
    ngx_str_set(&key.service, "s3");
    ngx_str_set(&query.name, "uploads");
    ngx_str_set(&query.value, "");
    ngx_str_set(&header.name, "Host");
    ngx_str_set(&header.value, "bucket.example");

    s.pool = pool;
    s.key = &key;
    s.method = "POST";
    s.query = &query;
    s.nquery = 1;
    s.headers = &header;
    s.nheaders = 1;
    s.time = 1451347200;

    ngx_str_set(&s.path, "/object");
    ngx_str_set(&s.payload, PULSE_SIGV4_UNSIGNED);

    check_int(pulse_sigv4_sign(&s), NGX_OK);
    check_str(&s.canonical, "POST\n/object\nuploads=\nhost:bucket.example\n"
              "x-amz-date:20151229T000000Z\n\nhost;x-amz-date\n"
              "UNSIGNED-PAYLOAD");
}


static void
test_no_memory(void)
{
    ngx_int_t           rc;
    ngx_uint_t          n;
    ngx_pool_t         *own;
    pulse_sigv4_t       s;
    pulse_sigv4_key_t   key;
    pulse_sigv4_pair_t  host;

    ngx_memzero(&key, sizeof(key));
    ngx_str_set(&key.access, "A");
    ngx_str_set(&key.secret, "S");
    ngx_str_set(&key.region, "r");
    ngx_str_set(&key.service, "s3");
    ngx_str_set(&host.name, "Host");
    ngx_str_set(&host.value, "s3.example");

    for (n = 1, rc = NGX_ERROR; rc != NGX_OK && n < 500; n++) {
        own = unit_pool();

        ngx_memzero(&s, sizeof(s));
        s.pool = own;
        s.key = &key;
        s.method = "GET";
        s.headers = &host;
        s.nheaders = 1;
        ngx_str_set(&s.path, "/a b/c");
        ngx_str_set(&s.payload, PULSE_SIGV4_UNSIGNED);

        unit_fail_allocation(n);

        rc = pulse_sigv4_sign(&s);

        if (rc == NGX_OK) {
            rc = pulse_sigv4_presign(&s, 300);
        }

        unit_fail_allocation(0);
        ngx_destroy_pool(own);
    }

    check_int(rc, NGX_OK);
    check(n > 10);
}
