
#ifndef _NGX_PULSE_MODERATION_FOLD_H_INCLUDED_
#define _NGX_PULSE_MODERATION_FOLD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The symbols that text is read as, whatever way of writing it is in: two
 * that look alike, or that people write for one another, are the same.
 */

#define NGX_PULSE_FOLD_BOUNDARY  0      /* between words */
#define NGX_PULSE_FOLD_LATIN     1      /* a to z */
#define NGX_PULSE_FOLD_DIGIT     27
#define NGX_PULSE_FOLD_ARABIC    37     /* alef to yeh */
#define NGX_PULSE_FOLD_OTHER     65     /* of any other script */
#define NGX_PULSE_FOLD_SYMBOLS   66

#define NGX_PULSE_FOLD_NONE      66     /* it is not seen */
#define NGX_PULSE_FOLD_WIDE      67     /* ask ngx_pulse_fold_point() */

#define NGX_PULSE_FOLD_POINTS    0x10000
#define NGX_PULSE_FOLD_MAX       3      /* symbols of a character */


/* Fills a table of NGX_PULSE_FOLD_POINTS bytes: what is below U+10000 is read
 * as. */
void ngx_pulse_fold_table(u_char *table);

/* The same of any character, which may be up to NGX_PULSE_FOLD_MAX symbols or
 * none; returns how many. */
ngx_uint_t ngx_pulse_fold_point(uint32_t point, u_char *symbols);


#endif /* _NGX_PULSE_MODERATION_FOLD_H_INCLUDED_ */
