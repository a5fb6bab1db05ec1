
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_jwt.h"


static const char *ngx_pulse_jwt_split(const ngx_str_t *token,
    ngx_str_t *parts);
static const char *ngx_pulse_jwt_json(ngx_pool_t *pool, const ngx_str_t *part,
    ngx_pulse_json_value_t **value);
static const char *ngx_pulse_jwt_header(ngx_pulse_jwt_t *jwt);
static ngx_uint_t ngx_pulse_jwt_type(ngx_pulse_json_value_t *type);
static const char *ngx_pulse_jwt_claims(ngx_pulse_jwt_t *jwt);
static const char *ngx_pulse_jwt_text(ngx_pulse_json_value_t *claims,
    const char *name, ngx_str_t *text);
static ngx_int_t ngx_pulse_jwt_time(ngx_pulse_json_value_t *claims,
    const char *name, int64_t *time);
static ngx_uint_t ngx_pulse_jwt_audience(ngx_pulse_json_value_t *audience,
    const ngx_str_t *wanted);
static ngx_uint_t ngx_pulse_jwt_same(const ngx_str_t *one,
    const ngx_str_t *two);
static void ngx_pulse_jwt_encode(ngx_pulse_buf_t *b, const ngx_str_t *bytes);


const char *
ngx_pulse_jwt_parse(ngx_pool_t *pool, const ngx_str_t *token,
    ngx_pulse_jwt_t *jwt)
{
    ngx_str_t    parts[3];
    const char  *reason;

    ngx_memzero(jwt, sizeof(ngx_pulse_jwt_t));

    reason = ngx_pulse_jwt_split(token, parts);
    if (reason != NULL) {
        return reason;
    }

    reason = ngx_pulse_jwt_json(pool, &parts[0], &jwt->header);
    if (reason != NULL) {
        return reason;
    }

    reason = ngx_pulse_jwt_header(jwt);
    if (reason != NULL) {
        return reason;
    }

    reason = ngx_pulse_jwt_json(pool, &parts[1], &jwt->claims);
    if (reason != NULL) {
        return reason;
    }

    reason = ngx_pulse_jwt_claims(jwt);
    if (reason != NULL) {
        return reason;
    }

    jwt->signature.data = ngx_pnalloc(pool,
                                  ngx_pulse_base64url_decoded(parts[2].len));
    if (jwt->signature.data == NULL) {
        return "no memory";
    }

    if (ngx_pulse_base64url_decode(jwt->signature.data, &jwt->signature.len,
                                   &parts[2])
        != NGX_OK)
    {
        return "signature is not base64url";
    }

    jwt->input.data = token->data;
    jwt->input.len = parts[1].data + parts[1].len - token->data;

    return NULL;
}


static const char *
ngx_pulse_jwt_split(const ngx_str_t *token, ngx_str_t *parts)
{
    size_t      i;
    ngx_uint_t  n;

    if (token->len > NGX_PULSE_JWT_MAX_SIZE) {
        return "longer than 8192 bytes";
    }

    n = 0;
    parts[0].data = token->data;
    parts[0].len = 0;

    for (i = 0; i < token->len; i++) {
        if (token->data[i] != '.') {
            parts[n].len++;
            continue;
        }

        if (++n == 3) {
            return "more than three parts";
        }

        parts[n].data = token->data + i + 1;
        parts[n].len = 0;
    }

    if (n != 2) {
        return "fewer than three parts";
    }

    if (parts[0].len == 0 || parts[1].len == 0 || parts[2].len == 0) {
        return "empty part";
    }

    return NULL;
}


static const char *
ngx_pulse_jwt_json(ngx_pool_t *pool, const ngx_str_t *part,
    ngx_pulse_json_value_t **value)
{
    ngx_str_t                text;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    text.data = ngx_pnalloc(pool, ngx_pulse_base64url_decoded(part->len) + 1);
    if (text.data == NULL) {
        return "no memory";
    }

    if (ngx_pulse_base64url_decode(text.data, &text.len, part) != NGX_OK) {
        return "part is not base64url";
    }

    limits.size = NGX_PULSE_JWT_MAX_SIZE;
    limits.depth = 8;
    limits.values = 512;
    limits.keys = 128;

    *value = ngx_pulse_json_tree(pool, text.data, text.len, &limits, &err);

    if (*value == NULL || (*value)->type != NGX_PULSE_JSON_OBJECT) {
        return "part is not a JSON object";
    }

    return NULL;
}


