
#include "ngx_http_pulse_auth.h"


#define NGX_HTTP_PULSE_AUTH_TICK      250       /* ms */
#define NGX_HTTP_PULSE_AUTH_FIRST     10        /* ms, until it succeeds */
#define NGX_HTTP_PULSE_AUTH_TIMEOUT   1000      /* ms, of a reading */
#define NGX_HTTP_PULSE_AUTH_SWEEP     600000    /* ms */
#define NGX_HTTP_PULSE_AUTH_HOUR      3600000   /* ms */
#define NGX_HTTP_PULSE_AUTH_SNAPSHOT  24


typedef struct {
    ngx_shm_zone_t        *zone;        /* NULL: not started */
    ngx_log_t             *log;
    ngx_event_t            timer;
    ngx_msec_t             swept;
    unsigned               reading:1;
    unsigned               again:1;     /* a message came meanwhile */
    unsigned               loaded:1;    /* once at least, by this worker */
    unsigned               down:1;      /* the outage has been logged */
    unsigned               full:1;
    unsigned               subscribed:1;
} ngx_http_pulse_auth_follower_t;


static void ngx_http_pulse_auth_tick(ngx_event_t *ev);
static void ngx_http_pulse_auth_read(ngx_http_pulse_auth_follower_t *f);
static void ngx_http_pulse_auth_read_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_read_rows(ngx_http_pulse_auth_follower_t *f,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_sweep(ngx_http_pulse_auth_follower_t *f);
static void ngx_http_pulse_auth_sweep_handler(void *data,
    ngx_pulse_pg_result_t *res);
static void ngx_http_pulse_auth_message(void *data, ngx_str_t *channel,
    ngx_str_t *payload);
static ngx_uint_t ngx_http_pulse_auth_kind(ngx_str_t *name);


ngx_pulse_pg_statement_t  ngx_http_pulse_auth_revocation_statements[] = {

    { "auth_revocations",
      "SELECT snapshot, kind, id, created, expires"
      " FROM auth_revocations($1::xid8)", 1 },

    { "auth_sweep", "SELECT auth_sweep()", 0 },

    { NULL, NULL, 0 }
};


#define NGX_HTTP_PULSE_AUTH_READ_STATEMENT                                    \
    (&ngx_http_pulse_auth_revocation_statements[0])
#define NGX_HTTP_PULSE_AUTH_SWEEP_STATEMENT                                   \
    (&ngx_http_pulse_auth_revocation_statements[1])


static ngx_str_t  ngx_http_pulse_auth_channel =
    ngx_string("pulse:revocations");

static ngx_str_t  ngx_http_pulse_auth_kinds[] = {
    ngx_null_string,
    ngx_string("session"),
    ngx_string("key"),
    ngx_null_string,
    ngx_string("user")
};

/* one in each worker: set in init_process, not of a cycle */

static ngx_http_pulse_auth_follower_t  ngx_http_pulse_auth_follower;


/*
 * Every worker ticks, so that the one which reads is replaced when it dies;
 * an exiting one goes on reading until it is gone.
 */

ngx_int_t
ngx_http_pulse_auth_follow(ngx_cycle_t *cycle, ngx_shm_zone_t *zone)
{
    ngx_http_pulse_auth_follower_t  *f;

    f = &ngx_http_pulse_auth_follower;

    ngx_memzero(f, sizeof(ngx_http_pulse_auth_follower_t));

    f->zone = zone;
    f->log = cycle->log;
    f->swept = ngx_current_msec;

    f->timer.handler = ngx_http_pulse_auth_tick;
    f->timer.data = f;
    f->timer.log = cycle->log;
    f->timer.cancelable = 1;

    ngx_add_timer(&f->timer, NGX_HTTP_PULSE_AUTH_FIRST);

    return NGX_OK;
}


void
ngx_http_pulse_auth_unfollow(ngx_shm_zone_t *zone)
{
    ngx_http_pulse_auth_follower_t  *f;

    f = &ngx_http_pulse_auth_follower;

    if (f->timer.timer_set) {
        ngx_del_timer(&f->timer);
    }

    ngx_http_pulse_auth_zone_release(zone);
}


static void
ngx_http_pulse_auth_tick(ngx_event_t *ev)
{
    ngx_http_pulse_auth_follower_t  *f;

    f = ev->data;

    if (ngx_http_pulse_auth_zone_elect(f->zone)) {

        if (!f->subscribed && ngx_http_pulse_redis_link != NULL) {
            f->subscribed = 1;
            (void) ngx_pulse_redis_subscribe(ngx_http_pulse_redis_link,
                                             &ngx_http_pulse_auth_channel,
                                             ngx_http_pulse_auth_message, f);
        }

        ngx_http_pulse_auth_read(f);

        if (ngx_current_msec - f->swept > NGX_HTTP_PULSE_AUTH_SWEEP) {
            ngx_http_pulse_auth_sweep(f);
        }
    }

    ngx_add_timer(ev, (f->loaded || f->down) ? NGX_HTTP_PULSE_AUTH_TICK
                                             : NGX_HTTP_PULSE_AUTH_FIRST);
}


static void
ngx_http_pulse_auth_read(ngx_http_pulse_auth_follower_t *f)
{
    u_char     text[NGX_HTTP_PULSE_AUTH_SNAPSHOT];
    ngx_str_t  snapshot;

    if (f->reading || ngx_http_pulse_pg_pool == NULL
        || !ngx_pulse_pg_ready(ngx_http_pulse_pg_pool))
    {
        return;
    }

    ngx_http_pulse_auth_zone_snapshot(f->zone, text);

    snapshot.data = text;
    snapshot.len = ngx_strlen(text);

    if (ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                           NGX_HTTP_PULSE_AUTH_READ_STATEMENT, &snapshot,
                           NGX_HTTP_PULSE_AUTH_TIMEOUT,
                           ngx_http_pulse_auth_read_handler, f)
        == NGX_OK)
    {
        f->reading = 1;
        f->again = 0;
    }
}


