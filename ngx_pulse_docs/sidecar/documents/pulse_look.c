
#include <math.h>
#include "pulse_look.h"


static double pulse_look_luminance(uint32_t color);


/* in the order of pulse_paragraph_role_e: size, before, after, then bold,
 * accent, gray, centered, rule, band */

static const pulse_look_t  pulse_looks[] = {

    /* classic */

    { 1134, 264, 360, 274, {
        { 52,   0,  20, 1, 1, 0, 1, 0, 0 },
        { 26,   0,  40, 0, 0, 1, 1, 0, 0 },
        { 20,   0, 120, 0, 0, 0, 1, 0, 0 },
        { 27, 240, 100, 1, 1, 0, 0, 1, 0 },
        { 23, 140,   0, 1, 0, 0, 0, 0, 0 },
        { 22,   0,   0, 0, 1, 0, 0, 0, 0 },
        { 20,   0,  40, 0, 0, 1, 0, 0, 0 },
        { 22,   0,  60, 0, 0, 0, 0, 0, 0 },
        { 22,   0,  30, 0, 0, 0, 0, 0, 0 } } },

    /* compact */

    { 850, 240, 300, 220, {
        { 40,   0,   0, 1, 0, 0, 0, 0, 0 },
        { 22,   0,  20, 0, 0, 1, 0, 0, 0 },
        { 18,   0,  60, 0, 0, 0, 0, 0, 0 },
        { 22, 140,  40, 1, 1, 0, 0, 1, 0 },
        { 20,  60,   0, 1, 0, 0, 0, 0, 0 },
        { 19,   0,   0, 0, 1, 0, 0, 0, 0 },
        { 18,   0,  20, 0, 0, 1, 0, 0, 0 },
        { 19,   0,  30, 0, 0, 0, 0, 0, 0 },
        { 19,   0,  10, 0, 0, 0, 0, 0, 0 } } },

    /* modern */

    { 1134, 276, 360, 274, {
        { 60,   0,   0, 1, 1, 0, 0, 0, 0 },
        { 28,   0,  60, 0, 0, 1, 0, 0, 0 },
        { 20,   0, 160, 0, 0, 0, 0, 1, 0 },
        { 26, 260, 120, 1, 1, 0, 0, 0, 1 },
        { 24, 140,   0, 1, 0, 0, 0, 0, 0 },
        { 22,   0,   0, 1, 1, 0, 0, 0, 0 },
        { 20,   0,  60, 0, 0, 1, 0, 0, 0 },
        { 22,   0,  80, 0, 0, 0, 0, 0, 0 },
        { 22,   0,  40, 0, 0, 0, 0, 0, 0 } } }
};


const pulse_look_t *
pulse_look(pulse_template_e template)
{
    return &pulse_looks[template];
}


uint32_t
pulse_look_tint(uint32_t color, ngx_uint_t percent)
{
    uint32_t    tint, part;
    ngx_uint_t  shift;

    tint = 0;

    for (shift = 0; shift <= 16; shift += 8) {
        part = color >> shift & 0xff;
        tint |= (part + (0xff - part) * percent / 100) << shift;
    }

    return tint;
}


uint32_t
pulse_look_readable(uint32_t color)
{
    /* the contrast with white is 1.05 / (luminance + 0.05) */

    while (pulse_look_luminance(color) > 1.05 / 4.5 - 0.05) {
        color = (color >> 16 & 0xff) * 15 / 16 << 16
                | (color >> 8 & 0xff) * 15 / 16 << 8
                | (color & 0xff) * 15 / 16;
    }

    return color;
}


/* WCAG 2.1, "relative luminance" */

static double
pulse_look_luminance(uint32_t color)
{
    double       part, sum;
    ngx_uint_t   i;

    static const double  weights[] = { 0.0722, 0.7152, 0.2126 };

    sum = 0;

    for (i = 0; i < 3; i++) {
        part = (color >> 8 * i & 0xff) / 255.0;
        part = part <= 0.03928 ? part / 12.92
                               : pow((part + 0.055) / 1.055, 2.4);
        sum += weights[i] * part;
    }

    return sum;
}
