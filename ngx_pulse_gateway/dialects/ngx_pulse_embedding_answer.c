
#include "ngx_pulse_embedding.h"


/*
 * Answers are read as events, never as a tree: one may bear millions of
 * numbers.
 */


#define NGX_PULSE_EMBEDDING_ANSWER  (256 * 1024 * 1024)
#define NGX_PULSE_EMBEDDING_FLOATS  (32 * 1024 * 1024)
#define NGX_PULSE_EMBEDDING_NAMES   256


/* at "data", at "embeddings" of Gemini: [ { "embedding": here, ... } ] */

#define NGX_PULSE_EMBEDDING_DEPTH   3


typedef struct {
    const ngx_pulse_embedding_request_t  *req;
    ngx_pulse_embedding_answer_t         *answer;
    const char                           *list;     /* names of members */
    const char                           *vector;
    const char                           *usage;
    const char                           *tokens;
} ngx_pulse_embedding_look_t;


typedef struct {
    const ngx_pulse_embedding_request_t  *req;
    ngx_pulse_embedding_look_t           *look;
    ngx_pulse_embedding_base64_t          base64;
    const u_char                         *text;
    size_t                                done;     /* of it, copied */
    ngx_uint_t                            vectors;
    ngx_uint_t                            numbers;  /* of the vector */
    ngx_pulse_buf_t                      *b;
} ngx_pulse_embedding_copy_t;


static void ngx_pulse_embedding_look_init(ngx_pulse_embedding_look_t *look,
    ngx_uint_t gemini);
static ngx_int_t ngx_pulse_embedding_look(void *ctx,
    ngx_pulse_json_event_t *ev);
