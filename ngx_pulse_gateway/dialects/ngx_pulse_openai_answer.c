
#include "ngx_pulse_openai.h"

#include <string.h>


#define NGX_PULSE_OPENAI_ANSWER_MAX  (64 * 1024 * 1024)


typedef struct {
    ngx_pulse_openai_answer_t  *answer;
    ngx_pulse_openai_span_t    *last;       /* member before, if known */
    size_t                      prev;
    uint64_t                    total;
    ngx_uint_t                  texts;      /* of output */
    unsigned                    object:1;
    unsigned                    input:1;    /* its figure was seen */
} ngx_pulse_openai_scanner_t;


static ngx_int_t ngx_pulse_openai_repeat(ngx_pulse_openai_answer_t *answer,
    const ngx_str_t *data);
static void ngx_pulse_openai_move(const ngx_pulse_form_t *form,
    ngx_pulse_openai_span_t *span);
static ngx_int_t ngx_pulse_openai_scan(ngx_pulse_openai_answer_t *answer,
    const u_char *p, size_t len);
static ngx_int_t ngx_pulse_openai_scan_value(void *ctx,
    ngx_pulse_json_event_t *ev);
static void ngx_pulse_openai_scan_member(ngx_pulse_openai_scanner_t *scanner,
    ngx_pulse_json_event_t *ev);
static void ngx_pulse_openai_scan_usage(ngx_pulse_openai_scanner_t *scanner,
    ngx_pulse_json_event_t *ev, ngx_uint_t depth);
static void ngx_pulse_openai_scan_choice(ngx_pulse_openai_scanner_t *scanner,
    ngx_pulse_json_event_t *ev);
static ngx_uint_t ngx_pulse_openai_is_output(const ngx_str_t *key);
static void ngx_pulse_openai_keep(u_char *to, size_t *to_len,
    const ngx_str_t *from);
static ngx_int_t ngx_pulse_openai_hide(ngx_pulse_openai_answer_t *answer,
    ngx_pulse_sse_event_t *ev, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_raw(const ngx_pulse_openai_span_t *span,
    const u_char *p, const char *name, ngx_pulse_buf_t *b);
static void ngx_pulse_openai_chunk(const ngx_pulse_openai_answer_t *answer,
    ngx_pulse_buf_t *b);
static void ngx_pulse_openai_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b);
static ngx_uint_t ngx_pulse_openai_named(const ngx_str_t *key,
    const char *name);


/* members under which an answer has what the model wrote */

static const char  *ngx_pulse_openai_outputs[] = {
    "content", "refusal", "reasoning_content", "reasoning", "arguments",
    "name", "input", "text", "transcript", NULL
};


ngx_uint_t
ngx_pulse_openai_event(ngx_pulse_openai_answer_t *answer,
    ngx_pulse_sse_event_t *ev, ngx_pulse_buf_t *b)
{
    size_t   len;
    u_char  *p;

    if (!ev->has_data) {
        return NGX_PULSE_OPENAI_PASS;
    }

    p = ev->data.data;
    len = ev->data.len;

    while (len && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
        len--;
    }

    if (len == 6 && ngx_strncmp(p, "[DONE]", 6) == 0) {
        answer->done = 1;
        return NGX_PULSE_OPENAI_PASS;
    }

    if (ngx_pulse_openai_repeat(answer, &ev->data) != NGX_OK
        && ngx_pulse_openai_scan(answer, ev->data.data, ev->data.len)
           != NGX_OK)
    {
        return NGX_PULSE_OPENAI_BAD;
    }

    if (answer->bore) {
        answer->deltas++;
    }

    if (!answer->hide || !answer->usage_at.set) {
        return NGX_PULSE_OPENAI_PASS;
    }

    /* the extra chunk that was asked for in the client's place */

    if (answer->choices == 0 && !answer->usage_at.null) {
        return NGX_PULSE_OPENAI_DROP;
    }

    if (ngx_pulse_openai_hide(answer, ev, b) != NGX_OK) {
        return NGX_PULSE_OPENAI_PASS;
    }

    return NGX_PULSE_OPENAI_EDITED;
}


