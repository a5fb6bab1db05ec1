
#include "ngx_http_pulse_auth.h"


#define NGX_HTTP_PULSE_AUTH_MAX_EMAIL   254
#define NGX_HTTP_PULSE_AUTH_MAX_LOCAL   64
#define NGX_HTTP_PULSE_AUTH_MAX_LABEL   63
#define NGX_HTTP_PULSE_AUTH_MAX_AGENT   256


static void ngx_http_pulse_auth_link(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static ngx_int_t ngx_http_pulse_auth_link_send(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call, ngx_str_t *email, ngx_str_t *locale);
static void ngx_http_pulse_auth_verify(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static ngx_int_t ngx_http_pulse_auth_verify_send(ngx_http_request_t *r,
    ngx_str_t *token);
static void ngx_http_pulse_auth_verified(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_logout(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_me(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_me_update(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_me_updated(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_sessions(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_session_delete(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_session_end(ngx_http_request_t *r,
    ngx_str_t *user, ngx_str_t *session);
static void ngx_http_pulse_auth_session_ended(ngx_http_request_t *r,
    void *data, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_sessions_delete(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_auth_sessions_deleted(ngx_http_request_t *r,
    void *data, ngx_pulse_pg_result_t *res);
static ngx_uint_t ngx_http_pulse_auth_email_valid(ngx_str_t *email);
static ngx_uint_t ngx_http_pulse_auth_local_valid(u_char *p, size_t len);
static ngx_uint_t ngx_http_pulse_auth_domain_valid(u_char *p, size_t len);
static ngx_int_t ngx_http_pulse_auth_locale(ngx_http_pulse_call_t *call,
    ngx_str_t *locale);
static ngx_str_t *ngx_http_pulse_auth_language(
    ngx_http_pulse_record_t *record);
static ngx_str_t ngx_http_pulse_auth_agent(ngx_http_request_t *r);
static ngx_uint_t ngx_http_pulse_auth_succeeded(ngx_pulse_pg_result_t *res);
static ngx_int_t ngx_http_pulse_auth_sign_in(ngx_http_request_t *r,
    ngx_str_t *user, ngx_str_t *session, ngx_str_t *locale, int64_t issued,
    int64_t expires);
static ngx_int_t ngx_http_pulse_auth_set_cookie(ngx_http_request_t *r,
    ngx_pulse_buf_t *token, int64_t age);


ngx_http_pulse_route_t  ngx_http_pulse_auth_session_routes[] = {

    { NGX_HTTP_POST, ngx_string("/v1/auth/magic-link"),
      NGX_HTTP_PULSE_ROUTE_BODY|NGX_HTTP_PULSE_ROUTE_PUBLIC,
      ngx_http_pulse_auth_link },

    { NGX_HTTP_POST, ngx_string("/v1/auth/magic-link/verify"),
      NGX_HTTP_PULSE_ROUTE_BODY|NGX_HTTP_PULSE_ROUTE_PUBLIC,
      ngx_http_pulse_auth_verify },

    { NGX_HTTP_POST, ngx_string("/v1/auth/logout"),
      NGX_HTTP_PULSE_ROUTE_OPTIONAL,
      ngx_http_pulse_auth_logout },

    { NGX_HTTP_GET, ngx_string("/v1/auth/me"),
      0,
      ngx_http_pulse_auth_me },

    { NGX_HTTP_PATCH, ngx_string("/v1/auth/me"),
      NGX_HTTP_PULSE_ROUTE_BODY,
      ngx_http_pulse_auth_me_update },

    { NGX_HTTP_GET, ngx_string("/v1/auth/sessions"),
      0,
      ngx_http_pulse_auth_sessions },

    { NGX_HTTP_DELETE, ngx_string("/v1/auth/sessions"),
      0,
      ngx_http_pulse_auth_sessions_delete },

    { NGX_HTTP_DELETE, ngx_string("/v1/auth/sessions/{id}"),
      0,
      ngx_http_pulse_auth_session_delete },

    { 0, ngx_null_string, 0, NULL }
};


ngx_pulse_pg_statement_t  ngx_http_pulse_auth_session_statements[] = {

    { "auth_magic_link",
      "SELECT status, code, data FROM auth_magic_link($1::text, $2::bytea,"
      " $3::text, $4::text, $5::text, $6::text)", 6 },

    { "auth_verify",
      "SELECT status, code, data, user_id, locale, created FROM"
      " auth_verify($1::bytea, $2::uuid, $3::uuid, $4::integer, $5::text,"
      " $6::text, $7::text)", 7 },

    { "auth_me",
      "SELECT status, code, data FROM auth_me($1::uuid)", 1 },

    { "auth_me_update",
      "SELECT status, code, data, created, expires, language FROM"
      " auth_me_update($1::uuid, $2::uuid, $3::text)", 3 },

    { "auth_sessions",
      "SELECT status, code, data FROM auth_sessions($1::uuid, $2::uuid)", 2 },

    { "auth_session_delete",
      "SELECT status, code, data FROM"
      " auth_session_delete($1::uuid, $2::uuid)", 2 },

    { "auth_sessions_delete",
      "SELECT status, code, data, ids FROM"
      " auth_sessions_delete($1::uuid, $2::uuid)", 2 },

    { NULL, NULL, 0 }
};


#define NGX_HTTP_PULSE_AUTH_LINK                                              \
    (&ngx_http_pulse_auth_session_statements[0])
#define NGX_HTTP_PULSE_AUTH_VERIFY                                            \
    (&ngx_http_pulse_auth_session_statements[1])
#define NGX_HTTP_PULSE_AUTH_ME                                                \
    (&ngx_http_pulse_auth_session_statements[2])
#define NGX_HTTP_PULSE_AUTH_ME_UPDATE                                         \
    (&ngx_http_pulse_auth_session_statements[3])
#define NGX_HTTP_PULSE_AUTH_SESSIONS                                          \
    (&ngx_http_pulse_auth_session_statements[4])
#define NGX_HTTP_PULSE_AUTH_SESSION_DELETE                                    \
    (&ngx_http_pulse_auth_session_statements[5])
#define NGX_HTTP_PULSE_AUTH_SESSIONS_DELETE                                   \
    (&ngx_http_pulse_auth_session_statements[6])


static ngx_str_t  ngx_http_pulse_auth_languages[] = {
    ngx_string("ar"), ngx_string("en")
};


static void
ngx_http_pulse_auth_link(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_str_t                email, locale;
    ngx_pulse_json_value_t  *value;

    value = ngx_pulse_json_get(call->body, "email");

    if (value == NULL || value->type != NGX_PULSE_JSON_STRING) {
        ngx_http_finalize_request(r,
                   ngx_http_pulse_invalid(r, "/email", "a string is wanted"));
        return;
    }

    email = value->string;

    if (!ngx_http_pulse_auth_email_valid(&email)) {
        ngx_http_finalize_request(r,
              ngx_http_pulse_invalid(r, "/email", "is not an e-mail address"));
        return;
    }

    if (ngx_http_pulse_auth_locale(call, &locale) != NGX_OK) {
        ngx_http_finalize_request(r,
              ngx_http_pulse_invalid(r, "/locale", "is neither ar nor en"));
        return;
    }

    if (ngx_http_pulse_auth_link_send(r, call, &email, &locale) != NGX_OK) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR,
                                          NULL));
    }
}


/* The link's host is that of the configuration, never that of the request:
 * who asks for a mail to somebody else must not choose where it leads. */

static ngx_int_t
ngx_http_pulse_auth_link_send(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call, ngx_str_t *email, ngx_str_t *locale)
{
    u_char                      *p;
    u_char                       buf[NGX_HTTP_PULSE_AUTH_NETWORK];
    ngx_str_t                    params[6], token;
    ngx_http_pulse_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);

    if (pmcf->public_url.len == 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse auth: a link cannot be written: there is no "
                      "\"pulse_public_url\"");
        return NGX_ERROR;
    }

    if (ngx_http_pulse_auth_secret(r, "", &token, &params[1]) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, pmcf->public_url.len
                             + sizeof("/verify?token=") - 1 + token.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    params[0] = *email;
    params[2] = *locale;
    params[3] = *ngx_http_pulse_auth_language(call->record);
    params[4] = ngx_http_pulse_auth_network(r, buf);

    params[5].data = p;
    params[5].len = ngx_sprintf(p, "%V/verify?token=%V", &pmcf->public_url,
                                &token)
                    - p;

    ngx_http_pulse_call_pg(r, NGX_HTTP_PULSE_AUTH_LINK, params);

    return NGX_OK;
}


static void
ngx_http_pulse_auth_verify(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_pulse_json_value_t  *value;

    value = ngx_pulse_json_get(call->body, "token");

    if (value == NULL || value->type != NGX_PULSE_JSON_STRING) {
        ngx_http_finalize_request(r,
                   ngx_http_pulse_invalid(r, "/token", "a string is wanted"));
        return;
    }

    /* what cannot be a token is answered as one that is not known: the store
     * is spared, and nothing is told */

    if (!ngx_http_pulse_auth_secret_valid(value->string.data,
                                          value->string.len))
    {
        ngx_http_finalize_request(r,
                   ngx_http_pulse_invalid(r, "/token",
                                          "is used, expired or not known"));
        return;
    }

    if (ngx_http_pulse_auth_verify_send(r, &value->string) != NGX_OK) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR,
                                          NULL));
    }
}


static ngx_int_t
ngx_http_pulse_auth_verify_send(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char                           *p;
    u_char                            buf[NGX_HTTP_PULSE_AUTH_NETWORK];
    ngx_str_t                         params[7], *session;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);

    if (ngx_http_pulse_auth_bytea(r, token, &params[0]) != NGX_OK) {
        return NGX_ERROR;
    }

    session = ngx_palloc(r->pool, sizeof(ngx_str_t));
    p = ngx_pnalloc(r->pool, 2 * NGX_HTTP_PULSE_UUID_LEN + NGX_INT_T_LEN);

    if (session == NULL || p == NULL) {
        return NGX_ERROR;
    }

    params[1].data = p;
    params[1].len = NGX_HTTP_PULSE_UUID_LEN;
    ngx_pulse_uuid7(p);

    p += NGX_HTTP_PULSE_UUID_LEN;

    params[2].data = p;
    params[2].len = NGX_HTTP_PULSE_UUID_LEN;
    ngx_pulse_uuid7(p);

    *session = params[2];

    p += NGX_HTTP_PULSE_UUID_LEN;

    params[3].data = p;
    params[3].len = ngx_sprintf(p, "%T", amcf->session_time) - p;

    params[4] = ngx_http_pulse_auth_network(r, buf);
    params[5] = ngx_http_pulse_auth_agent(r);
    ngx_str_set(&params[6], "/");

    if (ngx_http_pulse_pg(r, NGX_HTTP_PULSE_AUTH_VERIFY, params,
                          ngx_http_pulse_auth_verified, session)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }

    return NGX_OK;
}


static void
ngx_http_pulse_auth_verified(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_str_t *session = data;

    int64_t                           issued;
    ngx_str_t                         user, locale;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    if (res->status == NGX_PULSE_PG_OK
        && ngx_pulse_pg_int(res, 0, 0) == NGX_HTTP_BAD_REQUEST)
    {
        ngx_http_finalize_request(r,
                   ngx_http_pulse_invalid(r, "/token",
                                          "is used, expired or not known"));
        return;
    }

    if (ngx_http_pulse_auth_succeeded(res)) {
        amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);

        user = ngx_pulse_pg_value(res, 0, 3);
        locale = ngx_pulse_pg_value(res, 0, 4);
        issued = ngx_pulse_pg_int(res, 0, 5) / 1000;

        if (ngx_http_pulse_auth_sign_in(r, &user, session, &locale, issued,
                                        issued + amcf->session_time)
            != NGX_OK)
        {
            ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR,
                                          NULL));
            return;
        }
    }

    ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
}


