
#include <setjmp.h>
#include "pulse_raster_rows.h"
#include <jpeglib.h>
#include <jerror.h>


#define PULSE_RASTER_JPEG_SCANS  200
#define PULSE_RASTER_JPEG_HEAD   65536      /* where EXIF is */
#define PULSE_RASTER_JPEG_BLOCK  (DCTSIZE2 * sizeof(JCOEF))


typedef struct {
    struct jpeg_error_mgr          manager;
    jmp_buf                        jump;
} pulse_raster_jpeg_error_t;


typedef struct {
    pulse_raster_rows_t            rows;
    struct jpeg_decompress_struct  cinfo;
    pulse_raster_jpeg_error_t      error;
    struct jpeg_progress_mgr       progress;
    unsigned                       held:1;
} pulse_raster_jpeg_t;


typedef struct {
    struct jpeg_compress_struct    cinfo;
    pulse_raster_jpeg_error_t      error;
    u_char                        *row;
} pulse_raster_jpeg_writer_t;


static pulse_raster_jpeg_t *pulse_raster_jpeg_open(FILE *in,
    pulse_raster_t *raster);
static ngx_int_t pulse_raster_jpeg_head(pulse_raster_jpeg_t *p, FILE *in);
static ngx_int_t pulse_raster_jpeg_begin(pulse_raster_jpeg_t *p,
    ngx_uint_t edge);
static ngx_int_t pulse_raster_jpeg_hold(pulse_raster_jpeg_t *p);
static ngx_int_t pulse_raster_jpeg_next(pulse_raster_rows_t *rows,
    u_char *row);
static void pulse_raster_jpeg_inks(u_char *row, ngx_uint_t n,
    ngx_uint_t inverted);
static void pulse_raster_jpeg_close(pulse_raster_rows_t *rows);
static void pulse_raster_jpeg_handle(struct jpeg_error_mgr *manager);
static void pulse_raster_jpeg_exit(j_common_ptr cinfo);
static void pulse_raster_jpeg_message(j_common_ptr cinfo, int level);
static void pulse_raster_jpeg_scans(j_common_ptr cinfo);
static ngx_int_t pulse_raster_jpeg_rows(pulse_raster_jpeg_writer_t *w,
    FILE *out, pulse_raster_rows_t *rows, const pulse_raster_plan_t *plan);
static void pulse_raster_jpeg_flatten(u_char *row, ngx_uint_t n);


ngx_int_t
pulse_raster_jpeg_probe(FILE *in, pulse_raster_t *raster)
{
    ngx_int_t             rc;
    pulse_raster_jpeg_t  *p;

    p = pulse_raster_jpeg_open(in, raster);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_jpeg_head(p, in);

    pulse_raster_jpeg_close(&p->rows);

    return rc;
}


ngx_int_t
pulse_raster_jpeg_read(FILE *in, pulse_raster_t *raster, ngx_uint_t edge,
    pulse_raster_rows_t **rows)
{
    ngx_int_t             rc;
    pulse_raster_jpeg_t  *p;

    p = pulse_raster_jpeg_open(in, raster);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_jpeg_head(p, in);

    if (rc == NGX_OK) {
        rc = pulse_raster_jpeg_hold(p);
    }

    if (rc == NGX_OK) {
        rc = pulse_raster_jpeg_begin(p, edge);
    }

    if (rc != NGX_OK) {
        pulse_raster_jpeg_close(&p->rows);
        return rc;
    }

    *rows = &p->rows;

    return NGX_OK;
}


static pulse_raster_jpeg_t *
pulse_raster_jpeg_open(FILE *in, pulse_raster_t *raster)
{
    pulse_raster_jpeg_t  *p;

    p = pulse_raster_rows_create(sizeof(pulse_raster_jpeg_t), NULL);
    if (p == NULL) {
        return NULL;
    }

    p->rows.raster = raster;
    p->rows.next = pulse_raster_jpeg_next;
    p->rows.close = pulse_raster_jpeg_close;

    p->cinfo.err = &p->error.manager;
    pulse_raster_jpeg_handle(&p->error.manager);

    return p;
}


