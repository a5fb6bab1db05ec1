
#include "unit_stream.h"
#include "ngx_pulse_openai.h"


#define TEST_IMAGE  3000


typedef struct {
    ngx_pulse_openai_answer_t   answer;
    ngx_pulse_openai_answer_t   read;       /* each event as JSON */
    ngx_pulse_buf_t             edited;
    ngx_pulse_buf_t             out;
    ngx_pulse_buf_t             text;
    ngx_pulse_buf_t             calls;
    ngx_uint_t                  bad;
    ngx_uint_t                  scan;
} test_stream_t;


static void test_hide(void);
static void test_events(void);
static void test_usage(void);
static void test_studio(void);
static void test_finish(void);
static void test_errors(void);
static void test_recordings(void);
static void test_recording(const char *dir, ngx_pulse_json_value_t *record);
static void test_recorded_answer(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_stream(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_recorded_hidden(ngx_str_t *body);
static void test_recorded_prompt(ngx_str_t *body,
    ngx_pulse_json_value_t *record);
static void test_distribution(void);

static void test_stream_init(test_stream_t *s, ngx_uint_t hide,
    ngx_uint_t scan);
static void test_stream_free(test_stream_t *s);
static ngx_int_t test_stream_event(void *ctx, ngx_pulse_sse_event_t *ev);
static void test_stream_gather(test_stream_t *s, ngx_pulse_sse_event_t *ev);
static ngx_int_t test_stream_run(test_stream_t *s, ngx_str_t *body,
    size_t first, size_t step);
static void test_gather_calls(ngx_pulse_buf_t *calls,
    ngx_pulse_json_value_t *list);
static void test_check_usage(ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *record);
static int test_compare(const void *one, const void *two);


static ngx_uint_t  test_nbounds;
static double      test_bounds[256];
static double      test_likelies[256];


int
main(void)
{
    test_hide();
    test_events();
    test_usage();
    test_studio();
    test_finish();
    test_errors();
    test_recordings();

    return unit_done();
}


static void
test_hide(void)
{
    ngx_str_t       body;
    test_stream_t   s;

    static const char  *cases[][3] = {

        { "in the middle",
          "data: {\"choices\":[{\"index\":0}],\"usage\":null,\"x\":1}\n\n",
          "data: {\"choices\":[{\"index\":0}],\"x\":1}\n\n" },

        { "last, other line ends",
          "id: 7\r\ndata:{\"choices\":[{\"index\":0}] , \"usage\" : null }"
          "\r\n\r\n",
          "id: 7\r\ndata:{\"choices\":[{\"index\":0}] }\r\n\r\n" },

        { "first",
          "data: {\"usage\":null,\"choices\":[{\"index\":0}]}\n\n",
          "data: {\"choices\":[{\"index\":0}]}\n\n" },

        { "the extra chunk",
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,"
          "\"completion_tokens\":2,\"total_tokens\":3}}\n\n",
          "" },

        { "another chunk without choices",
          "data: {\"choices\":[],\"usage\":null,\"moderation\":{}}\n\n",
          "data: {\"choices\":[],\"moderation\":{}}\n\n" },

        { "usage with the last choice",
          "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}],"
          "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
          "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}"
          "\n\n" },

        { "two data lines",
          "data: {\"usage\":null,\ndata: \"choices\":[{\"index\":0}]}\n\n",
          "data: {\"choices\":[{\"index\":0}]}\n\n" },

        { "a comment, and the end",
          ": wait\n\ndata: [DONE]\n\n",
          ": wait\n\ndata: [DONE]\n\n" }
    };

    ngx_uint_t  i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i][0]);

        body = unit_str(cases[i][1]);

        test_stream_init(&s, 1, 1);
        check_int(test_stream_run(&s, &body, 0, body.len), NGX_OK);
        check_mem(s.out.data, s.out.len, cases[i][2], strlen(cases[i][2]));
        test_stream_free(&s);

        test_stream_init(&s, 0, 1);
        check_int(test_stream_run(&s, &body, 0, body.len), NGX_OK);
        check_mem(s.out.data, s.out.len, body.data, body.len);
        test_stream_free(&s);
    }

    unit_case(NULL);
}


