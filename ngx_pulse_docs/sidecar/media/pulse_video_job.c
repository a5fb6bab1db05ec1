
#include <stdlib.h>
#include <string.h>
#include "ngx_pulse_id.h"
#include "pulse_log.h"
#include "pulse_shelf.h"
#include "pulse_video_work.h"


#define PULSE_VIDEO_POOL     16384
#define PULSE_VIDEO_FAULTS   8          /* one after the other, at most */
#define PULSE_VIDEO_WAIT     60         /* s, after a fault, at most */


static ngx_int_t pulse_video_job(pulse_job_t *job);
static ngx_int_t pulse_video_work(pulse_video_t *v);
static ngx_int_t pulse_video_load(pulse_video_t *v);
static const char *pulse_video_column(pulse_video_t *v, PGresult *res,
    int column, size_t *len);
static ngx_int_t pulse_video_begin(pulse_video_t *v);
static ngx_int_t pulse_video_begun(pulse_video_t *v, ngx_int_t rc);
static ngx_int_t pulse_video_refused(pulse_video_t *v);
static ngx_int_t pulse_video_unknown(pulse_video_t *v, const char *why);
static ngx_int_t pulse_video_follow(pulse_video_t *v);
static ngx_int_t pulse_video_state(pulse_video_t *v);
static ngx_int_t pulse_video_waits(pulse_video_t *v);
static ngx_uint_t pulse_video_most(const pulse_video_t *v);
static ngx_int_t pulse_video_fault(pulse_video_t *v, const char *why,
    ngx_uint_t most);
static ngx_int_t pulse_video_late(pulse_video_t *v);
static ngx_int_t pulse_video_abandon(pulse_video_t *v);
static ngx_int_t pulse_video_again(pulse_video_t *v, ngx_uint_t delay,
    const char *why);
static ngx_int_t pulse_video_fail(pulse_video_t *v, const char *code,
    const char *why);
static ngx_int_t pulse_video_sql(pulse_video_t *v, const char *sql,
    const char *argument, ngx_uint_t *said);


static ngx_uint_t  pulse_video_every = 5;


const pulse_job_kind_t  pulse_video_kinds[] = {
    { "video", PULSE_JOBS_VIDEO, pulse_video_job, NULL },
    { NULL, 0, NULL, NULL }
};


void
pulse_video_set_poll(ngx_uint_t seconds)
{
    pulse_video_every = seconds;
}


/* One step: a video waits for most of its time, and no thread with it. */

static ngx_int_t
pulse_video_job(pulse_job_t *job)
{
    ngx_int_t       rc;
    pulse_video_t  *v;
    ngx_pool_t     *pool;

    pool = ngx_create_pool(PULSE_VIDEO_POOL, NULL);
    v = pool ? ngx_pcalloc(pool, sizeof(pulse_video_t)) : NULL;

    if (v == NULL) {
        snprintf(job->error, PULSE_JOB_ERROR, "no memory");
        rc = NGX_AGAIN;

    } else {
        v->job = job;
        v->pool = pool;
        v->fd = -1;

        rc = pulse_video_work(v);

        if (v->fd != -1) {
            close(v->fd);
            pulse_shelf_drop(v->file);
        }
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return rc;
}


static ngx_int_t
pulse_video_work(pulse_video_t *v)
{
    ngx_int_t  rc;

    rc = pulse_task_load(v->job, v->pool, &v->task);

    if (rc == NGX_ERROR || v->task.status == NULL) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    switch (pulse_video_load(v)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return pulse_video_fail(v, "INTERNAL_ERROR", "it is no video");

    default:
        return NGX_ERROR;
    }

    if (rc == NGX_DONE) {
        return pulse_video_abandon(v);
    }

    if (v->provider == NULL) {
        return pulse_video_fail(v, "PROVIDER_UNAVAILABLE",
                                "its model or the provider's key is gone");
    }

    if (v->task.late) {
        return pulse_video_late(v);
    }

    if (strcmp(v->step, "running") == 0) {
        return pulse_video_follow(v);
    }

    return strcmp(v->step, "new") == 0
           ? pulse_video_begin(v)
           : pulse_video_unknown(v, "the sidecar died while it asked");
}


static ngx_int_t
pulse_video_load(pulse_video_t *v)
{
    PGresult    *res;
    ngx_int_t    rc;
    ngx_str_t    model;
    const char  *params[1];

    params[0] = v->task.id;

    res = pulse_store_query(v->job->store,
                            "SELECT provider, model, step, operation, told,"
                            "       faults"
                            "  FROM video_load($1)", 1, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (PQntuples(res)) {
        v->name = pulse_video_column(v, res, 0, NULL);
        model.data = (u_char *) pulse_video_column(v, res, 1, &model.len);
        v->step = pulse_video_column(v, res, 2, NULL);
        v->operation.data = (u_char *) pulse_video_column(v, res, 3,
                                                          &v->operation.len);
        v->told.data = (u_char *) pulse_video_column(v, res, 4,
                                                     &v->told.len);
        v->faults = strtoul(PQgetvalue(res, 0, 5), NULL, 10);

        if (v->name && model.data && v->step && v->operation.data
            && v->told.data)
        {
            v->provider = pulse_video_provider(v->name);
            v->model = pulse_media_find(NGX_PULSE_MODEL_VIDEO, &model);
            rc = NGX_OK;
        }
    }

    PQclear(res);

    if (v->provider == NULL || v->model == NULL) {
        v->provider = NULL;
        return rc;
    }

    v->loopback = pulse_call_is_loopback(v->model->provider->host);

    return rc;
}


static const char *
pulse_video_column(pulse_video_t *v, PGresult *res, int column, size_t *len)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) PQgetvalue(res, 0, column),
                         PQgetlength(res, 0, column));

    return pulse_video_take(v->pool, &b, len);
}


