
#ifndef _PULSE_PAY_H_INCLUDED_
#define _PULSE_PAY_H_INCLUDED_


#include "ngx_pulse_json.h"
#include "pulse_money.h"


/*
 * Providers of payments, each behind the same few functions.  They write
 * requests and read answers; what carries these is not theirs, so that they
 * need neither a network nor nginx.  All they make lives in the pool that
 * they get; the strings of a call are NUL terminated.
 */

#define PULSE_PAY_BODY_MAX  (64 * 1024)     /* of answers and of webhooks */
#define PULSE_PAY_ID_MAX    64              /* ids of providers */
#define PULSE_PAY_KEY_LEN   32              /* bytes of AES-256 */


typedef enum {
    pulse_pay_pending = 0,      /* or the provider knows nothing of it yet */
    pulse_pay_uncertain,        /* it cannot say: to be asked again */
    pulse_pay_paid,
    pulse_pay_review,           /* paid, and held by the provider */
    pulse_pay_failed,
    pulse_pay_refunded,         /* "amount" of it */
    pulse_pay_charged_back
} pulse_pay_state_e;


/* An account with a provider, as it is configured. */

typedef struct pulse_pay_provider_s  pulse_pay_provider_t;

typedef struct {
    const pulse_pay_provider_t  *provider;
    const pulse_currency_t      *currency;  /* that it is paid in */
    ngx_str_t                    base;      /* URL without a path */
    ngx_str_t                    id;        /* entity, profile, client */
    ngx_str_t                    secret;    /* of calls */
    ngx_str_t                    signer;    /* of what it tells us */
    ngx_str_t                    options[2];
    u_char                       key[PULSE_PAY_KEY_LEN];
    unsigned                     live:1;    /* real money */
} pulse_pay_account_t;


/* What somebody is to pay, and what the provider called it. */

typedef struct {
    pulse_money_t                money;
    ngx_str_t                    id;        /* ours, a UUID */
    ngx_str_t                    reference; /* theirs, empty before checkout */
    ngx_str_t                    payment;   /* theirs, of what was paid */
    ngx_str_t                    email;
    ngx_str_t                    title;     /* ASCII */
    ngx_str_t                    url;       /* where a browser comes back */
    ngx_str_t                    callback;  /* where webhooks go */
    ngx_str_t                    bearer;    /* of providers with tokens */
    int64_t                      now;       /* seconds */
    int64_t                      age;       /* seconds since the checkout */
    unsigned                     arabic:1;
} pulse_pay_order_t;


/* A request to a provider. */

typedef struct {
    const char                  *method;
    const char                  *type;      /* of the body, NULL: no body */
    ngx_str_t                    url;
    ngx_str_t                    authorization; /* empty: none */
    ngx_str_t                    body;
} pulse_pay_call_t;


typedef struct {
    ngx_uint_t                   status;    /* of HTTP */
    ngx_str_t                    body;
} pulse_pay_answer_t;


/* A checkout that was made. */

typedef struct {
    ngx_str_t                    reference;
    ngx_str_t                    url;       /* a page of theirs, or empty: */
    ngx_str_t                    integrity; /* of their script in ours */
} pulse_pay_checkout_t;


/* What a provider says of a payment. */

typedef struct {
    pulse_pay_state_e            state;
    ngx_str_t                    key;       /* the same thing said again */
    ngx_str_t                    order;     /* our id, or empty */
    ngx_str_t                    reference; /* of the checkout, or empty */
    ngx_str_t                    payment;   /* their id of the payment */
    ngx_str_t                    parent;    /* their id of what is refunded */
    ngx_str_t                    code;
    pulse_money_t                money;     /* currency NULL: not said */
    unsigned                     alarm:1;   /* a person has to look */
} pulse_pay_event_t;


typedef struct {
    pulse_pay_event_t           *event;
    ngx_uint_t                   n;
} pulse_pay_events_t;


/* Reads the object that a provider has for a transaction; NGX_DECLINED: it is
 * none. */

typedef ngx_int_t (*pulse_pay_transaction_pt)(
    const pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_pulse_json_value_t *v, pulse_pay_event_t *event);


/* A request that claims to be from a provider; header fields that are not
 * there are empty. */

typedef struct {
    ngx_str_t                    vector;    /* X-Initialization-Vector */
    ngx_str_t                    tag;       /* X-Authentication-Tag */
    ngx_str_t                    signature; /* Signature */
    ngx_str_t                    body;
    int64_t                      now;       /* seconds */
} pulse_pay_webhook_t;


/* A setting of an account, and where it goes. */

typedef struct {
    const char                  *name;
    size_t                       offset;    /* of an ngx_str_t */
    unsigned                     secret:1;  /* never written in the file */
} pulse_pay_setting_t;


/*
 * "accept" returns NULL, or why the account is no good.  The writers return
 * NGX_OK, NGX_DECLINED for an amount that they cannot express, or NGX_ERROR
 * without memory.  "checkout_read" returns NGX_OK, or
 * NGX_DECLINED: it was not made.  "status_read" returns NGX_OK, or
 * NGX_DECLINED: the answer cannot be used.  "webhook" returns NGX_OK;
 * NGX_DONE: it is theirs, and says nothing of a payment; NGX_DECLINED: it is
 * not theirs; NGX_ERROR: no memory.  "browser" is the same of the fields that
 * a browser brings back, with the order's id; what it says decides nothing.
 * "refunds" asks what was given back of an order that was paid, and
 * "refunds_read" returns NGX_OK with that, each refund once; NGX_DECLINED: the
 * answer cannot be used; NGX_ERROR: no memory.
 * NULL are "token" and "token_read" where no token has to be asked for,
 * "webhook" and "browser" where there is no such thing with a proof, "refunds"
 * and "refunds_read" where nobody tells.
 */

