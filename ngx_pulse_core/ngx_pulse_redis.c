
#include "ngx_pulse_redis_link.h"


/* Commands and what becomes of them, and messages. */


#define NGX_PULSE_REDIS_MAX_PENDING    4096

/* places in the table of metrics */

#define NGX_PULSE_REDIS_OK             0
#define NGX_PULSE_REDIS_ERROR          1
#define NGX_PULSE_REDIS_TIMEOUT        2
#define NGX_PULSE_REDIS_UNAVAILABLE    3
#define NGX_PULSE_REDIS_REFUSED        4
#define NGX_PULSE_REDIS_SECONDS        6


/*
 * A command is on the heap and belongs to hiredis, which cannot cancel it:
 * it stays there after whoever asked has been told of the time-out.
 */

typedef struct {
    ngx_pulse_redis_link_t      *link;
    ngx_pulse_redis_handler_pt   handler;  /* NULL: nobody waits */
    void                        *data;
    ngx_msec_t                   start;
    ngx_msec_t                   timeout;
    ngx_event_t                  timer;
    ngx_uint_t                   late;
} ngx_pulse_redis_call_t;


static void ngx_pulse_redis_reply_handler(redisAsyncContext *ac, void *data,
    void *privdata);
static void ngx_pulse_redis_call_timer_handler(ngx_event_t *ev);
static void ngx_pulse_redis_count(ngx_pulse_redis_call_t *call,
    redisReply *reply);


