
#include "unit_stream.h"


/*
 * Every documented member of a request, for a model of every other dialect:
 * it is carried, refused with a pointer to it, or named as left out.  The
 * cases are lines of t/c/fields.txt, which says how they are written.
 */


#define TEST_FILE     "t/c/fields.txt"
#define TEST_TARGETS  4
#define TEST_COLUMNS  (3 + TEST_TARGETS)


typedef struct {
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            body;        /* of the provider */
    ngx_pulse_buf_t            names;       /* that were left out */
    ngx_pulse_chat_refusal_t   refusal;
    ngx_int_t                  rc;
} test_written_t;


static void test_fields(void);
static void test_line(ngx_str_t *columns);
static void test_target(ngx_uint_t from, ngx_uint_t to, ngx_str_t *body,
    ngx_str_t *plain, ngx_str_t *expected);
static void test_outcome(test_written_t *written, test_written_t *without,
    ngx_str_t *expected);
static void test_write(test_written_t *written, ngx_uint_t from,
    ngx_uint_t to, ngx_str_t *body);
static void test_free(test_written_t *written);
static void test_body(ngx_uint_t dialect, const ngx_str_t *members,
    ngx_pulse_buf_t *b);


static ngx_pulse_dialect_t  *test_dialects[] = {
    &ngx_pulse_dialect_openai,
    &ngx_pulse_dialect_responses,
    &ngx_pulse_dialect_anthropic,
    &ngx_pulse_dialect_gemini
};


/* a whole request less its last brace, in the order of the dialects */

static const char  *test_plain[] = {
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]",
    "{\"model\":\"m\",\"input\":\"x\"",
    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
    "\"content\":\"x\"}]",
    "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]"
};


static ngx_uint_t  test_ncells;


int
main(void)
{
    test_fields();

    return unit_done();
}


static void
test_fields(void)
{
    u_char      *p, *last, *end, *tab;
    ngx_str_t    file, columns[TEST_COLUMNS];
    ngx_uint_t   n, lines;

    file = unit_file(TEST_FILE);
    check(file.data != NULL);

    if (file.data == NULL) {
        return;
    }

    lines = 0;
    last = file.data + file.len;

    for (p = file.data; p < last; p = end + 1) {
        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        if (p == end || *p == '#') {
            continue;
        }

        for (n = 0; n < TEST_COLUMNS; n++) {
            tab = memchr(p, '\t', end - p);

            if (tab == NULL) {
                tab = end;
            }

            columns[n].data = p;
            columns[n].len = tab - p;
            p = ngx_min(tab + 1, end);
        }

        test_line(columns);
        lines++;
    }

    printf("# fields: %lu cases, %lu outcomes\n", (unsigned long) lines,
           (unsigned long) test_ncells);

    check(lines > 200);
    check_int(test_ncells, lines * (TEST_TARGETS - 1));

    unit_case(NULL);
    free(file.data);
}


static void
test_line(ngx_str_t *columns)
{
    ngx_str_t        body, plain;
    ngx_uint_t       from, to;
    ngx_pulse_buf_t  b, none;

    static const ngx_str_t  nothing;

    for (from = 0; from < TEST_TARGETS; from++) {
        if (columns[0].len == test_dialects[from]->name.len
            && memcmp(columns[0].data, test_dialects[from]->name.data,
                      columns[0].len)
               == 0)
        {
            break;
        }
    }

    check(from < TEST_TARGETS);

    if (from == TEST_TARGETS) {
        return;
    }

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&none, 0);
    test_body(from, &columns[2], &b);
    test_body(from, &nothing, &none);
    body = unit_text(&b);
    plain = unit_text(&none);

    for (to = 0; to < TEST_TARGETS; to++) {

        if (to == from) {
            continue;
        }

        unit_case("%.*s %.*s for %s", (int) columns[0].len, columns[0].data,
                  (int) columns[1].len, columns[1].data,
                  test_dialects[to]->name.data);

        test_target(from, to, &body, &plain, &columns[3 + to]);
        test_ncells++;
    }

    ngx_pulse_buf_free(&none);
    ngx_pulse_buf_free(&b);
}


