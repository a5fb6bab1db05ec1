
#ifndef _NGX_PULSE_REDIS_H_INCLUDED_
#define _NGX_PULSE_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>


/*
 * hiredis on nginx's event loop: in each worker one connection for commands
 * and, where anything subscribes, a second one for messages.
 */

#define NGX_PULSE_REDIS_MAX_ARGS  16


typedef struct {
    ngx_addr_t    addr;             /* resolved with the configuration */
    ngx_str_t     unix_path;        /* NUL terminated, or empty */
    ngx_str_t     password;         /* empty: no AUTH */
    ngx_uint_t    database;
    ngx_msec_t    timeout;          /* of a command, ms */
    ngx_msec_t    connect_timeout;
} ngx_pulse_redis_conf_t;


typedef struct ngx_pulse_redis_s  ngx_pulse_redis_t;


/*
 * Called exactly once for each command accepted, from the event loop; "reply"
 * is NULL on a time-out, a broken connection or exit, and may be of type
 * REDIS_REPLY_ERROR; it is freed after the handler returns.
 */
typedef void (*ngx_pulse_redis_handler_pt)(void *data, redisReply *reply);

/* A message on a subscribed channel; with "payload" NULL: the subscription
 * has come up (again), so what was published before may have been missed. */
typedef void (*ngx_pulse_redis_message_pt)(void *data, ngx_str_t *channel,
    ngx_str_t *payload);


/* Registers pulse_redis_*; from the core module's preconfiguration. */
ngx_int_t ngx_pulse_redis_metrics(ngx_conf_t *cf);

/* Connects in the background; NULL only without memory. */
ngx_pulse_redis_t *ngx_pulse_redis_create(ngx_pulse_redis_conf_t *conf,
    ngx_log_t *log);

/* Pending handlers run with NULL, sockets close. */
void ngx_pulse_redis_destroy(ngx_pulse_redis_t *rd);

/*
 * Sends a command of "n" arguments (binary safe, copied).  "handler" may be
 * NULL when nobody waits for the reply.  "timeout" in ms, 0 is the default.
 * NGX_ERROR at once if the link is down: the handler is never called.  In a
 * new worker commands wait for the first attempt to connect.
 */
ngx_int_t ngx_pulse_redis_command(ngx_pulse_redis_t *rd, ngx_uint_t n,
    ngx_str_t *args, ngx_msec_t timeout, ngx_pulse_redis_handler_pt handler,
    void *data);

/* Subscribes to a channel for the life of the worker; survives
 * reconnections.  "channel" must be static. */
ngx_int_t ngx_pulse_redis_subscribe(ngx_pulse_redis_t *rd, ngx_str_t *channel,
    ngx_pulse_redis_message_pt handler, void *data);

/* 1 if a command would be accepted now. */
ngx_uint_t ngx_pulse_redis_ready(ngx_pulse_redis_t *rd);


#endif /* _NGX_PULSE_REDIS_H_INCLUDED_ */
