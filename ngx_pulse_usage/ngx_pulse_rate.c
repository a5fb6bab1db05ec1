
#include "ngx_pulse_rate.h"


#define NGX_PULSE_RATE_EVICT_STEPS  32


static void ngx_pulse_rate_mark(ngx_pulse_rate_t *rate,
    ngx_pulse_rate_entry_t *entry);
static ngx_pulse_rate_entry_t *ngx_pulse_rate_entry(ngx_pulse_rate_t *rate,
    const u_char *user, uint32_t window, time_t now);
static ngx_pulse_rate_entry_t *ngx_pulse_rate_slot(ngx_pulse_rate_t *rate,
    time_t now);
static void ngx_pulse_rate_unlink(ngx_pulse_rate_t *rate,
    ngx_pulse_rate_entry_t *entry);
static uint32_t *ngx_pulse_rate_bucket(ngx_pulse_rate_t *rate,
    const u_char *user, uint32_t window);


ngx_int_t
ngx_pulse_rate_init(ngx_pulse_rate_t *rate, u_char *p, size_t size)
{
    size_t  n, buckets;

    n = size / (sizeof(ngx_pulse_rate_entry_t) + sizeof(uint32_t));

    if (n < 16) {
        return NGX_ERROR;
    }

    for (buckets = 16; buckets * 2 <= n; buckets *= 2) { /* void */ }

    rate->n = n;
    rate->mask = buckets - 1;
    rate->entries = (ngx_pulse_rate_entry_t *) p;
    rate->buckets = (uint32_t *) (rate->entries + n);
    ngx_memzero(rate->buckets, buckets * sizeof(uint32_t));

    return NGX_OK;
}


ngx_int_t
ngx_pulse_rate_take(ngx_pulse_rate_t *rate, const u_char *user,
    const ngx_pulse_rate_limit_t *limits, ngx_uint_t n, time_t now,
    ngx_pulse_rate_state_t *state)
{
    ngx_int_t                rc;
    ngx_uint_t               i, count, remaining;
    ngx_pulse_rate_entry_t  *entry;

    rc = NGX_OK;
    ngx_memzero(state, sizeof(ngx_pulse_rate_state_t));

    for (i = 0; i < n; i++) {
        entry = ngx_pulse_rate_entry(rate, user, limits[i].window, now);

        count = entry ? (ngx_uint_t) entry->count + entry->others : 0;
        remaining = count < limits[i].limit ? limits[i].limit - count : 0;

        if (remaining == 0) {
            rc = NGX_BUSY;
        }

        if (state->limit == 0
            || remaining < state->remaining
            || (remaining == 0 && limits[i].window > state->window))
        {
            state->limit = limits[i].limit;
            state->remaining = remaining;
            state->window = limits[i].window;
            state->reset = now - now % limits[i].window + limits[i].window;
        }
    }

    if (rc == NGX_BUSY) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        entry = ngx_pulse_rate_find(rate, user, limits[i].window, now);

        if (entry) {
            entry->count++;
            ngx_pulse_rate_mark(rate, entry);
        }
    }

    if (state->remaining) {
        state->remaining--;
    }

    return NGX_OK;
}


