
#include "ngx_pulse_moderation_plain.h"


#define NGX_PULSE_MODERATION_SPECIAL  0xff      /* it is not plain */
#define NGX_PULSE_MODERATION_PARTS    0x80      /* another word may begin */


/* Where the only reading is, in registers. */

typedef struct {
    const u_char                        *p;
    const u_char                        *last;
    const ngx_pulse_moderation_rules_t  *rules;
    uint32_t                             state;
    ngx_uint_t                           word;      /* letters of it */
    ngx_uint_t                           from;      /* that are counted */
    u_char                               before;    /* symbol */
    u_char                               run;
} ngx_pulse_moderation_walk_t;


static const u_char *ngx_pulse_moderation_one(ngx_pulse_moderation_t *m,
    const u_char *p, const u_char *last);
static ngx_inline void ngx_pulse_moderation_boundary(
    ngx_pulse_moderation_t *m, ngx_pulse_moderation_walk_t *w);
static ngx_inline void ngx_pulse_moderation_letter(
    ngx_pulse_moderation_t *m, ngx_pulse_moderation_walk_t *w, u_char symbol);
static ngx_inline ngx_uint_t ngx_pulse_moderation_parts(
    ngx_pulse_moderation_t *m, ngx_pulse_moderation_walk_t *w);
static ngx_inline void ngx_pulse_moderation_latin(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w);
static ngx_inline u_char ngx_pulse_moderation_letters(
    ngx_pulse_moderation_t *m, ngx_pulse_moderation_walk_t *w);
static ngx_inline void ngx_pulse_moderation_arabic(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w);
static ngx_inline void ngx_pulse_moderation_take(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w, u_char symbol);
static ngx_inline void ngx_pulse_moderation_rest(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w);
static const u_char *ngx_pulse_moderation_two(ngx_pulse_moderation_t *m,
    const u_char *p, const u_char *last);
static ngx_inline u_char ngx_pulse_moderation_character(
    const ngx_pulse_moderation_rules_t *rules, const u_char *p,
    const u_char *last, size_t *size);
static ngx_uint_t ngx_pulse_moderation_wide(
    const ngx_pulse_moderation_rules_t *rules, const u_char *p,
    const u_char *last);
static u_char ngx_pulse_moderation_folded(u_char symbol);


#define ngx_pulse_moderation_is_latin(symbol)                                 \
    ((u_char) ((symbol) - NGX_PULSE_FOLD_LATIN)                               \
     < NGX_PULSE_FOLD_DIGIT - NGX_PULSE_FOLD_LATIN)

#define ngx_pulse_moderation_is_arabic(symbol)                                \
    ((u_char) ((symbol) - NGX_PULSE_FOLD_ARABIC)                              \
     < NGX_PULSE_FOLD_OTHER - NGX_PULSE_FOLD_ARABIC)

/* two bytes as a number: below NGX_PULSE_MODERATION_PAIRS if they may be a
 * character of Arabic */

#define ngx_pulse_moderation_pair(p)                                          \
    (((ngx_uint_t) (p)[0] << 8 | (p)[1]) - 0xd880)


void
ngx_pulse_moderation_plain_tables(ngx_pulse_moderation_rules_t *rules)
{
    u_char                          symbol;
    ngx_uint_t                      at, i;
    ngx_pulse_moderation_reading_t  rd;

    for (i = 0; i < 256; i++) {

        /* these may stand for letters or begin an escape, and beyond ASCII a
         * byte is no character */

        symbol = NGX_PULSE_MODERATION_SPECIAL;

        if (i < 0x80 && (i == 0 || ngx_strchr("@$!|\\", i) == NULL)) {
            symbol = ngx_pulse_moderation_folded(rules->fold[i]);
        }

        rules->ascii[i] = symbol;

        /* letters that begin no phrase within a word */

        rules->idle[i] = (ngx_pulse_moderation_is_latin(symbol)
                          && rules->next[symbol] == 0) ? symbol : 0;
    }

    for (i = 0; i < NGX_PULSE_MODERATION_PAIRS; i++) {
        symbol = NGX_PULSE_MODERATION_SPECIAL;

        if ((i & 0xc0) == 0) {
            symbol = rules->fold[0x600 + (i >> 2 & 0xc0) + (i & 0x3f)];
            symbol = ngx_pulse_moderation_folded(symbol);
        }

        rules->arabic[i] = symbol;
    }

    for (at = 1; at < NGX_PULSE_MODERATION_CLITICS; at++) {

        for (symbol = 0; symbol < NGX_PULSE_FOLD_SYMBOLS; symbol++) {
            rd.clitic = at;

            if (ngx_pulse_moderation_clitic(&rd, symbol)) {
                rd.clitic |= NGX_PULSE_MODERATION_PARTS;
            }

            rules->clitics[at][symbol] = rd.clitic;
        }
    }
}


