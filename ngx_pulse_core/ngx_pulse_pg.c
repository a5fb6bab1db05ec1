
#include "ngx_pulse_pg.h"
#include "ngx_pulse_metrics.h"
#include <openssl/ssl.h>


#define NGX_PULSE_PG_BACKOFF_MIN     100
#define NGX_PULSE_PG_BACKOFF_MAX     5000

/*
 * Queries of one connection that wait for an answer.  The server runs them
 * one after the other, so that a longer queue would only time out.
 */

#define NGX_PULSE_PG_MAX_SENT        1024

#define NGX_PULSE_PG_MAX_CAUSE       256

/* of queries by what became of them: NGX_PULSE_PG_*, then these */

#define NGX_PULSE_PG_REFUSED         4
#define NGX_PULSE_PG_CONNECTIONS     5
#define NGX_PULSE_PG_LOST            6
#define NGX_PULSE_PG_SECONDS         7


typedef struct ngx_pulse_pg_connection_s  ngx_pulse_pg_connection_t;


/*
 * A query is on the heap and belongs to the queue of its connection: there is
 * no way to take it back from the server, so it stays there after whoever
 * asked has been told of the time-out.
 */

typedef struct {
    ngx_queue_t                 queue;
    ngx_pulse_pg_t             *pg;
    ngx_pulse_pg_connection_t  *connection;  /* NULL: not sent yet */
    ngx_pulse_pg_statement_t   *statement;
    char                      **values;      /* until it is sent */
    PGresult                   *result;
    ngx_pulse_pg_handler_pt     handler;     /* NULL: nobody waits */
    void                       *data;
    ngx_msec_t                  start;
    ngx_msec_t                  timeout;
    ngx_event_t                 timer;
    ngx_uint_t                  prepared;    /* statements, of a setup */
    unsigned                    setup:1;     /* prepares the statements */
    unsigned                    late:1;
} ngx_pulse_pg_query_t;


struct ngx_pulse_pg_connection_s {
    ngx_pulse_pg_t             *pg;
    PGconn                     *conn;
    ngx_connection_t           *c;
    ngx_queue_t                 sent;        /* oldest first */
    ngx_uint_t                  nsent;
    ngx_uint_t                  nlate;
    ngx_event_t                 timer;       /* to connect, or until then */
    ngx_msec_t                  backoff;
    unsigned                    connected:1;
    unsigned                    ready:1;     /* statements are prepared */
    unsigned                    broken:1;    /* to be closed when posted */
    unsigned                    stale:1;     /* lost its statements */
};


struct ngx_pulse_pg_s {
    ngx_pulse_pg_conf_t        *conf;
    ngx_log_t                  *log;
    ngx_queue_t                 waiting;     /* for the first connection */
    ngx_uint_t                  nwaiting;
    ngx_uint_t                  nready;
    unsigned                    fresh:1;     /* first attempts under way */
    unsigned                    down:1;
    unsigned                    closing:1;
    ngx_pulse_pg_connection_t   connections[1];
};


