
#include <png.h>
#include "pulse_raster_rows.h"


#define PULSE_RASTER_PNG_CHUNK  (4 * 1024 * 1024)   /* of one, in memory */
#define PULSE_RASTER_PNG_CHUNKS 64
#define PULSE_RASTER_PNG_HEAD   24


typedef struct {
    pulse_raster_rows_t   rows;
    png_structp           png;
    png_infop             info;
    u_char               *whole;            /* of an interlaced one */
    ngx_uint_t            row;
} pulse_raster_png_t;


typedef struct {
    png_structp           png;
    png_infop             info;
    u_char               *row;
    ngx_int_t             rc;               /* of the rows */
} pulse_raster_png_writer_t;


static pulse_raster_png_t *pulse_raster_png_open(FILE *in,
    pulse_raster_t *raster);
static ngx_int_t pulse_raster_png_head(pulse_raster_png_t *p);
static ngx_uint_t pulse_raster_png_large(pulse_raster_png_t *p);
static ngx_int_t pulse_raster_png_begin(pulse_raster_png_t *p);
static ngx_int_t pulse_raster_png_interlaced(pulse_raster_png_t *p);
static ngx_int_t pulse_raster_png_next(pulse_raster_rows_t *rows,
    u_char *row);
static ngx_int_t pulse_raster_png_line(pulse_raster_png_t *p, u_char *row);
static void pulse_raster_png_close(pulse_raster_rows_t *rows);
static int pulse_raster_png_chunk(png_structp png, png_unknown_chunkp chunk);
static void pulse_raster_png_error(png_structp png, png_const_charp text);
static void pulse_raster_png_warning(png_structp png, png_const_charp text);
static ngx_int_t pulse_raster_png_rows(pulse_raster_png_writer_t *w, FILE *out,
    pulse_raster_rows_t *rows, const pulse_raster_plan_t *plan);
static void pulse_raster_png_multiply(u_char *row, ngx_uint_t n);
static void pulse_raster_png_divide(u_char *row, ngx_uint_t n,
    ngx_uint_t alpha);


ngx_int_t
pulse_raster_png_probe(FILE *in, pulse_raster_t *raster)
{
    ngx_int_t            rc;
    pulse_raster_png_t  *p;

    p = pulse_raster_png_open(in, raster);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_png_head(p);

    pulse_raster_png_close(&p->rows);

    return rc;
}


ngx_int_t
pulse_raster_png_read(FILE *in, pulse_raster_t *raster,
    pulse_raster_rows_t **rows)
{
    ngx_int_t            rc;
    pulse_raster_png_t  *p;

    p = pulse_raster_png_open(in, raster);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_png_head(p);

    if (rc == NGX_OK) {
        rc = pulse_raster_png_begin(p);
    }

    if (rc != NGX_OK) {
        pulse_raster_png_close(&p->rows);
        return rc;
    }

    *rows = &p->rows;

    return NGX_OK;
}


static pulse_raster_png_t *
pulse_raster_png_open(FILE *in, pulse_raster_t *raster)
{
    pulse_raster_png_t  *p;

    static const u_char  texts[] = "iTXt\0tEXt\0zTXt\0eXIf\0iCCP\0sPLT";

    p = pulse_raster_rows_create(sizeof(pulse_raster_png_t), NULL);
    if (p == NULL) {
        return NULL;
    }

    p->rows.raster = raster;
    p->rows.next = pulse_raster_png_next;
    p->rows.close = pulse_raster_png_close;

    p->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, p,
                                    pulse_raster_png_error,
                                    pulse_raster_png_warning);
    if (p->png) {
        p->info = png_create_info_struct(p->png);
    }

    if (p->info == NULL) {
        pulse_raster_png_close(&p->rows);
        errno = ENOMEM;
        return NULL;
    }

    png_init_io(p->png, in);
    png_set_user_limits(p->png, PULSE_RASTER_EDGE, PULSE_RASTER_EDGE);
    png_set_chunk_malloc_max(p->png, PULSE_RASTER_PNG_CHUNK);
    png_set_chunk_cache_max(p->png, PULSE_RASTER_PNG_CHUNKS);

    /* what is not drawn is not unpacked either */

    png_set_keep_unknown_chunks(p->png, PNG_HANDLE_CHUNK_NEVER, texts,
                                sizeof(texts) / 5);
    png_set_read_user_chunk_fn(p->png, p, pulse_raster_png_chunk);

    return p;
}


