
#include "pulse_ctl.h"


static void pulse_ctl_metrics_rows(pulse_ctl_t *ctl, PGresult *res);
static void pulse_ctl_metrics_text(pulse_ctl_t *ctl, const char *before,
    const char *text);


int
pulse_ctl_payments_list(pulse_ctl_t *ctl)
{
    const char  *params[3];

    params[0] = pulse_ctl_option(ctl, "--status");
    params[1] = pulse_ctl_option(ctl, "--provider");
    params[2] = pulse_ctl_option(ctl, "--limit");

    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 0,
                           "SELECT * FROM admin_payments_list($1, $2, $3)",
                           3, params);
}


int
pulse_ctl_payments_show(pulse_ctl_t *ctl)
{
    int          rc;
    const char  *params[1];

    if (pulse_ctl_words(ctl, 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    params[0] = ctl->argv[0];

    if (ctl->json) {
        return pulse_ctl_query(ctl, 1,
                               "SELECT p.*, (SELECT coalesce(json_agg(m),"
                               " '[]') FROM admin_payments_messages($1) m)"
                               " AS messages FROM admin_payments_show($1) p",
                               1, params);
    }

    rc = pulse_ctl_query(ctl, 1, "SELECT * FROM admin_payments_show($1)", 1,
                         params);
    if (rc != PULSE_CTL_OK) {
        return rc;
    }

    ngx_pulse_buf_char(&ctl->out, '\n');

    return pulse_ctl_query(ctl, 0,
                           "SELECT * FROM admin_payments_messages($1)", 1,
                           params);
}


int
pulse_ctl_payments_review(pulse_ctl_t *ctl)
{
    const char  *params[4];

    params[2] = pulse_ctl_option(ctl, "--by");
    params[3] = pulse_ctl_option(ctl, "--why");

    if (pulse_ctl_words(ctl, 2) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    params[0] = ctl->argv[0];
    params[1] = ctl->argv[1];

    return pulse_ctl_query(ctl, 1,
                           "SELECT * FROM admin_payments_review($1, $2, $3,"
                           " $4)", 4, params);
}


/* The text format of Prometheus, to be put where a collector reads files. */

int
pulse_ctl_metrics(pulse_ctl_t *ctl)
{
    PGresult  *res;

    static const char  sql[] = "SELECT * FROM admin_metrics()";

    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    if (ctl->json) {
        return pulse_ctl_query(ctl, 0, sql, 0, NULL);
    }

    if (pulse_ctl_connect(ctl) != NGX_OK) {
        return PULSE_CTL_UNAVAILABLE;
    }

    res = pulse_store_query(&ctl->store, sql, 0, NULL);
    if (res == NULL) {
        return pulse_ctl_store_failed(ctl);
    }

    pulse_ctl_metrics_rows(ctl, res);

    PQclear(res);

    return PULSE_CTL_OK;
}


static void
pulse_ctl_metrics_rows(pulse_ctl_t *ctl, PGresult *res)
{
    int          row;
    const char  *name, *last;

    last = "";

    for (row = 0; row < PQntuples(res); row++) {

        name = PQgetvalue(res, row, 0);

        if (strcmp(name, last) != 0) {
            pulse_ctl_metrics_text(ctl, "# TYPE ", name);
            pulse_ctl_metrics_text(ctl, " gauge\n", "");
            last = name;
        }

        pulse_ctl_metrics_text(ctl, "", name);

        if (PQgetlength(res, row, 1)) {
            pulse_ctl_metrics_text(ctl, "{", PQgetvalue(res, row, 1));
            ngx_pulse_buf_char(&ctl->out, '}');
        }

        pulse_ctl_metrics_text(ctl, " ", PQgetvalue(res, row, 2));
        ngx_pulse_buf_char(&ctl->out, '\n');
    }
}


static void
pulse_ctl_metrics_text(pulse_ctl_t *ctl, const char *before,
    const char *text)
{
    ngx_pulse_buf_append(&ctl->out, (u_char *) before, strlen(before));
    ngx_pulse_buf_append(&ctl->out, (u_char *) text, strlen(text));
}
