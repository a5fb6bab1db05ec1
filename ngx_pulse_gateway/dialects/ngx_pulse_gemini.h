
#ifndef _NGX_PULSE_GEMINI_H_INCLUDED_
#define _NGX_PULSE_GEMINI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_conversation.h"
#include "ngx_pulse_form.h"


/*
 * Gemini's generateContent and streamGenerateContent, of both sides.
 *
 * Thoughts of other vendors travel to clients of this dialect in the member
 * "thoughtSignature" of a thought part.  SDKs decode and encode it again, so
 * it is base64 of one of these words and the signature.  A signature without
 * them is Gemini's own; those of calls and texts always are.
 */

#define NGX_PULSE_GEMINI_SIGNATURE  "pulse:"
#define NGX_PULSE_GEMINI_REDACTED   "pulse!"
#define NGX_PULSE_GEMINI_WORD       6


/* documented: takes the place of a signature that there is none of */

#define NGX_PULSE_GEMINI_NO_SIGNATURE  "skip_thought_signature_validator"


/* arguments of a client's stream that wait for their end, all calls' */

#define NGX_PULSE_GEMINI_HELD_MAX   (8 * 1024 * 1024)

#define NGX_PULSE_GEMINI_ID_LEN     96
#define NGX_PULSE_GEMINI_PATH_LEN   1024
#define NGX_PULSE_GEMINI_PATH_MAX   32


/* Arguments that come as values at paths, and where the JSON text of those
 * seen so far is still open. */

typedef struct {
    u_char                     path[NGX_PULSE_GEMINI_PATH_LEN];
    ngx_str_t                  steps[NGX_PULSE_GEMINI_PATH_MAX];
    ngx_uint_t                 nsteps;
    size_t                     len;
    unsigned                   begun:1;
    unsigned                   string:1;    /* whose end is to come */
} ngx_pulse_gemini_partial_t;


/* A provider's answer; zeroed at the start. */

typedef struct {
    ngx_pulse_chat_usage_t      usage;
    ngx_pulse_form_t            form;       /* of the last chunk of text */
    ngx_pulse_answer_e          form_type;
    ngx_uint_t                  calls;      /* begun so far */
    ngx_uint_t                  finish;
    u_char                      id[NGX_PULSE_GEMINI_ID_LEN];
    size_t                      id_len;
    u_char                      native[NGX_PULSE_GEMINI_ID_LEN];
    size_t                      native_len;
    ngx_pulse_gemini_partial_t  partial;
    unsigned                    form_usage:1;   /* it has figures */
    unsigned                    started:1;
    unsigned                    open:1;     /* a call may have more to come */
    unsigned                    whole:1;    /* its arguments came at once */
    unsigned                    finished:1;
    unsigned                    failed:1;
} ngx_pulse_gemini_reader_t;


/* Sources that a client is told of when the answer is over: JSON. */

typedef struct {
    ngx_pulse_buf_t            chunks;
    ngx_pulse_buf_t            supports;
    ngx_uint_t                 n;
} ngx_pulse_gemini_found_t;


typedef struct ngx_pulse_gemini_call_s  ngx_pulse_gemini_call_t;

struct ngx_pulse_gemini_call_s {
    ngx_uint_t                  index;
    ngx_pulse_buf_t             id;
    ngx_pulse_buf_t             name;
    ngx_pulse_buf_t             signature;
    ngx_pulse_buf_t             arguments;
    ngx_pulse_gemini_call_t    *next;
};


/* A client's stream; zeroed at the start. */

typedef struct {
    ngx_pulse_chat_usage_t      usage;
    ngx_uint_t                  finish;
    u_char                      id[NGX_PULSE_GEMINI_ID_LEN];
    size_t                      id_len;
    u_char                      model[NGX_PULSE_GEMINI_ID_LEN];
    size_t                      model_len;
    ngx_pulse_gemini_call_t    *calls;      /* not yet written */
    ngx_pulse_gemini_call_t    *spare;      /* written, for those to come */
    size_t                      held;       /* bytes of those not written */
    ngx_pulse_gemini_call_t    *call;       /* last one that was spoken of */
    ngx_pulse_buf_t            *signature;  /* of the part before */
    ngx_pulse_gemini_found_t   *found;
    unsigned                    text:1;     /* that part is text */
    unsigned                    finished:1;
    unsigned                    ended:1;
} ngx_pulse_gemini_writer_t;


