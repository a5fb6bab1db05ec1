
#include "unit_stream.h"


/*
 * Requests of Anthropic's and Gemini's clients for a model of the other: each
 * member is carried, refused with a pointer to it, or named as left out.
 */

typedef struct {
    const char           *name;
    ngx_pulse_dialect_t  *from;
    const char           *body;
    const char           *expected;     /* a part of what is written */
    const char           *dropped;      /* joined with commas */
    const char           *pointer;      /* of the refusal */
} test_case_t;


static void test_cases(void);
static ngx_int_t test_translate(test_case_t *t, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b);


#define ANTHROPIC  &ngx_pulse_dialect_anthropic
#define GEMINI     &ngx_pulse_dialect_gemini

#define ASK        "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define USER(c)    "{\"messages\":[{\"role\":\"user\",\"content\":[" c "]}]}"
#define MODEL(c)   "{\"messages\":[{\"role\":\"assistant\",\"content\":[" c   \
                   "]},{\"role\":\"user\",\"content\":\"x\"}]}"

#define SAY        "\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]"
#define PARTS(p)   "{\"contents\":[{\"parts\":[" p "]}]}"
#define MADE(p)    "{\"contents\":[{\"role\":\"model\",\"parts\":[" p         \
                   "]},{\"parts\":[{\"text\":\"x\"}]}]}"
#define CONFIG(c)  "{" SAY ",\"generationConfig\":{" c "}}"


