
#include "ngx_pulse_id.h"
#include "pulse_once.h"
#include "pulse_reply.h"


#define PULSE_REPLY_CODE     48
#define PULSE_REPLY_MESSAGE  512


typedef struct {
    unsigned     status;
    const char  *after;             /* seconds, NULL: not to be asked again */
    const char  *code;
    const char  *message[2];        /* English, Arabic */
} pulse_reply_code_t;


static enum MHD_Result pulse_reply_refuse(pulse_http_request_t *r,
    pulse_reply_e code, const char *message, const ngx_pulse_buf_t *details);
static enum MHD_Result pulse_reply_code_queue(pulse_http_request_t *r,
    pulse_reply_e code, ngx_pulse_buf_t *b);
static enum MHD_Result pulse_reply_openai(pulse_http_request_t *r,
    pulse_reply_e code, const char *message, const char *param);
static enum MHD_Result pulse_reply_openai_flagged(pulse_http_request_t *r,
    const char *message, const ngx_pulse_buf_t *details);
static void pulse_reply_param(ngx_pulse_buf_t *b, const char *pointer);
static void pulse_reply_meta(pulse_http_request_t *r, ngx_pulse_buf_t *b);
static void pulse_reply_text(ngx_pulse_buf_t *b, const char *text);


static const pulse_reply_code_t  pulse_reply_codes[] = {

    { MHD_HTTP_BAD_REQUEST, NULL, "INVALID_REQUEST",
      { "The request is not valid. See the details for the field to mend.",
        "الطلب غير صالح. راجع الحقل المذكور في التفاصيل ثم أعد الإرسال." } },

    { MHD_HTTP_BAD_REQUEST, NULL, "CONTENT_FLAGGED",
      { "This request was refused by our content rules. Nothing was charged;"
        " change it and try again.",
        "رُفض هذا الطلب وفق قواعد المحتوى. لم يُخصم أي شيء من رصيدك؛ عدّله ثم"
        " أعد المحاولة." } },

    { MHD_HTTP_UNAUTHORIZED, NULL, "UNAUTHORIZED",
      { "The request does not prove where it comes from.",
        "لا يثبت الطلب مصدره." } },

    { MHD_HTTP_PAYMENT_REQUIRED, NULL, "NO_SUBSCRIPTION",
      { "You have no plan in force. Choose one to go on.",
        "لا يوجد لديك اشتراك ساري. اختر باقة للمتابعة." } },

    { MHD_HTTP_PAYMENT_REQUIRED, NULL, "QUOTA_EXCEEDED",
      { "The quota of this period is used up. Upgrade, buy an add-on, or wait"
        " for the next period.",
        "استهلكت رصيد هذه الفترة بالكامل. رقِّ خطتك أو أضف رصيدًا، أو انتظر"
        " تجدد الفترة." } },

    { MHD_HTTP_FORBIDDEN, NULL, "FORBIDDEN",
      { "This account may not do that.",
        "لا يُسمح لهذا الحساب بذلك." } },

    { MHD_HTTP_NOT_FOUND, NULL, "NOT_FOUND",
      { "There is no such file or address.",
        "لا يوجد ملف أو عنوان كهذا." } },

    { MHD_HTTP_NOT_FOUND, NULL, "MODEL_NOT_FOUND",
      { "There is no model of that name. See /v1/chat/models for those there"
        " are.",
        "لا يوجد نموذج بهذا الاسم. النماذج المتاحة في /v1/chat/models." } },

    { MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "METHOD_NOT_ALLOWED",
      { "This address does not take that method. The Allow header has those"
        " it takes.",
        "هذا العنوان لا يقبل طريقة الطلب المستخدمة. الطرق المقبولة في ترويسة"
        " Allow." } },

    { MHD_HTTP_CONTENT_TOO_LARGE, NULL, "REQUEST_TOO_LARGE",
      { "The request is larger than allowed. Shorten or split it.",
        "حجم الطلب أكبر من المسموح. قلّل المحتوى أو قسّمه." } },

    { MHD_HTTP_CONFLICT, NULL, "IDEMPOTENCY_MISMATCH",
      { "This idempotency key was used before, for another request.",
        "استُخدم مفتاح التكرار هذا من قبل لطلب آخر." } },

    { MHD_HTTP_CONFLICT, "2", "IDEMPOTENCY_MISMATCH",
      { "The first request with this idempotency key is not answered yet.",
        "لم يكتمل بعد جواب الطلب الأول بمفتاح التكرار هذا." } },

    { MHD_HTTP_TOO_MANY_REQUESTS, "10", "RATE_LIMIT_EXCEEDED",
      { "Too many of yours are being made at the same time. Wait until one has"
        " ended.",
        "لديك طلبات كثيرة قيد التنفيذ. انتظر حتى يكتمل أحدها." } },

    { MHD_HTTP_NOT_FOUND, NULL, "MODEL_NOT_FOUND",
      { "There is no such model here. /v1/chat/models lists those there are.",
        "لا يوجد نموذج بهذا الاسم. القائمة في /v1/chat/models." } },

    { MHD_HTTP_PAYMENT_REQUIRED, NULL, "QUOTA_EXCEEDED",
      { "There is no room for this file. Delete some that you do not need.",
        "لا تكفي المساحة المتاحة لهذا الملف. احذف ما لا تحتاجه من ملفاتك." } },

    { MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, "INTERNAL_ERROR",
      { "Something went wrong on our side. Try again; if it stays, send us"
        " the trace id.",
        "حدث خطأ غير متوقع من جانبنا. أعد المحاولة، وإن تكرر فراسلنا مع رقم"
        " التتبع." } },

    { MHD_HTTP_BAD_GATEWAY, NULL, "PROVIDER_ERROR",
      { "The model wrote something that cannot be used. Try again, or say more"
        " about what you want.",
        "كتب النموذج ما لا يمكن استخدامه. أعد المحاولة أو صف ما تريده بتفصيل"
        " أكثر." } },

    { MHD_HTTP_SERVICE_UNAVAILABLE, "5", "STORE_UNAVAILABLE",
      { "Files cannot be kept or read for the moment. Try again soon.",
        "تعذّر حفظ الملفات أو قراءتها مؤقتًا. أعد المحاولة بعد قليل." } },

    { MHD_HTTP_SERVICE_UNAVAILABLE, "5", "SERVICE_UNAVAILABLE",
      { "Too much is being made at the moment. Try again soon.",
        "الخدمة مشغولة الآن. أعد المحاولة بعد قليل." } },

    { MHD_HTTP_SERVICE_UNAVAILABLE, "60", "PROVIDER_UNAVAILABLE",
      { "Nobody who makes this is available. Nothing was charged; try again"
        " later, or choose another model.",
        "لا يتوفر مزوّد لهذا الآن. لم يُخصم أي شيء؛ أعد المحاولة لاحقًا أو اختر"
        " نموذجًا آخر." } },

    { MHD_HTTP_SERVICE_UNAVAILABLE, "30", "PROVIDER_UNAVAILABLE",
      { "The payment provider does not answer. Nothing was charged; try again"
        " soon, or choose another way to pay.",
        "مزوّد الدفع لا يستجيب. لم يُخصم أي مبلغ؛ أعد المحاولة بعد قليل أو"
        " اختر وسيلة دفع أخرى." } },

    { MHD_HTTP_SERVICE_UNAVAILABLE, "5", "PROVIDER_UNAVAILABLE",
      { "The request cannot be checked against our content rules for the"
        " moment. Nothing was charged; try again soon.",
        "يتعذر فحص الطلب وفق قواعد المحتوى مؤقتًا. لم يُخصم أي شيء من رصيدك؛"
        " أعد المحاولة بعد قليل." } },

    { MHD_HTTP_SERVICE_UNAVAILABLE, "30", "PROVIDER_UNAVAILABLE",
      { "No provider of images answers at the moment. Nothing was charged; try"
        " again soon.",
        "لا يستجيب أي مزوّد للصور الآن. لم يُخصم أي شيء من رصيدك؛ أعد المحاولة"
        " بعد قليل." } },

    { MHD_HTTP_BAD_GATEWAY, NULL, "PROVIDER_ERROR",
      { "The model made no image of this. Nothing was charged; describe it"
        " in another way.",
        "لم ينتج النموذج صورة من هذا الوصف. لم يُخصم أي شيء من رصيدك؛ صفها"
        " بطريقة أخرى." } },

    { MHD_HTTP_BAD_GATEWAY, NULL, "PROVIDER_ERROR",
      { "The payment provider refused to begin. Nothing was charged; choose"
        " another way to pay.",
        "رفض مزوّد الدفع بدء العملية. لم يُخصم أي مبلغ؛ اختر وسيلة دفع"
        " أخرى." } }
};


