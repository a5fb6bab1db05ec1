
#include "unit.h"
#include <dirent.h>
#include "ngx_pulse_sse.h"


#define TEXT(s)  s, sizeof(s) - 1

/* bytes of what follows an event */

#define AFTER    64


/* What a handler was given, as one text: compared as a whole. */

typedef struct {
    ngx_pulse_buf_t   raw;
    ngx_pulse_buf_t   events;
    const u_char     *data;                 /* the fed piece */
    size_t            len;
    ngx_uint_t        copied;               /* raw parts not in the piece */
    ngx_uint_t        count;
    ngx_uint_t        stop;
} seen_t;


static void test_fields(void);
static void test_ends(void);
static void test_raw(void);
static void test_copies(void);
static void test_cap(void);
static void test_stop(void);
static void test_write(void);
static void test_recordings(void);
static ngx_uint_t test_directory(const char *dir);
static void test_recording(const char *name);
static void test_event(ngx_str_t *file, size_t start, size_t end);
static size_t event_len(const u_char *p, size_t len);
static ngx_uint_t seen_equal(seen_t *a, seen_t *b);
static void test_split(seen_t *whole, const u_char *data, size_t len,
    size_t at);

static void run(seen_t *seen, const u_char *data, size_t len, size_t first,
    size_t piece);
static void run_again(seen_t *seen, const u_char *data, size_t len,
    size_t first, size_t piece);
static ngx_int_t handler(void *ctx, ngx_pulse_sse_event_t *ev);
static void seen_free(seen_t *seen);


int
main(void)
{
    test_fields();
    test_ends();
    test_raw();
    test_copies();
    test_cap();
    test_stop();
    test_write();
    test_recordings();

    return unit_done();
}


