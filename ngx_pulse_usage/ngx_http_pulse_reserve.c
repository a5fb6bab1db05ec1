
#include "ngx_http_pulse_usage_module.h"


#define NGX_HTTP_PULSE_RESERVE_TRIES    8       /* questions to the store */

#define NGX_HTTP_PULSE_RESERVE_ASK      NGX_AGAIN
#define NGX_HTTP_PULSE_RESERVE_WAIT     NGX_BUSY


/* On the heap: the answer comes whether the request is still there or not,
 * and what the store granted must not be forgotten with it. */

struct ngx_http_pulse_acquire_s {
    ngx_http_pulse_reservation_t       *reservation;    /* NULL: gone */
    ngx_http_pulse_usage_main_conf_t   *conf;
    ngx_pulse_node_question_t           question;
    u_char                              user[16];
    u_char                              lease_id[16];
};


static ngx_http_pulse_reservation_t *ngx_http_pulse_reserve_create(
    ngx_http_request_t *r, ngx_http_pulse_record_t *record);
static ngx_int_t ngx_http_pulse_reserve_try(ngx_http_pulse_reservation_t *rv);
static ngx_int_t ngx_http_pulse_reserve_carve(
    ngx_http_pulse_reservation_t *rv, ngx_pulse_meter_account_t *account);
static ngx_pulse_meter_account_t *ngx_http_pulse_reserve_account(
    ngx_http_pulse_reservation_t *rv);
static ngx_int_t ngx_http_pulse_reserve_open(
    ngx_http_pulse_reservation_t *rv);
static void ngx_http_pulse_reserve_plan(ngx_http_pulse_reservation_t *rv,
    ngx_pulse_meter_account_t *account);
static ngx_int_t ngx_http_pulse_reserve_refuse(
    ngx_http_pulse_reservation_t *rv, ngx_http_pulse_code_e code);
static ngx_int_t ngx_http_pulse_reserve_ask(ngx_http_pulse_reservation_t *rv);
static ngx_uint_t ngx_http_pulse_reserve_need(
    ngx_http_pulse_reservation_t *rv, ngx_http_pulse_acquire_t *acquire);