static void
test_events(void)
{
    ngx_str_t       body;
    test_stream_t   s;

    body = unit_str("data: {\"id\":\"c1\",\"created\":7,\"model\":\"m\","
                    "\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                    "\"assistant\",\"content\":\"\"}}]}\n\n"
                    "data: {\"id\":\"c2\",\"choices\":[{\"index\":0,"
                    "\"delta\":{\"content\":\"four\"}}]}\n\n"
                    "data: {\"choices\":[{\"index\":0,\"delta\":{"
                    "\"tool_calls\":[{\"index\":0,\"id\":\"not counted\","
                    "\"function\":{\"name\":\"four\",\"arguments\":\"\"}}]}}]"
                    "}\n\n");

    test_stream_init(&s, 0, 1);
    check_int(test_stream_run(&s, &body, 0, body.len), NGX_OK);
    check_int(s.answer.deltas, 2);
    check_int(ngx_pulse_tokens_likely(&s.answer.output), 2);
    check_int(s.answer.finished, 0);
    check_int(s.answer.failed, 0);
    check_int(s.answer.done, 0);
    check_mem(s.answer.id, s.answer.id_len, "c1", 2);
    check_mem(s.answer.model, s.answer.model_len, "m", 1);
    test_stream_free(&s);

    body = unit_str("data: {\"error\":{\"message\":\"no\"}}\n\n");
    test_stream_init(&s, 0, 1);
    check_int(test_stream_run(&s, &body, 0, body.len), NGX_OK);
    check_int(s.answer.failed, 1);
    test_stream_free(&s);

    body = unit_str("data: {\"choices\":[}\n\n");
    test_stream_init(&s, 0, 1);
    (void) test_stream_run(&s, &body, 0, body.len);
    check_int(s.bad, 1);
    test_stream_free(&s);

    body = unit_str("data: [1]\n\n");
    test_stream_init(&s, 0, 1);
    (void) test_stream_run(&s, &body, 0, body.len);
    check_int(s.bad, 1);
    test_stream_free(&s);
}


static void
test_usage(void)
{
    ngx_str_t                  body;
    ngx_pulse_openai_answer_t  answer;

    /* reasoning is outside of completion_tokens here */

    body = unit_str("{\"choices\":[],\"usage\":{\"prompt_tokens\":12,"
                    "\"completion_tokens\":2,\"total_tokens\":354,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":5},"
                    "\"completion_tokens_details\":{"
                    "\"reasoning_tokens\":340}}}");

    ngx_memzero(&answer, sizeof(answer));
    check_int(ngx_pulse_openai_answer(&answer, body.data, body.len), NGX_OK);
    check_int(answer.usage.known, 1);
    check_int(answer.usage.input, 12);
    check_int(answer.usage.cached, 5);
    check_int(answer.usage.output, 342);
    check_int(answer.usage.reasoning, 340);

    body = unit_str("{\"choices\":[],\"usage\":null}");
    ngx_memzero(&answer, sizeof(answer));
    check_int(ngx_pulse_openai_answer(&answer, body.data, body.len), NGX_OK);
    check_int(answer.usage.known, 0);

    body = unit_str("{\"usage\":{\"prompt_tokens\":-1,"
                    "\"completion_tokens\":\"9\"}}");
    ngx_memzero(&answer, sizeof(answer));
    check_int(ngx_pulse_openai_answer(&answer, body.data, body.len), NGX_OK);
    check_int(answer.usage.known, 0);

    body = unit_str("<html>");
    ngx_memzero(&answer, sizeof(answer));
    check_int(ngx_pulse_openai_answer(&answer, body.data, body.len),
              NGX_ERROR);
}


static void
test_studio(void)
{
    ngx_str_t                  body, provider;
    ngx_pulse_buf_t            b;
    ngx_pulse_openai_answer_t  answer;

    static const char  expected[] =
        "{\"id\":\"c\",\"model\":\"m\",\"provider\":\"openai\","
        "\"choices\":[{\"x\": 1.50}],\"usage\":null}";

    body = unit_str("{\"model\":\"m\", \"choices\":[{\"x\": 1.50}],"
                    "\"id\":\"c\",\"object\":\"chat.completion\"}");
    provider = unit_str("openai");

    ngx_memzero(&answer, sizeof(answer));
    check_int(ngx_pulse_openai_answer(&answer, body.data, body.len), NGX_OK);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_openai_studio(&answer, body.data, &provider, &b);
    check_mem(b.data, b.len, expected, sizeof(expected) - 1);
    ngx_pulse_buf_free(&b);
}


