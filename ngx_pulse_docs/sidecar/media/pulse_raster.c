
#include "pulse_raster_rows.h"


#define PULSE_RASTER_HEAD     12
#define PULSE_RASTER_QUALITY  85


static FILE *pulse_raster_open(int fd, const char *mode);
static ngx_int_t pulse_raster_head(FILE *in, pulse_raster_t *raster);
static ngx_int_t pulse_raster_rows_of(FILE *in, pulse_raster_t *raster,
    const pulse_raster_plan_t *plan, pulse_raster_rows_t **rows);
static ngx_uint_t pulse_raster_edge(const pulse_raster_t *raster,
    const pulse_raster_plan_t *plan);
static ngx_int_t pulse_raster_steps(const pulse_raster_plan_t *plan,
    pulse_raster_rows_t **rows, ngx_uint_t *done);
static ngx_int_t pulse_raster_resized(const pulse_raster_step_t *step,
    ngx_uint_t *width, ngx_uint_t *height, pulse_raster_rows_t **rows);
static ngx_int_t pulse_raster_size(const pulse_raster_step_t *step,
    ngx_uint_t *width, ngx_uint_t *height);
static ngx_int_t pulse_raster_write(int fd, pulse_raster_rows_t *rows,
    const pulse_raster_plan_t *plan);
static ngx_int_t pulse_raster_read_all(pulse_raster_rows_t *rows);
static pulse_raster_rows_t *pulse_raster_rows_blank(pulse_raster_t *raster);
static ngx_int_t pulse_raster_blank(pulse_raster_rows_t *rows, u_char *row);
static void pulse_raster_blank_close(pulse_raster_rows_t *rows);


pulse_raster_limits_t  pulse_raster_limits = {
    .bytes = 25 * 1024 * 1024,
    .pixels = 50 * 1000 * 1000,
    .whole = 40 * 1024 * 1024
};


static const char *const  pulse_raster_types[] = {
    "image/png", "image/jpeg", "image/webp"
};


/* as pulse_raster_why_e has them */

static const char *const  pulse_raster_reasons[][2] = {
    { "is no PNG, JPEG or WebP",
      "ليست صورة PNG أو JPEG أو WebP." },
    { "is broken, or cut short",
      "الصورة تالفة أو غير مكتملة." },
    { "has too many bytes",
      "حجم ملف الصورة أكبر من المسموح." },
    { "has too many pixels",
      "أبعاد الصورة أكبر من المسموح." },
    { "has too many pixels for a picture of its kind",
      "أبعاد الصورة أكبر من المسموح لنوعها." },
    { "is animated",
      "الصور المتحركة غير مدعومة." },
    { "does not have what a step asks for",
      "تتجاوز إحدى الخطوات حدود الصورة." },
    { "has no room for the text",
      "لا يتسع المكان للنص." }
};


