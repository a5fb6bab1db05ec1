
#include "ngx_http_pulse_docs.h"
#include "ngx_http_pulse_moderation.h"


/*
 * Requests for the sidecar.  Who asks is known here, and told in a header
 * that no client can set: none of the client's own is passed on.
 */


#define NGX_HTTP_PULSE_DOCS_HEADER_MAX  (32 * 1024)
#define NGX_HTTP_PULSE_DOCS_TOKEN       600     /* s, longer than any answer */


typedef struct {
    ngx_http_request_t         *request;
    ngx_http_pulse_record_t    *record;
    ngx_http_status_t           status;
    ngx_str_t                   type;       /* of the answer, empty: JSON */
    off_t                       length;     /* of the answer, -1: not said */
} ngx_http_pulse_docs_ctx_t;


typedef ngx_int_t (*ngx_http_pulse_docs_field_pt)(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value);


typedef struct {
    ngx_str_t                      name;
    ngx_http_pulse_docs_field_pt   handler;     /* NULL: passed on */
} ngx_http_pulse_docs_field_t;


static ngx_uint_t ngx_http_pulse_docs_is_form(ngx_http_request_t *r);
static void ngx_http_pulse_docs_body_handler(ngx_http_request_t *r);
static void ngx_http_pulse_docs_feature_handler(ngx_http_request_t *r,
    void *data, ngx_pulse_pg_result_t *res);
static ngx_int_t ngx_http_pulse_docs_feature(ngx_http_request_t *r,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_docs_pass(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_docs_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_docs_private(ngx_http_request_t *r,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_docs_proof(ngx_http_request_t *r,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_docs_header(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value);
static off_t ngx_http_pulse_docs_copy_body(ngx_http_request_t *r,
    ngx_chain_t **chain);
static ngx_int_t ngx_http_pulse_docs_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_docs_status_line(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_docs_read_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_docs_field(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_docs_field_length(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_docs_field_type(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_docs_field_code(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_docs_field_moderated(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_docs_pass_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
static ngx_int_t ngx_http_pulse_docs_filter_init(void *data);
static ngx_int_t ngx_http_pulse_docs_filter(void *data, ssize_t bytes);
static void ngx_http_pulse_docs_abort_request(ngx_http_request_t *r);
static void ngx_http_pulse_docs_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);


/* all that the sidecar says in its header besides the status */

static ngx_http_pulse_docs_field_t  ngx_http_pulse_docs_fields[] = {
    { ngx_string("Content-Length"), ngx_http_pulse_docs_field_length },
    { ngx_string("X-Pulse-Code"), ngx_http_pulse_docs_field_code },
    { ngx_string("X-Pulse-Moderated"), ngx_http_pulse_docs_field_moderated },
    { ngx_string("Content-Type"), ngx_http_pulse_docs_field_type },
    { ngx_string("Content-Disposition"), NULL },
    { ngx_string("Location"), NULL },
    { ngx_string("Allow"), NULL },
    { ngx_string("Retry-After"), NULL },
    { ngx_string("x-should-retry"), NULL },
    { ngx_string("Idempotent-Replayed"), NULL },
    { ngx_string("X-Usage-Tokens"), NULL },
    { ngx_string("X-Usage-Images"), NULL },
    { ngx_string("X-Usage-Videos"), NULL },
    { ngx_string("X-Usage-Warning"), NULL },
    { ngx_null_string, NULL }
};


ngx_pulse_pg_statement_t  ngx_http_pulse_docs_feature_statement = {
    "pulse_docs_feature", "SELECT feature_refusal($1::uuid, $2)", 2
};


ngx_int_t
ngx_http_pulse_docs_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_http_pulse_record_t          *record;
    ngx_http_pulse_docs_loc_conf_t   *dlcf;
    ngx_http_pulse_docs_main_conf_t  *dmcf;

    record = ngx_http_pulse_record(r);
    if (record == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_docs_module);

    if (!dlcf->open && record->user_id.len == 0) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_UNAUTHORIZED, NULL);
    }

    dmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_docs_module);

    if (dmcf->sidecar.sockaddr == NULL) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_SERVICE_UNAVAILABLE,
                                    NULL);
    }

    if (!dlcf->open
        && (r->headers_in.content_length_n > 0 || r->headers_in.chunked)
        && !ngx_http_pulse_is_json(r)
        && !(dlcf->form && ngx_http_pulse_docs_is_form(r)))
    {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_UNSUPPORTED_MEDIA_TYPE,
                                    NULL);
    }

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_pulse_docs_body_handler);

    return ngx_http_pulse_body_begun(r, rc);
}


static ngx_uint_t
ngx_http_pulse_docs_is_form(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    static ngx_str_t  form = ngx_string("multipart/form-data");

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len >= form.len
           && ngx_strncasecmp(type->data, form.data, form.len) == 0;
}


/* From here on body reading holds the request. */

static void
ngx_http_pulse_docs_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_str_t                        params[2];
    ngx_http_pulse_record_t         *record;
    ngx_http_pulse_docs_loc_conf_t  *dlcf;

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_docs_module);

    if (dlcf->feature.len == 0) {
        ngx_http_pulse_docs_pass(r);
        return;
    }

    record = ngx_http_pulse_record(r);
    params[0] = record->user_id;
    params[1] = dlcf->feature;

    /* a plan is not known here: it may have changed a moment ago */

    rc = ngx_http_pulse_pg(r, &ngx_http_pulse_docs_feature_statement, params,
                           ngx_http_pulse_docs_feature_handler, NULL);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }
}