static void ngx_http_pulse_reserve_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_reserve_merge(ngx_http_pulse_acquire_t *acquire,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_reserve_granted(ngx_http_pulse_acquire_t *acquire,
    ngx_pulse_meter_account_t *account, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_reserve_again(ngx_http_pulse_reservation_t *rv);
static void ngx_http_pulse_reserve_wait(ngx_event_t *ev);
static void ngx_http_pulse_reserve_hold(ngx_http_request_t *r);
static void ngx_http_pulse_reserve_decided(ngx_http_pulse_reservation_t *rv,
    ngx_int_t rc);
static void ngx_http_pulse_reserve_cleanup(void *data);


/* lease_reply: status, taken, elsewhere, granted, returned, settled, used,
 * limit_amount, period_start, period_end, plan */

ngx_pulse_pg_statement_t  ngx_http_pulse_reserve_statements[] = {

    { "lease_acquire",
      "SELECT * FROM lease_acquire($1, $2, $3, $4, $5, $6, $7, $8)", 8 },

    { NULL, NULL, 0 }
};


/*
 * Where other nodes hold what is missing here they are asked to give back
 * what is idle.  They hear of it within 1.1 s, give it back within 0.2 s, and
 * the store keeps it for who needs it whole; so the last question finds it.
 * After that the refusal stands.
 */

static const ngx_msec_t  ngx_http_pulse_reserve_waits[] = { 300, 700, 1500 };


ngx_int_t
ngx_http_pulse_usage_reserve(ngx_http_request_t *r, ngx_uint_t kind,
    uint64_t want, uint64_t min, ngx_http_pulse_usage_handler_pt handler,
    void *data)
{
    u_char                         id[NGX_HTTP_PULSE_UUID_LEN];
    ngx_int_t                      rc;
    ngx_http_pulse_record_t       *record;
    ngx_http_pulse_reservation_t  *rv;

    record = ngx_http_pulse_record(r);
    if (record == NULL) {
        return NGX_DECLINED;
    }

    rv = record->reservation;

    if (rv == NULL) {
        rv = ngx_http_pulse_reserve_create(r, record);

        if (rv == NULL) {
            record->code = NGX_HTTP_PULSE_STORE_UNAVAILABLE;
            return NGX_DECLINED;
        }
    }

    if (rv->slot) {
        return NGX_OK;
    }

    if (record->user_id.len != NGX_HTTP_PULSE_UUID_LEN) {
        return ngx_http_pulse_reserve_refuse(rv, NGX_HTTP_PULSE_UNAUTHORIZED);
    }

    rv->min = ngx_max(min, 1);
    rv->want = ngx_max(ngx_min(want, NGX_PULSE_METER_MAX_AMOUNT), rv->min);
    rv->kind = kind;
    rv->tries = 0;
    rv->waits = 0;
    rv->handler = handler;
    rv->data = data;

    ngx_pulse_uuid_bytes(rv->user, record->user_id.data);

    /* the ledger takes an id once: one that settled is not used again */

    ngx_pulse_uuid7(id);
    ngx_pulse_uuid_bytes(rv->id, id);

    rc = ngx_http_pulse_reserve_try(rv);

    if (rc != NGX_HTTP_PULSE_RESERVE_ASK && rc != NGX_HTTP_PULSE_RESERVE_WAIT)
    {
        return rc;
    }

    /* that others hold it was another request's answer: they are asked for
     * this one too */

    rc = ngx_http_pulse_reserve_ask(rv);

    if (rc == NGX_AGAIN) {
        ngx_http_pulse_reserve_hold(r);
    }

    return rc;
}


static ngx_http_pulse_reservation_t *
ngx_http_pulse_reserve_create(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record)
{
    ngx_http_cleanup_t            *cln;
    ngx_http_pulse_reservation_t  *rv;

    rv = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_reservation_t));
    if (rv == NULL) {
        return NULL;
    }

    /*
     * Of the request and not of its pool: it runs before the log phase, and
     * after the upstream's own, which settles.
     */

    cln = ngx_http_cleanup_add(r->main, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_pulse_reserve_cleanup;
    cln->data = rv;

    rv->request = r;
    rv->conf = ngx_http_get_module_main_conf(r, ngx_http_pulse_usage_module);

    rv->wait.handler = ngx_http_pulse_reserve_wait;
    rv->wait.data = rv;
    rv->wait.log = r->connection->log;

    record->reservation = rv;

    return rv;
}


/* NGX_OK, NGX_DECLINED, NGX_HTTP_PULSE_RESERVE_ASK if the store is to be
 * asked, NGX_HTTP_PULSE_RESERVE_WAIT if others may give back what is missing. */

static ngx_int_t
ngx_http_pulse_reserve_try(ngx_http_pulse_reservation_t *rv)
{
    ngx_int_t                          rc;
    ngx_pulse_meter_account_t         *account;
    ngx_http_pulse_usage_shared_t     *shared;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = rv->conf;
    shared = umcf->shared;

    if (shared == NULL
        || ngx_http_pulse_usage_worker == 0
        || ngx_http_pulse_usage_unseen(umcf)
        || (off_t) (shared->written - shared->flushed) > umcf->max)
    {
        /* no meter, leases that may be others', or a journal that is full */

        return ngx_http_pulse_reserve_refuse(rv,
                                            NGX_HTTP_PULSE_STORE_UNAVAILABLE);
    }

    ngx_http_pulse_usage_lock(umcf);

    account = ngx_http_pulse_reserve_account(rv);

    rc = account ? ngx_http_pulse_reserve_carve(rv, account) : NGX_ERROR;

    ngx_http_pulse_usage_unlock(umcf);

    switch (rc) {

    case NGX_OK:
        return ngx_http_pulse_reserve_open(rv);

    case NGX_HTTP_PULSE_RESERVE_ASK:
    case NGX_HTTP_PULSE_RESERVE_WAIT:
        return rc;

    case NGX_ERROR:
        return ngx_http_pulse_reserve_refuse(rv,
                                            NGX_HTTP_PULSE_STORE_UNAVAILABLE);

    default:
        return ngx_http_pulse_reserve_refuse(rv, rc);
    }
}


/* Under the lock: NGX_OK, NGX_HTTP_PULSE_RESERVE_ASK or _WAIT, NGX_ERROR
 * without memory, or a code. */

static ngx_int_t
ngx_http_pulse_reserve_carve(ngx_http_pulse_reservation_t *rv,
    ngx_pulse_meter_account_t *account)
{
    ngx_pulse_node_verdict_e        verdict;
    ngx_pulse_meter_reservation_t  *res;

    rv->used = ngx_pulse_meter_used(account);
    rv->limit = account->limit;
    rv->period_end = account->period_end;

    verdict = ngx_pulse_node_admit(&rv->conf->shared->meter, account,
                                   rv->want, rv->min, rv->id,
                                   ngx_http_pulse_usage_worker,
                                   ngx_current_msec, &res);
    switch (verdict) {

    case NGX_PULSE_NODE_ADMITTED:
        res->floor = rv->conf->shared->flushed;
        rv->slot = res;
        rv->granted = res->record.reserved;
        return NGX_OK;

    case NGX_PULSE_NODE_ASK:
        return NGX_HTTP_PULSE_RESERVE_ASK;

    case NGX_PULSE_NODE_ELSEWHERE:
        return NGX_HTTP_PULSE_RESERVE_WAIT;

    case NGX_PULSE_NODE_EXHAUSTED:
        return NGX_HTTP_PULSE_QUOTA_EXCEEDED;

    case NGX_PULSE_NODE_NO_PLAN:
        return NGX_HTTP_PULSE_NO_SUBSCRIPTION;

    case NGX_PULSE_NODE_INACTIVE:
        return NGX_HTTP_PULSE_FORBIDDEN;

    default: /* NGX_PULSE_NODE_FULL */
        return NGX_ERROR;
    }
}


/* The account in use, made if there is none.  Under the lock, so that the id
 * of a lease, which takes a system call, is only made where it is needed. */

static ngx_pulse_meter_account_t *
ngx_http_pulse_reserve_account(ngx_http_pulse_reservation_t *rv)
{
    u_char                      text[NGX_HTTP_PULSE_UUID_LEN], id[16];
    ngx_pulse_meter_t          *m;
    ngx_pulse_meter_account_t  *account;

    m = &rv->conf->shared->meter;

    account = ngx_pulse_node_account(m, rv->user, rv->kind, NULL,
                                     ngx_current_msec, ngx_pulse_now());
    if (account) {
        return account;
    }

    ngx_pulse_uuid7(text);
    ngx_pulse_uuid_bytes(id, text);

    return ngx_pulse_node_account(m, rv->user, rv->kind, id,
                                  ngx_current_msec, ngx_pulse_now());
}


/* What is carved out is admitted once the journal has it. */

static ngx_int_t
ngx_http_pulse_reserve_open(ngx_http_pulse_reservation_t *rv)
{
    ngx_pulse_meter_account_t      *account;
    ngx_pulse_meter_reservation_t  *res;

    res = rv->slot;

    /* an account with something open stays where it is */

    account = &rv->conf->shared->meter.accounts[res->account];
    ngx_http_pulse_reserve_plan(rv, account);

    ngx_http_pulse_settle_fill(rv);
    res->record.created = ngx_pulse_now();
    res->record.pending = res->record.claimed;

    if (ngx_http_pulse_journal_append(rv->conf, &res->record) == NGX_OK) {
        res->state = NGX_PULSE_METER_OPEN;
        rv->receipt = 1;

        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_OPEN, 1);
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_ADMITTED, 1);

        return NGX_OK;
    }

    /* no reader will find it, so there is nothing to close */

    ngx_http_pulse_usage_lock(rv->conf);
    ngx_pulse_meter_cancel(&rv->conf->shared->meter, res);
    ngx_pulse_meter_release(&rv->conf->shared->meter, res, rv->id);
    ngx_http_pulse_usage_unlock(rv->conf);

    rv->slot = NULL;
    rv->granted = 0;

    return ngx_http_pulse_reserve_refuse(rv, NGX_HTTP_PULSE_STORE_UNAVAILABLE);
}


