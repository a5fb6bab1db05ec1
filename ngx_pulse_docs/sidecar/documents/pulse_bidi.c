
#include <fribidi.h>
#include "pulse_bidi.h"


#define PULSE_BIDI_PHONE  7         /* digits of the shortest number */
#define PULSE_BIDI_WAW    0x648     /* "and" */
#define PULSE_BIDI_SHARE  30        /* of a hundred words: an Arabic line */


typedef enum {
    pulse_bidi_neutral = 0,
    pulse_bidi_space,
    pulse_bidi_digit,
    pulse_bidi_left,
    pulse_bidi_right,
    pulse_bidi_break            /* ends a run that is set against the line */
} pulse_bidi_class_e;


typedef struct {
    uint32_t    code;
    uint32_t    offset;         /* in the line */
    u_char      class;
} pulse_bidi_char_t;


typedef struct {
    pulse_bidi_char_t  *chars;
    ngx_uint_t          n;
    u_char              against;        /* class of the other direction */
    const ngx_str_t    *line;
    ngx_uint_t          rtl;
    pulse_bidi_run_t   *runs;
    ngx_uint_t          nruns;
} pulse_bidi_t;


static ngx_uint_t pulse_bidi_arabic(const ngx_str_t *line, ngx_uint_t left,
    ngx_uint_t right);
static ngx_int_t pulse_bidi_classify(ngx_pool_t *pool, pulse_bidi_t *bidi);
static u_char pulse_bidi_class(uint32_t code);
static ngx_uint_t pulse_bidi_foreign(pulse_bidi_t *bidi);
static size_t pulse_bidi_decode(const u_char *p, uint32_t *code);
static ngx_uint_t pulse_bidi_next(pulse_bidi_t *bidi, ngx_uint_t i,
    ngx_uint_t *end);
static ngx_uint_t pulse_bidi_trim(pulse_bidi_t *bidi, ngx_uint_t *start,
    ngx_uint_t *end);
static ngx_uint_t pulse_bidi_number(pulse_bidi_t *bidi, ngx_uint_t start,
    ngx_uint_t end);
static void pulse_bidi_widen(pulse_bidi_t *bidi, ngx_uint_t *start,
    ngx_uint_t *end, ngx_uint_t from, ngx_uint_t to);
static ngx_uint_t pulse_bidi_paired(pulse_bidi_t *bidi, ngx_uint_t start,
    ngx_uint_t end, uint32_t code, uint32_t other);
static void pulse_bidi_add(pulse_bidi_t *bidi, ngx_uint_t start,
    ngx_uint_t end, ngx_uint_t rtl);
static ngx_uint_t pulse_bidi_ends(uint32_t code);
static ngx_uint_t pulse_bidi_visible(uint32_t code);


ngx_uint_t
pulse_bidi_base(const ngx_str_t *line, ngx_uint_t rtl)
{
    size_t      i;
    u_char      class, first, word;
    uint32_t    code;
    ngx_uint_t  words[pulse_bidi_break + 1];

    ngx_memzero(words, sizeof(words));

    first = pulse_bidi_neutral;
    word = pulse_bidi_neutral;

    for (i = 0; i < line->len; /* void */ ) {
        i += pulse_bidi_decode(line->data + i, &code);
        class = pulse_bidi_class(code);

        if (code == '|' || code == 0x2022 || code == 0xb7) {
            return rtl;
        }

        if (class == pulse_bidi_space) {
            word = pulse_bidi_neutral;

        } else if (word == pulse_bidi_neutral
                   && (class == pulse_bidi_left || class == pulse_bidi_right))
        {
            words[class]++;
            word = class;
            first = first ? first : class;
        }
    }

    if (words[pulse_bidi_left] == 0 || words[pulse_bidi_right] == 0
        || first == (rtl ? pulse_bidi_right : pulse_bidi_left))
    {
        return rtl;
    }

    return pulse_bidi_arabic(line, words[pulse_bidi_left],
                             words[pulse_bidi_right]);
}


/* A sentence with enough words, with Arabic punctuation, or with an "and" of
 * one letter, which nobody writes between the words of another language. */

