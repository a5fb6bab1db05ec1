
#include <fribidi.h>
#include <pango/pangocairo.h>
#include "pulse_bidi.h"
#include "pulse_raster_rows.h"


/* of the font's size: around a text that has a background, and from line to
 * line */

#define PULSE_RASTER_PADDING  0.35
#define PULSE_RASTER_LEADING  1.5

#define PULSE_RASTER_POOL     4096

/* bytes of a text's pixels that are not worth waiting for another's */

#define PULSE_RASTER_SMALL    (4 * 1024 * 1024)


typedef struct {
    pulse_raster_rows_t   rows;
    cairo_surface_t      *surface;
    ngx_uint_t            x;                /* of the surface */
    ngx_uint_t            y;
    ngx_uint_t            box;              /* its width */
    ngx_uint_t            lines;            /* its height */
    ngx_uint_t            row;
    unsigned              held:1;
} pulse_raster_overlay_t;


typedef struct {
    PangoLayout          *layout;
    ngx_uint_t            rtl;
    ngx_uint_t            width;            /* of the box */
    ngx_uint_t            height;
    ngx_uint_t            padding;
    PangoRectangle        ink;              /* pixels, with the background */
} pulse_raster_layout_t;


static ngx_int_t pulse_raster_layout(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l);
static ngx_uint_t pulse_raster_layout_base(const ngx_str_t *text);
static ngx_int_t pulse_raster_layout_text(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l);
static ngx_int_t pulse_raster_layout_lines(ngx_pulse_buf_t *b,
    ngx_str_t text, ngx_uint_t rtl);
static void pulse_raster_layout_font(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l);
static void pulse_raster_layout_lead(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l);
static void pulse_raster_layout_extents(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l);
static ngx_int_t pulse_raster_overlay_draw(pulse_raster_overlay_t *o,
    const pulse_raster_text_t *text, pulse_raster_layout_t *l);
static void pulse_raster_color(cairo_t *cr, uint32_t color);
static ngx_int_t pulse_raster_overlay_next(pulse_raster_rows_t *rows,
    u_char *row);
static void pulse_raster_overlay_close(pulse_raster_rows_t *rows);


/* in the order of pulse_raster_font_e */

static const char *const  pulse_raster_families[] = {
    "Noto Sans Arabic, Noto Sans",
    "Noto Naskh Arabic, Noto Serif",
    "Noto Kufi Arabic, Noto Sans"
};


ngx_int_t
pulse_raster_rows_text(pulse_raster_rows_t **rows,
    const pulse_raster_step_t *step, pulse_raster_step_t *drawn)
{
    ngx_int_t                rc;
    pulse_raster_rows_t     *from;
    pulse_raster_layout_t    l;
    pulse_raster_overlay_t  *o;

    from = *rows;
    from->raster->why = pulse_raster_outside;

    if (step->x >= from->width || step->width > from->width - step->x
        || step->y >= from->height || step->height > from->height - step->y)
    {
        return NGX_DECLINED;
    }

    l.width = step->width ? step->width : from->width - step->x;
    l.height = step->height ? step->height : from->height - step->y;

    rc = pulse_raster_layout(&step->text, &l);

    if (rc == NGX_DECLINED) {
        from->raster->why = pulse_raster_text_long;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = NGX_ERROR;
    o = pulse_raster_rows_create(sizeof(pulse_raster_overlay_t), from);

    if (o) {
        o->x = step->x + l.ink.x;
        o->y = step->y + l.ink.y;
        o->rows.next = pulse_raster_overlay_next;
        o->rows.close = pulse_raster_overlay_close;

        rc = pulse_raster_overlay_draw(o, &step->text, &l);

        if (rc == NGX_OK) {
            drawn->x = o->x;
            drawn->y = o->y;
            drawn->width = o->box;
            drawn->height = o->lines;

            *rows = &o->rows;

        } else {
            free(o);
        }
    }

    g_object_unref(l.layout);

    return rc;
}


/* NGX_DECLINED: it does not fit */

static ngx_int_t
pulse_raster_layout(const pulse_raster_text_t *text, pulse_raster_layout_t *l)
{
    ngx_int_t      rc;
    PangoContext  *context;

    l->padding = (text->background & 0xff)
                 ? text->size * PULSE_RASTER_PADDING : 0;

    if (l->width <= 2 * l->padding) {
        return NGX_DECLINED;
    }

    l->rtl = (text->direction == pulse_raster_auto)
             ? pulse_raster_layout_base(&text->text)
             : (text->direction == pulse_raster_rtl);

    context = pango_font_map_create_context(pango_cairo_font_map_get_default());

    pango_context_set_base_dir(context, l->rtl ? PANGO_DIRECTION_RTL
                                               : PANGO_DIRECTION_LTR);
    l->layout = pango_layout_new(context);

    g_object_unref(context);

    rc = pulse_raster_layout_text(text, l);

    if (rc == NGX_OK) {
        pulse_raster_layout_font(text, l);
        pulse_raster_layout_extents(text, l);

        if (l->ink.x < 0 || l->ink.x + l->ink.width > (int) l->width
            || l->ink.y < 0 || l->ink.y + l->ink.height > (int) l->height)
        {
            rc = NGX_DECLINED;
        }
    }

    if (rc != NGX_OK) {
        g_object_unref(l->layout);
    }

    return rc;
}


/* 1 if it is read from right to left: by what is first in it, or as a line of
 * an Arabic document that begins with a name in Latin letters */

static ngx_uint_t
pulse_raster_layout_base(const ngx_str_t *text)
{
    const char       *p, *end;
    FriBidiCharType   type;

    end = (char *) text->data + text->len;

    for (p = (char *) text->data; p < end; p = g_utf8_next_char(p)) {
        type = fribidi_get_bidi_type(g_utf8_get_char(p));

        if (FRIBIDI_IS_STRONG(type) && FRIBIDI_IS_RTL(type)) {
            return pulse_bidi_base(text, 1);
        }
    }

    return 0;
}


static ngx_int_t
pulse_raster_layout_text(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l)
{
    ngx_int_t        rc;
    ngx_str_t        clean;
    ngx_pulse_buf_t  b, lines;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&lines, 0);

    pulse_bidi_clean(&b, &text->text);

    clean.data = b.data;
    clean.len = b.len;

    rc = b.failed ? NGX_ERROR
                  : pulse_raster_layout_lines(&lines, clean, l->rtl);

    if (rc == NGX_OK) {
        pango_layout_set_auto_dir(l->layout, FALSE);
        pango_layout_set_text(l->layout, lines.len ? (char *) lines.data : "",
                              lines.len);
    }

    ngx_pulse_buf_free(&b);
    ngx_pulse_buf_free(&lines);

    return rc;
}


