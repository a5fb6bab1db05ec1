
/* What answers teach about estimates: it follows, it is bounded, and one
 * person cannot turn it against others. */

#include "unit.h"
#include "ngx_pulse_learn.h"


static void test_nothing(void);
static void test_short(void);
static void test_up(void);
static void test_poison(void);
static void test_likely(void);
static void test_table(void);

static ngx_pulse_learned_t  table[NGX_PULSE_LEARN_MODELS];


int
main(void)
{
    test_nothing();
    test_short();
    test_up();
    test_poison();
    test_likely();
    test_table();

    return unit_done();
}


static void
test_nothing(void)
{
    ngx_pulse_learned_t  l;

    memset(&l, 0, sizeof(l));

    check_int(ngx_pulse_learn_bound(NULL, 100), 100);
    check_int(ngx_pulse_learn_likely(NULL, 100), 100);
    check_int(ngx_pulse_learn_bound(&l, 100), 100);
    check_int(ngx_pulse_learn_likely(&l, 100), 100);
}


/* prompts that say nothing, estimates that are none */

static void
test_short(void)
{
    ngx_pulse_learned_t  l;

    memset(&l, 0, sizeof(l));

    ngx_pulse_learn_note(&l, 10, 10, NGX_PULSE_LEARN_LEAST - 1);
    ngx_pulse_learn_note(&l, 0, 10, 100);
    ngx_pulse_learn_note(&l, 10, 0, 100);

    check_int(l.samples, 0);
    check_int(ngx_pulse_learn_bound(&l, 100), 100);
}


/* a tokenizer that is worse than thought is believed within a few answers */

static void
test_up(void)
{
    ngx_uint_t           i;
    ngx_pulse_learned_t  l;

    memset(&l, 0, sizeof(l));

    for (i = 0; i < 12; i++) {
        ngx_pulse_learn_note(&l, 1000, 1000, 1300);
    }

    check(ngx_pulse_learn_bound(&l, 1000) >= 1300);
    check(ngx_pulse_learn_bound(&l, 1000) <= 1302);

    /* and forgotten over many that were fine */

    for (i = 0; i < 4000; i++) {
        ngx_pulse_learn_note(&l, 1000, 1000, 900);
    }

    check_int(ngx_pulse_learn_bound(&l, 1000), 1000);
}


/* whatever one sends: others reserve what was measured, or twice as much */

static void
test_poison(void)
{
    ngx_uint_t           i;
    ngx_pulse_learned_t  l;

    memset(&l, 0, sizeof(l));

    for (i = 0; i < 10000; i++) {
        ngx_pulse_learn_note(&l, 1, 1, (uint64_t) 1 << 40);
    }

    check_int(ngx_pulse_learn_bound(&l, 1000), 2000);
    check_int(ngx_pulse_learn_likely(&l, 1000), 2000);

    for (i = 0; i < 10000; i++) {
        ngx_pulse_learn_note(&l, (uint64_t) 1 << 40, (uint64_t) 1 << 40, 64);
    }

    check_int(ngx_pulse_learn_bound(&l, 1000), 1000);
    check_int(ngx_pulse_learn_likely(&l, 1000), 500);
}


static void
test_likely(void)
{
    ngx_uint_t           i;
    ngx_pulse_learned_t  l;

    memset(&l, 0, sizeof(l));

    ngx_pulse_learn_note(&l, 2000, 1000, 1500);

    /* one answer moves it by a hundredth */

    check(ngx_pulse_learn_likely(&l, 1000) > 1000);
    check(ngx_pulse_learn_likely(&l, 1000) <= 1010);

    for (i = 0; i < 1000; i++) {
        ngx_pulse_learn_note(&l, 2000, 1000, 1500);
    }

    check_int(ngx_pulse_learn_likely(&l, 1000), 1500);
    check_int(ngx_pulse_learn_bound(&l, 2000), 2000);
}


static void
test_table(void)
{
    char                  name[16];
    ngx_str_t             provider, model;
    ngx_uint_t            i;
    ngx_pulse_learned_t  *one, *two;

    ngx_str_set(&provider, "p");
    ngx_str_set(&model, "m");

    check(ngx_pulse_learn_find(table, &provider, &model, 0) == NULL);

    one = ngx_pulse_learn_find(table, &provider, &model, 1);
    check(one != NULL);
    check(ngx_pulse_learn_find(table, &provider, &model, 0) == one);

    ngx_str_set(&provider, "q");
    two = ngx_pulse_learn_find(table, &provider, &model, 1);
    check(two != NULL && two != one);

    /* full: no more, and those that are in it stay */

    for (i = 0; i < NGX_PULSE_LEARN_MODELS - 2; i++) {
        model.data = (u_char *) name;
        model.len = sprintf(name, "m-%d", (int) i);
        check(ngx_pulse_learn_find(table, &provider, &model, 1) != NULL);
    }

    ngx_str_set(&model, "one more");
    check(ngx_pulse_learn_find(table, &provider, &model, 1) == NULL);

    ngx_str_set(&model, "m");
    check(ngx_pulse_learn_find(table, &provider, &model, 1) == two);
}
