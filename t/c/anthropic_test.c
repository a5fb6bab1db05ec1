
#include "unit.h"
#include "ngx_pulse_anthropic.h"
#include "ngx_pulse_sse.h"


#define TEST_MAX  (16 * 1024 * 1024)


typedef struct {
    const char              *name;
    const char              *target;        /* letters, see test_target() */
    int64_t                  max_tokens;
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
static void test_read(void);
static void test_memory(void);
static void test_stream(void);
static void test_whole(void);
static void test_cut(void);
static void test_stop(void);
static void test_usage(void);
static void test_errors(void);
static void test_client(void);
static void test_signatures(void);
static void test_count(void);
static void test_recordings(void);
static void test_recording(const char *dir, ngx_pulse_json_value_t *record);
static void test_recorded_stream(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_answer(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_request(ngx_str_t *body);

static void test_target(ngx_pulse_target_t *target, const char *letters);
static void test_start(test_stream_t *s);
static void test_end(test_stream_t *s);
static ngx_int_t test_event(void *ctx, ngx_pulse_sse_event_t *ev);
static ngx_int_t test_answer(void *ctx, ngx_pulse_answer_event_t *ev);
static ngx_int_t test_feed(test_stream_t *s, const u_char *p, size_t len,
    size_t first, size_t step);
static void test_compare_record(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *record);
static void test_compare_usage(ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *record);
static void test_compare(ngx_pulse_collector_t *one,
    ngx_pulse_collector_t *two);
static void test_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);
static ngx_uint_t test_same(ngx_pulse_json_value_t *a,
    ngx_pulse_json_value_t *b);
static ngx_pulse_json_value_t *test_tree(ngx_pool_t *pool, const u_char *p,
    size_t len);
static int64_t test_number(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t test_string(ngx_pulse_json_value_t *v, const char *key);
static ngx_str_t test_str(const char *s);


#define USER  "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define SAME  "\"messages\":[{\"role\":\"user\",\"content\":"                 \
              "[{\"type\":\"text\",\"text\":\"x\"}]}]"
#define HEAD  "{\"model\":\"m\",\"max_tokens\":4096,"


/* what is written for a provider from what a client of the dialect wrote */

static test_write_t  test_write_table[] = {

    { "the least", "", 4096,
      "{" USER "}",
      HEAD SAME "}", "" },

    { "stream, user, stops, sampling", "s", 4096,
      "{" USER ",\"stream\":true,\"metadata\":{\"user_id\":\"u\"},"
      "\"stop_sequences\":[\"a\",\" \"],\"temperature\":0.5,\"top_k\":3}",
      "{\"model\":\"m\",\"max_tokens\":4096,\"stream\":true," SAME ","
      "\"stop_sequences\":[\"a\"],\"temperature\":0.5,\"top_k\":3,"
      "\"metadata\":{\"user_id\":\"u\"}}", "stop" },

    { "no sampling at all", "", 4096,
      "{" USER ",\"temperature\":0.5,\"top_k\":3,\"top_p\":0.9}",
      HEAD SAME "}", "temperature,top_p,top_k" },

    { "the default is not missed", "", 4096,
      "{" USER ",\"temperature\":1}",
      HEAD SAME "}", "" },

    { "one of temperature and top_p, clamped", "s", 4096,
      "{" USER ",\"temperature\":1.5,\"top_p\":0.9}",
      HEAD SAME ",\"temperature\":1}", "temperature,top_p" },

    { "system as one text", "", 4096,
      "{\"system\":\"s\"," USER "}",
      "{\"model\":\"m\",\"max_tokens\":4096,\"system\":\"s\"," SAME "}", "" },

    { "system in blocks, with a marker", "", 4096,
      "{\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
      "\"text\":\"b\",\"cache_control\":{\"type\":\"ephemeral\","
      "\"ttl\":\"1h\"}}]," USER "}",
      "{\"model\":\"m\",\"max_tokens\":4096,\"system\":[{\"type\":\"text\","
      "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\",\"cache_control\":"
      "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]," SAME "}", "" },

    { "a later system message as the user's", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"system\",\"content\":\"s\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"},{\"type\":\"text\",\"text\":\"s\"}]}]}", "" },

    { "a later system message where it may be", "i", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"system\",\"content\":\"s\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"system\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"s\"}]}]}", "" },

    { "results first, neighbors merged, blank texts gone", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"\"},"
      "{\"type\":\"tool_use\",\"id\":\"a.b\",\"name\":\"f\",\"input\":"
      "{\"k\":[1, 2]}},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"g\","
      "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"y\"},{\"type\":\"tool_result\",\"tool_use_id\":\"a.b\","
      "\"content\":\"r\"}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"is_error\":true},"
      "{\"type\":\"text\",\"text\":\"z\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":["
      "{\"type\":\"tool_use\",\"id\":\"a_b\",\"name\":\"f\",\"input\":"
      "{\"k\":[1, 2]}},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"g\","
      "\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a_b\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"r\"}]},{\"type\":\"tool_result\","
      "\"tool_use_id\":\"c\",\"is_error\":true},{\"type\":\"text\","
      "\"text\":\"y\"},{\"type\":\"text\",\"text\":\"z\"}]}]}", "" },

    { "images and documents", "h", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
      "\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
      "\"data\":\"iVBO\"}},{\"type\":\"image\",\"source\":{\"type\":\"url\","
      "\"url\":\"https://e.test/a.png\"}},{\"type\":\"document\",\"source\":"
      "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":"
      "\"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xf0\x9f\x91\x8b\"},"
      "\"title\":\"t\"},{\"type\":\"document\",\"source\":{\"type\":\"base64\""
      ",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":"
      "\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f1\"}}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
      "\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
      "\"data\":\"iVBO\"}},{\"type\":\"image\",\"source\":{\"type\":\"url\","
      "\"url\":\"https://e.test/a.png\"}},{\"type\":\"document\",\"source\":"
      "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":"
      "\"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xf0\x9f\x91\x8b\"},"
      "\"title\":\"t\"},{\"type\":\"document\",\"source\":{\"type\":\"base64\""
      ",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":"
      "\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f1\"}}]}]}",
      "" },

    { "blocks and tools of the vendor's own", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"search_result\",\"title\":\"t\", \"source\":\"s\"}]}],"
      "\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"search_result\",\"title\":\"t\", \"source\":\"s\"}]}],"
      "\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]}",
      "" },

    { "tools, forced choice, one at a time", "f", 4096,
      "{" USER ",\"tools\":[{\"name\":\"f\",\"description\":\"d\","
      "\"input_schema\":{\"type\":\"object\"},\"strict\":true,"
      "\"cache_control\":{\"type\":\"ephemeral\"}}],\"tool_choice\":"
      "{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}}",
      HEAD SAME ",\"tools\":[{\"name\":\"f\",\"description\":\"d\","
      "\"input_schema\":{\"type\":\"object\"},\"strict\":true,"
      "\"cache_control\":{\"type\":\"ephemeral\"}}],\"tool_choice\":"
      "{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}}",
      "" },

    { "forced choice where there is none, schemas completed", "", 4096,
      "{" USER ",\"tools\":[{\"name\":\"f\",\"input_schema\":{}},"
      "{\"name\":\"g\",\"input_schema\":{\"properties\":{}}}],"
      "\"tool_choice\":{\"type\":\"any\"}}",
      HEAD SAME ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":"
      "\"object\",\"properties\":{}}},{\"name\":\"g\",\"input_schema\":"
      "{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":{\"type\":"
      "\"auto\"}}", "tool_choice" },

    { "a choice without tools", "f", 4096,
      "{" USER ",\"tool_choice\":{\"type\":\"any\"}}",
      HEAD SAME "}", "" },

    { "thinking by budget", "bs", 4096,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},"
      "\"temperature\":0.5}",
      HEAD SAME ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
      "temperature" },

    { "a budget above what may be asked for", "b", 1500,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
      "{\"model\":\"m\",\"max_tokens\":1500," SAME ",\"thinking\":"
      "{\"type\":\"enabled\",\"budget_tokens\":1499}}", "" },

    { "too little for any thinking", "b", 1000,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
      "{\"model\":\"m\",\"max_tokens\":1000," SAME "}", "thinking" },

    { "a budget where there are levels", "e", 4096,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":20000}}",
      HEAD SAME ",\"thinking\":{\"type\":\"adaptive\",\"display\":"
      "\"summarized\"},\"output_config\":{\"effort\":\"high\"}}",
      "budget_tokens" },

    { "adaptive where there are budgets", "b", 4096,
      "{" USER ",\"thinking\":{\"type\":\"adaptive\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}}",
      "" },

    { "adaptive, not shown", "e", 4096,
      "{" USER ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},"
      "\"output_config\":{\"effort\":\"max\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"adaptive\",\"display\":"
      "\"omitted\"},\"output_config\":{\"effort\":\"max\"}}", "" },

    { "off, the effort of the answer kept", "eo", 4096,
      "{" USER ",\"thinking\":{\"type\":\"disabled\"},"
      "\"output_config\":{\"effort\":\"medium\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"disabled\"},\"output_config\":"
      "{\"effort\":\"medium\"}}", "" },

    { "between tools instead of off", "et", 4096,
      "{" USER ",\"thinking\":{\"type\":\"disabled\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"between_tools\"}}", "" },

    { "never off", "e", 4096,
      "{" USER ",\"thinking\":{\"type\":\"disabled\"}}",
      HEAD SAME ",\"output_config\":{\"effort\":\"low\"}}", "thinking" },

    { "effort alone", "eb", 4096,
      "{" USER ",\"output_config\":{\"effort\":\"low\"}}",
      HEAD SAME ",\"output_config\":{\"effort\":\"low\"}}", "" },

    { "effort where there is none", "b", 4096,
      "{" USER ",\"output_config\":{\"effort\":\"low\"}}",
      HEAD SAME "}", "effort" },

    { "going on after calls without their thinking", "b", 4096,
      "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
      "\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
      "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
      "\"a\"}]}]}", "thinking" },

    { "thinking sent back, but what another signed", "b", 4096,
      "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"h\","
      "\"signature\":\"EpAD\"},{\"type\":\"redacted_thinking\",\"data\":"
      "\"Eq\"},{\"type\":\"thinking\",\"thinking\":\"o\",\"signature\":"
      "\"gAAAAABo\"},{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
      "\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"thinking\",\"thinking\":\"h\",\"signature\":\"EpAD\"},{\"type\":"
      "\"redacted_thinking\",\"data\":\"Eq\"},{\"type\":\"tool_use\",\"id\":"
      "\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}],\"thinking\":"
      "{\"type\":\"enabled\",\"budget_tokens\":2000}}", "thinking" },

    { "a schema of the answer", "e", 4096,
      "{" USER ",\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":"
      "\"json_schema\",\"schema\":{\"type\":\"object\"}}}}",
      HEAD SAME ",\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":"
      "\"json_schema\",\"schema\":{\"type\":\"object\"}}}}", "" },

    { "prefill, without blanks at its end", "p", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":\"It is \\n\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"text\",\"text\":\"It is\"}]}]}", "" },

    { "neighbors of a turn that is left out", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
      "\"h\"}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
      "\"tool_use_id\":\"a\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"a\"},{\"type\":\"text\","
      "\"text\":\"x\"}]}]}", "thinking" },

    { "the assistant first", "", 4096,
      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"hi\"},{\"role\":"
      "\"user\",\"content\":\"x\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"text\",\"text\":\".\"}]},{\"role\":\"assistant\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"hi\"}]},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]}",
      "messages[0].role" },

    { "markers: the last four", "", 4096,
      "{\"cache_control\":{\"type\":\"ephemeral\"},\"messages\":[{\"role\":"
      "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
      "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\","
      "\"text\":\"b\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":"
      "\"text\",\"text\":\"c\",\"cache_control\":{\"type\":\"ephemeral\"}},"
      "{\"type\":\"text\",\"text\":\"d\",\"cache_control\":{\"type\":"
      "\"ephemeral\"}}]}]}",
      HEAD "\"cache_control\":{\"type\":\"ephemeral\"},\"messages\":[{"
      "\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
      "{\"type\":\"text\",\"text\":\"b\",\"cache_control\":{\"type\":"
      "\"ephemeral\"}},{\"type\":\"text\",\"text\":\"c\",\"cache_control\":"
      "{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"d\","
      "\"cache_control\":{\"type\":\"ephemeral\"}}]}]}", "cache_control" }
};


static test_refusal_t  test_refusal_table[] = {
    { "", "", NULL },
    { "[]", "", "must be an object" },
    { "{}", "/messages", "is required" },
    { "{\"messages\":[]}", "/messages", "must not be empty" },
    { "{\"messages\":{}}", "/messages", "must be an array" },
    { "{\"messages\":[1]}", "/messages/0", "must be an object" },
    { "{\"messages\":[{}]}", "/messages/0/role", "is required" },
    { "{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}",
      "/messages/0/role", "must be user, assistant or system" },
    { "{\"messages\":[{\"role\":\"user\"}]}",
      "/messages/0/content", "is required" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":1}]}",
      "/messages/0/content", "must be a string or an array" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[\"x\"]}]}",
      "/messages/0/content/0", "must be an object" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
      "/messages/0/content/0/text", "is required" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
      "\"source\":{\"type\":\"url\",\"url\":\"http://e.test\"}}]}]}",
      "/messages/0/content/0/source/url", "must be an https URL" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
      "\"source\":{\"type\":\"text\",\"data\":\"x\"}}]}]}",
      "/messages/0/content/0/source/type",
      "is no kind of source known here" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"b\",\"content\":[]}]}]}]}",
      "/messages/0/content/0/content/0",
      "must not be inside another result" },
    { "{" USER ",\"max_tokens\":0}", "/max_tokens", "is too small" },
    { "{" USER ",\"max_tokens\":1.5}", "/max_tokens", "must be an integer" },
    { "{" USER ",\"max_tokens\":99999999999}", "/max_tokens", "is too large" },
    { "{" USER ",\"stream\":1}", "/stream", "must be a boolean" },
    { "{" USER ",\"temperature\":\"1\"}", "/temperature", "must be a number" },
    { "{" USER ",\"stop_sequences\":\"a\"}", "/stop_sequences",
      "must be an array" },
    { "{" USER ",\"stop_sequences\":[1]}", "/stop_sequences/0",
      "must be a string" },
    { "{" USER ",\"thinking\":{\"type\":\"on\"}}", "/thinking/type",
      "must be enabled, adaptive, disabled or between_tools" },
    { "{" USER ",\"thinking\":{\"type\":\"enabled\"}}",
      "/thinking/budget_tokens", "is required" },
    { "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9}}",
      "/thinking/budget_tokens", "is too small" },
    { "{" USER ",\"output_config\":{\"effort\":\"none\"}}",
      "/output_config/effort", "must be low, medium, high, xhigh or max" },
    { "{" USER ",\"output_config\":{\"format\":{\"type\":\"json\"}}}",
      "/output_config/format/type", "must be json_schema" },
    { "{" USER ",\"tools\":[{\"name\":\"f\"}]}", "/tools/0/input_schema",
      "is required" },
    { "{" USER ",\"tool_choice\":{\"type\":\"required\"}}",
      "/tool_choice/type", "must be auto, any, tool or none" },
    { "{" USER ",\"tool_choice\":{\"type\":\"tool\"}}", "/tool_choice/name",
      "is required" },
    { "{\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\","
      "\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]," USER "}",
      "/system/1/type", "must be text" }
};


int
main(void)
{
    test_writes();
    test_foreign();
    test_refusals();
    test_write_refusals();
    test_read();
    test_memory();
    test_stream();
    test_whole();
    test_cut();
    test_stop();
    test_usage();
    test_errors();
    test_client();
    test_signatures();
    test_count();
    test_recordings();

    return unit_done();
}


static void
test_writes(void)
{
    char                       text[4096];
    ngx_str_t                  body;
    ngx_uint_t                 i, k;
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

        test_target(&target, t->target);
        target.max_tokens = t->max_tokens;

        check_int(ngx_pulse_anthropic_read(&cv, pool, &body, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_OK);

        one = test_tree(pool, b.data, b.len);
        two = test_tree(pool, (u_char *) t->expected, strlen(t->expected));

        check(one != NULL && two != NULL);

        if (!test_same(one, two)) {
            check_mem(b.data, b.len, t->expected, strlen(t->expected));
        }

        text[0] = '\0';

        for (k = 0; k < dropped.n; k++) {
            (void) snprintf(text + strlen(text), sizeof(text) - strlen(text),
                            "%s%.*s", k ? "," : "",
                            (int) dropped.names[k].len, dropped.names[k].data);
        }

        check_mem(text, strlen(text), t->dropped, strlen(t->dropped));

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* what only other dialects can say */

static void
test_foreign(void)
{
    ngx_str_t                  url;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_part_t          *part;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    static const char  expected[] =
        "{\"model\":\"m\",\"max_tokens\":8192,\"system\":\"one\\n\\ntwo\\n\\n"
        "Answer with one JSON object and with nothing else.\",\"messages\":"
        "[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":"
        "{\"type\":\"base64\",\"media_type\":\"image/jpeg\",\"data\":\"/9j/\""
        "}},{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":"
        "\"ephemeral\",\"ttl\":\"1h\"}}]},{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"f\",\"input\":"
        "{\"INVALID_JSON\":\"{\\\"a\\\":\"}}]},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"tool_result\",\"tool_use_id\":\"call_1\"}]}],"
        "\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":"
        "\"low\"}}";

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);
    memset(&cv, 0, sizeof(cv));
    memset(&dropped, 0, sizeof(dropped));

    test_target(&target, "e");
    target.max_tokens = 8192;

    cv.dialect = NGX_PULSE_DIALECT_OPENAI;
    cv.n = 1;
    cv.effort = NGX_PULSE_EFFORT_MINIMAL;
    cv.format = NGX_PULSE_FORMAT_JSON;
    cv.seed = test_str("7");
    cv.presence_penalty = test_str("1");
    cv.frequency_penalty = test_str("1");
    cv.verbosity = test_str("low");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_SYSTEM);
    ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT)->text = test_str("one");
    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_SYSTEM);
    ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT)->text = test_str("two");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
    turn->name = test_str("Samira");
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_IMAGE);
    url = test_str("data:image/jpg;base64,/9j/");
    check_int(ngx_pulse_part_url(part, &url), NGX_OK);
    part->detail = test_str("low");
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT);
    part->text = test_str("x");
    part->cache = test_str("30m");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_ASSISTANT);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_CALL);
    part->id = test_str("call_1");
    part->name = test_str("f");
    part->arguments = test_str("{\"a\":");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_RESULT);
    part->id = test_str("call_1");

    check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped, &refusal,
                                        &b),
              NGX_OK);
    check_mem(b.data, b.len, expected, sizeof(expected) - 1);
    check_int(dropped.n, 7);

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_refusals(void)
{
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    test_refusal_t            *t;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < sizeof(test_refusal_table) / sizeof(test_refusal_t); i++) {
        t = &test_refusal_table[i];
        unit_case("%s", t->body);

        pool = unit_pool();
        body = test_str(t->body);

        check_int(ngx_pulse_anthropic_read(&cv, pool, &body, &refusal),
                  NGX_DECLINED);
        check_mem(refusal.pointer, strlen(refusal.pointer), t->pointer,
                  strlen(t->pointer));
        check(refusal.reason != NULL);

        if (t->reason && refusal.reason) {
            check_mem(refusal.reason, strlen(refusal.reason), t->reason,
                      strlen(t->reason));
        }

        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_write_refusals(void)
{
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_part_t          *part;
    ngx_pulse_tool_t          *tool;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < 12; i++) {
        unit_case("%d", (int) i);

        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);
        memset(&cv, 0, sizeof(cv));
        memset(&dropped, 0, sizeof(dropped));
        test_target(&target, "");
        target.max_tokens = 10;

        cv.n = 1;
        turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
        part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT);
        part->text = test_str("x");

        switch (i) {

        case 0:
            cv.n = 2;
            break;

        case 1:
            part->type = NGX_PULSE_PART_AUDIO;
            break;

        case 2:
            turn->role = NGX_PULSE_ROLE_ASSISTANT;
            break;

        case 3:
            turn->role = NGX_PULSE_ROLE_SYSTEM;
            break;

        case 4:
            part->text = test_str(" \n");
            break;

        case 5:
            tool = ngx_pulse_tool_add(&cv, pool);
            tool->raw = test_str("{}");
            tool->dialect = NGX_PULSE_DIALECT_GEMINI;
            break;

        case 6:
            ngx_pulse_tool_add(&cv, pool)->custom = 1;
            break;

        case 7:
            part->type = NGX_PULSE_PART_IMAGE;
            part->url = test_str("https://e.test/");
            break;

        case 8:
            part->type = NGX_PULSE_PART_IMAGE;
            part->data = test_str("AAAA");
            part->media_type = test_str("image/tiff");
            break;

        case 9:
            part->type = NGX_PULSE_PART_DOCUMENT;
            part->file_id = test_str("file-1");
            break;

        case 10:
            part->type = NGX_PULSE_PART_DOCUMENT;
            part->data = test_str("/////w==");
            part->media_type = test_str("text/plain");
            break;

        default:
            part->type = NGX_PULSE_PART_RAW;
            part->data = test_str("{}");
        }

        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_DECLINED);
        check(refusal.reason != NULL);

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_read(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    body = test_str("{\"model\":\"a:b\",\"max_tokens\":5,\"container\":\"c\","
                    "\"service_tier\":null,\"metadata\":{\"user_id\":\"u\","
                    "\"x\":1},\"thinking\":{\"type\":\"between_tools\"},"
                    "\"output_config\":{\"effort\":\"high\",\"task_budget\":"
                    "{}},\"messages\":[{\"role\":\"user\",\"content\":["
                    "{\"type\":\"text\",\"text\":\"x\",\"citations\":[]},"
                    "{\"type\":\"image\",\"source\":{\"type\":\"file\","
                    "\"file_id\":\"f\"}}]}]}");

    pool = unit_pool();

    check_int(ngx_pulse_anthropic_read(&cv, pool, &body, &refusal), NGX_OK);
    check_int(cv.dialect, NGX_PULSE_DIALECT_ANTHROPIC);
    check_str(&cv.model, "a:b");
    check_int(cv.max_tokens, 5);
    check_int(cv.effort, NGX_PULSE_EFFORT_NONE);
    check_int(cv.answer_effort, NGX_PULSE_EFFORT_HIGH);
    check_int(cv.stream, 0);
    check_int(cv.images_high, 1);
    check(ngx_pulse_tokens_bound(&cv.prompt) >= 10);

    check_int(cv.nunknown, 3);
    check_str(&cv.unknown[0], "task_budget");
    check_str(&cv.unknown[1], "x");
    check_str(&cv.unknown[2], "container");

    ngx_destroy_pool(pool);
}


