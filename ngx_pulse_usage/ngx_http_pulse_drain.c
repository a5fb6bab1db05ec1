
#include "ngx_http_pulse_usage_module.h"


#define NGX_HTTP_PULSE_DRAIN_BUFFER   (256 * 1024)
#define NGX_HTTP_PULSE_DRAIN_TIMEOUT  10000


static void ngx_http_pulse_drain_seek(ngx_http_pulse_drain_t *drain);
static void ngx_http_pulse_drain_handler(void *data,
    ngx_pulse_pg_result_t *res);
static ngx_int_t ngx_http_pulse_drain_refused(ngx_http_pulse_drain_t *drain,
    ngx_pulse_pg_result_t *res);
static ngx_int_t ngx_http_pulse_drain_reject(ngx_http_pulse_drain_t *drain);


ngx_pulse_pg_statement_t  ngx_http_pulse_drain_statements[] = {

    { "usage_record", "SELECT * FROM usage_record($1, $2)", 2 },

    { NULL, NULL, 0 }
};


/* a worker reads one piece at a time, whatever it drains */

static u_char  *ngx_http_pulse_drain_buffer;


void
ngx_http_pulse_drain_init(ngx_http_pulse_drain_t *drain,
    ngx_http_pulse_usage_main_conf_t *umcf, ngx_fd_t fd,
    const u_char *incarnation, uint64_t pos)
{
    ngx_memzero(drain, sizeof(ngx_http_pulse_drain_t));

    drain->conf = umcf;
    drain->fd = fd;
    drain->pos = pos;
    drain->next = pos;
    drain->batch = NGX_HTTP_PULSE_DRAIN_BATCH;

    ngx_memcpy(drain->incarnation, incarnation, NGX_HTTP_PULSE_UUID_LEN);

    ngx_pulse_buf_init(&drain->json, 0);
}


ngx_int_t
ngx_http_pulse_drain_step(ngx_http_pulse_drain_t *drain)
{
    ngx_int_t  rc;

    if (drain->busy) {
        return NGX_AGAIN;
    }

    rc = ngx_http_pulse_drain_read(drain);

    return (rc == NGX_AGAIN) ? ngx_http_pulse_drain_send(drain) : rc;
}


ngx_int_t
ngx_http_pulse_drain_read(ngx_http_pulse_drain_t *drain)
{
    u_char                      *p;
    size_t                       used, garbage, left;
    ssize_t                      n;
    ngx_int_t                    rc;
    ngx_pulse_journal_record_t   record;

    if (ngx_http_pulse_drain_buffer == NULL) {
        ngx_http_pulse_drain_buffer = ngx_alloc(NGX_HTTP_PULSE_DRAIN_BUFFER,
                                                ngx_cycle->log);
        if (ngx_http_pulse_drain_buffer == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_http_pulse_drain_seek(drain);

    p = ngx_http_pulse_drain_buffer;
    n = pread(drain->fd, p, NGX_HTTP_PULSE_DRAIN_BUFFER, drain->pos);

    if (n == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "pulse journal: pread() failed");
        return NGX_ERROR;
    }

    drain->next = drain->pos;
    drain->nsent = 0;

    for (left = n; left && drain->nsent < drain->batch; left -= used) {

        rc = ngx_pulse_journal_read(p, left, &record, &used, &garbage);

        p += used;
        drain->next += used;
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_GARBAGE, garbage);

        if (rc == NGX_AGAIN) {
            break;
        }

        if (drain->record) {
            drain->record(drain, &record);
        }

        if (record.type == NGX_PULSE_JOURNAL_CLOSE
            || (record.type == NGX_PULSE_JOURNAL_CANCEL && record.claimed))
        {
            ngx_http_pulse_drain_add(drain, &record);
        }
    }

    if (drain->nsent) {
        ngx_pulse_buf_char(&drain->json, ']');
        return NGX_AGAIN;
    }

    if (drain->next == drain->pos) {
        return NGX_DONE;
    }

    drain->pos = drain->next;

    return NGX_OK;
}


/* steps over what was punched out of the file */

static void
ngx_http_pulse_drain_seek(ngx_http_pulse_drain_t *drain)
{
#ifdef SEEK_DATA

    off_t  data;

    data = lseek(drain->fd, drain->pos, SEEK_DATA);

    if (data > (off_t) drain->pos) {
        drain->pos = data;
    }

#endif
}


void
ngx_http_pulse_drain_add(ngx_http_pulse_drain_t *drain,
    ngx_pulse_journal_record_t *record)
{
    ngx_pulse_buf_char(&drain->json, drain->nsent ? ',' : '[');
    ngx_pulse_journal_json(&drain->json, record);

    drain->nsent++;
}


