
#ifndef _PULSE_PIECES_H_INCLUDED_
#define _PULSE_PIECES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A text that is made as it is read: pieces in memory, and files, as they are
 * or in base64, of which no more is held than a buffer.  Memory and files are
 * the caller's and must live.
 */

#define PULSE_PIECES_MAX   64
#define PULSE_PIECES_STEP  4096             /* of base64 at a time */


typedef struct {
    const u_char    *data;          /* NULL: of the file */
    int              fd;
    size_t           len;           /* of what is read */
    unsigned         base64:1;
} pulse_piece_t;


typedef struct {
    pulse_piece_t    elts[PULSE_PIECES_MAX];
    ngx_uint_t       n;
    size_t           length;        /* of all that will be read */
    unsigned         failed:1;      /* too many, or a file cannot be read */

    ngx_uint_t       current;
    size_t           done;          /* of the current one's source */
    size_t           pos;           /* in "buf" */
    size_t           last;
    u_char           buf[PULSE_PIECES_STEP + 1];
} pulse_pieces_t;


void pulse_pieces_init(pulse_pieces_t *p);

void pulse_pieces_text(pulse_pieces_t *p, const u_char *data, size_t len);
void pulse_pieces_file(pulse_pieces_t *p, int fd, size_t len,
    ngx_uint_t base64);

#define pulse_pieces_literal(p, s)                                            \
    pulse_pieces_text(p, (u_char *) s, sizeof(s) - 1)

/* The next bytes: 0 at the end, NGX_ERROR if a file has less than it should
 * have. */
ssize_t pulse_pieces_read(pulse_pieces_t *p, u_char *buf, size_t size);

/* Reads from the beginning again. */
void pulse_pieces_rewind(pulse_pieces_t *p);


#endif /* _PULSE_PIECES_H_INCLUDED_ */
