
#include "unit_stream.h"
#include "ngx_pulse_anthropic.h"


static void test_stream(void);
static void test_whole(void);
static void test_cut(void);
static void test_stop(void);
static void test_reasons(void);
static void test_usage(void);
static void test_errors(void);


#define DELTA(i, d)                                                           \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","    \
    "\"index\":" i ",\"delta\":" d "}  \n\n"
#define BLOCK(i, d)                                                           \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\","    \
    "\"index\":" i ",\"content_block\":" d "}\n\n"
#define STOP(i)                                                               \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","      \
    "\"index\":" i " }\n\n"
#define START(usage)                                                          \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"    \
    "{\"id\":\"msg_1\",\"model\":\"claude\",\"content\":[],\"usage\":"        \
    usage "}}\n\n"


static const char  test_all_parts[] =
    START("{\"input_tokens\":10,\"cache_creation_input_tokens\":3,"
          "\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,"
          "\"ephemeral_1h_input_tokens\":2},\"output_tokens\":90}")
    BLOCK("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
    "event: ping\ndata: {\"type\": \"ping\"}\n\n"
    DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"\xd9\x83\"}")
    DELTA("0", "{\"type\":\"signature_delta\",\"signature\":\"EpAD\"}")
    STOP("0")
    BLOCK("1", "{\"type\":\"redacted_thinking\",\"data\":\"Eqqq\"}")
    STOP("1")
    BLOCK("2", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
    DELTA("2", "{\"type\":\"signature_delta\",\"signature\":\"EqBE\"}")
    STOP("2")
    BLOCK("3", "{\"type\":\"text\",\"text\":\"\"}")
    DELTA("3", "{\"type\":\"text_delta\",\"text\":"
               "\"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd9\x8b\xd8\xa7 "
               "\xf0\x9f\x91\x8b\\u0041\"}")
    DELTA("3", "{\"type\":\"citations_delta\",\"citation\":{}}")
    STOP("3")
    BLOCK("4", "{\"type\":\"text\",\"text\":\"b\"}")
    STOP("4")
    BLOCK("5", "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"w\","
               "\"input\":{}}")
    DELTA("5", "{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}")
    STOP("5")
    BLOCK("6", "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\","
               "\"input\":{}}")
    DELTA("6", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\"}")
    DELTA("6", "{\"type\":\"input_json_delta\",\"partial_json\":\"\\\":1}\"}")
    STOP("6")
    BLOCK("7", "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\","
               "\"input\":{}}")
    DELTA("7", "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}")
    STOP("7")
    BLOCK("8", "{\"type\":\"tool_use\",\"id\":\"t3\",\"name\":\"h\","
               "\"input\":{\"b\":2}}")
    STOP("8")
    "event: vendor_news\ndata: {\"type\":\"vendor_news\"}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
    "{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":50,"
    "\"cache_read_input_tokens\":7,\"input_tokens\":null,"
    "\"output_tokens_details\":{\"thinking_tokens\":20}}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";


static const char  test_all_gathered[] =
    "thinking \xd9\x83|EpAD\n"
    "redacted Eqqq\n"
    "thinking |EqBE\n"
    "text \xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd9\x8b\xd8\xa7 "
        "\xf0\x9f\x91\x8b" "A|\n"
    "text b|\n"
    "call t1 f {\"a\":1}|\n"
    "call t2 g {}|\n"
    "call t3 h {\"b\":2}|\n";


int
main(void)
{
    test_stream();
    test_whole();
    test_cut();
    test_stop();
    test_reasons();
    test_usage();
    test_errors();

    return unit_done();
}


static void
test_stream(void)
{
    size_t                  cut, len;
    ngx_pulse_buf_t         b;
    unit_stream_t           s;
    ngx_pulse_chat_usage_t  *usage;

    len = sizeof(test_all_parts) - 1;

    for (cut = 1; cut < len; cut++) {
        unit_case("cut at %d", (int) cut);

        unit_start(&s, &ngx_pulse_dialect_anthropic);
        ngx_pulse_buf_init(&b, 0);

        check_int(unit_feed(&s, (u_char *) test_all_parts, len, cut, len),
                  NGX_OK);

        unit_gather(&s.collector, &b);
        check_mem(b.data, b.len, test_all_gathered,
                  sizeof(test_all_gathered) - 1);

        check_str(&s.collector.id, "msg_1");
        check_str(&s.collector.model, "claude");
        check_str(&s.collector.native, "tool_use");
        check_int(s.collector.finish, NGX_PULSE_FINISH_CALLS);
        check_int(s.collector.failed, 0);
        check_int(s.ends, 1);

        usage = &s.collector.usage;
        check_int(usage->known, 1);
        check_int(usage->input, 20);
        check_int(usage->cached, 7);
        check_int(usage->cache_write, 3);
        check_int(usage->cache_hour, 2);
        check_int(usage->output, 50);
        check_int(usage->reasoning, 20);

        ngx_pulse_buf_free(&b);
        unit_end(&s);
    }

    unit_case(NULL);
}


static void
test_whole(void)
{
    ngx_str_t        body;
    ngx_pulse_buf_t  b;
    unit_stream_t    s;

    body = unit_str("{\"id\":\"msg_2\",\"type\":\"message\",\"model\":\"c\","
                    "\"content\":[{\"type\":\"text\",\"text\":\"no\"},"
                    "{\"type\":\"web_search_tool_result\",\"content\":[]},"
                    "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\","
                    "\"input\":{\"a\": [1]}}],\"stop_reason\":\"refusal\","
                    "\"stop_sequence\":null,\"stop_details\":{\"type\":"
                    "\"refusal\",\"category\":\"cyber\",\"explanation\":"
                    "\"harm\"},\"usage\":{\"input_tokens\":1,"
                    "\"output_tokens\":2}}");

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    ngx_pulse_buf_init(&b, 0);

    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);
    unit_gather(&s.collector, &b);
    ngx_pulse_buf_char(&b, '\0');
    check_mem(b.data, strlen((char *) b.data),
              "text no|\ncall t f {\"a\": [1]}|\nrefusal harm|\n",
              strlen("text no|\ncall t f {\"a\": [1]}|\nrefusal harm|\n"));
    check_int(s.collector.finish, NGX_PULSE_FINISH_FILTER);
    check_str(&s.collector.native, "refusal");
    check_int(s.collector.usage.known, 1);

    ngx_pulse_buf_free(&b);
    unit_end(&s);

    /* no answers */

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    body = unit_str("{\"type\":\"message\",\"content\":1}");
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_ERROR);
    body = unit_str("[]");
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_ERROR);
    unit_end(&s);

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    body = unit_str("{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                    "\"message\":\"m\"}}");
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);
    check_int(s.collector.failed, 1);
    check_str(&s.collector.error.message, "m");
    unit_end(&s);
}