ngx_pulse_rate_entry_t *
ngx_pulse_rate_find(ngx_pulse_rate_t *rate, const u_char *user,
    uint32_t window, time_t now)
{
    uint32_t                 i;
    ngx_pulse_rate_entry_t  *entry;

    for (i = *ngx_pulse_rate_bucket(rate, user, window); i; i = entry->next) {
        entry = &rate->entries[i];

        if (entry->window == window
            && ngx_memcmp(entry->user, user, 16) == 0)
        {
            return entry->start == now - now % window ? entry : NULL;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_pulse_rate_collect(ngx_pulse_rate_t *rate, ngx_pulse_rate_delta_t *deltas,
    ngx_uint_t n)
{
    ngx_uint_t               i;
    ngx_pulse_rate_entry_t  *entry;

    for (i = 0; i < n && rate->ndirty; i++) {
        entry = &rate->entries[rate->dirty[--rate->ndirty]];

        ngx_memcpy(deltas[i].user, entry->user, 16);
        deltas[i].window = entry->window;
        deltas[i].start = entry->start;
        deltas[i].delta = entry->count - entry->sent;
        deltas[i].keep = !entry->kept;

        entry->sent = entry->count;
        entry->dirty = 0;
        entry->kept = 1;
    }

    return i;
}


void
ngx_pulse_rate_total(ngx_pulse_rate_t *rate,
    const ngx_pulse_rate_delta_t *delta, uint64_t total)
{
    ngx_pulse_rate_entry_t  *entry;

    entry = ngx_pulse_rate_find(rate, delta->user, delta->window,
                                delta->start);

    /* a store that forgot the window counts less than is known here */

    if (entry) {
        entry->others = total > entry->sent
                        ? ngx_min(total - entry->sent, NGX_MAX_INT32_VALUE)
                        : 0;
    }
}


void
ngx_pulse_rate_unheard(ngx_pulse_rate_t *rate,
    const ngx_pulse_rate_delta_t *delta)
{
    ngx_pulse_rate_entry_t  *entry;

    entry = ngx_pulse_rate_find(rate, delta->user, delta->window,
                                delta->start);

    if (entry && delta->keep) {
        entry->kept = 0;
    }
}


void
ngx_pulse_rate_repair(ngx_pulse_rate_t *rate)
{
    uint32_t                 i, *bucket;
    ngx_pulse_rate_entry_t  *entry;

    ngx_memzero(rate->buckets, (rate->mask + 1) * sizeof(uint32_t));
    rate->ndirty = 0;

    for (i = 1; i <= rate->top; i++) {
        entry = &rate->entries[i];
        entry->dirty = 0;

        if (entry->start) {
            bucket = ngx_pulse_rate_bucket(rate, entry->user, entry->window);
            entry->next = *bucket;
            *bucket = i;
        }
    }
}


static void
ngx_pulse_rate_mark(ngx_pulse_rate_t *rate, ngx_pulse_rate_entry_t *entry)
{
    if (!entry->dirty && rate->ndirty < NGX_PULSE_RATE_DIRTY) {
        entry->dirty = 1;
        rate->dirty[rate->ndirty++] = entry - rate->entries;
    }
}


/* the running window's entry; one of a window before starts anew */

static ngx_pulse_rate_entry_t *
ngx_pulse_rate_entry(ngx_pulse_rate_t *rate, const u_char *user,
    uint32_t window, time_t now)
{
    uint32_t                 i, *bucket;
    ngx_pulse_rate_entry_t  *entry;

    bucket = ngx_pulse_rate_bucket(rate, user, window);

    for (i = *bucket; i; i = entry->next) {
        entry = &rate->entries[i];

        if (entry->window == window
            && ngx_memcmp(entry->user, user, 16) == 0)
        {
            if (entry->start != now - now % window) {
                entry->count = 0;
                entry->sent = 0;
                entry->others = 0;
                entry->kept = 0;
                entry->start = now - now % window;
            }

            return entry;
        }
    }

    entry = ngx_pulse_rate_slot(rate, now);
    if (entry == NULL) {
        return NULL;
    }

    ngx_memcpy(entry->user, user, 16);
    entry->window = window;
    entry->count = 0;
    entry->sent = 0;
    entry->others = 0;
    entry->dirty = 0;
    entry->kept = 0;
    entry->start = now - now % window;
    entry->next = *bucket;

    *bucket = entry - rate->entries;

    return entry;
}


static ngx_pulse_rate_entry_t *
ngx_pulse_rate_slot(ngx_pulse_rate_t *rate, time_t now)
{
    ngx_uint_t               n;
    ngx_pulse_rate_entry_t  *entry;

    if (rate->top + 1 < rate->n) {
        return &rate->entries[++rate->top];
    }

    for (n = 0; n < NGX_PULSE_RATE_EVICT_STEPS; n++) {

        if (++rate->hand > rate->top) {
            rate->hand = 1;
        }

        entry = &rate->entries[rate->hand];

        if (!entry->dirty && entry->start + entry->window <= now) {
            ngx_pulse_rate_unlink(rate, entry);
            return entry;
        }
    }

    return NULL;
}


static void
ngx_pulse_rate_unlink(ngx_pulse_rate_t *rate, ngx_pulse_rate_entry_t *entry)
{
    uint32_t  i, *p;

    i = entry - rate->entries;

    for (p = ngx_pulse_rate_bucket(rate, entry->user, entry->window);
         *p;
         p = &rate->entries[*p].next)
    {
        if (*p == i) {
            *p = entry->next;
            break;
        }
    }

    entry->start = 0;
}


static uint32_t *
ngx_pulse_rate_bucket(ngx_pulse_rate_t *rate, const u_char *user,
    uint32_t window)
{
    uint32_t    hash;
    ngx_uint_t  i;

    hash = 2166136261u ^ window;

    for (i = 0; i < 16; i++) {
        hash = (hash ^ user[i]) * 16777619u;
    }

    return &rate->buckets[(hash ^ hash >> 15) & rate->mask];
}