/* in the order in which documents set them, "820 ms" inside Arabic too */

static ngx_int_t
pulse_raster_layout_lines(ngx_pulse_buf_t *b, ngx_str_t text, ngx_uint_t rtl)
{
    u_char            *end;
    ngx_str_t          line;
    ngx_pool_t        *pool;
    ngx_uint_t         i, n;
    pulse_bidi_run_t  *runs;

    pool = ngx_create_pool(PULSE_RASTER_POOL, NULL);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    while (text.len && !b->failed) {
        end = memchr(text.data, '\n', text.len);

        line.data = text.data;
        line.len = end ? (size_t) (end - text.data) : text.len;

        runs = pulse_bidi_split(pool, &line, rtl, &n);

        b->failed |= (runs == NULL);

        for (i = 0; i < n && runs; i++) {
            pulse_bidi_append(b, &runs[i]);
        }

        if (end) {
            ngx_pulse_buf_char(b, '\n');
            line.len++;
        }

        text.data += line.len;
        text.len -= line.len;
    }

    ngx_destroy_pool(pool);

    return b->failed ? NGX_ERROR : NGX_OK;
}


static void
pulse_raster_layout_font(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l)
{
    ngx_uint_t             right;
    PangoAlignment         alignment;
    PangoFontDescription  *font;

    font = pango_font_description_new();

    pango_font_description_set_family_static(font,
                                         pulse_raster_families[text->font]);
    pango_font_description_set_absolute_size(font,
                                             text->size * PANGO_SCALE);

    if (text->bold) {
        pango_font_description_set_weight(font, PANGO_WEIGHT_BOLD);
    }

    /* the layout has a copy */

    pango_layout_set_font_description(l->layout, font);
    pango_font_description_free(font);

    pulse_raster_layout_lead(text, l);

    right = (text->align == pulse_raster_end) ? !l->rtl : l->rtl;

    alignment = right ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT;

    if (text->align == pulse_raster_middle) {
        alignment = PANGO_ALIGN_CENTER;
    }

    pango_layout_set_alignment(l->layout, alignment);
    pango_layout_set_width(l->layout,
                           (l->width - 2 * l->padding) * PANGO_SCALE);
    pango_layout_set_wrap(l->layout, PANGO_WRAP_WORD_CHAR);
}


/* Lines are of one height, whatever fonts are on them: Arabic ones claim up to
 * twice their size. */

static void
pulse_raster_layout_lead(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l)
{
    PangoAttrList  *list;

    list = pango_attr_list_new();

    pango_attr_list_insert(list, pango_attr_line_height_new_absolute(
                                     text->size * PULSE_RASTER_LEADING
                                     * PANGO_SCALE));

    pango_layout_set_attributes(l->layout, list);
    pango_attr_list_unref(list);
}


/* what is drawn on: the lines and, of letters that reach beyond them, those */

