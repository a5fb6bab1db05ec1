
#include "ngx_http_pulse_usage_module.h"
#include <poll.h>


/*
 * The last worker of a node has no event loop any more when it exits and
 * nobody left to serve, so it may wait: for two seconds in all.  What it
 * cannot do is done by the next start, or by the sweep.
 */

#define NGX_HTTP_PULSE_LEAVE_TIME  2000


static PGconn *ngx_http_pulse_leave_connect(ngx_cycle_t *cycle,
    ngx_msec_t deadline);
static void ngx_http_pulse_leave_drain(ngx_http_pulse_usage_main_conf_t *umcf,
    PGconn *conn, ngx_msec_t deadline);
static void ngx_http_pulse_leave_unwritten(
    ngx_http_pulse_usage_main_conf_t *umcf, PGconn *conn,
    ngx_msec_t deadline);
static ngx_uint_t ngx_http_pulse_leave_collect(
    ngx_http_pulse_usage_main_conf_t *umcf, ngx_pulse_buf_t *b,
    ngx_pulse_meter_reservation_t **batch);
static void ngx_http_pulse_leave_return(
    ngx_http_pulse_usage_main_conf_t *umcf, PGconn *conn,
    ngx_msec_t deadline);
static void ngx_http_pulse_leave_close(
    ngx_http_pulse_usage_main_conf_t *umcf, PGconn *conn,
    ngx_msec_t deadline);
static PGresult *ngx_http_pulse_leave_query(PGconn *conn, const char *sql,
    const u_char *incarnation, ngx_pulse_buf_t *json, ngx_msec_t deadline);
static ngx_int_t ngx_http_pulse_leave_wait(PGconn *conn,
    ngx_msec_t deadline);
static ngx_int_t ngx_http_pulse_leave_poll(PGconn *conn, short events,
    ngx_msec_t deadline);


void
ngx_http_pulse_leave(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf)
{
    PGconn      *conn;
    ngx_msec_t   deadline;

    ngx_time_update();
    deadline = ngx_current_msec + NGX_HTTP_PULSE_LEAVE_TIME;

    conn = ngx_http_pulse_leave_connect(cycle, deadline);

    if (conn == NULL) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "pulse usage: leases are kept until the next start: "
                      "the store does not answer");

    } else {
        ngx_http_pulse_leave_drain(umcf, conn, deadline);
        ngx_http_pulse_leave_unwritten(umcf, conn, deadline);
        ngx_http_pulse_leave_return(umcf, conn, deadline);
        ngx_http_pulse_leave_close(umcf, conn, deadline);

        PQfinish(conn);
    }

    if (umcf->shared->meter.unwritten) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "pulse usage: the ends of %uD requests could neither be "
                      "written nor sent: they will be charged what was noted "
                      "of them last", umcf->shared->meter.unwritten);
    }
}


static PGconn *
ngx_http_pulse_leave_connect(ngx_cycle_t *cycle, ngx_msec_t deadline)
{
    PGconn                      *conn;
    PostgresPollingStatusType    status;
    ngx_http_pulse_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_pulse_module);

    if (pmcf->pg.conninfo.len == 0) {
        return NULL;
    }

    conn = PQconnectStart((char *) pmcf->pg.conninfo.data);

    if (conn == NULL) {
        return NULL;
    }

    status = (PQstatus(conn) == CONNECTION_BAD) ? PGRES_POLLING_FAILED
                                                : PGRES_POLLING_WRITING;

    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING)
    {
        if (ngx_http_pulse_leave_poll(conn, status == PGRES_POLLING_READING
                                            ? POLLIN : POLLOUT, deadline)
            != NGX_OK)
        {
            break;
        }

        status = PQconnectPoll(conn);
    }

    if (status == PGRES_POLLING_OK && PQsetnonblocking(conn, 1) == 0) {
        return conn;
    }

    PQfinish(conn);

    return NULL;
}


