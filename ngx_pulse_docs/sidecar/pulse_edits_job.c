
#include "ngx_pulse_id.h"
#include "pulse_edit.h"
#include "pulse_edits.h"
#include "pulse_files.h"
#include "pulse_log.h"
#include "pulse_tasks.h"


#define PULSE_EDITS_POOL   4096
#define PULSE_EDITS_ASK    500              /* ms, whether it is cancelled */
#define PULSE_EDITS_NAME   160
#define PULSE_EDITS_TEXT   64
#define PULSE_EDITS_POSTER 1000             /* ms, of the frame that is shown */


typedef struct pulse_edits_s  pulse_edits_t;

/* reads the request, and makes a result and its thumbnail; as the functions of
 * pulse_raster.h return, with a cause in the job's error for NGX_ERROR */

typedef ngx_int_t (*pulse_edits_pt)(pulse_edits_t *e, pulse_form_t *form);


struct pulse_edits_s {
    pulse_job_t         *job;
    pulse_task_t         task;
    ngx_pool_t          *pool;
    const char          *family;            /* of the type of what is edited */
    const char          *member;            /* of the result */
    ngx_str_t            source;            /* id of the original */
    char                 name[PULSE_EDITS_NAME];    /* of it */
    int                  in;
    int                  out;
    int                  thumbnail;
    int64_t              asked;
    ngx_uint_t           cancelled;
    ngx_uint_t           lost;              /* a statement failed */
    ngx_uint_t           duration;          /* ms, 0: it is a picture */
    pulse_task_file_t    files[2];
    u_char               ids[2][PULSE_SHELF_ID + 1];
};


static ngx_int_t pulse_edits_do_picture(pulse_job_t *job);
static ngx_int_t pulse_edits_do_clip(pulse_job_t *job);
static ngx_int_t pulse_edits_do(pulse_job_t *job, pulse_edits_pt make,
    pulse_edits_t *e);
static ngx_int_t pulse_edits_work(pulse_edits_t *e, pulse_edits_pt make);
static ngx_int_t pulse_edits_drafts(pulse_edits_t *e);
static ngx_int_t pulse_edits_make_picture(pulse_edits_t *e,
    pulse_form_t *form);
static ngx_int_t pulse_edits_make_clip(pulse_edits_t *e, pulse_form_t *form);
static ngx_int_t pulse_edits_source(pulse_edits_t *e, const ngx_str_t *id,
    size_t max);
static void pulse_edits_made(pulse_edits_t *e, ngx_uint_t i, const char *kind,
    const char *type, ngx_uint_t width, ngx_uint_t height);
static ngx_int_t pulse_edits_keep(pulse_edits_t *e);
static const char *pulse_edits_filename(pulse_edits_t *e, const char *what,
    const char *type);
static ngx_int_t pulse_edits_result(pulse_edits_t *e, ngx_pulse_buf_t *b);
static ngx_int_t pulse_edits_end(pulse_edits_t *e, ngx_int_t rc);
static ngx_uint_t pulse_edits_stop(void *ctx);
static ngx_uint_t pulse_edits_progress(void *ctx, ngx_uint_t percent);


const pulse_job_kind_t  pulse_edits_kinds[] = {
    { PULSE_EDITS_PICTURE, PULSE_JOBS_PICTURES, pulse_edits_do_picture, NULL },
    { PULSE_EDITS_CLIP, PULSE_JOBS_CLIPS, pulse_edits_do_clip, NULL },
    { NULL, 0, NULL, NULL }
};


static ngx_int_t
pulse_edits_do_picture(pulse_job_t *job)
{
    pulse_edits_t  e = { .family = "image/", .member = "image" };

    return pulse_edits_do(job, pulse_edits_make_picture, &e);
}


static ngx_int_t
pulse_edits_do_clip(pulse_job_t *job)
{
    pulse_edits_t  e = { .family = "video/", .member = "video" };

    return pulse_edits_do(job, pulse_edits_make_clip, &e);
}


static ngx_int_t
pulse_edits_do(pulse_job_t *job, pulse_edits_pt make, pulse_edits_t *e)
{
    ngx_int_t  rc;

    e->job = job;
    e->pool = ngx_create_pool(PULSE_EDITS_POOL, NULL);

    if (e->pool == NULL) {
        snprintf(job->error, sizeof(job->error), "no memory");
        return NGX_AGAIN;
    }

    rc = pulse_task_load(job, e->pool, &e->task);

    if (rc == NGX_OK) {
        rc = pulse_edits_work(e, make);

    } else if (rc == NGX_DONE) {
        rc = NGX_OK;
    }

    ngx_destroy_pool(e->pool);

    return rc;
}