static ngx_int_t
pulse_raster_jpeg_head(pulse_raster_jpeg_t *p, FILE *in)
{
    u_char           head[PULSE_RASTER_JPEG_HEAD];
    size_t           len;
    ngx_uint_t       width, height;
    pulse_raster_t  *raster;

    raster = p->rows.raster;
    raster->why = pulse_raster_broken;

    len = fread(head, 1, sizeof(head), in);
    rewind(in);

    raster->turn = pulse_raster_exif_turn(head, len);
    raster->alpha = 0;

    if (setjmp(p->error.jump)) {
        return NGX_DECLINED;
    }

    jpeg_create_decompress(&p->cinfo);
    jpeg_stdio_src(&p->cinfo, in);
    (void) jpeg_read_header(&p->cinfo, TRUE);

    width = p->cinfo.image_width;
    height = p->cinfo.image_height;

    raster->width = (raster->turn < 5) ? width : height;
    raster->height = (raster->turn < 5) ? height : width;

    return NGX_OK;
}


/* with several scans all coefficients are there at once */

static ngx_int_t
pulse_raster_jpeg_hold(pulse_raster_jpeg_t *p)
{
    int                   i;
    size_t                blocks;
    ngx_int_t             rc;
    jpeg_component_info  *component;

    if (setjmp(p->error.jump)) {
        return NGX_DECLINED;
    }

    if (!jpeg_has_multiple_scans(&p->cinfo)) {
        return NGX_OK;
    }

    blocks = 0;

    for (i = 0; i < p->cinfo.num_components; i++) {
        component = &p->cinfo.comp_info[i];
        blocks += (size_t) component->width_in_blocks
                  * component->height_in_blocks;
    }

    rc = pulse_raster_hold(p->rows.raster, blocks * PULSE_RASTER_JPEG_BLOCK);

    p->held = (rc == NGX_OK);

    return rc;
}


static ngx_int_t
pulse_raster_jpeg_begin(pulse_raster_jpeg_t *p, ngx_uint_t edge)
{
    struct jpeg_decompress_struct  *cinfo;

    cinfo = &p->cinfo;

    if (setjmp(p->error.jump)) {
        return NGX_DECLINED;
    }

    cinfo->progress = &p->progress;
    p->progress.progress_monitor = pulse_raster_jpeg_scans;

    cinfo->out_color_space = (cinfo->num_components == 4) ? JCS_CMYK
                                                           : JCS_EXT_RGBA;
    cinfo->scale_num = DCTSIZE;
    cinfo->scale_denom = DCTSIZE;

    while (edge && cinfo->scale_num > 1
           && ngx_max(cinfo->image_width, cinfo->image_height)
              * (cinfo->scale_num - 1) / DCTSIZE >= edge)
    {
        cinfo->scale_num--;
    }

    jpeg_start_decompress(cinfo);

    p->rows.width = cinfo->output_width;
    p->rows.height = cinfo->output_height;

    return NGX_OK;
}


static ngx_int_t
pulse_raster_jpeg_next(pulse_raster_rows_t *rows, u_char *row)
{
    pulse_raster_jpeg_t *p = (pulse_raster_jpeg_t *) rows;

    rows->raster->why = pulse_raster_broken;

    if (setjmp(p->error.jump)) {
        return NGX_DECLINED;
    }

    (void) jpeg_read_scanlines(&p->cinfo, &row, 1);

    if (p->cinfo.out_color_space == JCS_CMYK) {
        pulse_raster_jpeg_inks(row, rows->width,
                               p->cinfo.saw_Adobe_marker);
    }

    return NGX_OK;
}


/* Adobe's inks are inverted: 255 is none */

static void
pulse_raster_jpeg_inks(u_char *row, ngx_uint_t n, ngx_uint_t inverted)
{
    u_char      *end;
    ngx_uint_t   i, black;

    for (end = row + n * PULSE_RASTER_PIXEL; row < end;
         row += PULSE_RASTER_PIXEL)
    {
        black = inverted ? row[3] : 255 - row[3];

        for (i = 0; i < 3; i++) {
            row[i] = (inverted ? row[i] : 255 - row[i]) * black / 255;
        }

        row[3] = 0xff;
    }
}