static void
ngx_http_pulse_docs_feature_handler(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_int_t  rc;

    rc = ngx_http_pulse_docs_feature(r, res);

    if (rc != NGX_DECLINED) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    ngx_http_pulse_docs_pass(r);
}


/* NGX_DECLINED if the plan has the feature, else what was answered. */

static ngx_int_t
ngx_http_pulse_docs_feature(ngx_http_request_t *r, ngx_pulse_pg_result_t *res)
{
    ngx_str_t                        code, details;
    ngx_pulse_buf_t                 *b;
    ngx_http_pulse_main_conf_t      *pmcf;
    ngx_http_pulse_docs_loc_conf_t  *dlcf;

    if (res->status != NGX_PULSE_PG_OK) {
        return ngx_http_pulse_reply_row(r, res);
    }

    code = ngx_pulse_pg_value(res, 0, 0);

    if (code.data == NULL) {
        return NGX_DECLINED;
    }

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);
    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_docs_module);

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_pulse_buf_literal(b, "{\"feature\":");
    ngx_pulse_buf_json(b, dlcf->feature.data, dlcf->feature.len);
    ngx_pulse_buf_literal(b, ",\"upgrade_url\":");
    ngx_pulse_buf_json(b, pmcf->upgrade_url.data, pmcf->upgrade_url.len);
    ngx_pulse_buf_char(b, '}');

    if (b->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    details.data = b->data;
    details.len = b->len;

    return ngx_http_pulse_error(r, ngx_http_pulse_code_find(&code), &details);
}


static void
ngx_http_pulse_docs_pass(ngx_http_request_t *r)
{
    ngx_http_upstream_t              *u;
    ngx_http_pulse_docs_ctx_t        *ctx;
    ngx_http_pulse_docs_loc_conf_t   *dlcf;
    ngx_http_pulse_docs_main_conf_t  *dmcf;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_docs_ctx_t));

    if (ctx == NULL || ngx_http_upstream_create(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    dmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_docs_module);
    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_docs_module);

    ctx->request = r;
    ctx->record = ngx_http_pulse_record(r);
    ctx->length = -1;

    ngx_http_set_ctx(r, ctx, ngx_http_pulse_docs_module);

    u = r->upstream;
    r->state = 0;

    ngx_str_set(&u->schema, "http://");

    u->output.tag = (ngx_buf_tag_t) &ngx_http_pulse_docs_module;
    u->conf = &dlcf->upstream;
    u->resolved = &dmcf->sidecar;

    u->create_request = ngx_http_pulse_docs_create_request;
    u->reinit_request = ngx_http_pulse_docs_reinit_request;
    u->process_header = ngx_http_pulse_docs_status_line;
    u->abort_request = ngx_http_pulse_docs_abort_request;
    u->finalize_request = ngx_http_pulse_docs_finalize_request;

    u->input_filter_init = ngx_http_pulse_docs_filter_init;
    u->input_filter = ngx_http_pulse_docs_filter;
    u->input_filter_ctx = ctx;

    ngx_http_upstream_init(r);
}


