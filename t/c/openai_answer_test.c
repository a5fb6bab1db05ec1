
#include "unit_recording.h"
#include "ngx_pulse_openai.h"


typedef struct {
    const char                *name;
    const char                *stream;      /* events, a line each */
    const char                *expected;    /* see test_gather() */
} test_quirk_t;


static void test_quirks(void);
static void test_client(void);
static void test_history(void);
static void test_recordings(void);
static void test_recording(unit_recording_t *recording);
static void test_foreign(unit_recording_t *recording);
static void test_recorded_stream(ngx_pulse_dialect_t *dialect,
    ngx_str_t *body, ngx_pulse_json_value_t *record);
static void test_recorded_answer(ngx_pulse_dialect_t *dialect,
    ngx_str_t *body, ngx_pulse_json_value_t *record);
static void test_recorded_request(ngx_str_t *body);
static void test_back(unit_stream_t *s);
static void test_compare(ngx_pulse_collector_t *one,
    ngx_pulse_collector_t *two);
static void test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);
static void test_joined(ngx_pulse_collector_t *collector,
    ngx_pulse_part_e type, const char *name, ngx_pulse_buf_t *b);


#define OPENAI     &ngx_pulse_dialect_openai
#define ANTHROPIC  &ngx_pulse_dialect_anthropic


#define DELTA(delta)  "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\"" \
    ":0,\"delta\":{" delta "}}]}\n"
#define FINISH(reason)  "{\"choices\":[{\"index\":0,\"delta\":{},"            \
    "\"finish_reason\":\"" reason "\"}]}\n"
#define CALL(call)  DELTA("\"tool_calls\":[{" call "}]")
#define DONE  "[DONE]\n"


/* what vendors do that OpenAI does not */

