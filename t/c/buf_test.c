
#include "unit.h"
#include "ngx_pulse_buf.h"


static void test_append(void);
static void test_cap(void);
static void test_numbers(void);
static void test_json(void);
static void test_pool(void);


int
main(void)
{
    test_append();
    test_cap();
    test_numbers();
    test_json();
    test_pool();

    return unit_done();
}


static void
test_append(void)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    check(b.data == NULL);

    for (i = 0; i < 5000; i++) {
        ngx_pulse_buf_char(&b, (u_char) ('a' + i % 26));
    }

    check_int(b.len, 5000);
    check(!b.failed);

    for (i = 0; i < 5000; i++) {
        if (b.data[i] != 'a' + i % 26) {
            break;
        }
    }

    check_int(i, 5000);

    /* room is never less than asked for, and appending fills it */

    for (i = 1; i < 3000; i += 7) {
        memset(ngx_pulse_buf_reserve(&b, i), 'x', i);
        b.len += i;
    }

    ngx_pulse_buf_literal(&b, "end");
    check_mem(b.data + b.len - 4, 4, "xend", 4);

    ngx_pulse_buf_free(&b);
    check(b.data == NULL && b.len == 0 && b.size == 0);

    ngx_pulse_buf_literal(&b, "again");
    check_str(&b, "again");
    ngx_pulse_buf_free(&b);
}


static void
test_cap(void)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 10);

    ngx_pulse_buf_literal(&b, "0123456789");
    check_str(&b, "0123456789");
    check(!b.failed);

    ngx_pulse_buf_char(&b, 'x');
    check(b.failed);
    check_str(&b, "0123456789");

    b.len = 0;
    ngx_pulse_buf_char(&b, 'x');
    check_int(b.len, 0);
    check(ngx_pulse_buf_reserve(&b, 1) == NULL);

    ngx_pulse_buf_free(&b);
    check(!b.failed);

    /* a string that does not fit as a whole leaves nothing of itself */

    ngx_pulse_buf_literal(&b, "ab");
    ngx_pulse_buf_json(&b, (u_char *) "\n\n\n\n", 4);
    check(b.failed);
    check_str(&b, "ab");
    ngx_pulse_buf_free(&b);

    ngx_pulse_buf_literal(&b, "ab");
    check(ngx_pulse_buf_reserve(&b, SIZE_MAX) == NULL);
    check(b.failed);
    ngx_pulse_buf_free(&b);

    b.max = 0;
    ngx_pulse_buf_literal(&b, "ab");
    check(ngx_pulse_buf_reserve(&b, SIZE_MAX) == NULL);
    check_str(&b, "ab");
    ngx_pulse_buf_free(&b);
}


static void
test_numbers(void)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_int(&b, 0);
    ngx_pulse_buf_char(&b, ' ');
    ngx_pulse_buf_int(&b, -1);
    ngx_pulse_buf_char(&b, ' ');
    ngx_pulse_buf_int(&b, INT64_MAX);
    ngx_pulse_buf_char(&b, ' ');
    ngx_pulse_buf_int(&b, INT64_MIN);

    check_str(&b, "0 -1 9223372036854775807 -9223372036854775808");

    ngx_pulse_buf_free(&b);
}


static void
test_json(void)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    static const struct {
        const char   *text;
        size_t        len;
        const char   *json;
    } cases[] = {
        { "", 0, "\"\"" },
        { "abc", 3, "\"abc\"" },
        { "\"\\", 2, "\"\\\"\\\\\"" },
        { "\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"" },
        { "\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"" },
        { "</script>", 9, "\"<\\/script>\"" },
        { "a/b</c//", 8, "\"a/b<\\/c//\"" },
        { "/", 1, "\"/\"" },
        { "\n/", 2, "\"\\n/\"" },
        { "\xe2\x80\xa8\xe2\x80\xa9", 6, "\"\\u2028\\u2029\"" },
        { "\xe2\x80\xa7\xe2\x82\xac", 6, "\"\xe2\x80\xa7\xe2\x82\xac\"" },
        { "x\xe2\x80\xa8y", 5, "\"x\\u2028y\"" },
        { "\xd8\xb3\xd9\x84", 4, "\"\xd8\xb3\xd9\x84\"" },
        { "\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"" }
    };

    ngx_pulse_buf_init(&b, 0);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("json %lu", (unsigned long) i);

        b.len = 0;
        ngx_pulse_buf_json(&b, (u_char *) cases[i].text, cases[i].len);
        check_mem(b.data, b.len, cases[i].json, strlen(cases[i].json));
    }

    unit_case(NULL);

    ngx_pulse_buf_free(&b);
}


static void
test_pool(void)
{
    ngx_pool_t       *pool;
    ngx_pulse_buf_t  *b, other;

    pool = unit_pool();

    b = ngx_palloc(pool, sizeof(ngx_pulse_buf_t));

    check_int(ngx_pulse_buf_init_pool(b, 0, pool), NGX_OK);

    /* a leak unless the pool frees it */

    ngx_pulse_buf_literal(b, "in a pool");
    check_str(b, "in a pool");

    unit_fail_allocation(1);
    check_int(ngx_pulse_buf_init_pool(&other, 0, pool), NGX_ERROR);
    unit_fail_allocation(0);

    ngx_destroy_pool(pool);
}
