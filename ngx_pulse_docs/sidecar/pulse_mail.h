
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
    const char              *id;            /* of the row in the outbox */
    const char              *kind;
    const char              *recipient;
    const char              *locale;
    ngx_pulse_json_value_t  *payload;
} pulse_mail_t;


/*
 * Writes the message (RFC 5322, multipart/alternative, text first).  Header
 * fields take nothing with a control character in it, so an address or a
 * value cannot add one.  NULL, or why it cannot be written, a static text.
 */
const char *pulse_mail_write(pulse_mail_t *mail, ngx_pulse_buf_t *b);


#endif /* _PULSE_MAIL_H_INCLUDED_ */
