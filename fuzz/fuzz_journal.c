
#include "unit.h"
#include "ngx_pulse_journal.h"


/*
 * A file of anything with true records put into it: the reader ends, never
 * skips more than there is, finds every record that was put in, and what it
 * takes for one writes the same bytes again.
 */

#define FUZZ_EVERY  97


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t fuzz_put(u_char *p, u_char n);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                      *p, *last, out[NGX_PULSE_JOURNAL_MAX];
    size_t                       i, n, len, used, garbage;
    ngx_uint_t                   put, found;
    ngx_pulse_journal_record_t   record;

    p = malloc(size + (size / FUZZ_EVERY + 1) * NGX_PULSE_JOURNAL_MAX);
    last = p;
    put = 0;

    for (i = 0; i < size; i += n) {
        n = ngx_min(size - i, FUZZ_EVERY);
        memcpy(last, data + i, n);
        last += n;

        if (data[i] & 1) {
            last += fuzz_put(last, data[i]);
            put++;
        }
    }

    len = last - p;
    last = malloc(len ? len : 1);
    memcpy(last, p, len);
    free(p);

    for (i = 0, found = 0; i < len; i += used) {

        if (ngx_pulse_journal_read(last + i, len - i, &record, &used,
                                   &garbage)
            != NGX_OK)
        {
            if (used > len - i || garbage != used) {
                abort();
            }

            break;
        }

        n = ngx_pulse_journal_write(out, &record);

        /* flags that mean nothing yet are not kept */

        if (used != garbage + n
            || memcmp(out + 12, last + i + garbage + 12, n - 12) != 0)
        {
            abort();
        }

        found++;
    }

    if (found < put) {
        abort();
    }

    free(last);

    return 0;
}


static size_t
fuzz_put(u_char *p, u_char n)
{
    ngx_pulse_journal_record_t  record;

    memset(&record, 0, sizeof(record));

    record.type = n % 4 + 1;
    record.kind = n % 3;
    record.amount = n;
    record.model_len = n % (NGX_PULSE_JOURNAL_MODEL + 1);
    memset(record.model, n, record.model_len);

    return ngx_pulse_journal_write(p, &record);
}
