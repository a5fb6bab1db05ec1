
#include "harness.h"
#include "ngx_pulse_openai.h"


static const fuzz_dialect_t  fuzz_openai_dialect = {
    &ngx_pulse_dialect_openai, NULL, 0
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_dialect(&fuzz_openai_dialect, data, size);

    return 0;
}
