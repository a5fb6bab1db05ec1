
#include <pthread.h>
#include <time.h>
#include "pulse_fetch.h"
#include "pulse_log.h"
#include "pulse_payments.h"


#define PULSE_PROVIDER_TOKEN  4096
#define PULSE_PROVIDER_EARLY  60            /* s before a token ends */
#define PULSE_PROVIDER_TRIES  2             /* with a token, then a new one */


/* What writes a question or a checkout. */

typedef ngx_int_t (*pulse_provider_writer_pt)(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, pulse_pay_call_t *call);


/* A token that a provider gave us, of an account by its place. */

typedef struct {
    char     text[PULSE_PROVIDER_TOKEN];
    int64_t  until;
} pulse_provider_token_t;


static ngx_int_t pulse_provider_bearer(const pulse_pay_account_t *account,
    ngx_pool_t *pool, pulse_pay_order_t *order);
static ngx_int_t pulse_provider_new_token(const pulse_pay_account_t *account,
    ngx_pool_t *pool, pulse_provider_token_t *token);
static void pulse_provider_drop_token(const pulse_pay_account_t *account,
    const ngx_str_t *bearer);
static ngx_int_t pulse_provider_call(const pulse_pay_account_t *account,
    ngx_pool_t *pool, pulse_pay_order_t *order, const char *what,
    pulse_provider_writer_pt write, pulse_pay_answer_t *answer);
static ngx_int_t pulse_provider_fetch(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const char *what, const pulse_pay_call_t *call,
    pulse_pay_answer_t *answer);
static ngx_int_t pulse_provider_status(const pulse_pay_account_t *account,
    ngx_pool_t *pool, pulse_pay_order_t *order, pulse_pay_event_t *event,
    pulse_pay_answer_t *answer);
static ngx_int_t pulse_provider_is_order(const pulse_pay_account_t *account,
    const pulse_pay_order_t *order, pulse_pay_event_t *event);
static ngx_int_t pulse_provider_given_back(pulse_store_t *store,
    ngx_pool_t *pool, const pulse_pay_account_t *account,
    pulse_pay_order_t *order);
static const pulse_pay_account_t *pulse_provider_order(PGresult *res,
    pulse_pay_order_t *order);
static ngx_str_t pulse_provider_value(PGresult *res, int column);
static ngx_int_t pulse_provider_apply(pulse_store_t *store,
    const pulse_pay_account_t *account, const pulse_pay_event_t *event,
    const char *inbox);


static pthread_mutex_t  pulse_provider_mutex = PTHREAD_MUTEX_INITIALIZER;

static pulse_provider_token_t  pulse_provider_tokens[PULSE_PAY_ACCOUNTS];


/* by pulse_pay_state_e */

static const char *const  pulse_provider_states[] = {
    "pending", "uncertain", "paid", "review", "failed", "refunded",
    "charged_back"
};

#define pulse_provider_columns                                                \
    "SELECT id, provider, live, amount, currency, reference,"                 \
    "       provider_payment,"                                                \
    "       extract(epoch FROM studio_now() - created_at)::bigint"

static const char  pulse_provider_take[] =
    pulse_provider_columns "  FROM payment_ask($1, $2)";

static const char  pulse_provider_take_paid[] =
    pulse_provider_columns "  FROM refunds_ask($1)";


ngx_int_t
pulse_provider_checkout(const pulse_pay_account_t *account, ngx_pool_t *pool,
    pulse_pay_order_t *order, pulse_pay_checkout_t *checkout)
{
    ngx_int_t           rc;
    pulse_pay_answer_t  answer;

    rc = pulse_provider_call(account, pool, order, "checkout",
                             account->provider->checkout, &answer);

    if (rc != NGX_OK) {
        return rc;
    }

    if (account->provider->checkout_read(account, pool, &answer, checkout)
        == NGX_OK)
    {
        return NGX_OK;
    }

    pulse_log(PULSE_LOG_ERR, "pulse payments: %s made no checkout: it answered"
              " %u", account->provider->name, (unsigned) answer.status);

    return (answer.status >= 500 || answer.status == 429) ? NGX_ERROR
                                                          : NGX_DECLINED;
}


/* The token of an account that has one, from here while it lives.  Threads
 * that want a new one wait for the first to get it. */