static ngx_int_t
pulse_raster_png_head(pulse_raster_png_t *p)
{
    pulse_raster_t  *raster;

    raster = p->rows.raster;
    raster->why = pulse_raster_png_large(p) ? pulse_raster_large
                                            : pulse_raster_broken;

    if (setjmp(png_jmpbuf(p->png))) {
        return NGX_DECLINED;
    }

    png_read_info(p->png, p->info);

    raster->width = png_get_image_width(p->png, p->info);
    raster->height = png_get_image_height(p->png, p->info);
    raster->turn = 1;
    raster->alpha = ((png_get_color_type(p->png, p->info)
                      & PNG_COLOR_MASK_ALPHA)
                     || png_get_valid(p->png, p->info, PNG_INFO_tRNS));

    return NGX_OK;
}


/* what the library refuses before it tells: IHDR comes first (PNG 3rd edition,
 * 11.2.1) */

static ngx_uint_t
pulse_raster_png_large(pulse_raster_png_t *p)
{
    FILE         *in;
    u_char        head[PULSE_RASTER_PNG_HEAD];
    ngx_uint_t    large;

    in = png_get_io_ptr(p->png);
    large = 0;

    if (fread(head, 1, sizeof(head), in) == sizeof(head)) {
        large = (png_get_uint_32(head + 16) > PULSE_RASTER_EDGE
                 || png_get_uint_32(head + 20) > PULSE_RASTER_EDGE);
    }

    rewind(in);

    return large;
}


/* to R, G, B, A of eight bits, whatever it is */

static ngx_int_t
pulse_raster_png_begin(pulse_raster_png_t *p)
{
    if (setjmp(png_jmpbuf(p->png))) {
        return NGX_DECLINED;
    }

    p->rows.width = p->rows.raster->width;
    p->rows.height = p->rows.raster->height;
    p->rows.alpha = p->rows.raster->alpha;

    png_set_expand(p->png);
    png_set_scale_16(p->png);
    png_set_gray_to_rgb(p->png);
    png_set_add_alpha(p->png, 0xff, PNG_FILLER_AFTER);

    if (png_set_interlace_handling(p->png) == 1) {
        png_read_update_info(p->png, p->info);
        return NGX_OK;
    }

    png_read_update_info(p->png, p->info);

    return pulse_raster_png_interlaced(p);
}


