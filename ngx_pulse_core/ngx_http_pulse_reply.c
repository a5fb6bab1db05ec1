
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_pulse.h"
#include "ngx_http_pulse_reply.h"


/* Answers that the studio gives itself, and headers. */


#define NGX_HTTP_PULSE_META_MAX   256


static ngx_int_t ngx_http_pulse_send(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *content_type, u_char *data, size_t len);


static ngx_str_t  ngx_http_pulse_json_type =
    ngx_string("application/json; charset=utf-8");

static ngx_str_t  ngx_http_pulse_no_store = ngx_string("no-store");


ngx_int_t
ngx_http_pulse_reply(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *data)
{
    ngx_pulse_buf_t          *b;
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record(r);
    b = ngx_http_pulse_buf(r, 0);

    if (record == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_pulse_buf_reserve(b, data->len + NGX_HTTP_PULSE_META_MAX);

    ngx_pulse_buf_literal(b, "{\"data\":");
    ngx_pulse_buf_str(b, data);
    ngx_pulse_buf_char(b, ',');
    ngx_http_pulse_meta(record, b);
    ngx_pulse_buf_char(b, '}');

    return ngx_http_pulse_send_json(r, status, b);
}


ngx_int_t
ngx_http_pulse_reply_raw(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *content_type, const ngx_str_t *body)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, body->len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(p, body->data, body->len);

    return ngx_http_pulse_send(r, status, content_type, p, body->len);
}


void
ngx_http_pulse_meta(ngx_http_pulse_record_t *record, ngx_pulse_buf_t *b)
{
    u_char  text[24];

    ngx_pulse_rfc3339(text, ngx_pulse_now());

    ngx_pulse_buf_literal(b, "\"meta\":{\"timestamp\":\"");
    ngx_pulse_buf_append(b, text, sizeof(text));
    ngx_pulse_buf_literal(b, "\",\"trace_id\":\"");
    ngx_pulse_buf_str(b, &record->trace_id);
    ngx_pulse_buf_literal(b, "\"}");
}


ngx_pulse_buf_t *
ngx_http_pulse_buf(ngx_http_request_t *r, size_t max)
{
    ngx_pulse_buf_t  *b;

    b = ngx_palloc(r->pool, sizeof(ngx_pulse_buf_t));

    if (b == NULL || ngx_pulse_buf_init_pool(b, max, r->pool) != NGX_OK) {
        return NULL;
    }

    return b;
}


ngx_int_t
ngx_http_pulse_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_pulse_buf_t *b)
{
    if (b->failed) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse reply: the answer is too long or no memory");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_pulse_send(r, status, &ngx_http_pulse_json_type, b->data,
                               b->len);
}


static ngx_int_t
ngx_http_pulse_send(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *content_type, u_char *data, size_t len)
{
    u_char       *p;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (ngx_http_discard_request_body(r) != NGX_OK) {

        /* what follows on the connection is not a request */

        r->keepalive = 0;
    }

    if (r->uri.len >= 4 && ngx_strncmp(r->uri.data, "/v1", 3) == 0
        && ngx_http_pulse_find_header(r, "Cache-Control",
                                      sizeof("Cache-Control") - 1)
           == NULL
        && ngx_http_pulse_set_header(r, "Cache-Control",
                                     &ngx_http_pulse_no_store)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = len;
    r->headers_out.content_type = *content_type;
    r->headers_out.content_type_lowcase = NULL;

    /* what gzip_types and the like compare: the type less its parameters */

    p = ngx_strlchr(content_type->data,
                    content_type->data + content_type->len, ';');

    r->headers_out.content_type_len = p ? (size_t) (p - content_type->data)
                                        : content_type->len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = data;
    b->last = data + len;
    b->memory = len ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_pulse_set_header(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value)
{
    size_t            len;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    h = ngx_http_pulse_find_header(r, name, len);

    if (h == NULL) {
        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        h->hash = 1;
        h->key.data = (u_char *) name;
        h->key.len = len;
        h->lowcase_key = NULL;
        ngx_http_pulse_header_single(h);
    }

    h->value = *value;

    return NGX_OK;
}


ngx_table_elt_t *
ngx_http_pulse_find_header(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part != NULL; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash && h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}


ngx_str_t *
ngx_http_pulse_header(ngx_http_request_t *r, const char *lowcase, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == len
                && ngx_memcmp(h[i].lowcase_key, lowcase, len) == 0)
            {
                return &h[i].value;
            }
        }
    }

    return NULL;
}
