
#include "unit.h"
#include "ngx_pulse_openai.h"


/*
 * A request as a vendor takes it: the first byte says which quirks it has.
 * What was JSON still is, and a second time changes nothing.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ngx_int_t fuzz_vendor(ngx_str_t *body, ngx_uint_t quirks,
    ngx_pulse_buf_t *b);


static ngx_pulse_chat_parameter_t  fuzz_parameters[] = {
    { ngx_string("seed"), ngx_string("random_seed") },
    { ngx_string("n"), ngx_null_string },
    { ngx_string("stop"), ngx_null_string },
    { ngx_string("stream_options"), ngx_null_string }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t         body, text;
    ngx_pulse_buf_t   b, again;

    if (size < 2) {
        return 0;
    }

    /* a block of its own, so that a read past its end is seen */

    body.len = size - 1;
    body.data = malloc(body.len);
    memcpy(body.data, data + 1, body.len);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&again, 0);

    if (fuzz_vendor(&body, data[0], &b) == NGX_OK) {
        text.data = b.data;
        text.len = b.len;

        /* a name with escapes is left with null, which is the same again */

        if (fuzz_vendor(&text, data[0], &again) == NGX_ERROR
            || (again.len && (again.len != b.len
                              || memcmp(again.data, b.data, b.len) != 0)))
        {
            abort();
        }
    }

    ngx_pulse_buf_free(&again);
    ngx_pulse_buf_free(&b);
    free(body.data);

    return 0;
}


static ngx_int_t
fuzz_vendor(ngx_str_t *body, ngx_uint_t quirks, ngx_pulse_buf_t *b)
{
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    ngx_pulse_target_t     target;
    ngx_pulse_dropped_t    dropped;

    memset(&target, 0, sizeof(target));
    memset(&dropped, 0, sizeof(dropped));

    target.parameters = fuzz_parameters;
    target.nparameters = (quirks & 1) ? 4 : 0;
    target.named_choice = (quirks & 2) != 0;
    target.forced_choice = (quirks & 4) != 0;
    target.developer = (quirks & 8) != 0;
    target.thinking_off = (quirks & 16) != 0;

    pool = unit_pool();
    rc = ngx_pulse_openai_vendor(body, pool, &target, &dropped, b);
    ngx_destroy_pool(pool);

    return rc;
}
