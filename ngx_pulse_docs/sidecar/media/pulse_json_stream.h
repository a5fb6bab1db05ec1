
#ifndef _PULSE_JSON_STREAM_H_INCLUDED_
#define _PULSE_JSON_STREAM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * Reads a JSON text as it arrives, however it is cut, and holds no more of it
 * than what is asked for: strings of megabytes are passed on in pieces.  It is
 * for answers of providers, in which a few members matter; a key that stands
 * twice is told twice.
 */

#define PULSE_JSON_STREAM_DEPTH  32
#define PULSE_JSON_STREAM_PATH   256        /* longer ones are of no concern */
#define PULSE_JSON_STREAM_KEEP   8192       /* of a string that is kept */


typedef enum {
    PULSE_JSON_SKIP = 0,
    PULSE_JSON_KEEP,                /* whole, cut at its limit */
    PULSE_JSON_PASS                 /* in pieces */
} pulse_json_want_e;


/*
 * A path has keys and places in arrays with points between them, as
 * "data.0.b64_json".  Strings are decoded; a lone surrogate is U+FFFD.  Both
 * of the latter two return NGX_OK, or NGX_ERROR to end it.
 */

typedef struct {
    /* asked where a string begins */
    pulse_json_want_e  (*wanted)(void *ctx, const char *path);

    /* a string that is kept; numbers, true, false and null as written */
    ngx_int_t          (*value)(void *ctx, const char *path,
                                const ngx_str_t *text);

    /* a piece of a string that is passed; at its end one of len 0 */
    ngx_int_t          (*piece)(void *ctx, const char *path, const u_char *p,
                                size_t len);
} pulse_json_stream_pt;


typedef struct {
    size_t                       path;      /* its own, without members */
    ngx_uint_t                   index;
    unsigned                     array:1;
} pulse_json_level_t;


typedef struct {
    const pulse_json_stream_pt  *handlers;
    void                        *ctx;
    ngx_uint_t                   state;
    ngx_uint_t                   depth;
    ngx_uint_t                   digits;    /* of \u that are missing */
    uint32_t                     code;      /* of \u */
    uint32_t                     high;      /* surrogate that waits, or 0 */
    pulse_json_want_e            want;
    unsigned                     key:1;     /* the string is one */
    ngx_pulse_buf_t              token;
    char                         path[PULSE_JSON_STREAM_PATH + 1];
    pulse_json_level_t           levels[PULSE_JSON_STREAM_DEPTH];
} pulse_json_stream_t;


/* Starts; pulse_json_stream_free() ends it at any time. */
void pulse_json_stream_init(pulse_json_stream_t *s,
    const pulse_json_stream_pt *handlers, void *ctx);
void pulse_json_stream_free(pulse_json_stream_t *s);

/* NGX_OK, or NGX_ERROR: it is no JSON, too deep, there is no memory, or a
 * handler ended it. */
ngx_int_t pulse_json_stream_feed(pulse_json_stream_t *s, const u_char *p,
    size_t len);

/* NGX_OK if a whole text was read. */
ngx_int_t pulse_json_stream_end(pulse_json_stream_t *s);


#endif /* _PULSE_JSON_STREAM_H_INCLUDED_ */
