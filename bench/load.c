
/*
 * The client: plain questions or streams on connections that are kept, as
 * many at a time as there are connections.  What it measured is one line of
 * JSON.
 *
 *     load PORT REQUEST TOKENS CONNECTIONS SECONDS [hold | ramp]
 *
 * REQUEST is a file with a whole HTTP request in which "{{token}}" stands for
 * a line of the file TOKENS.  With "hold" each connection asks once; once all
 * have got their first chunk it says so, and they are held up to the end of
 * stdin or of the time.  With "ramp" they come one after the other during the
 * first second, as people do, and the client does not sleep (bench.h).
 */


#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"


#define LOAD_EVENTS  512
#define LOAD_READ    65536
#define LOAD_HEAD    4096
#define LOAD_TOKEN   "{{token}}"


typedef enum {
    load_head = 0,
    load_length,
    load_size,
    load_size_lf,
    load_data,
    load_data_crlf,
    load_trailer,
    load_to_end
} load_state_e;


typedef struct {
    char            head[LOAD_HEAD];
    size_t          head_len;
    struct iovec    iov[3];
    size_t          left;
    uint64_t        started;
    uint64_t        stamp;
    uint64_t        last;           /* of the chunk before */
    load_state_e    state;
    unsigned        digits;
    int             fd;
    unsigned        asking:1;
    unsigned        empty:1;
    unsigned        seen:1;
} load_connection_t;


typedef struct {
    uint64_t           requests;
    uint64_t           errors;
    uint64_t           chunks;
    uint64_t           bytes;
    uint64_t           reads;
    size_t             seen;
    bench_histogram_t  whole;
    bench_histogram_t  chunk;
} load_result_t;


static char *load_file(const char *name, size_t *len);
static void load_request(const char *name);
static void load_tokens(const char *name);
static void load_open(load_connection_t *c);
static void load_reopen(load_connection_t *c, int failed);
static void load_ask(load_connection_t *c);
static void load_write(load_connection_t *c);
static void load_read(load_connection_t *c);
static int load_parse(load_connection_t *c, char *p, char *last);
static char *load_parse_head(load_connection_t *c, char *p, char *last);
static char *load_parse_size(load_connection_t *c, char *p);
static void load_text(load_connection_t *c, char *p, char *last);
static void load_answered(load_connection_t *c);
static size_t load_come(load_connection_t *connections, size_t opened,
    uint64_t start);
static void load_hold(uint64_t until);
static void load_report(uint64_t ns);
static void load_report_times(const char *name, bench_histogram_t *h);


static int             load_port;
static int             load_epoll;
static int             load_holding;
static int             load_ramp;
static uint64_t        load_now;
static size_t          load_connections;
static struct iovec    load_parts[2];
static size_t          load_ntokens;
static struct iovec   *load_token;
static uint64_t        load_random = 88172645463325252;
static load_result_t   load_result;


int
main(int argc, char **argv)
{
    int                 i, n;
    size_t              opened;
    uint64_t            start, until;
    load_connection_t  *connections, *c;
    struct epoll_event  events[LOAD_EVENTS];

    if (argc < 6) {
        fprintf(stderr, "usage: load PORT REQUEST TOKENS CONNECTIONS SECONDS"
                        " [hold | ramp]\n");
        return 2;
    }

    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void) signal(SIGPIPE, SIG_IGN);

    load_port = atoi(argv[1]);
    load_connections = strtoul(argv[4], NULL, 10);
    load_holding = (argc > 6 && strcmp(argv[6], "hold") == 0);
    load_ramp = (argc > 6 && strcmp(argv[6], "ramp") == 0);

    if (load_ramp) {
        bench_first_cpu(1);
    }

    load_request(argv[2]);
    load_tokens(argv[3]);

    bench_open_files(load_connections + 64);

    load_epoll = epoll_create1(0);
    connections = calloc(load_connections, sizeof(load_connection_t));

    if (load_epoll == -1 || connections == NULL) {
        bench_fail("epoll_create1()");
    }

    start = bench_now();
    until = start + (uint64_t) (strtod(argv[5], NULL) * 1e9);

    opened = 0;

    for (load_now = start; load_now < until; load_now = bench_now()) {
        opened = load_come(connections, opened, start);

        n = load_ramp
            ? bench_wait_awake(load_epoll, events, LOAD_EVENTS, 1)
            : epoll_wait(load_epoll, events, LOAD_EVENTS, 100);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c->asking && (events[i].events & EPOLLOUT)) {
                load_write(c);
            }

            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                load_read(c);
            }
        }

        if (load_holding && load_result.seen == load_connections) {
            load_hold(until);
            break;
        }
    }

    load_report(bench_now() - start);

    return 0;
}


/* Returns how many are open now. */

static size_t
load_come(load_connection_t *connections, size_t opened, uint64_t start)
{
    size_t  want;

    want = load_connections;

    if (load_ramp && load_now - start < 1000000000) {
        want = load_connections * (load_now - start) / 1000000000 + 1;
    }

    while (opened < want) {
        load_open(&connections[opened++]);
    }

    return opened;
}