/* Digits may stand for letters, and what is wide may be more than one. */

static u_char
ngx_pulse_moderation_folded(u_char symbol)
{
    if ((symbol >= NGX_PULSE_FOLD_DIGIT && symbol < NGX_PULSE_FOLD_ARABIC)
        || symbol > NGX_PULSE_FOLD_NONE)
    {
        return NGX_PULSE_MODERATION_SPECIAL;
    }

    return symbol;
}


const u_char *
ngx_pulse_moderation_plain(ngx_pulse_moderation_t *m, const u_char *p,
    const u_char *last)
{
    size_t  size;
    u_char  symbol;

    for ( ;; ) {

        if (m->nreadings == 1 && m->nspelled == 0) {
            p = ngx_pulse_moderation_one(m, p, last);
        }

        if (m->nreadings == 2 && m->nspelled == 0) {
            p = ngx_pulse_moderation_two(m, p, last);

            if (m->nreadings == 1) {
                continue;
            }
        }

        if (p == last) {
            return p;
        }

        symbol = ngx_pulse_moderation_character(m->rules, p, last, &size);

        if (symbol == NGX_PULSE_MODERATION_SPECIAL) {
            return p;
        }

        p += size;

        if (symbol != NGX_PULSE_FOLD_NONE) {
            ngx_pulse_moderation_symbol(m, symbol);
        }
    }
}


/*
 * What ngx_pulse_moderation_symbol() would do, as long as there is one
 * reading, and no letter stands alone; returns where that is not so.
 */

static const u_char *
ngx_pulse_moderation_one(ngx_pulse_moderation_t *m, const u_char *p,
    const u_char *last)
{
    size_t                           size;
    u_char                           symbol;
    ngx_pulse_moderation_walk_t      w;
    ngx_pulse_moderation_reading_t  *rd;

    rd = &m->readings[0];

    w.p = p;
    w.last = last;
    w.rules = m->rules;
    w.state = rd->state;
    w.word = m->word;
    w.from = w.word;
    w.before = rd->last;
    w.run = rd->run;

    while (w.p < last) {
        symbol = ngx_pulse_moderation_character(w.rules, w.p, last, &size);

        if (symbol == NGX_PULSE_FOLD_BOUNDARY) {

            if (w.word == 1) {
                break;
            }

            w.p += size;
            ngx_pulse_moderation_boundary(m, &w);

            continue;
        }

        if (symbol == NGX_PULSE_FOLD_NONE) {
            w.p += size;
            continue;
        }

        /* what comes three times may be meant once */

        if (symbol == NGX_PULSE_MODERATION_SPECIAL
            || (symbol == w.before && w.run > 1))
        {
            break;
        }

        w.p += size;
        ngx_pulse_moderation_letter(m, &w, symbol);

        if (rd->clitic) {

            if (ngx_pulse_moderation_parts(m, &w)) {
                ngx_pulse_moderation_rest(m, &w);
                ngx_pulse_moderation_fork(m, rd, rd->word);

                return w.p;
            }

            if (rd->clitic) {
                continue;
            }
        }

        if (symbol < NGX_PULSE_FOLD_DIGIT) {
            ngx_pulse_moderation_latin(m, &w);

        } else {
            ngx_pulse_moderation_arabic(m, &w);
        }
    }

    ngx_pulse_moderation_rest(m, &w);

    return w.p;
}