static void
pulse_raster_jpeg_close(pulse_raster_rows_t *rows)
{
    pulse_raster_jpeg_t *p = (pulse_raster_jpeg_t *) rows;

    jpeg_destroy_decompress(&p->cinfo);

    if (p->held) {
        pulse_raster_release();
    }

    free(p);
}


static void
pulse_raster_jpeg_handle(struct jpeg_error_mgr *manager)
{
    (void) jpeg_std_error(manager);

    manager->error_exit = pulse_raster_jpeg_exit;
    manager->emit_message = pulse_raster_jpeg_message;
}


static void
pulse_raster_jpeg_exit(j_common_ptr cinfo)
{
    longjmp(((pulse_raster_jpeg_error_t *) cinfo->err)->jump, 1);
}


/* The library goes on with gray where data is missing.  Other warnings are of
 * files that every program shows. */

static void
pulse_raster_jpeg_message(j_common_ptr cinfo, int level)
{
    switch (cinfo->err->msg_code) {

    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
        pulse_raster_jpeg_exit(cinfo);
    }
}


/* each scan goes over all of the picture, and takes but a few bytes */

static void
pulse_raster_jpeg_scans(j_common_ptr cinfo)
{
    if (((j_decompress_ptr) cinfo)->input_scan_number
        > PULSE_RASTER_JPEG_SCANS)
    {
        pulse_raster_jpeg_exit(cinfo);
    }
}


ngx_int_t
pulse_raster_jpeg_write(FILE *out, pulse_raster_rows_t *rows,
    const pulse_raster_plan_t *plan)
{
    ngx_int_t                    rc;
    pulse_raster_jpeg_writer_t  *w;

    w = calloc(1, sizeof(pulse_raster_jpeg_writer_t));
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->row = malloc(rows->width * PULSE_RASTER_PIXEL);
    w->cinfo.err = &w->error.manager;
    pulse_raster_jpeg_handle(&w->error.manager);

    rc = w->row ? pulse_raster_jpeg_rows(w, out, rows, plan) : NGX_ERROR;

    jpeg_destroy_compress(&w->cinfo);
    free(w->row);
    free(w);

    return rc;
}


static ngx_int_t
pulse_raster_jpeg_rows(pulse_raster_jpeg_writer_t *w, FILE *out,
    pulse_raster_rows_t *rows, const pulse_raster_plan_t *plan)
{
    ngx_int_t  rc;

    if (setjmp(w->error.jump)) {
        return NGX_ERROR;
    }

    jpeg_create_compress(&w->cinfo);
    jpeg_stdio_dest(&w->cinfo, out);

    w->cinfo.image_width = rows->width;
    w->cinfo.image_height = rows->height;
    w->cinfo.input_components = PULSE_RASTER_PIXEL;
    w->cinfo.in_color_space = JCS_EXT_RGBX;

    jpeg_set_defaults(&w->cinfo);
    jpeg_set_quality(&w->cinfo, plan->quality, TRUE);
    jpeg_start_compress(&w->cinfo, TRUE);

    while (w->cinfo.next_scanline < w->cinfo.image_height) {

        if (plan->stop && plan->stop(plan->ctx)) {
            return NGX_ABORT;
        }

        rc = rows->next(rows, w->row);
        if (rc != NGX_OK) {
            return rc;
        }

        if (rows->alpha) {
            pulse_raster_jpeg_flatten(w->row, rows->width);
        }

        (void) jpeg_write_scanlines(&w->cinfo, &w->row, 1);
    }

    jpeg_finish_compress(&w->cinfo);

    return NGX_OK;
}


/* on white */

static void
pulse_raster_jpeg_flatten(u_char *row, ngx_uint_t n)
{
    u_char  *end, rest;

    for (end = row + n * PULSE_RASTER_PIXEL; row < end;
         row += PULSE_RASTER_PIXEL)
    {
        rest = 0xff - row[3];

        row[0] += rest;
        row[1] += rest;
        row[2] += rest;
    }
}
