
#include "unit.h"
#include "ngx_pulse_openai.h"
#include "ngx_pulse_responses.h"
#include "ngx_pulse_sse.h"


#define TEST_MAX  (16 * 1024 * 1024)


typedef struct {
    const char              *name;
    const char              *target;        /* letters, see test_target() */
    const char              *body;
    const char              *expected;
    const char              *dropped;       /* joined with commas */
} test_write_t;


typedef struct {
    const char              *body;
    const char              *pointer;
    const char              *reason;
} test_refusal_t;


typedef struct {
    ngx_pool_t              *pool;
    ngx_pulse_collector_t    collector;
    ngx_pulse_conversation_t cv;
    ngx_pulse_buf_t          out;           /* written anew for a client */
    void                    *reader;
    void                    *writer;
    ngx_uint_t               ends;
} test_stream_t;


static void test_writes(void);
static void test_foreign(void);
static void test_refusals(void);
static void test_write_refusals(void);
static void test_unknown(void);
static void test_travel(void);
static void test_memory(void);
static void test_stream(void);
static void test_gaps(void);
static void test_cut(void);
static void test_errors(void);
static void test_client(void);
static void test_lines(void);
static void test_recordings(void);
static void test_recording(const char *dir, ngx_pulse_json_value_t *record);
static void test_recorded_stream(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_answer(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_request(ngx_str_t *body);
static void test_recorded_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *record);

static void test_target(ngx_pulse_target_t *target, const char *letters);
static void test_start(test_stream_t *s);
static void test_end(test_stream_t *s);
static ngx_int_t test_event(void *ctx, ngx_pulse_sse_event_t *ev);
static ngx_int_t test_answer(void *ctx, ngx_pulse_answer_event_t *ev);
static ngx_int_t test_feed(test_stream_t *s, const u_char *p, size_t len,
    size_t first, size_t step);
static void test_say(test_stream_t *s, ngx_pulse_answer_e type,
    const char *text);
static void test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_compare_usage(ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *record);
static void test_compare(ngx_pulse_collector_t *one,
    ngx_pulse_collector_t *two);
static void test_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);
static ngx_pulse_json_value_t *test_tree(ngx_pool_t *pool, const u_char *p,
    size_t len);
