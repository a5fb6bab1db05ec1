
#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "ngx_pulse_jwk.h"


#define NGX_PULSE_JWK_SIGNATURE   1024      /* of RSA 8192 */
#define NGX_PULSE_JWK_HMAC_LEN    32
#define NGX_PULSE_JWK_COORD_LEN   32
#define NGX_PULSE_JWK_ES256_LEN   64
#define NGX_PULSE_JWK_ES256_DER   72        /* the longest it can be */


static ngx_uint_t ngx_pulse_jwk_hmac(ngx_pulse_jwk_t *key,
    const ngx_str_t *input, u_char *mac);
static int ngx_pulse_jwk_es256_der(const ngx_str_t *signature, u_char *der);
static ngx_int_t ngx_pulse_jwk_es256_raw(const u_char *der, size_t len,
    u_char *raw);


ngx_uint_t
ngx_pulse_jwk_verify(ngx_pulse_jwk_t *key, const ngx_str_t *input,
    const ngx_str_t *signature)
{
    int             len;
    u_char          mac[NGX_PULSE_JWK_HMAC_LEN];
    u_char          der[NGX_PULSE_JWK_ES256_DER];
    ngx_str_t       sig;
    ngx_uint_t      good;
    EVP_MD_CTX     *ctx;
    const EVP_MD   *md;

    if (key->alg == NGX_PULSE_JWK_HS256) {
        return signature->len == sizeof(mac)
               && ngx_pulse_jwk_hmac(key, input, mac)
               && CRYPTO_memcmp(mac, signature->data, sizeof(mac)) == 0;
    }

    sig = *signature;
    md = (key->alg == NGX_PULSE_JWK_EDDSA) ? NULL : EVP_sha256();

    if (key->alg == NGX_PULSE_JWK_ES256) {
        len = ngx_pulse_jwk_es256_der(signature, der);

        if (len <= 0) {
            ERR_clear_error();
            return 0;
        }

        sig.data = der;
        sig.len = len;
    }

    ctx = EVP_MD_CTX_new();

    good = (ctx != NULL
            && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key->pkey) == 1
            && EVP_DigestVerify(ctx, sig.data, sig.len, input->data,
                                input->len)
               == 1);

    EVP_MD_CTX_free(ctx);

    if (!good) {
        ERR_clear_error();
    }

    return good;
}


ngx_int_t
ngx_pulse_jwk_sign(ngx_pulse_jwk_t *key, const ngx_str_t *input,
    ngx_pulse_buf_t *signature)
{
    size_t         len;
    u_char         bytes[NGX_PULSE_JWK_SIGNATURE];
    u_char         raw[NGX_PULSE_JWK_ES256_LEN] = { 0 };
    ngx_int_t      rc;
    EVP_MD_CTX    *ctx;
    const EVP_MD  *md;

    if (!key->secret_key) {
        return NGX_ERROR;
    }

    if (key->alg == NGX_PULSE_JWK_HS256) {
        if (!ngx_pulse_jwk_hmac(key, input, bytes)) {
            return NGX_ERROR;
        }

        ngx_pulse_buf_append(signature, bytes, NGX_PULSE_JWK_HMAC_LEN);
        return signature->failed ? NGX_ERROR : NGX_OK;
    }

    md = (key->alg == NGX_PULSE_JWK_EDDSA) ? NULL : EVP_sha256();
    len = sizeof(bytes);
    rc = NGX_ERROR;

    ctx = EVP_MD_CTX_new();

    if (ctx != NULL
        && EVP_DigestSignInit(ctx, NULL, md, NULL, key->pkey) == 1
        && EVP_DigestSign(ctx, bytes, &len, input->data, input->len) == 1)
    {
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(ctx);

    if (rc == NGX_OK && key->alg == NGX_PULSE_JWK_ES256) {
        rc = ngx_pulse_jwk_es256_raw(bytes, len, raw);
        ngx_memcpy(bytes, raw, sizeof(raw));
        len = sizeof(raw);
    }

    if (rc != NGX_OK) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    ngx_pulse_buf_append(signature, bytes, len);

    return signature->failed ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
ngx_pulse_jwk_hmac(ngx_pulse_jwk_t *key, const ngx_str_t *input, u_char *mac)
{
    unsigned int  len;

    return HMAC(EVP_sha256(), key->secret.data, (int) key->secret.len,
                input->data, input->len, mac, &len)
           != NULL;
}


/* JWS has r and s side by side (RFC 7518, 3.4), OpenSSL wants them in DER. */

static int
ngx_pulse_jwk_es256_der(const ngx_str_t *signature, u_char *der)
{
    int         len;
    BIGNUM     *r, *s;
    ECDSA_SIG  *sig;

    if (signature->len != NGX_PULSE_JWK_ES256_LEN) {
        return 0;
    }

    sig = ECDSA_SIG_new();
    r = BN_bin2bn(signature->data, NGX_PULSE_JWK_COORD_LEN, NULL);
    s = BN_bin2bn(signature->data + NGX_PULSE_JWK_COORD_LEN,
                  NGX_PULSE_JWK_COORD_LEN, NULL);

    if (sig == NULL || r == NULL || s == NULL
        || ECDSA_SIG_set0(sig, r, s) != 1)
    {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return 0;
    }

    /* "sig" owns "r" and "s" from here on */

    len = i2d_ECDSA_SIG(sig, &der);

    ECDSA_SIG_free(sig);

    return len;
}


static ngx_int_t
ngx_pulse_jwk_es256_raw(const u_char *der, size_t len, u_char *raw)
{
    ngx_int_t   rc;
    ECDSA_SIG  *sig;

    sig = d2i_ECDSA_SIG(NULL, &der, (long) len);
    if (sig == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, NGX_PULSE_JWK_COORD_LEN)
        == NGX_PULSE_JWK_COORD_LEN
        && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + NGX_PULSE_JWK_COORD_LEN,
                        NGX_PULSE_JWK_COORD_LEN)
           == NGX_PULSE_JWK_COORD_LEN)
    {
        rc = NGX_OK;
    }

    ECDSA_SIG_free(sig);

    return rc;
}
