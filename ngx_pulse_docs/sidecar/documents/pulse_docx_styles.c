
#include "pulse_docx.h"
#include "pulse_xml.h"


typedef struct {
    const char  *id;
    const char  *name;          /* Word knows the built-in ones by it */
    const char  *level;         /* of the outline, NULL: none */
} pulse_docx_style_t;


typedef struct {
    const char  *latin;
    const char  *arabic;        /* the "complex script" half of a font */
} pulse_docx_fonts_t;


static void pulse_docx_defaults(const pulse_document_t *document,
    ngx_pulse_buf_t *b);
static void pulse_docx_role(const pulse_document_t *document,
    pulse_paragraph_role_e role, ngx_pulse_buf_t *b);
static void pulse_docx_paragraph_of_role(const pulse_document_t *document,
    pulse_paragraph_role_e role, ngx_pulse_buf_t *b);
static void pulse_docx_color(ngx_pulse_buf_t *b, uint32_t color);


/* not "Title" for the name: some extractors take that for the file's title
 * and leave it out of the text */

static const pulse_docx_style_t  pulse_docx_style_names[] = {
    { "CVName", "CV Name", NULL },
    { "CVHeadline", "CV Headline", NULL },
    { "ContactInfo", "Contact Info", NULL },
    { "Heading1", "heading 1", "0" },
    { "Heading2", "heading 2", "1" },
    { "EntryOrganization", "Entry Organization", NULL },
    { "EntryMeta", "Entry Meta", NULL },
    { "BodyText", "Body Text", NULL },
    { "ListBullet", "List Bullet", NULL }
};


/* each is on Windows and macOS, with Arabic in the second */

static const pulse_docx_fonts_t  pulse_docx_fonts[] = {
    { "Calibri", "Arial" },
    { "Times New Roman", "Times New Roman" },
    { "Arial", "Arial" }
};


const char *
pulse_docx_style(pulse_paragraph_role_e role)
{
    return pulse_docx_style_names[role].id;
}


void
pulse_docx_styles(const pulse_document_t *document, ngx_pulse_buf_t *b)
{
    ngx_uint_t  role;

    pulse_docx_defaults(document, b);

    for (role = 0; role < pulse_paragraph_roles; role++) {
        pulse_docx_role(document, role, b);
    }

    ngx_pulse_buf_literal(b,
        "<w:style w:type=\"character\" w:styleId=\"Hyperlink\">"
        "<w:name w:val=\"Hyperlink\"/><w:rPr><w:color w:val=\"");
    pulse_docx_color(b, pulse_look_readable(document->accent));
    ngx_pulse_buf_literal(b,
        "\"/><w:u w:val=\"single\"/></w:rPr></w:style></w:styles>");
}


static void
pulse_docx_defaults(const pulse_document_t *document, ngx_pulse_buf_t *b)
{
    const pulse_look_t        *look;
    const pulse_docx_fonts_t  *fonts;

    ngx_str_t  english = ngx_string("en-US"), arabic = ngx_string("ar-JO");

    look = pulse_look(document->template);
    fonts = &pulse_docx_fonts[document->font];

    pulse_xml_format(b,
        PULSE_XML_HEAD
        "<w:styles xmlns:w=\"http://schemas.openxmlformats.org/"
            "wordprocessingml/2006/main\"><w:docDefaults><w:rPrDefault>"
        "<w:rPr><w:rFonts w:ascii=\"%t\" w:hAnsi=\"%t\" w:eastAsia=\"%t\""
            " w:cs=\"%t\"/><w:sz w:val=\"%d\"/><w:szCs w:val=\"%d\"/>"
        "<w:lang w:val=\"%s\" w:bidi=\"%s\"/></w:rPr></w:rPrDefault>"
        "<w:pPrDefault><w:pPr><w:spacing w:line=\"%d\" w:lineRule=\"auto\"/>"
        "</w:pPr></w:pPrDefault></w:docDefaults>"
        "<w:style w:type=\"paragraph\" w:default=\"1\" w:styleId=\"Normal\">"
        "<w:name w:val=\"Normal\"/>%t</w:style>"
        "<w:style w:type=\"character\" w:default=\"1\""
            " w:styleId=\"DefaultParagraphFont\">"
        "<w:name w:val=\"Default Paragraph Font\"/></w:style>"
        "<w:style w:type=\"table\" w:default=\"1\""
            " w:styleId=\"TableNormal\"><w:name w:val=\"Normal Table\"/>"
        "</w:style>"
        "<w:style w:type=\"numbering\" w:default=\"1\" w:styleId=\"NoList\">"
        "<w:name w:val=\"No List\"/></w:style>",
        fonts->latin, fonts->latin, fonts->latin, fonts->arabic,
        (ngx_int_t) look->roles[pulse_paragraph_text].size,
        (ngx_int_t) look->roles[pulse_paragraph_text].size,
        document->rtl ? &english : &document->language,
        document->rtl ? &document->language : &arabic,
        (ngx_int_t) look->line,
        document->rtl ? "<w:pPr><w:bidi/></w:pPr>" : "");
}


