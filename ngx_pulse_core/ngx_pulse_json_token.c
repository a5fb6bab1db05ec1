
#include "ngx_pulse_json_token.h"


#define NGX_PULSE_JSON_ONES   0x0101010101010101
#define NGX_PULSE_JSON_HIGHS  0x8080808080808080


static const u_char *ngx_pulse_json_plain(const u_char *p,
    const u_char *last);
static const char *ngx_pulse_json_escape(const u_char *data, size_t len,
    size_t *pos);
static const u_char *ngx_pulse_json_digits(const u_char *p,
    const u_char *last);
static ngx_uint_t ngx_pulse_json_hex4(const u_char *p);
static u_char *ngx_pulse_json_utf8(u_char *dst, ngx_uint_t ch);


static const char  ngx_pulse_json_short[] = "the JSON text ends too early";
static const char  ngx_pulse_json_half[] = "half of a surrogate pair";


/* what ends a run of plain bytes in a string */

static const u_char  ngx_pulse_json_special[256] = {
    [0x00 ... 0x1f] = 1,
    ['"'] = 1,
    ['\\'] = 1
};


/* what an escape of one letter stands for */

static const u_char  ngx_pulse_json_letters[256] = {
    ['"'] = '"',
    ['\\'] = '\\',
    ['/'] = '/',
    ['b'] = '\b',
    ['f'] = '\f',
    ['n'] = '\n',
    ['r'] = '\r',
    ['t'] = '\t'
};


const char *
ngx_pulse_json_token_string(const u_char *data, size_t len, size_t *pos,
    ngx_uint_t *escaped)
{
    const char    *reason;
    const u_char  *p;

    *escaped = 0;
    (*pos)++;

    for ( ;; ) {
        p = ngx_pulse_json_plain(data + *pos, data + len);
        *pos = p - data;

        if (*pos == len) {
            return ngx_pulse_json_short;
        }

        if (*p == '"') {
            (*pos)++;
            return NULL;
        }

        if (*p != '\\') {
            return "a control character in a string";
        }

        *escaped = 1;

        reason = ngx_pulse_json_escape(data, len, pos);
        if (reason) {
            return reason;
        }
    }
}


/* Most of what there is to read is text: eight bytes at a time. */

static const u_char *
ngx_pulse_json_plain(const u_char *p, const u_char *last)
{
    uint64_t  word, quote, slash, found;

    while ((size_t) (last - p) >= sizeof(word)) {
        ngx_memcpy(&word, p, sizeof(word));

        quote = word ^ NGX_PULSE_JSON_ONES * '"';
        slash = word ^ NGX_PULSE_JSON_ONES * '\\';

        found = ((quote - NGX_PULSE_JSON_ONES) & ~quote)
                | ((slash - NGX_PULSE_JSON_ONES) & ~slash)
                | ((word - NGX_PULSE_JSON_ONES * 0x20) & ~word);

        if (found & NGX_PULSE_JSON_HIGHS) {
            break;
        }

        p += sizeof(word);
    }

    while (p < last && !ngx_pulse_json_special[*p]) {
        p++;
    }

    return p;
}


static const char *
ngx_pulse_json_escape(const u_char *data, size_t len, size_t *pos)
{
    size_t         start;
    ngx_uint_t     ch, i;
    const u_char  *p;

    start = *pos;
    p = data + start;

    if (len - start < 2) {
        *pos = len;
        return ngx_pulse_json_short;
    }

    if (p[1] != 'u') {
        *pos = start + 1;

        if (ngx_pulse_json_letters[p[1]] == 0) {
            return "an unknown escape in a string";
        }

        *pos = start + 2;
        return NULL;
    }

    for (i = 2; i < 6; i++) {
        *pos = start + i;

        if (*pos == len) {
            return ngx_pulse_json_short;
        }

        if (!isxdigit(p[i])) {
            return "\\u without four hexadecimal digits";
        }
    }

    *pos = start;
    ch = ngx_pulse_json_hex4(p + 2);

    if (ch == 0) {
        return "U+0000 in a string";
    }

    if (ch < 0xd800 || ch > 0xdfff) {
        *pos = start + 6;
        return NULL;
    }

    if (ch > 0xdbff || len - start < 12 || p[6] != '\\' || p[7] != 'u') {
        return ngx_pulse_json_half;
    }

    for (i = 8; i < 12; i++) {
        if (!isxdigit(p[i])) {
            *pos = start + i;
            return "\\u without four hexadecimal digits";
        }
    }

    ch = ngx_pulse_json_hex4(p + 8);

    if (ch < 0xdc00 || ch > 0xdfff) {
        return ngx_pulse_json_half;
    }

    *pos = start + 12;

    return NULL;
}