static const char *
ngx_pulse_jwt_header(ngx_pulse_jwt_t *jwt)
{
    ngx_pulse_json_value_t  *value;

    value = ngx_pulse_json_get(jwt->header, "alg");

    if (value == NULL || value->type != NGX_PULSE_JSON_STRING) {
        return "\"alg\" is missing";
    }

    jwt->alg = ngx_pulse_jwk_alg(&value->string);

    if (jwt->alg == 0) {
        return "\"alg\" is not supported";
    }

    value = ngx_pulse_json_get(jwt->header, "kid");

    if (value != NULL) {
        if (value->type != NGX_PULSE_JSON_STRING || value->string.len == 0
            || value->string.len > NGX_PULSE_JWK_MAX_KID)
        {
            return "\"kid\" is not a string of 1 to 128 bytes";
        }

        jwt->kid = value->string;
    }

    /* nothing critical is understood (RFC 7515, 4.1.11), and a payload that
     * is not encoded (RFC 7797) is none of ours, said to be critical or not */

    if (ngx_pulse_json_get(jwt->header, "crit") != NULL
        || ngx_pulse_json_get(jwt->header, "b64") != NULL)
    {
        return "\"crit\" or \"b64\"";
    }

    if (ngx_pulse_json_get(jwt->header, "cty") != NULL) {
        return "token within a token";
    }

    value = ngx_pulse_json_get(jwt->header, "typ");

    if (value != NULL && !ngx_pulse_jwt_type(value)) {
        return "\"typ\" is that of another kind of token";
    }

    return NULL;
}


/* A media type (RFC 7515, 4.1.9): letters' case and "application/" are of no
 * account.  "at+jwt" is what RFC 9068 has foreign issuers write. */

