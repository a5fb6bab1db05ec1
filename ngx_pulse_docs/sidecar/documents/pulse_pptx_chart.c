
#include <math.h>
#include "pulse_pptx.h"
#include "pulse_xml.h"


#define PULSE_CHART_CATEGORIES  "111111111"
#define PULSE_CHART_VALUES      "222222222"


static void pulse_chart_series_all(const pulse_deck_t *deck,
    const pulse_chart_t *chart, ngx_pulse_buf_t *b);
static void pulse_chart_series_one(const pulse_deck_t *deck,
    const pulse_chart_t *chart, ngx_uint_t n, ngx_pulse_buf_t *b);
static void pulse_chart_fill(uint32_t color, ngx_uint_t line,
    ngx_pulse_buf_t *b);
static void pulse_chart_axes(const pulse_deck_t *deck,
    const pulse_chart_t *chart, ngx_pulse_buf_t *b);
static ngx_int_t pulse_xlsx_sheet(const pulse_chart_t *chart,
    ngx_pulse_buf_t *b);
static void pulse_xlsx_text(ngx_uint_t column, ngx_uint_t row,
    const ngx_str_t *text, ngx_pulse_buf_t *b);


#define PULSE_XLSX_SHEET                                                      \
    "application/vnd.openxmlformats-officedocument.spreadsheetml"
#define PULSE_XLSX_MAIN                                                       \
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


static const pulse_part_t  pulse_xlsx_shared[] = {

    { "[Content_Types].xml",
      PULSE_XML_HEAD
      "<Types xmlns=\"" PULSE_PPTX_PACKAGE "/content-types\">"
      "<Default Extension=\"rels\" ContentType=\"application/"
          "vnd.openxmlformats-package.relationships+xml\"/>"
      "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
      "<Override PartName=\"/xl/workbook.xml\" ContentType=\""
          PULSE_XLSX_SHEET ".sheet.main+xml\"/>"
      "<Override PartName=\"/xl/worksheets/sheet1.xml\" ContentType=\""
          PULSE_XLSX_SHEET ".worksheet+xml\"/>"
      "</Types>" },

    { "_rels/.rels",
      PULSE_XML_HEAD
      "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
      "<Relationship Id=\"rId1\" Type=\"" PULSE_PPTX_OFFICE
          "/relationships/officeDocument\" Target=\"xl/workbook.xml\"/>"
      "</Relationships>" },

    { "xl/workbook.xml",
      PULSE_XML_HEAD
      "<workbook xmlns=\"" PULSE_XLSX_MAIN "\" xmlns:r=\"" PULSE_PPTX_OFFICE
          "/relationships\"><sheets>"
      "<sheet name=\"Sheet1\" sheetId=\"1\" r:id=\"rId1\"/></sheets>"
      "</workbook>" },

    { "xl/_rels/workbook.xml.rels",
      PULSE_XML_HEAD
      "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
      "<Relationship Id=\"rId1\" Type=\"" PULSE_PPTX_OFFICE
          "/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/>"
      "</Relationships>" },

    { NULL, NULL }
};


/* the drawing elements of pulse_chart_type_e */

static const char *const  pulse_chart_elements[] = {
    "barChart", "barChart", "lineChart", "pieChart"
};