static ngx_int_t
pulse_raster_png_interlaced(pulse_raster_png_t *p)
{
    int         pass;
    size_t      len;
    ngx_int_t   rc;
    ngx_uint_t  i;

    len = p->rows.width * PULSE_RASTER_PIXEL;

    rc = pulse_raster_hold(p->rows.raster, len * p->rows.height);
    if (rc != NGX_OK) {
        return rc;
    }

    p->whole = malloc(len * p->rows.height);

    if (p->whole == NULL) {
        pulse_raster_release();
        return NGX_ERROR;
    }

    for (pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++) {
        for (i = 0; i < p->rows.height; i++) {
            png_read_row(p->png, p->whole + i * len, NULL);
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_raster_png_next(pulse_raster_rows_t *rows, u_char *row)
{
    pulse_raster_png_t *p = (pulse_raster_png_t *) rows;

    ngx_int_t  rc;

    rc = NGX_OK;

    if (p->whole) {
        memcpy(row, p->whole + p->row++ * rows->width * PULSE_RASTER_PIXEL,
               rows->width * PULSE_RASTER_PIXEL);
    } else {
        rc = pulse_raster_png_line(p, row);
    }

    if (rc == NGX_OK && rows->alpha) {
        pulse_raster_png_multiply(row, rows->width);
    }

    return rc;
}


static ngx_int_t
pulse_raster_png_line(pulse_raster_png_t *p, u_char *row)
{
    p->rows.raster->why = pulse_raster_broken;

    if (setjmp(png_jmpbuf(p->png))) {
        return NGX_DECLINED;
    }

    png_read_row(p->png, row, NULL);

    return NGX_OK;
}


static void
pulse_raster_png_close(pulse_raster_rows_t *rows)
{
    pulse_raster_png_t *p = (pulse_raster_png_t *) rows;

    png_destroy_read_struct(&p->png, &p->info, NULL);

    if (p->whole) {
        free(p->whole);
        pulse_raster_release();
    }

    free(p);
}


/* acTL says that there are more pictures than one (PNG 3rd edition, 11.3.6);
 * 1: it was seen to, -1: this ends here */

static int
pulse_raster_png_chunk(png_structp png, png_unknown_chunkp chunk)
{
    pulse_raster_png_t  *p;

    if (memcmp(chunk->name, "acTL", 4) != 0) {
        return 1;
    }

    p = png_get_user_chunk_ptr(png);
    p->rows.raster->why = pulse_raster_animated;

    return -1;
}


static void
pulse_raster_png_error(png_structp png, png_const_charp text)
{
    png_longjmp(png, 1);
}


static void
pulse_raster_png_warning(png_structp png, png_const_charp text)
{
    /* what is drawn in spite of it is drawn */
}


ngx_int_t
pulse_raster_png_write(FILE *out, pulse_raster_rows_t *rows,
    const pulse_raster_plan_t *plan)
{
    ngx_int_t                  rc;
    pulse_raster_png_writer_t  w;

    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL,
                                    pulse_raster_png_error,
                                    pulse_raster_png_warning);
    if (w.png == NULL) {
        errno = ENOMEM;
        return NGX_ERROR;
    }

    w.info = png_create_info_struct(w.png);
    w.row = malloc(rows->width * PULSE_RASTER_PIXEL);

    rc = (w.info && w.row) ? pulse_raster_png_rows(&w, out, rows, plan)
                           : NGX_ERROR;

    free(w.row);
    png_destroy_write_struct(&w.png, &w.info);

    return rc;
}


static ngx_int_t
pulse_raster_png_rows(pulse_raster_png_writer_t *w, FILE *out,
    pulse_raster_rows_t *rows, const pulse_raster_plan_t *plan)
{
    ngx_uint_t  i;

    if (setjmp(png_jmpbuf(w->png))) {
        return NGX_ERROR;
    }

    png_init_io(w->png, out);
    png_set_IHDR(w->png, w->info, rows->width, rows->height, 8,
                 rows->alpha ? PNG_COLOR_TYPE_RGB_ALPHA : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);

    for (i = 0; i < rows->height; i++) {

        if (plan->stop && plan->stop(plan->ctx)) {
            return NGX_ABORT;
        }

        w->rc = rows->next(rows, w->row);
        if (w->rc != NGX_OK) {
            return w->rc;
        }

        pulse_raster_png_divide(w->row, rows->width, rows->alpha);
        png_write_row(w->png, w->row);
    }

    png_write_end(w->png, w->info);

    return NGX_OK;
}


static void
pulse_raster_png_multiply(u_char *row, ngx_uint_t n)
{
    u_char  *end;

    for (end = row + n * PULSE_RASTER_PIXEL; row < end;
         row += PULSE_RASTER_PIXEL)
    {
        if (row[3] != 0xff) {
            row[0] = (row[0] * row[3] + 127) / 255;
            row[1] = (row[1] * row[3] + 127) / 255;
            row[2] = (row[2] * row[3] + 127) / 255;
        }
    }
}


/* back, or, where nothing is transparent, to three bytes a pixel */

static void
pulse_raster_png_divide(u_char *row, ngx_uint_t n, ngx_uint_t alpha)
{
    u_char      *to;
    ngx_uint_t   a;

    for (to = row; n; n--, row += PULSE_RASTER_PIXEL) {
        a = row[3];

        if (alpha && a && a != 0xff) {
            row[0] = ngx_min((row[0] * 255 + a / 2) / a, 255);
            row[1] = ngx_min((row[1] * 255 + a / 2) / a, 255);
            row[2] = ngx_min((row[2] * 255 + a / 2) / a, 255);
        }

        *to++ = row[0];
        *to++ = row[1];
        *to++ = row[2];

        if (alpha) {
            *to++ = a;
        }
    }
}