static ngx_uint_t
pulse_bidi_arabic(const ngx_str_t *line, ngx_uint_t left, ngx_uint_t right)
{
    size_t     i;
    u_char     before, class;
    uint32_t   code, last;

    if (right * 100 >= (left + right) * PULSE_BIDI_SHARE) {
        return 1;
    }

    last = ' ';
    before = pulse_bidi_space;

    for (i = 0; i < line->len; /* void */ ) {
        i += pulse_bidi_decode(line->data + i, &code);
        class = pulse_bidi_class(code);

        if (class == pulse_bidi_break
            || (last == PULSE_BIDI_WAW && class == pulse_bidi_space))
        {
            return 1;
        }

        last = (before == pulse_bidi_space) ? code : 0;
        before = class;
    }

    return 0;
}


pulse_bidi_run_t *
pulse_bidi_split(ngx_pool_t *pool, const ngx_str_t *line, ngx_uint_t rtl,
    ngx_uint_t *n)
{
    ngx_uint_t    i, start, end;
    pulse_bidi_t  bidi;

    bidi.line = line;
    bidi.rtl = rtl;
    bidi.against = rtl ? pulse_bidi_left : pulse_bidi_right;
    bidi.nruns = 0;
    *n = 0;

    if (pulse_bidi_classify(pool, &bidi) != NGX_OK) {
        return NULL;
    }

    i = 0;

    if (pulse_bidi_foreign(&bidi)) {
        pulse_bidi_add(&bidi, 0, bidi.n, !rtl);
        i = bidi.n;
    }

    while (i < bidi.n) {
        start = pulse_bidi_next(&bidi, i, &end);

        pulse_bidi_add(&bidi, i, start, rtl);
        pulse_bidi_add(&bidi, start, end, !rtl);

        i = end;
    }

    *n = bidi.nruns;

    return bidi.runs;
}


static ngx_int_t
pulse_bidi_classify(ngx_pool_t *pool, pulse_bidi_t *bidi)
{
    size_t              i;
    pulse_bidi_char_t  *ch;

    bidi->n = 0;

    /* one more, whose offset is the line's end; as many runs at most */

    bidi->chars = ngx_palloc(pool, (bidi->line->len + 1)
                                   * sizeof(pulse_bidi_char_t));
    bidi->runs = ngx_palloc(pool, (bidi->line->len + 1)
                                  * sizeof(pulse_bidi_run_t));

    if (bidi->chars == NULL || bidi->runs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < bidi->line->len; /* void */ ) {
        ch = &bidi->chars[bidi->n++];

        ch->offset = i;
        i += pulse_bidi_decode(bidi->line->data + i, &ch->code);
        ch->class = pulse_bidi_class(ch->code);

        /* a mark on a letter is of the letter's direction (UAX #9, W1) */

        if (fribidi_get_bidi_type(ch->code) == FRIBIDI_TYPE_NSM
            && bidi->n > 1)
        {
            ch->class = ch[-1].class;
        }
    }

    bidi->chars[bidi->n].offset = bidi->line->len;

    return NGX_OK;
}


static u_char
pulse_bidi_class(uint32_t code)
{
    FriBidiCharType  type;

    /* what separates the items of a list, and Arabic punctuation */

    if (code == '|' || code == 0x2022 || code == 0xb7 || code == 0x60c
        || code == 0x61b || code == 0x61f)
    {
        return pulse_bidi_break;
    }

    type = fribidi_get_bidi_type(code);

    if (FRIBIDI_IS_STRONG(type)) {
        return FRIBIDI_IS_RTL(type) ? pulse_bidi_right : pulse_bidi_left;
    }

    if (type == FRIBIDI_TYPE_EN || type == FRIBIDI_TYPE_AN) {
        return pulse_bidi_digit;
    }

    if (type == FRIBIDI_TYPE_WS || type == FRIBIDI_TYPE_SS
        || type == FRIBIDI_TYPE_BS || code == 0xa0)
    {
        return pulse_bidi_space;
    }

    return pulse_bidi_neutral;
}


/* if the line is a sentence of the other direction, to its full stop */

static ngx_uint_t
pulse_bidi_foreign(pulse_bidi_t *bidi)
{
    u_char      class;
    ngx_uint_t  i, strong;

    strong = 0;

    for (i = 0; i < bidi->n; i++) {
        class = bidi->chars[i].class;

        if (class == bidi->against) {
            strong = 1;

        } else if (class == pulse_bidi_left || class == pulse_bidi_right
                   || class == pulse_bidi_break)
        {
            return 0;
        }
    }

    return strong;
}


/* of bytes that were checked when the request was read */

