
#include "pulse_pay_jwt.h"
#include "pulse_query.h"


/*
 * ZainCash, "Payment Gateway API" (v2): a token by OAuth 2.0 client
 * credentials, a page of theirs, an inquiry, and JWTs (HS256, with a key that
 * is not the client's secret) in webhooks and in what a browser brings.
 */

#define PULSE_ZAINCASH_API    "/api/v2/payment-gateway/transaction/"
#define PULSE_ZAINCASH_LIVES  900
#define PULSE_ZAINCASH_JWT    8192


static const char *pulse_zaincash_accept(pulse_pay_account_t *account);
static ngx_int_t pulse_zaincash_token(const pulse_pay_account_t *account,
    ngx_pool_t *pool, pulse_pay_call_t *call);
static ngx_int_t pulse_zaincash_token_read(ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, ngx_str_t *bearer, int64_t *lives);
static ngx_int_t pulse_zaincash_checkout(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_zaincash_body(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, ngx_str_t *body);
static ngx_int_t pulse_zaincash_call(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, const char *path,
    const ngx_str_t *id, pulse_pay_call_t *call);
static ngx_int_t pulse_zaincash_checkout_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_checkout_t *checkout);
static ngx_int_t pulse_zaincash_status(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_zaincash_status_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_event_t *event);
static void pulse_zaincash_state(const ngx_str_t *status,
    pulse_pay_event_t *event);
static ngx_int_t pulse_zaincash_refunds_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, const pulse_pay_answer_t *answer,
    pulse_pay_events_t *events);
static ngx_int_t pulse_zaincash_webhook(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_webhook_t *webhook,
    pulse_pay_event_t *event);
static ngx_int_t pulse_zaincash_browser(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const ngx_str_t *fields, ngx_str_t *order);


static const struct {
    const char         *name;
    pulse_pay_state_e   state;
} pulse_zaincash_states[] = {
    { "PENDING", pulse_pay_pending },
    { "OTP_SENT", pulse_pay_pending },
    { "CUSTOMER_AUTHENTICATION_REQUIRED", pulse_pay_pending },
    { "SUCCESS", pulse_pay_paid },
    { "FAILED", pulse_pay_failed },
    { "EXPIRED", pulse_pay_failed },
    { "REFUNDED", pulse_pay_refunded },
    { NULL, pulse_pay_pending }
};


const pulse_pay_provider_t  pulse_pay_zaincash = {
    .name = "zaincash",
    .decimals = 0,
    .currencies = " IQD ",
    .minimum = 250,
    .lives = PULSE_ZAINCASH_LIVES,
    .test_hosts = " pg-api-uat.zaincash.iq ",
    .live_hosts = " pg-api.zaincash.iq ",
    .settings = {
        { "client_id", offsetof(pulse_pay_account_t, id), 0 },
        { "client_secret", offsetof(pulse_pay_account_t, secret), 1 },
        { "api_key", offsetof(pulse_pay_account_t, signer), 1 },
        { "service_type", offsetof(pulse_pay_account_t, options[0]), 0 },
        { NULL, 0, 0 }
    },
    .accept = pulse_zaincash_accept,
    .token = pulse_zaincash_token,
    .token_read = pulse_zaincash_token_read,
    .checkout = pulse_zaincash_checkout,
    .checkout_read = pulse_zaincash_checkout_read,
    .status = pulse_zaincash_status,
    .status_read = pulse_zaincash_status_read,
    .refunds = pulse_zaincash_status,
    .refunds_read = pulse_zaincash_refunds_read,
    .webhook = pulse_zaincash_webhook,
    .browser = pulse_zaincash_browser
};


static const char *
pulse_zaincash_accept(pulse_pay_account_t *account)
{
    return (account->signer.len < 16) ? "\"api_key\" is too short" : NULL;
}


static ngx_int_t
pulse_zaincash_token(const pulse_pay_account_t *account, ngx_pool_t *pool,
    pulse_pay_call_t *call)
{
    ngx_str_t        path;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    pulse_query_text(&b, "grant_type", "client_credentials");
    pulse_query_add(&b, "client_id", &account->id);
    pulse_query_add(&b, "client_secret", &account->secret);
    pulse_query_text(&b, "scope", "payment:read payment:write");

    ngx_str_set(&path, "/oauth2/token");

    call->method = "POST";
    call->type = "application/x-www-form-urlencoded";

    if (pulse_pay_take(pool, &b, &call->body) != NGX_OK) {
        return NGX_ERROR;
    }

    return pulse_pay_join(pool, &call->url, &account->base, &path, NULL);
}


