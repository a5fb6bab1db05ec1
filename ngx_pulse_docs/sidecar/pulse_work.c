
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include "pulse_jobs.h"
#include "pulse_log.h"
#include "pulse_work.h"


#define PULSE_WORK_BACKOFF      100         /* ms, doubled up to */
#define PULSE_WORK_BACKOFF_MAX  5000
#define PULSE_WORK_POLL         5000        /* at the most */


typedef struct pulse_work_s  pulse_work_t;

typedef struct {
    const char              *name;
    unsigned                 every;         /* ms */
    ngx_int_t              (*handler)(pulse_work_t *w);
    int64_t                  due;
} pulse_work_task_t;


struct pulse_work_s {
    pulse_work_conf_t       *conf;
    pulse_store_t            store;
    unsigned                 backoff;
    unsigned                 down:1;
    int                      stop;          /* an eventfd, readable: stop */
    pthread_t                thread;
};


static void *pulse_work_run(void *arg);
static ngx_int_t pulse_work_connect(pulse_work_t *w);
static void pulse_work_down(pulse_work_t *w);
static void pulse_work_due(pulse_work_t *w);
static void pulse_work_hear(pulse_work_t *w);
static ngx_int_t pulse_work_wait(pulse_work_t *w, int64_t timeout);
static ngx_int_t pulse_work_leases(pulse_work_t *w);
static ngx_int_t pulse_work_schedule(pulse_work_t *w);
static int64_t pulse_work_now(void);


static pulse_work_t  pulse_work;

static pulse_work_task_t  pulse_work_tasks[] = {
    { "leases", 5000, pulse_work_leases, 0 },
    { "schedule", 1000, pulse_work_schedule, 0 },
    { NULL, 0, NULL, 0 }
};


int
pulse_work_start(pulse_work_conf_t *conf)
{
    pulse_work.conf = conf;
    pulse_work.store.conninfo = conf->conninfo;
    pulse_work.store.name = "pulse-sidecar";

    pulse_work.stop = eventfd(0, EFD_CLOEXEC);
    if (pulse_work.stop == -1) {
        return errno;
    }

    return pthread_create(&pulse_work.thread, NULL, pulse_work_run,
                          &pulse_work);
}


void
pulse_work_stop(void)
{
    if (eventfd_write(pulse_work.stop, 1) == 0) {
        pthread_join(pulse_work.thread, NULL);
    }

    close(pulse_work.stop);
}


static void *
pulse_work_run(void *arg)
{
    int64_t             timeout;
    pulse_work_t       *w;
    pulse_work_task_t  *task;

    w = arg;

    do {
        if (w->store.conn == NULL && pulse_work_connect(w) != NGX_OK) {
            timeout = w->backoff;
            continue;
        }

        pulse_work_due(w);

        timeout = PULSE_WORK_POLL;

        for (task = pulse_work_tasks; task->handler; task++) {
            timeout = ngx_min(timeout, task->due - pulse_work_now());
        }

        timeout = ngx_max(timeout, 0);

    } while (pulse_work_wait(w, timeout) == NGX_OK);

    pulse_store_close(&w->store);

    return NULL;
}


static ngx_int_t
pulse_work_connect(pulse_work_t *w)
{
    pulse_work_task_t  *task;

    if (pulse_store_connect(&w->store) != NGX_OK
        || pulse_store_run(&w->store, "SET statement_timeout = '10s'")
           != NGX_OK
        || pulse_store_run(&w->store, "LISTEN jobs") != NGX_OK)
    {
        pulse_work_down(w);
        return NGX_ERROR;
    }

    if (w->down) {
        pulse_log(PULSE_LOG_NOTICE, "pulse sidecar: Postgres is back");
    }

    w->down = 0;
    w->backoff = 0;

    /* what happened in between told nobody */

    for (task = pulse_work_tasks; task->handler; task++) {
        task->due = 0;
    }

    pulse_jobs_wake();

    return NGX_OK;
}


static void
pulse_work_down(pulse_work_t *w)
{
    pulse_store_close(&w->store);

    if (!w->down) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: Postgres is away: %s",
                  w->store.error);
    }

    w->down = 1;
    w->backoff = w->backoff ? ngx_min(w->backoff * 2, PULSE_WORK_BACKOFF_MAX)
                            : PULSE_WORK_BACKOFF;
}


static void
pulse_work_due(pulse_work_t *w)
{
    pulse_work_task_t  *task;

    for (task = pulse_work_tasks; task->handler; task++) {

        if (task->due > pulse_work_now()) {
            continue;
        }

        task->due = pulse_work_now() + task->every;

        if (task->handler(w) == NGX_OK) {
            continue;
        }

        if (w->store.conn == NULL) {
            pulse_work_down(w);
            return;
        }

        /* the statement was refused: the others may still do */

        pulse_log(PULSE_LOG_ERR, "pulse sidecar: %s: %s", task->name,
                  w->store.error);

        (void) pulse_store_run(&w->store, "ROLLBACK");
    }
}


/* NGX_OK after "timeout" or a notification, NGX_DONE to stop */

static ngx_int_t
pulse_work_wait(pulse_work_t *w, int64_t timeout)
{
    struct pollfd  fds[2];

    fds[0].fd = w->stop;
    fds[0].events = POLLIN;
    fds[1].fd = w->store.conn ? PQsocket(w->store.conn) : -1;
    fds[1].events = POLLIN;
    fds[1].revents = 0;

    if (poll(fds, 2, timeout) == -1) {
        return (errno == EINTR) ? NGX_OK : NGX_DONE;
    }

    if (fds[0].revents) {
        return NGX_DONE;
    }

    if (fds[1].revents) {
        pulse_work_hear(w);
    }

    return NGX_OK;
}


static void
pulse_work_hear(pulse_work_t *w)
{
    PGnotify  *notify;

    if (PQconsumeInput(w->store.conn) == 0) {
        snprintf(w->store.error, sizeof(w->store.error),
                 "the connection was closed");
        pulse_work_down(w);
        return;
    }

    for ( ;; ) {
        notify = PQnotifies(w->store.conn);
        if (notify == NULL) {
            return;
        }

        PQfreemem(notify);

        pulse_jobs_wake();
    }
}


static ngx_int_t
pulse_work_leases(pulse_work_t *w)
{
    PGresult    *res;
    const char  *params[1];

    params[0] = w->conf->lease_ttl;

    res = pulse_store_query(&w->store, "SELECT lease_sweep($1)", 1, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    if (strcmp(PQgetvalue(res, 0, 0), "0") != 0) {
        pulse_log(PULSE_LOG_WARN, "pulse sidecar: took back %s leases of"
                  " nodes that are gone", PQgetvalue(res, 0, 0));
    }

    PQclear(res);

    return NGX_OK;
}


static ngx_int_t
pulse_work_schedule(pulse_work_t *w)
{
    return pulse_store_run(&w->store, "SELECT jobs_schedule()");
}


static int64_t
pulse_work_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}
