
#include "ngx_http_pulse_gateway.h"
#include <openssl/evp.h>


/*
 * Idempotency-Key.  The store is asked what became of the key, before
 * anything is spent; a key that is free is claimed with the id of the
 * reservation, after the journal has that and before a provider is asked.  Of
 * those who race for it one gets it, the others give back what they reserved
 * and wait for its answer.  A claim ends by the journal: with the event in
 * the ledger, or by its cancel, which frees the key.
 */


#define NGX_HTTP_PULSE_CLAIM_KEY_MAX   255
#define NGX_HTTP_PULSE_CLAIM_PATIENCE  10000
#define NGX_HTTP_PULSE_CLAIM_PAUSE     50
#define NGX_HTTP_PULSE_CLAIM_PAUSES    800      /* the longest */
#define NGX_HTTP_PULSE_CLAIM_LOOKS     4        /* of who is refused */


static ngx_int_t ngx_http_pulse_gateway_claim_hash(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_claim_ask(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_pg_statement_t *statement,
    ngx_str_t *event);
static void ngx_http_pulse_gateway_claim_handler(ngx_http_request_t *r,
    void *data, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_gateway_claim_lost(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_claim_known(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_gateway_claim_wait(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_claim_wait_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_pulse_gateway_claim_conflict(ngx_http_request_t *r,
    const char *reason, ngx_str_t *event);
static ngx_int_t ngx_http_pulse_gateway_claim_unavailable(
    ngx_http_request_t *r);


static ngx_pulse_pg_statement_t  ngx_http_pulse_gateway_claim_statements[] = {

    { "idempotency_find", "SELECT * FROM idempotency_find($1, $2, $3)", 3 },

    { "idempotency_claim",
      "SELECT * FROM idempotency_claim($1, $2, $3, $4, $5)", 5 }
};

#define ngx_http_pulse_gateway_claim_finding                                  \
    (&ngx_http_pulse_gateway_claim_statements[0])
#define ngx_http_pulse_gateway_claim_taking                                   \
    (&ngx_http_pulse_gateway_claim_statements[1])


#define ngx_http_pulse_gateway_claim_metric(outcome)                          \
    { "pulse_idempotency_total", "outcome=\"" outcome "\"",                   \
      "Requests with an idempotency key, by what became of them.",            \
      NGX_PULSE_METRIC_COUNTER, 0 }

static ngx_pulse_metric_t  ngx_http_pulse_gateway_claim_metrics[] = {
    ngx_http_pulse_gateway_claim_metric("claimed"),
    ngx_http_pulse_gateway_claim_metric("replayed"),
    ngx_http_pulse_gateway_claim_metric("mismatch"),
    ngx_http_pulse_gateway_claim_metric("running"),
    ngx_http_pulse_gateway_claim_metric("not_kept"),
    ngx_http_pulse_gateway_claim_metric("unavailable")
};

#define NGX_HTTP_PULSE_CLAIM_CLAIMED      0
#define NGX_HTTP_PULSE_CLAIM_REPLAYED     1
#define NGX_HTTP_PULSE_CLAIM_MISMATCH     2
#define NGX_HTTP_PULSE_CLAIM_RUNNING      3
#define NGX_HTTP_PULSE_CLAIM_NOT_KEPT     4
#define NGX_HTTP_PULSE_CLAIM_UNAVAILABLE  5
#define NGX_HTTP_PULSE_CLAIM_NOUTCOMES    6

#define ngx_http_pulse_gateway_claim_count(outcome)                           \
    ngx_pulse_metric_add(&ngx_http_pulse_gateway_claim_metrics[outcome], 1)


ngx_int_t
ngx_http_pulse_gateway_claim_init(ngx_conf_t *cf)
{
    if (ngx_pulse_pg_register(cf, ngx_http_pulse_gateway_claim_finding)
        != NGX_OK
        || ngx_pulse_pg_register(cf, ngx_http_pulse_gateway_claim_taking)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_metrics_register(cf,
                                      ngx_http_pulse_gateway_claim_metrics,
                                      NGX_HTTP_PULSE_CLAIM_NOUTCOMES);
}


ngx_int_t
ngx_http_pulse_gateway_claim_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t *rc)
{
    size_t                   i;
    ngx_str_t               *key;
    ngx_http_pulse_claim_t  *claim;

    key = ngx_http_pulse_header(r, "idempotency-key",
                                sizeof("idempotency-key") - 1);

    if (key == NULL || ctx->record->user_id.len != NGX_HTTP_PULSE_UUID_LEN) {
        return NGX_OK;
    }

    for (i = 0; i < key->len; i++) {

        if (key->data[i] <= ' ' || key->data[i] >= 0x7f) {
            break;
        }
    }

    if (i == 0 || i < key->len || i > NGX_HTTP_PULSE_CLAIM_KEY_MAX) {
        *rc = ngx_http_pulse_invalid(r, "", "Idempotency-Key is not 1 to 255"
                                     " visible characters of ASCII");
        return NGX_DECLINED;
    }

    claim = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_claim_t));

    if (claim == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DECLINED;
    }

    claim->key = *key;
    claim->pause = NGX_HTTP_PULSE_CLAIM_PAUSE;
    claim->until = ngx_current_msec + NGX_HTTP_PULSE_CLAIM_PATIENCE;

    claim->wait.handler = ngx_http_pulse_gateway_claim_wait_handler;
    claim->wait.data = ctx;
    claim->wait.log = r->connection->log;

    ctx->claim = claim;

    if (ngx_http_pulse_gateway_claim_hash(r, ctx) != NGX_OK) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Of what makes two requests one: "alt" is the form of Gemini's answers, the
 * other arguments may be credentials. */

static ngx_int_t
ngx_http_pulse_gateway_claim_hash(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    u_char       md[32], *p;
    ngx_int_t    rc;
    ngx_str_t    alt;
    EVP_MD_CTX  *digest;

    p = ngx_pnalloc(r->pool, 2 + 2 * sizeof(md));
    digest = EVP_MD_CTX_new();

    if (p == NULL || digest == NULL) {
        EVP_MD_CTX_free(digest);
        return NGX_ERROR;
    }

    alt = ngx_http_pulse_arg(r, "alt");

    rc = NGX_ERROR;

    if (EVP_DigestInit_ex(digest, EVP_sha256(), NULL)
        && EVP_DigestUpdate(digest, r->method_name.data, r->method_name.len)
        && EVP_DigestUpdate(digest, " ", 1)
        && EVP_DigestUpdate(digest, r->uri.data, r->uri.len)
        && EVP_DigestUpdate(digest, "\n", 1)
        && EVP_DigestUpdate(digest, alt.data, alt.len)
        && EVP_DigestUpdate(digest, "\n", 1)
        && EVP_DigestUpdate(digest, ctx->text.data, ctx->text.len)
        && EVP_DigestFinal_ex(digest, md, NULL))
    {
        ctx->claim->hash.data = p;

        *p++ = '\\';
        *p++ = 'x';
        p = ngx_hex_dump(p, md, sizeof(md));

        ctx->claim->hash.len = p - ctx->claim->hash.data;
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(digest);

    return rc;
}


void
ngx_http_pulse_gateway_claim_find(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ngx_http_pulse_gateway_claim_ask(r, ctx,
                                         ngx_http_pulse_gateway_claim_finding,
                                         NULL)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                                 ngx_http_pulse_gateway_claim_unavailable(r));
    }
}


static ngx_int_t
ngx_http_pulse_gateway_claim_ask(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_pg_statement_t *statement,
    ngx_str_t *event)
{
    ngx_str_t  params[5];

    params[0] = ctx->record->user_id;
    params[1] = ctx->claim->key;
    params[2] = ctx->claim->hash;

    if (event) {
        params[3] = *event;
        params[4] = ngx_http_pulse_usage_incarnation(r);
    }

    return ngx_http_pulse_pg(r, statement, params,
                             ngx_http_pulse_gateway_claim_handler, ctx);
}


void
ngx_http_pulse_gateway_claim_take(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    u_char     id[NGX_HTTP_PULSE_UUID_LEN];
    ngx_str_t  event;

    (void) ngx_http_pulse_usage_event(r, id);

    event.data = id;
    event.len = NGX_HTTP_PULSE_UUID_LEN;

    if (ngx_http_pulse_gateway_claim_ask(r, ctx,
                                         ngx_http_pulse_gateway_claim_taking,
                                         &event)
        != NGX_OK)
    {
        ngx_http_pulse_gateway_claim_lost(r, ctx);
        ngx_http_finalize_request(r,
                                 ngx_http_pulse_gateway_claim_unavailable(r));
        return;
    }

    /*
     * Were the request to end now its cancel could reach the store before the
     * claim does.  The time of the statement is bounded.
     */

    r->read_event_handler = ngx_http_block_reading;
}


/* The claim was not made: there is nothing for the journal to free. */

static void
ngx_http_pulse_gateway_claim_lost(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ctx->record->claimed = 0;
    ctx->record->clamped = 0;

    ngx_http_pulse_usage_cancel(r);
}


ngx_int_t
ngx_http_pulse_gateway_claim_refused(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->record->code != NGX_HTTP_PULSE_QUOTA_EXCEEDED
        || ctx->claim->refused)
    {
        return NGX_DECLINED;
    }

    /* it may be the first request with the key that has all there was */

    ctx->claim->refused = 1;

    ngx_http_pulse_gateway_claim_find(r, ctx);

    return NGX_OK;
}


static void
ngx_http_pulse_gateway_claim_handler(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    u_char     id[NGX_HTTP_PULSE_UUID_LEN];
    ngx_str_t  state;

    if (res->status != NGX_PULSE_PG_OK) {

        if (res->status == NGX_PULSE_PG_ERROR) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "pulse gateway: idempotency: %s: %s",
                          res->sqlstate, res->message);
        }

        /* whether the key is claimed is not known: the journal frees it */

        ngx_http_pulse_usage_cancel(r);
        ngx_http_finalize_request(r,
                                 ngx_http_pulse_gateway_claim_unavailable(r));
        return;
    }

    state = ngx_pulse_pg_value(res, 0, 0);

    if (state.len == sizeof("claimed") - 1
        && ngx_strncmp(state.data, "claimed", state.len) == 0)
    {
        ngx_http_pulse_gateway_claim_count(NGX_HTTP_PULSE_CLAIM_CLAIMED);

        if (ngx_http_pulse_usage_claimed(r) != NGX_OK) {

            /* the disk is full: the keeper cancels, which frees the key */

            ngx_http_pulse_usage_cancel(r);
            ngx_http_finalize_request(r,
                                 ngx_http_pulse_gateway_claim_unavailable(r));
            return;
        }

        ctx->claim->taken = 1;
        ngx_http_pulse_gateway_start(r, ctx);
        return;
    }

    if (ngx_http_pulse_usage_event(r, id) == NGX_AGAIN) {
        ngx_http_pulse_gateway_claim_lost(r, ctx);

        if (state.len == 0) {

            /* whoever was first failed, and nothing was spent */

            ngx_http_pulse_gateway_claim_wait(r, ctx);
            return;
        }
    }

    ngx_http_pulse_gateway_claim_known(r, ctx, res);
}


