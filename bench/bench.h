
#ifndef _BENCH_H_INCLUDED_
#define _BENCH_H_INCLUDED_


/* What the provider and the client of the benchmark share. */


#include <stdint.h>
#include <stddef.h>


/*
 * A question bears "bench:SIZE:CHUNKS:GAP;" somewhere in its text, which all
 * dialects and all gateways leave as it is: bytes of text in the answer or in
 * each chunk, chunks of a stream, milliseconds between them.
 *
 * A chunk begins with "@" and its time in BENCH_DIGITS decimal digits of
 * nanoseconds, which no translation changes either.
 */

#define BENCH_MARK    "bench:"
#define BENCH_DIGITS  16


/* Ends the program with a line that says what could not be done. */

void bench_fail(const char *what) __attribute__((noreturn));

uint64_t bench_now(void);

int bench_nonblocking(int fd);
int bench_nodelay(int fd);

/* as many files as the system lets us open, up to n */

void bench_open_files(size_t n);


struct epoll_event;

/*
 * epoll_wait() of a peer that does not sleep for up to "timeout" milliseconds.
 * It stands for one on another machine, which nobody here is charged with
 * waking: a server would be, and the more the slower it is.
 */

int bench_wait_awake(int epoll, struct epoll_event *events, int size,
    int timeout);

/* Leaves the first processor to the server, or takes it again. */

void bench_first_cpu(int leave);


/* Whole microseconds are too coarse here: each slot is 1/16 of an octave. */

#define BENCH_HISTOGRAM_SLOTS  1024

typedef struct {
    uint64_t   n;
    uint64_t   max;
    uint64_t   slots[BENCH_HISTOGRAM_SLOTS];
} bench_histogram_t;


void bench_histogram_add(bench_histogram_t *h, uint64_t ns);

/* The upper end of the slot where that share of the values is, in ns. */

uint64_t bench_histogram_at(bench_histogram_t *h, double share);


#endif /* _BENCH_H_INCLUDED_ */
