
#include "ngx_http_pulse.h"


static ngx_int_t ngx_http_pulse_body_room(ngx_http_request_t *r);
static void ngx_http_pulse_body_return(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_body_joined(ngx_http_request_t *r,
    ngx_str_t *body);


ngx_int_t
ngx_http_pulse_body_begun(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_REQUEST_TOO_LARGE,
                                    NULL);
    }

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


ngx_int_t
ngx_http_pulse_read_body(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    if (ngx_http_pulse_body_room(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_read_client_request_body(r, handler);
}


/*
 * Of most bodies the beginning came with the header, and nginx reads the rest
 * into another buffer, unless the first has room for it.  So it is given one
 * that has room for just that body: a body of many megabytes is neither
 * copied nor held twice to have it in one piece.
 */

static ngx_int_t
ngx_http_pulse_body_room(ngx_http_request_t *r)
{
    off_t                      len;
    size_t                     came;
    ngx_buf_t                 *b, *in;
    ngx_http_core_loc_conf_t  *clcf;

    in = r->header_in;
    len = r->headers_in.content_length_n;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r != r->main || r->request_body || r->discard_body
        || r->headers_in.chunked || r->http_version >= NGX_HTTP_VERSION_20
        || len > (off_t) clcf->client_body_buffer_size)
    {
        return NGX_OK;
    }

    came = in->last - in->pos;

    if (came == 0 || len <= (off_t) came + (in->end - in->last)) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    /* not within the pool's blocks: so it can be given back */

    b->start = ngx_pmemalign(r->pool, len, NGX_ALIGNMENT);
    if (b->start == NULL) {
        return NGX_ERROR;
    }

    b->pos = b->start;
    b->last = ngx_cpymem(b->start, in->pos, came);
    b->end = b->start + len;
    b->temporary = 1;
    b->tag = (ngx_buf_tag_t) &ngx_http_pulse_module;
    b->shadow = in;

    in->pos = in->last;
    r->header_in = b;

    return NGX_OK;
}


/*
 * A connection that is kept looks for the next request behind this one, after
 * the request's pool is gone: in the buffer that it had before, and which has
 * nothing more.  While a body is being read no connection is kept.
 */

static void
ngx_http_pulse_body_return(ngx_http_request_t *r)
{
    if (r->header_in
        && r->header_in->tag == (ngx_buf_tag_t) &ngx_http_pulse_module)
    {
        r->header_in = r->header_in->shadow;
    }
}


ngx_int_t
ngx_http_pulse_body(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char       *p;
    size_t        len;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *bufs;

    ngx_http_pulse_body_return(r);

    ngx_str_set(body, "");

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    bufs = r->request_body->bufs;

    /* what ngx_http_pulse_read_body() made room for is in one piece */

    for (cl = bufs; cl->next != NULL; cl = cl->next) {
        if (cl->buf->last != cl->next->buf->pos) {
            break;
        }
    }

    if (cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        body->data = bufs->buf->pos;
        body->len = cl->buf->last - bufs->buf->pos;
        return NGX_OK;
    }

    len = 0;

    for (cl = bufs; cl != NULL; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = p;

    for (cl = bufs; cl != NULL; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        if (!b->in_file) {
            continue;
        }

        len = b->file_last - b->file_pos;

        n = ngx_read_file(b->file, p, len, b->file_pos);

        if (n == NGX_ERROR || (size_t) n != len) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "pulse api: the body's file \"%V\" is cut short",
                          &b->file->name);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += len;
    }

    body->len = p - body->data;

    return ngx_http_pulse_body_joined(r, body);
}


/*
 * The whole takes the place of its pieces.  What nginx allocated for one is
 * given back, if it was large: nothing reads it again, and a body of some
 * megabytes would be held twice as long as its answer takes.
 */

static ngx_int_t
ngx_http_pulse_body_joined(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *joined;

    b = ngx_calloc_buf(r->pool);
    joined = ngx_alloc_chain_link(r->pool);

    if (b == NULL || joined == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->start = body->data;
    b->pos = body->data;
    b->last = body->data + body->len;
    b->end = b->last;
    b->memory = 1;
    b->last_buf = 1;

    joined->buf = b;
    joined->next = NULL;

    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {
        if (cl->buf->temporary) {
            (void) ngx_pfree(r->pool, cl->buf->start);
        }
    }

    r->request_body->bufs = joined;
    r->request_body->buf = NULL;

    return NGX_OK;
}


void
ngx_http_pulse_body_free(ngx_http_request_t *r, ngx_str_t *body)
{
    if (r->request_body == NULL
        || ngx_pfree(r->pool, body->data) != NGX_OK)
    {
        return;
    }

    ngx_str_null(body);

    /* they point into it; $request_body has none from here on */

    r->request_body->bufs = NULL;
    r->request_body->buf = NULL;
}
