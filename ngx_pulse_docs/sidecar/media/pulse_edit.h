
#ifndef _PULSE_EDIT_H_INCLUDED_
#define _PULSE_EDIT_H_INCLUDED_


#include "pulse_clip.h"
#include "pulse_form.h"


/*
 * What people ask to be done with a picture or a clip of theirs.  The endpoint
 * and its job read the same request, so that what was admitted is what is
 * made.
 */

typedef struct {
    ngx_uint_t             operations;      /* of a picture */
    ngx_uint_t             text;            /* characters of one */
    ngx_uint_t             captions;        /* of a clip */
    ngx_uint_t             jobs;            /* of one kind that a person has */
} pulse_edit_limits_t;


typedef struct {
    ngx_str_t              file;            /* an id */
    ngx_uint_t             format;          /* pulse_edit_same, or the type */
    pulse_raster_plan_t    plan;            /* but for its type */
} pulse_edit_picture_t;


typedef struct {
    ngx_str_t              file;
    ngx_uint_t             captioned;       /* has a size of its own */
    pulse_clip_plan_t      plan;
} pulse_edit_clip_t;


#define PULSE_EDIT_SAME    2                /* as the original, if it can be */


/* To be changed before threads start; captions are PULSE_EDIT_CAPTIONS at
 * most, each is a descriptor of ffmpeg's. */
extern pulse_edit_limits_t  pulse_edit_limits;

#define PULSE_EDIT_CAPTIONS  50


/* Sets a limit, "NAME=NUMBER", of these and of pulse_raster_limits and
 * pulse_clip_limits, several with a comma.  NGX_ERROR: there is none like it.
 */
ngx_int_t pulse_edit_set(const char *text);

/* Reads a request; form->rc says whether it is one. */
void pulse_edit_read_picture(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_edit_picture_t *edit);
void pulse_edit_read_clip(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_edit_clip_t *edit);

/* Fills in what depends on the original. */
void pulse_edit_fit_picture(pulse_edit_picture_t *edit,
    const pulse_raster_t *raster);
void pulse_edit_fit_clip(pulse_edit_clip_t *edit, const pulse_clip_t *clip);


#endif /* _PULSE_EDIT_H_INCLUDED_ */
