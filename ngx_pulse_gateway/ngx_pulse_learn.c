
#include "ngx_pulse_learn.h"


#define NGX_PULSE_LEARN_MAX     (2 * NGX_PULSE_LEARN_ONE)
#define NGX_PULSE_LEARN_MIN     (NGX_PULSE_LEARN_ONE / 2)
#define NGX_PULSE_LEARN_WEAR    256     /* samples, roughly */
#define NGX_PULSE_LEARN_SLOW    64


static uint64_t ngx_pulse_learn_hash(uint64_t hash, const ngx_str_t *s);
static uint32_t ngx_pulse_learn_ratio(uint64_t prompt, uint64_t estimate);
static uint32_t ngx_pulse_learn_step(uint32_t from, uint32_t to,
    uint32_t part);


ngx_pulse_learned_t *
ngx_pulse_learn_find(ngx_pulse_learned_t *table, const ngx_str_t *provider,
    const ngx_str_t *model, ngx_uint_t create)
{
    uint64_t              key;
    ngx_uint_t            i;
    ngx_pulse_learned_t  *learned;

    static const ngx_str_t  colon = ngx_string(":");

    key = ngx_pulse_learn_hash(14695981039346656037ull, provider);
    key = ngx_pulse_learn_hash(key, &colon);
    key = ngx_pulse_learn_hash(key, model) | 1;

    for (i = 0; i < NGX_PULSE_LEARN_MODELS; i++) {
        learned = &table[(key / 2 + i) % NGX_PULSE_LEARN_MODELS];

        /* factors are 0 until the first sample: nothing else is to be set */

        if (learned->key == 0) {

            if (!create) {
                return NULL;
            }

            (void) __sync_bool_compare_and_swap(&learned->key, 0, key);
        }

        if (learned->key == key) {
            return learned;
        }
    }

    return NULL;
}


/* FNV-1a */

static uint64_t
ngx_pulse_learn_hash(uint64_t hash, const ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        hash = (hash ^ s->data[i]) * 1099511628211ull;
    }

    return hash;
}


uint64_t
ngx_pulse_learn_bound(const ngx_pulse_learned_t *learned, uint64_t bound)
{
    if (learned == NULL || learned->bound <= NGX_PULSE_LEARN_ONE) {
        return bound;
    }

    return (bound * learned->bound + NGX_PULSE_LEARN_ONE - 1)
           / NGX_PULSE_LEARN_ONE;
}


uint64_t
ngx_pulse_learn_likely(const ngx_pulse_learned_t *learned, uint64_t likely)
{
    if (learned == NULL || learned->likely == 0) {
        return likely;
    }

    return (likely * learned->likely + NGX_PULSE_LEARN_ONE - 1)
           / NGX_PULSE_LEARN_ONE;
}


void
ngx_pulse_learn_note(ngx_pulse_learned_t *learned, uint64_t bound,
    uint64_t likely, uint64_t prompt)
{
    uint32_t  known, ratio;

    if (bound == 0 || likely == 0 || prompt < NGX_PULSE_LEARN_LEAST) {
        return;
    }

    learned->samples++;

    known = ngx_max(learned->bound, NGX_PULSE_LEARN_ONE);
    ratio = ngx_max(ngx_pulse_learn_ratio(prompt, bound),
                    NGX_PULSE_LEARN_ONE);

    /* up by half of what is missing, down slowly */

    learned->bound = ngx_pulse_learn_step(known, ratio,
                                   ratio > known ? 2 : NGX_PULSE_LEARN_WEAR);

    known = learned->likely ? learned->likely : NGX_PULSE_LEARN_ONE;
    ratio = ngx_pulse_learn_ratio(prompt, likely);

    learned->likely = ngx_pulse_learn_step(known, ratio,
                                           NGX_PULSE_LEARN_SLOW);
}


static uint32_t
ngx_pulse_learn_ratio(uint64_t prompt, uint64_t estimate)
{
    if (prompt >= 2 * estimate) {
        return NGX_PULSE_LEARN_MAX;
    }

    if (prompt <= estimate / 2) {
        return NGX_PULSE_LEARN_MIN;
    }

    return (prompt * NGX_PULSE_LEARN_ONE + estimate - 1) / estimate;
}


/* a part of the way, one at least */

static uint32_t
ngx_pulse_learn_step(uint32_t from, uint32_t to, uint32_t part)
{
    if (to > from) {
        return from + (to - from + part - 1) / part;
    }

    return from - (from - to + part - 1) / part;
}
