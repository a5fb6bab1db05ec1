
#include "unit_form.h"


/*
 * A stream of the dialect that the first byte names, read twice: what is known
 * of an event by its form must be what reading it says.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ngx_int_t fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev);


static ngx_pulse_dialect_t  *fuzz_dialects[] = {
    &ngx_pulse_dialect_openai, &ngx_pulse_dialect_responses,
    &ngx_pulse_dialect_anthropic, &ngx_pulse_dialect_gemini
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unit_form_t      f;
    ngx_pulse_sse_t  sse;

    if (size == 0) {
        return 0;
    }

    unit_form_start(&f, fuzz_dialects[data[0] % 4]);
    ngx_pulse_sse_init(&sse, 65536, fuzz_event, &f);

    if (ngx_pulse_sse_feed(&sse, (u_char *) data + 1, size - 1) == NGX_OK) {
        (void) ngx_pulse_sse_finish(&sse);
    }

    ngx_pulse_sse_free(&sse);
    unit_form_end(&f);

    return 0;
}


static ngx_int_t
fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev)
{
    if (ev->has_data && !unit_form_event(ctx, ev)) {
        abort();
    }

    return NGX_OK;
}
