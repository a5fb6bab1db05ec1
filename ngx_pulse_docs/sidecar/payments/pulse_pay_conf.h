
#ifndef _PULSE_PAY_CONF_H_INCLUDED_
#define _PULSE_PAY_CONF_H_INCLUDED_


#include "pulse_pay.h"


#define PULSE_PAY_ACCOUNTS    8
#define PULSE_PAY_REASON_LEN  256


/*
 * The file that --payments names: JSON with "mode" ("test" or "live"), "url"
 * of the studio as browsers see it, "providers", and "prices" and "invoices",
 * which are for the database.  Secrets are not in it: "env:NAME" or
 * "file:PATH" says where each is.
 */

typedef struct {
    ngx_pool_t           *pool;
    ngx_str_t             url;          /* without a "/" at its end */
    ngx_str_t             prices;       /* JSON */
    ngx_str_t             invoices;     /* JSON */
    pulse_pay_account_t   accounts[PULSE_PAY_ACCOUNTS];
    ngx_uint_t            n;
    unsigned              live:1;
    char                  reason[PULSE_PAY_REASON_LEN];
} pulse_pay_conf_t;


/* Reads the text; conf->pool is set, and must outlive it.  NGX_OK, or
 * NGX_ERROR with conf->reason, which never has a secret in it. */
ngx_int_t pulse_pay_conf_read(pulse_pay_conf_t *conf, const ngx_str_t *text);

/* The account of a provider's name, or NULL. */
pulse_pay_account_t *pulse_pay_conf_find(pulse_pay_conf_t *conf,
    const ngx_str_t *name);


#endif /* _PULSE_PAY_CONF_H_INCLUDED_ */
