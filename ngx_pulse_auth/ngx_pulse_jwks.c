
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_jwks.h"


static ngx_pulse_jwks_t *ngx_pulse_jwks_read(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_uint_t ring, ngx_pulse_jwks_error_t *err);
static ngx_pulse_json_value_t *ngx_pulse_jwks_parse(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_pulse_jwks_error_t *err);
static ngx_int_t ngx_pulse_jwks_kid_taken(ngx_pulse_jwks_t *jwks,
    ngx_pulse_jwk_t *key);
static const char *ngx_pulse_jwks_ring_check(ngx_pulse_jwks_t *jwks,
    ngx_pulse_jwk_t *key);
static const char *ngx_pulse_jwks_foreign_check(ngx_pulse_jwks_t *jwks,
    ngx_pulse_jwk_t *key);


ngx_pulse_jwks_t *
ngx_pulse_jwks_ring(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_pulse_jwks_error_t *err)
{
    ngx_uint_t         i, active;
    ngx_pulse_jwks_t  *jwks;

    jwks = ngx_pulse_jwks_read(pool, text, 1, err);
    if (jwks == NULL) {
        return NULL;
    }

    active = 0;
    jwks->signer = &jwks->keys[0];

    for (i = 0; i < jwks->nkeys; i++) {
        if (jwks->keys[i].active) {
            jwks->signer = &jwks->keys[i];
            active++;
        }
    }

    if (active > 1) {
        err->index = -1;
        err->reason = "more than one key is \"active\"";
        return NULL;
    }

    return jwks;
}


ngx_pulse_jwks_t *
ngx_pulse_jwks_foreign(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_pulse_jwks_error_t *err)
{
    return ngx_pulse_jwks_read(pool, text, 0, err);
}


static ngx_pulse_jwks_t *
ngx_pulse_jwks_read(ngx_pool_t *pool, const ngx_str_t *text, ngx_uint_t ring,
    ngx_pulse_jwks_error_t *err)
{
    ngx_int_t                rc;
    ngx_pulse_jwk_t         *key;
    ngx_pulse_jwks_t        *jwks;
    ngx_pulse_json_value_t  *keys, *value;

    keys = ngx_pulse_jwks_parse(pool, text, err);
    if (keys == NULL) {
        return NULL;
    }

    err->reason = "there is no memory";

    jwks = ngx_pcalloc(pool, sizeof(ngx_pulse_jwks_t));
    if (jwks == NULL) {
        return NULL;
    }

    jwks->keys = ngx_pcalloc(pool, keys->nelts * sizeof(ngx_pulse_jwk_t));
    if (jwks->keys == NULL) {
        return NULL;
    }

    err->index = 0;

    for (value = keys->children; value != NULL; value = value->next) {
        key = &jwks->keys[jwks->nkeys];

        rc = ngx_pulse_jwk_read(pool, value, key, &err->reason);

        if (rc == NGX_ERROR || (rc == NGX_DECLINED && ring)) {
            return NULL;
        }

        if (rc == NGX_OK) {
            err->reason = ring ? ngx_pulse_jwks_ring_check(jwks, key)
                               : ngx_pulse_jwks_foreign_check(jwks, key);

            if (err->reason != NULL) {
                return NULL;
            }

            jwks->nkeys++;
        }

        err->index++;
    }

    if (jwks->nkeys == 0) {
        err->index = -1;
        err->reason = "no key of it can be used";
        return NULL;
    }

    return jwks;
}


static ngx_pulse_json_value_t *
ngx_pulse_jwks_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_pulse_jwks_error_t *err)
{
    ngx_pulse_json_error_t   json_err;
    ngx_pulse_json_value_t  *keys, *root;
    ngx_pulse_json_limits_t  limits;

    limits.size = NGX_PULSE_JWKS_MAX_SIZE;
    limits.depth = 8;
    limits.values = 64 * NGX_PULSE_JWKS_MAX_KEYS;
    limits.keys = 64;

    err->index = -1;

    root = ngx_pulse_json_tree(pool, text->data, text->len, &limits,
                               &json_err);
    if (root == NULL) {
        err->reason = json_err.reason;
        return NULL;
    }

    keys = ngx_pulse_json_get(root, "keys");

    if (keys == NULL || keys->type != NGX_PULSE_JSON_ARRAY
        || keys->nelts == 0 || keys->nelts > NGX_PULSE_JWKS_MAX_KEYS)
    {
        err->reason = "\"keys\" is not an array of 1 to 256 keys";
        return NULL;
    }

    return keys;
}


static const char *
ngx_pulse_jwks_ring_check(ngx_pulse_jwks_t *jwks, ngx_pulse_jwk_t *key)
{
    if (!key->secret_key) {
        return "cannot sign: its private part is missing";
    }

    if (ngx_pulse_jwks_kid_taken(jwks, key)) {
        return "has the \"kid\" of another key, or none like another";
    }

    return NULL;
}


static const char *
ngx_pulse_jwks_foreign_check(ngx_pulse_jwks_t *jwks, ngx_pulse_jwk_t *key)
{
    if (key->secret_key && key->alg != NGX_PULSE_JWK_HS256) {
        return "is a private key of somebody else";
    }

    if (jwks->nkeys > 0 && jwks->keys[0].secret_key != key->secret_key) {
        return "public keys and shared secrets are mixed";
    }

    if (key->kid.data != NULL && ngx_pulse_jwks_kid_taken(jwks, key)) {
        return "has the \"kid\" of another key";
    }

    return NULL;
}


static ngx_int_t
ngx_pulse_jwks_kid_taken(ngx_pulse_jwks_t *jwks, ngx_pulse_jwk_t *key)
{
    ngx_str_t   *kid;
    ngx_uint_t   i;

    for (i = 0; i < jwks->nkeys; i++) {
        kid = &jwks->keys[i].kid;

        if (kid->data == NULL && key->kid.data == NULL) {
            return 1;
        }

        if (kid->data != NULL && key->kid.data != NULL
            && kid->len == key->kid.len
            && ngx_memcmp(kid->data, key->kid.data, kid->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_pulse_jwk_t *
ngx_pulse_jwks_find(ngx_pulse_jwks_t *jwks, const ngx_str_t *kid,
    ngx_uint_t alg)
{
    ngx_uint_t        i;
    ngx_pulse_jwk_t  *found, *key;

    found = NULL;

    for (i = 0; i < jwks->nkeys; i++) {
        key = &jwks->keys[i];

        if (key->alg != alg) {
            continue;
        }

        if (kid->data == NULL) {
            if (found != NULL) {
                return NULL;
            }

            found = key;
            continue;
        }

        if (key->kid.data != NULL && key->kid.len == kid->len
            && ngx_memcmp(key->kid.data, kid->data, kid->len) == 0)
        {
            return key;
        }
    }

    return found;
}
