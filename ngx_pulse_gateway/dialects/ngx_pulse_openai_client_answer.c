
#include "ngx_pulse_openai.h"


static void ngx_pulse_openai_client_message(
    const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_joined(
    const ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    const char *key, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_thoughts(
    const ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_images(
    const ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_probable(
    const ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_client_calls(
    const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);


void
ngx_pulse_openai_client_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b)
{
    u_char  id[NGX_PULSE_OPENAI_ID_LEN];
    size_t  len;

    if (collector->failed) {
        ngx_pulse_openai_client_error(&collector->error, b);
        return;
    }

    len = ngx_pulse_openai_client_id(id, &collector->id);

    ngx_pulse_buf_literal(b, "{\"id\":");
    ngx_pulse_buf_json(b, id, len);
    ngx_pulse_json_literal(b, "object", "chat.completion");
    ngx_pulse_json_number(b, "created", created);
    ngx_pulse_json_string(b, "model", collector->model.len
                                      ? &collector->model : &cv->model);

    ngx_pulse_json_key(b, "choices");
    ngx_pulse_buf_literal(b, "[{\"index\":0,\"message\":{");
    ngx_pulse_openai_client_message(collector, cv, b);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_openai_client_probable(collector, b);
    ngx_pulse_json_literal(b, "finish_reason",
                  ngx_pulse_openai_client_reason(cv, collector->finish));

    if (collector->native.len) {
        ngx_pulse_json_string(b, "native_finish_reason", &collector->native);
    }

    ngx_pulse_buf_literal(b, "}]");

    if (collector->usage.known) {
        ngx_pulse_openai_client_usage(&collector->usage, b);
    }

    ngx_pulse_openai_client_null("system_fingerprint", b);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_openai_client_message(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    const ngx_pulse_part_t      *part, *signature;
    const ngx_pulse_citation_t  *citation;

    ngx_pulse_json_literal(b, "role", "assistant");

    ngx_pulse_openai_client_joined(collector, NGX_PULSE_PART_TEXT, "content",
                                   b);
    ngx_pulse_openai_client_joined(collector, NGX_PULSE_PART_REFUSAL,
                                   "refusal", b);

    ngx_pulse_json_key(b, "annotations");
    ngx_pulse_buf_char(b, '[');

    for (part = collector->parts; part; part = part->next) {

        for (citation = part->citations; citation; citation = citation->next)
        {
            ngx_pulse_json_comma(b);
            ngx_pulse_buf_literal(b, "{\"type\":\"url_citation\","
                                     "\"url_citation\":{");
            ngx_pulse_cited(citation, 0, b);
            ngx_pulse_buf_literal(b, "}}");
        }
    }

    ngx_pulse_buf_char(b, ']');

    ngx_pulse_openai_client_images(collector, b);
    ngx_pulse_openai_client_thoughts(collector, b);

    signature = NULL;

    for (part = collector->parts; part; part = part->next) {
        if (part->type == NGX_PULSE_PART_TEXT && part->signature.len) {
            signature = part;
        }
    }

    if (signature) {
        ngx_pulse_openai_client_extra(&signature->signature, b);
    }

    ngx_pulse_openai_client_calls(collector, cv, b);
}


/* null, or the parts of one type as a single string */

static void
ngx_pulse_openai_client_joined(const ngx_pulse_collector_t *collector,
    ngx_pulse_part_e type, const char *key, ngx_pulse_buf_t *b)
{
    ngx_uint_t               n;
    ngx_pulse_buf_t          text;
    const ngx_pulse_part_t  *part;

    ngx_pulse_buf_init(&text, 0);
    n = 0;

    for (part = collector->parts; part; part = part->next) {
        if (part->type == type) {
            ngx_pulse_buf_str(&text, &part->text);
            n++;
        }
    }

    if (n) {
        ngx_pulse_json_key(b, key);
        ngx_pulse_buf_json(b, text.len ? text.data : (u_char *) "", text.len);

    } else {
        ngx_pulse_openai_client_null(key, b);
    }

    if (text.failed) {
        b->failed = 1;
    }

    ngx_pulse_buf_free(&text);
}


static void
ngx_pulse_openai_client_thoughts(const ngx_pulse_collector_t *collector,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t               n, texts;
    const ngx_pulse_part_t  *part;

    n = 0;
    texts = 0;

    for (part = collector->parts; part; part = part->next) {
        texts += (part->type == NGX_PULSE_PART_THINKING && part->text.len);
        n += (part->type == NGX_PULSE_PART_THINKING
              || part->type == NGX_PULSE_PART_REDACTED);
    }

    if (n == 0) {
        return;
    }

    if (texts) {
        ngx_pulse_openai_client_joined(collector, NGX_PULSE_PART_THINKING,
                                       "reasoning_content", b);
    }

    ngx_pulse_json_key(b, "reasoning_details");
    ngx_pulse_buf_char(b, '[');

    n = 0;

    for (part = collector->parts; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_REDACTED) {
            ngx_pulse_openai_client_detail("redacted_thinking", n++, "data",
                                           &part->data, b);
            ngx_pulse_buf_char(b, '}');

        } else if (part->type == NGX_PULSE_PART_THINKING) {
            ngx_pulse_openai_client_detail("thinking", n++, "thinking",
                                           &part->text, b);

            if (part->signature.len) {
                ngx_pulse_json_string(b, "signature", &part->signature);
            }

            ngx_pulse_buf_char(b, '}');
        }
    }

    ngx_pulse_buf_char(b, ']');
}


static void
ngx_pulse_openai_client_images(const ngx_pulse_collector_t *collector,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t               n;
    const ngx_pulse_part_t  *part;

    n = 0;

    for (part = collector->parts; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_IMAGE) {
            continue;
        }

        if (n++ == 0) {
            ngx_pulse_json_key(b, "images");
            ngx_pulse_buf_char(b, '[');
        }

        ngx_pulse_openai_client_image(&part->media_type, &part->data, b);
    }

    if (n) {
        ngx_pulse_buf_char(b, ']');
    }
}


/* of all texts, which are one here */

static void
ngx_pulse_openai_client_probable(const ngx_pulse_collector_t *collector,
    ngx_pulse_buf_t *b)
{
    ngx_str_t                all;
    ngx_pulse_buf_t          joined;
    const ngx_pulse_part_t  *part;

    ngx_pulse_buf_init(&joined, 0);

    for (part = collector->parts; part; part = part->next) {

        if (part->logprobs.len == 0) {
            continue;
        }

        if (joined.len) {
            ngx_pulse_buf_char(&joined, ',');
        }

        ngx_pulse_buf_str(&joined, &part->logprobs);
    }

    all.data = joined.data;
    all.len = joined.len;

    ngx_pulse_openai_client_logprobs(&all, b);

    if (joined.failed) {
        b->failed = 1;
    }

    ngx_pulse_buf_free(&joined);
}


static void
ngx_pulse_openai_client_calls(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    size_t                   start;
    const char              *type;
    ngx_uint_t               n;
    const ngx_pulse_part_t  *part;

    n = 0;
    start = b->len;

    for (part = collector->parts; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_CALL) {
            continue;
        }

        if (cv->functions && b->len == start) {
            ngx_pulse_json_key(b, "function_call");
            ngx_pulse_buf_char(b, '{');
            ngx_pulse_json_string(b, "name", &part->name);
            ngx_pulse_json_string(b, "arguments", &part->arguments);
            ngx_pulse_buf_char(b, '}');
            continue;
        }

        if (n++ == 0) {
            ngx_pulse_json_key(b, "tool_calls");
            ngx_pulse_buf_char(b, '[');
        }

        type = part->custom ? "custom" : "function";

        ngx_pulse_json_comma(b);
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_string(b, "id", &part->id);
        ngx_pulse_json_literal(b, "type", type);
        ngx_pulse_json_key(b, type);
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_string(b, "name", &part->name);
        ngx_pulse_json_string(b, part->custom ? "input" : "arguments",
                              &part->arguments);
        ngx_pulse_buf_char(b, '}');

        if (part->signature.len) {
            ngx_pulse_openai_client_extra(&part->signature, b);
        }

        ngx_pulse_buf_char(b, '}');
    }

    if (n) {
        ngx_pulse_buf_char(b, ']');
    }
}
