
#include <stdio.h>
#include <string.h>
#include "pulse_video.h"


static const char *pulse_interactions_base(void);
static ngx_int_t pulse_interactions_credential(ngx_pool_t *pool,
    const char **field);
static ngx_int_t pulse_interactions_submit(ngx_pool_t *pool,
    const pulse_video_order_t *order, pulse_video_request_t *request);
static void pulse_interactions_body(const pulse_video_order_t *order,
    ngx_pulse_buf_t *b);
static ngx_int_t pulse_interactions_poll(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request);
static ngx_int_t pulse_interactions_cancel(ngx_pool_t *pool,
    const char *model, const ngx_str_t *operation,
    pulse_video_request_t *request);
static const char *pulse_interactions_url(ngx_pool_t *pool,
    const ngx_str_t *operation, const char *what);
static void pulse_interactions_read(const pulse_video_answer_t *answer,
    ngx_pool_t *pool, pulse_video_said_t *said);
static void pulse_interactions_result(const pulse_video_answer_t *answer,
    pulse_video_said_t *said);


/* Gemini's Interactions API; a file of Google's is had with the key, which
 * redirects to where it is had without. */

static const char *const  pulse_interactions_hosts[] = {
    ".googleapis.com", ".googleusercontent.com", NULL
};

static const char *const  pulse_interactions_trusted[] = { NULL };


const pulse_video_provider_t  pulse_video_interactions = {
    "google",
    pulse_interactions_hosts,
    pulse_interactions_trusted,
    { NULL, NULL },
    NULL,
    pulse_interactions_base,
    pulse_interactions_credential,
    NULL,                               /* a key stays what it is */
    pulse_interactions_submit,
    pulse_interactions_poll,
    pulse_interactions_cancel,
    pulse_interactions_read
};


static const char *
pulse_interactions_base(void)
{
    return pulse_media_provider("google")->base;
}


static ngx_int_t
pulse_interactions_credential(ngx_pool_t *pool, const char **field)
{
    const char       *key;
    ngx_pulse_buf_t   b;

    key = pulse_media_provider("google")->key;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "x-goog-api-key: ");
    ngx_pulse_buf_append(&b, (u_char *) key, strlen(key));

    *field = pulse_video_take(pool, &b, NULL);

    return *field ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_interactions_submit(ngx_pool_t *pool, const pulse_video_order_t *order,
    pulse_video_request_t *request)
{
    ngx_pulse_buf_t  b;

    request->method = "POST";
    request->url = pulse_interactions_url(pool, NULL, "");

    ngx_pulse_buf_init(&b, 0);
    pulse_interactions_body(order, &b);

    request->body.data = (u_char *) pulse_video_take(pool, &b,
                                                     &request->body.len);

    return (request->url && request->body.data) ? NGX_OK : NGX_ERROR;
}


static void
pulse_interactions_body(const pulse_video_order_t *order, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"background\":true,\"store\":true,\"model\":");
    ngx_pulse_buf_json(b, (u_char *) order->model, strlen(order->model));

    ngx_pulse_buf_literal(b, ",\"input\":[{\"type\":\"text\",\"text\":");
    ngx_pulse_buf_json(b, order->prompt.data, order->prompt.len);
    ngx_pulse_buf_char(b, '}');

    if (order->image.len) {
        ngx_pulse_buf_literal(b, ",{\"type\":\"image\",\"mime_type\":\"");
        ngx_pulse_buf_append(b, (u_char *) order->image_type,
                             strlen(order->image_type));
        ngx_pulse_buf_literal(b, "\",\"data\":\"");
        ngx_pulse_buf_str(b, &order->image);
        ngx_pulse_buf_literal(b, "\"}");
    }

    ngx_pulse_buf_literal(b, "],\"response_format\":[{\"type\":\"video\","
                          "\"delivery\":\"uri\"");
    pulse_video_member(b, "aspect_ratio", &order->ratio);
    pulse_video_member(b, "resolution", &order->resolution);

    if (order->duration) {
        ngx_pulse_buf_literal(b, ",\"duration\":\"");
        ngx_pulse_buf_int(b, order->duration);
        ngx_pulse_buf_literal(b, "s\"");
    }

    ngx_pulse_buf_literal(b, "}]");

    if (order->seed >= 0) {
        ngx_pulse_buf_literal(b, ",\"generation_config\":{\"seed\":");
        ngx_pulse_buf_int(b, order->seed);
        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_char(b, '}');
}


static ngx_int_t
pulse_interactions_poll(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request)
{
    request->method = "GET";
    request->url = pulse_interactions_url(pool, operation, "");
    ngx_str_null(&request->body);

    return request->url ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_interactions_cancel(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request)
{
    request->method = "POST";
    request->url = pulse_interactions_url(pool, operation, "/cancel");
    ngx_str_null(&request->body);

    return request->url ? NGX_OK : NGX_ERROR;
}


static const char *
pulse_interactions_url(ngx_pool_t *pool, const ngx_str_t *operation,
    const char *what)
{
    const char       *base;
    ngx_pulse_buf_t   b;

    base = pulse_interactions_base();

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) base, strlen(base));
    ngx_pulse_buf_literal(&b, "/interactions");

    if (operation) {
        ngx_pulse_buf_char(&b, '/');
        ngx_pulse_buf_str(&b, operation);
    }

    ngx_pulse_buf_append(&b, (u_char *) what, strlen(what));

    return pulse_video_take(pool, &b, NULL);
}


static void
pulse_interactions_read(const pulse_video_answer_t *answer, ngx_pool_t *pool,
    pulse_video_said_t *said)
{
    ngx_str_t   status, message, id;
    ngx_uint_t  i;

    static const char *const  running[] = {
        "in_progress", "queued", "requires_continuation"
    };

    id = pulse_video_get(answer, "id");

    if (pulse_video_named(&id, "-_")) {
        said->operation = id;
    }

    status = pulse_video_get(answer, "status");
    message = pulse_video_get(answer, "error.message");

    if (status.len == 0) {
        if (pulse_video_says_flagged(&message)) {
            said->state = pulse_video_flagged;
        }

        return;
    }

    for (i = 0; i < sizeof(running) / sizeof(running[0]); i++) {
        if (strcmp((char *) status.data, running[i]) == 0) {
            said->state = pulse_video_running;
            return;
        }
    }

    if (strcmp((char *) status.data, "completed") == 0) {
        pulse_interactions_result(answer, said);
        return;
    }

    said->state = pulse_video_says_flagged(&message) ? pulse_video_flagged
                                                     : pulse_video_failed;
}


/* Beside the steps or in them; one that ends without a video says why. */

static void
pulse_interactions_result(const pulse_video_answer_t *answer,
    pulse_video_said_t *said)
{
    ngx_str_t  text;

    said->url = pulse_video_get(answer, "output_video.uri");

    if (said->url.len == 0) {
        said->url = pulse_video_find(answer, "steps", "uri");
    }

    if (said->url.len || answer->len) {
        said->state = pulse_video_done;
        return;
    }

    text = pulse_video_find(answer, "steps", "text");

    said->state = pulse_video_says_flagged(&text) ? pulse_video_flagged
                                                  : pulse_video_failed;
}
