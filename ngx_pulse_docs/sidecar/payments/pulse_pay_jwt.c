
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_jwt.h"
#include "pulse_pay_jwt.h"
#include "pulse_query.h"


#define PULSE_PAY_JWT_SKEW  60          /* s that clocks may differ */


static ngx_int_t pulse_pay_jwt_part(ngx_pool_t *pool, const ngx_str_t *part,
    ngx_str_t *text);
static ngx_uint_t pulse_pay_jwt_fresh(const ngx_pulse_json_value_t *claims,
    int64_t now);


ngx_int_t
pulse_pay_jwt_read(ngx_pool_t *pool, const ngx_str_t *key,
    const ngx_str_t *token, int64_t now, ngx_pulse_json_value_t **claims)
{
    u_char          *dot, *last;
    ngx_str_t        head, body, input, signature, alg, text;
    ngx_pulse_jwk_t  jwk;

    if (token->len == 0) {
        return NGX_DECLINED;
    }

    last = token->data + token->len;
    dot = memchr(token->data, '.', token->len);

    if (dot == NULL) {
        return NGX_DECLINED;
    }

    head.data = token->data;
    head.len = dot - token->data;
    body.data = dot + 1;
    dot = memchr(body.data, '.', last - body.data);

    if (dot == NULL) {
        return NGX_DECLINED;
    }

    body.len = dot - body.data;
    input.data = token->data;
    input.len = dot - token->data;
    text.data = dot + 1;
    text.len = last - text.data;

    ngx_memzero(&jwk, sizeof(ngx_pulse_jwk_t));
    jwk.alg = NGX_PULSE_JWK_HS256;
    jwk.secret = *key;

    if (pulse_pay_jwt_part(pool, &text, &signature) != NGX_OK
        || ngx_pulse_jwk_verify(&jwk, &input, &signature) != 1)
    {
        return NGX_DECLINED;
    }

    if (pulse_pay_jwt_part(pool, &head, &text) != NGX_OK) {
        return NGX_DECLINED;
    }

    alg = pulse_pay_text(pulse_pay_json(pool, &text), "alg", 8);

    if (alg.len != 5 || ngx_memcmp(alg.data, "HS256", 5) != 0
        || pulse_pay_jwt_part(pool, &body, &text) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    *claims = pulse_pay_json(pool, &text);

    return (*claims && (now == 0 || pulse_pay_jwt_fresh(*claims, now)))
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
pulse_pay_jwt_part(ngx_pool_t *pool, const ngx_str_t *part, ngx_str_t *text)
{
    text->data = ngx_pnalloc(pool, ngx_pulse_base64url_decoded(part->len)
                                   + 1);

    return text->data ? ngx_pulse_base64url_decode(text->data, &text->len,
                                                   part)
                      : NGX_ERROR;
}


static ngx_uint_t
pulse_pay_jwt_fresh(const ngx_pulse_json_value_t *claims, int64_t now)
{
    int64_t    time;
    ngx_str_t  text;

    if (ngx_pulse_json_get(claims, "exp")) {
        text = pulse_pay_text(claims, "exp", 20);

        if (ngx_pulse_json_int(&text, &time) != NGX_OK
            || time <= now - PULSE_PAY_JWT_SKEW)
        {
            return 0;
        }
    }

    if (ngx_pulse_json_get(claims, "nbf")) {
        text = pulse_pay_text(claims, "nbf", 20);

        if (ngx_pulse_json_int(&text, &time) != NGX_OK
            || time > now + PULSE_PAY_JWT_SKEW)
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
pulse_pay_jwt_browser(ngx_pool_t *pool, const ngx_str_t *key,
    const ngx_str_t *fields, ngx_pulse_json_value_t **claims)
{
    ngx_int_t         rc;
    pulse_query_t    *query;
    const ngx_str_t  *token;

    query = ngx_palloc(pool, sizeof(pulse_query_t));
    if (query == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_query_read(pool, fields, query);
    if (rc != NGX_OK) {
        return rc;
    }

    token = pulse_query_get(query, "token");

    return token ? pulse_pay_jwt_read(pool, key, token, 0, claims)
                 : NGX_DECLINED;
}


ngx_int_t
pulse_pay_jwt_write(ngx_pool_t *pool, const ngx_str_t *key,
    const ngx_str_t *claims, ngx_str_t *token)
{
    ngx_pulse_buf_t  b;
    ngx_pulse_jwk_t  jwk;

    ngx_memzero(&jwk, sizeof(ngx_pulse_jwk_t));
    jwk.alg = NGX_PULSE_JWK_HS256;
    jwk.secret_key = 1;
    jwk.secret = *key;

    ngx_pulse_buf_init(&b, 0);

    if (ngx_pulse_jwt_sign(&jwk, claims, &b) != NGX_OK) {
        b.failed = 1;
    }

    return pulse_pay_take(pool, &b, token);
}
