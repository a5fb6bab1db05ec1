
#include "ngx_pulse_openai.h"

#include <stdio.h>
#include <string.h>


#define NGX_PULSE_OPENAI_BODY_MAX      (4 * 1024 * 1024)

/* what providers add to the text itself, measured on recordings */

#define NGX_PULSE_OPENAI_PER_REQUEST   4
#define NGX_PULSE_OPENAI_PER_MESSAGE   5
#define NGX_PULSE_OPENAI_PER_CALL      10
#define NGX_PULSE_OPENAI_PER_TOOL      12
#define NGX_PULSE_OPENAI_FIRST_TOOL    100     /* newer models, at most */
#define NGX_PULSE_OPENAI_PER_FILE      600
#define NGX_PULSE_OPENAI_FILE_BYTES    16
#define NGX_PULSE_OPENAI_AUDIO_BYTES   200


typedef struct {
    ngx_pulse_openai_request_t  *request;
    ngx_pool_t                  *pool;
    ngx_pulse_chat_refusal_t    *refusal;
    ngx_pulse_openai_span_t     *last;      /* member before, if known */
    size_t                       prev;      /* its end, known or not */
    ngx_uint_t                   field;     /* member we are inside of */
    ngx_uint_t                   message;
    ngx_uint_t                   messages;
    unsigned                     role:1;
} ngx_pulse_openai_reader_t;


typedef struct {
    ngx_str_t                    name;
    ngx_uint_t                   types;     /* bits 1 << NGX_PULSE_JSON_* */
    const char                  *reason;    /* when it is another */
} ngx_pulse_openai_member_t;


