
#include "ngx_http_pulse_usage_module.h"
#include <dirent.h>
#include <sys/file.h>


/*
 * Journals whose lock is free belong to nodes that are dead.  What they
 * closed is recorded, what they left open ends at its last noted progress or
 * its estimate, then their leases go back and the file goes.  All of it may
 * begin again at any point: the ledger takes an event once.
 */

#define NGX_HTTP_PULSE_REPLAY_STEPS    8
#define NGX_HTTP_PULSE_REPLAY_BUCKETS  1024
#define NGX_HTTP_PULSE_REPLAY_TIMEOUT  10000

#define NGX_HTTP_PULSE_REPLAY_NONE     0
#define NGX_HTTP_PULSE_REPLAY_READ     1
#define NGX_HTTP_PULSE_REPLAY_END      2    /* of requests left open */
#define NGX_HTTP_PULSE_REPLAY_CLOSE    3    /* of the node */


typedef struct ngx_http_pulse_replay_open_s  ngx_http_pulse_replay_open_t;

struct ngx_http_pulse_replay_open_s {
    ngx_http_pulse_replay_open_t      *next;
    ngx_pulse_journal_record_t         record;
};


typedef struct {
    ngx_http_pulse_usage_main_conf_t  *conf;
    ngx_http_pulse_drain_t             drain;
    ngx_uint_t                         state;
    ngx_uint_t                         closing;     /* statement in flight */
    ngx_uint_t                         settled;
    ngx_http_pulse_replay_open_t      *sent;        /* in the batch */
    ngx_http_pulse_replay_open_t      *open[NGX_HTTP_PULSE_REPLAY_BUCKETS];
} ngx_http_pulse_replay_t;


static void ngx_http_pulse_replay_find(ngx_http_pulse_replay_t *rp);
static void ngx_http_pulse_replay_take(ngx_http_pulse_replay_t *rp,
    const u_char *incarnation);
static void ngx_http_pulse_replay_go(ngx_http_pulse_replay_t *rp);
static void ngx_http_pulse_replay_record(ngx_http_pulse_drain_t *drain,
    ngx_pulse_journal_record_t *record);
static void ngx_http_pulse_replay_done(ngx_http_pulse_drain_t *drain,
    ngx_int_t rc);
static ngx_int_t ngx_http_pulse_replay_end(ngx_http_pulse_replay_t *rp);
static void ngx_http_pulse_replay_ended(ngx_http_pulse_replay_t *rp,
    ngx_uint_t recorded);
static void ngx_http_pulse_replay_close(ngx_http_pulse_replay_t *rp);
static void ngx_http_pulse_replay_close_handler(void *data,
    ngx_pulse_pg_result_t *res);


ngx_pulse_pg_statement_t  ngx_http_pulse_replay_statements[] = {

    { "node_close", "SELECT node_close($1)", 1 },

    { NULL, NULL, 0 }
};


static ngx_http_pulse_replay_t  ngx_http_pulse_replay_ctx;


void
ngx_http_pulse_replay(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_http_pulse_replay_t  *rp;

    rp = &ngx_http_pulse_replay_ctx;

    if (ngx_http_pulse_pg_pool == NULL
        || !ngx_pulse_pg_ready(ngx_http_pulse_pg_pool))
    {
        return;
    }

    if (rp->state == NGX_HTTP_PULSE_REPLAY_NONE) {
        rp->conf = umcf;
        ngx_http_pulse_replay_find(rp);
    }

    ngx_http_pulse_replay_go(rp);
}


/* The lock falls with the descriptor, so that the next keeper finds it. */

void
ngx_http_pulse_replay_stop(void)
{
    ngx_uint_t                     i;
    ngx_http_pulse_replay_t       *rp;
    ngx_http_pulse_replay_open_t  *open;

    rp = &ngx_http_pulse_replay_ctx;

    if (rp->state == NGX_HTTP_PULSE_REPLAY_NONE) {
        return;
    }

    ngx_http_pulse_replay_ended(rp, 0);

    for (i = 0; i < NGX_HTTP_PULSE_REPLAY_BUCKETS; i++) {

        while ((open = rp->open[i]) != NULL) {
            rp->open[i] = open->next;
            ngx_free(open);
        }
    }

    close(rp->drain.fd);

    rp->state = NGX_HTTP_PULSE_REPLAY_NONE;
}


