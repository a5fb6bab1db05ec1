
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json_string.h"

#if (__SSE2__)
#include <emmintrin.h>
#endif


#define NGX_PULSE_JSON_ONES   0x0101010101010101
#define NGX_PULSE_JSON_HIGHS  0x8080808080808080


#if (__SSE2__)
static ngx_inline ngx_uint_t ngx_pulse_json_ends(const u_char *p);
#endif

static ngx_uint_t ngx_pulse_json_is_hex4(const u_char *p,
    const u_char *last);
static const u_char *ngx_pulse_json_decode_escape(ngx_pulse_buf_t *b,
    const u_char *p);
static void ngx_pulse_json_decode_character(ngx_pulse_buf_t *b,
    ngx_uint_t ch);
static ngx_uint_t ngx_pulse_json_hex4(const u_char *p);


const u_char *
ngx_pulse_json_string_end(const u_char *p, const u_char *last)
{
    for ( ;; ) {

        p = ngx_pulse_json_plain(p, last);

        if (p == last || *p < ' ') {
            return NULL;
        }

        if (*p == '"') {
            return p;
        }

        if (last - p < 2) {
            return NULL;
        }

        p += 2;
    }
}


const u_char *
ngx_pulse_json_plain(const u_char *p, const u_char *last)
{
    uint64_t  word, found;

#if (__SSE2__)

    for ( /* void */ ; last - p >= 16; p += 16) {
        found = ngx_pulse_json_ends(p);

        if (found) {
            return p + __builtin_ctzll(found);
        }
    }

#endif

#if (NGX_HAVE_LITTLE_ENDIAN)

    for ( /* void */ ; (size_t) (last - p) >= sizeof(word); p += sizeof(word))
    {
        ngx_memcpy(&word, p, sizeof(word));

        /* the lowest bit that is set is right, those above it may be not */

        found = (word ^ NGX_PULSE_JSON_ONES * '"') - NGX_PULSE_JSON_ONES;
        found |= (word ^ NGX_PULSE_JSON_ONES * '\\') - NGX_PULSE_JSON_ONES;
        found |= word - NGX_PULSE_JSON_ONES * ' ';
        found &= ~word & NGX_PULSE_JSON_HIGHS;

        if (found) {
            return p + __builtin_ctzll(found) / 8;
        }
    }

#endif

    while (p < last && *p >= ' ' && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


#if (__SSE2__)

/* Of 16 bytes, a bit for each that is not plain. */

static ngx_inline ngx_uint_t
ngx_pulse_json_ends(const u_char *p)
{
    __m128i  v, found;

    v = _mm_loadu_si128((const __m128i *) p);

    found = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(' ' - 1)), v);
    found = _mm_or_si128(found, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));

    return _mm_movemask_epi8(found);
}

#endif


const char *
ngx_pulse_json_escapes(const u_char *p, const u_char *last,
    const u_char **bad)
{
    ngx_uint_t  ch;

    while (p < last) {

        p = memchr(p, '\\', last - p);
        if (p == NULL) {
            break;
        }

        *bad = p;

        if (p[1] != 'u') {

            /* strchr() would find the end of its list */

            if (p[1] == '\0' || ngx_strchr("\"\\/bfnrt", p[1]) == NULL) {
                return "an unknown escape in a string";
            }

            p += 2;
            continue;
        }

        if (!ngx_pulse_json_is_hex4(p + 2, last)) {
            return "\\u without four hexadecimal digits";
        }

        ch = ngx_pulse_json_hex4(p + 2);
        p += 6;

        if (ch == 0) {
            return "U+0000 in a string";
        }

        if (ch < 0xd800 || ch > 0xdfff) {
            continue;
        }

        if (ch < 0xdc00 && last - p >= 2 && p[0] == '\\' && p[1] == 'u'
            && ngx_pulse_json_is_hex4(p + 2, last))
        {
            ch = ngx_pulse_json_hex4(p + 2);

            if (ch >= 0xdc00 && ch <= 0xdfff) {
                p += 6;
                continue;
            }
        }

        return "half of a surrogate pair";
    }

    return NULL;
}


static ngx_uint_t
ngx_pulse_json_is_hex4(const u_char *p, const u_char *last)
{
    return last - p >= 4
           && isxdigit(p[0]) && isxdigit(p[1])
           && isxdigit(p[2]) && isxdigit(p[3]);
}


void
ngx_pulse_json_decode(ngx_pulse_buf_t *b, const u_char *p,
    const u_char *last)
{
    const u_char  *escape;

    while (p < last) {

        escape = memchr(p, '\\', last - p);

        if (escape == NULL) {
            ngx_pulse_buf_append(b, p, last - p);
            break;
        }

        ngx_pulse_buf_append(b, p, escape - p);

        p = ngx_pulse_json_decode_escape(b, escape + 1);
    }
}


/* Returns where the text goes on. */

static const u_char *
ngx_pulse_json_decode_escape(ngx_pulse_buf_t *b, const u_char *p)
{
    ngx_uint_t  ch;

    switch (*p) {

    case 'b':
        ngx_pulse_buf_char(b, '\b');
        break;

    case 'f':
        ngx_pulse_buf_char(b, '\f');
        break;

    case 'n':
        ngx_pulse_buf_char(b, '\n');
        break;

    case 'r':
        ngx_pulse_buf_char(b, '\r');
        break;

    case 't':
        ngx_pulse_buf_char(b, '\t');
        break;

    case 'u':
        ch = ngx_pulse_json_hex4(p + 1);
        p += 4;

        if (ch >= 0xd800 && ch <= 0xdbff) {
            ch = 0x10000 + ((ch - 0xd800) << 10)
                 + (ngx_pulse_json_hex4(p + 3) - 0xdc00);
            p += 6;
        }

        ngx_pulse_json_decode_character(b, ch);
        break;

    default: /* '"', '\\', '/' */
        ngx_pulse_buf_char(b, *p);
    }

    return p + 1;
}


static void
ngx_pulse_json_decode_character(ngx_pulse_buf_t *b, ngx_uint_t ch)
{
    u_char      utf8[4];
    ngx_uint_t  n;

    if (ch < 0x80) {
        ngx_pulse_buf_char(b, (u_char) ch);
        return;
    }

    n = (ch < 0x800) ? 2 : (ch < 0x10000) ? 3 : 4;

    /* the first byte has as many ones as there are bytes */

    utf8[0] = (u_char) (0xf00 >> n | ch >> 6 * (n - 1));
    utf8[1] = (u_char) (0x80 | (ch >> 6 * (n - 2) & 0x3f));
    utf8[2] = (u_char) (0x80 | (n > 2 ? ch >> 6 * (n - 3) & 0x3f : 0));
    utf8[3] = (u_char) (0x80 | (ch & 0x3f));

    ngx_pulse_buf_append(b, utf8, n);
}


static ngx_uint_t
ngx_pulse_json_hex4(const u_char *p)
{
    ngx_uint_t  i, ch, n;

    n = 0;

    for (i = 0; i < 4; i++) {
        ch = p[i];
        n = n * 16 + ((ch <= '9') ? ch - '0' : (ch | 0x20) - 'a' + 10);
    }

    return n;
}
