
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_id.h"
#include "ngx_pulse_json.h"
#include "pulse_ctl.h"
#include "pulse_file.h"


/*
 * The ring of keys that sign sessions: a JWK set with private parts.  The
 * one whose "status" is "active" signs, the others still verify.
 */


#define PULSE_KEYRING_MAX     (1024 * 1024)
#define PULSE_KEYRING_KEEP    2
#define PULSE_KEYRING_SECRET  32
#define PULSE_KEYRING_COORD   32


static int pulse_keyring_put(pulse_ctl_t *ctl, const char *file,
    const char *alg, ngx_pulse_json_value_t *ring, const u_char *text,
    ngx_uint_t keep);
static void pulse_keyring_old(ngx_pulse_buf_t *b,
    ngx_pulse_json_value_t *key, const u_char *text);
static ngx_int_t pulse_keyring_new(ngx_pulse_buf_t *b, const char *alg);
static ngx_int_t pulse_keyring_oct(ngx_pulse_buf_t *b);
static ngx_int_t pulse_keyring_ec(ngx_pulse_buf_t *b);
static ngx_int_t pulse_keyring_okp(ngx_pulse_buf_t *b);
static void pulse_keyring_member(ngx_pulse_buf_t *b, const char *name,
    const u_char *p, size_t len);


int
pulse_ctl_keys_new(pulse_ctl_t *ctl)
{
    const char  *alg;

    alg = pulse_ctl_option(ctl, "--alg");

    if (pulse_ctl_words(ctl, 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    if (access(ctl->argv[0], F_OK) == 0) {
        return pulse_ctl_fail(ctl, PULSE_CTL_REFUSED,
                              "\"%s\" is there already: keys rotate keeps"
                              " its sessions", ctl->argv[0]);
    }

    return pulse_keyring_put(ctl, ctl->argv[0], alg, NULL, NULL, 0);
}


int
pulse_ctl_keys_rotate(pulse_ctl_t *ctl)
{
    int                      rc;
    ngx_pool_t              *pool;
    ngx_uint_t               keep;
    const char              *alg, *n, *file;
    ngx_pulse_buf_t          text;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *ring;

    alg = pulse_ctl_option(ctl, "--alg");
    n = pulse_ctl_option(ctl, "--keep");
    keep = n ? strtoul(n, NULL, 10) : PULSE_KEYRING_KEEP;

    if (pulse_ctl_words(ctl, 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    file = ctl->argv[0];

    ngx_pulse_buf_init(&text, PULSE_KEYRING_MAX);

    if (pulse_file_read(file, &text) != NGX_OK) {
        ngx_pulse_buf_free(&text);
        return pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "cannot read \"%s\": %s",
                              file, strerror(errno));
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, NULL);
    if (pool == NULL) {
        ngx_pulse_buf_free(&text);
        return pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "no memory");
    }

    err.reason = "no object with \"keys\"";
    ring = ngx_pulse_json_tree(pool, text.data, text.len, NULL, &err);
    ring = ngx_pulse_json_get(ring, "keys");

    if (ring == NULL || ring->type != NGX_PULSE_JSON_ARRAY) {
        rc = pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "\"%s\" is no key ring:"
                            " %s", file, err.reason);

    } else {
        rc = pulse_keyring_put(ctl, file, alg, ring, text.data, keep);
    }

    OPENSSL_cleanse(text.data, text.len);
    ngx_pulse_buf_free(&text);
    ngx_destroy_pool(pool);

    return rc;
}


/* the new key first, then "keep" of the old ones, the youngest of them */

static int
pulse_keyring_put(pulse_ctl_t *ctl, const char *file, const char *alg,
    ngx_pulse_json_value_t *ring, const u_char *text, ngx_uint_t keep)
{
    int                      rc;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *key;

    ngx_pulse_buf_init(&b, PULSE_KEYRING_MAX);
    ngx_pulse_buf_literal(&b, "{\"keys\":[\n");

    if (pulse_keyring_new(&b, alg ? alg : "EdDSA") != NGX_OK) {
        ngx_pulse_buf_free(&b);
        return pulse_ctl_fail(ctl, PULSE_CTL_USAGE,
                              "cannot make a key for \"%s\"", alg);
    }

    for (key = ring ? ring->children : NULL;
         key && keep;
         key = key->next, keep--)
    {
        if (key->type == NGX_PULSE_JSON_OBJECT) {
            ngx_pulse_buf_literal(&b, ",\n");
            pulse_keyring_old(&b, key, text);
        }
    }

    ngx_pulse_buf_literal(&b, "\n]}\n");

    rc = PULSE_CTL_OK;

    if (b.failed || pulse_file_write(file, 0600, b.data, b.len) != NGX_OK) {
        rc = pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "cannot write \"%s\": %s",
                            file, strerror(errno));
    }

    OPENSSL_cleanse(b.data, b.len);
    ngx_pulse_buf_free(&b);

    return rc;
}


/* as it stands in the file, but for its status */

