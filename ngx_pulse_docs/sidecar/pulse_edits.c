
#include "ngx_pulse_id.h"
#include "pulse_edit.h"
#include "pulse_edits.h"
#include "pulse_files.h"
#include "pulse_log.h"
#include "pulse_reply.h"
#include "pulse_tasks.h"
#include "pulse_worker.h"


/* a job's, with all its attempts */

#define PULSE_EDITS_LASTS     "1 hour"
#define PULSE_EDITS_ATTEMPTS  "3"

#define PULSE_EDITS_NUMBER    24
#define PULSE_EDITS_POINTER   40


static int pulse_edits_file(pulse_http_request_t *r, const ngx_str_t *id,
    const char *family, size_t max, enum MHD_Result *rc);
static enum MHD_Result pulse_edits_try_picture(pulse_http_request_t *r,
    pulse_edit_picture_t *edit, int fd);
static enum MHD_Result pulse_edits_try_clip(pulse_http_request_t *r,
    pulse_edit_clip_t *edit, int fd);
static enum MHD_Result pulse_edits_begin(pulse_http_request_t *r,
    const char *kind);
static enum MHD_Result pulse_edits_why_picture(pulse_http_request_t *r,
    const char *pointer, ngx_int_t rc, const pulse_raster_t *raster);
static enum MHD_Result pulse_edits_why_clip(pulse_http_request_t *r,
    const char *pointer, ngx_int_t rc, const pulse_clip_t *clip);
static enum MHD_Result pulse_edits_failed(pulse_http_request_t *r,
    const char *cause);


enum MHD_Result
pulse_edits_picture(pulse_http_request_t *r)
{
    int                      fd;
    pulse_form_t            *form;
    enum MHD_Result          rc;
    pulse_edit_picture_t     edit;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_read(r, &form, &rc);
    if (v == NULL) {
        return rc;
    }

    pulse_edit_read_picture(form, v, &edit);

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    fd = pulse_edits_file(r, &edit.file, "image/", pulse_raster_limits.bytes,
                          &rc);

    if (fd != -1) {
        rc = pulse_edits_try_picture(r, &edit, fd);
        close(fd);
    }

    return rc;
}


enum MHD_Result
pulse_edits_clip(pulse_http_request_t *r)
{
    int                      fd;
    pulse_form_t            *form;
    enum MHD_Result          rc;
    pulse_edit_clip_t        edit;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_read(r, &form, &rc);
    if (v == NULL) {
        return rc;
    }

    pulse_edit_read_clip(form, v, &edit);

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    fd = pulse_edits_file(r, &edit.file, "video/", pulse_clip_limits.bytes,
                          &rc);

    if (fd != -1) {
        rc = pulse_edits_try_clip(r, &edit, fd);
        close(fd);
    }

    return rc;
}


/* -1 with an answer in "*rc"; what is somebody else's, or nobody's, is not
 * told apart */

static int
pulse_edits_file(pulse_http_request_t *r, const ngx_str_t *id,
    const char *family, size_t max, enum MHD_Result *rc)
{
    int          fd;
    PGresult    *res;
    ngx_uint_t   ready, fits;

    r->id = *id;

    res = pulse_files_find(r,
                           "SELECT status, content_type"
                           "  FROM file_of($1, $2)", rc);
    if (res == NULL) {
        return -1;
    }

    ready = (strcmp(PQgetvalue(res, 0, 0), "ready") == 0);
    fits = (strncmp(PQgetvalue(res, 0, 1), family, strlen(family)) == 0);

    PQclear(res);

    if (!ready) {
        *rc = pulse_reply_field(r, "/file_id", "لم يكتمل رفع هذا الملف.",
                                "waits in the quarantine to be completed");
        return -1;
    }

    if (!fits) {
        *rc = pulse_reply_field(r, "/file_id",
                                "هذا الملف ليس من النوع المطلوب.",
                                "is no file of this kind");
        return -1;
    }

    fd = pulse_shelf_take(id->data, max);

    if (fd == -1) {
        *rc = (errno == EFBIG)
              ? pulse_reply_error(r, pulse_reply_too_large, NULL)
              : pulse_edits_failed(r, strerror(errno));
    }

    return fd;
}


