
#include <dirent.h>
#include <openssl/evp.h>
#include "pulse_ctl.h"
#include "pulse_file.h"
#include "pulse_hex.h"


/* any number will do, so long as nothing else in the database takes it */
#define PULSE_MIGRATE_LOCK  "7306086967"

#define PULSE_MIGRATE_MAX   (4 * 1024 * 1024)
#define PULSE_MIGRATE_HEX   65


typedef struct {
    char             version[5];
    char             hash[PULSE_MIGRATE_HEX];
    const char      *name;
    ngx_pulse_buf_t  text;
} pulse_migration_t;


static int pulse_migrate_all(pulse_ctl_t *ctl, const char *dir,
    struct dirent **names, int n);
static int pulse_migrate_unknown(pulse_ctl_t *ctl, struct dirent **names,
    int n);
static int pulse_migrate_file(pulse_ctl_t *ctl, pulse_migration_t *m,
    ngx_uint_t *applied);
static ngx_int_t pulse_migrate_apply(pulse_ctl_t *ctl, pulse_migration_t *m);
static ngx_uint_t pulse_migrate_line(PGresult *res, const char *text);
static ngx_int_t pulse_migrate_load(const char *dir, pulse_migration_t *m);
static int pulse_migrate_filter(const struct dirent *entry);


