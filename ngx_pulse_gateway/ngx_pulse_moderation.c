
#include "ngx_pulse_moderation.h"
#include "ngx_pulse_moderation_plain.h"


#define NGX_PULSE_MODERATION_GAP      3     /* between letters that spell */
#define NGX_PULSE_MODERATION_SPELLED  3     /* letters, at the least */

/* where a word is whose first letters may be particles of Arabic */

#define NGX_PULSE_MODERATION_AND      2     /* after waw or feh */
#define NGX_PULSE_MODERATION_AS       3     /* after beh or kaf */
#define NGX_PULSE_MODERATION_TO       4     /* after lam */
#define NGX_PULSE_MODERATION_THE      5     /* between alef and lam */

/* Arabic letters, as they are numbered */

#define NGX_PULSE_MODERATION_ALEF     (NGX_PULSE_FOLD_ARABIC + 0)
#define NGX_PULSE_MODERATION_BEH      (NGX_PULSE_FOLD_ARABIC + 1)
#define NGX_PULSE_MODERATION_FEH      (NGX_PULSE_FOLD_ARABIC + 19)
#define NGX_PULSE_MODERATION_KAF      (NGX_PULSE_FOLD_ARABIC + 21)
#define NGX_PULSE_MODERATION_LAM      (NGX_PULSE_FOLD_ARABIC + 22)
#define NGX_PULSE_MODERATION_WAW      (NGX_PULSE_FOLD_ARABIC + 26)


static void ngx_pulse_moderation_text(ngx_pulse_moderation_t *m);
static void ngx_pulse_moderation_reading(ngx_pulse_moderation_reading_t *rd,
    uint32_t state);
static void ngx_pulse_moderation_byte(ngx_pulse_moderation_t *m, u_char ch);
static void ngx_pulse_moderation_lead(ngx_pulse_moderation_t *m, u_char ch);
static void ngx_pulse_moderation_point(ngx_pulse_moderation_t *m,
    uint32_t point);
static void ngx_pulse_moderation_escape(ngx_pulse_moderation_t *m,
    u_char ch);
static void ngx_pulse_moderation_escaped(ngx_pulse_moderation_t *m);
static void ngx_pulse_moderation_stand_in(ngx_pulse_moderation_t *m,
    u_char symbol, const char *letters);
static void ngx_pulse_moderation_step(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_reading_t *rd, u_char symbol);
static void ngx_pulse_moderation_merge(ngx_pulse_moderation_t *m);
static void ngx_pulse_moderation_spell(ngx_pulse_moderation_t *m,
    u_char symbol);
static void ngx_pulse_moderation_letter(ngx_pulse_moderation_t *m,
    u_char symbol);
static void ngx_pulse_moderation_spelled(ngx_pulse_moderation_t *m);


/* what letters people write as these, "" if they do not */

static const char *const  ngx_pulse_moderation_digits[] = {
    "o", "il", "", "e", "a", "s", "", "t", "b", ""
};


void
ngx_pulse_moderation_start(ngx_pulse_moderation_t *m,
    const ngx_pulse_moderation_rules_t *rules)
{
    m->rules = rules;
    m->categories = 0;
    m->counted = 1;

    ngx_pulse_moderation_text(m);
}


static void
ngx_pulse_moderation_text(ngx_pulse_moderation_t *m)
{
    ngx_uint_t  i;

    m->found = 0;
    m->position = 1;

    m->nreadings = 1;
    ngx_pulse_moderation_reading(&m->readings[0], m->rules->begin);

    m->nspelled = 0;
    m->before = 0;
    m->gap = 0;
    m->word = 0;

    m->more = 0;
    m->escape = 0;

    for (i = 0; m->counted && i < m->rules->nexcepted; i++) {
        m->hits[i] = 0;
        m->excused[i] = 0;
        m->hit_at[i] = 0;
        m->excused_at[i] = 0;
    }

    m->counted = 0;
}


static void
ngx_pulse_moderation_reading(ngx_pulse_moderation_reading_t *rd,
    uint32_t state)
{
    rd->state = state;
    rd->once = state;
    rd->word = state;
    rd->last = NGX_PULSE_FOLD_BOUNDARY;
    rd->run = 0;
    rd->letters = 0;
    rd->stand_ins = 0;
    rd->clitic = NGX_PULSE_MODERATION_WORD;
}


