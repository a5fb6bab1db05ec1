
#include "ngx_pulse_account.h"


uint64_t
ngx_pulse_lease_free(const ngx_pulse_lease_t *lease)
{
    uint64_t  spent;

    spent = lease->returned + lease->settled + lease->reserved;

    /* never below zero by the rules, but a wrap would admit everything */

    return lease->granted > spent ? lease->granted - spent : 0;
}


uint64_t
ngx_pulse_lease_reserve(ngx_pulse_lease_t *lease, uint64_t want, uint64_t min)
{
    uint64_t  amount;

    amount = ngx_min(want, ngx_pulse_lease_free(lease));

    if (amount == 0 || amount < min) {
        return 0;
    }

    lease->reserved += amount;

    return amount;
}


uint64_t
ngx_pulse_lease_settle(ngx_pulse_lease_t *lease, uint64_t reserved,
    uint64_t amount)
{
    uint64_t  part;

    lease->reserved -= reserved;

    part = ngx_min(amount, ngx_pulse_lease_free(lease));

    lease->settled += part;

    return amount - part;
}


void
ngx_pulse_lease_granted(ngx_pulse_lease_t *lease, uint64_t granted)
{
    if (granted > lease->granted) {
        lease->granted = granted;
    }
}


uint64_t
ngx_pulse_lease_return(ngx_pulse_lease_t *lease, uint64_t keep)
{
    uint64_t  amount;

    amount = ngx_pulse_lease_free(lease);

    if (amount > keep) {
        lease->returned += amount - keep;
    }

    return lease->returned;
}
