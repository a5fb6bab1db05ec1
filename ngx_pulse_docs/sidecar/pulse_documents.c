
#include "pulse_cv.h"
#include "pulse_documents.h"
#include "pulse_docx.h"
#include "pulse_links.h"
#include "pulse_log.h"
#include "pulse_pdf.h"
#include "pulse_pptx.h"
#include "pulse_reply.h"


static ngx_int_t pulse_documents_write_cv(pulse_http_request_t *r,
    const pulse_cv_t *cv, ngx_pulse_buf_t *out);
static ngx_str_t pulse_documents_cv_name(pulse_http_request_t *r,
    const pulse_cv_t *cv);
static enum MHD_Result pulse_documents_cv_reply(pulse_http_request_t *r,
    const pulse_cv_t *cv, const pulse_files_t *file);
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
    form = pulse_form_create(r->pool);

    if (cv == NULL || form == NULL) {
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
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    pulse_documents_file(r, &b, "cv_id", cv->pdf ? "pdf" : "docx", file);
    pulse_documents_warnings(&b, &cv->warnings);
    ngx_pulse_buf_char(&b, '}');

    return pulse_reply_data(r, MHD_HTTP_CREATED, &b);
}


enum MHD_Result
pulse_documents_failed(pulse_http_request_t *r)
{
    pulse_log(PULSE_LOG_ERR, "pulse documents: a document cannot be written:"
              " no memory, or it is too large");

    return pulse_reply_error(r, pulse_reply_internal, NULL);
}


void
pulse_documents_warnings(ngx_pulse_buf_t *b, const pulse_warnings_t *warnings)
{
    ngx_uint_t  i;

    ngx_pulse_buf_literal(b, ",\"warnings\":[");

    for (i = 0; i < warnings->n; i++) {

        if (i) {
            ngx_pulse_buf_char(b, ',');
        }

        ngx_pulse_buf_literal(b, "{\"field\":");
        ngx_pulse_buf_json(b, warnings->fields[i].data,
                           warnings->fields[i].len);
        ngx_pulse_buf_literal(b, ",\"reason\":\"is of no use here\"}");
    }

    ngx_pulse_buf_char(b, ']');
}


void
pulse_documents_file(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const char *id, const char *format, const pulse_files_t *file)
{
    ngx_pulse_buf_char(b, '{');
    pulse_documents_member(b, id, file->id, PULSE_SHELF_ID);
    pulse_documents_member(b, "file_id", file->id, PULSE_SHELF_ID);
    pulse_documents_member(b, "filename", file->name.data, file->name.len);
    pulse_documents_member(b, "format", (u_char *) format, strlen(format));
    ngx_pulse_buf_literal(b, "\"status\":\"completed\",");
    pulse_links_download(r, b, file->id, file->content_type, &file->name);
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
