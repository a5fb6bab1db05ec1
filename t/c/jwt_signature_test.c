
/*
 * What the verifier must take as signed, and which signatures, algorithms and
 * keys in the place of others it must refuse.
 */

#include "unit_jwt.h"
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include "ngx_pulse_base64url.h"


static void test_good(void);
static void test_alg(void);
static void test_confusion(void);
static void test_ecdsa(void);
static void test_rsa(void);
static void test_tampering(void);
static void test_eddsa(void);


int
main(void)
{
    jwt_setup();

    test_good();
    test_alg();
    test_confusion();
    test_ecdsa();
    test_rsa();
    test_tampering();
    test_eddsa();

    jwt_cleanup();

    return unit_done();
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

    for (i = 0; i < jwt_ring->nkeys; i++) {
        unit_case("key %d", (int) i);

        ngx_pulse_buf_init(&b, 0);
        check(ngx_pulse_jwt_sign(&jwt_ring->keys[i], &claims, &b) == NGX_OK);

        t.data = b.data;
        t.len = b.len;

        check(jwt_verify(&t) == NULL);
        check(ngx_pulse_jwt_parse(jwt_pool, &t, &jwt) == NULL);
        check_str(&jwt.issuer, "studio");
        check_str(&jwt.subject, "u");
        check_int(jwt.expires, 1800000060);
        check_int(jwt.alg, jwt_ring->keys[i].alg);

        ngx_pulse_buf_free(&b);
    }

    unit_case(NULL);

    /* both names of the algorithm, RFC 8037 and RFC 9864 */

    t = jwt_token(jwt_ed, "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", JWT_CLAIMS);
    check(jwt_verify(&t) == NULL);
    t = jwt_token(jwt_ed, "{\"alg\":\"Ed25519\",\"kid\":\"ed\"}", JWT_CLAIMS);
    check(jwt_verify(&t) == NULL);

    /* an escape is one spelling of the same name */

    t = jwt_token(jwt_hs, "{\"\\u0061lg\":\"HS256\",\"kid\":\"hs\"}",
                  JWT_CLAIMS);
    check(jwt_verify(&t) == NULL);

    check(jwt_header("{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"jwt\"}")
          == NULL);
    check(jwt_header("{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"at+jwt\"}")
          == NULL);
    check(jwt_header("{\"alg\":\"HS256\",\"kid\":\"hs\","
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

        check(jwt_header(*h) != NULL);

        t = jwt_token_signed(*h, JWT_CLAIMS, "", 0);
        refused(&t);
    }

    /* RFC 7515, A.5 */

    unit_case("A.5");
    t = jwt_text("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzO"
                 "DAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.");
    refused(&t);

    unit_case("no signature");

    for (i = 0; i < jwt_ring->nkeys; i++) {
        t = jwt_text("{\"alg\":\"%s\",\"kid\":\"%.*s\"}",
                     ngx_pulse_jwk_alg_name(jwt_ring->keys[i].alg),
                     (int) jwt_ring->keys[i].kid.len,
                     jwt_ring->keys[i].kid.data);
        t = jwt_token_signed((char *) t.data, JWT_CLAIMS, "", 0);
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

    pkeys[0] = jwt_rsa;
    pkeys[1] = jwt_ec;

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

        t = jwt_text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", kids[i]);
        t = jwt_token(&forged, (char *) t.data, JWT_CLAIMS);
        refused(&t);
        t = jwt_token(&forged, "{\"alg\":\"HS256\"}", JWT_CLAIMS);
        refused(&t);

        OPENSSL_free(der);

        bio = BIO_new(BIO_s_mem());
        (void) PEM_write_bio_PUBKEY(bio, pkeys[i]);
        pem_len = BIO_get_mem_data(bio, &pem);

        forged.secret.data = (u_char *) pem;
        forged.secret.len = pem_len;

        t = jwt_text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", kids[i]);
        t = jwt_token(&forged, (char *) t.data, JWT_CLAIMS);
        refused(&t);

        BIO_free(bio);

        jwk = (i == 0) ? jwt_key_rsa(jwt_rsa) : jwt_key_ec(jwt_ec);
        forged.secret = jwk;

        t = jwt_text("{\"alg\":\"HS256\",\"kid\":\"%s\"}", kids[i]);
        t = jwt_token(&forged, (char *) t.data, JWT_CLAIMS);
        refused(&t);
    }

    unit_case("empty secret");
    forged.secret.len = 0;
    t = jwt_token(&forged, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);

    /* the key of one algorithm under the name of another */

    unit_case("names");

    t = jwt_token(jwt_hs, "{\"alg\":\"HS384\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_hs, "{\"alg\":\"HS512\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_hs, "{\"alg\":\"RS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_rs, "{\"alg\":\"PS256\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_rs, "{\"alg\":\"RS512\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_rs, "{\"alg\":\"ES256\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_es, "{\"alg\":\"EdDSA\",\"kid\":\"es\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_ed, "{\"alg\":\"ES256\",\"kid\":\"ed\"}", JWT_CLAIMS);
    refused(&t);

    /* and the signature of one key under the "kid" of another */

    t = jwt_token(jwt_hs, "{\"alg\":\"HS256\",\"kid\":\"rs\"}", JWT_CLAIMS);
    refused(&t);
    t = jwt_token(jwt_rs, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", JWT_CLAIMS);
    refused(&t);

    unit_case("SHA-512");
    forged.secret = jwt_hs->secret;

    {
        u_char        mac[64];
        unsigned int  len;
        ngx_str_t     input;

        input = jwt_text("%s.%s",
                         jwt_encode_text("{\"alg\":\"HS256\","
                                         "\"kid\":\"hs\"}").data,
                         jwt_encode_text(JWT_CLAIMS).data);

        check(HMAC(EVP_sha512(), jwt_hs->secret.data, jwt_hs->secret.len,
                   input.data, input.len, mac, &len)
              != NULL);

        t = jwt_text("%s.%s", input.data, jwt_encode(mac, 64).data);
        refused(&t);
        t = jwt_text("%s.%s", input.data, jwt_encode(mac, 32).data);
        refused(&t);
    }

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
    t = jwt_token_signed(h, JWT_CLAIMS, sig, 64);
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

        t = jwt_token_signed(h, JWT_CLAIMS, sig, 64);
        refused(&t);
    }

    memset(sig, 0xff, sizeof(sig));
    t = jwt_token_signed(h, JWT_CLAIMS, sig, 64);
    refused(&t);

    unit_case("r, s + n");
    good = jwt_token(jwt_es, h, JWT_CLAIMS);
    check(jwt_verify(&good) == NULL);

    for (n = good.len - 1; good.data[n] != '.'; n--) { /* void */ }

    t.data = good.data + n + 1;
    t.len = good.len - n - 1;
    check(ngx_pulse_base64url_decode(sig, &len, &t) == NGX_OK);
    check_int(len, 64);

    s = BN_bin2bn(sig + 32, 32, NULL);
    check(BN_add(s, s, order) == 1);

    if (BN_num_bytes(s) <= 32) {
        (void) BN_bn2binpad(s, sig + 32, 32);
        t = jwt_token_signed(h, JWT_CLAIMS, sig, 64);
        refused(&t);
    }

    unit_case("lengths");

    check(ngx_pulse_base64url_decode(sig, &len, &(ngx_str_t) {
              good.len - n - 1, good.data + n + 1 }) == NGX_OK);

    for (i = 0; i < 80; i++) {
        if (i != 64) {
            t = jwt_token_signed(h, JWT_CLAIMS, sig, i);
            refused(&t);
        }
    }

    unit_case("DER");
    input = jwt_text("%s.%s", jwt_encode_text(h).data,
                     jwt_encode_text(JWT_CLAIMS).data);
    len = sizeof(sig);
    ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, jwt_ec) == 1
          && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
    EVP_MD_CTX_free(ctx);
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, len).data);
    refused(&t);

    unit_case("P-384");
    pkey = EVP_EC_gen("secp384r1");
    set = jwt_text("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\","
                   "\"kid\":\"es\",\"alg\":\"ES256\","
                   "\"x\":\"%s\",\"y\":\"%s\"}]}",
                   jwt_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, 48).data,
                   jwt_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, 48).data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);

    unit_case("a point off the curve");
    set = jwt_text("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                   "\"kid\":\"es\",\"x\":\"%s\",\"y\":\"%s\"}]}",
                   jwt_number(jwt_ec, OSSL_PKEY_PARAM_EC_PUB_X, 32).data,
                   jwt_number(jwt_ec, OSSL_PKEY_PARAM_EC_PUB_X, 32).data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);

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

    input = jwt_text("%s.%s", jwt_encode_text(h).data,
                     jwt_encode_text(JWT_CLAIMS).data);

    memset(sig, 0, sizeof(sig));
    len = sizeof(sig);
    ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, jwt_rsa) == 1
          && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
    EVP_MD_CTX_free(ctx);
    check_int(len, 256);

    t = jwt_text("%s.%s", input.data, jwt_encode(sig, 256).data);
    check(jwt_verify(&t) == NULL);

    unit_case("shorter, longer");
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, 255).data);
    refused(&t);
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, 257).data);
    refused(&t);
    t = jwt_text("%s.%s", input.data, jwt_encode(sig + 1, 255).data);
    refused(&t);
    memmove(sig + 1, sig, 256);
    sig[0] = 0;
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, 257).data);
    refused(&t);

    unit_case("all zeros, all ones, one");
    memset(sig, 0, sizeof(sig));
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, 256).data);
    refused(&t);
    sig[255] = 1;
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, 256).data);
    refused(&t);
    memset(sig, 0xff, sizeof(sig));
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, 256).data);
    refused(&t);

    unit_case("SHA-1");
    len = sizeof(sig);
    ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, EVP_sha1(), NULL, jwt_rsa) == 1
          && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
    EVP_MD_CTX_free(ctx);
    t = jwt_text("%s.%s", input.data, jwt_encode(sig, len).data);
    refused(&t);

    unit_case("PSS");
    {
        EVP_PKEY_CTX  *pctx;

        len = sizeof(sig);
        ctx = EVP_MD_CTX_new();
        check(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, jwt_rsa) == 1
              && EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING)
                 == 1
              && EVP_DigestSign(ctx, sig, &len, input.data, input.len) == 1);
        EVP_MD_CTX_free(ctx);
        t = jwt_text("%s.%s", input.data, jwt_encode(sig, len).data);
        refused(&t);
    }

    unit_case("1024 bits");
    pkey = EVP_RSA_gen(1024);
    key = jwt_key_rsa(pkey);
    set = jwt_text("{\"keys\":[%s]}", key.data);
    check(ngx_pulse_jwks_ring(jwt_pool, &set, &err) == NULL);
    EVP_PKEY_free(pkey);

    unit_case("e");
    t = jwt_number(jwt_rsa, OSSL_PKEY_PARAM_RSA_N, 256);
    set = jwt_text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQ\"}]}",
                   t.data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);
    set = jwt_text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AAAA\"}]}",
                   t.data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);
    set = jwt_text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAA\"}]}",
                   t.data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);
    set = jwt_text("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"Aw\"}]}",
                   t.data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) != NULL);

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

    for (i = 0; i < jwt_ring->nkeys; i++) {
        unit_case("key %d", (int) i);

        s = jwt_text("{\"alg\":\"%s\",\"kid\":\"%.*s\"}",
                     ngx_pulse_jwk_alg_name(jwt_ring->keys[i].alg),
                     (int) jwt_ring->keys[i].kid.len,
                     jwt_ring->keys[i].kid.data);

        good = jwt_token(&jwt_ring->keys[i], (char *) s.data, JWT_CLAIMS);
        other = jwt_token(&jwt_ring->keys[i], (char *) s.data,
                          "{\"iss\":\"studio\",\"aud\":\"web\","
                          "\"sub\":\"admin\",\"exp\":1800000060}");

        check(jwt_verify(&good) == NULL);
        check(jwt_verify(&other) == NULL);

        for (end = good.len - 1; good.data[end] != '.'; end--) { /* void */ }
        for (dot = 0; good.data[dot] != '.'; dot++) { /* void */ }

        /* every length; a whole number of bytes or not */

        for (n = end + 1; n < good.len; n++) {
            t = jwt_text("%.*s", (int) n, good.data);
            refused(&t);
        }

        /* every bit of the signature */

        t.data = good.data + end + 1;
        t.len = good.len - end - 1;
        check(ngx_pulse_base64url_decode(sig, &n, &t) == NGX_OK);

        for (bit = 0; bit < n * 8; bit += (n > 64) ? 31 : 1) {
            sig[bit / 8] ^= 1 << bit % 8;
            t = jwt_token_signed((char *) s.data, JWT_CLAIMS, sig, n);
            refused(&t);
            sig[bit / 8] ^= 1 << bit % 8;
        }

        /* the signature, the claims and the header of another token */

        t = jwt_text("%.*s%s", (int) end, good.data,
                     strrchr((char *) other.data, '.'));
        refused(&t);
        t = jwt_text("%.*s%.*s", (int) dot, good.data,
                     (int) (other.len - dot), other.data + dot);
        check(jwt_verify(&t) == NULL);              /* is "other" */
        t = jwt_text("%.*s%.*s", (int) dot, good.data,
                     (int) (strrchr((char *) other.data, '.')
                            - (char *) other.data - dot),
                     other.data + dot);
        t = jwt_text("%s%s", t.data, good.data + end);
        refused(&t);
        t = jwt_text("%s%s",
                     jwt_encode_text("{\"alg\":\"HS256\",\"kid\":\"hs\","
                                     "\"x\":1}").data,
                     good.data + dot);
        refused(&t);
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

    good = jwt_token(jwt_ed, h, JWT_CLAIMS);
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

    t = jwt_token_signed(h, JWT_CLAIMS, sig, 64);
    refused(&t);

    BN_free(s);
    BN_free(order);

    unit_case("a key of small order");

    for (i = 0; i < 4; i++) {
        memset(sig, 0, 32);
        sig[0] = (u_char) (i & 1);
        sig[31] = (i & 2) ? 0x80 : 0;

        x = jwt_encode(sig, 32);
        set = jwt_text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                       "\"x\":\"%s\"}]}", x.data);
        check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);
    }

    unit_case("Ed448");

    pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
    {
        u_char  raw[57];
        size_t  len;

        len = sizeof(raw);
        check(EVP_PKEY_get_raw_public_key(pkey, raw, &len) == 1);
        x = jwt_encode(raw, len);
    }
    EVP_PKEY_free(pkey);

    set = jwt_text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                   "\"x\":\"%s\"}]}", x.data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);
    set = jwt_text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed448\","
                   "\"alg\":\"EdDSA\",\"x\":\"%s\"}]}", x.data);
    check(ngx_pulse_jwks_foreign(jwt_pool, &set, &err) == NULL);

    unit_case(NULL);
}
