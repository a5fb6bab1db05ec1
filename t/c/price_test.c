
/* Prices: the rates in force, the sum of the parts, and that nothing wraps. */

#include "unit.h"
#include "ngx_pulse_price.h"


static void test_find(void);
static void test_counts(void);
static void test_sum(void);
static void test_unknown(void);
static void test_overflow(void);

static ngx_pulse_price_t row(int64_t from, int64_t above, int64_t input,
    int64_t output);


int
main(void)
{
    test_find();
    test_counts();
    test_sum();
    test_unknown();
    test_overflow();

    return unit_done();
}


/* a new price has tiers of its own, those of the old one are gone with it */

static void
test_find(void)
{
    ngx_uint_t         i;
    ngx_pulse_price_t  rows[5];

    static const struct {
        int64_t   now;
        uint64_t  prompt;
        int64_t   input;
    } cases[] = {
        { 0, 0, 10 },
        { 999, 200, 10 },
        { 999, 201, 20 },
        { 1000, 201, 30 },
        { 1000, 500, 30 },
        { 1000, 501, 60 },
        { 5000, 501, 60 }
    };

    rows[0] = row(0, 0, 10, 1);
    rows[1] = row(1000, 500, 60, 1);
    rows[2] = row(0, 200, 20, 1);
    rows[3] = row(1000, 0, 30, 1);
    rows[4] = row(9000, 0, 99, 1);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%d", (int) i);
        check_int(ngx_pulse_price_find(rows, 5, cases[i].now,
                                       cases[i].prompt)
                  ->rates[NGX_PULSE_PRICE_INPUT], cases[i].input);
    }

    check(ngx_pulse_price_find(&rows[3], 1, 999, 1) == NULL);
    check(ngx_pulse_price_find(rows, 0, 999, 1) == NULL);
}


static void
test_counts(void)
{
    uint64_t                n[NGX_PULSE_PRICE_PARTS];
    ngx_pulse_chat_usage_t  usage;

    memset(&usage, 0, sizeof(usage));

    usage.input = 1000;
    usage.cached = 600;
    usage.cache_write = 300;
    usage.cache_hour = 100;
    usage.output = 50;
    usage.reasoning = 20;

    ngx_pulse_price_counts(&usage, n);

    check_int(n[NGX_PULSE_PRICE_INPUT], 100);
    check_int(n[NGX_PULSE_PRICE_CACHED], 600);
    check_int(n[NGX_PULSE_PRICE_CACHE_WRITE], 200);
    check_int(n[NGX_PULSE_PRICE_CACHE_HOUR], 100);
    check_int(n[NGX_PULSE_PRICE_OUTPUT], 30);
    check_int(n[NGX_PULSE_PRICE_REASONING], 20);

    /* figures that contradict each other */

    usage.input = 5;
    usage.output = 1;
    usage.cache_hour = 301;

    ngx_pulse_price_counts(&usage, n);

    check_int(n[NGX_PULSE_PRICE_INPUT], 0);
    check_int(n[NGX_PULSE_PRICE_OUTPUT], 0);
    check_int(n[NGX_PULSE_PRICE_CACHE_WRITE], 0);
    check_int(n[NGX_PULSE_PRICE_CACHE_HOUR], 300);
}


static void
test_sum(void)
{
    ngx_pulse_price_t  price;

    static const uint64_t  n[NGX_PULSE_PRICE_PARTS] = {
        100, 600, 200, 100, 30, 20, 2, 8
    };

    price = row(0, 0, 2000, 10000);
    price.rates[NGX_PULSE_PRICE_CACHED] = 100;
    price.rates[NGX_PULSE_PRICE_CACHE_WRITE] = 2500;
    price.rates[NGX_PULSE_PRICE_CACHE_HOUR] = 4000;
    price.rates[NGX_PULSE_PRICE_IMAGE] = 39000000;
    price.rates[NGX_PULSE_PRICE_SECOND] = 400000000;

    /* reasoning is charged as output unless it has a rate */

    check_int(ngx_pulse_price_sum(&price, n),
              100 * 2000 + 600 * 100 + 200 * 2500 + 100 * 4000
              + 50 * 10000 + 2 * 39000000 + 8ll * 400000000);

    price.rates[NGX_PULSE_PRICE_REASONING] = 0;

    check_int(ngx_pulse_price_sum(&price, n),
              100 * 2000 + 600 * 100 + 200 * 2500 + 100 * 4000
              + 30 * 10000 + 2 * 39000000 + 8ll * 400000000);
}


static void
test_unknown(void)
{
    uint64_t           n[NGX_PULSE_PRICE_PARTS];
    ngx_pulse_price_t  price;

    memset(n, 0, sizeof(n));
    ngx_pulse_price_init(&price);

    /* what was not used needs no rate, and nothing costs nothing */

    check_int(ngx_pulse_price_sum(&price, n), 0);

    price = row(0, 0, 0, 0);
    n[NGX_PULSE_PRICE_INPUT] = 7;
    check_int(ngx_pulse_price_sum(&price, n), 0);

    n[NGX_PULSE_PRICE_CACHED] = 1;
    check_int(ngx_pulse_price_sum(&price, n), NGX_PULSE_PRICE_UNKNOWN);
}


static void
test_overflow(void)
{
    uint64_t           n[NGX_PULSE_PRICE_PARTS];
    ngx_pulse_price_t  price;

    memset(n, 0, sizeof(n));
    price = row(0, 0, 1000000000, 1000000000);

    n[NGX_PULSE_PRICE_INPUT] = 9223372036ull;
    check_int(ngx_pulse_price_sum(&price, n), 9223372036000000000ll);

    n[NGX_PULSE_PRICE_OUTPUT] = 1;
    check_int(ngx_pulse_price_sum(&price, n), NGX_PULSE_PRICE_UNKNOWN);

    n[NGX_PULSE_PRICE_OUTPUT] = 0;
    n[NGX_PULSE_PRICE_INPUT] = 9223372037ull;
    check_int(ngx_pulse_price_sum(&price, n), NGX_PULSE_PRICE_UNKNOWN);

    n[NGX_PULSE_PRICE_INPUT] = UINT64_MAX;
    check_int(ngx_pulse_price_sum(&price, n), NGX_PULSE_PRICE_UNKNOWN);
}


static ngx_pulse_price_t
row(int64_t from, int64_t above, int64_t input, int64_t output)
{
    ngx_pulse_price_t  price;

    ngx_pulse_price_init(&price);

    price.from = from;
    price.above = above;
    price.rates[NGX_PULSE_PRICE_INPUT] = input;
    price.rates[NGX_PULSE_PRICE_OUTPUT] = output;

    return price;
}
