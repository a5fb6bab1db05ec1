
#include <pthread.h>
#include "pulse_chat.h"
#include "pulse_log.h"
#include "pulse_once.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_WORKER_THREADS  16            /* of a lane, at most */
#define PULSE_WORKER_QUEUE    256


typedef struct pulse_worker_lane_s  pulse_worker_lane_t;

typedef struct {
    pthread_t              thread;
    pulse_store_t          store;
    pulse_worker_lane_t   *lane;
    unsigned               down:1;
} pulse_worker_t;


struct pulse_worker_lane_s {
    unsigned               size;            /* threads that it gets */
    pthread_cond_t         wake;
    pulse_http_request_t  *first;
    pulse_http_request_t  *last;
    unsigned               waiting;
    unsigned               threads;
    pulse_worker_t         workers[PULSE_WORKER_THREADS];
};


typedef struct {
    pthread_mutex_t        mutex;
    unsigned               running:1;
    pulse_worker_lane_t    lanes[PULSE_WORKER_LANES];
} pulse_worker_pool_t;


static int pulse_worker_start_lane(pulse_worker_lane_t *lane,
    const char *conninfo);
static void *pulse_worker_run(void *arg);
static void pulse_worker_append(pulse_http_request_t *r);
static void pulse_worker_handle(pulse_http_request_t *r);
static pulse_http_request_t *pulse_worker_next(pulse_worker_lane_t *lane);
static pulse_worker_lane_t *pulse_worker_lane(pulse_http_request_t *r);


/* as pulse_worker_lane_e has them, less the first, which is no lane */

static pulse_worker_pool_t  pulse_workers = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .lanes = {
        { .size = 4, .wake = PTHREAD_COND_INITIALIZER },
        { .size = 4, .wake = PTHREAD_COND_INITIALIZER },
        { .size = 2, .wake = PTHREAD_COND_INITIALIZER },
        { .size = 16, .wake = PTHREAD_COND_INITIALIZER }
    }
};


int
pulse_worker_start(const char *conninfo)
{
    int         rc;
    ngx_uint_t  i;

    pulse_workers.running = 1;

    for (i = 0; i < PULSE_WORKER_LANES; i++) {
        rc = pulse_worker_start_lane(&pulse_workers.lanes[i], conninfo);

        if (rc != 0) {
            pulse_worker_stop();
            return rc;
        }
    }

    return 0;
}


static int
pulse_worker_start_lane(pulse_worker_lane_t *lane, const char *conninfo)
{
    int              rc;
    pulse_worker_t  *worker;

    while (lane->threads < lane->size) {
        worker = &lane->workers[lane->threads];

        worker->lane = lane;
        worker->store.conninfo = conninfo;
        worker->store.name = "pulse-sidecar-worker";

        rc = pthread_create(&worker->thread, NULL, pulse_worker_run, worker);

        if (rc != 0) {
            return rc;
        }

        lane->threads++;
    }

    return 0;
}


void
pulse_worker_stop(void)
{
    ngx_uint_t             i;
    pulse_worker_lane_t   *lane;
    pulse_http_request_t  *r;

    pthread_mutex_lock(&pulse_workers.mutex);

    pulse_workers.running = 0;

    for (i = 0; i < PULSE_WORKER_LANES; i++) {
        pthread_cond_broadcast(&pulse_workers.lanes[i].wake);
    }

    pthread_mutex_unlock(&pulse_workers.mutex);

    for (i = 0; i < PULSE_WORKER_LANES; i++) {
        lane = &pulse_workers.lanes[i];

        while (lane->threads) {
            lane->threads--;
            pthread_join(lane->workers[lane->threads].thread, NULL);
        }

        for (r = pulse_worker_next(lane); r; r = pulse_worker_next(lane)) {
            pulse_http_resume(r, pulse_reply_error(r, pulse_reply_busy,
                                                   NULL));
        }
    }
}


ngx_int_t
pulse_worker_add(pulse_http_request_t *r)
{
    ngx_int_t  rc;

    rc = NGX_BUSY;

    pthread_mutex_lock(&pulse_workers.mutex);

    if (pulse_workers.running
        && pulse_worker_lane(r)->waiting < PULSE_WORKER_QUEUE)
    {
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
    pulse_worker_lane_t  *lane;

    lane = pulse_worker_lane(r);
    r->next = NULL;

    if (lane->last) {
        lane->last->next = r;

    } else {
        lane->first = r;
    }

    lane->last = r;
    lane->waiting++;

    pthread_cond_signal(&lane->wake);
}


static pulse_worker_lane_t *
pulse_worker_lane(pulse_http_request_t *r)
{
    return &pulse_workers.lanes[r->work - 1];
}


static void *
pulse_worker_run(void *arg)
{
    pulse_worker_t        *worker = arg;
    pulse_http_request_t  *r;

    for ( ;; ) {
        pthread_mutex_lock(&pulse_workers.mutex);

        while (pulse_workers.running && worker->lane->first == NULL) {
            pthread_cond_wait(&worker->lane->wake, &pulse_workers.mutex);
        }

        if (!pulse_workers.running) {
            pthread_mutex_unlock(&pulse_workers.mutex);
            break;
        }

        pthread_mutex_unlock(&pulse_workers.mutex);

        r = pulse_worker_next(worker->lane);

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
pulse_worker_next(pulse_worker_lane_t *lane)
{
    pulse_http_request_t  *r;

    pthread_mutex_lock(&pulse_workers.mutex);

    r = lane->first;

    if (r) {
        lane->first = r->next;
        lane->waiting--;

        if (r->next == NULL) {
            lane->last = NULL;
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