static void
ngx_http_pulse_auth_read_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_auth_follower_t *f = data;

    f->reading = 0;

    if (res->status != NGX_PULSE_PG_OK) {

        if (!f->down && !ngx_exiting && !ngx_terminate && !ngx_quit) {
            ngx_log_error(NGX_LOG_ERR, f->log, 0,
                          "pulse auth: revocations cannot be read: %s",
                          res->message ? res->message : "no answer");
        }

        f->down = 1;
        return;
    }

    if (f->down) {
        ngx_log_error(NGX_LOG_NOTICE, f->log, 0,
                      "pulse auth: revocations are read again");
        f->down = 0;
    }

    ngx_http_pulse_auth_read_rows(f, res);

    f->loaded = 1;

    /* what a message told of may have been committed after this snapshot */

    if (f->again) {
        ngx_http_pulse_auth_read(f);
    }
}


static void
ngx_http_pulse_auth_read_rows(ngx_http_pulse_auth_follower_t *f,
    ngx_pulse_pg_result_t *res)
{
    int         row;
    ngx_str_t   snapshot, name, id;
    ngx_uint_t  kind, n, full;

    for (row = 0; row < PQntuples(res->rows); row++) {
        name = ngx_pulse_pg_value(res, row, 1);
        id = ngx_pulse_pg_value(res, row, 2);
        kind = ngx_http_pulse_auth_kind(&name);

        if (kind != NGX_HTTP_PULSE_AUTH_NONE
            && id.len == NGX_HTTP_PULSE_UUID_LEN)
        {
            ngx_http_pulse_auth_zone_revoke(f->zone, kind, id.data,
                                            ngx_pulse_pg_int(res, row, 3),
                                            ngx_pulse_pg_int(res, row, 4));
        }
    }

    snapshot = ngx_pulse_pg_value(res, 0, 0);

    n = ngx_http_pulse_auth_zone_loaded(f->zone, &snapshot, &full);

    if (full && !f->full) {
        ngx_log_error(NGX_LOG_ALERT, f->log, 0,
                      "pulse auth: \"pulse_auth_zone\" is too small for %ui "
                      "revocations: sessions are checked in Postgres", n);
    }

    f->full = full;
}


