
#include "unit_stream.h"
#include "ngx_pulse_gemini.h"


static void test_partial(void);
static void test_finishes(void);
static void test_figures(void);
static void test_blocked(void);
static void test_cut(void);
static void test_errors(void);


int
main(void)
{
    test_partial();
    test_finishes();
    test_figures();
    test_blocked();
    test_cut();
    test_errors();

    return unit_done();
}


/* arguments at paths become the text of one object */

static void
test_partial(void)
{
    size_t         i;
    ngx_str_t      body;
    unit_stream_t  s;

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

    unit_start(&s, &ngx_pulse_dialect_gemini);
    body = unit_str(good);
    check_int(unit_whole(&s, &body), NGX_OK);

    check_str(&s.collector.parts->arguments,
              "{\"a\":[{\"b\":\"x\\\"y\\n\",\"c\":1.5},true],"
              "\"d e\":{\"f\":null}}");
    check_str(&s.collector.parts->signature, "c2ln");
    check_int(s.collector.finish, NGX_PULSE_FINISH_CALLS);
    unit_end(&s);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i]);

        unit_start(&s, &ngx_pulse_dialect_gemini);

        ngx_pulse_buf_literal(&s.out,
            "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{"
            "\"name\":\"f\",\"partialArgs\":[");
        ngx_pulse_buf_append(&s.out, (u_char *) bad[i], strlen(bad[i]));
        ngx_pulse_buf_literal(&s.out, "]}}]}}]}");

        body.data = s.out.data;
        body.len = s.out.len;
        check_int(unit_whole(&s, &body), NGX_ERROR);

        unit_end(&s);
    }

    unit_case(NULL);
}


static void
test_finishes(void)
{
    char           text[256];
    ngx_str_t      body;
    ngx_uint_t     i;
    unit_stream_t  s;

    static const struct {
        const char  *native;
        ngx_uint_t   finish;
    } table[] = {
        { "STOP", NGX_PULSE_FINISH_STOP },
        { "MAX_TOKENS", NGX_PULSE_FINISH_LENGTH },
        { "SAFETY", NGX_PULSE_FINISH_FILTER },
        { "RECITATION", NGX_PULSE_FINISH_FILTER },
        { "LANGUAGE", NGX_PULSE_FINISH_FILTER },
        { "BLOCKLIST", NGX_PULSE_FINISH_FILTER },
        { "PROHIBITED_CONTENT", NGX_PULSE_FINISH_FILTER },
        { "SPII", NGX_PULSE_FINISH_FILTER },
        { "IMAGE_SAFETY", NGX_PULSE_FINISH_FILTER },
        { "IMAGE_PROHIBITED_CONTENT", NGX_PULSE_FINISH_FILTER },
        { "IMAGE_RECITATION", NGX_PULSE_FINISH_FILTER },
        { "IMAGE_OTHER", NGX_PULSE_FINISH_FILTER },
        { "MALFORMED_FUNCTION_CALL", NGX_PULSE_FINISH_ERROR },
        { "UNEXPECTED_TOOL_CALL", NGX_PULSE_FINISH_ERROR },
        { "TOO_MANY_TOOL_CALLS", NGX_PULSE_FINISH_ERROR },
        { "OTHER", NGX_PULSE_FINISH_ERROR },
        { "NO_IMAGE", NGX_PULSE_FINISH_ERROR },
        { "MALFORMED_RESPONSE", NGX_PULSE_FINISH_ERROR },
        { "A_REASON_OF_NEXT_YEAR", NGX_PULSE_FINISH_ERROR }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        unit_case("%s", table[i].native);

        (void) snprintf(text, sizeof(text),
                        "{\"candidates\":[{\"content\":{},\"finishReason\":"
                        "\"%s\"}]}", table[i].native);

        unit_start(&s, &ngx_pulse_dialect_gemini);
        body = unit_str(text);
        check_int(unit_whole(&s, &body), NGX_OK);
        check_int(s.collector.finish, table[i].finish);
        check_mem(s.collector.native.data, s.collector.native.len,
                  table[i].native, strlen(table[i].native));
        check_int(s.ends, 1);
        unit_end(&s);
    }

    unit_case(NULL);
}


/* the last chunk's replace all before; thoughts and what tools of Google's
 * put in are beside the sums */

