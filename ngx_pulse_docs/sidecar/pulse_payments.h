
#ifndef _PULSE_PAYMENTS_H_INCLUDED_
#define _PULSE_PAYMENTS_H_INCLUDED_


#include "pulse_http.h"
#include "pulse_jobs.h"
#include "pulse_pay_conf.h"


/*
 * Payments and subscriptions: checkouts that providers make, what they say of
 * them, and what that does, which is decided in conf/schema/0020_payments.sql.
 */


/*
 * Reads the file of --payments, checks that each provider can express each
 * price, and tells the database what is for it.  NGX_ERROR with a line in the
 * log.
 */
ngx_int_t pulse_payments_init(const char *file, const char *conninfo);

/* What was read; nothing of it changes afterwards. */
pulse_pay_conf_t *pulse_payments_conf(void);

extern const pulse_job_kind_t  pulse_payments_kinds[];


/* --- handlers (pulse_payments.c) --- */

enum MHD_Result pulse_payments_checkout(pulse_http_request_t *r);
enum MHD_Result pulse_payments_get(pulse_http_request_t *r);
enum MHD_Result pulse_payments_history(pulse_http_request_t *r);
enum MHD_Result pulse_payments_subscription(pulse_http_request_t *r);
enum MHD_Result pulse_payments_cancel(pulse_http_request_t *r);
enum MHD_Result pulse_payments_resume(pulse_http_request_t *r);
enum MHD_Result pulse_payments_change(pulse_http_request_t *r);

/* --- invoices (pulse_invoices.c) --- */

/* The invoice of a payment as PDF, or with "?kind=credit_note" the last of
 * what was returned; in "?locale=", else in the caller's language. */
enum MHD_Result pulse_invoices_get(pulse_http_request_t *r);

/* --- handlers of what providers send, and browsers from them
 * (pulse_webhooks.c) --- */

enum MHD_Result pulse_webhooks_receive(pulse_http_request_t *r);
enum MHD_Result pulse_webhooks_browser(pulse_http_request_t *r);


/* --- the provider's side (pulse_provider.c) --- */

/*
 * Has the provider make a checkout.  NGX_OK; NGX_DECLINED: it refused;
 * NGX_ERROR: it cannot be reached.  All but the first was logged.
 */
ngx_int_t pulse_provider_checkout(const pulse_pay_account_t *account,
    ngx_pool_t *pool, pulse_pay_order_t *order,
    pulse_pay_checkout_t *checkout);

/*
 * Asks about a payment and applies the answer: for its owner, or for a job
 * with "user" NULL.  NGX_OK if there is nothing to ask now either; NGX_ERROR
 * with store->error.
 */
ngx_int_t pulse_provider_ask(pulse_store_t *store, ngx_pool_t *pool,
    const char *id, const char *user);

/*
 * Asks what was given back of a payment that was paid, and applies that; as
 * pulse_provider_ask() for a job.
 */
ngx_int_t pulse_provider_ask_refunds(pulse_store_t *store, ngx_pool_t *pool,
    const char *id);

/*
 * Stores what a provider said and then applies it; "source" is "webhook" or
 * "query".  NGX_OK if it is stored, whether it could be applied now or a job
 * will; NGX_ERROR with store->error.
 */
ngx_int_t pulse_provider_said(pulse_store_t *store, ngx_pool_t *pool,
    const pulse_pay_account_t *account, const pulse_pay_event_t *event,
    const char *source, const ngx_str_t *body);

/* Text as a parameter of a statement: NUL terminated, NULL: no memory. */
char *pulse_provider_text(ngx_pool_t *pool, const ngx_str_t *text);


#endif /* _PULSE_PAYMENTS_H_INCLUDED_ */
