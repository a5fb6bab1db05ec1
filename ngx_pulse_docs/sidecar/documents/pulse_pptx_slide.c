
#include "pulse_pptx.h"
#include "pulse_xml.h"


typedef struct {
    ngx_pool_t            *pool;
    const pulse_deck_t    *deck;
    const pulse_slide_t   *slide;
    ngx_pulse_buf_t       *b;
    ngx_uint_t             id;          /* of the next shape */
    ngx_uint_t             picture;     /* of the next one, from 1 */
    ngx_int_t              rc;
} pulse_pptx_writer_t;


static void pulse_pptx_shapes(pulse_pptx_writer_t *w);
static void pulse_pptx_title(pulse_pptx_writer_t *w, const char *type,
    const ngx_str_t *text, pulse_box_e which, ngx_uint_t most);
static void pulse_pptx_text(pulse_pptx_writer_t *w, const char *type,
    ngx_uint_t idx, const ngx_str_t *text);
static void pulse_pptx_bullets(pulse_pptx_writer_t *w,
    const pulse_column_t *column, ngx_uint_t idx, pulse_box_e which,
    ngx_uint_t moved);
static void pulse_pptx_column(pulse_pptx_writer_t *w,
    const pulse_column_t *column, ngx_uint_t idx, pulse_box_e which);
static void pulse_pptx_quote(pulse_pptx_writer_t *w);
static void pulse_pptx_picture(pulse_pptx_writer_t *w,
    const pulse_picture_t *picture, const char *holder, pulse_box_e which);
static void pulse_pptx_crop(pulse_pptx_writer_t *w,
    const pulse_picture_t *picture, const pulse_box_t *box);
static void pulse_pptx_turned(pulse_pptx_writer_t *w,
    const pulse_picture_t *picture, const pulse_box_t *box);
static void pulse_pptx_graphic(pulse_pptx_writer_t *w, const char *name,
    const ngx_str_t *alt);
static void pulse_pptx_start(pulse_pptx_writer_t *w, const char *name,
    const char *type, ngx_uint_t idx, const pulse_box_t *box);
static void pulse_pptx_lines(pulse_pptx_writer_t *w, const ngx_str_t *text,
    ngx_uint_t level, ngx_uint_t size);
static void pulse_pptx_slide_number(pulse_pptx_writer_t *w);


ngx_uint_t
pulse_pptx_layout_of(const pulse_slide_t *slide)
{
    static const ngx_uint_t  layouts[] = { 1, 2, 3, 4, 6, 5, 5, 7 };

    return layouts[slide->layout];
}


ngx_uint_t
pulse_pptx_pictures(const pulse_slide_t *slide,
    const pulse_picture_t **pictures)
{
    ngx_uint_t  n;

    n = 0;

    if (slide->picture) {
        pictures[n++] = slide->picture;
    }

    if (slide->first.picture) {
        pictures[n++] = slide->first.picture;
    }

    if (slide->second.picture) {
        pictures[n++] = slide->second.picture;
    }

    return n;
}


ngx_int_t
pulse_pptx_slide(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_slide_t *slide, ngx_pulse_buf_t *b)
{
    pulse_pptx_writer_t  w;

    w.pool = pool;
    w.deck = deck;
    w.slide = slide;
    w.b = b;
    w.id = 2;
    w.picture = 1;
    w.rc = NGX_OK;

    ngx_pulse_buf_literal(b, PULSE_XML_HEAD "<p:sld" PULSE_PPTX_SPACES
                             "><p:cSld>" PULSE_PPTX_TREE);

    pulse_pptx_shapes(&w);

    if (deck->numbers && slide->layout != pulse_slide_title) {
        pulse_pptx_slide_number(&w);
    }

    ngx_pulse_buf_literal(b, "</p:spTree></p:cSld><p:clrMapOvr>"
                             "<a:masterClrMapping/></p:clrMapOvr></p:sld>");

    return w.rc;
}


/* in the order in which they are read out */

