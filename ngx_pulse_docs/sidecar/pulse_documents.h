
#ifndef _PULSE_DOCUMENTS_H_INCLUDED_
#define _PULSE_DOCUMENTS_H_INCLUDED_


#include "pulse_files.h"
#include "pulse_form.h"


#define PULSE_DOCUMENTS_MAX  (64 * 1024 * 1024)     /* of a file */


/* What writers share, before threads start. */
ngx_int_t pulse_documents_init(void);

/* Frees it, once no thread writes any more. */
void pulse_documents_done(void);


/* Appends what is said of every file that was made, with the brace that
 * opens. */
void pulse_documents_file(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const char *id, const char *format, const pulse_files_t *file);

/* Appends the member "warnings", with the comma before it. */
void pulse_documents_warnings(ngx_pulse_buf_t *b,
    const pulse_warnings_t *warnings);

/* Answers for one that could not be. */
enum MHD_Result pulse_documents_failed(pulse_http_request_t *r);


/* handlers, of workers; the second is in pulse_slides.c */

enum MHD_Result pulse_documents_cv(pulse_http_request_t *r);
enum MHD_Result pulse_documents_slides(pulse_http_request_t *r);


#endif /* _PULSE_DOCUMENTS_H_INCLUDED_ */
