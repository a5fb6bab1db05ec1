
#include "ngx_pulse_anthropic.h"

#include <string.h>


#define NGX_PULSE_ANTHROPIC_NONE      0
#define NGX_PULSE_ANTHROPIC_TEXT      1
#define NGX_PULSE_ANTHROPIC_THINKING  2
#define NGX_PULSE_ANTHROPIC_CALL      3


static void ngx_pulse_anthropic_write_start(
    ngx_pulse_anthropic_writer_t *writer, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_delta(
    ngx_pulse_anthropic_writer_t *writer, ngx_uint_t block,
    const ngx_str_t *text, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_signature(
    ngx_pulse_anthropic_writer_t *writer, const ngx_str_t *text,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_signed(
    ngx_pulse_anthropic_writer_t *writer, const char *prefix,
    const ngx_str_t *signature, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_begin(
    ngx_pulse_anthropic_writer_t *writer, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_arguments(
    ngx_pulse_anthropic_writer_t *writer, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_redacted(
    ngx_pulse_anthropic_writer_t *writer, const ngx_str_t *data,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_citation(
    ngx_pulse_anthropic_writer_t *writer, const ngx_pulse_conversation_t *cv,
    const ngx_pulse_citation_t *citation, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_open(ngx_pulse_anthropic_writer_t *writer,
    ngx_uint_t block, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_close(ngx_pulse_anthropic_writer_t *writer,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_finish(
    ngx_pulse_anthropic_writer_t *writer, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev);
static void ngx_pulse_anthropic_write_stopped(
    ngx_pulse_anthropic_writer_t *writer, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_end(ngx_pulse_anthropic_writer_t *writer,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_begin(ngx_pulse_buf_t *b, const char *name);
static void ngx_pulse_anthropic_end(ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_stop(ngx_uint_t finish,
    const char *reason, const ngx_str_t *stop, ngx_pulse_buf_t *b);
static const char *ngx_pulse_anthropic_stop_reason(ngx_uint_t finish,
    const ngx_str_t *native, const ngx_str_t *stop);
static void ngx_pulse_anthropic_write_usage(
    const ngx_pulse_chat_usage_t *usage, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_content(
    const ngx_pulse_conversation_t *cv, const ngx_pulse_part_t *part,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_text(const ngx_pulse_part_t *part,
    ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_cited(
    const ngx_pulse_citation_t *citation, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_thought(const char *prefix,
    const ngx_str_t *text, const ngx_str_t *signature, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_write_opaque(const char *prefix,
    const ngx_str_t *signature, ngx_pulse_buf_t *b);
static void ngx_pulse_anthropic_null(ngx_pulse_buf_t *b, const char *key);


static const char  *ngx_pulse_anthropic_reasons[] = {
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn",
    "refusal", "model_context_window_exceeded", "compaction", NULL
};


static const char  *ngx_pulse_anthropic_errors[] = {
    "invalid_request_error", "authentication_error", "billing_error",
    "permission_error", "not_found_error", "conflict_error",
    "request_too_large", "rate_limit_error", "api_error", "timeout_error",
    "overloaded_error", NULL
};


ngx_pulse_dialect_t  ngx_pulse_dialect_anthropic = {
    ngx_string("anthropic"),
    sizeof(ngx_pulse_anthropic_reader_t),
    sizeof(ngx_pulse_anthropic_writer_t),
    ngx_pulse_anthropic_read,
    ngx_pulse_anthropic_write_event,
    ngx_pulse_anthropic_write_answer,
    ngx_pulse_anthropic_write,
    ngx_pulse_anthropic_read_event,
    ngx_pulse_anthropic_read_end,
    ngx_pulse_anthropic_read_answer,
    ngx_pulse_anthropic_read_error
};


void
ngx_pulse_anthropic_write_event(void *state,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_anthropic_writer_t *writer = state;

    if (ev->choice != 0 || writer->ended) {
        return;
    }

    if (!writer->started && ev->type != NGX_PULSE_ANSWER_ERROR) {
        ngx_pulse_anthropic_write_start(writer, cv, ev, b);
    }

    switch (ev->type) {

    case NGX_PULSE_ANSWER_START:
        break;

    case NGX_PULSE_ANSWER_TEXT:
    case NGX_PULSE_ANSWER_REFUSAL:

        if (ev->logprobs.len) {
            ngx_pulse_lost(cv, "logprobs");
        }

        /* this dialect says in stop_reason that a text is a refusal */

        ngx_pulse_anthropic_write_delta(writer, NGX_PULSE_ANTHROPIC_TEXT,
                                        &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_THINKING:
        ngx_pulse_anthropic_write_delta(writer, NGX_PULSE_ANTHROPIC_THINKING,
                                        &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_SIGNATURE:
        ngx_pulse_anthropic_write_signature(writer, &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_REDACTED:
        ngx_pulse_anthropic_write_redacted(writer, &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_CALL:
        ngx_pulse_anthropic_write_begin(writer, ev, b);
        break;

    case NGX_PULSE_ANSWER_ARGUMENTS:
        ngx_pulse_anthropic_write_arguments(writer, ev, b);
        break;

    case NGX_PULSE_ANSWER_CALL_END:

        if (writer->block == NGX_PULSE_ANTHROPIC_CALL
            && writer->call == ev->index)
        {
            ngx_pulse_anthropic_close(writer, b);
        }

        break;

    case NGX_PULSE_ANSWER_PART_END:
        ngx_pulse_anthropic_close(writer, b);
        break;

    case NGX_PULSE_ANSWER_CITATION:
        ngx_pulse_anthropic_write_citation(writer, cv, ev->citation, b);
        break;

    case NGX_PULSE_ANSWER_IMAGE:
        ngx_pulse_anthropic_close(writer, b);
        ngx_pulse_lost(cv, "image");
        break;

    case NGX_PULSE_ANSWER_LOST:
        break;

    case NGX_PULSE_ANSWER_FINISH:
        ngx_pulse_anthropic_close(writer, b);
        ngx_pulse_anthropic_write_finish(writer, cv, ev);
        break;

    case NGX_PULSE_ANSWER_USAGE:
        writer->usage = ev->usage;
        break;

    case NGX_PULSE_ANSWER_ERROR:
        writer->ended = 1;
        ngx_pulse_buf_literal(b, "event: error\ndata: ");
        ngx_pulse_anthropic_write_error(&ev->error, b);
        ngx_pulse_buf_literal(b, "\n\n");
        break;

    case NGX_PULSE_ANSWER_END:

        if (!ev->told) {
            ngx_pulse_anthropic_close(writer, b);
            ngx_pulse_anthropic_write_stopped(writer, b);
        }

        ngx_pulse_anthropic_write_end(writer, b);
        break;
    }
}


static void
ngx_pulse_anthropic_write_start(ngx_pulse_anthropic_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    static const ngx_str_t  unknown = ngx_string("msg_0");

    writer->started = 1;

    if (ev->type == NGX_PULSE_ANSWER_START) {
        writer->usage = ev->usage;
    }

    ngx_pulse_anthropic_begin(b, "message_start");
    ngx_pulse_json_key(b, "message");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "id", ev->id.len ? &ev->id : &unknown);
    ngx_pulse_json_literal(b, "type", "message");
    ngx_pulse_json_literal(b, "role", "assistant");
    ngx_pulse_json_string(b, "model", ev->model.len ? &ev->model : &cv->model);
    ngx_pulse_json_key(b, "content");
    ngx_pulse_buf_literal(b, "[]");
    ngx_pulse_anthropic_null(b, "stop_reason");
    ngx_pulse_anthropic_null(b, "stop_sequence");
    ngx_pulse_anthropic_null(b, "stop_details");
    ngx_pulse_anthropic_write_usage(&writer->usage, b);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_anthropic_end(b);
}


static void
ngx_pulse_anthropic_write_delta(ngx_pulse_anthropic_writer_t *writer,
    ngx_uint_t block, const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    static const char  *names[] = { NULL, "text", "thinking" };

    if (writer->block != block) {
        ngx_pulse_anthropic_close(writer, b);
    }

    /* a block without content would be refused when it is sent back */

    if (text->len == 0) {
        return;
    }

    if (writer->block != block) {
        ngx_pulse_anthropic_open(writer, block, b);

        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "type", names[block]);
        ngx_pulse_json_literal(b, names[block], "");

        if (block == NGX_PULSE_ANTHROPIC_THINKING) {
            ngx_pulse_json_literal(b, "signature", "");
        }

        ngx_pulse_buf_char(b, '}');
        ngx_pulse_anthropic_end(b);
    }

    /* most of a stream are these: in few pieces */

    ngx_pulse_buf_literal(b, "event: content_block_delta\n"
                             "data: {\"type\":\"content_block_delta\","
                             "\"index\":");
    ngx_pulse_buf_int(b, writer->blocks - 1);

    if (block == NGX_PULSE_ANTHROPIC_TEXT) {
        ngx_pulse_buf_literal(b, ",\"delta\":{\"type\":\"text_delta\","
                                 "\"text\":");
    } else {
        ngx_pulse_buf_literal(b, ",\"delta\":{\"type\":\"thinking_delta\","
                                 "\"thinking\":");
    }

    ngx_pulse_buf_json(b, text->data, text->len);
    ngx_pulse_buf_literal(b, "}}\n\n");
}


static void
ngx_pulse_anthropic_write_signature(ngx_pulse_anthropic_writer_t *writer,
    const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    if (text->len == 0) {
        return;
    }

    if (writer->block == NGX_PULSE_ANTHROPIC_TEXT) {
        ngx_pulse_anthropic_write_signed(writer, NGX_PULSE_ANTHROPIC_OF_TEXT,
                                         text, b);
        return;
    }

    if (writer->block == NGX_PULSE_ANTHROPIC_THINKING) {
        ngx_pulse_anthropic_begin(b, "content_block_delta");
        ngx_pulse_json_number(b, "index", writer->blocks - 1);
        ngx_pulse_json_key(b, "delta");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "type", "signature_delta");
        ngx_pulse_json_string(b, "signature", text);
        ngx_pulse_buf_char(b, '}');
        ngx_pulse_anthropic_end(b);
        return;
    }

    /* of thinking that is not shown */

    ngx_pulse_anthropic_write_signed(writer, "", text, b);
}


/* a block of thinking that only bears a signature */

static void
ngx_pulse_anthropic_write_signed(ngx_pulse_anthropic_writer_t *writer,
    const char *prefix, const ngx_str_t *signature, ngx_pulse_buf_t *b)
{
    ngx_pulse_anthropic_close(writer, b);
    ngx_pulse_anthropic_open(writer, NGX_PULSE_ANTHROPIC_THINKING, b);

    ngx_pulse_buf_literal(b, "{\"type\":\"thinking\",\"thinking\":\"\","
                             "\"signature\":\"\"}");
    ngx_pulse_anthropic_end(b);

    ngx_pulse_anthropic_begin(b, "content_block_delta");
    ngx_pulse_json_number(b, "index", writer->blocks - 1);
    ngx_pulse_json_key(b, "delta");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "signature_delta");
    ngx_pulse_anthropic_write_opaque(prefix, signature, b);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_anthropic_end(b);

    ngx_pulse_anthropic_close(writer, b);
}


static void
ngx_pulse_anthropic_write_begin(ngx_pulse_anthropic_writer_t *writer,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    ngx_pulse_anthropic_close(writer, b);

    if (ev->signature.len) {
        ngx_pulse_anthropic_write_signed(writer, NGX_PULSE_ANTHROPIC_OF_CALL,
                                         &ev->signature, b);
    }

    if (ev->index < NGX_PULSE_ANTHROPIC_CALLS) {
        writer->calls[ev->index] = (uint32_t) writer->blocks + 1;
    }

    ngx_pulse_anthropic_open(writer, NGX_PULSE_ANTHROPIC_CALL, b);
    writer->call = ev->index;

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "tool_use");
    ngx_pulse_json_string(b, "id", &ev->id);
    ngx_pulse_json_string(b, "name", &ev->name);
    ngx_pulse_json_key(b, "input");
    ngx_pulse_buf_literal(b, "{}}");
    ngx_pulse_anthropic_end(b);
}


static void
ngx_pulse_anthropic_write_arguments(ngx_pulse_anthropic_writer_t *writer,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    ngx_uint_t  block;

    if (ev->text.len == 0) {
        return;
    }

    /* SDKs add to a block by its number, even one that was closed */

    if (writer->block == NGX_PULSE_ANTHROPIC_CALL && writer->call == ev->index)
    {
        block = writer->blocks;

    } else if (ev->index < NGX_PULSE_ANTHROPIC_CALLS) {
        block = writer->calls[ev->index];

    } else {
        block = 0;
    }

    if (block == 0) {
        b->failed = 1;
        return;
    }

    ngx_pulse_anthropic_begin(b, "content_block_delta");
    ngx_pulse_json_number(b, "index", block - 1);
    ngx_pulse_json_key(b, "delta");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "input_json_delta");
    ngx_pulse_json_string(b, "partial_json", &ev->text);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_anthropic_end(b);
}


static void
ngx_pulse_anthropic_write_redacted(ngx_pulse_anthropic_writer_t *writer,
    const ngx_str_t *data, ngx_pulse_buf_t *b)
{
    ngx_pulse_anthropic_close(writer, b);
    ngx_pulse_anthropic_open(writer, NGX_PULSE_ANTHROPIC_THINKING, b);

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "redacted_thinking");
    ngx_pulse_json_string(b, "data", data);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_anthropic_end(b);

    ngx_pulse_anthropic_close(writer, b);
}


/* of the block, whose place is that of the citation */

static void
ngx_pulse_anthropic_write_citation(ngx_pulse_anthropic_writer_t *writer,
    const ngx_pulse_conversation_t *cv, const ngx_pulse_citation_t *citation,
    ngx_pulse_buf_t *b)
{
    if (writer->block != NGX_PULSE_ANTHROPIC_TEXT) {
        ngx_pulse_lost(cv, "citations");
        return;
    }

    ngx_pulse_anthropic_begin(b, "content_block_delta");
    ngx_pulse_json_number(b, "index", writer->blocks - 1);
    ngx_pulse_json_key(b, "delta");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "citations_delta");
    ngx_pulse_json_key(b, "citation");
    ngx_pulse_anthropic_write_cited(citation, b);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_anthropic_end(b);
}


/* begins an event that the block's own object follows */

static void
ngx_pulse_anthropic_open(ngx_pulse_anthropic_writer_t *writer,
    ngx_uint_t block, ngx_pulse_buf_t *b)
{
    writer->block = block;

    ngx_pulse_anthropic_begin(b, "content_block_start");
    ngx_pulse_json_number(b, "index", writer->blocks++);
    ngx_pulse_json_key(b, "content_block");
}


static void
ngx_pulse_anthropic_close(ngx_pulse_anthropic_writer_t *writer,
    ngx_pulse_buf_t *b)
{
    if (writer->block == NGX_PULSE_ANTHROPIC_NONE) {
        return;
    }

    writer->block = NGX_PULSE_ANTHROPIC_NONE;

    ngx_pulse_anthropic_begin(b, "content_block_stop");
    ngx_pulse_json_number(b, "index", writer->blocks - 1);
    ngx_pulse_anthropic_end(b);
}


static void
ngx_pulse_anthropic_write_finish(ngx_pulse_anthropic_writer_t *writer,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev)
{
    ngx_uint_t  i;

    writer->finish = ev->finish;
    writer->reason = ngx_pulse_anthropic_stop_reason(ev->finish, &ev->native,
                                                     &ev->stop);

    if (ev->usage.known) {
        writer->usage = ev->usage;
    }

    /* the event's own string will be gone when it is needed */

    for (i = 0; ev->stop.len && i < cv->nstops; i++) {

        if (cv->stops[i].len == ev->stop.len
            && ngx_memcmp(cv->stops[i].data, ev->stop.data, ev->stop.len) == 0)
        {
            writer->stop = cv->stops[i];
            break;
        }
    }
}


static void
ngx_pulse_anthropic_write_stopped(ngx_pulse_anthropic_writer_t *writer,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_anthropic_begin(b, "message_delta");
    ngx_pulse_json_key(b, "delta");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_anthropic_write_stop(writer->finish,
                                   writer->reason ? writer->reason
                                                  : "end_turn",
                                   &writer->stop, b);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_anthropic_write_usage(&writer->usage, b);
    ngx_pulse_anthropic_end(b);
}


static void
ngx_pulse_anthropic_write_end(ngx_pulse_anthropic_writer_t *writer,
    ngx_pulse_buf_t *b)
{
    writer->ended = 1;

    ngx_pulse_anthropic_begin(b, "message_stop");
    ngx_pulse_anthropic_end(b);
}


static void
ngx_pulse_anthropic_begin(ngx_pulse_buf_t *b, const char *name)
{
    ngx_pulse_buf_literal(b, "event: ");
    ngx_pulse_buf_append(b, (u_char *) name, strlen(name));
    ngx_pulse_buf_literal(b, "\ndata: {");
    ngx_pulse_json_literal(b, "type", name);
}


static void
ngx_pulse_anthropic_end(ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "}\n\n");
}


void
ngx_pulse_anthropic_write_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b)
{
    const ngx_pulse_part_t  *part;

    if (collector->failed) {
        ngx_pulse_anthropic_write_error(&collector->error, b);
        return;
    }

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "id", &collector->id);
    ngx_pulse_json_literal(b, "type", "message");
    ngx_pulse_json_literal(b, "role", "assistant");
    ngx_pulse_json_string(b, "model",
                          collector->model.len ? &collector->model
                                               : &cv->model);
    ngx_pulse_json_key(b, "content");
    ngx_pulse_buf_char(b, '[');

    for (part = collector->parts; part; part = part->next) {
        ngx_pulse_anthropic_write_content(cv, part, b);
    }

    ngx_pulse_buf_char(b, ']');
    ngx_pulse_anthropic_write_stop(collector->finish,
                    ngx_pulse_anthropic_stop_reason(collector->finish,
                                                    &collector->native,
                                                    &collector->stop),
                    &collector->stop, b);
    ngx_pulse_anthropic_write_usage(&collector->usage, b);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_anthropic_write_content(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_part_t *part, ngx_pulse_buf_t *b)
{
    switch (part->type) {

    case NGX_PULSE_PART_TEXT:
    case NGX_PULSE_PART_REFUSAL:

        if (part->text.len) {
            ngx_pulse_anthropic_write_text(part, b);

        } else if (part->citations) {
            ngx_pulse_lost(cv, "citations");
        }

        if (part->logprobs.len) {
            ngx_pulse_lost(cv, "logprobs");
        }

        if (part->signature.len) {
            ngx_pulse_anthropic_write_thought(NGX_PULSE_ANTHROPIC_OF_TEXT,
                                              NULL, &part->signature, b);
        }

        break;

    case NGX_PULSE_PART_THINKING:

        if (part->text.len || part->signature.len) {
            ngx_pulse_anthropic_write_thought("", &part->text,
                                              &part->signature, b);
        }

        break;

    case NGX_PULSE_PART_REDACTED:
        ngx_pulse_json_comma(b);
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "type", "redacted_thinking");
        ngx_pulse_json_string(b, "data", &part->data);
        ngx_pulse_buf_char(b, '}');
        break;

    case NGX_PULSE_PART_CALL:

        if (part->signature.len) {
            ngx_pulse_anthropic_write_thought(NGX_PULSE_ANTHROPIC_OF_CALL,
                                              NULL, &part->signature, b);
        }

        ngx_pulse_json_comma(b);
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "type", "tool_use");
        ngx_pulse_json_string(b, "id", &part->id);
        ngx_pulse_json_string(b, "name", &part->name);
        ngx_pulse_json_key(b, "input");
        ngx_pulse_anthropic_input(&part->arguments, b);
        ngx_pulse_buf_char(b, '}');
        break;

    default: /* NGX_PULSE_PART_IMAGE */
        ngx_pulse_lost(cv, "image");
    }
}


static void
ngx_pulse_anthropic_write_text(const ngx_pulse_part_t *part,
    ngx_pulse_buf_t *b)
{
    const ngx_pulse_citation_t  *citation;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "text");
    ngx_pulse_json_string(b, "text", &part->text);

    if (part->citations) {
        ngx_pulse_json_key(b, "citations");
        ngx_pulse_buf_char(b, '[');

        for (citation = part->citations; citation; citation = citation->next) {
            ngx_pulse_json_comma(b);
            ngx_pulse_anthropic_write_cited(citation, b);
        }

        ngx_pulse_buf_char(b, ']');
    }

    ngx_pulse_buf_char(b, '}');
}


/* only the vendor can make the index: by ours the reader of requests knows
 * what must not go there */

static void
ngx_pulse_anthropic_write_cited(const ngx_pulse_citation_t *citation,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "web_search_result_location");
    ngx_pulse_json_string(b, "url", &citation->url);
    ngx_pulse_json_string(b, "title", &citation->title);
    ngx_pulse_json_string(b, "cited_text", &citation->text);
    ngx_pulse_json_literal(b, "encrypted_index",
                           NGX_PULSE_ANTHROPIC_OF_SOURCE);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_anthropic_write_thought(const char *prefix, const ngx_str_t *text,
    const ngx_str_t *signature, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "thinking");

    if (text) {
        ngx_pulse_json_string(b, "thinking", text);

    } else {
        ngx_pulse_json_literal(b, "thinking", "");
    }

    ngx_pulse_anthropic_write_opaque(prefix, signature, b);
    ngx_pulse_buf_char(b, '}');
}


/* the signature's opening quote gives way to the prefix and its own */

static void
ngx_pulse_anthropic_write_opaque(const char *prefix,
    const ngx_str_t *signature, ngx_pulse_buf_t *b)
{
    size_t  at, len;

    len = strlen(prefix);

    ngx_pulse_json_key(b, "signature");
    at = b->len;

    ngx_pulse_buf_append(b, (u_char *) prefix, len);
    ngx_pulse_buf_json(b, signature->len ? signature->data : (u_char *) "",
                       signature->len);

    if (len && !b->failed) {
        ngx_memmove(b->data + at + 1, b->data + at, len);
        b->data[at] = '"';
    }
}


static const char *
ngx_pulse_anthropic_stop_reason(ngx_uint_t finish, const ngx_str_t *native,
    const ngx_str_t *stop)
{
    const char  **reason;

    for (reason = ngx_pulse_anthropic_reasons; *reason; reason++) {

        if (ngx_pulse_is(native, *reason)) {
            return *reason;
        }
    }

    switch (finish) {

    case NGX_PULSE_FINISH_LENGTH:
        return "max_tokens";

    case NGX_PULSE_FINISH_CALLS:
        return "tool_use";

    case NGX_PULSE_FINISH_FILTER:
        return "refusal";

    default: /* NGX_PULSE_FINISH_STOP, NGX_PULSE_FINISH_ERROR */
        return stop->len ? "stop_sequence" : "end_turn";
    }
}


static void
ngx_pulse_anthropic_write_stop(ngx_uint_t finish, const char *reason,
    const ngx_str_t *stop, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_literal(b, "stop_reason", reason);

    if (stop->len) {
        ngx_pulse_json_string(b, "stop_sequence", stop);

    } else {
        ngx_pulse_anthropic_null(b, "stop_sequence");
    }

    if (finish == NGX_PULSE_FINISH_FILTER) {
        ngx_pulse_json_key(b, "stop_details");
        ngx_pulse_buf_literal(b, "{\"type\":\"refusal\",\"category\":null,"
                                 "\"explanation\":null}");

    } else {
        ngx_pulse_anthropic_null(b, "stop_details");
    }
}


/* the cache is beside the input here, not inside */

static void
ngx_pulse_anthropic_write_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b)
{
    uint64_t  hour, inside;

    inside = usage->cached + usage->cache_write;
    hour = ngx_min(usage->cache_hour, usage->cache_write);

    ngx_pulse_json_key(b, "usage");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "input_tokens",
                          usage->input > inside ? usage->input - inside : 0);
    ngx_pulse_json_number(b, "cache_creation_input_tokens",
                          usage->cache_write);
    ngx_pulse_json_number(b, "cache_read_input_tokens", usage->cached);
    ngx_pulse_json_key(b, "cache_creation");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "ephemeral_5m_input_tokens",
                          usage->cache_write - hour);
    ngx_pulse_json_number(b, "ephemeral_1h_input_tokens", hour);
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_json_number(b, "output_tokens", usage->output);

    if (usage->reasoning) {
        ngx_pulse_json_key(b, "output_tokens_details");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_number(b, "thinking_tokens", usage->reasoning);
        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_anthropic_null(ngx_pulse_buf_t *b, const char *key)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_literal(b, "null");
}


void
ngx_pulse_anthropic_write_count(uint64_t n, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "input_tokens", n);
    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_anthropic_write_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b)
{
    const char  **type;

    for (type = ngx_pulse_anthropic_errors; *type; type++) {

        if (ngx_pulse_is(&error->type, *type)) {
            break;
        }
    }

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "error");
    ngx_pulse_json_key(b, "error");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type",
                           error->quota ? "billing_error"
                           : *type ? *type : "api_error");
    ngx_pulse_json_string(b, "message", &error->message);
    ngx_pulse_buf_literal(b, "}}");
}
