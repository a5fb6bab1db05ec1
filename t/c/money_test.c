
#include "pulse_money.h"
#include "unit.h"


static void test_write(void);
static void test_read(void);
static void test_step(void);
static const pulse_currency_t *test_currency(const char *code);


int
main(void)
{
    test_write();
    test_read();
    test_step();

    return unit_done();
}


/* "" is what cannot be expressed */

static void
test_write(void)
{
    size_t           i;
    ngx_int_t        rc;
    pulse_money_t    money;
    ngx_pulse_buf_t  b;

    static const struct {
        const char  *currency;
        int64_t      amount;
        ngx_uint_t   decimals;
        const char  *text;
    } cases[] = {
        { "IQD", 25000, 2, "25000.00" },
        { "IQD", 25000, 0, "25000" },
        { "SAR", 9250, 2, "92.50" },
        { "SAR", 5, 2, "0.05" },
        { "SAR", 9250, 0, "" },
        { "SAR", 9200, 0, "92" },
        { "JOD", 3000, 2, "3.00" },
        { "JOD", 3010, 2, "3.01" },
        { "JOD", 3005, 2, "" },
        { "JOD", 3005, 3, "3.005" },
        { "JOD", 5, 3, "0.005" },
        { "JOD", 5, 2, "" },
        { "USD", 1, 3, "0.010" },
        { "USD", 0, 2, "" },
        { "USD", -100, 2, "" },
        { "USD", INT64_MIN, 2, "" },
        { "USD", INT64_MAX, 2, "92233720368547758.07" },
        { "IQD", INT64_MAX, 2, "9223372036854775807.00" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s %lld with %d", cases[i].currency,
                  (long long) cases[i].amount, (int) cases[i].decimals);

        money.amount = cases[i].amount;
        money.currency = test_currency(cases[i].currency);

        ngx_pulse_buf_init(&b, 0);
        rc = pulse_money_write(&b, &money, cases[i].decimals);

        check_int(rc, cases[i].text[0] ? NGX_OK : NGX_DECLINED);
        check_mem(b.data, b.len, cases[i].text, strlen(cases[i].text));

        ngx_pulse_buf_free(&b);
    }

    unit_case(NULL);
}


static void
test_read(void)
{
    size_t         i;
    ngx_int_t      rc;
    ngx_str_t      text;
    pulse_money_t  money;

    static const struct {
        const char  *currency;
        const char  *text;
        int64_t      amount;            /* -1: refused */
    } cases[] = {
        { "SAR", "92.50", 9250 },
        { "SAR", "92.5", 9250 },
        { "SAR", "92", 9200 },
        { "SAR", "092.500", 9250 },
        { "SAR", "92.501", -1 },
        { "JOD", "3.00", 3000 },
        { "JOD", "3.005", 3005 },
        { "JOD", "3.0050000", 3005 },
        { "IQD", "25000", 25000 },
        { "IQD", "1000.000", 1000 },
        { "IQD", "1000.5", -1 },
        { "USD", "0.00", 0 },
        { "USD", "92233720368547758.07", INT64_MAX },
        { "USD", "92233720368547758.08", -1 },
        { "USD", "99999999999999999999", -1 },
        { "USD", "", -1 }, { "USD", ".", -1 }, { "USD", "1.", -1 },
        { "USD", ".5", -1 }, { "USD", "-1", -1 }, { "USD", "+1", -1 },
        { "USD", " 1", -1 }, { "USD", "1 ", -1 }, { "USD", "1e2", -1 },
        { "USD", "1,00", -1 }, { "USD", "1.2.3", -1 }, { "USD", "0x1", -1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s \"%s\"", cases[i].currency, cases[i].text);

        text.data = (u_char *) cases[i].text;
        text.len = strlen(cases[i].text);

        rc = pulse_money_read(&money, &text,
                              test_currency(cases[i].currency));

        check_int(rc, cases[i].amount == -1 ? NGX_DECLINED : NGX_OK);

        if (rc == NGX_OK) {
            check_int(money.amount, cases[i].amount);
        }
    }

    unit_case(NULL);
}


static void
test_step(void)
{
    ngx_str_t  code;

    check_int(pulse_money_step(test_currency("JOD"), 2), 10);
    check_int(pulse_money_step(test_currency("JOD"), 0), 1000);
    check_int(pulse_money_step(test_currency("SAR"), 2), 1);
    check_int(pulse_money_step(test_currency("IQD"), 0), 1);

    ngx_str_set(&code, "jod");
    check(pulse_currency_find(&code) == NULL);
    ngx_str_set(&code, "");
    check(pulse_currency_find(&code) == NULL);
    ngx_str_set(&code, "XXX");
    check(pulse_currency_find(&code) == NULL);
}


static const pulse_currency_t *
test_currency(const char *code)
{
    ngx_str_t  text;

    text.data = (u_char *) code;
    text.len = strlen(code);

    return pulse_currency_find(&text);
}
