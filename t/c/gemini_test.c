
#include "unit.h"
#include "ngx_pulse_gemini.h"
#include "ngx_pulse_sse.h"

#include <dirent.h>


typedef struct {
    ngx_pool_t                *pool;
    u_char                    *state;
    ngx_pulse_collector_t      collector;
    ngx_pulse_conversation_t   cv;
    u_char                    *writer;
    ngx_pulse_buf_t            out;
    ngx_uint_t                 ends;
    ngx_uint_t                 errors;
    ngx_uint_t                 write;
} test_stream_t;


typedef struct {
    const char  *body;
    const char  *pointer;
    const char  *reason;
} test_refusal_t;


typedef struct {
    const char          *name;
    const char          *body;
    ngx_pulse_target_t   target;
    const char          *expected;
    const char          *dropped;
} test_write_t;


static void test_requests(void);
static void test_refusals(void);
static void test_schema(void);
static void test_links(void);
static void test_signatures(void);
static void test_writes(void);
static void test_limits(void);
static void test_partial(void);
static void test_blocked(void);
static void test_cut(void);
static void test_held(void);
static void test_errors(void);
static void test_memory(void);
static void test_recordings(void);
static void test_recording(const char *dir, ngx_pulse_json_value_t *record);
static void test_recorded_requests(const char *dir);
static void test_recorded_request(const char *name);

static void test_stream_init(test_stream_t *s, ngx_uint_t write);
static void test_stream_free(test_stream_t *s);
static ngx_int_t test_stream_sse(void *ctx, ngx_pulse_sse_event_t *ev);
static ngx_int_t test_stream_event(void *ctx, ngx_pulse_answer_event_t *ev);
static ngx_int_t test_stream_run(test_stream_t *s, const ngx_str_t *body,
    size_t first, size_t step);
static void test_same(ngx_pulse_collector_t *a, ngx_pulse_collector_t *b);
static void test_answer(test_stream_t *s, ngx_pulse_json_value_t *record);
static void test_check_calls(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *calls);
static void test_text(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    ngx_pulse_buf_t *b);
static ngx_uint_t test_equal(ngx_pulse_json_value_t *a,
    ngx_pulse_json_value_t *b);
