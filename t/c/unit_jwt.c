
#include "unit_jwt.h"
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include "ngx_pulse_base64url.h"


ngx_pool_t             *jwt_pool;
ngx_pulse_jwks_t       *jwt_ring;
ngx_pulse_jwk_t        *jwt_hs, *jwt_rs, *jwt_es, *jwt_ed;
EVP_PKEY               *jwt_rsa, *jwt_ec, *jwt_ed25519;
ngx_pulse_jwt_rules_t   jwt_rules = {
    ngx_string("studio"), ngx_string("web"), 0
};


void
jwt_setup(void)
{
    ngx_str_t                 set;
    ngx_pulse_jwks_error_t    err;

    jwt_pool = unit_pool();

    jwt_rsa = EVP_RSA_gen(2048);
    jwt_ec = EVP_EC_gen("prime256v1");
    jwt_ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    set = jwt_text("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"hs\",\"k\":\"%s\"},"
                   "%s,%s,%s]}",
                   jwt_encode_text("a secret of thirty-two bytes, ok!").data,
                   jwt_key_rsa(jwt_rsa).data, jwt_key_ec(jwt_ec).data,
                   jwt_key_ed(jwt_ed25519).data);

    err.reason = "";
    jwt_ring = ngx_pulse_jwks_ring(jwt_pool, &set, &err);

    if (jwt_ring == NULL) {
        printf("# key %d: %s\n", (int) err.index, err.reason);
        check(jwt_ring != NULL);
        exit(unit_done());
    }

    jwt_hs = &jwt_ring->keys[0];
    jwt_rs = &jwt_ring->keys[1];
    jwt_es = &jwt_ring->keys[2];
    jwt_ed = &jwt_ring->keys[3];
}


void
jwt_cleanup(void)
{
    ngx_destroy_pool(jwt_pool);

    EVP_PKEY_free(jwt_rsa);
    EVP_PKEY_free(jwt_ec);
    EVP_PKEY_free(jwt_ed25519);
}


ngx_str_t
jwt_text(const char *fmt, ...)
{
    int        n;
    va_list    args;
    ngx_str_t  s;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    s.data = ngx_pnalloc(jwt_pool, n + 1);
    s.len = n;

    va_start(args, fmt);
    (void) vsnprintf((char *) s.data, n + 1, fmt, args);
    va_end(args);

    return s;
}


ngx_str_t
jwt_encode(const void *p, size_t len)
{
    ngx_str_t  s;

    s.data = ngx_pnalloc(jwt_pool, ngx_pulse_base64url_encoded(len) + 1);
    s.len = ngx_pulse_base64url_encode(s.data, p, len) - s.data;
    s.data[s.len] = '\0';

    return s;
}


ngx_str_t
jwt_encode_text(const char *s)
{
    return jwt_encode(s, strlen(s));
}


ngx_str_t
jwt_number(EVP_PKEY *pkey, const char *param, size_t len)
{
    u_char   bytes[512];
    BIGNUM  *n;

    n = NULL;
    check(EVP_PKEY_get_bn_param(pkey, param, &n) == 1);

    if (len == 0) {
        len = BN_num_bytes(n);
    }

    check(BN_bn2binpad(n, bytes, len) == (int) len);
    BN_free(n);

    return jwt_encode(bytes, len);
}


ngx_str_t
jwt_key_rsa(EVP_PKEY *pkey)
{
    return jwt_text("{\"kty\":\"RSA\",\"kid\":\"rs\",\"alg\":\"RS256\","
                    "\"use\":\"sig\",\"n\":\"%s\",\"e\":\"%s\",\"d\":\"%s\","
                    "\"p\":\"%s\",\"q\":\"%s\",\"dp\":\"%s\",\"dq\":\"%s\","
                    "\"qi\":\"%s\"}",
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_N, 0).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_E, 0).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_D, 0).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1, 0).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2, 0).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1, 0).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2, 0).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 0).data);
}


ngx_str_t
jwt_key_ec(EVP_PKEY *pkey)
{
    return jwt_text("{\"kty\":\"EC\",\"kid\":\"es\",\"crv\":\"P-256\","
                    "\"key_ops\":[\"sign\"],\"x\":\"%s\",\"y\":\"%s\","
                    "\"d\":\"%s\"}",
                    jwt_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, 32).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, 32).data,
                    jwt_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, 32).data);
}


ngx_str_t
jwt_key_ed(EVP_PKEY *pkey)
{
    u_char  x[32], d[32];
    size_t  xlen, dlen;

    xlen = sizeof(x);
    dlen = sizeof(d);

    check(EVP_PKEY_get_raw_public_key(pkey, x, &xlen) == 1);
    check(EVP_PKEY_get_raw_private_key(pkey, d, &dlen) == 1);

    return jwt_text("{\"kty\":\"OKP\",\"kid\":\"ed\",\"crv\":\"Ed25519\","
                    "\"x\":\"%s\",\"d\":\"%s\"}",
                    jwt_encode(x, xlen).data, jwt_encode(d, dlen).data);
}


ngx_str_t
jwt_token(ngx_pulse_jwk_t *key, const char *header, const char *claims)
{
    ngx_str_t  h, c;

    h.data = (u_char *) header;
    h.len = strlen(header);
    c.data = (u_char *) claims;
    c.len = strlen(claims);

    return jwt_token_bytes(key, &h, &c);
}


ngx_str_t
jwt_token_bytes(ngx_pulse_jwk_t *key, const ngx_str_t *header,
    const ngx_str_t *claims)
{
    ngx_str_t        t, input;
    ngx_pulse_buf_t  b;

    input = jwt_text("%s.%s", jwt_encode(header->data, header->len).data,
                     jwt_encode(claims->data, claims->len).data);

    ngx_pulse_buf_init(&b, 0);
    check(ngx_pulse_jwk_sign(key, &input, &b) == NGX_OK);

    t = jwt_text("%s.%s", input.data, jwt_encode(b.data, b.len).data);

    ngx_pulse_buf_free(&b);

    return t;
}


ngx_str_t
jwt_token_signed(const char *header, const char *claims, const void *signature,
    size_t len)
{
    return jwt_text("%s.%s.%s", jwt_encode_text(header).data,
                    jwt_encode_text(claims).data,
                    jwt_encode(signature, len).data);
}


const char *
jwt_verify_by(ngx_pulse_jwks_t *jwks, ngx_str_t *token)
{
    const char       *reason;
    ngx_pulse_jwt_t   jwt;

    reason = ngx_pulse_jwt_parse(jwt_pool, token, &jwt);

    if (reason != NULL) {
        return reason;
    }

    return ngx_pulse_jwt_verify(&jwt, jwks, &jwt_rules, JWT_NOW);
}


const char *
jwt_verify(ngx_str_t *token)
{
    return jwt_verify_by(jwt_ring, token);
}


const char *
jwt_claim(const char *claims)
{
    ngx_str_t  t;

    t = jwt_text("{\"iss\":\"studio\",\"aud\":\"web\",\"sub\":\"u\",%s}",
                 claims);
    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
                  (char *) t.data);

    return jwt_verify(&t);
}


const char *
jwt_header(const char *json)
{
    ngx_str_t  t;

    t = jwt_token(jwt_hs, json, JWT_CLAIMS);

    return jwt_verify(&t);
}
