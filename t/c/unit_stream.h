
#ifndef _PULSE_UNIT_STREAM_H_INCLUDED_
#define _PULSE_UNIT_STREAM_H_INCLUDED_


#include "unit.h"
#include "ngx_pulse_conversation.h"
#include "ngx_pulse_sse.h"


/* A provider's answer that is read, collected, and written anew for a
 * client. */

typedef struct {
    ngx_pool_t                *pool;
    ngx_pulse_dialect_t       *dialect;     /* of the provider */
    ngx_pulse_dialect_t       *client;
    void                      *reader;
    void                      *writer;
    ngx_pulse_relay_t          relay;
    ngx_pulse_dropped_t        lost;        /* of the stream that is written */
    ngx_pulse_collector_t      collector;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_buf_t            out;
    ngx_uint_t                 ends;
    ngx_uint_t                 errors;
} unit_stream_t;


/* For a client of the same dialect; of any. */
void unit_start(unit_stream_t *s, ngx_pulse_dialect_t *dialect);
void unit_translate(unit_stream_t *s, ngx_pulse_dialect_t *dialect,
    ngx_pulse_dialect_t *client);
void unit_end(unit_stream_t *s);

/* The bytes of a stream, in a first piece (0: like the others) and others of
 * "step", then its end; what the reader returned. */
ngx_int_t unit_feed(unit_stream_t *s, const u_char *p, size_t len,
    size_t first, size_t step);

/* A whole answer. */
ngx_int_t unit_whole(unit_stream_t *s, const ngx_str_t *body);

/* Takes an event; of type ngx_pulse_answer_pt. */
ngx_int_t unit_event(void *ctx, ngx_pulse_answer_event_t *ev);

/* Appends what was collected as lines of text, those without any left out. */
void unit_gather(ngx_pulse_collector_t *collector, ngx_pulse_buf_t *b);

/* Checks that two answers say the same; the provider's own name of how they
 * finished is left to the caller. */
void unit_same_answer(ngx_pulse_collector_t *one, ngx_pulse_collector_t *two);

/* Names that were dropped, with commas, into the buffer. */
void unit_names(const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b);


/* The model "m" that can do what there is a letter for.  1: efforts low and
 * high only, b: budgets, e: effort, f: forced choice, h: fetches images,
 * i: system inside, m: max_tokens, n: effort none, o: thinking off,
 * p: prefill, r: takes thinking back, s: sampling, t: between tools. */
void unit_target(ngx_pulse_target_t *target, const char *letters,
    int64_t max);


/* A JSON text of any size, NULL if it is none; whether two say the same, with
 * members in any order. */
ngx_pulse_json_value_t *unit_tree(ngx_pool_t *pool, const u_char *p,
    size_t len);
ngx_uint_t unit_same(ngx_pulse_json_value_t *a, ngx_pulse_json_value_t *b);

/* Members, 0 or empty if absent. */
int64_t unit_number(ngx_pulse_json_value_t *v, const char *key);
ngx_str_t unit_string(ngx_pulse_json_value_t *v, const char *key);

ngx_str_t unit_str(const char *s);
ngx_str_t unit_text(const ngx_pulse_buf_t *b);


#endif /* _PULSE_UNIT_STREAM_H_INCLUDED_ */
