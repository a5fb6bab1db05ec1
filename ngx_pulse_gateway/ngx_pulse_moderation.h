
#ifndef _NGX_PULSE_MODERATION_H_INCLUDED_
#define _NGX_PULSE_MODERATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_moderation_fold.h"


/*
 * Words and phrases that a prompt must not have, found however they are
 * written: Aho-Corasick over the symbols of ngx_pulse_moderation_fold.h.
 * docs/moderation.md has the file of rules, and what is found and what not.
 */

#define NGX_PULSE_MODERATION_CATEGORIES  32
#define NGX_PULSE_MODERATION_NAME        32     /* bytes of a category */
#define NGX_PULSE_MODERATION_EXCEPTED    64     /* rules with exceptions */
#define NGX_PULSE_MODERATION_READINGS    8      /* of a text, at a time */
#define NGX_PULSE_MODERATION_CLITICS     6      /* places in a word */
#define NGX_PULSE_MODERATION_PAIRS       0x340  /* d8 80 to db bf */
#define NGX_PULSE_MODERATION_HASH        64     /* hexadecimal digits */
#define NGX_PULSE_MODERATION_KEY         32     /* bytes of a key, at least */


typedef struct {
    uint32_t                        category;
    uint32_t                        excepted;   /* its number, or ..._NONE */
} ngx_pulse_moderation_rule_t;


/* What ends in a state: a phrase of a rule, or an exception that has "hits"
 * of that phrase in it. */

typedef struct {
    uint32_t                        rule;
    uint32_t                        hits;       /* 0: no exception */
    uint32_t                        next;       /* ends here too, or 0 */
} ngx_pulse_moderation_match_t;


/* Rules as they are matched; they change no more, and any thread may use
 * them. */

typedef struct {
    ngx_str_t                      *categories;
    ngx_uint_t                      ncategories;
    ngx_pulse_moderation_rule_t    *rules;
    ngx_uint_t                      nrules;
    ngx_uint_t                      nexcepted;
    ngx_pulse_moderation_match_t   *matches;    /* the first is none */
    uint32_t                       *found;      /* match of a state, or 0 */
    uint32_t                       *next;       /* a row for each state */
    uint32_t                        begin;      /* at the start of a word */
    u_char                         *fold;       /* of characters */

    /* categories of rules with exceptions, by their numbers */

    uint32_t                        excepted[NGX_PULSE_MODERATION_EXCEPTED];

    /* what bytes are read as (ngx_pulse_moderation_plain.h) */

    u_char                          ascii[256];
    u_char                          idle[256];
    u_char                          arabic[NGX_PULSE_MODERATION_PAIRS];
    u_char                          clitics[NGX_PULSE_MODERATION_CLITICS]
                                           [NGX_PULSE_FOLD_SYMBOLS];
} ngx_pulse_moderation_rules_t;


typedef struct {
    ngx_uint_t                      line;       /* from 1 */
    const char                     *reason;     /* NULL: no memory */
} ngx_pulse_moderation_fault_t;


/* One way to read a text.  States are offsets of rows. */

typedef struct {
    uint32_t                        state;
    uint32_t                        once;       /* before the last repeat */
    uint32_t                        word;       /* where this word began */
    u_char                          last;       /* symbol */
    u_char                          run;        /* times that it came */
    u_char                          letters;    /* of this word */
    u_char                          stand_ins;  /* for letters; weight */
    u_char                          clitic;
} ngx_pulse_moderation_reading_t;


/*
 * A request as it is read: any number of texts, each in any number of pieces.
 * It has no memory of its own and needs no end.
 */

typedef struct {
    const ngx_pulse_moderation_rules_t  *rules;
    uint32_t                        categories; /* bits: found in all */
    uint32_t                        found;      /* ... in this text */
    uint32_t                        position;   /* symbols of it */
    ngx_pulse_moderation_reading_t  readings[NGX_PULSE_MODERATION_READINGS];
    ngx_uint_t                      nreadings;

    /* letters that stand alone, from the first and from the second */

    ngx_pulse_moderation_reading_t  spelled[2];
    ngx_uint_t                      nspelled;
    ngx_uint_t                      usual;      /* gap between two */
    ngx_uint_t                      before;     /* gap before this one */
    ngx_uint_t                      gap;        /* since the last letter */
    ngx_uint_t                      word;       /* letters of this word */
    u_char                          single;     /* the first of them */

    /* a character or an escape that is not whole yet */

    u_char                          more;       /* bytes that follow */
    u_char                          low;        /* bounds of the next */
    u_char                          high;
    u_char                          escape;
    u_char                          digits[4];  /* of the escape */
    uint32_t                        point;

    /* by numbers of rules with exceptions, and if any is not 0 */

    ngx_uint_t                      counted;
    uint32_t                        hits[NGX_PULSE_MODERATION_EXCEPTED];
    uint32_t                        excused[NGX_PULSE_MODERATION_EXCEPTED];
    uint32_t                        hit_at[NGX_PULSE_MODERATION_EXCEPTED];
    uint32_t                        excused_at[NGX_PULSE_MODERATION_EXCEPTED];
} ngx_pulse_moderation_t;


#define NGX_PULSE_MODERATION_NONE  0xffffffff


/* Reads a file of rules (ngx_pulse_moderation_rules.c).  NULL with the
 * fault. */
ngx_pulse_moderation_rules_t *ngx_pulse_moderation_read(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_pulse_moderation_fault_t *fault);

/* Begins a request and its first text. */
void ngx_pulse_moderation_start(ngx_pulse_moderation_t *m,
    const ngx_pulse_moderation_rules_t *rules);

/* The next piece of a text in UTF-8; bytes that are none are not seen. */
void ngx_pulse_moderation_feed(ngx_pulse_moderation_t *m, const u_char *p,
    size_t len);

/* The text is over: returns the categories found in it as bits, which are in
 * m->categories too, and begins the next. */
uint32_t ngx_pulse_moderation_end(ngx_pulse_moderation_t *m);

/*
 * Reads all strings of a JSON text, names of members too, but for data in
 * base64 (ngx_pulse_moderation_json.c).  The text must be valid.  If
 * anything is found "*where" is the inside of the first such string.
 */
uint32_t ngx_pulse_moderation_json(ngx_pulse_moderation_t *m,
    const ngx_str_t *text, ngx_str_t *where);

/* 1 if it is long and all of base64, or base64url too, with escapes of JSON
 * perhaps. */
ngx_uint_t ngx_pulse_moderation_base64(const u_char *p, const u_char *last,
    ngx_uint_t url);

/* Appends the names of categories as a JSON array. */
void ngx_pulse_moderation_names(const ngx_pulse_moderation_rules_t *rules,
    uint32_t categories, ngx_pulse_buf_t *b);

/*
 * What the log has of a text in place of it: its HMAC-SHA256 in hexadecimal
 * (ngx_pulse_moderation_hash.c).  With a key, since short texts are found
 * again by trying; the same key tells the same text on all nodes.
 */
void ngx_pulse_moderation_hash(const ngx_str_t *key, const u_char *p,
    size_t len, u_char hash[NGX_PULSE_MODERATION_HASH]);


#endif /* _NGX_PULSE_MODERATION_H_INCLUDED_ */