ngx_int_t
ngx_pulse_openai_answer(ngx_pulse_openai_answer_t *answer, const u_char *p,
    size_t len)
{
    return ngx_pulse_openai_scan(answer, p, len);
}


/*
 * An event that is the last one but for its text, which ends no string and
 * so changes nothing else: what that one said is known, and to read it once
 * more would give the same.  NGX_DECLINED if it is another, or may be.
 */

static ngx_int_t
ngx_pulse_openai_repeat(ngx_pulse_openai_answer_t *answer,
    const ngx_str_t *data)
{
    ngx_str_t  values[NGX_PULSE_FORM_SLOTS], *text;

    if (ngx_pulse_form_match(&answer->form, NULL, data, values) != NGX_OK) {
        return NGX_DECLINED;
    }

    text = &values[NGX_PULSE_FORM_TEXT];

    answer->bore = (text->len != 0);
    ngx_pulse_tokens_add_written(&answer->output, text->data, text->len);

    if (answer->usage_at.set) {
        ngx_pulse_openai_move(&answer->form, &answer->usage_at);
    }

    return NGX_OK;
}


static void
ngx_pulse_openai_move(const ngx_pulse_form_t *form,
    ngx_pulse_openai_span_t *span)
{
    span->prev = ngx_pulse_form_moved(form, span->prev);
    span->key = ngx_pulse_form_moved(form, span->key);
    span->start = ngx_pulse_form_moved(form, span->start);
    span->end = ngx_pulse_form_moved(form, span->end);
    span->next = ngx_pulse_form_moved(form, span->next);
}


