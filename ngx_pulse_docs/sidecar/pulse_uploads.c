
#include <magic.h>
#include <pthread.h>
#include "ngx_pulse_id.h"
#include "pulse_child.h"
#include "pulse_clamd.h"
#include "pulse_clip.h"
#include "pulse_deck.h"
#include "pulse_docx.h"
#include "pulse_files.h"
#include "pulse_links.h"
#include "pulse_log.h"
#include "pulse_pptx.h"
#include "pulse_reply.h"
#include "pulse_uploads.h"
#include "pulse_worker.h"


#define PULSE_UPLOADS_MAX   (25 * 1024 * 1024)
#define PULSE_UPLOADS_NAME  200


typedef struct {
    magic_t            magic;
    pthread_mutex_t    mutex;           /* of the library's one */
    const char        *clamd;
} pulse_uploads_t;


/* where and why one is refused */

typedef struct {
    const char        *pointer;
    const char        *arabic;
    const char        *english;
} pulse_uploads_why_t;


typedef struct {
    const char           *status;
    const char           *content_type;
    size_t                size;
    ngx_pulse_buf_t       data;
    pulse_picture_t       picture;      /* width 0: it is none */
    pulse_uploads_why_t   why;
} pulse_upload_t;


static enum MHD_Result pulse_uploads_reply(pulse_http_request_t *r,
    const pulse_files_t *file, ngx_uint_t form);
static enum MHD_Result pulse_uploads_check(pulse_http_request_t *r,
    pulse_upload_t *upload);
static enum MHD_Result pulse_uploads_missing(pulse_http_request_t *r);
static ngx_int_t pulse_uploads_look(pulse_upload_t *upload);
static ngx_int_t pulse_uploads_picture(pulse_upload_t *upload);
static ngx_int_t pulse_uploads_type(pulse_upload_t *upload);
static ngx_int_t pulse_uploads_media(pulse_upload_t *upload);
static ngx_int_t pulse_uploads_scan(pulse_upload_t *upload);
static enum MHD_Result pulse_uploads_refuse(pulse_http_request_t *r,
    const pulse_uploads_why_t *why);
static enum MHD_Result pulse_uploads_accept(pulse_http_request_t *r,
    pulse_upload_t *upload);
static enum MHD_Result pulse_uploads_failed(pulse_http_request_t *r);


static pulse_uploads_t  pulse_uploads = {
    .mutex = PTHREAD_MUTEX_INITIALIZER
};

static const char *const  pulse_uploads_types[] = {
    "application/pdf", "image/png", "image/jpeg", "image/webp", "video/mp4",
    "video/webm", PULSE_DOCX_TYPE, PULSE_PPTX_TYPE, "text/plain", NULL
};


static const pulse_uploads_why_t  pulse_uploads_why_size = {
    "/size_bytes", "حجم الملف ليس كما ذُكر.",
    "is not the size of what was uploaded"
};

static const pulse_uploads_why_t  pulse_uploads_why_type = {
    "/content_type", "محتوى الملف ليس من النوع المذكور.",
    "is not the type of what was uploaded"
};

static const pulse_uploads_why_t  pulse_uploads_why_malware = {
    "", "يحتوي الملف على برمجية خبيثة.", "holds malware"
};


/* a form's POST is of buckets only */

static const char *const  pulse_uploads_methods[] = { "PUT", "POST", NULL };


ngx_int_t
pulse_uploads_init(const char *clamd)
{
    pulse_uploads.clamd = clamd;
    pulse_uploads.magic = magic_open(MAGIC_MIME_TYPE);

    if (pulse_uploads.magic && magic_load(pulse_uploads.magic, NULL) == 0) {
        return NGX_OK;
    }

    pulse_log(PULSE_LOG_ERR, "pulse uploads: types of files are not known: %s",
              pulse_uploads.magic ? magic_error(pulse_uploads.magic)
                                  : strerror(errno));

    return NGX_ERROR;
}