/* whichever allocation fails, what was begun is an error, not a crash */

static void
test_memory(void)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 n;
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    body = test_str("{\"system\":\"s\",\"tools\":[{\"name\":\"f\","
                    "\"input_schema\":{}}],\"messages\":[{\"role\":\"user\","
                    "\"content\":[{\"type\":\"text\",\"text\":\"\\u0041\"},"
                    "{\"type\":\"document\",\"source\":{\"type\":\"text\","
                    "\"data\":\"d\"}},{\"type\":\"tool_result\","
                    "\"tool_use_id\":\"a\",\"content\":\"r\"}]}]}");

    for (n = 1; n < 500; n++) {
        pool = unit_pool();
        unit_fail_allocation(n);
        rc = ngx_pulse_anthropic_read(&cv, pool, &body, &refusal);
        unit_fail_allocation(0);
        ngx_destroy_pool(pool);

        if (rc == NGX_OK) {
            break;
        }

        check(rc == NGX_ERROR || rc == NGX_DECLINED);
    }

    check(n > 20 && n < 500);
}


#define DELTA(i, d)                                                           \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","    \
    "\"index\":" i ",\"delta\":" d "}  \n\n"
#define BLOCK(i, d)                                                           \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\","    \
    "\"index\":" i ",\"content_block\":" d "}\n\n"