static void test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const char *body);
static int64_t test_number(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t test_str(const char *s);


static const ngx_pulse_target_t  test_levels = {
    .max_tokens = 100, .forced_choice = 1, .effort = 1, .effort_none = 1,
    .https_images = 1, .sampling = 0
};


#define TEST_LEVELS                                                           \
    { .max_tokens = 100, .forced_choice = 1, .effort = 1, .effort_none = 1,   \
      .https_images = 1 }

#define TEST_BUDGET                                                           \
    { .max_tokens = 100, .forced_choice = 1, .thinking_budget = 1,            \
      .thinking_off = 1, .sampling = 1 }

#define TEST_PLAIN                                                            \
    { .max_tokens = 100, .sampling = 1 }

#define TEST_HEAD  "{\"contents\":[{\"role\":\"user\",\"parts\":"             \
                   "[{\"text\":\"x\"}]}]"
#define TEST_TAIL  ",\"generationConfig\":{\"maxOutputTokens\":100"


static test_refusal_t  test_refusal_table[] = {

    { "[]", "", "must be an object" },
    { "{}", "/contents", "is required" },
    { "{\"contents\":[]}", "/contents", "is required" },
    { "{\"contents\":\"x\"}", "/contents", "must be an object" },
    { "{\"contents\":[{\"role\":\"bot\",\"parts\":[]}]}", "/contents/0/role",
      "must be user or model" },
    { "{\"contents\":[{\"parts\":[{}]}]}", "/contents/0/parts/0",
      "has no data" },
    { "{\"contents\":[{\"parts\":[{\"text\":1}]}]}",
      "/contents/0/parts/0/text", "must be a string" },
    { "{\"contents\":[{\"parts\":[{\"inline_data\":{\"data\":\"eA==\"}}]}]}",
      "/contents/0/parts/0/inlineData/mimeType", "is required" },
    { "{\"contents\":[{\"parts\":[{\"inlineData\":\"x\"}]}]}",
      "/contents/0/parts/0/inlineData", "must be an object" },
    { "{\"contents\":[{\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]}]}",
      "/contents/0/parts/0/functionCall", "must be in a content of the model" },
    { "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":"
      "{\"name\":\"f\",\"args\":\"{}\"}}]}]}",
      "/contents/0/parts/0/functionCall/args", "must be an object" },
    { "{\"contents\":[{\"parts\":[{\"functionResponse\":{\"name\":\"f\"}}]}]}",
      "/contents/0/parts/0/functionResponse",
      "answers no functionCall before it" },
    { TEST_HEAD ",\"generationConfig\":{\"topP\":\"1\"}}",
      "/generationConfig/topP", "must be a number" },
    { TEST_HEAD ",\"generationConfig\":{\"maxOutputTokens\":0}}",
      "/generationConfig/maxOutputTokens", "is too small" },
    { TEST_HEAD ",\"generationConfig\":{\"candidateCount\":1000}}",
      "/generationConfig/candidateCount", "is too large" },
    { TEST_HEAD ",\"generationConfig\":{\"stopSequences\":[1]}}",
      "/generationConfig/stopSequences/0", "must be a string" },
    { TEST_HEAD ",\"generationConfig\":{\"responseMimeType\":\"text/x.enum\"}"
      "}", "/generationConfig/responseMimeType",
      "must be application/json or text/plain" },
    { TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{\"thinkingLevel\":"
      "\"ultra\"}}}", "/generationConfig/thinkingConfig/thinkingLevel",
      "must be MINIMAL, LOW, MEDIUM or HIGH" },
    { TEST_HEAD ",\"tools\":[1]}", "/tools/0", "must be an object" },
    { TEST_HEAD ",\"tools\":[{\"functionDeclarations\":[{}]}]}",
      "/tools/0/functionDeclarations/0/name", "is required" },
    { TEST_HEAD ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"all\"}"
      "}}", "/toolConfig/functionCallingConfig/mode",
      "must be AUTO, ANY, NONE or VALIDATED" },
    { TEST_HEAD ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\","
      "\"allowedFunctionNames\":[\"f\"]}}}",
      "/toolConfig/functionCallingConfig/allowedFunctionNames",
      "names no function of the request" },
    { TEST_HEAD ",\"systemInstruction\":\"x\"}", "/systemInstruction",
      "must be an object" },
    { TEST_HEAD, "", "the JSON text ends too early" },
    { NULL, NULL, NULL }
};


static test_write_t  test_write_table[] = {

    { "a question", TEST_HEAD "}", TEST_PLAIN,
      TEST_HEAD TEST_TAIL "}}", "" },

    { "snake_case, single values for lists",
      "{\"system_instruction\":{\"parts\":{\"text\":\"s\"}},\"contents\":"
      "{\"parts\":{\"text\":\"x\"}},\"generation_config\":{\"top_p\":0.5,"
      "\"stop_sequences\":[\"a\",\"b\"],\"seed\":7}}", TEST_PLAIN,
      "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},"
      "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}]"
      TEST_TAIL ",\"topP\":0.5,\"seed\":7,\"stopSequences\":[\"a\",\"b\"]}}",
      "" },

    { "sampling where there is none",
      TEST_HEAD ",\"generationConfig\":{\"temperature\":1.0,\"topP\":0.5,"
      "\"topK\":3,\"presencePenalty\":1,\"frequencyPenalty\":1,"
      "\"seed\":99999999999}}", TEST_LEVELS,
      TEST_HEAD TEST_TAIL "}}",
      "temperature,top_p,top_k,presence_penalty,frequency_penalty,seed" },

    { "roles merged, empty texts left out",
      "{\"contents\":[{\"parts\":[{\"text\":\"a\"}]},{\"role\":\"user\","
      "\"parts\":[{\"text\":\"\"},{\"text\":\"b\"}]},{\"role\":\"model\","
      "\"parts\":[{\"text\":\"\"}]},{\"parts\":[{\"text\":\"c\"}]}]}",
      TEST_PLAIN,
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},"
      "{\"text\":\"b\"},{\"text\":\"c\"}]}]" TEST_TAIL "}}", "" },

    { "nothing said",
      "{\"contents\":[{\"parts\":[{\"text\":\"\"}]}]}", TEST_PLAIN,
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"\"}]}]"
      TEST_TAIL "}}", "" },

    { "calls and results, linked by name, the first one signed",
      "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]},{\"role\":\"model\","
      "\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\": 1}}},"
      "{\"functionCall\":{\"name\":\"f\"}}]},{\"parts\":["
      "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":\"y\"}}"
      "},{\"functionResponse\":{\"name\":\"f\",\"response\":{\"error\":"
      "\"z\"}}}]}]}", TEST_LEVELS,
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]},"
      "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"call_1\","
      "\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":"
      "\"skip_thought_signature_validator\"},{\"functionCall\":{\"id\":"
      "\"call_2\",\"name\":\"f\",\"args\":{}}}]},{\"role\":\"user\","
      "\"parts\":[{\"functionResponse\":{\"id\":\"call_1\",\"name\":\"f\","
      "\"response\":{\"result\":\"y\"}}},{\"functionResponse\":{\"id\":"
      "\"call_2\",\"name\":\"f\",\"response\":{\"error\":\"z\"}}}]}]"
      TEST_TAIL "}}", "" },

    { "calls of a question before need no signature",
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":"
      "{\"id\":\"1\",\"name\":\"f\",\"args\":{}}}]},{\"parts\":["
      "{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\",\"response\":"
      "{\"a\":[1]}}},{\"text\":\"and?\"}]}]}", TEST_LEVELS,
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":"
      "{\"id\":\"1\",\"name\":\"f\",\"args\":{}}}]},{\"role\":\"user\","
      "\"parts\":[{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\","
      "\"response\":{\"a\":[1]}}},{\"text\":\"and?\"}]}]" TEST_TAIL "}}",
      "" },

    { "an image of a result, in it",
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":"
      "{\"id\":\"1\",\"name\":\"f\"},\"thoughtSignature\":\"c2ln\"}]},"
      "{\"parts\":[{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\","
      "\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":"
      "\"_-8=\"}}]}}]}]}", TEST_LEVELS,
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":"
      "{\"id\":\"1\",\"name\":\"f\",\"args\":{}},\"thoughtSignature\":"
      "\"c2ln\"}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{"
      "\"id\":\"1\",\"name\":\"f\",\"response\":{\"result\":\"\"},\"parts\":"
      "[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"/+8=\"}}]}}]}]"
      TEST_TAIL "}}", "" },

    { "an image of a result, beside it",
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":"
      "{\"id\":\"1\",\"name\":\"f\"}}]},"
      "{\"parts\":[{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\","
      "\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":"
      "\"eA==\"}}]}}]}]}", TEST_BUDGET,
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":"
      "{\"id\":\"1\",\"name\":\"f\",\"args\":{}}}]},{\"role\":\"user\","
      "\"parts\":[{\"functionResponse\":{\"id\":\"1\",\"name\":\"f\","
      "\"response\":{\"result\":\"\"}}},"
      "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"eA==\"}}]}]"
      TEST_TAIL "}}", "" },

    { "files and parts of Google's own",
      "{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":\"image/png\","
      "\"fileUri\":\"https://example.com/a.png\"}},{\"fileData\":{"
      "\"fileUri\":\"https://example.com/v\"}},{\"inlineData\":{\"mimeType\":"
      "\"video/mp4\",\"data\":\"eA==\"}}]}]}", TEST_LEVELS,
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"fileData\":{"
      "\"mimeType\":\"image/png\",\"fileUri\":\"https://example.com/a.png\"}"
      "},{\"fileData\":{\"fileUri\":\"https://example.com/v\"}},"
      "{\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"eA==\"}}]}]"
      TEST_TAIL "}}", "" },

    { "tools and a named choice",
      TEST_HEAD ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","
      "\"description\":\"d\",\"parameters\":{\"type\":\"OBJECT\"}},"
      "{\"name\":\"g\"}]},{\"googleSearch\":{}}],\"toolConfig\":{"
      "\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":"
      "[\"g\"]}}}", TEST_LEVELS,
      TEST_HEAD ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","
      "\"description\":\"d\",\"parametersJsonSchema\":{\"type\":\"object\"}},"
      "{\"name\":\"g\"}]},{\"googleSearch\":{}}],\"toolConfig\":{"
      "\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":"
      "[\"g\"]}}" TEST_TAIL "}}", "" },

    { "some of the tools allowed, a choice that cannot be forced",
      TEST_HEAD ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\"},"
      "{\"name\":\"g\"},{\"name\":\"h\"}]}],\"toolConfig\":{"
      "\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":"
      "[\"h\",\"g\"]}}}", TEST_PLAIN,
      TEST_HEAD ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"g\"},"
      "{\"name\":\"h\"}]}],\"toolConfig\":{"
      "\"functionCallingConfig\":{\"mode\":\"AUTO\"}}" TEST_TAIL "}}",
      "tool_choice" },

    { "a schema of the answer",
      TEST_HEAD ",\"generationConfig\":{\"responseMimeType\":"
      "\"application/json\",\"responseJsonSchema\":{\"type\":\"object\"}}}",
      TEST_PLAIN,
      TEST_HEAD TEST_TAIL ",\"responseMimeType\":\"application/json\","
      "\"responseJsonSchema\":{\"type\":\"object\"}}}", "" },

    { "a level as tokens",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingLevel\":\"medium\",\"includeThoughts\":true}}}", TEST_BUDGET,
      TEST_HEAD TEST_TAIL ",\"thinkingConfig\":{\"thinkingBudget\":8192,"
      "\"includeThoughts\":true}}}", "" },

    { "tokens as a level",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingBudget\":2000}}}", TEST_LEVELS,
      TEST_HEAD TEST_TAIL ",\"thinkingConfig\":{\"thinkingLevel\":\"LOW\"}}}",
      "" },

    { "no thinking",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingBudget\":0}}}", TEST_BUDGET,
      TEST_HEAD TEST_TAIL ",\"thinkingConfig\":{\"thinkingBudget\":0}}}",
      "" },

    { "as little thinking as there is",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingBudget\":0}}}", TEST_LEVELS,
      TEST_HEAD TEST_TAIL ",\"thinkingConfig\":{\"thinkingLevel\":"
      "\"MINIMAL\"}}}", "" },

    { "thinking of a model that does not",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingBudget\":500,\"thinkingLevel\":\"HIGH\"}}}", TEST_PLAIN,
      TEST_HEAD TEST_TAIL "}}", "effort,budget_tokens" },

    { NULL, NULL, TEST_PLAIN, NULL, NULL }
};


