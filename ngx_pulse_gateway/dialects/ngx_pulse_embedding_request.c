
#include "ngx_pulse_embedding.h"
#include "ngx_pulse_splice.h"

#include <string.h>


#define NGX_PULSE_EMBEDDING_BODY    (16 * 1024 * 1024)
#define NGX_PULSE_EMBEDDING_VALUES  (1024 * 1024)
#define NGX_PULSE_EMBEDDING_KEYS    256
#define NGX_PULSE_EMBEDDING_MOST    65536       /* dimensions */


typedef struct {
    ngx_pulse_embedding_request_t   *req;
    ngx_pool_t                      *pool;
    ngx_pulse_chat_refusal_t        *refusal;
    ngx_uint_t                       ids;       /* of the input being read */
    unsigned                         refused:1;
} ngx_pulse_embedding_reader_t;


typedef struct {
    const ngx_pulse_embedding_request_t  *req;
    const u_char                         *text;
    const ngx_str_t                      *model;
    ngx_pulse_buf_t                      *b;
    ngx_uint_t                            n;
} ngx_pulse_embedding_writer_t;


static ngx_int_t ngx_pulse_embedding_value(void *ctx,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_member(
    ngx_pulse_embedding_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_format(
    ngx_pulse_embedding_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_dimensions(
    ngx_pulse_embedding_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_only_openai(
    ngx_pulse_embedding_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_input(
    ngx_pulse_embedding_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_element(
    ngx_pulse_embedding_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_text(
    ngx_pulse_embedding_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_id(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_next(
    ngx_pulse_embedding_reader_t *reader);
static ngx_int_t ngx_pulse_embedding_refuse(
    ngx_pulse_embedding_reader_t *reader, const char *pointer,
    const char *reason);
static ngx_int_t ngx_pulse_embedding_because(
    ngx_pulse_chat_refusal_t *refusal, const char *pointer,
    const char *reason);
static ngx_int_t ngx_pulse_embedding_copy(
    ngx_pulse_embedding_reader_t *reader, ngx_str_t *dst,
    const ngx_str_t *src);
static ngx_int_t ngx_pulse_embedding_one(void *ctx,
    ngx_pulse_json_event_t *ev);


static ngx_pulse_json_limits_t  ngx_pulse_embedding_limits = {
    NGX_PULSE_EMBEDDING_BODY, NGX_PULSE_JSON_MAX_DEPTH,
    NGX_PULSE_EMBEDDING_VALUES, NGX_PULSE_EMBEDDING_KEYS
};


ngx_int_t
ngx_pulse_embedding_read(ngx_pulse_embedding_request_t *req,
    ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                      rc;
    ngx_pulse_json_error_t         err;
    ngx_pulse_embedding_reader_t   reader;

    ngx_memzero(req, sizeof(ngx_pulse_embedding_request_t));
    ngx_memzero(&reader, sizeof(ngx_pulse_embedding_reader_t));

    req->body = *body;

    reader.req = req;
    reader.pool = pool;
    reader.refusal = refusal;

    rc = ngx_pulse_json_read(body->data, body->len,
                             &ngx_pulse_embedding_limits,
                             ngx_pulse_embedding_value, &reader, &err);

    if (reader.refused) {
        return NGX_DECLINED;
    }

    if (rc == NGX_ABORT) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return ngx_pulse_embedding_because(refusal, "", err.reason);
    }

    if (req->model.len == 0) {
        return ngx_pulse_embedding_because(refusal, "/model", "is required");
    }

    if (!req->input) {
        return ngx_pulse_embedding_because(refusal, "/input", "is required");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_embedding_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_reader_t *reader = ctx;

    if (ev->depth == 0) {

        if (ev->type == NGX_PULSE_JSON_OBJECT
            || ev->type == NGX_PULSE_JSON_OBJECT_END)
        {
            return NGX_OK;
        }

        return ngx_pulse_embedding_refuse(reader, "", "must be an object");
    }

    if (ev->depth == 1) {
        return ngx_pulse_embedding_member(reader, ev);
    }

    if (ev->path[0].len == 5 && ngx_memcmp(ev->path[0].data, "input", 5) == 0)
    {
        return ngx_pulse_embedding_element(reader, ev);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_embedding_member(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_request_t  *req;

    req = reader->req;

    if (ngx_pulse_is(&ev->key, "input")) {
        return ngx_pulse_embedding_input(reader, ev);
    }

    if (ev->type == NGX_PULSE_JSON_OBJECT_END
        || ev->type == NGX_PULSE_JSON_ARRAY_END)
    {
        return NGX_OK;
    }

    if (ngx_pulse_is(&ev->key, "model")) {

        if (ev->type != NGX_PULSE_JSON_STRING) {
            return ngx_pulse_embedding_refuse(reader, "/model",
                                              "must be a string");
        }

        return ngx_pulse_embedding_copy(reader, &req->model, &ev->string);
    }

    if (ev->type == NGX_PULSE_JSON_NULL) {
        return NGX_OK;
    }

    if (ngx_pulse_is(&ev->key, "encoding_format")) {
        return ngx_pulse_embedding_format(reader, ev);
    }

    if (ngx_pulse_is(&ev->key, "dimensions")) {
        return ngx_pulse_embedding_dimensions(reader, ev);
    }

    return ngx_pulse_embedding_only_openai(reader, ev);
}


static ngx_int_t
ngx_pulse_embedding_format(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    if (ev->type == NGX_PULSE_JSON_STRING) {

        reader->req->base64 = ngx_pulse_is(&ev->string, "base64");

        if (reader->req->base64 || ngx_pulse_is(&ev->string, "float")) {
            return NGX_OK;
        }
    }

    return ngx_pulse_embedding_refuse(reader, "/encoding_format",
                                      "must be \"float\" or \"base64\"");
}


static ngx_int_t
ngx_pulse_embedding_dimensions(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    int64_t  n;

    if (ev->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&ev->string, &n) != NGX_OK
        || n < 1 || n > NGX_PULSE_EMBEDDING_MOST)
    {
        return ngx_pulse_embedding_refuse(reader, "/dimensions",
                                     "must be an integer from 1 to 65536");
    }

    reader->req->dimensions = n;

    return NGX_OK;
}


/* Kept to be named where they are left out; "user" is one of them. */

static ngx_int_t
ngx_pulse_embedding_only_openai(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_str_t                       name;
    ngx_pulse_embedding_request_t  *req;

    req = reader->req;

    if (req->nunknown == NGX_PULSE_CHAT_DROPPED) {
        return NGX_OK;
    }

    if (ngx_pulse_embedding_copy(reader, &name, &ev->key) != NGX_OK) {
        return NGX_ERROR;
    }

    req->unknown[req->nunknown++] = (char *) name.data;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_embedding_input(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_request_t  *req;

    req = reader->req;

    switch (ev->type) {

    case NGX_PULSE_JSON_STRING:
        req->input = 1;
        req->start = ev->start;
        req->end = ev->end;

        return ngx_pulse_embedding_text(reader, ev);

    case NGX_PULSE_JSON_ARRAY:
        req->input = 1;
        return NGX_OK;

    case NGX_PULSE_JSON_ARRAY_END:
        req->start = ev->start;
        req->end = ev->end;

        if (reader->ids) {

            /* one input, of tokens */

            return ngx_pulse_embedding_next(reader);
        }

        if (req->inputs) {
            return NGX_OK;
        }

        return ngx_pulse_embedding_refuse(reader, "/input",
                                          "must not be empty");

    default:
        return ngx_pulse_embedding_refuse(reader, "/input",
                       "must be a string or an array of strings or tokens");
    }
}


/* Strings, tokens or arrays of tokens, but not one beside the other. */

static ngx_int_t
ngx_pulse_embedding_element(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_request_t  *req;

    req = reader->req;

    if (ev->depth == 2) {

        if (ev->type == NGX_PULSE_JSON_STRING && !req->ids) {
            return ngx_pulse_embedding_text(reader, ev);
        }

        if (ev->type == NGX_PULSE_JSON_NUMBER && req->inputs == 0) {
            return ngx_pulse_embedding_id(reader, ev);
        }

        if (ev->type == NGX_PULSE_JSON_ARRAY && reader->ids == 0
            && (req->ids || req->inputs == 0))
        {
            req->ids = 1;
            return NGX_OK;
        }

        if (ev->type == NGX_PULSE_JSON_ARRAY_END && reader->ids) {
            return ngx_pulse_embedding_next(reader);
        }

    } else if (ev->depth == 3 && ev->type == NGX_PULSE_JSON_NUMBER) {
        return ngx_pulse_embedding_id(reader, ev);
    }

    return ngx_pulse_embedding_refuse(reader, "/input",
                       "must be strings, tokens, or arrays of tokens that"
                       " are not empty");
}


static ngx_int_t
ngx_pulse_embedding_text(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    if (ev->string.len == 0) {
        return ngx_pulse_embedding_refuse(reader, "/input",
                                          "must have no empty string");
    }

    if (ev->string.len > NGX_PULSE_EMBEDDING_TEXT) {
        return ngx_pulse_embedding_refuse(reader, "/input",
                                "has a string of more than 262144 bytes");
    }

    ngx_pulse_tokens_add(&reader->req->prompt, ev->string.data,
                         ev->string.len);

    return ngx_pulse_embedding_next(reader);
}


static ngx_int_t
ngx_pulse_embedding_id(ngx_pulse_embedding_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    int64_t  n;

    if (ngx_pulse_json_int(&ev->string, &n) != NGX_OK
        || n < 0 || n > INT32_MAX)
    {
        return ngx_pulse_embedding_refuse(reader, "/input",
                                          "has a token that is none");
    }

    if (++reader->ids > NGX_PULSE_EMBEDDING_IDS) {
        return ngx_pulse_embedding_refuse(reader, "/input",
                                   "has an array of more than 65536 tokens");
    }

    reader->req->ids = 1;
    ngx_pulse_tokens_extra(&reader->req->prompt, 1);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_embedding_next(ngx_pulse_embedding_reader_t *reader)
{
    reader->ids = 0;

    if (++reader->req->inputs > NGX_PULSE_EMBEDDING_INPUTS) {
        return ngx_pulse_embedding_refuse(reader, "/input",
                                          "has more than 2048 elements");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_embedding_refuse(ngx_pulse_embedding_reader_t *reader,
    const char *pointer, const char *reason)
{
    (void) ngx_pulse_embedding_because(reader->refusal, pointer, reason);

    reader->refused = 1;

    return NGX_ERROR;
}


static ngx_int_t
ngx_pulse_embedding_because(ngx_pulse_chat_refusal_t *refusal,
    const char *pointer, const char *reason)
{
    ngx_memcpy(refusal->pointer, pointer, strlen(pointer) + 1);
    refusal->reason = reason;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_pulse_embedding_copy(ngx_pulse_embedding_reader_t *reader, ngx_str_t *dst,
    const ngx_str_t *src)
{
    dst->data = ngx_pnalloc(reader->pool, src->len + 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, src->data, src->len);
    dst->data[src->len] = '\0';
    dst->len = src->len;

    return NGX_OK;
}


ngx_int_t
ngx_pulse_embedding_write(const ngx_pulse_embedding_request_t *req,
    const ngx_str_t *model, ngx_pulse_buf_t *b)
{
    ngx_int_t            rc;
    ngx_pulse_buf_t      value;
    ngx_pulse_splice_t   splice;

    ngx_memzero(&splice, sizeof(ngx_pulse_splice_t));

    ngx_pulse_buf_init(&value, 0);
    ngx_pulse_buf_json(&value, model->data, model->len);

    splice.key[0] = "model";
    splice.value.data = value.data;
    splice.value.len = value.len;

    rc = value.failed ? NGX_ERROR
                      : ngx_pulse_splice(&req->body, &splice, 1,
                                         &ngx_pulse_embedding_limits, b);
    ngx_pulse_buf_free(&value);

    return rc;
}


ngx_int_t
ngx_pulse_embedding_write_gemini(const ngx_pulse_embedding_request_t *req,
    const ngx_str_t *model, ngx_pulse_dropped_t *dropped,
    ngx_pulse_chat_refusal_t *refusal, ngx_pulse_buf_t *b)
{
    ngx_str_t                      name;
    ngx_uint_t                     i;
    ngx_pulse_buf_t                path;
    ngx_pulse_json_error_t         err;
    ngx_pulse_embedding_writer_t   writer;

    if (req->ids) {
        return ngx_pulse_embedding_because(refusal, "/input",
                                "must be text: tokens mean nothing to the"
                                " provider of this model");
    }

    if (req->inputs > NGX_PULSE_EMBEDDING_BATCH) {
        return ngx_pulse_embedding_because(refusal, "/input",
                                "has more than the 100 elements that the"
                                " provider of this model takes");
    }

    for (i = 0; i < req->nunknown; i++) {
        ngx_pulse_dropped_add(dropped, req->unknown[i]);
    }

    ngx_pulse_buf_init(&path, 0);
    ngx_pulse_buf_literal(&path, "models/");
    ngx_pulse_buf_str(&path, model);

    name.data = path.data;
    name.len = path.len;

    writer.req = req;
    writer.text = req->body.data + req->start;
    writer.model = &name;
    writer.b = b;
    writer.n = 0;

    ngx_pulse_buf_literal(b, "{\"requests\":[");

    if (path.failed
        || ngx_pulse_json_read(writer.text, req->end - req->start,
                               &ngx_pulse_embedding_limits,
                               ngx_pulse_embedding_one, &writer, &err)
           != NGX_OK)
    {
        ngx_pulse_buf_free(&path);
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(b, "]}");
    ngx_pulse_buf_free(&path);

    return b->failed ? NGX_ERROR : NGX_OK;
}


/* The text goes on as the client wrote it, escapes and all. */

static ngx_int_t
ngx_pulse_embedding_one(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_writer_t *writer = ctx;

    ngx_pulse_buf_t  *b;

    if (ev->type != NGX_PULSE_JSON_STRING) {
        return NGX_OK;
    }

    b = writer->b;

    if (writer->n++) {
        ngx_pulse_buf_char(b, ',');
    }

    ngx_pulse_buf_literal(b, "{\"model\":");
    ngx_pulse_buf_json(b, writer->model->data, writer->model->len);
    ngx_pulse_buf_literal(b, ",\"content\":{\"parts\":[{\"text\":");
    ngx_pulse_buf_append(b, writer->text + ev->start, ev->end - ev->start);
    ngx_pulse_buf_literal(b, "}]}");

    if (writer->req->dimensions) {
        ngx_pulse_json_number(b, "outputDimensionality",
                              writer->req->dimensions);
    }

    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}
