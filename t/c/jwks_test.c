
/*
 * Keys, by the published vectors: Wycheproof's of signatures and key sets,
 * and the cookbook of RFC 7520.  Each is one file below vectors/ of the
 * shared directory; without it the test says that it skips them.
 */

#include "unit.h"
#include <stdarg.h>
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_jwt.h"


typedef ngx_str_t (*key_pt)(ngx_pulse_json_value_t *group,
    ngx_pulse_json_value_t *test);


static void test_files(void);
static void test_signatures(const char *dir, const char *name,
    const char *sig, key_pt key, ngx_uint_t total);
static ngx_uint_t test_signature(ngx_pulse_json_value_t *test,
    const char *sig, const ngx_str_t *jwk);
static ngx_uint_t test_is_ours(ngx_pulse_json_value_t *test,
    const char *sig);
static ngx_str_t key_of_hmac(ngx_pulse_json_value_t *group,
    ngx_pulse_json_value_t *test);
static ngx_str_t key_of_ec(ngx_pulse_json_value_t *group,
    ngx_pulse_json_value_t *test);
static ngx_str_t key_of_ed25519(ngx_pulse_json_value_t *group,
    ngx_pulse_json_value_t *test);
static ngx_str_t key_of_rsa(ngx_pulse_json_value_t *group,
    ngx_pulse_json_value_t *test);
static void test_key_sets(const char *dir);
static ngx_uint_t test_key_set(ngx_str_t *set, ngx_uint_t private,
    ngx_str_t *jws);
static void test_cookbook(const char *dir, const char *name,
    ngx_uint_t supported);
static void test_errors(void);

static ngx_pulse_json_value_t *load(const char *dir, const char *name,
    ngx_str_t *file);