static ngx_inline void
ngx_pulse_moderation_boundary(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w)
{
    ngx_pulse_moderation_reading_t  *rd;

    m->gap++;

    if (w->before == NGX_PULSE_FOLD_BOUNDARY) {
        return;
    }

    ngx_pulse_moderation_take(m, w, NGX_PULSE_FOLD_BOUNDARY);

    w->word = 0;
    w->from = 0;

    rd = &m->readings[0];

    rd->word = w->state;
    rd->letters = 0;
    rd->clitic = NGX_PULSE_MODERATION_WORD;
}


static ngx_inline void
ngx_pulse_moderation_letter(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w, u_char symbol)
{
    if (w->word++ == 0) {
        m->before = m->gap;
        m->gap = 0;
        m->single = symbol;
    }

    w->run = 1;

    if (symbol == w->before) {
        m->readings[0].once = w->state;
        w->run = 2;
    }

    ngx_pulse_moderation_take(m, w, symbol);
}


/*
 * Returns if the last letter may be a particle after which another word
 * begins, which is a reading of its own, unless the next symbol leads to the
 * same state with it and without it: the two would be one again.
 */

static ngx_inline ngx_uint_t
ngx_pulse_moderation_parts(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w)
{
    size_t                           size;
    u_char                           symbol, clitic;
    const uint32_t                  *next;
    ngx_pulse_moderation_reading_t  *rd;

    rd = &m->readings[0];

    clitic = w->rules->clitics[rd->clitic][w->before];
    rd->clitic = clitic & ~NGX_PULSE_MODERATION_PARTS;

    if (clitic == rd->clitic || w->state == rd->word) {
        return 0;
    }

    if (w->p == w->last) {
        return 1;
    }

    symbol = ngx_pulse_moderation_character(w->rules, w->p, w->last, &size);
    next = w->rules->next;

    return symbol >= NGX_PULSE_FOLD_NONE || symbol == w->before
           || next[w->state + symbol] != next[rd->word + symbol];
}


/* The next letters of a word, and all of those that follow, if one character
 * parts them. */

static ngx_inline void
ngx_pulse_moderation_latin(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w)
{
    u_char         symbol;
    const u_char  *start;

    for ( ;; ) {
        start = w->p;
        symbol = ngx_pulse_moderation_letters(m, w);

        w->word += w->p - start;

        if (symbol != NGX_PULSE_FOLD_BOUNDARY || w->word == 1
            || w->p + 1 == w->last)
        {
            return;
        }

        symbol = w->rules->ascii[w->p[1]];

        if (!ngx_pulse_moderation_is_latin(symbol)) {
            return;
        }

        w->p++;
        ngx_pulse_moderation_take(m, w, NGX_PULSE_FOLD_BOUNDARY);

        w->word = 0;
        w->from = 0;

        m->before = 1;
        m->single = symbol;
        m->readings[0].word = w->state;
        m->readings[0].letters = 0;
    }
}


/* Returns the symbol that ends them. */

static ngx_inline u_char
ngx_pulse_moderation_letters(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w)
{
    u_char  symbol;

    while (w->p < w->last) {
        symbol = w->rules->ascii[*w->p];

        if (!ngx_pulse_moderation_is_latin(symbol)) {
            return symbol;
        }

        if (symbol != w->before) {
            w->run = 1;

        } else if (w->run > 1) {
            return symbol;

        } else {
            w->run = 2;
            m->readings[0].once = w->state;
        }

        w->p++;
        ngx_pulse_moderation_take(m, w, symbol);

        if (w->state) {
            continue;
        }

        while (w->p < w->last) {
            symbol = w->rules->idle[*w->p];

            if (symbol == 0 || symbol == w->before) {
                break;
            }

            w->before = symbol;
            w->run = 1;
            w->p++;
        }
    }

    return NGX_PULSE_FOLD_NONE;
}


static ngx_inline void
ngx_pulse_moderation_arabic(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w)
{
    u_char      symbol;
    ngx_uint_t  pair;

    while (w->p + 1 < w->last) {
        pair = ngx_pulse_moderation_pair(w->p);

        if (pair >= NGX_PULSE_MODERATION_PAIRS) {
            return;
        }

        symbol = w->rules->arabic[pair];

        if (!ngx_pulse_moderation_is_arabic(symbol) || symbol == w->before) {
            return;
        }

        w->p += 2;
        w->word++;
        w->run = 1;

        ngx_pulse_moderation_take(m, w, symbol);
    }
}


