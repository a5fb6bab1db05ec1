
#include "pulse_pay_jwt.h"
#include "pulse_query.h"


/*
 * ZainCash as accounts of before the Payment Gateway API have it (v1): what is
 * asked for is a JWT (HS256, with the merchant's secret as it is written) in a
 * form.  It tells nothing by itself but to the browser, and that without an
 * amount: only an answer to /transaction/get decides.
 */

#define PULSE_ZAINCASH_V1_LIVES   14400     /* s that a request does */
#define PULSE_ZAINCASH_V1_MSISDN  13        /* digits of a wallet */


static const char *pulse_zaincash_v1_accept(pulse_pay_account_t *account);
static ngx_int_t pulse_zaincash_v1_checkout(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_zaincash_v1_call(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, const char *path,
    ngx_pulse_buf_t *claims, pulse_pay_call_t *call);
static ngx_int_t pulse_zaincash_v1_checkout_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_checkout_t *checkout);
static ngx_int_t pulse_zaincash_v1_status(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_zaincash_v1_status_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_event_t *event);
static void pulse_zaincash_v1_state(pulse_pay_event_t *event);
static ngx_int_t pulse_zaincash_v1_browser(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_str_t *fields, ngx_str_t *order);


static const struct {
    const char         *name;
    pulse_pay_state_e   state;
} pulse_zaincash_v1_states[] = {
    { "pending", pulse_pay_pending },
    { "pending_otp", pulse_pay_pending },
    { "completed", pulse_pay_paid },
    { "failed", pulse_pay_failed },
    { "cancel", pulse_pay_failed },
    { NULL, pulse_pay_uncertain }
};


const pulse_pay_provider_t  pulse_pay_zaincash_v1 = {
    .name = "zaincash_v1",
    .decimals = 0,
    .currencies = " IQD ",
    .minimum = 250,
    .lives = PULSE_ZAINCASH_V1_LIVES,
    .test_hosts = " test.zaincash.iq ",
    .live_hosts = " api.zaincash.iq ",
    .settings = {
        { "merchant_id", offsetof(pulse_pay_account_t, id), 0 },
        { "secret", offsetof(pulse_pay_account_t, secret), 1 },
        { "msisdn", offsetof(pulse_pay_account_t, options[0]), 0 },
        { "service_type", offsetof(pulse_pay_account_t, options[1]), 0 },
        { NULL, 0, 0 }
    },
    .accept = pulse_zaincash_v1_accept,
    .checkout = pulse_zaincash_v1_checkout,
    .checkout_read = pulse_zaincash_v1_checkout_read,
    .status = pulse_zaincash_v1_status,
    .status_read = pulse_zaincash_v1_status_read,
    .browser = pulse_zaincash_v1_browser
};


static const char *
pulse_zaincash_v1_accept(pulse_pay_account_t *account)
{
    size_t      i;
    ngx_str_t  *msisdn;

    if (!pulse_pay_id(&account->id)) {
        return "\"merchant_id\" is no id";
    }

    if (account->secret.len < 16) {
        return "\"secret\" is too short";
    }

    msisdn = &account->options[0];

    for (i = 0; i < msisdn->len; i++) {
        if (msisdn->data[i] < '0' || msisdn->data[i] > '9') {
            break;
        }
    }

    return (i == msisdn->len && i == PULSE_ZAINCASH_V1_MSISDN)
           ? NULL : "\"msisdn\" is not 13 digits";
}


/*
 * They append "?token=" to the address that a browser comes back to, whatever
 * is in it, so that it goes without a query: the token has our id.
 */

static ngx_int_t
pulse_zaincash_v1_checkout(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    u_char           *mark;
    ngx_str_t         url;
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"amount\":");

    if (pulse_money_write(&b, &order->money, pulse_pay_zaincash_v1.decimals)
        != NGX_OK)
    {
        ngx_pulse_buf_free(&b);
        return NGX_DECLINED;
    }

    url = order->url;
    mark = memchr(url.data, '?', url.len);

    if (mark) {
        url.len = mark - url.data;
    }

    pulse_pay_member(&b, "serviceType", &account->options[1]);
    pulse_pay_member(&b, "orderId", &order->id);
    pulse_pay_member(&b, "redirectUrl", &url);

    return pulse_zaincash_v1_call(account, pool, order, "/transaction/init",
                                  &b, call);
}


/* "claims" are begun, and are finished and freed here. */

