
#ifndef _NGX_PULSE_JWK_H_INCLUDED_
#define _NGX_PULSE_JWK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_json.h"


#define NGX_PULSE_JWK_HS256     1
#define NGX_PULSE_JWK_RS256     2
#define NGX_PULSE_JWK_ES256     3
#define NGX_PULSE_JWK_EDDSA     4

#define NGX_PULSE_JWK_MAX_KID   128


/*
 * One key (RFC 7517) for one algorithm: what a token says about its own
 * algorithm can only agree with the key or be refused.  The private parts
 * stay in memory of OpenSSL, the secret of HS256 in the pool.
 */

typedef struct {
    ngx_uint_t   alg;           /* NGX_PULSE_JWK_* */
    ngx_str_t    kid;           /* data is NULL: it has none */
    ngx_str_t    secret;        /* HS256 */
    EVP_PKEY    *pkey;          /* all others; freed with the pool */
    unsigned     secret_key:1;  /* can sign */
    unsigned     active:1;      /* "status": "active", ours */
} ngx_pulse_jwk_t;


/*
 * Makes a key of a JSON object.  NGX_OK; NGX_DECLINED if it is for another
 * use or of a kind that is not supported; NGX_ERROR if it is broken or too
 * weak.  "*reason" says why in both cases, a static text.
 */
ngx_int_t ngx_pulse_jwk_read(ngx_pool_t *pool, ngx_pulse_json_value_t *value,
    ngx_pulse_jwk_t *key, const char **reason);

/* The algorithm of a name (RFC 7518, 8037, 9864), 0 if there is none. */
ngx_uint_t ngx_pulse_jwk_alg(const ngx_str_t *name);

/* The name to write into a token. */
const char *ngx_pulse_jwk_alg_name(ngx_uint_t alg);

/* 1 if the signature, as in a JWS and decoded, is this key's of the input. */
ngx_uint_t ngx_pulse_jwk_verify(ngx_pulse_jwk_t *key, const ngx_str_t *input,
    const ngx_str_t *signature);

/* Appends the signature of the input, not encoded; NGX_ERROR if the key
 * cannot sign. */
ngx_int_t ngx_pulse_jwk_sign(ngx_pulse_jwk_t *key, const ngx_str_t *input,
    ngx_pulse_buf_t *signature);


#endif /* _NGX_PULSE_JWK_H_INCLUDED_ */
