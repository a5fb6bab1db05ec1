
#include "unit.h"
#include "ngx_pulse_embedding.h"

#include <string.h>


static void test_inputs(void);
static void test_write(void);
static void test_gemini(void);
static void test_answers(void);
static void test_vectors(void);
static void test_memory(void);

static ngx_int_t test_read(ngx_pulse_embedding_request_t *req,
    const char *text);
static void test_refused(const char *text, const char *pointer);
static void test_decoded(const char *text, const char *wanted);
static ngx_str_t test_str(const char *text);


static ngx_pool_t                *pool;
static ngx_pulse_chat_refusal_t   refusal;


int
main(void)
{
    pool = unit_pool();

    test_inputs();
    test_write();
    test_gemini();
    test_answers();
    test_vectors();

    ngx_destroy_pool(pool);

    test_memory();

    return unit_done();
}


static void
test_inputs(void)
{
    ngx_pulse_embedding_request_t   req;

    check_int(test_read(&req, "{\"model\":\"m\",\"input\":\"a b\"}"),
              NGX_OK);
    check_str(&req.model, "m");
    check_int(req.inputs, 1);
    check(!req.base64 && !req.ids);
    check_int(req.dimensions, 0);
    check(ngx_pulse_tokens_bound(&req.prompt) >= 2);

    check_int(test_read(&req, "{\"input\":[\"a\",\"b\"],\"model\":\"m\","
                              "\"encoding_format\":\"base64\",\"user\":\"u\","
                              "\"dimensions\":64,\"z\":null,\"y\":{\"a\":1}}"),
              NGX_OK);
    check_int(req.inputs, 2);
    check(req.base64);
    check_int(req.dimensions, 64);
    check_int(req.nunknown, 2);
    check_text(req.unknown[0], "user");
    check_text(req.unknown[1], "y");

    check_int(test_read(&req, "{\"input\":[1,2,3],\"model\":\"m\"}"),
              NGX_OK);
    check_int(req.inputs, 1);
    check(req.ids);
    check_int(ngx_pulse_tokens_bound(&req.prompt), 3);
    check_int(ngx_pulse_tokens_likely(&req.prompt), 3);

    check_int(test_read(&req, "{\"input\":[[1],[2,3]],\"model\":\"m\"}"),
              NGX_OK);
    check_int(req.inputs, 2);
    check_int(ngx_pulse_tokens_bound(&req.prompt), 3);

    test_refused("[]", "");
    test_refused("{", "");
    test_refused("{\"input\":\"a\"}", "/model");
    test_refused("{\"model\":1,\"input\":\"a\"}", "/model");
    test_refused("{\"model\":\"m\"}", "/input");
    test_refused("{\"model\":\"m\",\"input\":true}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[\"\"]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[1,\"a\"]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[\"a\",1]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[1,[1]]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[[1],1]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[\"a\",[1]]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[[]]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":[4294967296]}", "/input");
    test_refused("{\"model\":\"m\",\"input\":\"a\",\"dimensions\":\"1\"}",
                 "/dimensions");
    test_refused("{\"model\":\"m\",\"input\":\"a\",\"encoding_format\":1}",
                 "/encoding_format");
}


static void
test_write(void)
{
    ngx_str_t                       model;
    ngx_pulse_buf_t                 b;
    ngx_pulse_embedding_request_t   req;

    ngx_str_set(&model, "n\"1");
    ngx_pulse_buf_init(&b, 0);

    (void) test_read(&req, "{ \"input\" : [1 ],\"model\":\"m\", \"a\":1.0}");

    check_int(ngx_pulse_embedding_write(&req, &model, &b), NGX_OK);
    check_mem(b.data, b.len,
              "{ \"input\" : [1 ],\"model\":\"n\\\"1\", \"a\":1.0}", 41);

    ngx_pulse_buf_free(&b);
}