static ngx_int_t
ngx_http_pulse_docs_create_request(ngx_http_request_t *r)
{
    off_t                        length;
    ngx_buf_t                   *buf;
    ngx_str_t                    moderation;
    ngx_chain_t                 *cl;
    ngx_pulse_buf_t             *b;
    ngx_http_pulse_record_t     *record;
    ngx_http_pulse_main_conf_t  *pmcf;

    static ngx_str_t  locales[] = { ngx_string("ar"), ngx_string("en") };

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);
    record = ngx_http_pulse_record(r);
    moderation = ngx_http_pulse_moderation_header(r);

    cl = ngx_alloc_chain_link(r->pool);
    buf = ngx_calloc_buf(r->pool);
    b = ngx_http_pulse_buf(r, NGX_HTTP_PULSE_DOCS_HEADER_MAX);

    if (cl == NULL || buf == NULL || b == NULL) {
        return NGX_ERROR;
    }

    cl->buf = buf;
    length = ngx_http_pulse_docs_copy_body(r, &cl->next);

    if (length == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (r->method == NGX_HTTP_HEAD) {
        ngx_pulse_buf_literal(b, "GET");

    } else {
        ngx_pulse_buf_str(b, &r->method_name);
    }

    ngx_pulse_buf_char(b, ' ');
    ngx_pulse_buf_str(b, &r->unparsed_uri);
    ngx_pulse_buf_literal(b, " HTTP/1.0" CRLF "Host: sidecar" CRLF);

    ngx_http_pulse_docs_header(b, "X-Pulse-User", &record->user_id);
    ngx_http_pulse_docs_header(b, "X-Pulse-Locale", &locales[record->locale]);
    ngx_http_pulse_docs_header(b, "X-Pulse-Url", &pmcf->public_url);
    ngx_http_pulse_docs_header(b, "X-Pulse-Moderation", &moderation);
    ngx_http_pulse_docs_header(b, "X-Pulse-Upgrade", &pmcf->upgrade_url);
    ngx_http_pulse_docs_header(b, "X-Trace-ID", &record->trace_id);
    ngx_http_pulse_docs_header(b, "Traceparent", &record->traceparent);

    if (ngx_http_pulse_docs_private(r, b) != NGX_OK) {
        return NGX_ERROR;
    }

    if (length) {
        ngx_pulse_buf_literal(b, "Content-Length: ");
        ngx_pulse_buf_int(b, length);
        ngx_pulse_buf_literal(b, CRLF);
    }

    ngx_pulse_buf_literal(b, CRLF);

    if (b->failed) {
        return NGX_ERROR;
    }

    buf->start = b->data;
    buf->pos = b->data;
    buf->last = b->data + b->len;
    buf->end = buf->last;
    buf->temporary = 1;

    r->upstream->request_bufs = cl;

    return NGX_OK;
}


/* What is said of some requests only: how they are to be answered, the key
 * under which that is kept, and the token to ask the gateway with. */

