
#include <pthread.h>
#include <time.h>
#include "ngx_pulse_json.h"
#include "pulse_jobs.h"
#include "pulse_log.h"


#define PULSE_JOBS_TABLES       8
#define PULSE_JOBS_KINDS        1024        /* bytes of their names */
#define PULSE_JOBS_THREADS      4           /* of a lane, at most */
#define PULSE_JOBS_POLL         5000        /* ms, if no NOTIFY came */
#define PULSE_JOBS_BACKOFF      100         /* ms, doubled up to */
#define PULSE_JOBS_BACKOFF_MAX  5000
#define PULSE_JOBS_GRACE        3000        /* ms, for statements at the end */
#define PULSE_JOBS_CANCEL       250         /* ms, between two tries */


typedef struct {
    const char             *name;
    const char             *lease;
    const char             *timeout;    /* of a statement: ends before that */
    ngx_uint_t              threads;
    char                    kinds[PULSE_JOBS_KINDS];    /* as an array */
} pulse_jobs_lane_t;


/* What is canceled, and whether it may be, is guarded by the mutex. */

typedef struct {
    pulse_jobs_lane_t      *lane;
    pulse_store_t           store;
    PGcancel               *cancel;
    ngx_uint_t              handling;
    ngx_uint_t              canceled;
    ngx_uint_t              backoff;
    pthread_t               thread;
} pulse_jobs_runner_t;


typedef struct {
    const pulse_job_kind_t *tables[PULSE_JOBS_TABLES];
    pthread_mutex_t         mutex;
    pthread_cond_t          wake;
    ngx_uint_t              woken;      /* how often */
    ngx_uint_t              running;
    ngx_uint_t              down;       /* said that there is no Postgres */
    ngx_uint_t              n;
    pulse_jobs_runner_t     runners[PULSE_JOBS_LANES * PULSE_JOBS_THREADS];
} pulse_jobs_t;


static int pulse_jobs_clock(void);
static void pulse_jobs_after(struct timespec *end, ngx_uint_t ms);
static void pulse_jobs_kinds(pulse_jobs_lane_e i);
static void pulse_jobs_join(pulse_jobs_runner_t *runner);
static void pulse_jobs_cancel(pulse_jobs_runner_t *runner);
static void *pulse_jobs_run(void *arg);
static ngx_int_t pulse_jobs_connect(pulse_jobs_runner_t *runner);
static void pulse_jobs_close(pulse_jobs_runner_t *runner);
static void pulse_jobs_down(pulse_jobs_runner_t *runner);
static ngx_int_t pulse_jobs_next(pulse_jobs_runner_t *runner);
static ngx_int_t pulse_jobs_do(pulse_jobs_runner_t *runner, PGresult *res);
static const pulse_job_kind_t *pulse_jobs_kind(const char *name);
static ngx_int_t pulse_jobs_handle(pulse_jobs_runner_t *runner,
    const pulse_job_kind_t *kind, pulse_job_t *job);
static ngx_int_t pulse_jobs_end(pulse_job_t *job, ngx_int_t rc);
static ngx_int_t pulse_jobs_again(pulse_job_t *job);
static ngx_int_t pulse_jobs_tell(pulse_job_t *job, const char *sql, int n);
static ngx_uint_t pulse_jobs_due(pulse_jobs_runner_t *runner);
static ngx_uint_t pulse_jobs_wait(ngx_uint_t seen, ngx_uint_t ms);


static pulse_jobs_t  pulse_jobs = {
    .mutex = PTHREAD_MUTEX_INITIALIZER
};

static pulse_jobs_lane_t  pulse_jobs_lanes[PULSE_JOBS_LANES] = {
    { "pulse-jobs-mail", "90 seconds", "10s", 2, "" },
    { "pulse-jobs-payments", "90 seconds", "10s", 2, "" },
    { "pulse-jobs-upkeep", "600 seconds", "300s", 1, "" },
    { "pulse-jobs-video", "600 seconds", "10s", 4, "" },
    { "pulse-jobs-pictures", "300 seconds", "10s", 1, "" },
    { "pulse-jobs-clips", "600 seconds", "10s", 1, "" }
};


