
#ifndef _PULSE_DOCX_H_INCLUDED_
#define _PULSE_DOCX_H_INCLUDED_


#include "pulse_document.h"
#include "pulse_look.h"


#define PULSE_DOCX_TYPE                                                       \
    "application/vnd.openxmlformats-officedocument"                           \
    ".wordprocessingml.document"


/* Compresses what all files share; called once, before threads start.
 * NGX_ERROR: no memory. */
ngx_int_t pulse_docx_init(void);
void pulse_docx_done(void);

/* Writes a document as WordprocessingML (ISO 29500-4, transitional), the same
 * bytes for the same document, into "out", which the caller frees.
 * NGX_ERROR: no memory, or "out" is past its cap. */
ngx_int_t pulse_docx_write(ngx_pool_t *pool, const pulse_document_t *document,
    ngx_pulse_buf_t *out);


/* the parts, each in a file of its own: appended to "b" */

ngx_int_t pulse_docx_body(ngx_pool_t *pool, const pulse_document_t *document,
    ngx_pulse_buf_t *b);
void pulse_docx_styles(const pulse_document_t *document, ngx_pulse_buf_t *b);

/* Name of a role's style, as in the styles part. */
const char *pulse_docx_style(pulse_paragraph_role_e role);


#endif /* _PULSE_DOCX_H_INCLUDED_ */
