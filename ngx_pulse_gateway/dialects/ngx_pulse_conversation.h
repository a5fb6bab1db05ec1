
#ifndef _NGX_PULSE_CONVERSATION_H_INCLUDED_
#define _NGX_PULSE_CONVERSATION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_chat.h"
#include "ngx_pulse_json.h"
#include "ngx_pulse_tokens.h"


/*
 * A request between two dialects: the reader of the client's dialect makes
 * it, the writer of the provider's writes it.  It holds whatever any of them
 * can say; what a writer cannot express it refuses or reports as dropped,
 * never silently.  All of it lives in one pool; strings are decoded, raw
 * ones are JSON texts as the client wrote them and may point into the body
 * that was read, which must live as long.
 */


typedef enum {
    NGX_PULSE_PART_TEXT = 0,
    NGX_PULSE_PART_IMAGE,           /* of an answer: type and data only */
    NGX_PULSE_PART_DOCUMENT,
    NGX_PULSE_PART_AUDIO,
    NGX_PULSE_PART_CALL,            /* of a tool, by the model */
    NGX_PULSE_PART_RESULT,          /* of a tool, from the client */
    NGX_PULSE_PART_THINKING,
    NGX_PULSE_PART_REDACTED,        /* thinking that only "data" bears */
    NGX_PULSE_PART_REFUSAL,
    NGX_PULSE_PART_RAW              /* of the client's dialect only, whole:
                                     * raw JSON in "data", "name" its type */
} ngx_pulse_part_e;


/*
 * A source of what an answer says.  "start" and "end" say where: characters
 * of all its text; both 0: not said.  Readers may leave it to the relay to
 * find that out.
 */

#define NGX_PULSE_CITED_HERE      0     /* characters of all text */
#define NGX_PULSE_CITED_PART      1     /* of the part of text that is open */
#define NGX_PULSE_CITED_BLOCK     2     /* all of that part, once it is over */
#define NGX_PULSE_CITED_BYTES     3     /* bytes, with the words as "quote" */

typedef struct ngx_pulse_citation_s  ngx_pulse_citation_t;

struct ngx_pulse_citation_s {
    ngx_str_t              url;
    ngx_str_t              title;
    ngx_str_t              text;        /* of the source, or empty */
    ngx_str_t              quote;       /* words of the answer, or empty */
    ngx_uint_t             unit;        /* NGX_PULSE_CITED_* */
    int64_t                start;
    int64_t                end;
    int64_t                part;        /* start of the part it is in */
    int64_t                from;        /* the same place in bytes */
    int64_t                to;
    ngx_pulse_citation_t  *next;
};


typedef struct ngx_pulse_part_s  ngx_pulse_part_t;

struct ngx_pulse_part_s {
    ngx_pulse_part_e      type;
    ngx_str_t             text;         /* TEXT, THINKING, REFUSAL */
    ngx_str_t             url;          /* IMAGE, DOCUMENT: https only */
    ngx_str_t             media_type;   /* of "data" */
    ngx_str_t             data;         /* base64; REDACTED: opaque */
    ngx_str_t             file_id;      /* at the provider */
    ngx_str_t             filename;
    ngx_str_t             detail;       /* IMAGE: low, high, auto */
    ngx_str_t             id;           /* CALL, RESULT: links the two */
    ngx_str_t             item_id;      /* Responses: of the item itself */
    ngx_str_t             name;         /* CALL; RESULT where known */
    ngx_str_t             arguments;    /* CALL: raw JSON */
    ngx_str_t             signature;    /* THINKING, CALL, TEXT: opaque */
    ngx_str_t             cache;        /* cache marker: "5m", "1h", "30m" */
    ngx_pulse_part_t     *content;      /* RESULT: its parts */
    ngx_pulse_citation_t *citations;    /* TEXT of an answer */
    ngx_str_t             logprobs;     /* as well: OpenAI's list, bare */
    ngx_pulse_part_t     *next;
    const ngx_pulse_json_value_t  *at;  /* that it was read from, or NULL:
                                         * what a refusal points to */
    unsigned              error:1;      /* RESULT of a tool that failed */
    unsigned              custom:1;     /* CALL of a tool without a schema */
};


