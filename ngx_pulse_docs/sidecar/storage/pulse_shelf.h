
#ifndef _PULSE_SHELF_H_INCLUDED_
#define _PULSE_SHELF_H_INCLUDED_


#include "ngx_pulse_buf.h"
#include "ngx_pulse_link.h"


/*
 * Where people's files are.  On a disk each is "SHARD/ID", SHARD the last two
 * digits of its id, which are random where the first are a time; in a bucket
 * of S3 it has the same name.  What is uploaded comes to "quarantine/ID"
 * first.  A file is whole and durable when it has its name.
 *
 * All functions return NGX_ERROR with errno; any thread may call them.
 */

#define PULSE_SHELF_ID      36
#define PULSE_SHELF_OBJECT  64              /* room for its name there */


/* Makes the directory with the quarantine, and the key if there is none. */
ngx_int_t pulse_shelf_open(const char *dir, const char *key);

/* Takes a bucket instead; pulse_s3_open() comes before. */
void pulse_shelf_open_bucket(void);

/* 1 if clients get and put files at the bucket, and not at nginx. */
ngx_uint_t pulse_shelf_is_bucket(void);

/* The key that nginx and the sidecar share, of links. */
const ngx_pulse_link_key_t *pulse_shelf_key(void);

ngx_int_t pulse_shelf_write(const u_char *id, const char *type,
    const u_char *data, size_t len);

/*
 * One that is written bit by bit, with no more of it in memory than that: a
 * descriptor to write and read, -1 with errno.  It has its name when it is
 * kept, and is none's if it was dropped or its writer died.  The descriptor
 * stays the caller's.
 */
int pulse_shelf_draft(const u_char *id);
ngx_int_t pulse_shelf_keep(const u_char *id, const char *type, int fd);
void pulse_shelf_drop(const u_char *id);

/* A file that never gets a name, and is gone with its descriptor. */
int pulse_shelf_scratch(void);

/* A descriptor to read and map a file of "max" bytes at most, which no removal
 * takes away; -1 with errno, ENOENT: there is none. */
int pulse_shelf_take(const u_char *id, size_t max);

/* Reads a file of less than b->max bytes; ENOENT: there is none. */
ngx_int_t pulse_shelf_read(const u_char *id, ngx_pulse_buf_t *b);

/* The same of what waits in the quarantine. */
ngx_int_t pulse_shelf_quarantined(const u_char *id, ngx_pulse_buf_t *b);

/* NGX_OK also if there is none. */
ngx_int_t pulse_shelf_remove(const u_char *id);
ngx_int_t pulse_shelf_discard(const u_char *id);    /* of the quarantine */


/* The name of a file in a bucket, NUL terminated. */
void pulse_shelf_object(char *object, const u_char *id, ngx_uint_t quarantine);

/* Calls the handler for each file that has not been touched for "age"
 * seconds; "quarantine" is 1 for those.  It ends with the first NGX_ERROR. */
typedef ngx_int_t (*pulse_shelf_pt)(void *ctx, const u_char *id,
    ngx_uint_t quarantine);

ngx_int_t pulse_shelf_walk(time_t age, pulse_shelf_pt handler, void *ctx);


#endif /* _PULSE_SHELF_H_INCLUDED_ */
