
#ifndef _PULSE_OUTLINE_H_INCLUDED_
#define _PULSE_OUTLINE_H_INCLUDED_


#include "pulse_deck.h"


/*
 * What a chat model is told in order to write the slides of a deck, and how
 * its outline is looked at.
 */

extern const char  pulse_outline_system[];
extern const char  pulse_outline_schema[];      /* JSON schema, strict */


/* Appends what the deck shall be about. */
void pulse_outline_prompt(const pulse_deck_t *deck, ngx_pulse_buf_t *b);

/*
 * Takes an outline into deck->slides.  NGX_OK; NGX_DECLINED with what is
 * wrong in "fault", English, for the model to read; NGX_ERROR: no memory.
 * With "strict" there must be as many slides as were asked for.
 */
ngx_int_t pulse_outline_read(ngx_pool_t *pool, pulse_deck_t *deck,
    const ngx_pulse_json_value_t *v, ngx_uint_t strict, char *fault,
    size_t size);


#endif /* _PULSE_OUTLINE_H_INCLUDED_ */