void
ngx_pulse_moderation_feed(ngx_pulse_moderation_t *m, const u_char *p,
    size_t len)
{
    const u_char  *last;

    last = p + len;

    while (p < last) {

        if (m->more == 0 && m->escape == 0) {
            p = ngx_pulse_moderation_plain(m, p, last);

            if (p == last) {
                break;
            }
        }

        ngx_pulse_moderation_byte(m, *p++);
    }
}


static void
ngx_pulse_moderation_byte(ngx_pulse_moderation_t *m, u_char ch)
{
    if (m->more) {

        if (ch >= m->low && ch <= m->high) {
            m->point = m->point << 6 | (ch & 0x3f);
            m->low = 0x80;
            m->high = 0xbf;

            if (--m->more == 0) {
                ngx_pulse_moderation_point(m, m->point);
            }

            return;
        }

        /* the character is left out, this byte may begin another */

        m->more = 0;
    }

    if (m->escape || ch == '\\') {
        ngx_pulse_moderation_escape(m, ch);
        return;
    }

    if (ch >= 0x80) {
        ngx_pulse_moderation_lead(m, ch);
        return;
    }

    switch (ch) {

    case '@':
        ngx_pulse_moderation_stand_in(m, NGX_PULSE_FOLD_BOUNDARY, "a");
        break;

    case '$':
        ngx_pulse_moderation_stand_in(m, NGX_PULSE_FOLD_BOUNDARY, "s");
        break;

    case '!':
        ngx_pulse_moderation_stand_in(m, NGX_PULSE_FOLD_BOUNDARY, "i");
        break;

    case '|':
        ngx_pulse_moderation_stand_in(m, NGX_PULSE_FOLD_BOUNDARY, "il");
        break;

    default:
        ngx_pulse_moderation_point(m, ch);
    }
}


/* RFC 3629: the second byte excludes overlong forms, surrogates and what is
 * above U+10FFFF. */

static void
ngx_pulse_moderation_lead(ngx_pulse_moderation_t *m, u_char ch)
{
    m->low = 0x80;
    m->high = 0xbf;

    if (ch >= 0xc2 && ch <= 0xdf) {
        m->more = 1;
        m->point = ch & 0x1f;

    } else if (ch >= 0xe0 && ch <= 0xef) {
        m->more = 2;
        m->point = ch & 0x0f;
        m->low = (ch == 0xe0) ? 0xa0 : 0x80;
        m->high = (ch == 0xed) ? 0x9f : 0xbf;

    } else if (ch >= 0xf0 && ch <= 0xf4) {
        m->more = 3;
        m->point = ch & 0x07;
        m->low = (ch == 0xf0) ? 0x90 : 0x80;
        m->high = (ch == 0xf4) ? 0x8f : 0xbf;
    }
}


static void
ngx_pulse_moderation_point(ngx_pulse_moderation_t *m, uint32_t point)
{
    u_char      symbol, symbols[NGX_PULSE_FOLD_MAX];
    ngx_uint_t  i, n;

    symbol = (point < NGX_PULSE_FOLD_POINTS) ? m->rules->fold[point]
                                             : NGX_PULSE_FOLD_WIDE;

    if (symbol >= NGX_PULSE_FOLD_DIGIT && symbol < NGX_PULSE_FOLD_ARABIC) {
        ngx_pulse_moderation_stand_in(m, symbol,
            ngx_pulse_moderation_digits[symbol - NGX_PULSE_FOLD_DIGIT]);
        return;
    }

    if (symbol < NGX_PULSE_FOLD_SYMBOLS) {
        ngx_pulse_moderation_symbol(m, symbol);
        return;
    }

    if (symbol == NGX_PULSE_FOLD_NONE) {
        return;
    }

    n = ngx_pulse_fold_point(point, symbols);

    for (i = 0; i < n; i++) {
        ngx_pulse_moderation_symbol(m, symbols[i]);
    }
}


/*
 * A text may be JSON that is told in a string: "\u0628" in it is a letter,
 * and the "n" of "\n" is none, or is one where the backslash was put before
 * a word to hide it.
 */

