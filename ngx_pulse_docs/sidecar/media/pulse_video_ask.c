
#include <stdlib.h>
#include <string.h>
#include "pulse_files.h"
#include "pulse_log.h"
#include "pulse_video_work.h"


#define PULSE_VIDEO_SUBMIT   60             /* s */
#define PULSE_VIDEO_POLL     180            /* the result may be in it */
#define PULSE_VIDEO_CANCEL   15
#define PULSE_VIDEO_ANSWER   (PULSE_VIDEO_MAX / 3 * 4 + 1024 * 1024)
#define PULSE_VIDEO_PICTURE  (8 * 1024 * 1024)


static ngx_int_t pulse_video_order(pulse_video_t *v,
    pulse_video_order_t *order);
static ngx_str_t pulse_video_text(const pulse_video_t *v, const char *name);
static int64_t pulse_video_number(const pulse_video_t *v, const char *name,
    int64_t absent);
static ngx_int_t pulse_video_picture(pulse_video_t *v, const ngx_str_t *id,
    ngx_str_t *text);
static ngx_int_t pulse_video_ask(pulse_video_t *v,
    const pulse_video_request_t *request, ngx_uint_t timeout,
    ngx_uint_t (*stop)(void));
static ngx_int_t pulse_video_send(pulse_video_t *v,
    const pulse_video_request_t *request, ngx_uint_t timeout,
    ngx_uint_t (*stop)(void));
static ngx_int_t pulse_video_memory(pulse_video_t *v);


ngx_int_t
pulse_video_submit(pulse_video_t *v)
{
    ngx_int_t              rc;
    pulse_video_order_t    order;
    pulse_video_request_t  request;

    v->call.sent = 0;

    rc = pulse_video_order(v, &order);

    if (rc != NGX_OK) {
        return rc;
    }

    if (v->provider->submit(v->pool, &order, &request) != NGX_OK) {
        return pulse_video_memory(v);
    }

    /* it is not left in the middle: whether it was begun is not known then */

    return pulse_video_ask(v, &request, PULSE_VIDEO_SUBMIT, NULL);
}


static ngx_int_t
pulse_video_order(pulse_video_t *v, pulse_video_order_t *order)
{
    ngx_str_t  picture, type;

    ngx_memzero(order, sizeof(pulse_video_order_t));

    order->model = v->model->id;
    order->prompt = pulse_video_text(v, "prompt");
    order->negative = pulse_video_text(v, "negative_prompt");
    order->ratio = pulse_video_text(v, "aspect_ratio");
    order->resolution = pulse_video_text(v, "resolution");
    order->callback = pulse_video_text(v, "callback");
    order->duration = pulse_video_number(v, "duration_s", 0);
    order->seed = pulse_video_number(v, "seed", -1);

    /* each has one: a video of nothing would be paid for as well */

    if (order->prompt.len == 0) {
        return pulse_video_memory(v);
    }

    picture = pulse_video_text(v, "image");

    if (picture.len == 0) {
        return NGX_OK;
    }

    type = pulse_video_text(v, "image_type");

    order->image_type = strcmp((char *) type.data, "image/png") == 0
                        ? "image/png"
                        : strcmp((char *) type.data, "image/webp") == 0
                          ? "image/webp" : "image/jpeg";

    return pulse_video_picture(v, &picture, &order->image);
}


/* strings of a tree are not NUL terminated */

static ngx_str_t
pulse_video_text(const pulse_video_t *v, const char *name)
{
    u_char                        *copy;
    ngx_str_t                      text;
    const ngx_pulse_json_value_t  *member;

    ngx_str_set(&text, "");

    member = ngx_pulse_json_get(v->task.request, name);

    if (member && member->type == NGX_PULSE_JSON_STRING) {
        copy = ngx_pnalloc(v->pool, member->string.len + 1);

        if (copy) {
            *ngx_cpymem(copy, member->string.data, member->string.len)
                = '\0';
            text.data = copy;
            text.len = member->string.len;
        }
    }

    return text;
}


static int64_t
pulse_video_number(const pulse_video_t *v, const char *name, int64_t absent)
{
    int64_t                        n;
    const ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v->task.request, name);

    if (member == NULL || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &n) != NGX_OK)
    {
        return absent;
    }

    return n;
}


/* One of its owner's files, which the endpoint has found to be a picture. */

