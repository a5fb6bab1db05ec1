
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


#define NGX_PULSE_BUF_FIRST  256

#define NGX_PULSE_BUF_ONES   UINT64_C(0x0101010101010101)
#define NGX_PULSE_BUF_HIGHS  UINT64_C(0x8080808080808080)


static void ngx_pulse_buf_cleanup(void *data);
static const u_char *ngx_pulse_buf_plain(const u_char *p, const u_char *end);
static size_t ngx_pulse_buf_escape(u_char *dst, const u_char *p, size_t rest,
    u_char last, size_t *used);


static const u_char  ngx_pulse_buf_hex[] = "0123456789abcdef";

/* bytes that may begin what is not written as it is */

static const u_char  ngx_pulse_buf_escapes[256] = {
    [0 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1, ['/'] = 1, [0xe2] = 1
};


void
ngx_pulse_buf_init(ngx_pulse_buf_t *b, size_t max)
{
    ngx_memzero(b, sizeof(ngx_pulse_buf_t));

    b->max = max;
}


ngx_int_t
ngx_pulse_buf_init_pool(ngx_pulse_buf_t *b, size_t max, ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    ngx_pulse_buf_init(b, max);

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_pulse_buf_cleanup;
    cln->data = b;

    return NGX_OK;
}


static void
ngx_pulse_buf_cleanup(void *data)
{
    ngx_pulse_buf_free(data);
}


void
ngx_pulse_buf_free(ngx_pulse_buf_t *b)
{
    free(b->data);

    b->data = NULL;
    b->len = 0;
    b->size = 0;
    b->failed = 0;
}


u_char *
ngx_pulse_buf_reserve(ngx_pulse_buf_t *b, size_t len)
{
    u_char  *p;
    size_t   need, size;

    if (b->failed) {
        return NULL;
    }

    if (len <= b->size - b->len && b->data != NULL) {
        return b->data + b->len;
    }

    need = b->len + len;

    if (need < len || (b->max && need > b->max)) {
        b->failed = 1;
        return NULL;
    }

    size = b->size ? b->size * 2 : NGX_PULSE_BUF_FIRST;

    if (b->max && size > b->max) {
        size = b->max;
    }

    if (size < need) {
        size = need;
    }

    /* realloc(), for the pages of a large block move without a copy */

    p = realloc(b->data, size ? size : 1);
    if (p == NULL) {
        b->failed = 1;
        return NULL;
    }

    b->data = p;
    b->size = size;

    return p + b->len;
}


void
ngx_pulse_buf_append(ngx_pulse_buf_t *b, const u_char *p, size_t len)
{
    u_char  *dst;

    if (len == 0) {
        return;
    }

    /* most often there is room */

    if (len <= b->size - b->len && !b->failed) {
        ngx_memcpy(b->data + b->len, p, len);
        b->len += len;
        return;
    }

    dst = ngx_pulse_buf_reserve(b, len);

    if (dst != NULL) {
        ngx_memcpy(dst, p, len);
        b->len += len;
    }
}


void
ngx_pulse_buf_char(ngx_pulse_buf_t *b, u_char ch)
{
    if (b->len < b->size && !b->failed) {
        b->data[b->len++] = ch;
        return;
    }

    ngx_pulse_buf_append(b, &ch, 1);
}


void
ngx_pulse_buf_int(ngx_pulse_buf_t *b, int64_t n)
{
    u_char    *p, text[NGX_INT64_LEN];
    uint64_t   u;

    /* the negation is unsigned: the least int64_t has no positive */

    u = (n < 0) ? - (uint64_t) n : (uint64_t) n;

    p = text + sizeof(text);

    do {
        *--p = (u_char) (u % 10 + '0');
        u /= 10;
    } while (u);

    if (n < 0) {
        *--p = '-';
    }

    ngx_pulse_buf_append(b, p, text + sizeof(text) - p);
}


void
ngx_pulse_buf_json(ngx_pulse_buf_t *b, const u_char *p, size_t len)
{
    u_char         escaped[6];
    size_t         n, used, mark;
    const u_char  *run, *end;

    mark = b->len;

    /* room for what needs no escapes */

    if (ngx_pulse_buf_reserve(b, len + 2) == NULL) {
        return;
    }

    ngx_pulse_buf_char(b, '"');

    run = p;
    end = p + len;

    for ( ;; ) {

        p = ngx_pulse_buf_plain(p, end);

        if (p == end) {
            break;
        }

        n = ngx_pulse_buf_escape(escaped, p, end - p,
                                 (p > run) ? p[-1] : '\0', &used);
        if (n) {
            ngx_pulse_buf_append(b, run, p - run);
            ngx_pulse_buf_append(b, escaped, n);
            run = p + used;
        }

        p += used;
    }

    ngx_pulse_buf_append(b, run, end - run);
    ngx_pulse_buf_char(b, '"');

    if (b->failed) {
        b->len = mark;
    }
}


/* Where the next byte is that may begin what is not written as it is. */

static const u_char *
ngx_pulse_buf_plain(const u_char *p, const u_char *end)
{
    uint64_t  word, found, other;

#if (NGX_HAVE_LITTLE_ENDIAN)

    for ( /* void */ ; (size_t) (end - p) >= sizeof(word); p += sizeof(word)) {
        ngx_memcpy(&word, p, sizeof(word));

        /* what is no ASCII may be U+2028; of the bits that are set the lowest
         * is right */

        found = (word ^ NGX_PULSE_BUF_ONES * '"') - NGX_PULSE_BUF_ONES;
        found |= (word ^ NGX_PULSE_BUF_ONES * '\\') - NGX_PULSE_BUF_ONES;
        found |= (word ^ NGX_PULSE_BUF_ONES * '/') - NGX_PULSE_BUF_ONES;
        found |= word - NGX_PULSE_BUF_ONES * ' ';
        found &= ~word;

        other = word ^ NGX_PULSE_BUF_ONES * 0xe2;
        found |= (other - NGX_PULSE_BUF_ONES) & ~other;
        found &= NGX_PULSE_BUF_HIGHS;

        if (found) {
            return p + __builtin_ctzll(found) / 8;
        }
    }

#endif

    while (p < end && !ngx_pulse_buf_escapes[*p]) {
        p++;
    }

    return p;
}


/*
 * The escape of what stands at "p" and how many bytes it stands for; 0 if
 * these bytes are written as they are.
 */

static size_t
ngx_pulse_buf_escape(u_char *dst, const u_char *p, size_t rest, u_char last,
    size_t *used)
{
    *used = 1;

    switch (*p) {

    case '"':
    case '\\':
        dst[1] = *p;
        break;

    case '/':
        if (last != '<') {
            return 0;
        }

        dst[1] = '/';
        break;

    case '\n':
        dst[1] = 'n';
        break;

    case '\r':
        dst[1] = 'r';
        break;

    case '\t':
        dst[1] = 't';
        break;

    case '\b':
        dst[1] = 'b';
        break;

    case '\f':
        dst[1] = 'f';
        break;

    case 0xe2:

        /* U+2028 and U+2029 end a line in the JavaScript of old browsers */

        if (rest < 3 || p[1] != 0x80 || (p[2] != 0xa8 && p[2] != 0xa9)) {
            return 0;
        }

        *used = 3;
        ngx_memcpy(dst, (p[2] == 0xa8) ? "\\u2028" : "\\u2029", 6);
        return 6;

    default:
        ngx_memcpy(dst, "\\u00", 4);
        dst[4] = ngx_pulse_buf_hex[*p >> 4];
        dst[5] = ngx_pulse_buf_hex[*p & 0xf];
        return 6;
    }

    dst[0] = '\\';

    return 2;
}