static void
test_figures(void)
{
    unit_stream_t  s;

    static const char  stream[] =
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],"
        "\"usageMetadata\":{\"promptTokenCount\":59,\"totalTokenCount\":59,"
        "\"thoughtsTokenCount\":70}}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}"
        "\r\n\r\n"
        "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],"
        "\"usageMetadata\":{\"promptTokenCount\":128,"
        "\"cachedContentTokenCount\":100,\"toolUsePromptTokenCount\":30,"
        "\"candidatesTokenCount\":9,\"thoughtsTokenCount\":40,"
        "\"totalTokenCount\":207,\"promptTokensDetails\":[{\"modality\":"
        "\"TEXT\",\"tokenCount\":128}]}}\r\n\r\n";

    unit_case("figures");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    check_int(unit_feed(&s, (u_char *) stream, sizeof(stream) - 1, 0, 7),
              NGX_OK);
    check_int(s.collector.usage.input, 158);
    check_int(s.collector.usage.cached, 100);
    check_int(s.collector.usage.output, 49);
    check_int(s.collector.usage.reasoning, 40);
    unit_end(&s);

    unit_case(NULL);
}


static void
test_blocked(void)
{
    ngx_str_t      body;
    unit_stream_t  s;

    unit_case("a prompt that was blocked");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    body = unit_str("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},"
                    "\"usageMetadata\":{\"promptTokenCount\":5,"
                    "\"totalTokenCount\":5}}");
    check_int(unit_whole(&s, &body), NGX_OK);
    check_int(s.collector.finish, NGX_PULSE_FINISH_FILTER);
    check_str(&s.collector.native, "SAFETY");
    check_int(s.collector.usage.input, 5);
    check(s.collector.parts == NULL);
    unit_end(&s);

    unit_case("an answer that failed");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    body = unit_str("{\"candidates\":[{\"finishReason\":"
                    "\"MALFORMED_FUNCTION_CALL\"}]}");
    check_int(unit_whole(&s, &body), NGX_OK);
    check_int(s.collector.finish, NGX_PULSE_FINISH_ERROR);
    unit_end(&s);

    unit_case(NULL);
}


/* a stream without its end is an error, and what it cost is known */

static void
test_cut(void)
{
    ngx_str_t      body, out;
    unit_stream_t  s;

    unit_case("a stream that was cut");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    body = unit_str("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\""
                    ":\"x\"}]}}],\"usageMetadata\":{\"promptTokenCount\":5,"
                    "\"candidatesTokenCount\":2}}\r\n\r\n");
    check_int(unit_feed(&s, body.data, body.len, 1, 1), NGX_OK);
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
    unit_end(&s);

    unit_case("an error in a stream");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    body = unit_str("data: {\"error\":{\"code\":402,\"message\":\"m\","
                    "\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n");
    check_int(unit_feed(&s, body.data, body.len, 1, 1), NGX_OK);
    check_int(s.collector.failed, 1);
    check_int(s.collector.error.quota, 1);
    check_str(&s.collector.error.message, "m");
    unit_end(&s);

    unit_case("no JSON, no object");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    body = unit_str("{\"candidates\":[");
    check_int(unit_whole(&s, &body), NGX_ERROR);
    body = unit_str("1");
    check_int(unit_whole(&s, &body), NGX_ERROR);
    body = unit_str("[1]");
    check_int(unit_whole(&s, &body), NGX_ERROR);
    unit_end(&s);

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

    body = unit_str("[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":"
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

    body = unit_str("{\"error\":{\"code\":400,\"message\":\"m\",\"details\":["
                    "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
                    "\"reason\":\"API_KEY_INVALID\"}]}}");
    check_int(ngx_pulse_gemini_read_error(&error, pool, body.data, body.len),
              NGX_OK);
    check_str(&error.code, "API_KEY_INVALID");

    body = unit_str("{\"candidates\":[]}");
    check_int(ngx_pulse_gemini_read_error(&error, pool, body.data, body.len),
              NGX_DECLINED);

    body = unit_str("<html>");
    check_int(ngx_pulse_gemini_read_error(&error, pool, body.data, body.len),
              NGX_DECLINED);

    ngx_destroy_pool(pool);
    unit_case(NULL);
}
