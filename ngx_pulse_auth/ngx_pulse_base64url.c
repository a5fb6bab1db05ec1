
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_base64url.h"


static ngx_uint_t ngx_pulse_base64url_value(u_char ch);


static const u_char  ngx_pulse_base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


u_char *
ngx_pulse_base64url_encode(u_char *dst, const u_char *src, size_t len)
{
    size_t      i;
    uint32_t    bits;
    ngx_uint_t  n;

    bits = 0;
    n = 0;

    for (i = 0; i < len; i++) {
        bits = bits << 8 | src[i];
        n += 8;

        while (n >= 6) {
            n -= 6;
            *dst++ = ngx_pulse_base64url_alphabet[bits >> n & 0x3f];
        }
    }

    if (n > 0) {
        *dst++ = ngx_pulse_base64url_alphabet[bits << (6 - n) & 0x3f];
    }

    return dst;
}


ngx_int_t
ngx_pulse_base64url_decode(u_char *dst, size_t *len, const ngx_str_t *src)
{
    u_char      *start;
    size_t       i;
    uint32_t     bits;
    ngx_uint_t   n, value;

    if (src->len % 4 == 1) {
        return NGX_ERROR;
    }

    start = dst;
    bits = 0;
    n = 0;

    for (i = 0; i < src->len; i++) {
        value = ngx_pulse_base64url_value(src->data[i]);

        if (value > 63) {
            return NGX_ERROR;
        }

        bits = bits << 6 | value;
        n += 6;

        if (n >= 8) {
            n -= 8;
            *dst++ = (u_char) (bits >> n);
        }
    }

    if (bits & ((1u << n) - 1)) {
        return NGX_ERROR;
    }

    *len = dst - start;

    return NGX_OK;
}


static ngx_uint_t
ngx_pulse_base64url_value(u_char ch)
{
    switch (ch) {

    case '-':
        return 62;

    case '_':
        return 63;

    case '+':
    case '/':
        return 64;

    default:
        return ngx_pulse_base64_value(ch);
    }
}
