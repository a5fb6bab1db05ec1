
#include "ngx_pulse_responses.h"
#include "ngx_pulse_id.h"

#include <string.h>


#define NGX_PULSE_RESPONSES_KEPT_MAX   (16 * 1024 * 1024)
#define NGX_PULSE_RESPONSES_RANDOM     24


static void ngx_pulse_responses_started(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_text(ngx_pulse_responses_stream_t *st,
    ngx_pulse_part_e type, const ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_citation(
    ngx_pulse_responses_stream_t *st, const ngx_pulse_conversation_t *cv,
    const ngx_pulse_citation_t *citation, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_image(ngx_pulse_responses_stream_t *st,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_call(ngx_pulse_responses_stream_t *st,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_arguments(
    ngx_pulse_responses_stream_t *st, ngx_uint_t index, const ngx_str_t *text,
    ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_signature(
    ngx_pulse_responses_stream_t *st, const ngx_str_t *text,
    ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_tagged(ngx_pulse_responses_stream_t *st,
    const char *tag, const ngx_str_t *opaque, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_finish(ngx_pulse_responses_stream_t *st,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_error(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b);
static void ngx_pulse_responses_put_end(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);

static ngx_pulse_responses_output_t *ngx_pulse_responses_item_open(
    ngx_pulse_responses_stream_t *st, ngx_pulse_part_e type,
    ngx_pulse_buf_t *b);
static void ngx_pulse_responses_item_added(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_responses_output_t *item, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_item_part(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_responses_output_t *item, ngx_uint_t done,
    ngx_pulse_buf_t *b);
static void ngx_pulse_responses_item_delta(ngx_pulse_responses_stream_t *st,
    ngx_pulse_responses_output_t *item, const ngx_str_t *text,
    const ngx_str_t *logprobs, ngx_pulse_buf_t *b);
static void ngx_pulse_responses_item_close(ngx_pulse_responses_stream_t *st,
    ngx_pulse_responses_output_t *item, const char *status,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_responses_item_keep(
    ngx_pulse_responses_stream_t *st, ngx_pulse_buf_t *to,
    const ngx_str_t *text, ngx_pulse_buf_t *b);

static void ngx_pulse_responses_event_head(ngx_pulse_responses_stream_t *st,
    const char *type, const ngx_pulse_responses_output_t *item,
    ngx_pulse_buf_t *b);
static void ngx_pulse_responses_event_tail(ngx_pulse_buf_t *b, size_t start);
static void ngx_pulse_responses_event_whole(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, const char *type, const char *status,
    const ngx_pulse_chat_error_t *error, ngx_pulse_buf_t *b);


void
ngx_pulse_responses_write_event(void *state, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_stream_t *st = state;

    ngx_pulse_responses_output_t  *item;

    if (ev->choice != 0 || st->ended) {
        return;
    }

    if (st->id.len == 0) {
        if (ngx_pulse_responses_begin(st, cv, ev) != NGX_OK) {
            b->failed = 1;
            return;
        }

        ngx_pulse_responses_started(st, cv, b);
    }

    switch (ev->type) {

    case NGX_PULSE_ANSWER_START:
        break;

    case NGX_PULSE_ANSWER_TEXT:
        ngx_pulse_responses_put_text(st, NGX_PULSE_PART_TEXT, ev, b);
        break;

    case NGX_PULSE_ANSWER_THINKING:
        ngx_pulse_responses_put_text(st, NGX_PULSE_PART_THINKING, ev, b);
        break;

    case NGX_PULSE_ANSWER_REFUSAL:
        ngx_pulse_responses_put_text(st, NGX_PULSE_PART_REFUSAL, ev, b);
        break;

    case NGX_PULSE_ANSWER_SIGNATURE:
        ngx_pulse_responses_put_signature(st, &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_CITATION:
        ngx_pulse_responses_put_citation(st, cv, ev->citation, b);
        break;

    case NGX_PULSE_ANSWER_IMAGE:
        ngx_pulse_responses_put_image(st, ev, b);
        break;

    case NGX_PULSE_ANSWER_LOST:
        break;

    case NGX_PULSE_ANSWER_REDACTED:
        ngx_pulse_responses_put_tagged(st, NGX_PULSE_RESPONSES_REDACTED,
                                       &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_CALL:
        ngx_pulse_responses_put_call(st, ev, b);
        break;

    case NGX_PULSE_ANSWER_ARGUMENTS:
        ngx_pulse_responses_put_arguments(st, ev->index, &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_CALL_END:

        for (item = st->begun; item; item = item->next) {
            if (item->type == NGX_PULSE_PART_CALL && item->call == ev->index
                && item->open)
            {
                ngx_pulse_responses_item_close(st, item, "completed", b);
            }
        }

        break;

    case NGX_PULSE_ANSWER_PART_END:

        if (st->current && st->current->type != NGX_PULSE_PART_CALL) {
            ngx_pulse_responses_item_close(st, st->current, "completed", b);
        }

        break;

    case NGX_PULSE_ANSWER_FINISH:
        ngx_pulse_responses_put_finish(st, ev, b);
        break;

    case NGX_PULSE_ANSWER_USAGE:
        st->usage = ev->usage;
        break;

    case NGX_PULSE_ANSWER_ERROR:
        ngx_pulse_responses_put_error(st, cv, &ev->error, b);
        break;

    case NGX_PULSE_ANSWER_END:

        if (!ev->told) {
            ngx_pulse_responses_put_end(st, cv, b);
        }

        break;
    }
}


/* The ids of an answer and its items are all made of the provider's. */

ngx_int_t
ngx_pulse_responses_begin(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev)
{
    u_char            *p;
    size_t             len;
    ngx_uint_t         i;
    const ngx_str_t   *model;

    static const u_char  hex[] = "0123456789abcdef";

    st->pool = cv->pool;
    st->created = ngx_pulse_now() / 1000;
    st->last = &st->items;

    model = ev->model.len ? &ev->model : &cv->model;
    len = ev->id.len ? ev->id.len : 2 * NGX_PULSE_RESPONSES_RANDOM;

    p = ngx_pnalloc(cv->pool, len + model->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    st->id.data = p;
    st->id.len = len;

    if (ev->id.len) {
        p = ngx_cpymem(p, ev->id.data, ev->id.len);

        if (len > 5 && ngx_memcmp(st->id.data, "resp_", 5) == 0) {
            st->id.data += 5;
            st->id.len -= 5;
        }

    } else {

        /* the second half is spread over the whole, two digits a byte */

        if (ngx_pulse_random(p + NGX_PULSE_RESPONSES_RANDOM,
                             NGX_PULSE_RESPONSES_RANDOM)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (i = 0; i < NGX_PULSE_RESPONSES_RANDOM; i++) {
            len = st->id.data[NGX_PULSE_RESPONSES_RANDOM + i];
            *p++ = hex[len >> 4];
            *p++ = hex[len & 0xf];
        }
    }

    st->model.data = p;
    st->model.len = model->len;

    if (model->len) {
        ngx_memcpy(p, model->data, model->len);
    }

    return NGX_OK;
}


static void
ngx_pulse_responses_started(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_event_whole(st, cv, "response.created", "in_progress",
                                    NULL, b);
    ngx_pulse_responses_event_whole(st, cv, "response.in_progress",
                                    "in_progress", NULL, b);
}


static void
ngx_pulse_responses_put_text(ngx_pulse_responses_stream_t *st,
    ngx_pulse_part_e type, const ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_output_t  *item;

    if (ev->text.len == 0 && ev->logprobs.len == 0) {
        return;
    }

    item = st->current;

    if (item == NULL || item->type != type) {
        item = ngx_pulse_responses_item_open(st, type, b);

        if (item == NULL) {
            return;
        }

        ngx_pulse_responses_item_added(st, item, b);
    }

    if (!item->part) {
        ngx_pulse_responses_item_part(st, item, 0, b);
        item->part = 1;
    }

    ngx_pulse_responses_item_delta(st, item, &ev->text, &ev->logprobs, b);
}


static void
ngx_pulse_responses_put_citation(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, const ngx_pulse_citation_t *citation,
    ngx_pulse_buf_t *b)
{
    size_t                         start, from;
    ngx_str_t                      text;
    ngx_pulse_responses_output_t  *item;

    item = st->current;

    if (item == NULL || item->type != NGX_PULSE_PART_TEXT || !item->part) {
        ngx_pulse_lost(cv, "citations");
        return;
    }

    if (item->ncitations) {
        ngx_pulse_buf_char(&item->citations, ',');
    }

    from = item->citations.len;
    ngx_pulse_buf_literal(&item->citations, "{\"type\":\"url_citation\"");
    ngx_pulse_cited(citation, citation->part, &item->citations);
    ngx_pulse_buf_char(&item->citations, '}');

    st->kept += item->citations.len - from;

    if (item->citations.failed || st->kept > NGX_PULSE_RESPONSES_KEPT_MAX) {
        b->failed = 1;
        return;
    }

    text.data = item->citations.data + from;
    text.len = item->citations.len - from;

    start = b->len;

    ngx_pulse_responses_event_head(st,
                         "response.output_text.annotation.added", item, b);
    ngx_pulse_json_number(b, "annotation_index", item->ncitations++);
    ngx_pulse_json_raw(b, "annotation", &text);
    ngx_pulse_responses_event_tail(b, start);
}


static void
ngx_pulse_responses_put_image(ngx_pulse_responses_stream_t *st,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_output_t  *item;

    item = ngx_pulse_responses_item_open(st, NGX_PULSE_PART_IMAGE, b);
    if (item == NULL) {
        return;
    }

    item->format = ngx_pulse_responses_format(&ev->name);

    ngx_pulse_responses_item_added(st, item, b);

    if (ngx_pulse_responses_item_keep(st, &item->text, &ev->text, b) == NGX_OK)
    {
        ngx_pulse_responses_item_close(st, item, "completed", b);
    }
}


static void
ngx_pulse_responses_put_call(ngx_pulse_responses_stream_t *st,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    u_char                        *p;
    ngx_pulse_responses_output_t  *item;

    if (ev->signature.len) {
        ngx_pulse_responses_put_tagged(st, NGX_PULSE_RESPONSES_NEXT,
                                       &ev->signature, b);
    }

    item = ngx_pulse_responses_item_open(st, NGX_PULSE_PART_CALL, b);
    if (item == NULL) {
        return;
    }

    p = ngx_pnalloc(st->pool, ev->id.len + ev->name.len + 1);
    if (p == NULL) {
        b->failed = 1;
        return;
    }

    item->call = ev->index;
    item->custom = ev->custom;

    item->id.data = p;
    item->id.len = ev->id.len;

    if (ev->id.len) {
        p = ngx_cpymem(p, ev->id.data, ev->id.len);
    }

    item->name.data = p;
    item->name.len = ev->name.len;

    if (ev->name.len) {
        ngx_memcpy(p, ev->name.data, ev->name.len);
    }

    ngx_pulse_responses_item_added(st, item, b);
}


/* calls may be side by side, and are found by their index */

static void
ngx_pulse_responses_put_arguments(ngx_pulse_responses_stream_t *st,
    ngx_uint_t index, const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_output_t  *item;

    static const ngx_str_t  none;

    if (text->len == 0) {
        return;
    }

    for (item = st->begun; item; item = item->next) {
        if (item->type == NGX_PULSE_PART_CALL && item->call == index
            && item->open)
        {
            ngx_pulse_responses_item_delta(st, item, text, &none, b);
            return;
        }
    }
}


static void
ngx_pulse_responses_put_signature(ngx_pulse_responses_stream_t *st,
    const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_output_t  *item;

    item = st->current;

    if (item == NULL) {
        item = ngx_pulse_responses_item_open(st, NGX_PULSE_PART_THINKING, b);
        if (item == NULL) {
            return;
        }

        ngx_pulse_responses_item_added(st, item, b);
    }

    (void) ngx_pulse_responses_item_keep(st, &item->signature, text, b);
}


/* A reasoning item with nothing to read, for clients to send back. */

static void
ngx_pulse_responses_put_tagged(ngx_pulse_responses_stream_t *st,
    const char *tag, const ngx_str_t *opaque, ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_output_t  *item;

    item = ngx_pulse_responses_item_open(st, NGX_PULSE_PART_THINKING, b);
    if (item == NULL) {
        return;
    }

    ngx_pulse_responses_item_added(st, item, b);

    ngx_pulse_buf_append(&item->signature, (u_char *) tag, strlen(tag));

    if (ngx_pulse_responses_item_keep(st, &item->signature, opaque, b)
        == NGX_OK)
    {
        ngx_pulse_responses_item_close(st, item, "completed", b);
    }
}


static void
ngx_pulse_responses_put_finish(ngx_pulse_responses_stream_t *st,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    const char                    *status;
    ngx_pulse_responses_output_t  *item;

    if (ev->usage.known) {
        st->usage = ev->usage;
    }

    st->finished = 1;
    st->finish = ev->finish;

    status = (ev->finish == NGX_PULSE_FINISH_LENGTH) ? "incomplete"
                                                     : "completed";

    for (item = st->items; item; item = item->next) {
        if (item->open) {
            ngx_pulse_responses_item_close(st, item, status, b);
        }
    }
}


static void
ngx_pulse_responses_put_error(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b)
{
    size_t                         start;
    ngx_pulse_responses_output_t  *item;

    for (item = st->items; item; item = item->next) {
        if (item->open) {
            item->open = 0;
            item->status = "incomplete";
        }
    }

    start = b->len;

    ngx_pulse_responses_event_head(st, "error", NULL, b);
    ngx_pulse_json_key(b, "error");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "type", &error->type);
    ngx_pulse_json_string(b, "code", error->code.len ? &error->code
                                                     : &error->type);
    ngx_pulse_json_string(b, "message", &error->message);
    ngx_pulse_responses_json_null(b, "param");
    ngx_pulse_buf_char(b, '}');
    ngx_pulse_responses_event_tail(b, start);

    ngx_pulse_responses_event_whole(st, cv, "response.failed", "failed", error,
                                    b);

    st->ended = 1;
}


static void
ngx_pulse_responses_put_end(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    ngx_pulse_chat_error_t  error;

    if (!st->finished || st->finish == NGX_PULSE_FINISH_ERROR) {
        ngx_memzero(&error, sizeof(ngx_pulse_chat_error_t));
        ngx_str_set(&error.type, "server_error");
        ngx_str_set(&error.message, "the model gave no right answer");

        ngx_pulse_responses_put_error(st, cv, &error, b);

    } else if (st->finish == NGX_PULSE_FINISH_LENGTH
               || st->finish == NGX_PULSE_FINISH_FILTER)
    {
        ngx_pulse_responses_event_whole(st, cv, "response.incomplete",
                                        "incomplete", NULL, b);

    } else {
        ngx_pulse_responses_event_whole(st, cv, "response.completed",
                                        "completed", NULL, b);
    }

    st->ended = 1;
}


static ngx_pulse_responses_output_t *
ngx_pulse_responses_item_open(ngx_pulse_responses_stream_t *st,
    ngx_pulse_part_e type, ngx_pulse_buf_t *b)
{
    ngx_pulse_responses_output_t  *item;

    if (st->current && st->current->type != NGX_PULSE_PART_CALL) {
        ngx_pulse_responses_item_close(st, st->current, "completed", b);
    }

    item = ngx_pcalloc(st->pool, sizeof(ngx_pulse_responses_output_t));

    if (item == NULL
        || ngx_pulse_buf_init_pool(&item->text, 0, st->pool) != NGX_OK
        || ngx_pulse_buf_init_pool(&item->signature, 0, st->pool) != NGX_OK
        || ngx_pulse_buf_init_pool(&item->logprobs, 0, st->pool) != NGX_OK
        || ngx_pulse_buf_init_pool(&item->citations, 0, st->pool) != NGX_OK)
    {
        b->failed = 1;
        return NULL;
    }

    item->type = type;
    item->index = st->nitems++;
    item->open = 1;

    /* many items without any text are bounded, too */

    st->kept += sizeof(ngx_pulse_responses_output_t);

    *st->last = item;
    st->last = &item->next;
    st->current = item;

    if (st->begun == NULL) {
        st->begun = item;
    }

    return item;
}


static void
ngx_pulse_responses_item_added(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_responses_output_t *item, ngx_pulse_buf_t *b)
{
    size_t  start;

    start = b->len;

    ngx_pulse_responses_event_head(st, "response.output_item.added", NULL, b);
    ngx_pulse_json_number(b, "output_index", item->index);
    ngx_pulse_json_key(b, "item");
    ngx_pulse_responses_json_item(st, item, "in_progress", b);
    ngx_pulse_responses_event_tail(b, start);
}


/* The part of a message, or of a summary, begins or is done. */

static void
ngx_pulse_responses_item_part(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_responses_output_t *item, ngx_uint_t done,
    ngx_pulse_buf_t *b)
{
    size_t       start;
    const char  *type;

    start = b->len;

    if (item->type == NGX_PULSE_PART_THINKING) {
        type = done ? "response.reasoning_summary_part.done"
                    : "response.reasoning_summary_part.added";

    } else {
        type = done ? "response.content_part.done"
                    : "response.content_part.added";
    }

    ngx_pulse_responses_event_head(st, type, item, b);
    ngx_pulse_json_key(b, "part");
    ngx_pulse_responses_json_part(item, b);
    ngx_pulse_responses_event_tail(b, start);
}


static void
ngx_pulse_responses_item_delta(ngx_pulse_responses_stream_t *st,
    ngx_pulse_responses_output_t *item, const ngx_str_t *text,
    const ngx_str_t *logprobs, ngx_pulse_buf_t *b)
{
    size_t       start;
    const char  *type;

    switch (item->type) {

    case NGX_PULSE_PART_THINKING:
        type = "response.reasoning_summary_text.delta";
        break;

    case NGX_PULSE_PART_REFUSAL:
        type = "response.refusal.delta";
        break;

    case NGX_PULSE_PART_CALL:
        type = item->custom ? "response.custom_tool_call_input.delta"
                            : "response.function_call_arguments.delta";
        break;

    default:
        type = "response.output_text.delta";
    }

    if (logprobs->len && item->logprobs.len) {
        ngx_pulse_buf_char(&item->logprobs, ',');
    }

    if (ngx_pulse_responses_item_keep(st, &item->text, text, b) != NGX_OK
        || ngx_pulse_responses_item_keep(st, &item->logprobs, logprobs, b)
           != NGX_OK)
    {
        return;
    }

    start = b->len;

    ngx_pulse_responses_event_head(st, type, item, b);
    ngx_pulse_json_string(b, "delta", text);

    if (item->type == NGX_PULSE_PART_TEXT) {
        ngx_pulse_json_key(b, "logprobs");
        ngx_pulse_buf_char(b, '[');
        ngx_pulse_json_compact(logprobs, b);
        ngx_pulse_buf_char(b, ']');
    }

    ngx_pulse_responses_event_tail(b, start);
}


static void
ngx_pulse_responses_item_close(ngx_pulse_responses_stream_t *st,
    ngx_pulse_responses_output_t *item, const char *status, ngx_pulse_buf_t *b)
{
    size_t       start;
    ngx_str_t    opaque;
    const char  *type, *key;

    static const ngx_str_t  none;
    static const ngx_str_t  empty = ngx_string("{}");

    key = "text";

    switch (item->type) {

    case NGX_PULSE_PART_THINKING:
        type = "response.reasoning_summary_text.done";
        break;

    case NGX_PULSE_PART_REFUSAL:
        type = "response.refusal.done";
        key = "refusal";
        break;

    case NGX_PULSE_PART_CALL:

        if (item->custom) {
            type = "response.custom_tool_call_input.done";
            key = "input";
            break;
        }

        if (item->text.len == 0) {
            ngx_pulse_responses_item_delta(st, item, &empty, &none, b);
        }

        type = "response.function_call_arguments.done";
        key = "arguments";
        break;

    default:
        type = "response.output_text.done";
    }

    if (item->part || item->type == NGX_PULSE_PART_CALL) {
        start = b->len;

        ngx_pulse_responses_event_head(st, type, item, b);
        ngx_pulse_responses_json_buf(b, key, &item->text);

        if (item->type == NGX_PULSE_PART_TEXT) {
            ngx_pulse_responses_json_logprobs(item, b);
        }

        if (item->type == NGX_PULSE_PART_CALL && !item->custom) {
            ngx_pulse_json_string(b, "name", &item->name);
        }

        ngx_pulse_responses_event_tail(b, start);
    }

    if (item->part) {
        ngx_pulse_responses_item_part(st, item, 1, b);
    }

    item->open = 0;
    item->status = status;

    start = b->len;

    ngx_pulse_responses_event_head(st, "response.output_item.done", NULL, b);
    ngx_pulse_json_number(b, "output_index", item->index);
    ngx_pulse_json_key(b, "item");
    ngx_pulse_responses_json_item(st, item, status, b);
    ngx_pulse_responses_event_tail(b, start);

    /* not to be passed over again with each of many calls to come */

    while (st->begun && !st->begun->open) {
        st->begun = st->begun->next;
    }

    if (st->current == item) {
        st->current = NULL;
    }

    /* only reasoning has a place for what signs a text or a call */

    if (item->type != NGX_PULSE_PART_THINKING && item->signature.len) {
        opaque.data = item->signature.data;
        opaque.len = item->signature.len;

        ngx_pulse_responses_put_tagged(st, NGX_PULSE_RESPONSES_LAST, &opaque,
                                       b);
    }
}


static ngx_int_t
ngx_pulse_responses_item_keep(ngx_pulse_responses_stream_t *st,
    ngx_pulse_buf_t *to, const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_str(to, text);

    st->kept += text->len;

    /* the last event has all of the answer in it */

    if (to->failed || st->kept > NGX_PULSE_RESPONSES_KEPT_MAX) {
        b->failed = 1;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_pulse_responses_event_head(ngx_pulse_responses_stream_t *st,
    const char *type, const ngx_pulse_responses_output_t *item,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "event: ");
    ngx_pulse_buf_append(b, (u_char *) type, strlen(type));
    ngx_pulse_buf_literal(b, "\ndata: {");
    ngx_pulse_json_literal(b, "type", type);
    ngx_pulse_json_number(b, "sequence_number", st->sequence++);

    if (item == NULL) {
        return;
    }

    ngx_pulse_responses_json_id(st, "item_id", item, b);
    ngx_pulse_json_number(b, "output_index", item->index);

    if (item->type == NGX_PULSE_PART_THINKING) {
        ngx_pulse_json_number(b, "summary_index", 0);

    } else if (item->type != NGX_PULSE_PART_CALL) {
        ngx_pulse_json_number(b, "content_index", 0);
    }
}


/* Ends an event; schemas may have line ends in them, an event may not. */

static void
ngx_pulse_responses_event_tail(ngx_pulse_buf_t *b, size_t start)
{
    u_char  *p, *data, *last;

    ngx_pulse_buf_char(b, '}');

    if (b->failed) {
        return;
    }

    last = b->data + b->len;

    /* after the line with the name */

    data = memchr(b->data + start, '\n', b->len - start);
    data++;

    for (p = data; (p = memchr(p, '\n', last - p)) != NULL; /* void */ ) {
        *p = ' ';
    }

    for (p = data; (p = memchr(p, '\r', last - p)) != NULL; /* void */ ) {
        *p = ' ';
    }

    ngx_pulse_buf_literal(b, "\n\n");
}


static void
ngx_pulse_responses_event_whole(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, const char *type, const char *status,
    const ngx_pulse_chat_error_t *error, ngx_pulse_buf_t *b)
{
    size_t                               start;
    const ngx_pulse_responses_output_t  *item;

    start = b->len;

    ngx_pulse_responses_event_head(st, type, NULL, b);
    ngx_pulse_json_key(b, "response");
    ngx_pulse_responses_json_head(st, status, st->finish, error, b);

    for (item = st->items; item; item = item->next) {
        ngx_pulse_json_comma(b);
        ngx_pulse_responses_json_item(st, item, item->status, b);
    }

    ngx_pulse_responses_json_tail(cv, &st->usage, b);
    ngx_pulse_responses_event_tail(b, start);
}
