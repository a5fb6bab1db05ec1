
#ifndef _NGX_PULSE_CHAT_H_INCLUDED_
#define _NGX_PULSE_CHAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_tokens.h"


/* What is said of a chat in any dialect. */


#define NGX_PULSE_CHAT_FALLBACKS     8
#define NGX_PULSE_CHAT_MAX_N         128
#define NGX_PULSE_CHAT_POINTER_LEN   128


/* Why a request is refused: an RFC 6901 pointer and a static reason. */

typedef struct {
    char                  pointer[NGX_PULSE_CHAT_POINTER_LEN];
    const char           *reason;
} ngx_pulse_chat_refusal_t;


/*
 * Figures of a provider, normalized: "input" and "output" are all that is
 * billed; "cached" and "cache_write" are inside input (of the latter
 * "cache_hour" was written to last an hour), "reasoning" is inside output.
 */

typedef struct {
    uint64_t              input;
    uint64_t              cached;
    uint64_t              cache_write;
    uint64_t              cache_hour;
    uint64_t              output;
    uint64_t              reasoning;
    unsigned              known:1;
} ngx_pulse_chat_usage_t;


/* A member of a request that a model has another name for, or refuses. */

typedef struct {
    ngx_str_t             name;
    ngx_str_t             as;           /* empty: it is refused */
} ngx_pulse_chat_parameter_t;


/* A provider's error; strings are in the pool it was read with. */

typedef struct {
    ngx_str_t             message;
    ngx_str_t             type;
    ngx_str_t             code;
    int64_t               retry;        /* after as many ms; 0: not said */
    unsigned              quota:1;      /* money is missing: never retry */
} ngx_pulse_chat_error_t;


#endif /* _NGX_PULSE_CHAT_H_INCLUDED_ */