#define NGX_PULSE_ROLE_SYSTEM     0
#define NGX_PULSE_ROLE_USER       1
#define NGX_PULSE_ROLE_ASSISTANT  2

typedef struct ngx_pulse_turn_s  ngx_pulse_turn_t;

struct ngx_pulse_turn_s {
    ngx_uint_t            role;         /* results of tools: USER */
    ngx_str_t             name;         /* of a participant, or empty */
    ngx_pulse_part_t     *parts;
    ngx_pulse_part_t    **last;         /* where the next part goes */
    ngx_pulse_turn_t     *next;
    const ngx_pulse_json_value_t  *at;  /* of the next part, while reading */
};


typedef struct ngx_pulse_tool_s  ngx_pulse_tool_t;

struct ngx_pulse_tool_s {
    ngx_str_t             name;
    ngx_str_t             description;
    ngx_str_t             parameters;   /* raw JSON schema, or empty */
    ngx_str_t             raw;          /* a tool of the client's dialect
                                         * only, whole: web search and so
                                         * on; "name" is then its type */
    ngx_str_t             cache;
    ngx_uint_t            dialect;      /* of "raw": NGX_PULSE_DIALECT_* */
    ngx_pulse_tool_t     *next;
    const ngx_pulse_json_value_t  *at;  /* as of a part */
    unsigned              strict:1;
    unsigned              custom:1;
};


#define NGX_PULSE_CHOICE_UNSET    0
#define NGX_PULSE_CHOICE_AUTO     1
#define NGX_PULSE_CHOICE_NONE     2
#define NGX_PULSE_CHOICE_ANY      3
#define NGX_PULSE_CHOICE_NAMED    4

#define NGX_PULSE_FORMAT_TEXT     0
#define NGX_PULSE_FORMAT_JSON     1
#define NGX_PULSE_FORMAT_SCHEMA   2

/* of how hard a model thinks; UNSET leaves it to the model */

#define NGX_PULSE_EFFORT_UNSET    0
#define NGX_PULSE_EFFORT_NONE     1
#define NGX_PULSE_EFFORT_MINIMAL  2
#define NGX_PULSE_EFFORT_LOW      3
#define NGX_PULSE_EFFORT_MEDIUM   4
#define NGX_PULSE_EFFORT_HIGH     5
#define NGX_PULSE_EFFORT_XHIGH    6
#define NGX_PULSE_EFFORT_MAX      7

/* wire formats; a provider speaks one, a location takes one */

#define NGX_PULSE_DIALECT_OPENAI     0  /* chat completions */
#define NGX_PULSE_DIALECT_RESPONSES  1
#define NGX_PULSE_DIALECT_ANTHROPIC  2
#define NGX_PULSE_DIALECT_GEMINI     3
#define NGX_PULSE_DIALECTS           4

/*
 * Where the body must change before it goes to a provider of the dialect that
 * it is written in: what another vendor signed is refused there.
 */

typedef struct ngx_pulse_edit_s  ngx_pulse_edit_t;

struct ngx_pulse_edit_s {
    size_t                start;        /* in the body */
    size_t                end;
    ngx_str_t             text;         /* instead; empty: an element of an
                                         * array goes, with its comma */
    const char           *name;         /* of what goes; NULL: thinking */
    ngx_pulse_edit_t     *next;
    unsigned              sign:1;       /* Gemini: for models that want
                                         * calls signed */
};


#define NGX_PULSE_CHAT_STOPS      16
#define NGX_PULSE_CHAT_DROPPED    32
#define NGX_PULSE_CHAT_SHARED     6


/* Names of what was left out, for X-Pulse-Warning. */

typedef struct {
    ngx_str_t             names[NGX_PULSE_CHAT_DROPPED];
    ngx_uint_t            n;
} ngx_pulse_dropped_t;


