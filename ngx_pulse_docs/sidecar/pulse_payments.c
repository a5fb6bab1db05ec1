
#include <time.h>
#include "ngx_pulse_id.h"
#include "pulse_file.h"
#include "pulse_log.h"
#include "pulse_payments.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_PAYMENTS_POOL  4096
#define PULSE_PAYMENTS_FILE  (64 * 1024)
#define PULSE_PAYMENTS_URL   512


/* A checkout as it was asked for. */

typedef struct {
    char                        id[37];
    const char                 *plan;       /* NULL: an add-on */
    const char                 *addon;
    char                        quantity[8];
    const pulse_pay_account_t  *account;
    pulse_pay_order_t           order;
    pulse_pay_checkout_t        made;
} pulse_payments_order_t;


static ngx_int_t pulse_payments_store(pulse_store_t *store);
static ngx_int_t pulse_payments_prices(pulse_store_t *store,
    const pulse_pay_account_t *account);
static enum MHD_Result pulse_payments_read(pulse_http_request_t *r,
    pulse_payments_order_t *o);
static ngx_int_t pulse_payments_item(pulse_form_t *form,
    ngx_pulse_json_value_t *v, pulse_payments_order_t *o);
static enum MHD_Result pulse_payments_begin(pulse_http_request_t *r,
    pulse_payments_order_t *o);
static ngx_int_t pulse_payments_order(pulse_http_request_t *r,
    pulse_payments_order_t *o, PGresult *res);
static enum MHD_Result pulse_payments_open(pulse_http_request_t *r,
    pulse_payments_order_t *o);
static enum MHD_Result pulse_payments_opened(pulse_http_request_t *r,
    pulse_payments_order_t *o);
static enum MHD_Result pulse_payments_not_opened(pulse_http_request_t *r,
    pulse_payments_order_t *o, ngx_int_t rc);
static enum MHD_Result pulse_payments_act(pulse_http_request_t *r,
    const char *what, const char *plan);
static enum MHD_Result pulse_payments_call(pulse_http_request_t *r,
    const char *sql, int n, const char *const *params);
static ngx_int_t pulse_payments_ask_job(pulse_job_t *job);
static ngx_int_t pulse_payments_refunds_job(pulse_job_t *job);
static ngx_int_t pulse_payments_job(pulse_job_t *job, ngx_pool_t **pool,
    const char **id);


static pulse_pay_conf_t  pulse_payments;

const pulse_job_kind_t  pulse_payments_kinds[] = {
    { "payment_apply", PULSE_JOBS_PAYMENTS, pulse_job_sql,
      "SELECT payment_apply_job($1)" },
    { "payment_ask", PULSE_JOBS_PAYMENTS, pulse_payments_ask_job, NULL },
    { "payment_refunds", PULSE_JOBS_PAYMENTS, pulse_payments_refunds_job,
      NULL },
    { "payment_refunds_due", PULSE_JOBS_PAYMENTS, pulse_job_sql,
      "SELECT refunds_due() WHERE $1::jsonb IS NOT NULL" },
    { "subscriptions", PULSE_JOBS_PAYMENTS, pulse_job_sql,
      "SELECT subscriptions_follow() WHERE $1::jsonb IS NOT NULL" },
    { NULL, 0, NULL, NULL }
};

static const char  pulse_payments_begun[] =
    "SELECT * FROM payment_begin($1, $2, $3, $4, $5, $6, $7,"
    "                            make_interval(secs => $8), $9, $10, $11)";


pulse_pay_conf_t *
pulse_payments_conf(void)
{
    return &pulse_payments;
}


