
#include "unit_stream.h"
#include "ngx_pulse_gemini.h"

#include <dirent.h>


static void test_recordings(void);
static void test_recording(const char *dir, ngx_pulse_json_value_t *record);
static void test_answer(unit_stream_t *s, ngx_pulse_json_value_t *record);
static void test_check_calls(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *calls);
static void test_text(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    ngx_pulse_buf_t *b);
static void test_recorded_requests(const char *dir);
static void test_recorded_request(const char *name);


static const ngx_pulse_target_t  test_levels = {
    .max_tokens = 100, .forced_choice = 1, .effort = 1,
    .https_images = 1, .sampling = 0
};


int
main(void)
{
    test_recordings();

    return unit_done();
}


static void
test_recordings(void)
{
    char                      dir[1024], name[1100];
    ngx_str_t                 text, file;
    ngx_uint_t                n;
    ngx_pool_t               *pool;
    const char               *shared;
    ngx_pulse_json_error_t    err;
    ngx_pulse_json_value_t   *root, *record;
    ngx_pulse_json_limits_t   limits;

    shared = unit_shared();
    if (shared == NULL) {
        return;
    }

    (void) snprintf(dir, sizeof(dir), "%s/data/recordings", shared);
    (void) snprintf(name, sizeof(name), "%s/expected.json", dir);

    text = unit_file(name);
    check(text.data != NULL);

    limits.size = text.len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = text.len;
    limits.keys = text.len;

    pool = unit_pool();
    root = ngx_pulse_json_tree(pool, text.data, text.len, &limits, &err);
    check(root != NULL);

    n = 0;

    for (record = root->children; record; record = record->next) {
        file = ngx_pulse_json_get(record, "file")->string;

        if (file.len > 7 && memcmp(file.data, "gemini/", 7) == 0) {
            test_recording(dir, record);
            n++;
        }
    }

    check_int(n, 100);

    test_recorded_requests(dir);

    free(text.data);
    ngx_destroy_pool(pool);
    unit_case(NULL);
}


static void
test_recording(const char *dir, ngx_pulse_json_value_t *record)
{
    char                     name[1200];
    size_t                   i, step;
    ngx_str_t                file, body, out;
    ngx_uint_t               sse;
    unit_stream_t            whole, s, back;
    ngx_pulse_buf_t          b;
    ngx_pulse_chat_error_t   error;

    file = ngx_pulse_json_get(record, "file")->string;
    (void) snprintf(name, sizeof(name), "%s/%.*s", dir, (int) file.len,
                    file.data);

    unit_case("%.*s", (int) file.len, file.data);

    body = unit_file(name);
    check(body.data != NULL);

    if (unit_number(record, "http_status") >= 400) {
        unit_start(&s, &ngx_pulse_dialect_gemini);
        check_int(ngx_pulse_gemini_read_error(&error, s.pool, body.data,
                                              body.len),
                  NGX_OK);
        check(error.message.len > 0 && error.type.len > 0);
        unit_end(&s);
        free(body.data);
        return;
    }

    sse = (memcmp(file.data + file.len - 4, ".sse", 4) == 0);

    unit_start(&whole, &ngx_pulse_dialect_gemini);
    check_int(sse ? unit_feed(&whole, body.data, body.len, 0, body.len)
                  : unit_whole(&whole, &body),
              NGX_OK);
    test_answer(&whole, record);

    /* our own stream and whole answer read back */

    unit_start(&back, &ngx_pulse_dialect_gemini);
    out.data = whole.out.data;
    out.len = whole.out.len;
    check_int(unit_feed(&back, out.data, out.len, out.len, out.len), NGX_OK);
    unit_same_answer(&whole.collector, &back.collector);
    unit_end(&back);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_gemini_write_answer(&whole.collector, &whole.cv, 0, &b);
    out.data = b.data;
    out.len = b.len;
    unit_start(&back, &ngx_pulse_dialect_gemini);
    check_int(unit_whole(&back, &out), NGX_OK);
    unit_same_answer(&whole.collector, &back.collector);
    unit_end(&back);
    ngx_pulse_buf_free(&b);

    /* cut at each byte, or at some of a long one; then byte by byte */

    step = (body.len > 4096) ? body.len / 61 : 1;

    for (i = 1; sse && i < body.len; i += step) {
        unit_start(&s, &ngx_pulse_dialect_gemini);
        check_int(unit_feed(&s, body.data, body.len, i, body.len), NGX_OK);
        unit_same_answer(&whole.collector, &s.collector);
        unit_end(&s);
    }

    if (sse) {
        unit_start(&s, &ngx_pulse_dialect_gemini);
        check_int(unit_feed(&s, body.data, body.len, 1, 1), NGX_OK);
        unit_same_answer(&whole.collector, &s.collector);
        unit_end(&s);
    }

    unit_end(&whole);
    free(body.data);
}