static void
ngx_http_pulse_leave_drain(ngx_http_pulse_usage_main_conf_t *umcf,
    PGconn *conn, ngx_msec_t deadline)
{
    PGresult                       *rows;
    ngx_int_t                       rc;
    ngx_pulse_pg_result_t           res;
    ngx_http_pulse_drain_t          drain;
    ngx_http_pulse_usage_shared_t  *shared;

    shared = umcf->shared;

    ngx_http_pulse_drain_init(&drain, umcf, shared->journal,
                              shared->incarnation, shared->flushed);

    for ( ;; ) {
        rc = ngx_http_pulse_drain_read(&drain);

        if (rc == NGX_OK) {
            shared->flushed = drain.pos;
            continue;
        }

        if (rc != NGX_AGAIN) {
            break;
        }

        rows = ngx_http_pulse_leave_query(conn,
                                      ngx_http_pulse_drain_statements[0].sql,
                                      shared->incarnation, &drain.json,
                                      deadline);
        ngx_pulse_buf_free(&drain.json);

        if (rows == NULL) {
            break;
        }

        ngx_memzero(&res, sizeof(ngx_pulse_pg_result_t));
        res.rows = rows;

        ngx_http_pulse_drain_merge(umcf, &res);
        PQclear(rows);

        drain.pos = drain.next;
        shared->flushed = drain.pos;
    }
}


/*
 * What a full disk did not take is in the zone, which goes now.  The store
 * gets it by itself; the journal that says that it began may be replayed any
 * time, the ledger takes an event once.
 */

static void
ngx_http_pulse_leave_unwritten(ngx_http_pulse_usage_main_conf_t *umcf,
    PGconn *conn, ngx_msec_t deadline)
{
    PGresult                       *rows;
    ngx_uint_t                      i, n;
    ngx_pulse_buf_t                 b;
    ngx_pulse_meter_t              *m;
    ngx_pulse_meter_reservation_t  *batch[NGX_HTTP_PULSE_DRAIN_BATCH];

    m = &umcf->shared->meter;

    for ( ;; ) {
        ngx_pulse_buf_init(&b, 0);

        n = ngx_http_pulse_leave_collect(umcf, &b, batch);

        if (n == 0) {
            break;
        }

        rows = ngx_http_pulse_leave_query(conn,
                                       "SELECT * FROM usage_leave($1, $2)",
                                       umcf->shared->incarnation, &b,
                                       deadline);
        ngx_pulse_buf_free(&b);

        if (rows == NULL) {
            break;
        }

        PQclear(rows);

        ngx_http_pulse_usage_lock(umcf);

        for (i = 0; i < n; i++) {
            ngx_pulse_meter_release(m, batch[i], batch[i]->record.id);
        }

        ngx_http_pulse_usage_unlock(umcf);
    }
}


static ngx_uint_t
ngx_http_pulse_leave_collect(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_buf_t *b, ngx_pulse_meter_reservation_t **batch)
{
    uint32_t                        i;
    ngx_uint_t                      n;
    ngx_pulse_meter_t              *m;
    ngx_pulse_meter_reservation_t  *res;

    m = &umcf->shared->meter;

    for (i = 1, n = 0;
         i <= m->reservations_top && n < NGX_HTTP_PULSE_DRAIN_BATCH;
         i++)
    {
        res = &m->reservations[i];

        if (res->state == NGX_PULSE_METER_UNWRITTEN) {
            ngx_pulse_buf_char(b, n ? ',' : '[');
            ngx_pulse_journal_json(b, &res->record);
            batch[n++] = res;
        }
    }

    ngx_pulse_buf_append(b, (u_char *) "]", n ? 1 : 0);

    return n;
}


