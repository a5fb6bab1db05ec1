
/*
 * The arithmetic of leases: by example, and as nodes and a store that talk
 * by messages which are lost, sent twice and out of order.
 */

#include "unit.h"
#include "ngx_pulse_account.h"


#define WALK_NODES     3
#define WALK_MESSAGES  64
#define WALK_STEPS     400000

#define WALK_GRANTED   0
#define WALK_RETURNED  1
#define WALK_EVENT     2


/* What is on its way.  Events are told apart by their number, as the ledger
 * does by their id; they come at last, as the journal sees to. */

typedef struct {
    ngx_uint_t          type;
    ngx_uint_t          node;
    uint64_t            total;
    uint64_t            settled;
    uint64_t            amount;
    ngx_uint_t          event;
} walk_message_t;


typedef struct {
    uint64_t            limit;
    uint64_t            used;
    uint64_t            leased;
    uint64_t            debt;
    ngx_pulse_lease_t   leases[WALK_NODES];
} walk_store_t;


typedef struct {
    uint64_t            limit;
    uint64_t            amount;         /* of all events */
    walk_store_t        store;
    ngx_pulse_lease_t   nodes[WALK_NODES];
    uint64_t            reserved[WALK_NODES][8];
    walk_message_t      messages[WALK_MESSAGES];
    ngx_uint_t          n;
    ngx_uint_t          events;
    u_char             *recorded;
} walk_t;


static void test_reserve(void);
static void test_settle(void);
static void test_totals(void);
static void test_walk(uint32_t seed);
static void walk_step(walk_t *w);
static void walk_acquire(walk_t *w, ngx_uint_t node);
static void walk_settle(walk_t *w, ngx_uint_t node, ngx_uint_t i);
static void walk_send(walk_t *w, walk_message_t *message);
static void walk_receive(walk_t *w, ngx_uint_t i);
static void walk_event(walk_t *w, walk_message_t *message);
static ngx_uint_t walk_wrong(walk_t *w);
static uint32_t any(uint32_t n);


static uint32_t  state;


int
main(void)
{
    uint32_t  seed;

    test_reserve();
    test_settle();
    test_totals();

    for (seed = 1; seed <= 8; seed++) {
        test_walk(seed);
    }

    return unit_done();
}


static void
test_reserve(void)
{
    ngx_pulse_lease_t  lease = { 100, 10, 20, 0 };

    check_int(ngx_pulse_lease_free(&lease), 70);
    check_int(ngx_pulse_lease_reserve(&lease, 50, 50), 50);
    check_int(ngx_pulse_lease_reserve(&lease, 50, 21), 0);
    check_int(ngx_pulse_lease_free(&lease), 20);
    check_int(ngx_pulse_lease_reserve(&lease, 50, 20), 20);
    check_int(ngx_pulse_lease_reserve(&lease, 1, 1), 0);
    check_int(ngx_pulse_lease_reserve(&lease, 1, 0), 0);
    check_int(lease.reserved, 70);
}


static void
test_settle(void)
{
    ngx_pulse_lease_t  lease = { 100, 0, 0, 0 };

    (void) ngx_pulse_lease_reserve(&lease, 40, 40);

    check_int(ngx_pulse_lease_settle(&lease, 40, 30), 0);
    check_int(lease.settled, 30);
    check_int(ngx_pulse_lease_free(&lease), 70);

    /* past its reservation: first from what is free, then debt */

    (void) ngx_pulse_lease_reserve(&lease, 50, 50);
    (void) ngx_pulse_lease_reserve(&lease, 10, 10);

    check_int(ngx_pulse_lease_settle(&lease, 50, 65), 5);
    check_int(lease.settled, 90);
    check_int(lease.reserved, 10);
    check_int(ngx_pulse_lease_free(&lease), 0);

    check_int(ngx_pulse_lease_settle(&lease, 10, 0), 0);
    check_int(ngx_pulse_lease_free(&lease), 10);
}


static void
test_totals(void)
{
    ngx_pulse_lease_t  lease = { 100, 0, 0, 0 };

    ngx_pulse_lease_granted(&lease, 90);
    check_int(lease.granted, 100);

    ngx_pulse_lease_granted(&lease, 130);
    check_int(lease.granted, 130);

    (void) ngx_pulse_lease_reserve(&lease, 30, 30);

    check_int(ngx_pulse_lease_return(&lease, 60), 40);
    check_int(ngx_pulse_lease_return(&lease, 60), 40);
    check_int(ngx_pulse_lease_return(&lease, 0), 100);
    check_int(ngx_pulse_lease_free(&lease), 0);
}


