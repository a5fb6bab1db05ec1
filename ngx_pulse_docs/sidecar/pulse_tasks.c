
#include "pulse_files.h"
#include "pulse_links.h"
#include "pulse_reply.h"
#include "pulse_tasks.h"
#include "pulse_watch.h"


/* more columns of what is shown */

#define PULSE_TASKS_ERROR      2
#define PULSE_TASKS_JSON       3
#define PULSE_TASKS_NAME       4
#define PULSE_TASKS_DATA       5
#define PULSE_TASKS_FILE       6
#define PULSE_TASKS_THUMBNAIL  9


typedef struct {
    const char  *code;
    const char  *message[2];        /* English, Arabic */
} pulse_tasks_error_t;


static void pulse_tasks_result(pulse_http_request_t *r, PGresult *res,
    int row, ngx_pulse_buf_t *b);
static void pulse_tasks_link(pulse_http_request_t *r, PGresult *res, int row,
    int column, const char *name, ngx_pulse_buf_t *b);
static void pulse_tasks_error(pulse_http_request_t *r, const char *code,
    ngx_pulse_buf_t *b);
static void pulse_tasks_text(ngx_pulse_buf_t *b, const char *text);
static enum MHD_Result pulse_tasks_show(pulse_http_request_t *r);


/* the last one is for what has no row of its own */

static const pulse_tasks_error_t  pulse_tasks_errors[] = {
    { "CONTENT_FLAGGED",
      { "The content was refused by the provider's rules. Nothing was"
        " charged.",
        "رُفض المحتوى وفق قواعد المزوّد. لم يُخصم شيء." } },

    { "INVALID_REQUEST",
      { "What was asked for cannot be made. Nothing was charged.",
        "تعذّر تنفيذ المطلوب كما هو. لم يُخصم شيء." } },

    { "PROVIDER_ERROR",
      { "The provider could not make it. Nothing was charged; try again.",
        "تعذّر على المزوّد إنجاز الطلب. لم يُخصم شيء؛ أعد المحاولة." } },

    { "PROVIDER_UNAVAILABLE",
      { "The provider is not available. Nothing was charged; try again"
        " later.",
        "المزوّد غير متاح الآن. لم يُخصم شيء؛ أعد المحاولة لاحقًا." } },

    { "GATEWAY_TIMEOUT",
      { "It took too long. Nothing was charged; try again.",
        "استغرق الطلب وقتًا أطول من المسموح. لم يُخصم شيء؛ أعد المحاولة." } },

    { NULL,
      { "Something went wrong on our side. Nothing was charged; try again.",
        "حدث خطأ من جانبنا. لم يُخصم شيء؛ أعد المحاولة." } }
};

const char  pulse_tasks_shown[] =
    "SELECT t.status, t.progress, t.error, task_json(t), f.*"
    "  FROM tasks t"
    "  LEFT JOIN LATERAL task_files(t) f ON true"
    " WHERE t.user_id = $1"
    "   AND t.id = $2";


enum MHD_Result
pulse_task_begun(pulse_http_request_t *r, const char *id)
{
    ngx_str_t        url;
    ngx_pulse_buf_t  b;

    url = pulse_http_header(r, "X-Pulse-Url");

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"job_id\":\"");
    ngx_pulse_buf_append(&b, (u_char *) id, PULSE_TASK_ID);
    ngx_pulse_buf_literal(&b, "\",\"status\":\"queued\",\"poll_url\":\"");
    ngx_pulse_buf_str(&b, &url);
    ngx_pulse_buf_literal(&b, "/v1/jobs/");
    ngx_pulse_buf_append(&b, (u_char *) id, PULSE_TASK_ID);
    ngx_pulse_buf_literal(&b, "\"}");

    return pulse_reply_data(r, MHD_HTTP_ACCEPTED, &b);
}


enum MHD_Result
pulse_tasks_list(pulse_http_request_t *r)
{
    return pulse_files_page(r, "SELECT task_page($1, $2)");
}


enum MHD_Result
pulse_tasks_get(pulse_http_request_t *r)
{
    ngx_str_t  accept;

    accept = pulse_http_header(r, "Accept");

    if (accept.len && strstr((char *) accept.data, "text/event-stream")) {
        return pulse_watch_begin(r);
    }

    return pulse_tasks_show(r);
}


