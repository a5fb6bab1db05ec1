
#include "unit_stream.h"
#include "ngx_pulse_anthropic.h"


typedef struct {
    const char              *body;
    const char              *pointer;
    const char              *reason;
} test_refusal_t;


static void test_refusals(void);
static void test_read(void);
static void test_memory(void);


#define USER  "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"


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
    test_refusals();
    test_read();
    test_memory();

    return unit_done();
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
        body = unit_str(t->body);

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
test_read(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    body = unit_str("{\"model\":\"a:b\",\"max_tokens\":5,\"container\":\"c\","
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

    body = unit_str("{\"system\":\"s\",\"tools\":[{\"name\":\"f\","
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
