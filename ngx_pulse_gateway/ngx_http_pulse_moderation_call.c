
#include "ngx_http_pulse_moderation.h"


/*
 * A call is a subrequest with an upstream and without a location: nginx ends
 * it with its parent if the client leaves, and wakes the parent when it is
 * over.  It sends nothing; its answer is taken as part of the "header", so
 * that read_timeout bounds the whole of it.
 */


static ngx_int_t ngx_http_pulse_moderation_admit(
    ngx_http_pulse_moderation_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_moderation_subrequest(
    ngx_http_pulse_moderation_ctx_t *ctx);
static void ngx_http_pulse_moderation_start(ngx_http_request_t *sr);
static ngx_int_t ngx_http_pulse_moderation_create_request(
    ngx_http_request_t *sr);
static ngx_int_t ngx_http_pulse_moderation_reinit_request(
    ngx_http_request_t *sr);
static ngx_int_t ngx_http_pulse_moderation_status_line(
    ngx_http_request_t *sr);
static ngx_int_t ngx_http_pulse_moderation_header_line(
    ngx_http_request_t *sr);
static ngx_int_t ngx_http_pulse_moderation_field(ngx_http_request_t *sr,
    ngx_http_pulse_moderation_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_moderation_collect(ngx_http_request_t *sr);
static ngx_int_t ngx_http_pulse_moderation_body(ngx_http_request_t *sr,
    ngx_http_pulse_moderation_ctx_t *ctx);
static void ngx_http_pulse_moderation_take(
    ngx_http_pulse_moderation_ctx_t *ctx, ngx_buf_t *b, off_t *size);
static void ngx_http_pulse_moderation_abort_request(ngx_http_request_t *sr);
static void ngx_http_pulse_moderation_finalize_request(
    ngx_http_request_t *sr, ngx_int_t rc);
static ngx_int_t ngx_http_pulse_moderation_called(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static void ngx_http_pulse_moderation_resume(ngx_http_request_t *r);
static ngx_http_pulse_moderation_report_e ngx_http_pulse_moderation_judge(
    ngx_http_pulse_moderation_ctx_t *ctx);
static void ngx_http_pulse_moderation_edge(
    ngx_http_pulse_moderation_ctx_t *ctx, ngx_uint_t edge);


void
ngx_http_pulse_moderation_call(ngx_http_pulse_moderation_ctx_t *ctx)
{
    ngx_int_t                               rc;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_pulse_moderation_module);

    ctx->body.len = 0;

    rc = ngx_pulse_moderation_question_write(&ctx->question, &mmcf->model,
                                             &ctx->body);
    if (rc == NGX_DONE) {
        ctx->verdict = NGX_HTTP_PULSE_MODERATION_PASSED;
        ngx_http_pulse_moderation_done(ctx);
        return;
    }

    if (ctx->body.failed) {
        ngx_http_finalize_request(ctx->request,
                                  NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_pulse_moderation_admit(ctx) != NGX_OK) {
        ctx->verdict = NGX_HTTP_PULSE_MODERATION_DOWN;
        ngx_http_pulse_moderation_done(ctx);
        return;
    }

    if (ngx_http_pulse_moderation_subrequest(ctx) != NGX_OK) {
        ngx_http_finalize_request(ctx->request,
                                  NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


static ngx_int_t
ngx_http_pulse_moderation_admit(ngx_http_pulse_moderation_ctx_t *ctx)
{
    ngx_int_t                               rc;
    ngx_slab_pool_t                        *shpool;
    ngx_pulse_breaker_t                    *breaker;
    ngx_pulse_breaker_turn_t                turn;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_pulse_moderation_module);

    if (!mmcf->provider->available) {
        return NGX_DECLINED;
    }

    breaker = mmcf->zone->data;
    ctx->asked = 1;

    if (ngx_pulse_breaker_calm(breaker)) {
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) mmcf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    rc = ngx_pulse_breaker_admit(breaker, &mmcf->provider->breaker,
                                 NGX_PULSE_BREAKER_ALL, ngx_current_msec,
                                 &turn);

    ngx_shmtx_unlock(&shpool->mutex);

    ctx->ticket = turn.ticket;
    ctx->asked = (rc == NGX_OK);

    ngx_http_pulse_moderation_edge(ctx, turn.edge);

    return rc;
}


void
ngx_http_pulse_moderation_told(ngx_http_pulse_moderation_ctx_t *ctx,
    ngx_http_pulse_moderation_report_e report)
{
    ngx_uint_t                              edge;
    ngx_slab_pool_t                        *shpool;
    ngx_pulse_breaker_t                    *breaker;
    ngx_pulse_breaker_limits_t             *limits;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_pulse_moderation_module);

    breaker = mmcf->zone->data;
    limits = &mmcf->provider->breaker;

    ctx->asked = 0;

    if (report == NGX_HTTP_PULSE_MODERATION_WORKS
        && ngx_pulse_breaker_calm(breaker))
    {
        return;
    }

    edge = NGX_PULSE_BREAKER_SAME;
    shpool = (ngx_slab_pool_t *) mmcf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    switch (report) {

    case NGX_HTTP_PULSE_MODERATION_WORKS:
        edge = ngx_pulse_breaker_success(breaker, limits, ctx->ticket,
                                         ngx_current_msec);
        break;

    case NGX_HTTP_PULSE_MODERATION_NOTHING:
        ngx_pulse_breaker_release(breaker, ctx->ticket);
        break;

    default: /* NGX_HTTP_PULSE_MODERATION_BREAKS, ..._FORBIDS */
        edge = ngx_pulse_breaker_failure(breaker, limits, ctx->ticket,
                              report == NGX_HTTP_PULSE_MODERATION_FORBIDS,
                              ngx_current_msec);
    }

    ngx_shmtx_unlock(&shpool->mutex);

    ctx->ticket = 0;

    ngx_http_pulse_moderation_edge(ctx, edge);
}


/* The only lines on an outage, whatever number of requests it meets. */

static void
ngx_http_pulse_moderation_edge(ngx_http_pulse_moderation_ctx_t *ctx,
    ngx_uint_t edge)
{
    ngx_log_t                              *log;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_pulse_moderation_module);
    log = ctx->request->connection->log;

    if (edge == NGX_PULSE_BREAKER_OPEN) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "pulse moderation: provider \"%V\" is not asked for"
                      " %M ms: the breaker opened, last status %ui",
                      &mmcf->provider->name, mmcf->provider->breaker.pause,
                      ctx->status.code);

    } else if (edge == NGX_PULSE_BREAKER_CLOSED) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "pulse moderation: provider \"%V\" is asked again: the"
                      " breaker closed", &mmcf->provider->name);
    }
}


