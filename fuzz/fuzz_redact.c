
#include "unit.h"
#include "ngx_pulse_json.h"
#include "ngx_pulse_redact.h"


/*
 * A text with something of ours, which is gone afterwards: what was JSON
 * still is, nothing but stars and nines is new, and a second time changes nothing.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ngx_uint_t fuzz_json(const u_char *text, size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char      *text, *again;
    size_t       i;
    ngx_str_t    key;
    ngx_uint_t   json;

    ngx_str_set(&key, "our-key-0123");

    /* blocks of their own, so that a read past an end is seen */

    text = malloc(size + (size == 0));
    again = malloc(size + (size == 0));
    memcpy(text, data, size);

    json = fuzz_json(text, size);

    ngx_pulse_redact(text, size, &key);

    for (i = 0; i < size; i++) {
        if (text[i] != data[i] && text[i] != '*' && text[i] != '9') {
            abort();
        }
    }

    if (memmem(text, size, key.data, key.len)
        || (json && !fuzz_json(text, size)))
    {
        abort();
    }

    memcpy(again, text, size);
    ngx_pulse_redact(again, size, &key);

    if (memcmp(again, text, size) != 0) {
        abort();
    }

    free(again);
    free(text);

    return 0;
}


static ngx_uint_t
fuzz_json(const u_char *text, size_t len)
{
    ngx_pool_t              *pool;
    ngx_uint_t               rc;
    ngx_pulse_json_error_t   err;

    pool = unit_pool();
    rc = (ngx_pulse_json_tree(pool, text, len, NULL, &err) != NULL);
    ngx_destroy_pool(pool);

    return rc;
}
