
#ifndef _NGX_PULSE_LEARN_H_INCLUDED_
#define _NGX_PULSE_LEARN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What answers taught about the estimates of a model's prompts: two factors,
 * in 1024ths, in a table that workers share without a lock.  Each is one
 * word; two workers at once may lose one sample, never spoil a factor.
 *
 * "bound" corrects what is reserved.  It never goes below 1: a person whose
 * prompts are all cheap must not make those of others too dear to cover.  It
 * never passes 2: one who sends what tokenizers do badly can make others
 * reserve twice as much and no more, and it wears off.  "likely" corrects
 * what is charged where a provider never said, and is slow for both reasons.
 * The table starts empty with every start of nginx, which is the state that
 * was measured to be right without it.
 */

#define NGX_PULSE_LEARN_ONE      1024
#define NGX_PULSE_LEARN_MODELS   1024

/* prompts that are shorter say more of framing than of texts */

#define NGX_PULSE_LEARN_LEAST    32


typedef struct {
    volatile uint64_t    key;           /* of the name, 0: free */
    volatile uint32_t    bound;
    volatile uint32_t    likely;
    volatile uint32_t    samples;
    volatile uint32_t    warned;        /* that it has no price */
} ngx_pulse_learned_t;


/* The entry of a provider's model.  NULL if there is none; with "create" it
 * is made, unless the table is full (NGX_PULSE_LEARN_MODELS entries, zeroed
 * once): only for models that have answered, as names come from clients. */
ngx_pulse_learned_t *ngx_pulse_learn_find(ngx_pulse_learned_t *table,
    const ngx_str_t *provider, const ngx_str_t *model, ngx_uint_t create);

/* Estimates with what was learned; "learned" may be NULL. */
uint64_t ngx_pulse_learn_bound(const ngx_pulse_learned_t *learned,
    uint64_t bound);
uint64_t ngx_pulse_learn_likely(const ngx_pulse_learned_t *learned,
    uint64_t likely);

/* An answer came: both estimates of its prompt, without what was learned,
 * and the provider's own figure. */
void ngx_pulse_learn_note(ngx_pulse_learned_t *learned, uint64_t bound,
    uint64_t likely, uint64_t prompt);


#endif /* _NGX_PULSE_LEARN_H_INCLUDED_ */
