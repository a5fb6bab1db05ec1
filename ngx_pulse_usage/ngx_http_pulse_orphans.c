
#include "ngx_http_pulse_usage_module.h"


/* What workers that are gone left open, and how it is told that they are. */


static ngx_uint_t ngx_http_pulse_orphans_settle(
    ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_reservation_t *res, ngx_uint_t worker, ngx_pid_t pid);


void
ngx_http_pulse_orphans_find(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_uint_t                 i;
    ngx_pulse_meter_worker_t   worker, *workers;

    workers = umcf->shared->meter.workers;

    for (i = 1; i < NGX_PULSE_METER_WORKERS; i++) {

        if (workers[i].pid == 0) {
            continue;
        }

        ngx_http_pulse_usage_lock(umcf);
        worker = workers[i];
        ngx_http_pulse_usage_unlock(umcf);

        if (worker.pid == 0 || !ngx_http_pulse_worker_gone(&worker)) {
            continue;
        }

        ngx_http_pulse_orphans_end(umcf, i, worker.pid);

        /* unless another keeper did it, and a new worker has the slot */

        ngx_http_pulse_usage_lock(umcf);

        if (workers[i].pid == worker.pid
            && workers[i].started == worker.started)
        {
            workers[i].pid = 0;
        }

        ngx_http_pulse_usage_unlock(umcf);
    }
}


void
ngx_http_pulse_orphans_end(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_uint_t worker, ngx_pid_t pid)
{
    uint32_t                        i;
    ngx_uint_t                      n;
    ngx_pulse_meter_t              *m;
    ngx_pulse_meter_reservation_t  *res;

    m = &umcf->shared->meter;

    for (i = 1, n = 0; i <= m->reservations_top; i++) {
        res = &m->reservations[i];

        if (res->worker == worker && res->state != NGX_PULSE_METER_FREE) {
            n += ngx_http_pulse_orphans_settle(umcf, res, worker, pid);
        }
    }

    if (n) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "pulse usage: %ui requests of a worker that is gone "
                      "were settled", n);
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_ORPHANS, n);
    }
}


static ngx_uint_t
ngx_http_pulse_orphans_settle(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_reservation_t *res, ngx_uint_t worker, ngx_pid_t pid)
{
    ngx_uint_t                   open;
    ngx_pulse_meter_t           *m;
    ngx_pulse_journal_record_t   record;

    m = &umcf->shared->meter;

    ngx_http_pulse_usage_lock(umcf);

    /* both slots may have found new owners since they were looked at */

    if (res->state == NGX_PULSE_METER_FREE
        || res->worker != worker
        || m->workers[worker].pid != pid)
    {
        ngx_http_pulse_usage_unlock(umcf);
        return 0;
    }

    open = ngx_pulse_node_orphan(m, res);
    record = res->record;

    ngx_http_pulse_usage_unlock(umcf);

    if (open) {
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_OPEN, -1);
    }

    ngx_http_pulse_journal_close(umcf, res, &record);

    return 1;
}


/*
 * A process that cannot be looked at is not gone: /proc may be closed to us,
 * or the connections have all the descriptors there are.
 */

ngx_uint_t
ngx_http_pulse_worker_gone(const ngx_pulse_meter_worker_t *worker)
{
    uint64_t  started;

    if (kill(worker->pid, 0) == -1 && ngx_errno == ESRCH) {
        return 1;
    }

    switch (ngx_http_pulse_worker_started(worker->pid, &started)) {

    case NGX_OK:
        return worker->started != 0 && started != worker->started;

    case NGX_DECLINED:
        return 1;

    default: /* NGX_ERROR */
        return 0;
    }
}


ngx_int_t
ngx_http_pulse_worker_started(ngx_pid_t pid, uint64_t *started)
{
    char        path[64], text[1024], *p;
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_uint_t  field;

    (void) ngx_sprintf((u_char *) path, "/proc/%P/stat%Z", pid);

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return NGX_ERROR;
    }

    n = read(fd, text, sizeof(text) - 1);
    close(fd);

    if (n <= 0) {
        return NGX_ERROR;
    }

    /* the name in parentheses may hold anything; state follows, field 3 */

    text[n] = '\0';
    p = strrchr(text, ')');

    if (p == NULL || p[1] == '\0') {
        return NGX_ERROR;
    }

    if (p[2] == 'Z' || p[2] == 'X') {
        return NGX_DECLINED;
    }

    for (field = 2; field < 22 && p; field++) {
        p = strchr(p + 1, ' ');
    }

    if (p == NULL) {
        return NGX_ERROR;
    }

    *started = strtoull(p + 1, NULL, 10);

    return NGX_OK;
}
