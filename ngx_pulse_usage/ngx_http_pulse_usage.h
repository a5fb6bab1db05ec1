
#ifndef _NGX_HTTP_PULSE_USAGE_H_INCLUDED_
#define _NGX_HTTP_PULSE_USAGE_H_INCLUDED_


#include "ngx_http_pulse.h"


#define NGX_HTTP_PULSE_TOKENS   0
#define NGX_HTTP_PULSE_IMAGES   1
#define NGX_HTTP_PULSE_VIDEOS   2


/* Called once, in the request's context, when a suspended reservation is
 * decided: rc NGX_OK with record->reservation set, or NGX_DECLINED with
 * record->code saying why. */
typedef void (*ngx_http_pulse_usage_handler_pt)(ngx_http_request_t *r,
    void *data, ngx_int_t rc);


/*
 * Reserves up to "want" of a kind for the user of the record, at least
 * "min".  Also appends the "open" record to the journal: when this says
 * NGX_OK the meter knows of the request whatever crashes next.
 *
 * NGX_OK: granted at once; NGX_AGAIN: the request waits (the caller holds
 * it), "handler" follows; NGX_DECLINED: refused, record->code is
 * QUOTA_EXCEEDED, NO_SUBSCRIPTION, FORBIDDEN or STORE_UNAVAILABLE; answer
 * with ngx_http_pulse_usage_refuse().
 */
ngx_int_t ngx_http_pulse_usage_reserve(ngx_http_request_t *r, ngx_uint_t kind,
    uint64_t want, uint64_t min, ngx_http_pulse_usage_handler_pt handler,
    void *data);

/* Sends the refusal with its details (resource, used, limit, reset_at,
 * upgrade_url); returns what ngx_http_finalize_request() takes. */
ngx_int_t ngx_http_pulse_usage_refuse(ngx_http_request_t *r);

/* Amount granted to the request, 0 if it holds no reservation. */
uint64_t ngx_http_pulse_usage_granted(ngx_http_request_t *r);

/* The id of its event, NGX_HTTP_PULSE_UUID_LEN bytes: NGX_AGAIN while it is
 * open, NGX_OK once it is charged; NGX_DECLINED if there is none. */
ngx_int_t ngx_http_pulse_usage_event(ngx_http_request_t *r, u_char *text);

/*
 * The request turns out to cost more than it reserved: takes "amount" more
 * from this node's lease, without a word to the store.  NGX_OK also if the
 * lease has less but the user's limit has room, as far as is known here: what
 * passes the reservation becomes debt then.  NGX_DECLINED: stop.
 */
ngx_int_t ngx_http_pulse_usage_extend(ngx_http_request_t *r, uint64_t amount);

/* The life of the node that reserved for the request. */
ngx_str_t ngx_http_pulse_usage_incarnation(ngx_http_request_t *r);

/*
 * The key that the request bears is claimed for its event, a provider is
 * asked next: the journal has to know, since a request with a key that ends
 * before this has cost nothing, whoever dies.  NGX_ERROR: it does not.
 */
ngx_int_t ngx_http_pulse_usage_claimed(ngx_http_request_t *r);

/* Notes what was counted so far (input + output) under the reservation of a
 * record, so that a worker killed now is settled at it.  One store, no lock:
 * call it for each event. */
void ngx_http_pulse_usage_progress(ngx_http_pulse_reservation_t *rv,
    uint64_t amount);

/*
 * Ends the reservation at "amount" of its kind: appends the "close" record
 * with model, provider, token parts and "estimated" of the record, and gives
 * the rest back.  Call it before the last byte of the answer is sent; a
 * second call does nothing.  A request that ends without it is settled at
 * its progress by its cleanup, before the log phase; at none it is canceled.
 */
void ngx_http_pulse_usage_settle(ngx_http_request_t *r, uint64_t amount);

/* Ends the reservation at nothing: no provider was reached, or it refused;
 * the ledger gets no row. */
void ngx_http_pulse_usage_cancel(ngx_http_request_t *r);

/* X-Usage-* headers of a metered answer; before the header is sent. */
ngx_int_t ngx_http_pulse_usage_headers(ngx_http_request_t *r);


#endif /* _NGX_HTTP_PULSE_USAGE_H_INCLUDED_ */
