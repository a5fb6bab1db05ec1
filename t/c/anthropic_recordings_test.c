
#include "unit_recording.h"
#include "ngx_pulse_anthropic.h"


static void test_recording(unit_recording_t *recording);
static void test_compare(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *expected);
static const char *test_target(const ngx_pulse_conversation_t *cv);


static const unit_replay_t  test_replay = {
    &ngx_pulse_dialect_anthropic,
    test_compare,
    test_error,
    unit_same_answer,
    test_target,
    5
};


int
main(void)
{
    return unit_recordings_main("anthropic.messages", test_recording);
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
    }
}


static void
test_compare(ngx_pulse_collector_t *collector, ngx_pulse_json_value_t *record)
{
    int64_t                  input, output;
    ngx_str_t                native;
    ngx_pulse_json_value_t  *pass;

    unit_compare_answer(collector, record, 0);

    native = unit_string(record, "finish_reason_native");
    check_mem(collector->native.data, collector->native.len, native.data,
              native.len);

    pass = ngx_pulse_member(ngx_pulse_json_get(record, "usage_native"),
                            "iterations");

    if (pass == NULL || pass->nelts == 0) {
        unit_compare_usage(&collector->usage, record,
                           unit_number(ngx_pulse_member(record, "usage"),
                                       "output_tokens"));
        return;
    }

    /* what is expected leaves passes out that are billed */

    input = 0;
    output = 0;

    for (pass = pass->children; pass; pass = pass->next) {
        input += unit_number(pass, "input_tokens")
                 + unit_number(pass, "cache_read_input_tokens")
                 + unit_number(pass, "cache_creation_input_tokens");
        output += unit_number(pass, "output_tokens");
    }

    check_int(collector->usage.input, input);
    check_int(collector->usage.output, output);
}


static void
test_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *expected)
{
    ngx_str_t  said;

    said = unit_string(expected, "message");
    check_mem(error->message.data, error->message.len, said.data, said.len);

    said = unit_string(expected, "type");
    check_mem(error->type.data, error->type.len, said.data, said.len);
}


static const char *
test_target(const ngx_pulse_conversation_t *cv)
{
    return cv->budget ? "bfsohip" : "efsohip";
}
