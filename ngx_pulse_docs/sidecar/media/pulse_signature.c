
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include "pulse_base64.h"
#include "pulse_signature.h"


#define PULSE_SIGNATURE_MAC   32
#define PULSE_SIGNATURE_TEXT  44        /* it in base64 */


static ngx_int_t pulse_signature_fresh(const ngx_str_t *text, int64_t now);
static ngx_int_t pulse_signature_mac(const pulse_signature_t *signature,
    const u_char *key, size_t len, u_char *mac);
static ngx_uint_t pulse_signature_same(const u_char *p, size_t len,
    const u_char *mac);


ssize_t
pulse_signature_key(const char *secret, u_char *key)
{
    size_t          len;
    ssize_t         n, rest;
    u_char          bytes[pulse_base64_room(2 * PULSE_SIGNATURE_KEY)];
    pulse_base64_t  b;

    if (strncmp(secret, "whsec_", 6) != 0) {
        return NGX_ERROR;
    }

    secret += 6;
    len = strlen(secret);

    if (len > 2 * PULSE_SIGNATURE_KEY) {
        return NGX_ERROR;
    }

    pulse_base64_init(&b);

    n = pulse_base64_decode(&b, (const u_char *) secret, len, bytes);
    rest = (n < 0) ? n : pulse_base64_end(&b, bytes + n);

    if (rest < 0 || n + rest < 16 || n + rest > PULSE_SIGNATURE_KEY) {
        return NGX_ERROR;
    }

    memcpy(key, bytes, n + rest);
    OPENSSL_cleanse(bytes, sizeof(bytes));

    return n + rest;
}


ngx_int_t
pulse_signature_check(const pulse_signature_t *signature, const u_char *key,
    size_t len, int64_t now)
{
    u_char         mac[PULSE_SIGNATURE_MAC];
    const u_char  *p, *end, *last;

    if (signature->id.len == 0 || signature->id.len > PULSE_SIGNATURE_ID
        || pulse_signature_fresh(&signature->timestamp, now) != NGX_OK
        || pulse_signature_mac(signature, key, len, mac) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    p = signature->signatures.data;
    last = p + signature->signatures.len;

    while (p < last) {
        end = memchr(p, ' ', last - p);

        if (end == NULL) {
            end = last;
        }

        if (end - p > 3 && memcmp(p, "v1,", 3) == 0
            && pulse_signature_same(p + 3, end - p - 3, mac))
        {
            return NGX_OK;
        }

        p = end + 1;
    }

    return NGX_DECLINED;
}


/* digits alone: what is signed is the text */

static ngx_int_t
pulse_signature_fresh(const ngx_str_t *text, int64_t now)
{
    size_t   i;
    int64_t  n;

    if (text->len == 0 || text->len > 12) {
        return NGX_DECLINED;
    }

    n = 0;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return NGX_DECLINED;
        }

        n = n * 10 + text->data[i] - '0';
    }

    return (n < now - PULSE_SIGNATURE_AGE || n > now + PULSE_SIGNATURE_AGE)
           ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
pulse_signature_mac(const pulse_signature_t *signature, const u_char *key,
    size_t len, u_char *mac)
{
    size_t       n;
    ngx_int_t    rc;
    EVP_PKEY    *pkey;
    EVP_MD_CTX  *digest;

    n = PULSE_SIGNATURE_MAC;
    digest = EVP_MD_CTX_new();
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, key, len);

    rc = (digest && pkey
          && EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, pkey) == 1
          && EVP_DigestSignUpdate(digest, signature->id.data,
                                  signature->id.len) == 1
          && EVP_DigestSignUpdate(digest, ".", 1) == 1
          && EVP_DigestSignUpdate(digest, signature->timestamp.data,
                                  signature->timestamp.len) == 1
          && EVP_DigestSignUpdate(digest, ".", 1) == 1
          && EVP_DigestSignUpdate(digest, signature->body.data,
                                  signature->body.len) == 1
          && EVP_DigestSignFinal(digest, mac, &n) == 1)
         ? NGX_OK : NGX_ERROR;

    EVP_MD_CTX_free(digest);
    EVP_PKEY_free(pkey);

    return rc;
}


static ngx_uint_t
pulse_signature_same(const u_char *p, size_t len, const u_char *mac)
{
    u_char  text[PULSE_SIGNATURE_TEXT + 1];

    /* the only text that it is in base64 */

    EVP_EncodeBlock(text, mac, PULSE_SIGNATURE_MAC);

    return len == PULSE_SIGNATURE_TEXT
           && CRYPTO_memcmp(p, text, PULSE_SIGNATURE_TEXT) == 0;
}
