
#ifndef _PULSE_WATCH_H_INCLUDED_
#define _PULSE_WATCH_H_INCLUDED_


#include "pulse_http.h"


/*
 * GET /v1/jobs/{id} as a stream of events: "progress" when it changes, the
 * status it ends with and all that is shown then, and a comment now and then
 * while nothing happens.  Whoever listens holds a connection and no thread:
 * one looks for all of them, in one statement a second.
 */


#define PULSE_WATCH_MAX   512           /* connections in all */
#define PULSE_WATCH_USER  8             /* of one person */


/* Starts the thread.  0, or an errno. */
int pulse_watch_start(const char *conninfo);

/* Ends the streams and the thread; before the daemon stops. */
void pulse_watch_stop(void);

/* Answers with a stream, or 404, 429 and 503; a handler of workers. */
enum MHD_Result pulse_watch_begin(pulse_http_request_t *r);


#endif /* _PULSE_WATCH_H_INCLUDED_ */
