
#include <signal.h>
#include <sys/wait.h>
#include "unit.h"
#include "pulse_child.h"


#define LONG  60000             /* ms */


typedef ngx_uint_t (*test_heard_pt)(void *ctx, ngx_pulse_buf_t *out);


static void test_says(void);
static void test_goes_on(void);
static void test_ends_quietly(void);
static void test_takes_much(void);
static void test_full(void);
static void test_stopped(void);
static void test_nothing_to_run(void);
static ngx_int_t run(pulse_child_t *child, const char *script,
    ngx_pulse_buf_t *out, ngx_uint_t time, test_heard_pt heard);
static ngx_uint_t stop(void *ctx, ngx_pulse_buf_t *out);
static void done(pulse_child_t *child);


static ngx_uint_t  cpu = LONG;          /* s */


int
main(int argc, char **argv)
{
    test_says();
    test_goes_on();
    test_ends_quietly();
    test_takes_much();
    test_full();
    test_stopped();
    test_nothing_to_run();

    return unit_done();
}


static void
test_says(void)
{
    pulse_child_t    child;
    ngx_pulse_buf_t  out;

    check_int(run(&child, "cat; echo out; echo err >&2; exit 3", &out, LONG,
                  NULL), NGX_OK);

    check(WIFEXITED(child.status));
    check_int(WEXITSTATUS(child.status), 3);
    check(!child.late && !child.full && !child.stopped);
    check_mem(out.data, out.len, "out\n", 4);
    check_mem(child.err.data, child.err.len, "err\n", 4);

    done(&child);
}


/* It has nothing more to say, and is not done. */

static void
test_goes_on(void)
{
    pulse_child_t    child;
    ngx_pulse_buf_t  out;

    check_int(run(&child, "exec >&- 2>&-; exec /bin/sleep 60", &out, 300,
                  NULL), NGX_OK);

    check(child.late);
    check(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGKILL);

    done(&child);
}


static void
test_ends_quietly(void)
{
    pulse_child_t    child;
    ngx_pulse_buf_t  out;

    check_int(run(&child, "exec >&- 2>&-; exec /bin/sleep 0.1", &out, LONG,
                  NULL), NGX_OK);

    check(!child.late);
    check(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);

    done(&child);
}


/* The kernel ends it, and says nothing before. */

static void
test_takes_much(void)
{
    pulse_child_t    child;
    ngx_pulse_buf_t  out;

    cpu = 1;

    check_int(run(&child, "while :; do :; done", &out, LONG, NULL), NGX_OK);

    cpu = LONG;

    check(child.late && !child.full && !child.stopped);
    check(WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGKILL);

    done(&child);
}


static void
test_full(void)
{
    pulse_child_t    child;
    ngx_pulse_buf_t  out;

    check_int(run(&child, "while :; do echo 0123456789abcdef; done", &out,
                  LONG, NULL), NGX_OK);

    check(child.full && !child.late);
    check(WIFSIGNALED(child.status));

    done(&child);
}


static void
test_stopped(void)
{
    pulse_child_t    child;
    ngx_pulse_buf_t  out;

    check_int(run(&child, "exec >&- 2>&-; exec /bin/sleep 60", &out, LONG,
                  stop), NGX_OK);

    check(child.stopped && !child.late);
    check(WIFSIGNALED(child.status));

    done(&child);
}


static void
test_nothing_to_run(void)
{
    pulse_child_t    child;
    ngx_pulse_buf_t  out;

    check_int(run(&child, "exec /nonexistent", &out, LONG, NULL), NGX_ERROR);

    done(&child);
}


static ngx_int_t
run(pulse_child_t *child, const char *script, ngx_pulse_buf_t *out,
    ngx_uint_t time, test_heard_pt heard)
{
    const char  *argv[] = { "/bin/sh", "-c", script, NULL };

    memset(child, 0, sizeof(pulse_child_t));
    ngx_pulse_buf_init(out, 4096);

    child->argv = argv;
    child->in = -1;
    child->memory = 1024UL * 1024 * 1024;
    child->file = 1024 * 1024;
    child->cpu = cpu;
    child->time = time;
    child->heard = heard;
    child->out = out;

    return pulse_child_run(child);
}


static ngx_uint_t
stop(void *ctx, ngx_pulse_buf_t *out)
{
    return 1;
}


static void
done(pulse_child_t *child)
{
    ngx_pulse_buf_free(child->out);
    ngx_pulse_buf_free(&child->err);
}