/* A key has no session, and is deleted under /v1/keys. */

static void
ngx_http_pulse_auth_logout(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_http_pulse_record_t  *record;

    record = call->record;

    if (record->session_id.len == 0) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_FORBIDDEN, NULL));
        return;
    }

    ngx_http_pulse_auth_session_end(r, &record->user_id, &record->session_id);
}


static void
ngx_http_pulse_auth_me(ngx_http_request_t *r, ngx_http_pulse_call_t *call)
{
    ngx_http_pulse_call_pg(r, NGX_HTTP_PULSE_AUTH_ME, &call->record->user_id);
}


static void
ngx_http_pulse_auth_me_update(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t                 params[3];
    ngx_http_pulse_record_t  *record;

    record = call->record;

    if (ngx_http_pulse_auth_locale(call, &params[2]) != NGX_OK) {
        ngx_http_finalize_request(r,
              ngx_http_pulse_invalid(r, "/locale", "is neither ar nor en"));
        return;
    }

    params[0] = record->user_id;
    ngx_str_null(&params[1]);

    if (record->session_id.len) {
        params[1] = record->session_id;
    }

    if (ngx_http_pulse_pg(r, NGX_HTTP_PULSE_AUTH_ME_UPDATE, params,
                          ngx_http_pulse_auth_me_updated, record)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }
}