static void
ngx_http_pulse_leave_return(ngx_http_pulse_usage_main_conf_t *umcf,
    PGconn *conn, ngx_msec_t deadline)
{
    PGresult                       *rows;
    uint32_t                        from;
    ngx_uint_t                      n, left;
    ngx_pulse_buf_t                 b;
    ngx_http_pulse_usage_shared_t  *shared;

    shared = umcf->shared;
    from = 0;

    for (left = shared->meter.accounts_top; left; left -= ngx_min(n, left)) {

        ngx_pulse_buf_init(&b, 0);

        n = ngx_http_pulse_leases_collect(umcf, 1, &from, &b);

        if (n == 0) {
            break;
        }

        rows = ngx_http_pulse_leave_query(conn,
                         ngx_http_pulse_leases_statements[
                                         NGX_HTTP_PULSE_LEASES_RETURN].sql,
                         shared->incarnation, &b, deadline);
        ngx_pulse_buf_free(&b);

        if (rows == NULL) {
            break;
        }

        PQclear(rows);
    }
}


/*
 * The store may have granted what this node never heard of: its answer came
 * too late, or the connection broke.  Nobody here can give that back by its
 * lease.  What is still open keeps its leases for the replay, though.
 */

static void
ngx_http_pulse_leave_close(ngx_http_pulse_usage_main_conf_t *umcf,
    PGconn *conn, ngx_msec_t deadline)
{
    uint32_t            i;
    ngx_pulse_meter_t  *m;

    m = &umcf->shared->meter;

    for (i = 1; i <= m->reservations_top; i++) {

        if (m->reservations[i].state != NGX_PULSE_METER_FREE) {
            return;
        }
    }

    if (umcf->shared->flushed < umcf->shared->written) {
        return;
    }

    PQclear(ngx_http_pulse_leave_query(conn, "SELECT node_close($1)",
                                       umcf->shared->incarnation, NULL,
                                       deadline));
}


/* NULL if the store refused it or the time is over. */

static PGresult *
ngx_http_pulse_leave_query(PGconn *conn, const char *sql,
    const u_char *incarnation, ngx_pulse_buf_t *json, ngx_msec_t deadline)
{
    u_char       id[NGX_HTTP_PULSE_UUID_LEN + 1];
    PGresult    *res, *last;
    const char  *params[2];

    (void) ngx_cpystrn(id, (u_char *) incarnation, sizeof(id));

    params[0] = (char *) id;

    if (json) {

        /* libpq takes strings */

        ngx_pulse_buf_char(json, '\0');

        if (json->failed) {
            return NULL;
        }

        params[1] = (char *) json->data;
    }

    if (PQsendQueryParams(conn, sql, json ? 2 : 1, NULL, params, NULL, NULL,
                          0)
        != 1)
    {
        return NULL;
    }

    for (last = NULL; /* void */ ; last = res) {

        if (ngx_http_pulse_leave_wait(conn, deadline) != NGX_OK) {
            PQclear(last);
            return NULL;
        }

        res = PQgetResult(conn);

        if (res == NULL) {
            break;
        }

        PQclear(last);
    }

    if (PQresultStatus(last) != PGRES_TUPLES_OK) {
        PQclear(last);
        return NULL;
    }

    return last;
}


/* Until PQgetResult() would not block. */

static ngx_int_t
ngx_http_pulse_leave_wait(PGconn *conn, ngx_msec_t deadline)
{
    int  rc;

    for ( ;; ) {
        rc = PQflush(conn);

        if (rc == -1) {
            return NGX_ERROR;
        }

        if (rc == 0 && !PQisBusy(conn)) {
            return NGX_OK;
        }

        if (ngx_http_pulse_leave_poll(conn, rc ? POLLIN|POLLOUT : POLLIN,
                                      deadline)
            != NGX_OK
            || PQconsumeInput(conn) != 1)
        {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_http_pulse_leave_poll(PGconn *conn, short events, ngx_msec_t deadline)
{
    struct pollfd   pfd;
    ngx_msec_int_t  left;

    ngx_time_update();

    left = (ngx_msec_int_t) (deadline - ngx_current_msec);

    pfd.fd = PQsocket(conn);
    pfd.events = events;

    return (left > 0 && poll(&pfd, 1, left) > 0) ? NGX_OK : NGX_ERROR;
}
