
#include "ngx_http_pulse_provider.h"


/* What is done with a provider that fails, and with clients that leave. */


static ngx_int_t ngx_http_pulse_provider_time(ngx_str_t *value,
    const char *name, ngx_msec_t *to);


/* "cancel", or "drain [max=SIZE] [time=TIME]" */

char *
ngx_http_pulse_provider_client_gone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_provider_conf_t *pc = conf;

    ssize_t                     max;
    ngx_str_t                  *value, size;
    ngx_uint_t                  i;
    ngx_http_pulse_provider_t  *provider;

    value = cf->args->elts;
    provider = pc->provider;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "cancel") == 0) {
        provider->drain = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "drain") != 0) {
        return "must be cancel or drain";
    }

    provider->drain = 1;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_pulse_provider_time(&value[i], "time=",
                                         &provider->drain_time)
            == NGX_OK)
        {
            continue;
        }

        if (ngx_strncmp(value[i].data, "max=", 4) != 0) {
            return "takes max= and time=";
        }

        size.data = value[i].data + 4;
        size.len = value[i].len - 4;

        max = ngx_parse_size(&size);

        if (max <= 0) {
            return "takes a size for max=";
        }

        provider->drain_max = max;
    }

    return NGX_CONF_OK;
}


/* "off", or "N [window=T] [pause=T] [probe=T]" */

char *
ngx_http_pulse_provider_breaker(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_provider_conf_t *pc = conf;

    ngx_int_t                    n;
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_pulse_breaker_limits_t  *limits;

    value = cf->args->elts;
    limits = &pc->provider->breaker;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        limits->failures = 0;
        return NGX_CONF_OK;
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n == 0) {
        return "must be off or a number of failures";
    }

    limits->failures = n;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_pulse_provider_time(&value[i], "window=",
                                         &limits->window)
            != NGX_OK
            && ngx_http_pulse_provider_time(&value[i], "pause=",
                                            &limits->pause)
               != NGX_OK
            && ngx_http_pulse_provider_time(&value[i], "probe=",
                                            &limits->probe)
               != NGX_OK)
        {
            return "takes window=, pause= and probe=, each a time";
        }
    }

    return NGX_CONF_OK;
}


/* "name=TIME", or NGX_DECLINED */

static ngx_int_t
ngx_http_pulse_provider_time(ngx_str_t *value, const char *name,
    ngx_msec_t *to)
{
    size_t     len;
    ngx_int_t  ms;
    ngx_str_t  time;

    len = ngx_strlen(name);

    if (value->len <= len || ngx_strncmp(value->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    time.data = value->data + len;
    time.len = value->len - len;

    ms = ngx_parse_time(&time, 0);

    if (ms == NGX_ERROR || ms == 0) {
        return NGX_DECLINED;
    }

    *to = ms;

    return NGX_OK;
}