/* The token bears the language: a browser gets it anew, for the same session
 * and no longer than before. */

static void
ngx_http_pulse_auth_me_updated(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_record_t *record = data;

    int64_t    issued, expires;
    ngx_str_t  locale;

    if (record->by == NGX_HTTP_PULSE_BY_COOKIE
        && ngx_http_pulse_auth_succeeded(res))
    {
        issued = ngx_pulse_pg_int(res, 0, 3) / 1000;
        expires = ngx_pulse_pg_int(res, 0, 4) / 1000;
        locale = ngx_pulse_pg_value(res, 0, 5);

        if (expires != 0
            && ngx_http_pulse_auth_sign_in(r, &record->user_id,
                                           &record->session_id, &locale,
                                           issued, expires)
               != NGX_OK)
        {
            ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR,
                                          NULL));
            return;
        }
    }

    ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
}


static void
ngx_http_pulse_auth_sessions(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t  params[2];

    params[0] = call->record->user_id;
    ngx_str_null(&params[1]);

    if (call->record->session_id.len) {
        params[1] = call->record->session_id;
    }

    ngx_http_pulse_call_pg(r, NGX_HTTP_PULSE_AUTH_SESSIONS, params);
}


static void
ngx_http_pulse_auth_session_delete(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    if (!ngx_pulse_uuid_valid(&call->id)) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_NOT_FOUND, NULL));
        return;
    }

    ngx_http_pulse_auth_session_end(r, &call->record->user_id, &call->id);
}


