
#include "ngx_pulse_gemini.h"


typedef struct {
    const char                    *native;
    ngx_uint_t                     finish;
} ngx_pulse_gemini_finish_t;


static ngx_pulse_json_value_t *ngx_pulse_gemini_tree(ngx_pool_t *pool,
    const u_char *p, size_t len);
static ngx_int_t ngx_pulse_gemini_chunks(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_gemini_chunk(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_start(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_candidate(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_parts(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *candidate);
static ngx_int_t ngx_pulse_gemini_part(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_other(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_text(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v, const ngx_str_t *text);

static void ngx_pulse_gemini_finish(ngx_pulse_gemini_reader_t *rd,
    const ngx_str_t *native);
static void ngx_pulse_gemini_error(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v);
static void ngx_pulse_gemini_error_detail(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v);
static int64_t ngx_pulse_gemini_delay(const ngx_str_t *s);


/* STOP is of calls too; what is not here the provider failed at */

static ngx_pulse_gemini_finish_t  ngx_pulse_gemini_finishes[] = {
    { "STOP", NGX_PULSE_FINISH_STOP },
    { "MAX_TOKENS", NGX_PULSE_FINISH_LENGTH },
    { "SAFETY", NGX_PULSE_FINISH_FILTER },
    { "RECITATION", NGX_PULSE_FINISH_FILTER },
    { "LANGUAGE", NGX_PULSE_FINISH_FILTER },
    { "BLOCKLIST", NGX_PULSE_FINISH_FILTER },
    { "PROHIBITED_CONTENT", NGX_PULSE_FINISH_FILTER },
    { "SPII", NGX_PULSE_FINISH_FILTER },
    { "IMAGE_SAFETY", NGX_PULSE_FINISH_FILTER },
    { "IMAGE_PROHIBITED_CONTENT", NGX_PULSE_FINISH_FILTER },
    { "IMAGE_RECITATION", NGX_PULSE_FINISH_FILTER },
    { "IMAGE_OTHER", NGX_PULSE_FINISH_FILTER },
    { NULL, NGX_PULSE_FINISH_ERROR }
};


ngx_int_t
ngx_pulse_gemini_read_event(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data, ngx_pulse_answer_pt handler,
    void *ctx)
{
    ngx_int_t                  rc;
    ngx_str_t                  values[NGX_PULSE_FORM_SLOTS];
    ngx_pulse_json_value_t    *root;
    ngx_pulse_gemini_chunk_t   chunk;

    chunk.rd = state;
    chunk.pool = pool;
    chunk.text = data;
    chunk.handler = handler;
    chunk.ctx = ctx;

    ngx_memzero(values, sizeof(values));

    if (ngx_pulse_form_match(&chunk.rd->form, pool, data, values) == NGX_OK) {
        return ngx_pulse_gemini_again(&chunk, values);
    }

    root = ngx_pulse_gemini_tree(pool, data->data, data->len);
    if (root == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_gemini_chunks(&chunk, root);

    if (rc == NGX_OK && !chunk.rd->failed) {
        ngx_pulse_gemini_form(chunk.rd, data, root);
    }

    return rc;
}


/*
 * Streams have no mark of their end, and after a finish reason more may
 * come: so what is said of the end is said only here.
 */

ngx_int_t
ngx_pulse_gemini_read_end(void *state, ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_pulse_gemini_reader_t *rd = state;

    ngx_int_t                  rc;
    ngx_pulse_answer_event_t   ev;

    if (rd->failed) {
        return NGX_OK;
    }

    rc = ngx_pulse_gemini_call_end(rd, handler, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.usage = rd->usage;

    if (rd->finished) {
        ev.type = NGX_PULSE_ANSWER_FINISH;
        ev.finish = rd->finish;
        ev.native.data = rd->native;
        ev.native.len = rd->native_len;

        if (rd->calls && rd->finish == NGX_PULSE_FINISH_STOP) {
            ev.finish = NGX_PULSE_FINISH_CALLS;
        }

        rc = handler(ctx, &ev);
        if (rc != NGX_OK) {
            return rc;
        }

        ev.type = NGX_PULSE_ANSWER_END;

        return handler(ctx, &ev);
    }

    if (rd->usage.known) {

        /* as far as it came: at least that much */

        ev.type = NGX_PULSE_ANSWER_USAGE;
        ev.usage.known = 0;

        rc = handler(ctx, &ev);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rd->failed = 1;

    ev.type = NGX_PULSE_ANSWER_ERROR;
    ngx_str_set(&ev.error.message, "the provider's answer ended too early");
    ngx_str_set(&ev.error.type, "UNAVAILABLE");

    return handler(ctx, &ev);
}


ngx_int_t
ngx_pulse_gemini_read_answer(ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_int_t                   rc;
    ngx_str_t                   name;
    ngx_pulse_gemini_reader_t  *rd;

    ngx_str_null(&name);

    rd = ngx_pcalloc(pool, sizeof(ngx_pulse_gemini_reader_t));
    if (rd == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_gemini_read_event(rd, pool, &name, body, handler, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_pulse_gemini_read_end(rd, handler, ctx);
}


ngx_int_t
ngx_pulse_gemini_read_error(ngx_pulse_chat_error_t *error, ngx_pool_t *pool,
    const u_char *p, size_t len)
{
    ngx_pulse_json_value_t  *root, *v;

    ngx_memzero(error, sizeof(ngx_pulse_chat_error_t));

    root = ngx_pulse_gemini_tree(pool, p, len);

    if (root && root->type == NGX_PULSE_JSON_ARRAY) {
        root = root->children;
    }

    v = ngx_pulse_member(root, "error");

    if (v == NULL
        || (v->type != NGX_PULSE_JSON_OBJECT
            && v->type != NGX_PULSE_JSON_STRING))
    {
        return NGX_DECLINED;
    }

    ngx_pulse_gemini_error(error, v);

    return NGX_OK;
}


/* signatures and images may be megabytes: it is the caller who has limits */

static ngx_pulse_json_value_t *
ngx_pulse_gemini_tree(ngx_pool_t *pool, const u_char *p, size_t len)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    limits.size = len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    return ngx_pulse_json_tree(pool, p, len, &limits, &err);
}


/* without alt=sse a stream is an array, and so are its errors */

static ngx_int_t
ngx_pulse_gemini_chunks(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *v;

    if (root->type == NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_gemini_chunk(chunk, root);
    }

    if (root->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_ERROR;
    }

    for (v = root->children; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return NGX_ERROR;
        }

        rc = ngx_pulse_gemini_chunk(chunk, v);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_chunk(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                   rc;
    ngx_str_t                   reason;
    ngx_pulse_json_value_t     *member;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_gemini_reader_t  *rd;

    rd = chunk->rd;

    if (rd->failed) {
        return NGX_OK;
    }

    member = ngx_pulse_member(v, "error");

    if (member) {
        rd->failed = 1;

        ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
        ev.type = NGX_PULSE_ANSWER_ERROR;
        ngx_pulse_gemini_error(&ev.error, member);

        return chunk->handler(chunk->ctx, &ev);
    }

    ngx_pulse_gemini_usage(&rd->usage, ngx_pulse_member(v, "usageMetadata"));

    if (!rd->started) {
        rc = ngx_pulse_gemini_start(chunk, v);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    member = ngx_pulse_member(v, "candidates");

    if (member && member->type == NGX_PULSE_JSON_ARRAY) {

        for (member = member->children; member; member = member->next) {
            rc = ngx_pulse_gemini_candidate(chunk, member);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    /* the prompt was blocked: there are no candidates then */

    reason = ngx_pulse_gemini_string(ngx_pulse_member(v, "promptFeedback"),
                                     "blockReason");
    if (reason.len) {
        ngx_pulse_gemini_finish(rd, &reason);
        rd->finish = NGX_PULSE_FINISH_FILTER;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_start(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_gemini_reader_t  *rd;

    rd = chunk->rd;
    rd->started = 1;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_START;
    ev.id = ngx_pulse_gemini_string(v, "responseId");
    ev.model = ngx_pulse_gemini_string(v, "modelVersion");
    ev.usage = rd->usage;
    ev.usage.known = 0;

    rd->id_len = ngx_min(ev.id.len, NGX_PULSE_GEMINI_ID_LEN);

    if (rd->id_len) {
        ngx_memcpy(rd->id, ev.id.data, rd->id_len);
    }

    return chunk->handler(chunk->ctx, &ev);
}


static ngx_int_t
ngx_pulse_gemini_candidate(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t  rc;
    ngx_str_t  reason;

    /* no more than one was asked for */

    if (ngx_pulse_gemini_figure(v, "index") != 0) {
        return NGX_OK;
    }

    ngx_pulse_buf_init(&chunk->logprobs, 0);
    ngx_pulse_gemini_read_logprobs(ngx_pulse_member(v, "logprobsResult"),
                                   &chunk->logprobs);

    rc = chunk->logprobs.failed ? NGX_ERROR
                                : ngx_pulse_gemini_parts(chunk, v);

    ngx_pulse_buf_free(&chunk->logprobs);

    if (rc != NGX_OK) {
        return rc;
    }

    reason = ngx_pulse_gemini_string(v, "finishReason");

    if (reason.len) {
        ngx_pulse_gemini_finish(chunk->rd, &reason);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_parts(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *candidate)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *part;

    static const ngx_str_t  logprobs = ngx_string("logprobsResult");

    part = ngx_pulse_member(ngx_pulse_member(candidate, "content"), "parts");

    if (part && part->type == NGX_PULSE_JSON_ARRAY) {

        for (part = part->children; part; part = part->next) {
            rc = ngx_pulse_gemini_part(chunk, part);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    if (chunk->logprobs.len) {

        /* there was no text to have them */

        rc = ngx_pulse_lose(chunk->handler, chunk->ctx, &logprobs);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_pulse_gemini_sources(chunk, candidate);
}



static ngx_int_t
ngx_pulse_gemini_part(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                rc;
    ngx_str_t                signature;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, "functionCall");

    if (member) {
        signature = ngx_pulse_gemini_string(v, "thoughtSignature");
        return ngx_pulse_gemini_call(chunk, member, &signature);
    }

    rc = ngx_pulse_gemini_call_end(chunk->rd, chunk->handler, chunk->ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    member = ngx_pulse_member(v, "text");

    if (member == NULL) {
        return ngx_pulse_gemini_other(chunk, v);
    }

    if (member->type != NGX_PULSE_JSON_STRING) {
        return NGX_ERROR;
    }

    return ngx_pulse_gemini_text(chunk, v, &member->string);
}


/* A picture; what tools of the provider's own did has no event. */

static ngx_int_t
ngx_pulse_gemini_other(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                      rc;
    ngx_str_t                      none;
    ngx_pulse_json_value_t        *member;
    ngx_pulse_answer_event_t       ev;
    const ngx_pulse_json_value_t  *data;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ngx_str_null(&none);

    data = ngx_pulse_member(v, "inlineData");

    ev.type = NGX_PULSE_ANSWER_IMAGE;
    ev.name = ngx_pulse_gemini_string(data, "mimeType");
    ev.text = ngx_pulse_gemini_string(data, "data");

    if (ev.text.len && ev.name.len > 6
        && ngx_strncmp(ev.name.data, "image/", 6) == 0)
    {
        rc = chunk->handler(chunk->ctx, &ev);

        return (rc == NGX_OK) ? ngx_pulse_gemini_text(chunk, v, &none) : rc;
    }

    for (member = v->children; member; member = member->next) {

        if (ngx_pulse_is(&member->key, "thought")
            || ngx_pulse_is(&member->key, "thoughtSignature"))
        {
            continue;
        }

        rc = ngx_pulse_lose(chunk->handler, chunk->ctx, &member->key);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_text(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v, const ngx_str_t *text)
{
    ngx_int_t                 rc;
    ngx_str_t                 signature;
    ngx_uint_t                thought;
    ngx_pulse_answer_event_t  ev;

    signature = ngx_pulse_gemini_string(v, "thoughtSignature");
    thought = ngx_pulse_gemini_true(v, "thought");

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (thought && text->len) {
        ev.type = NGX_PULSE_ANSWER_THINKING;
        ev.text = *text;

        rc = chunk->handler(chunk->ctx, &ev);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (signature.len == 0
        && (thought || (text->len == 0 && chunk->logprobs.len == 0)))
    {
        return NGX_OK;
    }

    /* a signature is always one of text, be it empty: those of thoughts are
     * other vendors' */

    ev.type = NGX_PULSE_ANSWER_TEXT;
    ngx_str_null(&ev.text);

    if (!thought) {
        ev.text = *text;
        ev.logprobs.data = chunk->logprobs.data;
        ev.logprobs.len = chunk->logprobs.len;
        chunk->logprobs.len = 0;
    }

    rc = chunk->handler(chunk->ctx, &ev);

    ngx_str_null(&ev.logprobs);

    if (rc != NGX_OK || signature.len == 0) {
        return rc;
    }

    ev.type = NGX_PULSE_ANSWER_SIGNATURE;
    ev.text = signature;

    return chunk->handler(chunk->ctx, &ev);
}


static void
ngx_pulse_gemini_finish(ngx_pulse_gemini_reader_t *rd, const ngx_str_t *native)
{
    ngx_pulse_gemini_finish_t  *finish;

    for (finish = ngx_pulse_gemini_finishes; finish->native; finish++) {
        if (ngx_pulse_is(native, finish->native)) {
            break;
        }
    }

    rd->finished = 1;
    rd->finish = finish->finish;

    rd->native_len = ngx_min(native->len, NGX_PULSE_GEMINI_ID_LEN);
    ngx_memcpy(rd->native, native->data, rd->native_len);
}


static void
ngx_pulse_gemini_error(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_json_value_t  *code, *details;

    if (v->type == NGX_PULSE_JSON_STRING) {
        error->message = v->string;
        return;
    }

    error->message = ngx_pulse_gemini_string(v, "message");
    error->type = ngx_pulse_gemini_string(v, "status");

    code = ngx_pulse_member(v, "code");

    if (code && (code->type == NGX_PULSE_JSON_NUMBER
                 || code->type == NGX_PULSE_JSON_STRING))
    {
        error->code = code->string;
    }

    /* RESOURCE_EXHAUSTED is of rates too, then with 429 */

    error->quota = ngx_pulse_is(&error->code, "402");

    details = ngx_pulse_member(v, "details");

    if (details == NULL || details->type != NGX_PULSE_JSON_ARRAY) {
        return;
    }

    for (v = details->children; v; v = v->next) {
        ngx_pulse_gemini_error_detail(error, v);
    }
}


static void
ngx_pulse_gemini_error_detail(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t  type, s;

    type = ngx_pulse_gemini_string(v, "@type");

    if (ngx_pulse_is(&type, "type.googleapis.com/google.rpc.ErrorInfo")) {
        s = ngx_pulse_gemini_string(v, "reason");

        if (s.len) {
            error->code = s;
        }

        if (ngx_pulse_is(&s, "BILLING_DISABLED")) {
            error->quota = 1;
        }
    }

    if (ngx_pulse_is(&type, "type.googleapis.com/google.rpc.RetryInfo")) {
        s = ngx_pulse_gemini_string(v, "retryDelay");
        error->retry = ngx_pulse_gemini_delay(&s);
    }
}


/* google.protobuf.Duration: "34.4s" */

static int64_t
ngx_pulse_gemini_delay(const ngx_str_t *s)
{
    size_t   i;
    int64_t  ms, unit;

    ms = 0;

    for (i = 0; i < s->len && s->data[i] >= '0' && s->data[i] <= '9'; i++) {

        if (ms > INT32_MAX) {
            return 0;
        }

        ms = ms * 10 + (s->data[i] - '0');
    }

    ms *= 1000;

    if (i < s->len && s->data[i] == '.') {
        unit = 100;

        for (i++; i < s->len && s->data[i] >= '0' && s->data[i] <= '9'; i++) {
            ms += (s->data[i] - '0') * unit;
            unit /= 10;
        }
    }

    return (i > 0 && i + 1 == s->len && s->data[i] == 's') ? ms : 0;
}


ngx_str_t
ngx_pulse_gemini_string(const ngx_pulse_json_value_t *v, const char *key)
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


ngx_uint_t
ngx_pulse_gemini_true(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    return member && member->type == NGX_PULSE_JSON_BOOL && member->boolean;
}
