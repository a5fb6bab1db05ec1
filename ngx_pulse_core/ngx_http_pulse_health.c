
#include "ngx_http_pulse.h"


#define NGX_HTTP_PULSE_READY_TIMEOUT  1000

/* "HTTP/1.1 200" */

#define NGX_HTTP_PULSE_STATUS_LEN     12
#define NGX_HTTP_PULSE_STATUS_CODE    9

#define NGX_HTTP_PULSE_METRICS_MAX    (4 * 1024 * 1024)


typedef struct {
    ngx_http_request_t      *request;
    ngx_http_cleanup_t      *cleanup;
    ngx_connection_t        *sidecar;       /* open while it is asked */
    ngx_uint_t               pending;
    u_char                   status[NGX_HTTP_PULSE_STATUS_LEN];
    size_t                   len;
    unsigned                 postgres_ok:1;
    unsigned                 redis_ok:1;
    unsigned                 sidecar_ok:1;
} ngx_http_pulse_ready_t;


static void ngx_http_pulse_health_handler(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_ready_handler(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_ready_postgres(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_ready_redis(ngx_http_request_t *r, void *data,
    redisReply *reply);
static ngx_int_t ngx_http_pulse_ready_sidecar(ngx_http_pulse_ready_t *ready,
    ngx_str_t *path);
static ngx_int_t ngx_http_pulse_ready_ask(ngx_connection_t *c,
    ngx_str_t *path);
static void ngx_http_pulse_ready_sidecar_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_pulse_ready_status(ngx_http_pulse_ready_t *ready);
static void ngx_http_pulse_ready_close(void *data);
static void ngx_http_pulse_ready_done(ngx_http_pulse_ready_t *ready);
static void ngx_http_pulse_ready_field(ngx_pulse_buf_t *b, const char *name,
    ngx_uint_t ok);
static void ngx_http_pulse_metrics_handler(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);


static ngx_pulse_pg_statement_t  ngx_http_pulse_ready_statement = {
    "pulse_ready", "SELECT 1", 0
};


static ngx_http_pulse_route_t  ngx_http_pulse_health_routes[] = {

    { NGX_HTTP_GET, ngx_string("/health"), NGX_HTTP_PULSE_ROUTE_PUBLIC,
      ngx_http_pulse_health_handler },

    { NGX_HTTP_GET, ngx_string("/ready"), NGX_HTTP_PULSE_ROUTE_PUBLIC,
      ngx_http_pulse_ready_handler },

    { NGX_HTTP_GET, ngx_string("/metrics"), NGX_HTTP_PULSE_ROUTE_PUBLIC,
      ngx_http_pulse_metrics_handler },

    { 0, ngx_null_string, 0, NULL }
};


static void
ngx_http_pulse_health_handler(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    static ngx_str_t  data = ngx_string("{\"status\":\"ok\"}");

    ngx_http_finalize_request(r, ngx_http_pulse_reply(r, NGX_HTTP_OK, &data));
}


/* Asks all at the same time and answers when the last one has. */

static void
ngx_http_pulse_ready_handler(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_http_pulse_ready_t      *ready;
    ngx_http_pulse_main_conf_t  *pmcf;

    static ngx_str_t  ping = ngx_string("PING");

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);

    ready = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_ready_t));

    if (ready == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ready->request = r;

    if (pmcf->sidecar.len
        && ngx_http_pulse_ready_sidecar(ready, &pmcf->sidecar) == NGX_OK)
    {
        ready->pending++;
    }

    if (ngx_http_pulse_pg(r, &ngx_http_pulse_ready_statement, NULL,
                          ngx_http_pulse_ready_postgres, ready)
        == NGX_OK)
    {
        ready->pending++;
    }

    if (ngx_http_pulse_redis(r, 1, &ping, ngx_http_pulse_ready_redis, ready)
        == NGX_OK)
    {
        ready->pending++;
    }

    ngx_http_pulse_ready_done(ready);
}


static void
ngx_http_pulse_ready_postgres(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_ready_t  *ready = data;

    ready->postgres_ok = (res->status == NGX_PULSE_PG_OK);
    ready->pending--;

    ngx_http_pulse_ready_done(ready);
}


static void
ngx_http_pulse_ready_redis(ngx_http_request_t *r, void *data,
    redisReply *reply)
{
    ngx_http_pulse_ready_t  *ready = data;

    ready->redis_ok = (reply && reply->type == REDIS_REPLY_STATUS);
    ready->pending--;

    ngx_http_pulse_ready_done(ready);
}


static ngx_int_t
ngx_http_pulse_ready_sidecar(ngx_http_pulse_ready_t *ready, ngx_str_t *path)
{
    ngx_socket_t         s;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ready->request;

    ready->cleanup = ngx_http_cleanup_add(r, 0);

    if (ready->cleanup == NULL) {
        return NGX_ERROR;
    }

    s = ngx_socket(AF_UNIX, SOCK_STREAM, 0);

    if (s == (ngx_socket_t) -1) {
        return NGX_ERROR;
    }

    c = ngx_get_connection(s, r->connection->log);

    if (c == NULL) {
        (void) ngx_close_socket(s);
        return NGX_ERROR;
    }

    c->data = ready;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->log_error = NGX_ERROR_IGNORE_ECONNRESET;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_pulse_ready_sidecar_handler;
    c->write->handler = ngx_http_empty_handler;

    if (ngx_http_pulse_ready_ask(c, path) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    ngx_add_timer(c->read, NGX_HTTP_PULSE_READY_TIMEOUT);

    /* a client that leaves takes the connection with it */

    ready->sidecar = c;
    ready->cleanup->handler = ngx_http_pulse_ready_close;
    ready->cleanup->data = ready;

    return NGX_OK;
}


/*
 * Connecting to a unix socket never waits: it fails with EAGAIN where the
 * backlog of a stopped sidecar is full.  Failures are the answer to the
 * request and not logged.
 */

static ngx_int_t
ngx_http_pulse_ready_ask(ngx_connection_t *c, ngx_str_t *path)
{
    struct sockaddr_un  sun;

    static u_char  request[] = "GET /health HTTP/1.0" CRLF
                               "Host: sidecar" CRLF CRLF;

    if (ngx_nonblocking(c->fd) == -1) {
        return NGX_ERROR;
    }

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    ngx_memcpy(sun.sun_path, path->data + 5, path->len - 5);

    if (connect(c->fd, (struct sockaddr *) &sun, sizeof(struct sockaddr_un))
        == -1)
    {
        return NGX_ERROR;
    }

    if (ngx_send(c, request, sizeof(request) - 1)
        != (ssize_t) sizeof(request) - 1)
    {
        return NGX_ERROR;
    }

    return ngx_handle_read_event(c->read, 0);
}


static void
ngx_http_pulse_ready_sidecar_handler(ngx_event_t *rev)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_pulse_ready_t  *ready;

    c = rev->data;
    ready = c->data;
    r = ready->request;

    if (!rev->timedout && !c->close
        && ngx_http_pulse_ready_status(ready) == NGX_AGAIN)
    {
        return;
    }

    ngx_http_pulse_ready_close(ready);
    ready->cleanup->handler = NULL;
    ready->pending--;

    c = r->connection;
    ngx_http_set_log_request(c->log, r);

    ngx_http_pulse_ready_done(ready);

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_pulse_ready_status(ngx_http_pulse_ready_t *ready)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = ready->sidecar;

    while (ready->len < NGX_HTTP_PULSE_STATUS_LEN) {

        n = c->recv(c, ready->status + ready->len,
                    NGX_HTTP_PULSE_STATUS_LEN - ready->len);

        if (n == NGX_AGAIN) {
            return ngx_handle_read_event(c->read, 0) == NGX_OK ? NGX_AGAIN
                                                               : NGX_ERROR;
        }

        if (n <= 0) {
            return NGX_ERROR;
        }

        ready->len += n;
    }

    ready->sidecar_ok = (ngx_strncmp(ready->status, "HTTP/1.", 7) == 0
                         && ngx_strncmp(ready->status
                                        + NGX_HTTP_PULSE_STATUS_CODE,
                                        "200", 3) == 0);

    return NGX_OK;
}


static void
ngx_http_pulse_ready_close(void *data)
{
    ngx_http_pulse_ready_t  *ready = data;

    if (ready->sidecar) {
        ngx_close_connection(ready->sidecar);
        ready->sidecar = NULL;
    }
}


static void
ngx_http_pulse_ready_done(ngx_http_pulse_ready_t *ready)
{
    ngx_str_t                    data;
    ngx_uint_t                   status;
    ngx_pulse_buf_t             *b;
    ngx_http_request_t          *r;
    ngx_http_pulse_main_conf_t  *pmcf;

    r = ready->request;

    if (ready->pending) {
        r->read_event_handler = ngx_http_test_reading;
        return;
    }

    r->read_event_handler = ngx_http_block_reading;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);

    b = ngx_http_pulse_buf(r, 0);

    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    status = NGX_HTTP_OK;
    ngx_pulse_buf_char(b, '{');

    if (pmcf->pg.conninfo.len) {
        ngx_http_pulse_ready_field(b, "postgres", ready->postgres_ok);
        status = ready->postgres_ok ? status : NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (pmcf->redis_on) {
        ngx_http_pulse_ready_field(b, "redis", ready->redis_ok);
        status = ready->redis_ok ? status : NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (pmcf->sidecar.len) {
        ngx_http_pulse_ready_field(b, "sidecar", ready->sidecar_ok);
        status = ready->sidecar_ok ? status : NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_pulse_buf_char(b, '}');

    if (b->failed) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    data.len = b->len;
    data.data = b->data;

    ngx_http_finalize_request(r, ngx_http_pulse_reply(r, status, &data));
}


static void
ngx_http_pulse_ready_field(ngx_pulse_buf_t *b, const char *name,
    ngx_uint_t ok)
{
    if (b->len > 1) {
        ngx_pulse_buf_char(b, ',');
    }

    ngx_pulse_buf_json(b, (u_char *) name, ngx_strlen(name));

    if (ok) {
        ngx_pulse_buf_literal(b, ":\"ok\"");

    } else {
        ngx_pulse_buf_literal(b, ":\"down\"");
    }
}


static void
ngx_http_pulse_metrics_handler(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t         text;
    ngx_pulse_buf_t  *b;

    static ngx_str_t  type = ngx_string("text/plain; version=0.0.4");

    b = ngx_http_pulse_buf(r, NGX_HTTP_PULSE_METRICS_MAX);

    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_pulse_metrics_text(b);

    if (b->failed) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    text.len = b->len;
    text.data = b->data;

    ngx_http_finalize_request(r, ngx_http_pulse_reply_raw(r, NGX_HTTP_OK,
                                                          &type, &text));
}


ngx_int_t
ngx_http_pulse_health_init(ngx_conf_t *cf)
{
    if (ngx_pulse_pg_register(cf, &ngx_http_pulse_ready_statement) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_pulse_routes(cf, ngx_http_pulse_health_routes);
}
