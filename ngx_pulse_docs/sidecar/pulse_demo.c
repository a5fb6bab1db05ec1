
#include <time.h>
#include "ngx_pulse_id.h"
#include "ngx_pulse_json.h"
#include "pulse_answer.h"
#include "pulse_demo.h"
#include "pulse_pacer.h"


#define PULSE_DEMO_BLOCK  4096          /* of a stream, to libmicrohttpd */
#define PULSE_DEMO_ID     (sizeof("chatcmpl-") - 1 + 36)


typedef enum {
    pulse_demo_role = 0,
    pulse_demo_words,
    pulse_demo_finish,
    pulse_demo_usage,
    pulse_demo_done,
    pulse_demo_end
} pulse_demo_state_e;


typedef struct {
    u_char                   id[PULSE_DEMO_ID];
    time_t                   created;

    ngx_str_t                model;
    ngx_str_t                tool;          /* name, empty: answer in text */
    ngx_str_t                answer;        /* text, or the arguments */
    ngx_uint_t               limit;         /* tokens, 0: none */
    ngx_uint_t               input;
    ngx_uint_t               output;

    unsigned                 stream:1;
    unsigned                 include_usage:1;
    unsigned                 cut:1;         /* the limit was reached */
    unsigned                 paused:1;      /* waited before this word */

    pulse_demo_state_e       state;
    ngx_str_t                rest;          /* of the answer, not said yet */
    ngx_pulse_buf_t          out;
    size_t                   sent;
} pulse_demo_t;


static const char *pulse_demo_read(pulse_http_request_t *r,
    ngx_pulse_json_value_t *body, pulse_demo_t *demo, const char **param);
static const char *pulse_demo_limit(ngx_pulse_json_value_t *body,
    pulse_demo_t *demo, const char **param);
static const char *pulse_demo_tool(ngx_pulse_json_value_t *body,
    pulse_demo_t *demo, ngx_pulse_json_value_t **parameters);
static ngx_int_t pulse_demo_answer(pulse_http_request_t *r,
    ngx_pulse_json_value_t *body, ngx_pulse_json_value_t *parameters,
    pulse_demo_t *demo);
static void pulse_demo_cut(pulse_demo_t *demo);
static enum MHD_Result pulse_demo_whole(pulse_http_request_t *r,
    pulse_demo_t *demo);
static enum MHD_Result pulse_demo_stream(pulse_http_request_t *r,
    pulse_demo_t *demo);
static ssize_t pulse_demo_reader(void *cls, uint64_t pos, char *buf,
    size_t max);
static void pulse_demo_next(pulse_demo_t *demo);
static void pulse_demo_delta(pulse_demo_t *demo);
static void pulse_demo_chunk(pulse_demo_t *demo, const char *choices);
static void pulse_demo_head(pulse_demo_t *demo, const char *object);
static void pulse_demo_call(pulse_demo_t *demo, ngx_uint_t arguments);
static void pulse_demo_counts(pulse_demo_t *demo);
static const char *pulse_demo_reason(pulse_demo_t *demo);
static void pulse_demo_text(ngx_pulse_buf_t *b, const char *text);


static const char  pulse_demo_model_list[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"demo\",\"object\":\"model\","
    "\"created\":1767225600,\"owned_by\":\"pulse\"},"
    "{\"id\":\"demo-embedding\",\"object\":\"model\","
    "\"created\":1767225600,\"owned_by\":\"pulse\"}]}";


enum MHD_Result
pulse_demo_models(pulse_http_request_t *r)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, pulse_demo_model_list);

    return pulse_http_reply(r, MHD_HTTP_OK, &b);
}