void
pulse_reply_identity(pulse_http_request_t *r)
{
    ngx_str_t  locale;

    r->user = pulse_http_header(r, "X-Pulse-User");
    locale = pulse_http_header(r, "X-Pulse-Locale");

    r->arabic = (locale.len != 2 || memcmp(locale.data, "en", 2) != 0);

    /* what asks for somebody in particular goes nowhere without one */

    if (!ngx_pulse_uuid_valid(&r->user)) {
        ngx_str_null(&r->user);
    }
}


enum MHD_Result
pulse_reply_data(pulse_http_request_t *r, unsigned status,
    ngx_pulse_buf_t *data)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"data\":");
    ngx_pulse_buf_str(&b, data);
    ngx_pulse_buf_char(&b, ',');
    pulse_reply_meta(r, &b);
    ngx_pulse_buf_char(&b, '}');

    b.failed |= data->failed;
    ngx_pulse_buf_free(data);

    return pulse_reply_plain(r, status, &b);
}


enum MHD_Result
pulse_reply_plain(pulse_http_request_t *r, unsigned status,
    ngx_pulse_buf_t *b)
{
    pulse_once_keep(r, status, b);

    return pulse_http_reply(r, status, b);
}


enum MHD_Result
pulse_reply_error(pulse_http_request_t *r, pulse_reply_e code,
    const ngx_pulse_buf_t *details)
{
    return pulse_reply_refuse(r, code,
                              pulse_reply_codes[code].message[r->arabic],
                              details);
}