static ngx_inline void
ngx_pulse_moderation_take(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w, u_char symbol)
{
    uint32_t  next;

    next = w->rules->next[w->state + symbol];

    w->state = next >> 1;
    w->before = symbol;

    if (next & 1) {
        m->position++;
        ngx_pulse_moderation_match(m, w->state);
    }
}


static ngx_inline void
ngx_pulse_moderation_rest(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_walk_t *w)
{
    ngx_uint_t                       letters;
    ngx_pulse_moderation_reading_t  *rd;

    rd = &m->readings[0];

    letters = rd->letters + (w->word - w->from);

    rd->state = w->state;
    rd->last = w->before;
    rd->run = w->run;
    rd->letters = ngx_min(letters, 0xff);

    m->word = w->word;
}


/*
 * The same of letters while there are two readings of a word, of which the
 * second may not begin anew.
 */

static const u_char *
ngx_pulse_moderation_two(ngx_pulse_moderation_t *m, const u_char *p,
    const u_char *last)
{
    size_t                           size;
    u_char                           clitic, symbol;
    uint32_t                         next;
    ngx_uint_t                       i;
    ngx_pulse_moderation_reading_t  *rd;

    rd = m->readings;

    while (p < last && m->word && rd[1].clitic == 0) {
        symbol = ngx_pulse_moderation_character(m->rules, p, last, &size);

        if (symbol == NGX_PULSE_FOLD_BOUNDARY || symbol >= NGX_PULSE_FOLD_NONE
            || symbol == rd[0].last || symbol == rd[1].last)
        {
            return p;
        }

        clitic = m->rules->clitics[rd[0].clitic][symbol];

        if (clitic & NGX_PULSE_MODERATION_PARTS) {
            return p;
        }

        rd[0].clitic = clitic;
        p += size;
        m->position++;
        m->word++;

        for (i = 0; i < 2; i++) {
            next = m->rules->next[rd[i].state + symbol];

            rd[i].state = next >> 1;
            rd[i].last = symbol;
            rd[i].run = 1;
            rd[i].letters += (rd[i].letters < 0xff);

            if ((next & 1) && rd[i].stand_ins <= rd[i].letters) {
                ngx_pulse_moderation_match(m, rd[i].state);
            }
        }

        if (rd[0].state == rd[1].state) {
            m->nreadings = 1;
            break;
        }
    }

    return p;
}


static ngx_inline u_char
ngx_pulse_moderation_character(const ngx_pulse_moderation_rules_t *rules,
    const u_char *p, const u_char *last, size_t *size)
{
    ngx_uint_t  pair, wide;

    if (*p < 0x80) {
        *size = 1;
        return rules->ascii[*p];
    }

    if (p + 1 < last) {
        pair = ngx_pulse_moderation_pair(p);

        if (pair < NGX_PULSE_MODERATION_PAIRS) {
            *size = 2;
            return rules->arabic[pair];
        }
    }

    wide = ngx_pulse_moderation_wide(rules, p, last);

    *size = wide >> 8;
    return (u_char) wide;
}


/* Any other character of two bytes, and those of three whose second byte is
 * not bounded: its symbol, and its size above that. */

static ngx_uint_t
ngx_pulse_moderation_wide(const ngx_pulse_moderation_rules_t *rules,
    const u_char *p, const u_char *last)
{
    uint32_t  point;

    if (p[0] >= 0xc2 && p[0] <= 0xdf && last - p > 1
        && (p[1] & 0xc0) == 0x80)
    {
        point = (p[0] & 0x1f) << 6 | (p[1] & 0x3f);

        return 2 << 8 | ngx_pulse_moderation_folded(rules->fold[point]);
    }

    if (p[0] > 0xe0 && p[0] <= 0xef && p[0] != 0xed && last - p > 2
        && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
    {
        point = (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f);

        return 3 << 8 | ngx_pulse_moderation_folded(rules->fold[point]);
    }

    return NGX_PULSE_MODERATION_SPECIAL;
}
