
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_pulse.h"
#include "ngx_http_pulse_reply.h"


/* Failures: what they are called, and how each dialect tells them. */


/* more than any error without its details and trace id takes */

#define NGX_HTTP_PULSE_ERROR_MAX  (64 * 1024)


/*
 * One row for each code, in the order of ngx_http_pulse_code_e.  "openai"
 * and "anthropic" are the "type" those APIs give to such a failure, "gemini"
 * is a google.rpc.Code; "retry" is a Retry-After in seconds for failures
 * that pass by themselves.
 */

typedef struct {
    ngx_uint_t    status;
    ngx_uint_t    retry;
    ngx_str_t     name;
    const char   *openai;
    const char   *anthropic;
    const char   *gemini;
    const char   *message[2];               /* by locale */
} ngx_http_pulse_error_t;


static void ngx_http_pulse_error_studio(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, const ngx_str_t *details, ngx_pulse_buf_t *b);
static void ngx_http_pulse_error_openai(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_error_anthropic(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_error_gemini(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_error_message(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_error_categories(ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_error_inner(ngx_str_t *s, ngx_pulse_buf_t *b);
static void ngx_http_pulse_error_param(ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_http_pulse_error_headers(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record, const ngx_str_t *details);
static ngx_int_t ngx_http_pulse_error_retry(ngx_http_request_t *r,
    ngx_http_pulse_code_e code, const ngx_str_t *details);
static ngx_pulse_json_value_t *ngx_http_pulse_details(ngx_http_request_t *r,
    const ngx_str_t *details);


#define ngx_http_pulse_text(b, s)                                             \
    ngx_pulse_buf_append(b, (const u_char *) (s), ngx_strlen(s))


static ngx_http_pulse_error_t  ngx_http_pulse_errors[] = {

    { 200, 0, ngx_string("OK"), "", "", "", { "", "" } },

    { 400, 0, ngx_string("INVALID_REQUEST"),
      "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT",
      { "الطلب غير صالح. راجع الحقل المذكور في التفاصيل ثم أعد الإرسال.",
        "The request is not valid. See the details for the field to mend." } },

    { 400, 0, ngx_string("CONTENT_FLAGGED"),
      "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT",
      { "لا يمكن معالجة هذا المحتوى لأنه يخالف سياسة الاستخدام. عدّل النص"
        " ثم حاول مجددًا.",
        "This content goes against the usage policy. Change the text and"
        " try again." } },

    { 401, 0, ngx_string("UNAUTHORIZED"),
      "invalid_request_error", "authentication_error", "UNAUTHENTICATED",
      { "سجّل الدخول أولًا، أو تأكد من أن مفتاح الواجهة صحيح ولم تنتهِ"
        " صلاحيته.",
        "Sign in first, or check that the API key is right and has not"
        " expired." } },

    { 402, 0, ngx_string("NO_SUBSCRIPTION"),
      "insufficient_quota", "billing_error", "RESOURCE_EXHAUSTED",
      { "لا يوجد اشتراك فعّال في حسابك. اختر خطة للمتابعة.",
        "There is no plan in force on this account. Choose one to go on." } },

    { 402, 0, ngx_string("QUOTA_EXCEEDED"),
      "insufficient_quota", "billing_error", "RESOURCE_EXHAUSTED",
      { "استهلكت رصيد هذه الفترة بالكامل. رقِّ خطتك أو أضف رصيدًا، أو انتظر"
        " تجدد الفترة.",
        "The quota of this period is used up. Upgrade, buy an add-on, or"
        " wait for the next period." } },

    { 402, 0, ngx_string("FEATURE_NOT_IN_PLAN"),
      "insufficient_quota", "billing_error", "RESOURCE_EXHAUSTED",
      { "هذه الميزة غير متاحة في خطتك الحالية. رقِّ خطتك لاستخدامها.",
        "This feature is not part of your plan. Upgrade to use it." } },

    { 403, 0, ngx_string("FORBIDDEN"),
      "invalid_request_error", "permission_error", "PERMISSION_DENIED",
      { "لا تملك صلاحية الوصول إلى هذا المورد.",
        "You have no access to this." } },

    { 403, 0, ngx_string("CSRF_REJECTED"),
      "invalid_request_error", "permission_error", "PERMISSION_DENIED",
      { "رُفض الطلب لأنه لم يأتِ من صفحات الاستوديو. حدّث الصفحة ثم أعد"
        " المحاولة.",
        "The request was refused because it does not come from the studio's"
        " own pages. Reload the page and try again." } },

    { 404, 0, ngx_string("NOT_FOUND"),
      "invalid_request_error", "not_found_error", "NOT_FOUND",
      { "لم نجد ما تطلبه. تأكد من العنوان.",
        "There is nothing at this address. Check the path." } },

    { 405, 0, ngx_string("METHOD_NOT_ALLOWED"),
      "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT",
      { "هذا العنوان لا يقبل طريقة الطلب المستخدمة. الطرق المقبولة في ترويسة"
        " Allow.",
        "This address does not take that method. The Allow header has those"
        " it takes." } },

    { 409, 0, ngx_string("IDEMPOTENCY_MISMATCH"),
      "invalid_request_error", "conflict_error", "ABORTED",
      { "استُخدم مفتاح التكرار هذا من قبل، ولا يمكن إعادة جوابه لهذا الطلب.",
        "This idempotency key was used before, and its answer cannot be given"
        " to this request." } },

    { 413, 0, ngx_string("REQUEST_TOO_LARGE"),
      "invalid_request_error", "request_too_large", "INVALID_ARGUMENT",
      { "حجم الطلب أكبر من المسموح. قلّل المحتوى أو قسّمه.",
        "The request is larger than allowed. Shorten or split it." } },

    { 415, 0, ngx_string("UNSUPPORTED_MEDIA_TYPE"),
      "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT",
      { "نوع المحتوى غير مدعوم. أرسل الطلب بصيغة application/json.",
        "This content type is not supported. Send application/json." } },

    { 404, 0, ngx_string("MODEL_NOT_FOUND"),
      "invalid_request_error", "not_found_error", "NOT_FOUND",
      { "النموذج المطلوب غير موجود. اختر نموذجًا من قائمة النماذج المتاحة.",
        "There is no such model. Choose one from the list of models." } },

    { 429, 1, ngx_string("RATE_LIMIT_EXCEEDED"),
      "requests", "rate_limit_error", "RESOURCE_EXHAUSTED",
      { "عدد الطلبات كبير في وقت قصير. انتظر قليلًا ثم أعد المحاولة.",
        "Too many requests in a short time. Wait a little and try again." } },

    { 500, 0, ngx_string("INTERNAL_ERROR"),
      "server_error", "api_error", "INTERNAL",
      { "حدث خطأ غير متوقع من جانبنا. أعد المحاولة، وإن تكرر فراسلنا مع رقم"
        " التتبع.",
        "Something went wrong on our side. Try again; if it stays, send us"
        " the trace id." } },

    { 502, 0, ngx_string("PROVIDER_ERROR"),
      "server_error", "api_error", "UNAVAILABLE",
      { "أعاد مزوّد النموذج إجابة لا يمكن استخدامها. أعد المحاولة أو اختر"
        " نموذجًا آخر.",
        "The model's provider gave an answer that cannot be used. Try again"
        " or choose another model." } },

    { 503, 5, ngx_string("PROVIDER_UNAVAILABLE"),
      "service_unavailable_error", "overloaded_error", "UNAVAILABLE",
      { "مزوّد النموذج غير متاح الآن. أعد المحاولة بعد قليل أو اختر نموذجًا"
        " آخر.",
        "The model's provider is not available now. Try again soon or choose"
        " another model." } },

    { 503, 2, ngx_string("STORE_UNAVAILABLE"),
      "service_unavailable_error", "overloaded_error", "UNAVAILABLE",
      { "تعذّر الوصول إلى بيانات حسابك مؤقتًا. أعد المحاولة بعد قليل، ولن"
        " يُخصم شيء من رصيدك.",
        "Your account cannot be read for the moment. Try again soon; nothing"
        " was charged." } },

    { 503, 5, ngx_string("SERVICE_UNAVAILABLE"),
      "service_unavailable_error", "overloaded_error", "UNAVAILABLE",
      { "هذه الخدمة غير متاحة الآن. أعد المحاولة بعد قليل.",
        "This part of the studio is not available now. Try again soon." } },

    { 504, 0, ngx_string("GATEWAY_TIMEOUT"),
      "server_error", "timeout_error", "DEADLINE_EXCEEDED",
      { "لم يُجب مزوّد النموذج في الوقت المحدد. أعد المحاولة أو اختصر الطلب.",
        "The model's provider did not answer in time. Try again or shorten"
        " the request." } }
};


#define ngx_http_pulse_error_metric(code)                                     \
    { "pulse_errors_total", "code=\"" code "\"",                              \
      "Errors answered, by code.", NGX_PULSE_METRIC_COUNTER, 0 }


/* as above, from INVALID_REQUEST on */

static ngx_pulse_metric_t  ngx_http_pulse_error_metrics[] = {
    ngx_http_pulse_error_metric("INVALID_REQUEST"),
    ngx_http_pulse_error_metric("CONTENT_FLAGGED"),
    ngx_http_pulse_error_metric("UNAUTHORIZED"),
    ngx_http_pulse_error_metric("NO_SUBSCRIPTION"),
    ngx_http_pulse_error_metric("QUOTA_EXCEEDED"),
    ngx_http_pulse_error_metric("FEATURE_NOT_IN_PLAN"),
    ngx_http_pulse_error_metric("FORBIDDEN"),
    ngx_http_pulse_error_metric("CSRF_REJECTED"),
    ngx_http_pulse_error_metric("NOT_FOUND"),
    ngx_http_pulse_error_metric("METHOD_NOT_ALLOWED"),
    ngx_http_pulse_error_metric("IDEMPOTENCY_MISMATCH"),
    ngx_http_pulse_error_metric("REQUEST_TOO_LARGE"),
    ngx_http_pulse_error_metric("UNSUPPORTED_MEDIA_TYPE"),
    ngx_http_pulse_error_metric("MODEL_NOT_FOUND"),
    ngx_http_pulse_error_metric("RATE_LIMIT_EXCEEDED"),
    ngx_http_pulse_error_metric("INTERNAL_ERROR"),
    ngx_http_pulse_error_metric("PROVIDER_ERROR"),
    ngx_http_pulse_error_metric("PROVIDER_UNAVAILABLE"),
    ngx_http_pulse_error_metric("STORE_UNAVAILABLE"),
    ngx_http_pulse_error_metric("SERVICE_UNAVAILABLE"),
    ngx_http_pulse_error_metric("GATEWAY_TIMEOUT")
};


static ngx_str_t  ngx_http_pulse_false = ngx_string("false");
static ngx_str_t  ngx_http_pulse_bearer = ngx_string("Bearer");


ngx_int_t
ngx_http_pulse_error(ngx_http_request_t *r, ngx_http_pulse_code_e code,
    const ngx_str_t *details)
{
    ngx_pulse_buf_t          *b;
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record(r);
    b = ngx_http_pulse_buf(r, NGX_HTTP_PULSE_ERROR_MAX);

    if (record == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "pulse reply: %V, details:%d",
                   ngx_http_pulse_code_name(code), details != NULL);

    ngx_http_pulse_verdict(r, code);

    if (ngx_http_pulse_error_headers(r, record, details) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_pulse_error_text(r, code, details, b);

    return ngx_http_pulse_send_json(r, ngx_http_pulse_code_status(code), b);
}


ngx_int_t
ngx_http_pulse_invalid(ngx_http_request_t *r, const char *pointer,
    const char *reason)
{
    ngx_int_t        rc;
    ngx_str_t        details;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_ERROR_MAX / 2);

    ngx_pulse_buf_literal(&b, "{\"field\":");
    ngx_pulse_buf_json(&b, (const u_char *) pointer, ngx_strlen(pointer));
    ngx_pulse_buf_literal(&b, ",\"reason\":");
    ngx_pulse_buf_json(&b, (const u_char *) reason, ngx_strlen(reason));
    ngx_pulse_buf_char(&b, '}');

    details.data = b.data;
    details.len = b.len;

    rc = ngx_http_pulse_error(r, NGX_HTTP_PULSE_INVALID_REQUEST,
                              b.failed ? NULL : &details);

    ngx_pulse_buf_free(&b);

    return rc;
}


void
ngx_http_pulse_verdict(ngx_http_request_t *r, ngx_http_pulse_code_e code)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record) {
        record->code = code;
    }

    ngx_pulse_metric_add(&ngx_http_pulse_error_metrics[code - 1], 1);
}


ngx_int_t
ngx_http_pulse_refuse(ngx_http_request_t *r, ngx_http_pulse_code_e code,
    const ngx_str_t *details)
{
    /* a phase would take NGX_OK of a sent answer for its consent */

    ngx_http_finalize_request(r, ngx_http_pulse_error(r, code, details));

    return NGX_DONE;
}


void
ngx_http_pulse_error_text(ngx_http_request_t *r, ngx_http_pulse_code_e code,
    const ngx_str_t *details, ngx_pulse_buf_t *b)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record(r);
    if (record == NULL) {
        b->failed = 1;
        return;
    }

    switch (record->dialect) {

    case NGX_HTTP_PULSE_OPENAI:
    case NGX_HTTP_PULSE_RESPONSES:
        ngx_http_pulse_error_openai(record, code,
                                    ngx_http_pulse_details(r, details), b);
        break;

    case NGX_HTTP_PULSE_ANTHROPIC:
        ngx_http_pulse_error_anthropic(record, code,
                                       ngx_http_pulse_details(r, details), b);
        break;

    case NGX_HTTP_PULSE_GEMINI:
        ngx_http_pulse_error_gemini(record, code,
                                    ngx_http_pulse_details(r, details), b);
        break;

    default: /* NGX_HTTP_PULSE_STUDIO */
        ngx_http_pulse_error_studio(record, code, details, b);
    }
}


static void
ngx_http_pulse_error_studio(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, const ngx_str_t *details, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"error\":{\"code\":\"");
    ngx_pulse_buf_str(b, ngx_http_pulse_code_name(code));
    ngx_pulse_buf_literal(b, "\",\"message\":\"");
    ngx_http_pulse_error_message(record, code, NULL, b);
    ngx_pulse_buf_literal(b, "\",\"details\":");

    if (details != NULL && details->len) {
        ngx_pulse_buf_str(b, details);

    } else {
        ngx_pulse_buf_literal(b, "{}");
    }

    ngx_pulse_buf_literal(b, "},");
    ngx_http_pulse_meta(record, b);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_http_pulse_error_openai(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"error\":{\"message\":\"");
    ngx_http_pulse_error_message(record, code, details, b);
    ngx_pulse_buf_literal(b, "\",\"type\":\"");
    ngx_http_pulse_text(b, ngx_http_pulse_errors[code].openai);
    ngx_pulse_buf_literal(b, "\",\"param\":");

    if (code == NGX_HTTP_PULSE_MODEL_NOT_FOUND) {
        ngx_pulse_buf_literal(b, "\"model\"");

    } else {
        ngx_http_pulse_error_param(details, b);
    }

    ngx_pulse_buf_literal(b, ",\"code\":\"");
    ngx_pulse_buf_str(b, ngx_http_pulse_code_name(code));
    ngx_pulse_buf_literal(b, "\"}}");
}


static void
ngx_http_pulse_error_anthropic(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"type\":\"error\",\"error\":{\"type\":\"");
    ngx_http_pulse_text(b, ngx_http_pulse_errors[code].anthropic);
    ngx_pulse_buf_literal(b, "\",\"message\":\"");
    ngx_http_pulse_error_message(record, code, details, b);
    ngx_pulse_buf_literal(b, "\",\"details\":{\"error_code\":\"");
    ngx_pulse_buf_str(b, ngx_http_pulse_code_name(code));
    ngx_pulse_buf_literal(b, "\"}},\"request_id\":\"");
    ngx_pulse_buf_str(b, &record->trace_id);
    ngx_pulse_buf_literal(b, "\"}");
}


static void
ngx_http_pulse_error_gemini(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"error\":{\"code\":");
    ngx_pulse_buf_int(b, ngx_http_pulse_code_status(code));
    ngx_pulse_buf_literal(b, ",\"message\":\"");
    ngx_http_pulse_error_message(record, code, details, b);
    ngx_pulse_buf_literal(b, "\",\"status\":\"");
    ngx_http_pulse_text(b, ngx_http_pulse_errors[code].gemini);
    ngx_pulse_buf_literal(b, "\",\"details\":[{\"@type\":"
                          "\"type.googleapis.com/google.rpc.ErrorInfo\","
                          "\"reason\":\"");
    ngx_pulse_buf_str(b, ngx_http_pulse_code_name(code));
    ngx_pulse_buf_literal(b, "\",\"domain\":\"pulse\"}]}}");
}