static void
ngx_http_pulse_auth_sweep(ngx_http_pulse_auth_follower_t *f)
{
    if (ngx_http_pulse_pg_pool == NULL) {
        return;
    }

    f->swept = ngx_current_msec;

    (void) ngx_pulse_pg_query(ngx_http_pulse_pg_pool,
                              NGX_HTTP_PULSE_AUTH_SWEEP_STATEMENT, NULL, 0,
                              ngx_http_pulse_auth_sweep_handler, f);
}


static void
ngx_http_pulse_auth_sweep_handler(void *data, ngx_pulse_pg_result_t *res)
{
    ngx_http_pulse_auth_follower_t *f = data;

    if (res->status == NGX_PULSE_PG_ERROR) {
        ngx_log_error(NGX_LOG_ERR, f->log, 0,
                      "pulse auth: old rows cannot be deleted: %s",
                      res->message);
    }
}


/*
 * "kind:id".  The message saves the wait for the next tick and is worth
 * having where Postgres cannot be reached just now.  A user may come back,
 * and when that is only the store can tell: it is left to the reading.
 */

static void
ngx_http_pulse_auth_message(void *data, ngx_str_t *channel,
    ngx_str_t *payload)
{
    ngx_http_pulse_auth_follower_t *f = data;

    u_char      *p;
    u_char       text[NGX_HTTP_PULSE_UUID_LEN];
    int64_t      now;
    ngx_str_t    name, id;
    ngx_uint_t   kind;

    f->again = 1;

    if (payload != NULL && payload->data != NULL) {
        p = ngx_strlchr(payload->data, payload->data + payload->len, ':');

        if (p == NULL) {
            return;
        }

        name.data = payload->data;
        name.len = p - payload->data;
        id.data = p + 1;
        id.len = payload->data + payload->len - id.data;

        kind = ngx_http_pulse_auth_kind(&name);

        if ((kind == NGX_HTTP_PULSE_AUTH_SESSION
             || kind == NGX_HTTP_PULSE_AUTH_KEY)
            && ngx_pulse_uuid_valid(&id))
        {
            now = ngx_pulse_now();
            ngx_strlow(text, id.data, sizeof(text));
            ngx_http_pulse_auth_zone_revoke(f->zone, kind, text, now,
                                            now + NGX_HTTP_PULSE_AUTH_HOUR);
        }
    }

    ngx_http_pulse_auth_read(f);
}


static ngx_uint_t
ngx_http_pulse_auth_kind(ngx_str_t *name)
{
    ngx_uint_t  kind;
    ngx_str_t  *known;

    for (kind = NGX_HTTP_PULSE_AUTH_SESSION;
         kind <= NGX_HTTP_PULSE_AUTH_USER;
         kind++)
    {
        known = &ngx_http_pulse_auth_kinds[kind];

        if (known->len != 0 && known->len == name->len
            && ngx_memcmp(known->data, name->data, name->len) == 0)
        {
            return kind;
        }
    }

    return NGX_HTTP_PULSE_AUTH_NONE;
}


void
ngx_http_pulse_auth_revoked(ngx_http_request_t *r, ngx_uint_t kind,
    const ngx_str_t *id)
{
    u_char                            text[NGX_HTTP_PULSE_UUID_LEN];
    u_char                            message[64];
    int64_t                           now;
    ngx_str_t                         args[3];
    ngx_http_pulse_auth_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_auth_module);
    now = ngx_pulse_now();

    ngx_strlow(text, id->data, sizeof(text));

    ngx_http_pulse_auth_zone_revoke(amcf->zone, kind, text, now,
                                    now + NGX_HTTP_PULSE_AUTH_HOUR);

    if (ngx_http_pulse_redis_link == NULL) {
        return;
    }

    ngx_str_set(&args[0], "PUBLISH");
    args[1] = ngx_http_pulse_auth_channel;
    args[2].data = message;
    args[2].len = ngx_sprintf(message, "%V:%*s",
                              &ngx_http_pulse_auth_kinds[kind],
                              sizeof(text), text)
                  - message;

    /* nobody waits for it: without Redis the others come to know at their
     * next reading */

    (void) ngx_pulse_redis_command(ngx_http_pulse_redis_link, 3, args, 0,
                                   NULL, NULL);
}