static ngx_uint_t
ngx_pulse_jwt_type(ngx_pulse_json_value_t *type)
{
    ngx_str_t   s;
    ngx_uint_t  i;

    static const ngx_str_t  prefix = ngx_string("application/");
    static const ngx_str_t  types[] = {
        ngx_string("jwt"), ngx_string("at+jwt")
    };

    if (type->type != NGX_PULSE_JSON_STRING) {
        return 0;
    }

    s = type->string;

    if (s.len > prefix.len
        && strncasecmp((char *) s.data, (char *) prefix.data, prefix.len)
           == 0)
    {
        s.data += prefix.len;
        s.len -= prefix.len;
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (s.len == types[i].len
            && strncasecmp((char *) s.data, (char *) types[i].data, s.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static const char *
ngx_pulse_jwt_claims(ngx_pulse_jwt_t *jwt)
{
    const char  *reason;

    reason = ngx_pulse_jwt_text(jwt->claims, "iss", &jwt->issuer);
    if (reason != NULL) {
        return reason;
    }

    reason = ngx_pulse_jwt_text(jwt->claims, "sub", &jwt->subject);
    if (reason != NULL) {
        return reason;
    }

    if (ngx_pulse_jwt_time(jwt->claims, "exp", &jwt->expires) != NGX_OK) {
        return "\"exp\" is missing or no whole number of seconds";
    }

    if (ngx_pulse_jwt_time(jwt->claims, "iat", &jwt->issued) == NGX_ERROR) {
        return "\"iat\" is no whole number of seconds";
    }

    return NULL;
}


static const char *
ngx_pulse_jwt_text(ngx_pulse_json_value_t *claims, const char *name,
    ngx_str_t *text)
{
    ngx_pulse_json_value_t  *value;

    value = ngx_pulse_json_get(claims, name);

    if (value == NULL) {
        return NULL;
    }

    if (value->type != NGX_PULSE_JSON_STRING) {
        return "\"iss\" or \"sub\" is no string";
    }

    *text = value->string;

    return NULL;
}


/*
 * RFC 7519 lets a time have a fraction; nobody writes one, and a number that
 * two readers may round in two ways has no place here.  NGX_DECLINED if
 * there is none.
 */

static ngx_int_t
ngx_pulse_jwt_time(ngx_pulse_json_value_t *claims, const char *name,
    int64_t *time)
{
    ngx_pulse_json_value_t  *value;

    value = ngx_pulse_json_get(claims, name);

    if (value == NULL) {
        return NGX_DECLINED;
    }

    if (value->type != NGX_PULSE_JSON_NUMBER || value->string.data[0] == '-')
    {
        return NGX_ERROR;
    }

    return ngx_pulse_json_int(&value->string, time);
}


const char *
ngx_pulse_jwt_verify(ngx_pulse_jwt_t *jwt, ngx_pulse_jwks_t *jwks,
    const ngx_pulse_jwt_rules_t *rules, int64_t now)
{
    int64_t           start;
    ngx_int_t         rc;
    ngx_pulse_jwk_t  *key;

    key = ngx_pulse_jwks_find(jwks, &jwt->kid, jwt->alg);

    if (key == NULL) {
        return "no key for its \"kid\" and \"alg\"";
    }

    if (!ngx_pulse_jwk_verify(key, &jwt->input, &jwt->signature)) {
        return "signature is wrong";
    }

    if (!ngx_pulse_jwt_same(&jwt->issuer, &rules->issuer)) {
        return "\"iss\" is another";
    }

    if (!ngx_pulse_jwt_audience(ngx_pulse_json_get(jwt->claims, "aud"),
                                &rules->audience))
    {
        return "\"aud\" is another";
    }

    if (now - rules->leeway >= jwt->expires) {
        return "expired";
    }

    rc = ngx_pulse_jwt_time(jwt->claims, "nbf", &start);

    if (rc == NGX_ERROR) {
        return "\"nbf\" is no whole number of seconds";
    }

    if ((rc == NGX_OK && now + rules->leeway < start)
        || now + rules->leeway < jwt->issued)
    {
        return "not good yet";
    }

    return NULL;
}


static ngx_uint_t
ngx_pulse_jwt_audience(ngx_pulse_json_value_t *audience,
    const ngx_str_t *wanted)
{
    ngx_uint_t               found;
    ngx_pulse_json_value_t  *value;

    if (audience == NULL) {
        return 0;
    }

    if (audience->type == NGX_PULSE_JSON_STRING) {
        return ngx_pulse_jwt_same(&audience->string, wanted);
    }

    if (audience->type != NGX_PULSE_JSON_ARRAY) {
        return 0;
    }

    found = 0;

    for (value = audience->children; value != NULL; value = value->next) {
        if (value->type != NGX_PULSE_JSON_STRING) {
            return 0;
        }

        found |= ngx_pulse_jwt_same(&value->string, wanted);
    }

    return found;
}


static ngx_uint_t
ngx_pulse_jwt_same(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && (one->len == 0
               || ngx_memcmp(one->data, two->data, one->len) == 0);
}


ngx_int_t
ngx_pulse_jwt_sign(ngx_pulse_jwk_t *key, const ngx_str_t *claims,
    ngx_pulse_buf_t *token)
{
    size_t           start;
    ngx_str_t        input, text;
    ngx_int_t        rc;
    const char      *name;
    ngx_pulse_buf_t  b;

    name = ngx_pulse_jwk_alg_name(key->alg);
    start = token->len;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"alg\":\"");
    ngx_pulse_buf_append(&b, (u_char *) name, ngx_strlen(name));
    ngx_pulse_buf_literal(&b, "\",\"typ\":\"JWT\"");

    if (key->kid.data != NULL) {
        ngx_pulse_buf_literal(&b, ",\"kid\":");
        ngx_pulse_buf_json(&b, key->kid.data, key->kid.len);
    }

    ngx_pulse_buf_char(&b, '}');

    text.data = b.data;
    text.len = b.len;

    ngx_pulse_jwt_encode(token, &text);
    ngx_pulse_buf_char(token, '.');
    ngx_pulse_jwt_encode(token, claims);

    rc = (b.failed || token->failed) ? NGX_ERROR : NGX_OK;

    if (rc == NGX_OK) {
        input.data = token->data + start;
        input.len = token->len - start;

        b.len = 0;
        rc = ngx_pulse_jwk_sign(key, &input, &b);
    }

    if (rc == NGX_OK) {
        text.data = b.data;
        text.len = b.len;

        ngx_pulse_buf_char(token, '.');
        ngx_pulse_jwt_encode(token, &text);

        rc = token->failed ? NGX_ERROR : NGX_OK;
    }

    ngx_pulse_buf_free(&b);

    return rc;
}


static void
ngx_pulse_jwt_encode(ngx_pulse_buf_t *b, const ngx_str_t *bytes)
{
    u_char  *p;

    p = ngx_pulse_buf_reserve(b, ngx_pulse_base64url_encoded(bytes->len));

    if (p != NULL) {
        b->len += ngx_pulse_base64url_encode(p, bytes->data, bytes->len) - p;
    }
}
