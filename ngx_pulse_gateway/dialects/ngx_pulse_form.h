
#ifndef _NGX_PULSE_FORM_H_INCLUDED_
#define _NGX_PULSE_FORM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"


/*
 * What an event of a stream has before and after the one text in it.  Most
 * events have the same as the one before, and to read them as JSON would tell
 * nothing but their text.
 */

#define NGX_PULSE_FORM_LEN  512


typedef struct {
    u_char     bytes[NGX_PULSE_FORM_LEN];
    size_t     before;                      /* 0: there is none */
    size_t     after;
} ngx_pulse_form_t;


/* Keeps the form of an event whose text, less its quotes, is from "start" to
 * "end"; one that is too long is not kept. */
void ngx_pulse_form_keep(ngx_pulse_form_t *form, const u_char *p, size_t len,
    size_t start, size_t end);

/* The same where the text is a value of the event; none is kept if that is no
 * string, or the event does not say its type. */
void ngx_pulse_form_value(ngx_pulse_form_t *form, const ngx_str_t *data,
    const ngx_pulse_json_value_t *type, const ngx_pulse_json_value_t *text);

/*
 * NGX_OK, and the text, if an event has the same form, and a text that ends
 * no string and reads as it stands; NGX_DECLINED if it is to be read, and the
 * form is forgotten.
 */
ngx_int_t ngx_pulse_form_match(ngx_pulse_form_t *form, const ngx_str_t *data,
    ngx_str_t *text);


#endif /* _NGX_PULSE_FORM_H_INCLUDED_ */
