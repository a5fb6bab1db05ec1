
#include "ngx_pulse_openai.h"
