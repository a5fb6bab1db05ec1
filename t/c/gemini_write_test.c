
#include "unit_stream.h"
#include "ngx_pulse_gemini.h"


typedef struct {
    const char          *name;
    const char          *body;
    ngx_pulse_target_t   target;
    const char          *expected;
    const char          *dropped;
} test_write_t;


static void test_writes(void);
static void test_limits(void);
static void test_memory(void);
static void test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const char *body);


static const ngx_pulse_target_t  test_levels = {
    .max_tokens = 100, .forced_choice = 1, .effort = 1, .https_images = 1
};


#define TEST_LEVELS                                                           \
    { .max_tokens = 100, .forced_choice = 1, .effort = 1, .https_images = 1 }

#define TEST_LOW                                                              \
    { .max_tokens = 100, .effort = 1, .efforts =                              \
      1 << NGX_PULSE_EFFORT_LOW | 1 << NGX_PULSE_EFFORT_HIGH }

#define TEST_BUDGET                                                           \
    { .max_tokens = 100, .forced_choice = 1, .thinking_budget = 1,            \
      .thinking_off = 1, .sampling = 1 }

#define TEST_PLAIN                                                            \
    { .max_tokens = 100, .sampling = 1 }

#define TEST_HEAD  "{\"contents\":[{\"role\":\"user\",\"parts\":"             \
                   "[{\"text\":\"x\"}]}]"
#define TEST_TAIL  ",\"generationConfig\":{\"maxOutputTokens\":100"


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

    { "no thinking where LOW is the least",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingBudget\":0}}}", TEST_LOW,
      TEST_HEAD TEST_TAIL ",\"thinkingConfig\":{\"thinkingLevel\":\"LOW\"}}}",
      "effort" },

    { "a budget above all levels",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingBudget\":32768}}}", TEST_LOW,
      TEST_HEAD TEST_TAIL ",\"thinkingConfig\":{\"thinkingLevel\":\"HIGH\"}"
      "}}", "" },

    { "thinking of a model that does not",
      TEST_HEAD ",\"generationConfig\":{\"thinkingConfig\":{"
      "\"thinkingBudget\":500,\"thinkingLevel\":\"HIGH\"}}}", TEST_PLAIN,
      TEST_HEAD TEST_TAIL "}}", "effort,budget_tokens" },

    { NULL, NULL, TEST_PLAIN, NULL, NULL }
};


int
main(void)
{
    test_writes();
    test_limits();
    test_memory();

    return unit_done();
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

    body = unit_str(test_write_table[5].body);

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
test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool, const char *body)
{
    ngx_str_t                  text;
    ngx_pulse_chat_refusal_t   refusal;

    text = unit_str(body);

    check_int(ngx_pulse_gemini_read(cv, pool, &text, &refusal), NGX_OK);
}
