
#include "ngx_pulse_moderation_trie.h"


#define NGX_PULSE_MODERATION_STATES  200000     /* some 50 MB */


#define ngx_pulse_moderation_row(trie, state)                                 \
    (&((uint32_t *) (trie)->rows.data)[(state) * NGX_PULSE_FOLD_SYMBOLS])


static ngx_int_t ngx_pulse_moderation_trie_state(
    ngx_pulse_moderation_trie_t *trie, uint32_t *state);
static void ngx_pulse_moderation_trie_complete(
    ngx_pulse_moderation_trie_t *trie, uint32_t *queue, uint32_t *fail);


ngx_int_t
ngx_pulse_moderation_trie_init(ngx_pulse_moderation_trie_t *trie)
{
    uint32_t                      root;
    ngx_pulse_moderation_match_t  none;

    ngx_memzero(trie, sizeof(ngx_pulse_moderation_trie_t));
    ngx_memzero(&none, sizeof(ngx_pulse_moderation_match_t));

    ngx_pulse_buf_init(&trie->rows, 0);
    ngx_pulse_buf_init(&trie->found, 0);
    ngx_pulse_buf_init(&trie->matches, 0);

    ngx_pulse_buf_append(&trie->matches, (u_char *) &none, sizeof(none));
    trie->nmatches = 1;

    if (trie->matches.failed) {
        return NGX_ERROR;
    }

    return ngx_pulse_moderation_trie_state(trie, &root);
}


void
ngx_pulse_moderation_trie_free(ngx_pulse_moderation_trie_t *trie)
{
    ngx_pulse_buf_free(&trie->rows);
    ngx_pulse_buf_free(&trie->found);
    ngx_pulse_buf_free(&trie->matches);
}


static ngx_int_t
ngx_pulse_moderation_trie_state(ngx_pulse_moderation_trie_t *trie,
    uint32_t *state)
{
    u_char    *row;
    uint32_t   none;

    if (trie->nstates == NGX_PULSE_MODERATION_STATES) {
        return NGX_ABORT;
    }

    none = 0;
    row = ngx_pulse_buf_reserve(&trie->rows,
                                NGX_PULSE_FOLD_SYMBOLS * sizeof(uint32_t));
    ngx_pulse_buf_append(&trie->found, (u_char *) &none, sizeof(none));

    if (row == NULL || trie->found.failed) {
        return NGX_ERROR;
    }

    ngx_memzero(row, NGX_PULSE_FOLD_SYMBOLS * sizeof(uint32_t));
    trie->rows.len += NGX_PULSE_FOLD_SYMBOLS * sizeof(uint32_t);

    *state = trie->nstates++;

    return NGX_OK;
}


ngx_int_t
ngx_pulse_moderation_trie_add(ngx_pulse_moderation_trie_t *trie,
    const u_char *symbols, ngx_uint_t n, uint32_t rule, uint32_t hits)
{
    uint32_t                       state, next, *found;
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_pulse_moderation_match_t   match, *old;

    state = 0;

    for (i = 0; i < n; i++) {
        next = ngx_pulse_moderation_row(trie, state)[symbols[i]];

        if (next == 0) {
            rc = ngx_pulse_moderation_trie_state(trie, &next);

            if (rc != NGX_OK) {
                return rc;
            }

            ngx_pulse_moderation_row(trie, state)[symbols[i]] = next;
        }

        state = next;
    }

    found = &((uint32_t *) trie->found.data)[state];
    old = (ngx_pulse_moderation_match_t *) trie->matches.data;

    for (next = *found; next; next = old[next].next) {
        if (old[next].rule == rule) {
            return NGX_DECLINED;
        }
    }

    match.rule = rule;
    match.hits = hits;
    match.next = *found;

    ngx_pulse_buf_append(&trie->matches, (u_char *) &match, sizeof(match));

    if (trie->matches.failed) {
        return NGX_ERROR;
    }

    *found = trie->nmatches++;

    return NGX_OK;
}


ngx_int_t
ngx_pulse_moderation_trie_finish(ngx_pulse_moderation_trie_t *trie,
    ngx_pool_t *pool, ngx_pulse_moderation_rules_t *rules)
{
    uint32_t    *queue, *rows, *found, next;
    ngx_uint_t   i, n;

    queue = ngx_alloc(2 * trie->nstates * sizeof(uint32_t), pool->log);
    if (queue == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_moderation_trie_complete(trie, queue, queue + trie->nstates);

    ngx_free(queue);

    rules->next = ngx_palloc(pool, trie->rows.len);
    rules->found = ngx_palloc(pool, trie->found.len);
    rules->matches = ngx_palloc(pool, trie->matches.len);

    if (rules->next == NULL || rules->found == NULL
        || rules->matches == NULL)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(rules->found, trie->found.data, trie->found.len);
    ngx_memcpy(rules->matches, trie->matches.data, trie->matches.len);

    /* a reader wants to know where the next row is and if something ends
     * there */

    rows = (uint32_t *) trie->rows.data;
    found = (uint32_t *) trie->found.data;
    n = trie->nstates * NGX_PULSE_FOLD_SYMBOLS;

    for (i = 0; i < n; i++) {
        next = rows[i];
        rules->next[i] = next * NGX_PULSE_FOLD_SYMBOLS << 1
                         | (found[next] != 0);
    }

    rules->begin = rules->next[NGX_PULSE_FOLD_BOUNDARY] >> 1;

    return NGX_OK;
}


/*
 * Breadth first, so that what a state falls back to is complete before it: a
 * symbol that leads nowhere leads where the longest suffix that is a state
 * is led, and what ends there ends here.
 */

static void
ngx_pulse_moderation_trie_complete(ngx_pulse_moderation_trie_t *trie,
    uint32_t *queue, uint32_t *fail)
{
    uint32_t                      *row, *back, *found, state, next, first,
                                   last;
    ngx_uint_t                     symbol;
    ngx_pulse_moderation_match_t  *matches;

    found = (uint32_t *) trie->found.data;
    matches = (ngx_pulse_moderation_match_t *) trie->matches.data;

    first = 0;
    last = 1;
    queue[0] = 0;
    fail[0] = 0;

    while (first < last) {
        state = queue[first++];

        row = ngx_pulse_moderation_row(trie, state);
        back = ngx_pulse_moderation_row(trie, fail[state]);

        for (symbol = 0; symbol < NGX_PULSE_FOLD_SYMBOLS; symbol++) {
            next = row[symbol];

            if (next == 0) {
                row[symbol] = back[symbol];
                continue;
            }

            fail[next] = (state == 0) ? 0 : back[symbol];
            queue[last++] = next;
        }

        if (state == 0) {
            continue;
        }

        /* its own come first and end with those of the suffix */

        if (found[state] == 0) {
            found[state] = found[fail[state]];
            continue;
        }

        for (next = found[state]; matches[next].next; /* void */ ) {
            next = matches[next].next;
        }

        matches[next].next = found[fail[state]];
    }
}
