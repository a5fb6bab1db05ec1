
#include "pulse_look.h"
#include "pulse_pdf.h"


/* twentieths of a point, half points */

#define pulse_pdf_twips(n)  ((double) (n) / 20)
#define pulse_pdf_half(n)   ((double) (n) / 2)

#define PULSE_PDF_RULE  2.5             /* points that a line takes */
#define PULSE_PDF_BULLET    "\xe2\x80\xa2"


typedef struct {
    pulse_pdf_t               pdf;
    const pulse_document_t   *document;
    const pulse_look_t       *look;
    double                    margin;
    double                    y;            /* where the next line goes */
    const char               *list;         /* the open tag, or NULL */
} pulse_pdf_page_t;


static ngx_int_t pulse_pdf_paragraph(pulse_pdf_page_t *page, ngx_uint_t n);
static void pulse_pdf_space(pulse_pdf_page_t *page,
    const pulse_paragraph_t *paragraph, double needed);
static ngx_int_t pulse_pdf_heading(pulse_pdf_page_t *page,
    const pulse_paragraph_t *paragraph);
static void pulse_pdf_lines(pulse_pdf_page_t *page, pulse_pdf_text_t *text,
    double x);
static ngx_int_t pulse_pdf_set(pulse_pdf_page_t *page,
    const pulse_paragraph_t *paragraph, pulse_pdf_side_e side,
    pulse_pdf_text_t *text);
static double pulse_pdf_indent(pulse_pdf_page_t *page,
    const pulse_paragraph_t *paragraph);
static ngx_int_t pulse_pdf_needed(pulse_pdf_page_t *page, ngx_uint_t n,
    double *height);
static void pulse_pdf_list(pulse_pdf_page_t *page,
    const pulse_paragraph_t *paragraph);
static void pulse_pdf_before(pulse_pdf_page_t *page,
    const pulse_paragraph_t *paragraph, pulse_pdf_text_t *text);
static ngx_int_t pulse_pdf_bullet(pulse_pdf_page_t *page,
    pulse_pdf_text_t *first);
static ngx_str_t pulse_pdf_title(pulse_pdf_page_t *page,
    const pulse_paragraph_t *paragraph);


static const char *const  pulse_pdf_tags[] = {
    "H1", "P", "P", "H2", "H3", "P", "P", "P", "LI"
};


ngx_int_t
pulse_pdf_write_document(ngx_pool_t *pool, const pulse_document_t *document,
    ngx_pulse_buf_t *out)
{
    ngx_int_t         rc;
    ngx_uint_t        i;
    pulse_pdf_page_t  page;

    page.document = document;
    page.look = pulse_look(document->template);
    page.margin = pulse_pdf_twips(page.look->margin);
    page.y = page.margin;
    page.list = NULL;

    rc = pulse_pdf_start(&page.pdf, pool, &document->title,
                         &document->author, document->font, document->rtl,
                         document->letter ? 612 : 595.28,
                         document->letter ? 792 : 841.89, out);

    for (i = 0; i < document->nparagraphs && rc == NGX_OK; i++) {
        rc = pulse_pdf_paragraph(&page, i);
    }

    if (page.list) {
        pulse_pdf_tag_end(&page.pdf, page.list);
    }

    cairo_show_page(page.pdf.cr);

    if (pulse_pdf_end(&page.pdf) != NGX_OK) {
        rc = NGX_ERROR;
    }

    return rc;
}