int
main(void)
{
    test_requests();
    test_refusals();
    test_schema();
    test_links();
    test_signatures();
    test_writes();
    test_limits();
    test_partial();
    test_blocked();
    test_cut();
    test_held();
    test_errors();
    test_memory();
    test_recordings();

    return unit_done();
}


static void
test_requests(void)
{
    ngx_pool_t                *pool;
    ngx_pulse_tool_t          *tool;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_conversation_t   cv;

    unit_case("a request");

    pool = unit_pool();

    test_read(&cv, pool,
        "{\"model\":\"models/m\",\"contents\":[{\"parts\":[{\"text\":\"x\"},"
        "{\"executableCode\":{\"code\":\"1\"}}]}],\"safetySettings\":[],"
        "\"tools\":[{\"google_search\":{},\"codeExecution\":{\"a\":1}}],"
        "\"generationConfig\":{\"responseModalities\":[\"TEXT\"],"
        "\"speechConfig\":{},\"thinkingConfig\":{\"thinkingBudget\":-1}},"
        "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"VALIDATED\"}}"
        "}");

    check(cv.pool == pool);
    check_str(&cv.model, "m");
    check_int(cv.nunknown, 3);
    check_str(&cv.unknown[0], "speechConfig");
    check_str(&cv.unknown[1], "mode");
    check_str(&cv.unknown[2], "safetySettings");
    check_int(cv.adaptive, 1);
    check_int(cv.choice, NGX_PULSE_CHOICE_AUTO);

    tool = cv.tools;
    check_str(&tool->name, "googleSearch");
    check_str(&tool->raw, "{\"googleSearch\":{}}");
    check_str(&tool->next->raw, "{\"codeExecution\":{\"a\":1}}");
    check_int(tool->next->dialect, NGX_PULSE_DIALECT_GEMINI);

    turn = cv.turns;
    check_int(turn->parts->next->type, NGX_PULSE_PART_RAW);
    check_str(&turn->parts->next->name, "executableCode");
    check_str(&turn->parts->next->data,
              "{\"executableCode\":{\"code\":\"1\"}}");

    unit_case("a request inside another");

    test_read(&cv, pool, "{\"generate_content_request\":{\"model\":\"n\","
                         "\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}}");
    check_str(&cv.model, "n");

    ngx_destroy_pool(pool);
    unit_case(NULL);
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

        check_int(ngx_pulse_gemini_read(&cv, pool, &body, &refusal),
                  NGX_DECLINED);
        check_mem(refusal.pointer, strlen(refusal.pointer), t->pointer,
                  strlen(t->pointer));
        check_mem(refusal.reason, strlen(refusal.reason), t->reason,
                  strlen(t->reason));

        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_schema(void)
{
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;

    unit_case("a schema of Google's");

    pool = unit_pool();

    test_read(&cv, pool,
        TEST_HEAD ",\"generation_config\":{\"response_mime_type\":"
        "\"application/json\",\"response_schema\":{\"type\":\"OBJECT\","
        "\"property_ordering\":[\"type\"],\"properties\":{\"type\":{"
        "\"type\":\"STRING\",\"format\":\"enum\",\"enum\":[\"A\",\"B\"],"
        "\"nullable\":true},\"max_items\":{\"type\":\"ARRAY\",\"maxItems\":"
        "\"3\",\"items\":{\"any_of\":[{\"type\":\"NUMBER\",\"format\":"
        "\"float\"},{\"ref\":\"#/$defs/x\"}]}}}}}}");

    check_int(cv.format, NGX_PULSE_FORMAT_SCHEMA);
    check_str(&cv.format_schema,
        "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":"
        "[\"string\",\"null\"],\"enum\":[\"A\",\"B\",null]},\"max_items\":"
        "{\"type\":\"array\",\"maxItems\":3,\"items\":{\"anyOf\":["
        "{\"type\":\"number\",\"format\":\"float\"},"
        "{\"$ref\":\"#/$defs/x\"}]}}}}");

    ngx_destroy_pool(pool);
    unit_case(NULL);
}


/* results find their calls by id, and only then by name in order */

static void
test_links(void)
{
    ngx_pool_t                *pool;
    ngx_pulse_part_t          *part;
    ngx_pulse_conversation_t   cv;

    unit_case("links");

    pool = unit_pool();

    test_read(&cv, pool,
        "{\"contents\":[{\"role\":\"model\",\"parts\":["
        "{\"functionCall\":{\"name\":\"f\",\"id\":\"a\"}},"
        "{\"functionCall\":{\"name\":\"f\",\"id\":\"b\"}},"
        "{\"functionCall\":{\"name\":\"g\"}}]},{\"parts\":["
        "{\"functionResponse\":{\"name\":\"g\"}},"
        "{\"functionResponse\":{\"name\":\"f\",\"id\":\"b\",\"response\":"
        "{ \"x\" : \"y z\" }}},"
        "{\"functionResponse\":{\"name\":\"f\"}}]}]}");

    part = cv.turns->next->parts;

    check_str(&part->id, "call_3");
    check_str(&part->next->id, "b");
    check_str(&part->next->content->text, "{\"x\":\"y z\"}");
    check_str(&part->next->next->id, "a");

    ngx_destroy_pool(pool);
    unit_case(NULL);
}


/* what another vendor signed comes back as it was, also from SDKs that write
 * base64 in another way; what Gemini signed stays with a text */

static void
test_signatures(void)
{
    size_t                      i;
    u_char                     *p;
    ngx_str_t                   body;
    ngx_pulse_buf_t             b;
    test_stream_t               s;
    ngx_pulse_part_t           *part;
    ngx_pulse_conversation_t    cv;
    ngx_pulse_answer_event_t    ev;

    unit_case("signatures of another vendor");

    test_stream_init(&s, 0);
    memset(&ev, 0, sizeof(ev));

    ev.type = NGX_PULSE_ANSWER_THINKING;
    ev.text = test_str("hm");
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_SIGNATURE;
    ev.text = test_str("a+/b???\xc3\xbf\xc3\xbe=");
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_REDACTED;
    ev.text = test_str("secret");
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_END;
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"contents\":[{\"role\":\"model\",\"parts\":");

    ngx_pulse_gemini_write_answer(&s.collector, &s.cv, 0, &s.out);
    ngx_pulse_buf_char(&s.out, '\0');

    p = (u_char *) strstr((char *) s.out.data, "[{\"text\"");
    check(p != NULL);
    ngx_pulse_buf_append(&b, p, strchr((char *) p, ']') + 1 - (char *) p);
    ngx_pulse_buf_literal(&b, "}]}");

    for (i = 0; i < 2; i++) {
        body.data = b.data;
        body.len = b.len;

        check_int(ngx_pulse_gemini_read(&cv, s.pool, &body,
                                        &(ngx_pulse_chat_refusal_t) { 0 }),
                  NGX_OK);

        part = cv.turns->parts;
        check_int(part->type, NGX_PULSE_PART_THINKING);
        check_str(&part->text, "hm");
        check_str(&part->signature, "a+/b???\xc3\xbf\xc3\xbe=");

        part = part->next;
        check_int(part->type, NGX_PULSE_PART_REDACTED);
        check_str(&part->data, "secret");

        for (p = b.data; p < b.data + b.len; p++) {
            *p = (*p == '+') ? '-' : (*p == '/') ? '_' : *p;
        }
    }

    ngx_pulse_buf_free(&b);

    unit_case("signatures of Gemini");

    test_read(&cv, s.pool,
        "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"thought\":true,"
        "\"text\":\"hm\",\"thoughtSignature\":\"Q2ln\"},{\"thought_signature\""
        ":\"Q2lo\"}]}]}");

    part = cv.turns->parts;
    check_int(part->type, NGX_PULSE_PART_THINKING);
    check_int(part->signature.len, 0);

    part = part->next;
    check_int(part->type, NGX_PULSE_PART_TEXT);
    check_int(part->text.len, 0);
    check_str(&part->signature, "Q2ln");
    check_str(&part->next->signature, "Q2lo");

    test_stream_free(&s);
    unit_case(NULL);
}


