
#include "pulse_pptx.h"
#include "pulse_xml.h"


#define PULSE_PPTX_KIND                                                       \
    "application/vnd.openxmlformats-officedocument.presentationml"
#define PULSE_PPTX_REL  PULSE_PPTX_OFFICE "/relationships"

#define PULSE_PPTX_TEMPLATES  (pulse_template_minimal + 1)
#define PULSE_PPTX_NAME       64

/* parts of a template: its layouts, the master with its relations, and the
 * master of notes */

#define PULSE_PPTX_PREPARED   (PULSE_PPTX_LAYOUTS + 3)


static pulse_parts_t *pulse_pptx_prepare(const pulse_deck_t *deck);
static void pulse_pptx_prepared(const pulse_deck_t *deck, ngx_uint_t i,
    char *name, ngx_pulse_buf_t *b);
static void pulse_pptx_master_rels(ngx_pulse_buf_t *b);
static ngx_int_t pulse_pptx_fixed(pulse_package_t *package,
    const pulse_deck_t *deck);
static ngx_int_t pulse_pptx_slides(ngx_pool_t *pool,
    pulse_package_t *package, const pulse_deck_t *deck);
static ngx_int_t pulse_pptx_chart_parts(ngx_pool_t *pool,
    pulse_package_t *package, const pulse_deck_t *deck, ngx_uint_t n);
static ngx_int_t pulse_pptx_notes_parts(ngx_pool_t *pool,
    pulse_package_t *package, const pulse_deck_t *deck, ngx_uint_t n);
static ngx_int_t pulse_pptx_media(pulse_package_t *package,
    const pulse_deck_t *deck, ngx_uint_t n);
static void pulse_pptx_types(const pulse_deck_t *deck, ngx_pulse_buf_t *b);
static void pulse_pptx_core(const pulse_deck_t *deck, ngx_pulse_buf_t *b);
static void pulse_pptx_presentation(const pulse_deck_t *deck,
    ngx_pulse_buf_t *b);
static void pulse_pptx_presentation_rels(const pulse_deck_t *deck,
    ngx_pulse_buf_t *b);
static void pulse_pptx_slide_rels(const pulse_deck_t *deck, ngx_uint_t n,
    ngx_pulse_buf_t *b);
static void pulse_pptx_rel(ngx_pulse_buf_t *b, const char *id,
    const char *type, const char *directory, const char *name,
    ngx_uint_t n, const char *extension);
static ngx_int_t pulse_pptx_add(pulse_package_t *package,
    const char *directory, const char *name, ngx_uint_t n,
    const char *extension, ngx_pulse_buf_t *b);


static const pulse_part_t  pulse_pptx_shared[] = {

    { "_rels/.rels",
      PULSE_XML_HEAD
      "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
      "<Relationship Id=\"rId1\" Type=\"" PULSE_PPTX_REL
          "/officeDocument\" Target=\"ppt/presentation.xml\"/>"
      "<Relationship Id=\"rId2\" Type=\"" PULSE_PPTX_PACKAGE
          "/relationships/metadata/core-properties\""
          " Target=\"docProps/core.xml\"/>"
      "<Relationship Id=\"rId3\" Type=\"" PULSE_PPTX_REL
          "/extended-properties\" Target=\"docProps/app.xml\"/>"
      "</Relationships>" },

    { "docProps/app.xml",
      PULSE_XML_HEAD
      "<Properties xmlns=\"" PULSE_PPTX_OFFICE "/extended-properties\">"
      "<Application>Pulse AI Studio</Application></Properties>" },

    { "ppt/presProps.xml",
      PULSE_XML_HEAD "<p:presentationPr" PULSE_PPTX_SPACES "/>" },

    { "ppt/viewProps.xml",
      PULSE_XML_HEAD "<p:viewPr" PULSE_PPTX_SPACES "/>" },

    { "ppt/tableStyles.xml",
      PULSE_XML_HEAD
      "<a:tblStyleLst xmlns:a=\"" PULSE_PPTX_DRAWING "/main\""
      " def=\"{5C22544A-7EE6-4342-B048-85BDC9FD1C3A}\"/>" },

    { "ppt/notesMasters/_rels/notesMaster1.xml.rels",
      PULSE_XML_HEAD
      "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
      "<Relationship Id=\"rId1\" Type=\"" PULSE_PPTX_REL
          "/theme\" Target=\"../theme/theme2.xml\"/></Relationships>" },

    { NULL, NULL }
};


