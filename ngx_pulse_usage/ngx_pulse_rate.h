
#ifndef _NGX_PULSE_RATE_H_INCLUDED_
#define _NGX_PULSE_RATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Fixed windows of requests for each user, pure: any piece of memory, the
 * caller has the lock and the clock.  A window starts at a multiple of its
 * length, so that nodes with one clock have the same windows.
 */

#define NGX_PULSE_RATE_DIRTY  1024


typedef struct {
    ngx_uint_t             limit;
    time_t                 window;     /* s */
} ngx_pulse_rate_limit_t;


typedef struct {
    u_char                 user[16];
    int64_t                start;      /* unix s; 0: never used */
    uint32_t               window;
    uint32_t               count;      /* here, in this window */
    uint32_t               sent;       /* of them, told the other nodes */
    uint32_t               others;     /* theirs, as last heard */
    uint32_t               next;       /* in its hash chain */
    unsigned               dirty:1;    /* is in the list of those */
    unsigned               kept:1;     /* the store knows how long to */
} ngx_pulse_rate_entry_t;


/* What the other nodes are told of a window. */

typedef struct {
    u_char                 user[16];
    int64_t                start;
    uint32_t               window;
    uint32_t               delta;
    unsigned               keep:1;     /* it has to hear how long, too */
} ngx_pulse_rate_delta_t;


typedef struct {
    uint32_t                 n;
    uint32_t                 top;      /* used ever, 1 based */
    uint32_t                 hand;
    uint32_t                 mask;
    uint32_t                 ndirty;
    uint32_t                *buckets;
    ngx_pulse_rate_entry_t  *entries;
    uint32_t                 dirty[NGX_PULSE_RATE_DIRTY];
} ngx_pulse_rate_t;


/* What a request found: the window nearest to its limit. */

typedef struct {
    ngx_uint_t             limit;
    ngx_uint_t             remaining;
    time_t                 window;
    time_t                 reset;      /* unix s */
} ngx_pulse_rate_state_t;


/* Lays the table out in "size" bytes; "rate" itself is zeroed.  NGX_ERROR
 * if that is too little to be of use. */
ngx_int_t ngx_pulse_rate_init(ngx_pulse_rate_t *rate, u_char *p, size_t size);

/*
 * Counts a request in all "n" windows if none is full.  NGX_OK, or
 * NGX_BUSY if one is (nothing is counted, "state" is of the full one that
 * lasts longest).  A window for which there is no memory does not limit.
 */
ngx_int_t ngx_pulse_rate_take(ngx_pulse_rate_t *rate, const u_char *user,
    const ngx_pulse_rate_limit_t *limits, ngx_uint_t n, time_t now,
    ngx_pulse_rate_state_t *state);

/* The entry of a window that is running, or NULL. */
ngx_pulse_rate_entry_t *ngx_pulse_rate_find(ngx_pulse_rate_t *rate,
    const u_char *user, uint32_t window, time_t now);

/* Up to "n" windows in which requests came that were not told yet; they
 * count as told from now on. */
ngx_uint_t ngx_pulse_rate_collect(ngx_pulse_rate_t *rate,
    ngx_pulse_rate_delta_t *deltas, ngx_uint_t n);

/* What all nodes together have in the window of a delta told before. */
void ngx_pulse_rate_total(ngx_pulse_rate_t *rate,
    const ngx_pulse_rate_delta_t *delta, uint64_t total);

/* Nobody knows whether the store heard of a delta that had "keep": the next
 * one of its window has it again. */
void ngx_pulse_rate_unheard(ngx_pulse_rate_t *rate,
    const ngx_pulse_rate_delta_t *delta);

/* Makes the chains right again after a process died in here. */
void ngx_pulse_rate_repair(ngx_pulse_rate_t *rate);


#endif /* _NGX_PULSE_RATE_H_INCLUDED_ */