static void
test_finish(void)
{
    ngx_str_t                  body;
    test_stream_t              s;
    ngx_pulse_buf_t            b;
    ngx_pulse_chat_usage_t     usage;

    static const char  hidden[] =
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\","
        "\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
        "\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"
        "data: [DONE]\n\n";

    static const char  shown[] =
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\","
        "\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,"
        "\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":null}\n\n"
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\","
        "\"created\":7,\"model\":\"m\",\"choices\":[],\"usage\":{"
        "\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}"
        "\n\n"
        "data: [DONE]\n\n";

    body = unit_str("data: {\"id\":\"c\",\"created\":7,\"model\":\"m\","
                    "\"choices\":[{\"index\":0,\"delta\":{}}]}\n\n");

    ngx_memzero(&usage, sizeof(usage));
    usage.input = 3;
    usage.output = 4;

    ngx_pulse_buf_init(&b, 0);

    test_stream_init(&s, 1, 1);
    (void) test_stream_run(&s, &body, 0, body.len);
    ngx_pulse_openai_finish(&s.answer, "length", &usage, &b);
    check_mem(b.data, b.len, hidden, sizeof(hidden) - 1);

    b.len = 0;
    s.answer.hide = 0;
    ngx_pulse_openai_finish(&s.answer, "length", &usage, &b);
    check_mem(b.data, b.len, shown, sizeof(shown) - 1);

    b.len = 0;
    s.answer.finished = 1;
    s.answer.usage.known = 1;
    ngx_pulse_openai_finish(&s.answer, "length", &usage, &b);
    check_mem(b.data, b.len, "data: [DONE]\n\n", 14);

    test_stream_free(&s);
    ngx_pulse_buf_free(&b);
}


