
#include "ngx_pulse_anthropic.h"

#include <string.h>


#define NGX_PULSE_ANTHROPIC_ANSWER_MAX  (64 * 1024 * 1024)

#define NGX_PULSE_ANTHROPIC_NONE        0
#define NGX_PULSE_ANTHROPIC_TEXT        1
#define NGX_PULSE_ANTHROPIC_THINKING    2
#define NGX_PULSE_ANTHROPIC_CALL        3
#define NGX_PULSE_ANTHROPIC_OTHER       4       /* of the vendor's own tools */


typedef struct {
    ngx_pulse_anthropic_reader_t  *reader;
    ngx_pool_t                    *pool;
    const ngx_str_t               *text;
    ngx_pulse_answer_pt            handler;
    void                          *ctx;
} ngx_pulse_anthropic_scan_t;


typedef struct {
    const char                    *name;
    ngx_int_t                    (*handler)(ngx_pulse_anthropic_scan_t *scan,
                                            ngx_pulse_json_value_t *root);
} ngx_pulse_anthropic_event_t;


static ngx_pulse_json_value_t *ngx_pulse_anthropic_tree(ngx_pool_t *pool,
    const u_char *p, size_t len);
static ngx_int_t ngx_pulse_anthropic_scan(ngx_pulse_anthropic_scan_t *scan,
    const ngx_str_t *name, ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_message_start(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_start(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *message);
static ngx_int_t ngx_pulse_anthropic_block_start(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_block(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *block);
static ngx_int_t ngx_pulse_anthropic_begin_text(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *block);
static ngx_int_t ngx_pulse_anthropic_begin_thinking(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *block);
static ngx_int_t ngx_pulse_anthropic_begin_call(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *block);
static ngx_int_t ngx_pulse_anthropic_block_delta(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *root);
static void ngx_pulse_anthropic_form(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root, ngx_pulse_json_value_t *delta);
static ngx_int_t ngx_pulse_anthropic_arguments(
    ngx_pulse_anthropic_scan_t *scan, const ngx_str_t *text);
static ngx_int_t ngx_pulse_anthropic_block_stop(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_message_delta(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_finish(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *message, ngx_uint_t known);
static ngx_int_t ngx_pulse_anthropic_message_stop(
    ngx_pulse_anthropic_scan_t *scan, ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_failure(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_anthropic_say(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_answer_e type, const ngx_str_t *text);
static ngx_uint_t ngx_pulse_anthropic_reason(const ngx_str_t *native);
static ngx_int_t ngx_pulse_anthropic_error(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *root);
static void ngx_pulse_anthropic_member(const ngx_pulse_json_value_t *v,
    const char *key, ngx_str_t *s);


static ngx_pulse_anthropic_event_t  ngx_pulse_anthropic_events[] = {
    { "content_block_delta", ngx_pulse_anthropic_block_delta },
    { "content_block_start", ngx_pulse_anthropic_block_start },
    { "content_block_stop", ngx_pulse_anthropic_block_stop },
    { "message_start", ngx_pulse_anthropic_message_start },
    { "message_delta", ngx_pulse_anthropic_message_delta },
    { "message_stop", ngx_pulse_anthropic_message_stop },
    { "error", ngx_pulse_anthropic_failure },
    { NULL, NULL }
};


ngx_int_t
ngx_pulse_anthropic_read_event(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data, ngx_pulse_answer_pt handler,
    void *ctx)
{
    ngx_str_t                    values[NGX_PULSE_FORM_SLOTS];
    ngx_pulse_json_value_t      *root;
    ngx_pulse_anthropic_scan_t   scan;

    scan.reader = state;
    scan.pool = pool;
    scan.text = data;
    scan.handler = handler;
    scan.ctx = ctx;

    if (scan.reader->done || scan.reader->failed || data->len == 0) {
        return NGX_OK;
    }

    /* only a text has a form, which says of which block it is */

    if (ngx_pulse_form_match(&scan.reader->form, pool, data, values)
        == NGX_OK)
    {
        return ngx_pulse_anthropic_say(&scan, NGX_PULSE_ANSWER_TEXT,
                                       &values[NGX_PULSE_FORM_TEXT]);
    }

    root = ngx_pulse_anthropic_tree(pool, data->data, data->len);

    return root ? ngx_pulse_anthropic_scan(&scan, name, root) : NGX_ERROR;
}


static ngx_pulse_json_value_t *
ngx_pulse_anthropic_tree(ngx_pool_t *pool, const u_char *p, size_t len)
{
    ngx_pulse_json_error_t    err;
    ngx_pulse_json_value_t   *root;
    ngx_pulse_json_limits_t   limits;

    limits.size = NGX_PULSE_ANTHROPIC_ANSWER_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 1024 * 1024;
    limits.keys = 4096;

    root = ngx_pulse_json_tree(pool, p, len, &limits, &err);

    if (root == NULL || root->type != NGX_PULSE_JSON_OBJECT) {
        return NULL;
    }

    return root;
}


static ngx_int_t
ngx_pulse_anthropic_scan(ngx_pulse_anthropic_scan_t *scan,
    const ngx_str_t *name, ngx_pulse_json_value_t *root)
{
    ngx_str_t                     type;
    ngx_pulse_anthropic_event_t  *event;

    type = *name;
    ngx_pulse_anthropic_member(root, "type", &type);

    for (event = ngx_pulse_anthropic_events; event->name; event++) {

        if (ngx_pulse_is(&type, event->name)) {
            return event->handler(scan, root);
        }
    }

    /* pings, and what the vendor adds: to be ignored, it says */

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_message_start(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t        *message;
    ngx_pulse_anthropic_reader_t  *reader;

    reader = scan->reader;

    /* what was passed on already cannot be taken back */

    if (reader->bore) {
        return NGX_ERROR;
    }

    message = ngx_pulse_json_get(root, "message");

    if (message == NULL || message->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    if (reader->started) {
        return NGX_OK;
    }

    return ngx_pulse_anthropic_start(scan, message);
}


static ngx_int_t
ngx_pulse_anthropic_start(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *message)
{
    ngx_pulse_answer_event_t       ev;
    ngx_pulse_anthropic_reader_t  *reader;

    reader = scan->reader;
    reader->started = 1;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_START;
    ngx_pulse_anthropic_member(message, "id", &ev.id);
    ngx_pulse_anthropic_member(message, "model", &ev.model);

    /* of the output this is a placeholder */

    ngx_pulse_anthropic_read_usage(&reader->usage,
                              ngx_pulse_json_get(message, "usage"));
    ngx_pulse_anthropic_normalize(&reader->usage, &ev.usage);
    ev.usage.output = 0;
    ev.usage.reasoning = 0;

    return scan->handler(scan->ctx, &ev);
}


static ngx_int_t
ngx_pulse_anthropic_block_start(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *block;

    block = ngx_pulse_json_get(root, "content_block");

    if (block == NULL || block->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    /* a block whose end was lost */

    rc = ngx_pulse_anthropic_block_stop(scan, root);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_pulse_anthropic_block(scan, block);
}


static ngx_int_t
ngx_pulse_anthropic_block(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *block)
{
    ngx_str_t                      type, text;
    ngx_pulse_anthropic_reader_t  *reader;

    reader = scan->reader;

    ngx_str_null(&type);
    ngx_str_null(&text);
    ngx_pulse_anthropic_member(block, "type", &type);

    reader->bore = 1;
    reader->block = NGX_PULSE_ANTHROPIC_OTHER;

    if (ngx_pulse_is(&type, "text")) {
        return ngx_pulse_anthropic_begin_text(scan, block);
    }

    if (ngx_pulse_is(&type, "thinking")) {
        return ngx_pulse_anthropic_begin_thinking(scan, block);
    }

    if (ngx_pulse_is(&type, "redacted_thinking")) {
        ngx_pulse_anthropic_member(block, "data", &text);

        return ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_REDACTED, &text);
    }

    if (ngx_pulse_is(&type, "tool_use")) {
        return ngx_pulse_anthropic_begin_call(scan, block);
    }

    /* what tools of the vendor's own did */

    return ngx_pulse_lose(scan->handler, scan->ctx, &type);
}


static ngx_int_t
ngx_pulse_anthropic_begin_text(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *block)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    ngx_str_null(&text);
    ngx_pulse_anthropic_member(block, "text", &text);

    scan->reader->block = NGX_PULSE_ANTHROPIC_TEXT;

    if (text.len) {
        rc = ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_TEXT, &text);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_pulse_cite_all(scan->handler, scan->ctx, 0,
                              NGX_PULSE_CITED_BLOCK, block);
}


static ngx_int_t
ngx_pulse_anthropic_begin_thinking(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *block)
{
    ngx_int_t  rc;
    ngx_str_t  text, signature;

    ngx_str_null(&text);
    ngx_str_null(&signature);

    ngx_pulse_anthropic_member(block, "thinking", &text);
    ngx_pulse_anthropic_member(block, "signature", &signature);

    scan->reader->block = NGX_PULSE_ANTHROPIC_THINKING;

    /* even without a text, for a signature may follow that needs its part */

    rc = ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_THINKING, &text);

    if (rc != NGX_OK || signature.len == 0) {
        return rc;
    }

    return ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_SIGNATURE,
                                   &signature);
}


static ngx_int_t
ngx_pulse_anthropic_begin_call(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *block)
{
    ngx_int_t                      rc;
    ngx_str_t                      raw;
    ngx_pulse_json_value_t        *input;
    ngx_pulse_answer_event_t       ev;
    ngx_pulse_anthropic_reader_t  *reader;

    reader = scan->reader;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CALL;
    ev.index = reader->calls++;
    ngx_pulse_anthropic_member(block, "id", &ev.id);
    ngx_pulse_anthropic_member(block, "name", &ev.name);

    reader->block = NGX_PULSE_ANTHROPIC_CALL;
    reader->whole = 0;

    rc = scan->handler(scan->ctx, &ev);

    if (rc != NGX_OK) {
        return rc;
    }

    /* an empty object only holds the place of what the deltas bring */

    input = ngx_pulse_json_get(block, "input");

    if (input == NULL || input->type != NGX_PULSE_JSON_OBJECT
        || input->nelts == 0)
    {
        return NGX_OK;
    }

    raw = ngx_pulse_raw(scan->text, input);

    rc = ngx_pulse_anthropic_arguments(scan, &raw);
    reader->whole = 1;

    return rc;
}


static ngx_int_t
ngx_pulse_anthropic_block_delta(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root)
{
    ngx_str_t                type, text;
    ngx_pulse_json_value_t  *delta;

    delta = ngx_pulse_json_get(root, "delta");

    if (delta == NULL || delta->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    scan->reader->bore = 1;

    ngx_str_null(&type);
    ngx_str_null(&text);
    ngx_pulse_anthropic_member(delta, "type", &type);

    if (ngx_pulse_is(&type, "text_delta")) {
        ngx_pulse_anthropic_member(delta, "text", &text);
        ngx_pulse_anthropic_form(scan, root, delta);
        return ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_TEXT, &text);
    }

    if (ngx_pulse_is(&type, "thinking_delta")) {
        ngx_pulse_anthropic_member(delta, "thinking", &text);
        return ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_THINKING, &text);
    }

    if (ngx_pulse_is(&type, "signature_delta")) {
        ngx_pulse_anthropic_member(delta, "signature", &text);
        return ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_SIGNATURE,
                                       &text);
    }

    if (ngx_pulse_is(&type, "citations_delta")) {
        return ngx_pulse_cite(scan->handler, scan->ctx, 0,
                              NGX_PULSE_CITED_BLOCK,
                              ngx_pulse_json_get(delta, "citation"));
    }

    if (ngx_pulse_is(&type, "input_json_delta")) {
        ngx_pulse_anthropic_member(delta, "partial_json", &text);
        return ngx_pulse_anthropic_arguments(scan, &text);
    }

    return NGX_OK;
}


/* an event may have its type in its name only, which is no part of a form */

static void
ngx_pulse_anthropic_form(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root, ngx_pulse_json_value_t *delta)
{
    ngx_str_t          type;
    ngx_pulse_form_t  *form;

    form = &scan->reader->form;

    ngx_str_null(&type);
    ngx_pulse_anthropic_member(root, "type", &type);

    ngx_pulse_form_forget(form);

    if (type.len) {
        ngx_pulse_form_add(form, ngx_pulse_json_get(delta, "text"),
                           NGX_PULSE_FORM_TEXT);
        ngx_pulse_form_keep(form, scan->text);
    }
}


/* of the client's tools only: the vendor's own are none of its business */

static ngx_int_t
ngx_pulse_anthropic_arguments(ngx_pulse_anthropic_scan_t *scan,
    const ngx_str_t *text)
{
    ngx_pulse_answer_event_t       ev;
    ngx_pulse_anthropic_reader_t  *reader;

    reader = scan->reader;

    if (reader->block != NGX_PULSE_ANTHROPIC_CALL || reader->whole
        || text->len == 0)
    {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
    ev.index = reader->calls - 1;
    ev.text = *text;

    return scan->handler(scan->ctx, &ev);
}


static ngx_int_t
ngx_pulse_anthropic_block_stop(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root)
{
    ngx_uint_t                     block;
    ngx_pulse_answer_event_t       ev;
    ngx_pulse_anthropic_reader_t  *reader;

    reader = scan->reader;

    block = reader->block;
    reader->block = NGX_PULSE_ANTHROPIC_NONE;

    if (block == NGX_PULSE_ANTHROPIC_NONE
        || block == NGX_PULSE_ANTHROPIC_OTHER)
    {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_PART_END;

    if (block == NGX_PULSE_ANTHROPIC_CALL) {
        ev.type = NGX_PULSE_ANSWER_CALL_END;
        ev.index = reader->calls - 1;
    }

    return scan->handler(scan->ctx, &ev);
}


static ngx_int_t
ngx_pulse_anthropic_message_delta(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root)
{
    ngx_int_t                      rc;
    ngx_uint_t                     known;
    ngx_pulse_json_value_t        *delta, *usage;
    ngx_pulse_answer_event_t       ev;
    ngx_pulse_anthropic_reader_t  *reader;

    reader = scan->reader;

    delta = ngx_pulse_json_get(root, "delta");
    usage = ngx_pulse_json_get(root, "usage");

    known = (usage && usage->type == NGX_PULSE_JSON_OBJECT);

    if (known) {
        ngx_pulse_anthropic_read_usage(&reader->usage, usage);
    }

    if (delta && !reader->finished && ngx_pulse_member(delta, "stop_reason")) {

        rc = ngx_pulse_anthropic_block_stop(scan, root);

        return (rc == NGX_OK) ? ngx_pulse_anthropic_finish(scan, delta, known)
                              : rc;
    }

    if (!known) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_USAGE;
    ngx_pulse_anthropic_normalize(&reader->usage, &ev.usage);
    ev.usage.known = 1;

    return scan->handler(scan->ctx, &ev);
}


static ngx_int_t
ngx_pulse_anthropic_finish(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *message, ngx_uint_t known)
{
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_pulse_json_value_t    *details;
    ngx_pulse_answer_event_t   ev;

    ngx_str_null(&text);

    details = ngx_pulse_member(message, "stop_details");
    ngx_pulse_anthropic_member(details, "explanation", &text);

    if (text.len) {
        rc = ngx_pulse_anthropic_say(scan, NGX_PULSE_ANSWER_REFUSAL, &text);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    scan->reader->finished = 1;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_FINISH;
    ngx_pulse_anthropic_member(message, "stop_reason", &ev.native);
    ngx_pulse_anthropic_member(message, "stop_sequence", &ev.stop);
    ev.finish = ngx_pulse_anthropic_reason(&ev.native);

    ngx_pulse_anthropic_normalize(&scan->reader->usage, &ev.usage);
    ev.usage.known = (known != 0);

    return scan->handler(scan->ctx, &ev);
}


static ngx_int_t
ngx_pulse_anthropic_message_stop(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root)
{
    ngx_pulse_answer_event_t  ev;

    scan->reader->done = 1;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ev.type = NGX_PULSE_ANSWER_END;

    return scan->handler(scan->ctx, &ev);
}


static ngx_int_t
ngx_pulse_anthropic_failure(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_json_value_t *root)
{
    ngx_pulse_answer_event_t  ev;

    scan->reader->failed = 1;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ev.type = NGX_PULSE_ANSWER_ERROR;

    (void) ngx_pulse_anthropic_error(&ev.error, root);

    return scan->handler(scan->ctx, &ev);
}


static ngx_int_t
ngx_pulse_anthropic_say(ngx_pulse_anthropic_scan_t *scan,
    ngx_pulse_answer_e type, const ngx_str_t *text)
{
    ngx_pulse_answer_event_t  ev;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = type;
    ev.text = *text;

    return scan->handler(scan->ctx, &ev);
}


ngx_int_t
ngx_pulse_anthropic_read_end(void *state, ngx_pulse_answer_pt handler,
    void *ctx)
{
    ngx_pulse_answer_event_t       ev;
    ngx_pulse_anthropic_reader_t  *reader = state;

    if (reader->done || reader->failed) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (reader->finished) {
        reader->done = 1;
        ev.type = NGX_PULSE_ANSWER_END;

    } else {
        reader->failed = 1;
        ev.type = NGX_PULSE_ANSWER_ERROR;
        ngx_str_set(&ev.error.type, "api_error");
        ngx_str_set(&ev.error.message, "the provider's stream was cut");
    }

    return handler(ctx, &ev);
}


ngx_int_t
ngx_pulse_anthropic_read_answer(ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_int_t                      rc;
    ngx_str_t                      type;
    ngx_pulse_json_value_t        *root, *content, *block;
    ngx_pulse_anthropic_scan_t     scan;
    ngx_pulse_anthropic_reader_t   reader;

    ngx_memzero(&reader, sizeof(ngx_pulse_anthropic_reader_t));
    ngx_str_null(&type);

    scan.reader = &reader;
    scan.pool = pool;
    scan.text = body;
    scan.handler = handler;
    scan.ctx = ctx;

    root = ngx_pulse_anthropic_tree(pool, body->data, body->len);

    if (root == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_anthropic_member(root, "type", &type);

    if (ngx_pulse_is(&type, "error")) {
        return ngx_pulse_anthropic_failure(&scan, root);
    }

    content = ngx_pulse_json_get(root, "content");

    if (content == NULL || content->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_anthropic_start(&scan, root);

    for (block = content->children; rc == NGX_OK && block; block = block->next)
    {
        if (block->type != NGX_PULSE_JSON_OBJECT) {
            return NGX_ERROR;
        }

        rc = ngx_pulse_anthropic_block(&scan, block);

        if (rc == NGX_OK) {
            rc = ngx_pulse_anthropic_block_stop(&scan, block);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_anthropic_finish(&scan, root,
                                  ngx_pulse_member(root, "usage") != NULL);
    }

    return (rc == NGX_OK) ? ngx_pulse_anthropic_message_stop(&scan, root) : rc;
}


static ngx_uint_t
ngx_pulse_anthropic_reason(const ngx_str_t *native)
{
    if (ngx_pulse_is(native, "tool_use")) {
        return NGX_PULSE_FINISH_CALLS;
    }

    if (ngx_pulse_is(native, "max_tokens")
        || ngx_pulse_is(native, "model_context_window_exceeded"))
    {
        return NGX_PULSE_FINISH_LENGTH;
    }

    if (ngx_pulse_is(native, "refusal")) {
        return NGX_PULSE_FINISH_FILTER;
    }

    return NGX_PULSE_FINISH_STOP;
}


ngx_int_t
ngx_pulse_anthropic_read_error(ngx_pulse_chat_error_t *error, ngx_pool_t *pool,
    const u_char *p, size_t len)
{
    ngx_pulse_json_value_t  *root;

    ngx_memzero(error, sizeof(ngx_pulse_chat_error_t));

    root = ngx_pulse_anthropic_tree(pool, p, len);

    return root ? ngx_pulse_anthropic_error(error, root) : NGX_DECLINED;
}


static ngx_int_t
ngx_pulse_anthropic_error(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_json_value_t  *v;

    static const char  credit[] = "credit balance is too low";

    v = ngx_pulse_member(root, "error");

    if (v == NULL) {
        return NGX_DECLINED;
    }

    if (v->type == NGX_PULSE_JSON_STRING) {
        error->message = v->string;
        return NGX_OK;
    }

    ngx_pulse_anthropic_member(v, "message", &error->message);
    ngx_pulse_anthropic_member(v, "type", &error->type);
    ngx_pulse_anthropic_member(ngx_pulse_member(v, "details"), "error_code",
                               &error->code);

    if (error->message.len == 0 && error->type.len == 0) {
        return NGX_DECLINED;
    }

    error->quota = ngx_pulse_is(&error->type, "billing_error")
                   || ngx_pulse_is(&error->code, "contract_spend_limit_reached")
                   || ngx_pulse_is(&error->code, "enforced_spend_limit_reached")
                   || (error->message.len
                       && memmem(error->message.data, error->message.len,
                                 credit, sizeof(credit) - 1)
                          != NULL);

    return NGX_OK;
}


static void
ngx_pulse_anthropic_member(const ngx_pulse_json_value_t *v, const char *key,
    ngx_str_t *s)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, key);

    if (member && member->type == NGX_PULSE_JSON_STRING) {
        *s = member->string;
    }
}
