
#include "ngx_pulse_id.h"
#include "pulse_hold.h"
#include "pulse_log.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_HOLD_NUMBER  24
#define PULSE_HOLD_HEADER  64


static void pulse_hold_text(ngx_pulse_buf_t *b, const char *name,
    const char *value);
static PGresult *pulse_hold_end(pulse_store_t *store, const u_char *id,
    const char *amount, const char *details);


static const char  pulse_hold_taken[] =
    "SELECT m.* FROM media_take($1, $2, $3, $4, $5, $6, $7, $8) m";

static const char  pulse_hold_ended[] =
    "SELECT m.*, l.kind"
    "  FROM media_settle($1, $2, $3) m"
    "  LEFT JOIN leases l ON l.id = $1";


ngx_int_t
pulse_hold_take(pulse_http_request_t *r, pulse_hold_t *hold,
    enum MHD_Result *rc)
{
    char         amount[PULSE_HOLD_NUMBER], kind[PULSE_HOLD_NUMBER];
    PGresult    *res;
    ngx_int_t    taken;
    ngx_str_t    trace;
    const char  *params[8];

    if (pulse_worker_store(r) != NGX_OK) {
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return NGX_DECLINED;
    }

    ngx_pulse_uuid7(hold->id);
    hold->id[PULSE_HOLD_ID] = '\0';

    snprintf(kind, sizeof(kind), "%d", hold->kind);
    snprintf(amount, sizeof(amount), "%lu", hold->amount);
    trace = pulse_http_header(r, "X-Trace-ID");

    params[0] = (char *) hold->id;
    params[1] = (char *) r->user.data;
    params[2] = kind;
    params[3] = amount;
    params[4] = hold->lasts;
    params[5] = hold->model;
    params[6] = hold->provider;
    params[7] = (char *) trace.data;

    res = pulse_store_query(r->store, pulse_hold_taken, 8, params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse hold: nothing could be held: %s",
                  r->store->error);
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return NGX_DECLINED;
    }

    pulse_hold_usage(r, hold->kind, res);

    taken = PQgetisnull(res, 0, 1) ? NGX_OK : NGX_DECLINED;

    if (taken != NGX_OK) {
        *rc = pulse_hold_refuse(r, res);
    }

    PQclear(res);

    return taken;
}


ngx_int_t
pulse_hold_came(pulse_store_t *store, const u_char *id, ngx_uint_t came,
    const char *lasts)
{
    char         amount[PULSE_HOLD_NUMBER];
    PGresult    *res;
    ngx_int_t    rc;
    const char  *params[3];

    snprintf(amount, sizeof(amount), "%lu", came);

    params[0] = (const char *) id;
    params[1] = amount;
    params[2] = lasts;

    res = pulse_store_query(store, "SELECT media_came($1, $2, $3)", 3,
                            params);
    if (res == NULL) {
        return NGX_ERROR;
    }

    rc = (PQgetvalue(res, 0, 0)[0] == 't') ? NGX_OK : NGX_DECLINED;

    PQclear(res);

    return rc;
}


ngx_int_t
pulse_hold_settle(pulse_store_t *store, const u_char *id,
    const pulse_hold_use_t *use, pulse_http_request_t *r)
{
    char              amount[PULSE_HOLD_NUMBER];
    PGresult         *res;
    ngx_int_t         rc;
    ngx_pulse_buf_t   b;

    ngx_pulse_buf_init(&b, 0);
    pulse_hold_details(use, &b);
    snprintf(amount, sizeof(amount), "%lu", use->amount);

    if (b.failed) {
        ngx_pulse_buf_free(&b);
        snprintf(store->error, sizeof(store->error), "no memory");
        return NGX_ERROR;
    }

    res = pulse_hold_end(store, id, amount, (char *) b.data);

    ngx_pulse_buf_free(&b);

    if (res == NULL) {
        return NGX_ERROR;
    }

    if (r) {
        pulse_hold_usage(r, atoi(PQgetvalue(res, 0, 8)), res);
    }

    rc = (use->amount == 0 || strcmp(PQgetvalue(res, 0, 3), "settled") == 0)
         ? NGX_OK : NGX_DECLINED;

    PQclear(res);

    return rc;
}


ngx_int_t
pulse_hold_release(pulse_store_t *store, const u_char *id)
{
    PGresult  *res;

    res = pulse_hold_end(store, id, "0", "{}");

    PQclear(res);

    return res ? NGX_OK : NGX_ERROR;
}


static PGresult *
pulse_hold_end(pulse_store_t *store, const u_char *id, const char *amount,
    const char *details)
{
    const char  *params[3];

    params[0] = (const char *) id;
    params[1] = amount;
    params[2] = details;

    return pulse_store_query(store, pulse_hold_ended, 3, params);
}


void
pulse_hold_details(const pulse_hold_use_t *use, ngx_pulse_buf_t *b)
{
    if (use == NULL) {
        ngx_pulse_buf_append(b, (u_char *) "{}", 3);
        return;
    }

    ngx_pulse_buf_literal(b, "{\"input\":");
    ngx_pulse_buf_int(b, use->input);
    ngx_pulse_buf_literal(b, ",\"output\":");
    ngx_pulse_buf_int(b, use->output);

    if (use->price >= 0) {
        ngx_pulse_buf_literal(b, ",\"price\":");
        ngx_pulse_buf_int(b, use->price);
    }

    pulse_hold_text(b, "model", use->model);
    pulse_hold_text(b, "provider", use->provider);

    if (use->metadata) {
        ngx_pulse_buf_literal(b, ",\"metadata\":");
        ngx_pulse_buf_append(b, (u_char *) use->metadata,
                             strlen(use->metadata));
    }

    ngx_pulse_buf_append(b, (u_char *) "}", 2);
}


static void
pulse_hold_text(ngx_pulse_buf_t *b, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }

    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_json(b, (u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_json(b, (u_char *) value, strlen(value));
}


/* The details of the database's end before their brace: what they link to is
 * nginx's to say. */

enum MHD_Result
pulse_hold_refuse(pulse_http_request_t *r, PGresult *res)
{
    size_t            len;
    ngx_str_t         url;
    pulse_reply_e     what;
    enum MHD_Result   rc;
    ngx_pulse_buf_t   b;

    what = pulse_reply_code(PQgetvalue(res, 0, 1));

    if (PQgetisnull(res, 0, 2)) {
        return pulse_reply_error(r, what, NULL);
    }

    url = pulse_http_header(r, "X-Pulse-Upgrade");
    len = PQgetlength(res, 0, 2) - 1;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) PQgetvalue(res, 0, 2), len);

    if (len > 1) {
        ngx_pulse_buf_char(&b, ',');
    }

    ngx_pulse_buf_literal(&b, "\"upgrade_url\":");
    ngx_pulse_buf_json(&b, url.data, url.len);
    ngx_pulse_buf_char(&b, '}');

    rc = pulse_reply_error(r, what, &b);

    ngx_pulse_buf_free(&b);

    return rc;
}


void
pulse_hold_usage(pulse_http_request_t *r, pulse_hold_kind_e kind,
    PGresult *res)
{
    char         text[PULSE_HOLD_HEADER];
    const char  *value;

    if (PQgetisnull(res, 0, 5)) {
        return;
    }

    snprintf(text, sizeof(text), "%s/%s", PQgetvalue(res, 0, 5),
             PQgetvalue(res, 0, 6));

    value = pulse_http_text(r, text);

    if (kind == PULSE_HOLD_IMAGES) {
        r->images = value;

    } else {
        r->videos = value;
    }

    r->warning = pulse_http_text(r, PQgetvalue(res, 0, 7));
}
