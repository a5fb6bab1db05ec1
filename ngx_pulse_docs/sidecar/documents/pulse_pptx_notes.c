
#include "pulse_pptx.h"
#include "pulse_xml.h"


ngx_int_t
pulse_pptx_notes(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_slide_t *slide, ngx_pulse_buf_t *b)
{
    u_char     *p, *end, *last;
    ngx_int_t   rc;
    ngx_str_t   line;

    ngx_pulse_buf_literal(b,
        PULSE_XML_HEAD
        "<p:notes" PULSE_PPTX_SPACES "><p:cSld>" PULSE_PPTX_TREE
        "<p:sp><p:nvSpPr><p:cNvPr id=\"2\" name=\"Slide Image\"/><p:cNvSpPr>"
        "<a:spLocks noGrp=\"1\" noRot=\"1\" noChangeAspect=\"1\"/>"
        "</p:cNvSpPr><p:nvPr><p:ph type=\"sldImg\" idx=\"2\"/></p:nvPr>"
        "</p:nvSpPr><p:spPr/></p:sp>"
        "<p:sp><p:nvSpPr><p:cNvPr id=\"3\" name=\"Notes\"/><p:cNvSpPr>"
        "<a:spLocks noGrp=\"1\"/></p:cNvSpPr><p:nvPr>"
        "<p:ph type=\"body\" sz=\"quarter\" idx=\"3\"/></p:nvPr></p:nvSpPr>"
        "<p:spPr/><p:txBody><a:bodyPr/><a:lstStyle/>");

    rc = NGX_OK;
    last = slide->notes.data + slide->notes.len;

    for (p = slide->notes.data; p < last; p = end + 1) {

        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        line.data = p;
        line.len = end - p;

        rc |= pulse_pptx_paragraph(pool, deck, &line, 0, 0, b);
    }

    ngx_pulse_buf_literal(b,
        "</p:txBody></p:sp></p:spTree></p:cSld><p:clrMapOvr>"
        "<a:masterClrMapping/></p:clrMapOvr></p:notes>");

    return rc;
}