static ngx_str_t string(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t part(ngx_str_t *file, ngx_pulse_json_value_t *v);
static ngx_str_t bytes(ngx_str_t hex);
static ngx_str_t base64url(const u_char *p, size_t len);
static ngx_str_t text(const char *fmt, ...);


static ngx_pool_t  *pool;


int
main(void)
{
    pool = unit_pool();

    test_errors();
    test_files();

    ngx_destroy_pool(pool);

    return unit_done();
}


static void
test_files(void)
{
    ngx_str_t    dir;
    const char  *shared, *vectors;

    shared = unit_shared();

    if (shared == NULL) {
        return;
    }

    dir = text("%s/data/vectors/wycheproof", shared);
    vectors = (char *) dir.data;

    test_signatures(vectors, "ecdsa_secp256r1_sha256_p1363_test", "sig",
                    key_of_ec, 262);
    test_signatures(vectors, "ed25519_test", "sig", key_of_ed25519, 151);
    test_signatures(vectors, "rsa_signature_2048_sha256_test", "sig",
                    key_of_rsa, 259);
    test_signatures(vectors, "hmac_sha256_test", "tag", key_of_hmac, 174);

    test_key_sets(vectors);

    dir = text("%s/data/vectors/ietf_jose_cookbook", shared);
    vectors = (char *) dir.data;

    test_cookbook(vectors, "jws/4_1.rsa_v15_signature", 1);
    test_cookbook(vectors, "jws/4_4.hmac-sha2_integrity_protection", 1);
    test_cookbook(vectors, "jws/4_6.protecting_specific_header_fields", 1);
    test_cookbook(vectors, "curve25519/jws", 1);

    /* RSA-PSS and P-521 are none of ours, b64=false never is */

    test_cookbook(vectors, "jws/4_2.rsa-pss_signature", 0);
    test_cookbook(vectors, "jws/4_3.ecdsa_signature", 0);
    test_cookbook(vectors, "rfc7797/hmac-sha2_b64_false", 0);
}


static void
test_signatures(const char *dir, const char *name, const char *sig,
    key_pt key, ngx_uint_t total)
{
    ngx_str_t                file, jwk, result;
    ngx_uint_t               good, n;
    ngx_pulse_json_value_t  *root, *group, *test;

    root = load(dir, name, &file);

    if (root == NULL) {
        return;
    }

    n = 0;

    for (group = ngx_pulse_json_get(root, "testGroups")->children;
         group != NULL;
         group = group->next)
    {
        for (test = ngx_pulse_json_get(group, "tests")->children;
             test != NULL;
             test = test->next)
        {
            unit_case("%s, test %.*s", name,
                      (int) ngx_pulse_json_get(test, "tcId")->string.len,
                      ngx_pulse_json_get(test, "tcId")->string.data);

            jwk = key(group, test);
            good = test_signature(test, sig, &jwk);

            result = string(test, "result");
            n++;

            /* what is "acceptable" may go either way */

            if (result.data[0] == 'v') {

                check_int(good, test_is_ours(test, sig));

            } else if (result.data[0] == 'i') {
                check_int(good, 0);
            }
        }
    }

    unit_case("%s", name);
    check_int(n, total);
    unit_case(NULL);

    free(file.data);
}


static ngx_uint_t
test_signature(ngx_pulse_json_value_t *test, const char *sig,
    const ngx_str_t *jwk)
{
    ngx_str_t                msg, signature;
    ngx_uint_t               good;
    const char              *reason;
    ngx_pool_t              *keys;
    ngx_pulse_jwk_t          k;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *value;

    keys = unit_pool();

    value = ngx_pulse_json_tree(keys, jwk->data, jwk->len, NULL, &err);
    check(value != NULL);

    msg = bytes(string(test, "msg"));
    signature = bytes(string(test, sig));

    good = (value != NULL
            && ngx_pulse_jwk_read(keys, value, &k, &reason) == NGX_OK
            && ngx_pulse_jwk_verify(&k, &msg, &signature));

    ngx_destroy_pool(keys);

    return good;
}


/* Of the good ones only short secrets and tags cut short are refused. */

static ngx_uint_t
test_is_ours(ngx_pulse_json_value_t *test, const char *sig)
{
    return strcmp(sig, "tag") != 0
           || (string(test, "key").len >= 64 && string(test, "tag").len == 64);
}


static ngx_str_t
key_of_hmac(ngx_pulse_json_value_t *group, ngx_pulse_json_value_t *test)
{
    ngx_str_t  k;

    k = bytes(string(test, "key"));

    return text("{\"kty\":\"oct\",\"k\":\"%s\"}",
                base64url(k.data, k.len).data);
}


static ngx_str_t
key_of_ec(ngx_pulse_json_value_t *group, ngx_pulse_json_value_t *test)
{
    ngx_str_t  point;

    point = bytes(string(ngx_pulse_json_get(group, "publicKey"),
                         "uncompressed"));

    return text("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\","
                "\"y\":\"%s\"}",
                base64url(point.data + 1, 32).data,
                base64url(point.data + 33, 32).data);
}


static ngx_str_t
key_of_ed25519(ngx_pulse_json_value_t *group, ngx_pulse_json_value_t *test)
{
    ngx_str_t  pk;

    pk = bytes(string(ngx_pulse_json_get(group, "publicKey"), "pk"));

    return text("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}",
                base64url(pk.data, pk.len).data);
}


static ngx_str_t
key_of_rsa(ngx_pulse_json_value_t *group, ngx_pulse_json_value_t *test)
{
    ngx_str_t                n, e;
    ngx_pulse_json_value_t  *key;

    key = ngx_pulse_json_get(group, "publicKey");

    n = bytes(string(key, "modulus"));
    e = bytes(string(key, "publicExponent"));

    return text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}",
                base64url(n.data, n.len).data, base64url(e.data, e.len).data);
}


static void
test_key_sets(const char *dir)
{
    ngx_str_t                file, set, jws, name, result;
    ngx_uint_t               n, good, private, sha512;
    ngx_pulse_json_value_t  *root, *group, *test, *keys;

    root = load(dir, "json_web_key_test", &file);

    if (root == NULL) {
        return;
    }

    n = 0;

    for (group = ngx_pulse_json_get(root, "testGroups")->children;
         group != NULL;
         group = group->next)
    {
        keys = ngx_pulse_json_get(group, "public");
        private = (keys == NULL);

        if (private) {
            keys = ngx_pulse_json_get(group, "private");
        }

        set = part(&file, keys);

        for (test = ngx_pulse_json_get(group, "tests")->children;
             test != NULL;
             test = test->next)
        {
            unit_case("key set, test %.*s",
                      (int) ngx_pulse_json_get(test, "tcId")->string.len,
                      ngx_pulse_json_get(test, "tcId")->string.data);

            jws = string(test, "jws");
            result = string(test, "result");
            good = test_key_set(&set, private, &jws);

            /* HS384 and HS512 are none of ours */

            name = string(group, "comment");
            sha512 = strcmp((char *) name.data, "HS384") == 0
                     || strcmp((char *) name.data, "HS512") == 0;

            check_int(good, result.data[0] == 'v' && !sha512);
            n++;
        }
    }

    unit_case("key sets");
    check_int(n, 26);
    unit_case(NULL);

    free(file.data);
}