enum MHD_Result
pulse_demo_chat(pulse_http_request_t *r)
{
    const char              *message, *param;
    pulse_demo_t            *demo;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *body;

    demo = ngx_pcalloc(r->pool, sizeof(pulse_demo_t));

    if (demo == NULL
        || ngx_pulse_buf_init_pool(&demo->out, 0, r->pool) != NGX_OK)
    {
        return MHD_NO;
    }

    param = NULL;

    body = ngx_pulse_json_tree(r->pool, r->body.data, r->body.len,
                               &(ngx_pulse_json_limits_t) {
                                   PULSE_HTTP_MAX_BODY, 32, 65536, 1024
                               }, &err);

    message = body ? pulse_demo_read(r, body, demo, &param)
                   : "We could not parse the JSON body of your request.";

    if (message) {
        return pulse_http_error(r, MHD_HTTP_BAD_REQUEST,
                                "invalid_request_error", param, NULL,
                                message);
    }

    demo->created = time(NULL);

    memcpy(demo->id, "chatcmpl-", PULSE_DEMO_ID - 36);
    ngx_pulse_uuid7(demo->id + PULSE_DEMO_ID - 36);

    if (demo->stream) {
        return pulse_demo_stream(r, demo);
    }

    return pulse_demo_whole(r, demo);
}


/* NULL, or what is wrong with the request */

static const char *
pulse_demo_read(pulse_http_request_t *r, ngx_pulse_json_value_t *body,
    pulse_demo_t *demo, const char **param)
{
    const char              *message;
    ngx_pulse_json_value_t  *model, *messages, *value, *parameters;

    model = ngx_pulse_json_get(body, "model");

    if (model == NULL || model->type != NGX_PULSE_JSON_STRING) {
        *param = "model";
        return "you must provide a model parameter";
    }

    demo->model = model->string;

    messages = ngx_pulse_json_get(body, "messages");

    if (messages == NULL || messages->type != NGX_PULSE_JSON_ARRAY
        || messages->nelts == 0)
    {
        *param = "messages";
        return "'messages' must be an array with at least one message.";
    }

    message = pulse_demo_limit(body, demo, param);
    if (message) {
        return message;
    }

    value = ngx_pulse_json_get(body, "stream");
    demo->stream = value && value->boolean;

    value = ngx_pulse_json_get(body, "stream_options");
    value = ngx_pulse_json_get(value, "include_usage");
    demo->include_usage = value && value->boolean;

    *param = "tool_choice";
    parameters = NULL;

    message = pulse_demo_tool(body, demo, &parameters);
    if (message) {
        return message;
    }

    *param = NULL;

    return pulse_demo_answer(r, messages, parameters, demo) == NGX_OK
           ? NULL : "The request needs too much memory.";
}


static const char *
pulse_demo_limit(ngx_pulse_json_value_t *body, pulse_demo_t *demo,
    const char **param)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *value;

    *param = "n";
    value = ngx_pulse_json_get(body, *param);

    if (value && value->type != NGX_PULSE_JSON_NULL
        && (value->type != NGX_PULSE_JSON_NUMBER
            || ngx_pulse_json_int(&value->string, &n) != NGX_OK || n != 1))
    {
        return "The demo gives one answer only: n must be 1.";
    }

    *param = "max_completion_tokens";
    value = ngx_pulse_json_get(body, *param);

    if (value == NULL || value->type == NGX_PULSE_JSON_NULL) {
        *param = "max_tokens";
        value = ngx_pulse_json_get(body, *param);
    }

    if (value == NULL || value->type == NGX_PULSE_JSON_NULL) {
        return NULL;
    }

    if (value->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&value->string, &n) != NGX_OK || n < 1)
    {
        return "The limit of tokens must be an integer of 1 or more.";
    }

    demo->limit = n;

    return NULL;
}


/* A tool is called only where the request insists: a demo has no need of one.
 * Without a tool "parameters" is the schema that the answer shall fit. */

