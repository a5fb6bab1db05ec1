
#ifndef _NGX_PULSE_OPENAI_TRANSLATE_H_INCLUDED_
#define _NGX_PULSE_OPENAI_TRANSLATE_H_INCLUDED_


#include "ngx_pulse_openai.h"


/*
 * What the files of ngx_pulse_dialect_openai share with each other only.
 */


/* Efforts as they are written, in the order of NGX_PULSE_EFFORT_*. */
extern const char  *ngx_pulse_openai_efforts[];


/* --- a client's request: convert, tools, messages, history --- */

typedef struct {
    ngx_pulse_conversation_t   *cv;
    ngx_pool_t                 *pool;
    ngx_pulse_chat_refusal_t   *refusal;
    ngx_pulse_turn_t           *results;    /* where the next one goes */
    ngx_pulse_part_t           *called;     /* first call of the last turn */
    ngx_pulse_part_t           *legacy;     /* the last function_call */
    ngx_uint_t                  calls;      /* that came without an id */
} ngx_pulse_openai_turns_t;


/* Tools and the choice of them; messages. */
ngx_int_t ngx_pulse_openai_tools(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_str_t *body,
    const ngx_pulse_json_value_t *root, ngx_pulse_chat_refusal_t *refusal);
ngx_int_t ngx_pulse_openai_turns(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_pulse_json_value_t *root,
    ngx_pulse_chat_refusal_t *refusal);

/* A string member that must be there, of what must be an object. */
ngx_int_t ngx_pulse_openai_required(const ngx_pulse_json_value_t *v,
    const char *key, ngx_str_t *s, ngx_pulse_chat_refusal_t *refusal);

/* The cache marker of an object, if it has one. */
ngx_int_t ngx_pulse_openai_marker(const ngx_pulse_json_value_t *v,
    ngx_str_t *cache, ngx_pulse_chat_refusal_t *refusal);

/* A member that must be there and an object; a part with a text. */
ngx_int_t ngx_pulse_openai_inner(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **inner);
ngx_int_t ngx_pulse_openai_add(ngx_pulse_openai_turns_t *ts,
    ngx_pulse_turn_t *turn, ngx_pulse_part_e type, const ngx_str_t *text);

/* Of a message of the assistant's: its thinking, its calls. */
ngx_int_t ngx_pulse_openai_thoughts(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
ngx_int_t ngx_pulse_openai_calls(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);


/* --- a provider's request: provider, content, settings --- */

typedef struct {
    const ngx_pulse_conversation_t  *cv;
    const ngx_pulse_target_t        *target;
    ngx_pool_t                      *pool;
    ngx_pulse_dropped_t             *dropped;
    ngx_pulse_chat_refusal_t        *refusal;
    ngx_pulse_buf_t                 *b;
} ngx_pulse_openai_provider_t;


/* A part of a user's message. */
ngx_int_t ngx_pulse_openai_put_part(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);

/* Members of the request: what was not said is not written. */
ngx_int_t ngx_pulse_openai_put_tools(ngx_pulse_openai_provider_t *pr);
void ngx_pulse_openai_put_sampling(ngx_pulse_openai_provider_t *pr);
ngx_int_t ngx_pulse_openai_put_stops(ngx_pulse_openai_provider_t *pr);
void ngx_pulse_openai_put_format(ngx_pulse_openai_provider_t *pr);
void ngx_pulse_openai_put_effort(ngx_pulse_openai_provider_t *pr);
void ngx_pulse_openai_put_limits(ngx_pulse_openai_provider_t *pr);

/* Notes a name that is no literal as dropped, once. */
void ngx_pulse_openai_drop(ngx_pulse_openai_provider_t *pr,
    const ngx_str_t *name);

/* Refuses the request as a whole; always NGX_DECLINED. */
ngx_int_t ngx_pulse_openai_put_refuse(ngx_pulse_openai_provider_t *pr,
    const char *reason);


/* --- a provider's answer: events, calls --- */

typedef struct {
    ngx_pulse_openai_stream_t  *stream;
    ngx_pool_t                 *pool;
    const ngx_str_t            *data;
    ngx_pulse_answer_pt         handler;
    void                       *ctx;
    ngx_uint_t                  choice;
    unsigned                    whole:1;    /* not a stream's delta */
} ngx_pulse_openai_events_t;


/* One of "tool_calls", the "position"-th, or "function_call". */
ngx_int_t ngx_pulse_openai_events_call(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, ngx_uint_t position);

/* Ends the call that is open, if one is. */
ngx_int_t ngx_pulse_openai_events_close(ngx_pulse_openai_events_t *es);

/* A member that is a string, or an empty one; a count into "n", which else
 * stays as it was. */
ngx_str_t ngx_pulse_openai_events_string(const ngx_pulse_json_value_t *v,
    const char *key);
ngx_int_t ngx_pulse_openai_events_number(const ngx_pulse_json_value_t *v,
    const char *key, int64_t *n);

/* Tells ids apart without keeping them. */
uint32_t ngx_pulse_openai_events_hash(const ngx_str_t *s);


#endif /* _NGX_PULSE_OPENAI_TRANSLATE_H_INCLUDED_ */
