
#include "pulse_look.h"
#include "pulse_pptx.h"
#include "pulse_xml.h"


typedef struct {
    const char   *type;         /* of the placeholder, NULL: a body */
    ngx_uint_t    idx;          /* 0: none */
    pulse_box_e   box;
    const char   *name;
    ngx_uint_t    size;         /* points */
    const char   *anchor;       /* "t", "ctr", "b" */
    ngx_uint_t    bold;
    ngx_uint_t    plain;        /* without bullets */
} pulse_pptx_holder_t;


typedef struct {
    const char           *type; /* NULL: of its own kind */
    const char           *name;
    pulse_pptx_holder_t   holders[6];
} pulse_pptx_layout_t;


static void pulse_pptx_levels(const pulse_deck_t *deck, ngx_pulse_buf_t *b);
static void pulse_pptx_level(const pulse_deck_t *deck, ngx_uint_t level,
    ngx_uint_t size, ngx_uint_t bullet, ngx_pulse_buf_t *b);
static void pulse_pptx_holder(const pulse_deck_t *deck,
    const pulse_pptx_holder_t *holder, ngx_uint_t id, ngx_pulse_buf_t *b);
static void pulse_pptx_number_holder(const pulse_deck_t *deck, ngx_uint_t id,
    ngx_pulse_buf_t *b);
static void pulse_pptx_bar(const pulse_deck_t *deck, ngx_uint_t id,
    ngx_pulse_buf_t *b);


/* the title's and the body's come from the master */

static const pulse_pptx_layout_t  pulse_pptx_layouts[PULSE_PPTX_LAYOUTS] = {

    { "title", "Title Slide", {
        { "ctrTitle", 0, pulse_box_cover_title, "Title", 44, "b", 1, 1 },
        { "subTitle", 1, pulse_box_cover_subtitle, "Subtitle", 24, "t", 0,
          1 } } },

    { "secHead", "Section Header", {
        { "title", 0, pulse_box_section_title, "Title", 40, "b", 1, 1 },
        { "body", 1, pulse_box_section_subtitle, "Text", 22, "t", 0,
          1 } } },

    { "obj", "Title and Content", {
        { "title", 0, pulse_box_title, "Title", 32, "ctr", 1, 1 },
        { NULL, 1, pulse_box_body, "Content", 24, "t", 0, 0 } } },

    { "twoTxTwoObj", "Comparison", {
        { "title", 0, pulse_box_title, "Title", 32, "ctr", 1, 1 },
        { "body", 1, pulse_box_first_heading, "First Heading", 22, "b", 1,
          1 },
        { NULL, 2, pulse_box_first, "First Content", 22, "t", 0, 0 },
        { "body", 3, pulse_box_second_heading, "Second Heading", 22, "b", 1,
          1 },
        { NULL, 4, pulse_box_second, "Second Content", 22, "t", 0, 0 } } },

    { "titleOnly", "Title Only", {
        { "title", 0, pulse_box_title, "Title", 32, "ctr", 1, 1 } } },

    { "picTx", "Picture with Caption", {
        { "title", 0, pulse_box_title, "Title", 32, "ctr", 1, 1 },
        { "pic", 1, pulse_box_picture, "Picture", 18, "ctr", 0, 1 },
        { "body", 2, pulse_box_caption, "Caption", 16, "ctr", 0, 1 } } },

    { NULL, "Quote", {
        { "title", 0, pulse_box_quote, "Quote", 32, "ctr", 0, 1 },
        { "body", 1, pulse_box_attribution, "Attribution", 20, "t", 0,
          1 } } }
};


