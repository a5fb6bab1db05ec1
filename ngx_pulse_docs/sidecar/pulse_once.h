
#ifndef _PULSE_ONCE_H_INCLUDED_
#define _PULSE_ONCE_H_INCLUDED_


#include "pulse_http.h"


#define PULSE_ONCE_KEY  255             /* characters, at most */


/*
 * Idempotency-Key of documents: the first request that bears it is answered,
 * and its answer kept; the same one later gets that.  The keys are those of
 * the gateway, so that no two kinds of requests share one.
 */


/* NGX_OK if the request is the first, or bears no key; else it was answered
 * with "*rc". */
ngx_int_t pulse_once_begin(pulse_http_request_t *r, enum MHD_Result *rc);

/* Keeps a good answer; it is given even if this fails. */
void pulse_once_keep(pulse_http_request_t *r, unsigned status,
    const ngx_pulse_buf_t *body);

/* The answer is not to be kept after all. */
void pulse_once_forget(pulse_http_request_t *r);

/* Frees the key of a request whose answer was not kept. */
void pulse_once_end(pulse_http_request_t *r);

/* A key for what the request itself asks of others for the "n"-th time, the
 * same for the same request; "" if it bears none.  "key" has room for
 * PULSE_CHAT_KEY characters. */
void pulse_once_derive(pulse_http_request_t *r, ngx_uint_t n, char *key);


#endif /* _PULSE_ONCE_H_INCLUDED_ */