static test_case_t  test_table[] = {

    /* of Anthropic's clients, for Gemini */

    { "system in blocks", ANTHROPIC,
      "{\"system\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
      "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"text\",\"text\":"
      "\"b\"}]," ASK "}",
      "\"systemInstruction\":{\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]}",
      "cache_control", NULL },

    { "a marker of the cache", ANTHROPIC,
      USER("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
           "{\"type\":\"ephemeral\"}}"),
      "{\"text\":\"a\"}", "cache_control", NULL },

    { "one that is none", ANTHROPIC,
      USER("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
           "{\"type\":\"ephemeral\",\"ttl\":\"1d\"}}"),
      NULL, "", "/messages/0/content/0/cache_control/ttl" },

    { "a document of text", ANTHROPIC,
      USER("{\"type\":\"document\",\"source\":{\"type\":\"text\","
           "\"media_type\":\"text/plain\",\"data\":\"hi\"}}"),
      "{\"inlineData\":{\"mimeType\":\"text/plain\",\"data\":\"aGk=\"}}",
      "", NULL },

    { "one to be cited", ANTHROPIC,
      USER("{\"type\":\"document\",\"source\":{\"type\":\"base64\","
           "\"media_type\":\"application/pdf\",\"data\":\"JVBE\"},"
           "\"citations\":{\"enabled\":true}}"),
      "{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"JVBE\"}}",
      "citations", NULL },

    { "one that is blocks", ANTHROPIC,
      USER("{\"type\":\"document\",\"title\":\"t\",\"source\":{\"type\":"
           "\"content\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
           "{\"type\":\"image\",\"source\":{\"type\":\"base64\","
           "\"media_type\":\"image/png\",\"data\":\"iVBO\"}}]}}"),
      "[{\"text\":\"t\"},{\"text\":\"a\"},{\"inlineData\":{\"mimeType\":"
      "\"image/png\",\"data\":\"iVBO\"}}]", "", NULL },

    { "one inside of another", ANTHROPIC,
      USER("{\"type\":\"document\",\"source\":{\"type\":\"content\","
           "\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
           "\"content\",\"content\":\"a\"}}]}}"),
      NULL, "", "/messages/0/content/0/source/content/0/source" },

    { "a file at the vendor", ANTHROPIC,
      USER("{\"type\":\"document\",\"source\":{\"type\":\"file\","
           "\"file_id\":\"f\"}}"),
      NULL, "", "/messages/0/content/0" },

    { "a result of a search", ANTHROPIC,
      USER("{\"type\":\"search_result\",\"title\":\"t\",\"source\":\"s\","
           "\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"citations\":"
           "{\"enabled\":true}}"),
      "[{\"text\":\"t (s)\"},{\"text\":\"a\"}]", "citations", NULL },

    { "a block of the vendor's, of the user", ANTHROPIC,
      USER("{\"type\":\"container_upload\",\"file_id\":\"f\"}"),
      NULL, "", "/messages/0/content/0" },

    { "and of the model", ANTHROPIC,
      MODEL("{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":"
            "\"web_search\",\"input\":{}},{\"type\":\"text\",\"text\":\"a\"}"),
      "{\"role\":\"model\",\"parts\":[{\"text\":\"a\"}]}",
      "server_tool_use", NULL },

    { "a tool of the vendor's", ANTHROPIC,
      "{" ASK ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":"
      "\"web_search\"}]}", NULL, "", "/tools/0" },

    { "servers of tools", ANTHROPIC,
      "{" ASK ",\"mcp_servers\":[{\"type\":\"url\"}]}",
      NULL, "", "/mcp_servers" },

    { "where to compute", ANTHROPIC,
      "{" ASK ",\"inference_geo\":\"us\"}", NULL, "", "/inference_geo" },

    { "settings without an equal", ANTHROPIC,
      "{" ASK ",\"service_tier\":\"auto\",\"container\":\"c\",\"speed\":"
      "\"fast\",\"context_management\":{},\"metadata\":{\"user_id\":\"u\"}}",
      "\"text\":\"x\"", "user,service_tier,container,speed,"
      "context_management", NULL },

    { "a choice, one call at a time", ANTHROPIC,
      "{" ASK ",\"tools\":[{\"name\":\"f\",\"input_schema\":{}}],"
      "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\","
      "\"disable_parallel_tool_use\":true,\"more\":1}}",
      "{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}",
      "parallel_tool_calls,more", NULL },

    { "a result that failed, with a picture", ANTHROPIC,
      "{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
      "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
      "\"is_error\":true,\"content\":[{\"type\":\"text\",\"text\":\"no\"},"
      "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
      "\"image/png\",\"data\":\"iVBO\"}}]}]}]}",
      "\"response\":{\"error\":\"no\"},\"parts\":[{\"inlineData\":"
      "{\"mimeType\":\"image/png\",\"data\":\"iVBO\"}}]", "", NULL },

    { "a result with what only the vendor reads", ANTHROPIC,
      "{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
      "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
      "\"content\":[{\"type\":\"tool_reference\",\"tool_name\":\"g\"}]}]}]}",
      NULL, "", "/messages/1/content/0/content/0" },

    { "thinking that another signed", ANTHROPIC,
      MODEL("{\"type\":\"thinking\",\"thinking\":\"h\",\"signature\":"
            "\"EpAD\"},{\"type\":\"redacted_thinking\",\"data\":\"Eq\"},"
            "{\"type\":\"text\",\"text\":\"a\"}"),
      "{\"role\":\"model\",\"parts\":[{\"text\":\"a\"}]}", "thinking", NULL },

    { "more stops than there may be", ANTHROPIC,
      "{" ASK ",\"stop_sequences\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"]}",
      NULL, "", "/stop_sequences" },

    /* of Gemini's clients, for Anthropic */

    { "instructions", GEMINI,
      "{" SAY ",\"system_instruction\":{\"role\":\"system\",\"parts\":"
      "[{\"text\":\"s\"}]}}",
      "\"system\":\"s\"", "", NULL },

    { "that are not text", GEMINI,
      "{" SAY ",\"systemInstruction\":{\"parts\":[{\"text\":\"s\"},"
      "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBO\"}}]}}",
      NULL, "", "/systemInstruction/parts/1" },

    { "sound", GEMINI,
      PARTS("{\"inlineData\":{\"mimeType\":\"audio/mp3\",\"data\":\"SUQz\"}}"),
      NULL, "", "/contents/0/parts/0" },

    { "a film", GEMINI,
      PARTS("{\"text\":\"a\"},{\"fileData\":{\"fileUri\":"
            "\"https://e.test/v\",\"mimeType\":\"video/mp4\"},"
            "\"videoMetadata\":{\"fps\":1}}"),
      NULL, "", "/contents/0/parts/1" },

    { "a kind of image that it cannot see", GEMINI,
      PARTS("{\"inlineData\":{\"mimeType\":\"image/heic\",\"data\":\"AAAA\"}"
            "}"),
      NULL, "", "/contents/0/parts/0" },

    { "a file at the vendor", GEMINI,
      PARTS("{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":"
            "\"https://generativelanguage.googleapis.com/v1beta/files/f\"}}"),
      NULL, "", "/contents/0/parts/0" },

    { "what a model of the vendor's did", GEMINI,
      MADE("{\"executableCode\":{\"code\":\"1\"}},{\"codeExecutionResult\":"
           "{\"output\":\"1\"}},{\"text\":\"a\",\"thoughtSignature\":"
           "\"CiwB\"}"),
      "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\""
      "}]}", "messages[0].role,executableCode,codeExecutionResult,"
      "thought_signature", NULL },

    { "a picture that a model made", GEMINI,
      MADE("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"iVBO\"},"
           "\"thoughtSignature\":\"CiwB\"}"),
      "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]}]", "inlineData", NULL },

    { "a tool of the vendor's", GEMINI,
      "{" SAY ",\"tools\":[{\"urlContext\":{}}]}", NULL, "",
      "/tools/0/urlContext" },

    { "settings without an equal", GEMINI,
      "{" SAY ",\"safetySettings\":[{\"category\":\"c\"}],\"labels\":{},"
      "\"toolConfig\":{\"retrievalConfig\":{}},\"generationConfig\":{"
      "\"seed\":1,\"presencePenalty\":1,\"mediaResolution\":\"m\","
      "\"responseLogprobs\":true,\"speechConfig\":{}}}",
      "\"text\":\"x\"", "presence_penalty,seed,logprobs,"
      "mediaResolution,speechConfig,retrievalConfig,safetySettings,labels",
      NULL },

    { "several answers", GEMINI, CONFIG("\"candidateCount\":2"),
      NULL, "", "/generationConfig/candidateCount" },

    { "a prompt that is cached there", GEMINI,
      "{" SAY ",\"cachedContent\":\"c\"}", NULL, "", "/cachedContent" },

    { "pictures only", GEMINI, CONFIG("\"responseModalities\":[\"IMAGE\"]"),
      NULL, "", "/generationConfig/responseModalities" },

    { "a schema of Google's kind", GEMINI,
      CONFIG("\"responseMimeType\":\"application/json\",\"responseSchema\":"
             "{\"type\":\"OBJECT\"}"),
      "\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}",
      "", NULL },

    { "a level of thinking", GEMINI,
      CONFIG("\"thinkingConfig\":{\"thinkingLevel\":\"LOW\","
             "\"includeThoughts\":true}"),
      "\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},"
      "\"output_config\":{\"effort\":\"low\"}", "", NULL },

    { "a budget of thinking", GEMINI,
      CONFIG("\"thinkingConfig\":{\"thinkingBudget\":20000}"),
      "\"effort\":\"high\"", "budget_tokens", NULL }
};