ngx_int_t
pulse_raster_probe(int in, pulse_raster_t *raster)
{
    FILE       *file;
    ngx_int_t   rc;

    file = pulse_raster_open(in, "rb");
    if (file == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_head(file, raster);

    fclose(file);

    return rc;
}


ngx_int_t
pulse_raster_check(int in, pulse_raster_t *raster)
{
    FILE                 *file;
    ngx_int_t             rc;
    pulse_raster_rows_t  *rows;

    static const pulse_raster_plan_t  plan;

    file = pulse_raster_open(in, "rb");
    if (file == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_rows_of(file, raster, &plan, &rows);

    if (rc == NGX_OK) {
        rc = pulse_raster_read_all(rows);
        rows->close(rows);
    }

    fclose(file);

    return rc;
}


ngx_int_t
pulse_raster_thumbnail(int in, int out, ngx_uint_t edge,
    pulse_raster_t *raster)
{
    ngx_int_t            rc;
    pulse_raster_plan_t  plan;
    pulse_raster_step_t  step;

    rc = pulse_raster_probe(in, raster);
    if (rc != NGX_OK) {
        return rc;
    }

    memset(&plan, 0, sizeof(pulse_raster_plan_t));
    memset(&step, 0, sizeof(pulse_raster_step_t));

    step.step = pulse_raster_resize;
    step.width = ngx_min(edge, raster->width);
    step.height = ngx_min(edge, raster->height);

    plan.steps = &step;
    plan.nsteps = 1;
    plan.type = pulse_raster_jpeg;
    plan.quality = PULSE_RASTER_QUALITY;

    return pulse_raster_transform(in, out, &plan, raster);
}


ngx_int_t
pulse_raster_transform(int in, int out, const pulse_raster_plan_t *plan,
    pulse_raster_t *raster)
{
    FILE                 *file;
    ngx_int_t             rc;
    ngx_uint_t            done;
    pulse_raster_rows_t  *rows;

    file = pulse_raster_open(in, "rb");
    if (file == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_rows_of(file, raster, plan, &rows);

    if (rc == NGX_OK) {
        rc = pulse_raster_steps(plan, &rows, &done);

        if (rc == NGX_OK) {
            rc = pulse_raster_write(out, rows, plan);
        }

        if (rc == NGX_OK) {
            raster->type = plan->type;
            raster->width = rows->width;
            raster->height = rows->height;
            raster->alpha = rows->alpha && plan->type == pulse_raster_png;
            raster->turn = 1;
        }

        rows->close(rows);
    }

    fclose(file);

    return rc;
}


/* the descriptor stays the caller's */

static FILE *
pulse_raster_open(int fd, const char *mode)
{
    int    copy, saved;
    FILE  *file;

    copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy == -1) {
        return NULL;
    }

    file = (lseek(copy, 0, SEEK_SET) == 0) ? fdopen(copy, mode) : NULL;

    if (file == NULL) {
        saved = errno;
        close(copy);
        errno = saved;
    }

    return file;
}


static ngx_int_t
pulse_raster_head(FILE *in, pulse_raster_t *raster)
{
    u_char       head[PULSE_RASTER_HEAD];
    ngx_int_t    rc;
    struct stat  sb;

    memset(raster, 0, sizeof(pulse_raster_t));

    if (fstat(fileno(in), &sb) == -1) {
        return NGX_ERROR;
    }

    if ((size_t) sb.st_size > pulse_raster_limits.bytes) {
        raster->why = pulse_raster_heavy;
        return NGX_DECLINED;
    }

    if (fread(head, 1, sizeof(head), in) != sizeof(head)) {
        return ferror(in) ? NGX_ERROR : NGX_DECLINED;
    }

    rewind(in);

    if (memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0) {
        raster->type = pulse_raster_png;
        rc = pulse_raster_png_probe(in, raster);

    } else if (memcmp(head, "\xff\xd8\xff", 3) == 0) {
        raster->type = pulse_raster_jpeg;
        rc = pulse_raster_jpeg_probe(in, raster);

    } else if (memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0)
    {
        raster->type = pulse_raster_webp;
        rc = pulse_raster_webp_probe(in, raster);

    } else {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK
        && (raster->width > PULSE_RASTER_EDGE
            || raster->height > PULSE_RASTER_EDGE
            || raster->width * raster->height > pulse_raster_limits.pixels))
    {
        raster->why = pulse_raster_large;
        rc = NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
pulse_raster_rows_of(FILE *in, pulse_raster_t *raster,
    const pulse_raster_plan_t *plan, pulse_raster_rows_t **rows)
{
    ngx_int_t   rc;
    ngx_uint_t  edge;

    rc = pulse_raster_head(in, raster);
    if (rc != NGX_OK) {
        return rc;
    }

    rewind(in);

    edge = pulse_raster_edge(raster, plan);

    switch (raster->type) {

    case pulse_raster_png:
        rc = pulse_raster_png_read(in, raster, rows);
        break;

    case pulse_raster_jpeg:
        rc = pulse_raster_jpeg_read(in, raster, edge, rows);
        break;

    default: /* pulse_raster_webp */
        rc = pulse_raster_webp_read(in, raster, edge, rows);
        break;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = pulse_raster_rows_turn(rows, raster->turn);

    if (rc != NGX_OK) {
        (*rows)->close(*rows);
    }

    return rc;
}


/* what the first step needs of the longer edge, 0: all of it */

static ngx_uint_t
pulse_raster_edge(const pulse_raster_t *raster,
    const pulse_raster_plan_t *plan)
{
    double      across, down;
    ngx_uint_t  width, height;

    width = raster->width;
    height = raster->height;

    if (plan->nsteps == 0 || plan->steps[0].step != pulse_raster_resize
        || pulse_raster_size(&plan->steps[0], &width, &height) != NGX_OK)
    {
        return 0;
    }

    across = (double) width / raster->width;
    down = (double) height / raster->height;

    return ngx_max(across, down) * ngx_max(raster->width, raster->height) + 1;
}


/* The size is followed from the file's own: where less was decoded the rows
 * are rounded. */

static ngx_int_t
pulse_raster_steps(const pulse_raster_plan_t *plan,
    pulse_raster_rows_t **rows, ngx_uint_t *done)
{
    ngx_int_t             rc;
    ngx_uint_t            i, width, height;
    pulse_raster_step_t  *step, drawn;

    rc = NGX_OK;
    width = (*rows)->raster->width;
    height = (*rows)->raster->height;

    for (i = 0; rc == NGX_OK && i < plan->nsteps; i++) {
        step = &plan->steps[i];
        *done = i;

        switch (step->step) {

        case pulse_raster_crop:
            rc = pulse_raster_rows_crop(rows, step);
            width = step->width;
            height = step->height;
            break;

        case pulse_raster_resize:
            rc = pulse_raster_resized(step, &width, &height, rows);
            break;

        default: /* pulse_raster_overlay */
            rc = pulse_raster_rows_text(rows, step, &drawn);
            break;
        }
    }

    return rc;
}


static ngx_int_t
pulse_raster_resized(const pulse_raster_step_t *step, ngx_uint_t *width,
    ngx_uint_t *height, pulse_raster_rows_t **rows)
{
    ngx_int_t            rc;
    pulse_raster_step_t  crop;

    if (pulse_raster_size(step, width, height) != NGX_OK) {
        (*rows)->raster->why = pulse_raster_large;
        return NGX_DECLINED;
    }

    rc = pulse_raster_rows_scale(rows, *width, *height);

    if (rc != NGX_OK || step->fit != pulse_raster_cover || step->width == 0
        || step->height == 0)
    {
        return rc;
    }

    crop.x = (*width - step->width) / 2;
    crop.y = (*height - step->height) / 2;
    crop.width = step->width;
    crop.height = step->height;

    *width = step->width;
    *height = step->height;

    return pulse_raster_rows_crop(rows, &crop);
}


/* what it is scaled to, before "cover" cuts */

static ngx_int_t
pulse_raster_size(const pulse_raster_step_t *step, ngx_uint_t *width,
    ngx_uint_t *height)
{
    double  across, down, scale;

    across = (double) step->width / *width;
    down = (double) step->height / *height;

    if (step->width == 0 || step->height == 0) {
        scale = ngx_max(across, down);
        across = scale;
        down = scale;

    } else if (step->fit != pulse_raster_fill) {
        scale = (step->fit == pulse_raster_cover) ? ngx_max(across, down)
                                                  : ngx_min(across, down);
        across = scale;
        down = scale;
    }

    across = ngx_max(*width * across + 0.5, 1);
    down = ngx_max(*height * down + 0.5, 1);

    if (across > PULSE_RASTER_EDGE || down > PULSE_RASTER_EDGE
        || across * down > pulse_raster_limits.pixels)
    {
        return NGX_DECLINED;
    }

    *width = across;
    *height = down;

    return NGX_OK;
}


static ngx_int_t
pulse_raster_write(int fd, pulse_raster_rows_t *rows,
    const pulse_raster_plan_t *plan)
{
    FILE       *file;
    ngx_int_t   rc;

    file = pulse_raster_open(fd, "wb");
    if (file == NULL) {
        return NGX_ERROR;
    }

    rc = (plan->type == pulse_raster_jpeg)
         ? pulse_raster_jpeg_write(file, rows, plan)
         : pulse_raster_png_write(file, rows, plan);

    /* what was there before may have been longer */

    if (rc == NGX_OK
        && (fflush(file) != 0 || ftruncate(fileno(file), ftell(file)) == -1))
    {
        rc = NGX_ERROR;
    }

    fclose(file);

    return rc;
}


static ngx_int_t
pulse_raster_read_all(pulse_raster_rows_t *rows)
{
    u_char      *row;
    ngx_int_t    rc;
    ngx_uint_t   i;

    row = malloc(rows->width * PULSE_RASTER_PIXEL);
    if (row == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    for (i = 0; rc == NGX_OK && i < rows->height; i++) {
        rc = rows->next(rows, row);
    }

    free(row);

    return rc;
}


ngx_int_t
pulse_raster_draw(int out, const pulse_raster_step_t *step,
    pulse_raster_step_t *drawn, pulse_raster_t *raster)
{
    ngx_int_t             rc;
    pulse_raster_plan_t   plan;
    pulse_raster_rows_t  *rows;

    memset(raster, 0, sizeof(pulse_raster_t));
    memset(&plan, 0, sizeof(pulse_raster_plan_t));

    raster->width = step->x + step->width;
    raster->height = step->y + step->height;

    rows = pulse_raster_rows_blank(raster);
    if (rows == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_rows_text(&rows, step, drawn);

    if (rc == NGX_OK) {
        rc = pulse_raster_rows_crop(&rows, drawn);
    }

    if (rc == NGX_OK) {
        rc = pulse_raster_write(out, rows, &plan);
    }

    rows->close(rows);

    return rc;
}


ngx_int_t
pulse_raster_try(const pulse_raster_plan_t *plan, pulse_raster_t *raster,
    ngx_uint_t *step)
{
    ngx_int_t             rc;
    pulse_raster_rows_t  *rows;

    rows = pulse_raster_rows_blank(raster);
    if (rows == NULL) {
        return NGX_ERROR;
    }

    rc = pulse_raster_steps(plan, &rows, step);

    rows->close(rows);

    return rc;
}


static pulse_raster_rows_t *
pulse_raster_rows_blank(pulse_raster_t *raster)
{
    pulse_raster_rows_t  *rows;

    rows = pulse_raster_rows_create(sizeof(pulse_raster_rows_t), NULL);

    if (rows) {
        rows->raster = raster;
        rows->width = raster->width;
        rows->height = raster->height;
        rows->alpha = 1;
        rows->next = pulse_raster_blank;
        rows->close = pulse_raster_blank_close;
    }

    return rows;
}


static ngx_int_t
pulse_raster_blank(pulse_raster_rows_t *rows, u_char *row)
{
    memset(row, 0, rows->width * PULSE_RASTER_PIXEL);

    return NGX_OK;
}


static void
pulse_raster_blank_close(pulse_raster_rows_t *rows)
{
    free(rows);
}


const char *
pulse_raster_content_type(pulse_raster_type_e type)
{
    return pulse_raster_types[type];
}


const char *
pulse_raster_reason(pulse_raster_why_e why, ngx_uint_t arabic)
{
    return pulse_raster_reasons[why][arabic];
}
