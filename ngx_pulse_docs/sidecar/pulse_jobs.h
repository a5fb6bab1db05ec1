
#ifndef _PULSE_JOBS_H_INCLUDED_
#define _PULSE_JOBS_H_INCLUDED_


#include "pulse_store.h"


/*
 * Background work, see conf/schema/0010_jobs.sql.  Who needs something done
 * writes "SELECT job_add(kind, payload, ...)" in the transaction of the change
 * that asks for it; what is done at its times has a row in job_schedules.
 * A job is done at least once, and what it writes between pulse_job_begin()
 * and its end once.
 */


/* Each lane has threads, a lease and connections of its own, so that a slow
 * mail server delays no payment. */

typedef enum {
    PULSE_JOBS_MAIL = 0,        /* 90 seconds for an attempt */
    PULSE_JOBS_PAYMENTS,        /* 90 seconds */
    PULSE_JOBS_UPKEEP,          /* 600 seconds */
    PULSE_JOBS_VIDEO,           /* 600 seconds: of one step */
    PULSE_JOBS_PICTURES,        /* 300 seconds */
    PULSE_JOBS_CLIPS,           /* 600 seconds */
    PULSE_JOBS_LANES
} pulse_jobs_lane_e;


#define PULSE_JOB_ERROR  PULSE_STORE_ERROR_LEN


typedef struct pulse_job_s  pulse_job_t;

struct pulse_job_s {
    const char     *id;
    const char     *kind;
    const char     *payload;    /* JSON, NUL terminated */
    const char     *token;      /* of the lease */
    ngx_uint_t      attempt;    /* 1 for the first */
    ngx_uint_t      last;       /* 1: there is no attempt after this one */
    const void     *data;       /* of the kind */
    pulse_store_t  *store;      /* connected, of this thread */
    ngx_uint_t      begun;      /* pulse_job_begin() was called */
    ngx_uint_t      delay;      /* seconds until the next attempt, 0: the
                                   usual ones */
    ngx_uint_t      quiet;      /* that there is another one is no news */
    char            error[PULSE_JOB_ERROR];
};


/*
 * Does one job, in a thread of its lane:
 *
 *   NGX_OK        it is done; the transaction is committed
 *   NGX_AGAIN     not this time, job->error says why; the transaction is
 *                 rolled back, and there is another attempt unless this was
 *                 the last one
 *   NGX_DECLINED  never: the job is dead at once, job->error says why
 *   NGX_ABORT     the sidecar ends: the attempt does not count
 *   NGX_ERROR     a statement failed, store->error says why; else as NGX_AGAIN
 *
 * It may be killed anywhere, and is then called again, by any sidecar.
 */
typedef ngx_int_t (*pulse_job_pt)(pulse_job_t *job);

typedef struct {
    const char         *name;       /* NULL ends a table; [a-z0-9_] */
    pulse_jobs_lane_e   lane;
    pulse_job_pt        handler;
    const void         *data;
} pulse_job_kind_t;


/* Adds kinds before the start; the table must live.  Kinds that nobody here
 * has added wait for a sidecar that has. */
void pulse_jobs_add(const pulse_job_kind_t *kinds);

/* Starts the threads of the lanes that have kinds.  0, or an errno. */
int pulse_jobs_start(const char *conninfo);

/* Ends them when their handlers return. */
void pulse_jobs_stop(void);

/* 1 when handlers that wait should return NGX_ABORT. */
ngx_uint_t pulse_jobs_stopping(void);

/* There may be a job: looks at once. */
void pulse_jobs_wake(void);

/*
 * Begins the transaction that ends the job: whatever is written from here on
 * until the handler returns NGX_OK is committed with the end or not at all.
 * NGX_ERROR if the lease was lost, which the handler returns.  A handler that
 * never calls it has its job ended after it.
 */
ngx_int_t pulse_job_begin(pulse_job_t *job);

/* A handler whose work is one statement, "data": a text with the payload as
 * $1, in the transaction that ends the job. */
ngx_int_t pulse_job_sql(pulse_job_t *job);


#endif /* _PULSE_JOBS_H_INCLUDED_ */
