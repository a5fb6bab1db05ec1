
#ifndef _PULSE_CALL_H_INCLUDED_
#define _PULSE_CALL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "pulse_pieces.h"


#define PULSE_CALL_ERROR     256
#define PULSE_CALL_LOCATION  2048


/*
 * A request to whoever makes something, by a thread that waits for it.  https
 * with the host's certificate checked, to addresses of the Internet only; or,
 * where the provider is configured to be this machine, to this machine only.
 * No redirect is followed: where it leads is told.  The answer's body is
 * handed on as it comes.
 */

typedef struct {
    const char    *method;
    const char    *url;
    const char    *credential;          /* a header field, or NULL */
    const char    *const *fields;       /* more of them, or NULL */
    const char    *type;                /* of the body; NULL: there is none */
    ngx_str_t      body;
    pulse_pieces_t *pieces;             /* instead of "body", or NULL */
    ngx_uint_t     loopback;            /* the provider is this machine */
    ngx_uint_t     timeout;             /* s, in all */
    ngx_uint_t     max;                 /* bytes of the answer; 0: any */

    /* a piece; NGX_ERROR ends it */

    ngx_int_t    (*write)(void *ctx, const u_char *p, size_t len);
    void          *ctx;

    /* asked now and then: 1 ends it; NULL: nothing does */

    ngx_uint_t   (*stop)(void);

    /* what came of it */

    long           status;              /* 0: there was no answer */
    ngx_uint_t     sent;                /* it may have arrived there */
    ngx_uint_t     stopped;             /* by "stop" */
    ngx_uint_t     refused;             /* by "write" */
    ngx_uint_t     too_large;           /* longer than "max" */
    char           location[PULSE_CALL_LOCATION];   /* of a redirect, or "" */
    char           error[PULSE_CALL_ERROR];     /* has nothing of the request
                                                   in it */
} pulse_call_t;


/* NGX_OK with a whole answer, whatever its status; NGX_ERROR with
 * call->error. */
ngx_int_t pulse_call(pulse_call_t *call);

/*
 * Whether an address that somebody names may be asked: https at a host of the
 * list, as pulse_address_listed() has it, or of the base, without a credential
 * in it; where the provider is this machine, only at the base's host.
 */
ngx_uint_t pulse_call_allowed(const char *url, const char *const *hosts,
    const char *base, ngx_uint_t loopback);

/* 1 if the host of a base is this machine: then http is in order too. */
ngx_uint_t pulse_call_is_loopback(const char *host);


#endif /* _PULSE_CALL_H_INCLUDED_ */