static int64_t test_number(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t test_string(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t test_str(const char *s);


#define HEAD  "{\"model\":\"m\",\"input\":["
#define X     "{\"type\":\"message\",\"role\":\"user\",\"content\":"           \
              "[{\"type\":\"input_text\",\"text\":\"x\"}]}"
#define TAIL  "],\"max_output_tokens\":400,\"stream\":false,\"store\":false"
#define KEEP  ",\"include\":[\"reasoning.encrypted_content\"]"
#define READ  "{\"model\":\"a\",\"input\":"


/* what is written for a provider from what a client of the dialect wrote */

static test_write_t  test_write_table[] = {

    { "a string", "",
      READ "\"x\"}",
      HEAD X TAIL "}", "" },

    { "instructions", "",
      READ "\"x\",\"instructions\":\"i\",\"stream\":true,\"user\":\"u\"}",
      "{\"model\":\"m\",\"instructions\":\"i\",\"input\":[" X "],"
      "\"max_output_tokens\":400,\"stream\":true,\"store\":false,"
      "\"safety_identifier\":\"u\"}", "" },

    { "roles, with and without a type", "",
      READ "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\","
      "\"content\":\"y\"},{\"type\":\"message\",\"role\":\"developer\","
      "\"content\":[{\"type\":\"input_text\",\"text\":\"s\"}]}]}",
      HEAD X ",{\"type\":\"message\",\"role\":\"assistant\",\"content\":"
      "[{\"type\":\"output_text\",\"text\":\"y\",\"annotations\":[]}]},"
      "{\"type\":\"message\",\"role\":\"system\",\"content\":"
      "[{\"type\":\"input_text\",\"text\":\"s\"}]}" TAIL "}", "" },

    { "images and files", "",
      READ "[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
      "\"image_url\":\"data:image/png;base64,AAAA\",\"detail\":\"low\"},"
      "{\"type\":\"input_image\",\"image_url\":\"https://a.example/b\"},"
      "{\"type\":\"input_file\",\"file_data\":"
      "\"data:application/pdf;base64,BB==\",\"filename\":\"f.pdf\"},"
      "{\"type\":\"input_file\",\"file_id\":\"file_1\"},"
      "{\"type\":\"input_file\",\"file_url\":\"https://a.example/c\"}]}]}",
      HEAD "{\"type\":\"message\",\"role\":\"user\",\"content\":["
      "{\"type\":\"input_image\",\"detail\":\"low\",\"image_url\":"
      "\"data:image/png;base64,AAAA\"},{\"type\":\"input_image\","
      "\"detail\":\"auto\",\"image_url\":\"https://a.example/b\"},"
      "{\"type\":\"input_file\",\"filename\":\"f.pdf\",\"file_data\":"
      "\"data:application/pdf;base64,BB==\"},{\"type\":\"input_file\","
      "\"file_id\":\"file_1\"},{\"type\":\"input_file\",\"file_url\":"
      "\"https://a.example/c\"}]}" TAIL "}", "" },

    { "calls, results, reasoning", "e",
      READ "[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":["
      "{\"type\":\"summary_text\",\"text\":\"a\"},"
      "{\"type\":\"summary_text\",\"text\":\"b\"}],"
      "\"encrypted_content\":\"gAAAAB1\"},{\"type\":\"function_call\","
      "\"id\":\"fc_1\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":"
      "\"{\\\"a\\\":1}\"},{\"type\":\"function_call\",\"call_id\":\"c2\","
      "\"name\":\"g\",\"arguments\":\"\"},{\"type\":\"custom_tool_call\","
      "\"call_id\":\"c3\",\"name\":\"h\",\"input\":\"free\"},"
      "{\"type\":\"function_call_output\",\"call_id\":\"c1\","
      "\"output\":\"r\"},{\"type\":\"function_call_output\","
      "\"call_id\":\"c2\",\"output\":[{\"type\":\"input_text\","
      "\"text\":\"r\"},{\"type\":\"input_image\",\"image_url\":"
      "\"https://a.example/b\"}]},{\"type\":\"custom_tool_call_output\","
      "\"call_id\":\"c3\",\"output\":\"r\"}]}",
      HEAD "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":["
      "{\"type\":\"summary_text\",\"text\":\"a\\n\\nb\"}],"
      "\"encrypted_content\":\"gAAAAB1\"},{\"type\":\"function_call\","
      "\"id\":\"fc_1\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":"
      "\"{\\\"a\\\":1}\"},{\"type\":\"function_call\",\"call_id\":\"c2\","
      "\"name\":\"g\",\"arguments\":\"{}\"},{\"type\":\"custom_tool_call\","
      "\"call_id\":\"c3\",\"name\":\"h\",\"input\":\"free\"},"
      "{\"type\":\"function_call_output\",\"call_id\":\"c1\","
      "\"output\":\"r\"},{\"type\":\"function_call_output\","
      "\"call_id\":\"c2\",\"output\":[{\"type\":\"input_text\","
      "\"text\":\"r\"},{\"type\":\"input_image\",\"detail\":\"auto\","
      "\"image_url\":\"https://a.example/b\"}]},"
      "{\"type\":\"custom_tool_call_output\",\"call_id\":\"c3\","
      "\"output\":\"r\"}" TAIL KEEP "}", "" },

    { "reasoning that the vendor did not encrypt, or that nothing follows",
      "e",
      READ "[{\"type\":\"reasoning\",\"summary\":[],"
      "\"encrypted_content\":\"Eq0B\"},{\"role\":\"assistant\","
      "\"content\":\"y\"},{\"type\":\"reasoning\",\"summary\":[],"
      "\"encrypted_content\":\"gAAAAB1\"}]}",
      HEAD "{\"type\":\"message\",\"role\":\"assistant\",\"content\":"
      "[{\"type\":\"output_text\",\"text\":\"y\",\"annotations\":[]}]}"
      TAIL KEEP "}", "thinking" },

    { "items and tools of the vendor", "f",
      READ "[{\"type\":\"web_search_call\",\"id\":\"ws_1\"},"
      "{\"role\":\"user\",\"content\":\"x\"}],"
      "\"tools\":[{\"type\":\"web_search\"}],"
      "\"tool_choice\":{\"type\":\"web_search\"}}",
      HEAD "{\"type\":\"web_search_call\",\"id\":\"ws_1\"}," X TAIL
      ",\"tools\":[{\"type\":\"web_search\"}],"
      "\"tool_choice\":{\"type\":\"web_search\"}}", "" },

    { "tools", "f",
      READ "\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"f\","
      "\"description\":\"d\",\"parameters\":{\"type\":\"object\"},"
      "\"strict\":true},{\"type\":\"function\",\"name\":\"g\"},"
      "{\"type\":\"custom\",\"name\":\"h\",\"format\":{\"type\":\"grammar\","
      "\"syntax\":\"lark\",\"definition\":\"s\"}}],\"tool_choice\":"
      "{\"type\":\"custom\",\"name\":\"h\"},\"parallel_tool_calls\":false}",
      HEAD X TAIL ",\"tools\":[{\"type\":\"function\",\"name\":\"f\","
      "\"description\":\"d\",\"parameters\":{\"type\":\"object\"},"
      "\"strict\":true},{\"type\":\"function\",\"name\":\"g\","
      "\"parameters\":{\"type\":\"object\",\"properties\":{}},"
      "\"strict\":false},{\"type\":\"custom\",\"name\":\"h\",\"format\":"
      "{\"type\":\"grammar\",\"syntax\":\"lark\",\"definition\":\"s\"}}],"
      "\"tool_choice\":{\"type\":\"custom\",\"name\":\"h\"},"
      "\"parallel_tool_calls\":false}", "" },

    { "no forced choice", "",
      READ "\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"g\","
      "\"parameters\":{}}],\"tool_choice\":\"required\"}",
      HEAD X TAIL ",\"tools\":[{\"type\":\"function\",\"name\":\"g\","
      "\"parameters\":{},\"strict\":false}]}", "tool_choice" },

    { "effort, summary, format", "e",
      READ "\"x\",\"reasoning\":{\"effort\":\"xhigh\",\"summary\":\"auto\"},"
      "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\","
      "\"schema\":{\"type\":\"object\"},\"strict\":true},"
      "\"verbosity\":\"low\"}}",
      HEAD X TAIL KEEP ",\"reasoning\":{\"effort\":\"xhigh\","
      "\"summary\":\"auto\"},\"text\":{\"format\":{\"type\":\"json_schema\","
      "\"name\":\"n\",\"schema\":{\"type\":\"object\"},\"strict\":true},"
      "\"verbosity\":\"low\"}}", "" },

    { "no effort", "",
      READ "\"x\",\"reasoning\":{\"effort\":\"high\"},"
      "\"text\":{\"format\":{\"type\":\"json_object\"}}}",
      HEAD X TAIL ",\"text\":{\"format\":{\"type\":\"json_object\"}}}",
      "reasoning_effort" },

    { "an effort of none where there must be some", "e",
      READ "\"x\",\"reasoning\":{\"effort\":\"none\"}}",
      HEAD X TAIL KEEP ",\"reasoning\":{\"effort\":\"low\"}}",
      "reasoning_effort" },

    { "an effort of none", "en",
      READ "\"x\",\"reasoning\":{\"effort\":\"none\"}}",
      HEAD X TAIL KEEP ",\"reasoning\":{\"effort\":\"none\"}}", "" },

    { "sampling", "s",
      READ "\"x\",\"temperature\":0.50,\"top_p\":1}",
      HEAD X TAIL ",\"temperature\":0.50,\"top_p\":1}", "" },

    { "no sampling", "",
      READ "\"x\",\"temperature\":0.50,\"top_p\":1}",
      HEAD X TAIL "}", "temperature,top_p" },

    { "marks for the cache", "",
      READ "[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
      "\"text\":\"x\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\","
      "\"ttl\":\"12h\"}}]}]}",
      HEAD "{\"type\":\"message\",\"role\":\"user\",\"content\":"
      "[{\"type\":\"input_text\",\"text\":\"x\","
      "\"prompt_cache_breakpoint\":{\"mode\":\"explicit\",\"ttl\":\"12h\"}"
      "}]}" TAIL "}", "" },

    { NULL, NULL, NULL, NULL, NULL }
};


static test_refusal_t  test_refusal_table[] = {

    { "[]", "", "must be an object" },
    { "{\"input\":\"x\"}", "/model", "is required" },
    { READ "7}", "/input", "must be a string or an array" },
    { READ "[]}", "/input", "is empty" },
    { READ "[7]}", "/input/0", "must be an object" },
    { READ "[{\"role\":\"user\"}]}", "/input/0/content", "is required" },
    { READ "[{\"role\":\"tool\",\"content\":\"x\"}]}", "/input/0/role",
      "must be user, assistant, system or developer" },
    { READ "[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}",
      "/input/0/content/0/type",
      "must be input_text, input_image, input_file, output_text or refusal" },
    { READ "[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
      "\"image_url\":\"http://a.example/b\"}]}]}",
      "/input/0/content/0/image_url",
      "must be an https or a base64 data URL" },
    { READ "[{\"type\":\"function_call\",\"name\":\"f\"}]}",
      "/input/0/call_id", "is required" },
    { READ "[{\"type\":\"function_call_output\",\"call_id\":\"c\"}]}",
      "/input/0/output", "is required" },
    { READ "[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]}", "/input/0",
      "items are not stored here: send the item itself" },
    { READ "\"x\",\"previous_response_id\":\"resp_1\"}",
      "/previous_response_id",
      "answers are not stored here: send all items of the conversation in"
      " \"input\"" },
    { READ "\"x\",\"conversation\":\"conv_1\"}", "/conversation",
      "conversations are not stored here: send all items in \"input\"" },
    { READ "\"x\",\"background\":true}", "/background",
      "answers are not stored here: must be false" },
    { READ "\"x\",\"prompt\":{\"id\":\"p\"}}", "/prompt",
      "prompts are not stored here: send the text in \"instructions\" or"
      " \"input\"" },
    { READ "\"x\",\"max_output_tokens\":0}", "/max_output_tokens",
      "is too small" },
    { READ "\"x\",\"reasoning\":{\"effort\":\"some\"}}", "/reasoning/effort",
      "must be none, minimal, low, medium, high, xhigh or max" },
    { READ "\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}",
      "/text/format/schema", "is required" },
    { READ "\"x\",\"tools\":[{\"name\":\"f\"}]}", "/tools/0/type",
      "is required" },
    { READ "\"x\",\"tool_choice\":\"any\"}", "/tool_choice",
      "must be auto, none or required" },
    { READ "\"x\",\"include\":[1]}", "/include/0", "must be a string" },
    { READ "\"x\",\"stream\":1}", "/stream", "must be a boolean" },
    { NULL, NULL, NULL }
};


int
main(void)
{
    test_writes();
    test_foreign();
    test_refusals();
    test_write_refusals();
    test_unknown();
    test_travel();
    test_memory();
    test_stream();
    test_gaps();
    test_cut();
    test_errors();
    test_client();
    test_lines();
    test_recordings();

    return unit_done();
}


static void
test_writes(void)
{
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    test_write_t              *t;
    ngx_pulse_buf_t            b, names;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (t = test_write_table; t->name; t++) {
        unit_case("%s", t->name);

        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_init(&names, 0);
        memset(&dropped, 0, sizeof(dropped));
        test_target(&target, t->target);

        body = test_str(t->body);
        check_int(ngx_pulse_responses_read(&cv, pool, &body, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_responses_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_OK);
        check_mem(b.data, b.len, t->expected, strlen(t->expected));

        for (i = 0; i < dropped.n; i++) {
            if (i) {
                ngx_pulse_buf_char(&names, ',');
            }

            ngx_pulse_buf_str(&names, &dropped.names[i]);
        }

        check_mem(names.data, names.len, t->dropped, strlen(t->dropped));

        ngx_pulse_buf_free(&names);
        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* what only other dialects say */

static void
test_foreign(void)
{
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_part_t          *part;
    ngx_pulse_tool_t          *tool;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    static const char  expected[] =
        HEAD "{\"type\":\"message\",\"role\":\"user\",\"content\":"
        "[{\"type\":\"input_file\",\"filename\":\"document.txt\","
        "\"file_data\":\"data:text/plain;base64,eA==\"}]},"
        "{\"type\":\"function_call_output\",\"call_id\":\"c\","
        "\"output\":\"\"}],\"max_output_tokens\":16,\"stream\":false,"
        "\"store\":false" KEEP ",\"reasoning\":{\"effort\":\"medium\"},"
        "\"tools\":[{\"type\":\"custom\",\"name\":\"h\",\"format\":"
        "{\"type\":\"grammar\",\"syntax\":\"regex\",\"definition\":\"a\"}}]}";

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);
    memset(&dropped, 0, sizeof(dropped));
    memset(&cv, 0, sizeof(cv));
    test_target(&target, "e");

    cv.pool = pool;
    cv.dialect = NGX_PULSE_DIALECT_ANTHROPIC;
    cv.n = 1;
    cv.budget = 5000;
    cv.nstops = 1;
    cv.stops[0] = test_str("s");
    cv.top_k = test_str("5");
    cv.seed = test_str("5");
    target.max_tokens = 5;

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_DOCUMENT);
    part->media_type = test_str("text/plain");
    part->data = test_str("eA==");
    part->cache = test_str("1h");
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_RESULT);
    part->id = test_str("c");
    part->error = 1;
    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_ASSISTANT);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_REDACTED);
    part->data = test_str("secret");

    tool = ngx_pulse_tool_add(&cv, pool);
    tool->name = test_str("web_search_20250305");
    tool->raw = test_str("{}");
    tool->dialect = NGX_PULSE_DIALECT_ANTHROPIC;

    tool = ngx_pulse_tool_add(&cv, pool);
    tool->name = test_str("h");
    tool->custom = 1;
    tool->parameters = test_str("{\"type\":\"grammar\",\"grammar\":"
                                "{\"definition\":\"a\",\"syntax\":"
                                "\"regex\"}}");

    check_int(ngx_pulse_responses_write(&cv, &target, pool, &dropped, &refusal,
                                        &b),
              NGX_OK);
    check_mem(b.data, b.len, expected, sizeof(expected) - 1);

    check_int(dropped.n, 8);
    check_str(&dropped.names[0], "cache_control");
    check_str(&dropped.names[1], "is_error");
    check_str(&dropped.names[2], "thinking");
    check_str(&dropped.names[3], "max_tokens");
    check_str(&dropped.names[4], "top_k");
    check_str(&dropped.names[5], "seed");
    check_str(&dropped.names[6], "stop");
    check_str(&dropped.names[7], "tools of the vendor");

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_refusals(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    test_refusal_t            *t;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (t = test_refusal_table; t->body; t++) {
        unit_case("%s", t->body);

        pool = unit_pool();
        body = test_str(t->body);

        check_int(ngx_pulse_responses_read(&cv, pool, &body, &refusal),
                  NGX_DECLINED);
        check_mem(refusal.pointer, strlen(refusal.pointer), t->pointer,
                  strlen(t->pointer));
        check_mem(refusal.reason, strlen(refusal.reason), t->reason,
                  strlen(t->reason));

        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* dropping these would change what is asked */

static void
test_write_refusals(void)
{
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < 4; i++) {
        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));
        memset(&cv, 0, sizeof(cv));
        test_target(&target, "");

        cv.pool = pool;
        cv.dialect = NGX_PULSE_DIALECT_GEMINI;
        cv.n = (i == 0) ? 2 : 1;

        turn = ngx_pulse_turn_add(&cv, pool, (i == 1)
                                             ? NGX_PULSE_ROLE_ASSISTANT
                                             : NGX_PULSE_ROLE_USER);
        (void) ngx_pulse_part_add(turn, pool,
                                  (i == 1) ? NGX_PULSE_PART_IMAGE
                                  : (i == 2) ? NGX_PULSE_PART_AUDIO
                                  : NGX_PULSE_PART_RAW);

        check_int(ngx_pulse_responses_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_DECLINED);
        check(refusal.reason != NULL);

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }
}


static void
test_unknown(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    pool = unit_pool();

    body = test_str(READ "[{\"role\":\"assistant\",\"content\":\"x\","
                    "\"phase\":\"commentary\"},{\"type\":\"reasoning\","
                    "\"id\":\"rs_1\",\"summary\":[]}],\"metadata\":{},"
                    "\"store\":true,\"truncation\":\"auto\","
                    "\"service_tier\":\"flex\",\"top_logprobs\":3,"
                    "\"include\":[\"message.output_text.logprobs\"],"
                    "\"background\":false,\"previous_response_id\":null}");

    check_int(ngx_pulse_responses_read(&cv, pool, &body, &refusal), NGX_OK);

    check_int(cv.nunknown, 8);
    check_str(&cv.unknown[0], "metadata");
    check_str(&cv.unknown[1], "store");
    check_str(&cv.unknown[2], "include");
    check_str(&cv.unknown[3], "truncation");
    check_str(&cv.unknown[4], "service_tier");
    check_str(&cv.unknown[5], "top_logprobs");
    check_str(&cv.unknown[6], "phase");
    check_str(&cv.unknown[7], "reasoning");

    body = test_str(READ "\"x\",\"store\":false,\"truncation\":\"disabled\","
                    "\"service_tier\":\"auto\",\"top_logprobs\":0}");

    check_int(ngx_pulse_responses_read(&cv, pool, &body, &refusal), NGX_OK);
    check_int(cv.nunknown, 0);

    ngx_destroy_pool(pool);
}


/* signatures of other vendors come back from the client where they were */

static void
test_travel(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 whole;
    ngx_pulse_buf_t            b;
    test_stream_t              s;
    ngx_pulse_part_t          *part;
    ngx_pulse_json_value_t    *v;
    ngx_pulse_answer_event_t   ev;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (whole = 0; whole < 2; whole++) {
        unit_case(whole ? "whole" : "streamed");
        test_start(&s);

        test_say(&s, NGX_PULSE_ANSWER_THINKING, "why");
        test_say(&s, NGX_PULSE_ANSWER_SIGNATURE, "sig1");
        test_say(&s, NGX_PULSE_ANSWER_PART_END, "");
        test_say(&s, NGX_PULSE_ANSWER_REDACTED, "hidden");
        test_say(&s, NGX_PULSE_ANSWER_TEXT, "said");
        test_say(&s, NGX_PULSE_ANSWER_SIGNATURE, "sig2");
        test_say(&s, NGX_PULSE_ANSWER_PART_END, "");

        memset(&ev, 0, sizeof(ev));
        ev.type = NGX_PULSE_ANSWER_CALL;
        ev.id = test_str("c1");
        ev.name = test_str("f");
        ev.signature = test_str("sig3");
        check_int(test_answer(&s, &ev), NGX_OK);

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

        v = test_tree(s.pool, body.data, body.len);
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
        test_end(&s);
    }

    unit_case(NULL);
}


static void
test_memory(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    body = test_str(test_write_table[4].body);

    for (i = 1; i < 1000; i++) {
        pool = unit_pool();
        unit_fail_allocation(i);
        rc = ngx_pulse_responses_read(&cv, pool, &body, &refusal);
        unit_fail_allocation(0);
        ngx_destroy_pool(pool);

        if (rc == NGX_OK) {
            break;
        }

        check_int(rc, NGX_ERROR);
    }

    check(i > 20 && i < 1000);
}


/* parallel items, ids that change, several parts, a refusal */

static void
test_stream(void)
{
    ngx_pulse_buf_t  b;
    test_stream_t    s;

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

    test_start(&s);
    check_int(test_feed(&s, (u_char *) text, sizeof(text) - 1, 0, 7), NGX_OK);

    ngx_pulse_buf_init(&b, 0);
    test_gather(&s.collector, &b);
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

    test_end(&s);
}


/* items without deltas, deltas without items, and only the last event */

static void
test_gaps(void)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;
    test_stream_t    s;

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
        test_start(&s);
        check_int(test_feed(&s, (u_char *) cases[i], strlen(cases[i]), 0,
                            strlen(cases[i])),
                  NGX_OK);

        ngx_pulse_buf_init(&b, 0);
        test_gather(&s.collector, &b);
        check_mem(b.data, b.len, cases[i + 1], strlen(cases[i + 1]));
        ngx_pulse_buf_free(&b);

        check_int(s.ends, 1);
        test_end(&s);
    }

    unit_case(NULL);
}


