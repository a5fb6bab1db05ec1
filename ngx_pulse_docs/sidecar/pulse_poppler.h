
#ifndef _PULSE_POPPLER_H_INCLUDED_
#define _PULSE_POPPLER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


#define PULSE_POPPLER_PAGES  200            /* read, at most */


/*
 * The text of a PDF, by Poppler's own programs: what reads files of strangers
 * is a process with limits of its own, and not this one.
 */

typedef enum {
    pulse_poppler_locked = 0,               /* it wants a password */
    pulse_poppler_broken,
    pulse_poppler_empty,                    /* no text: scans, drawings */
    pulse_poppler_slow                      /* past its time or memory */
} pulse_poppler_e;


typedef struct {
    ngx_pulse_buf_t   text;                 /* UTF-8, pages end with \f */
    ngx_uint_t        pages;                /* of the document */
    ngx_uint_t        read;                 /* of them, in the text */
    pulse_poppler_e   why;
} pulse_poppler_t;


/*
 * Reads whole pages into pdf->text, which was begun with the limit of what is
 * wanted; a first page that is longer is cut.  NGX_OK; NGX_DECLINED with
 * pdf->why; NGX_ERROR with a line in the log.
 */
ngx_int_t pulse_poppler_read(const ngx_pulse_buf_t *data,
    pulse_poppler_t *pdf);


#endif /* _PULSE_POPPLER_H_INCLUDED_ */
