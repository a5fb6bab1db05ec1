
#include "unit_stream.h"
#include "ngx_pulse_openai.h"


typedef struct {
    const char                *name;
    ngx_pulse_dialect_t       *dialect;     /* of the client */
    const char                *letters;     /* see unit_target() */
    const char                *body;
    const char                *expected;
    const char                *dropped;     /* joined with commas */
    const char                *unknown;
} test_write_t;


typedef struct {
    ngx_pulse_dialect_t       *dialect;
    const char                *letters;
    const char                *body;
    const char                *pointer;
    const char                *reason;
} test_refusal_t;


static void test_writes(void);
static void test_refusals(void);
static void test_studio(void);
static void test_memory(void);
static void test_names(ngx_str_t *names, ngx_uint_t n, const char *expected);


#define OPENAI     &ngx_pulse_dialect_openai
#define ANTHROPIC  &ngx_pulse_dialect_anthropic

#define USER  "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define TAIL  ",\"max_completion_tokens\":9}"
#define SAME  "{\"model\":\"m\"," USER

#define FUNCTION(name)                                                        \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

#define SHORT  "call_2378d314a98e2394fec97b780aa58704"

#define PNG  "data:image/png;base64,iVBORw0KGgo="
#define PDF  "data:application/pdf;base64,JVBERi0="


/* what a provider is sent of what a client wrote */

