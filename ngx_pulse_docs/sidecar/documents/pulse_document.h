
#ifndef _PULSE_DOCUMENT_H_INCLUDED_
#define _PULSE_DOCUMENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "pulse_bidi.h"


/*
 * A document of running text, as the writers of DOCX and of PDF draw it: what
 * is said, in what order and in what role; each writer knows how a role
 * looks.  Everything lives in one pool, is valid UTF-8 and was cleaned
 * (pulse_bidi_clean()).
 */

typedef enum {
    pulse_paragraph_name = 0,       /* whose document it is */
    pulse_paragraph_headline,
    pulse_paragraph_contact,
    pulse_paragraph_section,        /* heading of level 1 */
    pulse_paragraph_entry,          /* heading of level 2 */
    pulse_paragraph_organization,
    pulse_paragraph_meta,           /* dates and place */
    pulse_paragraph_text,
    pulse_paragraph_bullet,
    pulse_paragraph_roles
} pulse_paragraph_role_e;


typedef struct {
    ngx_str_t                text;
    ngx_str_t                url;       /* len 0: no link */
    unsigned                 strong:1;
} pulse_span_t;


typedef struct {
    pulse_paragraph_role_e   role;
    pulse_span_t            *spans;     /* one line, drawn one after another */
    ngx_uint_t               nspans;
} pulse_paragraph_t;


typedef enum {
    pulse_template_classic = 0,
    pulse_template_compact,
    pulse_template_modern,
    pulse_template_dark,                /* of decks */
    pulse_template_minimal
} pulse_template_e;


typedef enum {
    pulse_font_default = 0,
    pulse_font_naskh,
    pulse_font_sans
} pulse_font_e;


typedef struct {
    ngx_str_t                title;     /* of the file's properties */
    ngx_str_t                author;
    ngx_str_t                language;  /* BCP 47, "ar-JO" or "en-US" */
    pulse_template_e         template;
    pulse_font_e             font;
    uint32_t                 accent;    /* 0xRRGGBB */
    unsigned                 rtl:1;
    unsigned                 letter:1;  /* US Letter instead of A4 */

    pulse_paragraph_t       *paragraphs;
    ngx_uint_t               nparagraphs;
} pulse_document_t;


/* If a paragraph is of no use at the end of a page without the next one: a
 * heading, unless what follows is another heading of its kind. */
ngx_uint_t pulse_document_keeps(const pulse_document_t *document,
    ngx_uint_t n);


/* A part of a paragraph's line that is of one span and of one direction. */

typedef struct {
    pulse_bidi_run_t         run;
    const pulse_span_t      *span;
} pulse_piece_t;


/*
 * Parts a line of spans by direction too.  Direction is decided for the line
 * as a whole, so that a span's neighbors count: "*rtl" is the document's, and
 * becomes the paragraph's (pulse_bidi_base()).  NULL: no memory, or "*n" is 0
 * as nothing is in the line.
 */
pulse_piece_t *pulse_document_pieces(ngx_pool_t *pool,
    const pulse_span_t *spans, ngx_uint_t nspans, ngx_uint_t *rtl,
    ngx_uint_t *n);


#endif /* _PULSE_DOCUMENT_H_INCLUDED_ */