#define STOP(i)                                                               \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","      \
    "\"index\":" i " }\n\n"
#define START(usage)                                                          \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"    \
    "{\"id\":\"msg_1\",\"model\":\"claude\",\"content\":[],\"usage\":"        \
    usage "}}\n\n"


static const char  test_all_parts[] =
    START("{\"input_tokens\":10,\"cache_creation_input_tokens\":3,"
          "\"cache_creation\":{\"ephemeral_5m_input_tokens\":1,"
          "\"ephemeral_1h_input_tokens\":2},\"output_tokens\":90}")
    BLOCK("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
    "event: ping\ndata: {\"type\": \"ping\"}\n\n"
    DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"\xd9\x83\"}")
    DELTA("0", "{\"type\":\"signature_delta\",\"signature\":\"EpAD\"}")
    STOP("0")
    BLOCK("1", "{\"type\":\"redacted_thinking\",\"data\":\"Eqqq\"}")
    STOP("1")
    BLOCK("2", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
    DELTA("2", "{\"type\":\"signature_delta\",\"signature\":\"EqBE\"}")
    STOP("2")
    BLOCK("3", "{\"type\":\"text\",\"text\":\"\"}")
    DELTA("3", "{\"type\":\"text_delta\",\"text\":"
               "\"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd9\x8b\xd8\xa7 "
               "\xf0\x9f\x91\x8b\\u0041\"}")
    DELTA("3", "{\"type\":\"citations_delta\",\"citation\":{}}")
    STOP("3")
    BLOCK("4", "{\"type\":\"text\",\"text\":\"b\"}")
    STOP("4")
    BLOCK("5", "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"w\","
               "\"input\":{}}")
    DELTA("5", "{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}")
    STOP("5")
    BLOCK("6", "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\","
               "\"input\":{}}")
    DELTA("6", "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\"}")
    DELTA("6", "{\"type\":\"input_json_delta\",\"partial_json\":\"\\\":1}\"}")
    STOP("6")
    BLOCK("7", "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\","
               "\"input\":{}}")
    DELTA("7", "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}")
    STOP("7")
    BLOCK("8", "{\"type\":\"tool_use\",\"id\":\"t3\",\"name\":\"h\","
               "\"input\":{\"b\":2}}")
    STOP("8")
    "event: vendor_news\ndata: {\"type\":\"vendor_news\"}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
    "{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":50,"
    "\"cache_read_input_tokens\":7,\"input_tokens\":null,"
    "\"output_tokens_details\":{\"thinking_tokens\":20}}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";


static const char  test_all_gathered[] =
    "thinking \xd9\x83|EpAD\n"
    "redacted Eqqq\n"
    "thinking |EqBE\n"
    "text \xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd9\x8b\xd8\xa7 "
        "\xf0\x9f\x91\x8b" "A|\n"
    "text b|\n"
    "call t1 f {\"a\":1}|\n"
    "call t2 g {}|\n"
    "call t3 h {\"b\":2}|\n";


static void
test_stream(void)
{
    size_t                  cut, len;
    ngx_pulse_buf_t         b;
    test_stream_t           s;
    ngx_pulse_chat_usage_t  *usage;

    len = sizeof(test_all_parts) - 1;

    for (cut = 1; cut < len; cut++) {
        unit_case("cut at %d", (int) cut);

        test_start(&s);
        ngx_pulse_buf_init(&b, 0);

        check_int(test_feed(&s, (u_char *) test_all_parts, len, cut, len),
                  NGX_OK);

        test_gather(&s.collector, &b);
        check_mem(b.data, b.len, test_all_gathered,
                  sizeof(test_all_gathered) - 1);

        check_str(&s.collector.id, "msg_1");
        check_str(&s.collector.model, "claude");
        check_str(&s.collector.native, "tool_use");
        check_int(s.collector.finish, NGX_PULSE_FINISH_CALLS);
        check_int(s.collector.failed, 0);
        check_int(s.ends, 1);

        usage = &s.collector.usage;
        check_int(usage->known, 1);
        check_int(usage->input, 20);
        check_int(usage->cached, 7);
        check_int(usage->cache_write, 3);
        check_int(usage->cache_hour, 2);
        check_int(usage->output, 50);
        check_int(usage->reasoning, 20);

        ngx_pulse_buf_free(&b);
        test_end(&s);
    }

    unit_case(NULL);
}


static void
test_whole(void)
{
    ngx_str_t        body;
    ngx_pulse_buf_t  b;
    test_stream_t    s;

    body = test_str("{\"id\":\"msg_2\",\"type\":\"message\",\"model\":\"c\","
                    "\"content\":[{\"type\":\"text\",\"text\":\"no\"},"
                    "{\"type\":\"web_search_tool_result\",\"content\":[]},"
                    "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\","
                    "\"input\":{\"a\": [1]}}],\"stop_reason\":\"refusal\","
                    "\"stop_sequence\":null,\"stop_details\":{\"type\":"
                    "\"refusal\",\"category\":\"cyber\",\"explanation\":"
                    "\"harm\"},\"usage\":{\"input_tokens\":1,"
                    "\"output_tokens\":2}}");

    test_start(&s);
    ngx_pulse_buf_init(&b, 0);

    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);
    test_gather(&s.collector, &b);
    ngx_pulse_buf_char(&b, '\0');
    check_mem(b.data, strlen((char *) b.data),
              "text no|\ncall t f {\"a\": [1]}|\nrefusal harm|\n",
              strlen("text no|\ncall t f {\"a\": [1]}|\nrefusal harm|\n"));
    check_int(s.collector.finish, NGX_PULSE_FINISH_FILTER);
    check_str(&s.collector.native, "refusal");
    check_int(s.collector.usage.known, 1);

    ngx_pulse_buf_free(&b);
    test_end(&s);

    /* no answers */

    test_start(&s);
    body = test_str("{\"type\":\"message\",\"content\":1}");
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_ERROR);
    body = test_str("[]");
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_ERROR);
    test_end(&s);

    test_start(&s);
    body = test_str("{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                    "\"message\":\"m\"}}");
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);
    check_int(s.collector.failed, 1);
    check_str(&s.collector.error.message, "m");
    test_end(&s);
}


