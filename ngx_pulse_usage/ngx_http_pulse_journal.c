
#include "ngx_http_pulse_usage_module.h"
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/syscall.h>


#define NGX_HTTP_PULSE_JOURNAL_PUNCH  (1024 * 1024)
#define NGX_HTTP_PULSE_JOURNAL_AHEAD  (64 * 1024)


typedef struct {
    ngx_fd_t          fd;
    uint64_t          written;
    ngx_err_t         err;
    ngx_atomic_t      busy;             /* the kernel or a thread has it */
    aio_context_t     queue;            /* of the kernel; 0: none yet */
    unsigned          queued:1;         /* the kernel has it */
} ngx_http_pulse_journal_sync_t;


static ngx_int_t ngx_http_pulse_journal_directory(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf);
static ngx_int_t ngx_http_pulse_journal_keep(
    ngx_http_pulse_usage_main_conf_t *umcf);
static void ngx_http_pulse_journal_failed(ngx_uint_t failed, ngx_err_t err);
static ngx_int_t ngx_http_pulse_journal_sync_queue(
    ngx_http_pulse_journal_sync_t *sync);
static void ngx_http_pulse_journal_sync_look(
    ngx_http_pulse_journal_sync_t *sync);
static void ngx_http_pulse_journal_sync_start(
    ngx_http_pulse_journal_sync_t *sync);
static void *ngx_http_pulse_journal_sync_thread(void *data);
static void ngx_http_pulse_journal_punch(
    ngx_http_pulse_usage_main_conf_t *umcf);


/* the master's descriptor; it outlives cycles as the journal does */

static ngx_fd_t  ngx_http_pulse_journal_held = NGX_INVALID_FILE;


ngx_int_t
ngx_http_pulse_journal_create(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf)
{
    u_char                          path[NGX_MAX_PATH], temp[NGX_MAX_PATH];
    ngx_fd_t                        fd;
    ngx_core_conf_t                *ccf;
    ngx_http_pulse_usage_shared_t  *shared;

    shared = umcf->shared;
    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ngx_http_pulse_journal_directory(cycle, umcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_uuid7(shared->incarnation);

    ngx_http_pulse_journal_path(umcf, temp, shared->incarnation, ".new");
    ngx_http_pulse_journal_path(umcf, path, shared->incarnation, ".journal");

    fd = open((char *) temp, O_RDWR|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC, 0600);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "pulse journal: open(\"%s\") failed", temp);
        return NGX_ERROR;
    }

    /*
     * The lock is on the open file, which every worker inherits: it is held
     * as long as one of them lives.  It has its final name only then, so
     * that another node never finds it without the lock and takes it for
     * one of the dead.
     */

    if (flock(fd, LOCK_EX|LOCK_NB) == -1
        || (geteuid() == 0 && ccf->user != (uid_t) NGX_CONF_UNSET_UINT
            && fchown(fd, ccf->user, ccf->group) == -1)
        || rename((char *) temp, (char *) path) == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "pulse journal: \"%s\" cannot be set up", path);
        close(fd);
        unlink((char *) temp);
        return NGX_ERROR;
    }

    shared->journal = fd;
    ngx_http_pulse_journal_held = fd;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_journal_directory(ngx_cycle_t *cycle,
    ngx_http_pulse_usage_main_conf_t *umcf)
{
    u_char           *dir;
    ngx_core_conf_t  *ccf;

    dir = umcf->journal.data;
    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (mkdir((char *) dir, 0700) == -1 && ngx_errno != NGX_EEXIST) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "pulse journal: mkdir(\"%s\") failed", dir);
        return NGX_ERROR;
    }

    /* the keeper, a worker, writes checkpoints and removes what is done */

    if (geteuid() == 0 && ccf->user != (uid_t) NGX_CONF_UNSET_UINT
        && chown((char *) dir, ccf->user, ccf->group) == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "pulse journal: chown(\"%s\") failed", dir);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Old workers hold the file still; when the last is gone the lock falls and
 * the node of the new zone takes what is left in it. */

void
ngx_http_pulse_journal_leave(void)
{
    if (ngx_http_pulse_journal_held != NGX_INVALID_FILE) {
        close(ngx_http_pulse_journal_held);
        ngx_http_pulse_journal_held = NGX_INVALID_FILE;
    }
}


