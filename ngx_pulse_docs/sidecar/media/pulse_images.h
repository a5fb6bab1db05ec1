
#ifndef _PULSE_IMAGES_H_INCLUDED_
#define _PULSE_IMAGES_H_INCLUDED_


#include "pulse_form.h"
#include "pulse_hold.h"
#include "pulse_http.h"
#include "pulse_image.h"


/*
 * Requests for pictures, of the studio's API and in OpenAI's dialect: read,
 * moderated, held, made, kept, charged and answered, in this order.
 */

#define PULSE_IMAGES_STUDIO    4        /* pictures of one request */
#define PULSE_IMAGES_WARNINGS  8


typedef struct {
    pulse_http_request_t  *request;
    pulse_form_t           form;
    pulse_image_wish_t     wish;
    pulse_image_run_t      run;
    pulse_hold_t           hold;
    ngx_str_t              warnings[PULSE_IMAGES_WARNINGS];
    ngx_uint_t             nwarnings;
    unsigned               edit:1;
    unsigned               url:1;       /* the answer has links */
    unsigned               stream:1;    /* it is an event of the dialect */
    unsigned               no_room:1;
    unsigned               gone:1;      /* what was held is not held now */
} pulse_images_t;


/* --- what is asked (pulse_images_request.c) --- */

/* NGX_OK, or NGX_DECLINED with an answer in "*rc". */
ngx_int_t pulse_images_read(pulse_images_t *images, enum MHD_Result *rc);


/* --- what is answered (pulse_images_reply.c) --- */

/* With what came; the files of images->run are the answer's then. */
enum MHD_Result pulse_images_reply(pulse_images_t *images);

/* That nothing did. */
enum MHD_Result pulse_images_failed(pulse_images_t *images);

/* The name of a picture as its owner downloads it. */
ngx_str_t pulse_images_name(pulse_images_t *images, const pulse_image_t *image,
    ngx_uint_t thumbnail);


/* --- handlers, of workers (pulse_images.c) --- */

enum MHD_Result pulse_images_generate(pulse_http_request_t *r);
enum MHD_Result pulse_images_edit(pulse_http_request_t *r);


#endif /* _PULSE_IMAGES_H_INCLUDED_ */
