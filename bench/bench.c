
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"


#define BENCH_HISTOGRAM_BITS  4

/* of the processors; those beyond are nobody's here */

#define BENCH_CPUS            64


static size_t bench_histogram_slot(uint64_t ns);


void
bench_fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}


uint64_t
bench_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


int
bench_nonblocking(int fd)
{
    return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}


int
bench_nodelay(int fd)
{
    int  on;

    on = 1;

    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int));
}


void
bench_open_files(size_t n)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        bench_fail("getrlimit()");
    }

    limit.rlim_cur = (n < limit.rlim_max) ? n : limit.rlim_max;

    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        bench_fail("setrlimit()");
    }
}


void
bench_first_cpu(int leave)
{
    int        i, n;
    cpu_set_t  set;

    n = (int) sysconf(_SC_NPROCESSORS_CONF);

    if (n < 2) {
        return;
    }

    CPU_ZERO(&set);

    for (i = leave ? 1 : 0; i < n && i < BENCH_CPUS; i++) {
        CPU_SET(i, &set);
    }

    /* what a container does not have is left out; without any it fails */

    (void) sched_setaffinity(0, sizeof(cpu_set_t), &set);
}


/* Both peers may be on one processor: who has nothing to do gives it up. */

int
bench_wait_awake(int epoll, struct epoll_event *events, int size, int timeout)
{
    int       n;
    uint64_t  end;

    end = bench_now() + timeout * UINT64_C(1000000);

    for ( ;; ) {
        n = epoll_wait(epoll, events, size, 0);

        if (n || bench_now() >= end) {
            return n;
        }

        (void) sched_yield();
    }
}


void
bench_histogram_add(bench_histogram_t *h, uint64_t ns)
{
    h->n++;
    h->slots[bench_histogram_slot(ns)]++;

    if (ns > h->max) {
        h->max = ns;
    }
}


/* The top bit says the octave, the next four bits the part of it. */

static size_t
bench_histogram_slot(uint64_t ns)
{
    unsigned  top;

    if (ns < 1 << BENCH_HISTOGRAM_BITS) {
        return ns;
    }

    top = 63 - __builtin_clzll(ns) - BENCH_HISTOGRAM_BITS;

    return ((size_t) top << BENCH_HISTOGRAM_BITS) + (ns >> top);
}


uint64_t
bench_histogram_at(bench_histogram_t *h, double share)
{
    size_t    i, top;
    uint64_t  passed, wanted, end;

    passed = 0;
    wanted = (uint64_t) (share * h->n);

    for (i = 0; i < BENCH_HISTOGRAM_SLOTS; i++) {
        passed += h->slots[i];

        if (passed > wanted) {
            break;
        }
    }

    if (i < 1 << BENCH_HISTOGRAM_BITS) {
        return i;
    }

    top = (i >> BENCH_HISTOGRAM_BITS) - 1;
    end = ((i - (top << BENCH_HISTOGRAM_BITS) + 1) << top) - 1;

    return (end < h->max) ? end : h->max;
}
