
#include "ngx_pulse_pg_pool.h"
#include <openssl/ssl.h>


#define NGX_PULSE_PG_BACKOFF_MIN  100
#define NGX_PULSE_PG_BACKOFF_MAX  5000

static void ngx_pulse_pg_connect(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_poll(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_setup(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_setup_done(ngx_pulse_pg_connection_t *pc,
    ngx_pulse_pg_query_t *query);
static void ngx_pulse_pg_timer_handler(ngx_event_t *ev);
static void ngx_pulse_pg_event_handler(ngx_event_t *ev);
static void ngx_pulse_pg_drain(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_result(ngx_pulse_pg_query_t *query, PGresult *result);
static ngx_uint_t ngx_pulse_pg_connecting(ngx_pulse_pg_t *pg);
static void ngx_pulse_pg_log_loss(ngx_pulse_pg_connection_t *pc,
    ngx_uint_t ready, const char *cause);
static void ngx_pulse_pg_detach(ngx_pulse_pg_connection_t *pc);
static void ngx_pulse_pg_notice(void *data, const char *message);
static void ngx_pulse_pg_trim(char *text, const char *message);


void
ngx_pulse_pg_open(ngx_pulse_pg_t *pg, ngx_pulse_pg_connection_t *pc)
{
    pc->pg = pg;
    pc->backoff = NGX_PULSE_PG_BACKOFF_MIN;
    ngx_queue_init(&pc->sent);

    pc->timer.handler = ngx_pulse_pg_timer_handler;
    pc->timer.data = pc;
    pc->timer.log = pg->log;
    pc->timer.cancelable = 1;

    ngx_pulse_pg_connect(pc);
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


/*
 * PQflush() also reads, when the server does not take more, and may find the
 * connection broken: in both cases epoll has nothing to say about it.
 */

void
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


void
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


/*
 * Two lines for an outage, and one whenever its cause becomes another; one for
 * a connection lost while others serve.
 */

static void
ngx_pulse_pg_log_loss(ngx_pulse_pg_connection_t *pc, ngx_uint_t ready,
    const char *cause)
{
    ngx_pulse_pg_t  *pg;

    pg = pc->pg;

    if (pg->nready) {

        if (ready || pc->backoff == NGX_PULSE_PG_BACKOFF_MIN) {
            ngx_log_error(NGX_LOG_NOTICE, pg->log, 0,
                          "pulse postgres: connection lost: %s", cause);
        }

        return;
    }

    if (!pg->down) {
        pg->down = 1;
        ngx_log_error(NGX_LOG_ERR, pg->log, 0,
                      "pulse postgres: unavailable: %s", cause);

    } else if (ngx_strcmp(cause, pg->cause) != 0) {
        ngx_log_error(NGX_LOG_NOTICE, pg->log, 0,
                      "pulse postgres: still unavailable: %s", cause);
    }

    (void) ngx_cpystrn((u_char *) pg->cause, (u_char *) cause,
                       NGX_PULSE_PG_MAX_CAUSE);
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
