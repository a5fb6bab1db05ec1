
#include "ngx_pulse_json.h"
#include "ngx_pulse_moderation_plain.h"
#include "ngx_pulse_moderation_trie.h"


#define NGX_PULSE_MODERATION_PHRASE  128    /* symbols of one */
#define NGX_PULSE_MODERATION_RULES   20000


typedef struct {
    ngx_str_t                       text;
    ngx_uint_t                      line;
    uint32_t                        match;
    uint32_t                        excepted;
} ngx_pulse_moderation_exception_t;


/* A file as it is read. */

typedef struct {
    ngx_pulse_moderation_rules_t   *rules;
    ngx_pulse_moderation_fault_t   *fault;
    ngx_pulse_moderation_trie_t     trie;
    ngx_pulse_buf_t                 list;       /* of rules */
    ngx_pulse_buf_t                 exceptions;
    uint32_t                        category;
} ngx_pulse_moderation_reader_t;


static ngx_int_t ngx_pulse_moderation_file(
    ngx_pulse_moderation_reader_t *reader, ngx_pool_t *pool,
    const ngx_str_t *text);
static ngx_int_t ngx_pulse_moderation_lines(
    ngx_pulse_moderation_reader_t *reader, ngx_pool_t *pool,
    const ngx_str_t *text);
static ngx_int_t ngx_pulse_moderation_category(
    ngx_pulse_moderation_reader_t *reader, ngx_pool_t *pool,
    const ngx_str_t *line);
static ngx_int_t ngx_pulse_moderation_rule(
    ngx_pulse_moderation_reader_t *reader, const ngx_str_t *line);
static ngx_int_t ngx_pulse_moderation_except(
    ngx_pulse_moderation_reader_t *reader, ngx_pulse_moderation_rule_t *rule,
    u_char *p, u_char *last);
static ngx_int_t ngx_pulse_moderation_add(
    ngx_pulse_moderation_reader_t *reader, ngx_str_t *text, uint32_t hits);
static ngx_int_t ngx_pulse_moderation_add_joined(
    ngx_pulse_moderation_reader_t *reader, u_char *symbols, ngx_uint_t n);
static ngx_int_t ngx_pulse_moderation_symbols(
    ngx_pulse_moderation_reader_t *reader, const ngx_str_t *text,
    u_char *symbols, ngx_uint_t *len);
static uint32_t ngx_pulse_moderation_decode(const u_char **p);
static ngx_int_t ngx_pulse_moderation_weigh(
    ngx_pulse_moderation_reader_t *reader);
static ngx_str_t ngx_pulse_moderation_trim(u_char *p, u_char *last);
static ngx_int_t ngx_pulse_moderation_fault(
    ngx_pulse_moderation_reader_t *reader, const char *reason);


ngx_pulse_moderation_rules_t *
ngx_pulse_moderation_read(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_pulse_moderation_fault_t *fault)
{
    ngx_int_t                      rc;
    ngx_pulse_moderation_reader_t  reader;

    ngx_memzero(&reader, sizeof(ngx_pulse_moderation_reader_t));

    fault->line = 1;
    fault->reason = NULL;

    reader.fault = fault;
    reader.rules = ngx_pcalloc(pool, sizeof(ngx_pulse_moderation_rules_t));

    ngx_pulse_buf_init(&reader.list, 0);
    ngx_pulse_buf_init(&reader.exceptions, 0);

    rc = ngx_pulse_moderation_trie_init(&reader.trie);

    if (rc == NGX_OK && reader.rules != NULL) {
        rc = ngx_pulse_moderation_file(&reader, pool, text);

    } else {
        rc = NGX_ERROR;
    }

    ngx_pulse_moderation_trie_free(&reader.trie);
    ngx_pulse_buf_free(&reader.list);
    ngx_pulse_buf_free(&reader.exceptions);

    return (rc == NGX_OK) ? reader.rules : NULL;
}


