
#include "unit.h"
#include "ngx_pulse_openai.h"
#include "ngx_pulse_sse.h"


#define TEST_MAX  (16 * 1024 * 1024)


typedef struct {
    const char                *name;
    ngx_pulse_dialect_t       *dialect;     /* of the client */
    const char                *letters;     /* see test_target() */
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


typedef struct {
    const char                *name;
    const char                *stream;      /* events, a line each */
    const char                *expected;    /* see test_gather() */
} test_quirk_t;


typedef struct {
    ngx_pool_t                *pool;
    ngx_pulse_dialect_t       *dialect;     /* of the provider */
    ngx_pulse_collector_t      collector;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_buf_t            out;         /* for a client of OpenAI's */
    void                      *reader;
    void                      *writer;
    ngx_uint_t                 ends;
} test_stream_t;


static void test_writes(void);
static void test_refusals(void);
static void test_studio(void);
static void test_memory(void);
static void test_quirks(void);
static void test_client(void);
static void test_history(void);
static void test_recordings(void);
static void test_recording(const char *dir, ngx_pulse_dialect_t *dialect,
    ngx_pulse_json_value_t *record);
static void test_recorded_stream(ngx_pulse_dialect_t *dialect,
    ngx_str_t *body, ngx_pulse_json_value_t *record);
static void test_recorded_answer(ngx_pulse_dialect_t *dialect,
    ngx_str_t *body, ngx_pulse_json_value_t *record);
static void test_recorded_request(ngx_str_t *body);

static void test_target(ngx_pulse_target_t *target, const char *letters);
static void test_start(test_stream_t *s, ngx_pulse_dialect_t *dialect);
static void test_end(test_stream_t *s);
static ngx_int_t test_feed(test_stream_t *s, const u_char *p, size_t len,
    size_t first, size_t step);
static ngx_int_t test_event(void *ctx, ngx_pulse_sse_event_t *ev);
static ngx_int_t test_answer(void *ctx, ngx_pulse_answer_event_t *ev);
static void test_back(test_stream_t *s);
static void test_compare(ngx_pulse_collector_t *one,
    ngx_pulse_collector_t *two);
static void test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_compare_usage(ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *record);
static void test_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);
static void test_joined(ngx_pulse_collector_t *collector,
    ngx_pulse_part_e type, const char *name, ngx_pulse_buf_t *b);
static void test_names(ngx_str_t *names, ngx_uint_t n, const char *expected);
static ngx_uint_t test_same(ngx_pulse_json_value_t *a,
    ngx_pulse_json_value_t *b);
static ngx_pulse_json_value_t *test_tree(ngx_pool_t *pool, const u_char *p,
    size_t len);
static int64_t test_number(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t test_string(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t test_str(const char *s);


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
      "\"user\":\"s\",\"verbosity\":\"low\",\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true},"
      "\"response_format\":{\"type\":\"json_object\"}" TAIL, "", "" },

    { "no sampling", OPENAI, "",
      "{" USER ",\"temperature\":0.5,\"top_p\":1}", SAME TAIL,
      "temperature,top_p", "" },

    { "what has no place elsewhere", OPENAI, "",
      "{" USER ",\"logprobs\":true,\"top_logprobs\":3,\"logit_bias\":{},"
      "\"metadata\":{},\"store\":true,\"service_tier\":\"flex\","
      "\"web_search_options\":{},\"prompt_cache_key\":\"k\","
      "\"prediction\":{},\"moderation\":null}", SAME TAIL, "",
      "logprobs,store,service_tier,top_logprobs,logit_bias,metadata,"
      "web_search_options,prompt_cache_key,prediction" },

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
      "{\"name\":\"a\",\"strict\":true,\"schema\":{\"type\":\"object\"}}}"
      TAIL, "", "description" },

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
      "[{\"type\":\"image_url\",\"image_url\":\"https://x/\"}]}]}", "",
      "has an image by URL, which this model does not fetch: send its data" },
    { OPENAI, "", "{\"messages\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"image_url\",\"image_url\":\"data:image/png;base64,\\\"\"}"
      "]}]}", "", "has a file whose data is not base64" },
    { OPENAI, "", "{" USER ",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\"]}", "",
      "has more than the 4 stop sequences that this model takes" },
    { OPENAI, "f", "{" USER ",\"tool_choice\":\"required\"}", "",
      "forces a call, but this model has none of the tools" },
    { ANTHROPIC, "h", "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"url\","
      "\"url\":\"https://x/\"}}]}]}", "", "has a document by URL, which this "
      "model does not fetch: send its data" }
};


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

    { "a refusal", DELTA("\"refusal\":\"n\"") DELTA("\"refusal\":\"o\"")
      FINISH("content_filter") DONE, "refusal no|\ncontent_filter" }
};


