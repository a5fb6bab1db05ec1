
#ifndef _PULSE_MODERATE_FETCH_H_INCLUDED_
#define _PULSE_MODERATE_FETCH_H_INCLUDED_


#include "pulse_moderate.h"


/* The longest that one question may take, in seconds. */
void pulse_moderate_fetch_timeout(unsigned seconds);

/*
 * Asks OpenAI's moderation endpoint about texts and pictures, one call after
 * the other.  If it is FLAGGED its categories are appended to "names" as a
 * JSON array.  While it does not answer it is not asked for some seconds.
 */
pulse_moderate_e pulse_moderate_fetch(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *names);


#endif /* _PULSE_MODERATE_FETCH_H_INCLUDED_ */