/* The functions of ngx_pulse_dialect_gemini. */

ngx_int_t ngx_pulse_gemini_read(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal);
ngx_int_t ngx_pulse_gemini_write(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b);

ngx_int_t ngx_pulse_gemini_read_event(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data, ngx_pulse_answer_pt handler,
    void *ctx);
ngx_int_t ngx_pulse_gemini_read_end(void *state, ngx_pulse_answer_pt handler,
    void *ctx);
ngx_int_t ngx_pulse_gemini_read_answer(ngx_pool_t *pool,
    const ngx_str_t *body, ngx_pulse_answer_pt handler, void *ctx);
ngx_int_t ngx_pulse_gemini_read_error(ngx_pulse_chat_error_t *error,
    ngx_pool_t *pool, const u_char *p, size_t len);

void ngx_pulse_gemini_write_event(void *state,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
void ngx_pulse_gemini_write_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b);

/* What streams and whole answers have: names of how they finish, by
 * NGX_PULSE_FINISH_*; the inside of a part with a call, with a picture; the
 * members with a signature of another vendor's and with the usage. */

extern const char  *ngx_pulse_gemini_reasons[];

void ngx_pulse_gemini_call_part(const ngx_str_t *id,
    const ngx_str_t *name, const ngx_str_t *arguments,
    const ngx_str_t *signature, ngx_pulse_buf_t *b);
void ngx_pulse_gemini_wrap(const char *word, const ngx_str_t *s,
    ngx_pulse_buf_t *b);
void ngx_pulse_gemini_figures(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b);
void ngx_pulse_gemini_image(const ngx_str_t *type,
    const ngx_str_t *data, ngx_pulse_buf_t *b);

/* The body of an error, as of an event; "status" is that of HTTP. */
void ngx_pulse_gemini_write_error(const ngx_pulse_chat_error_t *error,
    ngx_uint_t status, ngx_pulse_buf_t *b);

/* The answer of countTokens. */
void ngx_pulse_gemini_write_count(uint64_t n, ngx_pulse_buf_t *b);

/* Appends arguments of a call as the object that "args" must be; what is
 * none, as after a cut, becomes the value of INVALID_JSON. */
void ngx_pulse_gemini_args(const ngx_str_t *arguments, ngx_pulse_buf_t *b);

/* Appends a schema of Google's kind (OpenAPI's, types in capitals) as JSON
 * Schema; "text" is what its tree was read from. */
void ngx_pulse_gemini_schema(const ngx_str_t *text, ngx_pulse_json_value_t *v,
    ngx_pulse_buf_t *b);

/* Makes the names of an object's members camelCase: protobuf takes
 * snake_case too. */
void ngx_pulse_gemini_camel(ngx_pulse_json_value_t *v);


/*
 * Inside the dialect: the reading of a request, whose strings end in the
 * tree's pool, that of an answer, and the writing of a request.
 */

typedef struct ngx_pulse_gemini_waiting_s  ngx_pulse_gemini_waiting_t;

struct ngx_pulse_gemini_waiting_s {
    ngx_pulse_part_t             *call;
    ngx_pulse_gemini_waiting_t   *next;
};


typedef struct {
    ngx_pulse_conversation_t     *cv;
    ngx_pool_t                   *pool;
    const ngx_str_t              *body;
    ngx_pulse_chat_refusal_t     *refusal;
    ngx_pulse_gemini_waiting_t   *waiting;      /* calls without a result */
    ngx_uint_t                    calls;
    ngx_uint_t                    cuts;         /* parts of this content */
    unsigned                      called:1;     /* in this content */
    unsigned                      alone:1;      /* it is no list */
} ngx_pulse_gemini_request_t;


typedef struct {
    ngx_pulse_gemini_reader_t     *rd;
    ngx_pool_t                    *pool;
    const ngx_str_t               *text;        /* that the tree is of */
    ngx_pulse_answer_pt            handler;
    void                          *ctx;
    ngx_pulse_buf_t                logprobs;    /* of the next text */
} ngx_pulse_gemini_chunk_t;

