
#include "unit.h"
#include <sys/mman.h>
#include "pulse_parts.h"


/* An edit of pictures as a JSON object, however it is cut. */


typedef struct {
    ngx_pulse_buf_t  told;
    const char      *pointer;
    const char      *reason;
    ngx_uint_t       too_large;
    u_char           hash[EVP_MAX_MD_SIZE];
} read_t;


static void test_objects(void);
static void test_wrong(void);
static void test_limits(void);
static void test_hash(void);
static void test_others(void);

static void read_object(const char *text, size_t len, size_t step,
    read_t *read);
static void tell(pulse_parts_t *parts, read_t *read);
static void same(const char *text, const char *expected);
static void wrong(const char *text, const char *pointer, const char *what);


static ngx_str_t  content_type = ngx_string("application/json");


int
main(void)
{
    test_objects();
    test_wrong();
    test_limits();
    test_hash();
    test_others();

    return unit_done();
}


/* what parts ask of the sidecar */

ngx_str_t
pulse_http_header(pulse_http_request_t *r, const char *name)
{
    return content_type;
}


int
pulse_shelf_scratch(void)
{
    return memfd_create("part", MFD_CLOEXEC);
}


static void
test_objects(void)
{
    same("{}", "");
    same(" {\"prompt\":\"a \\u0063at\\/\",\"n\":2,\"stream\":true,\"a\":\"\"}"
         "\n", "prompt 3 a cat/|n 2 2|stream 1 true|a 3 |");

    same("{\"images\":[{\"image_url\":\"data:image/png;base64,aGk=\"},"
         "{\"file_id\":null,\"image_url\":\"DATA:;Base64,\\u0061Gk\\/\"}],"
         "\"mask\":{\"image_url\":\"data:a/b;c=d;base64,aGVsbG8\"}}",
         "images hi|images hi?|mask hello|");

    /* what is null is not there, and neither is what is empty */

    same("{\"prompt\":null,\"images\":null,\"mask\":null}", "");
    same("{\"images\":[],\"mask\":{}}", "");
    same("{\"images\":[null,{},{\"image_url\":null}]}", "");
    same("{\"images\":[{\"image_url\":\"data:;base64,\"}]}", "images |");
}


static void
test_wrong(void)
{
    ngx_uint_t  i;

    static const char *const  no_json[] = {
        "", "{", "}", "{}}", "{\"a\":}", "{\"a\":\"", "{\"a\":nil}",
        "{\"a\":tru}", "{\"a\":\"b\"", "x", "{\"a\":\"\\x\"}"
    };

    static const char *const  no_picture[] = {
        "{\"images\":\"x\"}", "{\"images\":5}", "{\"images\":[\"x\"]}",
        "{\"images\":[[\"x\"]]}", "{\"images\":{\"image_url\":\"x\"}}",
        "{\"images\":{\"0\":{\"image_url\":\"data:;base64,aGk=\"}}}",
        "{\"images\":[{\"file_id\":\"x\"}]}",
        "{\"images\":[{\"image_url\":{\"url\":\"data:;base64,aGk=\"}}]}",
        "{\"images\":[{\"image_url\":true}]}",
        "{\"images\":[{\"image_url\":\"\"}]}",
        "{\"images\":[{\"image_url\":\"data:image/png\"}]}",
        "{\"images\":[{\"image_url\":\"data:image/png,aGk=\"}]}",
        "{\"images\":[{\"image_url\":\"base64,aGk=\"}]}",
        "{\"images\":[{\"image_url\":\"https://studio.example/a,b\"}]}",
        "{\"images\":[{\"image_url\":\"data:;base64,aG!k\"}]}",
        "{\"images\":[{\"image_url\":\"data:;base64,a\"}]}",
        "{\"images\":[{\"image_url\":\"data:;base64,aGk==\"}]}",
        "{\"images.0.image_url\":\"data:;base64,aGk=\"}"
    };

    for (i = 0; i < sizeof(no_json) / sizeof(no_json[0]); i++) {
        wrong(no_json[i], NULL, "no valid JSON");
    }

    for (i = 0; i < sizeof(no_picture) / sizeof(no_picture[0]); i++) {
        wrong(no_picture[i], "/images", "as a data: URL in base64");
    }

    wrong("{\"mask\":\"x\"}", "/mask", "as a data: URL in base64");
    wrong("{\"mask\":{\"file_id\":\"x\"}}", "/mask", "no other address");
    wrong("{\"mask\":[{\"image_url\":\"data:;base64,aGk=\"}]}", "/mask",
          "as a data: URL");
    wrong("{\"mask.image_url\":\"data:;base64,aGk=\"}", "/mask",
          "as a data: URL");

    wrong("[\"x\"]", NULL, "a JSON object is wanted");
    wrong("\"x\"", NULL, "a JSON object is wanted");
    wrong("5", NULL, "a JSON object is wanted");
    wrong("{\"a\":{\"b\":1}}", NULL, "a member is not known");
    wrong("{\"a\":[\"b\"]}", NULL, "a member is not known");
}


