
#ifndef _NGX_PULSE_JWKS_H_INCLUDED_
#define _NGX_PULSE_JWKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_jwk.h"


#define NGX_PULSE_JWKS_MAX_SIZE  262144     /* bytes of a file */
#define NGX_PULSE_JWKS_MAX_KEYS  256


/* A set of keys (RFC 7517, 5). */

typedef struct {
    ngx_pulse_jwk_t  *keys;
    ngx_uint_t        nkeys;
    ngx_pulse_jwk_t  *signer;       /* of a ring, else NULL */
} ngx_pulse_jwks_t;


typedef struct {
    ngx_int_t         index;        /* of the key, -1: not of one key */
    const char       *reason;       /* static */
} ngx_pulse_jwks_error_t;


/*
 * Our own ring: every key can sign, no two have one "kid" (or none),
 * and nothing in it may be left out silently.  The one with
 * "status": "active" signs, or the first; all verify.
 */
ngx_pulse_jwks_t *ngx_pulse_jwks_ring(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_pulse_jwks_error_t *err);

/*
 * The keys of a foreign issuer: those of another kind or use are passed over
 * (RFC 7517, 5).  Either all of them are public or all are secrets shared
 * with the issuer: no text that verifies under one kind may be made with
 * what is known of the other.
 */
ngx_pulse_jwks_t *ngx_pulse_jwks_foreign(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_pulse_jwks_error_t *err);

/*
 * The one key that a token can be meant for: the one with its "kid", or,
 * where the token has none (data is NULL), the only one of its algorithm.
 * NULL if there is none, or if the key is of another algorithm.
 */
ngx_pulse_jwk_t *ngx_pulse_jwks_find(ngx_pulse_jwks_t *jwks,
    const ngx_str_t *kid, ngx_uint_t alg);


#endif /* _NGX_PULSE_JWKS_H_INCLUDED_ */
