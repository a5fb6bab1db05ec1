
#include "ngx_http_pulse_usage_module.h"


static ngx_int_t ngx_http_pulse_usage_statements(ngx_conf_t *cf);
static ngx_int_t ngx_http_pulse_usage_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_pulse_usage_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_int_t ngx_http_pulse_usage_init_tables(
    ngx_http_pulse_usage_main_conf_t *umcf);
static ngx_int_t ngx_http_pulse_usage_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_pulse_usage_init_process(ngx_cycle_t *cycle);
static void ngx_http_pulse_usage_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_pulse_usage_take_slot(
    ngx_http_pulse_usage_main_conf_t *umcf);
static ngx_uint_t ngx_http_pulse_usage_leave_slot(
    ngx_http_pulse_usage_main_conf_t *umcf);
static ngx_http_pulse_usage_main_conf_t *ngx_http_pulse_usage_conf(
    ngx_cycle_t *cycle);
static void *ngx_http_pulse_usage_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_usage_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_pulse_usage_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_pulse_usage_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_pulse_usage_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_pulse_usage_journal(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_pulse_usage_commands[] = {

    { ngx_string("pulse_usage_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_pulse_usage_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_journal"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_pulse_usage_journal,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pulse_lease_idle"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_usage_main_conf_t, lease_idle),
      NULL },

    { ngx_string("pulse_lease_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_pulse_usage_main_conf_t, lease_ttl),
      NULL },

    { ngx_string("pulse_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_pulse_rate_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_pulse_usage_module_ctx = {
    ngx_http_pulse_usage_statements,       /* preconfiguration */
    ngx_http_pulse_usage_init,             /* postconfiguration */

    ngx_http_pulse_usage_create_main_conf, /* create main configuration */
    ngx_http_pulse_usage_init_main_conf,   /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_pulse_usage_create_loc_conf,  /* create location configuration */
    ngx_http_pulse_usage_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_pulse_usage_module = {
    NGX_MODULE_V1,
    &ngx_http_pulse_usage_module_ctx,      /* module context */
    ngx_http_pulse_usage_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_pulse_usage_init_module,      /* init module */
    ngx_http_pulse_usage_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_pulse_usage_exit_process,     /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_uint_t  ngx_http_pulse_usage_worker;


#define NGX_HTTP_PULSE_USAGE_HELP_REFUSED                                     \
    "Requests the meter refused."

ngx_pulse_metric_t  ngx_http_pulse_usage_metrics[] = {

    { "pulse_reservations_open", NULL,
      "Requests that hold a reservation.", NGX_PULSE_METRIC_GAUGE, 0 },

    { "pulse_reservations_total", NULL,
      "Requests admitted by the meter.", NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_usage_refused_total", "code=\"QUOTA_EXCEEDED\"",
      NGX_HTTP_PULSE_USAGE_HELP_REFUSED, NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_usage_refused_total", "code=\"NO_SUBSCRIPTION\"",
      NGX_HTTP_PULSE_USAGE_HELP_REFUSED, NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_usage_refused_total", "code=\"FORBIDDEN\"",
      NGX_HTTP_PULSE_USAGE_HELP_REFUSED, NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_usage_refused_total", "code=\"STORE_UNAVAILABLE\"",
      NGX_HTTP_PULSE_USAGE_HELP_REFUSED, NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_usage_refused_total", "code=\"RATE_LIMIT_EXCEEDED\"",
      NGX_HTTP_PULSE_USAGE_HELP_REFUSED, NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_lease_acquires_total", NULL,
      "Times a node asked the store for a lease.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_events_recorded_total", NULL,
      "Events the store confirmed.", NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_events_rejected_total", NULL,
      "Events the store refused, set aside in a file.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_journal_undrained_bytes", NULL,
      "Bytes of the journal that the store does not have yet.",
      NGX_PULSE_METRIC_GAUGE, 0 },

    { "pulse_journal_garbage_bytes_total", NULL,
      "Bytes of journals that were no record.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_flush_failures_total", NULL,
      "Batches of events that did not reach the store.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_journal_write_failures_total", NULL,
      "Records that could not be written to the journal.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_orphans_settled_total", NULL,
      "Reservations ended for a worker that died.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_replayed_settled_total", NULL,
      "Reservations ended for a node that died.",
      NGX_PULSE_METRIC_COUNTER, 0 }
};


void
ngx_http_pulse_usage_lock(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_http_pulse_usage_shared_t  *shared;

    shared = umcf->shared;

    ngx_shmtx_lock(&umcf->pool->mutex);

    if (shared->busy) {

        /*
         * The last holder was killed inside, the master gave the lock free.
         * Half-done changes are finished from the slots.
         */

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "pulse usage: tables repaired: process %P died "
                      "holding them", (ngx_pid_t) shared->busy);

        ngx_pulse_meter_repair(&shared->meter);
        ngx_pulse_rate_repair(&shared->rate);
    }

    shared->busy = ngx_pid;
    ngx_memory_barrier();
}


void
ngx_http_pulse_usage_unlock(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_memory_barrier();
    umcf->shared->busy = 0;

    ngx_shmtx_unlock(&umcf->pool->mutex);
}


ngx_uint_t
ngx_http_pulse_usage_unseen(ngx_http_pulse_usage_main_conf_t *umcf)
{
    return (ngx_msec_int_t) (ngx_current_msec - umcf->shared->seen)
           > (ngx_msec_int_t) umcf->lease_ttl;
}


static ngx_int_t
ngx_http_pulse_usage_statements(ngx_conf_t *cf)
{
    ngx_uint_t                 i;
    ngx_pulse_pg_statement_t  *s;
    ngx_pulse_pg_statement_t  *lists[] = {
        ngx_http_pulse_reserve_statements,
        ngx_http_pulse_keeper_statements,
        ngx_http_pulse_leases_statements,
        ngx_http_pulse_drain_statements,
        ngx_http_pulse_replay_statements,
        ngx_http_pulse_usage_api_statements,
        ngx_http_pulse_receipt_statements
    };

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {

        for (s = lists[i]; s->name; s++) {

            if (ngx_pulse_pg_register(cf, s) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return ngx_pulse_metrics_register(cf, ngx_http_pulse_usage_metrics,
                                      NGX_HTTP_PULSE_USAGE_NMETRICS);
}


static ngx_int_t
ngx_http_pulse_usage_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_pulse_rate_handler;

    return ngx_http_pulse_usage_api(cf);
}


static ngx_int_t
ngx_http_pulse_usage_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_pulse_usage_main_conf_t  *oumcf = data;

    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = zone->data;

    if (oumcf) {

        /* what is open and what the store does not have is in that file */

        if (umcf->journal.len != oumcf->journal.len
            || ngx_strncmp(umcf->journal.data, oumcf->journal.data,
                           umcf->journal.len)
               != 0)
        {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "pulse_journal \"%V\" was \"%V\": it can be "
                          "changed by a restart only", &umcf->journal,
                          &oumcf->journal);
            return NGX_ERROR;
        }

        umcf->pool = oumcf->pool;
        umcf->shared = oumcf->shared;
        return NGX_OK;
    }

    umcf->pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        umcf->shared = umcf->pool->data;
        return NGX_OK;
    }

    umcf->shared = ngx_slab_calloc(umcf->pool,
                                   sizeof(ngx_http_pulse_usage_shared_t));
    if (umcf->shared == NULL) {
        return NGX_ERROR;
    }

    umcf->pool->data = umcf->shared;
    umcf->shared->journal = NGX_INVALID_FILE;
    umcf->shared->seen = ngx_current_msec;

    if (ngx_http_pulse_usage_init_tables(umcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "pulse usage: zone \"%V\" is too small",
                      &zone->shm.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* one run of pages holds all tables, an eighth of it the rate windows */

static ngx_int_t
ngx_http_pulse_usage_init_tables(ngx_http_pulse_usage_main_conf_t *umcf)
{
    u_char  *p;
    size_t   size, part;

    size = umcf->pool->pfree * ngx_pagesize;

    p = ngx_slab_alloc(umcf->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    part = ngx_align(size / 8, 64);

    if (ngx_pulse_rate_init(&umcf->shared->rate, p, part) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_pulse_meter_init(&umcf->shared->meter, p + part, size - part);
}


static ngx_int_t
ngx_http_pulse_usage_init_module(ngx_cycle_t *cycle)
{
    ngx_http_pulse_usage_main_conf_t  *umcf;

    if (ngx_test_config) {
        return NGX_OK;
    }

    umcf = ngx_http_pulse_usage_conf(cycle);

    if (umcf == NULL) {
        ngx_http_pulse_journal_leave();
        return NGX_OK;
    }

    if (umcf->shared->journal != NGX_INVALID_FILE) {

        /* a reload that kept the zone: the same life goes on */

        return NGX_OK;
    }

    ngx_http_pulse_journal_leave();

    return ngx_http_pulse_journal_create(cycle, umcf);
}


static ngx_int_t
ngx_http_pulse_usage_init_process(ngx_cycle_t *cycle)
{
    ngx_http_pulse_usage_main_conf_t  *umcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    umcf = ngx_http_pulse_usage_conf(cycle);

    if (umcf == NULL) {
        return NGX_OK;
    }

    /* past a file size limit write(2) must fail, not end the worker */

    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "signal(SIGXFSZ) failed");
    }

    if (ngx_http_pulse_usage_take_slot(umcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "pulse usage: no slot for the worker: "
                      "more than %d are alive", NGX_PULSE_METER_WORKERS - 1);
        return NGX_OK;
    }

    return ngx_http_pulse_keeper_start(cycle, umcf);
}


static void
ngx_http_pulse_usage_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = ngx_http_pulse_usage_conf(cycle);

    if (umcf == NULL || ngx_http_pulse_usage_worker == 0) {
        return;
    }

    ngx_http_pulse_keeper_stop();

    /*
     * A fast shutdown leaves requests where they are, their pools are never
     * destroyed: they end here, while it is known how far they came.
     */

    ngx_http_pulse_orphans_end(umcf, ngx_http_pulse_usage_worker, ngx_pid);

    if (ngx_http_pulse_usage_leave_slot(umcf)) {
        ngx_http_pulse_leave(cycle, umcf);
    }
}


/* Slots of dead workers are freed by the keeper, after what they left open
 * has ended; [0] is nobody's. */

static ngx_int_t
ngx_http_pulse_usage_take_slot(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_uint_t                 i;
    ngx_pulse_meter_worker_t  *workers;

    ngx_http_pulse_usage_worker = 0;
    workers = umcf->shared->meter.workers;

    ngx_http_pulse_usage_lock(umcf);

    for (i = 1; i < NGX_PULSE_METER_WORKERS; i++) {

        if (workers[i].pid == 0) {
            workers[i].started = 0;
            (void) ngx_http_pulse_worker_started(ngx_pid,
                                                 &workers[i].started);
            workers[i].pid = ngx_pid;
            ngx_http_pulse_usage_worker = i;
            break;
        }
    }

    ngx_http_pulse_usage_unlock(umcf);

    return ngx_http_pulse_usage_worker ? NGX_OK : NGX_ERROR;
}


/* 1 if this was the last worker alive on the zone */

static ngx_uint_t
ngx_http_pulse_usage_leave_slot(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_uint_t                 i;
    ngx_pulse_meter_worker_t  *workers;

    workers = umcf->shared->meter.workers;

    ngx_http_pulse_usage_lock(umcf);

    workers[ngx_http_pulse_usage_worker].pid = 0;

    for (i = 1; i < NGX_PULSE_METER_WORKERS; i++) {

        if (workers[i].pid && !ngx_http_pulse_worker_gone(&workers[i])) {
            break;
        }
    }

    ngx_http_pulse_usage_unlock(umcf);

    ngx_http_pulse_usage_worker = 0;

    return i == NGX_PULSE_METER_WORKERS;
}


/* NULL where there is no meter in the configuration */

static ngx_http_pulse_usage_main_conf_t *
ngx_http_pulse_usage_conf(ngx_cycle_t *cycle)
{
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_pulse_usage_module);

    return (umcf && umcf->zone) ? umcf : NULL;
}


static void *
ngx_http_pulse_usage_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_pulse_usage_main_conf_t));
    if (umcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     umcf->zone = NULL;
     *     umcf->pool = NULL;
     *     umcf->shared = NULL;
     *     umcf->journal = { 0, NULL };
     */

    umcf->sync = 100;
    umcf->max = (off_t) 1024 * 1024 * 1024;
    umcf->lease_idle = NGX_CONF_UNSET_MSEC;
    umcf->lease_ttl = NGX_CONF_UNSET_MSEC;

    return umcf;
}


static char *
ngx_http_pulse_usage_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_pulse_usage_main_conf_t *umcf = conf;

    ngx_conf_init_msec_value(umcf->lease_idle, 5000);
    ngx_conf_init_msec_value(umcf->lease_ttl, 600000);

    if ((umcf->zone == NULL) != (umcf->journal.len == 0)) {
        return "\"pulse_usage_zone\" and \"pulse_journal\" "
               "go together, one is missing";
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_pulse_usage_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_pulse_usage_loc_conf_t  *ulcf;

    ulcf = ngx_palloc(cf->pool, sizeof(ngx_http_pulse_usage_loc_conf_t));
    if (ulcf == NULL) {
        return NULL;
    }

    ulcf->limits = NGX_CONF_UNSET_PTR;

    return ulcf;
}


static char *
ngx_http_pulse_usage_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_pulse_usage_loc_conf_t *prev = parent;
    ngx_http_pulse_usage_loc_conf_t *conf = child;

    ngx_conf_merge_ptr_value(conf->limits, prev->limits, NULL);

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_usage_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_usage_main_conf_t *umcf = conf;

    ssize_t           size;
    ngx_str_t        *value;
    static ngx_str_t  name = ngx_string("pulse_usage");

    if (umcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size < (ssize_t) (32 * ngx_pagesize)) {
        return "needs a size of at least 32 pages";
    }

    umcf->zone = ngx_shared_memory_add(cf, &name, size,
                                       &ngx_http_pulse_usage_module);
    if (umcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    umcf->zone->init = ngx_http_pulse_usage_init_zone;
    umcf->zone->data = umcf;

    return NGX_CONF_OK;
}


static char *
ngx_http_pulse_usage_journal(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_usage_main_conf_t *umcf = conf;

    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (umcf->journal.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    umcf->journal = value[1];

    while (umcf->journal.len > 1
           && umcf->journal.data[umcf->journal.len - 1] == '/')
    {
        umcf->journal.data[--umcf->journal.len] = '\0';
    }

    if (ngx_conf_full_name(cf->cycle, &umcf->journal, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (umcf->journal.len > NGX_MAX_PATH - 64) {
        return "has a path that is too long";
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "sync=", 5) == 0) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;
            umcf->sync = ngx_parse_time(&s, 0);

            if (umcf->sync != (ngx_msec_t) NGX_ERROR && umcf->sync != 0) {
                continue;
            }

        } else if (ngx_strncmp(value[i].data, "max=", 4) == 0) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;
            umcf->max = ngx_parse_offset(&s);

            if (umcf->max != NGX_ERROR && umcf->max != 0) {
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
