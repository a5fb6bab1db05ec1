
#ifndef _NGX_PULSE_SSE_H_INCLUDED_
#define _NGX_PULSE_SSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * Splits an event stream (WHATWG HTML, "server-sent events") fed in pieces
 * of any size.  Line ends may be LF, CRLF or CR and may be cut anywhere.
 *
 * "raw" holds every byte of the event in the order received, comments and
 * the blank line included: all raw parts put together are the input again,
 * so a stream can be passed on unchanged less the events left out.  It, and
 * "name" and "data", live until the handler returns.
 */

typedef struct {
    ngx_str_t    raw;
    ngx_str_t    name;          /* of the event field, may be empty */
    ngx_str_t    data;          /* data lines joined with LF */
    unsigned     has_data:1;    /* 0: comments or other fields only */
} ngx_pulse_sse_event_t;


/* NGX_OK to go on; anything else ends ngx_pulse_sse_feed() with it. */
typedef ngx_int_t (*ngx_pulse_sse_handler_pt)(void *ctx,
    ngx_pulse_sse_event_t *ev);


typedef struct {
    ngx_pulse_buf_t            raw;     /* the unfinished event */
    ngx_pulse_buf_t            data;
    ngx_pulse_sse_handler_pt   handler;
    void                      *ctx;
    size_t                     scanned; /* of raw, up to a line start */
    unsigned                   cr:1;    /* an LF here belongs to a CRLF */
    unsigned                   bom:1;   /* the start was looked at */
} ngx_pulse_sse_t;


/* Starts a splitter; an event longer than "max" bytes is an error. */
void ngx_pulse_sse_init(ngx_pulse_sse_t *sse, size_t max,
    ngx_pulse_sse_handler_pt handler, void *ctx);

/* Feeds "len" bytes.  NGX_OK, NGX_ERROR (too long, no memory), or what the
 * handler returned. */
ngx_int_t ngx_pulse_sse_feed(ngx_pulse_sse_t *sse, u_char *p, size_t len);

/* The stream has ended: hands over a last event that lacks its blank line
 * (providers close early, and it must not be lost). */
ngx_int_t ngx_pulse_sse_finish(ngx_pulse_sse_t *sse);

/* Gives the memory back. */
void ngx_pulse_sse_free(ngx_pulse_sse_t *sse);

/* Appends an event: "name" may be NULL or empty, "data" is split at LF. */
void ngx_pulse_sse_write(ngx_pulse_buf_t *b, const ngx_str_t *name,
    const ngx_str_t *data);


#endif /* _NGX_PULSE_SSE_H_INCLUDED_ */
