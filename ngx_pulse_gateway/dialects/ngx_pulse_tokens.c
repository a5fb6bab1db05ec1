
#include "ngx_pulse_tokens.h"

#if (__SSE2__)
#include <emmintrin.h>
#endif


#define NGX_PULSE_TOKENS_OTHER   0
#define NGX_PULSE_TOKENS_LOWER   1
#define NGX_PULSE_TOKENS_UPPER   2
#define NGX_PULSE_TOKENS_DIGIT   3
#define NGX_PULSE_TOKENS_SPACE   4
#define NGX_PULSE_TOKENS_HIGH    5

#define NGX_PULSE_TOKENS_ONES    0x0101010101010101
#define NGX_PULSE_TOKENS_HIGHS   0x8080808080808080

#define NGX_PULSE_TOKENS_BLOCK   64
#define NGX_PULSE_TOKENS_FEW     24     /* bytes: faster one by one */


/* of 64 bytes, a bit for each of a class */

typedef struct {
    uint64_t  lower;
    uint64_t  upper;
    uint64_t  digit;
    uint64_t  blank;                    /* ' ' alone */
    uint64_t  space;                    /* ' ' too */
    uint64_t  high;
    uint64_t  lead;                     /* from 0xc0 on, of 2 bytes or more */
    uint64_t  lead3;
    uint64_t  lead4;
} ngx_pulse_tokens_block_t;


#if (__SSE2__)

#define ngx_pulse_tokens_mask(v)  ((uint64_t) _mm_movemask_epi8(v))

static size_t ngx_pulse_tokens_add_block(ngx_pulse_tokens_t *t,
    const u_char *p, size_t len);
static void ngx_pulse_tokens_classify(ngx_pulse_tokens_block_t *block,
    const u_char *p);
static ngx_inline uint64_t ngx_pulse_tokens_range(__m128i v, u_char first,
    u_char last);
static uint64_t ngx_pulse_tokens_words(
    const ngx_pulse_tokens_block_t *block, uint64_t *starts);
static uint64_t ngx_pulse_tokens_digits(uint64_t digit, uint64_t *starts);
static uint64_t ngx_pulse_tokens_spaces(
    const ngx_pulse_tokens_block_t *block, uint64_t *starts);
static ngx_inline ngx_uint_t ngx_pulse_tokens_bits(uint64_t word);

#endif

static const u_char *ngx_pulse_tokens_next(ngx_pulse_tokens_t *t,
    const u_char *p, const u_char *last);
static const u_char *ngx_pulse_tokens_high(ngx_pulse_tokens_t *t,
    const u_char *p, const u_char *last);
static uint64_t ngx_pulse_tokens_run(ngx_uint_t class, const u_char *p,
    size_t len);
static void ngx_pulse_tokens_characters(ngx_pulse_tokens_t *t, uint64_t word,
    size_t len);
static ngx_inline ngx_uint_t ngx_pulse_tokens_highs(uint64_t word);


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


/*
 * Every byte of every prompt and answer comes through here: 64 at once, whose
 * runs are found by their bits, and one by one what is left or is one run.
 */

void
ngx_pulse_tokens_add(ngx_pulse_tokens_t *t, const u_char *p, size_t len)
{
    const u_char  *last;

    last = p + len;

#if (__SSE2__)
    {
    size_t  n;
    u_char  rest[NGX_PULSE_TOKENS_BLOCK];

    while ((size_t) (last - p) >= NGX_PULSE_TOKENS_BLOCK) {
        n = ngx_pulse_tokens_add_block(t, p, NGX_PULSE_TOKENS_BLOCK);

        if (n == 0) {
            p = ngx_pulse_tokens_next(t, p, last);
            continue;
        }

        p += n;
    }

    n = last - p;

    if (n >= NGX_PULSE_TOKENS_FEW) {

        /* zeros are of no run, and so the last one ends with the text */

        ngx_memzero(rest, NGX_PULSE_TOKENS_BLOCK);
        ngx_memcpy(rest, p, n);

        (void) ngx_pulse_tokens_add_block(t, rest, n);
        return;
    }
    }
#endif

    while (p < last) {
        p = ngx_pulse_tokens_next(t, p, last);
    }
}


#if (__SSE2__)

/*
 * Adds what is in "len" bytes of a block, which begins where a run does.  In
 * a whole one the last run may go on behind it: returned is where that
 * begins.
 */