static const char *
pulse_demo_tool(ngx_pulse_json_value_t *body, pulse_demo_t *demo,
    ngx_pulse_json_value_t **parameters)
{
    ngx_str_t               *wanted;
    ngx_pulse_json_value_t  *choice, *name, *tool, *function;

    choice = ngx_pulse_json_get(body, "tool_choice");
    name = ngx_pulse_json_get(ngx_pulse_json_get(choice, "function"), "name");
    wanted = NULL;

    if (name && name->type == NGX_PULSE_JSON_STRING) {
        wanted = &name->string;

    } else if (choice == NULL || choice->type != NGX_PULSE_JSON_STRING
               || choice->string.len != 8
               || ngx_strncmp(choice->string.data, "required", 8) != 0)
    {
        *parameters = ngx_pulse_json_get(
                          ngx_pulse_json_get(
                              ngx_pulse_json_get(body, "response_format"),
                              "json_schema"),
                          "schema");
        return NULL;
    }

    tool = ngx_pulse_json_get(body, "tools");

    for (tool = tool ? tool->children : NULL; tool; tool = tool->next) {

        function = ngx_pulse_json_get(tool, "function");
        name = ngx_pulse_json_get(function, "name");

        if (name == NULL || name->type != NGX_PULSE_JSON_STRING) {
            continue;
        }

        if (wanted == NULL
            || (wanted->len == name->string.len
                && ngx_memcmp(wanted->data, name->string.data, wanted->len)
                   == 0))
        {
            demo->tool = name->string;
            *parameters = ngx_pulse_json_get(function, "parameters");
            return NULL;
        }
    }

    return "'tool_choice' wants a function that is not among 'tools'.";
}


static ngx_int_t
pulse_demo_answer(pulse_http_request_t *r, ngx_pulse_json_value_t *messages,
    ngx_pulse_json_value_t *parameters, pulse_demo_t *demo)
{
    ngx_str_t         prompt;
    ngx_pulse_buf_t  *last, *answer;

    last = ngx_palloc(r->pool, 2 * sizeof(ngx_pulse_buf_t));
    answer = last + 1;

    if (last == NULL
        || ngx_pulse_buf_init_pool(last, 0, r->pool) != NGX_OK
        || ngx_pulse_buf_init_pool(answer, 0, r->pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    pulse_answer_last(messages, last);

    prompt.data = last->data;
    prompt.len = last->len;

    if (demo->tool.len || parameters) {
        pulse_answer_arguments(parameters, &prompt, answer);

    } else {
        pulse_answer_text(&prompt, answer);
    }

    demo->answer.data = answer->data;
    demo->answer.len = answer->len;
    demo->input = pulse_answer_prompt(messages);

    pulse_demo_cut(demo);

    return (last->failed || answer->failed) ? NGX_ERROR : NGX_OK;
}


/* the answer ends where the limit of tokens does; a call of a tool is whole
 * or of no use, and so costs what it costs */

static void
pulse_demo_cut(pulse_demo_t *demo)
{
    size_t      n;
    ngx_uint_t  i;

    demo->output = pulse_answer_count(&demo->answer);
    demo->rest = demo->answer;

    if (demo->limit == 0 || demo->output <= demo->limit || demo->tool.len) {
        return;
    }

    demo->cut = 1;
    demo->output = demo->limit;

    for (i = 0; i < demo->limit; i++) {
        n = pulse_answer_word(demo->rest.data, demo->rest.len);
        demo->rest.data += n;
        demo->rest.len -= n;
    }

    demo->answer.len -= demo->rest.len;
    demo->rest = demo->answer;
}


static enum MHD_Result
pulse_demo_whole(pulse_http_request_t *r, pulse_demo_t *demo)
{
    ngx_pulse_buf_t  *b;

    b = &demo->out;

    pulse_demo_head(demo, "chat.completion");

    ngx_pulse_buf_literal(b, "\"choices\":[{\"index\":0,\"message\":"
                             "{\"role\":\"assistant\",\"content\":");

    if (demo->tool.len) {
        ngx_pulse_buf_literal(b, "null,\"refusal\":null,\"tool_calls\":");
        pulse_demo_call(demo, 1);

    } else {
        ngx_pulse_buf_json(b, demo->answer.data, demo->answer.len);
        ngx_pulse_buf_literal(b, ",\"refusal\":null");
    }

    ngx_pulse_buf_literal(b, "},\"logprobs\":null,\"finish_reason\":\"");
    pulse_demo_text(b, pulse_demo_reason(demo));
    ngx_pulse_buf_literal(b, "\"}],\"usage\":");
    pulse_demo_counts(demo);
    ngx_pulse_buf_char(b, '}');

    return pulse_http_reply(r, MHD_HTTP_OK, b);
}


static enum MHD_Result
pulse_demo_stream(pulse_http_request_t *r, pulse_demo_t *demo)
{
    enum MHD_Result       rc;
    struct MHD_Response  *response;

    /* the request, and its pool with it, outlives the response */

    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN,
                                                 PULSE_DEMO_BLOCK,
                                                 pulse_demo_reader, r, NULL);
    if (response == NULL) {
        return MHD_NO;
    }

    r->ctx = demo;

    MHD_add_response_header(response, "Content-Type",
                            "text/event-stream; charset=utf-8");
    MHD_add_response_header(response, "Cache-Control", "no-cache");

    rc = MHD_queue_response(r->connection, MHD_HTTP_OK, response);

    MHD_destroy_response(response);

    return rc;
}


static ssize_t
pulse_demo_reader(void *cls, uint64_t pos, char *buf, size_t max)
{
    size_t                 n;
    pulse_demo_t          *demo;
    pulse_http_request_t  *r;

    r = cls;
    demo = r->ctx;

    if (pulse_pacer_stopping()) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }

    if (demo->sent == demo->out.len) {

        if (demo->state == pulse_demo_end) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }

        if (demo->paused == 0 && demo->state == pulse_demo_words
            && demo->rest.len < demo->answer.len)
        {
            demo->paused = 1;
            pulse_pacer_wait(r->connection);
            return 0;
        }

        demo->paused = 0;
        demo->out.len = 0;
        demo->sent = 0;

        pulse_demo_next(demo);

        if (demo->out.failed) {
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }

    n = demo->out.len - demo->sent;

    if (n > max) {
        n = max;
    }

    memcpy(buf, demo->out.data + demo->sent, n);
    demo->sent += n;

    return n;
}


