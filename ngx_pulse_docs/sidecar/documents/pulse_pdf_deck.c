
#include "pulse_look.h"
#include "pulse_pdf.h"
#include "pulse_slide_look.h"


#define pulse_pdf_points(n)  ((double) (n) / PULSE_SLIDE_POINT)

#define PULSE_PDF_LEAST      8          /* points */
#define PULSE_PDF_LEVEL      20         /* points a list's level is indented */
#define PULSE_PDF_PADDING    6          /* of a table's cell */


typedef enum {
    pulse_pdf_top = 0,
    pulse_pdf_middle,
    pulse_pdf_bottom
} pulse_pdf_anchor_e;


typedef struct {
    pulse_pdf_t                pdf;
    const pulse_deck_t        *deck;
    const pulse_slide_t       *slide;
    const pulse_slide_look_t  *look;
} pulse_pdf_deck_t;


static ngx_int_t pulse_pdf_slide(pulse_pdf_deck_t *page);
static ngx_int_t pulse_pdf_content(pulse_pdf_deck_t *page);
static ngx_int_t pulse_pdf_quote(pulse_pdf_deck_t *page);
static ngx_int_t pulse_pdf_put(pulse_pdf_deck_t *page, const char *tag,
    const ngx_str_t *text, pulse_box_e which, double size, uint32_t color,
    ngx_uint_t bold, pulse_pdf_anchor_e anchor);
static ngx_int_t pulse_pdf_spans(pulse_pdf_deck_t *page,
    const ngx_str_t *text, double width, double size, uint32_t color,
    ngx_uint_t bold, pulse_pdf_side_e side, pulse_pdf_text_t *set);
static ngx_int_t pulse_pdf_column(pulse_pdf_deck_t *page,
    const pulse_column_t *column, pulse_box_e heading, pulse_box_e which,
    pulse_box_e whole);
static ngx_int_t pulse_pdf_bullets(pulse_pdf_deck_t *page,
    const pulse_column_t *column, pulse_box_e which);
static double pulse_pdf_bullet_list(pulse_pdf_deck_t *page,
    const pulse_column_t *column, const pulse_box_t *box, ngx_uint_t size,
    ngx_uint_t draw);
static ngx_int_t pulse_pdf_place(pulse_pdf_deck_t *page,
    const pulse_picture_t *picture, pulse_box_e which);
static ngx_int_t pulse_pdf_table(pulse_pdf_deck_t *page);
static double pulse_pdf_row(pulse_pdf_deck_t *page, ngx_uint_t row, double y,
    double size, double height);
static ngx_int_t pulse_pdf_slide_number(pulse_pdf_deck_t *page);


ngx_int_t
pulse_pdf_write_deck(ngx_pool_t *pool, const pulse_deck_t *deck,
    ngx_pulse_buf_t *out)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    pulse_pdf_deck_t  page;

    page.deck = deck;
    page.look = pulse_slide_look(deck->template);

    rc = pulse_pdf_start(&page.pdf, pool, &deck->title, &deck->author,
                         pulse_font_default, deck->rtl,
                         pulse_pdf_points(pulse_slide_width(deck->wide)),
                         pulse_pdf_points(PULSE_SLIDE_HEIGHT), out);

    for (i = 0; i < deck->nslides && rc == NGX_OK; i++) {
        page.slide = &deck->slides[i];
        rc = pulse_pdf_slide(&page);
        pulse_pdf_next_page(&page.pdf);
    }

    return pulse_pdf_end(&page.pdf) == NGX_OK ? rc : NGX_ERROR;
}


