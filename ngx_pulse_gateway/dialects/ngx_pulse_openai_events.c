
#include "ngx_pulse_openai.h"

#include <string.h>


#define NGX_PULSE_OPENAI_ANSWER_MAX  (64 * 1024 * 1024)


typedef struct {
    ngx_pulse_openai_stream_t  *stream;
    ngx_pool_t                 *pool;
    const ngx_str_t            *data;
    ngx_pulse_answer_pt         handler;
    void                       *ctx;
    ngx_uint_t                  choice;
    unsigned                    whole:1;    /* not a stream's delta */
} ngx_pulse_openai_events_t;


typedef struct {
    const char                 *name;
    ngx_uint_t                  finish;
} ngx_pulse_openai_finish_t;


static ngx_pulse_json_value_t *ngx_pulse_openai_events_tree(ngx_pool_t *pool,
    const ngx_str_t *data);
static ngx_int_t ngx_pulse_openai_events_object(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_events_start(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_events_choice(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v);
static void ngx_pulse_openai_events_finish(ngx_pulse_openai_events_t *es,
    const ngx_str_t *reason);
static ngx_int_t ngx_pulse_openai_events_message(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *message);
static ngx_int_t ngx_pulse_openai_events_thinking(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *message);
static ngx_int_t ngx_pulse_openai_events_detail(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_events_content(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *content);
static ngx_int_t ngx_pulse_openai_events_signature(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *message);
static ngx_int_t ngx_pulse_openai_events_call(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, ngx_uint_t position);
static ngx_int_t ngx_pulse_openai_events_begin(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, const ngx_pulse_json_value_t *inner,
    int64_t key);
static ngx_int_t ngx_pulse_openai_events_arguments(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *inner,
    ngx_uint_t call);
static ngx_uint_t ngx_pulse_openai_events_find(ngx_pulse_openai_events_t *es,
    int64_t key);
static ngx_int_t ngx_pulse_openai_events_close(ngx_pulse_openai_events_t *es);
static void ngx_pulse_openai_events_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_events_error(ngx_pulse_openai_events_t *es,
    const ngx_str_t *data);
static ngx_int_t ngx_pulse_openai_events_fail(ngx_pulse_openai_events_t *es,
    const char *message);
static ngx_int_t ngx_pulse_openai_events_done(ngx_pulse_openai_events_t *es);
static ngx_int_t ngx_pulse_openai_events_text(ngx_pulse_openai_events_t *es,
    ngx_pulse_answer_e type, const ngx_str_t *text);
static ngx_int_t ngx_pulse_openai_events_send(ngx_pulse_openai_events_t *es,
    ngx_pulse_answer_e type);
static ngx_str_t ngx_pulse_openai_events_string(
    const ngx_pulse_json_value_t *v, const char *key);
static ngx_int_t ngx_pulse_openai_events_number(
    const ngx_pulse_json_value_t *v, const char *key, int64_t *n);
static const ngx_pulse_json_value_t *ngx_pulse_openai_events_list(
    const ngx_pulse_json_value_t *v, const char *key);
static uint32_t ngx_pulse_openai_events_hash(const ngx_str_t *s);


/* any other reason is a stop */

static ngx_pulse_openai_finish_t  ngx_pulse_openai_finishes[] = {
    { "length", NGX_PULSE_FINISH_LENGTH },
    { "max_tokens", NGX_PULSE_FINISH_LENGTH },
    { "model_length", NGX_PULSE_FINISH_LENGTH },
    { "tool_calls", NGX_PULSE_FINISH_CALLS },
    { "function_call", NGX_PULSE_FINISH_CALLS },
    { "content_filter", NGX_PULSE_FINISH_FILTER },
    { "error", NGX_PULSE_FINISH_ERROR },
    { "abort", NGX_PULSE_FINISH_ERROR },
    { "insufficient_system_resource", NGX_PULSE_FINISH_ERROR },
    { NULL, NGX_PULSE_FINISH_STOP }
};


ngx_int_t
ngx_pulse_openai_read_stream(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data, ngx_pulse_answer_pt handler,
    void *ctx)
{
    ngx_int_t                   rc;
    ngx_str_t                   text;
    ngx_pulse_json_value_t     *root;
    ngx_pulse_openai_events_t   es;
    ngx_pulse_openai_stream_t  *stream = state;

    if (stream->ended) {
        return NGX_OK;
    }

    ngx_memzero(&es, sizeof(ngx_pulse_openai_events_t));

    es.stream = stream;
    es.pool = pool;
    es.data = data;
    es.handler = handler;
    es.ctx = ctx;

    text = *data;

    while (text.len && (text.data[text.len - 1] == ' '
                        || text.data[text.len - 1] == '\t'))
    {
        text.len--;
    }

    if (text.len == 0) {
        return NGX_OK;
    }

    if (ngx_pulse_is(&text, "[DONE]")) {
        return ngx_pulse_openai_events_done(&es);
    }

    if (stream->failed) {
        return NGX_OK;
    }

    if (name->len && ngx_pulse_is(name, "error")) {
        return ngx_pulse_openai_events_error(&es, &text);
    }

    root = ngx_pulse_openai_events_tree(pool, &text);

    if (root == NULL) {
        return NGX_ERROR;
    }

    if (root->type != NGX_PULSE_JSON_OBJECT) {
        rc = ngx_pulse_openai_events_error(&es, &text);
        return (rc == NGX_OK && !stream->failed) ? NGX_ERROR : rc;
    }

    return ngx_pulse_openai_events_object(&es, root);
}


ngx_int_t
ngx_pulse_openai_read_stream_end(void *state, ngx_pulse_answer_pt handler,
    void *ctx)
{
    ngx_pulse_openai_events_t   es;
    ngx_pulse_openai_stream_t  *stream = state;

    if (stream->ended) {
        return NGX_OK;
    }

    ngx_memzero(&es, sizeof(ngx_pulse_openai_events_t));

    es.stream = stream;
    es.handler = handler;
    es.ctx = ctx;

    /* some close without [DONE] */

    if (stream->failed || stream->finish[0]) {
        return ngx_pulse_openai_events_done(&es);
    }

    stream->ended = 1;

    return ngx_pulse_openai_events_fail(&es,
                              "The provider ended its answer half way.");
}


ngx_int_t
ngx_pulse_openai_read_whole(ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_int_t                   rc;
    ngx_pulse_json_value_t     *root;
    ngx_pulse_openai_events_t   es;
    ngx_pulse_openai_stream_t  *stream;

    stream = ngx_pcalloc(pool, sizeof(ngx_pulse_openai_stream_t));
    if (stream == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&es, sizeof(ngx_pulse_openai_events_t));

    es.stream = stream;
    es.pool = pool;
    es.data = body;
    es.handler = handler;
    es.ctx = ctx;
    es.whole = 1;

    root = ngx_pulse_openai_events_tree(pool, body);

    if (root == NULL || root->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_openai_events_object(&es, root);

    if (rc != NGX_OK) {
        return rc;
    }

    if (stream->nchoices == 0 && !stream->failed) {
        return NGX_ERROR;
    }

    return ngx_pulse_openai_events_done(&es);
}


static ngx_pulse_json_value_t *
ngx_pulse_openai_events_tree(ngx_pool_t *pool, const ngx_str_t *data)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    limits.size = NGX_PULSE_OPENAI_ANSWER_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    return ngx_pulse_json_tree(pool, data->data, data->len, &limits, &err);
}


static ngx_int_t
ngx_pulse_openai_events_object(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                      rc;
    ngx_uint_t                     failed;
    ngx_pulse_chat_usage_t         usage;
    ngx_pulse_openai_stream_t     *stream;
    const ngx_pulse_json_value_t  *v;

    stream = es->stream;
    failed = (ngx_pulse_member(root, "error") != NULL);

    rc = ngx_pulse_openai_events_start(es, root);

    ngx_memzero(&usage, sizeof(ngx_pulse_chat_usage_t));

    v = ngx_pulse_openai_events_list(root, "choices");

    for ( /* void */ ; v && rc == NGX_OK; v = v->next) {

        ngx_pulse_openai_events_usage(&usage, ngx_pulse_member(v, "usage"));

        if (ngx_pulse_member(v, "error")) {
            failed = 1;
        }

        rc = ngx_pulse_openai_events_choice(es, v);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    /* the one that says most comes last: Groq has a copy in "x_groq" */

    v = ngx_pulse_member(root, "x_groq");
    ngx_pulse_openai_events_usage(&usage, ngx_pulse_member(v, "usage"));
    ngx_pulse_openai_events_usage(&usage, ngx_pulse_member(root, "usage"));

    if (usage.known) {
        stream->usage = usage;

        rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_USAGE);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return failed ? ngx_pulse_openai_events_error(es, es->data) : NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_events_start(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *root)
{
    ngx_pulse_openai_stream_t  *stream;
    ngx_pulse_answer_event_t    ev;

    stream = es->stream;

    if (stream->started || ngx_pulse_member(root, "choices") == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_START;
    ev.id = ngx_pulse_openai_events_string(root, "id");
    ev.model = ngx_pulse_openai_events_string(root, "model");

    stream->started = 1;
    stream->hash = ngx_pulse_openai_events_hash(&ev.id);

    return es->handler(es->ctx, &ev);
}


static ngx_int_t
ngx_pulse_openai_events_choice(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v)
{
    int64_t                        index;
    ngx_int_t                      rc;
    ngx_str_t                      reason;
    ngx_pulse_openai_stream_t     *stream;
    const ngx_pulse_json_value_t  *message;

    stream = es->stream;
    index = 0;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    (void) ngx_pulse_openai_events_number(v, "index", &index);

    if (index < 0 || index >= NGX_PULSE_CHAT_MAX_N) {
        return NGX_ERROR;
    }

    es->choice = index;

    if (stream->nchoices <= (ngx_uint_t) index) {
        stream->nchoices = index + 1;
    }

    message = ngx_pulse_member(v, es->whole ? "message" : "delta");

    if (message) {
        rc = ngx_pulse_openai_events_message(es, message);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    reason = ngx_pulse_openai_events_string(v, "finish_reason");

    if (reason.len) {
        ngx_pulse_openai_events_finish(es, &reason);
    }

    return NGX_OK;
}


/* the first reason counts; it is told when nothing can follow any more */

static void
ngx_pulse_openai_events_finish(ngx_pulse_openai_events_t *es,
    const ngx_str_t *reason)
{
    ngx_pulse_openai_finish_t  *finish;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;

    if (stream->finish[es->choice]) {
        return;
    }

    for (finish = ngx_pulse_openai_finishes; finish->name; finish++) {
        if (ngx_pulse_is(reason, finish->name)) {
            break;
        }
    }

    stream->finish[es->choice] = (u_char) (finish->finish + 1);

    if (es->choice == 0) {
        stream->native_len = ngx_min(reason->len, NGX_PULSE_OPENAI_NATIVE);
        ngx_memcpy(stream->native, reason->data, stream->native_len);
    }
}


static ngx_int_t
ngx_pulse_openai_events_message(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message)
{
    ngx_int_t                      rc;
    ngx_str_t                      refusal;
    ngx_uint_t                     n;
    const ngx_pulse_json_value_t  *v;

    rc = ngx_pulse_openai_events_thinking(es, message);

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_events_content(es, ngx_pulse_member(message,
                                                              "content"));
    }

    if (rc == NGX_OK) {
        refusal = ngx_pulse_openai_events_string(message, "refusal");
        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_REFUSAL,
                                          &refusal);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_events_signature(es, message);
    }

    v = ngx_pulse_openai_events_list(message, "tool_calls");

    for (n = 0; v && rc == NGX_OK; v = v->next) {
        rc = ngx_pulse_openai_events_call(es, v, n++);
    }

    v = ngx_pulse_member(message, "function_call");

    if (v && rc == NGX_OK) {
        rc = ngx_pulse_openai_events_call(es, v, 0);
    }

    return rc;
}


/* the same text may be there twice, whole and in pieces: those say more */

static ngx_int_t
ngx_pulse_openai_events_thinking(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message)
{
    ngx_int_t                      rc;
    ngx_str_t                      text;
    ngx_uint_t                     pieces;
    const ngx_pulse_json_value_t  *details, *v;

    details = ngx_pulse_openai_events_list(message, "reasoning_details");
    pieces = 0;

    for (v = details; v; v = v->next) {

        if (ngx_pulse_openai_events_string(v, "thinking").len
            || ngx_pulse_openai_events_string(v, "text").len
            || ngx_pulse_openai_events_string(v, "summary").len)
        {
            pieces = 1;
        }
    }

    if (!pieces) {
        text = ngx_pulse_openai_events_string(message, "reasoning_content");

        if (text.len == 0) {
            text = ngx_pulse_openai_events_string(message, "reasoning");
        }

        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_THINKING,
                                          &text);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (v = details; v; v = v->next) {
        rc = ngx_pulse_openai_events_detail(es, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_events_detail(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v)
{
    int64_t                     index;
    ngx_int_t                   rc;
    ngx_str_t                   text, signature, data;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;
    index = es->whole ? stream->detail + 1 : stream->detail;

    (void) ngx_pulse_openai_events_number(v, "index", &index);

    if (stream->detailed && index != stream->detail
        && stream->last == NGX_PULSE_ANSWER_THINKING)
    {
        rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_PART_END);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    stream->detailed = 1;
    stream->detail = index;

    text = ngx_pulse_openai_events_string(v, "thinking");

    if (text.len == 0) {
        text = ngx_pulse_openai_events_string(v, "text");
    }

    if (text.len == 0) {
        text = ngx_pulse_openai_events_string(v, "summary");
    }

    signature = ngx_pulse_openai_events_string(v, "signature");
    data = ngx_pulse_openai_events_string(v, "data");

    rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_THINKING, &text);

    if (rc == NGX_OK && signature.len) {

        /* thinking that is not shown is signed too */

        if (stream->last != NGX_PULSE_ANSWER_THINKING) {
            stream->last = NGX_PULSE_ANSWER_THINKING;
            rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_THINKING);
        }

        if (rc == NGX_OK) {
            rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_SIGNATURE,
                                              &signature);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_REDACTED,
                                          &data);
    }

    return rc;
}


/* a string; of some vendors parts, among them {"type": "thinking"} */

static ngx_int_t
ngx_pulse_openai_events_content(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *content)
{
    ngx_int_t                      rc;
    ngx_str_t                      text;
    const ngx_pulse_json_value_t  *v, *inner;

    if (content == NULL) {
        return NGX_OK;
    }

    if (content->type == NGX_PULSE_JSON_STRING) {
        return ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_TEXT,
                                            &content->string);
    }

    if (content->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    for (v = content->children; v && rc == NGX_OK; v = v->next) {

        text = ngx_pulse_openai_events_string(v, "text");
        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_TEXT, &text);

        if (rc == NGX_OK) {
            text = ngx_pulse_openai_events_string(v, "refusal");
            rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_REFUSAL,
                                              &text);
        }

        inner = ngx_pulse_openai_events_list(v, "thinking");

        for ( /* void */ ; inner && rc == NGX_OK; inner = inner->next) {
            text = ngx_pulse_openai_events_string(inner, "text");
            rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_THINKING,
                                              &text);
        }
    }

    return rc;
}


static ngx_int_t
ngx_pulse_openai_events_signature(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message)
{
    ngx_int_t                rc;
    ngx_str_t                signature;
    ngx_pulse_json_value_t  *extra;

    extra = ngx_pulse_member(message, "extra_content");
    extra = ngx_pulse_member(extra, "google");

    signature = ngx_pulse_openai_events_string(extra, "thought_signature");

    if (signature.len == 0) {
        return NGX_OK;
    }

    if (es->stream->last != NGX_PULSE_ANSWER_TEXT) {
        es->stream->last = NGX_PULSE_ANSWER_TEXT;
        rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_TEXT);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_SIGNATURE,
                                        &signature);
}


static ngx_int_t
ngx_pulse_openai_events_call(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, ngx_uint_t position)
{
    int64_t                        key;
    ngx_int_t                      rc;
    ngx_str_t                      id, name;
    ngx_uint_t                     call;
    ngx_pulse_openai_stream_t     *stream;
    const ngx_pulse_json_value_t  *inner;

    stream = es->stream;

    inner = ngx_pulse_member(v, "function");

    if (inner == NULL) {
        inner = ngx_pulse_member(v, "custom");
    }

    if (inner == NULL) {
        inner = v;      /* function_call, of old */
    }

    id = ngx_pulse_openai_events_string(v, "id");
    name = ngx_pulse_openai_events_string(inner, "name");

    /* some do not count, or give all calls of a chunk the same number */

    key = es->whole ? (int64_t) position : -1;

    if (ngx_pulse_openai_events_number(v, "index", &key) != NGX_OK
        && key < 0 && id.len)
    {
        key = ngx_pulse_openai_events_hash(&id);
    }

    call = ngx_pulse_openai_events_find(es, key);

    if (call == 0
        || (id.len && name.len
            && stream->calls[call - 1].hash
               != ngx_pulse_openai_events_hash(&id)))
    {
        if (id.len == 0 && name.len == 0) {
            return NGX_ERROR;
        }

        rc = ngx_pulse_openai_events_begin(es, v, inner, key);

        if (rc != NGX_OK) {
            return rc;
        }

        call = stream->ncalls;
    }

    rc = ngx_pulse_openai_events_arguments(es, inner, call);

    if (rc == NGX_OK && es->whole) {
        rc = ngx_pulse_openai_events_close(es);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_openai_events_begin(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, const ngx_pulse_json_value_t *inner,
    int64_t key)
{
    ngx_int_t                   rc;
    ngx_pulse_buf_t             b;
    ngx_pulse_json_value_t     *extra;
    ngx_pulse_openai_call_t    *call;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;

    rc = ngx_pulse_openai_events_close(es);

    if (rc != NGX_OK) {
        return rc;
    }

    if (stream->ncalls == NGX_PULSE_OPENAI_CALLS) {
        return NGX_ERROR;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CALL;
    ev.choice = es->choice;
    ev.index = stream->called[es->choice]++;
    ev.id = ngx_pulse_openai_events_string(v, "id");
    ev.name = ngx_pulse_openai_events_string(inner, "name");
    ev.custom = (ngx_pulse_member(v, "custom") != NULL);

    extra = ngx_pulse_member(v, "extra_content");
    extra = ngx_pulse_member(extra, "google");
    ev.signature = ngx_pulse_openai_events_string(extra, "thought_signature");

    call = &stream->calls[stream->ncalls++];

    call->hash = ngx_pulse_openai_events_hash(&ev.id);
    call->key = (uint32_t) key;
    call->choice = (u_char) es->choice;
    call->index = (u_char) ev.index;

    stream->open = stream->ncalls;
    stream->last = NGX_PULSE_ANSWER_CALL;

    if (ev.id.len) {
        return es->handler(es->ctx, &ev);
    }

    /* a result must be able to name it */

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "call_");
    ngx_pulse_buf_int(&b, stream->hash);
    ngx_pulse_buf_char(&b, '_');
    ngx_pulse_buf_int(&b, stream->ncalls);

    ev.id.data = b.data;
    ev.id.len = b.len;

    rc = b.failed ? NGX_ERROR : es->handler(es->ctx, &ev);

    ngx_pulse_buf_free(&b);

    return rc;
}


static ngx_int_t
ngx_pulse_openai_events_arguments(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *inner, ngx_uint_t call)
{
    ngx_pulse_answer_event_t   ev;
    ngx_pulse_json_value_t    *arguments;

    arguments = ngx_pulse_member(inner, "arguments");

    if (arguments == NULL) {
        arguments = ngx_pulse_member(inner, "input");
    }

    if (arguments == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (arguments->type == NGX_PULSE_JSON_STRING) {
        ev.text = arguments->string;

    } else if (arguments->type == NGX_PULSE_JSON_OBJECT) {
        ev.text = ngx_pulse_raw(es->data, arguments);

    } else {
        return NGX_ERROR;
    }

    if (ev.text.len == 0) {
        return NGX_OK;
    }

    ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
    ev.choice = es->stream->calls[call - 1].choice;
    ev.index = es->stream->calls[call - 1].index;

    return es->handler(es->ctx, &ev);
}


/* from 1, the last one first; without a number the one that is open */

static ngx_uint_t
ngx_pulse_openai_events_find(ngx_pulse_openai_events_t *es, int64_t key)
{
    ngx_uint_t                  n;
    ngx_pulse_openai_call_t    *call;

    for (n = es->stream->ncalls; n; n--) {
        call = &es->stream->calls[n - 1];

        if (call->choice == es->choice
            && (key < 0 || call->key == (uint32_t) key))
        {
            return n;
        }
    }

    return 0;
}


static ngx_int_t
ngx_pulse_openai_events_close(ngx_pulse_openai_events_t *es)
{
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;

    if (stream->open == 0) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CALL_END;
    ev.choice = stream->calls[stream->open - 1].choice;
    ev.index = stream->calls[stream->open - 1].index;

    stream->open = 0;

    return es->handler(es->ctx, &ev);
}


static void
ngx_pulse_openai_events_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *v)
{
    int64_t                        input, output, total, n;
    const ngx_pulse_json_value_t  *details;

    input = 0;
    output = 0;
    total = 0;

    if (ngx_pulse_openai_events_number(v, "prompt_tokens", &input) != NGX_OK
        && ngx_pulse_openai_events_number(v, "completion_tokens", &output)
           != NGX_OK)
    {
        return;
    }

    (void) ngx_pulse_openai_events_number(v, "completion_tokens", &output);
    (void) ngx_pulse_openai_events_number(v, "total_tokens", &total);

    /* some count reasoning in the total only */

    if (total - input > output) {
        output = total - input;
    }

    ngx_memzero(usage, sizeof(ngx_pulse_chat_usage_t));

    usage->known = 1;
    usage->input = input;
    usage->output = output;

    details = ngx_pulse_member(v, "prompt_tokens_details");
    n = 0;

    if (ngx_pulse_openai_events_number(details, "cached_tokens", &n) == NGX_OK
        || ngx_pulse_openai_events_number(v, "prompt_cache_hit_tokens", &n)
           == NGX_OK
        || ngx_pulse_openai_events_number(v, "cached_tokens", &n) == NGX_OK)
    {
        usage->cached = n;
    }

    n = 0;
    (void) ngx_pulse_openai_events_number(details, "cache_write_tokens", &n);
    usage->cache_write = n;

    details = ngx_pulse_member(v, "completion_tokens_details");

    n = 0;
    (void) ngx_pulse_openai_events_number(details, "reasoning_tokens", &n);
    usage->reasoning = n;
}


/*
 * An error beside a reason to finish only explains it: the answer is whole.
 */

static ngx_int_t
ngx_pulse_openai_events_error(ngx_pulse_openai_events_t *es,
    const ngx_str_t *data)
{
    ngx_int_t                   rc;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;

    if (stream->finish[0] && stream->finish[0] != NGX_PULSE_FINISH_ERROR + 1) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    rc = ngx_pulse_openai_error(&ev.error, es->pool, data->data, data->len);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_pulse_openai_events_fail(es,
                                      "The provider reported an error.");
    }

    stream->failed = 1;
    ev.type = NGX_PULSE_ANSWER_ERROR;
    ev.usage = stream->usage;

    return es->handler(es->ctx, &ev);
}


static ngx_int_t
ngx_pulse_openai_events_fail(ngx_pulse_openai_events_t *es,
    const char *message)
{
    ngx_pulse_answer_event_t  ev;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_ERROR;
    ev.usage = es->stream->usage;

    ngx_str_set(&ev.error.type, "server_error");
    ev.error.message.data = (u_char *) message;
    ev.error.message.len = strlen(message);

    es->stream->failed = 1;

    return es->handler(es->ctx, &ev);
}


static ngx_int_t
ngx_pulse_openai_events_done(ngx_pulse_openai_events_t *es)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;
    stream->ended = 1;

    if (!stream->failed && stream->nchoices == 0) {
        rc = ngx_pulse_openai_events_fail(es,
                                          "The provider's answer is empty.");
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (i = 0; i < stream->nchoices && !stream->failed; i++) {
        rc = ngx_pulse_openai_events_close(es);

        if (rc != NGX_OK) {
            return rc;
        }

        ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

        ev.type = NGX_PULSE_ANSWER_FINISH;
        ev.choice = i;
        ev.usage = stream->usage;

        ev.finish = stream->finish[i] ? stream->finish[i] - 1
                                      : NGX_PULSE_FINISH_STOP;

        /* a call that was forced may end with a mere stop */

        if (ev.finish == NGX_PULSE_FINISH_STOP && stream->called[i]) {
            ev.finish = NGX_PULSE_FINISH_CALLS;
        }

        if (i == 0) {
            ev.native.data = stream->native;
            ev.native.len = stream->native_len;
        }

        rc = es->handler(es->ctx, &ev);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_END);
}


static ngx_int_t
ngx_pulse_openai_events_text(ngx_pulse_openai_events_t *es,
    ngx_pulse_answer_e type, const ngx_str_t *text)
{
    ngx_int_t                 rc;
    ngx_pulse_answer_event_t  ev;

    if (text->len == 0) {
        return NGX_OK;
    }

    if (type != NGX_PULSE_ANSWER_SIGNATURE) {
        rc = ngx_pulse_openai_events_close(es);

        if (rc != NGX_OK) {
            return rc;
        }

        es->stream->last = type;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = type;
    ev.choice = es->choice;
    ev.text = *text;

    return es->handler(es->ctx, &ev);
}


static ngx_int_t
ngx_pulse_openai_events_send(ngx_pulse_openai_events_t *es,
    ngx_pulse_answer_e type)
{
    ngx_pulse_answer_event_t  ev;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = type;
    ev.choice = (type == NGX_PULSE_ANSWER_USAGE
                 || type == NGX_PULSE_ANSWER_END) ? 0 : es->choice;
    ev.usage = es->stream->usage;

    return es->handler(es->ctx, &ev);
}


static ngx_str_t
ngx_pulse_openai_events_string(const ngx_pulse_json_value_t *v,
    const char *key)
{
    ngx_str_t                s;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&s);

    member = ngx_pulse_json_get(v, key);

    if (member && member->type == NGX_PULSE_JSON_STRING) {
        s = member->string;
    }

    return s;
}


/* a count; "n" stays as it was if there is none */

static ngx_int_t
ngx_pulse_openai_events_number(const ngx_pulse_json_value_t *v,
    const char *key, int64_t *n)
{
    int64_t                  count;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, key);

    if (member == NULL || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &count) != NGX_OK
        || count < 0)
    {
        return NGX_DECLINED;
    }

    *n = count;

    return NGX_OK;
}


static const ngx_pulse_json_value_t *
ngx_pulse_openai_events_list(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *list;

    list = ngx_pulse_json_get(v, key);

    return (list && list->type == NGX_PULSE_JSON_ARRAY) ? list->children
                                                        : NULL;
}


/* FNV-1a: tells ids apart without keeping them */

static uint32_t
ngx_pulse_openai_events_hash(const ngx_str_t *s)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261u;

    for (i = 0; i < s->len; i++) {
        hash = (hash ^ s->data[i]) * 16777619u;
    }

    return hash;
}