static ngx_int_t
ngx_http_pulse_docs_private(ngx_http_request_t *r, ngx_pulse_buf_t *b)
{
    ngx_str_t                       *key, *accept, chat;
    ngx_pulse_buf_t                 *token;
    ngx_http_pulse_docs_loc_conf_t  *dlcf;

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_docs_module);

    if (dlcf->open) {
        ngx_http_pulse_docs_proof(r, b);
        return NGX_OK;
    }

    /* an answer may come as a stream */

    accept = ngx_http_pulse_header(r, "accept", sizeof("accept") - 1);

    if (accept != NULL) {
        ngx_http_pulse_docs_header(b, "Accept", accept);
    }

    key = ngx_http_pulse_header(r, "idempotency-key",
                                sizeof("idempotency-key") - 1);

    if (key != NULL && r->method == NGX_HTTP_POST) {
        ngx_http_pulse_docs_header(b, "X-Pulse-Key", key);
    }

    if (dlcf->form && r->headers_in.content_type) {

        /* it has the boundary */

        ngx_http_pulse_docs_header(b, "Content-Type",
                                   &r->headers_in.content_type->value);
    }

    if (!dlcf->chat) {
        return NGX_OK;
    }

    token = ngx_http_pulse_buf(r, 0);

    if (token == NULL
        || ngx_http_pulse_auth_delegate(r, NGX_HTTP_PULSE_DOCS_TOKEN, token)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    chat.data = token->data;
    chat.len = token->len;

    ngx_http_pulse_docs_header(b, "X-Pulse-Token", &chat);

    return NGX_OK;
}


/* By what those who have no account prove who they are. */

static void
ngx_http_pulse_docs_proof(ngx_http_request_t *r, ngx_pulse_buf_t *b)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    static ngx_str_t  names[] = {
        ngx_string("x-initialization-vector"),
        ngx_string("x-authentication-tag"), ngx_string("signature"),
        ngx_string("webhook-id"), ngx_string("webhook-timestamp"),
        ngx_string("webhook-signature")
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = ngx_http_pulse_header(r, (char *) names[i].data,
                                      names[i].len);
        if (value != NULL) {
            ngx_http_pulse_docs_header(b, (char *) names[i].data, value);
        }
    }
}


static void
ngx_http_pulse_docs_header(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value)
{
    if (value->len == 0) {
        return;
    }

    ngx_pulse_buf_append(b, (u_char *) name, ngx_strlen(name));
    ngx_pulse_buf_literal(b, ": ");
    ngx_pulse_buf_str(b, value);
    ngx_pulse_buf_literal(b, CRLF);
}


/* The body in buffers of our own: sending moves what they point at.  Returns
 * its length or NGX_ERROR. */

static off_t
ngx_http_pulse_docs_copy_body(ngx_http_request_t *r, ngx_chain_t **chain)
{
    off_t         length;
    ngx_buf_t    *b;
    ngx_chain_t  *body, *cl;

    length = 0;
    body = r->request_body ? r->request_body->bufs : NULL;

    for ( /* void */ ; body != NULL; body = body->next) {

        b = ngx_alloc_buf(r->pool);
        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(b, body->buf, sizeof(ngx_buf_t));

        length += ngx_buf_size(b);

        cl->buf = b;
        *chain = cl;
        chain = &cl->next;
    }

    *chain = NULL;

    return length;
}


static ngx_int_t
ngx_http_pulse_docs_reinit_request(ngx_http_request_t *r)
{
    ngx_http_pulse_docs_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_docs_module);

    ngx_memzero(&ctx->status, sizeof(ngx_http_status_t));
    ngx_str_null(&ctx->type);
    ctx->length = -1;

    r->upstream->process_header = ngx_http_pulse_docs_status_line;
    r->state = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_docs_status_line(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_upstream_t        *u;
    ngx_http_pulse_docs_ctx_t  *ctx;

    u = r->upstream;
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_docs_module);

    rc = ngx_http_parse_status_line(r, &u->buffer, &ctx->status);

    if (rc == NGX_AGAIN) {
        return rc;
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse docs: the sidecar sent no HTTP/1.x header");
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    u->state->status = ctx->status.code;
    u->process_header = ngx_http_pulse_docs_read_header;

    return ngx_http_pulse_docs_read_header(r);
}


static ngx_int_t
ngx_http_pulse_docs_read_header(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_upstream_t        *u;
    ngx_http_pulse_docs_ctx_t  *ctx;

    static ngx_str_t  no_store = ngx_string("no-store");

    u = r->upstream;
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_docs_module);

    for ( ;; ) {

        rc = ngx_http_parse_header_line(r, &u->buffer, 1);

        if (rc == NGX_AGAIN) {
            return rc;
        }

        if (rc == NGX_OK) {
            rc = ngx_http_pulse_docs_field(r, ctx);

            if (rc == NGX_OK) {
                continue;
            }

            if (rc == NGX_ERROR) {
                return rc;
            }
        }

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            break;
        }

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse docs: the sidecar sent an invalid header");
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    u->headers_in.status_n = ctx->status.code;
    u->headers_in.content_length_n = ctx->length;

    ngx_str_set(&r->headers_out.content_type,
                "application/json; charset=utf-8");

    if (ctx->type.len) {
        r->headers_out.content_type = ctx->type;
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;

    return ngx_http_pulse_set_header(r, "Cache-Control", &no_store);
}


