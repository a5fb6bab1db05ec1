
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "pulse_http.h"
#include "pulse_log.h"
#include "pulse_pacer.h"


#define PULSE_HTTP_BACKLOG      511
#define PULSE_HTTP_CONNECTIONS  4096
#define PULSE_HTTP_IDLE         75          /* seconds, as nginx keeps them */
#define PULSE_HTTP_POOL         4096


static int pulse_http_listen(const char *path);
static enum MHD_Result pulse_http_access(void *cls,
    struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *size, void **con_cls);
static pulse_http_request_t *pulse_http_create(
    struct MHD_Connection *connection, pulse_http_route_t *routes,
    const char *method, const char *path);
static pulse_http_handler_pt pulse_http_find(pulse_http_route_t *routes,
    const char *method, const char *path);
static enum MHD_Result pulse_http_not_found(pulse_http_request_t *r);
static enum MHD_Result pulse_http_not_allowed(pulse_http_request_t *r);
static void pulse_http_completed(void *cls, struct MHD_Connection *connection,
    void **con_cls, enum MHD_RequestTerminationCode code);


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
    /* a suspended connection would never end */

    pulse_pacer_stop();

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

    if (*size) {
        ngx_pulse_buf_append(&r->body, (u_char *) data, *size);

        if (r->body.failed) {
            ngx_pulse_buf_free(&r->body);
            r->too_large = 1;
        }

        *size = 0;
        return MHD_YES;
    }

    if (r->too_large) {
        return pulse_http_error(r, MHD_HTTP_CONTENT_TOO_LARGE,
                                "invalid_request_error", NULL, NULL,
                                "The request is too large.");
    }

    return r->handler(r);
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
    r->handler = pulse_http_find(routes, method, path);

    return r;
}


static pulse_http_handler_pt
pulse_http_find(pulse_http_route_t *routes, const char *method,
    const char *path)
{
    pulse_http_route_t     *route;
    pulse_http_handler_pt   handler;

    handler = pulse_http_not_found;

    for (route = routes; route->path; route++) {

        if (strcmp(route->path, path) != 0) {
            continue;
        }

        if (strcmp(route->method, method) == 0) {
            return route->handler;
        }

        handler = pulse_http_not_allowed;
    }

    return handler;
}


static enum MHD_Result
pulse_http_not_found(pulse_http_request_t *r)
{
    return pulse_http_error(r, MHD_HTTP_NOT_FOUND, "invalid_request_error",
                            NULL, NULL, "There is nothing here.");
}


static enum MHD_Result
pulse_http_not_allowed(pulse_http_request_t *r)
{
    return pulse_http_error(r, MHD_HTTP_METHOD_NOT_ALLOWED,
                            "invalid_request_error", NULL, NULL,
                            "The method is not allowed here.");
}


enum MHD_Result
pulse_http_reply(pulse_http_request_t *r, unsigned status, ngx_pulse_buf_t *b)
{
    enum MHD_Result       rc;
    struct MHD_Response  *response;

    if (b->failed) {
        ngx_pulse_buf_free(b);
        return MHD_NO;
    }

    /* from here on the bytes are the response's */

    response = MHD_create_response_from_buffer(b->len, b->data,
                                               MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        ngx_pulse_buf_free(b);
        return MHD_NO;
    }

    b->data = NULL;
    ngx_pulse_buf_free(b);

    MHD_add_response_header(response, "Content-Type", "application/json");

    rc = MHD_queue_response(r->connection, status, response);

    MHD_destroy_response(response);

    return rc;
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
        ngx_destroy_pool(r->pool);
        *con_cls = NULL;
    }
}