void
pulse_uploads_done(void)
{
    if (pulse_uploads.magic) {
        magic_close(pulse_uploads.magic);
        pulse_uploads.magic = NULL;
    }
}


enum MHD_Result
pulse_uploads_announce(pulse_http_request_t *r)
{
    ngx_int_t                size;
    ngx_str_t                name;
    ngx_uint_t               type, method;
    pulse_form_t            *form;
    pulse_files_t            file;
    enum MHD_Result          rc;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_read(r, &form, &rc);
    if (v == NULL) {
        return rc;
    }

    name = pulse_form_text(form, v, "filename", PULSE_UPLOADS_NAME,
                           PULSE_FORM_REQUIRED);

    (void) pulse_form_text(form, v, "content_type", PULSE_UPLOADS_NAME,
                           PULSE_FORM_REQUIRED);
    type = pulse_form_choice(form, v, "content_type", pulse_uploads_types, 0);

    size = pulse_form_integer(form, v, "size_bytes", 1, NGX_MAX_INT32_VALUE,
                              0);
    if (size == 0) {
        pulse_form_refuse(form, v, "size_bytes", pulse_reason_required);
    }

    method = pulse_form_choice(form, v, "method", pulse_uploads_methods, 0);

    if (method && !pulse_shelf_is_bucket()) {
        pulse_form_refuse(form, v, "method", pulse_reason_choice);
    }

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    if (size > PULSE_UPLOADS_MAX) {
        return pulse_reply_error(r, pulse_reply_too_large, NULL);
    }

    ngx_pulse_uuid7(file.id);
    file.id[PULSE_SHELF_ID] = '\0';
    file.content_type = pulse_uploads_types[type];
    file.kind = "upload";
    file.size = size;
    file.name = pulse_files_name(r, &name, "");

    if (file.name.data == NULL) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    /* what does not come within the hour is forgotten */

    if (pulse_files_take(r, &file, "pending", "1 hour", &rc) != NGX_OK) {
        return rc;
    }

    return pulse_uploads_reply(r, &file, method);
}


static enum MHD_Result
pulse_uploads_reply(pulse_http_request_t *r, const pulse_files_t *file,
    ngx_uint_t form)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"file_id\":");
    ngx_pulse_buf_json(&b, file->id, PULSE_SHELF_ID);
    ngx_pulse_buf_char(&b, ',');
    pulse_links_upload(r, &b, file->id, file->content_type, file->size, form);
    ngx_pulse_buf_char(&b, '}');

    return pulse_reply_data(r, MHD_HTTP_CREATED, &b);
}


enum MHD_Result
pulse_uploads_complete(pulse_http_request_t *r)
{
    PGresult         *res;
    enum MHD_Result   rc;
    pulse_upload_t    upload;

    res = pulse_files_find(r,
                           "SELECT status, content_type, size_bytes"
                           "  FROM file_of($1, $2)", &rc);
    if (res == NULL) {
        return rc;
    }

    memset(&upload, 0, sizeof(pulse_upload_t));
    ngx_pulse_buf_init(&upload.data, PULSE_UPLOADS_MAX + 1);

    upload.status = PQgetvalue(res, 0, 0);
    upload.content_type = PQgetvalue(res, 0, 1);
    upload.size = strtoul(PQgetvalue(res, 0, 2), NULL, 10);

    /* said twice is as good as once */

    rc = (strcmp(upload.status, "ready") == 0)
         ? pulse_files_get(r) : pulse_uploads_check(r, &upload);

    ngx_pulse_buf_free(&upload.data);
    PQclear(res);

    return rc;
}


/* What is read here is what is kept: another one that is put in the meantime
 * changes nothing. */

