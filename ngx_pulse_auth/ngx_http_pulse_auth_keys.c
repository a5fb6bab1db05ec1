
#include "ngx_http_pulse_auth.h"


#define NGX_HTTP_PULSE_AUTH_MAX_NAME  100       /* characters */
#define NGX_HTTP_PULSE_AUTH_SHOWN     8         /* of a key, in lists */


typedef struct {
    ngx_str_t              id;
    ngx_str_t              secret;
} ngx_http_pulse_auth_new_key_t;


static void ngx_http_pulse_auth_key_add(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static ngx_int_t ngx_http_pulse_auth_key_send(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call, ngx_str_t *name, ngx_str_t *expires);
static void ngx_http_pulse_auth_key_added(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_keys(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_key_delete(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_key_deleted(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static ngx_uint_t ngx_http_pulse_auth_name_valid(ngx_str_t *name);
static ngx_uint_t ngx_http_pulse_auth_time_valid(ngx_str_t *time);


ngx_http_pulse_route_t  ngx_http_pulse_auth_key_routes[] = {

    { NGX_HTTP_POST, ngx_string("/v1/keys"),
      NGX_HTTP_PULSE_ROUTE_BODY,
      ngx_http_pulse_auth_key_add },

    { NGX_HTTP_GET, ngx_string("/v1/keys"),
      0,
      ngx_http_pulse_auth_keys },

    { NGX_HTTP_DELETE, ngx_string("/v1/keys/{id}"),
      0,
      ngx_http_pulse_auth_key_delete },

    { 0, ngx_null_string, 0, NULL }
};


ngx_pulse_pg_statement_t  ngx_http_pulse_auth_key_statements[] = {

    { "auth_key_add",
      "SELECT status, code, data FROM auth_key_add($1::uuid, $2::uuid,"
      " $3::text, $4::text, $5::bytea, $6::text)", 6 },

    { "auth_keys",
      "SELECT status, code, data FROM auth_keys($1::uuid)", 1 },

    { "auth_key_delete",
      "SELECT status, code, data FROM auth_key_delete($1::uuid, $2::uuid)",
      2 },

    { NULL, NULL, 0 }
};


#define NGX_HTTP_PULSE_AUTH_KEY_ADD                                           \
    (&ngx_http_pulse_auth_key_statements[0])
#define NGX_HTTP_PULSE_AUTH_KEYS                                              \
    (&ngx_http_pulse_auth_key_statements[1])
#define NGX_HTTP_PULSE_AUTH_KEY_DELETE                                        \
    (&ngx_http_pulse_auth_key_statements[2])


static void
ngx_http_pulse_auth_key_add(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t                expires;
    ngx_pulse_json_value_t  *name, *value;

    name = ngx_pulse_json_get(call->body, "name");

    if (name == NULL || name->type != NGX_PULSE_JSON_STRING
        || !ngx_http_pulse_auth_name_valid(&name->string))
    {
        ngx_http_finalize_request(r,
              ngx_http_pulse_invalid(r, "/name",
                                     "a string of 1 to 100 characters is "
                                     "wanted"));
        return;
    }

    ngx_str_null(&expires);

    value = ngx_pulse_json_get(call->body, "expires_at");

    if (value != NULL && value->type != NGX_PULSE_JSON_NULL) {

        if (value->type != NGX_PULSE_JSON_STRING
            || !ngx_http_pulse_auth_time_valid(&value->string))
        {
            ngx_http_finalize_request(r,
                  ngx_http_pulse_invalid(r, "/expires_at",
                                         "is not a time as RFC 3339 has it"));
            return;
        }

        expires = value->string;
    }

    if (ngx_http_pulse_auth_key_send(r, call, &name->string, &expires)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR,
                                          NULL));
    }
}


static ngx_int_t
ngx_http_pulse_auth_key_send(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call, ngx_str_t *name, ngx_str_t *expires)
{
    ngx_str_t                       params[6];
    ngx_http_pulse_auth_new_key_t  *key;

    key = ngx_palloc(r->pool, sizeof(ngx_http_pulse_auth_new_key_t));
    if (key == NULL) {
        return NGX_ERROR;
    }

    key->id.data = ngx_pnalloc(r->pool, NGX_HTTP_PULSE_UUID_LEN);
    if (key->id.data == NULL) {
        return NGX_ERROR;
    }

    key->id.len = NGX_HTTP_PULSE_UUID_LEN;
    ngx_pulse_uuid7(key->id.data);

    if (ngx_http_pulse_auth_secret(r, "pk_", &key->secret, &params[4])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    params[0] = key->id;
    params[1] = call->record->user_id;
    params[2] = *name;
    params[3].data = key->secret.data;
    params[3].len = NGX_HTTP_PULSE_AUTH_SHOWN;
    params[5] = *expires;

    if (ngx_http_pulse_pg(r, NGX_HTTP_PULSE_AUTH_KEY_ADD, params,
                          ngx_http_pulse_auth_key_added, key)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }

    return NGX_OK;
}


/* The key itself never went to the store: it is put into the answer here. */

static void
ngx_http_pulse_auth_key_added(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_auth_new_key_t *key = data;

    ngx_str_t         row, text;
    ngx_pulse_buf_t  *b;

    row = ngx_pulse_pg_value(res, 0, 2);

    if (res->status != NGX_PULSE_PG_OK
        || ngx_pulse_pg_int(res, 0, 0) != NGX_HTTP_CREATED || row.len == 0)
    {
        ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
        return;
    }

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_pulse_buf_literal(b, "{\"key\":");
    ngx_pulse_buf_json(b, key->secret.data, key->secret.len);
    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_append(b, row.data + 1, row.len - 1);

    if (b->failed) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    text.data = b->data;
    text.len = b->len;

    ngx_http_finalize_request(r,
                         ngx_http_pulse_reply(r, NGX_HTTP_CREATED, &text));
}


static void
ngx_http_pulse_auth_keys(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_http_pulse_call_pg(r, NGX_HTTP_PULSE_AUTH_KEYS,
                           &call->record->user_id);
}


static void
ngx_http_pulse_auth_key_delete(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t   params[2];
    ngx_str_t  *id;

    if (!ngx_pulse_uuid_valid(&call->id)) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_NOT_FOUND, NULL));
        return;
    }

    id = &call->id;

    params[0] = call->record->user_id;
    params[1] = *id;

    if (ngx_http_pulse_pg(r, NGX_HTTP_PULSE_AUTH_KEY_DELETE, params,
                          ngx_http_pulse_auth_key_deleted, id)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }
}


static void
ngx_http_pulse_auth_key_deleted(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_str_t *id = data;

    if (res->status == NGX_PULSE_PG_OK
        && ngx_pulse_pg_int(res, 0, 0) == NGX_HTTP_OK)
    {
        ngx_http_pulse_auth_revoked(r, NGX_HTTP_PULSE_AUTH_KEY, id);
    }

    ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
}


static ngx_uint_t
ngx_http_pulse_auth_name_valid(ngx_str_t *name)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < name->len; i++) {

        if (name->data[i] < ' ' || name->data[i] == 0x7f) {
            return 0;
        }

        /* every byte of a character but its first is 10xxxxxx */

        n += ((name->data[i] & 0xc0) != 0x80);
    }

    return n > 0 && n <= NGX_HTTP_PULSE_AUTH_MAX_NAME;
}


/* The form alone; the store says whether there is such a time. */

static ngx_uint_t
ngx_http_pulse_auth_time_valid(ngx_str_t *time)
{
    size_t       i;
    u_char      *p, *last;
    const char  *form;

    form = "dddd-dd-ddTdd:dd:dd";

    if (time->len < 20 || time->len > 35) {
        return 0;
    }

    p = time->data;
    last = p + time->len;

    for (i = 0; form[i]; i++, p++) {
        if (form[i] == 'd' ? (*p < '0' || *p > '9')
                           : ngx_toupper(*p) != form[i])
        {
            return 0;
        }
    }

    if (*p == '.') {
        for (p++; p < last && *p >= '0' && *p <= '9'; p++) { /* void */ }
    }

    if (last - p == 1) {
        return *p == 'Z' || *p == 'z';
    }

    return last - p == 6 && (*p == '+' || *p == '-')
           && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' && p[2] <= '9'
           && p[3] == ':'
           && p[4] >= '0' && p[4] <= '9' && p[5] >= '0' && p[5] <= '9';
}