static test_write_t  test_write_table[] = {

    { "the least", OPENAI, "", "{" USER "}", SAME TAIL, "", "" },

    { "both limits, the lower one is the gateway's to use", OPENAI, "m",
      "{" USER ",\"max_tokens\":7,\"max_completion_tokens\":8}",
      SAME ",\"max_tokens\":9}", "", "" },

    { "sampling and the rest", OPENAI, "s",
      "{" USER ",\"temperature\":0.50,\"top_p\":1e0,\"seed\":-7,\"n\":2,"
      "\"presence_penalty\":1,\"frequency_penalty\":-2,\"stop\":\"\\n\","
      "\"safety_identifier\":\"s\",\"user\":\"u\",\"verbosity\":\"low\","
      "\"stream\":true,\"response_format\":{\"type\":\"json_object\"}}",
      SAME ",\"temperature\":0.50,\"top_p\":1e0,\"seed\":-7,\"n\":2,"
      "\"presence_penalty\":1,\"frequency_penalty\":-2,\"stop\":[\"\\n\"],"
      "\"user\":\"u\",\"safety_identifier\":\"s\",\"verbosity\":\"low\","
      "\"stream\":true,\"stream_options\":{\"include_usage\":true},"
      "\"response_format\":{\"type\":\"json_object\"}" TAIL, "", "" },

    { "no sampling", OPENAI, "",
      "{" USER ",\"temperature\":0.5,\"top_p\":1}", SAME TAIL,
      "temperature,top_p", "" },

    { "what has no place elsewhere", OPENAI, "",
      "{" USER ",\"logprobs\":true,\"top_logprobs\":3,\"logit_bias\":{},"
      "\"metadata\":{},\"store\":true,\"service_tier\":\"flex\","
      "\"prompt_cache_key\":\"k\",\"prediction\":{},\"moderation\":null}",
      SAME ",\"metadata\":{},\"service_tier\":\"flex\","
      "\"prompt_cache_key\":\"k\"" TAIL, "logprobs",
      "store,logit_bias,prediction" },

    { "what says nothing", OPENAI, "",
      "{" USER ",\"logprobs\":false,\"store\":false,\"service_tier\":"
      "\"auto\",\"n\":1,\"stop\":null,\"tools\":[],\"modalities\":"
      "[\"text\"],\"response_format\":{\"type\":\"text\"}}", SAME TAIL, "",
      "" },

    { "efforts", OPENAI, "e", "{" USER ",\"reasoning_effort\":\"xhigh\"}",
      SAME ",\"reasoning_effort\":\"xhigh\"" TAIL, "", "" },

    { "no effort can be set", OPENAI, "",
      "{" USER ",\"reasoning_effort\":\"high\"}", SAME TAIL,
      "reasoning_effort", "" },

    { "none is none where there is no thinking", OPENAI, "",
      "{" USER ",\"reasoning_effort\":\"none\"}", SAME TAIL, "", "" },

    { "none becomes low", OPENAI, "e",
      "{" USER ",\"reasoning_effort\":\"none\"}",
      SAME ",\"reasoning_effort\":\"low\"" TAIL, "reasoning_effort", "" },

    { "a schema", OPENAI, "",
      "{" USER ",\"response_format\":{\"type\":\"json_schema\","
      "\"json_schema\":{\"name\":\"a\",\"description\":\"d\",\"strict\":true,"
      "\"schema\":{\"type\":\"object\"}}}}",
      SAME ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
      "{\"name\":\"a\",\"description\":\"d\",\"strict\":true,\"schema\":"
      "{\"type\":\"object\"}}}" TAIL, "", "" },

    { "roles, names, parts", OPENAI, "h",
      "{\"messages\":[{\"role\":\"developer\",\"content\":[{\"type\":\"text\","
      "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":"
      "\"user\",\"name\":\"n\",\"content\":[{\"type\":\"text\",\"text\":"
      "\"\u0645\u0631\u062d\u0628\u0627 \u202e\U0001f469\u200d\U0001f4bb "
      "e\u0301\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
      "\"https://a.example/i.png\",\"detail\":\"low\"}},{\"type\":"
      "\"image_url\",\"image_url\":{\"url\":\"" PNG "\"}},{\"type\":\"file\","
      "\"file\":{\"filename\":\"f.pdf\",\"file_data\":\"" PDF "\"}},"
      "{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}},{\"type\":"
      "\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"mp3\""
      "}}]}]}",
      "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
      "\"a\\n\\nb\"},{\"role\":\"user\",\"name\":\"n\",\"content\":["
      "{\"type\":\"text\",\"text\":"
      "\"\u0645\u0631\u062d\u0628\u0627 \u202e\U0001f469\u200d\U0001f4bb "
      "e\u0301\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
      "\"https://a.example/i.png\",\"detail\":\"low\"}},{\"type\":"
      "\"image_url\",\"image_url\":{\"url\":\"" PNG "\"}},{\"type\":\"file\","
      "\"file\":{\"filename\":\"f.pdf\",\"file_data\":\"" PDF "\"}},"
      "{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}},{\"type\":"
      "\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"mp3\""
      "}}]}]" TAIL, "", "" },

    { "tools and a forced one", OPENAI, "f",
      "{" USER ",\"parallel_tool_calls\":false,\"tool_choice\":"
      FUNCTION("f") ",\"tools\":[{\"type\":\"function\",\"function\":"
      "{\"name\":\"f\",\"description\":\"d\",\"strict\":true,"
      "\"parameters\":{\"type\":\"object\"}}}]}",
      SAME ",\"parallel_tool_calls\":false,\"tool_choice\":"
      FUNCTION("f") ",\"tools\":[{\"type\":\"function\",\"function\":"
      "{\"name\":\"f\",\"description\":\"d\",\"strict\":true,"
      "\"parameters\":{\"type\":\"object\"}}}]" TAIL, "", "" },

    { "a choice that cannot be forced", OPENAI, "",
      "{" USER ",\"tool_choice\":\"required\",\"tools\":[" FUNCTION("f") "]}",
      SAME ",\"tool_choice\":\"auto\",\"tools\":[" FUNCTION("f") "]" TAIL,
      "tool_choice", "" },

    { "allowed tools", OPENAI, "f",
      "{" USER ",\"tools\":[" FUNCTION("a") "," FUNCTION("b") ","
      FUNCTION("c") "],\"tool_choice\":{\"type\":\"allowed_tools\","
      "\"allowed_tools\":{\"mode\":\"required\",\"tools\":[" FUNCTION("c")
      "," FUNCTION("a") "]}}}",
      SAME ",\"tools\":[" FUNCTION("a") "," FUNCTION("c") "],"
      "\"tool_choice\":\"required\"" TAIL, "", "" },

    { "custom tools", OPENAI, "f",
      "{" USER ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\","
      "\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":\"lark\","
      "\"definition\":\"start: /a/\"}}}}],\"tool_choice\":{\"type\":"
      "\"custom\",\"custom\":{\"name\":\"c\"}}}",
      SAME ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\","
      "\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":\"lark\","
      "\"definition\":\"start: /a/\"}}}}],\"tool_choice\":{\"type\":"
      "\"custom\",\"custom\":{\"name\":\"c\"}}" TAIL, "", "" },

    { "functions of old", OPENAI, "f",
      "{\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":\"f\"},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\","
      "\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\","
      "\"content\":\"r\"}]}",
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
      "\"call_0\",\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
      "\"call_0\",\"content\":\"r\"}],\"tools\":[" FUNCTION("f") "],"
      "\"tool_choice\":" FUNCTION("f") ",\"parallel_tool_calls\":false" TAIL,
      "", "" },

    { "calls, results, refusals, thinking taken back", OPENAI, "r",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":\"t\",\"reasoning_content\":\"r\","
      "\"refusal\":\"no\",\"annotations\":[],\"tool_calls\":[{\"id\":\"1\","
      "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
      "\"{\\\"a\\\": \\\"\u0633\\\"}\"}},{\"id\":\"2\",\"type\":\"custom\","
      "\"custom\":{\"name\":\"c\",\"input\":\"free {\"}}]},{\"role\":\"tool\","
      "\"tool_call_id\":\"1\",\"content\":\"one\"},{\"role\":\"tool\","
      "\"tool_call_id\":\"2\",\"content\":[{\"type\":\"text\",\"text\":"
      "\"two\"}]},{\"role\":\"user\",\"content\":\"y\"}]}",
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"assistant\",\"content\":\"t\",\"refusal\":\"no\","
      "\"reasoning_content\":\"r\",\"tool_calls\":[{\"id\":\"1\",\"type\":"
      "\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
      "\"{\\\"a\\\": \\\"\u0633\\\"}\"}},{\"id\":\"2\",\"type\":\"custom\","
      "\"custom\":{\"name\":\"c\",\"input\":\"free {\"}}]},{\"role\":\"tool\","
      "\"tool_call_id\":\"1\",\"content\":\"one\"},{\"role\":\"tool\","
      "\"tool_call_id\":\"2\",\"content\":\"two\"},{\"role\":\"user\","
      "\"content\":\"y\"}]" TAIL, "", "" },

    { "markers", OPENAI, "",
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}}]}"
      "]}", SAME TAIL, "cache_control", "" },

    { "an agent's turn of Anthropic's", ANTHROPIC, "f",
      "{\"max_tokens\":5,\"system\":\"s\",\"stop_sequences\":[\"a\",\"b\"],"
      "\"top_k\":3,\"metadata\":{\"user_id\":\"u\"},\"messages\":[{\"role\":"
      "\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":["
      "{\"type\":\"thinking\",\"thinking\":\"h\",\"signature\":\"s\"},"
      "{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"tool_use\",\"id\":"
      "\"toolu_1\",\"name\":\"f\",\"input\":{\"a\":1}}]},{\"role\":\"user\","
      "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\","
      "\"is_error\":true,\"content\":[{\"type\":\"text\",\"text\":\"r\"},"
      "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
      "\"image/png\",\"data\":\"AAAA\"}}]},{\"type\":\"text\",\"text\":"
      "\"now\"}]}],\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":"
      "\"object\"}}],\"tool_choice\":{\"type\":\"any\","
      "\"disable_parallel_tool_use\":true}}",
      "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
      "{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\","
      "\"content\":\"t\",\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":"
      "\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
      "\"{\\\"a\\\":1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"toolu_1\","
      "\"content\":\"r\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"From the result of toolu_1:\"},{\"type\":\"image_url\","
      "\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}},{\"type\":"
      "\"text\",\"text\":\"now\"}]}],\"tools\":[{\"type\":\"function\","
      "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],"
      "\"tool_choice\":\"required\",\"parallel_tool_calls\":false,\"stop\":"
      "[\"a\",\"b\"],\"user\":\"u\"" TAIL, "thinking,is_error,top_k", "" },

    { "a plain document, a budget, a prefill", ANTHROPIC, "e",
      "{\"max_tokens\":5,\"thinking\":{\"type\":\"enabled\","
      "\"budget_tokens\":4096},\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"document\",\"title\":\"T\",\"source\":{\"type\":\"text\","
      "\"media_type\":\"text/plain\",\"data\":\"\u0646\u0635!\"}}]},{\"role\":"
      "\"assistant\",\"content\":\"Once\"}]}",
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"text\",\"text\":\"T\\n\\n\u0646\u0635!\"}]},{\"role\":"
      "\"assistant\",\"content\":\"Once\"}],\"reasoning_effort\":\"medium\""
      TAIL, "prefill,budget_tokens", "" },

    { "a long id is the same short one twice", ANTHROPIC, "",
      "{\"max_tokens\":5,\"messages\":[{\"role\":\"assistant\",\"content\":["
      "{\"type\":\"tool_use\",\"id\":"
      "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\",\"name\":"
      "\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
      "\"tool_result\",\"tool_use_id\":"
      "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\",\"content\":"
      "\"\"}]}]}",
      "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":"
      "null,\"tool_calls\":[{\"id\":\"" SHORT "\",\"type\":\"function\","
      "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":"
      "\"tool\",\"tool_call_id\":\"" SHORT "\",\"content\":\"\"}]" TAIL, "",
      "" }
};


