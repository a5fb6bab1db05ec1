
#include "ngx_http_pulse_gateway.h"


/*
 * The answer to a request with an idempotency key is kept as it goes to the
 * client, by the filters that are ahead of all others, for those who ask
 * again.  The store gets it with its last byte; the client does not wait for
 * that.  What is not kept was charged nevertheless, and is never asked for
 * twice.
 */


#define NGX_HTTP_PULSE_KEEP_MAX  (1024 * 1024)


static void ngx_http_pulse_gateway_keep_send(ngx_http_request_t *r,
    ngx_http_pulse_claim_t *claim);
static void ngx_http_pulse_gateway_keep_handler(void *data,
    ngx_pulse_pg_result_t *res);
static ngx_uint_t ngx_http_pulse_gateway_keep_wanted(ngx_table_elt_t *h);
static ngx_int_t ngx_http_pulse_gateway_keep_headers(ngx_http_request_t *r,
    ngx_str_t *lines);
static ngx_int_t ngx_http_pulse_gateway_keep_decode(ngx_http_request_t *r,
    ngx_str_t *text, ngx_str_t *body);


static ngx_pulse_pg_statement_t  ngx_http_pulse_gateway_keep_statement = {
    "idempotency_keep", "SELECT idempotency_keep($1, $2, $3, $4, $5)", 5
};


static ngx_pulse_metric_t  ngx_http_pulse_gateway_keep_metrics[] = {

    { "pulse_idempotency_answers_total", "outcome=\"kept\"",
      "Answers to requests with an idempotency key.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_idempotency_answers_total", "outcome=\"too_long\"",
      "Answers to requests with an idempotency key.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_idempotency_answers_total", "outcome=\"lost\"",
      "Answers to requests with an idempotency key.",
      NGX_PULSE_METRIC_COUNTER, 0 }
};

#define NGX_HTTP_PULSE_KEEP_KEPT      0
#define NGX_HTTP_PULSE_KEEP_TOO_LONG  1
#define NGX_HTTP_PULSE_KEEP_LOST      2
#define NGX_HTTP_PULSE_KEEP_NOUTCOMES 3

#define ngx_http_pulse_gateway_keep_count(outcome)                            \
    ngx_pulse_metric_add(&ngx_http_pulse_gateway_keep_metrics[outcome], 1)


ngx_int_t
ngx_http_pulse_gateway_keep_init(ngx_conf_t *cf)
{
    if (ngx_pulse_pg_register(cf, &ngx_http_pulse_gateway_keep_statement)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_metrics_register(cf,
                                      ngx_http_pulse_gateway_keep_metrics,
                                      NGX_HTTP_PULSE_KEEP_NOUTCOMES);
}


void
ngx_http_pulse_gateway_keep_header(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_uint_t               i;
    ngx_list_part_t         *part;
    ngx_table_elt_t         *h;
    ngx_http_pulse_claim_t  *claim;

    claim = ctx->claim;

    if (claim == NULL || !claim->taken) {
        return;
    }

    claim->status = r->headers_out.status;
    claim->type = r->headers_out.content_type;

    claim->headers.len = 0;
    claim->body.max = NGX_HTTP_PULSE_KEEP_MAX;

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash && ngx_http_pulse_gateway_keep_wanted(&h[i])) {
            ngx_pulse_buf_str(&claim->headers, &h[i].key);
            ngx_pulse_buf_literal(&claim->headers, ": ");
            ngx_pulse_buf_str(&claim->headers, &h[i].value);
            ngx_pulse_buf_char(&claim->headers, LF);
        }
    }
}


/* Those that speak of the answer, not of the moment. */

