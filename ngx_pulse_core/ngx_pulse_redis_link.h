
#ifndef _NGX_PULSE_REDIS_LINK_H_INCLUDED_
#define _NGX_PULSE_REDIS_LINK_H_INCLUDED_


#include "ngx_pulse_redis.h"
#include "ngx_pulse_metrics.h"


/* Inner parts of ngx_pulse_redis.h: its two connections. */


#define NGX_PULSE_REDIS_MAX_CHANNELS   8
#define NGX_PULSE_REDIS_MAX_CAUSE      256

#define NGX_PULSE_REDIS_LINKS          5    /* place of a metric */


typedef struct {
    ngx_pulse_redis_t           *redis;
    redisAsyncContext           *ac;
    ngx_event_t                  timer;    /* to connect, until connected,
                                              then the heartbeat */
    ngx_msec_t                   backoff;
    ngx_uint_t                   setup;    /* answers until it is ready */
    ngx_uint_t                   pending;  /* commands without an answer */
    ngx_uint_t                   nlate;
    unsigned                     ready:1;
    unsigned                     asked:1;  /* the heartbeat of a subscriber */
} ngx_pulse_redis_link_t;


typedef struct {
    ngx_str_t                    channel;
    ngx_pulse_redis_message_pt   handler;
    void                        *data;
    ngx_uint_t                   up;
} ngx_pulse_redis_subscription_t;


struct ngx_pulse_redis_s {
    ngx_pulse_redis_conf_t         *conf;
    ngx_log_t                      *log;
    ngx_pulse_redis_link_t          commands;
    ngx_pulse_redis_link_t          messages;
    ngx_pulse_redis_subscription_t  subscriptions
                                        [NGX_PULSE_REDIS_MAX_CHANNELS];
    ngx_uint_t                      nsubscriptions;
    u_char                          cause[NGX_PULSE_REDIS_MAX_CAUSE];
    unsigned                        fresh:1;    /* first attempt under way */
    unsigned                        down:1;
    unsigned                        closing:1;
};


extern ngx_pulse_metric_t  ngx_pulse_redis_metric[];


void ngx_pulse_redis_init_link(ngx_pulse_redis_t *rd,
    ngx_pulse_redis_link_t *link);

/* Begins to connect; what fails is tried again later. */
void ngx_pulse_redis_connect(ngx_pulse_redis_link_t *link);

/* Ends the connection, and with it all commands that are pending. */
void ngx_pulse_redis_close(ngx_pulse_redis_link_t *link, const char *cause);

ngx_int_t ngx_pulse_redis_send_subscribe(ngx_pulse_redis_link_t *link,
    ngx_pulse_redis_subscription_t *sub);

/* One of the answers is here that make a link usable. */
void ngx_pulse_redis_setup_step(ngx_pulse_redis_link_t *link);

/* What hiredis has for a subscription (ngx_pulse_redis.c). */
void ngx_pulse_redis_message_handler(redisAsyncContext *ac, void *data,
    void *privdata);


#endif /* _NGX_PULSE_REDIS_LINK_H_INCLUDED_ */