static ngx_int_t
pulse_video_picture(pulse_video_t *v, const ngx_str_t *id, ngx_str_t *text)
{
    ngx_int_t        rc;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, PULSE_VIDEO_PICTURE + 1);

    rc = pulse_shelf_read(id->data, &b);

    if (rc != NGX_OK) {
        snprintf(v->call.error, PULSE_CALL_ERROR, "its picture: %s",
                 strerror(errno));

        if (errno == ENOENT) {
            rc = NGX_DECLINED;
        }

    } else {
        text->data = ngx_pnalloc(v->pool, b.len / 3 * 4 + 5);

        if (text->data == NULL) {
            rc = pulse_video_memory(v);

        } else {
            text->len = EVP_EncodeBlock(text->data, b.data, b.len);
        }
    }

    ngx_pulse_buf_free(&b);

    return rc;
}


ngx_int_t
pulse_video_poll(pulse_video_t *v)
{
    pulse_video_request_t  request;

    if (v->provider->poll(v->pool, v->model->id, &v->operation, &request)
        != NGX_OK)
    {
        return pulse_video_memory(v);
    }

    return pulse_video_ask(v, &request, PULSE_VIDEO_POLL,
                           pulse_jobs_stopping);
}


ngx_int_t
pulse_video_cancel(pulse_video_t *v)
{
    pulse_video_request_t  request;

    if (v->provider->cancel(v->pool, v->model->id, &v->operation, &request)
        != NGX_OK)
    {
        return pulse_video_memory(v);
    }

    return pulse_video_ask(v, &request, PULSE_VIDEO_CANCEL, NULL);
}


ngx_int_t
pulse_video_hear(pulse_video_t *v)
{
    ngx_int_t  rc;

    ngx_memzero(&v->said, sizeof(pulse_video_said_t));
    v->said.state = pulse_video_unclear;
    v->said.progress = -1;

    pulse_video_answer_init(&v->answer, v->pool, v->fd);

    rc = pulse_video_answer_read(&v->answer, v->told.data, v->told.len);

    if (pulse_video_answer_end(&v->answer) != NGX_OK || rc != NGX_OK) {
        return NGX_ERROR;
    }

    v->provider->read(&v->answer, v->pool, &v->said);

    return NGX_OK;
}


static ngx_int_t
pulse_video_ask(pulse_video_t *v, const pulse_video_request_t *request,
    ngx_uint_t timeout, ngx_uint_t (*stop)(void))
{
    ngx_int_t  rc;

    rc = pulse_video_send(v, request, timeout, stop);

    if (rc != NGX_ABORT && pulse_video_renews(v)) {
        rc = pulse_video_send(v, request, timeout, stop);
    }

    return rc;
}


static ngx_int_t
pulse_video_send(pulse_video_t *v, const pulse_video_request_t *request,
    ngx_uint_t timeout, ngx_uint_t (*stop)(void))
{
    ngx_int_t      rc;
    pulse_call_t  *call;

    call = &v->call;

    ngx_memzero(call, sizeof(pulse_call_t));
    ngx_memzero(&v->said, sizeof(pulse_video_said_t));

    v->said.state = pulse_video_unclear;
    v->said.progress = -1;

    if (v->provider->credential(v->pool, &call->credential) != NGX_OK) {
        snprintf(call->error, PULSE_CALL_ERROR, "there is no credential");
        return NGX_ERROR;
    }

    call->method = request->method;
    call->url = request->url;
    call->fields = v->provider->fields;
    call->body = request->body;
    call->type = request->body.len ? "application/json" : NULL;
    call->loopback = v->loopback;
    call->timeout = timeout;
    call->max = PULSE_VIDEO_ANSWER;
    call->write = pulse_video_answer_read;
    call->ctx = &v->answer;
    call->stop = stop;

    pulse_video_answer_init(&v->answer, v->pool, v->fd);

    rc = pulse_call(call);

    if (pulse_video_answer_end(&v->answer) != NGX_OK && rc == NGX_OK) {
        snprintf(call->error, PULSE_CALL_ERROR, "it answered %ld and no JSON",
                 call->status);
        rc = NGX_ERROR;
    }

    if (call->stopped) {
        return NGX_ABORT;
    }

    if (rc == NGX_OK) {
        v->answer.status = call->status;
        v->provider->read(&v->answer, v->pool, &v->said);
    }

    return rc;
}


ngx_uint_t
pulse_video_renews(pulse_video_t *v)
{
    if (v->call.status != MHD_HTTP_UNAUTHORIZED
        || v->call.credential == NULL || v->provider->refused == NULL)
    {
        return 0;
    }

    v->provider->refused(v->call.credential);

    return 1;
}


static ngx_int_t
pulse_video_memory(pulse_video_t *v)
{
    snprintf(v->call.error, PULSE_CALL_ERROR, "no memory");

    return NGX_ERROR;
}
