
#ifndef _PULSE_MONEY_H_INCLUDED_
#define _PULSE_MONEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * Money: an integer of minor units beside its currency, never a fraction.
 */

typedef struct {
    char                     code[4];
    ngx_uint_t               exponent;      /* decimals of the minor unit */
} pulse_currency_t;


typedef struct {
    int64_t                  amount;        /* minor units */
    const pulse_currency_t  *currency;
} pulse_money_t;


/* The currency of an ISO 4217 code in capitals, NULL if it is not ours. */
const pulse_currency_t *pulse_currency_find(const ngx_str_t *code);

/*
 * Appends an amount with so many decimals, "92.50"; with fewer than the
 * currency has only what they can express.  NGX_DECLINED, and nothing is
 * appended: they cannot, or the amount is not above zero.
 */
ngx_int_t pulse_money_write(ngx_pulse_buf_t *b, const pulse_money_t *money,
    ngx_uint_t decimals);

/*
 * Reads decimal text, "3", "3.0", "3.000": zeros beyond the currency's
 * decimals are taken.  NGX_DECLINED for all else: signs, exponents, space,
 * parts of a minor unit, and what passes 64 bits.
 */
ngx_int_t pulse_money_read(pulse_money_t *money, const ngx_str_t *text,
    const pulse_currency_t *currency);

/* The least that such decimals can express: 10 of a dinar's 1000 with two. */
int64_t pulse_money_step(const pulse_currency_t *currency,
    ngx_uint_t decimals);


#endif /* _PULSE_MONEY_H_INCLUDED_ */
