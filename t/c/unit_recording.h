
#ifndef _PULSE_UNIT_RECORDING_H_INCLUDED_
#define _PULSE_UNIT_RECORDING_H_INCLUDED_


#include "unit_stream.h"


/* One recorded answer of a provider, and what is expected of it. */

typedef struct {
    ngx_pulse_json_value_t   *expected;     /* of expected.json */
    ngx_str_t                 body;
    ngx_str_t                 request;      /* data NULL: not recorded */
    ngx_uint_t                stream;
} unit_recording_t;

typedef void (*unit_recording_pt)(unit_recording_t *recording);


/* Runs a test on each recording of an API, as expected.json names it, with
 * its file as the case's name; how many, 0 without the folder. */
ngx_uint_t unit_recordings(const char *api, unit_recording_pt test);

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