/* The payload is no claims set: only the signature is looked at. */

static ngx_uint_t
test_key_set(ngx_str_t *set, ngx_uint_t private, ngx_str_t *jws)
{
    u_char                  *dot;
    size_t                   len;
    ngx_str_t                input, signature, header, kid;
    ngx_pulse_jwk_t         *key;
    ngx_pulse_jwks_t        *jwks;
    ngx_pulse_json_value_t  *root;
    ngx_pulse_json_error_t   err;
    ngx_pulse_jwks_error_t   jwks_err;

    jwks = private ? ngx_pulse_jwks_ring(pool, set, &jwks_err)
                   : ngx_pulse_jwks_foreign(pool, set, &jwks_err);

    if (jwks == NULL) {
        return 0;
    }

    dot = (u_char *) strchr((char *) jws->data, '.');
    header.data = ngx_pnalloc(pool, jws->len);
    input.data = jws->data;
    input.len = dot - jws->data;

    if (ngx_pulse_base64url_decode(header.data, &header.len, &input)
        != NGX_OK)
    {
        return 0;
    }

    root = ngx_pulse_json_tree(pool, header.data, header.len, NULL, &err);
    header = string(root, "alg");
    kid = string(root, "kid");

    key = ngx_pulse_jwks_find(jwks, &kid, ngx_pulse_jwk_alg(&header));

    if (key == NULL) {
        return 0;
    }

    dot = (u_char *) strrchr((char *) jws->data, '.');
    input.len = dot - jws->data;
    signature.data = dot + 1;
    signature.len = jws->data + jws->len - dot - 1;

    header.data = ngx_pnalloc(pool, signature.len + 1);

    if (ngx_pulse_base64url_decode(header.data, &len, &signature) != NGX_OK) {
        return 0;
    }

    signature.data = header.data;
    signature.len = len;

    return ngx_pulse_jwk_verify(key, &input, &signature);
}


static void
test_cookbook(const char *dir, const char *name, ngx_uint_t supported)
{
    u_char                   sig[1024];
    size_t                   len;
    ngx_str_t                file, input, encoded, compact;
    ngx_int_t                rc;
    const char              *reason;
    ngx_pulse_buf_t          b;
    ngx_pulse_jwk_t          key;
    ngx_pulse_jwt_t          jwt;
    ngx_pulse_json_value_t  *root, *signing, *value;

    root = load(dir, name, &file);

    if (root == NULL) {
        return;
    }

    unit_case("%s", name);

    value = ngx_pulse_json_get(ngx_pulse_json_get(root, "input"), "key");
    signing = ngx_pulse_json_get(root, "signing");
    input = string(signing, "sig-input");
    encoded = string(signing, "sig");

    rc = ngx_pulse_jwk_read(pool, value, &key, &reason);

    compact = string(ngx_pulse_json_get(root, "output"), "compact");

    if (!supported) {
        check(rc != NGX_OK
              || ngx_pulse_jwt_parse(pool, &compact, &jwt) != NULL);
        free(file.data);
        unit_case(NULL);
        return;
    }

    check_int(rc, NGX_OK);
    check(ngx_pulse_base64url_decode(sig, &len, &encoded) == NGX_OK);

    encoded.data = sig;
    encoded.len = len;

    check(ngx_pulse_jwk_verify(&key, &input, &encoded));

    /* all three kinds are reproducible */

    ngx_pulse_buf_init(&b, 0);
    check(ngx_pulse_jwk_sign(&key, &input, &b) == NGX_OK);
    check_mem(b.data, b.len, sig, len);
    ngx_pulse_buf_free(&b);

    sig[0] ^= 1;
    check(!ngx_pulse_jwk_verify(&key, &input, &encoded));

    free(file.data);

    unit_case(NULL);
}


/* What is wrong with a file of keys is said, and with which key. */

