
#include "ngx_pulse_pg_pool.h"


/*
 * Queries of one connection that wait for an answer.  The server runs them
 * one after the other, so that a longer queue would only time out.
 */

#define NGX_PULSE_PG_MAX_SENT  1024

/* times the time-out of the pool, for an answer that is late already */

#define NGX_PULSE_PG_LATE      2


static ngx_uint_t ngx_pulse_pg_may_wait(ngx_pulse_pg_t *pg);
static ngx_pulse_pg_connection_t *ngx_pulse_pg_pick(ngx_pulse_pg_t *pg);
static char **ngx_pulse_pg_values(ngx_pulse_pg_t *pg,
    ngx_pulse_pg_statement_t *statement, ngx_str_t *params);
static ngx_int_t ngx_pulse_pg_send(ngx_pulse_pg_connection_t *pc,
    ngx_pulse_pg_query_t *query);
static void ngx_pulse_pg_query_timer_handler(ngx_event_t *ev);


ngx_pulse_metric_t  ngx_pulse_pg_metric[] = {

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
    size_t           size;
    ngx_uint_t       i;
    ngx_pulse_pg_t  *pg;

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
        ngx_pulse_pg_open(pg, &pg->connections[i]);
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


void
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


void
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

        /* the server would have ended it: it does not work at all */

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
    ngx_add_timer(&query->timer, NGX_PULSE_PG_LATE * query->pg->conf->timeout);

    ngx_pulse_metric_add(&ngx_pulse_pg_metric[NGX_PULSE_PG_TIMEOUT], 1);

    handler(data, &res);
}


void
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


void
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

void
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
