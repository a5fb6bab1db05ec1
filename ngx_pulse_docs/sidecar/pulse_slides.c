
#include "ngx_pulse_id.h"
#include "pulse_ask.h"
#include "pulse_documents.h"
#include "pulse_log.h"
#include "pulse_outline.h"
#include "pulse_pdf.h"
#include "pulse_pptx.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_SLIDES_IMAGES  (64 * 1024 * 1024)     /* in a deck, in all */


typedef struct {
    pulse_http_request_t   *request;
    size_t                  left;
} pulse_slides_images_t;


/* a deck whose slides the model writes */

typedef struct {
    pulse_ask_t             ask;
    pulse_deck_t           *deck;
    ngx_pool_t             *pool;
} pulse_slides_outline_t;


static ngx_int_t pulse_slides_image(void *ctx, ngx_pool_t *pool,
    const ngx_str_t *id, ngx_str_t *data);
static enum MHD_Result pulse_slides_outline(pulse_http_request_t *r,
    pulse_deck_t *deck);
static ngx_int_t pulse_slides_check(pulse_ask_t *ask,
    const ngx_pulse_json_value_t *v);
static enum MHD_Result pulse_slides_outlined(pulse_http_request_t *r);
static enum MHD_Result pulse_slides_draw(pulse_http_request_t *r,
    const pulse_deck_t *deck, const pulse_ask_t *ask);
static enum MHD_Result pulse_slides_reply(pulse_http_request_t *r,
    const pulse_deck_t *deck, const pulse_files_t *file,
    const pulse_ask_t *ask);


enum MHD_Result
pulse_documents_slides(pulse_http_request_t *r)
{
    pulse_deck_t             *deck;
    pulse_form_t             *form;
    enum MHD_Result           rc;
    pulse_slides_images_t     images;
    ngx_pulse_json_value_t   *v;

    v = pulse_reply_body(r, &rc);
    if (v == NULL) {
        return rc;
    }

    deck = ngx_pcalloc(r->pool, sizeof(pulse_deck_t));
    form = pulse_form_create(r->pool);

    if (deck == NULL || form == NULL) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    images.request = r;
    images.left = PULSE_SLIDES_IMAGES;

    pulse_deck_read(form, v, r->arabic ? "ar" : "en", pulse_slides_image,
                    &images, deck);

    if (form->rc != NGX_OK) {
        return pulse_reply_form(r, form);
    }

    return deck->nslides ? pulse_slides_draw(r, deck, NULL)
                         : pulse_slides_outline(r, deck);
}


/* An image that the same person uploaded, and that was looked at; what is
 * past all that a deck may hold is as good as none. */

static ngx_int_t
pulse_slides_image(void *ctx, ngx_pool_t *pool, const ngx_str_t *id,
    ngx_str_t *data)
{
    pulse_slides_images_t *images = ctx;

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
pulse_slides_outline(pulse_http_request_t *r, pulse_deck_t *deck)
{
    ngx_pulse_buf_t         *prompt;
    pulse_slides_outline_t  *outline;

    outline = ngx_pcalloc(r->pool, sizeof(pulse_slides_outline_t));
    prompt = ngx_pcalloc(r->pool, sizeof(ngx_pulse_buf_t));

    if (outline == NULL || prompt == NULL
        || ngx_pulse_buf_init_pool(prompt, 0, r->pool) != NGX_OK)
    {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    pulse_outline_prompt(deck, prompt);

    if (prompt->failed) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    outline->deck = deck;
    outline->pool = r->pool;

    outline->ask.model = deck->outline.model;
    outline->ask.system.data = (u_char *) pulse_outline_system;
    outline->ask.system.len = strlen(pulse_outline_system);
    outline->ask.prompt.data = prompt->data;
    outline->ask.prompt.len = prompt->len;
    outline->ask.name = "outline";
    outline->ask.schema = pulse_outline_schema;
    outline->ask.check = pulse_slides_check;
    outline->ask.done = pulse_slides_outlined;
    outline->ask.ctx = outline;

    return pulse_ask(r, &outline->ask);
}


/* One slide too many is better than none, the second time. */

static ngx_int_t
pulse_slides_check(pulse_ask_t *ask, const ngx_pulse_json_value_t *v)
{
    pulse_slides_outline_t  *outline;

    outline = ask->ctx;

    return pulse_outline_read(outline->pool, outline->deck, v,
                              ask->attempts == 1, ask->fault,
                              sizeof(ask->fault));
}


static enum MHD_Result
pulse_slides_outlined(pulse_http_request_t *r)
{
    pulse_ask_t             *ask;
    pulse_slides_outline_t  *outline;

    ask = r->ctx;
    outline = ask->ctx;

    return pulse_slides_draw(r, outline->deck, ask);
}


static enum MHD_Result
pulse_slides_draw(pulse_http_request_t *r, const pulse_deck_t *deck,
    const pulse_ask_t *ask)
{
    ngx_int_t         written;
    pulse_files_t     file;
    enum MHD_Result   rc;
    ngx_pulse_buf_t   out;

    ngx_pulse_buf_init(&out, PULSE_DOCUMENTS_MAX);

    file.kind = "slides";
    file.content_type = deck->pdf ? "application/pdf" : PULSE_PPTX_TYPE;
    file.name = pulse_files_name(r, &deck->title,
                                 deck->pdf ? ".pdf" : ".pptx");

    written = deck->pdf ? pulse_pdf_write_deck(r->pool, deck, &out)
                        : pulse_pptx_write(r->pool, deck, &out);

    if (file.name.data == NULL || written != NGX_OK) {
        rc = pulse_documents_failed(r);

    } else if (pulse_files_add(r, &file, &out, &rc) == MHD_YES) {
        rc = pulse_slides_reply(r, deck, &file, ask);
    }

    ngx_pulse_buf_free(&out);

    return rc;
}


static enum MHD_Result
pulse_slides_reply(pulse_http_request_t *r, const pulse_deck_t *deck,
    const pulse_files_t *file, const pulse_ask_t *ask)
{
    ngx_uint_t            i;
    ngx_pulse_buf_t       b;
    const ngx_str_t      *title;
    const pulse_slide_t  *slide;

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

        slide = &deck->slides[i];
        title = slide->title.len ? &slide->title : &slide->quote;

        ngx_pulse_buf_json(&b, title->data, title->len);
    }

    ngx_pulse_buf_char(&b, ']');
    pulse_documents_warnings(&b, &deck->warnings);

    if (ask) {
        ngx_pulse_buf_char(&b, ',');
        pulse_ask_members(ask, &b);
    }

    ngx_pulse_buf_char(&b, '}');

    return pulse_reply_data(r, MHD_HTTP_CREATED, &b);
}
