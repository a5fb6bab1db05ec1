
#include "ngx_http_pulse_auth.h"


#define NGX_HTTP_PULSE_AUTH_KEY_TIME       60000    /* ms, of an answer */
#define NGX_HTTP_PULSE_AUTH_MAX_FAILURES   30       /* of one network */
#define NGX_HTTP_PULSE_AUTH_MAX_TIME       253402300799     /* year 9999 */


typedef struct {
    ngx_http_pulse_auth_credential_t   credential;
    ngx_http_pulse_auth_identity_t     identity;
    ngx_http_pulse_code_e              code;
    ngx_uint_t                         waiting;
    ngx_pulse_pg_statement_t          *statement;
    ngx_str_t                          params[2];
    ngx_str_t                          details;
    u_char                             hash[NGX_HTTP_PULSE_AUTH_HASH_LEN];
    u_char                             network[NGX_HTTP_PULSE_AUTH_HASH_LEN];
} ngx_http_pulse_auth_ctx_t;


static ngx_http_pulse_auth_ctx_t *ngx_http_pulse_auth_begin(
    ngx_http_request_t *r, ngx_http_pulse_auth_main_conf_t *amcf,
    ngx_uint_t mode);
static void ngx_http_pulse_auth_identify(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx);
static ngx_uint_t ngx_http_pulse_auth_is_key(ngx_str_t *text);
static void ngx_http_pulse_auth_key(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx);
static void ngx_http_pulse_auth_token(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx);
static ngx_http_pulse_auth_issuer_t *ngx_http_pulse_auth_issuer(
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_str_t *name);
static const char *ngx_http_pulse_auth_session(
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx,
    ngx_pulse_jwt_t *jwt);
