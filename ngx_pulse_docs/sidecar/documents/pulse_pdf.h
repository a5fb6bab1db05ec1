
#ifndef _PULSE_PDF_H_INCLUDED_
#define _PULSE_PDF_H_INCLUDED_


#include <pango/pangocairo.h>
#include <cairo-pdf.h>
#include "pulse_deck.h"


/*
 * A PDF file (ISO 32000-1) as it is drawn page by page: text shaped by Pango,
 * selectable, its fonts embedded as subsets.  Lengths are in points, from the
 * page's upper left corner.
 */

typedef struct {
    ngx_pool_t         *pool;
    ngx_pulse_buf_t    *out;
    cairo_surface_t    *surface;
    cairo_t            *cr;
    PangoContext       *context;
    const char         *family;         /* of the fonts, first to last choice */
    double              width;          /* of a page */
    double              height;
    ngx_uint_t          page;           /* from 1 */
    unsigned            rtl:1;
} pulse_pdf_t;


typedef enum {
    pulse_pdf_side_start = 0,           /* the document's */
    pulse_pdf_side_end,
    pulse_pdf_side_own                  /* where the text begins */
} pulse_pdf_side_e;


typedef struct {
    double              size;           /* points */
    uint32_t            color;          /* 0xRRGGBB */
    uint32_t            link;           /* color of links */
    double              width;          /* lines are broken there */
    double              leading;        /* of lines, single is the size */
    pulse_pdf_side_e    side;
    unsigned            bold:1;
    unsigned            italic:1;
    unsigned            centered:1;
    unsigned            single:1;       /* one line, cut with an ellipsis */
} pulse_pdf_style_t;


typedef struct {
    PangoLayoutLine    *line;           /* the layout's */
    double              x;              /* in the paragraph's box */
    double              baseline;       /* below the line's upper edge */
    double              height;         /* to the next line */
} pulse_pdf_line_t;


typedef struct {
    PangoLayout        *layout;
    pulse_pdf_line_t   *lines;
    ngx_uint_t          nlines;
    double              height;         /* of all lines */
    const pulse_span_t *spans;
    ngx_uint_t          nspans;
    size_t             *ends;           /* of spans, in the layout's text */
    ngx_uint_t          rtl;            /* the paragraph's direction */
} pulse_pdf_text_t;


/*
 * Starts a file that is written into "out"; pulse_pdf_end() must follow, also
 * after an error.  NGX_ERROR: no memory.
 */
ngx_int_t pulse_pdf_start(pulse_pdf_t *pdf, ngx_pool_t *pool,
    const ngx_str_t *title, const ngx_str_t *author, pulse_font_e font,
    ngx_uint_t rtl, double width, double height, ngx_pulse_buf_t *out);

/* NGX_ERROR if anything failed since the start; frees all but "out". */
ngx_int_t pulse_pdf_end(pulse_pdf_t *pdf);

/* Ends a page, the next one begins. */
void pulse_pdf_next_page(pulse_pdf_t *pdf);

/* Sets spans as one paragraph.  NGX_ERROR: no memory. */
ngx_int_t pulse_pdf_text(pulse_pdf_t *pdf, const pulse_span_t *spans,
    ngx_uint_t nspans, const pulse_pdf_style_t *style,
    pulse_pdf_text_t *text);

/* Frees what pulse_pdf_text() made. */
void pulse_pdf_text_end(pulse_pdf_text_t *text);

/* Draws a line with its upper edge at "y", links included; "x" is the left
 * edge of the paragraph's box. */
void pulse_pdf_line(pulse_pdf_t *pdf, pulse_pdf_text_t *text, ngx_uint_t i,
    double x, double y);

/* Draws all lines. */
void pulse_pdf_draw(pulse_pdf_t *pdf, pulse_pdf_text_t *text, double x,
    double y);

void pulse_pdf_rectangle(pulse_pdf_t *pdf, double x, double y, double width,
    double height, uint32_t color);

/* An entry of the file's outline that leads to this page's "y"; "parent" 0 is
 * the root.  Returns the entry, to be another's parent. */
int pulse_pdf_outline(pulse_pdf_t *pdf, int parent, const ngx_str_t *title,
    double y);

/* A structure element of tagged PDF, "H1", "P", "LI", ... */
void pulse_pdf_tag(pulse_pdf_t *pdf, const char *tag);
void pulse_pdf_tag_end(pulse_pdf_t *pdf, const char *tag);


/* A PNG's or JPEG's pixels, scaled into a rectangle and cut there if "cover";
 * NGX_DECLINED if they cannot be decoded. */
ngx_int_t pulse_pdf_picture(pulse_pdf_t *pdf, const pulse_picture_t *picture,
    double x, double y, double width, double height);

/* Draws a CV; as pulse_docx_write(). */
ngx_int_t pulse_pdf_write_document(ngx_pool_t *pool,
    const pulse_document_t *document, ngx_pulse_buf_t *out);

/* Draws a deck, a slide a page; as pulse_pptx_write(). */
ngx_int_t pulse_pdf_write_deck(ngx_pool_t *pool, const pulse_deck_t *deck,
    ngx_pulse_buf_t *out);


/* a chart inside of a rectangle */

ngx_int_t pulse_pdf_chart(pulse_pdf_t *pdf, const pulse_deck_t *deck,
    const pulse_chart_t *chart, double x, double y, double width,
    double height);


#endif /* _PULSE_PDF_H_INCLUDED_ */
