
#include <stdarg.h>
#include "pulse_ctl.h"


#define PULSE_CTL_OUT  (64 * 1024 * 1024)

#define PULSE_CTL_BOOL    16            /* type ids, see pg_type.dat */
#define PULSE_CTL_INT8    20
#define PULSE_CTL_INT2    21
#define PULSE_CTL_INT4    23
#define PULSE_CTL_JSON    114


typedef struct {
    const char  *words[2];              /* of the command, [1] may be NULL */
    const char  *usage;
    int        (*handler)(pulse_ctl_t *ctl);
} pulse_ctl_command_t;


static int pulse_ctl_dispatch(pulse_ctl_t *ctl);
static int pulse_ctl_help(int code);
static void pulse_ctl_drop(pulse_ctl_t *ctl, int i, int n);
static void pulse_ctl_lines(pulse_ctl_t *ctl, PGresult *res);
static void pulse_ctl_table(pulse_ctl_t *ctl, PGresult *res);
static void pulse_ctl_object(pulse_ctl_t *ctl, PGresult *res, int row);
static void pulse_ctl_value(pulse_ctl_t *ctl, PGresult *res, int row,
    int column);
static void pulse_ctl_text(pulse_ctl_t *ctl, const char *text);
static ngx_int_t pulse_ctl_flush(pulse_ctl_t *ctl);


static pulse_ctl_command_t  pulse_ctl_commands[] = {

    { { "migrate", NULL },
      "migrate [--schema DIR]",
      pulse_ctl_migrate },

    { { "user", "add" },
      "user add EMAIL [--plan PLAN] [--locale ar|en]",
      pulse_ctl_user_add },

    { { "user", "list" },
      "user list",
      pulse_ctl_user_list },

    { { "key", "add" },
      "key add EMAIL [--name NAME] [--expires 90d] [--file FILE]\n"
      "  key add --service [--name NAME] [--expires 90d] [--file FILE]",
      pulse_ctl_key_add },

    { { "key", "list" },
      "key list [EMAIL]",
      pulse_ctl_key_list },

    { { "identity", "add" },
      "identity add ISSUER SUBJECT EMAIL",
      pulse_ctl_identity_add },

    { { "grant", NULL },
      "grant EMAIL --tokens N | --images N | --videos N | --plan PLAN |"
      " --addon ID",
      pulse_ctl_grant },

    { { "revoke", NULL },
      "revoke EMAIL | --key ID | --session ID",
      pulse_ctl_revoke },

    { { "audit", NULL },
      "audit",
      pulse_ctl_audit },

    { { "keys", "new" },
      "keys new FILE [--alg EdDSA|ES256|HS256]",
      pulse_ctl_keys_new },

    { { "keys", "rotate" },
      "keys rotate FILE [--alg EdDSA|ES256|HS256] [--keep N]",
      pulse_ctl_keys_rotate },

    { { "analytics", NULL },
      "analytics [--monthly] [--limit N]",
      pulse_ctl_analytics },

    { { "jobs", "list" },
      "jobs list [--state STATE] [--kind KIND] [--limit N]",
      pulse_ctl_jobs_list },

    { { "jobs", "show" },
      "jobs show ID",
      pulse_ctl_jobs_show },

    { { "jobs", "retry" },
      "jobs retry ID | --dead [--kind KIND]",
      pulse_ctl_jobs_retry },

    { { "jobs", "drop" },
      "jobs drop ID",
      pulse_ctl_jobs_drop },

    { { "jobs", "run" },
      "jobs run KIND",
      pulse_ctl_jobs_run },

    { { "metrics", NULL },
      "metrics",
      pulse_ctl_metrics },

    { { "payments", "list" },
      "payments list [--status STATUS] [--provider NAME] [--limit N]",
      pulse_ctl_payments_list },

    { { "payments", "show" },
      "payments show ID",
      pulse_ctl_payments_show },

    { { "payments", "review" },
      "payments review ID paid|refunded|failed --by WHO --why WHY",
      pulse_ctl_payments_review },

    { { "mail", "list" },
      "mail list [--limit N]",
      pulse_ctl_mail_list },

    { { "mail", "suppressed" },
      "mail suppressed",
      pulse_ctl_mail_suppressed },

    { { "mail", "suppress" },
      "mail suppress ADDRESS",
      pulse_ctl_mail_suppress },

    { { "mail", "allow" },
      "mail allow ADDRESS",
      pulse_ctl_mail_allow },

    { { "mail", "ses-password" },
      "mail ses-password REGION      of $AWS_SECRET_ACCESS_KEY",
      pulse_ctl_mail_ses_password },

    { { NULL, NULL }, NULL, NULL }
};


static const char  pulse_ctl_trailer[] =
    "\n"
    "  --json            print JSON\n"
    "  --database INFO   libpq keywords or URI; else $PULSE_DATABASE\n"
    "\n"
    "Exit: 0 done, 1 refused or the audit found a difference,\n"
    "      2 wrong usage, 3 the database cannot be reached.\n";


