
#include <sys/stat.h>
#include "ngx_pulse_id.h"
#include "pulse_clip.h"
#include "pulse_file.h"
#include "pulse_files.h"
#include "pulse_log.h"
#include "pulse_video_work.h"


#define PULSE_VIDEO_FETCH      240          /* s, in all */
#define PULSE_VIDEO_REDIRECTS  3
#define PULSE_VIDEO_TEXT       512
#define PULSE_VIDEO_POSTER     500          /* ms: the first frame is black */


typedef struct {
    u_char              thumbnail[PULSE_SHELF_ID + 1];
    pulse_clip_t        clip;
    pulse_task_file_t   files[2];
    ngx_uint_t          n;
} pulse_video_kept_t;


static ngx_int_t pulse_video_fetch(pulse_video_t *v);
static ngx_int_t pulse_video_get_file(pulse_video_t *v, const char *url);
static ngx_uint_t pulse_video_trusts(pulse_video_t *v, const char *url);
static ngx_int_t pulse_video_write_file(void *ctx, const u_char *p,
    size_t len);
static ngx_int_t pulse_video_lied(pulse_video_t *v, const char *what);
static ngx_int_t pulse_video_lies(pulse_video_t *v, const char *what);
static ngx_int_t pulse_video_keep(pulse_video_t *v, pulse_video_kept_t *kept);
static void pulse_video_thumbnail(pulse_video_t *v,
    pulse_video_kept_t *kept);
static ngx_int_t pulse_video_finish(pulse_video_t *v,
    const pulse_video_kept_t *kept);
static int64_t pulse_video_price(const pulse_video_t *v,
    const pulse_video_kept_t *kept);


/* Of what is paid for, whether it may be edited here or not: "4k" is up to
 * 4096 by 2304. */

static const pulse_clip_limits_t  pulse_video_limits = {
    .bytes = PULSE_VIDEO_MAX,
    .pixels = 4096 * 2304,
    .duration = 600000
};


ngx_int_t
pulse_video_result(pulse_video_t *v)
{
    ngx_int_t            rc;
    pulse_video_kept_t  *kept;

    kept = ngx_pcalloc(v->pool, sizeof(pulse_video_kept_t));
    if (kept == NULL) {
        snprintf(v->job->error, PULSE_JOB_ERROR, "no memory");
        return NGX_BUSY;
    }

    v->size = v->answer.len;

    if (v->said.url.len) {
        rc = pulse_video_fetch(v);

        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : rc;
        }
    }

    if (pulse_task_progress(v->job, &v->task, 95) == NGX_ERROR) {
        return NGX_ERROR;
    }

    switch (pulse_clip_probe_within(v->fd, &pulse_video_limits, &kept->clip)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return pulse_video_lied(v, pulse_clip_reason(kept->clip.why, 0));

    default:
        snprintf(v->job->error, PULSE_JOB_ERROR, "it cannot be looked at");
        return NGX_BUSY;
    }

    rc = pulse_video_keep(v, kept);

    return (rc == NGX_OK) ? pulse_video_finish(v, kept) : rc;
}


/* From where the provider is known to put things, and nowhere else: what it
 * says is not ours to believe. */

