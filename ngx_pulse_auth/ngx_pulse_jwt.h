
#ifndef _NGX_PULSE_JWT_H_INCLUDED_
#define _NGX_PULSE_JWT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_jwks.h"


#define NGX_PULSE_JWT_MAX_SIZE    8192
#define NGX_PULSE_JWT_MAX_LEEWAY  60


/* What a token has to agree with (RFC 7519, 4.1). */

typedef struct {
    ngx_str_t                issuer;
    ngx_str_t                audience;
    int64_t                  leeway;    /* s, <= MAX_LEEWAY */
} ngx_pulse_jwt_rules_t;


/* A token taken apart; all of it lives in the pool. */

typedef struct {
    ngx_pulse_json_value_t  *header;
    ngx_pulse_json_value_t  *claims;
    ngx_uint_t               alg;       /* NGX_PULSE_JWK_* */
    ngx_str_t                kid;       /* data is NULL: it has none */
    ngx_str_t                input;     /* what was signed, in the token */
    ngx_str_t                signature; /* decoded */
    ngx_str_t                issuer;    /* "iss", or empty */
    ngx_str_t                subject;   /* "sub", or empty */
    int64_t                  expires;   /* "exp" */
    int64_t                  issued;    /* "iat", 0 if it has none */
} ngx_pulse_jwt_t;


/*
 * Takes a compact JWS (RFC 7515, 7.1) with a claims set apart and refuses
 * what no key could make good.  Nothing of it is to be believed yet; only
 * the issuer may be looked at, to choose the keys.  NULL if it is well
 * formed, else the reason, a static text without any part of the token.
 */
const char *ngx_pulse_jwt_parse(ngx_pool_t *pool, const ngx_str_t *token,
    ngx_pulse_jwt_t *jwt);

/*
 * Checks signature, times, issuer and audience; "now" in seconds.  The key
 * comes from "jwks" alone: whatever key or address the token bears is never
 * used.  NULL if it is good, else the reason.
 */
const char *ngx_pulse_jwt_verify(ngx_pulse_jwt_t *jwt, ngx_pulse_jwks_t *jwks,
    const ngx_pulse_jwt_rules_t *rules, int64_t now);

/* Appends a token with these claims, a JSON object; NGX_ERROR if the key
 * cannot sign or there is no memory. */
ngx_int_t ngx_pulse_jwt_sign(ngx_pulse_jwk_t *key, const ngx_str_t *claims,
    ngx_pulse_buf_t *token);


#endif /* _NGX_PULSE_JWT_H_INCLUDED_ */