/*
 * A message inside its quotes.  The dialects have no room for details, so
 * that there the reason of an invalid request, or the model, goes with it.
 */

static void
ngx_http_pulse_error_message(ngx_http_pulse_record_t *record,
    ngx_http_pulse_code_e code, ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *field, *reason;

    ngx_http_pulse_text(b,
                        ngx_http_pulse_errors[code].message[record->locale]);

    if (code == NGX_HTTP_PULSE_CONTENT_FLAGGED) {
        ngx_http_pulse_error_categories(details, b);
        return;
    }

    if (code == NGX_HTTP_PULSE_MODEL_NOT_FOUND) {
        field = NULL;
        reason = ngx_pulse_json_get(details, "model");

    } else {
        field = ngx_pulse_json_get(details, "field");
        reason = ngx_pulse_json_get(details, "reason");
    }

    if (reason == NULL || reason->type != NGX_PULSE_JSON_STRING) {
        return;
    }

    ngx_pulse_buf_literal(b, " (");

    if (field != NULL && field->string.len) {
        ngx_http_pulse_error_inner(&field->string, b);
        ngx_pulse_buf_literal(b, ": ");
    }

    ngx_http_pulse_error_inner(&reason->string, b);
    ngx_pulse_buf_char(b, ')');
}


static void
ngx_http_pulse_error_categories(ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *categories, *v;

    categories = ngx_pulse_json_get(details, "categories");

    if (categories == NULL || categories->nelts == 0) {
        return;
    }

    ngx_pulse_buf_literal(b, " (");

    for (v = categories->children; v; v = v->next) {
        ngx_http_pulse_error_inner(&v->string, b);
        ngx_http_pulse_text(b, v->next ? ", " : ")");
    }
}


