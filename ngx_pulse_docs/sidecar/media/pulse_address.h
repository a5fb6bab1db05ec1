
#ifndef _PULSE_ADDRESS_H_INCLUDED_
#define _PULSE_ADDRESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/socket.h>


/*
 * Where what a provider names may be fetched from.
 */


/* 1 for an address of the Internet: none of this machine or of a network of
 * its own, none that is reserved, and none that stands for such a one. */
ngx_uint_t pulse_address_public(const struct sockaddr *sa);

/* 1 for 127.0.0.0/8 and ::1. */
ngx_uint_t pulse_address_loopback(const struct sockaddr *sa);

/* Whether a host's name is one of the list, which ends with NULL: a name, or
 * ".NAME" for those below it. */
ngx_uint_t pulse_address_listed(const char *host, const char *const *hosts);


#endif /* _PULSE_ADDRESS_H_INCLUDED_ */
