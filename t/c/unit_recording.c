
#include "unit_recording.h"


#define UNIT_RECORDINGS  "%s/data/recordings/"


static void unit_recording(const char *dir, ngx_pulse_json_value_t *expected,
    unit_recording_pt test);
static const char *unit_extension(const ngx_str_t *file);
static ngx_str_t unit_recorded(const char *dir, const ngx_str_t *name,
    const char *extension);
static void unit_replay_stream(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_json_value_t *expected);
static void unit_replay_pieces(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_json_value_t *expected, size_t first, size_t step);
static void unit_replay_answer(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_json_value_t *expected);
static void unit_replay_client(const unit_replay_t *replay, unit_stream_t *s);
static void unit_compare_calls(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *expected, ngx_uint_t raw);


ngx_uint_t
unit_recordings(const char *api, unit_recording_pt test)
{
    ngx_str_t                text, of;
    ngx_uint_t               n;
    ngx_pool_t              *pool;
    const char              *dir;
    ngx_pulse_json_value_t  *list, *expected;

    static const ngx_str_t  name = ngx_string("expected.json");

    dir = unit_shared();

    if (dir == NULL) {
        return 0;
    }

    text = unit_recorded(dir, &name, "");
    check(text.data != NULL);

    if (text.data == NULL) {
        return 0;
    }

    n = 0;
    pool = unit_pool();
    list = unit_tree(pool, text.data, text.len);
    check(list != NULL);

    for (expected = list ? list->children : NULL; expected;
         expected = expected->next)
    {
        of = unit_string(expected, "api");

        if (ngx_pulse_is(&of, api)) {
            unit_recording(dir, expected, test);
            n++;
        }
    }

    unit_case(NULL);

    ngx_destroy_pool(pool);
    free(text.data);

    return n;
}


int
unit_recordings_main(const char *api, unit_recording_pt test)
{
    ngx_uint_t  n;

    if (unit_shared()) {
        n = unit_recordings(api, test);

        check(n >= 100);
        printf("# %s: %lu recordings\n", api, (unsigned long) n);
    }

    return unit_done();
}


static void
unit_recording(const char *dir, ngx_pulse_json_value_t *expected,
    unit_recording_pt test)
{
    ngx_str_t         file;
    const char       *extension;
    unit_recording_t  recording;

    file = unit_string(expected, "file");

    unit_case("%.*s", (int) file.len, file.data);

    recording.expected = expected;
    extension = unit_extension(&file);
    recording.stream = (strcmp(extension, ".sse") == 0);
    recording.body = unit_recorded(dir, &file, "");

    check(recording.body.data != NULL);

    if (recording.body.data == NULL) {
        return;
    }

    file.len -= strlen(extension);
    recording.request = unit_recorded(dir, &file, ".req.json");

    test(&recording);

    free(recording.body.data);
    free(recording.request.data);
}


/* a stream of Gemini may be an array of JSON */

static const char *
unit_extension(const ngx_str_t *file)
{
    size_t       i;
    const char  *extension;

    static const char *const  extensions[] = { ".sse", ".json", ".jsonarray" };

    for (i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        extension = extensions[i];

        if (file->len > strlen(extension)
            && memcmp(file->data + file->len - strlen(extension), extension,
                      strlen(extension)) == 0)
        {
            return extension;
        }
    }

    check(0);

    return "";
}


static ngx_str_t
unit_recorded(const char *dir, const ngx_str_t *name, const char *extension)
{
    char  path[1024];

    (void) snprintf(path, sizeof(path), UNIT_RECORDINGS "%.*s%s", dir,
                    (int) name->len, name->data, extension);

    return unit_file(path);
}


void
unit_replay(const unit_replay_t *replay, unit_recording_t *recording)
{
    if (recording->stream) {
        unit_replay_stream(replay, &recording->body, recording->expected);

    } else {
        unit_replay_answer(replay, &recording->body, recording->expected);
    }
}


static void
unit_replay_stream(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_json_value_t *expected)
{
    size_t         cut, step;
    unit_stream_t  s;

    /* some are several answers in one: of the first what can be had */

    if (ngx_pulse_json_get(expected, "concatenated")) {
        unit_start(&s, replay->dialect);
        (void) unit_feed(&s, body->data, body->len, 0, body->len);
        check(s.ends <= 1);
        check(s.collector.started);
        unit_end(&s);
        return;
    }

    unit_replay_pieces(replay, body, expected, 0, body->len);
    unit_replay_pieces(replay, body, expected, 0, 1);

    /* a long one is cut at some of its bytes */

    step = (body->len < 2500) ? 1 : body->len / 10;

    for (cut = 1; cut < body->len; cut += step) {
        unit_replay_pieces(replay, body, expected, cut, body->len);
    }
}


static void
unit_replay_pieces(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_json_value_t *expected, size_t first, size_t step)
{
    unit_stream_t  s;

    unit_start(&s, replay->dialect);

    check_int(unit_feed(&s, body->data, body->len, first, step), NGX_OK);
    check_int(s.ends, ngx_pulse_member(expected, "error") == NULL);

    replay->compare(&s.collector, expected);

    if (first == 0) {
        unit_replay_client(replay, &s);
    }

    unit_end(&s);
}


