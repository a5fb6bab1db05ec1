
#include "ngx_http_pulse_usage_module.h"


/*
 * One worker of the node keeps the meter: it drains the journal, has idle
 * leases given back and what dead workers left ended, notes how far streams
 * have come, and tells the store that the node lives.  All of it may be done
 * twice: a keeper that was stopped and comes back does no harm beside its
 * successor before it notices.
 */

#define NGX_HTTP_PULSE_KEEPER_TICK      100
#define NGX_HTTP_PULSE_KEEPER_SECOND    1000
#define NGX_HTTP_PULSE_KEEPER_STALE     3000
#define NGX_HTTP_PULSE_KEEPER_COMPARE   30000
#define NGX_HTTP_PULSE_KEEPER_TIMEOUT   5000
#define NGX_HTTP_PULSE_KEEPER_STEPS     4


typedef struct {
    ngx_http_pulse_usage_main_conf_t  *conf;
    ngx_event_t                        timer;
    ngx_http_pulse_drain_t             drain;
    ngx_msec_t                         second;      /* last time of each */
    ngx_msec_t                         sync;
    ngx_msec_t                         compare;
    ngx_msec_t                         seen_at;     /* when it was sent */
    ngx_uint_t                         seeing;      /* is on its way */
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
static void ngx_http_pulse_keeper_survey(ngx_http_pulse_keeper_t *k);
static void ngx_http_pulse_keeper_unwritten(ngx_http_pulse_keeper_t *k,
    ngx_pulse_meter_reservation_t *res);
static void ngx_http_pulse_keeper_note(ngx_http_pulse_keeper_t *k,
    ngx_pulse_meter_reservation_t *res);


ngx_pulse_pg_statement_t  ngx_http_pulse_keeper_statements[] = {

    { "node_seen",
      "SELECT given_up, lease_id, user_id FROM node_seen($1, $2)", 2 },

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

    ngx_http_pulse_leases_start(umcf);

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
        ngx_http_pulse_leases_return(umcf);
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
    ngx_http_pulse_orphans_find(k->conf);
    ngx_http_pulse_keeper_survey(k);
    ngx_http_pulse_keeper_seen(k);

    if (ngx_current_msec - k->compare >= NGX_HTTP_PULSE_KEEPER_COMPARE) {
        k->compare = ngx_current_msec;
        ngx_http_pulse_leases_compare(k->conf);
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
                           &ngx_http_pulse_keeper_statements[0], params,
                           NGX_HTTP_PULSE_KEEPER_TIMEOUT,
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

    uint64_t                           times;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = k->conf;
    k->seeing = 0;

    if (res->status != NGX_PULSE_PG_OK) {
        return;
    }

    /* a total, as all that is told: the answer that told it first may be
     * lost */

    times = ngx_pulse_pg_int(res, 0, 0);

    if (times > umcf->shared->given_up) {
        umcf->shared->given_up = times;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "pulse usage: store gave this node up, "
                      "its leases are taken anew");
        ngx_http_pulse_leases_given_up(umcf);
    }

    ngx_http_pulse_leases_recalled(umcf, res);

    /* counted from the sending: the answer may have been long on its way */

    umcf->shared->seen = k->seen_at;
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

    if (ngx_pulse_journal_needed(&shared->floor, floor, shared->written,
                                 shared->synced))
    {
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
