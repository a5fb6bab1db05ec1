
#include "ngx_pulse_meter.h"


/* what stands in memory when the process is killed is in this order */

#define ngx_pulse_meter_barrier()    __asm__ volatile ("" ::: "memory")

#define NGX_PULSE_METER_EVICT_STEPS  64
#define NGX_PULSE_METER_EVICT_AGE    1000


static uint32_t *ngx_pulse_meter_bucket(ngx_pulse_meter_t *m,
    const u_char *user);
static ngx_pulse_meter_account_t *ngx_pulse_meter_slot(ngx_pulse_meter_t *m,
    ngx_msec_t now);
static ngx_uint_t ngx_pulse_meter_holds(ngx_uint_t state);
static void ngx_pulse_meter_end(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, uint64_t amount, u_char type);
static void ngx_pulse_meter_repair_accounts(ngx_pulse_meter_t *m);
static void ngx_pulse_meter_repair_reservations(ngx_pulse_meter_t *m);


ngx_int_t
ngx_pulse_meter_init(ngx_pulse_meter_t *m, u_char *p, size_t size)
{
    size_t  n, buckets;

    /* half as many reservations as accounts, a bucket for each account */

    n = size / (sizeof(ngx_pulse_meter_account_t) + 2 * sizeof(uint32_t)
                + sizeof(ngx_pulse_meter_reservation_t) / 2);

    if (n < 16) {
        return NGX_ERROR;
    }

    for (buckets = 16; buckets * 2 <= n; buckets *= 2) { /* void */ }

    m->naccounts = n;
    m->nreservations = n / 2;
    m->mask = buckets - 1;

    m->accounts = (ngx_pulse_meter_account_t *) p;
    p += n * sizeof(ngx_pulse_meter_account_t);

    m->reservations = (ngx_pulse_meter_reservation_t *) p;
    p += n / 2 * sizeof(ngx_pulse_meter_reservation_t);

    m->buckets = (uint32_t *) p;
    ngx_memzero(m->buckets, buckets * sizeof(uint32_t));

    return NGX_OK;
}


ngx_pulse_meter_account_t *
ngx_pulse_meter_account(ngx_pulse_meter_t *m, const u_char *user,
    ngx_uint_t kind, const u_char *lease_id, ngx_msec_t now)
{
    uint32_t                    i, *bucket;
    ngx_pulse_meter_account_t  *account;

    bucket = ngx_pulse_meter_bucket(m, user);

    for (i = *bucket; i; i = account->next) {
        account = &m->accounts[i];

        if (account->kind == kind && !account->retired
            && ngx_memcmp(account->user, user, 16) == 0)
        {
            return account;
        }
    }

    if (lease_id == NULL) {
        return NULL;
    }

    account = ngx_pulse_meter_slot(m, now);
    if (account == NULL) {
        return NULL;
    }

    ngx_memzero(account, sizeof(ngx_pulse_meter_account_t));

    ngx_memcpy(account->user, user, 16);
    ngx_memcpy(account->lease_id, lease_id, 16);
    account->kind = (u_char) kind;
    account->last = now;
    account->next = *bucket;

    ngx_pulse_meter_barrier();

    account->present = 1;
    *bucket = account - m->accounts;

    return account;
}


ngx_pulse_meter_account_t *
ngx_pulse_meter_lease(ngx_pulse_meter_t *m, const u_char *user,
    const u_char *lease_id)
{
    uint32_t                    i;
    ngx_pulse_meter_account_t  *account;

    for (i = *ngx_pulse_meter_bucket(m, user); i; i = account->next) {
        account = &m->accounts[i];

        if (ngx_memcmp(account->lease_id, lease_id, 16) == 0) {
            return account;
        }
    }

    return NULL;
}


ngx_pulse_meter_reservation_t *
ngx_pulse_meter_reserve(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account, uint64_t want, uint64_t min,
    const u_char *id, ngx_uint_t worker, ngx_msec_t now)
{
    uint32_t                        i;
    uint64_t                        amount;
    ngx_pulse_meter_reservation_t  *res;

    i = m->reservations_free;

    if (i == 0 && m->reservations_top + 1 >= m->nreservations) {
        return NULL;
    }

    amount = ngx_pulse_lease_reserve(&account->lease, want, min);
    if (amount == 0) {
        return NULL;
    }

    if (i) {
        m->reservations_free = m->reservations[i].next;

    } else {
        i = ++m->reservations_top;
    }

    res = &m->reservations[i];

    ngx_memzero(res, sizeof(ngx_pulse_meter_reservation_t));

    res->account = account - m->accounts;
    res->worker = worker;

    res->record.type = NGX_PULSE_JOURNAL_OPEN;
    res->record.kind = account->kind;
    res->record.period = account->period;
    res->record.reserved = amount;
    res->record.estimate = ngx_min(min, amount);

    ngx_memcpy(res->record.id, id, 16);
    ngx_memcpy(res->record.lease, account->lease_id, 16);
    ngx_memcpy(res->record.user, account->user, 16);

    account->last = now;
    account->open++;
    m->open++;

    ngx_pulse_meter_barrier();

    res->state = NGX_PULSE_METER_OPENING;

    return res;
}


