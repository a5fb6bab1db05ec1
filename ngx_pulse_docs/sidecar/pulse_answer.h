
#ifndef _PULSE_ANSWER_H_INCLUDED_
#define _PULSE_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_json.h"


/*
 * What the demo provider says and how it counts: a token is a word with the
 * white space before it, and a message costs three on top of its words.
 */


/* Length of the first word of the text with the space before it; what is
 * left has none if it is the whole text. */
size_t pulse_answer_word(const u_char *p, size_t len);

/* Tokens of a text. */
ngx_uint_t pulse_answer_count(const ngx_str_t *text);

/* Tokens of a request's messages. */
ngx_uint_t pulse_answer_prompt(ngx_pulse_json_value_t *messages);

/* Text of the last message of the user, of all its parts. */
void pulse_answer_last(ngx_pulse_json_value_t *messages, ngx_pulse_buf_t *b);

/* Writes the answer, Arabic if "prompt" has an Arabic letter. */
void pulse_answer_text(const ngx_str_t *prompt, ngx_pulse_buf_t *b);

/* Writes arguments that fit the required members of a tool's JSON schema;
 * strings are the prompt. */
void pulse_answer_arguments(ngx_pulse_json_value_t *parameters,
    const ngx_str_t *prompt, ngx_pulse_buf_t *b);


#endif /* _PULSE_ANSWER_H_INCLUDED_ */
