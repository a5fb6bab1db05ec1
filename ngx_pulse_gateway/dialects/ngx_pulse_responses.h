
#ifndef _NGX_PULSE_RESPONSES_H_INCLUDED_
#define _NGX_PULSE_RESPONSES_H_INCLUDED_


#include "ngx_pulse_conversation.h"
#include "ngx_pulse_form.h"


/*
 * OpenAI's /v1/responses without its state: a client sends all items of a
 * conversation each time, and the provider is asked to store nothing.
 *
 * What models of other vendors sign or hide travels as "encrypted_content"
 * of reasoning items, which clients send back as they are.  A tag says what
 * it is; without one it signs the text of the item itself.  Neither base64
 * nor a token of OpenAI's has a colon.
 */

#define NGX_PULSE_RESPONSES_REDACTED  "pulse.redacted:"
#define NGX_PULSE_RESPONSES_NEXT      "pulse.next:"     /* of a call */
#define NGX_PULSE_RESPONSES_LAST      "pulse.last:"     /* text or call */

/* what OpenAI's own begins with */

#define NGX_PULSE_RESPONSES_OPAQUE    "gAAAA"


ngx_int_t ngx_pulse_responses_read(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal);

ngx_int_t ngx_pulse_responses_write(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b);

/* Members that a request and the answer to it both have: "tools" (returns how
 * many, and writes nothing if none), "tool_choice", "text". */
ngx_uint_t ngx_pulse_responses_tools(const ngx_pulse_conversation_t *cv,
    ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b);
void ngx_pulse_responses_choice(const ngx_pulse_conversation_t *cv,
    ngx_pulse_buf_t *b);
void ngx_pulse_responses_text(const ngx_pulse_conversation_t *cv,
    ngx_pulse_buf_t *b);

/* The word for NGX_PULSE_EFFORT_*, NULL for UNSET; and the way back, UNSET
 * if there is no such word. */
const char *ngx_pulse_responses_effort(ngx_uint_t effort);
ngx_uint_t ngx_pulse_responses_effort_of(const ngx_str_t *word);

/* 1 if the client's tool of this name has no schema. */
ngx_uint_t ngx_pulse_responses_custom(const ngx_pulse_conversation_t *cv,
    const ngx_str_t *name);


/* Makes the JSON string that the buffer ends with longer. */
void ngx_pulse_responses_more(ngx_pulse_buf_t *b, const u_char *p,
    size_t len);


/* --- reading a request --- */

typedef struct {
    ngx_pulse_conversation_t  *cv;
    ngx_pool_t                *pool;
    const ngx_str_t           *body;
    ngx_pulse_chat_refusal_t  *refusal;
    ngx_str_t                  signature;   /* waits for its call */
    ngx_pulse_part_t          *signable;    /* the last text or call */
} ngx_pulse_responses_request_t;

/* The items; signable and signature are of them only. */
ngx_int_t ngx_pulse_responses_read_input(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root);

/* A string that must be there. */
ngx_int_t ngx_pulse_responses_required(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v, const char *key, ngx_str_t *s);


/* --- reading an answer --- */

#define NGX_PULSE_RESPONSES_SLOTS     64        /* items open at a time */
#define NGX_PULSE_RESPONSES_FREE      -1

typedef struct {
    int64_t                       index;        /* of the item */
    int64_t                       part;         /* that the last text is of */
    ngx_uint_t                    kind;         /* its NGX_PULSE_ANSWER_* */
    ngx_uint_t                    call;
    unsigned                      used:1;
    unsigned                      any:1;        /* text or arguments came */
    unsigned                      custom:1;
} ngx_pulse_responses_slot_t;

typedef struct {
    ngx_pulse_responses_slot_t    slots[NGX_PULSE_RESPONSES_SLOTS];
    ngx_uint_t                    calls;
    ngx_pulse_form_t              form;         /* of the last delta */
    ngx_uint_t                    form_kind;
    int64_t                       form_index;   /* of its item */
    int64_t                       form_part;
    unsigned                      started:1;
    unsigned                      items:1;      /* any was seen */
    unsigned                      finished:1;
    unsigned                      failed:1;
} ngx_pulse_responses_answer_t;

typedef struct {
    ngx_pulse_responses_answer_t *answer;
    ngx_pool_t                   *pool;
    const ngx_str_t              *data;
    ngx_pulse_answer_pt           handler;
    void                         *ctx;
    ngx_str_t                     logprobs;     /* of the next text */
} ngx_pulse_responses_reader_t;


/* What items.c reads for answer.c: all items of a whole answer; one that
 * begins, NULL in "*opened" if there is nothing to come of it; one that is
 * over, which has what no delta brought; a piece of one, whose item may be
 * unknown; the open item of an index, for FREE one that is not in use. */

