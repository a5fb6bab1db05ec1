
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"
#include "ngx_pulse_moderation.h"


/*
 * Texts made of whatever may be read in more than one way, each read as it
 * is, in pieces, and by a reader that takes a symbol after the other and
 * knows no short way: all find the same, as often.
 */


#define TEST_TEXTS    1200
#define TEST_SIZE     1024
#define TEST_CUTS     80        /* bytes of a text that is cut everywhere */

#define test_some(list)  (list[random_below(sizeof(list) / sizeof(list[0]))])


static uint32_t slow_read(ngx_pulse_moderation_t *m,
    const ngx_pulse_moderation_rules_t *rules, const u_char *p, size_t len);
static size_t slow_character(ngx_pulse_moderation_t *m, const u_char *p,
    size_t len);
static size_t slow_escape(ngx_pulse_moderation_t *m, const u_char *p,
    size_t len);
static void slow_point(ngx_pulse_moderation_t *m, uint32_t point);
static void slow_symbol(ngx_pulse_moderation_t *m, u_char symbol,
    const char *letters);
static void slow_step(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_reading_t *rd, u_char symbol);
static void slow_particle(ngx_pulse_moderation_t *m,
    ngx_pulse_moderation_reading_t *rd, u_char symbol);
static void slow_fork(ngx_pulse_moderation_t *m,
    const ngx_pulse_moderation_reading_t *rd, uint32_t state);
static void slow_merge(ngx_pulse_moderation_t *m);
static void slow_match(ngx_pulse_moderation_t *m, uint32_t state);
static void slow_spell(ngx_pulse_moderation_t *m, u_char symbol);
static void slow_spelled(ngx_pulse_moderation_t *m);
static void slow_begin(ngx_pulse_moderation_reading_t *rd, uint32_t state);


static uint64_t  seed = 0x2545f4914f6cdd1d;


static const char  *files[] = {
    "[violence]\nzorb* ! zorbay, zorbard*, bath zorb\nbuild a flarn\n"
    "زمبلة\nصنع متفرقعات\n[hate]\nass ! smart ass\n*grox*\nbad\n"
    "kill yourself\n",

    "[a]\nab*\n*ba*\nالا*\nلل\nبب*\n[b]\na b c ! a b c d, x a b c\n"
    "اب ! اب اب, ال اب\n*oo*\n[c]\nee* ! eeb\nو ب\nllo\noaz*\n",

    "[a]\nكيف* ! كيف حال, وكيف الحال*\nal* ! all, also, al al\n"
    "*ing ! king, ring*\n[b]\nthe ! the the\nلي\nلا ! لا لا\n"
    "a b ! a b a b\n"
};


static const char  *bits[] = {
    "a", "b", "c", "d", "e", "l", "o", "s", "A", "B", "Z", " ", " ", " ",
    "  ", ".", ", ", "\n", "-", "\"", "'", "1", "0", "2", "45", "@", "$",
    "!", "|", "\\", "\\n", "\\b", "\\u0628", "\\u06", "\\ux", "\\ud83d",
    "ا", "ل", "و", "ف", "ب", "ك", "م", "ة", "ي", "أ", "لا", "ال", "وال",
    "بال", "لل", "فب", "َ", "ّ", "ـ", "، ", "؟", "٣", "١", "é", "ö", "ß",
    "ﬁ", "ﻻ", "ﺯ", "ﷲ", "о", "д", "\xe2\x80\x8c", "—", "’", "字", "𝐳",
    "💣", "ａ", "\xff", "\xd8", "\xd9", "\xe2", "\xe2\x80", "\x80",
    "\xf0\x9f", "\xed\xa0\x80", "\xc0\x80", "\xe0\x80\x80"
};


