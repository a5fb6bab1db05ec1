
#ifndef _PULSE_FETCH_H_INCLUDED_
#define _PULSE_FETCH_H_INCLUDED_


#include "pulse_pay.h"


#define PULSE_FETCH_ERROR  256


/*
 * Carries a request to a provider of payments and waits for the answer, ten
 * seconds in all at the most: for threads that have nothing else to do.
 * https with the host's certificate checked, http to this machine only; no
 * redirect is followed, so that the credential goes nowhere else; an answer
 * longer than PULSE_PAY_BODY_MAX is none.
 *
 * NGX_OK with an answer of the pool's, whatever its status; NGX_ERROR with
 * "error", which has no part of the request in it: whether the provider did
 * what it was asked is not known then.
 */
ngx_int_t pulse_fetch(ngx_pool_t *pool, const pulse_pay_call_t *call,
    pulse_pay_answer_t *answer, char *error);


#endif /* _PULSE_FETCH_H_INCLUDED_ */