void
pulse_pptx_chart(const pulse_deck_t *deck, const pulse_chart_t *chart,
    ngx_pulse_buf_t *b)
{
    const char  *element;

    element = pulse_chart_elements[chart->type];

    pulse_xml_format(b,
        PULSE_XML_HEAD
        "<c:chartSpace xmlns:c=\"" PULSE_PPTX_DRAWING "/chart\""
        " xmlns:a=\"" PULSE_PPTX_DRAWING "/main\" xmlns:r=\""
            PULSE_PPTX_OFFICE "/relationships\">"
        "<c:roundedCorners val=\"0\"/><c:chart><c:autoTitleDeleted"
        " val=\"1\"/><c:plotArea><c:layout/><c:%t>",
        element);

    switch (chart->type) {

    case pulse_chart_line:
        ngx_pulse_buf_literal(b, "<c:grouping val=\"standard\"/>");
        break;

    case pulse_chart_pie:
        break;

    default:
        pulse_xml_format(b, "<c:barDir val=\"%t\"/>"
                            "<c:grouping val=\"clustered\"/>",
                         chart->type == pulse_chart_bar ? "bar" : "col");
    }

    pulse_xml_format(b, "<c:varyColors val=\"%t\"/>",
                     chart->type == pulse_chart_pie ? "1" : "0");

    pulse_chart_series_all(deck, chart, b);

    if (chart->type == pulse_chart_pie) {
        ngx_pulse_buf_literal(b, "<c:firstSliceAng val=\"0\"/>");

    } else {
        pulse_xml_format(b, "%t<c:axId val=\"" PULSE_CHART_CATEGORIES "\"/>"
                            "<c:axId val=\"" PULSE_CHART_VALUES "\"/>",
                         chart->type == pulse_chart_line
                         ? "<c:marker val=\"1\"/>"
                         : "<c:gapWidth val=\"80\"/>");
    }

    pulse_xml_format(b, "</c:%t>", element);

    pulse_chart_axes(deck, chart, b);

    pulse_xml_format(b,
        "</c:plotArea>%t<c:plotVisOnly val=\"1\"/></c:chart><c:txPr>"
        "<a:bodyPr/><a:lstStyle/><a:p><a:pPr><a:defRPr sz=\"1400\">"
        "<a:solidFill><a:schemeClr val=\"tx1\"/></a:solidFill></a:defRPr>"
        "</a:pPr><a:endParaRPr lang=\"en-US\"/></a:p></c:txPr>"
        "<c:externalData r:id=\"rId1\"><c:autoUpdate val=\"0\"/>"
        "</c:externalData></c:chartSpace>",
        chart->nseries > 1 || chart->type == pulse_chart_pie
        ? "<c:legend><c:legendPos val=\"b\"/><c:overlay val=\"0\"/>"
          "</c:legend>" : "");
}


static void
pulse_chart_series_all(const pulse_deck_t *deck, const pulse_chart_t *chart,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t  i, n;

    /* a pie has one series */

    n = (chart->type == pulse_chart_pie) ? 1 : chart->nseries;

    for (i = 0; i < n; i++) {
        pulse_chart_series_one(deck, chart, i, b);
    }
}


/* with the values beside the references to the workbook, so that the chart is
 * seen without opening that */

