
#include "pulse_look.h"
#include "pulse_pptx.h"
#include "pulse_xml.h"


static ngx_int_t pulse_pptx_row(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_table_t *table, ngx_uint_t row, ngx_uint_t size,
    ngx_pulse_buf_t *b);


ngx_int_t
pulse_pptx_table(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_table_t *table, ngx_pulse_buf_t *b)
{
    ngx_int_t    rc;
    ngx_uint_t   i, size;
    pulse_box_t  box;

    box = pulse_slide_box(pulse_box_body, deck->wide, deck->rtl);
    size = pulse_slide_table_size(table, &box);

    /* columns are in their logical order, "rtl" sets the first at the right */

    pulse_xml_format(b,
        "<a:graphicData uri=\"" PULSE_PPTX_DRAWING "/table\"><a:tbl>"
        "<a:tblPr%t firstRow=\"1\" bandRow=\"1\"><a:tableStyleId>"
        "{5C22544A-7EE6-4342-B048-85BDC9FD1C3A}</a:tableStyleId></a:tblPr>"
        "<a:tblGrid>",
        deck->rtl ? " rtl=\"1\"" : "");

    for (i = 0; i < table->columns; i++) {
        pulse_xml_format(b, "<a:gridCol w=\"%d\"/>",
                         box.width / (ngx_int_t) table->columns);
    }

    ngx_pulse_buf_literal(b, "</a:tblGrid>");

    rc = NGX_OK;

    for (i = 0; i < table->rows; i++) {
        rc |= pulse_pptx_row(pool, deck, table, i, size, b);
    }

    ngx_pulse_buf_literal(b, "</a:tbl></a:graphicData>");

    return rc;
}


static ngx_int_t
pulse_pptx_row(ngx_pool_t *pool, const pulse_deck_t *deck,
    const pulse_table_t *table, ngx_uint_t row, ngx_uint_t size,
    ngx_pulse_buf_t *b)
{
    ngx_int_t         rc, margin;
    ngx_uint_t        i;
    const ngx_str_t  *cell;

    margin = size * PULSE_SLIDE_CELL / 2 * PULSE_SLIDE_POINT;

    /* the least; a reader makes it higher where text needs it */

    pulse_xml_format(b, "<a:tr h=\"%d\">",
                     (ngx_int_t) size * PULSE_SLIDE_POINT + 2 * margin);

    rc = NGX_OK;
    cell = &table->cells[row * table->columns];

    for (i = 0; i < table->columns; i++) {
        ngx_pulse_buf_literal(b, "<a:tc><a:txBody><a:bodyPr/><a:lstStyle/>");
        rc |= pulse_pptx_paragraph(pool, deck, &cell[i], 0, size, b);
        pulse_xml_format(b, "</a:txBody><a:tcPr marT=\"%d\" marB=\"%d\""
                            " anchor=\"ctr\"", margin, margin);

        /* the table's style has white text there, and a dark template's
         * accent is light */

        if (row == 0) {
            ngx_pulse_buf_literal(b, "><a:solidFill><a:srgbClr val=\"");
            pulse_pptx_color(pulse_look_readable(deck->accent), b);
            ngx_pulse_buf_literal(b, "\"/></a:solidFill></a:tcPr></a:tc>");

        } else {
            ngx_pulse_buf_literal(b, "/></a:tc>");
        }
    }

    ngx_pulse_buf_literal(b, "</a:tr>");

    return rc;
}