static ngx_int_t
ngx_http_pulse_moderation_subrequest(ngx_http_pulse_moderation_ctx_t *ctx)
{
    ngx_http_request_t          *r, *sr;
    ngx_http_post_subrequest_t  *ps;

    static ngx_str_t  uri = ngx_string("/moderations");

    r = ctx->request;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_pulse_moderation_called;
    ps->data = ctx;

    ngx_memzero(&ctx->status, sizeof(ngx_http_status_t));
    ngx_memzero(&ctx->chunked, sizeof(ngx_http_chunked_t));

    ctx->length = -1;
    ctx->chunks = 0;
    ctx->complete = 0;
    ctx->over = 0;
    ctx->answer.len = 0;

    if (ngx_http_subrequest(r, &uri, NULL, &sr, ps, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(sr, ctx, ngx_http_pulse_moderation_module);

    /* no phase is to run for it, and it writes nothing */

    sr->write_event_handler = ngx_http_pulse_moderation_start;
    sr->header_only = 1;

    r->write_event_handler = ngx_http_pulse_moderation_resume;

    return NGX_OK;
}


static void
ngx_http_pulse_moderation_start(ngx_http_request_t *sr)
{
    ngx_http_upstream_t                    *u;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    if (ngx_http_upstream_create(sr) != NGX_OK) {
        ngx_http_finalize_request(sr, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    mmcf = ngx_http_get_module_main_conf(sr,
                                         ngx_http_pulse_moderation_module);

    u = sr->upstream;
    sr->state = 0;

    ngx_str_set(&u->schema, "http://");
    u->output.tag = (ngx_buf_tag_t) &ngx_http_pulse_moderation_module;
    u->conf = &mmcf->upstream;

#if (NGX_HTTP_SSL)
    u->ssl = (mmcf->upstream.ssl != NULL);
#endif

    u->create_request = ngx_http_pulse_moderation_create_request;
    u->reinit_request = ngx_http_pulse_moderation_reinit_request;
    u->process_header = ngx_http_pulse_moderation_status_line;
    u->abort_request = ngx_http_pulse_moderation_abort_request;
    u->finalize_request = ngx_http_pulse_moderation_finalize_request;

    u->buffering = 0;

    ngx_http_upstream_init(sr);
}


static ngx_int_t
ngx_http_pulse_moderation_create_request(ngx_http_request_t *sr)
{
    ngx_buf_t                              *head, *body;
    ngx_chain_t                            *cl;
    ngx_http_pulse_record_t                *record;
    ngx_http_pulse_provider_t              *provider;
    ngx_http_pulse_moderation_ctx_t        *ctx;
    ngx_http_pulse_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(sr,
                                         ngx_http_pulse_moderation_module);
    ctx = ngx_http_get_module_ctx(sr, ngx_http_pulse_moderation_module);

    provider = mmcf->provider;
    record = ngx_http_pulse_record(sr);

    head = ngx_create_temp_buf(sr->pool, 512 + provider->path.len
                                         + provider->host.len
                                         + provider->headers.len
                                         + record->trace_id.len);
    body = ngx_calloc_buf(sr->pool);
    cl = ngx_alloc_chain_link(sr->pool);

    if (head == NULL || body == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    head->last = ngx_sprintf(head->last,
                             "POST %V/moderations HTTP/1.1" CRLF
                             "Host: %V" CRLF
                             "Content-Type: application/json" CRLF
                             "Content-Length: %uz" CRLF
                             "Accept: application/json" CRLF
                             "Accept-Encoding: identity" CRLF
                             "User-Agent: pulse-gateway" CRLF
                             "X-Request-ID: %V" CRLF
                             "%V" CRLF,
                             &provider->path, &provider->host, ctx->body.len,
                             &record->trace_id, &provider->headers);

    body->start = ctx->body.data;
    body->pos = body->start;
    body->last = body->start + ctx->body.len;
    body->end = body->last;
    body->memory = 1;
    body->last_buf = 1;

    cl->buf = head;
    sr->upstream->request_bufs = cl;

    cl->next = ngx_alloc_chain_link(sr->pool);
    if (cl->next == NULL) {
        return NGX_ERROR;
    }

    cl->next->buf = body;
    cl->next->next = NULL;

    return NGX_OK;
}


/* Another address of the provider is asked. */

static ngx_int_t
ngx_http_pulse_moderation_reinit_request(ngx_http_request_t *sr)
{
    ngx_http_pulse_moderation_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(sr, ngx_http_pulse_moderation_module);

    ngx_memzero(&ctx->status, sizeof(ngx_http_status_t));
    ngx_memzero(&ctx->chunked, sizeof(ngx_http_chunked_t));

    ctx->length = -1;
    ctx->chunks = 0;
    ctx->answer.len = 0;

    sr->state = 0;
    sr->upstream->process_header = ngx_http_pulse_moderation_status_line;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_moderation_status_line(ngx_http_request_t *sr)
{
    ngx_int_t                         rc;
    ngx_http_upstream_t              *u;
    ngx_http_pulse_moderation_ctx_t  *ctx;

    u = sr->upstream;
    ctx = ngx_http_get_module_ctx(sr, ngx_http_pulse_moderation_module);

    rc = ngx_http_parse_status_line(sr, &u->buffer, &ctx->status);

    if (rc == NGX_AGAIN) {
        return rc;
    }

    if (rc == NGX_ERROR || ctx->status.code < NGX_HTTP_OK) {
        ctx->status.code = 0;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (ctx->status.http_version < NGX_HTTP_VERSION_11) {
        u->headers_in.connection_close = 1;
    }

    u->process_header = ngx_http_pulse_moderation_header_line;

    return ngx_http_pulse_moderation_header_line(sr);
}


static ngx_int_t
ngx_http_pulse_moderation_header_line(ngx_http_request_t *sr)
{
    ngx_int_t                         rc;
    ngx_http_upstream_t              *u;
    ngx_http_pulse_moderation_ctx_t  *ctx;

    u = sr->upstream;
    ctx = ngx_http_get_module_ctx(sr, ngx_http_pulse_moderation_module);

    for ( ;; ) {

        rc = ngx_http_parse_header_line(sr, &u->buffer, 1);

        if (rc == NGX_OK) {
            rc = ngx_http_pulse_moderation_field(sr, ctx);
        }

        if (rc != NGX_OK) {
            break;
        }
    }

    if (rc == NGX_AGAIN) {
        return rc;
    }

    if (rc != NGX_HTTP_PARSE_HEADER_DONE
        || (ctx->length == -1 && !ctx->chunks))
    {
        /* one that ends with its connection is not awaited */

        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (ctx->chunks) {
        ctx->length = -1;
    }

    u->process_header = ngx_http_pulse_moderation_collect;

    return ngx_http_pulse_moderation_collect(sr);
}


static ngx_int_t
ngx_http_pulse_moderation_field(ngx_http_request_t *sr,
    ngx_http_pulse_moderation_ctx_t *ctx)
{
    size_t      len;
    ngx_str_t   name, value;

    name.data = sr->header_name_start;
    name.len = sr->header_name_end - sr->header_name_start;

    value.data = sr->header_start;
    value.len = sr->header_end - sr->header_start;

    len = name.len;

    if (len == 14
        && ngx_strncasecmp(name.data, (u_char *) "Content-Length", 14) == 0)
    {
        ctx->length = ngx_atoof(value.data, value.len);

        return (ctx->length == NGX_ERROR) ? NGX_DECLINED : NGX_OK;
    }

    if (len == 17
        && ngx_strncasecmp(name.data, (u_char *) "Transfer-Encoding", 17)
           == 0)
    {
        ctx->chunks = 1;

    } else if (len == 10
               && ngx_strncasecmp(name.data, (u_char *) "Connection", 10) == 0
               && ngx_strlcasestrn(value.data, value.data + value.len,
                                   (u_char *) "close", 5 - 1)
                  != NULL)
    {
        sr->upstream->headers_in.connection_close = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_moderation_collect(ngx_http_request_t *sr)
{
    ngx_int_t                         rc;
    ngx_http_upstream_t              *u;
    ngx_http_pulse_moderation_ctx_t  *ctx;

    u = sr->upstream;
    ctx = ngx_http_get_module_ctx(sr, ngx_http_pulse_moderation_module);

    rc = ngx_http_pulse_moderation_body(sr, ctx);

    /* the bytes were copied */

    u->buffer.pos = u->buffer.start;
    u->buffer.last = u->buffer.start;

    if (rc == NGX_ERROR || ctx->answer.failed) {
        u->keepalive = 0;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ctx->complete = 1;

    u->headers_in.status_n = NGX_HTTP_OK;
    u->headers_in.content_length_n = -1;

    return NGX_OK;
}


/* Only at the exact end of an answer its connection can be kept. */

static ngx_int_t
ngx_http_pulse_moderation_body(ngx_http_request_t *sr,
    ngx_http_pulse_moderation_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = sr->upstream;
    b = &u->buffer;

    if (!ctx->chunks) {
        ngx_http_pulse_moderation_take(ctx, b, &ctx->length);
        rc = ctx->length ? NGX_AGAIN : NGX_DONE;

    } else {

        do {
            rc = ngx_http_pulse_parse_chunked(sr, b, &ctx->chunked);

            if (rc == NGX_OK) {
                ngx_http_pulse_moderation_take(ctx, b, &ctx->chunked.size);
            }

        } while (rc == NGX_OK);
    }

    if (rc == NGX_DONE) {
        u->keepalive = !u->headers_in.connection_close && b->pos == b->last;
    }

    return rc;
}


static void
ngx_http_pulse_moderation_take(ngx_http_pulse_moderation_ctx_t *ctx,
    ngx_buf_t *b, off_t *size)
{
    off_t  n;

    n = ngx_min(b->last - b->pos, *size);

    ngx_pulse_buf_append(&ctx->answer, b->pos, (size_t) n);

    b->pos += n;
    *size -= n;
}


static void
ngx_http_pulse_moderation_abort_request(ngx_http_request_t *sr)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, sr->connection->log, 0,
                   "pulse moderation: abort");
}


static void
ngx_http_pulse_moderation_finalize_request(ngx_http_request_t *sr,
    ngx_int_t rc)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, sr->connection->log, 0,
                   "pulse moderation: finalize: %i", rc);
}


/* The subrequest ends, and nginx wakes its parent: whatever came of it is no
 * error page. */

static ngx_int_t
ngx_http_pulse_moderation_called(ngx_http_request_t *sr, void *data,
    ngx_int_t rc)
{
    ngx_http_pulse_moderation_ctx_t *ctx = data;

    ctx->over = 1;

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
        return rc;
    }

    return NGX_OK;
}


static void
ngx_http_pulse_moderation_resume(ngx_http_request_t *r)
{
    ngx_http_pulse_moderation_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_moderation_module);

    if (!ctx->over) {
        return;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_pulse_moderation_told(ctx, ngx_http_pulse_moderation_judge(ctx));

    if (ctx->verdict == NGX_HTTP_PULSE_MODERATION_PASSED) {
        ngx_http_pulse_moderation_call(ctx);
        return;
    }

    ngx_http_pulse_moderation_done(ctx);
}


static ngx_http_pulse_moderation_report_e
ngx_http_pulse_moderation_judge(ngx_http_pulse_moderation_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_uint_t  status;

    status = ctx->complete ? ctx->status.code : 0;

    if (status == NGX_HTTP_OK) {
        rc = ngx_pulse_moderation_answer(ctx->request->pool,
                                         ctx->answer.data, ctx->answer.len,
                                         ctx->question.inputs,
                                         &ctx->categories);

        if (rc != NGX_ERROR) {
            ctx->verdict = (rc == NGX_OK)
                           ? NGX_HTTP_PULSE_MODERATION_PASSED
                           : NGX_HTTP_PULSE_MODERATION_FLAGGED;

            return NGX_HTTP_PULSE_MODERATION_WORKS;
        }
    }

    ngx_log_error(NGX_LOG_INFO, ctx->request->connection->log, 0,
                  "pulse moderation: no verdict: status %ui", status);

    ctx->verdict = NGX_HTTP_PULSE_MODERATION_DOWN;

    if (status >= NGX_HTTP_BAD_REQUEST
        && status < NGX_HTTP_INTERNAL_SERVER_ERROR
        && status != NGX_HTTP_UNAUTHORIZED && status != NGX_HTTP_FORBIDDEN
        && status != NGX_HTTP_REQUEST_TIME_OUT
        && status != NGX_HTTP_TOO_MANY_REQUESTS)
    {
        /* a picture that is none must not come past it */

        if (ngx_pulse_moderation_question_shows(&ctx->question)) {
            ctx->verdict = NGX_HTTP_PULSE_MODERATION_UNFIT;
        }

        return NGX_HTTP_PULSE_MODERATION_NOTHING;
    }

    return (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN)
           ? NGX_HTTP_PULSE_MODERATION_FORBIDS
           : NGX_HTTP_PULSE_MODERATION_BREAKS;
}
