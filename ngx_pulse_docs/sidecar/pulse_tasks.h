
#ifndef _PULSE_TASKS_H_INCLUDED_
#define _PULSE_TASKS_H_INCLUDED_


#include "ngx_pulse_json.h"
#include "pulse_hold.h"
#include "pulse_jobs.h"


#define PULSE_TASK_ID  36


/*
 * What a person has asked for and comes later: GET and DELETE /v1/jobs/{id},
 * see conf/schema/0030_media.sql.  A kind needs two things: an endpoint, which
 * calls task_begin() in SQL, with media_take() in the same transaction if it
 * is metered, and a kind of jobs of the same name, whose handler is
 *
 *     rc = pulse_task_load(job, pool, &task);
 *     if (rc != NGX_OK) return (rc == NGX_DONE) ? NGX_OK : rc;
 *     ... pulse_task_progress() now and then; NGX_DONE: stop, it has ended
 *     ... files are put on the shelf
 *     return pulse_task_complete() or pulse_task_fail()
 *
 * How it is shown needs no code: "result" is {NAME: {"file_id", and what else
 * is to be seen, "thumbnail_id"}}, to which links are added.
 */

typedef struct {
    char                     id[PULSE_TASK_ID + 1];
    char                     user[PULSE_TASK_ID + 1];
    const char              *status;
    const char              *trace;         /* or "" */
    ngx_uint_t               late;          /* its deadline has passed */
    ngx_pulse_json_value_t  *request;       /* as task_begin() had it */
} pulse_task_t;


/* A file on the shelf that comes with a task. */

typedef struct {
    const u_char            *id;
    const char              *kind;          /* "video", "thumbnail", ... */
    const char              *name;
    const char              *content_type;
    size_t                   size;
    ngx_uint_t               width;         /* 0: not known */
    ngx_uint_t               height;
} pulse_task_file_t;


/* The task of a job, processing from here on; what is read lives in the pool.
 * NGX_OK; NGX_DONE: it has ended, task->status says how, or is gone with its
 * user (status NULL); NGX_ERROR with store->error. */
ngx_int_t pulse_task_load(pulse_job_t *job, ngx_pool_t *pool,
    pulse_task_t *task);

/* So many percent.  NGX_DONE: it has ended; NGX_ERROR with store->error. */
ngx_int_t pulse_task_progress(pulse_job_t *job, const pulse_task_t *task,
    ngx_uint_t percent);

/*
 * Ends the task and its job in one transaction: keeps the files, charges "use"
 * (NULL: nothing is held) and shows "result", a JSON object.  Returns what the
 * handler does; files of a task that had ended are taken off the shelf again.
 */
ngx_int_t pulse_task_complete(pulse_job_t *job, const pulse_task_t *task,
    const char *result, const pulse_task_file_t *files, ngx_uint_t n,
    const pulse_hold_use_t *use);

/* Ends it with a code of the API, and gives back what is held; likewise. */
ngx_int_t pulse_task_fail(pulse_job_t *job, const pulse_task_t *task,
    const char *code);

/* Answers for a task that begins: 202 with its id and where to look. */
enum MHD_Result pulse_task_begun(pulse_http_request_t *r, const char *id);


/* What is shown of a user's task, $1 and $2: rows for pulse_tasks_write(),
 * which appends it as JSON.  Links are of the request's host. */
extern const char  pulse_tasks_shown[];

#define PULSE_TASKS_STATUS    0
#define PULSE_TASKS_PROGRESS  1

void pulse_tasks_write(pulse_http_request_t *r, PGresult *res,
    ngx_pulse_buf_t *b);

/* 1 if this status is the last one of a task. */
ngx_uint_t pulse_tasks_ended(const char *status);


/* handlers, of workers */

enum MHD_Result pulse_tasks_list(pulse_http_request_t *r);
enum MHD_Result pulse_tasks_get(pulse_http_request_t *r);
enum MHD_Result pulse_tasks_cancel(pulse_http_request_t *r);


#endif /* _PULSE_TASKS_H_INCLUDED_ */