static void
test_writes(void)
{
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    test_write_t              *t;
    ngx_pulse_buf_t            b, names;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (t = test_write_table; t->name; t++) {
        unit_case("%s", t->name);

        pool = unit_pool();
        memset(&dropped, 0, sizeof(dropped));
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_init(&names, 0);

        test_read(&cv, pool, t->body);

        check_int(ngx_pulse_gemini_write(&cv, &t->target, pool, &dropped,
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

        ngx_pulse_buf_free(&b);
        ngx_pulse_buf_free(&names);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* what cannot be said is refused, not left out */

static void
test_limits(void)
{
    ngx_pool_t                *pool;
    ngx_uint_t                 i;
    ngx_pulse_buf_t            b;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_target_t         target;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    static const char  *bodies[] = {
        TEST_HEAD ",\"generationConfig\":{\"candidateCount\":2}}",
        TEST_HEAD ",\"generationConfig\":{\"stopSequences\":[\"1\",\"2\","
        "\"3\",\"4\",\"5\",\"6\"]}}",
        "{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":\"image/png\","
        "\"fileUri\":\"https://example.com/a\"}}]}]}"
    };

    target = test_levels;
    target.https_images = 0;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        unit_case("%s", bodies[i]);

        pool = unit_pool();
        memset(&dropped, 0, sizeof(dropped));
        memset(&refusal, 0, sizeof(refusal));
        ngx_pulse_buf_init(&b, 0);

        test_read(&cv, pool, bodies[i]);
        check_int(ngx_pulse_gemini_write(&cv, &target, pool, &dropped,
                                         &refusal, &b),
                  NGX_DECLINED);
        check(refusal.reason != NULL);

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* arguments at paths become the text of one object */

static void
test_partial(void)
{
    size_t         i;
    ngx_str_t      body;
    test_stream_t  s;

    static const char  good[] =
        "[{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{"
        "\"name\":\"f\",\"willContinue\":true},\"thoughtSignature\":\"c2ln\"}]"
        "}}]},{\"candidates\":[{\"content\":{\"parts\":["
        "{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0].b\","
        "\"stringValue\":\"x\\\"\",\"willContinue\":true}],\"willContinue\":"
        "true}},{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":"
        "\"$.a[0].b\",\"stringValue\":\"y\\n\"},{\"jsonPath\":\"$.a[0].c\","
        "\"numberValue\":1.5}],\"willContinue\":true}},{\"functionCall\":{"
        "\"partialArgs\":[{\"jsonPath\":\"$.a[1]\",\"boolValue\":true},"
        "{\"jsonPath\":\"$['d e'].f\",\"nullValue\":\"NULL_VALUE\"}],"
        "\"willContinue\":true}},{\"functionCall\":{}}]},\"finishReason\":"
        "\"STOP\"}]}]";

    static const char  *bad[] = {
        "{\"jsonPath\":\"$.a\"},{\"jsonPath\":\"$.a\"}",
        "{\"jsonPath\":\"$.a.b\"},{\"jsonPath\":\"$.a\"}",
        "{\"jsonPath\":\"$.a\"},{\"jsonPath\":\"$.a.b\"}",
        "{\"jsonPath\":\"$\"}", "{\"jsonPath\":\"\"}", "{}",
        "{\"jsonPath\":\"$[0]\"}", "{\"jsonPath\":\"$.a[\"}",
        "{\"jsonPath\":\"$['a\"}", "{\"jsonPath\":\"$.\"}",
        "{\"jsonPath\":\"$.a\",\"stringValue\":1}",
        "{\"jsonPath\":\"$.a\",\"numberValue\":\"1\"}"
    };

    unit_case("arguments at paths");

    test_stream_init(&s, 0);
    body = test_str(good);
    check_int(test_stream_run(&s, &body, 0, 0), NGX_OK);

    check_str(&s.collector.parts->arguments,
              "{\"a\":[{\"b\":\"x\\\"y\\n\",\"c\":1.5},true],"
              "\"d e\":{\"f\":null}}");
    check_str(&s.collector.parts->signature, "c2ln");
    check_int(s.collector.finish, NGX_PULSE_FINISH_CALLS);
    test_stream_free(&s);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i]);

        test_stream_init(&s, 0);

        ngx_pulse_buf_literal(&s.out,
            "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{"
            "\"name\":\"f\",\"partialArgs\":[");
        ngx_pulse_buf_append(&s.out, (u_char *) bad[i], strlen(bad[i]));
        ngx_pulse_buf_literal(&s.out, "]}}]}}]}");

        body.data = s.out.data;
        body.len = s.out.len;
        check_int(test_stream_run(&s, &body, 0, 0), NGX_ERROR);

        test_stream_free(&s);
    }

    unit_case(NULL);
}


static void
test_blocked(void)
{
    ngx_str_t      body;
    test_stream_t  s;

    unit_case("a prompt that was blocked");

    test_stream_init(&s, 0);
    body = test_str("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},"
                    "\"usageMetadata\":{\"promptTokenCount\":5,"
                    "\"totalTokenCount\":5}}");
    check_int(test_stream_run(&s, &body, 0, 0), NGX_OK);
    check_int(s.collector.finish, NGX_PULSE_FINISH_FILTER);
    check_str(&s.collector.native, "SAFETY");
    check_int(s.collector.usage.input, 5);
    check(s.collector.parts == NULL);
    test_stream_free(&s);

    unit_case("an answer that failed");

    test_stream_init(&s, 0);
    body = test_str("{\"candidates\":[{\"finishReason\":"
                    "\"MALFORMED_FUNCTION_CALL\"}]}");
    check_int(test_stream_run(&s, &body, 0, 0), NGX_OK);
    check_int(s.collector.finish, NGX_PULSE_FINISH_ERROR);
    test_stream_free(&s);

    unit_case(NULL);
}


/* a stream without its end is an error, and what it cost is known */

static void
test_cut(void)
{
    ngx_str_t      body, out;
    test_stream_t  s;

    unit_case("a stream that was cut");

    test_stream_init(&s, 1);
    body = test_str("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\""
                    ":\"x\"}]}}],\"usageMetadata\":{\"promptTokenCount\":5,"
                    "\"candidatesTokenCount\":2}}\r\n\r\n");
    check_int(test_stream_run(&s, &body, 1, 1), NGX_OK);
    check_int(s.collector.failed, 1);
    check_int(s.collector.usage.output, 2);
    check_int(s.errors, 1);
    check_int(s.ends, 0);
    out.data = s.out.data;
    out.len = s.out.len;
    check_str(&out,
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}],"
        "\"role\":\"model\"},\"index\":0}]}\r\n\r\n"
        "data: {\"error\":{\"code\":503,\"message\":\"the provider's answer "
        "ended too early\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n");
    test_stream_free(&s);

    unit_case("an error in a stream");

    test_stream_init(&s, 0);
    body = test_str("data: {\"error\":{\"code\":402,\"message\":\"m\","
                    "\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n");
    check_int(test_stream_run(&s, &body, 1, 1), NGX_OK);
    check_int(s.collector.failed, 1);
    check_int(s.collector.error.quota, 1);
    check_str(&s.collector.error.message, "m");
    test_stream_free(&s);

    unit_case("no JSON, no object");

    test_stream_init(&s, 0);
    body = test_str("{\"candidates\":[");
    check_int(test_stream_run(&s, &body, 0, 0), NGX_ERROR);
    body = test_str("1");
    check_int(test_stream_run(&s, &body, 0, 0), NGX_ERROR);
    body = test_str("[1]");
    check_int(test_stream_run(&s, &body, 0, 0), NGX_ERROR);
    test_stream_free(&s);

    unit_case(NULL);
}


