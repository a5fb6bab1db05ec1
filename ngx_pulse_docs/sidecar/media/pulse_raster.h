
#ifndef _PULSE_RASTER_H_INCLUDED_
#define _PULSE_RASTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Pictures as rows of pixels: what strangers send is looked at by its content
 * and worked on row by row, so that memory does not grow with the picture.
 * What a format makes impossible to read in rows (interlaced PNG, progressive
 * JPEG, WebP, a photo that has to be turned) is held whole, one at a time in
 * the process, and refused past pulse_raster_limits.whole.
 *
 * Files are descriptors that can be sought and mapped: of files, O_TMPFILE or
 * memfd_create().  Input is read from its first byte, output is written at its
 * first byte and cut there; offsets are of no use afterwards.  Any thread may
 * call these functions.  They return
 *
 *   NGX_OK        it is done
 *   NGX_DECLINED  the picture is refused, raster->why says why
 *   NGX_ABORT     plan->stop said so
 *   NGX_ERROR     no memory or no disk, as errno says
 */


#define PULSE_RASTER_THUMBNAIL  512         /* pixels of the longer edge */
#define PULSE_RASTER_EDGE       16384       /* of any picture */


typedef enum {
    pulse_raster_png = 0,
    pulse_raster_jpeg,
    pulse_raster_webp
} pulse_raster_type_e;


typedef enum {
    pulse_raster_unknown = 0,           /* neither PNG, JPEG nor WebP */
    pulse_raster_broken,                /* cut short, or not as its format */
    pulse_raster_heavy,                 /* too many bytes */
    pulse_raster_large,                 /* too many pixels */
    pulse_raster_whole,                 /* too many for one read as a whole */
    pulse_raster_animated,
    pulse_raster_outside,               /* a step is not inside of it */
    pulse_raster_text_long              /* a text does not fit into it */
} pulse_raster_why_e;


typedef struct {
    pulse_raster_type_e   type;
    ngx_uint_t            width;        /* as it is seen, turned */
    ngx_uint_t            height;
    unsigned              alpha:1;      /* some of it may be transparent */
    unsigned              turn:4;       /* of EXIF, 1 to 8 */
    pulse_raster_why_e    why;
} pulse_raster_t;


typedef struct {
    size_t                bytes;        /* of a file */
    size_t                pixels;       /* of a picture */
    size_t                whole;        /* bytes of one that is held whole */
} pulse_raster_limits_t;


typedef enum {
    pulse_raster_start = 0,             /* where the text begins */
    pulse_raster_middle,
    pulse_raster_end
} pulse_raster_align_e;


typedef enum {
    pulse_raster_auto = 0,              /* of the text's first letter */
    pulse_raster_rtl,
    pulse_raster_ltr
} pulse_raster_direction_e;


/* Noto's; all have Arabic and Latin letters */

typedef enum {
    pulse_raster_sans = 0,
    pulse_raster_naskh,
    pulse_raster_kufi
} pulse_raster_font_e;


typedef struct {
    ngx_str_t                 text;         /* UTF-8, lines end with \n */
    pulse_raster_font_e       font;
    ngx_uint_t                size;         /* pixels */
    uint32_t                  color;        /* 0xRRGGBBAA */
    uint32_t                  background;   /* the same; AA 0: none */
    pulse_raster_align_e      align;
    pulse_raster_align_e      valign;       /* start is at the top */
    pulse_raster_direction_e  direction;
    unsigned                  bold:1;
} pulse_raster_text_t;


typedef enum {
    pulse_raster_crop = 0,
    pulse_raster_resize,
    pulse_raster_overlay
} pulse_raster_step_e;


typedef enum {
    pulse_raster_inside = 0,            /* as large as fits, as it was shaped */
    pulse_raster_cover,                 /* as small as covers it, then cut */
    pulse_raster_fill                   /* the shape does not matter */
} pulse_raster_fit_e;


typedef struct {
    pulse_raster_step_e   step;
    ngx_uint_t            x;            /* of crop, and of a text's box */
    ngx_uint_t            y;
    ngx_uint_t            width;        /* 0 in one of them: as the other; */
    ngx_uint_t            height;       /* a text's box has the rest */
    pulse_raster_fit_e    fit;          /* of resize */
    pulse_raster_text_t   text;         /* of an overlay */
} pulse_raster_step_t;


/* What is done to a picture, in this order. */

typedef struct {
    pulse_raster_step_t  *steps;
    ngx_uint_t            nsteps;
    pulse_raster_type_e   type;         /* of the result: PNG or JPEG */
    ngx_uint_t            quality;      /* of a JPEG, 1 to 100 */
    ngx_uint_t          (*stop)(void *ctx);     /* 1 ends it; NULL: nothing */
    void                 *ctx;
} pulse_raster_plan_t;


/* To be changed before threads start. */
extern pulse_raster_limits_t  pulse_raster_limits;


/* Type, size and shape by the content: the header only, so that one that is
 * cut short behind it is found by who reads it. */
ngx_int_t pulse_raster_probe(int in, pulse_raster_t *raster);

/* Reads all of it: what is broken anywhere is refused. */
ngx_int_t pulse_raster_check(int in, pulse_raster_t *raster);

/* Writes a JPEG, no edge longer than "edge", on white; "raster" tells of the
 * thumbnail then. */
ngx_int_t pulse_raster_thumbnail(int in, int out, ngx_uint_t edge,
    pulse_raster_t *raster);

/* The same of a plan; "raster" tells of the result. */
ngx_int_t pulse_raster_transform(int in, int out,
    const pulse_raster_plan_t *plan, pulse_raster_t *raster);

/* Whether a plan is possible for a picture that was probed, without reading
 * it; NGX_DECLINED with the step that is not in "*step". */
ngx_int_t pulse_raster_try(const pulse_raster_plan_t *plan,
    pulse_raster_t *raster, ngx_uint_t *step);

/* Writes a PNG of what the text of an overlay takes up, transparent around
 * the letters; "drawn" tells where it belongs.  The box has both sides. */
ngx_int_t pulse_raster_draw(int out, const pulse_raster_step_t *step,
    pulse_raster_step_t *drawn, pulse_raster_t *raster);

/* "image/png" and so on. */
const char *pulse_raster_content_type(pulse_raster_type_e type);

/* Why it was refused, for people. */
const char *pulse_raster_reason(pulse_raster_why_e why, ngx_uint_t arabic);


#endif /* _PULSE_RASTER_H_INCLUDED_ */
