
#ifndef _NGX_PULSE_FORM_H_INCLUDED_
#define _NGX_PULSE_FORM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"


/*
 * What an event of a stream has around the few values that change.  Most
 * events have the same as the one before, and to read them as JSON would tell
 * nothing but those: a text, figures, a number of the event, padding.
 */

#define NGX_PULSE_FORM_LEN    512
#define NGX_PULSE_FORM_SLOTS  12

#define NGX_PULSE_FORM_TEXT   0         /* the first of its reader's values */
#define NGX_PULSE_FORM_ANY    NGX_PULSE_FORM_SLOTS      /* nobody's */


typedef struct {
    uint32_t                start;      /* in the event, without quotes */
    uint32_t                end;
    int32_t                 grown;      /* since the event before */
    uint8_t                 value;      /* of match(), or ANY */
    uint8_t                 number;
} ngx_pulse_form_slot_t;


typedef struct {
    ngx_uint_t              n;
    size_t                  len;        /* of "bytes" */
    unsigned                kept:1;
    ngx_pulse_form_slot_t   slots[NGX_PULSE_FORM_SLOTS];    /* in order */
    u_char                  bytes[NGX_PULSE_FORM_LEN];
} ngx_pulse_form_t;


/*
 * To keep a form: forget the last, add what changes, keep the rest.  One that
 * has no place for all of it, or a value that is neither a string nor a
 * number, is not kept.
 */
void ngx_pulse_form_forget(ngx_pulse_form_t *form);
void ngx_pulse_form_add(ngx_pulse_form_t *form,
    const ngx_pulse_json_value_t *v, ngx_uint_t value);
void ngx_pulse_form_keep(ngx_pulse_form_t *form, const ngx_str_t *data);

/* A string by the place of its inside. */
void ngx_pulse_form_string(ngx_pulse_form_t *form, size_t start, size_t end,
    ngx_uint_t value);

/* All numbers in "v", whatever they are. */
void ngx_pulse_form_numbers(ngx_pulse_form_t *form,
    const ngx_pulse_json_value_t *v);

/*
 * NGX_OK, and the values by their numbers, if an event has the same form; its
 * numbers are counts of at most 18 digits.  NGX_DECLINED if it is to be read,
 * and the form is forgotten.  Strings are decoded into the pool where they
 * have escapes; without one, none may have any.
 */
ngx_int_t ngx_pulse_form_match(ngx_pulse_form_t *form, ngx_pool_t *pool,
    const ngx_str_t *data, ngx_str_t *values);

/* Where in the event that matched what is that was at "at" in the one
 * before. */
size_t ngx_pulse_form_moved(const ngx_pulse_form_t *form, size_t at);


#endif /* _NGX_PULSE_FORM_H_INCLUDED_ */
