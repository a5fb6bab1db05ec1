
/*
 * A provider that costs next to nothing: "mock PORT" on 127.0.0.1.  It reads
 * a question of any dialect, looks for the mark in it (bench.h), and answers
 * with that much text, whole or as a stream, paced or as fast as it is read.
 */


#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

#include "bench.h"


#define MOCK_EVENTS       512
#define MOCK_FILES        16384
#define MOCK_REQUEST_MIN  8192
#define MOCK_REQUEST_MAX  (8 * 1024 * 1024)
#define MOCK_FRAME        1024
#define MOCK_TEXT_MAX     (4 * 1024 * 1024)

/* of the wheel that paced streams turn on, in milliseconds */

#define MOCK_WHEEL        4096
#define MOCK_GAP_MAX      4000


typedef struct mock_connection_s  mock_connection_t;

/* the parts of a stream; what is between the first two comes many times */

typedef struct {
    const char               *suffix;
    const char               *whole[2];
    const char               *first;
    const char               *chunk[2];
    const char               *last;
} mock_dialect_t;


typedef struct {
    uint8_t                  *data;
    size_t                    pos;
    size_t                    len;
    size_t                    size;
} mock_buffer_t;


struct mock_connection_s {
    mock_buffer_t             in;
    mock_buffer_t             out;
    mock_dialect_t           *dialect;
    mock_connection_t        *next;
    mock_connection_t        *prev;
    size_t                    size;
    uint32_t                  chunks;
    uint32_t                  gap;
    int                       fd;
    unsigned                  streaming:1;
    unsigned                  waiting:1;
};


static int mock_listen(const char *port);
static void mock_loop(int listening);
static void mock_accept(int listening);
static void mock_event(mock_connection_t *c, uint32_t events);
static void mock_close(mock_connection_t *c);
static int mock_read(mock_connection_t *c);
static size_t mock_request(mock_connection_t *c);
static void mock_answer(mock_connection_t *c, char *head, char *body);
static void mock_whole(mock_connection_t *c);
static void mock_start(mock_connection_t *c);
static void mock_next(mock_connection_t *c);
static void mock_frame(mock_connection_t *c, const char *text, size_t len);
static int mock_write(mock_connection_t *c);
static void mock_queue(mock_connection_t *c, mock_connection_t *queue);
static void mock_unqueue(mock_connection_t *c);
static uint8_t *mock_reserve(mock_buffer_t *b, size_t len);
static void mock_append(mock_buffer_t *b, const char *text, size_t len);


