
#include "ngx_pulse_id.h"
#include "pulse_cv.h"
#include "pulse_documents.h"
#include "pulse_docx.h"
#include "pulse_files.h"
#include "pulse_log.h"
#include "pulse_pdf.h"
#include "pulse_pptx.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_DOCUMENTS_MAX     (64 * 1024 * 1024)   /* of a file */
#define PULSE_DOCUMENTS_IMAGES  (64 * 1024 * 1024)   /* in a deck, in all */


typedef struct {
    pulse_http_request_t  *request;
    size_t                 left;
} pulse_documents_images_t;


static ngx_int_t pulse_documents_write_cv(pulse_http_request_t *r,
    const pulse_cv_t *cv, ngx_pulse_buf_t *out);
static ngx_str_t pulse_documents_cv_name(pulse_http_request_t *r,
    const pulse_cv_t *cv);
static enum MHD_Result pulse_documents_cv_reply(pulse_http_request_t *r,
    const pulse_cv_t *cv, const pulse_files_t *file);
static ngx_int_t pulse_documents_write_slides(pulse_http_request_t *r,
    const pulse_deck_t *deck, ngx_pulse_buf_t *out);
static ngx_int_t pulse_documents_image(void *ctx, ngx_pool_t *pool,
    const ngx_str_t *id, ngx_str_t *data);
static enum MHD_Result pulse_documents_slides_reply(pulse_http_request_t *r,
    const pulse_deck_t *deck, const pulse_files_t *file);
static enum MHD_Result pulse_documents_failed(pulse_http_request_t *r);
static void pulse_documents_file(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const char *id, const char *format, const pulse_files_t *file);
static void pulse_documents_member(ngx_pulse_buf_t *b, const char *name,
    const u_char *text, size_t len);


ngx_int_t
pulse_documents_init(void)
{
    return (pulse_docx_init() == NGX_OK && pulse_pptx_init() == NGX_OK)
           ? NGX_OK : NGX_ERROR;
}


void
pulse_documents_done(void)
{
    pulse_docx_done();
    pulse_pptx_done();
    pulse_pdf_done();
}


enum MHD_Result
pulse_documents_cv(pulse_http_request_t *r)
{
    pulse_cv_t              *cv;
    pulse_form_t            *form;
    pulse_files_t            file;
    enum MHD_Result          rc;
    ngx_pulse_buf_t          out;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_body(r, &rc);
    if (v == NULL) {
        return rc;
    }

    cv = ngx_pcalloc(r->pool, sizeof(pulse_cv_t));
    form = ngx_pcalloc(r->pool, sizeof(pulse_form_t));

    if (cv == NULL || form == NULL || pulse_form_init(form, r->pool) != NGX_OK)
    {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    pulse_cv_read(form, v, r->arabic ? "ar" : "en", cv);

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    ngx_pulse_buf_init(&out, PULSE_DOCUMENTS_MAX);

    file.kind = "cv";
    file.content_type = cv->pdf ? "application/pdf" : PULSE_DOCX_TYPE;
    file.name = pulse_documents_cv_name(r, cv);

    if (file.name.data == NULL
        || pulse_documents_write_cv(r, cv, &out) != NGX_OK)
    {
        rc = pulse_documents_failed(r);

    } else if (pulse_files_add(r, &file, &out, &rc) == MHD_YES) {
        rc = pulse_documents_cv_reply(r, cv, &file);
    }

    ngx_pulse_buf_free(&out);

    return rc;
}


static ngx_int_t
pulse_documents_write_cv(pulse_http_request_t *r, const pulse_cv_t *cv,
    ngx_pulse_buf_t *out)
{
    pulse_document_t  *document;

    document = pulse_cv_document(r->pool, cv);
    if (document == NULL) {
        return NGX_ERROR;
    }

    return cv->pdf ? pulse_pdf_write_document(r->pool, document, out)
                   : pulse_docx_write(r->pool, document, out);
}


static ngx_str_t
pulse_documents_cv_name(pulse_http_request_t *r, const pulse_cv_t *cv)
{
    ngx_str_t         text;
    const char       *what;
    ngx_pulse_buf_t   b;

    what = cv->arabic ? "السيرة الذاتية - " : "CV - ";

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) what, strlen(what));
    ngx_pulse_buf_str(&b, &cv->name);

    text.data = b.data;
    text.len = b.len;

    if (b.failed) {
        ngx_str_null(&text);

    } else {
        text = pulse_files_name(r, &text, cv->pdf ? ".pdf" : ".docx");
    }

    ngx_pulse_buf_free(&b);

    return text;
}


static enum MHD_Result
pulse_documents_cv_reply(pulse_http_request_t *r, const pulse_cv_t *cv,
    const pulse_files_t *file)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    pulse_documents_file(r, &b, "cv_id", cv->pdf ? "pdf" : "docx", file);
    ngx_pulse_buf_literal(&b, ",\"warnings\":[");

    for (i = 0; i < cv->nwarnings; i++) {

        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_pulse_buf_literal(&b, "{\"field\":");
        ngx_pulse_buf_json(&b, cv->warnings[i].data, cv->warnings[i].len);
        ngx_pulse_buf_literal(&b, ",\"reason\":\"is not known here\"}");
    }

    ngx_pulse_buf_literal(&b, "]}");

    return pulse_reply_data(r, MHD_HTTP_CREATED, &b);
}