/* by template, ratio and direction */

static pulse_parts_t  *pulse_pptx_parts[PULSE_PPTX_TEMPLATES][2][2];


ngx_int_t
pulse_pptx_init(void)
{
    ngx_uint_t     template, wide, rtl;
    pulse_deck_t   deck;

    pulse_package_init();

    ngx_memzero(&deck, sizeof(pulse_deck_t));

    for (template = 0; template < PULSE_PPTX_TEMPLATES; template++) {
        for (wide = 0; wide < 2; wide++) {
            for (rtl = 0; rtl < 2; rtl++) {
                deck.template = template;
                deck.wide = wide;
                deck.rtl = rtl;

                pulse_pptx_parts[template][wide][rtl] =
                    pulse_pptx_prepare(&deck);

                if (pulse_pptx_parts[template][wide][rtl] == NULL) {
                    return NGX_ERROR;
                }
            }
        }
    }

    return NGX_OK;
}


void
pulse_pptx_done(void)
{
    ngx_uint_t       i;
    pulse_parts_t  **parts;

    parts = &pulse_pptx_parts[0][0][0];

    for (i = 0; i < PULSE_PPTX_TEMPLATES * 4; i++) {
        if (parts[i]) {
            pulse_package_free_parts(parts[i]);
            parts[i] = NULL;
        }
    }
}


/* what has no color and no text of a deck in it */

static pulse_parts_t *
pulse_pptx_prepare(const pulse_deck_t *deck)
{
    char              names[PULSE_PPTX_PREPARED][2][PULSE_PPTX_NAME];
    ngx_uint_t        i, n;
    pulse_part_t      list[2 * PULSE_PPTX_LAYOUTS + 12];
    pulse_parts_t    *parts;
    ngx_pulse_buf_t   texts[PULSE_PPTX_PREPARED];

    static const char  rels[] =
        PULSE_XML_HEAD
        "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
        "<Relationship Id=\"rId1\" Type=\"" PULSE_PPTX_REL "/slideMaster\""
        " Target=\"../slideMasters/slideMaster1.xml\"/></Relationships>";

    ngx_memzero(list, sizeof(list));

    for (n = 0; pulse_pptx_shared[n].name; n++) {
        list[n] = pulse_pptx_shared[n];
    }

    for (i = 0; i < PULSE_PPTX_PREPARED; i++) {
        ngx_pulse_buf_init(&texts[i], 0);
        pulse_pptx_prepared(deck, i, names[i][0], &texts[i]);
        ngx_pulse_buf_char(&texts[i], '\0');

        if (i < PULSE_PPTX_LAYOUTS) {
            snprintf(names[i][1], PULSE_PPTX_NAME,
                     "ppt/slideLayouts/_rels/slideLayout%d.xml.rels",
                     (int) i + 1);

            list[n].name = names[i][1];
            list[n++].text = rels;
        }

        list[n].name = names[i][0];
        list[n++].text = texts[i].failed ? "" : (char *) texts[i].data;
    }

    parts = pulse_package_parts(list);

    for (i = 0; i < PULSE_PPTX_PREPARED; i++) {

        if (texts[i].failed && parts) {
            pulse_package_free_parts(parts);
            parts = NULL;
        }

        ngx_pulse_buf_free(&texts[i]);
    }

    return parts;
}


