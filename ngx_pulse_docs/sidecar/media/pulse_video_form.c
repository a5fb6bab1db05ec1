
#include <stdlib.h>
#include <string.h>
#include "ngx_pulse_id.h"
#include "pulse_call.h"
#include "pulse_files.h"
#include "pulse_log.h"
#include "pulse_moderate.h"
#include "pulse_once.h"
#include "pulse_reply.h"
#include "pulse_tasks.h"
#include "pulse_video.h"
#include "pulse_video_form.h"
#include "pulse_video_work.h"
#include "pulse_worker.h"


#define PULSE_VIDEO_LASTS     "1 hour"
#define PULSE_VIDEO_MOST      "3"       /* of one person at a time */
#define PULSE_VIDEO_PROMPT    4000      /* characters */
#define PULSE_VIDEO_SECONDS   60
#define PULSE_VIDEO_IMAGE     (8 * 1024 * 1024)


/* What is asked for. */

typedef struct {
    const pulse_media_model_t  *model;
    ngx_str_t                   prompt;
    ngx_str_t                   negative;
    ngx_str_t                   ratio;
    ngx_str_t                   resolution;
    ngx_str_t                   image;          /* id of a file, or empty */
    char                        image_type[32];
    ngx_int_t                   duration;
    ngx_int_t                   seed;
} pulse_video_form_t;


static ngx_int_t pulse_video_read(pulse_http_request_t *r,
    pulse_video_form_t *f, enum MHD_Result *rc);
static ngx_int_t pulse_video_model(pulse_http_request_t *r,
    pulse_video_form_t *f, const ngx_str_t *name, enum MHD_Result *rc);
static const pulse_media_model_t *pulse_video_default(void);
static ngx_int_t pulse_video_fits(pulse_http_request_t *r,
    pulse_video_form_t *f, enum MHD_Result *rc);
static ngx_int_t pulse_video_image(pulse_http_request_t *r,
    pulse_video_form_t *f, enum MHD_Result *rc);
static ngx_int_t pulse_video_moderate(pulse_http_request_t *r,
    pulse_video_form_t *f, enum MHD_Result *rc);
static enum MHD_Result pulse_video_start(pulse_http_request_t *r,
    pulse_video_form_t *f);
static enum MHD_Result pulse_video_started(pulse_http_request_t *r,
    const char *id);
static PGresult *pulse_video_insert(pulse_http_request_t *r,
    pulse_video_form_t *f, const char *id);
static void pulse_video_json(pulse_http_request_t *r, pulse_video_form_t *f,
    ngx_pulse_buf_t *b);


static const pulse_video_provider_t *const  pulse_video_providers[] = {
    &pulse_video_vertex, &pulse_video_interactions, &pulse_video_replicate,
    NULL
};


ngx_int_t
pulse_video_open(const char *poll)
{
    ngx_int_t    seconds;
    ngx_uint_t   i;
    const char  *secret, *wrong;

    for (i = 0; pulse_video_providers[i]; i++) {

        if (pulse_video_provider(pulse_video_providers[i]->name) == NULL
            || pulse_video_providers[i]->accept == NULL)
        {
            continue;
        }

        wrong = pulse_video_providers[i]->accept();

        if (wrong) {
            pulse_log(PULSE_LOG_ERR, "pulse video: %s: %s",
                      pulse_video_providers[i]->name, wrong);
            return NGX_ERROR;
        }
    }

    if (poll) {
        seconds = atoi(poll);

        if (seconds < 1 || seconds > 60) {
            pulse_log(PULSE_LOG_ERR, "pulse video: --video-poll is 1 to 60"
                      " seconds");
            return NGX_ERROR;
        }

        pulse_video_set_poll(seconds);
    }

    secret = getenv("REPLICATE_WEBHOOK_SECRET");

    if (secret && secret[0] != '\0'
        && pulse_video_webhook_secret(secret) != NGX_OK)
    {
        pulse_log(PULSE_LOG_ERR, "pulse video: REPLICATE_WEBHOOK_SECRET is"
                  " not \"whsec_\" and a key in base64");
        return NGX_ERROR;
    }

    return NGX_OK;
}