int
main(void)
{
    test_writes();
    test_refusals();
    test_studio();
    test_memory();
    test_quirks();
    test_client();
    test_history();
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
        body = test_str(t->body);
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));
        test_target(&target, t->letters);

        check_int(t->dialect->read(&cv, pool, &body, &refusal), NGX_OK);
        check(ngx_pulse_tokens_bound(&cv.prompt) > 0);
        check_int(ngx_pulse_dialect_openai.write(&cv, &target, pool, &dropped,
                                                 &refusal, &b),
                  NGX_OK);

        one = test_tree(pool, b.data, b.len);
        two = test_tree(pool, (u_char *) t->expected, strlen(t->expected));

        check(one != NULL && two != NULL);

        if (!test_same(one, two)) {
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
        body = test_str(t->body);
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));

        rc = t->dialect->read(&cv, pool, &body, &refusal);

        if (t->letters) {
            check_int(rc, NGX_OK);
            test_target(&target, t->letters);
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
    body = test_str("{" USER ",\"system\":\"s\",\"locale\":\"ar\","
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

        body = test_str(test_write_table[i].body);
        test_target(&target, test_write_table[i].letters);

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
test_quirks(void)
{
    ngx_uint_t        i;
    const char       *p, *end;
    test_quirk_t     *t;
    test_stream_t     s;
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

        test_start(&s, OPENAI);
        check_int(test_feed(&s, b.data, b.len, 0, 7), NGX_OK);
        test_gather(&s.collector, &said);
        check_mem(said.data, said.len, t->expected, strlen(t->expected));

        if (!s.collector.failed) {
            test_back(&s);
        }

        test_end(&s);

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
    test_stream_t              s;
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

    test_start(&s, OPENAI);

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        unit_case("event %lu", (unsigned long) i);

        memset(&ev, 0, sizeof(ev));
        ev.type = events[i].type;
        ev.text = test_str(events[i].text);
        ev.id = test_str(ev.type == NGX_PULSE_ANSWER_START ? "msg_1" : "i");
        ev.model = test_str("m");
        ev.name = test_str("f");

        if (ev.type == NGX_PULSE_ANSWER_FINISH) {
            ev.finish = NGX_PULSE_FINISH_CALLS;
            ev.native = test_str("tool_use");
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
            check(s.out.len > strlen(events[i].expected));
            continue;
        }

        check_mem(s.out.data, s.out.len, events[i].expected,
                  strlen(events[i].expected));
    }

    test_end(&s);

    /* an error ends it without [DONE]; the old form of a call */

    unit_case("functions and an error");

    test_start(&s, OPENAI);
    s.cv.functions = 1;
    memset(&ev, 0, sizeof(ev));
    ev.id = test_str("i");
    ev.name = test_str("f");
    ev.text = test_str("{}");

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
    ev.error.message = test_str("m");
    ngx_pulse_dialect_openai.write_event(s.writer, &s.cv, &ev, &s.out);
    ev.type = NGX_PULSE_ANSWER_END;
    ngx_pulse_dialect_openai.write_event(s.writer, &s.cv, &ev, &s.out);

    text.data = s.out.data;
    text.len = s.out.len;

    check_str(&text, "data: {\"error\":{\"message\":\"m\",\"type\":"
              "\"server_error\",\"param\":null,\"code\":null}}\n\n");

    test_end(&s);
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
    char                     name[512];
    ngx_str_t                text, api, file;
    const char              *dir;
    ngx_uint_t               own, others;
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

    own = 0;
    others = 0;
    pool = unit_pool();
    list = test_tree(pool, text.data, text.len);
    check(list != NULL);

    for (record = list ? list->children : NULL; record; record = record->next)
    {
        api = test_string(record, "api");
        file = test_string(record, "file");

        unit_case("%.*s", (int) file.len, file.data);

        if (ngx_pulse_is(&api, "openai.chat")) {
            test_recording(dir, OPENAI, record);
            own++;

        } else if (ngx_pulse_is(&api, "anthropic.messages")
                   && ngx_pulse_json_get(record, "concatenated") == NULL)
        {
            test_recording(dir, ANTHROPIC, record);
            others++;
        }
    }

    unit_case(NULL);
    check(own >= 80);
    check(others >= 100);
    printf("# openai dialect: %lu recordings, %lu of other dialects\n",
           (unsigned long) own, (unsigned long) others);

    ngx_destroy_pool(pool);
    free(text.data);
}


static void
test_recording(const char *dir, ngx_pulse_dialect_t *dialect,
    ngx_pulse_json_value_t *record)
{
    char        name[512];
    ngx_str_t   file, body;
    ngx_uint_t  stream;

    file = test_string(record, "file");
    stream = ngx_pulse_json_get(record, "stream")->boolean;

    (void) snprintf(name, sizeof(name), "%s/data/recordings/%.*s", dir,
                    (int) file.len, file.data);

    body = unit_file(name);
    check(body.data != NULL);

    if (body.data == NULL) {
        return;
    }

    if (stream) {
        test_recorded_stream(dialect, &body, record);

    } else {
        test_recorded_answer(dialect, &body, record);
    }

    free(body.data);

    if (dialect != OPENAI) {
        return;
    }

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
test_recorded_stream(ngx_pulse_dialect_t *dialect, ngx_str_t *body,
    ngx_pulse_json_value_t *record)
{
    size_t         cut, step;
    test_stream_t  s;

    for (cut = 0; cut < 2; cut++) {
        test_start(&s, dialect);
        check_int(test_feed(&s, body->data, body->len, 0,
                            cut ? 1 : body->len),
                  NGX_OK);
        check_int(s.ends, 1);

        if (dialect == OPENAI) {
            test_compare_record(&s.collector, record);
        }

        test_back(&s);
        test_end(&s);
    }

    if (dialect != OPENAI) {
        return;
    }

    step = (body->len < 2500) ? 1 : body->len / 10;

    for (cut = 1; cut < body->len; cut += step) {
        test_start(&s, dialect);
        check_int(test_feed(&s, body->data, body->len, cut, body->len),
                  NGX_OK);
        test_compare_record(&s.collector, record);
        test_end(&s);
    }
}


static void
test_recorded_answer(ngx_pulse_dialect_t *dialect, ngx_str_t *body,
    ngx_pulse_json_value_t *record)
{
    ngx_str_t               said;
    test_stream_t           s;
    ngx_pulse_chat_error_t  error;

    test_start(&s, dialect);

    if (test_number(record, "http_status") >= 400) {

        if (dialect == OPENAI) {
            check_int(ngx_pulse_dialect_openai.read_error(&error, s.pool,
                                                 body->data, body->len),
                      NGX_OK);
            said = test_string(ngx_pulse_json_get(record, "error"), "message");
            check_mem(error.message.data, error.message.len, said.data,
                      said.len);
        }

        test_end(&s);
        return;
    }

    check_int(dialect->read_answer(s.pool, body, test_answer, &s), NGX_OK);
    check_int(s.ends, 1);

    if (dialect == OPENAI) {
        test_compare_record(&s.collector, record);
    }

    test_back(&s);
    test_end(&s);
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
        test_target(&target, "efhnprs");
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


/* e: effort, f: forced choice, h: fetches, m: max_tokens, n: effort none,
 * p: prefill, r: takes thinking back, s: sampling */

static void
test_target(ngx_pulse_target_t *target, const char *letters)
{
    memset(target, 0, sizeof(ngx_pulse_target_t));

    target->model = test_str("m");
    target->max_tokens = 9;
    target->max_tokens_name = test_str(strchr(letters, 'm')
                                       ? "max_tokens"
                                       : "max_completion_tokens");
    target->effort = (strchr(letters, 'e') != NULL);
    target->forced_choice = (strchr(letters, 'f') != NULL);
    target->https_images = (strchr(letters, 'h') != NULL);
    target->effort_none = (strchr(letters, 'n') != NULL);
    target->prefill = (strchr(letters, 'p') != NULL);
    target->reasoning_content = (strchr(letters, 'r') != NULL);
    target->sampling = (strchr(letters, 's') != NULL);
}


static void
test_start(test_stream_t *s, ngx_pulse_dialect_t *dialect)
{
    memset(s, 0, sizeof(test_stream_t));

    s->pool = unit_pool();
    s->dialect = dialect;
    s->reader = calloc(1, dialect->reader_size);
    s->writer = calloc(1, ngx_pulse_dialect_openai.writer_size);
    s->cv.dialect = NGX_PULSE_DIALECT_OPENAI;
    s->cv.include_usage = 1;

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
        rc = s->dialect->read_end(s->reader, test_answer, s);
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

    return unit_read_event(s->dialect, s->reader, ev, test_answer, s);
}


static ngx_int_t
test_answer(void *ctx, ngx_pulse_answer_event_t *ev)
{
    test_stream_t  *s = ctx;

    s->ends += (ev->type == NGX_PULSE_ANSWER_END);

    ngx_pulse_dialect_openai.write_event(s->writer, &s->cv, ev, &s->out);

    return ngx_pulse_collect(&s->collector, ev);
}


/* what a client gets of an answer, as a stream and whole, says the same */

static void
test_back(test_stream_t *s)
{
    ngx_str_t      whole;
    test_stream_t  two;

    test_start(&two, OPENAI);
    check_int(test_feed(&two, s->out.data, s->out.len, 0, s->out.len),
              NGX_OK);
    test_compare(&s->collector, &two.collector);
    test_end(&two);

    test_start(&two, OPENAI);
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

    test_end(&two);
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
    ngx_str_t                expected, id, name, raw;
    ngx_pulse_buf_t          text;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *call;

    static const char  *finishes[] = {
        "stop", "length", "tool_calls", "content_filter", "error"
    };

    ngx_pulse_buf_init(&text, 0);

    call = ngx_pulse_member(record, "tool_calls");
    call = call ? call->children : NULL;

    for (part = collector->parts; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_TEXT) {
            ngx_pulse_buf_str(&text, &part->text);
        }

        if (part->type != NGX_PULSE_PART_CALL) {
            continue;
        }

        check(call != NULL);

        if (call == NULL) {
            break;
        }

        id = test_string(call, "id");
        name = test_string(call, "name");
        raw = test_string(call, "arguments_raw");

        check_mem(part->id.data, part->id.len, id.data, id.len);
        check_mem(part->name.data, part->name.len, name.data, name.len);
        check_mem(part->arguments.data, part->arguments.len, raw.data,
                  raw.len);
        call = call->next;
    }

    check(call == NULL);

    expected = test_string(record, "text");
    check_mem(text.data, text.len, expected.data, expected.len);
    ngx_pulse_buf_free(&text);

    expected = test_string(record, "reasoning");

    if (expected.len) {
        ngx_pulse_buf_init(&text, 0);

        for (part = collector->parts; part; part = part->next) {
            if (part->type == NGX_PULSE_PART_THINKING) {
                ngx_pulse_buf_str(&text, &part->text);
            }
        }

        check_mem(text.data, text.len, expected.data, expected.len);
        ngx_pulse_buf_free(&text);
    }

    expected = test_string(record, "finish_reason");

    if (expected.len) {
        check_int(collector->failed, 0);
        check_mem(finishes[collector->finish],
                  strlen(finishes[collector->finish]),
                  expected.data, expected.len);

    } else if (ngx_pulse_member(record, "error")) {
        check_int(collector->failed, 1);
        expected = test_string(ngx_pulse_json_get(record, "error"), "message");
        check_mem(collector->error.message.data, collector->error.message.len,
                  expected.data, expected.len);
    }

    test_compare_usage(&collector->usage, record);
}


static void
test_compare_usage(ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *record)
{
    int64_t                  input, output, total;
    ngx_pulse_json_value_t  *expected;

    expected = ngx_pulse_member(record, "usage");

    check_int(usage->known, expected != NULL);

    if (expected == NULL) {
        return;
    }

    input = test_number(expected, "input_tokens");
    output = test_number(expected, "output_tokens");
    total = test_number(expected, "total_tokens");

    /* reasoning that is counted in the total only is billed too */

    output = ngx_max(output, total - input);

    check_int(usage->input, input);
    check_int(usage->cached, test_number(expected, "cached_input_tokens"));
    check_int(usage->cache_write, test_number(expected, "cache_write_tokens"));
    check_int(usage->output, output);
    check_int(usage->reasoning, test_number(expected, "reasoning_tokens"));
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
    ngx_uint_t         n;
    ngx_str_t          signature;
    ngx_pulse_part_t  *part;

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

    if (n) {
        ngx_pulse_buf_char(b, '|');
        ngx_pulse_buf_str(b, &signature);
        ngx_pulse_buf_char(b, '\n');
    }
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


/* members in any order */

static ngx_uint_t
test_same(ngx_pulse_json_value_t *a, ngx_pulse_json_value_t *b)
{
    char                     key[256];
    ngx_pulse_json_value_t  *child, *other;

    if (a == NULL || b == NULL || a->type != b->type || a->nelts != b->nelts
        || a->boolean != b->boolean || a->string.len != b->string.len
        || (a->string.len
            && memcmp(a->string.data, b->string.data, a->string.len) != 0))
    {
        return 0;
    }

    other = b->children;

    for (child = a->children; child; child = child->next) {

        if (a->type == NGX_PULSE_JSON_OBJECT) {
            (void) snprintf(key, sizeof(key), "%.*s", (int) child->key.len,
                            child->key.data);
            other = ngx_pulse_json_get(b, key);
        }

        if (!test_same(child, other)) {
            return 0;
        }

        other = other->next;
    }

    return 1;
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
