
#ifndef _PULSE_UPLOADS_H_INCLUDED_
#define _PULSE_UPLOADS_H_INCLUDED_


#include "pulse_http.h"


/*
 * Files of people: announced, put to nginx by a signed link, and looked at
 * before they leave the quarantine.
 */


/* Loads what types are known by; "clamd" is the socket of a virus scanner, or
 * NULL.  NGX_ERROR with a line in the log. */
ngx_int_t pulse_uploads_init(const char *clamd);
void pulse_uploads_done(void);


/* handlers, of workers */

enum MHD_Result pulse_uploads_announce(pulse_http_request_t *r);
enum MHD_Result pulse_uploads_complete(pulse_http_request_t *r);


#endif /* _PULSE_UPLOADS_H_INCLUDED_ */