static enum MHD_Result
pulse_uploads_check(pulse_http_request_t *r, pulse_upload_t *upload)
{
    if (pulse_shelf_quarantined(r->id.data, &upload->data) != NGX_OK) {
        return pulse_uploads_missing(r);
    }

    if (upload->data.len != upload->size) {
        return pulse_uploads_refuse(r, &pulse_uploads_why_size);
    }

    /* what could not be looked at waits in the quarantine for another try */

    upload->why = pulse_uploads_why_type;

    switch (pulse_uploads_look(upload)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return pulse_uploads_refuse(r, &upload->why);

    default: /* NGX_ERROR */
        return pulse_reply_error(r, pulse_reply_busy, NULL);
    }

    switch (pulse_uploads_scan(upload)) {

    case NGX_OK:
        return pulse_uploads_accept(r, upload);

    case NGX_DECLINED:
        return pulse_uploads_refuse(r, &pulse_uploads_why_malware);

    default: /* NGX_ERROR */
        return pulse_reply_error(r, pulse_reply_busy, NULL);
    }
}


static enum MHD_Result
pulse_uploads_missing(pulse_http_request_t *r)
{
    if (errno == ENOENT) {
        return pulse_reply_field(r, "", "لم يُرفع الملف بعد.",
                                 "nothing was uploaded yet");
    }

    pulse_log(PULSE_LOG_ERR, "pulse uploads: %.36s cannot be read: %s",
              r->id.data, strerror(errno));

    return pulse_reply_error(r, pulse_reply_store, NULL);
}


/* NGX_OK if it is of the type that was said, else NGX_DECLINED; NGX_ERROR
 * with a line in the log: nobody could tell. */

static ngx_int_t
pulse_uploads_look(pulse_upload_t *upload)
{
    ngx_int_t  rc;

    if (strncmp(upload->content_type, "video/", 6) == 0
        || strcmp(upload->content_type, "image/webp") == 0)
    {
        return pulse_uploads_media(upload);
    }

    rc = pulse_uploads_type(upload);

    if (rc != NGX_OK || strncmp(upload->content_type, "image/", 6) != 0) {
        return rc;
    }

    return pulse_uploads_picture(upload);
}


/* as large as one that can be edited; slides take less */

static ngx_int_t
pulse_uploads_picture(pulse_upload_t *upload)
{
    pulse_picture_t  *picture;

    picture = &upload->picture;

    picture->data.data = upload->data.data;
    picture->data.len = upload->data.len;

    if (pulse_picture_read(picture) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (picture->width <= PULSE_RASTER_EDGE
        && picture->height <= PULSE_RASTER_EDGE
        && picture->width * picture->height <= pulse_raster_limits.pixels)
    {
        return NGX_OK;
    }

    upload->why.pointer = "";
    upload->why.arabic = pulse_raster_reason(pulse_raster_large, 1);
    upload->why.english = pulse_raster_reason(pulse_raster_large, 0);

    return NGX_DECLINED;
}


static ngx_int_t
pulse_uploads_type(pulse_upload_t *upload)
{
    ngx_int_t    rc;
    const char  *type;

    pthread_mutex_lock(&pulse_uploads.mutex);

    type = magic_buffer(pulse_uploads.magic, upload->data.data,
                        upload->data.len);

    if (type) {
        rc = (strcmp(type, upload->content_type) == 0) ? NGX_OK
                                                       : NGX_DECLINED;
    } else {
        pulse_log(PULSE_LOG_ERR, "pulse uploads: an upload cannot be looked"
                  " at: %s", magic_error(pulse_uploads.magic));
        rc = NGX_ERROR;
    }

    pthread_mutex_unlock(&pulse_uploads.mutex);

    return rc;
}


/* What the library of types does not look into.  A probe that takes too long
 * says nothing of the file: there may be too much else to do. */

static ngx_int_t
pulse_uploads_media(pulse_upload_t *upload)
{
    int              fd;
    ngx_int_t        rc;
    ngx_uint_t       unknown;
    const char      *type, *arabic, *english;
    pulse_clip_t     clip;
    pulse_raster_t   raster;

    fd = pulse_child_file(upload->data.data, upload->data.len);

    if (fd == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse uploads: an upload cannot be looked"
                  " at: %s", strerror(errno));
        return NGX_ERROR;
    }

    if (strncmp(upload->content_type, "video/", 6) == 0) {
        rc = pulse_clip_probe(fd, &clip);

        if (rc == NGX_DECLINED && clip.why == pulse_clip_slow) {
            rc = NGX_ERROR;
        }

        type = pulse_clip_content_type(clip.type);
        unknown = (clip.why == pulse_clip_unknown);
        arabic = pulse_clip_reason(clip.why, 1);
        english = pulse_clip_reason(clip.why, 0);
        upload->picture.width = clip.width;
        upload->picture.height = clip.height;

    } else {
        rc = pulse_raster_probe(fd, &raster);
        type = pulse_raster_content_type(raster.type);
        unknown = (raster.why == pulse_raster_unknown);
        arabic = pulse_raster_reason(raster.why, 1);
        english = pulse_raster_reason(raster.why, 0);
        upload->picture.width = raster.width;
        upload->picture.height = raster.height;
    }

    if (rc == NGX_ERROR) {
        pulse_log(PULSE_LOG_ERR, "pulse uploads: an upload cannot be looked"
                  " at: its probe failed");
    }

    close(fd);

    if (rc == NGX_DECLINED && !unknown
        && strcmp(type, upload->content_type) == 0)
    {
        upload->why.pointer = "";
        upload->why.arabic = arabic;
        upload->why.english = english;
    }

    return (rc == NGX_OK && strcmp(type, upload->content_type) != 0)
           ? NGX_DECLINED : rc;
}


