
#include "unit_stream.h"
#include "ngx_pulse_openai.h"


typedef struct {
    const char  *name;
    ngx_uint_t   studio;
    const char  *body;
    const char  *model;
    const char  *parameter;
    int64_t      max_tokens;
    const char  *expected;
} test_splice_t;


typedef struct {
    ngx_uint_t   studio;
    const char  *body;
    const char  *pointer;
    const char  *reason;
} test_refusal_t;


static void test_splices(void);
static void test_request_facts(void);
static void test_refusals(void);
static void test_request_memory(void);
static void test_tokens(void);


static test_splice_t  test_splice_table[] = {

    { "nothing to do", 0,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
      "\"max_tokens\":5}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
      "\"max_tokens\":5}" },

    { "limit added at the end, spaces kept", 0,
      " { \"messages\" : [ {\"role\":\"user\"} ] , \"model\":\"m\" } \n",
      "m", "max_completion_tokens", 10,
      " { \"messages\" : [ {\"role\":\"user\"} ] , \"model\":\"m\""
      ",\"max_completion_tokens\":10 } \n" },

    { "model added", 0,
      "{\"messages\":[{\"role\":\"user\"}],\"max_tokens\":5}",
      "m", "max_tokens", 5,
      "{\"messages\":[{\"role\":\"user\"}],\"max_tokens\":5,"
      "\"model\":\"m\"}" },

    { "model null", 0,
      "{\"model\":null,\"messages\":[{\"role\":\"user\"}],\"max_tokens\":5}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}],"
      "\"max_tokens\":5}" },

    { "prefix taken off, escapes read", 0,
      "{\"model\":\"op\\u0065nai:m\",\"messages\":[{\"role\":\"user\"}],"
      "\"max_tokens\":5}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}],"
      "\"max_tokens\":5}" },

    { "limit lowered", 0,
      "{\"model\":\"m\",\"max_tokens\":500 ,\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_tokens", 7,
      "{\"model\":\"m\",\"max_tokens\":7 ,\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "both limits lowered", 0,
      "{\"max_completion_tokens\":80,\"model\":\"m\",\"max_tokens\":500,"
      "\"messages\":[{\"role\":\"user\"}]}",
      "m", "max_completion_tokens", 7,
      "{\"max_completion_tokens\":7,\"model\":\"m\",\"max_tokens\":7,"
      "\"messages\":[{\"role\":\"user\"}]}" },

    { "limit renamed", 0,
      "{\"model\":\"m\",\"max_tokens\" : 500,\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_completion_tokens", 700,
      "{\"model\":\"m\",\"max_completion_tokens\":500,\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "limit renamed the other way and lowered", 0,
      "{\"model\":\"m\",\"max_completion_tokens\":500,\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_tokens", 70,
      "{\"model\":\"m\",\"max_tokens\":70,\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "limit null", 0,
      "{\"model\":\"m\",\"max_tokens\":null,\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_tokens", 70,
      "{\"model\":\"m\",\"max_tokens\":70,\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "stream options added", 0,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,\"messages\":"
      "[{\"role\":\"user\"}],\"stream_options\":{\"include_usage\":true}}" },

    { "stream options null", 0,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":null,\"messages\":[{\"role\":\"user\"}]}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true},\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "stream options empty", 0,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{ },\"messages\":[{\"role\":\"user\"}]}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true },\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "stream options with others", 0,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_obfuscation\":false},\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true,"
      "\"include_obfuscation\":false},\"messages\":[{\"role\":\"user\"}]}" },

    { "usage refused", 0,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_usage\": false },\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_usage\": true },\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "usage asked for", 0,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true},\"messages\":"
      "[{\"role\":\"user\"}]}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true},\"messages\":"
      "[{\"role\":\"user\"}]}" },

    { "the dialect's own fields of the studio's names", 0,
      "{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"messages\":"
      "[{\"role\":\"user\"}],\"locale\":1}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"messages\":"
      "[{\"role\":\"user\"}],\"locale\":1}" },

    { "studio: taken out at the start, the middle and the end", 1,
      "{\"locale\":\"ar\", \"model\":\"m\",\"fallbacks\":[\"a\",\"b\"],"
      "\"messages\":[{\"role\":\"user\"}],\"max_tokens\":5 , "
      "\"system\":\"be \\\"kind\\\"\"}",
      "m", "max_tokens", 5,
      "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
      "\"be \\\"kind\\\"\"},{\"role\":\"user\"}],\"max_tokens\":5}" },

    { "studio: all at the end, and something is added", 1,
      "{\"messages\":[ {\"role\":\"user\"}] ,\"system\":null,"
      "\"fallbacks\":[],\"locale\":\"en\"}",
      "m", "max_tokens", 5,
      "{\"messages\":[ {\"role\":\"user\"}],\"model\":\"m\","
      "\"max_tokens\":5}" },

    { "studio: all at the start", 1,
      "{\"system\":\"s\",\"fallbacks\":null,\"locale\":\"en\",\"messages\":"
      "[{\"role\":\"user\"}],\"model\":\"m\",\"max_tokens\":5}",
      "m", "max_tokens", 5,
      "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
      "{\"role\":\"user\"}],\"model\":\"m\",\"max_tokens\":5}" }
};


