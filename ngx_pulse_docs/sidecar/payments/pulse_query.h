
#ifndef _PULSE_QUERY_H_INCLUDED_
#define _PULSE_QUERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * Fields as application/x-www-form-urlencoded has them.
 */

#define PULSE_QUERY_FIELDS  64


typedef struct {
    ngx_str_t            name;
    ngx_str_t            value;
} pulse_query_field_t;


typedef struct {
    pulse_query_field_t  fields[PULSE_QUERY_FIELDS];
    ngx_uint_t           n;
} pulse_query_t;


/* Reads a body into fields of the pool, decoded.  NGX_DECLINED: a "%" without
 * two digits, U+0000, a name twice, or too many; NGX_ERROR: no memory. */
ngx_int_t pulse_query_read(ngx_pool_t *pool, const ngx_str_t *body,
    pulse_query_t *query);

/* A field's value, NULL if it is not there. */
const ngx_str_t *pulse_query_get(const pulse_query_t *query,
    const char *name);

/* Appends "name=value", after "&" if there is something before it. */
void pulse_query_add(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value);
void pulse_query_text(ngx_pulse_buf_t *b, const char *name,
    const char *value);

/* Appends text encoded as PHP's urlencode() does: a space is "+", and all but
 * letters, digits, "-", "_" and "." is "%" and capital digits. */
void pulse_query_escape(ngx_pulse_buf_t *b, const ngx_str_t *text);

/* The value of a hexadecimal digit, -1 if it is none. */
int pulse_query_digit(u_char ch);


#endif /* _PULSE_QUERY_H_INCLUDED_ */