static void
pulse_pptx_shapes(pulse_pptx_writer_t *w)
{
    const pulse_slide_t  *slide;

    slide = w->slide;

    switch (slide->layout) {

    case pulse_slide_title:
        pulse_pptx_title(w, "ctrTitle", &slide->title, pulse_box_cover_title,
                         44);
        pulse_pptx_text(w, "subTitle", 1, &slide->subtitle);
        return;

    case pulse_slide_section:
        pulse_pptx_title(w, "title", &slide->title, pulse_box_section_title,
                         40);
        pulse_pptx_text(w, "body", 1, &slide->subtitle);
        return;

    case pulse_slide_quote:
        pulse_pptx_quote(w);
        return;

    default:
        break;
    }

    pulse_pptx_title(w, "title", &slide->title, pulse_box_title, 32);

    switch (slide->layout) {

    case pulse_slide_columns:
        pulse_pptx_column(w, &slide->first, 1, pulse_box_first);
        pulse_pptx_column(w, &slide->second, 3, pulse_box_second);
        break;

    case pulse_slide_image:
        pulse_pptx_picture(w, slide->picture, " type=\"pic\" idx=\"1\"",
                           pulse_box_picture);
        pulse_pptx_text(w, "body", 2, &slide->caption);
        break;

    case pulse_slide_table:
        pulse_pptx_graphic(w, "Table", &slide->table->alt);
        break;

    case pulse_slide_chart:
        pulse_pptx_graphic(w, "Chart", &slide->chart->alt);
        break;

    default: /* pulse_slide_bullets */
        pulse_pptx_bullets(w, &slide->first, 1,
                           slide->picture ? pulse_box_first_whole
                                          : pulse_box_body,
                           slide->picture != NULL);

        if (slide->picture) {
            pulse_pptx_picture(w, slide->picture, NULL,
                               pulse_box_second_whole);
        }
    }
}


static void
pulse_pptx_title(pulse_pptx_writer_t *w, const char *type,
    const ngx_str_t *text, pulse_box_e which, ngx_uint_t most)
{
    ngx_uint_t   n, size;
    pulse_box_t  box;

    box = pulse_slide_box(which, w->deck->wide, w->deck->rtl);
    n = pulse_slide_count(text);
    size = pulse_slide_fit(&n, 1, &box, 16, most);

    pulse_pptx_start(w, "Title", type, 0, NULL);
    pulse_pptx_lines(w, text, 0, size == most ? 0 : size);
    ngx_pulse_buf_literal(w->b, "</p:txBody></p:sp>");
}


static void
pulse_pptx_text(pulse_pptx_writer_t *w, const char *type, ngx_uint_t idx,
    const ngx_str_t *text)
{
    if (text->len == 0) {
        return;
    }

    pulse_pptx_start(w, "Text", type, idx, NULL);
    pulse_pptx_lines(w, text, 0, 0);
    ngx_pulse_buf_literal(w->b, "</p:txBody></p:sp>");
}


/* "moved": not where the layout has it */

static void
pulse_pptx_bullets(pulse_pptx_writer_t *w, const pulse_column_t *column,
    ngx_uint_t idx, pulse_box_e which, ngx_uint_t moved)
{
    ngx_uint_t             i, size;
    pulse_box_t            box;
    const pulse_bullet_t  *bullet;

    if (column->nbullets == 0) {
        return;
    }

    box = pulse_slide_box(which, w->deck->wide, w->deck->rtl);
    size = pulse_slide_fit_bullets(column, &box);

    pulse_pptx_start(w, "Content", NULL, idx, moved ? &box : NULL);

    for (i = 0; i < column->nbullets; i++) {
        bullet = &column->bullets[i];
        pulse_pptx_lines(w, &bullet->text, bullet->level + 1,
                         size - ngx_min(2 * bullet->level, size / 4));
    }

    ngx_pulse_buf_literal(w->b, "</p:txBody></p:sp>");
}


