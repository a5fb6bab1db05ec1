
#include "ngx_pulse_responses.h"

#include <string.h>


#define NGX_PULSE_RESPONSES_MIN_TOKENS   16
#define NGX_PULSE_RESPONSES_USER_LEN     128
#define NGX_PULSE_RESPONSES_LOW_BUDGET   4096
#define NGX_PULSE_RESPONSES_HIGH_BUDGET  16384


typedef struct {
    const ngx_pulse_conversation_t  *cv;
    const ngx_pulse_target_t        *target;
    ngx_pulse_dropped_t             *dropped;
    ngx_pulse_chat_refusal_t        *refusal;
    ngx_pulse_buf_t                 *b;
    ngx_uint_t                       role;
    unsigned                         open:1;    /* a message item */
} ngx_pulse_responses_out_t;


static void ngx_pulse_responses_write_limits(ngx_pulse_responses_out_t *out);
static void ngx_pulse_responses_write_sampling(ngx_pulse_responses_out_t *out);
static void ngx_pulse_responses_write_reasoning(
    ngx_pulse_responses_out_t *out);
static void ngx_pulse_responses_write_tools(ngx_pulse_responses_out_t *out);

static const ngx_pulse_turn_t *ngx_pulse_responses_write_instructions(
    ngx_pulse_responses_out_t *out);