const pulse_video_provider_t *
pulse_video_provider(const char *name)
{
    ngx_uint_t                     i;
    const pulse_media_provider_t  *provider;

    for (i = 0; pulse_video_providers[i]; i++) {
        if (strcmp(pulse_video_providers[i]->name, name) == 0) {
            provider = pulse_media_provider(name);

            return (provider && provider->key) ? pulse_video_providers[i]
                                               : NULL;
        }
    }

    return NULL;
}


enum MHD_Result
pulse_video_generate(pulse_http_request_t *r)
{
    enum MHD_Result      rc;
    pulse_video_form_t  *f;

    f = ngx_pcalloc(r->pool, sizeof(pulse_video_form_t));

    if (f == NULL) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    if (pulse_video_read(r, f, &rc) != NGX_OK
        || pulse_video_fits(r, f, &rc) != NGX_OK
        || pulse_video_image(r, f, &rc) != NGX_OK
        || pulse_video_moderate(r, f, &rc) != NGX_OK)
    {
        return rc;
    }

    return pulse_video_start(r, f);
}


static ngx_int_t
pulse_video_read(pulse_http_request_t *r, pulse_video_form_t *f,
    enum MHD_Result *rc)
{
    ngx_str_t                model;
    pulse_form_t            *form;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_read(r, &form, rc);
    if (v == NULL) {
        return NGX_DECLINED;
    }

    model = pulse_form_text(form, v, "model", 120, 0);
    f->prompt = pulse_form_text(form, v, "prompt", PULSE_VIDEO_PROMPT,
                                PULSE_FORM_REQUIRED|PULSE_FORM_LINES);
    f->negative = pulse_form_text(form, v, "negative_prompt",
                                  PULSE_VIDEO_PROMPT, PULSE_FORM_LINES);
    f->ratio = pulse_form_text(form, v, "aspect_ratio", 8, 0);
    f->resolution = pulse_form_text(form, v, "resolution", 8, 0);
    f->image = pulse_form_text(form, v, "image", PULSE_TASK_ID, 0);
    f->duration = pulse_form_integer(form, v, "duration_s", 1,
                                     PULSE_VIDEO_SECONDS, 0);
    f->seed = pulse_form_integer(form, v, "seed", 0, NGX_MAX_INT32_VALUE, -1);

    if (form->rc != NGX_OK) {
        *rc = pulse_reply_form(r, form);
        return NGX_DECLINED;
    }

    return pulse_video_model(r, f, &model, rc);
}


