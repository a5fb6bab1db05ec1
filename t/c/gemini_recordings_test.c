
#include "unit_recording.h"
#include "ngx_pulse_gemini.h"


static void test_recording(unit_recording_t *recording);
static void test_compare(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_check_calls(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *calls);
static void test_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *expected);
static const char *test_target(const ngx_pulse_conversation_t *cv);


static const unit_replay_t  test_replay = {
    &ngx_pulse_dialect_gemini,
    test_compare,
    test_error,
    unit_same_answer,
    test_target,
    100
};


int
main(void)
{
    return unit_recordings_main("gemini.generateContent", test_recording);
}


static void
test_recording(unit_recording_t *recording)
{
    ngx_uint_t                ndropped;
    ngx_pulse_chat_refusal_t  refusal;

    unit_replay(&test_replay, recording);

    if (recording->request.data) {
        check_int(unit_replay_request(&test_replay, &recording->request,
                                      &refusal, &ndropped),
                  NGX_OK);
        check_int(ndropped, 0);
    }
}


static void
test_compare(ngx_pulse_collector_t *collector, ngx_pulse_json_value_t *record)
{
    ngx_str_t                text, reason;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *usage, *v;

    static const char  *finishes[] = {
        "stop", "length", "tool_calls", "content_filter", "error"
    };

    check_int(collector->failed, 0);

    text = ngx_pulse_json_get(record, "text")->string;
    unit_collected(collector, NGX_PULSE_PART_TEXT, &b);
    check_mem(b.data, b.len, text.data, text.len);
    ngx_pulse_buf_free(&b);

    v = ngx_pulse_json_get(record, "reasoning");
    unit_collected(collector, NGX_PULSE_PART_THINKING, &b);
    check_mem(b.data, b.len, v ? v->string.data : NULL,
              v ? v->string.len : 0);
    ngx_pulse_buf_free(&b);

    reason = ngx_pulse_json_get(record, "finish_reason")->string;
    check_mem(reason.data, reason.len, finishes[collector->finish],
              strlen(finishes[collector->finish]));

    usage = ngx_pulse_json_get(record, "usage");
    check_int(collector->usage.known, 1);
    check_int(collector->usage.input, unit_number(usage, "input_tokens"));
    check_int(collector->usage.cached,
              unit_number(usage, "cached_input_tokens"));
    check_int(collector->usage.output, unit_number(usage, "output_tokens"));
    check_int(collector->usage.reasoning,
              unit_number(usage, "reasoning_tokens"));

    v = ngx_pulse_json_get(record, "id");
    check_mem(collector->id.data, collector->id.len, v->string.data,
              v->string.len);
    v = ngx_pulse_json_get(record, "model");
    check_mem(collector->model.data, collector->model.len, v->string.data,
              v->string.len);

    test_check_calls(collector, ngx_pulse_json_get(record, "tool_calls"));
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
test_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *expected)
{
    check(error->message.len > 0);
    check(error->type.len > 0);
}


static const char *
test_target(const ngx_pulse_conversation_t *cv)
{
    return "efhs";
}
