
#include "ngx_http_pulse_usage_module.h"


static ngx_int_t ngx_http_pulse_settle_details(ngx_http_request_t *r,
    ngx_http_pulse_reservation_t *rv, ngx_pulse_buf_t *b);
static ngx_int_t ngx_http_pulse_settle_header(ngx_http_request_t *r,
    ngx_pulse_meter_account_t *account, ngx_str_t *warning);


static const char *ngx_http_pulse_settle_kinds[] = {
    "tokens", "images", "videos"
};


void
ngx_http_pulse_settle_fill(ngx_http_pulse_reservation_t *rv)
{
    ngx_http_pulse_record_t     *record;
    ngx_pulse_journal_record_t  *jr;

    record = ngx_http_pulse_record_find(rv->request);
    jr = &rv->slot->record;

    if (record == NULL) {
        return;
    }

    jr->model_len = ngx_pulse_journal_string(jr->model,
                                             NGX_PULSE_JOURNAL_MODEL,
                                             &record->model);
    jr->provider_len = ngx_pulse_journal_string(jr->provider,
                                                NGX_PULSE_JOURNAL_PROVIDER,
                                                &record->provider);
    jr->trace_len = ngx_pulse_journal_string(jr->trace,
                                             NGX_PULSE_JOURNAL_TRACE,
                                             &record->trace_id);

    jr->input = ngx_min(record->input, NGX_PULSE_METER_MAX_AMOUNT);
    jr->cached = ngx_min(record->cached, NGX_PULSE_METER_MAX_AMOUNT);
    jr->output = ngx_min(record->output, NGX_PULSE_METER_MAX_AMOUNT);
    jr->reasoning = ngx_min(record->reasoning, NGX_PULSE_METER_MAX_AMOUNT);
    jr->cache_write = ngx_min(record->cache_write,
                              NGX_PULSE_METER_MAX_AMOUNT);
    jr->price = record->price;
    jr->estimated = record->estimated ? 1 : 0;
    jr->claimed = record->claimed ? 1 : 0;
}


void
ngx_http_pulse_settle_end(ngx_http_pulse_reservation_t *rv, uint64_t amount,
    ngx_uint_t cancel)
{
    ngx_pulse_meter_t              *m;
    ngx_pulse_journal_record_t      record;
    ngx_pulse_meter_reservation_t  *res;

    res = rv->slot;
    m = &rv->conf->shared->meter;

    ngx_http_pulse_settle_fill(rv);

    ngx_http_pulse_usage_lock(rv->conf);

    if (cancel) {
        ngx_pulse_meter_cancel(m, res);

    } else {
        ngx_pulse_meter_settle(m, res, amount);
    }

    m->accounts[res->account].last = ngx_current_msec;
    record = res->record;

    ngx_http_pulse_usage_unlock(rv->conf);

    ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_OPEN, -1);

    /* the slot may be another's as soon as it is released */

    rv->slot = NULL;
    rv->receipt = !cancel;

    ngx_http_pulse_journal_close(rv->conf, res, &record);
}


