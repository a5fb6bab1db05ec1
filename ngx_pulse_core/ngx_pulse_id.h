
#ifndef _NGX_PULSE_ID_H_INCLUDED_
#define _NGX_PULSE_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* A UUIDv7 (RFC 9562) as 36 characters; from the kernel's generator. */
void ngx_pulse_uuid7(u_char *text);

/* 1 if the 36 bytes are a UUID in lower or upper case. */
ngx_uint_t ngx_pulse_uuid_valid(const ngx_str_t *s);

/* 1 for [A-Za-z0-9._-], one byte at least: what ids and slugs consist of. */
ngx_uint_t ngx_pulse_name_valid(const ngx_str_t *s);

/* "len" random bytes; NGX_ERROR if the kernel has none. */
ngx_int_t ngx_pulse_random(u_char *p, size_t len);

/* RFC 3339 UTC with milliseconds, 24 characters, of unix ms. */
void ngx_pulse_rfc3339(u_char *text, int64_t ms);

/* Unix ms of such a text; -1 if it is of another form. */
int64_t ngx_pulse_rfc3339_parse(const ngx_str_t *text);

/* Unix time now, ms; from nginx's cached clock in a worker. */
int64_t ngx_pulse_now(void);


#endif /* _NGX_PULSE_ID_H_INCLUDED_ */