/* A JSON string without its quotes. */

static void
ngx_http_pulse_error_inner(ngx_str_t *s, ngx_pulse_buf_t *b)
{
    size_t  mark;

    mark = b->len;

    ngx_pulse_buf_json(b, s->data, s->len);

    if (!b->failed) {
        ngx_memmove(b->data + mark, b->data + mark + 1, b->len - mark - 2);
        b->len -= 2;
    }
}


/* "/messages/0/content" is "messages[0].content" to users of OpenAI */

static void
ngx_http_pulse_error_param(ngx_pulse_json_value_t *details,
    ngx_pulse_buf_t *b)
{
    u_char                  *p, *last, *end;
    ngx_uint_t               number;
    ngx_pulse_buf_t          param;
    ngx_pulse_json_value_t  *field;

    field = ngx_pulse_json_get(details, "field");

    if (field == NULL || field->string.len < 2) {
        ngx_pulse_buf_literal(b, "null");
        return;
    }

    ngx_pulse_buf_init(&param, NGX_HTTP_PULSE_ERROR_MAX / 4);

    p = field->string.data;
    last = p + field->string.len;

    while (p < last) {

        if (*p == '/') {
            p++;
        }

        number = (p < last);

        for (end = p; end < last && *end != '/'; end++) {
            if (*end < '0' || *end > '9') {
                number = 0;
            }
        }

        if (number) {
            ngx_pulse_buf_char(&param, '[');

        } else if (param.len) {
            ngx_pulse_buf_char(&param, '.');
        }

        ngx_pulse_buf_append(&param, p, end - p);

        if (number) {
            ngx_pulse_buf_char(&param, ']');
        }

        p = end;
    }

    ngx_pulse_buf_json(b, param.data, param.len);
    ngx_pulse_buf_free(&param);
}


