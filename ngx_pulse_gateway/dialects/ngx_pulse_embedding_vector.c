
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_embedding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define NGX_PULSE_EMBEDDING_NUMBER  64      /* characters of one number */
#define NGX_PULSE_EMBEDDING_SHORT   8       /* digits, mostly enough */


static void ngx_pulse_embedding_byte(ngx_pulse_embedding_base64_t *state,
    u_char byte, ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_embedding_number(uint32_t bits,
    ngx_pulse_buf_t *b);


static const u_char  ngx_pulse_embedding_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


ngx_int_t
ngx_pulse_embedding_encode(ngx_pulse_embedding_base64_t *state,
    const ngx_str_t *number, ngx_pulse_buf_t *b)
{
    char        text[NGX_PULSE_EMBEDDING_NUMBER];
    float       value;
    uint32_t    bits;
    ngx_uint_t  i;

    if (number->len >= NGX_PULSE_EMBEDDING_NUMBER) {
        return NGX_ERROR;
    }

    ngx_memcpy(text, number->data, number->len);
    text[number->len] = '\0';

    value = strtof(text, NULL);

    if (!isfinite(value)) {
        return NGX_ERROR;
    }

    ngx_memcpy(&bits, &value, sizeof(uint32_t));

    for (i = 0; i < sizeof(uint32_t); i++) {
        ngx_pulse_embedding_byte(state, (u_char) (bits >> (8 * i)), b);
    }

    return NGX_OK;
}


static void
ngx_pulse_embedding_byte(ngx_pulse_embedding_base64_t *state, u_char byte,
    ngx_pulse_buf_t *b)
{
    u_char        *text;
    const u_char  *p;

    p = state->bytes;
    state->bytes[state->n++] = byte;

    if (state->n < 3) {
        return;
    }

    state->n = 0;

    text = ngx_pulse_buf_reserve(b, 4);
    if (text == NULL) {
        return;
    }

    text[0] = ngx_pulse_embedding_alphabet[p[0] >> 2];
    text[1] = ngx_pulse_embedding_alphabet[(p[0] & 3) << 4 | p[1] >> 4];
    text[2] = ngx_pulse_embedding_alphabet[(p[1] & 15) << 2 | p[2] >> 6];
    text[3] = ngx_pulse_embedding_alphabet[p[2] & 63];

    b->len += 4;
}


void
ngx_pulse_embedding_encode_end(ngx_pulse_embedding_base64_t *state,
    ngx_pulse_buf_t *b)
{
    size_t  missing;

    if (state->n == 0) {
        return;
    }

    missing = 3 - state->n;

    while (state->n) {
        ngx_pulse_embedding_byte(state, 0, b);
    }

    if (!b->failed) {
        b->len -= missing;
        ngx_pulse_buf_append(b, (u_char *) "==", missing);
    }
}


ngx_int_t
ngx_pulse_embedding_decode(const ngx_str_t *text, ngx_pulse_buf_t *b)
{
    size_t      i, len;
    uint32_t    bits;
    uint64_t    acc;
    ngx_uint_t  sextet, have, bytes;

    len = text->len;

    while (len && text->len - len < 2 && text->data[len - 1] == '=') {
        len--;
    }

    ngx_pulse_buf_char(b, '[');

    acc = 0;
    bits = 0;
    have = 0;
    bytes = 0;

    for (i = 0; i < len; i++) {
        sextet = ngx_pulse_base64_value(text->data[i]);

        if (sextet > 63) {
            return NGX_ERROR;
        }

        acc = (acc << 6 | sextet) & 0xffff;
        have += 6;

        if (have < 8) {
            continue;
        }

        have -= 8;
        bits |= (uint32_t) ((acc >> have) & 0xff) << (8 * (bytes % 4));

        if (++bytes % 4) {
            continue;
        }

        if (bytes > 4) {
            ngx_pulse_buf_char(b, ',');
        }

        if (ngx_pulse_embedding_number(bits, b) != NGX_OK) {
            return NGX_ERROR;
        }

        bits = 0;
    }

    ngx_pulse_buf_char(b, ']');

    return (bytes % 4 || bytes == 0) ? NGX_ERROR : NGX_OK;
}


/* Nine digits always are read back as the same float32; most need fewer,
 * which is worth one more try, but not many: there may be millions. */

static ngx_int_t
ngx_pulse_embedding_number(uint32_t bits, ngx_pulse_buf_t *b)
{
    int    n;
    char   text[NGX_PULSE_EMBEDDING_NUMBER];
    float  value;

    ngx_memcpy(&value, &bits, sizeof(uint32_t));

    if (!isfinite(value)) {
        return NGX_ERROR;
    }

    n = snprintf(text, sizeof(text), "%.*g", NGX_PULSE_EMBEDDING_SHORT,
                 (double) value);

    if (strtof(text, NULL) != value) {
        n = snprintf(text, sizeof(text), "%.*g",
                     NGX_PULSE_EMBEDDING_SHORT + 1, (double) value);
    }

    ngx_pulse_buf_append(b, (u_char *) text, n);

    return NGX_OK;
}
