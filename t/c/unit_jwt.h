
#ifndef _PULSE_UNIT_JWT_H_INCLUDED_
#define _PULSE_UNIT_JWT_H_INCLUDED_


#include "unit.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include "ngx_pulse_jwt.h"


#define JWT_NOW     1800000000
#define JWT_CLAIMS  "{\"iss\":\"studio\",\"aud\":\"web\",\"sub\":\"u\","      \
                    "\"exp\":1800000060}"

#define refused(token)  check(jwt_verify(token) != NULL)


/* A ring of one key for each algorithm, made anew in each run. */

extern ngx_pool_t             *jwt_pool;
extern ngx_pulse_jwks_t       *jwt_ring;
extern ngx_pulse_jwk_t        *jwt_hs, *jwt_rs, *jwt_es, *jwt_ed;
extern EVP_PKEY               *jwt_rsa, *jwt_ec, *jwt_ed25519;
extern ngx_pulse_jwt_rules_t   jwt_rules;

void jwt_setup(void);
void jwt_cleanup(void);

/* Texts are of jwt_pool and end with a null. */

ngx_str_t jwt_text(const char *fmt, ...);
ngx_str_t jwt_encode(const void *p, size_t len);
ngx_str_t jwt_encode_text(const char *s);

/* A number of a key in base64url, of as many bytes, or as it needs with 0. */
ngx_str_t jwt_number(EVP_PKEY *pkey, const char *param, size_t len);

/* Keys as private JWKs. */
ngx_str_t jwt_key_rsa(EVP_PKEY *pkey);
ngx_str_t jwt_key_ec(EVP_PKEY *pkey);
ngx_str_t jwt_key_ed(EVP_PKEY *pkey);

/* Tokens, signed by a key or with a signature that is given. */
ngx_str_t jwt_token(ngx_pulse_jwk_t *key, const char *header,
    const char *claims);
ngx_str_t jwt_token_bytes(ngx_pulse_jwk_t *key, const ngx_str_t *header,
    const ngx_str_t *claims);
ngx_str_t jwt_token_signed(const char *header, const char *claims,
    const void *signature, size_t len);

/* Why a token is refused, NULL if it is taken. */
const char *jwt_verify_by(ngx_pulse_jwks_t *jwks, ngx_str_t *token);
const char *jwt_verify(ngx_str_t *token);

/* The same of a good one that has these claims besides, or this header. */
const char *jwt_claim(const char *claims);
const char *jwt_header(const char *json);


#endif /* _PULSE_UNIT_JWT_H_INCLUDED_ */
