
#ifndef _PULSE_REPLY_H_INCLUDED_
#define _PULSE_REPLY_H_INCLUDED_


#include "ngx_pulse_json.h"
#include "pulse_form.h"
#include "pulse_http.h"


/*
 * The studio's envelope, which nginx passes on as it is, and who asks.  For
 * a route that says so errors are as OpenAI writes them.
 */

typedef enum {
    pulse_reply_invalid = 0,
    pulse_reply_flagged,            /* a prompt, by moderation */
    pulse_reply_unauthorized,
    pulse_reply_no_subscription,
    pulse_reply_quota,
    pulse_reply_forbidden,
    pulse_reply_not_found,
    pulse_reply_model,              /* there is none of that name */
    pulse_reply_not_allowed,
    pulse_reply_too_large,
    pulse_reply_mismatch,           /* an idempotency key of another one */
    pulse_reply_running,            /* ... of one that is not answered yet */
    pulse_reply_limit,              /* too many at the same time */
    pulse_reply_no_model,           /* of that name */
    pulse_reply_no_room,            /* for a file */
    pulse_reply_internal,
    pulse_reply_provider,           /* what a model wrote is of no use */
    pulse_reply_store,              /* Postgres, or where files are */
    pulse_reply_busy,
    pulse_reply_maker,              /* of pictures or videos: is not there */
    pulse_reply_payments,           /* their provider does not answer */
    pulse_reply_moderation,         /* nor that of moderation */
    pulse_reply_no_provider,        /* nor any that makes images */
    pulse_reply_no_image,           /* it made none */
    pulse_reply_checkout            /* it refused, or cannot be understood */
} pulse_reply_e;


/* Reads what nginx says of the caller into r->user and r->arabic. */
void pulse_reply_identity(pulse_http_request_t *r);

/* The envelope around "data", a JSON text, which is empty afterwards. */
enum MHD_Result pulse_reply_data(pulse_http_request_t *r, unsigned status,
    ngx_pulse_buf_t *data);

/* A text as it is, without the envelope: of a dialect. */
enum MHD_Result pulse_reply_plain(pulse_http_request_t *r, unsigned status,
    ngx_pulse_buf_t *b);

/* An error with what it says to people; "details" is a JSON object or
 * NULL. */
enum MHD_Result pulse_reply_error(pulse_http_request_t *r, pulse_reply_e code,
    const ngx_pulse_buf_t *details);

/* The same of a row of a function in SQL that returns the status, the code or
 * NULL, and the data or the details as JSON. */
enum MHD_Result pulse_reply_row(pulse_http_request_t *r, PGresult *res);

/* The error of a code by its name; pulse_reply_internal if it has none. */
pulse_reply_e pulse_reply_code(const char *name);

/* An error of the studio's that another part of it has answered, with its
 * code; "after" is the Retry-After, or "". */
enum MHD_Result pulse_reply_passed(pulse_http_request_t *r, unsigned status,
    const ngx_str_t *code, const char *after, ngx_pulse_buf_t *body);

/* INVALID_REQUEST for a member, with why in both languages. */
enum MHD_Result pulse_reply_field(pulse_http_request_t *r,
    const char *pointer, const char *arabic, const char *english);

/* The same for what a form refused; an error of memory is answered too. */
enum MHD_Result pulse_reply_form(pulse_http_request_t *r, pulse_form_t *form);

/*
 * The request's body as a JSON object, whose "locale" is the answer's.  NULL
 * with the result of an answer in "*rc".
 */
ngx_pulse_json_value_t *pulse_reply_body(pulse_http_request_t *r,
    enum MHD_Result *rc);

/* The same with a form to read it by. */
ngx_pulse_json_value_t *pulse_reply_read(pulse_http_request_t *r,
    pulse_form_t **form, enum MHD_Result *rc);


#endif /* _PULSE_REPLY_H_INCLUDED_ */