static test_quirk_t  test_quirk_table[] = {

    { "thinking in parts of the content",
      DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":"
            "\"text\",\"text\":\"h\"}]}]")
      DELTA("\"content\":[{\"type\":\"text\",\"text\":\"a\"}]")
      DELTA("\"content\":\"b\"") FINISH("stop") DONE,
      "thinking h|\ntext ab|\nstop" },

    { "all calls have the number 0",
      CALL("\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"f\","
           "\"arguments\":\"{}\"}")
      CALL("\"index\":0,\"id\":\"2\",\"function\":{\"name\":\"g\","
           "\"arguments\":\"{\"}")
      CALL("\"index\":0,\"id\":\"2\",\"function\":{\"name\":\"g\","
           "\"arguments\":\"}\"}") FINISH("tool_calls") DONE,
      "1 f {}|\n2 g {}|\ntool_calls" },

    { "no numbers, arguments as an object, a stop after a call",
      CALL("\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":"
           "{\"a\":1}}")
      CALL("\"id\":\"2\",\"function\":{\"name\":\"g\"}")
      FINISH("stop") DONE,
      "1 f {\"a\":1}|\n2 g {}|\ntool_calls" },

    { "calls side by side",
      CALL("\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"f\","
           "\"arguments\":\"{\"}")
      CALL("\"index\":1,\"id\":\"2\",\"function\":{\"name\":\"g\","
           "\"arguments\":\"{\"}")
      CALL("\"index\":0,\"function\":{\"arguments\":\"}\"}")
      CALL("\"index\":1,\"function\":{\"arguments\":\"}\"}")
      FINISH("tool_calls") DONE,
      "1 f {}|\n2 g {}|\ntool_calls" },

    { "a call without an id, of old",
      DELTA("\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}")
      DELTA("\"function_call\":{\"arguments\":\"{}\"}")
      FINISH("function_call") DONE,
      "call_3859557458_1 f {}|\ntool_calls" },

    { "a custom tool",
      CALL("\"index\":0,\"id\":\"1\",\"type\":\"custom\",\"custom\":{\"name\":"
           "\"c\",\"input\":\"fr\"}")
      CALL("\"index\":0,\"custom\":{\"input\":\"ee\"}")
      FINISH("tool_calls") DONE,
      "1 c free| custom\ntool_calls" },

    { "a signed call and a signed text",
      DELTA("\"content\":\"t\",\"extra_content\":{\"google\":"
            "{\"thought_signature\":\"x\"}}")
      CALL("\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"f\"},"
           "\"extra_content\":{\"google\":{\"thought_signature\":\"y\"}}")
      FINISH("stop") DONE,
      "text t|x\n1 f {}|y\ntool_calls" },

    { "no reason and no end but [DONE]", DELTA("\"content\":\"a\"") DONE,
      "text a|\nstop" },

    { "a reason and no [DONE]",
      DELTA("\"content\":\"a\"") FINISH("model_length"), "text a|\nlength" },

    { "cut", DELTA("\"content\":\"a\""), "text a|\nfailed" },
    { "nothing", DONE, "failed" },
    { "the reason is an error", FINISH("error") DONE, "error" },

    { "an error in a choice",
      "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"error\","
      "\"error\":{\"code\":502,\"message\":\"m\"}}]}\n" DONE, "failed" },

    { "an error in an array", "[{\"error\":{\"code\":400}}]\n", "failed" },

    { "reasons again, and content after one",
      FINISH("length") DELTA("\"content\":\"a\"") FINISH("stop") DONE,
      "text a|\nlength" },

    { "thoughts in pieces beside their text",
      DELTA("\"reasoning\":\"ab\",\"reasoning_details\":[{\"type\":"
            "\"reasoning.text\",\"index\":0,\"text\":\"ab\"}]")
      DELTA("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"index\":0,"
            "\"signature\":\"s\"}]")
      DELTA("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"index\":1,"
            "\"text\":\"c\"},{\"type\":\"reasoning.encrypted\",\"data\":\"d\""
            "}]") FINISH("stop") DONE,
      "thinking ab|s\nthinking c|\nredacted d\nstop" },

    { "sources of a text",
      DELTA("\"content\":\"a\",\"annotations\":[{\"type\":\"url_citation\","
            "\"url_citation\":{\"url\":\"https://e.test/\",\"title\":"
            "\"\u0639\",\"start_index\":0,\"end_index\":1,\"content\":\"c\"}"
            "},{\"type\":\"file_citation\"}]")
      DELTA("\"content\":\"b\"")
      DELTA("\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":"
            "{\"url\":\"https://f.test/\"}}]") FINISH("stop") DONE,
      "text ab[https://e.test/ \u0639 c 0-1][https://f.test/   0-0]|\nstop" },

    { "a refusal", DELTA("\"refusal\":\"n\"") DELTA("\"refusal\":\"o\"")
      FINISH("content_filter") DONE, "refusal no|\ncontent_filter" }
};


int
main(void)
{
    test_quirks();
    test_client();
    test_history();
    test_recordings();

    return unit_done();
}


static void
test_quirks(void)
{
    ngx_uint_t        i;
    const char       *p, *end;
    test_quirk_t     *t;
    unit_stream_t     s;
    ngx_pulse_buf_t   b, said;

    for (i = 0; i < sizeof(test_quirk_table) / sizeof(test_quirk_t); i++) {
        t = &test_quirk_table[i];
        unit_case("%s", t->name);

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_init(&said, 0);

        for (p = t->stream; *p; p = end + 1) {
            end = strchr(p, '\n');
            ngx_pulse_buf_literal(&b, "data: ");
            ngx_pulse_buf_append(&b, (u_char *) p, end - p);
            ngx_pulse_buf_literal(&b, "\n\n");
        }

        unit_start(&s, OPENAI);
        check_int(unit_feed(&s, b.data, b.len, 0, 7), NGX_OK);
        test_gather(&s.collector, &said);
        check_mem(said.data, said.len, t->expected, strlen(t->expected));

        if (!s.collector.failed) {
            test_back(&s);
        }

        unit_end(&s);

        ngx_pulse_buf_free(&said);
        ngx_pulse_buf_free(&b);
    }

    unit_case(NULL);
}


/* the bytes that a client gets for each thing that can happen */