static void
test_fields(void)
{
    seen_t      seen;
    ngx_uint_t  i;

    static const struct {
        const char  *text;
        const char  *events;                /* name{data}, "-" for no data */
    } cases[] = {
        { "data: a\n\n", "{a}" },
        { "data:a\n\n", "{a}" },
        { "data:  a\n\n", "{ a}" },
        { "data\n\n", "{}" },
        { "data:\n\n", "{}" },
        { "data\ndata\n\n", "{\n}" },
        { "data: a\ndata: b\ndata:c\n\n", "{a\nb\nc}" },
        { "data:\ndata: b\n\n", "{\nb}" },
        { "data: a\ndata:\n\n", "{a\n}" },
        { "event: x\ndata: a\n\n", "x{a}" },
        { "data: a\nevent: x\n\n", "x{a}" },
        { "event: x\nevent: y\ndata: a\n\ndata: b\n\n", "y{a}{b}" },
        { "event: ping\n\n", "ping-" },
        { ": comment\n\n", "-" },
        { ":\n\ndata: a\n\n", "-{a}" },
        { ": c\ndata: a\n\n", "{a}" },
        { "id: 1\nretry: 5\nfoo: bar\ndata: a\n\n", "{a}" },
        { "data : a\n\n", "-" },
        { "Data: a\n\n", "-" },
        { "xdata: a\n\n", "-" },
        { "dat\ndatab: c\n\n", "-" },
        { "data: a:b: c\n\n", "{a:b: c}" },
        { "\xef\xbb\xbf" "data: a\n\n", "{a}" },
        { "\xef\xbb\xbf\n\ndata: a\n\n", "-{a}" },
        { "data: \xef\xbb\xbf\n\n\xef\xbb\xbf" "data: a\n\n",
          "{\xef\xbb\xbf}-" },
        { "data: a\n\n\n\ndata: b\n\n", "{a}--{b}" },
        { "data: a", "{a}" },
        { "data: a\n", "{a}" },
        { "data: a\ndata: b", "{a\nb}" },
        { ": open", "-" },
        { "", "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].text);

        run(&seen, (u_char *) cases[i].text, strlen(cases[i].text), 0, 0);

        check_mem(seen.events.data, seen.events.len, cases[i].events,
                  strlen(cases[i].events));
        check_mem(seen.raw.data, seen.raw.len, cases[i].text,
                  strlen(cases[i].text));

        seen_free(&seen);
    }

    unit_case(NULL);
}


/* LF, CRLF and CR, mixed, and cut at every place. */

static void
test_ends(void)
{
    seen_t      seen;
    size_t      at;
    ngx_uint_t  i;

    static const struct {
        const char  *text;
        const char  *events;
    } cases[] = {
        { "data: a\r\n\r\ndata: b\r\ndata: c\r\n\r\n", "{a}{b\nc}" },
        { "data: a\r\rdata: b\rdata: c\r\r", "{a}{b\nc}" },
        { "data: a\n\rdata: b\r\n\ndata: c\r\n\r", "{a}{b}{c}" },
        { "data: a\r\n\rdata: b\n\r\n", "{a}{b}" },
        { "\xef\xbb\xbf" "data: a\r\n\r\ndata: b\n\n", "{a}{b}" },
        { "event: x\rdata\rdata: b\r\r", "x{\nb}" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("ends %lu", (unsigned long) i);

        run(&seen, (u_char *) cases[i].text, strlen(cases[i].text), 0, 0);
        check_mem(seen.events.data, seen.events.len, cases[i].events,
                  strlen(cases[i].events));

        for (at = 0; at <= strlen(cases[i].text); at++) {
            test_split(&seen, (u_char *) cases[i].text,
                       strlen(cases[i].text), at);
        }

        seen_free(&seen);
    }

    unit_case(NULL);
}


/* An event is whole when its blank line is, not when more comes. */

static void
test_raw(void)
{
    seen_t           seen;
    ngx_pulse_sse_t  sse;

    ngx_memzero(&seen, sizeof(seen_t));

    ngx_pulse_sse_init(&sse, 0, handler, &seen);

    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("data: a\r\n\r")),
              NGX_OK);
    check_str(&seen.events, "{a}");
    check_str(&seen.raw, "data: a\r\n\r");

    /* the rest of the CRLF is no block of its own, and is not lost */

    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("\n")), NGX_OK);
    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("")), NGX_OK);
    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("data: b\n")), NGX_OK);
    check_str(&seen.events, "{a}");

    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("\n")), NGX_OK);
    check_str(&seen.events, "{a}{b}");
    check_str(&seen.raw, "data: a\r\n\r\ndata: b\n\n");

    check_int(ngx_pulse_sse_finish(&sse), NGX_OK);
    check_int(ngx_pulse_sse_finish(&sse), NGX_OK);
    check_int(seen.count, 2);

    ngx_pulse_sse_free(&sse);
    seen_free(&seen);
}


static void
test_copies(void)
{
    seen_t  seen;

    static const char  text[] = "data: a\n\n: c\n\ndata: b\ndata: c\n\n";

    run(&seen, (u_char *) text, sizeof(text) - 1, 0, 0);
    check_int(seen.count, 3);
    check_int(seen.copied, 0);
    seen_free(&seen);

    /* one cut: one event is put together */

    run(&seen, (u_char *) text, sizeof(text) - 1, 17, 0);
    check_int(seen.count, 3);
    check_int(seen.copied, 1);
    seen_free(&seen);
}


static void
test_cap(void)
{
    seen_t           seen;
    ngx_uint_t       i;
    ngx_pulse_sse_t  sse;

    ngx_memzero(&seen, sizeof(seen_t));

    /* 16 bytes: whole in a piece, and in parts */

    ngx_pulse_sse_init(&sse, 16, handler, &seen);
    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("data: 12345678\n\n")),
              NGX_OK);
    check_int(seen.count, 1);
    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("data: 123456789\n\n")),
              NGX_ERROR);
    check_int(seen.count, 1);
    ngx_pulse_sse_free(&sse);

    ngx_pulse_sse_init(&sse, 16, handler, &seen);

    for (i = 0; i < 16; i++) {
        check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("x")), NGX_OK);
    }

    check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("x")), NGX_ERROR);
    ngx_pulse_sse_free(&sse);

    /* many short ones are no long one */

    ngx_pulse_sse_init(&sse, 16, handler, &seen);
    seen.count = 0;

    for (i = 0; i < 100; i++) {
        check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT("data: a\n\ndata")),
                  NGX_OK);
        check_int(ngx_pulse_sse_feed(&sse, (u_char *) TEXT(": b\n\n")),
                  NGX_OK);
    }

    check_int(seen.count, 200);
    ngx_pulse_sse_free(&sse);
    seen_free(&seen);
}