static ngx_int_t
ngx_pulse_openai_scan(ngx_pulse_openai_answer_t *answer, const u_char *p,
    size_t len)
{
    uint64_t                    total;
    ngx_str_t                   data;
    ngx_pulse_json_error_t      err;
    ngx_pulse_json_limits_t     limits;
    ngx_pulse_openai_scanner_t  scanner;

    answer->choices = 0;
    answer->bore = 0;
    ngx_pulse_form_forget(&answer->form);
    ngx_memzero(&answer->usage_at, sizeof(ngx_pulse_openai_span_t));
    ngx_memzero(&answer->id_at, sizeof(ngx_pulse_openai_span_t));
    ngx_memzero(&answer->model_at, sizeof(ngx_pulse_openai_span_t));
    ngx_memzero(&answer->choices_at, sizeof(ngx_pulse_openai_span_t));

    ngx_memzero(&scanner, sizeof(ngx_pulse_openai_scanner_t));
    scanner.answer = answer;

    limits.size = NGX_PULSE_OPENAI_ANSWER_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 16 * 1024 * 1024;
    limits.keys = 4096;

    if (ngx_pulse_json_read(p, len, &limits, ngx_pulse_openai_scan_value,
                            &scanner, &err)
        != NGX_OK || !scanner.object)
    {
        return NGX_ERROR;
    }

    /* some count reasoning in the total only */

    total = scanner.total;

    if (scanner.input && total > answer->usage.input
        && total - answer->usage.input > answer->usage.output)
    {
        answer->usage.output = total - answer->usage.input;
    }

    if (scanner.texts == 1) {
        data.data = (u_char *) p;
        data.len = len;

        ngx_pulse_form_keep(&answer->form, &data);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_scan_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_openai_scanner_t *scanner = ctx;

    if (ev->depth == 0) {
        scanner->object = (ev->type == NGX_PULSE_JSON_OBJECT
                           || ev->type == NGX_PULSE_JSON_OBJECT_END);

        return scanner->object ? NGX_OK : NGX_ERROR;
    }

    if (ev->depth == 1) {
        ngx_pulse_openai_scan_member(scanner, ev);
        return NGX_OK;
    }

    if (ngx_pulse_openai_named(&ev->path[0], "usage")) {
        ngx_pulse_openai_scan_usage(scanner, ev, 2);

    } else if (ngx_pulse_openai_named(&ev->path[0], "x_groq")) {

        /* where some of Groq's models have it, and no other */

        if (ev->depth > 2 && !scanner->answer->usage_at.set
            && ngx_pulse_openai_named(&ev->path[1], "usage"))
        {
            ngx_pulse_openai_scan_usage(scanner, ev, 3);
        }

    } else if (ngx_pulse_openai_named(&ev->path[0], "choices")) {
        ngx_pulse_openai_scan_choice(scanner, ev);
    }

    return NGX_OK;
}


static void
ngx_pulse_openai_scan_member(ngx_pulse_openai_scanner_t *scanner,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_openai_span_t    *span;
    ngx_pulse_openai_answer_t  *answer;

    answer = scanner->answer;

    if (ev->type == NGX_PULSE_JSON_OBJECT_END
        || ev->type == NGX_PULSE_JSON_ARRAY_END)
    {
        if (scanner->last) {
            scanner->last->end = ev->end;
        }

        scanner->prev = ev->end;
        return;
    }

    if (scanner->last) {
        scanner->last->next = ev->key_start;
        scanner->last = NULL;
    }

    span = NULL;

    if (ngx_pulse_openai_named(&ev->key, "usage")) {
        span = &answer->usage_at;

        if (ev->type == NGX_PULSE_JSON_OBJECT) {
            ngx_memzero(&answer->usage, sizeof(ngx_pulse_chat_usage_t));
        }

    } else if (ngx_pulse_openai_named(&ev->key, "choices")) {
        span = &answer->choices_at;

    } else if (ngx_pulse_openai_named(&ev->key, "id")) {
        span = &answer->id_at;

        if (ev->type == NGX_PULSE_JSON_STRING) {
            ngx_pulse_openai_keep(answer->id, &answer->id_len, &ev->string);
        }

    } else if (ngx_pulse_openai_named(&ev->key, "model")) {
        span = &answer->model_at;

        if (ev->type == NGX_PULSE_JSON_STRING) {
            ngx_pulse_openai_keep(answer->model, &answer->model_len,
                                  &ev->string);
        }

    } else if (ngx_pulse_openai_named(&ev->key, "created")) {

        if (ev->type == NGX_PULSE_JSON_NUMBER
            && ev->string.len < sizeof(answer->created))
        {
            ngx_pulse_openai_keep(answer->created, &answer->created_len,
                                  &ev->string);
        }

    } else if (ngx_pulse_openai_named(&ev->key, "error")) {

        if (ev->type != NGX_PULSE_JSON_NULL) {
            answer->failed = 1;
        }

    } else if (ngx_pulse_openai_named(&ev->key, "obfuscation")) {

        /* random, so that events do not tell how long their text is */

        if (ev->type == NGX_PULSE_JSON_STRING) {
            ngx_pulse_form_string(&answer->form, ev->start + 1, ev->end - 1,
                                  NGX_PULSE_FORM_ANY);
        }
    }

    if (span) {
        span->prev = scanner->prev;
        span->key = ev->key_start;
        span->start = ev->start;
        span->end = ev->end;
        span->set = 1;
        span->null = (ev->type == NGX_PULSE_JSON_NULL);

        scanner->last = span;
    }

    scanner->prev = ev->end;
}


static void
ngx_pulse_openai_scan_usage(ngx_pulse_openai_scanner_t *scanner,
    ngx_pulse_json_event_t *ev, ngx_uint_t depth)
{
    int64_t                  n;
    ngx_pulse_chat_usage_t  *usage;

    if (ev->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&ev->string, &n) != NGX_OK
        || n < 0)
    {
        return;
    }

    usage = &scanner->answer->usage;

    if (ev->depth == depth) {

        if (ngx_pulse_openai_named(&ev->key, "prompt_tokens")) {
            usage->input = n;
            usage->known = 1;
            scanner->input = 1;

        } else if (ngx_pulse_openai_named(&ev->key, "completion_tokens")) {
            usage->output = n;
            usage->known = 1;

        } else if (ngx_pulse_openai_named(&ev->key, "total_tokens")) {
            scanner->total = n;
        }

        return;
    }

    if (ev->depth != depth + 1) {
        return;
    }

    if (ngx_pulse_openai_named(&ev->path[depth - 1], "prompt_tokens_details")
        && ngx_pulse_openai_named(&ev->key, "cached_tokens"))
    {
        usage->cached = n;

    } else if (ngx_pulse_openai_named(&ev->path[depth - 1],
                                      "completion_tokens_details")
               && ngx_pulse_openai_named(&ev->key, "reasoning_tokens"))
    {
        usage->reasoning = n;
    }
}


