
#ifndef _PULSE_DOCUMENTS_H_INCLUDED_
#define _PULSE_DOCUMENTS_H_INCLUDED_


#include "pulse_http.h"


/* What writers share, before threads start. */
ngx_int_t pulse_documents_init(void);

/* Frees it, once no thread writes any more. */
void pulse_documents_done(void);


/* handlers, of workers */

enum MHD_Result pulse_documents_cv(pulse_http_request_t *r);
enum MHD_Result pulse_documents_slides(pulse_http_request_t *r);


#endif /* _PULSE_DOCUMENTS_H_INCLUDED_ */
