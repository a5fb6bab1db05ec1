
#include "pulse_docx.h"
#include "pulse_xml.h"


static ngx_int_t pulse_docx_paragraph(ngx_pool_t *pool,
    const pulse_document_t *document, ngx_uint_t n, ngx_pulse_buf_t *b);
static void pulse_docx_properties(const pulse_document_t *document,
    ngx_uint_t n, ngx_uint_t rtl, ngx_pulse_buf_t *b);
static void pulse_docx_link(ngx_pulse_buf_t *b, const ngx_str_t *url);
static void pulse_docx_link_end(ngx_pulse_buf_t *b);
static void pulse_docx_run(ngx_pulse_buf_t *b,
    const pulse_document_t *document, const pulse_piece_t *piece);


ngx_int_t
pulse_docx_body(ngx_pool_t *pool, const pulse_document_t *document,
    ngx_pulse_buf_t *b)
{
    ngx_int_t   margin;
    ngx_uint_t  i;

    ngx_pulse_buf_literal(b,
        PULSE_XML_HEAD
        "<w:document xmlns:w=\"http://schemas.openxmlformats.org/"
            "wordprocessingml/2006/main\"><w:body>");

    for (i = 0; i < document->nparagraphs; i++) {
        if (pulse_docx_paragraph(pool, document, i, b) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    margin = pulse_look(document->template)->margin;

    pulse_xml_format(b,
        "<w:sectPr><w:pgSz w:w=\"%d\" w:h=\"%d\"/>"
        "<w:pgMar w:top=\"%d\" w:right=\"%d\" w:bottom=\"%d\" w:left=\"%d\""
            " w:header=\"0\" w:footer=\"0\" w:gutter=\"0\"/>%t</w:sectPr>"
        "</w:body></w:document>",
        document->letter ? (ngx_int_t) 12240 : (ngx_int_t) 11906,
        document->letter ? (ngx_int_t) 15840 : (ngx_int_t) 16838,
        margin, margin, margin, margin, document->rtl ? "<w:bidi/>" : "");

    return NGX_OK;
}


static ngx_int_t
pulse_docx_paragraph(ngx_pool_t *pool, const pulse_document_t *document,
    ngx_uint_t n, ngx_pulse_buf_t *b)
{
    ngx_uint_t                i, rtl, npieces;
    pulse_piece_t            *pieces;
    const pulse_span_t       *link;
    const pulse_paragraph_t  *paragraph;

    paragraph = &document->paragraphs[n];

    rtl = document->rtl;

    pieces = pulse_document_pieces(pool, paragraph->spans, paragraph->nspans,
                                   &rtl, &npieces);
    if (pieces == NULL) {
        return NGX_ERROR;
    }

    pulse_docx_properties(document, n, rtl, b);

    link = NULL;

    for (i = 0; i < npieces; i++) {

        if (link && link != pieces[i].span) {
            pulse_docx_link_end(b);
            link = NULL;
        }

        if (link == NULL && pieces[i].span->url.len) {
            link = pieces[i].span;
            pulse_docx_link(b, &link->url);
        }

        pulse_docx_run(b, document, &pieces[i]);
    }

    if (link) {
        pulse_docx_link_end(b);
    }

    ngx_pulse_buf_literal(b, "</w:p>");

    return NGX_OK;
}


/* A bullet stands where its text begins; other text keeps to the document's
 * edge, which is the right one for "jc" whatever the direction (a word
 * processor mirrors it). */

static void
pulse_docx_properties(const pulse_document_t *document, ngx_uint_t n,
    ngx_uint_t rtl, ngx_pulse_buf_t *b)
{
    ngx_uint_t              far;
    pulse_paragraph_role_e  role;

    role = document->paragraphs[n].role;

    far = rtl != document->rtl && role != pulse_paragraph_bullet
          && !pulse_look(document->template)->roles[role].centered;

    pulse_xml_format(b,
        "<w:p><w:pPr><w:pStyle w:val=\"%t\"/>%t%t%t</w:pPr>",
        pulse_docx_style(role),
        pulse_document_keeps(document, n) ? "<w:keepNext/>" : "",
        rtl ? "<w:bidi/>" : document->rtl ? "<w:bidi w:val=\"0\"/>" : "",
        far ? "<w:jc w:val=\"right\"/>" : "");
}


/* A field: extractors that skip w:hyperlink read its text.  What would end
 * the field's argument is percent-encoded (RFC 3986). */

static void
pulse_docx_link(ngx_pulse_buf_t *b, const ngx_str_t *url)
{
    size_t     i;
    ngx_str_t  ch;

    ngx_pulse_buf_literal(b,
        "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r>"
        "<w:r><w:instrText xml:space=\"preserve\"> HYPERLINK &quot;");

    for (i = 0; i < url->len; i++) {
        ch.data = url->data + i;
        ch.len = 1;

        if (*ch.data == '\\') {
            ngx_pulse_buf_literal(b, "%5C");

        } else if (*ch.data == '"') {
            ngx_pulse_buf_literal(b, "%22");

        } else {
            pulse_xml_text(b, &ch);
        }
    }

    ngx_pulse_buf_literal(b,
        "&quot; </w:instrText></w:r>"
        "<w:r><w:fldChar w:fldCharType=\"separate\"/></w:r>");
}


static void
pulse_docx_link_end(ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "<w:r><w:fldChar w:fldCharType=\"end\"/></w:r>");
}


/* w:rtl only on text from the right: on strong text from the left its effect
 * is undefined (ISO 29500-1, 17.3.2.30) */

static void
pulse_docx_run(ngx_pulse_buf_t *b, const pulse_document_t *document,
    const pulse_piece_t *piece)
{
    ngx_str_t        text;
    ngx_pulse_buf_t  marked;

    ngx_pulse_buf_init(&marked, 0);
    pulse_bidi_append(&marked, &piece->run);

    text.data = marked.data;
    text.len = marked.len;

    pulse_xml_format(b,
        "<w:r><w:rPr>%t%t%t</w:rPr><w:t xml:space=\"preserve\">%s</w:t></w:r>",
        piece->span->url.len ? "<w:rStyle w:val=\"Hyperlink\"/>" : "",
        piece->span->strong ? "<w:b/><w:bCs/>" : "",
        piece->run.rtl ? "<w:rtl/>" : "", &text);

    b->failed |= marked.failed;

    ngx_pulse_buf_free(&marked);
}