static void
test_cut(void)
{
    test_stream_t  s;

    static const char  text[] =
        "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n"
        "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
        "\"delta\":\"hi\"}\n\n";

    test_start(&s);
    check_int(test_feed(&s, (u_char *) text, sizeof(text) - 1, 0, 50), NGX_OK);
    check_int(s.collector.failed, 1);
    check_int(s.ends, 0);
    check_str(&s.collector.error.type, "server_error");
    check(strstr((char *) s.out.data, "event: error\n") != NULL);
    check(strstr((char *) s.out.data, "event: response.failed\n") != NULL);
    check(strstr((char *) s.out.data, "\"status\":\"incomplete\"") != NULL);
    test_end(&s);

    test_start(&s);
    check_int(test_feed(&s, (u_char *) "data: {\n\n", 9, 0, 9), NGX_ERROR);
    test_end(&s);
}


static void
test_errors(void)
{
    ngx_uint_t       i;
    test_stream_t    s;
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
        test_start(&s);
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, "data: ");
        ngx_pulse_buf_append(&b, (u_char *) cases[i], strlen(cases[i]));
        check_int(test_feed(&s, b.data, b.len, 0, b.len), NGX_OK);
        ngx_pulse_buf_free(&b);

        check_int(s.collector.failed, 1);
        check_int(s.collector.error.quota, 1);
        check_str(&s.collector.error.message, "no");
        check_str(&s.collector.error.code, "insufficient_quota");
        check_int(s.ends, 0);
        test_end(&s);
    }

    unit_case(NULL);
}


