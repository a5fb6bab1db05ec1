
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "ngx_pulse_id.h"
#include "ngx_pulse_json.h"
#include "pulse_bidi.h"
#include "pulse_log.h"
#include "pulse_poppler.h"


#define PULSE_POPPLER_TEXT    "/usr/bin/pdftotext"
#define PULSE_POPPLER_INFO    "/usr/bin/pdfinfo"

#define PULSE_POPPLER_MEMORY  (1024UL * 1024 * 1024)
#define PULSE_POPPLER_CPU     20            /* s */
#define PULSE_POPPLER_TIME    30000         /* ms */
#define PULSE_POPPLER_SAID    16384         /* of pdfinfo, and on stderr */
#define PULSE_POPPLER_WORD    16            /* bytes that are a text */


typedef struct {
    const char *const  *argv;
    int                 in;
    ngx_pulse_buf_t    *out;
    ngx_pulse_buf_t     err;
    int                 status;             /* as of waitpid() */
    unsigned            late:1;
    unsigned            full:1;             /* more than "out" may hold */
} pulse_poppler_run_t;


static int pulse_poppler_file(const ngx_pulse_buf_t *data);
static ngx_int_t pulse_poppler_info(int fd, pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_text(int fd, pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_failed(pulse_poppler_run_t *run,
    pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_clean(const ngx_pulse_buf_t *raw,
    pulse_poppler_t *pdf);
static ngx_int_t pulse_poppler_append(ngx_pulse_buf_t *b, ngx_str_t page);
static ngx_int_t pulse_poppler_run(pulse_poppler_run_t *run);
static void pulse_poppler_child(pulse_poppler_run_t *run, int out, int err);
static void pulse_poppler_hear(pulse_poppler_run_t *run, int out, int err);
static ngx_uint_t pulse_poppler_take(int fd, ngx_pulse_buf_t *b);


ngx_int_t
pulse_poppler_read(const ngx_pulse_buf_t *data, pulse_poppler_t *pdf)
{
    int        fd;
    ngx_int_t  rc;

    fd = pulse_poppler_file(data);

    if (fd == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse poppler: a file cannot be given to"
                  " it: %s", strerror(errno));
        return NGX_ERROR;
    }

    rc = pulse_poppler_info(fd, pdf);

    if (rc == NGX_OK) {
        rc = pulse_poppler_text(fd, pdf);
    }

    close(fd);

    return rc;
}


/* in memory: it has no name that anybody else could open */

static int
pulse_poppler_file(const ngx_pulse_buf_t *data)
{
    int      fd;
    size_t   sent;
    ssize_t  n;

    fd = memfd_create("pulse", MFD_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    for (sent = 0; sent < data->len; sent += n) {
        n = write(fd, data->data + sent, data->len - sent);

        if (n <= 0) {
            close(fd);
            return -1;
        }
    }

    return fd;
}


static ngx_int_t
pulse_poppler_info(int fd, pulse_poppler_t *pdf)
{
    char                 *p;
    ngx_int_t             rc;
    ngx_pulse_buf_t       out;
    pulse_poppler_run_t   run;

    static const char *const  argv[] = {
        PULSE_POPPLER_INFO, "/dev/stdin", NULL
    };

    ngx_pulse_buf_init(&out, PULSE_POPPLER_SAID);

    run.argv = argv;
    run.in = fd;
    run.out = &out;

    rc = pulse_poppler_run(&run);

    if (rc == NGX_OK) {
        rc = pulse_poppler_failed(&run, pdf);
    }

    if (rc == NGX_OK) {
        ngx_pulse_buf_char(&out, '\0');

        p = out.failed ? NULL : strstr((char *) out.data, "\nPages:");
        pdf->pages = p ? strtoul(p + 7, NULL, 10) : 0;

        if (pdf->pages == 0) {
            pdf->why = pulse_poppler_broken;
            rc = NGX_DECLINED;
        }
    }

    ngx_pulse_buf_free(&out);
    ngx_pulse_buf_free(&run.err);

    return rc;
}


static ngx_int_t
pulse_poppler_text(int fd, pulse_poppler_t *pdf)
{
    ngx_int_t            rc;
    ngx_pulse_buf_t      out;
    pulse_poppler_run_t  run;

    static const char *const  argv[] = {
        PULSE_POPPLER_TEXT, "-q", "-enc", "UTF-8", "-eol", "unix", "-l",
        ngx_value(PULSE_POPPLER_PAGES), "/dev/stdin", "-", NULL
    };

    /* what is taken out of it later makes it shorter */

    ngx_pulse_buf_init(&out, 2 * pdf->text.max);

    run.argv = argv;
    run.in = fd;
    run.out = &out;

    rc = pulse_poppler_run(&run);

    /* one whose text is enough was stopped */

    if (rc == NGX_OK && !run.full) {
        rc = pulse_poppler_failed(&run, pdf);
    }

    if (rc == NGX_OK) {
        rc = pulse_poppler_clean(&out, pdf);
    }

    ngx_pulse_buf_free(&out);
    ngx_pulse_buf_free(&run.err);

    return rc;
}


static ngx_int_t
pulse_poppler_failed(pulse_poppler_run_t *run, pulse_poppler_t *pdf)
{
    if (!run->late && WIFEXITED(run->status)) {

        if (WEXITSTATUS(run->status) == 0) {
            return NGX_OK;
        }

        ngx_pulse_buf_char(&run->err, '\0');

        pdf->why = (!run->err.failed
                    && strstr((char *) run->err.data, "password"))
                   ? pulse_poppler_locked : pulse_poppler_broken;

        return NGX_DECLINED;
    }

    pdf->why = pulse_poppler_slow;

    return NGX_DECLINED;
}


/* Whole pages, without what Poppler says of direction and without what is no
 * UTF-8, which fonts with a table of their own can make. */

static ngx_int_t
pulse_poppler_clean(const ngx_pulse_buf_t *raw, pulse_poppler_t *pdf)
{
    size_t      words, before;
    u_char     *p, *end, *last;
    ngx_str_t   page;

    words = 0;
    last = raw->data + raw->len;

    for (p = raw->data; p < last; p = end + 1) {
        end = memchr(p, '\f', last - p);

        if (end == NULL) {
            end = last;
        }

        page.data = p;
        page.len = end - p;
        before = pdf->text.len;

        if (pulse_poppler_append(&pdf->text, page) != NGX_OK) {
            return NGX_ERROR;
        }

        if (pdf->text.failed) {
            break;
        }

        pdf->read++;

        for ( /* void */ ; before < pdf->text.len; before++) {
            words += (pdf->text.data[before] > ' ');
        }
    }

    if (words < PULSE_POPPLER_WORD) {
        pdf->why = pulse_poppler_empty;
        return NGX_DECLINED;
    }

    pdf->text.failed = 0;

    return NGX_OK;
}


static ngx_int_t
pulse_poppler_append(ngx_pulse_buf_t *b, ngx_str_t page)
{
    size_t           bad, room;
    ngx_str_t        part;
    ngx_pulse_buf_t  text;

    ngx_pulse_buf_init(&text, 0);

    while (page.len) {
        part = page;

        if (ngx_pulse_utf8_check(page.data, page.len, &bad) != NGX_OK) {
            part.len = bad;
        }

        pulse_bidi_clean(&text, &part);

        bad = ngx_min(part.len + 1, page.len);
        page.data += bad;
        page.len -= bad;
    }

    room = b->max - b->len;

    /* all there is of it is one page that is too long */

    if (b->len == 0 && text.len >= room && !text.failed) {
        text.len = room - 1;

        while (text.len && (text.data[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
    }

    ngx_pulse_buf_char(&text, '\f');
    ngx_pulse_buf_append(b, text.data, text.len);

    bad = text.failed;
    ngx_pulse_buf_free(&text);

    return bad ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
pulse_poppler_run(pulse_poppler_run_t *run)
{
    int    out[2], err[2];
    pid_t  pid;

    ngx_pulse_buf_init(&run->err, PULSE_POPPLER_SAID);
    run->late = 0;
    run->full = 0;

    if (pipe2(out, O_CLOEXEC|O_NONBLOCK) == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse poppler: %s", strerror(errno));
        return NGX_ERROR;
    }

    if (pipe2(err, O_CLOEXEC|O_NONBLOCK) == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse poppler: %s", strerror(errno));
        close(out[0]);
        close(out[1]);
        return NGX_ERROR;
    }

    pid = fork();

    if (pid == 0) {
        pulse_poppler_child(run, out[1], err[1]);
    }

    close(out[1]);
    close(err[1]);

    if (pid != -1) {
        pulse_poppler_hear(run, out[0], err[0]);

        /* what was heard to its end may be ending, all else is ended */

        if (run->late || run->full) {
            (void) kill(pid, SIGKILL);
        }

        while (waitpid(pid, &run->status, 0) == -1 && errno == EINTR) {
            /* void */
        }

    } else {
        pulse_log(PULSE_LOG_ERR, "pulse poppler: no process: %s",
                  strerror(errno));
    }

    close(out[0]);
    close(err[0]);

    if (pid != -1 && WIFEXITED(run->status)
        && WEXITSTATUS(run->status) == 127)
    {
        pulse_log(PULSE_LOG_ERR, "pulse poppler: \"%s\" cannot be run",
                  run->argv[0]);
        return NGX_ERROR;
    }

    return (pid == -1) ? NGX_ERROR : NGX_OK;
}


/* Of many threads only this one is here: nothing is called that could wait for
 * another. */

static void
pulse_poppler_child(pulse_poppler_run_t *run, int out, int err)
{
    ngx_uint_t  i;

    static char *const  env[] = { "LC_ALL=C", NULL };

    static const struct {
        __rlimit_resource_t  what;
        rlim_t               limit;
    } limits[] = {
        { RLIMIT_AS, PULSE_POPPLER_MEMORY }, { RLIMIT_CPU, PULSE_POPPLER_CPU },
        { RLIMIT_FSIZE, 0 }, { RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, 16 }
    };

    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (setrlimit(limits[i].what,
                      &(struct rlimit) { limits[i].limit, limits[i].limit })
            == -1)
        {
            _exit(127);
        }
    }

    signal(SIGPIPE, SIG_DFL);

    if (dup2(run->in, 0) != -1 && dup2(out, 1) != -1 && dup2(err, 2) != -1
        && close_range(3, ~0U, 0) == 0)
    {
        execve(run->argv[0], (char *const *) run->argv, env);
    }

    _exit(127);
}


/* Until both are at their end, there is enough, or it takes too long. */

static void
pulse_poppler_hear(pulse_poppler_run_t *run, int out, int err)
{
    int            n;
    int64_t        until, left;
    struct pollfd  fds[2];

    until = ngx_pulse_now() + PULSE_POPPLER_TIME;

    fds[0].fd = out;
    fds[0].events = POLLIN;
    fds[1].fd = err;
    fds[1].events = POLLIN;

    while (fds[0].fd != -1 || fds[1].fd != -1) {
        left = until - ngx_pulse_now();

        n = (left > 0) ? poll(fds, 2, left) : 0;

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            run->late = 1;
            return;
        }

        if (fds[0].revents && !pulse_poppler_take(out, run->out)) {
            fds[0].fd = -1;
        }

        if (fds[1].revents && !pulse_poppler_take(err, &run->err)) {
            fds[1].fd = -1;
        }

        fds[0].revents = 0;
        fds[1].revents = 0;

        if (run->out->failed) {
            run->full = 1;
            return;
        }
    }
}


/* 0 at the end */

static ngx_uint_t
pulse_poppler_take(int fd, ngx_pulse_buf_t *b)
{
    ssize_t  n;
    u_char   bytes[16384];

    n = read(fd, bytes, sizeof(bytes));

    if (n > 0) {
        ngx_pulse_buf_append(b, bytes, n);
    }

    return n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR));
}