static void ngx_http_pulse_auth_session_check(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx);
static void ngx_http_pulse_auth_ask(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx);
static void ngx_http_pulse_auth_answer(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_session_row(ngx_http_pulse_auth_ctx_t *ctx,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_key_row(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_identity_row(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_row(ngx_http_pulse_auth_identity_t *identity,
    ngx_str_t *user, ngx_str_t *locale, int64_t checked);
static ngx_int_t ngx_http_pulse_auth_finish(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_http_pulse_record_t *record,
    ngx_uint_t mode);
static ngx_int_t ngx_http_pulse_auth_record(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_http_pulse_record_t *record);
static ngx_uint_t ngx_http_pulse_auth_unix(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_auth_refuse(ngx_http_request_t *r,
    ngx_http_pulse_code_e code, ngx_str_t *details);


ngx_pulse_pg_statement_t  ngx_http_pulse_auth_access_statements[] = {

    { "auth_session",
      "SELECT auth_session($1::uuid, $2::uuid)", 2 },

    { "auth_key",
      "SELECT key_id, user_id, locale, internal::int, expires, checked"
      " FROM auth_key($1::bytea)", 1 },

    { "auth_identity",
      "SELECT user_id, locale, checked"
      " FROM auth_identity($1::text, $2::text)", 2 },

    { NULL, NULL, 0 }
};


#define NGX_HTTP_PULSE_AUTH_ASK_SESSION                                       \
    (&ngx_http_pulse_auth_access_statements[0])
#define NGX_HTTP_PULSE_AUTH_ASK_KEY                                           \
    (&ngx_http_pulse_auth_access_statements[1])
#define NGX_HTTP_PULSE_AUTH_ASK_IDENTITY                                      \
    (&ngx_http_pulse_auth_access_statements[2])


ngx_pulse_metric_t  ngx_http_pulse_auth_metrics[] = {

    { "pulse_auth_requests_total", "by=\"cookie\"",
      "Requests let in, by what vouched for them.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_auth_requests_total", "by=\"bearer\"",
      "Requests let in, by what vouched for them.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_auth_requests_total", "by=\"key\"",
      "Requests let in, by what vouched for them.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_auth_refused_total", NULL,
      "Requests refused for their credential, or for having none.",
      NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_auth_verified_total", NULL,
      "Credentials not in the cache, verified or asked of the store.",
      NGX_PULSE_METRIC_COUNTER, 0 }
};


ngx_uint_t  ngx_http_pulse_auth_nmetrics =
    sizeof(ngx_http_pulse_auth_metrics) / sizeof(ngx_pulse_metric_t);


#define NGX_HTTP_PULSE_AUTH_LET_IN    (&ngx_http_pulse_auth_metrics[0])
#define NGX_HTTP_PULSE_AUTH_REFUSED   (&ngx_http_pulse_auth_metrics[3])
#define NGX_HTTP_PULSE_AUTH_VERIFIED  (&ngx_http_pulse_auth_metrics[4])


ngx_int_t
ngx_http_pulse_auth_handler(ngx_http_request_t *r)
{
    ngx_http_pulse_record_t          *record;
    ngx_http_pulse_auth_ctx_t        *ctx;
    ngx_http_pulse_auth_loc_conf_t   *alcf;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_auth_module);

    if (alcf->mode == NGX_HTTP_PULSE_AUTH_OFF || r != r->main) {
        return NGX_DECLINED;
    }

    record = ngx_http_pulse_record(r);
    if (record == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* an internal redirect comes here again, without the context; whom the
     * first location let in may be nobody that this one does */

    if (record->internal
        || (record->by != NGX_HTTP_PULSE_BY_NONE
            && alcf->mode != NGX_HTTP_PULSE_AUTH_INTERNAL))
    {
        return NGX_OK;
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_pulse_auth_module);

    if (ctx == NULL) {
        ctx = ngx_http_pulse_auth_begin(r, amcf, alcf->mode);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->waiting) {
        return NGX_AGAIN;
    }

    return ngx_http_pulse_auth_finish(r, ctx, record, alcf->mode);
}


static ngx_http_pulse_auth_ctx_t *
ngx_http_pulse_auth_begin(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_uint_t mode)
{
    ngx_str_t                   key;
    ngx_http_pulse_auth_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_pulse_auth_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_pulse_auth_module);

    ngx_http_pulse_auth_credential(r, &amcf->cookie, &ctx->credential);

    /* Google takes keys so; here a URL is what logs and proxies may keep */

    if (ngx_http_pulse_record(r)->dialect == NGX_HTTP_PULSE_GEMINI
        && ngx_http_arg(r, (u_char *) "key", 3, &key) == NGX_OK)
    {
        ctx->code = NGX_HTTP_PULSE_INVALID_REQUEST;
        ngx_str_set(&ctx->details, "{\"field\":\"\",\"reason\":\"a key must not"
                                   " be in the URL: send it in the header"
                                   " x-goog-api-key\"}");
        return ctx;
    }

    if (ctx->credential.bad) {
        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
        return ctx;
    }

    if (ctx->credential.text.data != NULL) {
        ngx_http_pulse_auth_identify(r, amcf, ctx);
        return ctx;
    }

    if (mode == NGX_HTTP_PULSE_AUTH_ON
        || (mode == NGX_HTTP_PULSE_AUTH_INTERNAL
            && !ngx_http_pulse_auth_unix(r)))
    {
        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
    }

    return ctx;
}


static void
ngx_http_pulse_auth_identify(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx)
{
    ngx_str_t  *text;

    text = &ctx->credential.text;

    /* not hashed first: it can be as long as a client likes */

    if (text->len > NGX_PULSE_JWT_MAX_SIZE) {
        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
        return;
    }

    if (ngx_http_pulse_auth_hash(ctx->hash, amcf->seed, sizeof(amcf->seed),
                                 text->data, text->len)
        != NGX_OK)
    {
        ctx->code = NGX_HTTP_PULSE_INTERNAL_ERROR;
        return;
    }

    switch (ngx_http_pulse_auth_zone_find(amcf->zone, ctx->hash,
                                          &ctx->identity))
    {

    case NGX_OK:
        return;

    case NGX_DECLINED:
        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
        return;
    }

    ngx_pulse_metric_add(NGX_HTTP_PULSE_AUTH_VERIFIED, 1);

    if (ngx_http_pulse_auth_is_key(text)) {
        ngx_http_pulse_auth_key(r, amcf, ctx);

    } else {
        ngx_http_pulse_auth_token(r, amcf, ctx);
    }
}


static ngx_uint_t
ngx_http_pulse_auth_is_key(ngx_str_t *text)
{
    return text->len > 3 && ngx_memcmp(text->data, "pk_", 3) == 0;
}


static void
ngx_http_pulse_auth_key(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx)
{
    u_char      buf[NGX_HTTP_PULSE_AUTH_NETWORK];
    int64_t     expires;
    ngx_str_t  *text, network;

    text = &ctx->credential.text;

    if (!ngx_http_pulse_auth_secret_valid(text->data + 3, text->len - 3)) {
        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
        return;
    }

    /* one who tries keys out does it at the cost of the own network, not at
     * that of the store */

    network = ngx_http_pulse_auth_network(r, buf);

    if (ngx_http_pulse_auth_hash(ctx->network, (u_char *) "network", 7,
                                 network.data, network.len)
        != NGX_OK
        || ngx_http_pulse_auth_bytea(r, text, &ctx->params[0]) != NGX_OK)
    {
        ctx->code = NGX_HTTP_PULSE_INTERNAL_ERROR;
        return;
    }

    if (ngx_http_pulse_auth_zone_failures(amcf->zone, ctx->network, &expires)
        >= NGX_HTTP_PULSE_AUTH_MAX_FAILURES)
    {
        ctx->code = NGX_HTTP_PULSE_RATE_LIMIT_EXCEEDED;

        if (ngx_http_pulse_limit_details(r, NGX_HTTP_PULSE_AUTH_MAX_FAILURES,
                                         NGX_HTTP_PULSE_AUTH_BAD_TIME / 1000,
                                         expires, &ctx->details)
            != NGX_OK)
        {
            ctx->code = NGX_HTTP_PULSE_INTERNAL_ERROR;
            ngx_str_null(&ctx->details);
        }

        return;
    }

    ctx->statement = NGX_HTTP_PULSE_AUTH_ASK_KEY;

    ngx_http_pulse_auth_ask(r, ctx);
}


static void
ngx_http_pulse_auth_token(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx)
{
    const char                    *reason;
    ngx_pulse_jwt_t                jwt;
    ngx_pulse_jwt_rules_t          rules;
    ngx_http_pulse_auth_issuer_t  *issuer;

    reason = ngx_pulse_jwt_parse(r->pool, &ctx->credential.text, &jwt);

    if (reason != NULL) {
        goto refused;
    }

    issuer = ngx_http_pulse_auth_issuer(amcf, &jwt.issuer);

    if (issuer == NULL) {
        reason = "issuer is not known";
        goto refused;
    }

    rules.issuer = issuer->issuer;
    rules.audience = issuer->audience;
    rules.leeway = amcf->leeway;

    reason = ngx_pulse_jwt_verify(&jwt, issuer->jwks, &rules, ngx_time());

    if (reason != NULL) {
        goto refused;
    }

    ctx->identity.since = jwt.issued * 1000;
    ctx->identity.expires = (ngx_min(jwt.expires,
                                     NGX_HTTP_PULSE_AUTH_MAX_TIME)
                             + amcf->leeway)
                            * 1000;

    if (issuer->jwks == amcf->ring) {
        reason = ngx_http_pulse_auth_session(amcf, ctx, &jwt);

        if (reason != NULL) {
            goto refused;
        }

        ngx_http_pulse_auth_session_check(r, amcf, ctx);
        return;
    }

    if (jwt.subject.len == 0) {
        reason = "\"sub\" is missing";
        goto refused;
    }

    ctx->identity.kind = NGX_HTTP_PULSE_AUTH_IDENTITY;
    ctx->statement = NGX_HTTP_PULSE_AUTH_ASK_IDENTITY;
    ctx->params[0] = jwt.issuer;
    ctx->params[1] = jwt.subject;

    ngx_http_pulse_auth_ask(r, ctx);

    return;

refused:

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "pulse auth: token refused: %s", reason);

    ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
}


static ngx_http_pulse_auth_issuer_t *
ngx_http_pulse_auth_issuer(ngx_http_pulse_auth_main_conf_t *amcf,
    ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_http_pulse_auth_issuer_t  *issuer;

    issuer = amcf->issuers.elts;

    for (i = 0; i < amcf->issuers.nelts; i++) {
        if (issuer[i].issuer.len == name->len
            && ngx_memcmp(issuer[i].issuer.data, name->data, name->len) == 0)
        {
            return &issuer[i];
        }
    }

    return NULL;
}


/* What our own tokens bear besides: the session, or the key that one was made
 * for, and the user's language. */

static const char *
ngx_http_pulse_auth_session(ngx_http_pulse_auth_main_conf_t *amcf,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_pulse_jwt_t *jwt)
{
    ngx_pulse_json_value_t          *session, *locale, *by;
    ngx_http_pulse_auth_identity_t  *identity;

    identity = &ctx->identity;

    session = ngx_pulse_json_get(jwt->claims, "sid");
    locale = ngx_pulse_json_get(jwt->claims, "locale");
    by = ngx_pulse_json_get(jwt->claims, "by");

    if (session == NULL || session->type != NGX_PULSE_JSON_STRING
        || !ngx_pulse_uuid_valid(&session->string)
        || !ngx_pulse_uuid_valid(&jwt->subject))
    {
        return "\"sid\" or \"sub\" is no UUID";
    }

    if (jwt->issued == 0) {
        return "\"iat\" is missing";
    }

    identity->kind = (by != NULL && by->string.len == 3
                      && ngx_memcmp(by->string.data, "key", 3) == 0)
                     ? NGX_HTTP_PULSE_AUTH_KEY : NGX_HTTP_PULSE_AUTH_SESSION;
    identity->has_user = 1;

    ngx_strlow(identity->user, jwt->subject.data, NGX_HTTP_PULSE_UUID_LEN);
    ngx_strlow(identity->id, session->string.data, NGX_HTTP_PULSE_UUID_LEN);

    identity->locale = (locale != NULL && locale->string.len == 2
                        && ngx_memcmp(locale->string.data, "en", 2) == 0)
                       ? NGX_HTTP_PULSE_EN : NGX_HTTP_PULSE_AR;

    return NULL;
}


static void
ngx_http_pulse_auth_session_check(ngx_http_request_t *r,
    ngx_http_pulse_auth_main_conf_t *amcf, ngx_http_pulse_auth_ctx_t *ctx)
{
    switch (ngx_http_pulse_auth_zone_check(amcf->zone, &ctx->identity)) {

    case NGX_OK:
        ngx_http_pulse_auth_zone_store(amcf->zone, ctx->hash, &ctx->identity);
        return;

    case NGX_DECLINED:
        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
        return;
    }

    /* the revocations are not here yet: the store knows */

    ctx->statement = NGX_HTTP_PULSE_AUTH_ASK_SESSION;

    ctx->params[0].data = ctx->identity.id;
    ctx->params[0].len = NGX_HTTP_PULSE_UUID_LEN;
    ctx->params[1].data = ctx->identity.user;
    ctx->params[1].len = NGX_HTTP_PULSE_UUID_LEN;

    ngx_http_pulse_auth_ask(r, ctx);
}


static void
ngx_http_pulse_auth_ask(ngx_http_request_t *r, ngx_http_pulse_auth_ctx_t *ctx)
{
    if (ngx_http_pulse_pg(r, ctx->statement, ctx->params,
                          ngx_http_pulse_auth_answer, ctx)
        == NGX_OK)
    {
        ctx->waiting = 1;
        return;
    }

    ctx->code = NGX_HTTP_PULSE_STORE_UNAVAILABLE;
}


static void
ngx_http_pulse_auth_answer(ngx_http_request_t *r, void *data,
    ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_auth_ctx_t *ctx = data;

    ctx->waiting = 0;

    if (res->status == NGX_PULSE_PG_ERROR) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse auth: \"%s\" failed: %s: %s",
                      ctx->statement->name, res->sqlstate, res->message);
        ctx->code = NGX_HTTP_PULSE_INTERNAL_ERROR;

    } else if (res->status != NGX_PULSE_PG_OK) {
        ctx->code = NGX_HTTP_PULSE_STORE_UNAVAILABLE;

    } else if (ctx->statement == NGX_HTTP_PULSE_AUTH_ASK_KEY) {
        ngx_http_pulse_auth_key_row(r, ctx, res);

    } else if (ctx->statement == NGX_HTTP_PULSE_AUTH_ASK_IDENTITY) {
        ngx_http_pulse_auth_identity_row(r, ctx, res);

    } else {
        ngx_http_pulse_auth_session_row(ctx, res);
    }

    /* the phases come back to the handler, which has its verdict now */

    ngx_http_pulse_resume(r);
}


/* Good for this request alone: what was revoked meanwhile is not known. */

static void
ngx_http_pulse_auth_session_row(ngx_http_pulse_auth_ctx_t *ctx,
    ngx_pulse_pg_result_t *res)
{
    ngx_str_t  good;

    good = ngx_pulse_pg_value(res, 0, 0);

    if (good.len != 1 || good.data[0] != 't') {
        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
    }
}


static void
ngx_http_pulse_auth_key_row(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_pulse_pg_result_t *res)
{
    int64_t                           expires;
    ngx_str_t                         id, user, locale;
    ngx_http_pulse_auth_identity_t   *identity;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);

    identity = &ctx->identity;
    id = ngx_pulse_pg_value(res, 0, 0);
    user = ngx_pulse_pg_value(res, 0, 1);
    locale = ngx_pulse_pg_value(res, 0, 2);

    if (id.len != NGX_HTTP_PULSE_UUID_LEN) {
        ngx_http_pulse_auth_zone_store_bad(amcf->zone, ctx->hash);
        ngx_http_pulse_auth_zone_failed(amcf->zone, ctx->network);

        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
        return;
    }

    ngx_memzero(identity, sizeof(ngx_http_pulse_auth_identity_t));

    identity->kind = NGX_HTTP_PULSE_AUTH_KEY;
    identity->internal = (ngx_pulse_pg_int(res, 0, 3) != 0);
    identity->expires = ngx_pulse_now() + NGX_HTTP_PULSE_AUTH_KEY_TIME;

    ngx_memcpy(identity->id, id.data, NGX_HTTP_PULSE_UUID_LEN);

    ngx_http_pulse_auth_row(identity, &user, &locale,
                            ngx_pulse_pg_int(res, 0, 5));

    expires = ngx_pulse_pg_int(res, 0, 4);

    if (expires != 0) {
        identity->expires = ngx_min(identity->expires, expires);
    }

    ngx_http_pulse_auth_zone_store(amcf->zone, ctx->hash, identity);
}