static void ngx_pulse_pg_connect(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_poll(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_setup(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_setup_done(ngx_pulse_pg_connection_t *pc,
    ngx_pulse_pg_query_t *query);
static void ngx_pulse_pg_timer_handler(ngx_event_t *ev);
static void ngx_pulse_pg_event_handler(ngx_event_t *ev);
static ngx_uint_t ngx_pulse_pg_may_wait(ngx_pulse_pg_t *pg);
static ngx_pulse_pg_connection_t *ngx_pulse_pg_pick(ngx_pulse_pg_t *pg);
static char **ngx_pulse_pg_values(ngx_pulse_pg_t *pg,
    ngx_pulse_pg_statement_t *statement, ngx_str_t *params);
static ngx_int_t ngx_pulse_pg_send(ngx_pulse_pg_connection_t *pc,
    ngx_pulse_pg_query_t *query);
static void ngx_pulse_pg_send_waiting(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_fail_waiting(ngx_pulse_pg_t *pg, const char *cause);
static void ngx_pulse_pg_query_timer_handler(ngx_event_t *ev);
static void ngx_pulse_pg_flush(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_drain(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_result(ngx_pulse_pg_query_t *query, PGresult *result);
static void ngx_pulse_pg_answer(ngx_pulse_pg_query_t *query);
static void ngx_pulse_pg_failure(ngx_pulse_pg_query_t *query,
    ngx_pulse_pg_result_t *res);
static void ngx_pulse_pg_finish(ngx_pulse_pg_query_t *query,
    ngx_pulse_pg_result_t *res);
static void ngx_pulse_pg_close(ngx_pulse_pg_connection_t *pc,
    const char *cause);
static ngx_uint_t ngx_pulse_pg_connecting(ngx_pulse_pg_t *pg);
static void ngx_pulse_pg_log_loss(ngx_pulse_pg_connection_t *pc,
    ngx_uint_t ready, const char *cause);
static void ngx_pulse_pg_detach(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_notice(void *data, const char *message);
static void ngx_pulse_pg_trim(char *text, const char *message);


static ngx_pulse_metric_t  ngx_pulse_pg_metric[] = {

    { "pulse_postgres_queries_total", "result=\"ok\"",
      "Queries by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_postgres_queries_total", "result=\"error\"",
      "Queries by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_postgres_queries_total", "result=\"timeout\"",
      "Queries by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_postgres_queries_total", "result=\"unavailable\"",
      "Queries by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_postgres_queries_total", "result=\"refused\"",
      "Queries by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_postgres_connections", NULL,
      "Connections that are ready.", NGX_PULSE_METRIC_GAUGE, 0 },

    { "pulse_postgres_connections_lost_total", NULL,
      "Connections that were ready and broke.", NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_postgres_query_seconds", NULL,
      "Time from sending a query to its answer.",
      NGX_PULSE_METRIC_HISTOGRAM, 0 }
};


ngx_int_t
ngx_pulse_pg_metrics(ngx_conf_t *cf)
{
    return ngx_pulse_metrics_register(cf, ngx_pulse_pg_metric,
                                      sizeof(ngx_pulse_pg_metric)
                                      / sizeof(ngx_pulse_metric_t));
}


ngx_pulse_pg_t *
ngx_pulse_pg_create(ngx_pulse_pg_conf_t *conf, ngx_log_t *log)
{
    size_t                      size;
    ngx_uint_t                  i;
    ngx_pulse_pg_t             *pg;
    ngx_pulse_pg_connection_t  *pc;

    size = offsetof(ngx_pulse_pg_t, connections)
           + conf->connections * sizeof(ngx_pulse_pg_connection_t);

    pg = ngx_calloc(size, log);
    if (pg == NULL) {
        return NULL;
    }

    pg->conf = conf;
    pg->log = log;
    pg->fresh = 1;
    ngx_queue_init(&pg->waiting);

    /* what a worker that died in this slot has left */

    ngx_pulse_metric_set(&ngx_pulse_pg_metric[NGX_PULSE_PG_CONNECTIONS], 0);

    for (i = 0; i < conf->connections; i++) {
        pc = &pg->connections[i];

        pc->pg = pg;
        pc->backoff = NGX_PULSE_PG_BACKOFF_MIN;
        ngx_queue_init(&pc->sent);

        pc->timer.handler = ngx_pulse_pg_timer_handler;
        pc->timer.data = pc;
        pc->timer.log = log;
        pc->timer.cancelable = 1;

        ngx_pulse_pg_connect(pc);
    }

    return pg;
}


void
ngx_pulse_pg_destroy(ngx_pulse_pg_t *pg)
{
    ngx_uint_t  i;

    pg->closing = 1;

    for (i = 0; i < pg->conf->connections; i++) {
        ngx_pulse_pg_close(&pg->connections[i], "worker exits");
    }

    ngx_pulse_pg_fail_waiting(pg, "worker exits");

    ngx_free(pg);
}


static void
ngx_pulse_pg_connect(ngx_pulse_pg_connection_t *pc)
{
    ngx_connection_t  *c;

    pc->conn = PQconnectStart((char *) pc->pg->conf->conninfo.data);

    if (pc->conn == NULL) {
        ngx_pulse_pg_close(pc, "no memory");
        return;
    }

    if (PQstatus(pc->conn) == CONNECTION_BAD) {
        ngx_pulse_pg_close(pc, PQerrorMessage(pc->conn));
        return;
    }

    (void) PQsetNoticeProcessor(pc->conn, ngx_pulse_pg_notice, pc);

    c = ngx_get_connection(PQsocket(pc->conn), pc->pg->log);

    if (c == NULL) {
        ngx_pulse_pg_close(pc, "worker_connections are not enough");
        return;
    }

    pc->c = c;

    c->data = pc;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->read->handler = ngx_pulse_pg_event_handler;
    c->write->handler = ngx_pulse_pg_event_handler;
    c->read->log = c->log;
    c->write->log = c->log;

    ngx_add_timer(&pc->timer, pc->pg->conf->connect_timeout);

    /* as if PQconnectPoll() had returned PGRES_POLLING_WRITING */

    if (ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_pulse_pg_close(pc, "event cannot be added");
    }
}


/*
 * Everything here is level triggered: libpq reads once, not until EAGAIN,
 * and some of its steps do no input or output at all.
 */

static void
ngx_pulse_pg_poll(ngx_pulse_pg_connection_t *pc)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    PostgresPollingStatusType  status;

    c = pc->c;

    /*
     * PQconnectPoll() may close the socket and open another one, and the
     * new one may well get the same number: leave epoll before the call
     */

    ngx_pulse_pg_detach(pc);

    status = PQconnectPoll(pc->conn);

    if (status == PGRES_POLLING_FAILED) {
        ngx_pulse_pg_close(pc, PQerrorMessage(pc->conn));
        return;
    }

    c->fd = PQsocket(pc->conn);

    if (status == PGRES_POLLING_WRITING) {
        rc = ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);

    } else {
        rc = ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }

    if (rc != NGX_OK) {
        ngx_pulse_pg_close(pc, "event cannot be added");
        return;
    }

    if (status == PGRES_POLLING_OK) {
        pc->connected = 1;
        ngx_pulse_pg_setup(pc);
    }
}


static void
ngx_pulse_pg_setup(ngx_pulse_pg_connection_t *pc)
{
    ngx_uint_t                  i, n;
    ngx_pulse_pg_query_t       *query;
    ngx_pulse_pg_statement_t  **statements;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, pc->pg->log, 0,
                   "pulse postgres: connected, fd:%d", pc->c->fd);

    query = ngx_calloc(sizeof(ngx_pulse_pg_query_t), pc->pg->log);

    if (query == NULL) {
        ngx_pulse_pg_close(pc, "no memory");
        return;
    }

    query->pg = pc->pg;
    query->connection = pc;
    query->setup = 1;

    /* the timer of the connect attempt bounds the setup as well */

    ngx_queue_insert_tail(&pc->sent, &query->queue);
    pc->nsent++;

    /* not sooner: it would wipe the address from the message of a failure */

    if (PQsetnonblocking(pc->conn, 1) == -1 || !PQenterPipelineMode(pc->conn))
    {
        ngx_pulse_pg_close(pc, PQerrorMessage(pc->conn));
        return;
    }

    statements = ngx_pulse_pg_statements(&n);

    for (i = 0; i < n; i++) {
        if (!PQsendPrepare(pc->conn, statements[i]->name, statements[i]->sql,
                           statements[i]->nparams, NULL))
        {
            ngx_pulse_pg_close(pc, PQerrorMessage(pc->conn));
            return;
        }
    }

    if (!PQpipelineSync(pc->conn)) {
        ngx_pulse_pg_close(pc, PQerrorMessage(pc->conn));
        return;
    }

    ngx_pulse_pg_flush(pc);
}


static void
ngx_pulse_pg_setup_done(ngx_pulse_pg_connection_t *pc,
    ngx_pulse_pg_query_t *query)
{
    char                        cause[NGX_PULSE_PG_MAX_CAUSE];
    u_char                     *last;
    ngx_uint_t                  n, failed;
    ngx_pulse_pg_t             *pg;
    ngx_pulse_pg_result_t       res;
    ngx_pulse_pg_statement_t  **statements;

    pg = pc->pg;

    if (query->result) {

        /* a schema older than the module: nothing may run on half of it */

        statements = ngx_pulse_pg_statements(&n);
        failed = ngx_min(query->prepared, n - 1);

        ngx_pulse_pg_failure(query, &res);

        last = ngx_snprintf((u_char *) cause, sizeof(cause) - 1,
                            "statement \"%s\": %s", statements[failed]->name,
                            res.message);
        *last = '\0';

        ngx_pulse_pg_finish(query, NULL);
        ngx_pulse_pg_close(pc, cause);
        return;
    }

    ngx_pulse_pg_finish(query, NULL);

    ngx_del_timer(&pc->timer);

    pc->ready = 1;
    pc->backoff = NGX_PULSE_PG_BACKOFF_MIN;
    pg->nready++;

    ngx_pulse_metric_set(&ngx_pulse_pg_metric[NGX_PULSE_PG_CONNECTIONS],
                         pg->nready);

    if (pg->down) {
        pg->down = 0;
        ngx_log_error(NGX_LOG_NOTICE, pg->log, 0,
                      "pulse postgres: available again");
    }

    pg->fresh = 0;
    ngx_pulse_pg_send_waiting(pc);
}


static void
ngx_pulse_pg_timer_handler(ngx_event_t *ev)
{
    ngx_pulse_pg_connection_t  *pc = ev->data;

    if (pc->conn) {
        ngx_pulse_pg_close(pc, "connect timed out");
        return;
    }

    ngx_pulse_pg_connect(pc);
}


static void
ngx_pulse_pg_event_handler(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_pulse_pg_connection_t  *pc;

    c = ev->data;
    pc = c->data;

    if (c->close) {
        /* worker_shutdown_timeout: the worker closes all it has */
        pc->pg->closing = 1;
        ngx_pulse_pg_close(pc, "worker exits");
        return;
    }

    if (!pc->connected) {
        ngx_pulse_pg_poll(pc);
        return;
    }

    if (!ev->write && !pc->broken && !PQconsumeInput(pc->conn)) {
        pc->broken = 1;
    }

    ngx_pulse_pg_flush(pc);
    ngx_pulse_pg_drain(pc);
}


ngx_int_t
ngx_pulse_pg_query(ngx_pulse_pg_t *pg, ngx_pulse_pg_statement_t *statement,
    ngx_str_t *params, ngx_msec_t timeout, ngx_pulse_pg_handler_pt handler,
    void *data)
{
    ngx_pulse_pg_query_t       *query;
    ngx_pulse_pg_connection_t  *pc;

    pc = ngx_pulse_pg_pick(pg);

    if (pc == NULL && !ngx_pulse_pg_may_wait(pg)) {
        ngx_pulse_metric_add(&ngx_pulse_pg_metric[NGX_PULSE_PG_REFUSED], 1);
        return NGX_ERROR;
    }

    query = ngx_calloc(sizeof(ngx_pulse_pg_query_t), pg->log);

    if (query == NULL) {
        return NGX_ERROR;
    }

    query->pg = pg;
    query->statement = statement;
    query->values = ngx_pulse_pg_values(pg, statement, params);

    if (query->values == NULL
        || (pc && ngx_pulse_pg_send(pc, query) != NGX_OK))
    {
        ngx_free(query->values);
        ngx_free(query);
        return NGX_ERROR;
    }

    query->handler = handler;
    query->data = data;
    query->start = ngx_current_msec;
    query->timeout = timeout ? timeout : pg->conf->timeout;

    query->timer.handler = ngx_pulse_pg_query_timer_handler;
    query->timer.data = query;
    query->timer.log = pg->log;

    ngx_add_timer(&query->timer, query->timeout);

    if (pc == NULL) {
        ngx_queue_insert_tail(&pg->waiting, &query->queue);
        pg->nwaiting++;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_pulse_pg_ready(ngx_pulse_pg_t *pg)
{
    return ngx_pulse_pg_pick(pg) != NULL || ngx_pulse_pg_may_wait(pg);
}


/*
 * A worker takes requests before it has connected.  Nobody shall see that it
 * is new, as after each reload, so that these wait for the first attempt.
 */

static ngx_uint_t
ngx_pulse_pg_may_wait(ngx_pulse_pg_t *pg)
{
    return pg->fresh && !pg->closing && pg->nwaiting < NGX_PULSE_PG_MAX_SENT;
}


/*
 * The least loaded one.  A connection that owes an answer which is overdue
 * takes no more: what is put behind it would be late too.
 */

static ngx_pulse_pg_connection_t *
ngx_pulse_pg_pick(ngx_pulse_pg_t *pg)
{
    ngx_uint_t                  i;
    ngx_pulse_pg_connection_t  *pc, *best;

    best = NULL;

    if (pg->closing) {
        return NULL;
    }

    for (i = 0; i < pg->conf->connections; i++) {
        pc = &pg->connections[i];

        if (!pc->ready || pc->broken || pc->stale || pc->nlate
            || pc->nsent >= NGX_PULSE_PG_MAX_SENT)
        {
            continue;
        }

        if (best == NULL || pc->nsent < best->nsent) {
            best = pc;
        }
    }

    return best;
}


/* One block: the pointers, then the texts, each with the NUL it needs. */

static char **
ngx_pulse_pg_values(ngx_pulse_pg_t *pg, ngx_pulse_pg_statement_t *statement,
    ngx_str_t *params)
{
    char        **values;
    size_t        size;
    u_char       *p;
    ngx_uint_t    i;

    size = (statement->nparams + 1) * sizeof(char *);

    for (i = 0; i < statement->nparams; i++) {
        if (params[i].data == NULL) {
            continue;
        }

        if (memchr(params[i].data, '\0', params[i].len) != NULL) {
            return NULL;
        }

        size += params[i].len + 1;
    }

    values = ngx_calloc(size, pg->log);

    if (values == NULL) {
        return NULL;
    }

    p = (u_char *) &values[statement->nparams + 1];

    for (i = 0; i < statement->nparams; i++) {
        if (params[i].data) {
            values[i] = (char *) p;
            p = ngx_cpymem(p, params[i].data, params[i].len) + 1;
        }
    }

    return values;
}


static ngx_int_t
ngx_pulse_pg_send(ngx_pulse_pg_connection_t *pc, ngx_pulse_pg_query_t *query)
{
    /* each query has a Sync of its own, so that an error ends with it */

    if (!PQsendQueryPrepared(pc->conn, query->statement->name,
                             query->statement->nparams,
                             (const char *const *) query->values,
                             NULL, NULL, 0)
        || !PQpipelineSync(pc->conn))
    {
        /*
         * libpq may have closed the socket by itself, so that no event comes,
         * and requests are on the stack: the connection is closed when posted
         */

        pc->broken = 1;
        ngx_post_event(pc->c->read, &ngx_posted_events);

        return NGX_ERROR;
    }

    ngx_free(query->values);
    query->values = NULL;

    query->connection = pc;
    ngx_queue_insert_tail(&pc->sent, &query->queue);
    pc->nsent++;

    ngx_pulse_pg_flush(pc);

    return NGX_OK;
}


static void
ngx_pulse_pg_send_waiting(ngx_pulse_pg_connection_t *pc)
{
    ngx_queue_t           *q;
    ngx_pulse_pg_t        *pg;
    ngx_pulse_pg_query_t  *query;

    pg = pc->pg;

    while (!ngx_queue_empty(&pg->waiting)) {
        q = ngx_queue_head(&pg->waiting);
        query = ngx_queue_data(q, ngx_pulse_pg_query_t, queue);

        ngx_queue_remove(q);
        pg->nwaiting--;

        if (ngx_pulse_pg_send(pc, query) != NGX_OK) {
            ngx_queue_insert_head(&pg->waiting, q);
            pg->nwaiting++;

            ngx_pulse_pg_fail_waiting(pg, "connection closed");
        }
    }
}


static void
ngx_pulse_pg_fail_waiting(ngx_pulse_pg_t *pg, const char *cause)
{
    ngx_queue_t            *q;
    ngx_pulse_pg_query_t   *query;
    ngx_pulse_pg_result_t   res;

    pg->fresh = 0;

    ngx_memzero(&res, sizeof(ngx_pulse_pg_result_t));
    res.status = NGX_PULSE_PG_UNAVAILABLE;
    res.message = cause;

    while (!ngx_queue_empty(&pg->waiting)) {
        q = ngx_queue_head(&pg->waiting);
        query = ngx_queue_data(q, ngx_pulse_pg_query_t, queue);

        ngx_queue_remove(q);
        pg->nwaiting--;

        ngx_pulse_pg_finish(query, &res);
    }
}


static void
ngx_pulse_pg_query_timer_handler(ngx_event_t *ev)
{
    void                     *data;
    ngx_pulse_pg_query_t     *query;
    ngx_pulse_pg_result_t     res;
    ngx_pulse_pg_handler_pt   handler;

    query = ev->data;

    ngx_memzero(&res, sizeof(ngx_pulse_pg_result_t));
    res.status = NGX_PULSE_PG_TIMEOUT;
    res.message = "no answer in time";

    if (query->connection == NULL) {
        ngx_queue_remove(&query->queue);
        query->pg->nwaiting--;

        ngx_pulse_pg_finish(query, &res);
        return;
    }

    if (query->late) {

        /* twice its time, and the ones behind it wait as well */

        ngx_pulse_pg_close(query->connection, "no answer in time");
        return;
    }

    query->late = 1;
    query->connection->nlate++;

    handler = query->handler;
    data = query->data;
    query->handler = NULL;

    /* nobody waits any more: an exiting worker need not either */

    query->timer.cancelable = 1;
    ngx_add_timer(&query->timer, query->timeout);

    ngx_pulse_metric_add(&ngx_pulse_pg_metric[NGX_PULSE_PG_TIMEOUT], 1);

    handler(data, &res);
}


/*
 * PQflush() also reads, when the server does not take more, and may find the
 * connection broken: in both cases epoll has nothing to say about it.
 */

static void
ngx_pulse_pg_flush(ngx_pulse_pg_connection_t *pc)
{
    int           rc;
    ngx_int_t     ok;
    ngx_event_t  *wev;

    ok = NGX_OK;
    wev = pc->c->write;

    rc = pc->broken ? -1 : PQflush(pc->conn);

    if (rc == 1) {
        if (!wev->active) {
            ok = ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
            ngx_post_event(pc->c->read, &ngx_posted_events);
        }

    } else if (rc == 0 && wev->active) {
        ok = ngx_del_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }

    if (rc == -1 || ok != NGX_OK || PQstatus(pc->conn) == CONNECTION_BAD) {
        pc->broken = 1;
        ngx_post_event(pc->c->read, &ngx_posted_events);
    }
}


static void
ngx_pulse_pg_drain(ngx_pulse_pg_connection_t *pc)
{
    SSL                   *ssl;
    PGresult              *result;
    ngx_queue_t           *q, done;
    ngx_pulse_pg_query_t  *query;

    ngx_queue_init(&done);

    /* PQisBusy() first: it also takes in what the server says unasked */

    while (!PQisBusy(pc->conn) && !ngx_queue_empty(&pc->sent)) {

        q = ngx_queue_head(&pc->sent);
        query = ngx_queue_data(q, ngx_pulse_pg_query_t, queue);

        result = PQgetResult(pc->conn);

        if (result == NULL) {
            if (PQstatus(pc->conn) == CONNECTION_BAD) {
                break;
            }

            continue;
        }

        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&done, q);
            pc->nsent--;
            pc->nlate -= query->late;
            continue;
        }

        ngx_pulse_pg_result(query, result);
    }

    if (PQstatus(pc->conn) == CONNECTION_BAD) {
        pc->broken = 1;

    } else {
        ssl = PQsslStruct(pc->conn, "OpenSSL");

        if (ssl && SSL_pending(ssl)) {
            /* bytes that epoll cannot see */
            ngx_post_event(pc->c->read, &ngx_posted_events);
        }
    }

    /* libpq is off the stack: handlers may send, or fail to */

    while (!ngx_queue_empty(&done)) {
        q = ngx_queue_head(&done);
        ngx_queue_remove(q);

        query = ngx_queue_data(q, ngx_pulse_pg_query_t, queue);

        if (query->setup) {
            ngx_pulse_pg_setup_done(pc, query);

        } else {
            ngx_pulse_pg_answer(query);
        }
    }

    if (pc->conn == NULL) {
        return;
    }

    if (pc->broken) {
        ngx_pulse_pg_close(pc, PQerrorMessage(pc->conn));

    } else if (pc->stale && ngx_queue_empty(&pc->sent)) {
        ngx_pulse_pg_close(pc, "prepared statements are gone");
    }
}


/* Keeps the first error, or else the rows, and frees the rest. */

static void
ngx_pulse_pg_result(ngx_pulse_pg_query_t *query, PGresult *result)
{
    ExecStatusType  status;

    status = PQresultStatus(result);

    if (query->result != NULL || status == PGRES_PIPELINE_ABORTED) {
        PQclear(result);
        return;
    }

    if (query->setup && status == PGRES_COMMAND_OK) {
        query->prepared++;
        PQclear(result);
        return;
    }

    query->result = result;
}


static void
ngx_pulse_pg_answer(ngx_pulse_pg_query_t *query)
{
    ExecStatusType         status;
    ngx_pulse_pg_result_t  res;

    ngx_memzero(&res, sizeof(ngx_pulse_pg_result_t));

    status = PQresultStatus(query->result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        res.status = NGX_PULSE_PG_OK;
        res.rows = query->result;

    } else {
        ngx_pulse_pg_failure(query, &res);
    }

    ngx_pulse_pg_finish(query, &res);
}


static void
ngx_pulse_pg_failure(ngx_pulse_pg_query_t *query, ngx_pulse_pg_result_t *res)
{
    char  *state, *function, *message;

    ngx_memzero(res, sizeof(ngx_pulse_pg_result_t));

    state = PQresultErrorField(query->result, PG_DIAG_SQLSTATE);
    function = PQresultErrorField(query->result, PG_DIAG_SOURCE_FUNCTION);
    message = PQresultErrorField(query->result, PG_DIAG_MESSAGE_PRIMARY);

    res->message = message ? message : "unexpected answer";

    /* libpq's own errors, and a server that says it is going away */

    if (state == NULL || ngx_strncmp(state, "08", 2) == 0
        || ngx_strncmp(state, "57P", 3) == 0)
    {
        res->status = NGX_PULSE_PG_UNAVAILABLE;
        return;
    }

    /*
     * Statements are lost by DISCARD, or by a pooler between that changes
     * servers; and a plan may not change its columns after a migration.
     * Both are gone with a new connection.
     */

    if (!query->setup
        && (ngx_strcmp(state, "26000") == 0
            || (function
                && ngx_strcmp(function, "RevalidateCachedQuery") == 0)))
    {
        query->connection->stale = 1;
        res->status = NGX_PULSE_PG_UNAVAILABLE;
        return;
    }

    res->status = NGX_PULSE_PG_ERROR;
    ngx_memcpy(res->sqlstate, state, ngx_min(ngx_strlen(state), 5));
}


/* Ends a query that has left its queue. */

static void
ngx_pulse_pg_finish(ngx_pulse_pg_query_t *query, ngx_pulse_pg_result_t *res)
{
    if (query->timer.timer_set) {
        ngx_del_timer(&query->timer);
    }

    if (query->handler) {
        ngx_pulse_metric_add(&ngx_pulse_pg_metric[res->status], 1);

        if (res->status == NGX_PULSE_PG_OK) {
            ngx_pulse_metric_observe(
                                  &ngx_pulse_pg_metric[NGX_PULSE_PG_SECONDS],
                                  ngx_current_msec - query->start);
        }

        query->handler(query->data, res);
    }

    PQclear(query->result);
    ngx_free(query->values);
    ngx_free(query);
}


static void
ngx_pulse_pg_close(ngx_pulse_pg_connection_t *pc, const char *cause)
{
    char                    text[NGX_PULSE_PG_MAX_CAUSE];
    ngx_uint_t              ready;
    ngx_queue_t            *q, lost;
    ngx_pulse_pg_t         *pg;
    ngx_pulse_pg_query_t   *query;
    ngx_pulse_pg_result_t   res;

    pg = pc->pg;

    /* "cause" may be libpq's own and ends with the connection */

    ngx_pulse_pg_trim(text, cause);

    ready = pc->ready;
    pg->nready -= ready;

    pc->connected = 0;
    pc->ready = 0;
    pc->broken = 0;
    pc->stale = 0;

    if (pc->timer.timer_set) {
        ngx_del_timer(&pc->timer);
    }

    if (pc->c) {
        ngx_pulse_pg_detach(pc);

        /* PQfinish() closes the socket, so only the slot is given back */

        pc->c->read->closed = 1;
        pc->c->write->closed = 1;
        ngx_free_connection(pc->c);
        pc->c->fd = (ngx_socket_t) -1;
        pc->c = NULL;
    }

    if (pc->conn) {
        PQfinish(pc->conn);
        pc->conn = NULL;
    }

    ngx_queue_init(&lost);

    if (!ngx_queue_empty(&pc->sent)) {
        ngx_queue_add(&lost, &pc->sent);
        ngx_queue_init(&pc->sent);
    }

    pc->nsent = 0;
    pc->nlate = 0;

    if (!pg->closing && !ngx_terminate) {
        ngx_pulse_metric_add(&ngx_pulse_pg_metric[NGX_PULSE_PG_LOST], ready);
        ngx_pulse_metric_set(&ngx_pulse_pg_metric[NGX_PULSE_PG_CONNECTIONS],
                             pg->nready);

        ngx_pulse_pg_log_loss(pc, ready, text);

        ngx_add_timer(&pc->timer,
                      pc->backoff + ngx_random() % (pc->backoff / 2));

        pc->backoff = ngx_min(pc->backoff * 2, NGX_PULSE_PG_BACKOFF_MAX);
    }

    ngx_memzero(&res, sizeof(ngx_pulse_pg_result_t));
    res.status = NGX_PULSE_PG_UNAVAILABLE;
    res.message = text;

    while (!ngx_queue_empty(&lost)) {
        q = ngx_queue_head(&lost);
        ngx_queue_remove(q);

        query = ngx_queue_data(q, ngx_pulse_pg_query_t, queue);
        ngx_pulse_pg_finish(query, &res);
    }

    if (pg->fresh && !ngx_pulse_pg_connecting(pg)) {
        ngx_pulse_pg_fail_waiting(pg, text);
    }
}


static ngx_uint_t
ngx_pulse_pg_connecting(ngx_pulse_pg_t *pg)
{
    ngx_uint_t  i;

    for (i = 0; i < pg->conf->connections; i++) {
        if (pg->connections[i].conn) {
            return 1;
        }
    }

    return 0;
}


/* Two lines for an outage, one for a connection lost while others serve. */

static void
ngx_pulse_pg_log_loss(ngx_pulse_pg_connection_t *pc, ngx_uint_t ready,
    const char *cause)
{
    ngx_pulse_pg_t  *pg;

    pg = pc->pg;

    if (pg->down) {
        return;
    }

    if (pg->nready == 0) {
        pg->down = 1;
        ngx_log_error(NGX_LOG_ERR, pg->log, 0,
                      "pulse postgres: unavailable: %s", cause);
        return;
    }

    if (ready || pc->backoff == NGX_PULSE_PG_BACKOFF_MIN) {
        ngx_log_error(NGX_LOG_NOTICE, pg->log, 0,
                      "pulse postgres: connection lost: %s", cause);
    }
}


static void
ngx_pulse_pg_detach(ngx_pulse_pg_connection_t *pc)
{
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = pc->c;

    /*
     * libpq closes the socket on a fatal error by itself; then epoll has
     * forgotten it already, and epoll_ctl() would fail with EBADF
     */

    flags = (PQsocket(pc->conn) == c->fd) ? 0 : NGX_CLOSE_EVENT;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }
}


static void
ngx_pulse_pg_notice(void *data, const char *message)
{
    ngx_pulse_pg_connection_t  *pc = data;

    char  text[NGX_PULSE_PG_MAX_CAUSE];

    ngx_pulse_pg_trim(text, message);

    ngx_log_error(NGX_LOG_INFO, pc->pg->log, 0,
                  "pulse postgres: the server says: %s", text);
}


/* The first line; the others are hints for an interactive user. */

static void
ngx_pulse_pg_trim(char *text, const char *message)
{
    size_t  len;

    len = ngx_min(strcspn(message, "\r\n"), NGX_PULSE_PG_MAX_CAUSE - 1);

    if (len == 0) {
        message = "connection closed";
        len = ngx_strlen(message);
    }

    ngx_memcpy(text, message, len);
    text[len] = '\0';
}


ngx_str_t
ngx_pulse_pg_value(ngx_pulse_pg_result_t *res, int row, int column)
{
    ngx_str_t  value;

    ngx_str_null(&value);

    if (res->rows == NULL || row < 0 || row >= PQntuples(res->rows)
        || column < 0 || column >= PQnfields(res->rows)
        || PQgetisnull(res->rows, row, column))
    {
        return value;
    }

    value.len = PQgetlength(res->rows, row, column);
    value.data = (u_char *) PQgetvalue(res->rows, row, column);

    return value;
}


int64_t
ngx_pulse_pg_int(ngx_pulse_pg_result_t *res, int row, int column)
{
    char       *end;
    int64_t     n;
    ngx_str_t   value;

    value = ngx_pulse_pg_value(res, row, column);

    if (value.data == NULL) {
        return 0;
    }

    n = strtoll((char *) value.data, &end, 10);

    return *end == '\0' ? n : 0;
}
