
#ifndef _NGX_PULSE_BUF_H_INCLUDED_
#define _NGX_PULSE_BUF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A growing byte buffer.  Memory comes from the heap, so that growth gives
 * the old block back; ngx_pulse_buf_free() ends it, or, with a pool, the
 * pool's cleanup.  An append that fails (no memory, or "max" passed) sets
 * "failed" and leaves the content as it was; later appends do nothing, so
 * a writer checks the flag once, at its end.
 */

typedef struct {
    u_char      *data;
    size_t       len;
    size_t       size;
    size_t       max;           /* bytes, 0 is no cap */
    unsigned     failed:1;
} ngx_pulse_buf_t;


#define ngx_pulse_buf_literal(b, s)                                           \
    ngx_pulse_buf_append(b, (u_char *) s, sizeof(s) - 1)

#define ngx_pulse_buf_str(b, s)  ngx_pulse_buf_append(b, (s)->data, (s)->len)


/* Starts an empty buffer of at most "max" bytes; allocates nothing yet. */
void ngx_pulse_buf_init(ngx_pulse_buf_t *b, size_t max);

/* As ngx_pulse_buf_init(); the memory is freed with the pool, and so "b" itself
 * must live as long as the pool.  NGX_ERROR if the cleanup cannot be added. */
ngx_int_t ngx_pulse_buf_init_pool(ngx_pulse_buf_t *b, size_t max,
    ngx_pool_t *pool);

/* Frees the memory and leaves an empty buffer that can be used again. */
void ngx_pulse_buf_free(ngx_pulse_buf_t *b);

/* Makes room for "len" bytes more and returns where they go, or NULL; the
 * caller adds what it wrote to b->len. */
u_char *ngx_pulse_buf_reserve(ngx_pulse_buf_t *b, size_t len);

void ngx_pulse_buf_append(ngx_pulse_buf_t *b, const u_char *p, size_t len);
void ngx_pulse_buf_char(ngx_pulse_buf_t *b, u_char ch);
void ngx_pulse_buf_int(ngx_pulse_buf_t *b, int64_t n);

/* Appends a JSON string (RFC 8259) with its quotes; the bytes must be valid
 * UTF-8.  Control characters, '"' and '\' are escaped, as are U+2028 and
 * U+2029; "</" becomes "<\/". */
void ngx_pulse_buf_json(ngx_pulse_buf_t *b, const u_char *p, size_t len);


#endif /* _NGX_PULSE_BUF_H_INCLUDED_ */