static ngx_uint_t ngx_pulse_embedding_in(ngx_pulse_embedding_look_t *look,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_recode_value(void *ctx,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_gemini_value(void *ctx,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_embedding_put(ngx_pulse_embedding_copy_t *copy,
    ngx_pulse_json_event_t *ev);


static ngx_pulse_json_limits_t  ngx_pulse_embedding_answer_limits = {
    NGX_PULSE_EMBEDDING_ANSWER, NGX_PULSE_JSON_MAX_DEPTH,
    NGX_PULSE_EMBEDDING_FLOATS, NGX_PULSE_EMBEDDING_NAMES
};


ngx_int_t
ngx_pulse_embedding_answer(ngx_pulse_embedding_answer_t *answer,
    const ngx_pulse_embedding_request_t *req, ngx_uint_t gemini,
    const ngx_str_t *body)
{
    ngx_pulse_json_error_t      err;
    ngx_pulse_embedding_look_t  look;

    ngx_memzero(answer, sizeof(ngx_pulse_embedding_answer_t));

    ngx_pulse_embedding_look_init(&look, gemini);

    look.req = req;
    look.answer = answer;

    if (ngx_pulse_json_read(body->data, body->len,
                            &ngx_pulse_embedding_answer_limits,
                            ngx_pulse_embedding_look, &look, &err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (answer->vectors == req->inputs) ? NGX_OK : NGX_ERROR;
}


static void
ngx_pulse_embedding_look_init(ngx_pulse_embedding_look_t *look,
    ngx_uint_t gemini)
{
    look->list = gemini ? "embeddings" : "data";
    look->vector = gemini ? "values" : "embedding";
    look->usage = gemini ? "usageMetadata" : "usage";
    look->tokens = gemini ? "promptTokenCount" : "prompt_tokens";
}


static ngx_int_t
ngx_pulse_embedding_look(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_look_t *look = ctx;

    int64_t                        n;
    ngx_uint_t                     coded;
    ngx_pulse_embedding_answer_t  *answer;

    answer = look->answer;

    if (ngx_pulse_embedding_in(look, ev)) {

        if (ev->depth > NGX_PULSE_EMBEDDING_DEPTH) {
            return (ev->type == NGX_PULSE_JSON_NUMBER) ? NGX_OK : NGX_ERROR;
        }

        if (ev->type == NGX_PULSE_JSON_ARRAY_END) {
            return NGX_OK;
        }

        coded = (ev->type == NGX_PULSE_JSON_STRING);

        if (!coded && ev->type != NGX_PULSE_JSON_ARRAY) {
            return NGX_ERROR;
        }

        answer->vectors++;
        answer->recode |= (coded != look->req->base64);

        return NGX_OK;
    }

    if (ev->depth == 2 && ev->type == NGX_PULSE_JSON_NUMBER
        && ngx_pulse_is(&ev->path[0], look->usage)
        && ngx_pulse_is(&ev->key, look->tokens)
        && ngx_pulse_json_int(&ev->string, &n) == NGX_OK && n > 0)
    {
        answer->input = n;
        answer->known = 1;
    }

    return NGX_OK;
}


/* Whether a value is a vector, or of one. */

static ngx_uint_t
ngx_pulse_embedding_in(ngx_pulse_embedding_look_t *look,
    ngx_pulse_json_event_t *ev)
{
    return ev->depth >= NGX_PULSE_EMBEDDING_DEPTH
           && ngx_pulse_is(&ev->path[0], look->list)
           && ev->path[1].data == NULL
           && ngx_pulse_is(&ev->path[2], look->vector);
}


ngx_int_t
ngx_pulse_embedding_recode(const ngx_pulse_embedding_request_t *req,
    const ngx_str_t *body, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_error_t       err;
    ngx_pulse_embedding_copy_t   copy;
    ngx_pulse_embedding_look_t   look;

    ngx_memzero(&copy, sizeof(ngx_pulse_embedding_copy_t));
    ngx_pulse_embedding_look_init(&look, 0);

    copy.req = req;
    copy.look = &look;
    copy.text = body->data;
    copy.b = b;

    if (ngx_pulse_json_read(body->data, body->len,
                            &ngx_pulse_embedding_answer_limits,
                            ngx_pulse_embedding_recode_value, &copy, &err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_buf_append(b, body->data + copy.done, body->len - copy.done);

    return b->failed ? NGX_ERROR : NGX_OK;
}


/* All but the vectors is copied as it came. */

static ngx_int_t
ngx_pulse_embedding_recode_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_copy_t *copy = ctx;

    if (!ngx_pulse_embedding_in(copy->look, ev)) {
        return NGX_OK;
    }

    if (ev->depth == NGX_PULSE_EMBEDDING_DEPTH
        && ev->type != NGX_PULSE_JSON_ARRAY_END)
    {
        ngx_pulse_buf_append(copy->b, copy->text + copy->done,
                             ev->start - copy->done);
    }

    if (ev->depth == NGX_PULSE_EMBEDDING_DEPTH) {
        copy->done = ev->end;
    }

    return ngx_pulse_embedding_put(copy, ev);
}


ngx_int_t
ngx_pulse_embedding_from_gemini(const ngx_pulse_embedding_request_t *req,
    const ngx_str_t *body, const ngx_str_t *model, uint64_t input,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_error_t       err;
    ngx_pulse_embedding_copy_t   copy;
    ngx_pulse_embedding_look_t   look;

    ngx_memzero(&copy, sizeof(ngx_pulse_embedding_copy_t));
    ngx_pulse_embedding_look_init(&look, 1);

    copy.req = req;
    copy.look = &look;
    copy.text = body->data;
    copy.b = b;

    ngx_pulse_buf_literal(b, "{\"object\":\"list\",\"data\":[");

    if (ngx_pulse_json_read(body->data, body->len,
                            &ngx_pulse_embedding_answer_limits,
                            ngx_pulse_embedding_gemini_value, &copy, &err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(b, "],\"model\":");
    ngx_pulse_buf_json(b, model->data, model->len);
    ngx_pulse_buf_literal(b, ",\"usage\":{\"prompt_tokens\":");
    ngx_pulse_buf_int(b, input);
    ngx_pulse_buf_literal(b, ",\"total_tokens\":");
    ngx_pulse_buf_int(b, input);
    ngx_pulse_buf_literal(b, "}}");

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_embedding_gemini_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_embedding_copy_t *copy = ctx;

    ngx_int_t  rc;

    if (!ngx_pulse_embedding_in(copy->look, ev)) {
        return NGX_OK;
    }

    if (ev->depth == NGX_PULSE_EMBEDDING_DEPTH
        && ev->type == NGX_PULSE_JSON_ARRAY)
    {
        if (copy->vectors) {
            ngx_pulse_buf_char(copy->b, ',');
        }

        ngx_pulse_buf_literal(copy->b, "{\"object\":\"embedding\",\"index\":");
        ngx_pulse_buf_int(copy->b, copy->vectors++);
        ngx_pulse_buf_literal(copy->b, ",\"embedding\":");
    }

    rc = ngx_pulse_embedding_put(copy, ev);

    if (ev->depth == NGX_PULSE_EMBEDDING_DEPTH
        && ev->type == NGX_PULSE_JSON_ARRAY_END)
    {
        ngx_pulse_buf_char(copy->b, '}');
    }

    return rc;
}


/*
 * A vector, or a number of it, as the client asked for them.  Numbers stay
 * as they were written.
 */

static ngx_int_t
ngx_pulse_embedding_put(ngx_pulse_embedding_copy_t *copy,
    ngx_pulse_json_event_t *ev)
{
    ngx_uint_t  base64;

    base64 = copy->req->base64;

    if (ev->depth == NGX_PULSE_EMBEDDING_DEPTH) {

        switch (ev->type) {

        case NGX_PULSE_JSON_STRING:

            if (base64) {
                ngx_pulse_buf_append(copy->b, copy->text + ev->start,
                                     ev->end - ev->start);
                return NGX_OK;
            }

            return ngx_pulse_embedding_decode(&ev->string, copy->b);

        case NGX_PULSE_JSON_ARRAY:
            copy->numbers = 0;
            ngx_pulse_buf_char(copy->b, base64 ? '"' : '[');
            return NGX_OK;

        case NGX_PULSE_JSON_ARRAY_END:
            ngx_pulse_embedding_encode_end(&copy->base64, copy->b);
            ngx_pulse_buf_char(copy->b, base64 ? '"' : ']');
            return copy->numbers ? NGX_OK : NGX_ERROR;

        default:
            return NGX_ERROR;
        }
    }

    if (ev->type != NGX_PULSE_JSON_NUMBER
        || ev->depth != NGX_PULSE_EMBEDDING_DEPTH + 1)
    {
        return NGX_ERROR;
    }

    copy->numbers++;

    if (base64) {
        return ngx_pulse_embedding_encode(&copy->base64, &ev->string,
                                          copy->b);
    }

    if (copy->numbers > 1) {
        ngx_pulse_buf_char(copy->b, ',');
    }

    ngx_pulse_buf_str(copy->b, &ev->string);

    return NGX_OK;
}
