
#ifndef _PULSE_S3_REQUEST_H_INCLUDED_
#define _PULSE_S3_REQUEST_H_INCLUDED_


#include "pulse_s3.h"


#define PULSE_S3_QUERY  5
#define PULSE_S3_ETAG   128


typedef struct {
    const char          *method;
    const char          *object;            /* "": the bucket itself */
    const char          *type;              /* of the content, or NULL */
    const u_char        *data;
    size_t               len;
    pulse_sigv4_pair_t   query[PULSE_S3_QUERY];
    ngx_uint_t           nquery;
    ngx_pulse_buf_t     *out;               /* the answer's body, or NULL */

    long                 status;
    char                 etag[PULSE_S3_ETAG];
} pulse_s3_request_t;


/* Adds an argument to the query, which must live. */
void pulse_s3_argument(pulse_s3_request_t *q, const char *name,
    const char *value);

/* NGX_OK with q->status 2xx; NGX_ERROR with errno, as pulse_s3.h says. */
ngx_int_t pulse_s3_request(pulse_s3_request_t *q);

/* What a request or a link for an object is signed with: key, Host and path,
 * in the pool.  "host" must live as long as "s". */
ngx_int_t pulse_s3_signer(ngx_pool_t *pool, const char *object,
    pulse_sigv4_t *s, pulse_sigv4_pair_t *host);

/* Appends "https://HOST". */
void pulse_s3_base(ngx_pulse_buf_t *b);

/* The bucket's name. */
ngx_str_t pulse_s3_bucket(void);


#endif /* _PULSE_S3_REQUEST_H_INCLUDED_ */