static void
ngx_http_pulse_auth_identity_row(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_pulse_pg_result_t *res)
{
    ngx_str_t                         user, locale;
    ngx_http_pulse_auth_identity_t   *identity;
    ngx_http_pulse_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);

    identity = &ctx->identity;
    user = ngx_pulse_pg_value(res, 0, 0);
    locale = ngx_pulse_pg_value(res, 0, 1);

    if (user.len != NGX_HTTP_PULSE_UUID_LEN) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "pulse auth: token refused: subject is not known");

        ngx_http_pulse_auth_zone_store_bad(amcf->zone, ctx->hash);

        ctx->code = NGX_HTTP_PULSE_UNAUTHORIZED;
        return;
    }

    ngx_http_pulse_auth_row(identity, &user, &locale,
                            ngx_pulse_pg_int(res, 0, 2));

    identity->expires = ngx_min(identity->expires,
                                ngx_pulse_now()
                                + NGX_HTTP_PULSE_AUTH_KEY_TIME);

    ngx_http_pulse_auth_zone_store(amcf->zone, ctx->hash, identity);
}


static void
ngx_http_pulse_auth_row(ngx_http_pulse_auth_identity_t *identity,
    ngx_str_t *user, ngx_str_t *locale, int64_t checked)
{
    identity->since = checked;

    if (user->len == NGX_HTTP_PULSE_UUID_LEN) {
        identity->has_user = 1;
        ngx_memcpy(identity->user, user->data, NGX_HTTP_PULSE_UUID_LEN);
    }

    identity->locale = (locale->len == 2
                        && ngx_memcmp(locale->data, "en", 2) == 0)
                       ? NGX_HTTP_PULSE_EN : NGX_HTTP_PULSE_AR;
}