static void
pulse_raster_layout_extents(const pulse_raster_text_t *text,
    pulse_raster_layout_t *l)
{
    int             right, bottom;
    PangoRectangle  ink, lines;

    pango_layout_get_pixel_extents(l->layout, &ink, &lines);

    right = ngx_max(ink.x + ink.width, lines.x + lines.width);
    bottom = ngx_max(ink.y + ink.height, lines.y + lines.height);

    l->ink.x = ngx_min(ink.x, lines.x);
    l->ink.y = ngx_min(ink.y, lines.y);
    l->ink.width = right - l->ink.x + 2 * l->padding;
    l->ink.height = bottom - l->ink.y + 2 * l->padding;

    /* a letter's overhang at the very edge of the box is moved inside */

    l->ink.x = ngx_max(l->ink.x, 0);
    l->ink.y = 0;

    if (l->ink.x + l->ink.width > (int) l->width
        && l->ink.width <= (int) l->width)
    {
        l->ink.x = l->width - l->ink.width;
    }

    if (text->valign == pulse_raster_middle) {
        l->ink.y = ((int) l->height - l->ink.height) / 2;

    } else if (text->valign == pulse_raster_end) {
        l->ink.y = (int) l->height - l->ink.height;
    }
}


static ngx_int_t
pulse_raster_overlay_draw(pulse_raster_overlay_t *o,
    const pulse_raster_text_t *text, pulse_raster_layout_t *l)
{
    size_t           size;
    cairo_t         *cr;
    ngx_int_t        rc;
    PangoRectangle   ink, lines;

    o->box = l->ink.width;
    o->lines = l->ink.height;

    size = o->box * o->lines * PULSE_RASTER_PIXEL;
    o->held = (size > PULSE_RASTER_SMALL);

    rc = o->held ? pulse_raster_hold(o->rows.raster, size) : NGX_OK;

    if (rc != NGX_OK) {
        return rc;
    }

    o->surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, o->box,
                                            o->lines);
    cr = cairo_create(o->surface);

    if (l->padding) {
        pulse_raster_color(cr, text->background);
        cairo_paint(cr);
    }

    pango_layout_get_pixel_extents(l->layout, &ink, &lines);

    cairo_move_to(cr, (int) l->padding - ngx_min(ink.x, lines.x),
                  (int) l->padding - ngx_min(ink.y, lines.y));

    pulse_raster_color(cr, text->color);
    pango_cairo_show_layout(cr, l->layout);

    if (cairo_status(cr) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(o->surface);
        rc = NGX_ERROR;

        if (o->held) {
            pulse_raster_release();
        }
    }

    cairo_destroy(cr);

    if (rc == NGX_OK) {
        cairo_surface_flush(o->surface);
    }

    return rc;
}


static void
pulse_raster_color(cairo_t *cr, uint32_t color)
{
    cairo_set_source_rgba(cr, (color >> 24) / 255.0,
                          (color >> 16 & 0xff) / 255.0,
                          (color >> 8 & 0xff) / 255.0, (color & 0xff) / 255.0);
}


/* both are multiplied by their alpha; Cairo's pixels are numbers, 0xAARRGGBB */

static ngx_int_t
pulse_raster_overlay_next(pulse_raster_rows_t *rows, u_char *row)
{
    pulse_raster_overlay_t *o = (pulse_raster_overlay_t *) rows;

    u_char      *p;
    uint32_t    *from, *end, pixel, rest;
    ngx_int_t    rc;
    ngx_uint_t   y;

    rc = rows->from->next(rows->from, row);

    y = o->row++ - o->y;

    if (rc != NGX_OK || y >= o->lines) {
        return rc;
    }

    p = row + o->x * PULSE_RASTER_PIXEL;
    from = (uint32_t *) (cairo_image_surface_get_data(o->surface)
                         + y * cairo_image_surface_get_stride(o->surface));

    for (end = from + o->box; from < end; from++, p += PULSE_RASTER_PIXEL) {
        pixel = *from;
        rest = 255 - (pixel >> 24);

        p[0] = (pixel >> 16 & 0xff) + (p[0] * rest + 127) / 255;
        p[1] = (pixel >> 8 & 0xff) + (p[1] * rest + 127) / 255;
        p[2] = (pixel & 0xff) + (p[2] * rest + 127) / 255;
        p[3] = (pixel >> 24) + (p[3] * rest + 127) / 255;
    }

    return NGX_OK;
}


static void
pulse_raster_overlay_close(pulse_raster_rows_t *rows)
{
    pulse_raster_overlay_t *o = (pulse_raster_overlay_t *) rows;

    rows->from->close(rows->from);

    cairo_surface_destroy(o->surface);

    if (o->held) {
        pulse_raster_release();
    }

    free(o);
}
