
#ifndef _BLOCKS_H_INCLUDED_
#define _BLOCKS_H_INCLUDED_


#include "unit.h"


typedef void (*blocks_pt)(void *data);


/* nanoseconds of this process's CPU that the block takes once */

double blocks_time(blocks_pt block, void *data);

/* says what is wrong and exits */

void blocks_fail(const char *what);


/*
 * What a known library does with the same bytes, printed beside the block
 * of that name.  A library that is not installed is named on stderr.
 */

void beside_token(const char *block, ngx_str_t *token, ngx_str_t *secret);
void beside_read(const char *block, ngx_str_t *json);
void beside_translate(const char *block, ngx_str_t *event);
void beside_words(const char *block, ngx_str_t *rules, ngx_str_t *text);

/* the address is "unix:PATH", of a Redis in which "bench:" is ours */

void beside_reserve(const char *block, const char *address);


#endif /* _BLOCKS_H_INCLUDED_ */