static const char  *words[] = {
    "zorb", "zorbay", "bath ", "bad", "ass", "smart ", "grox", "build a ",
    "flarn", "kill ", "your", "self", "كيف", " حال", "the ", "king", "all ",
    "زمبلة", "صنع ", "متفرقعات", "اب ", "a b c d", "b a d", "z.o.r.b",
    "z0rb", "4ss", "b4d", "k1ll y0urself", "$ee", "a1l", "3eb", "04z", "o4z",
    "What is asked here is long, and all of it is little. ",
    "I saw a book; the letters keep coming, and I will need a tool. ",
    "اجتمعت اللجنة لمناقشة الميزانية الجديدة، ولم يعترض أحد. ",
    "كتب الطالب للأستاذ بالقلم وكان فيه شيء من الأدب والعلم. "
};


/* xorshift64 */

static ngx_uint_t
random_below(ngx_uint_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (seed >> 11) % n;
}


/* A few bits in turn make more of what is drawn out, spelled or repeated than
 * all of them would. */

static size_t
random_text(u_char *text)
{
    size_t       len, n;
    ngx_uint_t   i, k, count, first, among, kind;
    const char  *s;

    count = 1 + random_below(random_below(4) ? 24 : 120);
    first = random_below(sizeof(bits) / sizeof(bits[0]));
    among = 2 + random_below(24);
    kind = random_below(8);
    len = 0;

    for (i = 0; i < count; i++) {

        if (kind == 0) {
            text[len++] = random_below(256);
            continue;
        }

        s = bits[(first + random_below(among))
                 % (sizeof(bits) / sizeof(bits[0]))];

        if (random_below(3) == 0) {
            s = (kind < 3) ? test_some(words) : test_some(bits);
        }

        n = strlen(s);

        for (k = random_below(8) ? 1 : 4; k; k--) {

            if (len + n > TEST_SIZE) {
                return len;
            }

            memcpy(text + len, s, n);
            len += n;
        }
    }

    return len;
}


/* A block of its own, so that a sanitizer sees a read past its end. */

static void
test_feed(ngx_pulse_moderation_t *m, const u_char *text, size_t len)
{
    u_char  *piece;

    piece = malloc(len + (len == 0));
    memcpy(piece, text, len);

    ngx_pulse_moderation_feed(m, piece, len);

    free(piece);
}


static void
test_same(const ngx_pulse_moderation_rules_t *rules,
    const ngx_pulse_moderation_t *slow, uint32_t found, const u_char *text,
    size_t len, size_t cut, size_t step)
{
    size_t                   n;
    ngx_pulse_moderation_t   m;

    ngx_pulse_moderation_start(&m, rules);
    test_feed(&m, text, cut);

    for (text += cut, len -= cut; len; text += n, len -= n) {
        n = ngx_min(step, len);
        test_feed(&m, text, n);
    }

    check_mem(m.hits, rules->nexcepted * sizeof(uint32_t), slow->hits,
              rules->nexcepted * sizeof(uint32_t));
    check_mem(m.excused, rules->nexcepted * sizeof(uint32_t), slow->excused,
              rules->nexcepted * sizeof(uint32_t));
    check_int(ngx_pulse_moderation_end(&m), found);
}


static void
test_rules(const ngx_pulse_moderation_rules_t *rules, ngx_uint_t file)
{
    size_t                   len, cut;
    u_char                   text[TEST_SIZE];
    uint32_t                 found;
    ngx_uint_t               i, finds;
    ngx_pulse_moderation_t   slow;

    for (i = 0, finds = 0; i < TEST_TEXTS; i++) {
        unit_case("rules %d, text %d", (int) file, (int) i);

        len = random_text(text);
        found = slow_read(&slow, rules, text, len);
        finds += (found != 0);

        test_same(rules, &slow, found, text, len, 0, TEST_SIZE);
        test_same(rules, &slow, found, text, len, 0, 1);
        test_same(rules, &slow, found, text, len, 0, 1 + random_below(9));

        for (cut = 1; cut < len && len <= TEST_CUTS; cut++) {
            test_same(rules, &slow, found, text, len, cut, TEST_SIZE);
        }
    }

    unit_case(NULL);

    check(finds > TEST_TEXTS / 50 && finds < TEST_TEXTS);
}