static size_t
ngx_pulse_tokens_add_block(ngx_pulse_tokens_t *t, const u_char *p, size_t len)
{
    size_t                    n;
    uint64_t                  within, starts, runs, tokens;
    ngx_pulse_tokens_block_t  block;

    ngx_pulse_tokens_classify(&block, p);

    starts = 0;
    tokens = ngx_pulse_tokens_words(&block, &starts)
             | ngx_pulse_tokens_digits(block.digit, &starts)
             | ngx_pulse_tokens_spaces(&block, &starts);

    /* what is left of ASCII is a token for each */

    runs = block.lower | block.upper | block.digit | block.space;
    tokens |= ~(runs | block.high);

    n = len;

    if (n == NGX_PULSE_TOKENS_BLOCK && runs >> 63) {
        n = 63 - __builtin_clzll(starts);
    }

    within = (n == NGX_PULSE_TOKENS_BLOCK) ? (uint64_t) -1
                                           : ((uint64_t) 1 << n) - 1;

    t->bound += ngx_pulse_tokens_bits(tokens & within);

    if ((block.high & within) == 0) {
        t->ascii += n;
        return n;
    }

    t->ascii += ngx_pulse_tokens_bits(~block.high & within);

    /* each character once, by its first byte */

    block.lead &= within;
    block.lead3 &= within;
    block.lead4 &= within;

    t->bound += ngx_pulse_tokens_bits(block.lead)
                + ngx_pulse_tokens_bits(block.lead3)
                + ngx_pulse_tokens_bits(block.lead4);

    t->pairs += ngx_pulse_tokens_bits(block.lead & ~block.lead3);
    t->triples += ngx_pulse_tokens_bits(block.lead3 & ~block.lead4);
    t->quads += ngx_pulse_tokens_bits(block.lead4);

    return n;
}


static void
ngx_pulse_tokens_classify(ngx_pulse_tokens_block_t *block, const u_char *p)
{
    __m128i     v, blank, space;
    ngx_uint_t  i;

    ngx_memzero(block, sizeof(ngx_pulse_tokens_block_t));

    for (i = 0; i < NGX_PULSE_TOKENS_BLOCK; i += sizeof(__m128i)) {
        v = _mm_loadu_si128((const __m128i *) (p + i));

        blank = _mm_cmpeq_epi8(v, _mm_set1_epi8(' '));
        space = _mm_or_si128(blank, _mm_cmpeq_epi8(v, _mm_set1_epi8('\t')));
        space = _mm_or_si128(space, _mm_cmpeq_epi8(v, _mm_set1_epi8(CR)));
        space = _mm_or_si128(space, _mm_cmpeq_epi8(v, _mm_set1_epi8(LF)));

        block->lower |= ngx_pulse_tokens_range(v, 'a', 'z') << i;
        block->upper |= ngx_pulse_tokens_range(v, 'A', 'Z') << i;
        block->digit |= ngx_pulse_tokens_range(v, '0', '9') << i;
        block->blank |= ngx_pulse_tokens_mask(blank) << i;
        block->space |= ngx_pulse_tokens_mask(space) << i;

        if (_mm_movemask_epi8(v)) {
            block->high |= ngx_pulse_tokens_mask(v) << i;
            block->lead |= ngx_pulse_tokens_range(v, 0xc0, 0xff) << i;
            block->lead3 |= ngx_pulse_tokens_range(v, 0xe0, 0xff) << i;
            block->lead4 |= ngx_pulse_tokens_range(v, 0xf0, 0xff) << i;
        }
    }
}


static ngx_inline uint64_t
ngx_pulse_tokens_range(__m128i v, u_char first, u_char last)
{
    __m128i  offset;

    offset = _mm_sub_epi8(v, _mm_set1_epi8((char) first));
    v = _mm_min_epu8(offset, _mm_set1_epi8((char) (last - first)));

    return ngx_pulse_tokens_mask(_mm_cmpeq_epi8(v, offset));
}


/*
 * A bit for each token, here the first of each four letters of a run.  Lower
 * case goes on after capitals, not the reverse.
 */