static void
ngx_http_pulse_replay_find(ngx_http_pulse_replay_t *rp)
{
    DIR                *dir;
    ngx_str_t           id;
    struct dirent      *entry;
    static const char   suffix[] = ".journal";

    dir = opendir((char *) rp->conf->journal.data);

    if (dir == NULL) {
        return;
    }

    while (rp->state == NGX_HTTP_PULSE_REPLAY_NONE) {

        entry = readdir(dir);

        if (entry == NULL) {
            break;
        }

        id.data = (u_char *) entry->d_name;
        id.len = ngx_strlen(entry->d_name);

        if (id.len != NGX_HTTP_PULSE_UUID_LEN + sizeof(suffix) - 1
            || ngx_strcmp(id.data + NGX_HTTP_PULSE_UUID_LEN, suffix) != 0)
        {
            continue;
        }

        id.len = NGX_HTTP_PULSE_UUID_LEN;

        if (ngx_pulse_uuid_valid(&id)
            && ngx_strncmp(id.data, rp->conf->shared->incarnation, id.len)
               != 0)
        {
            ngx_http_pulse_replay_take(rp, id.data);
        }
    }

    closedir(dir);
}


static void
ngx_http_pulse_replay_take(ngx_http_pulse_replay_t *rp,
    const u_char *incarnation)
{
    u_char       path[NGX_MAX_PATH];
    ngx_fd_t     fd;
    struct stat  st;

    ngx_http_pulse_journal_path(rp->conf, path, incarnation, ".journal");

    fd = open((char *) path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_DEBUG, ngx_cycle->log, ngx_errno,
                      "pulse journal: open(\"%s\") failed", path);
        return;
    }

    /* it may have been done and removed between its opening and its lock */

    if (flock(fd, LOCK_EX|LOCK_NB) == -1
        || fstat(fd, &st) == -1
        || st.st_nlink == 0)
    {
        close(fd);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "pulse journal: replaying \"%s\"", path);

    ngx_http_pulse_drain_init(&rp->drain, rp->conf, fd, incarnation,
                              ngx_http_pulse_journal_floor(rp->conf,
                                                           incarnation));
    rp->drain.record = ngx_http_pulse_replay_record;
    rp->drain.done = ngx_http_pulse_replay_done;
    rp->drain.data = rp;

    rp->settled = 0;
    rp->closing = 0;
    rp->state = NGX_HTTP_PULSE_REPLAY_READ;
}


static void
ngx_http_pulse_replay_go(ngx_http_pulse_replay_t *rp)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    if (rp->drain.busy) {
        return;
    }

    for (n = 0; n < NGX_HTTP_PULSE_REPLAY_STEPS; n++) {

        switch (rp->state) {

        case NGX_HTTP_PULSE_REPLAY_READ:
            rc = ngx_http_pulse_drain_step(&rp->drain);
            break;

        case NGX_HTTP_PULSE_REPLAY_END:
            rc = ngx_http_pulse_replay_end(rp);
            break;

        case NGX_HTTP_PULSE_REPLAY_CLOSE:
            ngx_http_pulse_replay_close(rp);
            return;

        default:
            return;
        }

        if (rc == NGX_AGAIN || rc == NGX_ERROR) {
            return;
        }

        if (rc == NGX_DONE) {
            rp->state++;
        }
    }
}


static void
ngx_http_pulse_replay_record(ngx_http_pulse_drain_t *drain,
    ngx_pulse_journal_record_t *record)
{
    ngx_http_pulse_replay_t *rp = drain->data;

    ngx_http_pulse_replay_open_t  **p, *open;

    p = &rp->open[(record->id[14] << 8 | record->id[15])
                  % NGX_HTTP_PULSE_REPLAY_BUCKETS];

    while (*p && ngx_memcmp((*p)->record.id, record->id, 16) != 0) {
        p = &(*p)->next;
    }

    open = *p;

    switch (record->type) {

    case NGX_PULSE_JOURNAL_CLOSE:
    case NGX_PULSE_JOURNAL_CANCEL:

        if (open) {
            *p = open->next;
            ngx_free(open);
        }

        return;

    case NGX_PULSE_JOURNAL_OPEN:
    case NGX_PULSE_JOURNAL_PROGRESS:

        /* a progress without its open: the floor was past it */

        if (open == NULL) {
            open = ngx_alloc(sizeof(ngx_http_pulse_replay_open_t),
                             ngx_cycle->log);
            if (open == NULL) {
                return;
            }

            open->next = NULL;
            *p = open;
        }

        open->record = *record;
    }
}


