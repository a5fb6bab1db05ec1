
#ifndef _PULSE_SIGV4_H_INCLUDED_
#define _PULSE_SIGV4_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * AWS Signature Version 4: a request's header, its query (a presigned URL) or
 * the policy of a form is signed with a key that never travels.
 */

#define PULSE_SIGV4_HEX        64           /* of a hash or a signature */
#define PULSE_SIGV4_DATE       16           /* 20150830T123600Z */
#define PULSE_SIGV4_UNSIGNED   "UNSIGNED-PAYLOAD"
#define PULSE_SIGV4_ALGORITHM  "AWS4-HMAC-SHA256"


typedef struct {
    ngx_str_t               access;
    ngx_str_t               secret;
    ngx_str_t               token;          /* of a session, or empty */
    ngx_str_t               region;
    ngx_str_t               service;
} pulse_sigv4_key_t;


typedef struct {
    ngx_str_t               name;           /* decoded */
    ngx_str_t               value;
} pulse_sigv4_pair_t;


typedef struct {
    ngx_pool_t             *pool;           /* of all that is made */
    const pulse_sigv4_key_t *key;
    const char             *method;
    ngx_str_t               path;           /* decoded */
    pulse_sigv4_pair_t     *query;
    ngx_uint_t              nquery;
    pulse_sigv4_pair_t     *headers;        /* all that are to be signed, with
                                               Host and without X-Amz-Date */
    ngx_uint_t              nheaders;
    ngx_str_t               payload;        /* hash, or PULSE_SIGV4_UNSIGNED */
    time_t                  time;
    unsigned                normalize:1;    /* the path; never of S3 */
    unsigned                say_payload:1;  /* as x-amz-content-sha256 */

    /* made */

    u_char                  date[PULSE_SIGV4_DATE + 1];
    ngx_str_t               canonical;
    ngx_str_t               to_sign;
    ngx_str_t               authorization;  /* of a header */
    ngx_str_t               uri;            /* of a presigned URL: path and
                                               query, escaped */
    u_char                  signature[PULSE_SIGV4_HEX + 1];
} pulse_sigv4_t;


/* SHA-256 as hexadecimal digits, NUL terminated. */
ngx_int_t pulse_sigv4_hash(const u_char *data, size_t len, u_char *hex);

/* Signs a header: the request is sent with s->authorization, X-Amz-Date:
 * s->date, X-Amz-Security-Token if there is one, and what was signed. */
ngx_int_t pulse_sigv4_sign(pulse_sigv4_t *s);

/* Signs a query, good for so many seconds: s->uri. */
ngx_int_t pulse_sigv4_presign(pulse_sigv4_t *s, ngx_uint_t expires);

/* Makes s->date of s->time; the functions above do it too. */
ngx_int_t pulse_sigv4_stamp(pulse_sigv4_t *s);

/* Signs a policy in base64 for a form: s->signature. */
ngx_int_t pulse_sigv4_policy(pulse_sigv4_t *s, const ngx_str_t *policy);

/* Appends "ACCESS/DATE/REGION/SERVICE/aws4_request"; s->date was made. */
void pulse_sigv4_credential(const pulse_sigv4_t *s, ngx_pulse_buf_t *b);

/* Appends a path with all escaped but what RFC 3986 has not reserved, and the
 * slashes between segments. */
void pulse_sigv4_escape_path(ngx_pulse_buf_t *b, const ngx_str_t *path);


#endif /* _PULSE_SIGV4_H_INCLUDED_ */