static void
pulse_demo_next(pulse_demo_t *demo)
{
    ngx_pulse_buf_t  *b;

    b = &demo->out;

    switch (demo->state) {

    case pulse_demo_role:
        pulse_demo_chunk(demo, "{\"role\":\"assistant\",\"content\":");

        if (demo->tool.len) {
            ngx_pulse_buf_literal(b, "null,\"tool_calls\":");
            pulse_demo_call(demo, 0);

        } else {
            ngx_pulse_buf_literal(b, "\"\",\"refusal\":null");
        }

        ngx_pulse_buf_literal(b, "},\"logprobs\":null,"
                                 "\"finish_reason\":null}]");
        demo->state = pulse_demo_words;
        break;

    case pulse_demo_words:
        pulse_demo_delta(demo);

        if (demo->rest.len == 0) {
            demo->state = pulse_demo_finish;
        }

        break;

    case pulse_demo_finish:
        pulse_demo_chunk(demo, "{},\"logprobs\":null,\"finish_reason\":\"");
        pulse_demo_text(b, pulse_demo_reason(demo));
        ngx_pulse_buf_literal(b, "\"}]");
        demo->state = demo->include_usage ? pulse_demo_usage
                                          : pulse_demo_done;
        break;

    case pulse_demo_usage:
        ngx_pulse_buf_literal(b, "data: ");
        pulse_demo_head(demo, "chat.completion.chunk");
        ngx_pulse_buf_literal(b, "\"choices\":[],\"usage\":");
        pulse_demo_counts(demo);
        ngx_pulse_buf_literal(b, "}\n\n");
        demo->state = pulse_demo_done;
        return;

    default: /* pulse_demo_done */
        ngx_pulse_buf_literal(b, "data: [DONE]\n\n");
        demo->state = pulse_demo_end;
        return;
    }

    if (demo->include_usage) {
        ngx_pulse_buf_literal(b, ",\"usage\":null");
    }

    ngx_pulse_buf_literal(b, "}\n\n");
}


/* one word */

