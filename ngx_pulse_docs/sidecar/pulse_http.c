
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "ngx_pulse_id.h"
#include "pulse_chat.h"
#include "pulse_http.h"
#include "pulse_image.h"
#include "pulse_log.h"
#include "pulse_pacer.h"
#include "pulse_parts.h"
#include "pulse_reply.h"
#include "pulse_watch.h"
#include "pulse_worker.h"


#define PULSE_HTTP_BACKLOG      511
#define PULSE_HTTP_CONNECTIONS  4096
#define PULSE_HTTP_IDLE         75          /* seconds, as nginx keeps them */
#define PULSE_HTTP_POOL         4096
#define PULSE_HTTP_LAST         200         /* looks at what is not sent yet */
#define PULSE_HTTP_LOOK         10000       /* microseconds between them */


static int pulse_http_listen(const char *path);
static enum MHD_Result pulse_http_access(void *cls,
    struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *size, void **con_cls);
static pulse_http_request_t *pulse_http_create(
    struct MHD_Connection *connection, pulse_http_route_t *routes,
    const char *method, const char *path);
static void pulse_http_find(pulse_http_request_t *r,
    pulse_http_route_t *routes, const char *method, const char *path);
static ngx_uint_t pulse_http_match(pulse_http_request_t *r,
    const char *pattern, const char *path);
static enum MHD_Result pulse_http_work(pulse_http_request_t *r);
static enum MHD_Result pulse_http_not_found(pulse_http_request_t *r);
static enum MHD_Result pulse_http_not_allowed(pulse_http_request_t *r);
static void pulse_http_tell(struct MHD_Response *response, const char *name,
    const char *value);
static void pulse_http_completed(void *cls, struct MHD_Connection *connection,
    void **con_cls, enum MHD_RequestTerminationCode code);


/* requests that a worker was given and whose answers have not gone out */

static atomic_uint  pulse_http_owed;


struct MHD_Daemon *
pulse_http_start(const char *path, unsigned threads,
    pulse_http_route_t *routes)
{
    int                 fd;
    struct MHD_Daemon  *daemon;

    fd = pulse_http_listen(path);
    if (fd == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: cannot listen on \"%s\": %s",
                  path, strerror(errno));
        return NULL;
    }

    daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD
                              |MHD_ALLOW_SUSPEND_RESUME,
                              0, NULL, NULL, pulse_http_access, routes,
                              MHD_OPTION_LISTEN_SOCKET, fd,
                              MHD_OPTION_THREAD_POOL_SIZE, threads,
                              MHD_OPTION_CONNECTION_LIMIT,
                                  (unsigned) PULSE_HTTP_CONNECTIONS,
                              MHD_OPTION_CONNECTION_TIMEOUT,
                                  (unsigned) PULSE_HTTP_IDLE,
                              MHD_OPTION_NOTIFY_COMPLETED,
                                  pulse_http_completed, NULL,
                              MHD_OPTION_END);
    if (daemon == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse sidecar: cannot start its threads");
        close(fd);
        unlink(path);
    }

    return daemon;
}


void
pulse_http_stop(struct MHD_Daemon *daemon, const char *path)
{
    ngx_uint_t  i;

    /* a suspended connection would never end */

    pulse_pacer_stop();
    pulse_watch_stop();
    pulse_chat_stop();
    pulse_image_stop();
    pulse_worker_stop();

    /* what was made, and charged, is to arrive: this closes connections with
     * answers that wait in them; who reads too slowly is not waited for */

    for (i = 0; i < PULSE_HTTP_LAST && atomic_load(&pulse_http_owed); i++) {
        usleep(PULSE_HTTP_LOOK);
    }

    MHD_stop_daemon(daemon);

    unlink(path);
}


