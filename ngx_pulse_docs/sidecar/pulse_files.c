
#include <inttypes.h>
#include "ngx_pulse_id.h"
#include "pulse_files.h"
#include "pulse_links.h"
#include "pulse_log.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_FILES_NAME   120          /* bytes of a name, at most */
#define PULSE_FILES_STRAY  3600         /* seconds before it is one */
#define PULSE_FILES_BATCH  500


typedef struct {
    pulse_store_t    *store;
    ngx_pulse_buf_t   ids;              /* as an array of Postgres */
    ngx_uint_t        n;
} pulse_files_sweep_t;


static enum MHD_Result pulse_files_json(pulse_http_request_t *r,
    const char *text);
static enum MHD_Result pulse_files_refused(pulse_http_request_t *r);
static enum MHD_Result pulse_files_no_room(pulse_http_request_t *r,
    PGresult *res);
static ngx_int_t pulse_files_expire(pulse_store_t *store);
static ngx_int_t pulse_files_stray(void *ctx, const u_char *id,
    ngx_uint_t quarantine);
static ngx_int_t pulse_files_strays(pulse_files_sweep_t *sweep);


static const char  *pulse_files_interval = "30 days";
static int64_t      pulse_files_room = 1024 * 1024 * 1024;


void
pulse_files_keep(const char *interval)
{
    pulse_files_interval = interval;
}


const char *
pulse_files_kept(void)
{
    return pulse_files_interval;
}


ngx_int_t
pulse_files_set_room(const char *size)
{
    char     *end;
    int64_t   n, unit;

    errno = 0;

    n = strtoll(size, &end, 10);
    unit = 1;

    switch (*end) {

    case 'g':
    case 'G':
        unit = 1024 * 1024 * 1024;
        end++;
        break;

    case 'm':
    case 'M':
        unit = 1024 * 1024;
        end++;
        break;
    }

    if (n <= 0 || n > INT64_MAX / unit || errno == ERANGE || *end != '\0') {
        return NGX_ERROR;
    }

    pulse_files_room = n * unit;

    return NGX_OK;
}


int64_t
pulse_files_most(void)
{
    return pulse_files_room;
}


enum MHD_Result
pulse_files_add(pulse_http_request_t *r, pulse_files_t *file,
    const ngx_pulse_buf_t *data, enum MHD_Result *rc)
{
    /* asked first: a file that no row will name is written for nothing */

    if (pulse_worker_store(r) != NGX_OK) {
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return MHD_NO;
    }

    ngx_pulse_uuid7(file->id);
    file->id[PULSE_SHELF_ID] = '\0';
    file->size = data->len;

    if (pulse_shelf_write(file->id, file->content_type, data->data,
                          data->len) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse files: %s cannot be written: %s",
                  file->id, strerror(errno));

        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return MHD_NO;
    }

    if (pulse_files_take(r, file, "ready", pulse_files_kept(), rc) == NGX_OK)
    {
        return MHD_YES;
    }

    /* the row may be there for all that if the connection broke: then its
     * file must stay, and the sweep finds out */

    if (r->store->conn) {
        (void) pulse_shelf_remove(file->id);
    }

    return MHD_NO;
}


ngx_int_t
pulse_files_take(pulse_http_request_t *r, const pulse_files_t *file,
    const char *status, const char *keep, enum MHD_Result *rc)
{
    char              size[NGX_INT64_LEN + 1], room[NGX_INT64_LEN + 1];
    PGresult         *res;
    const char       *params[9];

    if (pulse_worker_store(r) != NGX_OK) {
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return NGX_DECLINED;
    }

    snprintf(size, sizeof(size), "%zu", file->size);
    snprintf(room, sizeof(room), "%" PRId64, pulse_files_room);

    params[0] = (char *) file->id;
    params[1] = (char *) r->user.data;
    params[2] = file->kind;
    params[3] = status;
    params[4] = (char *) file->name.data;
    params[5] = file->content_type;
    params[6] = size;
    params[7] = keep;
    params[8] = room;

    res = pulse_store_query(r->store,
                            "SELECT file_take($1, $2, $3, $4, $5, $6, $7, $8,"
                            " $9)", 9, params);

    if (res == NULL) {
        *rc = pulse_files_refused(r);
        return NGX_DECLINED;
    }

    if (PQgetisnull(res, 0, 0)) {
        PQclear(res);
        return NGX_OK;
    }

    *rc = pulse_files_no_room(r, res);

    PQclear(res);

    return NGX_DECLINED;
}


