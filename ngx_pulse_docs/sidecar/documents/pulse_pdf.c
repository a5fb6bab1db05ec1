
#include "pulse_pdf.h"


/* all files of one content are the same file */

#define PULSE_PDF_DATE    "2000-01-01T00:00:00Z"

/* height of a single line, and how much more of a letter is above the
 * baseline than below it, for a size of 1 */

#define PULSE_PDF_LATIN   1.25
#define PULSE_PDF_ARABIC  1.4
#define PULSE_PDF_RISE    0.6


typedef struct {
    const pulse_picture_t  *picture;
    ngx_str_t               piece;
    size_t                  read;           /* of the piece */
} pulse_pdf_png_t;


static cairo_status_t pulse_pdf_append(void *closure,
    const unsigned char *data, unsigned int len);
static void pulse_pdf_catalog(pulse_pdf_t *pdf);
static char *pulse_pdf_last(const ngx_pulse_buf_t *b, const char *text);
static cairo_status_t pulse_pdf_read(void *closure, unsigned char *data,
    unsigned int len);
static void pulse_pdf_turn(pulse_pdf_t *pdf, const pulse_picture_t *picture);
static PangoAlignment pulse_pdf_alignment(pulse_pdf_t *pdf,
    const pulse_pdf_style_t *style, pulse_pdf_text_t *text);
static void pulse_pdf_font(pulse_pdf_t *pdf, const pulse_pdf_style_t *style,
    PangoLayout *layout);
static ngx_int_t pulse_pdf_break(pulse_pdf_t *pdf,
    const pulse_pdf_style_t *style, pulse_pdf_text_t *text);
static void pulse_pdf_attributes(const pulse_pdf_style_t *style,
    pulse_pdf_text_t *text);
static void pulse_pdf_attribute(PangoAttrList *list,
    PangoAttribute *attribute, size_t start, size_t end);
static PangoAttribute *pulse_pdf_foreground(uint32_t color);
static void pulse_pdf_links(pulse_pdf_t *pdf, pulse_pdf_text_t *text,
    pulse_pdf_line_t *line, double x, double y);
static void pulse_pdf_link(pulse_pdf_t *pdf, const ngx_str_t *url, double x,
    double y, double width, double height);


/* in the order of pulse_font_e; all have Arabic and Latin, and all are free
 * to embed (SIL Open Font License) */

static const char *const  pulse_pdf_families[] = {
    "Noto Sans Arabic, Noto Sans",
    "Noto Naskh Arabic, Noto Serif",
    "Noto Kufi Arabic, Noto Sans"
};


ngx_int_t
pulse_pdf_start(pulse_pdf_t *pdf, ngx_pool_t *pool, const ngx_str_t *title,
    const ngx_str_t *author, pulse_font_e font, ngx_uint_t rtl, double width,
    double height, ngx_pulse_buf_t *out)
{
    pdf->pool = pool;
    pdf->out = out;
    pdf->family = pulse_pdf_families[font];
    pdf->width = width;
    pdf->height = height;
    pdf->page = 1;
    pdf->rtl = rtl;

    pdf->surface = cairo_pdf_surface_create_for_stream(pulse_pdf_append, out,
                                                       width, height);
    pdf->cr = cairo_create(pdf->surface);
    pdf->context = pango_cairo_create_context(pdf->cr);

    cairo_pdf_surface_set_metadata(pdf->surface, CAIRO_PDF_METADATA_TITLE,
                                   (char *) title->data);
    cairo_pdf_surface_set_metadata(pdf->surface, CAIRO_PDF_METADATA_AUTHOR,
                                   (char *) author->data);
    cairo_pdf_surface_set_metadata(pdf->surface, CAIRO_PDF_METADATA_CREATOR,
                                   "Pulse AI Studio");
    cairo_pdf_surface_set_metadata(pdf->surface,
                                   CAIRO_PDF_METADATA_CREATE_DATE,
                                   PULSE_PDF_DATE);

    /* a font as it prints, not as a screen's pixels would have it */

    pango_cairo_context_set_resolution(pdf->context, 72);
    pango_context_set_round_glyph_positions(pdf->context, FALSE);
    pango_context_set_base_dir(pdf->context, rtl ? PANGO_DIRECTION_RTL
                                                 : PANGO_DIRECTION_LTR);

    return cairo_status(pdf->cr) == CAIRO_STATUS_SUCCESS ? NGX_OK : NGX_ERROR;
}