void
pulse_jobs_add(const pulse_job_kind_t *kinds)
{
    ngx_uint_t  i;

    for (i = 0; i < PULSE_JOBS_TABLES; i++) {
        if (pulse_jobs.tables[i] == NULL) {
            pulse_jobs.tables[i] = kinds;
            return;
        }
    }

    pulse_log(PULSE_LOG_ERR, "pulse jobs: \"%s\" is a table too many",
              kinds->name);
}


int
pulse_jobs_start(const char *conninfo)
{
    int                   rc;
    ngx_uint_t            i, k;
    pulse_jobs_lane_t    *lane;
    pulse_jobs_runner_t  *runner;

    rc = pulse_jobs_clock();
    if (rc != 0) {
        return rc;
    }

    pulse_jobs.running = 1;

    for (i = 0; i < PULSE_JOBS_LANES; i++) {
        lane = &pulse_jobs_lanes[i];

        pulse_jobs_kinds(i);

        for (k = 0; lane->kinds[0] && k < lane->threads; k++) {
            runner = &pulse_jobs.runners[pulse_jobs.n];

            runner->lane = lane;
            runner->store.conninfo = conninfo;
            runner->store.name = lane->name;

            rc = pthread_create(&runner->thread, NULL, pulse_jobs_run,
                                runner);
            if (rc != 0) {
                pulse_jobs_stop();
                return rc;
            }

            pulse_jobs.n++;
        }
    }

    return 0;
}


/* waits must not change with the clock of the day */

static int
pulse_jobs_clock(void)
{
    int                 rc;
    pthread_condattr_t  attr;

    rc = pthread_condattr_init(&attr);
    if (rc != 0) {
        return rc;
    }

    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);

    if (rc == 0) {
        rc = pthread_cond_init(&pulse_jobs.wake, &attr);
    }

    pthread_condattr_destroy(&attr);

    return rc;
}


static void
pulse_jobs_kinds(pulse_jobs_lane_e i)
{
    size_t                   len;
    ngx_uint_t               t;
    pulse_jobs_lane_t       *lane;
    const pulse_job_kind_t  *kind;

    lane = &pulse_jobs_lanes[i];
    len = 0;

    for (t = 0; t < PULSE_JOBS_TABLES && pulse_jobs.tables[t]; t++) {
        for (kind = pulse_jobs.tables[t]; kind->name; kind++) {

            if (kind->lane != i
                || len + strlen(kind->name) + 3 > PULSE_JOBS_KINDS)
            {
                continue;
            }

            len += snprintf(lane->kinds + len, PULSE_JOBS_KINDS - len, "%c%s",
                            len ? ',' : '{', kind->name);
        }
    }

    if (len) {
        strcpy(lane->kinds + len, "}");
    }
}


void
pulse_jobs_stop(void)
{
    pthread_mutex_lock(&pulse_jobs.mutex);

    pulse_jobs.running = 0;
    pthread_cond_broadcast(&pulse_jobs.wake);

    pthread_mutex_unlock(&pulse_jobs.mutex);

    while (pulse_jobs.n) {
        pulse_jobs.n--;
        pulse_jobs_join(&pulse_jobs.runners[pulse_jobs.n]);
    }
}


/* What a statement of upkeep has not done in a moment is given up, and is
 * done by whoever is started next.  It is tried again: one cancellation may
 * come between two statements. */

static void
pulse_jobs_join(pulse_jobs_runner_t *runner)
{
    struct timespec  end;

    pulse_jobs_after(&end, PULSE_JOBS_GRACE);

    while (pthread_clockjoin_np(runner->thread, NULL, CLOCK_MONOTONIC, &end)
           == ETIMEDOUT)
    {
        pulse_jobs_cancel(runner);
        pulse_jobs_after(&end, PULSE_JOBS_CANCEL);
    }
}