static ngx_int_t
pulse_video_fetch(pulse_video_t *v)
{
    ngx_int_t         rc;
    ngx_uint_t        n;
    const char       *url;
    ngx_pulse_buf_t   b;

    url = (char *) v->said.url.data;

    for (n = 0; n <= PULSE_VIDEO_REDIRECTS; n++) {

        if (!pulse_call_allowed(url, v->provider->hosts, v->provider->base(),
                                v->loopback))
        {
            return pulse_video_lies(v, "it is not where it has its files");
        }

        rc = pulse_video_get_file(v, url);

        if (rc == NGX_OK && pulse_video_renews(v)) {
            rc = pulse_video_get_file(v, url);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (v->call.status >= 200 && v->call.status < 300) {
            return NGX_OK;
        }

        if (v->call.location[0] == '\0') {
            snprintf(v->job->error, PULSE_JOB_ERROR,
                     "the video cannot be fetched: its host answered %ld",
                     v->call.status);
            return NGX_BUSY;
        }

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_append(&b, (u_char *) v->call.location,
                             strlen(v->call.location));

        url = pulse_video_take(v->pool, &b, NULL);

        if (url == NULL) {
            snprintf(v->job->error, PULSE_JOB_ERROR, "no memory");
            return NGX_BUSY;
        }
    }

    return pulse_video_lies(v, "it redirects without an end");
}


static ngx_int_t
pulse_video_get_file(pulse_video_t *v, const char *url)
{
    pulse_call_t  *call;

    call = &v->call;

    ngx_memzero(call, sizeof(pulse_call_t));

    if (pulse_video_trusts(v, url)
        && v->provider->credential(v->pool, &call->credential) != NGX_OK)
    {
        snprintf(v->job->error, PULSE_JOB_ERROR, "there is no credential");
        return NGX_BUSY;
    }

    if (ftruncate(v->fd, 0) != 0) {
        snprintf(v->job->error, PULSE_JOB_ERROR, "%s", strerror(errno));
        return NGX_BUSY;
    }

    v->size = 0;

    call->method = "GET";
    call->url = url;
    call->loopback = v->loopback;
    call->timeout = PULSE_VIDEO_FETCH;
    call->max = PULSE_VIDEO_MAX;
    call->write = pulse_video_write_file;
    call->ctx = v;
    call->stop = pulse_jobs_stopping;

    if (pulse_call(call) == NGX_OK) {
        return NGX_OK;
    }

    if (call->stopped) {
        return NGX_ABORT;
    }

    if (call->too_large) {
        return pulse_video_lies(v, "it is too large");
    }

    snprintf(v->job->error, PULSE_JOB_ERROR,
             "the video cannot be fetched: %s", call->error);

    return NGX_BUSY;
}


/* The credential is for who gave it, and not for whoever has its files. */

static ngx_uint_t
pulse_video_trusts(pulse_video_t *v, const char *url)
{
    static const char *const  nobody[] = { NULL };

    return pulse_call_allowed(url, nobody, v->provider->base(), v->loopback)
           || (!v->loopback
               && pulse_call_allowed(url, v->provider->trusted,
                                     v->provider->base(), 0));
}


static ngx_int_t
pulse_video_write_file(void *ctx, const u_char *p, size_t len)
{
    pulse_video_t *v = ctx;

    if (pulse_file_put(v->fd, p, len, v->size) != NGX_OK) {
        return NGX_ERROR;
    }

    v->size += len;

    return NGX_OK;
}


/* What it gave is nothing that anybody could be charged for. */

static ngx_int_t
pulse_video_lied(pulse_video_t *v, const char *what)
{
    pulse_log(PULSE_LOG_ERR, "pulse video: %s: what %s made cannot be used:"
              " %s", v->task.id, v->name, what);

    return pulse_task_fail(v->job, &v->task, "PROVIDER_ERROR");
}


/* The same where more would follow: NGX_DONE if the task has ended. */

static ngx_int_t
pulse_video_lies(pulse_video_t *v, const char *what)
{
    ngx_int_t  rc;

    rc = pulse_video_lied(v, what);

    return (rc == NGX_OK) ? NGX_DONE : rc;
}


static ngx_int_t
pulse_video_keep(pulse_video_t *v, pulse_video_kept_t *kept)
{
    const char         *type;
    pulse_task_file_t  *file;

    type = pulse_clip_content_type(kept->clip.type);

    if (pulse_shelf_keep(v->file, type, v->fd) != NGX_OK) {
        snprintf(v->job->error, PULSE_JOB_ERROR, "it cannot be kept: %s",
                 strerror(errno));
        return NGX_BUSY;
    }

    file = &kept->files[kept->n++];

    file->id = v->file;
    file->kind = "video";
    file->name = kept->clip.type == pulse_clip_webm ? "video.webm"
                                                    : "video.mp4";
    file->content_type = type;
    file->size = v->size;
    file->width = kept->clip.width;
    file->height = kept->clip.height;

    pulse_video_thumbnail(v, kept);

    return NGX_OK;
}


/* Without one a video is still a video. */

static void
pulse_video_thumbnail(pulse_video_t *v, pulse_video_kept_t *kept)
{
    int                 fd;
    struct stat         sb;
    pulse_clip_t        clip;
    pulse_task_file_t  *file;

    clip = kept->clip;
    ngx_pulse_uuid7(kept->thumbnail);

    fd = pulse_shelf_draft(kept->thumbnail);
    if (fd == -1) {
        return;
    }

    if (pulse_clip_poster(v->fd, fd, ngx_min(PULSE_VIDEO_POSTER,
                                             clip.duration / 2), &clip)
        == NGX_OK
        && fstat(fd, &sb) == 0
        && pulse_shelf_keep(kept->thumbnail, "image/jpeg", fd) == NGX_OK)
    {
        file = &kept->files[kept->n++];

        file->id = kept->thumbnail;
        file->kind = "thumbnail";
        file->name = "video.jpg";
        file->content_type = "image/jpeg";
        file->size = sb.st_size;

    } else {
        pulse_log(PULSE_LOG_WARN, "pulse video: %s: it has no thumbnail",
                  v->task.id);
        pulse_shelf_drop(kept->thumbnail);
    }

    close(fd);
}


/* The files, the charge and the end of the task are one transaction. */

static ngx_int_t
pulse_video_finish(pulse_video_t *v, const pulse_video_kept_t *kept)
{
    char              text[PULSE_VIDEO_TEXT];
    pulse_hold_use_t  use;

    snprintf(text, sizeof(text), "{\"video\":{\"file_id\":\"%s\","
             "\"thumbnail_id\":%s%s%s,\"duration_s\":%lu.%03lu,"
             "\"width\":%lu,\"height\":%lu,\"content_type\":\"%s\","
             "\"size_bytes\":%zu}}",
             v->file, kept->n > 1 ? "\"" : "",
             kept->n > 1 ? (char *) kept->thumbnail : "null",
             kept->n > 1 ? "\"" : "",
             kept->clip.duration / 1000, kept->clip.duration % 1000,
             kept->clip.width, kept->clip.height,
             kept->files[0].content_type, v->size);

    ngx_memzero(&use, sizeof(pulse_hold_use_t));

    use.amount = 1;
    use.price = pulse_video_price(v, kept);

    return pulse_task_complete(v->job, &v->task, text, kept->files, kept->n,
                               &use);
}


/* By seconds, begun ones whole. */

static int64_t
pulse_video_price(const pulse_video_t *v, const pulse_video_kept_t *kept)
{
    int64_t  price;

    price = pulse_media_price(v->model, NGX_PULSE_PRICE_SECOND,
                              (kept->clip.duration + 999) / 1000);

    return (price == NGX_PULSE_PRICE_UNKNOWN) ? -1 : price;
}
