
#ifndef _NGX_PULSE_BREAKER_H_INCLUDED_
#define _NGX_PULSE_BREAKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Whether a provider is worth asking, pure: any piece of memory, the caller
 * has the lock and a monotonic clock of ms.
 *
 * A circuit breaker opens after a number of failures within a window, if they
 * are half of what ended in it at least.  After a pause one request at a time
 * goes through as a probe; how that ends closes or opens it.  A probe of which
 * nothing is heard is given up after a time.
 *
 * Apart from that a provider may have said when to come again: for all, or
 * for one model, since their rates are limited by model.
 */

#define NGX_PULSE_BREAKER_CLOSED     0
#define NGX_PULSE_BREAKER_OPEN       1
#define NGX_PULSE_BREAKER_HALF_OPEN  2
#define NGX_PULSE_BREAKER_SAME       3     /* no edge */

#define NGX_PULSE_BREAKER_HOLDS      8
#define NGX_PULSE_BREAKER_ALL        0     /* instead of a model */


typedef struct {
    ngx_uint_t                  failures;  /* that open it; 0: nothing does */
    ngx_msec_t                  window;
    ngx_msec_t                  pause;
    ngx_msec_t                  probe;     /* life of one */
} ngx_pulse_breaker_limits_t;


typedef struct {
    ngx_msec_t                  until;
    uint32_t                    model;     /* hash, or ..._ALL */
    uint32_t                    used;
} ngx_pulse_breaker_hold_t;


typedef struct {
    ngx_atomic_t                heed;      /* 0: nothing but closed */
    ngx_uint_t                  state;
    ngx_uint_t                  failures;  /* in this window */
    ngx_uint_t                  successes;
    ngx_msec_t                  since;     /* of the window */
    ngx_msec_t                  until;     /* of the pause, or of the probe */
    ngx_uint_t                  ticket;    /* of the latest probe */
    ngx_uint_t                  probing;
    ngx_pulse_breaker_hold_t    holds[NGX_PULSE_BREAKER_HOLDS];
} ngx_pulse_breaker_t;


typedef struct {
    ngx_uint_t                  ticket;    /* 0: no probe */
    ngx_uint_t                  edge;      /* state entered, or ..._SAME */
    ngx_msec_t                  wait;      /* if NGX_BUSY, ms, 1 at least */
    unsigned                    held:1;    /* the provider said so */
} ngx_pulse_breaker_turn_t;


/* 1 if a request may go and a success need not be told: read without lock. */
#define ngx_pulse_breaker_calm(b)  ((b)->heed == 0)

/*
 * A request for a model wants to go: NGX_OK, or NGX_BUSY with turn->wait.  If
 * turn->ticket is set it goes as the probe, and one of the three below is to
 * be told of it.
 */
ngx_int_t ngx_pulse_breaker_admit(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, uint32_t model, ngx_msec_t now,
    ngx_pulse_breaker_turn_t *turn);

/*
 * How a request ended, with its ticket or 0; the state entered, or
 * NGX_PULSE_BREAKER_SAME.  A "fatal" failure opens at once.  Of a request that
 * says nothing of the provider the probe is released.
 */
ngx_uint_t ngx_pulse_breaker_success(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_uint_t ticket,
    ngx_msec_t now);
ngx_uint_t ngx_pulse_breaker_failure(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_uint_t ticket,
    ngx_uint_t fatal, ngx_msec_t now);
void ngx_pulse_breaker_release(ngx_pulse_breaker_t *b, ngx_uint_t ticket);

/* The provider said to come again in "wait" ms. */
void ngx_pulse_breaker_hold(ngx_pulse_breaker_t *b, uint32_t model,
    ngx_msec_t wait, ngx_msec_t now);


#endif /* _NGX_PULSE_BREAKER_H_INCLUDED_ */
