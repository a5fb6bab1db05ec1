
#include <zip.h>
#include "pulse_pptx.h"
#include "unit.h"


/*
 * Packages of decks as they are read again: which parts there are, what each
 * slide has, in both directions, and that memory that runs out is an error.
 */


static void test_parts(void);
static void test_directions(void);
static void test_against(const char *locale, const char *line,
    const char *title, const char *bullet);
static void test_chart(void);
static void test_stable(void);
static void test_capped(void);
static void test_many(void);
static void test_no_memory(void);
static pulse_deck_t *test_deck(ngx_pool_t *pool, const char *json);
static void test_write(ngx_pool_t *pool, const char *json,
    ngx_pulse_buf_t *out);
static ngx_uint_t test_entries(const ngx_pulse_buf_t *archive);
static void test_part(const ngx_pulse_buf_t *archive, const char *name,
    ngx_pulse_buf_t *text);
static ngx_uint_t test_count(const ngx_pulse_buf_t *b, const char *text);
static ngx_int_t test_no_file(void *ctx, ngx_pool_t *pool,
    const ngx_str_t *id, ngx_str_t *data);


static const char  test_json[] =
    "{\"presentation_title\":\"A <b> & c\",\"locale\":\"%s\",\"slides\":["
    "{\"title\":\"A <b> & c\",\"layout\":\"title\",\"subtitle\":\"s\"},"
    "{\"title\":\"B\",\"notes\":\"one\\ntwo\",\"bullets\":[\"لغة C++\","
    "{\"text\":\"deep\",\"level\":2}]},"
    "{\"title\":\"T\",\"layout\":\"table\",\"table\":{\"header\":[\"h\",\"i\"],"
    "\"rows\":[[\"1\",\"2\"],[\"3\",\"\"]]}},"
    "{\"title\":\"C\",\"layout\":\"chart\",\"chart\":{\"type\":\"%s\","
    "\"categories\":[\"x\",\"y\"],\"series\":[{\"name\":\"n\","
    "\"values\":[1.5,-2]}]}}]}";


int
main(void)
{
    check_int(pulse_pptx_init(), NGX_OK);

    test_parts();
    test_directions();
    test_chart();
    test_stable();
    test_capped();
    test_many();
    test_no_memory();

    pulse_pptx_done();

    return unit_done();
}


static void
test_parts(void)
{
    char              json[2048];
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   out, text;

    pool = unit_pool();
    snprintf(json, sizeof(json), test_json, "en", "bar");

    test_write(pool, json, &out);

    test_part(&out, "ppt/slides/slide1.xml", &text);
    check_int(test_count(&text, "A &lt;b&gt; &amp; c"), 1);
    check_int(test_count(&text, "<p:ph type=\"ctrTitle\""), 1);
    ngx_pulse_buf_free(&text);

    test_part(&out, "ppt/slides/slide2.xml", &text);
    check_int(test_count(&text, "<p:ph type=\"title\""), 1);
    check_int(test_count(&text, "lvl=\"2\""), 1);
    ngx_pulse_buf_free(&text);

    /* notes are there where they were asked for, and nowhere else */

    test_part(&out, "ppt/notesSlides/notesSlide2.xml", &text);

    if (text.len == 0) {
        ngx_pulse_buf_free(&text);
        test_part(&out, "ppt/notesSlides/notesSlide1.xml", &text);
    }

    check_int(test_count(&text, ">one<"), 1);
    check_int(test_count(&text, ">two<"), 1);
    ngx_pulse_buf_free(&text);

    test_part(&out, "ppt/slides/slide3.xml", &text);
    check_int(test_count(&text, "<a:tr "), 3);
    check_int(test_count(&text, "<a:tc>"), 6);
    check_int(test_count(&text, "<a:gridCol "), 2);
    ngx_pulse_buf_free(&text);

    test_part(&out, "[Content_Types].xml", &text);
    check_int(test_count(&text, "/ppt/slides/slide"), 4);
    check_int(test_count(&text, "/ppt/notesSlides/"), 1);
    check_int(test_count(&text, "/ppt/charts/"), 1);
    ngx_pulse_buf_free(&text);

    test_part(&out, "ppt/presentation.xml", &text);
    check_int(test_count(&text, "<p:sldId "), 4);
    check_int(test_count(&text, "rtl=\"1\""), 0);
    ngx_pulse_buf_free(&text);

    ngx_pulse_buf_free(&out);
    ngx_destroy_pool(pool);
}


