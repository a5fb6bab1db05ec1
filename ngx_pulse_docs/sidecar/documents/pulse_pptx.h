
#ifndef _PULSE_PPTX_H_INCLUDED_
#define _PULSE_PPTX_H_INCLUDED_


#include "pulse_deck.h"
#include "pulse_package.h"
#include "pulse_slide_look.h"


#define PULSE_PPTX_TYPE                                                       \
    "application/vnd.openxmlformats-officedocument"                           \
    ".presentationml.presentation"


#define PULSE_PPTX_PACKAGE                                                    \
    "http://schemas.openxmlformats.org/package/2006"
#define PULSE_PPTX_OFFICE                                                     \
    "http://schemas.openxmlformats.org/officeDocument/2006"
#define PULSE_PPTX_DRAWING                                                    \
    "http://schemas.openxmlformats.org/drawingml/2006"

#define PULSE_PPTX_SPACES                                                     \
    " xmlns:a=\"" PULSE_PPTX_DRAWING "/main\""                                \
    " xmlns:r=\"" PULSE_PPTX_OFFICE "/relationships\""                        \
    " xmlns:p=\"http://schemas.openxmlformats.org/presentationml/2006/main\""

/* the root of a tree of shapes, which is a group itself */

#define PULSE_PPTX_TREE                                                       \
    "<p:spTree><p:nvGrpSpPr><p:cNvPr id=\"1\" name=\"\"/><p:cNvGrpSpPr/>"     \
    "<p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>"

#define PULSE_PPTX_LAYOUTS  7


/* Compresses what decks of the same template, ratio and direction share;
 * called once, before threads start.  NGX_ERROR: no memory. */
ngx_int_t pulse_pptx_init(void);
void pulse_pptx_done(void);

/* Writes a deck as PresentationML (ISO 29500-4, transitional), the same bytes
 * for the same deck, into "out", which the caller frees.  NGX_ERROR: no
 * memory, or "out" is past its cap. */
ngx_int_t pulse_pptx_write(ngx_pool_t *pool, const pulse_deck_t *deck,
    ngx_pulse_buf_t *out);


/* what the files of the writer say to each other: parts of the package,
 * appended to "b" */

void pulse_pptx_theme(const pulse_deck_t *deck, ngx_pulse_buf_t *b);
void pulse_pptx_master(const pulse_deck_t *deck, ngx_pulse_buf_t *b);
void pulse_pptx_layout(const pulse_deck_t *deck, ngx_uint_t n,
    ngx_pulse_buf_t *b);
void pulse_pptx_notes_master(const pulse_deck_t *deck, ngx_pulse_buf_t *b);
ngx_int_t pulse_pptx_slide(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_slide_t *slide, ngx_pulse_buf_t *b);
ngx_int_t pulse_pptx_notes(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_slide_t *slide, ngx_pulse_buf_t *b);
ngx_int_t pulse_pptx_table(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_table_t *table, ngx_pulse_buf_t *b);
void pulse_pptx_chart(const pulse_deck_t *deck, const pulse_chart_t *chart,
    ngx_pulse_buf_t *b);

/* The data of a chart as a workbook, which PowerPoint opens to edit it. */
ngx_int_t pulse_xlsx_write(ngx_pool_t *pool, const pulse_chart_t *chart,
    ngx_pulse_buf_t *out);

/* Number of the layout, from 1, that a slide follows. */
ngx_uint_t pulse_pptx_layout_of(const pulse_slide_t *slide);

/* Pictures of a slide in the order of its relationships; at most two. */
ngx_uint_t pulse_pptx_pictures(const pulse_slide_t *slide,
    const pulse_picture_t **pictures);

/* A paragraph of DrawingML: "size" in points, 0 is the layout's; "level" of a
 * list from 1, 0 is none.  NGX_ERROR: no memory. */
ngx_int_t pulse_pptx_paragraph(ngx_pool_t *pool, const pulse_deck_t *deck,
    const ngx_str_t *text, ngx_uint_t level, ngx_uint_t size,
    ngx_pulse_buf_t *b);

/* <a:xfrm> or <p:xfrm> of a box, after the name space's letter. */
void pulse_pptx_place(const char *space, const pulse_box_t *box,
    ngx_pulse_buf_t *b);

void pulse_pptx_color(uint32_t color, ngx_pulse_buf_t *b);

/* A finite number as XML Schema's double has it. */
void pulse_pptx_number(double number, ngx_pulse_buf_t *b);


#endif /* _PULSE_PPTX_H_INCLUDED_ */
