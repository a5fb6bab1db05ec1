
#include "unit_stream.h"
#include "ngx_pulse_openai.h"


/* What vendors take otherwise of OpenAI's dialect, as the catalogue says. */

#define HEAD   "{\"model\":\"m\","
#define ASK    "\"messages\":[{\"role\":\"user\",\"content\":\"\\u0634\"}]"
#define TOOL   "{\"type\":\"function\",\"function\":{\"name\":\"a\"}}"
#define NAMED  "{\"type\":\"function\",\"function\":{\"name\":\"a\"}}"

#define NO_NAMED      1
#define NO_FORCED     2
#define NO_DEVELOPER  4
#define SWITCH        8             /* thinking has one */


typedef struct {
    const char   *name;
    ngx_uint_t    not;
    const char   *body;
    const char   *expected;     /* NULL: the body stays */
    const char   *dropped;
} test_case_t;


static void test_cases(void);
static void test_memory(void);
static void test_target(ngx_pulse_target_t *target, ngx_uint_t not);


static ngx_pulse_chat_parameter_t  test_parameters[] = {
    { ngx_string("seed"), ngx_string("random_seed") },
    { ngx_string("logprobs"), ngx_null_string },
    { ngx_string("stream_options"), ngx_null_string }
};


static test_case_t  test_table[] = {
    { "nothing of it", 0, HEAD ASK ",\"n\":1}", NULL, "" },
    { "a word of the prompt", 0,
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"seed\"}]}", NULL,
      "" },
    { "another name", 0, HEAD " \"seed\" : 7 ," ASK "}",
      HEAD " \"random_seed\" : 7 ," ASK "}", "" },
    { "refused", 0, HEAD "\"logprobs\" : true, " ASK "}", HEAD ASK "}",
      "logprobs" },
    { "refused, the last", 0, HEAD ASK " , \"logprobs\":true}", HEAD ASK " }",
      "logprobs" },
    { "the last two", 0, HEAD ASK ",\"seed\":1,\"logprobs\":true,"
      "\"stream_options\":{\"include_usage\":true}}",
      HEAD ASK ",\"random_seed\":1}", "logprobs" },
    { "null is no wish", 0, HEAD "\"logprobs\":null," ASK "}", HEAD ASK "}",
      "" },
    { "inside of another", 0, HEAD "\"metadata\":{\"seed\":\"1\"}," ASK "}",
      NULL, "" },
    { "a name with escapes", 0,
      HEAD "\"log\\u0070robs\":true,\"seed\":1," ASK "}",
      HEAD "\"log\\u0070robs\":null,\"random_seed\":1," ASK "}", "logprobs" },
    { "one with another name and escapes", 0,
      HEAD "\"s\\u0065ed\":1,\"logprobs\":null," ASK "}",
      HEAD "\"s\\u0065ed\":null," ASK "}", "seed" },

    { "a choice that is free", NO_NAMED | NO_FORCED,
      HEAD "\"tool_choice\":\"auto\"," ASK "}", NULL, "" },
    { "a choice of none", NO_NAMED | NO_FORCED,
      HEAD "\"tool_choice\":\"none\"," ASK "}", NULL, "" },
    { "the tool there is", NO_NAMED,
      HEAD "\"tools\":[" TOOL "],\"tool_choice\":" NAMED "," ASK "}",
      HEAD "\"tools\":[" TOOL "],\"tool_choice\":\"required\"," ASK "}", "" },
    { "a tool of two", NO_NAMED,
      HEAD "\"tool_choice\":" NAMED ",\"tools\":[" TOOL "," TOOL "]," ASK "}",
      HEAD "\"tool_choice\":\"required\",\"tools\":[" TOOL "," TOOL "]," ASK
      "}", "tool_choice" },
    { "any tool", NO_NAMED, HEAD "\"tool_choice\":\"required\"," ASK "}",
      NULL, "" },
    { "none can be forced", NO_FORCED,
      HEAD "\"tool_choice\":\"required\"," ASK "}",
      HEAD "\"tool_choice\":\"auto\"," ASK "}", "tool_choice" },
    { "nor by name", NO_FORCED,
      HEAD "\"tools\":[" TOOL "],\"tool_choice\":" NAMED "," ASK "}",
      HEAD "\"tools\":[" TOOL "],\"tool_choice\":\"auto\"," ASK "}",
      "tool_choice" },
    { "a name where all is known", 0,
      HEAD "\"tool_choice\":" NAMED "," ASK ",\"seed\":1}",
      HEAD "\"tool_choice\":" NAMED "," ASK ",\"random_seed\":1}", "" },

    { "no effort", SWITCH, HEAD "\"reasoning_effort\" : \"none\"," ASK "}",
      HEAD "\"thinking\":{\"type\":\"disabled\"}," ASK "}", "" },
    { "no effort, and said so", SWITCH,
      HEAD "\"thinking\":{},\"reasoning_effort\":\"none\"," ASK "}", NULL,
      "" },
    { "an effort", SWITCH, HEAD "\"reasoning_effort\":\"high\"," ASK
      ",\"user\":\"none\"}", NULL, "" },
    { "no effort where that is known", 0,
      HEAD "\"reasoning_effort\":\"none\"," ASK "}", NULL, "" },

    { "a developer", NO_DEVELOPER,
      HEAD "\"messages\":[{\"role\":\"developer\",\"content\":\"developer\"},"
      "{\"role\":\"user\",\"content\":\"a\"}]}",
      HEAD "\"messages\":[{\"role\":\"system\",\"content\":\"developer\"},"
      "{\"role\":\"user\",\"content\":\"a\"}]}", "" },
    { "a developer who is known", 0,
      HEAD "\"messages\":[{\"role\":\"developer\",\"content\":\"a\"}]}",
      NULL, "" }
};