static mock_dialect_t  mock_dialects[] = {

    { "/chat/completions",

      { "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\","
        "\"created\":1780000000,\"model\":\"bench\",\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"",

        "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":9,"
        "\"total_tokens\":21}}" },

      "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
      "\"created\":1780000000,\"model\":\"bench\",\"choices\":[{\"index\":0,"
      "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
      "\"finish_reason\":null}]}\n\n",

      { "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
        "\"created\":1780000000,\"model\":\"bench\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"content\":\"",

        "\"},\"finish_reason\":null}]}\n\n" },

      "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
      "\"created\":1780000000,\"model\":\"bench\",\"choices\":[{\"index\":0,"
      "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
      "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\","
      "\"created\":1780000000,\"model\":\"bench\",\"choices\":[],\"usage\":"
      "{\"prompt_tokens\":12,\"completion_tokens\":9,\"total_tokens\":21}}\n\n"
      "data: [DONE]\n\n" },

    { "/messages",

      { "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"bench\",\"content\":[{\"type\":\"text\",\"text\":\"",

        "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
        "\"usage\":{\"input_tokens\":12,\"output_tokens\":9}}" },

      "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
      "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\","
      "\"model\":\"bench\",\"content\":[],\"stop_reason\":null,"
      "\"stop_sequence\":null,\"usage\":{\"input_tokens\":12,"
      "\"output_tokens\":1}}}\n\n"
      "event: content_block_start\ndata: {\"type\":\"content_block_start\","
      "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",

      { "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"",

        "\"}}\n\n" },

      "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
      "\"index\":0}\n\n"
      "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
      "{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
      "\"usage\":{\"output_tokens\":9}}\n\n"
      "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n" },

    { "/responses",

      { "{\"id\":\"resp_bench\",\"object\":\"response\","
        "\"created_at\":1780000000,\"status\":\"completed\",\"error\":null,"
        "\"model\":\"bench\",\"output\":[{\"type\":\"message\","
        "\"id\":\"msg_bench\",\"status\":\"completed\",\"role\":\"assistant\","
        "\"content\":[{\"type\":\"output_text\",\"annotations\":[],"
        "\"text\":\"",

        "\"}]}],\"usage\":{\"input_tokens\":12,\"output_tokens\":9,"
        "\"total_tokens\":21}}" },

      "event: response.created\ndata: {\"type\":\"response.created\","
      "\"sequence_number\":0,\"response\":{\"id\":\"resp_bench\","
      "\"object\":\"response\",\"created_at\":1780000000,"
      "\"status\":\"in_progress\",\"model\":\"bench\",\"output\":[]}}\n\n"
      "event: response.output_item.added\n"
      "data: {\"type\":\"response.output_item.added\",\"sequence_number\":1,"
      "\"output_index\":0,\"item\":{\"id\":\"msg_bench\",\"type\":\"message\","
      "\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n"
      "event: response.content_part.added\n"
      "data: {\"type\":\"response.content_part.added\",\"sequence_number\":2,"
      "\"item_id\":\"msg_bench\",\"output_index\":0,\"content_index\":0,"
      "\"part\":{\"type\":\"output_text\",\"annotations\":[],"
      "\"text\":\"\"}}\n\n",

      { "event: response.output_text.delta\n"
        "data: {\"type\":\"response.output_text.delta\","
        "\"sequence_number\":3,\"item_id\":\"msg_bench\",\"output_index\":0,"
        "\"content_index\":0,\"delta\":\"",

        "\"}\n\n" },

      "event: response.completed\ndata: {\"type\":\"response.completed\","
      "\"sequence_number\":4,\"response\":{\"id\":\"resp_bench\","
      "\"object\":\"response\",\"created_at\":1780000000,"
      "\"status\":\"completed\",\"model\":\"bench\",\"output\":[],"
      "\"usage\":{\"input_tokens\":12,\"output_tokens\":9,"
      "\"total_tokens\":21}}}\n\n" },

    { "enerateContent",

      { "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"",

        "\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
        "\"usageMetadata\":{\"promptTokenCount\":12,"
        "\"candidatesTokenCount\":9,\"totalTokenCount\":21},"
        "\"modelVersion\":\"bench\",\"responseId\":\"bench\"}" },

      "",

      { "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"",

        "\"}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":"
        "{\"promptTokenCount\":12,\"totalTokenCount\":21},"
        "\"modelVersion\":\"bench\",\"responseId\":\"bench\"}\r\n\r\n" },

      "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],"
      "\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
      "\"usageMetadata\":{\"promptTokenCount\":12,\"candidatesTokenCount\":9,"
      "\"totalTokenCount\":21},\"modelVersion\":\"bench\","
      "\"responseId\":\"bench\"}\r\n\r\n" },
};


static const char  mock_words[] =
    "the quick answer of a model that writes on and on as if it were paid ";

static char        *mock_text;
static int          mock_epoll;
static uint64_t     mock_tick;
static size_t       mock_paced;
static int          mock_awake;     /* only for what is paced */

/* heads of rings: streams that go as fast as they are read, and a wheel */

static mock_connection_t  mock_ready;
static mock_connection_t  mock_wheel[MOCK_WHEEL];


int
main(int argc, char **argv)
{
    size_t  i;

    if (argc != 2) {
        fprintf(stderr, "usage: mock PORT\n");
        return 2;
    }

    /* whoever started us may be killed */

    (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void) signal(SIGPIPE, SIG_IGN);

    bench_open_files(MOCK_FILES);

    mock_text = malloc(MOCK_TEXT_MAX);
    if (mock_text == NULL) {
        bench_fail("malloc()");
    }

    for (i = 0; i < MOCK_TEXT_MAX; i++) {
        mock_text[i] = mock_words[i % (sizeof(mock_words) - 1)];
    }

    mock_ready.next = mock_ready.prev = &mock_ready;

    for (i = 0; i < MOCK_WHEEL; i++) {
        mock_wheel[i].next = mock_wheel[i].prev = &mock_wheel[i];
    }

    mock_loop(mock_listen(argv[1]));

    return 0;
}


static int
mock_listen(const char *port)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    on = 1;
    memset(&sin, 0, sizeof(struct sockaddr_in));

    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons(atoi(port));

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(int)) == -1
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 4096) == -1)
    {
        bench_fail("listen()");
    }

    return fd;
}