static void
ngx_http_pulse_gateway_claim_known(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_pg_result_t *res)
{
    ngx_int_t  rc;
    ngx_str_t  state, event;

    state = ngx_pulse_pg_value(res, 0, 0);
    event = ngx_pulse_pg_value(res, 0, 1);

    if (state.len == 0) {

        /*
         * Whoever has all there was may be this key's first request whose
         * claim is under way: it reserves before it claims.
         */

        if (ctx->claim->refused == NGX_HTTP_PULSE_CLAIM_LOOKS) {
            ngx_http_finalize_request(r, ngx_http_pulse_usage_refuse(r));
            return;
        }

        if (ctx->claim->refused) {
            ctx->claim->refused++;
            ngx_http_pulse_gateway_claim_wait(r, ctx);
            return;
        }

        ngx_http_pulse_gateway_moderate(r, ctx);
        return;
    }

    switch (state.data[0]) {

    case 'r': /* running */
        ctx->claim->refused = 0;
        ngx_http_pulse_gateway_claim_wait(r, ctx);
        return;

    case 'k': /* kept */
        ngx_http_pulse_gateway_claim_count(NGX_HTTP_PULSE_CLAIM_REPLAYED);
        rc = ngx_http_pulse_gateway_keep_reply(r, ctx, res);
        break;

    case 'm': /* mismatch */
        ngx_http_pulse_gateway_claim_count(NGX_HTTP_PULSE_CLAIM_MISMATCH);
        rc = ngx_http_pulse_gateway_claim_conflict(r, "another request", NULL);
        break;

    default: /* spent */
        ngx_http_pulse_gateway_claim_count(NGX_HTTP_PULSE_CLAIM_NOT_KEPT);
        rc = ngx_http_pulse_gateway_claim_conflict(r, "answered and charged,"
                                                   " the answer was not kept",
                                                   &event);
        break;
    }

    ngx_http_finalize_request(r, rc);
}


