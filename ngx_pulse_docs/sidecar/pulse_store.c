
#include "pulse_store.h"


static PGresult *pulse_store_result(pulse_store_t *store, PGresult *res);
static void pulse_store_fail(pulse_store_t *store, const char *message);
static void pulse_store_notice(void *arg, const char *message);


ngx_int_t
pulse_store_connect(pulse_store_t *store)
{
    const char  *keywords[] = {
        "dbname", "fallback_application_name", "connect_timeout",
        "tcp_user_timeout", "client_encoding", NULL
    };
    const char  *values[] = {
        store->conninfo, store->name, "5", "10000", "UTF8", NULL
    };

    pulse_store_close(store);

    store->sqlstate[0] = '\0';
    store->conn = PQconnectdbParams(keywords, values, 1);

    if (PQstatus(store->conn) == CONNECTION_OK) {
        PQsetNoticeProcessor(store->conn, pulse_store_notice, NULL);
        return NGX_OK;
    }

    pulse_store_fail(store, store->conn ? PQerrorMessage(store->conn)
                                        : "no memory");
    pulse_store_close(store);

    return NGX_ERROR;
}


void
pulse_store_close(pulse_store_t *store)
{
    PQfinish(store->conn);
    store->conn = NULL;
}


PGresult *
pulse_store_query(pulse_store_t *store, const char *sql, int n,
    const char *const *params)
{
    return pulse_store_result(store, PQexecParams(store->conn, sql, n, NULL,
                                                  params, NULL, NULL, 0));
}


ngx_int_t
pulse_store_run(pulse_store_t *store, const char *sql)
{
    PGresult  *res;

    res = pulse_store_result(store, PQexec(store->conn, sql));
    if (res == NULL) {
        return NGX_ERROR;
    }

    PQclear(res);

    return NGX_OK;
}


static PGresult *
pulse_store_result(pulse_store_t *store, PGresult *res)
{
    const char  *message, *state;

    switch (PQresultStatus(res)) {

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        return res;

    default:
        break;
    }

    message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (message == NULL) {
        message = PQerrorMessage(store->conn);
    }

    pulse_store_fail(store, message);
    snprintf(store->sqlstate, sizeof(store->sqlstate), "%s",
             state ? state : "");

    PQclear(res);

    if (PQstatus(store->conn) == CONNECTION_BAD) {
        pulse_store_close(store);
    }

    return NULL;
}


/* libpq ends its messages with a line feed and may put several in one */

static void
pulse_store_fail(pulse_store_t *store, const char *message)
{
    size_t  len;

    len = strcspn(message, "\n");

    snprintf(store->error, sizeof(store->error), "%.*s", (int) len, message);
}


static void
pulse_store_notice(void *arg, const char *message)
{
    /* libpq would print it on standard error */
}
