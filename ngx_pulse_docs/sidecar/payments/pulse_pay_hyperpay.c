
#include <openssl/evp.h>
#include <pthread.h>
#include <regex.h>
#include "pulse_pay.h"
#include "pulse_query.h"


/*
 * HyperPay, which is ACI's "Open Payment Platform": a widget of theirs in our
 * page (COPYandPAY), the result by the id of its checkout, and webhooks that
 * are encrypted with AES-256-GCM.
 */

#define PULSE_HYPERPAY_IV_LEN    12
#define PULSE_HYPERPAY_TAG_LEN   16
#define PULSE_HYPERPAY_BODY_MAX  (32 * 1024)    /* of what is encrypted */
#define PULSE_HYPERPAY_LIVES     1800

#define PULSE_HYPERPAY_TEST      "000.100.11"   /* successes of test mode */


typedef struct {
    const char         *expression;
    pulse_pay_state_e   state;
    unsigned            alarm:1;
} pulse_hyperpay_group_t;


static const char *pulse_hyperpay_accept(pulse_pay_account_t *account);
static ngx_int_t pulse_hyperpay_checkout(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_hyperpay_checkout_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_checkout_t *checkout);
static ngx_int_t pulse_hyperpay_status(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_hyperpay_status_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_answer_t *answer, pulse_pay_event_t *event);
static ngx_int_t pulse_hyperpay_refunds(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order, pulse_pay_call_t *call);
static ngx_int_t pulse_hyperpay_refunds_read(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, const pulse_pay_answer_t *answer,
    pulse_pay_events_t *events);
static ngx_int_t pulse_hyperpay_webhook(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_webhook_t *webhook,
    pulse_pay_event_t *event);
static ngx_int_t pulse_hyperpay_decrypt(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_webhook_t *webhook, ngx_str_t *plain);
static ngx_int_t pulse_hyperpay_open(const u_char *key, const u_char *vector,
    const u_char *tag, const ngx_str_t *cipher, ngx_str_t *plain);
static ngx_int_t pulse_hyperpay_payment(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const ngx_pulse_json_value_t *v,
    pulse_pay_event_t *event);
static void pulse_hyperpay_kind(const ngx_pulse_json_value_t *v,
    pulse_pay_event_t *event);
static void pulse_hyperpay_state(const pulse_pay_account_t *account,
    const ngx_str_t *code, pulse_pay_event_t *event);
static void pulse_hyperpay_compile(void);


/* The official groups, their expressions as they are published, but for the
 * points.  The first that matches counts: 100.400.500 is pending, and would
 * be a rejection by the group of risk. */

static const pulse_hyperpay_group_t  pulse_hyperpay_groups[] = {

    /* chargebacks */
    { "^(000\\.100\\.2)", pulse_pay_charged_back, 1 },

    /* successes, and those to be looked at by a person */
    { "^(000\\.000\\.|000\\.100\\.1|000\\.[36]|000\\.400\\.[1][12]0)",
      pulse_pay_paid, 0 },
    { "^(000\\.400\\.0[^3]|000\\.400\\.100)", pulse_pay_review, 0 },

    /* pending: for half an hour, or for days */
    { "^(000\\.200)", pulse_pay_pending, 0 },
    { "^(800\\.400\\.5|100\\.400\\.500)", pulse_pay_pending, 0 },

    /* not of the payment: throttled, nothing found, checkout forgotten */
    { "^(800\\.120\\.100|700\\.400\\.580|200\\.300\\.404)$",
      pulse_pay_pending, 0 },

    /* communication: the money may have been taken */
    { "^(900\\.[1234]00|000\\.400\\.030)", pulse_pay_uncertain, 0 },

    /* wants the holder's authentication; 3-D Secure; the bank */
    { "^(300\\.100\\.100)", pulse_pay_failed, 0 },
    { "^(000\\.400\\.[1][0-9][1-9]|000\\.400\\.2)", pulse_pay_failed, 0 },
    { "^(800\\.[17]00|800\\.800\\.[123])", pulse_pay_failed, 0 },

    /* of the system, of asynchronous workflows */
    { "^(800\\.[56]|999\\.|600\\.1|800\\.800\\.[84])", pulse_pay_failed, 0 },
    { "^(100\\.39[765])", pulse_pay_failed, 0 },

    /* risk, of others and of the merchant; validation of what was entered */
    { "^(100\\.400|100\\.38|100\\.370\\.100|100\\.370\\.11)",
      pulse_pay_failed, 0 },
    { "^(800\\.400\\.1)", pulse_pay_failed, 0 },
    { "^(800\\.400\\.2|100\\.380\\.4|100\\.390)", pulse_pay_failed, 0 },
    { "^(100\\.100\\.701|800\\.[32])", pulse_pay_failed, 0 },
    { "^(800\\.1[123456]0)", pulse_pay_failed, 0 },

    /* ours: configuration, registration, reference, format */
    { "^(600\\.[23]|500\\.[12]|800\\.121)", pulse_pay_failed, 1 },
    { "^(100\\.[13]50)", pulse_pay_failed, 1 },
    { "^(700\\.[1345][05]0)", pulse_pay_failed, 1 },
    { "^(200\\.[123]|100\\.[53][07]|800\\.900|100\\.[69]00\\.500)",
      pulse_pay_failed, 1 },

    /* address, contact, account, amount, risk management */
    { "^(100\\.800)", pulse_pay_failed, 0 },
    { "^(100\\.[97]00)", pulse_pay_failed, 0 },
    { "^(100\\.100|100\\.2[01])", pulse_pay_failed, 0 },
    { "^(100\\.55)", pulse_pay_failed, 0 },
    { "^(100\\.380\\.[23]|100\\.380\\.101)", pulse_pay_failed, 0 },

    /* a group that is not known is no success, and somebody has to know */
    { "", pulse_pay_failed, 1 }
};


