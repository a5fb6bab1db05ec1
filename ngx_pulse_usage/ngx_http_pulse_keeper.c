
#include "ngx_http_pulse_usage_module.h"


/*
 * One worker of the node keeps the meter: it drains the journal, gives idle
 * leases back, ends what dead workers left, and tells the store that the
 * node lives.  All of it may be done twice: a keeper that was stopped and
 * comes back does no harm beside its successor before it notices.
 */

#define NGX_HTTP_PULSE_KEEPER_TICK      100
#define NGX_HTTP_PULSE_KEEPER_SECOND    1000
#define NGX_HTTP_PULSE_KEEPER_STALE     3000
#define NGX_HTTP_PULSE_KEEPER_COMPARE   30000
#define NGX_HTTP_PULSE_KEEPER_CLOSE     60000
#define NGX_HTTP_PULSE_KEEPER_RESEND    2000
#define NGX_HTTP_PULSE_KEEPER_TIMEOUT   5000
#define NGX_HTTP_PULSE_KEEPER_STEPS     4
#define NGX_HTTP_PULSE_KEEPER_CHUNK     64      /* slots under one lock */
#define NGX_HTTP_PULSE_KEEPER_CHUNKS    64      /* in one tick */
#define NGX_HTTP_PULSE_KEEPER_RETURNS   200     /* in one statement */


typedef struct {
    ngx_http_pulse_usage_main_conf_t  *conf;
    ngx_event_t                        timer;
    ngx_http_pulse_drain_t             drain;
    ngx_msec_t                         second;      /* last time of each */
    ngx_msec_t                         sync;
    ngx_msec_t                         compare;
    ngx_msec_t                         seen_at;     /* when it was sent */
    uint32_t                           account;     /* where returns go on */
    unsigned                           seeing:1;    /* statements in flight */
    unsigned                           returning:1;
    unsigned                           comparing:1;
    unsigned                           dropping:1;
} ngx_http_pulse_keeper_t;


