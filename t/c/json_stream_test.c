
#include "unit.h"
#include "pulse_base64.h"
#include "pulse_json_stream.h"
#include "pulse_pieces.h"

#include <openssl/evp.h>
#include <unistd.h>


/* All that a stream tells, one line each: a value, or all of its pieces put
 * together. */

static ngx_pulse_buf_t  told;


static void test_values(void);
static void test_strings(void);
static void test_paths(void);
static void test_long(void);
static void test_wrong(void);
static void test_base64(void);
static void test_pieces(void);

static ngx_int_t run(const char *text, size_t step);
static void same(const char *text, const char *expected);
static pulse_json_want_e wanted(void *ctx, const char *path);
static ngx_int_t value(void *ctx, const char *path, const ngx_str_t *text);
static ngx_int_t piece(void *ctx, const char *path, const u_char *p,
    size_t len);
static ssize_t decode(const char *text, size_t step, u_char *out);


static const pulse_json_stream_pt  handlers = { wanted, value, piece };


int
main(void)
{
    test_values();
    test_strings();
    test_paths();
    test_long();
    test_wrong();
    test_base64();
    test_pieces();

    ngx_pulse_buf_free(&told);

    return unit_done();
}


static void
test_values(void)
{
    same("{\"created\": 1787150086, \"data\": [{\"b64_json\": \"QUJD\"},"
         " {\"b64_json\":\"\"}], \"usage\": {\"total\":-1.5e+3},\r\n"
         " \"a\":null, \"b\":true, \"skip\":\"me\", \"c\":[], \"d\":{}}",
         "created=1787150086\ndata.0.b64_json:QUJD\ndata.1.b64_json:\n"
         "usage.total=-1.5e+3\na=null\nb=true\n");

    same("[[1,[2]],3]", "0.0=1\n0.1.0=2\n1=3\n");
    same(" 12 ", "=12\n");
    same("12", "=12\n");
    same("\"text\"", "=text\n");

    /* a recorded body has a key twice */

    same("{\"model\":\"a\",\"model\":\"b\"}", "model=a\nmodel=b\n");
}


static void
test_strings(void)
{
    same("{\"k\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "k=\"\\/\b\f\n\r\t\n");
    same("{\"k\":\"\\u0041\\u00e9\\u0645\\uD83D\\uDE00\"}",
         "k=A\xc3\xa9\xd9\x85\xf0\x9f\x98\x80\n");

    /* lone surrogates, of either kind */

    same("{\"k\":\"\\ud83dx\\ude00\\ud83d\\ud83d\\n\"}",
         "k=\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n\n");
    same("{\"k\":\"\\ud83d\"}", "k=\xef\xbf\xbd\n");

    same("{\"b64_json\":\"QU\\/D\\n\"}", "b64_json:QU/D\n\n");
    same("{\"k\\u0031\":1}", "k1=1\n");
}


static void
test_paths(void)
{
    char        text[1024], key[300], expected[1024];
    ngx_uint_t  i;

    memset(key, 'k', sizeof(key));
    key[299] = '\0';

    snprintf(text, sizeof(text), "{\"%s\":{\"a\":1},\"b\":2}", key);
    same(text, "?.a=1\nb=2\n");

    snprintf(text, sizeof(text), "{\"%.256s\":1}", key);
    snprintf(expected, sizeof(expected), "?=1\n");
    same(text, expected);

    snprintf(text, sizeof(text), "{\"%.255s\":{\"b\":[1,{\"c\":2}]}}", key);
    snprintf(expected, sizeof(expected), "%.255s=1\n%.255s=2\n", key, key);
    same(text, expected);

    same("{\"a\\u0000b\":1}", "?=1\n");

    for (i = 0; i < 33; i++) {
        text[i] = '[';
    }

    text[33] = '\0';

    check_int(run(text, 1), NGX_ERROR);

    text[32] = '\0';
    check_int(run(text, 1), NGX_DECLINED);

    memset(text + 32, ']', 32);
    text[64] = '\0';
    check_int(run(text, 7), NGX_OK);
}


/* What is kept is cut, what is passed is not. */

static void
test_long(void)
{
    char  *text;

    text = malloc(40000);

    sprintf(text, "{\"k\":\"%020000d\",\"b64_json\":\"%010000d\"}", 1, 2);

    check_int(run(text, 1000), NGX_OK);
    check_int(told.len, 2 + PULSE_JSON_STREAM_KEEP + 1 + 9 + 10000 + 1);

    free(text);
}


static void
test_wrong(void)
{
    size_t       step;
    ngx_uint_t   i;

    static const char  *texts[] = {
        "", " ", "{", "[", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
        "{\"a\":1,}", "[1,", "[1,]", "{,}", "{1:2}", "{\"a\" 1}", "]", "}",
        "{]", "[}", "[1}", "{\"a\":1]", "1 2", "{} x", "\"a", "\"a\n\"",
        "\"\\x\"", "\"\\u12g4\"", "\"\\u12", "\"\\", "'a'", "[\"a\" \"b\"]",
        "<html>", "\"\\\0\"", NULL
    };

    for (i = 0; texts[i]; i++) {
        unit_case("%s", texts[i]);

        for (step = 1; step < 20; step += 9) {
            check(run(texts[i], step) != NGX_OK);
        }
    }

    unit_case(NULL);
}


