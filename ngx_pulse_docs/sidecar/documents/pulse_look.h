
#ifndef _PULSE_LOOK_H_INCLUDED_
#define _PULSE_LOOK_H_INCLUDED_


#include "pulse_document.h"


/*
 * How the roles of a document look, for every kind of file: sizes in half
 * points, distances in twentieths of a point, as WordprocessingML has them.
 */

typedef struct {
    ngx_uint_t           size;
    ngx_uint_t           before;
    ngx_uint_t           after;
    unsigned             bold:1;
    unsigned             accent:1;      /* drawn in the accent color */
    unsigned             gray:1;
    unsigned             centered:1;
    unsigned             rule:1;        /* a line below in the accent color */
    unsigned             band:1;        /* on a tint of the accent color */
} pulse_look_role_t;


typedef struct {
    ngx_uint_t           margin;
    ngx_uint_t           line;          /* 240 is single spacing */
    ngx_uint_t           indent;        /* of bullets */
    ngx_uint_t           hanging;
    pulse_look_role_t    roles[pulse_paragraph_roles];
} pulse_look_t;


#define PULSE_LOOK_GRAY  0x595959       /* 7:1 on white */


/* The look of a CV's template. */
const pulse_look_t *pulse_look(pulse_template_e template);

/* A color with "percent" of white mixed into it. */
uint32_t pulse_look_tint(uint32_t color, ngx_uint_t percent);

/* The color itself, or darkened until text in it has the contrast of 4.5:1
 * with white that WCAG 2.1 (1.4.3) asks for. */
uint32_t pulse_look_readable(uint32_t color);


#endif /* _PULSE_LOOK_H_INCLUDED_ */