static test_refusal_t  test_refusal_table[] = {
    { 0, "[]", "", "must be an object" },
    { 0, "\"x\"", "", "must be an object" },
    { 0, "{}", "/messages", "is required" },
    { 0, "{\"messages\":[]}", "/messages", "must not be empty" },
    { 0, "{\"messages\":{}}", "/messages", "must be an array" },
    { 0, "{\"messages\":null}", "/messages", "must be an array" },
    { 0, "{\"messages\":[1]}", "/messages/0", "must be an object" },
    { 0, "{\"messages\":[{\"role\":\"user\"},{\"content\":\"\"}]}",
      "/messages/1/role", "is required" },
    { 0, "{\"messages\":[{\"role\":1}]}", "/messages/0/role",
      "must be a string" },
    { 0, "{\"messages\":[{\"role\":\"user\",\"content\":1}]}",
      "/messages/0/content", "must be a string, an array or null" },
    { 0, "{\"model\":5}", "/model", "must be a string" },
    { 0, "{\"stream\":\"yes\"}", "/stream", "must be a boolean" },
    { 0, "{\"stream_options\":true}", "/stream_options",
      "must be an object" },
    { 0, "{\"stream_options\":{\"include_usage\":1}}",
      "/stream_options/include_usage", "must be a boolean" },
    { 0, "{\"max_tokens\":1.5}", "/max_tokens", "must be an integer" },
    { 0, "{\"max_tokens\":0}", "/max_tokens", "must be at least 1" },
    { 0, "{\"max_completion_tokens\":-1}", "/max_completion_tokens",
      "must be at least 1" },
    { 0, "{\"max_tokens\":99999999999}", "/max_tokens", "is too large" },
    { 0, "{\"n\":129}", "/n", "is too large" },
    { 0, "{\"temperature\":\"hot\"}", "/temperature", "must be a number" },
    { 0, "{\"tools\":{}}", "/tools", "must be an array" },
    { 1, "{\"fallbacks\":\"x\"}", "/fallbacks",
      "must be an array of strings" },
    { 1, "{\"fallbacks\":[1]}", "/fallbacks", "must be an array of strings" },
    { 1, "{\"fallbacks\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
         "\"9\"]}", "/fallbacks", "has too many models" },
    { 1, "{\"system\":[]}", "/system", "must be a string" }
};


int
main(void)
{
    test_splices();
    test_request_facts();
    test_refusals();
    test_request_memory();
    test_tokens();

    return unit_done();
}