static void
pulse_pptx_column(pulse_pptx_writer_t *w, const pulse_column_t *column,
    ngx_uint_t idx, pulse_box_e which)
{
    if (column->heading.len) {
        pulse_pptx_text(w, "body", idx, &column->heading);

    } else {
        which = (which == pulse_box_first) ? pulse_box_first_whole
                                           : pulse_box_second_whole;
    }

    if (column->picture) {
        pulse_pptx_picture(w, column->picture, NULL, which);
        return;
    }

    pulse_pptx_bullets(w, column, idx + 1, which, column->heading.len == 0);
}


/* the quote is the slide's title, for all that lists slides by title */

static void
pulse_pptx_quote(pulse_pptx_writer_t *w)
{
    ngx_str_t             quoted;
    ngx_pulse_buf_t       b;
    const pulse_slide_t  *slide;

    slide = w->slide;

    ngx_pulse_buf_init(&b, 0);
    pulse_slide_quoted(w->deck, &slide->quote, &b);

    quoted.data = b.data;
    quoted.len = b.len;

    pulse_pptx_title(w, "title", &quoted, pulse_box_quote, 32);

    w->b->failed |= b.failed;
    ngx_pulse_buf_free(&b);

    if (slide->attribution.len == 0 && slide->title.len == 0) {
        return;
    }

    pulse_pptx_start(w, "Attribution", "body", 1, NULL);

    if (slide->attribution.len) {
        pulse_pptx_lines(w, &slide->attribution, 0, 0);
    }

    if (slide->title.len) {
        pulse_pptx_lines(w, &slide->title, 0, 0);
    }

    ngx_pulse_buf_literal(w->b, "</p:txBody></p:sp>");
}


/* "holder" is the attributes of a placeholder, or NULL */

static void
pulse_pptx_picture(pulse_pptx_writer_t *w, const pulse_picture_t *picture,
    const char *holder, pulse_box_e which)
{
    pulse_box_t  box, inner;

    box = pulse_slide_box(which, w->deck->wide, w->deck->rtl);
    inner = picture->cover ? box : pulse_slide_contain(picture, &box);

    pulse_xml_format(w->b,
        "<p:pic><p:nvPicPr><p:cNvPr id=\"%d\" name=\"Picture %d\""
        " descr=\"%s\"/><p:cNvPicPr><a:picLocks noChangeAspect=\"1\"%t/>"
        "</p:cNvPicPr><p:nvPr>%t%t%t</p:nvPr></p:nvPicPr><p:blipFill>"
        "<a:blip r:embed=\"rIdImage%d\"/>",
        (ngx_int_t) w->id, (ngx_int_t) w->picture, &picture->alt,
        holder ? " noGrp=\"1\"" : "", holder ? "<p:ph" : "",
        holder ? holder : "", holder ? "/>" : "", (ngx_int_t) w->picture);

    w->id++;
    w->picture++;

    if (picture->cover) {
        pulse_pptx_crop(w, picture, &box);
    }

    ngx_pulse_buf_literal(w->b, "<a:stretch><a:fillRect/></a:stretch>"
                                "</p:blipFill><p:spPr>");
    pulse_pptx_turned(w, picture, &inner);
    ngx_pulse_buf_literal(w->b, "<a:prstGeom prst=\"rect\"><a:avLst/>"
                                "</a:prstGeom></p:spPr></p:pic>");
}


/* what is cut from each side of the file's picture, in thousandths of a
 * percent */

static void
pulse_pptx_crop(pulse_pptx_writer_t *w, const pulse_picture_t *picture,
    const pulse_box_t *box)
{
    double      shape, wanted;
    ngx_int_t   cut;
    ngx_uint_t  wide;

    shape = (double) picture->width / picture->height;
    wanted = (double) box->width / box->height;

    wide = shape > wanted;
    cut = (1 - (wide ? wanted / shape : shape / wanted)) * 50000;

    pulse_xml_format(w->b, wide != pulse_picture_aside(picture)
                           ? "<a:srcRect l=\"%d\" r=\"%d\"/>"
                           : "<a:srcRect t=\"%d\" b=\"%d\"/>", cut, cut);
}


