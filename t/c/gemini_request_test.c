
#include "unit_stream.h"
#include "ngx_pulse_gemini.h"


typedef struct {
    const char  *body;
    const char  *pointer;
    const char  *reason;
} test_refusal_t;


static void test_requests(void);
static void test_refusals(void);
static void test_native(void);
static void test_schema(void);
static void test_links(void);
static void test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const char *body);


#define TEST_HEAD  "{\"contents\":[{\"role\":\"user\",\"parts\":"             \
                   "[{\"text\":\"x\"}]}]"


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


int
main(void)
{
    test_requests();
    test_refusals();
    test_native();
    test_schema();
    test_links();

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
        body = unit_str(t->body);

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


/* what only Gemini can do passes to Gemini, and to nobody else */

static void
test_native(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    test_refusal_t            *t;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    static test_refusal_t  table[] = {
        { TEST_HEAD ",\"cached_content\":\"cachedContents/x\"}",
          "/cachedContent", "is of another provider than the model" },
        { TEST_HEAD ",\"generationConfig\":{\"responseModalities\":"
          "[\"IMAGE\"]}}", "/generationConfig/responseModalities",
          "must have TEXT for a model of another provider" },
        { TEST_HEAD ",\"generationConfig\":{\"responseMimeType\":"
          "\"text/x.enum\"}}", "/generationConfig/responseMimeType",
          "must be application/json or text/plain for a model of another"
          " provider" },
        { TEST_HEAD ",\"generationConfig\":{\"responseModalities\":"
          "[\"text\",\"IMAGE\"]}}", "", NULL },
        { TEST_HEAD "}", "", NULL },
        { NULL, NULL, NULL }
    };

    for (t = table; t->body; t++) {
        unit_case("%s", t->body);

        pool = unit_pool();
        body = unit_str(t->body);

        check_int(ngx_pulse_gemini_read(&cv, pool, &body, &refusal), NGX_OK);
        check_mem(cv.native.pointer, strlen(cv.native.pointer), t->pointer,
                  strlen(t->pointer));
        check((cv.native.reason == NULL) == (t->reason == NULL));

        if (t->reason && cv.native.reason) {
            check_mem(cv.native.reason, strlen(cv.native.reason), t->reason,
                      strlen(t->reason));
        }

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

    /* of two calls with one id the one of that name */

    test_read(&cv, pool,
        "{\"contents\":[{\"role\":\"model\",\"parts\":["
        "{\"functionCall\":{\"name\":\"f\",\"id\":\"a\"}},"
        "{\"functionCall\":{\"name\":\"g\",\"id\":\"a\"}}]},{\"parts\":["
        "{\"functionResponse\":{\"name\":\"g\",\"id\":\"a\"}},"
        "{\"functionResponse\":{\"name\":\"h\",\"id\":\"a\"}}]}]}");

    part = cv.turns->next->parts;

    check_str(&part->name, "g");
    check_str(&part->next->name, "f");

    ngx_destroy_pool(pool);
    unit_case(NULL);
}


static void
test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool, const char *body)
{
    ngx_str_t                  text;
    ngx_pulse_chat_refusal_t   refusal;

    text = unit_str(body);

    check_int(ngx_pulse_gemini_read(cv, pool, &text, &refusal), NGX_OK);
}