/* by the reader; with letters by the writer */

static test_refusal_t  test_refusal_table[] = {

    { OPENAI, NULL, "[]", "", "must be an object" },
    { OPENAI, NULL, "{}", "/messages", "is required" },
    { OPENAI, NULL, "{\"messages\":[]}", "/messages", "must not be empty" },
    { OPENAI, NULL, "{\"messages\":[1]}", "/messages/0",
      "must be an object" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"user\"}]}",
      "/messages/0/content", "is required" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"boss\"}]}",
      "/messages/0/role", "must be system, developer, user, assistant, tool "
      "or function" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"user\",\"content\":7}]}",
      "/messages/0/content", "must be a string, an array or null" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"video_url\"}]}]}", "/messages/0/content/0/type",
      "is no kind of content known here" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"system\",\"content\":"
      "[{\"type\":\"image_url\"}]}]}", "/messages/0/content/0/type",
      "is no part of a message of this role" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x/\"}}]}]}",
      "/messages/0/content/0/image_url",
      "must be an https or a base64 data URL" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PDF "\"}}]}]}",
      "/messages/0/content/0/image_url", "must be of a type image/*" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"\",\"format\":"
      "\"aiff\"}}]}]}", "/messages/0/content/0/input_audio/format",
      "must be wav or mp3" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}",
      "/messages/0/tool_call_id", "is required" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"function\",\"content\":\"\","
      "\"name\":\"f\"}]}", "/messages/0/role",
      "must follow a function_call" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"assistant\",\"audio\":"
      "{\"id\":\"a\"}}]}", "/messages/0/audio",
      "refers to speech that only the provider who made it has" },
    { OPENAI, NULL, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":"
      "[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}]}",
      "/messages/0/tool_calls/0/function/arguments",
      "must be a string that is a JSON object" },
    { OPENAI, NULL, "{" USER ",\"n\":129}", "/n", "is too large" },
    { OPENAI, NULL, "{" USER ",\"stop\":[1]}", "/stop/0",
      "must be a string" },
    { OPENAI, NULL, "{" USER ",\"modalities\":[\"text\",\"audio\"]}",
      "/modalities/1", "is no form of output that this model can give" },
    { OPENAI, NULL, "{" USER ",\"reasoning_effort\":\"huge\"}",
      "/reasoning_effort", "must be none, minimal, low, medium, high, xhigh "
      "or max" },
    { OPENAI, NULL, "{" USER ",\"response_format\":{\"type\":\"grammar\"}}",
      "/response_format/type", "must be text, json_object or json_schema" },
    { OPENAI, NULL, "{" USER ",\"response_format\":{\"type\":\"json_schema\""
      "}}", "/response_format/json_schema", "is required" },
    { OPENAI, NULL, "{" USER ",\"tools\":[{\"type\":\"function\"}]}",
      "/tools/0/function", "is required" },
    { OPENAI, NULL, "{" USER ",\"tool_choice\":\"any\"}", "/tool_choice",
      "must be none, auto or required" },

    { OPENAI, "", "{\"messages\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"image_url\",\"image_url\":\"https://x/\"}]}]}",
      "/messages/0/content/0",
      "has an image by URL, which this model does not fetch: send its data" },
    { OPENAI, "", "{\"messages\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"image_url\",\"image_url\":\"data:image/png;base64,\\\"\"}"
      "]}]}", "/messages/0/content/0",
      "has a file whose data is not base64" },
    { OPENAI, "", "{" USER ",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\"]}",
      "/stop",
      "has more than the 4 stop sequences that this model takes" },
    { OPENAI, "f", "{" USER ",\"tool_choice\":\"required\"}",
      "/tool_choice",
      "forces a call, but this model has none of the tools" },
    { ANTHROPIC, "h", "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"url\","
      "\"url\":\"https://x/\"}}]}]}", "/messages/0/content/0",
      "has a document by URL, which this "
      "model does not fetch: send its data" }
};


