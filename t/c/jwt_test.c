
/*
 * What the verifier of tokens must refuse, group by group, and what it must
 * take.  Keys are made anew in each run.
 */

#include "unit.h"
#include <stdarg.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_jwt.h"


#define JWT_NOW     1800000000
#define JWT_CLAIMS  "{\"iss\":\"studio\",\"aud\":\"web\",\"sub\":\"u\","      \
                    "\"exp\":1800000060}"


static void setup(void);
static void test_good(void);
static void test_alg(void);
static void test_confusion(void);
static void test_kid(void);
static void test_foreign_keys(void);
static void test_crit(void);
static void test_times(void);
static void test_claims(void);
static void test_shape(void);
static void test_base64url(void);
static void test_json(void);
static void test_ecdsa(void);
static void test_rsa(void);
static void test_tampering(void);
static void test_serializations(void);
static void test_kinds(void);
static void test_eddsa(void);
static void test_rotation(void);
static void test_memory(void);

static ngx_str_t text(const char *fmt, ...);
static ngx_str_t encode(const void *p, size_t len);
static ngx_str_t encode_text(const char *s);
static ngx_str_t number(EVP_PKEY *pkey, const char *param, size_t len);
static ngx_str_t key_rsa(EVP_PKEY *pkey);
static ngx_str_t key_ec(EVP_PKEY *pkey);
static ngx_str_t key_ed(EVP_PKEY *pkey);
static ngx_str_t token(ngx_pulse_jwk_t *key, const char *header,
    const char *claims);
static ngx_str_t token_bytes(ngx_pulse_jwk_t *key, const ngx_str_t *header,
    const ngx_str_t *claims);
static ngx_str_t token_signed(const char *header, const char *claims,
    const void *signature, size_t len);
static const char *verify_by(ngx_pulse_jwks_t *jwks, ngx_str_t *token);
static const char *verify(ngx_str_t *token);
static const char *claim(const char *claims);
static const char *header(const char *json);


#define refused(token)  check(verify(token) != NULL)


static ngx_pool_t             *pool;
static ngx_pulse_jwks_t       *ring;
static ngx_pulse_jwk_t        *hs, *rs, *es, *ed;
static EVP_PKEY               *rsa, *ec, *ed25519;
static ngx_pulse_jwt_rules_t   rules = {
    ngx_string("studio"), ngx_string("web"), 0
};


int
main(void)
{
    setup();

    test_good();
    test_alg();
    test_confusion();
    test_kid();
    test_foreign_keys();
    test_crit();
    test_times();
    test_claims();
    test_shape();
    test_base64url();
    test_json();
    test_ecdsa();
    test_rsa();
    test_tampering();
    test_serializations();
    test_kinds();
    test_eddsa();
    test_rotation();
    test_memory();

    ngx_destroy_pool(pool);

    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ed25519);

    return unit_done();
}


static void
setup(void)
{
    ngx_str_t                 set;
    ngx_pulse_jwks_error_t    err;

    pool = unit_pool();

    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("prime256v1");
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    set = text("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"hs\",\"k\":\"%s\"},"
               "%s,%s,%s]}",
               encode_text("a secret of thirty-two bytes, ok!").data,
               key_rsa(rsa).data, key_ec(ec).data, key_ed(ed25519).data);

    err.reason = "";
    ring = ngx_pulse_jwks_ring(pool, &set, &err);

    if (ring == NULL) {
        printf("# key %d: %s\n", (int) err.index, err.reason);
        check(ring != NULL);
        exit(unit_done());
    }

    hs = &ring->keys[0];
    rs = &ring->keys[1];
    es = &ring->keys[2];
    ed = &ring->keys[3];
}


/* --- what is good */