/* a stream that ends too early is an error, and said once */

static void
test_cut(void)
{
    const char     *p;
    ngx_uint_t      i;
    test_stream_t   s;

    static const char  error[] =
        START("{\"input_tokens\":5,\"output_tokens\":1}")
        BLOCK("0", "{\"type\":\"text\",\"text\":\"x\"}")
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
        "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
        STOP("0");

    static const char  *bad[] = {
        "data: x\n\n",
        "data: []\n\n",
        "data: {\"type\":\"message_start\"}\n\n",
        "data: {\"type\":\"content_block_start\"}\n\n",
        "data: {\"type\":\"content_block_delta\",\"delta\":1}\n\n",
        START("{}") BLOCK("0", "{\"type\":\"text\",\"text\":\"x\"}")
        START("{}")
    };

    p = strstr(test_all_parts, "event: message_delta");

    test_start(&s);
    check_int(test_feed(&s, (u_char *) test_all_parts, p - test_all_parts, 0,
                        100),
              NGX_OK);
    check_int(s.collector.failed, 1);
    check_int(s.collector.finished, 0);
    check_int(s.collector.usage.known, 0);
    check_str(&s.collector.error.type, "api_error");
    check_int(s.ends, 0);
    test_end(&s);

    p = strstr(test_all_parts, "event: message_stop");

    test_start(&s);
    check_int(test_feed(&s, (u_char *) test_all_parts, p - test_all_parts, 0,
                        100),
              NGX_OK);
    check_int(s.collector.failed, 0);
    check_int(s.collector.finished, 1);
    check_int(s.ends, 1);
    test_end(&s);

    test_start(&s);
    check_int(test_feed(&s, (u_char *) error, sizeof(error) - 1, 0, 7),
              NGX_OK);
    check_int(s.collector.failed, 1);
    check_str(&s.collector.error.type, "overloaded_error");
    check_str(&s.collector.error.message, "Overloaded");
    check_int(s.ends, 0);
    test_end(&s);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i]);
        test_start(&s);
        check_int(test_feed(&s, (u_char *) bad[i], strlen(bad[i]), 0, 1000),
                  NGX_ERROR);
        test_end(&s);
    }

    unit_case(NULL);
}


