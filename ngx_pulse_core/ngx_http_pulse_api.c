
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_pulse.h"


#define NGX_HTTP_PULSE_ID_MAX    64
#define NGX_HTTP_PULSE_BODY_MAX  (1024 * 1024)


typedef struct {
    ngx_http_pulse_call_t    call;
    ngx_http_pulse_route_t  *route;
} ngx_http_pulse_api_ctx_t;


typedef struct {
    ngx_uint_t               method;
    ngx_str_t                name;
} ngx_http_pulse_method_t;


typedef struct {
    ngx_uint_t               status;        /* as nginx has it */
    ngx_uint_t               answer;        /* 0: that of the code */
    ngx_http_pulse_code_e    code;
} ngx_http_pulse_page_t;


static ngx_int_t ngx_http_pulse_api_handler(ngx_http_request_t *r);
static ngx_http_pulse_route_t *ngx_http_pulse_api_route(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record, ngx_str_t *id, ngx_uint_t *methods);
static ngx_uint_t ngx_http_pulse_api_match(ngx_str_t *path, ngx_str_t *uri,
    ngx_str_t *id);
static ngx_int_t ngx_http_pulse_api_not_allowed(ngx_http_request_t *r,
    ngx_uint_t methods);
static ngx_int_t ngx_http_pulse_api_call(ngx_http_request_t *r,
    ngx_http_pulse_api_ctx_t *ctx);
