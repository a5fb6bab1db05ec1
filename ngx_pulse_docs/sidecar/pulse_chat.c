
#include <curl/curl.h>
#include <pthread.h>
#include "pulse_chat.h"
#include "pulse_log.h"
#include "pulse_worker.h"


#define PULSE_CHAT_URL      "http://studio/v1/chat/complete"
#define PULSE_CHAT_MAX      64          /* under way */
#define PULSE_CHAT_CONNECT  2000L       /* ms */
#define PULSE_CHAT_POLL     1000


typedef struct {
    const char       *socket;           /* NULL: there is no gateway */
    CURLM            *multi;
    pthread_t         thread;
    pthread_mutex_t   mutex;
    pulse_chat_t     *queue;            /* to be begun, under the mutex */
    pulse_chat_t     *active;           /* of the thread */
    ngx_uint_t        n;                /* in both, under the mutex */
    unsigned          running:1;        /* under the mutex */
} pulse_chat_asker_t;


static void *pulse_chat_run(void *arg);
static void pulse_chat_begin(void);
static ngx_int_t pulse_chat_prepare(pulse_chat_t *chat);
static ngx_int_t pulse_chat_headers(pulse_chat_t *chat);
static ngx_int_t pulse_chat_header(pulse_chat_t *chat, const char *name,
    const char *value);
static size_t pulse_chat_write(char *data, size_t size, size_t n, void *ctx);
static void pulse_chat_ended(void);
static void pulse_chat_read(pulse_chat_t *chat);
static void pulse_chat_copy(pulse_chat_t *chat, const char *name, char *text);
static void pulse_chat_end(pulse_chat_t *chat);


static pulse_chat_asker_t  pulse_chat = {
    .mutex = PTHREAD_MUTEX_INITIALIZER
};


int
pulse_chat_start(const char *socket)
{
    int  rc;

    if (socket == NULL) {
        return 0;
    }

    pulse_chat.multi = curl_multi_init();

    if (pulse_chat.multi == NULL) {
        return ENOMEM;
    }

    pulse_chat.socket = socket;
    pulse_chat.running = 1;

    rc = pthread_create(&pulse_chat.thread, NULL, pulse_chat_run, NULL);

    if (rc != 0) {
        pulse_chat.running = 0;
    }

    return rc;
}


void
pulse_chat_stop(void)
{
    unsigned  running;

    pthread_mutex_lock(&pulse_chat.mutex);

    running = pulse_chat.running;
    pulse_chat.running = 0;

    pthread_mutex_unlock(&pulse_chat.mutex);

    if (running) {
        curl_multi_wakeup(pulse_chat.multi);
        pthread_join(pulse_chat.thread, NULL);
        curl_multi_cleanup(pulse_chat.multi);
    }
}


ngx_uint_t
pulse_chat_possible(void)
{
    return pulse_chat.socket != NULL;
}


void
pulse_chat_send(pulse_http_request_t *r)
{
    ngx_uint_t     taken;
    pulse_chat_t  *chat;

    chat = r->chat;
    r->chat = NULL;

    chat->request = r;
    chat->status = 0;

    pthread_mutex_lock(&pulse_chat.mutex);

    taken = (pulse_chat.running && pulse_chat.n < PULSE_CHAT_MAX);

    if (taken) {
        chat->next = pulse_chat.queue;
        pulse_chat.queue = chat;
        pulse_chat.n++;

        /* under the mutex: the thread is there as long as it runs */

        curl_multi_wakeup(pulse_chat.multi);
    }

    pthread_mutex_unlock(&pulse_chat.mutex);

    if (!taken) {
        r->handler = chat->handler;
        pulse_worker_again(r);
    }
}


static void *
pulse_chat_run(void *arg)
{
    int       n;
    unsigned  running;

    do {
        pulse_chat_begin();

        (void) curl_multi_perform(pulse_chat.multi, &n);

        pulse_chat_ended();

        (void) curl_multi_poll(pulse_chat.multi, NULL, 0, PULSE_CHAT_POLL,
                               NULL);

        pthread_mutex_lock(&pulse_chat.mutex);
        running = pulse_chat.running;
        pthread_mutex_unlock(&pulse_chat.mutex);

    } while (running);

    /* what has not begun begins, so that all ends in one way */

    pulse_chat_begin();

    while (pulse_chat.active) {
        pulse_chat_end(pulse_chat.active);
    }

    return NULL;
}


static void
pulse_chat_begin(void)
{
    pulse_chat_t  *chat, *next;

    pthread_mutex_lock(&pulse_chat.mutex);

    chat = pulse_chat.queue;
    pulse_chat.queue = NULL;

    pthread_mutex_unlock(&pulse_chat.mutex);

    for ( /* void */ ; chat; chat = next) {
        next = chat->next;

        chat->next = pulse_chat.active;
        pulse_chat.active = chat;

        if (pulse_chat_prepare(chat) != NGX_OK) {
            pulse_log(PULSE_LOG_ERR, "pulse chat: no memory");
            pulse_chat_end(chat);
        }
    }
}


