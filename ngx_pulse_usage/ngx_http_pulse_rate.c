
#include "ngx_http_pulse_usage_module.h"


#define NGX_HTTP_PULSE_RATE_BATCH   64
#define NGX_HTTP_PULSE_RATE_KEEP    60      /* s after the window's end */
#define NGX_HTTP_PULSE_RATE_KEY     128
#define NGX_HTTP_PULSE_RATE_MAX     1000000


/* what a command was sent for, until its reply */

typedef struct {
    ngx_pulse_rate_delta_t             delta;
    ngx_http_pulse_usage_main_conf_t  *conf;
} ngx_http_pulse_rate_sent_t;


static ngx_int_t ngx_http_pulse_rate_refuse(ngx_http_request_t *r,
    ngx_pulse_rate_state_t *state);
static ngx_int_t ngx_http_pulse_rate_set(ngx_http_request_t *r,
    ngx_pulse_rate_state_t *state);
static ngx_int_t ngx_http_pulse_rate_number(ngx_http_request_t *r,
    const char *name, ngx_uint_t n);
static void ngx_http_pulse_rate_send(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_rate_delta_t *delta);
static size_t ngx_http_pulse_rate_key(ngx_pulse_rate_delta_t *delta,
    u_char *key);
static void ngx_http_pulse_rate_keep(ngx_pulse_rate_delta_t *delta);
static void ngx_http_pulse_rate_reply(void *data, redisReply *reply);
static ngx_int_t ngx_http_pulse_rate_parse(ngx_str_t *value,
    ngx_pulse_rate_limit_t *limit);


ngx_int_t
ngx_http_pulse_rate_handler(ngx_http_request_t *r)
{
    u_char                             user[16];
    ngx_int_t                          rc;
    ngx_pulse_rate_state_t             state;
    ngx_http_pulse_record_t           *record;
    ngx_http_pulse_usage_loc_conf_t   *ulcf;
    ngx_http_pulse_usage_main_conf_t  *umcf;

    ulcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_usage_module);
    umcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_usage_module);

    /* an internal redirect was counted when it came from outside */

    if (ulcf->limits == NULL || umcf->shared == NULL
        || r != r->main || r->internal)
    {
        return NGX_DECLINED;
    }

    record = ngx_http_pulse_record_find(r);

    if (record == NULL || record->user_id.len != NGX_HTTP_PULSE_UUID_LEN) {
        return NGX_DECLINED;
    }

    ngx_pulse_uuid_bytes(user, record->user_id.data);

    ngx_http_pulse_usage_lock(umcf);

    rc = ngx_pulse_rate_take(&umcf->shared->rate, user, ulcf->limits->elts,
                             ulcf->limits->nelts, ngx_time(), &state);

    ngx_http_pulse_usage_unlock(umcf);

    if (rc == NGX_BUSY) {
        return ngx_http_pulse_rate_refuse(r, &state);
    }

    /* whatever answers it: all that is counted is told */

    return (ngx_http_pulse_rate_set(r, &state) == NGX_OK) ? NGX_DECLINED
                                                          : NGX_ERROR;
}