static void
ngx_http_pulse_reserve_plan(ngx_http_pulse_reservation_t *rv,
    ngx_pulse_meter_account_t *account)
{
    u_char                   *p;
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(rv->request);

    if (record == NULL || record->plan.len) {
        return;
    }

    p = ngx_pnalloc(rv->request->pool, account->plan_len);

    if (p) {
        ngx_memcpy(p, account->plan, account->plan_len);
        record->plan.data = p;
        record->plan.len = account->plan_len;
    }
}


static ngx_int_t
ngx_http_pulse_reserve_refuse(ngx_http_pulse_reservation_t *rv,
    ngx_http_pulse_code_e code)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(rv->request);

    if (record) {
        record->code = code;
    }

    switch (code) {

    case NGX_HTTP_PULSE_QUOTA_EXCEEDED:
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_EXHAUSTED, 1);
        break;

    case NGX_HTTP_PULSE_NO_SUBSCRIPTION:
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_NO_PLAN, 1);
        break;

    case NGX_HTTP_PULSE_FORBIDDEN:
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_INACTIVE, 1);
        break;

    case NGX_HTTP_PULSE_STORE_UNAVAILABLE:
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_NO_STORE, 1);
        break;

    default:
        break;
    }

    return NGX_DECLINED;
}


/* NGX_AGAIN if the store was asked, else NGX_DECLINED. */

