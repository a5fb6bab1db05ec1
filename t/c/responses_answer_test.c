
#include "unit_stream.h"
#include "ngx_pulse_openai.h"
#include "ngx_pulse_responses.h"


static void test_travel(void);
static void test_stream(void);
static void test_gaps(void);
static void test_cut(void);
static void test_errors(void);
static void test_citations(void);
static void test_client(void);
static void test_lines(void);
static void test_say(unit_stream_t *s, ngx_pulse_answer_e type,
    const char *text);


#define RESPONSES  &ngx_pulse_dialect_responses

#define READ  "{\"model\":\"a\",\"input\":"


int
main(void)
{
    test_travel();
    test_stream();
    test_gaps();
    test_cut();
    test_errors();
    test_citations();
    test_client();
    test_lines();

    return unit_done();
}


/* signatures of other vendors come back from the client where they were */

static void
test_travel(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 whole;
    ngx_pulse_buf_t            b;
    unit_stream_t              s;
    ngx_pulse_part_t          *part;
    ngx_pulse_json_value_t    *v;
    ngx_pulse_answer_event_t   ev;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (whole = 0; whole < 2; whole++) {
        unit_case(whole ? "whole" : "streamed");
        unit_start(&s, RESPONSES);

        test_say(&s, NGX_PULSE_ANSWER_THINKING, "why");
        test_say(&s, NGX_PULSE_ANSWER_SIGNATURE, "sig1");
        test_say(&s, NGX_PULSE_ANSWER_PART_END, "");
        test_say(&s, NGX_PULSE_ANSWER_REDACTED, "hidden");
        test_say(&s, NGX_PULSE_ANSWER_TEXT, "said");
        test_say(&s, NGX_PULSE_ANSWER_SIGNATURE, "sig2");
        test_say(&s, NGX_PULSE_ANSWER_PART_END, "");

        memset(&ev, 0, sizeof(ev));
        ev.type = NGX_PULSE_ANSWER_CALL;
        ev.id = unit_str("c1");
        ev.name = unit_str("f");
        ev.signature = unit_str("sig3");
        check_int(unit_event(&s, &ev), NGX_OK);

        test_say(&s, NGX_PULSE_ANSWER_CALL_END, "");
        test_say(&s, NGX_PULSE_ANSWER_FINISH, "");
        test_say(&s, NGX_PULSE_ANSWER_END, "");

        if (whole) {
            s.out.len = 0;
            ngx_pulse_responses_write_answer(&s.collector, &s.cv, 0, &s.out);
            body.data = s.out.data;
            body.len = s.out.len;

        } else {

            /* the last event has it all */

            s.out.data[s.out.len - 2] = '\0';
            body.data = (u_char *) strstr((char *) s.out.data,
                                          "event: response.completed");
            check(body.data != NULL);
            body.data = (u_char *) strchr((char *) body.data, '{');
            body.len = strlen((char *) body.data);
        }

        v = unit_tree(s.pool, body.data, body.len);
        check(v != NULL);
        v = ngx_pulse_json_get(whole ? v : ngx_pulse_json_get(v, "response"),
                               "output");
        check(v != NULL);
        body = ngx_pulse_raw(&body, v);

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, READ);
        ngx_pulse_buf_str(&b, &body);
        ngx_pulse_buf_char(&b, '}');
        body.data = b.data;
        body.len = b.len;

        rc = ngx_pulse_responses_read(&cv, s.pool, &body, &refusal);
        check_int(rc, NGX_OK);
        check_int(cv.nunknown, 0);

        part = cv.turns->parts;
        check_int(part->type, NGX_PULSE_PART_THINKING);
        check_str(&part->text, "why");
        check_str(&part->signature, "sig1");

        part = part->next;
        check_int(part->type, NGX_PULSE_PART_REDACTED);
        check_str(&part->data, "hidden");

        part = part->next;
        check_int(part->type, NGX_PULSE_PART_TEXT);
        check_str(&part->text, "said");
        check_str(&part->signature, "sig2");

        part = part->next;
        check_int(part->type, NGX_PULSE_PART_CALL);
        check_str(&part->id, "c1");
        check_str(&part->arguments, "{}");
        check_str(&part->signature, "sig3");
        check(part->next == NULL);
        check(cv.turns->next == NULL);

        ngx_pulse_buf_free(&b);
        unit_end(&s);
    }

    unit_case(NULL);
}


