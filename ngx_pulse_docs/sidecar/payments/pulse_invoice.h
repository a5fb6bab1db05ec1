
#ifndef _PULSE_INVOICE_H_INCLUDED_
#define _PULSE_INVOICE_H_INCLUDED_


#include "ngx_pulse_json.h"
#include "pulse_document.h"


/*
 * An invoice, or a credit note, as a document to be drawn.
 */

typedef struct {
    ngx_str_t                      number;
    ngx_str_t                      date;        /* YYYY-MM-DD */
    ngx_str_t                      currency;
    ngx_str_t                      amount;      /* printed, as all amounts */
    ngx_str_t                      net;
    ngx_str_t                      vat;
    ngx_str_t                      list;
    ngx_str_t                      discount;    /* empty: none */
    ngx_uint_t                     vat_rate;    /* in 1/100 of a percent */
    const ngx_pulse_json_value_t  *details;     /* as they are stored */
    unsigned                       credit_note:1;
    unsigned                       arabic:1;
    unsigned                       live:1;
} pulse_invoice_t;


/* NULL: no memory.  All of it lives in the pool, or in the invoice. */
pulse_document_t *pulse_invoice_document(ngx_pool_t *pool,
    const pulse_invoice_t *invoice);


#endif /* _PULSE_INVOICE_H_INCLUDED_ */