static void
test_good(void)
{
    ngx_str_t        t, claims;
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;
    ngx_pulse_jwt_t  jwt;

    claims.data = (u_char *) JWT_CLAIMS;
    claims.len = sizeof(JWT_CLAIMS) - 1;

    for (i = 0; i < ring->nkeys; i++) {
        unit_case("key %d", (int) i);

        ngx_pulse_buf_init(&b, 0);
        check(ngx_pulse_jwt_sign(&ring->keys[i], &claims, &b) == NGX_OK);

        t.data = b.data;
        t.len = b.len;

        check(verify(&t) == NULL);
        check(ngx_pulse_jwt_parse(pool, &t, &jwt) == NULL);
        check_str(&jwt.issuer, "studio");
        check_str(&jwt.subject, "u");
        check_int(jwt.expires, 1800000060);
        check_int(jwt.alg, ring->keys[i].alg);

        ngx_pulse_buf_free(&b);
    }

    unit_case(NULL);

    /* both names of the algorithm, RFC 8037 and RFC 9864 */

    t = token(ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", JWT_CLAIMS);
    check(verify(&t) == NULL);
    t = token(ed, "{\"alg\":\"Ed25519\",\"kid\":\"ed\"}", JWT_CLAIMS);
    check(verify(&t) == NULL);

    /* an escape is one spelling of the same name */

    t = token(hs, "{\"\\u0061lg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    check(verify(&t) == NULL);

    check(header("{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"jwt\"}")
          == NULL);
    check(header("{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"at+jwt\"}")
          == NULL);
    check(header("{\"alg\":\"HS256\",\"kid\":\"hs\","
                 "\"typ\":\"application/JWT\"}")
          == NULL);
}


/* --- group 1 */

static void
test_alg(void)
{
    ngx_str_t     t;
    ngx_uint_t    i;
    const char  **h;

    static const char  *headers[] = {
        "{\"alg\":\"none\",\"kid\":\"hs\"}",
        "{\"alg\":\"None\",\"kid\":\"hs\"}",
        "{\"alg\":\"nOnE\",\"kid\":\"hs\"}",
        "{\"alg\":\"NONE\"}",
        "{\"kid\":\"hs\"}",
        "{\"alg\":\"\",\"kid\":\"hs\"}",
        "{\"alg\":[\"HS256\"],\"kid\":\"hs\"}",
        "{\"alg\":256,\"kid\":\"hs\"}",
        "{\"alg\":null,\"kid\":\"hs\"}",
        "{\"alg\":{\"name\":\"HS256\"},\"kid\":\"hs\"}",
        "{\"alg\":\"hs256\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256 \",\"kid\":\"hs\"}",
        "{\"ALG\":\"HS256\",\"kid\":\"hs\"}",
        "{}",
        NULL
    };

    for (h = headers; *h != NULL; h++) {
        unit_case("%s", *h);

        check(header(*h) != NULL);

        t = token_signed(*h, JWT_CLAIMS, "", 0);
        refused(&t);
    }

    /* RFC 7515, A.5 */

    unit_case("A.5");
    t = text("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzO"
             "DAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.");
    refused(&t);

    unit_case("no signature");

    for (i = 0; i < ring->nkeys; i++) {
        t = text("{\"alg\":\"%s\",\"kid\":\"%.*s\"}",
                 ngx_pulse_jwk_alg_name(ring->keys[i].alg),
                 (int) ring->keys[i].kid.len, ring->keys[i].kid.data);
        t = token_signed((char *) t.data, JWT_CLAIMS, "", 0);
        refused(&t);
    }

    unit_case(NULL);
}


/* --- group 2 */

static void
test_confusion(void)
{
    BIO                 *bio;
    char                *pem;
    long                 pem_len;
    u_char              *der;
    ngx_int_t            i, der_len;
    ngx_str_t            t, jwk;
    EVP_PKEY            *pkeys[2];
    ngx_pulse_jwk_t      forged;
    static const char   *kids[] = { "rs", "es" };

    pkeys[0] = rsa;
    pkeys[1] = ec;

    /* HS256 with what everybody knows of the other keys */

    for (i = 0; i < 2; i++) {
        unit_case("secret made of the public key \"%s\"", kids[i]);

        ngx_memzero(&forged, sizeof(forged));
        forged.alg = NGX_PULSE_JWK_HS256;
        forged.secret_key = 1;

        der = NULL;
        der_len = i2d_PUBKEY(pkeys[i], &der);

        forged.secret.data = der;
        forged.secret.len = der_len;

        t = text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", kids[i]);
        t = token(&forged, (char *) t.data, JWT_CLAIMS);
        refused(&t);
        t = token(&forged, "{\"alg\":\"HS256\"}", JWT_CLAIMS);
        refused(&t);

        OPENSSL_free(der);

        bio = BIO_new(BIO_s_mem());
        (void) PEM_write_bio_PUBKEY(bio, pkeys[i]);
        pem_len = BIO_get_mem_data(bio, &pem);

        forged.secret.data = (u_char *) pem;
        forged.secret.len = pem_len;

        t = text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", kids[i]);
        t = token(&forged, (char *) t.data, JWT_CLAIMS);
        refused(&t);

        BIO_free(bio);

        jwk = (i == 0) ? key_rsa(rsa) : key_ec(ec);
        forged.secret = jwk;

        t = text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", kids[i]);
        t = token(&forged, (char *) t.data, JWT_CLAIMS);
        refused(&t);
    }

    unit_case("empty secret");
    forged.secret.len = 0;
    t = token(&forged, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);

    /* the key of one algorithm under the name of another */

    unit_case("names");

    t = token(hs, "{\"alg\":\"HS384\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);
    t = token(hs, "{\"alg\":\"HS512\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);
    t = token(hs, "{\"alg\":\"RS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);
    t = token(rs, "{\"alg\":\"PS256\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = token(rs, "{\"alg\":\"RS512\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = token(rs, "{\"alg\":\"ES256\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = token(es, "{\"alg\":\"EdDSA\",\"kid\":\"es\"}", JWT_CLAIMS);
    refused(&t);
    t = token(ed, "{\"alg\":\"ES256\",\"kid\":\"ed\"}", JWT_CLAIMS);
    refused(&t);

    /* and the signature of one key under the "kid" of another */

    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = token(rs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);

    unit_case("SHA-512");
    forged.secret = hs->secret;

    {
        u_char        mac[64];
        unsigned int  len;
        ngx_str_t     input;

        input = text("%s.%s",
                     encode_text("{\"alg\":\"HS256\",\"kid\":\"hs\"}").data,
                     encode_text(JWT_CLAIMS).data);

        check(HMAC(EVP_sha512(), hs->secret.data, hs->secret.len, input.data,
                   input.len, mac, &len)
              != NULL);

        t = text("%s.%s", input.data, encode(mac, 64).data);
        refused(&t);
        t = text("%s.%s", input.data, encode(mac, 32).data);
        refused(&t);
    }

    unit_case(NULL);
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
        check(header(*h) != NULL);
    }

    unit_case("long");

    big = malloc(10001);
    memset(big, 'a', 10000);
    big[10000] = '\0';

    t = text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", big);
    t = token(hs, (char *) t.data, JWT_CLAIMS);
    refused(&t);

    big[129] = '\0';
    t = text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", big);
    t = token(hs, (char *) t.data, JWT_CLAIMS);
    refused(&t);

    free(big);

    unit_case("two keys with one kid");

    set = text("{\"keys\":["
               "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"%s\"},"
               "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"%s\"}]}",
               encode_text("0123456789012345678901234567890a").data,
               encode_text("0123456789012345678901234567890b").data);
    check(ngx_pulse_jwks_ring(pool, &set, &err) == NULL);
    check_int(err.index, 1);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);

    /* without a "kid" the one key of the algorithm, if there is but one */

    unit_case("none");

    check(header("{\"alg\":\"HS256\"}") == NULL);

    set = text("{\"keys\":["
               "{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"%s\"},"
               "{\"kty\":\"oct\",\"kid\":\"b\",\"k\":\"%s\"}]}",
               encode_text("0123456789012345678901234567890a").data,
               encode_text("0123456789012345678901234567890b").data);
    two = ngx_pulse_jwks_ring(pool, &set, &err);
    check(two != NULL);

    if (two != NULL) {
        t = token(&two->keys[0], "{\"alg\":\"HS256\"}", JWT_CLAIMS);
        check(verify_by(two, &t) != NULL);
        t = token(&two->keys[0], "{\"alg\":\"HS256\",\"kid\":\"b\"}",
                  JWT_CLAIMS);
        check(verify_by(two, &t) != NULL);
        t = token(&two->keys[1], "{\"alg\":\"HS256\",\"kid\":\"b\"}",
                  JWT_CLAIMS);
        check(verify_by(two, &t) == NULL);
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
    public = key_rsa(pkey);
    set = text("{\"keys\":[%s]}", public.data);
    attacker = ngx_pulse_jwks_ring(pool, &set, &err);
    check(attacker != NULL);

    if (attacker != NULL) {
        t = text("{\"alg\":\"RS256\",\"kid\":\"rs\",\"jwk\":%s}",
                 public.data);
        t = token(&attacker->keys[0], (char *) t.data, JWT_CLAIMS);
        refused(&t);

        t = text("{\"alg\":\"RS256\",\"jwk\":%s}", public.data);
        t = token(&attacker->keys[0], (char *) t.data, JWT_CLAIMS);
        refused(&t);

        t = token(&attacker->keys[0],
                  "{\"alg\":\"RS256\",\"kid\":\"rs\","
                  "\"jku\":\"http://127.0.0.1:1/keys\"}", JWT_CLAIMS);
        refused(&t);
    }

    /* beside our own signature they are of no account */

    check(header("{\"alg\":\"HS256\",\"kid\":\"hs\","
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
        check(header(*h) != NULL);
    }

    /* a payload that is not encoded, and rightly signed */

    unit_case("RFC 7797");
    input = text("%s." JWT_CLAIMS,
                 encode_text("{\"alg\":\"HS256\",\"kid\":\"hs\",\"b64\":false,"
                        "\"crit\":[\"b64\"]}").data);
    check(HMAC(EVP_sha256(), hs->secret.data, hs->secret.len, input.data,
               input.len, mac, &len)
          != NULL);
    t = text("%s.%s", input.data, encode(mac, 32).data);
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
        check(claim(*t) != NULL);
    }

    for (t = good; *t != NULL; t++) {
        unit_case("%s", *t);
        check(claim(*t) == NULL);
    }

    unit_case("leeway");

    rules.leeway = 30;

    check(claim("\"exp\":1799999971") == NULL);
    check(claim("\"exp\":1799999970") != NULL);
    check(claim("\"exp\":1800000060,\"nbf\":1800000030") == NULL);
    check(claim("\"exp\":1800000060,\"nbf\":1800000031") != NULL);
    check(claim("\"exp\":1800000060,\"iat\":1800000031") != NULL);

    rules.leeway = 0;

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
        t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", *c);
        refused(&t);
    }

    unit_case("several audiences");
    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
              "{\"iss\":\"studio\",\"aud\":[\"a\",\"web\"],"
              "\"exp\":1800000060}");
    check(verify(&t) == NULL);

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

    good = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    check(verify(&good) == NULL);

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
    s = text("{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":\"%06100d\"}", 0);
    t = token(hs, (char *) s.data, JWT_CLAIMS);
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

    t = text("%.*s.AA", (int) good.len, good.data);
    refused(&t);
    t = text("%.*s.AA.AA", (int) good.len, good.data);
    refused(&t);
    t = text("%.*s.", (int) good.len, good.data);
    refused(&t);
    t = text(".%.*s", (int) good.len, good.data);
    refused(&t);
    t = text("%.*s..%s", (int) i, good.data, good.data + len + 1);
    refused(&t);
    t = text("..");
    refused(&t);
    t = text("...");
    refused(&t);
    t = text("");
    refused(&t);

    unit_case("around");

    t = text(" %.*s", (int) good.len, good.data);
    refused(&t);
    t = text("%.*s ", (int) good.len, good.data);
    refused(&t);
    t = text("%.*s\r\n", (int) good.len, good.data);
    refused(&t);
    t = text("\xef\xbb\xbf%.*s", (int) good.len, good.data);
    refused(&t);
    t = text("%.*s=", (int) good.len, good.data);
    refused(&t);
    t = text("%.*s%%3D", (int) good.len, good.data);
    refused(&t);

    /* any byte that is not base64url, anywhere */

    unit_case("bytes");

    for (i = 0; i < good.len; i += 3) {
        if (good.data[i] == '.') {
            continue;
        }

        t = text("%.*s", (int) good.len, good.data);
        t.data[i] = "+/=\0 \n\t,%\xff"[i / 3 % 10];

        check(ngx_pulse_jwt_parse(pool, &t, &jwt) != NULL);
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
        check(header(*p) != NULL);
    }

    unit_case("NUL after the text");
    h.data = (u_char *) "{\"alg\":\"HS256\",\"kid\":\"hs\"}";
    h.len = strlen((char *) h.data) + 1;
    c.data = (u_char *) JWT_CLAIMS;
    c.len = sizeof(JWT_CLAIMS) - 1;
    t = token_bytes(hs, &h, &c);
    refused(&t);

    unit_case("claims");
    check(claim("\"exp\":1,\"exp\":1800000060") != NULL);
    check(claim("\"exp\":1800000060,\"exp\":1") != NULL);
    check(claim("\"exp\":1800000060,\"iss\":\"studio\"") != NULL);
    check(claim("\"exp\":1800000060,\"\\u0069ss\":\"x\"") != NULL);
    check(claim("\"exp\":1800000060,\"x\":\"\\u0000\"") != NULL);
    check(claim("\"exp\":1800000060,\"x\":\"\xc0\x80\"") != NULL);

    unit_case("depth");

    deep = malloc(5001);
    memset(deep, '[', 5000);
    deep[5000] = '\0';

    t = text("{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":%s", deep);
    t = token(hs, (char *) t.data, JWT_CLAIMS);
    refused(&t);

    free(deep);

    deep = malloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = '\0';

    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", deep);
    refused(&t);

    free(deep);

    unit_case(NULL);
}


/* --- group 10; vectors are in jwks_test.c */

static void
test_ecdsa(void)
{
    u_char      sig[80];
    size_t      n, len;
    BIGNUM     *order, *s;
    EC_GROUP   *group;
    EVP_PKEY   *pkey;
    ngx_int_t   i;
    ngx_str_t   t, input, set, good;
    EVP_MD_CTX *ctx;
    ngx_pulse_jwks_error_t  err;

    static const char  *h = "{\"alg\":\"ES256\",\"kid\":\"es\"}";

    group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    order = BN_dup(EC_GROUP_get0_order(group));

    unit_case("r = s = 0");
    memset(sig, 0, sizeof(sig));
    t = token_signed(h, JWT_CLAIMS, sig, 64);
    refused(&t);

    unit_case("r = n, s = n, and beyond");

    for (i = 0; i < 3; i++) {
        memset(sig, 0, sizeof(sig));
        sig[31] = 1;
        sig[63] = 1;

        if (i != 1) {
            (void) BN_bn2binpad(order, sig, 32);
        }

        if (i != 0) {
            (void) BN_bn2binpad(order, sig + 32, 32);
        }

        t = token_signed(h, JWT_CLAIMS, sig, 64);
        refused(&t);
    }

    memset(sig, 0xff, sizeof(sig));
    t = token_signed(h, JWT_CLAIMS, sig, 64);
    refused(&t);

    unit_case("r, s + n");
    good = token(es, h, JWT_CLAIMS);
    check(verify(&good) == NULL);

    for (n = good.len - 1; good.data[n] != '.'; n--) { /* void */ }

    t.data = good.data + n + 1;
    t.len = good.len - n - 1;
    check(ngx_pulse_base64url_decode(sig, &len, &t) == NGX_OK);
    check_int(len, 64);

    s = BN_bin2bn(sig + 32, 32, NULL);
    check(BN_add(s, s, order) == 1);

    if (BN_num_bytes(s) <= 32) {
        (void) BN_bn2binpad(s, sig + 32, 32);
        t = token_signed(h, JWT_CLAIMS, sig, 64);
        refused(&t);
    }

    unit_case("lengths");

    check(ngx_pulse_base64url_decode(sig, &len, &(ngx_str_t) {
              good.len - n - 1, good.data + n + 1 }) == NGX_OK);

    for (i = 0; i < 80; i++) {
        if (i != 64) {
            t = token_signed(h, JWT_CLAIMS, sig, i);
            refused(&t);
        }
    }

    unit_case("DER");
    input = text("%s.%s", encode_text(h).data,
                 encode_text(JWT_CLAIMS).data);
    len = sizeof(sig);
    ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, ec) == 1
          && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
    EVP_MD_CTX_free(ctx);
    t = text("%s.%s", input.data, encode(sig, len).data);
    refused(&t);

    unit_case("P-384");
    pkey = EVP_EC_gen("secp384r1");
    set = text("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"es\","
               "\"alg\":\"ES256\",\"x\":\"%s\",\"y\":\"%s\"}]}",
               number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, 48).data,
               number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, 48).data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);

    unit_case("a point off the curve");
    set = text("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"es\","
               "\"x\":\"%s\",\"y\":\"%s\"}]}",
               number(ec, OSSL_PKEY_PARAM_EC_PUB_X, 32).data,
               number(ec, OSSL_PKEY_PARAM_EC_PUB_X, 32).data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);

    EVP_PKEY_free(pkey);
    EC_GROUP_free(group);
    BN_free(order);
    BN_free(s);

    unit_case(NULL);
}


/* --- group 11 */

static void
test_rsa(void)
{
    u_char                   sig[260];
    size_t                   len;
    EVP_PKEY                *pkey;
    ngx_str_t                t, input, set, key;
    EVP_MD_CTX              *ctx;
    ngx_pulse_jwks_error_t   err;

    static const char  *h = "{\"alg\":\"RS256\",\"kid\":\"rs\"}";

    input = text("%s.%s", encode_text(h).data,
                 encode_text(JWT_CLAIMS).data);

    memset(sig, 0, sizeof(sig));
    len = sizeof(sig);
    ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, rsa) == 1
          && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
    EVP_MD_CTX_free(ctx);
    check_int(len, 256);

    t = text("%s.%s", input.data, encode(sig, 256).data);
    check(verify(&t) == NULL);

    unit_case("shorter, longer");
    t = text("%s.%s", input.data, encode(sig, 255).data);
    refused(&t);
    t = text("%s.%s", input.data, encode(sig, 257).data);
    refused(&t);
    t = text("%s.%s", input.data, encode(sig + 1, 255).data);
    refused(&t);
    memmove(sig + 1, sig, 256);
    sig[0] = 0;
    t = text("%s.%s", input.data, encode(sig, 257).data);
    refused(&t);

    unit_case("all zeros, all ones, one");
    memset(sig, 0, sizeof(sig));
    t = text("%s.%s", input.data, encode(sig, 256).data);
    refused(&t);
    sig[255] = 1;
    t = text("%s.%s", input.data, encode(sig, 256).data);
    refused(&t);
    memset(sig, 0xff, sizeof(sig));
    t = text("%s.%s", input.data, encode(sig, 256).data);
    refused(&t);

    unit_case("SHA-1");
    len = sizeof(sig);
    ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, EVP_sha1(), NULL, rsa) == 1
          && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
    EVP_MD_CTX_free(ctx);
    t = text("%s.%s", input.data, encode(sig, len).data);
    refused(&t);

    unit_case("PSS");
    {
        EVP_PKEY_CTX  *pctx;

        len = sizeof(sig);
        ctx = EVP_MD_CTX_new();
        check(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, rsa) == 1
              && EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING)
                 == 1
              && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
        EVP_MD_CTX_free(ctx);
        t = text("%s.%s", input.data, encode(sig, len).data);
        refused(&t);
    }

    unit_case("1024 bits");
    pkey = EVP_RSA_gen(1024);
    key = key_rsa(pkey);
    set = text("{\"keys\":[%s]}", key.data);
    check(ngx_pulse_jwks_ring(pool, &set, &err) == NULL);
    EVP_PKEY_free(pkey);

    unit_case("e");
    t = number(rsa, OSSL_PKEY_PARAM_RSA_N, 256);
    set = text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQ\"}]}",
               t.data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);
    set = text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AAAA\"}]}",
               t.data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);
    set = text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAA\"}]}",
               t.data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);
    set = text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"Aw\"}]}",
               t.data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) != NULL);

    unit_case(NULL);
}


