
#include "pulse_docx.h"
#include "pulse_package.h"
#include "pulse_xml.h"


static void pulse_docx_core(const pulse_document_t *document,
    ngx_pulse_buf_t *b);
static void pulse_docx_settings(const pulse_document_t *document,
    ngx_pulse_buf_t *b);


#define PULSE_DOCX_PACKAGE                                                    \
    "http://schemas.openxmlformats.org/package/2006"
#define PULSE_DOCX_OFFICE                                                     \
    "http://schemas.openxmlformats.org/officeDocument/2006"
#define PULSE_DOCX_WORD                                                       \
    "application/vnd.openxmlformats-officedocument.wordprocessingml"
#define PULSE_DOCX_MAIN                                                       \
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


static const pulse_part_t  pulse_docx_shared[] = {

    { "[Content_Types].xml",
      PULSE_XML_HEAD
      "<Types xmlns=\"" PULSE_DOCX_PACKAGE "/content-types\">"
      "<Default Extension=\"rels\" ContentType=\"application/"
          "vnd.openxmlformats-package.relationships+xml\"/>"
      "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
      "<Override PartName=\"/word/document.xml\" ContentType=\""
          PULSE_DOCX_WORD ".document.main+xml\"/>"
      "<Override PartName=\"/word/styles.xml\" ContentType=\""
          PULSE_DOCX_WORD ".styles+xml\"/>"
      "<Override PartName=\"/word/numbering.xml\" ContentType=\""
          PULSE_DOCX_WORD ".numbering+xml\"/>"
      "<Override PartName=\"/word/settings.xml\" ContentType=\""
          PULSE_DOCX_WORD ".settings+xml\"/>"
      "<Override PartName=\"/docProps/core.xml\" ContentType=\"application/"
          "vnd.openxmlformats-package.core-properties+xml\"/>"
      "<Override PartName=\"/docProps/app.xml\" ContentType=\"application/"
          "vnd.openxmlformats-officedocument.extended-properties+xml\"/>"
      "</Types>" },

    { "_rels/.rels",
      PULSE_XML_HEAD
      "<Relationships xmlns=\"" PULSE_DOCX_PACKAGE "/relationships\">"
      "<Relationship Id=\"rId1\" Type=\"" PULSE_DOCX_OFFICE
          "/relationships/officeDocument\" Target=\"word/document.xml\"/>"
      "<Relationship Id=\"rId2\" Type=\"" PULSE_DOCX_PACKAGE
          "/relationships/metadata/core-properties\""
          " Target=\"docProps/core.xml\"/>"
      "<Relationship Id=\"rId3\" Type=\"" PULSE_DOCX_OFFICE
          "/relationships/extended-properties\""
          " Target=\"docProps/app.xml\"/>"
      "</Relationships>" },

    { "docProps/app.xml",
      PULSE_XML_HEAD
      "<Properties xmlns=\"" PULSE_DOCX_OFFICE "/extended-properties\">"
      "<Application>Pulse AI Studio</Application></Properties>" },

    { "word/_rels/document.xml.rels",
      PULSE_XML_HEAD
      "<Relationships xmlns=\"" PULSE_DOCX_PACKAGE "/relationships\">"
      "<Relationship Id=\"rId1\" Type=\"" PULSE_DOCX_OFFICE
          "/relationships/styles\" Target=\"styles.xml\"/>"
      "<Relationship Id=\"rId2\" Type=\"" PULSE_DOCX_OFFICE
          "/relationships/numbering\" Target=\"numbering.xml\"/>"
      "<Relationship Id=\"rId3\" Type=\"" PULSE_DOCX_OFFICE
          "/relationships/settings\" Target=\"settings.xml\"/>"
      "</Relationships>" },

    { "word/numbering.xml",
      PULSE_XML_HEAD
      "<w:numbering xmlns:w=\"" PULSE_DOCX_MAIN "\">"
      "<w:abstractNum w:abstractNumId=\"0\">"
      "<w:multiLevelType w:val=\"hybridMultilevel\"/>"
      "<w:lvl w:ilvl=\"0\"><w:start w:val=\"1\"/>"
      "<w:numFmt w:val=\"bullet\"/><w:lvlText w:val=\"\xe2\x80\xa2\"/>"

      /* "left" is where the line starts, also in a line from the right */

      "<w:lvlJc w:val=\"left\"/>"
      "<w:pPr><w:ind w:left=\"360\" w:hanging=\"274\"/></w:pPr>"
      "</w:lvl></w:abstractNum>"
      "<w:num w:numId=\"1\"><w:abstractNumId w:val=\"0\"/></w:num>"
      "</w:numbering>" },

    { NULL, NULL }
};


