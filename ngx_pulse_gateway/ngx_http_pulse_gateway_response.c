
#include "ngx_http_pulse_gateway.h"


/*
 * The provider's header and the framing of its body.  Header fields are
 * taken from a short list; all others, X-Accel-* and Set-Cookie among them,
 * are read over and so have no effect on nginx or on the client.
 */


typedef ngx_int_t (*ngx_http_pulse_gateway_field_pt)(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);


typedef struct {
    ngx_str_t                         name;
    ngx_http_pulse_gateway_field_pt   handler;
} ngx_http_pulse_gateway_field_t;


static ngx_int_t ngx_http_pulse_gateway_status_line(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_field(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_field_type(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_gateway_field_length(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_gateway_field_transfer(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_gateway_field_encoding(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_gateway_field_connection(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_gateway_field_retry(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_gateway_field_retry_ms(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_gateway_header_done(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_collect(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_take(
    ngx_http_pulse_gateway_ctx_t *ctx, u_char *p, size_t len);


static ngx_http_pulse_gateway_field_t  ngx_http_pulse_gateway_fields[] = {
    { ngx_string("content-type"), ngx_http_pulse_gateway_field_type },
    { ngx_string("content-length"), ngx_http_pulse_gateway_field_length },
    { ngx_string("transfer-encoding"),
      ngx_http_pulse_gateway_field_transfer },
    { ngx_string("content-encoding"), ngx_http_pulse_gateway_field_encoding },
    { ngx_string("connection"), ngx_http_pulse_gateway_field_connection },
    { ngx_string("retry-after"), ngx_http_pulse_gateway_field_retry },
    { ngx_string("retry-after-ms"), ngx_http_pulse_gateway_field_retry_ms },
    { ngx_null_string, NULL }
};


void
ngx_http_pulse_gateway_reset(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_upstream_t                *u;
    ngx_http_pulse_gateway_loc_conf_t  *glcf;

    u = r->upstream;
    glcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_gateway_module);

    ngx_memzero(&ctx->status, sizeof(ngx_http_status_t));
    ngx_memzero(&ctx->chunked, sizeof(ngx_http_chunked_t));
    ngx_memzero(&ctx->error, sizeof(ngx_pulse_chat_error_t));

    ctx->length = -1;
    ctx->retry_after = 0;
    ngx_str_null(&ctx->content_type);

    ngx_pulse_buf_free(&ctx->body);
    ngx_pulse_buf_init(&ctx->body, glcf->answer_max);

    ctx->code = NGX_HTTP_PULSE_OK;
    ctx->answered = 0;
    ctx->chunks = 0;
    ctx->encoded = 0;
    ctx->sse = 0;
    ctx->complete = 0;
    ctx->broken = 0;
    ctx->pass = 0;
    ctx->hold = 1;

    if (ctx->begun) {
        ngx_http_pulse_gateway_stream_reset(r, ctx);
    }

    if (ctx->early) {
        r->header_sent = 1;
    }

    u->conf = &ctx->route.elts[ctx->candidate].provider->waiting;
    u->process_header = ngx_http_pulse_gateway_status_line;
    r->state = 0;
}


static ngx_int_t
ngx_http_pulse_gateway_status_line(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_upstream_t           *u;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    u = r->upstream;
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    ctx->answered = 1;

    rc = ngx_http_parse_status_line(r, &u->buffer, &ctx->status);

    if (rc == NGX_AGAIN) {
        return rc;
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent no HTTP/1.x header",
                      &ctx->record->provider);
        ctx->broken = 1;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (u->state && u->state->status == 0) {
        u->state->status = ctx->status.code;
    }

    if (ctx->status.http_version < NGX_HTTP_VERSION_11) {
        u->headers_in.connection_close = 1;
    }

    u->process_header = ngx_http_pulse_gateway_header;

    return ngx_http_pulse_gateway_header(r);
}


static ngx_int_t
ngx_http_pulse_gateway_header(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_upstream_t           *u;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    u = r->upstream;
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    for ( ;; ) {

        rc = ngx_http_parse_header_line(r, &u->buffer, 1);

        if (rc == NGX_OK) {
            rc = ngx_http_pulse_gateway_field(r, ctx);

            if (rc == NGX_OK) {
                continue;
            }

            if (rc == NGX_ERROR) {
                return rc;
            }
        }

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            return ngx_http_pulse_gateway_header_done(r, ctx);
        }

        if (rc == NGX_AGAIN) {
            return rc;
        }

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent an invalid header",
                      &ctx->record->provider);
        ctx->broken = 1;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
}


static ngx_int_t
ngx_http_pulse_gateway_field(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    size_t                           len;
    ngx_str_t                        value;
    ngx_http_pulse_gateway_field_t  *field;

    len = r->header_name_end - r->header_name_start;

    value.data = r->header_start;
    value.len = r->header_end - r->header_start;

    for (field = ngx_http_pulse_gateway_fields; field->handler; field++) {
        if (field->name.len == len
            && ngx_strncasecmp(field->name.data, r->header_name_start, len)
               == 0)
        {
            return field->handler(r, ctx, &value);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_field_type(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value)
{
    static ngx_str_t  sse = ngx_string("text/event-stream");
    static ngx_str_t  json = ngx_string("application/json");

    ctx->sse = value->len >= sse.len
               && ngx_strncasecmp(value->data, sse.data, sse.len) == 0;

    if (!ctx->sse
        && (value->len < json.len
            || ngx_strncasecmp(value->data, json.data, json.len) != 0))
    {
        /* what is read as JSON goes on as that, never as a page */

        ngx_str_null(&ctx->content_type);
        return NGX_OK;
    }

    ctx->content_type.data = ngx_pstrdup(r->pool, value);
    if (ctx->content_type.data == NULL) {
        return NGX_ERROR;
    }

    ctx->content_type.len = value->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_field_length(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value)
{
    off_t  n;

    n = ngx_atoof(value->data, value->len);

    if (n == (off_t) NGX_ERROR || (ctx->length != -1 && ctx->length != n)) {
        return NGX_DECLINED;
    }

    ctx->length = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_field_transfer(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value)
{
    if (value->len == 7
        && ngx_strncasecmp(value->data, (u_char *) "chunked", 7) == 0)
    {
        ctx->chunks = 1;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_pulse_gateway_field_encoding(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value)
{
    if (value->len
        && (value->len != 8
            || ngx_strncasecmp(value->data, (u_char *) "identity", 8) != 0))
    {
        ctx->encoded = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_field_connection(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value)
{
    if (ngx_strlcasestrn(value->data, value->data + value->len,
                         (u_char *) "close", 5 - 1)
        != NULL)
    {
        r->upstream->headers_in.connection_close = 1;
    }

    return NGX_OK;
}


/* RFC 9110, 10.2.3: seconds or a date */

static ngx_int_t
ngx_http_pulse_gateway_field_retry(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value)
{
    time_t  n;

    n = ngx_atotm(value->data, value->len);

    if (n == (time_t) NGX_ERROR) {
        n = ngx_parse_http_time(value->data, value->len);

        if (n != (time_t) NGX_ERROR) {
            n -= ngx_time();
        }
    }

    if (n > 0 && ctx->retry_after == 0) {
        ctx->retry_after = ngx_min(n, NGX_HTTP_PULSE_GATEWAY_RETRY_MAX / 1000)
                           * 1000;
    }

    return NGX_OK;
}


/* of OpenAI: the more exact of the two */

static ngx_int_t
ngx_http_pulse_gateway_field_retry_ms(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n > 0) {
        ctx->retry_after = ngx_min(n, NGX_HTTP_PULSE_GATEWAY_RETRY_MAX);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_header_done(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (ctx->status.code < NGX_HTTP_OK) {

        /* 100 and 103 announce the answer */

        if (ctx->status.code == 101) {
            ctx->broken = 1;
            return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        }

        ngx_memzero(&ctx->status, sizeof(ngx_http_status_t));
        ctx->length = -1;
        ctx->chunks = 0;
        r->state = 0;

        if (u->state) {
            u->state->status = 0;
        }

        u->process_header = ngx_http_pulse_gateway_status_line;

        return ngx_http_pulse_gateway_status_line(r);
    }

    if (ctx->chunks && ctx->length != -1) {

        /* RFC 9112, 6.3: the coding wins, and the connection is suspect */

        u->headers_in.connection_close = 1;
        ctx->length = -1;
    }

    if (ctx->encoded) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent an encoded body",
                      &ctx->record->provider);
        ctx->broken = 1;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    u->headers_in.status_n = NGX_HTTP_OK;
    u->headers_in.content_length_n = -1;

    if (ctx->status.code == NGX_HTTP_OK && ctx->sse && ctx->chat.stream) {
        return ngx_http_pulse_gateway_stream(r, ctx);
    }

    u->process_header = ngx_http_pulse_gateway_collect;

    return ngx_http_pulse_gateway_collect(r);
}


/*
 * A body that is no stream is taken here, as part of the "header": so it is
 * known whole before anything is decided, and another candidate can still
 * be asked.  One that ends with its connection cannot be awaited here, nginx
 * takes the end for a failure; it comes through the filter.
 */

static ngx_int_t
ngx_http_pulse_gateway_collect(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_upstream_t           *u;
    ngx_http_pulse_provider_t     *provider;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    u = r->upstream;
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_gateway_module);

    rc = ngx_http_pulse_gateway_body(r, ctx, &u->buffer);

    /* the bytes were copied */

    u->buffer.pos = u->buffer.start;
    u->buffer.last = u->buffer.start;

    if (ctx->broken) {

        /* it goes on as a failure that is not worth another try */

        u->keepalive = 0;
        rc = NGX_DONE;
    }

    if (rc == NGX_ERROR) {
        ctx->broken = 1;
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (rc == NGX_AGAIN) {

        if (ctx->chunks || ctx->length != -1) {
            provider = ctx->route.elts[ctx->candidate].provider;

            ngx_add_timer(u->peer.connection->read,
                          provider->reading.read_timeout);
            return NGX_AGAIN;
        }

        if (ctx->status.code < NGX_HTTP_INTERNAL_SERVER_ERROR
            && ctx->status.code != NGX_HTTP_TOO_MANY_REQUESTS
            && ctx->status.code != NGX_HTTP_REQUEST_TIME_OUT)
        {
            r->header_sent = 0;
            return NGX_OK;
        }
    }

    /* of an early header nginx knows nothing; its own is held back */

    r->header_sent = 0;

    ctx->complete = 1;

    ngx_http_pulse_gateway_verdict(r, ctx);

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_body(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_buf_t *b)
{
    off_t                 size;
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (!ctx->chunks) {
        size = b->last - b->pos;

        if (ctx->length != -1) {
            size = ngx_min(size, ctx->length);
        }

        rc = ngx_http_pulse_gateway_take(ctx, b->pos, (size_t) size);

        if (rc != NGX_OK) {
            return rc;
        }

        b->pos += size;

        if (ctx->length == -1) {
            return NGX_AGAIN;
        }

        ctx->length -= size;

        if (ctx->length) {
            return NGX_AGAIN;
        }

        u->keepalive = !u->headers_in.connection_close && b->pos == b->last;

        return NGX_DONE;
    }

    for ( ;; ) {

        rc = ngx_http_pulse_parse_chunked(r, b, &ctx->chunked);

        if (rc == NGX_OK) {
            size = ngx_min(b->last - b->pos, ctx->chunked.size);

            rc = ngx_http_pulse_gateway_take(ctx, b->pos, (size_t) size);

            if (rc != NGX_OK) {
                return rc;
            }

            b->pos += size;
            ctx->chunked.size -= size;

            continue;
        }

        if (rc == NGX_DONE) {

            /* only here nothing is left on the connection */

            u->keepalive = !u->headers_in.connection_close
                           && b->pos == b->last;
            return NGX_DONE;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent an invalid chunk",
                      &ctx->record->provider);
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_http_pulse_gateway_take(ngx_http_pulse_gateway_ctx_t *ctx, u_char *p,
    size_t len)
{
    if (!ctx->hold) {
        return ngx_http_pulse_gateway_feed(ctx, p, len);
    }

    ngx_pulse_buf_append(&ctx->body, p, len);

    if (ctx->body.failed && !ctx->broken) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent too long a body",
                      &ctx->record->provider);
        ctx->broken = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_filter_init(void *data)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    u->conf = ctx->ended
              ? &ctx->route.elts[ctx->candidate].provider->ending
              : &ctx->route.elts[ctx->candidate].provider->reading;

    if (ctx->complete) {
        u->length = 0;

    } else if (ctx->chunks) {
        u->length = 1;

    } else {
        u->length = ctx->length;        /* -1: until the connection ends */
        u->keepalive = (ctx->length == 0 && !u->headers_in.connection_close);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_filter(void *data, ssize_t bytes)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;
    b = &u->buffer;

    /* last goes on although bytes are copied: so a slow client is felt */

    b->pos = b->last;
    b->last += bytes;

    ngx_http_pulse_gateway_append(ctx);

    if (ctx->begun) {

        /* the byte that was left; its body was read before the first token */

        ctx->begun = 0;
        rc = ctx->first;

    } else {
        rc = ngx_http_pulse_gateway_body(ctx->request, ctx, b);
    }

    b->pos = b->last;

    if (ctx->out) {
        ctx->out->flush = 1;
    }

    if (rc == NGX_ABORT) {
        return NGX_ERROR;
    }

    if (ctx->draining) {
        ctx->drained += bytes;
    }

    if (rc == NGX_ERROR || ctx->broken) {
        u->error = 1;

    } else if (rc == NGX_DONE || ctx->cut
               || (ctx->draining
                   && ctx->drained > ngx_http_pulse_gateway_drain_max(ctx)
                   && !ngx_http_pulse_gateway_lasts(ctx)))
    {
        u->length = 0;

    } else if (ctx->ended && !ctx->chunks && ctx->length == -1) {
        u->length = 0;

    } else if (!ctx->chunks) {
        u->length = ctx->length;
    }

    return NGX_OK;
}
