
/* The circuit breaker: its edges, one probe at a time, probes that die. */

#include <pthread.h>
#include "unit.h"
#include "ngx_pulse_breaker.h"


#define RACERS  8
#define TURNS   20000


static void test_opens(void);
static void test_window(void);
static void test_share(void);
static void test_probe(void);
static void test_probe_expires(void);
static void test_late(void);
static void test_fatal(void);
static void test_holds(void);
static void test_off(void);
static void test_race(void);
static void *race(void *data);
static void open_it(ngx_pulse_breaker_t *b, ngx_msec_t now);


static const ngx_pulse_breaker_limits_t  limits = { 3, 1000, 500, 200 };
static const ngx_pulse_breaker_limits_t  off = { 0, 1000, 500, 200 };

static pthread_mutex_t                   lock = PTHREAD_MUTEX_INITIALIZER;
static ngx_pulse_breaker_t               shared;
static ngx_msec_t                        ticks;
static ngx_msec_t                        deadline;
static ngx_uint_t                        out, admitted, doubled;


int
main(void)
{
    test_opens();
    test_window();
    test_share();
    test_probe();
    test_probe_expires();
    test_late();
    test_fatal();
    test_holds();
    test_off();
    test_race();

    return unit_done();
}


static void
test_opens(void)
{
    ngx_pulse_breaker_t       b;
    ngx_pulse_breaker_turn_t  turn;

    /* the clock is about to wrap */

    ngx_msec_t  now = (ngx_msec_t) -10;

    memset(&b, 0, sizeof(b));

    check(ngx_pulse_breaker_calm(&b));
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, now, &turn), NGX_OK);
    check_int(turn.ticket, 0);

    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, now),
              NGX_PULSE_BREAKER_SAME);
    check(!ngx_pulse_breaker_calm(&b));
    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, now + 5),
              NGX_PULSE_BREAKER_SAME);
    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, now + 20),
              NGX_PULSE_BREAKER_OPEN);

    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, now + 120, &turn),
              NGX_BUSY);
    check_int(turn.wait, 400);
    check_int(turn.held, 0);
    check_int(turn.edge, NGX_PULSE_BREAKER_SAME);

    /* others that fail now do not make it longer */

    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, now + 200),
              NGX_PULSE_BREAKER_SAME);
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, now + 519, &turn),
              NGX_BUSY);
    check_int(turn.wait, 1);
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, now + 520, &turn),
              NGX_OK);
    check_int(turn.edge, NGX_PULSE_BREAKER_HALF_OPEN);
}


static void
test_window(void)
{
    ngx_pulse_breaker_t       b;
    ngx_pulse_breaker_turn_t  turn;

    memset(&b, 0, sizeof(b));

    (void) ngx_pulse_breaker_failure(&b, &limits, 0, 0, 0);
    (void) ngx_pulse_breaker_failure(&b, &limits, 0, 0, 999);
    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, 1000),
              NGX_PULSE_BREAKER_SAME);
    check_int(b.failures, 1);

    /* it is calm again when somebody looks after the window */

    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 1999, &turn), NGX_OK);
    check(!ngx_pulse_breaker_calm(&b));
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 2000, &turn), NGX_OK);
    check(ngx_pulse_breaker_calm(&b));
}


static void
test_share(void)
{
    int                  i;
    ngx_pulse_breaker_t  b;

    memset(&b, 0, sizeof(b));

    /* what comes before the first failure does not count */

    check_int(ngx_pulse_breaker_success(&b, &limits, 0, 0),
              NGX_PULSE_BREAKER_SAME);
    check(ngx_pulse_breaker_calm(&b));

    (void) ngx_pulse_breaker_failure(&b, &limits, 0, 0, 1);

    for (i = 0; i < 5; i++) {
        (void) ngx_pulse_breaker_success(&b, &limits, 0, 2);
    }

    for (i = 0; i < 3; i++) {
        check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, 3),
                  NGX_PULSE_BREAKER_SAME);
    }

    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, 4),
              NGX_PULSE_BREAKER_OPEN);
}


