
#include "ngx_pulse_redis_link.h"


/* A connection from its first byte to its loss, and hiredis on our events. */


#define NGX_PULSE_REDIS_BACKOFF_MIN    100
#define NGX_PULSE_REDIS_BACKOFF_MAX    5000
#define NGX_PULSE_REDIS_HEARTBEAT      5000


static redisAsyncContext *ngx_pulse_redis_start(ngx_pulse_redis_conf_t *conf);
static ngx_int_t ngx_pulse_redis_attach(ngx_pulse_redis_link_t *link);
static ngx_int_t ngx_pulse_redis_setup(ngx_pulse_redis_link_t *link);
static ngx_int_t ngx_pulse_redis_send_setup(ngx_pulse_redis_link_t *link,
    int n, const char *command, const char *arg, size_t len);
static void ngx_pulse_redis_setup_handler(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_pulse_redis_timer_handler(ngx_event_t *ev);
static void ngx_pulse_redis_heartbeat(ngx_pulse_redis_link_t *link);
static void ngx_pulse_redis_on_connect(const redisAsyncContext *ac,
    int status);
static void ngx_pulse_redis_on_disconnect(const redisAsyncContext *ac,
    int status);
static void ngx_pulse_redis_lost(ngx_pulse_redis_link_t *link,
    const char *cause);
static void ngx_pulse_redis_log_loss(ngx_pulse_redis_t *rd,
    const char *cause);
static void ngx_pulse_redis_read_handler(ngx_event_t *rev);
static void ngx_pulse_redis_write_handler(ngx_event_t *wev);
static void ngx_pulse_redis_add_read(void *data);
static void ngx_pulse_redis_del_read(void *data);
static void ngx_pulse_redis_add_write(void *data);
static void ngx_pulse_redis_del_write(void *data);
static void ngx_pulse_redis_cleanup(void *data);


void
ngx_pulse_redis_init_link(ngx_pulse_redis_t *rd, ngx_pulse_redis_link_t *link)
{
    link->redis = rd;
    link->backoff = NGX_PULSE_REDIS_BACKOFF_MIN;

    link->timer.handler = ngx_pulse_redis_timer_handler;
    link->timer.data = link;
    link->timer.log = rd->log;
    link->timer.cancelable = 1;
}


void
ngx_pulse_redis_connect(ngx_pulse_redis_link_t *link)
{
    redisAsyncContext  *ac;

    ac = ngx_pulse_redis_start(link->redis->conf);

    if (ac == NULL) {
        ngx_pulse_redis_lost(link, "no memory");
        return;
    }

    link->ac = ac;

    if (ac->err) {
        ngx_pulse_redis_close(link, ac->errstr);
        return;
    }

    if (ngx_pulse_redis_attach(link) != NGX_OK) {
        ngx_pulse_redis_close(link, "worker_connections are not enough");
        return;
    }

    ngx_add_timer(&link->timer, link->redis->conf->connect_timeout);

    if (ngx_pulse_redis_setup(link) != NGX_OK) {
        ngx_pulse_redis_close(link, "no memory");
    }
}


/* Addresses are numeric: hiredis would ask the DNS for a name, and wait. */

static redisAsyncContext *
ngx_pulse_redis_start(ngx_pulse_redis_conf_t *conf)
{
    size_t  len;
    u_char  text[NGX_SOCKADDR_STRLEN + 1];

    if (conf->unix_path.len) {
        return redisAsyncConnectUnix((char *) conf->unix_path.data);
    }

    len = ngx_sock_ntop(conf->addr.sockaddr, conf->addr.socklen, text,
                        NGX_SOCKADDR_STRLEN, 0);
    text[len] = '\0';

    return redisAsyncConnect((char *) text,
                             ngx_inet_get_port(conf->addr.sockaddr));
}


static ngx_int_t
ngx_pulse_redis_attach(ngx_pulse_redis_link_t *link)
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    ac = link->ac;

    c = ngx_get_connection(ac->c.fd, link->redis->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = ac;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->read->handler = ngx_pulse_redis_read_handler;
    c->write->handler = ngx_pulse_redis_write_handler;
    c->read->log = c->log;
    c->write->log = c->log;

    ac->data = link;

    ac->ev.data = c;
    ac->ev.addRead = ngx_pulse_redis_add_read;
    ac->ev.delRead = ngx_pulse_redis_del_read;
    ac->ev.addWrite = ngx_pulse_redis_add_write;
    ac->ev.delWrite = ngx_pulse_redis_del_write;
    ac->ev.cleanup = ngx_pulse_redis_cleanup;

    (void) redisAsyncSetDisconnectCallback(ac, ngx_pulse_redis_on_disconnect);
    (void) redisAsyncSetConnectCallback(ac, ngx_pulse_redis_on_connect);

    return NGX_OK;
}


/*
 * The link is usable when all answers to these are in: a PONG says more than
 * an accepted connection, and subscriptions are what the second link is for.
 */

static ngx_int_t
ngx_pulse_redis_setup(ngx_pulse_redis_link_t *link)
{
    u_char                  database[NGX_INT_T_LEN];
    ngx_uint_t              i;
    ngx_pulse_redis_t      *rd;
    ngx_pulse_redis_conf_t *conf;

    rd = link->redis;
    conf = rd->conf;
    link->setup = 0;

    if (conf->password.len
        && ngx_pulse_redis_send_setup(link, 2, "AUTH",
                                      (char *) conf->password.data,
                                      conf->password.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (link == &rd->messages) {

        for (i = 0; i < rd->nsubscriptions; i++) {
            rd->subscriptions[i].up = 0;

            if (ngx_pulse_redis_send_subscribe(link, &rd->subscriptions[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        return NGX_OK;
    }

    if (conf->database
        && ngx_pulse_redis_send_setup(link, 2, "SELECT", (char *) database,
               ngx_sprintf(database, "%ui", conf->database) - database)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_redis_send_setup(link, 1, "PING", NULL, 0);
}


static ngx_int_t
ngx_pulse_redis_send_setup(ngx_pulse_redis_link_t *link, int n,
    const char *command, const char *arg, size_t len)
{
    size_t       lens[2];
    const char  *args[2];

    args[0] = command;
    lens[0] = ngx_strlen(command);
    args[1] = arg;
    lens[1] = len;

    if (redisAsyncCommandArgv(link->ac, ngx_pulse_redis_setup_handler, link,
                              n, args, lens)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    link->setup++;

    return NGX_OK;
}


ngx_int_t
ngx_pulse_redis_send_subscribe(ngx_pulse_redis_link_t *link,
    ngx_pulse_redis_subscription_t *sub)
{
    size_t       lens[2];
    const char  *args[2];

    args[0] = "SUBSCRIBE";
    lens[0] = sizeof("SUBSCRIBE") - 1;
    args[1] = (char *) sub->channel.data;
    lens[1] = sub->channel.len;

    if (redisAsyncCommandArgv(link->ac, ngx_pulse_redis_message_handler, sub,
                              2, args, lens)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    if (!sub->up) {
        link->setup++;
    }

    return NGX_OK;
}


static void
ngx_pulse_redis_setup_handler(redisAsyncContext *ac, void *data,
    void *privdata)
{
    redisReply              *reply = data;
    ngx_pulse_redis_link_t  *link = privdata;

    if (reply == NULL || link->ac != ac) {
        /* the link is being closed, which is told elsewhere */
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_pulse_redis_close(link, reply->str);
        return;
    }

    ngx_pulse_redis_setup_step(link);
}


void
ngx_pulse_redis_setup_step(ngx_pulse_redis_link_t *link)
{
    ngx_pulse_redis_t  *rd;

    if (--link->setup) {
        return;
    }

    rd = link->redis;

    link->ready = 1;
    link->asked = 0;
    link->backoff = NGX_PULSE_REDIS_BACKOFF_MIN;

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    ngx_add_timer(&link->timer, NGX_PULSE_REDIS_HEARTBEAT);

    ngx_pulse_metric_set(&ngx_pulse_redis_metric[NGX_PULSE_REDIS_LINKS],
                         rd->commands.ready + rd->messages.ready);

    if (rd->down && rd->commands.ready
        && (rd->messages.ready || rd->nsubscriptions == 0))
    {
        rd->down = 0;
        ngx_log_error(NGX_LOG_NOTICE, rd->log, 0,
                      "pulse redis: available again");
    }
}


static void
ngx_pulse_redis_timer_handler(ngx_event_t *ev)
{
    ngx_pulse_redis_link_t  *link = ev->data;

    if (link->ac == NULL) {
        ngx_pulse_redis_connect(link);

    } else if (!link->ready) {
        ngx_pulse_redis_close(link, "connect timed out");

    } else {
        ngx_pulse_redis_heartbeat(link);
    }
}


/*
 * Notices a peer that has gone without a word.  hiredis cannot tell the
 * answer to a PING from a message, so a subscriber subscribes once more.
 */

static void
ngx_pulse_redis_heartbeat(ngx_pulse_redis_link_t *link)
{
    ngx_pulse_redis_t  *rd;

    static ngx_str_t  ping = ngx_string("PING");

    rd = link->redis;

    if (link == &rd->commands) {
        if (link->pending == 0) {
            (void) ngx_pulse_redis_command(rd, 1, &ping, 0, NULL, NULL);
        }

    } else if (link->asked) {
        ngx_pulse_redis_close(link, "no answer in time");
        return;

    } else if (ngx_pulse_redis_send_subscribe(link, rd->subscriptions)
               == NGX_OK)
    {
        link->asked = 1;
    }

    ngx_add_timer(&link->timer, NGX_PULSE_REDIS_HEARTBEAT);
}


static void
ngx_pulse_redis_on_connect(const redisAsyncContext *ac, int status)
{
    ngx_pulse_redis_link_t  *link = ac->data;

    if (status == REDIS_OK || link->ac != ac) {
        return;
    }

    /* hiredis frees "ac" by itself; ac->errstr is not set yet */

    link->ac = NULL;
    ngx_pulse_redis_lost(link, ac->c.errstr);
}


static void
ngx_pulse_redis_on_disconnect(const redisAsyncContext *ac, int status)
{
    ngx_pulse_redis_link_t  *link = ac->data;

    if (link->ac != ac) {
        return;
    }

    link->ac = NULL;
    ngx_pulse_redis_lost(link, ac->err ? ac->errstr : "connection closed");
}


/*
 * Runs the handlers of all pending commands.  Inside a callback hiredis puts
 * the work off until it returns, so "ac" is forgotten first.
 */

void
ngx_pulse_redis_close(ngx_pulse_redis_link_t *link, const char *cause)
{
    redisAsyncContext  *ac;

    ac = link->ac;
    link->ac = NULL;

    ngx_pulse_redis_lost(link, cause);

    if (ac) {
        redisAsyncFree(ac);
    }
}


static void
ngx_pulse_redis_lost(ngx_pulse_redis_link_t *link, const char *cause)
{
    ngx_pulse_redis_t  *rd;

    rd = link->redis;

    link->ready = 0;

    if (link == &rd->commands) {
        rd->fresh = 0;
    }

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    if (rd->closing || ngx_terminate) {
        return;
    }

    ngx_pulse_metric_set(&ngx_pulse_redis_metric[NGX_PULSE_REDIS_LINKS],
                         rd->commands.ready + rd->messages.ready);

    ngx_pulse_redis_log_loss(rd, cause);

    ngx_add_timer(&link->timer,
                  link->backoff + ngx_random() % (link->backoff / 2));

    link->backoff = ngx_min(link->backoff * 2, NGX_PULSE_REDIS_BACKOFF_MAX);
}


/* Two lines for an outage, and one whenever its cause becomes another. */

static void
ngx_pulse_redis_log_loss(ngx_pulse_redis_t *rd, const char *cause)
{
    u_char  text[NGX_PULSE_REDIS_MAX_CAUSE];

    (void) ngx_cpystrn(text, (u_char *) cause,
                       ngx_min(strcspn(cause, "\r\n") + 1, sizeof(text)));

    if (!rd->down) {
        rd->down = 1;
        ngx_log_error(NGX_LOG_ERR, rd->log, 0,
                      "pulse redis: unavailable: %s", text);

    } else if (ngx_strcmp(text, rd->cause) != 0) {
        ngx_log_error(NGX_LOG_NOTICE, rd->log, 0,
                      "pulse redis: still unavailable: %s", text);
    }

    (void) ngx_cpystrn(rd->cause, text, sizeof(text));
}


/*
 * The adapter.  Level triggered: hiredis reads once for each event, at most
 * 16 kilobytes, and would never hear of the rest.
 */

static void
ngx_pulse_redis_read_handler(ngx_event_t *rev)
{
    ngx_connection_t        *c;
    redisAsyncContext       *ac;
    ngx_pulse_redis_link_t  *link;

    c = rev->data;
    ac = c->data;

    if (c->close) {
        /* worker_shutdown_timeout: the worker closes all it has */
        link = ac->data;
        link->redis->closing = 1;
        ngx_pulse_redis_close(link, "worker exits");
        return;
    }

    redisAsyncHandleRead(ac);

    /* "ac" and "c" may be gone */
}


static void
ngx_pulse_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t  *c = wev->data;

    redisAsyncHandleWrite(c->data);

    /* "ac" and "c" may be gone */
}


static void
ngx_pulse_redis_add_read(void *data)
{
    ngx_connection_t  *c = data;

    if (!c->read->active) {
        (void) ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_pulse_redis_del_read(void *data)
{
    ngx_connection_t  *c = data;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_pulse_redis_add_write(void *data)
{
    ngx_connection_t  *c = data;

    if (!c->write->active) {
        (void) ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_pulse_redis_del_write(void *data)
{
    ngx_connection_t  *c = data;

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_pulse_redis_cleanup(void *data)
{
    ngx_connection_t   *c = data;
    redisAsyncContext  *ac;

    if (c == NULL) {
        return;
    }

    ac = c->data;
    ac->ev.data = NULL;

    ngx_pulse_redis_del_read(c);
    ngx_pulse_redis_del_write(c);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    /* redisFree() closes the socket, so only the slot is given back */

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}
