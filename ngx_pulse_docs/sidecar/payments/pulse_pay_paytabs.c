
#include "pulse_pay.h"
#include "pulse_query.h"


/*
 * PayTabs ("PT2"): a page of theirs, callbacks and returns that bear an HMAC
 * of the account's server key, and a query.
 */

#define PULSE_PAYTABS_LIVES  1800
#define PULSE_PAYTABS_TEST   "TST"          /* ids of test accounts */


static const char *pulse_paytabs_accept(pulse_pay_account_t *account);
static ngx_int_t pulse_paytabs_checkout(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_paytabs_body(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, ngx_str_t *body);
static ngx_int_t pulse_paytabs_call(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const char *path, pulse_pay_call_t *call);
static ngx_int_t pulse_paytabs_checkout_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_checkout_t *checkout);
static ngx_int_t pulse_paytabs_status(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_paytabs_status_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_event_t *event);
static ngx_int_t pulse_paytabs_refunds(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_paytabs_query(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const char *name, const ngx_str_t *value,
    pulse_pay_call_t *call);
static ngx_int_t pulse_paytabs_refunds_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, const pulse_pay_answer_t *answer,
    pulse_pay_events_t *events);
static ngx_int_t pulse_paytabs_webhook(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_webhook_t *webhook,
    pulse_pay_event_t *event);
static ngx_int_t pulse_paytabs_payment(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const ngx_pulse_json_value_t *v,
    pulse_pay_event_t *event);
static void pulse_paytabs_state(const pulse_pay_account_t *account,
    const ngx_pulse_json_value_t *v, pulse_pay_event_t *event);
static ngx_int_t pulse_paytabs_browser(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const ngx_str_t *fields, ngx_str_t *order);
static ngx_int_t pulse_paytabs_signed(ngx_pool_t *pool, pulse_query_t *query,
    ngx_str_t *text);
static int pulse_paytabs_compare(const void *one, const void *two);
static ngx_uint_t pulse_paytabs_is(const ngx_str_t *text, const char *word);


const pulse_pay_provider_t  pulse_pay_paytabs = {
    .name = "paytabs",
    .decimals = 2,
    .currencies = " AED BHD EGP EUR GBP IQD JOD KWD MAD OMR QAR SAR USD ",
    .minimum = 1,
    .lives = PULSE_PAYTABS_LIVES,
    .portless = 1,

    /* tests are of an account, not of a host */

    .test_hosts = " ",
    .live_hosts = " ",
    .settings = {
        { "profile_id", offsetof(pulse_pay_account_t, id), 0 },
        { "server_key", offsetof(pulse_pay_account_t, secret), 1 },
        { NULL, 0, 0 }
    },
    .accept = pulse_paytabs_accept,
    .checkout = pulse_paytabs_checkout,
    .checkout_read = pulse_paytabs_checkout_read,
    .status = pulse_paytabs_status,
    .status_read = pulse_paytabs_status_read,
    .refunds = pulse_paytabs_refunds,
    .refunds_read = pulse_paytabs_refunds_read,
    .webhook = pulse_paytabs_webhook,
    .browser = pulse_paytabs_browser
};


static const char *
pulse_paytabs_accept(pulse_pay_account_t *account)
{
    int64_t  n;

    return (ngx_pulse_json_int(&account->id, &n) == NGX_OK && n > 0)
           ? NULL : "\"profile_id\" is no number";
}


static ngx_int_t
pulse_paytabs_checkout(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    ngx_int_t  rc;

    rc = pulse_paytabs_body(account, pool, order, &call->body);

    return (rc == NGX_OK)
           ? pulse_paytabs_call(account, pool, "/payment/request", call) : rc;
}


static ngx_int_t
pulse_paytabs_body(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, ngx_str_t *body)
{
    ngx_uint_t       decimals;
    ngx_pulse_buf_t  b;

    /* what has no minor unit is sent without decimals */

    decimals = ngx_min(order->money.currency->exponent,
                       pulse_pay_paytabs.decimals);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"profile_id\":");
    ngx_pulse_buf_str(&b, &account->id);
    ngx_pulse_buf_literal(&b, ",\"tran_type\":\"sale\",\"tran_class\":"
                              "\"ecom\",\"cart_currency\":\"");
    ngx_pulse_buf_append(&b, (u_char *) order->money.currency->code, 3);
    ngx_pulse_buf_literal(&b, "\",\"cart_amount\":");

    if (pulse_money_write(&b, &order->money, decimals) != NGX_OK) {
        ngx_pulse_buf_free(&b);
        return NGX_DECLINED;
    }

    pulse_pay_member(&b, "cart_id", &order->id);
    pulse_pay_member(&b, "cart_description", &order->title);
    pulse_pay_member(&b, "callback", &order->callback);
    pulse_pay_member(&b, "return", &order->url);

    ngx_pulse_buf_literal(&b, ",\"hide_shipping\":true,\"paypage_lang\":\"");
    ngx_pulse_buf_append(&b, (u_char *) (order->arabic ? "ar" : "en"), 2);
    ngx_pulse_buf_literal(&b, "\"}");

    return pulse_pay_take(pool, &b, body);
}


