
#include "ngx_pulse_node.h"


#define NGX_PULSE_NODE_VERDICT  1000        /* ms a refusal is believed */
#define NGX_PULSE_NODE_AHEAD    1000000     /* us, then asked again */
#define NGX_PULSE_NODE_BUSY     10000       /* asks again within: grow */
#define NGX_PULSE_NODE_GROWTH   64          /* most, times the need */
#define NGX_PULSE_NODE_CLOSING  60000       /* unused for so long: close */
#define NGX_PULSE_NODE_RESEND   2000


ngx_pulse_meter_account_t *
ngx_pulse_node_account(ngx_pulse_meter_t *m, const u_char *user,
    ngx_uint_t kind, const u_char *lease_id, ngx_msec_t now, int64_t wall)
{
    ngx_pulse_meter_account_t  *account;

    account = ngx_pulse_meter_account(m, user, kind, NULL, now);

    if (account && account->over && wall >= account->over / 1000) {
        account->retired = 1;
        account = NULL;
    }

    if (account == NULL) {
        account = ngx_pulse_meter_account(m, user, kind, lease_id, now);
    }

    return account;
}


ngx_pulse_node_verdict_e
ngx_pulse_node_admit(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account, uint64_t want, uint64_t min,
    const u_char *id, ngx_uint_t worker, ngx_msec_t now,
    ngx_pulse_meter_reservation_t **res)
{
    uint64_t    least;
    ngx_uint_t  holds;

    holds = (ngx_msec_int_t) (account->until - now) > 0;

    if (holds && account->verdict == NGX_PULSE_METER_INACTIVE) {
        return NGX_PULSE_NODE_INACTIVE;
    }

    if (holds && account->verdict == NGX_PULSE_METER_NO_PLAN) {
        return NGX_PULSE_NODE_NO_PLAN;
    }

    /* all that is asked for, or, if the store has no more, what is left */

    least = holds ? min : want;

    *res = ngx_pulse_meter_reserve(m, account, want, least, id, worker, now);

    if (*res) {
        (*res)->record.estimate = ngx_min(min, (*res)->record.reserved);
        return NGX_PULSE_NODE_ADMITTED;
    }

    if (ngx_pulse_lease_free(&account->lease) >= least) {
        return NGX_PULSE_NODE_FULL;
    }

    if (!holds) {
        return NGX_PULSE_NODE_ASK;
    }

    return ngx_pulse_meter_room(account, min) ? NGX_PULSE_NODE_ELSEWHERE
                                              : NGX_PULSE_NODE_EXHAUSTED;
}


void
ngx_pulse_node_ask(ngx_pulse_meter_account_t *account, uint64_t want,
    uint64_t min, ngx_uint_t grows, ngx_msec_t now,
    ngx_pulse_node_question_t *question)
{
    uint64_t  free;

    free = ngx_pulse_lease_free(&account->lease);

    question->need = (free < want) ? want - free : 1;
    question->least = (free < min) ? min - free : 1;
    question->more = question->need;

    if (grows) {
        account->chunk = (account->asked
                          && now - account->asked < NGX_PULSE_NODE_BUSY)
                         ? account->chunk * 2 : want * 4;

        account->chunk = ngx_min(account->chunk,
                                 want * NGX_PULSE_NODE_GROWTH);
        question->more = ngx_max(question->need, account->chunk);
    }

    account->asked = now;
    account->last = now;
}


void
ngx_pulse_node_granted(ngx_pulse_meter_account_t *account,
    const ngx_pulse_node_grant_t *grant, uint64_t need, ngx_msec_t now,
    int64_t wall)
{
    /* an answer of the last period, which gave nothing, may be the later */

    if (grant->period < account->period) {
        return;
    }

    /* first, so that the lease is one whose period is known */

    ngx_pulse_lease_granted(&account->lease, grant->totals.granted);

    ngx_pulse_meter_merge(account, &grant->totals, grant->used, grant->limit,
                          0);

    account->period = grant->period;
    account->period_end = grant->period_end;

    /* the clock here may be ahead: the store says when a period is over */

    account->over = (wall * 1000 < account->period_end)
                    ? account->period_end
                    : wall * 1000 + NGX_PULSE_NODE_AHEAD;

    if (grant->taken < need) {
        ngx_pulse_node_refused(account, NGX_PULSE_METER_EXHAUSTED, now);
        return;
    }

    account->verdict = NGX_PULSE_METER_UNKNOWN;
    account->until = now;
}


