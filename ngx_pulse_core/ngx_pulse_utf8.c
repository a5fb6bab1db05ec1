
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"


ngx_int_t
ngx_pulse_utf8_check(const u_char *p, size_t len, size_t *bad)
{
    u_char         ch, low, high;
    size_t         n;
    uint64_t       word;
    const u_char  *start, *last;

    start = p;
    last = p + len;

    while (p < last) {

        ch = *p;

        if (ch < 0x80) {

            for (p++; (size_t) (last - p) >= sizeof(word); p += sizeof(word)) {
                ngx_memcpy(&word, p, sizeof(word));

                if (word & 0x8080808080808080) {
                    break;
                }
            }

            continue;
        }

        /* RFC 3629: the second byte excludes overlong forms, surrogates
         * and what is above U+10FFFF */

        low = 0x80;
        high = 0xbf;

        if (ch >= 0xc2 && ch <= 0xdf) {
            n = 2;

        } else if (ch >= 0xe0 && ch <= 0xef) {
            n = 3;
            low = (ch == 0xe0) ? 0xa0 : 0x80;
            high = (ch == 0xed) ? 0x9f : 0xbf;

        } else if (ch >= 0xf0 && ch <= 0xf4) {
            n = 4;
            low = (ch == 0xf0) ? 0x90 : 0x80;
            high = (ch == 0xf4) ? 0x8f : 0xbf;

        } else {
            goto invalid;
        }

        if ((size_t) (last - p) < n
            || p[1] < low || p[1] > high
            || (n > 2 && (p[2] & 0xc0) != 0x80)
            || (n > 3 && (p[3] & 0xc0) != 0x80))
        {
            goto invalid;
        }

        p += n;
    }

    return NGX_OK;

invalid:

    if (bad != NULL) {
        *bad = p - start;
    }

    return NGX_ERROR;
}