static void ngx_http_pulse_api_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_api_parse(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static ngx_int_t ngx_http_pulse_api_malformed(ngx_http_request_t *r,
    ngx_pulse_json_error_t *err);
static void ngx_http_pulse_api_locale(ngx_http_pulse_call_t *call);

static void ngx_http_pulse_api_pg_handler(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static ngx_int_t ngx_http_pulse_api_row(ngx_http_request_t *r,
    ngx_pulse_pg_result_t *res, const char *name);
static ngx_int_t ngx_http_pulse_api_failed(ngx_http_request_t *r,
    ngx_pulse_pg_result_t *res, const char *name);

static ngx_int_t ngx_http_pulse_error_handler(ngx_http_request_t *r);


static ngx_http_pulse_method_t  ngx_http_pulse_api_methods[] = {
    { NGX_HTTP_GET,    ngx_string("GET") },
    { NGX_HTTP_HEAD,   ngx_string("HEAD") },
    { NGX_HTTP_POST,   ngx_string("POST") },
    { NGX_HTTP_PUT,    ngx_string("PUT") },
    { NGX_HTTP_PATCH,  ngx_string("PATCH") },
    { NGX_HTTP_DELETE, ngx_string("DELETE") },
    { 0, ngx_null_string }
};


/* nginx's own errors; what is not here falls under its class */

static ngx_http_pulse_page_t  ngx_http_pulse_error_pages[] = {
    { 401, 0,   NGX_HTTP_PULSE_UNAUTHORIZED },
    { 403, 0,   NGX_HTTP_PULSE_FORBIDDEN },
    { 404, 0,   NGX_HTTP_PULSE_NOT_FOUND },
    { 405, 0,   NGX_HTTP_PULSE_METHOD_NOT_ALLOWED },
    { 413, 0,   NGX_HTTP_PULSE_REQUEST_TOO_LARGE },
    { 414, 414, NGX_HTTP_PULSE_REQUEST_TOO_LARGE },
    { 415, 0,   NGX_HTTP_PULSE_UNSUPPORTED_MEDIA_TYPE },
    { 429, 0,   NGX_HTTP_PULSE_RATE_LIMIT_EXCEEDED },
    { 431, 431, NGX_HTTP_PULSE_REQUEST_TOO_LARGE },
    { 502, 0,   NGX_HTTP_PULSE_PROVIDER_ERROR },
    { 503, 0,   NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE },
    { 504, 0,   NGX_HTTP_PULSE_GATEWAY_TIMEOUT },
    { 505, 505, NGX_HTTP_PULSE_INVALID_REQUEST },
    { 0, 0, NGX_HTTP_PULSE_INTERNAL_ERROR }
};


static ngx_str_t  ngx_http_pulse_api_static = ngx_string("GET, HEAD");


static ngx_int_t
ngx_http_pulse_api_handler(ngx_http_request_t *r)
{
    ngx_str_t                  id;
    ngx_uint_t                 methods;
    ngx_http_pulse_route_t    *route;
    ngx_http_pulse_record_t   *record;
    ngx_http_pulse_api_ctx_t  *ctx;

    record = ngx_http_pulse_record(r);
    if (record == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    route = ngx_http_pulse_api_route(r, record, &id, &methods);

    if (route == NULL) {

        if (methods) {
            return ngx_http_pulse_api_not_allowed(r, methods);
        }

        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_NOT_FOUND, NULL);
    }

    if (!(route->flags & (NGX_HTTP_PULSE_ROUTE_PUBLIC
                          |NGX_HTTP_PULSE_ROUTE_INTERNAL))
        && record->user_id.len == 0)
    {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_UNAUTHORIZED, NULL);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_api_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->route = route;
    ctx->call.id = id;
    ctx->call.record = record;

    ngx_http_set_ctx(r, ctx, ngx_http_pulse_module);

    return ngx_http_pulse_api_call(r, ctx);
}


/* The route, or NULL and the methods that its path would take. */

static ngx_http_pulse_route_t *
ngx_http_pulse_api_route(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record, ngx_str_t *id, ngx_uint_t *methods)
{
    ngx_uint_t                   i, method;
    ngx_http_pulse_route_t      *route;
    ngx_http_pulse_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);

    route = pmcf->routes.elts;
    method = (r->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET : r->method;

    *methods = 0;

    for (i = 0; i < pmcf->routes.nelts; i++) {

        if (!ngx_http_pulse_api_match(&route[i].path, &r->uri, id)) {
            continue;
        }

        /* others are not told that there is such a path */

        if ((route[i].flags & NGX_HTTP_PULSE_ROUTE_INTERNAL)
            && !record->internal)
        {
            continue;
        }

        if (route[i].method == method) {
            return &route[i];
        }

        *methods |= route[i].method;
    }

    return NULL;
}


static ngx_uint_t
ngx_http_pulse_api_match(ngx_str_t *path, ngx_str_t *uri, ngx_str_t *id)
{
    u_char  *p;
    size_t   prefix, suffix;

    ngx_str_null(id);

    p = ngx_strlchr(path->data, path->data + path->len, '{');

    if (p == NULL) {
        return path->len == uri->len
               && ngx_memcmp(path->data, uri->data, uri->len) == 0;
    }

    prefix = p - path->data;

    p += sizeof("{id}") - 1;
    suffix = path->data + path->len - p;

    if (uri->len <= prefix + suffix
        || ngx_memcmp(path->data, uri->data, prefix) != 0
        || ngx_memcmp(p, uri->data + uri->len - suffix, suffix) != 0)
    {
        return 0;
    }

    id->data = uri->data + prefix;
    id->len = uri->len - prefix - suffix;

    return id->len <= NGX_HTTP_PULSE_ID_MAX && ngx_pulse_name_valid(id);
}


static ngx_int_t
ngx_http_pulse_api_not_allowed(ngx_http_request_t *r, ngx_uint_t methods)
{
    u_char                   *p;
    ngx_str_t                 allow;
    ngx_http_pulse_method_t  *m;

    if (methods & NGX_HTTP_GET) {
        methods |= NGX_HTTP_HEAD;
    }

    p = ngx_pnalloc(r->pool, sizeof("GET, HEAD, POST, PUT, PATCH, DELETE, "));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    allow.data = p;

    for (m = ngx_http_pulse_api_methods; m->method; m++) {

        if (m->method & methods) {

            if (p != allow.data) {
                *p++ = ',';
                *p++ = ' ';
            }

            p = ngx_cpymem(p, m->name.data, m->name.len);
        }
    }

    allow.len = p - allow.data;

    if (ngx_http_pulse_set_header(r, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_pulse_error(r, NGX_HTTP_PULSE_METHOD_NOT_ALLOWED, NULL);
}


static ngx_int_t
ngx_http_pulse_api_call(ngx_http_request_t *r, ngx_http_pulse_api_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (!(ctx->route->flags & (NGX_HTTP_PULSE_ROUTE_BODY
                               |NGX_HTTP_PULSE_ROUTE_OPTIONAL)))
    {
        if (ngx_http_discard_request_body(r) != NGX_OK) {
            r->keepalive = 0;
        }

        /* the count that the route's handler gives back */

        r->main->count++;

        ctx->route->handler(r, &ctx->call);

        return NGX_DONE;
    }

    if (r->headers_in.content_type != NULL
        && !ngx_http_pulse_is_json(r))
    {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_UNSUPPORTED_MEDIA_TYPE,
                                    NULL);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_pulse_api_body_handler);

    return ngx_http_pulse_body_begun(r, rc);
}


ngx_uint_t
ngx_http_pulse_is_json(ngx_http_request_t *r)
{
    u_char     *p;
    size_t      len;
    ngx_str_t  *value;

    len = sizeof("application/json") - 1;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    value = &r->headers_in.content_type->value;

    if (value->len < len
        || ngx_strncasecmp(value->data, (u_char *) "application/json", len)
           != 0)
    {
        return 0;
    }

    p = value->data + len;

    while (p < value->data + value->len && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p == value->data + value->len || *p == ';';
}


static void
ngx_http_pulse_api_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_pulse_api_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_module);

    if (ngx_http_pulse_body(r, &ctx->call.text) != NGX_OK) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR,
                                          NULL));
        return;
    }

    if (ctx->call.text.len
        || !(ctx->route->flags & NGX_HTTP_PULSE_ROUTE_OPTIONAL))
    {
        rc = ngx_http_pulse_api_parse(r, &ctx->call);

        if (rc != NGX_DECLINED) {
            ngx_http_finalize_request(r, rc);
            return;
        }
    }

    ctx->route->handler(r, &ctx->call);
}


