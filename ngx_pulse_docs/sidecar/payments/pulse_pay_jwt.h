
#ifndef _PULSE_PAY_JWT_H_INCLUDED_
#define _PULSE_PAY_JWT_H_INCLUDED_


#include "pulse_pay.h"


/*
 * The tokens of ZainCash: compact JWS (RFC 7515) of HS256 and nothing else.
 */

/*
 * Verifies a token; NGX_DECLINED: it is not signed with the key, or its "exp"
 * or "nbf", where it has such, do not let it count "now", in seconds; 0: they
 * do not matter.
 */
ngx_int_t pulse_pay_jwt_read(ngx_pool_t *pool, const ngx_str_t *key,
    const ngx_str_t *token, int64_t now, ngx_pulse_json_value_t **claims);

/* The claims of the token that a browser brings back among other fields, old
 * or not: it decides nothing.  As pulse_query_read(), and NGX_DECLINED: there
 * is none that is signed. */
ngx_int_t pulse_pay_jwt_browser(ngx_pool_t *pool, const ngx_str_t *key,
    const ngx_str_t *fields, ngx_pulse_json_value_t **claims);

/* Signs claims, an object of JSON; NGX_ERROR: no memory. */
ngx_int_t pulse_pay_jwt_write(ngx_pool_t *pool, const ngx_str_t *key,
    const ngx_str_t *claims, ngx_str_t *token);


#endif /* _PULSE_PAY_JWT_H_INCLUDED_ */
