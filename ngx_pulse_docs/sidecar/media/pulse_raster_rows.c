
#include "pulse_raster_rows.h"
#include <pthread.h>


#define PULSE_RASTER_OPAQUE  3              /* bytes of a pixel held whole */


typedef struct {
    pulse_raster_rows_t   rows;
    ngx_uint_t            x;
    ngx_uint_t            skip;             /* rows above it */
    u_char               *row;
} pulse_raster_cut_t;


typedef struct {
    pulse_raster_rows_t   rows;
    ngx_uint_t            row;              /* that comes next */
    ngx_uint_t            read;             /* rows of the source */
    u_char               *source;
    float                *sum;
    float                *before;           /* two of its rows in the new */
    float                *last;             /* width */
} pulse_raster_scale_t;


typedef struct {
    pulse_raster_rows_t   rows;
    ngx_uint_t            turn;
    ngx_uint_t            row;
    u_char               *whole;
} pulse_raster_turned_t;


static ngx_int_t pulse_raster_cut_next(pulse_raster_rows_t *rows, u_char *row);
static void pulse_raster_cut_close(pulse_raster_rows_t *rows);
static ngx_int_t pulse_raster_scale_next(pulse_raster_rows_t *rows,
    u_char *row);
static ngx_int_t pulse_raster_scale_down(pulse_raster_scale_t *s);
static ngx_int_t pulse_raster_scale_up(pulse_raster_scale_t *s);
static ngx_int_t pulse_raster_scale_read(pulse_raster_scale_t *s,
    ngx_uint_t until);
static void pulse_raster_scale_narrow(pulse_raster_scale_t *s);
static void pulse_raster_scale_widen(pulse_raster_scale_t *s);
static float pulse_raster_scale_at(ngx_uint_t i, ngx_uint_t from,
    ngx_uint_t to, ngx_uint_t *low, ngx_uint_t *high);
static void pulse_raster_scale_close(pulse_raster_rows_t *rows);
static ngx_int_t pulse_raster_turned_read(pulse_raster_turned_t *t,
    pulse_raster_rows_t *from);
static ngx_int_t pulse_raster_turned_next(pulse_raster_rows_t *rows,
    u_char *row);
static void pulse_raster_turned_close(pulse_raster_rows_t *rows);


static pthread_mutex_t  pulse_raster_mutex =
    PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static size_t           pulse_raster_held;
static ngx_uint_t       pulse_raster_holds;


void *
pulse_raster_rows_create(size_t size, pulse_raster_rows_t *from)
{
    pulse_raster_rows_t  *rows;

    rows = calloc(1, size);

    if (rows && from) {
        rows->width = from->width;
        rows->height = from->height;
        rows->alpha = from->alpha;
        rows->raster = from->raster;
        rows->from = from;
    }

    return rows;
}


ngx_int_t
pulse_raster_rows_crop(pulse_raster_rows_t **rows,
    const pulse_raster_step_t *step)
{
    pulse_raster_cut_t   *cut;
    pulse_raster_rows_t  *from;

    from = *rows;

    if (step->width == 0 || step->width > from->width
        || step->x > from->width - step->width
        || step->height == 0 || step->height > from->height
        || step->y > from->height - step->height)
    {
        from->raster->why = pulse_raster_outside;
        return NGX_DECLINED;
    }

    cut = pulse_raster_rows_create(sizeof(pulse_raster_cut_t), from);
    if (cut == NULL) {
        return NGX_ERROR;
    }

    cut->row = malloc(from->width * PULSE_RASTER_PIXEL);

    if (cut->row == NULL) {
        free(cut);
        return NGX_ERROR;
    }

    cut->x = step->x;
    cut->skip = step->y;
    cut->rows.width = step->width;
    cut->rows.height = step->height;
    cut->rows.next = pulse_raster_cut_next;
    cut->rows.close = pulse_raster_cut_close;

    *rows = &cut->rows;

    return NGX_OK;
}


