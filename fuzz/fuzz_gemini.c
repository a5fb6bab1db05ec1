
#include "harness.h"
#include "ngx_pulse_gemini.h"


static const fuzz_dialect_t  fuzz_gemini = {
    &ngx_pulse_dialect_gemini, ngx_pulse_gemini_write_error, 1
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_dialect(&fuzz_gemini, data, size);

    return 0;
}
