
#ifndef _PULSE_OUTBOX_H_INCLUDED_
#define _PULSE_OUTBOX_H_INCLUDED_


#include "pulse_store.h"


typedef struct {
    const char  *dir;           /* where .eml files go, NULL: nowhere */
    const char  *templates;
    const char  *from;
} pulse_outbox_t;


/*
 * Sends what is due, a batch in one transaction.  Several sidecars may run:
 * each skips the rows another holds.  NGX_OK if there may be more, NGX_DONE
 * if there is not, NGX_ERROR with store->error.
 */
ngx_int_t pulse_outbox_send(pulse_outbox_t *outbox, pulse_store_t *store);


#endif /* _PULSE_OUTBOX_H_INCLUDED_ */
