
#ifndef _NGX_PULSE_TOKENS_H_INCLUDED_
#define _NGX_PULSE_TOKENS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what providers put prompts of their own around, if it is asked for */

#define NGX_PULSE_TOKENS_TOOLS     0x01
#define NGX_PULSE_TOKENS_SCHEMA    0x02
#define NGX_PULSE_TOKENS_THINKING  0x04


/*
 * How many tokens a text is, without the provider's tokenizer.  Three figures
 * come of one pass: "bound" is what no tokenizer in use passes on real text,
 * for reservations; "likely" is what texts come to on average, for what is
 * charged when a provider never said; "floor" is what none goes below, for
 * telling that an answer has passed its limit.
 */

typedef struct {
    uint64_t     bound;         /* tokens */
    uint64_t     ascii;         /* characters by the length in UTF-8 */
    uint64_t     pairs;         /* Arabic, Cyrillic, Greek, accented Latin */
    uint64_t     triples;       /* CJK, Indic */
    uint64_t     quads;         /* emoji */
    uint64_t     extra;         /* tokens added to both as they are */
    ngx_uint_t   frames;        /* NGX_PULSE_TOKENS_*, of a prompt */
} ngx_pulse_tokens_t;


/* Adds a text (UTF-8). */
void ngx_pulse_tokens_add(ngx_pulse_tokens_t *t, const u_char *p, size_t len);

/*
 * Adds what a model has written, where "bound" is not wanted: nothing is
 * reserved for it any more.
 */
void ngx_pulse_tokens_add_written(ngx_pulse_tokens_t *t, const u_char *p,
    size_t len);

/* Adds tokens that are not text: framing, images. */
void ngx_pulse_tokens_extra(ngx_pulse_tokens_t *t, uint64_t n);

uint64_t ngx_pulse_tokens_bound(const ngx_pulse_tokens_t *t);
uint64_t ngx_pulse_tokens_likely(const ngx_pulse_tokens_t *t);
uint64_t ngx_pulse_tokens_floor(const ngx_pulse_tokens_t *t);


#endif /* _NGX_PULSE_TOKENS_H_INCLUDED_ */