/* calls side by side, in deltas, one of them cut short */

static void
test_held(void)
{
    ngx_uint_t                 i;
    test_stream_t              s;
    ngx_pulse_answer_event_t   ev;

    static const struct {
        ngx_pulse_answer_e   type;
        ngx_uint_t           index;
        const char          *text;
    } events[] = {
        { NGX_PULSE_ANSWER_CALL, 0, "f" },
        { NGX_PULSE_ANSWER_ARGUMENTS, 0, "{\"a\": " },
        { NGX_PULSE_ANSWER_CALL, 1, "g" },
        { NGX_PULSE_ANSWER_ARGUMENTS, 0, "\"b c\" }" },
        { NGX_PULSE_ANSWER_ARGUMENTS, 1, "{\"d" },
        { NGX_PULSE_ANSWER_CALL_END, 0, "" },
        { NGX_PULSE_ANSWER_CALL, 2, "h" },
        { NGX_PULSE_ANSWER_FINISH, 0, "" },
        { NGX_PULSE_ANSWER_END, 0, "" }
    };

    static const char  expected[] =
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":"
        "{\"name\":\"f\",\"args\":{\"a\":\"b c\"}}}],\"role\":\"model\"},"
        "\"index\":0}]}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":"
        "{\"name\":\"g\",\"args\":{\"INVALID_JSON\":\"{\\\"d\"}}}],\"role\":"
        "\"model\"},\"index\":0}]}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":"
        "{\"name\":\"h\",\"args\":{}}}],\"role\":\"model\"},"
        "\"index\":0}]}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],"
        "\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\",\"index\":0}]}"
        "\r\n\r\n";

    unit_case("calls side by side");

    test_stream_init(&s, 1);

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        memset(&ev, 0, sizeof(ev));

        ev.type = events[i].type;
        ev.index = events[i].index;
        ev.finish = NGX_PULSE_FINISH_LENGTH;
        ev.name = test_str(events[i].text);
        ev.text = test_str(events[i].text);

        ngx_pulse_gemini_write_event(s.writer, &s.cv, &ev, &s.out);
    }

    check_int(s.out.failed, 0);
    check_mem(s.out.data, s.out.len, expected, sizeof(expected) - 1);

    test_stream_free(&s);
    unit_case(NULL);
}


