
#include "pulse_docx.h"
#include "pulse_pdf.h"
#include "unit.h"
#include <zip.h>


static void test_body(void);
static void test_against(ngx_uint_t rtl, pulse_paragraph_role_e role,
    const char *line, const char *properties, const char *run);
static void test_styles(void);
static void test_looks(void);
static void test_stable(void);
static void test_capped(void);
static void test_pages(void);
static void test_init(pulse_document_t *document, ngx_uint_t rtl);
static void test_part(ngx_pulse_buf_t *archive, const char *name,
    ngx_pulse_buf_t *text);
static ngx_uint_t test_count(const ngx_pulse_buf_t *b, const char *text);
static ngx_uint_t test_has(const ngx_pulse_buf_t *b, const char *text);


static pulse_span_t  test_name[] = {
    { ngx_string("Layan & <Co>"), ngx_null_string, 0 }
};

static pulse_span_t  test_contact[] = {
    { ngx_string("a@b.example"), ngx_string("mailto:a@b.example"), 0 },
    { ngx_string(" | "), ngx_null_string, 0 },
    { ngx_string("c.example/\"x"),
      ngx_string("https://c.example/\\\"x&y"), 0 }
};

static pulse_span_t  test_bullet[] = {
    { ngx_string("لغة C++"), ngx_null_string, 1 },
    { ngx_string(" و Go"), ngx_null_string, 0 }
};

static pulse_span_t  test_heading[] = {
    { ngx_string("الخبرة"), ngx_null_string, 0 }
};

static pulse_paragraph_t  test_paragraphs[] = {
    { pulse_paragraph_name, test_name, 1 },
    { pulse_paragraph_contact, test_contact, 3 },
    { pulse_paragraph_section, test_heading, 1 },
    { pulse_paragraph_bullet, test_bullet, 2 }
};


int
main(void)
{
    check_int(pulse_docx_init(), NGX_OK);

    test_body();
    test_styles();
    test_looks();
    test_stable();
    test_capped();
    test_pages();

    pulse_docx_done();

    return unit_done();
}


static void
test_body(void)
{
    ngx_pool_t        *pool;
    ngx_pulse_buf_t    b;
    pulse_document_t   document;

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);

    test_init(&document, 1);
    check_int(pulse_docx_body(pool, &document, &b), NGX_OK);

    check(test_has(&b, "Layan &amp; &lt;Co&gt;"));
    check(test_has(&b, "<w:t xml:space=\"preserve\">لغة </w:t>"));
    check(test_has(&b, "<w:rPr><w:b/><w:bCs/></w:rPr>"
                       "<w:t xml:space=\"preserve\">C++\xe2\x80\x8e</w:t>"));
    check(test_has(&b, "<w:rPr><w:rtl/></w:rPr>"
                       "<w:t xml:space=\"preserve\"> و </w:t>"));
    check(test_has(&b, " HYPERLINK &quot;https://c.example/%5C%22x&amp;y"
                       "&quot; "));

    /* a heading stays with what follows, the last paragraph with nothing */

    check(test_has(&b, "<w:pStyle w:val=\"Heading1\"/><w:keepNext/><w:bidi/>"));
    check(test_has(&b, "<w:pStyle w:val=\"ListBullet\"/><w:bidi/>"));

    check_int(test_count(&b, "<w:bidi/>"), 5);
    check_int(test_count(&b, "fldCharType=\"begin\""), 2);
    check_int(test_count(&b, "fldCharType=\"end\""), 2);

    b.len = 0;
    test_init(&document, 0);
    check_int(pulse_docx_body(pool, &document, &b), NGX_OK);

    /* the Arabic bullet's own */

    check(test_has(&b, "<w:pStyle w:val=\"ListBullet\"/><w:bidi/></w:pPr>"));
    check_int(test_count(&b, "<w:bidi/>"), 1);

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);

    test_against(0, pulse_paragraph_text, "عملت في Example على Redis",
                 "<w:bidi/><w:jc w:val=\"right\"/>", "<w:rtl/>");
    test_against(0, pulse_paragraph_bullet, "عملت في Example على Redis",
                 "<w:bidi/>", "<w:rtl/>");
    test_against(1, pulse_paragraph_text, "Built an API for شركة النور alone",
                 "<w:bidi w:val=\"0\"/><w:jc w:val=\"right\"/>", "");
    test_against(1, pulse_paragraph_bullet, "Built an API for نور alone",
                 "<w:bidi w:val=\"0\"/>", "");
    test_against(0, pulse_paragraph_text, "Built an API for شركة النور alone",
                 "", "");
    test_against(1, pulse_paragraph_text, "Redis هو مخزن بيانات سريع",
                 "<w:bidi/>", "");
}


