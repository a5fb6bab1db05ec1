
#ifndef _PULSE_SLIDE_LOOK_H_INCLUDED_
#define _PULSE_SLIDE_LOOK_H_INCLUDED_


#include "pulse_deck.h"


/*
 * Where things are on a slide, for every kind of file.  Lengths are in EMU
 * (914400 an inch, 12700 a point); x is counted from where a line starts and
 * mirrored by pulse_slide_box().
 */

#define PULSE_SLIDE_HEIGHT   6858000
#define PULSE_SLIDE_POINT    12700

/* above and below the text of a cell together, of the text's size */

#define PULSE_SLIDE_CELL     0.5


typedef enum {
    pulse_box_cover_title = 0,
    pulse_box_cover_subtitle,
    pulse_box_section_title,
    pulse_box_section_subtitle,
    pulse_box_title,
    pulse_box_body,
    pulse_box_first_heading,
    pulse_box_first,
    pulse_box_second_heading,
    pulse_box_second,
    pulse_box_first_whole,          /* a column without a heading */
    pulse_box_second_whole,
    pulse_box_picture,
    pulse_box_caption,
    pulse_box_quote,
    pulse_box_attribution,
    pulse_box_number,
    pulse_box_bar,                  /* of the accent color */
    pulse_boxes
} pulse_box_e;


typedef struct {
    ngx_int_t   x;                  /* from the left */
    ngx_int_t   y;
    ngx_int_t   width;
    ngx_int_t   height;
} pulse_box_t;


typedef struct {
    uint32_t    background;
    uint32_t    text;
    uint32_t    muted;              /* 4.5:1 on the background too */
    uint32_t    second;             /* a surface beside the background */
    unsigned    dark:1;
    unsigned    bar:1;              /* draws pulse_box_bar */
} pulse_slide_look_t;


const pulse_slide_look_t *pulse_slide_look(pulse_template_e template);

/* The accent as it can be read on the template's background. */
uint32_t pulse_slide_accent(const pulse_deck_t *deck);

ngx_int_t pulse_slide_width(ngx_uint_t wide);

pulse_box_t pulse_slide_box(pulse_box_e box, ngx_uint_t wide, ngx_uint_t rtl);

/*
 * The largest size, in points, between "least" and "most" at which texts of
 * that many characters each are expected to fit into a box as paragraphs.
 */
ngx_uint_t pulse_slide_fit(const ngx_uint_t *characters, ngx_uint_t n,
    const pulse_box_t *box, ngx_uint_t least, ngx_uint_t most);

/* Characters of a text. */
ngx_uint_t pulse_slide_count(const ngx_str_t *text);

/* The size of a list's text in a box. */
ngx_uint_t pulse_slide_fit_bullets(const pulse_column_t *column,
    const pulse_box_t *box);

/* The size of a table's text, in points, at which it is expected to fit into
 * a box. */
ngx_uint_t pulse_slide_table_size(const pulse_table_t *table,
    const pulse_box_t *box);

/* Where a picture is drawn inside a box so that all of it is seen. */
pulse_box_t pulse_slide_contain(const pulse_picture_t *picture,
    const pulse_box_t *box);

/* Appends a quote in the marks of the deck's language. */
void pulse_slide_quoted(const pulse_deck_t *deck, const ngx_str_t *quote,
    ngx_pulse_buf_t *b);

/* Colors of a chart's series, or of a pie's slices. */
uint32_t pulse_slide_series(const pulse_deck_t *deck, ngx_uint_t n);

/* Of the lines behind what a chart draws. */
uint32_t pulse_slide_grid(const pulse_deck_t *deck);


#endif /* _PULSE_SLIDE_LOOK_H_INCLUDED_ */