enum MHD_Result
pulse_documents_slides(pulse_http_request_t *r)
{
    pulse_deck_t              *deck;
    pulse_form_t              *form;
    pulse_files_t              file;
    enum MHD_Result            rc;
    ngx_pulse_buf_t            out;
    ngx_pulse_json_value_t    *v;
    pulse_documents_images_t   images;

    v = pulse_reply_body(r, &rc);
    if (v == NULL) {
        return rc;
    }

    deck = ngx_pcalloc(r->pool, sizeof(pulse_deck_t));
    form = ngx_pcalloc(r->pool, sizeof(pulse_form_t));

    if (deck == NULL || form == NULL
        || pulse_form_init(form, r->pool) != NGX_OK)
    {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    images.request = r;
    images.left = PULSE_DOCUMENTS_IMAGES;

    pulse_deck_read(form, v, r->arabic ? "ar" : "en", pulse_documents_image,
                    &images, deck);

    if (form->rc == NGX_OK && deck->nslides == 0) {
        pulse_form_refuse(form, v, "slides", pulse_reason_required);
    }

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    ngx_pulse_buf_init(&out, PULSE_DOCUMENTS_MAX);

    file.kind = "slides";
    file.content_type = deck->pdf ? "application/pdf" : PULSE_PPTX_TYPE;
    file.name = pulse_files_name(r, &deck->title,
                                 deck->pdf ? ".pdf" : ".pptx");

    if (file.name.data == NULL
        || pulse_documents_write_slides(r, deck, &out) != NGX_OK)
    {
        rc = pulse_documents_failed(r);

    } else if (pulse_files_add(r, &file, &out, &rc) == MHD_YES) {
        rc = pulse_documents_slides_reply(r, deck, &file);
    }

    ngx_pulse_buf_free(&out);

    return rc;
}


static ngx_int_t
pulse_documents_write_slides(pulse_http_request_t *r,
    const pulse_deck_t *deck, ngx_pulse_buf_t *out)
{
    return deck->pdf ? pulse_pdf_write_deck(r->pool, deck, out)
                     : pulse_pptx_write(r->pool, deck, out);
}


/* An image that the same person uploaded, and that was looked at; what is
 * past all that a deck may hold is as good as none. */

static ngx_int_t
pulse_documents_image(void *ctx, ngx_pool_t *pool, const ngx_str_t *id,
    ngx_str_t *data)
{
    pulse_documents_images_t *images = ctx;

    char                   text[PULSE_SHELF_ID + 1];
    size_t                 size;
    PGresult              *res;
    const char            *params[2];
    ngx_pulse_buf_t       *b;
    pulse_http_request_t  *r;

    r = images->request;

    if (!ngx_pulse_uuid_valid(id)) {
        return NGX_DECLINED;
    }

    if (pulse_worker_store(r) != NGX_OK) {
        return NGX_ERROR;
    }

    snprintf(text, sizeof(text), "%.36s", id->data);

    params[0] = (char *) r->user.data;
    params[1] = text;

    res = pulse_store_query(r->store,
                            "SELECT size_bytes FROM file_of($1, $2)"
                            " WHERE status = 'ready'", 2, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    size = PQntuples(res) ? strtoul(PQgetvalue(res, 0, 0), NULL, 10) : 0;

    PQclear(res);

    if (size == 0 || size > images->left) {
        return NGX_DECLINED;
    }

    images->left -= size;

    b = ngx_pcalloc(pool, sizeof(ngx_pulse_buf_t));

    if (b == NULL
        || ngx_pulse_buf_init_pool(b, size + 1, pool)
           != NGX_OK
        || pulse_shelf_read(id->data, b) != NGX_OK)
    {
        return NGX_ERROR;
    }

    data->data = b->data;
    data->len = b->len;

    return NGX_OK;
}


static enum MHD_Result
pulse_documents_slides_reply(pulse_http_request_t *r,
    const pulse_deck_t *deck, const pulse_files_t *file)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    pulse_documents_file(r, &b, "slides_id", deck->pdf ? "pdf" : "pptx",
                         file);
    ngx_pulse_buf_literal(&b, ",\"slide_count\":");
    ngx_pulse_buf_int(&b, deck->nslides);
    ngx_pulse_buf_literal(&b, ",\"outline\":[");

    for (i = 0; i < deck->nslides; i++) {

        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_pulse_buf_json(&b, deck->slides[i].title.data,
                           deck->slides[i].title.len);
    }

    ngx_pulse_buf_literal(&b, "]}");

    return pulse_reply_data(r, MHD_HTTP_CREATED, &b);
}


static enum MHD_Result
pulse_documents_failed(pulse_http_request_t *r)
{
    pulse_log(PULSE_LOG_ERR, "pulse documents: a document cannot be written:"
              " no memory, or it is too large");

    return pulse_reply_error(r, pulse_reply_internal, NULL);
}


/* What is said of every file that was made, with the brace that opens. */

static void
pulse_documents_file(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const char *id, const char *format, const pulse_files_t *file)
{
    ngx_pulse_buf_char(b, '{');
    pulse_documents_member(b, id, file->id, PULSE_SHELF_ID);
    pulse_documents_member(b, "file_id", file->id, PULSE_SHELF_ID);
    pulse_documents_member(b, "filename", file->name.data, file->name.len);
    pulse_documents_member(b, "format", (u_char *) format, strlen(format));
    ngx_pulse_buf_literal(b, "\"status\":\"completed\",");
    pulse_files_link(r, b, file->id, &file->name);
    ngx_pulse_buf_literal(b, ",\"size_bytes\":");
    ngx_pulse_buf_int(b, file->size);
}


/* with the comma that follows */

static void
pulse_documents_member(ngx_pulse_buf_t *b, const char *name,
    const u_char *text, size_t len)
{
    ngx_pulse_buf_json(b, (const u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_json(b, text, len);
    ngx_pulse_buf_char(b, ',');
}
