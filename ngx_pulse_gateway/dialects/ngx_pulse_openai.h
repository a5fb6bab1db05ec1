
#ifndef _NGX_PULSE_OPENAI_H_INCLUDED_
#define _NGX_PULSE_OPENAI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#endif /* _NGX_PULSE_OPENAI_H_INCLUDED_ */