static ngx_int_t
ngx_http_pulse_reserve_ask(ngx_http_pulse_reservation_t *rv)
{
    u_char                       lease[NGX_HTTP_PULSE_UUID_LEN];
    u_char                       user[NGX_HTTP_PULSE_UUID_LEN];
    u_char                       kind, need[NGX_INT64_LEN];
    u_char                       more[NGX_INT64_LEN], least[NGX_INT64_LEN];
    ngx_str_t                    params[8];
    ngx_http_pulse_acquire_t    *acquire;
    ngx_http_pulse_main_conf_t  *pmcf;

    acquire = ngx_calloc(sizeof(ngx_http_pulse_acquire_t), ngx_cycle->log);

    if (acquire == NULL
        || ngx_http_pulse_pg_pool == NULL
        || rv->tries++ == NGX_HTTP_PULSE_RESERVE_TRIES
        || !ngx_http_pulse_reserve_need(rv, acquire))
    {
        goto failed;
    }

    acquire->reservation = rv;
    acquire->conf = rv->conf;
    ngx_memcpy(acquire->user, rv->user, 16);

    pmcf = ngx_http_get_module_main_conf(rv->request, ngx_http_pulse_module);

    ngx_pulse_uuid_text(lease, acquire->lease_id);
    ngx_pulse_uuid_text(user, rv->user);
    kind = '0' + rv->kind;

    params[0].data = rv->conf->shared->incarnation;
    params[0].len = NGX_HTTP_PULSE_UUID_LEN;

    params[1] = pmcf->node;

    if (params[1].data == NULL) {
        ngx_str_set(&params[1], "");
    }

    params[2].data = lease;
    params[2].len = NGX_HTTP_PULSE_UUID_LEN;
    params[3].data = user;
    params[3].len = NGX_HTTP_PULSE_UUID_LEN;
    params[4].data = &kind;
    params[4].len = 1;
    params[5].data = need;
    params[5].len = ngx_sprintf(need, "%uL", acquire->question.need) - need;
    params[6].data = more;
    params[6].len = ngx_sprintf(more, "%uL", acquire->question.more) - more;
    params[7].data = least;
    params[7].len = ngx_sprintf(least, "%uL", acquire->question.least)
                    - least;

    if (ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                           &ngx_http_pulse_reserve_statements[0], params, 0,
                           ngx_http_pulse_reserve_handler, acquire)
        != NGX_OK)
    {
        goto failed;
    }

    ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_ACQUIRES, 1);

    rv->acquire = acquire;

    return NGX_AGAIN;

