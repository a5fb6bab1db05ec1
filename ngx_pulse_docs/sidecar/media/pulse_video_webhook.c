
#include <string.h>
#include <time.h>
#include "pulse_log.h"
#include "pulse_reply.h"
#include "pulse_signature.h"
#include "pulse_video.h"
#include "pulse_video_form.h"
#include "pulse_worker.h"


#define PULSE_VIDEO_WEBHOOK_MAX  (1024 * 1024)


static ngx_int_t pulse_video_webhook_read(pulse_http_request_t *r,
    ngx_str_t *operation);
static enum MHD_Result pulse_video_webhook_store(pulse_http_request_t *r,
    const ngx_str_t *key, const ngx_str_t *operation);
static void pulse_video_webhook_forged(void);


static struct {
    u_char  key[PULSE_SIGNATURE_KEY];
    size_t  len;
} pulse_video_secret;


ngx_uint_t
pulse_video_webhooks(void)
{
    return pulse_video_secret.len > 0;
}


ngx_int_t
pulse_video_webhook_secret(const char *secret)
{
    ssize_t  n;

    n = pulse_signature_key(secret, pulse_video_secret.key);

    if (n < 0) {
        return NGX_ERROR;
    }

    pulse_video_secret.len = n;

    return NGX_OK;
}


/* It proves itself, is stored, and only then answered; what it says is read by
 * the job, as an answer to its own question would be. */

enum MHD_Result
pulse_video_webhook(pulse_http_request_t *r)
{
    ngx_str_t          operation;
    pulse_signature_t  signature;

    if (!pulse_video_webhooks()) {
        return pulse_reply_error(r, pulse_reply_not_found, NULL);
    }

    if (r->body.len > PULSE_VIDEO_WEBHOOK_MAX) {
        return pulse_reply_error(r, pulse_reply_too_large, NULL);
    }

    signature.id = pulse_http_header(r, "Webhook-Id");
    signature.timestamp = pulse_http_header(r, "Webhook-Timestamp");
    signature.signatures = pulse_http_header(r, "Webhook-Signature");
    signature.body.data = r->body.data;
    signature.body.len = r->body.len;

    if (pulse_signature_check(&signature, pulse_video_secret.key,
                              pulse_video_secret.len, time(NULL))
        != NGX_OK)
    {
        pulse_video_webhook_forged();
        return pulse_reply_error(r, pulse_reply_unauthorized, NULL);
    }

    if (pulse_video_webhook_read(r, &operation) != NGX_OK) {
        return pulse_reply_field(r, "", "ليس تنبؤًا.", "is no prediction");
    }

    return pulse_video_webhook_store(r, &signature.id, &operation);
}


static ngx_int_t
pulse_video_webhook_read(pulse_http_request_t *r, ngx_str_t *operation)
{
    ngx_int_t             rc;
    pulse_video_said_t    said;
    pulse_video_answer_t  answer;

    ngx_memzero(&said, sizeof(pulse_video_said_t));

    pulse_video_answer_init(&answer, r->pool, -1);

    rc = pulse_video_answer_read(&answer, r->body.data, r->body.len);

    if (pulse_video_answer_end(&answer) != NGX_OK || rc != NGX_OK) {
        return NGX_ERROR;
    }

    pulse_video_replicate.read(&answer, r->pool, &said);

    *operation = said.operation;

    return operation->len ? NGX_OK : NGX_ERROR;
}


static enum MHD_Result
pulse_video_webhook_store(pulse_http_request_t *r, const ngx_str_t *key,
    const ngx_str_t *operation)
{
    PGresult         *res;
    const char       *params[4];
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, r->body.data, r->body.len);

    params[0] = pulse_video_replicate.name;
    params[1] = (char *) key->data;
    params[2] = (char *) operation->data;
    params[3] = pulse_video_take(r->pool, &b, NULL);

    if (params[3] == NULL || pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    res = pulse_store_query(r->store, "SELECT video_told($1, $2, $3, $4)", 4,
                            params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse video: a message of %s is not stored:"
                  " %s", params[0], r->store->error);
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    PQclear(res);

    ngx_pulse_buf_literal(&b, "{\"received\":true}");

    return pulse_reply_data(r, MHD_HTTP_OK, &b);
}


/* Anybody can send these. */

static void
pulse_video_webhook_forged(void)
{
    unsigned  n;

    static pulse_log_often_t  often = PULSE_LOG_OFTEN;

    n = pulse_log_often(&often);

    if (n) {
        pulse_log(PULSE_LOG_WARN, "pulse video: %u messages that were not of"
                  " Replicate since the last such line", n);
    }
}
