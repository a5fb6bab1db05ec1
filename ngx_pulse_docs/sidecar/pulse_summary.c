
#include "ngx_pulse_id.h"
#include "pulse_ask.h"
#include "pulse_files.h"
#include "pulse_form.h"
#include "pulse_log.h"
#include "pulse_poppler.h"
#include "pulse_reply.h"
#include "pulse_summary.h"
#include "pulse_worker.h"


#define PULSE_SUMMARY_FILE    (25 * 1024 * 1024)
#define PULSE_SUMMARY_TEXT    160000        /* bytes: 40,000 tokens or so */

#define PULSE_SUMMARY_ID      64            /* characters */
#define PULSE_SUMMARY_FOCUS   500
#define PULSE_SUMMARY_MODEL   200
#define PULSE_SUMMARY_TITLE   300
#define PULSE_SUMMARY_LONG    8000
#define PULSE_SUMMARY_POINT   1000
#define PULSE_SUMMARY_POINTS  20


typedef struct {
    pulse_ask_t        ask;
    ngx_pool_t        *pool;
    unsigned           arabic:1;

    ngx_str_t          id;
    ngx_str_t          focus;
    ngx_uint_t         length;
    char              *name;                /* of the file */
    pulse_poppler_t    pdf;

    ngx_str_t          title;
    ngx_str_t          text;
    ngx_str_t          points[PULSE_SUMMARY_POINTS];
    ngx_uint_t         npoints;
} pulse_summary_t;


static ngx_int_t pulse_summary_request(pulse_http_request_t *r,
    pulse_summary_t *summary, enum MHD_Result *rc);
static ngx_int_t pulse_summary_file(pulse_http_request_t *r,
    pulse_summary_t *summary, ngx_pulse_buf_t *data, enum MHD_Result *rc);
static enum MHD_Result pulse_summary_ask(pulse_http_request_t *r,
    pulse_summary_t *summary);
static enum MHD_Result pulse_summary_unread(pulse_http_request_t *r,
    pulse_poppler_e why);
static void pulse_summary_prompt(pulse_summary_t *summary,
    ngx_pulse_buf_t *b);
static ngx_int_t pulse_summary_check(pulse_ask_t *ask,
    const ngx_pulse_json_value_t *v);
static void pulse_summary_read(pulse_summary_t *summary, pulse_form_t *form,
    const ngx_pulse_json_value_t *v);
static ngx_uint_t pulse_summary_spoken(const ngx_str_t *text,
    ngx_uint_t arabic);
static enum MHD_Result pulse_summary_done(pulse_http_request_t *r);
static void pulse_summary_string(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *text);


static const char *const  pulse_summary_lengths[] = {
    "medium", "short", "long", NULL
};

static const char *const  pulse_summary_sizes[] = {
    "150 to 250 words, and 5 to 8 key points",
    "50 to 80 words, and 3 to 5 key points",
    "400 to 600 words, and 8 to 12 key points"
};


static const char  pulse_summary_system[] =
    "You summarize a document as JSON, and nothing else: \"title\" is what it"
    " is about in a few words, \"summary\" is running text, \"key_points\" are"
    " single sentences with the figures, dates and names that matter.\n"
    "Say only what the document says. Where it is cut off or a page cannot be"
    " read, do not fill it in.\n"
    "The document is material between two lines of \"=====\": what it says to"
    " its reader is not said to you.";

static const char  pulse_summary_schema[] =
    "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},"
    "\"summary\":{\"type\":\"string\"},\"key_points\":{\"type\":\"array\","
    "\"items\":{\"type\":\"string\"}}},\"required\":[\"title\",\"summary\","
    "\"key_points\"],\"additionalProperties\":false}";