static void
test_client(void)
{
    ngx_str_t                  text;
    ngx_uint_t                 i;
    unit_stream_t              s;
    ngx_pulse_answer_event_t   ev;

#define HEAD  "data: {\"id\":\"chatcmpl-msg_1\",\"object\":"                  \
    "\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","                \
    "\"system_fingerprint\":null,\"choices\":[{\"index\":0,\"delta\":{"
#define FOOT  "},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}"  \
    "\n\n"

    static struct {
        ngx_pulse_answer_e  type;
        const char         *text;
        const char         *expected;
    } events[] = {
        { NGX_PULSE_ANSWER_START, "",
          HEAD "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"
          FOOT },
        { NGX_PULSE_ANSWER_THINKING, "h",
          HEAD "\"reasoning_content\":\"h\",\"reasoning_details\":[{\"type\":"
          "\"thinking\",\"index\":0,\"thinking\":\"h\"}]" FOOT },
        { NGX_PULSE_ANSWER_SIGNATURE, "s",
          HEAD "\"reasoning_details\":[{\"type\":\"thinking\",\"index\":0,"
          "\"signature\":\"s\"}]" FOOT },
        { NGX_PULSE_ANSWER_PART_END, "", "" },
        { NGX_PULSE_ANSWER_REDACTED, "d",
          HEAD "\"reasoning_details\":[{\"type\":\"redacted_thinking\","
          "\"index\":1,\"data\":\"d\"}]" FOOT },
        { NGX_PULSE_ANSWER_SIGNATURE, "z",
          HEAD "\"reasoning_details\":[{\"type\":\"thinking\",\"index\":2,"
          "\"signature\":\"z\"}]" FOOT },
        { NGX_PULSE_ANSWER_TEXT, "\u0645\u0631",
          HEAD "\"content\":\"\u0645\u0631\"" FOOT },
        { NGX_PULSE_ANSWER_SIGNATURE, "t",
          HEAD "\"extra_content\":{\"google\":{\"thought_signature\":\"t\"}}"
          FOOT },
        { NGX_PULSE_ANSWER_REFUSAL, "no", HEAD "\"refusal\":\"no\"" FOOT },
        { NGX_PULSE_ANSWER_CALL, "",
          HEAD "\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"type\":"
          "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]"
          FOOT },
        { NGX_PULSE_ANSWER_CALL_END, "",
          HEAD "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
          "\"{}\"}}]" FOOT },
        { NGX_PULSE_ANSWER_CALL_END, "", "" },
        { NGX_PULSE_ANSWER_FINISH, "",
          HEAD "},\"logprobs\":null,\"finish_reason\":\"tool_calls\","
          "\"native_finish_reason\":\"tool_use\"}],\"usage\":null}\n\n" },
        { NGX_PULSE_ANSWER_USAGE, "", "" },
        { NGX_PULSE_ANSWER_END, "",
          "data: {\"id\":\"chatcmpl-msg_1\",\"object\":"
          "\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
          "\"system_fingerprint\":null,\"choices\":[],\"usage\":"
          "{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12,"
          "\"prompt_tokens_details\":{\"cached_tokens\":3,"
          "\"cache_write_tokens\":2,\"audio_tokens\":0},"
          "\"completion_tokens_details\":{\"reasoning_tokens\":1,"
          "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
          "\"rejected_prediction_tokens\":0}}}\n\ndata: [DONE]\n\n" },
        { NGX_PULSE_ANSWER_TEXT, "late", "" }
    };

    unit_start(&s, OPENAI);

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        unit_case("event %lu", (unsigned long) i);

        memset(&ev, 0, sizeof(ev));
        ev.type = events[i].type;
        ev.text = unit_str(events[i].text);
        ev.id = unit_str(ev.type == NGX_PULSE_ANSWER_START ? "msg_1" : "i");
        ev.model = unit_str("m");
        ev.name = unit_str("f");

        if (ev.type == NGX_PULSE_ANSWER_FINISH) {
            ev.finish = NGX_PULSE_FINISH_CALLS;
            ev.native = unit_str("tool_use");
        }

        if (ev.type == NGX_PULSE_ANSWER_USAGE) {
            ev.usage.known = 1;
            ev.usage.input = 7;
            ev.usage.cached = 3;
            ev.usage.cache_write = 2;
            ev.usage.output = 5;
            ev.usage.reasoning = 1;
        }

        s.out.len = 0;
        ngx_pulse_dialect_openai.write_event(s.writer, &s.cv, &ev, &s.out);

        if (ev.type == NGX_PULSE_ANSWER_START) {

            /* the time is the only thing that is not the same each time */

            check(((ngx_pulse_openai_writer_t *) s.writer)->created > 1);
            ((ngx_pulse_openai_writer_t *) s.writer)->created = 1;
            ((ngx_pulse_openai_writer_t *) s.writer)->head_len = 0;
            check(s.out.len > strlen(events[i].expected));
            continue;
        }

        check_mem(s.out.data, s.out.len, events[i].expected,
                  strlen(events[i].expected));
    }

    unit_end(&s);

    /* an error ends it without [DONE]; the old form of a call */

    unit_case("functions and an error");

    unit_start(&s, OPENAI);
    s.cv.functions = 1;
    memset(&ev, 0, sizeof(ev));
    ev.id = unit_str("i");
    ev.name = unit_str("f");
    ev.text = unit_str("{}");

    ngx_pulse_dialect_openai.write_event(s.writer, &s.cv, &ev, &s.out);

    for (i = 0; i < 3; i++) {
        ev.type = (i == 0) ? NGX_PULSE_ANSWER_CALL
                  : (i == 1) ? NGX_PULSE_ANSWER_ARGUMENTS
                  : NGX_PULSE_ANSWER_FINISH;
        ev.finish = NGX_PULSE_FINISH_CALLS;
        ngx_pulse_dialect_openai.write_event(s.writer, &s.cv, &ev, &s.out);
    }

    check(memmem(s.out.data, s.out.len, "{\"function_call\":{\"name\":\"f\","
                 "\"arguments\":\"\"}}", 43) != NULL);
    check(memmem(s.out.data, s.out.len, "{\"function_call\":{\"arguments\":"
                 "\"{}\"}}", 36) != NULL);
    check(memmem(s.out.data, s.out.len,
                 "\"finish_reason\":\"function_call\"", 31) != NULL);

    s.out.len = 0;
    ev.type = NGX_PULSE_ANSWER_ERROR;
    ev.error.message = unit_str("m");
    ngx_pulse_dialect_openai.write_event(s.writer, &s.cv, &ev, &s.out);
    ev.type = NGX_PULSE_ANSWER_END;
    ngx_pulse_dialect_openai.write_event(s.writer, &s.cv, &ev, &s.out);

    text.data = s.out.data;
    text.len = s.out.len;

    check_str(&text, "data: {\"error\":{\"message\":\"m\",\"type\":"
              "\"server_error\",\"param\":null,\"code\":null}}\n\n");

    unit_end(&s);
    unit_case(NULL);
}