/* a place is that of the shape before it is turned about its middle, and it is
 * mirrored before that (ISO 29500-1, 20.1.7.6) */

static void
pulse_pptx_turned(pulse_pptx_writer_t *w, const pulse_picture_t *picture,
    const pulse_box_t *box)
{
    pulse_box_t  before;

    /* by EXIF's numbers */

    static const char *const  turns[] = {
        "", "", " flipH=\"1\"", " rot=\"10800000\"", " flipV=\"1\"",
        " rot=\"16200000\" flipH=\"1\"", " rot=\"5400000\"",
        " rot=\"5400000\" flipH=\"1\"", " rot=\"16200000\""
    };

    before = *box;

    if (pulse_picture_aside(picture)) {
        before.x += (box->width - box->height) / 2;
        before.y += (box->height - box->width) / 2;
        before.width = box->height;
        before.height = box->width;
    }

    pulse_xml_format(w->b,
        "<a:xfrm%t><a:off x=\"%d\" y=\"%d\"/><a:ext cx=\"%d\" cy=\"%d\"/>"
        "</a:xfrm>",
        turns[picture->turn], before.x, before.y, before.width,
        before.height);
}


/* a table or a chart where a list would be */

static void
pulse_pptx_graphic(pulse_pptx_writer_t *w, const char *name,
    const ngx_str_t *alt)
{
    pulse_box_t  box;

    box = pulse_slide_box(pulse_box_body, w->deck->wide, w->deck->rtl);

    pulse_xml_format(w->b,
        "<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id=\"%d\" name=\"%t\""
        " descr=\"%s\"/><p:cNvGraphicFramePr><a:graphicFrameLocks"
        " noGrp=\"1\"/></p:cNvGraphicFramePr><p:nvPr/></p:nvGraphicFramePr>",
        (ngx_int_t) w->id++, name, alt->len ? alt : &w->slide->title);

    pulse_pptx_place("p", &box, w->b);

    ngx_pulse_buf_literal(w->b, "<a:graphic>");

    if (w->slide->table) {
        w->rc |= pulse_pptx_table(w->pool, w->deck, w->slide->table, w->b);

    } else {
        ngx_pulse_buf_literal(w->b,
            "<a:graphicData uri=\"" PULSE_PPTX_DRAWING "/chart\">"
            "<c:chart xmlns:c=\"" PULSE_PPTX_DRAWING "/chart\""
            " r:id=\"rIdChart\"/></a:graphicData>");
    }

    ngx_pulse_buf_literal(w->b, "</a:graphic></p:graphicFrame>");
}


static void
pulse_pptx_start(pulse_pptx_writer_t *w, const char *name, const char *type,
    ngx_uint_t idx, const pulse_box_t *box)
{
    pulse_xml_format(w->b,
        "<p:sp><p:nvSpPr><p:cNvPr id=\"%d\" name=\"%t %d\"/><p:cNvSpPr>"
        "<a:spLocks noGrp=\"1\"/></p:cNvSpPr><p:nvPr><p:ph",
        (ngx_int_t) w->id, name, (ngx_int_t) w->id - 1);

    w->id++;

    if (type) {
        pulse_xml_format(w->b, " type=\"%t\"", type);
    }

    if (idx) {
        pulse_xml_format(w->b, " idx=\"%d\"", (ngx_int_t) idx);
    }

    ngx_pulse_buf_literal(w->b, "/></p:nvPr></p:nvSpPr><p:spPr>");

    if (box) {
        pulse_pptx_place("a", box, w->b);
    }

    ngx_pulse_buf_literal(w->b, "</p:spPr><p:txBody><a:bodyPr>"
                                "<a:normAutofit/></a:bodyPr><a:lstStyle/>");
}