/* What both of OpenAI's APIs have in one form. */

typedef struct {
    const char           *name;
    ngx_str_t             value;        /* raw */
} ngx_pulse_shared_t;


typedef struct {
    ngx_pool_t           *pool;         /* that all of it lives in */
    ngx_uint_t            dialect;      /* that it was written in */
    ngx_str_t             model;
    ngx_pulse_turn_t     *turns;        /* in order, SYSTEM anywhere */
    ngx_pulse_turn_t     *last;
    ngx_pulse_tool_t     *tools;
    ngx_pulse_tool_t     *last_tool;
    ngx_uint_t            choice;       /* NGX_PULSE_CHOICE_* */
    ngx_str_t             choice_name;
    ngx_uint_t            effort;       /* NGX_PULSE_EFFORT_* */
    int64_t               budget;       /* thinking tokens; 0: not said */
    int64_t               max_tokens;   /* 0: not said */
    int64_t               n;            /* 1 unless said */
    ngx_str_t             temperature;  /* numbers as written, or empty */
    ngx_str_t             top_p;
    ngx_str_t             top_k;
    ngx_str_t             presence_penalty;
    ngx_str_t             frequency_penalty;
    ngx_str_t             seed;
    ngx_str_t             stops[NGX_PULSE_CHAT_STOPS];
    ngx_uint_t            nstops;
    ngx_uint_t            format;       /* NGX_PULSE_FORMAT_* */
    ngx_str_t             format_name;
    ngx_str_t             format_description;
    ngx_str_t             format_schema;        /* raw */
    ngx_str_t             user;
    ngx_str_t             old_user;     /* OpenAI: "user", if there is a
                                         * safety_identifier beside it */
    ngx_str_t             verbosity;
    ngx_pulse_shared_t    shared[NGX_PULSE_CHAT_SHARED];
    ngx_uint_t            nshared;
    ngx_str_t             cache;        /* marker of the whole prompt */
    int64_t               top_logprobs; /* beside each token's own */
    ngx_uint_t            answer_effort;        /* Anthropic: beside effort
                                                 * NONE, of the answer */
    unsigned              format_strict:1;
    unsigned              stream:1;
    unsigned              include_usage:1;      /* OpenAI clients */
    unsigned              include_thoughts:1;   /* show the thinking */
    unsigned              no_parallel:1;        /* one call at a time */
    unsigned              functions:1;          /* OpenAI: calls are to be
                                                 * answered the old way */
    unsigned              adaptive:1;           /* Anthropic: thinking */
    unsigned              omit_thoughts:1;      /* Anthropic: "omitted" */
    unsigned              logprobs:1;           /* of the answer's tokens */

    /* where it was read from, or NULL: what refusals of writers point to */

    const ngx_pulse_json_value_t  *at;          /* the messages; a tool
                                                 * while they are read */
    const ngx_pulse_json_value_t  *n_at;
    const ngx_pulse_json_value_t  *stops_at;
    const ngx_pulse_json_value_t  *choice_at;

    /* what the client sent that has no place here: names of members */

    ngx_str_t             unknown[NGX_PULSE_CHAT_DROPPED];
    ngx_uint_t            nunknown;

    ngx_pulse_edit_t     *edits;        /* in the order of the body */
    ngx_pulse_edit_t     *last_edit;
    size_t                sign_from;    /* in the body: signatures before
                                         * need no edit */

    /* why nobody can be asked who speaks another dialect, if there is a
     * reason: to leave it out would be to answer something else */

    ngx_pulse_chat_refusal_t   native;

    /* of the answer: what its client's dialect has no word for; or NULL */

    ngx_pulse_dropped_t  *lost;

    /* for the reservation */

    ngx_pulse_tokens_t    prompt;       /* without images */
    ngx_uint_t            images_low;
    ngx_uint_t            images_high;
} ngx_pulse_conversation_t;


/* What the model asked takes: its row of the catalogue. */