static void ngx_http_pulse_keeper_tick(ngx_event_t *ev);
static ngx_uint_t ngx_http_pulse_keeper_elect(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_drain(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_drained(ngx_http_pulse_drain_t *drain,
    ngx_int_t rc);
static void ngx_http_pulse_keeper_each_second(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_seen(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_seen_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_keeper_reopened(
    ngx_http_pulse_usage_main_conf_t *umcf);
static void ngx_http_pulse_keeper_recalled(
    ngx_http_pulse_usage_main_conf_t *umcf, ngx_pulse_pg_result_t *res);
static ngx_pulse_meter_account_t *ngx_http_pulse_keeper_find(
    ngx_http_pulse_usage_main_conf_t *umcf, const u_char *lease_id);
static void ngx_http_pulse_keeper_workers(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_survey(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_unwritten(ngx_http_pulse_keeper_t *k,
    ngx_pulse_meter_reservation_t *res);
static void ngx_http_pulse_keeper_note(ngx_http_pulse_keeper_t *k,
    ngx_pulse_meter_reservation_t *res);
static ngx_uint_t ngx_http_pulse_keeper_end(
    ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_reservation_t *res, ngx_uint_t worker, ngx_pid_t pid);
static void ngx_http_pulse_keeper_return(ngx_http_pulse_keeper_t *k);
static ngx_uint_t ngx_http_pulse_keeper_idle(
    ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_account_t *account, ngx_uint_t all, ngx_uint_t *close);
static void ngx_http_pulse_keeper_return_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_keeper_compare(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_compare_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_keeper_drop_handler(void *data,
    ngx_pulse_pg_result_t *res);


ngx_pulse_pg_statement_t  ngx_http_pulse_keeper_statements[] = {

    { "node_seen", "SELECT state, lease_id FROM node_seen($1, $2)", 2 },

    { "lease_return", "SELECT * FROM lease_return($1, $2)", 2 },

    { "node_leases", "SELECT * FROM node_leases($1)", 1 },

    { "lease_close", "SELECT lease_close($1::uuid[])", 1 },

    { NULL, NULL, 0 }
};


static ngx_http_pulse_keeper_t  ngx_http_pulse_keeper;


ngx_int_t
ngx_http_pulse_keeper_start(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_http_pulse_keeper_t        *k;
    ngx_http_pulse_usage_shared_t  *shared;

    k = &ngx_http_pulse_keeper;
    shared = umcf->shared;

    ngx_memzero(k, sizeof(ngx_http_pulse_keeper_t));

    k->conf = umcf;
    k->compare = ngx_current_msec;

    ngx_http_pulse_drain_init(&k->drain, umcf, shared->journal,
                              shared->incarnation, 0);
    k->drain.done = ngx_http_pulse_keeper_drained;
    k->drain.data = k;

    k->timer.handler = ngx_http_pulse_keeper_tick;
    k->timer.data = k;
    k->timer.log = cycle->log;
    k->timer.cancelable = 1;

    ngx_add_timer(&k->timer, NGX_HTTP_PULSE_KEEPER_TICK);

    return NGX_OK;
}


void
ngx_http_pulse_keeper_stop(void)
{
    ngx_http_pulse_keeper_t  *k;

    k = &ngx_http_pulse_keeper;

    if (k->timer.timer_set) {
        ngx_del_timer(&k->timer);
    }

    ngx_http_pulse_replay_stop();

    if (k->conf) {
        (void) ngx_atomic_cmp_set(&k->conf->shared->keeper, ngx_pid, 0);
    }
}


static void
ngx_http_pulse_keeper_tick(ngx_event_t *ev)
{
    ngx_http_pulse_keeper_t *k = ev->data;

    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = k->conf;

    if (ngx_http_pulse_keeper_elect(k)) {

        if (ngx_current_msec - k->sync >= umcf->sync) {
            k->sync = ngx_current_msec;
            ngx_http_pulse_journal_sync(umcf);
        }

        ngx_http_pulse_keeper_drain(k);
        ngx_http_pulse_keeper_return(k);
        ngx_http_pulse_rate_share(umcf);

        if (ngx_current_msec - k->second >= NGX_HTTP_PULSE_KEEPER_SECOND) {
            k->second = ngx_current_msec;
            ngx_http_pulse_keeper_each_second(k);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_PULSE_KEEPER_TICK);
}


/* A worker that shuts down leaves the task to one that stays. */

static ngx_uint_t
ngx_http_pulse_keeper_elect(ngx_http_pulse_keeper_t *k)
{
    ngx_atomic_uint_t               keeper;
    ngx_http_pulse_usage_shared_t  *shared;

    shared = k->conf->shared;
    keeper = shared->keeper;

    if (keeper == (ngx_atomic_uint_t) ngx_pid) {
        shared->beat = ngx_current_msec;
        return 1;
    }

    if (ngx_exiting) {
        return 0;
    }

    if (keeper != 0
        && (ngx_msec_int_t) (ngx_current_msec - shared->beat)
           < NGX_HTTP_PULSE_KEEPER_STALE
        && (kill(keeper, 0) == 0 || ngx_errno != ESRCH))
    {
        return 0;
    }

    /* workers that start together come here together */

    shared->beat = ngx_current_msec;

    if (!ngx_atomic_cmp_set(&shared->keeper, keeper, ngx_pid)) {
        return 0;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "pulse usage: keeper is process %P", ngx_pid);

    return 1;
}


static void
ngx_http_pulse_keeper_drain(ngx_http_pulse_keeper_t *k)
{
    ngx_int_t                       rc;
    ngx_uint_t                      n;
    ngx_http_pulse_usage_shared_t  *shared;

    shared = k->conf->shared;

    for (n = 0; n < NGX_HTTP_PULSE_KEEPER_STEPS; n++) {

        if (!k->drain.busy) {
            k->drain.pos = ngx_max(k->drain.pos, shared->flushed);
        }

        rc = ngx_http_pulse_drain_step(&k->drain);

        ngx_http_pulse_usage_lock(k->conf);
        shared->flushed = ngx_max(shared->flushed, k->drain.pos);
        ngx_http_pulse_usage_unlock(k->conf);

        if (rc != NGX_OK) {
            break;
        }
    }

    /* the gauge is a sum over workers, and keepers come and go */

    n = shared->written - shared->flushed;

    ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_UNDRAINED,
                               (ngx_int_t) n - (ngx_int_t) shared->undrained);
    shared->undrained = n;
}


static void
ngx_http_pulse_keeper_drained(ngx_http_pulse_drain_t *drain, ngx_int_t rc)
{
    ngx_http_pulse_keeper_t *k = drain->data;

    /* after a failure the next tick is soon enough */

    if (rc == NGX_OK && !ngx_terminate && !ngx_quit) {
        ngx_http_pulse_keeper_drain(k);
    }
}


static void
ngx_http_pulse_keeper_each_second(ngx_http_pulse_keeper_t *k)
{
    ngx_http_pulse_keeper_workers(k);
    ngx_http_pulse_keeper_survey(k);
    ngx_http_pulse_keeper_seen(k);

    if (ngx_current_msec - k->compare >= NGX_HTTP_PULSE_KEEPER_COMPARE) {
        k->compare = ngx_current_msec;
        ngx_http_pulse_keeper_compare(k);
    }

    ngx_http_pulse_replay(k->conf);
}


static void
ngx_http_pulse_keeper_seen(ngx_http_pulse_keeper_t *k)
{
    ngx_str_t                    params[2];
    ngx_http_pulse_main_conf_t  *pmcf;

    if (k->seeing || ngx_http_pulse_pg_pool == NULL) {
        return;
    }

    pmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_pulse_module);

    params[0].data = k->conf->shared->incarnation;
    params[0].len = NGX_HTTP_PULSE_UUID_LEN;
    params[1] = pmcf->node;

    if (params[1].data == NULL) {
        ngx_str_set(&params[1], "");
    }

    if (ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                           &ngx_http_pulse_keeper_statements[
                                                 NGX_HTTP_PULSE_KEEPER_SEEN],
                           params, NGX_HTTP_PULSE_KEEPER_TIMEOUT,
                           ngx_http_pulse_keeper_seen_handler, k)
        == NGX_OK)
    {
        k->seeing = 1;
        k->seen_at = ngx_current_msec;
    }
}


static void
ngx_http_pulse_keeper_seen_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_keeper_t *k = data;

    ngx_str_t                          state;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = k->conf;
    k->seeing = 0;

    if (res->status != NGX_PULSE_PG_OK) {
        return;
    }

    state = ngx_pulse_pg_value(res, 0, 0);

    if (state.len == 8) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "pulse usage: store gave this node up, "
                      "its leases are taken anew");
        ngx_http_pulse_keeper_reopened(umcf);
    }

    ngx_http_pulse_keeper_recalled(umcf, res);

    /* counted from the sending: the answer may have been long on its way */

    umcf->shared->seen = k->seen_at;
}


static void
ngx_http_pulse_keeper_reopened(ngx_http_pulse_usage_main_conf_t *umcf)
{
    uint32_t            i;
    ngx_pulse_meter_t  *m;

    m = &umcf->shared->meter;

    for (i = 1; i <= m->accounts_top; i++) {

        ngx_http_pulse_usage_lock(umcf);

        if (m->accounts[i].present && m->accounts[i].lease.granted) {
            m->accounts[i].retired = 1;
        }

        ngx_http_pulse_usage_unlock(umcf);
    }
}


/* rows after the first name leases that others wait for */

static void
ngx_http_pulse_keeper_recalled(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_pg_result_t *res)
{
    int                         i, n;
    u_char                      id[16];
    ngx_str_t                   text;
    ngx_pulse_meter_account_t  *account;

    n = PQntuples(res->rows);

    for (i = 1; i < n; i++) {
        text = ngx_pulse_pg_value(res, i, 1);

        if (!ngx_pulse_uuid_valid(&text)) {
            continue;
        }

        ngx_pulse_uuid_bytes(id, text.data);

        account = ngx_http_pulse_keeper_find(umcf, id);

        if (account) {
            account->recalled = 1;
            ngx_http_pulse_usage_unlock(umcf);
        }
    }
}


/* The account of a lease whose user is not told, with the lock held, or NULL
 * without it.  The table is searched without the lock: it is long. */

static ngx_pulse_meter_account_t *
ngx_http_pulse_keeper_find(ngx_http_pulse_usage_main_conf_t *umcf,
    const u_char *lease_id)
{
    uint32_t                    i;
    ngx_pulse_meter_t          *m;
    ngx_pulse_meter_account_t  *account;

    m = &umcf->shared->meter;

    for (i = 1; i <= m->accounts_top; i++) {
        account = &m->accounts[i];

        if (ngx_memcmp(account->lease_id, lease_id, 16) != 0) {
            continue;
        }

        ngx_http_pulse_usage_lock(umcf);

        if (account->present
            && ngx_memcmp(account->lease_id, lease_id, 16) == 0)
        {
            return account;
        }

        ngx_http_pulse_usage_unlock(umcf);
    }

    return NULL;
}


static void
ngx_http_pulse_keeper_workers(ngx_http_pulse_keeper_t *k)
{
    ngx_uint_t                 i;
    ngx_pulse_meter_worker_t   worker, *workers;

    workers = k->conf->shared->meter.workers;

    for (i = 1; i < NGX_PULSE_METER_WORKERS; i++) {

        if (workers[i].pid == 0) {
            continue;
        }

        ngx_http_pulse_usage_lock(k->conf);
        worker = workers[i];
        ngx_http_pulse_usage_unlock(k->conf);

        if (worker.pid == 0 || !ngx_http_pulse_keeper_gone(&worker)) {
            continue;
        }

        ngx_http_pulse_keeper_orphans(k->conf, i, worker.pid);

        /* unless another keeper did it, and a new worker has the slot */

        ngx_http_pulse_usage_lock(k->conf);

        if (workers[i].pid == worker.pid
            && workers[i].started == worker.started)
        {
            workers[i].pid = 0;
        }

        ngx_http_pulse_usage_unlock(k->conf);
    }
}


void
ngx_http_pulse_keeper_orphans(ngx_http_pulse_usage_main_conf_t *umcf,
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
            n += ngx_http_pulse_keeper_end(umcf, res, worker, pid);
        }
    }

    if (n) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "pulse usage: %ui requests of a worker that is gone "
                      "were settled", n);
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_ORPHANS, n);
    }
}


