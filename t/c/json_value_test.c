
#include "unit.h"
#include "ngx_pulse_json.h"
#include "ngx_pulse_json_string.h"


typedef struct {
    const char  *text;
    ngx_uint_t   count;
    ngx_uint_t   stop;                      /* events, then NGX_DONE */
    ngx_int_t    rc;
    char         log[4096];
} seen_t;


/* strings as they are to be read, one after the other */

typedef struct {
    const char       *text;
    ngx_pulse_buf_t   decoded;
    size_t            ends[64];             /* of each, in "decoded" */
    ngx_uint_t        n;
} strings_t;


static void test_plain(void);
static void test_escapes(void);
static void test_events(void);
static void test_stops(void);
static void test_path(void);
static void test_tree(void);
static void test_spans(void);
static void test_pointer(void);
static void test_int(void);
static void test_memory(void);
static void test_vectors(void);
static void test_long(void);

static ngx_int_t note(void *ctx, ngx_pulse_json_event_t *ev);
static ngx_int_t stop(void *ctx, ngx_pulse_json_event_t *ev);
static ngx_int_t note_path(void *ctx, ngx_pulse_json_event_t *ev);
static void check_span(ngx_pulse_json_value_t *v, const char *text);
static ngx_int_t compare(void *ctx, ngx_pulse_json_event_t *ev);


int
main(void)
{
    test_plain();
    test_escapes();
    test_events();
    test_stops();
    test_path();
    test_tree();
    test_spans();
    test_pointer();
    test_int();
    test_memory();
    test_vectors();
    test_long();

    return unit_done();
}


/* each byte at each place around the ends of what is looked at as one */

static void
test_plain(void)
{
    size_t      len, at;
    u_char      text[50];
    ngx_uint_t  ch, ends;

    for (ch = 0; ch < 256; ch++) {
        ends = (ch < ' ' || ch == '"' || ch == '\\');

        for (len = 0; len < sizeof(text); len++) {
            for (at = 0; at < len; at++) {
                ngx_memset(text, 'a', sizeof(text));
                text[at] = (u_char) ch;
                text[len] = '"';

                unit_case("\\x%x at %d of %d", (int) ch, (int) at, (int) len);
                check_int(ngx_pulse_json_plain(text, text + len) - text,
                          ends ? at : len);
            }
        }
    }
}


static void
test_escapes(void)
{
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    static const char  text[] = "\"\\u0041\\u00e9\\u0633\\u20ac\\ud83d\\ude00"
                                "\\\"\\\\\\/\\b\\f\\n\\r\\t plain \\\\\\\\\"";

    pool = unit_pool();

    v = ngx_pulse_json_tree(pool, (u_char *) text, sizeof(text) - 1, NULL,
                            &err);

    check(v != NULL);
    check_str(&v->string, "A\xc3\xa9\xd8\xb3\xe2\x82\xac\xf0\x9f\x98\x80"
                          "\"\\/\b\f\n\r\t plain \\\\");
    check_int(v->start, 0);
    check_int(v->end, sizeof(text) - 1);

    ngx_destroy_pool(pool);
}