/* a stream that ends too early is an error, and said once */

static void
test_cut(void)
{
    const char     *p;
    ngx_uint_t      i;
    unit_stream_t   s;

    static const char  error[] =
        START("{\"input_tokens\":5,\"output_tokens\":1}")
        BLOCK("0", "{\"type\":\"text\",\"text\":\"x\"}")
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
        "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
        STOP("0");

    static const char  *bad[] = {
        "data: x\n\n",
        "data: []\n\n",
        "data: {\"type\":\"message_start\"}\n\n",
        "data: {\"type\":\"content_block_start\"}\n\n",
        "data: {\"type\":\"content_block_delta\",\"delta\":1}\n\n",
        START("{}") BLOCK("0", "{\"type\":\"text\",\"text\":\"x\"}")
        START("{}")
    };

    p = strstr(test_all_parts, "event: message_delta");

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    check_int(unit_feed(&s, (u_char *) test_all_parts, p - test_all_parts, 0,
                        100),
              NGX_OK);
    check_int(s.collector.failed, 1);
    check_int(s.collector.finished, 0);
    check_int(s.collector.usage.known, 0);
    check_str(&s.collector.error.type, "api_error");
    check_int(s.ends, 0);
    unit_end(&s);

    p = strstr(test_all_parts, "event: message_stop");

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    check_int(unit_feed(&s, (u_char *) test_all_parts, p - test_all_parts, 0,
                        100),
              NGX_OK);
    check_int(s.collector.failed, 0);
    check_int(s.collector.finished, 1);
    check_int(s.ends, 1);
    unit_end(&s);

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    check_int(unit_feed(&s, (u_char *) error, sizeof(error) - 1, 0, 7),
              NGX_OK);
    check_int(s.collector.failed, 1);
    check_str(&s.collector.error.type, "overloaded_error");
    check_str(&s.collector.error.message, "Overloaded");
    check_int(s.ends, 0);
    unit_end(&s);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i]);
        unit_start(&s, &ngx_pulse_dialect_anthropic);
        check_int(unit_feed(&s, (u_char *) bad[i], strlen(bad[i]), 0, 1000),
                  NGX_ERROR);
        unit_end(&s);
    }

    unit_case(NULL);
}


/* what stopped it is told an event before it is written */

static void
test_stop(void)
{
    unit_stream_t  s;

    static const char  stream[] =
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\"}}\n\n"
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
        "\"stop_sequence\",\"stop_sequence\":\"END\"}}\n\n"
        "data: {\"type\":\"message_stop\"}\n\n";

    unit_start(&s, &ngx_pulse_dialect_anthropic);

    s.cv.nstops = 1;
    s.cv.stops[0] = unit_str("END");

    check_int(unit_feed(&s, (u_char *) stream, sizeof(stream) - 1, 0, 100),
              NGX_OK);
    ngx_pulse_buf_char(&s.out, '\0');

    check(strstr((char *) s.out.data, "\"stop_reason\":\"stop_sequence\","
                                      "\"stop_sequence\":\"END\"")
          != NULL);
    check_str(&s.collector.stop, "END");

    unit_end(&s);
}


