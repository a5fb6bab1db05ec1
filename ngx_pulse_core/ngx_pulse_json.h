
#ifndef _NGX_PULSE_JSON_H_INCLUDED_
#define _NGX_PULSE_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


#define NGX_PULSE_JSON_NULL          0
#define NGX_PULSE_JSON_BOOL          1
#define NGX_PULSE_JSON_NUMBER        2
#define NGX_PULSE_JSON_STRING        3
#define NGX_PULSE_JSON_OBJECT        4
#define NGX_PULSE_JSON_ARRAY         5
#define NGX_PULSE_JSON_OBJECT_END    6
#define NGX_PULSE_JSON_ARRAY_END     7

#define NGX_PULSE_JSON_MAX_DEPTH     64


typedef struct {
    size_t       size;          /* bytes of input */
    ngx_uint_t   depth;         /* open arrays and objects, <= MAX_DEPTH */
    ngx_uint_t   values;        /* of any type, in all */
    ngx_uint_t   keys;          /* in one object */
} ngx_pulse_json_limits_t;


/*
 * One value as the reader meets it.  "key" and "string" are decoded, live
 * until the handler returns, and are not NUL terminated.  "start" and "end"
 * are the offsets of the value's own bytes in the input, so that a value can
 * be spliced in place; for OBJECT and ARRAY "end" is that of the bracket,
 * the *_END event carries the span of the whole.
 */

typedef struct {
    ngx_uint_t   type;
    ngx_uint_t   depth;         /* 0 for the document itself */
    ngx_str_t    key;           /* data is NULL inside an array */
    ngx_uint_t   index;         /* position in the parent */
    ngx_str_t    string;        /* STRING: decoded; NUMBER: as written */
    ngx_uint_t   boolean;
    size_t       key_start;     /* of the key's opening quote */
    size_t       start;
    size_t       end;
    /* keys of the enclosing objects, path[0] is that of depth 1; entry of an
     * array element has data NULL; path[depth - 1] equals "key" */
    ngx_str_t   *path;
} ngx_pulse_json_event_t;


typedef struct {
    const char  *reason;        /* static, English, no input text in it */
    size_t       offset;        /* in the input */
} ngx_pulse_json_error_t;


/*
 * Handler of the reader: NGX_OK to go on, NGX_DONE to stop reading here
 * without an error, NGX_ERROR to stop with one.
 */
typedef ngx_int_t (*ngx_pulse_json_handler_pt)(void *ctx,
    ngx_pulse_json_event_t *ev);


typedef struct ngx_pulse_json_value_s  ngx_pulse_json_value_t;

struct ngx_pulse_json_value_s {
    ngx_uint_t               type;      /* NULL .. ARRAY */
    ngx_str_t                key;
    ngx_str_t                string;    /* STRING decoded, NUMBER as text */
    ngx_uint_t               boolean;
    ngx_uint_t               nelts;     /* children */
    size_t                   start;
    size_t                   end;
    ngx_pulse_json_value_t  *parent;
    ngx_pulse_json_value_t  *children;
    ngx_pulse_json_value_t  *next;
};


/*
 * Reads one JSON document (RFC 8259).  Refused besides bad syntax: bytes
 * that are not UTF-8 (overlong forms and surrogates too), lone surrogates in
 * escapes, U+0000 in any string, a key twice in one object, comments,
 * anything after the value, and whatever passes a limit.  Never recurses.
 *
 * Returns NGX_OK; NGX_ERROR with "err" filled; NGX_DONE if the handler
 * stopped it; NGX_ABORT if the handler returned NGX_ERROR or memory ran out.
 * "limits" NULL: 1 MiB, depth 32, 65536 values, 1024 keys.
 */
ngx_int_t ngx_pulse_json_read(const u_char *data, size_t len,
    const ngx_pulse_json_limits_t *limits, ngx_pulse_json_handler_pt handler,
    void *ctx, ngx_pulse_json_error_t *err);

/* The same into a tree; all of it lives in the pool.  NULL with "err". */
ngx_pulse_json_value_t *ngx_pulse_json_tree(ngx_pool_t *pool,
    const u_char *data, size_t len, const ngx_pulse_json_limits_t *limits,
    ngx_pulse_json_error_t *err);

/* Member of an object by its name, or NULL (also if "v" is NULL or no
 * object). */
ngx_pulse_json_value_t *ngx_pulse_json_get(const ngx_pulse_json_value_t *v,
    const char *key);

/* An integer written without fraction or exponent: NGX_OK, or NGX_ERROR if
 * it is none or passes 64 bits. */
ngx_int_t ngx_pulse_json_int(const ngx_str_t *number, int64_t *n);

/* RFC 6901 pointer of a value, or of its missing member "key" (may be NULL),
 * into "b". */
void ngx_pulse_json_pointer(const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_buf_t *b);

/* NGX_OK if the bytes are UTF-8 as RFC 3629 has it, else NGX_ERROR and the
 * offset of the first bad byte in "*bad" (may be NULL). */
ngx_int_t ngx_pulse_utf8_check(const u_char *p, size_t len, size_t *bad);


#endif /* _NGX_PULSE_JSON_H_INCLUDED_ */
