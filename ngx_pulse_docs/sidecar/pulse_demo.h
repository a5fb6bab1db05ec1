
#ifndef _PULSE_DEMO_H_INCLUDED_
#define _PULSE_DEMO_H_INCLUDED_


#include "pulse_http.h"


#define PULSE_DEMO_TICK  15         /* ms from one word to the next */


/*
 * A provider that speaks OpenAI's dialect and needs no key, so that a new
 * installation has something to chat with.
 */

enum MHD_Result pulse_demo_chat(pulse_http_request_t *r);
enum MHD_Result pulse_demo_models(pulse_http_request_t *r);

/* (pulse_embedding.c) */
enum MHD_Result pulse_demo_embeddings(pulse_http_request_t *r);


#endif /* _PULSE_DEMO_H_INCLUDED_ */
