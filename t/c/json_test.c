
#include "unit.h"
#include "ngx_pulse_json.h"


#define TEXT(s)  s, sizeof(s) - 1


typedef struct {
    const char  *text;
    size_t       len;
    size_t       offset;                    /* where it is refused */
} bad_t;


static void test_good(void);
static void test_bad(void);
static void test_duplicates(void);
static void test_many_keys(void);
static void test_limits(void);
static void test_utf8(void);
static void test_long_names(void);
static void test_long_bad(void);

static ngx_int_t read_text(const char *text, size_t len,
    ngx_pulse_json_error_t *err);
static ngx_int_t ignore(void *ctx, ngx_pulse_json_event_t *ev);


int
main(void)
{
    test_good();
    test_bad();
    test_duplicates();
    test_many_keys();
    test_limits();
    test_utf8();
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
