
/*
 * The store: what the statements of conf/schema/0003_usage.sql and of later
 * files do to their rows.  Each is one transaction there, one step here.
 */

#include "sim.h"


#define SIM_STALE  20000            /* node_leases() leaves newer ones out */
#define SIM_SHORT  3000             /* nobody takes more than is needed */


static void sim_store_acquire(sim_world_t *w, sim_message_t *message);
static void sim_store_recall(sim_world_t *w, sim_message_t *message,
    uint32_t period);
static void sim_store_return(sim_world_t *w, sim_message_t *message);
static void sim_store_record(sim_world_t *w, sim_message_t *message);
static void sim_store_spend(sim_world_t *w, sim_row_t *row);
static void sim_store_seen(sim_world_t *w, sim_message_t *message);
static void sim_store_list(sim_world_t *w, sim_message_t *message);
static void sim_store_close(sim_world_t *w, uint32_t lease);
static void sim_store_node_close(sim_world_t *w, uint32_t incarnation);
static sim_incarnation_t *sim_store_node(sim_world_t *w,
    uint32_t incarnation);
static void sim_store_read(sim_world_t *w, sim_message_t *message);
static uint64_t sim_store_held(const sim_lease_t *lease);


void
sim_store_execute(sim_world_t *w, sim_message_t *message)
{
    ngx_uint_t  i;

    switch (message->type) {

    case SIM_ACQUIRE:
        sim_store_acquire(w, message);
        break;

    case SIM_RETURN:
        sim_store_return(w, message);
        break;

    case SIM_RECORD:
        sim_store_record(w, message);
        break;

    case SIM_SEEN:
        sim_store_seen(w, message);
        break;

    case SIM_LIST:
        sim_store_list(w, message);
        break;

    case SIM_CLOSE:
        for (i = 0; i < message->n; i++) {
            sim_store_close(w, message->rows[i].lease);
        }

        break;

    case SIM_NODE_CLOSE:
        sim_store_node_close(w, message->incarnation);
        break;
    }

    message->executed = 1;
}


/* lease_acquire() */

static void
sim_store_acquire(sim_world_t *w, sim_message_t *message)
{
    uint64_t                    free, taken, most;
    uint32_t                    period;
    sim_lease_t                *lease;
    sim_account_t              *account;
    ngx_pulse_node_question_t  *question;

    period = sim_store_period(w);
    account = sim_store_account(w, message->user, period);
    lease = &w->store.leases[message->lease];
    question = &message->question;

    message->refused = lease->exists
                       && (lease->closed || lease->period != period);

    if (message->refused) {
        return;
    }

    free = account->limit - account->used - account->leased;
    most = (account->short_until > w->now) ? 0
                                           : ngx_min(question->more, free / 8);
    taken = ngx_min(free, ngx_max(question->need, most));
    taken = (free < question->least) ? 0 : taken;

    if (taken < question->need && account->leased > sim_store_held(lease)) {
        account->short_until = w->now + SIM_SHORT;
        sim_store_recall(w, message, period);
    }

    if (taken) {
        if (!lease->exists) {
            sim_store_node(w, message->incarnation);

            w->store.open[w->store.nopen++] = message->lease;

            lease->exists = 1;
            lease->incarnation = message->incarnation;
            lease->user = message->user;
            lease->period = period;
        }

        lease->totals.granted += taken;
        lease->changed = w->now;
        account->leased += taken;
        sim_store_changed(account);
    }

    message->grant.taken = taken;
    message->grant.totals = lease->totals;
    message->grant.used = account->used + account->debt;
    message->grant.limit = account->limit;
    message->grant.period = period;
    message->grant.period_end = (period + 1 == SIM_PERIODS)
                                ? (int64_t) 1 << 60
                                : ((int64_t) period + 1) * SIM_PERIOD * 1000;
}


static void
sim_store_recall(sim_world_t *w, sim_message_t *message, uint32_t period)
{
    uint32_t      i;
    sim_lease_t  *lease;

    for (i = 0; i < w->store.nopen; i++) {
        lease = &w->store.leases[w->store.open[i]];

        if (lease->user == message->user && lease->period == period
            && w->store.open[i] != message->lease)
        {
            lease->recalled = 1;
        }
    }
}


/* lease_return() */

static void
sim_store_return(sim_world_t *w, sim_message_t *message)
{
    uint64_t        total;
    ngx_uint_t      i;
    sim_row_t      *row;
    sim_lease_t    *lease;
    sim_account_t  *account;

    for (i = 0; i < message->n; i++) {
        row = &message->rows[i];
        lease = &w->store.leases[row->lease];

        if (!lease->exists || lease->closed
            || lease->incarnation != message->incarnation)
        {
            continue;
        }

        total = ngx_max(lease->totals.returned, row->totals.returned);
        total = ngx_min(total,
                        lease->totals.granted - lease->totals.settled);

        account = sim_store_account(w, lease->user, lease->period);
        account->leased -= total - lease->totals.returned;

        lease->totals.returned = total;
        lease->changed = w->now;

        sim_store_changed(account);

        if (row->closed && sim_store_held(lease) == 0) {
            sim_store_close(w, row->lease);
        }
    }

    sim_store_read(w, message);
}


/* usage_record() */

static void
sim_store_record(sim_world_t *w, sim_message_t *message)
{
    ngx_uint_t  i;

    for (i = 0; i < message->n; i++) {
        sim_store_spend(w, &message->rows[i]);
    }

    sim_store_read(w, message);
}


