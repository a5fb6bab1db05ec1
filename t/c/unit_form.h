
#ifndef _PULSE_UNIT_FORM_H_INCLUDED_
#define _PULSE_UNIT_FORM_H_INCLUDED_


#include "unit.h"


/*
 * A stream that is read twice: by a reader that knows events by their form,
 * and by one that forgets it before each event, and so reads all of them.
 */

typedef struct {
    ngx_pulse_dialect_t  *dialect;
    void                 *knows;
    void                 *forgets;
    ngx_pulse_buf_t       said;         /* of the last event */
    ngx_pulse_buf_t       expected;
    ngx_uint_t            known;        /* events with a form, so far */
} unit_form_t;


void unit_form_start(unit_form_t *f, ngx_pulse_dialect_t *dialect);
void unit_form_end(unit_form_t *f);

/* 1 if both readers say the same of an event, and return the same. */
ngx_uint_t unit_form_event(unit_form_t *f, const ngx_pulse_sse_event_t *ev);


#endif /* _PULSE_UNIT_FORM_H_INCLUDED_ */
