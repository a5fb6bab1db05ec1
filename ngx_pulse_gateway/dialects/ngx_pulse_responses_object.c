
#include "ngx_pulse_responses.h"

#include <string.h>


static void ngx_pulse_responses_json_thought(
    const ngx_pulse_responses_output_t *item, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_json_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b);

static void ngx_pulse_responses_whole_part(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_part_t *part, const char *status, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_whole_item(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_part_t *part, ngx_pulse_part_e type, const char *tag,
    const char *status, ngx_pulse_buf_t *b);


void
ngx_pulse_responses_write_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b)
{
    const char                     *status, *whole;
    ngx_pulse_answer_event_t        ev;
    const ngx_pulse_part_t         *part;
    const ngx_pulse_chat_error_t   *error;
    ngx_pulse_responses_stream_t    st;

    ngx_memzero(&st, sizeof(ngx_pulse_responses_stream_t));
    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.id = collector->id;
    ev.model = collector->model;

    if (ngx_pulse_responses_begin(&st, cv, &ev) != NGX_OK) {
        b->failed = 1;
        return;
    }

    st.created = created;
    error = NULL;
    status = "completed";
    whole = status;

    if (collector->failed) {
        whole = "failed";
        error = &collector->error;

    } else if (collector->finish == NGX_PULSE_FINISH_LENGTH) {
        whole = "incomplete";
        status = "incomplete";

    } else if (collector->finish == NGX_PULSE_FINISH_FILTER) {
        whole = "incomplete";
    }

    ngx_pulse_responses_json_head(&st, whole, collector->finish, error, b);

    for (part = collector->parts; part; part = part->next) {
        ngx_pulse_responses_whole_part(&st, part,
                                       part->next ? "completed" : status, b);
    }

    ngx_pulse_responses_json_tail(cv, &collector->usage, b);
}


static void
ngx_pulse_responses_whole_part(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_part_t *part, const char *status, ngx_pulse_buf_t *b)
{
    switch (part->type) {

    case NGX_PULSE_PART_THINKING:
        ngx_pulse_responses_whole_item(st, part, part->type, "", status, b);
        break;

    case NGX_PULSE_PART_REDACTED:
        ngx_pulse_responses_whole_item(st, part, NGX_PULSE_PART_THINKING,
                                       NGX_PULSE_RESPONSES_REDACTED, status,
                                       b);
        break;

    case NGX_PULSE_PART_IMAGE:
        ngx_pulse_responses_whole_item(st, part, part->type, NULL, status, b);
        break;

    case NGX_PULSE_PART_CALL:

        if (part->signature.len) {
            ngx_pulse_responses_whole_item(st, part, NGX_PULSE_PART_THINKING,
                                           NGX_PULSE_RESPONSES_NEXT, status,
                                           b);
        }

        ngx_pulse_responses_whole_item(st, part, part->type, NULL, status, b);
        break;

    default:

        if (part->text.len) {
            ngx_pulse_responses_whole_item(st, part, part->type, NULL, status,
                                           b);
        }

        if (part->signature.len) {
            ngx_pulse_responses_whole_item(st, part, NGX_PULSE_PART_THINKING,
                                           NGX_PULSE_RESPONSES_LAST, status,
                                           b);
        }
    }
}


/* An item of a part; with a tag it is what only travels, or thinking. */

static void
ngx_pulse_responses_whole_item(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_part_t *part, ngx_pulse_part_e type, const char *tag,
    const char *status, ngx_pulse_buf_t *b)
{
    const ngx_str_t               *text, *opaque;
    const ngx_pulse_citation_t    *citation;
    ngx_pulse_responses_output_t   item;

    ngx_memzero(&item, sizeof(ngx_pulse_responses_output_t));

    item.type = type;
    item.index = st->nitems++;
    item.id = part->id;
    item.name = part->name;
    item.custom = part->custom;

    if (type == part->type) {
        text = (type == NGX_PULSE_PART_CALL) ? &part->arguments
               : (type == NGX_PULSE_PART_IMAGE) ? &part->data : &part->text;
        item.part = (text->len != 0);
        item.format = ngx_pulse_responses_format(&part->media_type);
        ngx_pulse_buf_str(&item.text, text);
        ngx_pulse_buf_str(&item.logprobs, &part->logprobs);
        citation = part->citations;

    } else {
        citation = NULL;
    }

    for ( /* void */ ; citation; citation = citation->next) {

        if (item.citations.len) {
            ngx_pulse_buf_char(&item.citations, ',');
        }

        ngx_pulse_buf_literal(&item.citations, "{\"type\":\"url_citation\"");
        ngx_pulse_cited(citation, citation->part, &item.citations);
        ngx_pulse_buf_char(&item.citations, '}');
    }

    if (tag) {
        opaque = (part->type == NGX_PULSE_PART_REDACTED) ? &part->data
                                                         : &part->signature;
        ngx_pulse_buf_append(&item.signature, (u_char *) tag, strlen(tag));
        ngx_pulse_buf_str(&item.signature, opaque);
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_responses_json_item(st, &item, status, b);

    if (item.text.failed || item.signature.failed || item.citations.failed
        || item.logprobs.failed)
    {
        b->failed = 1;
    }

    ngx_pulse_buf_free(&item.text);
    ngx_pulse_buf_free(&item.signature);
    ngx_pulse_buf_free(&item.citations);
    ngx_pulse_buf_free(&item.logprobs);
}


/* A response up to its items, */

void
ngx_pulse_responses_json_head(const ngx_pulse_responses_stream_t *st,
    const char *status, ngx_uint_t finish, const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_responses_json_id(st, "id", NULL, b);
    ngx_pulse_json_literal(b, "object", "response");
    ngx_pulse_json_number(b, "created_at", st->created);
    ngx_pulse_json_literal(b, "status", status);
    ngx_pulse_json_key(b, "background");
    ngx_pulse_buf_literal(b, "false");

    if (error) {
        ngx_pulse_json_key(b, "error");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_string(b, "code", error->code.len ? &error->code
                                                         : &error->type);
        ngx_pulse_json_string(b, "message", &error->message);
        ngx_pulse_buf_char(b, '}');

    } else {
        ngx_pulse_responses_json_null(b, "error");
    }

    if (strcmp(status, "incomplete") == 0) {
        ngx_pulse_json_key(b, "incomplete_details");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "reason",
                               finish == NGX_PULSE_FINISH_FILTER
                               ? "content_filter" : "max_output_tokens");
        ngx_pulse_buf_char(b, '}');

    } else {
        ngx_pulse_responses_json_null(b, "incomplete_details");
    }

    ngx_pulse_json_string(b, "model", &st->model);
    ngx_pulse_json_key(b, "output");
    ngx_pulse_buf_char(b, '[');
}


