
#include "pulse_cv.h"
#include "pulse_docx.h"
#include "pulse_pdf.h"
#include "unit.h"


/*
 * A byte that says which file is written, then a request as it comes: it is
 * refused with a pointer and a reason, or both writers take what was read.
 * A PDF costs twenty times what a DOCX does, so few inputs end as one.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

const char *__lsan_default_suppressions(void);

static void fuzz_request(pulse_form_t *form, ngx_str_t *text,
    ngx_uint_t kind);
static void fuzz_write(ngx_pool_t *pool, const pulse_cv_t *cv,
    ngx_uint_t pdf);


/* what it keeps for a thread is found by no leak sanitizer */

const char *
__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t      text;
    ngx_pool_t    *pool;
    pulse_form_t   form;

    static ngx_uint_t  ready;

    if (size == 0) {
        return 0;
    }

    if (!ready && pulse_docx_init() != NGX_OK) {
        abort();
    }

    ready = 1;
    pool = unit_pool();

    if (pulse_form_init(&form, pool) != NGX_OK) {
        abort();
    }

    /* on the heap and of its own size, for the sanitizer */

    text.len = size - 1;
    text.data = malloc(size);
    memcpy(text.data, data + 1, text.len);

    fuzz_request(&form, &text, data[0]);

    free(text.data);
    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_request(pulse_form_t *form, ngx_str_t *text, ngx_uint_t kind)
{
    pulse_cv_t               cv;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_tree(form->pool, text->data, text->len, NULL, &err);

    if (v == NULL) {
        return;
    }

    pulse_cv_read(form, v, kind & 1 ? "ar" : "en", &cv);

    switch (form->rc) {

    case NGX_OK:
        fuzz_write(form->pool, &cv, kind % 16 == 15);
        break;

    case NGX_DECLINED:
        if (form->pointer.failed || pulse_form_reason(form, 1) == NULL) {
            abort();
        }

        break;

    default:
        abort();
    }
}


static void
fuzz_write(ngx_pool_t *pool, const pulse_cv_t *cv, ngx_uint_t pdf)
{
    ngx_int_t          rc;
    ngx_pulse_buf_t    out;
    pulse_document_t  *document;

    document = pulse_cv_document(pool, cv);

    if (document == NULL || document->nparagraphs == 0) {
        abort();
    }

    ngx_pulse_buf_init(&out, 0);

    rc = pdf ? pulse_pdf_write_document(pool, document, &out)
             : pulse_docx_write(pool, document, &out);

    if (rc != NGX_OK || out.len < 500) {
        abort();
    }

    ngx_pulse_buf_free(&out);
}
