
#ifndef _PULSE_MAIL_H_INCLUDED_
#define _PULSE_MAIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_json.h"


/*
 * A mail of the outbox.  Its words come from two templates in the directory
 * of its locale, KIND.txt and KIND.html; the first line of the text is the
 * subject.  "{{name}}" stands for a member of the payload.
 */

typedef struct {
    const char              *templates;     /* directory with ar/ and en/ */
    const char              *from;          /* address */
    const char              *name;          /* of the sender */
    const char              *id;            /* of the message, unique */
    const char              *kind;
    const char              *recipient;
    const char              *locale;
    ngx_pulse_json_value_t  *payload;
    const char              *reason;
} pulse_mail_t;


/*
 * Writes the message (RFC 5322, multipart/alternative, text first).  Header
 * fields take nothing with a control character in it, so an address or a
 * value cannot add one.  NGX_OK; else mail->reason, a static text, says why:
 * NGX_ERROR if another time may do, NGX_DECLINED if not.
 */
ngx_int_t pulse_mail_write(pulse_mail_t *mail, ngx_pulse_buf_t *b);

/* 1 if it is a bare address in ASCII: no spaces, comments, quotes or lists. */
ngx_uint_t pulse_mail_address(const char *address);

/* 1 if there is no control character in it, of ASCII or of Unicode. */
ngx_uint_t pulse_mail_clean(const ngx_str_t *text);


#endif /* _PULSE_MAIL_H_INCLUDED_ */