static char *
load_file(const char *name, size_t *len)
{
    char  *data;
    FILE  *f;
    long   size;

    f = fopen(name, "r");

    if (f == NULL || fseek(f, 0, SEEK_END) == -1 || (size = ftell(f)) == -1) {
        bench_fail(name);
    }

    rewind(f);

    data = malloc(size + 1);

    if (data == NULL || fread(data, 1, size, f) != (size_t) size) {
        bench_fail(name);
    }

    data[size] = '\0';
    *len = size;
    (void) fclose(f);

    return data;
}


static void
load_request(const char *name)
{
    char    *data, *token;
    size_t   len;

    data = load_file(name, &len);
    token = strstr(data, LOAD_TOKEN);

    if (token == NULL) {
        errno = EINVAL;
        bench_fail("no " LOAD_TOKEN " in the request");
    }

    load_parts[0].iov_base = data;
    load_parts[0].iov_len = token - data;
    load_parts[1].iov_base = token + sizeof(LOAD_TOKEN) - 1;
    load_parts[1].iov_len = data + len - (char *) load_parts[1].iov_base;
}


static void
load_tokens(const char *name)
{
    char    *p, *end;
    size_t   len, n;

    p = load_file(name, &len);

    for (n = 0, end = p; *end; end++) {
        n += (*end == '\n');
    }

    load_token = calloc(n + 1, sizeof(struct iovec));
    if (load_token == NULL) {
        bench_fail("calloc()");
    }

    for ( /* void */ ; (end = strchr(p, '\n')) != NULL; p = end + 1) {
        load_token[load_ntokens].iov_base = p;
        load_token[load_ntokens++].iov_len = end - p;
    }

    if (load_ntokens == 0) {
        errno = EINVAL;
        bench_fail("no tokens");
    }
}


static void
load_open(load_connection_t *c)
{
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    memset(&sin, 0, sizeof(struct sockaddr_in));

    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons(load_port);

    c->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || bench_nonblocking(c->fd) == -1
        || bench_nodelay(c->fd) == -1)
    {
        bench_fail("connect()");
    }

    ev.events = EPOLLIN | EPOLLOUT | EPOLLET;
    ev.data.ptr = c;

    if (epoll_ctl(load_epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
        bench_fail("epoll_ctl()");
    }

    load_ask(c);
}


/* Some servers close what they might keep; that costs them, not us. */

static void
load_reopen(load_connection_t *c, int failed)
{
    load_result.errors += failed;

    if (load_result.errors > 1000) {
        errno = EIO;
        bench_fail("1000 requests failed");
    }

    (void) close(c->fd);
    load_open(c);
}


static void
load_ask(load_connection_t *c)
{
    load_random ^= load_random << 13;
    load_random ^= load_random >> 7;
    load_random ^= load_random << 17;

    c->iov[0] = load_parts[0];
    c->iov[1] = load_token[load_random % load_ntokens];
    c->iov[2] = load_parts[1];

    c->state = load_head;
    c->head_len = 0;
    c->digits = 0;
    c->asking = 1;
    c->started = bench_now();

    load_write(c);
}


static void
load_write(load_connection_t *c)
{
    size_t   i;
    ssize_t  n;

    for ( ;; ) {
        n = writev(c->fd, c->iov, 3);

        if (n == -1) {

            /* a connection that failed is readable */

            return;
        }

        for (i = 0; i < 3; i++) {
            if ((size_t) n < c->iov[i].iov_len) {
                c->iov[i].iov_base = (char *) c->iov[i].iov_base + n;
                c->iov[i].iov_len -= n;
                break;
            }

            n -= c->iov[i].iov_len;
            c->iov[i].iov_len = 0;
        }

        if (i == 3) {
            c->asking = 0;
            return;
        }
    }
}


static void
load_read(load_connection_t *c)
{
    int          rc;
    ssize_t      n;
    static char  data[LOAD_READ];

    for ( ;; ) {
        n = recv(c->fd, data, sizeof(data), 0);

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        if (n <= 0) {

            if (c->state == load_to_end) {
                load_answered(c);
                load_reopen(c, 0);

            } else {
                load_reopen(c, c->state != load_head || c->head_len);
            }

            return;
        }

        load_now = bench_now();
        load_result.bytes += n;
        load_result.reads++;

        rc = load_parse(c, data, data + n);

        if (rc == -1) {
            load_reopen(c, 1);
            return;
        }

        if (rc == 1) {
            load_answered(c);
            load_ask(c);
        }

        /* what is less than the room is all there was */

        if (n < LOAD_READ) {
            return;
        }
    }
}


/* 1: the answer is whole; 0: it is not; -1: it is none that we want */

