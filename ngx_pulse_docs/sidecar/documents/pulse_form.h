
#ifndef _PULSE_FORM_H_INCLUDED_
#define _PULSE_FORM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"


/*
 * Reads the members of a JSON request with their limits.  The first thing
 * that is wrong is kept, with a pointer to it, and all that follows does
 * nothing, so that a reader asks form->rc once, at its end.
 */

#define PULSE_FORM_REQUIRED  1
#define PULSE_FORM_LINES     2          /* line ends stay, as '\n' */


#define PULSE_FORM_WARNINGS  20


typedef enum {
    pulse_reason_required = 0,
    pulse_reason_type,
    pulse_reason_long,
    pulse_reason_many,
    pulse_reason_few,
    pulse_reason_choice,
    pulse_reason_date,
    pulse_reason_url,
    pulse_reason_email,
    pulse_reason_phone,
    pulse_reason_color,
    pulse_reason_number,
    pulse_reason_image,
    pulse_reason_cells,
    pulse_reason_either
} pulse_reason_e;


typedef struct {
    ngx_pool_t       *pool;
    ngx_int_t         rc;       /* NGX_OK, NGX_DECLINED, NGX_ERROR: memory */
    pulse_reason_e    reason;
    ngx_pulse_buf_t   pointer;  /* RFC 6901 */
} pulse_form_t;


typedef struct {
    ngx_str_t         tag;      /* BCP 47 with a country, NUL terminated */
    unsigned          arabic:1;
    unsigned          levant:1; /* by the country: names of the months */
} pulse_locale_t;


/* Values that were of no use, as RFC 6901 pointers; the first of them. */

typedef struct {
    ngx_str_t         fields[PULSE_FORM_WARNINGS];
    ngx_uint_t        n;
} pulse_warnings_t;


/* A form of the pool, of which nothing is refused yet; NULL: no memory. */
pulse_form_t *pulse_form_create(ngx_pool_t *pool);

/* The same in the caller's memory, which must live as long as the pool;
 * NGX_ERROR: no memory. */
ngx_int_t pulse_form_init(pulse_form_t *form, ngx_pool_t *pool);

/* Why, in words for people: what is wrong and what is taken. */
const char *pulse_form_reason(const pulse_form_t *form, ngx_uint_t arabic);

/* Refuses a value, or its member "key" if that is not NULL. */
void pulse_form_refuse(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, pulse_reason_e reason);

/* Names a value that is of no use. */
void pulse_form_warn(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_warnings_t *warnings);

/* Names the members of an object that are none of "names", which ends with
 * NULL, but for those that say nothing: null, and what is empty. */
void pulse_form_unused(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *const *names, pulse_warnings_t *warnings);

/* A member of a type (NGX_PULSE_JSON_*), NULL if it is absent or null. */
ngx_pulse_json_value_t *pulse_form_member(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key, ngx_uint_t type,
    ngx_uint_t flags);

/* An array's first element, NULL if there is none; more than "max" elements
 * are refused. */
ngx_pulse_json_value_t *pulse_form_array(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key, ngx_uint_t max,
    ngx_uint_t flags);

/* Text of at most "max" characters, cleaned and without space around it; an
 * empty one is as good as none.  The result is the pool's, len 0 if absent. */
ngx_str_t pulse_form_text(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t max, ngx_uint_t flags);

/* The same for a value that is no member, which must be a string. */
ngx_str_t pulse_form_string(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, ngx_uint_t max, ngx_uint_t flags);

/* As text, of a form: an http, https or mailto address of at most 500
 * characters, as a member or as the value itself; an address of mail; digits
 * with what is put between them. */
ngx_str_t pulse_form_url(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key);
ngx_str_t pulse_form_address(pulse_form_t *form,
    const ngx_pulse_json_value_t *v);
ngx_str_t pulse_form_email(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key);
ngx_str_t pulse_form_phone(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key);

/* Index in a list of names that ends with NULL; "absent" if it is absent. */
ngx_uint_t pulse_form_choice(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key,
    const char *const *names, ngx_uint_t absent);

ngx_uint_t pulse_form_flag(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key, ngx_uint_t absent);

/* An integer between "min" and "max". */
ngx_int_t pulse_form_integer(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key, ngx_int_t min,
    ngx_int_t max, ngx_int_t absent);

/* "RRGGBB" as a number. */
uint32_t pulse_form_color(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, uint32_t absent);

/* A language of people: "ar" and "en", alone or with a country.  "ar" alone
 * is taken as Jordan's; what "absent" says is taken if it is none of them,
 * else "ar". */
void pulse_form_locale(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, const char *absent, pulse_locale_t *locale);


#endif /* _PULSE_FORM_H_INCLUDED_ */
