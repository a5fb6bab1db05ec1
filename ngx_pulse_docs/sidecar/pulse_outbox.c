
#include <pthread.h>
#include "pulse_file.h"
#include "pulse_log.h"
#include "pulse_mail.h"
#include "pulse_outbox.h"


#define PULSE_OUTBOX_POOL    4096
#define PULSE_OUTBOX_SIZE    (256 * 1024)
#define PULSE_OUTBOX_REASON  PULSE_SMTP_REASON


typedef struct {
    pulse_outbox_t         *outbox;
    pulse_job_t            *job;
    const char             *id;             /* of the row */
    pulse_mail_t            mail;
    unsigned                bad_address:1;
    char                    reason[PULSE_OUTBOX_REASON];
} pulse_outbox_mail_t;


static ngx_int_t pulse_outbox_handler(pulse_job_t *job);
static ngx_int_t pulse_outbox_row(pulse_job_t *job, PGresult *res);
static ngx_int_t pulse_outbox_send(pulse_outbox_mail_t *m, char *payload);
static ngx_int_t pulse_outbox_deliver(pulse_outbox_mail_t *m);
static ngx_int_t pulse_outbox_smtp(pulse_outbox_mail_t *m,
    ngx_pulse_buf_t *b);
static void pulse_outbox_server(const char *reason);
static ngx_int_t pulse_outbox_file(pulse_outbox_mail_t *m,
    ngx_pulse_buf_t *b);
static void pulse_outbox_say(pulse_mail_t *mail, const char *path);
static ngx_int_t pulse_outbox_refused(pulse_outbox_mail_t *m);
static ngx_int_t pulse_outbox_end(pulse_job_t *job, const char *id,
    const char *state, const char *reason);
static ngx_int_t pulse_outbox_failed(pulse_outbox_mail_t *m, ngx_int_t rc);
static ngx_int_t pulse_outbox_tell(pulse_job_t *job, const char *sql, int n,
    const char *const *params);


static pulse_job_kind_t  pulse_outbox_kinds[] = {
    { "mail", PULSE_JOBS_MAIL, pulse_outbox_handler, NULL },
    { NULL, 0, NULL, NULL }
};

static const char  pulse_outbox_load[] =
    "SELECT id, message_id, kind, recipient, locale, payload, state"
    "  FROM mail_load($1)";


const char *
pulse_outbox_init(pulse_outbox_t *outbox)
{
    ngx_str_t    name;
    const char  *reason;

    if (!pulse_mail_address(outbox->from)) {
        return "the sender is no address";
    }

    name.data = (u_char *) outbox->name;
    name.len = strlen(outbox->name);

    if (name.len == 0 || !pulse_mail_clean(&name)) {
        return "the name of the sender is empty or has a control character";
    }

    if (outbox->smtp.url) {
        outbox->smtp.name = strchr(outbox->from, '@') + 1;

        reason = pulse_smtp_init(&outbox->smtp);
        if (reason) {
            return reason;
        }

    } else if (outbox->dir == NULL) {
        pulse_log(PULSE_LOG_NOTICE, "pulse outbox: mail stays queued: there"
                  " is neither --smtp nor --mail-dir");
        return NULL;
    }

    pulse_outbox_kinds[0].data = outbox;
    pulse_jobs_add(pulse_outbox_kinds);

    return NULL;
}


static ngx_int_t
pulse_outbox_handler(pulse_job_t *job)
{
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[1];

    params[0] = job->payload;

    res = pulse_store_query(job->store, pulse_outbox_load, 1, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    /* a row that is gone was forgotten, with its job */

    rc = PQntuples(res) ? pulse_outbox_row(job, res) : NGX_OK;

    PQclear(res);

    return rc;
}


static ngx_int_t
pulse_outbox_row(pulse_job_t *job, PGresult *res)
{
    const char           *state;
    pulse_outbox_mail_t   m;

    memset(&m, 0, sizeof(pulse_outbox_mail_t));

    m.outbox = (pulse_outbox_t *) job->data;
    m.job = job;
    m.id = PQgetvalue(res, 0, 0);
    state = PQgetvalue(res, 0, 6);

    if (strcmp(state, "expired") == 0) {
        return pulse_outbox_end(job, m.id, state,
                                "it expired before it was sent");
    }

    if (strcmp(state, "suppressed") == 0) {
        return pulse_outbox_end(job, m.id, state,
                                "its address was refused before");
    }

    if (strcmp(state, "queued") != 0) {
        return NGX_OK;
    }

    m.mail.templates = m.outbox->templates;
    m.mail.from = m.outbox->from;
    m.mail.name = m.outbox->name;
    m.mail.id = PQgetvalue(res, 0, 1);
    m.mail.kind = PQgetvalue(res, 0, 2);
    m.mail.recipient = PQgetvalue(res, 0, 3);
    m.mail.locale = PQgetvalue(res, 0, 4);

    return pulse_outbox_send(&m, PQgetvalue(res, 0, 5));
}


static ngx_int_t
pulse_outbox_send(pulse_outbox_mail_t *m, char *payload)
{
    ngx_int_t                rc;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;

    pool = ngx_create_pool(PULSE_OUTBOX_POOL, NULL);
    if (pool == NULL) {
        snprintf(m->reason, sizeof(m->reason), "no memory");
        return pulse_outbox_failed(m, NGX_AGAIN);
    }

    m->mail.payload = ngx_pulse_json_tree(pool, (u_char *) payload,
                                          strlen(payload), NULL, &err);

    rc = pulse_outbox_deliver(m);

    ngx_destroy_pool(pool);

    switch (rc) {

    case NGX_OK:
        return pulse_outbox_end(m->job, m->id, "sent", NULL);

    case NGX_ABORT:
        return NGX_ABORT;

    case NGX_DECLINED:
        if (m->bad_address) {
            return pulse_outbox_refused(m);
        }

        /* fall through */

    default:
        return pulse_outbox_failed(m, rc);
    }
}


static ngx_int_t
pulse_outbox_deliver(pulse_outbox_mail_t *m)
{
    ngx_int_t        rc;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, PULSE_OUTBOX_SIZE);

    rc = pulse_mail_write(&m->mail, &b);

    if (rc != NGX_OK) {
        snprintf(m->reason, sizeof(m->reason), "%s", m->mail.reason);

    } else if (m->outbox->smtp.url) {
        rc = pulse_outbox_smtp(m, &b);

    } else {
        rc = pulse_outbox_file(m, &b);
    }

    ngx_pulse_buf_free(&b);

    return rc;
}


