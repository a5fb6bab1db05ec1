
#include "unit.h"
#include "pulse_multipart.h"


static ngx_pulse_buf_t  told;
static const char      *reason;


static void test_forms(void);
static void test_wrong(void);
static void test_types(void);

static ngx_int_t run(const char *text, size_t step);
static void same(const char *text, const char *expected);
static void wrong(const char *text, const char *why);
static ngx_int_t part(void *ctx, const pulse_multipart_part_t *p);
static ngx_int_t data(void *ctx, const u_char *p, size_t len);


static const pulse_multipart_pt  handlers = { part, data };


int
main(void)
{
    test_forms();
    test_wrong();
    test_types();

    ngx_pulse_buf_free(&told);

    return unit_done();
}


static void
test_forms(void)
{
    same("--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n"
         "a cat\r\n--B\r\n"
         "content-type: image/png; x=y\r\n"
         "content-disposition:form-data;name=image;filename=\"a;\\\"b.png\""
         "\r\nX-Other: 1\r\n\r\n"
         "\x89PNG\r\n\r\n--C\r\r\n-\r\n--\r\n--A\r\n--B--\r\nignored",
         "prompt\na cat|image image/png file\n"
         "\x89PNG\r\n\r\n--C\r\r\n-\r\n--\r\n--A|");

    /* something before, an empty part, padding, no line end after */

    same("preamble\r\n--B \t\r\nContent-Disposition: form-data; name=\"a\""
         "\r\n\r\n\r\n--B--", "a\n|");
    same("--B\r\nContent-Disposition: form-data; name=\"\"; filename=\"\""
         "\r\n\r\n\r\n\r\n--B--", " file\n\r\n|");
    same("--B--", "");
    same("\r\n--B--", "");
    same("--B\r\nContent-Disposition: form-data; name=\"\xd8\xb5\"; "
         "filename*=UTF-8''x\r\n\r\nx\r\n--B--", "\xd8\xb5\nx|");
}


static void
test_wrong(void)
{
    char         text[8192];
    ngx_uint_t   i, n;

    static const char  part_text[] =
        "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";

    wrong("", "the form ends before its last boundary");
    wrong("--B", "the form ends before its last boundary");
    wrong("--B\r\nContent-Disposition: form-data; name=a\r\n\r\nabc\r\n--B",
          "the form ends before its last boundary");
    wrong("--B\r\n\r\n", "a part of the form has no name");
    wrong("--B\r\nContent-Disposition: form-data; filename=a\r\n\r\n",
          "a part of the form has no name");
    wrong("--B\r\nContent-Disposition: attachment; name=a\r\n",
          "a part's header is malformed");
    wrong("--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\n",
          "a part's header is malformed");
    wrong("--B\r\nContent-Disposition: form-data; name=a\r\n"
          "Content-Disposition: form-data; name=b\r\n\r\n",
          "a part's header is malformed");
    wrong("--B\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n",
          "a part's header has a parameter twice");
    wrong("--B\r\nA: b\n\r\n", "a part's header is malformed");
    wrong("--Bx\r\nA: b\r\n\r\n", "a boundary of the form is malformed");
    wrong("--B-x", "a boundary of the form is malformed");

    n = sprintf(text, "--B\r\nX: ");
    memset(text + n, 'x', 5000);
    text[n + 5000] = '\0';
    wrong(text, "a part's header is too large");

    n = sprintf(text, "--B\r\nContent-Disposition: form-data; name=");
    memset(text + n, 'x', 200);
    strcpy(text + n + 200, "\r\n\r\n");
    wrong(text, "a name in a part's header is too long");

    for (i = 0, n = 0; i < PULSE_MULTIPART_PARTS + 1; i++) {
        n += sprintf(text + n, "%s", part_text);
    }

    strcpy(text + n, "--B--");
    wrong(text, "the form has too many parts");

    same(text + sizeof(part_text) - 1, NULL);
}