static void
test_splices(void)
{
    ngx_str_t                    body;
    ngx_uint_t                   i;
    ngx_pool_t                  *pool;
    test_splice_t               *t;
    ngx_pulse_buf_t              b;
    ngx_pulse_openai_edit_t      edit;
    ngx_pulse_chat_refusal_t     refusal;
    ngx_pulse_openai_request_t   req;

    for (i = 0; i < sizeof(test_splice_table) / sizeof(test_splice_t); i++) {
        t = &test_splice_table[i];
        pool = unit_pool();

        unit_case("%s", t->name);

        body = unit_str(t->body);
        edit.model = unit_str(t->model);
        edit.parameter = unit_str(t->parameter);
        edit.max_tokens = t->max_tokens;

        check_int(ngx_pulse_openai_read(&req, pool, &body, t->studio,
                                        &refusal), NGX_OK);

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_openai_write(&req, &edit, &b);

        check_mem(b.data, b.len, t->expected, strlen(t->expected));

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_request_facts(void)
{
    ngx_str_t                    body;
    ngx_pool_t                  *pool;
    ngx_pulse_chat_refusal_t     refusal;
    ngx_pulse_openai_request_t   req;

    pool = unit_pool();

    body = unit_str("{\"model\":\"auto\",\"stream\":true,\"n\":3,"
                    "\"max_tokens\":9,\"max_completion_tokens\":8,"
                    "\"stream_options\":{\"include_usage\":true},"
                    "\"locale\":\"ar\",\"fallbacks\":[\"a\",\"b\"],"
                    "\"messages\":[{\"role\":\"user\",\"content\":["
                    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\","
                    "\"detail\":\"low\"}},"
                    "{\"type\":\"image_url\",\"image_url\":{"
                    "\"detail\":\"high\",\"url\":\"u\"}},"
                    "{\"type\":\"image_url\",\"image_url\":\"u\"}]}]}");

    check_int(ngx_pulse_openai_read(&req, pool, &body, 1, &refusal), NGX_OK);

    check_str(&req.model, "auto");
    check_str(&req.locale, "ar");
    check_int(req.nfallbacks, 2);
    check_str(&req.fallbacks[1], "b");
    check_int(req.n, 3);
    check_int(req.max_tokens, 8);
    check_int(req.stream, 1);
    check_int(req.include_usage, 1);
    check_int(req.images_low, 1);
    check_int(req.images_high, 2);
    check_int(req.foreign, 0);

    body = unit_str("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":["
                    "{\"id\":\"c\",\"\\u0065xtra_content\":{}}]}]}");

    check_int(ngx_pulse_openai_read(&req, pool, &body, 1, &refusal), NGX_OK);
    check_int(req.foreign, 1);

    body = unit_str("{\"messages\":[{\"role\":\"assistant\","
                    "\"reasoning_details\":[]}]}");

    check_int(ngx_pulse_openai_read(&req, pool, &body, 1, &refusal), NGX_OK);
    check_int(req.foreign, 1);

    ngx_destroy_pool(pool);
}


static void
test_refusals(void)
{
    ngx_str_t                    body;
    ngx_uint_t                   i;
    ngx_pool_t                  *pool;
    test_refusal_t              *t;
    ngx_pulse_chat_refusal_t     refusal;
    ngx_pulse_openai_request_t   req;

    for (i = 0; i < sizeof(test_refusal_table) / sizeof(test_refusal_t); i++) {
        t = &test_refusal_table[i];
        pool = unit_pool();

        unit_case("%s", t->body);

        body = unit_str(t->body);

        check_int(ngx_pulse_openai_read(&req, pool, &body, t->studio,
                                        &refusal), NGX_DECLINED);

        check_mem(refusal.pointer, strlen(refusal.pointer), t->pointer,
                  strlen(t->pointer));
        check_mem(refusal.reason, strlen(refusal.reason), t->reason,
                  strlen(t->reason));

        ngx_destroy_pool(pool);
    }

    unit_case("no JSON");

    pool = unit_pool();
    body = unit_str("{\"messages\":[}");

    check_int(ngx_pulse_openai_read(&req, pool, &body, 0, &refusal),
              NGX_DECLINED);
    check_int(refusal.pointer[0], 0);
    check(refusal.reason != NULL);

    ngx_destroy_pool(pool);
    unit_case(NULL);
}


static void
test_request_memory(void)
{
    ngx_str_t                    body;
    ngx_pool_t                  *pool;
    ngx_pulse_chat_refusal_t     refusal;
    ngx_pulse_openai_request_t   req;

    pool = unit_pool();
    body = unit_str("{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}");

    unit_fail_allocation(1);
    check_int(ngx_pulse_openai_read(&req, pool, &body, 0, &refusal),
              NGX_ERROR);
    unit_fail_allocation(0);

    ngx_destroy_pool(pool);
}


static void
test_tokens(void)
{
    ngx_str_t            s;
    ngx_pulse_tokens_t   t;

    ngx_memzero(&t, sizeof(t));
    check_int(ngx_pulse_tokens_bound(&t), 0);
    check_int(ngx_pulse_tokens_likely(&t), 0);

    s = unit_str("Hello there, world 1234567");
    ngx_pulse_tokens_add(&t, s.data, s.len);

    /* Hell-o, ther-e, comma, worl-d, 123-456-7 */

    check_int(ngx_pulse_tokens_bound(&t), 2 + 2 + 1 + 2 + 3);
    check_int(ngx_pulse_tokens_likely(&t), 7);

    /* an Arabic letter is one token at most, an emoji three */

    ngx_memzero(&t, sizeof(t));
    s = unit_str("\330\263\331\204\330\247\331\205 \360\237\231\202");
    ngx_pulse_tokens_add(&t, s.data, s.len);

    check_int(ngx_pulse_tokens_bound(&t), 4 + 3);
    check_int(ngx_pulse_tokens_likely(&t), 5);

    ngx_pulse_tokens_extra(&t, 10);
    check_int(ngx_pulse_tokens_bound(&t), 17);
    check_int(ngx_pulse_tokens_likely(&t), 15);
}