/* parallel items, ids that change, several parts, a refusal */

static void
test_stream(void)
{
    ngx_pulse_buf_t  b;
    unit_stream_t    s;

    static const char  text[] =
        "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\","
        "\"model\":\"m\"}}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"output_index\":0,"
        "\"item\":{\"id\":\"a\",\"type\":\"function_call\",\"call_id\":\"c1\","
        "\"name\":\"f\",\"arguments\":\"\"}}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"output_index\":1,"
        "\"item\":{\"id\":\"b\",\"type\":\"custom_tool_call\","
        "\"call_id\":\"c2\",\"name\":\"g\",\"input\":\"\"}}\n\n"
        "data: {\"type\":\"response.function_call_arguments.delta\","
        "\"item_id\":\"x\",\"output_index\":0,\"delta\":\"{\\\"a\\\"\"}\n\n"
        "data: {\"type\":\"response.custom_tool_call_input.delta\","
        "\"item_id\":\"y\",\"output_index\":1,\"delta\":\"free \"}\n\n"
        "data: {\"type\":\"response.function_call_arguments.delta\","
        "\"item_id\":\"z\",\"output_index\":0,\"delta\":\":1}\"}\n\n"
        "data: {\"type\":\"response.custom_tool_call_input.delta\","
        "\"item_id\":\"y\",\"output_index\":1,\"delta\":\"text\"}\n\n"
        "data: {\"type\":\"response.output_item.done\",\"output_index\":0,"
        "\"item\":{\"type\":\"function_call\"}}\n\n"
        "data: {\"type\":\"response.output_item.done\",\"output_index\":1,"
        "\"item\":{\"type\":\"custom_tool_call\"}}\n\n"
        "data: {\"type\":\"response.web_search_call.searching\","
        "\"output_index\":2}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"output_index\":3,"
        "\"item\":{\"type\":\"reasoning\",\"encrypted_content\":\"no\"}}\n\n"
        "data: {\"type\":\"response.reasoning_summary_text.delta\","
        "\"output_index\":3,\"summary_index\":0,\"delta\":\"one\"}\n\n"
        "data: {\"type\":\"response.reasoning_summary_text.delta\","
        "\"output_index\":3,\"summary_index\":1,\"delta\":\"two\"}\n\n"
        "data: {\"type\":\"response.output_item.done\",\"output_index\":3,"
        "\"item\":{\"type\":\"reasoning\",\"encrypted_content\":"
        "\"gAAAA1\"}}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"output_index\":4,"
        "\"item\":{\"type\":\"message\"}}\n\n"
        "data: {\"type\":\"response.refusal.delta\",\"output_index\":4,"
        "\"content_index\":0,\"delta\":\"never\"}\n\n"
        "data: {\"type\":\"response.output_item.done\",\"output_index\":4,"
        "\"item\":{\"type\":\"message\"}}\n\n"
        "data: {\"type\":\"response.incomplete\",\"response\":{"
        "\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
        "\"content_filter\"},\"usage\":{\"input_tokens\":9,"
        "\"input_tokens_details\":{\"cached_tokens\":3,"
        "\"cache_write_tokens\":2,\"cache_write_tokens_details\":"
        "{\"ttl_12h_tokens\":1}},\"output_tokens\":5,"
        "\"output_tokens_details\":{\"reasoning_tokens\":4},"
        "\"total_tokens\":18}}}\n\ndata: [DONE]\n\n";

    static const char  expected[] =
        "call c1 f {\"a\":1}|\n"
        "call c2 g custom free text|\n"
        "thinking one\n\ntwo|gAAAA1\n"
        "refusal never|\n";

    unit_start(&s, RESPONSES);
    check_int(unit_feed(&s, (u_char *) text, sizeof(text) - 1, 0, 7), NGX_OK);

    ngx_pulse_buf_init(&b, 0);
    unit_gather(&s.collector, &b);
    check_mem(b.data, b.len, expected, sizeof(expected) - 1);
    ngx_pulse_buf_free(&b);

    check_str(&s.collector.native, "content_filter");
    check_int(s.collector.finish, NGX_PULSE_FINISH_FILTER);
    check_int(s.collector.usage.input, 9);
    check_int(s.collector.usage.cached, 3);
    check_int(s.collector.usage.cache_write, 2);
    check_int(s.collector.usage.cache_hour, 1);
    check_int(s.collector.usage.output, 9);
    check_int(s.collector.usage.reasoning, 4);
    check_int(s.ends, 1);

    unit_end(&s);
}