static enum MHD_Result
pulse_reply_refuse(pulse_http_request_t *r, pulse_reply_e code,
    const char *message, const ngx_pulse_buf_t *details)
{
    ngx_pulse_buf_t            b;
    const pulse_reply_code_t  *row;

    if (!r->studio) {
        return (code == pulse_reply_flagged && details)
               ? pulse_reply_openai_flagged(r, message, details)
               : pulse_reply_openai(r, code, message, NULL);
    }

    row = &pulse_reply_codes[code];

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"error\":{\"code\":");
    pulse_reply_text(&b, row->code);
    ngx_pulse_buf_literal(&b, ",\"message\":");
    pulse_reply_text(&b, message);
    ngx_pulse_buf_literal(&b, ",\"details\":");

    if (details) {
        ngx_pulse_buf_str(&b, details);
        b.failed |= details->failed;

    } else {
        ngx_pulse_buf_literal(&b, "{}");
    }

    ngx_pulse_buf_literal(&b, "},");
    pulse_reply_meta(r, &b);
    ngx_pulse_buf_char(&b, '}');

    return pulse_reply_code_queue(r, code, &b);
}


static enum MHD_Result
pulse_reply_code_queue(pulse_http_request_t *r, pulse_reply_e code,
    ngx_pulse_buf_t *b)
{
    struct MHD_Response       *response;
    const pulse_reply_code_t  *row;

    row = &pulse_reply_codes[code];

    response = pulse_http_response(b);
    if (response == NULL) {
        return MHD_NO;
    }

    MHD_add_response_header(response, "X-Pulse-Code", row->code);

    if (code == pulse_reply_not_allowed) {
        MHD_add_response_header(response, "Allow", r->allow);
    }

    if (row->after) {
        MHD_add_response_header(response, "Retry-After",
                                r->after[0] ? r->after : row->after);

    } else if (!r->studio && row->status < MHD_HTTP_INTERNAL_SERVER_ERROR) {

        /* the dialect's SDK tries 409 again unless it is told not to */

        MHD_add_response_header(response, "x-should-retry", "false");
    }

    return pulse_http_queue(r, row->status, response);
}