static void
test_answer(unit_stream_t *s, ngx_pulse_json_value_t *record)
{
    ngx_str_t                text, reason;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *usage, *v;

    static const char  *finishes[] = {
        "stop", "length", "tool_calls", "content_filter", "error"
    };

    ngx_pulse_buf_init(&b, 0);

    check_int(s->ends, 1);
    check_int(s->errors, 0);

    text = ngx_pulse_json_get(record, "text")->string;
    test_text(&s->collector, NGX_PULSE_PART_TEXT, &b);
    check_mem(b.data, b.len, text.data, text.len);

    v = ngx_pulse_json_get(record, "reasoning");
    b.len = 0;
    test_text(&s->collector, NGX_PULSE_PART_THINKING, &b);
    check_mem(b.data, b.len, v ? v->string.data : NULL,
              v ? v->string.len : 0);

    reason = ngx_pulse_json_get(record, "finish_reason")->string;
    check_mem(reason.data, reason.len, finishes[s->collector.finish],
              strlen(finishes[s->collector.finish]));

    usage = ngx_pulse_json_get(record, "usage");
    check_int(s->collector.usage.known, 1);
    check_int(s->collector.usage.input, unit_number(usage, "input_tokens"));
    check_int(s->collector.usage.cached,
              unit_number(usage, "cached_input_tokens"));
    check_int(s->collector.usage.output, unit_number(usage, "output_tokens"));
    check_int(s->collector.usage.reasoning,
              unit_number(usage, "reasoning_tokens"));

    v = ngx_pulse_json_get(record, "id");
    check_mem(s->collector.id.data, s->collector.id.len, v->string.data,
              v->string.len);
    v = ngx_pulse_json_get(record, "model");
    check_mem(s->collector.model.data, s->collector.model.len, v->string.data,
              v->string.len);

    test_check_calls(&s->collector, ngx_pulse_json_get(record, "tool_calls"));

    ngx_pulse_buf_free(&b);
}


static void
test_check_calls(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *calls)
{
    ngx_str_t                name;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *call, *v, *arguments;

    call = calls->children;

    for (part = collector->parts; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_CALL) {
            continue;
        }

        check(call != NULL);

        if (call == NULL) {
            return;
        }

        name = ngx_pulse_json_get(call, "name")->string;
        check_mem(part->name.data, part->name.len, name.data, name.len);
        check(part->id.len > 5 && part->id.len <= 40);

        v = ngx_pulse_json_get(call, "id");

        if (v->type == NGX_PULSE_JSON_STRING) {
            check_mem(part->id.data, part->id.len, v->string.data,
                      v->string.len);
        }

        arguments = ngx_pulse_json_tree(collector->pool, part->arguments.data,
                                        part->arguments.len, NULL, &err);
        check(arguments != NULL && arguments->type == NGX_PULSE_JSON_OBJECT);

        v = ngx_pulse_json_get(call, "arguments");

        if (v->type == NGX_PULSE_JSON_OBJECT) {
            check(unit_same(arguments, v));

        } else {
            /* streamed: the collection of recordings has not joined them */
            check(arguments && arguments->nelts > 0);
        }

        call = call->next;
    }

    check(call == NULL);
}


static void
test_text(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_part_t  *part;

    for (part = collector->parts; part; part = part->next) {
        if (part->type == type) {
            ngx_pulse_buf_str(b, &part->text);
        }
    }
}


/* requests as SDKs send them are read, and written again mean the same */

static void
test_recorded_requests(const char *dir)
{
    DIR            *d;
    char            name[1400];
    size_t          len;
    ngx_uint_t      n;
    struct dirent  *de;

    (void) snprintf(name, sizeof(name), "%s/gemini", dir);

    d = opendir(name);
    check(d != NULL);
    n = 0;

    while (d && (de = readdir(d)) != NULL) {
        len = strlen(de->d_name);

        if (len > 9 && strcmp(de->d_name + len - 9, ".req.json") == 0) {
            (void) snprintf(name, sizeof(name), "%s/gemini/%s", dir,
                            de->d_name);
            unit_case("%s", de->d_name);
            test_recorded_request(name);
            n++;
        }
    }

    closedir(d);
    check(n >= 80);
}


static void
test_recorded_request(const char *name)
{
    ngx_str_t                  body, again;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b[2];
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_target_t         target;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    body = unit_file(name);
    pool = unit_pool();

    memset(&dropped, 0, sizeof(dropped));
    memset(&refusal, 0, sizeof(refusal));
    ngx_pulse_buf_init(&b[0], 0);
    ngx_pulse_buf_init(&b[1], 0);

    target = test_levels;
    target.sampling = 1;

    check_int(ngx_pulse_gemini_read(&cv, pool, &body, &refusal), NGX_OK);

    if (refusal.reason) {
        check_text(refusal.pointer, "");
        check_text(refusal.reason, "");

    } else {
        check(cv.prompt.bound > 0);
        check_int(ngx_pulse_gemini_write(&cv, &target, pool, &dropped,
                                         &refusal, &b[0]),
                  NGX_OK);
        check_int(dropped.n, 0);

        /* what was written says all that was read */

        again.data = b[0].data;
        again.len = b[0].len;

        check_int(ngx_pulse_gemini_read(&cv, pool, &again, &refusal), NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_gemini_write(&cv, &target, pool, &dropped,
                                         &refusal, &b[1]),
                  NGX_OK);
        check_mem(b[1].data, b[1].len, b[0].data, b[0].len);
    }

    ngx_pulse_buf_free(&b[0]);
    ngx_pulse_buf_free(&b[1]);
    ngx_destroy_pool(pool);
    free(body.data);
}
