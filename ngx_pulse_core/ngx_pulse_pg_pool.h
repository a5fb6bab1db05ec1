
#ifndef _NGX_PULSE_PG_POOL_H_INCLUDED_
#define _NGX_PULSE_PG_POOL_H_INCLUDED_


#include "ngx_pulse_metrics.h"
#include "ngx_pulse_pg.h"


/*
 * What the two halves of the pool share: queries (ngx_pulse_pg.c) and the
 * connections that carry them (ngx_pulse_pg_connection.c).
 */

/* of queries by what became of them: NGX_PULSE_PG_*, then these */

#define NGX_PULSE_PG_REFUSED      4
#define NGX_PULSE_PG_CONNECTIONS  5
#define NGX_PULSE_PG_LOST         6
#define NGX_PULSE_PG_SECONDS      7

#define NGX_PULSE_PG_MAX_CAUSE    256


typedef struct ngx_pulse_pg_connection_s  ngx_pulse_pg_connection_t;


/*
 * A query is on the heap and belongs to the queue of its connection: there is
 * no way to take it back from the server, so it stays there after whoever
 * asked has been told of the time-out.
 */

typedef struct {
    ngx_queue_t                 queue;
    ngx_pulse_pg_t             *pg;
    ngx_pulse_pg_connection_t  *connection;  /* NULL: not sent yet */
    ngx_pulse_pg_statement_t   *statement;
    char                      **values;      /* until it is sent */
    PGresult                   *result;
    ngx_pulse_pg_handler_pt     handler;     /* NULL: nobody waits */
    void                       *data;
    ngx_msec_t                  start;
    ngx_msec_t                  timeout;
    ngx_event_t                 timer;
    ngx_uint_t                  prepared;    /* statements, of a setup */
    unsigned                    setup:1;     /* prepares the statements */
    unsigned                    late:1;
} ngx_pulse_pg_query_t;


struct ngx_pulse_pg_connection_s {
    ngx_pulse_pg_t             *pg;
    PGconn                     *conn;
    ngx_connection_t           *c;
    ngx_queue_t                 sent;        /* oldest first */
    ngx_uint_t                  nsent;
    ngx_uint_t                  nlate;
    ngx_event_t                 timer;       /* to connect, or until then */
    ngx_msec_t                  backoff;
    unsigned                    connected:1;
    unsigned                    ready:1;     /* statements are prepared */
    unsigned                    broken:1;    /* to be closed when posted */
    unsigned                    stale:1;     /* lost its statements */
};


struct ngx_pulse_pg_s {
    ngx_pulse_pg_conf_t        *conf;
    ngx_log_t                  *log;
    ngx_queue_t                 waiting;     /* for the first connection */
    ngx_uint_t                  nwaiting;
    ngx_uint_t                  nready;
    char                        cause[NGX_PULSE_PG_MAX_CAUSE];
    unsigned                    fresh:1;     /* first attempts under way */
    unsigned                    down:1;
    unsigned                    closing:1;
    ngx_pulse_pg_connection_t   connections[1];
};


extern ngx_pulse_metric_t  ngx_pulse_pg_metric[];


/* --- connections --- */

/* Makes the first attempt; what fails is tried again after a while. */
void ngx_pulse_pg_open(ngx_pulse_pg_t *pg, ngx_pulse_pg_connection_t *pc);

/* Hands over what was sent to the kernel, or waits until it takes more.  Runs
 * no handler: what it finds broken is closed from a posted event. */
void ngx_pulse_pg_flush(ngx_pulse_pg_connection_t *pc);

/* Closes the connection and, unless the worker ends, plans the next attempt;
 * queries under way end with UNAVAILABLE.  "cause" may be libpq's own. */
void ngx_pulse_pg_close(ngx_pulse_pg_connection_t *pc, const char *cause);


/* --- queries --- */

/* The connection has come up: sends what waited for it. */
void ngx_pulse_pg_send_waiting(ngx_pulse_pg_connection_t *pc);

/* The first attempts have failed: nothing waits any more. */
void ngx_pulse_pg_fail_waiting(ngx_pulse_pg_t *pg, const char *cause);

/* Ends a query that has left its queue, by its result; frees it. */
void ngx_pulse_pg_answer(ngx_pulse_pg_query_t *query);

/* The same by "res", which is NULL for a setup. */
void ngx_pulse_pg_finish(ngx_pulse_pg_query_t *query,
    ngx_pulse_pg_result_t *res);

/* What an error result means. */
void ngx_pulse_pg_failure(ngx_pulse_pg_query_t *query,
    ngx_pulse_pg_result_t *res);


#endif /* _NGX_PULSE_PG_POOL_H_INCLUDED_ */