static void
pulse_chart_series_one(const pulse_deck_t *deck, const pulse_chart_t *chart,
    ngx_uint_t n, ngx_pulse_buf_t *b)
{
    ngx_int_t              last;
    ngx_uint_t             i;
    char                   column[2];
    const pulse_series_t  *series;

    series = &chart->series[n];
    last = chart->ncategories + 1;
    column[0] = 'B' + n;
    column[1] = '\0';

    pulse_xml_format(b,
        "<c:ser><c:idx val=\"%d\"/><c:order val=\"%d\"/><c:tx><c:strRef>"
        "<c:f>Sheet1!$%t$1</c:f><c:strCache><c:ptCount val=\"1\"/>"
        "<c:pt idx=\"0\"><c:v>%s</c:v></c:pt></c:strCache></c:strRef></c:tx>",
        (ngx_int_t) n, (ngx_int_t) n, column, &series->name);

    if (chart->type != pulse_chart_pie) {
        pulse_chart_fill(pulse_slide_series(deck, n),
                         chart->type == pulse_chart_line, b);
    }

    if (chart->type == pulse_chart_bar || chart->type == pulse_chart_column) {
        ngx_pulse_buf_literal(b, "<c:invertIfNegative val=\"0\"/>");
    }

    if (chart->type == pulse_chart_line) {
        ngx_pulse_buf_literal(b,
            "<c:marker><c:symbol val=\"circle\"/></c:marker>");
    }

    for (i = 0; i < chart->ncategories && chart->type == pulse_chart_pie;
         i++)
    {
        pulse_xml_format(b, "<c:dPt><c:idx val=\"%d\"/><c:bubble3D"
                            " val=\"0\"/>", (ngx_int_t) i);
        pulse_chart_fill(pulse_slide_series(deck, i), 0, b);
        ngx_pulse_buf_literal(b, "</c:dPt>");
    }

    pulse_xml_format(b,
        "<c:cat><c:strRef><c:f>Sheet1!$A$2:$A$%d</c:f><c:strCache>"
        "<c:ptCount val=\"%d\"/>",
        last, last - 1);

    for (i = 0; i < chart->ncategories; i++) {
        pulse_xml_format(b, "<c:pt idx=\"%d\"><c:v>%s</c:v></c:pt>",
                         (ngx_int_t) i, &chart->categories[i]);
    }

    pulse_xml_format(b,
        "</c:strCache></c:strRef></c:cat><c:val><c:numRef>"
        "<c:f>Sheet1!$%t$2:$%t$%d</c:f><c:numCache>"
        "<c:formatCode>General</c:formatCode><c:ptCount val=\"%d\"/>",
        column, column, last, last - 1);

    for (i = 0; i < chart->ncategories; i++) {
        pulse_xml_format(b, "<c:pt idx=\"%d\"><c:v>", (ngx_int_t) i);
        pulse_pptx_number(series->values[i], b);
        ngx_pulse_buf_literal(b, "</c:v></c:pt>");
    }

    pulse_xml_format(b, "</c:numCache></c:numRef></c:val>%t</c:ser>",
                     chart->type == pulse_chart_line
                     ? "<c:smooth val=\"0\"/>" : "");
}


static void
pulse_chart_fill(uint32_t color, ngx_uint_t line, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "<c:spPr>");

    if (line) {
        ngx_pulse_buf_literal(b, "<a:ln w=\"28575\">");
    }

    ngx_pulse_buf_literal(b, "<a:solidFill><a:srgbClr val=\"");
    pulse_pptx_color(color, b);
    ngx_pulse_buf_literal(b, "\"/></a:solidFill>");

    if (line) {
        ngx_pulse_buf_literal(b, "</a:ln>");
    }

    ngx_pulse_buf_literal(b, "</c:spPr>");
}


/* from the right, the first category is the rightmost and values are read off
 * at the right; bars grow downwards in the order of their list */

static void
pulse_chart_axes(const pulse_deck_t *deck, const pulse_chart_t *chart,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t  bar, reverse_categories, reverse_values;

    if (chart->type == pulse_chart_pie) {
        return;
    }

    bar = chart->type == pulse_chart_bar;

    reverse_categories = bar || deck->rtl;
    reverse_values = bar && deck->rtl;

    pulse_xml_format(b,
        "<c:catAx><c:axId val=\"" PULSE_CHART_CATEGORIES "\"/><c:scaling>"
        "<c:orientation val=\"%t\"/></c:scaling><c:delete val=\"0\"/>"
        "<c:axPos val=\"%t\"/><c:numFmt formatCode=\"General\""
        " sourceLinked=\"0\"/><c:majorTickMark val=\"none\"/>"
        "<c:minorTickMark val=\"none\"/><c:tickLblPos val=\"low\"/>"
        "<c:crossAx val=\"" PULSE_CHART_VALUES "\"/>"
        "<c:crosses val=\"autoZero\"/></c:catAx>",
        reverse_categories ? "maxMin" : "minMax",
        bar ? deck->rtl ? "r" : "l" : "b");

    pulse_xml_format(b,
        "<c:valAx><c:axId val=\"" PULSE_CHART_VALUES "\"/><c:scaling>"
        "<c:orientation val=\"%t\"/></c:scaling><c:delete val=\"0\"/>"
        "<c:axPos val=\"%t\"/><c:majorGridlines><c:spPr><a:ln w=\"6350\">"
        "<a:solidFill><a:srgbClr val=\"",
        reverse_values ? "maxMin" : "minMax",
        bar ? "b" : deck->rtl ? "r" : "l");

    pulse_pptx_color(pulse_slide_grid(deck), b);

    pulse_xml_format(b,
        "\"/></a:solidFill></a:ln>"
        "</c:spPr></c:majorGridlines><c:numFmt formatCode=\"General\""
        " sourceLinked=\"0\"/><c:majorTickMark val=\"none\"/>"
        "<c:minorTickMark val=\"none\"/><c:tickLblPos val=\"nextTo\"/>"
        "<c:crossAx val=\"" PULSE_CHART_CATEGORIES "\"/>"
        "<c:crosses val=\"%t\"/></c:valAx>",
        bar ? "max" : "autoZero");
}