/* what stopped it is told an event before it is written */

static void
test_stop(void)
{
    test_stream_t  s;

    static const char  stream[] =
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\"}}\n\n"
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
        "\"stop_sequence\",\"stop_sequence\":\"END\"}}\n\n"
        "data: {\"type\":\"message_stop\"}\n\n";

    test_start(&s);

    s.cv.nstops = 1;
    s.cv.stops[0] = test_str("END");

    check_int(test_feed(&s, (u_char *) stream, sizeof(stream) - 1, 0, 100),
              NGX_OK);
    ngx_pulse_buf_char(&s.out, '\0');

    check(strstr((char *) s.out.data, "\"stop_reason\":\"stop_sequence\","
                                      "\"stop_sequence\":\"END\"")
          != NULL);
    check_str(&s.collector.stop, "END");

    test_end(&s);
}


static void
test_usage(void)
{
    ngx_str_t               body;
    test_stream_t           s;
    ngx_pulse_chat_usage_t  *usage;

    /* passes that the top does not count; a breakdown that went stale */

    body = test_str("{\"content\":[],\"stop_reason\":\"end_turn\",\"usage\":"
                    "{\"input_tokens\":181,\"output_tokens\":8,"
                    "\"output_tokens_details\":{\"thinking_tokens\":4},"
                    "\"iterations\":[{\"input_tokens\":100,"
                    "\"output_tokens\":83,\"cache_read_input_tokens\":55096,"
                    "\"cache_creation_input_tokens\":9,\"cache_creation\":"
                    "{\"ephemeral_1h_input_tokens\":2,"
                    "\"ephemeral_5m_input_tokens\":7}},"
                    "{\"input_tokens\":181,\"output_tokens\":8}]}}");

    test_start(&s);
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);

    usage = &s.collector.usage;
    check_int(usage->known, 1);
    check_int(usage->input, 100 + 55096 + 9 + 181);
    check_int(usage->cached, 55096);
    check_int(usage->cache_write, 9);
    check_int(usage->cache_hour, 2);
    check_int(usage->output, 91);
    check_int(usage->reasoning, 4);
    test_end(&s);

    body = test_str("{\"content\":[],\"stop_reason\":\"end_turn\",\"usage\":"
                    "{\"input_tokens\":-1,\"output_tokens\":\"8\","
                    "\"cache_creation_input_tokens\":12,\"cache_creation\":"
                    "{\"ephemeral_1h_input_tokens\":10,"
                    "\"ephemeral_5m_input_tokens\":0}}}");

    test_start(&s);
    check_int(ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                              &s.collector),
              NGX_OK);
    check_int(s.collector.usage.input, 12);
    check_int(s.collector.usage.output, 0);
    check_int(s.collector.usage.cache_hour, 12);
    test_end(&s);
}