static ngx_int_t
ngx_http_pulse_rate_refuse(ngx_http_request_t *r,
    ngx_pulse_rate_state_t *state)
{
    ngx_str_t  details;

    ngx_http_pulse_usage_count(NGX_HTTP_PULSE_USAGE_RATE, 1);

    if (ngx_http_pulse_rate_set(r, state) != NGX_OK
        || ngx_http_pulse_limit_details(r, state->limit, state->window,
                                        (int64_t) state->reset * 1000,
                                        &details)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_pulse_refuse(r, NGX_HTTP_PULSE_RATE_LIMIT_EXCEEDED,
                                 &details);
}


static ngx_int_t
ngx_http_pulse_rate_set(ngx_http_request_t *r, ngx_pulse_rate_state_t *state)
{
    if (ngx_http_pulse_rate_number(r, "X-RateLimit-Limit", state->limit)
        != NGX_OK
        || ngx_http_pulse_rate_number(r, "X-RateLimit-Remaining",
                                      state->remaining)
           != NGX_OK
        || ngx_http_pulse_rate_number(r, "X-RateLimit-Reset", state->reset)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_rate_number(ngx_http_request_t *r, const char *name,
    ngx_uint_t n)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", n) - value.data;

    return ngx_http_pulse_set_header(r, name, &value);
}


/* Without Redis each node has windows of its own, and what it counted until
 * the link is back is not told. */

void
ngx_http_pulse_rate_share(ngx_http_pulse_usage_main_conf_t *umcf)
{
    ngx_uint_t              i, n;
    ngx_pulse_rate_delta_t  deltas[NGX_HTTP_PULSE_RATE_BATCH];

    if (ngx_http_pulse_redis_link == NULL
        || !ngx_pulse_redis_ready(ngx_http_pulse_redis_link))
    {
        return;
    }

    do {
        ngx_http_pulse_usage_lock(umcf);

        n = ngx_pulse_rate_collect(&umcf->shared->rate, deltas,
                                   NGX_HTTP_PULSE_RATE_BATCH);

        ngx_http_pulse_usage_unlock(umcf);

        for (i = 0; i < n; i++) {
            ngx_http_pulse_rate_send(umcf, &deltas[i]);
        }

    } while (n == NGX_HTTP_PULSE_RATE_BATCH);
}


static void
ngx_http_pulse_rate_send(ngx_http_pulse_usage_main_conf_t *umcf,
    ngx_pulse_rate_delta_t *delta)
{
    u_char                       key[NGX_HTTP_PULSE_RATE_KEY];
    u_char                       count[NGX_INT64_LEN];
    ngx_str_t                    args[3];
    ngx_http_pulse_rate_sent_t  *sent;

    sent = ngx_alloc(sizeof(ngx_http_pulse_rate_sent_t), ngx_cycle->log);
    if (sent == NULL) {
        return;
    }

    sent->conf = umcf;
    sent->delta = *delta;

    ngx_str_set(&args[0], "INCRBY");
    args[1].data = key;
    args[1].len = ngx_http_pulse_rate_key(delta, key);
    args[2].data = count;
    args[2].len = ngx_sprintf(count, "%uD", delta->delta) - count;

    if (ngx_pulse_redis_command(ngx_http_pulse_redis_link, 3, args, 0,
                                ngx_http_pulse_rate_reply, sent)
        != NGX_OK)
    {
        ngx_http_pulse_rate_reply(sent, NULL);
        return;
    }

    if (delta->keep) {
        ngx_http_pulse_rate_keep(delta);
    }
}


static size_t
ngx_http_pulse_rate_key(ngx_pulse_rate_delta_t *delta, u_char *key)
{
    u_char  user[NGX_HTTP_PULSE_UUID_LEN];

    ngx_pulse_uuid_text(user, delta->user);

    return ngx_sprintf(key, "pulse:rate:%*s:%uD:%L",
                       (size_t) NGX_HTTP_PULSE_UUID_LEN, user, delta->window,
                       delta->start)
           - key;
}


static void
ngx_http_pulse_rate_keep(ngx_pulse_rate_delta_t *delta)
{
    u_char     key[NGX_HTTP_PULSE_RATE_KEY], keep[NGX_INT64_LEN];
    ngx_str_t  args[3];

    ngx_str_set(&args[0], "EXPIRE");
    args[1].data = key;
    args[1].len = ngx_http_pulse_rate_key(delta, key);
    args[2].data = keep;
    args[2].len = ngx_sprintf(keep, "%uD",
                              delta->window + NGX_HTTP_PULSE_RATE_KEEP)
                  - keep;

    (void) ngx_pulse_redis_command(ngx_http_pulse_redis_link, 3, args, 0,
                                   NULL, NULL);
}


static void
ngx_http_pulse_rate_reply(void *data, redisReply *reply)
{
    ngx_http_pulse_rate_sent_t *sent = data;

    ngx_pulse_rate_t        *rate;
    ngx_pulse_rate_delta_t  *delta;

    rate = &sent->conf->shared->rate;
    delta = &sent->delta;

    ngx_http_pulse_usage_lock(sent->conf);

    if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0) {
        ngx_pulse_rate_total(rate, delta, reply->integer);

    } else {
        ngx_pulse_rate_unheard(rate, delta);
    }

    ngx_http_pulse_usage_unlock(sent->conf);

    /* a store that has forgotten the window has begun it anew */

    if (reply && reply->type == REDIS_REPLY_INTEGER
        && reply->integer == delta->delta && !delta->keep)
    {
        ngx_http_pulse_rate_keep(delta);
    }

    ngx_free(sent);
}


char *
ngx_http_pulse_rate_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_pulse_usage_loc_conf_t *ulcf = conf;

    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_pulse_rate_limit_t  *limit;

    if (ulcf->limits != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        ulcf->limits = NULL;
        return NGX_CONF_OK;
    }

    ulcf->limits = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                    sizeof(ngx_pulse_rate_limit_t));
    if (ulcf->limits == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        limit = ngx_array_push(ulcf->limits);
        if (limit == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_pulse_rate_parse(&value[i], limit) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid rate \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* "60r/m": s, m, h or d */

static ngx_int_t
ngx_http_pulse_rate_parse(ngx_str_t *value, ngx_pulse_rate_limit_t *limit)
{
    ngx_int_t  n;

    if (value->len < 4
        || ngx_strncmp(value->data + value->len - 3, "r/", 2) != 0)
    {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data, value->len - 3);

    if (n <= 0 || n > NGX_HTTP_PULSE_RATE_MAX) {
        return NGX_ERROR;
    }

    limit->limit = n;

    switch (value->data[value->len - 1]) {

    case 's':
        limit->window = 1;
        return NGX_OK;

    case 'm':
        limit->window = 60;
        return NGX_OK;

    case 'h':
        limit->window = 3600;
        return NGX_OK;

    case 'd':
        limit->window = 86400;
        return NGX_OK;
    }

    return NGX_ERROR;
}
