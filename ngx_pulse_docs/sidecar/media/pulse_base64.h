
#ifndef _PULSE_BASE64_H_INCLUDED_
#define _PULSE_BASE64_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Base64 of RFC 4648, section 4, as it arrives.  Line ends in it are passed
 * over, and padding need not be there.
 */

typedef struct {
    uint32_t     bits;
    unsigned     n:3;               /* characters that wait, 0 to 3 */
    unsigned     padded:2;
} pulse_base64_t;


/* The most that "len" characters can be, with what waits. */
#define pulse_base64_room(len)  ((len) / 4 * 3 + 6)


void pulse_base64_init(pulse_base64_t *b);

/* Decodes into "out"; how many bytes, or NGX_ERROR: it is none. */
ssize_t pulse_base64_decode(pulse_base64_t *b, const u_char *p, size_t len,
    u_char *out);

/* The last bytes, up to two; NGX_ERROR if it cannot end here. */
ssize_t pulse_base64_end(pulse_base64_t *b, u_char *out);


#endif /* _PULSE_BASE64_H_INCLUDED_ */