static void
ngx_pulse_moderation_escape(ngx_pulse_moderation_t *m, u_char ch)
{
    ngx_uint_t                      i;
    ngx_pulse_moderation_reading_t  before;

    if (m->escape == 0) {
        m->escape = 1;
        return;
    }

    if (m->escape > 1) {

        if ((ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a'
                                         && (ch | 0x20) <= 'f'))
        {
            m->digits[m->escape++ - 2] = ch;

            if (m->escape == 6) {
                ngx_pulse_moderation_escaped(m);
            }

            return;
        }

        /* it is none: what was taken for one is text */

        i = m->escape - 2;
        m->escape = 0;

        ngx_pulse_moderation_symbol(m, NGX_PULSE_FOLD_BOUNDARY);
        ngx_pulse_moderation_point(m, 'u');
        ngx_pulse_moderation_feed(m, m->digits, i);
        ngx_pulse_moderation_byte(m, ch);

        return;
    }

    if (ch == 'u') {
        m->escape = 2;
        return;
    }

    m->escape = 0;

    ngx_pulse_moderation_symbol(m, NGX_PULSE_FOLD_BOUNDARY);

    before = m->readings[0];

    ngx_pulse_moderation_byte(m, ch);

    if (ch && ngx_strchr("bfnrt", ch)) {
        ngx_pulse_moderation_fork(m, &before, before.state);
    }
}


static void
ngx_pulse_moderation_escaped(ngx_pulse_moderation_t *m)
{
    u_char      ch;
    uint32_t    point;
    ngx_uint_t  i;

    m->escape = 0;
    point = 0;

    for (i = 0; i < 4; i++) {
        ch = m->digits[i];
        point = point << 4 | ((ch <= '9') ? ch - '0' : (ch | 0x20) - 'a' + 10);
    }

    /* halves of what is above U+FFFF are not seen */

    if (point < 0xd800 || point > 0xdfff) {
        ngx_pulse_moderation_point(m, point);
    }
}


uint32_t
ngx_pulse_moderation_end(ngx_pulse_moderation_t *m)
{
    uint32_t    found;
    ngx_uint_t  i;

    m->escape = 0;

    ngx_pulse_moderation_symbol(m, NGX_PULSE_FOLD_BOUNDARY);
    ngx_pulse_moderation_spelled(m);

    for (i = 0; m->counted && i < m->rules->nexcepted; i++) {
        if (m->hits[i] > m->excused[i]) {
            m->found |= (uint32_t) 1 << m->rules->excepted[i];
        }
    }

    found = m->found;
    m->categories |= found;

    ngx_pulse_moderation_text(m);

    return found;
}


void
ngx_pulse_moderation_names(const ngx_pulse_moderation_rules_t *rules,
    uint32_t categories, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i, n;

    ngx_pulse_buf_char(b, '[');

    for (i = 0, n = 0; i < rules->ncategories; i++) {

        if (categories & (uint32_t) 1 << i) {

            if (n++) {
                ngx_pulse_buf_char(b, ',');
            }

            ngx_pulse_buf_json(b, rules->categories[i].data,
                               rules->categories[i].len);
        }
    }

    ngx_pulse_buf_char(b, ']');
}


/* All readings take one symbol more. */

void
ngx_pulse_moderation_symbol(ngx_pulse_moderation_t *m, u_char symbol)
{
    ngx_uint_t  i, n;

    m->position++;

    ngx_pulse_moderation_spell(m, symbol);

    n = m->nreadings;

    for (i = 0; i < n; i++) {
        ngx_pulse_moderation_step(m, &m->readings[i], symbol);
    }

    if (m->nreadings > 1) {
        ngx_pulse_moderation_merge(m);
    }
}


/*
 * The same of a symbol that may stand for letters, which makes new readings,
 * but of a digit where some other was read as a letter before: then it is no
 * digit.
 */