/* and from there on: what the client asked for, and what it costs. */

void
ngx_pulse_responses_json_tail(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_chat_usage_t *usage, ngx_pulse_buf_t *b)
{
    const char           *effort;
    ngx_pulse_dropped_t   dropped;

    ngx_pulse_buf_char(b, ']');

    ngx_pulse_responses_json_null(b, "instructions");
    ngx_pulse_json_key(b, "metadata");
    ngx_pulse_buf_literal(b, "{}");
    ngx_pulse_json_key(b, "parallel_tool_calls");

    if (cv->no_parallel) {
        ngx_pulse_buf_literal(b, "false");

    } else {
        ngx_pulse_buf_literal(b, "true");
    }

    if (cv->temperature.len) {
        ngx_pulse_json_raw(b, "temperature", &cv->temperature);

    } else {
        ngx_pulse_responses_json_null(b, "temperature");
    }

    if (cv->top_p.len) {
        ngx_pulse_json_raw(b, "top_p", &cv->top_p);

    } else {
        ngx_pulse_responses_json_null(b, "top_p");
    }

    ngx_memzero(&dropped, sizeof(ngx_pulse_dropped_t));

    ngx_pulse_responses_choice(cv, b);

    if (ngx_pulse_responses_tools(cv, &dropped, b) == 0) {
        ngx_pulse_json_key(b, "tools");
        ngx_pulse_buf_literal(b, "[]");
    }

    if (cv->max_tokens) {
        ngx_pulse_json_number(b, "max_output_tokens", cv->max_tokens);

    } else {
        ngx_pulse_responses_json_null(b, "max_output_tokens");
    }

    ngx_pulse_responses_json_null(b, "previous_response_id");

    effort = ngx_pulse_responses_effort(cv->effort);

    ngx_pulse_json_key(b, "reasoning");
    ngx_pulse_buf_char(b, '{');

    if (effort) {
        ngx_pulse_json_literal(b, "effort", effort);

    } else {
        ngx_pulse_responses_json_null(b, "effort");
    }

    if (cv->include_thoughts) {
        ngx_pulse_json_literal(b, "summary", "auto");

    } else {
        ngx_pulse_responses_json_null(b, "summary");
    }

    ngx_pulse_buf_char(b, '}');

    ngx_pulse_json_key(b, "store");
    ngx_pulse_buf_literal(b, "false");
    ngx_pulse_responses_text(cv, b);
    ngx_pulse_json_literal(b, "truncation", "disabled");
    ngx_pulse_responses_json_usage(usage, b);
    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_responses_json_item(const ngx_pulse_responses_stream_t *st,
    const ngx_pulse_responses_output_t *item, const char *status,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_responses_json_id(st, "id", item, b);

    switch (item->type) {

    case NGX_PULSE_PART_THINKING:
        ngx_pulse_responses_json_thought(item, b);
        break;

    case NGX_PULSE_PART_IMAGE:
        ngx_pulse_json_literal(b, "type", "image_generation_call");
        ngx_pulse_json_literal(b, "status", status);
        ngx_pulse_json_literal(b, "output_format", item->format);

        if (item->text.len) {
            ngx_pulse_responses_json_buf(b, "result", &item->text);

        } else {
            ngx_pulse_responses_json_null(b, "result");
        }

        break;

    case NGX_PULSE_PART_CALL:
        ngx_pulse_json_literal(b, "type", item->custom ? "custom_tool_call"
                                                       : "function_call");
        ngx_pulse_json_literal(b, "status", status);
        ngx_pulse_responses_json_buf(b, item->custom ? "input" : "arguments",
                                     &item->text);
        ngx_pulse_json_string(b, "call_id", &item->id);
        ngx_pulse_json_string(b, "name", &item->name);
        break;

    default:
        ngx_pulse_json_literal(b, "type", "message");
        ngx_pulse_json_literal(b, "status", status);
        ngx_pulse_json_literal(b, "role", "assistant");
        ngx_pulse_json_key(b, "content");
        ngx_pulse_buf_char(b, '[');

        if (item->part) {
            ngx_pulse_responses_json_part(item, b);
        }

        ngx_pulse_buf_char(b, ']');
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_responses_json_thought(const ngx_pulse_responses_output_t *item,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_literal(b, "type", "reasoning");
    ngx_pulse_json_key(b, "summary");
    ngx_pulse_buf_char(b, '[');

    if (item->part) {
        ngx_pulse_responses_json_part(item, b);
    }

    ngx_pulse_buf_char(b, ']');

    if (item->signature.len) {
        ngx_pulse_responses_json_buf(b, "encrypted_content",
                                     &item->signature);
    }
}


void
ngx_pulse_responses_json_part(const ngx_pulse_responses_output_t *item,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_char(b, '{');

    switch (item->type) {

    case NGX_PULSE_PART_THINKING:
        ngx_pulse_json_literal(b, "type", "summary_text");
        ngx_pulse_responses_json_buf(b, "text", &item->text);
        break;

    case NGX_PULSE_PART_REFUSAL:
        ngx_pulse_json_literal(b, "type", "refusal");
        ngx_pulse_responses_json_buf(b, "refusal", &item->text);
        break;

    default:
        ngx_pulse_json_literal(b, "type", "output_text");
        ngx_pulse_responses_json_buf(b, "text", &item->text);
        ngx_pulse_json_key(b, "annotations");
        ngx_pulse_buf_char(b, '[');
        ngx_pulse_buf_append(b, item->citations.data, item->citations.len);
        ngx_pulse_buf_char(b, ']');
        ngx_pulse_responses_json_logprobs(item, b);
    }

    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_responses_json_logprobs(const ngx_pulse_responses_output_t *item,
    ngx_pulse_buf_t *b)
{
    ngx_str_t  logprobs;

    logprobs.data = item->logprobs.data;
    logprobs.len = item->logprobs.len;

    ngx_pulse_json_key(b, "logprobs");
    ngx_pulse_buf_char(b, '[');
    ngx_pulse_json_compact(&logprobs, b);
    ngx_pulse_buf_char(b, ']');
}


const char *
ngx_pulse_responses_format(const ngx_str_t *type)
{
    return ngx_pulse_is(type, "image/jpeg") ? "jpeg"
           : ngx_pulse_is(type, "image/webp") ? "webp" : "png";
}


/* Of an item, or without one of the answer itself. */

void
ngx_pulse_responses_json_id(const ngx_pulse_responses_stream_t *st,
    const char *key, const ngx_pulse_responses_output_t *item,
    ngx_pulse_buf_t *b)
{
    const char  *prefix;

    if (item == NULL) {
        prefix = "resp_";

    } else if (item->type == NGX_PULSE_PART_THINKING) {
        prefix = "rs_";

    } else if (item->type == NGX_PULSE_PART_CALL) {
        prefix = item->custom ? "ctc_" : "fc_";

    } else if (item->type == NGX_PULSE_PART_IMAGE) {
        prefix = "ig_";

    } else {
        prefix = "msg_";
    }

    ngx_pulse_json_literal(b, key, prefix);
    ngx_pulse_responses_more(b, st->id.data, st->id.len);

    if (item && !b->failed) {

        /* in the place of the quote */

        b->len--;
        ngx_pulse_buf_char(b, '_');
        ngx_pulse_buf_int(b, item->index);
        ngx_pulse_buf_char(b, '"');
    }
}


static void
ngx_pulse_responses_json_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b)
{
    if (!usage->known) {
        ngx_pulse_responses_json_null(b, "usage");
        return;
    }

    ngx_pulse_json_key(b, "usage");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "input_tokens", usage->input);
    ngx_pulse_json_key(b, "input_tokens_details");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "cached_tokens", usage->cached);
    ngx_pulse_json_number(b, "cache_write_tokens", usage->cache_write);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_json_number(b, "output_tokens", usage->output);
    ngx_pulse_json_key(b, "output_tokens_details");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "reasoning_tokens", usage->reasoning);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_json_number(b, "total_tokens", usage->input + usage->output);
    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_responses_json_null(ngx_pulse_buf_t *b, const char *key)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_literal(b, "null");
}


void
ngx_pulse_responses_json_buf(ngx_pulse_buf_t *b, const char *key,
    const ngx_pulse_buf_t *value)
{
    ngx_str_t  s;

    s.data = value->data;
    s.len = value->len;

    ngx_pulse_json_string(b, key, &s);
}