int
main(void)
{
    ngx_str_t                      text;
    ngx_uint_t                     i, n;
    ngx_pool_t                    *pool;
    ngx_pulse_moderation_fault_t   fault;
    ngx_pulse_moderation_rules_t  *rules;

    n = sizeof(files) / sizeof(files[0]);

    for (i = 0; i < n; i++) {
        pool = unit_pool();

        text.data = (u_char *) files[i];
        text.len = strlen(files[i]);

        rules = ngx_pulse_moderation_read(pool, &text, &fault);
        check(rules != NULL);

        if (rules) {
            test_rules(rules, i);
        }

        ngx_destroy_pool(pool);
    }

    return unit_done();
}


/* The slow reader: what it finds before the end of a text is in "m". */

static uint32_t
slow_read(ngx_pulse_moderation_t *m, const ngx_pulse_moderation_rules_t *rules,
    const u_char *p, size_t len)
{
    size_t                  i;
    uint32_t                found;
    ngx_pulse_moderation_t  end;

    memset(m, 0, sizeof(ngx_pulse_moderation_t));

    m->rules = rules;
    m->nreadings = 1;
    slow_begin(&m->readings[0], rules->begin);

    for (i = 0; i < len; /* void */ ) {

        if (p[i] == '\\') {
            i += slow_escape(m, p + i, len - i);

        } else {
            i += slow_character(m, p + i, len - i);
        }
    }

    end = *m;

    slow_symbol(&end, NGX_PULSE_FOLD_BOUNDARY, "");
    slow_spelled(&end);

    found = end.found;

    for (i = 0; i < rules->nrules; i++) {
        if (rules->rules[i].excepted != NGX_PULSE_MODERATION_NONE
            && end.hits[rules->rules[i].excepted]
               > end.excused[rules->rules[i].excepted])
        {
            found |= (uint32_t) 1 << rules->rules[i].category;
        }
    }

    return found;
}


/* Of what is no UTF-8 the byte that is wrong begins anew. */

static size_t
slow_character(ngx_pulse_moderation_t *m, const u_char *p, size_t len)
{
    size_t    i, n;
    uint32_t  point;

    switch (p[0]) {

    case '@':
        slow_symbol(m, NGX_PULSE_FOLD_BOUNDARY, "a");
        return 1;

    case '$':
        slow_symbol(m, NGX_PULSE_FOLD_BOUNDARY, "s");
        return 1;

    case '!':
        slow_symbol(m, NGX_PULSE_FOLD_BOUNDARY, "i");
        return 1;

    case '|':
        slow_symbol(m, NGX_PULSE_FOLD_BOUNDARY, "il");
        return 1;
    }

    if (p[0] < 0x80) {
        slow_point(m, p[0]);
        return 1;
    }

    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 1;
    }

    n = 2 + (p[0] >= 0xe0) + (p[0] >= 0xf0);
    point = p[0] & (0xff >> (n + 1));

    for (i = 1; i < n; i++) {

        if (i == len || (p[i] & 0xc0) != 0x80
            || (i == 1 && ((p[0] == 0xe0 && p[1] < 0xa0)
                           || (p[0] == 0xed && p[1] > 0x9f)
                           || (p[0] == 0xf0 && p[1] < 0x90)
                           || (p[0] == 0xf4 && p[1] > 0x8f))))
        {
            return i;
        }

        point = point << 6 | (p[i] & 0x3f);
    }

    slow_point(m, point);

    return n;
}


/* Of what is not whole at the end of a text nothing is seen. */

static size_t
slow_escape(ngx_pulse_moderation_t *m, const u_char *p, size_t len)
{
    size_t                          n;
    char                            digits[5] = "";
    uint32_t                        point;
    ngx_pulse_moderation_reading_t  before;

    if (len == 1) {
        return 1;
    }

    if (p[1] == 'u') {

        for (n = 2; n < len && n < 6 && isxdigit(p[n]); n++) {
            digits[n - 2] = p[n];
        }

        if (n == 6) {
            point = strtoul(digits, NULL, 16);

            if (point < 0xd800 || point > 0xdfff) {
                slow_point(m, point);
            }

            return n;
        }

        if (n == len) {
            return n;
        }

        slow_symbol(m, NGX_PULSE_FOLD_BOUNDARY, "");
        slow_point(m, 'u');

        return 2;
    }

    slow_symbol(m, NGX_PULSE_FOLD_BOUNDARY, "");

    if (p[1] == '\0' || strchr("bfnrt", p[1]) == NULL) {
        return 1;
    }

    before = m->readings[0];

    slow_point(m, p[1]);
    slow_fork(m, &before, before.state);

    return 2;
}