static void
ngx_pulse_moderation_stand_in(ngx_pulse_moderation_t *m, u_char symbol,
    const char *letters)
{
    ngx_uint_t                      i, n, weight;
    const char                     *s;
    ngx_pulse_moderation_reading_t  rd;

    if (*letters == '\0') {
        ngx_pulse_moderation_symbol(m, symbol);
        return;
    }

    m->position++;

    ngx_pulse_moderation_spell(m, symbol);

    n = m->nreadings;
    weight = (symbol == NGX_PULSE_FOLD_BOUNDARY) ? 1 : 2;

    for (i = 0; i < n; i++) {
        rd = m->readings[i];
        rd.stand_ins = ngx_min(rd.stand_ins + weight, 0xff);
        s = letters;

        if (i && weight == 2) {
            m->readings[i] = rd;
            ngx_pulse_moderation_step(m, &m->readings[i],
                                      NGX_PULSE_FOLD_LATIN + (*s++ - 'a'));

        } else {
            ngx_pulse_moderation_step(m, &m->readings[i], symbol);
        }

        for ( /* void */ ; *s; s++) {

            if (m->nreadings < NGX_PULSE_MODERATION_READINGS) {
                m->readings[m->nreadings] = rd;
                ngx_pulse_moderation_step(m, &m->readings[m->nreadings++],
                                          NGX_PULSE_FOLD_LATIN + (*s - 'a'));
            }
        }
    }

    if (m->nreadings > 1) {
        ngx_pulse_moderation_merge(m);
    }
}


static void
ngx_pulse_moderation_step(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_reading_t *rd, u_char symbol)
{
    uint32_t  next;

    if (symbol == NGX_PULSE_FOLD_BOUNDARY) {

        if (rd->last == NGX_PULSE_FOLD_BOUNDARY) {
            return;
        }

    } else if (symbol == rd->last
               && (symbol < NGX_PULSE_FOLD_DIGIT
                   || symbol >= NGX_PULSE_FOLD_ARABIC))
    {
        /* drawn out: once is as likely meant as twice */

        if (rd->run >= 2) {

            if (rd->run == 2) {
                rd->run = 3;
                ngx_pulse_moderation_fork(m, rd, rd->once);
            }

            return;
        }

        rd->once = rd->state;
        rd->run = 2;

    } else {
        rd->run = 1;
    }

    next = m->rules->next[rd->state + symbol];
    rd->state = next >> 1;
    rd->last = symbol;

    if (symbol != NGX_PULSE_FOLD_BOUNDARY && rd->letters < 0xff) {
        rd->letters++;
    }

    /* half of a word at least is in letters: numbers are no words */

    if ((next & 1) && rd->stand_ins <= rd->letters) {
        ngx_pulse_moderation_match(m, rd->state);
    }

    if (symbol == NGX_PULSE_FOLD_BOUNDARY) {
        rd->word = rd->state;
        rd->run = 0;
        rd->letters = 0;
        rd->stand_ins = 0;
        rd->clitic = NGX_PULSE_MODERATION_WORD;

    } else if (rd->clitic && ngx_pulse_moderation_clitic(rd, symbol)) {
        ngx_pulse_moderation_fork(m, rd, rd->word);
    }
}


/*
 * Conjunctions, prepositions and the article are written as a part of the
 * word that follows: after each of them another word may begin.
 */

ngx_uint_t
ngx_pulse_moderation_clitic(ngx_pulse_moderation_reading_t *rd, u_char symbol)
{
    ngx_uint_t  at;

    at = rd->clitic;

    rd->clitic = 0;

    switch (symbol) {

    case NGX_PULSE_MODERATION_WAW:
    case NGX_PULSE_MODERATION_FEH:
        if (at == NGX_PULSE_MODERATION_WORD) {
            rd->clitic = NGX_PULSE_MODERATION_AND;
        }

        break;

    case NGX_PULSE_MODERATION_BEH:
    case NGX_PULSE_MODERATION_KAF:
        if (at <= NGX_PULSE_MODERATION_AND) {
            rd->clitic = NGX_PULSE_MODERATION_AS;
        }

        break;

    case NGX_PULSE_MODERATION_ALEF:
        if (at != NGX_PULSE_MODERATION_THE) {
            rd->clitic = NGX_PULSE_MODERATION_THE;
        }

        return 0;

    case NGX_PULSE_MODERATION_LAM:
        if (at <= NGX_PULSE_MODERATION_AND) {
            rd->clitic = NGX_PULSE_MODERATION_TO;
        }

        /* the article, whose alef is not written after another lam */

        return at != NGX_PULSE_MODERATION_AS;
    }

    return rd->clitic != 0;
}


