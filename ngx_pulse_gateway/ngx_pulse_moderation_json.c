
#include "ngx_pulse_json_string.h"
#include "ngx_pulse_moderation.h"


#define NGX_PULSE_MODERATION_DATA  64       /* bytes; less is read as text */


typedef struct {
    ngx_str_t     name;
    ngx_uint_t    url;          /* base64url too */
} ngx_pulse_moderation_data_t;


static void ngx_pulse_moderation_string(ngx_pulse_moderation_t *m,
    const u_char *p, const u_char *plain, const u_char *last);
static const u_char *ngx_pulse_moderation_unescape(ngx_pulse_moderation_t *m,
    const u_char *p, const u_char *last);
static uint32_t ngx_pulse_moderation_unit(const u_char *p);
static const u_char *ngx_pulse_moderation_quote(const u_char *p,
    const u_char *last, const u_char **plain);
static ngx_uint_t ngx_pulse_moderation_is_data(const ngx_str_t *key,
    const u_char *p, const u_char *last);


/* Members that have data in base64, or a URL that is some; what models have
 * signed or encrypted may be in its other alphabet. */

static ngx_pulse_moderation_data_t  ngx_pulse_moderation_data[] = {
    { ngx_string("data"), 0 },
    { ngx_string("url"), 0 },
    { ngx_string("image_url"), 0 },
    { ngx_string("file_data"), 0 },
    { ngx_string("b64_json"), 0 },
    { ngx_string("result"), 0 },
    { ngx_string("signature"), 1 },
    { ngx_string("thoughtSignature"), 1 },
    { ngx_string("thought_signature"), 1 },
    { ngx_string("encrypted_content"), 1 },
    { ngx_null_string, 0 }
};


uint32_t
ngx_pulse_moderation_json(ngx_pulse_moderation_t *m, const ngx_str_t *text,
    ngx_str_t *where)
{
    ngx_str_t      key;
    ngx_uint_t     value, first;
    const u_char  *p, *last, *start, *plain, *end;

    p = text->data;
    last = p + text->len;
    value = 0;

    ngx_str_null(&key);

    for ( ;; ) {

        /* a string is the value of a member if there is a colon before it */

        for ( /* void */ ; p < last && *p != '"'; p++) {

            if (*p == ':') {
                value = 1;

            } else if (*p > ' ') {
                value = 0;
            }
        }

        if (p == last) {
            return m->categories;
        }

        start = p + 1;
        end = ngx_pulse_moderation_quote(start, last, &plain);

        if (!value || !ngx_pulse_moderation_is_data(&key, start, end)) {
            ngx_pulse_moderation_string(m, start, plain, end);

            first = (m->categories == 0);

            if (ngx_pulse_moderation_end(m) && first) {
                where->data = (u_char *) start;
                where->len = end - start;
            }
        }

        key.data = (u_char *) start;
        key.len = end - start;

        if (end == last) {
            return m->categories;
        }

        p = end + 1;
        value = 0;
    }
}


/* The quote that ends a string, or "last"; "*plain" is where the first escape
 * is, or the same. */

static const u_char *
ngx_pulse_moderation_quote(const u_char *p, const u_char *last,
    const u_char **plain)
{
    p = ngx_pulse_json_plain(p, last);
    *plain = p;

    while (p < last && *p != '"') {
        p += (*p == '\\' && last - p > 1) ? 2 : 1;
        p = ngx_pulse_json_plain(p, last);
    }

    return p;
}


static void
ngx_pulse_moderation_string(ngx_pulse_moderation_t *m, const u_char *p,
    const u_char *plain, const u_char *last)
{
    for ( ;; ) {
        ngx_pulse_moderation_feed(m, p, plain - p);

        if (plain == last) {
            return;
        }

        p = ngx_pulse_moderation_unescape(m, plain, last);
        plain = ngx_pulse_json_plain(p, last);
    }
}


