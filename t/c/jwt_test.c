
/*
 * What the verifier must refuse in headers, claims and the shape of tokens,
 * and which keys it may take.
 */

#include "unit_jwt.h"
#include <openssl/hmac.h>
#include "ngx_pulse_base64url.h"


static void test_kid(void);
static void test_foreign_keys(void);
static void test_crit(void);
static void test_times(void);
static void test_claims(void);
static void test_shape(void);
static void test_base64url(void);
static void test_json(void);
static void test_serializations(void);
static void test_kinds(void);
static void test_rotation(void);
static void test_memory(void);


int
main(void)
{
    jwt_setup();

    test_kid();
    test_foreign_keys();
    test_crit();
    test_times();
    test_claims();
    test_shape();
    test_base64url();
    test_json();
    test_serializations();
    test_kinds();
    test_rotation();
    test_memory();

    jwt_cleanup();

    return unit_done();
}


/* --- group 3 */

static void
test_kid(void)
{
    char                    *big;
    ngx_str_t                t, set;
    const char             **h;
    ngx_pulse_jwks_t        *two;
    ngx_pulse_jwks_error_t   err;

    static const char  *headers[] = {
        "{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}",
        "{\"alg\":\"HS256\",\"kid\":\"/dev/null\"}",
        "{\"alg\":\"HS256\",\"kid\":\"' OR 1=1 --\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\\u0000\"}",
        "{\"alg\":\"HS256\",\"kid\":[\"hs\"]}",
        "{\"alg\":\"HS256\",\"kid\":null}",
        "{\"alg\":\"HS256\",\"kid\":1}",
        "{\"alg\":\"HS256\",\"kid\":\"\"}",
        "{\"alg\":\"HS256\",\"kid\":\"h\"}",
        "{\"alg\":\"HS256\",\"kid\":\"HS\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs \"}",
        "{\"alg\":\"HS256\",\"kid\":\"unknown\"}",
        NULL
    };

    for (h = headers; *h != NULL; h++) {
        unit_case("%s", *h);
        check(jwt_header(*h) != NULL);
    }

    unit_case("long");

    big = malloc(10001);
    memset(big, 'a', 10000);
    big[10000] = '\0';

    t = jwt_text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", big);
    t = jwt_token(jwt_hs, (char *) t.data, JWT_CLAIMS);
    refused(&t);

    big[129] = '\0';
    t = jwt_text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", big);
    t = jwt_token(jwt_hs, (char *) t.data, JWT_CLAIMS);
    refused(&t);

    free(big);

    unit_case("two keys with one kid");

    set = jwt_text("{\"keys\":["
                   "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"%s\"},"
                   "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"%s\"}]}",
                   jwt_encode_text("0123456789012345678901234567890a").data,
                   jwt_encode_text("0123456789012345678901234567890b").data);
    check(ngx_pulse_jwks_ring(jwt_pool, &set, &err) == NULL);
    check_int(err.index, 1);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);

    /* without a "kid" the one key of the algorithm, if there is but one */

    unit_case("none");

    check(jwt_header("{\"alg\":\"HS256\"}") == NULL);

    set = jwt_text("{\"keys\":["
                   "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"%s\"},"
                   "{\"kty\":\"oct\",\"kid\":\"b\",\"k\":\"%s\"}]}",
                   jwt_encode_text("0123456789012345678901234567890a").data,
                   jwt_encode_text("0123456789012345678901234567890b").data);
    two = ngx_pulse_jwks_ring(jwt_pool, &set, &err);
    check(two != NULL);

    if (two != NULL) {
        t = jwt_token(&two->keys[0], "{\"alg\":\"HS256\"}", JWT_CLAIMS);
        check(jwt_verify_by(two, &t) != NULL);
        t = jwt_token(&two->keys[0], "{\"alg\":\"HS256\",\"kid\":\"b\"}",
                      JWT_CLAIMS);
        check(jwt_verify_by(two, &t) != NULL);
        t = jwt_token(&two->keys[1], "{\"alg\":\"HS256\",\"kid\":\"b\"}",
                      JWT_CLAIMS);
        check(jwt_verify_by(two, &t) == NULL);
    }

    unit_case(NULL);
}


/* --- groups 4 and 5: a key or an address in the header is never used */

