
#include "unit.h"
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_id.h"
#include "ngx_pulse_jwt.h"


/*
 * A byte that says what the rest is: a token as it comes, a header and
 * claims that we encode (so that the fuzzer need not learn base64url), or a
 * file of keys.  Whatever it is, no signature but ours is ever good.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_token(ngx_pool_t *pool, ngx_str_t *token);
static void fuzz_parts(ngx_pool_t *pool, const u_char *data, size_t size);
static void fuzz_keys(ngx_pool_t *pool, ngx_str_t *text);
static ngx_pulse_jwks_t *fuzz_ring(void);


static const ngx_pulse_jwt_rules_t  fuzz_rules = {
    ngx_string("i"), ngx_string("a"), 5
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t    text;
    ngx_pool_t  *pool;

    if (size == 0) {
        return 0;
    }

    pool = unit_pool();

    /* on the heap and of its own size, for the sanitizer */

    text.len = size - 1;
    text.data = malloc(size);
    memcpy(text.data, data + 1, text.len);

    switch (data[0] % 3) {

    case 0:
        fuzz_token(pool, &text);
        break;

    case 1:
        fuzz_parts(pool, text.data, text.len);
        break;

    case 2:
        fuzz_keys(pool, &text);
        break;
    }

    free(text.data);
    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_token(ngx_pool_t *pool, ngx_str_t *token)
{
    ngx_pulse_jwt_t  jwt;

    if (ngx_pulse_jwt_parse(pool, token, &jwt) != NULL) {
        return;
    }

    if (jwt.input.len >= token->len || jwt.signature.len == 0
        || jwt.kid.len > NGX_PULSE_JWK_MAX_KID || jwt.expires < 0
        || jwt.alg == 0)
    {
        abort();
    }

    if (ngx_pulse_jwt_verify(&jwt, fuzz_ring(), &fuzz_rules, 1000) == NULL) {
        abort();
    }
}


static void
fuzz_parts(ngx_pool_t *pool, const u_char *data, size_t size)
{
    u_char        *p;
    size_t         half;
    ngx_str_t      token;
    const u_char  *nul;

    nul = memchr(data, '\0', size);
    half = (nul != NULL) ? (size_t) (nul - data) : size / 2;

    p = ngx_pnalloc(pool, 2 * size + 64);
    token.data = p;

    p = ngx_pulse_base64url_encode(p, data, half);
    *p++ = '.';

    if (half < size) {
        half += (nul != NULL);
    }

    p = ngx_pulse_base64url_encode(p, data + half, size - half);
    *p++ = '.';
    p = ngx_pulse_base64url_encode(p, (u_char *)
                                   "01234567890123456789012345678901", 32);

    token.len = p - token.data;

    fuzz_token(pool, &token);
}


static void
fuzz_keys(ngx_pool_t *pool, ngx_str_t *text)
{
    ngx_uint_t               i;
    ngx_pulse_jwks_t        *jwks;
    ngx_pulse_jwks_error_t   err;

    jwks = ngx_pulse_jwks_ring(pool, text, &err);

    if (jwks != NULL) {

        for (i = 0; i < jwks->nkeys; i++) {
            if (!jwks->keys[i].secret_key) {
                abort();
            }
        }

        if (jwks->signer == NULL) {
            abort();
        }

    } else if (err.reason == NULL) {
        abort();
    }

    jwks = ngx_pulse_jwks_foreign(pool, text, &err);

    if (jwks != NULL ? (jwks->nkeys == 0) : (err.reason == NULL)) {
        abort();
    }
}


/* Of random bytes: no input of the fuzzer is signed with them. */

static ngx_pulse_jwks_t *
fuzz_ring(void)
{
    u_char                   secret[32], encoded[44];
    ngx_str_t                text;
    ngx_pulse_jwks_error_t   err;

    static u_char             json[128];
    static ngx_pool_t        *pool;
    static ngx_pulse_jwks_t  *ring;

    if (ring != NULL) {
        return ring;
    }

    pool = unit_pool();

    if (ngx_pulse_random(secret, sizeof(secret)) != NGX_OK) {
        abort();
    }

    *ngx_pulse_base64url_encode(encoded, secret, sizeof(secret)) = '\0';

    text.data = json;
    text.len = snprintf((char *) json, sizeof(json),
                        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\","
                        "\"k\":\"%s\"}]}", encoded);

    ring = ngx_pulse_jwks_ring(pool, &text, &err);

    if (ring == NULL) {
        abort();
    }

    return ring;
}
