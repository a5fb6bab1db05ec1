
#ifndef _PULSE_VIDEO_FORM_H_INCLUDED_
#define _PULSE_VIDEO_FORM_H_INCLUDED_


#include "pulse_http.h"


/* Says which providers have a key and are of use, and reads the secret of
 * their webhooks; "poll" is the seconds between two questions, or NULL.
 * NGX_ERROR with a line in the log. */
ngx_int_t pulse_video_open(const char *poll);


/* handlers, of workers (pulse_video_form.c) */

enum MHD_Result pulse_video_generate(pulse_http_request_t *r);

/* (pulse_video_webhook.c) */

enum MHD_Result pulse_video_webhook(pulse_http_request_t *r);

/* 1 if webhooks prove themselves here; "secret" as Replicate gives it. */
ngx_uint_t pulse_video_webhooks(void);
ngx_int_t pulse_video_webhook_secret(const char *secret);


#endif /* _PULSE_VIDEO_FORM_H_INCLUDED_ */