int
main(void)
{
    test_writes();
    test_refusals();
    test_studio();
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
    ngx_pulse_buf_t            b;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_json_value_t    *one, *two;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < sizeof(test_write_table) / sizeof(test_write_t); i++) {
        t = &test_write_table[i];
        unit_case("%s", t->name);

        pool = unit_pool();
        body = unit_str(t->body);
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));
        unit_target(&target, t->letters, 9);

        check_int(t->dialect->read(&cv, pool, &body, &refusal), NGX_OK);
        check(ngx_pulse_tokens_bound(&cv.prompt) > 0);
        check_int(ngx_pulse_dialect_openai.write(&cv, &target, pool, &dropped,
                                                 &refusal, &b),
                  NGX_OK);

        one = unit_tree(pool, b.data, b.len);
        two = unit_tree(pool, (u_char *) t->expected, strlen(t->expected));

        check(one != NULL && two != NULL);

        if (!unit_same(one, two)) {
            check_mem(b.data, b.len, t->expected, strlen(t->expected));
        }

        test_names(dropped.names, dropped.n, t->dropped);
        test_names(cv.unknown, cv.nunknown, t->unknown);

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_refusals(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    test_refusal_t            *t;
    ngx_pulse_buf_t            b;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < sizeof(test_refusal_table) / sizeof(test_refusal_t); i++) {
        t = &test_refusal_table[i];
        unit_case("%s", t->body);

        pool = unit_pool();
        body = unit_str(t->body);
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));

        rc = t->dialect->read(&cv, pool, &body, &refusal);

        if (t->letters) {
            check_int(rc, NGX_OK);
            unit_target(&target, t->letters, 9);
            rc = ngx_pulse_dialect_openai.write(&cv, &target, pool, &dropped,
                                                &refusal, &b);
        }

        check_int(rc, NGX_DECLINED);

        if (rc == NGX_DECLINED) {
            check_mem(refusal.pointer, strlen(refusal.pointer), t->pointer,
                      strlen(t->pointer));
            check_mem(refusal.reason, strlen(refusal.reason), t->reason,
                      strlen(t->reason));
        }

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_studio(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    pool = unit_pool();
    body = unit_str("{" USER ",\"system\":\"s\",\"locale\":\"ar\","
                    "\"fallbacks\":[],\"stream\":true,\"max_tokens\":4,"
                    "\"stream_options\":{\"include_usage\":true}}");

    check_int(ngx_pulse_openai_convert(&cv, pool, &body, 1, &refusal),
              NGX_OK);
    check_int(cv.nunknown, 0);
    check_int(cv.turns->role, NGX_PULSE_ROLE_SYSTEM);
    check_str(&cv.turns->parts->text, "s");
    check_int(cv.turns->next->role, NGX_PULSE_ROLE_USER);
    check_int(cv.stream, 1);
    check_int(cv.include_usage, 1);
    check_int(cv.max_tokens, 4);

    check_int(ngx_pulse_openai_convert(&cv, pool, &body, 0, &refusal),
              NGX_OK);
    check_int(cv.turns->role, NGX_PULSE_ROLE_USER);
    test_names(cv.unknown, cv.nunknown, "system,locale,fallbacks");

    ngx_destroy_pool(pool);
}