static ngx_int_t
pulse_raster_cut_next(pulse_raster_rows_t *rows, u_char *row)
{
    pulse_raster_cut_t *cut = (pulse_raster_cut_t *) rows;

    ngx_int_t  rc;

    do {
        rc = rows->from->next(rows->from, cut->row);
        if (rc != NGX_OK) {
            return rc;
        }

    } while (cut->skip && cut->skip--);

    memcpy(row, cut->row + cut->x * PULSE_RASTER_PIXEL,
           rows->width * PULSE_RASTER_PIXEL);

    return NGX_OK;
}


static void
pulse_raster_cut_close(pulse_raster_rows_t *rows)
{
    pulse_raster_cut_t *cut = (pulse_raster_cut_t *) rows;

    rows->from->close(rows->from);

    free(cut->row);
    free(cut);
}


ngx_int_t
pulse_raster_rows_scale(pulse_raster_rows_t **rows, ngx_uint_t width,
    ngx_uint_t height)
{
    pulse_raster_rows_t   *from;
    pulse_raster_scale_t  *s;

    from = *rows;

    if (from->width == width && from->height == height) {
        return NGX_OK;
    }

    s = pulse_raster_rows_create(sizeof(pulse_raster_scale_t), from);
    if (s == NULL) {
        return NGX_ERROR;
    }

    s->rows.width = width;
    s->rows.height = height;
    s->rows.next = pulse_raster_scale_next;
    s->rows.close = pulse_raster_scale_close;

    s->source = malloc(from->width * PULSE_RASTER_PIXEL);
    s->sum = calloc(width * PULSE_RASTER_PIXEL, sizeof(float));
    s->before = calloc(width * PULSE_RASTER_PIXEL, sizeof(float));
    s->last = calloc(width * PULSE_RASTER_PIXEL, sizeof(float));

    if (s->source == NULL || s->sum == NULL || s->before == NULL
        || s->last == NULL)
    {
        s->rows.from = NULL;
        pulse_raster_scale_close(&s->rows);
        return NGX_ERROR;
    }

    *rows = &s->rows;

    return NGX_OK;
}


/* Smaller is the average of what a pixel covers, larger is drawn between the
 * centers of two: at most two rows are needed at a time. */

static ngx_int_t
pulse_raster_scale_next(pulse_raster_rows_t *rows, u_char *row)
{
    pulse_raster_scale_t *s = (pulse_raster_scale_t *) rows;

    ngx_int_t   rc;
    ngx_uint_t  i;

    rc = (rows->height <= rows->from->height) ? pulse_raster_scale_down(s)
                                              : pulse_raster_scale_up(s);
    if (rc != NGX_OK) {
        return rc;
    }

    s->row++;

    for (i = 0; i < rows->width * PULSE_RASTER_PIXEL; i++) {
        row[i] = s->sum[i] + 0.5f;
    }

    return NGX_OK;
}


/* in units in which a row of either has a whole length: the new one's is as
 * long as the old one has rows, and the other way round */

