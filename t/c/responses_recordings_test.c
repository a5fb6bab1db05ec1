
#include "unit_recording.h"
#include "ngx_pulse_responses.h"


static void test_recording(unit_recording_t *recording);
static void test_broken(unit_recording_t *recording);
static void test_compare(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *expected);
static void test_same(ngx_pulse_collector_t *one, ngx_pulse_collector_t *two);
static const char *test_target(const ngx_pulse_conversation_t *cv);


static const unit_replay_t  test_replay = {
    &ngx_pulse_dialect_responses,
    test_compare,
    test_error,
    test_same,
    test_target,
    400
};


int
main(void)
{
    return unit_recordings_main("openai.responses", test_recording);
}


static void
test_recording(unit_recording_t *recording)
{
    ngx_int_t                 rc;
    ngx_uint_t                ndropped;
    ngx_pulse_chat_refusal_t  refusal;
    ngx_pulse_json_value_t   *record;

    record = recording->expected;

    if (recording->stream
        && !ngx_pulse_json_get(record, "concatenated")
        && ngx_pulse_member(record, "error") == NULL
        && ngx_pulse_member(record, "finish_reason") == NULL)
    {
        test_broken(recording);

    } else {
        unit_replay(&test_replay, recording);
    }

    if (recording->request.data == NULL) {
        return;
    }

    rc = unit_replay_request(&test_replay, &recording->request, &refusal,
                             &ndropped);

    if (rc == NGX_DECLINED) {
        check(strcmp(refusal.pointer, "/previous_response_id") == 0
              || strcmp(refusal.pointer, "/conversation") == 0
              || strcmp(refusal.pointer, "/background") == 0);

    } else {
        check_int(rc, NGX_OK);
    }
}


/* one has a brace too few in its first event */

static void
test_broken(unit_recording_t *recording)
{
    unit_stream_t  s;

    unit_start(&s, &ngx_pulse_dialect_responses);

    check_int(unit_feed(&s, recording->body.data, recording->body.len, 0,
                        recording->body.len),
              NGX_ERROR);

    unit_end(&s);
}


static void
test_compare(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t  native;

    if (ngx_pulse_member(record, "error")) {
        check_int(collector->failed, 1);
        test_error(&collector->error,
                   ngx_pulse_json_get(record, "error"));
        return;
    }

    unit_compare_answer(collector, record, 1);

    native = unit_string(record, "finish_reason_native");
    check_mem(collector->native.data, collector->native.len, native.data,
              native.len);

    unit_compare_usage(&collector->usage, record,
                       unit_number(ngx_pulse_member(record, "usage"),
                                   "output_tokens"));
}


static void
test_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *expected)
{
    ngx_str_t  said;

    said = unit_string(expected, "message");
    check_mem(error->message.data, error->message.len, said.data, said.len);

    said = unit_string(expected, "code");

    if (said.len) {
        check_mem(error->code.data, error->code.len, said.data, said.len);
    }

    check_int(error->quota, ngx_pulse_is(&said, "insufficient_quota"));
}


/* a client gets the provider's id, in the form that it expects */

static void
test_same(ngx_pulse_collector_t *one, ngx_pulse_collector_t *two)
{
    if (one->id.len < 5 || memcmp(one->id.data, "resp_", 5) != 0) {
        check(two->id.len > 5 && memcmp(two->id.data, "resp_", 5) == 0);
        two->id.data += 5;
        two->id.len -= 5;
    }

    if (one->id.len == 0) {
        two->id.len = 0;
    }

    check_mem(two->native.data, two->native.len, one->native.data,
              one->native.len);

    unit_same_answer(one, two);
}


static const char *
test_target(const ngx_pulse_conversation_t *cv)
{
    return "efns";
}
