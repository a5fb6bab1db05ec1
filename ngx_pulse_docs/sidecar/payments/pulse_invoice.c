
#include "pulse_invoice.h"
#include "pulse_pay.h"


#define PULSE_INVOICE_LINES   24
#define PULSE_INVOICE_SPANS   2
#define PULSE_INVOICE_ACCENT  0x1f4e79
#define PULSE_INVOICE_TEXT    500


typedef struct {
    const pulse_invoice_t  *invoice;
    ngx_pool_t             *pool;
    pulse_document_t       *document;
    unsigned                failed:1;
} pulse_invoice_writer_t;


static void pulse_invoice_parties(pulse_invoice_writer_t *w);
static void pulse_invoice_item(pulse_invoice_writer_t *w);
static void pulse_invoice_sums(pulse_invoice_writer_t *w);
static ngx_str_t pulse_invoice_rate(pulse_invoice_writer_t *w);
static void pulse_invoice_money(pulse_invoice_writer_t *w, ngx_uint_t label,
    const ngx_str_t *amount, ngx_uint_t strong);
static void pulse_invoice_pair(pulse_invoice_writer_t *w, ngx_uint_t label,
    const ngx_str_t *value);
static void pulse_invoice_line(pulse_invoice_writer_t *w,
    pulse_paragraph_role_e role, const ngx_str_t *one, const ngx_str_t *two,
    ngx_uint_t strong);
static ngx_str_t pulse_invoice_label(pulse_invoice_writer_t *w,
    ngx_uint_t label);
static ngx_str_t pulse_invoice_clean(pulse_invoice_writer_t *w,
    const ngx_pulse_json_value_t *v, const char *name);


typedef enum {
    pulse_invoice_title = 0,
    pulse_invoice_credit_title,
    pulse_invoice_tax_title,
    pulse_invoice_number,
    pulse_invoice_date,
    pulse_invoice_of,
    pulse_invoice_seller,
    pulse_invoice_vat_number,
    pulse_invoice_buyer,
    pulse_invoice_items,
    pulse_invoice_quantity,
    pulse_invoice_list,
    pulse_invoice_credit,
    pulse_invoice_net,
    pulse_invoice_vat,
    pulse_invoice_total,
    pulse_invoice_returned,
    pulse_invoice_paid,
    pulse_invoice_test
} pulse_invoice_label_e;


static const char *const  pulse_invoice_labels[][2] = {
    { "Invoice", "فاتورة" },
    { "Credit note", "إشعار دائن" },
    { "Tax invoice", "فاتورة ضريبية" },
    { "Number: ", "الرقم: " },
    { "Date: ", "التاريخ: " },
    { "For the invoice: ", "عن الفاتورة: " },
    { "Seller", "البائع" },
    { "VAT number: ", "الرقم الضريبي: " },
    { "Buyer: ", "المشتري: " },
    { "Item", "البند" },
    { "Quantity: ", "الكمية: " },
    { "List price: ", "السعر: " },
    { "Credit for days left: ", "رصيد الأيام المتبقية: " },
    { "Net: ", "الصافي: " },
    { "VAT ", "ضريبة القيمة المضافة " },
    { "Total: ", "الإجمالي: " },
    { "Returned: ", "المبلغ المعاد: " },
    { "Paid through: ", "مدفوعة عبر: " },
    { "TEST – no money was moved", "تجربة – لم يُدفع أي مبلغ" }
};


