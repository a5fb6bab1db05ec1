
#ifndef _PULSE_PACER_H_INCLUDED_
#define _PULSE_PACER_H_INCLUDED_


#include <microhttpd.h>


/*
 * Paces streams without holding a thread: a connection that has said enough
 * for now is suspended, and one thread wakes all of them at the next tick.
 */


/* Starts the thread; "tick" in milliseconds.  0, or an errno. */
int pulse_pacer_start(unsigned tick);

/* Suspends the connection until the next tick.  Called from a response's
 * reader, which then returns 0. */
void pulse_pacer_wait(struct MHD_Connection *connection);

/* 1 once pulse_pacer_stop() was called: a reader ends its stream. */
int pulse_pacer_stopping(void);

/* Wakes all that wait, for good, and ends the thread. */
void pulse_pacer_stop(void);


#endif /* _PULSE_PACER_H_INCLUDED_ */
