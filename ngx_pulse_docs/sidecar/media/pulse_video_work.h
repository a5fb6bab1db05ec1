
#ifndef _PULSE_VIDEO_WORK_H_INCLUDED_
#define _PULSE_VIDEO_WORK_H_INCLUDED_


#include "pulse_call.h"
#include "pulse_tasks.h"
#include "pulse_video.h"


/*
 * A video as its job has it.  docs/video.md has the states.
 */

typedef struct {
    pulse_job_t                   *job;
    ngx_pool_t                    *pool;
    pulse_task_t                   task;
    const pulse_video_provider_t  *provider;    /* NULL: it has no key now */
    const pulse_media_model_t     *model;
    const char                    *name;        /* of the provider */
    const char                    *step;
    ngx_str_t                      operation;
    ngx_uint_t                     faults;
    ngx_str_t                      told;        /* by a webhook, or empty */
    ngx_uint_t                     loopback;

    pulse_call_t                   call;
    pulse_video_answer_t           answer;
    pulse_video_said_t             said;
    int                            fd;          /* of what comes, or -1 */
    size_t                         size;        /* of it */
    u_char                         file[PULSE_TASK_ID + 1]; /* its draft */
} pulse_video_t;


/* Seconds between two questions, 5 by default; before the start. */
void pulse_video_set_poll(ngx_uint_t seconds);

/* The kind of jobs. */
extern const pulse_job_kind_t  pulse_video_kinds[];


/* --- what is asked of providers (pulse_video_ask.c) --- */

/*
 * Each returns NGX_OK with v->said of an answer that can be read, whatever
 * its status (v->call.status); NGX_ABORT: the sidecar ends; NGX_ERROR: there
 * is no such answer, v->call.error says why, and v->call.sent whether it may
 * have arrived.  NGX_DECLINED of a submission: what it is to be made of is
 * gone.
 */
ngx_int_t pulse_video_submit(pulse_video_t *v);
ngx_int_t pulse_video_poll(pulse_video_t *v);
ngx_int_t pulse_video_cancel(pulse_video_t *v);

/* The same of what a webhook told. */
ngx_int_t pulse_video_hear(pulse_video_t *v);

/* After an answer: 1 if its credential was refused and another is to be had.
 * The same may be asked once more then: nothing comes of what is refused so. */
ngx_uint_t pulse_video_renews(pulse_video_t *v);


/* --- what came (pulse_video_result.c) --- */

/*
 * Fetches v->said.url to the file, unless it came in the answer, looks at it,
 * keeps it on the shelf and ends the task.  Returns what the handler does, and
 * NGX_BUSY: it cannot be had now, v->job->error says why.
 */
ngx_int_t pulse_video_result(pulse_video_t *v);


#endif /* _PULSE_VIDEO_WORK_H_INCLUDED_ */