static void
test_errors(void)
{
    ngx_str_t                s;
    ngx_uint_t               i;
    ngx_pulse_jwks_t        *jwks;
    ngx_pulse_jwks_error_t   err;

    static const char  *k = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";

    static const struct {
        const char  *text;
        ngx_int_t    index;
    } bad[] = {
        { "", -1 },
        { "{", -1 },
        { "[]", -1 },
        { "{}", -1 },
        { "{\"keys\":{}}", -1 },
        { "{\"keys\":[]}", -1 },
        { "{\"keys\":[1]}", 0 },
        { "{\"keys\":[{}]}", 0 },
        { "{\"keys\":[{\"kty\":1}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAA=\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":1}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"kid\":1}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"kid\":\"\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"use\":\"enc\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"use\":1}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"key_ops\":[]}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\","
          "\"key_ops\":[\"encrypt\"]}]}", 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"alg\":\"HS512\"}]}",
          0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"alg\":\"RS256\"}]}",
          0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\",\"alg\":null}]}", 0 },
        { "{\"keys\":[{\"kty\":\"RSA\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\","
          "\"y\":\"AA\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\"}]}", 0 },
        { "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}",
          0 },
        { "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}]}",
          0 }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i].text);

        s = text(bad[i].text, k);

        err.index = -2;
        err.reason = NULL;

        check(ngx_pulse_jwks_ring(pool, &s, &err) == NULL);
        check_int(err.index, bad[i].index);
        check(err.reason != NULL);

        check(ngx_pulse_jwks_foreign(pool, &s, &err) == NULL);
    }

    unit_case("the second key");
    s = text("{\"keys\":[{\"kty\":\"oct\",\"k\":\"%s\"},{\"kty\":\"EC\"}]}",
             k);
    check(ngx_pulse_jwks_ring(pool, &s, &err) == NULL);
    check_int(err.index, 1);

    unit_case("a foreign set passes over what it does not know");
    jwks = ngx_pulse_jwks_foreign(pool, &s, &err);
    check(jwks != NULL && jwks->nkeys == 1 && jwks->signer == NULL);

    unit_case("a ring takes none that cannot sign");
    s = text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
             "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    check(ngx_pulse_jwks_ring(pool, &s, &err) == NULL);
    check(ngx_pulse_jwks_foreign(pool, &s, &err) != NULL);

    unit_case("\"d\" of another key");
    s = text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
             "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"d\":\"%s\"}"
             "]}", k);
    check(ngx_pulse_jwks_ring(pool, &s, &err) == NULL);

    unit_case(NULL);
}


/* --- helpers */

static ngx_pulse_json_value_t *
load(const char *dir, const char *name, ngx_str_t *file)
{
    ngx_str_t                path;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root;

    static const ngx_pulse_json_limits_t  limits = {
        1 << 20, 32, 1 << 20, 65536
    };

    path = text("%s/%s.json", dir, name);
    *file = unit_file((char *) path.data);

    unit_case("%s", path.data);
    check(file->data != NULL);

    root = (file->data != NULL)
           ? ngx_pulse_json_tree(pool, file->data, file->len, &limits, &err)
           : NULL;

    check(root != NULL);
    unit_case(NULL);

    return root;
}


/* NUL terminated: hexadecimal digits, base64url and words. */

static ngx_str_t
string(ngx_pulse_json_value_t *v, const char *key)
{
    ngx_str_t                s;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&s);

    member = ngx_pulse_json_get(v, key);

    if (member != NULL) {
        s = text("%.*s", (int) member->string.len,
                 (char *) member->string.data);
    }

    return s;
}


static ngx_str_t
part(ngx_str_t *file, ngx_pulse_json_value_t *v)
{
    ngx_str_t  s;

    s.data = file->data + v->start;
    s.len = v->end - v->start;

    return s;
}


static ngx_str_t
bytes(ngx_str_t hex)
{
    size_t     i;
    ngx_str_t  s;
    unsigned   n;

    s.data = ngx_pnalloc(pool, hex.len / 2 + 1);
    s.len = hex.len / 2;

    for (i = 0; i < s.len; i++) {
        (void) sscanf((char *) hex.data + 2 * i, "%2x", &n);
        s.data[i] = (u_char) n;
    }

    return s;
}


static ngx_str_t
base64url(const u_char *p, size_t len)
{
    ngx_str_t  s;

    s.data = ngx_pnalloc(pool, ngx_pulse_base64url_encoded(len) + 1);
    s.len = ngx_pulse_base64url_encode(s.data, p, len) - s.data;
    s.data[s.len] = '\0';

    return s;
}


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