static int
load_parse(load_connection_t *c, char *p, char *last)
{
    size_t  n;

    while (p < last) {

        switch (c->state) {

        case load_head:
            p = load_parse_head(c, p, last);

            if (p == NULL) {
                return -1;
            }

            if (c->state == load_length && c->left == 0) {
                return 1;
            }

            break;

        case load_length:
        case load_data:
            n = last - p;
            n = (n < c->left) ? n : c->left;

            load_text(c, p, p + n);

            p += n;
            c->left -= n;

            if (c->left == 0) {
                if (c->state == load_length) {
                    return 1;
                }

                c->state = load_data_crlf;
                c->left = 2;
            }

            break;

        case load_size:
        case load_size_lf:
            p = load_parse_size(c, p);
            break;

        case load_data_crlf:
            p++;

            if (--c->left == 0) {
                c->state = load_size;
                c->empty = 1;
            }

            break;

        case load_trailer:

            /* there is none: the empty line ends the answer */

            if (*p++ == '\n') {
                return 1;
            }

            break;

        case load_to_end:
            load_text(c, p, last);
            return 0;
        }
    }

    return 0;
}


static char *
load_parse_head(load_connection_t *c, char *p, char *last)
{
    char    *end, *field;
    size_t   n, before;

    before = c->head_len;
    n = last - p;
    n = (n < LOAD_HEAD - 1 - before) ? n : LOAD_HEAD - 1 - before;

    memcpy(c->head + before, p, n);
    c->head_len += n;
    c->head[c->head_len] = '\0';

    end = strstr(c->head, "\r\n\r\n");

    if (end == NULL) {
        return (c->head_len == LOAD_HEAD - 1) ? NULL : last;
    }

    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0) {
        if (load_result.errors == 0) {
            fprintf(stderr, "bench: not 200: %s\n", c->head);
        }

        return NULL;
    }

    end[2] = '\0';

    if ((field = strcasestr(c->head, "\r\ncontent-length:")) != NULL) {
        c->state = load_length;
        c->left = strtoul(field + 17, NULL, 10);

    } else if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
        c->state = load_size;
        c->left = 0;
        c->empty = 1;

    } else {
        c->state = load_to_end;
    }

    return p + (end + 4 - (c->head + before));
}


static char *
load_parse_size(load_connection_t *c, char *p)
{
    int  ch;

    ch = *p++;

    if (ch == '\n') {
        c->state = c->left ? load_data : load_trailer;

    } else if (c->state == load_size && ch != '\r') {
        if (c->empty) {
            c->left = 0;
            c->empty = 0;
        }

        c->left = c->left * 16
                  + (ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);

    } else {
        c->state = load_size_lf;
    }

    return p;
}


/* Looks for times; their digits may be cut anywhere. */

static void
load_text(load_connection_t *c, char *p, char *last)
{
    while (p < last) {

        if (c->digits == 0) {
            p = memchr(p, '@', last - p);

            if (p == NULL) {
                return;
            }

            p++;
            c->digits = 1;
            c->stamp = 0;
            continue;
        }

        if (*p < '0' || *p > '9') {
            c->digits = 0;
            continue;
        }

        c->stamp = c->stamp * 10 + (*p++ - '0');

        if (c->digits++ < BENCH_DIGITS) {
            continue;
        }

        c->digits = 0;

        /* a chunk that is said again, as Responses does at the end */

        if (c->stamp <= c->last) {
            continue;
        }

        c->last = c->stamp;
        load_result.chunks++;

        if (load_now > c->stamp) {
            bench_histogram_add(&load_result.chunk, load_now - c->stamp);
        }

        if (!c->seen) {
            c->seen = 1;
            load_result.seen++;
        }
    }
}


static void
load_answered(load_connection_t *c)
{
    load_result.requests++;
    bench_histogram_add(&load_result.whole, load_now - c->started);
}


/* The server is measured meanwhile; whoever does it closes our stdin. */

static void
load_hold(uint64_t until)
{
    char  ch;

    printf("holding\n");
    fflush(stdout);

    (void) alarm((until - bench_now()) / 1000000000 + 1);

    while (read(0, &ch, 1) > 0) { /* void */ }
}


static void
load_report(uint64_t ns)
{
    printf("{\"seconds\":%.3f,\"requests\":%llu,\"errors\":%llu,"
           "\"chunks\":%llu,\"bytes\":%llu,\"reads\":%llu",
           ns / 1e9, (unsigned long long) load_result.requests,
           (unsigned long long) load_result.errors,
           (unsigned long long) load_result.chunks,
           (unsigned long long) load_result.bytes,
           (unsigned long long) load_result.reads);

    load_report_times("request", &load_result.whole);
    load_report_times("chunk", &load_result.chunk);

    printf("}\n");
}


/* in microseconds */

static void
load_report_times(const char *name, bench_histogram_t *h)
{
    printf(",\"%s\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,"
           "\"max\":%.1f}", name, bench_histogram_at(h, 0.5) / 1e3,
           bench_histogram_at(h, 0.9) / 1e3, bench_histogram_at(h, 0.99) / 1e3,
           bench_histogram_at(h, 0.999) / 1e3, h->max / 1e3);
}