ngx_int_t
ngx_pulse_meter_extend(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, uint64_t amount)
{
    ngx_pulse_lease_t           lease;
    ngx_pulse_meter_account_t  *account;

    if (!ngx_pulse_meter_holds(res->state)) {
        return NGX_DECLINED;
    }

    account = &m->accounts[res->account];
    lease = account->lease;

    if (account->retired
        || ngx_pulse_lease_reserve(&lease, amount, amount) == 0)
    {
        return NGX_DECLINED;
    }

    res->record.reserved += amount;

    ngx_pulse_meter_barrier();

    /* repair sums up what reservations have */

    account->lease = lease;

    return NGX_OK;
}


void
ngx_pulse_meter_settle(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, uint64_t amount)
{
    ngx_pulse_meter_end(m, res, ngx_min(amount, NGX_PULSE_METER_MAX_AMOUNT),
                        NGX_PULSE_JOURNAL_CLOSE);
}


void
ngx_pulse_meter_cancel(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res)
{
    ngx_pulse_meter_end(m, res, 0, NGX_PULSE_JOURNAL_CANCEL);
}


static void
ngx_pulse_meter_end(ngx_pulse_meter_t *m, ngx_pulse_meter_reservation_t *res,
    uint64_t amount, u_char type)
{
    uint64_t                    debt;
    ngx_pulse_lease_t           lease;
    ngx_pulse_meter_account_t  *account;

    if (!ngx_pulse_meter_holds(res->state)) {
        return;
    }

    account = &m->accounts[res->account];

    lease = account->lease;
    debt = ngx_pulse_lease_settle(&lease, res->record.reserved, amount);

    res->base = account->lease.settled;
    res->record.type = type;
    res->record.amount = amount;
    res->record.settled = amount - debt;

    ngx_pulse_meter_barrier();

    /* from here on repair finishes what is begun */

    res->state = NGX_PULSE_METER_SETTLING;

    ngx_pulse_meter_barrier();

    account->lease = lease;
    account->open--;
    m->open--;

    ngx_pulse_meter_barrier();

    res->state = NGX_PULSE_METER_SETTLED;
}


ngx_uint_t
ngx_pulse_meter_ended(const ngx_pulse_meter_reservation_t *res,
    const u_char *id)
{
    return (res->state == NGX_PULSE_METER_SETTLED
            || res->state == NGX_PULSE_METER_UNWRITTEN)
           && ngx_memcmp(res->record.id, id, 16) == 0;
}


void
ngx_pulse_meter_release(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, const u_char *id)
{
    /* twice in the chain it would be given to two requests */

    if (!ngx_pulse_meter_ended(res, id)) {
        return;
    }

    if (res->state == NGX_PULSE_METER_UNWRITTEN) {
        m->unwritten--;
    }

    res->state = NGX_PULSE_METER_FREE;

    ngx_pulse_meter_barrier();

    res->next = m->reservations_free;
    m->reservations_free = res - m->reservations;
}


void
ngx_pulse_meter_unwritten(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, const u_char *id)
{
    if (ngx_pulse_meter_ended(res, id)
        && res->state == NGX_PULSE_METER_SETTLED)
    {
        res->state = NGX_PULSE_METER_UNWRITTEN;
        m->unwritten++;
    }
}


void
ngx_pulse_meter_merge(ngx_pulse_meter_account_t *account,
    const ngx_pulse_lease_t *store, uint64_t used, uint64_t limit,
    ngx_uint_t closed)
{
    ngx_pulse_lease_t  *known;

    if (closed) {
        account->retired = 1;
        return;
    }

    /*
     * The answer that granted it was lost, and which period it was granted
     * in with that: it goes back.
     */

    if (store->granted && account->lease.granted == 0) {
        account->retired = 1;
    }

    known = &account->store;

    /* totals only grow: of two messages the one with more is the newer */

    if (store->granted + store->returned + store->settled
        >= known->granted + known->returned + known->settled)
    {
        account->used = used;
        account->limit = limit;
    }

    known->granted = ngx_max(known->granted, store->granted);
    known->returned = ngx_max(known->returned, store->returned);
    known->settled = ngx_max(known->settled, store->settled);

    ngx_pulse_lease_granted(&account->lease, store->granted);
}


uint64_t
ngx_pulse_meter_used(const ngx_pulse_meter_account_t *account)
{
    uint64_t  unsent;

    unsent = account->lease.settled > account->store.settled
             ? account->lease.settled - account->store.settled : 0;

    return account->used + unsent;
}