ngx_int_t
ngx_http_pulse_journal_append(ngx_http_pulse_usage_main_conf_t *umcf,
    const ngx_pulse_journal_record_t *record)
{
    size_t      len;
    u_char      buf[NGX_PULSE_JOURNAL_MAX];
    ssize_t     n;
    ngx_uint_t  ends;

    ends = record->type == NGX_PULSE_JOURNAL_CLOSE
           || record->type == NGX_PULSE_JOURNAL_CANCEL;

    if (!ends && ngx_http_pulse_journal_keep(umcf) != NGX_OK) {
        ngx_http_pulse_journal_failed(1, ngx_errno);
        ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_WRITE_FAILED, 1);
        return NGX_ERROR;
    }

    len = ngx_pulse_journal_write(buf, record);

    do {
        n = write(umcf->shared->journal, buf, len);
    } while (n == -1 && ngx_errno == NGX_EINTR);

    if (n > 0) {
        (void) ngx_atomic_fetch_add(&umcf->shared->written, n);
    }

    if (n == (ssize_t) len) {

        if (!ends) {
            ngx_http_pulse_journal_failed(0, 0);
        }

        return NGX_OK;
    }

    /* what a short write left is garbage that readers step over */

    ngx_http_pulse_journal_failed(1, (n == -1) ? ngx_errno : NGX_ENOSPC);
    ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_WRITE_FAILED, 1);

    return NGX_ERROR;
}


/*
 * Whoever begins leaves room for the ends of all that is open, one record of
 * each, and of those that other workers are writing now: the disk is asked to
 * keep it.  So a disk that is full, whoever dies meanwhile, loses no end.
 */

static ngx_int_t
ngx_http_pulse_journal_keep(ngx_http_pulse_usage_main_conf_t *umcf)
{
    uint64_t                        needed, end;
    ngx_pulse_meter_t              *m;
    ngx_http_pulse_usage_shared_t  *shared;

    shared = umcf->shared;
    m = &shared->meter;

    if (shared->unkept) {
        return NGX_OK;
    }

    needed = shared->written
             + (uint64_t) (m->open + m->unwritten + NGX_PULSE_METER_WORKERS)
               * NGX_PULSE_JOURNAL_MAX;

    if (needed <= shared->allocated) {
        return NGX_OK;
    }

    end = needed + NGX_HTTP_PULSE_JOURNAL_AHEAD;

    if (fallocate(shared->journal, FALLOC_FL_KEEP_SIZE, shared->written,
                  end - shared->written)
        == -1)
    {
        if (ngx_errno == EOPNOTSUPP || ngx_errno == NGX_ENOSYS) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, ngx_errno,
                          "pulse journal: the filesystem keeps no room for "
                          "the ends of requests: fallocate() failed");
            shared->unkept = 1;
            return NGX_OK;
        }

        return NGX_ERROR;
    }

    shared->allocated = end;

    return NGX_OK;
}


/* the log has the two edges of an outage */

static void
ngx_http_pulse_journal_failed(ngx_uint_t failed, ngx_err_t err)
{
    static ngx_uint_t  down;

    if (failed == down) {
        return;
    }

    down = failed;

    if (failed) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, err,
                      "pulse journal: write failed, nothing is admitted");

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "pulse journal: written again");
    }
}


void
ngx_http_pulse_journal_close(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_meter_reservation_t *res,
    const ngx_pulse_journal_record_t *record)
{
    ngx_int_t  rc;

    rc = ngx_http_pulse_journal_append(umcf, record);

    ngx_http_pulse_usage_lock(umcf);

    if (rc == NGX_OK) {
        ngx_pulse_meter_release(&umcf->shared->meter, res, record->id);

    } else {
        ngx_pulse_meter_unwritten(&umcf->shared->meter, res, record->id);
    }

    ngx_http_pulse_usage_unlock(umcf);
}


/*
 * fdatasync() waits for the disk, and the event loop may not.  The result is
 * looked for when it is next called.
 */

void
ngx_http_pulse_journal_sync(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_http_pulse_usage_shared_t        *shared;
    static ngx_http_pulse_journal_sync_t  sync;

    shared = umcf->shared;

    if (sync.queued) {
        ngx_http_pulse_journal_sync_look(&sync);
    }

    if (sync.busy) {
        return;
    }

    if (sync.fd == shared->journal && sync.written) {

        if (sync.err) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, sync.err,
                          "pulse journal: fdatasync() failed");
        }

        shared->synced = sync.written;
        sync.written = 0;
    }

    if (shared->written == shared->synced) {
        return;
    }

    sync.fd = shared->journal;
    sync.written = shared->written;
    sync.busy = 1;

    if (ngx_http_pulse_journal_sync_queue(&sync) != NGX_OK) {
        ngx_http_pulse_journal_sync_start(&sync);
    }
}


/*
 * The kernel has workers for it (io_submit(2), since Linux 4.18).  Once a
 * process has had a thread of its own, libc takes locks in malloc() and is
 * ready to be canceled in each system call, which requests would pay for.
 */