static ngx_int_t
pulse_pdf_paragraph(pulse_pdf_page_t *page, ngx_uint_t n)
{
    double                    needed, x;
    ngx_int_t                 rc;
    pulse_pdf_text_t          text;
    const pulse_paragraph_t  *paragraph;
    const pulse_look_role_t  *look;

    paragraph = &page->document->paragraphs[n];
    look = &page->look->roles[paragraph->role];

    if (pulse_pdf_needed(page, n, &needed) != NGX_OK
        || pulse_pdf_set(page, paragraph,
                         paragraph->role == pulse_paragraph_bullet
                         ? pulse_pdf_side_own : pulse_pdf_side_start, &text)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    pulse_pdf_list(page, paragraph);
    pulse_pdf_space(page, paragraph, needed);

    x = page->margin;

    if (!text.rtl) {
        x += pulse_pdf_indent(page, paragraph);
    }

    pulse_pdf_before(page, paragraph, &text);

    rc = (paragraph->role == pulse_paragraph_section)
         ? pulse_pdf_heading(page, paragraph) : NGX_OK;

    pulse_pdf_tag(&page->pdf, pulse_pdf_tags[paragraph->role]);

    if (paragraph->role == pulse_paragraph_bullet && rc == NGX_OK) {
        rc = pulse_pdf_bullet(page, &text);
    }

    pulse_pdf_lines(page, &text, x);

    pulse_pdf_tag_end(&page->pdf, pulse_pdf_tags[paragraph->role]);
    pulse_pdf_text_end(&text);

    page->y += pulse_pdf_twips(look->after);

    if (look->rule) {
        page->y += PULSE_PDF_RULE;
    }

    return rc;
}


/* none at the top of a page, which is a new one where there is no room */

static void
pulse_pdf_space(pulse_pdf_page_t *page, const pulse_paragraph_t *paragraph,
    double needed)
{
    if (page->y <= page->margin) {
        return;
    }

    page->y += pulse_pdf_twips(page->look->roles[paragraph->role].before);

    if (page->y + needed > page->pdf.height - page->margin) {
        pulse_pdf_next_page(&page->pdf);
        page->y = page->margin;
    }
}


static ngx_int_t
pulse_pdf_heading(pulse_pdf_page_t *page, const pulse_paragraph_t *paragraph)
{
    ngx_str_t  title;

    title = pulse_pdf_title(page, paragraph);

    if (title.data == NULL) {
        return NGX_ERROR;
    }

    pulse_pdf_outline(&page->pdf, CAIRO_PDF_OUTLINE_ROOT, &title, page->y);

    return NGX_OK;
}


static void
pulse_pdf_lines(pulse_pdf_page_t *page, pulse_pdf_text_t *text, double x)
{
    double      bottom;
    ngx_uint_t  i;

    bottom = page->pdf.height - page->margin;

    for (i = 0; i < text->nlines; i++) {

        if (page->y + text->lines[i].height > bottom && i) {
            pulse_pdf_next_page(&page->pdf);
            page->y = page->margin;
        }

        pulse_pdf_line(&page->pdf, text, i, x, page->y);
        page->y += text->lines[i].height;
    }
}


static ngx_int_t
pulse_pdf_set(pulse_pdf_page_t *page, const pulse_paragraph_t *paragraph,
    pulse_pdf_side_e side, pulse_pdf_text_t *text)
{
    pulse_pdf_style_t         style;
    const pulse_look_role_t  *look;

    look = &page->look->roles[paragraph->role];

    ngx_memzero(&style, sizeof(pulse_pdf_style_t));

    style.size = pulse_pdf_half(look->size);
    style.link = pulse_look_readable(page->document->accent);
    style.color = look->accent ? style.link
                  : look->gray ? PULSE_LOOK_GRAY : 0;
    style.width = page->pdf.width - 2 * page->margin
                  - pulse_pdf_indent(page, paragraph);
    style.leading = pulse_pdf_half(look->size) * page->look->line / 240;
    style.side = side;
    style.bold = look->bold;
    style.centered = look->centered;

    return pulse_pdf_text(&page->pdf, paragraph->spans, paragraph->nspans,
                          &style, text);
}


static double
pulse_pdf_indent(pulse_pdf_page_t *page, const pulse_paragraph_t *paragraph)
{
    return paragraph->role == pulse_paragraph_bullet
           ? pulse_pdf_twips(page->look->indent) : 0;
}


/* A heading stays with what it heads: the height up to the first two lines of
 * the next paragraph that may stand alone. */

static ngx_int_t
pulse_pdf_needed(pulse_pdf_page_t *page, ngx_uint_t n, double *height)
{
    ngx_uint_t                i, keeps;
    pulse_pdf_text_t          text;
    const pulse_paragraph_t  *paragraph;
    const pulse_look_role_t  *look;

    *height = 0;

    for ( /* void */ ; n < page->document->nparagraphs; n++) {

        paragraph = &page->document->paragraphs[n];
        look = &page->look->roles[paragraph->role];
        keeps = pulse_document_keeps(page->document, n);

        if (pulse_pdf_set(page, paragraph, pulse_pdf_side_start, &text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (i = 0; i < text.nlines && (keeps || i < 2); i++) {
            *height += text.lines[i].height;
        }

        pulse_pdf_text_end(&text);

        if (!keeps) {
            break;
        }

        *height += pulse_pdf_twips(look->after
                                   + page->look->roles[paragraph[1].role]
                                                                   .before);
    }

    return NGX_OK;
}


/* bullets in a row are one list */

static void
pulse_pdf_list(pulse_pdf_page_t *page, const pulse_paragraph_t *paragraph)
{
    if (paragraph->role == pulse_paragraph_bullet) {

        if (page->list == NULL) {
            page->list = "L";
            pulse_pdf_tag(&page->pdf, page->list);
        }

        return;
    }

    if (page->list) {
        pulse_pdf_tag_end(&page->pdf, page->list);
        page->list = NULL;
    }
}


static void
pulse_pdf_before(pulse_pdf_page_t *page, const pulse_paragraph_t *paragraph,
    pulse_pdf_text_t *text)
{
    double                    width;
    const pulse_look_role_t  *look;

    look = &page->look->roles[paragraph->role];
    width = page->pdf.width - 2 * page->margin;

    if (look->band) {
        pulse_pdf_rectangle(&page->pdf, page->margin, page->y, width,
                            text->height,
                            pulse_look_tint(page->document->accent, 88));
    }

    if (look->rule) {
        pulse_pdf_rectangle(&page->pdf, page->margin,
                            page->y + text->height + 1, width,
                            PULSE_PDF_RULE - 1.75,
                            page->document->accent);
    }
}


static ngx_int_t
pulse_pdf_bullet(pulse_pdf_page_t *page, pulse_pdf_text_t *first)
{
    double             x, hanging;
    pulse_span_t       span;
    pulse_pdf_text_t   bullet;
    pulse_paragraph_t  paragraph;

    ngx_memzero(&span, sizeof(pulse_span_t));
    ngx_str_set(&span.text, PULSE_PDF_BULLET);

    paragraph.role = pulse_paragraph_bullet;
    paragraph.spans = &span;
    paragraph.nspans = 1;

    if (pulse_pdf_set(page, &paragraph, first->rtl == page->document->rtl
                                        ? pulse_pdf_side_start
                                        : pulse_pdf_side_end, &bullet)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* as wide as the text, at the other side of its edge */

    hanging = pulse_pdf_twips(page->look->hanging);

    x = first->rtl
        ? page->margin + hanging
        : page->margin + pulse_pdf_twips(page->look->indent) - hanging;

    pulse_pdf_line(&page->pdf, &bullet, 0, x,
                   page->y + first->lines[0].baseline
                   - bullet.lines[0].baseline);

    pulse_pdf_text_end(&bullet);

    return NGX_OK;
}


/* the text of all spans, NUL terminated */

static ngx_str_t
pulse_pdf_title(pulse_pdf_page_t *page, const pulse_paragraph_t *paragraph)
{
    size_t      len;
    ngx_str_t   title;
    ngx_uint_t  i;

    len = 0;

    for (i = 0; i < paragraph->nspans; i++) {
        len += paragraph->spans[i].text.len;
    }

    title.len = 0;
    title.data = ngx_pnalloc(page->pdf.pool, len + 1);

    for (i = 0; i < paragraph->nspans && title.data; i++) {
        ngx_memcpy(title.data + title.len, paragraph->spans[i].text.data,
                   paragraph->spans[i].text.len);
        title.len += paragraph->spans[i].text.len;
        title.data[title.len] = '\0';
    }

    return title;
}
