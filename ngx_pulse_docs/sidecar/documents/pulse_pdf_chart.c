
#include <float.h>
#include <math.h>
#include "pulse_pdf.h"
#include "pulse_slide_look.h"


#define PULSE_CHART_LABEL   12          /* points */
#define PULSE_CHART_SPACE   8
#define PULSE_CHART_TICKS   6
#define PULSE_CHART_LRM     "\xe2\x80\x8e"
#define PULSE_CHART_NAME    110         /* of a name in a legend, at least */


typedef struct {
    pulse_pdf_t          *pdf;
    const pulse_deck_t   *deck;
    const pulse_chart_t  *chart;
    double                x;            /* of what is drawn in */
    double                y;
    double                width;
    double                height;
    double                least;        /* of the axis of values */
    double                most;
    double                step;
    ngx_int_t             rc;
} pulse_chart_page_t;


static void pulse_chart_scale(pulse_chart_page_t *page);
static double pulse_chart_at(pulse_chart_page_t *page, double value);
static void pulse_chart_grid(pulse_chart_page_t *page);
static void pulse_chart_categories(pulse_chart_page_t *page);
static double pulse_chart_slot(pulse_chart_page_t *page, ngx_uint_t n,
    double *size);
static void pulse_chart_bars(pulse_chart_page_t *page);
static void pulse_chart_lines(pulse_chart_page_t *page);
static void pulse_chart_pie_slices(pulse_chart_page_t *page);
static void pulse_chart_legend(pulse_chart_page_t *page);
static void pulse_chart_text(pulse_chart_page_t *page,
    const ngx_str_t *text, double x, double y, double width,
    ngx_uint_t centered);
static void pulse_chart_color_of(pulse_chart_page_t *page, uint32_t color);


ngx_int_t
pulse_pdf_chart(pulse_pdf_t *pdf, const pulse_deck_t *deck,
    const pulse_chart_t *chart, double x, double y, double width,
    double height)
{
    pulse_chart_page_t  page;

    page.pdf = pdf;
    page.deck = deck;
    page.chart = chart;
    page.x = x;
    page.y = y;
    page.width = width;
    page.height = height;
    page.rc = NGX_OK;

    pulse_pdf_tag(pdf, "Figure");

    if (chart->nseries > 1 || chart->type == pulse_chart_pie) {
        pulse_chart_legend(&page);
    }

    if (chart->type == pulse_chart_pie) {
        pulse_chart_pie_slices(&page);

    } else {
        pulse_chart_scale(&page);
        pulse_chart_categories(&page);
        pulse_chart_grid(&page);

        if (chart->type == pulse_chart_line) {
            pulse_chart_lines(&page);
        } else {
            pulse_chart_bars(&page);
        }
    }

    pulse_pdf_tag_end(pdf, "Figure");

    return page.rc;
}


/* an axis from a round number to another, with zero on it */

static void
pulse_chart_scale(pulse_chart_page_t *page)
{
    double      value, raw, unit;
    ngx_uint_t  i, k;

    page->least = 0;
    page->most = 0;

    for (i = 0; i < page->chart->nseries; i++) {
        for (k = 0; k < page->chart->ncategories; k++) {
            value = page->chart->series[i].values[k];
            page->least = ngx_min(page->least, value);
            page->most = ngx_max(page->most, value);
        }
    }

    if (page->least == page->most) {
        page->most = 1;
    }

    /* the difference of two finite numbers may be none */

    raw = page->most / PULSE_CHART_TICKS - page->least / PULSE_CHART_TICKS;
    raw = ngx_max(raw, DBL_MIN);
    unit = pow(10, floor(log10(raw)));

    page->step = raw <= unit ? unit : raw <= 2 * unit ? 2 * unit
                 : raw <= 5 * unit ? 5 * unit : 10 * unit;

    page->least = floor(page->least / page->step) * page->step;
    page->most = ceil(page->most / page->step) * page->step;

    /* the next round number may be none either */

    page->least = ngx_max(page->least, -DBL_MAX);
    page->most = ngx_min(page->most, DBL_MAX);
}


/* where a value is: along the width for bars, else along the height */

static double
pulse_chart_at(pulse_chart_page_t *page, double value)
{
    double  part;

    part = (value / 2 - page->least / 2) / (page->most / 2 - page->least / 2);

    if (page->chart->type != pulse_chart_bar) {
        return page->y + page->height * (1 - part);
    }

    return page->deck->rtl ? page->x + page->width * (1 - part)
                           : page->x + page->width * part;
}


