
#include "unit.h"
#include "ngx_pulse_sse.h"


/*
 * A stream as one piece and the same in pieces give the same events, and the
 * raw parts of either are the input again.  The first byte says how the
 * pieces are cut.
 */

typedef struct {
    ngx_pulse_buf_t  raw;
    ngx_pulse_buf_t  seen;
} fuzz_events_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_run(fuzz_events_t *events, const uint8_t *data, size_t size,
    size_t piece);
static ngx_int_t fuzz_handler(void *ctx, ngx_pulse_sse_event_t *ev);
static void fuzz_string(ngx_pulse_buf_t *b, ngx_str_t *s);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_events_t  whole, parts;

    if (size < 1) {
        return 0;
    }

    fuzz_run(&whole, data + 1, size - 1, size);
    fuzz_run(&parts, data + 1, size - 1, data[0] % 16 + 1);

    if (whole.raw.len != size - 1
        || (size > 1 && memcmp(whole.raw.data, data + 1, size - 1) != 0))
    {
        abort();
    }

    if (parts.raw.len != size - 1
        || (size > 1 && memcmp(parts.raw.data, data + 1, size - 1) != 0))
    {
        abort();
    }

    if (whole.seen.len != parts.seen.len
        || (whole.seen.len
            && memcmp(whole.seen.data, parts.seen.data, whole.seen.len) != 0))
    {
        abort();
    }

    ngx_pulse_buf_free(&whole.raw);
    ngx_pulse_buf_free(&whole.seen);
    ngx_pulse_buf_free(&parts.raw);
    ngx_pulse_buf_free(&parts.seen);

    return 0;
}


static void
fuzz_run(fuzz_events_t *events, const uint8_t *data, size_t size,
    size_t piece)
{
    size_t           n;
    u_char          *p;
    ngx_pulse_sse_t  sse;

    ngx_pulse_buf_init(&events->raw, 0);
    ngx_pulse_buf_init(&events->seen, 0);

    ngx_pulse_sse_init(&sse, 0, fuzz_handler, events);

    while (size) {
        n = ngx_min(size, piece);

        /* a block of its own, so that a read past its end is seen */

        p = malloc(n);
        memcpy(p, data, n);

        if (ngx_pulse_sse_feed(&sse, p, n) != NGX_OK) {
            abort();
        }

        free(p);

        data += n;
        size -= n;
    }

    if (ngx_pulse_sse_finish(&sse) != NGX_OK) {
        abort();
    }

    ngx_pulse_sse_free(&sse);
}


static ngx_int_t
fuzz_handler(void *ctx, ngx_pulse_sse_event_t *ev)
{
    fuzz_events_t *events = ctx;

    ngx_pulse_buf_str(&events->raw, &ev->raw);

    /* where a CRLF is cut its LF may come as an empty block */

    if (ev->has_data || ev->name.len) {
        ngx_pulse_buf_int(&events->seen, ev->has_data);
        fuzz_string(&events->seen, &ev->name);
        fuzz_string(&events->seen, &ev->data);
    }

    return NGX_OK;
}


static void
fuzz_string(ngx_pulse_buf_t *b, ngx_str_t *s)
{
    ngx_pulse_buf_int(b, s->len);
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_str(b, s);
}