static size_t
pulse_bidi_decode(const u_char *p, uint32_t *code)
{
    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }

    if (p[0] < 0xe0) {
        *code = (p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        return 2;
    }

    if (p[0] < 0xf0) {
        *code = (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        return 3;
    }

    *code = (p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 | (p[2] & 0x3f) << 6
            | (p[3] & 0x3f);

    return 4;
}


/* the first run from "i" on that goes against the line; both at the end of
 * the line if there is none */

static ngx_uint_t
pulse_bidi_next(pulse_bidi_t *bidi, ngx_uint_t i, ngx_uint_t *end)
{
    u_char      class, with;
    ngx_uint_t  from, to, start;

    with = bidi->rtl ? pulse_bidi_right : pulse_bidi_left;

    for (from = i; from < bidi->n; from = to + 1) {

        for (to = from; to < bidi->n; to++) {
            class = bidi->chars[to].class;

            if (class == with || class == pulse_bidi_break) {
                break;
            }
        }

        start = from;
        *end = to;

        if (pulse_bidi_trim(bidi, &start, end)) {
            pulse_bidi_widen(bidi, &start, end, from, to);
            return start;
        }
    }

    *end = bidi->n;

    return bidi->n;
}


/* narrows a stretch to what has a direction of its own; 0: nothing has */

static ngx_uint_t
pulse_bidi_trim(pulse_bidi_t *bidi, ngx_uint_t *start, ngx_uint_t *end)
{
    ngx_uint_t  i, first, last, strong;

    strong = 0;
    first = *end;
    last = *start;

    for (i = *start; i < *end; i++) {

        if (bidi->chars[i].class != pulse_bidi_digit
            && bidi->chars[i].class != bidi->against)
        {
            continue;
        }

        /* in a line from the left a number belongs to what is before it */

        if (!bidi->rtl && bidi->chars[i].class == pulse_bidi_digit
            && !strong)
        {
            continue;
        }

        if (first == *end) {
            first = i;
        }

        if (bidi->rtl || bidi->chars[i].class == bidi->against) {
            last = i + 1;
        }

        strong |= bidi->chars[i].class == bidi->against;
    }

    if (first >= last
        || (!strong && !pulse_bidi_number(bidi, first, last)))
    {
        return 0;
    }

    *start = first;
    *end = last;

    return 1;
}


/*
 * Numbers alone follow the line, so that "2021 - 2023" is read from its
 * start.  A number with a sign or of several groups is one word though: "40%",
 * a telephone's, or a date with hyphens, which UAX #9 takes apart after an
 * Arabic letter.
 */

static ngx_uint_t
pulse_bidi_number(pulse_bidi_t *bidi, ngx_uint_t start, ngx_uint_t end)
{
    uint32_t            code;
    ngx_uint_t          i, digits, spaces;
    pulse_bidi_char_t  *chars;

    chars = bidi->chars;
    digits = 0;
    spaces = 0;

    for (i = start; i < end; i++) {
        code = chars[i].code;

        if (chars[i].class == pulse_bidi_digit) {
            digits++;

        } else if (code == ' ') {
            spaces++;

            if (i + 1 < end && chars[i + 1].class != pulse_bidi_digit
                && chars[i + 1].code != '(')
            {
                return 0;
            }

        } else if (code != '-' && code != '.' && code != '/' && code != '('
                   && code != ')' && code != ':')
        {
            return 0;
        }
    }

    if ((start > 0 && (chars[start - 1].code == '+'
                       || chars[start - 1].code == '('))
        || (end < bidi->n && chars[end].code == '%'))
    {
        return 1;
    }

    return spaces ? digits >= PULSE_BIDI_PHONE : digits < end - start;
}


/* takes in the signs that adhere to the run: "C++", "#1", "main()" */

static void
pulse_bidi_widen(pulse_bidi_t *bidi, ngx_uint_t *start, ngx_uint_t *end,
    ngx_uint_t from, ngx_uint_t to)
{
    uint32_t  code;

    while (*end < to) {
        code = bidi->chars[*end].code;

        if (code == '(' && *end + 1 < to
            && bidi->chars[*end + 1].code == ')')
        {
            *end += 2;
            continue;
        }

        if (code != '+' && code != '#' && code != '%' && code != '*'
            && code != 0xb0 && code != 0x2122 && code != 0xae
            && !(code == '/' && *end + 1 == to)
            && !pulse_bidi_paired(bidi, *start, *end, ')', '(')
            && !pulse_bidi_paired(bidi, *start, *end, ']', '['))
        {
            break;
        }

        (*end)++;
    }

    while (*start > from) {
        code = bidi->chars[*start - 1].code;

        if (code == '+' || code == '#' || code == '@' || code == '$'
            || code == '.' || code == '~' || code == '/' || code == '-')
        {
            (*start)--;
            continue;
        }

        /* "(079) 555 0123", but not "(Amman)" */

        if (code == '('
            && pulse_bidi_paired(bidi, *start - 1, *end, '(', ')'))
        {
            (*start)--;
            continue;
        }

        break;
    }
}


/* if the sign at the edge of the run has its partner inside: a closing one at
 * "end", an opening one at "start" */

static ngx_uint_t
pulse_bidi_paired(pulse_bidi_t *bidi, ngx_uint_t start, ngx_uint_t end,
    uint32_t code, uint32_t other)
{
    ngx_int_t   open;
    ngx_uint_t  i, edge;

    edge = (code == '(') ? start : end;

    if (edge >= bidi->n || bidi->chars[edge].code != code) {
        return 0;
    }

    open = 0;

    for (i = start; i < end; i++) {

        if (i == edge) {
            continue;
        }

        if (bidi->chars[i].code == other) {
            open++;

        } else if (bidi->chars[i].code == code) {
            open--;
        }
    }

    return open > 0;
}


static void
pulse_bidi_add(pulse_bidi_t *bidi, ngx_uint_t start, ngx_uint_t end,
    ngx_uint_t rtl)
{
    u_char             *p;
    u_char              class;
    ngx_uint_t          i;
    pulse_bidi_run_t   *run;

    if (start == end) {
        return;
    }

    run = &bidi->runs[bidi->nruns++];
    p = bidi->line->data;

    run->text.data = p + bidi->chars[start].offset;
    run->text.len = bidi->chars[end].offset - bidi->chars[start].offset;
    run->rtl = rtl;
    run->mark_before = 0;
    run->mark_after = 0;

    class = rtl ? pulse_bidi_right : pulse_bidi_left;

    if (rtl != bidi->rtl) {
        run->mark_before = bidi->chars[start].class != class;
        run->mark_after = bidi->chars[end - 1].class != class;
        return;
    }

    /* a separator between two such runs would go with them */

    for (i = start; i < end; i++) {
        if (bidi->chars[i].class == class) {
            return;
        }
    }

    run->mark_after = start > 0 && end < bidi->n;
}


void
pulse_bidi_append(ngx_pulse_buf_t *b, const pulse_bidi_run_t *run)
{
    const char  *mark;

    mark = run->rtl ? PULSE_BIDI_RLM : PULSE_BIDI_LRM;

    if (run->mark_before) {
        ngx_pulse_buf_append(b, (u_char *) mark, 3);
    }

    ngx_pulse_buf_str(b, &run->text);

    if (run->mark_after) {
        ngx_pulse_buf_append(b, (u_char *) mark, 3);
    }
}


void
pulse_bidi_clean(ngx_pulse_buf_t *b, const ngx_str_t *text)
{
    size_t    i, n, start;
    uint32_t  code;

    start = 0;

    for (i = 0; i < text->len; i += n) {
        n = pulse_bidi_decode(text->data + i, &code);

        if (pulse_bidi_visible(code)) {
            continue;
        }

        ngx_pulse_buf_append(b, text->data + start, i - start);
        start = i + n;

        /* CR and LF are one end of a line */

        if (pulse_bidi_ends(code)
            && !(code == '\r' && start < text->len
                 && text->data[start] == '\n'))
        {
            ngx_pulse_buf_char(b, '\n');
        }
    }

    ngx_pulse_buf_append(b, text->data + start, text->len - start);
}


/* as word processors and telephones end lines too (Unicode, 5.8) */

static ngx_uint_t
pulse_bidi_ends(uint32_t code)
{
    return code == '\v' || code == '\f' || code == '\r' || code == 0x85
           || code == 0x2028 || code == 0x2029;
}


static ngx_uint_t
pulse_bidi_visible(uint32_t code)
{
    if (code < 0x20) {
        return code == '\t' || code == '\n';
    }

    return !((code >= 0x7f && code <= 0x9f)
             || code == 0x2028 || code == 0x2029
             || (code >= 0x202a && code <= 0x202e)
             || (code >= 0x2066 && code <= 0x2069)
             || (code >= 0xfdd0 && code <= 0xfdef)
             || (code & 0xfffe) == 0xfffe
             || code == 0xfeff);
}
