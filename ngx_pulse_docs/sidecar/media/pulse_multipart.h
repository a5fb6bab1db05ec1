
#ifndef _PULSE_MULTIPART_H_INCLUDED_
#define _PULSE_MULTIPART_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * multipart/form-data (RFC 7578) as it arrives, however it is cut.  Of a part
 * only its header is held, which is bounded.
 */

#define PULSE_MULTIPART_BOUNDARY  70            /* RFC 2046, section 5.1.1 */
#define PULSE_MULTIPART_HEADER    4096          /* of a part */
#define PULSE_MULTIPART_NAME      128
#define PULSE_MULTIPART_PARTS     64


typedef struct {
    char     name[PULSE_MULTIPART_NAME];        /* of the field */
    char     type[PULSE_MULTIPART_NAME];        /* Content-Type, or "" */
    unsigned file:1;                            /* it has a filename */
} pulse_multipart_part_t;


/* Both return NGX_OK, or NGX_ERROR to end it. */

typedef struct {
    ngx_int_t  (*part)(void *ctx, const pulse_multipart_part_t *part);

    /* of the part that was last; at its end once with len 0 */
    ngx_int_t  (*data)(void *ctx, const u_char *p, size_t len);
} pulse_multipart_pt;


typedef struct {
    const pulse_multipart_pt  *handlers;
    void                      *ctx;
    const char                *reason;  /* of an error, static, or NULL */
    ngx_uint_t                 state;
    ngx_uint_t                 parts;
    size_t                     matched; /* of the delimiter */
    size_t                     len;     /* of the delimiter */
    size_t                     header;
    pulse_multipart_part_t     part;
    unsigned                   named:1;
    u_char                     delimiter[PULSE_MULTIPART_BOUNDARY + 4];
    u_char                     line[PULSE_MULTIPART_HEADER];
} pulse_multipart_t;


/* Starts with the request's Content-Type; NGX_ERROR: it has no boundary. */
ngx_int_t pulse_multipart_init(pulse_multipart_t *m, const ngx_str_t *type,
    const pulse_multipart_pt *handlers, void *ctx);

/* NGX_OK, or NGX_ERROR with m->reason; that is NULL if a handler ended it. */
ngx_int_t pulse_multipart_feed(pulse_multipart_t *m, const u_char *p,
    size_t len);

/* NGX_OK if the last delimiter has come. */
ngx_int_t pulse_multipart_end(pulse_multipart_t *m);


#endif /* _PULSE_MULTIPART_H_INCLUDED_ */
