
#include "ngx_pulse_price.h"


void
ngx_pulse_price_init(ngx_pulse_price_t *price)
{
    ngx_uint_t  i;

    price->from = 0;
    price->above = 0;

    for (i = 0; i < NGX_PULSE_PRICE_PARTS; i++) {
        price->rates[i] = NGX_PULSE_PRICE_UNKNOWN;
    }
}


const ngx_pulse_price_t *
ngx_pulse_price_find(const ngx_pulse_price_t *prices, ngx_uint_t nprices,
    int64_t now, uint64_t prompt)
{
    ngx_uint_t                i;
    const ngx_pulse_price_t  *price, *found;

    found = NULL;

    for (i = 0; i < nprices; i++) {
        price = &prices[i];

        if (price->from > now
            || (price->above && prompt <= (uint64_t) price->above))
        {
            continue;
        }

        if (found == NULL
            || price->from > found->from
            || (price->from == found->from && price->above > found->above))
        {
            found = price;
        }
    }

    return found;
}


/* Parts that are inside others are taken out of them; a provider whose parts
 * are more than the whole is believed in the parts. */

void
ngx_pulse_price_counts(const ngx_pulse_chat_usage_t *usage,
    uint64_t counts[NGX_PULSE_PRICE_PARTS])
{
    uint64_t  hour, inside;

    hour = ngx_min(usage->cache_hour, usage->cache_write);
    inside = usage->cached + usage->cache_write;

    ngx_memzero(counts, NGX_PULSE_PRICE_PARTS * sizeof(uint64_t));

    counts[NGX_PULSE_PRICE_INPUT] = (usage->input > inside)
                                    ? usage->input - inside : 0;
    counts[NGX_PULSE_PRICE_CACHED] = usage->cached;
    counts[NGX_PULSE_PRICE_CACHE_WRITE] = usage->cache_write - hour;
    counts[NGX_PULSE_PRICE_CACHE_HOUR] = hour;
    counts[NGX_PULSE_PRICE_OUTPUT] = (usage->output > usage->reasoning)
                                     ? usage->output - usage->reasoning : 0;
    counts[NGX_PULSE_PRICE_REASONING] = usage->reasoning;
}


int64_t
ngx_pulse_price_sum(const ngx_pulse_price_t *price,
    const uint64_t counts[NGX_PULSE_PRICE_PARTS])
{
    int64_t     rate, part, sum;
    ngx_uint_t  i;

    sum = 0;

    for (i = 0; i < NGX_PULSE_PRICE_PARTS; i++) {

        if (counts[i] == 0) {
            continue;
        }

        rate = price->rates[i];

        if (rate == NGX_PULSE_PRICE_UNKNOWN && i == NGX_PULSE_PRICE_REASONING)
        {
            rate = price->rates[NGX_PULSE_PRICE_OUTPUT];
        }

        if (rate == NGX_PULSE_PRICE_UNKNOWN
            || __builtin_mul_overflow(rate, counts[i], &part)
            || __builtin_add_overflow(sum, part, &sum))
        {
            return NGX_PULSE_PRICE_UNKNOWN;
        }
    }

    return sum;
}