static void
test_probe(void)
{
    ngx_uint_t                ticket;
    ngx_pulse_breaker_t       b;
    ngx_pulse_breaker_turn_t  turn;

    memset(&b, 0, sizeof(b));
    open_it(&b, 0);

    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 500, &turn), NGX_OK);
    ticket = turn.ticket;
    check(ticket != 0);

    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 501, &turn), NGX_BUSY);
    check_int(turn.wait, 199);

    check_int(ngx_pulse_breaker_failure(&b, &limits, ticket, 0, 510),
              NGX_PULSE_BREAKER_OPEN);
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 1009, &turn), NGX_BUSY);

    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 1010, &turn), NGX_OK);
    ticket = turn.ticket;

    /* its client left: the next one at once */

    ngx_pulse_breaker_release(&b, ticket);
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 1011, &turn), NGX_OK);
    check(turn.ticket != ticket);
    check_int(turn.edge, NGX_PULSE_BREAKER_SAME);
    ticket = turn.ticket;

    check_int(ngx_pulse_breaker_success(&b, &limits, 0, 1012),
              NGX_PULSE_BREAKER_SAME);
    check_int(ngx_pulse_breaker_success(&b, &limits, ticket, 1012),
              NGX_PULSE_BREAKER_CLOSED);
    check(ngx_pulse_breaker_calm(&b));

    /* it starts anew */

    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 0, 1013),
              NGX_PULSE_BREAKER_SAME);
}


static void
test_probe_expires(void)
{
    ngx_uint_t                ticket;
    ngx_pulse_breaker_t       b;
    ngx_pulse_breaker_turn_t  turn;

    memset(&b, 0, sizeof(b));
    open_it(&b, 0);

    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 500, &turn), NGX_OK);
    ticket = turn.ticket;

    /* its worker was killed */

    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 699, &turn), NGX_BUSY);
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 700, &turn), NGX_OK);
    check(turn.ticket != ticket);

    /* or was only slow: the one before has no say any more */

    check_int(ngx_pulse_breaker_failure(&b, &limits, ticket, 0, 701),
              NGX_PULSE_BREAKER_SAME);
    ngx_pulse_breaker_release(&b, ticket);
    check_int(ngx_pulse_breaker_admit(&b, &limits, 1, 702, &turn), NGX_BUSY);
    check_int(ngx_pulse_breaker_success(&b, &limits, ticket, 703),
              NGX_PULSE_BREAKER_SAME);
    check_int(b.state, NGX_PULSE_BREAKER_HALF_OPEN);
}


static void
test_late(void)
{
    ngx_pulse_breaker_t       b;
    ngx_pulse_breaker_turn_t  turn;

    memset(&b, 0, sizeof(b));
    open_it(&b, 0);

    (void) ngx_pulse_breaker_admit(&b, &limits, 1, 500, &turn);
    (void) ngx_pulse_breaker_success(&b, &limits, turn.ticket, 501);

    /* the same ticket a second time is a request as any other */

    ngx_pulse_breaker_release(&b, turn.ticket);
    check_int(b.state, NGX_PULSE_BREAKER_CLOSED);
    check_int(ngx_pulse_breaker_failure(&b, &limits, turn.ticket, 0, 502),
              NGX_PULSE_BREAKER_SAME);
    check_int(b.failures, 1);
}


static void
test_fatal(void)
{
    ngx_pulse_breaker_t  b;

    memset(&b, 0, sizeof(b));

    check_int(ngx_pulse_breaker_failure(&b, &limits, 0, 1, 0),
              NGX_PULSE_BREAKER_OPEN);
}