failed:

    if (acquire) {
        ngx_free(acquire);
    }

    return ngx_http_pulse_reserve_refuse(rv, NGX_HTTP_PULSE_STORE_UNAVAILABLE);
}


/* What to ask for and of which lease; 0 without an account. */

static ngx_uint_t
ngx_http_pulse_reserve_need(ngx_http_pulse_reservation_t *rv,
    ngx_http_pulse_acquire_t *acquire)
{
    ngx_pulse_meter_account_t  *account;

    ngx_http_pulse_usage_lock(rv->conf);

    account = ngx_http_pulse_reserve_account(rv);

    if (account == NULL) {
        ngx_http_pulse_usage_unlock(rv->conf);
        return 0;
    }

    ngx_pulse_node_ask(account, rv->want, rv->min,
                       rv->kind == NGX_HTTP_PULSE_TOKENS, ngx_current_msec,
                       &acquire->question);

    ngx_memcpy(acquire->lease_id, account->lease_id, 16);

    ngx_http_pulse_usage_unlock(rv->conf);

    return 1;
}


static void
ngx_http_pulse_reserve_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_acquire_t *acquire = data;

    ngx_http_pulse_reservation_t  *rv;

    rv = acquire->reservation;

    if (res->status == NGX_PULSE_PG_OK) {
        ngx_http_pulse_reserve_merge(acquire, res);

    } else if (res->status == NGX_PULSE_PG_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "pulse usage: lease_acquire: %s: %s",
                      res->sqlstate, res->message);
    }

    ngx_free(acquire);

    if (rv == NULL) {
        return;
    }

    rv->acquire = NULL;
    ngx_http_set_log_request(rv->request->connection->log, rv->request);

    if (res->status != NGX_PULSE_PG_OK) {
        (void) ngx_http_pulse_reserve_refuse(rv,
                                            NGX_HTTP_PULSE_STORE_UNAVAILABLE);
        ngx_http_pulse_reserve_decided(rv, NGX_DECLINED);
        return;
    }

    ngx_http_pulse_reserve_again(rv);
}


static void
ngx_http_pulse_reserve_merge(ngx_http_pulse_acquire_t *acquire,
    ngx_pulse_pg_result_t *res)
{
    ngx_str_t                   status;
    ngx_pulse_meter_account_t  *account;

    status = ngx_pulse_pg_value(res, 0, 0);

    ngx_http_pulse_usage_lock(acquire->conf);

    account = ngx_pulse_meter_lease(&acquire->conf->shared->meter,
                                    acquire->user, acquire->lease_id);

    if (account == NULL) {

        /* dropped meanwhile; the comparison with the store finds the lease */

        ngx_http_pulse_usage_unlock(acquire->conf);
        return;
    }

    if (status.len == 2) {
        ngx_http_pulse_reserve_granted(acquire, account, res);

    } else if (status.len == sizeof("retired") - 1) {
        account->retired = 1;

    } else {
        ngx_pulse_node_refused(account,
                               (status.len == sizeof("inactive") - 1)
                               ? NGX_PULSE_METER_INACTIVE
                               : NGX_PULSE_METER_NO_PLAN,
                               ngx_current_msec);
    }

    ngx_http_pulse_usage_unlock(acquire->conf);
}