/*
 * What was counted is what the client got.  Where nothing was, the provider
 * may have begun: the least the request was admitted for, its prompt.
 */

static ngx_uint_t
ngx_http_pulse_keeper_end(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_reservation_t *res, ngx_uint_t worker, ngx_pid_t pid)
{
    ngx_uint_t                   state;
    ngx_pulse_meter_t           *m;
    ngx_pulse_journal_record_t   record;

    m = &umcf->shared->meter;

    ngx_http_pulse_usage_lock(umcf);

    state = res->state;

    /* both slots may have found new owners since they were looked at */

    if (state == NGX_PULSE_METER_FREE
        || res->worker != worker
        || m->workers[worker].pid != pid)
    {
        ngx_http_pulse_usage_unlock(umcf);
        return 0;
    }

    if (state == NGX_PULSE_METER_OPENING) {
        ngx_pulse_meter_cancel(m, res);

    } else if (state == NGX_PULSE_METER_OPEN) {
        res->record.estimated = 1;
        ngx_pulse_meter_settle(m, res, res->progress ? res->progress
                                                     : res->record.estimate);
    }

    record = res->record;

    ngx_http_pulse_usage_unlock(umcf);

    if (state == NGX_PULSE_METER_OPENING || state == NGX_PULSE_METER_OPEN) {
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_OPEN, -1);
    }

    ngx_http_pulse_journal_close(umcf, res, &record);

    return 1;
}