int
main(int argc, char **argv)
{
    int           rc;
    pulse_ctl_t   ctl;

    memset(&ctl, 0, sizeof(pulse_ctl_t));

    ctl.argv = argv + 1;
    ctl.argc = argc - 1;
    ctl.store.name = "pulsectl";
    ctl.store.conninfo = getenv("PULSE_DATABASE");

    ngx_pulse_buf_init(&ctl.out, PULSE_CTL_OUT);

    ctl.json = pulse_ctl_flag(&ctl, "--json");

    if (pulse_ctl_flag(&ctl, "--help") || pulse_ctl_flag(&ctl, "-h")) {
        return pulse_ctl_help(PULSE_CTL_OK);
    }

    rc = pulse_ctl_dispatch(&ctl);

    if (pulse_ctl_flush(&ctl) != NGX_OK) {
        rc = pulse_ctl_fail(&ctl, PULSE_CTL_REFUSED, "cannot print");
    }

    pulse_store_close(&ctl.store);
    ngx_pulse_buf_free(&ctl.out);

    return rc;
}


static int
pulse_ctl_dispatch(pulse_ctl_t *ctl)
{
    int                   n;
    const char           *database;
    pulse_ctl_command_t  *cmd;

    database = pulse_ctl_option(ctl, "--database");
    if (database) {
        ctl->store.conninfo = database;
    }

    for (cmd = pulse_ctl_commands; cmd->handler; cmd++) {
        n = cmd->words[1] ? 2 : 1;

        if (ctl->argc < n
            || strcmp(ctl->argv[0], cmd->words[0]) != 0
            || (n == 2 && strcmp(ctl->argv[1], cmd->words[1]) != 0))
        {
            continue;
        }

        ctl->usage = cmd->usage;
        ctl->argv += n;
        ctl->argc -= n;

        return cmd->handler(ctl);
    }

    return pulse_ctl_help(PULSE_CTL_USAGE);
}


static int
pulse_ctl_help(int code)
{
    FILE                 *out;
    pulse_ctl_command_t  *cmd;

    out = (code == PULSE_CTL_OK) ? stdout : stderr;

    fputs("usage: pulsectl [--json] [--database INFO] COMMAND\n\n", out);

    for (cmd = pulse_ctl_commands; cmd->handler; cmd++) {
        fprintf(out, "  %s\n", cmd->usage);
    }

    fputs(pulse_ctl_trailer, out);

    return code;
}


const char *
pulse_ctl_option(pulse_ctl_t *ctl, const char *name)
{
    int          i;
    const char  *value;

    for (i = 0; i < ctl->argc - 1; i++) {
        if (strcmp(ctl->argv[i], name) == 0) {
            value = ctl->argv[i + 1];
            pulse_ctl_drop(ctl, i, 2);
            return value;
        }
    }

    return NULL;
}


ngx_uint_t
pulse_ctl_flag(pulse_ctl_t *ctl, const char *name)
{
    int  i;

    for (i = 0; i < ctl->argc; i++) {
        if (strcmp(ctl->argv[i], name) == 0) {
            pulse_ctl_drop(ctl, i, 1);
            return 1;
        }
    }

    return 0;
}


static void
pulse_ctl_drop(pulse_ctl_t *ctl, int i, int n)
{
    ctl->argc -= n;

    memmove(ctl->argv + i, ctl->argv + i + n,
            (ctl->argc - i) * sizeof(char *));
}


ngx_int_t
pulse_ctl_words(pulse_ctl_t *ctl, int n)
{
    int  i;

    for (i = 0; i < ctl->argc; i++) {
        if (ctl->argv[i][0] == '-') {
            break;
        }
    }

    if (i == ctl->argc && i == n) {
        return NGX_OK;
    }

    fprintf(stderr, "usage: pulsectl %s\n", ctl->usage);

    return NGX_ERROR;
}


int
pulse_ctl_fail(pulse_ctl_t *ctl, int code, const char *fmt, ...)
{
    va_list  args;

    fputs("pulsectl: ", stderr);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);

    return code;
}


ngx_int_t
pulse_ctl_connect(pulse_ctl_t *ctl)
{
    if (ctl->store.conninfo == NULL) {
        (void) pulse_ctl_fail(ctl, PULSE_CTL_UNAVAILABLE,
                              "no database: give --database or set"
                              " PULSE_DATABASE");
        return NGX_ERROR;
    }

    if (pulse_store_connect(&ctl->store) != NGX_OK) {
        (void) pulse_ctl_store_failed(ctl);
        return NGX_ERROR;
    }

    return NGX_OK;
}


int
pulse_ctl_store_failed(pulse_ctl_t *ctl)
{
    return pulse_ctl_fail(ctl, ctl->store.conn ? PULSE_CTL_REFUSED
                                               : PULSE_CTL_UNAVAILABLE,
                          "%s", ctl->store.error);
}