/* --- group 12 */

static void
test_tampering(void)
{
    size_t      n, dot, end;
    u_char      sig[512];
    ngx_str_t   t, good, other, s;
    ngx_uint_t  i, bit;

    for (i = 0; i < ring->nkeys; i++) {
        unit_case("key %d", (int) i);

        s = text("{\"alg\":\"%s\",\"kid\":\"%.*s\"}",
                 ngx_pulse_jwk_alg_name(ring->keys[i].alg),
                 (int) ring->keys[i].kid.len, ring->keys[i].kid.data);

        good = token(&ring->keys[i], (char *) s.data, JWT_CLAIMS);
        other = token(&ring->keys[i], (char *) s.data,
                      "{\"iss\":\"studio\",\"aud\":\"web\",\"sub\":\"admin\","
                      "\"exp\":1800000060}");

        check(verify(&good) == NULL);
        check(verify(&other) == NULL);

        for (end = good.len - 1; good.data[end] != '.'; end--) { /* void */ }
        for (dot = 0; good.data[dot] != '.'; dot++) { /* void */ }

        /* every length; a whole number of bytes or not */

        for (n = end + 1; n < good.len; n++) {
            t = text("%.*s", (int) n, good.data);
            refused(&t);
        }

        /* every bit of the signature */

        t.data = good.data + end + 1;
        t.len = good.len - end - 1;
        check(ngx_pulse_base64url_decode(sig, &n, &t) == NGX_OK);

        for (bit = 0; bit < n * 8; bit += (n > 64) ? 31 : 1) {
            sig[bit / 8] ^= 1 << bit % 8;
            t = token_signed((char *) s.data, JWT_CLAIMS, sig, n);
            refused(&t);
            sig[bit / 8] ^= 1 << bit % 8;
        }

        /* the signature, the claims and the header of another token */

        t = text("%.*s%s", (int) end, good.data,
                 strrchr((char *) other.data, '.'));
        refused(&t);
        t = text("%.*s%.*s", (int) dot, good.data,
                 (int) (other.len - dot), other.data + dot);
        check(verify(&t) == NULL);              /* is "other" */
        t = text("%.*s%.*s", (int) dot, good.data,
                 (int) (strrchr((char *) other.data, '.')
                        - (char *) other.data - dot),
                 other.data + dot);
        t = text("%s%s", t.data, good.data + end);
        refused(&t);
        t = text("%s%s",
                 encode_text("{\"alg\":\"HS256\",\"kid\":\"hs\",\"x\":1}").data,
                 good.data + dot);
        refused(&t);
    }

    unit_case(NULL);
}