/*
 * Looks at every reservation: writes what the disk refused before, notes how
 * far streams have come, and finds the lowest place of the journal that is
 * still needed.  One that is admitted meanwhile has a floor at or above what
 * was flushed when this began.
 */

static void
ngx_http_pulse_keeper_survey(ngx_http_pulse_keeper_t *k)
{
    uint32_t                        i;
    uint64_t                        floor;
    ngx_pulse_meter_t              *m;
    ngx_http_pulse_usage_shared_t  *shared;
    ngx_pulse_meter_reservation_t  *res;

    shared = k->conf->shared;
    m = &shared->meter;

    ngx_http_pulse_usage_lock(k->conf);
    floor = shared->flushed;
    ngx_http_pulse_usage_unlock(k->conf);

    for (i = 1; i <= m->reservations_top; i++) {
        res = &m->reservations[i];

        switch (res->state) {

        case NGX_PULSE_METER_FREE:
            continue;

        case NGX_PULSE_METER_UNWRITTEN:
            ngx_http_pulse_keeper_unwritten(k, res);
            break;

        case NGX_PULSE_METER_OPEN:
            ngx_http_pulse_keeper_note(k, res);
            break;
        }

        ngx_http_pulse_usage_lock(k->conf);

        if (res->state != NGX_PULSE_METER_FREE) {
            floor = ngx_min(floor, res->floor);
        }

        ngx_http_pulse_usage_unlock(k->conf);
    }

    if (floor > shared->floor) {
        shared->floor = floor;
        ngx_http_pulse_journal_checkpoint(k->conf);
    }
}


