
#ifndef _PULSE_CLAMD_H_INCLUDED_
#define _PULSE_CLAMD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/* Has clamd look at "data" (INSTREAM) over its unix socket: NGX_OK,
 * NGX_DECLINED if it found something, NGX_ERROR with a line in the log if it
 * did not say. */
ngx_int_t pulse_clamd_scan(const char *socket, const ngx_pulse_buf_t *data);


#endif /* _PULSE_CLAMD_H_INCLUDED_ */