static ngx_int_t
pulse_edits_work(pulse_edits_t *e, pulse_edits_pt make)
{
    ngx_int_t      rc;
    pulse_form_t  *form;

    e->in = -1;
    e->out = -1;
    e->thumbnail = -1;
    e->asked = ngx_pulse_now();

    form = pulse_form_create(e->pool);

    rc = form ? pulse_edits_drafts(e) : NGX_ERROR;

    if (rc == NGX_OK) {
        rc = make(e, form);
    }

    if (rc == NGX_OK) {
        rc = pulse_edits_keep(e);
    }

    rc = pulse_edits_end(e, rc);

    if (e->in != -1) {
        close(e->in);
    }

    if (e->out != -1) {
        close(e->out);
        pulse_shelf_drop(e->ids[0]);
    }

    if (e->thumbnail != -1) {
        close(e->thumbnail);
        pulse_shelf_drop(e->ids[1]);
    }

    return rc;
}


static ngx_int_t
pulse_edits_drafts(pulse_edits_t *e)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        ngx_pulse_uuid7(e->ids[i]);
        e->ids[i][PULSE_SHELF_ID] = '\0';
    }

    e->out = pulse_shelf_draft(e->ids[0]);

    if (e->out != -1) {
        e->thumbnail = pulse_shelf_draft(e->ids[1]);
    }

    return (e->thumbnail != -1) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_edits_make_picture(pulse_edits_t *e, pulse_form_t *form)
{
    ngx_int_t              rc;
    pulse_raster_t         raster;
    pulse_edit_picture_t   edit;

    pulse_edit_read_picture(form, e->task.request, &edit);

    if (form->rc != NGX_OK) {
        return form->rc;
    }

    rc = pulse_edits_source(e, &edit.file, pulse_raster_limits.bytes);

    if (rc == NGX_OK) {
        rc = pulse_raster_probe(e->in, &raster);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    pulse_edit_fit_picture(&edit, &raster);

    edit.plan.stop = pulse_edits_stop;
    edit.plan.ctx = e;

    rc = pulse_raster_transform(e->in, e->out, &edit.plan, &raster);
    if (rc != NGX_OK) {
        return rc;
    }

    pulse_edits_made(e, 0, "edit", pulse_raster_content_type(raster.type),
                     raster.width, raster.height);

    rc = pulse_raster_thumbnail(e->out, e->thumbnail, PULSE_RASTER_THUMBNAIL,
                                &raster);
    if (rc != NGX_OK) {
        return rc;
    }

    pulse_edits_made(e, 1, "thumbnail",
                     pulse_raster_content_type(raster.type), raster.width,
                     raster.height);

    return NGX_OK;
}


static ngx_int_t
pulse_edits_make_clip(pulse_edits_t *e, pulse_form_t *form)
{
    ngx_int_t          rc;
    pulse_clip_t       clip;
    pulse_raster_t     raster;
    pulse_edit_clip_t  edit;

    pulse_edit_read_clip(form, e->task.request, &edit);

    if (form->rc != NGX_OK) {
        return form->rc;
    }

    rc = pulse_edits_source(e, &edit.file, pulse_clip_limits.bytes);

    if (rc == NGX_OK) {
        rc = pulse_clip_probe(e->in, &clip);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    pulse_edit_fit_clip(&edit, &clip);

    edit.plan.progress = pulse_edits_progress;
    edit.plan.ctx = e;

    rc = pulse_clip_transform(e->in, e->out, &edit.plan, &clip);
    if (rc != NGX_OK) {
        return rc;
    }

    e->duration = clip.duration;

    pulse_edits_made(e, 0, "edit", pulse_clip_content_type(clip.type),
                     clip.width, clip.height);

    rc = pulse_clip_poster(e->out, e->thumbnail,
                           ngx_min(PULSE_EDITS_POSTER, clip.duration / 2),
                           &clip);

    if (rc == NGX_OK) {
        rc = pulse_raster_probe(e->thumbnail, &raster);
    }

    if (rc == NGX_OK) {
        pulse_edits_made(e, 1, "thumbnail", "image/jpeg", raster.width,
                         raster.height);
    }

    return rc;
}


/* It may have been deleted, or past its time, since it was asked for. */

static ngx_int_t
pulse_edits_source(pulse_edits_t *e, const ngx_str_t *id, size_t max)
{
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[3];

    params[0] = e->task.user;
    params[1] = (char *) id->data;
    params[2] = e->family;

    res = pulse_store_query(e->job->store,
                            "SELECT filename FROM file_of($1, $2)"
                            " WHERE status = 'ready'"
                            "   AND starts_with(content_type, $3)", 3, params);

    if (res == NULL) {
        e->lost = 1;
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (PQntuples(res)) {
        snprintf(e->name, sizeof(e->name), "%s", PQgetvalue(res, 0, 0));

        e->in = pulse_shelf_take(id->data, max);
        rc = (e->in != -1) ? NGX_OK
             : (errno == ENOENT) ? NGX_DECLINED : NGX_ERROR;
    }

    PQclear(res);

    return rc;
}


static void
pulse_edits_made(pulse_edits_t *e, ngx_uint_t i, const char *kind,
    const char *type, ngx_uint_t width, ngx_uint_t height)
{
    pulse_task_file_t  *file;

    file = &e->files[i];

    file->id = e->ids[i];
    file->kind = kind;
    file->content_type = type;
    file->name = pulse_edits_filename(e, kind, type);
    file->width = width;
    file->height = height;
    file->size = lseek(i ? e->thumbnail : e->out, 0, SEEK_END);
}


/* "photo.png" becomes "photo-edit.jpeg"; NULL: no memory */

static const char *
pulse_edits_filename(pulse_edits_t *e, const char *what, const char *type)
{
    char   *name, *dot;
    size_t  len;

    len = strlen(e->name) + strlen(what) + strlen(type);
    name = ngx_pnalloc(e->pool, len + 3);

    if (name) {
        dot = strrchr(e->name, '.');

        snprintf(name, len + 3, "%.*s-%s.%s",
                 (int) (dot ? (size_t) (dot - e->name) : strlen(e->name)),
                 e->name, what, strchr(type, '/') + 1);
    }

    return name;
}


/* On the shelf before there is a row: if this dies, or another has done the
 * job meanwhile, they are files that nobody has, which are swept. */

static ngx_int_t
pulse_edits_keep(pulse_edits_t *e)
{
    ngx_uint_t         i;
    pulse_task_file_t  *file;

    for (i = 0; i < 2; i++) {
        file = &e->files[i];

        if (file->name == NULL
            || pulse_shelf_keep(file->id, file->content_type,
                                i ? e->thumbnail : e->out) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_edits_result(pulse_edits_t *e, ngx_pulse_buf_t *b)
{
    char  seconds[PULSE_EDITS_TEXT];

    ngx_pulse_buf_literal(b, "{\"");
    ngx_pulse_buf_append(b, (u_char *) e->member, strlen(e->member));
    ngx_pulse_buf_literal(b, "\":{\"file_id\":\"");
    ngx_pulse_buf_append(b, e->ids[0], PULSE_SHELF_ID);
    ngx_pulse_buf_literal(b, "\",\"thumbnail_id\":\"");
    ngx_pulse_buf_append(b, e->ids[1], PULSE_SHELF_ID);
    ngx_pulse_buf_literal(b, "\",\"width\":");
    ngx_pulse_buf_int(b, e->files[0].width);
    ngx_pulse_buf_literal(b, ",\"height\":");
    ngx_pulse_buf_int(b, e->files[0].height);
    ngx_pulse_buf_literal(b, ",\"size_bytes\":");
    ngx_pulse_buf_int(b, e->files[0].size);

    if (e->duration) {
        snprintf(seconds, sizeof(seconds), ",\"duration_s\":%lu.%03lu",
                 e->duration / 1000, e->duration % 1000);
        ngx_pulse_buf_append(b, (u_char *) seconds, strlen(seconds));
    }

    ngx_pulse_buf_append(b, (u_char *) "}}", 3);

    return b->failed ? NGX_ERROR : NGX_OK;
}


/* as handlers of jobs return */

static ngx_int_t
pulse_edits_end(pulse_edits_t *e, ngx_int_t rc)
{
    ngx_pulse_buf_t   b;
    pulse_job_t      *job;

    job = e->job;

    if (rc == NGX_OK) {
        ngx_pulse_buf_init(&b, 0);

        rc = pulse_edits_result(e, &b);

        if (rc == NGX_OK) {
            rc = pulse_task_complete(job, &e->task, (char *) b.data, e->files,
                                     2, NULL);
            e->lost = 1;
        }

        ngx_pulse_buf_free(&b);

        if (rc == NGX_OK) {
            return NGX_OK;
        }
    }

    if (rc == NGX_DECLINED) {
        return pulse_task_fail(job, &e->task, "INVALID_REQUEST");
    }

    if (rc == NGX_ABORT && e->cancelled) {
        return NGX_OK;
    }

    if (rc == NGX_ABORT && !e->lost) {
        return NGX_ABORT;
    }

    if (e->lost) {
        return NGX_ERROR;
    }

    snprintf(job->error, sizeof(job->error), "it cannot be made: %s",
             strerror(errno));

    return job->last ? pulse_task_fail(job, &e->task, "INTERNAL_ERROR")
                     : NGX_AGAIN;
}


static ngx_uint_t
pulse_edits_stop(void *ctx)
{
    return pulse_edits_progress(ctx, 0);
}


/* 1: somebody has cancelled it, or the sidecar ends */

static ngx_uint_t
pulse_edits_progress(void *ctx, ngx_uint_t percent)
{
    pulse_edits_t *e = ctx;

    int64_t  now;

    if (pulse_jobs_stopping()) {
        return 1;
    }

    now = ngx_pulse_now();

    if (now - e->asked < PULSE_EDITS_ASK) {
        return 0;
    }

    e->asked = now;

    switch (pulse_task_progress(e->job, &e->task, percent)) {

    case NGX_OK:
        return 0;

    case NGX_DONE:
        e->cancelled = 1;
        return 1;

    default: /* NGX_ERROR */
        e->lost = 1;
        return 1;
    }
}
