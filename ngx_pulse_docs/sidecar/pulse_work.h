
#ifndef _PULSE_WORK_H_INCLUDED_
#define _PULSE_WORK_H_INCLUDED_


#include "pulse_outbox.h"


typedef struct {
    const char      *conninfo;
    const char      *lease_ttl;     /* interval, as Postgres reads one */
    pulse_outbox_t   outbox;
} pulse_work_conf_t;


/*
 * The sidecar's regular work, in one thread with one connection: mail as it
 * comes, leases of nodes that are gone, schedules; and it wakes the jobs.
 * 0, or an errno; "conf" must live until pulse_work_stop().
 */
int pulse_work_start(pulse_work_conf_t *conf);

/* Ends after the statement that runs. */
void pulse_work_stop(void);


#endif /* _PULSE_WORK_H_INCLUDED_ */
