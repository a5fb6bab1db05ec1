
#ifndef _NGX_PULSE_JSON_NAMES_H_INCLUDED_
#define _NGX_PULSE_JSON_NAMES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/* The names of all open objects, by which one that stands twice is found. */

typedef struct {
    uint64_t          seed;
    const u_char     *input;
    ngx_pulse_buf_t   entries;          /* ngx_pulse_json_name_t */
    ngx_pulse_buf_t   slots;            /* uint32_t, number of a name */
    ngx_pulse_buf_t   text;             /* names with escapes, decoded */
} ngx_pulse_json_names_t;


/*
 * An open object's part of them.  It lies at the end of each stack, for
 * whatever is open inside it is closed by the time it gets another name.
 */

typedef struct {
    size_t            entries;          /* first name, bytes */
    size_t            slots;            /* table, bytes */
    size_t            text;             /* its part of "text", bytes */
    ngx_uint_t        n;
    ngx_uint_t        nslots;
} ngx_pulse_json_object_t;


typedef struct {
    uint32_t          hash;
    uint32_t          escaped;
    size_t            offset;           /* in the input or in "text" */
    size_t            len;
} ngx_pulse_json_name_t;


void ngx_pulse_json_names_init(ngx_pulse_json_names_t *names,
    const u_char *input);
void ngx_pulse_json_names_free(ngx_pulse_json_names_t *names);

void ngx_pulse_json_names_open(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object);
void ngx_pulse_json_names_close(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object);

/*
 * Adds a name by its "offset" in the input, "len" and "escaped"; "p" is how
 * it reads.  One with escapes is copied to the end of "text", which may move,
 * and "offset" becomes its place there.  NGX_OK, NGX_DECLINED if the object
 * has it already, NGX_ERROR without memory.
 */
ngx_int_t ngx_pulse_json_names_add(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object, ngx_pulse_json_name_t *name,
    const u_char *p);


#endif /* _NGX_PULSE_JSON_NAMES_H_INCLUDED_ */
