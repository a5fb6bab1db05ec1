
#ifndef _PULSE_CTL_H_INCLUDED_
#define _PULSE_CTL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "pulse_store.h"


#define PULSE_CTL_OK           0    /* exit codes */
#define PULSE_CTL_REFUSED      1    /* refused, or the audit found something */
#define PULSE_CTL_USAGE        2    /* the command line is wrong */
#define PULSE_CTL_UNAVAILABLE  3    /* Postgres cannot be reached */


/* A command line taken apart: words in order, options by name. */

typedef struct {
    char           **argv;      /* what follows the command's own words */
    int              argc;
    const char      *usage;     /* of the command */
    unsigned         json:1;
    pulse_store_t    store;
    ngx_pulse_buf_t  out;       /* printed when the command has ended */
    ngx_pulse_buf_t *secret;    /* a new key: shown with the row, once, and
                                   never sent to Postgres */
} pulse_ctl_t;


/* Value of an option "--name VALUE" or NULL; it is taken off argv. */
const char *pulse_ctl_option(pulse_ctl_t *ctl, const char *name);

/* 1 if the option "--name", which takes no value, was there. */
ngx_uint_t pulse_ctl_flag(pulse_ctl_t *ctl, const char *name);

/* NGX_OK if exactly "n" words are left; otherwise says what is wrong. */
ngx_int_t pulse_ctl_words(pulse_ctl_t *ctl, int n);

/* Says why on standard error, one line, and returns "code". */
int pulse_ctl_fail(pulse_ctl_t *ctl, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* NGX_OK with a connection in ctl->store; otherwise says why. */
ngx_int_t pulse_ctl_connect(pulse_ctl_t *ctl);

/* The failure of the last statement, said; returns the exit code. */
int pulse_ctl_store_failed(pulse_ctl_t *ctl);

/*
 * Runs one statement and prints its rows: an array of objects or a table;
 * with "single" one object or "name: value" lines.  Returns the exit code.
 */
int pulse_ctl_query(pulse_ctl_t *ctl, ngx_uint_t single, const char *sql,
    int n, const char *const *params);

/* The same for a command whose one word is $1, of a statement that returns
 * one object. */
int pulse_ctl_one(pulse_ctl_t *ctl, const char *sql);

/* Prints rows already at hand in the same way. */
void pulse_ctl_rows(pulse_ctl_t *ctl, PGresult *res, ngx_uint_t single);


/* the commands */

int pulse_ctl_migrate(pulse_ctl_t *ctl);
int pulse_ctl_user_add(pulse_ctl_t *ctl);
int pulse_ctl_user_list(pulse_ctl_t *ctl);
int pulse_ctl_key_add(pulse_ctl_t *ctl);
int pulse_ctl_key_list(pulse_ctl_t *ctl);
int pulse_ctl_identity_add(pulse_ctl_t *ctl);
int pulse_ctl_grant(pulse_ctl_t *ctl);
int pulse_ctl_revoke(pulse_ctl_t *ctl);
int pulse_ctl_audit(pulse_ctl_t *ctl);
int pulse_ctl_keys_new(pulse_ctl_t *ctl);
int pulse_ctl_keys_rotate(pulse_ctl_t *ctl);
int pulse_ctl_analytics(pulse_ctl_t *ctl);
int pulse_ctl_jobs_list(pulse_ctl_t *ctl);
int pulse_ctl_jobs_show(pulse_ctl_t *ctl);
int pulse_ctl_jobs_retry(pulse_ctl_t *ctl);
int pulse_ctl_jobs_drop(pulse_ctl_t *ctl);
int pulse_ctl_jobs_run(pulse_ctl_t *ctl);
int pulse_ctl_metrics(pulse_ctl_t *ctl);
int pulse_ctl_payments_list(pulse_ctl_t *ctl);
int pulse_ctl_payments_show(pulse_ctl_t *ctl);
int pulse_ctl_payments_review(pulse_ctl_t *ctl);
int pulse_ctl_mail_list(pulse_ctl_t *ctl);
int pulse_ctl_mail_suppressed(pulse_ctl_t *ctl);
int pulse_ctl_mail_suppress(pulse_ctl_t *ctl);
int pulse_ctl_mail_allow(pulse_ctl_t *ctl);
int pulse_ctl_mail_ses_password(pulse_ctl_t *ctl);


#endif /* _PULSE_CTL_H_INCLUDED_ */