typedef struct {
    ngx_str_t             model;        /* its name at the provider */
    ngx_str_t             max_tokens_name;      /* OpenAI: the member */
    int64_t               max_tokens;   /* to ask for; never 0 */
    ngx_uint_t            efforts;      /* 1 << NGX_PULSE_EFFORT_*; 0: any */
    unsigned              sampling:1;   /* temperature and its like */
    unsigned              forced_choice:1;
    unsigned              prefill:1;
    unsigned              effort:1;     /* has a setting for it */
    unsigned              effort_none:1;
    unsigned              thinking_budget:1;    /* else adaptive, levels */
    unsigned              thinking_off:1;       /* may be switched off */
    unsigned              between_tools:1;      /* instead of off */
    unsigned              system_inside:1;      /* Anthropic: in messages */
    unsigned              https_images:1;       /* fetches them itself */
    unsigned              reasoning_content:1;  /* OpenAI's dialect: takes
                                                 * thinking back */

    /* of vendors that speak as OpenAI does, less or otherwise */

    const ngx_pulse_chat_parameter_t  *parameters;
    ngx_uint_t                         nparameters;
    unsigned                           named_choice:1;
    unsigned                           developer:1;     /* the role */
    unsigned                           no_thinking:1;   /* none comes back */
    unsigned                           extra_content:1; /* signs calls so */
} ngx_pulse_target_t;


/* --- building (ngx_pulse_conversation.c); NULL without memory --- */

/* A part is from "turn->at", a tool from "cv->at", which readers set. */
ngx_pulse_turn_t *ngx_pulse_turn_add(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, ngx_uint_t role);
ngx_pulse_part_t *ngx_pulse_part_add(ngx_pulse_turn_t *turn,
    ngx_pool_t *pool, ngx_pulse_part_e type);
ngx_pulse_tool_t *ngx_pulse_tool_add(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool);

/* Adds an edit of the bytes from "start" to "end"; NULL without memory. */
ngx_pulse_edit_t *ngx_pulse_edit_add(ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, size_t start, size_t end);

/* Adds an edit that takes a member out, or makes null of it where its name
 * has escapes; NGX_ERROR without memory. */
ngx_int_t ngx_pulse_edit_member(ngx_pulse_conversation_t *cv,
    const ngx_str_t *body, const ngx_pulse_json_value_t *v);

/* Where the name of a member begins, at its quote; 0 if it has escapes. */
size_t ngx_pulse_edit_key(const ngx_str_t *body,
    const ngx_pulse_json_value_t *v);

/* Takes all edits back that came after "last". */
void ngx_pulse_edit_back(ngx_pulse_conversation_t *cv, ngx_pulse_edit_t *last);

/* Appends the body with its edits; those of signatures only if asked for. */
void ngx_pulse_edit_body(const ngx_pulse_conversation_t *cv,
    const ngx_str_t *body, ngx_uint_t sign, ngx_pulse_buf_t *b);

/* Notes a name once; static or in a pool that lives as long. */
void ngx_pulse_dropped_add(ngx_pulse_dropped_t *dropped, const char *name);

/* The same of a name that the client gave. */
void ngx_pulse_dropped_name(ngx_pulse_dropped_t *dropped,
    const ngx_str_t *name);

/* Notes members that OpenAI's two APIs share; "body" must live as long. */
void ngx_pulse_shared_read(ngx_pulse_conversation_t *cv,
    const ngx_str_t *body, const ngx_pulse_json_value_t *root);

/* Reads who asks: into cv->user, of two names the newer.  NGX_DECLINED with
 * the refusal. */
ngx_int_t ngx_pulse_shared_user(ngx_pulse_conversation_t *cv,
    const ngx_pulse_json_value_t *root, ngx_pulse_chat_refusal_t *refusal);

/* Writes the members as they were; names them, and what else only OpenAI's
 * APIs have in common, for who has no word for it. */