/* --- group 13 */

static void
test_serializations(void)
{
    ngx_str_t  t, good, nested;

    good = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);

    unit_case("flattened");
    t = text("{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
             "eyJhbGciOiJIUzI1NiJ9", "e30", "AA");
    refused(&t);

    unit_case("general");
    t = text("{\"payload\":\"e30\",\"signatures\":[{\"protected\":\"e30\","
             "\"signature\":\"AA\"}]}");
    refused(&t);

    unit_case("a token within a token");
    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\",\"cty\":\"JWT\"}",
              (char *) good.data);
    refused(&t);
    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", (char *) good.data);
    refused(&t);
    nested = text("\"%s\"", good.data);
    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
              (char *) nested.data);
    refused(&t);

    unit_case("JWE");
    t = text("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAAAAAAAAAAAAAA."
             "AAAA.AAAAAAAAAAAAAAAAAAAAAA");
    refused(&t);
    check(header("{\"alg\":\"dir\",\"enc\":\"A128GCM\"}") != NULL);
    check(header("{\"alg\":\"A256KW\",\"enc\":\"A128GCM\"}") != NULL);

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
        check(header(*h) != NULL);
    }

    unit_case("another audience");

    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}",
              "{\"iss\":\"studio\",\"aud\":\"magic-link\",\"sub\":\"u\","
              "\"exp\":1800000060}");
    refused(&t);

    other = rules;
    ngx_str_set(&other.audience, "magic-link");

    {
        ngx_pulse_jwt_t  jwt;

        check(ngx_pulse_jwt_parse(pool, &t, &jwt) == NULL);
        check(ngx_pulse_jwt_verify(&jwt, ring, &other, JWT_NOW) == NULL);
    }

    unit_case(NULL);
}


