
#ifndef _NGX_PULSE_OPENAI_H_INCLUDED_
#define _NGX_PULSE_OPENAI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_json.h"
#include "ngx_pulse_sse.h"
#include "ngx_pulse_chat.h"
#include "ngx_pulse_conversation.h"
#include "ngx_pulse_form.h"


/*
 * OpenAI chat completions: requests are checked and spliced, answers only
 * scanned, so that what passes through is what was sent, byte for byte.
 */


/* members of the request that are looked at or edited */

typedef enum {
    NGX_PULSE_OPENAI_MODEL = 0,
    NGX_PULSE_OPENAI_MESSAGES,
    NGX_PULSE_OPENAI_STREAM,
    NGX_PULSE_OPENAI_STREAM_OPTIONS,
    NGX_PULSE_OPENAI_MAX_TOKENS,
    NGX_PULSE_OPENAI_MAX_COMPLETION_TOKENS,
    NGX_PULSE_OPENAI_N,
    NGX_PULSE_OPENAI_TEMPERATURE,
    NGX_PULSE_OPENAI_TOP_P,
    NGX_PULSE_OPENAI_PRESENCE_PENALTY,
    NGX_PULSE_OPENAI_FREQUENCY_PENALTY,
    NGX_PULSE_OPENAI_TOOLS,
    NGX_PULSE_OPENAI_FUNCTIONS,
    NGX_PULSE_OPENAI_TOOL_CHOICE,
    NGX_PULSE_OPENAI_RESPONSE_FORMAT,
    NGX_PULSE_OPENAI_PREDICTION,
    NGX_PULSE_OPENAI_FALLBACKS,     /* from here on: of the studio only */
    NGX_PULSE_OPENAI_SYSTEM,
    NGX_PULSE_OPENAI_LOCALE,
    NGX_PULSE_OPENAI_NFIELDS,
    NGX_PULSE_OPENAI_OTHER = NGX_PULSE_OPENAI_NFIELDS
} ngx_pulse_openai_field_e;


/*
 * Where a member is.  "prev" is the end of the member before it (0: none),
 * "next" the key of the member after it (0: none).
 */

typedef struct {
    uint32_t                   prev;
    uint32_t                   key;
    uint32_t                   start;
    uint32_t                   end;
    uint32_t                   next;
    unsigned                   set:1;       /* present */
    unsigned                   null:1;
} ngx_pulse_openai_span_t;


typedef struct {
    ngx_str_t                  body;
    unsigned                   studio:1;
    unsigned                   stream:1;
    unsigned                   include_usage:1;     /* the client asked */
    unsigned                   foreign:1;   /* a message may have what
                                             * ngx_pulse_openai_foreign()
                                             * takes out */

    ngx_str_t                  model;       /* decoded, empty if absent */
    ngx_str_t                  locale;      /* studio: decoded or empty */
    ngx_str_t                  fallbacks[NGX_PULSE_CHAT_FALLBACKS];
    ngx_uint_t                 nfallbacks;
    int64_t                    max_tokens;  /* asked; 0: not */
    int64_t                    n;

    ngx_pulse_tokens_t         prompt;      /* without images */
    ngx_uint_t                 images_low;
    ngx_uint_t                 images_high;

    ngx_pulse_openai_span_t    fields[NGX_PULSE_OPENAI_NFIELDS];
    ngx_pulse_openai_span_t    usage;       /* stream_options.include_usage */
    size_t                     tail;        /* end of the last member */
} ngx_pulse_openai_request_t;


/* What the provider is to get instead of what the client wrote. */

typedef struct {
    ngx_str_t                  model;
    ngx_str_t                  parameter;   /* name of its max-token field */
    int64_t                    max_tokens;  /* for each choice */
} ngx_pulse_openai_edit_t;


/*
 * Reads a request; strings are in "pool", spans point into "body", which
 * must outlive the request.  "studio": the fields of /v1/chat/complete are
 * taken.  NGX_OK; NGX_DECLINED with "refusal"; NGX_ERROR without memory.
 */
ngx_int_t ngx_pulse_openai_read(ngx_pulse_openai_request_t *req,
    ngx_pool_t *pool, const ngx_str_t *body, ngx_uint_t studio,
    ngx_pulse_chat_refusal_t *refusal);

/* Writes the provider's body: the client's with a few members spliced. */
void ngx_pulse_openai_write(const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit, ngx_pulse_buf_t *b);


/* A part of such a body: of the client's, or of what is ours. */

#define NGX_PULSE_OPENAI_MAX_EDITS  16

typedef struct {
    size_t                     start;
    size_t                     end;
    ngx_uint_t                 own;         /* unsigned  own:1; */
} ngx_pulse_openai_piece_t;