/* all that a client is sent, byte for byte but the time */

static void
test_client(void)
{
    u_char                    *p;
    test_stream_t              s;
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

    test_start(&s);

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_START;
    ev.id = test_str("resp_1");
    ev.model = test_str("m");
    check_int(test_answer(&s, &ev), NGX_OK);

    test_say(&s, NGX_PULSE_ANSWER_TEXT, "hi");

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_CALL;
    ev.id = test_str("c");
    ev.name = test_str("f");
    check_int(test_answer(&s, &ev), NGX_OK);

    test_say(&s, NGX_PULSE_ANSWER_CALL_END, "");

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_FINISH;
    ev.finish = NGX_PULSE_FINISH_CALLS;
    check_int(test_answer(&s, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_USAGE;
    ev.usage.known = 1;
    ev.usage.input = 7;
    ev.usage.cached = 2;
    ev.usage.cache_write = 1;
    ev.usage.output = 5;
    ev.usage.reasoning = 3;
    check_int(test_answer(&s, &ev), NGX_OK);

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

    test_end(&s);
}


/* an event is one line, however the client laid its schemas out */

static void
test_lines(void)
{
    ngx_str_t                  body;
    test_stream_t              s;
    ngx_pulse_chat_refusal_t   refusal;

    test_start(&s);

    body = test_str(READ "\"x\",\"tools\":[{\"type\":\"function\",\"name\":"
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

    test_end(&s);
}


static void
test_say(test_stream_t *s, ngx_pulse_answer_e type, const char *text)
{
    ngx_pulse_answer_event_t  ev;

    memset(&ev, 0, sizeof(ev));

    ev.type = type;
    ev.text = test_str(text);

    check_int(test_answer(s, &ev), NGX_OK);
}


static void
test_recordings(void)
{
    char                     name[512];
    ngx_str_t                text, api;
    const char              *dir;
    ngx_uint_t               n;
    ngx_pool_t              *pool;
    ngx_pulse_json_value_t  *list, *record;

    dir = unit_shared();

    if (dir == NULL) {
        return;
    }

    (void) snprintf(name, sizeof(name), "%s/data/recordings/expected.json",
                    dir);
    text = unit_file(name);
    check(text.data != NULL);

    if (text.data == NULL) {
        return;
    }

    n = 0;
    pool = unit_pool();
    list = test_tree(pool, text.data, text.len);
    check(list != NULL);

    for (record = list ? list->children : NULL; record; record = record->next)
    {
        api = test_string(record, "api");

        if (ngx_pulse_is(&api, "openai.responses")) {
            test_recording(dir, record);
            n++;
        }
    }

    unit_case(NULL);
    check(n >= 100);
    printf("# responses: %lu recordings\n", (unsigned long) n);

    ngx_destroy_pool(pool);
    free(text.data);
}


static void
test_recording(const char *dir, ngx_pulse_json_value_t *record)
{
    char                     name[512];
    ngx_str_t                file, body;
    ngx_uint_t               stream;

    file = test_string(record, "file");
    stream = ngx_pulse_json_get(record, "stream")->boolean;

    unit_case("%.*s", (int) file.len, file.data);

    (void) snprintf(name, sizeof(name), "%s/data/recordings/%.*s", dir,
                    (int) file.len, file.data);

    body = unit_file(name);
    check(body.data != NULL);

    if (body.data == NULL) {
        return;
    }

    if (stream) {
        test_recorded_stream(&body, record);

    } else {
        test_recorded_answer(&body, record);
    }

    free(body.data);

    file.len -= stream ? 4 : 5;

    (void) snprintf(name, sizeof(name), "%s/data/recordings/%.*s.req.json", dir,
                    (int) file.len, file.data);

    body = unit_file(name);

    if (body.data) {
        test_recorded_request(&body);
        free(body.data);
    }
}


static void
test_recorded_stream(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    size_t         cut, step;
    test_stream_t  s, two;

    /* some are several answers in one: of the first what can be had */

    if (ngx_pulse_json_get(record, "concatenated")) {
        test_start(&s);
        (void) test_feed(&s, body->data, body->len, 0, body->len);
        check(s.ends <= 1);
        check(s.collector.started);
        test_end(&s);
        return;
    }

    /* one has a brace too few in its first event */

    if (ngx_pulse_member(record, "error") == NULL
        && ngx_pulse_member(record, "finish_reason") == NULL)
    {
        test_start(&s);
        check_int(test_feed(&s, body->data, body->len, 0, body->len),
                  NGX_ERROR);
        test_end(&s);
        return;
    }

    for (cut = 0; cut < 2; cut++) {
        test_start(&s);
        check_int(test_feed(&s, body->data, body->len, 0,
                            cut ? 1 : body->len),
                  NGX_OK);
        check_int(s.ends, ngx_pulse_member(record, "error") == NULL);
        test_compare_record(&s.collector, record);

        /* what a client gets of it says the same */

        test_start(&two);
        check_int(test_feed(&two, s.out.data, s.out.len, 0, s.out.len),
                  NGX_OK);
        test_compare(&s.collector, &two.collector);
        test_end(&two);
        test_end(&s);
    }

    step = (body->len < 2500) ? 1 : body->len / 10;

    for (cut = 1; cut < body->len; cut += step) {
        test_start(&s);
        check_int(test_feed(&s, body->data, body->len, cut, body->len),
                  NGX_OK);
        test_compare_record(&s.collector, record);
        test_end(&s);
    }
}


static void
test_recorded_answer(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    ngx_str_t                said;
    test_stream_t            s, two;
    ngx_pulse_chat_error_t   error;

    test_start(&s);

    if (test_number(record, "http_status") >= 400) {
        check_int(ngx_pulse_openai_error(&error, s.pool, body->data, body->len),
                  NGX_OK);
        test_recorded_error(&error, record);
        test_end(&s);
        return;
    }

    check_int(ngx_pulse_responses_read_answer(s.pool, body, test_answer, &s),
              NGX_OK);
    check_int(s.ends, ngx_pulse_member(record, "error") == NULL);
    test_compare_record(&s.collector, record);

    test_start(&two);
    check_int(test_feed(&two, s.out.data, s.out.len, 0, s.out.len), NGX_OK);
    test_compare(&s.collector, &two.collector);
    test_end(&two);

    test_start(&two);
    ngx_pulse_responses_write_answer(&s.collector, &s.cv, 0, &two.out);
    said.data = two.out.data;
    said.len = two.out.len;
    check_int(ngx_pulse_responses_read_answer(two.pool, &said,
                                              ngx_pulse_collect,
                                              &two.collector),
              NGX_OK);
    test_compare(&s.collector, &two.collector);
    test_end(&two);

    test_end(&s);
}


static void
test_recorded_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t                said;
    ngx_pulse_json_value_t  *expected;

    expected = ngx_pulse_json_get(record, "error");

    said = test_string(expected, "message");
    check_mem(error->message.data, error->message.len, said.data, said.len);

    said = test_string(expected, "code");

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
        test_target(&target, "efns");
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


/* e: effort, f: forced choice, n: effort of none, s: sampling */

static void
test_target(ngx_pulse_target_t *target, const char *letters)
{
    memset(target, 0, sizeof(ngx_pulse_target_t));

    target->model = test_str("m");
    target->max_tokens = 400;
    target->effort = (strchr(letters, 'e') != NULL);
    target->forced_choice = (strchr(letters, 'f') != NULL);
    target->effort_none = (strchr(letters, 'n') != NULL);
    target->sampling = (strchr(letters, 's') != NULL);
}


static void
test_start(test_stream_t *s)
{
    memset(s, 0, sizeof(test_stream_t));

    s->pool = unit_pool();
    s->reader = calloc(1, ngx_pulse_dialect_responses.reader_size);
    s->writer = calloc(1, ngx_pulse_dialect_responses.writer_size);
    s->cv.dialect = NGX_PULSE_DIALECT_RESPONSES;
    s->cv.pool = s->pool;

    ngx_pulse_buf_init(&s->out, 0);
    check_int(ngx_pulse_collector_init(&s->collector, s->pool, TEST_MAX),
              NGX_OK);
}


static void
test_end(test_stream_t *s)
{
    check_int(s->out.failed, 0);

    ngx_pulse_buf_free(&s->out);
    ngx_destroy_pool(s->pool);
    free(s->reader);
    free(s->writer);
}


static ngx_int_t
test_feed(test_stream_t *s, const u_char *p, size_t len, size_t first,
    size_t step)
{
    u_char           *copy;
    size_t            pos, n;
    ngx_int_t         rc;
    ngx_pulse_sse_t   sse;

    ngx_pulse_sse_init(&sse, 1024 * 1024, test_event, s);

    rc = NGX_OK;

    for (pos = 0; pos < len && rc == NGX_OK; pos += n) {
        n = (pos == 0 && first) ? first : step;
        n = ngx_min(n, len - pos);

        /* a block of its own, so that a read past its end is seen */

        copy = malloc(n);
        memcpy(copy, p + pos, n);
        rc = ngx_pulse_sse_feed(&sse, copy, n);
        free(copy);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_sse_finish(&sse);
    }

    ngx_pulse_sse_free(&sse);

    if (rc == NGX_OK) {
        rc = ngx_pulse_responses_read_end(s->reader, test_answer, s);
    }

    return rc;
}


static ngx_int_t
test_event(void *ctx, ngx_pulse_sse_event_t *ev)
{
    test_stream_t  *s = ctx;

    if (!ev->has_data) {
        return NGX_OK;
    }

    return unit_read_event(&ngx_pulse_dialect_responses, s->reader, ev,
                           test_answer, s);
}


static ngx_int_t
test_answer(void *ctx, ngx_pulse_answer_event_t *ev)
{
    test_stream_t  *s = ctx;

    s->ends += (ev->type == NGX_PULSE_ANSWER_END);

    ngx_pulse_responses_write_event(s->writer, &s->cv, ev, &s->out);

    return ngx_pulse_collect(&s->collector, ev);
}


static void
test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t                expected, id, name;
    ngx_pulse_buf_t          text;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *call;

    static const char  *finishes[] = {
        "stop", "length", "tool_calls", "content_filter", "error"
    };

    if (ngx_pulse_member(record, "error")) {
        check_int(collector->failed, 1);
        test_recorded_error(&collector->error, record);
        return;
    }

    ngx_pulse_buf_init(&text, 0);

    call = ngx_pulse_json_get(record, "tool_calls")->children;

    for (part = collector->parts; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_TEXT) {
            ngx_pulse_buf_str(&text, &part->text);
        }

        if (part->type == NGX_PULSE_PART_CALL) {
            check(call != NULL);

            if (call == NULL) {
                break;
            }

            id = test_string(call, "id");
            name = test_string(call, "name");

            check_mem(part->id.data, part->id.len, id.data, id.len);
            check_mem(part->name.data, part->name.len, name.data, name.len);
            id = test_string(call, "arguments_raw");
            check_mem(part->arguments.data, part->arguments.len, id.data,
                      id.len);
            call = call->next;
        }
    }

    check(call == NULL);

    expected = test_string(record, "text");
    check_mem(text.data, text.len, expected.data, expected.len);
    ngx_pulse_buf_free(&text);

    expected = test_string(record, "finish_reason");
    check_mem(finishes[collector->finish],
              strlen(finishes[collector->finish]),
              expected.data, expected.len);

    expected = test_string(record, "finish_reason_native");
    check_mem(collector->native.data, collector->native.len, expected.data,
              expected.len);

    test_compare_usage(&collector->usage, record);
}


static void
test_compare_usage(ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *record)
{
    ngx_pulse_json_value_t  *expected;

    expected = ngx_pulse_member(record, "usage");

    check_int(usage->known, expected != NULL);

    if (expected == NULL) {
        return;
    }

    check_int(usage->input, test_number(expected, "input_tokens"));
    check_int(usage->cached, test_number(expected, "cached_input_tokens"));
    check_int(usage->cache_write, test_number(expected, "cache_write_tokens"));
    check_int(usage->output, test_number(expected, "output_tokens"));
    check_int(usage->reasoning, test_number(expected, "reasoning_tokens"));
}


static void
test_compare(ngx_pulse_collector_t *one, ngx_pulse_collector_t *two)
{
    ngx_str_t        id;
    ngx_pulse_buf_t  a, b;

    ngx_pulse_buf_init(&a, 0);
    ngx_pulse_buf_init(&b, 0);

    test_gather(one, &a);
    test_gather(two, &b);

    check_mem(b.data, b.len, a.data, a.len);

    /* a client gets the provider's id, in the form that it expects */

    id = one->id;

    if (id.len < 5 || memcmp(id.data, "resp_", 5) != 0) {
        check(two->id.len > 5 && memcmp(two->id.data, "resp_", 5) == 0);
        two->id.data += 5;
        two->id.len -= 5;
    }

    if (id.len) {
        check_mem(two->id.data, two->id.len, id.data, id.len);
    }

    check_mem(two->model.data, two->model.len, one->model.data,
              one->model.len);
    check_mem(two->native.data, two->native.len, one->native.data,
              one->native.len);
    check_int(two->finish, one->finish);

    check_int(two->usage.input, one->usage.input);
    check_int(two->usage.cached, one->usage.cached);
    check_int(two->usage.cache_write, one->usage.cache_write);
    check_int(two->usage.cache_hour, one->usage.cache_hour);
    check_int(two->usage.output, one->usage.output);
    check_int(two->usage.reasoning, one->usage.reasoning);

    ngx_pulse_buf_free(&b);
    ngx_pulse_buf_free(&a);
}


static void
test_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b)
{
    ngx_pulse_part_t  *part;

    for (part = collector->parts; part; part = part->next) {

        switch (part->type) {

        case NGX_PULSE_PART_TEXT:

            if (part->text.len == 0) {
                continue;
            }

            ngx_pulse_buf_literal(b, "text ");
            ngx_pulse_buf_str(b, &part->text);
            break;

        case NGX_PULSE_PART_THINKING:
            ngx_pulse_buf_literal(b, "thinking ");
            ngx_pulse_buf_str(b, &part->text);
            break;

        case NGX_PULSE_PART_REFUSAL:
            ngx_pulse_buf_literal(b, "refusal ");
            ngx_pulse_buf_str(b, &part->text);
            break;

        case NGX_PULSE_PART_REDACTED:
            ngx_pulse_buf_literal(b, "redacted ");
            ngx_pulse_buf_str(b, &part->data);
            ngx_pulse_buf_char(b, '\n');
            continue;

        default: /* NGX_PULSE_PART_CALL */
            ngx_pulse_buf_literal(b, "call ");
            ngx_pulse_buf_str(b, &part->id);
            ngx_pulse_buf_char(b, ' ');
            ngx_pulse_buf_str(b, &part->name);

            if (part->custom) {
                ngx_pulse_buf_literal(b, " custom");
            }

            ngx_pulse_buf_char(b, ' ');
            ngx_pulse_buf_str(b, &part->arguments);
        }

        ngx_pulse_buf_char(b, '|');
        ngx_pulse_buf_str(b, &part->signature);
        ngx_pulse_buf_char(b, '\n');
    }
}


static ngx_pulse_json_value_t *
test_tree(ngx_pool_t *pool, const u_char *p, size_t len)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    limits.size = TEST_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 1024 * 1024;
    limits.keys = 4096;

    return ngx_pulse_json_tree(pool, p, len, &limits, &err);
}


static int64_t
test_number(ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    if (member == NULL || ngx_pulse_json_int(&member->string, &n) != NGX_OK) {
        return 0;
    }

    return n;
}


static ngx_str_t
test_string(ngx_pulse_json_value_t *v, const char *key)
{
    ngx_str_t                empty;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&empty);
    member = ngx_pulse_member(v, key);

    return member ? member->string : empty;
}


static ngx_str_t
test_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}
