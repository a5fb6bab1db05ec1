
#ifndef _PULSE_FUZZ_HARNESS_H_INCLUDED_
#define _PULSE_FUZZ_HARNESS_H_INCLUDED_


#include "unit.h"


/*
 * What fuzzers of dialects have in common.  The first byte chooses: a
 * request, which once written must be read again and come to a form that
 * stays; a stream or a whole answer, of which the stream and the answer
 * written for a client must be read again; an error.  The second says what
 * the model takes.
 */

typedef struct {
    ngx_pulse_dialect_t   *dialect;

    /* an error as a client gets it, or NULL */

    void                 (*write_error)(const ngx_pulse_chat_error_t *error,
                                        ngx_uint_t status,
                                        ngx_pulse_buf_t *b);

    /* what is written first already stays */

    unsigned               settled:1;
} fuzz_dialect_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes one input; aborts if something is not as it is said above. */
void fuzz_dialect(const fuzz_dialect_t *fuzz, const uint8_t *data,
    size_t size);


#endif /* _PULSE_FUZZ_HARNESS_H_INCLUDED_ */