void ngx_pulse_shared_write(const ngx_pulse_conversation_t *cv,
    ngx_pulse_buf_t *b);
void ngx_pulse_shared_drop(const ngx_pulse_conversation_t *cv,
    ngx_pulse_dropped_t *dropped);

/* Notes a copy of a name of an answer's in cv->lost. */
void ngx_pulse_lost(const ngx_pulse_conversation_t *cv, const char *name);
void ngx_pulse_lost_name(const ngx_pulse_conversation_t *cv,
    const ngx_str_t *name);

/* The name of the tool whose call has this id, or empty; searches them all,
 * so only for a result that has none. */
ngx_str_t ngx_pulse_call_name(const ngx_pulse_conversation_t *cv,
    const ngx_str_t *id);

/* The effort that a model takes which is nearest to one asked for: less
 * rather than more. */
ngx_uint_t ngx_pulse_effort(const ngx_pulse_target_t *target,
    ngx_uint_t effort);

/* Splits "data:TYPE;base64,DATA" of a part's url into media_type and data;
 * an https URL stays.  NGX_DECLINED if it is neither. */
ngx_int_t ngx_pulse_part_url(ngx_pulse_part_t *part, const ngx_str_t *url);

/* To be called by a reader at its end: counts all of it into cv->prompt and
 * the images, names results after the calls that they answer. */
void ngx_pulse_conversation_count(ngx_pulse_conversation_t *cv);

/* Tokens of the prompts of its own that a provider of this dialect may put
 * around tools, schemas and thinking: of the bound, and of no other figure. */
uint64_t ngx_pulse_conversation_frames(const ngx_pulse_tokens_t *prompt,
    ngx_uint_t dialect);


/* --- reading a tree: a refusal names the value or its member --- */

/* Fills the refusal with where and why; always NGX_DECLINED.  "v" may be
 * NULL (the document), as may "key". */
ngx_int_t ngx_pulse_refuse(ngx_pulse_chat_refusal_t *refusal,
    const ngx_pulse_json_value_t *v, const char *key, const char *reason);

/* A member of an object, NULL if absent or null. */
ngx_pulse_json_value_t *ngx_pulse_member(const ngx_pulse_json_value_t *v,
    const char *key);

/* Members of one type; what is absent or null leaves the result as it was.
 * NGX_OK, or NGX_DECLINED with the refusal.  A number stays text; a count is
 * an integer from "min" on. */
ngx_int_t ngx_pulse_member_string(const ngx_pulse_json_value_t *v,
    const char *key, ngx_str_t *s, ngx_pulse_chat_refusal_t *refusal);
ngx_int_t ngx_pulse_member_number(const ngx_pulse_json_value_t *v,
    const char *key, ngx_str_t *number, ngx_pulse_chat_refusal_t *refusal);
ngx_int_t ngx_pulse_member_count(const ngx_pulse_json_value_t *v,
    const char *key, int64_t min, int64_t *n,
    ngx_pulse_chat_refusal_t *refusal);
ngx_int_t ngx_pulse_member_bool(const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t *flag, ngx_pulse_chat_refusal_t *refusal);

/* A member that must be an object, an array; NULL in "*member" if absent. */
ngx_int_t ngx_pulse_member_object(const ngx_pulse_json_value_t *v,
    const char *key, ngx_pulse_json_value_t **member,
    ngx_pulse_chat_refusal_t *refusal);
ngx_int_t ngx_pulse_member_array(const ngx_pulse_json_value_t *v,
    const char *key, ngx_pulse_json_value_t **member,
    ngx_pulse_chat_refusal_t *refusal);

/* The bytes of a value in the text its tree was read from. */
ngx_str_t ngx_pulse_raw(const ngx_str_t *text,
    const ngx_pulse_json_value_t *v);

/* Notes in cv->native, for the first that is there, why a request cannot be
 * translated: names and reasons by turns, the list ends with NULL. */
void ngx_pulse_native_members(ngx_pulse_conversation_t *cv,
    const ngx_pulse_json_value_t *v, const char **members);