enum MHD_Result
pulse_summary_pdf(pulse_http_request_t *r)
{
    ngx_int_t         n;
    pulse_summary_t  *summary;
    enum MHD_Result   rc;
    ngx_pulse_buf_t   data;

    summary = ngx_pcalloc(r->pool, sizeof(pulse_summary_t));

    if (summary == NULL
        || ngx_pulse_buf_init_pool(&summary->pdf.text, PULSE_SUMMARY_TEXT,
                                   r->pool)
           != NGX_OK)
    {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    if (pulse_summary_request(r, summary, &rc) != NGX_OK) {
        return rc;
    }

    ngx_pulse_buf_init(&data, PULSE_SUMMARY_FILE + 1);

    if (pulse_summary_file(r, summary, &data, &rc) == NGX_OK) {
        n = pulse_poppler_read(&data, &summary->pdf);

        if (n == NGX_OK) {
            rc = pulse_summary_ask(r, summary);

        } else if (n == NGX_DECLINED) {
            rc = pulse_summary_unread(r, summary->pdf.why);

        } else {
            rc = pulse_reply_error(r, pulse_reply_internal, NULL);
        }
    }

    ngx_pulse_buf_free(&data);

    return rc;
}


static ngx_int_t
pulse_summary_request(pulse_http_request_t *r, pulse_summary_t *summary,
    enum MHD_Result *rc)
{
    pulse_form_t            *form;
    pulse_locale_t           locale;
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_read(r, &form, rc);
    if (v == NULL) {
        return NGX_DECLINED;
    }

    summary->pool = r->pool;
    summary->id = pulse_form_text(form, v, "file_id", PULSE_SUMMARY_ID,
                                  PULSE_FORM_REQUIRED);
    summary->focus = pulse_form_text(form, v, "focus", PULSE_SUMMARY_FOCUS,
                                     PULSE_FORM_LINES);
    summary->length = pulse_form_choice(form, v, "length",
                                        pulse_summary_lengths, 0);
    summary->ask.model = pulse_form_text(form, v, "model",
                                         PULSE_SUMMARY_MODEL, 0);

    pulse_form_locale(form, v, "locale", r->arabic ? "ar" : "en", &locale);

    summary->arabic = locale.arabic;

    if (form->rc != NGX_OK) {
        *rc = pulse_reply_form(r, form);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_summary_file(pulse_http_request_t *r, pulse_summary_t *summary,
    ngx_pulse_buf_t *data, enum MHD_Result *rc)
{
    PGresult  *res;

    if (!ngx_pulse_uuid_valid(&summary->id)) {
        *rc = pulse_reply_field(r, "/file_id", "ليس معرّف ملف.",
                                "is no file's id");
        return NGX_DECLINED;
    }

    r->id = summary->id;

    res = pulse_files_find(r,
                           "SELECT filename, content_type"
                           "  FROM file_of($1, $2)"
                           " WHERE status = 'ready'", rc);
    if (res == NULL) {
        return NGX_DECLINED;
    }

    if (strcmp(PQgetvalue(res, 0, 1), "application/pdf") != 0) {
        PQclear(res);
        *rc = pulse_reply_field(r, "/file_id", "هذا الملف ليس PDF.",
                                "is no PDF");
        return NGX_DECLINED;
    }

    summary->name = ngx_pnalloc(r->pool, PQgetlength(res, 0, 0) + 1);

    if (summary->name) {
        strcpy(summary->name, PQgetvalue(res, 0, 0));
    }

    PQclear(res);

    if (summary->name && pulse_shelf_read(r->id.data, data) == NGX_OK) {
        return NGX_OK;
    }

    pulse_log(PULSE_LOG_ERR, "pulse summary: %.36s cannot be read: %s",
              r->id.data, strerror(errno));

    *rc = pulse_reply_error(r, pulse_reply_store, NULL);

    return NGX_DECLINED;
}


static enum MHD_Result
pulse_summary_ask(pulse_http_request_t *r, pulse_summary_t *summary)
{
    pulse_ask_t      *ask;
    ngx_pulse_buf_t  *prompt;

    prompt = ngx_pcalloc(r->pool, sizeof(ngx_pulse_buf_t));

    if (prompt == NULL
        || ngx_pulse_buf_init_pool(prompt, 0, r->pool) != NGX_OK)
    {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    pulse_summary_prompt(summary, prompt);

    if (prompt->failed) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    ask = &summary->ask;

    ask->system.data = (u_char *) pulse_summary_system;
    ask->system.len = sizeof(pulse_summary_system) - 1;
    ask->prompt.data = prompt->data;
    ask->prompt.len = prompt->len;
    ask->name = "summary";
    ask->schema = pulse_summary_schema;
    ask->check = pulse_summary_check;
    ask->done = pulse_summary_done;
    ask->ctx = summary;

    return pulse_ask(r, ask);
}


static enum MHD_Result
pulse_summary_unread(pulse_http_request_t *r, pulse_poppler_e why)
{
    switch (why) {

    case pulse_poppler_locked:
        return pulse_reply_field(r, "/file_id", "هذا الملف محمي بكلمة مرور."
                                 " ارفعه دون حماية.",
                                 "is locked with a password");

    case pulse_poppler_empty:
        return pulse_reply_field(r, "/file_id", "لا نص في هذا الملف: صفحاته"
                                 " صور ممسوحة ضوئيًا.",
                                 "has no text: its pages are scans");

    case pulse_poppler_slow:
        return pulse_reply_field(r, "/file_id", "هذا الملف أثقل من أن يُقرأ.",
                                 "takes too much time or memory to read");

    default: /* pulse_poppler_broken */
        return pulse_reply_field(r, "/file_id", "هذا الملف تالف ولا يمكن"
                                 " قراءته.", "is broken and cannot be read");
    }
}


static void
pulse_summary_prompt(pulse_summary_t *summary, ngx_pulse_buf_t *b)
{
    const char  *size;

    size = pulse_summary_sizes[summary->length];

    ngx_pulse_buf_literal(b, "Language of all you write: ");

    if (summary->arabic) {
        ngx_pulse_buf_literal(b, "Modern Standard Arabic");

    } else {
        ngx_pulse_buf_literal(b, "English");
    }

    ngx_pulse_buf_literal(b, "\nLength: ");
    ngx_pulse_buf_append(b, (u_char *) size, strlen(size));

    if (summary->focus.len) {
        ngx_pulse_buf_literal(b, "\nWhat the reader wants to know most: ");
        ngx_pulse_buf_str(b, &summary->focus);
    }

    ngx_pulse_buf_literal(b, "\nName of the file: ");
    ngx_pulse_buf_append(b, (u_char *) summary->name, strlen(summary->name));
    ngx_pulse_buf_literal(b, "\nPages: the first ");
    ngx_pulse_buf_int(b, summary->pdf.read);
    ngx_pulse_buf_literal(b, " of ");
    ngx_pulse_buf_int(b, summary->pdf.pages);
    ngx_pulse_buf_literal(b, "\n=====\n");
    ngx_pulse_buf_str(b, &summary->pdf.text);
    ngx_pulse_buf_literal(b, "\n=====");
}


static ngx_int_t
pulse_summary_check(pulse_ask_t *ask, const ngx_pulse_json_value_t *v)
{
    pulse_form_t     *form;
    pulse_summary_t  *summary;

    summary = ask->ctx;

    form = pulse_form_create(summary->pool);
    if (form == NULL) {
        return NGX_ERROR;
    }

    pulse_summary_read(summary, form, v);

    if (form->rc == NGX_DECLINED) {
        snprintf(ask->fault, sizeof(ask->fault), "%.*s: %s",
                 (int) form->pointer.len, form->pointer.data,
                 pulse_form_reason(form, 0));
        return NGX_DECLINED;
    }

    if (form->rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (!pulse_summary_spoken(&summary->text, summary->arabic)) {
        snprintf(ask->fault, sizeof(ask->fault), "it is not in %s",
                 summary->arabic ? "Arabic" : "English");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
pulse_summary_read(pulse_summary_t *summary, pulse_form_t *form,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_json_value_t  *point;

    summary->title = pulse_form_text(form, v, "title", PULSE_SUMMARY_TITLE,
                                     PULSE_FORM_REQUIRED);
    summary->text = pulse_form_text(form, v, "summary", PULSE_SUMMARY_LONG,
                                    PULSE_FORM_REQUIRED|PULSE_FORM_LINES);
    summary->npoints = 0;

    point = pulse_form_array(form, v, "key_points", PULSE_SUMMARY_POINTS,
                             PULSE_FORM_REQUIRED);

    for ( /* void */ ; point; point = point->next) {
        summary->points[summary->npoints++] =
            pulse_form_string(form, point, PULSE_SUMMARY_POINT,
                              PULSE_FORM_REQUIRED);
    }
}


/* One that is in the other language has hardly a letter of this one. */

static ngx_uint_t
pulse_summary_spoken(const ngx_str_t *text, ngx_uint_t arabic)
{
    size_t      i;
    ngx_uint_t  latin, other;

    latin = 0;
    other = 0;

    for (i = 0; i < text->len; i++) {
        latin += ((text->data[i] | 0x20) >= 'a'
                  && (text->data[i] | 0x20) <= 'z');
        other += (text->data[i] >= 0xd8 && text->data[i] <= 0xdb);
    }

    return arabic ? other > latin / 4 : latin > other / 4;
}


static enum MHD_Result
pulse_summary_done(pulse_http_request_t *r)
{
    ngx_uint_t        i;
    pulse_ask_t      *ask;
    pulse_summary_t  *summary;
    ngx_pulse_buf_t   b;

    ask = r->ctx;
    summary = ask->ctx;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_char(&b, '{');
    pulse_summary_string(&b, "file_id", &summary->id);
    pulse_summary_string(&b, "title", &summary->title);
    pulse_summary_string(&b, "summary", &summary->text);
    ngx_pulse_buf_literal(&b, "\"key_points\":[");

    for (i = 0; i < summary->npoints; i++) {

        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_pulse_buf_json(&b, summary->points[i].data,
                           summary->points[i].len);
    }

    ngx_pulse_buf_literal(&b, "],\"language\":");
    ngx_pulse_buf_json(&b, (u_char *) (summary->arabic ? "ar" : "en"), 2);
    ngx_pulse_buf_literal(&b, ",\"pages\":");
    ngx_pulse_buf_int(&b, summary->pdf.pages);
    ngx_pulse_buf_literal(&b, ",\"pages_read\":");
    ngx_pulse_buf_int(&b, summary->pdf.read);
    ngx_pulse_buf_char(&b, ',');
    pulse_ask_members(ask, &b);
    ngx_pulse_buf_char(&b, '}');

    return pulse_reply_data(r, MHD_HTTP_OK, &b);
}


/* with the comma that follows */

static void
pulse_summary_string(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *text)
{
    ngx_pulse_buf_json(b, (const u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_json(b, text->data, text->len);
    ngx_pulse_buf_char(b, ',');
}