/* --- group 15 */

static void
test_eddsa(void)
{
    u_char                   sig[64];
    size_t                   n;
    BIGNUM                  *s, *order;
    EVP_PKEY                *pkey;
    ngx_str_t                t, good, set, x;
    ngx_uint_t               i;
    ngx_pulse_jwks_error_t   err;

    static const char  *h = "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}";

    /* S + L is the same number to a verifier that does not look */

    unit_case("S + L");

    good = token(ed, h, JWT_CLAIMS);
    t.data = (u_char *) strrchr((char *) good.data, '.') + 1;
    t.len = good.data + good.len - t.data;
    check(ngx_pulse_base64url_decode(sig, &n, &t) == NGX_OK);

    order = NULL;
    check(BN_hex2bn(&order, "1000000000000000000000000000000014def9dea2f79cd6"
                            "5812631a5cf5d3ed")
          != 0);

    s = BN_lebin2bn(sig + 32, 32, NULL);
    check(BN_add(s, s, order) == 1);
    check(BN_bn2lebinpad(s, sig + 32, 32) == 32);

    t = token_signed(h, JWT_CLAIMS, sig, 64);
    refused(&t);

    BN_free(s);
    BN_free(order);

    unit_case("a key of small order");

    for (i = 0; i < 4; i++) {
        memset(sig, 0, 32);
        sig[0] = (u_char) (i & 1);
        sig[31] = (i & 2) ? 0x80 : 0;

        x = encode(sig, 32);
        set = text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                   "\"x\":\"%s\"}]}", x.data);
        check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);
    }

    unit_case("Ed448");

    pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    {
        u_char  raw[57];
        size_t  len;

        len = sizeof(raw);
        check(EVP_PKEY_get_raw_public_key(pkey, raw, &len) == 1);
        x = encode(raw, len);
    }
    EVP_PKEY_free(pkey);

    set = text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
               "\"x\":\"%s\"}]}", x.data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);
    set = text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed448\","
               "\"alg\":\"EdDSA\",\"x\":\"%s\"}]}", x.data);
    check(ngx_pulse_jwks_foreign(pool, &set, &err) == NULL);

    unit_case(NULL);
}


