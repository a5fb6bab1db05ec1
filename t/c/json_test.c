
#include "unit.h"
#include "ngx_pulse_json.h"


#define TEXT(s)  s, sizeof(s) - 1


typedef struct {
    const char  *text;
    size_t       len;
    size_t       offset;                    /* where it is refused */
} bad_t;


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


static void test_good(void);
static void test_bad(void);
static void test_escapes(void);
static void test_duplicates(void);
static void test_many_keys(void);
static void test_limits(void);
static void test_events(void);
static void test_stops(void);
static void test_path(void);
static void test_tree(void);
static void test_spans(void);
static void test_pointer(void);
static void test_int(void);
static void test_utf8(void);
static void test_memory(void);
static void test_vectors(void);
static void test_long(void);
static void test_long_names(void);
static void test_long_bad(void);

static ngx_int_t read_text(const char *text, size_t len,
    ngx_pulse_json_error_t *err);
static ngx_int_t compare(void *ctx, ngx_pulse_json_event_t *ev);
static ngx_int_t ignore(void *ctx, ngx_pulse_json_event_t *ev);
static ngx_int_t note(void *ctx, ngx_pulse_json_event_t *ev);
static ngx_int_t stop(void *ctx, ngx_pulse_json_event_t *ev);
static ngx_int_t note_path(void *ctx, ngx_pulse_json_event_t *ev);
static void check_span(ngx_pulse_json_value_t *v, const char *text);


int
main(void)
{
    test_good();
    test_bad();
    test_escapes();
    test_duplicates();
    test_many_keys();
    test_limits();
    test_events();
    test_stops();
    test_path();
    test_tree();
    test_spans();
    test_pointer();
    test_int();
    test_utf8();
    test_memory();
    test_vectors();
    test_long();
    test_long_names();
    test_long_bad();

    return unit_done();
}


static void
test_good(void)
{
    ngx_uint_t              i;
    ngx_pulse_json_error_t  err;

    static const char  *texts[] = {
        "null", "true", "false", "0", "-0", "12", "-1.5e+10", "\"\"", "[]",
        "{}", " \t\r\n[ ] \n", "[[[[]]]]", "{\"\":1}", "{\"a\":{\"a\":1}}",
        "[1e400,123456789012345678901234567890]", "\"\xf4\x8f\xbf\xbf\"",
        "\"\\u0001\\/\\b\\f\\n\\r\\t\\\\\\\"\"", "\"/* no comment */\"",
        "{\"a\":1,\"A\":2,\"a \":3,\"\\u0061b\":4}"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unit_case("%s", texts[i]);
        check_int(read_text(texts[i], strlen(texts[i]), &err), NGX_OK);
        check(err.reason == NULL);
    }

    unit_case(NULL);
}