static ngx_uint_t
ngx_http_pulse_gateway_keep_wanted(ngx_table_elt_t *h)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("X-Pulse-Provider"),
        ngx_string("X-Pulse-Model"),
        ngx_string("X-Pulse-Attempts"),
        ngx_string("X-Pulse-Hops"),
        ngx_string("X-Pulse-Warning"),
        ngx_string("X-Usage-Event"),
        ngx_string("X-Usage-Clamped"),
        ngx_string("Cache-Control")
    };

    for (i = 0; i < sizeof(names) / sizeof(ngx_str_t); i++) {

        if (h->key.len == names[i].len
            && ngx_strncasecmp(h->key.data, names[i].data, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_pulse_gateway_keep_body(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_buf_t               *b;
    ngx_uint_t               last;
    ngx_chain_t             *cl;
    ngx_http_pulse_claim_t  *claim;

    claim = ctx->claim;

    if (claim == NULL || !claim->taken) {
        return;
    }

    last = 0;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            ngx_pulse_buf_append(&claim->body, b->pos, b->last - b->pos);
        }

        last |= b->last_buf;
    }

    if (last) {
        ngx_http_pulse_gateway_keep_send(r, claim);

        /* nothing follows that is of the answer */

        claim->taken = 0;
    }
}


static void
ngx_http_pulse_gateway_keep_send(ngx_http_request_t *r,
    ngx_http_pulse_claim_t *claim)
{
    u_char     id[NGX_HTTP_PULSE_UUID_LEN], status[NGX_INT_T_LEN], *p;
    ngx_int_t  rc;
    ngx_str_t  params[5];

    if (ngx_http_pulse_usage_event(r, id) != NGX_OK) {

        /* nothing was charged: the key is free again */

        return;
    }

    if (claim->body.failed) {
        ngx_http_pulse_gateway_keep_count(NGX_HTTP_PULSE_KEEP_TOO_LONG);
        return;
    }

    p = ngx_alloc(2 + 2 * claim->body.len, r->connection->log);

    rc = NGX_ERROR;

    if (p != NULL && !claim->headers.failed && ngx_http_pulse_pg_pool) {
        p[0] = '\\';
        p[1] = 'x';

        params[0].data = id;
        params[0].len = NGX_HTTP_PULSE_UUID_LEN;
        params[1].data = status;
        params[1].len = ngx_sprintf(status, "%ui", claim->status) - status;
        params[2] = claim->type;
        params[3].data = claim->headers.data;
        params[3].len = claim->headers.len;
        params[4].data = p;
        params[4].len = ngx_hex_dump(p + 2, claim->body.data, claim->body.len)
                        - p;

        rc = ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                                &ngx_http_pulse_gateway_keep_statement, params,
                                0, ngx_http_pulse_gateway_keep_handler, NULL);
    }

    if (p) {
        ngx_free(p);
    }

    if (rc != NGX_OK) {
        ngx_http_pulse_gateway_keep_count(NGX_HTTP_PULSE_KEEP_LOST);
    }
}


static void
ngx_http_pulse_gateway_keep_handler(void *data, ngx_pulse_pg_result_t *res)
{
    if (res->status == NGX_PULSE_PG_OK) {
        ngx_http_pulse_gateway_keep_count(NGX_HTTP_PULSE_KEEP_KEPT);
        return;
    }

    ngx_http_pulse_gateway_keep_count(NGX_HTTP_PULSE_KEEP_LOST);

    if (res->status == NGX_PULSE_PG_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "pulse gateway: idempotency_keep: %s: %s",
                      res->sqlstate, res->message);
    }
}


ngx_int_t
ngx_http_pulse_gateway_keep_reply(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_pg_result_t *res)
{
    ngx_str_t  type, lines, text, body;

    static ngx_str_t  yes = ngx_string("true");

    text = ngx_pulse_pg_value(res, 0, 3);
    type.len = text.len;
    type.data = ngx_pstrdup(r->pool, &text);

    /* the result goes, headers are sent from the pool */

    text = ngx_pulse_pg_value(res, 0, 4);
    lines.len = text.len;
    lines.data = ngx_pstrdup(r->pool, &text);

    text = ngx_pulse_pg_value(res, 0, 5);

    if (type.data == NULL || lines.data == NULL
        || ngx_http_pulse_gateway_keep_decode(r, &text, &body) != NGX_OK
        || ngx_http_pulse_gateway_headers_common(r, ctx) != NGX_OK
        || ngx_http_pulse_gateway_keep_headers(r, &lines) != NGX_OK
        || ngx_http_pulse_set_header(r, "Idempotent-Replayed", &yes)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_pulse_reply_raw(r, ngx_pulse_pg_int(res, 0, 2), &type,
                                    &body);
}


/* Lines of our own: "Name: value". */

static ngx_int_t
ngx_http_pulse_gateway_keep_headers(ngx_http_request_t *r, ngx_str_t *lines)
{
    u_char     *p, *last, *colon, *end;
    ngx_str_t   value;

    p = lines->data;
    last = p + lines->len;

    while (p < last) {
        end = ngx_strlchr(p, last, LF);
        colon = ngx_strlchr(p, last, ':');

        if (end == NULL || colon == NULL || colon + 2 > end) {
            return NGX_ERROR;
        }

        *colon = '\0';

        value.data = colon + 2;
        value.len = end - value.data;

        if (ngx_http_pulse_set_header(r, (char *) p, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        p = end + 1;
    }

    return NGX_OK;
}


/* As the store writes bytea: \x and two digits for each. */

static ngx_int_t
ngx_http_pulse_gateway_keep_decode(ngx_http_request_t *r, ngx_str_t *text,
    ngx_str_t *body)
{
    u_char     *p;
    size_t      i;
    ngx_int_t   ch;

    if (text->len < 2 || text->len % 2 != 0) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, text->len / 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = text->len / 2 - 1;

    for (i = 2; i < text->len; i += 2) {
        ch = ngx_hextoi(text->data + i, 2);

        if (ch == NGX_ERROR) {
            return NGX_ERROR;
        }

        *p++ = (u_char) ch;
    }

    return NGX_OK;
}
