
#include "pulse_money.h"


#define PULSE_MONEY_DIGITS  19              /* of 64 bits */


/* As they are charged, which is not always ISO 4217: of the Iraqi dinar no
 * provider moves less than a whole one. */

static const pulse_currency_t  pulse_currencies[] = {
    { "AED", 2 }, { "BHD", 3 }, { "EGP", 2 }, { "EUR", 2 }, { "GBP", 2 },
    { "IQD", 0 }, { "JOD", 3 }, { "KWD", 3 }, { "MAD", 2 }, { "OMR", 3 },
    { "QAR", 2 }, { "SAR", 2 }, { "USD", 2 }, { "", 0 }
};


const pulse_currency_t *
pulse_currency_find(const ngx_str_t *code)
{
    const pulse_currency_t  *currency;

    for (currency = pulse_currencies; currency->code[0]; currency++) {
        if (code->len == 3 && ngx_memcmp(code->data, currency->code, 3) == 0)
        {
            return currency;
        }
    }

    return NULL;
}


ngx_int_t
pulse_money_write(ngx_pulse_buf_t *b, const pulse_money_t *money,
    ngx_uint_t decimals)
{
    char        text[PULSE_MONEY_DIGITS + 1], *p;
    int64_t     step;
    size_t      len, point;
    ngx_uint_t  i, exponent;

    step = pulse_money_step(money->currency, decimals);

    if (money->amount <= 0 || money->amount % step) {
        return NGX_DECLINED;
    }

    exponent = ngx_min(money->currency->exponent, decimals);

    /* with a digit before the point, whatever the amount */

    len = snprintf(text, sizeof(text), "%0*" PRId64, (int) exponent + 1,
                   money->amount / step);

    p = text;
    point = len - exponent;

    ngx_pulse_buf_append(b, (u_char *) p, point);

    if (decimals) {
        ngx_pulse_buf_char(b, '.');
        ngx_pulse_buf_append(b, (u_char *) p + point, exponent);
    }

    for (i = exponent; i < decimals; i++) {
        ngx_pulse_buf_char(b, '0');
    }

    return NGX_OK;
}


ngx_int_t
pulse_money_read(pulse_money_t *money, const ngx_str_t *text,
    const pulse_currency_t *currency)
{
    u_char       ch;
    size_t       i;
    int64_t      n;
    ngx_uint_t   decimals, digits, point;

    n = 0;
    digits = 0;
    decimals = 0;
    point = 0;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (ch == '.' && digits && !point) {
            point = 1;
            digits = 0;
            continue;
        }

        if (ch < '0' || ch > '9') {
            return NGX_DECLINED;
        }

        digits++;

        if (point && decimals == currency->exponent) {

            if (ch != '0') {
                return NGX_DECLINED;
            }

            continue;
        }

        decimals += point;

        if (__builtin_mul_overflow(n, 10, &n)
            || __builtin_add_overflow(n, ch - '0', &n))
        {
            return NGX_DECLINED;
        }
    }

    if (digits == 0) {
        return NGX_DECLINED;
    }

    for ( /* void */ ; decimals < currency->exponent; decimals++) {
        if (__builtin_mul_overflow(n, 10, &n)) {
            return NGX_DECLINED;
        }
    }

    money->amount = n;
    money->currency = currency;

    return NGX_OK;
}


int64_t
pulse_money_step(const pulse_currency_t *currency, ngx_uint_t decimals)
{
    int64_t  step;

    step = 1;

    for ( /* void */ ; decimals < currency->exponent; decimals++) {
        step *= 10;
    }

    return step;
}
