
#ifndef _PULSE_LINKS_H_INCLUDED_
#define _PULSE_LINKS_H_INCLUDED_


#include "pulse_http.h"


/*
 * Links to files that need no credential and live for five minutes: to nginx,
 * which knows the key, or to the bucket.
 */


/* Appends members "download_url" and "expires_at". */
void pulse_links_download(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const u_char *id, const char *type, const ngx_str_t *name);

/* Appends the address alone as a JSON string; returns when it expires. */
time_t pulse_links_url(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const u_char *id, const char *type, const ngx_str_t *name);

/* Appends members "upload_url", "method", "expires_in", and the "headers" of a
 * PUT or, of a bucket and with "form", the "fields" of a POST. */
void pulse_links_upload(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const u_char *id, const char *type, size_t size, ngx_uint_t form);


#endif /* _PULSE_LINKS_H_INCLUDED_ */