static void
test_types(void)
{
    ngx_str_t           type;
    ngx_uint_t          i;
    pulse_multipart_t  *m;

    static const struct {
        const char  *text;
        const char  *delimiter;
    } types[] = {
        { "multipart/form-data; boundary=abc", "\r\n--abc" },
        { "Multipart/Form-Data;Boundary=\"a b;c\"; charset=x",
          "\r\n--a b;c" },
        { "multipart/form-data; charset=x; boundary=----x'()+_,-./:=?",
          "\r\n------x'()+_,-./:=?" },
        { "multipart/form-data", NULL },
        { "multipart/form-data; boundary=", NULL },
        { "multipart/form-data; boundary=\"\"", NULL },
        { "multipart/form-data; boundary=\"abc", NULL },
        { "multipart/form-data; boundary=a; boundary=b", NULL },
        { "multipart/form-data; boundary=1234567890123456789012345678901234"
          "567890123456789012345678901234567890x", NULL },
        { "multipart/mixed; boundary=a", NULL },
        { "application/json", NULL },
        { "", NULL }
    };

    m = malloc(sizeof(pulse_multipart_t));

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        unit_case("%s", types[i].text);

        type.data = (u_char *) types[i].text;
        type.len = strlen(types[i].text);

        check_int(pulse_multipart_init(m, &type, &handlers, NULL),
                  types[i].delimiter ? NGX_OK : NGX_ERROR);

        if (types[i].delimiter) {
            check_mem(m->delimiter, m->len, types[i].delimiter,
                      strlen(types[i].delimiter));
        }
    }

    unit_case(NULL);
    free(m);
}


static ngx_int_t
run(const char *text, size_t step)
{
    size_t              len, n;
    ngx_int_t           rc;
    ngx_str_t           type;
    pulse_multipart_t  *m;

    m = malloc(sizeof(pulse_multipart_t));

    ngx_str_set(&type, "multipart/form-data; boundary=B");
    told.len = 0;

    rc = pulse_multipart_init(m, &type, &handlers, NULL);

    for (len = strlen(text); len && rc == NGX_OK; text += n, len -= n) {
        n = ngx_min(step, len);
        rc = pulse_multipart_feed(m, (u_char *) text, n);
    }

    if (rc == NGX_OK) {
        rc = pulse_multipart_end(m);
    }

    reason = m->reason;
    free(m);

    return rc;
}


static void
same(const char *text, const char *expected)
{
    size_t  step;

    unit_case("%s", text);

    for (step = 1; step <= strlen(text) + 1; step += 1 + step / 20) {
        check_int(run(text, step), NGX_OK);
        check(reason == NULL);

        if (expected) {
            check_mem(told.data, told.len, expected, strlen(expected));
        }
    }

    unit_case(NULL);
}


static void
wrong(const char *text, const char *why)
{
    size_t  step;

    unit_case("%.60s", text);

    for (step = 1; step < 200; step *= 5) {
        check_int(run(text, step), NGX_ERROR);
        check_mem(reason, reason ? strlen(reason) : 0, why, strlen(why));
    }

    unit_case(NULL);
}


static ngx_int_t
part(void *ctx, const pulse_multipart_part_t *p)
{
    ngx_pulse_buf_append(&told, (u_char *) p->name, strlen(p->name));

    if (p->type[0]) {
        ngx_pulse_buf_char(&told, ' ');
        ngx_pulse_buf_append(&told, (u_char *) p->type, strlen(p->type));
    }

    if (p->file) {
        ngx_pulse_buf_literal(&told, " file");
    }

    ngx_pulse_buf_char(&told, '\n');

    return NGX_OK;
}


static ngx_int_t
data(void *ctx, const u_char *p, size_t len)
{
    if (len) {
        ngx_pulse_buf_append(&told, p, len);

    } else {
        ngx_pulse_buf_char(&told, '|');
    }

    return NGX_OK;
}