static ngx_int_t
ngx_http_pulse_error_headers(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record, const ngx_str_t *details)
{
    ngx_uint_t  status;

    status = ngx_http_pulse_code_status(record->code);

    if (status == NGX_HTTP_UNAUTHORIZED
        && ngx_http_pulse_set_header(r, "WWW-Authenticate",
                                     &ngx_http_pulse_bearer)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_pulse_error_retry(r, record->code, details) != NGX_OK) {
        return NGX_ERROR;
    }

    if (record->dialect == NGX_HTTP_PULSE_STUDIO) {
        return NGX_OK;
    }

    /* SDKs try 409 and others again unless they are told not to */

    if (status < NGX_HTTP_INTERNAL_SERVER_ERROR
        && status != NGX_HTTP_TOO_MANY_REQUESTS
        && (status != NGX_HTTP_CONFLICT
            || ngx_http_pulse_find_header(r, "Retry-After",
                                          sizeof("Retry-After") - 1)
               == NULL)
        && ngx_http_pulse_set_header(r, "x-should-retry",
                                     &ngx_http_pulse_false)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (record->dialect) {

    case NGX_HTTP_PULSE_OPENAI:
    case NGX_HTTP_PULSE_RESPONSES:
        return ngx_http_pulse_set_header(r, "x-request-id",
                                         &record->trace_id);

    case NGX_HTTP_PULSE_ANTHROPIC:
        return ngx_http_pulse_set_header(r, "request-id", &record->trace_id);
    }

    return NGX_OK;
}


/* What a module has set already, then the details' time, then the code's */

static ngx_int_t
ngx_http_pulse_error_retry(ngx_http_request_t *r, ngx_http_pulse_code_e code,
    const ngx_str_t *details)
{
    int64_t                  n, ms;
    ngx_str_t                value;
    ngx_pulse_json_value_t  *reset;

    n = ngx_http_pulse_errors[code].retry;

    if (n == 0
        || ngx_http_pulse_find_header(r, "Retry-After",
                                      sizeof("Retry-After") - 1)
           != NULL)
    {
        return NGX_OK;
    }

    reset = ngx_pulse_json_get(ngx_http_pulse_details(r, details),
                               "reset_at");

    if (reset != NULL && reset->type == NGX_PULSE_JSON_STRING) {
        ms = ngx_pulse_rfc3339_parse(&reset->string);

        if (ms != -1) {
            n = (ms - ngx_pulse_now() + 999) / 1000;
        }
    }

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%L", ngx_max(n, 1)) - value.data;

    return ngx_http_pulse_set_header(r, "Retry-After", &value);
}


static ngx_pulse_json_value_t *
ngx_http_pulse_details(ngx_http_request_t *r, const ngx_str_t *details)
{
    ngx_pulse_json_error_t  err;

    if (details == NULL || details->len == 0) {
        return NULL;
    }

    return ngx_pulse_json_tree(r->pool, details->data, details->len, NULL,
                               &err);
}


ngx_uint_t
ngx_http_pulse_code_status(ngx_http_pulse_code_e code)
{
    return ngx_http_pulse_errors[code].status;
}


ngx_str_t *
ngx_http_pulse_code_name(ngx_http_pulse_code_e code)
{
    return &ngx_http_pulse_errors[code].name;
}


ngx_str_t
ngx_http_pulse_code_message(ngx_http_request_t *r, ngx_http_pulse_code_e code)
{
    ngx_str_t                 message;
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record(r);

    message.data = (u_char *)
                   ngx_http_pulse_errors[code].message[record ? record->locale
                                                       : NGX_HTTP_PULSE_EN];
    message.len = ngx_strlen(message.data);

    return message;
}


ngx_http_pulse_code_e
ngx_http_pulse_code_find(const ngx_str_t *name)
{
    ngx_uint_t  i;
    ngx_str_t  *known;

    for (i = NGX_HTTP_PULSE_INVALID_REQUEST; i < NGX_HTTP_PULSE_NCODES; i++) {
        known = &ngx_http_pulse_errors[i].name;

        if (known->len == name->len
            && ngx_memcmp(known->data, name->data, name->len) == 0)
        {
            return i;
        }
    }

    return NGX_HTTP_PULSE_INTERNAL_ERROR;
}


ngx_int_t
ngx_http_pulse_limit_details(ngx_http_request_t *r, ngx_uint_t limit,
    ngx_uint_t window, int64_t reset, ngx_str_t *details)
{
    u_char            text[24];
    ngx_pulse_buf_t  *b;

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_rfc3339(text, reset);

    ngx_pulse_buf_literal(b, "{\"limit\":");
    ngx_pulse_buf_int(b, limit);
    ngx_pulse_buf_literal(b, ",\"window_seconds\":");
    ngx_pulse_buf_int(b, window);
    ngx_pulse_buf_literal(b, ",\"reset_at\":\"");
    ngx_pulse_buf_append(b, text, sizeof(text));
    ngx_pulse_buf_literal(b, "\"}");

    details->data = b->data;
    details->len = b->len;

    return b->failed ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_pulse_reply_metrics(ngx_conf_t *cf)
{
    return ngx_pulse_metrics_register(cf, ngx_http_pulse_error_metrics,
                                      sizeof(ngx_http_pulse_error_metrics)
                                      / sizeof(ngx_pulse_metric_t));
}
