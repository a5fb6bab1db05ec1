
#include "harness.h"
#include "ngx_pulse_responses.h"


static const fuzz_dialect_t  fuzz_responses = {
    &ngx_pulse_dialect_responses, NULL, 1
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_dialect(&fuzz_responses, data, size);

    return 0;
}
