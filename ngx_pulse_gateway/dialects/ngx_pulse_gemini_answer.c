
#include "ngx_pulse_gemini.h"
#include "ngx_pulse_id.h"


/* of a made-up id the part that is the answer's own; OpenAI takes 40 bytes */

#define NGX_PULSE_GEMINI_CALL_ID     28


typedef struct {
    ngx_pulse_gemini_reader_t     *rd;
    ngx_pool_t                    *pool;
    const ngx_str_t               *text;        /* that the tree is of */
    ngx_pulse_answer_pt            handler;
    void                          *ctx;
} ngx_pulse_gemini_chunk_t;


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
static ngx_int_t ngx_pulse_gemini_part(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_text(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *v, const ngx_str_t *text);
static ngx_int_t ngx_pulse_gemini_call(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *signature);
static ngx_int_t ngx_pulse_gemini_call_start(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *name,
    const ngx_str_t *signature);
static void ngx_pulse_gemini_call_id(ngx_pulse_gemini_reader_t *rd,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_call_args(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_call_end(ngx_pulse_gemini_reader_t *rd,
    ngx_pulse_answer_pt handler, void *ctx);

static ngx_int_t ngx_pulse_gemini_partial(ngx_pulse_gemini_partial_t *partial,
    const ngx_str_t *text, const ngx_pulse_json_value_t *v,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_partial_go(
    ngx_pulse_gemini_partial_t *partial, const ngx_str_t *path,
    ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_partial_end(ngx_pulse_gemini_partial_t *partial,
    ngx_uint_t from, ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_steps(const ngx_str_t *path,
    ngx_str_t *steps, ngx_uint_t *nsteps);
static ngx_uint_t ngx_pulse_gemini_step_name(const ngx_str_t *step,
    ngx_str_t *name);
static void ngx_pulse_gemini_quoted(ngx_pulse_buf_t *b, const ngx_str_t *s,
    ngx_uint_t first, ngx_uint_t last);

static void ngx_pulse_gemini_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *v);
static uint64_t ngx_pulse_gemini_figure(const ngx_pulse_json_value_t *v,
    const char *key);
static void ngx_pulse_gemini_finish(ngx_pulse_gemini_reader_t *rd,
    const ngx_str_t *native);
static void ngx_pulse_gemini_error(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v);
static void ngx_pulse_gemini_error_detail(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v);
static int64_t ngx_pulse_gemini_delay(const ngx_str_t *s);
static ngx_str_t ngx_pulse_gemini_string(const ngx_pulse_json_value_t *v,
    const char *key);
static ngx_uint_t ngx_pulse_gemini_true(const ngx_pulse_json_value_t *v,
    const char *key);


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
    ngx_pulse_json_value_t    *root;
    ngx_pulse_gemini_chunk_t   chunk;

    root = ngx_pulse_gemini_tree(pool, data->data, data->len);
    if (root == NULL) {
        return NGX_ERROR;
    }

    chunk.rd = state;
    chunk.pool = pool;
    chunk.text = data;
    chunk.handler = handler;
    chunk.ctx = ctx;

    return ngx_pulse_gemini_chunks(&chunk, root);
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
        ev.type = NGX_PULSE_ANSWER_USAGE;

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
    ngx_int_t                rc;
    ngx_str_t                reason;
    ngx_pulse_json_value_t  *part;

    /* no more than one was asked for */

    if (ngx_pulse_gemini_figure(v, "index") != 0) {
        return NGX_OK;
    }

    part = ngx_pulse_member(ngx_pulse_member(v, "content"), "parts");

    if (part && part->type == NGX_PULSE_JSON_ARRAY) {

        for (part = part->children; part; part = part->next) {
            rc = ngx_pulse_gemini_part(chunk, part);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    reason = ngx_pulse_gemini_string(v, "finishReason");

    if (reason.len) {
        ngx_pulse_gemini_finish(chunk->rd, &reason);
    }

    return NGX_OK;
}


/*
 * What the provider's own tools did (executableCode, toolCall) and images
 * have no event: only clients of this dialect can ask for them, and they get
 * the answer as it is.
 */

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
        return NGX_OK;
    }

    if (member->type != NGX_PULSE_JSON_STRING) {
        return NGX_ERROR;
    }

    return ngx_pulse_gemini_text(chunk, v, &member->string);
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

    if (signature.len == 0 && (thought || text->len == 0)) {
        return NGX_OK;
    }

    /* a signature is always one of text, be it empty: those of thoughts are
     * other vendors' */

    ev.type = NGX_PULSE_ANSWER_TEXT;
    ngx_str_null(&ev.text);

    if (!thought) {
        ev.text = *text;
    }

    rc = chunk->handler(chunk->ctx, &ev);

    if (rc != NGX_OK || signature.len == 0) {
        return rc;
    }

    ev.type = NGX_PULSE_ANSWER_SIGNATURE;
    ev.text = signature;

    return chunk->handler(chunk->ctx, &ev);
}


/*
 * A call is one part, or with streamed arguments several: the first has the
 * name, and all but the last say that there is more.
 */

static ngx_int_t
ngx_pulse_gemini_call(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *signature)
{
    ngx_int_t                   rc;
    ngx_str_t                   name;
    ngx_pulse_buf_t             b;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_gemini_reader_t  *rd;

    rd = chunk->rd;

    name = ngx_pulse_gemini_string(call, "name");

    if (name.len) {
        rc = ngx_pulse_gemini_call_start(chunk, call, &name, signature);
        if (rc != NGX_OK) {
            return rc;
        }

    } else if (!rd->open) {
        return NGX_ERROR;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (name.len == 0 && signature->len) {
        ev.type = NGX_PULSE_ANSWER_SIGNATURE;
        ev.text = *signature;

        rc = chunk->handler(chunk->ctx, &ev);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_pulse_buf_init(&b, 0);

    rc = ngx_pulse_gemini_call_args(chunk, call, &b);

    if (rc == NGX_OK && b.len) {
        ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
        ev.index = rd->calls - 1;
        ev.text.data = b.data;
        ev.text.len = b.len;

        rc = chunk->handler(chunk->ctx, &ev);
    }

    ngx_pulse_buf_free(&b);

    if (rc != NGX_OK || ngx_pulse_gemini_true(call, "willContinue")) {
        return rc;
    }

    return ngx_pulse_gemini_call_end(rd, chunk->handler, chunk->ctx);
}


static ngx_int_t
ngx_pulse_gemini_call_start(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *name,
    const ngx_str_t *signature)
{
    ngx_int_t                   rc;
    ngx_pulse_buf_t             b;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_gemini_reader_t  *rd;

    rd = chunk->rd;

    rc = ngx_pulse_gemini_call_end(rd, chunk->handler, chunk->ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CALL;
    ev.index = rd->calls++;
    ev.id = ngx_pulse_gemini_string(call, "id");
    ev.name = *name;
    ev.signature = *signature;

    rd->open = 1;
    rd->whole = 0;

    ngx_pulse_buf_init(&b, 0);

    if (ev.id.len == 0) {
        ngx_pulse_gemini_call_id(rd, &b);
        ev.id.data = b.data;
        ev.id.len = b.len;
    }

    rc = b.failed ? NGX_ERROR : chunk->handler(chunk->ctx, &ev);

    ngx_pulse_buf_free(&b);

    return rc;
}


/* older models give no ids: unique, and the same if read again */

static void
ngx_pulse_gemini_call_id(ngx_pulse_gemini_reader_t *rd, ngx_pulse_buf_t *b)
{
    u_char  ch, random[NGX_PULSE_GEMINI_CALL_ID / 2];
    size_t  i, n;

    static const u_char  hex[] = "0123456789abcdef";

    ngx_pulse_buf_literal(b, "call_");
    n = b->len;

    for (i = 0; i < rd->id_len; i++) {
        ch = rd->id[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
            || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_')
        {
            if (b->len - n < NGX_PULSE_GEMINI_CALL_ID) {
                ngx_pulse_buf_char(b, ch);
            }
        }
    }

    if (b->len == n) {

        if (ngx_pulse_random(random, sizeof(random)) != NGX_OK) {
            b->failed = 1;
            return;
        }

        for (i = 0; i < sizeof(random); i++) {
            ngx_pulse_buf_char(b, hex[random[i] >> 4]);
            ngx_pulse_buf_char(b, hex[random[i] & 0xf]);
        }
    }

    ngx_pulse_buf_char(b, '_');
    ngx_pulse_buf_int(b, rd->calls - 1);
}


static ngx_int_t
ngx_pulse_gemini_call_args(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, ngx_pulse_buf_t *b)
{
    ngx_int_t                rc;
    ngx_str_t                raw;
    ngx_pulse_json_value_t  *args;

    args = ngx_pulse_member(call, "args");

    if (args) {

        if (args->type != NGX_PULSE_JSON_OBJECT
            || chunk->rd->whole
            || chunk->rd->partial.begun)
        {
            return NGX_ERROR;
        }

        chunk->rd->whole = 1;

        raw = ngx_pulse_raw(chunk->text, args);
        ngx_pulse_gemini_compact(&raw, b);
    }

    args = ngx_pulse_member(call, "partialArgs");

    if (args && args->type == NGX_PULSE_JSON_ARRAY) {

        if (chunk->rd->whole) {
            return NGX_ERROR;
        }

        for (args = args->children; args; args = args->next) {

            rc = ngx_pulse_gemini_partial(&chunk->rd->partial, chunk->text,
                                          args, b);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_call_end(ngx_pulse_gemini_reader_t *rd,
    ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_int_t                 rc;
    ngx_pulse_buf_t           b;
    ngx_pulse_answer_event_t  ev;

    if (!rd->open) {
        return NGX_OK;
    }

    rd->open = 0;
    rc = NGX_OK;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ev.index = rd->calls - 1;

    if (rd->partial.begun) {
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_gemini_partial_end(&rd->partial, 0, &b);

        ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
        ev.text.data = b.data;
        ev.text.len = b.len;

        rc = b.failed ? NGX_ERROR : handler(ctx, &ev);

        ngx_pulse_buf_free(&b);
        ngx_memzero(&rd->partial, sizeof(ngx_pulse_gemini_partial_t));
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ev.type = NGX_PULSE_ANSWER_CALL_END;
    ngx_str_null(&ev.text);

    return handler(ctx, &ev);
}


/* a value at a path; strings may come in several */

static ngx_int_t
ngx_pulse_gemini_partial(ngx_pulse_gemini_partial_t *partial,
    const ngx_str_t *text, const ngx_pulse_json_value_t *v, ngx_pulse_buf_t *b)
{
    ngx_str_t                path, raw;
    ngx_uint_t               more, same;
    ngx_pulse_json_value_t  *value;

    path = ngx_pulse_gemini_string(v, "jsonPath");
    more = ngx_pulse_gemini_true(v, "willContinue");

    same = partial->string && path.len == partial->len
           && ngx_memcmp(path.data, partial->path, path.len) == 0;

    value = ngx_pulse_member(v, "stringValue");

    if (value && value->type != NGX_PULSE_JSON_STRING) {
        return NGX_ERROR;
    }

    if (same) {

        if (value) {
            ngx_pulse_gemini_quoted(b, &value->string, 0, !more);

        } else if (!more) {
            ngx_pulse_buf_char(b, '"');
        }

        partial->string = more;

        return NGX_OK;
    }

    if (ngx_pulse_gemini_partial_go(partial, &path, b) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value) {
        ngx_pulse_gemini_quoted(b, &value->string, 1, !more);
        partial->string = more;
        return NGX_OK;
    }

    value = ngx_pulse_member(v, "numberValue");

    if (value == NULL) {
        value = ngx_pulse_member(v, "boolValue");
    }

    if (value == NULL) {
        ngx_pulse_buf_literal(b, "null");
        return NGX_OK;
    }

    if (value->type != NGX_PULSE_JSON_NUMBER
        && value->type != NGX_PULSE_JSON_BOOL)
    {
        return NGX_ERROR;
    }

    raw = ngx_pulse_raw(text, value);
    ngx_pulse_buf_str(b, &raw);

    return NGX_OK;
}


/* closes what the last path was in and the next is not, opens the rest */

static ngx_int_t
ngx_pulse_gemini_partial_go(ngx_pulse_gemini_partial_t *partial,
    const ngx_str_t *path, ngx_pulse_buf_t *b)
{
    ngx_str_t   name, steps[NGX_PULSE_GEMINI_PATH_MAX];
    ngx_uint_t  i, nsteps, common, named;

    if (path->len > NGX_PULSE_GEMINI_PATH_LEN
        || ngx_pulse_gemini_steps(path, steps, &nsteps) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (common = 0; common < nsteps && common < partial->nsteps; common++) {

        if (steps[common].len != partial->steps[common].len
            || ngx_memcmp(steps[common].data, partial->steps[common].data,
                          steps[common].len) != 0)
        {
            break;
        }
    }

    /* a value where there is one already, or inside of it */

    if (common == nsteps || (partial->begun && common == partial->nsteps)) {
        return NGX_ERROR;
    }

    if (partial->begun) {
        ngx_pulse_gemini_partial_end(partial, common + 1, b);
        ngx_pulse_buf_char(b, ',');
    }

    for (i = common; i < nsteps; i++) {
        named = ngx_pulse_gemini_step_name(&steps[i], &name);

        if (i > common || !partial->begun) {
            ngx_pulse_buf_char(b, named ? '{' : '[');
        }

        if (named) {
            ngx_pulse_gemini_quoted(b, &name, 1, 1);
            ngx_pulse_buf_char(b, ':');
        }
    }

    ngx_memcpy(partial->path, path->data, path->len);

    for (i = 0; i < nsteps; i++) {
        partial->steps[i].data = partial->path + (steps[i].data - path->data);
        partial->steps[i].len = steps[i].len;
    }

    partial->len = path->len;
    partial->nsteps = nsteps;
    partial->begun = 1;

    return NGX_OK;
}


/* closes objects and arrays of the path from the last to that of "from" */

static void
ngx_pulse_gemini_partial_end(ngx_pulse_gemini_partial_t *partial,
    ngx_uint_t from, ngx_pulse_buf_t *b)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    if (partial->string) {
        ngx_pulse_buf_char(b, '"');
        partial->string = 0;
    }

    for (i = partial->nsteps; i > from; i--) {
        ngx_pulse_buf_char(b,
            ngx_pulse_gemini_step_name(&partial->steps[i - 1], &name)
                ? '}' : ']');
    }
}


/* "$.name[0]['other name']": each step begins with its '.' or '[' */

static ngx_int_t
ngx_pulse_gemini_steps(const ngx_str_t *path, ngx_str_t *steps,
    ngx_uint_t *nsteps)
{
    u_char  *p, *last, *start, quote;

    *nsteps = 0;

    if (path->len == 0 || path->data[0] != '$') {
        return NGX_ERROR;
    }

    p = path->data + 1;
    last = path->data + path->len;

    while (p < last) {

        if (*nsteps == NGX_PULSE_GEMINI_PATH_MAX) {
            return NGX_ERROR;
        }

        start = p++;

        if (*start == '[' && p < last && (*p == '\'' || *p == '"')) {
            quote = *p++;
            while (p < last && *p != quote) { p++; }

            if (last - p < 2 || p[1] != ']') {
                return NGX_ERROR;
            }

            p += 2;

        } else if (*start == '[') {
            while (p < last && *p >= '0' && *p <= '9') { p++; }

            if (p == last || *p != ']' || p == start + 1) {
                return NGX_ERROR;
            }

            p++;

        } else if (*start == '.') {
            while (p < last && *p != '.' && *p != '[') { p++; }

            if (p == start + 1) {
                return NGX_ERROR;
            }

        } else {
            return NGX_ERROR;
        }

        steps[*nsteps].data = start;
        steps[*nsteps].len = p - start;
        (*nsteps)++;
    }

    /* arguments are an object */

    return (*nsteps && (steps[0].data[0] == '.' || steps[0].data[1] == '\''
                        || steps[0].data[1] == '"'))
           ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_pulse_gemini_step_name(const ngx_str_t *step, ngx_str_t *name)
{
    if (step->data[0] == '.') {
        name->data = step->data + 1;
        name->len = step->len - 1;
        return 1;
    }

    if (step->data[1] == '\'' || step->data[1] == '"') {
        name->data = step->data + 2;
        name->len = step->len - 4;
        return 1;
    }

    return 0;
}


/* a JSON string, with its first quote and its last only if asked for */

static void
ngx_pulse_gemini_quoted(ngx_pulse_buf_t *b, const ngx_str_t *s,
    ngx_uint_t first, ngx_uint_t last)
{
    size_t  mark;

    mark = b->len;

    ngx_pulse_buf_json(b, s->len ? s->data : (u_char *) "", s->len);

    if (b->failed) {
        return;
    }

    if (!last) {
        b->len--;
    }

    if (!first) {
        b->len--;
        ngx_memmove(b->data + mark, b->data + mark + 1, b->len - mark);
    }
}


/*
 * Each chunk's figures replace the last, they are never added up; some have
 * none.  What tools of the provider's put in is not in the prompt's figure,
 * thoughts are not in that of candidates.
 */

static void
ngx_pulse_gemini_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *v)
{
    if (ngx_pulse_member(v, "promptTokenCount") == NULL
        && ngx_pulse_member(v, "totalTokenCount") == NULL
        && ngx_pulse_member(v, "candidatesTokenCount") == NULL)
    {
        return;
    }

    ngx_memzero(usage, sizeof(ngx_pulse_chat_usage_t));

    usage->known = 1;
    usage->input = ngx_pulse_gemini_figure(v, "promptTokenCount")
                   + ngx_pulse_gemini_figure(v, "toolUsePromptTokenCount");
    usage->cached = ngx_pulse_gemini_figure(v, "cachedContentTokenCount");
    usage->reasoning = ngx_pulse_gemini_figure(v, "thoughtsTokenCount");
    usage->output = ngx_pulse_gemini_figure(v, "candidatesTokenCount")
                    + usage->reasoning;
}


static uint64_t
ngx_pulse_gemini_figure(const ngx_pulse_json_value_t *v, const char *key)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    if (member == NULL
        || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &n) != NGX_OK
        || n < 0)
    {
        return 0;
    }

    return n;
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


static ngx_str_t
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


static ngx_uint_t
ngx_pulse_gemini_true(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    return member && member->type == NGX_PULSE_JSON_BOOL && member->boolean;
}