/* items without deltas, deltas without items, and only the last event */

static void
test_gaps(void)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;
    unit_stream_t    s;

#define OVER(output)                                                          \
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"," \
    "\"status\":\"completed\",\"output\":[" output "]}}\n\n"

    static const char  *cases[] = {

        "data: {\"type\":\"response.output_item.done\",\"output_index\":0,"
        "\"item\":{\"type\":\"message\",\"content\":[{\"type\":"
        "\"output_text\",\"text\":\"hi\"}]}}\n\n" OVER(""),
        "text hi|\n",

        "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
        "\"delta\":\"hi\"}\n\n"
        "data: {\"type\":\"response.function_call_arguments.delta\","
        "\"output_index\":1,\"delta\":\"{\"}\n\n"
        "data: {\"type\":\"response.output_item.done\",\"output_index\":1,"
        "\"item\":{\"type\":\"function_call\",\"id\":\"fc_1\",\"name\":\"f\","
        "\"arguments\":\"{}\"}}\n\n" OVER("{\"type\":\"message\"}"),
        "text hi|\ncall fc_1 f {}|\n",

        OVER("{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
             "\"arguments\":\"{\\\"a\\\":1}\"},{\"type\":\"mcp_call\"},"
             "{\"type\":\"reasoning\",\"summary\":[],\"content\":[{\"text\":"
             "\"t\"}]}"),
        "call c f {\"a\":1}|\nthinking t|\n",

        "data: {\"type\":\"response.output_item.added\",\"output_index\":0,"
        "\"item\":{\"type\":\"message\"}}\n\n"
        "data: {\"type\":\"response.output_text.done\",\"output_index\":0,"
        "\"content_index\":0,\"text\":\"a\"}\n\n"
        "data: {\"type\":\"response.refusal.done\",\"output_index\":0,"
        "\"content_index\":1,\"refusal\":\"b\"}\n\n"
        "data: {\"type\":\"response.output_item.done\",\"output_index\":0,"
        "\"item\":{\"type\":\"message\",\"content\":[{\"text\":\"a\"}]}}\n\n"
        OVER(""),
        "text a|\nrefusal b|\n",
    };

    for (i = 0; i < sizeof(cases) / sizeof(char *); i += 2) {
        unit_case("%s", cases[i + 1]);
        unit_start(&s, RESPONSES);
        check_int(unit_feed(&s, (u_char *) cases[i], strlen(cases[i]), 0,
                            strlen(cases[i])),
                  NGX_OK);

        ngx_pulse_buf_init(&b, 0);
        unit_gather(&s.collector, &b);
        check_mem(b.data, b.len, cases[i + 1], strlen(cases[i + 1]));
        ngx_pulse_buf_free(&b);

        check_int(s.ends, 1);
        unit_end(&s);
    }

    unit_case(NULL);
}