static void
pulse_pptx_prepared(const pulse_deck_t *deck, ngx_uint_t i, char *name,
    ngx_pulse_buf_t *b)
{
    const char  *path;

    if (i < PULSE_PPTX_LAYOUTS) {
        pulse_pptx_layout(deck, i + 1, b);

        snprintf(name, PULSE_PPTX_NAME, "ppt/slideLayouts/slideLayout%d.xml",
                 (int) i + 1);
        return;
    }

    switch (i - PULSE_PPTX_LAYOUTS) {

    case 0:
        pulse_pptx_master(deck, b);
        path = "ppt/slideMasters/slideMaster1.xml";
        break;

    case 1:
        pulse_pptx_master_rels(b);
        path = "ppt/slideMasters/_rels/slideMaster1.xml.rels";
        break;

    default:
        pulse_pptx_notes_master(deck, b);
        path = "ppt/notesMasters/notesMaster1.xml";
    }

    snprintf(name, PULSE_PPTX_NAME, "%s", path);
}


static void
pulse_pptx_master_rels(ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    ngx_pulse_buf_literal(b, PULSE_XML_HEAD "<Relationships xmlns=\""
                             PULSE_PPTX_PACKAGE "/relationships\">");

    for (i = 1; i <= PULSE_PPTX_LAYOUTS; i++) {
        pulse_xml_format(b,
            "<Relationship Id=\"rId%d\" Type=\"" PULSE_PPTX_REL
            "/slideLayout\" Target=\"../slideLayouts/slideLayout%d.xml\"/>",
            (ngx_int_t) i, (ngx_int_t) i);
    }

    ngx_pulse_buf_literal(b,
        "<Relationship Id=\"rIdTheme\" Type=\"" PULSE_PPTX_REL
        "/theme\" Target=\"../theme/theme1.xml\"/></Relationships>");
}


