
#include <openssl/evp.h>
#include "ngx_pulse_id.h"
#include "pulse_s3_request.h"


#define PULSE_S3_NUMBER  24
#define PULSE_S3_FIELDS  8


static ngx_uint_t pulse_s3_fields(ngx_pool_t *pool,
    const pulse_s3_link_t *link, pulse_sigv4_t *s, pulse_sigv4_pair_t *pairs);
static ngx_int_t pulse_s3_policy(ngx_pool_t *pool,
    const pulse_s3_link_t *link, pulse_sigv4_t *s, pulse_sigv4_pair_t *pairs,
    ngx_uint_t n, ngx_str_t *policy);
static void pulse_s3_object(ngx_pulse_buf_t *b,
    const pulse_sigv4_pair_t *pairs, ngx_uint_t n);


/* A GET says how it is to be answered, a PUT what comes: all of that is signed,
 * so that no other size or type can be put. */

ngx_int_t
pulse_s3_link(ngx_pool_t *pool, const pulse_s3_link_t *link,
    ngx_pulse_buf_t *b)
{
    char                 number[PULSE_S3_NUMBER];
    pulse_sigv4_t        s;
    pulse_sigv4_pair_t   headers[3], query[2];

    if (pulse_s3_signer(pool, (char *) link->object.data, &s, headers)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    s.method = link->method;
    ngx_str_set(&s.payload, PULSE_SIGV4_UNSIGNED);

    if (strcmp(link->method, "PUT") == 0) {
        ngx_str_set(&headers[1].name, "Content-Length");
        headers[1].value.data = (u_char *) number;
        headers[1].value.len = snprintf(number, sizeof(number), "%zu",
                                        link->size);

        ngx_str_set(&headers[2].name, "Content-Type");
        headers[2].value.data = (u_char *) link->type;
        headers[2].value.len = strlen(link->type);

        s.nheaders = 3;

    } else {
        ngx_str_set(&query[0].name, "response-content-disposition");
        query[0].value = link->disposition;

        ngx_str_set(&query[1].name, "response-content-type");
        query[1].value.data = (u_char *) link->type;
        query[1].value.len = strlen(link->type);

        s.query = query;
        s.nquery = 2;
    }

    if (pulse_sigv4_presign(&s, link->expires) != NGX_OK) {
        return NGX_ERROR;
    }

    pulse_s3_base(b);
    ngx_pulse_buf_str(b, &s.uri);

    return b->failed ? NGX_ERROR : NGX_OK;
}


/* The fields that a form sends beside the file are the conditions of its
 * policy, so that none of them can be changed. */

ngx_int_t
pulse_s3_form(ngx_pool_t *pool, const pulse_s3_link_t *link,
    ngx_pulse_buf_t *url, ngx_pulse_buf_t *fields)
{
    ngx_str_t            policy;
    ngx_uint_t           n;
    pulse_sigv4_t        s, bucket;
    pulse_sigv4_pair_t   pairs[PULSE_S3_FIELDS], host;

    if (pulse_s3_signer(pool, "", &bucket, &host) != NGX_OK
        || pulse_s3_signer(pool, "", &s, &host) != NGX_OK
        || pulse_sigv4_stamp(&s) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = pulse_s3_fields(pool, link, &s, pairs);

    if (n == 0 || pulse_s3_policy(pool, link, &s, pairs, n, &policy) != NGX_OK
        || pulse_sigv4_policy(&s, &policy) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&pairs[n].name, "Policy");
    pairs[n++].value = policy;

    ngx_str_set(&pairs[n].name, "X-Amz-Signature");
    pairs[n].value.data = s.signature;
    pairs[n++].value.len = PULSE_SIGV4_HEX;

    pulse_s3_base(url);
    pulse_sigv4_escape_path(url, &bucket.path);
    pulse_s3_object(fields, pairs, n);

    return (url->failed || fields->failed) ? NGX_ERROR : NGX_OK;
}


/* How many there are, 0: no memory. */

static ngx_uint_t
pulse_s3_fields(ngx_pool_t *pool, const pulse_s3_link_t *link,
    pulse_sigv4_t *s, pulse_sigv4_pair_t *pairs)
{
    ngx_uint_t        n;
    ngx_pulse_buf_t  *credential;

    credential = ngx_palloc(pool, sizeof(ngx_pulse_buf_t));

    if (credential == NULL
        || ngx_pulse_buf_init_pool(credential, 0, pool) != NGX_OK)
    {
        return 0;
    }

    pulse_sigv4_credential(s, credential);

    n = 0;

    ngx_str_set(&pairs[n].name, "key");
    pairs[n++].value = link->object;

    ngx_str_set(&pairs[n].name, "Content-Type");
    pairs[n].value.data = (u_char *) link->type;
    pairs[n++].value.len = strlen(link->type);

    ngx_str_set(&pairs[n].name, "X-Amz-Algorithm");
    ngx_str_set(&pairs[n].value, PULSE_SIGV4_ALGORITHM);
    n++;

    ngx_str_set(&pairs[n].name, "X-Amz-Credential");
    pairs[n].value.data = credential->data;
    pairs[n++].value.len = credential->len;

    ngx_str_set(&pairs[n].name, "X-Amz-Date");
    pairs[n].value.data = s->date;
    pairs[n++].value.len = PULSE_SIGV4_DATE;

    if (s->key->token.len) {
        ngx_str_set(&pairs[n].name, "X-Amz-Security-Token");
        pairs[n++].value = s->key->token;
    }

    return credential->failed ? 0 : n;
}


static ngx_int_t
pulse_s3_policy(ngx_pool_t *pool, const pulse_s3_link_t *link,
    pulse_sigv4_t *s, pulse_sigv4_pair_t *pairs, ngx_uint_t n,
    ngx_str_t *policy)
{
    u_char               until[24];
    ngx_uint_t           i;
    ngx_pulse_buf_t      b;
    pulse_sigv4_pair_t   bucket;

    ngx_str_set(&bucket.name, "bucket");
    bucket.value = pulse_s3_bucket();

    ngx_pulse_rfc3339(until, ((int64_t) s->time + link->expires) * 1000);

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"expiration\":\"");
    ngx_pulse_buf_append(&b, until, sizeof(until));
    ngx_pulse_buf_literal(&b, "\",\"conditions\":[");
    pulse_s3_object(&b, &bucket, 1);

    for (i = 0; i < n; i++) {
        ngx_pulse_buf_char(&b, ',');
        pulse_s3_object(&b, &pairs[i], 1);
    }

    ngx_pulse_buf_literal(&b, ",[\"content-length-range\",");
    ngx_pulse_buf_int(&b, link->size);
    ngx_pulse_buf_char(&b, ',');
    ngx_pulse_buf_int(&b, link->size);
    ngx_pulse_buf_literal(&b, "]]}");

    policy->data = b.failed ? NULL : ngx_pnalloc(pool, 4 * (b.len / 3) + 5);

    if (policy->data) {
        policy->len = EVP_EncodeBlock(policy->data, b.data, b.len);
    }

    ngx_pulse_buf_free(&b);

    return policy->data ? NGX_OK : NGX_ERROR;
}


static void
pulse_s3_object(ngx_pulse_buf_t *b, const pulse_sigv4_pair_t *pairs,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        ngx_pulse_buf_char(b, i ? ',' : '{');
        ngx_pulse_buf_json(b, pairs[i].name.data, pairs[i].name.len);
        ngx_pulse_buf_char(b, ':');
        ngx_pulse_buf_json(b, pairs[i].value.data, pairs[i].value.len);
    }

    ngx_pulse_buf_char(b, '}');
}