static ngx_int_t
pulse_zaincash_token_read(ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    ngx_str_t *bearer, int64_t *lives)
{
    size_t                   i;
    ngx_str_t                seconds;
    ngx_pulse_json_value_t  *v;

    v = pulse_pay_json(pool, &answer->body);

    *bearer = pulse_pay_text(v, "access_token", 4000);
    seconds = pulse_pay_text(v, "expires_in", 10);

    if (bearer->len == 0 || ngx_pulse_json_int(&seconds, lives) != NGX_OK) {
        return NGX_DECLINED;
    }

    /* it goes into a header */

    for (i = 0; i < bearer->len; i++) {
        if (bearer->data[i] <= ' ' || bearer->data[i] >= 0x7f) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_zaincash_checkout(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    ngx_int_t  rc;
    ngx_str_t  none;

    rc = pulse_zaincash_body(account, pool, order, &call->body);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_null(&none);

    call->method = "POST";
    call->type = "application/json";

    return pulse_zaincash_call(account, pool, order, "init", &none, call);
}


static ngx_int_t
pulse_zaincash_body(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, ngx_str_t *body)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"language\":\"");
    ngx_pulse_buf_append(&b, (u_char *) (order->arabic ? "ar" : "en"), 2);
    ngx_pulse_buf_literal(&b, "\",\"amount\":{\"currency\":\"IQD\",\"value\":"
                              "\"");

    if (pulse_money_write(&b, &order->money, pulse_pay_zaincash.decimals)
        != NGX_OK)
    {
        ngx_pulse_buf_free(&b);
        return NGX_DECLINED;
    }

    ngx_pulse_buf_literal(&b, "\"}");
    pulse_pay_member(&b, "externalReferenceId", &order->id);
    pulse_pay_member(&b, "orderId", &order->id);
    pulse_pay_member(&b, "serviceType", &account->options[0]);
    ngx_pulse_buf_literal(&b, ",\"redirectUrls\":{\"successUrl\":");
    ngx_pulse_buf_json(&b, order->url.data, order->url.len);
    pulse_pay_member(&b, "failureUrl", &order->url);
    ngx_pulse_buf_literal(&b, "}}");

    return pulse_pay_take(pool, &b, body);
}