ngx_int_t
ngx_http_pulse_usage_refuse(ngx_http_request_t *r)
{
    ngx_str_t                      details, after;
    ngx_pulse_buf_t               *b;
    ngx_http_pulse_record_t       *record;

    record = ngx_http_pulse_record(r);

    if (record == NULL || record->reservation == NULL) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE, NULL);
    }

    if (record->code == NGX_HTTP_PULSE_STORE_UNAVAILABLE) {
        ngx_str_set(&after, "1");

        if (ngx_http_pulse_set_header(r, "Retry-After", &after) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (record->code != NGX_HTTP_PULSE_QUOTA_EXCEEDED
        && record->code != NGX_HTTP_PULSE_NO_SUBSCRIPTION)
    {
        return ngx_http_pulse_error(r, record->code, NULL);
    }

    /* in the pool with its content, whose cleanup it is */

    b = ngx_palloc(r->pool, sizeof(ngx_pulse_buf_t));

    if (b == NULL
        || ngx_pulse_buf_init_pool(b, 0, r->pool) != NGX_OK
        || ngx_http_pulse_settle_details(r, record->reservation, b) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    details.data = b->data;
    details.len = b->len;

    return ngx_http_pulse_error(r, record->code, &details);
}


static ngx_int_t
ngx_http_pulse_settle_details(ngx_http_request_t *r,
    ngx_http_pulse_reservation_t *rv, ngx_pulse_buf_t *b)
{
    u_char                       reset[24];
    const char                  *kind;
    ngx_http_pulse_record_t     *record;
    ngx_http_pulse_main_conf_t  *pmcf;

    record = ngx_http_pulse_record(r);
    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);

    ngx_pulse_buf_literal(b, "{");

    if (record->code == NGX_HTTP_PULSE_QUOTA_EXCEEDED) {
        kind = ngx_http_pulse_settle_kinds[rv->kind];
        ngx_pulse_rfc3339(reset, rv->period_end / 1000);

        ngx_pulse_buf_literal(b, "\"resource\":\"");
        ngx_pulse_buf_append(b, (u_char *) kind, ngx_strlen(kind));
        ngx_pulse_buf_literal(b, "\",\"used\":");
        ngx_pulse_buf_int(b, rv->used);
        ngx_pulse_buf_literal(b, ",\"limit\":");
        ngx_pulse_buf_int(b, rv->limit);
        ngx_pulse_buf_literal(b, ",\"reset_at\":\"");
        ngx_pulse_buf_append(b, reset, sizeof(reset));
        ngx_pulse_buf_literal(b, "\",");
    }

    ngx_pulse_buf_literal(b, "\"upgrade_url\":");
    ngx_pulse_buf_json(b, pmcf->upgrade_url.data, pmcf->upgrade_url.len);
    ngx_pulse_buf_literal(b, "}");

    return b->failed ? NGX_ERROR : NGX_OK;
}


uint64_t
ngx_http_pulse_usage_granted(ngx_http_request_t *r)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    return (record && record->reservation && record->reservation->slot)
           ? record->reservation->granted : 0;
}


ngx_int_t
ngx_http_pulse_usage_event(ngx_http_request_t *r, u_char *text)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL || record->reservation == NULL
        || !record->reservation->receipt)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_uuid_text(text, record->reservation->id);

    return record->reservation->slot ? NGX_AGAIN : NGX_OK;
}


void
ngx_http_pulse_usage_progress(ngx_http_pulse_reservation_t *rv,
    uint64_t amount)
{
    if (rv->slot) {
        rv->slot->progress = amount;
    }
}


ngx_int_t
ngx_http_pulse_usage_extend(ngx_http_request_t *r, uint64_t amount)
{
    ngx_int_t                       rc;
    ngx_http_pulse_record_t        *record;
    ngx_pulse_meter_t              *m;
    ngx_http_pulse_reservation_t   *rv;
    ngx_pulse_meter_reservation_t  *res;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL || record->reservation == NULL
        || record->reservation->slot == NULL
        || ngx_http_pulse_usage_unseen(record->reservation->conf))
    {
        return NGX_DECLINED;
    }

    rv = record->reservation;
    res = rv->slot;
    m = &rv->conf->shared->meter;

    ngx_http_pulse_usage_lock(rv->conf);

    rc = ngx_pulse_meter_extend(m, res, amount);

    if (rc == NGX_OK) {
        rv->granted += amount;

    } else if (ngx_pulse_meter_room(&m->accounts[res->account], amount)) {
        rc = NGX_OK;
    }

    ngx_http_pulse_usage_unlock(rv->conf);

    return rc;
}


ngx_str_t
ngx_http_pulse_usage_incarnation(ngx_http_request_t *r)
{
    ngx_str_t                          id;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_usage_module);

    id.data = umcf->shared->incarnation;
    id.len = NGX_HTTP_PULSE_UUID_LEN;

    return id;
}


