
#include "unit_stream.h"
#include "ngx_pulse_anthropic.h"


static void test_client(void);
static void test_signatures(void);
static void test_count(void);


int
main(void)
{
    test_client();
    test_signatures();
    test_count();

    return unit_done();
}


/* the stream as an SDK wants it, of events as any provider gives them */

static void
test_client(void)
{
    ngx_uint_t                     i;
    ngx_pulse_buf_t                b;
    ngx_pulse_conversation_t       cv;
    ngx_pulse_anthropic_writer_t   writer;

    static ngx_pulse_answer_event_t  events[] = {
        { .type = NGX_PULSE_ANSWER_START, .id = ngx_string("chatcmpl-1") },
        { .type = NGX_PULSE_ANSWER_TEXT, .text = ngx_string("") },
        { .type = NGX_PULSE_ANSWER_TEXT, .text = ngx_string("a\n") },
        { .type = NGX_PULSE_ANSWER_CALL, .id = ngx_string("c0"),
          .name = ngx_string("f"), .index = 0 },
        { .type = NGX_PULSE_ANSWER_CALL, .id = ngx_string("c1"),
          .name = ngx_string("g"), .index = 1 },
        { .type = NGX_PULSE_ANSWER_ARGUMENTS, .text = ngx_string("{}"),
          .index = 0 },
        { .type = NGX_PULSE_ANSWER_CALL_END, .index = 0 },
        { .type = NGX_PULSE_ANSWER_CALL_END, .index = 1 },
        { .type = NGX_PULSE_ANSWER_FINISH, .native = ngx_string("stop"),
          .finish = NGX_PULSE_FINISH_STOP, .stop = ngx_string("END") },
        { .type = NGX_PULSE_ANSWER_USAGE,
          .usage = { .input = 10, .cached = 4, .cache_write = 1,
                     .cache_hour = 1, .output = 6, .reasoning = 2,
                     .known = 1 } },
        { .type = NGX_PULSE_ANSWER_END }
    };

    static const char  usage[] =
        "\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":0,\"cache_creation\":"
        "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},"
        "\"output_tokens\":0}";

    static const char  expected[] =
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\n\"}}"
        "\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
        "\"index\":0}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c0\","
        "\"name\":\"f\",\"input\":{}}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
        "\"index\":1}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c1\","
        "\"name\":\"g\",\"input\":{}}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
        "\"partial_json\":\"{}\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
        "\"index\":2}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
        "{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\","
        "\"stop_details\":null},\"usage\":{\"input_tokens\":5,"
        "\"cache_creation_input_tokens\":1,\"cache_read_input_tokens\":4,"
        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
        "\"ephemeral_1h_input_tokens\":1},\"output_tokens\":6,"
        "\"output_tokens_details\":{\"thinking_tokens\":2}}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    memset(&cv, 0, sizeof(cv));
    memset(&writer, 0, sizeof(writer));
    cv.model = unit_str("m");
    cv.nstops = 1;
    cv.stops[0] = unit_str("END");

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_anthropic_write_event(&writer, &cv, &events[0], &b);

    check(b.len > sizeof(usage)
          && memmem(b.data, b.len, usage, sizeof(usage) - 1) != NULL);
    check(memmem(b.data, b.len, "\"id\":\"chatcmpl-1\"", 17) != NULL);
    check(memmem(b.data, b.len, "\"model\":\"m\"", 11) != NULL);
    b.len = 0;

    for (i = 1; i < sizeof(events) / sizeof(events[0]); i++) {
        ngx_pulse_anthropic_write_event(&writer, &cv, &events[i], &b);
    }

    check_mem(b.data, b.len, expected, sizeof(expected) - 1);
    b.len = 0;

    /* an error ends the stream without its regular end */

    memset(&writer, 0, sizeof(writer));
    events[0].type = NGX_PULSE_ANSWER_ERROR;
    events[0].error.type = unit_str("server_error");
    events[0].error.message = unit_str("x");

    ngx_pulse_anthropic_write_event(&writer, &cv, &events[0], &b);
    ngx_pulse_anthropic_write_event(&writer, &cv, &events[10], &b);
    check_str(&b, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                  "\"api_error\",\"message\":\"x\"}}\n\n");

    events[0].type = NGX_PULSE_ANSWER_START;
    ngx_pulse_buf_free(&b);
}


/* of calls and texts: there and back */

static void
test_signatures(void)
{
    ngx_uint_t                     i, whole;
    ngx_str_t                      body;
    ngx_pulse_buf_t                b;
    unit_stream_t                  s, two;
    ngx_pulse_part_t              *part;
    ngx_pulse_conversation_t       cv;
    ngx_pulse_chat_refusal_t       refusal;

    static ngx_pulse_answer_event_t  events[] = {
        { .type = NGX_PULSE_ANSWER_START, .id = ngx_string("r") },
        { .type = NGX_PULSE_ANSWER_TEXT, .text = ngx_string("a") },
        { .type = NGX_PULSE_ANSWER_SIGNATURE, .text = ngx_string("Sig+1=") },
        { .type = NGX_PULSE_ANSWER_CALL, .id = ngx_string("c0"),
          .name = ngx_string("f"), .signature = ngx_string("Sig2") },
        { .type = NGX_PULSE_ANSWER_FINISH,
          .finish = NGX_PULSE_FINISH_CALLS },
        { .type = NGX_PULSE_ANSWER_END }
    };

    for (whole = 0; whole < 2; whole++) {
        unit_start(&s, &ngx_pulse_dialect_anthropic);
        unit_start(&two, &ngx_pulse_dialect_anthropic);

        for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
            check_int(unit_event(&s, &events[i]), NGX_OK);
        }

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, "{\"messages\":[{\"role\":\"assistant\","
                                  "\"content\":");

        if (whole) {
            s.out.len = 0;
            ngx_pulse_anthropic_write_answer(&s.collector, &s.cv, 0, &s.out);
            body.data = s.out.data;
            body.len = s.out.len;
            check_int(ngx_pulse_anthropic_read_answer(two.pool, &body,
                                                      ngx_pulse_collect,
                                                      &two.collector),
                      NGX_OK);

        } else {
            check_int(unit_feed(&two, s.out.data, s.out.len, 0, 11), NGX_OK);
        }

        two.out.len = 0;
        ngx_pulse_anthropic_write_answer(&two.collector, &two.cv, 0,
                                         &two.out);

        /* the client sends back the content that it got */

        body.data = (u_char *) memmem(two.out.data, two.out.len,
                                      "\"content\":", 10) + 10;
        body.len = (u_char *) memmem(two.out.data, two.out.len,
                                     ",\"stop_reason\"", 14) - body.data;
        ngx_pulse_buf_str(&b, &body);
        ngx_pulse_buf_literal(&b, "}]}");
        body.data = b.data;
        body.len = b.len;

        check_int(ngx_pulse_anthropic_read(&cv, two.pool, &body, &refusal),
                  NGX_OK);

        part = cv.turns->parts;
        check_int(part->type, NGX_PULSE_PART_TEXT);
        check_str(&part->text, "a");
        check_str(&part->signature, "Sig+1=");

        part = part->next;
        check_int(part->type, NGX_PULSE_PART_CALL);
        check_str(&part->signature, "Sig2");
        check_str(&part->arguments, "{}");
        check(part->next == NULL);

        ngx_pulse_buf_free(&b);
        unit_end(&two);
        unit_end(&s);
    }
}


static void
test_count(void)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_anthropic_write_count(2095, &b);
    check_str(&b, "{\"input_tokens\":2095}");
    ngx_pulse_buf_free(&b);
}
