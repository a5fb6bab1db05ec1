
/*
 * The tables of a node: by example, by random use, and with the process
 * killed at each instruction of a change and repaired by another.
 */

#include "unit.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include "ngx_pulse_meter.h"


#define TEST_SIZE   (256 * 1024)
#define TEST_KILLS  150
#define TEST_STEPS  80          /* of each change, evenly over it */

#define TEST_RESERVE  0
#define TEST_SETTLE   1
#define TEST_RELEASE  2
#define TEST_ACCOUNT  3
#define TEST_DROP     4
#define TEST_CHANGES  5


typedef struct {
    ngx_pulse_meter_t  meter;
    uint64_t           ops;
    u_char             tables[TEST_SIZE];
} test_zone_t;


static void test_accounts(void);
static void test_reservations(void);
static void test_merge(void);
static void test_full(void);
static void test_random(void);
static void test_killed(void);
static void test_stepped(void);
static ngx_uint_t step(ngx_uint_t change, ngx_uint_t n);
static void step_prepare(ngx_pulse_meter_t *m, ngx_uint_t change);
static void step_change(ngx_pulse_meter_t *m, ngx_uint_t change);
static void step_check(ngx_pulse_meter_t *m, ngx_uint_t change);
static void use(test_zone_t *zone);
static void grant(ngx_pulse_meter_account_t *account, uint64_t amount);
static const char *wrong(ngx_pulse_meter_t *m);
static void sound(ngx_pulse_meter_t *m);
static test_zone_t *zone_new(void);
static u_char *id_of(uint32_t n);
static uint32_t any(uint32_t n);


static uint32_t  state = 1;


int
main(void)
{
    test_accounts();
    test_reservations();
    test_merge();
    test_full();
    test_random();
    test_killed();
    test_stepped();

    return unit_done();
}


static void
test_accounts(void)
{
    test_zone_t                *zone;
    ngx_pulse_meter_t          *m;
    ngx_pulse_meter_account_t  *a, *b;

    zone = zone_new();
    m = &zone->meter;

    check(ngx_pulse_meter_account(m, id_of(1), 0, NULL, 0) == NULL);

    a = ngx_pulse_meter_account(m, id_of(1), 0, id_of(100), 0);
    check(a != NULL);
    check(ngx_pulse_meter_account(m, id_of(1), 0, id_of(101), 0) == a);
    check(ngx_pulse_meter_account(m, id_of(1), 1, NULL, 0) == NULL);
    check(ngx_pulse_meter_lease(m, id_of(1), id_of(100)) == a);

    /* a retired one is found by its lease alone */

    a->retired = 1;
    b = ngx_pulse_meter_account(m, id_of(1), 0, id_of(102), 0);

    check(b != NULL && b != a);
    check(ngx_pulse_meter_lease(m, id_of(1), id_of(100)) == a);

    ngx_pulse_meter_drop(m, a);
    check(ngx_pulse_meter_lease(m, id_of(1), id_of(100)) == NULL);
    check(ngx_pulse_meter_account(m, id_of(1), 0, NULL, 0) == b);

    sound(m);
    munmap(zone, sizeof(test_zone_t));
}