static ngx_int_t
ngx_http_pulse_journal_sync_queue(ngx_http_pulse_journal_sync_t *sync)
{
    struct iocb  cb, *list;

    if (sync->queue == 0
        && syscall(SYS_io_setup, 1, &sync->queue) == -1)
    {
        return NGX_DECLINED;
    }

    ngx_memzero(&cb, sizeof(struct iocb));

    cb.aio_lio_opcode = IOCB_CMD_FDSYNC;
    cb.aio_fildes = sync->fd;

    list = &cb;

    if (syscall(SYS_io_submit, sync->queue, 1, &list) != 1) {
        return NGX_DECLINED;
    }

    sync->queued = 1;

    return NGX_OK;
}


static void
ngx_http_pulse_journal_sync_look(ngx_http_pulse_journal_sync_t *sync)
{
    struct timespec  now;
    struct io_event  event;

    ngx_memzero(&now, sizeof(struct timespec));

    if (syscall(SYS_io_getevents, sync->queue, 0, 1, &event, &now) != 1) {
        return;
    }

    sync->err = (event.res < 0) ? (ngx_err_t) -event.res : 0;
    sync->queued = 0;
    sync->busy = 0;
}


/* Where the kernel cannot, or may not: sandboxes refuse these calls.  A pool
 * of nginx's would keep 32 threads for one call in 100 ms. */

static void
ngx_http_pulse_journal_sync_start(ngx_http_pulse_journal_sync_t *sync)
{
    int        rc;
    sigset_t   set, old;
    pthread_t  tid;

    /* signals are the event loop's */

    (void) sigfillset(&set);
    (void) pthread_sigmask(SIG_BLOCK, &set, &old);

    rc = pthread_create(&tid, NULL, ngx_http_pulse_journal_sync_thread, sync);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != 0) {
        (void) ngx_http_pulse_journal_sync_thread(sync);
        return;
    }

    (void) pthread_detach(tid);
}


static void *
ngx_http_pulse_journal_sync_thread(void *data)
{
    ngx_http_pulse_journal_sync_t *sync = data;

    sync->err = (fdatasync(sync->fd) == -1) ? ngx_errno : 0;

    ngx_memory_barrier();
    sync->busy = 0;

    return NULL;
}


void
ngx_http_pulse_journal_checkpoint(ngx_http_pulse_usage_main_conf_t *umcf)
{
    u_char    path[NGX_MAX_PATH], temp[NGX_MAX_PATH], *last;
    u_char    text[NGX_OFF_T_LEN + 1];
    ssize_t   n;
    ngx_fd_t  fd;

    ngx_http_pulse_journal_path(umcf, temp, umcf->shared->incarnation,
                                ".temp");
    ngx_http_pulse_journal_path(umcf, path, umcf->shared->incarnation,
                                ".checkpoint");

    fd = open((char *) temp, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    if (fd == -1) {
        return;
    }

    last = ngx_sprintf(text, "%uL\n", umcf->shared->floor.value);
    n = write(fd, text, last - text);
    close(fd);

    /* without one, or with an old one, a replay only reads more */

    if (n != last - text || rename((char *) temp, (char *) path) == -1) {
        unlink((char *) temp);
        return;
    }

    ngx_http_pulse_journal_punch(umcf);
}


static void
ngx_http_pulse_journal_punch(ngx_http_pulse_usage_main_conf_t *umcf)
{
    off_t              floor;
    static off_t       punched;
    static ngx_fd_t    fd = NGX_INVALID_FILE;
    static ngx_uint_t  refused;

    if (fd != umcf->shared->journal) {
        fd = umcf->shared->journal;
        punched = 0;
        refused = 0;
    }

    floor = umcf->shared->floor.value & ~((uint64_t) ngx_pagesize - 1);

    if (refused || floor < punched + NGX_HTTP_PULSE_JOURNAL_PUNCH) {
        return;
    }

    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, punched,
                  floor - punched)
        == -1)
    {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, ngx_errno,
                      "pulse journal: the filesystem gives no space back "
                      "before a restart: fallocate() failed");
        refused = 1;
        return;
    }

    punched = floor;
}


uint64_t
ngx_http_pulse_journal_floor(ngx_http_pulse_usage_main_conf_t *umcf,
    const u_char *incarnation)
{
    u_char    path[NGX_MAX_PATH], text[NGX_OFF_T_LEN + 1];
    off_t     floor;
    ssize_t   n;
    ngx_fd_t  fd;

    ngx_http_pulse_journal_path(umcf, path, incarnation, ".checkpoint");

    fd = open((char *) path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, sizeof(text));
    close(fd);

    if (n < 2 || text[n - 1] != '\n') {
        return 0;
    }

    floor = ngx_atoof(text, n - 1);

    return floor == NGX_ERROR ? 0 : floor;
}


void
ngx_http_pulse_journal_path(ngx_http_pulse_usage_main_conf_t *umcf,
    u_char *path, const u_char *incarnation, const char *suffix)
{
    (void) ngx_sprintf(path, "%V/%*s%s%Z", &umcf->journal,
                       (size_t) NGX_HTTP_PULSE_UUID_LEN, incarnation, suffix);
}