static void
test_errors(void)
{
    ngx_str_t                body;
    ngx_pool_t              *pool;
    ngx_pulse_buf_t          b;
    ngx_pulse_chat_error_t   error;

    pool = unit_pool();

    body = test_str("{\"type\":\"error\",\"error\":{\"type\":"
                    "\"rate_limit_error\",\"message\":\"slow\",\"details\":"
                    "{\"error_code\":\"enforced_spend_limit_reached\"}}}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_OK);
    check_str(&error.type, "rate_limit_error");
    check_str(&error.code, "enforced_spend_limit_reached");
    check_int(error.quota, 1);

    body = test_str("{\"error\":{\"type\":\"invalid_request_error\","
                    "\"message\":\"Your credit balance is too low to\"}}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_OK);
    check_int(error.quota, 1);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_anthropic_write_error(&error, &b);
    check_str(&b, "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\","
                  "\"message\":\"Your credit balance is too low to\"}}");
    ngx_pulse_buf_free(&b);

    body = test_str("{\"error\":\"text\"}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_OK);
    check_str(&error.message, "text");
    check_int(error.quota, 0);

    ngx_pulse_anthropic_write_error(&error, &b);
    check_str(&b, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                  "\"message\":\"text\"}}");
    ngx_pulse_buf_free(&b);

    body = test_str("<html>");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_DECLINED);

    body = test_str("{\"error\":{}}");
    check_int(ngx_pulse_anthropic_read_error(&error, pool, body.data,
                                             body.len),
              NGX_DECLINED);

    ngx_destroy_pool(pool);
}


/* the stream as an SDK wants it, of events as any provider gives them */

static void
test_client(void)
{
    ngx_uint_t                     i;
    ngx_pulse_buf_t                b;
    ngx_pulse_conversation_t       cv;
    ngx_pulse_anthropic_writer_t   writer;

    static ngx_pulse_answer_event_t  events[] = {
        { .type = NGX_PULSE_ANSWER_START, .id = ngx_string("chatcmpl-1") },
        { .type = NGX_PULSE_ANSWER_TEXT, .text = ngx_string("") },
        { .type = NGX_PULSE_ANSWER_TEXT, .text = ngx_string("a\n") },
        { .type = NGX_PULSE_ANSWER_CALL, .id = ngx_string("c0"),
          .name = ngx_string("f"), .index = 0 },
        { .type = NGX_PULSE_ANSWER_CALL, .id = ngx_string("c1"),
          .name = ngx_string("g"), .index = 1 },
        { .type = NGX_PULSE_ANSWER_ARGUMENTS, .text = ngx_string("{}"),
          .index = 0 },
        { .type = NGX_PULSE_ANSWER_CALL_END, .index = 0 },
        { .type = NGX_PULSE_ANSWER_CALL_END, .index = 1 },
        { .type = NGX_PULSE_ANSWER_FINISH, .native = ngx_string("stop"),
          .finish = NGX_PULSE_FINISH_STOP, .stop = ngx_string("END") },
        { .type = NGX_PULSE_ANSWER_USAGE,
          .usage = { .input = 10, .cached = 4, .cache_write = 1,
                     .cache_hour = 1, .output = 6, .reasoning = 2,
                     .known = 1 } },
        { .type = NGX_PULSE_ANSWER_END }
    };

    static const char  usage[] =
        "\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":0,\"cache_creation\":"
        "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},"
        "\"output_tokens\":0}";

    static const char  expected[] =
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\n\"}}"
        "\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
        "\"index\":0}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c0\","
        "\"name\":\"f\",\"input\":{}}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
        "\"index\":1}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\","
        "\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c1\","
        "\"name\":\"g\",\"input\":{}}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":1,\"delta\":{\"type\":\"input_json_delta\","
        "\"partial_json\":\"{}\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
        "\"index\":2}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
        "{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\","
        "\"stop_details\":null},\"usage\":{\"input_tokens\":5,"
        "\"cache_creation_input_tokens\":1,\"cache_read_input_tokens\":4,"
        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
        "\"ephemeral_1h_input_tokens\":1},\"output_tokens\":6,"
        "\"output_tokens_details\":{\"thinking_tokens\":2}}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    memset(&cv, 0, sizeof(cv));
    memset(&writer, 0, sizeof(writer));
    cv.model = test_str("m");
    cv.nstops = 1;
    cv.stops[0] = test_str("END");

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_anthropic_write_event(&writer, &cv, &events[0], &b);

    check(b.len > sizeof(usage)
          && memmem(b.data, b.len, usage, sizeof(usage) - 1) != NULL);
    check(memmem(b.data, b.len, "\"id\":\"chatcmpl-1\"", 17) != NULL);
    check(memmem(b.data, b.len, "\"model\":\"m\"", 11) != NULL);
    b.len = 0;

    for (i = 1; i < sizeof(events) / sizeof(events[0]); i++) {
        ngx_pulse_anthropic_write_event(&writer, &cv, &events[i], &b);
    }

    check_mem(b.data, b.len, expected, sizeof(expected) - 1);
    b.len = 0;

    /* an error ends the stream without its regular end */

    memset(&writer, 0, sizeof(writer));
    events[0].type = NGX_PULSE_ANSWER_ERROR;
    events[0].error.type = test_str("server_error");
    events[0].error.message = test_str("x");

    ngx_pulse_anthropic_write_event(&writer, &cv, &events[0], &b);
    ngx_pulse_anthropic_write_event(&writer, &cv, &events[10], &b);
    check_str(&b, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                  "\"api_error\",\"message\":\"x\"}}\n\n");

    events[0].type = NGX_PULSE_ANSWER_START;
    ngx_pulse_buf_free(&b);
}


/* of calls and texts: there and back */

static void
test_signatures(void)
{
    ngx_uint_t                     i, whole;
    ngx_str_t                      body;
    ngx_pulse_buf_t                b;
    test_stream_t                  s, two;
    ngx_pulse_part_t              *part;
    ngx_pulse_conversation_t       cv;
    ngx_pulse_chat_refusal_t       refusal;

    static ngx_pulse_answer_event_t  events[] = {
        { .type = NGX_PULSE_ANSWER_START, .id = ngx_string("r") },
        { .type = NGX_PULSE_ANSWER_TEXT, .text = ngx_string("a") },
        { .type = NGX_PULSE_ANSWER_SIGNATURE, .text = ngx_string("Sig+1=") },
        { .type = NGX_PULSE_ANSWER_CALL, .id = ngx_string("c0"),
          .name = ngx_string("f"), .signature = ngx_string("Sig2") },
        { .type = NGX_PULSE_ANSWER_FINISH,
          .finish = NGX_PULSE_FINISH_CALLS },
        { .type = NGX_PULSE_ANSWER_END }
    };

    for (whole = 0; whole < 2; whole++) {
        test_start(&s);
        test_start(&two);

        for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
            check_int(test_answer(&s, &events[i]), NGX_OK);
        }

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, "{\"messages\":[{\"role\":\"assistant\","
                                  "\"content\":");

        if (whole) {
            s.out.len = 0;
            ngx_pulse_anthropic_write_answer(&s.collector, &s.cv, 0, &s.out);
            body.data = s.out.data;
            body.len = s.out.len;
            check_int(ngx_pulse_anthropic_read_answer(two.pool, &body,
                                                      ngx_pulse_collect,
                                                      &two.collector),
                      NGX_OK);

        } else {
            check_int(test_feed(&two, s.out.data, s.out.len, 0, 11), NGX_OK);
        }

        two.out.len = 0;
        ngx_pulse_anthropic_write_answer(&two.collector, &two.cv, 0,
                                         &two.out);

        /* the client sends back the content that it got */

        body.data = (u_char *) memmem(two.out.data, two.out.len,
                                      "\"content\":", 10) + 10;
        body.len = (u_char *) memmem(two.out.data, two.out.len,
                                     ",\"stop_reason\"", 14) - body.data;
        ngx_pulse_buf_str(&b, &body);
        ngx_pulse_buf_literal(&b, "}]}");
        body.data = b.data;
        body.len = b.len;

        check_int(ngx_pulse_anthropic_read(&cv, two.pool, &body, &refusal),
                  NGX_OK);

        part = cv.turns->parts;
        check_int(part->type, NGX_PULSE_PART_TEXT);
        check_str(&part->text, "a");
        check_str(&part->signature, "Sig+1=");

        part = part->next;
        check_int(part->type, NGX_PULSE_PART_CALL);
        check_str(&part->signature, "Sig2");
        check_str(&part->arguments, "{}");
        check(part->next == NULL);

        ngx_pulse_buf_free(&b);
        test_end(&two);
        test_end(&s);
    }
}