/* Keeps the form of a chunk that was read, if it has one; says what one of the
 * same form has, by its values. */
void ngx_pulse_gemini_form(ngx_pulse_gemini_reader_t *rd,
    const ngx_str_t *data, const ngx_pulse_json_value_t *root);
ngx_int_t ngx_pulse_gemini_again(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_str_t *values);

/* The figures of "usageMetadata"; one figure, 0 if it is none. */
void ngx_pulse_gemini_usage(ngx_pulse_chat_usage_t *usage,
    const ngx_pulse_json_value_t *v);
uint64_t ngx_pulse_gemini_figure(const ngx_pulse_json_value_t *v,
    const char *key);


typedef struct {
    const ngx_pulse_conversation_t  *cv;
    const ngx_pulse_target_t        *target;
    ngx_pool_t                      *pool;
    ngx_pulse_dropped_t             *dropped;
    ngx_pulse_chat_refusal_t        *refusal;
    ngx_pulse_buf_t                 *b;
    ngx_uint_t                       role;      /* SYSTEM: none is open */
    unsigned                         levels:1;  /* of thinking: Gemini 3 on */
    unsigned                         current:1; /* after the last question */
    unsigned                         called:1;  /* in the open content */
} ngx_pulse_gemini_out_t;


/* What tools.c and contents.c read for request.c; NGX_OK, NGX_DECLINED,
 * NGX_ERROR. */

ngx_int_t ngx_pulse_gemini_read_tools(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root);
ngx_int_t ngx_pulse_gemini_read_choice(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root);
ngx_int_t ngx_pulse_gemini_read_system(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root);
ngx_int_t ngx_pulse_gemini_read_contents(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root);

/* Members as Google takes them: a value in the place of a list of one, names
 * of an object's members in snake_case, a string that must not be empty. */

ngx_int_t ngx_pulse_gemini_list(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **first);
ngx_int_t ngx_pulse_gemini_object(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **member);
ngx_int_t ngx_pulse_gemini_required(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key, ngx_str_t *s);

/* Moves what was written into the pool and frees the buffer. */
ngx_int_t ngx_pulse_gemini_copy(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_buf_t *b, ngx_str_t *s);

/* What calls.c reads for answer.c; of the handler what it returned. */

ngx_int_t ngx_pulse_gemini_call(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *signature);
ngx_int_t ngx_pulse_gemini_call_end(ngx_pulse_gemini_reader_t *rd,
    ngx_pulse_answer_pt handler, void *ctx);

/* What grounding.c reads for answer.c: the sources of a candidate; and
 * writes for client.c: one more, and all of them as a member. */

ngx_int_t ngx_pulse_gemini_sources(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *candidate);
void ngx_pulse_gemini_add_source(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_citation_t *citation, ngx_pulse_gemini_found_t *found);
void ngx_pulse_gemini_put_sources(const ngx_pulse_gemini_found_t *found,
    ngx_pulse_buf_t *b);

/* What logprobs.c turns into the list of an event, and back into a member
 * of a candidate if there is any. */

void ngx_pulse_gemini_read_logprobs(const ngx_pulse_json_value_t *result,
    ngx_pulse_buf_t *b);
void ngx_pulse_gemini_put_logprobs(const ngx_str_t *logprobs, ngx_log_t *log,
    ngx_pulse_buf_t *b);

/* A string of an object, or an empty one; 1 if a member is true. */

ngx_str_t ngx_pulse_gemini_string(const ngx_pulse_json_value_t *v,
    const char *key);
ngx_uint_t ngx_pulse_gemini_true(const ngx_pulse_json_value_t *v,
    const char *key);

/* What message.c writes for provider.c; NGX_DECLINED with the refusal. */

void ngx_pulse_gemini_out_system(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_turn_t *last);
ngx_int_t ngx_pulse_gemini_out_contents(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_turn_t *turn);

/* Fills the refusal; always NGX_DECLINED. */
ngx_int_t ngx_pulse_gemini_out_refuse(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_json_value_t *at, const char *reason);


#endif /* _NGX_PULSE_GEMINI_H_INCLUDED_ */