static void
test_directions(void)
{
    char              json[2048];
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   out, text;

    pool = unit_pool();
    snprintf(json, sizeof(json), test_json, "ar", "column");

    test_write(pool, json, &out);

    test_part(&out, "ppt/slides/slide2.xml", &text);

    /* the paragraph is right to left, "C++" is a run of its own with a mark */

    check(test_count(&text, "rtl=\"1\"") > 0);
    check_int(test_count(&text, ">C++\xe2\x80\x8e<"), 1);
    check(test_count(&text, "lang=\"ar-JO\"") > 0);
    ngx_pulse_buf_free(&text);

    test_part(&out, "ppt/slides/slide3.xml", &text);
    check_int(test_count(&text, "<a:tblPr rtl=\"1\""), 1);
    ngx_pulse_buf_free(&text);

    test_part(&out, "ppt/presentation.xml", &text);
    check(test_count(&text, "rtl=\"1\"") > 0);
    ngx_pulse_buf_free(&text);

    ngx_pulse_buf_free(&out);
    ngx_destroy_pool(pool);

    test_against("en", "عملت في Example على Redis",
                 " algn=\"l\" rtl=\"1\"", " algn=\"r\" rtl=\"1\"");
    test_against("ar", "Built an API for شركة النور alone",
                 " algn=\"r\" rtl=\"0\"", " algn=\"l\" rtl=\"0\"");
    test_against("en", "Built an API for شركة النور alone", "", "");
    test_against("ar", "Redis هو مخزن بيانات سريع",
                 " algn=\"r\" rtl=\"1\"", " algn=\"r\" rtl=\"1\"");
}


/* a line that may be a sentence against its deck, as a title and a bullet */

static void
test_against(const char *locale, const char *line, const char *title,
    const char *bullet)
{
    char              json[1024], wanted[128];
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   out, text;

    unit_case("%s: %s", locale, line);

    pool = unit_pool();

    snprintf(json, sizeof(json),
             "{\"presentation_title\":\"Deck\",\"locale\":\"%s\",\"slides\":"
             "[{\"layout\":\"bullets\",\"title\":\"%s\",\"bullets\":"
             "[{\"text\":\"%s\",\"level\":1}]}]}", locale, line, line);

    test_write(pool, json, &out);
    test_part(&out, "ppt/slides/slide1.xml", &text);

    snprintf(wanted, sizeof(wanted), "<a:pPr lvl=\"0\"%s/>", title);
    check_int(test_count(&text, wanted), 1);

    snprintf(wanted, sizeof(wanted), "<a:pPr lvl=\"1\"%s/>", bullet);
    check_int(test_count(&text, wanted), 1);

    ngx_pulse_buf_free(&text);
    ngx_pulse_buf_free(&out);
    ngx_destroy_pool(pool);

    unit_case(NULL);
}


