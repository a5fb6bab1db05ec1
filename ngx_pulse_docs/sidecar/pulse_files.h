
#ifndef _PULSE_FILES_H_INCLUDED_
#define _PULSE_FILES_H_INCLUDED_


#include "pulse_http.h"
#include "pulse_shelf.h"


/*
 * People's files: a row in the database and a file on the shelf.
 */

typedef struct {
    u_char           id[PULSE_SHELF_ID + 1];    /* NUL terminated */
    const char      *kind;              /* "cv", "slides" */
    const char      *content_type;
    ngx_str_t        name;              /* NUL terminated */
    size_t           size;
} pulse_files_t;


/* How long files are kept, as an interval of Postgres; before the start. */
void pulse_files_keep(const char *interval);
const char *pulse_files_kept(void);

/* How much one person may keep, as "500m" or "1g"; before the start.
 * NGX_ERROR if it is no size. */
ngx_int_t pulse_files_set_room(const char *size);
int64_t pulse_files_most(void);

/*
 * Says in the database that a file is there, or will be: NGX_OK, or
 * NGX_DECLINED with an error answered in "*rc": there is no room, or no
 * database.  "keep" is an interval.
 */
ngx_int_t pulse_files_take(pulse_http_request_t *r, const pulse_files_t *file,
    const char *status, const char *keep, enum MHD_Result *rc);

/*
 * Keeps what was made for the caller under a new id, file->id, and says so in
 * the database.  MHD_YES, or MHD_NO with an error answered, in "*rc".
 */
enum MHD_Result pulse_files_add(pulse_http_request_t *r, pulse_files_t *file,
    const ngx_pulse_buf_t *data, enum MHD_Result *rc);

/* A name of a file, in the pool: what a path or a header would trip over is
 * taken out, and what is too long is cut.  "extension" has its dot.  data is
 * NULL: no memory. */
ngx_str_t pulse_files_name(pulse_http_request_t *r, const ngx_str_t *text,
    const char *extension);

/* Asks before something is made whose size is not known yet: NGX_OK while
 * there is any room, and as much as it is likely to take, else NGX_DECLINED
 * with an error answered in "*rc". */
ngx_int_t pulse_files_full(pulse_http_request_t *r, size_t likely,
    enum MHD_Result *rc);

/* One row of the caller's with file_json() and the filename, or NULL with an
 * answer in "*rc": 404 for what is nobody's or somebody else's. */
PGresult *pulse_files_find(pulse_http_request_t *r, const char *sql,
    enum MHD_Result *rc);

/* Answers with a page of a list of the caller's, which the statement makes as
 * JSON of the user and the cursor. */
enum MHD_Result pulse_files_page(pulse_http_request_t *r, const char *sql);


/* handlers */

enum MHD_Result pulse_files_list(pulse_http_request_t *r);
enum MHD_Result pulse_files_get(pulse_http_request_t *r);
enum MHD_Result pulse_files_signed_url(pulse_http_request_t *r);
enum MHD_Result pulse_files_delete(pulse_http_request_t *r);


/* Work to be done now and then: rows past their time, files without a row.
 * NGX_ERROR with store->error. */
ngx_int_t pulse_files_sweep(pulse_store_t *store);


#endif /* _PULSE_FILES_H_INCLUDED_ */
