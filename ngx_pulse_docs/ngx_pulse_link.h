
#ifndef _NGX_PULSE_LINK_H_INCLUDED_
#define _NGX_PULSE_LINK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * Links that need no credential: who has one may do what it says, until it
 * expires.  The sidecar makes them, nginx checks them, both with one key.
 */

#define NGX_PULSE_LINK_KEY_LEN        32
#define NGX_PULSE_LINK_SIGNATURE_LEN  43    /* base64url of 32 bytes */


typedef struct {
    u_char       bytes[NGX_PULSE_LINK_KEY_LEN];
} ngx_pulse_link_key_t;


typedef struct {
    const char  *method;        /* "GET" or "PUT" */
    ngx_str_t    path;          /* decoded, as "/files/ID/NAME" */
    int64_t      expires;       /* unix seconds */
    int64_t      size;          /* of what is put, -1: of no concern */
} ngx_pulse_link_t;


/* Reads a key as 64 hexadecimal digits; a line feed may follow.  NGX_ERROR if
 * it is none. */
ngx_int_t ngx_pulse_link_key(ngx_pulse_link_key_t *key, const ngx_str_t *text);

/* Writes NGX_PULSE_LINK_SIGNATURE_LEN characters: HMAC-SHA256 in base64url.
 * NGX_ERROR: no memory. */
ngx_int_t ngx_pulse_link_sign(const ngx_pulse_link_key_t *key,
    const ngx_pulse_link_t *link, u_char *signature);

/* NGX_OK if the signature is this link's, which is not asked to be in time;
 * takes as long wherever the two differ. */
ngx_int_t ngx_pulse_link_check(const ngx_pulse_link_key_t *key,
    const ngx_pulse_link_t *link, const ngx_str_t *signature);

/* Appends text with all but RFC 3986's unreserved characters escaped: good
 * for a segment of a path and for ext-value of RFC 8187. */
void ngx_pulse_link_escape(ngx_pulse_buf_t *b, const ngx_str_t *text);


#endif /* _NGX_PULSE_LINK_H_INCLUDED_ */
