
#include <time.h>
#include "ngx_pulse_id.h"
#include "pulse_log.h"
#include "pulse_payments.h"
#include "pulse_query.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_WEBHOOKS_URL  512


static const pulse_pay_account_t *pulse_webhooks_account(
    pulse_http_request_t *r);
static ngx_int_t pulse_webhooks_read(pulse_http_request_t *r,
    const pulse_pay_account_t *account, pulse_pay_event_t *event);
static enum MHD_Result pulse_webhooks_received(pulse_http_request_t *r);
static void pulse_webhooks_forged(const pulse_pay_account_t *account);
static ngx_int_t pulse_webhooks_hurry(pulse_http_request_t *r,
    const ngx_str_t *order);
static enum MHD_Result pulse_webhooks_redirect(pulse_http_request_t *r,
    const ngx_str_t *order);


/*
 * What a provider tells.  It proves itself, is stored, applied, and only then
 * answered; what is said again is answered the same.
 */

enum MHD_Result
pulse_webhooks_receive(pulse_http_request_t *r)
{
    ngx_str_t                   body;
    pulse_pay_event_t           event;
    const pulse_pay_account_t  *account;

    account = pulse_webhooks_account(r);

    if (account == NULL || account->provider->webhook == NULL) {
        return pulse_reply_error(r, pulse_reply_not_found, NULL);
    }

    if (r->body.len > PULSE_PAY_BODY_MAX) {
        return pulse_reply_error(r, pulse_reply_too_large, NULL);
    }

    switch (pulse_webhooks_read(r, account, &event)) {

    case NGX_OK:
        break;

    case NGX_DONE:
        return pulse_webhooks_received(r);

    case NGX_DECLINED:
        pulse_webhooks_forged(account);
        return pulse_reply_error(r, pulse_reply_unauthorized, NULL);

    default: /* NGX_ERROR */
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    if (pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    body.data = r->body.data;
    body.len = r->body.len;

    if (pulse_provider_said(r->store, r->pool, account, &event, "webhook",
                            &body)
        != NGX_OK)
    {
        pulse_log(PULSE_LOG_ERR, "pulse payments: a message of %s is not"
                  " stored: %s", account->provider->name, r->store->error);
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    return pulse_webhooks_received(r);
}


/* The last part of the path is the provider's name. */

static const pulse_pay_account_t *
pulse_webhooks_account(pulse_http_request_t *r)
{
    ngx_str_t  name;

    name.data = (u_char *) strrchr(r->path, '/') + 1;
    name.len = strlen((char *) name.data);

    return pulse_pay_conf_find(pulse_payments_conf(), &name);
}


static ngx_int_t
pulse_webhooks_read(pulse_http_request_t *r,
    const pulse_pay_account_t *account, pulse_pay_event_t *event)
{
    pulse_pay_webhook_t  webhook;

    webhook.vector = pulse_http_header(r, "X-Initialization-Vector");
    webhook.tag = pulse_http_header(r, "X-Authentication-Tag");
    webhook.signature = pulse_http_header(r, "Signature");
    webhook.body.data = r->body.data;
    webhook.body.len = r->body.len;
    webhook.now = time(NULL);

    return account->provider->webhook(account, r->pool, &webhook, event);
}


static enum MHD_Result
pulse_webhooks_received(pulse_http_request_t *r)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"received\":true}");

    return pulse_reply_data(r, MHD_HTTP_OK, &b);
}


/* Anybody can send these. */

static void
pulse_webhooks_forged(const pulse_pay_account_t *account)
{
    unsigned  n;

    static pulse_log_often_t  often = PULSE_LOG_OFTEN;

    n = pulse_log_often(&often);

    if (n) {
        pulse_log(PULSE_LOG_WARN, "pulse payments: %u messages that were not"
                  " of %s since the last such line", n,
                  account->provider->name);
    }
}


/*
 * A browser that comes back, perhaps by a POST of another site and without a
 * session.  What it brings decides nothing: if the provider signed it, the
 * provider is asked a little earlier.
 */

enum MHD_Result
pulse_webhooks_browser(pulse_http_request_t *r)
{
    ngx_str_t                   fields, token, order;
    ngx_pulse_buf_t             b;
    const pulse_pay_account_t  *account;

    account = pulse_webhooks_account(r);

    if (account == NULL) {
        return pulse_reply_error(r, pulse_reply_not_found, NULL);
    }

    fields.data = r->body.data;
    fields.len = r->body.len;

    /* a GET has no fields but what is in its address */

    token = pulse_http_arg(r, "token");

    if (fields.len == 0 && token.len) {
        ngx_pulse_buf_init(&b, 0);
        pulse_query_add(&b, "token", &token);

        if (pulse_pay_take(r->pool, &b, &fields) != NGX_OK) {
            return pulse_reply_error(r, pulse_reply_internal, NULL);
        }
    }

    ngx_str_null(&order);

    if (account->provider->browser
        && account->provider->browser(account, r->pool, &fields, &order)
           == NGX_OK
        && pulse_webhooks_hurry(r, &order) != NGX_OK)
    {
        pulse_log(PULSE_LOG_WARN, "pulse payments: a payment whose browser is"
                  " back is not asked about earlier: %s", r->store->error);
    }

    return pulse_webhooks_redirect(r, &order);
}


static ngx_int_t
pulse_webhooks_hurry(pulse_http_request_t *r, const ngx_str_t *order)
{
    PGresult    *res;
    const char  *params[1];

    params[0] = pulse_provider_text(r->pool, order);

    if (params[0] == NULL || !ngx_pulse_uuid_valid(order)) {
        return NGX_OK;
    }

    if (pulse_worker_store(r) != NGX_OK) {
        return NGX_ERROR;
    }

    res = pulse_store_query(r->store, "SELECT payment_hurry($1)", 1, params);

    PQclear(res);

    return res ? NGX_OK : NGX_ERROR;
}


/* The payment is in the address, or in what was signed. */

static enum MHD_Result
pulse_webhooks_redirect(pulse_http_request_t *r, const ngx_str_t *order)
{
    char                  url[PULSE_WEBHOOKS_URL];
    ngx_str_t             payment;
    ngx_pulse_buf_t       b;
    struct MHD_Response  *response;

    payment = pulse_http_arg(r, "payment");

    if (payment.len == 0) {
        payment = *order;
    }

    if (!ngx_pulse_uuid_valid(&payment)) {
        payment.len = 0;
    }

    snprintf(url, sizeof(url), "%s/pay?payment=%.*s&back=1",
             pulse_payments_conf()->url.data, (int) payment.len,
             payment.data ? (char *) payment.data : "");

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{}");

    response = pulse_http_response(&b);
    if (response == NULL) {
        return MHD_NO;
    }

    MHD_add_response_header(response, "Location", url);

    return pulse_http_queue(r, MHD_HTTP_SEE_OTHER, response);
}
