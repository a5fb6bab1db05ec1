
#ifndef _PULSE_MODERATE_H_INCLUDED_
#define _PULSE_MODERATE_H_INCLUDED_


#include "pulse_http.h"


/*
 * Whether a prompt may go to a provider, to be asked before one sees it and
 * before anything is held for it.  What is checked at a location nginx says,
 * in X-Pulse-Moderation: nothing, the rules of --moderation, OpenAI's
 * endpoint, or both.  docs/moderation.md.
 */


typedef struct {
    const char                    *rules;       /* a file, or NULL */
    const char                    *key;         /* of hashes, a file or NULL */
    const char                    *timeout;     /* seconds, or NULL */
} pulse_moderate_conf_t;


/* A picture of the request: its bytes, or a file with them. */

typedef struct {
    const char                    *type;        /* "image/png" */
    ngx_str_t                      data;        /* len 0: it is in a file */
    const char                    *path;
} pulse_moderate_image_t;


typedef struct {
    const ngx_str_t               *texts;       /* prompt, negative prompt */
    ngx_uint_t                     ntexts;
    const pulse_moderate_image_t  *images;
    ngx_uint_t                     nimages;
} pulse_moderate_input_t;


typedef enum {
    PULSE_MODERATE_PASSES = 0,
    PULSE_MODERATE_FLAGGED,                     /* 400 CONTENT_FLAGGED */
    PULSE_MODERATE_UNFIT,                       /* 400: a picture that it
                                                 * cannot read */
    PULSE_MODERATE_DOWN,                        /* 503 PROVIDER_UNAVAILABLE */
    PULSE_MODERATE_ERROR                        /* no memory */
} pulse_moderate_e;


/* Before the first thread starts; NGX_ERROR with a line in the log. */
ngx_int_t pulse_moderate_init(const pulse_moderate_conf_t *conf);

/*
 * The verdict alone, for who answers in a dialect; if it is FLAGGED,
 * {"categories":[...]} is appended to "details".  It may wait for OpenAI:
 * for worker threads, not for those of connections.  A refusal is logged
 * here, by category and hash; nginx is told of any verdict with the answer,
 * and counts it.
 */
pulse_moderate_e pulse_moderate_ask(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *details);

/* The same, answered in the studio's envelope unless it passes: NGX_OK, or
 * NGX_DECLINED with the result of the answer in "*rc". */
ngx_int_t pulse_moderate(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, enum MHD_Result *rc);


#endif /* _PULSE_MODERATE_H_INCLUDED_ */