ngx_pulse_metric_t  ngx_pulse_redis_metric[] = {

    { "pulse_redis_commands_total", "result=\"ok\"",
      "Commands by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_redis_commands_total", "result=\"error\"",
      "Commands by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_redis_commands_total", "result=\"timeout\"",
      "Commands by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_redis_commands_total", "result=\"unavailable\"",
      "Commands by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },
    { "pulse_redis_commands_total", "result=\"refused\"",
      "Commands by what became of them.", NGX_PULSE_METRIC_COUNTER, 0 },

    { "pulse_redis_connections", NULL,
      "Connections that are ready.", NGX_PULSE_METRIC_GAUGE, 0 },

    { "pulse_redis_command_seconds", NULL,
      "Time from sending a command to its answer.",
      NGX_PULSE_METRIC_HISTOGRAM, 0 }
};


ngx_int_t
ngx_pulse_redis_metrics(ngx_conf_t *cf)
{
    return ngx_pulse_metrics_register(cf, ngx_pulse_redis_metric,
                                      sizeof(ngx_pulse_redis_metric)
                                      / sizeof(ngx_pulse_metric_t));
}


ngx_pulse_redis_t *
ngx_pulse_redis_create(ngx_pulse_redis_conf_t *conf, ngx_log_t *log)
{
    ngx_pulse_redis_t  *rd;

    rd = ngx_calloc(sizeof(ngx_pulse_redis_t), log);
    if (rd == NULL) {
        return NULL;
    }

    rd->conf = conf;
    rd->log = log;
    rd->fresh = 1;

    ngx_pulse_redis_init_link(rd, &rd->commands);
    ngx_pulse_redis_init_link(rd, &rd->messages);

    ngx_pulse_redis_connect(&rd->commands);

    return rd;
}


void
ngx_pulse_redis_destroy(ngx_pulse_redis_t *rd)
{
    int  done;

    rd->closing = 1;

    /* what nobody waits for, as a PUBLISH, is worth a last try */

    if (rd->commands.ready) {
        (void) redisBufferWrite(&rd->commands.ac->c, &done);
    }

    ngx_pulse_redis_close(&rd->commands, "worker exits");
    ngx_pulse_redis_close(&rd->messages, "worker exits");

    ngx_free(rd);
}


ngx_int_t
ngx_pulse_redis_command(ngx_pulse_redis_t *rd, ngx_uint_t n, ngx_str_t *args,
    ngx_msec_t timeout, ngx_pulse_redis_handler_pt handler, void *data)
{
    size_t                   lens[NGX_PULSE_REDIS_MAX_ARGS];
    const char              *argv[NGX_PULSE_REDIS_MAX_ARGS];
    ngx_uint_t               i;
    ngx_pulse_redis_call_t  *call;
    ngx_pulse_redis_link_t  *link;

    link = &rd->commands;

    if (!ngx_pulse_redis_ready(rd) || n > NGX_PULSE_REDIS_MAX_ARGS) {
        ngx_pulse_metric_add(&ngx_pulse_redis_metric[NGX_PULSE_REDIS_REFUSED],
                             1);
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        argv[i] = (char *) args[i].data;
        lens[i] = args[i].len;
    }

    call = ngx_calloc(sizeof(ngx_pulse_redis_call_t), rd->log);
    if (call == NULL) {
        return NGX_ERROR;
    }

    if (redisAsyncCommandArgv(link->ac, ngx_pulse_redis_reply_handler, call,
                              (int) n, argv, lens)
        != REDIS_OK)
    {
        /* not queued: only here the call is still ours */
        ngx_free(call);
        return NGX_ERROR;
    }

    link->pending++;

    call->link = link;
    call->handler = handler;
    call->data = data;
    call->start = ngx_current_msec;
    call->timeout = timeout ? timeout : rd->conf->timeout;

    call->timer.handler = ngx_pulse_redis_call_timer_handler;
    call->timer.data = call;
    call->timer.log = rd->log;
    call->timer.cancelable = (handler == NULL);

    ngx_add_timer(&call->timer, call->timeout);

    return NGX_OK;
}


/*
 * A worker takes requests before it has connected.  Nobody shall see that it
 * is new, as after each reload: commands are queued behind those that make
 * the link usable, until the first attempt fails.
 */

ngx_uint_t
ngx_pulse_redis_ready(ngx_pulse_redis_t *rd)
{
    ngx_pulse_redis_link_t  *link;

    link = &rd->commands;

    return (link->ready || (rd->fresh && link->ac)) && link->nlate == 0
           && link->pending < NGX_PULSE_REDIS_MAX_PENDING;
}


static void
ngx_pulse_redis_reply_handler(redisAsyncContext *ac, void *data,
    void *privdata)
{
    redisReply              *reply = data;
    ngx_pulse_redis_call_t  *call = privdata;

    ngx_pulse_redis_link_t  *link;

    link = call->link;

    link->pending--;
    link->nlate -= call->late;

    if (call->timer.timer_set) {
        ngx_del_timer(&call->timer);
    }

    if (reply == NULL) {
        /* hiredis tells the commands first, then of the connection */
        link->ready = 0;
        link->redis->fresh = 0;
    }

    if (!call->late) {
        ngx_pulse_redis_count(call, reply);
    }

    if (call->handler) {
        call->handler(call->data, reply);
    }

    ngx_free(call);
}


static void
ngx_pulse_redis_call_timer_handler(ngx_event_t *ev)
{
    ngx_pulse_redis_call_t      *call;
    ngx_pulse_redis_handler_pt   handler;

    call = ev->data;

    if (call->late) {

        /* twice its time; frees the call and all behind it */

        ngx_pulse_redis_close(call->link, "no answer in time");
        return;
    }

    call->late = 1;
    call->link->nlate++;

    handler = call->handler;
    call->handler = NULL;

    /* nobody waits any more: an exiting worker need not either */

    call->timer.cancelable = 1;
    ngx_add_timer(&call->timer, call->timeout);

    ngx_pulse_metric_add(&ngx_pulse_redis_metric[NGX_PULSE_REDIS_TIMEOUT], 1);

    if (handler) {
        handler(call->data, NULL);
    }
}


ngx_int_t
ngx_pulse_redis_subscribe(ngx_pulse_redis_t *rd, ngx_str_t *channel,
    ngx_pulse_redis_message_pt handler, void *data)
{
    ngx_pulse_redis_link_t          *link;
    ngx_pulse_redis_subscription_t  *sub;

    if (rd->nsubscriptions == NGX_PULSE_REDIS_MAX_CHANNELS) {
        return NGX_ERROR;
    }

    sub = &rd->subscriptions[rd->nsubscriptions++];

    sub->channel = *channel;
    sub->handler = handler;
    sub->data = data;
    sub->up = 0;

    link = &rd->messages;

    if (link->ac == NULL) {
        if (!link->timer.timer_set) {
            ngx_pulse_redis_connect(link);
        }

        return NGX_OK;
    }

    if (ngx_pulse_redis_send_subscribe(link, sub) != NGX_OK) {
        ngx_pulse_redis_close(link, "no memory");
    }

    return NGX_OK;
}


void
ngx_pulse_redis_message_handler(redisAsyncContext *ac, void *data,
    void *privdata)
{
    redisReply                      *reply = data;
    ngx_pulse_redis_subscription_t  *sub = privdata;

    ngx_str_t                payload;
    ngx_pulse_redis_link_t  *link;

    link = ac->data;

    if (reply == NULL || link->ac != ac
        || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
    {
        return;
    }

    if (ngx_strcmp(reply->element[0]->str, "message") == 0) {
        payload.data = (u_char *) reply->element[2]->str;
        payload.len = reply->element[2]->len;

        sub->handler(sub->data, &sub->channel, &payload);
        return;
    }

    link->asked = 0;

    if (sub->up) {
        return;
    }

    sub->up = 1;
    ngx_pulse_redis_setup_step(link);

    sub->handler(sub->data, &sub->channel, NULL);
}


static void
ngx_pulse_redis_count(ngx_pulse_redis_call_t *call, redisReply *reply)
{
    ngx_uint_t  result;

    if (reply == NULL) {
        result = NGX_PULSE_REDIS_UNAVAILABLE;

    } else if (reply->type == REDIS_REPLY_ERROR) {
        result = NGX_PULSE_REDIS_ERROR;

    } else {
        result = NGX_PULSE_REDIS_OK;

        ngx_pulse_metric_observe(
                            &ngx_pulse_redis_metric[NGX_PULSE_REDIS_SECONDS],
                            ngx_current_msec - call->start);
    }

    ngx_pulse_metric_add(&ngx_pulse_redis_metric[result], 1);
}