/* An escape, which is right if the text is; returns what follows it. */

static const u_char *
ngx_pulse_moderation_unescape(ngx_pulse_moderation_t *m, const u_char *p,
    const u_char *last)
{
    u_char    ch, text[4], *end;
    uint32_t  point, low;

    if (*p != '\\' || last - p < 2) {
        ngx_pulse_moderation_feed(m, p, 1);
        return p + 1;
    }

    ch = p[1];

    if (ch != 'u' || last - p < 6) {

        /* white space and what is not printed part words */

        ch = (ch == '"' || ch == '\\' || ch == '/') ? ch : ' ';
        ngx_pulse_moderation_feed(m, &ch, 1);

        return p + 2;
    }

    point = ngx_pulse_moderation_unit(p + 2);
    p += 6;

    if (point >= 0xd800 && point <= 0xdbff && last - p >= 6
        && p[0] == '\\' && p[1] == 'u')
    {
        low = ngx_pulse_moderation_unit(p + 2);

        if (low >= 0xdc00 && low <= 0xdfff) {
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        }
    }

    end = text;

    if (point < 0x80) {
        *end++ = (u_char) point;

    } else if (point < 0x800) {
        *end++ = (u_char) (0xc0 | point >> 6);

    } else if (point < 0x10000) {
        *end++ = (u_char) (0xe0 | point >> 12);
        *end++ = (u_char) (0x80 | (point >> 6 & 0x3f));

    } else {
        *end++ = (u_char) (0xf0 | point >> 18);
        *end++ = (u_char) (0x80 | (point >> 12 & 0x3f));
        *end++ = (u_char) (0x80 | (point >> 6 & 0x3f));
    }

    if (point >= 0x80) {
        *end++ = (u_char) (0x80 | (point & 0x3f));
    }

    ngx_pulse_moderation_feed(m, text, end - text);

    return p;
}


/* Four digits of an escape. */

static uint32_t
ngx_pulse_moderation_unit(const u_char *p)
{
    u_char      ch;
    uint32_t    unit;
    ngx_uint_t  i;

    unit = 0;

    for (i = 0; i < 4; i++) {
        ch = p[i] | 0x20;
        unit = unit << 4 | ((ch <= '9') ? ch - '0' : ch - 'a' + 10);
    }

    return unit & 0xffff;
}


static ngx_uint_t
ngx_pulse_moderation_is_data(const ngx_str_t *key, const u_char *p,
    const u_char *last)
{
    const u_char                 *comma;
    ngx_pulse_moderation_data_t  *member;

    if (last - p < NGX_PULSE_MODERATION_DATA) {
        return 0;
    }

    for (member = ngx_pulse_moderation_data; member->name.len; member++) {
        if (member->name.len == key->len
            && ngx_memcmp(member->name.data, key->data, key->len) == 0)
        {
            break;
        }
    }

    if (member->name.len == 0) {
        return 0;
    }

    if (ngx_strncmp(p, "data:", 5) == 0) {
        comma = memchr(p, ',', NGX_PULSE_MODERATION_DATA);

        if (comma == NULL || comma - p < 12
            || ngx_strncmp(comma - 7, ";base64", 7) != 0)
        {
            return 0;
        }

        p = comma + 1;
    }

    return ngx_pulse_moderation_base64(p, last, member->url);
}


ngx_uint_t
ngx_pulse_moderation_base64(const u_char *p, const u_char *last,
    ngx_uint_t url)
{
    u_char  ch;

    if (last - p < NGX_PULSE_MODERATION_DATA) {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {
        ch = *p;

        if (((ch | 0x20) < 'a' || (ch | 0x20) > 'z')
            && (ch < '/' || ch > '9') && ch != '+' && ch != '='
            && (ch != '\\' || last - p < 2 || p[1] != '/')
            && (!url || (ch != '-' && ch != '_')))
        {
            return 0;
        }
    }

    return 1;
}
