
#ifndef _NGX_PULSE_SPLICE_H_INCLUDED_
#define _NGX_PULSE_SPLICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_json.h"


#define NGX_PULSE_SPLICE_MAX  8


/*
 * A member that is to have another value, in an object that otherwise stays
 * as it was written, byte for byte.  Each name may be spelled in two ways.
 */

typedef struct {
    const char   *parent[2];        /* an object of the document, or NULL */
    const char   *key[2];
    ngx_str_t     value;            /* raw JSON; empty: nothing is done */
} ngx_pulse_splice_t;


/*
 * Appends the document, an object, with "n" members replaced, or put first
 * where they are missing.  NGX_OK, or NGX_ERROR if it is no object, has such a
 * member in both spellings or as no scalar, or without memory.
 */
ngx_int_t ngx_pulse_splice(const ngx_str_t *text,
    const ngx_pulse_splice_t *splices, ngx_uint_t n,
    const ngx_pulse_json_limits_t *limits, ngx_pulse_buf_t *b);


#endif /* _NGX_PULSE_SPLICE_H_INCLUDED_ */
