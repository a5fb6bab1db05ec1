
#ifndef _NGX_PULSE_JSON_TOKEN_H_INCLUDED_
#define _NGX_PULSE_JSON_TOKEN_H_INCLUDED_


/*
 * Tokens of JSON (RFC 8259), for ngx_pulse_json.c alone.  Each reads at
 * "*pos" and leaves it behind the token.  NULL, or why it is none; "*pos" is
 * where it goes wrong then.
 */


#include <ngx_config.h>
#include <ngx_core.h>


/* At the opening quote; "*escaped" if there are escapes in it. */
const char *ngx_pulse_json_token_string(const u_char *data, size_t len,
    size_t *pos, ngx_uint_t *escaped);

const char *ngx_pulse_json_token_number(const u_char *data, size_t len,
    size_t *pos);

const char *ngx_pulse_json_token_word(const u_char *data, size_t len,
    size_t *pos, const char *word);

/* What is between the quotes of a string that was read, "len" bytes of it,
 * decoded into as many at most; returns how many. */
size_t ngx_pulse_json_token_decode(u_char *dst, const u_char *p, size_t len);


#endif /* _NGX_PULSE_JSON_TOKEN_H_INCLUDED_ */
