
#ifndef _PULSE_STORE_H_INCLUDED_
#define _PULSE_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <libpq-fe.h>


#define PULSE_STORE_ERROR_LEN  512


/*
 * One blocking connection to Postgres, owned by one thread.
 */

typedef struct {
    const char  *conninfo;      /* libpq keywords or a URI */
    const char  *name;          /* application_name of the session */
    PGconn      *conn;          /* NULL: not connected */
    char         error[PULSE_STORE_ERROR_LEN];
    char         sqlstate[6];   /* of the last statement refused */
} pulse_store_t;


/* NGX_OK, or NGX_ERROR with store->error; gives up after five seconds. */
ngx_int_t pulse_store_connect(pulse_store_t *store);

void pulse_store_close(pulse_store_t *store);

/*
 * Runs one statement with "n" text parameters, NULL entries are SQL NULL.
 * The caller frees the result with PQclear().  NULL with store->error and
 * store->sqlstate if it was refused; if the connection broke it is closed,
 * and store->conn is NULL.
 */
PGresult *pulse_store_query(pulse_store_t *store, const char *sql, int n,
    const char *const *params);

/* The same for statements that return nothing, several in one text too. */
ngx_int_t pulse_store_run(pulse_store_t *store, const char *sql);


#endif /* _PULSE_STORE_H_INCLUDED_ */
