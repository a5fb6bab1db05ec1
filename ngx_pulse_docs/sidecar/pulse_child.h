
#ifndef _PULSE_CHILD_H_INCLUDED_
#define _PULSE_CHILD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


#define PULSE_CHILD_FDS   64
#define PULSE_CHILD_SAID  16384         /* bytes of what it says of errors */


/*
 * A program that reads what strangers sent: a process with limits of its own,
 * with no environment, no network, nothing inherited but the descriptors
 * named here, and no way to more rights than it has.
 */

typedef struct {
    const char *const  *argv;           /* ends with NULL; no shell */
    int                 in;             /* its 0, -1: nothing */
    const int          *fds;            /* its 3, 4, ... */
    ngx_uint_t          nfds;           /* PULSE_CHILD_FDS at most */
    size_t              memory;         /* bytes of addresses */
    size_t              file;           /* of any that it writes */
    ngx_uint_t          cpu;            /* s */
    ngx_uint_t          time;           /* ms */
    unsigned            nice:1;         /* others go first */

    /* if not NULL: called with what is new in "out", which it may empty, and
     * now and then; 1 ends the program */

    ngx_uint_t        (*heard)(void *ctx, ngx_pulse_buf_t *out);
    void               *ctx;

    ngx_pulse_buf_t    *out;            /* what it says, begun with a limit */

    ngx_pulse_buf_t     err;            /* to be freed by the caller */
    int                 status;         /* as of waitpid() */
    unsigned            late:1;         /* or past what the kernel allows */
    unsigned            full:1;         /* more than "out" may hold */
    unsigned            stopped:1;
} pulse_child_t;


/* Runs it to its end, which is at once if it is late, full or stopped.
 * NGX_ERROR with a line in the log: there was no process. */
ngx_int_t pulse_child_run(pulse_child_t *child);

/* A file in memory, without a name; -1 with errno. */
int pulse_child_file(const u_char *data, size_t len);


#endif /* _PULSE_CHILD_H_INCLUDED_ */