static pulse_parts_t  *pulse_docx_parts;


ngx_int_t
pulse_docx_init(void)
{
    pulse_package_init();

    pulse_docx_parts = pulse_package_parts(pulse_docx_shared);

    return pulse_docx_parts ? NGX_OK : NGX_ERROR;
}


void
pulse_docx_done(void)
{
    pulse_package_free_parts(pulse_docx_parts);
    pulse_docx_parts = NULL;
}


ngx_int_t
pulse_docx_write(ngx_pool_t *pool, const pulse_document_t *document,
    ngx_pulse_buf_t *out)
{
    ngx_int_t         rc;
    ngx_pulse_buf_t   b;
    pulse_package_t  *package;

    package = pulse_package_create(pool);

    /* the content types come first, as readers of streams expect */

    if (package == NULL
        || pulse_package_copy(package, pulse_docx_parts) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_buf_init(&b, 0);

    pulse_docx_core(document, &b);
    rc = pulse_package_add(package, "docProps/core.xml", &b);

    pulse_docx_settings(document, &b);
    rc |= pulse_package_add(package, "word/settings.xml", &b);

    pulse_docx_styles(document, &b);
    rc |= pulse_package_add(package, "word/styles.xml", &b);

    rc |= pulse_docx_body(pool, document, &b);
    rc |= pulse_package_add(package, "word/document.xml", &b);

    return rc == NGX_OK ? pulse_package_finish(package, out) : NGX_ERROR;
}


/* without the time it was made, so that the same document is the same file */

static void
pulse_docx_core(const pulse_document_t *document, ngx_pulse_buf_t *b)
{
    pulse_xml_format(b,
        PULSE_XML_HEAD
        "<cp:coreProperties xmlns:cp=\"" PULSE_DOCX_PACKAGE
            "/metadata/core-properties\""
            " xmlns:dc=\"http://purl.org/dc/elements/1.1/\">"
        "<dc:title>%s</dc:title><dc:creator>%s</dc:creator>"
        "<dc:language>%s</dc:language></cp:coreProperties>",
        &document->title, &document->author, &document->language);
}


static void
pulse_docx_settings(const pulse_document_t *document, ngx_pulse_buf_t *b)
{
    ngx_str_t  english = ngx_string("en-US"), arabic = ngx_string("ar-JO");

    pulse_xml_format(b,
        PULSE_XML_HEAD
        "<w:settings xmlns:w=\"" PULSE_DOCX_MAIN "\">"
        "<w:zoom w:percent=\"100\"/><w:defaultTabStop w:val=\"720\"/>"
        "<w:compat><w:compatSetting w:name=\"compatibilityMode\" w:uri=\""
            "http://schemas.microsoft.com/office/word\" w:val=\"15\"/>"
        "</w:compat>"
        "<w:themeFontLang w:val=\"%s\" w:bidi=\"%s\"/>"
        "<w:decimalSymbol w:val=\".\"/><w:listSeparator w:val=\",\"/>"
        "</w:settings>",
        document->rtl ? &english : &document->language,
        document->rtl ? &document->language : &arabic);
}
