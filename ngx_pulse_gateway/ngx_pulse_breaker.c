
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_breaker.h"


/* both of a clock that may wrap */

#define ngx_pulse_breaker_left(until, now)                                    \
    ((ngx_msec_int_t) ((until) - (now)))


static ngx_msec_int_t ngx_pulse_breaker_held(ngx_pulse_breaker_t *b,
    uint32_t model, ngx_msec_t now);
static void ngx_pulse_breaker_window(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_msec_t now);
static ngx_uint_t ngx_pulse_breaker_open(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_msec_t now);
static void ngx_pulse_breaker_look(ngx_pulse_breaker_t *b);


ngx_int_t
ngx_pulse_breaker_admit(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, uint32_t model, ngx_msec_t now,
    ngx_pulse_breaker_turn_t *turn)
{
    ngx_msec_int_t  left;

    ngx_memzero(turn, sizeof(ngx_pulse_breaker_turn_t));
    turn->edge = NGX_PULSE_BREAKER_SAME;

    left = ngx_pulse_breaker_held(b, model, now);

    if (left > 0) {
        turn->wait = left;
        turn->held = 1;
        return NGX_BUSY;
    }

    if (limits->failures == 0 || b->state == NGX_PULSE_BREAKER_CLOSED) {
        ngx_pulse_breaker_window(b, limits, now);
        ngx_pulse_breaker_look(b);
        return NGX_OK;
    }

    left = ngx_pulse_breaker_left(b->until, now);

    if ((b->state == NGX_PULSE_BREAKER_OPEN || b->probing) && left > 0) {
        turn->wait = left;
        return NGX_BUSY;
    }

    if (b->state == NGX_PULSE_BREAKER_OPEN) {
        b->state = NGX_PULSE_BREAKER_HALF_OPEN;
        turn->edge = NGX_PULSE_BREAKER_HALF_OPEN;
    }

    if (++b->ticket == 0) {
        b->ticket = 1;
    }

    b->probing = 1;
    b->until = now + limits->probe;

    turn->ticket = b->ticket;

    return NGX_OK;
}


ngx_uint_t
ngx_pulse_breaker_success(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_uint_t ticket,
    ngx_msec_t now)
{
    if (b->state == NGX_PULSE_BREAKER_CLOSED) {
        ngx_pulse_breaker_window(b, limits, now);

        if (b->failures) {
            b->successes++;
        }

        ngx_pulse_breaker_look(b);
        return NGX_PULSE_BREAKER_SAME;
    }

    if (ticket == 0 || !b->probing || ticket != b->ticket) {

        /* it was sent before the breaker opened */

        return NGX_PULSE_BREAKER_SAME;
    }

    b->state = NGX_PULSE_BREAKER_CLOSED;
    b->probing = 0;
    b->failures = 0;
    b->successes = 0;

    ngx_pulse_breaker_look(b);

    return NGX_PULSE_BREAKER_CLOSED;
}


ngx_uint_t
ngx_pulse_breaker_failure(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_uint_t ticket,
    ngx_uint_t fatal, ngx_msec_t now)
{
    if (limits->failures == 0) {
        return NGX_PULSE_BREAKER_SAME;
    }

    if (b->state != NGX_PULSE_BREAKER_CLOSED) {

        if (ticket == 0 || !b->probing || ticket != b->ticket) {
            return NGX_PULSE_BREAKER_SAME;
        }

        return ngx_pulse_breaker_open(b, limits, now);
    }

    ngx_pulse_breaker_window(b, limits, now);

    if (b->failures == 0) {
        b->since = now;
    }

    b->failures++;

    if (fatal || (b->failures >= limits->failures
                  && b->failures >= b->successes))
    {
        return ngx_pulse_breaker_open(b, limits, now);
    }

    ngx_pulse_breaker_look(b);

    return NGX_PULSE_BREAKER_SAME;
}


void
ngx_pulse_breaker_release(ngx_pulse_breaker_t *b, ngx_uint_t ticket)
{
    if (b->state == NGX_PULSE_BREAKER_HALF_OPEN && ticket == b->ticket) {
        b->probing = 0;
    }
}


/* With all places taken the hold that ends first gives way. */

void
ngx_pulse_breaker_hold(ngx_pulse_breaker_t *b, uint32_t model,
    ngx_msec_t wait, ngx_msec_t now)
{
    ngx_uint_t                 i;
    ngx_pulse_breaker_hold_t  *hold, *place;

    place = &b->holds[0];

    for (i = 0; i < NGX_PULSE_BREAKER_HOLDS; i++) {
        hold = &b->holds[i];

        if (hold->used && hold->model == model) {
            place = hold;
            break;
        }

        if (place->used
            && (!hold->used
                || ngx_pulse_breaker_left(hold->until, place->until) < 0))
        {
            place = hold;
        }
    }

    place->model = model;
    place->until = now + wait;
    place->used = 1;

    ngx_pulse_breaker_look(b);
}


/* What is left of the holds on a model; those that are over end here. */

static ngx_msec_int_t
ngx_pulse_breaker_held(ngx_pulse_breaker_t *b, uint32_t model, ngx_msec_t now)
{
    ngx_uint_t                 i;
    ngx_msec_int_t             left, most;
    ngx_pulse_breaker_hold_t  *hold;

    most = 0;

    for (i = 0; i < NGX_PULSE_BREAKER_HOLDS; i++) {
        hold = &b->holds[i];

        if (!hold->used) {
            continue;
        }

        left = ngx_pulse_breaker_left(hold->until, now);

        if (left <= 0) {
            hold->used = 0;

        } else if (hold->model == NGX_PULSE_BREAKER_ALL
                   || hold->model == model)
        {
            most = ngx_max(most, left);
        }
    }

    return most;
}


static void
ngx_pulse_breaker_window(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_msec_t now)
{
    if (b->failures && now - b->since >= limits->window) {
        b->failures = 0;
        b->successes = 0;
    }
}


static ngx_uint_t
ngx_pulse_breaker_open(ngx_pulse_breaker_t *b,
    const ngx_pulse_breaker_limits_t *limits, ngx_msec_t now)
{
    b->state = NGX_PULSE_BREAKER_OPEN;
    b->until = now + limits->pause;
    b->probing = 0;
    b->failures = 0;
    b->successes = 0;

    ngx_pulse_breaker_look(b);

    return NGX_PULSE_BREAKER_OPEN;
}


static void
ngx_pulse_breaker_look(ngx_pulse_breaker_t *b)
{
    ngx_uint_t  i, heed;

    heed = (b->state != NGX_PULSE_BREAKER_CLOSED) || b->failures;

    for (i = 0; i < NGX_PULSE_BREAKER_HOLDS; i++) {
        heed |= b->holds[i].used;
    }

    b->heed = heed;
}