static void
ngx_http_pulse_gateway_claim_wait(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t                after;
    ngx_http_pulse_claim_t  *claim;

    claim = ctx->claim;

    if ((ngx_msec_int_t) (claim->until - ngx_current_msec) <= 0) {
        ngx_http_pulse_gateway_claim_count(NGX_HTTP_PULSE_CLAIM_RUNNING);

        ngx_str_set(&after, "1");

        if (ngx_http_pulse_set_header(r, "Retry-After", &after) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        ngx_http_finalize_request(r,
                   ngx_http_pulse_gateway_claim_conflict(r, "still running",
                                                         NULL));
        return;
    }

    ngx_add_timer(&claim->wait, claim->pause);
    claim->pause = ngx_min(claim->pause * 2, NGX_HTTP_PULSE_CLAIM_PAUSES);

    /* nothing is held: a client that goes away ends the request */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static void
ngx_http_pulse_gateway_claim_wait_handler(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_pulse_gateway_claim_find(r, ctx);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_pulse_gateway_claim_conflict(ngx_http_request_t *r,
    const char *reason, ngx_str_t *event)
{
    ngx_str_t         details;
    ngx_pulse_buf_t  *b;

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_pulse_buf_literal(b, "{\"reason\":\"");
    ngx_pulse_buf_append(b, (u_char *) reason, ngx_strlen(reason));
    ngx_pulse_buf_char(b, '"');

    if (event) {
        ngx_pulse_buf_literal(b, ",\"event\":\"");
        ngx_pulse_buf_str(b, event);
        ngx_pulse_buf_char(b, '"');

        /* the dialects have no place for it */

        if (ngx_http_pulse_set_header(r, "X-Usage-Event", event) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_pulse_buf_char(b, '}');

    details.data = b->data;
    details.len = b->len;

    return ngx_http_pulse_error(r, NGX_HTTP_PULSE_IDEMPOTENCY_MISMATCH,
                                b->failed ? NULL : &details);
}


static ngx_int_t
ngx_http_pulse_gateway_claim_unavailable(ngx_http_request_t *r)
{
    ngx_str_t  after;

    ngx_http_pulse_gateway_claim_count(NGX_HTTP_PULSE_CLAIM_UNAVAILABLE);

    ngx_str_set(&after, "1");

    if (ngx_http_pulse_set_header(r, "Retry-After", &after) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE, NULL);
}


void
ngx_http_pulse_gateway_claim_free(ngx_http_pulse_claim_t *claim)
{
    if (claim->wait.timer_set) {
        ngx_del_timer(&claim->wait);
    }

    ngx_pulse_buf_free(&claim->headers);
    ngx_pulse_buf_free(&claim->body);
}
