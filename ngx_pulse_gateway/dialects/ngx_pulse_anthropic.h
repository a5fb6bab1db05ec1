
#ifndef _NGX_PULSE_ANTHROPIC_H_INCLUDED_
#define _NGX_PULSE_ANTHROPIC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_conversation.h"
#include "ngx_pulse_form.h"


/*
 * Anthropic Messages, of both sides.  Signatures of calls and texts, which
 * only Gemini gives, travel to clients of this dialect as thinking without a
 * text, under a signature that begins with one of these, and come back so.
 */

#define NGX_PULSE_ANTHROPIC_OF_CALL  "pulse.call."
#define NGX_PULSE_ANTHROPIC_OF_TEXT  "pulse.text."

/* in the place of what the vendor knows a source by */

#define NGX_PULSE_ANTHROPIC_OF_SOURCE  "pulse.source"


/* calls whose arguments may still come after the next call began */

#define NGX_PULSE_ANTHROPIC_CALLS    64


/* Figures as the provider says them, field by field. */

typedef struct {
    uint64_t                  input;            /* without the cache */
    uint64_t                  cache_read;
    uint64_t                  cache_creation;
    uint64_t                  minutes;          /* breakdown of creation */
    uint64_t                  hour;
    uint64_t                  output;
    uint64_t                  thinking;
    ngx_pulse_chat_usage_t    passes;           /* sum of iterations */
} ngx_pulse_anthropic_usage_t;


/* A provider's stream; zeroed at the start. */

typedef struct {
    ngx_pulse_anthropic_usage_t   usage;
    ngx_pulse_form_t              form;         /* of the last text */
    ngx_uint_t                    calls;
    ngx_uint_t                    block;        /* what is open */
    unsigned                      whole:1;      /* call came in one piece */
    unsigned                      started:1;
    unsigned                      bore:1;       /* any content */
    unsigned                      finished:1;
    unsigned                      failed:1;
    unsigned                      done:1;
} ngx_pulse_anthropic_reader_t;


/* A client's stream; zeroed at the start. */

typedef struct {
    ngx_pulse_chat_usage_t    usage;
    ngx_uint_t                blocks;           /* begun so far */
    ngx_uint_t                block;            /* what is open */
    ngx_uint_t                finish;
    const char               *reason;           /* static */
    ngx_str_t                 stop;             /* of the conversation */
    uint32_t                  calls[NGX_PULSE_ANTHROPIC_CALLS];
    ngx_uint_t                ncalls;
    ngx_uint_t                call;             /* index of the open one */
    unsigned                  started:1;
    unsigned                  ended:1;
} ngx_pulse_anthropic_writer_t;


/* The functions of ngx_pulse_dialect_anthropic. */

ngx_int_t ngx_pulse_anthropic_read(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal);
ngx_int_t ngx_pulse_anthropic_write(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b);

ngx_int_t ngx_pulse_anthropic_read_event(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data, ngx_pulse_answer_pt handler,
    void *ctx);
ngx_int_t ngx_pulse_anthropic_read_end(void *state,
    ngx_pulse_answer_pt handler, void *ctx);
ngx_int_t ngx_pulse_anthropic_read_answer(ngx_pool_t *pool,
    const ngx_str_t *body, ngx_pulse_answer_pt handler, void *ctx);
ngx_int_t ngx_pulse_anthropic_read_error(ngx_pulse_chat_error_t *error,
    ngx_pool_t *pool, const u_char *p, size_t len);

void ngx_pulse_anthropic_write_event(void *state,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
void ngx_pulse_anthropic_write_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b);

/* The answer of /v1/messages/count_tokens. */
void ngx_pulse_anthropic_write_count(uint64_t n, ngx_pulse_buf_t *b);

/* The body of an error, or what an error event says. */
void ngx_pulse_anthropic_write_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b);

/* Arguments of a call as the object that "input" must be: what is none, as
 * after a cut, is wrapped as the vendor advises. */
void ngx_pulse_anthropic_input(const ngx_str_t *arguments, ngx_pulse_buf_t *b);


/*
 * Inside the dialect: the reading of a request, whose strings end in the
 * tree's pool, and the writing of one.
 */

typedef struct {
    ngx_pulse_conversation_t  *cv;
    ngx_pool_t                *pool;
    const ngx_str_t           *body;
    ngx_pulse_chat_refusal_t  *refusal;
    ngx_str_t                  signature;   /* waits for its call */
    ngx_pulse_part_t          *text;        /* last of this message */
    ngx_uint_t                 cuts;        /* blocks of this message */
    unsigned                   inside:1;    /* of a result */
    unsigned                   blocks:1;    /* of a document */
} ngx_pulse_anthropic_request_t;


typedef struct {
    const ngx_pulse_conversation_t  *cv;
    const ngx_pulse_target_t        *target;
    ngx_pool_t                      *pool;
    ngx_pulse_dropped_t             *dropped;
    ngx_pulse_chat_refusal_t        *refusal;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_turn_t          *turns;     /* less those of system */
    const ngx_pulse_turn_t          *turn;      /* that is being written */
    const ngx_pulse_part_t          *last;      /* to be continued */
    ngx_uint_t                       thinking;
    ngx_uint_t                       effort;
    int64_t                          budget;
    ngx_uint_t                       choice;
    ngx_uint_t                       markers;   /* more than there may be */
} ngx_pulse_anthropic_out_t;


/* What usage.c reads for answer.c: figures that are said replace those of
 * before, field by field; what they come to, not yet "known". */

void ngx_pulse_anthropic_read_usage(ngx_pulse_anthropic_usage_t *usage,
    const ngx_pulse_json_value_t *v);
void ngx_pulse_anthropic_normalize(const ngx_pulse_anthropic_usage_t *usage,
    ngx_pulse_chat_usage_t *to);

/* What content.c reads for request.c; NGX_OK, NGX_DECLINED, NGX_ERROR. */

ngx_int_t ngx_pulse_anthropic_read_system(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root);
ngx_int_t ngx_pulse_anthropic_read_messages(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root);

/* A cache marker of "v", as "5m" or "1h"; a string that must not be empty. */
ngx_int_t ngx_pulse_anthropic_read_cache(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_str_t *cache);
ngx_int_t ngx_pulse_anthropic_required(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key, ngx_str_t *s);

/* What message.c writes for write.c; NGX_OK, or NGX_ERROR, with the refusal
 * unless it is for memory. */

ngx_int_t ngx_pulse_anthropic_write_system(ngx_pulse_anthropic_out_t *out);
ngx_int_t ngx_pulse_anthropic_write_messages(ngx_pulse_anthropic_out_t *out);
void ngx_pulse_anthropic_write_cache(ngx_pulse_anthropic_out_t *out,
    const ngx_str_t *cache);

/* Fills the refusal; always NGX_ERROR. */
ngx_int_t ngx_pulse_anthropic_refuse(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_json_value_t *at, const char *reason);

/* 1 if nothing is written of a part. */
ngx_uint_t ngx_pulse_anthropic_empty(const ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part);

/* 1 if nothing is in it but blanks. */
ngx_uint_t ngx_pulse_anthropic_blank(const ngx_str_t *s);

/* 1 if a signature is none, or another provider's. */
ngx_uint_t ngx_pulse_anthropic_foreign(const ngx_str_t *opaque);

/* 1 if the last turn of the assistant's calls tools without thinking that is
 * Anthropic's, and only their results follow. */
ngx_uint_t ngx_pulse_anthropic_resumes(const ngx_pulse_conversation_t *cv);


#endif /* _NGX_PULSE_ANTHROPIC_H_INCLUDED_ */