static void
test_cut(void)
{
    unit_stream_t  s;

    static const char  text[] =
        "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n"
        "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
        "\"delta\":\"hi\"}\n\n";

    unit_start(&s, RESPONSES);
    check_int(unit_feed(&s, (u_char *) text, sizeof(text) - 1, 0, 50), NGX_OK);
    check_int(s.collector.failed, 1);
    check_int(s.ends, 0);
    check_str(&s.collector.error.type, "server_error");
    check(strstr((char *) s.out.data, "event: error\n") != NULL);
    check(strstr((char *) s.out.data, "event: response.failed\n") != NULL);
    check(strstr((char *) s.out.data, "\"status\":\"incomplete\"") != NULL);
    unit_end(&s);

    unit_start(&s, RESPONSES);
    check_int(unit_feed(&s, (u_char *) "data: {\n\n", 9, 0, 9), NGX_ERROR);
    unit_end(&s);
}


static void
test_errors(void)
{
    ngx_uint_t       i;
    unit_stream_t    s;
    ngx_pulse_buf_t  b;

    static const char  *cases[] = {
        "{\"type\":\"error\",\"code\":\"insufficient_quota\","
        "\"message\":\"no\",\"param\":null,\"sequence_number\":3}",
        "{\"type\":\"error\",\"error\":{\"type\":\"insufficient_quota\","
        "\"code\":\"insufficient_quota\",\"message\":\"no\"}}",
        "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no\"}}",
        "{\"type\":\"response.failed\",\"response\":{\"status\":\"failed\","
        "\"error\":{\"code\":\"insufficient_quota\",\"message\":\"no\"}}}",
    };

    for (i = 0; i < sizeof(cases) / sizeof(char *); i++) {
        unit_case("%s", cases[i]);
        unit_start(&s, RESPONSES);
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, "data: ");
        ngx_pulse_buf_append(&b, (u_char *) cases[i], strlen(cases[i]));
        check_int(unit_feed(&s, b.data, b.len, 0, b.len), NGX_OK);
        ngx_pulse_buf_free(&b);

        check_int(s.collector.failed, 1);
        check_int(s.collector.error.quota, 1);
        check_str(&s.collector.error.message, "no");
        check_str(&s.collector.error.code, "insufficient_quota");
        check_int(s.ends, 0);
        unit_end(&s);
    }

    unit_case(NULL);
}


/* all that a client is sent, byte for byte but the time */

/* sources come to a client beside the text, streamed and whole */

static void
test_citations(void)
{
    ngx_str_t          body;
    ngx_uint_t         i;
    unit_stream_t      s, two;
    ngx_pulse_part_t  *part;

    static const char  text[] =
        "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
        "\"content_index\":0,\"delta\":\"a\"}\n\n"
        "data: {\"type\":\"response.output_text.annotation.added\","
        "\"output_index\":0,\"content_index\":0,\"annotation_index\":0,"
        "\"annotation\":{\"type\":\"url_citation\",\"url\":"
        "\"https://e.test/\u0645\",\"title\":\"t\",\"start_index\":0,"
        "\"end_index\":1}}\n\n"
        "data: {\"type\":\"response.completed\",\"response\":{\"status\":"
        "\"completed\"}}\n\n";

#define CITED                                                                 \
    "\"annotations\":[{\"type\":\"url_citation\",\"url\":"                     \
    "\"https://e.test/\u0645\",\"title\":\"t\",\"start_index\":0,"           \
    "\"end_index\":1}]"

    unit_start(&s, RESPONSES);
    check_int(unit_feed(&s, (u_char *) text, sizeof(text) - 1, 0, 3), NGX_OK);

    check(memmem(s.out.data, s.out.len, CITED, sizeof(CITED) - 1) != NULL);

    for (i = 0; i < 2; i++) {
        unit_start(&two, RESPONSES);

        if (i == 0) {
            check_int(unit_feed(&two, s.out.data, s.out.len, 0, s.out.len),
                      NGX_OK);

        } else {
            s.out.len = 0;
            ngx_pulse_responses_write_answer(&s.collector, &s.cv, 0, &s.out);
            check(memmem(s.out.data, s.out.len, CITED, sizeof(CITED) - 1)
                  != NULL);
            body = unit_text(&s.out);
            check_int(unit_whole(&two, &body), NGX_OK);
        }

        part = two.collector.parts;
        check(part != NULL && part->citations != NULL);

        if (part && part->citations) {
            check_str(&part->citations->url, "https://e.test/\u0645");
            check_str(&part->citations->title, "t");
            check_int(part->citations->end, 1);
            check(part->citations->next == NULL);
        }

        unit_end(&two);
    }

    unit_end(&s);
}


