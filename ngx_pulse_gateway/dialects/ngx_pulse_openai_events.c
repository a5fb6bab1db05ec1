
#include "ngx_pulse_openai.h"

#include <string.h>


#define NGX_PULSE_OPENAI_ANSWER_MAX  (64 * 1024 * 1024)


typedef struct {
    const char                 *name;
    ngx_uint_t                  finish;
} ngx_pulse_openai_finish_t;


static void ngx_pulse_openai_events_form(ngx_pulse_openai_events_t *es,
    const ngx_str_t *data, const ngx_pulse_json_value_t *root);
static const ngx_pulse_json_value_t *ngx_pulse_openai_events_only(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *delta);
static ngx_pulse_json_value_t *ngx_pulse_openai_events_tree(ngx_pool_t *pool,
    const ngx_str_t *data);
static ngx_int_t ngx_pulse_openai_events_object(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_events_start(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_events_choice(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_events_logprobs(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *v);
static void ngx_pulse_openai_events_finish(ngx_pulse_openai_events_t *es,
    const ngx_str_t *reason);
static void ngx_pulse_openai_events_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_events_error(ngx_pulse_openai_events_t *es,
    const ngx_str_t *data);
static ngx_int_t ngx_pulse_openai_events_fail(ngx_pulse_openai_events_t *es,
    const char *message);
static ngx_int_t ngx_pulse_openai_events_done(ngx_pulse_openai_events_t *es);


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
    ngx_str_t                   text, values[NGX_PULSE_FORM_SLOTS];
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

    if (ngx_pulse_form_match(&stream->form, pool, &text, values) == NGX_OK) {
        es.choice = stream->form_choice;
        return ngx_pulse_openai_events_text(&es, stream->form_type,
                                            &values[NGX_PULSE_FORM_TEXT]);
    }

    root = ngx_pulse_openai_events_tree(pool, &text);

    if (root == NULL) {
        return NGX_ERROR;
    }

    if (root->type != NGX_PULSE_JSON_OBJECT) {
        rc = ngx_pulse_openai_events_error(&es, &text);
        return (rc == NGX_OK && !stream->failed) ? NGX_ERROR : rc;
    }

    rc = ngx_pulse_openai_events_object(&es, root);

    if (rc == NGX_OK) {
        ngx_pulse_openai_events_form(&es, &text, root);
    }

    return rc;
}


/*
 * An event that says a piece of one text of one choice and nothing else has a
 * form.  Padding is random, and so are ids of some.
 */

static void
ngx_pulse_openai_events_form(ngx_pulse_openai_events_t *es,
    const ngx_str_t *data, const ngx_pulse_json_value_t *root)
{
    ngx_pulse_form_t              *form;
    const ngx_pulse_json_value_t  *choice, *text;

    form = &es->stream->form;
    choice = ngx_pulse_openai_events_list(root, "choices");

    ngx_pulse_form_forget(form);

    if (choice == NULL || choice->next
        || ngx_pulse_member(root, "usage")
        || ngx_pulse_member(root, "x_groq")
        || ngx_pulse_member(root, "error")
        || ngx_pulse_member(choice, "usage")
        || ngx_pulse_member(choice, "error")
        || ngx_pulse_member(choice, "logprobs")
        || ngx_pulse_member(choice, "finish_reason"))
    {
        return;
    }

    text = ngx_pulse_openai_events_only(es, ngx_pulse_member(choice,
                                                             "delta"));
    if (text == NULL) {
        return;
    }

    es->stream->form_choice = es->choice;

    ngx_pulse_form_add(form, text, NGX_PULSE_FORM_TEXT);
    ngx_pulse_form_add(form, ngx_pulse_member(root, "obfuscation"),
                       NGX_PULSE_FORM_ANY);
    ngx_pulse_form_keep(form, data);
}


/* The one member of a delta that says anything, but for its role. */

static const ngx_pulse_json_value_t *
ngx_pulse_openai_events_only(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *delta)
{
    ngx_uint_t                     text, thinking;
    const ngx_pulse_json_value_t  *v, *only;

    only = NULL;

    for (v = delta ? delta->children : NULL; v; v = v->next) {

        text = ngx_pulse_is(&v->key, "content");
        thinking = ngx_pulse_is(&v->key, "reasoning_content")
                   || ngx_pulse_is(&v->key, "reasoning");

        if (v->type == NGX_PULSE_JSON_NULL || ngx_pulse_is(&v->key, "role")
            || (v->type == NGX_PULSE_JSON_ARRAY && v->nelts == 0)
            || (v->type == NGX_PULSE_JSON_STRING && v->string.len == 0
                && (text || thinking || ngx_pulse_is(&v->key, "refusal"))))
        {
            continue;
        }

        if (only || v->type != NGX_PULSE_JSON_STRING || !(text || thinking)) {
            return NULL;
        }

        only = v;

        es->stream->form_type = text ? NGX_PULSE_ANSWER_TEXT
                                     : NGX_PULSE_ANSWER_THINKING;
    }

    return only;
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

    rc = ngx_pulse_openai_events_logprobs(es, ngx_pulse_member(v, "logprobs"));

    if (rc == NGX_OK && message) {
        rc = ngx_pulse_openai_events_message(es, message);
    }

    if (rc == NGX_OK && es->logprobs.len) {
        rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_TEXT);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    reason = ngx_pulse_openai_events_string(v, "finish_reason");

    if (reason.len) {
        ngx_pulse_openai_events_finish(es, &reason);
    }

    return NGX_OK;
}


/* they wait for their text */

static ngx_int_t
ngx_pulse_openai_events_logprobs(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t                 raw;
    ngx_pulse_json_value_t   *list;

    static const ngx_str_t  lost = ngx_string("logprobs");

    if (v == NULL || v->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_OK;
    }

    list = ngx_pulse_member(v, "content");

    if (list && list->type == NGX_PULSE_JSON_ARRAY && list->nelts) {
        raw = ngx_pulse_raw(es->data, list);

        es->logprobs.data = raw.data + 1;
        es->logprobs.len = raw.len - 2;
    }

    /* those of a refusal, and of vendors who have them in lists of numbers */

    if (ngx_pulse_openai_events_list(v, "refusal")
        || ngx_pulse_openai_events_list(v, "tokens"))
    {
        return ngx_pulse_lose(es->handler, es->ctx, &lost);
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


ngx_int_t
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
    ngx_int_t                      rc;
    const ngx_pulse_json_value_t  *details;

    input = 0;
    output = 0;
    total = 0;

    rc = ngx_pulse_openai_events_number(v, "prompt_tokens", &input);

    if (ngx_pulse_openai_events_number(v, "completion_tokens", &output)
        != NGX_OK
        && rc != NGX_OK)
    {
        return;
    }

    (void) ngx_pulse_openai_events_number(v, "total_tokens", &total);

    /* some count reasoning in the total only */

    if (rc == NGX_OK && total - input > output) {
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


ngx_int_t
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

    if (type == NGX_PULSE_ANSWER_TEXT) {
        ev.logprobs = es->logprobs;
        ngx_str_null(&es->logprobs);
    }

    return es->handler(es->ctx, &ev);
}


ngx_int_t
ngx_pulse_openai_events_send(ngx_pulse_openai_events_t *es,
    ngx_pulse_answer_e type)
{
    ngx_pulse_answer_event_t  ev;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = type;
    ev.choice = (type == NGX_PULSE_ANSWER_USAGE
                 || type == NGX_PULSE_ANSWER_END) ? 0 : es->choice;
    ev.usage = es->stream->usage;

    if (type == NGX_PULSE_ANSWER_TEXT) {
        ev.logprobs = es->logprobs;
        ngx_str_null(&es->logprobs);
    }

    return es->handler(es->ctx, &ev);
}


ngx_str_t
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

ngx_int_t
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


const ngx_pulse_json_value_t *
ngx_pulse_openai_events_list(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *list;

    list = ngx_pulse_json_get(v, key);

    return (list && list->type == NGX_PULSE_JSON_ARRAY) ? list->children
                                                        : NULL;
}


/* FNV-1a */

uint32_t
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