static ngx_int_t
pulse_outbox_smtp(pulse_outbox_mail_t *m, ngx_pulse_buf_t *b)
{
    ngx_int_t          rc;
    pulse_smtp_mail_t  mail;

    memset(&mail, 0, sizeof(pulse_smtp_mail_t));

    mail.from = m->mail.from;
    mail.recipient = m->mail.recipient;
    mail.message.data = b->data;
    mail.message.len = b->len;

    rc = pulse_smtp_send(&m->outbox->smtp, &mail);

    m->bad_address = mail.bad_address;
    snprintf(m->reason, sizeof(m->reason), "%s", mail.reason);

    if (mail.server) {
        pulse_outbox_server(mail.reason);
        m->job->quiet = 1;

    } else if (rc != NGX_ABORT) {
        pulse_outbox_server(NULL);
    }

    return rc;
}


/* an outage has a line at each end, however much mail waits */

static void
pulse_outbox_server(const char *reason)
{
    static ngx_uint_t       down;
    static pthread_mutex_t  mutex = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&mutex);

    if (reason && !down) {
        pulse_log(PULSE_LOG_ERR, "pulse smtp: no mail is sent: %s", reason);

    } else if (reason == NULL && down) {
        pulse_log(PULSE_LOG_NOTICE, "pulse smtp: mail is sent again");
    }

    down = (reason != NULL);

    pthread_mutex_unlock(&mutex);
}


/* named by the row, so that one sent again replaces itself */

static ngx_int_t
pulse_outbox_file(pulse_outbox_mail_t *m, ngx_pulse_buf_t *b)
{
    char  path[NGX_MAX_PATH];

    snprintf(path, sizeof(path), "%s/%s.eml", m->outbox->dir, m->id);

    if (pulse_file_write(path, 0600, b->data, b->len) != NGX_OK) {
        snprintf(m->reason, sizeof(m->reason), "%s", strerror(errno));
        return NGX_AGAIN;
    }

    pulse_outbox_say(&m->mail, path);

    return NGX_OK;
}


/* mail that goes to a directory is a developer's, who wants the link at
 * hand; this is the one place where a link is logged */

static void
pulse_outbox_say(pulse_mail_t *mail, const char *path)
{
    ngx_pulse_json_value_t  *link;

    link = ngx_pulse_json_get(mail->payload, "link");

    if (link && link->type == NGX_PULSE_JSON_STRING) {
        pulse_log(PULSE_LOG_INFO, "pulse outbox: %s for %s: %.*s", mail->kind,
                  mail->recipient, (int) link->string.len, link->string.data);
        return;
    }

    pulse_log(PULSE_LOG_INFO, "pulse outbox: %s for %s in \"%s\"", mail->kind,
              mail->recipient, path);
}


/* nothing more goes to this address for a while */

static ngx_int_t
pulse_outbox_refused(pulse_outbox_mail_t *m)
{
    const char  *params[2];

    pulse_log(PULSE_LOG_WARN, "pulse outbox: the address of mail %s is no"
              " good: %s", m->id, m->reason);

    params[0] = m->mail.recipient;
    params[1] = m->reason;

    if (pulse_job_begin(m->job) != NGX_OK
        || pulse_outbox_tell(m->job, "SELECT mail_suppress($1, $2)", 2, params)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_outbox_end(m->job, m->id, "refused", m->reason);
}


static ngx_int_t
pulse_outbox_end(pulse_job_t *job, const char *id, const char *state,
    const char *reason)
{
    const char  *params[3];

    if (!job->begun && pulse_job_begin(job) != NGX_OK) {
        return NGX_ERROR;
    }

    params[0] = id;
    params[1] = state;
    params[2] = reason;

    return pulse_outbox_tell(job, "SELECT mail_end($1, $2, $3)", 3, params);
}


/* told beside the job, which is to be tried again or is dead */

static ngx_int_t
pulse_outbox_failed(pulse_outbox_mail_t *m, ngx_int_t rc)
{
    const char  *params[2];

    snprintf(m->job->error, sizeof(m->job->error), "%s", m->reason);

    params[0] = m->id;
    params[1] = m->reason;

    if (pulse_outbox_tell(m->job, "SELECT mail_failed($1, $2)", 2, params)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (rc == NGX_DECLINED) ? NGX_DECLINED : NGX_AGAIN;
}


static ngx_int_t
pulse_outbox_tell(pulse_job_t *job, const char *sql, int n,
    const char *const *params)
{
    PGresult  *res;

    res = pulse_store_query(job->store, sql, n, params);

    PQclear(res);

    return res ? NGX_OK : NGX_ERROR;
}