static void
test_errors(void)
{
    ngx_str_t                body;
    ngx_pool_t              *pool;
    ngx_pulse_buf_t          b;
    ngx_pulse_chat_error_t   error;

    unit_case("bodies of errors");

    pool = unit_pool();

    body = test_str("[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":"
                    "\"RESOURCE_EXHAUSTED\",\"details\":[1,{\"@type\":"
                    "\"type.googleapis.com/google.rpc.RetryInfo\","
                    "\"retryDelay\":\"34.45s\"}]}}]");
    check_int(ngx_pulse_gemini_read_error(&error, pool, body.data, body.len),
              NGX_OK);
    check_str(&error.message, "m");
    check_str(&error.type, "RESOURCE_EXHAUSTED");
    check_str(&error.code, "429");
    check_int(error.quota, 0);
    check_int(error.retry, 34450);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_gemini_write_error(&error, 429, &b);
    body.data = b.data;
    body.len = b.len;
    check_str(&body,
        "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":"
        "\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":"
        "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"35s\"}"
        "]}}");
    ngx_pulse_buf_free(&b);

    body = test_str("{\"error\":{\"code\":400,\"message\":\"m\",\"details\":["
                    "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
                    "\"reason\":\"API_KEY_INVALID\"}]}}");
    check_int(ngx_pulse_gemini_read_error(&error, pool, body.data, body.len),
              NGX_OK);
    check_str(&error.code, "API_KEY_INVALID");

    body = test_str("{\"candidates\":[]}");
    check_int(ngx_pulse_gemini_read_error(&error, pool, body.data, body.len),
              NGX_DECLINED);

    body = test_str("<html>");
    check_int(ngx_pulse_gemini_read_error(&error, pool, body.data, body.len),
              NGX_DECLINED);

    ngx_destroy_pool(pool);
    unit_case(NULL);
}


/* each allocation fails once: nothing is lost or freed twice */

static void
test_memory(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    unit_case("without memory");

    body = test_str(test_write_table[5].body);

    for (i = 2; /* void */ ; i++) {
        unit_fail_allocation(0);
        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));

        unit_fail_allocation(i);
        rc = ngx_pulse_gemini_read(&cv, pool, &body, &refusal);

        if (rc == NGX_OK) {
            rc = ngx_pulse_gemini_write(&cv, &test_levels, pool, &dropped,
                                        &refusal, &b);
        }

        unit_fail_allocation(0);
        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);

        if (rc == NGX_OK) {
            break;
        }

        check_int(rc, NGX_ERROR);
    }

    check(i > 10);
    unit_case(NULL);
}


static void
test_recordings(void)
{
    char                      dir[1024], name[1100];
    ngx_str_t                 text, file;
    ngx_uint_t                n;
    ngx_pool_t               *pool;
    const char               *shared;
    ngx_pulse_json_error_t    err;
    ngx_pulse_json_value_t   *root, *record;
    ngx_pulse_json_limits_t   limits;

    shared = unit_shared();
    if (shared == NULL) {
        return;
    }

    (void) snprintf(dir, sizeof(dir), "%s/data/recordings", shared);
    (void) snprintf(name, sizeof(name), "%s/expected.json", dir);

    text = unit_file(name);
    check(text.data != NULL);

    limits.size = text.len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = text.len;
    limits.keys = text.len;

    pool = unit_pool();
    root = ngx_pulse_json_tree(pool, text.data, text.len, &limits, &err);
    check(root != NULL);

    n = 0;

    for (record = root->children; record; record = record->next) {
        file = ngx_pulse_json_get(record, "file")->string;

        if (file.len > 7 && memcmp(file.data, "gemini/", 7) == 0) {
            test_recording(dir, record);
            n++;
        }
    }

    check_int(n, 100);

    test_recorded_requests(dir);

    free(text.data);
    ngx_destroy_pool(pool);
    unit_case(NULL);
}


