
#include "ngx_pulse_tokens.h"


#define NGX_PULSE_TOKENS_OTHER   0
#define NGX_PULSE_TOKENS_LOWER   1
#define NGX_PULSE_TOKENS_UPPER   2
#define NGX_PULSE_TOKENS_DIGIT   3
#define NGX_PULSE_TOKENS_SPACE   4


static ngx_uint_t ngx_pulse_tokens_class(u_char ch);
static uint64_t ngx_pulse_tokens_run(ngx_uint_t class, const u_char *p,
    size_t len);


void
ngx_pulse_tokens_add(ngx_pulse_tokens_t *t, const u_char *p, size_t len)
{
    ngx_uint_t     class, next;
    const u_char  *last, *run;

    last = p + len;
    run = p;
    class = NGX_PULSE_TOKENS_OTHER;

    for ( /* void */ ; p < last; p++) {

        if (*p >= 0x80) {
            t->bound += ngx_pulse_tokens_run(class, run, p - run);
            class = NGX_PULSE_TOKENS_OTHER;
            run = p + 1;

            /* each character once, by its first byte */

            if (*p >= 0xf0) {
                t->quads++;
                t->bound += 3;

            } else if (*p >= 0xe0) {
                t->triples++;
                t->bound += 2;

            } else if (*p >= 0xc0) {
                t->pairs++;
                t->bound++;
            }

            continue;
        }

        t->ascii++;

        next = ngx_pulse_tokens_class(*p);

        /* a word goes on in lower case after its capital, not the reverse */

        if (next == class
            || (class == NGX_PULSE_TOKENS_UPPER
                && next == NGX_PULSE_TOKENS_LOWER))
        {
            class = next;
            continue;
        }

        t->bound += ngx_pulse_tokens_run(class, run, p - run);
        class = next;
        run = p;
    }

    t->bound += ngx_pulse_tokens_run(class, run, p - run);
}


static ngx_uint_t
ngx_pulse_tokens_class(u_char ch)
{
    if (ch >= 'a' && ch <= 'z') {
        return NGX_PULSE_TOKENS_LOWER;
    }

    if (ch >= 'A' && ch <= 'Z') {
        return NGX_PULSE_TOKENS_UPPER;
    }

    if (ch >= '0' && ch <= '9') {
        return NGX_PULSE_TOKENS_DIGIT;
    }

    if (ch == ' ' || ch == '\t' || ch == CR || ch == LF) {
        return NGX_PULSE_TOKENS_SPACE;
    }

    return NGX_PULSE_TOKENS_OTHER;
}


static uint64_t
ngx_pulse_tokens_run(ngx_uint_t class, const u_char *p, size_t len)
{
    switch (class) {

    case NGX_PULSE_TOKENS_LOWER:
    case NGX_PULSE_TOKENS_UPPER:
        return (len + 3) / 4;

    case NGX_PULSE_TOKENS_DIGIT:
        return (len + 2) / 3;

    case NGX_PULSE_TOKENS_SPACE:

        /* one blank belongs to the word that follows it */

        return (len == 1 && *p == ' ') ? 0 : 1 + len / 8;

    default:
        return len;
    }
}


void
ngx_pulse_tokens_extra(ngx_pulse_tokens_t *t, uint64_t n)
{
    t->extra += n;
}


uint64_t
ngx_pulse_tokens_bound(const ngx_pulse_tokens_t *t)
{
    return t->bound + t->extra;
}


uint64_t
ngx_pulse_tokens_likely(const ngx_pulse_tokens_t *t)
{
    uint64_t  quarters;

    quarters = t->ascii + 2 * t->pairs + 4 * t->triples + 8 * t->quads;

    return (quarters + 3) / 4 + t->extra;
}