/* members are added to a request; an object is one of its own */

static void
test_body(ngx_uint_t dialect, const ngx_str_t *members, ngx_pulse_buf_t *b)
{
    if (members->len && members->data[0] == '{') {
        ngx_pulse_buf_str(b, members);
        return;
    }

    ngx_pulse_buf_append(b, (u_char *) test_plain[dialect],
                         strlen(test_plain[dialect]));

    if (members->len) {
        ngx_pulse_buf_char(b, ',');
        ngx_pulse_buf_str(b, members);
    }

    ngx_pulse_buf_char(b, '}');
}


static void
test_target(ngx_uint_t from, ngx_uint_t to, ngx_str_t *body, ngx_str_t *plain,
    ngx_str_t *expected)
{
    test_written_t  written, without;

    test_write(&written, from, to, body);
    test_write(&without, from, to, plain);

    check_int(without.rc, NGX_OK);
    check_int(without.names.len, 0);

    test_outcome(&written, &without, expected);

    test_free(&without);
    test_free(&written);
}


static void
test_outcome(test_written_t *written, test_written_t *without,
    ngx_str_t *expected)
{
    u_char     *p;
    ngx_str_t   part, names;

    names.data = (u_char *) "";
    names.len = 0;
    part = *expected;

    /* "/pointer": refused there */

    if (part.len && part.data[0] == '/') {
        check_int(written->rc, NGX_DECLINED);
        check(written->refusal.reason != NULL);
        check_mem(written->refusal.pointer, strlen(written->refusal.pointer),
                  part.data, part.len);
        return;
    }

    check_int(written->rc, NGX_OK);
    check_mem(written->refusal.pointer, strlen(written->refusal.pointer), "",
              0);

    /* " !name,name" at the end: left out */

    p = memrchr(part.data, '!', part.len);

    if (p) {
        names.data = p + 1;
        names.len = part.data + part.len - names.data;
        part.len = p - part.data;

        while (part.len && part.data[part.len - 1] == ' ') {
            part.len--;
        }
    }

    check_mem(written->names.data, written->names.len, names.data, names.len);

    /* "=text": carried in that form; ".": it asks for what is done anyway */

    if (part.len && part.data[0] == '=') {
        check(memmem(written->body.data, written->body.len, part.data + 1,
                     part.len - 1)
              != NULL);
        return;
    }

    if (part.len == 1 && part.data[0] == '.') {
        check_mem(written->body.data, written->body.len, without->body.data,
                  without->body.len);
        return;
    }

    /* nothing but names */

    check_int(part.len, 0);
    check(names.len != 0);
}


/* as the gateway does it; what has no place is named after what was left out
 * by the writer */

static void
test_write(test_written_t *written, ngx_uint_t from, ngx_uint_t to,
    ngx_str_t *body)
{
    ngx_uint_t                i;
    ngx_pulse_target_t        target;
    ngx_pulse_dropped_t       dropped;
    ngx_pulse_conversation_t  cv;

    memset(written, 0, sizeof(test_written_t));
    memset(&dropped, 0, sizeof(dropped));

    written->pool = unit_pool();
    ngx_pulse_buf_init(&written->body, 0);
    ngx_pulse_buf_init(&written->names, 0);

    unit_target(&target, "efhmprs", 4096);

    written->rc = test_dialects[from]->read(&cv, written->pool, body,
                                            &written->refusal);

    if (written->rc == NGX_OK && cv.native.reason) {
        written->refusal = cv.native;
        written->rc = NGX_DECLINED;
    }

    if (written->rc != NGX_OK) {
        return;
    }

    written->rc = test_dialects[to]->write(&cv, &target, written->pool,
                                           &dropped, &written->refusal,
                                           &written->body);

    for (i = 0; i < cv.nunknown; i++) {
        ngx_pulse_dropped_name(&dropped, &cv.unknown[i]);
    }

    unit_names(&dropped, &written->names);
}


static void
test_free(test_written_t *written)
{
    ngx_pulse_buf_free(&written->names);
    ngx_pulse_buf_free(&written->body);
    ngx_destroy_pool(written->pool);
}