static ngx_int_t
pulse_video_model(pulse_http_request_t *r, pulse_video_form_t *f,
    const ngx_str_t *name, enum MHD_Result *rc)
{
    ngx_pulse_buf_t  details;

    f->model = name->len ? pulse_media_find(NGX_PULSE_MODEL_VIDEO, name)
                         : pulse_video_default();

    if (f->model == NULL && name->len) {
        ngx_pulse_buf_init(&details, 0);
        ngx_pulse_buf_literal(&details, "{\"model\":");
        ngx_pulse_buf_json(&details, name->data, name->len);
        ngx_pulse_buf_char(&details, '}');

        *rc = pulse_reply_error(r, pulse_reply_model, &details);

        ngx_pulse_buf_free(&details);

        return NGX_DECLINED;
    }

    if (f->model == NULL
        || pulse_video_provider(f->model->provider->name) == NULL)
    {
        *rc = pulse_reply_error(r, pulse_reply_maker, NULL);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* the first of the catalogue that is to be had */

static const pulse_media_model_t *
pulse_video_default(void)
{
    const pulse_media_model_t  *model;

    for (model = pulse_media_next(NGX_PULSE_MODEL_VIDEO, NULL); model;
         model = pulse_media_next(NGX_PULSE_MODEL_VIDEO, model))
    {
        if (pulse_video_provider(model->provider->name)) {
            break;
        }
    }

    return model;
}


static ngx_int_t
pulse_video_fits(pulse_http_request_t *r, pulse_video_form_t *f,
    enum MHD_Result *rc)
{
    if (f->duration
        && (f->duration < pulse_media_most(f->model, "min_duration", 1)
            || f->duration > pulse_media_most(f->model, "max_duration",
                                              PULSE_VIDEO_SECONDS)))
    {
        *rc = pulse_reply_field(r, "/duration_s", "لا ينتج هذا النموذج مقاطع"
                                " بهذه المدة.",
                                "is not what this model makes");
        return NGX_DECLINED;
    }

    if (f->ratio.len
        && !pulse_media_offers(f->model, "aspect_ratios", &f->ratio, 1))
    {
        *rc = pulse_reply_field(r, "/aspect_ratio", "لا ينتج هذا النموذج"
                                " مقاطع بهذه الأبعاد.",
                                "is not what this model makes");
        return NGX_DECLINED;
    }

    if (f->resolution.len
        && !pulse_media_offers(f->model, "resolutions", &f->resolution, 1))
    {
        *rc = pulse_reply_field(r, "/resolution", "لا ينتج هذا النموذج مقاطع"
                                " بهذه الدقة.",
                                "is not what this model makes");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* A picture of the caller's to begin with. */

static ngx_int_t
pulse_video_image(pulse_http_request_t *r, pulse_video_form_t *f,
    enum MHD_Result *rc)
{
    PGresult   *res;
    ngx_str_t   id;
    size_t      size;

    if (f->image.len == 0) {
        return NGX_OK;
    }

    id = r->id;
    r->id = f->image;

    res = ngx_pulse_uuid_valid(&f->image)
          ? pulse_files_find(r, "SELECT content_type, size_bytes"
                             "  FROM file_of($1, $2)"
                             " WHERE status = 'ready'", rc)
          : NULL;

    r->id = id;

    if (res == NULL && ngx_pulse_uuid_valid(&f->image)) {
        return NGX_DECLINED;
    }

    if (res) {
        snprintf(f->image_type, sizeof(f->image_type), "%s",
                 PQgetvalue(res, 0, 0));
        size = strtoul(PQgetvalue(res, 0, 1), NULL, 10);
        PQclear(res);

        if (size <= PULSE_VIDEO_IMAGE
            && (strcmp(f->image_type, "image/png") == 0
                || strcmp(f->image_type, "image/jpeg") == 0
                || strcmp(f->image_type, "image/webp") == 0))
        {
            return NGX_OK;
        }
    }

    *rc = pulse_reply_field(r, "/image", "المطلوب معرّف صورة من ملفاتك (PNG أو"
                            " JPEG أو WebP) لا يزيد حجمها على 8 ميغابايت.",
                            "is not the id of a file of yours that is a PNG,"
                            " JPEG or WebP of up to 8 MiB");

    return NGX_DECLINED;
}


/* Before anything is held and before any provider sees it. */

static ngx_int_t
pulse_video_moderate(pulse_http_request_t *r, pulse_video_form_t *f,
    enum MHD_Result *rc)
{
    ngx_int_t                verdict;
    ngx_str_t                texts[2];
    ngx_pulse_buf_t          b;
    pulse_moderate_image_t   image;
    pulse_moderate_input_t   input;

    texts[0] = f->prompt;
    texts[1] = f->negative;

    ngx_memzero(&input, sizeof(pulse_moderate_input_t));
    ngx_memzero(&image, sizeof(pulse_moderate_image_t));

    input.texts = texts;
    input.ntexts = f->negative.len ? 2 : 1;

    ngx_pulse_buf_init(&b, PULSE_VIDEO_IMAGE + 1);

    if (f->image.len) {

        if (pulse_shelf_read(f->image.data, &b) != NGX_OK) {
            ngx_pulse_buf_free(&b);
            *rc = pulse_reply_error(r, pulse_reply_store, NULL);
            return NGX_DECLINED;
        }

        image.type = f->image_type;
        image.data.data = b.data;
        image.data.len = b.len;
        input.images = &image;
        input.nimages = 1;
    }

    verdict = pulse_moderate(r, &input, rc);

    ngx_pulse_buf_free(&b);

    return verdict;
}


/*
 * The task, what it holds, its job, and the answer that an idempotency key is
 * given again are one transaction: whoever asks again with the key finds all
 * of it or nothing.
 */

static enum MHD_Result
pulse_video_start(pulse_http_request_t *r, pulse_video_form_t *f)
{
    char              id[PULSE_TASK_ID + 1];
    PGresult         *res;
    enum MHD_Result   rc;

    ngx_pulse_uuid7((u_char *) id);
    id[PULSE_TASK_ID] = '\0';

    if (pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    res = (pulse_store_run(r->store, "BEGIN") == NGX_OK)
          ? pulse_video_insert(r, f, id) : NULL;

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse video: one could not begin: %s",
                  r->store->error);

        if (r->store->conn) {
            (void) pulse_store_run(r->store, "ROLLBACK");
        }

        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    pulse_hold_usage(r, PULSE_HOLD_VIDEOS, res);

    if (PQgetisnull(res, 0, 1)) {
        rc = pulse_video_started(r, id);

    } else {
        (void) pulse_store_run(r->store, "ROLLBACK");
        rc = pulse_hold_refuse(r, res);
    }

    PQclear(res);

    return rc;
}


static enum MHD_Result
pulse_video_started(pulse_http_request_t *r, const char *id)
{
    enum MHD_Result  rc;

    rc = pulse_task_begun(r, id);

    /* a statement that failed leaves nothing to commit, and COMMIT would say
     * so in its own way only */

    if (r->store->conn
        && PQtransactionStatus(r->store->conn) == PQTRANS_INTRANS
        && pulse_store_run(r->store, "COMMIT") == NGX_OK)
    {
        return rc;
    }

    pulse_log(PULSE_LOG_ERR, "pulse video: one could not begin: %s",
              r->store->error);

    if (r->store->conn) {
        (void) pulse_store_run(r->store, "ROLLBACK");
    }

    pulse_http_discard(r);
    pulse_once_forget(r);

    return pulse_reply_error(r, pulse_reply_store, NULL);
}


static PGresult *
pulse_video_insert(pulse_http_request_t *r, pulse_video_form_t *f,
    const char *id)
{
    PGresult         *res;
    ngx_str_t         trace;
    const char       *params[8];
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, 0);
    pulse_video_json(r, f, &b);

    if (b.failed) {
        ngx_pulse_buf_free(&b);
        snprintf(r->store->error, sizeof(r->store->error), "no memory");
        return NULL;
    }

    trace = pulse_http_header(r, "X-Trace-ID");

    params[0] = id;
    params[1] = (char *) r->user.data;
    params[2] = f->model->provider->name;
    params[3] = f->model->id;
    params[4] = (char *) b.data;
    params[5] = PULSE_VIDEO_LASTS;
    params[6] = PULSE_VIDEO_MOST;
    params[7] = (char *) trace.data;

    res = pulse_store_query(r->store,
                            "SELECT m.* FROM video_begin($1, $2, $3, $4, $5,"
                            " $6, $7, $8) m", 8, params);

    ngx_pulse_buf_free(&b);

    return res;
}


/* As the job reads it; NUL terminated. */

static void
pulse_video_json(pulse_http_request_t *r, pulse_video_form_t *f,
    ngx_pulse_buf_t *b)
{
    ngx_str_t         url, type, callback;
    ngx_pulse_buf_t   c;

    ngx_pulse_buf_literal(b, "{\"seed\":");
    ngx_pulse_buf_int(b, f->seed);
    ngx_pulse_buf_literal(b, ",\"duration_s\":");
    ngx_pulse_buf_int(b, f->duration);

    pulse_video_member(b, "prompt", &f->prompt);
    pulse_video_member(b, "negative_prompt", &f->negative);
    pulse_video_member(b, "aspect_ratio", &f->ratio);
    pulse_video_member(b, "resolution", &f->resolution);
    pulse_video_member(b, "image", &f->image);

    type.data = (u_char *) f->image_type;
    type.len = strlen(f->image_type);

    pulse_video_member(b, "image_type", &type);

    url = pulse_http_header(r, "X-Pulse-Url");

    /* elsewhere they are not sent in the open */

    if (pulse_video_webhooks()
        && strcmp(f->model->provider->name, "replicate") == 0
        && (strncmp((char *) url.data, "https://", 8) == 0
            || pulse_call_is_loopback(f->model->provider->host)))
    {
        ngx_pulse_buf_init(&c, 0);
        ngx_pulse_buf_str(&c, &url);
        ngx_pulse_buf_literal(&c, "/v1/video/webhook/replicate");

        callback.data = c.data;
        callback.len = c.len;

        pulse_video_member(b, "callback", &callback);

        b->failed |= c.failed;
        ngx_pulse_buf_free(&c);
    }

    ngx_pulse_buf_append(b, (u_char *) "}", 2);
}