int
main(void)
{
    test_cases();

    return unit_done();
}


static void
test_cases(void)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    test_case_t               *t;
    ngx_pulse_buf_t            b, names;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < sizeof(test_table) / sizeof(test_case_t); i++) {
        t = &test_table[i];
        unit_case("%s: %s", t->from->name.data, t->name);

        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_init(&names, 0);
        memset(&dropped, 0, sizeof(dropped));
        memset(&refusal, 0, sizeof(refusal));

        rc = test_translate(t, pool, &dropped, &refusal, &b);

        check_int(rc, t->pointer ? NGX_DECLINED : NGX_OK);
        check((refusal.reason != NULL) == (t->pointer != NULL));
        check_mem(refusal.pointer, strlen(refusal.pointer),
                  t->pointer ? t->pointer : "",
                  t->pointer ? strlen(t->pointer) : 0);

        if (t->expected
            && memmem(b.data, b.len, t->expected, strlen(t->expected))
               == NULL)
        {
            check_mem(b.data, b.len, t->expected, strlen(t->expected));
        }

        unit_names(&dropped, &names);

        if (t->pointer == NULL) {
            check_mem(names.data, names.len, t->dropped, strlen(t->dropped));
        }

        ngx_pulse_buf_free(&names);
        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* as the gateway does it; what has no place is named after what was left out
 * by the writer */

static ngx_int_t
test_translate(test_case_t *t, ngx_pool_t *pool, ngx_pulse_dropped_t *dropped,
    ngx_pulse_chat_refusal_t *refusal, ngx_pulse_buf_t *b)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pulse_dialect_t       *to;
    ngx_pulse_conversation_t   cv;

    static const ngx_pulse_target_t  target = {
        .model = ngx_string("m"), .max_tokens = 4096, .sampling = 1,
        .forced_choice = 1, .prefill = 1, .effort = 1, .https_images = 1
    };

    to = (t->from == ANTHROPIC) ? GEMINI : ANTHROPIC;
    body = unit_str(t->body);

    rc = t->from->read(&cv, pool, &body, refusal);

    if (rc != NGX_OK) {
        return rc;
    }

    if (cv.native.reason) {
        *refusal = cv.native;
        return NGX_DECLINED;
    }

    rc = to->write(&cv, &target, pool, dropped, refusal, b);

    for (i = 0; i < cv.nunknown; i++) {
        ngx_pulse_dropped_name(dropped, &cv.unknown[i]);
    }

    return rc;
}