static ngx_int_t
pulse_pdf_slide(pulse_pdf_deck_t *page)
{
    ngx_int_t             rc;
    uint32_t              accent;
    pulse_box_t           bar;
    const ngx_str_t      *title;
    const pulse_slide_t  *slide;

    slide = page->slide;
    accent = pulse_slide_accent(page->deck);

    pulse_pdf_rectangle(&page->pdf, 0, 0, page->pdf.width, page->pdf.height,
                        page->look->background);

    if (page->look->bar) {
        bar = pulse_slide_box(pulse_box_bar, page->deck->wide,
                              page->deck->rtl);
        pulse_pdf_rectangle(&page->pdf, pulse_pdf_points(bar.x), 0,
                            pulse_pdf_points(bar.width), page->pdf.height,
                            accent);
    }

    title = slide->title.len ? &slide->title : &slide->quote;
    pulse_pdf_outline(&page->pdf, CAIRO_PDF_OUTLINE_ROOT, title, 0);

    switch (slide->layout) {

    case pulse_slide_title:
        rc = pulse_pdf_put(page, "H1", &slide->title, pulse_box_cover_title,
                           44, accent, 1, pulse_pdf_bottom);
        rc |= pulse_pdf_put(page, "P", &slide->subtitle,
                            pulse_box_cover_subtitle, 24, page->look->muted,
                            0, pulse_pdf_top);
        return rc;

    case pulse_slide_section:
        rc = pulse_pdf_put(page, "H1", &slide->title,
                           pulse_box_section_title, 40, accent, 1,
                           pulse_pdf_bottom);
        rc |= pulse_pdf_put(page, "P", &slide->subtitle,
                            pulse_box_section_subtitle, 22,
                            page->look->muted, 0, pulse_pdf_top);
        break;

    case pulse_slide_quote:
        rc = pulse_pdf_quote(page);
        break;

    default:
        rc = pulse_pdf_put(page, "H1", &slide->title, pulse_box_title, 32,
                           accent, 1, pulse_pdf_middle);
        rc |= pulse_pdf_content(page);
    }

    if (page->deck->numbers) {
        rc |= pulse_pdf_slide_number(page);
    }

    return rc;
}


static ngx_int_t
pulse_pdf_content(pulse_pdf_deck_t *page)
{
    ngx_int_t             rc;
    pulse_box_t           box;
    const pulse_slide_t  *slide;

    slide = page->slide;

    switch (slide->layout) {

    case pulse_slide_columns:
        rc = pulse_pdf_column(page, &slide->first, pulse_box_first_heading,
                              pulse_box_first, pulse_box_first_whole);
        rc |= pulse_pdf_column(page, &slide->second,
                               pulse_box_second_heading, pulse_box_second,
                               pulse_box_second_whole);
        return rc;

    case pulse_slide_image:
        rc = pulse_pdf_place(page, slide->picture, pulse_box_picture);
        rc |= pulse_pdf_put(page, "P", &slide->caption, pulse_box_caption, 16,
                            page->look->muted, 0, pulse_pdf_middle);
        return rc;

    case pulse_slide_table:
        return pulse_pdf_table(page);

    case pulse_slide_chart:
        box = pulse_slide_box(pulse_box_body, page->deck->wide,
                              page->deck->rtl);
        return pulse_pdf_chart(&page->pdf, page->deck, slide->chart,
                               pulse_pdf_points(box.x),
                               pulse_pdf_points(box.y),
                               pulse_pdf_points(box.width),
                               pulse_pdf_points(box.height));

    default: /* pulse_slide_bullets */
        if (slide->picture == NULL) {
            return pulse_pdf_bullets(page, &slide->first, pulse_box_body);
        }

        rc = pulse_pdf_bullets(page, &slide->first, pulse_box_first_whole);
        rc |= pulse_pdf_place(page, slide->picture, pulse_box_second_whole);
        return rc;
    }
}


static ngx_int_t
pulse_pdf_quote(pulse_pdf_deck_t *page)
{
    ngx_int_t             rc;
    ngx_str_t             quoted;
    ngx_pulse_buf_t       b;
    const ngx_str_t      *below;
    const pulse_slide_t  *slide;

    slide = page->slide;

    ngx_pulse_buf_init(&b, 0);
    pulse_slide_quoted(page->deck, &slide->quote, &b);

    quoted.data = b.data;
    quoted.len = b.len;

    below = slide->attribution.len ? &slide->attribution : &slide->title;

    rc = pulse_pdf_put(page, "H1", &quoted, pulse_box_quote, 32,
                       page->look->text, 0, pulse_pdf_middle);
    rc |= pulse_pdf_put(page, "P", below, pulse_box_attribution, 20,
                        page->look->muted, 0, pulse_pdf_top);

    rc |= b.failed ? NGX_ERROR : NGX_OK;
    ngx_pulse_buf_free(&b);

    return rc;
}