static void
test_gemini(void)
{
    char                            many[1024];
    ngx_str_t                       model, body;
    ngx_uint_t                      i;
    ngx_pulse_buf_t                 b;
    ngx_pulse_dropped_t             dropped;
    ngx_pulse_embedding_answer_t    answer;
    ngx_pulse_embedding_request_t   req;

    ngx_str_set(&model, "g");
    ngx_pulse_buf_init(&b, 0);
    memset(&dropped, 0, sizeof(dropped));

    (void) test_read(&req, "{\"model\":\"m\",\"input\":\"\\u0041\\n\","
                           "\"user\":\"u\"}");

    check_int(ngx_pulse_embedding_write_gemini(&req, &model, &dropped,
                                               &refusal, &b), NGX_OK);
    body.data = b.data;
    body.len = b.len;
    check_str(&body, "{\"requests\":[{\"model\":\"models/g\",\"content\":"
                     "{\"parts\":[{\"text\":\"\\u0041\\n\"}]}}]}");
    check_int(dropped.n, 1);
    check_str(&dropped.names[0], "user");

    b.len = 0;
    body = test_str("{\"embeddings\":[{\"values\":[ 1e-3 ,2]}],"
                    "\"usageMetadata\":{\"promptTokenCount\":4}}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 1, &body), NGX_OK);
    check(answer.known);
    check_int(answer.input, 4);
    check_int(ngx_pulse_embedding_from_gemini(&req, &body, &model, 4, &b),
              NGX_OK);
    body.data = b.data;
    body.len = b.len;
    check_str(&body, "{\"object\":\"list\",\"data\":[{\"object\":"
                     "\"embedding\",\"index\":0,\"embedding\":[1e-3,2]}],"
                     "\"model\":\"g\",\"usage\":{\"prompt_tokens\":4,"
                     "\"total_tokens\":4}}");

    (void) test_read(&req, "{\"model\":\"m\",\"input\":[[1]]}");
    check_int(ngx_pulse_embedding_write_gemini(&req, &model, &dropped,
                                               &refusal, &b), NGX_DECLINED);
    check_text(refusal.pointer, "/input");

    strcpy(many, "{\"model\":\"m\",\"input\":[\"a\"");

    for (i = 1; i < NGX_PULSE_EMBEDDING_BATCH + 1; i++) {
        strcat(many, ",\"a\"");
    }

    strcat(many, "]}");
    check_int(test_read(&req, many), NGX_OK);
    check_int(ngx_pulse_embedding_write_gemini(&req, &model, &dropped,
                                               &refusal, &b), NGX_DECLINED);

    ngx_pulse_buf_free(&b);
}


static void
test_answers(void)
{
    ngx_str_t                       body, got;
    ngx_pulse_buf_t                 b;
    ngx_pulse_embedding_answer_t    answer;
    ngx_pulse_embedding_request_t   req;

    ngx_pulse_buf_init(&b, 0);

    (void) test_read(&req, "{\"model\":\"m\",\"input\":\"a\"}");

    body = test_str("{\"data\":[{\"embedding\":[1]}],\"usage\":"
                    "{\"prompt_tokens\":3},\"x\":{\"prompt_tokens\":9}}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_OK);
    check(!answer.recode);
    check_int(answer.input, 3);

    body = test_str("{\"data\":[{\"embedding\":[1]}],\"usage\":"
                    "{\"prompt_tokens\":0}}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_OK);
    check(!answer.known);

    /* two, none, and what is no vector */

    body = test_str("{\"data\":[{\"embedding\":[1]},{\"embedding\":[1]}]}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_ERROR);
    body = test_str("{\"error\":{\"message\":\"x\"}}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_ERROR);
    body = test_str("{\"data\":[{\"embedding\":{\"a\":1}}]}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_ERROR);
    body = test_str("{\"data\":[{\"embedding\":[\"a\"]}]}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_ERROR);
    body = test_str("{\"data\":{\"a\":{\"embedding\":[1]}}}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_ERROR);

    /* 1.0 and -2.0, one way and the other */

    body = test_str("{ \"data\":[{\"embedding\" : \"AACAPwAAAMA=\", "
                    "\"index\":0}] }");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_OK);
    check(answer.recode);
    check_int(ngx_pulse_embedding_recode(&req, &body, &b), NGX_OK);
    got.data = b.data;
    got.len = b.len;
    check_str(&got, "{ \"data\":[{\"embedding\" : [1,-2], \"index\":0}] }");

    (void) test_read(&req, "{\"model\":\"m\",\"input\":\"a\","
                           "\"encoding_format\":\"base64\"}");
    b.len = 0;
    body = test_str("{\"data\":[{\"embedding\":[ 1.0, -2e0 ]}]}");
    check_int(ngx_pulse_embedding_answer(&answer, &req, 0, &body), NGX_OK);
    check(answer.recode);
    check_int(ngx_pulse_embedding_recode(&req, &body, &b), NGX_OK);
    got.data = b.data;
    got.len = b.len;
    check_str(&got, "{\"data\":[{\"embedding\":\"AACAPwAAAMA=\"}]}");

    b.len = 0;
    body = test_str("{\"data\":[{\"embedding\":[1e99]}]}");
    check_int(ngx_pulse_embedding_recode(&req, &body, &b), NGX_ERROR);
    body = test_str("{\"data\":[{\"embedding\":[]}]}");
    check_int(ngx_pulse_embedding_recode(&req, &body, &b), NGX_ERROR);

    ngx_pulse_buf_free(&b);
}


static void
test_vectors(void)
{
    test_decoded("AACAPw==", "[1]");
    test_decoded("AACAPw", "[1]");
    test_decoded("zczMPQ==", "[0.1]");
    test_decoded("AACAPwAAAEAAAEBA", "[1,2,3]");
    test_decoded("AQAAAA==", "[1.4012985e-45]");

    test_decoded("", NULL);
    test_decoded("====", NULL);
    test_decoded("AAAA", NULL);
    test_decoded("AACA?w==", NULL);
    test_decoded("AACA_w==", NULL);
    test_decoded("AADAfw==", NULL);
    test_decoded("AACAfw==", NULL);
}


static void
test_memory(void)
{
    ngx_int_t                       rc;
    ngx_str_t                       body;
    ngx_uint_t                      n;
    ngx_pulse_embedding_request_t   req;

    body = test_str("{\"model\":\"m\",\"input\":[\"a\"],\"user\":\"u\"}");
    rc = NGX_ERROR;

    for (n = 1; rc != NGX_OK && n < 100; n++) {
        pool = unit_pool();

        unit_fail_allocation(n);
        rc = ngx_pulse_embedding_read(&req, pool, &body, &refusal);
        unit_fail_allocation(0);

        check(rc == NGX_OK || rc == NGX_ERROR);

        ngx_destroy_pool(pool);
    }

    check(n > 2);
    check_int(rc, NGX_OK);
}


static ngx_int_t
test_read(ngx_pulse_embedding_request_t *req, const char *text)
{
    ngx_str_t  body;

    body = test_str(text);

    return ngx_pulse_embedding_read(req, pool, &body, &refusal);
}


static void
test_refused(const char *text, const char *pointer)
{
    ngx_pulse_embedding_request_t   req;

    unit_case("%s", text);

    check_int(test_read(&req, text), NGX_DECLINED);
    check_mem(refusal.pointer, strlen(refusal.pointer), pointer,
              strlen(pointer));
    check(refusal.reason != NULL);

    unit_case(NULL);
}


static void
test_decoded(const char *text, const char *wanted)
{
    ngx_int_t        rc;
    ngx_str_t        base64;
    ngx_pulse_buf_t  b;

    unit_case("%s", text);

    ngx_pulse_buf_init(&b, 0);

    base64 = test_str(text);
    rc = ngx_pulse_embedding_decode(&base64, &b);

    check_int(rc, wanted ? NGX_OK : NGX_ERROR);

    if (wanted) {
        check_mem(b.data, b.len, wanted, strlen(wanted));
    }

    ngx_pulse_buf_free(&b);

    unit_case(NULL);
}


static ngx_str_t
test_str(const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = strlen(text);

    return s;
}