static void
test_reservations(void)
{
    test_zone_t                    *zone;
    ngx_pulse_meter_t              *m;
    ngx_pulse_meter_account_t      *a;
    ngx_pulse_meter_reservation_t  *r;

    zone = zone_new();
    m = &zone->meter;

    a = ngx_pulse_meter_account(m, id_of(1), 2, id_of(100), 0);
    check(ngx_pulse_meter_reserve(m, a, 10, 1, id_of(5), 3, 0) == NULL);

    grant(a, 100);
    r = ngx_pulse_meter_reserve(m, a, 70, 1, id_of(5), 3, 9);

    check(r != NULL);
    check_int(r->record.reserved, 70);
    check_int(r->record.estimate, 1);
    check_int(r->record.kind, 2);
    check_int(r->state, NGX_PULSE_METER_OPENING);
    check_int(a->last, 9);
    check(!ngx_pulse_meter_clean(a));

    r->state = NGX_PULSE_METER_OPEN;
    ngx_pulse_meter_settle(m, r, 30);

    check_int(r->record.type, NGX_PULSE_JOURNAL_CLOSE);
    check_int(r->record.settled, 30);
    check_int(ngx_pulse_lease_free(&a->lease), 70);

    /* it has ended: nothing changes any more */

    ngx_pulse_meter_settle(m, r, 90);
    ngx_pulse_meter_cancel(m, r);
    check_int(r->record.amount, 30);
    check_int(ngx_pulse_lease_free(&a->lease), 70);

    ngx_pulse_meter_unwritten(m, r, r->record.id);
    check_int(m->unwritten, 1);
    ngx_pulse_meter_release(m, r, r->record.id);
    check_int(m->unwritten, 0);

    /* past what is left the rest is debt; a cancel costs nothing */

    r = ngx_pulse_meter_reserve(m, a, 70, 70, id_of(6), 3, 0);
    r->state = NGX_PULSE_METER_OPEN;
    ngx_pulse_meter_settle(m, r, 75);
    check_int(r->record.amount, 75);
    check_int(r->record.settled, 70);
    ngx_pulse_meter_release(m, r, r->record.id);

    grant(a, 150);
    r = ngx_pulse_meter_reserve(m, a, 50, 50, id_of(7), 3, 0);
    ngx_pulse_meter_cancel(m, r);
    check_int(r->record.type, NGX_PULSE_JOURNAL_CANCEL);
    check_int(r->record.amount, 0);
    ngx_pulse_meter_release(m, r, r->record.id);

    check_int(ngx_pulse_lease_free(&a->lease), 50);
    check_int(m->open, 0);

    /* one that costs more than was thought takes from what is free, and no
     * more than that; then there may be room that no lease has */

    r = ngx_pulse_meter_reserve(m, a, 20, 20, id_of(6), 3, 0);
    check_int(ngx_pulse_meter_extend(m, r, 31), NGX_DECLINED);
    check_int(ngx_pulse_meter_extend(m, r, 30), NGX_OK);
    check_int(r->record.reserved, 50);
    check_int(ngx_pulse_lease_free(&a->lease), 0);

    a->limit = ngx_pulse_meter_used(a) + 50 + 10;
    check_int(ngx_pulse_meter_room(a, 10), 1);
    check_int(ngx_pulse_meter_room(a, 11), 0);
    a->limit = 0;
    check_int(ngx_pulse_meter_room(a, 1), 0);

    a->retired = 1;
    check_int(ngx_pulse_meter_extend(m, r, 1), NGX_DECLINED);
    a->retired = 0;

    ngx_pulse_meter_cancel(m, r);
    check_int(ngx_pulse_lease_free(&a->lease), 50);
    check_int(ngx_pulse_meter_extend(m, r, 1), NGX_DECLINED);
    ngx_pulse_meter_release(m, r, r->record.id);

    /* a second keeper is late: its slot is free, then it is another's */

    ngx_pulse_meter_release(m, r, id_of(7));
    r = ngx_pulse_meter_reserve(m, a, 1, 1, id_of(8), 3, 0);
    check(r != ngx_pulse_meter_reserve(m, a, 1, 1, id_of(9), 3, 0));

    ngx_pulse_meter_settle(m, r, 1);
    ngx_pulse_meter_release(m, r, id_of(7));
    check_int(r->state, NGX_PULSE_METER_SETTLED);
    ngx_pulse_meter_unwritten(m, r, id_of(7));
    check_int(m->unwritten, 0);

    sound(m);
    munmap(zone, sizeof(test_zone_t));
}


static void
test_merge(void)
{
    ngx_pulse_lease_t           totals;
    ngx_pulse_meter_account_t   a;

    memset(&a, 0, sizeof(a));

    totals = (ngx_pulse_lease_t) { 100, 0, 20, 0 };
    a.lease.settled = 50;
    ngx_pulse_lease_granted(&a.lease, 90);
    ngx_pulse_meter_merge(&a, &totals, 20, 1000, 0);
    check_int(a.retired, 0);

    check_int(a.lease.granted, 100);
    check_int(ngx_pulse_meter_used(&a), 50);

    /* an older one */

    totals = (ngx_pulse_lease_t) { 80, 0, 0, 0 };
    ngx_pulse_meter_merge(&a, &totals, 5, 900, 0);

    check_int(a.lease.granted, 100);
    check_int(a.used, 20);
    check_int(a.limit, 1000);

    ngx_pulse_meter_merge(&a, &totals, 0, 0, 1);
    check_int(a.retired, 1);
    check_int(a.limit, 1000);

    /* what another answer granted, and the period of that, was lost */

    memset(&a, 0, sizeof(a));
    ngx_pulse_meter_merge(&a, &totals, 0, 1000, 0);
    check_int(a.retired, 1);
    check_int(a.lease.granted, 80);
}