static void
pulse_docx_role(const pulse_document_t *document, pulse_paragraph_role_e role,
    ngx_pulse_buf_t *b)
{
    const pulse_docx_style_t  *style;
    const pulse_look_role_t   *look;

    style = &pulse_docx_style_names[role];
    look = &pulse_look(document->template)->roles[role];

    pulse_xml_format(b,
        "<w:style w:type=\"paragraph\" w:styleId=\"%t\">"
        "<w:name w:val=\"%t\"/><w:basedOn w:val=\"Normal\"/>"
        "<w:qFormat/><w:pPr>",
        style->id, style->name);

    pulse_docx_paragraph_of_role(document, role, b);

    ngx_pulse_buf_literal(b, "</w:pPr><w:rPr>");

    /* each property for Latin and again for Arabic, or half of the text has
     * it */

    if (look->bold) {
        ngx_pulse_buf_literal(b, "<w:b/><w:bCs/>");
    }

    if (look->accent || look->gray) {
        ngx_pulse_buf_literal(b, "<w:color w:val=\"");
        pulse_docx_color(b, look->accent
                            ? pulse_look_readable(document->accent)
                            : PULSE_LOOK_GRAY);
        ngx_pulse_buf_literal(b, "\"/>");
    }

    pulse_xml_format(b,
        "<w:sz w:val=\"%d\"/><w:szCs w:val=\"%d\"/></w:rPr></w:style>",
        (ngx_int_t) look->size, (ngx_int_t) look->size);
}


/* in the order that the schema wants */

static void
pulse_docx_paragraph_of_role(const pulse_document_t *document,
    pulse_paragraph_role_e role, ngx_pulse_buf_t *b)
{
    const pulse_look_t       *template;
    const pulse_look_role_t  *look;

    template = pulse_look(document->template);
    look = &template->roles[role];

    if (role < pulse_paragraph_text) {
        ngx_pulse_buf_literal(b, "<w:keepLines/>");
    }

    if (role == pulse_paragraph_bullet) {
        ngx_pulse_buf_literal(b,
            "<w:numPr><w:numId w:val=\"1\"/></w:numPr>");
    }

    if (look->rule) {
        ngx_pulse_buf_literal(b,
            "<w:pBdr><w:bottom w:val=\"single\" w:sz=\"6\" w:space=\"2\""
            " w:color=\"");
        pulse_docx_color(b, document->accent);
        ngx_pulse_buf_literal(b, "\"/></w:pBdr>");
    }

    if (look->band) {
        ngx_pulse_buf_literal(b,
            "<w:shd w:val=\"clear\" w:color=\"auto\" w:fill=\"");
        pulse_docx_color(b, pulse_look_tint(document->accent, 88));
        ngx_pulse_buf_literal(b, "\"/>");
    }

    pulse_xml_format(b, "<w:spacing w:before=\"%d\" w:after=\"%d\"/>",
                     (ngx_int_t) look->before, (ngx_int_t) look->after);

    if (role == pulse_paragraph_bullet) {
        pulse_xml_format(b, "<w:ind w:left=\"%d\" w:hanging=\"%d\"/>",
                         (ngx_int_t) template->indent,
                         (ngx_int_t) template->hanging);
    }

    if (look->centered) {
        ngx_pulse_buf_literal(b, "<w:jc w:val=\"center\"/>");
    }

    if (pulse_docx_style_names[role].level) {
        pulse_xml_format(b, "<w:outlineLvl w:val=\"%t\"/>",
                         pulse_docx_style_names[role].level);
    }
}


static void
pulse_docx_color(ngx_pulse_buf_t *b, uint32_t color)
{
    int  shift;

    for (shift = 20; shift >= 0; shift -= 4) {
        ngx_pulse_buf_char(b, "0123456789ABCDEF"[color >> shift & 0xf]);
    }
}