void
pulse_pptx_number(double number, ngx_pulse_buf_t *b)
{
    int   n;
    char  text[32];

    n = snprintf(text, sizeof(text), "%.15g", number);

    ngx_pulse_buf_append(b, (u_char *) text, n);
}


ngx_int_t
pulse_xlsx_write(ngx_pool_t *pool, const pulse_chart_t *chart,
    ngx_pulse_buf_t *out)
{
    ngx_str_t            text;
    ngx_pulse_buf_t      b;
    pulse_package_t     *package;
    const pulse_part_t  *part;

    package = pulse_package_create(pool);
    if (package == NULL) {
        return NGX_ERROR;
    }

    /* stored: the workbook is compressed with the package that holds it */

    for (part = pulse_xlsx_shared; part->name; part++) {
        text.data = (u_char *) part->text;
        text.len = strlen(part->text);

        if (pulse_package_store(package, part->name, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_pulse_buf_init(&b, 0);

    if (pulse_xlsx_sheet(chart, &b) != NGX_OK
        || pulse_package_add(package, "xl/worksheets/sheet1.xml", &b)
           != NGX_OK)
    {
        ngx_pulse_buf_free(&b);
        return NGX_ERROR;
    }

    return pulse_package_finish(package, out);
}


static ngx_int_t
pulse_xlsx_sheet(const pulse_chart_t *chart, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i, k;

    ngx_pulse_buf_literal(b, PULSE_XML_HEAD "<worksheet xmlns=\""
                             PULSE_XLSX_MAIN "\"><sheetData><row r=\"1\">");

    for (k = 0; k < chart->nseries; k++) {
        pulse_xlsx_text(k + 1, 1, &chart->series[k].name, b);
    }

    ngx_pulse_buf_literal(b, "</row>");

    for (i = 0; i < chart->ncategories; i++) {
        pulse_xml_format(b, "<row r=\"%d\">", (ngx_int_t) i + 2);

        pulse_xlsx_text(0, i + 2, &chart->categories[i], b);

        for (k = 0; k < chart->nseries; k++) {
            ngx_pulse_buf_literal(b, "<c r=\"");
            ngx_pulse_buf_char(b, 'B' + k);
            pulse_xml_format(b, "%d\"><v>", (ngx_int_t) i + 2);
            pulse_pptx_number(chart->series[k].values[i], b);
            ngx_pulse_buf_literal(b, "</v></c>");
        }

        ngx_pulse_buf_literal(b, "</row>");
    }

    ngx_pulse_buf_literal(b, "</sheetData></worksheet>");

    return b->failed ? NGX_ERROR : NGX_OK;
}


static void
pulse_xlsx_text(ngx_uint_t column, ngx_uint_t row, const ngx_str_t *text,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "<c r=\"");
    ngx_pulse_buf_char(b, 'A' + column);
    pulse_xml_format(b, "%d\" t=\"inlineStr\"><is><t>%s</t></is></c>",
                     (ngx_int_t) row, text);
}