/* what holds something is never put out, what is clean is */

static void
test_full(void)
{
    uint32_t                    i, n;
    test_zone_t                *zone;
    ngx_pulse_meter_t          *m;
    ngx_pulse_meter_account_t  *a;

    zone = zone_new();
    m = &zone->meter;

    for (n = 1; /* void */ ; n++) {
        a = ngx_pulse_meter_account(m, id_of(n), 0, id_of(n), 0);

        if (a == NULL) {
            break;
        }

        grant(a, 10);
    }

    check_int(n, m->naccounts);
    check(ngx_pulse_meter_account(m, id_of(n), 0, id_of(n), 5000) == NULL);

    a = ngx_pulse_meter_account(m, id_of(7), 0, NULL, 0);
    (void) ngx_pulse_lease_return(&a->lease, 0);
    a->store.returned = a->lease.returned;

    for (i = 0, a = NULL; a == NULL && i < m->naccounts; i++) {
        a = ngx_pulse_meter_account(m, id_of(n), 0, id_of(n), 5000);
    }

    check(a != NULL);
    check(ngx_pulse_meter_account(m, id_of(7), 0, NULL, 0) == NULL);

    sound(m);

    /* reservations end too */

    grant(a, 1000000);

    for (i = 0; ngx_pulse_meter_reserve(m, a, 1, 1, id_of(i), 1, 0); i++) {
        /* void */
    }

    check_int(i, m->nreservations - 1);
    check_int(a->lease.reserved, i);

    sound(m);
    munmap(zone, sizeof(test_zone_t));
}


static void
test_random(void)
{
    ngx_uint_t    i;
    test_zone_t  *zone;

    zone = zone_new();

    for (i = 0; i < 200000; i++) {
        use(zone);

        if (i % 1000 == 0) {
            sound(&zone->meter);
        }
    }

    ngx_pulse_meter_repair(&zone->meter);
    sound(&zone->meter);

    munmap(zone, sizeof(test_zone_t));
}


static void
test_killed(void)
{
    pid_t         pid;
    ngx_uint_t    i;
    test_zone_t  *zone;

    zone = zone_new();

    for (i = 0; i < TEST_KILLS; i++) {
        unit_case("kill %u", (unsigned) i);

        pid = fork();

        if (pid == 0) {
            state = i + 1;

            for ( ;; ) {
                use(zone);
                zone->ops++;
            }
        }

        usleep(200 + any(3000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);

        ngx_pulse_meter_repair(&zone->meter);
        sound(&zone->meter);
    }

    unit_case(NULL);
    check(zone->ops > TEST_KILLS);

    munmap(zone, sizeof(test_zone_t));
}


/* The plain build steps: a sanitizer's own instructions are too many. */

static void
test_stepped(void)
{
    ngx_uint_t  change, n, total;

#if defined(__SANITIZE_ADDRESS__)
    return;
#endif

    for (change = 0; change < TEST_CHANGES; change++) {
        total = step(change, 0);

        if (total == 0) {
            fprintf(stderr, "# skipped: ptrace() is not allowed\n");
            return;
        }

        for (n = 1; n < total; n += total / TEST_STEPS + 1) {
            unit_case("change %u, instruction %u", (unsigned) change,
                      (unsigned) n);
            (void) step(change, n);
        }
    }

    unit_case(NULL);
}


/* Kills the process after "n" instructions of a change, 0: never.  Returns
 * how many it ran. */

static ngx_uint_t
step(ngx_uint_t change, ngx_uint_t n)
{
    int                 status;
    pid_t               pid;
    ngx_uint_t          ran;
    test_zone_t        *zone;

    zone = zone_new();
    step_prepare(&zone->meter, change);

    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1) {
            _exit(1);
        }

        raise(SIGSTOP);
        step_change(&zone->meter, change);
        _exit(0);
    }

    for (ran = 0; /* void */ ; ran++) {
        waitpid(pid, &status, 0);

        if (!WIFSTOPPED(status)) {
            break;
        }

        if (n && ran == n) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }

        ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
    }

    ngx_pulse_meter_repair(&zone->meter);

    step_check(&zone->meter, change);
    sound(&zone->meter);

    munmap(zone, sizeof(test_zone_t));

    return ran;
}


