
#ifndef _PULSE_RASTER_ROWS_H_INCLUDED_
#define _PULSE_RASTER_ROWS_H_INCLUDED_


#include "pulse_raster.h"


#define PULSE_RASTER_PIXEL  4               /* bytes */


/*
 * A source of rows, from the top: R, G, B, A of each pixel, the colors
 * multiplied by A already.  Sources are chained: closing one closes what it
 * takes its rows from.
 */

typedef struct pulse_raster_rows_s  pulse_raster_rows_t;

struct pulse_raster_rows_s {
    ngx_uint_t            width;
    ngx_uint_t            height;
    unsigned              alpha:1;
    pulse_raster_rows_t  *from;             /* NULL: a file */
    pulse_raster_t       *raster;           /* of the file; told why */
    ngx_int_t           (*next)(pulse_raster_rows_t *rows, u_char *row);
    void                (*close)(pulse_raster_rows_t *rows);
};


/* Readers begin behind pulse_raster_probe(), which has filled "raster".
 * "edge" is what the longer edge has to have at least, 0 is all of it: where
 * a format makes it cheap less is decoded. */
ngx_int_t pulse_raster_png_probe(FILE *in, pulse_raster_t *raster);
ngx_int_t pulse_raster_png_read(FILE *in, pulse_raster_t *raster,
    pulse_raster_rows_t **rows);
ngx_int_t pulse_raster_jpeg_probe(FILE *in, pulse_raster_t *raster);
ngx_int_t pulse_raster_jpeg_read(FILE *in, pulse_raster_t *raster,
    ngx_uint_t edge, pulse_raster_rows_t **rows);
ngx_int_t pulse_raster_webp_probe(FILE *in, pulse_raster_t *raster);
ngx_int_t pulse_raster_webp_read(FILE *in, pulse_raster_t *raster,
    ngx_uint_t edge, pulse_raster_rows_t **rows);

/* Take all rows; "plan" says how, and when to stop. */
ngx_int_t pulse_raster_png_write(FILE *out, pulse_raster_rows_t *rows,
    const pulse_raster_plan_t *plan);
ngx_int_t pulse_raster_jpeg_write(FILE *out, pulse_raster_rows_t *rows,
    const pulse_raster_plan_t *plan);


/* A source of "size" bytes that takes its rows from "from" and has its shape,
 * zeroed; NULL without memory. */
void *pulse_raster_rows_create(size_t size, pulse_raster_rows_t *from);

/* Stages put themselves before "*rows", which is left as it was, to be closed,
 * if they cannot.  "drawn" is told the rectangle that a text takes up.  The
 * last one turns a picture as EXIF says, and holds it whole. */
ngx_int_t pulse_raster_rows_crop(pulse_raster_rows_t **rows,
    const pulse_raster_step_t *step);
ngx_int_t pulse_raster_rows_scale(pulse_raster_rows_t **rows,
    ngx_uint_t width, ngx_uint_t height);
ngx_int_t pulse_raster_rows_text(pulse_raster_rows_t **rows,
    const pulse_raster_step_t *step, pulse_raster_step_t *drawn);
ngx_int_t pulse_raster_rows_turn(pulse_raster_rows_t **rows, ngx_uint_t turn);


/* Waits until no other thread holds a picture whole; then so many bytes more
 * are this thread's, up to the last pulse_raster_release().  NGX_DECLINED: it
 * would be too many. */
ngx_int_t pulse_raster_hold(pulse_raster_t *raster, size_t bytes);
void pulse_raster_release(void);

/* The orientation in a JPEG's EXIF, 1 if there is none; "p" is how the file
 * begins. */
ngx_uint_t pulse_raster_exif_turn(const u_char *p, size_t len);


#endif /* _PULSE_RASTER_ROWS_H_INCLUDED_ */
