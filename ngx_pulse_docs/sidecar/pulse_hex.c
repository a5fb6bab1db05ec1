
#include "pulse_hex.h"


void
pulse_hex(char *text, const u_char *bytes, size_t n)
{
    size_t  i;

    static const char  digits[] = "0123456789abcdef";

    for (i = 0; i < n; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 0xf];
    }

    *text = '\0';
}