static enum MHD_Result
pulse_tasks_show(pulse_http_request_t *r)
{
    PGresult         *res;
    enum MHD_Result   rc;
    ngx_pulse_buf_t   b;

    res = pulse_files_find(r, pulse_tasks_shown, &rc);
    if (res == NULL) {
        return rc;
    }

    ngx_pulse_buf_init(&b, 0);
    pulse_tasks_write(r, res, &b);

    PQclear(res);

    return pulse_reply_data(r, MHD_HTTP_OK, &b);
}


enum MHD_Result
pulse_tasks_cancel(pulse_http_request_t *r)
{
    PGresult         *res;
    ngx_int_t         found;
    enum MHD_Result   rc;

    res = pulse_files_find(r, "SELECT task_cancel($1, $2)", &rc);
    if (res == NULL) {
        return rc;
    }

    found = !PQgetisnull(res, 0, 0);

    PQclear(res);

    if (!found) {
        return pulse_reply_error(r, pulse_reply_not_found, NULL);
    }

    /* one that had ended says how */

    return pulse_tasks_show(r);
}


void
pulse_tasks_write(pulse_http_request_t *r, PGresult *res, ngx_pulse_buf_t *b)
{
    int  i, n;

    n = PQntuples(res);

    /* its members, before the brace that ends them */

    ngx_pulse_buf_append(b, (u_char *) PQgetvalue(res, 0, PULSE_TASKS_JSON),
                         PQgetlength(res, 0, PULSE_TASKS_JSON) - 1);

    for (i = 0; i < n; i++) {
        if (!PQgetisnull(res, i, PULSE_TASKS_NAME)) {
            pulse_tasks_result(r, res, i, b);
        }
    }

    ngx_pulse_buf_literal(b, ",\"error\":");

    if (PQgetisnull(res, 0, PULSE_TASKS_ERROR)) {
        ngx_pulse_buf_literal(b, "null");

    } else {
        pulse_tasks_error(r, PQgetvalue(res, 0, PULSE_TASKS_ERROR), b);
    }

    ngx_pulse_buf_char(b, '}');
}


ngx_uint_t
pulse_tasks_ended(const char *status)
{
    return strcmp(status, "queued") != 0 && strcmp(status, "processing") != 0;
}


static void
pulse_tasks_result(pulse_http_request_t *r, PGresult *res, int row,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_json(b, (u_char *) PQgetvalue(res, row, PULSE_TASKS_NAME),
                       PQgetlength(res, row, PULSE_TASKS_NAME));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_append(b,
                         (u_char *) PQgetvalue(res, row, PULSE_TASKS_DATA),
                         PQgetlength(res, row, PULSE_TASKS_DATA) - 1);

    pulse_tasks_link(r, res, row, PULSE_TASKS_FILE, ",\"url\":", b);
    pulse_tasks_link(r, res, row, PULSE_TASKS_THUMBNAIL,
                     ",\"thumbnail_url\":", b);

    ngx_pulse_buf_char(b, '}');
}


/* id, type and name of a file stand in this order; null if it is gone */

static void
pulse_tasks_link(pulse_http_request_t *r, PGresult *res, int row, int column,
    const char *name, ngx_pulse_buf_t *b)
{
    ngx_str_t  filename;

    pulse_tasks_text(b, name);

    if (PQgetisnull(res, row, column)) {
        ngx_pulse_buf_literal(b, "null");
        return;
    }

    filename.data = (u_char *) PQgetvalue(res, row, column + 2);
    filename.len = PQgetlength(res, row, column + 2);

    (void) pulse_links_url(r, b, (u_char *) PQgetvalue(res, row, column),
                           PQgetvalue(res, row, column + 1), &filename);
}


static void
pulse_tasks_error(pulse_http_request_t *r, const char *code,
    ngx_pulse_buf_t *b)
{
    const char                 *message;
    const pulse_tasks_error_t  *error;

    for (error = pulse_tasks_errors; error->code; error++) {
        if (strcmp(error->code, code) == 0) {
            break;
        }
    }

    message = error->message[r->arabic];

    ngx_pulse_buf_literal(b, "{\"code\":");
    ngx_pulse_buf_json(b, (u_char *) code, strlen(code));
    ngx_pulse_buf_literal(b, ",\"message\":");
    ngx_pulse_buf_json(b, (u_char *) message, strlen(message));
    ngx_pulse_buf_char(b, '}');
}


static void
pulse_tasks_text(ngx_pulse_buf_t *b, const char *text)
{
    ngx_pulse_buf_append(b, (u_char *) text, strlen(text));
}