/* text in a box, smaller until it fits */

static ngx_int_t
pulse_pdf_put(pulse_pdf_deck_t *page, const char *tag, const ngx_str_t *text,
    pulse_box_e which, double size, uint32_t color, ngx_uint_t bold,
    pulse_pdf_anchor_e anchor)
{
    double            x, y, width, height;
    pulse_box_t       box;
    pulse_pdf_text_t  set;

    if (text->len == 0) {
        return NGX_OK;
    }

    box = pulse_slide_box(which, page->deck->wide, page->deck->rtl);

    x = pulse_pdf_points(box.x);
    y = pulse_pdf_points(box.y);
    width = pulse_pdf_points(box.width);
    height = pulse_pdf_points(box.height);

    for ( ;; ) {
        if (pulse_pdf_spans(page, text, width, size, color, bold,
                            pulse_pdf_side_start, &set)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (set.height <= height || size <= PULSE_PDF_LEAST) {
            break;
        }

        pulse_pdf_text_end(&set);
        size = ngx_max(size * 0.92, PULSE_PDF_LEAST);
    }

    if (anchor == pulse_pdf_bottom) {
        y += height - set.height;

    } else if (anchor == pulse_pdf_middle) {
        y += (height - set.height) / 2;
    }

    pulse_pdf_tag(&page->pdf, tag);
    pulse_pdf_draw(&page->pdf, &set, x, y);
    pulse_pdf_tag_end(&page->pdf, tag);

    pulse_pdf_text_end(&set);

    return NGX_OK;
}


static ngx_int_t
pulse_pdf_spans(pulse_pdf_deck_t *page, const ngx_str_t *text, double width,
    double size, uint32_t color, ngx_uint_t bold, pulse_pdf_side_e side,
    pulse_pdf_text_t *set)
{
    pulse_span_t       *span;
    pulse_pdf_style_t   style;

    span = ngx_pcalloc(page->pdf.pool, sizeof(pulse_span_t));
    if (span == NULL) {
        return NGX_ERROR;
    }

    span->text = *text;

    ngx_memzero(&style, sizeof(pulse_pdf_style_t));

    style.size = size;
    style.leading = size;
    style.color = color;
    style.link = color;
    style.width = width;
    style.bold = bold;
    style.side = side;

    return pulse_pdf_text(&page->pdf, span, 1, &style, set);
}


static ngx_int_t
pulse_pdf_column(pulse_pdf_deck_t *page, const pulse_column_t *column,
    pulse_box_e heading, pulse_box_e which, pulse_box_e whole)
{
    ngx_int_t  rc;

    if (column->heading.len == 0) {
        which = whole;
    }

    rc = pulse_pdf_put(page, "H2", &column->heading, heading, 22,
                       pulse_slide_accent(page->deck), 1, pulse_pdf_bottom);

    if (column->picture) {
        return rc | pulse_pdf_place(page, column->picture, which);
    }

    return rc | pulse_pdf_bullets(page, column, which);
}


static ngx_int_t
pulse_pdf_bullets(pulse_pdf_deck_t *page, const pulse_column_t *column,
    pulse_box_e which)
{
    double       height;
    ngx_uint_t   size;
    pulse_box_t  box;

    if (column->nbullets == 0) {
        return NGX_OK;
    }

    box = pulse_slide_box(which, page->deck->wide, page->deck->rtl);
    size = pulse_slide_fit_bullets(column, &box);

    for ( ;; ) {
        height = pulse_pdf_bullet_list(page, column, &box, size, 0);

        if (height < 0) {
            return NGX_ERROR;
        }

        if (height <= pulse_pdf_points(box.height)
            || size <= PULSE_PDF_LEAST)
        {
            break;
        }

        size--;
    }

    pulse_pdf_tag(&page->pdf, "L");
    height = pulse_pdf_bullet_list(page, column, &box, size, 1);
    pulse_pdf_tag_end(&page->pdf, "L");

    return height < 0 ? NGX_ERROR : NGX_OK;
}


/* the list's height; -1: no memory */

static double
pulse_pdf_bullet_list(pulse_pdf_deck_t *page, const pulse_column_t *column,
    const pulse_box_t *box, ngx_uint_t size, ngx_uint_t draw)
{
    double                 x, y, left, indent, width, points;
    ngx_int_t              rc;
    ngx_uint_t             i;
    pulse_pdf_text_t       set, sign;
    const pulse_bullet_t  *bullet;

    static const ngx_str_t  dot = ngx_string("\xe2\x80\xa2");
    static const ngx_str_t  dash = ngx_string("\xe2\x80\x93");

    x = pulse_pdf_points(box->x);
    width = pulse_pdf_points(box->width);
    y = pulse_pdf_points(box->y);

    for (i = 0; i < column->nbullets; i++) {
        bullet = &column->bullets[i];

        indent = PULSE_PDF_LEVEL * (bullet->level + 1);
        points = size - ngx_min(2 * bullet->level, size / 4);

        rc = pulse_pdf_spans(page, &bullet->text, width - indent, points,
                             page->look->text, 0, pulse_pdf_side_own, &set);
        if (rc != NGX_OK) {
            return -1;
        }

        if (draw) {
            left = set.rtl ? x : x + indent;

            rc = pulse_pdf_spans(page, bullet->level == 1 ? &dash : &dot,
                                 width - indent + PULSE_PDF_LEVEL, points,
                                 pulse_slide_accent(page->deck), 0,
                                 set.rtl == page->deck->rtl
                                 ? pulse_pdf_side_start : pulse_pdf_side_end,
                                 &sign);
            if (rc != NGX_OK) {
                pulse_pdf_text_end(&set);
                return -1;
            }

            pulse_pdf_tag(&page->pdf, "LI");
            pulse_pdf_line(&page->pdf, &sign, 0,
                           set.rtl ? left : left - PULSE_PDF_LEVEL, y);
            pulse_pdf_draw(&page->pdf, &set, left, y);
            pulse_pdf_tag_end(&page->pdf, "LI");

            pulse_pdf_text_end(&sign);
        }

        y += set.height + points * 0.4;
        pulse_pdf_text_end(&set);
    }

    return y - pulse_pdf_points(box->y);
}


/* what cannot be decoded leaves its place empty; its alternative text is
 * drawn there */

static ngx_int_t
pulse_pdf_place(pulse_pdf_deck_t *page, const pulse_picture_t *picture,
    pulse_box_e which)
{
    ngx_int_t    rc;
    pulse_box_t  box;

    box = pulse_slide_box(which, page->deck->wide, page->deck->rtl);

    pulse_pdf_tag(&page->pdf, "Figure");
    rc = pulse_pdf_picture(&page->pdf, picture, pulse_pdf_points(box.x),
                           pulse_pdf_points(box.y),
                           pulse_pdf_points(box.width),
                           pulse_pdf_points(box.height));
    pulse_pdf_tag_end(&page->pdf, "Figure");

    return rc == NGX_DECLINED
           ? pulse_pdf_put(page, "P", &picture->alt, which, 18,
                           page->look->muted, 0, pulse_pdf_middle)
           : rc;
}


static ngx_int_t
pulse_pdf_table(pulse_pdf_deck_t *page)
{
    double                 size, heights[PULSE_DECK_ROWS + 1], y, sum;
    ngx_uint_t             i;
    pulse_box_t            box;
    const pulse_table_t   *table;

    table = page->slide->table;
    box = pulse_slide_box(pulse_box_body, page->deck->wide, page->deck->rtl);

    for (size = pulse_slide_table_size(table, &box); /* void */ ;
         size--) {
        sum = 0;

        for (i = 0; i < table->rows; i++) {
            heights[i] = pulse_pdf_row(page, i, 0, size, 0);

            if (heights[i] < 0) {
                return NGX_ERROR;
            }

            sum += heights[i];
        }

        if (sum <= pulse_pdf_points(box.height) || size <= PULSE_PDF_LEAST) {
            break;
        }
    }

    y = pulse_pdf_points(box.y);

    pulse_pdf_tag(&page->pdf, "Table");

    for (i = 0; i < table->rows; i++) {
        pulse_pdf_tag(&page->pdf, "TR");

        if (pulse_pdf_row(page, i, y, size, heights[i]) < 0) {
            return NGX_ERROR;
        }

        pulse_pdf_tag_end(&page->pdf, "TR");
        y += heights[i];
    }

    pulse_pdf_tag_end(&page->pdf, "Table");

    return NGX_OK;
}


/* with a height, draws a row; always the height it needs, -1: no memory */

static double
pulse_pdf_row(pulse_pdf_deck_t *page, ngx_uint_t row, double y, double size,
    double height)
{
    double                x, width, needed;
    uint32_t              fill;
    ngx_uint_t            i, place;
    pulse_box_t           box;
    pulse_pdf_text_t      set;
    const pulse_table_t  *table;

    table = page->slide->table;
    box = pulse_slide_box(pulse_box_body, page->deck->wide, page->deck->rtl);
    width = pulse_pdf_points(box.width) / table->columns;

    fill = row == 0 ? pulse_look_readable(page->deck->accent)
           : row % 2 ? page->look->second : page->look->background;

    if (height > 0) {
        pulse_pdf_rectangle(&page->pdf, pulse_pdf_points(box.x), y,
                            pulse_pdf_points(box.width), height, fill);
    }

    needed = 0;

    for (i = 0; i < table->columns; i++) {
        place = page->deck->rtl ? table->columns - 1 - i : i;
        x = pulse_pdf_points(box.x) + place * width + PULSE_PDF_PADDING;

        if (pulse_pdf_spans(page, &table->cells[row * table->columns + i],
                            width - 2 * PULSE_PDF_PADDING, size,
                            row ? page->look->text : 0xffffff, row == 0,
                            pulse_pdf_side_start, &set)
            != NGX_OK)
        {
            return -1;
        }

        needed = ngx_max(needed, set.height + size * PULSE_SLIDE_CELL);

        if (height > 0) {
            pulse_pdf_tag(&page->pdf, row ? "TD" : "TH");
            pulse_pdf_draw(&page->pdf, &set, x,
                           y + (height - set.height) / 2);
            pulse_pdf_tag_end(&page->pdf, row ? "TD" : "TH");
        }

        pulse_pdf_text_end(&set);
    }

    return needed;
}


/* at the line's end, whatever its direction */

static ngx_int_t
pulse_pdf_slide_number(pulse_pdf_deck_t *page)
{
    int               n;
    char              text[16];
    double            width, x;
    ngx_str_t         number;
    pulse_box_t       box;
    PangoRectangle    logical;
    pulse_pdf_text_t  set;

    box = pulse_slide_box(pulse_box_number, page->deck->wide,
                          page->deck->rtl);

    n = snprintf(text, sizeof(text), "%d",
                 (int) (page->slide - page->deck->slides) + 1);

    number.data = (u_char *) text;
    number.len = n;

    if (pulse_pdf_spans(page, &number, pulse_pdf_points(box.width), 12,
                        page->look->muted, 0, pulse_pdf_side_start, &set)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    pango_layout_get_extents(set.layout, NULL, &logical);
    width = (double) logical.width / PANGO_SCALE;

    /* the paragraph starts at the other edge of its box */

    x = pulse_pdf_points(box.x);
    x += (page->deck->rtl ? -1 : 1) * (pulse_pdf_points(box.width) - width);

    pulse_pdf_tag(&page->pdf, "P");
    pulse_pdf_draw(&page->pdf, &set, x, pulse_pdf_points(box.y));
    pulse_pdf_tag_end(&page->pdf, "P");

    pulse_pdf_text_end(&set);

    return NGX_OK;
}
