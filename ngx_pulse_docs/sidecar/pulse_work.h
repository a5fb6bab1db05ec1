
#ifndef _PULSE_WORK_H_INCLUDED_
#define _PULSE_WORK_H_INCLUDED_


#include "pulse_store.h"


typedef struct {
    const char  *conninfo;
    const char  *lease_ttl;         /* interval, as Postgres reads one */
} pulse_work_conf_t;


/*
 * The sidecar's watch, in one thread with one connection: it adds jobs whose
 * time has come, wakes those who do them, and takes back the leases of nodes
 * that are gone.  That is no job: what nodes hold must come back also where
 * jobs wait, and to do it twice changes nothing.
 * 0, or an errno; "conf" must live until pulse_work_stop().
 */
int pulse_work_start(pulse_work_conf_t *conf);

/* Ends after the statement that runs. */
void pulse_work_stop(void);


#endif /* _PULSE_WORK_H_INCLUDED_ */
