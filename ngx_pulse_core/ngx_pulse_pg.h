
#ifndef _NGX_PULSE_PG_H_INCLUDED_
#define _NGX_PULSE_PG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <libpq-fe.h>


/*
 * libpq in pipeline mode on nginx's event loop: a small pool of connections
 * in each worker, prepared statements only, reconnect with backoff.
 */

#define NGX_PULSE_PG_OK            0
#define NGX_PULSE_PG_ERROR         1    /* the server refused the statement */
#define NGX_PULSE_PG_TIMEOUT       2    /* no answer in time; it may come */
#define NGX_PULSE_PG_UNAVAILABLE   3    /* the connection broke under it */

#define NGX_PULSE_PG_MAX_PARAMS    16


/*
 * A statement.  Static, one for the life of the process; modules register
 * theirs while the configuration is read, each connection prepares all of
 * them when it comes up.  Parameters and results travel as text.
 */

typedef struct {
    const char   *name;         /* unique, [a-z_] */
    const char   *sql;
    ngx_uint_t    nparams;
} ngx_pulse_pg_statement_t;


typedef struct {
    ngx_uint_t    status;       /* NGX_PULSE_PG_* */
    PGresult     *rows;         /* OK: freed after the handler returns */
    char          sqlstate[6];  /* ERROR: five characters */
    const char   *message;      /* trimmed, for the log only */
} ngx_pulse_pg_result_t;


/*
 * Called exactly once for each query that was accepted, always from the
 * event loop and never from inside ngx_pulse_pg_query(); libpq is not on the
 * stack, so a handler may send the next query.  At exit of the worker it is
 * called with UNAVAILABLE.
 */
typedef void (*ngx_pulse_pg_handler_pt)(void *data,
    ngx_pulse_pg_result_t *res);


typedef struct {
    ngx_str_t     conninfo;     /* libpq keywords, NUL terminated */
    ngx_uint_t    connections;  /* per worker */
    ngx_msec_t    timeout;      /* of a query, ms */
    ngx_msec_t    connect_timeout;
} ngx_pulse_pg_conf_t;


typedef struct ngx_pulse_pg_s  ngx_pulse_pg_t;


/* Adds a statement; NGX_ERROR if its name is taken by another.  Called from
 * a module's preconfiguration; the list starts anew at each configuration. */
ngx_int_t ngx_pulse_pg_register(ngx_conf_t *cf,
    ngx_pulse_pg_statement_t *statement);

/* Forgets the statements of the configuration before (start of a cycle). */
void ngx_pulse_pg_reset_statements(void);

/* The "*n" statements registered. */
ngx_pulse_pg_statement_t **ngx_pulse_pg_statements(ngx_uint_t *n);

/*
 * Makes conf->conninfo of what "pulse_postgres" says, after conf->timeout is
 * set: names become addresses, because libpq would resolve them in a worker,
 * and the server is told to end a statement after twice the time-out.
 * NGX_ERROR with the reason logged; the text itself, which may hold a
 * password, never is.
 */
ngx_int_t ngx_pulse_pg_conninfo(ngx_conf_t *cf, ngx_pulse_pg_conf_t *conf,
    ngx_str_t *text);

/* Registers pulse_postgres_*; from the core module's preconfiguration. */
ngx_int_t ngx_pulse_pg_metrics(ngx_conf_t *cf);

/* Starts the pool of this worker; connects in the background.  NULL only
 * without memory.  "log" must live as long as the worker. */
ngx_pulse_pg_t *ngx_pulse_pg_create(ngx_pulse_pg_conf_t *conf, ngx_log_t *log);

/* Ends the pool: pending handlers run with UNAVAILABLE, sockets close. */
void ngx_pulse_pg_destroy(ngx_pulse_pg_t *pg);

/*
 * Sends a statement.  "params" are copied; an entry with data NULL is SQL
 * NULL; no parameter may hold a NUL byte (NGX_ERROR).  "timeout" in ms, 0 is
 * the pool's.  The timer is an ordinary one: it keeps an exiting worker.
 *
 * Returns NGX_OK, or NGX_ERROR at once if no connection is ready (the
 * handler is then never called); but in a new worker, until the first attempt
 * to connect has succeeded or failed, queries wait for it.  A connection is
 * not ready either while it owes an answer past its time, or has 1024 queries
 * under way.  The server ends a statement, whatever "timeout" says, after
 * twice the pool's (57014); a connection whose answer is late by as much is
 * closed.
 */
ngx_int_t ngx_pulse_pg_query(ngx_pulse_pg_t *pg,
    ngx_pulse_pg_statement_t *statement, ngx_str_t *params,
    ngx_msec_t timeout, ngx_pulse_pg_handler_pt handler, void *data);

/* 1 if a query would be accepted now. */
ngx_uint_t ngx_pulse_pg_ready(ngx_pulse_pg_t *pg);

/* Value of a column as ngx_str_t in the result's memory; data is NULL for
 * SQL NULL or where row or column do not exist. */
ngx_str_t ngx_pulse_pg_value(ngx_pulse_pg_result_t *res, int row, int column);

/* The same as a number; 0 for NULL or no number. */
int64_t ngx_pulse_pg_int(ngx_pulse_pg_result_t *res, int row, int column);


#endif /* _NGX_PULSE_PG_H_INCLUDED_ */
