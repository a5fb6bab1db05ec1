
#ifndef _NGX_HTTP_PULSE_COMPAT_H_INCLUDED_
#define _NGX_HTTP_PULSE_COMPAT_H_INCLUDED_


/*
 * Every difference between the nginx versions built against (1.22.1 as
 * Debian 12 has it, up to mainline) is here, and nothing else is.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* since 1.23.0 headers of one name are a linked list */

#if (nginx_version >= 1023000)
#define ngx_http_pulse_header_single(h)  (h)->next = NULL
#else
#define ngx_http_pulse_header_single(h)
#endif


/* since 1.27.2 trailers may be kept; we never do */

#if (nginx_version >= 1027002)
#define ngx_http_pulse_parse_chunked(r, b, ctx)                               \
    ngx_http_parse_chunked(r, b, ctx, 0)
#else
#define ngx_http_pulse_parse_chunked(r, b, ctx)                               \
    ngx_http_parse_chunked(r, b, ctx)
#endif


/*
 * Finds a cookie: data is NULL if there is none.  1.29.6 split the parser of
 * cookies from that of other multi-line headers, which then took ',' too.
 */

static ngx_inline ngx_str_t
ngx_http_pulse_cookie(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_str_t  value;

    ngx_str_null(&value);

#if (nginx_version >= 1029006)

    (void) ngx_http_parse_cookie_lines(r, r->headers_in.cookie, name, &value);

#elif (nginx_version >= 1023000)

    (void) ngx_http_parse_multi_header_lines(r, r->headers_in.cookie, name,
                                             &value);
#else

    (void) ngx_http_parse_multi_header_lines(&r->headers_in.cookies, name,
                                             &value);
#endif

    return value;
}


#endif /* _NGX_HTTP_PULSE_COMPAT_H_INCLUDED_ */
