
#include "unit_stream.h"
#include "ngx_pulse_openai.h"
#include "ngx_pulse_responses.h"


typedef struct {
    const char              *name;
    const char              *target;        /* letters, see unit_target();
                                             * 1: efforts low and high */
    const char              *body;
    const char              *expected;
    const char              *dropped;       /* joined with commas */
} test_write_t;


typedef struct {
    const char              *body;
    const char              *pointer;
    const char              *reason;
} test_refusal_t;


static void test_writes(void);
static void test_foreign(void);
static void test_refusals(void);
static void test_write_refusals(void);
static void test_unknown(void);
static void test_memory(void);


#define HEAD  "{\"model\":\"m\",\"input\":["
#define X     "{\"type\":\"message\",\"role\":\"user\",\"content\":"           \
              "[{\"type\":\"input_text\",\"text\":\"x\"}]}"
#define TAIL  "],\"max_output_tokens\":400,\"stream\":false,\"store\":false"
#define KEEP  ",\"include\":[\"reasoning.encrypted_content\"]"
#define READ  "{\"model\":\"a\",\"input\":"
#define ASK   "{\"role\":\"user\",\"content\":\"x\"}"

#define OPENAI     &ngx_pulse_dialect_openai
#define ANTHROPIC  &ngx_pulse_dialect_anthropic
#define RESPONSES  &ngx_pulse_dialect_responses


/* what is written for a provider from what a client of the dialect wrote */