void
pulse_pptx_theme(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    ngx_uint_t                 i;
    const pulse_slide_look_t  *look;

    static const char *const  names[] = { "dk1", "lt1", "dk2", "lt2" };

    look = pulse_slide_look(deck->template);

    const uint32_t  colors[] = {
        look->dark ? look->background : look->text,
        look->dark ? look->text : look->background,
        look->dark ? look->second : look->muted,
        look->dark ? look->muted : look->second
    };

    ngx_pulse_buf_literal(b,
        PULSE_XML_HEAD
        "<a:theme xmlns:a=\"" PULSE_PPTX_DRAWING "/main\" name=\"Pulse\">"
        "<a:themeElements><a:clrScheme name=\"Pulse\">");

    for (i = 0; i < 4; i++) {
        pulse_xml_format(b, "<a:%t><a:srgbClr val=\"", names[i]);
        pulse_pptx_color(colors[i], b);
        pulse_xml_format(b, "\"/></a:%t>", names[i]);
    }

    for (i = 0; i < 6; i++) {
        pulse_xml_format(b, "<a:accent%d><a:srgbClr val=\"",
                         (ngx_int_t) i + 1);
        pulse_pptx_color(i ? pulse_slide_series(deck, i)
                           : pulse_slide_accent(deck), b);
        pulse_xml_format(b, "\"/></a:accent%d>", (ngx_int_t) i + 1);
    }

    ngx_pulse_buf_literal(b, "<a:hlink><a:srgbClr val=\"");
    pulse_pptx_color(pulse_slide_accent(deck), b);
    ngx_pulse_buf_literal(b,
        "\"/></a:hlink><a:folHlink><a:srgbClr val=\"6B46C1\"/></a:folHlink>"
        "</a:clrScheme><a:fontScheme name=\"Pulse\">"
        "<a:majorFont><a:latin typeface=\"Calibri\"/><a:ea typeface=\"\"/>"
            "<a:cs typeface=\"Arial\"/></a:majorFont>"
        "<a:minorFont><a:latin typeface=\"Calibri\"/><a:ea typeface=\"\"/>"
            "<a:cs typeface=\"Arial\"/></a:minorFont></a:fontScheme>"

        /* three of each are the least that the schema takes */

        "<a:fmtScheme name=\"Pulse\"><a:fillStyleLst>"
        "<a:solidFill><a:schemeClr val=\"phClr\"/></a:solidFill>"
        "<a:solidFill><a:schemeClr val=\"phClr\"/></a:solidFill>"
        "<a:solidFill><a:schemeClr val=\"phClr\"/></a:solidFill>"
        "</a:fillStyleLst><a:lnStyleLst>"
        "<a:ln w=\"9525\"><a:solidFill><a:schemeClr val=\"phClr\"/>"
            "</a:solidFill></a:ln>"
        "<a:ln w=\"19050\"><a:solidFill><a:schemeClr val=\"phClr\"/>"
            "</a:solidFill></a:ln>"
        "<a:ln w=\"28575\"><a:solidFill><a:schemeClr val=\"phClr\"/>"
            "</a:solidFill></a:ln></a:lnStyleLst><a:effectStyleLst>"
        "<a:effectStyle><a:effectLst/></a:effectStyle>"
        "<a:effectStyle><a:effectLst/></a:effectStyle>"
        "<a:effectStyle><a:effectLst/></a:effectStyle></a:effectStyleLst>"
        "<a:bgFillStyleLst>"
        "<a:solidFill><a:schemeClr val=\"phClr\"/></a:solidFill>"
        "<a:solidFill><a:schemeClr val=\"phClr\"/></a:solidFill>"
        "<a:solidFill><a:schemeClr val=\"phClr\"/></a:solidFill>"
        "</a:bgFillStyleLst></a:fmtScheme></a:themeElements></a:theme>");
}


