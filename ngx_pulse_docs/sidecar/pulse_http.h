
#ifndef _PULSE_HTTP_H_INCLUDED_
#define _PULSE_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <microhttpd.h>
#include "ngx_pulse_buf.h"


#define PULSE_HTTP_MAX_BODY  (4 * 1024 * 1024)


/*
 * One request.  It lives in its pool until libmicrohttpd has done with the
 * answer; "body" is whole when the handler runs.
 */

typedef struct pulse_http_request_s  pulse_http_request_t;

typedef enum MHD_Result (*pulse_http_handler_pt)(pulse_http_request_t *r);

struct pulse_http_request_s {
    struct MHD_Connection  *connection;
    ngx_pool_t             *pool;
    ngx_pulse_buf_t         body;
    pulse_http_handler_pt   handler;
    void                   *ctx;            /* of the handler */
    unsigned                too_large:1;
};


/* A table ends with path NULL. */

typedef struct {
    const char             *method;
    const char             *path;
    pulse_http_handler_pt   handler;
} pulse_http_route_t;


/* Starts to serve on a unix socket, which it makes; NULL with a line in the
 * log.  "threads" share the connections. */
struct MHD_Daemon *pulse_http_start(const char *path, unsigned threads,
    pulse_http_route_t *routes);

/* Ends what is being answered and removes the socket. */
void pulse_http_stop(struct MHD_Daemon *daemon, const char *path);

/* Sends a JSON text; "b" is empty afterwards. */
enum MHD_Result pulse_http_reply(pulse_http_request_t *r, unsigned status,
    ngx_pulse_buf_t *b);

/* An error as OpenAI writes it; "param" and "code" may be NULL. */
enum MHD_Result pulse_http_error(pulse_http_request_t *r, unsigned status,
    const char *type, const char *param, const char *code,
    const char *message);


#endif /* _PULSE_HTTP_H_INCLUDED_ */
