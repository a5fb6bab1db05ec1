
#ifndef _NGX_PULSE_BASE64URL_H_INCLUDED_
#define _NGX_PULSE_BASE64URL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Bytes that "n" bytes take when encoded, and the most that "n" characters
 * give when decoded. */
#define ngx_pulse_base64url_encoded(n)  (((n) * 8 + 5) / 6)
#define ngx_pulse_base64url_decoded(n)  ((n) * 6 / 8)


/* The bits of a character of plain base64 (RFC 4648, 4), 64 if it is none. */

static ngx_inline ngx_uint_t
ngx_pulse_base64_value(u_char ch)
{
    if (ch >= 'A' && ch <= 'Z') {
        return ch - 'A';
    }

    if (ch >= 'a' && ch <= 'z') {
        return ch - 'a' + 26;
    }

    if (ch >= '0' && ch <= '9') {
        return ch - '0' + 52;
    }

    if (ch == '+') {
        return 62;
    }

    return (ch == '/') ? 63 : 64;
}


/* Encodes without padding (RFC 7515, 2); returns the end of what it wrote. */
u_char *ngx_pulse_base64url_encode(u_char *dst, const u_char *src,
    size_t len);

/*
 * The only text that encodes to the same characters, so that no two texts
 * stand for the same bytes: padding, white space, characters of plain
 * base64 and unused bits that are set are refused.  "dst" has room for
 * ngx_pulse_base64url_decoded(src->len) bytes; "*len" is set.
 */
ngx_int_t ngx_pulse_base64url_decode(u_char *dst, size_t *len,
    const ngx_str_t *src);


#endif /* _NGX_PULSE_BASE64URL_H_INCLUDED_ */
