
#include "pulse_child.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "ngx_pulse_id.h"
#include "pulse_file.h"
#include "pulse_log.h"


#define PULSE_CHILD_FILES  16           /* besides those, each opened twice */
#define PULSE_CHILD_NICE   10
#define PULSE_CHILD_TICK   200          /* ms */
#define PULSE_CHILD_READ   16384
#define PULSE_CHILD_X32    0x40000000


#if defined(__x86_64__)
#define PULSE_CHILD_ARCH   AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define PULSE_CHILD_ARCH   AUDIT_ARCH_AARCH64
#endif


static void pulse_child_exec(pulse_child_t *child, int out, int err);
static int pulse_child_limit(pulse_child_t *child);
static int pulse_child_confine(void);
static int pulse_child_descriptors(pulse_child_t *child, int out, int err);
static ngx_int_t pulse_child_wait(pulse_child_t *child, pid_t pid, int out,
    int err);
static void pulse_child_hear(pulse_child_t *child, int out, int err,
    int ended);
static ngx_uint_t pulse_child_take(int fd, ngx_pulse_buf_t *b);


#ifdef PULSE_CHILD_ARCH

/* numbers from X32 on are of another way to call the same kernel */

static struct sock_filter  pulse_child_filter[] = {
    BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, PULSE_CHILD_ARCH, 0, 4),
    BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP|BPF_JGE|BPF_K, PULSE_CHILD_X32, 2, 0),
    BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, SYS_socket, 1, 0),
    BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, SYS_io_uring_setup, 0, 1),
    BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO|EACCES),
    BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW)
};

static const struct sock_fprog  pulse_child_program = {
    sizeof(pulse_child_filter) / sizeof(pulse_child_filter[0]),
    pulse_child_filter
};

#endif


ngx_int_t
pulse_child_run(pulse_child_t *child)
{
    int        out[2], err[2];
    pid_t      pid;
    ngx_int_t  rc;

    ngx_pulse_buf_init(&child->err, PULSE_CHILD_SAID);
    child->late = 0;
    child->full = 0;
    child->stopped = 0;

    if (pipe2(out, O_CLOEXEC|O_NONBLOCK) == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse child: %s", strerror(errno));
        return NGX_ERROR;
    }

    if (pipe2(err, O_CLOEXEC|O_NONBLOCK) == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse child: %s", strerror(errno));
        close(out[0]);
        close(out[1]);
        return NGX_ERROR;
    }

    pid = fork();

    if (pid == 0) {
        pulse_child_exec(child, out[1], err[1]);
    }

    close(out[1]);
    close(err[1]);

    if (pid != -1) {
        rc = pulse_child_wait(child, pid, out[0], err[0]);

    } else {
        pulse_log(PULSE_LOG_ERR, "pulse child: no process: %s",
                  strerror(errno));
        rc = NGX_ERROR;
    }

    close(out[0]);
    close(err[0]);

    if (rc == NGX_OK && WIFEXITED(child->status)
        && WEXITSTATUS(child->status) == 127)
    {
        pulse_log(PULSE_LOG_ERR, "pulse child: \"%s\" cannot be run",
                  child->argv[0]);
        rc = NGX_ERROR;
    }

    return rc;
}


/* Of many threads only this one is here: nothing is called that could wait for
 * another. */

static void
pulse_child_exec(pulse_child_t *child, int out, int err)
{
    static char *const  env[] = { "LC_ALL=C", NULL };

    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    signal(SIGPIPE, SIG_DFL);

    if (pulse_child_descriptors(child, out, err) == 0
        && pulse_child_limit(child) == 0 && pulse_child_confine() == 0)
    {
        execve(child->argv[0], (char *const *) child->argv, env);
    }

    _exit(127);
}


static int
pulse_child_limit(pulse_child_t *child)
{
    ngx_uint_t  i;

    const struct {
        __rlimit_resource_t  what;
        rlim_t               limit;
    } limits[] = {
        { RLIMIT_AS, child->memory }, { RLIMIT_CPU, child->cpu },
        { RLIMIT_FSIZE, child->file }, { RLIMIT_CORE, 0 },
        { RLIMIT_NOFILE, 2 * child->nfds + PULSE_CHILD_FILES }
    };

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (setrlimit(limits[i].what,
                      &(struct rlimit) { limits[i].limit, limits[i].limit })
            == -1)
        {
            return -1;
        }
    }

    if (child->nice) {
        (void) setpriority(PRIO_PROCESS, 0, PULSE_CHILD_NICE);
    }

    return 0;
}


