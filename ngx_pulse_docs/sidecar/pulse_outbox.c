
#include "pulse_file.h"
#include "pulse_log.h"
#include "pulse_mail.h"
#include "pulse_outbox.h"


#define PULSE_OUTBOX_BATCH  16
#define PULSE_OUTBOX_POOL   4096
#define PULSE_OUTBOX_SIZE   (256 * 1024)


static ngx_int_t pulse_outbox_row(pulse_outbox_t *outbox,
    pulse_store_t *store, PGresult *res, int row);
static const char *pulse_outbox_deliver(pulse_outbox_t *outbox,
    pulse_mail_t *mail);
static void pulse_outbox_say(pulse_mail_t *mail, const char *path);


/* a link that has expired is of no use to anybody */

static const char  pulse_outbox_due[] =
    "SELECT id, kind, recipient, locale, payload,"
    "       coalesce((payload ->> 'expires_at')::timestamptz <= now(), false)"
    "  FROM outbox"
    " WHERE sent_at IS NULL AND next_try_at <= now()"
    " ORDER BY next_try_at, id"
    " LIMIT $1"
    "   FOR UPDATE SKIP LOCKED";

/* what was in the mail is not kept longer than the mail is */

static const char  pulse_outbox_sent[] =
    "UPDATE outbox SET sent_at = now(), tries = tries + 1, error = NULL,"
    "                  payload = payload - 'link'"
    " WHERE id = $1";

/* 2, 4, 8 ... 512 seconds and up to as much again, so that what failed
 * together does not come back together; after ten tries no more */

static const char  pulse_outbox_failed[] =
    "UPDATE outbox SET tries = tries + 1, error = $2, next_try_at ="
    "       CASE WHEN tries >= 9 THEN 'infinity' ELSE now()"
    "            + 2 ^ (tries + 1) * (1 + random()) * interval '1 second' END"
    " WHERE id = $1";

static const char  pulse_outbox_dead[] =
    "UPDATE outbox SET error = $2, next_try_at = 'infinity',"
    "                  payload = payload - 'link'"
    " WHERE id = $1";


ngx_int_t
pulse_outbox_send(pulse_outbox_t *outbox, pulse_store_t *store)
{
    int          row, n;
    char         limit[NGX_INT_T_LEN];
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[1];

    if (pulse_store_run(store, "BEGIN") != NGX_OK) {
        return NGX_ERROR;
    }

    snprintf(limit, sizeof(limit), "%d", PULSE_OUTBOX_BATCH);
    params[0] = limit;

    res = pulse_store_query(store, pulse_outbox_due, 1, params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    n = PQntuples(res);

    for (row = 0; row < n && rc == NGX_OK; row++) {
        rc = pulse_outbox_row(outbox, store, res, row);
    }

    PQclear(res);

    if (rc != NGX_OK || pulse_store_run(store, "COMMIT") != NGX_OK) {
        return NGX_ERROR;
    }

    return (n == PULSE_OUTBOX_BATCH) ? NGX_OK : NGX_DONE;
}


static ngx_int_t
pulse_outbox_row(pulse_outbox_t *outbox, pulse_store_t *store, PGresult *res,
    int row)
{
    char                    *payload;
    PGresult                *done;
    ngx_pool_t              *pool;
    const char              *reason, *sql, *params[2];
    pulse_mail_t             mail;
    ngx_pulse_json_error_t   err;

    mail.templates = outbox->templates;
    mail.from = outbox->from;
    mail.id = PQgetvalue(res, row, 0);
    mail.kind = PQgetvalue(res, row, 1);
    mail.recipient = PQgetvalue(res, row, 2);
    mail.locale = PQgetvalue(res, row, 3);

    params[0] = mail.id;
    sql = pulse_outbox_failed;

    if (PQgetvalue(res, row, 5)[0] == 't') {
        reason = "it expired before it was sent";
        sql = pulse_outbox_dead;

    } else {
        pool = ngx_create_pool(PULSE_OUTBOX_POOL, NULL);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        payload = PQgetvalue(res, row, 4);
        mail.payload = ngx_pulse_json_tree(pool, (u_char *) payload,
                                           strlen(payload), NULL, &err);

        reason = pulse_outbox_deliver(outbox, &mail);

        ngx_destroy_pool(pool);
    }

    if (reason) {
        pulse_log(PULSE_LOG_WARN, "pulse outbox: mail %s not sent: %s",
                  mail.id, reason);
        params[1] = reason;
        done = pulse_store_query(store, sql, 2, params);

    } else {
        done = pulse_store_query(store, pulse_outbox_sent, 1, params);
    }

    PQclear(done);

    return done ? NGX_OK : NGX_ERROR;
}


/* named by the row, so that one sent again replaces itself */

static const char *
pulse_outbox_deliver(pulse_outbox_t *outbox, pulse_mail_t *mail)
{
    char              path[NGX_MAX_PATH];
    const char       *reason;
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, PULSE_OUTBOX_SIZE);

    reason = pulse_mail_write(mail, &b);

    if (reason == NULL) {
        snprintf(path, sizeof(path), "%s/%s.eml", outbox->dir, mail->id);

        if (pulse_file_write(path, 0600, b.data, b.len) == NGX_OK) {
            pulse_outbox_say(mail, path);

        } else {
            reason = strerror(errno);
        }
    }

    ngx_pulse_buf_free(&b);

    return reason;
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