static int
pulse_http_listen(const char *path)
{
    int                 fd, saved;
    struct stat         sb;
    struct sockaddr_un  addr;

    memset(&addr, 0, sizeof(addr));

    if (strlen(path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    addr.sun_family = AF_UNIX;
    strcpy(addr.sun_path, path);

    /* what a sidecar left behind is replaced, and nothing else */

    if (lstat(path, &sb) == 0 && !S_ISSOCK(sb.st_mode)) {
        errno = ENOTSOCK;
        return -1;
    }

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return -1;
    }

    /* one that answers is another sidecar's and is left alone */

    if (connect(fd, (struct sockaddr *) &addr, sizeof(addr)) == 0) {
        close(fd);
        errno = EADDRINUSE;
        return -1;
    }

    if ((unlink(path) == 0 || errno == ENOENT)
        && bind(fd, (struct sockaddr *) &addr, sizeof(addr)) == 0
        && chmod(path, 0660) == 0
        && listen(fd, PULSE_HTTP_BACKLOG) == 0)
    {
        return fd;
    }

    saved = errno;
    close(fd);
    errno = saved;

    return -1;
}


/* called once with the header, then with each piece of the body, then again
 * when it is whole */

static enum MHD_Result
pulse_http_access(void *cls, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version,
    const char *data, size_t *size, void **con_cls)
{
    pulse_http_request_t  *r;

    r = *con_cls;

    if (r == NULL) {
        r = pulse_http_create(connection, cls, method, url);
        *con_cls = r;
        return r ? MHD_YES : MHD_NO;
    }

    if (*size && r->parts) {
        pulse_parts_feed(r->parts, (u_char *) data, *size);

        *size = 0;
        return MHD_YES;
    }

    if (*size) {
        ngx_pulse_buf_append(&r->body, (u_char *) data, *size);

        if (r->body.failed) {
            ngx_pulse_buf_free(&r->body);
            r->too_large = 1;
        }

        *size = 0;
        return MHD_YES;
    }

    if (r->done) {
        return r->response ? pulse_http_queue(r, r->status, r->response)
                           : MHD_NO;
    }

    if (r->too_large) {

        if (r->studio) {
            return pulse_reply_error(r, pulse_reply_too_large, NULL);
        }

        return pulse_http_error(r, MHD_HTTP_CONTENT_TOO_LARGE,
                                "invalid_request_error", NULL, NULL,
                                "The request is too large.");
    }

    if (!r->work) {
        return r->handler(r);
    }

    /* all that works is somebody's, and nginx says whose, but for what
     * providers tell, which proves itself */

    if (r->user.len == 0 && r->work != PULSE_WORKER_WEBHOOKS) {
        return pulse_reply_error(r, pulse_reply_not_found, NULL);
    }

    return pulse_http_work(r);
}


/* Suspended before a worker can take it up again: this thread goes on with
 * its other connections. */

static enum MHD_Result
pulse_http_work(pulse_http_request_t *r)
{
    MHD_suspend_connection(r->connection);

    r->suspended = 1;
    r->owed = 1;

    (void) atomic_fetch_add(&pulse_http_owed, 1);

    if (pulse_worker_add(r) != NGX_OK) {
        pulse_http_resume(r, pulse_reply_error(r, pulse_reply_busy, NULL));
    }

    return MHD_YES;
}


void
pulse_http_resume(pulse_http_request_t *r, enum MHD_Result rc)
{
    /* without a response the connection is closed: there was no memory */

    r->done = 1;
    r->suspended = 0;

    MHD_resume_connection(r->connection);
}


static pulse_http_request_t *
pulse_http_create(struct MHD_Connection *connection,
    pulse_http_route_t *routes, const char *method, const char *path)
{
    ngx_pool_t            *pool;
    pulse_http_request_t  *r;

    pool = ngx_create_pool(PULSE_HTTP_POOL, NULL);
    if (pool == NULL) {
        return NULL;
    }

    r = ngx_pcalloc(pool, sizeof(pulse_http_request_t));

    if (r == NULL
        || ngx_pulse_buf_init_pool(&r->body, PULSE_HTTP_MAX_BODY, pool)
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    r->connection = connection;
    r->pool = pool;

    /* it lives as long as its connection's header */

    r->path = path;

    pulse_http_find(r, routes, method, path);
    pulse_reply_identity(r);

    if (r->form && pulse_parts_begin(r) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return r;
}


static void
pulse_http_find(pulse_http_request_t *r, pulse_http_route_t *routes,
    const char *method, const char *path)
{
    size_t               len;
    pulse_http_route_t  *route;

    r->handler = pulse_http_not_found;
    r->studio = (strncmp(path, "/demo/", 6) != 0);

    for (route = routes; route->path; route++) {

        if (!pulse_http_match(r, route->path, path)) {
            continue;
        }

        if (strcmp(route->method, method) == 0) {
            r->handler = route->handler;
            r->work = route->work;
            r->once = ((route->takes & PULSE_HTTP_ONCE) != 0);
            r->form = ((route->takes & PULSE_HTTP_PARTS) != 0);
            r->studio &= ((route->takes & PULSE_HTTP_OPENAI) == 0);
            return;
        }

        r->handler = pulse_http_not_allowed;

        len = strlen(r->allow);

        snprintf(r->allow + len, sizeof(r->allow) - len, "%s%s",
                 len ? ", " : "", route->method);
    }
}


static ngx_uint_t
pulse_http_match(pulse_http_request_t *r, const char *pattern,
    const char *path)
{
    size_t       prefix;
    ngx_str_t    id;
    const char  *p;

    p = strstr(pattern, "{id}");

    if (p == NULL) {
        return strcmp(pattern, path) == 0;
    }

    prefix = p - pattern;
    p += sizeof("{id}") - 1;

    if (strncmp(pattern, path, prefix) != 0
        || strlen(path) != prefix + 36 + strlen(p)
        || strcmp(path + prefix + 36, p) != 0)
    {
        return 0;
    }

    id.data = (u_char *) path + prefix;
    id.len = 36;

    if (!ngx_pulse_uuid_valid(&id)) {
        return 0;
    }

    r->id = id;

    return 1;
}


static enum MHD_Result
pulse_http_not_found(pulse_http_request_t *r)
{
    if (r->studio) {
        return pulse_reply_error(r, pulse_reply_not_found, NULL);
    }

    return pulse_http_error(r, MHD_HTTP_NOT_FOUND, "invalid_request_error",
                            NULL, NULL, "There is nothing here.");
}


static enum MHD_Result
pulse_http_not_allowed(pulse_http_request_t *r)
{
    if (r->studio) {
        return pulse_reply_error(r, pulse_reply_not_allowed, NULL);
    }

    return pulse_http_error(r, MHD_HTTP_METHOD_NOT_ALLOWED,
                            "invalid_request_error", NULL, NULL,
                            "The method is not allowed here.");
}


enum MHD_Result
pulse_http_reply(pulse_http_request_t *r, unsigned status, ngx_pulse_buf_t *b)
{
    struct MHD_Response  *response;

    response = pulse_http_response(b);

    return response ? pulse_http_queue(r, status, response) : MHD_NO;
}


struct MHD_Response *
pulse_http_response(ngx_pulse_buf_t *b)
{
    struct MHD_Response  *response;

    if (b->failed) {
        ngx_pulse_buf_free(b);
        return NULL;
    }

    /* from here on the bytes are the response's */

    response = MHD_create_response_from_buffer(b->len, b->data,
                                               MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        ngx_pulse_buf_free(b);
        return NULL;
    }

    b->data = NULL;
    ngx_pulse_buf_free(b);

    MHD_add_response_header(response, "Content-Type", "application/json");

    return response;
}


enum MHD_Result
pulse_http_queue(pulse_http_request_t *r, unsigned status,
    struct MHD_Response *response)
{
    enum MHD_Result  rc;

    pulse_http_tell(response, "X-Usage-Tokens", r->tokens);
    pulse_http_tell(response, "X-Usage-Images", r->images);
    pulse_http_tell(response, "X-Usage-Videos", r->videos);
    pulse_http_tell(response, "X-Usage-Warning", r->warning);
    pulse_http_tell(response, "X-Pulse-Moderated", r->moderated);

    if (r->suspended) {

        /* a worker's: the connection is another thread's */

        r->response = response;
        r->status = status;

        return MHD_YES;
    }

    rc = MHD_queue_response(r->connection, status, response);

    MHD_destroy_response(response);
    r->response = NULL;

    return rc;
}


void
pulse_http_discard(pulse_http_request_t *r)
{
    if (r->response) {
        MHD_destroy_response(r->response);
        r->response = NULL;
    }
}


static void
pulse_http_tell(struct MHD_Response *response, const char *name,
    const char *value)
{
    if (value && value[0] != '\0'
        && MHD_get_response_header(response, name) == NULL)
    {
        MHD_add_response_header(response, name, value);
    }
}


const char *
pulse_http_text(pulse_http_request_t *r, const char *text)
{
    size_t   size;
    u_char  *copy;

    size = strlen(text) + 1;
    copy = ngx_pnalloc(r->pool, size);

    return copy ? memcpy(copy, text, size) : NULL;
}


ngx_str_t
pulse_http_header(pulse_http_request_t *r, const char *name)
{
    ngx_str_t  value;

    value.data = (u_char *) MHD_lookup_connection_value(r->connection,
                                                        MHD_HEADER_KIND, name);
    value.len = value.data ? strlen((char *) value.data) : 0;

    return value;
}


ngx_str_t
pulse_http_arg(pulse_http_request_t *r, const char *name)
{
    ngx_str_t  value;

    value.data = (u_char *) MHD_lookup_connection_value(r->connection,
                                                MHD_GET_ARGUMENT_KIND, name);
    value.len = value.data ? strlen((char *) value.data) : 0;

    return value;
}


enum MHD_Result
pulse_http_error(pulse_http_request_t *r, unsigned status, const char *type,
    const char *param, const char *code, const char *message)
{
    ngx_uint_t        i;
    ngx_pulse_buf_t   b;

    struct {
        const char   *name;
        const char   *value;
    } members[] = {
        { "message", message }, { "type", type },
        { "param", param }, { "code", code }
    };

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"error\":");

    for (i = 0; i < 4; i++) {
        ngx_pulse_buf_char(&b, i ? ',' : '{');
        ngx_pulse_buf_json(&b, (u_char *) members[i].name,
                           strlen(members[i].name));
        ngx_pulse_buf_char(&b, ':');

        if (members[i].value == NULL) {
            ngx_pulse_buf_literal(&b, "null");
            continue;
        }

        ngx_pulse_buf_json(&b, (u_char *) members[i].value,
                           strlen(members[i].value));
    }

    ngx_pulse_buf_literal(&b, "}}");

    return pulse_http_reply(r, status, &b);
}


static void
pulse_http_completed(void *cls, struct MHD_Connection *connection,
    void **con_cls, enum MHD_RequestTerminationCode code)
{
    pulse_http_request_t  *r;

    r = *con_cls;

    if (r) {

        /* an answer that a worker made and that nobody waits for any more */

        pulse_http_discard(r);

        if (r->owed) {
            (void) atomic_fetch_sub(&pulse_http_owed, 1);
        }

        ngx_destroy_pool(r->pool);
        *con_cls = NULL;
    }
}