static void
ngx_http_pulse_replay_done(ngx_http_pulse_drain_t *drain, ngx_int_t rc)
{
    ngx_http_pulse_replay_t *rp = drain->data;

    if (rp->state == NGX_HTTP_PULSE_REPLAY_END) {

        /* not recorded either if the batch was halved to be tried again */

        ngx_http_pulse_replay_ended(rp,
                                    rc == NGX_OK && drain->batch
                                              == NGX_HTTP_PULSE_DRAIN_BATCH);
    }

    if (rc == NGX_OK) {
        ngx_http_pulse_replay_go(rp);
    }
}


static ngx_int_t
ngx_http_pulse_replay_end(ngx_http_pulse_replay_t *rp)
{
    ngx_uint_t                     i;
    ngx_int_t                      rc;
    ngx_http_pulse_replay_open_t  *open;

    rp->drain.nsent = 0;

    for (i = 0; i < NGX_HTTP_PULSE_REPLAY_BUCKETS; i++) {

        while (rp->open[i] && rp->drain.nsent < rp->drain.batch) {
            open = rp->open[i];
            rp->open[i] = open->next;

            open->next = rp->sent;
            rp->sent = open;

            ngx_pulse_node_replayed(&open->record);
            ngx_http_pulse_drain_add(&rp->drain, &open->record);
        }
    }

    if (rp->drain.nsent == 0) {
        return NGX_DONE;
    }

    ngx_pulse_buf_char(&rp->drain.json, ']');

    rc = ngx_http_pulse_drain_send(&rp->drain);

    if (rc == NGX_ERROR) {
        ngx_http_pulse_replay_ended(rp, 0);
    }

    return rc;
}


/* Those of the last batch are done, or go back among the open ones. */

static void
ngx_http_pulse_replay_ended(ngx_http_pulse_replay_t *rp, ngx_uint_t recorded)
{
    ngx_http_pulse_replay_open_t  *open, **p;

    while ((open = rp->sent) != NULL) {
        rp->sent = open->next;

        if (recorded) {
            ngx_free(open);
            rp->settled++;
            ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_REPLAYED, 1);
            continue;
        }

        p = &rp->open[(open->record.id[14] << 8 | open->record.id[15])
                      % NGX_HTTP_PULSE_REPLAY_BUCKETS];
        open->next = *p;
        *p = open;
    }
}


static void
ngx_http_pulse_replay_close(ngx_http_pulse_replay_t *rp)
{
    ngx_str_t  param;

    if (rp->closing) {
        return;
    }

    param.data = rp->drain.incarnation;
    param.len = NGX_HTTP_PULSE_UUID_LEN;

    if (ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                           &ngx_http_pulse_replay_statements[0], &param,
                           NGX_HTTP_PULSE_REPLAY_TIMEOUT,
                           ngx_http_pulse_replay_close_handler, rp)
        == NGX_OK)
    {
        rp->closing = 1;
    }
}


static void
ngx_http_pulse_replay_close_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_replay_t *rp = data;

    u_char  path[NGX_MAX_PATH];

    rp->closing = 0;

    if (res->status != NGX_PULSE_PG_OK
        || rp->state != NGX_HTTP_PULSE_REPLAY_CLOSE)
    {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "pulse journal: replayed \"%*s\", %ui requests left open "
                  "were settled", (size_t) NGX_HTTP_PULSE_UUID_LEN,
                  rp->drain.incarnation, rp->settled);

    ngx_http_pulse_journal_path(rp->conf, path, rp->drain.incarnation,
                                ".journal");
    unlink((char *) path);

    ngx_http_pulse_journal_path(rp->conf, path, rp->drain.incarnation,
                                ".checkpoint");
    unlink((char *) path);

    ngx_http_pulse_replay_stop();
}
