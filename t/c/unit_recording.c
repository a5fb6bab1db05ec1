
#include "unit_recording.h"


#define UNIT_RECORDINGS  "%s/data/recordings/"


static void unit_recording(const char *dir, ngx_pulse_json_value_t *expected,
    unit_recording_pt test);
static ngx_str_t unit_recorded(const char *dir, const ngx_str_t *name,
    const char *extension);
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


static void
unit_recording(const char *dir, ngx_pulse_json_value_t *expected,
    unit_recording_pt test)
{
    ngx_str_t         file;
    unit_recording_t  recording;

    file = unit_string(expected, "file");

    unit_case("%.*s", (int) file.len, file.data);

    recording.expected = expected;
    recording.stream = ngx_pulse_json_get(expected, "stream")->boolean;
    recording.body = unit_recorded(dir, &file, "");

    check(recording.body.data != NULL);

    if (recording.body.data == NULL) {
        return;
    }

    /* beside "name.sse" or "name.json" */

    file.len -= recording.stream ? 4 : 5;
    recording.request = unit_recorded(dir, &file, ".req.json");

    test(&recording);

    free(recording.body.data);
    free(recording.request.data);
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