/* NGX_DECLINED if there is nothing to refuse, else what was answered. */

static ngx_int_t
ngx_http_pulse_api_parse(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_pulse_json_error_t  err;

    if (call->text.len == 0) {
        return ngx_http_pulse_invalid(r, "", "a JSON object is missing");
    }

    if (call->text.len > NGX_HTTP_PULSE_BODY_MAX) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_REQUEST_TOO_LARGE,
                                    NULL);
    }

    if (!ngx_http_pulse_is_json(r)) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_UNSUPPORTED_MEDIA_TYPE,
                                    NULL);
    }

    call->body = ngx_pulse_json_tree(r->pool, call->text.data,
                                     call->text.len, NULL, &err);

    if (call->body == NULL) {
        return ngx_http_pulse_api_malformed(r, &err);
    }

    if (call->body->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_http_pulse_invalid(r, "", "a JSON object is wanted");
    }

    ngx_http_pulse_api_locale(call);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_pulse_api_malformed(ngx_http_request_t *r,
    ngx_pulse_json_error_t *err)
{
    u_char  text[256];

    (void) ngx_snprintf(text, sizeof(text), "%s, at byte %uz%Z", err->reason,
                        err->offset);

    return ngx_http_pulse_invalid(r, "", (char *) text);
}


static void
ngx_http_pulse_api_locale(ngx_http_pulse_call_t *call)
{
    ngx_pulse_json_value_t  *locale;

    locale = ngx_pulse_json_get(call->body, "locale");

    if (locale == NULL || locale->type != NGX_PULSE_JSON_STRING
        || locale->string.len != 2)
    {
        return;
    }

    if (ngx_strncmp(locale->string.data, "ar", 2) == 0) {
        call->record->locale = NGX_HTTP_PULSE_AR;

    } else if (ngx_strncmp(locale->string.data, "en", 2) == 0) {
        call->record->locale = NGX_HTTP_PULSE_EN;
    }
}


ngx_str_t
ngx_http_pulse_arg(ngx_http_request_t *r, const char *name)
{
    u_char     *p, *src, *dst;
    ngx_str_t   value;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &value) != NGX_OK) {
        ngx_str_null(&value);
        return value;
    }

    p = ngx_pnalloc(r->pool, value.len + sizeof("\xef\xbf\xbd"));
    if (p == NULL) {
        ngx_str_null(&value);
        return value;
    }

    for (src = value.data; src < value.data + value.len; src++) {
        p[src - value.data] = (*src == '+') ? ' ' : *src;
    }

    src = p;
    dst = p;

    ngx_unescape_uri(&dst, &src, value.len, 0);

    value.data = p;
    value.len = dst - p;

    if (ngx_pulse_utf8_check(p, value.len, NULL) != NGX_OK
        || memchr(p, '\0', value.len) != NULL)
    {
        /* no store takes these bytes as text; nothing equals U+FFFD */

        ngx_memcpy(p, "\xef\xbf\xbd", 3);
        value.len = 3;
    }

    return value;
}


void
ngx_http_pulse_call_pg(ngx_http_request_t *r,
    ngx_pulse_pg_statement_t *statement, ngx_str_t *params)
{
    ngx_int_t  rc;

    rc = ngx_http_pulse_pg(r, statement, params,
                           ngx_http_pulse_api_pg_handler, statement);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }
}


static void
ngx_http_pulse_api_pg_handler(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_pulse_pg_statement_t *statement = data;

    ngx_http_finalize_request(r,
                           ngx_http_pulse_api_row(r, res, statement->name));
}


