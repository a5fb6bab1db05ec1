
#include "ngx_pulse_anthropic.h"


static ngx_uint_t ngx_pulse_anthropic_figure(const ngx_pulse_json_value_t *v,
    const char *key, uint64_t *n);
static void ngx_pulse_anthropic_passes(ngx_pulse_anthropic_usage_t *usage,
    const ngx_pulse_json_value_t *passes);


/* figures are cumulative: what is said replaces, field by field */

void
ngx_pulse_anthropic_read_usage(ngx_pulse_anthropic_usage_t *usage,
    const ngx_pulse_json_value_t *v)
{
    ngx_uint_t               broken;
    ngx_pulse_json_value_t  *passes, *creation;

    (void) ngx_pulse_anthropic_figure(v, "input_tokens", &usage->input);
    (void) ngx_pulse_anthropic_figure(v, "output_tokens", &usage->output);
    (void) ngx_pulse_anthropic_figure(v, "cache_read_input_tokens",
                                      &usage->cache_read);
    (void) ngx_pulse_anthropic_figure(v, "cache_creation_input_tokens",
                                      &usage->cache_creation);
    (void) ngx_pulse_anthropic_figure(
                                ngx_pulse_member(v, "output_tokens_details"),
                                "thinking_tokens", &usage->thinking);

    creation = ngx_pulse_member(v, "cache_creation");

    broken = ngx_pulse_anthropic_figure(creation, "ephemeral_5m_input_tokens",
                                        &usage->minutes);
    broken |= ngx_pulse_anthropic_figure(creation, "ephemeral_1h_input_tokens",
                                         &usage->hour);

    if (broken && usage->cache_creation == 0) {
        usage->cache_creation = usage->minutes + usage->hour;
    }

    passes = ngx_pulse_member(v, "iterations");

    if (passes && passes->type == NGX_PULSE_JSON_ARRAY && passes->nelts) {
        ngx_pulse_anthropic_passes(usage, passes);
    }
}


static ngx_uint_t
ngx_pulse_anthropic_figure(const ngx_pulse_json_value_t *v, const char *key,
    uint64_t *n)
{
    int64_t                  value;
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_member(v, key);

    if (member == NULL || member->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&member->string, &value) != NGX_OK
        || value < 0 || value > INT32_MAX)
    {
        return 0;
    }

    *n = value;

    return 1;
}


/* passes that the figures at the top leave out are billed all the same */

static void
ngx_pulse_anthropic_passes(ngx_pulse_anthropic_usage_t *usage,
    const ngx_pulse_json_value_t *passes)
{
    ngx_pulse_chat_usage_t        one;
    ngx_pulse_json_value_t       *v;
    ngx_pulse_anthropic_usage_t   figures;

    ngx_memzero(&usage->passes, sizeof(ngx_pulse_chat_usage_t));

    for (v = passes->children; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT
            || ngx_pulse_json_get(v, "iterations") != NULL)
        {
            continue;
        }

        ngx_memzero(&figures, sizeof(ngx_pulse_anthropic_usage_t));

        ngx_pulse_anthropic_read_usage(&figures, v);
        ngx_pulse_anthropic_normalize(&figures, &one);

        usage->passes.input += one.input;
        usage->passes.cached += one.cached;
        usage->passes.cache_write += one.cache_write;
        usage->passes.cache_hour += one.cache_hour;
        usage->passes.output += one.output;
        usage->passes.reasoning += one.reasoning;
        usage->passes.known = 1;
    }
}


void
ngx_pulse_anthropic_normalize(const ngx_pulse_anthropic_usage_t *usage,
    ngx_pulse_chat_usage_t *to)
{
    ngx_memzero(to, sizeof(ngx_pulse_chat_usage_t));

    to->input = usage->input + usage->cache_creation + usage->cache_read;
    to->cached = usage->cache_read;
    to->cache_write = usage->cache_creation;
    to->output = usage->output;
    to->reasoning = ngx_min(usage->thinking, usage->output);

    /* the breakdown may be older than the sum */

    to->cache_hour = (usage->minutes == 0 && usage->hour)
                     ? usage->cache_creation
                     : ngx_min(usage->hour, usage->cache_creation);

    if (usage->passes.known) {
        *to = usage->passes;
        to->known = 0;

        if (to->reasoning == 0) {
            to->reasoning = ngx_min(usage->thinking, to->output);
        }
    }
}
