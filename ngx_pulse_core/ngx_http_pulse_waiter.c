
#include "ngx_http_pulse.h"


/*
 * On the heap and not in r->pool: the answer of a store cannot be called off
 * and comes after the client, and with it the request, has gone.
 */

typedef struct {
    ngx_http_request_t               *request;      /* NULL: detached */
    ngx_http_cleanup_t               *cleanup;
    ngx_http_pulse_pg_handler_pt      pg;
    ngx_http_pulse_redis_handler_pt   redis;
    void                             *data;
} ngx_http_pulse_waiter_t;


static ngx_http_pulse_waiter_t *ngx_http_pulse_waiter_create(
    ngx_http_request_t *r, void *data);
static void ngx_http_pulse_waiter_cancel(ngx_http_pulse_waiter_t *w);
static void ngx_http_pulse_waiter_hold(ngx_http_pulse_waiter_t *w);
static ngx_http_request_t *ngx_http_pulse_waiter_release(
    ngx_http_pulse_waiter_t *w);
static void ngx_http_pulse_waiter_cleanup(void *data);
static void ngx_http_pulse_pg_done(void *data, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_redis_done(void *data, redisReply *reply);


ngx_int_t
ngx_http_pulse_pg(ngx_http_request_t *r, ngx_pulse_pg_statement_t *statement,
    ngx_str_t *params, ngx_http_pulse_pg_handler_pt handler, void *data)
{
    ngx_http_pulse_waiter_t  *w;

    if (ngx_http_pulse_pg_pool == NULL) {
        return NGX_ERROR;
    }

    w = ngx_http_pulse_waiter_create(r, data);
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->pg = handler;

    if (ngx_pulse_pg_query(ngx_http_pulse_pg_pool, statement, params, 0,
                           ngx_http_pulse_pg_done, w)
        != NGX_OK)
    {
        ngx_http_pulse_waiter_cancel(w);
        return NGX_ERROR;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "http pulse waits for \"%s\"", statement->name);

    ngx_http_pulse_waiter_hold(w);

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_redis(ngx_http_request_t *r, ngx_uint_t n, ngx_str_t *args,
    ngx_http_pulse_redis_handler_pt handler, void *data)
{
    ngx_http_pulse_waiter_t  *w;

    if (ngx_http_pulse_redis_link == NULL) {
        return NGX_ERROR;
    }

    w = ngx_http_pulse_waiter_create(r, data);
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->redis = handler;

    if (ngx_pulse_redis_command(ngx_http_pulse_redis_link, n, args, 0,
                                ngx_http_pulse_redis_done, w)
        != NGX_OK)
    {
        ngx_http_pulse_waiter_cancel(w);
        return NGX_ERROR;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "http pulse waits for \"%V\"", args);

    ngx_http_pulse_waiter_hold(w);

    return NGX_OK;
}


static ngx_http_pulse_waiter_t *
ngx_http_pulse_waiter_create(ngx_http_request_t *r, void *data)
{
    ngx_http_pulse_waiter_t  *w;

    w = ngx_calloc(sizeof(ngx_http_pulse_waiter_t), r->connection->log);
    if (w == NULL) {
        return NULL;
    }

    w->cleanup = ngx_http_cleanup_add(r, 0);

    if (w->cleanup == NULL) {
        ngx_free(w);
        return NULL;
    }

    w->request = r;
    w->data = data;

    return w;
}


/* The store took nothing; the cleanup stays in its list, without a handler. */

static void
ngx_http_pulse_waiter_cancel(ngx_http_pulse_waiter_t *w)
{
    w->cleanup->handler = NULL;
    ngx_free(w);
}


static void
ngx_http_pulse_waiter_hold(ngx_http_pulse_waiter_t *w)
{
    ngx_event_t         *rev;
    ngx_http_request_t  *r;

    r = w->request;

    w->cleanup->handler = ngx_http_pulse_waiter_cleanup;
    w->cleanup->data = w;

    /* it may have gone already, with the event that brought the request */

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);
    }

    /*
     * A client that goes away is noticed; one that becomes writable does not
     * run the phases, and with them the handler that waits, once more.
     */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


/* The store has answered and is done with the waiter, which ends here. */

static ngx_http_request_t *
ngx_http_pulse_waiter_release(ngx_http_pulse_waiter_t *w)
{
    ngx_http_request_t  *r;

    r = w->request;

    if (r) {
        w->cleanup->handler = NULL;

        ngx_http_set_log_request(r->connection->log, r);
        r->read_event_handler = ngx_http_block_reading;
    }

    ngx_free(w);

    return r;
}


/* The request ends first: the waiter is left to the answer to come. */

static void
ngx_http_pulse_waiter_cleanup(void *data)
{
    ngx_http_pulse_waiter_t  *w = data;

    w->request = NULL;
}


static void
ngx_http_pulse_pg_done(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_waiter_t  *w = data;

    void                          *ctx;
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_pulse_pg_handler_pt   handler;

    ctx = w->data;
    handler = w->pg;

    r = ngx_http_pulse_waiter_release(w);
    if (r == NULL) {
        return;
    }

    /* the handler may end the request */

    c = r->connection;

    handler(r, ctx, res);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_pulse_redis_done(void *data, redisReply *reply)
{
    ngx_http_pulse_waiter_t  *w = data;

    void                             *ctx;
    ngx_connection_t                 *c;
    ngx_http_request_t               *r;
    ngx_http_pulse_redis_handler_pt   handler;

    ctx = w->data;
    handler = w->redis;

    r = ngx_http_pulse_waiter_release(w);
    if (r == NULL) {
        return;
    }

    /* the handler may end the request */

    c = r->connection;

    handler(r, ctx, reply);

    ngx_http_run_posted_requests(c);
}


void
ngx_http_pulse_resume(ngx_http_request_t *r)
{
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}