ngx_int_t
pulse_files_full(pulse_http_request_t *r, size_t likely, enum MHD_Result *rc)
{
    char         room[NGX_INT64_LEN + 1], size[NGX_INT64_LEN + 1];
    PGresult    *res;
    ngx_int_t    full;
    const char  *params[3];

    if (pulse_worker_store(r) != NGX_OK) {
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return NGX_DECLINED;
    }

    snprintf(room, sizeof(room), "%" PRId64, pulse_files_room);

    snprintf(size, sizeof(size), "%zu", likely);

    params[0] = (char *) r->user.data;
    params[1] = room;
    params[2] = size;

    res = pulse_store_query(r->store, "SELECT file_full($1, $2, $3)", 3,
                            params);

    if (res == NULL) {
        *rc = pulse_files_refused(r);
        return NGX_DECLINED;
    }

    full = (PQntuples(res) && !PQgetisnull(res, 0, 0)) ? NGX_DECLINED
                                                       : NGX_OK;
    if (full == NGX_DECLINED) {
        *rc = pulse_files_no_room(r, res);
    }

    PQclear(res);

    return full;
}


static enum MHD_Result
pulse_files_no_room(pulse_http_request_t *r, PGresult *res)
{
    enum MHD_Result  rc;
    ngx_pulse_buf_t  details;

    ngx_pulse_buf_init(&details, 0);
    ngx_pulse_buf_append(&details, (u_char *) PQgetvalue(res, 0, 0),
                         PQgetlength(res, 0, 0));

    rc = pulse_reply_error(r, pulse_reply_no_room, &details);

    ngx_pulse_buf_free(&details);

    return rc;
}


ngx_str_t
pulse_files_name(pulse_http_request_t *r, const ngx_str_t *text,
    const char *extension)
{
    size_t     i, len;
    u_char     ch;
    ngx_str_t  name;

    name.data = ngx_pnalloc(r->pool, text->len + strlen(extension) + 1);
    if (name.data == NULL) {
        ngx_str_null(&name);
        return name;
    }

    len = ngx_min(text->len, PULSE_FILES_NAME - strlen(extension));

    /* not in the middle of a character */

    while (len && len < text->len && (text->data[len] & 0xc0) == 0x80) {
        len--;
    }

    for (i = 0; i < len; i++) {
        ch = text->data[i];

        name.data[i] = (ch < ' ' || ch == 0x7f || ch == '/' || ch == '\\'
                        || (ch == '.' && i == 0))
                       ? '_' : ch;
    }

    strcpy((char *) name.data + len, extension);
    name.len = len + strlen(extension);

    return name;
}


PGresult *
pulse_files_find(pulse_http_request_t *r, const char *sql,
    enum MHD_Result *rc)
{
    char         id[PULSE_SHELF_ID + 1];
    PGresult    *res;
    const char  *params[2];

    if (pulse_worker_store(r) != NGX_OK) {
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return NULL;
    }

    memcpy(id, r->id.data, PULSE_SHELF_ID);
    id[PULSE_SHELF_ID] = '\0';

    params[0] = (char *) r->user.data;
    params[1] = id;

    res = pulse_store_query(r->store, sql, 2, params);

    if (res == NULL) {
        *rc = pulse_files_refused(r);
        return NULL;
    }

    if (PQntuples(res) == 0) {
        PQclear(res);
        *rc = pulse_reply_error(r, pulse_reply_not_found, NULL);
        return NULL;
    }

    return res;
}


enum MHD_Result
pulse_files_list(pulse_http_request_t *r)
{
    return pulse_files_page(r, "SELECT file_page($1, $2)");
}


enum MHD_Result
pulse_files_page(pulse_http_request_t *r, const char *sql)
{
    PGresult         *res;
    ngx_str_t         cursor;
    const char       *params[2];
    enum MHD_Result   rc;

    cursor = pulse_http_arg(r, "cursor");

    if (cursor.data && !ngx_pulse_uuid_valid(&cursor)) {
        return pulse_reply_field(r, "/cursor", "ليس مؤشرًا من هذه القائمة.",
                                 "is no cursor of this list");
    }

    if (pulse_worker_store(r) != NGX_OK) {
        return pulse_reply_error(r, pulse_reply_store, NULL);
    }

    params[0] = (char *) r->user.data;
    params[1] = (char *) cursor.data;

    res = pulse_store_query(r->store, sql, 2, params);

    if (res == NULL) {
        return pulse_files_refused(r);
    }

    rc = pulse_files_json(r, PQgetvalue(res, 0, 0));

    PQclear(res);

    return rc;
}


enum MHD_Result
pulse_files_get(pulse_http_request_t *r)
{
    PGresult         *res;
    enum MHD_Result   rc;

    res = pulse_files_find(r, "SELECT file_json(f) FROM file_of($1, $2) f",
                           &rc);

    if (res) {
        rc = pulse_files_json(r, PQgetvalue(res, 0, 0));
        PQclear(res);
    }

    return rc;
}