static void
sim_store_spend(sim_world_t *w, sim_row_t *row)
{
    uint64_t        part;
    sim_lease_t    *lease;
    sim_account_t  *account;

    if (w->store.ledger[row->request]) {
        return;
    }

    w->store.ledger[row->request]++;
    w->store.amounts[row->request] = row->amount;

    lease = &w->store.leases[row->lease];
    account = sim_store_account(w, row->user, row->period);

    part = 0;

    if (lease->exists && !lease->closed) {
        part = ngx_min(row->settled, sim_store_held(lease));
        lease->totals.settled += part;
        lease->changed = w->now;

        /* the statement joins the two by the account */

        if (lease->user != row->user || lease->period != row->period) {
            part = 0;
        }
    }

    account->used += part;
    account->leased -= part;
    account->debt += row->amount - part;
    account->events += row->amount;

    sim_store_changed(account);
}


/* node_seen() */

static void
sim_store_seen(sim_world_t *w, sim_message_t *message)
{
    uint32_t            i;
    sim_lease_t        *lease;
    sim_incarnation_t  *node;

    node = sim_store_node(w, message->incarnation);

    node->closed = 0;
    node->seen = w->now;

    message->lost = node->lost;

    for (i = 0; i < w->store.nopen && message->n < SIM_ROWS; i++) {
        lease = &w->store.leases[w->store.open[i]];

        if (lease->recalled && lease->incarnation == message->incarnation) {
            lease->recalled = 0;
            message->rows[message->n++].lease = w->store.open[i];
        }
    }
}


/* node_leases() */

static void
sim_store_list(sim_world_t *w, sim_message_t *message)
{
    uint32_t      i;
    sim_lease_t  *lease;

    for (i = 0; i < w->store.nopen && message->n < SIM_ROWS; i++) {
        lease = &w->store.leases[w->store.open[i]];

        if (lease->incarnation == message->incarnation
            && (w->calm || lease->changed + SIM_STALE < w->now))
        {
            message->rows[message->n++].lease = w->store.open[i];
        }
    }

    sim_store_read(w, message);
}


/* lease_close() */

static void
sim_store_close(sim_world_t *w, uint32_t n)
{
    uint32_t        i;
    uint64_t        held;
    sim_lease_t    *lease;
    sim_account_t  *account;

    lease = &w->store.leases[n];

    if (!lease->exists || lease->closed) {
        return;
    }

    held = sim_store_held(lease);
    account = sim_store_account(w, lease->user, lease->period);

    lease->totals.returned += held;
    lease->changed = w->now;
    lease->closed = 1;

    for (i = 0; w->store.open[i] != n; i++) { /* void */ }

    w->store.open[i] = w->store.open[--w->store.nopen];

    account->leased -= held;
    account->excused = account->excused || held;

    sim_store_changed(account);
}


/* node_close() */

static void
sim_store_node_close(sim_world_t *w, uint32_t incarnation)
{
    uint32_t            i;
    ngx_uint_t          taken;
    sim_incarnation_t  *node;

    for (i = w->store.nopen, taken = 0; i; i--) {

        if (w->store.leases[w->store.open[i - 1]].incarnation == incarnation)
        {
            sim_store_close(w, w->store.open[i - 1]);
            taken = 1;
        }
    }

    node = sim_store_node(w, incarnation);

    /* given_up */

    node->lost += (taken || !node->closed);
    node->closed = 1;
}


static sim_incarnation_t *
sim_store_node(sim_world_t *w, uint32_t incarnation)
{
    sim_incarnation_t  *node;

    node = &w->store.nodes[incarnation];

    if (!node->exists) {
        node->exists = 1;
        node->seen = w->now;
    }

    return node;
}


/* lease_sweep() */

void
sim_store_sweep(sim_world_t *w)
{
    uint32_t            i;
    sim_incarnation_t  *node;

    if (w->store.started + SIM_SWEEP > w->now) {
        return;
    }

    for (i = 0; i < w->nincarnations; i++) {
        node = &w->store.nodes[i];

        if (node->exists && node->seen + SIM_SWEEP < w->now) {
            sim_counts.sweeps += !node->closed;
            sim_store_node_close(w, i);
        }
    }
}


/* lease_read() */

static void
sim_store_read(sim_world_t *w, sim_message_t *message)
{
    ngx_uint_t      i;
    sim_row_t      *row;
    sim_lease_t    *lease;
    sim_account_t  *account;

    for (i = 0; i < message->n; i++) {
        row = &message->rows[i];
        lease = &w->store.leases[row->lease];

        row->closed = !lease->exists || lease->closed;
        row->totals = lease->totals;
        row->user = lease->user;

        account = sim_store_account(w, lease->user, lease->period);
        row->used = account->used + account->debt;
        row->limit = account->limit;
    }
}


/* account_open() */

sim_account_t *
sim_store_account(sim_world_t *w, uint32_t user, uint32_t period)
{
    sim_account_t  *account;

    account = &w->store.accounts[user][period];

    if (!account->exists) {
        account->exists = 1;
        account->limit = 2000 + 3000 * user;
    }

    return account;
}


/* accounts_before_update() */

void
sim_store_changed(sim_account_t *account)
{
    uint64_t  part;

    part = account->limit - account->used - account->leased;
    part = ngx_min(account->debt, part);

    account->used += part;
    account->debt -= part;
}


uint32_t
sim_store_period(sim_world_t *w)
{
    return ngx_min(w->now / SIM_PERIOD, SIM_PERIODS - 1);
}


static uint64_t
sim_store_held(const sim_lease_t *lease)
{
    const ngx_pulse_lease_t  *totals;

    totals = &lease->totals;

    return totals->granted - totals->returned - totals->settled;
}