static test_write_t  test_write_table[] = {

    { "reasoning that nothing came of", "",
      READ "[{\"role\":\"user\",\"content\":\"x\"},{\"type\":\"reasoning\","
      "\"summary\":[],\"encrypted_content\":\"gAAAAAB1\"},{\"type\":"
      "\"reasoning\",\"summary\":[],\"encrypted_content\":\"gAAAAAB2\"}]}",
      HEAD X TAIL "}", "thinking" },

    { "a string", "",
      READ "\"x\"}",
      HEAD X TAIL "}", "" },

    { "instructions", "",
      READ "\"x\",\"instructions\":\"i\",\"stream\":true,\"user\":\"u\"}",
      "{\"model\":\"m\",\"instructions\":\"i\",\"input\":[" X "],"
      "\"max_output_tokens\":400,\"stream\":true,\"store\":false,"
      "\"safety_identifier\":\"u\"}", "" },

    { "what the system says, alone", "",
      READ "[{\"role\":\"system\",\"content\":\"x\"}]}",
      HEAD "{\"type\":\"message\",\"role\":\"system\",\"content\":"
      "[{\"type\":\"input_text\",\"text\":\"x\"}]}" TAIL "}", "" },

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

    { "an effort above what the model takes", "e1",
      READ "\"x\",\"reasoning\":{\"effort\":\"xhigh\"}}",
      HEAD X TAIL KEEP ",\"reasoning\":{\"effort\":\"high\"}}",
      "reasoning_effort" },

    { "an effort between what the model takes", "e1",
      READ "\"x\",\"reasoning\":{\"effort\":\"medium\"}}",
      HEAD X TAIL KEEP ",\"reasoning\":{\"effort\":\"low\"}}",
      "reasoning_effort" },

    { "an effort that the model takes", "e1",
      READ "\"x\",\"reasoning\":{\"effort\":\"high\"}}",
      HEAD X TAIL KEEP ",\"reasoning\":{\"effort\":\"high\"}}", "" },

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
    test_memory();

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
        unit_target(&target, t->target, 400);

        if (strchr(t->target, '1')) {
            target.efforts = 1 << NGX_PULSE_EFFORT_LOW
                             | 1 << NGX_PULSE_EFFORT_HIGH;
        }

        body = unit_str(t->body);
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
    unit_target(&target, "e", 400);

    cv.pool = pool;
    cv.dialect = NGX_PULSE_DIALECT_ANTHROPIC;
    cv.n = 1;
    cv.budget = 5000;
    cv.nstops = 1;
    cv.stops[0] = unit_str("s");
    cv.top_k = unit_str("5");
    cv.seed = unit_str("5");
    target.max_tokens = 5;

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_DOCUMENT);
    part->media_type = unit_str("text/plain");
    part->data = unit_str("eA==");
    part->cache = unit_str("1h");
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_RESULT);
    part->id = unit_str("c");
    part->error = 1;
    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_ASSISTANT);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_REDACTED);
    part->data = unit_str("secret");

    tool = ngx_pulse_tool_add(&cv, pool);
    tool->name = unit_str("h");
    tool->custom = 1;
    tool->parameters = unit_str("{\"type\":\"grammar\",\"grammar\":"
                                "{\"definition\":\"a\",\"syntax\":"
                                "\"regex\"}}");

    check_int(ngx_pulse_responses_write(&cv, &target, pool, &dropped, &refusal,
                                        &b),
              NGX_OK);
    check_mem(b.data, b.len, expected, sizeof(expected) - 1);

    check_int(dropped.n, 7);
    check_str(&dropped.names[0], "cache_control");
    check_str(&dropped.names[1], "is_error");
    check_str(&dropped.names[2], "thinking");
    check_str(&dropped.names[3], "max_tokens");
    check_str(&dropped.names[4], "top_k");
    check_str(&dropped.names[5], "seed");
    check_str(&dropped.names[6], "stop");

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
        body = unit_str(t->body);

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
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    static const struct {
        ngx_pulse_dialect_t  *dialect;
        const char           *body;
        const char           *pointer;
        const char           *reason;
    } cases[] = {

        { RESPONSES, READ "[{\"role\":\"user\",\"content\":[]}]}", "/input",
          "has nothing that the model could answer" },

        { RESPONSES, READ "[{\"role\":\"user\",\"content\":[]}],"
          "\"instructions\":\"i\"}", "/input",
          "has nothing that the model could answer" },

        { OPENAI, "{\"n\":2,\"messages\":[" ASK "]}", "/n",
          "this model gives one answer only: n must be 1" },

        { OPENAI, "{\"messages\":[" ASK ",{\"role\":\"user\",\"content\":"
          "[{\"type\":\"text\",\"text\":\"x\"},{\"type\":"
          "\"input_audio\",\"input_audio\":{\"data\":\"AAAA\","
          "\"format\":\"wav\"}}]}]}", "/messages/1/content/1",
          "this model takes no audio" },

        { ANTHROPIC, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
          "\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
          "\"file\",\"file_id\":\"f\"}}]}]}", "/messages/0/content/0",
          "an image is stored at another provider: send it" },

        { ANTHROPIC, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
          "\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
          "\"file\",\"file_id\":\"f\"}}]}]}", "/messages/0/content/0",
          "a file is stored at another provider: send it" },

        { ANTHROPIC, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
          "\"content\":[{\"type\":\"container_upload\",\"file_id\":"
          "\"f\"}]}]}", "/messages/0/content/0",
          "the request has a part that only the vendor of its format"
          " understands" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].body);
        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));
        memset(&cv, 0, sizeof(cv));
        unit_target(&target, "h", 400);
        body = unit_str(cases[i].body);

        check_int(cases[i].dialect->read(&cv, pool, &body, &refusal), NGX_OK);
        check_int(ngx_pulse_responses_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_DECLINED);
        check_mem(refusal.pointer, strlen(refusal.pointer), cases[i].pointer,
                  strlen(cases[i].pointer));
        check_mem(refusal.reason, strlen(refusal.reason), cases[i].reason,
                  strlen(cases[i].reason));

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_unknown(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    pool = unit_pool();

    body = unit_str(READ "[{\"role\":\"assistant\",\"content\":\"x\","
                    "\"phase\":\"commentary\"},{\"type\":\"reasoning\","
                    "\"id\":\"rs_1\",\"summary\":[]}],\"metadata\":{},"
                    "\"store\":true,\"truncation\":\"auto\","
                    "\"service_tier\":\"flex\",\"top_logprobs\":3,"
                    "\"include\":[\"message.output_text.logprobs\"],"
                    "\"background\":false,\"previous_response_id\":null}");

    check_int(ngx_pulse_responses_read(&cv, pool, &body, &refusal), NGX_OK);

    check_int(cv.logprobs, 1);
    check_int(cv.top_logprobs, 3);

    check_int(cv.nunknown, 4);
    check_str(&cv.unknown[0], "store");
    check_str(&cv.unknown[1], "truncation");
    check_str(&cv.unknown[2], "phase");
    check_str(&cv.unknown[3], "reasoning");

    check_int(cv.nshared, 2);
    check_mem(cv.shared[0].name, strlen(cv.shared[0].name), "metadata", 8);
    check_mem(cv.shared[1].name, strlen(cv.shared[1].name), "service_tier",
              12);

    body = unit_str(READ "\"x\",\"store\":false,\"truncation\":\"disabled\","
                    "\"service_tier\":\"auto\",\"top_logprobs\":0}");

    check_int(ngx_pulse_responses_read(&cv, pool, &body, &refusal), NGX_OK);
    check_int(cv.nunknown, 0);

    ngx_destroy_pool(pool);
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

    body = unit_str(test_write_table[4].body);

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