static void
slow_point(ngx_pulse_moderation_t *m, uint32_t point)
{
    u_char      symbols[NGX_PULSE_FOLD_MAX];
    ngx_uint_t  i, n;

    static const char  *letters[] = {
        "o", "il", "", "e", "a", "s", "", "t", "b", ""
    };

    n = ngx_pulse_fold_point(point, symbols);

    if (n == 1 && symbols[0] >= NGX_PULSE_FOLD_DIGIT
        && symbols[0] < NGX_PULSE_FOLD_ARABIC
        && point < NGX_PULSE_FOLD_POINTS)
    {
        slow_symbol(m, symbols[0], letters[symbols[0] - NGX_PULSE_FOLD_DIGIT]);
        return;
    }

    for (i = 0; i < n; i++) {
        slow_symbol(m, symbols[i], "");
    }
}


static void
slow_symbol(ngx_pulse_moderation_t *m, u_char symbol, const char *letters)
{
    ngx_uint_t                      i, n, weight;
    const char                     *s;
    ngx_pulse_moderation_reading_t  rd;

    m->position++;

    slow_spell(m, symbol);

    n = m->nreadings;
    weight = (symbol == NGX_PULSE_FOLD_BOUNDARY) ? 1 : 2;

    for (i = 0; i < n; i++) {
        rd = m->readings[i];
        rd.stand_ins = ngx_min(rd.stand_ins + weight, 0xff);
        s = letters;

        if (*s && i && weight == 2) {
            m->readings[i] = rd;
            slow_step(m, &m->readings[i], *s++ - 'a' + NGX_PULSE_FOLD_LATIN);

        } else {
            slow_step(m, &m->readings[i], symbol);
        }

        for ( /* void */ ; *s; s++) {

            if (m->nreadings < NGX_PULSE_MODERATION_READINGS) {
                m->readings[m->nreadings++] = rd;
                slow_step(m, &m->readings[m->nreadings - 1],
                          *s - 'a' + NGX_PULSE_FOLD_LATIN);
            }
        }
    }

    slow_merge(m);
}


static void
slow_step(ngx_pulse_moderation_t *m, ngx_pulse_moderation_reading_t *rd,
    u_char symbol)
{
    ngx_uint_t  boundary, digit;

    boundary = (symbol == NGX_PULSE_FOLD_BOUNDARY);
    digit = (symbol >= NGX_PULSE_FOLD_DIGIT && symbol < NGX_PULSE_FOLD_ARABIC);

    if (boundary && rd->last == symbol) {
        return;
    }

    if (!boundary && !digit && rd->last == symbol) {

        if (rd->run >= 2) {

            if (rd->run++ == 2) {
                slow_fork(m, rd, rd->once);
            }

            rd->run = 3;
            return;
        }

        rd->once = rd->state;
        rd->run = 2;

    } else {
        rd->run = 1;
    }

    rd->state = m->rules->next[rd->state + symbol] >> 1;
    rd->last = symbol;
    rd->letters += (!boundary && rd->letters < 0xff);

    if (rd->stand_ins <= rd->letters) {
        slow_match(m, rd->state);
    }

    if (boundary) {
        slow_begin(rd, rd->state);

    } else if (rd->clitic) {
        slow_particle(m, rd, symbol);
    }
}


/* Particles by what may come after those that were: 1 none, 2 a conjunction,
 * 3 like or with, 4 to, 5 the alef of an article. */