static ngx_int_t
pulse_provider_bearer(const pulse_pay_account_t *account, ngx_pool_t *pool,
    pulse_pay_order_t *order)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    pulse_provider_token_t  *token;

    if (account->provider->token == NULL) {
        return NGX_OK;
    }

    token = &pulse_provider_tokens[account - pulse_payments_conf()->accounts];
    rc = NGX_OK;

    pthread_mutex_lock(&pulse_provider_mutex);

    if (token->until <= time(NULL)) {
        rc = pulse_provider_new_token(account, pool, token);
    }

    if (rc == NGX_OK) {
        text.data = (u_char *) token->text;
        text.len = strlen(token->text);
        rc = pulse_pay_join(pool, &order->bearer, &text, NULL);
    }

    pthread_mutex_unlock(&pulse_provider_mutex);

    return rc;
}


static ngx_int_t
pulse_provider_new_token(const pulse_pay_account_t *account,
    ngx_pool_t *pool, pulse_provider_token_t *token)
{
    int64_t             lives;
    ngx_str_t           bearer;
    pulse_pay_call_t    call;
    pulse_pay_answer_t  answer;

    ngx_memzero(&call, sizeof(pulse_pay_call_t));

    if (account->provider->token(account, pool, &call) != NGX_OK
        || pulse_provider_fetch(account, pool, "token", &call, &answer)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (account->provider->token_read(pool, &answer, &bearer, &lives)
        != NGX_OK || bearer.len >= PULSE_PROVIDER_TOKEN)
    {
        pulse_log(PULSE_LOG_ERR, "pulse payments: %s gave no token: it"
                  " answered %u", account->provider->name,
                  (unsigned) answer.status);
        return NGX_ERROR;
    }

    snprintf(token->text, sizeof(token->text), "%.*s", (int) bearer.len,
             bearer.data);
    token->until = time(NULL) + lives - PULSE_PROVIDER_EARLY;

    return NGX_OK;
}


/* Another thread may have got a new one meanwhile. */

static void
pulse_provider_drop_token(const pulse_pay_account_t *account,
    const ngx_str_t *bearer)
{
    pulse_provider_token_t  *token;

    token = &pulse_provider_tokens[account - pulse_payments_conf()->accounts];

    pthread_mutex_lock(&pulse_provider_mutex);

    if (strcmp(token->text, (char *) bearer->data) == 0) {
        token->until = 0;
    }

    pthread_mutex_unlock(&pulse_provider_mutex);
}


/* A token that is refused has ended before its time: nothing was done. */

static ngx_int_t
pulse_provider_call(const pulse_pay_account_t *account, ngx_pool_t *pool,
    pulse_pay_order_t *order, const char *what,
    pulse_provider_writer_pt write, pulse_pay_answer_t *answer)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    pulse_pay_call_t  call;

    for (i = 0; i < PULSE_PROVIDER_TRIES; i++) {

        if (pulse_provider_bearer(account, pool, order) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_memzero(&call, sizeof(pulse_pay_call_t));

        rc = write(account, pool, order, &call);

        if (rc != NGX_OK) {
            return rc;
        }

        if (pulse_provider_fetch(account, pool, what, &call, answer)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (answer->status != 401 || account->provider->token == NULL) {
            break;
        }

        pulse_provider_drop_token(account, &order->bearer);
    }

    return NGX_OK;
}


static ngx_int_t
pulse_provider_fetch(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const char *what, const pulse_pay_call_t *call,
    pulse_pay_answer_t *answer)
{
    char  error[PULSE_FETCH_ERROR];

    if (pulse_fetch(pool, call, answer, error) == NGX_OK) {
        return NGX_OK;
    }

    pulse_log(PULSE_LOG_WARN, "pulse payments: %s: no answer to a %s: %s",
              account->provider->name, what, error);

    return NGX_ERROR;
}


ngx_int_t
pulse_provider_ask(pulse_store_t *store, ngx_pool_t *pool, const char *id,
    const char *user)
{
    PGresult                   *res;
    ngx_int_t                   rc;
    const char                 *params[2];
    pulse_pay_order_t           order;
    pulse_pay_event_t           event;
    pulse_pay_answer_t          answer;
    const pulse_pay_account_t  *account;

    params[0] = id;
    params[1] = user;

    res = pulse_store_query(store, pulse_provider_take, 2, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    account = PQntuples(res) ? pulse_provider_order(res, &order) : NULL;

    if (account == NULL) {
        PQclear(res);
        return NGX_OK;
    }

    rc = pulse_provider_status(account, pool, &order, &event, &answer);

    if (rc == NGX_OK && event.state > pulse_pay_uncertain) {
        rc = pulse_provider_said(store, pool, account, &event, "query",
                                 &answer.body);

    } else {

        /* money may have been taken by one that does not say */

        params[1] = (rc == NGX_OK && event.state == pulse_pay_pending)
                    ? "false" : "true";

        PQclear(res);
        res = pulse_store_query(store, "SELECT payment_waits($1, $2)", 2,
                                params);
        rc = res ? NGX_OK : NGX_ERROR;
    }

    PQclear(res);

    return rc;
}


static ngx_int_t
pulse_provider_status(const pulse_pay_account_t *account, ngx_pool_t *pool,
    pulse_pay_order_t *order, pulse_pay_event_t *event,
    pulse_pay_answer_t *answer)
{
    if (pulse_provider_call(account, pool, order, "question",
                            account->provider->status, answer)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (account->provider->status_read(account, pool, answer, event)
        != NGX_OK)
    {
        pulse_log(PULSE_LOG_WARN, "pulse payments: %s: the answer about %.*s"
                  " cannot be used: its status is %u",
                  account->provider->name, (int) order->id.len,
                  order->id.data, (unsigned) answer->status);
        return NGX_DECLINED;
    }

    return pulse_provider_is_order(account, order, event);
}


/* What was asked about is known; another one's answer is none. */

static ngx_int_t
pulse_provider_is_order(const pulse_pay_account_t *account,
    const pulse_pay_order_t *order, pulse_pay_event_t *event)
{
    if (event->order.len == 0) {
        event->order = order->id;
    }

    if (event->order.len != order->id.len
        || strncasecmp((char *) event->order.data, (char *) order->id.data,
                       order->id.len)
           != 0)
    {
        pulse_log(PULSE_LOG_ERR, "pulse payments: %s: asked about %.*s it"
                  " speaks of another", account->provider->name,
                  (int) order->id.len, order->id.data);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
pulse_provider_ask_refunds(pulse_store_t *store, ngx_pool_t *pool,
    const char *id)
{
    PGresult                   *res;
    ngx_int_t                   rc;
    const char                 *params[1];
    pulse_pay_order_t           order;
    const pulse_pay_account_t  *account;

    params[0] = id;

    res = pulse_store_query(store, pulse_provider_take_paid, 1, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    account = PQntuples(res) ? pulse_provider_order(res, &order) : NULL;

    rc = (account && account->provider->refunds)
         ? pulse_provider_given_back(store, pool, account, &order) : NGX_OK;

    PQclear(res);

    return rc;
}


/* Where there is no answer the next day's question has to do. */

static ngx_int_t
pulse_provider_given_back(pulse_store_t *store, ngx_pool_t *pool,
    const pulse_pay_account_t *account, pulse_pay_order_t *order)
{
    ngx_uint_t          i;
    pulse_pay_answer_t  answer;
    pulse_pay_events_t  events;

    if (pulse_provider_call(account, pool, order, "question of refunds",
                            account->provider->refunds, &answer)
        != NGX_OK)
    {
        return NGX_OK;
    }

    if (account->provider->refunds_read(account, pool, order, &answer,
                                        &events)
        != NGX_OK)
    {
        pulse_log(PULSE_LOG_WARN, "pulse payments: %s: the answer about"
                  " refunds of %.*s cannot be used: its status is %u",
                  account->provider->name, (int) order->id.len,
                  order->id.data, (unsigned) answer.status);
        return NGX_OK;
    }

    for (i = 0; i < events.n; i++) {

        if (pulse_provider_is_order(account, order, &events.event[i])
            == NGX_OK
            && pulse_provider_said(store, pool, account, &events.event[i],
                                   "query", &answer.body)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* NULL: its account is not configured any more, or is of the other mode. */

static const pulse_pay_account_t *
pulse_provider_order(PGresult *res, pulse_pay_order_t *order)
{
    ngx_str_t             name, currency;
    pulse_pay_account_t  *account;

    name = pulse_provider_value(res, 1);
    account = pulse_pay_conf_find(pulse_payments_conf(), &name);

    if (account == NULL
        || account->live != (PQgetvalue(res, 0, 2)[0] == 't'))
    {
        pulse_log(PULSE_LOG_WARN, "pulse payments: %s cannot be asked about:"
                  " its account is not configured", PQgetvalue(res, 0, 0));
        return NULL;
    }

    ngx_memzero(order, sizeof(pulse_pay_order_t));

    currency = pulse_provider_value(res, 4);

    order->id = pulse_provider_value(res, 0);
    order->reference = pulse_provider_value(res, 5);
    order->payment = pulse_provider_value(res, 6);
    order->money.amount = strtoll(PQgetvalue(res, 0, 3), NULL, 10);
    order->money.currency = pulse_currency_find(&currency);
    order->age = strtoll(PQgetvalue(res, 0, 7), NULL, 10);
    order->now = time(NULL);

    return account;
}


static ngx_str_t
pulse_provider_value(PGresult *res, int column)
{
    ngx_str_t  value;

    value.data = (u_char *) PQgetvalue(res, 0, column);
    value.len = PQgetlength(res, 0, column);

    return value;
}


ngx_int_t
pulse_provider_said(pulse_store_t *store, ngx_pool_t *pool,
    const pulse_pay_account_t *account, const pulse_pay_event_t *event,
    const char *source, const ngx_str_t *body)
{
    char         amount[NGX_INT64_LEN + 1];
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[13];

    snprintf(amount, sizeof(amount), "%" PRId64, event->money.amount);

    params[0] = account->provider->name;
    params[1] = account->live ? "true" : "false";
    params[2] = pulse_provider_text(pool, &event->key);
    params[3] = source;
    params[4] = pulse_provider_states[event->state];
    params[5] = pulse_provider_text(pool, &event->order);
    params[6] = pulse_provider_text(pool, &event->reference);
    params[7] = pulse_provider_text(pool, &event->payment);
    params[8] = pulse_provider_text(pool, &event->parent);
    params[9] = pulse_provider_text(pool, &event->code);
    params[10] = event->money.currency ? amount : NULL;
    params[11] = event->money.currency ? event->money.currency->code : NULL;

    /* said, but not to be understood: that is no amount of ours */

    if (event->money.currency == NULL && event->money.amount == -1) {
        params[11] = "";
    }

    params[12] = pulse_provider_text(pool, body);

    if (params[2] == NULL || params[12] == NULL) {
        snprintf(store->error, sizeof(store->error), "no memory");
        return NGX_ERROR;
    }

    res = pulse_store_query(store,
                            "SELECT payment_receive($1, $2, $3, $4, $5, $6,"
                            " $7, $8, $9, $10, $11, $12, $13)", 13, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    /* said before, and applied */

    rc = PQgetisnull(res, 0, 0)
         ? NGX_OK
         : pulse_provider_apply(store, account, event,
                                PQgetvalue(res, 0, 0));

    PQclear(res);

    return rc;
}


/* It is stored: whatever happens from here on, a job applies it. */

static ngx_int_t
pulse_provider_apply(pulse_store_t *store, const pulse_pay_account_t *account,
    const pulse_pay_event_t *event, const char *inbox)
{
    PGresult    *res;
    const char  *params[1];

    params[0] = inbox;

    res = pulse_store_query(store, "SELECT payment_apply($1)", 1, params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: message %s of %s is not"
                  " applied yet: %s", inbox, account->provider->name,
                  store->error);
        return NGX_OK;
    }

    if (PQgetisnull(res, 0, 0)) {
        pulse_log(PULSE_LOG_NOTICE, "pulse payments: message %s of %s waits",
                  inbox, account->provider->name);

    } else {
        pulse_log(event->alarm || strchr(PQgetvalue(res, 0, 0), ' ')
                  ? PULSE_LOG_WARN : PULSE_LOG_INFO,
                  "pulse payments: message %s of %s: %s, code %.*s", inbox,
                  account->provider->name, PQgetvalue(res, 0, 0),
                  (int) event->code.len, event->code.data);
    }

    PQclear(res);

    return NGX_OK;
}


char *
pulse_provider_text(ngx_pool_t *pool, const ngx_str_t *text)
{
    ngx_str_t  copy;

    return (pulse_pay_join(pool, &copy, text, NULL) == NGX_OK)
           ? (char *) copy.data : NULL;
}