static void
test_walk(uint32_t seed)
{
    walk_t      w;
    ngx_uint_t  i, n, wrong;

    unit_case("seed %u", seed);

    memset(&w, 0, sizeof(walk_t));

    state = seed;
    w.limit = 100000 * (seed % 3 + 1);
    w.store.limit = w.limit;
    w.recorded = calloc(1, WALK_STEPS + WALK_NODES * 8 + 1);

    for (i = 0, wrong = 0; i < WALK_STEPS && !wrong; i++) {
        walk_step(&w);
        wrong = walk_wrong(&w);
    }

    check_int(wrong, 0);

    /* all comes to rest: nothing is leased, all that was spent is counted */

    for (i = 0; i < WALK_NODES; i++) {

        for (n = 0; n < 8; n++) {

            if (w.reserved[i][n]) {
                walk_settle(&w, i, n);
            }
        }

        while (w.n) {
            walk_receive(&w, 0);
        }

        ngx_pulse_lease_granted(&w.nodes[i], w.store.leases[i].granted);

        walk_send(&w, &(walk_message_t) {
            WALK_RETURNED, i, ngx_pulse_lease_return(&w.nodes[i], 0), 0, 0, 0
        });
    }

    while (w.n) {
        walk_receive(&w, 0);
    }

    check_int(walk_wrong(&w), 0);
    check_int(w.store.leased, 0);
    check_int(w.store.used + w.store.debt, w.amount);

    free(w.recorded);
    unit_case(NULL);
}


static void
walk_step(walk_t *w)
{
    uint32_t    want;
    ngx_uint_t  node, i;

    node = any(WALK_NODES);
    i = any(8);

    switch (any(6)) {

    case 0:
        walk_acquire(w, node);
        break;

    case 1:
    case 2:
        if (w->reserved[node][i] == 0) {
            want = any(400) + 1;
            w->reserved[node][i] = ngx_pulse_lease_reserve(&w->nodes[node],
                                                   want, any(want) + 1);
        }

        break;

    case 3:
        if (w->reserved[node][i]) {
            walk_settle(w, node, i);
        }

        break;

    case 4:
        walk_send(w, &(walk_message_t) {
            WALK_RETURNED, node,
            ngx_pulse_lease_return(&w->nodes[node], any(500)), 0, 0, 0
        });

        break;

    default:
        if (w->n) {
            walk_receive(w, any(w->n));
        }
    }
}


/* lease_acquire() of the schema; its answer may be lost */

static void
walk_acquire(walk_t *w, ngx_uint_t node)
{
    uint64_t       amount;
    walk_store_t  *store;

    store = &w->store;

    amount = any(900);
    amount = ngx_min(amount, store->limit - store->used - store->leased);

    store->leases[node].granted += amount;
    store->leased += amount;

    if (any(4)) {
        walk_send(w, &(walk_message_t) {
            WALK_GRANTED, node, store->leases[node].granted, 0, 0, 0
        });
    }
}


static void
walk_settle(walk_t *w, ngx_uint_t node, ngx_uint_t i)
{
    uint64_t  amount, debt;

    amount = any(w->reserved[node][i] + w->reserved[node][i] / 8 + 1);

    debt = ngx_pulse_lease_settle(&w->nodes[node], w->reserved[node][i],
                                  amount);
    w->reserved[node][i] = 0;
    w->amount += amount;

    walk_send(w, &(walk_message_t) {
        WALK_EVENT, node, 0, amount - debt, amount, ++w->events
    });
}


/* sometimes twice; when the way is full the oldest arrives */

static void
walk_send(walk_t *w, walk_message_t *message)
{
    ngx_uint_t  n;

    for (n = any(4) ? 1 : 2; n; n--) {

        if (w->n == WALK_MESSAGES) {
            walk_receive(w, 0);
        }

        w->messages[w->n++] = *message;
    }
}


static void
walk_receive(walk_t *w, ngx_uint_t i)
{
    uint64_t            returned;
    walk_message_t      message;
    ngx_pulse_lease_t  *lease;

    message = w->messages[i];
    w->n--;
    memmove(&w->messages[i], &w->messages[i + 1],
            (w->n - i) * sizeof(walk_message_t));

    lease = &w->store.leases[message.node];

    switch (message.type) {

    case WALK_GRANTED:
        ngx_pulse_lease_granted(&w->nodes[message.node], message.total);
        return;

    case WALK_RETURNED:
        returned = ngx_max(lease->returned, message.total);
        w->store.leased -= returned - lease->returned;
        lease->returned = returned;
        break;

    case WALK_EVENT:
        walk_event(w, &message);
    }

    /* debt is paid from what becomes free */

    returned = ngx_min(w->store.debt, w->store.limit - w->store.used
                                      - w->store.leased);
    w->store.used += returned;
    w->store.debt -= returned;
}


static void
walk_event(walk_t *w, walk_message_t *message)
{
    if (w->recorded[message->event]) {
        return;
    }

    w->recorded[message->event] = 1;

    w->store.leases[message->node].settled += message->settled;
    w->store.leased -= message->settled;
    w->store.used += message->settled;
    w->store.debt += message->amount - message->settled;
}


/* the promise, at every step */

static ngx_uint_t
walk_wrong(walk_t *w)
{
    uint64_t            leased;
    ngx_uint_t          i;
    ngx_pulse_lease_t  *node, *store;

    for (i = 0, leased = 0; i < WALK_NODES; i++) {
        node = &w->nodes[i];
        store = &w->store.leases[i];

        if (store->granted < store->returned + store->settled
            || node->granted < node->returned + node->settled
                               + node->reserved
            || node->granted > store->granted
            || node->settled < store->settled
            || node->returned < store->returned)
        {
            return 1;
        }

        leased += store->granted - store->returned - store->settled;
    }

    return leased != w->store.leased
           || w->store.used + w->store.leased > w->store.limit;
}


static uint32_t
any(uint32_t n)
{
    state = state * 1664525u + 1013904223u;

    return (uint64_t) (state >> 8) * n >> 24;
}
