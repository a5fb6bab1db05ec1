
#ifndef _PULSE_SUMMARY_H_INCLUDED_
#define _PULSE_SUMMARY_H_INCLUDED_


#include "pulse_http.h"


/* POST /v1/pdf/summarize, of workers: a PDF that was uploaded, summarized by
 * the chat model in the language of whoever asks. */
enum MHD_Result pulse_summary_pdf(pulse_http_request_t *r);


#endif /* _PULSE_SUMMARY_H_INCLUDED_ */