void
pulse_pptx_master(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    ngx_uint_t                 i, dark;
    const pulse_pptx_layout_t  *content;

    dark = pulse_slide_look(deck->template)->dark;
    content = &pulse_pptx_layouts[2];

    pulse_xml_format(b,
        PULSE_XML_HEAD
        "<p:sldMaster" PULSE_PPTX_SPACES "><p:cSld><p:bg><p:bgPr>"
        "<a:solidFill><a:schemeClr val=\"bg1\"/></a:solidFill>"
        "<a:effectLst/></p:bgPr></p:bg>" PULSE_PPTX_TREE);

    pulse_pptx_bar(deck, 2, b);
    pulse_pptx_holder(deck, &content->holders[0], 3, b);
    pulse_pptx_holder(deck, &(pulse_pptx_holder_t) {
                          "body", 1, pulse_box_body, "Text", 24, "t", 0, 0
                      }, 4, b);
    pulse_pptx_number_holder(deck, 5, b);

    /* a dark template has its light colors in the dark ones' place */

    pulse_xml_format(b,
        "</p:spTree></p:cSld>"
        "<p:clrMap bg1=\"%t\" tx1=\"%t\" bg2=\"%t\" tx2=\"%t\""
        " accent1=\"accent1\" accent2=\"accent2\" accent3=\"accent3\""
        " accent4=\"accent4\" accent5=\"accent5\" accent6=\"accent6\""
        " hlink=\"hlink\" folHlink=\"folHlink\"/><p:sldLayoutIdLst>",
        dark ? "dk1" : "lt1", dark ? "lt1" : "dk1", dark ? "dk2" : "lt2",
        dark ? "lt2" : "dk2");

    for (i = 1; i <= PULSE_PPTX_LAYOUTS; i++) {
        pulse_xml_format(b, "<p:sldLayoutId id=\"%d\" r:id=\"rId%d\"/>",
                         (ngx_int_t) (2147483648u + i), (ngx_int_t) i);
    }

    ngx_pulse_buf_literal(b, "</p:sldLayoutIdLst><p:txStyles><p:titleStyle>");
    pulse_pptx_level(deck, 1, 32, 0, b);
    ngx_pulse_buf_literal(b, "</p:titleStyle><p:bodyStyle>");
    pulse_pptx_levels(deck, b);
    ngx_pulse_buf_literal(b, "</p:bodyStyle><p:otherStyle>");
    pulse_pptx_level(deck, 1, 18, 0, b);
    ngx_pulse_buf_literal(b, "</p:otherStyle></p:txStyles></p:sldMaster>");
}


static void
pulse_pptx_levels(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    ngx_uint_t  level;

    for (level = 1; level <= 3; level++) {
        pulse_pptx_level(deck, level, 26 - 2 * level, 1, b);
    }
}


/* indents are counted from where the line starts, so marL also from the
 * right */

static void
pulse_pptx_level(const pulse_deck_t *deck, ngx_uint_t level, ngx_uint_t size,
    ngx_uint_t bullet, ngx_pulse_buf_t *b)
{
    static const char *const  bullets[] = {
        "\xe2\x80\xa2", "\xe2\x80\x93", "\xe2\x80\xa2"
    };

    pulse_xml_format(b,
        "<a:lvl%dpPr marL=\"%d\" indent=\"%d\" algn=\"%t\" rtl=\"%t\">"
        "<a:spcBef><a:spcPts val=\"%d\"/></a:spcBef>",
        (ngx_int_t) level,
        bullet ? (ngx_int_t) level * 342900 : (ngx_int_t) 0,
        bullet ? (ngx_int_t) -342900 : (ngx_int_t) 0,
        deck->rtl ? "r" : "l", deck->rtl ? "1" : "0",
        bullet ? (ngx_int_t) 800 : (ngx_int_t) 0);

    if (bullet) {
        pulse_xml_format(b,
            "<a:buClr><a:schemeClr val=\"accent1\"/></a:buClr>"
            "<a:buFont typeface=\"Arial\"/><a:buChar char=\"%t\"/>",
            bullets[level - 1]);
    } else {
        ngx_pulse_buf_literal(b, "<a:buNone/>");
    }

    pulse_xml_format(b,
        "<a:defRPr sz=\"%d\"><a:solidFill><a:schemeClr val=\"tx1\"/>"
        "</a:solidFill><a:latin typeface=\"+mn-lt\"/>"
        "<a:ea typeface=\"+mn-ea\"/><a:cs typeface=\"+mn-cs\"/></a:defRPr>"
        "</a:lvl%dpPr>",
        (ngx_int_t) size * 100, (ngx_int_t) level);
}


