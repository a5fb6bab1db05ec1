
#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_jwk.h"


#define NGX_PULSE_JWK_MAX_BYTES   1024      /* of one number, RSA 8192 */

#define NGX_PULSE_JWK_HMAC_LEN    32
#define NGX_PULSE_JWK_COORD_LEN   32        /* P-256 and Ed25519 */

#define NGX_PULSE_JWK_RSA_BITS    2048


/* a member of a JWK that is a number, and its name in OpenSSL */

typedef struct {
    const char   *name;
    const char   *param;
    ngx_uint_t    required;     /* 1: by a public key, 2: by a private one */
} ngx_pulse_jwk_number_t;


static ngx_int_t ngx_pulse_jwk_purpose(ngx_pulse_json_value_t *value,
    const char **reason);
static ngx_int_t ngx_pulse_jwk_kind(ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason);
static ngx_int_t ngx_pulse_jwk_kid(ngx_pool_t *pool,
    ngx_pulse_json_value_t *value, ngx_pulse_jwk_t *key, const char **reason);
static ngx_int_t ngx_pulse_jwk_bytes(ngx_pulse_json_value_t *value,
    const char *name, u_char *bytes, size_t *len);
static ngx_int_t ngx_pulse_jwk_read_oct(ngx_pool_t *pool,
    ngx_pulse_json_value_t *value, ngx_pulse_jwk_t *key, const char **reason);
static ngx_int_t ngx_pulse_jwk_read_rsa(ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason);
static ngx_int_t ngx_pulse_jwk_rsa_numbers(ngx_pulse_json_value_t *value,
    BIGNUM **numbers, const char **reason);
static ngx_int_t ngx_pulse_jwk_rsa_strength(BIGNUM *n, BIGNUM *e,
    const char **reason);
static ngx_uint_t ngx_pulse_jwk_rsa_roca(BIGNUM *n);
static EVP_PKEY *ngx_pulse_jwk_rsa_pkey(BIGNUM **numbers, ngx_uint_t secret);
static ngx_int_t ngx_pulse_jwk_read_ec(ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason);
static EVP_PKEY *ngx_pulse_jwk_ec_pkey(const u_char *point, BIGNUM *d);
static EVP_PKEY *ngx_pulse_jwk_pkey(const char *type, OSSL_PARAM_BLD *bld,
    int selection);
static ngx_uint_t ngx_pulse_jwk_pkey_sound(EVP_PKEY *pkey,
    ngx_uint_t secret);
static ngx_int_t ngx_pulse_jwk_read_okp(ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason);
static ngx_uint_t ngx_pulse_jwk_small_order(const u_char *x);
static void ngx_pulse_jwk_cleanup(void *data);
static ngx_uint_t ngx_pulse_jwk_equals(ngx_pulse_json_value_t *value,
    const char *text);