static const char  pulse_migrate_table[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "    version     text PRIMARY KEY,"
    "    name        text NOT NULL,"
    "    sha256      text NOT NULL,"
    "    applied_at  timestamptz NOT NULL DEFAULT now())";


int
pulse_ctl_migrate(pulse_ctl_t *ctl)
{
    int              n, rc;
    const char      *dir;
    struct dirent  **names;

    dir = pulse_ctl_option(ctl, "--schema");
    if (dir == NULL) {
        dir = "conf/schema";
    }

    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    n = scandir(dir, &names, pulse_migrate_filter, alphasort);
    if (n <= 0) {
        return pulse_ctl_fail(ctl, PULSE_CTL_USAGE,
                              "no NNNN_name.sql files in \"%s\"", dir);
    }

    if (pulse_ctl_connect(ctl) != NGX_OK) {
        rc = PULSE_CTL_UNAVAILABLE;

    /* the lock ends with the session: two that start at once take turns */

    } else if (pulse_store_run(&ctl->store,
                               "SELECT pg_advisory_lock(" PULSE_MIGRATE_LOCK
                               ")")
               != NGX_OK
               || pulse_store_run(&ctl->store, pulse_migrate_table) != NGX_OK)
    {
        rc = pulse_ctl_store_failed(ctl);

    } else {
        rc = pulse_migrate_all(ctl, dir, names, n);
    }

    while (n--) {
        free(names[n]);
    }

    free(names);

    return rc;
}


static int
pulse_migrate_all(pulse_ctl_t *ctl, const char *dir, struct dirent **names,
    int n)
{
    int                i, rc;
    char               count[16];
    ngx_uint_t         applied;
    const char        *params[1];
    pulse_migration_t  m;

    rc = pulse_migrate_unknown(ctl, names, n);
    if (rc != PULSE_CTL_OK) {
        return rc;
    }

    applied = 0;

    for (i = 0; i < n; i++) {

        m.name = names[i]->d_name;
        snprintf(m.version, sizeof(m.version), "%.4s", m.name);

        if (i > 0 && strncmp(m.name, names[i - 1]->d_name, 4) == 0) {
            return pulse_ctl_fail(ctl, PULSE_CTL_REFUSED,
                                  "\"%s\" and \"%s\" have the same number",
                                  names[i - 1]->d_name, m.name);
        }

        if (pulse_migrate_load(dir, &m) != NGX_OK) {
            rc = pulse_ctl_fail(ctl, PULSE_CTL_REFUSED,
                                "cannot read \"%s/%s\": %s", dir, m.name,
                                strerror(errno));

        } else {
            rc = pulse_migrate_file(ctl, &m, &applied);
        }

        ngx_pulse_buf_free(&m.text);

        if (rc != PULSE_CTL_OK) {
            return rc;
        }
    }

    snprintf(count, sizeof(count), "%u", (unsigned) applied);
    params[0] = count;

    return pulse_ctl_query(ctl, 1,
                           "SELECT max(version) AS version, $1::int AS applied"
                           " FROM schema_migrations", 1, params);
}


/* a database that is ahead of these files belongs to a newer release */

static int
pulse_migrate_unknown(pulse_ctl_t *ctl, struct dirent **names, int n)
{
    int          i, row, rc;
    char        *version;
    PGresult    *res;

    res = pulse_store_query(&ctl->store, "SELECT version, name"
                            " FROM schema_migrations ORDER BY version",
                            0, NULL);
    if (res == NULL) {
        return pulse_ctl_store_failed(ctl);
    }

    rc = PULSE_CTL_OK;

    for (row = 0; row < PQntuples(res) && rc == PULSE_CTL_OK; row++) {
        version = PQgetvalue(res, row, 0);

        for (i = 0; i < n; i++) {
            if (strncmp(names[i]->d_name, version, 4) == 0) {
                break;
            }
        }

        if (i == n) {
            rc = pulse_ctl_fail(ctl, PULSE_CTL_REFUSED,
                                "the database has \"%s\", which is not among"
                                " these files", PQgetvalue(res, row, 1));
        }
    }

    PQclear(res);

    return rc;
}


static int
pulse_migrate_file(pulse_ctl_t *ctl, pulse_migration_t *m, ngx_uint_t *applied)
{
    int          rc;
    PGresult    *res;
    const char  *params[1];

    params[0] = m->version;

    res = pulse_store_query(&ctl->store, "SELECT sha256 FROM schema_migrations"
                            " WHERE version = $1", 1, params);
    if (res == NULL) {
        return pulse_ctl_store_failed(ctl);
    }

    rc = PULSE_CTL_OK;

    if (PQntuples(res) == 1) {

        if (strcmp(PQgetvalue(res, 0, 0), m->hash) != 0) {
            rc = pulse_ctl_fail(ctl, PULSE_CTL_REFUSED,
                                "\"%s\" was changed after it was applied: put"
                                " it back and add a new file", m->name);
        }

    } else if (pulse_migrate_apply(ctl, m) == NGX_OK) {
        (*applied)++;

    } else {
        rc = (ctl->store.conn == NULL) ? PULSE_CTL_UNAVAILABLE
                                       : PULSE_CTL_REFUSED;
    }

    PQclear(res);

    return rc;
}


static ngx_int_t
pulse_migrate_apply(pulse_ctl_t *ctl, pulse_migration_t *m)
{
    PGresult    *res;
    ngx_uint_t   line;
    const char  *reason, *params[3];

    if (pulse_store_run(&ctl->store, "BEGIN") != NGX_OK) {
        (void) pulse_ctl_store_failed(ctl);
        return NGX_ERROR;
    }

    /* not pulse_store_run(): where the file is wrong is worth telling */

    res = PQexec(ctl->store.conn, (char *) m->text.data);

    if (PQresultStatus(res) != PGRES_COMMAND_OK
        && PQresultStatus(res) != PGRES_TUPLES_OK)
    {
        line = pulse_migrate_line(res, (char *) m->text.data);
        reason = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

        (void) pulse_ctl_fail(ctl, PULSE_CTL_REFUSED, "%s:%u: %s", m->name,
                              (unsigned) line,
                              reason ? reason : "the connection was closed");
        PQclear(res);
        return NGX_ERROR;
    }

    PQclear(res);

    params[0] = m->version;
    params[1] = m->name;
    params[2] = m->hash;

    res = pulse_store_query(&ctl->store, "INSERT INTO schema_migrations"
                            " (version, name, sha256) VALUES ($1, $2, $3)",
                            3, params);

    if (res == NULL || pulse_store_run(&ctl->store, "COMMIT") != NGX_OK) {
        PQclear(res);
        (void) pulse_ctl_store_failed(ctl);
        return NGX_ERROR;
    }

    PQclear(res);

    return NGX_OK;
}


/* Postgres counts characters, which is bytes up to the first letter that is
 * not ASCII: near enough to find the statement */

static ngx_uint_t
pulse_migrate_line(PGresult *res, const char *text)
{
    size_t       n;
    ngx_uint_t   line;
    const char  *position;

    position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    n = position ? strtoul(position, NULL, 10) : 0;

    for (line = 1; n > 1 && *text; n--, text++) {
        if (*text == '\n') {
            line++;
        }
    }

    return line;
}


/* NGX_OK with text, which the caller frees, and hash; else errno */

static ngx_int_t
pulse_migrate_load(const char *dir, pulse_migration_t *m)
{
    char      path[NGX_MAX_PATH];
    u_char    digest[EVP_MAX_MD_SIZE];
    unsigned  n;

    snprintf(path, sizeof(path), "%s/%s", dir, m->name);

    ngx_pulse_buf_init(&m->text, PULSE_MIGRATE_MAX);

    if (pulse_file_read(path, &m->text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (EVP_Digest(m->text.data, m->text.len, digest, &n, EVP_sha256(), NULL)
        != 1)
    {
        errno = ENOMEM;
        return NGX_ERROR;
    }

    pulse_hex(m->hash, digest, n);

    /* libpq takes a C string */

    ngx_pulse_buf_char(&m->text, '\0');

    return m->text.failed ? NGX_ERROR : NGX_OK;
}


static int
pulse_migrate_filter(const struct dirent *entry)
{
    size_t       len;
    const char  *name;

    name = entry->d_name;
    len = strlen(name);

    return len > 9
           && strspn(name, "0123456789") == 4
           && name[4] == '_'
           && strcmp(name + len - 4, ".sql") == 0;
}