static void
test_client(void)
{
    u_char                    *p;
    unit_stream_t              s;
    ngx_pulse_answer_event_t   ev;

#define EVENT(type, n, rest)                                                  \
    "event: " type "\ndata: {\"type\":\"" type "\",\"sequence_number\":" n    \
    "," rest "}\n\n"

#define HEADS(status)                                                         \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":0000000000,"   \
    "\"status\":\"" status "\",\"background\":false,\"error\":null,"          \
    "\"incomplete_details\":null,\"model\":\"m\",\"output\":["

#define TAILS(usage)                                                          \
    "],\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":true,"   \
    "\"temperature\":null,\"top_p\":null,\"tool_choice\":\"auto\","           \
    "\"tools\":[],\"max_output_tokens\":null,\"previous_response_id\":null,"  \
    "\"reasoning\":{\"effort\":null,\"summary\":null},\"store\":false,"       \
    "\"text\":{\"format\":{\"type\":\"text\"}},\"truncation\":\"disabled\","  \
    "\"usage\":" usage "}"

#define TEXT(text)                                                            \
    "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[],"     \
    "\"logprobs\":[]}"

#define MESSAGE                                                               \
    "{\"id\":\"msg_1_0\",\"type\":\"message\",\"status\":\"completed\","      \
    "\"role\":\"assistant\",\"content\":[" TEXT("hi") "]}"

#define CALL(status, arguments)                                               \
    "{\"id\":\"fc_1_1\",\"type\":\"function_call\",\"status\":\"" status      \
    "\",\"arguments\":\"" arguments "\",\"call_id\":\"c\",\"name\":\"f\"}"

#define WHERE0  "\"item_id\":\"msg_1_0\",\"output_index\":0,\"content_index\":0"
#define WHERE1  "\"item_id\":\"fc_1_1\",\"output_index\":1"

    static const char  expected[] =
        EVENT("response.created", "0",
              "\"response\":" HEADS("in_progress") TAILS("null"))
        EVENT("response.in_progress", "1",
              "\"response\":" HEADS("in_progress") TAILS("null"))
        EVENT("response.output_item.added", "2",
              "\"output_index\":0,\"item\":{\"id\":\"msg_1_0\",\"type\":"
              "\"message\",\"status\":\"in_progress\",\"role\":\"assistant\","
              "\"content\":[]}")
        EVENT("response.content_part.added", "3",
              WHERE0 ",\"part\":" TEXT(""))
        EVENT("response.output_text.delta", "4",
              WHERE0 ",\"delta\":\"hi\",\"logprobs\":[]")
        EVENT("response.output_text.done", "5",
              WHERE0 ",\"text\":\"hi\",\"logprobs\":[]")
        EVENT("response.content_part.done", "6",
              WHERE0 ",\"part\":" TEXT("hi"))
        EVENT("response.output_item.done", "7",
              "\"output_index\":0,\"item\":" MESSAGE)
        EVENT("response.output_item.added", "8",
              "\"output_index\":1,\"item\":" CALL("in_progress", ""))
        EVENT("response.function_call_arguments.delta", "9",
              WHERE1 ",\"delta\":\"{}\"")
        EVENT("response.function_call_arguments.done", "10",
              WHERE1 ",\"arguments\":\"{}\",\"name\":\"f\"")
        EVENT("response.output_item.done", "11",
              "\"output_index\":1,\"item\":" CALL("completed", "{}"))
        EVENT("response.completed", "12",
              "\"response\":" HEADS("completed") MESSAGE ","
              CALL("completed", "{}")
              TAILS("{\"input_tokens\":7,\"input_tokens_details\":"
                    "{\"cached_tokens\":2,\"cache_write_tokens\":1},"
                    "\"output_tokens\":5,\"output_tokens_details\":"
                    "{\"reasoning_tokens\":3},\"total_tokens\":12}"));

    unit_start(&s, RESPONSES);

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_START;
    ev.id = unit_str("resp_1");
    ev.model = unit_str("m");
    check_int(unit_event(&s, &ev), NGX_OK);

    test_say(&s, NGX_PULSE_ANSWER_TEXT, "hi");

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_CALL;
    ev.id = unit_str("c");
    ev.name = unit_str("f");
    check_int(unit_event(&s, &ev), NGX_OK);

    test_say(&s, NGX_PULSE_ANSWER_CALL_END, "");

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_FINISH;
    ev.finish = NGX_PULSE_FINISH_CALLS;
    check_int(unit_event(&s, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_USAGE;
    ev.usage.known = 1;
    ev.usage.input = 7;
    ev.usage.cached = 2;
    ev.usage.cache_write = 1;
    ev.usage.output = 5;
    ev.usage.reasoning = 3;
    check_int(unit_event(&s, &ev), NGX_OK);

    test_say(&s, NGX_PULSE_ANSWER_END, "");
    test_say(&s, NGX_PULSE_ANSWER_TEXT, "too late");

    p = s.out.data;

    for ( ;; ) {
        ngx_pulse_buf_char(&s.out, '\0');
        s.out.len--;

        p = (u_char *) strstr((char *) p, "\"created_at\":");
        if (p == NULL) {
            break;
        }

        memset(p + 13, '0', 10);
        p += 13;
    }

    check_mem(s.out.data, s.out.len, expected, sizeof(expected) - 1);

    unit_end(&s);
}


/* an event is one line, however the client laid its schemas out */

static void
test_lines(void)
{
    ngx_str_t                  body;
    unit_stream_t              s;
    ngx_pulse_chat_refusal_t   refusal;

    unit_start(&s, RESPONSES);

    body = unit_str(READ "\"x\",\"tools\":[{\"type\":\"function\",\"name\":"
                    "\"f\",\"parameters\":{\r\n  \"type\":\n\"object\"}}]}");

    check_int(ngx_pulse_responses_read(&s.cv, s.pool, &body, &refusal),
              NGX_OK);

    test_say(&s, NGX_PULSE_ANSWER_REFUSAL, "no");
    test_say(&s, NGX_PULSE_ANSWER_FINISH, "");
    test_say(&s, NGX_PULSE_ANSWER_END, "");

    ngx_pulse_buf_char(&s.out, '\0');
    check(strstr((char *) s.out.data, "{    \"type\": \"object\"}") != NULL);
    check(strchr((char *) s.out.data, '\r') == NULL);

    /* without an id of the provider's there is one all the same */

    check(strstr((char *) s.out.data, "\"resp_\"") == NULL);

    unit_end(&s);
}


static void
test_say(unit_stream_t *s, ngx_pulse_answer_e type, const char *text)
{
    ngx_pulse_answer_event_t  ev;

    memset(&ev, 0, sizeof(ev));

    ev.type = type;
    ev.text = unit_str(text);

    check_int(unit_event(s, &ev), NGX_OK);
}