void
ngx_pulse_moderation_fork(ngx_pulse_moderation_t *m,
    const ngx_pulse_moderation_reading_t *rd, uint32_t state)
{
    ngx_pulse_moderation_reading_t  *fork;

    if (m->nreadings == NGX_PULSE_MODERATION_READINGS) {
        return;
    }

    fork = &m->readings[m->nreadings++];

    *fork = *rd;

    fork->state = state;
    fork->clitic = 0;
}


/* Readings that have come to the same state will stay the same, once none of
 * them can begin this word anew. */

static void
ngx_pulse_moderation_merge(ngx_pulse_moderation_t *m)
{
    ngx_uint_t                       i, k, n;
    ngx_pulse_moderation_reading_t  *rd;

    n = 1;

    for (i = 1; i < m->nreadings; i++) {

        rd = &m->readings[i];

        for (k = 0; k < n; k++) {
            if (m->readings[k].state == rd->state
                && (m->readings[k].word == rd->word || rd->clitic == 0))
            {
                break;
            }
        }

        if (k == n) {
            m->readings[n++] = *rd;
        }
    }

    m->nreadings = n;
}


static void
ngx_pulse_moderation_letter(ngx_pulse_moderation_t *m, u_char symbol)
{
    if (m->word == 0) {
        m->before = m->gap;
        m->gap = 0;
        m->single = symbol;

    } else if (m->word == 1 && m->nspelled) {
        ngx_pulse_moderation_spelled(m);
    }

    m->word++;
}


/* What two readings see at one place is one. */

void
ngx_pulse_moderation_match(ngx_pulse_moderation_t *m, uint32_t state)
{
    uint32_t                             i, n;
    const ngx_pulse_moderation_rule_t   *rule;
    const ngx_pulse_moderation_match_t  *match;

    i = m->rules->found[state / NGX_PULSE_FOLD_SYMBOLS];

    for ( /* void */ ; i; i = match->next) {
        match = &m->rules->matches[i];
        rule = &m->rules->rules[match->rule];
        n = rule->excepted;

        if (n == NGX_PULSE_MODERATION_NONE) {
            m->found |= (uint32_t) 1 << rule->category;
            continue;
        }

        m->counted = 1;

        if (match->hits && m->excused_at[n] != m->position) {
            m->excused_at[n] = m->position;
            m->excused[n] += match->hits;

        } else if (match->hits == 0 && m->hit_at[n] != m->position) {
            m->hit_at[n] = m->position;
            m->hits[n]++;
        }
    }
}


/*
 * "b.a.d" and "b a d": letters that stand alone are read as one word, too,
 * if something as long is between all of them; what is longer parts words.
 */

static void
ngx_pulse_moderation_spell(ngx_pulse_moderation_t *m, u_char symbol)
{
    ngx_uint_t  i;

    if (symbol != NGX_PULSE_FOLD_BOUNDARY) {
        ngx_pulse_moderation_letter(m, symbol);
        return;
    }

    m->gap++;

    if (m->word != 1) {
        m->word = 0;
        return;
    }

    m->word = 0;

    if (m->before > NGX_PULSE_MODERATION_GAP) {
        ngx_pulse_moderation_spelled(m);
    }

    if (m->nspelled == 1) {
        m->usual = m->before;
    }

    if (m->nspelled < 2) {

        /* the first of them may be a word, and not of this one */

        ngx_pulse_moderation_reading(&m->spelled[m->nspelled],
                                     m->rules->begin);
        m->spelled[m->nspelled].clitic = 0;
    }

    m->nspelled++;

    for (i = 0; i < ngx_min(m->nspelled, 2); i++) {

        if (m->nspelled > 2 && m->before > m->usual) {
            ngx_pulse_moderation_step(m, &m->spelled[i],
                                      NGX_PULSE_FOLD_BOUNDARY);
        }

        if (m->spelled[i].run < 2 || m->spelled[i].last != m->single) {
            ngx_pulse_moderation_step(m, &m->spelled[i], m->single);
        }
    }
}


static void
ngx_pulse_moderation_spelled(ngx_pulse_moderation_t *m)
{
    ngx_uint_t  i;

    for (i = 0; i < 2 && m->nspelled >= NGX_PULSE_MODERATION_SPELLED; i++) {
        ngx_pulse_moderation_step(m, &m->spelled[i], NGX_PULSE_FOLD_BOUNDARY);
    }

    m->nspelled = 0;
}
