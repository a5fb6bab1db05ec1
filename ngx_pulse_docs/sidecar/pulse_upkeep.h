
#ifndef _PULSE_UPKEEP_H_INCLUDED_
#define _PULSE_UPKEEP_H_INCLUDED_


#include "pulse_jobs.h"


/*
 * What is done at its times, see job_schedules: kinds of jobs for
 * pulse_jobs_add().  Those of files are for a sidecar that has some.
 */

extern const pulse_job_kind_t  pulse_upkeep_kinds[];
extern const pulse_job_kind_t  pulse_upkeep_files_kinds[];


#endif /* _PULSE_UPKEEP_H_INCLUDED_ */