static void
ngx_http_pulse_reserve_granted(ngx_http_pulse_acquire_t *acquire,
    ngx_pulse_meter_account_t *account, ngx_pulse_pg_result_t *res)
{
    ngx_str_t               plan;
    ngx_pulse_node_grant_t  grant;

    ngx_memzero(&grant, sizeof(ngx_pulse_node_grant_t));

    grant.taken = ngx_pulse_pg_int(res, 0, 1);
    grant.totals.granted = ngx_pulse_pg_int(res, 0, 3);
    grant.totals.returned = ngx_pulse_pg_int(res, 0, 4);
    grant.totals.settled = ngx_pulse_pg_int(res, 0, 5);
    grant.used = ngx_pulse_pg_int(res, 0, 6);
    grant.limit = ngx_pulse_pg_int(res, 0, 7);
    grant.period = ngx_pulse_pg_int(res, 0, 8);
    grant.period_end = ngx_pulse_pg_int(res, 0, 9);

    ngx_pulse_node_granted(account, &grant, acquire->question.need,
                           ngx_current_msec, ngx_pulse_now());

    plan = ngx_pulse_pg_value(res, 0, 10);
    account->plan_len = ngx_min(plan.len, NGX_PULSE_METER_PLAN);
    ngx_memcpy(account->plan, plan.data, account->plan_len);
}


/* The tables know more now. */

static void
ngx_http_pulse_reserve_again(ngx_http_pulse_reservation_t *rv)
{
    ngx_int_t  rc;

    rc = ngx_http_pulse_reserve_try(rv);

    if (rc == NGX_HTTP_PULSE_RESERVE_ASK) {
        rc = ngx_http_pulse_reserve_ask(rv);

        if (rc == NGX_AGAIN) {
            return;
        }
    }

    if (rc == NGX_HTTP_PULSE_RESERVE_WAIT) {

        if (rv->waits < sizeof(ngx_http_pulse_reserve_waits)
                        / sizeof(ngx_msec_t))
        {
            ngx_add_timer(&rv->wait,
                          ngx_http_pulse_reserve_waits[rv->waits++]);
            return;
        }

        rc = ngx_http_pulse_reserve_refuse(rv, NGX_HTTP_PULSE_QUOTA_EXCEEDED);
    }

    ngx_http_pulse_reserve_decided(rv, rc);
}


static void
ngx_http_pulse_reserve_wait(ngx_event_t *ev)
{
    ngx_http_pulse_reservation_t *rv = ev->data;

    ngx_int_t  rc;

    ngx_http_set_log_request(rv->request->connection->log, rv->request);

    rc = ngx_http_pulse_reserve_ask(rv);

    if (rc != NGX_AGAIN) {
        ngx_http_pulse_reserve_decided(rv, rc);
    }
}


/* As the core does for its waiters: a client that goes away is noticed, one
 * that becomes writable does not run the phases. */

static void
ngx_http_pulse_reserve_hold(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static void
ngx_http_pulse_reserve_decided(ngx_http_pulse_reservation_t *rv, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = rv->request;
    c = r->connection;

    r->read_event_handler = ngx_http_block_reading;

    rv->handler(r, rv->data, rc);

    ngx_http_run_posted_requests(c);
}


/* The request ends: an answer still to come finds nobody, and what nobody
 * settled ends at what was counted. */

static void
ngx_http_pulse_reserve_cleanup(void *data)
{
    ngx_http_pulse_reservation_t *rv = data;

    ngx_http_pulse_record_t  *record;

    if (rv->acquire) {
        rv->acquire->reservation = NULL;
        rv->acquire = NULL;
    }

    if (rv->wait.timer_set) {
        ngx_del_timer(&rv->wait);
    }

    if (rv->slot == NULL) {
        return;
    }

    record = ngx_http_pulse_record_find(rv->request);

    if (record) {
        record->estimated = 1;
    }

    ngx_http_pulse_settle_end(rv, rv->slot->progress,
                               rv->slot->progress == 0);
}