static ngx_int_t
ngx_http_pulse_docs_field(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx)
{
    size_t                        len;
    ngx_str_t                     value;
    ngx_http_pulse_docs_field_t  *field;

    len = r->header_name_end - r->header_name_start;

    value.data = r->header_start;
    value.len = r->header_end - r->header_start;

    for (field = ngx_http_pulse_docs_fields; field->name.len; field++) {

        if (field->name.len != len
            || ngx_strncasecmp(field->name.data, r->header_name_start, len)
               != 0)
        {
            continue;
        }

        if (field->handler) {
            return field->handler(r, ctx, &value);
        }

        return ngx_http_pulse_docs_pass_header(r, (char *) field->name.data,
                                               &value);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_docs_field_length(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value)
{
    ctx->length = ngx_atoof(value->data, value->len);

    return (ctx->length == (off_t) NGX_ERROR) ? NGX_DECLINED : NGX_OK;
}


/* What is not JSON is a file of a fixed type. */

static ngx_int_t
ngx_http_pulse_docs_field_type(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value)
{
    if (value->len == sizeof("application/json") - 1
        && ngx_strncmp(value->data, "application/json", value->len) == 0)
    {
        return NGX_OK;
    }

    ctx->type.len = value->len;
    ctx->type.data = ngx_pstrdup(r->pool, value);

    return ctx->type.data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_pulse_docs_field_code(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value)
{
    ngx_http_pulse_verdict(r, ngx_http_pulse_code_find(value));

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_docs_field_moderated(ngx_http_request_t *r,
    ngx_http_pulse_docs_ctx_t *ctx, ngx_str_t *value)
{
    ngx_http_pulse_moderation_count_told(value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_docs_pass_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  copy;

    /* the buffer is used again for the body */

    copy.len = value->len;
    copy.data = ngx_pstrdup(r->pool, value);

    if (copy.data == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_pulse_set_header(r, name, &copy);
}


static ngx_int_t
ngx_http_pulse_docs_filter_init(void *data)
{
    ngx_http_pulse_docs_ctx_t *ctx = data;

    /* without it nginx would take a cut answer for a whole one */

    ctx->request->upstream->length = ctx->length;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_docs_filter(void *data, ssize_t bytes)
{
    ngx_http_pulse_docs_ctx_t *ctx = data;

    ngx_buf_t            *b;
    ngx_chain_t          *cl, **ll;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;

    for (ll = &u->out_bufs; *ll != NULL; ll = &(*ll)->next) { /* void */ }

    cl = ngx_chain_get_free_buf(r->pool, &u->free_bufs);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    *ll = cl;

    b = &u->buffer;

    cl->buf->flush = 1;
    cl->buf->memory = 1;
    cl->buf->tag = u->output.tag;
    cl->buf->pos = b->last;

    b->last += bytes;
    cl->buf->last = b->last;

    if (u->length != -1) {
        u->length -= ngx_min(u->length, bytes);
    }

    return NGX_OK;
}


static void
ngx_http_pulse_docs_abort_request(ngx_http_request_t *r)
{
    /* the sidecar ends by itself what it has begun */
}


static void
ngx_http_pulse_docs_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    if (!r->header_sent
        && (rc == NGX_HTTP_BAD_GATEWAY || rc == NGX_HTTP_GATEWAY_TIME_OUT
            || rc == NGX_HTTP_SERVICE_UNAVAILABLE))
    {
        /* what the page of errors says then; it counts it too */

        ngx_http_pulse_record(r)->code = NGX_HTTP_PULSE_SERVICE_UNAVAILABLE;
    }
}
