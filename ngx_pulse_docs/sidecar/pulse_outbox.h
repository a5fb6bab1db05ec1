
#ifndef _PULSE_OUTBOX_H_INCLUDED_
#define _PULSE_OUTBOX_H_INCLUDED_


#include "pulse_jobs.h"
#include "pulse_smtp.h"


typedef struct {
    const char    *templates;
    const char    *from;            /* address */
    const char    *name;            /* of the sender */
    const char    *dir;             /* of .eml files, where there is no SMTP */
    pulse_smtp_t   smtp;            /* url NULL: there is none */
} pulse_outbox_t;


/*
 * Mail of the outbox, see conf/schema/0015_mail.sql: adds its kind of jobs if
 * there is somewhere to send it.  NULL, or why the configuration is refused;
 * "outbox" must live.
 */
const char *pulse_outbox_init(pulse_outbox_t *outbox);


#endif /* _PULSE_OUTBOX_H_INCLUDED_ */