static cairo_status_t
pulse_pdf_append(void *closure, const unsigned char *data, unsigned int len)
{
    ngx_pulse_buf_t  *b = closure;

    ngx_pulse_buf_append(b, data, len);

    return b->failed ? CAIRO_STATUS_WRITE_ERROR : CAIRO_STATUS_SUCCESS;
}


ngx_int_t
pulse_pdf_end(pulse_pdf_t *pdf)
{
    cairo_status_t  status;

    status = cairo_status(pdf->cr);

    g_object_unref(pdf->context);
    cairo_destroy(pdf->cr);

    /* the file's end is written here */

    cairo_surface_finish(pdf->surface);

    if (status == CAIRO_STATUS_SUCCESS) {
        status = cairo_surface_status(pdf->surface);
    }

    cairo_surface_destroy(pdf->surface);

    if (status == CAIRO_STATUS_SUCCESS) {
        pulse_pdf_catalog(pdf);
    }

    return status == CAIRO_STATUS_SUCCESS && !pdf->out->failed
           ? NGX_OK : NGX_ERROR;
}


/*
 * Cairo writes tags and does not say so: without MarkInfo (ISO 32000-1, 14.7.1)
 * readers take the file for one that has none, and without Lang they guess how
 * to say it.  The catalog is the last object, so that nothing moves but what
 * comes after all of them.  A file that ends in another way stays as it is.
 */

static void
pulse_pdf_catalog(pulse_pdf_t *pdf)
{
    char             *p, *end, *xref;
    size_t            at, from;
    ngx_pulse_buf_t   tail, *out;

    static const char  catalog[] = "<< /Type /Catalog\n";
    static const char  start[] = "\nstartxref\n";

    out = pdf->out;

    ngx_pulse_buf_char(out, '\0');

    if (out->failed) {
        return;
    }

    out->len--;

    p = pulse_pdf_last(out, catalog);
    xref = p ? strstr(p, start) : NULL;

    if (xref == NULL || strstr(p, "/MarkInfo")) {
        return;
    }

    p += sizeof(catalog) - 1;
    xref += sizeof(start) - 1;
    from = strtoul(xref, &end, 10);

    ngx_pulse_buf_init(&tail, 0);

    if (pdf->rtl) {
        ngx_pulse_buf_literal(&tail, "   /Lang (ar)\n   /ViewerPreferences"
                              " << /DisplayDocTitle true /Direction /R2L"
                              " >>\n");
    } else {
        ngx_pulse_buf_literal(&tail, "   /Lang (en)\n   /ViewerPreferences"
                              " << /DisplayDocTitle true >>\n");
    }

    ngx_pulse_buf_literal(&tail, "   /MarkInfo << /Marked true >>\n");

    from += tail.len;

    ngx_pulse_buf_append(&tail, (u_char *) p, xref - p);
    ngx_pulse_buf_int(&tail, from);
    ngx_pulse_buf_append(&tail, (u_char *) end, strlen(end));

    at = (u_char *) p - out->data;

    if (!tail.failed) {
        out->len = at;
        ngx_pulse_buf_append(out, tail.data, tail.len);
    }

    out->failed |= tail.failed;
    ngx_pulse_buf_free(&tail);
}


/* Where a text is for the last time, or NULL. */

static char *
pulse_pdf_last(const ngx_pulse_buf_t *b, const char *text)
{
    size_t   len;
    u_char  *p;

    len = strlen(text);

    if (b->len < len) {
        return NULL;
    }

    for (p = b->data + b->len - len; p > b->data; p--) {
        if (ngx_memcmp(p, text, len) == 0) {
            return (char *) p;
        }
    }

    return NULL;
}


void
pulse_pdf_next_page(pulse_pdf_t *pdf)
{
    cairo_show_page(pdf->cr);
    pdf->page++;
}