static ngx_int_t ngx_pulse_responses_write_turn(ngx_pulse_responses_out_t *out,
    const ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_responses_write_item(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part);
static void ngx_pulse_responses_write_call(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_responses_write_result(
    ngx_pulse_responses_out_t *out, const ngx_pulse_part_t *part);
static void ngx_pulse_responses_write_thought(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_responses_write_content(
    ngx_pulse_responses_out_t *out, const ngx_pulse_part_t *part);
static void ngx_pulse_responses_write_text(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_responses_write_image(
    ngx_pulse_responses_out_t *out, const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_responses_write_file(
    ngx_pulse_responses_out_t *out, const ngx_pulse_part_t *part);
static ngx_uint_t ngx_pulse_responses_elsewhere(
    ngx_pulse_responses_out_t *out, const ngx_pulse_part_t *part);
static void ngx_pulse_responses_write_data(ngx_pulse_responses_out_t *out,
    const char *key, const ngx_pulse_part_t *part);
static void ngx_pulse_responses_write_cache(ngx_pulse_responses_out_t *out,
    const ngx_str_t *cache);
static void ngx_pulse_responses_close(ngx_pulse_responses_out_t *out);
static void ngx_pulse_responses_drop(ngx_pulse_responses_out_t *out,
    const ngx_str_t *s, const char *name);


ngx_int_t
ngx_pulse_responses_write(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b)
{
    size_t                      len;
    const ngx_pulse_tool_t     *tool;
    const ngx_pulse_turn_t     *turn;
    ngx_pulse_responses_out_t   out;

    ngx_memzero(&out, sizeof(ngx_pulse_responses_out_t));

    out.cv = cv;
    out.target = target;
    out.dropped = dropped;
    out.refusal = refusal;
    out.b = b;

    if (cv->n > 1) {
        return ngx_pulse_refuse(refusal, cv->n_at, NULL,
                                "this model gives one answer only: n must"
                                " be 1");
    }

    for (tool = cv->tools; tool; tool = tool->next) {

        if (tool->raw.len && tool->dialect != NGX_PULSE_DIALECT_RESPONSES) {
            return ngx_pulse_refuse(refusal, tool->at, NULL,
                                    "a tool is of another provider than the"
                                    " model");
        }

        ngx_pulse_responses_drop(&out, &tool->cache, "cache_control");
    }

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "model", &target->model);

    turn = ngx_pulse_responses_write_instructions(&out);

    ngx_pulse_json_key(b, "input");
    ngx_pulse_buf_char(b, '[');

    len = b->len;

    for ( /* void */ ; turn; turn = turn->next) {
        if (ngx_pulse_responses_write_turn(&out, turn) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    if (b->len == len && !b->failed) {
        return ngx_pulse_refuse(refusal, cv->at, NULL,
                                "has nothing that the model could answer");
    }

    ngx_pulse_buf_char(b, ']');

    ngx_pulse_responses_write_limits(&out);
    ngx_pulse_responses_write_reasoning(&out);
    ngx_pulse_responses_write_sampling(&out);
    ngx_pulse_responses_write_tools(&out);

    if (cv->format != NGX_PULSE_FORMAT_TEXT || cv->verbosity.len) {
        ngx_pulse_responses_text(cv, b);
    }

    ngx_pulse_buf_char(b, '}');

    return b->failed ? NGX_ERROR : NGX_OK;
}


static void
ngx_pulse_responses_write_limits(ngx_pulse_responses_out_t *out)
{
    int64_t           n;
    ngx_pulse_buf_t  *b;

    b = out->b;
    n = out->target->max_tokens;

    if (n < NGX_PULSE_RESPONSES_MIN_TOKENS) {
        n = NGX_PULSE_RESPONSES_MIN_TOKENS;
        ngx_pulse_dropped_add(out->dropped, "max_tokens");
    }

    ngx_pulse_json_number(b, "max_output_tokens", n);

    ngx_pulse_json_key(b, "stream");

    if (out->cv->stream) {
        ngx_pulse_buf_literal(b, "true");

    } else {
        ngx_pulse_buf_literal(b, "false");
    }

    ngx_pulse_json_key(b, "store");
    ngx_pulse_buf_literal(b, "false");

    ngx_pulse_responses_drop(out, &out->cv->cache, "cache_control");

    if (out->cv->user.len > NGX_PULSE_RESPONSES_USER_LEN) {
        ngx_pulse_dropped_add(out->dropped, "user");

    } else if (out->cv->user.len) {
        ngx_pulse_json_string(b, "safety_identifier", &out->cv->user);
    }

    if (out->cv->old_user.len) {
        ngx_pulse_json_string(b, "user", &out->cv->old_user);
    }

    ngx_pulse_shared_write(out->cv, b);
}


/* what is stored nowhere must come back with the next turn, encrypted */

static void
ngx_pulse_responses_write_reasoning(ngx_pulse_responses_out_t *out)
{
    ngx_uint_t                       effort, nearest;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    b = out->b;
    cv = out->cv;
    effort = cv->effort;

    if (effort == NGX_PULSE_EFFORT_UNSET && cv->budget > 0) {

        effort = (cv->budget < NGX_PULSE_RESPONSES_LOW_BUDGET)
                 ? NGX_PULSE_EFFORT_LOW
                 : (cv->budget < NGX_PULSE_RESPONSES_HIGH_BUDGET)
                 ? NGX_PULSE_EFFORT_MEDIUM : NGX_PULSE_EFFORT_HIGH;
    }

    if (!out->target->effort) {

        if (effort > NGX_PULSE_EFFORT_NONE) {
            ngx_pulse_dropped_add(out->dropped, "reasoning_effort");
        }

        return;
    }

    if (effort == NGX_PULSE_EFFORT_NONE && !out->target->effort_none) {
        effort = NGX_PULSE_EFFORT_LOW;
        ngx_pulse_dropped_add(out->dropped, "reasoning_effort");
    }

    nearest = ngx_pulse_effort(out->target, effort);

    if (nearest != effort) {
        effort = nearest;
        ngx_pulse_dropped_add(out->dropped, "reasoning_effort");
    }

    ngx_pulse_json_key(b, "include");
    ngx_pulse_buf_literal(b, "[\"reasoning.encrypted_content\"");

    if (cv->logprobs && out->target->sampling) {
        ngx_pulse_buf_literal(b, ",\"message.output_text.logprobs\"");
    }

    ngx_pulse_buf_char(b, ']');

    if (effort == NGX_PULSE_EFFORT_UNSET && !cv->include_thoughts) {
        return;
    }

    ngx_pulse_json_key(b, "reasoning");
    ngx_pulse_buf_char(b, '{');

    if (effort != NGX_PULSE_EFFORT_UNSET) {
        ngx_pulse_json_literal(b, "effort",
                               ngx_pulse_responses_effort(effort));
    }

    if (cv->include_thoughts) {
        ngx_pulse_json_literal(b, "summary", "auto");
    }

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_responses_write_sampling(ngx_pulse_responses_out_t *out)
{
    const ngx_pulse_conversation_t  *cv;

    cv = out->cv;

    if (out->target->sampling) {

        if (cv->temperature.len) {
            ngx_pulse_json_raw(out->b, "temperature", &cv->temperature);
        }

        if (cv->top_p.len) {
            ngx_pulse_json_raw(out->b, "top_p", &cv->top_p);
        }

    } else {
        ngx_pulse_responses_drop(out, &cv->temperature, "temperature");
        ngx_pulse_responses_drop(out, &cv->top_p, "top_p");
    }

    if (cv->logprobs && !out->target->sampling) {
        ngx_pulse_dropped_add(out->dropped, "logprobs");

    } else if (cv->top_logprobs && cv->logprobs) {
        ngx_pulse_json_number(out->b, "top_logprobs", cv->top_logprobs);
    }

    ngx_pulse_responses_drop(out, &cv->top_k, "top_k");
    ngx_pulse_responses_drop(out, &cv->presence_penalty, "presence_penalty");
    ngx_pulse_responses_drop(out, &cv->frequency_penalty, "frequency_penalty");
    ngx_pulse_responses_drop(out, &cv->seed, "seed");

    if (cv->nstops) {
        ngx_pulse_dropped_add(out->dropped, "stop");
    }
}


static void
ngx_pulse_responses_write_tools(ngx_pulse_responses_out_t *out)
{
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    b = out->b;
    cv = out->cv;

    if (ngx_pulse_responses_tools(cv, out->dropped, b) == 0) {
        return;
    }

    if (cv->choice >= NGX_PULSE_CHOICE_ANY && !out->target->forced_choice) {
        ngx_pulse_dropped_add(out->dropped, "tool_choice");

    } else if (cv->choice != NGX_PULSE_CHOICE_UNSET) {
        ngx_pulse_responses_choice(cv, b);
    }

    if (cv->no_parallel) {
        ngx_pulse_json_key(b, "parallel_tool_calls");
        ngx_pulse_buf_literal(b, "false");
    }
}


/*
 * What the system says first are the instructions, unless it is all there is,
 * or has marks for the cache, which only parts of messages bear.  Returns the
 * turn after it.
 */

static const ngx_pulse_turn_t *
ngx_pulse_responses_write_instructions(ngx_pulse_responses_out_t *out)
{
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn;

    b = out->b;
    turn = out->cv->turns;

    if (turn == NULL || turn->next == NULL
        || turn->role != NGX_PULSE_ROLE_SYSTEM || turn->parts == NULL
        || turn->parts->next || turn->parts->type != NGX_PULSE_PART_TEXT)
    {
        return turn;
    }

    part = turn->parts;

    if (ngx_pulse_is(&part->cache, "30m") || ngx_pulse_is(&part->cache, "12h"))
    {
        return turn;
    }

    ngx_pulse_json_string(b, "instructions", &part->text);
    ngx_pulse_responses_drop(out, &part->cache, "cache_control");

    return turn->next;
}


static ngx_int_t
ngx_pulse_responses_write_turn(ngx_pulse_responses_out_t *out,
    const ngx_pulse_turn_t *turn)
{
    const ngx_pulse_part_t  *part;

    out->role = turn->role;

    ngx_pulse_responses_drop(out, &turn->name, "name");

    for (part = turn->parts; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_THINKING) {
            ngx_pulse_responses_drop(out, &part->signature,
                                     "thought_signature");
        }

        if (ngx_pulse_responses_write_item(out, part) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    ngx_pulse_responses_close(out);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_write_item(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    static const char  *roles[] = { "system", "user", "assistant" };

    switch (part->type) {

    case NGX_PULSE_PART_CALL:
        ngx_pulse_responses_close(out);
        ngx_pulse_responses_write_call(out, part);
        return NGX_OK;

    case NGX_PULSE_PART_RESULT:
        ngx_pulse_responses_close(out);
        return ngx_pulse_responses_write_result(out, part);

    case NGX_PULSE_PART_THINKING:
        ngx_pulse_responses_close(out);
        ngx_pulse_responses_write_thought(out, part);
        return NGX_OK;

    case NGX_PULSE_PART_REDACTED:
        ngx_pulse_dropped_add(out->dropped, "thinking");
        return NGX_OK;

    case NGX_PULSE_PART_TEXT:

        /* Gemini signs calls and texts on a text that may be empty */

        if (part->text.len == 0 && part->signature.len) {
            ngx_pulse_dropped_add(out->dropped, "thinking");
            return NGX_OK;
        }

        break;

    case NGX_PULSE_PART_RAW:

        /* a model's own is history, which goes on without it; a user's is
         * what the answer is to be about */

        if (out->cv->dialect != NGX_PULSE_DIALECT_RESPONSES) {

            if (out->role == NGX_PULSE_ROLE_ASSISTANT) {
                ngx_pulse_dropped_name(out->dropped, &part->name);
                return NGX_OK;
            }

            break;
        }

        ngx_pulse_responses_close(out);
        ngx_pulse_json_comma(out->b);
        ngx_pulse_buf_str(out->b, &part->data);
        return NGX_OK;

    default:
        break;
    }

    if (!out->open) {
        out->open = 1;

        ngx_pulse_json_comma(out->b);
        ngx_pulse_buf_literal(out->b, "{\"type\":\"message\"");
        ngx_pulse_json_literal(out->b, "role", roles[out->role]);
        ngx_pulse_json_key(out->b, "content");
        ngx_pulse_buf_char(out->b, '[');
    }

    return ngx_pulse_responses_write_content(out, part);
}


static void
ngx_pulse_responses_write_call(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = out->b;

    ngx_pulse_responses_drop(out, &part->signature, "thought_signature");

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", part->custom ? "custom_tool_call"
                                                   : "function_call");

    if (part->item_id.len) {
        ngx_pulse_json_string(b, "id", &part->item_id);
    }

    ngx_pulse_json_string(b, "call_id", &part->id);
    ngx_pulse_json_string(b, "name", &part->name);
    ngx_pulse_json_string(b, part->custom ? "input" : "arguments",
                          &part->arguments);
    ngx_pulse_buf_char(b, '}');
}


static ngx_int_t
ngx_pulse_responses_write_result(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *content;

    b = out->b;
    content = part->content;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", part->custom ? "custom_tool_call_output"
                                                   : "function_call_output");

    if (part->item_id.len) {
        ngx_pulse_json_string(b, "id", &part->item_id);
    }

    ngx_pulse_json_string(b, "call_id", &part->id);

    if (part->error) {
        ngx_pulse_dropped_add(out->dropped, "is_error");
    }

    ngx_pulse_responses_drop(out, &part->cache, "cache_control");

    if (content == NULL) {
        ngx_pulse_json_literal(b, "output", "");

    } else if (content->next == NULL && content->type == NGX_PULSE_PART_TEXT) {
        ngx_pulse_json_string(b, "output", &content->text);
        ngx_pulse_responses_drop(out, &content->cache, "cache_control");

    } else {
        ngx_pulse_json_key(b, "output");
        ngx_pulse_buf_char(b, '[');

        for ( /* void */ ; content; content = content->next) {
            if (ngx_pulse_responses_write_content(out, content) != NGX_OK) {
                return NGX_DECLINED;
            }
        }

        ngx_pulse_buf_char(b, ']');
    }

    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


/*
 * Only what the vendor encrypted itself can be sent back to it, and never
 * as the last item: reasoning stands before what came of it.
 */

static void
ngx_pulse_responses_write_thought(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    size_t                   len;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *next;

    b = out->b;
    len = sizeof(NGX_PULSE_RESPONSES_OPAQUE) - 1;

    for (next = part->next; next; next = next->next) {
        if (next->type != NGX_PULSE_PART_THINKING
            && next->type != NGX_PULSE_PART_REDACTED)
        {
            break;
        }
    }

    if (next == NULL || part->signature.len < len
        || ngx_memcmp(part->signature.data, NGX_PULSE_RESPONSES_OPAQUE, len)
           != 0)
    {
        ngx_pulse_dropped_add(out->dropped, "thinking");
        return;
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"reasoning\"");

    if (part->item_id.len) {
        ngx_pulse_json_string(b, "id", &part->item_id);
    }

    ngx_pulse_json_key(b, "summary");
    ngx_pulse_buf_char(b, '[');

    if (part->text.len) {
        ngx_pulse_buf_literal(b, "{\"type\":\"summary_text\"");
        ngx_pulse_json_string(b, "text", &part->text);
        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_char(b, ']');
    ngx_pulse_json_string(b, "encrypted_content", &part->signature);
    ngx_pulse_buf_char(b, '}');
}


/* A part of a message, or of a tool's result. */

static ngx_int_t
ngx_pulse_responses_write_content(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    switch (part->type) {

    case NGX_PULSE_PART_TEXT:
    case NGX_PULSE_PART_REFUSAL:
        ngx_pulse_responses_write_text(out, part);
        return NGX_OK;

    case NGX_PULSE_PART_IMAGE:
        return ngx_pulse_responses_write_image(out, part);

    case NGX_PULSE_PART_DOCUMENT:
        return ngx_pulse_responses_write_file(out, part);

    case NGX_PULSE_PART_AUDIO:
        return ngx_pulse_refuse(out->refusal, part->at, NULL,
                                "this model takes no audio");

    case NGX_PULSE_PART_RAW:
        return ngx_pulse_refuse(out->refusal, part->at, NULL,
                                "the request has a part that only the vendor"
                                " of its format understands");

    default:
        ngx_pulse_dropped_add(out->dropped, "thinking");
        return NGX_OK;
    }
}


static void
ngx_pulse_responses_write_text(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = out->b;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');

    if (out->role != NGX_PULSE_ROLE_ASSISTANT) {
        ngx_pulse_json_literal(b, "type", "input_text");
        ngx_pulse_json_string(b, "text", &part->text);
        ngx_pulse_responses_write_cache(out, &part->cache);

    } else if (part->type == NGX_PULSE_PART_REFUSAL) {
        ngx_pulse_json_literal(b, "type", "refusal");
        ngx_pulse_json_string(b, "refusal", &part->text);

    } else {
        ngx_pulse_json_literal(b, "type", "output_text");
        ngx_pulse_json_string(b, "text", &part->text);
        ngx_pulse_json_key(b, "annotations");
        ngx_pulse_buf_literal(b, "[]");
        ngx_pulse_responses_drop(out, &part->cache, "cache_control");
    }

    ngx_pulse_buf_char(b, '}');
}


static ngx_int_t
ngx_pulse_responses_write_image(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = out->b;

    if (out->role == NGX_PULSE_ROLE_ASSISTANT) {
        return ngx_pulse_refuse(out->refusal, part->at, NULL,
                                "this model takes images of the user only");
    }

    if (ngx_pulse_responses_elsewhere(out, part)) {
        return ngx_pulse_refuse(out->refusal, part->at, NULL,
                                "an image is stored at another provider:"
                                " send it");
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"input_image\"");

    if (part->detail.len) {
        ngx_pulse_json_string(b, "detail", &part->detail);

    } else {
        ngx_pulse_json_literal(b, "detail", "auto");
    }

    if (part->data.len) {
        ngx_pulse_responses_write_data(out, "image_url", part);

    } else if (part->url.len) {
        ngx_pulse_json_string(b, "image_url", &part->url);

    } else {
        ngx_pulse_json_string(b, "file_id", &part->file_id);
    }

    ngx_pulse_responses_write_cache(out, &part->cache);
    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_write_file(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = out->b;

    if (ngx_pulse_responses_elsewhere(out, part)) {
        return ngx_pulse_refuse(out->refusal, part->at, NULL,
                                "a file is stored at another provider:"
                                " send it");
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"input_file\"");

    if (part->data.len) {

        if (part->filename.len) {
            ngx_pulse_json_string(b, "filename", &part->filename);

        } else {
            ngx_pulse_json_literal(b, "filename",
                                   ngx_pulse_is(&part->media_type,
                                                "text/plain")
                                   ? "document.txt" : "document.pdf");
        }

        ngx_pulse_responses_write_data(out, "file_data", part);

    } else if (part->url.len) {
        ngx_pulse_json_string(b, "file_url", &part->url);
        ngx_pulse_responses_drop(out, &part->filename, "filename");

    } else {
        ngx_pulse_json_string(b, "file_id", &part->file_id);
    }

    ngx_pulse_responses_write_cache(out, &part->cache);
    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


/* 1 if nothing but the id of a file is there, which others do not know */

static ngx_uint_t
ngx_pulse_responses_elsewhere(ngx_pulse_responses_out_t *out,
    const ngx_pulse_part_t *part)
{
    return part->data.len == 0 && part->url.len == 0
           && out->cv->dialect != NGX_PULSE_DIALECT_RESPONSES
           && out->cv->dialect != NGX_PULSE_DIALECT_OPENAI;
}


static void
ngx_pulse_responses_write_data(ngx_pulse_responses_out_t *out,
    const char *key, const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = out->b;

    ngx_pulse_json_literal(b, key, "data:");
    ngx_pulse_responses_more(b, part->media_type.data,
                                   part->media_type.len);
    ngx_pulse_responses_more(b, (u_char *) ";base64,", 8);
    ngx_pulse_responses_more(b, part->data.data, part->data.len);
}


/* how long a mark holds is said by each vendor in its own steps */

static void
ngx_pulse_responses_write_cache(ngx_pulse_responses_out_t *out,
    const ngx_str_t *cache)
{
    if (!ngx_pulse_is(cache, "30m") && !ngx_pulse_is(cache, "12h")) {
        ngx_pulse_responses_drop(out, cache, "cache_control");
        return;
    }

    ngx_pulse_json_key(out->b, "prompt_cache_breakpoint");
    ngx_pulse_buf_literal(out->b, "{\"mode\":\"explicit\"");
    ngx_pulse_json_string(out->b, "ttl", cache);
    ngx_pulse_buf_char(out->b, '}');
}


static void
ngx_pulse_responses_close(ngx_pulse_responses_out_t *out)
{
    if (out->open) {
        out->open = 0;
        ngx_pulse_buf_literal(out->b, "]}");
    }
}


static void
ngx_pulse_responses_drop(ngx_pulse_responses_out_t *out, const ngx_str_t *s,
    const char *name)
{
    if (s->len) {
        ngx_pulse_dropped_add(out->dropped, name);
    }
}
