
#include <pthread.h>
#include <time.h>
#include "pulse_files.h"
#include "pulse_log.h"
#include "pulse_reply.h"
#include "pulse_tasks.h"
#include "pulse_watch.h"


#define PULSE_WATCH_TICK    1000        /* ms between looks */
#define PULSE_WATCH_SILENT  15          /* ticks until a comment */
#define PULSE_WATCH_BLOCK   16384
#define PULSE_WATCH_STATE   64


typedef struct pulse_watch_s  pulse_watch_t;

struct pulse_watch_s {
    pulse_http_request_t  *request;
    char                   id[PULSE_TASK_ID + 1];
    char                   user[PULSE_TASK_ID + 1];
    char                   state[PULSE_WATCH_STATE];    /* as it was said */
    ngx_pulse_buf_t        out;
    size_t                 sent;
    ngx_uint_t             silent;                      /* ticks */
    ngx_uint_t             ended;
    pulse_watch_t         *next;                        /* that waits too */
    pulse_watch_t         *older;                       /* of all */
};


typedef struct {
    pthread_mutex_t        mutex;
    pthread_cond_t         wake;
    pthread_t              thread;
    pulse_store_t          store;
    pulse_watch_t         *waiting;     /* suspended, for the thread */
    pulse_watch_t         *all;
    ngx_uint_t             running;
    ngx_uint_t             down;
} pulse_watches_t;


static enum MHD_Result pulse_watch_open(pulse_http_request_t *r,
    PGresult *res);
static ngx_int_t pulse_watch_enter(pulse_watch_t *w);
static struct MHD_Response *pulse_watch_response(pulse_watch_t *w);
static ssize_t pulse_watch_reader(void *cls, uint64_t pos, char *buf,
    size_t max);
static void pulse_watch_free(void *cls);
static void *pulse_watch_run(void *arg);
static pulse_watch_t *pulse_watch_wait(void);
static void pulse_watch_look(pulse_watch_t *list);
static PGresult *pulse_watch_states(pulse_watch_t *list);
static void pulse_watch_say(pulse_watch_t *w, PGresult *states);
static int pulse_watch_row(const pulse_watch_t *w, PGresult *states);
static void pulse_watch_end(pulse_watch_t *w, const char *status);
static void pulse_watch_event(pulse_watch_t *w, const char *name,
    const ngx_pulse_buf_t *data);
static void pulse_watch_progress(pulse_watch_t *w, const char *status,
    const char *progress);
static ngx_int_t pulse_watch_connect(pulse_store_t *store);


static pulse_watches_t  pulse_watches = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER
};


int
pulse_watch_start(const char *conninfo)
{
    pulse_watches.store.conninfo = conninfo;
    pulse_watches.store.name = "pulse-sidecar-watch";
    pulse_watches.running = 1;

    return pthread_create(&pulse_watches.thread, NULL, pulse_watch_run, NULL);
}


void
pulse_watch_stop(void)
{
    pthread_mutex_lock(&pulse_watches.mutex);

    pulse_watches.running = 0;
    pthread_cond_signal(&pulse_watches.wake);

    pthread_mutex_unlock(&pulse_watches.mutex);

    pthread_join(pulse_watches.thread, NULL);
}


enum MHD_Result
pulse_watch_begin(pulse_http_request_t *r)
{
    PGresult         *res;
    enum MHD_Result   rc;

    res = pulse_files_find(r, pulse_tasks_shown, &rc);

    if (res) {
        rc = pulse_watch_open(r, res);
        PQclear(res);
    }

    return rc;
}


static enum MHD_Result
pulse_watch_open(pulse_http_request_t *r, PGresult *res)
{
    ngx_int_t             rc;
    const char           *status;
    pulse_watch_t        *w;
    struct MHD_Response  *response;

    w = ngx_calloc(sizeof(pulse_watch_t), NULL);
    if (w == NULL) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    w->request = r;
    memcpy(w->id, r->id.data, PULSE_TASK_ID);
    memcpy(w->user, r->user.data, PULSE_TASK_ID);
    ngx_pulse_buf_init(&w->out, 0);

    status = PQgetvalue(res, 0, PULSE_TASKS_STATUS);

    if (pulse_tasks_ended(status)) {
        pulse_tasks_write(r, res, &w->out);
        pulse_watch_end(w, status);

    } else {
        pulse_watch_progress(w, status,
                             PQgetvalue(res, 0, PULSE_TASKS_PROGRESS));
    }

    rc = pulse_watch_enter(w);

    if (rc != NGX_OK) {
        ngx_pulse_buf_free(&w->out);
        ngx_free(w);

        return pulse_reply_error(r, rc == NGX_BUSY ? pulse_reply_busy
                                                   : pulse_reply_limit, NULL);
    }

    response = pulse_watch_response(w);

    return response ? pulse_http_queue(r, MHD_HTTP_OK, response) : MHD_NO;
}


/* NGX_BUSY: there are too many; NGX_DECLINED: of this person */

