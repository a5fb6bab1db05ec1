
#ifndef _PULSE_S3_H_INCLUDED_
#define _PULSE_S3_H_INCLUDED_


#include "pulse_sigv4.h"


/*
 * A bucket of a server that speaks S3.  What is asked of it is asked by the
 * calling thread, which waits, and again after a failure that may pass; what
 * clients are to do there is signed for them.
 */

#define PULSE_S3_PART  (8 * 1024 * 1024)    /* what is larger goes in parts */


typedef struct {
    const char          *url;           /* "https://HOST[:PORT]/BUCKET" */
    const char          *region;
    const char          *access;
    const char          *secret;
    const char          *token;         /* of a session, or NULL */
    unsigned             virtual:1;     /* https://BUCKET.HOST/ */
} pulse_s3_conf_t;


/* What a link of a client's is signed for. */

typedef struct {
    const char          *method;        /* "GET" or "PUT" */
    ngx_str_t            object;
    const char          *type;          /* of the content */
    ngx_str_t            disposition;   /* of what is got */
    size_t               size;          /* of what is put */
    ngx_uint_t           expires;       /* s */
} pulse_s3_link_t;


typedef ngx_int_t (*pulse_s3_list_pt)(void *ctx, const ngx_str_t *object,
    time_t modified);


/* Before any thread starts; "conf" must live.  NULL, or what is wrong. */
const char *pulse_s3_open(const pulse_s3_conf_t *conf);

/* NGX_OK, or NGX_ERROR with errno: ENOENT if there is no such object, EFBIG
 * if it is no less than b->max, EIO with a line in the log. */
ngx_int_t pulse_s3_put(const char *object, const char *type,
    const u_char *data, size_t len);
ngx_int_t pulse_s3_get(const char *object, ngx_pulse_buf_t *b);
ngx_int_t pulse_s3_remove(const char *object);

/* Calls the handler for each object whose name begins so, and ends with the
 * first NGX_ERROR. */
ngx_int_t pulse_s3_list(const char *prefix, pulse_s3_list_pt handler,
    void *ctx);

/* Appends an address that needs no credential.  NGX_ERROR: no memory. */
ngx_int_t pulse_s3_link(ngx_pool_t *pool, const pulse_s3_link_t *link,
    ngx_pulse_buf_t *b);

/* The same for a form of POST: appends its address to "url", and its fields,
 * a JSON object, to "fields". */
ngx_int_t pulse_s3_form(ngx_pool_t *pool, const pulse_s3_link_t *link,
    ngx_pulse_buf_t *url, ngx_pulse_buf_t *fields);


#endif /* _PULSE_S3_H_INCLUDED_ */