ngx_int_t
pulse_pdf_text(pulse_pdf_t *pdf, const pulse_span_t *spans,
    ngx_uint_t nspans, const pulse_pdf_style_t *style, pulse_pdf_text_t *text)
{
    ngx_uint_t       i, n;
    pulse_piece_t   *pieces;
    ngx_pulse_buf_t  b;

    text->rtl = pdf->rtl;

    pieces = pulse_document_pieces(pdf->pool, spans, nspans, &text->rtl, &n);

    text->spans = spans;
    text->nspans = nspans;
    text->ends = ngx_pcalloc(pdf->pool, (nspans + 1) * sizeof(size_t));

    if (pieces == NULL || text->ends == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_init(&b, 0);

    /* Pango takes a paragraph's direction from what is first in it */

    if (text->rtl != pdf->rtl && pieces[0].run.rtl != text->rtl) {
        ngx_pulse_buf_append(&b, (u_char *) (text->rtl ? PULSE_BIDI_RLM
                                                       : PULSE_BIDI_LRM), 3);
    }

    for (i = 0; i < n; i++) {
        pulse_bidi_append(&b, &pieces[i].run);
        text->ends[pieces[i].span - spans] = b.len;
    }

    if (b.failed) {
        ngx_pulse_buf_free(&b);
        return NGX_ERROR;
    }

    text->layout = pango_layout_new(pdf->context);

    pango_layout_set_auto_dir(text->layout, text->rtl != pdf->rtl);
    pango_layout_set_text(text->layout, b.len ? (char *) b.data : "", b.len);
    pango_layout_set_width(text->layout, style->width * PANGO_SCALE);
    pango_layout_set_wrap(text->layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_alignment(text->layout,
                               pulse_pdf_alignment(pdf, style, text));

    if (style->single) {
        pango_layout_set_height(text->layout, -1);
        pango_layout_set_ellipsize(text->layout, PANGO_ELLIPSIZE_END);
    }

    ngx_pulse_buf_free(&b);

    pulse_pdf_attributes(style, text);
    pulse_pdf_font(pdf, style, text->layout);

    if (pulse_pdf_break(pdf, style, text) != NGX_OK) {
        g_object_unref(text->layout);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Pango mirrors the alignment of a paragraph against the context's direction,
 * so that it is the text's own side then. */

static PangoAlignment
pulse_pdf_alignment(pulse_pdf_t *pdf, const pulse_pdf_style_t *style,
    pulse_pdf_text_t *text)
{
    ngx_uint_t  right;

    if (style->centered) {
        return PANGO_ALIGN_CENTER;
    }

    right = pdf->rtl;

    if (style->side == pulse_pdf_side_end) {
        right = !right;
    }

    if (text->rtl != pdf->rtl && style->side != pulse_pdf_side_own) {
        right = !right;
    }

    return right ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT;
}


static void
pulse_pdf_font(pulse_pdf_t *pdf, const pulse_pdf_style_t *style,
    PangoLayout *layout)
{
    PangoFontDescription  *font;

    font = pango_font_description_new();

    pango_font_description_set_family_static(font, pdf->family);
    pango_font_description_set_size(font, style->size * PANGO_SCALE);

    if (style->bold) {
        pango_font_description_set_weight(font, PANGO_WEIGHT_BOLD);
    }

    if (style->italic) {
        pango_font_description_set_style(font, PANGO_STYLE_ITALIC);
    }

    /* the layout has a copy */

    pango_layout_set_font_description(layout, font);
    pango_font_description_free(font);
}


/* Lines are of one height, whatever fonts are on them: Arabic ones claim up to
 * twice their size. */

static ngx_int_t
pulse_pdf_break(pulse_pdf_t *pdf, const pulse_pdf_style_t *style,
    pulse_pdf_text_t *text)
{
    double             height, baseline;
    PangoRectangle     logical;
    PangoLayoutIter   *iter;
    pulse_pdf_line_t  *line;

    height = style->leading * (pdf->rtl ? PULSE_PDF_ARABIC : PULSE_PDF_LATIN);
    baseline = (height + style->size * PULSE_PDF_RISE) / 2;

    text->nlines = pango_layout_get_line_count(text->layout);
    text->height = height * text->nlines;

    text->lines = ngx_palloc(pdf->pool,
                             text->nlines * sizeof(pulse_pdf_line_t));
    if (text->lines == NULL) {
        return NGX_ERROR;
    }

    iter = pango_layout_get_iter(text->layout);
    line = text->lines;

    do {
        pango_layout_iter_get_line_extents(iter, NULL, &logical);

        line->line = pango_layout_iter_get_line_readonly(iter);
        line->x = (double) logical.x / PANGO_SCALE;
        line->baseline = baseline;
        line->height = height;
        line++;

    } while (pango_layout_iter_next_line(iter));

    pango_layout_iter_free(iter);

    return NGX_OK;
}


static void
pulse_pdf_attributes(const pulse_pdf_style_t *style, pulse_pdf_text_t *text)
{
    size_t          start;
    ngx_uint_t      i;
    PangoAttrList  *list;

    list = pango_attr_list_new();
    start = 0;

    pulse_pdf_attribute(list, pulse_pdf_foreground(style->color), 0,
                        PANGO_ATTR_INDEX_TO_TEXT_END);

    for (i = 0; i < text->nspans; i++) {

        if (text->spans[i].url.len) {
            pulse_pdf_attribute(list, pulse_pdf_foreground(style->link),
                                start, text->ends[i]);
            pulse_pdf_attribute(list,
                                pango_attr_underline_new(
                                    PANGO_UNDERLINE_SINGLE),
                                start, text->ends[i]);
        }

        if (text->spans[i].strong) {
            pulse_pdf_attribute(list,
                                pango_attr_weight_new(PANGO_WEIGHT_BOLD),
                                start, text->ends[i]);
        }

        start = text->ends[i];
    }

    /* the layout holds the list from here on */

    pango_layout_set_attributes(text->layout, list);
    pango_attr_list_unref(list);
}


static void
pulse_pdf_attribute(PangoAttrList *list, PangoAttribute *attribute,
    size_t start, size_t end)
{
    attribute->start_index = start;
    attribute->end_index = end;

    pango_attr_list_change(list, attribute);
}


static PangoAttribute *
pulse_pdf_foreground(uint32_t color)
{
    return pango_attr_foreground_new((color >> 16 & 0xff) * 0x101,
                                     (color >> 8 & 0xff) * 0x101,
                                     (color & 0xff) * 0x101);
}


void
pulse_pdf_text_end(pulse_pdf_text_t *text)
{
    g_object_unref(text->layout);
}


void
pulse_pdf_draw(pulse_pdf_t *pdf, pulse_pdf_text_t *text, double x, double y)
{
    ngx_uint_t  i;

    for (i = 0; i < text->nlines; i++) {
        pulse_pdf_line(pdf, text, i, x, y);
        y += text->lines[i].height;
    }
}


void
pulse_pdf_line(pulse_pdf_t *pdf, pulse_pdf_text_t *text, ngx_uint_t i,
    double x, double y)
{
    pulse_pdf_line_t  *line;

    line = &text->lines[i];

    cairo_move_to(pdf->cr, x + line->x, y + line->baseline);
    pango_cairo_show_layout_line(pdf->cr, line->line);

    pulse_pdf_links(pdf, text, line, x, y);
}


static void
pulse_pdf_links(pulse_pdf_t *pdf, pulse_pdf_text_t *text,
    pulse_pdf_line_t *line, double x, double y)
{
    int          *ranges, k, n;
    double        left, right;
    size_t        start;
    ngx_uint_t    i;

    start = 0;

    for (i = 0; i < text->nspans; i++) {

        if (text->spans[i].url.len
            && text->ends[i] > (size_t) line->line->start_index
            && start < (size_t) line->line->start_index + line->line->length)
        {
            pango_layout_line_get_x_ranges(line->line, start, text->ends[i],
                                           &ranges, &n);

            for (k = 0; k < n; k++) {
                left = (double) ranges[2 * k] / PANGO_SCALE;
                right = (double) ranges[2 * k + 1] / PANGO_SCALE;

                pulse_pdf_link(pdf, &text->spans[i].url, x + left, y,
                               right - left, line->height);
            }

            g_free(ranges);
        }

        start = text->ends[i];
    }
}


/* cairo reads the attributes as a list of words, with quotes round the
 * address, and writes that between parentheses as it is, though it would have
 * to be ASCII there (ISO 32000-1, 12.6.4.7) */

static void
pulse_pdf_link(pulse_pdf_t *pdf, const ngx_str_t *url, double x, double y,
    double width, double height)
{
    size_t            i;
    u_char            ch;
    char              rectangle[128];
    ngx_pulse_buf_t   b;

    static const u_char  hex[] = "0123456789ABCDEF";

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "uri='");

    for (i = 0; i < url->len; i++) {
        ch = url->data[i];

        if (ch < 0x80 && strchr("'\\()", ch) == NULL) {
            ngx_pulse_buf_char(&b, ch);
            continue;
        }

        ngx_pulse_buf_char(&b, '%');
        ngx_pulse_buf_char(&b, hex[ch >> 4]);
        ngx_pulse_buf_char(&b, hex[ch & 15]);
    }

    snprintf(rectangle, sizeof(rectangle), "' rect=[%.2f %.2f %.2f %.2f]", x,
             y, width, height);

    ngx_pulse_buf_append(&b, (u_char *) rectangle, strlen(rectangle) + 1);

    if (!b.failed) {
        cairo_tag_begin(pdf->cr, CAIRO_TAG_LINK, (char *) b.data);
        cairo_tag_end(pdf->cr, CAIRO_TAG_LINK);
    }

    pdf->out->failed |= b.failed;

    ngx_pulse_buf_free(&b);
}


void
pulse_pdf_rectangle(pulse_pdf_t *pdf, double x, double y, double width,
    double height, uint32_t color)
{
    cairo_set_source_rgb(pdf->cr, (color >> 16 & 0xff) / 255.0,
                         (color >> 8 & 0xff) / 255.0, (color & 0xff) / 255.0);
    cairo_rectangle(pdf->cr, x, y, width, height);
    cairo_fill(pdf->cr);
}


ngx_int_t
pulse_pdf_picture(pulse_pdf_t *pdf, const pulse_picture_t *picture, double x,
    double y, double width, double height)
{
    double            scale, other;
    ngx_uint_t        aside;
    pulse_pdf_png_t   png;
    cairo_surface_t  *image;

    if (picture->jpeg) {

        /* the file's bytes go into the PDF as they are; nobody looks at the
         * pixels, so their memory is never touched */

        aside = pulse_picture_aside(picture);

        image = cairo_image_surface_create(CAIRO_FORMAT_RGB24,
                                           aside ? picture->height
                                                 : picture->width,
                                           aside ? picture->width
                                                 : picture->height);
        cairo_surface_set_mime_data(image, CAIRO_MIME_TYPE_JPEG,
                                    picture->data.data, picture->data.len,
                                    NULL, NULL);
    } else {
        ngx_memzero(&png, sizeof(pulse_pdf_png_t));
        png.picture = picture;

        image = cairo_image_surface_create_from_png_stream(pulse_pdf_read,
                                                           &png);
    }

    if (cairo_surface_status(image) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(image);
        return NGX_DECLINED;
    }

    scale = width / picture->width;
    other = height / picture->height;
    scale = picture->cover ? ngx_max(scale, other) : ngx_min(scale, other);

    cairo_save(pdf->cr);
    cairo_rectangle(pdf->cr, x, y, width, height);
    cairo_clip(pdf->cr);
    cairo_translate(pdf->cr, x + (width - picture->width * scale) / 2,
                    y + (height - picture->height * scale) / 2);
    cairo_scale(pdf->cr, scale, scale);
    pulse_pdf_turn(pdf, picture);
    cairo_set_source_surface(pdf->cr, image, 0, 0);
    cairo_paint(pdf->cr);
    cairo_restore(pdf->cr);

    cairo_surface_destroy(image);

    return NGX_OK;
}


/* from the pixels of the file to those that are seen (EXIF 2.32, 4.6.5.1.6) */

static void
pulse_pdf_turn(pulse_pdf_t *pdf, const pulse_picture_t *picture)
{
    const double    *turn;
    cairo_matrix_t   matrix;

    static const double  turns[][4] = {
        { 1, 0, 0, 1 }, { -1, 0, 0, 1 }, { -1, 0, 0, -1 }, { 1, 0, 0, -1 },
        { 0, 1, 1, 0 }, { 0, 1, -1, 0 }, { 0, -1, -1, 0 }, { 0, -1, 1, 0 }
    };

    turn = turns[picture->turn ? picture->turn - 1 : 0];

    cairo_matrix_init(&matrix, turn[0], turn[1], turn[2], turn[3],
                      turn[0] + turn[2] < 0 ? picture->width : 0,
                      turn[1] + turn[3] < 0 ? picture->height : 0);

    cairo_transform(pdf->cr, &matrix);
}


static cairo_status_t
pulse_pdf_read(void *closure, unsigned char *data, unsigned int len)
{
    pulse_pdf_png_t *png = closure;

    size_t  n;

    for ( /* void */ ; len; data += n, len -= n) {

        if (png->read == png->piece.len) {
            png->read = 0;

            if (!pulse_picture_piece(png->picture, &png->piece)) {
                return CAIRO_STATUS_READ_ERROR;
            }
        }

        n = ngx_min(len, png->piece.len - png->read);

        ngx_memcpy(data, png->piece.data + png->read, n);
        png->read += n;
    }

    return CAIRO_STATUS_SUCCESS;
}


int
pulse_pdf_outline(pulse_pdf_t *pdf, int parent, const ngx_str_t *title,
    double y)
{
    char  place[64];

    snprintf(place, sizeof(place), "page=%d pos=[0 %.2f]", (int) pdf->page,
             y);

    return cairo_pdf_surface_add_outline(pdf->surface, parent,
                                         (char *) title->data, place,
                                         CAIRO_PDF_OUTLINE_FLAG_OPEN);
}


void
pulse_pdf_tag(pulse_pdf_t *pdf, const char *tag)
{
    cairo_tag_begin(pdf->cr, tag, NULL);
}


void
pulse_pdf_tag_end(pulse_pdf_t *pdf, const char *tag)
{
    cairo_tag_end(pdf->cr, tag);
}