static void
ngx_pulse_openai_scan_choice(ngx_pulse_openai_scanner_t *scanner,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_openai_answer_t  *answer;

    answer = scanner->answer;

    if (ev->depth == 2) {
        if (ev->type == NGX_PULSE_JSON_OBJECT) {
            answer->choices++;
        }

        return;
    }

    if (ev->type != NGX_PULSE_JSON_STRING || ev->string.len == 0) {
        return;
    }

    if (ev->depth == 3) {
        if (ngx_pulse_openai_named(&ev->key, "finish_reason")) {
            answer->finished = 1;
        }

        return;
    }

    if ((ngx_pulse_openai_named(&ev->path[2], "delta")
         || ngx_pulse_openai_named(&ev->path[2], "message"))
        && ngx_pulse_openai_is_output(&ev->key))
    {
        ngx_pulse_tokens_add_written(&answer->output, ev->string.data,
                                     ev->string.len);
        answer->bore = 1;

        ngx_pulse_form_string(&answer->form, ev->start + 1, ev->end - 1,
                              NGX_PULSE_FORM_TEXT);
        scanner->texts++;
    }
}


static ngx_uint_t
ngx_pulse_openai_is_output(const ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; ngx_pulse_openai_outputs[i]; i++) {
        if (ngx_pulse_openai_named(key, ngx_pulse_openai_outputs[i])) {
            return 1;
        }
    }

    return 0;
}


/* the first one is kept, whole or not at all */

static void
ngx_pulse_openai_keep(u_char *to, size_t *to_len, const ngx_str_t *from)
{
    if (*to_len == 0 && from->len <= NGX_PULSE_OPENAI_ID_LEN) {
        ngx_memcpy(to, from->data, from->len);
        *to_len = from->len;
    }
}


/* Takes the usage member, and one comma, out of the event's bytes. */

static ngx_int_t
ngx_pulse_openai_hide(ngx_pulse_openai_answer_t *answer,
    ngx_pulse_sse_event_t *ev, ngx_pulse_buf_t *b)
{
    size_t                    start, end;
    u_char                   *data;
    ngx_str_t                 rest;
    ngx_pulse_buf_t           text;
    ngx_pulse_openai_span_t  *span;

    span = &answer->usage_at;

    if (span->next) {
        start = span->key;
        end = span->next;

    } else if (span->prev) {
        start = span->prev;
        end = span->end;

    } else {
        start = span->key;
        end = span->end;
    }

    data = memmem(ev->raw.data, ev->raw.len, ev->data.data, ev->data.len);

    if (data) {
        ngx_pulse_buf_append(b, ev->raw.data, data + start - ev->raw.data);
        ngx_pulse_buf_append(b, data + end,
                             ev->raw.data + ev->raw.len - (data + end));

        return b->failed ? NGX_ERROR : NGX_OK;
    }

    /* the data is spread over several lines */

    ngx_pulse_buf_init(&text, 0);
    ngx_pulse_buf_append(&text, ev->data.data, start);
    ngx_pulse_buf_append(&text, ev->data.data + end, ev->data.len - end);

    rest.data = text.data;
    rest.len = text.len;

    ngx_pulse_sse_write(b, &ev->name, &rest);

    start = text.failed;
    ngx_pulse_buf_free(&text);

    return (start || b->failed) ? NGX_ERROR : NGX_OK;
}