static void
test_recording(const char *dir, ngx_pulse_json_value_t *record)
{
    char                     name[1200];
    size_t                   i, step;
    ngx_str_t                file, body, out;
    ngx_uint_t               sse;
    test_stream_t            whole, s, back;
    ngx_pulse_buf_t          b;
    ngx_pulse_chat_error_t   error;

    file = ngx_pulse_json_get(record, "file")->string;
    (void) snprintf(name, sizeof(name), "%s/%.*s", dir, (int) file.len,
                    file.data);

    unit_case("%.*s", (int) file.len, file.data);

    body = unit_file(name);
    check(body.data != NULL);

    if (test_number(record, "http_status") >= 400) {
        test_stream_init(&s, 0);
        check_int(ngx_pulse_gemini_read_error(&error, s.pool, body.data,
                                              body.len),
                  NGX_OK);
        check(error.message.len > 0 && error.type.len > 0);
        test_stream_free(&s);
        free(body.data);
        return;
    }

    sse = (memcmp(file.data + file.len - 4, ".sse", 4) == 0);

    test_stream_init(&whole, 1);
    check_int(test_stream_run(&whole, &body, sse ? body.len : 0, body.len),
              NGX_OK);
    test_answer(&whole, record);

    /* our own stream and whole answer read back */

    test_stream_init(&back, 0);
    out.data = whole.out.data;
    out.len = whole.out.len;
    check_int(test_stream_run(&back, &out, out.len, out.len), NGX_OK);
    test_same(&whole.collector, &back.collector);
    test_stream_free(&back);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_gemini_write_answer(&whole.collector, &whole.cv, 0, &b);
    out.data = b.data;
    out.len = b.len;
    test_stream_init(&back, 0);
    check_int(test_stream_run(&back, &out, 0, 0), NGX_OK);
    test_same(&whole.collector, &back.collector);
    test_stream_free(&back);
    ngx_pulse_buf_free(&b);

    /* cut at each byte, or at some of a long one; then byte by byte */

    step = (body.len > 4096) ? body.len / 61 : 1;

    for (i = 1; sse && i < body.len; i += step) {
        test_stream_init(&s, 0);
        check_int(test_stream_run(&s, &body, i, body.len), NGX_OK);
        test_same(&whole.collector, &s.collector);
        test_stream_free(&s);
    }

    if (sse) {
        test_stream_init(&s, 0);
        check_int(test_stream_run(&s, &body, 1, 1), NGX_OK);
        test_same(&whole.collector, &s.collector);
        test_stream_free(&s);
    }

    test_stream_free(&whole);
    free(body.data);
}


static void
test_answer(test_stream_t *s, ngx_pulse_json_value_t *record)
{
    ngx_str_t                text, reason;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *usage, *v;

    static const char  *finishes[] = {
        "stop", "length", "tool_calls", "content_filter", "error"
    };

    ngx_pulse_buf_init(&b, 0);

    check_int(s->ends, 1);
    check_int(s->errors, 0);

    text = ngx_pulse_json_get(record, "text")->string;
    test_text(&s->collector, NGX_PULSE_PART_TEXT, &b);
    check_mem(b.data, b.len, text.data, text.len);

    v = ngx_pulse_json_get(record, "reasoning");
    b.len = 0;
    test_text(&s->collector, NGX_PULSE_PART_THINKING, &b);
    check_mem(b.data, b.len, v ? v->string.data : NULL,
              v ? v->string.len : 0);

    reason = ngx_pulse_json_get(record, "finish_reason")->string;
    check_mem(reason.data, reason.len, finishes[s->collector.finish],
              strlen(finishes[s->collector.finish]));

    usage = ngx_pulse_json_get(record, "usage");
    check_int(s->collector.usage.known, 1);
    check_int(s->collector.usage.input, test_number(usage, "input_tokens"));
    check_int(s->collector.usage.cached,
              test_number(usage, "cached_input_tokens"));
    check_int(s->collector.usage.output, test_number(usage, "output_tokens"));
    check_int(s->collector.usage.reasoning,
              test_number(usage, "reasoning_tokens"));

    v = ngx_pulse_json_get(record, "id");
    check_mem(s->collector.id.data, s->collector.id.len, v->string.data,
              v->string.len);
    v = ngx_pulse_json_get(record, "model");
    check_mem(s->collector.model.data, s->collector.model.len, v->string.data,
              v->string.len);

    test_check_calls(&s->collector, ngx_pulse_json_get(record, "tool_calls"));

    ngx_pulse_buf_free(&b);
}


static void
test_check_calls(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *calls)
{
    ngx_str_t                name;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *call, *v, *arguments;

    call = calls->children;

    for (part = collector->parts; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_CALL) {
            continue;
        }

        check(call != NULL);

        if (call == NULL) {
            return;
        }

        name = ngx_pulse_json_get(call, "name")->string;
        check_mem(part->name.data, part->name.len, name.data, name.len);
        check(part->id.len > 5 && part->id.len <= 40);

        v = ngx_pulse_json_get(call, "id");

        if (v->type == NGX_PULSE_JSON_STRING) {
            check_mem(part->id.data, part->id.len, v->string.data,
                      v->string.len);
        }

        arguments = ngx_pulse_json_tree(collector->pool, part->arguments.data,
                                        part->arguments.len, NULL, &err);
        check(arguments != NULL && arguments->type == NGX_PULSE_JSON_OBJECT);

        v = ngx_pulse_json_get(call, "arguments");

        if (v->type == NGX_PULSE_JSON_OBJECT) {
            check(test_equal(arguments, v));

        } else {
            /* streamed: the collection of recordings has not joined them */
            check(arguments && arguments->nelts > 0);
        }

        call = call->next;
    }

    check(call == NULL);
}


/* requests as SDKs send them are read, and written again mean the same */

static void
test_recorded_requests(const char *dir)
{
    DIR            *d;
    char            name[1400];
    size_t          len;
    ngx_uint_t      n;
    struct dirent  *de;

    (void) snprintf(name, sizeof(name), "%s/gemini", dir);

    d = opendir(name);
    check(d != NULL);
    n = 0;

    while (d && (de = readdir(d)) != NULL) {
        len = strlen(de->d_name);

        if (len > 9 && strcmp(de->d_name + len - 9, ".req.json") == 0) {
            (void) snprintf(name, sizeof(name), "%s/gemini/%s", dir,
                            de->d_name);
            unit_case("%s", de->d_name);
            test_recorded_request(name);
            n++;
        }
    }

    closedir(d);
    check(n >= 80);
}


