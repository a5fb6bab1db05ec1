
#include <pthread.h>
#include "pulse_chat.h"
#include "pulse_log.h"
#include "pulse_once.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_WORKER_THREADS  4
#define PULSE_WORKER_QUEUE    256


typedef struct {
    pthread_t              thread;
    pulse_store_t          store;
    unsigned               down:1;
} pulse_worker_t;


typedef struct {
    pthread_mutex_t        mutex;
    pthread_cond_t         wake;
    pulse_http_request_t  *first;
    pulse_http_request_t  *last;
    unsigned               waiting;
    unsigned               running:1;
    unsigned               threads;
    pulse_worker_t         workers[PULSE_WORKER_THREADS];
} pulse_worker_pool_t;


static void *pulse_worker_run(void *arg);
static void pulse_worker_append(pulse_http_request_t *r);
static void pulse_worker_handle(pulse_http_request_t *r);
static pulse_http_request_t *pulse_worker_next(void);


static pulse_worker_pool_t  pulse_workers = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER
};


int
pulse_worker_start(const char *conninfo)
{
    int              rc;
    pulse_worker_t  *worker;

    pulse_workers.running = 1;

    while (pulse_workers.threads < PULSE_WORKER_THREADS) {
        worker = &pulse_workers.workers[pulse_workers.threads];

        worker->store.conninfo = conninfo;
        worker->store.name = "pulse-sidecar-worker";

        rc = pthread_create(&worker->thread, NULL, pulse_worker_run, worker);

        if (rc != 0) {
            pulse_worker_stop();
            return rc;
        }

        pulse_workers.threads++;
    }

    return 0;
}


void
pulse_worker_stop(void)
{
    pulse_http_request_t  *r;

    pthread_mutex_lock(&pulse_workers.mutex);

    pulse_workers.running = 0;
    pthread_cond_broadcast(&pulse_workers.wake);

    pthread_mutex_unlock(&pulse_workers.mutex);

    while (pulse_workers.threads) {
        pulse_workers.threads--;
        pthread_join(pulse_workers.workers[pulse_workers.threads].thread,
                     NULL);
    }

    for (r = pulse_worker_next(); r; r = pulse_worker_next()) {
        pulse_http_resume(r, pulse_reply_error(r, pulse_reply_busy, NULL));
    }
}


ngx_int_t
pulse_worker_add(pulse_http_request_t *r)
{
    ngx_int_t  rc;

    rc = NGX_BUSY;

    pthread_mutex_lock(&pulse_workers.mutex);

    if (pulse_workers.running && pulse_workers.waiting < PULSE_WORKER_QUEUE) {
        pulse_worker_append(r);
        rc = NGX_OK;
    }

    pthread_mutex_unlock(&pulse_workers.mutex);

    return rc;
}


void
pulse_worker_again(pulse_http_request_t *r)
{
    /* while they stop too: pulse_worker_stop() answers what is left */

    pthread_mutex_lock(&pulse_workers.mutex);

    pulse_worker_append(r);

    pthread_mutex_unlock(&pulse_workers.mutex);
}


static void
pulse_worker_append(pulse_http_request_t *r)
{
    r->next = NULL;

    if (pulse_workers.last) {
        pulse_workers.last->next = r;

    } else {
        pulse_workers.first = r;
    }

    pulse_workers.last = r;
    pulse_workers.waiting++;

    pthread_cond_signal(&pulse_workers.wake);
}


static void *
pulse_worker_run(void *arg)
{
    pulse_worker_t        *worker = arg;
    pulse_http_request_t  *r;

    for ( ;; ) {
        pthread_mutex_lock(&pulse_workers.mutex);

        while (pulse_workers.running && pulse_workers.first == NULL) {
            pthread_cond_wait(&pulse_workers.wake, &pulse_workers.mutex);
        }

        if (!pulse_workers.running) {
            pthread_mutex_unlock(&pulse_workers.mutex);
            break;
        }

        pthread_mutex_unlock(&pulse_workers.mutex);

        r = pulse_worker_next();

        if (r) {
            r->store = &worker->store;
            pulse_worker_handle(r);
        }
    }

    pulse_store_close(&worker->store);

    return NULL;
}


static void
pulse_worker_handle(pulse_http_request_t *r)
{
    enum MHD_Result  rc;

    if (!r->once || pulse_once_begin(r, &rc) == NGX_OK) {
        r->once = 0;
        rc = r->handler(r);

        if (r->chat) {

            /* from here on it is another thread's */

            pulse_chat_send(r);
            return;
        }

        pulse_once_end(r);
    }

    pulse_http_resume(r, rc);
}


static pulse_http_request_t *
pulse_worker_next(void)
{
    pulse_http_request_t  *r;

    pthread_mutex_lock(&pulse_workers.mutex);

    r = pulse_workers.first;

    if (r) {
        pulse_workers.first = r->next;
        pulse_workers.waiting--;

        if (r->next == NULL) {
            pulse_workers.last = NULL;
        }
    }

    pthread_mutex_unlock(&pulse_workers.mutex);

    return r;
}


ngx_int_t
pulse_worker_store(pulse_http_request_t *r)
{
    pulse_worker_t  *worker;

    worker = (pulse_worker_t *) ((u_char *) r->store
                                 - offsetof(pulse_worker_t, store));

    if (worker->store.conn) {
        return NGX_OK;
    }

    if (pulse_store_connect(&worker->store) == NGX_OK
        && pulse_store_run(&worker->store, "SET statement_timeout = '10s'")
           == NGX_OK)
    {
        worker->down = 0;
        return NGX_OK;
    }

    pulse_store_close(&worker->store);

    if (!worker->down) {
        pulse_log(PULSE_LOG_ERR, "pulse worker: Postgres is away: %s",
                  worker->store.error);
    }

    worker->down = 1;

    return NGX_ERROR;
}
