
#ifndef _PULSE_CLIP_RUN_H_INCLUDED_
#define _PULSE_CLIP_RUN_H_INCLUDED_


#include "pulse_child.h"
#include "pulse_clip.h"


#define PULSE_CLIP_FFMPEG   "/usr/bin/ffmpeg"
#define PULSE_CLIP_FFPROBE  "/usr/bin/ffprobe"

#define PULSE_CLIP_ARGS     800
#define PULSE_CLIP_TEXT     64              /* bytes of an argument made here */
#define PULSE_CLIP_LOOK     20000           /* ms that looking may take */


/*
 * Arguments of a program, and what it is run with.  Descriptors are the
 * child's 3, 4, ...; what is made for them here is closed at the end.
 */

typedef struct {
    const char        *argv[PULSE_CLIP_ARGS];
    ngx_uint_t         argc;
    int                fds[PULSE_CHILD_FDS];
    ngx_uint_t         nfds;
    ngx_pool_t        *pool;
    unsigned           failed:1;            /* no memory, or too many */
} pulse_clip_args_t;


/* Adds arguments up to a NULL, which must live. */
void pulse_clip_add(pulse_clip_args_t *args, ...);

/* Adds one that is printed. */
void pulse_clip_print(pulse_clip_args_t *args, const char *fmt, ...);

/* Adds a descriptor as the name of a file. */
void pulse_clip_fd(pulse_clip_args_t *args, int fd);

/* Adds a clip as what is read: only as what it was found to be, and by the
 * decoders that are allowed. */
void pulse_clip_input(pulse_clip_args_t *args, int fd,
    const pulse_clip_t *clip);

/* Runs it; "child" has what is not of the arguments.  As pulse_clip.h says of
 * results. */
ngx_int_t pulse_clip_run(pulse_clip_args_t *args, pulse_child_t *child,
    pulse_clip_t *clip);


#endif /* _PULSE_CLIP_RUN_H_INCLUDED_ */