/* a line that may be a sentence against its document, and its first run */

static void
test_against(ngx_uint_t rtl, pulse_paragraph_role_e role, const char *line,
    const char *properties, const char *run)
{
    char               text[256];
    ngx_pool_t        *pool;
    pulse_span_t       span;
    ngx_pulse_buf_t    b;
    pulse_document_t   document;
    pulse_paragraph_t  paragraph;

    unit_case("%s", line);

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);
    test_init(&document, rtl);

    ngx_memzero(&span, sizeof(pulse_span_t));
    span.text.data = (u_char *) line;
    span.text.len = strlen(line);

    paragraph.role = role;
    paragraph.spans = &span;
    paragraph.nspans = 1;

    document.paragraphs = &paragraph;
    document.nparagraphs = 1;

    check_int(pulse_docx_body(pool, &document, &b), NGX_OK);

    snprintf(text, sizeof(text), "\"/>%s</w:pPr><w:r><w:rPr>%s</w:rPr>",
             properties, run);
    check(test_has(&b, text));

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);

    unit_case(NULL);
}


static void
test_styles(void)
{
    ngx_pulse_buf_t   b;
    pulse_document_t  document;

    ngx_pulse_buf_init(&b, 0);
    test_init(&document, 1);

    pulse_docx_styles(&document, &b);

    /* what is said for Latin is said for Arabic */

    check_int(test_count(&b, "<w:sz "), test_count(&b, "<w:szCs "));
    check_int(test_count(&b, "<w:b/>"), test_count(&b, "<w:bCs/>"));
    check(test_has(&b, "w:bidi=\"ar-JO\""));
    check(test_has(&b, "<w:name w:val=\"heading 1\"/>"));
    check(!test_has(&b, "\"Title\""));

    ngx_pulse_buf_free(&b);
}


static void
test_looks(void)
{
    check_int(pulse_look_tint(0x000000, 100), 0xffffff);
    check_int(pulse_look_tint(0x204060, 0), 0x204060);
    check_int(pulse_look_tint(0x0000ff, 50), 0x7f7fff);

    /* 8.7:1 stays; yellow and white are no colors to read */

    check_int(pulse_look_readable(0x1f4e79), 0x1f4e79);
    check(pulse_look_readable(0xffff00) < 0x909000);
    check(pulse_look_readable(0xffffff) < 0x808080);
    check_int(pulse_look_readable(0), 0);
}


static void
test_stable(void)
{
    ngx_pool_t        *pool;
    ngx_pulse_buf_t    first, second, part;
    pulse_document_t   document;

    pool = unit_pool();

    ngx_pulse_buf_init(&first, 0);
    ngx_pulse_buf_init(&second, 0);
    ngx_pulse_buf_init(&part, 0);
    test_init(&document, 1);

    check_int(pulse_docx_write(pool, &document, &first), NGX_OK);
    check_int(pulse_docx_write(pool, &document, &second), NGX_OK);
    check_mem(first.data, first.len, second.data, second.len);

    test_part(&first, "docProps/core.xml", &part);
    check(test_has(&part, "<dc:title>Title</dc:title>"));
    check(test_has(&part, "<dc:language>ar-JO</dc:language>"));

    test_part(&first, "[Content_Types].xml", &part);
    check_int(test_count(&part, "<Override "), 6);

    first.len = second.len = 0;

    check_int(pulse_pdf_write_document(pool, &document, &first), NGX_OK);
    check_int(pulse_pdf_write_document(pool, &document, &second), NGX_OK);
    check_mem(first.data, 5, "%PDF-", 5);
    check_mem(first.data, first.len, second.data, second.len);

    ngx_pulse_buf_free(&first);
    ngx_pulse_buf_free(&second);
    ngx_pulse_buf_free(&part);
    ngx_destroy_pool(pool);
}