static void
mock_loop(int listening)
{
    int                 i, n, timeout;
    uint64_t            now;
    mock_connection_t  *c, *queue, *next;
    struct epoll_event  ev, events[MOCK_EVENTS];

    mock_epoll = epoll_create1(0);

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;

    if (mock_epoll == -1
        || epoll_ctl(mock_epoll, EPOLL_CTL_ADD, listening, &ev) == -1)
    {
        bench_fail("epoll");
    }

    mock_tick = bench_now() / 1000000;

    for ( ;; ) {
        timeout = (mock_ready.next != &mock_ready) ? 0 : mock_paced ? 1 : -1;

        if (mock_awake != (mock_paced != 0)) {
            mock_awake = (mock_paced != 0);
            bench_first_cpu(mock_awake);
        }

        n = mock_awake
            ? bench_wait_awake(mock_epoll, events, MOCK_EVENTS, timeout)
            : epoll_wait(mock_epoll, events, MOCK_EVENTS, timeout);

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                mock_accept(listening);

            } else {
                mock_event(events[i].data.ptr, events[i].events);
            }
        }

        /* one chunk of each, then the events again */

        for (c = mock_ready.next; c != &mock_ready; c = next) {
            next = c->next;
            mock_next(c);
        }

        now = bench_now() / 1000000;

        if (!mock_paced) {
            mock_tick = now;
        }

        for ( /* void */ ; mock_tick < now; mock_tick++) {
            queue = &mock_wheel[mock_tick % MOCK_WHEEL];

            /* the gap is less than a turn: none comes back to this queue */

            while (queue->next != queue) {
                mock_next(queue->next);
            }
        }
    }
}


static void
mock_accept(int listening)
{
    int                 fd;
    mock_connection_t  *c;
    struct epoll_event  ev;

    for ( ;; ) {
        fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);

        if (fd == -1) {
            return;
        }

        c = calloc(1, sizeof(mock_connection_t));
        if (c == NULL) {
            bench_fail("calloc()");
        }

        c->fd = fd;
        (void) bench_nodelay(fd);

        ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        ev.data.ptr = c;

        if (epoll_ctl(mock_epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
            bench_fail("epoll_ctl()");
        }
    }
}


/* Edges: what is not read or written now is when there is another event. */

static void
mock_event(mock_connection_t *c, uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR)) {
        mock_close(c);
        return;
    }

    if ((events & EPOLLOUT) && c->waiting) {
        if (mock_write(c) == -1) {
            mock_close(c);
            return;
        }

        if (!c->waiting && c->streaming && !c->gap) {
            mock_next(c);
        }
    }

    if ((events & EPOLLIN) && mock_read(c) == -1) {
        mock_close(c);
    }
}


static void
mock_close(mock_connection_t *c)
{
    mock_unqueue(c);
    (void) close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}


static int
mock_read(mock_connection_t *c)
{
    size_t   used;
    ssize_t  n;

    for ( ;; ) {
        if (c->in.len >= MOCK_REQUEST_MAX) {
            return -1;
        }

        (void) mock_reserve(&c->in, MOCK_REQUEST_MIN);

        n = recv(c->fd, c->in.data + c->in.len, c->in.size - c->in.len - 1,
                 0);

        if (n == -1) {
            return (errno == EAGAIN || errno == EINTR) ? 0 : -1;
        }

        if (n == 0) {
            return -1;
        }

        c->in.len += n;
        c->in.data[c->in.len] = '\0';

        used = mock_request(c);

        if (used) {

            /* nobody sends the next question before the answer */

            c->in.len = 0;

            if (!c->streaming && !c->waiting && mock_write(c) == -1) {
                return -1;
            }
        }
    }
}


/* The size of a whole request that was answered, or 0. */

static size_t
mock_request(mock_connection_t *c)
{
    char    *end, *length, *head;
    size_t   size, body;

    head = (char *) c->in.data;
    end = strstr(head, "\r\n\r\n");

    if (end == NULL) {
        return 0;
    }

    *end = '\0';
    length = strcasestr(head, "\r\ncontent-length:");
    *end = '\r';

    size = end + 4 - head;
    body = length ? strtoul(length + 17, NULL, 10) : 0;

    if (c->in.len < size + body) {
        (void) mock_reserve(&c->in, size + body - c->in.len + 1);
        return 0;
    }

    *strchr(head, '\r') = '\0';

    mock_answer(c, head, (char *) c->in.data + size);

    return size + body;
}


static void
mock_answer(mock_connection_t *c, char *head, char *body)
{
    char    *mark;
    size_t   i;

    c->dialect = NULL;

    for (i = 0; i < sizeof(mock_dialects) / sizeof(mock_dialect_t); i++) {
        if (strstr(head, mock_dialects[i].suffix)) {
            c->dialect = &mock_dialects[i];
        }
    }

    mark = strstr(body, BENCH_MARK);

    if (c->dialect == NULL || mark == NULL) {
        mock_append(&c->out, "HTTP/1.1 404 Not Found\r\n"
                             "Content-Length: 0\r\n\r\n", 45);
        return;
    }

    c->size = strtoul(mark + sizeof(BENCH_MARK) - 1, &mark, 10);
    c->chunks = (*mark == ':') ? strtoul(mark + 1, &mark, 10) : 0;
    c->gap = (*mark == ':') ? strtoul(mark + 1, &mark, 10) : 0;

    if (c->size > MOCK_TEXT_MAX) {
        c->size = MOCK_TEXT_MAX;
    }

    if (c->gap > MOCK_GAP_MAX) {
        c->gap = MOCK_GAP_MAX;
    }

    if (c->chunks) {
        mock_start(c);

    } else {
        mock_whole(c);
    }
}