/* As nginx writes those of its own in this dialect. */

static enum MHD_Result
pulse_reply_openai(pulse_http_request_t *r, pulse_reply_e code,
    const char *message, const char *pointer)
{
    const char       *type;
    ngx_pulse_buf_t   b;

    switch (pulse_reply_codes[code].status) {

    case MHD_HTTP_PAYMENT_REQUIRED:
        type = "insufficient_quota";
        break;

    case MHD_HTTP_TOO_MANY_REQUESTS:
        type = "requests";
        break;

    default:
        type = (pulse_reply_codes[code].status
                < MHD_HTTP_INTERNAL_SERVER_ERROR) ? "invalid_request_error"
                                                  : "server_error";
        break;
    }

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_literal(&b, "{\"error\":{\"message\":");
    pulse_reply_text(&b, message);
    ngx_pulse_buf_literal(&b, ",\"type\":");
    pulse_reply_text(&b, type);
    ngx_pulse_buf_literal(&b, ",\"param\":");
    pulse_reply_param(&b, pointer);
    ngx_pulse_buf_literal(&b, ",\"code\":");
    pulse_reply_text(&b, pulse_reply_codes[code].code);
    ngx_pulse_buf_literal(&b, "}}");

    return pulse_reply_code_queue(r, code, &b);
}


/* The dialect has no details, so that the categories go with the message. */

static enum MHD_Result
pulse_reply_openai_flagged(pulse_http_request_t *r, const char *message,
    const ngx_pulse_buf_t *details)
{
    enum MHD_Result          rc;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (const u_char *) message, strlen(message));

    v = ngx_pulse_json_tree(r->pool, details->data, details->len, NULL, &err);
    v = v ? ngx_pulse_json_get(v, "categories") : NULL;

    if (v && v->children) {
        ngx_pulse_buf_literal(&b, " (");

        for (v = v->children; v; v = v->next) {
            ngx_pulse_buf_str(&b, &v->string);

            if (v->next) {
                ngx_pulse_buf_literal(&b, ", ");
            }
        }

        ngx_pulse_buf_char(&b, ')');
    }

    ngx_pulse_buf_char(&b, '\0');

    rc = b.failed ? MHD_NO
                  : pulse_reply_openai(r, pulse_reply_flagged,
                                       (char *) b.data, NULL);

    ngx_pulse_buf_free(&b);

    return rc;
}


static void
pulse_reply_param(ngx_pulse_buf_t *b, const char *pointer)
{
    if (pointer && pointer[0] == '/') {
        pulse_reply_text(b, pointer + 1);

    } else {
        ngx_pulse_buf_literal(b, "null");
    }
}


enum MHD_Result
pulse_reply_row(pulse_http_request_t *r, PGresult *res)
{
    enum MHD_Result   rc;
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) PQgetvalue(res, 0, 2),
                         PQgetlength(res, 0, 2));

    if (PQgetisnull(res, 0, 1)) {
        return pulse_reply_data(r, strtoul(PQgetvalue(res, 0, 0), NULL, 10),
                                &b);
    }

    rc = pulse_reply_error(r, pulse_reply_code(PQgetvalue(res, 0, 1)),
                           b.len ? &b : NULL);

    ngx_pulse_buf_free(&b);

    return rc;
}


pulse_reply_e
pulse_reply_code(const char *name)
{
    pulse_reply_e  code;

    for (code = pulse_reply_invalid; code < pulse_reply_internal; code++) {
        if (strcmp(pulse_reply_codes[code].code, name) == 0) {
            break;
        }
    }

    return code;
}


enum MHD_Result
pulse_reply_passed(pulse_http_request_t *r, unsigned status,
    const ngx_str_t *code, const char *after, ngx_pulse_buf_t *body)
{
    char                  name[PULSE_REPLY_CODE];
    struct MHD_Response  *response;

    response = pulse_http_response(body);
    if (response == NULL) {
        return MHD_NO;
    }

    snprintf(name, sizeof(name), "%.*s", (int) code->len, code->data);

    MHD_add_response_header(response, "X-Pulse-Code", name);

    if (after[0] != '\0') {
        MHD_add_response_header(response, "Retry-After", after);
    }

    return pulse_http_queue(r, status, response);
}


