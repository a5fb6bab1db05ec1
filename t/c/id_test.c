
#include "unit.h"
#include "ngx_pulse_id.h"


static void test_uuid(void);
static void test_valid(void);
static void test_names(void);
static void test_time(void);
static void test_random(void);


int
main(void)
{
    test_uuid();
    test_valid();
    test_names();
    test_time();
    test_random();

    return unit_done();
}


static void
test_uuid(void)
{
    int64_t     before, after, ms;
    u_char      text[36], last[36];
    ngx_str_t   s;
    ngx_uint_t  i, k, same;

    s.data = text;
    s.len = 36;

    ngx_memzero(last, sizeof(last));
    same = 0;

    for (i = 0; i < 1000; i++) {
        before = ngx_pulse_now();
        ngx_pulse_uuid7(text);
        after = ngx_pulse_now();

        check(ngx_pulse_uuid_valid(&s));

        /* RFC 9562: version 7, variant 10 */

        check_int(text[14], '7');
        check(memchr("89ab", text[19], 4) != NULL);

        /* the time is in front, so that ids sort by it */

        ms = 0;

        for (k = 0; k < 13; k++) {
            if (k != 8) {
                ms = ms * 16 + ((text[k] <= '9') ? text[k] - '0'
                                                 : text[k] - 'a' + 10);
            }
        }

        check(ms >= before && ms <= after);

        same += (memcmp(text + 15, last + 15, 21) == 0);
        memcpy(last, text, 36);
    }

    check_int(same, 0);
}


static void
test_valid(void)
{
    u_char      text[37];
    ngx_str_t   s;
    ngx_uint_t  i;

    static const char  good[] = "0190a1b2-c3D4-7e5f-8091-A2B3c4d5e6f7";

    s.data = text;

    for (i = 0; i < 36; i++) {
        memcpy(text, good, 36);
        s.len = 36;
        check(ngx_pulse_uuid_valid(&s));

        /* neither kind of place takes what belongs to the other */

        text[i] = (good[i] == '-') ? '0' : '-';
        check(!ngx_pulse_uuid_valid(&s));

        text[i] = 'g';
        check(!ngx_pulse_uuid_valid(&s));

        text[i] = '\0';
        check(!ngx_pulse_uuid_valid(&s));
    }

    memcpy(text, good, 36);
    text[36] = '0';

    s.len = 37;
    check(!ngx_pulse_uuid_valid(&s));
    s.len = 35;
    check(!ngx_pulse_uuid_valid(&s));
    s.len = 0;
    check(!ngx_pulse_uuid_valid(&s));
}


static void
test_names(void)
{
    ngx_str_t    s;
    ngx_uint_t   i;

    static const char  *good[] = { "a", "Z", "0", ".", "a-b_c.d", "9-Z" };
    static const char  *bad[] = {
        "", "a b", " a", "a\n", "a/b", "a:b", "a\"", "caf\xc3\xa9", "a\x7f",
        "@", "[", "`", "{"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        s.data = (u_char *) good[i];
        s.len = strlen(good[i]);
        check(ngx_pulse_name_valid(&s));
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s.data = (u_char *) bad[i];
        s.len = strlen(bad[i]);
        check(!ngx_pulse_name_valid(&s));
    }

    s.data = (u_char *) "a\0b";
    s.len = 3;
    check(!ngx_pulse_name_valid(&s));
}


static void
test_time(void)
{
    u_char      text[24];
    ngx_str_t   s;
    ngx_uint_t  i;

    static const char  *others[] = {
        "", "2026-11-23T08:00:00Z", "2026-11-23T08:00:00.050+",
        "2026-11-23t08:00:00.050Z", "2026-02-29T08:00:00.050Z",
        "2026-11-23T08:00:60.050Z", "2026-11-23T08:00:00.05\xb0Z",
        "2026-11-23T08:00:00.0500Z"
    };

    static const struct {
        int64_t      ms;
        const char  *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 1, "1970-01-01T00:00:00.001Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { -1000, "1969-12-31T23:59:59.000Z" },
        { 951782399999, "2000-02-28T23:59:59.999Z" },
        { 951868799999, "2000-02-29T23:59:59.999Z" },
        { 1795420800050, "2026-11-23T08:00:00.050Z" },
        { 253402300799999, "9999-12-31T23:59:59.999Z" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ngx_pulse_rfc3339(text, cases[i].ms);
        check_mem(text, 24, cases[i].text, 24);
    }

    s.data = text;
    s.len = 24;

    for (i = 4; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(text, cases[i].text, 24);
        check(ngx_pulse_rfc3339_parse(&s) == cases[i].ms);
    }

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        s.data = (u_char *) others[i];
        s.len = strlen(others[i]);
        check(ngx_pulse_rfc3339_parse(&s) == -1);
    }
}


static void
test_random(void)
{
    u_char  a[512], b[512];

    ngx_memzero(a, sizeof(a));
    ngx_memzero(b, sizeof(b));

    check_int(ngx_pulse_random(a, 511), NGX_OK);
    check_int(ngx_pulse_random(b, 511), NGX_OK);
    check(memcmp(a, b, 511) != 0);
    check(a[511] == 0 && b[511] == 0);
    check_int(ngx_pulse_random(a, 0), NGX_OK);
}