static uint64_t
ngx_pulse_tokens_words(const ngx_pulse_tokens_block_t *block,
    uint64_t *starts)
{
    uint64_t  first, more, tokens;

    first = (block->lower & ~((block->lower | block->upper) << 1))
            | (block->upper & ~(block->upper << 1));

    /* four in a row that begin nothing */

    more = (block->lower | block->upper) & ~first;
    more &= more << 1;
    more &= more << 2;

    *starts |= first;
    tokens = first;

    for (first = first << 4 & more; first; first = first << 4 & more) {
        tokens |= first;
    }

    return tokens;
}


static uint64_t
ngx_pulse_tokens_digits(uint64_t digit, uint64_t *starts)
{
    uint64_t  first, more, tokens;

    if (digit == 0) {
        return 0;
    }

    first = digit & ~(digit << 1);
    more = digit & ~first;
    more &= more << 1 & more << 2;

    *starts |= first;
    tokens = first;

    for (first = first << 3 & more; first; first = first << 3 & more) {
        tokens |= first;
    }

    return tokens;
}


/* The first of a run and each eighth; a lone blank belongs to its word. */

static uint64_t
ngx_pulse_tokens_spaces(const ngx_pulse_tokens_block_t *block,
    uint64_t *starts)
{
    uint64_t  space, first, eighth, tokens;

    space = block->space;

    *starts |= space & ~(space << 1);

    space &= ~(block->blank & ~(space << 1) & ~(space >> 1));

    if (space == 0) {
        return 0;
    }

    first = space & ~(space << 1);

    space &= space << 1;
    space &= space << 2;
    space &= space << 4;

    tokens = first;

    for (eighth = first << 7 & space; eighth; eighth = eighth << 8 & space) {
        tokens |= eighth;
    }

    return tokens;
}


static ngx_inline ngx_uint_t
ngx_pulse_tokens_bits(uint64_t word)
{
    word -= word >> 1 & 0x5555555555555555;
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;

    return word * 0x0101010101010101 >> 56;
}

#endif


/* Adds one run. */

static const u_char *
ngx_pulse_tokens_next(ngx_pulse_tokens_t *t, const u_char *p,
    const u_char *last)
{
    ngx_uint_t     class;
    const u_char  *run;

    run = p;
    class = ngx_pulse_tokens_classes[*p];

    if (class == NGX_PULSE_TOKENS_HIGH) {
        return ngx_pulse_tokens_high(t, p, last);
    }

    do {
        p++;
    } while (p < last && ngx_pulse_tokens_classes[*p] == class);

    /* a word goes on in lower case after its capital, not the reverse */

    if (class == NGX_PULSE_TOKENS_UPPER) {

        while (p < last
               && ngx_pulse_tokens_classes[*p] == NGX_PULSE_TOKENS_LOWER)
        {
            p++;
        }
    }

    t->ascii += p - run;
    t->bound += ngx_pulse_tokens_run(class, run, p - run);

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
ngx_pulse_tokens_add_written(ngx_pulse_tokens_t *t, const u_char *p,
    size_t len)
{
    uint64_t       word;
    const u_char  *last;

    last = p + len;

    for ( /* void */ ; (size_t) (last - p) >= sizeof(word); p += sizeof(word))
    {
        ngx_memcpy(&word, p, sizeof(word));

        if ((word & NGX_PULSE_TOKENS_HIGHS) == 0) {
            t->ascii += sizeof(word);
            continue;
        }

        ngx_pulse_tokens_characters(t, word, sizeof(word));
    }

    len = last - p;

    for (word = 0; p < last; p++) {
        word = word << 8 | *p;
    }

    ngx_pulse_tokens_characters(t, word, len);
}


/* Of the first bytes of characters the top bits say how many follow. */

static void
ngx_pulse_tokens_characters(ngx_pulse_tokens_t *t, uint64_t word, size_t len)
{
    uint64_t  high, lead, lead3, lead4;

    high = word & NGX_PULSE_TOKENS_HIGHS;
    lead = high & word << 1;
    lead3 = lead & word << 2;
    lead4 = lead3 & word << 3;

    t->ascii += len - ngx_pulse_tokens_highs(high);
    t->pairs += ngx_pulse_tokens_highs(lead & ~lead3);
    t->triples += ngx_pulse_tokens_highs(lead3 & ~lead4);
    t->quads += ngx_pulse_tokens_highs(lead4);
}


/* of eight bytes that have no other bit, which the product adds up */

static ngx_inline ngx_uint_t
ngx_pulse_tokens_highs(uint64_t word)
{
    return (word >> 7) * NGX_PULSE_TOKENS_ONES >> 56;
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