#define PULSE_HYPERPAY_GROUPS                                                 \
    (sizeof(pulse_hyperpay_groups) / sizeof(pulse_hyperpay_group_t))


/* by pulse_pay_state_e: which of a checkout's payments says most of it */

static const ngx_uint_t  pulse_hyperpay_ranks[] = { 2, 3, 5, 4, 1, 0, 0 };


static regex_t         pulse_hyperpay_compiled[PULSE_HYPERPAY_GROUPS];
static regex_t         pulse_hyperpay_code;
static int             pulse_hyperpay_ready;
static pthread_once_t  pulse_hyperpay_once = PTHREAD_ONCE_INIT;


const pulse_pay_provider_t  pulse_pay_hyperpay = {
    .name = "hyperpay",
    .decimals = 2,
    .currencies = NULL,
    .minimum = 1,
    .lives = PULSE_HYPERPAY_LIVES,
    .test_hosts = " eu-test.oppwa.com test.oppwa.com ",
    .live_hosts = " eu-prod.oppwa.com oppwa.com ",
    .settings = {
        { "entity_id", offsetof(pulse_pay_account_t, id), 0 },
        { "token", offsetof(pulse_pay_account_t, secret), 1 },
        { "webhook_key", offsetof(pulse_pay_account_t, signer), 1 },
        { "brands", offsetof(pulse_pay_account_t, options[0]), 0 },
        { NULL, 0, 0 }
    },
    .accept = pulse_hyperpay_accept,
    .checkout = pulse_hyperpay_checkout,
    .checkout_read = pulse_hyperpay_checkout_read,
    .status = pulse_hyperpay_status,
    .status_read = pulse_hyperpay_status_read,
    .refunds = pulse_hyperpay_refunds,
    .refunds_read = pulse_hyperpay_refunds_read,
    .webhook = pulse_hyperpay_webhook
};


static const char *
pulse_hyperpay_accept(pulse_pay_account_t *account)
{
    if (!pulse_pay_id(&account->id)) {
        return "\"entity_id\" is no id";
    }

    if (pulse_pay_hex(account->key, PULSE_PAY_KEY_LEN, &account->signer)
        != NGX_OK)
    {
        return "\"webhook_key\" is not 64 hexadecimal digits";
    }

    return NULL;
}


