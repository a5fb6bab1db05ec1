
#ifndef _PULSE_SIGNATURE_H_INCLUDED_
#define _PULSE_SIGNATURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Signatures of webhooks as Standard Webhooks has them (Replicate, Svix):
 * HMAC-SHA256 of "ID.TIMESTAMP.BODY" in base64, several after each other.
 */

#define PULSE_SIGNATURE_AGE  300        /* s that one is good for */
#define PULSE_SIGNATURE_KEY  128        /* bytes of a key, at most */
#define PULSE_SIGNATURE_ID   256


typedef struct {
    ngx_str_t   id;                     /* webhook-id */
    ngx_str_t   timestamp;              /* webhook-timestamp */
    ngx_str_t   signatures;             /* webhook-signature */
    ngx_str_t   body;
} pulse_signature_t;


/* Reads "whsec_" and a key in base64; its length, or NGX_ERROR. */
ssize_t pulse_signature_key(const char *secret, u_char *key);

/* NGX_OK if one of the signatures is that of the key, and its time not far
 * from "now", in seconds; NGX_DECLINED. */
ngx_int_t pulse_signature_check(const pulse_signature_t *signature,
    const u_char *key, size_t len, int64_t now);


#endif /* _PULSE_SIGNATURE_H_INCLUDED_ */
