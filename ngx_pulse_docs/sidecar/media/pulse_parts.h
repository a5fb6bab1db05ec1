
#ifndef _PULSE_PARTS_H_INCLUDED_
#define _PULSE_PARTS_H_INCLUDED_


#include <openssl/evp.h>
#include "pulse_base64.h"
#include "pulse_http.h"
#include "pulse_json_stream.h"
#include "pulse_multipart.h"


/*
 * A form with files, as it comes in: fields in memory, files on the disk and
 * without a name there, so that none is left of a request that ends.  A route
 * of OpenAI's dialect takes it as a JSON object, too, which has the same
 * parts: pictures in data: URLs, at images[].image_url and mask.image_url, are
 * files "images" and "mask".
 */

#define PULSE_PARTS_TEXT  (256 * 1024)          /* bytes of all fields */
#define PULSE_PARTS_FILE  (50 * 1024 * 1024)    /* of a file */
#define PULSE_PARTS_ALL   (256 * 1024 * 1024)   /* of all files */
#define PULSE_PARTS_HEAD  128                   /* of a data: URL */
#define PULSE_PARTS_STEP  4096                  /* of base64 at a time */


typedef struct {
    char              name[PULSE_MULTIPART_NAME];
    char              type[PULSE_MULTIPART_NAME];   /* as the client says */
    ngx_str_t         text;             /* of a field, NUL terminated */
    int               fd;               /* of a file, else -1 */
    size_t            size;
    ngx_uint_t        json;             /* of an object: NGX_PULSE_JSON_... */
} pulse_part_t;


struct pulse_parts_s {
    pulse_part_t      elts[PULSE_MULTIPART_PARTS];
    ngx_uint_t        n;
    const char       *reason;           /* why it cannot be used, or NULL */
    const char       *pointer;          /* to what is wrong, or NULL */
    unsigned          failed:1;         /* no memory or no disk, is logged */
    unsigned          too_large:1;
    unsigned          object:1;         /* JSON, not a form */

    size_t            texts;
    size_t            files;
    ngx_pulse_buf_t   text;
    EVP_MD_CTX       *digest;
    pulse_multipart_t reader;

    /* of an object */

    pulse_json_stream_t  json;
    pulse_base64_t       base64;
    size_t               head_len;
    u_char               head[PULSE_PARTS_HEAD];
    size_t               gathered;
    u_char               gather[PULSE_PARTS_STEP];
    unsigned             inside:1;      /* bytes of a picture have begun */
};


/* --- what handlers read (pulse_parts.c) --- */

/* Sets r->parts if the request is a form, or an object that may be one;
 * NGX_ERROR: no memory. */
ngx_int_t pulse_parts_begin(pulse_http_request_t *r);

/* What has come; after something is wrong nothing is done. */
void pulse_parts_feed(pulse_parts_t *parts, const u_char *p, size_t len);

/* Once all has come: NGX_OK, or NGX_DECLINED with one of the above. */
ngx_int_t pulse_parts_end(pulse_parts_t *parts);

/* Adds what was sent, whatever stands between; 0 if that fails. */
int pulse_parts_digest(pulse_parts_t *parts, EVP_MD_CTX *digest);


/* --- for its readers: as pulse_multipart_pt has it --- */

ngx_int_t pulse_parts_part(void *ctx, const pulse_multipart_part_t *header);
ngx_int_t pulse_parts_data(void *ctx, const u_char *p, size_t len);


/* --- of an object (pulse_parts_json.c) --- */

void pulse_parts_json_init(pulse_parts_t *parts);
void pulse_parts_json_feed(pulse_parts_t *parts, const u_char *p, size_t len);
ngx_int_t pulse_parts_json_end(pulse_parts_t *parts);


#endif /* _PULSE_PARTS_H_INCLUDED_ */
