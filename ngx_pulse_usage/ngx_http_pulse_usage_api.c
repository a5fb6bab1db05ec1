
#include "ngx_http_pulse_usage_module.h"


#define NGX_HTTP_PULSE_API_PLANS    0       /* statements */
#define NGX_HTTP_PULSE_API_PLAN     1
#define NGX_HTTP_PULSE_API_ME       2
#define NGX_HTTP_PULSE_API_HISTORY  3
#define NGX_HTTP_PULSE_API_EVENTS   4
#define NGX_HTTP_PULSE_API_CHECK    5
#define NGX_HTTP_PULSE_API_LOG      6

#define NGX_HTTP_PULSE_API_MODEL    128


static void ngx_http_pulse_usage_plans(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_usage_plan(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_usage_public(ngx_http_request_t *r, ngx_uint_t i,
    ngx_str_t *params);
static void ngx_http_pulse_usage_public_handler(ngx_http_request_t *r,
    void *data, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_usage_me(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static ngx_int_t ngx_http_pulse_usage_leases(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record, ngx_str_t *leases);
static void ngx_http_pulse_usage_history(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_usage_events(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_usage_check(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_usage_log(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static const char *ngx_http_pulse_usage_amount(ngx_http_pulse_call_t *call,
    ngx_str_t *resource, ngx_str_t *amount);
static ngx_str_t ngx_http_pulse_usage_string(ngx_http_pulse_call_t *call,
    const char *name);
static ngx_str_t *ngx_http_pulse_usage_locale(
    ngx_http_pulse_record_t *record);


/* prepared with their types from the functions; the call sends text */

ngx_pulse_pg_statement_t  ngx_http_pulse_usage_api_statements[] = {

    { "usage_plans", "SELECT * FROM usage_plans($1)", 1 },

    { "usage_plan", "SELECT * FROM usage_plan($1, $2)", 2 },

    { "usage_me", "SELECT * FROM usage_me($1, $2, $3)", 3 },

    { "usage_history", "SELECT * FROM usage_history($1, $2, $3, $4)", 4 },

    { "usage_events", "SELECT * FROM usage_events_page($1, $2)", 2 },

    { "usage_check", "SELECT * FROM usage_check($1, $2, $3, $4)", 4 },

    { "usage_log", "SELECT * FROM usage_log($1, $2, $3, $4, $5, $6)", 6 },

    { NULL, NULL, 0 }
};


static ngx_http_pulse_route_t  ngx_http_pulse_usage_routes[] = {

    { NGX_HTTP_GET, ngx_string("/v1/plans"),
      NGX_HTTP_PULSE_ROUTE_PUBLIC, ngx_http_pulse_usage_plans },

    { NGX_HTTP_GET, ngx_string("/v1/plans/{id}"),
      NGX_HTTP_PULSE_ROUTE_PUBLIC, ngx_http_pulse_usage_plan },

    { NGX_HTTP_GET, ngx_string("/v1/usage/me"),
      0, ngx_http_pulse_usage_me },

    { NGX_HTTP_GET, ngx_string("/v1/usage/history"),
      0, ngx_http_pulse_usage_history },

    { NGX_HTTP_GET, ngx_string("/v1/usage/events"),
      0, ngx_http_pulse_usage_events },

    { NGX_HTTP_GET, ngx_string("/v1/usage/events/{id}"),
      0, ngx_http_pulse_receipt },

    { NGX_HTTP_GET, ngx_string("/v1/usage/audit"),
      NGX_HTTP_PULSE_ROUTE_INTERNAL, ngx_http_pulse_receipt_audit },

    { NGX_HTTP_POST, ngx_string("/v1/usage/check"),
      NGX_HTTP_PULSE_ROUTE_BODY, ngx_http_pulse_usage_check },

    { NGX_HTTP_POST, ngx_string("/v1/usage/log"),
      NGX_HTTP_PULSE_ROUTE_BODY|NGX_HTTP_PULSE_ROUTE_INTERNAL,
      ngx_http_pulse_usage_log },

    { 0, ngx_null_string, 0, NULL }
};


ngx_int_t
ngx_http_pulse_usage_api(ngx_conf_t *cf)
{
    return ngx_http_pulse_routes(cf, ngx_http_pulse_usage_routes);
}


static void
ngx_http_pulse_usage_plans(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_http_pulse_usage_public(r, NGX_HTTP_PULSE_API_PLANS,
                                ngx_http_pulse_usage_locale(call->record));
}


static void
ngx_http_pulse_usage_plan(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_str_t  params[2];

    params[0] = call->id;
    params[1] = *ngx_http_pulse_usage_locale(call->record);

    ngx_http_pulse_usage_public(r, NGX_HTTP_PULSE_API_PLAN, params);
}


static void
ngx_http_pulse_usage_public(ngx_http_request_t *r, ngx_uint_t i,
    ngx_str_t *params)
{
    if (ngx_http_pulse_pg(r, &ngx_http_pulse_usage_api_statements[i], params,
                          ngx_http_pulse_usage_public_handler, NULL)
        != NGX_OK)
    {
        ngx_http_finalize_request(r, ngx_http_pulse_error(r,
                                     NGX_HTTP_PULSE_STORE_UNAVAILABLE, NULL));
    }
}


/* what is the same for everybody may be kept, errors may not */

static void
ngx_http_pulse_usage_public_handler(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_str_t  control, vary;

    if (res->status == NGX_PULSE_PG_OK
        && ngx_pulse_pg_value(res, 0, 1).data == NULL)
    {
        ngx_str_set(&control, "public, max-age=300");
        ngx_str_set(&vary, "Accept-Language");

        if (ngx_http_pulse_set_header(r, "Cache-Control", &control) != NGX_OK
            || ngx_http_pulse_set_header(r, "Vary", &vary) != NGX_OK)
        {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
}


static void
ngx_http_pulse_usage_me(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_str_t  params[3];

    params[0] = call->record->user_id;
    params[1] = *ngx_http_pulse_usage_locale(call->record);

    if (ngx_http_pulse_usage_leases(r, call->record, &params[2]) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_pulse_call_pg(r, &ngx_http_pulse_usage_api_statements[
                                                     NGX_HTTP_PULSE_API_ME],
                           params);
}


/* Totals of what this node holds for the user: the store counts what has not
 * reached it yet, see usage_state(). */

static ngx_int_t
ngx_http_pulse_usage_leases(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record, ngx_str_t *leases)
{
    u_char                             user[16];
    u_char                             id[NGX_HTTP_PULSE_UUID_LEN];
    ngx_uint_t                         kind, found;
    ngx_pulse_buf_t                   *b;
    ngx_pulse_meter_account_t         *account, copy;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_usage_module);

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_uuid_bytes(user, record->user_id.data);
    ngx_pulse_buf_char(b, '[');

    for (kind = 0, found = 0; umcf->shared && kind < 3; kind++) {

        ngx_http_pulse_usage_lock(umcf);

        account = ngx_pulse_meter_account(&umcf->shared->meter, user, kind,
                                          NULL, ngx_current_msec);
        if (account) {
            copy = *account;
        }

        ngx_http_pulse_usage_unlock(umcf);

        if (account == NULL) {
            continue;
        }

        ngx_pulse_uuid_text(id, copy.lease_id);

        ngx_pulse_buf_append(b, (u_char *) ",", found);
        ngx_pulse_buf_literal(b, "{\"id\":");
        ngx_pulse_buf_json(b, id, NGX_HTTP_PULSE_UUID_LEN);
        ngx_pulse_buf_literal(b, ",\"settled\":");
        ngx_pulse_buf_int(b, copy.lease.settled);
        ngx_pulse_buf_literal(b, ",\"free\":");
        ngx_pulse_buf_int(b, ngx_pulse_lease_free(&copy.lease));
        ngx_pulse_buf_char(b, '}');

        found = 1;
    }

    ngx_pulse_buf_char(b, ']');

    leases->data = b->data;
    leases->len = b->len;

    return b->failed ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_pulse_usage_history(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t  params[4];

    params[0] = call->record->user_id;
    params[1] = ngx_http_pulse_arg(r, "from");
    params[2] = ngx_http_pulse_arg(r, "to");
    params[3] = ngx_http_pulse_arg(r, "by");

    ngx_http_pulse_call_pg(r, &ngx_http_pulse_usage_api_statements[
                                                NGX_HTTP_PULSE_API_HISTORY],
                           params);
}


static void
ngx_http_pulse_usage_events(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t  params[2];

    params[0] = call->record->user_id;
    params[1] = ngx_http_pulse_arg(r, "cursor");

    if (params[1].data && !ngx_pulse_uuid_valid(&params[1])) {
        ngx_http_finalize_request(r, ngx_http_pulse_invalid(r, "/cursor",
                                                   "must be a next_cursor"));
        return;
    }

    ngx_http_pulse_call_pg(r, &ngx_http_pulse_usage_api_statements[
                                                 NGX_HTTP_PULSE_API_EVENTS],
                           params);
}


static void
ngx_http_pulse_usage_check(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    const char  *field;
    ngx_str_t    params[4];

    params[0] = call->record->user_id;

    field = ngx_http_pulse_usage_amount(call, &params[1], &params[2]);

    if (field) {
        ngx_http_finalize_request(r, ngx_http_pulse_invalid(r, field,
                                     "see resource_type and amount"));
        return;
    }

    if (ngx_http_pulse_usage_leases(r, call->record, &params[3]) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_pulse_call_pg(r, &ngx_http_pulse_usage_api_statements[
                                                  NGX_HTTP_PULSE_API_CHECK],
                           params);
}


static void
ngx_http_pulse_usage_log(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    const char              *field;
    ngx_str_t                params[6];
    ngx_pulse_json_value_t  *v;

    field = ngx_http_pulse_usage_amount(call, &params[1], &params[2]);

    params[0] = ngx_http_pulse_usage_string(call, "user_id");
    params[3] = ngx_http_pulse_usage_string(call, "model");
    params[4] = ngx_http_pulse_usage_string(call, "event_id");

    if (!ngx_pulse_uuid_valid(&params[0])) {
        field = "/user_id";

    } else if (!ngx_pulse_uuid_valid(&params[4])) {
        field = "/event_id";

    } else if (params[3].len > NGX_HTTP_PULSE_API_MODEL
               || (params[3].len
                   && memchr(params[3].data, '\0', params[3].len) != NULL)
               || (params[3].data == NULL
                   && ngx_pulse_json_get(call->body, "model")))
    {
        field = "/model";
    }

    v = ngx_pulse_json_get(call->body, "metadata");
    ngx_str_null(&params[5]);

    if (v && v->type == NGX_PULSE_JSON_OBJECT) {
        params[5].data = call->text.data + v->start;
        params[5].len = v->end - v->start;

    } else if (v) {
        field = "/metadata";
    }

    if (field) {
        ngx_http_finalize_request(r, ngx_http_pulse_invalid(r, field,
                                                "missing or not valid"));
        return;
    }

    ngx_http_pulse_call_pg(r, &ngx_http_pulse_usage_api_statements[
                                                    NGX_HTTP_PULSE_API_LOG],
                           params);
}


/* "resource_type" and "amount" of a body; the field that is wrong, or
 * NULL */

static const char *
ngx_http_pulse_usage_amount(ngx_http_pulse_call_t *call, ngx_str_t *resource,
    ngx_str_t *amount)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *v;

    *resource = ngx_http_pulse_usage_string(call, "resource_type");

    if (resource->len != 6
        || (ngx_strncmp(resource->data, "tokens", 6) != 0
            && ngx_strncmp(resource->data, "images", 6) != 0
            && ngx_strncmp(resource->data, "videos", 6) != 0))
    {
        return "/resource_type";
    }

    v = ngx_pulse_json_get(call->body, "amount");

    if (v == NULL
        || v->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&v->string, &n) != NGX_OK
        || n < 0
        || n > (int64_t) NGX_PULSE_METER_MAX_AMOUNT)
    {
        return "/amount";
    }

    *amount = v->string;

    return NULL;
}


static ngx_str_t
ngx_http_pulse_usage_string(ngx_http_pulse_call_t *call, const char *name)
{
    ngx_str_t                s;
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_get(call->body, name);

    if (v && v->type == NGX_PULSE_JSON_STRING) {
        return v->string;
    }

    ngx_str_null(&s);

    return s;
}


static ngx_str_t *
ngx_http_pulse_usage_locale(ngx_http_pulse_record_t *record)
{
    static ngx_str_t  locales[] = { ngx_string("ar"), ngx_string("en") };

    return &locales[record->locale == NGX_HTTP_PULSE_EN];
}