static ngx_int_t
pulse_hyperpay_checkout(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    ngx_str_t        amount, path, scheme, currency;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    if (pulse_money_write(&b, &order->money, pulse_pay_hyperpay.decimals)
        != NGX_OK)
    {
        ngx_pulse_buf_free(&b);
        return NGX_DECLINED;
    }

    if (pulse_pay_take(pool, &b, &amount) != NGX_OK) {
        return NGX_ERROR;
    }

    currency.data = (u_char *) order->money.currency->code;
    currency.len = 3;

    pulse_query_add(&b, "entityId", &account->id);
    pulse_query_add(&b, "amount", &amount);
    pulse_query_add(&b, "currency", &currency);
    pulse_query_text(&b, "paymentType", "DB");
    pulse_query_add(&b, "merchantTransactionId", &order->id);
    pulse_query_add(&b, "customer.email", &order->email);
    pulse_query_text(&b, "integrity", "true");

    if (!account->live) {
        pulse_query_text(&b, "testMode", "EXTERNAL");
    }

    ngx_str_set(&path, "/v1/checkouts");
    ngx_str_set(&scheme, "Bearer ");

    call->method = "POST";
    call->type = "application/x-www-form-urlencoded; charset=UTF-8";

    if (pulse_pay_take(pool, &b, &call->body) != NGX_OK
        || pulse_pay_join(pool, &call->url, &account->base, &path, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_pay_join(pool, &call->authorization, &scheme,
                          &account->secret, NULL);
}


static ngx_int_t
pulse_hyperpay_checkout_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_checkout_t *checkout)
{
    ngx_str_t                code;
    ngx_pulse_json_value_t  *v;

    v = pulse_pay_json(pool, &answer->body);
    code = pulse_pay_text(ngx_pulse_json_get(v, "result"), "code", 11);

    checkout->reference = pulse_pay_text(v, "id", PULSE_PAY_ID_MAX);
    checkout->integrity = pulse_pay_text(v, "integrity", 256);
    ngx_str_null(&checkout->url);

    /* the id becomes a part of paths */

    return (code.len == 11 && ngx_memcmp(code.data, "000.200.100", 11) == 0
            && pulse_pay_id(&checkout->reference))
           ? NGX_OK : NGX_DECLINED;
}


/* By the id of the checkout that is stored, never by a path that a browser
 * brought; a checkout that is over is forgotten, its payments are not. */

static ngx_int_t
pulse_hyperpay_status(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    ngx_str_t        query, head, tail, scheme;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    pulse_query_add(&b, "entityId", &account->id);

    if (order->age < PULSE_HYPERPAY_LIVES && pulse_pay_id(&order->reference))
    {
        ngx_str_set(&head, "/v1/checkouts/");
        ngx_str_set(&tail, "/payment?");

    } else {
        pulse_query_add(&b, "merchantTransactionId", &order->id);
        ngx_str_set(&head, "/v1/query");
        ngx_str_set(&tail, "?");
    }

    ngx_str_set(&scheme, "Bearer ");
    ngx_str_null(&call->body);

    call->method = "GET";
    call->type = NULL;

    if (pulse_pay_take(pool, &b, &query) != NGX_OK
        || pulse_pay_join(pool, &call->authorization, &scheme,
                          &account->secret, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (head.len == sizeof("/v1/query") - 1) {
        return pulse_pay_join(pool, &call->url, &account->base, &head, &tail,
                              &query, NULL);
    }

    return pulse_pay_join(pool, &call->url, &account->base, &head,
                          &order->reference, &tail, &query, NULL);
}


/* A checkout may have had several payments: one that took money is the one
 * that counts.  What was given back is not among them. */

static ngx_int_t
pulse_hyperpay_status_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_answer_t *answer,
    pulse_pay_event_t *event)
{
    ngx_uint_t               best;
    pulse_pay_event_t        one;
    ngx_pulse_json_value_t  *v, *payments, *payment;

    v = pulse_pay_json(pool, &answer->body);
    payments = ngx_pulse_json_get(v, "payments");

    if (payments == NULL || payments->type != NGX_PULSE_JSON_ARRAY) {
        return pulse_hyperpay_payment(account, pool, v, event);
    }

    best = 0;

    for (payment = payments->children; payment; payment = payment->next) {

        switch (pulse_hyperpay_payment(account, pool, payment, &one)) {

        case NGX_OK:
            break;

        case NGX_ERROR:
            return NGX_ERROR;

        default:
            continue;
        }

        if (pulse_hyperpay_ranks[one.state] > best) {
            best = pulse_hyperpay_ranks[one.state];
            *event = one;
        }
    }

    return best ? NGX_OK : pulse_hyperpay_payment(account, pool, v, event);
}


/* By the payment, with the transactions that are linked to it. */

static ngx_int_t
pulse_hyperpay_refunds(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call)
{
    ngx_str_t        query, head, mark, scheme;
    ngx_pulse_buf_t  b;

    /* the id becomes a part of the path */

    if (!pulse_pay_id(&order->payment)) {
        return NGX_DECLINED;
    }

    ngx_pulse_buf_init(&b, 0);
    pulse_query_add(&b, "entityId", &account->id);
    pulse_query_text(&b, "includeLinkedTransactions", "true");

    ngx_str_set(&head, "/v3/query/");
    ngx_str_set(&mark, "?");
    ngx_str_set(&scheme, "Bearer ");

    call->method = "GET";

    if (pulse_pay_take(pool, &b, &query) != NGX_OK
        || pulse_pay_join(pool, &call->authorization, &scheme,
                          &account->secret, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_pay_join(pool, &call->url, &account->base, &head,
                          &order->payment, &mark, &query, NULL);
}


/* A list, by either of the names that the versions of the query have for it;
 * or the payment alone, to which nothing is linked. */

static ngx_int_t
pulse_hyperpay_refunds_read(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order,
    const pulse_pay_answer_t *answer, pulse_pay_events_t *events)
{
    ngx_int_t                rc;
    pulse_pay_event_t        one;
    ngx_pulse_json_value_t  *v, *list;

    v = pulse_pay_json(pool, &answer->body);
    list = ngx_pulse_json_get(v, "records");

    if (list == NULL) {
        list = ngx_pulse_json_get(v, "payments");
    }

    if (list && list->type == NGX_PULSE_JSON_ARRAY) {
        return pulse_pay_given_back(account, pool, order, list,
                                    pulse_hyperpay_payment, events);
    }

    rc = pulse_hyperpay_payment(account, pool, v, &one);

    if (rc != NGX_OK) {
        return rc;
    }

    events->n = 0;

    return (one.payment.len == order->payment.len
            && ngx_memcmp(one.payment.data, order->payment.data,
                          one.payment.len)
               == 0)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
pulse_hyperpay_webhook(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_webhook_t *webhook, pulse_pay_event_t *event)
{
    ngx_int_t                rc;
    ngx_str_t                plain, type;
    ngx_pulse_json_value_t  *v;

    rc = pulse_hyperpay_decrypt(account, pool, webhook, &plain);
    if (rc != NGX_OK) {
        return rc;
    }

    /* from here on it is theirs, whatever it says */

    v = pulse_pay_json(pool, &plain);
    type = pulse_pay_text(v, "type", 32);

    if (type.len != 7 || ngx_memcmp(type.data, "PAYMENT", 7) != 0) {
        return NGX_DONE;
    }

    rc = pulse_hyperpay_payment(account, pool,
                                ngx_pulse_json_get(v, "payload"), event);

    return (rc == NGX_DECLINED) ? NGX_DONE : rc;
}


static ngx_int_t
pulse_hyperpay_decrypt(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_webhook_t *webhook, ngx_str_t *plain)
{
    u_char                   vector[PULSE_HYPERPAY_IV_LEN];
    u_char                   tag[PULSE_HYPERPAY_TAG_LEN];
    ngx_str_t                digits, cipher;
    ngx_pulse_json_value_t  *v;

    /* OpenSSL would take a tag of one byte, which is easily guessed */

    if (pulse_pay_hex(vector, sizeof(vector), &webhook->vector) != NGX_OK
        || pulse_pay_hex(tag, sizeof(tag), &webhook->tag) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    digits = webhook->body;

    if (digits.len && digits.data[0] == '{') {
        v = pulse_pay_json(pool, &digits);
        digits = pulse_pay_text(v, "encryptedBody",
                                2 * PULSE_HYPERPAY_BODY_MAX);
    }

    cipher.len = digits.len / 2;

    if (cipher.len == 0 || cipher.len > PULSE_HYPERPAY_BODY_MAX) {
        return NGX_DECLINED;
    }

    cipher.data = ngx_pnalloc(pool, cipher.len);
    plain->data = ngx_pnalloc(pool, cipher.len);

    if (cipher.data == NULL || plain->data == NULL) {
        return NGX_ERROR;
    }

    if (pulse_pay_hex(cipher.data, cipher.len, &digits) != NGX_OK) {
        return NGX_DECLINED;
    }

    return pulse_hyperpay_open(account->key, vector, tag, &cipher, plain);
}


static ngx_int_t
pulse_hyperpay_open(const u_char *key, const u_char *vector,
    const u_char *tag, const ngx_str_t *cipher, ngx_str_t *plain)
{
    int              n, rest;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN,
                               PULSE_HYPERPAY_IV_LEN, NULL)
           == 1
        && EVP_DecryptInit_ex(ctx, NULL, NULL, key, vector) == 1
        && EVP_DecryptUpdate(ctx, plain->data, &n, cipher->data,
                             (int) cipher->len)
           == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
                               PULSE_HYPERPAY_TAG_LEN, (void *) tag)
           == 1
        && EVP_DecryptFinal_ex(ctx, plain->data + n, &rest) == 1)
    {
        plain->len = n + rest;
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


/* The object of a payment, which answers and webhooks have in common. */

static ngx_int_t
pulse_hyperpay_payment(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_pulse_json_value_t *v, pulse_pay_event_t *event)
{
    ngx_str_t  code, time, bar;

    ngx_memzero(event, sizeof(pulse_pay_event_t));

    code = pulse_pay_text(ngx_pulse_json_get(v, "result"), "code", 11);

    if (code.len != 11) {
        return NGX_DECLINED;
    }

    event->code = code;
    event->payment = pulse_pay_text(v, "id", PULSE_PAY_ID_MAX);
    event->order = pulse_pay_text(v, "merchantTransactionId",
                                  PULSE_PAY_ID_MAX);
    event->parent = pulse_pay_text(v, "referencedId", PULSE_PAY_ID_MAX);
    event->reference = pulse_pay_text(v, "ndc", 2 * PULSE_PAY_ID_MAX);

    while (event->reference.len
           && event->reference.data[--event->reference.len] != '_')
    {
        /* the id of the checkout comes before the last underscore */
    }

    pulse_pay_money(v, "amount", "currency", &event->money);
    pulse_hyperpay_state(account, &code, event);
    pulse_hyperpay_kind(v, event);

    /* what is told again has the same three */

    time = pulse_pay_text(v, "timestamp", 40);
    ngx_str_set(&bar, "|");

    return pulse_pay_join(pool, &event->key, &event->payment, &bar, &code,
                          &bar, &time, NULL);
}


/* Only a debit pays: refunds and reversals that succeeded give back, and what
 * is of no type, as the answer to a question that failed, says nothing. */

static void
pulse_hyperpay_kind(const ngx_pulse_json_value_t *v, pulse_pay_event_t *event)
{
    ngx_str_t  type;

    type = pulse_pay_text(v, "paymentType", 2);

    if (event->state == pulse_pay_charged_back
        || (type.len == 2 && ngx_memcmp(type.data, "DB", 2) == 0))
    {
        return;
    }

    if (event->state != pulse_pay_paid || type.len != 2) {
        event->state = pulse_pay_pending;

    } else if (ngx_memcmp(type.data, "RF", 2) == 0
               || ngx_memcmp(type.data, "RV", 2) == 0)
    {
        event->state = pulse_pay_refunded;

    } else if (ngx_memcmp(type.data, "CB", 2) == 0) {
        event->state = pulse_pay_charged_back;
        event->alarm = 1;

    } else {
        event->state = pulse_pay_pending;
        event->alarm = 1;
    }
}


static void
pulse_hyperpay_state(const pulse_pay_account_t *account,
    const ngx_str_t *code, pulse_pay_event_t *event)
{
    char        text[12];
    ngx_uint_t  i;

    (void) pthread_once(&pulse_hyperpay_once, pulse_hyperpay_compile);

    ngx_memcpy(text, code->data, 11);
    text[11] = '\0';

    event->state = pulse_pay_failed;
    event->alarm = 1;

    if (!pulse_hyperpay_ready
        || regexec(&pulse_hyperpay_code, text, 0, NULL, 0) != 0)
    {
        return;
    }

    for (i = 0;
         regexec(&pulse_hyperpay_compiled[i], text, 0, NULL, 0) != 0;
         i++)
    {
        /* the last one matches all */
    }

    event->state = pulse_hyperpay_groups[i].state;
    event->alarm = pulse_hyperpay_groups[i].alarm;

    /* play money: an account that was configured for tests, or a fraud */

    if (account->live && event->state == pulse_pay_paid
        && strncmp(text, PULSE_HYPERPAY_TEST,
                   sizeof(PULSE_HYPERPAY_TEST) - 1) == 0)
    {
        event->state = pulse_pay_failed;
        event->alarm = 1;
    }
}


static void
pulse_hyperpay_compile(void)
{
    ngx_uint_t  i;

    for (i = 0; i < PULSE_HYPERPAY_GROUPS; i++) {
        if (regcomp(&pulse_hyperpay_compiled[i],
                    pulse_hyperpay_groups[i].expression,
                    REG_EXTENDED|REG_NOSUB)
            != 0)
        {
            return;
        }
    }

    pulse_hyperpay_ready =
        (regcomp(&pulse_hyperpay_code, "^[0-9]{3}\\.[0-9]{3}\\.[0-9]{3}$",
                 REG_EXTENDED|REG_NOSUB) == 0);
}