static void
test_stop(void)
{
    seen_t           seen;
    ngx_pulse_sse_t  sse;

    ngx_memzero(&seen, sizeof(seen_t));
    seen.stop = 2;

    ngx_pulse_sse_init(&sse, 0, handler, &seen);
    check_int(ngx_pulse_sse_feed(&sse, (u_char *)
                                 TEXT("data: a\n\ndata: b\n\ndata: c\n\n")),
              NGX_DONE);
    check_int(seen.count, 2);

    ngx_pulse_sse_free(&sse);
    seen_free(&seen);
}


static void
test_write(void)
{
    seen_t           seen;
    ngx_str_t        name, data;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    ngx_str_set(&name, "delta");
    ngx_str_set(&data, "one\n\nthree");

    ngx_pulse_sse_write(&b, &name, &data);
    check_str(&b, "event: delta\ndata: one\ndata: \ndata: three\n\n");

    ngx_str_set(&data, "{}");
    ngx_pulse_sse_write(&b, NULL, &data);

    ngx_str_null(&name);
    ngx_str_set(&data, "");
    ngx_pulse_sse_write(&b, &name, &data);

    /* read again it is what was written */

    run(&seen, b.data, b.len, 0, 0);
    check_str(&seen.events, "delta{one\n\nthree}{{}}{}");

    seen_free(&seen);
    ngx_pulse_buf_free(&b);
}


static void
test_recordings(void)
{
    char            name[512];
    DIR            *d;
    const char     *dir;
    ngx_uint_t      n;
    struct dirent  *entry;

    dir = unit_shared();

    if (dir == NULL) {
        return;
    }

    (void) snprintf(name, sizeof(name), "%s/data/recordings", dir);

    d = opendir(name);
    check(d != NULL);

    if (d == NULL) {
        return;
    }

    n = 0;

    while ((entry = readdir(d)) != NULL) {

        if (entry->d_name[0] != '.') {
            (void) snprintf(name, sizeof(name), "%s/data/recordings/%s", dir,
                            entry->d_name);
            n += test_directory(name);
        }
    }

    (void) closedir(d);

    check(n > 0);
}


static ngx_uint_t
test_directory(const char *dir)
{
    char            name[1024];
    DIR            *d;
    size_t          len;
    ngx_uint_t      n;
    struct dirent  *entry;

    d = opendir(dir);

    if (d == NULL) {
        return 0;
    }

    n = 0;

    while ((entry = readdir(d)) != NULL) {

        len = strlen(entry->d_name);

        if (len > 4 && strcmp(entry->d_name + len - 4, ".sse") == 0) {
            (void) snprintf(name, sizeof(name), "%s/%s", dir, entry->d_name);

            test_recording(name);
            n++;
        }
    }

    (void) closedir(d);

    return n;
}


static void
test_recording(const char *name)
{
    size_t     start, end;
    seen_t     whole, bytes;
    ngx_str_t  file;

    file = unit_file(name);

    unit_case("%s", name);
    check(file.data != NULL);

    run(&whole, file.data, file.len, 0, 0);
    check(whole.count > 0);
    check_mem(whole.raw.data, whole.raw.len, file.data, file.len);

    run(&bytes, file.data, file.len, 0, 1);
    check_mem(bytes.events.data, bytes.events.len, whole.events.data,
              whole.events.len);
    check_mem(bytes.raw.data, bytes.raw.len, file.data, file.len);

    for (start = 0; start < file.len; start = end) {
        end = start + event_len(file.data + start, file.len - start);
        test_event(&file, start, end);
    }

    seen_free(&bytes);
    seen_free(&whole);
    unit_case(NULL);
    free(file.data);
}


/*
 * At the end of an event the splitter is as new, so a cut in it can be felt
 * in it and right after it only: no need to read the file for each byte.
 */

