
#ifndef _NGX_PULSE_MODERATION_TRIE_H_INCLUDED_
#define _NGX_PULSE_MODERATION_TRIE_H_INCLUDED_


#include "ngx_pulse_moderation.h"
#include "ngx_pulse_moderation_fold.h"


/*
 * The automaton while it is made: phrases go into a trie, which is then
 * completed, so that each state has a next one for each symbol.
 */

typedef struct {
    ngx_pulse_buf_t    rows;            /* uint32_t, of symbols: states */
    ngx_pulse_buf_t    found;           /* uint32_t: matches */
    ngx_pulse_buf_t    matches;
    uint32_t           nstates;
    uint32_t           nmatches;
} ngx_pulse_moderation_trie_t;


/* Starts a trie without a phrase; ..._free() in every case. */
ngx_int_t ngx_pulse_moderation_trie_init(ngx_pulse_moderation_trie_t *trie);
void ngx_pulse_moderation_trie_free(ngx_pulse_moderation_trie_t *trie);

/* Adds a phrase, whose match is the last of trie->matches then.  NGX_DECLINED:
 * the rule has it already; NGX_ABORT: there is no room for more; NGX_ERROR:
 * no memory. */
ngx_int_t ngx_pulse_moderation_trie_add(ngx_pulse_moderation_trie_t *trie,
    const u_char *symbols, ngx_uint_t n, uint32_t rule, uint32_t hits);

/* Completes it into "rules", in the pool's memory. */
ngx_int_t ngx_pulse_moderation_trie_finish(ngx_pulse_moderation_trie_t *trie,
    ngx_pool_t *pool, ngx_pulse_moderation_rules_t *rules);


#endif /* _NGX_PULSE_MODERATION_TRIE_H_INCLUDED_ */