static ngx_int_t
pulse_raster_scale_down(pulse_raster_scale_t *s)
{
    float       share;
    ngx_int_t   rc;
    ngx_uint_t  i, from, to, pos, end, part;

    from = s->rows.from->height;
    to = s->rows.height;
    end = (s->row + 1) * from;

    memset(s->sum, 0, s->rows.width * PULSE_RASTER_PIXEL * sizeof(float));

    for (pos = s->row * from; pos < end; pos += part) {

        rc = pulse_raster_scale_read(s, pos / to + 1);
        if (rc != NGX_OK) {
            return rc;
        }

        part = ngx_min(end, (pos / to + 1) * to) - pos;
        share = (float) part / from;

        for (i = 0; i < s->rows.width * PULSE_RASTER_PIXEL; i++) {
            s->sum[i] += s->last[i] * share;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_raster_scale_up(pulse_raster_scale_t *s)
{
    float       share;
    ngx_int_t   rc;
    ngx_uint_t  i, low, high;

    share = pulse_raster_scale_at(s->row, s->rows.from->height,
                                  s->rows.height, &low, &high);

    rc = pulse_raster_scale_read(s, high + 1);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < s->rows.width * PULSE_RASTER_PIXEL; i++) {
        s->sum[i] = (low == high) ? s->last[i]
                    : s->before[i] + (s->last[i] - s->before[i]) * share;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_raster_scale_read(pulse_raster_scale_t *s, ngx_uint_t until)
{
    float      *swap;
    ngx_int_t   rc;

    while (s->read < until) {
        rc = s->rows.from->next(s->rows.from, s->source);
        if (rc != NGX_OK) {
            return rc;
        }

        swap = s->before;
        s->before = s->last;
        s->last = swap;

        if (s->rows.width <= s->rows.from->width) {
            pulse_raster_scale_narrow(s);

        } else {
            pulse_raster_scale_widen(s);
        }

        s->read++;
    }

    return NGX_OK;
}


static void
pulse_raster_scale_narrow(pulse_raster_scale_t *s)
{
    float       *to, share;
    u_char      *p;
    ngx_uint_t   i, from, n, pos, end, part;

    from = s->rows.from->width;
    n = s->rows.width;
    to = s->last;

    for (i = 0; i < n; i++, to += PULSE_RASTER_PIXEL) {
        to[0] = to[1] = to[2] = to[3] = 0;
        end = (i + 1) * from;

        for (pos = i * from; pos < end; pos += part) {
            part = ngx_min(end, (pos / n + 1) * n) - pos;
            share = (float) part / from;
            p = s->source + pos / n * PULSE_RASTER_PIXEL;

            to[0] += p[0] * share;
            to[1] += p[1] * share;
            to[2] += p[2] * share;
            to[3] += p[3] * share;
        }
    }
}


static void
pulse_raster_scale_widen(pulse_raster_scale_t *s)
{
    float       *to, share;
    u_char      *p, *q;
    ngx_uint_t   i, k, low, high;

    to = s->last;

    for (i = 0; i < s->rows.width; i++) {
        share = pulse_raster_scale_at(i, s->rows.from->width, s->rows.width,
                                      &low, &high);

        p = s->source + low * PULSE_RASTER_PIXEL;
        q = s->source + high * PULSE_RASTER_PIXEL;

        for (k = 0; k < PULSE_RASTER_PIXEL; k++) {
            *to++ = p[k] + (q[k] - p[k]) * share;
        }
    }
}


/* the two whose centers are around the center of the i-th, and how far it is
 * from the first of them */

static float
pulse_raster_scale_at(ngx_uint_t i, ngx_uint_t from, ngx_uint_t to,
    ngx_uint_t *low, ngx_uint_t *high)
{
    double  at;

    at = (i + 0.5) * from / to - 0.5;
    at = ngx_max(at, 0);

    *low = ngx_min((ngx_uint_t) at, from - 1);
    *high = ngx_min(*low + 1, from - 1);

    return at - *low;
}


static void
pulse_raster_scale_close(pulse_raster_rows_t *rows)
{
    pulse_raster_scale_t *s = (pulse_raster_scale_t *) rows;

    if (rows->from) {
        rows->from->close(rows->from);
    }

    free(s->source);
    free(s->sum);
    free(s->before);
    free(s->last);
    free(s);
}


ngx_int_t
pulse_raster_rows_turn(pulse_raster_rows_t **rows, ngx_uint_t turn)
{
    size_t                  size;
    ngx_int_t               rc;
    pulse_raster_rows_t    *from;
    pulse_raster_turned_t  *t;

    from = *rows;

    if (turn == 1) {
        return NGX_OK;
    }

    t = pulse_raster_rows_create(sizeof(pulse_raster_turned_t), from);
    if (t == NULL) {
        return NGX_ERROR;
    }

    size = from->width * from->height * PULSE_RASTER_OPAQUE;

    rc = pulse_raster_hold(from->raster, size);

    if (rc != NGX_OK) {
        free(t);
        return rc;
    }

    t->turn = turn;
    t->rows.next = pulse_raster_turned_next;
    t->rows.close = pulse_raster_turned_close;

    if (turn >= 5) {
        t->rows.width = from->height;
        t->rows.height = from->width;
    }

    t->whole = malloc(size);

    rc = t->whole ? pulse_raster_turned_read(t, from) : NGX_ERROR;

    if (rc != NGX_OK) {
        pulse_raster_release();
        free(t->whole);
        free(t);
        return rc;
    }

    *rows = &t->rows;

    return NGX_OK;
}


static ngx_int_t
pulse_raster_turned_read(pulse_raster_turned_t *t, pulse_raster_rows_t *from)
{
    u_char      *row, *p;
    ngx_int_t    rc;
    ngx_uint_t   i, x;

    row = malloc(from->width * PULSE_RASTER_PIXEL);
    if (row == NULL) {
        return NGX_ERROR;
    }

    p = t->whole;
    rc = NGX_OK;

    for (i = 0; rc == NGX_OK && i < from->height; i++) {
        rc = from->next(from, row);

        for (x = 0; x < from->width; x++, p += PULSE_RASTER_OPAQUE) {
            memcpy(p, row + x * PULSE_RASTER_PIXEL, PULSE_RASTER_OPAQUE);
        }
    }

    free(row);

    return rc;
}


/* where the file has it: 2 mirrored, 3 upside down, 5 to 8 on its side (EXIF
 * 2.32, 4.6.5, Orientation) */

static ngx_int_t
pulse_raster_turned_next(pulse_raster_rows_t *rows, u_char *row)
{
    pulse_raster_turned_t *t = (pulse_raster_turned_t *) rows;

    ngx_uint_t            i, x, y;
    pulse_raster_rows_t  *from;

    from = rows->from;

    for (i = 0; i < rows->width; i++) {
        x = (t->turn < 5) ? i : t->row;
        y = (t->turn < 5) ? t->row : i;

        if (t->turn == 2 || t->turn == 3 || t->turn == 7 || t->turn == 8) {
            x = from->width - 1 - x;
        }

        if (t->turn == 3 || t->turn == 4 || t->turn == 6 || t->turn == 7) {
            y = from->height - 1 - y;
        }

        memcpy(row, t->whole + (y * from->width + x) * PULSE_RASTER_OPAQUE,
               PULSE_RASTER_OPAQUE);

        row[3] = 0xff;
        row += PULSE_RASTER_PIXEL;
    }

    t->row++;

    return NGX_OK;
}


static void
pulse_raster_turned_close(pulse_raster_rows_t *rows)
{
    pulse_raster_turned_t *t = (pulse_raster_turned_t *) rows;

    rows->from->close(rows->from);

    pulse_raster_release();
    free(t->whole);
    free(t);
}


ngx_int_t
pulse_raster_hold(pulse_raster_t *raster, size_t bytes)
{
    pthread_mutex_lock(&pulse_raster_mutex);

    if (bytes <= pulse_raster_limits.whole
        && pulse_raster_held <= pulse_raster_limits.whole - bytes)
    {
        pulse_raster_held += bytes;
        pulse_raster_holds++;

        return NGX_OK;
    }

    pthread_mutex_unlock(&pulse_raster_mutex);

    raster->why = pulse_raster_whole;

    return NGX_DECLINED;
}


void
pulse_raster_release(void)
{
    if (--pulse_raster_holds == 0) {
        pulse_raster_held = 0;
    }

    pthread_mutex_unlock(&pulse_raster_mutex);
}