static void
test_event(ngx_str_t *file, size_t start, size_t end)
{
    size_t      at, last;
    seen_t      seen, whole;
    ngx_uint_t  differ;

    last = ngx_min(end + AFTER, file->len);
    differ = 0;

    run(&whole, file->data + start, last - start, 0, 0);

    ngx_memzero(&seen, sizeof(seen_t));

    for (at = start + 1; at <= end; at++) {

        run_again(&seen, file->data + start, last - start, at - start, 0);
        differ += !seen_equal(&seen, &whole);
    }

    check(whole.count > 0);
    check_int(differ, 0);

    seen_free(&seen);
    seen_free(&whole);
}


static size_t
event_len(const u_char *p, size_t len)
{
    size_t  i;

    for (i = 1; i < len; i++) {

        if (p[i] == '\n'
            && (p[i - 1] == '\n'
                || (i > 2 && memcmp(p + i - 3, "\r\n\r\n", 4) == 0)))
        {
            return i + 1;
        }
    }

    return len;
}


static ngx_uint_t
seen_equal(seen_t *a, seen_t *b)
{
    return a->events.len == b->events.len && a->raw.len == b->raw.len
           && memcmp(a->events.data, b->events.data, a->events.len) == 0
           && memcmp(a->raw.data, b->raw.data, a->raw.len) == 0;
}


static void
test_split(seen_t *whole, const u_char *data, size_t len, size_t at)
{
    seen_t  seen;

    run(&seen, data, len, at, 0);

    check_mem(seen.events.data, seen.events.len, whole->events.data,
              whole->events.len);
    check_mem(seen.raw.data, seen.raw.len, data, len);

    seen_free(&seen);
}


/* "first" bytes, then the rest; or pieces of "piece" bytes. */

static void
run(seen_t *seen, const u_char *data, size_t len, size_t first, size_t piece)
{
    ngx_memzero(seen, sizeof(seen_t));

    run_again(seen, data, len, first, piece);
}


/* The same, into the memory of the run before. */

static void
run_again(seen_t *seen, const u_char *data, size_t len, size_t first,
    size_t piece)
{
    size_t           n;
    u_char          *copy;
    ngx_pulse_sse_t  sse;

    seen->raw.len = 0;
    seen->events.len = 0;
    seen->copied = 0;
    seen->count = 0;

    ngx_pulse_sse_init(&sse, 0, handler, seen);

    while (len) {
        n = first ? first : (piece ? piece : len);
        n = ngx_min(n, len);
        first = 0;

        /* a block of its own, so that a read past its end is seen */

        copy = malloc(n);
        memcpy(copy, data, n);

        seen->data = copy;
        seen->len = n;

        if (ngx_pulse_sse_feed(&sse, copy, n) != NGX_OK) {
            check(0);
        }

        free(copy);

        data += n;
        len -= n;
    }

    seen->data = NULL;
    seen->len = 0;

    if (ngx_pulse_sse_finish(&sse) != NGX_OK) {
        check(0);
    }

    ngx_pulse_sse_free(&sse);
}


static ngx_int_t
handler(void *ctx, ngx_pulse_sse_event_t *ev)
{
    seen_t *seen = ctx;

    ngx_pulse_buf_str(&seen->raw, &ev->raw);

    if (ev->raw.data < seen->data || ev->raw.data >= seen->data + seen->len) {
        seen->copied++;
    }

    /* where a CRLF was cut its LF is the whole of a last block */

    if (ev->raw.len == 1 && ev->raw.data[0] == '\n' && seen->data == NULL) {
        return NGX_OK;
    }

    seen->count++;

    ngx_pulse_buf_str(&seen->events, &ev->name);

    if (ev->has_data) {
        ngx_pulse_buf_char(&seen->events, '{');
        ngx_pulse_buf_str(&seen->events, &ev->data);
        ngx_pulse_buf_char(&seen->events, '}');

    } else {
        ngx_pulse_buf_char(&seen->events, '-');
    }

    return (seen->count == seen->stop) ? NGX_DONE : NGX_OK;
}


static void
seen_free(seen_t *seen)
{
    ngx_pulse_buf_free(&seen->raw);
    ngx_pulse_buf_free(&seen->events);
}