static void
test_bad(void)
{
    ngx_uint_t              i;
    ngx_pulse_json_error_t  err;

    static const bad_t  texts[] = {

        /* syntax */

        { TEXT(""), 0 },
        { TEXT("  "), 2 },
        { TEXT("{"), 1 },
        { TEXT("[1,"), 3 },
        { TEXT("\"abc"), 4 },
        { TEXT("{\"a\":1,}"), 8 },
        { TEXT("[1,]"), 4 },
        { TEXT("[1 2]"), 4 },
        { TEXT("{1:2}"), 2 },
        { TEXT("{a:1}"), 1 },
        { TEXT("nul"), 3 },
        { TEXT("nulls"), 4 },
        { TEXT("True"), 0 },
        { TEXT("'a'"), 0 },
        { TEXT("01"), 1 },
        { TEXT("+1"), 0 },
        { TEXT("1."), 2 },
        { TEXT(".5"), 0 },
        { TEXT("-"), 1 },
        { TEXT("1e"), 2 },
        { TEXT("NaN"), 0 },
        { TEXT("]"), 1 },
        { TEXT("\xef\xbb\xbf{}"), 0 },

        /* anything after the value */

        { TEXT("{} {}"), 4 },
        { TEXT("1 2"), 2 },
        { TEXT("[]x"), 2 },
        { TEXT("{}\""), 2 },
        { TEXT("1 \"a"), 2 },
        { TEXT("null\0"), 4 },

        /* comments */

        { TEXT("/* a */ 1"), 1 },
        { TEXT("[1 // a\n]"), 4 },

        /* blanks that are not JSON's */

        { TEXT("[1,\v2]"), 3 },
        { TEXT("\f1"), 0 },
        { TEXT("{\"a\":\v1}"), 5 },
        { TEXT("1\v"), 1 },
        { TEXT("[] \f"), 3 },

        /* strings */

        { TEXT("\"a\nb\""), 2 },
        { TEXT("\"\0\""), 1 },
        { TEXT("\"\\x\""), 3 },
        { TEXT("\"\\u12g4\""), 6 },
        { TEXT("\"\\u0000\""), 1 },
        { TEXT("\"ab\\u0000\""), 3 },
        { TEXT("{\"a\\u0000\":1}"), 3 },

        /* half pairs, at the end and before anything else */

        { TEXT("\"\\ud800\""), 1 },
        { TEXT("\"\\udfff\""), 1 },
        { TEXT("\"x\\ud83dy\""), 2 },
        { TEXT("\"\\ud83d\\n\""), 1 },
        { TEXT("\"\\ud83d\\ud83d\""), 1 },
        { TEXT("\"\\ud83d\\u0041\""), 1 },
        { TEXT("\"\\ude00\\ud83d\""), 1 },
        { TEXT("{\"\\ud83d\":1}"), 2 },

        /* UTF-8, wherever it stands */

        { TEXT("\"\xc0\x80\""), 1 },
        { TEXT("\"a\xff\""), 2 },
        { TEXT("\"\xed\xa0\x80\""), 1 },
        { TEXT("[\xa0]"), 1 }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unit_case("%s", texts[i].text);

        check_int(read_text(texts[i].text, texts[i].len, &err), NGX_ERROR);
        check(err.reason != NULL);
        check(err.offset <= texts[i].len);

        /* the byte itself, or the one before or after it */

        check(err.offset + 1 >= texts[i].offset
              && err.offset <= texts[i].offset + 1);
    }

    unit_case(NULL);
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
test_duplicates(void)
{
    ngx_uint_t              i;
    ngx_pulse_json_error_t  err;

    static const struct {
        const char  *text;
        size_t       offset;
    } texts[] = {
        { "{\"a\":1,\"a\":2}", 7 },
        { "{\"\":1,\"\":2}", 6 },
        { "{\"a\":1,\"\\u0061\":2}", 7 },
        { "{\"\\u0061\":1,\"a\":2}", 12 },
        { "{\"\\u0061b\":1,\"a\\u0062\":2}", 13 },
        { "{\"x\":[{\"y\":1,\"z\":{},\"y\":2}]}", 20 },
        { "{\"a\":{\"b\":1,\"c\":2},\"b\":[{\"a\":1}],\"a\":3}", 33 },
        { "{\"\\u0061\":{\"\\u0061\":{\"\\u0062\":1}},\"\\u0061\":3}", 34 }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unit_case("%s", texts[i].text);

        check_int(read_text(texts[i].text, strlen(texts[i].text), &err),
                  NGX_ERROR);
        check_text(err.reason, "a name stands twice in one object");
        check_int(err.offset, texts[i].offset);
    }

    unit_case(NULL);
}


/* The table of a big object: it grows, and one inside leaves it alone. */

static void
test_many_keys(void)
{
    size_t                   mark;
    ngx_uint_t               i, n, twice;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;

    static const ngx_pulse_json_limits_t  limits = {
        1024 * 1024, 32, 65536, 2000
    };

    ngx_pulse_buf_init(&b, 0);

    for (n = 1; n < 1500; n = n * 3 / 2 + 1) {

        b.len = 0;
        mark = 0;

        for (i = 0; i < n; i++) {
            ngx_pulse_buf_char(&b, i ? ',' : '{');
            ngx_pulse_buf_literal(&b, "\"key-");
            ngx_pulse_buf_int(&b, i);

            /* every third with an escape, every fifth with a table inside */

            if (i % 3 == 0) {
                ngx_pulse_buf_literal(&b, "\\n");
            }

            ngx_pulse_buf_literal(&b, "\":");

            if (i % 5 == 0) {
                ngx_pulse_buf_literal(&b,
                    "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,"
                    "\"g\":0,\"h\":0,\"i\":0,\"\\u006a\":0,\"k\":0}");

            } else {
                ngx_pulse_buf_char(&b, '1');
            }

            mark = b.len;
        }

        ngx_pulse_buf_char(&b, '}');

        unit_case("%lu keys", (unsigned long) n);

        check_int(ngx_pulse_json_read(b.data, b.len, &limits, ignore, NULL,
                                      &err),
                  NGX_OK);

        /* any of them again */

        for (twice = 0; twice < n; twice += n / 7 + 1) {
            b.len = mark;

            ngx_pulse_buf_literal(&b, ",\"\\u006bey-");
            ngx_pulse_buf_int(&b, twice);

            if (twice % 3 == 0) {
                ngx_pulse_buf_literal(&b, "\\n");
            }

            ngx_pulse_buf_literal(&b, "\":1}");

            check_int(ngx_pulse_json_read(b.data, b.len, &limits, ignore,
                                          NULL, &err),
                      NGX_ERROR);
            check_int(err.offset, mark + 1);
        }
    }

    unit_case(NULL);
    ngx_pulse_buf_free(&b);
}


static void
test_limits(void)
{
    u_char                    *deep;
    ngx_pulse_json_error_t     err;
    ngx_pulse_json_limits_t    limits;

    static const char  text[] = "{\"a\":[1,2,{\"b\":null}],\"c\":3}";

    limits.size = sizeof(text) - 1;
    limits.depth = 3;
    limits.values = 7;
    limits.keys = 2;

    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, &limits,
                                  ignore, NULL, &err),
              NGX_OK);

    limits.size--;
    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, &limits,
                                  ignore, NULL, &err),
              NGX_ERROR);
    check_int(err.offset, sizeof(text) - 2);
    limits.size++;

    limits.depth--;
    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, &limits,
                                  ignore, NULL, &err),
              NGX_ERROR);
    check_int(err.offset, 10);
    limits.depth++;

    limits.values--;
    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, &limits,
                                  ignore, NULL, &err),
              NGX_ERROR);
    check_int(err.offset, 26);
    limits.values++;

    limits.keys--;
    check_int(ngx_pulse_json_read((u_char *) text, sizeof(text) - 1, &limits,
                                  ignore, NULL, &err),
              NGX_ERROR);
    check_int(err.offset, 22);

    /* a million brackets: refused at the 33rd, or at the hard limit */

    deep = malloc(1000000);
    memset(deep, '[', 1000000);

    check_int(ngx_pulse_json_read(deep, 1000000, NULL, ignore, NULL, &err),
              NGX_ERROR);
    check_int(err.offset, 32);

    limits.size = 1000000;
    limits.depth = 1000000;
    limits.values = 1000000;

    check_int(ngx_pulse_json_read(deep, 1000000, &limits, ignore, NULL, &err),
              NGX_ERROR);
    check_int(err.offset, NGX_PULSE_JSON_MAX_DEPTH);

    free(deep);
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


