
#include "ngx_pulse_responses.h"
#include "ngx_pulse_openai.h"


typedef struct {
    const char                    *type;
    ngx_int_t                    (*handler)(ngx_pulse_responses_reader_t *rd,
                                            const ngx_pulse_json_value_t *v,
                                            ngx_uint_t kind);
    ngx_uint_t                     kind;        /* of the event to emit */
} ngx_pulse_responses_event_t;


static ngx_pulse_json_value_t *ngx_pulse_responses_tree(ngx_pool_t *pool,
    const ngx_str_t *text);
static ngx_int_t ngx_pulse_responses_start(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);
static ngx_int_t ngx_pulse_responses_cited(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);
static ngx_int_t ngx_pulse_responses_added(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);
static ngx_int_t ngx_pulse_responses_delta(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);
static void ngx_pulse_responses_form(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind, int64_t part);
static ngx_int_t ngx_pulse_responses_again(ngx_pulse_responses_reader_t *rd,
    const ngx_str_t *text);
static ngx_int_t ngx_pulse_responses_whole(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);
static ngx_int_t ngx_pulse_responses_done(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);
static ngx_int_t ngx_pulse_responses_over(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);
static ngx_int_t ngx_pulse_responses_failed(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind);

static ngx_int_t ngx_pulse_responses_finish(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *response);
static ngx_int_t ngx_pulse_responses_error(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v);

static void ngx_pulse_responses_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *response);
static uint64_t ngx_pulse_responses_figure(const ngx_pulse_json_value_t *v,
    const char *key);


/* events of tools that the vendor runs itself have no place */

static const ngx_pulse_responses_event_t  ngx_pulse_responses_events[] = {

    { "response.output_text.delta", ngx_pulse_responses_delta,
      NGX_PULSE_ANSWER_TEXT },

    { "response.function_call_arguments.delta", ngx_pulse_responses_delta,
      NGX_PULSE_ANSWER_ARGUMENTS },

    { "response.reasoning_summary_text.delta", ngx_pulse_responses_delta,
      NGX_PULSE_ANSWER_THINKING },

    { "response.reasoning_text.delta", ngx_pulse_responses_delta,
      NGX_PULSE_ANSWER_THINKING },

    { "response.refusal.delta", ngx_pulse_responses_delta,
      NGX_PULSE_ANSWER_REFUSAL },

    { "response.custom_tool_call_input.delta", ngx_pulse_responses_delta,
      NGX_PULSE_ANSWER_ARGUMENTS },

    { "response.output_text.done", ngx_pulse_responses_whole,
      NGX_PULSE_ANSWER_TEXT },

    { "response.refusal.done", ngx_pulse_responses_whole,
      NGX_PULSE_ANSWER_REFUSAL },

    { "response.output_text.annotation.added", ngx_pulse_responses_cited, 0 },
    { "response.output_item.added", ngx_pulse_responses_added, 0 },
    { "response.output_item.done", ngx_pulse_responses_done, 0 },
    { "response.created", ngx_pulse_responses_start, 0 },
    { "response.queued", ngx_pulse_responses_start, 0 },
    { "response.in_progress", ngx_pulse_responses_start, 0 },
    { "response.completed", ngx_pulse_responses_over, 0 },
    { "response.incomplete", ngx_pulse_responses_over, 0 },
    { "response.failed", ngx_pulse_responses_over, 0 },
    { "response.cancelled", ngx_pulse_responses_over, 0 },
    { "error", ngx_pulse_responses_failed, 0 },
    { NULL, NULL, 0 }
};