static void
test_events(void)
{
    seen_t                  seen;
    ngx_pulse_json_error_t  err;

    static const char  text[] = " {\"a\" : [ 1.50,\t\"x\\ny\" ,true] , "
                                "\"\\u0062\":{\"c\":null},\"d\":false}  ";

    seen.text = text;
    seen.log[0] = '\0';

    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, NULL,
                                  note, &seen, &err),
              NGX_OK);

    /* type depth index key=string [value's bytes] (bytes from its key) */

    check_text(seen.log,
        "4 0 0 -= [{] ({)\n"
        "5 1 0 a= [[] (\"a\" : [)\n"
        "2 2 0 -=1.50 [1.50] (1.50)\n"
        "3 2 1 -=x\ny [\"x\\ny\"] (\"x\\ny\")\n"
        "1 2 2 -= [true] (true) true\n"
        "7 1 0 a= [[ 1.50,\t\"x\\ny\" ,true]]"
        " (\"a\" : [ 1.50,\t\"x\\ny\" ,true])\n"
        "4 1 1 b= [{] (\"\\u0062\":{)\n"
        "0 2 0 c= [null] (\"c\":null)\n"
        "6 1 1 b= [{\"c\":null}] (\"\\u0062\":{\"c\":null})\n"
        "1 1 2 d= [false] (\"d\":false)\n"
        "6 0 0 -= [{\"a\" : [ 1.50,\t\"x\\ny\" ,true] , "
        "\"\\u0062\":{\"c\":null},\"d\":false}]"
        " ({\"a\" : [ 1.50,\t\"x\\ny\" ,true] , "
        "\"\\u0062\":{\"c\":null},\"d\":false})\n");

    /* a number that ends the text becomes a token only at its end */

    seen.text = "  -12.5e3";
    seen.log[0] = '\0';

    check_int(ngx_pulse_json_read((u_char *) seen.text, 9, NULL, note, &seen,
                                  &err),
              NGX_OK);
    check_text(seen.log, "2 0 0 -=-12.5e3 [-12.5e3] (-12.5e3)\n");
}


static ngx_int_t
note(void *ctx, ngx_pulse_json_event_t *ev)
{
    char       *p, *last;
    seen_t     *seen = ctx;
    ngx_str_t   key;

    p = seen->log + strlen(seen->log);
    last = seen->log + sizeof(seen->log);

    key = ev->key;

    if (key.data == NULL) {
        key.data = (u_char *) "-";
        key.len = 1;
    }

    (void) snprintf(p, last - p, "%lu %lu %lu %.*s=%.*s [%.*s] (%.*s)%s\n",
                    (unsigned long) ev->type, (unsigned long) ev->depth,
                    (unsigned long) ev->index, (int) key.len, key.data,
                    (int) ev->string.len,
                    ev->string.data ? (char *) ev->string.data : "",
                    (int) (ev->end - ev->start), seen->text + ev->start,
                    (int) (ev->end - ev->key_start),
                    seen->text + ev->key_start, ev->boolean ? " true" : "");

    return NGX_OK;
}


static void
test_stops(void)
{
    seen_t                  seen;
    ngx_pulse_json_error_t  err;

    static const char  text[] = "[1,2,3,x";

    seen.count = 0;
    seen.stop = 3;
    seen.rc = NGX_DONE;

    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, NULL,
                                  stop, &seen, &err),
              NGX_DONE);
    check_int(seen.count, 3);
    check(err.reason == NULL);

    seen.count = 0;
    seen.rc = NGX_ERROR;

    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, NULL,
                                  stop, &seen, &err),
              NGX_ABORT);
    check_int(seen.count, 3);
}


static ngx_int_t
stop(void *ctx, ngx_pulse_json_event_t *ev)
{
    seen_t *seen = ctx;

    return (++seen->count == seen->stop) ? seen->rc : NGX_OK;
}


/* Names of the path stay right while those of escaped keys move in memory. */

static void
test_path(void)
{
    seen_t                   seen;
    ngx_uint_t               i;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"\\u0061\":[{\"b\":{\"\\u0063\":{");

    for (i = 0; i < 900; i++) {

        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_pulse_buf_literal(&b, "\"\\u0064-");
        ngx_pulse_buf_int(&b, i);
        ngx_pulse_buf_literal(&b, "\":[0]");
    }

    ngx_pulse_buf_literal(&b, "}}}]}");

    seen.count = 0;
    seen.stop = 0;

    check_int(ngx_pulse_json_read(b.data, b.len, NULL, note_path, &seen,
                                  &err),
              NGX_OK);
    check_int(seen.count, 900);

    ngx_pulse_buf_free(&b);
}