/* Never what tells the queue how a job ended. */

static void
pulse_jobs_cancel(pulse_jobs_runner_t *runner)
{
    char  error[256];

    pthread_mutex_lock(&pulse_jobs.mutex);

    if (runner->handling && runner->cancel
        && runner->lane == &pulse_jobs_lanes[PULSE_JOBS_UPKEEP])
    {
        runner->canceled = 1;
        (void) PQcancel(runner->cancel, error, sizeof(error));
    }

    pthread_mutex_unlock(&pulse_jobs.mutex);
}


static void
pulse_jobs_after(struct timespec *end, ngx_uint_t ms)
{
    clock_gettime(CLOCK_MONOTONIC, end);

    end->tv_sec += ms / 1000;
    end->tv_nsec += ms % 1000 * 1000000;

    if (end->tv_nsec >= 1000000000) {
        end->tv_sec++;
        end->tv_nsec -= 1000000000;
    }
}


ngx_uint_t
pulse_jobs_stopping(void)
{
    ngx_uint_t  running;

    pthread_mutex_lock(&pulse_jobs.mutex);
    running = pulse_jobs.running;
    pthread_mutex_unlock(&pulse_jobs.mutex);

    return !running;
}


void
pulse_jobs_wake(void)
{
    pthread_mutex_lock(&pulse_jobs.mutex);

    pulse_jobs.woken++;
    pthread_cond_broadcast(&pulse_jobs.wake);

    pthread_mutex_unlock(&pulse_jobs.mutex);
}


static void *
pulse_jobs_run(void *arg)
{
    ngx_int_t             rc;
    ngx_uint_t            seen;
    pulse_jobs_runner_t  *runner;

    runner = arg;
    seen = 0;

    while (!pulse_jobs_stopping()) {

        if (runner->store.conn == NULL && pulse_jobs_connect(runner) != NGX_OK)
        {
            seen = pulse_jobs_wait(seen, runner->backoff);
            continue;
        }

        rc = pulse_jobs_next(runner);

        if (rc == NGX_DONE) {
            seen = pulse_jobs_wait(seen, pulse_jobs_due(runner));

        } else if (rc == NGX_ERROR) {
            pulse_jobs_down(runner);
            seen = pulse_jobs_wait(seen, runner->backoff);
        }
    }

    pulse_jobs_close(runner);

    return NULL;
}


static ngx_int_t
pulse_jobs_connect(pulse_jobs_runner_t *runner)
{
    char  sql[64];

    snprintf(sql, sizeof(sql), "SET statement_timeout = '%s'",
             runner->lane->timeout);

    if (pulse_store_connect(&runner->store) != NGX_OK
        || pulse_store_run(&runner->store, sql) != NGX_OK)
    {
        pulse_jobs_down(runner);
        return NGX_ERROR;
    }

    runner->backoff = 0;

    pthread_mutex_lock(&pulse_jobs.mutex);

    runner->cancel = PQgetCancel(runner->store.conn);

    if (pulse_jobs.down) {
        pulse_jobs.down = 0;
        pulse_log(PULSE_LOG_NOTICE, "pulse jobs: work goes on");
    }

    pthread_mutex_unlock(&pulse_jobs.mutex);

    return NGX_OK;
}


static void
pulse_jobs_close(pulse_jobs_runner_t *runner)
{
    pthread_mutex_lock(&pulse_jobs.mutex);

    PQfreeCancel(runner->cancel);
    runner->cancel = NULL;

    pthread_mutex_unlock(&pulse_jobs.mutex);

    pulse_store_close(&runner->store);
}


/* an outage has one line, whichever thread sees it first */