/* each reason in the unified words, and back as the vendor said it */

static void
test_reasons(void)
{
    char           text[256];
    ngx_str_t      body;
    ngx_uint_t     i;
    unit_stream_t  s;

    static const struct {
        const char  *native;
        ngx_uint_t   finish;
    } table[] = {
        { "end_turn", NGX_PULSE_FINISH_STOP },
        { "stop_sequence", NGX_PULSE_FINISH_STOP },
        { "pause_turn", NGX_PULSE_FINISH_STOP },
        { "max_tokens", NGX_PULSE_FINISH_LENGTH },
        { "model_context_window_exceeded", NGX_PULSE_FINISH_LENGTH },
        { "tool_use", NGX_PULSE_FINISH_CALLS },
        { "refusal", NGX_PULSE_FINISH_FILTER }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        unit_case("%s", table[i].native);

        (void) snprintf(text, sizeof(text),
                        "{\"type\":\"message\",\"content\":[],"
                        "\"stop_reason\":\"%s\"}", table[i].native);

        unit_start(&s, &ngx_pulse_dialect_anthropic);
        body = unit_str(text);
        check_int(unit_whole(&s, &body), NGX_OK);
        check_int(s.collector.finish, table[i].finish);
        check_int(s.collector.usage.known, 0);

        (void) snprintf(text, sizeof(text), "\"stop_reason\":\"%s\"",
                        table[i].native);
        check(memmem(s.out.data, s.out.len, text, strlen(text)) != NULL);
        unit_end(&s);
    }

    unit_case(NULL);
}


static void
test_usage(void)
{
    ngx_str_t               body;
    unit_stream_t           s;
    ngx_pulse_chat_usage_t  *usage;

    /* passes that the top does not count; a breakdown that went stale */

    body = unit_str("{\"content\":[],\"stop_reason\":\"end_turn\",\"usage\":"
                    "{\"input_tokens\":181,\"output_tokens\":8,"
                    "\"output_tokens_details\":{\"thinking_tokens\":4},"
                    "\"iterations\":[{\"input_tokens\":100,"
                    "\"output_tokens\":83,\"cache_read_input_tokens\":55096,"
                    "\"cache_creation_input_tokens\":9,\"cache_creation\":"
                    "{\"ephemeral_1h_input_tokens\":2,"
                    "\"ephemeral_5m_input_tokens\":7}},"
                    "{\"input_tokens\":181,\"output_tokens\":8}]}}");

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);

    usage = &s.collector.usage;
    check_int(usage->known, 1);
    check_int(usage->input, 100 + 55096 + 9 + 181);
    check_int(usage->cached, 55096);
    check_int(usage->cache_write, 9);
    check_int(usage->cache_hour, 2);
    check_int(usage->output, 91);
    check_int(usage->reasoning, 4);
    unit_end(&s);

    body = unit_str("{\"content\":[],\"stop_reason\":\"end_turn\",\"usage\":"
                    "{\"input_tokens\":-1,\"output_tokens\":\"8\","
                    "\"cache_creation_input_tokens\":12,\"cache_creation\":"
                    "{\"ephemeral_1h_input_tokens\":10,"
                    "\"ephemeral_5m_input_tokens\":0}}}");

    unit_start(&s, &ngx_pulse_dialect_anthropic);
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);
    check_int(s.collector.usage.input, 12);
    check_int(s.collector.usage.output, 0);
    check_int(s.collector.usage.cache_hour, 12);
    unit_end(&s);
}


static void
test_errors(void)
{
    ngx_str_t                body;
    ngx_pool_t              *pool;
    ngx_pulse_buf_t          b;
    ngx_pulse_chat_error_t   error;

    pool = unit_pool();

    body = unit_str("{\"type\":\"error\",\"error\":{\"type\":"
                    "\"rate_limit_error\",\"message\":\"slow\",\"details\":"
                    "{\"error_code\":\"enforced_spend_limit_reached\"}}}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_OK);
    check_str(&error.type, "rate_limit_error");
    check_str(&error.code, "enforced_spend_limit_reached");
    check_int(error.quota, 1);

    body = unit_str("{\"error\":{\"type\":\"invalid_request_error\","
                    "\"message\":\"Your credit balance is too low to\"}}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_OK);
    check_int(error.quota, 1);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_anthropic_write_error(&error, &b);
    check_str(&b, "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\","
                  "\"message\":\"Your credit balance is too low to\"}}");
    ngx_pulse_buf_free(&b);

    body = unit_str("{\"error\":\"text\"}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_OK);
    check_str(&error.message, "text");
    check_int(error.quota, 0);

    ngx_pulse_anthropic_write_error(&error, &b);
    check_str(&b, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                  "\"message\":\"text\"}}");
    ngx_pulse_buf_free(&b);

    body = unit_str("<html>");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_DECLINED);

    body = unit_str("{\"error\":{}}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_DECLINED);

    ngx_destroy_pool(pool);
}
