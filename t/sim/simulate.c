
/*
 * simulation_test [SEED [STEPS]]: worlds one after another, each from a seed
 * of its own that is printed when it goes wrong.
 */

#include "sim.h"


#define SIM_SEED         20261123
#define SIM_STEPS        400000
#define SIM_WORLD        8000       /* steps of one */
#define SIM_REST         1200       /* rounds of 50 ms to come to rest */
#define SIM_PROBES       6
#define SIM_PROBE_BOUND  2700       /* ms: the waits, and the ways */


static ngx_uint_t sim_run(uint64_t seed, uint64_t steps);
static ngx_uint_t sim_world(uint64_t seed, uint64_t steps);
static void sim_step(sim_world_t *w);
static void sim_pass(sim_world_t *w);
static void sim_fault(sim_world_t *w);
static void sim_arrive(sim_world_t *w, uint32_t node);
static void sim_proceed(sim_world_t *w);
static void sim_tick(sim_world_t *w, uint32_t node);
static void sim_deliver(sim_world_t *w);
static void sim_lose(sim_world_t *w, sim_message_t *message);
static void sim_purchase(sim_world_t *w);
static void sim_rest(sim_world_t *w);
static ngx_uint_t sim_round(sim_world_t *w);
static void sim_probe(sim_world_t *w);
static ngx_uint_t sim_wait_for(sim_world_t *w, uint32_t request);


sim_counts_t  sim_counts;


int
main(int argc, char *argv[])
{
    uint64_t    seed, steps;
    ngx_uint_t  failed;

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : SIM_SEED;
    steps = argc > 2 ? strtoull(argv[2], NULL, 10) : SIM_STEPS;

    failed = sim_run(seed, steps);

    if (argc > 1 || failed) {
        printf("seed %lu, %lu steps: %lu admitted, %lu refused, %lu ended,"
               " %lu workers and %lu nodes killed, %lu journals cut,"
               " %lu replayed, %lu nodes swept, %lu messages lost,"
               " %lu extended, %lu probes, the slowest %lu ms\n",
               seed, steps, sim_counts.admitted, sim_counts.refused,
               sim_counts.ended, sim_counts.kills, sim_counts.crashes,
               sim_counts.cuts, sim_counts.replays, sim_counts.sweeps,
               sim_counts.lost, sim_counts.extended, sim_counts.probes,
               sim_counts.slowest);
    }

    /* a run in which one of them never happens shows nothing of it */

    if (sim_counts.admitted && sim_counts.refused && sim_counts.kills
        && sim_counts.cuts && sim_counts.replays && sim_counts.sweeps
        && sim_counts.lost && sim_counts.probes && sim_counts.extended)
    {
        printf("%u passed, %lu failed\n", failed ? 0 : 1, failed);

    } else {
        failed = 1;
        printf("the run is too short to show anything\n0 passed, 1 failed\n");
    }

    return failed ? 1 : 0;
}