/* one account with 20 of 100 settled, and what the change needs */

static void
step_prepare(ngx_pulse_meter_t *m, ngx_uint_t change)
{
    ngx_pulse_meter_account_t      *a;
    ngx_pulse_meter_reservation_t  *r;

    a = ngx_pulse_meter_account(m, id_of(1), 0, id_of(100), 0);
    grant(a, 100);
    a->lease.settled = 20;

    if (change == TEST_RESERVE || change == TEST_ACCOUNT) {
        return;
    }

    if (change == TEST_DROP) {
        (void) ngx_pulse_lease_return(&a->lease, 0);
        a->store = a->lease;
        return;
    }

    r = ngx_pulse_meter_reserve(m, a, 50, 50, id_of(5), 1, 0);
    r->state = NGX_PULSE_METER_OPEN;

    if (change == TEST_RELEASE) {
        ngx_pulse_meter_settle(m, r, 30);
        ngx_pulse_meter_unwritten(m, r, r->record.id);
    }
}


static void
step_change(ngx_pulse_meter_t *m, ngx_uint_t change)
{
    ngx_pulse_meter_account_t  *a;

    a = &m->accounts[1];

    switch (change) {

    case TEST_RESERVE:
        (void) ngx_pulse_meter_reserve(m, a, 50, 50, id_of(5), 1, 0);
        return;

    case TEST_SETTLE:
        ngx_pulse_meter_settle(m, &m->reservations[1], 30);
        return;

    case TEST_RELEASE:
        ngx_pulse_meter_release(m, &m->reservations[1],
                                m->reservations[1].record.id);
        return;

    case TEST_ACCOUNT:
        (void) ngx_pulse_meter_account(m, id_of(2), 0, id_of(101), 0);
        return;

    case TEST_DROP:
        ngx_pulse_meter_drop(m, a);
    }
}


/* it happened, or it did not; nothing in between is left */

static void
step_check(ngx_pulse_meter_t *m, ngx_uint_t change)
{
    ngx_pulse_lease_t              *lease;
    ngx_pulse_meter_reservation_t  *r;

    lease = &m->accounts[1].lease;
    r = &m->reservations[1];

    switch (change) {

    case TEST_RESERVE:
        check_int(lease->settled, 20);
        check_int(lease->reserved,
                  r->state == NGX_PULSE_METER_OPENING ? 50 : 0);
        return;

    case TEST_SETTLE:

        if (r->state == NGX_PULSE_METER_OPEN) {
            check_int(lease->reserved, 50);
            check_int(lease->settled, 20);
            return;
        }

        check_int(r->state, NGX_PULSE_METER_SETTLED);
        check_int(r->record.type, NGX_PULSE_JOURNAL_CLOSE);
        check_int(r->record.settled, 30);
        check_int(lease->reserved, 0);
        check_int(lease->settled, 50);
        return;

    case TEST_RELEASE:
        check_int(lease->settled, 50);
        check(r->state == NGX_PULSE_METER_FREE
              || r->state == NGX_PULSE_METER_UNWRITTEN);
        check_int(m->unwritten, r->state == NGX_PULSE_METER_UNWRITTEN);
        return;

    default:
        check_int(lease->settled, 20);
    }
}


/* one thing that a worker or the keeper does */