static ngx_int_t
ngx_pulse_moderation_file(ngx_pulse_moderation_reader_t *reader,
    ngx_pool_t *pool, const ngx_str_t *text)
{
    ngx_int_t                      rc;
    ngx_pulse_moderation_rules_t  *rules;

    rules = reader->rules;

    rules->fold = ngx_palloc(pool, NGX_PULSE_FOLD_POINTS);
    rules->categories = ngx_palloc(pool, NGX_PULSE_MODERATION_CATEGORIES
                                         * sizeof(ngx_str_t));

    if (rules->fold == NULL || rules->categories == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_fold_table(rules->fold);

    rc = ngx_pulse_moderation_lines(reader, pool, text);

    if (rc != NGX_OK) {
        return rc;
    }

    rules->rules = ngx_palloc(pool, reader->list.len);

    if (rules->rules == NULL
        || ngx_pulse_moderation_trie_finish(&reader->trie, pool, rules)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(rules->rules, reader->list.data, reader->list.len);
    ngx_pulse_moderation_plain_tables(rules);

    return ngx_pulse_moderation_weigh(reader);
}


static ngx_int_t
ngx_pulse_moderation_lines(ngx_pulse_moderation_reader_t *reader,
    ngx_pool_t *pool, const ngx_str_t *text)
{
    u_char     *p, *last, *end;
    size_t      bad;
    ngx_int_t   rc;
    ngx_str_t   line;

    p = text->data;
    last = p + text->len;

    for ( /* void */ ; p < last; p = end + 1, reader->fault->line++) {

        end = ngx_strlchr(p, last, LF);

        if (end == NULL) {
            end = last;
        }

        line = ngx_pulse_moderation_trim(p, end);

        if (ngx_pulse_utf8_check(line.data, line.len, &bad) != NGX_OK) {
            return ngx_pulse_moderation_fault(reader, "is not UTF-8");
        }

        if (line.len == 0 || line.data[0] == '#') {
            continue;
        }

        if (line.data[0] == '[') {
            rc = ngx_pulse_moderation_category(reader, pool, &line);

        } else {
            rc = ngx_pulse_moderation_rule(reader, &line);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (reader->rules->nrules == 0) {
        reader->fault->line -= (text->len != 0);

        return ngx_pulse_moderation_fault(reader, "is the last, and there is"
                                                  " no rule");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_moderation_category(ngx_pulse_moderation_reader_t *reader,
    ngx_pool_t *pool, const ngx_str_t *line)
{
    size_t                         i, len;
    u_char                         ch, *name;
    ngx_str_t                     *category;
    ngx_pulse_moderation_rules_t  *rules;

    rules = reader->rules;

    name = line->data + 1;
    len = line->len - 1;

    if (len < 2 || name[len - 1] != ']'
        || --len > NGX_PULSE_MODERATION_NAME)
    {
        return ngx_pulse_moderation_fault(reader, "is no [category] of at"
                                                  " most 32 characters");
    }

    for (i = 0; i < len; i++) {
        ch = name[i];

        if ((ch < 'a' || ch > 'z') && ch != '-' && ch != '/' && ch != '_') {
            return ngx_pulse_moderation_fault(reader, "has a [category] of"
                                  " other characters than a-z, -, / and _");
        }
    }

    for (i = 0; i < rules->ncategories; i++) {
        category = &rules->categories[i];

        if (category->len == len
            && ngx_memcmp(category->data, name, len) == 0)
        {
            reader->category = i;
            return NGX_OK;
        }
    }

    if (rules->ncategories == NGX_PULSE_MODERATION_CATEGORIES) {
        return ngx_pulse_moderation_fault(reader, "has one [category] more"
                                                  " than 32");
    }

    category = &rules->categories[rules->ncategories];

    category->len = len;
    category->data = ngx_pnalloc(pool, len);

    if (category->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(category->data, name, len);

    reader->category = rules->ncategories++;

    return NGX_OK;
}


/* PHRASE [! EXCEPTION, ...] */

static ngx_int_t
ngx_pulse_moderation_rule(ngx_pulse_moderation_reader_t *reader,
    const ngx_str_t *line)
{
    u_char                       *mark, *last;
    ngx_int_t                     rc;
    ngx_str_t                     text;
    ngx_pulse_moderation_rule_t   rule;

    if (reader->rules->ncategories == 0) {
        return ngx_pulse_moderation_fault(reader, "is before any [category]");
    }

    if (reader->rules->nrules == NGX_PULSE_MODERATION_RULES) {
        return ngx_pulse_moderation_fault(reader, "has one rule more than"
                                                  " 20000");
    }

    last = line->data + line->len;
    mark = ngx_strlchr(line->data, last, '!');
    text = ngx_pulse_moderation_trim(line->data, mark ? mark : last);

    rule.category = reader->category;
    rule.excepted = NGX_PULSE_MODERATION_NONE;

    rc = ngx_pulse_moderation_add(reader, &text, 0);

    if (rc == NGX_OK && mark) {
        rc = ngx_pulse_moderation_except(reader, &rule, mark + 1, last);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_pulse_buf_append(&reader->list, (u_char *) &rule, sizeof(rule));

    if (reader->list.failed) {
        return NGX_ERROR;
    }

    reader->rules->nrules++;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_moderation_except(ngx_pulse_moderation_reader_t *reader,
    ngx_pulse_moderation_rule_t *rule, u_char *p, u_char *last)
{
    u_char                            *end;
    ngx_int_t                          rc;
    ngx_pulse_moderation_exception_t   exception;

    if (reader->rules->nexcepted == NGX_PULSE_MODERATION_EXCEPTED) {
        return ngx_pulse_moderation_fault(reader, "has one rule with"
                                                  " exceptions more than 64");
    }

    reader->rules->excepted[reader->rules->nexcepted] = rule->category;
    rule->excepted = reader->rules->nexcepted++;

    for ( /* void */ ; p <= last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');

        if (end == NULL) {
            end = last;
        }

        exception.text = ngx_pulse_moderation_trim(p, end);
        exception.line = reader->fault->line;
        exception.excepted = rule->excepted;

        rc = ngx_pulse_moderation_add(reader, &exception.text, 1);

        if (rc != NGX_OK) {
            return rc;
        }

        exception.match = reader->trie.nmatches - 1;

        ngx_pulse_buf_append(&reader->exceptions, (u_char *) &exception,
                             sizeof(exception));

        if (reader->exceptions.failed) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* A phrase of the rule that comes next; "text" is without its asterisks
 * then. */

static ngx_int_t
ngx_pulse_moderation_add(ngx_pulse_moderation_reader_t *reader,
    ngx_str_t *text, uint32_t hits)
{
    u_char      symbols[NGX_PULSE_MODERATION_PHRASE + 2];
    ngx_int_t   rc;
    ngx_uint_t  n, before, after;

    before = (text->len && text->data[0] == '*');

    if (before) {
        text->data++;
        text->len--;
    }

    after = (text->len && text->data[text->len - 1] == '*');
    text->len -= after;

    rc = ngx_pulse_moderation_symbols(reader, text, symbols + 1, &n);

    if (rc != NGX_OK) {
        return rc;
    }

    symbols[0] = NGX_PULSE_FOLD_BOUNDARY;
    symbols[n + 1] = NGX_PULSE_FOLD_BOUNDARY;

    rc = ngx_pulse_moderation_trie_add(&reader->trie, symbols + before,
                                       n + 2 - before - after,
                                       reader->rules->nrules, hits);

    if (rc == NGX_OK && hits == 0) {
        rc = ngx_pulse_moderation_add_joined(reader, symbols, n + 2);
    }

    switch (rc) {

    case NGX_DECLINED:
        return ngx_pulse_moderation_fault(reader, "has an exception that is"
                                                  " the phrase itself");

    case NGX_ABORT:
        return ngx_pulse_moderation_fault(reader, "is where all rules come to"
                                                  " too many letters");

    default:
        return rc;
    }
}


/* Words of a phrase written as one. */

static ngx_int_t
ngx_pulse_moderation_add_joined(ngx_pulse_moderation_reader_t *reader,
    u_char *symbols, ngx_uint_t n)
{
    ngx_uint_t  i, len;

    for (i = 1, len = 1; i < n - 1; i++) {
        if (symbols[i] != NGX_PULSE_FOLD_BOUNDARY) {
            symbols[len++] = symbols[i];
        }
    }

    if (len == n - 1) {
        return NGX_OK;
    }

    symbols[len++] = NGX_PULSE_FOLD_BOUNDARY;

    return ngx_pulse_moderation_trie_add(&reader->trie, symbols, len,
                                         reader->rules->nrules, 0);
}


static ngx_int_t
ngx_pulse_moderation_symbols(ngx_pulse_moderation_reader_t *reader,
    const ngx_str_t *text, u_char *symbols, ngx_uint_t *len)
{
    u_char         found[NGX_PULSE_FOLD_MAX];
    uint32_t       point;
    ngx_uint_t     i, k, n;
    const u_char  *p, *last;

    n = 0;
    p = text->data;
    last = p + text->len;

    while (p < last) {
        point = ngx_pulse_moderation_decode(&p);

        if (point == '*') {
            return ngx_pulse_moderation_fault(reader, "has \"*\" elsewhere"
                                      " than at the ends of a phrase");
        }

        k = ngx_pulse_fold_point(point, found);

        for (i = 0; i < k; i++) {

            if (found[i] == NGX_PULSE_FOLD_BOUNDARY
                && (n == 0 || symbols[n - 1] == NGX_PULSE_FOLD_BOUNDARY))
            {
                continue;
            }

            if (found[i] == NGX_PULSE_FOLD_OTHER) {
                return ngx_pulse_moderation_fault(reader, "has a letter that"
                                           " is neither Latin nor Arabic");
            }

            if (n > 1 && found[i] == symbols[n - 1]
                && found[i] == symbols[n - 2])
            {
                return ngx_pulse_moderation_fault(reader, "has a letter three"
                                                          " times in a row");
            }

            if (n == NGX_PULSE_MODERATION_PHRASE) {
                return ngx_pulse_moderation_fault(reader, "has a phrase of"
                                              " more than 128 letters");
            }

            symbols[n++] = found[i];
        }
    }

    if (n && symbols[n - 1] == NGX_PULSE_FOLD_BOUNDARY) {
        n--;
    }

    if (n < 2) {
        return ngx_pulse_moderation_fault(reader, "has a phrase of less than"
                                                  " two letters");
    }

    *len = n;

    return NGX_OK;
}


/* A character of valid UTF-8. */

static uint32_t
ngx_pulse_moderation_decode(const u_char **p)
{
    uint32_t  point;

    point = *(*p)++;

    if (point < 0x80) {
        return point;
    }

    point &= (point >= 0xf0) ? 0x07 : (point >= 0xe0) ? 0x0f : 0x1f;

    while ((**p & 0xc0) == 0x80) {
        point = point << 6 | (*(*p)++ & 0x3f);
    }

    return point;
}


/* An exception makes up for as many finds of its rule as are in it. */

static ngx_int_t
ngx_pulse_moderation_weigh(ngx_pulse_moderation_reader_t *reader)
{
    ngx_uint_t                         i, k, n;
    ngx_pulse_moderation_t             m;
    ngx_pulse_moderation_exception_t  *exception;

    exception = (ngx_pulse_moderation_exception_t *) reader->exceptions.data;
    n = reader->exceptions.len / sizeof(ngx_pulse_moderation_exception_t);

    for (i = 0; i < n; i++) {
        k = exception[i].excepted;

        ngx_pulse_moderation_start(&m, reader->rules);
        ngx_pulse_moderation_feed(&m, exception[i].text.data,
                                  exception[i].text.len);
        ngx_pulse_moderation_feed(&m, (u_char *) " ", 1);

        reader->fault->line = exception[i].line;

        if (m.hits[k] == 0) {
            return ngx_pulse_moderation_fault(reader, "has an exception"
                                              " without the phrase in it");
        }

        reader->rules->matches[exception[i].match].hits = m.hits[k];
    }

    return NGX_OK;
}


static ngx_str_t
ngx_pulse_moderation_trim(u_char *p, u_char *last)
{
    ngx_str_t  s;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t'
                        || last[-1] == CR))
    {
        last--;
    }

    s.data = p;
    s.len = last - p;

    return s;
}


static ngx_int_t
ngx_pulse_moderation_fault(ngx_pulse_moderation_reader_t *reader,
    const char *reason)
{
    reader->fault->reason = reason;

    return NGX_DECLINED;
}