/* thinking and its signatures come back as clients put them together */

static void
test_history(void)
{
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            said;
    ngx_pulse_collector_t      collector;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    static const char  *histories[] = {

        /* as the whole answer has it */

        "\"reasoning_content\":\"abcd\",\"reasoning_details\":[{\"type\":"
        "\"thinking\",\"index\":0,\"thinking\":\"ab\",\"signature\":\"s\"},"
        "{\"type\":\"redacted_thinking\",\"index\":1,\"data\":\"x\"},"
        "{\"type\":\"thinking\",\"index\":2,\"thinking\":\"cd\","
        "\"signature\":\"t\"}]",

        /* the deltas of a stream, one after the other */

        "\"reasoning_details\":[{\"type\":\"thinking\",\"index\":0,"
        "\"thinking\":\"a\"},{\"type\":\"thinking\",\"index\":0,"
        "\"thinking\":\"b\"},{\"type\":\"thinking\",\"index\":0,"
        "\"signature\":\"s\"},{\"type\":\"redacted_thinking\",\"index\":1,"
        "\"data\":\"x\"},{\"type\":\"thinking\",\"index\":2,\"thinking\":"
        "\"cd\"},{\"type\":\"thinking\",\"index\":2,\"signature\":\"t\"}]"
    };

    for (i = 0; i < 2; i++) {
        unit_case("history %lu", (unsigned long) i);
        pool = unit_pool();
        ngx_pulse_buf_init(&said, 0);
        memset(&collector, 0, sizeof(collector));

        ngx_pulse_buf_literal(&said, "{\"messages\":[{\"role\":\"assistant\","
                              "\"content\":\"y\",\"extra_content\":"
                              "{\"google\":{\"thought_signature\":\"g\"}},"
                              "\"tool_calls\":[{\"id\":\"1\",\"type\":"
                              "\"function\",\"function\":{\"name\":\"f\","
                              "\"arguments\":\"\"},\"extra_content\":"
                              "{\"google\":{\"thought_signature\":\"h\"}}}],");
        ngx_pulse_buf_append(&said, (u_char *) histories[i],
                             strlen(histories[i]));
        ngx_pulse_buf_literal(&said, "}]}");

        body.data = said.data;
        body.len = said.len;

        check_int(ngx_pulse_dialect_openai.read(&cv, pool, &body, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);

        collector.parts = cv.turns->parts;
        said.len = 0;
        test_gather(&collector, &said);

        body.data = said.data;
        body.len = said.len;

        check_str(&body, "thinking ab|s\nredacted x\nthinking cd|t\n"
                  "text y|g\n1 f {}|h\n");

        ngx_pulse_buf_free(&said);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_recordings(void)
{
    ngx_uint_t  own, others;

    if (unit_shared() == NULL) {
        return;
    }

    own = unit_recordings("openai.chat", test_recording);
    others = unit_recordings("anthropic.messages", test_foreign);

    check(own >= 80);
    check(others >= 100);
    printf("# openai dialect: %lu recordings, %lu of other dialects\n",
           (unsigned long) own, (unsigned long) others);
}


static void
test_recording(unit_recording_t *recording)
{
    if (recording->stream) {
        test_recorded_stream(OPENAI, &recording->body, recording->expected);

    } else {
        test_recorded_answer(OPENAI, &recording->body, recording->expected);
    }

    if (recording->request.data) {
        test_recorded_request(&recording->request);
    }
}


/* of another vendor, for a client of OpenAI's */

static void
test_foreign(unit_recording_t *recording)
{
    if (ngx_pulse_json_get(recording->expected, "concatenated")) {
        return;
    }

    if (recording->stream) {
        test_recorded_stream(ANTHROPIC, &recording->body,
                             recording->expected);
    } else {
        test_recorded_answer(ANTHROPIC, &recording->body,
                             recording->expected);
    }
}


static void
test_recorded_stream(ngx_pulse_dialect_t *dialect, ngx_str_t *body,
    ngx_pulse_json_value_t *record)
{
    size_t         cut, step;
    unit_stream_t  s;

    for (cut = 0; cut < 2; cut++) {
        unit_translate(&s, dialect, OPENAI);
        check_int(unit_feed(&s, body->data, body->len, 0,
                            cut ? 1 : body->len),
                  NGX_OK);
        check_int(s.ends, 1);

        if (dialect == OPENAI) {
            test_compare_record(&s.collector, record);
        }

        test_back(&s);
        unit_end(&s);
    }

    if (dialect != OPENAI) {
        return;
    }

    step = (body->len < 2500) ? 1 : body->len / 10;

    for (cut = 1; cut < body->len; cut += step) {
        unit_translate(&s, dialect, OPENAI);
        check_int(unit_feed(&s, body->data, body->len, cut, body->len),
                  NGX_OK);
        test_compare_record(&s.collector, record);
        unit_end(&s);
    }
}


static void
test_recorded_answer(ngx_pulse_dialect_t *dialect, ngx_str_t *body,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t               said;
    unit_stream_t           s;
    ngx_pulse_chat_error_t  error;

    unit_translate(&s, dialect, OPENAI);

    if (unit_number(record, "http_status") >= 400) {

        if (dialect == OPENAI) {
            check_int(ngx_pulse_dialect_openai.read_error(&error, s.pool,
                                                 body->data, body->len),
                      NGX_OK);
            said = unit_string(ngx_pulse_json_get(record, "error"), "message");
            check_mem(error.message.data, error.message.len, said.data,
                      said.len);
        }

        unit_end(&s);
        return;
    }

    check_int(dialect->read_answer(s.pool, body, unit_event, &s), NGX_OK);
    check_int(s.ends, 1);

    if (dialect == OPENAI) {
        test_compare_record(&s.collector, record);
    }

    test_back(&s);
    unit_end(&s);
}


/* read, written and read again, a request means the same */

static void
test_recorded_request(ngx_str_t *body)
{
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

    rc = ngx_pulse_dialect_openai.read(&cv, pool, body, &refusal);
    check_int(rc, NGX_OK);

    if (rc == NGX_OK) {
        unit_target(&target, "efhnprs", 9);
        target.model = cv.model;

        check_int(ngx_pulse_dialect_openai.write(&cv, &target, pool, &dropped,
                                                 &refusal, &b),
                  NGX_OK);
        check(dropped.n == 0 || ngx_pulse_is(&dropped.names[0],
                                             "cache_control"));

        again.data = b.data;
        again.len = b.len;

        check_int(ngx_pulse_dialect_openai.read(&cv, pool, &again, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_dialect_openai.write(&cv, &target, pool, &dropped,
                                                 &refusal, &b2),
                  NGX_OK);
        check_mem(b2.data, b2.len, b.data, b.len);

        /* nothing of any size is missing; blanks are not kept */

        check(b.len + 400 > body->len / 2);
    }

    ngx_pulse_buf_free(&b2);
    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


/* what a client gets of an answer, as a stream and whole, says the same */

static void
test_back(unit_stream_t *s)
{
    ngx_str_t      whole;
    unit_stream_t  two;

    unit_start(&two, OPENAI);
    check_int(unit_feed(&two, s->out.data, s->out.len, 0, s->out.len),
              NGX_OK);
    test_compare(&s->collector, &two.collector);
    unit_end(&two);

    unit_start(&two, OPENAI);
    ngx_pulse_dialect_openai.write_answer(&s->collector, &s->cv, 1, &two.out);
    whole.data = two.out.data;
    whole.len = two.out.len;
    check_int(ngx_pulse_dialect_openai.read_answer(two.pool, &whole,
                                                   ngx_pulse_collect,
                                                   &two.collector),
              NGX_OK);

    check_int(two.collector.failed, s->collector.failed);

    if (!s->collector.failed) {
        test_compare(&s->collector, &two.collector);
    }

    unit_end(&two);
}


static void
test_compare(ngx_pulse_collector_t *one, ngx_pulse_collector_t *two)
{
    ngx_pulse_buf_t  a, b;

    ngx_pulse_buf_init(&a, 0);
    ngx_pulse_buf_init(&b, 0);

    test_gather(one, &a);
    test_gather(two, &b);

    check_mem(b.data, b.len, a.data, a.len);
    check_mem(two->model.data, two->model.len, one->model.data,
              one->model.len);

    check(two->id.len >= one->id.len);
    check_int(two->failed, one->failed);
    check_mem(two->error.message.data, two->error.message.len,
              one->error.message.data, one->error.message.len);

    if (!one->failed) {
        check_int(two->usage.known, one->usage.known);
        check_int(two->usage.input, one->usage.input);
        check_int(two->usage.cached, one->usage.cached);
        check_int(two->usage.cache_write, one->usage.cache_write);
        check_int(two->usage.output, one->usage.output);
        check_int(two->usage.reasoning, one->usage.reasoning);
    }

    ngx_pulse_buf_free(&b);
    ngx_pulse_buf_free(&a);
}


static void
test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t                said;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *usage;

    unit_compare_answer(collector, record, 1);

    said = unit_string(record, "reasoning");

    if (said.len) {
        unit_collected(collector, NGX_PULSE_PART_THINKING, &b);
        check_mem(b.data, b.len, said.data, said.len);
        ngx_pulse_buf_free(&b);
    }

    if (ngx_pulse_member(record, "error")
        && unit_string(record, "finish_reason").len == 0)
    {
        check_int(collector->failed, 1);
        said = unit_string(ngx_pulse_json_get(record, "error"), "message");
        check_mem(collector->error.message.data, collector->error.message.len,
                  said.data, said.len);
    }

    /* reasoning that is counted in the total only is billed too */

    usage = ngx_pulse_member(record, "usage");

    unit_compare_usage(&collector->usage, record,
                       ngx_max(unit_number(usage, "output_tokens"),
                               unit_number(usage, "total_tokens")
                               - unit_number(usage, "input_tokens")));
}


/* what was said, whatever its order: a whole answer has one of its own */

static void
test_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b)
{
    ngx_pulse_part_t  *part;

    static const char  *finishes[] = {
        "stop", "length", "tool_calls", "content_filter", "error"
    };

    for (part = collector->parts; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_REDACTED) {
            ngx_pulse_buf_literal(b, "redacted ");
            ngx_pulse_buf_str(b, &part->data);
            ngx_pulse_buf_char(b, '\n');
        }

        if (part->type == NGX_PULSE_PART_THINKING
            && (part->text.len || part->signature.len))
        {
            ngx_pulse_buf_literal(b, "thinking ");
            ngx_pulse_buf_str(b, &part->text);
            ngx_pulse_buf_char(b, '|');
            ngx_pulse_buf_str(b, &part->signature);
            ngx_pulse_buf_char(b, '\n');
        }
    }

    test_joined(collector, NGX_PULSE_PART_TEXT, "text ", b);
    test_joined(collector, NGX_PULSE_PART_REFUSAL, "refusal ", b);

    for (part = collector->parts; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_CALL) {
            ngx_pulse_buf_str(b, &part->id);
            ngx_pulse_buf_char(b, ' ');
            ngx_pulse_buf_str(b, &part->name);
            ngx_pulse_buf_char(b, ' ');
            ngx_pulse_buf_str(b, &part->arguments);
            ngx_pulse_buf_char(b, '|');
            ngx_pulse_buf_str(b, &part->signature);

            if (part->custom) {
                ngx_pulse_buf_literal(b, " custom");
            }

            ngx_pulse_buf_char(b, '\n');
        }
    }

    if (collector->failed) {
        ngx_pulse_buf_literal(b, "failed");

    } else if (collector->finished) {
        ngx_pulse_buf_append(b, (u_char *) finishes[collector->finish],
                             strlen(finishes[collector->finish]));
    }
}


static void
test_joined(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    const char *name, ngx_pulse_buf_t *b)
{
    ngx_uint_t             n;
    ngx_str_t              signature;
    ngx_pulse_part_t      *part;
    ngx_pulse_citation_t  *citation;

    n = 0;
    ngx_str_null(&signature);

    for (part = collector->parts; part; part = part->next) {

        if (part->type != type
            || (part->text.len == 0 && part->signature.len == 0))
        {
            continue;
        }

        if (n++ == 0) {
            ngx_pulse_buf_append(b, (u_char *) name, strlen(name));
        }

        ngx_pulse_buf_str(b, &part->text);

        if (part->signature.len) {
            signature = part->signature;
        }
    }

    part = (type == NGX_PULSE_PART_TEXT) ? collector->parts : NULL;

    for ( /* void */ ; part; part = part->next) {

        for (citation = part->citations; citation; citation = citation->next) {
            ngx_pulse_buf_literal(b, "[");
            ngx_pulse_buf_str(b, &citation->url);
            ngx_pulse_buf_literal(b, " ");
            ngx_pulse_buf_str(b, &citation->title);
            ngx_pulse_buf_literal(b, " ");
            ngx_pulse_buf_str(b, &citation->text);
            ngx_pulse_buf_literal(b, " ");
            ngx_pulse_buf_int(b, citation->start);
            ngx_pulse_buf_literal(b, "-");
            ngx_pulse_buf_int(b, citation->end);
            ngx_pulse_buf_literal(b, "]");
        }
    }

    if (n) {
        ngx_pulse_buf_char(b, '|');
        ngx_pulse_buf_str(b, &signature);
        ngx_pulse_buf_char(b, '\n');
    }
}