static void
ngx_http_pulse_auth_session_end(ngx_http_request_t *r, ngx_str_t *user,
    ngx_str_t *session)
{
    ngx_str_t   params[2];
    ngx_str_t  *id;

    id = ngx_palloc(r->pool, sizeof(ngx_str_t));
    if (id == NULL) {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR,
                                          NULL));
        return;
    }

    *id = *session;

    params[0] = *user;
    params[1] = *session;

    if (ngx_http_pulse_pg(r, NGX_HTTP_PULSE_AUTH_SESSION_DELETE, params,
                          ngx_http_pulse_auth_session_ended, id)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }
}


static void
ngx_http_pulse_auth_session_ended(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_str_t *session = data;

    ngx_http_pulse_record_t  *record;

    if (ngx_http_pulse_auth_succeeded(res)) {
        record = ngx_http_pulse_record(r);

        ngx_http_pulse_auth_revoked(r, NGX_HTTP_PULSE_AUTH_SESSION, session);

        if (record->by == NGX_HTTP_PULSE_BY_COOKIE
            && ngx_strncasecmp(record->session_id.data, session->data,
                               NGX_HTTP_PULSE_UUID_LEN)
               == 0
            && ngx_http_pulse_auth_set_cookie(r, NULL, 0) != NGX_OK)
        {
            ngx_http_finalize_request(r, NGX_ERROR);
            return;
        }
    }

    ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
}