static void
test_base64(void)
{
    size_t       step;
    u_char       out[256], all[256], back[512];
    ssize_t      n;
    ngx_uint_t   i, len;

    static const char  *wrong[] = {
        "A", "QUJDR", "QQ=", "QQ=x", "QQ===", "=", "Q===", "QUJD=", "QU JD",
        "QU-_", "QUI=QUI=", "QQ==\nA", NULL
    };

    for (i = 0; i < 256; i++) {
        all[i] = i * 7;
    }

    for (len = 0; len < 200; len++) {
        back[0] = '\0';
        EVP_EncodeBlock(back, all, len);

        for (step = 1; step < 6; step++) {
            n = decode((char *) back, step, out);

            check_int(n, len);
            check_mem(out, n, all, len);
        }
    }

    check_int(decode("QQ", 1, out), 1);
    check_int(decode("QU\r\nI=\n", 1, out), 2);
    check_mem(out, 2, "AB", 2);

    for (i = 0; wrong[i]; i++) {
        unit_case("%s", wrong[i]);
        check_int(decode(wrong[i], 1, out), NGX_ERROR);
        check_int(decode(wrong[i], 16, out), NGX_ERROR);
    }

    unit_case(NULL);
}


static void
test_pieces(void)
{
    int              fd;
    char             name[] = "/tmp/pulse-pieces.XXXXXX";
    size_t           size, len;
    u_char          *raw, *text, *expected;
    ssize_t          n;
    pulse_pieces_t  *p;

    raw = malloc(10001);
    text = malloc(40000);
    expected = malloc(40000);
    p = malloc(sizeof(pulse_pieces_t));

    for (len = 0; len < 10001; len++) {
        raw[len] = len * 13;
    }

    fd = mkstemp(name);
    unlink(name);

    check_int(write(fd, raw, 10001), 10001);

    pulse_pieces_init(p);
    pulse_pieces_literal(p, "{\"a\":\"");
    pulse_pieces_file(p, fd, 10001, 1);
    pulse_pieces_literal(p, "\",\"b\":\"");
    pulse_pieces_file(p, fd, 5, 0);
    pulse_pieces_literal(p, "");
    pulse_pieces_literal(p, "\"}");

    len = sprintf((char *) expected, "{\"a\":\"");
    len += EVP_EncodeBlock(expected + len, raw, 10001);
    len += sprintf((char *) expected + len, "\",\"b\":\"");
    memcpy(expected + len, raw, 5);
    len += 5;
    len += sprintf((char *) expected + len, "\"}");

    check_int(p->length, len);

    for (size = 1; size < 20000; size = size * 3 + 1) {
        pulse_pieces_rewind(p);

        len = 0;

        do {
            n = pulse_pieces_read(p, text + len, size);
            len += (n > 0) ? n : 0;
        } while (n > 0);

        check_int(n, 0);
        check_mem(text, len, expected, p->length);
    }

    /* a file that is shorter than was said */

    check_int(ftruncate(fd, 100), 0);
    pulse_pieces_rewind(p);

    do {
        n = pulse_pieces_read(p, text, 1000);
    } while (n > 0);

    check_int(n, NGX_ERROR);

    close(fd);
    free(raw);
    free(text);
    free(expected);
    free(p);
}


/* NGX_DECLINED: it is not whole. */

static ngx_int_t
run(const char *text, size_t step)
{
    size_t                len, n;
    ngx_int_t             rc;
    pulse_json_stream_t  *s;

    s = malloc(sizeof(pulse_json_stream_t));

    told.len = 0;
    len = strlen(text);
    rc = NGX_OK;

    pulse_json_stream_init(s, &handlers, NULL);

    for ( /* void */ ; len && rc == NGX_OK; text += n, len -= n) {
        n = ngx_min(step, len);
        rc = pulse_json_stream_feed(s, (u_char *) text, n);
    }

    if (rc == NGX_OK && pulse_json_stream_end(s) != NGX_OK) {
        rc = NGX_DECLINED;
    }

    pulse_json_stream_free(s);
    free(s);

    return rc;
}


static void
same(const char *text, const char *expected)
{
    size_t  step;

    unit_case("%s", text);

    for (step = 1; step <= strlen(text) + 1; step++) {
        check_int(run(text, step), NGX_OK);
        check_mem(told.data, told.len, expected, strlen(expected));
    }

    unit_case(NULL);
}


static pulse_json_want_e
wanted(void *ctx, const char *path)
{
    size_t  len;

    len = strlen(path);

    if (len >= 8 && strcmp(path + len - 8, "b64_json") == 0) {
        ngx_pulse_buf_append(&told, (u_char *) path, len);
        ngx_pulse_buf_char(&told, ':');
        return PULSE_JSON_PASS;
    }

    return strcmp(path, "skip") == 0 ? PULSE_JSON_SKIP : PULSE_JSON_KEEP;
}


static ngx_int_t
value(void *ctx, const char *path, const ngx_str_t *text)
{
    ngx_pulse_buf_append(&told, (u_char *) path, strlen(path));
    ngx_pulse_buf_char(&told, '=');
    ngx_pulse_buf_str(&told, text);
    ngx_pulse_buf_char(&told, '\n');

    return NGX_OK;
}


static ngx_int_t
piece(void *ctx, const char *path, const u_char *p, size_t len)
{
    if (len) {
        ngx_pulse_buf_append(&told, p, len);

    } else {
        ngx_pulse_buf_char(&told, '\n');
    }

    return NGX_OK;
}


static ssize_t
decode(const char *text, size_t step, u_char *out)
{
    size_t          len, n;
    u_char         *start;
    ssize_t         rc;
    pulse_base64_t  b;

    pulse_base64_init(&b);

    start = out;

    for (len = strlen(text); len; text += n, len -= n) {
        n = ngx_min(step, len);
        rc = pulse_base64_decode(&b, (u_char *) text, n, out);

        if (rc < 0) {
            return rc;
        }

        out += rc;
    }

    rc = pulse_base64_end(&b, out);

    return (rc < 0) ? rc : out + rc - start;
}