static void
ngx_http_pulse_keeper_unwritten(ngx_http_pulse_keeper_t *k,
    ngx_pulse_meter_reservation_t *res)
{
    ngx_uint_t                  ended;
    ngx_pulse_journal_record_t  record;

    ngx_http_pulse_usage_lock(k->conf);

    record = res->record;
    ended = ngx_pulse_meter_ended(res, record.id);

    ngx_http_pulse_usage_unlock(k->conf);

    if (ended) {
        ngx_http_pulse_journal_close(k->conf, res, &record);
    }
}


/* So that a stream cut by the death of the whole node is settled at what was
 * counted a second before and not at a guess. */

static void
ngx_http_pulse_keeper_note(ngx_http_pulse_keeper_t *k,
    ngx_pulse_meter_reservation_t *res)
{
    uint64_t                    progress;
    ngx_pulse_journal_record_t  record;

    progress = res->progress;

    if (progress == res->noted) {
        return;
    }

    ngx_http_pulse_usage_lock(k->conf);

    record = res->record;
    record.type = (res->state == NGX_PULSE_METER_OPEN)
                  ? NGX_PULSE_JOURNAL_PROGRESS : 0;

    ngx_http_pulse_usage_unlock(k->conf);

    if (record.type == 0) {
        return;
    }

    record.amount = progress;

    if (ngx_http_pulse_journal_append(k->conf, &record) == NGX_OK) {
        res->noted = progress;
    }
}


static void
ngx_http_pulse_keeper_return(ngx_http_pulse_keeper_t *k)
{
    ngx_str_t        params[2];
    ngx_pulse_buf_t  b;

    if (k->returning
        || ngx_http_pulse_pg_pool == NULL
        || !ngx_pulse_pg_ready(ngx_http_pulse_pg_pool))
    {
        return;
    }

    ngx_pulse_buf_init(&b, 0);

    if (ngx_http_pulse_keeper_collect(k->conf, 0, &k->account, &b) == 0) {
        return;
    }

    params[0].data = k->conf->shared->incarnation;
    params[0].len = NGX_HTTP_PULSE_UUID_LEN;
    params[1].data = b.data;
    params[1].len = b.len;

    if (!b.failed
        && ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                              &ngx_http_pulse_keeper_statements[
                                               NGX_HTTP_PULSE_KEEPER_RETURN],
                              params, NGX_HTTP_PULSE_KEEPER_TIMEOUT,
                              ngx_http_pulse_keeper_return_handler, k)
           == NGX_OK)
    {
        k->returning = 1;
    }

    ngx_pulse_buf_free(&b);
}