ngx_int_t
ngx_pulse_responses_read_event(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data, ngx_pulse_answer_pt handler,
    void *ctx)
{
    ngx_str_t                           type, values[NGX_PULSE_FORM_SLOTS];
    ngx_pulse_json_value_t             *v;
    ngx_pulse_responses_reader_t        rd;
    const ngx_pulse_responses_event_t  *event;

    rd.answer = state;
    rd.pool = pool;
    rd.data = data;
    rd.handler = handler;
    rd.ctx = ctx;
    ngx_str_null(&rd.logprobs);

    /* the end of other dialects, which some vendors add */

    if (data->len == 0 || ngx_pulse_is(data, "[DONE]")) {
        return NGX_OK;
    }

    if (ngx_pulse_form_match(&rd.answer->form, pool, data, values) == NGX_OK) {
        return ngx_pulse_responses_again(&rd, &values[NGX_PULSE_FORM_TEXT]);
    }

    v = ngx_pulse_responses_tree(pool, data);

    if (v == NULL || v->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    if (rd.answer->finished || rd.answer->failed) {
        return NGX_OK;
    }

    /* the name may be missing, or "error" for an object without a type */

    type = ngx_pulse_responses_string(v, "type");

    if (type.len == 0) {
        type = *name;
    }

    if (type.len == 0 && ngx_pulse_member(v, "error")) {
        ngx_str_set(&type, "error");
    }

    for (event = ngx_pulse_responses_events; event->type; event++) {
        if (ngx_pulse_is(&type, event->type)) {
            return event->handler(&rd, v, event->kind);
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_responses_read_end(void *state, ngx_pulse_answer_pt handler,
    void *ctx)
{
    ngx_pulse_responses_answer_t *answer = state;

    ngx_pulse_answer_event_t  ev;

    if (answer->failed) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (answer->finished) {
        ev.type = NGX_PULSE_ANSWER_END;
        return handler(ctx, &ev);
    }

    answer->failed = 1;

    ev.type = NGX_PULSE_ANSWER_ERROR;
    ngx_str_set(&ev.error.type, "server_error");
    ngx_str_set(&ev.error.message, "the provider cut the answer off");

    return handler(ctx, &ev);
}


ngx_int_t
ngx_pulse_responses_read_answer(ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_int_t                      rc;
    ngx_pulse_json_value_t        *v;
    ngx_pulse_responses_reader_t   rd;
    ngx_pulse_responses_answer_t   answer;

    ngx_memzero(&answer, sizeof(ngx_pulse_responses_answer_t));

    rd.answer = &answer;
    rd.pool = pool;
    rd.data = body;
    rd.handler = handler;
    rd.ctx = ctx;
    ngx_str_null(&rd.logprobs);

    v = ngx_pulse_responses_tree(pool, body);

    if (v == NULL || v->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    if (ngx_pulse_json_get(v, "output")) {
        rc = ngx_pulse_responses_finish(&rd, v);

    } else if (ngx_pulse_member(v, "error")) {
        rc = ngx_pulse_responses_error(&rd, ngx_pulse_member(v, "error"));

    } else {
        return NGX_ERROR;
    }

    return (rc == NGX_OK) ? ngx_pulse_responses_read_end(&answer, handler, ctx)
                          : rc;
}


static ngx_pulse_json_value_t *
ngx_pulse_responses_tree(ngx_pool_t *pool, const ngx_str_t *text)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    limits.size = text->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    return ngx_pulse_json_tree(pool, text->data, text->len, &limits, &err);
}


static ngx_int_t
ngx_pulse_responses_start(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    ngx_pulse_json_value_t    *response;
    ngx_pulse_answer_event_t   ev;

    if (rd->answer->started) {
        return NGX_OK;
    }

    response = ngx_pulse_member(v, "response");

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_START;
    ev.id = ngx_pulse_responses_string(response, "id");
    ev.model = ngx_pulse_responses_string(response, "model");

    return ngx_pulse_responses_read_emit(rd, &ev);
}


static ngx_int_t
ngx_pulse_responses_added(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    ngx_pulse_responses_slot_t  *slot;

    return ngx_pulse_responses_read_open(rd,
                                    ngx_pulse_responses_index(v,
                                                              "output_index"),
                                    ngx_pulse_member(v, "item"), &slot);
}


/* ids of items may differ from event to event, the index does not */

static ngx_int_t
ngx_pulse_responses_cited(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    return ngx_pulse_cite(rd->handler, rd->ctx, 0, NGX_PULSE_CITED_PART,
                          ngx_pulse_member(v, "annotation"));
}


static ngx_int_t
ngx_pulse_responses_delta(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    int64_t                      part;
    ngx_str_t                    text;
    ngx_pulse_responses_slot_t  *slot;

    text = ngx_pulse_responses_string(v, "delta");

    slot = ngx_pulse_responses_read_slot(rd,
                                    ngx_pulse_responses_index(v,
                                                              "output_index"));

    part = ngx_pulse_responses_index(v, ngx_pulse_member(v, "summary_index")
                                        ? "summary_index" : "content_index");

    ngx_pulse_responses_read_logprobs(rd, v);

    if (rd->logprobs.len == 0 && ngx_pulse_responses_string(v, "type").len) {
        ngx_pulse_responses_form(rd, v, kind, part);
    }

    return ngx_pulse_responses_read_piece(rd, slot, kind, part, &text);
}


/* Events are numbered, and padded; ids of items are of no use to us. */

static void
ngx_pulse_responses_form(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind, int64_t part)
{
    ngx_pulse_form_t              *form;
    ngx_pulse_responses_answer_t  *answer;

    answer = rd->answer;
    form = &answer->form;

    answer->form_index = ngx_pulse_responses_index(v, "output_index");
    answer->form_part = part;
    answer->form_kind = kind;

    ngx_pulse_form_forget(form);
    ngx_pulse_form_add(form, ngx_pulse_member(v, "sequence_number"),
                       NGX_PULSE_FORM_ANY);
    ngx_pulse_form_add(form, ngx_pulse_member(v, "item_id"),
                       NGX_PULSE_FORM_ANY);
    ngx_pulse_form_add(form, ngx_pulse_member(v, "obfuscation"),
                       NGX_PULSE_FORM_ANY);
    ngx_pulse_form_add(form, ngx_pulse_json_get(v, "delta"),
                       NGX_PULSE_FORM_TEXT);

    if (ngx_pulse_member(v, "delta")) {
        ngx_pulse_form_keep(form, rd->data);
    }
}


/* A delta like the last. */

static ngx_int_t
ngx_pulse_responses_again(ngx_pulse_responses_reader_t *rd,
    const ngx_str_t *text)
{
    ngx_pulse_responses_slot_t    *slot;
    ngx_pulse_responses_answer_t  *answer;

    answer = rd->answer;

    if (answer->finished || answer->failed) {
        return NGX_OK;
    }

    slot = ngx_pulse_responses_read_slot(rd, answer->form_index);

    return ngx_pulse_responses_read_piece(rd, slot, answer->form_kind,
                                          answer->form_part, text);
}


/* The text of a part of which no delta came. */

static ngx_int_t
ngx_pulse_responses_whole(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    int64_t                      part;
    ngx_str_t                    text;
    ngx_pulse_responses_slot_t  *slot;

    slot = ngx_pulse_responses_read_slot(rd,
                                    ngx_pulse_responses_index(v,
                                                              "output_index"));

    part = ngx_pulse_responses_index(v, "content_index");

    if (slot == NULL || (slot->any && slot->part == part)) {
        return NGX_OK;
    }

    text = ngx_pulse_responses_string(v, kind == NGX_PULSE_ANSWER_TEXT
                                         ? "text" : "refusal");

    ngx_pulse_responses_read_logprobs(rd, v);

    return ngx_pulse_responses_read_piece(rd, slot, kind, part, &text);
}


static ngx_int_t
ngx_pulse_responses_done(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    int64_t                      index;
    ngx_int_t                    rc;
    ngx_pulse_json_value_t      *item;
    ngx_pulse_responses_slot_t  *slot;

    index = ngx_pulse_responses_index(v, "output_index");
    item = ngx_pulse_member(v, "item");

    slot = ngx_pulse_responses_read_slot(rd, index);

    if (slot == NULL) {
        rc = ngx_pulse_responses_read_open(rd, index, item, &slot);

        if (rc != NGX_OK || slot == NULL) {
            return rc;
        }
    }

    return ngx_pulse_responses_read_close(rd, slot, item);
}


static ngx_int_t
ngx_pulse_responses_over(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    return ngx_pulse_responses_finish(rd, ngx_pulse_member(v, "response"));
}


/* {"type": "error", "error": {...}}, or all of it flat */

static ngx_int_t
ngx_pulse_responses_failed(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v, ngx_uint_t kind)
{
    ngx_pulse_json_value_t  *error;

    error = ngx_pulse_member(v, "error");

    return ngx_pulse_responses_error(rd, error ? error : v);
}


static ngx_int_t
ngx_pulse_responses_finish(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *response)
{
    ngx_int_t                  rc;
    ngx_str_t                  status;
    ngx_pulse_json_value_t    *error, *details;
    ngx_pulse_answer_event_t   ev;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (!rd->answer->started) {
        ev.type = NGX_PULSE_ANSWER_START;
        ev.id = ngx_pulse_responses_string(response, "id");
        ev.model = ngx_pulse_responses_string(response, "model");

        rc = ngx_pulse_responses_read_emit(rd, &ev);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* items that were not streamed */

    if (!rd->answer->items) {
        rc = ngx_pulse_responses_read_output(rd, response);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ngx_pulse_responses_usage(&ev.usage, response);

    status = ngx_pulse_responses_string(response, "status");
    error = ngx_pulse_member(response, "error");

    if (error || ngx_pulse_is(&status, "failed")
        || ngx_pulse_is(&status, "cancelled"))
    {
        if (ev.usage.known) {
            ev.type = NGX_PULSE_ANSWER_USAGE;
            rc = ngx_pulse_responses_read_emit(rd, &ev);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        return ngx_pulse_responses_error(rd, error);
    }

    ev.type = NGX_PULSE_ANSWER_FINISH;
    ev.native = status;
    ev.finish = rd->answer->calls ? NGX_PULSE_FINISH_CALLS
                                  : NGX_PULSE_FINISH_STOP;

    if (ngx_pulse_is(&status, "incomplete")) {
        details = ngx_pulse_member(response, "incomplete_details");
        ev.native = ngx_pulse_responses_string(details, "reason");
        ev.finish = NGX_PULSE_FINISH_LENGTH;

        if (ngx_pulse_is(&ev.native, "content_filter")) {
            ev.finish = NGX_PULSE_FINISH_FILTER;
        }
    }

    rd->answer->finished = 1;

    return ngx_pulse_responses_read_emit(rd, &ev);
}


/* "v" is the error itself, or NULL if nothing is known of it. */

static ngx_int_t
ngx_pulse_responses_error(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v)
{
    u_char                    *p;
    ngx_str_t                  raw;
    ngx_pulse_answer_event_t   ev;

    static u_char  head[] = "{\"error\":";

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ev.type = NGX_PULSE_ANSWER_ERROR;

    if (v) {
        raw = ngx_pulse_raw(rd->data, v);

        p = ngx_pnalloc(rd->pool, raw.len + sizeof(head));
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, head, sizeof(head) - 1);
        ngx_memcpy(p + sizeof(head) - 1, raw.data, raw.len);
        p[raw.len + sizeof(head) - 1] = '}';

        if (ngx_pulse_openai_error(&ev.error, rd->pool, p,
                                   raw.len + sizeof(head))
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }
    }

    /* a flat one has the type of the event */

    if (ev.error.type.len == 0 || ngx_pulse_is(&ev.error.type, "error")) {
        ngx_str_set(&ev.error.type, "server_error");
    }

    if (ev.error.message.len == 0) {
        ngx_str_set(&ev.error.message, "the provider gave up");
    }

    rd->answer->failed = 1;

    return ngx_pulse_responses_read_emit(rd, &ev);
}


ngx_int_t
ngx_pulse_responses_read_emit(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_answer_event_t *ev)
{
    ngx_int_t                 rc;
    ngx_pulse_answer_event_t  start;

    if (!rd->answer->started) {
        rd->answer->started = 1;

        /* an answer whose first event was lost */

        if (ev->type != NGX_PULSE_ANSWER_START) {
            ngx_memzero(&start, sizeof(ngx_pulse_answer_event_t));
            start.type = NGX_PULSE_ANSWER_START;

            rc = rd->handler(rd->ctx, &start);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return rd->handler(rd->ctx, ev);
}


static void
ngx_pulse_responses_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *response)
{
    uint64_t                 total;
    ngx_pulse_json_value_t  *v, *details;

    v = ngx_pulse_member(response, "usage");

    if (v == NULL || v->type != NGX_PULSE_JSON_OBJECT) {
        return;
    }

    usage->known = 1;
    usage->input = ngx_pulse_responses_figure(v, "input_tokens");
    usage->output = ngx_pulse_responses_figure(v, "output_tokens");

    /* some count reasoning beside the output, others inside it */

    total = ngx_pulse_responses_figure(v, "total_tokens");

    if (total > usage->input && total - usage->input > usage->output) {
        usage->output = total - usage->input;
    }

    details = ngx_pulse_member(v, "input_tokens_details");

    usage->cached = ngx_pulse_responses_figure(details, "cached_tokens");
    usage->cache_write = ngx_pulse_responses_figure(details,
                                                    "cache_write_tokens");

    details = ngx_pulse_member(details, "cache_write_tokens_details");

    usage->cache_hour = ngx_pulse_responses_figure(details, "ttl_12h_tokens");

    details = ngx_pulse_member(v, "output_tokens_details");

    usage->reasoning = ngx_pulse_responses_figure(details, "reasoning_tokens");
}


static uint64_t
ngx_pulse_responses_figure(const ngx_pulse_json_value_t *v, const char *key)
{
    int64_t  n;

    n = ngx_pulse_responses_index(v, key);

    return (n > 0) ? (uint64_t) n : 0;
}


int64_t
ngx_pulse_responses_index(const ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    if (member == NULL || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &n) != NGX_OK || n < 0)
    {
        return 0;
    }

    return n;
}


ngx_str_t
ngx_pulse_responses_string(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_str_t                s;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&s);

    member = ngx_pulse_member(v, key);

    if (member && member->type == NGX_PULSE_JSON_STRING) {
        s = member->string;
    }

    return s;
}
