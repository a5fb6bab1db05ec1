
#include <zip.h>
#include "pulse_package.h"
#include "pulse_xml.h"
#include "unit.h"


static void test_package(void);
static void test_write(ngx_pool_t *pool, pulse_parts_t *parts,
    ngx_pulse_buf_t *out);
static void test_read(const ngx_pulse_buf_t *archive);
static void test_part(zip_t *zip, zip_uint64_t i, const char *name,
    const char *text, zip_uint16_t method);
static void test_cap(void);
static void test_left(void);
static void test_xml(void);


static const pulse_part_t  test_parts[] = {
    { "fixed/a.xml", "<a>the same in every package, every package</a>" },
    { "fixed/b.xml", "<b/>" },
    { NULL, NULL }
};


int
main(void)
{
    test_package();
    test_cap();
    test_left();
    test_xml();

    return unit_done();
}


static void
test_package(void)
{
    ngx_pool_t       *pool;
    pulse_parts_t    *parts;
    ngx_pulse_buf_t   first, second;

    parts = pulse_package_parts(test_parts);
    check(parts != NULL);

    pool = unit_pool();

    ngx_pulse_buf_init(&first, 0);
    ngx_pulse_buf_init(&second, 0);

    setenv("TZ", "Asia/Amman", 1);
    tzset();
    test_write(pool, parts, &first);

    setenv("TZ", "America/Lima", 1);
    tzset();
    test_write(pool, parts, &second);

    check_mem(first.data, first.len, second.data, second.len);

    test_read(&first);

    ngx_pulse_buf_free(&first);
    ngx_pulse_buf_free(&second);
    ngx_destroy_pool(pool);
    pulse_package_free_parts(parts);
}


static void
test_write(ngx_pool_t *pool, pulse_parts_t *parts, ngx_pulse_buf_t *out)
{
    ngx_pulse_buf_t   b;
    pulse_package_t  *package;

    static const ngx_str_t  picture = ngx_string("\x89PNG\x00picture");

    package = pulse_package_create(pool);
    check(package != NULL);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "<types/>");

    check_int(pulse_package_add(package, "[Content_Types].xml", &b), NGX_OK);
    check(b.data == NULL && b.len == 0);

    check_int(pulse_package_copy(package, parts), NGX_OK);
    check_int(pulse_package_store(package, "media/1.png", &picture), NGX_OK);
    check_int(pulse_package_finish(package, out), NGX_OK);
}


static void
test_read(const ngx_pulse_buf_t *archive)
{
    zip_t         *zip;
    zip_source_t  *source;

    source = zip_source_buffer_create(archive->data, archive->len, 0, NULL);
    zip = zip_open_from_source(source, ZIP_RDONLY|ZIP_CHECKCONS, NULL);
    check(zip != NULL);

    check_int(zip_get_num_entries(zip, 0), 4);

    test_part(zip, 0, "[Content_Types].xml", "<types/>", ZIP_CM_DEFLATE);
    test_part(zip, 1, "fixed/a.xml", test_parts[0].text, ZIP_CM_DEFLATE);
    test_part(zip, 2, "fixed/b.xml", test_parts[1].text, ZIP_CM_DEFLATE);
    test_part(zip, 3, "media/1.png", NULL, ZIP_CM_STORE);

    zip_discard(zip);
}


static void
test_part(zip_t *zip, zip_uint64_t i, const char *name, const char *text,
    zip_uint16_t method)
{
    char         data[256];
    zip_stat_t   st;
    zip_file_t  *file;

    unit_case("%s", name);

    check_int(zip_stat_index(zip, i, 0, &st), 0);
    check_mem(st.name, strlen(st.name), name, strlen(name));
    check_int(st.comp_method, method);

    file = zip_fopen_index(zip, i, 0);

    if (text) {
        check_int(zip_fread(file, data, sizeof(data)), strlen(text));
        check(memcmp(data, text, strlen(text)) == 0);

    } else {
        check_int(zip_fread(file, data, sizeof(data)), 12);
    }

    zip_fclose(file);
    unit_case(NULL);
}


/* an archive that would be too large is an error */

static void
test_cap(void)
{
    ngx_pool_t       *pool;
    pulse_parts_t    *parts;
    ngx_pulse_buf_t   out;
    pulse_package_t  *package;

    pool = unit_pool();
    parts = pulse_package_parts(test_parts);
    package = pulse_package_create(pool);

    ngx_pulse_buf_init(&out, 100);

    check_int(pulse_package_copy(package, parts), NGX_OK);
    check_int(pulse_package_finish(package, &out), NGX_ERROR);
    check_int(out.len, 0);

    ngx_pulse_buf_free(&out);
    ngx_destroy_pool(pool);
    pulse_package_free_parts(parts);
}


/* a package that nobody finishes ends with its pool */

static void
test_left(void)
{
    ngx_pool_t       *pool;
    pulse_parts_t    *parts;
    ngx_pulse_buf_t   b;
    pulse_package_t  *package;

    pool = unit_pool();
    parts = pulse_package_parts(test_parts);
    package = pulse_package_create(pool);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "<left/>");

    check_int(pulse_package_copy(package, parts), NGX_OK);
    check_int(pulse_package_add(package, "left.xml", &b), NGX_OK);

    b.failed = 1;
    check_int(pulse_package_add(package, "failed.xml", &b), NGX_ERROR);

    ngx_destroy_pool(pool);
    pulse_package_free_parts(parts);
}


static void
test_xml(void)
{
    ngx_pulse_buf_t  b;

    static const ngx_str_t  text = ngx_string("a<b & \"c\">\n\tم");

    ngx_pulse_buf_init(&b, 0);

    pulse_xml_format(&b, "<e n=\"%d\" t=\"%s\">%t 5%%</e>", (ngx_int_t) -12,
                     &text, "<raw/>");
    ngx_pulse_buf_char(&b, '\0');

    check_text((char *) b.data, "<e n=\"-12\" t=\"a&lt;b &amp; &quot;c&quot;"
               "&gt;&#10;&#9;م\"><raw/> 5%</e>");

    ngx_pulse_buf_free(&b);
}