static void
ngx_http_pulse_auth_sessions_delete(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_str_t  params[2];

    params[0] = call->record->user_id;
    ngx_str_null(&params[1]);

    if (call->record->session_id.len) {
        params[1] = call->record->session_id;
    }

    if (ngx_http_pulse_pg(r, NGX_HTTP_PULSE_AUTH_SESSIONS_DELETE, params,
                          ngx_http_pulse_auth_sessions_deleted, NULL)
        != NGX_OK)
    {
        ngx_http_finalize_request(r,
                     ngx_http_pulse_error(r, NGX_HTTP_PULSE_STORE_UNAVAILABLE,
                                          NULL));
    }
}


static void
ngx_http_pulse_auth_sessions_deleted(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_str_t  ids, id;

    if (ngx_http_pulse_auth_succeeded(res)) {
        ids = ngx_pulse_pg_value(res, 0, 3);

        id.len = NGX_HTTP_PULSE_UUID_LEN;

        for (id.data = ids.data;
             id.data + id.len <= ids.data + ids.len;
             id.data += id.len + 1)
        {
            ngx_http_pulse_auth_revoked(r, NGX_HTTP_PULSE_AUTH_SESSION, &id);
        }
    }

    ngx_http_finalize_request(r, ngx_http_pulse_reply_row(r, res));
}


/*
 * What RFC 5321 takes without quotes and comments.  Nothing that passes can
 * break a line of a mail or a command of SMTP.
 */

static ngx_uint_t
ngx_http_pulse_auth_email_valid(ngx_str_t *email)
{
    u_char  *at, *last;

    if (email->len > NGX_HTTP_PULSE_AUTH_MAX_EMAIL) {
        return 0;
    }

    last = email->data + email->len;
    at = ngx_strlchr(email->data, last, '@');

    return at != NULL
           && ngx_http_pulse_auth_local_valid(email->data, at - email->data)
           && ngx_http_pulse_auth_domain_valid(at + 1, last - at - 1);
}


