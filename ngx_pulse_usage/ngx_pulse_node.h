
#ifndef _NGX_PULSE_NODE_H_INCLUDED_
#define _NGX_PULSE_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_meter.h"


/*
 * What a node decides about its leases: whom to admit, what to ask the store
 * for, what its answer means, what to give back, and what something left
 * open has cost.  Pure: the caller has the lock and passes the clocks, "now"
 * in ms that only grow and "wall" in ms of UTC.  The simulator of t/sim
 * drives these same functions.
 */

typedef enum {
    NGX_PULSE_NODE_ADMITTED = 0,
    NGX_PULSE_NODE_ASK,                 /* the store may have more */
    NGX_PULSE_NODE_FULL,                /* of reservations */
    NGX_PULSE_NODE_ELSEWHERE,           /* what is left is with other nodes */
    NGX_PULSE_NODE_EXHAUSTED,
    NGX_PULSE_NODE_NO_PLAN,
    NGX_PULSE_NODE_INACTIVE
} ngx_pulse_node_verdict_e;


typedef enum {
    NGX_PULSE_NODE_QUIET = 0,           /* the store knows all */
    NGX_PULSE_NODE_RETURN,              /* lease.returned is to be told */
    NGX_PULSE_NODE_CLOSE                /* the same, and it is the last */
} ngx_pulse_node_notice_e;


/* lease_reply of the schema, where its status is "ok" */

typedef struct {
    uint64_t             taken;
    ngx_pulse_lease_t    totals;
    uint64_t             used;
    uint64_t             limit;
    int64_t              period;        /* us */
    int64_t              period_end;
} ngx_pulse_node_grant_t;


/* The account in use of a user and kind, made with "lease_id" unless that is
 * NULL; one whose period is over is retired.  NULL: none, or the table is
 * full. */
ngx_pulse_meter_account_t *ngx_pulse_node_account(ngx_pulse_meter_t *m,
    const u_char *user, ngx_uint_t kind, const u_char *lease_id,
    ngx_msec_t now, int64_t wall);

/*
 * Admits a request for all it wants or, while the store is known to have no
 * more, for what is left if that is "min".  "*res" is its reservation.  It is
 * EXHAUSTED where the limit itself has no room; ELSEWHERE, if it has: what
 * others hold idle may be asked back, and is worth waiting for.
 */
ngx_pulse_node_verdict_e ngx_pulse_node_admit(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account, uint64_t want, uint64_t min,
    const u_char *id, ngx_uint_t worker, ngx_msec_t now,
    ngx_pulse_meter_reservation_t **res);

/*
 * What to ask for: returns what is missing for "want".  With less than
 * "least" nobody is served: it stays in the store, where others find it, so
 * that two nodes never keep a half each that both need whole.  "more" is
 * welcome, and doubles while a user keeps asking ("grows").
 */
typedef struct {
    uint64_t             need;
    uint64_t             least;
    uint64_t             more;
} ngx_pulse_node_question_t;

void ngx_pulse_node_ask(ngx_pulse_meter_account_t *account, uint64_t want,
    uint64_t min, ngx_uint_t grows, ngx_msec_t now,
    ngx_pulse_node_question_t *question);

/* Takes in the answer to a question for "need". */
void ngx_pulse_node_granted(ngx_pulse_meter_account_t *account,
    const ngx_pulse_node_grant_t *grant, uint64_t need, ngx_msec_t now,
    int64_t wall);

/* The store refused; believed for a second. */
void ngx_pulse_node_refused(ngx_pulse_meter_account_t *account,
    ngx_uint_t verdict, ngx_msec_t now);

/* Gives back what is free if it lay idle for "idle", is recalled, retired,
 * or "all" is to go; says what the store is to be told.  An account that
 * never held anything is dropped when it is done with. */
ngx_pulse_node_notice_e ngx_pulse_node_return(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account, ngx_uint_t all, ngx_msec_t idle,
    ngx_msec_t now);

/* The store says that a lease is no more. */
void ngx_pulse_node_closed(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account);

/* The store took the leases of this node: none is used any more. */
void ngx_pulse_node_given_up(ngx_pulse_meter_account_t *account);

/* Ends a reservation whose worker is gone.  1 if it was open till now. */
ngx_uint_t ngx_pulse_node_orphan(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res);

/* Turns the last record of a request that a dead journal leaves open into
 * its close, or its cancel. */
void ngx_pulse_node_replayed(ngx_pulse_journal_record_t *record);


#endif /* _NGX_PULSE_NODE_H_INCLUDED_ */