int
pulse_ctl_query(pulse_ctl_t *ctl, ngx_uint_t single, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    if (ctl->store.conn == NULL && pulse_ctl_connect(ctl) != NGX_OK) {
        return PULSE_CTL_UNAVAILABLE;
    }

    res = pulse_store_query(&ctl->store, sql, n, params);
    if (res == NULL) {
        return pulse_ctl_store_failed(ctl);
    }

    pulse_ctl_rows(ctl, res, single);

    PQclear(res);

    return PULSE_CTL_OK;
}


int
pulse_ctl_one(pulse_ctl_t *ctl, const char *sql)
{
    if (pulse_ctl_words(ctl, 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 1, sql, 1, (const char *const *) ctl->argv);
}


void
pulse_ctl_rows(pulse_ctl_t *ctl, PGresult *res, ngx_uint_t single)
{
    int  row;

    if (!ctl->json) {
        if (single) {
            pulse_ctl_lines(ctl, res);

        } else {
            pulse_ctl_table(ctl, res);
        }

        return;
    }

    if (single) {
        pulse_ctl_object(ctl, res, 0);
        ngx_pulse_buf_char(&ctl->out, '\n');
        return;
    }

    ngx_pulse_buf_char(&ctl->out, '[');

    for (row = 0; row < PQntuples(res); row++) {
        if (row) {
            ngx_pulse_buf_char(&ctl->out, ',');
        }

        pulse_ctl_object(ctl, res, row);
    }

    ngx_pulse_buf_literal(&ctl->out, "]\n");
}


static void
pulse_ctl_lines(pulse_ctl_t *ctl, PGresult *res)
{
    int  column;

    for (column = 0; column < PQnfields(res); column++) {

        if (PQgetisnull(res, 0, column)) {
            continue;
        }

        pulse_ctl_text(ctl, PQfname(res, column));
        ngx_pulse_buf_literal(&ctl->out, ": ");
        pulse_ctl_text(ctl, PQgetvalue(res, 0, column));
        ngx_pulse_buf_char(&ctl->out, '\n');
    }

    if (ctl->secret) {
        ngx_pulse_buf_literal(&ctl->out, "key: ");
        ngx_pulse_buf_str(&ctl->out, ctl->secret);
        ngx_pulse_buf_char(&ctl->out, '\n');
    }
}


/* one row a line, tabs between, so that cut(1) and awk(1) need no more */

static void
pulse_ctl_table(pulse_ctl_t *ctl, PGresult *res)
{
    int  row, column;

    for (row = -1; row < PQntuples(res); row++) {

        for (column = 0; column < PQnfields(res); column++) {

            if (column) {
                ngx_pulse_buf_char(&ctl->out, '\t');
            }

            pulse_ctl_text(ctl, row == -1 ? PQfname(res, column)
                                          : PQgetvalue(res, row, column));
        }

        ngx_pulse_buf_char(&ctl->out, '\n');
    }
}


static void
pulse_ctl_object(pulse_ctl_t *ctl, PGresult *res, int row)
{
    int    column;
    char  *name;

    ngx_pulse_buf_char(&ctl->out, '{');

    for (column = 0; column < PQnfields(res); column++) {

        if (column) {
            ngx_pulse_buf_char(&ctl->out, ',');
        }

        name = PQfname(res, column);

        ngx_pulse_buf_json(&ctl->out, (u_char *) name, strlen(name));
        ngx_pulse_buf_char(&ctl->out, ':');
        pulse_ctl_value(ctl, res, row, column);
    }

    if (ctl->secret) {
        ngx_pulse_buf_literal(&ctl->out, ",\"key\":");
        ngx_pulse_buf_json(&ctl->out, ctl->secret->data, ctl->secret->len);
    }

    ngx_pulse_buf_char(&ctl->out, '}');
}


static void
pulse_ctl_value(pulse_ctl_t *ctl, PGresult *res, int row, int column)
{
    char  *value;

    if (PQgetisnull(res, row, column)) {
        ngx_pulse_buf_literal(&ctl->out, "null");
        return;
    }

    value = PQgetvalue(res, row, column);

    switch (PQftype(res, column)) {

    case PULSE_CTL_BOOL:
        pulse_ctl_text(ctl, value[0] == 't' ? "true" : "false");
        break;

    case PULSE_CTL_INT2:
    case PULSE_CTL_INT4:
    case PULSE_CTL_INT8:
    case PULSE_CTL_JSON:
        pulse_ctl_text(ctl, value);
        break;

    default:
        ngx_pulse_buf_json(&ctl->out, (u_char *) value, strlen(value));
    }
}


static void
pulse_ctl_text(pulse_ctl_t *ctl, const char *text)
{
    ngx_pulse_buf_append(&ctl->out, (u_char *) text, strlen(text));
}


static ngx_int_t
pulse_ctl_flush(pulse_ctl_t *ctl)
{
    if (ctl->out.failed) {
        return NGX_ERROR;
    }

    /* no data at all is no address, which fwrite() must not be given */

    if (ctl->out.len
        && fwrite(ctl->out.data, 1, ctl->out.len, stdout) != ctl->out.len)
    {
        return NGX_ERROR;
    }

    return fflush(stdout) == 0 ? NGX_OK : NGX_ERROR;
}
