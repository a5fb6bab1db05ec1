
#ifndef _NGX_PULSE_MODERATION_QUESTION_H_INCLUDED_
#define _NGX_PULSE_MODERATION_QUESTION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * What is asked of OpenAI's moderation endpoint, and what it says.  It takes
 * one picture a call ("too_many_images") and any number of texts, which are
 * told in pieces, since it judges long ones less well.
 */

#define NGX_PULSE_MODERATION_IMAGES  16             /* of a request */
#define NGX_PULSE_MODERATION_PIECE   (16 * 1024)    /* bytes of an input */
#define NGX_PULSE_MODERATION_PIECES  16             /* of a call */


/* As it is in the JSON text of the request, without quotes. */

typedef struct {
    ngx_str_t                       type;       /* len 0: "data" is a URL */
    ngx_str_t                       data;
} ngx_pulse_moderation_image_t;


typedef struct {
    ngx_pulse_buf_t                 text;       /* all of it, in lines */
    size_t                          told;       /* of it, so far */
    ngx_pulse_moderation_image_t    images[NGX_PULSE_MODERATION_IMAGES];
    ngx_uint_t                      nimages;
    ngx_uint_t                      shown;
    ngx_uint_t                      inputs;     /* of the last call */
} ngx_pulse_moderation_question_t;


/* Starts one whose text is of the pool's memory, and of its life. */
ngx_int_t ngx_pulse_moderation_question(ngx_pulse_moderation_question_t *q,
    ngx_pool_t *pool);

/* Takes the texts and pictures of a request in whatever dialect, which must
 * live as long.  NGX_DECLINED: it has more pictures than are asked about;
 * NGX_ERROR: no memory. */
ngx_int_t ngx_pulse_moderation_question_read(
    ngx_pulse_moderation_question_t *q, const ngx_str_t *body);

/* Appends a line of text. */
void ngx_pulse_moderation_question_add(ngx_pulse_moderation_question_t *q,
    const ngx_str_t *text);

/* Appends the body of the next call: NGX_OK; NGX_DONE: there is none. */
ngx_int_t ngx_pulse_moderation_question_write(
    ngx_pulse_moderation_question_t *q, const ngx_str_t *model,
    ngx_pulse_buf_t *b);

/* 1 if the last call was about a picture. */
#define ngx_pulse_moderation_question_shows(q)  ((q)->shown != 0)

/*
 * What an answer says of so many inputs: NGX_OK: nothing is flagged;
 * NGX_DECLINED: something is, and the categories are appended to "b" as a
 * JSON array; NGX_ERROR: it cannot be used.
 */
ngx_int_t ngx_pulse_moderation_answer(ngx_pool_t *pool, const u_char *p,
    size_t len, ngx_uint_t inputs, ngx_pulse_buf_t *b);


#endif /* _NGX_PULSE_MODERATION_QUESTION_H_INCLUDED_ */