/* Members of an object that are not in the list (ends with NULL) and not
 * null go to cv->unknown. */
void ngx_pulse_unknown_members(ngx_pulse_conversation_t *cv,
    const ngx_pulse_json_value_t *v, const char **known);

/* Notes one there, once, as a literal. */
void ngx_pulse_unknown_note(ngx_pulse_conversation_t *cv, const char *name);

/* A string of a tree or a literal: 1 if they are the same bytes. */
ngx_uint_t ngx_pulse_is(const ngx_str_t *s, const char *literal);


/* --- writing JSON --- */

/* A comma unless the buffer ends in '{', '[' or is empty: before an
 * element. */
void ngx_pulse_json_comma(ngx_pulse_buf_t *b);

/* The same and "key": before a member's value, a name of ours that needs no
 * escapes; and with its value. */
void ngx_pulse_json_key(ngx_pulse_buf_t *b, const char *key);
void ngx_pulse_json_string(ngx_pulse_buf_t *b, const char *key,
    const ngx_str_t *s);
void ngx_pulse_json_literal(ngx_pulse_buf_t *b, const char *key,
    const char *s);
void ngx_pulse_json_raw(ngx_pulse_buf_t *b, const char *key,
    const ngx_str_t *raw);
void ngx_pulse_json_number(ngx_pulse_buf_t *b, const char *key, int64_t n);

/* Whether it is the text of a JSON object. */
ngx_uint_t ngx_pulse_json_is_object(const ngx_str_t *text);

/* Appends a JSON text without the white space between its tokens. */
void ngx_pulse_json_compact(const ngx_str_t *raw, ngx_pulse_buf_t *b);


/*
 * An answer between two dialects: the reader of the provider's stream (or of
 * its whole answer) says what happened, the writer of the client's dialect
 * puts it on the wire or collects it.  Strings live until the call returns.
 * Parts come one after the other: the next START ends the one before.
 */

typedef enum {
    NGX_PULSE_ANSWER_START = 0,     /* id, model; usage of the prompt where
                                     * it comes first, not yet "known" */
    NGX_PULSE_ANSWER_TEXT,          /* text: a delta; logprobs */
    NGX_PULSE_ANSWER_THINKING,      /* text: a delta */
    NGX_PULSE_ANSWER_SIGNATURE,     /* text: a delta, of the part before */
    NGX_PULSE_ANSWER_REDACTED,      /* text: all of it */
    NGX_PULSE_ANSWER_REFUSAL,       /* text: a delta */
    NGX_PULSE_ANSWER_CALL,          /* index, id, name, signature: a call
                                     * begins */
    NGX_PULSE_ANSWER_ARGUMENTS,     /* index, text: a delta of raw JSON */
    NGX_PULSE_ANSWER_CALL_END,      /* index; no arguments seen is "{}" */
    NGX_PULSE_ANSWER_PART_END,      /* a block that others may follow */
    NGX_PULSE_ANSWER_CITATION,      /* citation: of the text before */
    NGX_PULSE_ANSWER_IMAGE,         /* name: its type, text: in base64 */
    NGX_PULSE_ANSWER_LOST,          /* name: of what no event can say */
    NGX_PULSE_ANSWER_FINISH,        /* finish, native, stop: once, last of
                                     * the content; usage is final here or
                                     * in a USAGE that follows */
    NGX_PULSE_ANSWER_USAGE,         /* usage: replaces what came before */
    NGX_PULSE_ANSWER_ERROR,         /* error: the provider gave up */
    NGX_PULSE_ANSWER_END            /* nothing follows */
} ngx_pulse_answer_e;


#define NGX_PULSE_FINISH_STOP     0
#define NGX_PULSE_FINISH_LENGTH   1
#define NGX_PULSE_FINISH_CALLS    2
#define NGX_PULSE_FINISH_FILTER   3
#define NGX_PULSE_FINISH_ERROR    4