void
pulse_pptx_layout(const pulse_deck_t *deck, ngx_uint_t n, ngx_pulse_buf_t *b)
{
    ngx_uint_t                  id;
    const pulse_pptx_holder_t  *holder;
    const pulse_pptx_layout_t  *layout;

    layout = &pulse_pptx_layouts[n - 1];

    pulse_xml_format(b, PULSE_XML_HEAD "<p:sldLayout" PULSE_PPTX_SPACES
                     "%t%t%t preserve=\"1\"><p:cSld name=\"%t\">"
                     PULSE_PPTX_TREE,
                     layout->type ? " type=\"" : "",
                     layout->type ? layout->type : " userDrawn=\"1",
                     "\"", layout->name);

    id = 2;

    for (holder = layout->holders; holder->name; holder++) {
        pulse_pptx_holder(deck, holder, id++, b);
    }

    pulse_pptx_number_holder(deck, id, b);

    ngx_pulse_buf_literal(b,
        "</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/>"
        "</p:clrMapOvr></p:sldLayout>");
}


static void
pulse_pptx_holder(const pulse_deck_t *deck, const pulse_pptx_holder_t *holder,
    ngx_uint_t id, ngx_pulse_buf_t *b)
{
    pulse_box_t  box;

    box = pulse_slide_box(holder->box, deck->wide, deck->rtl);

    pulse_xml_format(b,
        "<p:sp><p:nvSpPr><p:cNvPr id=\"%d\" name=\"%t\"/><p:cNvSpPr>"
        "<a:spLocks noGrp=\"1\"/></p:cNvSpPr><p:nvPr><p:ph",
        (ngx_int_t) id, holder->name);

    if (holder->type) {
        pulse_xml_format(b, " type=\"%t\"", holder->type);
    }

    if (holder->idx) {
        pulse_xml_format(b, " idx=\"%d\"", (ngx_int_t) holder->idx);
    }

    ngx_pulse_buf_literal(b, "/></p:nvPr></p:nvSpPr><p:spPr>");
    pulse_pptx_place("a", &box, b);

    pulse_xml_format(b,
        "<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></p:spPr>"
        "<p:txBody><a:bodyPr anchor=\"%t\"><a:normAutofit/></a:bodyPr>"
        "<a:lstStyle><a:lvl1pPr%t>%t<a:defRPr sz=\"%d\"%t>",
        holder->anchor,
        holder->plain ? " marL=\"0\" indent=\"0\"" : "",
        holder->plain ? "<a:buNone/>" : "",
        (ngx_int_t) holder->size * 100, holder->bold ? " b=\"1\"" : "");

    pulse_xml_format(b,
        "<a:solidFill><a:schemeClr val=\"%t\"/></a:solidFill></a:defRPr>"
        "</a:lvl1pPr></a:lstStyle><a:p><a:endParaRPr/></a:p></p:txBody>"
        "</p:sp>",
        holder->bold ? "accent1" : holder->plain && holder->idx ? "tx2"
                                                                : "tx1");
}


static void
pulse_pptx_number_holder(const pulse_deck_t *deck, ngx_uint_t id,
    ngx_pulse_buf_t *b)
{
    pulse_box_t  box;

    box = pulse_slide_box(pulse_box_number, deck->wide, deck->rtl);

    pulse_xml_format(b,
        "<p:sp><p:nvSpPr><p:cNvPr id=\"%d\" name=\"Slide Number\"/>"
        "<p:cNvSpPr><a:spLocks noGrp=\"1\"/></p:cNvSpPr><p:nvPr>"
        "<p:ph type=\"sldNum\" sz=\"quarter\" idx=\"12\"/></p:nvPr>"
        "</p:nvSpPr><p:spPr>",
        (ngx_int_t) id);
    pulse_pptx_place("a", &box, b);
    pulse_xml_format(b,
        "<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></p:spPr>"
        "<p:txBody><a:bodyPr anchor=\"ctr\"/><a:lstStyle>"
        "<a:lvl1pPr algn=\"%t\" rtl=\"%t\"><a:defRPr sz=\"1200\">"
        "<a:solidFill><a:schemeClr val=\"tx2\"/></a:solidFill></a:defRPr>"
        "</a:lvl1pPr></a:lstStyle><a:p>"
        "<a:fld id=\"{B6F15528-21DE-4FAA-801E-634DDDAF4B2B}\""
            " type=\"slidenum\"><a:rPr lang=\"en-US\"/><a:t>1</a:t></a:fld>"
        "</a:p></p:txBody></p:sp>",
        deck->rtl ? "l" : "r", deck->rtl ? "1" : "0");
}