static void
slow_particle(ngx_pulse_moderation_t *m, ngx_pulse_moderation_reading_t *rd,
    u_char symbol)
{
    ngx_uint_t  at, alef, and, as, lam;

    at = rd->clitic;
    symbol -= ngx_min(symbol, NGX_PULSE_FOLD_ARABIC - 1);

    alef = (symbol == 1);
    and = (symbol == 27 || symbol == 20);
    as = (symbol == 2 || symbol == 22);
    lam = (symbol == 23);

    rd->clitic = (and && at == 1) ? 2 : (as && at <= 2) ? 3
                 : (lam && at <= 2) ? 4 : (alef && at != 5) ? 5 : 0;

    if ((rd->clitic && !alef) || (lam && at >= 4)) {
        slow_fork(m, rd, rd->word);
    }
}


static void
slow_fork(ngx_pulse_moderation_t *m, const ngx_pulse_moderation_reading_t *rd,
    uint32_t state)
{
    if (m->nreadings < NGX_PULSE_MODERATION_READINGS) {
        m->readings[m->nreadings] = *rd;
        m->readings[m->nreadings].state = state;
        m->readings[m->nreadings++].clitic = 0;
    }
}


static void
slow_merge(ngx_pulse_moderation_t *m)
{
    ngx_uint_t                       i, k, n;
    ngx_pulse_moderation_reading_t  *rd;

    for (i = 1, n = 1; i < m->nreadings; i++) {
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
slow_match(ngx_pulse_moderation_t *m, uint32_t state)
{
    uint32_t                             i, n;
    const ngx_pulse_moderation_match_t  *match;

    for (i = m->rules->found[state / NGX_PULSE_FOLD_SYMBOLS]; i;
         i = match->next)
    {
        match = &m->rules->matches[i];
        n = m->rules->rules[match->rule].excepted;

        if (n == NGX_PULSE_MODERATION_NONE) {
            m->found |= (uint32_t) 1
                        << m->rules->rules[match->rule].category;

        } else if (match->hits == 0 && m->hit_at[n] != m->position) {
            m->hit_at[n] = m->position;
            m->hits[n]++;

        } else if (match->hits && m->excused_at[n] != m->position) {
            m->excused_at[n] = m->position;
            m->excused[n] += match->hits;
        }
    }
}


static void
slow_spell(ngx_pulse_moderation_t *m, u_char symbol)
{
    ngx_uint_t  i, alone;

    if (symbol != NGX_PULSE_FOLD_BOUNDARY) {

        if (m->word == 0) {
            m->before = m->gap;
            m->gap = 0;
            m->single = symbol;

        } else if (m->word == 1) {
            slow_spelled(m);
        }

        m->word++;
        return;
    }

    alone = (m->word == 1);

    m->gap++;
    m->word = 0;

    if (!alone) {
        return;
    }

    if (m->before > 3) {
        slow_spelled(m);
    }

    if (m->nspelled == 1) {
        m->usual = m->before;
    }

    if (m->nspelled < 2) {
        slow_begin(&m->spelled[m->nspelled], m->rules->begin);
        m->spelled[m->nspelled].clitic = 0;
    }

    m->nspelled++;

    for (i = 0; i < ngx_min(m->nspelled, 2); i++) {

        if (m->nspelled > 2 && m->before > m->usual) {
            slow_step(m, &m->spelled[i], NGX_PULSE_FOLD_BOUNDARY);
        }

        if (m->spelled[i].run < 2 || m->spelled[i].last != m->single) {
            slow_step(m, &m->spelled[i], m->single);
        }
    }
}


static void
slow_spelled(ngx_pulse_moderation_t *m)
{
    if (m->nspelled > 2) {
        slow_step(m, &m->spelled[0], NGX_PULSE_FOLD_BOUNDARY);
        slow_step(m, &m->spelled[1], NGX_PULSE_FOLD_BOUNDARY);
    }

    m->nspelled = 0;
}


static void
slow_begin(ngx_pulse_moderation_reading_t *rd, uint32_t state)
{
    memset(rd, 0, sizeof(ngx_pulse_moderation_reading_t));

    rd->state = state;
    rd->word = state;
    rd->clitic = 1;
}