static void
pulse_chart_grid(pulse_chart_page_t *page)
{
    int         n;
    char        text[32];
    double      at, value;
    uint32_t    grid;
    ngx_str_t   label;
    ngx_uint_t  i, bar;

    bar = page->chart->type == pulse_chart_bar;
    grid = pulse_slide_grid(page->deck);

    for (i = 0; i <= 2 * PULSE_CHART_TICKS; i++) {
        value = page->least + i * page->step;

        if (value - page->step / 2 > page->most) {
            break;
        }

        at = pulse_chart_at(page, value);

        /* a mark keeps the sign at the left of its number in Arabic too */

        n = snprintf(text, sizeof(text), "%s%.6g",
                     page->deck->rtl ? PULSE_CHART_LRM : "", value + 0.0);

        label.data = (u_char *) text;
        label.len = n;

        if (bar) {
            pulse_pdf_rectangle(page->pdf, at, page->y, 0.5, page->height,
                                grid);
            pulse_chart_text(page, &label, at - 30, page->y + page->height
                                           + PULSE_CHART_SPACE / 2, 60, 1);
            continue;
        }

        pulse_pdf_rectangle(page->pdf, page->x, at, page->width, 0.5, grid);
        pulse_chart_text(page, &label,
                         page->deck->rtl ? page->x + page->width
                                         : page->x - 60,
                         at - PULSE_CHART_LABEL * 0.7, 60, 1);
    }
}


/* takes the place of the labels from what is drawn in */

static void
pulse_chart_categories(pulse_chart_page_t *page)
{
    double      at, size;
    ngx_uint_t  i, bar;

    bar = page->chart->type == pulse_chart_bar;

    page->height -= PULSE_CHART_LABEL * 2;

    if (bar) {
        page->width -= 130;
        page->x += page->deck->rtl ? 20 : 110;

    } else {
        page->width -= 60;
        page->x += page->deck->rtl ? 0 : 60;
    }

    for (i = 0; i < page->chart->ncategories; i++) {
        at = pulse_chart_slot(page, i, &size);

        if (bar) {
            pulse_chart_text(page, &page->chart->categories[i],
                             page->deck->rtl ? page->x + page->width + 5
                                             : page->x - 110,
                             at + (size - PULSE_CHART_LABEL * 1.4) / 2, 105,
                             0);
        } else {
            pulse_chart_text(page, &page->chart->categories[i], at,
                             page->y + page->height + PULSE_CHART_SPACE / 2,
                             size, 1);
        }
    }
}


/* the stretch of a category along its axis */

static double
pulse_chart_slot(pulse_chart_page_t *page, ngx_uint_t n, double *size)
{
    if (page->chart->type == pulse_chart_bar) {
        *size = page->height / page->chart->ncategories;
        return page->y + n * *size;
    }

    *size = page->width / page->chart->ncategories;

    if (page->deck->rtl) {
        n = page->chart->ncategories - 1 - n;
    }

    return page->x + n * *size;
}


static void
pulse_chart_bars(pulse_chart_page_t *page)
{
    double      at, size, bar, zero, end;
    uint32_t    color;
    ngx_uint_t  i, k, place;

    zero = pulse_chart_at(page, 0);

    for (i = 0; i < page->chart->ncategories; i++) {
        at = pulse_chart_slot(page, i, &size);
        bar = size * 0.7 / page->chart->nseries;

        for (k = 0; k < page->chart->nseries; k++) {
            color = pulse_slide_series(page->deck, k);
            end = pulse_chart_at(page, page->chart->series[k].values[i]);

            if (page->chart->type == pulse_chart_bar) {
                pulse_pdf_rectangle(page->pdf, ngx_min(zero, end),
                                    at + size * 0.15 + k * bar,
                                    fabs(end - zero), bar * 0.95, color);
                continue;
            }

            place = page->deck->rtl ? page->chart->nseries - 1 - k : k;

            pulse_pdf_rectangle(page->pdf, at + size * 0.15 + place * bar,
                                ngx_min(zero, end), bar * 0.95,
                                fabs(end - zero), color);
        }
    }
}


static void
pulse_chart_lines(pulse_chart_page_t *page)
{
    double      x, y, size;
    cairo_t    *cr;
    ngx_uint_t  i, k;

    cr = page->pdf->cr;

    for (k = 0; k < page->chart->nseries; k++) {
        pulse_chart_color_of(page, pulse_slide_series(page->deck, k));
        cairo_set_line_width(cr, 2.25);
        cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);

        /* text leaves a point behind, from which the line would start */

        cairo_new_path(cr);

        for (i = 0; i < page->chart->ncategories; i++) {
            x = pulse_chart_slot(page, i, &size) + size / 2;
            cairo_line_to(cr, x, pulse_chart_at(page,
                                   page->chart->series[k].values[i]));
        }

        cairo_stroke(cr);

        for (i = 0; i < page->chart->ncategories; i++) {
            x = pulse_chart_slot(page, i, &size) + size / 2;
            y = pulse_chart_at(page, page->chart->series[k].values[i]);

            cairo_arc(cr, x, y, 3.5, 0, 2 * M_PI);
            cairo_fill(cr);
        }
    }
}