typedef struct {
    ngx_pulse_openai_piece_t   elts[2 * NGX_PULSE_OPENAI_MAX_EDITS + 1];
    ngx_uint_t                 n;
} ngx_pulse_openai_pieces_t;


/* The same without a copy of the client's; what is ours goes to "b". */
void ngx_pulse_openai_pieces(const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit, ngx_pulse_openai_pieces_t *pieces,
    ngx_pulse_buf_t *b);


/* members that a model knows although they are not OpenAI's */

#define NGX_PULSE_OPENAI_KEEP_THINKING  1   /* reasoning_content */
#define NGX_PULSE_OPENAI_KEEP_EXTRA     2   /* extra_content */

/* one that refuses a message that bears any thinking, its own too */

#define NGX_PULSE_OPENAI_NO_THINKING    4

/*
 * Appends a provider's body less what answers of other vendors' models bore:
 * reasoning_details as we write them and the members that "keep" has not.
 * NGX_DECLINED if there is none, and nothing is appended; NGX_ERROR without
 * memory.
 */
ngx_int_t ngx_pulse_openai_foreign(const ngx_str_t *body, ngx_pool_t *pool,
    ngx_uint_t keep, ngx_pulse_buf_t *b);

/*
 * Appends a request of this dialect as the vendor takes it whom the target's
 * last members describe, and notes what had to be left out.  NGX_DECLINED if
 * it is taken as it is, and nothing is appended; NGX_ERROR without memory.
 */
ngx_int_t ngx_pulse_openai_vendor(const ngx_str_t *body, ngx_pool_t *pool,
    const ngx_pulse_target_t *target, ngx_pulse_dropped_t *dropped,
    ngx_pulse_buf_t *b);


#define NGX_PULSE_OPENAI_PASS      0        /* send the event as it came */
#define NGX_PULSE_OPENAI_EDITED    1        /* send what is in the buffer */
#define NGX_PULSE_OPENAI_DROP      2        /* send nothing */
#define NGX_PULSE_OPENAI_BAD       3        /* it is no JSON object */

#define NGX_PULSE_OPENAI_ID_LEN    96


/* An answer while it arrives; zeroed at the start. */

typedef struct {
    ngx_pulse_chat_usage_t     usage;
    ngx_pulse_tokens_t         output;      /* text, calls and reasoning */
    uint64_t                   deltas;      /* events that bore any */
    unsigned                   hide:1;      /* the client wants no usage */
    unsigned                   finished:1;  /* a finish reason was given */
    unsigned                   failed:1;    /* an error was */
    unsigned                   done:1;      /* [DONE] */
    unsigned                   bore:1;      /* the last one did */

    /* of the object last read; spans point into it */

    ngx_uint_t                 choices;
    ngx_pulse_openai_span_t    usage_at;

    ngx_pulse_form_t           form;        /* of the last event */

    /* of a whole answer: where a stream has them nobody asks */

    ngx_pulse_openai_span_t    id_at;
    ngx_pulse_openai_span_t    model_at;
    ngx_pulse_openai_span_t    choices_at;

    /* of the first event, to end a stream in its name */

    u_char                     id[NGX_PULSE_OPENAI_ID_LEN];
    size_t                     id_len;
    u_char                     model[NGX_PULSE_OPENAI_ID_LEN];
    size_t                     model_len;
    u_char                     created[24];
    size_t                     created_len;
} ngx_pulse_openai_answer_t;


/*
 * Looks at one event of a stream; returns what to do with it.  EDITED fills
 * "b", which the caller has emptied.
 */
ngx_uint_t ngx_pulse_openai_event(ngx_pulse_openai_answer_t *answer,
    ngx_pulse_sse_event_t *ev, ngx_pulse_buf_t *b);

/* Looks at a whole answer; NGX_ERROR if it is no JSON object. */
ngx_int_t ngx_pulse_openai_answer(ngx_pulse_openai_answer_t *answer,
    const u_char *p, size_t len);

/* The studio's "data" of an answer that was read. */
void ngx_pulse_openai_studio(const ngx_pulse_openai_answer_t *answer,
    const u_char *p, const ngx_str_t *provider, ngx_pulse_buf_t *b);

/* Ends a stream as the provider would have: a chunk with the reason, usage
 * unless hidden, [DONE].  "usage" is what is charged. */
void ngx_pulse_openai_finish(const ngx_pulse_openai_answer_t *answer,
    const char *reason, const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b);

/* Reads an error in the shapes that providers of this dialect use.
 * NGX_DECLINED if there is none, NGX_ERROR without memory. */
