
/* The promises, as sums that are made anew from what they are sums of. */

#include "sim.h"


static void sim_check_accounts(sim_world_t *w);
static void sim_check_node(sim_world_t *w, sim_node_t *node);
static void sim_check_lease(sim_world_t *w, sim_node_t *node, uint32_t i,
    uint64_t reserved, uint32_t open);
static void sim_check_request(sim_world_t *w, uint32_t n);


void
sim_check(sim_world_t *w)
{
    ngx_uint_t  i;

    sim_check_accounts(w);

    for (i = 0; i < SIM_NODES; i++) {

        if (w->nodes[i].up) {
            sim_check_node(w, &w->nodes[i]);
        }
    }
}


static void
sim_check_accounts(sim_world_t *w)
{
    uint32_t        i, user, period;
    uint64_t        leased[SIM_USERS][SIM_PERIODS];
    sim_lease_t    *lease;
    sim_account_t  *account;

    ngx_memzero(leased, sizeof(leased));

    for (i = 0; i < w->store.nopen; i++) {
        lease = &w->store.leases[w->store.open[i]];

        if (lease->totals.granted
            < lease->totals.returned + lease->totals.settled)
        {
            sim_wrong(w, "a lease is overspent");
        }

        leased[lease->user][lease->period] += lease->totals.granted
                                              - lease->totals.returned
                                              - lease->totals.settled;
    }

    for (user = 0; user < SIM_USERS; user++) {

        for (period = 0; period <= sim_store_period(w); period++) {
            account = &w->store.accounts[user][period];

            if (account->used + account->leased > account->limit) {
                sim_wrong(w, "used + leased > limit");
            }

            if (account->leased != leased[user][period]) {
                sim_wrong(w, "leased <> sum of open leases");
            }

            if (account->used + account->debt != account->events) {
                sim_wrong(w, "used + debt <> sum of the ledger");
            }

            if (account->debt && !account->excused) {
                sim_wrong(w, "debt though nothing cost more than reserved");
            }
        }
    }
}


static void
sim_check_node(sim_world_t *w, sim_node_t *node)
{
    uint32_t                        i, k, open[SIM_TABLES / 256];
    uint64_t                        reserved[SIM_TABLES / 256];
    ngx_pulse_meter_t              *m;
    ngx_pulse_meter_reservation_t  *res;

    m = &node->meter;

    ngx_memzero(open, sizeof(open));
    ngx_memzero(reserved, sizeof(reserved));

    for (i = 1; i <= m->reservations_top; i++) {
        res = &m->reservations[i];

        if (res->state == NGX_PULSE_METER_OPENING
            || res->state == NGX_PULSE_METER_OPEN)
        {
            reserved[res->account] += res->record.reserved;
            open[res->account]++;

            k = sim_number(res->record.id);

            if (w->requests[k].slot != res) {
                sim_wrong(w, "a slot has two owners");
            }
        }
    }

    for (i = 1; i <= m->accounts_top; i++) {

        if (m->accounts[i].present) {
            sim_check_lease(w, node, i, reserved[i], open[i]);
        }
    }
}


static void
sim_check_lease(sim_world_t *w, sim_node_t *node, uint32_t i,
    uint64_t reserved, uint32_t open)
{
    sim_lease_t                *store;
    ngx_pulse_lease_t          *lease;
    ngx_pulse_meter_account_t  *account;

    account = &node->meter.accounts[i];
    lease = &account->lease;
    store = &w->store.leases[sim_number(account->lease_id)];

    if (lease->granted < lease->returned + lease->settled + lease->reserved)
    {
        sim_wrong(w, "a node admitted more than its lease has");
    }

    if (lease->reserved != reserved || account->open != open) {
        sim_wrong(w, "reserved <> sum of open reservations");
    }

    if (store->closed) {
        return;
    }

    if (lease->granted > store->totals.granted) {
        sim_wrong(w, "a node knows of more than was granted");
    }

    if (lease->returned < store->totals.returned
        || lease->settled < store->totals.settled)
    {
        sim_wrong(w, "the store took back what a node still spends");
    }
}


void
sim_check_rest(sim_world_t *w)
{
    uint32_t  i, user, period;

    for (user = 0; user < SIM_USERS; user++) {

        for (period = 0; period < SIM_PERIODS; period++) {

            if (w->store.accounts[user][period].leased) {
                sim_wrong(w, "something is leased though all is at rest");
            }
        }
    }

    for (i = 0; i < SIM_NODES; i++) {

        if (w->nodes[i].meter.open || w->nodes[i].meter.unwritten) {
            sim_wrong(w, "a reservation was leaked");
        }
    }

    for (i = 0; i < w->nrequests; i++) {
        sim_check_request(w, i);
    }
}


/* Every request that was admitted is in the ledger once, at its amount. */

static void
sim_check_request(sim_world_t *w, uint32_t n)
{
    uint64_t        amount;
    ngx_uint_t      rows;
    sim_request_t  *request;

    request = &w->requests[n];
    rows = w->store.ledger[n];
    amount = w->store.amounts[n];

    if (rows > 1) {
        sim_wrong(w, "a request is in the ledger twice");
    }

    if (rows && amount > request->most) {
        sim_wrong(w, "a request was charged more than it can have cost");
    }

    switch (request->state) {

    case SIM_REQUEST_REFUSED:

        if (rows) {
            sim_wrong(w, "a request that was refused is in the ledger");
        }

        break;

    case SIM_REQUEST_CANCELLED:

        if (rows && !request->cut) {
            sim_wrong(w, "a request that was cancelled is in the ledger");
        }

        break;

    case SIM_REQUEST_ENDED:
    case SIM_REQUEST_LOST:

        if (rows == 0 && !request->unknown) {
            sim_wrong(w, "a request is not in the ledger");
        }

        if (rows && amount != request->amount && !request->cut) {
            sim_wrong(w, "a request is in the ledger at another amount");
        }

        break;

    default:
        sim_wrong(w, "a request never ends");
    }
}