static ngx_int_t
pulse_uploads_scan(pulse_upload_t *upload)
{
    return pulse_uploads.clamd
           ? pulse_clamd_scan(pulse_uploads.clamd, &upload->data) : NGX_OK;
}


/* What is not what it should be is not kept to be asked about again. */

static enum MHD_Result
pulse_uploads_refuse(pulse_http_request_t *r, const pulse_uploads_why_t *why)
{
    PGresult         *res;
    enum MHD_Result   rc;

    (void) pulse_shelf_discard(r->id.data);

    res = pulse_files_find(r,
                           "DELETE FROM files WHERE user_id = $1 AND id = $2"
                           " RETURNING id", &rc);
    PQclear(res);

    return res ? pulse_reply_field(r, why->pointer, why->arabic, why->english)
               : rc;
}


static enum MHD_Result
pulse_uploads_accept(pulse_http_request_t *r, pulse_upload_t *upload)
{
    char         id[PULSE_SHELF_ID + 1], width[NGX_INT64_LEN + 1],
                 height[NGX_INT64_LEN + 1];
    PGresult    *res;
    const char  *params[4];

    if (pulse_shelf_write(r->id.data, upload->content_type,
                          upload->data.data, upload->data.len)
        != NGX_OK)
    {
        pulse_log(PULSE_LOG_ERR, "pulse uploads: %.36s cannot be written: %s",
                  r->id.data, strerror(errno));

        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    snprintf(id, sizeof(id), "%.36s", r->id.data);
    snprintf(width, sizeof(width), "%lu", upload->picture.width);
    snprintf(height, sizeof(height), "%lu", upload->picture.height);

    params[0] = id;
    params[1] = upload->picture.width ? width : NULL;
    params[2] = upload->picture.width ? height : NULL;
    params[3] = pulse_files_kept();

    res = pulse_store_query(r->store, "SELECT file_ready($1, $2, $3, $4)", 4,
                            params);
    if (res == NULL) {
        return pulse_uploads_failed(r);
    }

    PQclear(res);

    (void) pulse_shelf_discard(r->id.data);

    return pulse_files_get(r);
}


static enum MHD_Result
pulse_uploads_failed(pulse_http_request_t *r)
{
    pulse_log(PULSE_LOG_ERR, "pulse uploads: a statement failed: %s",
              r->store->error);

    return pulse_reply_error(r, pulse_reply_store, NULL);
}
