
#include "unit_recording.h"
#include "ngx_pulse_openai.h"
#include "ngx_pulse_responses.h"


static void test_recordings(void);
static void test_recording(unit_recording_t *recording);
static void test_recorded_stream(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_answer(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *record);
static void test_recorded_request(ngx_str_t *body);
static void test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_compare(ngx_pulse_collector_t *one,
    ngx_pulse_collector_t *two);


#define RESPONSES  &ngx_pulse_dialect_responses


int
main(void)
{
    test_recordings();

    return unit_done();
}


static void
test_recordings(void)
{
    ngx_uint_t  n;

    if (unit_shared() == NULL) {
        return;
    }

    n = unit_recordings("openai.responses", test_recording);

    check(n >= 100);
    printf("# responses: %lu recordings\n", (unsigned long) n);
}


static void
test_recording(unit_recording_t *recording)
{
    if (recording->stream) {
        test_recorded_stream(&recording->body, recording->expected);

    } else {
        test_recorded_answer(&recording->body, recording->expected);
    }

    if (recording->request.data) {
        test_recorded_request(&recording->request);
    }
}


static void
test_recorded_stream(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    size_t         cut, step;
    unit_stream_t  s, two;

    /* some are several answers in one: of the first what can be had */

    if (ngx_pulse_json_get(record, "concatenated")) {
        unit_start(&s, RESPONSES);
        (void) unit_feed(&s, body->data, body->len, 0, body->len);
        check(s.ends <= 1);
        check(s.collector.started);
        unit_end(&s);
        return;
    }

    /* one has a brace too few in its first event */

    if (ngx_pulse_member(record, "error") == NULL
        && ngx_pulse_member(record, "finish_reason") == NULL)
    {
        unit_start(&s, RESPONSES);
        check_int(unit_feed(&s, body->data, body->len, 0, body->len),
                  NGX_ERROR);
        unit_end(&s);
        return;
    }

    for (cut = 0; cut < 2; cut++) {
        unit_start(&s, RESPONSES);
        check_int(unit_feed(&s, body->data, body->len, 0,
                            cut ? 1 : body->len),
                  NGX_OK);
        check_int(s.ends, ngx_pulse_member(record, "error") == NULL);
        test_compare_record(&s.collector, record);

        /* what a client gets of it says the same */

        unit_start(&two, RESPONSES);
        check_int(unit_feed(&two, s.out.data, s.out.len, 0, s.out.len),
                  NGX_OK);
        test_compare(&s.collector, &two.collector);
        unit_end(&two);
        unit_end(&s);
    }

    step = (body->len < 2500) ? 1 : body->len / 10;

    for (cut = 1; cut < body->len; cut += step) {
        unit_start(&s, RESPONSES);
        check_int(unit_feed(&s, body->data, body->len, cut, body->len),
                  NGX_OK);
        test_compare_record(&s.collector, record);
        unit_end(&s);
    }
}


static void
test_recorded_answer(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    ngx_str_t                said;
    unit_stream_t            s, two;
    ngx_pulse_chat_error_t   error;

    unit_start(&s, RESPONSES);

    if (unit_number(record, "http_status") >= 400) {
        check_int(ngx_pulse_openai_error(&error, s.pool, body->data, body->len),
                  NGX_OK);
        test_recorded_error(&error, record);
        unit_end(&s);
        return;
    }

    check_int(ngx_pulse_responses_read_answer(s.pool, body, unit_event, &s),
              NGX_OK);
    check_int(s.ends, ngx_pulse_member(record, "error") == NULL);
    test_compare_record(&s.collector, record);

    unit_start(&two, RESPONSES);
    check_int(unit_feed(&two, s.out.data, s.out.len, 0, s.out.len), NGX_OK);
    test_compare(&s.collector, &two.collector);
    unit_end(&two);

    unit_start(&two, RESPONSES);
    ngx_pulse_responses_write_answer(&s.collector, &s.cv, 0, &two.out);
    said.data = two.out.data;
    said.len = two.out.len;
    check_int(ngx_pulse_responses_read_answer(two.pool, &said,
                                              ngx_pulse_collect,
                                              &two.collector),
              NGX_OK);
    test_compare(&s.collector, &two.collector);
    unit_end(&two);

    unit_end(&s);
}


static void
test_recorded_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t                said;
    ngx_pulse_json_value_t  *expected;

    expected = ngx_pulse_json_get(record, "error");

    said = unit_string(expected, "message");
    check_mem(error->message.data, error->message.len, said.data, said.len);

    said = unit_string(expected, "code");

    if (said.len) {
        check_mem(error->code.data, error->code.len, said.data, said.len);
    }

    check_int(error->quota, ngx_pulse_is(&said, "insufficient_quota"));
}


/* read, written and read again, a request means the same */

static void
test_recorded_request(ngx_str_t *body)
{
    size_t                     len;
    ngx_int_t                  rc;
    ngx_str_t                  again;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b, b2;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&b2, 0);
    memset(&dropped, 0, sizeof(dropped));

    rc = ngx_pulse_responses_read(&cv, pool, body, &refusal);

    if (rc == NGX_DECLINED) {
        check(strcmp(refusal.pointer, "/previous_response_id") == 0
              || strcmp(refusal.pointer, "/conversation") == 0
              || strcmp(refusal.pointer, "/background") == 0);

    } else {
        check_int(rc, NGX_OK);
    }

    if (rc == NGX_OK) {
        unit_target(&target, "efns", 400);
        target.model = cv.model;
        target.max_tokens = cv.max_tokens ? cv.max_tokens : 400;

        check_int(ngx_pulse_responses_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_OK);
        again.data = b.data;
        again.len = len = b.len;

        check_int(ngx_pulse_responses_read(&cv, pool, &again, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_responses_write(&cv, &target, pool, &dropped,
                                            &refusal, &b2),
                  NGX_OK);
        check_mem(b2.data, b2.len, b.data, len);

        /* nothing of any size is missing; blanks are not kept */

        check(b.len + 400 > body->len / 2);
    }

    ngx_pulse_buf_free(&b2);
    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t  native;

    if (ngx_pulse_member(record, "error")) {
        check_int(collector->failed, 1);
        test_recorded_error(&collector->error, record);
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


/* a client gets the provider's id, in the form that it expects */

static void
test_compare(ngx_pulse_collector_t *one, ngx_pulse_collector_t *two)
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