static ngx_int_t
pulse_watch_enter(pulse_watch_t *w)
{
    ngx_uint_t      n, mine;
    pulse_watch_t  *other;

    n = 0;
    mine = 0;

    pthread_mutex_lock(&pulse_watches.mutex);

    for (other = pulse_watches.all; other; other = other->older) {
        n++;
        mine += (strcmp(other->user, w->user) == 0);
    }

    if (n < PULSE_WATCH_MAX && mine < PULSE_WATCH_USER) {
        w->older = pulse_watches.all;
        pulse_watches.all = w;
    }

    pthread_mutex_unlock(&pulse_watches.mutex);

    return (n >= PULSE_WATCH_MAX) ? NGX_BUSY
           : (mine >= PULSE_WATCH_USER) ? NGX_DECLINED : NGX_OK;
}


static struct MHD_Response *
pulse_watch_response(pulse_watch_t *w)
{
    struct MHD_Response  *response;

    /* it is the response's now, which frees it */

    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN,
                                                 PULSE_WATCH_BLOCK,
                                                 pulse_watch_reader, w,
                                                 pulse_watch_free);
    if (response == NULL) {
        pulse_watch_free(w);
        return NULL;
    }

    MHD_add_response_header(response, "Content-Type",
                            "text/event-stream; charset=utf-8");

    return response;
}


static ssize_t
pulse_watch_reader(void *cls, uint64_t pos, char *buf, size_t max)
{
    size_t          n;
    ngx_uint_t      running;
    pulse_watch_t  *w;

    w = cls;
    n = ngx_min(w->out.len - w->sent, max);

    if (n) {
        memcpy(buf, w->out.data + w->sent, n);
        w->sent += n;
        return n;
    }

    if (w->out.failed) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }

    if (w->ended) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }

    w->out.len = 0;
    w->sent = 0;

    pthread_mutex_lock(&pulse_watches.mutex);

    running = pulse_watches.running;

    if (running) {

        /* under the lock: it must not be woken before it sleeps, and is the
         * thread's from here on */

        MHD_suspend_connection(w->request->connection);

        w->next = pulse_watches.waiting;
        pulse_watches.waiting = w;

        pthread_cond_signal(&pulse_watches.wake);
    }

    pthread_mutex_unlock(&pulse_watches.mutex);

    return running ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}


/* by libmicrohttpd, with the response: it does not wait then */

static void
pulse_watch_free(void *cls)
{
    pulse_watch_t  *w, **p;

    w = cls;

    pthread_mutex_lock(&pulse_watches.mutex);

    for (p = &pulse_watches.all; *p; p = &(*p)->older) {
        if (*p == w) {
            *p = w->older;
            break;
        }
    }

    pthread_mutex_unlock(&pulse_watches.mutex);

    ngx_pulse_buf_free(&w->out);
    ngx_free(w);
}


static void *
pulse_watch_run(void *arg)
{
    pulse_watch_t    *list;
    struct timespec   tick;

    tick.tv_sec = PULSE_WATCH_TICK / 1000;
    tick.tv_nsec = PULSE_WATCH_TICK % 1000 * 1000000L;

    for ( ;; ) {
        list = pulse_watch_wait();

        if (list == NULL) {
            break;
        }

        pulse_watch_look(list);
        nanosleep(&tick, NULL);
    }

    pulse_store_close(&pulse_watches.store);

    return NULL;
}


/* All that wait; NULL at the end, when those who do are woken for good. */

static pulse_watch_t *
pulse_watch_wait(void)
{
    pulse_watch_t  *list, *w;

    pthread_mutex_lock(&pulse_watches.mutex);

    while (pulse_watches.running && pulse_watches.waiting == NULL) {
        pthread_cond_wait(&pulse_watches.wake, &pulse_watches.mutex);
    }

    list = pulse_watches.waiting;
    pulse_watches.waiting = NULL;

    if (!pulse_watches.running) {

        while (list) {
            w = list;
            list = w->next;
            MHD_resume_connection(w->request->connection);
        }
    }

    pthread_mutex_unlock(&pulse_watches.mutex);

    return list;
}


/* Who has something to hear is woken, the others wait on. */

static void
pulse_watch_look(pulse_watch_t *list)
{
    PGresult       *states;
    pulse_watch_t  *w;

    states = pulse_watch_states(list);

    while (list) {
        w = list;
        list = w->next;

        pulse_watch_say(w, states);

        if (w->out.len || w->out.failed || w->ended) {
            w->silent = 0;
            MHD_resume_connection(w->request->connection);
            continue;
        }

        pthread_mutex_lock(&pulse_watches.mutex);

        w->next = pulse_watches.waiting;
        pulse_watches.waiting = w;

        pthread_mutex_unlock(&pulse_watches.mutex);
    }

    PQclear(states);
}