ngx_uint_t
ngx_pulse_meter_room(const ngx_pulse_meter_account_t *account,
    uint64_t amount)
{
    uint64_t  taken;

    taken = ngx_pulse_meter_used(account) + account->lease.reserved;

    return taken <= account->limit && amount <= account->limit - taken;
}


ngx_uint_t
ngx_pulse_meter_clean(const ngx_pulse_meter_account_t *account)
{
    const ngx_pulse_lease_t  *lease, *store;

    lease = &account->lease;
    store = &account->store;

    return account->open == 0
           && lease->granted == store->granted
           && lease->returned == store->returned
           && lease->settled == store->settled
           && lease->granted == lease->returned + lease->settled;
}


void
ngx_pulse_meter_drop(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account)
{
    uint32_t  i, *p;

    i = account - m->accounts;

    for (p = ngx_pulse_meter_bucket(m, account->user);
         *p && *p != i;
         p = &m->accounts[*p].next)
    {
        /* void */
    }

    if (*p) {
        *p = account->next;
    }

    account->present = 0;

    ngx_pulse_meter_barrier();

    account->next = m->accounts_free;
    m->accounts_free = i;
}


void
ngx_pulse_meter_repair(ngx_pulse_meter_t *m)
{
    ngx_pulse_meter_repair_accounts(m);
    ngx_pulse_meter_repair_reservations(m);
}


static void
ngx_pulse_meter_repair_accounts(ngx_pulse_meter_t *m)
{
    uint32_t                    i, *bucket;
    ngx_pulse_meter_account_t  *account;

    ngx_memzero(m->buckets, (m->mask + 1) * sizeof(uint32_t));
    m->accounts_free = 0;

    for (i = 1; i <= m->accounts_top; i++) {
        account = &m->accounts[i];

        if (account->present) {
            account->open = 0;
            account->lease.reserved = 0;
            bucket = ngx_pulse_meter_bucket(m, account->user);

        } else {
            bucket = &m->accounts_free;
        }

        account->next = *bucket;
        *bucket = i;
    }
}


static void
ngx_pulse_meter_repair_reservations(ngx_pulse_meter_t *m)
{
    uint32_t                        i;
    ngx_pulse_meter_account_t      *account;
    ngx_pulse_meter_reservation_t  *res;

    m->reservations_free = 0;
    m->unwritten = 0;
    m->open = 0;

    for (i = 1; i <= m->reservations_top; i++) {
        res = &m->reservations[i];
        account = &m->accounts[res->account];

        switch (res->state) {

        case NGX_PULSE_METER_OPENING:
        case NGX_PULSE_METER_OPEN:
            account->lease.reserved += res->record.reserved;
            account->open++;
            m->open++;
            break;

        case NGX_PULSE_METER_SETTLING:
            account->lease.settled = res->base + res->record.settled;
            res->state = NGX_PULSE_METER_SETTLED;
            break;

        case NGX_PULSE_METER_SETTLED:
            break;

        case NGX_PULSE_METER_UNWRITTEN:
            m->unwritten++;
            break;

        default:
            res->next = m->reservations_free;
            m->reservations_free = i;
        }
    }
}


static ngx_uint_t
ngx_pulse_meter_holds(ngx_uint_t state)
{
    return state == NGX_PULSE_METER_OPENING || state == NGX_PULSE_METER_OPEN;
}


static ngx_pulse_meter_account_t *
ngx_pulse_meter_slot(ngx_pulse_meter_t *m, ngx_msec_t now)
{
    uint32_t                    i;
    ngx_uint_t                  n;
    ngx_pulse_meter_account_t  *account;

    if (m->accounts_free == 0 && m->accounts_top + 1 < m->naccounts) {
        return &m->accounts[++m->accounts_top];
    }

    for (n = 0; m->accounts_free == 0; n++) {

        if (n == NGX_PULSE_METER_EVICT_STEPS) {
            return NULL;
        }

        if (++m->accounts_hand > m->accounts_top) {
            m->accounts_hand = 1;
        }

        account = &m->accounts[m->accounts_hand];

        if ((ngx_msec_int_t) (now - account->last)
            > NGX_PULSE_METER_EVICT_AGE
            && ngx_pulse_meter_clean(account))
        {
            ngx_pulse_meter_drop(m, account);
        }
    }

    i = m->accounts_free;
    m->accounts_free = m->accounts[i].next;

    return &m->accounts[i];
}


static uint32_t *
ngx_pulse_meter_bucket(ngx_pulse_meter_t *m, const u_char *user)
{
    uint32_t    hash;
    ngx_uint_t  i;

    hash = 2166136261u;

    for (i = 0; i < 16; i++) {
        hash = (hash ^ user[i]) * 16777619u;
    }

    return &m->buckets[(hash ^ hash >> 15) & m->mask];
}