static ngx_int_t
note_path(void *ctx, ngx_pulse_json_event_t *ev)
{
    int      n;
    char     last[16];
    seen_t  *seen = ctx;

    if (ev->type != NGX_PULSE_JSON_NUMBER) {
        return NGX_OK;
    }

    n = snprintf(last, sizeof(last), "d-%lu", (unsigned long) seen->count++);

    if (ev->depth != 6
        || ev->path[0].len != 1 || ev->path[0].data[0] != 'a'
        || ev->path[1].data != NULL
        || ev->path[2].len != 1 || ev->path[2].data[0] != 'b'
        || ev->path[3].len != 1 || ev->path[3].data[0] != 'c'
        || ev->path[4].len != (size_t) n
        || memcmp(ev->path[4].data, last, n) != 0
        || ev->path[5].data != NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
test_tree(void)
{
    char                    *text;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root, *v;

    static const char  source[] = "{\"model\":\"a-b\",\"n\":3,\"on\":true,"
        "\"list\":[{\"x\":\"\\u0041\"},[],null],\"e\\u0078\":{}}";

    pool = unit_pool();

    text = malloc(sizeof(source) - 1);
    memcpy(text, source, sizeof(source) - 1);

    root = ngx_pulse_json_tree(pool, (u_char *) text, sizeof(source) - 1,
                               NULL, &err);

    /* nothing of the tree is in the input */

    memset(text, '#', sizeof(source) - 1);
    free(text);

    check(root != NULL);
    check_int(root->type, NGX_PULSE_JSON_OBJECT);
    check_int(root->nelts, 5);
    check(root->parent == NULL && root->next == NULL);
    check(root->key.data == NULL);

    v = ngx_pulse_json_get(root, "model");
    check(v != NULL && v->parent == root);
    check_int(v->type, NGX_PULSE_JSON_STRING);
    check_str(&v->string, "a-b");
    check_str(&v->key, "model");

    v = ngx_pulse_json_get(root, "n");
    check_int(v->type, NGX_PULSE_JSON_NUMBER);
    check_str(&v->string, "3");

    v = ngx_pulse_json_get(root, "on");
    check_int(v->type, NGX_PULSE_JSON_BOOL);
    check_int(v->boolean, 1);

    check(ngx_pulse_json_get(root, "ex") != NULL);
    check(ngx_pulse_json_get(root, "mode") == NULL);
    check(ngx_pulse_json_get(root, "model ") == NULL);
    check(ngx_pulse_json_get(v, "on") == NULL);
    check(ngx_pulse_json_get(NULL, "on") == NULL);

    v = ngx_pulse_json_get(root, "list");
    check_int(v->type, NGX_PULSE_JSON_ARRAY);
    check_int(v->nelts, 3);

    v = v->children;
    check(v->key.data == NULL);
    check_str(&ngx_pulse_json_get(v, "x")->string, "A");

    v = v->next;
    check(v->type == NGX_PULSE_JSON_ARRAY && v->children == NULL);
    check_int(v->next->type, NGX_PULSE_JSON_NULL);
    check(v->next->next == NULL);

    ngx_destroy_pool(pool);
}


/* What a span cuts out is the value. */

static void
test_spans(void)
{
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root, *v;

    static const char  text[] = " [ 12 ,\"a\\\"b\\\\\" ,{ \"k\" : -1.0 } , [ ],"
                                "true,false , null,\"\\u0022\\\\\",\"\"] ";

    static const char  *spans[] = {
        "12", "\"a\\\"b\\\\\"", "{ \"k\" : -1.0 }", "[ ]", "true", "false",
        "null", "\"\\u0022\\\\\"", "\"\""
    };

    ngx_uint_t  i;

    pool = unit_pool();

    root = ngx_pulse_json_tree(pool, (u_char *) text, sizeof(text) - 1, NULL,
                               &err);
    check(root != NULL);
    check_int(root->start, 1);
    check_int(root->end, sizeof(text) - 2);

    i = 0;

    for (v = root->children; v != NULL; v = v->next) {
        check_mem(text + v->start, v->end - v->start, spans[i],
                  strlen(spans[i]));
        check_span(v, text);
        i++;
    }

    check_int(i, sizeof(spans) / sizeof(spans[0]));

    ngx_destroy_pool(pool);
}


static void
check_span(ngx_pulse_json_value_t *v, const char *text)
{
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *again;

    pool = unit_pool();

    again = ngx_pulse_json_tree(pool, (u_char *) text + v->start,
                                v->end - v->start, NULL, &err);

    check(again != NULL && again->type == v->type);
    check_mem(again->string.data, again->string.len, v->string.data,
              v->string.len);

    ngx_destroy_pool(pool);
}


static void
test_pointer(void)
{
    ngx_pool_t              *pool;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root, *v;

    static const char  text[] = "{\"a/b\":[0,{\"m~n\":{\"\":1}}]}";

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);

    root = ngx_pulse_json_tree(pool, (u_char *) text, sizeof(text) - 1, NULL,
                               &err);

    ngx_pulse_json_pointer(root, NULL, &b);
    check_int(b.len, 0);

    ngx_pulse_json_pointer(root, "x/y", &b);
    check_str(&b, "/x~1y");

    v = ngx_pulse_json_get(root, "a/b")->children->next;

    b.len = 0;
    ngx_pulse_json_pointer(v, NULL, &b);
    check_str(&b, "/a~1b/1");

    v = ngx_pulse_json_get(v, "m~n");

    b.len = 0;
    ngx_pulse_json_pointer(v, "k", &b);
    check_str(&b, "/a~1b/1/m~0n/k");

    b.len = 0;
    ngx_pulse_json_pointer(v->children, NULL, &b);
    check_str(&b, "/a~1b/1/m~0n/");

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_int(void)
{
    int64_t     n;
    ngx_str_t   s;
    ngx_uint_t  i;

    static const struct {
        const char  *text;
        ngx_int_t    rc;
        int64_t      n;
    } cases[] = {
        { "0", NGX_OK, 0 },
        { "-0", NGX_OK, 0 },
        { "42", NGX_OK, 42 },
        { "-42", NGX_OK, -42 },
        { "9223372036854775807", NGX_OK, INT64_MAX },
        { "-9223372036854775808", NGX_OK, INT64_MIN },
        { "9223372036854775808", NGX_ERROR, 0 },
        { "-9223372036854775809", NGX_ERROR, 0 },
        { "92233720368547758070", NGX_ERROR, 0 },
        { "18446744073709551617", NGX_ERROR, 0 },
        { "1.0", NGX_ERROR, 0 },
        { "1e3", NGX_ERROR, 0 },
        { "", NGX_ERROR, 0 },
        { "-", NGX_ERROR, 0 },
        { "1 ", NGX_ERROR, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("int %s", cases[i].text);

        s.data = (u_char *) cases[i].text;
        s.len = strlen(cases[i].text);
        n = 7;

        check_int(ngx_pulse_json_int(&s, &n), cases[i].rc);
        check_int(n, (cases[i].rc == NGX_OK) ? cases[i].n : 7);
    }

    unit_case(NULL);
}


static void
test_memory(void)
{
    ngx_int_t                i, made;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root;

    static const char  text[] = "{\"a\":[1,\"\\n\"],\"\\u0062\":{}}";

    made = 0;

    for (i = 1; i < 20; i++) {
        pool = unit_pool();

        unit_fail_allocation(i);
        root = ngx_pulse_json_tree(pool, (u_char *) text, sizeof(text) - 1,
                                   NULL, &err);
        unit_fail_allocation(0);

        if (root == NULL) {
            check_text(err.reason, "no memory");

        } else {
            made++;
        }

        ngx_destroy_pool(pool);
    }

    /* five values, the copy of the input and two decoded strings */

    check_int(made, 19 - 8);
}


/* Every recorded body of a provider is read, and its tree has what it has. */

static void
test_vectors(void)
{
    char                     name[512];
    ngx_str_t                body;
    ngx_pool_t              *pool;
    const char              *dir;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root;

    static const ngx_pulse_json_limits_t  limits = {
        16 * 1024 * 1024, 32, 1000000, 10000
    };

    dir = unit_shared();

    if (dir == NULL) {
        return;
    }

    (void) snprintf(name, sizeof(name), "%s/data/recordings/expected.json",
                    dir);

    body = unit_file(name);
    check(body.len > 0);

    pool = unit_pool();

    root = ngx_pulse_json_tree(pool, body.data, body.len, &limits, &err);
    check(root != NULL && root->nelts > 0);

    ngx_destroy_pool(pool);
    free(body.data);
}


/* what yajl is not shown is there nevertheless, whatever stands around it */

static void
test_long(void)
{
    size_t                   i;
    uint64_t                 seed;
    ngx_int_t                rc;
    ngx_uint_t               k, string;
    strings_t                expected;
    ngx_pulse_buf_t          text;
    ngx_pulse_json_error_t   err;

    static const char  *pieces[][2] = {
        { "x", "x" }, { "\\n", "\n" }, { "\\\"", "\"" }, { "\\\\", "\\" },
        { "\\/", "/" }, { "\\b\\f\\r\\t", "\b\f\r\t" },
        { "\\u0041", "A" }, { "\\u00e9", "\303\251" },
        { "\\u0633", "\330\263" }, { "\\u65e5", "\346\227\245" },
        { "\\ud83d\\ude42", "\360\237\231\202" },
        { "\330\263\331\204", "\330\263\331\204" }, { "[{,:}]", "[{,:}]" }
    };

    seed = 11;

    for (k = 0; k < 400; k++) {
        ngx_memzero(&expected, sizeof(strings_t));
        ngx_pulse_buf_init(&text, 0);
        ngx_pulse_buf_init(&expected.decoded, 0);

        for (string = 0; string < 12; string++) {
            ngx_pulse_buf_literal(&text, "[\"");
            text.data[text.len - 2] = string ? ',' : '[';

            do {
                seed = seed * 6364136223846793005 + 1442695040888963407;
                i = (seed >> 33) % (sizeof(pieces) / sizeof(pieces[0]));

                ngx_pulse_buf_append(&text, (u_char *) pieces[i][0],
                                     strlen(pieces[i][0]));
                ngx_pulse_buf_append(&expected.decoded,
                                     (u_char *) pieces[i][1],
                                     strlen(pieces[i][1]));

                for (i = (seed >> 40) % 300; i < 160; i++) {
                    ngx_pulse_buf_char(&text, 'a' + i % 26);
                    ngx_pulse_buf_char(&expected.decoded, 'a' + i % 26);
                }

            } while ((seed >> 50) % 5);

            ngx_pulse_buf_char(&text, '"');
            expected.ends[string] = expected.decoded.len;
        }

        ngx_pulse_buf_char(&text, ']');

        unit_case("long strings %d", (int) k);

        expected.text = (char *) text.data;
        rc = ngx_pulse_json_read(text.data, text.len, NULL, compare,
                                 &expected, &err);

        check_int(rc, NGX_OK);
        check_int(expected.n, 12);

        ngx_pulse_buf_free(&text);
        ngx_pulse_buf_free(&expected.decoded);
    }

    unit_case(NULL);
}


static ngx_int_t
compare(void *ctx, ngx_pulse_json_event_t *ev)
{
    strings_t *expected = ctx;

    size_t  start;

    if (ev->type != NGX_PULSE_JSON_STRING) {
        return NGX_OK;
    }

    start = expected->n ? expected->ends[expected->n - 1] : 0;

    check_mem(ev->string.data, ev->string.len,
              expected->decoded.data + start,
              expected->ends[expected->n] - start);
    check_int(expected->text[ev->start], '"');
    check_int(expected->text[ev->end - 1], '"');

    expected->n++;

    return NGX_OK;
}