/* without memory, wherever it ends: an error, and nothing is lost of it */

static void
test_memory(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 i, n;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < sizeof(test_write_table) / sizeof(test_write_t); i++) {
        unit_case("%s", test_write_table[i].name);

        body = unit_str(test_write_table[i].body);
        unit_target(&target, test_write_table[i].letters, 9);

        for (n = 1; n < 1000; n++) {
            pool = unit_pool();
            ngx_pulse_buf_init(&b, 0);
            memset(&dropped, 0, sizeof(dropped));

            unit_fail_allocation(n);

            rc = test_write_table[i].dialect->read(&cv, pool, &body,
                                                   &refusal);
            if (rc == NGX_OK) {
                rc = ngx_pulse_dialect_openai.write(&cv, &target, pool,
                                                    &dropped, &refusal, &b);
            }

            unit_fail_allocation(0);

            ngx_pulse_buf_free(&b);
            ngx_destroy_pool(pool);

            if (rc == NGX_OK) {
                break;
            }
        }

        check(n > 3 && n < 1000);
    }

    unit_case(NULL);
}


static void
test_names(ngx_str_t *names, ngx_uint_t n, const char *expected)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    for (i = 0; i < n; i++) {
        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_pulse_buf_str(&b, &names[i]);
    }

    check_mem(b.data, b.len, expected, strlen(expected));
    ngx_pulse_buf_free(&b);
}
