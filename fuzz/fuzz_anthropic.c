
#include "harness.h"
#include "ngx_pulse_anthropic.h"


static const fuzz_dialect_t  fuzz_anthropic = {
    &ngx_pulse_dialect_anthropic, NULL, 1
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_dialect(&fuzz_anthropic, data, size);

    return 0;
}