static void
test_count(void)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_anthropic_write_count(2095, &b);
    check_str(&b, "{\"input_tokens\":2095}");
    ngx_pulse_buf_free(&b);
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

        if (ngx_pulse_is(&api, "anthropic.messages")) {
            test_recording(dir, record);
            n++;
        }
    }

    unit_case(NULL);
    check(n >= 100);
    printf("# anthropic: %lu recordings\n", (unsigned long) n);

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

    for (cut = 0; cut < 2; cut++) {
        test_start(&s);
        check_int(test_feed(&s, body->data, body->len, 0,
                            cut ? 1 : body->len),
                  NGX_OK);
        check_int(s.ends, 1);
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
    ngx_pulse_json_value_t  *expected;

    test_start(&s);

    if (test_number(record, "http_status") >= 400) {
        check_int(ngx_pulse_anthropic_read_error(&error, s.pool, body->data,
                                                 body->len),
                  NGX_OK);
        expected = ngx_pulse_json_get(record, "error");
        said = test_string(expected, "message");
        check_mem(error.message.data, error.message.len, said.data, said.len);
        said = test_string(expected, "type");
        check_mem(error.type.data, error.type.len, said.data, said.len);
        test_end(&s);
        return;
    }

    check_int(ngx_pulse_anthropic_read_answer(s.pool, body, test_answer, &s),
              NGX_OK);
    check_int(s.ends, 1);
    test_compare_record(&s.collector, record);

    test_start(&two);
    check_int(test_feed(&two, s.out.data, s.out.len, 0, s.out.len), NGX_OK);
    test_compare(&s.collector, &two.collector);
    test_end(&two);

    test_start(&two);
    ngx_pulse_anthropic_write_answer(&s.collector, &s.cv, 0, &two.out);
    said.data = two.out.data;
    said.len = two.out.len;
    check_int(ngx_pulse_anthropic_read_answer(two.pool, &said,
                                              ngx_pulse_collect,
                                              &two.collector),
              NGX_OK);
    test_compare(&s.collector, &two.collector);
    test_end(&two);

    test_end(&s);
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

    rc = ngx_pulse_anthropic_read(&cv, pool, body, &refusal);
    check_int(rc, NGX_OK);

    if (rc == NGX_OK) {
        test_target(&target, cv.budget ? "bfsohip" : "efsohip");
        target.model = cv.model;
        target.max_tokens = cv.max_tokens ? cv.max_tokens : 5;

        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_OK);
        again.data = b.data;
        again.len = len = b.len;

        check_int(ngx_pulse_anthropic_read(&cv, pool, &again, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
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


/* b: budgets, e: effort, f: forced choice, h: fetches, i: system inside,
 * o: off, p: prefill, s: sampling, t: between tools */

static void
test_target(ngx_pulse_target_t *target, const char *letters)
{
    memset(target, 0, sizeof(ngx_pulse_target_t));

    target->model = test_str("m");
    target->thinking_budget = (strchr(letters, 'b') != NULL);
    target->effort = (strchr(letters, 'e') != NULL);
    target->forced_choice = (strchr(letters, 'f') != NULL);
    target->https_images = (strchr(letters, 'h') != NULL);
    target->system_inside = (strchr(letters, 'i') != NULL);
    target->thinking_off = (strchr(letters, 'o') != NULL);
    target->prefill = (strchr(letters, 'p') != NULL);
    target->sampling = (strchr(letters, 's') != NULL);
    target->between_tools = (strchr(letters, 't') != NULL);
}


static void
test_start(test_stream_t *s)
{
    memset(s, 0, sizeof(test_stream_t));

    s->pool = unit_pool();
    s->reader = calloc(1, ngx_pulse_dialect_anthropic.reader_size);
    s->writer = calloc(1, ngx_pulse_dialect_anthropic.writer_size);
    s->cv.dialect = NGX_PULSE_DIALECT_ANTHROPIC;

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
        rc = ngx_pulse_anthropic_read_end(s->reader, test_answer, s);
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

    return unit_read_event(&ngx_pulse_dialect_anthropic, s->reader, ev,
                           test_answer, s);
}


static ngx_int_t
test_answer(void *ctx, ngx_pulse_answer_event_t *ev)
{
    test_stream_t  *s = ctx;

    s->ends += (ev->type == NGX_PULSE_ANSWER_END);

    ngx_pulse_anthropic_write_event(s->writer, &s->cv, ev, &s->out);

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
            check(test_same(test_tree(collector->pool, part->arguments.data,
                                      part->arguments.len),
                            ngx_pulse_json_get(call, "arguments")));
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
    int64_t                  input, output;
    ngx_pulse_json_value_t  *native, *pass, *expected;

    expected = ngx_pulse_member(record, "usage");
    native = ngx_pulse_json_get(record, "usage_native");

    check_int(usage->known, expected != NULL);

    if (expected == NULL) {
        return;
    }

    pass = ngx_pulse_member(native, "iterations");

    /* what is expected leaves passes out that are billed */

    if (pass && pass->nelts) {
        input = 0;
        output = 0;

        for (pass = pass->children; pass; pass = pass->next) {
            input += test_number(pass, "input_tokens")
                     + test_number(pass, "cache_read_input_tokens")
                     + test_number(pass, "cache_creation_input_tokens");
            output += test_number(pass, "output_tokens");
        }

        check_int(usage->input, input);
        check_int(usage->output, output);
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
    ngx_pulse_buf_t  a, b;

    ngx_pulse_buf_init(&a, 0);
    ngx_pulse_buf_init(&b, 0);

    test_gather(one, &a);
    test_gather(two, &b);

    check_mem(b.data, b.len, a.data, a.len);
    check_mem(two->id.data, two->id.len, one->id.data, one->id.len);
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
            ngx_pulse_buf_char(b, ' ');
            ngx_pulse_buf_str(b, &part->arguments);
        }

        ngx_pulse_buf_char(b, '|');
        ngx_pulse_buf_str(b, &part->signature);
        ngx_pulse_buf_char(b, '\n');
    }
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