static ngx_uint_t
ngx_http_pulse_auth_local_valid(u_char *p, size_t len)
{
    size_t  i;

    if (len == 0 || len > NGX_HTTP_PULSE_AUTH_MAX_LOCAL || p[0] == '.'
        || p[len - 1] == '.')
    {
        return 0;
    }

    for (i = 0; i < len; i++) {

        if ((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z')
            || (p[i] >= '0' && p[i] <= '9'))
        {
            continue;
        }

        if (p[i] == '.' && p[i - 1] != '.') {
            continue;
        }

        if (p[i] == '.' || p[i] == '\0'
            || ngx_strchr("!#$%&'*+-/=?^_`{|}~", p[i]) == NULL)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_pulse_auth_domain_valid(u_char *p, size_t len)
{
    size_t      i, label;
    ngx_uint_t  labels;

    label = 0;
    labels = 0;

    for (i = 0; i <= len; i++) {

        if (i == len || p[i] == '.') {
            if (label == 0 || label > NGX_HTTP_PULSE_AUTH_MAX_LABEL
                || p[i - label] == '-' || p[i - 1] == '-')
            {
                return 0;
            }

            labels++;
            label = 0;
            continue;
        }

        if ((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z')
            || (p[i] >= '0' && p[i] <= '9') || p[i] == '-')
        {
            label++;
            continue;
        }

        return 0;
    }

    return labels > 1;
}


/* "locale" of the body; data is NULL if there is none. */

static ngx_int_t
ngx_http_pulse_auth_locale(ngx_http_pulse_call_t *call, ngx_str_t *locale)
{
    ngx_uint_t               i;
    ngx_str_t               *language;
    ngx_pulse_json_value_t  *value;

    ngx_str_null(locale);

    value = ngx_pulse_json_get(call->body, "locale");

    if (value == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < 2; i++) {
        language = &ngx_http_pulse_auth_languages[i];

        if (value->type == NGX_PULSE_JSON_STRING
            && value->string.len == language->len
            && ngx_memcmp(value->string.data, language->data, language->len)
               == 0)
        {
            *locale = *language;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


static ngx_str_t *
ngx_http_pulse_auth_language(ngx_http_pulse_record_t *record)
{
    return &ngx_http_pulse_auth_languages[record->locale];
}


/* For the list of sessions; what is not UTF-8 is left out. */

static ngx_str_t
ngx_http_pulse_auth_agent(ngx_http_request_t *r)
{
    size_t      bad;
    ngx_str_t   agent;
    ngx_str_t  *value;

    ngx_str_null(&agent);

    value = ngx_http_pulse_header(r, "user-agent", sizeof("user-agent") - 1);

    if (value != NULL) {
        agent.data = value->data;
        agent.len = ngx_min(value->len, NGX_HTTP_PULSE_AUTH_MAX_AGENT);

        if (ngx_pulse_utf8_check(agent.data, agent.len, &bad) != NGX_OK) {
            agent.len = bad;
        }
    }

    return agent;
}


static ngx_uint_t
ngx_http_pulse_auth_succeeded(ngx_pulse_pg_result_t *res)
{
    int64_t  status;

    status = (res->status == NGX_PULSE_PG_OK) ? ngx_pulse_pg_int(res, 0, 0)
                                              : 0;

    return status >= NGX_HTTP_OK && status < NGX_HTTP_SPECIAL_RESPONSE;
}


static ngx_int_t
ngx_http_pulse_auth_sign_in(ngx_http_request_t *r, ngx_str_t *user,
    ngx_str_t *session, ngx_str_t *locale, int64_t issued, int64_t expires)
{
    ngx_pulse_buf_t               *token;
    ngx_http_pulse_auth_claims_t   claims;

    token = ngx_http_pulse_buf(r, 0);
    if (token == NULL) {
        return NGX_ERROR;
    }

    claims.user = *user;
    claims.id = *session;
    claims.locale = *locale;
    claims.by = NULL;
    claims.issued = issued;
    claims.expires = expires;

    if (ngx_http_pulse_auth_sign(r, &claims, token) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_pulse_auth_set_cookie(r, token,
                                      ngx_max(expires - ngx_time(), 0));
}


/* Without a token: the browser forgets the one it has. */

static ngx_int_t
ngx_http_pulse_auth_set_cookie(ngx_http_request_t *r, ngx_pulse_buf_t *token,
    int64_t age)
{
    ngx_str_t                         value;
    ngx_uint_t                        secure;
    ngx_pulse_buf_t                  *b;
    ngx_http_pulse_main_conf_t       *pmcf;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_module);
    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);

    secure = amcf->cookie_secure;

    if (secure == NGX_HTTP_PULSE_AUTH_SECURE_AUTO) {
        secure = (pmcf->public_url.len > 8
                  && ngx_strncasecmp(pmcf->public_url.data,
                                     (u_char *) "https://", 8)
                     == 0);
#if (NGX_HTTP_SSL)
        secure = secure || r->connection->ssl != NULL;
#endif
    }

    b = ngx_http_pulse_buf(r, 0);
    if (b == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_str(b, &amcf->cookie);
    ngx_pulse_buf_char(b, '=');

    if (token != NULL) {
        ngx_pulse_buf_append(b, token->data, token->len);
    }

    ngx_pulse_buf_literal(b, "; Path=/; Max-Age=");
    ngx_pulse_buf_int(b, age);
    ngx_pulse_buf_literal(b, "; HttpOnly; SameSite=Lax");

    if (secure) {
        ngx_pulse_buf_literal(b, "; Secure");
    }

    if (b->failed) {
        return NGX_ERROR;
    }

    value.data = b->data;
    value.len = b->len;

    return ngx_http_pulse_set_header(r, "Set-Cookie", &value);
}