static ngx_int_t
pulse_zaincash_v1_call(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, const char *path, ngx_pulse_buf_t *claims,
    pulse_pay_call_t *call)
{
    ngx_str_t        text, token, part;
    ngx_pulse_buf_t  b;

    pulse_pay_member(claims, "msisdn", &account->options[0]);
    ngx_pulse_buf_literal(claims, ",\"iat\":");
    ngx_pulse_buf_int(claims, order->now);
    ngx_pulse_buf_literal(claims, ",\"exp\":");
    ngx_pulse_buf_int(claims, order->now + PULSE_ZAINCASH_V1_LIVES);
    ngx_pulse_buf_char(claims, '}');

    if (pulse_pay_take(pool, claims, &text) != NGX_OK
        || pulse_pay_jwt_write(pool, &account->secret, &text, &token)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_buf_init(&b, 0);

    pulse_query_add(&b, "token", &token);
    pulse_query_add(&b, "merchantId", &account->id);
    pulse_query_text(&b, "lang", order->arabic ? "ar" : "en");

    call->method = "POST";
    call->type = "application/x-www-form-urlencoded";

    if (pulse_pay_take(pool, &b, &call->body) != NGX_OK) {
        return NGX_ERROR;
    }

    part.data = (u_char *) path;
    part.len = strlen(path);

    return pulse_pay_join(pool, &call->url, &account->base, &part, NULL);
}


static ngx_int_t
pulse_zaincash_v1_checkout_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_checkout_t *checkout)
{
    ngx_str_t                path;
    ngx_pulse_json_value_t  *v;

    v = pulse_pay_json(pool, &answer->body);

    checkout->reference = pulse_pay_text(v, "id", PULSE_PAY_ID_MAX);
    ngx_str_null(&checkout->integrity);

    if (ngx_pulse_json_get(v, "err") || !pulse_pay_id(&checkout->reference)) {
        return NGX_DECLINED;
    }

    ngx_str_set(&path, "/transaction/pay?id=");

    return pulse_pay_join(pool, &checkout->url, &account->base, &path,
                          &checkout->reference, NULL);
}


static ngx_int_t
pulse_zaincash_v1_status(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"id\":");
    ngx_pulse_buf_json(&b, order->reference.data, order->reference.len);

    return pulse_zaincash_v1_call(account, pool, order, "/transaction/get",
                                  &b, call);
}


/* All of it is dinars, so that no currency is said. */

static ngx_int_t
pulse_zaincash_v1_status_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_event_t *event)
{
    ngx_str_t                bar, amount;
    ngx_pulse_json_value_t  *v;

    ngx_memzero(event, sizeof(pulse_pay_event_t));

    v = pulse_pay_json(pool, &answer->body);

    event->code = pulse_pay_text(v, "status", 40);
    event->reference = pulse_pay_text(v, "id", PULSE_PAY_ID_MAX);
    event->order = pulse_pay_text(v, "orderId", PULSE_PAY_ID_MAX);

    if (ngx_pulse_json_get(v, "err") || event->code.len == 0
        || event->reference.len == 0 || event->order.len == 0)
    {
        return NGX_DECLINED;
    }

    event->payment = event->reference;
    amount = pulse_pay_text(v, "amount", 24);

    /* one that cannot be read leaves the currency NULL: it is compared */

    (void) pulse_money_read(&event->money, &amount, account->currency);

    pulse_zaincash_v1_state(event);

    ngx_str_set(&bar, "|");

    return pulse_pay_join(pool, &event->key, &event->reference, &bar,
                          &event->code, NULL);
}


static void
pulse_zaincash_v1_state(pulse_pay_event_t *event)
{
    ngx_uint_t  i;

    for (i = 0; pulse_zaincash_v1_states[i].name; i++) {
        if (event->code.len == strlen(pulse_zaincash_v1_states[i].name)
            && ngx_memcmp(event->code.data, pulse_zaincash_v1_states[i].name,
                          event->code.len)
               == 0)
        {
            break;
        }
    }

    /* one that is not known may have taken the money */

    event->state = pulse_zaincash_v1_states[i].state;
    event->alarm = (pulse_zaincash_v1_states[i].name == NULL);
}


static ngx_int_t
pulse_zaincash_v1_browser(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const ngx_str_t *fields, ngx_str_t *order)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *claims;

    rc = pulse_pay_jwt_browser(pool, &account->secret, fields, &claims);

    /* "i" is small in it, and capital in what is asked */

    if (rc == NGX_OK) {
        *order = pulse_pay_text(claims, "orderid", PULSE_PAY_ID_MAX);
    }

    return rc;
}