static const ngx_pulse_jwk_number_t  ngx_pulse_jwk_rsa[] = {
    { "n",  OSSL_PKEY_PARAM_RSA_N,            1 },
    { "e",  OSSL_PKEY_PARAM_RSA_E,            1 },
    { "d",  OSSL_PKEY_PARAM_RSA_D,            2 },
    { "p",  OSSL_PKEY_PARAM_RSA_FACTOR1,      2 },
    { "q",  OSSL_PKEY_PARAM_RSA_FACTOR2,      2 },
    { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1,    2 },
    { "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2,    2 },
    { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 2 }
};

#define NGX_PULSE_JWK_RSA_NUMBERS                                             \
    (sizeof(ngx_pulse_jwk_rsa) / sizeof(ngx_pulse_jwk_rsa[0]))


/*
 * The y coordinates of the points of order 1, 2, 4 and 8 on edwards25519,
 * encoded, and the two that are not reduced: with such a key one signature
 * fits any text.  The bit of the sign is not compared.
 */

static const u_char  ngx_pulse_jwk_weak_points[][NGX_PULSE_JWK_COORD_LEN] = {
    { 0 },
    { 1 },
    { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    { 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    { 0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    { 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0,
      0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
      0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39,
      0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
    { 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f,
      0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
      0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6,
      0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a }
};

#define NGX_PULSE_JWK_WEAK_POINTS                                             \
    (sizeof(ngx_pulse_jwk_weak_points)                                        \
     / sizeof(ngx_pulse_jwk_weak_points[0]))


ngx_int_t
ngx_pulse_jwk_read(ngx_pool_t *pool, ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason)
{
    ngx_int_t            rc;
    ngx_pool_cleanup_t  *cln;

    ngx_memzero(key, sizeof(ngx_pulse_jwk_t));

    if (value->type != NGX_PULSE_JSON_OBJECT) {
        *reason = "is not an object";
        return NGX_ERROR;
    }

    rc = ngx_pulse_jwk_purpose(value, reason);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_pulse_jwk_kind(value, key, reason);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_pulse_jwk_kid(pool, value, key, reason) != NGX_OK) {
        return NGX_ERROR;
    }

    key->active = ngx_pulse_jwk_equals(ngx_pulse_json_get(value, "status"),
                                       "active");

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        *reason = "there is no memory";
        return NGX_ERROR;
    }

    switch (key->alg) {

    case NGX_PULSE_JWK_HS256:
        return ngx_pulse_jwk_read_oct(pool, value, key, reason);

    case NGX_PULSE_JWK_RS256:
        rc = ngx_pulse_jwk_read_rsa(value, key, reason);
        break;

    case NGX_PULSE_JWK_ES256:
        rc = ngx_pulse_jwk_read_ec(value, key, reason);
        break;

    default: /* NGX_PULSE_JWK_EDDSA */
        rc = ngx_pulse_jwk_read_okp(value, key, reason);
        break;
    }

    /* nginx reports what is left in the queue at its next TLS handshake */

    ERR_clear_error();

    if (rc == NGX_OK) {
        cln->handler = ngx_pulse_jwk_cleanup;
        cln->data = key->pkey;
    }

    return rc;
}


static ngx_int_t
ngx_pulse_jwk_purpose(ngx_pulse_json_value_t *value, const char **reason)
{
    ngx_pulse_json_value_t  *use, *op;

    use = ngx_pulse_json_get(value, "use");

    if (use != NULL && !ngx_pulse_jwk_equals(use, "sig")) {
        *reason = "\"use\" is not \"sig\"";
        return NGX_DECLINED;
    }

    op = ngx_pulse_json_get(value, "key_ops");

    if (op == NULL) {
        return NGX_OK;
    }

    for (op = op->children; op != NULL; op = op->next) {
        if (ngx_pulse_jwk_equals(op, "sign")
            || ngx_pulse_jwk_equals(op, "verify"))
        {
            return NGX_OK;
        }
    }

    *reason = "\"key_ops\" has neither \"sign\" nor \"verify\"";

    return NGX_DECLINED;
}


static ngx_int_t
ngx_pulse_jwk_kind(ngx_pulse_json_value_t *value, ngx_pulse_jwk_t *key,
    const char **reason)
{
    ngx_pulse_json_value_t  *alg, *crv, *kty;

    kty = ngx_pulse_json_get(value, "kty");
    crv = ngx_pulse_json_get(value, "crv");
    alg = ngx_pulse_json_get(value, "alg");

    if (kty == NULL || kty->type != NGX_PULSE_JSON_STRING) {
        *reason = "\"kty\" is missing";
        return NGX_ERROR;
    }

    if (ngx_pulse_jwk_equals(kty, "oct")) {
        key->alg = NGX_PULSE_JWK_HS256;

    } else if (ngx_pulse_jwk_equals(kty, "RSA")) {
        key->alg = NGX_PULSE_JWK_RS256;

    } else if (ngx_pulse_jwk_equals(kty, "EC")
               && ngx_pulse_jwk_equals(crv, "P-256"))
    {
        key->alg = NGX_PULSE_JWK_ES256;

    } else if (ngx_pulse_jwk_equals(kty, "OKP")
               && ngx_pulse_jwk_equals(crv, "Ed25519"))
    {
        key->alg = NGX_PULSE_JWK_EDDSA;

    } else {
        *reason = "is not oct, RSA, EC P-256 or OKP Ed25519";
        return NGX_DECLINED;
    }

    if (alg == NULL) {
        return NGX_OK;
    }

    if (alg->type != NGX_PULSE_JSON_STRING
        || ngx_pulse_jwk_alg(&alg->string) != key->alg)
    {
        *reason = "\"alg\" is not the HS256, RS256, ES256 or EdDSA of its"
                  " \"kty\"";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_jwk_kid(ngx_pool_t *pool, ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason)
{
    ngx_pulse_json_value_t  *kid;

    kid = ngx_pulse_json_get(value, "kid");

    if (kid == NULL) {
        return NGX_OK;
    }

    if (kid->type != NGX_PULSE_JSON_STRING || kid->string.len == 0
        || kid->string.len > NGX_PULSE_JWK_MAX_KID)
    {
        *reason = "\"kid\" is not a string of 1 to 128 bytes";
        return NGX_ERROR;
    }

    key->kid.data = ngx_pnalloc(pool, kid->string.len);
    if (key->kid.data == NULL) {
        *reason = "there is no memory";
        return NGX_ERROR;
    }

    ngx_memcpy(key->kid.data, kid->string.data, kid->string.len);
    key->kid.len = kid->string.len;

    return NGX_OK;
}


/* NGX_DECLINED: there is no such member. */

static ngx_int_t
ngx_pulse_jwk_bytes(ngx_pulse_json_value_t *value, const char *name,
    u_char *bytes, size_t *len)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(value, name);

    if (member == NULL) {
        return NGX_DECLINED;
    }

    if (member->type != NGX_PULSE_JSON_STRING || member->string.len == 0
        || ngx_pulse_base64url_decoded(member->string.len)
           > NGX_PULSE_JWK_MAX_BYTES)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_base64url_decode(bytes, len, &member->string);
}


static ngx_int_t
ngx_pulse_jwk_read_oct(ngx_pool_t *pool, ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason)
{
    size_t  len;
    u_char  bytes[NGX_PULSE_JWK_MAX_BYTES];

    if (ngx_pulse_jwk_bytes(value, "k", bytes, &len) != NGX_OK) {
        *reason = "\"k\" is missing or not base64url";
        return NGX_ERROR;
    }

    if (len < NGX_PULSE_JWK_HMAC_LEN) {
        *reason = "is shorter than the 32 bytes that HS256 wants";
        return NGX_ERROR;
    }

    key->secret.data = ngx_pnalloc(pool, len);
    if (key->secret.data == NULL) {
        *reason = "there is no memory";
        return NGX_ERROR;
    }

    ngx_memcpy(key->secret.data, bytes, len);
    key->secret.len = len;
    key->secret_key = 1;

    OPENSSL_cleanse(bytes, len);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_jwk_read_rsa(ngx_pulse_json_value_t *value, ngx_pulse_jwk_t *key,
    const char **reason)
{
    BIGNUM      *numbers[NGX_PULSE_JWK_RSA_NUMBERS];
    ngx_int_t    rc;
    ngx_uint_t   i;

    ngx_memzero(numbers, sizeof(numbers));

    key->secret_key = (ngx_pulse_json_get(value, "d") != NULL);

    rc = ngx_pulse_jwk_rsa_numbers(value, numbers, reason);

    if (rc == NGX_OK) {
        rc = ngx_pulse_jwk_rsa_strength(numbers[0], numbers[1], reason);
    }

    if (rc == NGX_OK) {
        key->pkey = ngx_pulse_jwk_rsa_pkey(numbers, key->secret_key);

        if (key->pkey == NULL) {
            *reason = "its numbers are no RSA key";
            rc = NGX_ERROR;
        }
    }

    for (i = 0; i < NGX_PULSE_JWK_RSA_NUMBERS; i++) {
        BN_clear_free(numbers[i]);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_jwk_rsa_numbers(ngx_pulse_json_value_t *value, BIGNUM **numbers,
    const char **reason)
{
    size_t                         len;
    u_char                         bytes[NGX_PULSE_JWK_MAX_BYTES];
    ngx_int_t                      rc;
    ngx_uint_t                     i, required;
    const ngx_pulse_jwk_number_t  *number;

    required = (ngx_pulse_json_get(value, "d") != NULL) ? 2 : 1;

    for (i = 0; i < NGX_PULSE_JWK_RSA_NUMBERS; i++) {
        number = &ngx_pulse_jwk_rsa[i];

        rc = ngx_pulse_jwk_bytes(value, number->name, bytes, &len);

        if (rc == NGX_DECLINED && number->required > required) {
            continue;
        }

        if (rc != NGX_OK) {
            *reason = "a number of it is missing, too big or not base64url";
            return NGX_ERROR;
        }

        numbers[i] = BN_bin2bn(bytes, len, NULL);

        OPENSSL_cleanse(bytes, len);

        if (numbers[i] == NULL) {
            *reason = "there is no memory";
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_jwk_rsa_strength(BIGNUM *n, BIGNUM *e, const char **reason)
{
    if (BN_num_bits(n) < NGX_PULSE_JWK_RSA_BITS) {
        *reason = "is shorter than 2048 bits";
        return NGX_ERROR;
    }

    if (!BN_is_odd(n)) {
        *reason = "\"n\" is even";
        return NGX_ERROR;
    }

    if (!BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64) {
        *reason = "\"e\" is not an odd number of 3 or more";
        return NGX_ERROR;
    }

    if (ngx_pulse_jwk_rsa_roca(n)) {
        *reason = "can be factored (CVE-2017-15361)";
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The broken generator made primes that are powers of 65537 modulo many
 * small primes; that "n" is one too modulo all of these is no accident.
 */

static ngx_uint_t
ngx_pulse_jwk_rsa_roca(BIGNUM *n)
{
    BN_ULONG    power, rest;
    ngx_uint_t  i;

    static const BN_ULONG  primes[] = {
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151,
        157
    };

    for (i = 0; i < sizeof(primes) / sizeof(primes[0]); i++) {
        rest = BN_mod_word(n, primes[i]);
        power = 1;

        do {
            power = power * 65537 % primes[i];
        } while (power != 1 && power != rest);

        if (power != rest) {
            return 0;
        }
    }

    return 1;
}


static EVP_PKEY *
ngx_pulse_jwk_rsa_pkey(BIGNUM **numbers, ngx_uint_t secret)
{
    EVP_PKEY        *pkey;
    ngx_uint_t       i;
    OSSL_PARAM_BLD  *bld;

    bld = OSSL_PARAM_BLD_new();
    if (bld == NULL) {
        return NULL;
    }

    for (i = 0; i < NGX_PULSE_JWK_RSA_NUMBERS; i++) {
        if (numbers[i] == NULL || (i > 1 && !secret)) {
            continue;
        }

        if (OSSL_PARAM_BLD_push_BN(bld, ngx_pulse_jwk_rsa[i].param,
                                   numbers[i])
            != 1)
        {
            OSSL_PARAM_BLD_free(bld);
            return NULL;
        }
    }

    pkey = ngx_pulse_jwk_pkey("RSA", bld, secret ? EVP_PKEY_KEYPAIR
                                                 : EVP_PKEY_PUBLIC_KEY);
    OSSL_PARAM_BLD_free(bld);

    /* a modulus that is no product of two primes harms its owner alone: a
     * public one is not tested further */

    if (pkey != NULL && secret && !ngx_pulse_jwk_pkey_sound(pkey, 1)) {
        EVP_PKEY_free(pkey);
        return NULL;
    }

    return pkey;
}


static ngx_int_t
ngx_pulse_jwk_read_ec(ngx_pulse_json_value_t *value, ngx_pulse_jwk_t *key,
    const char **reason)
{
    size_t      xlen, ylen, dlen;
    BIGNUM     *d;
    u_char      x[NGX_PULSE_JWK_MAX_BYTES], y[NGX_PULSE_JWK_MAX_BYTES];
    u_char      point[1 + 2 * NGX_PULSE_JWK_COORD_LEN];
    ngx_int_t   rc;

    if (ngx_pulse_jwk_bytes(value, "x", x, &xlen) != NGX_OK
        || ngx_pulse_jwk_bytes(value, "y", y, &ylen) != NGX_OK
        || xlen != NGX_PULSE_JWK_COORD_LEN || ylen != xlen)
    {
        *reason = "\"x\" and \"y\" are not 32 bytes in base64url each";
        return NGX_ERROR;
    }

    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    ngx_memcpy(point + 1, x, xlen);
    ngx_memcpy(point + 1 + xlen, y, ylen);

    d = NULL;
    rc = ngx_pulse_jwk_bytes(value, "d", x, &dlen);

    if (rc == NGX_ERROR || (rc == NGX_OK && dlen != NGX_PULSE_JWK_COORD_LEN))
    {
        *reason = "\"d\" is not 32 bytes in base64url";
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        d = BN_bin2bn(x, dlen, NULL);
        OPENSSL_cleanse(x, dlen);

        if (d == NULL) {
            *reason = "there is no memory";
            return NGX_ERROR;
        }

        key->secret_key = 1;
    }

    key->pkey = ngx_pulse_jwk_ec_pkey(point, d);

    BN_clear_free(d);

    if (key->pkey == NULL) {
        *reason = "its point is not on the curve, or not that of \"d\"";
        return NGX_ERROR;
    }

    return NGX_OK;
}


static EVP_PKEY *
ngx_pulse_jwk_ec_pkey(const u_char *point, BIGNUM *d)
{
    EVP_PKEY        *pkey;
    OSSL_PARAM_BLD  *bld;

    bld = OSSL_PARAM_BLD_new();
    if (bld == NULL) {
        return NULL;
    }

    pkey = NULL;

    if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                        "prime256v1", 0)
        == 1
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point,
                                            1 + 2 * NGX_PULSE_JWK_COORD_LEN)
           == 1
        && (d == NULL
            || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1))
    {
        pkey = ngx_pulse_jwk_pkey("EC", bld, d ? EVP_PKEY_KEYPAIR
                                               : EVP_PKEY_PUBLIC_KEY);
    }

    OSSL_PARAM_BLD_free(bld);

    if (pkey != NULL && !ngx_pulse_jwk_pkey_sound(pkey, d != NULL)) {
        EVP_PKEY_free(pkey);
        return NULL;
    }

    return pkey;
}


static EVP_PKEY *
ngx_pulse_jwk_pkey(const char *type, OSSL_PARAM_BLD *bld, int selection)
{
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;

    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (params != NULL && ctx != NULL
        && EVP_PKEY_fromdata_init(ctx) == 1)
    {
        (void) EVP_PKEY_fromdata(ctx, &pkey, selection, params);
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);

    return pkey;
}


static ngx_uint_t
ngx_pulse_jwk_pkey_sound(EVP_PKEY *pkey, ngx_uint_t secret)
{
    ngx_uint_t     sound;
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (ctx == NULL) {
        return 0;
    }

    sound = (EVP_PKEY_public_check(ctx) == 1
             && (!secret || EVP_PKEY_pairwise_check(ctx) == 1));

    EVP_PKEY_CTX_free(ctx);

    return sound;
}


static ngx_int_t
ngx_pulse_jwk_read_okp(ngx_pulse_json_value_t *value, ngx_pulse_jwk_t *key,
    const char **reason)
{
    size_t     xlen, dlen, len;
    u_char     x[NGX_PULSE_JWK_MAX_BYTES], d[NGX_PULSE_JWK_MAX_BYTES];
    u_char     derived[NGX_PULSE_JWK_COORD_LEN];
    ngx_int_t  rc;

    if (ngx_pulse_jwk_bytes(value, "x", x, &xlen) != NGX_OK
        || xlen != NGX_PULSE_JWK_COORD_LEN)
    {
        *reason = "\"x\" is not 32 bytes in base64url";
        return NGX_ERROR;
    }

    if (ngx_pulse_jwk_small_order(x)) {
        *reason = "its point has a small order";
        return NGX_ERROR;
    }

    rc = ngx_pulse_jwk_bytes(value, "d", d, &dlen);

    if (rc == NGX_ERROR || (rc == NGX_OK && dlen != NGX_PULSE_JWK_COORD_LEN))
    {
        *reason = "\"d\" is not 32 bytes in base64url";
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x,
                                                xlen);
        if (key->pkey == NULL) {
            *reason = "is no Ed25519 key";
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    key->secret_key = 1;
    key->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, d, dlen);

    OPENSSL_cleanse(d, dlen);

    len = sizeof(derived);

    if (key->pkey == NULL
        || EVP_PKEY_get_raw_public_key(key->pkey, derived, &len) != 1
        || len != xlen || ngx_memcmp(derived, x, xlen) != 0)
    {
        EVP_PKEY_free(key->pkey);
        key->pkey = NULL;

        *reason = "\"x\" is not the public key of \"d\"";
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_pulse_jwk_small_order(const u_char *x)
{
    ngx_uint_t     i;
    const u_char  *point;

    for (i = 0; i < NGX_PULSE_JWK_WEAK_POINTS; i++) {
        point = ngx_pulse_jwk_weak_points[i];

        if (ngx_memcmp(x, point, NGX_PULSE_JWK_COORD_LEN - 1) == 0
            && (x[NGX_PULSE_JWK_COORD_LEN - 1] & 0x7f)
               == point[NGX_PULSE_JWK_COORD_LEN - 1])
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_pulse_jwk_cleanup(void *data)
{
    EVP_PKEY_free(data);
}


static ngx_uint_t
ngx_pulse_jwk_equals(ngx_pulse_json_value_t *value, const char *text)
{
    size_t  len;

    len = ngx_strlen(text);

    return value != NULL && value->type == NGX_PULSE_JSON_STRING
           && value->string.len == len
           && ngx_memcmp(value->string.data, text, len) == 0;
}


ngx_uint_t
ngx_pulse_jwk_alg(const ngx_str_t *name)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t   name;
        ngx_uint_t  alg;
    } algs[] = {
        { ngx_string("HS256"),   NGX_PULSE_JWK_HS256 },
        { ngx_string("RS256"),   NGX_PULSE_JWK_RS256 },
        { ngx_string("ES256"),   NGX_PULSE_JWK_ES256 },
        { ngx_string("EdDSA"),   NGX_PULSE_JWK_EDDSA },
        { ngx_string("Ed25519"), NGX_PULSE_JWK_EDDSA }
    };

    for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
        if (name->len == algs[i].name.len
            && ngx_memcmp(name->data, algs[i].name.data, name->len) == 0)
        {
            return algs[i].alg;
        }
    }

    return 0;
}


const char *
ngx_pulse_jwk_alg_name(ngx_uint_t alg)
{
    static const char  *names[] = { "", "HS256", "RS256", "ES256", "EdDSA" };

    return names[alg];
}
