
#include <math.h>
#include <stdio.h>
#include "ngx_pulse_json.h"
#include "pulse_answer.h"
#include "pulse_demo.h"


/*
 * Vectors without a model: each word adds or takes one at a place that its
 * letters choose.  So the same text has the same vector always, and texts
 * that share words are near one another.
 */


#define PULSE_EMBEDDING_DIMENSIONS  256         /* unless it says another */
#define PULSE_EMBEDDING_MOST        1024
#define PULSE_EMBEDDING_INPUTS      2048
#define PULSE_EMBEDDING_NUMBER      32          /* characters of one */


typedef struct {
    ngx_pulse_json_value_t  *input;
    ngx_uint_t               dimensions;
    ngx_uint_t               tokens;
    float                    vector[PULSE_EMBEDDING_MOST];
} pulse_embedding_t;


static const char *pulse_embedding_read(ngx_pulse_json_value_t *body,
    pulse_embedding_t *embedding, const char **param);
static enum MHD_Result pulse_embedding_answer(pulse_http_request_t *r,
    pulse_embedding_t *embedding, ngx_str_t *model);
static ngx_pulse_json_value_t *pulse_embedding_next(
    ngx_pulse_json_value_t *value);
static void pulse_embedding_one(pulse_embedding_t *embedding, ngx_str_t *text,
    ngx_uint_t index, ngx_pulse_buf_t *b);
static void pulse_embedding_add(pulse_embedding_t *embedding, u_char *p,
    size_t len);


enum MHD_Result
pulse_demo_embeddings(pulse_http_request_t *r)
{
    const char              *message, *param;
    pulse_embedding_t       *embedding;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *body, *model;

    embedding = ngx_pcalloc(r->pool, sizeof(pulse_embedding_t));
    if (embedding == NULL) {
        return MHD_NO;
    }

    param = NULL;

    body = ngx_pulse_json_tree(r->pool, r->body.data, r->body.len,
                               &(ngx_pulse_json_limits_t) {
                                   PULSE_HTTP_MAX_BODY, 32, 65536, 1024
                               }, &err);

    message = body ? pulse_embedding_read(body, embedding, &param)
                   : "We could not parse the JSON body of your request.";

    model = ngx_pulse_json_get(body, "model");

    if (message == NULL
        && (model == NULL || model->type != NGX_PULSE_JSON_STRING))
    {
        param = "model";
        message = "you must provide a model parameter";
    }

    if (message) {
        return pulse_http_error(r, MHD_HTTP_BAD_REQUEST,
                                "invalid_request_error", param, NULL,
                                message);
    }

    return pulse_embedding_answer(r, embedding, &model->string);
}


/* NULL, or what is wrong with the request */

static const char *
pulse_embedding_read(ngx_pulse_json_value_t *body,
    pulse_embedding_t *embedding, const char **param)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *input, *value;

    *param = "input";

    input = ngx_pulse_json_get(body, "input");

    if (input && input->type == NGX_PULSE_JSON_ARRAY) {

        if (input->nelts > PULSE_EMBEDDING_INPUTS) {
            return "'input' has too many elements.";
        }

        input = input->children;
    }

    for (value = input; value; value = pulse_embedding_next(value)) {

        if (value->type != NGX_PULSE_JSON_STRING) {
            return "The demo takes text only: a string or an array of"
                   " strings.";
        }
    }

    if (input == NULL) {
        return "'input' must be a string or an array of strings.";
    }

    embedding->input = input;
    embedding->dimensions = PULSE_EMBEDDING_DIMENSIONS;

    *param = "dimensions";

    value = ngx_pulse_json_get(body, "dimensions");

    if (value == NULL || value->type == NGX_PULSE_JSON_NULL) {
        return NULL;
    }

    if (value->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&value->string, &n) != NGX_OK
        || n < 1 || n > PULSE_EMBEDDING_MOST)
    {
        return "'dimensions' must be an integer from 1 to 1024.";
    }

    embedding->dimensions = n;

    return NULL;
}


static enum MHD_Result
pulse_embedding_answer(pulse_http_request_t *r, pulse_embedding_t *embedding,
    ngx_str_t *model)
{
    ngx_uint_t               i;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *value;

    i = 0;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"object\":\"list\",\"data\":[");

    for (value = embedding->input;
         value;
         value = pulse_embedding_next(value))
    {
        pulse_embedding_one(embedding, &value->string, i++, &b);
    }

    ngx_pulse_buf_literal(&b, "],\"model\":");
    ngx_pulse_buf_json(&b, model->data, model->len);
    ngx_pulse_buf_literal(&b, ",\"usage\":{\"prompt_tokens\":");
    ngx_pulse_buf_int(&b, embedding->tokens);
    ngx_pulse_buf_literal(&b, ",\"total_tokens\":");
    ngx_pulse_buf_int(&b, embedding->tokens);
    ngx_pulse_buf_literal(&b, "}}");

    return pulse_http_reply(r, MHD_HTTP_OK, &b);
}


/* a string that is no element has other members beside it */

static ngx_pulse_json_value_t *
pulse_embedding_next(ngx_pulse_json_value_t *value)
{
    return (value->parent->type == NGX_PULSE_JSON_ARRAY) ? value->next : NULL;
}


/* of length one, as those of real models are */

static void
pulse_embedding_one(pulse_embedding_t *embedding, ngx_str_t *text,
    ngx_uint_t index, ngx_pulse_buf_t *b)
{
    int         len;
    char        number[PULSE_EMBEDDING_NUMBER];
    float       sum;
    size_t      n;
    ngx_str_t   rest;
    ngx_uint_t  i;

    ngx_memzero(embedding->vector, sizeof(embedding->vector));

    for (rest = *text; rest.len; rest.data += n, rest.len -= n) {
        n = pulse_answer_word(rest.data, rest.len);
        pulse_embedding_add(embedding, rest.data, n);
    }

    embedding->tokens += pulse_answer_count(text);
    sum = 0;

    for (i = 0; i < embedding->dimensions; i++) {
        sum += embedding->vector[i] * embedding->vector[i];
    }

    if (sum == 0) {
        embedding->vector[0] = 1;
        sum = 1;
    }

    if (index) {
        ngx_pulse_buf_char(b, ',');
    }

    ngx_pulse_buf_literal(b, "{\"object\":\"embedding\",\"index\":");
    ngx_pulse_buf_int(b, index);
    ngx_pulse_buf_literal(b, ",\"embedding\":[");

    for (i = 0; i < embedding->dimensions; i++) {
        len = snprintf(number, sizeof(number), "%s%.6g", i ? "," : "",
                       (double) (embedding->vector[i] / sqrtf(sum)));
        ngx_pulse_buf_append(b, (u_char *) number, len);
    }

    ngx_pulse_buf_literal(b, "]}");
}


/* FNV-1a of the word without the space before it */

static void
pulse_embedding_add(pulse_embedding_t *embedding, u_char *p, size_t len)
{
    u_char    *last;
    uint32_t   hash;

    hash = 2166136261u;

    for (last = p + len; p < last; p++) {
        if (*p > ' ') {
            hash = (hash ^ *p) * 16777619u;
        }
    }

    embedding->vector[(hash >> 1) % embedding->dimensions] +=
                                                       (hash & 1) ? 1 : -1;
}