typedef struct {
    ngx_pulse_answer_e       type;
    ngx_uint_t               choice;        /* of n; 0 but for OpenAI */
    ngx_uint_t               index;         /* of calls, from 0 */
    ngx_str_t                id;
    ngx_str_t                model;
    ngx_str_t                name;
    ngx_str_t                text;
    ngx_str_t                logprobs;      /* objects as OpenAI has them,
                                             * with commas between */
    ngx_str_t                signature;
    ngx_uint_t               finish;        /* NGX_PULSE_FINISH_* */
    ngx_str_t                native;        /* as the provider said it */
    ngx_str_t                stop;          /* sequence that was met */
    ngx_pulse_citation_t    *citation;
    ngx_pulse_chat_usage_t   usage;
    ngx_pulse_chat_error_t   error;
    unsigned                 custom:1;      /* CALL: of a tool without a
                                             * schema, arguments are text */
    unsigned                 told:1;        /* END: the client has all that
                                             * comes before it already */
} ngx_pulse_answer_event_t;


/* NGX_OK; anything else ends the reader with it. */
typedef ngx_int_t (*ngx_pulse_answer_pt)(void *ctx,
    ngx_pulse_answer_event_t *ev);


/* Says that something of a name is lost. */
ngx_int_t ngx_pulse_lose(ngx_pulse_answer_pt handler, void *ctx,
    const ngx_str_t *name);

/* Says a citation; one without a URL is lost, by the name of its type. */
ngx_int_t ngx_pulse_cite(ngx_pulse_answer_pt handler, void *ctx,
    ngx_uint_t choice, ngx_uint_t unit, const ngx_pulse_json_value_t *v);

/* The same of all "annotations" or "citations" of an object. */
ngx_int_t ngx_pulse_cite_all(ngx_pulse_answer_pt handler, void *ctx,
    ngx_uint_t choice, ngx_uint_t unit, const ngx_pulse_json_value_t *v);

/* Members of an OpenAI "url_citation", whose place is counted from "base". */
void ngx_pulse_cited(const ngx_pulse_citation_t *citation, int64_t base,
    ngx_pulse_buf_t *b);


/*
 * Between the reader and the writer of an answer: finds the places that are
 * cited and gathers in cv->lost what is.  For a whole answer or a stream.
 */

typedef struct {
    const ngx_pulse_conversation_t  *cv;
    ngx_pulse_answer_pt              handler;
    void                            *ctx;
    ngx_pulse_buf_t                  text;      /* of the answer, so far */
    int64_t                          chars;     /* in it */
    int64_t                          part;      /* of them before this part */
    int64_t                         *marks;     /* characters before bytes */
    ngx_uint_t                       nmarks;
    ngx_uint_t                       cited;     /* citations, so far */
    size_t                           said;      /* bytes in them */
    ngx_uint_t                       nheld;
    ngx_pulse_citation_t            *held;      /* until this part is over */
    ngx_pulse_citation_t           **last;
    unsigned                         open:1;    /* a part of text */
} ngx_pulse_relay_t;

/* Starts a relay that ends with cv->pool, and must live as long. */
ngx_int_t ngx_pulse_relay_init(ngx_pulse_relay_t *relay,
    const ngx_pulse_conversation_t *cv, ngx_pulse_answer_pt handler,
    void *ctx);

/* Takes an event (of type ngx_pulse_answer_pt, ctx is the relay) and passes
 * it on; what the handler returned. */
ngx_int_t ngx_pulse_relay(void *ctx, ngx_pulse_answer_event_t *ev);


/* Joins parts, calls and usage of an answer; of what a whole answer is
 * written from, and what a test compares. */

