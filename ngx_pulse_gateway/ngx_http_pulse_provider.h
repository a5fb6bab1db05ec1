
#ifndef _NGX_HTTP_PULSE_PROVIDER_H_INCLUDED_
#define _NGX_HTTP_PULSE_PROVIDER_H_INCLUDED_


#include "ngx_http_pulse_gateway.h"


/* A pulse_provider block as it is read. */

typedef struct {
    ngx_http_pulse_provider_t   *provider;
    ngx_str_t                    base_url;
    ngx_str_t                    key;
    ngx_str_t                    upstream;
    ngx_str_t                    certificate;
    ngx_str_t                    keepalive;
    ngx_array_t                 *globs;
    ngx_msec_t                   connect_timeout;
    ngx_msec_t                   send_timeout;
    ngx_msec_t                   read_timeout;
    ngx_msec_t                   first_byte_timeout;
    ngx_msec_t                   first_token_timeout;
    ngx_msec_t                   total_timeout;
    ngx_flag_t                   ssl_verify;
    ngx_flag_t                   insecure;
    ngx_flag_t                   standby;
    ngx_flag_t                   prefix_only;
    unsigned                     ssl:1;
    unsigned                     needs_key:1;
} ngx_http_pulse_provider_conf_t;


/*
 * An upstream{} as if written by hand, so that balancing, keepalive and the
 * counting of failures are nginx's own; or the one that the block names.
 */
ngx_int_t ngx_http_pulse_provider_peers(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc, ngx_url_t *u);

/* "client_gone" and "breaker" of a block (ngx_http_pulse_provider_policy.c). */
char *ngx_http_pulse_provider_client_gone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_pulse_provider_breaker(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The upstream configurations of the phases of an answer, and TLS. */
ngx_int_t ngx_http_pulse_provider_timeouts(ngx_conf_t *cf,
    ngx_http_pulse_provider_conf_t *pc);


#endif /* _NGX_HTTP_PULSE_PROVIDER_H_INCLUDED_ */