ngx_int_t
pulse_payments_init(const char *file, const char *conninfo)
{
    ngx_int_t         rc;
    ngx_str_t         text;
    pulse_store_t     store;
    ngx_pulse_buf_t   b;

    ngx_memzero(&store, sizeof(pulse_store_t));
    ngx_pulse_buf_init(&b, PULSE_PAYMENTS_FILE);

    pulse_payments.pool = ngx_create_pool(PULSE_PAYMENTS_POOL, NULL);

    if (pulse_payments.pool == NULL || pulse_file_read(file, &b) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: \"%s\": %s", file,
                  strerror(errno));
        ngx_pulse_buf_free(&b);
        return NGX_ERROR;
    }

    text.data = b.data;
    text.len = b.len;

    rc = pulse_pay_conf_read(&pulse_payments, &text);

    if (rc != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: \"%s\": %s", file,
                  pulse_payments.reason);

    } else {
        store.conninfo = conninfo;
        store.name = "pulse-sidecar";
        rc = pulse_payments_store(&store);
        pulse_store_close(&store);
    }

    ngx_pulse_buf_free(&b);

    return rc;
}


/* Prices and plans are in the database, so that it has to be there for a
 * configuration to be good. */

static ngx_int_t
pulse_payments_store(pulse_store_t *store)
{
    PGresult    *res;
    ngx_uint_t   i;
    const char  *params[3];

    params[0] = (char *) pulse_payments.prices.data;
    params[1] = (char *) pulse_payments.invoices.data;
    params[2] = (char *) pulse_payments.url.data;

    res = NULL;

    if (pulse_store_connect(store) == NGX_OK) {
        res = pulse_store_query(store,
                                "UPDATE billing SET prices = $1,"
                                " invoices = $2, url = $3", 3, params);
    }

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: Postgres: %s",
                  store->error);
        return NGX_ERROR;
    }

    PQclear(res);

    for (i = 0; i < pulse_payments.n; i++) {
        if (pulse_payments_prices(store, &pulse_payments.accounts[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_payments_prices(pulse_store_t *store,
    const pulse_pay_account_t *account)
{
    int                          i, n;
    int64_t                      amount, step;
    PGresult                    *res;
    const char                  *params[1];
    const pulse_pay_provider_t  *provider;

    provider = account->provider;
    step = pulse_money_step(account->currency, provider->decimals);
    params[0] = account->currency->code;

    res = pulse_store_query(store, "SELECT * FROM prices_in($1)", 1, params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: Postgres: %s",
                  store->error);
        return NGX_ERROR;
    }

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        amount = strtoll(PQgetvalue(res, i, 2), NULL, 10);

        if (PQgetisnull(res, i, 2) || amount % step
            || amount < provider->minimum)
        {
            pulse_log(PULSE_LOG_ERR, "pulse payments: %s cannot charge \"%s\""
                      " of the %s: %s %s", provider->name,
                      PQgetvalue(res, i, 1), PQgetvalue(res, i, 0),
                      PQgetisnull(res, i, 2) ? "it has no price in"
                                             : PQgetvalue(res, i, 2),
                      account->currency->code);
            break;
        }
    }

    PQclear(res);

    return (i == n) ? NGX_OK : NGX_ERROR;
}


enum MHD_Result
pulse_payments_checkout(pulse_http_request_t *r)
{
    enum MHD_Result          rc;
    pulse_payments_order_t  *o;

    o = ngx_pcalloc(r->pool, sizeof(pulse_payments_order_t));
    if (o == NULL) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    rc = pulse_payments_read(r, o);

    if (o->account == NULL) {
        return rc;
    }

    if (pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    return pulse_payments_begin(r, o);
}


/* o->account is NULL when something else was answered. */

static enum MHD_Result
pulse_payments_read(pulse_http_request_t *r, pulse_payments_order_t *o)
{
    ngx_int_t                rc;
    ngx_str_t                provider;
    pulse_form_t            *form;
    enum MHD_Result          answered;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_read(r, &form, &answered);
    if (v == NULL) {
        return answered;
    }

    provider = pulse_form_text(form, v, "provider", 20, PULSE_FORM_REQUIRED);
    rc = pulse_payments_item(form, v, o);

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    if (rc != NGX_OK) {
        return pulse_reply_field(r, "/plan_id", "المطلوب plan_id أو addon،"
                                 " أحدهما فقط.",
                                 "either this or /addon is wanted");
    }

    o->account = pulse_pay_conf_find(&pulse_payments, &provider);

    if (o->account == NULL) {
        return pulse_reply_field(r, "/provider", "لا يوجد مزوّد دفع بهذا"
                                 " الاسم.", "is no provider of payments here");
    }

    return MHD_YES;
}


static ngx_int_t
pulse_payments_item(pulse_form_t *form, ngx_pulse_json_value_t *v,
    pulse_payments_order_t *o)
{
    ngx_str_t                plan, type;
    ngx_int_t                quantity;
    ngx_pulse_json_value_t  *addon;

    plan = pulse_form_text(form, v, "plan_id", 40, 0);
    addon = pulse_form_member(form, v, "addon", NGX_PULSE_JSON_OBJECT, 0);

    quantity = 1;

    if (addon) {
        type = pulse_form_text(form, addon, "type", 40, PULSE_FORM_REQUIRED);
        quantity = pulse_form_integer(form, addon, "quantity", 1, 100, 1);

        if (form->rc != NGX_OK) {
            return NGX_OK;
        }

        o->addon = pulse_provider_text(form->pool, &type);
    }

    if (plan.len) {
        o->plan = pulse_provider_text(form->pool, &plan);
    }

    snprintf(o->quantity, sizeof(o->quantity), "%d", (int) quantity);

    return ((o->plan == NULL) != (o->addon == NULL)) ? NGX_OK : NGX_DECLINED;
}


/* The row comes first: whatever happens to the checkout, what is paid by it
 * is found here. */

static enum MHD_Result
pulse_payments_begin(pulse_http_request_t *r, pulse_payments_order_t *o)
{
    char                         step[NGX_INT64_LEN], least[NGX_INT64_LEN];
    char                         lives[NGX_INT64_LEN];
    PGresult                    *res;
    const char                  *params[11];
    enum MHD_Result              rc;
    const pulse_pay_provider_t  *provider;

    provider = o->account->provider;

    ngx_pulse_uuid7((u_char *) o->id);

    snprintf(step, sizeof(step), "%d",
             (int) pulse_money_step(o->account->currency,
                                    provider->decimals));
    snprintf(least, sizeof(least), "%d", (int) provider->minimum);
    snprintf(lives, sizeof(lives), "%d", (int) provider->lives);

    params[0] = o->id;
    params[1] = (char *) r->user.data;
    params[2] = provider->name;
    params[3] = o->account->live ? "true" : "false";
    params[4] = o->account->currency->code;
    params[5] = step;
    params[6] = least;
    params[7] = lives;
    params[8] = o->plan;
    params[9] = o->addon;
    params[10] = o->quantity;

    res = pulse_store_query(r->store, pulse_payments_begun, 11, params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: a checkout was not begun:"
                  " %s", r->store->error);
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    if (!PQgetisnull(res, 0, 1)) {
        rc = pulse_reply_row(r, res);

    } else if (pulse_payments_order(r, o, res) != NGX_OK) {
        rc = pulse_payments_not_opened(r, o, NGX_ERROR);

    } else {
        rc = pulse_payments_open(r, o);
    }

    PQclear(res);

    return rc;
}


static ngx_int_t
pulse_payments_order(pulse_http_request_t *r, pulse_payments_order_t *o,
    PGresult *res)
{
    int                 n;
    char                text[PULSE_PAYMENTS_URL];
    ngx_str_t           part;
    const char         *name;
    pulse_pay_order_t  *order;

    order = &o->order;
    name = o->account->provider->name;

    order->id.data = (u_char *) o->id;
    order->id.len = 36;
    order->money.amount = strtoll(PQgetvalue(res, 0, 3), NULL, 10);
    order->money.currency = o->account->currency;
    order->email.data = (u_char *) PQgetvalue(res, 0, 4);
    order->email.len = PQgetlength(res, 0, 4);
    order->now = time(NULL);
    order->arabic = r->arabic;

    ngx_str_set(&order->title, "Pulse AI Studio");

    part.data = (u_char *) text;

    n = snprintf(text, sizeof(text), "%s/v1/payments/return/%s?payment=%s",
                 pulse_payments.url.data, name, o->id);
    part.len = n;

    if (pulse_pay_join(r->pool, &order->url, &part, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    n = snprintf(text, sizeof(text), "%s/v1/payments/webhook/%s",
                 pulse_payments.url.data, name);
    part.len = n;

    return pulse_pay_join(r->pool, &order->callback, &part, NULL);
}


static enum MHD_Result
pulse_payments_open(pulse_http_request_t *r, pulse_payments_order_t *o)
{
    ngx_int_t  rc;

    rc = pulse_provider_checkout(o->account, r->pool, &o->order, &o->made);

    return (rc == NGX_OK) ? pulse_payments_opened(r, o)
                          : pulse_payments_not_opened(r, o, rc);
}


/* A provider without a page of its own has a script for ours. */

static enum MHD_Result
pulse_payments_opened(pulse_http_request_t *r, pulse_payments_order_t *o)
{
    char         url[PULSE_PAYMENTS_URL], script[PULSE_PAYMENTS_URL];
    const char  *params[6];

    params[0] = o->id;
    params[1] = pulse_provider_text(r->pool, &o->made.reference);
    params[2] = pulse_provider_text(r->pool, &o->made.url);
    params[3] = NULL;
    params[4] = NULL;
    params[5] = NULL;

    if (o->made.url.len == 0) {
        snprintf(url, sizeof(url), "%s/pay?payment=%s",
                 pulse_payments.url.data, o->id);
        snprintf(script, sizeof(script),
                 "%s/v1/paymentWidgets.js?checkoutId=%s",
                 o->account->base.data, params[1] ? params[1] : "");

        params[2] = url;
        params[3] = script;
        params[4] = o->made.integrity.len
                    ? pulse_provider_text(r->pool, &o->made.integrity) : NULL;
        params[5] = pulse_provider_text(r->pool, &o->account->options[0]);
    }

    return pulse_payments_call(r, "SELECT * FROM payment_opened($1, $2, $3,"
                                  " $4, $5, $6)", 6, params);
}


static enum MHD_Result
pulse_payments_not_opened(pulse_http_request_t *r, pulse_payments_order_t *o,
    ngx_int_t rc)
{
    const char  *params[2];

    params[0] = o->id;
    params[1] = (rc == NGX_ERROR) ? "no answer" : "refused";

    PQclear(pulse_store_query(r->store, "SELECT payment_not_opened($1, $2)",
                              2, params));

    return pulse_reply_error(r, (rc == NGX_ERROR) ? pulse_reply_payments
                                                  : pulse_reply_checkout,
                             NULL);
}


/* The provider is asked first, but not often: what is known is answered,
 * whatever comes of it. */

enum MHD_Result
pulse_payments_get(pulse_http_request_t *r)
{
    char         id[37];
    const char  *params[2];

    if (pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    snprintf(id, sizeof(id), "%.36s", r->id.data);

    if (pulse_provider_ask(r->store, r->pool, id, (char *) r->user.data)
        != NGX_OK)
    {
        pulse_log(PULSE_LOG_ERR, "pulse payments: %s cannot be asked about:"
                  " %s", id, r->store->error);

        if (pulse_worker_store(r) != NGX_OK) {
            return pulse_reply_error(r, pulse_reply_store, NULL);
        }
    }

    params[0] = (char *) r->user.data;
    params[1] = id;

    return pulse_payments_call(r, "SELECT * FROM payment_get($1, $2)", 2,
                               params);
}


enum MHD_Result
pulse_payments_history(pulse_http_request_t *r)
{
    ngx_str_t    cursor;
    const char  *params[2];

    cursor = pulse_http_arg(r, "cursor");

    if (cursor.data && !ngx_pulse_uuid_valid(&cursor)) {
        return pulse_reply_field(r, "/cursor", "ليس مؤشرًا من هذه القائمة.",
                                 "is no cursor of this list");
    }

    params[0] = (char *) r->user.data;
    params[1] = (char *) cursor.data;

    return pulse_payments_call(r, "SELECT * FROM payment_history($1, $2)", 2,
                               params);
}


enum MHD_Result
pulse_payments_subscription(pulse_http_request_t *r)
{
    const char  *params[1];

    params[0] = (char *) r->user.data;

    return pulse_payments_call(r, "SELECT * FROM subscription_get($1)", 1,
                               params);
}


enum MHD_Result
pulse_payments_cancel(pulse_http_request_t *r)
{
    return pulse_payments_act(r, "cancel", NULL);
}


enum MHD_Result
pulse_payments_resume(pulse_http_request_t *r)
{
    return pulse_payments_act(r, "resume", NULL);
}


enum MHD_Result
pulse_payments_change(pulse_http_request_t *r)
{
    ngx_str_t                plan;
    pulse_form_t            *form;
    enum MHD_Result          rc;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_read(r, &form, &rc);
    if (v == NULL) {
        return rc;
    }

    plan = pulse_form_text(form, v, "plan_id", 40, PULSE_FORM_REQUIRED);

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    return pulse_payments_act(r, "change",
                              pulse_provider_text(r->pool, &plan));
}


static enum MHD_Result
pulse_payments_act(pulse_http_request_t *r, const char *what,
    const char *plan)
{
    const char  *params[3];

    params[0] = (char *) r->user.data;
    params[1] = what;
    params[2] = plan;

    return pulse_payments_call(r, "SELECT * FROM subscription_act($1, $2,"
                                  " $3)", 3, params);
}


static enum MHD_Result
pulse_payments_call(pulse_http_request_t *r, const char *sql, int n,
    const char *const *params)
{
    PGresult         *res;
    enum MHD_Result   rc;

    if (pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    res = pulse_store_query(r->store, sql, n, params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: a statement failed: %s",
                  r->store->error);
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    rc = pulse_reply_row(r, res);

    PQclear(res);

    return rc;
}


/* Asks, and has itself come back when it is time again. */

static ngx_int_t
pulse_payments_ask_job(pulse_job_t *job)
{
    PGresult    *res;
    ngx_int_t    rc;
    ngx_pool_t  *pool;
    const char  *params[1];

    rc = pulse_payments_job(job, &pool, &params[0]);

    if (rc == NGX_OK) {
        rc = pulse_provider_ask(job->store, pool, params[0], NULL);
    }

    if (rc == NGX_OK) {
        rc = pulse_job_begin(job);
    }

    if (rc == NGX_OK) {
        res = pulse_store_query(job->store, "SELECT payment_ask_later($1)", 1,
                                params);
        rc = res ? NGX_OK : NGX_ERROR;
        PQclear(res);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return rc;
}


static ngx_int_t
pulse_payments_refunds_job(pulse_job_t *job)
{
    ngx_int_t    rc;
    ngx_pool_t  *pool;
    const char  *id;

    rc = pulse_payments_job(job, &pool, &id);

    if (rc == NGX_OK) {
        rc = pulse_provider_ask_refunds(job->store, pool, id);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    return rc;
}


/* A pool for a job, NULL without memory, and the payment that it is about. */

static ngx_int_t
pulse_payments_job(pulse_job_t *job, ngx_pool_t **pool, const char **id)
{
    ngx_str_t  text;

    *pool = ngx_create_pool(PULSE_PAYMENTS_POOL, NULL);
    if (*pool == NULL) {
        snprintf(job->error, sizeof(job->error), "no memory");
        return NGX_AGAIN;
    }

    text.data = (u_char *) job->payload;
    text.len = strlen(job->payload);
    text = pulse_pay_text(pulse_pay_json(*pool, &text), "payment", 36);

    if (!ngx_pulse_uuid_valid(&text)) {
        snprintf(job->error, sizeof(job->error), "it names no payment");
        return NGX_DECLINED;
    }

    *id = pulse_provider_text(*pool, &text);

    return *id ? NGX_OK : NGX_AGAIN;
}
