
#ifndef _NGX_PULSE_JSON_STRING_H_INCLUDED_
#define _NGX_PULSE_JSON_STRING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/* The inside of JSON strings, without their quotes. */

/* Where the next quote, backslash or control character is, or "last". */
const u_char *ngx_pulse_json_plain(const u_char *p, const u_char *last);

/* The quote that ends a string, or NULL: none does, or a control character
 * is before it. */
const u_char *ngx_pulse_json_string_end(const u_char *p, const u_char *last);

/* What is wrong with the escapes up to "last", and in "*bad" where, or NULL.
 * Lone surrogates are, and U+0000. */
const char *ngx_pulse_json_escapes(const u_char *p, const u_char *last,
    const u_char **bad);

/* Appends what a string says whose escapes are right. */
void ngx_pulse_json_decode(ngx_pulse_buf_t *b, const u_char *p,
    const u_char *last);


#endif /* _NGX_PULSE_JSON_STRING_H_INCLUDED_ */