static void
test_limits(void)
{
    char             name[256];
    size_t           n;
    read_t           read;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"a\":\"");

    while (b.len < PULSE_PARTS_TEXT + 6) {
        ngx_pulse_buf_char(&b, 'x');
    }

    /* as much as there may be, and a byte more */

    ngx_pulse_buf_literal(&b, "\"}");
    read_object((char *) b.data, b.len, 1000, &read);
    check_int(read.too_large, 0);
    check(read.reason == NULL);
    ngx_pulse_buf_free(&read.told);

    b.len -= 2;
    ngx_pulse_buf_literal(&b, "x\"}");
    read_object((char *) b.data, b.len, 1000, &read);
    check_int(read.too_large, 1);
    check(read.reason == NULL);
    ngx_pulse_buf_free(&read.told);

    b.len = 0;

    ngx_pulse_buf_char(&b, '{');

    for (n = 0; n <= PULSE_MULTIPART_PARTS; n++) {
        ngx_pulse_buf_literal(&b, "\"a\":1,");
    }

    b.data[b.len - 1] = '}';
    ngx_pulse_buf_char(&b, '\0');
    wrong((char *) b.data, NULL, "too many members");
    ngx_pulse_buf_free(&b);

    /* a name that a part cannot have */

    memset(name, 'a', sizeof(name));
    memcpy(name, "{\"", 2);
    memcpy(name + PULSE_MULTIPART_NAME + 2, "\":1}", 5);
    wrong(name, NULL, "a member is not known");
}


/* A number is another request than the same as text, and so is a part that
 * ends elsewhere; what stands between members says nothing. */

static void
test_hash(void)
{
    size_t      i;
    read_t      one, other;

    static const struct {
        const char  *text;
        ngx_uint_t   same;
    } others[] = {
        { " { \"a\" : \"1\" , \"b\" : \"x\" } ", 1 },
        { "{\"a\":\"\\u0031\",\"b\":\"x\",\"c\":null}", 1 },
        { "{\"a\":1,\"b\":\"x\"}", 0 },
        { "{\"a\":\"1\",\"b\":\"\"}", 0 },
        { "{\"a\":\"1b\",\"\":\"x\"}", 0 },
        { "{\"b\":\"x\",\"a\":\"1\"}", 0 }
    };

    read_object("{\"a\":\"1\",\"b\":\"x\"}", 17, 17, &one);

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        unit_case("%s", others[i].text);

        read_object(others[i].text, strlen(others[i].text), 3, &other);
        check_int(memcmp(one.hash, other.hash, 32) == 0, others[i].same);
        ngx_pulse_buf_free(&other.told);
    }

    unit_case(NULL);
    ngx_pulse_buf_free(&one.told);
}


/* The studio's own requests are objects of another kind. */

static void
test_others(void)
{
    pulse_http_request_t  r;

    memset(&r, 0, sizeof(pulse_http_request_t));

    r.pool = unit_pool();
    r.studio = 1;

    check_int(pulse_parts_begin(&r), NGX_OK);
    check(r.parts == NULL);

    ngx_str_set(&content_type, "multipart/form-data; boundary=B");

    check_int(pulse_parts_begin(&r), NGX_OK);
    check(r.parts != NULL && !r.parts->object);

    ngx_destroy_pool(r.pool);
}


static void
read_object(const char *text, size_t len, size_t step, read_t *read)
{
    size_t                 n;
    EVP_MD_CTX            *digest;
    pulse_http_request_t   r;

    memset(&r, 0, sizeof(pulse_http_request_t));
    memset(read, 0, sizeof(read_t));

    ngx_pulse_buf_init(&read->told, 0);

    r.pool = unit_pool();

    check_int(pulse_parts_begin(&r), NGX_OK);

    for ( /* void */ ; len; text += n, len -= n) {
        n = ngx_min(step, len);
        pulse_parts_feed(r.parts, (u_char *) text, n);
    }

    if (pulse_parts_end(r.parts) == NGX_OK) {
        tell(r.parts, read);
    }

    read->pointer = r.parts->pointer;
    read->reason = r.parts->reason;
    read->too_large = r.parts->too_large;
    check_int(r.parts->failed, 0);

    digest = EVP_MD_CTX_new();

    check(EVP_DigestInit_ex(digest, EVP_sha256(), NULL)
          && pulse_parts_digest(r.parts, digest)
          && EVP_DigestFinal_ex(digest, read->hash, NULL));

    EVP_MD_CTX_free(digest);
    ngx_destroy_pool(r.pool);
}


static void
tell(pulse_parts_t *parts, read_t *read)
{
    char           bytes[64];
    ssize_t        n;
    ngx_uint_t     i;
    pulse_part_t  *part;

    for (i = 0; i < parts->n; i++) {
        part = &parts->elts[i];

        ngx_pulse_buf_append(&read->told, (u_char *) part->name,
                             strlen(part->name));
        ngx_pulse_buf_char(&read->told, ' ');

        if (part->fd == -1) {
            ngx_pulse_buf_int(&read->told, part->json);
            ngx_pulse_buf_char(&read->told, ' ');
            ngx_pulse_buf_str(&read->told, &part->text);

        } else {
            n = pread(part->fd, bytes, sizeof(bytes), 0);
            check_int(n, part->size);
            ngx_pulse_buf_append(&read->told, (u_char *) bytes, n);
        }

        ngx_pulse_buf_char(&read->told, '|');
    }
}


static void
same(const char *text, const char *expected)
{
    size_t  step;
    read_t  read;

    for (step = 1; step <= strlen(text); step++) {
        unit_case("%s, %zu bytes at a time", text, step);

        read_object(text, strlen(text), step, &read);

        check(read.reason == NULL);
        check_mem(read.told.data, read.told.len, expected, strlen(expected));

        ngx_pulse_buf_free(&read.told);
    }

    unit_case(NULL);
}


static void
wrong(const char *text, const char *pointer, const char *what)
{
    size_t  step;
    read_t  read;

    for (step = 1; step <= strlen(text) + 1; step++) {
        unit_case("%s, %zu bytes at a time", text, step);

        read_object(text, strlen(text), step, &read);

        check_int(read.told.len, 0);
        check(read.reason && strstr(read.reason, what));
        check(pointer ? read.pointer && strcmp(read.pointer, pointer) == 0
                      : read.pointer == NULL);

        ngx_pulse_buf_free(&read.told);
    }

    unit_case(NULL);
}