ngx_int_t
ngx_http_pulse_reply_row(ngx_http_request_t *r, ngx_pulse_pg_result_t *res)
{
    return ngx_http_pulse_api_row(r, res, "-");
}


static ngx_int_t
ngx_http_pulse_api_row(ngx_http_request_t *r, ngx_pulse_pg_result_t *res,
    const char *name)
{
    ngx_str_t   code, data;
    ngx_uint_t  status;

    if (res->status != NGX_PULSE_PG_OK) {
        return ngx_http_pulse_api_failed(r, res, name);
    }

    status = ngx_pulse_pg_int(res, 0, 0);
    code = ngx_pulse_pg_value(res, 0, 1);
    data = ngx_pulse_pg_value(res, 0, 2);

    if (status < NGX_HTTP_OK || status >= 600) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse api: statement \"%s\": no row with a status",
                      name);
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR, NULL);
    }

    if (code.data != NULL) {
        return ngx_http_pulse_error(r, ngx_http_pulse_code_find(&code),
                                    data.data ? &data : NULL);
    }

    if (data.data == NULL) {
        ngx_str_set(&data, "null");
    }

    return ngx_http_pulse_reply(r, status, &data);
}


static ngx_int_t
ngx_http_pulse_api_failed(ngx_http_request_t *r, ngx_pulse_pg_result_t *res,
    const char *name)
{
    const char  *state;

    /* a lost connection is logged by the pool, once for an outage */

    if (res->status != NGX_PULSE_PG_ERROR) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                    NULL);
    }

    state = res->sqlstate;

    /* messages of class 22, data exceptions, quote the value they refuse */

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "pulse api: statement \"%s\": %s (%s)", name,
                  (ngx_strncmp(state, "22", 2) == 0) ? "bad parameter"
                                                     : res->message,
                  state);

    /* text that no store keeps, as an escaped NUL, or a number beyond all */

    if (ngx_strncmp(state, "22P05", 5) == 0
        || ngx_strncmp(state, "22003", 5) == 0)
    {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_INVALID_REQUEST, NULL);
    }

    /* a conflict, no room, a shutdown, a canceled or read-only statement */

    if (ngx_strncmp(state, "40", 2) == 0
        || ngx_strncmp(state, "53", 2) == 0
        || ngx_strncmp(state, "57", 2) == 0
        || ngx_strncmp(state, "25006", 5) == 0
        || ngx_strncmp(state, "55P03", 5) == 0)
    {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                    NULL);
    }

    return ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR, NULL);
}


static ngx_int_t
ngx_http_pulse_error_handler(ngx_http_request_t *r)
{
    ngx_uint_t                status;
    ngx_http_pulse_page_t    *page;
    ngx_http_pulse_code_e     code;
    ngx_http_pulse_record_t  *record;

    status = r->err_status;

    code = (status >= NGX_HTTP_BAD_REQUEST
            && status < NGX_HTTP_INTERNAL_SERVER_ERROR)
           ? NGX_HTTP_PULSE_INVALID_REQUEST : NGX_HTTP_PULSE_INTERNAL_ERROR;

    for (page = ngx_http_pulse_error_pages; page->status; page++) {

        if (page->status == status) {
            code = page->code;
            status = page->answer;
            break;
        }
    }

    record = ngx_http_pulse_record_find(r);

    if (record && record->code == NGX_HTTP_PULSE_SERVICE_UNAVAILABLE) {

        /* 502 and 504 were of a part of our own, which says so */

        code = record->code;
        status = 0;
    }

    /* with none here ngx_http_send_header() sends the code's status */

    r->err_status = status;

    if (code == NGX_HTTP_PULSE_METHOD_NOT_ALLOWED
        && ngx_http_pulse_set_header(r, "Allow", &ngx_http_pulse_api_static)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_pulse_error(r, code, NULL);
}


ngx_int_t
ngx_http_pulse_routes(ngx_conf_t *cf, ngx_http_pulse_route_t *routes)
{
    ngx_http_pulse_route_t      *route;
    ngx_http_pulse_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_pulse_module);

    for ( /* void */ ; routes->path.len; routes++) {

        route = ngx_array_push(&pmcf->routes);
        if (route == NULL) {
            return NGX_ERROR;
        }

        *route = *routes;
    }

    return NGX_OK;
}


char *
ngx_http_pulse_api_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_pulse_api_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_pulse_error_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_pulse_error_handler;

    return NGX_CONF_OK;
}