void
ngx_pulse_openai_studio(const ngx_pulse_openai_answer_t *answer,
    const u_char *p, const ngx_str_t *provider, ngx_pulse_buf_t *b)
{
    ngx_pulse_openai_raw(&answer->id_at, p, "{\"id\":", b);
    ngx_pulse_openai_raw(&answer->model_at, p, ",\"model\":", b);

    ngx_pulse_buf_literal(b, ",\"provider\":");
    ngx_pulse_buf_json(b, provider->data, provider->len);

    ngx_pulse_openai_raw(&answer->choices_at, p, ",\"choices\":", b);
    ngx_pulse_openai_raw(&answer->usage_at, p, ",\"usage\":", b);

    ngx_pulse_buf_char(b, '}');
}


static void
ngx_pulse_openai_raw(const ngx_pulse_openai_span_t *span, const u_char *p,
    const char *name, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_append(b, (u_char *) name, strlen(name));

    if (span->set) {
        ngx_pulse_buf_append(b, p + span->start, span->end - span->start);

    } else {
        ngx_pulse_buf_literal(b, "null");
    }
}


void
ngx_pulse_openai_finish(const ngx_pulse_openai_answer_t *answer,
    const char *reason, const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b)
{
    if (!answer->finished) {
        ngx_pulse_openai_chunk(answer, b);
        ngx_pulse_buf_literal(b, "\"choices\":[{\"index\":0,\"delta\":{},"
                                 "\"finish_reason\":\"");
        ngx_pulse_buf_append(b, (u_char *) reason, strlen(reason));
        ngx_pulse_buf_literal(b, "\"}]");

        if (!answer->hide) {
            ngx_pulse_buf_literal(b, ",\"usage\":null");
        }

        ngx_pulse_buf_literal(b, "}\n\n");
    }

    if (!answer->hide && !answer->usage.known) {
        ngx_pulse_openai_chunk(answer, b);
        ngx_pulse_buf_literal(b, "\"choices\":[],\"usage\":");
        ngx_pulse_openai_usage(usage, b);
        ngx_pulse_buf_literal(b, "}\n\n");
    }

    ngx_pulse_buf_literal(b, "data: [DONE]\n\n");
}


static void
ngx_pulse_openai_chunk(const ngx_pulse_openai_answer_t *answer,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "data: {\"id\":");
    ngx_pulse_buf_json(b, answer->id, answer->id_len);
    ngx_pulse_buf_literal(b, ",\"object\":\"chat.completion.chunk\","
                             "\"created\":");

    if (answer->created_len) {
        ngx_pulse_buf_append(b, answer->created, answer->created_len);

    } else {
        ngx_pulse_buf_char(b, '0');
    }

    ngx_pulse_buf_literal(b, ",\"model\":");
    ngx_pulse_buf_json(b, answer->model, answer->model_len);
    ngx_pulse_buf_char(b, ',');
}


static void
ngx_pulse_openai_usage(const ngx_pulse_chat_usage_t *usage, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"prompt_tokens\":");
    ngx_pulse_buf_int(b, usage->input);
    ngx_pulse_buf_literal(b, ",\"completion_tokens\":");
    ngx_pulse_buf_int(b, usage->output);
    ngx_pulse_buf_literal(b, ",\"total_tokens\":");
    ngx_pulse_buf_int(b, usage->input + usage->output);
    ngx_pulse_buf_char(b, '}');
}


static ngx_uint_t
ngx_pulse_openai_named(const ngx_str_t *key, const char *name)
{
    return key->data && key->len == strlen(name)
           && ngx_memcmp(key->data, name, key->len) == 0;
}
