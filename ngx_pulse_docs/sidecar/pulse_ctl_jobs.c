
#include "pulse_ctl.h"


int
pulse_ctl_jobs_list(pulse_ctl_t *ctl)
{
    const char  *params[3];

    params[0] = pulse_ctl_option(ctl, "--state");
    params[1] = pulse_ctl_option(ctl, "--kind");
    params[2] = pulse_ctl_option(ctl, "--limit");

    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 0, "SELECT * FROM admin_jobs_list($1, $2, $3)",
                           3, params);
}


int
pulse_ctl_jobs_show(pulse_ctl_t *ctl)
{
    return pulse_ctl_one(ctl, "SELECT * FROM admin_jobs_show($1)");
}


int
pulse_ctl_jobs_retry(pulse_ctl_t *ctl)
{
    const char  *params[2];
    ngx_uint_t   dead;

    dead = pulse_ctl_flag(ctl, "--dead");
    params[1] = pulse_ctl_option(ctl, "--kind");

    if (params[1] && !dead) {
        return pulse_ctl_fail(ctl, PULSE_CTL_USAGE,
                              "--kind goes with --dead");
    }

    if (pulse_ctl_words(ctl, dead ? 0 : 1) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    params[0] = dead ? NULL : ctl->argv[0];

    return pulse_ctl_query(ctl, 1, "SELECT * FROM admin_jobs_retry($1, $2)", 2,
                           params);
}


int
pulse_ctl_jobs_drop(pulse_ctl_t *ctl)
{
    return pulse_ctl_one(ctl, "SELECT * FROM admin_jobs_drop($1)");
}


int
pulse_ctl_jobs_run(pulse_ctl_t *ctl)
{
    return pulse_ctl_one(ctl, "SELECT * FROM admin_jobs_run($1)");
}


int
pulse_ctl_analytics(pulse_ctl_t *ctl)
{
    const char  *params[2];

    params[0] = pulse_ctl_flag(ctl, "--monthly") ? "month" : "day";
    params[1] = pulse_ctl_option(ctl, "--limit");

    if (pulse_ctl_words(ctl, 0) != NGX_OK) {
        return PULSE_CTL_USAGE;
    }

    return pulse_ctl_query(ctl, 0, "SELECT * FROM admin_analytics($1, $2)", 2,
                           params);
}