/* Written before the provider is asked: from here on nobody else asks it. */

static ngx_int_t
pulse_video_begin(pulse_video_t *v)
{
    ngx_uint_t  ours;

    if (pulse_video_sql(v, "SELECT video_submitting($1)", NULL, &ours)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ours) {
        return pulse_video_again(v, 1, "it has ended meanwhile");
    }

    return pulse_video_begun(v, pulse_video_submit(v));
}


static ngx_int_t
pulse_video_begun(pulse_video_t *v, ngx_int_t rc)
{
    long  status;

    if (rc == NGX_DECLINED) {
        return pulse_video_fail(v, "INVALID_REQUEST", v->call.error);
    }

    status = v->call.status;

    if (rc == NGX_OK && status >= 200 && status < 300
        && v->said.operation.len)
    {
        if (pulse_video_sql(v, "SELECT video_submitted($1, $2)",
                            (char *) v->said.operation.data, NULL) != NGX_OK
            || pulse_task_progress(v->job, &v->task, 5) == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        return pulse_video_again(v, pulse_video_every, NULL);
    }

    /* what never arrived, or was turned away at the door, may be asked for
     * again */

    if (!v->call.sent || status == MHD_HTTP_TOO_MANY_REQUESTS
        || status == MHD_HTTP_SERVICE_UNAVAILABLE)
    {
        if (pulse_video_sql(v, "SELECT video_submitted($1, $2)", NULL, NULL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return pulse_video_fault(v, rc == NGX_OK ? NULL : v->call.error,
                                 PULSE_VIDEO_FAULTS);
    }

    if (status >= 400 && status < 500) {
        return pulse_video_refused(v);
    }

    return pulse_video_unknown(v, rc == NGX_OK ? "its answer has no name of"
                                                 " an operation"
                                               : v->call.error);
}


static ngx_int_t
pulse_video_refused(pulse_video_t *v)
{
    char         why[PULSE_CALL_ERROR];
    const char  *code;

    switch (v->call.status) {

    case MHD_HTTP_BAD_REQUEST:
    case MHD_HTTP_CONTENT_TOO_LARGE:
    case MHD_HTTP_UNPROCESSABLE_CONTENT:
        code = "INVALID_REQUEST";
        break;

    default:
        code = "PROVIDER_ERROR";
    }

    if (v->said.state == pulse_video_flagged) {
        code = "CONTENT_FLAGGED";
    }

    snprintf(why, sizeof(why), "%s refused it with %ld", v->name,
             v->call.status);

    return pulse_video_fail(v, code, why);
}


/* Whether the provider makes it is not known.  To ask again could be to pay
 * for two; nobody gets this one, and nobody is charged for it. */

static ngx_int_t
pulse_video_unknown(pulse_video_t *v, const char *why)
{
    pulse_log(PULSE_LOG_ERR, "pulse video: %s: %s may make it for nobody: %s",
              v->task.id, v->name, why);

    return pulse_task_fail(v->job, &v->task, "PROVIDER_ERROR");
}


/* What a webhook told is as good as what is asked for, and is there first. */

static ngx_int_t
pulse_video_follow(pulse_video_t *v)
{
    char       why[PULSE_CALL_ERROR];
    ngx_int_t  rc;

    /* the result may be in any answer */

    ngx_pulse_uuid7(v->file);
    v->fd = pulse_shelf_draft(v->file);

    if (v->fd == -1) {
        snprintf(why, sizeof(why), "there is no room for it: %s",
                 strerror(errno));
        return pulse_video_fault(v, why, 0);
    }

    if (v->told.len && pulse_video_hear(v) == NGX_OK
        && v->said.state != pulse_video_unclear
        && v->said.state != pulse_video_running)
    {
        return pulse_video_state(v);
    }

    rc = pulse_video_poll(v);

    if (rc == NGX_ABORT) {
        return NGX_ABORT;
    }

    if (rc != NGX_OK) {
        return pulse_video_fault(v, v->call.error, pulse_video_most(v));
    }

    if (v->call.status < 200 || v->call.status >= 300
        || v->said.state == pulse_video_unclear)
    {
        snprintf(why, sizeof(why), "it answered %ld and not how far it is",
                 v->call.status);
        return pulse_video_fault(v, why, pulse_video_most(v));
    }

    return pulse_video_state(v);
}


static ngx_int_t
pulse_video_state(pulse_video_t *v)
{
    ngx_int_t  rc;

    switch (v->said.state) {

    case pulse_video_running:
        return pulse_video_waits(v);

    case pulse_video_done:
        rc = pulse_video_result(v);

        return (rc == NGX_BUSY)
               ? pulse_video_fault(v, v->job->error, pulse_video_most(v))
               : rc;

    case pulse_video_flagged:
        return pulse_video_fail(v, "CONTENT_FLAGGED",
                                "the provider's rules refuse it");

    default: /* pulse_video_failed */
        return pulse_video_fail(v, "PROVIDER_ERROR",
                                "the provider says that it failed");
    }
}


/* its own progress is what lies between 10 and 90 */

static ngx_int_t
pulse_video_waits(pulse_video_t *v)
{
    ngx_uint_t  percent;

    if (v->faults
        && pulse_video_sql(v, "SELECT video_fault($1, $2)", "false", NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    percent = (v->said.progress > 0) ? 10 + v->said.progress * 80 / 100 : 10;

    if (pulse_task_progress(v->job, &v->task, percent) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return pulse_video_again(v, pulse_video_every, NULL);
}


/* What is made already is waited for until its time is over, unless somebody
 * is there and does not know it. */

static ngx_uint_t
pulse_video_most(const pulse_video_t *v)
{
    long  status;

    status = v->call.status;

    return (status == 0 || status >= 500
            || status == MHD_HTTP_REQUEST_TIMEOUT
            || status == MHD_HTTP_TOO_MANY_REQUESTS)
           ? 0 : PULSE_VIDEO_FAULTS;
}


/* The next attempt comes later and later; "most" of them, 0: no such end.
 * Those of a submission are counted by what ended it. */

static ngx_int_t
pulse_video_fault(pulse_video_t *v, const char *why, ngx_uint_t most)
{
    char        text[PULSE_CALL_ERROR];
    ngx_uint_t  delay;

    snprintf(text, sizeof(text), "%s", why ? why : "it has too much to do");

    if (most && v->faults + 1 >= most) {
        return pulse_video_fail(v, v->operation.len ? "PROVIDER_ERROR"
                                                    : "PROVIDER_UNAVAILABLE",
                                text);
    }

    if (strcmp(v->step, "running") == 0
        && pulse_video_sql(v, "SELECT video_fault($1, $2)", "true", NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    delay = pulse_video_every << ngx_min(v->faults, 6);

    (void) pulse_video_again(v, ngx_min(delay, PULSE_VIDEO_WAIT), text);

    v->job->quiet = (v->faults > 0);

    return NGX_AGAIN;
}


static ngx_int_t
pulse_video_late(pulse_video_t *v)
{
    if (v->operation.len && v->provider->cancel) {
        (void) pulse_video_cancel(v);
    }

    return pulse_video_fail(v, "GATEWAY_TIMEOUT", "its time is over");
}


/* It was canceled, or ended without us: the provider is told, if it can be. */

static ngx_int_t
pulse_video_abandon(pulse_video_t *v)
{
    if (strcmp(v->step, "submitting") == 0) {
        pulse_log(PULSE_LOG_ERR, "pulse video: %s: %s may make it for nobody:"
                  " it was ended while it was asked for", v->task.id,
                  v->name);
    }

    if (strcmp(v->step, "running") == 0
        && strcmp(v->task.status, "completed") != 0
        && v->provider && v->provider->cancel
        && (pulse_video_cancel(v) != NGX_OK || v->call.status >= 500)
        && v->faults + 1 < PULSE_VIDEO_FAULTS)
    {
        return pulse_video_fault(v, v->call.error[0] ? v->call.error
                                                     : "it was not canceled",
                                 0);
    }

    return pulse_video_sql(v, "SELECT video_ended($1)", NULL, NULL);
}


static ngx_int_t
pulse_video_again(pulse_video_t *v, ngx_uint_t delay, const char *why)
{
    v->job->delay = ngx_max(delay, 1);
    v->job->quiet = 1;

    snprintf(v->job->error, PULSE_JOB_ERROR, "%s",
             why ? why : "it is not done yet");

    return NGX_AGAIN;
}


static ngx_int_t
pulse_video_fail(pulse_video_t *v, const char *code, const char *why)
{
    pulse_log(PULSE_LOG_WARN, "pulse video: %s: %s: %s: %s", v->task.id,
              v->name ? v->name : "", code, why);

    return pulse_task_fail(v->job, &v->task, code);
}


/* A statement of the task, and perhaps an argument: its result as a flag. */

static ngx_int_t
pulse_video_sql(pulse_video_t *v, const char *sql, const char *argument,
    ngx_uint_t *said)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = v->task.id;
    params[1] = argument;

    res = pulse_store_query(v->job->store, sql, strstr(sql, "$2") ? 2 : 1,
                            params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    if (said) {
        *said = (PQgetvalue(res, 0, 0)[0] == 't');
    }

    PQclear(res);

    return NGX_OK;
}
