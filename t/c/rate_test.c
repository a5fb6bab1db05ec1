
/* Fixed windows, and what nodes tell each other of them. */

#include "unit.h"
#include "ngx_pulse_rate.h"


static void test_windows(void);
static void test_shared(void);
static void test_keep(void);
static void test_full(void);
static ngx_pulse_rate_t *table(size_t size);


static const u_char  ali[16] = "ali";
static const u_char  sara[16] = "sara";

static const ngx_pulse_rate_limit_t  limits[] = {
    { 3, 60 },
    { 5, 3600 }
};


int
main(void)
{
    test_windows();
    test_shared();
    test_keep();
    test_full();

    return unit_done();
}


static void
test_windows(void)
{
    time_t                   now;
    ngx_uint_t               i;
    ngx_pulse_rate_t        *rate;
    ngx_pulse_rate_state_t   s;

    rate = table(16384);
    now = 7200 + 30;

    for (i = 0; i < 3; i++) {
        check_int(ngx_pulse_rate_take(rate, ali, limits, 2, now, &s), NGX_OK);
        check_int(s.limit, 3);
        check_int(s.remaining, 2 - i);
        check_int(s.reset, 7260);
    }

    check_int(ngx_pulse_rate_take(rate, ali, limits, 2, now, &s), NGX_BUSY);
    check_int(s.window, 60);
    check_int(s.remaining, 0);

    check_int(ngx_pulse_rate_take(rate, sara, limits, 2, now, &s), NGX_OK);

    /* what was refused was not counted in the longer window */

    now = 7260;
    check_int(ngx_pulse_rate_take(rate, ali, limits, 2, now, &s), NGX_OK);
    check_int(s.limit, 5);
    check_int(s.remaining, 1);
    check_int(ngx_pulse_rate_take(rate, ali, limits, 2, now, &s), NGX_OK);

    check_int(ngx_pulse_rate_take(rate, ali, limits, 2, now, &s), NGX_BUSY);
    check_int(s.window, 3600);
    check_int(s.reset, 10800);

    ngx_pulse_rate_repair(rate);
    check_int(ngx_pulse_rate_take(rate, ali, limits, 2, now, &s), NGX_BUSY);
    check_int(ngx_pulse_rate_take(rate, ali, limits, 2, 10800, &s), NGX_OK);

    free(rate);
}


static void
test_shared(void)
{
    ngx_uint_t               n;
    ngx_pulse_rate_t        *rate;
    ngx_pulse_rate_state_t   s;
    ngx_pulse_rate_delta_t   deltas[4];

    rate = table(16384);

    (void) ngx_pulse_rate_take(rate, ali, limits, 1, 60, &s);
    (void) ngx_pulse_rate_take(rate, ali, limits, 1, 60, &s);

    n = ngx_pulse_rate_collect(rate, deltas, 4);
    check_int(n, 1);
    check_int(deltas[0].delta, 2);
    check_int(deltas[0].start, 60);
    check_int(ngx_pulse_rate_collect(rate, &deltas[1], 3), 0);

    /* another node had one: the window is full */

    ngx_pulse_rate_total(rate, &deltas[0], 3);
    check_int(ngx_pulse_rate_take(rate, ali, limits, 1, 60, &s), NGX_BUSY);

    /* the store forgot it: what is known here counts */

    ngx_pulse_rate_total(rate, &deltas[0], 1);
    check_int(ngx_pulse_rate_take(rate, ali, limits, 1, 60, &s), NGX_OK);
    check_int(ngx_pulse_rate_take(rate, ali, limits, 1, 60, &s), NGX_BUSY);

    /* a reply of the window before */

    check_int(ngx_pulse_rate_take(rate, ali, limits, 1, 120, &s), NGX_OK);
    ngx_pulse_rate_total(rate, &deltas[0], 100);
    check_int(ngx_pulse_rate_take(rate, ali, limits, 1, 120, &s), NGX_OK);

    free(rate);
}


static void
test_keep(void)
{
    ngx_pulse_rate_t        *rate;
    ngx_pulse_rate_state_t   s;
    ngx_pulse_rate_delta_t   delta;

    static const ngx_pulse_rate_limit_t  many = { 100, 60 };

    rate = table(16384);

    /* the store hears once how long a window is to be kept */

    (void) ngx_pulse_rate_take(rate, ali, &many, 1, 60, &s);
    check_int(ngx_pulse_rate_collect(rate, &delta, 1), 1);
    check_int(delta.keep, 1);

    /* or again, if it is not sure that it did */

    ngx_pulse_rate_unheard(rate, &delta);

    (void) ngx_pulse_rate_take(rate, ali, &many, 1, 61, &s);
    check_int(ngx_pulse_rate_collect(rate, &delta, 1), 1);
    check_int(delta.keep, 1);

    (void) ngx_pulse_rate_take(rate, ali, &many, 1, 62, &s);
    check_int(ngx_pulse_rate_collect(rate, &delta, 1), 1);
    check_int(delta.keep, 0);

    /* a count that was lost changes nothing of that */

    ngx_pulse_rate_unheard(rate, &delta);

    (void) ngx_pulse_rate_take(rate, ali, &many, 1, 63, &s);
    check_int(ngx_pulse_rate_collect(rate, &delta, 1), 1);
    check_int(delta.keep, 0);

    /* the next window is another key */

    (void) ngx_pulse_rate_take(rate, ali, &many, 1, 120, &s);
    check_int(ngx_pulse_rate_collect(rate, &delta, 1), 1);
    check_int(delta.keep, 1);

    free(rate);
}


static void
test_full(void)
{
    u_char                   user[16];
    uint32_t                 i;
    ngx_pulse_rate_t        *rate;
    ngx_pulse_rate_delta_t   deltas[64];
    ngx_pulse_rate_state_t   s;

    rate = table(8192);
    memset(user, 0, sizeof(user));

    for (i = 1; i < 10000; i++) {
        memcpy(user, &i, sizeof(i));
        check_int(ngx_pulse_rate_take(rate, user, limits, 1, 60, &s), NGX_OK);
    }

    check_int(rate->top, rate->n - 1);

    while (ngx_pulse_rate_collect(rate, deltas, 64)) { /* void */ }

    /* windows that are over make room */

    check_int(ngx_pulse_rate_take(rate, sara, limits, 1, 120, &s), NGX_OK);
    check(ngx_pulse_rate_find(rate, sara, 60, 120) != NULL);

    ngx_pulse_rate_repair(rate);
    check(ngx_pulse_rate_find(rate, sara, 60, 120) != NULL);

    free(rate);
}


static ngx_pulse_rate_t *
table(size_t size)
{
    ngx_pulse_rate_t  *rate;

    rate = calloc(1, sizeof(ngx_pulse_rate_t) + size);

    if (ngx_pulse_rate_init(rate, (u_char *) (rate + 1), size) != NGX_OK) {
        abort();
    }

    return rate;
}
