
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include "pulse_pay.h"
#include "pulse_query.h"


#define PULSE_PAY_DIGEST_LEN  32


static ngx_uint_t pulse_pay_said(const ngx_pulse_json_value_t *v,
    const char *name);


ngx_pulse_json_value_t *
pulse_pay_json_any(ngx_pool_t *pool, const ngx_str_t *text)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    limits.size = PULSE_PAY_BODY_MAX;
    limits.depth = 16;
    limits.values = 4096;
    limits.keys = 512;

    return ngx_pulse_json_tree(pool, text->data, text->len, &limits, &err);
}


ngx_pulse_json_value_t *
pulse_pay_json(ngx_pool_t *pool, const ngx_str_t *text)
{
    ngx_pulse_json_value_t  *v;

    v = pulse_pay_json_any(pool, text);

    return (v && v->type == NGX_PULSE_JSON_OBJECT) ? v : NULL;
}


ngx_int_t
pulse_pay_given_back(const pulse_pay_account_t *account, ngx_pool_t *pool,
    const pulse_pay_order_t *order, const ngx_pulse_json_value_t *list,
    pulse_pay_transaction_pt read, pulse_pay_events_t *events)
{
    ngx_int_t                rc;
    ngx_uint_t               n;
    pulse_pay_event_t       *event;
    ngx_pulse_json_value_t  *v;

    n = 0;

    for (v = list->children; v; v = v->next) {
        n++;
    }

    events->n = 0;
    events->event = ngx_pcalloc(pool, (n + 1) * sizeof(pulse_pay_event_t));

    if (events->event == NULL) {
        return NGX_ERROR;
    }

    for (v = list->children; v; v = v->next) {
        event = &events->event[events->n];
        rc = read(account, pool, v, event);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK
            && (event->state == pulse_pay_refunded
                || event->state == pulse_pay_charged_back)
            && (event->parent.len == 0
                || (event->parent.len == order->payment.len
                    && ngx_memcmp(event->parent.data, order->payment.data,
                                  order->payment.len)
                       == 0)))
        {
            event->parent = order->payment;
            events->n++;
        }
    }

    return NGX_OK;
}


ngx_str_t
pulse_pay_text(const ngx_pulse_json_value_t *v, const char *name, size_t max)
{
    ngx_str_t                text;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&text);

    member = ngx_pulse_json_get(v, name);

    if (member
        && (member->type == NGX_PULSE_JSON_STRING
            || member->type == NGX_PULSE_JSON_NUMBER)
        && member->string.len <= max)
    {
        text = member->string;
    }

    return text;
}


ngx_uint_t
pulse_pay_id(const ngx_str_t *text)
{
    size_t  i;
    u_char  ch;

    if (text->len == 0 || text->len > PULSE_PAY_ID_MAX) {
        return 0;
    }

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
              || (ch >= 'a' && ch <= 'z')
              || ch == '-' || ch == '_' || ch == '.'))
        {
            return 0;
        }
    }

    /* a part of a path that is only points would leave it */

    return text->data[0] != '.';
}


void
pulse_pay_money(const ngx_pulse_json_value_t *v, const char *amount,
    const char *currency, pulse_money_t *money)
{
    ngx_str_t  code, text;

    code = pulse_pay_text(v, currency, 3);
    text = pulse_pay_text(v, amount, 24);

    money->currency = pulse_currency_find(&code);

    if (money->currency
        && pulse_money_read(money, &text, money->currency) == NGX_OK)
    {
        return;
    }

    money->amount = pulse_pay_said(v, amount) ? -1 : 0;
    money->currency = NULL;
}


static ngx_uint_t
pulse_pay_said(const ngx_pulse_json_value_t *v, const char *name)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, name);

    return member && member->type != NGX_PULSE_JSON_NULL;
}


ngx_int_t
pulse_pay_take(ngx_pool_t *pool, ngx_pulse_buf_t *b, ngx_str_t *text)
{
    ngx_int_t  rc;

    rc = NGX_ERROR;
    text->len = b->len;
    text->data = b->failed ? NULL : ngx_pnalloc(pool, b->len + 1);

    if (text->data) {

        if (b->len) {
            ngx_memcpy(text->data, b->data, b->len);
        }

        text->data[b->len] = '\0';
        rc = NGX_OK;
    }

    ngx_pulse_buf_free(b);

    return rc;
}


ngx_int_t
pulse_pay_join(ngx_pool_t *pool, ngx_str_t *text, ...)
{
    va_list          args;
    ngx_pulse_buf_t  b;
    const ngx_str_t *part;

    ngx_pulse_buf_init(&b, 0);

    va_start(args, text);

    for (part = va_arg(args, const ngx_str_t *);
         part;
         part = va_arg(args, const ngx_str_t *))
    {
        ngx_pulse_buf_str(&b, part);
    }

    va_end(args);

    return pulse_pay_take(pool, &b, text);
}


void
pulse_pay_member(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value)
{
    ngx_pulse_buf_literal(b, ",\"");
    ngx_pulse_buf_append(b, (u_char *) name, strlen(name));
    ngx_pulse_buf_literal(b, "\":");
    ngx_pulse_buf_json(b, value->data, value->len);
}


ngx_int_t
pulse_pay_hex(u_char *bytes, size_t len, const ngx_str_t *text)
{
    int     high, low;
    size_t  i;

    if (text->len != 2 * len) {
        return NGX_DECLINED;
    }

    for (i = 0; i < len; i++) {
        high = pulse_query_digit(text->data[2 * i]);
        low = pulse_query_digit(text->data[2 * i + 1]);

        if (high == -1 || low == -1) {
            return NGX_DECLINED;
        }

        bytes[i] = high << 4 | low;
    }

    return NGX_OK;
}


ngx_int_t
pulse_pay_hmac(const ngx_str_t *key, const ngx_str_t *text,
    const ngx_str_t *digits)
{
    u_char  right[PULSE_PAY_DIGEST_LEN], said[PULSE_PAY_DIGEST_LEN];

    if (pulse_pay_hex(said, sizeof(said), digits) != NGX_OK
        || HMAC(EVP_sha256(), key->data, key->len, text->data, text->len,
                right, NULL)
           == NULL
        || CRYPTO_memcmp(right, said, sizeof(right)) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}
