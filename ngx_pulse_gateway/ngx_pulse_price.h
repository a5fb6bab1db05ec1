
#ifndef _NGX_PULSE_PRICE_H_INCLUDED_
#define _NGX_PULSE_PRICE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_chat.h"


/*
 * What an answer costs us, in nano-USD.  Rates are integers: of a token, a
 * picture or a second.  A sum is exact or not known; it never wraps.
 */

#define NGX_PULSE_PRICE_UNKNOWN      -1

#define NGX_PULSE_PRICE_INPUT        0
#define NGX_PULSE_PRICE_CACHED       1
#define NGX_PULSE_PRICE_CACHE_WRITE  2
#define NGX_PULSE_PRICE_CACHE_HOUR   3      /* written to last an hour */
#define NGX_PULSE_PRICE_OUTPUT       4
#define NGX_PULSE_PRICE_REASONING    5      /* where not said: as output */
#define NGX_PULSE_PRICE_IMAGE        6
#define NGX_PULSE_PRICE_SECOND       7
#define NGX_PULSE_PRICE_PARTS        8


/* Rates from a day on, for prompts of more than so many tokens. */

typedef struct {
    int64_t      from;                  /* unix seconds; 0: ever */
    int64_t      above;                 /* tokens; 0: any prompt */
    int64_t      rates[NGX_PULSE_PRICE_PARTS];
} ngx_pulse_price_t;


/* Sets all rates to unknown. */
void ngx_pulse_price_init(ngx_pulse_price_t *price);

/*
 * The rates in force: of those with the latest "from" that is not after
 * "now", the ones with the highest "above" that the prompt passes.  The
 * whole request is charged at them, as vendors do.  NULL: none.
 */
const ngx_pulse_price_t *ngx_pulse_price_find(const ngx_pulse_price_t *prices,
    ngx_uint_t nprices, int64_t now, uint64_t prompt);

/* How many of each part an answer had. */
void ngx_pulse_price_counts(const ngx_pulse_chat_usage_t *usage,
    uint64_t counts[NGX_PULSE_PRICE_PARTS]);

/* The sum, or NGX_PULSE_PRICE_UNKNOWN: a part that was used has no rate, or
 * the sum does not fit. */
int64_t ngx_pulse_price_sum(const ngx_pulse_price_t *price,
    const uint64_t counts[NGX_PULSE_PRICE_PARTS]);


#endif /* _NGX_PULSE_PRICE_H_INCLUDED_ */