ngx_int_t
ngx_http_pulse_drain_send(ngx_http_pulse_drain_t *drain)
{
    ngx_int_t  rc;
    ngx_str_t  params[2];

    params[0].data = drain->incarnation;
    params[0].len = NGX_HTTP_PULSE_UUID_LEN;
    params[1].data = drain->json.data;
    params[1].len = drain->json.len;

    rc = NGX_ERROR;

    if (!drain->json.failed && ngx_http_pulse_pg_pool) {
        rc = ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                                &ngx_http_pulse_drain_statements[0], params,
                                NGX_HTTP_PULSE_DRAIN_TIMEOUT,
                                ngx_http_pulse_drain_handler, drain);
    }

    if (rc == NGX_OK) {
        drain->busy = 1;
        return NGX_AGAIN;
    }

    ngx_pulse_buf_free(&drain->json);

    return NGX_ERROR;
}


static void
ngx_http_pulse_drain_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_drain_t *drain = data;

    ngx_int_t  rc;

    drain->busy = 0;
    rc = NGX_ERROR;

    switch (res->status) {

    case NGX_PULSE_PG_OK:
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_RECORDED,
                                   drain->nsent);
        ngx_http_pulse_drain_merge(drain->conf, res);
        drain->pos = drain->next;
        drain->batch = NGX_HTTP_PULSE_DRAIN_BATCH;
        rc = NGX_OK;
        break;

    case NGX_PULSE_PG_ERROR:
        rc = ngx_http_pulse_drain_refused(drain, res);
        break;

    default:
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_FLUSH_FAILED, 1);
    }

    ngx_pulse_buf_free(&drain->json);

    drain->done(drain, rc);
}


/*
 * One event that the store cannot take must not keep back all that follow:
 * the batch is halved until it stands alone, then it is set aside.
 */

static ngx_int_t
ngx_http_pulse_drain_refused(ngx_http_pulse_drain_t *drain,
    ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_FLUSH_FAILED, 1);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "pulse usage: store refused %ui events: %s: %s",
                  drain->nsent, res->sqlstate, res->message);

    /* 22: data, 23: constraint; all else is the server's own trouble */

    if (res->sqlstate[0] != '2'
        || (res->sqlstate[1] != '2' && res->sqlstate[1] != '3'))
    {
        return NGX_ERROR;
    }

    if (drain->nsent > 1) {
        drain->batch = drain->nsent / 2;
        return NGX_OK;
    }

    if (ngx_http_pulse_drain_reject(drain) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_REJECTED, 1);

    drain->pos = drain->next;
    drain->batch = NGX_HTTP_PULSE_DRAIN_BATCH;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_drain_reject(ngx_http_pulse_drain_t *drain)
{
    u_char    path[NGX_MAX_PATH];
    ssize_t   n;
    ngx_fd_t  fd;

    ngx_http_pulse_journal_path(drain->conf, path, drain->incarnation,
                                ".rejected");

    fd = open((char *) path, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0600);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "pulse journal: open(\"%s\") failed", path);
        return NGX_ERROR;
    }

    ngx_pulse_buf_char(&drain->json, '\n');
    n = write(fd, drain->json.data, drain->json.len);
    close(fd);

    if (n != (ssize_t) drain->json.len) {
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "pulse usage: an event was set aside in \"%s\"", path);

    return NGX_OK;
}


void
ngx_http_pulse_drain_merge(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_pg_result_t *res)
{
    int                         i, n;
    u_char                      user[16], lease_id[16];
    ngx_str_t                   id, owner, closed;
    ngx_pulse_lease_t           totals;
    ngx_pulse_meter_account_t  *account;

    n = PQntuples(res->rows);
    ngx_memzero(&totals, sizeof(ngx_pulse_lease_t));

    for (i = 0; i < n; i++) {
        id = ngx_pulse_pg_value(res, i, 0);
        owner = ngx_pulse_pg_value(res, i, 1);

        if (!ngx_pulse_uuid_valid(&id) || !ngx_pulse_uuid_valid(&owner)) {
            continue;
        }

        ngx_pulse_uuid_bytes(lease_id, id.data);
        ngx_pulse_uuid_bytes(user, owner.data);

        totals.granted = ngx_pulse_pg_int(res, i, 2);
        totals.returned = ngx_pulse_pg_int(res, i, 3);
        totals.settled = ngx_pulse_pg_int(res, i, 4);
        closed = ngx_pulse_pg_value(res, i, 5);

        ngx_http_pulse_usage_lock(umcf);

        account = ngx_pulse_meter_lease(&umcf->shared->meter, user, lease_id);

        if (account) {
            ngx_pulse_meter_merge(account, &totals,
                                  ngx_pulse_pg_int(res, i, 6),
                                  ngx_pulse_pg_int(res, i, 7),
                                  closed.len && closed.data[0] == 't');
        }

        ngx_http_pulse_usage_unlock(umcf);
    }
}