static void
unit_replay_answer(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_json_value_t *expected)
{
    ngx_str_t               said;
    unit_stream_t           s, two;
    ngx_pulse_chat_error_t  error;

    unit_start(&s, replay->dialect);

    if (unit_number(expected, "http_status") >= 400) {
        check_int(replay->dialect->read_error(&error, s.pool, body->data,
                                              body->len),
                  NGX_OK);
        replay->error(&error, ngx_pulse_json_get(expected, "error"));
        unit_end(&s);
        return;
    }

    check_int(unit_whole(&s, body), NGX_OK);
    check_int(s.ends, ngx_pulse_member(expected, "error") == NULL);

    replay->compare(&s.collector, expected);
    unit_replay_client(replay, &s);

    unit_start(&two, replay->dialect);
    replay->dialect->write_answer(&s.collector, &s.cv, 0, &two.out);
    said = unit_text(&two.out);
    check_int(replay->dialect->read_answer(two.pool, &said, ngx_pulse_collect,
                                           &two.collector),
              NGX_OK);
    replay->same(&s.collector, &two.collector);
    unit_end(&two);

    unit_end(&s);
}


/* what a client gets of it says the same */

static void
unit_replay_client(const unit_replay_t *replay, unit_stream_t *s)
{
    unit_stream_t  two;

    unit_start(&two, replay->dialect);

    check_int(unit_feed(&two, s->out.data, s->out.len, 0, s->out.len), NGX_OK);
    replay->same(&s->collector, &two.collector);

    unit_end(&two);
}


ngx_int_t
unit_replay_request(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal, ngx_uint_t *ndropped)
{
    ngx_int_t                  rc;
    ngx_str_t                  again;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b, b2;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_dialect_t       *dialect;
    ngx_pulse_conversation_t   cv;

    dialect = replay->dialect;
    pool = unit_pool();

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&b2, 0);
    memset(&dropped, 0, sizeof(dropped));

    rc = dialect->read(&cv, pool, body, refusal);

    if (rc == NGX_OK) {
        unit_target(&target, replay->target(&cv), replay->max_tokens);
        target.model = cv.model;

        if (cv.max_tokens) {
            target.max_tokens = cv.max_tokens;
        }

        check_int(dialect->write(&cv, &target, pool, &dropped, refusal, &b),
                  NGX_OK);
        again = unit_text(&b);

        check_int(dialect->read(&cv, pool, &again, refusal), NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(dialect->write(&cv, &target, pool, &dropped, refusal, &b2),
                  NGX_OK);
        check_mem(b2.data, b2.len, b.data, b.len);

        *ndropped = dropped.n;

        /* nothing of any size is missing; blanks are not kept */

        check(b.len + 400 > body->len / 2);
    }

    ngx_pulse_buf_free(&b2);
    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);

    return rc;
}


void
unit_compare_answer(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *expected, ngx_uint_t raw)
{
    ngx_str_t        text;
    ngx_pulse_buf_t  b;

    static const char *const  finishes[] = {
        "stop", "length", "tool_calls", "content_filter", "error"
    };

    unit_compare_calls(collector, expected, raw);

    text = unit_string(expected, "text");

    unit_collected(collector, NGX_PULSE_PART_TEXT, &b);
    check_mem(b.data, b.len, text.data, text.len);
    ngx_pulse_buf_free(&b);

    text = unit_string(expected, "finish_reason");

    if (text.len) {
        check_int(collector->failed, 0);
        check_mem(finishes[collector->finish],
                  strlen(finishes[collector->finish]), text.data, text.len);
    }
}


static void
unit_compare_calls(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *expected, ngx_uint_t raw)
{
    ngx_str_t                id, name, arguments;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *call;

    call = ngx_pulse_member(expected, "tool_calls");
    call = call ? call->children : NULL;

    for (part = collector->parts; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_CALL) {
            continue;
        }

        check(call != NULL);

        if (call == NULL) {
            return;
        }

        id = unit_string(call, "id");
        name = unit_string(call, "name");
        arguments = unit_string(call, "arguments_raw");

        check_mem(part->id.data, part->id.len, id.data, id.len);
        check_mem(part->name.data, part->name.len, name.data, name.len);

        if (raw) {
            check_mem(part->arguments.data, part->arguments.len,
                      arguments.data, arguments.len);
        } else {
            check(unit_same(unit_tree(collector->pool, part->arguments.data,
                                      part->arguments.len),
                            ngx_pulse_json_get(call, "arguments")));
        }

        call = call->next;
    }

    check(call == NULL);
}


void
unit_compare_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *expected, int64_t output)
{
    expected = ngx_pulse_member(expected, "usage");

    check_int(usage->known, expected != NULL);

    if (expected == NULL) {
        return;
    }

    check_int(usage->input, unit_number(expected, "input_tokens"));
    check_int(usage->cached, unit_number(expected, "cached_input_tokens"));
    check_int(usage->cache_write, unit_number(expected, "cache_write_tokens"));
    check_int(usage->output, output);
    check_int(usage->reasoning, unit_number(expected, "reasoning_tokens"));
}


void
unit_collected(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_part_t  *part;

    ngx_pulse_buf_init(b, 0);

    for (part = collector->parts; part; part = part->next) {
        if (part->type == type) {
            ngx_pulse_buf_str(b, &part->text);
        }
    }
}