static void
test_chart(void)
{
    char              json[2048];
    ngx_uint_t        i;
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   out, text;

    static const struct {
        const char   *type;
        const char   *element;
        ngx_uint_t    axes;
    } charts[] = {
        { "bar", "<c:barChart>", 1 }, { "column", "<c:barChart>", 1 },
        { "line", "<c:lineChart>", 1 }, { "pie", "<c:pieChart>", 0 }
    };

    for (i = 0; i < sizeof(charts) / sizeof(charts[0]); i++) {
        unit_case("%s", charts[i].type);

        pool = unit_pool();
        snprintf(json, sizeof(json), test_json, "ar", charts[i].type);
        test_write(pool, json, &out);

        test_part(&out, "ppt/charts/chart1.xml", &text);

        if (text.len == 0) {
            ngx_pulse_buf_free(&text);
            test_part(&out, "ppt/charts/chart4.xml", &text);
        }

        check_int(test_count(&text, charts[i].element), 1);
        check_int(test_count(&text, "<c:valAx>"), charts[i].axes);
        check_int(test_count(&text, "<c:catAx>"), charts[i].axes);
        check_int(test_count(&text, "<c:majorGridlines>"), charts[i].axes);
        check_int(test_count(&text, ">-2<"), 1);

        ngx_pulse_buf_free(&text);
        ngx_pulse_buf_free(&out);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_stable(void)
{
    char              json[2048];
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   one, two;

    pool = unit_pool();
    snprintf(json, sizeof(json), test_json, "en", "pie");

    test_write(pool, json, &one);
    test_write(pool, json, &two);

    check_mem(one.data, one.len, two.data, two.len);

    ngx_pulse_buf_free(&one);
    ngx_pulse_buf_free(&two);
    ngx_destroy_pool(pool);
}


static void
test_capped(void)
{
    char              json[2048];
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   out;

    pool = unit_pool();
    snprintf(json, sizeof(json), test_json, "en", "line");

    ngx_pulse_buf_init(&out, 1000);
    check_int(pulse_pptx_write(pool, test_deck(pool, json), &out), NGX_ERROR);

    ngx_pulse_buf_free(&out);
    ngx_destroy_pool(pool);
}


/* as many as there may be: each has its part */

static void
test_many(void)
{
    ngx_uint_t        i;
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   json, out, text;

    pool = unit_pool();

    ngx_pulse_buf_init(&json, 0);
    ngx_pulse_buf_literal(&json, "{\"presentation_title\":\"x\",\"slides\":[");

    for (i = 0; i < PULSE_DECK_SLIDES; i++) {
        ngx_pulse_buf_literal(&json, "{\"title\":\"t\",\"bullets\":[\"a\"]},");
    }

    json.len--;
    ngx_pulse_buf_literal(&json, "]}\0");

    test_write(pool, (char *) json.data, &out);

    check(test_entries(&out) > 2 * PULSE_DECK_SLIDES);

    test_part(&out, "ppt/slides/slide200.xml", &text);
    check_int(test_count(&text, "<p:ph type=\"title\""), 1);

    ngx_pulse_buf_free(&text);
    ngx_pulse_buf_free(&out);
    ngx_pulse_buf_free(&json);
    ngx_destroy_pool(pool);
}


static void
test_no_memory(void)
{
    char              json[2048];
    ngx_int_t         rc;
    ngx_uint_t        n;
    ngx_pool_t       *pool;
    pulse_deck_t     *deck;
    ngx_pulse_buf_t   out;

    snprintf(json, sizeof(json), test_json, "ar", "bar");
    rc = NGX_ERROR;

    for (n = 1; rc != NGX_OK && n < 2000; n++) {
        pool = unit_pool();
        deck = test_deck(pool, json);

        ngx_pulse_buf_init(&out, 0);
        unit_fail_allocation(n);

        rc = pulse_pptx_write(pool, deck, &out);

        unit_fail_allocation(0);
        ngx_pulse_buf_free(&out);
        ngx_destroy_pool(pool);
    }

    check_int(rc, NGX_OK);
    check(n > 5);
}


static pulse_deck_t *
test_deck(ngx_pool_t *pool, const char *json)
{
    pulse_deck_t            *deck;
    pulse_form_t            *form;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    deck = ngx_pcalloc(pool, sizeof(pulse_deck_t));
    form = pulse_form_create(pool);
    check(form != NULL);

    v = ngx_pulse_json_tree(pool, (u_char *) json, strlen(json), NULL, &err);
    check(v != NULL);

    pulse_deck_read(form, v, "en", test_no_file, NULL, deck);
    check_int(form->rc, NGX_OK);

    return deck;
}


static void
test_write(ngx_pool_t *pool, const char *json, ngx_pulse_buf_t *out)
{
    ngx_pulse_buf_init(out, 0);
    check_int(pulse_pptx_write(pool, test_deck(pool, json), out), NGX_OK);
}


static ngx_uint_t
test_entries(const ngx_pulse_buf_t *archive)
{
    zip_t         *zip;
    ngx_uint_t     n;
    zip_source_t  *source;

    source = zip_source_buffer_create(archive->data, archive->len, 0, NULL);
    zip = zip_open_from_source(source, ZIP_RDONLY|ZIP_CHECKCONS, NULL);

    check(zip != NULL);

    n = zip_get_num_entries(zip, 0);
    zip_discard(zip);

    return n;
}


/* empty if there is none */

static void
test_part(const ngx_pulse_buf_t *archive, const char *name,
    ngx_pulse_buf_t *text)
{
    u_char         bytes[4096];
    zip_t         *zip;
    zip_file_t    *file;
    zip_int64_t    n;
    zip_source_t  *source;

    ngx_pulse_buf_init(text, 0);

    source = zip_source_buffer_create(archive->data, archive->len, 0, NULL);
    zip = zip_open_from_source(source, ZIP_RDONLY, NULL);

    check(zip != NULL);

    file = zip_fopen(zip, name, 0);

    while (file && (n = zip_fread(file, bytes, sizeof(bytes))) > 0) {
        ngx_pulse_buf_append(text, bytes, n);
    }

    if (file) {
        zip_fclose(file);
    }

    zip_discard(zip);
}


static ngx_uint_t
test_count(const ngx_pulse_buf_t *b, const char *text)
{
    size_t      len;
    u_char     *p;
    ngx_uint_t  n;

    len = strlen(text);
    n = 0;

    for (p = b->data; p && p + len <= b->data + b->len; p++) {
        n += (ngx_memcmp(p, text, len) == 0);
    }

    return n;
}


static ngx_int_t
test_no_file(void *ctx, ngx_pool_t *pool, const ngx_str_t *id,
    ngx_str_t *data)
{
    return NGX_DECLINED;
}
