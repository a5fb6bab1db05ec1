
#ifndef _PULSE_HOLD_H_INCLUDED_
#define _PULSE_HOLD_H_INCLUDED_


#include "pulse_http.h"


#define PULSE_HOLD_ID  36


/*
 * The meter of images and videos, see conf/schema/0030_media.sql.  What is to
 * be made is held first, whole or not at all; what came is charged once under
 * the id of the hold, and the rest goes back:
 *
 *     pulse_hold_take()       before the provider is asked
 *     pulse_hold_came()       each time one more is kept for its owner, and
 *                             well before the deadline of what takes long
 *     pulse_hold_settle()     before anything is handed out
 *     pulse_hold_release()    nothing came
 *
 * A hold whose holder died ends with its deadline: what pulse_hold_came() had
 * said is charged, for the owner finds it among the files, and nothing else.
 * Whoever is later than that is told so by pulse_hold_settle(), takes its
 * files away again and hands out nothing.
 *
 * A job uses the functions in SQL in the transaction of its own change:
 * media_take(), media_came(), media_settle() and media_release().
 */

typedef enum {
    PULSE_HOLD_IMAGES = 1,          /* as accounts.kind */
    PULSE_HOLD_VIDEOS
} pulse_hold_kind_e;


typedef struct {
    pulse_hold_kind_e   kind;
    ngx_uint_t          amount;
    const char         *lasts;      /* interval of Postgres, until a sweep */
    const char         *model;      /* of the event; NULL: not known yet */
    const char         *provider;

    u_char              id[PULSE_HOLD_ID + 1];  /* made, NUL terminated */
} pulse_hold_t;


/* What came, as the ledger has it. */

typedef struct {
    ngx_uint_t          amount;
    const char         *model;      /* NULL: as the hold has it */
    const char         *provider;
    int64_t             price;      /* nano-USD, -1: not known */
    uint64_t            input;      /* tokens, where the provider counts */
    uint64_t            output;
    const char         *metadata;   /* a JSON object or NULL */
} pulse_hold_use_t;


/*
 * Takes hold->amount from the caller's account.  NGX_OK, or NGX_DECLINED with
 * an answer in "*rc": 402 QUOTA_EXCEEDED or NO_SUBSCRIPTION, 403, 503.  From
 * here on the answer bears X-Usage-Images or X-Usage-Videos, and
 * X-Usage-Warning.
 */
ngx_int_t pulse_hold_take(pulse_http_request_t *r, pulse_hold_t *hold,
    enum MHD_Result *rc);

/* So many in all are kept for the owner, and the hold lasts from now on again
 * so long.  NGX_DECLINED: it has ended; NGX_ERROR with store->error. */
ngx_int_t pulse_hold_came(pulse_store_t *store, const u_char *id,
    ngx_uint_t came, const char *lasts);

/*
 * Charges use->amount, never more than is held, and gives back the rest; done
 * again it changes nothing.  "r", or NULL in a job, is the request whose
 * headers say what is used from now on.  NGX_OK; NGX_DECLINED: all was given
 * back before, so that what came is nobody's; NGX_ERROR with store->error:
 * whether it was done is not known, and it may be done again.
 */
ngx_int_t pulse_hold_settle(pulse_store_t *store, const u_char *id,
    const pulse_hold_use_t *use, pulse_http_request_t *r);

/* Gives back all.  NGX_OK also of one that has ended; NGX_ERROR with
 * store->error: the sweep will. */
ngx_int_t pulse_hold_release(pulse_store_t *store, const u_char *id);

/* "use" as media_settle() takes it, NUL terminated; "{}" for NULL. */
void pulse_hold_details(const pulse_hold_use_t *use, ngx_pulse_buf_t *b);

/*
 * For endpoints that take a hold in a statement of their own: answers for a
 * row of media_reply, with the links that its details need.
 */
enum MHD_Result pulse_hold_refuse(pulse_http_request_t *r, PGresult *res);

/* Has the answer say what a row of media_reply does of the kind. */
void pulse_hold_usage(pulse_http_request_t *r, pulse_hold_kind_e kind,
    PGresult *res);


#endif /* _PULSE_HOLD_H_INCLUDED_ */