pulse_document_t *
pulse_invoice_document(ngx_pool_t *pool, const pulse_invoice_t *invoice)
{
    ngx_str_t               none, title, of;
    pulse_document_t       *document;
    pulse_invoice_writer_t  w;

    document = ngx_pcalloc(pool, sizeof(pulse_document_t));
    if (document == NULL) {
        return NULL;
    }

    document->paragraphs = ngx_pcalloc(pool, PULSE_INVOICE_LINES
                                             * sizeof(pulse_paragraph_t));
    if (document->paragraphs == NULL) {
        return NULL;
    }

    w.invoice = invoice;
    w.pool = pool;
    w.document = document;
    w.failed = 0;

    ngx_str_null(&none);

    title = pulse_invoice_label(&w, invoice->credit_note
                                    ? pulse_invoice_credit_title
                                    : invoice->vat_rate
                                      ? pulse_invoice_tax_title
                                      : pulse_invoice_title);

    document->title = invoice->number;
    document->author = pulse_invoice_clean(&w,
                           ngx_pulse_json_get(invoice->details, "seller"),
                           invoice->arabic ? "name_ar" : "name_en");
    document->rtl = invoice->arabic;
    document->accent = PULSE_INVOICE_ACCENT;

    if (invoice->arabic) {
        ngx_str_set(&document->language, "ar-JO");
    } else {
        ngx_str_set(&document->language, "en-US");
    }

    pulse_invoice_line(&w, pulse_paragraph_name, &title, &none, 0);

    if (!invoice->live) {
        title = pulse_invoice_label(&w, pulse_invoice_test);
        pulse_invoice_line(&w, pulse_paragraph_headline, &title, &none, 0);
    }

    pulse_invoice_pair(&w, pulse_invoice_number, &invoice->number);
    pulse_invoice_pair(&w, pulse_invoice_date, &invoice->date);

    if (invoice->credit_note) {
        of = pulse_invoice_clean(&w, invoice->details, "of");
        pulse_invoice_pair(&w, pulse_invoice_of, &of);
    }

    pulse_invoice_parties(&w);
    pulse_invoice_item(&w);
    pulse_invoice_sums(&w);

    return w.failed ? NULL : document;
}


static void
pulse_invoice_parties(pulse_invoice_writer_t *w)
{
    ngx_str_t                title, none, text;
    const pulse_invoice_t   *invoice;
    ngx_pulse_json_value_t  *seller;

    invoice = w->invoice;
    seller = ngx_pulse_json_get(invoice->details, "seller");

    ngx_str_null(&none);

    title = pulse_invoice_label(w, pulse_invoice_seller);
    pulse_invoice_line(w, pulse_paragraph_section, &title, &none, 0);

    text = pulse_invoice_clean(w, seller,
                               invoice->arabic ? "name_ar" : "name_en");
    pulse_invoice_line(w, pulse_paragraph_text, &text, &none, 1);

    text = pulse_invoice_clean(w, seller, invoice->arabic ? "address_ar"
                                                          : "address_en");
    pulse_invoice_line(w, pulse_paragraph_text, &text, &none, 0);

    text = pulse_invoice_clean(w, invoice->details, "vat_number");
    pulse_invoice_pair(w, pulse_invoice_vat_number, &text);

    text = pulse_invoice_clean(w, invoice->details, "buyer");
    pulse_invoice_pair(w, pulse_invoice_buyer, &text);
}


static void
pulse_invoice_item(pulse_invoice_writer_t *w)
{
    ngx_str_t               title, none, text;
    const pulse_invoice_t  *invoice;

    invoice = w->invoice;

    ngx_str_null(&none);

    title = pulse_invoice_label(w, pulse_invoice_items);
    pulse_invoice_line(w, pulse_paragraph_section, &title, &none, 0);

    text = pulse_invoice_clean(w, invoice->details,
                               invoice->arabic ? "item_ar" : "item_en");
    pulse_invoice_line(w, pulse_paragraph_text, &text, &none, 1);

    text = pulse_invoice_clean(w, invoice->details, "quantity");
    pulse_invoice_pair(w, pulse_invoice_quantity, &text);

    if (!invoice->credit_note) {
        pulse_invoice_money(w, pulse_invoice_list, &invoice->list, 0);

        if (invoice->discount.len) {
            pulse_invoice_money(w, pulse_invoice_credit, &invoice->discount,
                                0);
        }
    }
}


static void
pulse_invoice_sums(pulse_invoice_writer_t *w)
{
    ngx_str_t               title, none, text;
    const pulse_invoice_t  *invoice;

    invoice = w->invoice;

    ngx_str_null(&none);

    /* as a heading it has no colon */

    title = pulse_invoice_label(w, pulse_invoice_total);
    title.len -= 2;

    pulse_invoice_line(w, pulse_paragraph_section, &title, &none, 0);

    if (invoice->vat_rate) {
        pulse_invoice_money(w, pulse_invoice_net, &invoice->net, 0);

        title = pulse_invoice_rate(w);

        if (pulse_pay_join(w->pool, &text, &invoice->vat, NULL) != NGX_OK) {
            w->failed = 1;
            return;
        }

        pulse_invoice_line(w, pulse_paragraph_text, &title, &text, 0);
    }

    pulse_invoice_money(w, invoice->credit_note ? pulse_invoice_returned
                                                : pulse_invoice_total,
                        &invoice->amount, 1);

    text = pulse_invoice_clean(w, invoice->details, "provider");
    pulse_invoice_pair(w, pulse_invoice_paid, &text);
}


