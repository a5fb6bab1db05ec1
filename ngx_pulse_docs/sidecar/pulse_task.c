
#include "ngx_pulse_json.h"
#include "pulse_log.h"
#include "pulse_files.h"
#include "pulse_tasks.h"


#define PULSE_TASK_NUMBER  24


static ngx_int_t pulse_task_read(pulse_task_t *task, ngx_pool_t *pool,
    PGresult *res);
static const char *pulse_task_text(ngx_pool_t *pool, const char *text);
static void pulse_task_files(const pulse_task_file_t *files, ngx_uint_t n,
    ngx_pulse_buf_t *b);
static void pulse_task_string(ngx_pulse_buf_t *b, const char *name,
    const char *value);
static ngx_int_t pulse_task_end(pulse_job_t *job, const char *sql, int n,
    const char *const *params);


static const char  pulse_task_loaded[] =
    "SELECT id, user_id, status, trace_id, deadline <= now(), request"
    "  FROM task_load($1)";


ngx_int_t
pulse_task_load(pulse_job_t *job, ngx_pool_t *pool, pulse_task_t *task)
{
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[1];

    ngx_memzero(task, sizeof(pulse_task_t));

    params[0] = job->payload;

    res = pulse_store_query(job->store, pulse_task_loaded, 1, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_DONE;

    if (PQntuples(res)) {
        rc = pulse_task_read(task, pool, res);

        if (rc == NGX_ERROR) {
            snprintf(job->store->error, sizeof(job->store->error),
                     "no memory");
        }
    }

    PQclear(res);

    return rc;
}


static ngx_int_t
pulse_task_read(pulse_task_t *task, ngx_pool_t *pool, PGresult *res)
{
    const char              *text;
    ngx_pulse_json_error_t   err;

    memcpy(task->id, PQgetvalue(res, 0, 0), PULSE_TASK_ID + 1);
    memcpy(task->user, PQgetvalue(res, 0, 1), PULSE_TASK_ID + 1);
    task->late = (PQgetvalue(res, 0, 4)[0] == 't');

    task->status = pulse_task_text(pool, PQgetvalue(res, 0, 2));
    task->trace = pulse_task_text(pool, PQgetvalue(res, 0, 3));
    text = pulse_task_text(pool, PQgetvalue(res, 0, 5));

    if (task->status == NULL || task->trace == NULL || text == NULL) {
        return NGX_ERROR;
    }

    task->request = ngx_pulse_json_tree(pool, (u_char *) text, strlen(text),
                                        NULL, &err);
    if (task->request == NULL) {
        return NGX_ERROR;
    }

    return (strcmp(task->status, "processing") == 0) ? NGX_OK : NGX_DONE;
}


static const char *
pulse_task_text(ngx_pool_t *pool, const char *text)
{
    size_t   size;
    u_char  *copy;

    size = strlen(text) + 1;
    copy = ngx_pnalloc(pool, size);

    return copy ? memcpy(copy, text, size) : NULL;
}


ngx_int_t
pulse_task_progress(pulse_job_t *job, const pulse_task_t *task,
    ngx_uint_t percent)
{
    char         number[PULSE_TASK_NUMBER];
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[2];

    snprintf(number, sizeof(number), "%lu", ngx_min(percent, 100));

    params[0] = task->id;
    params[1] = number;

    res = pulse_store_query(job->store, "SELECT task_progress($1, $2)", 2,
                            params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = (PQgetvalue(res, 0, 0)[0] == 't') ? NGX_OK : NGX_DONE;

    PQclear(res);

    return rc;
}


ngx_int_t
pulse_task_complete(pulse_job_t *job, const pulse_task_t *task,
    const char *result, const pulse_task_file_t *files, ngx_uint_t n,
    const pulse_hold_use_t *use)
{
    char              amount[PULSE_TASK_NUMBER];
    ngx_int_t         rc;
    ngx_uint_t        i;
    const char       *params[6];
    ngx_pulse_buf_t   list, details;

    ngx_pulse_buf_init(&list, 0);
    ngx_pulse_buf_init(&details, 0);

    pulse_task_files(files, n, &list);
    pulse_hold_details(use, &details);

    snprintf(amount, sizeof(amount), "%lu", use ? use->amount : 0);

    rc = NGX_ERROR;

    if (list.failed || details.failed) {
        snprintf(job->store->error, sizeof(job->store->error), "no memory");

    } else {
        params[0] = task->id;
        params[1] = result;
        params[2] = (char *) list.data;
        params[3] = pulse_files_kept();
        params[4] = amount;
        params[5] = (char *) details.data;

        rc = pulse_task_end(job, "SELECT task_complete($1, $2, $3, $4, $5,"
                            " $6)", 6, params);
    }

    ngx_pulse_buf_free(&list);
    ngx_pulse_buf_free(&details);

    /* of what is not known to be refused the sweep of files finds out */

    for (i = 0; rc == NGX_DONE && i < n; i++) {
        (void) pulse_shelf_remove(files[i].id);
    }

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


ngx_int_t
pulse_task_fail(pulse_job_t *job, const pulse_task_t *task, const char *code)
{
    ngx_int_t    rc;
    const char  *params[2];

    params[0] = task->id;
    params[1] = code;

    rc = pulse_task_end(job, "SELECT task_fail($1, $2)", 2, params);

    return (rc == NGX_DONE) ? NGX_OK : rc;
}


/* NGX_DONE: it had ended before */

static ngx_int_t
pulse_task_end(pulse_job_t *job, const char *sql, int n,
    const char *const *params)
{
    PGresult   *res;
    ngx_int_t   rc;

    if (!job->begun && pulse_job_begin(job) != NGX_OK) {
        return NGX_ERROR;
    }

    res = pulse_store_query(job->store, sql, n, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = (PQgetvalue(res, 0, 0)[0] == 't') ? NGX_OK : NGX_DONE;

    PQclear(res);

    return rc;
}


static void
pulse_task_files(const pulse_task_file_t *files, ngx_uint_t n,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t                i;
    const pulse_task_file_t  *file;

    ngx_pulse_buf_char(b, '[');

    for (i = 0; i < n; i++) {
        file = &files[i];

        ngx_pulse_buf_append(b, (u_char *) (i ? ",{" : "{"), i ? 2 : 1);
        ngx_pulse_buf_literal(b, "\"size_bytes\":");
        ngx_pulse_buf_int(b, file->size);

        if (file->width && file->height) {
            ngx_pulse_buf_literal(b, ",\"width\":");
            ngx_pulse_buf_int(b, file->width);
            ngx_pulse_buf_literal(b, ",\"height\":");
            ngx_pulse_buf_int(b, file->height);
        }

        pulse_task_string(b, "id", (char *) file->id);
        pulse_task_string(b, "kind", file->kind);
        pulse_task_string(b, "filename", file->name);
        pulse_task_string(b, "content_type", file->content_type);
        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_append(b, (u_char *) "]", 2);
}


static void
pulse_task_string(ngx_pulse_buf_t *b, const char *name, const char *value)
{
    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_json(b, (u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_json(b, (u_char *) value, strlen(value));
}