typedef struct {
    ngx_pool_t               *pool;
    ngx_str_t                 id;
    ngx_str_t                 model;
    ngx_pulse_part_t         *parts;        /* in order */
    ngx_pulse_part_t        **last;
    ngx_pulse_buf_t           open;         /* text of the last part */
    ngx_pulse_buf_t           signature;
    ngx_pulse_buf_t           logprobs;
    ngx_uint_t                finish;
    ngx_str_t                 native;
    ngx_str_t                 stop;
    ngx_pulse_chat_usage_t    usage;
    ngx_pulse_chat_error_t    error;
    size_t                    total;        /* bytes of all that ended */
    ngx_pulse_part_t         *current;      /* that "open" belongs to */
    ngx_uint_t                index;        /* of the current call */
    unsigned                  started:1;
    unsigned                  finished:1;
    unsigned                  failed:1;
} ngx_pulse_collector_t;


/* Starts a collector of at most "max" bytes (0: any); its buffers end with
 * the pool, and it must live as long. */
ngx_int_t ngx_pulse_collector_init(ngx_pulse_collector_t *collector,
    ngx_pool_t *pool, size_t max);

/* Takes an event (of type ngx_pulse_answer_pt, ctx is the collector).
 * Choices but the first are left out. */
ngx_int_t ngx_pulse_collect(void *ctx, ngx_pulse_answer_event_t *ev);


/*
 * A dialect: four functions of the client's side, three of the provider's.
 * "state" is of the dialect's own size, zeroed, in the request's pool.
 */

typedef struct {
    ngx_str_t     name;
    size_t        reader_size;      /* of the state of answer readers */
    size_t        writer_size;      /* of the state of stream writers */

    /* client: reads a request; NGX_OK, NGX_DECLINED with the refusal,
     * NGX_ERROR without memory */
    ngx_int_t   (*read)(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
                        const ngx_str_t *body,
                        ngx_pulse_chat_refusal_t *refusal);

    /* client: appends the stream's bytes for an event */
    void        (*write_event)(void *state, const ngx_pulse_conversation_t *cv,
                               ngx_pulse_answer_event_t *ev,
                               ngx_pulse_buf_t *b);

    /* client: writes a whole answer */
    void        (*write_answer)(const ngx_pulse_collector_t *collector,
                                const ngx_pulse_conversation_t *cv,
                                int64_t created, ngx_pulse_buf_t *b);

    /* provider: writes the request; NGX_OK, NGX_DECLINED with the refusal */
    ngx_int_t   (*write)(const ngx_pulse_conversation_t *cv,
                         const ngx_pulse_target_t *target, ngx_pool_t *pool,
                         ngx_pulse_dropped_t *dropped,
                         ngx_pulse_chat_refusal_t *refusal,
                         ngx_pulse_buf_t *b);

    /* provider: what one event of its stream means.  "data" and "name" are
     * the SSE event's; they and the pool end with the call, so the state
     * keeps no pointer to them.  NGX_OK, NGX_ERROR if it makes no sense, or
     * what "handler" returned */
    ngx_int_t   (*read_event)(void *state, ngx_pool_t *pool,
                              const ngx_str_t *name, const ngx_str_t *data,
                              ngx_pulse_answer_pt handler, void *ctx);

    /* provider: the stream ended; END, or ERROR where it was cut */
    ngx_int_t   (*read_end)(void *state, ngx_pulse_answer_pt handler,
                            void *ctx);

    /* provider: what a whole answer means, as the same events */
    ngx_int_t   (*read_answer)(ngx_pool_t *pool, const ngx_str_t *body,
                               ngx_pulse_answer_pt handler, void *ctx);

    /* provider: an error's body; NGX_DECLINED if it is none */
    ngx_int_t   (*read_error)(ngx_pulse_chat_error_t *error, ngx_pool_t *pool,
                              const u_char *p, size_t len);
} ngx_pulse_dialect_t;


extern ngx_pulse_dialect_t  ngx_pulse_dialect_openai;
extern ngx_pulse_dialect_t  ngx_pulse_dialect_responses;
extern ngx_pulse_dialect_t  ngx_pulse_dialect_anthropic;
extern ngx_pulse_dialect_t  ngx_pulse_dialect_gemini;


#endif /* _NGX_PULSE_CONVERSATION_H_INCLUDED_ */