ngx_int_t
ngx_http_pulse_usage_claimed(ngx_http_request_t *r)
{
    ngx_http_pulse_record_t        *record;
    ngx_pulse_journal_record_t      progress;
    ngx_http_pulse_reservation_t   *rv;
    ngx_pulse_meter_reservation_t  *res;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL || record->reservation == NULL
        || record->reservation->slot == NULL)
    {
        return NGX_ERROR;
    }

    rv = record->reservation;
    res = rv->slot;

    progress = res->record;
    progress.type = NGX_PULSE_JOURNAL_PROGRESS;
    progress.pending = 0;
    progress.amount = progress.estimate;

    if (ngx_http_pulse_journal_append(rv->conf, &progress) != NGX_OK) {
        return NGX_ERROR;
    }

    res->record.pending = 0;

    return NGX_OK;
}


void
ngx_http_pulse_usage_settle(ngx_http_request_t *r, uint64_t amount)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record && record->reservation && record->reservation->slot) {
        ngx_http_pulse_settle_end(record->reservation, amount, 0);
    }
}


void
ngx_http_pulse_usage_cancel(ngx_http_request_t *r)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record && record->reservation && record->reservation->slot) {
        ngx_http_pulse_settle_end(record->reservation, 0, 1);
    }
}


ngx_int_t
ngx_http_pulse_usage_headers(ngx_http_request_t *r)
{
    u_char                        *p;
    ngx_str_t                      value, warning;
    ngx_uint_t                     kind;
    ngx_http_pulse_record_t       *record;
    ngx_pulse_meter_account_t     *account, copy;
    ngx_http_pulse_reservation_t  *rv;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL
        || record->reservation == NULL
        || record->reservation->conf->shared == NULL)
    {
        return NGX_OK;
    }

    rv = record->reservation;

    if (rv->receipt) {
        value.data = ngx_pnalloc(r->pool, NGX_HTTP_PULSE_UUID_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = NGX_HTTP_PULSE_UUID_LEN;
        ngx_pulse_uuid_text(value.data, rv->id);

        if (ngx_http_pulse_set_header(r, "X-Usage-Event", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    warning.len = 0;
    warning.data = ngx_pnalloc(r->pool, sizeof("tokens, images, videos") - 1);
    if (warning.data == NULL) {
        return NGX_ERROR;
    }

    for (kind = 0; kind < 3; kind++) {

        ngx_http_pulse_usage_lock(rv->conf);

        account = ngx_pulse_meter_account(&rv->conf->shared->meter, rv->user,
                                          kind, NULL, ngx_current_msec);
        if (account) {
            copy = *account;
        }

        ngx_http_pulse_usage_unlock(rv->conf);

        if (account
            && copy.limit
            && ngx_http_pulse_settle_header(r, &copy, &warning) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (warning.len
        && ngx_http_pulse_set_header(r, "X-Usage-Warning", &warning)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (record->clamped) {
        p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        value.data = p;
        value.len = ngx_sprintf(p, "%uL", record->clamped) - p;

        if (ngx_http_pulse_set_header(r, "X-Usage-Clamped", &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* used/limit of a kind, and its name among the warnings at 80 % */

static ngx_int_t
ngx_http_pulse_settle_header(ngx_http_request_t *r,
    ngx_pulse_meter_account_t *account, ngx_str_t *warning)
{
    u_char              *p;
    uint64_t             used;
    ngx_str_t            value;
    static const char   *names[] = {
        "X-Usage-Tokens", "X-Usage-Images", "X-Usage-Videos"
    };

    p = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    used = ngx_pulse_meter_used(account);

    value.data = p;
    value.len = ngx_sprintf(p, "%uL/%uL", used, account->limit) - p;

    if (used >= account->limit - account->limit / 5) {
        p = warning->data + warning->len;
        warning->len = ngx_sprintf(p, "%s%s", warning->len ? ", " : "",
                                   ngx_http_pulse_settle_kinds[account->kind])
                       - warning->data;
    }

    return ngx_http_pulse_set_header(r, names[account->kind], &value);
}
