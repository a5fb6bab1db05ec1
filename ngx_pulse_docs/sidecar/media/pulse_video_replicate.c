
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pulse_video.h"


static const char *pulse_replicate_base(void);
static ngx_int_t pulse_replicate_credential(ngx_pool_t *pool,
    const char **field);
static ngx_int_t pulse_replicate_submit(ngx_pool_t *pool,
    const pulse_video_order_t *order, pulse_video_request_t *request);
static void pulse_replicate_input(const pulse_video_order_t *order,
    ngx_pulse_buf_t *b);
static ngx_int_t pulse_replicate_poll(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request);
static ngx_int_t pulse_replicate_cancel(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request);
static const char *pulse_replicate_url(ngx_pool_t *pool, const char *before,
    const ngx_str_t *name, const char *after);
static void pulse_replicate_read(const pulse_video_answer_t *answer,
    ngx_pool_t *pool, pulse_video_said_t *said);
static ngx_int_t pulse_replicate_progress(const char *log);


/* Predictions of models that Replicate itself keeps: they have a name and no
 * version (POST /models/OWNER/NAME/predictions). */

static const char *const  pulse_replicate_hosts[] = {
    ".replicate.delivery", "replicate.delivery", NULL
};

static const char *const  pulse_replicate_trusted[] = { NULL };


const pulse_video_provider_t  pulse_video_replicate = {
    "replicate",
    pulse_replicate_hosts,
    pulse_replicate_trusted,
    { "Cancel-After: 60m", NULL },          /* should we lose it */
    NULL,
    pulse_replicate_base,
    pulse_replicate_credential,
    NULL,                               /* a key stays what it is */
    pulse_replicate_submit,
    pulse_replicate_poll,
    pulse_replicate_cancel,
    pulse_replicate_read
};


static const char *
pulse_replicate_base(void)
{
    return pulse_media_provider("replicate")->base;
}


static ngx_int_t
pulse_replicate_credential(ngx_pool_t *pool, const char **field)
{
    ngx_pulse_buf_t  b;
    const char      *key;

    key = pulse_media_provider("replicate")->key;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "Authorization: Bearer ");
    ngx_pulse_buf_append(&b, (u_char *) key, strlen(key));

    *field = pulse_video_take(pool, &b, NULL);

    return *field ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_replicate_submit(ngx_pool_t *pool, const pulse_video_order_t *order,
    pulse_video_request_t *request)
{
    ngx_str_t        model;
    ngx_pulse_buf_t  b;

    model.data = (u_char *) order->model;
    model.len = strlen(order->model);

    request->method = "POST";
    request->url = pulse_replicate_url(pool, "/models/", &model,
                                       "/predictions");

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"input\":{\"prompt\":");
    ngx_pulse_buf_json(&b, order->prompt.data, order->prompt.len);
    pulse_replicate_input(order, &b);
    ngx_pulse_buf_char(&b, '}');

    if (order->callback.len) {
        pulse_video_member(&b, "webhook", &order->callback);
        ngx_pulse_buf_literal(&b,
                              ",\"webhook_events_filter\":[\"completed\"]");
    }

    ngx_pulse_buf_char(&b, '}');

    request->body.data = (u_char *) pulse_video_take(pool, &b,
                                                     &request->body.len);

    return (request->url && request->body.data) ? NGX_OK : NGX_ERROR;
}


static void
pulse_replicate_input(const pulse_video_order_t *order, ngx_pulse_buf_t *b)
{
    pulse_video_member(b, "negative_prompt", &order->negative);
    pulse_video_member(b, "aspect_ratio", &order->ratio);
    pulse_video_member(b, "resolution", &order->resolution);

    if (order->duration) {
        ngx_pulse_buf_literal(b, ",\"duration\":");
        ngx_pulse_buf_int(b, order->duration);
    }

    if (order->seed >= 0) {
        ngx_pulse_buf_literal(b, ",\"seed\":");
        ngx_pulse_buf_int(b, order->seed);
    }

    if (order->image.len) {
        ngx_pulse_buf_literal(b, ",\"image\":\"data:");
        ngx_pulse_buf_append(b, (u_char *) order->image_type,
                             strlen(order->image_type));
        ngx_pulse_buf_literal(b, ";base64,");
        ngx_pulse_buf_str(b, &order->image);
        ngx_pulse_buf_char(b, '"');
    }
}


static ngx_int_t
pulse_replicate_poll(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request)
{
    request->method = "GET";
    request->url = pulse_replicate_url(pool, "/predictions/", operation, "");
    ngx_str_null(&request->body);

    return request->url ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_replicate_cancel(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request)
{
    request->method = "POST";
    request->url = pulse_replicate_url(pool, "/predictions/", operation,
                                       "/cancel");
    ngx_str_null(&request->body);

    return request->url ? NGX_OK : NGX_ERROR;
}


static const char *
pulse_replicate_url(ngx_pool_t *pool, const char *before,
    const ngx_str_t *name, const char *after)
{
    const char       *base;
    ngx_pulse_buf_t   b;

    base = pulse_replicate_base();

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) base, strlen(base));
    ngx_pulse_buf_append(&b, (u_char *) before, strlen(before));
    ngx_pulse_buf_str(&b, name);
    ngx_pulse_buf_append(&b, (u_char *) after, strlen(after));

    return pulse_video_take(pool, &b, NULL);
}


/* A prediction: an answer and a webhook have the same shape. */

static void
pulse_replicate_read(const pulse_video_answer_t *answer, ngx_pool_t *pool,
    pulse_video_said_t *said)
{
    ngx_str_t  status, error, id;

    status = pulse_video_get(answer, "status");
    id = pulse_video_get(answer, "id");

    if (pulse_video_named(&id, "-_")) {
        said->operation = id;
    }

    said->progress = pulse_replicate_progress(answer->tail);

    if (status.len == 0) {
        return;
    }

    if (strcmp((char *) status.data, "starting") == 0
        || strcmp((char *) status.data, "processing") == 0)
    {
        said->state = pulse_video_running;
        return;
    }

    if (strcmp((char *) status.data, "succeeded") == 0) {
        said->url = pulse_video_get(answer, "output");

        if (said->url.len == 0) {
            said->url = pulse_video_get(answer, "output.0");
        }

        said->state = said->url.len ? pulse_video_done : pulse_video_failed;
        return;
    }

    error = pulse_video_get(answer, "error");

    said->state = pulse_video_says_flagged(&error) ? pulse_video_flagged
                                                   : pulse_video_failed;
}


/* the last number before a "%" */

static ngx_int_t
pulse_replicate_progress(const char *log)
{
    int          n;
    const char  *p, *end;

    end = strrchr(log, '%');

    if (end == NULL) {
        return -1;
    }

    for (p = end; p > log && isdigit((u_char) p[-1]) && end - p < 3; p--) {
        /* void */
    }

    n = (p == end) ? -1 : atoi(p);

    return (n <= 100) ? n : -1;
}