enum MHD_Result
pulse_files_signed_url(pulse_http_request_t *r)
{
    PGresult         *res;
    ngx_str_t         name;
    enum MHD_Result   rc;
    ngx_pulse_buf_t   b;

    res = pulse_files_find(r,
                           "SELECT filename, size_bytes, content_type"
                           "  FROM file_of($1, $2)"
                           " WHERE status = 'ready'", &rc);
    if (res == NULL) {
        return rc;
    }

    name.data = (u_char *) PQgetvalue(res, 0, 0);
    name.len = PQgetlength(res, 0, 0);

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_buf_char(&b, '{');
    pulse_links_download(r, &b, r->id.data, PQgetvalue(res, 0, 2), &name);
    ngx_pulse_buf_literal(&b, ",\"filename\":");
    ngx_pulse_buf_json(&b, name.data, name.len);
    ngx_pulse_buf_literal(&b, ",\"size_bytes\":");
    ngx_pulse_buf_append(&b, (u_char *) PQgetvalue(res, 0, 1),
                         PQgetlength(res, 0, 1));
    ngx_pulse_buf_char(&b, '}');

    PQclear(res);

    return pulse_reply_data(r, MHD_HTTP_OK, &b);
}


enum MHD_Result
pulse_files_delete(pulse_http_request_t *r)
{
    PGresult         *res;
    enum MHD_Result   rc;

    res = pulse_files_find(r,
                           "DELETE FROM files WHERE user_id = $1 AND id = $2"
                           " RETURNING json_build_object('file_id', id,"
                           " 'deleted', true)", &rc);
    if (res == NULL) {
        return rc;
    }

    /* should this fail, the sweep finds a file without a row */

    if (pulse_shelf_remove(r->id.data) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse files: %.36s cannot be removed: %s",
                  r->id.data, strerror(errno));
    }

    rc = pulse_files_json(r, PQgetvalue(res, 0, 0));

    PQclear(res);

    return rc;
}


static enum MHD_Result
pulse_files_json(pulse_http_request_t *r, const char *text)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) text, strlen(text));

    return pulse_reply_data(r, MHD_HTTP_OK, &b);
}


static enum MHD_Result
pulse_files_refused(pulse_http_request_t *r)
{
    pulse_log(PULSE_LOG_ERR, "pulse files: a statement failed: %s",
              r->store->error);

    return pulse_reply_error(r, pulse_reply_store, NULL);
}


ngx_int_t
pulse_files_sweep(pulse_store_t *store)
{
    ngx_int_t            rc;
    pulse_files_sweep_t  sweep;

    if (pulse_files_expire(store) != NGX_OK) {
        return NGX_ERROR;
    }

    sweep.store = store;
    sweep.n = 0;
    ngx_pulse_buf_init(&sweep.ids, 0);

    rc = pulse_shelf_walk(PULSE_FILES_STRAY, pulse_files_stray, &sweep);

    if (rc != NGX_OK && store->conn && store->error[0] == '\0') {
        snprintf(store->error, sizeof(store->error), "the files: %s",
                 strerror(errno));
    }

    if (rc == NGX_OK && sweep.n) {
        rc = pulse_files_strays(&sweep);
    }

    ngx_pulse_buf_free(&sweep.ids);

    return rc;
}


static ngx_int_t
pulse_files_expire(pulse_store_t *store)
{
    int        i, n;
    PGresult  *res;

    do {
        res = pulse_store_query(store, "SELECT file_expire()", 0, NULL);
        if (res == NULL) {
            return NGX_ERROR;
        }

        n = PQntuples(res);

        for (i = 0; i < n; i++) {
            (void) pulse_shelf_remove((u_char *) PQgetvalue(res, i, 0));
        }

        PQclear(res);

    } while (n);

    return NGX_OK;
}


static ngx_int_t
pulse_files_stray(void *ctx, const u_char *id, ngx_uint_t quarantine)
{
    pulse_files_sweep_t *sweep = ctx;

    if (quarantine) {

        /* nobody said in time that it is complete */

        return pulse_shelf_discard(id);
    }

    ngx_pulse_buf_char(&sweep->ids, sweep->n ? ',' : '{');
    ngx_pulse_buf_append(&sweep->ids, id, PULSE_SHELF_ID);

    return (++sweep->n == PULSE_FILES_BATCH) ? pulse_files_strays(sweep)
                                             : NGX_OK;
}


static ngx_int_t
pulse_files_strays(pulse_files_sweep_t *sweep)
{
    int          i, n;
    PGresult    *res;
    const char  *params[1];

    ngx_pulse_buf_literal(&sweep->ids, "}\0");

    if (sweep->ids.failed) {
        errno = ENOMEM;
        return NGX_ERROR;
    }

    params[0] = (char *) sweep->ids.data;

    res = pulse_store_query(sweep->store, "SELECT file_strays($1)", 1, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        (void) pulse_shelf_remove((u_char *) PQgetvalue(res, i, 0));
    }

    if (n) {
        pulse_log(PULSE_LOG_NOTICE, "pulse files: removed %d files that"
                  " nobody has", n);
    }

    PQclear(res);

    sweep->ids.len = 0;
    sweep->n = 0;

    return NGX_OK;
}