static void
pulse_pptx_bar(const pulse_deck_t *deck, ngx_uint_t id, ngx_pulse_buf_t *b)
{
    pulse_box_t  box;

    if (!pulse_slide_look(deck->template)->bar) {
        return;
    }

    box = pulse_slide_box(pulse_box_bar, deck->wide, deck->rtl);

    pulse_xml_format(b,
        "<p:sp><p:nvSpPr><p:cNvPr id=\"%d\" name=\"Bar\"/><p:cNvSpPr/>"
        "<p:nvPr userDrawn=\"1\"/></p:nvSpPr><p:spPr>",
        (ngx_int_t) id);
    pulse_pptx_place("a", &box, b);
    ngx_pulse_buf_literal(b,
        "<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom><a:solidFill>"
        "<a:schemeClr val=\"accent1\"/></a:solidFill><a:ln><a:noFill/></a:ln>"
        "</p:spPr></p:sp>");
}


void
pulse_pptx_notes_master(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b,
        PULSE_XML_HEAD
        "<p:notesMaster" PULSE_PPTX_SPACES "><p:cSld><p:bg><p:bgPr>"
        "<a:solidFill><a:srgbClr val=\"FFFFFF\"/></a:solidFill>"
        "<a:effectLst/></p:bgPr></p:bg>" PULSE_PPTX_TREE
        "<p:sp><p:nvSpPr><p:cNvPr id=\"2\" name=\"Slide Image\"/><p:cNvSpPr>"
        "<a:spLocks noGrp=\"1\" noRot=\"1\" noChangeAspect=\"1\"/>"
        "</p:cNvSpPr><p:nvPr><p:ph type=\"sldImg\" idx=\"2\"/></p:nvPr>"
        "</p:nvSpPr><p:spPr><a:xfrm><a:off x=\"685800\" y=\"1143000\"/>"
        "<a:ext cx=\"5486400\" cy=\"3086100\"/></a:xfrm>"
        "<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></p:spPr></p:sp>"
        "<p:sp><p:nvSpPr><p:cNvPr id=\"3\" name=\"Notes\"/><p:cNvSpPr>"
        "<a:spLocks noGrp=\"1\"/></p:cNvSpPr><p:nvPr>"
        "<p:ph type=\"body\" sz=\"quarter\" idx=\"3\"/></p:nvPr></p:nvSpPr>"
        "<p:spPr><a:xfrm><a:off x=\"685800\" y=\"4400550\"/>"
        "<a:ext cx=\"5486400\" cy=\"3600450\"/></a:xfrm>"
        "<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></p:spPr>"
        "<p:txBody><a:bodyPr/><a:lstStyle/><a:p><a:endParaRPr/></a:p>"
        "</p:txBody></p:sp></p:spTree></p:cSld>"
        "<p:clrMap bg1=\"lt1\" tx1=\"dk1\" bg2=\"lt2\" tx2=\"dk2\""
        " accent1=\"accent1\" accent2=\"accent2\" accent3=\"accent3\""
        " accent4=\"accent4\" accent5=\"accent5\" accent6=\"accent6\""
        " hlink=\"hlink\" folHlink=\"folHlink\"/><p:notesStyle>");
    pulse_pptx_level(deck, 1, 12, 0, b);
    ngx_pulse_buf_literal(b, "</p:notesStyle></p:notesMaster>");
}
