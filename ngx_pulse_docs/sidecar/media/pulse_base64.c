
#include "ngx_pulse_base64url.h"
#include "pulse_base64.h"

#include <string.h>


void
pulse_base64_init(pulse_base64_t *b)
{
    memset(b, 0, sizeof(pulse_base64_t));
}


ssize_t
pulse_base64_decode(pulse_base64_t *b, const u_char *p, size_t len,
    u_char *out)
{
    u_char        *start;
    ngx_uint_t     value;
    const u_char  *last;

    start = out;

    for (last = p + len; p < last; p++) {

        if (*p == '\r' || *p == '\n') {
            continue;
        }

        if (*p == '=') {

            /* "xx==" and "xxx=" */

            if (b->n + b->padded >= 4 || b->n < 2) {
                return NGX_ERROR;
            }

            b->padded++;
            continue;
        }

        value = ngx_pulse_base64_value(*p);

        if (value > 63 || b->padded) {
            return NGX_ERROR;
        }

        b->bits = (b->bits << 6) | value;

        if (b->n < 3) {
            b->n++;
            continue;
        }

        *out++ = b->bits >> 16;
        *out++ = b->bits >> 8;
        *out++ = b->bits;

        b->n = 0;
        b->bits = 0;
    }

    return out - start;
}


ssize_t
pulse_base64_end(pulse_base64_t *b, u_char *out)
{
    if (b->padded && b->n + b->padded != 4) {
        return NGX_ERROR;
    }

    switch (b->n) {

    case 0:
        return 0;

    case 2:
        out[0] = b->bits >> 4;
        return 1;

    case 3:
        out[0] = b->bits >> 10;
        out[1] = b->bits >> 2;
        return 2;

    default:
        return NGX_ERROR;
    }
}
