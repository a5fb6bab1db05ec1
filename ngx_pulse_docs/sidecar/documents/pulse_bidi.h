
#ifndef _PULSE_BIDI_H_INCLUDED_
#define _PULSE_BIDI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


#define PULSE_BIDI_LRM  "\xe2\x80\x8e"
#define PULSE_BIDI_RLM  "\xe2\x80\x8f"


/*
 * The one rule of direction for every kind of document.  A line of text is
 * split into runs that are written left to right or right to left as a whole,
 * because the bidirectional algorithm (UAX #9) alone sets "C++" as "++C" and
 * "820 ms" as "ms 820" inside Arabic, and word processors disagree about
 * what surrounds a run.  An edge of a run that would be drawn to the other
 * side is given a mark of the run's own direction (U+200E, U+200F).
 */

typedef struct {
    ngx_str_t   text;           /* a part of the line, not copied */
    unsigned    rtl:1;
    unsigned    mark_before:1;  /* a mark belongs in front of the text */
    unsigned    mark_after:1;
} pulse_bidi_run_t;


/*
 * The base direction of a user's line in a document of the direction "rtl":
 * that of its first strong character, if a line of words of both directions
 * is a sentence of it.  Names alone make none: "PostgreSQL" may begin an
 * Arabic sentence, and an English one may end with a company of Amman.  A line
 * of one direction, and a list with separators, stay with the document.
 */
ngx_uint_t pulse_bidi_base(const ngx_str_t *line, ngx_uint_t rtl);

/*
 * Splits a line of valid UTF-8 without line ends.  "rtl" is the paragraph's
 * base direction.  The array is the pool's and its texts point into "line";
 * "*n" is how many, 0 for an empty line.  NULL: no memory.
 */
pulse_bidi_run_t *pulse_bidi_split(ngx_pool_t *pool, const ngx_str_t *line,
    ngx_uint_t rtl, ngx_uint_t *n);

/* Appends a run with its marks. */
void pulse_bidi_append(ngx_pulse_buf_t *b, const pulse_bidi_run_t *run);

/*
 * Appends text without what nobody can see the effect of: control characters
 * that XML has no place for, noncharacters, and the explicit embeddings,
 * overrides and isolates (U+202A..202E, U+2066..2069) with which a text can
 * pretend to be another one.  Joiners and the plain marks stay, and what ends
 * a line elsewhere (CR, VT, FF, U+0085, U+2028, U+2029) is '\n'.
 */
void pulse_bidi_clean(ngx_pulse_buf_t *b, const ngx_str_t *text);


#endif /* _PULSE_BIDI_H_INCLUDED_ */