/* No socket is ever made, by whatever is run; io_uring could make one behind
 * the filter.  It needs no rights that a service does not have. */

static int
pulse_child_confine(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
        return -1;
    }

#ifdef PULSE_CHILD_ARCH
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &pulse_child_program, 0,
                 0);
#else
    return 0;
#endif
}


/* Out of the way first: one that is given may have the number that another
 * one is to get. */

static int
pulse_child_descriptors(pulse_child_t *child, int out, int err)
{
    int         in, first, fds[PULSE_CHILD_FDS];
    ngx_uint_t  i;

    first = 3 + child->nfds;

    in = (child->in == -1) ? open("/dev/null", O_RDONLY) : child->in;
    in = fcntl(in, F_DUPFD, first);
    out = fcntl(out, F_DUPFD, first);
    err = fcntl(err, F_DUPFD, first);

    for (i = 0; i < child->nfds; i++) {
        fds[i] = fcntl(child->fds[i], F_DUPFD, first);
    }

    for (i = 0; i < child->nfds; i++) {
        if (fds[i] == -1 || dup2(fds[i], 3 + i) == -1) {
            return -1;
        }
    }

    if (in == -1 || dup2(in, 0) == -1 || dup2(out, 1) == -1
        || dup2(err, 2) == -1)
    {
        return -1;
    }

    return close_range(first, ~0U, 0);
}


/* One that closes what it says and goes on is as late as any other. */

static ngx_int_t
pulse_child_wait(pulse_child_t *child, pid_t pid, int out, int err)
{
    int  ended;

    ended = pidfd_open(pid, 0);

    if (ended == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse child: a process cannot be waited"
                  " for: %s", strerror(errno));

    } else {
        pulse_child_hear(child, out, err, ended);
        close(ended);
    }

    if (ended == -1 || child->late || child->full || child->stopped) {
        (void) kill(pid, SIGKILL);
    }

    while (waitpid(pid, &child->status, 0) == -1 && errno == EINTR) {
        /* void */
    }

    /* by the kernel: it is past its "cpu", or the machine is out of memory */

    if (WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGKILL
        && !child->full && !child->stopped)
    {
        child->late = 1;
    }

    return (ended == -1) ? NGX_ERROR : NGX_OK;
}


/* Until it has ended and all that it said is heard, there is enough, or it
 * takes too long. */

static void
pulse_child_hear(pulse_child_t *child, int out, int err, int ended)
{
    int            n;
    int64_t        until, left;
    struct pollfd  fds[3];

    until = ngx_pulse_now() + child->time;

    fds[0].fd = out;
    fds[0].events = POLLIN;
    fds[1].fd = err;
    fds[1].events = POLLIN;
    fds[2].fd = ended;
    fds[2].events = POLLIN;

    while (fds[0].fd != -1 || fds[1].fd != -1 || fds[2].fd != -1) {
        left = until - ngx_pulse_now();

        if (left <= 0) {
            child->late = 1;
            return;
        }

        n = poll(fds, 3, child->heard ? ngx_min(left, PULSE_CHILD_TICK)
                                      : left);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (fds[0].revents && !pulse_child_take(out, child->out)) {
            fds[0].fd = -1;
        }

        if (fds[1].revents && !pulse_child_take(err, &child->err)) {
            fds[1].fd = -1;
        }

        if (fds[2].revents) {
            fds[2].fd = -1;
        }

        fds[0].revents = 0;
        fds[1].revents = 0;
        fds[2].revents = 0;

        if (child->out->failed) {
            child->full = 1;
            return;
        }

        if (child->heard && child->heard(child->ctx, child->out)) {
            child->stopped = 1;
            return;
        }
    }
}


/* 0 at the end */

static ngx_uint_t
pulse_child_take(int fd, ngx_pulse_buf_t *b)
{
    ssize_t  n;
    u_char   bytes[PULSE_CHILD_READ];

    n = read(fd, bytes, sizeof(bytes));

    if (n > 0) {
        ngx_pulse_buf_append(b, bytes, n);
    }

    return n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR));
}


int
pulse_child_file(const u_char *data, size_t len)
{
    int  fd;

    fd = memfd_create("pulse", MFD_CLOEXEC);

    if (fd != -1 && pulse_file_append(fd, data, len) != NGX_OK) {
        close(fd);
        return -1;
    }

    return fd;
}
