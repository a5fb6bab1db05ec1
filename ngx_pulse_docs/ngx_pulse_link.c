
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_link.h"


static int ngx_pulse_link_digit(u_char ch);


ngx_int_t
ngx_pulse_link_key(ngx_pulse_link_key_t *key, const ngx_str_t *text)
{
    int         high, low;
    size_t      len;
    ngx_uint_t  i;

    len = text->len;

    if (len && text->data[len - 1] == '\n') {
        len--;
    }

    if (len != 2 * NGX_PULSE_LINK_KEY_LEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_PULSE_LINK_KEY_LEN; i++) {
        high = ngx_pulse_link_digit(text->data[2 * i]);
        low = ngx_pulse_link_digit(text->data[2 * i + 1]);

        if (high == -1 || low == -1) {
            return NGX_ERROR;
        }

        key->bytes[i] = high << 4 | low;
    }

    return NGX_OK;
}


static int
ngx_pulse_link_digit(u_char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}


ngx_int_t
ngx_pulse_link_sign(const ngx_pulse_link_key_t *key,
    const ngx_pulse_link_t *link, u_char *signature)
{
    u_char           digest[NGX_PULSE_LINK_KEY_LEN];
    ngx_int_t        rc;
    ngx_pulse_buf_t  b;

    /* the path comes last: it may hold whatever a name may */

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) link->method, strlen(link->method));
    ngx_pulse_buf_char(&b, '\n');
    ngx_pulse_buf_int(&b, link->expires);
    ngx_pulse_buf_char(&b, '\n');
    ngx_pulse_buf_int(&b, link->size);
    ngx_pulse_buf_char(&b, '\n');
    ngx_pulse_buf_str(&b, &link->path);

    rc = NGX_ERROR;

    if (!b.failed
        && HMAC(EVP_sha256(), key->bytes, NGX_PULSE_LINK_KEY_LEN, b.data,
                b.len, digest, NULL)
           != NULL)
    {
        (void) ngx_pulse_base64url_encode(signature, digest, sizeof(digest));
        rc = NGX_OK;
    }

    ngx_pulse_buf_free(&b);

    return rc;
}


ngx_int_t
ngx_pulse_link_check(const ngx_pulse_link_key_t *key,
    const ngx_pulse_link_t *link, const ngx_str_t *signature)
{
    u_char  right[NGX_PULSE_LINK_SIGNATURE_LEN];

    if (signature->len != NGX_PULSE_LINK_SIGNATURE_LEN
        || ngx_pulse_link_sign(key, link, right) != NGX_OK
        || CRYPTO_memcmp(right, signature->data, signature->len) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_pulse_link_escape(ngx_pulse_buf_t *b, const ngx_str_t *text)
{
    u_char      ch;
    ngx_uint_t  i;

    static const u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
            || (ch >= 'a' && ch <= 'z')
            || ch == '-' || ch == '.' || ch == '_' || ch == '~')
        {
            ngx_pulse_buf_char(b, ch);
            continue;
        }

        ngx_pulse_buf_char(b, '%');
        ngx_pulse_buf_char(b, hex[ch >> 4]);
        ngx_pulse_buf_char(b, hex[ch & 15]);
    }
}