void
ngx_pulse_node_refused(ngx_pulse_meter_account_t *account,
    ngx_uint_t verdict, ngx_msec_t now)
{
    account->verdict = (u_char) verdict;
    account->until = now + NGX_PULSE_NODE_VERDICT;
}


/*
 * What was given back but never confirmed is told again: the total does not
 * change by it.
 */

ngx_pulse_node_notice_e
ngx_pulse_node_return(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account, ngx_uint_t all, ngx_msec_t idle,
    ngx_msec_t now)
{
    uint64_t                 returned;
    ngx_msec_int_t           unused;
    ngx_pulse_node_notice_e  notice;

    /* the clocks of workers differ by the age of their last event */

    unused = (ngx_msec_int_t) (now - account->last);
    returned = account->lease.returned;

    if (all
        || unused >= (ngx_msec_int_t) idle
        || account->retired
        || account->recalled)
    {
        account->recalled = 0;

        if (ngx_pulse_lease_return(&account->lease, 0) != returned) {
            account->sent = 0;
        }
    }

    notice = NGX_PULSE_NODE_RETURN;

    if (account->open == 0
        && (account->retired
            || (unused >= NGX_PULSE_NODE_CLOSING
                && ngx_pulse_meter_clean(account))))
    {
        if (account->lease.granted == 0) {
            ngx_pulse_meter_drop(m, account);
            return NGX_PULSE_NODE_QUIET;
        }

        /* a request that comes from now on takes a lease of its own */

        account->retired = 1;
        notice = NGX_PULSE_NODE_CLOSE;

    } else if (account->lease.returned == account->store.returned) {
        return NGX_PULSE_NODE_QUIET;
    }

    if (!all && account->sent && now - account->sent < NGX_PULSE_NODE_RESEND)
    {
        return NGX_PULSE_NODE_QUIET;
    }

    account->sent = now;

    return notice;
}


void
ngx_pulse_node_closed(ngx_pulse_meter_t *m,
    ngx_pulse_meter_account_t *account)
{
    account->retired = 1;

    if (account->open == 0) {
        ngx_pulse_meter_drop(m, account);
    }
}


/* One that holds nothing too: its first grant may be on the way, and was
 * taken with the others. */

void
ngx_pulse_node_given_up(ngx_pulse_meter_account_t *account)
{
    if (account->present) {
        account->retired = 1;
    }
}


/*
 * What was counted is what the client got.  Where nothing was, the provider
 * may have begun: the least the request was admitted for, its prompt.  One
 * whose key was never claimed had no provider.
 */

ngx_uint_t
ngx_pulse_node_orphan(ngx_pulse_meter_t *m,
    ngx_pulse_meter_reservation_t *res)
{
    switch (res->state) {

    case NGX_PULSE_METER_OPENING:
        ngx_pulse_meter_cancel(m, res);
        return 1;

    case NGX_PULSE_METER_OPEN:
        if (res->record.pending) {
            ngx_pulse_meter_cancel(m, res);
            return 1;
        }

        res->record.estimated = 1;
        ngx_pulse_meter_settle(m, res, res->progress ? res->progress
                                                     : res->record.estimate);
        return 1;

    default:
        return 0;
    }
}


void
ngx_pulse_node_replayed(ngx_pulse_journal_record_t *record)
{
    if (record->pending) {
        record->type = NGX_PULSE_JOURNAL_CANCEL;
        record->amount = 0;
        record->settled = 0;
        return;
    }

    if (record->type == NGX_PULSE_JOURNAL_OPEN) {
        record->amount = record->estimate;
    }

    record->type = NGX_PULSE_JOURNAL_CLOSE;
    record->estimated = 1;
    record->settled = ngx_min(record->amount, record->reserved);
}