static void
test_holds(void)
{
    uint32_t                  model;
    ngx_pulse_breaker_t       b;
    ngx_pulse_breaker_turn_t  turn;

    memset(&b, 0, sizeof(b));

    ngx_pulse_breaker_hold(&b, 7, 1000, 0);
    check(!ngx_pulse_breaker_calm(&b));

    check_int(ngx_pulse_breaker_admit(&b, &off, 7, 1, &turn), NGX_BUSY);
    check_int(turn.wait, 999);
    check_int(turn.held, 1);
    check_int(ngx_pulse_breaker_admit(&b, &off, 8, 1, &turn), NGX_OK);

    ngx_pulse_breaker_hold(&b, NGX_PULSE_BREAKER_ALL, 2000, 1);
    check_int(ngx_pulse_breaker_admit(&b, &off, 8, 1, &turn), NGX_BUSY);
    check_int(turn.wait, 2000);

    /* what was said last counts */

    ngx_pulse_breaker_hold(&b, NGX_PULSE_BREAKER_ALL, 100, 2);
    check_int(ngx_pulse_breaker_admit(&b, &off, 8, 102, &turn), NGX_OK);
    check_int(ngx_pulse_breaker_admit(&b, &off, 7, 102, &turn), NGX_BUSY);
    check_int(ngx_pulse_breaker_admit(&b, &off, 7, 1000, &turn), NGX_OK);
    check(ngx_pulse_breaker_calm(&b));

    for (model = 1; model <= NGX_PULSE_BREAKER_HOLDS + 1; model++) {
        ngx_pulse_breaker_hold(&b, model, model * 10, 1000);
    }

    check_int(ngx_pulse_breaker_admit(&b, &off, 1, 1000, &turn), NGX_OK);
    check_int(ngx_pulse_breaker_admit(&b, &off, 2, 1000, &turn), NGX_BUSY);
    check_int(ngx_pulse_breaker_admit(&b, &off,
                                      NGX_PULSE_BREAKER_HOLDS + 1, 1000,
                                      &turn),
              NGX_BUSY);
}


static void
test_off(void)
{
    int                  i;
    ngx_pulse_breaker_t  b;

    memset(&b, 0, sizeof(b));

    for (i = 0; i < 10; i++) {
        check_int(ngx_pulse_breaker_failure(&b, &off, 0, 1, i),
                  NGX_PULSE_BREAKER_SAME);
    }

    check(ngx_pulse_breaker_calm(&b));
}


/* Workers at once, as they do it: a lock, and a clock that goes on. */

static void
test_race(void)
{
    int        i;
    pthread_t  threads[RACERS];

    memset(&shared, 0, sizeof(shared));
    open_it(&shared, 0);
    ticks = 500;

    for (i = 0; i < RACERS; i++) {
        if (pthread_create(&threads[i], NULL, race, NULL) != 0) {
            abort();
        }
    }

    for (i = 0; i < RACERS; i++) {
        (void) pthread_join(threads[i], NULL);
    }

    check(admitted > 1);
    check_int(doubled, 0);
}


/* Each third probe dies without a word; none ever closes the breaker. */

static void *
race(void *data)
{
    int                       i;
    ngx_int_t                 rc;
    ngx_pulse_breaker_turn_t  turn;

    for (i = 0; i < TURNS; i++) {

        pthread_mutex_lock(&lock);

        ticks++;
        rc = ngx_pulse_breaker_admit(&shared, &limits, 1, ticks, &turn);

        if (rc == NGX_OK) {
            doubled += (out && ticks < deadline);
            admitted++;

            out = turn.ticket;
            deadline = ticks + limits.probe;
        }

        pthread_mutex_unlock(&lock);

        if (rc != NGX_OK || i % 3 == 0) {
            continue;
        }

        pthread_mutex_lock(&lock);

        if (i % 3 == 1) {
            ngx_pulse_breaker_release(&shared, turn.ticket);

        } else {
            (void) ngx_pulse_breaker_failure(&shared, &limits, turn.ticket, 0,
                                             ticks);
        }

        if (out == turn.ticket) {
            out = 0;
        }

        pthread_mutex_unlock(&lock);
    }

    return NULL;
}


static void
open_it(ngx_pulse_breaker_t *b, ngx_msec_t now)
{
    while (ngx_pulse_breaker_failure(b, &limits, 0, 0, now)
           != NGX_PULSE_BREAKER_OPEN)
    { /* void */ }
}
