
#include "ngx_pulse_tokens.h"


#define NGX_PULSE_TOKENS_OTHER   0
#define NGX_PULSE_TOKENS_LOWER   1
#define NGX_PULSE_TOKENS_UPPER   2
#define NGX_PULSE_TOKENS_DIGIT   3
#define NGX_PULSE_TOKENS_SPACE   4
#define NGX_PULSE_TOKENS_HIGH    5

#define NGX_PULSE_TOKENS_ONES    0x0101010101010101
#define NGX_PULSE_TOKENS_HIGHS   0x8080808080808080


static ngx_inline const u_char *ngx_pulse_tokens_word(const u_char *p,
    const u_char *last);
static const u_char *ngx_pulse_tokens_high(ngx_pulse_tokens_t *t,
    const u_char *p, const u_char *last);
static uint64_t ngx_pulse_tokens_run(ngx_uint_t class, const u_char *p,
    size_t len);


/* every byte of every prompt and answer is looked up here */

static const u_char  ngx_pulse_tokens_classes[256] = {
    ['a' ... 'z'] = NGX_PULSE_TOKENS_LOWER,
    ['A' ... 'Z'] = NGX_PULSE_TOKENS_UPPER,
    ['0' ... '9'] = NGX_PULSE_TOKENS_DIGIT,
    [' '] = NGX_PULSE_TOKENS_SPACE,
    ['\t'] = NGX_PULSE_TOKENS_SPACE,
    [CR] = NGX_PULSE_TOKENS_SPACE,
    [LF] = NGX_PULSE_TOKENS_SPACE,
    [0x80 ... 0xff] = NGX_PULSE_TOKENS_HIGH
};


void
ngx_pulse_tokens_add(ngx_pulse_tokens_t *t, const u_char *p, size_t len)
{
    ngx_uint_t     class;
    const u_char  *last, *run, *classes;

    last = p + len;
    classes = ngx_pulse_tokens_classes;

    while (p < last) {
        run = p;
        class = classes[*p];

        if (*p == ' ' && last - p > 1
            && classes[p[1]] == NGX_PULSE_TOKENS_LOWER)
        {
            /* most often: the blank belongs to the word, and is no token */

            run = p + 1;
            t->ascii++;
            class = NGX_PULSE_TOKENS_LOWER;
        }

        if (class == NGX_PULSE_TOKENS_HIGH) {
            p = ngx_pulse_tokens_high(t, p, last);
            continue;
        }

        if (class == NGX_PULSE_TOKENS_LOWER) {
            p = ngx_pulse_tokens_word(run + 1, last);

            t->ascii += p - run;
            t->bound += (p - run + 3) / 4;
            continue;
        }

        do {
            p++;
        } while (p < last && classes[*p] == class);

        /* a word goes on in lower case after its capital, not the reverse */

        if (class == NGX_PULSE_TOKENS_UPPER) {
            p = ngx_pulse_tokens_word(p, last);
        }

        t->ascii += p - run;
        t->bound += ngx_pulse_tokens_run(class, run, p - run);
    }
}


/* Where the lower case ends: most of a text, so eight bytes at a time. */

static ngx_inline const u_char *
ngx_pulse_tokens_word(const u_char *p, const u_char *last)
{
    uint64_t  word, low, lower;

    while ((size_t) (last - p) >= sizeof(word)) {
        ngx_memcpy(&word, p, sizeof(word));

        /* the high bit of each byte: from 'a' on, and not past 'z' */

        low = word & ~NGX_PULSE_TOKENS_HIGHS;
        lower = (low + NGX_PULSE_TOKENS_ONES * (0x80 - 'a'))
                & ~(low + NGX_PULSE_TOKENS_ONES * (0x80 - 'z' - 1))
                & ~word & NGX_PULSE_TOKENS_HIGHS;

        if (lower == NGX_PULSE_TOKENS_HIGHS) {
            p += sizeof(word);
            continue;
        }

#if (NGX_HAVE_LITTLE_ENDIAN)
        return p + __builtin_ctzll(lower ^ NGX_PULSE_TOKENS_HIGHS) / 8;
#else
        break;
#endif
    }

    while (p < last
           && ngx_pulse_tokens_classes[*p] == NGX_PULSE_TOKENS_LOWER)
    {
        p++;
    }

    return p;
}


/* Each character once, by its first byte. */

static const u_char *
ngx_pulse_tokens_high(ngx_pulse_tokens_t *t, const u_char *p,
    const u_char *last)
{
    for ( /* void */ ; p < last && *p >= 0x80; p++) {

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
    }

    return p;
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


/* the longest tokens of prose are whole words, of other text runs of blanks
 * or of one sign */

uint64_t
ngx_pulse_tokens_floor(const ngx_pulse_tokens_t *t)
{
    return t->ascii / 16 + t->pairs / 8 + t->triples / 8 + t->quads / 4
           + t->extra;
}
