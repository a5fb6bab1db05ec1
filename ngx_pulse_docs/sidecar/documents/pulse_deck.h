
#ifndef _PULSE_DECK_H_INCLUDED_
#define _PULSE_DECK_H_INCLUDED_


#include "pulse_document.h"
#include "pulse_form.h"


#define PULSE_DECK_SLIDES      200
#define PULSE_DECK_BULLETS     12       /* of one list */
#define PULSE_DECK_COLUMNS     8        /* of a table */
#define PULSE_DECK_ROWS        20
#define PULSE_DECK_CATEGORIES  24       /* of a chart */
#define PULSE_DECK_SERIES      6
#define PULSE_DECK_WANTED      30       /* slides of an outline */

/* of a PNG, which is held in memory for a PDF, and of a JPEG, which is not */

#define PULSE_PICTURE_PIXELS   (16 * 1000 * 1000)
#define PULSE_PICTURE_PHOTO    (50 * 1000 * 1000)


/*
 * A deck of slides, as the writers of PPTX and of PDF draw it.  Everything
 * lives in one pool, is valid UTF-8 and was cleaned; what is absent has len 0
 * or is NULL.
 */

typedef enum {
    pulse_slide_title = 0,
    pulse_slide_section,
    pulse_slide_bullets,
    pulse_slide_columns,
    pulse_slide_image,
    pulse_slide_table,
    pulse_slide_chart,
    pulse_slide_quote
} pulse_slide_layout_e;


typedef struct {
    ngx_str_t               text;
    ngx_uint_t              level;      /* 0..2 */
} pulse_bullet_t;


typedef struct {
    ngx_str_t               data;       /* the file's own bytes */
    ngx_str_t               alt;
    ngx_uint_t              width;      /* pixels, as it is seen, turned */
    ngx_uint_t              height;
    unsigned                turn:4;     /* of EXIF, 1 to 8; 0: none */
    unsigned                jpeg:1;     /* else PNG */
    unsigned                cover:1;    /* fills its box and is cropped */
} pulse_picture_t;


typedef struct {
    ngx_str_t               heading;
    pulse_bullet_t         *bullets;
    ngx_uint_t              nbullets;
    pulse_picture_t        *picture;
} pulse_column_t;


typedef struct {
    ngx_str_t              *cells;      /* the header's row first */
    ngx_uint_t              rows;       /* with the header */
    ngx_uint_t              columns;
    ngx_str_t               alt;
} pulse_table_t;


typedef enum {
    pulse_chart_bar = 0,
    pulse_chart_column,
    pulse_chart_line,
    pulse_chart_pie
} pulse_chart_type_e;


typedef struct {
    ngx_str_t               name;
    double                 *values;     /* as many as categories, finite */
} pulse_series_t;


typedef struct {
    pulse_chart_type_e      type;
    ngx_str_t              *categories;
    ngx_uint_t              ncategories;
    pulse_series_t         *series;
    ngx_uint_t              nseries;
    ngx_str_t               alt;
} pulse_chart_t;


typedef struct {
    pulse_slide_layout_e    layout;
    ngx_str_t               title;      /* of every slide */
    ngx_str_t               subtitle;
    pulse_column_t          first;      /* bullets; at the line's start */
    pulse_column_t          second;
    pulse_picture_t        *picture;
    ngx_str_t               caption;
    pulse_table_t          *table;
    pulse_chart_t          *chart;
    ngx_str_t               quote;
    ngx_str_t               attribution;
    ngx_str_t               notes;      /* lines end with '\n' */
} pulse_slide_t;


/* What a deck without slides is asked to be about. */

typedef struct {
    ngx_str_t               topic;
    ngx_str_t               audience;
    ngx_uint_t              slides;     /* how many, 0: as fits */
    ngx_str_t               model;      /* that writes it, empty: any */
} pulse_outline_t;


typedef struct {
    ngx_str_t               title;
    ngx_str_t               subtitle;
    ngx_str_t               author;
    ngx_str_t               language;   /* BCP 47 */
    pulse_template_e        template;
    uint32_t                accent;     /* 0xRRGGBB */
    unsigned                rtl:1;
    unsigned                wide:1;     /* 16:9, else 4:3 */
    unsigned                numbers:1;  /* of slides, drawn on them */
    unsigned                pdf:1;

    pulse_slide_t          *slides;
    ngx_uint_t              nslides;    /* 0: of pulse_outline_t */
    pulse_outline_t         outline;
    pulse_warnings_t        warnings;
} pulse_deck_t;


/*
 * The bytes of a file of the person who asks, by its id, in the pool; NGX_OK,
 * NGX_DECLINED if there is none, NGX_ERROR.
 */
typedef ngx_int_t (*pulse_deck_file_pt)(void *ctx, ngx_pool_t *pool,
    const ngx_str_t *id, ngx_str_t *data);


/*
 * Reads a request of POST /v1/slides/generate.  "locale" is used where the
 * request names none; "file" finds images that were uploaded before.  What is
 * wrong is in "form"; the result is its pool's, and form->rc must be asked.
 */
void pulse_deck_read(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *locale, pulse_deck_file_pt file, void *ctx,
    pulse_deck_t *deck);

/* Reads the member "slides" of an outline that was written for the deck, into
 * it: no images, and no more than PULSE_DECK_WANTED of them. */
void pulse_deck_read_slides(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_deck_t *deck);

/*
 * Recognizes a PNG or JPEG file by its own bytes and reads its size in
 * pixels.  NGX_DECLINED if it is neither, or is broken as far as its structure
 * tells.
 */
ngx_int_t pulse_picture_read(pulse_picture_t *picture);

/*
 * What of such a PNG its pixels need, one "*piece" after the other, of which
 * the first follows a piece of nothing; 0 after the last.  Texts, profiles and
 * the like are left out: unpacked they may be a thousand times as large.
 */
ngx_uint_t pulse_picture_piece(const pulse_picture_t *picture,
    ngx_str_t *piece);

/* If it has no more pixels than can be drawn on a slide. */
ngx_uint_t pulse_picture_fits(const pulse_picture_t *picture);

/* If its file has rows where it is seen to have columns. */
ngx_uint_t pulse_picture_aside(const pulse_picture_t *picture);


#endif /* _PULSE_DECK_H_INCLUDED_ */