/* A token signed before the ring changed is good after it. */

static void
test_rotation(void)
{
    ngx_str_t                old, new, set;
    ngx_pulse_jwks_t        *before, *after, *gone;
    ngx_pulse_jwks_error_t   err;

    set = text("{\"keys\":[%s]}", key_ec(ec).data);
    before = ngx_pulse_jwks_ring(pool, &set, &err);

    set = text("{\"keys\":[%s,{\"status\":\"active\",%s]}",
               key_ec(ec).data, key_ed(ed25519).data + 1);
    after = ngx_pulse_jwks_ring(pool, &set, &err);

    set = text("{\"keys\":[%s]}", key_ed(ed25519).data);
    gone = ngx_pulse_jwks_ring(pool, &set, &err);

    check(before != NULL && after != NULL && gone != NULL);

    if (before == NULL || after == NULL || gone == NULL) {
        return;
    }

    check(before->signer == &before->keys[0]);
    check(after->signer == &after->keys[1]);

    old = token(before->signer, "{\"alg\":\"ES256\",\"kid\":\"es\"}",
                JWT_CLAIMS);
    new = token(after->signer, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}",
                JWT_CLAIMS);

    check(verify_by(before, &old) == NULL);
    check(verify_by(before, &new) != NULL);
    check(verify_by(after, &old) == NULL);
    check(verify_by(after, &new) == NULL);
    check(verify_by(gone, &old) != NULL);
    check(verify_by(gone, &new) == NULL);

    set = text("{\"keys\":[{\"status\":\"active\",%s,"
               "{\"status\":\"active\",%s]}",
               key_ec(ec).data + 1, key_ed(ed25519).data + 1);
    check(ngx_pulse_jwks_ring(pool, &set, &err) == NULL);
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

    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);

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