ngx_int_t
pulse_pptx_write(ngx_pool_t *pool, const pulse_deck_t *deck,
    ngx_pulse_buf_t *out)
{
    ngx_pulse_buf_t   b;
    pulse_package_t  *package;

    package = pulse_package_create(pool);
    if (package == NULL) {
        return NGX_ERROR;
    }

    /* the content types come first, as readers of streams expect */

    ngx_pulse_buf_init(&b, 0);
    pulse_pptx_types(deck, &b);

    if (pulse_package_add(package, "[Content_Types].xml", &b) != NGX_OK
        || pulse_package_copy(package, pulse_pptx_parts[deck->template]
                                           [deck->wide][deck->rtl])
           != NGX_OK
        || pulse_pptx_fixed(package, deck) != NGX_OK
        || pulse_pptx_slides(pool, package, deck) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_package_finish(package, out);
}


static ngx_int_t
pulse_pptx_fixed(pulse_package_t *package, const pulse_deck_t *deck)
{
    ngx_int_t        rc;
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    pulse_pptx_core(deck, &b);
    rc = pulse_package_add(package, "docProps/core.xml", &b);

    pulse_pptx_presentation(deck, &b);
    rc |= pulse_package_add(package, "ppt/presentation.xml", &b);

    pulse_pptx_presentation_rels(deck, &b);
    rc |= pulse_package_add(package, "ppt/_rels/presentation.xml.rels", &b);

    /* of the slides, and of the notes: a master does not share one */

    for (i = 1; i <= 2; i++) {
        pulse_pptx_theme(deck, &b);
        rc |= pulse_pptx_add(package, "ppt/theme", "theme", i, "xml", &b);
    }

    return rc;
}


static ngx_int_t
pulse_pptx_slides(ngx_pool_t *pool, pulse_package_t *package,
    const pulse_deck_t *deck)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_pulse_buf_t       b;
    const pulse_slide_t  *slide;

    for (i = 1; i <= deck->nslides; i++) {
        slide = &deck->slides[i - 1];

        ngx_pulse_buf_init(&b, 0);

        rc = pulse_pptx_slide(pool, deck, slide, &b);
        rc |= pulse_pptx_add(package, "ppt/slides", "slide", i, "xml", &b);

        pulse_pptx_slide_rels(deck, i, &b);
        rc |= pulse_pptx_add(package, "ppt/slides/_rels", "slide", i,
                             "xml.rels", &b);

        if (slide->chart) {
            rc |= pulse_pptx_chart_parts(pool, package, deck, i);
        }

        if (slide->notes.len) {
            rc |= pulse_pptx_notes_parts(pool, package, deck, i);
        }

        rc |= pulse_pptx_media(package, deck, i);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_pptx_chart_parts(ngx_pool_t *pool, pulse_package_t *package,
    const pulse_deck_t *deck, ngx_uint_t n)
{
    ngx_int_t             rc;
    ngx_pulse_buf_t       b;
    const pulse_chart_t  *chart;

    chart = deck->slides[n - 1].chart;

    ngx_pulse_buf_init(&b, 0);

    pulse_pptx_chart(deck, chart, &b);
    rc = pulse_pptx_add(package, "ppt/charts", "chart", n, "xml", &b);

    pulse_xml_format(&b,
        PULSE_XML_HEAD
        "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
        "<Relationship Id=\"rId1\" Type=\"" PULSE_PPTX_REL
        "/package\" Target=\"../embeddings/workbook%d.xlsx\"/>"
        "</Relationships>",
        (ngx_int_t) n);
    rc |= pulse_pptx_add(package, "ppt/charts/_rels", "chart", n, "xml.rels",
                         &b);

    rc |= pulse_xlsx_write(pool, chart, &b);
    rc |= pulse_pptx_add(package, "ppt/embeddings", "workbook", n, "xlsx",
                         &b);

    return rc;
}


static ngx_int_t
pulse_pptx_notes_parts(ngx_pool_t *pool, pulse_package_t *package,
    const pulse_deck_t *deck, ngx_uint_t n)
{
    ngx_int_t        rc;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    rc = pulse_pptx_notes(pool, deck, &deck->slides[n - 1], &b);
    rc |= pulse_pptx_add(package, "ppt/notesSlides", "notesSlide", n, "xml",
                         &b);

    pulse_xml_format(&b,
        PULSE_XML_HEAD
        "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
        "<Relationship Id=\"rId1\" Type=\"" PULSE_PPTX_REL
        "/notesMaster\" Target=\"../notesMasters/notesMaster1.xml\"/>"
        "<Relationship Id=\"rId2\" Type=\"" PULSE_PPTX_REL
        "/slide\" Target=\"../slides/slide%d.xml\"/></Relationships>",
        (ngx_int_t) n);
    rc |= pulse_pptx_add(package, "ppt/notesSlides/_rels", "notesSlide", n,
                         "xml.rels", &b);

    return rc;
}


/* numbered by slide and place, "21" is the first of the second slide */

static ngx_int_t
pulse_pptx_media(pulse_package_t *package, const pulse_deck_t *deck,
    ngx_uint_t n)
{
    char                    name[PULSE_PPTX_NAME];
    ngx_uint_t              i, npictures;
    const pulse_picture_t  *pictures[3];

    npictures = pulse_pptx_pictures(&deck->slides[n - 1], pictures);

    for (i = 0; i < npictures; i++) {
        snprintf(name, sizeof(name), "ppt/media/image%d.%s",
                 (int) (n * 10 + i + 1), pictures[i]->jpeg ? "jpeg" : "png");

        if (pulse_package_store(package, name, &pictures[i]->data) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
pulse_pptx_types(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    ngx_uint_t            i;
    const pulse_slide_t  *slide;

    ngx_pulse_buf_literal(b,
        PULSE_XML_HEAD
        "<Types xmlns=\"" PULSE_PPTX_PACKAGE "/content-types\">"
        "<Default Extension=\"rels\" ContentType=\"application/"
            "vnd.openxmlformats-package.relationships+xml\"/>"
        "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
        "<Default Extension=\"png\" ContentType=\"image/png\"/>"
        "<Default Extension=\"jpeg\" ContentType=\"image/jpeg\"/>"
        "<Default Extension=\"xlsx\" ContentType=\"application/"
            "vnd.openxmlformats-officedocument.spreadsheetml.sheet\"/>"
        "<Override PartName=\"/ppt/presentation.xml\" ContentType=\""
            PULSE_PPTX_KIND ".presentation.main+xml\"/>"
        "<Override PartName=\"/ppt/presProps.xml\" ContentType=\""
            PULSE_PPTX_KIND ".presProps+xml\"/>"
        "<Override PartName=\"/ppt/viewProps.xml\" ContentType=\""
            PULSE_PPTX_KIND ".viewProps+xml\"/>"
        "<Override PartName=\"/ppt/tableStyles.xml\" ContentType=\""
            PULSE_PPTX_KIND ".tableStyles+xml\"/>"
        "<Override PartName=\"/ppt/slideMasters/slideMaster1.xml\""
            " ContentType=\"" PULSE_PPTX_KIND ".slideMaster+xml\"/>"
        "<Override PartName=\"/ppt/notesMasters/notesMaster1.xml\""
            " ContentType=\"" PULSE_PPTX_KIND ".notesMaster+xml\"/>"
        "<Override PartName=\"/docProps/core.xml\" ContentType=\"application/"
            "vnd.openxmlformats-package.core-properties+xml\"/>"
        "<Override PartName=\"/docProps/app.xml\" ContentType=\"application/"
            "vnd.openxmlformats-officedocument.extended-properties+xml\"/>");

    for (i = 1; i <= 2; i++) {
        pulse_xml_format(b,
            "<Override PartName=\"/ppt/theme/theme%d.xml\" ContentType=\""
            "application/vnd.openxmlformats-officedocument.theme+xml\"/>",
            (ngx_int_t) i);
    }

    for (i = 1; i <= PULSE_PPTX_LAYOUTS; i++) {
        pulse_xml_format(b,
            "<Override PartName=\"/ppt/slideLayouts/slideLayout%d.xml\""
            " ContentType=\"" PULSE_PPTX_KIND ".slideLayout+xml\"/>",
            (ngx_int_t) i);
    }

    for (i = 1; i <= deck->nslides; i++) {
        slide = &deck->slides[i - 1];

        pulse_xml_format(b,
            "<Override PartName=\"/ppt/slides/slide%d.xml\" ContentType=\""
            PULSE_PPTX_KIND ".slide+xml\"/>",
            (ngx_int_t) i);

        if (slide->notes.len) {
            pulse_xml_format(b,
                "<Override PartName=\"/ppt/notesSlides/notesSlide%d.xml\""
                " ContentType=\"" PULSE_PPTX_KIND ".notesSlide+xml\"/>",
                (ngx_int_t) i);
        }

        if (slide->chart) {
            pulse_xml_format(b,
                "<Override PartName=\"/ppt/charts/chart%d.xml\" ContentType="
                "\"application/vnd.openxmlformats-officedocument"
                ".drawingml.chart+xml\"/>",
                (ngx_int_t) i);
        }
    }

    ngx_pulse_buf_literal(b, "</Types>");
}


static void
pulse_pptx_core(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    pulse_xml_format(b,
        PULSE_XML_HEAD
        "<cp:coreProperties xmlns:cp=\"" PULSE_PPTX_PACKAGE
            "/metadata/core-properties\""
            " xmlns:dc=\"http://purl.org/dc/elements/1.1/\">"
        "<dc:title>%s</dc:title><dc:creator>%s</dc:creator>"
        "<dc:language>%s</dc:language></cp:coreProperties>",
        &deck->title, &deck->author, &deck->language);
}


static void
pulse_pptx_presentation(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    pulse_xml_format(b,
        PULSE_XML_HEAD
        "<p:presentation" PULSE_PPTX_SPACES "%t saveSubsetFonts=\"1\">"
        "<p:sldMasterIdLst><p:sldMasterId id=\"2147483648\""
            " r:id=\"rIdMaster\"/></p:sldMasterIdLst>"
        "<p:notesMasterIdLst><p:notesMasterId r:id=\"rIdNotes\"/>"
        "</p:notesMasterIdLst><p:sldIdLst>",
        deck->rtl ? " rtl=\"1\"" : "");

    for (i = 1; i <= deck->nslides; i++) {
        pulse_xml_format(b, "<p:sldId id=\"%d\" r:id=\"rIdSlide%d\"/>",
                         (ngx_int_t) i + 255, (ngx_int_t) i);
    }

    pulse_xml_format(b,
        "</p:sldIdLst><p:sldSz cx=\"%d\" cy=\"%d\"%t/>"
        "<p:notesSz cx=\"6858000\" cy=\"9144000\"/></p:presentation>",
        pulse_slide_width(deck->wide), (ngx_int_t) PULSE_SLIDE_HEIGHT,
        deck->wide ? "" : " type=\"screen4x3\"");
}


static void
pulse_pptx_presentation_rels(const pulse_deck_t *deck, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    ngx_pulse_buf_literal(b,
        PULSE_XML_HEAD
        "<Relationships xmlns=\"" PULSE_PPTX_PACKAGE "/relationships\">"
        "<Relationship Id=\"rIdMaster\" Type=\"" PULSE_PPTX_REL
            "/slideMaster\" Target=\"slideMasters/slideMaster1.xml\"/>"
        "<Relationship Id=\"rIdNotes\" Type=\"" PULSE_PPTX_REL
            "/notesMaster\" Target=\"notesMasters/notesMaster1.xml\"/>"
        "<Relationship Id=\"rIdProps\" Type=\"" PULSE_PPTX_REL
            "/presProps\" Target=\"presProps.xml\"/>"
        "<Relationship Id=\"rIdView\" Type=\"" PULSE_PPTX_REL
            "/viewProps\" Target=\"viewProps.xml\"/>"
        "<Relationship Id=\"rIdTables\" Type=\"" PULSE_PPTX_REL
            "/tableStyles\" Target=\"tableStyles.xml\"/>"
        "<Relationship Id=\"rIdTheme\" Type=\"" PULSE_PPTX_REL
            "/theme\" Target=\"theme/theme1.xml\"/>");

    for (i = 1; i <= deck->nslides; i++) {
        pulse_xml_format(b,
            "<Relationship Id=\"rIdSlide%d\" Type=\"" PULSE_PPTX_REL
            "/slide\" Target=\"slides/slide%d.xml\"/>",
            (ngx_int_t) i, (ngx_int_t) i);
    }

    ngx_pulse_buf_literal(b, "</Relationships>");
}


static void
pulse_pptx_slide_rels(const pulse_deck_t *deck, ngx_uint_t n,
    ngx_pulse_buf_t *b)
{
    char                    id[16];
    ngx_uint_t              i, npictures;
    const pulse_slide_t    *slide;
    const pulse_picture_t  *pictures[3];

    slide = &deck->slides[n - 1];

    ngx_pulse_buf_literal(b, PULSE_XML_HEAD "<Relationships xmlns=\""
                             PULSE_PPTX_PACKAGE "/relationships\">");

    pulse_pptx_rel(b, "rIdLayout", "slideLayout", "slideLayouts",
                   "slideLayout", pulse_pptx_layout_of(slide), "xml");

    if (slide->notes.len) {
        pulse_pptx_rel(b, "rIdNotes", "notesSlide", "notesSlides",
                       "notesSlide", n, "xml");
    }

    if (slide->chart) {
        pulse_pptx_rel(b, "rIdChart", "chart", "charts", "chart", n, "xml");
    }

    npictures = pulse_pptx_pictures(slide, pictures);

    for (i = 0; i < npictures; i++) {
        snprintf(id, sizeof(id), "rIdImage%d", (int) i + 1);
        pulse_pptx_rel(b, id, "image", "media", "image", n * 10 + i + 1,
                       pictures[i]->jpeg ? "jpeg" : "png");
    }

    ngx_pulse_buf_literal(b, "</Relationships>");
}


static void
pulse_pptx_rel(ngx_pulse_buf_t *b, const char *id, const char *type,
    const char *directory, const char *name, ngx_uint_t n,
    const char *extension)
{
    pulse_xml_format(b,
        "<Relationship Id=\"%t\" Type=\"" PULSE_PPTX_REL "/%t\""
        " Target=\"../%t/%t%d.%t\"/>",
        id, type, directory, name, (ngx_int_t) n, extension);
}


static ngx_int_t
pulse_pptx_add(pulse_package_t *package, const char *directory,
    const char *name, ngx_uint_t n, const char *extension,
    ngx_pulse_buf_t *b)
{
    char  path[PULSE_PPTX_NAME];

    snprintf(path, sizeof(path), "%s/%s%d.%s", directory, name, (int) n,
             extension);

    return pulse_package_add(package, path, b);
}