ngx_uint_t
ngx_http_pulse_keeper_collect(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_uint_t all, uint32_t *from, ngx_pulse_buf_t *b)
{
    u_char                      id[NGX_HTTP_PULSE_UUID_LEN];
    ngx_uint_t                  n, sent, close;
    ngx_pulse_meter_t          *m;
    ngx_pulse_meter_account_t  *account;

    m = &umcf->shared->meter;
    sent = 0;

    ngx_http_pulse_usage_lock(umcf);

    for (n = 1; n <= ngx_min(m->accounts_top, NGX_HTTP_PULSE_KEEPER_CHUNK
                                              * NGX_HTTP_PULSE_KEEPER_CHUNKS);
         n++)
    {
        if (n % NGX_HTTP_PULSE_KEEPER_CHUNK == 0) {
            ngx_http_pulse_usage_unlock(umcf);
            ngx_http_pulse_usage_lock(umcf);
        }

        *from = *from % m->accounts_top + 1;
        account = &m->accounts[*from];

        if (!account->present
            || !ngx_http_pulse_keeper_idle(umcf, account, all, &close))
        {
            continue;
        }

        ngx_pulse_uuid_text(id, account->lease_id);

        ngx_pulse_buf_char(b, sent ? ',' : '[');
        ngx_pulse_buf_literal(b, "{\"id\":");
        ngx_pulse_buf_json(b, id, NGX_HTTP_PULSE_UUID_LEN);
        ngx_pulse_buf_literal(b, ",\"returned\":");
        ngx_pulse_buf_int(b, account->lease.returned);

        if (close) {
            ngx_pulse_buf_literal(b, ",\"close\":true}");

        } else {
            ngx_pulse_buf_literal(b, ",\"close\":false}");
        }

        if (++sent == NGX_HTTP_PULSE_KEEPER_RETURNS) {
            break;
        }
    }

    ngx_http_pulse_usage_unlock(umcf);

    ngx_pulse_buf_append(b, (u_char *) "]", sent ? 1 : 0);

    return sent;
}


/*
 * Whether a lease has something to tell the store.  What was given back but
 * never confirmed is told again: the total does not change by it.
 */

static ngx_uint_t
ngx_http_pulse_keeper_idle(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_account_t *account, ngx_uint_t all, ngx_uint_t *close)
{
    uint64_t        returned;
    ngx_msec_int_t  idle;

    *close = 0;

    /* the clocks of workers differ by the age of their last event */

    idle = (ngx_msec_int_t) (ngx_current_msec - account->last);
    returned = account->lease.returned;

    if (all
        || idle >= (ngx_msec_int_t) umcf->lease_idle
        || account->retired
        || account->recalled)
    {
        account->recalled = 0;

        if (ngx_pulse_lease_return(&account->lease, 0) != returned) {
            account->sent = 0;
        }
    }

    if (account->open == 0
        && (account->retired
            || (idle >= NGX_HTTP_PULSE_KEEPER_CLOSE
                && ngx_pulse_meter_clean(account))))
    {
        if (account->lease.granted == 0) {
            ngx_pulse_meter_drop(&umcf->shared->meter, account);
            return 0;
        }

        /* a request that comes from now on takes a lease of its own */

        account->retired = 1;
        *close = 1;

    } else if (account->lease.returned == account->store.returned) {
        return 0;
    }

    if (!all && account->sent
        && ngx_current_msec - account->sent < NGX_HTTP_PULSE_KEEPER_RESEND)
    {
        return 0;
    }

    account->sent = ngx_current_msec;

    return 1;
}


static void
ngx_http_pulse_keeper_return_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_keeper_t *k = data;

    int                         i, n;
    u_char                      lease_id[16];
    ngx_str_t                   id, closed;
    ngx_pulse_meter_account_t  *account;

    k->returning = 0;

    if (res->status != NGX_PULSE_PG_OK) {
        return;
    }

    ngx_http_pulse_drain_merge(k->conf, res);

    /* a lease that is closed on both sides is forgotten */

    n = PQntuples(res->rows);

    for (i = 0; i < n; i++) {
        id = ngx_pulse_pg_value(res, i, 0);
        closed = ngx_pulse_pg_value(res, i, 5);

        if (closed.len == 0 || closed.data[0] != 't'
            || !ngx_pulse_uuid_valid(&id))
        {
            continue;
        }

        ngx_pulse_uuid_bytes(lease_id, id.data);

        account = ngx_http_pulse_keeper_find(k->conf, lease_id);

        if (account) {
            account->retired = 1;

            if (account->open == 0) {
                ngx_pulse_meter_drop(&k->conf->shared->meter, account);
            }

            ngx_http_pulse_usage_unlock(k->conf);
        }
    }
}


