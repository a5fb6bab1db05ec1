
#include "pulse_files.h"
#include "pulse_upkeep.h"


static ngx_int_t pulse_upkeep_files(pulse_job_t *job);


const pulse_job_kind_t  pulse_upkeep_kinds[] = {
    { "retention", PULSE_JOBS_UPKEEP, pulse_job_sql,
      "SELECT retention_sweep() WHERE $1::jsonb IS NOT NULL" },
    { "holds", PULSE_JOBS_UPKEEP, pulse_job_sql,
      "SELECT media_sweep() WHERE $1::jsonb IS NOT NULL" },
    { "tasks", PULSE_JOBS_UPKEEP, pulse_job_sql,
      "SELECT task_sweep(), video_sweep() WHERE $1::jsonb IS NOT NULL" },
    { "analytics_daily", PULSE_JOBS_UPKEEP, pulse_job_sql,
      "SELECT analytics_daily(($1::jsonb ->> 'at')::timestamptz)" },
    { "analytics_monthly", PULSE_JOBS_UPKEEP, pulse_job_sql,
      "SELECT analytics_monthly(($1::jsonb ->> 'at')::timestamptz)" },
    { NULL, 0, NULL, NULL }
};

const pulse_job_kind_t  pulse_upkeep_files_kinds[] = {
    { "files", PULSE_JOBS_UPKEEP, pulse_upkeep_files, NULL },
    { NULL, 0, NULL, NULL }
};


/* each of its batches is a transaction: a file goes after its row */

static ngx_int_t
pulse_upkeep_files(pulse_job_t *job)
{
    return pulse_files_sweep(job->store);
}