static ngx_int_t
pulse_paytabs_call(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const char *path, pulse_pay_call_t *call)
{
    ngx_str_t  text;

    text.data = (u_char *) path;
    text.len = strlen(path);

    call->method = "POST";
    call->type = "application/json";
    call->authorization = account->secret;

    return pulse_pay_join(pool, &call->url, &account->base, &text, NULL);
}


static ngx_int_t
pulse_paytabs_checkout_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_checkout_t *checkout)
{
    ngx_pulse_json_value_t  *v;

    v = pulse_pay_json(pool, &answer->body);

    checkout->reference = pulse_pay_text(v, "tran_ref", PULSE_PAY_ID_MAX);
    checkout->url = pulse_pay_text(v, "redirect_url", 2000);
    ngx_str_null(&checkout->integrity);

    return (pulse_pay_id(&checkout->reference) && checkout->url.len)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
pulse_paytabs_status(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    return pulse_paytabs_query(account, pool, "tran_ref", &order->reference,
                               call);
}


/* All transactions of the cart: a refund is one of its own. */

static ngx_int_t
pulse_paytabs_refunds(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    return pulse_paytabs_query(account, pool, "cart_id", &order->id, call);
}


static ngx_int_t
pulse_paytabs_query(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const char *name, const ngx_str_t *value, pulse_pay_call_t *call)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"profile_id\":");
    ngx_pulse_buf_str(&b, &account->id);
    pulse_pay_member(&b, name, value);
    ngx_pulse_buf_char(&b, '}');

    if (pulse_pay_take(pool, &b, &call->body) != NGX_OK) {
        return NGX_ERROR;
    }

    return pulse_paytabs_call(account, pool, "/payment/query", call);
}


static ngx_int_t
pulse_paytabs_status_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_event_t *event)
{
    return pulse_paytabs_payment(account, pool,
                                 pulse_pay_json(pool, &answer->body), event);
}


/* A list, or the one transaction that there is. */

static ngx_int_t
pulse_paytabs_refunds_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order,
    const pulse_pay_answer_t *answer, pulse_pay_events_t *events)
{
    ngx_int_t                rc;
    pulse_pay_event_t        one;
    ngx_pulse_json_value_t  *v, list;

    v = pulse_pay_json_any(pool, &answer->body);

    if (v && v->type == NGX_PULSE_JSON_ARRAY) {
        return pulse_pay_given_back(account, pool, order, v,
                                    pulse_paytabs_payment, events);
    }

    rc = pulse_paytabs_payment(account, pool, v, &one);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&list, sizeof(ngx_pulse_json_value_t));
    list.children = v;

    return pulse_pay_given_back(account, pool, order, &list,
                                pulse_paytabs_payment, events);
}


static ngx_int_t
pulse_paytabs_webhook(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_webhook_t *webhook, pulse_pay_event_t *event)
{
    ngx_int_t  rc;

    /* the signature is of the bytes, so they are not parsed before */

    rc = pulse_pay_hmac(&account->secret, &webhook->body,
                        &webhook->signature);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = pulse_paytabs_payment(account, pool,
                               pulse_pay_json(pool, &webhook->body), event);

    return (rc == NGX_DECLINED) ? NGX_DONE : rc;
}


/* The object of a transaction, which queries and callbacks have in common. */

