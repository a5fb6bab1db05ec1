
#ifndef _NGX_PULSE_METER_H_INCLUDED_
#define _NGX_PULSE_METER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_account.h"
#include "ngx_pulse_journal.h"


/*
 * The tables of a node: accounts with their leases, reservations, workers.
 * Pure: it lives in any piece of memory, the caller has the lock and passes
 * the clock.  All are fixed tables and not lists from an allocator: a
 * process may be killed between any two stores, and what it left is put
 * right from the slots alone by ngx_pulse_meter_repair().
 */

#define NGX_PULSE_METER_WORKERS      256

#define NGX_PULSE_METER_FREE         0      /* states of a reservation */
#define NGX_PULSE_METER_OPENING      1      /* not in the journal yet */
#define NGX_PULSE_METER_OPEN         2
#define NGX_PULSE_METER_SETTLING     3      /* its lease is being changed */
#define NGX_PULSE_METER_SETTLED      4      /* close to be written by owner */
#define NGX_PULSE_METER_UNWRITTEN    5      /* ... owner could not: keeper */

#define NGX_PULSE_METER_UNKNOWN      0      /* what the store said last */
#define NGX_PULSE_METER_EXHAUSTED    1
#define NGX_PULSE_METER_NO_PLAN      2
#define NGX_PULSE_METER_INACTIVE     3

#define NGX_PULSE_METER_PLAN         32

/* no amount passes it: sums of any number of requests stay in 63 bits */
#define NGX_PULSE_METER_MAX_AMOUNT   ((uint64_t) 1 << 40)


typedef struct {
    u_char                      user[16];
    u_char                      lease_id[16];
    ngx_pulse_lease_t           lease;
    ngx_pulse_lease_t           store;      /* totals it confirmed */
    uint64_t                    used;       /* by the store, debt included */
    uint64_t                    limit;
    uint64_t                    chunk;      /* asked for last, beyond need */
    int64_t                     period;     /* us */
    int64_t                     period_end;
    int64_t                     over;       /* by our clock, us */
    ngx_msec_t                  last;       /* use */
    ngx_msec_t                  asked;      /* the store for more */
    ngx_msec_t                  sent;       /* what was returned */
    ngx_msec_t                  until;      /* the verdict holds */
    uint32_t                    next;       /* in its hash chain */
    uint32_t                    open;       /* reservations */
    u_char                      present;
    u_char                      kind;
    u_char                      verdict;
    u_char                      retired;    /* gives no reservation any more */
    u_char                      recalled;
    u_char                      plan_len;
    u_char                      plan[NGX_PULSE_METER_PLAN];
} ngx_pulse_meter_account_t;


typedef struct {
    volatile uint32_t           state;
    uint32_t                    account;
    uint32_t                    worker;
    uint32_t                    next;       /* free */
    uint64_t                    base;       /* lease.settled before */
    volatile uint64_t           progress;
    uint64_t                    noted;      /* progress in the journal */
    uint64_t                    floor;      /* its open record is after it */
    ngx_pulse_journal_record_t  record;
} ngx_pulse_meter_reservation_t;


typedef struct {
    ngx_pid_t                   pid;        /* 0: free */
    uint64_t                    started;    /* tells a reused pid */
} ngx_pulse_meter_worker_t;


typedef struct {
    uint32_t                        naccounts;
    uint32_t                        nreservations;
    uint32_t                        accounts_top;   /* used ever, 1 based */
    uint32_t                        reservations_top;
    uint32_t                        accounts_free;  /* first of a chain */
    uint32_t                        reservations_free;
    uint32_t                        accounts_hand;  /* where eviction looks */
    uint32_t                        open;           /* reservations */
    uint32_t                        unwritten;      /* of them */
    uint32_t                        mask;           /* of buckets */
    uint32_t                       *buckets;
    ngx_pulse_meter_account_t      *accounts;       /* [0] is not used */
    ngx_pulse_meter_reservation_t  *reservations;
    ngx_pulse_meter_worker_t        workers[NGX_PULSE_METER_WORKERS];
} ngx_pulse_meter_t;


/* Lays the tables out in "size" bytes; "m" itself is zeroed.  NGX_ERROR if
 * that is too little to be of use. */
ngx_int_t ngx_pulse_meter_init(ngx_pulse_meter_t *m, u_char *p, size_t size);

/*
 * The account in use of a user and kind, made with "lease_id" (16 bytes) if
 * there is none; with "lease_id" NULL it is only looked up.  NULL: none, or
 * the table is full of accounts that hold something.
 */
ngx_pulse_meter_account_t *ngx_pulse_meter_account(ngx_pulse_meter_t *m,
    const u_char *user, ngx_uint_t kind, const u_char *lease_id,
    ngx_msec_t now);

/* The account of a lease, retired ones too, or NULL. */
ngx_pulse_meter_account_t *ngx_pulse_meter_lease(ngx_pulse_meter_t *m,
    const u_char *user, const u_char *lease_id);

/*
 * Carves a reservation of up to "want", at least "min", out of the account's
 * lease.  Its record has the ids, period and amounts; state is OPENING.
 * NULL: too little is free, or no slot is.
 */
ngx_pulse_meter_reservation_t *ngx_pulse_meter_reserve(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account, uint64_t want, uint64_t min,
    const u_char *id, ngx_uint_t worker, ngx_msec_t now);

/*
 * Adds to a reservation that is open.  NGX_OK, NGX_DECLINED if the lease has
 * less free, or gives nothing any more.
 */
ngx_int_t ngx_pulse_meter_extend(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, uint64_t amount);

/*
 * Ends a reservation at "amount": the lease is charged, the rest is free
 * again, the record is a close, and the state SETTLED until it is written
 * and ngx_pulse_meter_release() called.  Does nothing if it has ended.
 */
void ngx_pulse_meter_settle(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, uint64_t amount);

/* The same at nothing, as a cancel. */
void ngx_pulse_meter_cancel(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res);

/* 1 if the slot holds the reservation "id" and that has ended. */
ngx_uint_t ngx_pulse_meter_ended(const ngx_pulse_meter_reservation_t *res,
    const u_char *id);

/* Frees the slot of the reservation "id", which ended and is in the journal.
 * Does nothing if another keeper was faster: the slot may be in use. */
void ngx_pulse_meter_release(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, const u_char *id);

/* Its close could not be written: the keeper will. */
void ngx_pulse_meter_unwritten(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res, const u_char *id);

/* Takes in totals of the store; "closed": the lease is no more.  A lease of
 * which nothing was known is retired, see ngx_pulse_node_granted(). */
void ngx_pulse_meter_merge(ngx_pulse_meter_account_t *account,
    const ngx_pulse_lease_t *store, uint64_t used, uint64_t limit,
    ngx_uint_t closed);

/* What the user has used by all that is known here. */
uint64_t ngx_pulse_meter_used(const ngx_pulse_meter_account_t *account);

/* 1 if by all that is known here the user's limit has room for so much that
 * is not reserved. */
ngx_uint_t ngx_pulse_meter_room(const ngx_pulse_meter_account_t *account,
    uint64_t amount);

/* 1 if nothing is open and the store knows all that happened. */
ngx_uint_t ngx_pulse_meter_clean(const ngx_pulse_meter_account_t *account);

/* Takes a clean account out of the table. */
void ngx_pulse_meter_drop(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account);

/* Makes chains, free lists, sums and half-done changes right again after a
 * process died inside one of these functions. */
void ngx_pulse_meter_repair(ngx_pulse_meter_t *m);


#endif /* _NGX_PULSE_METER_H_INCLUDED_ */