static void
pulse_demo_delta(pulse_demo_t *demo)
{
    size_t            n;
    ngx_pulse_buf_t  *b;

    b = &demo->out;

    n = pulse_answer_word(demo->rest.data, demo->rest.len);

    if (demo->tool.len) {
        pulse_demo_chunk(demo, "{\"tool_calls\":[{\"index\":0,\"function\":"
                               "{\"arguments\":");
        ngx_pulse_buf_json(b, demo->rest.data, n);
        ngx_pulse_buf_literal(b, "}}]");

    } else {
        pulse_demo_chunk(demo, "{\"content\":");
        ngx_pulse_buf_json(b, demo->rest.data, n);
    }

    ngx_pulse_buf_literal(b, "},\"logprobs\":null,\"finish_reason\":null}]");

    demo->rest.data += n;
    demo->rest.len -= n;
}


static void
pulse_demo_chunk(pulse_demo_t *demo, const char *delta)
{
    ngx_pulse_buf_literal(&demo->out, "data: ");
    pulse_demo_head(demo, "chat.completion.chunk");
    ngx_pulse_buf_literal(&demo->out, "\"choices\":[{\"index\":0,\"delta\":");
    pulse_demo_text(&demo->out, delta);
}


static void
pulse_demo_head(pulse_demo_t *demo, const char *object)
{
    ngx_pulse_buf_t  *b;

    b = &demo->out;

    ngx_pulse_buf_literal(b, "{\"id\":\"");
    ngx_pulse_buf_append(b, demo->id, PULSE_DEMO_ID);
    ngx_pulse_buf_literal(b, "\",\"object\":\"");
    pulse_demo_text(b, object);
    ngx_pulse_buf_literal(b, "\",\"created\":");
    ngx_pulse_buf_int(b, demo->created);
    ngx_pulse_buf_literal(b, ",\"model\":");
    ngx_pulse_buf_json(b, demo->model.data, demo->model.len);
    ngx_pulse_buf_literal(b, ",\"system_fingerprint\":null,");
}


/* the list with the one call; in a stream the arguments follow later, and
 * the first piece bears their index */

static void
pulse_demo_call(pulse_demo_t *demo, ngx_uint_t arguments)
{
    ngx_pulse_buf_t  *b;

    b = &demo->out;

    ngx_pulse_buf_char(b, '[');
    ngx_pulse_buf_char(b, '{');

    if (!arguments) {
        ngx_pulse_buf_literal(b, "\"index\":0,");
    }

    ngx_pulse_buf_literal(b, "\"id\":\"call_");
    ngx_pulse_buf_append(b, demo->id + PULSE_DEMO_ID - 36, 36);
    ngx_pulse_buf_literal(b, "\",\"type\":\"function\",\"function\":"
                             "{\"name\":");
    ngx_pulse_buf_json(b, demo->tool.data, demo->tool.len);
    ngx_pulse_buf_literal(b, ",\"arguments\":");

    if (arguments) {
        ngx_pulse_buf_json(b, demo->answer.data, demo->answer.len);

    } else {
        ngx_pulse_buf_literal(b, "\"\"");
    }

    ngx_pulse_buf_literal(b, "}}]");
}


static void
pulse_demo_counts(pulse_demo_t *demo)
{
    ngx_pulse_buf_t  *b;

    b = &demo->out;

    ngx_pulse_buf_literal(b, "{\"prompt_tokens\":");
    ngx_pulse_buf_int(b, demo->input);
    ngx_pulse_buf_literal(b, ",\"completion_tokens\":");
    ngx_pulse_buf_int(b, demo->output);
    ngx_pulse_buf_literal(b, ",\"total_tokens\":");
    ngx_pulse_buf_int(b, demo->input + demo->output);
    ngx_pulse_buf_literal(b, ",\"prompt_tokens_details\":"
                             "{\"cached_tokens\":0},"
                             "\"completion_tokens_details\":"
                             "{\"reasoning_tokens\":0}}");
}


static const char *
pulse_demo_reason(pulse_demo_t *demo)
{
    if (demo->tool.len) {
        return "tool_calls";
    }

    return demo->cut ? "length" : "stop";
}


static void
pulse_demo_text(ngx_pulse_buf_t *b, const char *text)
{
    ngx_pulse_buf_append(b, (u_char *) text, strlen(text));
}
