
#ifndef _PULSE_PACKAGE_H_INCLUDED_
#define _PULSE_PACKAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * An Office Open XML package (ECMA-376 part 2): a ZIP archive in memory, the
 * same bytes for the same parts whenever it is made.
 */

typedef struct pulse_package_s     pulse_package_t;
typedef struct pulse_parts_s       pulse_parts_t;


/* A list ends with name NULL; the texts are static. */

typedef struct {
    const char  *name;          /* path in the package */
    const char  *text;
} pulse_part_t;


/* Has the heap keep what a package gives back: each part takes and returns a
 * compressor of a quarter of a megabyte, and to map that anew, page by page,
 * was half of what a package cost.  Of the whole process; before threads
 * start. */
void pulse_package_init(void);

/*
 * Compresses parts that many packages share, once: to deflate them is most of
 * what a small package costs.  Made before threads start, then only read.
 * NULL: no memory.  Freed with pulse_package_free_parts().
 */
pulse_parts_t *pulse_package_parts(const pulse_part_t *list);
void pulse_package_free_parts(pulse_parts_t *parts);

/* Starts a package; it ends with the pool at the latest.  NULL: no memory. */
pulse_package_t *pulse_package_create(ngx_pool_t *pool);

/* Adds all of "parts" in their order. */
ngx_int_t pulse_package_copy(pulse_package_t *package, pulse_parts_t *parts);

/* Adds a part to compress and empties the buffer, whose memory becomes the
 * package's also where this fails.  "name" is copied.  NGX_ERROR also if the
 * buffer has failed. */
ngx_int_t pulse_package_add(pulse_package_t *package, const char *name,
    ngx_pulse_buf_t *b);

/* Adds a part as it is, for what is compressed already; the bytes must live
 * until pulse_package_finish(). */
ngx_int_t pulse_package_store(pulse_package_t *package, const char *name,
    const ngx_str_t *data);

/* Writes the archive into "out", which the caller frees.  The package is at
 * its end then, also with NGX_ERROR: no memory, or "out" is past its cap. */
ngx_int_t pulse_package_finish(pulse_package_t *package, ngx_pulse_buf_t *out);


#endif /* _PULSE_PACKAGE_H_INCLUDED_ */