static ngx_int_t
pulse_chat_prepare(pulse_chat_t *chat)
{
    CURL  *easy;

    easy = curl_easy_init();
    chat->easy = easy;

    if (easy == NULL || pulse_chat_headers(chat) != NGX_OK) {
        return NGX_ERROR;
    }

    chat->answer.len = 0;

    if (curl_easy_setopt(easy, CURLOPT_URL, PULSE_CHAT_URL) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
                            pulse_chat.socket) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            PULSE_CHAT_CONNECT) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, chat->timeout)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, chat->headers)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_POSTFIELDS, chat->body.data)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE,
                            (long) chat->body.len) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, pulse_chat_write)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_WRITEDATA, chat) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_PRIVATE, chat) != CURLE_OK
        || curl_multi_add_handle(pulse_chat.multi, easy) != CURLM_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_chat_headers(pulse_chat_t *chat)
{
    ngx_str_t  token, trace, parent;

    token = pulse_http_header(chat->request, "X-Pulse-Token");
    trace = pulse_http_header(chat->request, "X-Trace-ID");
    parent = pulse_http_header(chat->request, "Traceparent");

    return (pulse_chat_header(chat, "Content-Type", "application/json")
            == NGX_OK
            && pulse_chat_header(chat, "Authorization: Bearer",
                                 (char *) token.data) == NGX_OK
            && pulse_chat_header(chat, "X-Request-ID", (char *) trace.data)
               == NGX_OK
            && pulse_chat_header(chat, "Traceparent", (char *) parent.data)
               == NGX_OK
            && pulse_chat_header(chat, "Idempotency-Key", chat->key)
               == NGX_OK)
           ? NGX_OK : NGX_ERROR;
}


/* One that is empty is left out. */

static ngx_int_t
pulse_chat_header(pulse_chat_t *chat, const char *name, const char *value)
{
    char               *line;
    struct curl_slist  *list;

    if (value == NULL || value[0] == '\0') {
        return NGX_OK;
    }

    if (asprintf(&line, "%s%s %s", name, strchr(name, ':') ? "" : ":", value)
        == -1)
    {
        return NGX_ERROR;
    }

    list = curl_slist_append(chat->headers, line);

    free(line);

    if (list == NULL) {
        return NGX_ERROR;
    }

    chat->headers = list;

    return NGX_OK;
}


static size_t
pulse_chat_write(char *data, size_t size, size_t n, void *ctx)
{
    pulse_chat_t *chat = ctx;

    ngx_pulse_buf_append(&chat->answer, (u_char *) data, size * n);

    return chat->answer.failed ? 0 : size * n;
}


static void
pulse_chat_ended(void)
{
    int            n;
    CURLMsg       *message;
    pulse_chat_t  *chat;

    for ( ;; ) {
        message = curl_multi_info_read(pulse_chat.multi, &n);

        if (message == NULL) {
            return;
        }

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &chat);

        if (message->data.result == CURLE_OK) {
            pulse_chat_read(chat);

        } else {
            pulse_log(PULSE_LOG_ERR, "pulse chat: the gateway at \"%s\": %s",
                      pulse_chat.socket,
                      curl_easy_strerror(message->data.result));
        }

        pulse_chat_end(chat);
    }
}


static void
pulse_chat_read(pulse_chat_t *chat)
{
    curl_easy_getinfo(chat->easy, CURLINFO_RESPONSE_CODE, &chat->status);

    pulse_chat_copy(chat, "Retry-After", chat->retry_after);
    pulse_chat_copy(chat, "X-Usage-Tokens", chat->tokens);
    pulse_chat_copy(chat, "X-Usage-Warning", chat->warning);
}


static void
pulse_chat_copy(pulse_chat_t *chat, const char *name, char *text)
{
    struct curl_header  *header;

    text[0] = '\0';

    if (curl_easy_header(chat->easy, name, 0, CURLH_HEADER, -1, &header)
        == CURLHE_OK)
    {
        snprintf(text, PULSE_CHAT_HEADER, "%s", header->value);
    }
}


static void
pulse_chat_end(pulse_chat_t *chat)
{
    pulse_chat_t          **p;
    pulse_http_request_t   *r;

    for (p = &pulse_chat.active; *p != chat; p = &(*p)->next) { /* void */ }

    *p = chat->next;

    if (chat->easy) {
        (void) curl_multi_remove_handle(pulse_chat.multi, chat->easy);
        curl_easy_cleanup(chat->easy);
        chat->easy = NULL;
    }

    curl_slist_free_all(chat->headers);
    chat->headers = NULL;

    pthread_mutex_lock(&pulse_chat.mutex);
    pulse_chat.n--;
    pthread_mutex_unlock(&pulse_chat.mutex);

    /* the request is a worker's from here on, and "chat" with it */

    r = chat->request;
    r->handler = chat->handler;

    pulse_worker_again(r);
}
