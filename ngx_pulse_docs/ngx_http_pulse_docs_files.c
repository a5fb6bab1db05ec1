
#include "ngx_http_pulse_docs.h"


/*
 * Files as they come and go, by signed links: what is got is sent by nginx's
 * own static module from an internal location, what is put waits in the
 * quarantine until the sidecar has looked at it.  Neither the database nor
 * the sidecar is asked.
 */


typedef struct {
    ngx_str_t                id;
    ngx_str_t                name;          /* of what is got */
    ngx_pulse_link_t         link;
} ngx_http_pulse_docs_file_t;


typedef struct {
    ngx_str_t                extension;
    ngx_str_t                type;
} ngx_http_pulse_docs_type_t;


static ngx_int_t ngx_http_pulse_docs_file(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file);
static int64_t ngx_http_pulse_docs_number(ngx_http_request_t *r,
    const char *name);
static ngx_int_t ngx_http_pulse_docs_get(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file);
static ngx_http_pulse_docs_type_t *ngx_http_pulse_docs_type(ngx_str_t *name);
static ngx_int_t ngx_http_pulse_docs_disposition(ngx_http_request_t *r,
    ngx_str_t *name);
static ngx_int_t ngx_http_pulse_docs_put(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file);
static void ngx_http_pulse_docs_put_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_docs_keep(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file);


/* of all else nothing is said */

static ngx_http_pulse_docs_type_t  ngx_http_pulse_docs_types[] = {
    { ngx_string("pdf"), ngx_string("application/pdf") },
    { ngx_string("docx"),
      ngx_string("application/vnd.openxmlformats-officedocument"
                 ".wordprocessingml.document") },
    { ngx_string("pptx"),
      ngx_string("application/vnd.openxmlformats-officedocument"
                 ".presentationml.presentation") },
    { ngx_string("png"), ngx_string("image/png") },
    { ngx_string("jpg"), ngx_string("image/jpeg") },
    { ngx_string("jpeg"), ngx_string("image/jpeg") },
    { ngx_string("webp"), ngx_string("image/webp") },
    { ngx_null_string, ngx_string("application/octet-stream") }
};


ngx_int_t
ngx_http_pulse_docs_files_handler(ngx_http_request_t *r)
{
    ngx_http_pulse_docs_file_t  *file;

    static ngx_str_t  methods = ngx_string("GET, HEAD, PUT");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_PUT))) {

        if (ngx_http_pulse_set_header(r, "Allow", &methods) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_METHOD_NOT_ALLOWED,
                                    NULL);
    }

    file = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_docs_file_t));
    if (file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_pulse_docs_file(r, file) != NGX_OK) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_FORBIDDEN, NULL);
    }

    if (r->method == NGX_HTTP_PUT) {
        return ngx_http_pulse_docs_put(r, file);
    }

    return ngx_http_pulse_docs_get(r, file);
}


/* Takes the link apart; NGX_ERROR if it is not one of ours, or is late. */

static ngx_int_t
ngx_http_pulse_docs_file(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file)
{
    u_char                           *p, *last;
    ngx_str_t                         signature;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_pulse_docs_main_conf_t  *dmcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    dmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_docs_module);

    p = r->uri.data + clcf->name.len;
    last = r->uri.data + r->uri.len;

    if (last - p < NGX_HTTP_PULSE_UUID_LEN) {
        return NGX_ERROR;
    }

    file->id.data = p;
    file->id.len = NGX_HTTP_PULSE_UUID_LEN;

    p += NGX_HTTP_PULSE_UUID_LEN;

    file->name.data = p + 1;
    file->name.len = (p < last) ? last - p - 1 : 0;

    file->link.method = (r->method == NGX_HTTP_PUT) ? "PUT" : "GET";
    file->link.path = r->uri;
    file->link.expires = ngx_http_pulse_docs_number(r, "expires");
    file->link.size = ngx_http_pulse_docs_number(r, "size");

    signature = ngx_http_pulse_arg(r, "signature");

    if (!ngx_pulse_uuid_valid(&file->id)
        || file->link.expires < ngx_time()
        || (r->method == NGX_HTTP_PUT && file->link.size < 0)
        || signature.data == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_link_check(dmcf->key, &file->link, &signature);
}


/* -1 if there is none */

static int64_t
ngx_http_pulse_docs_number(ngx_http_request_t *r, const char *name)
{
    ngx_str_t  value;

    value = ngx_http_pulse_arg(r, name);

    return value.data ? ngx_atoof(value.data, value.len) : -1;
}