static void
test_errors(void)
{
    ngx_str_t                body;
    ngx_uint_t               i;
    ngx_pool_t              *pool;
    ngx_pulse_chat_error_t   error;

    static struct {
        const char  *body;
        ngx_int_t    rc;
        const char  *message;
        const char  *code;
        ngx_uint_t   quota;
    } cases[] = {
        { "{\"error\":{\"message\":\"no\",\"type\":\"t\",\"param\":null,"
          "\"code\":\"c\"}}", NGX_OK, "no", "c", 0 },
        { "{\"error\":{\"message\":\"pay\",\"type\":\"insufficient_quota\","
          "\"code\":null}}", NGX_OK, "pay", "", 1 },
        { "{\"error\":{\"message\":\"pay\",\"type\":\"x\",\"code\":"
          "\"credit_balance_exhausted\"}}", NGX_OK, "pay",
          "credit_balance_exhausted", 1 },
        { "[{\"error\":{\"code\":400,\"message\":\"no\"}}]", NGX_OK, "no",
          "400", 0 },
        { "{\"code\":\"c\",\"error\":\"no\"}", NGX_OK, "no", "c", 0 },
        { "{\"error\":{\"code\":402,\"message\":\"pay\"}}", NGX_OK, "pay",
          "402", 1 },
        { "{\"message\":\"no\"}", NGX_DECLINED, "", "", 0 },
        { "{\"object\":\"error\",\"message\":\"no\",\"type\":\"t\","
          "\"param\":null,\"code\":1500}", NGX_OK, "no", "1500", 0 },
        { "{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":"
          "\"extra_forbidden\",\"loc\":[\"body\",\"seed\"],\"msg\":"
          "\"no\"}]},\"code\":null}", NGX_OK, "seed: no", "", 0 },
        { "{\"detail\":[{\"loc\":[\"body\",\"messages\",0],\"msg\":"
          "\"no\"}]}", NGX_OK, "messages: no", "", 0 },
        { "{\"detail\":[{\"msg\":\"no\"}]}", NGX_OK, "no", "", 0 },
        { "{\"detail\":\"no\"}", NGX_OK, "no", "", 0 },
        { "{\"detail\":[]}", NGX_OK, "", "", 0 },
        { "<html>", NGX_DECLINED, "", "", 0 },
        { "", NGX_DECLINED, "", "", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pool = unit_pool();
        body = unit_str(cases[i].body);

        unit_case("%s", cases[i].body);

        check_int(ngx_pulse_openai_error(&error, pool, body.data, body.len),
                  cases[i].rc);

        if (cases[i].rc == NGX_OK) {
            check_mem(error.message.data, error.message.len,
                      cases[i].message, strlen(cases[i].message));
            check_mem(error.code.data, error.code.len, cases[i].code,
                      strlen(cases[i].code));
            check_int(error.quota, cases[i].quota);
        }

        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_recordings(void)
{
    char                     name[512];
    ngx_str_t                text, file;
    const char              *dir;
    ngx_uint_t               n;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *list, *record;
    ngx_pulse_json_limits_t  limits;

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

    limits.size = text.len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 1024 * 1024;
    limits.keys = 4096;

    pool = unit_pool();
    list = ngx_pulse_json_tree(pool, text.data, text.len, &limits, &err);
    check(list != NULL);

    n = 0;

    record = list ? list->children : NULL;

    for ( /* void */ ; record; record = record->next) {
        file = unit_string(record, "file");

        if (file.len > 12
            && ngx_strncmp(file.data, "openai-chat/", 12) == 0)
        {
            test_recording(dir, record);
            n++;
        }
    }

    check(n >= 40);

    printf("openai: %lu recordings\n", (unsigned long) n);
    test_distribution();

    ngx_destroy_pool(pool);
    free(text.data);
}


static void
test_recording(const char *dir, ngx_pulse_json_value_t *record)
{
    char                     name[512];
    ngx_str_t                file, body;
    ngx_pulse_json_value_t  *stream;

    file = unit_string(record, "file");

    unit_case("%.*s", (int) file.len, file.data);

    (void) snprintf(name, sizeof(name), "%s/data/recordings/%.*s", dir,
                    (int) file.len, file.data);

    body = unit_file(name);
    check(body.data != NULL);

    if (body.data == NULL) {
        return;
    }

    stream = ngx_pulse_json_get(record, "stream");

    if (stream && stream->boolean) {
        test_recorded_stream(&body, record);
        test_recorded_hidden(&body);

    } else {
        test_recorded_answer(&body, record);
    }

    free(body.data);

    file.len -= (stream && stream->boolean) ? 4 : 5;

    (void) snprintf(name, sizeof(name), "%s/data/recordings/%.*s.req.json", dir,
                    (int) file.len, file.data);

    body = unit_file(name);

    if (body.data) {
        test_recorded_prompt(&body, record);
        free(body.data);
    }

    unit_case(NULL);
}


static void
test_recorded_answer(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    ngx_pool_t                 *pool;
    ngx_pulse_chat_error_t      error;
    ngx_pulse_openai_answer_t   answer;

    ngx_memzero(&answer, sizeof(answer));

    check_int(ngx_pulse_openai_answer(&answer, body->data, body->len), NGX_OK);

    if (unit_number(record, "http_status") >= 400) {
        pool = unit_pool();
        check_int(answer.failed, 1);
        check_int(ngx_pulse_openai_error(&error, pool, body->data, body->len),
                  NGX_OK);
        check(error.message.len != 0);
        ngx_destroy_pool(pool);
        return;
    }

    check_int(answer.failed, 0);
    check_int(answer.finished, 1);
    check_int(answer.choices_at.set, 1);
    test_check_usage(&answer.usage, record);
}


static void
test_recorded_stream(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    size_t          cut;
    ngx_str_t       text;
    test_stream_t   s;
    ngx_pulse_buf_t calls;

    ngx_pulse_buf_init(&calls, 0);
    test_gather_calls(&calls, ngx_pulse_json_get(record, "tool_calls"));
    text = unit_string(record, "text");

    /* whole, and one byte at a time: all that can be read from it */

    for (cut = 0; cut < 2; cut++) {
        test_stream_init(&s, 0, 1);
        check_int(test_stream_run(&s, body, 0, cut ? 1 : body->len), NGX_OK);

        check_mem(s.out.data, s.out.len, body->data, body->len);
        check_mem(s.text.data, s.text.len, text.data, text.len);
        check_mem(s.calls.data, s.calls.len, calls.data, calls.len);
        check_int(s.answer.done, 1);
        check_int(s.answer.finished, 1);
        check_int(s.answer.failed, 0);
        test_check_usage(&s.answer.usage, record);

        test_stream_free(&s);
    }

    /* cut in two at every byte: the events are the same */

    for (cut = 1; cut < body->len; cut++) {
        test_stream_init(&s, 0, 0);
        check_int(test_stream_run(&s, body, cut, body->len), NGX_OK);

        if (s.out.len != body->len
            || memcmp(s.out.data, body->data, body->len) != 0)
        {
            check_int(cut, -1);
            test_stream_free(&s);
            break;
        }

        test_stream_free(&s);
    }

    ngx_pulse_buf_free(&calls);
}


/* As if not asked for: made here in another way, by replacing text. */

static void
test_recorded_hidden(ngx_str_t *body)
{
    char             *p, *eol, *usage, *after;
    test_stream_t     s;
    ngx_pulse_buf_t   expected;

    static const char  null[] = "\"usage\":null";

    ngx_pulse_buf_init(&expected, 0);

    for (p = (char *) body->data; *p; p = eol) {
        eol = strchr(p, '\n');
        eol = eol ? eol + 1 : p + strlen(p);

        usage = memmem(p, eol - p, null, sizeof(null) - 1);

        if (memmem(p, eol - p, "\"choices\":[],\"usage\":{", 22)) {
            eol = (*eol == '\n') ? eol + 1 : eol;
            continue;
        }

        if (usage == NULL) {
            ngx_pulse_buf_append(&expected, (u_char *) p, eol - p);
            continue;
        }

        after = usage + sizeof(null) - 1;

        if (*after == ',') {
            after++;

        } else {
            usage--;
        }

        ngx_pulse_buf_append(&expected, (u_char *) p, usage - p);
        ngx_pulse_buf_append(&expected, (u_char *) after, eol - after);
    }

    test_stream_init(&s, 1, 1);
    check_int(test_stream_run(&s, body, 0, 7), NGX_OK);
    check_mem(s.out.data, s.out.len, expected.data, expected.len);
    check(memmem(s.out.data, s.out.len, "\"usage\"", 7) == NULL);
    test_stream_free(&s);

    ngx_pulse_buf_free(&expected);
}


static void
test_recorded_prompt(ngx_str_t *body, ngx_pulse_json_value_t *record)
{
    int64_t                      input;
    uint64_t                     bound, likely;
    ngx_pool_t                  *pool;
    ngx_pulse_json_value_t      *usage;
    ngx_pulse_chat_refusal_t     refusal;
    ngx_pulse_openai_request_t   req;

    pool = unit_pool();

    check_int(ngx_pulse_openai_read(&req, pool, body, 0, &refusal), NGX_OK);

    usage = ngx_pulse_json_get(record, "usage");
    input = unit_number(usage, "input_tokens");

    if (input > 0) {
        bound = ngx_pulse_tokens_bound(&req.prompt)
                + TEST_IMAGE * req.images_high;
        likely = ngx_pulse_tokens_likely(&req.prompt)
                 + TEST_IMAGE / 2 * req.images_high;

        if ((int64_t) bound < input) {
            check_int(bound, input);
        }

        test_bounds[test_nbounds] = (double) bound / input;
        test_likelies[test_nbounds] = (double) likely / input;
        test_nbounds++;
    }

    ngx_destroy_pool(pool);
}


static void
test_distribution(void)
{
    ngx_uint_t  n;

    n = test_nbounds;
    check(n > 30);

    qsort(test_bounds, n, sizeof(double), test_compare);
    qsort(test_likelies, n, sizeof(double), test_compare);

    printf("openai: prompt estimate over the provider's count, %lu requests:\n"
           "  bound   min %.2f  median %.2f  p90 %.2f  max %.2f\n"
           "  likely  min %.2f  median %.2f  p90 %.2f  max %.2f\n",
           (unsigned long) n, test_bounds[0], test_bounds[n / 2],
           test_bounds[n * 9 / 10], test_bounds[n - 1], test_likelies[0],
           test_likelies[n / 2], test_likelies[n * 9 / 10],
           test_likelies[n - 1]);
}


static void
test_stream_init(test_stream_t *s, ngx_uint_t hide, ngx_uint_t scan)
{
    memset(s, 0, sizeof(test_stream_t));

    s->answer.hide = (hide != 0);
    s->read.hide = (hide != 0);
    s->scan = scan;

    ngx_pulse_buf_init(&s->edited, 0);
    ngx_pulse_buf_init(&s->out, 0);
    ngx_pulse_buf_init(&s->text, 0);
    ngx_pulse_buf_init(&s->calls, 0);
}


static void
test_stream_free(test_stream_t *s)
{
    ngx_pulse_buf_free(&s->edited);
    ngx_pulse_buf_free(&s->out);
    ngx_pulse_buf_free(&s->text);
    ngx_pulse_buf_free(&s->calls);
}


static ngx_int_t
test_stream_event(void *ctx, ngx_pulse_sse_event_t *ev)
{
    test_stream_t  *s = ctx;

    if (!s->scan) {
        ngx_pulse_buf_append(&s->out, ev->raw.data, ev->raw.len);
        return NGX_OK;
    }

    s->edited.len = 0;
    ngx_pulse_form_forget(&s->read.form);

    (void) ngx_pulse_openai_event(&s->read, ev, &s->edited);

    s->edited.len = 0;

    switch (ngx_pulse_openai_event(&s->answer, ev, &s->edited)) {

    case NGX_PULSE_OPENAI_PASS:
        ngx_pulse_buf_append(&s->out, ev->raw.data, ev->raw.len);
        break;

    case NGX_PULSE_OPENAI_EDITED:
        ngx_pulse_buf_append(&s->out, s->edited.data, s->edited.len);
        break;

    case NGX_PULSE_OPENAI_BAD:
        s->bad = 1;
        return NGX_OK;
    }

    check_mem(&s->answer, offsetof(ngx_pulse_openai_answer_t, form),
              &s->read, offsetof(ngx_pulse_openai_answer_t, form));

    test_stream_gather(s, ev);

    return NGX_OK;
}


/* "name(arguments)" of each call, and the text: of choice 0 */

static void
test_stream_gather(test_stream_t *s, ngx_pulse_sse_event_t *ev)
{
    ngx_str_t                text;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root, *choices, *delta, *calls, *call, *function;

    pool = unit_pool();
    root = ngx_pulse_json_tree(pool, ev->data.data, ev->data.len, NULL, &err);

    choices = ngx_pulse_json_get(root, "choices");
    delta = (choices && choices->children)
            ? ngx_pulse_json_get(choices->children, "delta") : NULL;

    text = unit_string(delta, "content");
    ngx_pulse_buf_str(&s->text, &text);

    calls = ngx_pulse_json_get(delta, "tool_calls");

    for (call = calls ? calls->children : NULL; call; call = call->next) {
        function = ngx_pulse_json_get(call, "function");

        text = unit_string(function, "name");

        if (text.len) {
            ngx_pulse_buf_char(&s->calls, ';');
            ngx_pulse_buf_str(&s->calls, &text);
            ngx_pulse_buf_char(&s->calls, ' ');
        }

        text = unit_string(function, "arguments");
        ngx_pulse_buf_str(&s->calls, &text);
    }

    ngx_destroy_pool(pool);
}


/* "first" bytes, then "step" at a time */

static ngx_int_t
test_stream_run(test_stream_t *s, ngx_str_t *body, size_t first, size_t step)
{
    size_t           pos, n;
    ngx_int_t        rc;
    ngx_pulse_sse_t  sse;

    ngx_pulse_sse_init(&sse, 1024 * 1024, test_stream_event, s);

    rc = NGX_OK;

    for (pos = 0; pos < body->len && rc == NGX_OK; pos += n) {
        n = (pos == 0 && first) ? first : step;
        n = ngx_min(n, body->len - pos);
        rc = ngx_pulse_sse_feed(&sse, body->data + pos, n);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_sse_finish(&sse);
    }

    ngx_pulse_sse_free(&sse);

    return rc;
}


static void
test_gather_calls(ngx_pulse_buf_t *calls, ngx_pulse_json_value_t *list)
{
    ngx_str_t                text;
    ngx_pulse_json_value_t  *call;

    for (call = list ? list->children : NULL; call; call = call->next) {
        text = unit_string(call, "name");
        ngx_pulse_buf_char(calls, ';');
        ngx_pulse_buf_str(calls, &text);
        ngx_pulse_buf_char(calls, ' ');

        text = unit_string(call, "arguments_raw");
        ngx_pulse_buf_str(calls, &text);
    }
}


static void
test_check_usage(ngx_pulse_chat_usage_t *usage, ngx_pulse_json_value_t *record)
{
    ngx_pulse_json_value_t  *expected;

    expected = ngx_pulse_json_get(record, "usage");

    if (expected == NULL || expected->type != NGX_PULSE_JSON_OBJECT) {
        check_int(usage->known, 0);
        return;
    }

    check_int(usage->known, 1);
    check_int(usage->input, unit_number(expected, "input_tokens"));
    check_int(usage->cached, unit_number(expected, "cached_input_tokens"));
    check_int(usage->output, unit_number(expected, "output_tokens"));
    check_int(usage->reasoning, unit_number(expected, "reasoning_tokens"));
}


static int
test_compare(const void *one, const void *two)
{
    double  a, b;

    a = *(const double *) one;
    b = *(const double *) two;

    return (a > b) - (a < b);
}
