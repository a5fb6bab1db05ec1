
#include "unit.h"
#include "ngx_pulse_splice.h"

#include <string.h>


static void test_top(void);
static void test_inner(void);
static void test_several(void);
static void test_spellings(void);
static void test_refused(void);

static ngx_int_t test_splice(const char *text, const char *parent,
    const char *key, ngx_pulse_buf_t *b);
static void test_is(const char *text, const char *parent, const char *key,
    const char *wanted);


int
main(void)
{
    test_top();
    test_inner();
    test_several();
    test_spellings();
    test_refused();

    return unit_done();
}


static void
test_top(void)
{
    test_is("{}", NULL, "a", "{\"a\":7}");
    test_is(" { } ", NULL, "a", " {\"a\":7 } ");
    test_is("{\"a\":1}", NULL, "a", "{\"a\":7}");
    test_is("{ \"b\" : 1.50,\"a\" : \"x\" }", NULL, "a",
            "{ \"b\" : 1.50,\"a\" : 7 }");
    test_is("{\"b\":{\"a\":1}}", NULL, "a", "{\"a\":7,\"b\":{\"a\":1}}");
    test_is("{\"b\":[{\"a\":1}],\"a\":null}", NULL, "a",
            "{\"b\":[{\"a\":1}],\"a\":7}");
}


static void
test_inner(void)
{
    test_is("{}", "p", "a", "{\"p\":{\"a\":7}}");
    test_is("{\"a\":1}", "p", "a", "{\"p\":{\"a\":7},\"a\":1}");
    test_is("{\"p\":{}}", "p", "a", "{\"p\":{\"a\":7}}");
    test_is("{\"p\":null,\"z\":1}", "p", "a", "{\"p\":{\"a\":7},\"z\":1}");
    test_is("{\"p\":{\"b\":1}}", "p", "a", "{\"p\":{\"a\":7,\"b\":1}}");
    test_is("{\"p\":{\"b\":1,\"a\":2},\"a\":3}", "p", "a",
            "{\"p\":{\"b\":1,\"a\":7},\"a\":3}");
    test_is("{\"q\":{\"a\":1},\"p\":{\"b\":{\"a\":1}}}", "p", "a",
            "{\"q\":{\"a\":1},\"p\":{\"a\":7,\"b\":{\"a\":1}}}");
}


static void
test_several(void)
{
    ngx_str_t           s;
    ngx_uint_t          i;
    ngx_pulse_buf_t     b;
    ngx_pulse_splice_t  splices[3];

    static const struct {
        const char     *text;
        const char     *wanted;
    } cases[] = {
        { "{}", "{\"a\":1,\"p\":{\"b\":2},\"c\":3}" },
        { "{\"p\":{}}", "{\"a\":1,\"c\":3,\"p\":{\"b\":2}}" },
        { "{\"c\":0}", "{\"a\":1,\"p\":{\"b\":2},\"c\":3}" },
        { "{\"p\":0,\"z\":9}",
          "{\"a\":1,\"c\":3,\"p\":{\"b\":2},\"z\":9}" }
    };

    memset(splices, 0, sizeof(splices));

    splices[0].key[0] = "a";
    ngx_str_set(&splices[0].value, "1");
    splices[1].parent[0] = "p";
    splices[1].key[0] = "b";
    ngx_str_set(&splices[1].value, "2");
    splices[2].key[0] = "c";
    ngx_str_set(&splices[2].value, "3");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].text);
        ngx_pulse_buf_init(&b, 0);

        s.data = (u_char *) cases[i].text;
        s.len = strlen(cases[i].text);

        check_int(ngx_pulse_splice(&s, splices, 3, NULL, &b), NGX_OK);
        check_mem(b.data, b.len, cases[i].wanted, strlen(cases[i].wanted));

        ngx_pulse_buf_free(&b);
    }

    unit_case(NULL);
}


/* a limit that is there twice would be the client's for some */

static void
test_spellings(void)
{
    ngx_str_t           s;
    ngx_uint_t          i;
    ngx_pulse_buf_t     b;
    ngx_pulse_splice_t  splice;

    static const char  *texts[] = {
        "{\"q\":{\"b\":1},\"z\":2}",
        "{\"p\":{},\"q\":{\"b\":1}}",
        "{\"q\":{\"a\":1,\"b\":2}}",
        "{\"p\":{\"b\":1,\"x\":0,\"a\":2}}"
    };

    memset(&splice, 0, sizeof(ngx_pulse_splice_t));

    splice.parent[0] = "p";
    splice.parent[1] = "q";
    splice.key[0] = "a";
    splice.key[1] = "b";
    ngx_str_set(&splice.value, "7");

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unit_case("%s", texts[i]);
        ngx_pulse_buf_init(&b, 0);

        s.data = (u_char *) texts[i];
        s.len = strlen(texts[i]);

        check_int(ngx_pulse_splice(&s, &splice, 1, NULL, &b),
                  i == 0 ? NGX_OK : NGX_ERROR);

        if (i == 0) {
            check_mem(b.data, b.len, "{\"q\":{\"b\":7},\"z\":2}", 19);

        } else {
            check_int(b.len, 0);
        }

        ngx_pulse_buf_free(&b);
    }

    unit_case(NULL);
}


static void
test_refused(void)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    check_int(test_splice("[]", NULL, "a", &b), NGX_ERROR);
    check_int(test_splice("{\"a\":[1]}", NULL, "a", &b), NGX_ERROR);
    check_int(test_splice("{\"p\":[1]}", "p", "a", &b), NGX_ERROR);
    check_int(test_splice("{\"p\":{\"a\":{}}}", "p", "a", &b), NGX_ERROR);
    check_int(test_splice("{", NULL, "a", &b), NGX_ERROR);
    check_int(b.len, 0);

    ngx_pulse_buf_free(&b);
}


static ngx_int_t
test_splice(const char *text, const char *parent, const char *key,
    ngx_pulse_buf_t *b)
{
    ngx_str_t           s;
    ngx_pulse_splice_t  splice;

    memset(&splice, 0, sizeof(ngx_pulse_splice_t));

    splice.parent[0] = parent;
    splice.key[0] = key;
    ngx_str_set(&splice.value, "7");

    s.data = (u_char *) text;
    s.len = strlen(text);

    return ngx_pulse_splice(&s, &splice, 1, NULL, b);
}


static void
test_is(const char *text, const char *parent, const char *key,
    const char *wanted)
{
    ngx_pulse_buf_t  b;

    unit_case("%s", text);
    ngx_pulse_buf_init(&b, 0);

    check_int(test_splice(text, parent, key, &b), NGX_OK);
    check_mem(b.data, b.len, wanted, strlen(wanted));

    ngx_pulse_buf_free(&b);
    unit_case(NULL);
}
