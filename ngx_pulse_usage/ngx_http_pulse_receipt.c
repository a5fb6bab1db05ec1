
#include "ngx_http_pulse_usage_module.h"


/*
 * Receipts.  An answer bears the id of its event from its first byte; the
 * ledger has the event a moment after the last one.  In between the node
 * that serves it tells what it knows, and what has just ended is waited for.
 */


#define NGX_HTTP_PULSE_RECEIPT_EVENT  0     /* statements */
#define NGX_HTTP_PULSE_RECEIPT_AUDIT  1

#define NGX_HTTP_PULSE_RECEIPT_TRIES  10
#define NGX_HTTP_PULSE_RECEIPT_WAIT   200
#define NGX_HTTP_PULSE_RECEIPT_FRESH  (24 * 60 * 60 * 1000)     /* ms */


typedef struct {
    ngx_http_request_t   *request;
    ngx_event_t           wait;
    ngx_uint_t            tries;
    ngx_str_t             params[2];
} ngx_http_pulse_receipt_ctx_t;


static void ngx_http_pulse_receipt_ask(ngx_http_pulse_receipt_ctx_t *ctx);
static void ngx_http_pulse_receipt_handler(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static ngx_uint_t ngx_http_pulse_receipt_fresh(const ngx_str_t *id);
static void ngx_http_pulse_receipt_wait(ngx_event_t *ev);
static void ngx_http_pulse_receipt_cleanup(void *data);
static ngx_uint_t ngx_http_pulse_receipt_find(ngx_http_request_t *r,
    ngx_http_pulse_receipt_ctx_t *ctx, ngx_pulse_meter_reservation_t *found);
static ngx_int_t ngx_http_pulse_receipt_pending(ngx_http_request_t *r,
    const ngx_pulse_meter_reservation_t *res);
static void ngx_http_pulse_receipt_number(ngx_pulse_buf_t *b,
    const char *name, uint64_t n);
static void ngx_http_pulse_receipt_text(ngx_pulse_buf_t *b, const char *name,
    const u_char *p, size_t len);


ngx_pulse_pg_statement_t  ngx_http_pulse_receipt_statements[] = {

    { "usage_event", "SELECT * FROM usage_event($1, $2)", 2 },

    { "usage_audit_report",
      "SELECT * FROM usage_audit_report($1, $2, $3)", 3 },

    { NULL, NULL, 0 }
};


void
ngx_http_pulse_receipt(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_http_cleanup_t            *cln;
    ngx_http_pulse_receipt_ctx_t  *ctx;

    if (!ngx_pulse_uuid_valid(&call->id)) {
        ngx_http_finalize_request(r, ngx_http_pulse_error(r,
                                             NGX_HTTP_PULSE_NOT_FOUND, NULL));
        return;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_receipt_ctx_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (ctx == NULL || cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    cln->handler = ngx_http_pulse_receipt_cleanup;
    cln->data = ctx;

    ctx->request = r;
    ctx->params[0] = call->record->user_id;
    ctx->params[1] = call->id;

    ctx->wait.handler = ngx_http_pulse_receipt_wait;
    ctx->wait.data = ctx;
    ctx->wait.log = r->connection->log;

    ngx_http_pulse_receipt_ask(ctx);
}


static void
ngx_http_pulse_receipt_ask(ngx_http_pulse_receipt_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ngx_http_pulse_pg(r, &ngx_http_pulse_receipt_statements[
                                               NGX_HTTP_PULSE_RECEIPT_EVENT],
                          ctx->params, ngx_http_pulse_receipt_handler, ctx)
        != NGX_OK)
    {
        ngx_http_finalize_request(r, ngx_http_pulse_error(r,
                                     NGX_HTTP_PULSE_STORE_UNAVAILABLE, NULL));
    }
}


static void
ngx_http_pulse_receipt_handler(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_receipt_ctx_t *ctx = data;

    ngx_pulse_meter_reservation_t  found;

    if (res->status != NGX_PULSE_PG_OK
        || ngx_pulse_pg_int(res, 0, 0) != NGX_HTTP_NOT_FOUND)
    {
        ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
        return;
    }

    if (ngx_http_pulse_receipt_find(r, ctx, &found)) {
        ngx_http_finalize_request(r, ngx_http_pulse_receipt_pending(r,
                                                                   &found));
        return;
    }

    if (ctx->tries++ < NGX_HTTP_PULSE_RECEIPT_TRIES
        && ngx_http_pulse_receipt_fresh(&ctx->params[1]))
    {
        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;

        ngx_add_timer(&ctx->wait, NGX_HTTP_PULSE_RECEIPT_WAIT);
        return;
    }

    ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
}


/* The time within the id: only what is of late may be on its way. */

static ngx_uint_t
ngx_http_pulse_receipt_fresh(const ngx_str_t *id)
{
    u_char      bytes[16];
    int64_t     ms, age;
    ngx_uint_t  i;

    ngx_pulse_uuid_bytes(bytes, id->data);

    for (i = 0, ms = 0; i < 6; i++) {
        ms = ms << 8 | bytes[i];
    }

    age = ngx_pulse_now() - ms;

    return (bytes[6] >> 4) == 7 && age > -NGX_HTTP_PULSE_RECEIPT_FRESH
           && age < NGX_HTTP_PULSE_RECEIPT_FRESH;
}


static void
ngx_http_pulse_receipt_wait(ngx_event_t *ev)
{
    ngx_http_pulse_receipt_ctx_t *ctx = ev->data;

    ngx_connection_t  *c;

    /* the request may end here, the connection does not before its posted
     * requests ran */

    c = ctx->request->connection;
    ngx_http_set_log_request(c->log, ctx->request);
    ctx->request->read_event_handler = ngx_http_block_reading;

    ngx_http_pulse_receipt_ask(ctx);

    ngx_http_run_posted_requests(c);
}


/* a client that leaves while the timer runs */

static void
ngx_http_pulse_receipt_cleanup(void *data)
{
    ngx_http_pulse_receipt_ctx_t *ctx = data;

    if (ctx->wait.timer_set) {
        ngx_del_timer(&ctx->wait);
    }
}


/* Looks for it among what is open on this node; the slots are read without
 * the lock first, as there may be many. */

static ngx_uint_t
ngx_http_pulse_receipt_find(ngx_http_request_t *r,
    ngx_http_pulse_receipt_ctx_t *ctx, ngx_pulse_meter_reservation_t *found)
{
    u_char                             id[16], user[16];
    uint32_t                           i;
    ngx_pulse_meter_t                 *m;
    ngx_pulse_meter_reservation_t     *res;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_usage_module);

    if (umcf->shared == NULL) {
        return 0;
    }

    m = &umcf->shared->meter;

    ngx_pulse_uuid_bytes(user, ctx->params[0].data);
    ngx_pulse_uuid_bytes(id, ctx->params[1].data);

    for (i = 1; i <= m->reservations_top; i++) {
        res = &m->reservations[i];

        if (res->state == NGX_PULSE_METER_FREE
            || ngx_memcmp(res->record.id, id, 16) != 0)
        {
            continue;
        }

        ngx_http_pulse_usage_lock(umcf);
        *found = *res;
        ngx_http_pulse_usage_unlock(umcf);

        return found->state != NGX_PULSE_METER_FREE
               && ngx_memcmp(found->record.id, id, 16) == 0
               && ngx_memcmp(found->record.user, user, 16) == 0;
    }

    return 0;
}


static ngx_int_t
ngx_http_pulse_receipt_pending(ngx_http_request_t *r,
    const ngx_pulse_meter_reservation_t *res)
{
    u_char                             id[NGX_HTTP_PULSE_UUID_LEN];
    u_char                             created[24];
    ngx_str_t                          data;
    ngx_pulse_buf_t                   *b;
    const ngx_pulse_journal_record_t  *jr;

    static const char  *kinds[] = { "tokens", "images", "videos" };

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    jr = &res->record;

    ngx_pulse_uuid_text(id, jr->id);
    ngx_pulse_rfc3339(created, jr->created);

    ngx_pulse_buf_literal(b, "{\"id\":");
    ngx_pulse_buf_json(b, id, NGX_HTTP_PULSE_UUID_LEN);
    ngx_pulse_buf_literal(b, ",\"status\":\"pending\"");

    ngx_http_pulse_receipt_text(b, "resource", (u_char *) kinds[jr->kind],
                                ngx_strlen(kinds[jr->kind]));
    ngx_http_pulse_receipt_number(b, "amount", res->progress);
    ngx_http_pulse_receipt_number(b, "reserved", jr->reserved);
    ngx_http_pulse_receipt_text(b, "model", jr->model, jr->model_len);
    ngx_http_pulse_receipt_text(b, "provider", jr->provider,
                                jr->provider_len);
    ngx_http_pulse_receipt_text(b, "trace_id", jr->trace, jr->trace_len);
    ngx_http_pulse_receipt_text(b, "created_at", created, sizeof(created));

    ngx_pulse_buf_literal(b, ",\"estimated\":true,\"price\":null}");

    data.data = b->data;
    data.len = b->len;

    return b->failed ? NGX_HTTP_INTERNAL_SERVER_ERROR
                     : ngx_http_pulse_reply(r, NGX_HTTP_OK, &data);
}


static void
ngx_http_pulse_receipt_number(ngx_pulse_buf_t *b, const char *name,
    uint64_t n)
{
    ngx_pulse_buf_literal(b, ",\"");
    ngx_pulse_buf_append(b, (u_char *) name, ngx_strlen(name));
    ngx_pulse_buf_literal(b, "\":");
    ngx_pulse_buf_int(b, n);
}


static void
ngx_http_pulse_receipt_text(ngx_pulse_buf_t *b, const char *name,
    const u_char *p, size_t len)
{
    ngx_pulse_buf_literal(b, ",\"");
    ngx_pulse_buf_append(b, (u_char *) name, ngx_strlen(name));
    ngx_pulse_buf_literal(b, "\":");

    if (len) {
        ngx_pulse_buf_json(b, p, len);

    } else {
        ngx_pulse_buf_literal(b, "null");
    }
}


void
ngx_http_pulse_receipt_audit(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    u_char                             open[NGX_INT64_LEN];
    u_char                             reserved[NGX_INT64_LEN];
    uint32_t                           i;
    uint64_t                           sum;
    ngx_str_t                          params[3];
    ngx_pulse_meter_t                 *m;
    ngx_http_pulse_main_conf_t        *pmcf;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);
    umcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_usage_module);

    ngx_memzero(params, sizeof(params));
    params[0] = pmcf->node;

    if (umcf->shared && pmcf->node.data) {
        m = &umcf->shared->meter;

        /* without the lock: a sum for people, in a table that is long */

        for (i = 1, sum = 0; i <= m->accounts_top; i++) {
            sum += m->accounts[i].present ? m->accounts[i].lease.reserved : 0;
        }

        params[1].data = open;
        params[1].len = ngx_sprintf(open, "%uD", m->open) - open;
        params[2].data = reserved;
        params[2].len = ngx_sprintf(reserved, "%uL", sum) - reserved;
    }

    ngx_http_pulse_call_pg(r, &ngx_http_pulse_receipt_statements[
                                               NGX_HTTP_PULSE_RECEIPT_AUDIT],
                           params);
}