/* clockwise from the top; a share below nothing is none */

static void
pulse_chart_pie_slices(pulse_chart_page_t *page)
{
    double         x, y, radius, sum, from, to;
    cairo_t       *cr;
    ngx_uint_t     i;
    const double  *values;

    cr = page->pdf->cr;
    values = page->chart->series[0].values;
    sum = 0;

    for (i = 0; i < page->chart->ncategories; i++) {
        sum += ngx_max(values[i], 0) / PULSE_DECK_CATEGORIES;
    }

    x = page->x + page->width / 2;
    y = page->y + page->height / 2;
    radius = ngx_min(page->width, page->height) / 2;
    from = -M_PI / 2;

    for (i = 0; i < page->chart->ncategories && sum > 0; i++) {
        to = from + 2 * M_PI * (ngx_max(values[i], 0) / sum
                                / PULSE_DECK_CATEGORIES);

        pulse_chart_color_of(page, pulse_slide_series(page->deck, i));
        cairo_move_to(cr, x, y);
        cairo_arc(cr, x, y, radius, from, to);
        cairo_close_path(cr);
        cairo_fill(cr);

        from = to;
    }
}


/* at the bottom, in the order of reading and in as many lines as it takes;
 * takes its place from what is drawn in */

static void
pulse_chart_legend(pulse_chart_page_t *page)
{
    double            x, y, width;
    ngx_uint_t        i, n, columns, rows, row, place;
    const ngx_str_t  *name;

    n = (page->chart->type == pulse_chart_pie) ? page->chart->ncategories
                                               : page->chart->nseries;

    columns = ngx_min(n, (ngx_uint_t) (page->width / PULSE_CHART_NAME));
    rows = (n + columns - 1) / columns;

    /* as many in each line as in the others */

    columns = (n + rows - 1) / rows;

    page->height -= PULSE_CHART_LABEL * (1 + 1.5 * rows);

    width = ngx_min(page->width / columns, 150);

    for (i = 0; i < n; i++) {
        row = i / columns;
        place = i % columns;
        place = page->deck->rtl ? columns - 1 - place : place;

        x = page->x + (page->width - columns * width) / 2 + place * width;
        y = page->y + page->height
            + PULSE_CHART_LABEL * (1 + 1.5 * row);

        name = (page->chart->type == pulse_chart_pie)
               ? &page->chart->categories[i] : &page->chart->series[i].name;

        pulse_pdf_rectangle(page->pdf,
                            page->deck->rtl ? x + width - 10 : x, y + 4, 9,
                            9, pulse_slide_series(page->deck, i));
        pulse_chart_text(page, name, page->deck->rtl ? x : x + 14, y,
                         width - 18, 0);
    }
}


/* one line, cut with an ellipsis where it does not fit */

static void
pulse_chart_text(pulse_chart_page_t *page, const ngx_str_t *text, double x,
    double y, double width, ngx_uint_t centered)
{
    pulse_span_t       *span;
    pulse_pdf_text_t    set;
    pulse_pdf_style_t   style;

    span = ngx_pcalloc(page->pdf->pool, sizeof(pulse_span_t));
    if (span == NULL) {
        page->rc = NGX_ERROR;
        return;
    }

    span->text = *text;

    ngx_memzero(&style, sizeof(pulse_pdf_style_t));

    style.size = PULSE_CHART_LABEL;
    style.leading = PULSE_CHART_LABEL;
    style.color = pulse_slide_look(page->deck->template)->text;
    style.width = width;
    style.centered = centered;
    style.single = 1;

    if (pulse_pdf_text(page->pdf, span, 1, &style, &set) != NGX_OK) {
        page->rc = NGX_ERROR;
        return;
    }

    pulse_pdf_line(page->pdf, &set, 0, x, y);
    pulse_pdf_text_end(&set);
}


static void
pulse_chart_color_of(pulse_chart_page_t *page, uint32_t color)
{
    cairo_set_source_rgb(page->pdf->cr, (color >> 16 & 0xff) / 255.0,
                         (color >> 8 & 0xff) / 255.0, (color & 0xff) / 255.0);
}