static ngx_int_t
ngx_http_pulse_docs_get(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file)
{
    u_char                          *p;
    ngx_str_t                        uri;
    ngx_http_pulse_docs_type_t      *type;
    ngx_http_pulse_docs_loc_conf_t  *dlcf;

    static ngx_str_t  cache = ngx_string("private, no-store");

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_docs_module);

    /* "/stored/" and a shard of the id's last two digits, as pulse_shelf has
     * it */

    uri.len = dlcf->stored.len + 3 + file->id.len;
    uri.data = ngx_pnalloc(r->pool, uri.len);

    if (uri.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(uri.data, dlcf->stored.data, dlcf->stored.len);
    p = ngx_cpymem(p, file->id.data + file->id.len - 2, 2);
    *p++ = '/';
    ngx_memcpy(p, file->id.data, file->id.len);

    type = ngx_http_pulse_docs_type(&file->name);

    r->headers_out.content_type = type->type;
    r->headers_out.content_type_len = type->type.len;

    if (ngx_http_pulse_docs_disposition(r, &file->name) != NGX_OK
        || ngx_http_pulse_set_header(r, "Cache-Control", &cache) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_internal_redirect(r, &uri, NULL);
}


static ngx_http_pulse_docs_type_t *
ngx_http_pulse_docs_type(ngx_str_t *name)
{
    size_t                       len;
    u_char                      *p, *last;
    ngx_http_pulse_docs_type_t  *type;

    last = name->data + name->len;

    for (p = last; p > name->data && p[-1] != '.'; p--) { /* void */ }

    len = last - p;

    for (type = ngx_http_pulse_docs_types; type->extension.len; type++) {
        if (type->extension.len == len
            && ngx_strncasecmp(type->extension.data, p, len) == 0)
        {
            break;
        }
    }

    return type;
}


/* RFC 6266 and 8187: a name for all clients, and the one that is meant */

static ngx_int_t
ngx_http_pulse_docs_disposition(ngx_http_request_t *r, ngx_str_t *name)
{
    u_char            ch;
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_pulse_buf_t  *b;

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_literal(b, "attachment; filename=\"");

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (ch < ' ' || ch > '~' || ch == '"' || ch == '\\' || ch == '%') {

            /* one for a character, whatever bytes it has */

            if (ch < 0x80 || ch >= 0xc0) {
                ngx_pulse_buf_char(b, '_');
            }

            continue;
        }

        ngx_pulse_buf_char(b, ch);
    }

    ngx_pulse_buf_literal(b, "\"; filename*=UTF-8''");
    ngx_pulse_link_escape(b, name);

    if (b->failed) {
        return NGX_ERROR;
    }

    value.data = b->data;
    value.len = b->len;

    return ngx_http_pulse_set_header(r, "Content-Disposition", &value);
}


static ngx_int_t
ngx_http_pulse_docs_put(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file)
{
    ngx_int_t  rc;

    if (r->headers_in.content_length_n != -1
        && r->headers_in.content_length_n != file->link.size)
    {
        return ngx_http_pulse_invalid(r, "/size_bytes",
                                      "is not the size of what is sent");
    }

    ngx_http_set_ctx(r, file, ngx_http_pulse_docs_module);

    r->request_body_in_file_only = 1;
    r->request_body_in_persistent_file = 1;
    r->request_body_in_clean_file = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_pulse_docs_put_handler);

    return ngx_http_pulse_body_begun(r, rc);
}


/* Body reading holds the request. */

static void
ngx_http_pulse_docs_put_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                    data;
    ngx_pulse_buf_t             *b;
    ngx_temp_file_t             *temp;
    ngx_http_pulse_docs_file_t  *file;

    file = ngx_http_get_module_ctx(r, ngx_http_pulse_docs_module);
    temp = r->request_body->temp_file;

    if (temp == NULL || temp->file.offset != file->link.size) {
        ngx_http_finalize_request(r,
                       ngx_http_pulse_invalid(r, "/size_bytes",
                                           "is not the size of what was sent"));
        return;
    }

    rc = ngx_http_pulse_docs_keep(r, file);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
        return;
    }

    b = ngx_http_pulse_buf(r, 0);

    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_pulse_buf_literal(b, "{\"file_id\":\"");
    ngx_pulse_buf_str(b, &file->id);
    ngx_pulse_buf_literal(b, "\",\"size_bytes\":");
    ngx_pulse_buf_int(b, file->link.size);
    ngx_pulse_buf_char(b, '}');

    data.data = b->data;
    data.len = b->len;

    ngx_http_finalize_request(r, b->failed
                                 ? NGX_HTTP_INTERNAL_SERVER_ERROR
                                 : ngx_http_pulse_reply(r, NGX_HTTP_OK,
                                                        &data));
}


/*
 * The name stays this request's until the rename: one that is cut short or
 * refused leaves nothing behind, the temporary file goes with the pool.
 */

static ngx_int_t
ngx_http_pulse_docs_keep(ngx_http_request_t *r,
    ngx_http_pulse_docs_file_t *file)
{
    u_char                           *p;
    ngx_str_t                         path;
    ngx_http_pulse_docs_main_conf_t  *dmcf;

    dmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_docs_module);

    path.len = dmcf->store.len + sizeof("/quarantine/") - 1 + file->id.len;
    path.data = ngx_pnalloc(r->pool, path.len + 1);

    if (path.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(path.data, dmcf->store.data, dmcf->store.len);
    p = ngx_cpymem(p, "/quarantine/", sizeof("/quarantine/") - 1);
    p = ngx_cpymem(p, file->id.data, file->id.len);
    *p = '\0';

    if (ngx_rename_file(r->request_body->temp_file->file.name.data, path.data)
        == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_errno,
                      "pulse docs: an upload cannot be kept as \"%V\"", &path);
        return NGX_ERROR;
    }

    return NGX_OK;
}
