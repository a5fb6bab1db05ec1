
#include "unit_recording.h"
#include "ngx_pulse_anthropic.h"


static void test_recordings(void);
static void test_recording(unit_recording_t *recording);
static void test_recorded_stream(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_answer(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_request(ngx_str_t *body);
static void test_compare(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_target(ngx_pulse_target_t *target, const char *letters);


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

    n = unit_recordings("anthropic.messages", test_recording);

    check(n >= 100);
    printf("# anthropic: %lu recordings\n", (unsigned long) n);
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
        unit_start(&s, &ngx_pulse_dialect_anthropic);
        (void) unit_feed(&s, body->data, body->len, 0, body->len);
        check(s.ends <= 1);
        check(s.collector.started);
        unit_end(&s);
        return;
    }

    for (cut = 0; cut < 2; cut++) {
        unit_start(&s, &ngx_pulse_dialect_anthropic);
        check_int(unit_feed(&s, body->data, body->len, 0,
                            cut ? 1 : body->len),
                  NGX_OK);
        check_int(s.ends, 1);
        test_compare(&s.collector, record);

        /* what a client gets of it says the same */

        unit_start(&two, &ngx_pulse_dialect_anthropic);
        check_int(unit_feed(&two, s.out.data, s.out.len, 0, s.out.len),
                  NGX_OK);
        unit_same_answer(&s.collector, &two.collector);
        unit_end(&two);
        unit_end(&s);
    }

    step = (body->len < 2500) ? 1 : body->len / 10;

    for (cut = 1; cut < body->len; cut += step) {
        unit_start(&s, &ngx_pulse_dialect_anthropic);
        check_int(unit_feed(&s, body->data, body->len, cut, body->len),
                  NGX_OK);
        test_compare(&s.collector, record);
        unit_end(&s);
    }
}


static void
test_recorded_answer(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    ngx_str_t                said;
    unit_stream_t            s, two;
    ngx_pulse_chat_error_t   error;
    ngx_pulse_json_value_t  *expected;

    unit_start(&s, &ngx_pulse_dialect_anthropic);

    if (unit_number(record, "http_status") >= 400) {
        check_int(ngx_pulse_anthropic_read_error(&error, s.pool, body->data,
                                                 body->len),
                  NGX_OK);
        expected = ngx_pulse_json_get(record, "error");
        said = unit_string(expected, "message");
        check_mem(error.message.data, error.message.len, said.data, said.len);
        said = unit_string(expected, "type");
        check_mem(error.type.data, error.type.len, said.data, said.len);
        unit_end(&s);
        return;
    }

    check_int(ngx_pulse_anthropic_read_answer(s.pool, body, unit_event, &s),
              NGX_OK);
    check_int(s.ends, 1);
    test_compare(&s.collector, record);

    unit_start(&two, &ngx_pulse_dialect_anthropic);
    check_int(unit_feed(&two, s.out.data, s.out.len, 0, s.out.len), NGX_OK);
    unit_same_answer(&s.collector, &two.collector);
    unit_end(&two);

    unit_start(&two, &ngx_pulse_dialect_anthropic);
    ngx_pulse_anthropic_write_answer(&s.collector, &s.cv, 0, &two.out);
    said.data = two.out.data;
    said.len = two.out.len;
    check_int(ngx_pulse_anthropic_read_answer(two.pool, &said,
                                              ngx_pulse_collect,
                                              &two.collector),
              NGX_OK);
    unit_same_answer(&s.collector, &two.collector);
    unit_end(&two);

    unit_end(&s);
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

    rc = ngx_pulse_anthropic_read(&cv, pool, body, &refusal);
    check_int(rc, NGX_OK);

    if (rc == NGX_OK) {
        test_target(&target, cv.budget ? "bfsohip" : "efsohip");
        target.model = cv.model;
        target.max_tokens = cv.max_tokens ? cv.max_tokens : 5;

        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_OK);
        again.data = b.data;
        again.len = len = b.len;

        check_int(ngx_pulse_anthropic_read(&cv, pool, &again, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
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


/* b: budgets, e: effort, f: forced choice, h: fetches, i: system inside,
 * o: off, p: prefill, s: sampling, t: between tools */

static void
test_target(ngx_pulse_target_t *target, const char *letters)
{
    memset(target, 0, sizeof(ngx_pulse_target_t));

    target->model = unit_str("m");
    target->thinking_budget = (strchr(letters, 'b') != NULL);
    target->effort = (strchr(letters, 'e') != NULL);
    target->forced_choice = (strchr(letters, 'f') != NULL);
    target->https_images = (strchr(letters, 'h') != NULL);
    target->system_inside = (strchr(letters, 'i') != NULL);
    target->thinking_off = (strchr(letters, 'o') != NULL);
    target->prefill = (strchr(letters, 'p') != NULL);
    target->sampling = (strchr(letters, 's') != NULL);
    target->between_tools = (strchr(letters, 't') != NULL);
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
