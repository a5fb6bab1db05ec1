
#include "unit.h"
#include "ngx_pulse_moderation.h"


/*
 * The first byte says what follows: rules, which are read or refused with
 * their line, and find what they find in themselves; else a text, in which
 * the same is found wherever it is cut, of which a second text knows nothing,
 * and in which a word that is added behind is found, too.
 */


#define FUZZ_RULES                                                            \
    "[violence]\nzorb* ! zorbay, zorbard*, bath zorb\nbuild a flarn\n"        \
    "زمبلة\nصنع متفرقعات ! صنع متفرقعات العيد\n"                              \
    "[hate]\nass ! smart ass\n*grox*\nkill yourself\n"

#define FUZZ_ADDED  "\n\nxgroxx\n"
#define FUZZ_HATE   2


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_file(const u_char *text, size_t len);
static void fuzz_text(const u_char *text, size_t len, u_char cut);
static uint32_t fuzz_cut(const ngx_pulse_moderation_rules_t *rules,
    const u_char *text, size_t len, size_t step);
static const ngx_pulse_moderation_rules_t *fuzz_rules(void);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char  *text;

    if (size < 2) {
        return 0;
    }

    /* a block of its own, so that a read past its end is seen */

    text = malloc(size - 2 + (size == 2));
    memcpy(text, data + 2, size - 2);

    if (data[0] % 4 == 0) {
        fuzz_file(text, size - 2);

    } else {
        fuzz_text(text, size - 2, data[1]);
    }

    free(text);

    return 0;
}


static void
fuzz_file(const u_char *text, size_t len)
{
    size_t                         i, lines;
    ngx_str_t                      s;
    ngx_pool_t                    *pool;
    ngx_pulse_moderation_fault_t   fault;
    ngx_pulse_moderation_rules_t  *rules;

    s.data = (u_char *) text;
    s.len = len;

    fault.line = 0;
    fault.reason = NULL;

    pool = unit_pool();
    rules = ngx_pulse_moderation_read(pool, &s, &fault);

    if (rules) {
        if (rules->nrules == 0
            || rules->ncategories > NGX_PULSE_MODERATION_CATEGORIES
            || rules->nexcepted > NGX_PULSE_MODERATION_EXCEPTED
            || fuzz_cut(rules, text, len, len) != fuzz_cut(rules, text, len,
                                                           1))
        {
            abort();
        }

    } else {
        for (i = 0, lines = 1; i < len; i++) {
            lines += (text[i] == '\n');
        }

        if (fault.reason == NULL || fault.line == 0 || fault.line > lines) {
            abort();
        }
    }

    ngx_destroy_pool(pool);
}


static void
fuzz_text(const u_char *text, size_t len, u_char cut)
{
    uint32_t                             whole;
    ngx_pulse_moderation_t               m;
    const ngx_pulse_moderation_rules_t  *rules;

    rules = fuzz_rules();
    whole = fuzz_cut(rules, text, len, len);

    if (fuzz_cut(rules, text, len, 1) != whole
        || fuzz_cut(rules, text, len, cut) != whole)
    {
        abort();
    }

    ngx_pulse_moderation_start(&m, rules);

    ngx_pulse_moderation_feed(&m, text, len);
    (void) ngx_pulse_moderation_end(&m);

    ngx_pulse_moderation_feed(&m, text, len);

    if (ngx_pulse_moderation_end(&m) != whole || m.categories != whole) {
        abort();
    }

    ngx_pulse_moderation_feed(&m, text, len);
    ngx_pulse_moderation_feed(&m, (u_char *) FUZZ_ADDED,
                              sizeof(FUZZ_ADDED) - 1);

    if (!(ngx_pulse_moderation_end(&m) & FUZZ_HATE)) {
        abort();
    }
}


static uint32_t
fuzz_cut(const ngx_pulse_moderation_rules_t *rules, const u_char *text,
    size_t len, size_t step)
{
    size_t                   n;
    ngx_pulse_moderation_t   m;

    ngx_pulse_moderation_start(&m, rules);

    while (len) {
        n = (step == 0 || step > len) ? len : step;

        ngx_pulse_moderation_feed(&m, text, n);

        text += n;
        len -= n;
    }

    return ngx_pulse_moderation_end(&m);
}


static const ngx_pulse_moderation_rules_t *
fuzz_rules(void)
{
    ngx_str_t                      text;
    ngx_pulse_moderation_fault_t   fault;

    /* both are kept to the end */

    static ngx_pool_t                    *pool;
    static ngx_pulse_moderation_rules_t  *rules;

    if (rules == NULL) {
        ngx_str_set(&text, FUZZ_RULES);

        pool = unit_pool();
        rules = ngx_pulse_moderation_read(pool, &text, &fault);

        if (rules == NULL) {
            abort();
        }
    }

    return rules;
}
