
#include "pulse_invoice.h"
#include "pulse_log.h"
#include "pulse_payments.h"
#include "pulse_pdf.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_INVOICES_MAX  (4 * 1024 * 1024)


static ngx_int_t pulse_invoices_draw(pulse_http_request_t *r, PGresult *res,
    ngx_pulse_buf_t *out);
static ngx_str_t pulse_invoices_value(PGresult *res, int column);
static enum MHD_Result pulse_invoices_send(pulse_http_request_t *r,
    const char *number, ngx_pulse_buf_t *out);


static const char  pulse_invoices_find[] =
    "SELECT i.number, to_char(i.issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'),"
    "       i.currency, price_text(i.amount, i.currency),"
    "       price_text(i.net, i.currency), price_text(i.vat, i.currency),"
    "       price_text((i.details ->> 'list')::bigint, i.currency),"
    "       CASE WHEN (i.details ->> 'credit')::bigint > 0"
    "       THEN price_text((i.details ->> 'credit')::bigint, i.currency)"
    "       ELSE '' END,"
    "       i.vat_rate, i.kind, p.live, i.details"
    "  FROM invoices i JOIN payments p ON p.id = i.payment_id"
    " WHERE p.user_id = $1 AND p.id = $2 AND i.kind = $3"
    " ORDER BY i.issued_at DESC, i.number DESC"
    " LIMIT 1";


enum MHD_Result
pulse_invoices_get(pulse_http_request_t *r)
{
    char              id[37];
    PGresult         *res;
    ngx_str_t         kind;
    const char       *params[3];
    enum MHD_Result   rc;
    ngx_pulse_buf_t   out;

    if (pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    snprintf(id, sizeof(id), "%.36s", r->id.data);
    kind = pulse_http_arg(r, "kind");

    params[0] = (char *) r->user.data;
    params[1] = id;
    params[2] = kind.len ? (char *) kind.data : "invoice";

    res = pulse_store_query(r->store, pulse_invoices_find, 3, params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: an invoice cannot be read:"
                  " %s", r->store->error);
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    ngx_pulse_buf_init(&out, PULSE_INVOICES_MAX);

    if (PQntuples(res) == 0) {
        rc = pulse_reply_error(r, pulse_reply_not_found, NULL);

    } else if (pulse_invoices_draw(r, res, &out) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse payments: an invoice cannot be drawn:"
                  " no memory");
        rc = pulse_reply_error(r, pulse_reply_internal, NULL);

    } else {
        rc = pulse_invoices_send(r, PQgetvalue(res, 0, 0), &out);
    }

    ngx_pulse_buf_free(&out);
    PQclear(res);

    return rc;
}


static ngx_int_t
pulse_invoices_draw(pulse_http_request_t *r, PGresult *res,
    ngx_pulse_buf_t *out)
{
    ngx_str_t          details, locale;
    pulse_invoice_t    invoice;
    pulse_document_t  *document;

    locale = pulse_http_arg(r, "locale");
    details = pulse_invoices_value(res, 11);

    invoice.number = pulse_invoices_value(res, 0);
    invoice.date = pulse_invoices_value(res, 1);
    invoice.currency = pulse_invoices_value(res, 2);
    invoice.amount = pulse_invoices_value(res, 3);
    invoice.net = pulse_invoices_value(res, 4);
    invoice.vat = pulse_invoices_value(res, 5);
    invoice.list = pulse_invoices_value(res, 6);
    invoice.discount = pulse_invoices_value(res, 7);
    invoice.vat_rate = strtoul(PQgetvalue(res, 0, 8), NULL, 10);
    invoice.credit_note = (PQgetvalue(res, 0, 9)[0] == 'c');
    invoice.live = (PQgetvalue(res, 0, 10)[0] == 't');
    invoice.details = pulse_pay_json(r->pool, &details);

    invoice.arabic = r->arabic;

    if (locale.len == 2) {
        invoice.arabic = (ngx_memcmp(locale.data, "en", 2) != 0);
    }

    document = pulse_invoice_document(r->pool, &invoice);

    return document ? pulse_pdf_write_document(r->pool, document, out)
                    : NGX_ERROR;
}


static ngx_str_t
pulse_invoices_value(PGresult *res, int column)
{
    ngx_str_t  value;

    value.data = (u_char *) PQgetvalue(res, 0, column);
    value.len = PQgetlength(res, 0, column);

    return value;
}


static enum MHD_Result
pulse_invoices_send(pulse_http_request_t *r, const char *number,
    ngx_pulse_buf_t *out)
{
    char                  name[128];
    struct MHD_Response  *response;

    response = pulse_http_response(out);
    if (response == NULL) {
        return MHD_NO;
    }

    snprintf(name, sizeof(name), "inline; filename=\"%.64s.pdf\"", number);

    MHD_del_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Content-Type", "application/pdf");
    MHD_add_response_header(response, "Content-Disposition", name);

    return pulse_http_queue(r, MHD_HTTP_OK, response);
}