static PGresult *
pulse_watch_states(pulse_watch_t *list)
{
    PGresult         *res;
    const char       *params[1];
    pulse_watch_t    *w;
    ngx_pulse_buf_t   ids;

    if (pulse_watch_connect(&pulse_watches.store) != NGX_OK) {
        return NULL;
    }

    ngx_pulse_buf_init(&ids, 0);
    ngx_pulse_buf_char(&ids, '{');

    for (w = list; w; w = w->next) {
        ngx_pulse_buf_append(&ids, (u_char *) w->id, PULSE_TASK_ID);
        ngx_pulse_buf_char(&ids, w->next ? ',' : '}');
    }

    ngx_pulse_buf_char(&ids, '\0');

    res = NULL;

    if (!ids.failed) {
        params[0] = (char *) ids.data;
        res = pulse_store_query(&pulse_watches.store,
                                "SELECT id, status, progress FROM tasks"
                                " WHERE id = ANY ($1) ORDER BY id", 1,
                                params);
    }

    ngx_pulse_buf_free(&ids);

    return res;
}


/* An outage has one line, and streams stay open while it lasts. */

static ngx_int_t
pulse_watch_connect(pulse_store_t *store)
{
    if (store->conn) {
        return NGX_OK;
    }

    if (pulse_store_connect(store) == NGX_OK
        && pulse_store_run(store, "SET statement_timeout = '10s'") == NGX_OK)
    {
        pulse_watches.down = 0;
        return NGX_OK;
    }

    pulse_store_close(store);

    if (!pulse_watches.down) {
        pulse_log(PULSE_LOG_ERR, "pulse tasks: nobody hears of progress: %s",
                  store->error);
    }

    pulse_watches.down = 1;

    return NGX_ERROR;
}


static void
pulse_watch_say(pulse_watch_t *w, PGresult *states)
{
    int          row;
    PGresult    *res;
    const char  *params[2], *status;

    row = pulse_watch_row(w, states);

    if (row != -1) {
        status = PQgetvalue(states, row, 1);

        if (!pulse_tasks_ended(status)) {
            pulse_watch_progress(w, status, PQgetvalue(states, row, 2));

        } else if (pulse_watches.store.conn) {
            params[0] = w->user;
            params[1] = w->id;

            res = pulse_store_query(&pulse_watches.store, pulse_tasks_shown,
                                    2, params);

            if (res && PQntuples(res)) {
                pulse_tasks_write(w->request, res, &w->out);
                pulse_watch_end(w, status);
            }

            PQclear(res);
        }

    } else if (states) {

        /* it is no more, and neither is perhaps its owner */

        w->ended = 1;
        return;
    }

    /* it shows that it is there, and finds out whether they are */

    if (w->out.len == 0 && ++w->silent >= PULSE_WATCH_SILENT) {
        ngx_pulse_buf_literal(&w->out, ": it goes on\n\n");
    }
}


static int
pulse_watch_row(const pulse_watch_t *w, PGresult *states)
{
    int  i, low, high, order;

    low = 0;
    high = states ? PQntuples(states) : 0;

    while (low < high) {
        i = low + (high - low) / 2;
        order = strcasecmp(w->id, PQgetvalue(states, i, 0));

        if (order == 0) {
            return i;
        }

        if (order < 0) {
            high = i;

        } else {
            low = i + 1;
        }
    }

    return -1;
}


static void
pulse_watch_progress(pulse_watch_t *w, const char *status,
    const char *progress)
{
    char             state[PULSE_WATCH_STATE];
    ngx_pulse_buf_t  b;

    snprintf(state, sizeof(state), "\"%s\",\"progress\":%s", status,
             progress);

    if (strcmp(state, w->state) == 0) {
        return;
    }

    strcpy(w->state, state);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"job_id\":\"");
    ngx_pulse_buf_append(&b, (u_char *) w->id, PULSE_TASK_ID);
    ngx_pulse_buf_literal(&b, "\",\"status\":");
    ngx_pulse_buf_append(&b, (u_char *) state, strlen(state));
    ngx_pulse_buf_char(&b, '}');

    pulse_watch_event(w, "progress", &b);

    ngx_pulse_buf_free(&b);
}


/* the last event, of what is in w->out */

static void
pulse_watch_end(pulse_watch_t *w, const char *status)
{
    ngx_pulse_buf_t  data;

    data = w->out;

    ngx_pulse_buf_init(&w->out, 0);
    pulse_watch_event(w, status, &data);
    ngx_pulse_buf_free(&data);

    w->ended = 1;
}


static void
pulse_watch_event(pulse_watch_t *w, const char *name,
    const ngx_pulse_buf_t *data)
{
    ngx_pulse_buf_literal(&w->out, "event: ");
    ngx_pulse_buf_append(&w->out, (u_char *) name, strlen(name));
    ngx_pulse_buf_literal(&w->out, "\ndata: ");
    ngx_pulse_buf_str(&w->out, data);
    ngx_pulse_buf_literal(&w->out, "\n\n");

    w->out.failed |= data->failed;
}
