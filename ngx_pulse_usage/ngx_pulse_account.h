
#ifndef _NGX_PULSE_ACCOUNT_H_INCLUDED_
#define _NGX_PULSE_ACCOUNT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The arithmetic of a lease, pure: no clock, no I/O, no allocation.
 *
 * A lease is what one node may spend from one account.  Node and store each
 * keep the same three totals, which only grow, so that a message lost, sent
 * twice or out of order does no harm: the larger value is the newer one.
 *
 *     granted    all the store ever moved from free to leased for it
 *     returned   all the node ever gave back unspent
 *     settled    all that events of it moved from leased to used
 *
 * In the store leased = granted - returned - settled.  In the node
 * free = granted - returned - settled - reserved, never negative; that is
 * the admission rule and the whole of the promise.
 */

typedef struct {
    uint64_t     granted;
    uint64_t     returned;
    uint64_t     settled;
    uint64_t     reserved;      /* by requests in flight, node only */
} ngx_pulse_lease_t;


/* What may still be reserved. */
uint64_t ngx_pulse_lease_free(const ngx_pulse_lease_t *lease);

/* Takes up to "want" if at least "min" (>= 1) is free: returns the amount
 * taken, 0 if refused. */
uint64_t ngx_pulse_lease_reserve(ngx_pulse_lease_t *lease, uint64_t want,
    uint64_t min);

/* Ends a reservation of "reserved" that cost "amount".  What passes the
 * reservation is taken from what is free; returns the rest, which becomes
 * the account's debt.  settled grows by amount less that. */
uint64_t ngx_pulse_lease_settle(ngx_pulse_lease_t *lease, uint64_t reserved,
    uint64_t amount);

/* Takes in the store's total; an older one changes nothing. */
void ngx_pulse_lease_granted(ngx_pulse_lease_t *lease, uint64_t granted);

/* Gives back what is free but for "keep"; returns the new total returned,
 * which is what goes to the store. */
uint64_t ngx_pulse_lease_return(ngx_pulse_lease_t *lease, uint64_t keep);


#endif /* _NGX_PULSE_ACCOUNT_H_INCLUDED_ */