static ngx_int_t
pulse_zaincash_call(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, const char *path, const ngx_str_t *id,
    pulse_pay_call_t *call)
{
    ngx_str_t  api, part, scheme;

    ngx_str_set(&api, PULSE_ZAINCASH_API);
    ngx_str_set(&scheme, "Bearer ");

    part.data = (u_char *) path;
    part.len = strlen(path);

    if (pulse_pay_join(pool, &call->url, &account->base, &api, &part, id,
                       NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_pay_join(pool, &call->authorization, &scheme,
                          &order->bearer, NULL);
}


/* "SUCCESS" says that it was made, not that it was paid. */

static ngx_int_t
pulse_zaincash_checkout_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_checkout_t *checkout)
{
    ngx_str_t                status;
    ngx_pulse_json_value_t  *v;

    v = pulse_pay_json(pool, &answer->body);
    status = pulse_pay_text(v, "status", 32);

    checkout->reference = pulse_pay_text(ngx_pulse_json_get(v,
                                                     "transactionDetails"),
                                         "transactionId", PULSE_PAY_ID_MAX);
    checkout->url = pulse_pay_text(v, "redirectUrl", 2000);
    ngx_str_null(&checkout->integrity);

    return (status.len == 7 && ngx_memcmp(status.data, "SUCCESS", 7) == 0
            && pulse_pay_id(&checkout->reference) && checkout->url.len)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
pulse_zaincash_status(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    call->method = "GET";
    call->type = NULL;

    return pulse_zaincash_call(account, pool, order, "inquiry/",
                               &order->reference, call);
}


static ngx_int_t
pulse_zaincash_status_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_event_t *event)
{
    ngx_str_t                bar;
    ngx_pulse_json_value_t  *v, *details;

    ngx_memzero(event, sizeof(pulse_pay_event_t));

    v = pulse_pay_json(pool, &answer->body);
    details = ngx_pulse_json_get(v, "transactionDetails");

    event->code = pulse_pay_text(v, "status", 40);
    event->reference = pulse_pay_text(details, "transactionId",
                                      PULSE_PAY_ID_MAX);
    event->order = pulse_pay_text(details, "externalReferenceId",
                                  PULSE_PAY_ID_MAX);

    if (event->code.len == 0 || event->reference.len == 0) {
        return NGX_DECLINED;
    }

    event->payment = event->reference;
    pulse_pay_money(ngx_pulse_json_get(details, "amount"), "value",
                    "currency", &event->money);
    pulse_zaincash_state(&event->code, event);

    ngx_str_set(&bar, "|");

    return pulse_pay_join(pool, &event->key, &event->reference, &bar,
                          &event->code, NULL);
}


static void
pulse_zaincash_state(const ngx_str_t *status, pulse_pay_event_t *event)
{
    ngx_uint_t  i;

    for (i = 0; pulse_zaincash_states[i].name; i++) {
        if (status->len == strlen(pulse_zaincash_states[i].name)
            && ngx_memcmp(status->data, pulse_zaincash_states[i].name,
                          status->len)
               == 0)
        {
            break;
        }
    }

    /* one that is not known leaves it open, and somebody has to know */

    event->state = pulse_zaincash_states[i].state;
    event->alarm = (pulse_zaincash_states[i].name == NULL);

    if (event->state == pulse_pay_refunded) {
        event->parent = event->payment;
    }
}


/* The inquiry tells of the whole of it. */

static ngx_int_t
pulse_zaincash_refunds_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order,
    const pulse_pay_answer_t *answer, pulse_pay_events_t *events)
{
    ngx_int_t           rc;
    pulse_pay_event_t  *event;

    event = ngx_palloc(pool, sizeof(pulse_pay_event_t));
    if (event == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_zaincash_status_read(account, pool, answer, event);

    events->event = event;
    events->n = (rc == NGX_OK && event->state == pulse_pay_refunded);

    return rc;
}


static ngx_int_t
pulse_zaincash_webhook(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_webhook_t *webhook, pulse_pay_event_t *event)
{
    ngx_int_t                rc;
    ngx_str_t                token, id, code, bar;
    ngx_pulse_json_value_t  *claims, *data;

    token = pulse_pay_text(pulse_pay_json(pool, &webhook->body),
                           "webhook_token", PULSE_ZAINCASH_JWT);

    rc = pulse_pay_jwt_read(pool, &account->signer, &token, webhook->now,
                            &claims);
    if (rc != NGX_OK) {
        return rc;
    }

    /* from here on it is theirs, whatever it says */

    ngx_memzero(event, sizeof(pulse_pay_event_t));

    data = ngx_pulse_json_get(claims, "data");
    id = pulse_pay_text(claims, "eventId", PULSE_PAY_ID_MAX);
    code = pulse_pay_text(data, "currentStatus", 40);

    event->code = code;
    event->reference = pulse_pay_text(data, "transactionId",
                                      PULSE_PAY_ID_MAX);
    event->order = pulse_pay_text(data, "merchantReferenceId",
                                  PULSE_PAY_ID_MAX);

    if (code.len == 0 || event->reference.len == 0) {
        return NGX_DONE;
    }

    event->payment = event->reference;
    pulse_pay_money(ngx_pulse_json_get(data, "amount"), "value", "currency",
                    &event->money);
    pulse_zaincash_state(&code, event);

    ngx_str_set(&bar, "|");

    /* the id of the event, or what the inquiry would say */

    return id.len ? pulse_pay_join(pool, &event->key, &id, NULL)
                  : pulse_pay_join(pool, &event->key, &event->reference, &bar,
                                   &code, NULL);
}


static ngx_int_t
pulse_zaincash_browser(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_str_t *fields, ngx_str_t *order)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *claims;

    rc = pulse_pay_jwt_browser(pool, &account->signer, fields, &claims);

    if (rc == NGX_OK) {
        *order = pulse_pay_text(ngx_pulse_json_get(claims, "data"),
                                "merchantReferenceId", PULSE_PAY_ID_MAX);
    }

    return rc;
}