const char *
ngx_pulse_json_token_number(const u_char *data, size_t len, size_t *pos)
{
    const u_char  *p, *digits, *last;

    p = data + *pos;
    last = data + len;

    if (*p == '-') {
        p++;
    }

    if (p < last && *p == '0') {

        /* nothing more: what follows is no part of it */

        digits = p++;

    } else {
        digits = p;
        p = ngx_pulse_json_digits(p, last);
    }

    if (p > digits && p < last && *p == '.') {
        digits = ++p;
        p = ngx_pulse_json_digits(p, last);
    }

    if (p > digits && p < last && (*p | 0x20) == 'e') {
        p++;

        if (p < last && (*p == '+' || *p == '-')) {
            p++;
        }

        digits = p;
        p = ngx_pulse_json_digits(p, last);
    }

    *pos = p - data;

    if (p > digits) {
        return NULL;
    }

    return (p == last) ? ngx_pulse_json_short : "a malformed number";
}


static const u_char *
ngx_pulse_json_digits(const u_char *p, const u_char *last)
{
    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


const char *
ngx_pulse_json_token_word(const u_char *data, size_t len, size_t *pos,
    const char *word)
{
    for ( /* void */ ; *word; word++, (*pos)++) {

        if (*pos == len) {
            return ngx_pulse_json_short;
        }

        if (data[*pos] != (u_char) *word) {
            return "a word that is not JSON";
        }
    }

    return NULL;
}


size_t
ngx_pulse_json_token_decode(u_char *dst, const u_char *p, size_t len)
{
    u_char        *start;
    size_t         n;
    ngx_uint_t     ch;
    const u_char  *last, *escape;

    start = dst;
    last = p + len;

    while (p < last) {
        escape = memchr(p, '\\', last - p);
        n = (escape ? escape : last) - p;

        dst = ngx_cpymem(dst, p, n);
        p += n;

        if (escape == NULL) {
            break;
        }

        if (p[1] != 'u') {
            *dst++ = ngx_pulse_json_letters[p[1]];
            p += 2;
            continue;
        }

        ch = ngx_pulse_json_hex4(p + 2);
        p += 6;

        if (ch >= 0xd800 && ch <= 0xdbff) {
            ch = 0x10000 + ((ch - 0xd800) << 10)
                 + (ngx_pulse_json_hex4(p + 2) - 0xdc00);
            p += 6;
        }

        dst = ngx_pulse_json_utf8(dst, ch);
    }

    return dst - start;
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


static u_char *
ngx_pulse_json_utf8(u_char *dst, ngx_uint_t ch)
{
    if (ch < 0x80) {
        *dst++ = (u_char) ch;
        return dst;
    }

    if (ch < 0x800) {
        *dst++ = (u_char) (0xc0 | ch >> 6);

    } else {
        if (ch < 0x10000) {
            *dst++ = (u_char) (0xe0 | ch >> 12);

        } else {
            *dst++ = (u_char) (0xf0 | ch >> 18);
            *dst++ = (u_char) (0x80 | (ch >> 12 & 0x3f));
        }

        *dst++ = (u_char) (0x80 | (ch >> 6 & 0x3f));
    }

    *dst++ = (u_char) (0x80 | (ch & 0x3f));

    return dst;
}
