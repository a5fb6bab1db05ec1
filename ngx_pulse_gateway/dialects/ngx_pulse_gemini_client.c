
#include "ngx_pulse_gemini.h"

#include <string.h>
#include <openssl/evp.h>


typedef struct {
    ngx_uint_t    status;
    const char   *name;
} ngx_pulse_gemini_status_t;


static void ngx_pulse_gemini_put_text(ngx_pulse_gemini_writer_t *w,
    const ngx_str_t *text, ngx_uint_t thought, const ngx_str_t *logprobs,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_put_redacted(ngx_pulse_gemini_writer_t *w,
    const ngx_str_t *data, ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_add_signature(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_conversation_t *cv, const ngx_str_t *text,
    ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_put_signature(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_put_end(ngx_pulse_gemini_writer_t *w,
    ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_put_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_part_begin(ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_part_end(ngx_pulse_gemini_writer_t *w,
    const ngx_str_t *logprobs, const ngx_pulse_conversation_t *cv,
    ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_chunk_end(ngx_pulse_gemini_writer_t *w,
    ngx_pulse_buf_t *b);

static ngx_int_t ngx_pulse_gemini_hold(ngx_pulse_gemini_writer_t *w,
    ngx_pool_t *pool, const ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_gemini_hold_text(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_gemini_hold_source(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_conversation_t *cv, const ngx_pulse_citation_t *citation);
static ngx_pulse_gemini_call_t *ngx_pulse_gemini_held(
    ngx_pulse_gemini_writer_t *w, ngx_uint_t index);
static void ngx_pulse_gemini_release(ngx_pulse_gemini_writer_t *w,
    ngx_pulse_gemini_call_t *call, ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_release_all(ngx_pulse_gemini_writer_t *w,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_keep(ngx_pulse_gemini_writer_t *w,
    ngx_pulse_buf_t *to, const ngx_str_t *s);
static ngx_str_t ngx_pulse_gemini_kept(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_buf_t *b);


/* in the order of NGX_PULSE_FINISH_* */

const char  *ngx_pulse_gemini_reasons[] = {
    "STOP", "MAX_TOKENS", "STOP", "SAFETY", "OTHER"
};


static ngx_pulse_gemini_status_t  ngx_pulse_gemini_statuses[] = {
    { 400, "INVALID_ARGUMENT" },
    { 401, "UNAUTHENTICATED" },
    { 402, "RESOURCE_EXHAUSTED" },
    { 403, "PERMISSION_DENIED" },
    { 404, "NOT_FOUND" },
    { 408, "DEADLINE_EXCEEDED" },
    { 409, "ABORTED" },
    { 413, "INVALID_ARGUMENT" },
    { 429, "RESOURCE_EXHAUSTED" },
    { 499, "CANCELLED" },
    { 501, "UNIMPLEMENTED" },
    { 503, "UNAVAILABLE" },
    { 504, "DEADLINE_EXCEEDED" },
    { 0, NULL }
};


ngx_pulse_dialect_t  ngx_pulse_dialect_gemini = {
    ngx_string("gemini"),
    sizeof(ngx_pulse_gemini_reader_t),
    sizeof(ngx_pulse_gemini_writer_t),
    ngx_pulse_gemini_read,
    ngx_pulse_gemini_write_event,
    ngx_pulse_gemini_write_answer,
    ngx_pulse_gemini_write,
    ngx_pulse_gemini_read_event,
    ngx_pulse_gemini_read_end,
    ngx_pulse_gemini_read_answer,
    ngx_pulse_gemini_read_error
};


void
ngx_pulse_gemini_write_event(void *state, const ngx_pulse_conversation_t *cv,
    ngx_pulse_answer_event_t *ev, ngx_pulse_buf_t *b)
{
    ngx_pulse_gemini_writer_t *w = state;

    ngx_pulse_gemini_call_t  *call;

    if (w->ended || ev->choice != 0) {
        return;
    }

    /* a signature is whole when anything else is said */

    if (ev->type != NGX_PULSE_ANSWER_SIGNATURE) {
        ngx_pulse_gemini_put_signature(w, cv, b);
    }

    switch (ev->type) {

    case NGX_PULSE_ANSWER_START:
        w->id_len = ngx_min(ev->id.len, NGX_PULSE_GEMINI_ID_LEN);
        w->model_len = ngx_min(ev->model.len, NGX_PULSE_GEMINI_ID_LEN);

        if (w->id_len) {
            ngx_memcpy(w->id, ev->id.data, w->id_len);
        }

        if (w->model_len) {
            ngx_memcpy(w->model, ev->model.data, w->model_len);
        }

        break;

    case NGX_PULSE_ANSWER_TEXT:
    case NGX_PULSE_ANSWER_REFUSAL:
        w->call = NULL;
        w->text = 1;
        ngx_pulse_gemini_put_text(w, &ev->text, 0, &ev->logprobs, cv, b);
        break;

    case NGX_PULSE_ANSWER_THINKING:
        w->call = NULL;
        w->text = 0;
        ngx_pulse_gemini_put_text(w, &ev->text, 1, &ev->logprobs, cv, b);
        break;

    case NGX_PULSE_ANSWER_SIGNATURE:
        ngx_pulse_gemini_add_signature(w, cv, &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_REDACTED:
        w->call = NULL;
        w->text = 0;
        ngx_pulse_gemini_put_redacted(w, &ev->text, b);
        break;

    case NGX_PULSE_ANSWER_CALL:
        w->text = 0;

        if (ngx_pulse_gemini_hold(w, cv->pool, ev) != NGX_OK) {
            b->failed = 1;
        }

        break;

    case NGX_PULSE_ANSWER_ARGUMENTS:

        if (ngx_pulse_gemini_hold_text(w, ev) != NGX_OK) {
            b->failed = 1;
        }

        break;

    case NGX_PULSE_ANSWER_CALL_END:
        call = ngx_pulse_gemini_held(w, ev->index);

        if (call) {
            ngx_pulse_gemini_release(w, call, b);
        }

        break;

    case NGX_PULSE_ANSWER_CITATION:

        if (ngx_pulse_gemini_hold_source(w, cv, ev->citation) != NGX_OK) {
            b->failed = 1;
        }

        break;

    case NGX_PULSE_ANSWER_IMAGE:
        w->call = NULL;
        w->text = 0;
        ngx_pulse_gemini_part_begin(b);
        ngx_pulse_gemini_image(&ev->name, &ev->text, b);
        ngx_pulse_gemini_part_end(w, NULL, cv, b);
        break;

    case NGX_PULSE_ANSWER_LOST:
        break;

    case NGX_PULSE_ANSWER_PART_END:
        w->call = NULL;
        w->text = 0;
        break;

    case NGX_PULSE_ANSWER_FINISH:
        w->finished = 1;
        w->finish = ev->finish;

        if (ev->usage.known) {
            w->usage = ev->usage;
        }

        ngx_pulse_gemini_release_all(w, b);
        break;

    case NGX_PULSE_ANSWER_USAGE:
        w->usage = ev->usage;
        break;

    case NGX_PULSE_ANSWER_ERROR:
        w->ended = 1;
        ngx_pulse_gemini_release_all(w, b);
        ngx_pulse_gemini_put_error(&ev->error, b);
        break;

    case NGX_PULSE_ANSWER_END:
        w->ended = 1;

        if (!ev->told) {
            ngx_pulse_gemini_release_all(w, b);
            ngx_pulse_gemini_put_end(w, b);
        }

        break;
    }
}


/* it may come in pieces, and wait for the arguments of its call */

static void
ngx_pulse_gemini_add_signature(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_conversation_t *cv, const ngx_str_t *text,
    ngx_pulse_buf_t *b)
{
    if (w->signature == NULL) {

        w->signature = ngx_pcalloc(cv->pool, sizeof(ngx_pulse_buf_t));

        if (w->signature == NULL
            || ngx_pulse_buf_init_pool(w->signature,
                                       NGX_PULSE_GEMINI_HELD_MAX, cv->pool)
               != NGX_OK)
        {
            w->signature = NULL;
            b->failed = 1;
            return;
        }
    }

    ngx_pulse_buf_str(w->signature, text);

    if (w->signature->failed) {
        b->failed = 1;
    }
}


/* those of calls and of text are Gemini's own, of thoughts another's */

static void
ngx_pulse_gemini_put_signature(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    ngx_str_t  text;

    if (w->signature == NULL || w->signature->len == 0) {
        return;
    }

    text.data = w->signature->data;
    text.len = w->signature->len;

    w->signature->len = 0;

    if (w->call) {

        /* the last one that is told is the call's */

        (void) ngx_pulse_gemini_kept(w, &w->call->signature);
        w->call->signature.len = 0;

        if (ngx_pulse_gemini_keep(w, &w->call->signature, &text) != NGX_OK) {
            b->failed = 1;
        }

        return;
    }

    ngx_pulse_gemini_part_begin(b);
    ngx_pulse_buf_literal(b, "\"text\":\"\"");

    if (w->text) {
        ngx_pulse_json_string(b, "thoughtSignature", &text);

    } else {
        ngx_pulse_buf_literal(b, ",\"thought\":true");
        ngx_pulse_gemini_wrap(NGX_PULSE_GEMINI_SIGNATURE, &text, b);
    }

    ngx_pulse_gemini_part_end(w, NULL, NULL, b);
}


static void
ngx_pulse_gemini_put_text(ngx_pulse_gemini_writer_t *w, const ngx_str_t *text,
    ngx_uint_t thought, const ngx_str_t *logprobs,
    const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    if (text->len == 0 && logprobs->len == 0) {
        return;
    }

    ngx_pulse_gemini_part_begin(b);
    ngx_pulse_json_string(b, "text", text);

    if (thought) {
        ngx_pulse_buf_literal(b, ",\"thought\":true");
    }

    ngx_pulse_gemini_part_end(w, logprobs, cv, b);
}


static void
ngx_pulse_gemini_put_redacted(ngx_pulse_gemini_writer_t *w,
    const ngx_str_t *data, ngx_pulse_buf_t *b)
{
    ngx_pulse_gemini_part_begin(b);

    ngx_pulse_buf_literal(b, "\"text\":\"\",\"thought\":true");
    ngx_pulse_gemini_wrap(NGX_PULSE_GEMINI_REDACTED, data, b);

    ngx_pulse_gemini_part_end(w, NULL, NULL, b);
}


/* the part is for chats of the SDK: they forget an answer of which a chunk
 * has none */

static void
ngx_pulse_gemini_put_end(ngx_pulse_gemini_writer_t *w, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "data: {\"candidates\":[{\"content\":{\"parts\":"
                             "[{\"text\":\"\"}],\"role\":\"model\"}");

    if (w->finished) {
        ngx_pulse_json_literal(b, "finishReason",
                               ngx_pulse_gemini_reasons[w->finish]);
    }

    ngx_pulse_buf_literal(b, ",\"index\":0");

    if (w->found) {
        ngx_pulse_gemini_put_sources(w->found, b);
    }

    ngx_pulse_buf_literal(b, "}]");
    ngx_pulse_gemini_figures(&w->usage, b);
    ngx_pulse_gemini_chunk_end(w, b);
}


/* the SDK throws only where there is a status of an error */

static void
ngx_pulse_gemini_put_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "data: ");
    ngx_pulse_gemini_write_error(error, error->quota ? 402 : 503, b);
    ngx_pulse_buf_literal(b, "\r\n\r\n");
}


static void
ngx_pulse_gemini_part_begin(ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "data: {\"candidates\":[{\"content\":{"
                             "\"parts\":[{");
}


static void
ngx_pulse_gemini_part_end(ngx_pulse_gemini_writer_t *w,
    const ngx_str_t *logprobs, const ngx_pulse_conversation_t *cv,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "}],\"role\":\"model\"},\"index\":0");

    if (logprobs) {
        ngx_pulse_gemini_put_logprobs(logprobs, cv->pool->log, b);
    }

    ngx_pulse_buf_literal(b, "}]");
    ngx_pulse_gemini_chunk_end(w, b);
}


void
ngx_pulse_gemini_image(const ngx_str_t *type, const ngx_str_t *data,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "\"inlineData\":{");
    ngx_pulse_json_string(b, "mimeType", type);
    ngx_pulse_json_string(b, "data", data);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_gemini_chunk_end(ngx_pulse_gemini_writer_t *w, ngx_pulse_buf_t *b)
{
    ngx_str_t  s;

    s.data = w->model;
    s.len = w->model_len;

    if (s.len) {
        ngx_pulse_json_string(b, "modelVersion", &s);
    }

    s.data = w->id;
    s.len = w->id_len;

    if (s.len) {
        ngx_pulse_json_string(b, "responseId", &s);
    }

    ngx_pulse_buf_literal(b, "}\r\n\r\n");
}


/* this dialect has no deltas of arguments: they are kept until whole */

static ngx_int_t
ngx_pulse_gemini_hold(ngx_pulse_gemini_writer_t *w, ngx_pool_t *pool,
    const ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_gemini_call_t  *call, **last;

    call = w->spare;

    if (call) {
        w->spare = call->next;
        call->next = NULL;

    } else {
        call = ngx_pcalloc(pool, sizeof(ngx_pulse_gemini_call_t));

        if (call == NULL
            || ngx_pulse_buf_init_pool(&call->id, 0, pool) != NGX_OK
            || ngx_pulse_buf_init_pool(&call->name, 0, pool) != NGX_OK
            || ngx_pulse_buf_init_pool(&call->signature, 0, pool) != NGX_OK
            || ngx_pulse_buf_init_pool(&call->arguments, 0, pool) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (last = &w->calls; *last; last = &(*last)->next) { /* void */ }

    *last = call;

    call->index = ev->index;
    w->call = call;

    /* many calls without any arguments are bounded, too */

    w->held += sizeof(ngx_pulse_gemini_call_t);

    if (ngx_pulse_gemini_keep(w, &call->id, &ev->id) != NGX_OK
        || ngx_pulse_gemini_keep(w, &call->name, &ev->name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_gemini_keep(w, &call->signature, &ev->signature);
}


static ngx_int_t
ngx_pulse_gemini_hold_text(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_gemini_call_t  *call;

    call = ngx_pulse_gemini_held(w, ev->index);

    if (call == NULL) {
        return NGX_ERROR;
    }

    w->call = call;

    return ngx_pulse_gemini_keep(w, &call->arguments, &ev->text);
}


/* all of them are said at the end: a chunk's replace those of before */

static ngx_int_t
ngx_pulse_gemini_hold_source(ngx_pulse_gemini_writer_t *w,
    const ngx_pulse_conversation_t *cv, const ngx_pulse_citation_t *citation)
{
    ngx_pulse_gemini_found_t  *found;

    found = w->found;

    if (found == NULL) {
        found = ngx_pcalloc(cv->pool, sizeof(ngx_pulse_gemini_found_t));

        if (found == NULL
            || ngx_pulse_buf_init_pool(&found->chunks,
                                       NGX_PULSE_GEMINI_HELD_MAX, cv->pool)
               != NGX_OK
            || ngx_pulse_buf_init_pool(&found->supports,
                                       NGX_PULSE_GEMINI_HELD_MAX, cv->pool)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        w->found = found;
    }

    ngx_pulse_gemini_add_source(cv, citation, found);

    return NGX_OK;
}


static ngx_pulse_gemini_call_t *
ngx_pulse_gemini_held(ngx_pulse_gemini_writer_t *w, ngx_uint_t index)
{
    ngx_pulse_gemini_call_t  *call;

    for (call = w->calls; call; call = call->next) {
        if (call->index == index) {
            break;
        }
    }

    return call;
}


static void
ngx_pulse_gemini_release(ngx_pulse_gemini_writer_t *w,
    ngx_pulse_gemini_call_t *call, ngx_pulse_buf_t *b)
{
    ngx_str_t                  id, name, signature, arguments;
    ngx_pulse_gemini_call_t  **p;

    id = ngx_pulse_gemini_kept(w, &call->id);
    name = ngx_pulse_gemini_kept(w, &call->name);
    signature = ngx_pulse_gemini_kept(w, &call->signature);
    arguments = ngx_pulse_gemini_kept(w, &call->arguments);

    w->held -= sizeof(ngx_pulse_gemini_call_t);

    ngx_pulse_gemini_part_begin(b);
    ngx_pulse_gemini_call_part(&id, &name, &arguments, &signature, b);
    ngx_pulse_gemini_part_end(w, NULL, NULL, b);

    /* the pool would keep what is of each call till the end */

    ngx_pulse_buf_free(&call->id);
    ngx_pulse_buf_free(&call->name);
    ngx_pulse_buf_free(&call->signature);
    ngx_pulse_buf_free(&call->arguments);

    for (p = &w->calls; *p != call; p = &(*p)->next) { /* void */ }

    *p = call->next;
    call->next = w->spare;
    w->spare = call;
    w->call = NULL;
}


static void
ngx_pulse_gemini_release_all(ngx_pulse_gemini_writer_t *w, ngx_pulse_buf_t *b)
{
    while (w->calls) {
        ngx_pulse_gemini_release(w, w->calls, b);
    }
}


static ngx_int_t
ngx_pulse_gemini_keep(ngx_pulse_gemini_writer_t *w, ngx_pulse_buf_t *to,
    const ngx_str_t *s)
{
    w->held += s->len;

    if (w->held > NGX_PULSE_GEMINI_HELD_MAX) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_str(to, s);

    return to->failed ? NGX_ERROR : NGX_OK;
}


static ngx_str_t
ngx_pulse_gemini_kept(ngx_pulse_gemini_writer_t *w, const ngx_pulse_buf_t *b)
{
    ngx_str_t  s;

    s.data = b->data;
    s.len = b->len;

    w->held -= s.len;

    return s;
}


void
ngx_pulse_gemini_call_part(const ngx_str_t *id, const ngx_str_t *name,
    const ngx_str_t *arguments, const ngx_str_t *signature, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "\"functionCall\":{");

    if (id->len) {
        ngx_pulse_json_string(b, "id", id);
    }

    ngx_pulse_json_string(b, "name", name);
    ngx_pulse_json_key(b, "args");
    ngx_pulse_gemini_args(arguments, b);
    ngx_pulse_buf_char(b, '}');

    if (signature->len) {
        ngx_pulse_json_string(b, "thoughtSignature", signature);
    }
}


void
ngx_pulse_gemini_wrap(const char *word, const ngx_str_t *s, ngx_pulse_buf_t *b)
{
    u_char           *p;
    size_t            len;
    ngx_pulse_buf_t   text;

    ngx_pulse_buf_init(&text, 0);
    ngx_pulse_buf_append(&text, (u_char *) word, NGX_PULSE_GEMINI_WORD);
    ngx_pulse_buf_str(&text, s);

    len = (text.len + 2) / 3 * 4;

    ngx_pulse_buf_literal(b, ",\"thoughtSignature\":\"");

    /* EVP_EncodeBlock() adds a NUL */

    p = text.failed || text.len > INT_MAX / 2
        ? NULL : ngx_pulse_buf_reserve(b, len + 1);

    if (p) {
        b->len += EVP_EncodeBlock(p, text.data, (int) text.len);

    } else {
        b->failed = 1;
    }

    ngx_pulse_buf_char(b, '"');
    ngx_pulse_buf_free(&text);
}


/* thoughts are beside the candidates' figure, what is cached in the prompt's;
 * there is no name for what was written to a cache */

void
ngx_pulse_gemini_figures(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b)
{
    uint64_t  reasoning;

    if (!usage->known) {
        return;
    }

    reasoning = ngx_min(usage->reasoning, usage->output);

    ngx_pulse_json_key(b, "usageMetadata");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_number(b, "promptTokenCount", usage->input);
    ngx_pulse_json_number(b, "candidatesTokenCount",
                          usage->output - reasoning);
    ngx_pulse_json_number(b, "totalTokenCount", usage->input + usage->output);

    if (usage->cached) {
        ngx_pulse_json_number(b, "cachedContentTokenCount", usage->cached);
    }

    if (reasoning) {
        ngx_pulse_json_number(b, "thoughtsTokenCount", reasoning);
    }

    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_gemini_write_error(const ngx_pulse_chat_error_t *error,
    ngx_uint_t status, ngx_pulse_buf_t *b)
{
    ngx_pulse_gemini_status_t  *known;

    for (known = ngx_pulse_gemini_statuses; known->name; known++) {
        if (known->status == status) {
            break;
        }
    }

    ngx_pulse_buf_literal(b, "{\"error\":{");
    ngx_pulse_json_number(b, "code", status);
    ngx_pulse_json_string(b, "message", &error->message);
    ngx_pulse_json_literal(b, "status",
                           known->name ? known->name : "INTERNAL");

    if (error->retry) {
        ngx_pulse_buf_literal(b, ",\"details\":[{\"@type\":\"type.googleapis"
                                 ".com/google.rpc.RetryInfo\","
                                 "\"retryDelay\":\"");
        ngx_pulse_buf_int(b, (error->retry + 999) / 1000);
        ngx_pulse_buf_literal(b, "s\"}]");
    }

    ngx_pulse_buf_literal(b, "}}");
}


void
ngx_pulse_gemini_write_count(uint64_t n, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"totalTokens\":");
    ngx_pulse_buf_int(b, n);
    ngx_pulse_buf_char(b, '}');
}


void
ngx_pulse_gemini_args(const ngx_str_t *arguments, ngx_pulse_buf_t *b)
{
    if (arguments->len == 0) {
        ngx_pulse_buf_literal(b, "{}");

    } else if (ngx_pulse_json_is_object(arguments)) {
        ngx_pulse_json_compact(arguments, b);

    } else {
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_string(b, "INVALID_JSON", arguments);
        ngx_pulse_buf_char(b, '}');
    }
}