static ngx_int_t
pulse_paytabs_payment(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_pulse_json_value_t *v, pulse_pay_event_t *event)
{
    ngx_str_t                time, bar, profile;
    ngx_pulse_json_value_t  *result;

    ngx_memzero(event, sizeof(pulse_pay_event_t));

    result = ngx_pulse_json_get(v, "payment_result");
    profile = pulse_pay_text(v, "profile_id", 20);

    event->code = pulse_pay_text(result, "response_status", 1);
    event->payment = pulse_pay_text(v, "tran_ref", PULSE_PAY_ID_MAX);
    event->order = pulse_pay_text(v, "cart_id", PULSE_PAY_ID_MAX);
    event->parent = pulse_pay_text(v, "previous_tran_ref", PULSE_PAY_ID_MAX);

    if (event->code.len == 0 || event->payment.len == 0
        || (profile.len
            && (profile.len != account->id.len
                || ngx_memcmp(profile.data, account->id.data, profile.len)
                   != 0)))
    {
        return NGX_DECLINED;
    }

    /* discounts make what was taken less than the cart */

    pulse_pay_money(v, "tran_total", "tran_currency", &event->money);

    if (ngx_pulse_json_get(v, "tran_total") == NULL) {
        pulse_pay_money(v, "cart_amount", "cart_currency", &event->money);
    }

    pulse_paytabs_state(account, v, event);

    time = pulse_pay_text(result, "transaction_time", 40);
    ngx_str_set(&bar, "|");

    return pulse_pay_join(pool, &event->key, &event->payment, &bar,
                          &event->code, &bar, &time, NULL);
}


static void
pulse_paytabs_state(const pulse_pay_account_t *account,
    const ngx_pulse_json_value_t *v, pulse_pay_event_t *event)
{
    ngx_str_t  type;

    type = pulse_pay_text(v, "tran_type", 16);
    event->state = pulse_pay_pending;

    if (!pulse_paytabs_is(&type, "sale")) {

        if (event->code.data[0] != 'A') {
            return;
        }

        if (pulse_paytabs_is(&type, "refund")
            || pulse_paytabs_is(&type, "void"))
        {
            event->state = pulse_pay_refunded;
            return;
        }

        event->alarm = 1;
        return;
    }

    switch (event->code.data[0]) {

    case 'A':
        event->state = pulse_pay_paid;
        break;

    case 'H':
        event->state = pulse_pay_review;
        break;

    case 'P':
        return;

    case 'V':
        event->state = pulse_pay_refunded;
        break;

    case 'D':
    case 'E':
    case 'X':
        event->state = pulse_pay_failed;
        return;

    default:
        event->alarm = 1;
        return;
    }

    /* play money: an account that was configured for tests */

    if (account->live && event->state == pulse_pay_paid
        && event->payment.len >= sizeof(PULSE_PAYTABS_TEST) - 1
        && ngx_memcmp(event->payment.data, PULSE_PAYTABS_TEST,
                      sizeof(PULSE_PAYTABS_TEST) - 1)
           == 0)
    {
        event->state = pulse_pay_failed;
        event->alarm = 1;
    }
}


static ngx_int_t
pulse_paytabs_browser(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_str_t *fields, ngx_str_t *order)
{
    ngx_int_t         rc;
    ngx_str_t         text;
    pulse_query_t    *query;
    const ngx_str_t  *signature, *cart;

    query = ngx_palloc(pool, sizeof(pulse_query_t));
    if (query == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_query_read(pool, fields, query);
    if (rc != NGX_OK) {
        return rc;
    }

    signature = pulse_query_get(query, "signature");
    cart = pulse_query_get(query, "cartId");

    if (signature == NULL || cart == NULL) {
        return NGX_DECLINED;
    }

    if (pulse_paytabs_signed(pool, query, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    *order = *cart;

    return pulse_pay_hmac(&account->secret, &text, signature);
}


/* What PHP makes of the fields: without the signature and what is empty, for
 * which it takes "0" too, sorted by name. */

static ngx_int_t
pulse_paytabs_signed(ngx_pool_t *pool, pulse_query_t *query, ngx_str_t *text)
{
    ngx_uint_t            i;
    ngx_pulse_buf_t       b;
    pulse_query_t         sorted;
    pulse_query_field_t  *field;

    sorted = *query;

    qsort(sorted.fields, sorted.n, sizeof(pulse_query_field_t),
          pulse_paytabs_compare);

    ngx_pulse_buf_init(&b, 0);

    for (i = 0; i < sorted.n; i++) {
        field = &sorted.fields[i];

        if (pulse_paytabs_is(&field->name, "signature")
            || field->value.len == 0
            || (field->value.len == 1 && field->value.data[0] == '0'))
        {
            continue;
        }

        pulse_query_add(&b, (char *) field->name.data, &field->value);
    }

    return pulse_pay_take(pool, &b, text);
}


static int
pulse_paytabs_compare(const void *one, const void *two)
{
    const pulse_query_field_t *first = one;
    const pulse_query_field_t *second = two;

    return strcmp((char *) first->name.data, (char *) second->name.data);
}


static ngx_uint_t
pulse_paytabs_is(const ngx_str_t *text, const char *word)
{
    return text->len == strlen(word)
           && strncasecmp((char *) text->data, word, text->len) == 0;
}
