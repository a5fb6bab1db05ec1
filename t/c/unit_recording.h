
#ifndef _PULSE_UNIT_RECORDING_H_INCLUDED_
#define _PULSE_UNIT_RECORDING_H_INCLUDED_


#include "unit_stream.h"


/* One recorded answer of a provider, and what is expected of it. */

typedef struct {
    ngx_pulse_json_value_t   *expected;     /* of expected.json */
    ngx_str_t                 body;
    ngx_str_t                 request;      /* data NULL: not recorded */
    ngx_uint_t                stream;       /* of server-sent events */
} unit_recording_t;

typedef void (*unit_recording_pt)(unit_recording_t *recording);


/* Runs a test on each recording of an API, as expected.json names it, with
 * its file as the case's name; how many, 0 without the folder. */
ngx_uint_t unit_recordings(const char *api, unit_recording_pt test);

/* The same as all of a program, of which nothing is asked without the folder;
 * returns what main() does. */
int unit_recordings_main(const char *api, unit_recording_pt test);

/* How the recordings of a dialect are tested. */

typedef struct {
    ngx_pulse_dialect_t      *dialect;

    /* what was collected is what is expected; an error of the provider too */
    void                    (*compare)(ngx_pulse_collector_t *collector,
                                  ngx_pulse_json_value_t *expected);
    void                    (*error)(const ngx_pulse_chat_error_t *error,
                                  ngx_pulse_json_value_t *expected);

    /* the answer, and what a client of the same dialect gets of it */
    void                    (*same)(ngx_pulse_collector_t *one,
                                  ngx_pulse_collector_t *two);

    /* the letters of unit_target() for a request, and where it has none its
     * "max_tokens" */
    const char             *(*target)(const ngx_pulse_conversation_t *cv);
    int64_t                   max_tokens;
} unit_replay_t;


/* An answer as it is, a stream also cut into pieces, and both as a client
 * gets them. */
void unit_replay(const unit_replay_t *replay, unit_recording_t *recording);

/* That a request means the same when it is read, written and read again; what
 * the dialect's reader returned for it, and of NGX_OK how many members were
 * dropped. */
ngx_int_t unit_replay_request(const unit_replay_t *replay, ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal, ngx_uint_t *ndropped);

/* Checks text, calls and the finish reason; arguments of calls as bytes with
 * "raw", else as JSON: some providers send them as a value. */
void unit_compare_answer(ngx_pulse_collector_t *collector,
    ngx_pulse_json_value_t *expected, ngx_uint_t raw);

/* Checks the tokens: "output" is what is billed as such. */
void unit_compare_usage(const ngx_pulse_chat_usage_t *usage,
    ngx_pulse_json_value_t *expected, int64_t output);

/* The text of all parts of a type, which the caller frees. */
void unit_collected(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    ngx_pulse_buf_t *b);


#endif /* _PULSE_UNIT_RECORDING_H_INCLUDED_ */