static void
test_recorded_request(const char *name)
{
    ngx_str_t                  body, again;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b[2];
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_target_t         target;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    body = unit_file(name);
    pool = unit_pool();

    memset(&dropped, 0, sizeof(dropped));
    memset(&refusal, 0, sizeof(refusal));
    ngx_pulse_buf_init(&b[0], 0);
    ngx_pulse_buf_init(&b[1], 0);

    target = test_levels;
    target.sampling = 1;

    check_int(ngx_pulse_gemini_read(&cv, pool, &body, &refusal), NGX_OK);

    if (refusal.reason) {
        check_text(refusal.pointer, "");
        check_text(refusal.reason, "");

    } else {
        check(cv.prompt.bound > 0);
        check_int(ngx_pulse_gemini_write(&cv, &target, pool, &dropped,
                                         &refusal, &b[0]),
                  NGX_OK);
        check_int(dropped.n, 0);

        /* what was written says all that was read */

        again.data = b[0].data;
        again.len = b[0].len;

        check_int(ngx_pulse_gemini_read(&cv, pool, &again, &refusal), NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_gemini_write(&cv, &target, pool, &dropped,
                                         &refusal, &b[1]),
                  NGX_OK);
        check_mem(b[1].data, b[1].len, b[0].data, b[0].len);
    }

    ngx_pulse_buf_free(&b[0]);
    ngx_pulse_buf_free(&b[1]);
    ngx_destroy_pool(pool);
    free(body.data);
}


static void
test_stream_init(test_stream_t *s, ngx_uint_t write)
{
    memset(s, 0, sizeof(test_stream_t));

    s->pool = unit_pool();
    s->state = ngx_pcalloc(s->pool, ngx_pulse_dialect_gemini.reader_size);
    s->writer = ngx_pcalloc(s->pool, ngx_pulse_dialect_gemini.writer_size);
    s->cv.pool = s->pool;
    s->write = write;

    ngx_pulse_buf_init(&s->out, 0);
    check_int(ngx_pulse_collector_init(&s->collector, s->pool, 0), NGX_OK);
}


static void
test_stream_free(test_stream_t *s)
{
    ngx_pulse_buf_free(&s->out);
    ngx_destroy_pool(s->pool);
}


static ngx_int_t
test_stream_sse(void *ctx, ngx_pulse_sse_event_t *ev)
{
    test_stream_t *s = ctx;

    if (!ev->has_data) {
        return NGX_OK;
    }

    return unit_read_event(&ngx_pulse_dialect_gemini, s->state, ev,
                           test_stream_event, s);
}


static ngx_int_t
test_stream_event(void *ctx, ngx_pulse_answer_event_t *ev)
{
    test_stream_t *s = ctx;

    s->ends += (ev->type == NGX_PULSE_ANSWER_END);
    s->errors += (ev->type == NGX_PULSE_ANSWER_ERROR);

    if (s->write) {
        ngx_pulse_dialect_gemini.write_event(s->writer, &s->cv, ev, &s->out);
    }

    return ngx_pulse_collect(&s->collector, ev);
}


/* "first" 0: a whole answer; else a stream, in a first piece and others */

static ngx_int_t
test_stream_run(test_stream_t *s, const ngx_str_t *body, size_t first,
    size_t step)
{
    size_t            n, piece;
    ngx_int_t         rc;
    ngx_pulse_sse_t   sse;

    if (first == 0) {
        return ngx_pulse_dialect_gemini.read_answer(s->pool, body,
                                                    test_stream_event, s);
    }

    ngx_pulse_sse_init(&sse, 0, test_stream_sse, s);

    rc = NGX_OK;

    for (n = 0; rc == NGX_OK && n < body->len; n += piece) {
        piece = n ? step : first;

        if (piece > body->len - n) {
            piece = body->len - n;
        }

        rc = ngx_pulse_sse_feed(&sse, body->data + n, piece);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_sse_finish(&sse);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_dialect_gemini.read_end(s->state, test_stream_event, s);
    }

    ngx_pulse_sse_free(&sse);

    return rc;
}


static void
test_same(ngx_pulse_collector_t *a, ngx_pulse_collector_t *b)
{
    ngx_pulse_part_t  *p, *q;

    check_mem(b->id.data, b->id.len, a->id.data, a->id.len);
    check_mem(b->model.data, b->model.len, a->model.data, a->model.len);
    check_int(b->finish, a->finish);
    check_int(b->usage.known, a->usage.known);
    check_int(b->usage.input, a->usage.input);
    check_int(b->usage.cached, a->usage.cached);
    check_int(b->usage.output, a->usage.output);
    check_int(b->usage.reasoning, a->usage.reasoning);

    q = b->parts;

    for (p = a->parts; p; p = p->next) {

        check(q != NULL);

        if (q == NULL) {
            return;
        }

        check_int(q->type, p->type);
        check_mem(q->text.data, q->text.len, p->text.data, p->text.len);
        check_mem(q->name.data, q->name.len, p->name.data, p->name.len);
        check_mem(q->id.data, q->id.len, p->id.data, p->id.len);
        check_mem(q->arguments.data, q->arguments.len, p->arguments.data,
                  p->arguments.len);
        check_mem(q->signature.data, q->signature.len, p->signature.data,
                  p->signature.len);

        q = q->next;
    }

    check(q == NULL);
}


static void
test_text(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_part_t  *part;

    for (part = collector->parts; part; part = part->next) {
        if (part->type == type) {
            ngx_pulse_buf_str(b, &part->text);
        }
    }
}


static ngx_uint_t
test_equal(ngx_pulse_json_value_t *a, ngx_pulse_json_value_t *b)
{
    char                     key[256];
    ngx_pulse_json_value_t  *v, *w;

    if (a == NULL || b == NULL || a->type != b->type || a->nelts != b->nelts
        || a->boolean != b->boolean || a->string.len != b->string.len
        || (a->string.len
            && memcmp(a->string.data, b->string.data, a->string.len) != 0))
    {
        return 0;
    }

    w = b->children;

    for (v = a->children; v; v = v->next) {

        if (a->type == NGX_PULSE_JSON_OBJECT) {
            (void) snprintf(key, sizeof(key), "%.*s", (int) v->key.len,
                            v->key.data);
            w = ngx_pulse_json_get(b, key);
        }

        if (!test_equal(v, w)) {
            return 0;
        }

        w = w->next;
    }

    return 1;
}


static void
test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool, const char *body)
{
    ngx_str_t                  text;
    ngx_pulse_chat_refusal_t   refusal;

    text = test_str(body);

    check_int(ngx_pulse_gemini_read(cv, pool, &text, &refusal), NGX_OK);
}


static int64_t
test_number(ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    n = -1;
    member = ngx_pulse_json_get(v, key);

    if (member) {
        (void) ngx_pulse_json_int(&member->string, &n);
    }

    return n;
}


static ngx_str_t
test_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}
