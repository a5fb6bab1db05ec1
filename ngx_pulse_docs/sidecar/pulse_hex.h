
#ifndef _PULSE_HEX_H_INCLUDED_
#define _PULSE_HEX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Writes twice "n" hexadecimal digits of lower case, and NUL. */
void pulse_hex(char *text, const u_char *bytes, size_t n);


#endif /* _PULSE_HEX_H_INCLUDED_ */
