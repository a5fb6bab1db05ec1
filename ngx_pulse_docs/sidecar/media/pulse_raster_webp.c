
#include "pulse_raster_rows.h"
#include <sys/mman.h>
#include <webp/decode.h>


#define PULSE_RASTER_WEBP_LOSSLESS  2       /* of features.format */


typedef struct {
    pulse_raster_rows_t   rows;
    u_char               *whole;
    ngx_uint_t            row;
} pulse_raster_webp_t;


typedef struct {
    u_char               *data;
    size_t                len;
    WebPDecoderConfig     config;
} pulse_raster_webp_file_t;


static ngx_int_t pulse_raster_webp_open(FILE *in, pulse_raster_t *raster,
    pulse_raster_webp_file_t *file);
static ngx_int_t pulse_raster_webp_decode(pulse_raster_webp_t *p,
    pulse_raster_webp_file_t *file, ngx_uint_t edge);
static ngx_int_t pulse_raster_webp_next(pulse_raster_rows_t *rows,
    u_char *row);
static void pulse_raster_webp_close(pulse_raster_rows_t *rows);


ngx_int_t
pulse_raster_webp_probe(FILE *in, pulse_raster_t *raster)
{
    ngx_int_t                 rc;
    pulse_raster_webp_file_t  file;

    rc = pulse_raster_webp_open(in, raster, &file);

    if (rc == NGX_OK) {
        (void) munmap(file.data, file.len);
    }

    return rc;
}


ngx_int_t
pulse_raster_webp_read(FILE *in, pulse_raster_t *raster, ngx_uint_t edge,
    pulse_raster_rows_t **rows)
{
    ngx_int_t                 rc;
    pulse_raster_webp_t      *p;
    pulse_raster_webp_file_t  file;

    rc = pulse_raster_webp_open(in, raster, &file);
    if (rc != NGX_OK) {
        return rc;
    }

    p = pulse_raster_rows_create(sizeof(pulse_raster_webp_t), NULL);
    if (p == NULL) {
        (void) munmap(file.data, file.len);
        return NGX_ERROR;
    }

    p->rows.raster = raster;
    p->rows.next = pulse_raster_webp_next;
    p->rows.close = pulse_raster_webp_close;
    p->rows.alpha = raster->alpha;

    rc = pulse_raster_webp_decode(p, &file, edge);

    (void) munmap(file.data, file.len);

    if (rc != NGX_OK) {
        pulse_raster_webp_close(&p->rows);
        return rc;
    }

    *rows = &p->rows;

    return NGX_OK;
}


static ngx_int_t
pulse_raster_webp_open(FILE *in, pulse_raster_t *raster,
    pulse_raster_webp_file_t *file)
{
    struct stat              sb;
    WebPBitstreamFeatures   *features;

    if (fstat(fileno(in), &sb) == -1) {
        return NGX_ERROR;
    }

    file->len = sb.st_size;
    file->data = mmap(NULL, file->len, PROT_READ, MAP_PRIVATE, fileno(in), 0);

    if (file->data == MAP_FAILED) {
        return NGX_ERROR;
    }

    features = &file->config.input;
    raster->why = pulse_raster_broken;

    if (!WebPInitDecoderConfig(&file->config)
        || WebPGetFeatures(file->data, file->len, features)
           != VP8_STATUS_OK)
    {
        (void) munmap(file->data, file->len);
        return NGX_DECLINED;
    }

    if (features->has_animation) {
        (void) munmap(file->data, file->len);
        raster->why = pulse_raster_animated;
        return NGX_DECLINED;
    }

    raster->width = features->width;
    raster->height = features->height;
    raster->alpha = features->has_alpha;
    raster->turn = 1;

    return NGX_OK;
}


/* What is lossless is there twice while it is decoded. */

static ngx_int_t
pulse_raster_webp_decode(pulse_raster_webp_t *p,
    pulse_raster_webp_file_t *file, ngx_uint_t edge)
{
    size_t              size, inner;
    ngx_int_t           rc;
    ngx_uint_t          longer;
    pulse_raster_t     *raster;
    WebPDecoderConfig  *config;

    config = &file->config;
    raster = p->rows.raster;
    longer = ngx_max(raster->width, raster->height);

    p->rows.width = raster->width;
    p->rows.height = raster->height;

    if (edge && longer > edge) {
        p->rows.width = ngx_max(raster->width * edge / longer, 1);
        p->rows.height = ngx_max(raster->height * edge / longer, 1);

        config->options.use_scaling = 1;
        config->options.scaled_width = p->rows.width;
        config->options.scaled_height = p->rows.height;
    }

    size = p->rows.width * p->rows.height * PULSE_RASTER_PIXEL;
    inner = raster->width * raster->height;
    inner *= (config->input.format == PULSE_RASTER_WEBP_LOSSLESS)
             ? PULSE_RASTER_PIXEL : raster->alpha;

    rc = pulse_raster_hold(raster, size + inner);
    if (rc != NGX_OK) {
        return rc;
    }

    p->whole = malloc(size);

    if (p->whole == NULL) {
        pulse_raster_release();
        return NGX_ERROR;
    }

    config->output.colorspace = MODE_rgbA;
    config->output.is_external_memory = 1;
    config->output.u.RGBA.rgba = p->whole;
    config->output.u.RGBA.stride = p->rows.width * PULSE_RASTER_PIXEL;
    config->output.u.RGBA.size = size;

    raster->why = pulse_raster_broken;

    return (WebPDecode(file->data, file->len, config) == VP8_STATUS_OK)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
pulse_raster_webp_next(pulse_raster_rows_t *rows, u_char *row)
{
    pulse_raster_webp_t *p = (pulse_raster_webp_t *) rows;

    memcpy(row, p->whole + p->row++ * rows->width * PULSE_RASTER_PIXEL,
           rows->width * PULSE_RASTER_PIXEL);

    return NGX_OK;
}


static void
pulse_raster_webp_close(pulse_raster_rows_t *rows)
{
    pulse_raster_webp_t *p = (pulse_raster_webp_t *) rows;

    if (p->whole) {
        free(p->whole);
        pulse_raster_release();
    }

    free(p);
}