static ngx_int_t
ngx_http_pulse_auth_finish(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_http_pulse_record_t *record,
    ngx_uint_t mode)
{
    if (ctx->code != NGX_HTTP_PULSE_OK) {
        return ngx_http_pulse_auth_refuse(r, ctx->code, &ctx->details);
    }

    if (ctx->credential.text.data != NULL) {

        if (ctx->credential.by == NGX_HTTP_PULSE_BY_COOKIE
            && !ngx_http_pulse_auth_same_site(r))
        {
            return ngx_http_pulse_auth_refuse(r, NGX_HTTP_PULSE_CSRF_REJECTED,
                                              &ctx->details);
        }

        if (mode == NGX_HTTP_PULSE_AUTH_INTERNAL && !ctx->identity.internal
            && !ngx_http_pulse_auth_unix(r))
        {
            return ngx_http_pulse_auth_refuse(r, NGX_HTTP_PULSE_FORBIDDEN,
                                              &ctx->details);
        }

        if (ngx_http_pulse_auth_record(r, ctx, record) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_pulse_metric_add(NGX_HTTP_PULSE_AUTH_LET_IN
                             + (record->by - NGX_HTTP_PULSE_BY_COOKIE), 1);
    }

    if (mode == NGX_HTTP_PULSE_AUTH_INTERNAL) {
        record->internal = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_auth_record(ngx_http_request_t *r,
    ngx_http_pulse_auth_ctx_t *ctx, ngx_http_pulse_record_t *record)
{
    u_char                          *p;
    ngx_str_t                        user, id;
    ngx_http_pulse_auth_identity_t  *identity;

    identity = &ctx->identity;

    p = ngx_pnalloc(r->pool, 2 * NGX_HTTP_PULSE_UUID_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, identity->user, NGX_HTTP_PULSE_UUID_LEN);
    ngx_memcpy(p + NGX_HTTP_PULSE_UUID_LEN, identity->id,
               NGX_HTTP_PULSE_UUID_LEN);

    user.data = p;
    user.len = NGX_HTTP_PULSE_UUID_LEN;
    id.data = p + NGX_HTTP_PULSE_UUID_LEN;
    id.len = NGX_HTTP_PULSE_UUID_LEN;

    record->by = ctx->credential.by;
    record->internal = identity->internal;

    if (identity->has_user) {
        record->user_id = user;
        record->locale = identity->locale;
    }

    switch (identity->kind) {

    case NGX_HTTP_PULSE_AUTH_SESSION:
        record->session_id = id;
        break;

    case NGX_HTTP_PULSE_AUTH_KEY:
        record->by = NGX_HTTP_PULSE_BY_KEY;
        record->key_id = id;
        break;
    }

    return NGX_OK;
}


/* The socket listened on and not the peer's address, which a header may have
 * changed. */

static ngx_uint_t
ngx_http_pulse_auth_unix(ngx_http_request_t *r)
{
    ngx_listening_t  *ls;

    ls = r->connection->listening;

    return ls != NULL && ls->sockaddr->sa_family == AF_UNIX;
}


static ngx_int_t
ngx_http_pulse_auth_refuse(ngx_http_request_t *r, ngx_http_pulse_code_e code,
    ngx_str_t *details)
{
    ngx_pulse_metric_add(NGX_HTTP_PULSE_AUTH_REFUSED, 1);

    return ngx_http_pulse_refuse(r, code, details->len ? details : NULL);
}