/* --- helpers */

static ngx_str_t
text(const char *fmt, ...)
{
    int        n;
    va_list    args;
    ngx_str_t  s;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    s.data = ngx_pnalloc(pool, n + 1);
    s.len = n;

    va_start(args, fmt);
    (void) vsnprintf((char *) s.data, n + 1, fmt, args);
    va_end(args);

    return s;
}


static ngx_str_t
encode(const void *p, size_t len)
{
    ngx_str_t  s;

    s.data = ngx_pnalloc(pool, ngx_pulse_base64url_encoded(len) + 1);
    s.len = ngx_pulse_base64url_encode(s.data, p, len) - s.data;
    s.data[s.len] = '\0';

    return s;
}


static ngx_str_t
encode_text(const char *s)
{
    return encode(s, strlen(s));
}


static ngx_str_t
number(EVP_PKEY *pkey, const char *param, size_t len)
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

    return encode(bytes, len);
}


static ngx_str_t
key_rsa(EVP_PKEY *pkey)
{
    return text("{\"kty\":\"RSA\",\"kid\":\"rs\",\"alg\":\"RS256\","
                "\"use\":\"sig\",\"n\":\"%s\",\"e\":\"%s\",\"d\":\"%s\","
                "\"p\":\"%s\",\"q\":\"%s\",\"dp\":\"%s\",\"dq\":\"%s\","
                "\"qi\":\"%s\"}",
                number(pkey, OSSL_PKEY_PARAM_RSA_N, 0).data,
                number(pkey, OSSL_PKEY_PARAM_RSA_E, 0).data,
                number(pkey, OSSL_PKEY_PARAM_RSA_D, 0).data,
                number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1, 0).data,
                number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2, 0).data,
                number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1, 0).data,
                number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2, 0).data,
                number(pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 0).data);
}