static void
pulse_jobs_down(pulse_jobs_runner_t *runner)
{
    pulse_jobs_close(runner);

    runner->backoff = runner->backoff
                      ? ngx_min(runner->backoff * 2, PULSE_JOBS_BACKOFF_MAX)
                      : PULSE_JOBS_BACKOFF;

    pthread_mutex_lock(&pulse_jobs.mutex);

    if (!pulse_jobs.down) {
        pulse_jobs.down = 1;
        pulse_log(PULSE_LOG_ERR, "pulse jobs: no work is done: %s",
                  runner->store.error);
    }

    pthread_mutex_unlock(&pulse_jobs.mutex);
}


/* NGX_OK: there was one; NGX_DONE: none is due; NGX_ERROR: the connection is
 * of no use any more */

static ngx_int_t
pulse_jobs_next(pulse_jobs_runner_t *runner)
{
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[2];

    params[0] = runner->lane->kinds;
    params[1] = runner->lane->lease;

    res = pulse_store_query(&runner->store,
                            "SELECT id, kind, payload, token, attempt,"
                            "       attempt = attempts"
                            "  FROM job_take($1, $2)", 2, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = PQntuples(res) ? pulse_jobs_do(runner, res) : NGX_DONE;

    PQclear(res);

    return rc;
}


static ngx_int_t
pulse_jobs_do(pulse_jobs_runner_t *runner, PGresult *res)
{
    pulse_job_t              job;
    const pulse_job_kind_t  *kind;

    memset(&job, 0, sizeof(pulse_job_t));

    job.id = PQgetvalue(res, 0, 0);
    job.payload = PQgetvalue(res, 0, 2);
    job.token = PQgetvalue(res, 0, 3);
    job.attempt = strtoul(PQgetvalue(res, 0, 4), NULL, 10);
    job.last = (PQgetvalue(res, 0, 5)[0] == 't');
    job.store = &runner->store;
    job.store->error[0] = '\0';

    kind = pulse_jobs_kind(PQgetvalue(res, 0, 1));

    job.kind = kind->name;
    job.data = kind->data;

    return pulse_jobs_end(&job, pulse_jobs_handle(runner, kind, &job));
}


static ngx_int_t
pulse_jobs_handle(pulse_jobs_runner_t *runner, const pulse_job_kind_t *kind,
    pulse_job_t *job)
{
    ngx_int_t  rc;

    pthread_mutex_lock(&pulse_jobs.mutex);
    runner->handling = 1;
    pthread_mutex_unlock(&pulse_jobs.mutex);

    rc = kind->handler(job);

    pthread_mutex_lock(&pulse_jobs.mutex);

    runner->handling = 0;

    if (rc == NGX_ERROR && runner->canceled) {
        rc = NGX_ABORT;
    }

    pthread_mutex_unlock(&pulse_jobs.mutex);

    return rc;
}


/* only kinds of the tables are asked for */

static const pulse_job_kind_t *
pulse_jobs_kind(const char *name)
{
    ngx_uint_t               t;
    const pulse_job_kind_t  *kind;

    kind = NULL;

    for (t = 0; t < PULSE_JOBS_TABLES && pulse_jobs.tables[t]; t++) {
        for (kind = pulse_jobs.tables[t]; kind->name; kind++) {
            if (strcmp(kind->name, name) == 0) {
                return kind;
            }
        }
    }

    return kind;
}


static ngx_int_t
pulse_jobs_end(pulse_job_t *job, ngx_int_t rc)
{
    if (rc == NGX_OK && !job->begun) {
        rc = pulse_job_begin(job);
    }

    if (rc == NGX_OK) {
        rc = pulse_store_run(job->store, "COMMIT");
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {
        snprintf(job->error, sizeof(job->error), "%s", job->store->error);
    }

    /* without a connection nothing can be told, not even whether it was
     * committed: the end of the lease brings it back if it was not */

    if (job->store->conn == NULL
        || (job->begun && pulse_store_run(job->store, "ROLLBACK") != NGX_OK))
    {
        return NGX_ERROR;
    }

    switch (rc) {

    case NGX_ABORT:
        return pulse_jobs_tell(job, "SELECT job_release($1, $2)", 2);

    case NGX_DECLINED:
        pulse_log(PULSE_LOG_ERR, "pulse jobs: %s %s is dead: %s", job->kind,
                  job->id, job->error);

        return pulse_jobs_tell(job, "SELECT job_fail($1, $2, $3)", 3);

    default:
        return pulse_jobs_again(job);
    }
}


static ngx_int_t
pulse_jobs_again(pulse_job_t *job)
{
    if (job->last) {
        pulse_log(PULSE_LOG_ERR, "pulse jobs: %s %s is dead after %u attempts:"
                  " %s", job->kind, job->id, (unsigned) job->attempt,
                  job->error);

    } else if (!job->quiet) {
        pulse_log(PULSE_LOG_WARN, "pulse jobs: %s %s comes again: %s",
                  job->kind, job->id, job->error);
    }

    return pulse_jobs_tell(job, "SELECT job_retry($1, $2, $3,"
                           " nullif($4, '0')::integer"
                           " * interval '1 second')", 4);
}


/* a lease that was lost is somebody else's to end */

static ngx_int_t
pulse_jobs_tell(pulse_job_t *job, const char *sql, int n)
{
    char         delay[NGX_INT_T_LEN];
    size_t       bad;
    PGresult    *res;
    const char  *params[4];

    snprintf(delay, sizeof(delay), "%u", (unsigned) job->delay);

    /* one that was cut in the middle of a character Postgres would not take */

    if (ngx_pulse_utf8_check((u_char *) job->error, strlen(job->error), &bad)
        != NGX_OK)
    {
        job->error[bad] = '\0';
    }

    params[0] = job->id;
    params[1] = job->token;
    params[2] = job->error;
    params[3] = delay;

    res = pulse_store_query(job->store, sql, n, params);

    PQclear(res);

    return (res || job->store->conn) ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
pulse_jobs_due(pulse_jobs_runner_t *runner)
{
    PGresult    *res;
    ngx_uint_t   ms;
    const char  *params[1];

    params[0] = runner->lane->kinds;

    res = pulse_store_query(&runner->store, "SELECT jobs_wait($1)", 1, params);

    if (res == NULL) {
        return PULSE_JOBS_BACKOFF;      /* the next statement says why */
    }

    ms = strtoul(PQgetvalue(res, 0, 0), NULL, 10);

    PQclear(res);

    return ngx_min(ms, PULSE_JOBS_POLL);
}


/* until it is woken: at once, if that was since "seen" */

static ngx_uint_t
pulse_jobs_wait(ngx_uint_t seen, ngx_uint_t ms)
{
    struct timespec  end;

    pulse_jobs_after(&end, ms);

    pthread_mutex_lock(&pulse_jobs.mutex);

    while (pulse_jobs.running
           && pulse_jobs.woken == seen
           && pthread_cond_timedwait(&pulse_jobs.wake, &pulse_jobs.mutex, &end)
              == 0)
    {
        /* void */
    }

    seen = pulse_jobs.woken;

    pthread_mutex_unlock(&pulse_jobs.mutex);

    return seen;
}


ngx_int_t
pulse_job_begin(pulse_job_t *job)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = job->id;
    params[1] = job->token;

    job->begun = 1;

    if (pulse_store_run(job->store, "BEGIN") != NGX_OK) {
        return NGX_ERROR;
    }

    res = pulse_store_query(job->store, "SELECT job_done($1, $2)", 2, params);

    PQclear(res);

    return res ? NGX_OK : NGX_ERROR;
}


ngx_int_t
pulse_job_sql(pulse_job_t *job)
{
    PGresult    *res;
    const char  *params[1];

    if (pulse_job_begin(job) != NGX_OK) {
        return NGX_ERROR;
    }

    params[0] = job->payload;

    res = pulse_store_query(job->store, job->data, 1, params);

    PQclear(res);

    return res ? NGX_OK : NGX_ERROR;
}