ngx_int_t ngx_pulse_responses_read_output(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *response);
ngx_int_t ngx_pulse_responses_read_open(ngx_pulse_responses_reader_t *rd,
    int64_t index, const ngx_pulse_json_value_t *item,
    ngx_pulse_responses_slot_t **opened);
ngx_int_t ngx_pulse_responses_read_close(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_responses_slot_t *slot, const ngx_pulse_json_value_t *item);
ngx_int_t ngx_pulse_responses_read_piece(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_responses_slot_t *slot, ngx_uint_t kind, int64_t part,
    const ngx_str_t *text);
ngx_pulse_responses_slot_t *ngx_pulse_responses_read_slot(
    ngx_pulse_responses_reader_t *rd, int64_t index);

/* Keeps what "logprobs" of an object has, for the text that is said next. */
void ngx_pulse_responses_read_logprobs(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v);

/* Says an event, after a start that was lost. */
ngx_int_t ngx_pulse_responses_read_emit(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_answer_event_t *ev);

/* Members that are ignored where they are of another type: empty, 0. */
ngx_str_t ngx_pulse_responses_string(const ngx_pulse_json_value_t *v,
    const char *key);
int64_t ngx_pulse_responses_index(const ngx_pulse_json_value_t *v,
    const char *key);

ngx_int_t ngx_pulse_responses_read_event(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data, ngx_pulse_answer_pt handler,
    void *ctx);
ngx_int_t ngx_pulse_responses_read_end(void *state,
    ngx_pulse_answer_pt handler, void *ctx);
ngx_int_t ngx_pulse_responses_read_answer(ngx_pool_t *pool,
    const ngx_str_t *body, ngx_pulse_answer_pt handler, void *ctx);


/* --- writing an answer --- */

typedef struct ngx_pulse_responses_output_s  ngx_pulse_responses_output_t;

struct ngx_pulse_responses_output_s {
    ngx_pulse_part_e               type;        /* TEXT, REFUSAL: a message */
    ngx_uint_t                     index;
    ngx_uint_t                     call;
    ngx_str_t                      id;          /* of the call */
    ngx_str_t                      name;
    ngx_pulse_buf_t                text;        /* or arguments */
    ngx_pulse_buf_t                signature;
    ngx_pulse_buf_t                logprobs;    /* JSON, with commas */
    ngx_pulse_buf_t                citations;   /* the same */
    const char                    *format;      /* of an image */
    ngx_uint_t                     ncitations;
    const char                    *status;
    ngx_pulse_responses_output_t  *next;
    unsigned                       custom:1;
    unsigned                       open:1;
    unsigned                       part:1;      /* has one, with the text */
};

typedef struct {
    ngx_pool_t                    *pool;
    ngx_str_t                      id;          /* without "resp_" */
    ngx_str_t                      model;
    int64_t                        created;
    int64_t                        sequence;
    ngx_pulse_responses_output_t  *items;
    ngx_pulse_responses_output_t  *begun;       /* those before it are done */
    ngx_pulse_responses_output_t **last;
    ngx_pulse_responses_output_t  *current;     /* that came last, if open */
    ngx_uint_t                     nitems;
    size_t                         kept;        /* bytes of all items */
    ngx_uint_t                     finish;
    ngx_pulse_chat_usage_t         usage;
    unsigned                       finished:1;
    unsigned                       ended:1;
} ngx_pulse_responses_stream_t;

void ngx_pulse_responses_write_event(void *state,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
void ngx_pulse_responses_write_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b);

/* Names the answer; NGX_ERROR without memory. */
ngx_int_t ngx_pulse_responses_begin(ngx_pulse_responses_stream_t *st,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev);

/* Parts of a response's JSON; between head and tail stand the items. */
void ngx_pulse_responses_json_head(const ngx_pulse_responses_stream_t *st,
    const char *status, ngx_uint_t finish, const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b);
void ngx_pulse_responses_json_tail(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_chat_usage_t *usage, ngx_pulse_buf_t *b);
void ngx_pulse_responses_json_item(
    const ngx_pulse_responses_stream_t *st,
    const ngx_pulse_responses_output_t *item, const char *status,
    ngx_pulse_buf_t *b);
void ngx_pulse_responses_json_part(
    const ngx_pulse_responses_output_t *item, ngx_pulse_buf_t *b);
void ngx_pulse_responses_json_logprobs(
    const ngx_pulse_responses_output_t *item, ngx_pulse_buf_t *b);
const char *ngx_pulse_responses_format(const ngx_str_t *type);
void ngx_pulse_responses_json_id(const ngx_pulse_responses_stream_t *st,
    const char *key, const ngx_pulse_responses_output_t *item,
    ngx_pulse_buf_t *b);
void ngx_pulse_responses_json_null(ngx_pulse_buf_t *b, const char *key);
void ngx_pulse_responses_json_buf(ngx_pulse_buf_t *b, const char *key,
    const ngx_pulse_buf_t *value);


#endif /* _NGX_PULSE_RESPONSES_H_INCLUDED_ */