static void
pulse_keyring_old(ngx_pulse_buf_t *b, ngx_pulse_json_value_t *key,
    const u_char *text)
{
    ngx_pulse_json_value_t  *member;

    ngx_pulse_buf_literal(b, "{\"status\":\"retired\"");

    for (member = key->children; member; member = member->next) {

        if (member->key.len == 6
            && ngx_strncmp(member->key.data, "status", 6) == 0)
        {
            continue;
        }

        ngx_pulse_buf_char(b, ',');
        ngx_pulse_buf_json(b, member->key.data, member->key.len);
        ngx_pulse_buf_char(b, ':');
        ngx_pulse_buf_append(b, text + member->start,
                             member->end - member->start);
    }

    ngx_pulse_buf_char(b, '}');
}


static ngx_int_t
pulse_keyring_new(ngx_pulse_buf_t *b, const char *alg)
{
    u_char     kid[36];
    ngx_int_t  rc;

    ngx_pulse_uuid7(kid);

    ngx_pulse_buf_literal(b, "{\"status\":\"active\",\"use\":\"sig\","
                             "\"kid\":");
    ngx_pulse_buf_json(b, kid, sizeof(kid));
    ngx_pulse_buf_literal(b, ",\"alg\":");
    ngx_pulse_buf_json(b, (u_char *) alg, strlen(alg));

    if (strcmp(alg, "HS256") == 0) {
        rc = pulse_keyring_oct(b);

    } else if (strcmp(alg, "ES256") == 0) {
        rc = pulse_keyring_ec(b);

    } else if (strcmp(alg, "EdDSA") == 0) {
        rc = pulse_keyring_okp(b);

    } else {
        return NGX_ERROR;
    }

    ngx_pulse_buf_char(b, '}');

    return rc;
}


static ngx_int_t
pulse_keyring_oct(ngx_pulse_buf_t *b)
{
    u_char  secret[PULSE_KEYRING_SECRET];

    if (ngx_pulse_random(secret, sizeof(secret)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(b, ",\"kty\":\"oct\"");
    pulse_keyring_member(b, "k", secret, sizeof(secret));

    OPENSSL_cleanse(secret, sizeof(secret));

    return NGX_OK;
}


static ngx_int_t
pulse_keyring_ec(ngx_pulse_buf_t *b)
{
    u_char       point[2 * PULSE_KEYRING_COORD + 1];
    u_char       secret[PULSE_KEYRING_COORD];
    BIGNUM      *d;
    size_t       len;
    EVP_PKEY    *pkey;
    ngx_int_t    rc;

    d = NULL;
    rc = NGX_ERROR;

    pkey = EVP_EC_gen("P-256");

    /* the point is 04, x, y; the secret is padded, RFC 7518 section 6.2.2 */

    if (pkey
        && EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY,
                                           point, sizeof(point), &len) == 1
        && len == sizeof(point)
        && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1
        && BN_bn2binpad(d, secret, sizeof(secret)) == sizeof(secret))
    {
        ngx_pulse_buf_literal(b, ",\"kty\":\"EC\",\"crv\":\"P-256\"");
        pulse_keyring_member(b, "x", point + 1, PULSE_KEYRING_COORD);
        pulse_keyring_member(b, "y", point + 1 + PULSE_KEYRING_COORD,
                             PULSE_KEYRING_COORD);
        pulse_keyring_member(b, "d", secret, sizeof(secret));
        rc = NGX_OK;
    }

    OPENSSL_cleanse(secret, sizeof(secret));
    BN_clear_free(d);
    EVP_PKEY_free(pkey);

    return rc;
}


static ngx_int_t
pulse_keyring_okp(ngx_pulse_buf_t *b)
{
    u_char      x[PULSE_KEYRING_COORD], d[PULSE_KEYRING_COORD];
    size_t      xlen, dlen;
    EVP_PKEY   *pkey;
    ngx_int_t   rc;

    rc = NGX_ERROR;
    xlen = sizeof(x);
    dlen = sizeof(d);

    pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    if (pkey
        && EVP_PKEY_get_raw_public_key(pkey, x, &xlen) == 1
        && EVP_PKEY_get_raw_private_key(pkey, d, &dlen) == 1)
    {
        ngx_pulse_buf_literal(b, ",\"kty\":\"OKP\",\"crv\":\"Ed25519\"");
        pulse_keyring_member(b, "x", x, xlen);
        pulse_keyring_member(b, "d", d, dlen);
        rc = NGX_OK;
    }

    OPENSSL_cleanse(d, sizeof(d));
    EVP_PKEY_free(pkey);

    return rc;
}


static void
pulse_keyring_member(ngx_pulse_buf_t *b, const char *name, const u_char *p,
    size_t len)
{
    u_char  text[ngx_pulse_base64url_encoded(PULSE_KEYRING_COORD)];

    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_json(b, (u_char *) name, strlen(name));
    ngx_pulse_buf_literal(b, ":\"");
    ngx_pulse_buf_append(b, text,
                         ngx_pulse_base64url_encode(text, p, len) - text);
    ngx_pulse_buf_char(b, '"');

    OPENSSL_cleanse(text, sizeof(text));
}