int
main(void)
{
    test_cases();
    test_memory();

    return unit_done();
}


static void
test_cases(void)
{
    ngx_str_t             body;
    ngx_uint_t            i;
    ngx_pool_t           *pool;
    test_case_t          *t;
    ngx_pulse_buf_t       b;
    ngx_pulse_target_t    target;
    ngx_pulse_dropped_t   dropped;

    for (i = 0; i < sizeof(test_table) / sizeof(test_case_t); i++) {
        t = &test_table[i];
        unit_case("%s", t->name);

        pool = unit_pool();
        body = unit_str(t->body);
        dropped.n = 0;
        test_target(&target, t->not);
        ngx_pulse_buf_init(&b, 0);

        check_int(ngx_pulse_openai_vendor(&body, pool, &target, &dropped, &b),
                  t->expected ? NGX_OK : NGX_DECLINED);

        if (t->expected) {
            check_mem(b.data, b.len, t->expected, strlen(t->expected));
        }

        check_int(dropped.n, t->dropped[0] ? 1 : 0);

        if (dropped.n) {
            check_mem(dropped.names[0].data, dropped.names[0].len, t->dropped,
                      strlen(t->dropped));
        }

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_memory(void)
{
    ngx_int_t             rc;
    ngx_str_t             body;
    ngx_uint_t            n;
    ngx_pool_t           *pool;
    ngx_pulse_buf_t       b;
    ngx_pulse_target_t    target;
    ngx_pulse_dropped_t   dropped;

    unit_case("memory");

    body = unit_str(HEAD "\"messages\":[{\"role\":\"developer\"}],\"seed\":1,"
                    "\"logprobs\":true,\"tool_choice\":\"required\"}");
    test_target(&target, NO_FORCED | NO_DEVELOPER);

    n = 0;

    do {
        pool = unit_pool();
        dropped.n = 0;
        ngx_pulse_buf_init(&b, 0);

        unit_fail_allocation(++n);
        rc = ngx_pulse_openai_vendor(&body, pool, &target, &dropped, &b);
        unit_fail_allocation(0);

        check(rc == NGX_OK || rc == NGX_ERROR);

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);

    } while (rc != NGX_OK && n < 1000);

    check(n > 3);
    check_int(rc, NGX_OK);

    unit_case(NULL);
}


static void
test_target(ngx_pulse_target_t *target, ngx_uint_t not)
{
    ngx_memzero(target, sizeof(ngx_pulse_target_t));

    target->parameters = test_parameters;
    target->nparameters = sizeof(test_parameters)
                          / sizeof(ngx_pulse_chat_parameter_t);
    target->named_choice = (not & NO_NAMED) == 0;
    target->forced_choice = (not & NO_FORCED) == 0;
    target->developer = (not & NO_DEVELOPER) == 0;
    target->thinking_off = (not & SWITCH) != 0;
}
