
#include "ngx_pulse_openai.h"
#include "ngx_pulse_id.h"

#include <string.h>


#define NGX_PULSE_OPENAI_PREFIX  "chatcmpl-"


static ngx_int_t ngx_pulse_openai_client_read(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal);
static void ngx_pulse_openai_client_start(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev);
static void ngx_pulse_openai_client_open(ngx_pulse_openai_writer_t *writer,
    ngx_uint_t choice, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_close(const ngx_pulse_conversation_t *cv,
    const char *reason, const ngx_str_t *native, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_closed(const ngx_pulse_conversation_t *cv,
    const ngx_str_t *logprobs, const char *reason, const ngx_str_t *native,
    ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_role(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_uint_t choice,
    ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_text(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_signature(
    ngx_pulse_openai_writer_t *writer, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_citation(
    ngx_pulse_openai_writer_t *writer, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_call(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_arguments(
    ngx_pulse_openai_writer_t *writer, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, const ngx_str_t *text, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_call_end(
    ngx_pulse_openai_writer_t *writer, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_end(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);


ngx_pulse_dialect_t  ngx_pulse_dialect_openai = {
    ngx_string("openai"),
    sizeof(ngx_pulse_openai_stream_t),
    sizeof(ngx_pulse_openai_writer_t),
    ngx_pulse_openai_client_read,
    ngx_pulse_openai_client_event,
    ngx_pulse_openai_client_answer,
    ngx_pulse_openai_provide,
    ngx_pulse_openai_read_stream,
    ngx_pulse_openai_read_stream_end,
    ngx_pulse_openai_read_whole,
    ngx_pulse_openai_error
};


/* in the order of NGX_PULSE_FINISH_*; the last is of other vendors' */

static const char  *ngx_pulse_openai_reasons[] = {
    "stop", "length", "tool_calls", "content_filter", "error"
};


static ngx_int_t
ngx_pulse_openai_client_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body, ngx_pulse_chat_refusal_t *refusal)
{
    return ngx_pulse_openai_convert(cv, pool, body, 0, refusal);
}


void
ngx_pulse_openai_client_event(void *state, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    ngx_pulse_openai_writer_t *writer = state;

    if (writer->ended || ev->choice >= NGX_PULSE_CHAT_MAX_N) {
        return;
    }

    if (!writer->started) {
        ngx_pulse_openai_client_start(writer, cv, ev);
    }

    if (ev->type <= NGX_PULSE_ANSWER_FINISH && !writer->roles[ev->choice]) {
        ngx_pulse_openai_client_role(writer, cv, ev->choice, b);
    }

    switch (ev->type) {

    case NGX_PULSE_ANSWER_START:
        break;

    case NGX_PULSE_ANSWER_TEXT:
    case NGX_PULSE_ANSWER_THINKING:
    case NGX_PULSE_ANSWER_REDACTED:
    case NGX_PULSE_ANSWER_REFUSAL:
        ngx_pulse_openai_client_text(writer, cv, ev, b);
        break;

    case NGX_PULSE_ANSWER_SIGNATURE:
        ngx_pulse_openai_client_signature(writer, cv, ev, b);
        break;

    case NGX_PULSE_ANSWER_CITATION:
        ngx_pulse_openai_client_citation(writer, cv, ev, b);
        break;

    case NGX_PULSE_ANSWER_IMAGE:
        writer->last = NGX_PULSE_ANSWER_IMAGE;
        ngx_pulse_openai_client_open(writer, ev->choice, b);
        ngx_pulse_json_key(b, "images");
        ngx_pulse_buf_char(b, '[');
        ngx_pulse_openai_client_image(&ev->name, &ev->text, b);
        ngx_pulse_buf_char(b, ']');
        ngx_pulse_openai_client_close(cv, NULL, NULL, b);
        break;

    case NGX_PULSE_ANSWER_LOST:
        break;

    case NGX_PULSE_ANSWER_CALL:
        ngx_pulse_openai_client_call(writer, cv, ev, b);
        break;

    case NGX_PULSE_ANSWER_ARGUMENTS:
        ngx_pulse_openai_client_arguments(writer, cv, ev, &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_CALL_END:
        ngx_pulse_openai_client_call_end(writer, cv, ev, b);
        break;

    case NGX_PULSE_ANSWER_PART_END:
        writer->last = NGX_PULSE_ANSWER_PART_END;
        break;

    case NGX_PULSE_ANSWER_FINISH:

        if (ev->usage.known) {
            writer->usage = ev->usage;
        }

        ngx_pulse_openai_client_open(writer, ev->choice, b);
        ngx_pulse_openai_client_close(cv,
                         ngx_pulse_openai_client_reason(cv, ev->finish),
                         &ev->native, b);
        break;

    case NGX_PULSE_ANSWER_USAGE:
        writer->usage = ev->usage;
        break;

    case NGX_PULSE_ANSWER_ERROR:
        writer->ended = 1;
        ngx_pulse_buf_literal(b, "data: ");
        ngx_pulse_openai_client_error(&ev->error, b);
        ngx_pulse_buf_literal(b, "\n\n");
        break;

    case NGX_PULSE_ANSWER_END:
        ngx_pulse_openai_client_end(writer, cv, b);
        break;
    }
}


static void
ngx_pulse_openai_client_start(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev)
{
    const ngx_str_t  *model;

    writer->started = 1;
    writer->created = ngx_pulse_now() / 1000;
    writer->head_len = 0;

    writer->id_len = ngx_pulse_openai_client_id(writer->id, &ev->id);

    model = (ev->model.len && ev->model.len <= sizeof(writer->model))
            ? &ev->model : &cv->model;

    if (model->len && model->len <= sizeof(writer->model)) {
        writer->model_len = model->len;
        ngx_memcpy(writer->model, model->data, model->len);
    }
}


/* the provider's, in the form that clients know, or one of our own */

size_t
ngx_pulse_openai_client_id(u_char *p, const ngx_str_t *id)
{
    size_t  prefix;

    prefix = sizeof(NGX_PULSE_OPENAI_PREFIX) - 1;

    if (id->len > prefix
        && ngx_strncmp(id->data, NGX_PULSE_OPENAI_PREFIX, prefix) == 0)
    {
        prefix = 0;
    }

    ngx_memcpy(p, NGX_PULSE_OPENAI_PREFIX, prefix);

    if (id->len == 0 || prefix + id->len > NGX_PULSE_OPENAI_ID_LEN) {
        prefix = sizeof(NGX_PULSE_OPENAI_PREFIX) - 1;
        ngx_memcpy(p, NGX_PULSE_OPENAI_PREFIX, prefix);
        ngx_pulse_uuid7(p + prefix);

        return prefix + 36;
    }

    ngx_memcpy(p + prefix, id->data, id->len);

    return prefix + id->len;
}


/* a chunk up to the inside of its only delta; they all begin alike */

static void
ngx_pulse_openai_client_open(ngx_pulse_openai_writer_t *writer,
    ngx_uint_t choice, ngx_pulse_buf_t *b)
{
    size_t  start;

    if (writer->head_len) {
        ngx_pulse_buf_append(b, writer->head, writer->head_len);

    } else {
        start = b->len;

        ngx_pulse_buf_literal(b, "data: {\"id\":");
        ngx_pulse_buf_json(b, writer->id, writer->id_len);
        ngx_pulse_buf_literal(b, ",\"object\":\"chat.completion.chunk\","
                                 "\"created\":");
        ngx_pulse_buf_int(b, writer->created);
        ngx_pulse_buf_literal(b, ",\"model\":");
        ngx_pulse_buf_json(b, writer->model, writer->model_len);
        ngx_pulse_buf_literal(b, ",\"system_fingerprint\":null,"
                                 "\"choices\":[{\"index\":");

        if (!b->failed && b->len - start <= sizeof(writer->head)) {
            writer->head_len = b->len - start;
            ngx_memcpy(writer->head, b->data + start, writer->head_len);
        }
    }

    ngx_pulse_buf_int(b, choice);
    ngx_pulse_buf_literal(b, ",\"delta\":{");
}


static void
ngx_pulse_openai_client_close(const ngx_pulse_conversation_t *cv,
    const char *reason, const ngx_str_t *native, ngx_pulse_buf_t *b)
{
    static const ngx_str_t  none;

    ngx_pulse_openai_client_closed(cv, &none, reason, native, b);
}


static void
ngx_pulse_openai_client_closed(const ngx_pulse_conversation_t *cv,
    const ngx_str_t *logprobs, const char *reason, const ngx_str_t *native,
    ngx_pulse_buf_t *b)
{
    if (logprobs->len) {
        ngx_pulse_buf_char(b, '}');
        ngx_pulse_openai_client_logprobs(logprobs, b);

    } else {
        ngx_pulse_buf_literal(b, "},\"logprobs\":null");
    }

    if (reason) {
        ngx_pulse_json_literal(b, "finish_reason", reason);

        if (native->len) {
            ngx_pulse_json_string(b, "native_finish_reason", native);
        }

    } else {
        ngx_pulse_buf_literal(b, ",\"finish_reason\":null");
    }

    if (cv->include_usage) {
        ngx_pulse_buf_literal(b, "}],\"usage\":null}\n\n");

    } else {
        ngx_pulse_buf_literal(b, "}]}\n\n");
    }
}


static void
ngx_pulse_openai_client_role(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_uint_t choice, ngx_pulse_buf_t *b)
{
    writer->roles[choice] = 1;

    ngx_pulse_openai_client_open(writer, choice, b);
    ngx_pulse_buf_literal(b, "\"role\":\"assistant\",\"content\":\"\","
                             "\"refusal\":null");
    ngx_pulse_openai_client_close(cv, NULL, NULL, b);
}


static void
ngx_pulse_openai_client_text(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t  begins;

    begins = (writer->last != (ngx_uint_t) ev->type
              || ev->type == NGX_PULSE_ANSWER_REDACTED);

    writer->last = ev->type;

    if (begins && (ev->type == NGX_PULSE_ANSWER_THINKING
                   || ev->type == NGX_PULSE_ANSWER_REDACTED))
    {
        writer->thought++;
    }

    if (ev->text.len == 0 && ev->logprobs.len == 0) {
        return;
    }

    ngx_pulse_openai_client_open(writer, ev->choice, b);

    switch (ev->type) {

    case NGX_PULSE_ANSWER_THINKING:

        /* as text for who shows it, as a piece for who sends it back */

        ngx_pulse_json_string(b, "reasoning_content", &ev->text);
        ngx_pulse_json_key(b, "reasoning_details");
        ngx_pulse_buf_char(b, '[');
        ngx_pulse_openai_client_detail("thinking", writer->thought - 1,
                                       "thinking", &ev->text, b);
        ngx_pulse_buf_literal(b, "}]");
        break;

    case NGX_PULSE_ANSWER_REDACTED:
        ngx_pulse_json_key(b, "reasoning_details");
        ngx_pulse_buf_char(b, '[');
        ngx_pulse_openai_client_detail("redacted_thinking",
                                       writer->thought - 1, "data", &ev->text,
                                       b);
        ngx_pulse_buf_literal(b, "}]");
        break;

    case NGX_PULSE_ANSWER_REFUSAL:
        ngx_pulse_json_string(b, "refusal", &ev->text);
        break;

    default: /* NGX_PULSE_ANSWER_TEXT */
        ngx_pulse_json_string(b, "content", &ev->text);
    }

    ngx_pulse_openai_client_closed(cv, &ev->logprobs, NULL, NULL, b);
}


static void
ngx_pulse_openai_client_signature(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    if (ev->text.len == 0) {
        return;
    }

    ngx_pulse_openai_client_open(writer, ev->choice, b);

    switch (writer->last) {

    case NGX_PULSE_ANSWER_TEXT:
        ngx_pulse_openai_client_extra(&ev->text, b);
        break;

    case NGX_PULSE_ANSWER_CALL:
        ngx_pulse_buf_literal(b, "\"tool_calls\":[{\"index\":");
        ngx_pulse_buf_int(b, writer->call - 1);
        ngx_pulse_openai_client_extra(&ev->text, b);
        ngx_pulse_buf_literal(b, "}]");
        break;

    default:

        /* thinking that is not shown has to be sent back too */

        if (writer->last != NGX_PULSE_ANSWER_THINKING) {
            writer->last = NGX_PULSE_ANSWER_THINKING;
            writer->thought++;
        }

        ngx_pulse_json_key(b, "reasoning_details");
        ngx_pulse_buf_char(b, '[');
        ngx_pulse_openai_client_detail("thinking", writer->thought - 1,
                                       "signature", &ev->text, b);
        ngx_pulse_buf_literal(b, "}]");
    }

    ngx_pulse_openai_client_close(cv, NULL, NULL, b);
}


/* in a delta, as OpenRouter has them */

static void
ngx_pulse_openai_client_citation(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_openai_client_open(writer, ev->choice, b);
    ngx_pulse_json_key(b, "annotations");
    ngx_pulse_buf_literal(b, "[{\"type\":\"url_citation\",\"url_citation\":{");
    ngx_pulse_cited(ev->citation, 0, b);
    ngx_pulse_buf_literal(b, "}}]");
    ngx_pulse_openai_client_close(cv, NULL, NULL, b);
}


void
ngx_pulse_openai_client_image(const ngx_str_t *type, const ngx_str_t *data,
    ngx_pulse_buf_t *b)
{
    ngx_str_t        s;
    ngx_pulse_buf_t  url;

    ngx_pulse_buf_init(&url, 0);
    ngx_pulse_buf_literal(&url, "data:");
    ngx_pulse_buf_str(&url, type);
    ngx_pulse_buf_literal(&url, ";base64,");
    ngx_pulse_buf_str(&url, data);

    s.data = url.data;
    s.len = url.len;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"image_url\",\"image_url\":{");
    ngx_pulse_json_string(b, "url", &s);
    ngx_pulse_buf_literal(b, "}}");

    if (url.failed) {
        b->failed = 1;
    }

    ngx_pulse_buf_free(&url);
}


void
ngx_pulse_openai_client_logprobs(const ngx_str_t *logprobs, ngx_pulse_buf_t *b)
{
    if (logprobs->len == 0) {
        ngx_pulse_openai_client_null("logprobs", b);
        return;
    }

    ngx_pulse_json_key(b, "logprobs");
    ngx_pulse_buf_literal(b, "{\"content\":[");
    ngx_pulse_json_compact(logprobs, b);
    ngx_pulse_buf_literal(b, "],\"refusal\":null}");
}


static void
ngx_pulse_openai_client_call(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    const char  *type, *key;

    writer->last = NGX_PULSE_ANSWER_CALL;
    writer->call = ev->index + 1;
    writer->custom = ev->custom;
    writer->bore = 0;

    ngx_pulse_openai_client_open(writer, ev->choice, b);

    if (cv->functions && ev->index == 0) {
        ngx_pulse_buf_literal(b, "\"function_call\":{");
        ngx_pulse_json_string(b, "name", &ev->name);
        ngx_pulse_json_literal(b, "arguments", "");
        ngx_pulse_buf_char(b, '}');
        ngx_pulse_openai_client_close(cv, NULL, NULL, b);
        return;
    }

    type = ev->custom ? "custom" : "function";
    key = ev->custom ? "input" : "arguments";

    ngx_pulse_buf_literal(b, "\"tool_calls\":[{\"index\":");
    ngx_pulse_buf_int(b, ev->index);
    ngx_pulse_json_string(b, "id", &ev->id);
    ngx_pulse_json_literal(b, "type", type);
    ngx_pulse_json_key(b, type);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "name", &ev->name);
    ngx_pulse_json_literal(b, key, "");
    ngx_pulse_buf_char(b, '}');

    if (ev->signature.len) {
        ngx_pulse_openai_client_extra(&ev->signature, b);
    }

    ngx_pulse_buf_literal(b, "}]");
    ngx_pulse_openai_client_close(cv, NULL, NULL, b);
}


static void
ngx_pulse_openai_client_arguments(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    if (text->len == 0) {
        return;
    }

    if (writer->call == ev->index + 1) {
        writer->bore = 1;
    }

    ngx_pulse_openai_client_open(writer, ev->choice, b);

    if (cv->functions && ev->index == 0) {
        ngx_pulse_buf_literal(b, "\"function_call\":{");
        ngx_pulse_json_string(b, "arguments", text);
        ngx_pulse_buf_char(b, '}');
        ngx_pulse_openai_client_close(cv, NULL, NULL, b);
        return;
    }

    ngx_pulse_buf_literal(b, "\"tool_calls\":[{\"index\":");
    ngx_pulse_buf_int(b, ev->index);
    ngx_pulse_json_key(b, writer->custom ? "custom" : "function");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, writer->custom ? "input" : "arguments", text);
    ngx_pulse_buf_literal(b, "}}]");
    ngx_pulse_openai_client_close(cv, NULL, NULL, b);
}


static void
ngx_pulse_openai_client_call_end(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    static const ngx_str_t  empty = ngx_string("{}");

    if (writer->call != ev->index + 1) {
        return;
    }

    /* clients parse what they put together */

    if (!writer->bore && !writer->custom) {
        ngx_pulse_openai_client_arguments(writer, cv, ev, &empty, b);
    }

    writer->call = 0;
    writer->last = NGX_PULSE_ANSWER_CALL_END;
}


static void
ngx_pulse_openai_client_end(ngx_pulse_openai_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    writer->ended = 1;

    if (cv->include_usage && writer->usage.known) {
        ngx_pulse_buf_literal(b, "data: {\"id\":");
        ngx_pulse_buf_json(b, writer->id, writer->id_len);
        ngx_pulse_json_literal(b, "object", "chat.completion.chunk");
        ngx_pulse_json_number(b, "created", writer->created);
        ngx_pulse_json_key(b, "model");
        ngx_pulse_buf_json(b, writer->model, writer->model_len);
        ngx_pulse_openai_client_null("system_fingerprint", b);
        ngx_pulse_json_key(b, "choices");
        ngx_pulse_buf_literal(b, "[]");
        ngx_pulse_openai_client_usage(&writer->usage, b);
        ngx_pulse_buf_literal(b, "}\n\n");
    }

    ngx_pulse_buf_literal(b, "data: [DONE]\n\n");
}


const char *
ngx_pulse_openai_client_reason(const ngx_pulse_conversation_t *cv,
    ngx_uint_t finish)
{
    if (cv->functions && finish == NGX_PULSE_FINISH_CALLS) {
        return "function_call";
    }

    return ngx_pulse_openai_reasons[finish];
}


/* an element of reasoning_details but for its last brace */

void
ngx_pulse_openai_client_detail(const char *type, ngx_uint_t index,
    const char *key, const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", type);
    ngx_pulse_json_number(b, "index", index);
    ngx_pulse_json_string(b, key, text);
}


void
ngx_pulse_openai_client_extra(const ngx_str_t *signature, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_key(b, "extra_content");
    ngx_pulse_buf_literal(b, "{\"google\":{");
    ngx_pulse_json_string(b, "thought_signature", signature);
    ngx_pulse_buf_literal(b, "}}");
}


void
ngx_pulse_openai_client_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_key(b, "usage");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "prompt_tokens", usage->input);
    ngx_pulse_json_number(b, "completion_tokens", usage->output);
    ngx_pulse_json_number(b, "total_tokens", usage->input + usage->output);

    ngx_pulse_json_key(b, "prompt_tokens_details");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "cached_tokens", usage->cached);
    ngx_pulse_json_number(b, "cache_write_tokens", usage->cache_write);
    ngx_pulse_json_number(b, "audio_tokens", 0);
    ngx_pulse_buf_char(b, '}');

    ngx_pulse_json_key(b, "completion_tokens_details");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "reasoning_tokens", usage->reasoning);
    ngx_pulse_json_number(b, "audio_tokens", 0);
    ngx_pulse_json_number(b, "accepted_prediction_tokens", 0);
    ngx_pulse_json_number(b, "rejected_prediction_tokens", 0);
    ngx_pulse_buf_literal(b, "}}");
}


void
ngx_pulse_openai_client_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b)
{
    static const ngx_str_t  untyped = ngx_string("server_error");

    ngx_pulse_buf_literal(b, "{\"error\":{");
    ngx_pulse_json_string(b, "message", &error->message);
    ngx_pulse_json_string(b, "type", error->type.len ? &error->type
                                                     : &untyped);
    ngx_pulse_openai_client_null("param", b);

    if (error->code.len) {
        ngx_pulse_json_string(b, "code", &error->code);

    } else {
        ngx_pulse_openai_client_null("code", b);
    }

    ngx_pulse_buf_literal(b, "}}");
}


void
ngx_pulse_openai_client_null(const char *key, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_literal(b, "null");
}