static enum MHD_Result
pulse_edits_try_picture(pulse_http_request_t *r, pulse_edit_picture_t *edit,
    int fd)
{
    char             pointer[PULSE_EDITS_POINTER];
    ngx_int_t        rc;
    ngx_uint_t       step;
    pulse_raster_t   raster;

    rc = pulse_raster_probe(fd, &raster);

    if (rc != NGX_OK) {
        return pulse_edits_why_picture(r, "/file_id", rc, &raster);
    }

    pulse_edit_fit_picture(edit, &raster);

    rc = pulse_raster_try(&edit->plan, &raster, &step);

    if (rc != NGX_OK) {
        snprintf(pointer, sizeof(pointer), "/operations/%lu", step);

        return pulse_edits_why_picture(r, pointer, rc, &raster);
    }

    return pulse_edits_begin(r, PULSE_EDITS_PICTURE);
}


static enum MHD_Result
pulse_edits_try_clip(pulse_http_request_t *r, pulse_edit_clip_t *edit, int fd)
{
    char           pointer[PULSE_EDITS_POINTER];
    ngx_int_t      rc;
    ngx_uint_t     caption;
    pulse_clip_t   clip;

    rc = pulse_clip_probe(fd, &clip);

    if (rc != NGX_OK) {
        return pulse_edits_why_clip(r, "/file_id", rc, &clip);
    }

    pulse_edit_fit_clip(edit, &clip);

    rc = pulse_clip_try(&edit->plan, &clip, &caption);

    if (rc != NGX_OK) {
        snprintf(pointer, sizeof(pointer), "/captions/%lu", caption);

        return pulse_edits_why_clip(r, (caption == edit->plan.ncaptions)
                                       ? "/trim" : pointer, rc, &clip);
    }

    return pulse_edits_begin(r, PULSE_EDITS_CLIP);
}


static enum MHD_Result
pulse_edits_begin(pulse_http_request_t *r, const char *kind)
{
    char              most[PULSE_EDITS_NUMBER];
    u_char            id[PULSE_TASK_ID + 1];
    PGresult         *res;
    ngx_str_t         trace;
    const char       *params[8];
    enum MHD_Result   rc;

    ngx_pulse_buf_char(&r->body, '\0');

    if (r->body.failed) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    if (pulse_files_full(r, 0, &rc) != NGX_OK) {
        return rc;
    }

    ngx_pulse_uuid7(id);
    id[PULSE_TASK_ID] = '\0';

    snprintf(most, sizeof(most), "%lu", pulse_edit_limits.jobs);
    trace = pulse_http_header(r, "X-Trace-ID");

    params[0] = (char *) id;
    params[1] = (char *) r->user.data;
    params[2] = kind;
    params[3] = (char *) r->body.data;
    params[4] = PULSE_EDITS_LASTS;
    params[5] = most;
    params[6] = PULSE_EDITS_ATTEMPTS;
    params[7] = (char *) trace.data;

    res = pulse_store_query(r->store,
                            "SELECT * FROM task_begin($1, $2, $3, $4, $5, $6,"
                            " $7, $8)", 8, params);

    if (res == NULL) {

        /* a zero character, which JSON may have and Postgres may not */

        return (strncmp(r->store->sqlstate, "22", 2) == 0)
               ? pulse_reply_error(r, pulse_reply_invalid, NULL)
               : pulse_edits_failed(r, r->store->error);
    }

    rc = PQgetisnull(res, 0, 1) ? pulse_task_begun(r, (char *) id)
                                : pulse_hold_refuse(r, res);

    PQclear(res);

    return rc;
}


static enum MHD_Result
pulse_edits_why_picture(pulse_http_request_t *r, const char *pointer,
    ngx_int_t rc, const pulse_raster_t *raster)
{
    if (rc != NGX_DECLINED) {
        return pulse_edits_failed(r, strerror(errno));
    }

    if (raster->why == pulse_raster_heavy) {
        return pulse_reply_error(r, pulse_reply_too_large, NULL);
    }

    return pulse_reply_field(r, pointer, pulse_raster_reason(raster->why, 1),
                             pulse_raster_reason(raster->why, 0));
}


static enum MHD_Result
pulse_edits_why_clip(pulse_http_request_t *r, const char *pointer,
    ngx_int_t rc, const pulse_clip_t *clip)
{
    if (rc != NGX_DECLINED) {
        return pulse_edits_failed(r, "ffmpeg cannot be run");
    }

    if (clip->why == pulse_clip_heavy) {
        return pulse_reply_error(r, pulse_reply_too_large, NULL);
    }

    return pulse_reply_field(r, pointer, pulse_clip_reason(clip->why, 1),
                             pulse_clip_reason(clip->why, 0));
}


static enum MHD_Result
pulse_edits_failed(pulse_http_request_t *r, const char *cause)
{
    pulse_log(PULSE_LOG_ERR, "pulse edits: nothing can be edited: %s", cause);

    return pulse_reply_error(r, pulse_reply_store, NULL);
}
