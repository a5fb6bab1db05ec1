
#ifndef _PULSE_WORKER_H_INCLUDED_
#define _PULSE_WORKER_H_INCLUDED_


#include "pulse_http.h"


/*
 * Threads for what takes long or waits for the database, so that the ones
 * that serve connections never do.  A request is suspended while it waits for
 * its turn and runs.
 */


/* Each lane has threads of its own: a provider of payments that does not
 * answer delays no document, and nothing that a webhook tells. */

typedef enum {
    PULSE_WORKER_NONE = 0,          /* the thread of the connection does */
    PULSE_WORKER_DOCUMENTS,
    PULSE_WORKER_PAYMENTS,          /* may wait for a provider */
    PULSE_WORKER_WEBHOOKS,          /* waits for Postgres only */
    PULSE_WORKER_IMAGES             /* waits for providers, for minutes */
} pulse_worker_lane_e;


#define PULSE_WORKER_LANES  4


/* Starts the threads, each with a connection of its own to Postgres, made
 * when it is needed.  0, or an errno. */
int pulse_worker_start(const char *conninfo);

/* Ends what runs and refuses what waits, and all that comes later. */
void pulse_worker_stop(void);

/* Hands a suspended request to a worker, which takes it up again with
 * pulse_http_resume().  NGX_BUSY: too many wait. */
ngx_int_t pulse_worker_add(pulse_http_request_t *r);

/* The same for one that was a worker's before: it waits however many do. */
void pulse_worker_again(pulse_http_request_t *r);

/* NGX_OK with r->store connected; NGX_ERROR, logged once for an outage. */
ngx_int_t pulse_worker_store(pulse_http_request_t *r);


#endif /* _PULSE_WORKER_H_INCLUDED_ */
