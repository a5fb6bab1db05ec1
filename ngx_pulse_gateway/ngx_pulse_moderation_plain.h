
#ifndef _NGX_PULSE_MODERATION_PLAIN_H_INCLUDED_
#define _NGX_PULSE_MODERATION_PLAIN_H_INCLUDED_


#include "ngx_pulse_moderation.h"
#include "ngx_pulse_moderation_fold.h"


/*
 * Most of a text is whole characters that are one symbol each and stand for
 * no other: they are found in small tables, and as long as there is one way
 * to read a word a letter costs little more than a step of the automaton.
 */


#define NGX_PULSE_MODERATION_WORD  1    /* "clitic" at the start of one */


/* Fills the tables of rules whose automaton is complete. */
void ngx_pulse_moderation_plain_tables(ngx_pulse_moderation_rules_t *rules);

/* Reads as much as is plain, if no character has begun; returns where it
 * ends. */
const u_char *ngx_pulse_moderation_plain(ngx_pulse_moderation_t *m,
    const u_char *p, const u_char *last);


/* Of ngx_pulse_moderation.c.  A symbol that stands for itself only is read in
 * all readings. */
void ngx_pulse_moderation_symbol(ngx_pulse_moderation_t *m, u_char symbol);

/* What ends in a state is found at m->position, once. */
void ngx_pulse_moderation_match(ngx_pulse_moderation_t *m, uint32_t state);

/* Takes a letter where rd->clitic is not 0; returns if the word may begin
 * anew after it, which ngx_pulse_moderation_fork() does from rd->word. */
ngx_uint_t ngx_pulse_moderation_clitic(ngx_pulse_moderation_reading_t *rd,
    u_char symbol);
void ngx_pulse_moderation_fork(ngx_pulse_moderation_t *m,
    const ngx_pulse_moderation_reading_t *rd, uint32_t state);


#endif /* _NGX_PULSE_MODERATION_PLAIN_H_INCLUDED_ */