static ngx_uint_t
sim_run(uint64_t seed, uint64_t steps)
{
    uint64_t  n;

    for (n = 0; n * SIM_WORLD < steps; n++) {

        if (sim_world(seed + n, ngx_min(SIM_WORLD, steps - n * SIM_WORLD))) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
sim_world(uint64_t seed, uint64_t steps)
{
    uint32_t            i;
    sim_world_t        *w;
    static sim_world_t  world;

    w = &world;
    ngx_memzero(w, sizeof(sim_world_t));

    w->random = seed * 0x9e3779b97f4a7c15 + 1;
    w->now = 1000;

    for (i = 0; i < SIM_NODES; i++) {
        sim_node_start(w, i);
    }

    for (w->steps = 0; w->steps < steps && !w->wrong; w->steps++) {
        sim_step(w);
        sim_check(w);
    }

    if (!w->wrong) {
        sim_rest(w);
    }

    for (i = 0; i < SIM_PROBES && !w->wrong; i++) {
        sim_probe(w);
    }

    if (w->wrong) {
        printf("seed %lu, step %lu: %s\n"
               "again: make simulate SEED=%lu STEPS=%u\n",
               seed, w->steps, w->wrong, seed, SIM_WORLD);
    }

    for (i = 0; i < SIM_NODES; i++) {
        free(w->nodes[i].up ? w->nodes[i].journal.bytes : NULL);
    }

    for (i = 0; i < SIM_INCARNATIONS; i++) {
        free(w->files[i].used ? w->files[i].journal.bytes : NULL);
    }

    return w->wrong != NULL;
}


static void
sim_step(sim_world_t *w)
{
    uint32_t  node;

    node = sim_any(w, SIM_NODES);

    switch (sim_any(w, 20)) {

    case 0:
    case 1:
    case 2:
        sim_arrive(w, node);
        break;

    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        sim_proceed(w);
        break;

    case 8:
    case 9:
    case 10:
    case 11:
        sim_tick(w, node);
        break;

    case 12:
        sim_pass(w);
        break;

    case 13:
        if (sim_any(w, 4) == 0) {
            sim_fault(w);
        }

        break;

    default:
        sim_deliver(w);
    }
}


/* Time goes on; now and then by so much that leases are given up. */

static void
sim_pass(sim_world_t *w)
{
    uint32_t  i;

    w->now += sim_any(w, 200);

    if (sim_any(w, 150) == 0) {
        w->now += sim_any(w, 2 * SIM_SWEEP);
    }

    if (sim_any(w, 10) == 0) {
        sim_store_sweep(w);
    }

    for (i = 0; i < w->nrequests; i++) {

        if (w->requests[i].state == SIM_REQUEST_WAITING
            && w->requests[i].wake <= w->now)
        {
            sim_request_wake(w, i);
        }
    }
}


static void
sim_fault(sim_world_t *w)
{
    uint32_t     n, i;
    sim_node_t  *node;

    n = sim_any(w, SIM_NODES);
    node = &w->nodes[n];

    if (!node->up) {
        sim_node_start(w, n);
        return;
    }

    switch (sim_any(w, 12)) {

    case 0:
    case 1:
        sim_node_kill(w, n, sim_any(w, 2));
        break;

    case 2:
    case 3:
        sim_node_kill_worker(w, n, 1 + sim_any(w, SIM_WORKERS));
        break;

    case 4:
    case 5:
        node->apart = (sim_any(w, 3) == 0);
        break;

    case 6:
        node->full = (sim_any(w, 3) == 0);
        break;

    case 7:
        node->skew = (int64_t) sim_any(w, 2 * SIM_PERIOD) - SIM_PERIOD;
        break;

    case 8:
        sim_node_late(w, n);
        break;

    case 9:
        w->store.started = w->now;

        for (i = 0; i < SIM_MESSAGES; i++) {

            if (w->messages[i].used) {
                sim_node_give_up(w, &w->messages[i]);
                w->messages[i].used = 0;
            }
        }

        break;

    default:
        sim_purchase(w);
    }
}


/* A limit is raised, or something is used that was metered elsewhere. */

static void
sim_purchase(sim_world_t *w)
{
    uint64_t        amount;
    sim_account_t  *account;

    amount = sim_any(w, 400);
    account = sim_store_account(w, sim_any(w, SIM_USERS),
                                sim_store_period(w));

    if (sim_any(w, 2)) {
        account->limit += amount;

    } else {
        account->debt += amount / 8;
        account->events += amount / 8;
        account->excused = 1;
    }

    sim_store_changed(account);
}


static void
sim_arrive(sim_world_t *w, uint32_t node)
{
    uint32_t  want, worker;

    worker = 1 + sim_any(w, SIM_WORKERS);

    if (!w->nodes[node].up || !w->nodes[node].workers[worker]) {
        return;
    }

    want = 1 + sim_any(w, sim_any(w, 10) ? 60 : 900);

    (void) sim_request(w, node, worker, sim_any(w, SIM_USERS), want,
                       1 + sim_any(w, want));
}


static void
sim_proceed(sim_world_t *w)
{
    uint32_t        n;
    uint64_t        amount;
    sim_request_t  *request;

    if (w->nrequests == 0) {
        return;
    }

    /* the last ones are open most likely */

    n = w->nrequests - 1 - sim_any(w, ngx_min(w->nrequests, 40));
    request = &w->requests[n];

    if (request->state != SIM_REQUEST_OPEN) {
        return;
    }

    amount = sim_any(w, request->reserved + 1);

    switch (sim_any(w, 7)) {

    case 0:
        sim_request_end(w, n, 0, 1);
        break;

    case 6:
        sim_request_extend(w, n, 1 + sim_any(w, 60));
        break;

    case 1:
        request->slot->progress = ngx_max(request->slot->progress, amount);
        request->most = ngx_max(request->most, amount);
        break;

    case 2:
        sim_request_end(w, n, request->reserved + sim_any(w, 8) / 7 * amount,
                        0);
        break;

    default:
        sim_request_end(w, n, amount, 0);
    }
}


static void
sim_tick(sim_world_t *w, uint32_t n)
{
    sim_node_t  *node;

    node = &w->nodes[n];

    if (!node->up) {
        return;
    }

    switch (sim_any(w, 8)) {

    case 0:
        sim_node_return(w, n);
        break;

    case 1:
        sim_node_survey(w, n);
        break;

    case 2:
        sim_node_see(w, n);
        break;

    case 3:
        sim_node_compare(w, n);
        sim_replay(w, n);
        break;

    case 4:
        node->journal.synced = node->journal.len;
        break;

    default:
        sim_node_drain(w, n);
    }
}


static void
sim_deliver(sim_world_t *w)
{
    sim_message_t  *message, *copy;

    message = &w->messages[sim_any(w, SIM_MESSAGES)];

    if (!message->used || (!w->calm && w->nodes[message->node].apart)) {
        return;
    }

    if (!w->calm && sim_any(w, 24) == 0) {
        sim_lose(w, message);
        return;
    }

    if (!message->executed) {

        if (!w->calm && sim_any(w, 32) == 0) {
            copy = sim_send(w, message->type, message->node);

            if (copy) {
                *copy = *message;
                copy->abandoned = 1;
            }
        }

        sim_store_execute(w, message);
        return;
    }

    message->used = 0;

    if (!message->abandoned) {
        sim_node_answer(w, message);
    }
}


/* On its way there, on its way back, or not lost but late: it is executed
 * when nobody waits for it any more. */

static void
sim_lose(sim_world_t *w, sim_message_t *message)
{
    sim_node_give_up(w, message);

    if (message->executed || sim_any(w, 2)) {
        message->used = 0;
    }
}


/* Nothing breaks any more. */

static void
sim_rest(sim_world_t *w)
{
    uint32_t    i;
    ngx_uint_t  n;

    w->calm = 1;

    for (i = 0; i < SIM_NODES; i++) {
        w->nodes[i].apart = 0;
        w->nodes[i].full = 0;
        w->nodes[i].skew = 0;

        if (!w->nodes[i].up) {
            sim_node_start(w, i);
        }
    }

    for (n = 0; n < SIM_REST && !w->wrong; n++) {

        for (i = 0; i < w->nrequests; i++) {

            if (w->requests[i].state == SIM_REQUEST_OPEN) {
                sim_request_end(w, i, w->requests[i].reserved / 2, 0);
            }
        }

        if (sim_round(w) == 0) {
            break;
        }
    }

    sim_check_rest(w);
}


/* 50 ms in which all is done that can be; 0 if nothing is left to do. */

static ngx_uint_t
sim_round(sim_world_t *w)
{
    uint32_t       i;
    ngx_uint_t     left;
    static size_t  last;

    w->now += 50;
    left = 0;

    for (i = 0; i < SIM_NODES; i++) {
        sim_node_survey(w, i);
        sim_node_drain(w, i);
        sim_node_return(w, i);
        sim_replay(w, i);

        /* each second, and not all at once */

        if (w->now / 50 % 20 == i) {
            sim_node_see(w, i);
            sim_node_compare(w, i);
            sim_store_sweep(w);
        }

        left += w->nodes[i].journal.len - w->nodes[i].journal.flushed;
        left += w->nodes[i].meter.open + w->nodes[i].meter.unwritten;
    }

    for (i = 0; i < w->nrequests; i++) {

        if (w->requests[i].state == SIM_REQUEST_WAITING
            && w->requests[i].wake <= w->now)
        {
            sim_request_wake(w, i);
        }

        left += (w->requests[i].state < SIM_REQUEST_ENDED
                 && w->requests[i].state != SIM_REQUEST_NONE);
    }

    for (i = 0; i < 40 * SIM_MESSAGES; i++) {
        sim_deliver(w);
    }

    for (i = 0; i < SIM_INCARNATIONS; i++) {
        left += w->files[i].used;
    }

    for (i = 0; i < w->store.nopen; i++) {
        left += w->store.leases[w->store.open[i]].totals.granted
                - w->store.leases[w->store.open[i]].totals.returned
                - w->store.leases[w->store.open[i]].totals.settled;
    }

    sim_check(w);

    /* twice nothing: what was in flight has arrived */

    left += last;
    last = left - last;

    return left;
}


/*
 * One node has had nearly all of an account and holds it idle.  Two others
 * are each asked for all that is left: one of them admits its request within
 * the bound, whatever part of it the other got first.
 */

static void
sim_probe(sim_world_t *w)
{
    uint32_t        user, node, first, second, rival;
    uint64_t        left, began;
    sim_account_t  *account;

    /* a refusal that was right is believed for a second */

    for (began = w->now; w->now - began <= 1000; (void) sim_round(w)) {
        /* void */
    }

    user = sim_any(w, SIM_USERS);
    account = sim_store_account(w, user, sim_store_period(w));

    if (w->now / SIM_PERIOD + 1 < SIM_PERIODS
        && w->now % SIM_PERIOD > SIM_PERIOD / 2)
    {
        return;
    }

    left = account->limit - account->used - account->leased;

    if (left < 2) {
        return;
    }

    first = sim_request(w, 0, 1, user, left / 2 + sim_any(w, left / 2), 1);

    if (first == SIM_NONE) {
        return;
    }

    (void) sim_wait_for(w, first);

    if (w->requests[first].state != SIM_REQUEST_OPEN) {
        sim_wrong(w, "a request was refused though enough is free");
        return;
    }

    sim_request_end(w, first, 0, 1);

    began = w->now;
    node = 1 + sim_any(w, SIM_NODES - 1);

    second = sim_request(w, node, 1, user, left, left);
    rival = sim_request(w, node % (SIM_NODES - 1) + 1, 1, user, left, left);

    if (second == SIM_NONE || rival == SIM_NONE) {
        return;
    }

    /* both wait as long as it takes to be refused */

    if (!sim_wait_for(w, second) || !sim_wait_for(w, rival)
        || (w->requests[second].state == SIM_REQUEST_OPEN)
           + (w->requests[rival].state == SIM_REQUEST_OPEN) != 1)
    {
        sim_wrong(w, "two were refused though idle leases cover one");
        return;
    }

    sim_counts.probes++;
    sim_counts.slowest = ngx_max(sim_counts.slowest, w->now - began);

    sim_request_end(w, w->requests[second].state == SIM_REQUEST_OPEN
                       ? second : rival, 0, 1);
}


/* 1 if it is decided within the bound. */

static ngx_uint_t
sim_wait_for(sim_world_t *w, uint32_t request)
{
    uint64_t       end;
    sim_request_e  state;

    for (end = w->now + SIM_PROBE_BOUND; w->now < end; (void) sim_round(w)) {
        state = w->requests[request].state;

        if (state != SIM_REQUEST_ASKING && state != SIM_REQUEST_WAITING) {
            return 1;
        }
    }

    return 0;
}


/* xorshift64* */

uint32_t
sim_any(sim_world_t *w, uint32_t n)
{
    if (n == 0) {
        return 0;
    }

    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;

    return (uint32_t) ((w->random * 0x2545f4914f6cdd1d) >> 33) % n;
}


/* NULL if the ways are full: who sends tries later */

sim_message_t *
sim_send(sim_world_t *w, sim_message_e type, uint32_t node)
{
    uint32_t        i;
    sim_message_t  *message;

    for (i = 0; i < SIM_MESSAGES; i++) {
        message = &w->messages[i];

        if (!message->used) {
            ngx_memzero(message, sizeof(sim_message_t));

            message->used = 1;
            message->type = type;
            message->node = node;
            message->incarnation = w->nodes[node].incarnation;
            message->file = SIM_NONE;
            message->sent = w->now;

            return message;
        }
    }

    return NULL;
}


/* A disk that is full takes the half of a record, or nothing. */

ngx_int_t
sim_append(sim_world_t *w, sim_node_t *node,
    const ngx_pulse_journal_record_t *record)
{
    size_t          len;
    u_char         *p;
    sim_journal_t  *journal;

    journal = &node->journal;

    if (journal->size < journal->len + NGX_PULSE_JOURNAL_MAX) {
        journal->size = 2 * journal->size + 65536;
        p = realloc(journal->bytes, journal->size);

        if (p == NULL) {
            sim_wrong(w, "no memory");
            return NGX_ERROR;
        }

        journal->bytes = p;
    }

    len = ngx_pulse_journal_write(journal->bytes + journal->len, record);

    if (node->full) {
        journal->len += sim_any(w, 3) ? 0 : sim_any(w, len);
        return NGX_ERROR;
    }

    journal->len += len;

    return NGX_OK;
}


void
sim_id(u_char *id, uint32_t n)
{
    ngx_memset(id, 0x5a, 16);
    ngx_memcpy(id, &n, sizeof(uint32_t));
}


uint32_t
sim_number(const u_char *id)
{
    uint32_t  n;

    ngx_memcpy(&n, id, sizeof(uint32_t));

    return n;
}


void
sim_wrong(sim_world_t *w, const char *what)
{
    if (w->wrong == NULL) {
        w->wrong = what;
    }
}