static ngx_int_t ngx_pulse_openai_value(void *ctx, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_openai_member(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_openai_member_value(
    ngx_pulse_openai_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_uint_t ngx_pulse_openai_field(ngx_pulse_openai_reader_t *reader,
    const ngx_str_t *key);
static ngx_int_t ngx_pulse_openai_inner(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_openai_message(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev);
static void ngx_pulse_openai_content(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_openai_options(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_openai_fallback(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_openai_copy(ngx_pulse_openai_reader_t *reader,
    ngx_str_t *to, const ngx_str_t *from);
static ngx_int_t ngx_pulse_openai_count(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev, int64_t max, int64_t *n);
static ngx_int_t ngx_pulse_openai_refuse(ngx_pulse_openai_reader_t *reader,
    const char *name, const char *reason);
static ngx_uint_t ngx_pulse_openai_key_is(const ngx_str_t *key,
    const char *name);
static ngx_int_t ngx_pulse_openai_verify(ngx_pulse_openai_reader_t *reader);


#define NGX_PULSE_OPENAI_IS(type)  (1 << (type))

#define NGX_PULSE_OPENAI_OR_NULL(type)                                        \
    (1 << (type) | 1 << NGX_PULSE_JSON_NULL)


/* in the order of ngx_pulse_openai_field_e */

static ngx_pulse_openai_member_t  ngx_pulse_openai_members[] = {

    { ngx_string("model"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_STRING),
      "must be a string" },

    { ngx_string("messages"),
      NGX_PULSE_OPENAI_IS(NGX_PULSE_JSON_ARRAY),
      "must be an array" },

    { ngx_string("stream"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_BOOL),
      "must be a boolean" },

    { ngx_string("stream_options"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_OBJECT),
      "must be an object" },

    { ngx_string("max_tokens"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_NUMBER),
      "must be an integer" },

    { ngx_string("max_completion_tokens"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_NUMBER),
      "must be an integer" },

    { ngx_string("n"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_NUMBER),
      "must be an integer" },

    { ngx_string("temperature"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_NUMBER),
      "must be a number" },

    { ngx_string("top_p"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_NUMBER),
      "must be a number" },

    { ngx_string("presence_penalty"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_NUMBER),
      "must be a number" },

    { ngx_string("frequency_penalty"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_NUMBER),
      "must be a number" },

    { ngx_string("tools"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_ARRAY),
      "must be an array" },

    { ngx_string("functions"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_ARRAY),
      "must be an array" },

    { ngx_string("tool_choice"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_STRING)
      |NGX_PULSE_OPENAI_IS(NGX_PULSE_JSON_OBJECT),
      "must be a string or an object" },

    { ngx_string("response_format"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_OBJECT),
      "must be an object" },

    { ngx_string("prediction"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_OBJECT),
      "must be an object" },

    { ngx_string("fallbacks"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_ARRAY),
      "must be an array of strings" },

    { ngx_string("system"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_STRING),
      "must be a string" },

    { ngx_string("locale"),
      NGX_PULSE_OPENAI_OR_NULL(NGX_PULSE_JSON_STRING),
      "must be a string" }
};


ngx_int_t
ngx_pulse_openai_read(ngx_pulse_openai_request_t *req, ngx_pool_t *pool,
    const ngx_str_t *body, ngx_uint_t studio,
    ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                  rc;
    ngx_pulse_json_error_t     err;
    ngx_pulse_json_limits_t    limits;
    ngx_pulse_openai_reader_t  reader;

    ngx_memzero(req, sizeof(ngx_pulse_openai_request_t));
    ngx_memzero(&reader, sizeof(ngx_pulse_openai_reader_t));
    ngx_memzero(&err, sizeof(ngx_pulse_json_error_t));
    ngx_memzero(refusal, sizeof(ngx_pulse_chat_refusal_t));

    req->body = *body;
    req->studio = (studio != 0);
    req->n = 1;

    ngx_pulse_tokens_extra(&req->prompt, NGX_PULSE_OPENAI_PER_REQUEST);

    reader.request = req;
    reader.pool = pool;
    reader.refusal = refusal;
    reader.field = NGX_PULSE_OPENAI_OTHER;

    limits.size = NGX_PULSE_OPENAI_BODY_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 262144;
    limits.keys = 4096;

    rc = ngx_pulse_json_read(body->data, body->len, &limits,
                             ngx_pulse_openai_value, &reader, &err);

    if (rc == NGX_OK) {
        return ngx_pulse_openai_verify(&reader);
    }

    if (rc == NGX_ERROR) {
        refusal->pointer[0] = '\0';
        refusal->reason = err.reason;
        return NGX_DECLINED;
    }

    return refusal->reason ? NGX_DECLINED : NGX_ERROR;
}


static ngx_int_t
ngx_pulse_openai_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_openai_reader_t *reader = ctx;

    if (ev->depth == 0) {
        if (ev->type == NGX_PULSE_JSON_OBJECT_END
            || ev->type == NGX_PULSE_JSON_OBJECT)
        {
            return NGX_OK;
        }

        return ngx_pulse_openai_refuse(reader, NULL, "must be an object");
    }

    if (ev->depth == 1) {
        return ngx_pulse_openai_member(reader, ev);
    }

    return ngx_pulse_openai_inner(reader, ev);
}


static ngx_int_t
ngx_pulse_openai_member(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_uint_t                   field;
    ngx_pulse_openai_span_t     *span;
    ngx_pulse_openai_member_t   *member;
    ngx_pulse_openai_request_t  *req;

    req = reader->request;

    if (ev->type == NGX_PULSE_JSON_OBJECT_END
        || ev->type == NGX_PULSE_JSON_ARRAY_END)
    {
        if (reader->last) {
            reader->last->end = ev->end;
        }

        reader->field = NGX_PULSE_OPENAI_OTHER;
        reader->prev = ev->end;
        req->tail = ev->end;

        return NGX_OK;
    }

    if (reader->last) {
        reader->last->next = ev->key_start;
        reader->last = NULL;
    }

    field = ngx_pulse_openai_field(reader, &ev->key);

    reader->field = field;

    if (field != NGX_PULSE_OPENAI_OTHER) {
        span = &req->fields[field];

        span->prev = reader->prev;
        span->key = ev->key_start;
        span->start = ev->start;
        span->end = ev->end;
        span->set = 1;
        span->null = (ev->type == NGX_PULSE_JSON_NULL);

        reader->last = span;

        member = &ngx_pulse_openai_members[field];

        if ((member->types & (1 << ev->type)) == 0) {
            return ngx_pulse_openai_refuse(reader, (char *) member->name.data,
                                           member->reason);
        }

        if (ngx_pulse_openai_member_value(reader, ev) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    reader->prev = ev->end;
    req->tail = ev->end;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_member_value(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    int64_t                      n;
    ngx_pulse_openai_request_t  *req;

    req = reader->request;

    if (ev->type == NGX_PULSE_JSON_NULL) {
        return NGX_OK;
    }

    switch (reader->field) {

    case NGX_PULSE_OPENAI_MODEL:
        return ngx_pulse_openai_copy(reader, &req->model, &ev->string);

    case NGX_PULSE_OPENAI_LOCALE:
        return ngx_pulse_openai_copy(reader, &req->locale, &ev->string);

    case NGX_PULSE_OPENAI_SYSTEM:
        ngx_pulse_tokens_add(&req->prompt, ev->string.data, ev->string.len);
        ngx_pulse_tokens_extra(&req->prompt, NGX_PULSE_OPENAI_PER_MESSAGE);
        return NGX_OK;

    case NGX_PULSE_OPENAI_STREAM:
        req->stream = (ev->boolean != 0);
        return NGX_OK;

    case NGX_PULSE_OPENAI_N:
        return ngx_pulse_openai_count(reader, ev, NGX_PULSE_CHAT_MAX_N,
                                      &req->n);

    case NGX_PULSE_OPENAI_MAX_TOKENS:
    case NGX_PULSE_OPENAI_MAX_COMPLETION_TOKENS:

        if (ngx_pulse_openai_count(reader, ev, INT32_MAX, &n) != NGX_OK) {
            return NGX_ERROR;
        }

        if (req->max_tokens == 0 || n < req->max_tokens) {
            req->max_tokens = n;
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_uint_t
ngx_pulse_openai_field(ngx_pulse_openai_reader_t *reader, const ngx_str_t *key)
{
    ngx_str_t   *name;
    ngx_uint_t   i, n;

    n = reader->request->studio ? NGX_PULSE_OPENAI_NFIELDS
                                : NGX_PULSE_OPENAI_FALLBACKS;

    for (i = 0; i < n; i++) {
        name = &ngx_pulse_openai_members[i].name;

        if (key->len == name->len
            && ngx_memcmp(key->data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    /* "reasoning_effort", and what others call it */

    if (key->len >= sizeof("reasoning") - 1
        && ngx_memcmp(key->data, "reasoning", sizeof("reasoning") - 1) == 0)
    {
        reader->request->prompt.frames |= NGX_PULSE_TOKENS_THINKING;
    }

    return NGX_PULSE_OPENAI_OTHER;
}


static ngx_int_t
ngx_pulse_openai_inner(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_tokens_t  *prompt;

    prompt = &reader->request->prompt;

    switch (reader->field) {

    case NGX_PULSE_OPENAI_MESSAGES:
        return ngx_pulse_openai_message(reader, ev);

    case NGX_PULSE_OPENAI_STREAM_OPTIONS:
        return ngx_pulse_openai_options(reader, ev);

    case NGX_PULSE_OPENAI_FALLBACKS:
        return ngx_pulse_openai_fallback(reader, ev);

    case NGX_PULSE_OPENAI_TOOLS:
    case NGX_PULSE_OPENAI_FUNCTIONS:

        if (ev->depth == 2 && ev->type == NGX_PULSE_JSON_OBJECT) {
            ngx_pulse_tokens_extra(prompt, NGX_PULSE_OPENAI_PER_TOOL);

            if (ev->index == 0) {
                prompt->bound += NGX_PULSE_OPENAI_FIRST_TOOL;
                prompt->frames |= NGX_PULSE_TOKENS_TOOLS;
            }
        }

        break;

    case NGX_PULSE_OPENAI_RESPONSE_FORMAT:

        if (ev->type == NGX_PULSE_JSON_OBJECT) {
            prompt->frames |= NGX_PULSE_TOKENS_SCHEMA;
        }

        break;

    case NGX_PULSE_OPENAI_PREDICTION:
    case NGX_PULSE_OPENAI_TOOL_CHOICE:
        break;

    default:
        return NGX_OK;
    }

    /* schemas are shown to the model as text of about this length */

    if (ev->key.data && ev->type != NGX_PULSE_JSON_OBJECT_END
        && ev->type != NGX_PULSE_JSON_ARRAY_END)
    {
        ngx_pulse_tokens_add(prompt, ev->key.data, ev->key.len);
    }

    if (ev->type == NGX_PULSE_JSON_STRING
        || ev->type == NGX_PULSE_JSON_NUMBER)
    {
        ngx_pulse_tokens_add(prompt, ev->string.data, ev->string.len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_message(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_openai_request_t  *req;

    req = reader->request;

    /* nearly no body has any, and a tree of it takes time */

    if (ev->key.len >= sizeof("reasoning") - 1
        && (ngx_memcmp(ev->key.data, "reasoning", sizeof("reasoning") - 1) == 0
            || ngx_pulse_openai_key_is(&ev->key, "extra_content")))
    {
        req->foreign = 1;
    }

    if (ev->depth == 2) {

        if (ev->type == NGX_PULSE_JSON_OBJECT) {
            reader->message = ev->index;
            reader->messages++;
            reader->role = 0;
            ngx_pulse_tokens_extra(&req->prompt, NGX_PULSE_OPENAI_PER_MESSAGE);
            return NGX_OK;
        }

        if (ev->type != NGX_PULSE_JSON_OBJECT_END) {
            reader->message = ev->index;
            return ngx_pulse_openai_refuse(reader, "messages/",
                                           "must be an object");
        }

        if (!reader->role) {
            return ngx_pulse_openai_refuse(reader, "messages/role",
                                           "is required");
        }

        return NGX_OK;
    }

    if (ev->depth == 3) {

        if (ngx_pulse_openai_key_is(&ev->key, "role")) {
            if (ev->type != NGX_PULSE_JSON_STRING) {
                return ngx_pulse_openai_refuse(reader, "messages/role",
                                               "must be a string");
            }

            reader->role = 1;
            return NGX_OK;
        }

        if (ngx_pulse_openai_key_is(&ev->key, "content")
            && ev->type != NGX_PULSE_JSON_STRING
            && ev->type != NGX_PULSE_JSON_ARRAY
            && ev->type != NGX_PULSE_JSON_ARRAY_END
            && ev->type != NGX_PULSE_JSON_NULL)
        {
            return ngx_pulse_openai_refuse(reader, "messages/content",
                                        "must be a string, an array or null");
        }
    }

    ngx_pulse_openai_content(reader, ev);

    return NGX_OK;
}


static void
ngx_pulse_openai_content(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    size_t                       len;
    ngx_str_t                   *outer;
    ngx_pulse_openai_request_t  *req;

    req = reader->request;
    len = ev->string.len;

    if (ngx_pulse_openai_key_is(&ev->key, "image_url")
        && (ev->type == NGX_PULSE_JSON_OBJECT
            || ev->type == NGX_PULSE_JSON_STRING))
    {
        req->images_high++;
        return;
    }

    if (ev->depth == 4 && ev->type == NGX_PULSE_JSON_OBJECT
        && ngx_pulse_openai_key_is(&ev->path[2], "tool_calls"))
    {
        ngx_pulse_tokens_extra(&req->prompt, NGX_PULSE_OPENAI_PER_CALL);
        return;
    }

    if (ev->type != NGX_PULSE_JSON_STRING) {
        return;
    }

    outer = (ev->depth > 1) ? &ev->path[ev->depth - 2] : NULL;

    if (ngx_pulse_openai_key_is(outer, "image_url")) {

        if (ngx_pulse_openai_key_is(&ev->key, "detail")
            && ngx_pulse_openai_key_is(&ev->string, "low")
            && req->images_high)
        {
            req->images_high--;
            req->images_low++;
        }

        return;
    }

    if (ngx_pulse_openai_key_is(outer, "input_audio")) {
        ngx_pulse_tokens_extra(&req->prompt,
                               len / NGX_PULSE_OPENAI_AUDIO_BYTES + 1);
        return;
    }

    if (ngx_pulse_openai_key_is(outer, "file")) {

        if (ngx_pulse_openai_key_is(&ev->key, "file_data")) {
            ngx_pulse_tokens_extra(&req->prompt,
                                   NGX_PULSE_OPENAI_PER_FILE
                                   + len / NGX_PULSE_OPENAI_FILE_BYTES);
        }

        return;
    }

    ngx_pulse_tokens_add(&req->prompt, ev->string.data, len);
}


static ngx_int_t
ngx_pulse_openai_options(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_openai_span_t     *span;
    ngx_pulse_openai_request_t  *req;

    if (ev->depth != 2
        || !ngx_pulse_openai_key_is(&ev->key, "include_usage"))
    {
        return NGX_OK;
    }

    if (ev->type != NGX_PULSE_JSON_BOOL && ev->type != NGX_PULSE_JSON_NULL) {
        return ngx_pulse_openai_refuse(reader, "stream_options/include_usage",
                                       "must be a boolean");
    }

    req = reader->request;
    req->include_usage = (ev->type == NGX_PULSE_JSON_BOOL && ev->boolean);

    span = &req->usage;
    span->start = ev->start;
    span->end = ev->end;
    span->set = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_fallback(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_str_t                   *model;
    ngx_pulse_openai_request_t  *req;

    req = reader->request;

    if (ev->depth != 2 || ev->type != NGX_PULSE_JSON_STRING) {
        return ngx_pulse_openai_refuse(reader, "fallbacks",
                                       "must be an array of strings");
    }

    if (req->nfallbacks == NGX_PULSE_CHAT_FALLBACKS) {
        return ngx_pulse_openai_refuse(reader, "fallbacks",
                                       "has too many models");
    }

    model = &req->fallbacks[req->nfallbacks++];

    return ngx_pulse_openai_copy(reader, model, &ev->string);
}


static ngx_int_t
ngx_pulse_openai_copy(ngx_pulse_openai_reader_t *reader, ngx_str_t *to,
    const ngx_str_t *from)
{
    to->len = from->len;
    to->data = ngx_pnalloc(reader->pool, from->len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from->data, from->len);
    to->data[from->len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_count(ngx_pulse_openai_reader_t *reader,
    ngx_pulse_json_event_t *ev, int64_t max, int64_t *n)
{
    const char  *name;

    name = (char *) ngx_pulse_openai_members[reader->field].name.data;

    if (ngx_pulse_json_int(&ev->string, n) != NGX_OK) {
        return ngx_pulse_openai_refuse(reader, name, "must be an integer");
    }

    if (*n < 1) {
        return ngx_pulse_openai_refuse(reader, name, "must be at least 1");
    }

    if (*n > max) {
        return ngx_pulse_openai_refuse(reader, name, "is too large");
    }

    return NGX_OK;
}


/* "messages/x" stands for member x of the message being read */

static ngx_int_t
ngx_pulse_openai_refuse(ngx_pulse_openai_reader_t *reader, const char *name,
    const char *reason)
{
    char  *pointer;

    pointer = reader->refusal->pointer;
    pointer[0] = '\0';

    if (name && strncmp(name, "messages/", 9) == 0) {
        (void) snprintf(pointer, NGX_PULSE_CHAT_POINTER_LEN,
                        name[9] ? "/messages/%lu/%s" : "/messages/%lu",
                        (unsigned long) reader->message, name + 9);

    } else if (name) {
        (void) snprintf(pointer, NGX_PULSE_CHAT_POINTER_LEN, "/%s", name);
    }

    reader->refusal->reason = reason;

    return NGX_ERROR;
}


static ngx_uint_t
ngx_pulse_openai_key_is(const ngx_str_t *key, const char *name)
{
    return key && key->data && key->len == strlen(name)
           && ngx_memcmp(key->data, name, key->len) == 0;
}


static ngx_int_t
ngx_pulse_openai_verify(ngx_pulse_openai_reader_t *reader)
{
    if (!reader->request->fields[NGX_PULSE_OPENAI_MESSAGES].set) {
        (void) ngx_pulse_openai_refuse(reader, "messages", "is required");
        return NGX_DECLINED;
    }

    if (reader->messages == 0) {
        (void) ngx_pulse_openai_refuse(reader, "messages",
                                       "must not be empty");
        return NGX_DECLINED;
    }

    return NGX_OK;
}
