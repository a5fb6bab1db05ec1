
#ifndef _PULSE_SMTP_H_INCLUDED_
#define _PULSE_SMTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * Mail to a server that passes it on, by libcurl.  A call takes as long as
 * the server does, up to the time-out: it is for threads that may wait.
 */


#define PULSE_SMTP_REASON   256
#define PULSE_SMTP_TIMEOUT  60          /* seconds; a job's lease is longer */


typedef struct {
    const char      *url;           /* smtp://HOST[:PORT][/NAME], or smtps */
    const char      *user;          /* NULL: no login */
    const char      *password;
    const char      *ca;            /* file of certificates, NULL: system's */
    const char      *tls;           /* "required", "none" or NULL */
    const char      *name;          /* of ours, unless the URL has one */
    ngx_uint_t       timeout;       /* seconds of a whole mail */

    /* set by pulse_smtp_init() */

    char            *target;
    ngx_uint_t       plain;         /* STARTTLS is not asked for */
} pulse_smtp_t;


typedef struct {
    const char      *from;          /* addresses without control characters */
    const char      *recipient;
    ngx_str_t        message;

    ngx_uint_t       bad_address;   /* refused for the recipient's sake */
    ngx_uint_t       server;        /* it failed for no mail's sake */
    char             reason[PULSE_SMTP_REASON];     /* printable ASCII */
} pulse_smtp_mail_t;


/*
 * Checks the configuration, once, before there are threads.  NULL, or why it
 * is refused: STARTTLS may be left out on loopback alone, and a login is
 * never part of the URL.
 */
const char *pulse_smtp_init(pulse_smtp_t *smtp);

/*
 * Hands a mail over:
 *
 *   NGX_OK        the server has it
 *   NGX_AGAIN     it has not, or nobody knows: later, with the same Message-ID
 *   NGX_DECLINED  the server will never take it
 *   NGX_ABORT     the sidecar ends
 */
ngx_int_t pulse_smtp_send(const pulse_smtp_t *smtp, pulse_smtp_mail_t *mail);


#endif /* _PULSE_SMTP_H_INCLUDED_ */