static void
pulse_pptx_lines(pulse_pptx_writer_t *w, const ngx_str_t *text,
    ngx_uint_t level, ngx_uint_t size)
{
    w->rc |= pulse_pptx_paragraph(w->pool, w->deck, text, level, size, w->b);
}


static void
pulse_pptx_slide_number(pulse_pptx_writer_t *w)
{
    pulse_xml_format(w->b,
        "<p:sp><p:nvSpPr><p:cNvPr id=\"%d\" name=\"Slide Number\"/>"
        "<p:cNvSpPr><a:spLocks noGrp=\"1\"/></p:cNvSpPr><p:nvPr>"
        "<p:ph type=\"sldNum\" sz=\"quarter\" idx=\"12\"/></p:nvPr>"
        "</p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:lstStyle/><a:p>"
        "<a:fld id=\"{B6F15528-21DE-4FAA-801E-634DDDAF4B2B}\""
            " type=\"slidenum\"><a:rPr lang=\"en-US\"/><a:t>%d</a:t></a:fld>"
        "</a:p></p:txBody></p:sp>",
        (ngx_int_t) w->id++, (ngx_int_t) (w->slide - w->deck->slides) + 1);
}


ngx_int_t
pulse_pptx_paragraph(ngx_pool_t *pool, const pulse_deck_t *deck,
    const ngx_str_t *text, ngx_uint_t level, ngx_uint_t size,
    ngx_pulse_buf_t *b)
{
    ngx_str_t          marked;
    ngx_uint_t         i, n, rtl;
    ngx_pulse_buf_t    run;
    pulse_bidi_run_t  *runs;

    static const ngx_str_t  english = ngx_string("en-US"),
                            arabic = ngx_string("ar-JO");

    rtl = pulse_bidi_base(text, deck->rtl);

    runs = pulse_bidi_split(pool, text, rtl, &n);
    if (runs == NULL) {
        return NGX_ERROR;
    }

    pulse_xml_format(b, "<a:p><a:pPr lvl=\"%d\"",
                     (ngx_int_t) (level ? level - 1 : 0));

    /* a bullet stands where its text begins, other text at the deck's edge */

    if (rtl || deck->rtl) {
        pulse_xml_format(b, " algn=\"%t\" rtl=\"%t\"",
                         (level ? rtl : deck->rtl) ? "r" : "l",
                         rtl ? "1" : "0");
    }

    ngx_pulse_buf_literal(b, "/>");

    for (i = 0; i < n; i++) {
        ngx_pulse_buf_init(&run, 0);
        pulse_bidi_append(&run, &runs[i]);

        marked.data = run.data;
        marked.len = run.len;

        pulse_xml_format(b, "<a:r><a:rPr lang=\"%s\"",
                         runs[i].rtl == deck->rtl ? &deck->language
                         : runs[i].rtl ? &arabic : &english);

        if (size) {
            pulse_xml_format(b, " sz=\"%d\"", (ngx_int_t) size * 100);
        }

        pulse_xml_format(b, "/><a:t>%s</a:t></a:r>", &marked);

        b->failed |= run.failed;
        ngx_pulse_buf_free(&run);
    }

    if (n == 0) {
        ngx_pulse_buf_literal(b, "<a:endParaRPr/>");
    }

    ngx_pulse_buf_literal(b, "</a:p>");

    return NGX_OK;
}


void
pulse_pptx_place(const char *space, const pulse_box_t *box,
    ngx_pulse_buf_t *b)
{
    pulse_xml_format(b,
        "<%t:xfrm><a:off x=\"%d\" y=\"%d\"/><a:ext cx=\"%d\" cy=\"%d\"/>"
        "</%t:xfrm>",
        space, box->x, box->y, box->width, box->height, space);
}


void
pulse_pptx_color(uint32_t color, ngx_pulse_buf_t *b)
{
    int  shift;

    for (shift = 20; shift >= 0; shift -= 4) {
        ngx_pulse_buf_char(b, "0123456789ABCDEF"[color >> shift & 0xf]);
    }
}
