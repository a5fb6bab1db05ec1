
#ifndef _NGX_PULSE_EMBEDDING_H_INCLUDED_
#define _NGX_PULSE_EMBEDDING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_json.h"
#include "ngx_pulse_chat.h"
#include "ngx_pulse_conversation.h"


/*
 * Embeddings, as clients of OpenAI ask for them: of providers that do the
 * same, whose bytes pass unless a vector is not coded as it was asked for,
 * and of Gemini.
 */


#define NGX_PULSE_EMBEDDING_INPUTS   2048       /* as OpenAI has it */
#define NGX_PULSE_EMBEDDING_TEXT     262144     /* bytes of one input */
#define NGX_PULSE_EMBEDDING_IDS      65536      /* tokens of one input */
#define NGX_PULSE_EMBEDDING_BATCH    100        /* inputs, of Gemini's */


typedef struct {
    ngx_str_t             body;
    ngx_str_t             model;            /* decoded */
    size_t                start;            /* of "input" in the body */
    size_t                end;
    ngx_uint_t            inputs;
    int64_t               dimensions;       /* 0: not said */
    ngx_pulse_tokens_t    prompt;
    const char           *unknown[NGX_PULSE_CHAT_DROPPED];
    ngx_uint_t            nunknown;         /* members only OpenAI has */
    unsigned              base64:1;         /* vectors are asked for in it */
    unsigned              ids:1;            /* inputs are tokens */
    unsigned              input:1;          /* there is one */
} ngx_pulse_embedding_request_t;


/* What an answer was found to be. */

typedef struct {
    ngx_uint_t            vectors;
    uint64_t              input;            /* tokens */
    unsigned              known:1;          /* the provider gave them */
    unsigned              recode:1;         /* a vector is coded otherwise */
} ngx_pulse_embedding_answer_t;


/*
 * Reads a request; "body" must outlive it, strings are in "pool".  NGX_OK;
 * NGX_DECLINED with "refusal"; NGX_ERROR without memory.
 */
ngx_int_t ngx_pulse_embedding_read(ngx_pulse_embedding_request_t *req,
    ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal);

/* The body for a provider like OpenAI: the client's, with this model. */
ngx_int_t ngx_pulse_embedding_write(const ngx_pulse_embedding_request_t *req,
    const ngx_str_t *model, ngx_pulse_buf_t *b);

/* For Gemini's batchEmbedContents; NGX_DECLINED with "refusal" if it has no
 * way to say it, NGX_ERROR without memory. */
ngx_int_t ngx_pulse_embedding_write_gemini(
    const ngx_pulse_embedding_request_t *req, const ngx_str_t *model,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b);

/*
 * Looks at a whole answer; NGX_ERROR if it is not as many vectors as inputs.
 * "gemini": it is of batchEmbedContents.
 */
ngx_int_t ngx_pulse_embedding_answer(ngx_pulse_embedding_answer_t *answer,
    const ngx_pulse_embedding_request_t *req, ngx_uint_t gemini,
    const ngx_str_t *body);

/* What the client gets of one that was looked at and is to be coded anew;
 * NGX_ERROR if a vector holds no numbers. */
ngx_int_t ngx_pulse_embedding_recode(const ngx_pulse_embedding_request_t *req,
    const ngx_str_t *body, ngx_pulse_buf_t *b);

/* The same of Gemini's; "model" and "input" go into it. */
ngx_int_t ngx_pulse_embedding_from_gemini(
    const ngx_pulse_embedding_request_t *req, const ngx_str_t *body,
    const ngx_str_t *model, uint64_t input, ngx_pulse_buf_t *b);


/* --- vectors (ngx_pulse_embedding_vector.c): float32, little endian --- */

typedef struct {
    u_char                bytes[3];
    ngx_uint_t            n;
} ngx_pulse_embedding_base64_t;


/* Appends one number, as it is written in JSON, in base64; zero the state
 * before the first.  NGX_ERROR if it is no finite number. */
ngx_int_t ngx_pulse_embedding_encode(ngx_pulse_embedding_base64_t *state,
    const ngx_str_t *number, ngx_pulse_buf_t *b);

/* What is left after the last number, with its padding. */
void ngx_pulse_embedding_encode_end(ngx_pulse_embedding_base64_t *state,
    ngx_pulse_buf_t *b);

/* Appends the numbers of a base64 text as a JSON array; NGX_ERROR if it
 * holds no finite numbers. */
ngx_int_t ngx_pulse_embedding_decode(const ngx_str_t *text,
    ngx_pulse_buf_t *b);


#endif /* _NGX_PULSE_EMBEDDING_H_INCLUDED_ */