/* a file past its cap is an error, of either kind */

static void
test_capped(void)
{
    ngx_pool_t        *pool;
    ngx_pulse_buf_t    out;
    pulse_document_t   document;

    pool = unit_pool();

    ngx_pulse_buf_init(&out, 1000);
    test_init(&document, 1);

    check_int(pulse_docx_write(pool, &document, &out), NGX_ERROR);
    ngx_pulse_buf_free(&out);

    ngx_pulse_buf_init(&out, 1000);
    check_int(pulse_pdf_write_document(pool, &document, &out), NGX_ERROR);
    ngx_pulse_buf_free(&out);

    ngx_destroy_pool(pool);
}


/* long text goes on, page after page */

static void
test_pages(void)
{
    ngx_uint_t          i;
    ngx_pool_t         *pool;
    ngx_pulse_buf_t     out;
    pulse_document_t    document;
    pulse_paragraph_t   paragraphs[300];

    pool = unit_pool();
    ngx_pulse_buf_init(&out, 0);
    test_init(&document, 1);

    for (i = 0; i < 300; i++) {
        paragraphs[i] = test_paragraphs[i % 3 ? 3 : 2];
    }

    document.paragraphs = paragraphs;
    document.nparagraphs = 300;

    check_int(pulse_pdf_write_document(pool, &document, &out), NGX_OK);

    /* in the page tree; heights come from the look alone, not from fonts */

    check(test_has(&out, "/Count 12\n"));

    ngx_pulse_buf_free(&out);
    ngx_destroy_pool(pool);
}


static void
test_init(pulse_document_t *document, ngx_uint_t rtl)
{
    ngx_memzero(document, sizeof(pulse_document_t));

    ngx_str_set(&document->title, "Title");
    ngx_str_set(&document->author, "Author");

    if (rtl) {
        ngx_str_set(&document->language, "ar-JO");
    } else {
        ngx_str_set(&document->language, "en-US");
    }

    document->accent = 0x1f4e79;
    document->rtl = rtl;
    document->paragraphs = test_paragraphs;
    document->nparagraphs = 4;
}


static void
test_part(ngx_pulse_buf_t *archive, const char *name, ngx_pulse_buf_t *text)
{
    zip_t         *zip;
    zip_stat_t     st;
    zip_file_t    *file;
    zip_source_t  *source;

    text->len = 0;

    source = zip_source_buffer_create(archive->data, archive->len, 0, NULL);
    zip = zip_open_from_source(source, ZIP_RDONLY, NULL);
    check(zip != NULL);

    check_int(zip_stat(zip, name, 0, &st), 0);

    file = zip_fopen(zip, name, 0);

    text->len = zip_fread(file, ngx_pulse_buf_reserve(text, st.size),
                          st.size);
    check_int(text->len, st.size);

    zip_fclose(file);
    zip_discard(zip);
}


static ngx_uint_t
test_count(const ngx_pulse_buf_t *b, const char *text)
{
    u_char      *p;
    ngx_uint_t   n;

    n = 0;

    for (p = b->data; /* void */ ; p++) {
        p = memmem(p, b->data + b->len - p, text, strlen(text));

        if (p == NULL) {
            return n;
        }

        n++;
    }
}


static ngx_uint_t
test_has(const ngx_pulse_buf_t *b, const char *text)
{
    return test_count(b, text) > 0;
}