ngx_int_t ngx_pulse_openai_error(ngx_pulse_chat_error_t *error,
    ngx_pool_t *pool, const u_char *p, size_t len);


/*
 * In translation: the parts of ngx_pulse_dialect_openai.
 */


/*
 * Reads a client's request into a conversation, which points into "body";
 * "studio" as above.  Returns as "read" of the dialect does.
 */
ngx_int_t ngx_pulse_openai_convert(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_str_t *body, ngx_uint_t studio,
    ngx_pulse_chat_refusal_t *refusal);

/* What it is made of: tools and the choice of them, messages. */
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

/* Messages while they are read, which those of a model's have more of. */

typedef struct {
    ngx_pulse_conversation_t   *cv;
    ngx_pool_t                 *pool;
    ngx_pulse_chat_refusal_t   *refusal;
    ngx_pulse_turn_t           *results;    /* where the next one goes */
    ngx_pulse_part_t           *called;     /* first call of the last turn */
    ngx_pulse_part_t           *legacy;     /* the last function_call */
    ngx_uint_t                  calls;      /* that came without an id */
} ngx_pulse_openai_turns_t;


/* Thinking that came back; calls and what signs them. */
ngx_int_t ngx_pulse_openai_thoughts(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
ngx_int_t ngx_pulse_openai_calls(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);

/* An object member that must be there. */
ngx_int_t ngx_pulse_openai_object(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **inner);

/* Adds a part of text. */
ngx_int_t ngx_pulse_openai_add(ngx_pulse_openai_turns_t *ts,
    ngx_pulse_turn_t *turn, ngx_pulse_part_e type, const ngx_str_t *text);


/* The provider's side: "write" and the readers of the dialect. */
ngx_int_t ngx_pulse_openai_provide(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b);
ngx_int_t ngx_pulse_openai_read_stream(void *state, ngx_pool_t *pool,
    const ngx_str_t *name, const ngx_str_t *data,
    ngx_pulse_answer_pt handler, void *ctx);
ngx_int_t ngx_pulse_openai_read_stream_end(void *state,
    ngx_pulse_answer_pt handler, void *ctx);
ngx_int_t ngx_pulse_openai_read_whole(ngx_pool_t *pool, const ngx_str_t *body,
    ngx_pulse_answer_pt handler, void *ctx);


/* --- writing a request for a provider --- */

typedef struct {
    const ngx_pulse_conversation_t  *cv;
    const ngx_pulse_target_t        *target;
    ngx_pool_t                      *pool;
    ngx_pulse_dropped_t             *dropped;
    ngx_pulse_chat_refusal_t        *refusal;
    ngx_pulse_buf_t                 *b;
} ngx_pulse_openai_provider_t;


/* The messages of a turn; a part of one by a user. */
ngx_int_t ngx_pulse_openai_put_turn(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn);
ngx_int_t ngx_pulse_openai_put_part(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);

/* Refuses what was read from "at", which may be NULL. */
ngx_int_t ngx_pulse_openai_put_refuse(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_json_value_t *at, const char *reason);


/* --- reading an answer of a provider --- */

/* A call of an answer that is being read. */

#define NGX_PULSE_OPENAI_CALLS     128
#define NGX_PULSE_OPENAI_NATIVE    32

typedef struct {
    uint32_t                   hash;        /* of its id */
    uint32_t                   key;         /* as the provider counts */
    u_char                     choice;
    u_char                     index;       /* as we do: within the choice */
} ngx_pulse_openai_call_t;


/* A stream of the provider's while it is read; zeroed at the start. */

typedef struct {
    ngx_pulse_chat_usage_t     usage;
    ngx_pulse_openai_call_t    calls[NGX_PULSE_OPENAI_CALLS];
    ngx_uint_t                 ncalls;
    ngx_uint_t                 open;        /* of calls, from 1; 0: none */
    ngx_uint_t                 nchoices;
    ngx_uint_t                 last;        /* event of content */
    int64_t                    detail;      /* of reasoning_details */
    ngx_pulse_form_t           form;        /* of the last event */
    ngx_uint_t                 form_choice;
    ngx_pulse_answer_e         form_type;
    uint32_t                   hash;        /* of the answer's id */
    u_char                     finish[NGX_PULSE_CHAT_MAX_N];   /* + 1 */
    u_char                     called[NGX_PULSE_CHAT_MAX_N];   /* calls */
    u_char                     native[NGX_PULSE_OPENAI_NATIVE];
    size_t                     native_len;
    unsigned                   started:1;
    unsigned                   detailed:1;
    unsigned                   failed:1;
    unsigned                   ended:1;
} ngx_pulse_openai_stream_t;


/* What is being read of it: an event of the stream, or all. */

typedef struct {
    ngx_pulse_openai_stream_t  *stream;
    ngx_pool_t                 *pool;
    const ngx_str_t            *data;
    ngx_pulse_answer_pt         handler;
    void                       *ctx;
    ngx_str_t                   logprobs;   /* of the next text */
    ngx_uint_t                  choice;
    unsigned                    whole:1;    /* not a stream's delta */
} ngx_pulse_openai_events_t;


/* What a message says, or a delta of it. */
ngx_int_t ngx_pulse_openai_events_message(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message);

/* Ends the call that is open, if any. */
ngx_int_t ngx_pulse_openai_events_close(ngx_pulse_openai_events_t *es);

/* Events with text, if there is any; with nothing of their own. */
ngx_int_t ngx_pulse_openai_events_text(ngx_pulse_openai_events_t *es,
    ngx_pulse_answer_e type, const ngx_str_t *text);
ngx_int_t ngx_pulse_openai_events_send(ngx_pulse_openai_events_t *es,
    ngx_pulse_answer_e type);

/* Members that are ignored where they are of another type: empty, NGX_DECLINED
 * with "*n" as it was, NULL. */
ngx_str_t ngx_pulse_openai_events_string(const ngx_pulse_json_value_t *v,
    const char *key);
ngx_int_t ngx_pulse_openai_events_number(const ngx_pulse_json_value_t *v,
    const char *key, int64_t *n);
const ngx_pulse_json_value_t *ngx_pulse_openai_events_list(
    const ngx_pulse_json_value_t *v, const char *key);

/* Tells ids apart without keeping them. */
uint32_t ngx_pulse_openai_events_hash(const ngx_str_t *s);


/* The client's side: what has been said of a stream; zeroed at the start. */

#define NGX_PULSE_OPENAI_HEAD_LEN  320      /* what each chunk begins with */

typedef struct {
    ngx_pulse_chat_usage_t     usage;
    u_char                     id[NGX_PULSE_OPENAI_ID_LEN];
    size_t                     id_len;
    u_char                     model[NGX_PULSE_OPENAI_ID_LEN];
    size_t                     model_len;
    int64_t                    created;
    u_char                     head[NGX_PULSE_OPENAI_HEAD_LEN];
    size_t                     head_len;    /* 0: not written yet, or long */
    ngx_uint_t                 last;        /* event of content */
    ngx_uint_t                 thought;     /* of reasoning_details */
    ngx_uint_t                 call;        /* that is open, from 1 */
    u_char                     roles[NGX_PULSE_CHAT_MAX_N];
    unsigned                   custom:1;    /* it is one of free text */
    unsigned                   bore:1;      /* it has arguments */
    unsigned                   started:1;
    unsigned                   ended:1;
} ngx_pulse_openai_writer_t;


/* The client's side: the writers of the dialect. */
void ngx_pulse_openai_client_event(void *state,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_event_t *ev,
    ngx_pulse_buf_t *b);
void ngx_pulse_openai_client_answer(const ngx_pulse_collector_t *collector,
    const ngx_pulse_conversation_t *cv, int64_t created, ngx_pulse_buf_t *b);

/* What both have: the id of an answer, as many bytes as are returned; how it
 * finished; an element of reasoning_details but for its last brace; members
 * with a signature, with the usage, without a value. */

size_t ngx_pulse_openai_client_id(u_char *p, const ngx_str_t *id);
const char *ngx_pulse_openai_client_reason(
    const ngx_pulse_conversation_t *cv, ngx_uint_t finish);
void ngx_pulse_openai_client_detail(const char *type,
    ngx_uint_t index, const char *key, const ngx_str_t *text,
    ngx_pulse_buf_t *b);
void ngx_pulse_openai_client_extra(const ngx_str_t *signature,
    ngx_pulse_buf_t *b);
void ngx_pulse_openai_client_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_buf_t *b);
void ngx_pulse_openai_client_null(const char *key, ngx_pulse_buf_t *b);

/* A picture as OpenRouter has it, and the logprobs of a choice. */

void ngx_pulse_openai_client_image(const ngx_str_t *type,
    const ngx_str_t *data, ngx_pulse_buf_t *b);
void ngx_pulse_openai_client_logprobs(const ngx_str_t *logprobs,
    ngx_pulse_buf_t *b);

/* An error as this dialect's clients take it: {"error": {...}}. */
void ngx_pulse_openai_client_error(const ngx_pulse_chat_error_t *error,
    ngx_pulse_buf_t *b);


#endif /* _NGX_PULSE_OPENAI_H_INCLUDED_ */