static void
use(test_zone_t *zone)
{
    ngx_pulse_meter_t              *m;
    ngx_pulse_meter_account_t      *a;
    ngx_pulse_meter_reservation_t  *r;

    m = &zone->meter;

    a = ngx_pulse_meter_account(m, id_of(any(300)), any(3),
                                id_of(any(1 << 30)), 0);
    r = &m->reservations[any(m->reservations_top + 1)];

    switch (any(5)) {

    case 0:
        if (a) {
            grant(a, a->lease.granted + any(100));
        }

        return;

    case 1:
        if (a) {
            r = ngx_pulse_meter_reserve(m, a, any(50) + 1, 1,
                                        id_of(any(1 << 30)), 1, 0);
            if (r) {
                r->state = NGX_PULSE_METER_OPEN;
            }
        }

        return;

    case 2:
        if (r->state == NGX_PULSE_METER_OPEN) {
            ngx_pulse_meter_settle(m, r, any(60));
        }

        return;

    case 3:
        if (r->state == NGX_PULSE_METER_SETTLED
            || r->state == NGX_PULSE_METER_UNWRITTEN)
        {
            ngx_pulse_meter_release(m, r, r->record.id);
        }

        return;

    default:
        if (a) {
            (void) ngx_pulse_lease_return(&a->lease, any(10));
            a->store = a->lease;
            a->store.reserved = 0;

            if (ngx_pulse_meter_clean(a)) {
                ngx_pulse_meter_drop(m, a);
            }
        }
    }
}


static void
grant(ngx_pulse_meter_account_t *account, uint64_t amount)
{
    ngx_pulse_lease_t  totals;

    totals = account->store;
    totals.granted = amount;

    ngx_pulse_lease_granted(&account->lease, amount);
    ngx_pulse_meter_merge(account, &totals, 0, 1000000, 0);
}


/* what must be true between any two calls; NULL if it is */

static const char *
wrong(ngx_pulse_meter_t *m)
{
    uint32_t                        i, j, n, open, found;
    uint64_t                        reserved;
    ngx_pulse_meter_account_t      *a;
    ngx_pulse_meter_reservation_t  *r;

    for (i = 1, open = 0, found = 0; i <= m->accounts_top; i++) {
        a = &m->accounts[i];

        if (!a->present) {
            continue;
        }

        found++;

        for (j = 1, n = 0, reserved = 0; j <= m->reservations_top; j++) {
            r = &m->reservations[j];

            if (r->account == i && (r->state == NGX_PULSE_METER_OPENING
                                    || r->state == NGX_PULSE_METER_OPEN))
            {
                reserved += r->record.reserved;
                n++;
            }
        }

        open += n;

        if (a->lease.reserved != reserved || a->open != n) {
            return "the sum of reservations";
        }

        if (a->lease.granted < a->lease.returned + a->lease.settled
                               + a->lease.reserved)
        {
            return "a lease is overspent";
        }

        if (ngx_pulse_meter_lease(m, a->user, a->lease_id) == NULL) {
            return "an account is not found";
        }
    }

    for (i = m->accounts_free, n = 0; i; i = m->accounts[i].next) {
        n++;
    }

    if (n + found != m->accounts_top) {
        return "free accounts";
    }

    for (i = 1, found = 0; i <= m->reservations_top; i++) {
        found += m->reservations[i].state != NGX_PULSE_METER_FREE;
    }

    for (i = m->reservations_free, n = 0; i; i = m->reservations[i].next) {
        n++;
    }

    if (n + found != m->reservations_top) {
        return "free reservations";
    }

    return open == m->open ? NULL : "open reservations";
}


static void
sound(ngx_pulse_meter_t *m)
{
    const char  *text;

    text = wrong(m);

    if (text) {
        unit_case("%s", text);
    }

    check(text == NULL);
}


static test_zone_t *
zone_new(void)
{
    test_zone_t  *zone;

    zone = mmap(NULL, sizeof(test_zone_t), PROT_READ|PROT_WRITE,
                MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (zone == MAP_FAILED
        || ngx_pulse_meter_init(&zone->meter, zone->tables, TEST_SIZE)
           != NGX_OK)
    {
        abort();
    }

    return zone;
}


/* several live at a time, as arguments of one call */

static u_char *
id_of(uint32_t n)
{
    u_char         *p;
    static u_char   ids[4][16];
    static uint32_t i;

    p = ids[i++ % 4];

    memset(p, 0, 16);
    memcpy(p + 8, &n, sizeof(uint32_t));

    return p;
}


static uint32_t
any(uint32_t n)
{
    state = state * 1664525u + 1013904223u;

    return (uint64_t) (state >> 8) * n >> 24;
}