static void
test_foreign_keys(void)
{
    EVP_PKEY                *pkey;
    ngx_str_t                t, set, public;
    ngx_pulse_jwks_t        *attacker;
    ngx_pulse_jwks_error_t   err;

    pkey = EVP_RSA_gen(2048);
    public = jwt_key_rsa(pkey);
    set = jwt_text("{\"keys\":[%s]}", public.data);
    attacker = ngx_pulse_jwks_ring(jwt_pool, &set, &err);
    check(attacker != NULL);

    if (attacker != NULL) {
        t = jwt_text("{\"alg\":\"RS256\",\"kid\":\"rs\",\"jwk\":%s}",
                     public.data);
        t = jwt_token(&attacker->keys[0], (char *) t.data, JWT_CLAIMS);
        refused(&t);

        t = jwt_text("{\"alg\":\"RS256\",\"jwk\":%s}", public.data);
        t = jwt_token(&attacker->keys[0], (char *) t.data, JWT_CLAIMS);
        refused(&t);

        t = jwt_token(&attacker->keys[0],
                      "{\"alg\":\"RS256\",\"kid\":\"rs\","
                      "\"jku\":\"http://127.0.0.1:1/keys\"}", JWT_CLAIMS);
        refused(&t);
    }

    /* beside our own signature they are of no account */

    check(jwt_header("{\"alg\":\"HS256\",\"kid\":\"hs\","
                     "\"jku\":\"http://127.0.0.1:1/\",\"x5u\":\"file:///x\","
                     "\"x5c\":[\"AAAA\"],\"x5t\":\"AA\",\"x5t#S256\":\"AA\","
                     "\"jwk\":{\"kty\":\"oct\",\"k\":\"\"}}")
          == NULL);

    EVP_PKEY_free(pkey);
}


/* --- group 6 */