/* Each code point there is, and every sequence of up to three bytes. */

static void
test_utf8(void)
{
    size_t      n, bad;
    u_char      s[16];
    uint32_t    ch, valid, last;
    ngx_uint_t  ok;

    valid = 0;

    for (ch = 0x80; ch <= 0x10ffff; ch++) {

        if (ch < 0x800) {
            s[0] = 0xc0 | (ch >> 6);
            n = 1;

        } else if (ch < 0x10000) {
            s[0] = 0xe0 | (ch >> 12);
            s[1] = 0x80 | ((ch >> 6) & 0x3f);
            n = 2;

        } else {
            s[0] = 0xf0 | (ch >> 18);
            s[1] = 0x80 | ((ch >> 12) & 0x3f);
            s[2] = 0x80 | ((ch >> 6) & 0x3f);
            n = 3;
        }

        s[n++] = 0x80 | (ch & 0x3f);

        ok = (ngx_pulse_utf8_check(s, n, &bad) == NGX_OK);

        if (ok != (ch < 0xd800 || ch > 0xdfff)) {
            check_int(ch, -1);
        }

        valid += ok;

        /* cut short */

        if (ngx_pulse_utf8_check(s, n - 1, NULL) == NGX_OK) {
            check_int(ch, -2);
        }
    }

    check_int(valid, 0x110000 - 0x80 - 0x800);

    /* of three bytes: 2^21 of ASCII, and what the table of RFC 3629 has */

    valid = 0;
    last = 0;

    for (ch = 0; ch < 0x1000000; ch++) {
        s[0] = ch >> 16;
        s[1] = ch >> 8;
        s[2] = ch;

        if (ngx_pulse_utf8_check(s, 3, &bad) == NGX_OK) {
            valid++;
            last = ch;
        }
    }

    check_int(valid, 128 * 128 * 128 + 2 * 1920 * 128
                     + (0x10000 - 0x800 - 0x800));
    check_int(last, 0xefbfbf);

    /* the words of eight bytes meet what is not ASCII at each place */

    for (n = 0; n < 15; n++) {
        memset(s, 'a', 16);
        s[n] = 0xd8;
        s[n + 1] = 0xb3;
        check_int(ngx_pulse_utf8_check(s, 16, &bad), NGX_OK);

        s[n + 1] = 'b';
        check_int(ngx_pulse_utf8_check(s, 16, &bad), NGX_ERROR);
        check_int(bad, n);
    }
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


static void
test_long_names(void)
{
    char                     name[401], text[2000];
    ngx_pulse_json_error_t   err;

    memset(name, 'n', 400);
    name[400] = '\0';

    (void) sprintf(text, "{\"%s1\":1,\"%s2\":2}", name, name);
    check_int(read_text(text, strlen(text), &err), NGX_OK);

    (void) sprintf(text, "{\"%s\":1,\"%s\":2}", name, name);
    check_int(read_text(text, strlen(text), &err), NGX_ERROR);
    check_int(err.offset, 406);

    /* the same names, one with an escape */

    (void) sprintf(text, "{\"%s\":1,\"\\u006e%s\":2}", name, name + 1);
    check_int(read_text(text, strlen(text), &err), NGX_ERROR);
    check_int(err.offset, 406);
}


static void
test_long_bad(void)
{
    char                     run[601], text[2000];
    ngx_uint_t               i;
    ngx_pulse_json_error_t   err;

    /* how a string goes on after 600 letters, where it is refused: as one of
     * yajl's, or where the escape begins */

    static const struct {
        const char  *rest;
        size_t       offset;
    } cases[] = {
        { "", 602 },
        { "\n\"]", 602 },
        { "\"", 603 },
        { "\\x\"]", 602 },
        { "\\ud800\"]", 602 },
        { "\\ud800\\n\"]", 602 },
        { "\\udc00\"]", 602 },
        { "\\u0000\"]", 602 },
        { "\\u12\"]", 602 },
        { "\\u12\\n3\"]", 602 },
        { "\\\"]", 605 },
        { "\" 1]", 605 },
        { "\"]x", 605 },
        { "\"]\"", 604 },
        { "\",]", 605 },
        { "\377\"]", 602 }
    };

    memset(run, 'r', 600);
    run[600] = '\0';

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("rest %d", (int) i);

        (void) sprintf(text, "[\"%s%s", run, cases[i].rest);

        check_int(read_text(text, strlen(text), &err), NGX_ERROR);
        check_int(err.offset, cases[i].offset);
    }

    unit_case("an escape of a zero byte");

    (void) sprintf(text, "[\"%s\\_\"]", run);
    text[603] = '\0';

    check_int(read_text(text, 606, &err), NGX_ERROR);
    check_int(err.offset, 602);

    unit_case(NULL);
}


static ngx_int_t
read_text(const char *text, size_t len, ngx_pulse_json_error_t *err)
{
    u_char     *copy;
    ngx_int_t   rc;

    /* a block of its own, so that a read past its end is seen */

    copy = malloc(len ? len : 1);
    memcpy(copy, text, len);

    rc = ngx_pulse_json_read(copy, len, NULL, ignore, NULL, err);

    free(copy);

    return rc;
}


static ngx_int_t
ignore(void *ctx, ngx_pulse_json_event_t *ev)
{
    return NGX_OK;
}