static ngx_str_t
key_ec(EVP_PKEY *pkey)
{
    return text("{\"kty\":\"EC\",\"kid\":\"es\",\"crv\":\"P-256\","
                "\"key_ops\":[\"sign\"],\"x\":\"%s\",\"y\":\"%s\","
                "\"d\":\"%s\"}",
                number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, 32).data,
                number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, 32).data,
                number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, 32).data);
}


static ngx_str_t
key_ed(EVP_PKEY *pkey)
{
    u_char  x[32], d[32];
    size_t  xlen, dlen;

    xlen = sizeof(x);
    dlen = sizeof(d);

    check(EVP_PKEY_get_raw_public_key(pkey, x, &xlen) == 1);
    check(EVP_PKEY_get_raw_private_key(pkey, d, &dlen) == 1);

    return text("{\"kty\":\"OKP\",\"kid\":\"ed\",\"crv\":\"Ed25519\","
                "\"x\":\"%s\",\"d\":\"%s\"}",
                encode(x, xlen).data, encode(d, dlen).data);
}


static ngx_str_t
token(ngx_pulse_jwk_t *key, const char *header, const char *claims)
{
    ngx_str_t  h, c;

    h.data = (u_char *) header;
    h.len = strlen(header);
    c.data = (u_char *) claims;
    c.len = strlen(claims);

    return token_bytes(key, &h, &c);
}


static ngx_str_t
token_bytes(ngx_pulse_jwk_t *key, const ngx_str_t *header,
    const ngx_str_t *claims)
{
    ngx_str_t        t, input;
    ngx_pulse_buf_t  b;

    input = text("%s.%s", encode(header->data, header->len).data,
                 encode(claims->data, claims->len).data);

    ngx_pulse_buf_init(&b, 0);
    check(ngx_pulse_jwk_sign(key, &input, &b) == NGX_OK);

    t = text("%s.%s", input.data, encode(b.data, b.len).data);

    ngx_pulse_buf_free(&b);

    return t;
}


static ngx_str_t
token_signed(const char *header, const char *claims, const void *signature,
    size_t len)
{
    return text("%s.%s.%s", encode_text(header).data,
                encode_text(claims).data,
                encode(signature, len).data);
}


static const char *
verify_by(ngx_pulse_jwks_t *jwks, ngx_str_t *token)
{
    const char       *reason;
    ngx_pulse_jwt_t   jwt;

    reason = ngx_pulse_jwt_parse(pool, token, &jwt);

    if (reason != NULL) {
        return reason;
    }

    return ngx_pulse_jwt_verify(&jwt, jwks, &rules, JWT_NOW);
}


static const char *
verify(ngx_str_t *token)
{
    return verify_by(ring, token);
}


/* with all that is wanted besides */

static const char *
claim(const char *claims)
{
    ngx_str_t  t;

    t = text("{\"iss\":\"studio\",\"aud\":\"web\",\"sub\":\"u\",%s}", claims);
    t = token(hs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", (char *) t.data);

    return verify(&t);
}


static const char *
header(const char *json)
{
    ngx_str_t  t;

    t = token(hs, json, JWT_CLAIMS);

    return verify(&t);
}