static void
test_crit(void)
{
    ngx_str_t     t, input;
    u_char        mac[32];
    unsigned int  len;
    const char  **h;

    static const char  *headers[] = {
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"b64\":false}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"b64\":true}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"b64\":false,"
        "\"crit\":[\"b64\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":[]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":[\"x\"],\"x\":1}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":[\"x\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":[\"x\",\"x\"],\"x\":1}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":[\"alg\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":\"b64\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":null}",
        NULL
    };

    for (h = headers; *h != NULL; h++) {
        unit_case("%s", *h);
        check(jwt_header(*h) != NULL);
    }

    /* a payload that is not encoded, and rightly signed */

    unit_case("RFC 7797");
    input = jwt_text("%s." JWT_CLAIMS,
                     jwt_encode_text("{\"alg\":\"HS256\",\"kid\":\"hs\","
                                     "\"b64\":false,"
                                     "\"crit\":[\"b64\"]}").data);
    check(HMAC(EVP_sha256(), jwt_hs->secret.data, jwt_hs->secret.len,
               input.data, input.len, mac, &len)
          != NULL);
    t = jwt_text("%s.%s", input.data, jwt_encode(mac, 32).data);
    refused(&t);

    unit_case(NULL);
}


/* --- group 7 */

static void
test_times(void)
{
    const char  **t;

    static const char  *bad[] = {
        "\"exp\":1700000000",
        "\"exp\":1800000000",                   /* now */
        "\"exp\":\"1800000060\"",
        "\"exp\":1e400",
        "\"exp\":1.9e9",
        "\"exp\":99999999999999999999",
        "\"exp\":-1",
        "\"exp\":-0",
        "\"exp\":1800000060.5",
        "\"exp\":1800000060.0",
        "\"exp\":null",
        "\"exp\":true",
        "\"exp\":[1800000060]",
        "\"EXP\":1800000060",
        "\"exp\":0",
        "\"exp\":1800000060,\"nbf\":1800000001",
        "\"exp\":1800000060,\"nbf\":\"0\"",
        "\"exp\":1800000060,\"nbf\":-1",
        "\"exp\":1800000060,\"nbf\":1.5",
        "\"exp\":1800000060,\"iat\":1800000001",
        "\"exp\":1800000060,\"iat\":\"0\"",
        "\"exp\":1800000060,\"iat\":1e9",
        "\"x\":1",
        NULL
    };

    static const char  *good[] = {
        "\"exp\":1800000001",
        "\"exp\":9223372036854775807",
        "\"exp\":1800000060,\"nbf\":1800000000",
        "\"exp\":1800000060,\"nbf\":0,\"iat\":1800000000",
        NULL
    };

    for (t = bad; *t != NULL; t++) {
        unit_case("%s", *t);
        check(jwt_claim(*t) != NULL);
    }

    for (t = good; *t != NULL; t++) {
        unit_case("%s", *t);
        check(jwt_claim(*t) == NULL);
    }

    unit_case("leeway");

    jwt_rules.leeway = 30;

    check(jwt_claim("\"exp\":1799999971") == NULL);
    check(jwt_claim("\"exp\":1799999970") != NULL);
    check(jwt_claim("\"exp\":1800000060,\"nbf\":1800000030") == NULL);
    check(jwt_claim("\"exp\":1800000060,\"nbf\":1800000031") != NULL);
    check(jwt_claim("\"exp\":1800000060,\"iat\":1800000031") != NULL);

    jwt_rules.leeway = 0;

    unit_case(NULL);
}


static void
test_claims(void)
{
    ngx_str_t     t;
    const char  **c;

    static const char  *bad[] = {
        "{\"aud\":\"web\",\"exp\":1800000060}",
        "{\"iss\":\"other\",\"aud\":\"web\",\"exp\":1800000060}",
        "{\"iss\":\"studio2\",\"aud\":\"web\",\"exp\":1800000060}",
        "{\"iss\":[\"studio\"],\"aud\":\"web\",\"exp\":1800000060}",
        "{\"iss\":null,\"aud\":\"web\",\"exp\":1800000060}",
        "{\"iss\":\"studio\",\"exp\":1800000060}",
        "{\"iss\":\"studio\",\"aud\":\"other\",\"exp\":1800000060}",
        "{\"iss\":\"studio\",\"aud\":[],\"exp\":1800000060}",
        "{\"iss\":\"studio\",\"aud\":[\"other\"],\"exp\":1800000060}",
        "{\"iss\":\"studio\",\"aud\":[\"web\",1],\"exp\":1800000060}",
        "{\"iss\":\"studio\",\"aud\":{\"web\":1},\"exp\":1800000060}",
        "{\"iss\":\"studio\",\"aud\":\"web\",\"sub\":1,\"exp\":1800000060}",
        "[\"iss\",\"studio\"]",
        "\"studio\"",
        "null",
        "{}",
        NULL
    };

    for (c = bad; *c != NULL; c++) {
        unit_case("%s", *c);
        t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", *c);
        refused(&t);
    }

    unit_case("several audiences");
    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
                  "{\"iss\":\"studio\",\"aud\":[\"a\",\"web\"],"
                  "\"exp\":1800000060}");
    check(jwt_verify(&t) == NULL);

    unit_case(NULL);
}


/* --- group 8: size and shape */

static void
test_shape(void)
{
    u_char           *p;
    size_t            i, len;
    ngx_str_t         t, good, s;
    ngx_pulse_jwt_t   jwt;

    good = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    check(jwt_verify(&good) == NULL);

    unit_case("1 MiB");
    p = malloc(1 << 20);
    memset(p, 'A', 1 << 20);
    t.data = p;
    t.len = 1 << 20;
    refused(&t);
    memcpy(p, good.data, good.len);
    refused(&t);
    free(p);

    unit_case("8193");
    s = jwt_text("{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":\"%06100d\"}", 0);
    t = jwt_token(jwt_hs, (char *) s.data, JWT_CLAIMS);
    check(t.len > NGX_PULSE_JWT_MAX_SIZE);
    refused(&t);

    unit_case("parts");

    for (i = 0; i < good.len; i++) {
        if (good.data[i] == '.') {
            break;
        }
    }

    t = good;
    t.len = i;
    refused(&t);

    for (len = i + 1; good.data[len] != '.'; len++) { /* void */ }

    t.len = len;
    refused(&t);
    t.len = len + 1;
    refused(&t);

    t = jwt_text("%.*s.AA", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("%.*s.AA.AA", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("%.*s.", (int) good.len, good.data);
    refused(&t);
    t = jwt_text(".%.*s", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("%.*s..%s", (int) i, good.data, good.data + len + 1);
    refused(&t);
    t = jwt_text("..");
    refused(&t);
    t = jwt_text("...");
    refused(&t);
    t = jwt_text("");
    refused(&t);

    unit_case("around");

    t = jwt_text(" %.*s", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("%.*s ", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("%.*s\r\n", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("\xef\xbb\xbf%.*s", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("%.*s=", (int) good.len, good.data);
    refused(&t);
    t = jwt_text("%.*s%%3D", (int) good.len, good.data);
    refused(&t);

    /* any byte that is not base64url, anywhere */

    unit_case("bytes");

    for (i = 0; i < good.len; i += 3) {
        if (good.data[i] == '.') {
            continue;
        }

        t = jwt_text("%.*s", (int) good.len, good.data);
        t.data[i] = "+/=\0 \n\t,%\xff"[i / 3 % 10];

        check(ngx_pulse_jwt_parse(jwt_pool, &t, &jwt) != NULL);
    }

    unit_case(NULL);
}


static void
test_base64url(void)
{
    size_t      len, n;
    u_char      in[64], out[64], back[64];
    ngx_str_t   s;
    ngx_uint_t  i;

    static const char  *bad[] = {
        "A", "AAAAA", "AB", "AAB", "Zg==", "Zg=", "Zm8=", "Z g", "Zm9v\n",
        "Zm9vYg==", "+w", "/w", "_x", "Zh", "Zm9"
    };

    /* of "A?" only 4 of the second character's values have no bit left over
     * and of "AA?" 16 */

    n = 0;

    for (i = 0; i < 256; i++) {
        out[0] = 'A';
        out[1] = (u_char) i;
        s.data = out;
        s.len = 2;
        n += (ngx_pulse_base64url_decode(back, &len, &s) == NGX_OK);
    }

    check_int(n, 4);

    n = 0;

    for (i = 0; i < 256; i++) {
        out[1] = 'A';
        out[2] = (u_char) i;
        s.len = 3;
        n += (ngx_pulse_base64url_decode(back, &len, &s) == NGX_OK);
    }

    check_int(n, 16);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i]);
        s.data = (u_char *) bad[i];
        s.len = strlen(bad[i]);
        check(ngx_pulse_base64url_decode(back, &len, &s) == NGX_ERROR);
    }

    unit_case(NULL);

    for (n = 0; n < 40; n++) {
        for (i = 0; i < n; i++) {
            in[i] = (u_char) (255 - i * 7);
        }

        s.data = out;
        s.len = ngx_pulse_base64url_encode(out, in, n) - out;

        check_int(s.len, ngx_pulse_base64url_encoded(n));
        check(ngx_pulse_base64url_decode(back, &len, &s) == NGX_OK);
        check_mem(back, len, in, n);
    }
}


/* --- group 9 */

static void
test_json(void)
{
    char          *deep;
    ngx_str_t      t, h, c;
    const char   **p;

    static const char  *headers[] = {
        "{\"alg\":\"none\",\"alg\":\"HS256\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",\"alg\":\"none\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"kid\":\"rs\"}",
        "{\"alg\\u0000x\":\"HS256\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\\u0000none\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",/* */\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\"}//",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\"",
        "{\"alg\":\"HS256\",\"kid\":\"hs\"}{}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":\"\xc0\x80\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":\"\xff\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":\"\xed\xa0\x80\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":\"\\ud800\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":\"\\udc00\\ud800\"}",
        "{'alg':'HS256','kid':'hs'}",
        "{alg:\"HS256\",kid:\"hs\"}",
        "\xef\xbb\xbf{\"alg\":\"HS256\",\"kid\":\"hs\"}",
        "[\"HS256\"]",
        "",
        NULL
    };

    for (p = headers; *p != NULL; p++) {
        unit_case("%s", *p);
        check(jwt_header(*p) != NULL);
    }

    unit_case("NUL after the text");
    h.data = (u_char *) "{\"alg\":\"HS256\",\"kid\":\"hs\"}";
    h.len = strlen((char *) h.data) + 1;
    c.data = (u_char *) JWT_CLAIMS;
    c.len = sizeof(JWT_CLAIMS) - 1;
    t = jwt_token_bytes(jwt_hs, &h, &c);
    refused(&t);

    unit_case("claims");
    check(jwt_claim("\"exp\":1,\"exp\":1800000060") != NULL);
    check(jwt_claim("\"exp\":1800000060,\"exp\":1") != NULL);
    check(jwt_claim("\"exp\":1800000060,\"iss\":\"studio\"") != NULL);
    check(jwt_claim("\"exp\":1800000060,\"\\u0069ss\":\"x\"") != NULL);
    check(jwt_claim("\"exp\":1800000060,\"x\":\"\\u0000\"") != NULL);
    check(jwt_claim("\"exp\":1800000060,\"x\":\"\xc0\x80\"") != NULL);

    unit_case("depth");

    deep = malloc(5001);
    memset(deep, '[', 5000);
    deep[5000] = '\0';

    t = jwt_text("{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":%s", deep);
    t = jwt_token(jwt_hs, (char *) t.data, JWT_CLAIMS);
    refused(&t);

    free(deep);

    deep = malloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = '\0';

    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", deep);
    refused(&t);

    free(deep);

    unit_case(NULL);
}


/* --- group 13 */

static void
test_serializations(void)
{
    ngx_str_t  t, good, nested;

    good = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);

    unit_case("flattened");
    t = jwt_text("{\"protected\":\"%s\",\"payload\":\"%s\","
                 "\"signature\":\"%s\"}",
                 "eyJhbGciOiJIUzI1NiJ9", "e30", "AA");
    refused(&t);

    unit_case("general");
    t = jwt_text("{\"payload\":\"e30\",\"signatures\":[{\"protected\":\"e30\","
                 "\"signature\":\"AA\"}]}");
    refused(&t);

    unit_case("a token within a token");
    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\",\"cty\":\"JWT\"}",
                  (char *) good.data);
    refused(&t);
    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
                  (char *) good.data);
    refused(&t);
    nested = jwt_text("\"%s\"", good.data);
    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
                  (char *) nested.data);
    refused(&t);

    unit_case("JWE");
    t = jwt_text("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAAAAAAAAAAAAAA."
                 "AAAA.AAAAAAAAAAAAAAAAAAAAAA");
    refused(&t);
    check(jwt_header("{\"alg\":\"dir\",\"enc\":\"A128GCM\"}") != NULL);
    check(jwt_header("{\"alg\":\"A256KW\",\"enc\":\"A128GCM\"}") != NULL);

    unit_case(NULL);
}


/* --- group 14 */

static void
test_kinds(void)
{
    ngx_str_t               t;
    const char            **h;
    ngx_pulse_jwt_rules_t   other;

    static const char  *headers[] = {
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"JOSE\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"logout+jwt\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"dpop+jwt\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":null}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":[\"JWT\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"application/\"}",
        NULL
    };

    for (h = headers; *h != NULL; h++) {
        unit_case("%s", *h);
        check(jwt_header(*h) != NULL);
    }

    unit_case("another audience");

    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
                  "{\"iss\":\"studio\",\"aud\":\"magic-link\",\"sub\":\"u\","
                  "\"exp\":1800000060}");
    refused(&t);

    other = jwt_rules;
    ngx_str_set(&other.audience, "magic-link");

    {
        ngx_pulse_jwt_t  jwt;

        check(ngx_pulse_jwt_parse(jwt_pool, &t, &jwt) == NULL);
        check(ngx_pulse_jwt_verify(&jwt, jwt_ring, &other, JWT_NOW) == NULL);
    }

    unit_case(NULL);
}