/* Answers that were lost leave the store with more than is known here. */

static void
ngx_http_pulse_keeper_compare(ngx_http_pulse_keeper_t *k)
{
    ngx_str_t  params[1];

    if (k->comparing || ngx_http_pulse_pg_pool == NULL) {
        return;
    }

    params[0].data = k->conf->shared->incarnation;
    params[0].len = NGX_HTTP_PULSE_UUID_LEN;

    if (ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                           &ngx_http_pulse_keeper_statements[
                                               NGX_HTTP_PULSE_KEEPER_LEASES],
                           params, NGX_HTTP_PULSE_KEEPER_TIMEOUT,
                           ngx_http_pulse_keeper_compare_handler, k)
        == NGX_OK)
    {
        k->comparing = 1;
    }
}


static void
ngx_http_pulse_keeper_compare_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_keeper_t *k = data;

    int                         i, n;
    u_char                      user[16], lease_id[16];
    ngx_str_t                   id, owner, param;
    ngx_pulse_buf_t             b;
    ngx_pulse_meter_account_t  *account;

    k->comparing = 0;

    if (res->status != NGX_PULSE_PG_OK || k->dropping) {
        return;
    }

    ngx_http_pulse_drain_merge(k->conf, res);

    ngx_pulse_buf_init(&b, 0);
    n = PQntuples(res->rows);

    for (i = 0; i < n; i++) {
        id = ngx_pulse_pg_value(res, i, 0);
        owner = ngx_pulse_pg_value(res, i, 1);

        if (!ngx_pulse_uuid_valid(&id) || !ngx_pulse_uuid_valid(&owner)) {
            continue;
        }

        ngx_pulse_uuid_bytes(lease_id, id.data);
        ngx_pulse_uuid_bytes(user, owner.data);

        ngx_http_pulse_usage_lock(k->conf);
        account = ngx_pulse_meter_lease(&k->conf->shared->meter, user,
                                        lease_id);
        ngx_http_pulse_usage_unlock(k->conf);

        if (account == NULL) {
            ngx_pulse_buf_char(&b, b.len ? ',' : '{');
            ngx_pulse_buf_str(&b, &id);
        }
    }

    if (b.len == 0) {
        return;
    }

    ngx_pulse_buf_char(&b, '}');

    param.data = b.data;
    param.len = b.len;

    if (!b.failed
        && ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                              &ngx_http_pulse_keeper_statements[
                                                 NGX_HTTP_PULSE_KEEPER_DROP],
                              &param, NGX_HTTP_PULSE_KEEPER_TIMEOUT,
                              ngx_http_pulse_keeper_drop_handler, k)
           == NGX_OK)
    {
        k->dropping = 1;
    }

    ngx_pulse_buf_free(&b);
}


static void
ngx_http_pulse_keeper_drop_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_keeper_t *k = data;

    k->dropping = 0;
}


/*
 * A process that cannot be looked at is not gone: /proc may be closed to us,
 * or the connections have all the descriptors there are.
 */

ngx_uint_t
ngx_http_pulse_keeper_gone(const ngx_pulse_meter_worker_t *worker)
{
    uint64_t  started;

    if (kill(worker->pid, 0) == -1 && ngx_errno == ESRCH) {
        return 1;
    }

    switch (ngx_http_pulse_keeper_started(worker->pid, &started)) {

    case NGX_OK:
        return worker->started != 0 && started != worker->started;

    case NGX_DECLINED:
        return 1;

    default: /* NGX_ERROR */
        return 0;
    }
}


ngx_int_t
ngx_http_pulse_keeper_started(ngx_pid_t pid, uint64_t *started)
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