static void
mock_whole(mock_connection_t *c)
{
    int          n;
    char         head[256];
    const char **whole;

    whole = c->dialect->whole;

    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 200 OK\r\n"
                 "Content-Type: application/json\r\n"
                 "Content-Length: %zu\r\n"
                 "Connection: keep-alive\r\n\r\n",
                 strlen(whole[0]) + c->size + strlen(whole[1]));

    mock_append(&c->out, head, n);
    mock_append(&c->out, whole[0], strlen(whole[0]));
    mock_append(&c->out, mock_text, c->size);
    mock_append(&c->out, whole[1], strlen(whole[1]));
}


static void
mock_start(mock_connection_t *c)
{
    static const char  head[] =
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: text/event-stream; charset=utf-8\r\n"
        "Transfer-Encoding: chunked\r\n"
        "Connection: keep-alive\r\n\r\n";

    c->streaming = 1;

    mock_append(&c->out, head, sizeof(head) - 1);

    if (c->dialect->first[0]) {
        mock_frame(c, c->dialect->first, strlen(c->dialect->first));
    }

    mock_next(c);
}


/* Sends one more chunk, or the end, and says when the next one comes. */

static void
mock_next(mock_connection_t *c)
{
    int    n;
    char   frame[MOCK_FRAME], *text;
    size_t size;

    mock_unqueue(c);

    if (c->chunks) {
        c->chunks--;

        size = strlen(c->dialect->chunk[0]) + strlen(c->dialect->chunk[1])
               + BENCH_DIGITS + 3 + c->size;
        text = (size <= sizeof(frame)) ? frame : malloc(size);

        if (text == NULL) {
            bench_fail("malloc()");
        }

        n = snprintf(text, size, "%s@%0*llu %.*s%s", c->dialect->chunk[0],
                     BENCH_DIGITS, (unsigned long long) bench_now(),
                     (int) c->size, mock_text, c->dialect->chunk[1]);

        mock_frame(c, text, n);

        if (text != frame) {
            free(text);
        }

    } else {
        mock_frame(c, c->dialect->last, strlen(c->dialect->last));
        mock_append(&c->out, "0\r\n\r\n", 5);
        c->streaming = 0;
    }

    /* a client that has left is closed by the event that says so */

    if (mock_write(c) == -1) {
        return;
    }

    if (c->streaming && c->gap) {
        mock_queue(c, &mock_wheel[(mock_tick + c->gap) % MOCK_WHEEL]);
        mock_paced++;

    } else if (c->streaming && !c->waiting) {
        mock_queue(c, &mock_ready);
    }
}


/* A chunk of HTTP for each event, as providers do. */

static void
mock_frame(mock_connection_t *c, const char *text, size_t len)
{
    int   n;
    char  size[24];

    n = snprintf(size, sizeof(size), "%zx\r\n", len);

    mock_append(&c->out, size, n);
    mock_append(&c->out, text, len);
    mock_append(&c->out, "\r\n", 2);
}


static int
mock_write(mock_connection_t *c)
{
    ssize_t  n;

    c->waiting = 0;

    while (c->out.pos < c->out.len) {
        n = send(c->fd, c->out.data + c->out.pos, c->out.len - c->out.pos, 0);

        if (n == -1) {
            c->waiting = (errno == EAGAIN);
            return c->waiting ? 0 : -1;
        }

        c->out.pos += n;
    }

    c->out.pos = 0;
    c->out.len = 0;

    return 0;
}


static void
mock_queue(mock_connection_t *c, mock_connection_t *queue)
{
    c->prev = queue->prev;
    c->next = queue;
    c->prev->next = c;
    queue->prev = c;
}


static void
mock_unqueue(mock_connection_t *c)
{
    if (c->next == NULL) {
        return;
    }

    if (c->gap) {
        mock_paced--;
    }

    c->prev->next = c->next;
    c->next->prev = c->prev;
    c->next = NULL;
}


static uint8_t *
mock_reserve(mock_buffer_t *b, size_t len)
{
    if (b->size - b->len < len) {
        b->size = b->len + len + b->len / 2;
        b->data = realloc(b->data, b->size);

        if (b->data == NULL) {
            bench_fail("realloc()");
        }
    }

    return b->data + b->len;
}


static void
mock_append(mock_buffer_t *b, const char *text, size_t len)
{
    memcpy(mock_reserve(b, len), text, len);
    b->len += len;
}