struct pulse_pay_provider_s {
    const char                  *name;
    ngx_uint_t                   decimals;  /* that it can express */
    const char                  *currencies;    /* between spaces, NULL: any */
    int64_t                      minimum;   /* minor units */
    ngx_uint_t                   lives;     /* seconds that a checkout does */
    ngx_uint_t                   portless;  /* calls back no port */
    const char                  *test_hosts;    /* between spaces */
    const char                  *live_hosts;
    pulse_pay_setting_t          settings[7];

    const char                *(*accept)(pulse_pay_account_t *account);
    ngx_int_t                  (*token)(const pulse_pay_account_t *account,
                                   ngx_pool_t *pool, pulse_pay_call_t *call);
    ngx_int_t                  (*token_read)(ngx_pool_t *pool,
                                   const pulse_pay_answer_t *answer,
                                   ngx_str_t *bearer, int64_t *lives);
    ngx_int_t                  (*checkout)(const pulse_pay_account_t *account,
                                   ngx_pool_t *pool,
                                   const pulse_pay_order_t *order,
                                   pulse_pay_call_t *call);
    ngx_int_t                  (*checkout_read)(
                                   const pulse_pay_account_t *account,
                                   ngx_pool_t *pool,
                                   const pulse_pay_answer_t *answer,
                                   pulse_pay_checkout_t *checkout);
    ngx_int_t                  (*status)(const pulse_pay_account_t *account,
                                   ngx_pool_t *pool,
                                   const pulse_pay_order_t *order,
                                   pulse_pay_call_t *call);
    ngx_int_t                  (*status_read)(
                                   const pulse_pay_account_t *account,
                                   ngx_pool_t *pool,
                                   const pulse_pay_answer_t *answer,
                                   pulse_pay_event_t *event);
    ngx_int_t                  (*refunds)(const pulse_pay_account_t *account,
                                   ngx_pool_t *pool,
                                   const pulse_pay_order_t *order,
                                   pulse_pay_call_t *call);
    ngx_int_t                  (*refunds_read)(
                                   const pulse_pay_account_t *account,
                                   ngx_pool_t *pool,
                                   const pulse_pay_order_t *order,
                                   const pulse_pay_answer_t *answer,
                                   pulse_pay_events_t *events);
    ngx_int_t                  (*webhook)(const pulse_pay_account_t *account,
                                   ngx_pool_t *pool,
                                   const pulse_pay_webhook_t *webhook,
                                   pulse_pay_event_t *event);
    ngx_int_t                  (*browser)(const pulse_pay_account_t *account,
                                   ngx_pool_t *pool, const ngx_str_t *fields,
                                   ngx_str_t *order);
};


extern const pulse_pay_provider_t  pulse_pay_hyperpay;
extern const pulse_pay_provider_t  pulse_pay_paytabs;
extern const pulse_pay_provider_t  pulse_pay_zaincash;
extern const pulse_pay_provider_t  pulse_pay_zaincash_v1;


/* --- what providers have in common (pulse_pay.c) --- */

/* JSON of an answer or a webhook, within our limits, or NULL; and if it is an
 * object. */
ngx_pulse_json_value_t *pulse_pay_json_any(ngx_pool_t *pool,
    const ngx_str_t *text);
ngx_pulse_json_value_t *pulse_pay_json(ngx_pool_t *pool,
    const ngx_str_t *text);

/* Of an array of transactions those that gave back something of the order;
 * one that names another transaction as what it is of is left out. */
ngx_int_t pulse_pay_given_back(const pulse_pay_account_t *account,
    ngx_pool_t *pool, const pulse_pay_order_t *order,
    const ngx_pulse_json_value_t *list, pulse_pay_transaction_pt read,
    pulse_pay_events_t *events);

/* A string or number of an object as text; empty if there is none, or it is
 * longer than "max". */
ngx_str_t pulse_pay_text(const ngx_pulse_json_value_t *v, const char *name,
    size_t max);

/* Whether text is an id: letters, digits, "-", "_", "." and no longer than
 * PULSE_PAY_ID_MAX. */
ngx_uint_t pulse_pay_id(const ngx_str_t *text);

/* Amount and currency of an object; currency NULL: none, or, with an amount of
 * -1, one that is not ours or cannot be read. */
void pulse_pay_money(const ngx_pulse_json_value_t *v, const char *amount,
    const char *currency, pulse_money_t *money);

/* What a buffer holds as the pool's string; the buffer is empty then. */
ngx_int_t pulse_pay_take(ngx_pool_t *pool, ngx_pulse_buf_t *b,
    ngx_str_t *text);

/* The parts, the last of which is NULL, joined. */
ngx_int_t pulse_pay_join(ngx_pool_t *pool, ngx_str_t *text, ...);

/* Appends a member of JSON that is not the first, of a name that needs no
 * escape. */
void pulse_pay_member(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value);

/* Bytes of hexadecimal digits, of which there are twice "len" and nothing
 * else; NGX_DECLINED. */
ngx_int_t pulse_pay_hex(u_char *bytes, size_t len, const ngx_str_t *text);

/* NGX_OK if the digits, of either case, are the HMAC-SHA256 of the text, in
 * constant time; else NGX_DECLINED. */
ngx_int_t pulse_pay_hmac(const ngx_str_t *key, const ngx_str_t *text,
    const ngx_str_t *digits);


#endif /* _PULSE_PAY_H_INCLUDED_ */