/* "VAT 16%: " */

static ngx_str_t
pulse_invoice_rate(pulse_invoice_writer_t *w)
{
    char         text[32];
    int          n;
    ngx_str_t    label, rate, whole;
    ngx_uint_t   part;

    part = w->invoice->vat_rate % 100;

    n = part ? snprintf(text, sizeof(text), "%u.%02u%%: ",
                        (unsigned) w->invoice->vat_rate / 100,
                        (unsigned) part)
             : snprintf(text, sizeof(text), "%u%%: ",
                        (unsigned) w->invoice->vat_rate / 100);

    rate.data = (u_char *) text;
    rate.len = n;
    label = pulse_invoice_label(w, pulse_invoice_vat);

    if (pulse_pay_join(w->pool, &whole, &label, &rate, NULL) != NGX_OK) {
        w->failed = 1;
        ngx_str_null(&whole);
    }

    return whole;
}


static void
pulse_invoice_money(pulse_invoice_writer_t *w, ngx_uint_t label,
    const ngx_str_t *amount, ngx_uint_t strong)
{
    ngx_str_t  name, space, text;

    name = pulse_invoice_label(w, label);
    ngx_str_set(&space, " ");

    if (pulse_pay_join(w->pool, &text, amount, &space, &w->invoice->currency,
                       NULL)
        != NGX_OK)
    {
        w->failed = 1;
        return;
    }

    pulse_invoice_line(w, pulse_paragraph_text, &name, &text, strong);
}


/* What has no value is left out. */

static void
pulse_invoice_pair(pulse_invoice_writer_t *w, ngx_uint_t label,
    const ngx_str_t *value)
{
    ngx_str_t  name;

    if (value->len) {
        name = pulse_invoice_label(w, label);
        pulse_invoice_line(w, pulse_paragraph_text, &name, value, 0);
    }
}


static void
pulse_invoice_line(pulse_invoice_writer_t *w, pulse_paragraph_role_e role,
    const ngx_str_t *one, const ngx_str_t *two, ngx_uint_t strong)
{
    pulse_span_t       *spans;
    pulse_paragraph_t  *paragraph;

    if (w->failed || one->len == 0) {
        return;
    }

    spans = ngx_pcalloc(w->pool, PULSE_INVOICE_SPANS * sizeof(pulse_span_t));

    if (spans == NULL || w->document->nparagraphs == PULSE_INVOICE_LINES) {
        w->failed = 1;
        return;
    }

    spans[0].text = *one;
    spans[0].strong = strong;
    spans[1].text = *two;
    spans[1].strong = strong;

    paragraph = &w->document->paragraphs[w->document->nparagraphs++];

    paragraph->role = role;
    paragraph->spans = spans;
    paragraph->nspans = two->len ? 2 : 1;
}


static ngx_str_t
pulse_invoice_label(pulse_invoice_writer_t *w, ngx_uint_t label)
{
    ngx_str_t  text;

    text.data = (u_char *) pulse_invoice_labels[label][w->invoice->arabic];
    text.len = strlen((char *) text.data);

    return text;
}


/* What was written by people is cleaned before it is drawn. */

static ngx_str_t
pulse_invoice_clean(pulse_invoice_writer_t *w,
    const ngx_pulse_json_value_t *v, const char *name)
{
    ngx_str_t        text;
    ngx_pulse_buf_t  b;

    text = pulse_pay_text(v, name, PULSE_INVOICE_TEXT);

    ngx_pulse_buf_init(&b, 0);
    pulse_bidi_clean(&b, &text);

    if (pulse_pay_take(w->pool, &b, &text) != NGX_OK) {
        w->failed = 1;
        ngx_str_null(&text);
    }

    return text;
}