/* A token signed before the ring changed is good after it. */

static void
test_rotation(void)
{
    ngx_str_t                old, new, set;
    ngx_pulse_jwks_t        *before, *after, *gone;
    ngx_pulse_jwks_error_t   err;

    set = jwt_text("{\"keys\":[%s]}", jwt_key_ec(jwt_ec).data);
    before = ngx_pulse_jwks_ring(jwt_pool, &set, &err);

    set = jwt_text("{\"keys\":[%s,{\"status\":\"active\",%s]}",
                   jwt_key_ec(jwt_ec).data, jwt_key_ed(jwt_ed25519).data + 1);
    after = ngx_pulse_jwks_ring(jwt_pool, &set, &err);

    set = jwt_text("{\"keys\":[%s]}", jwt_key_ed(jwt_ed25519).data);
    gone = ngx_pulse_jwks_ring(jwt_pool, &set, &err);

    check(before != NULL && after != NULL && gone != NULL);

    if (before == NULL || after == NULL || gone == NULL) {
        return;
    }

    check(before->signer == &before->keys[0]);
    check(after->signer == &after->keys[1]);

    old = jwt_token(before->signer, "{\"alg\":\"ES256\",\"kid\":\"es\"}",
                    JWT_CLAIMS);
    new = jwt_token(after->signer, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}",
                    JWT_CLAIMS);

    check(jwt_verify_by(before, &old) == NULL);
    check(jwt_verify_by(before, &new) != NULL);
    check(jwt_verify_by(after, &old) == NULL);
    check(jwt_verify_by(after, &new) == NULL);
    check(jwt_verify_by(gone, &old) != NULL);
    check(jwt_verify_by(gone, &new) == NULL);

    set = jwt_text("{\"keys\":[{\"status\":\"active\",%s,"
                   "{\"status\":\"active\",%s]}",
                   jwt_key_ec(jwt_ec).data + 1,
                   jwt_key_ed(jwt_ed25519).data + 1);
    check(ngx_pulse_jwks_ring(jwt_pool, &set, &err) == NULL);
}


/* Without memory at any point: refused, and nothing is leaked. */

static void
test_memory(void)
{
    ngx_str_t         t;
    ngx_uint_t        n;
    ngx_pool_t       *small;
    const char       *reason;
    ngx_pulse_jwt_t   jwt;

    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);

    for (n = 1; n < 1000; n++) {
        small = unit_pool();

        unit_fail_allocation(n);
        reason = ngx_pulse_jwt_parse(small, &t, &jwt);
        unit_fail_allocation(0);

        ngx_destroy_pool(small);

        if (reason == NULL) {
            break;
        }
    }

    check(n > 1 && n < 1000);
}