enum MHD_Result
pulse_reply_field(pulse_http_request_t *r, const char *pointer,
    const char *arabic, const char *english)
{
    char             message[PULSE_REPLY_MESSAGE];
    enum MHD_Result  rc;
    ngx_pulse_buf_t  details;

    if (!r->studio) {

        /* the dialect has no details, so that the message says where */

        snprintf(message, sizeof(message), "%s%s%s",
                 pointer[0] ? pointer + 1 : "", pointer[0] ? ": " : "",
                 english);

        return pulse_reply_openai(r, pulse_reply_invalid, message, pointer);
    }

    ngx_pulse_buf_init(&details, 0);

    ngx_pulse_buf_literal(&details, "{\"field\":");
    pulse_reply_text(&details, pointer);
    ngx_pulse_buf_literal(&details, ",\"reason\":");
    pulse_reply_text(&details, english);
    ngx_pulse_buf_char(&details, '}');

    rc = pulse_reply_refuse(r, pulse_reply_invalid,
                            r->arabic ? arabic : english, &details);

    ngx_pulse_buf_free(&details);

    return rc;
}


enum MHD_Result
pulse_reply_form(pulse_http_request_t *r, pulse_form_t *form)
{
    if (form->rc != NGX_DECLINED) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    ngx_pulse_buf_char(&form->pointer, '\0');

    if (form->pointer.failed) {
        return MHD_NO;
    }

    return pulse_reply_field(r, (char *) form->pointer.data,
                             pulse_form_reason(form, 1),
                             pulse_form_reason(form, 0));
}


ngx_pulse_json_value_t *
pulse_reply_body(pulse_http_request_t *r, enum MHD_Result *rc)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v, *locale;

    v = ngx_pulse_json_tree(r->pool, r->body.data, r->body.len, NULL, &err);

    if (v == NULL) {
        *rc = pulse_reply_field(r, "", "ليس نص JSON سليمًا.", err.reason);
        return NULL;
    }

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        *rc = pulse_reply_field(r, "", "المطلوب كائن JSON.",
                                "a JSON object is wanted");
        return NULL;
    }

    locale = ngx_pulse_json_get(v, "locale");

    if (locale && locale->type == NGX_PULSE_JSON_STRING
        && locale->string.len >= 2)
    {
        if (memcmp(locale->string.data, "ar", 2) == 0) {
            r->arabic = 1;

        } else if (memcmp(locale->string.data, "en", 2) == 0) {
            r->arabic = 0;
        }
    }

    return v;
}


ngx_pulse_json_value_t *
pulse_reply_read(pulse_http_request_t *r, pulse_form_t **form,
    enum MHD_Result *rc)
{
    ngx_pulse_json_value_t  *v;

    v = pulse_reply_body(r, rc);
    if (v == NULL) {
        return NULL;
    }

    *form = pulse_form_create(r->pool);

    if (*form == NULL) {
        *rc = pulse_reply_error(r, pulse_reply_internal, NULL);
        return NULL;
    }

    return v;
}


static void
pulse_reply_meta(pulse_http_request_t *r, ngx_pulse_buf_t *b)
{
    u_char     now[24];
    ngx_str_t  trace;

    ngx_pulse_rfc3339(now, ngx_pulse_now());
    trace = pulse_http_header(r, "X-Trace-ID");

    ngx_pulse_buf_literal(b, "\"meta\":{\"timestamp\":\"");
    ngx_pulse_buf_append(b, now, sizeof(now));
    ngx_pulse_buf_literal(b, "\",\"trace_id\":");
    ngx_pulse_buf_json(b, trace.data, trace.len);
    ngx_pulse_buf_char(b, '}');
}


static void
pulse_reply_text(ngx_pulse_buf_t *b, const char *text)
{
    ngx_pulse_buf_json(b, (const u_char *) text, strlen(text));
}
