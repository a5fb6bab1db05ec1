
#ifndef _PULSE_HTTP_H_INCLUDED_
#define _PULSE_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <microhttpd.h>
#include "ngx_pulse_buf.h"
#include "pulse_store.h"


#define PULSE_HTTP_MAX_BODY   (4 * 1024 * 1024)
#define PULSE_HTTP_MAX_ALLOW  64

/* of a route */

#define PULSE_HTTP_ONCE       1         /* takes an Idempotency-Key */
#define PULSE_HTTP_PARTS      2         /* takes multipart/form-data */
#define PULSE_HTTP_OPENAI     4         /* errors are as OpenAI writes them */


/*
 * One request.  It lives in its pool until libmicrohttpd has done with the
 * answer; "body" is whole when the handler runs.
 */

typedef struct pulse_chat_s          pulse_chat_t;
typedef struct pulse_once_s          pulse_once_t;
typedef struct pulse_parts_s         pulse_parts_t;
typedef struct pulse_http_request_s  pulse_http_request_t;

typedef enum MHD_Result (*pulse_http_handler_pt)(pulse_http_request_t *r);

struct pulse_http_request_s {
    struct MHD_Connection  *connection;
    ngx_pool_t             *pool;
    ngx_pulse_buf_t         body;
    pulse_parts_t          *parts;          /* of a form; pulse_parts.h */
    const char             *path;
    ngx_str_t               id;             /* of the path, or empty */
    pulse_http_handler_pt   handler;
    void                   *ctx;            /* of the handler */

    /* who asks, as nginx says; pulse_reply.h */

    ngx_str_t               user;
    unsigned                arabic:1;

    /* where a worker runs the handler; pulse_worker.h */

    pulse_store_t          *store;
    pulse_http_request_t   *next;
    struct MHD_Response    *response;       /* waits for its thread */
    unsigned                status;
    pulse_chat_t           *chat;           /* to be asked; pulse_chat.h */
    const char             *tokens;         /* X-Usage-Tokens, or NULL */
    const char             *images;
    const char             *videos;
    const char             *warning;        /* X-Usage-Warning */
    const char             *moderated;      /* X-Pulse-Moderated */
    char                    after[NGX_INT64_LEN + 1];   /* Retry-After */
    pulse_once_t           *claim;          /* of a key; pulse_once.h */
    unsigned                once:1;
    unsigned                work:3;         /* pulse_worker_lane_e */
    unsigned                suspended:1;
    unsigned                owed:1;         /* a worker had it */
    unsigned                done:1;

    unsigned                form:1;         /* may come as one */
    unsigned                studio:1;       /* the studio's envelope */
    unsigned                too_large:1;
    char                    allow[PULSE_HTTP_MAX_ALLOW];
};


/* A table ends with path NULL.  "{id}" in a path stands for a UUID. */

typedef struct {
    const char             *method;
    const char             *path;
    pulse_http_handler_pt   handler;
    unsigned                work:3;         /* pulse_worker_lane_e */
    unsigned                takes:3;        /* PULSE_HTTP_..., 0: nothing */
} pulse_http_route_t;


/* Starts to serve on a unix socket, which it makes; NULL with a line in the
 * log.  "threads" share the connections. */
struct MHD_Daemon *pulse_http_start(const char *path, unsigned threads,
    pulse_http_route_t *routes);

/* Ends what is being answered, lets answers that are made go out for up to two
 * seconds, and removes the socket. */
void pulse_http_stop(struct MHD_Daemon *daemon, const char *path);

/* Sends a JSON text; "b" is empty afterwards. */
enum MHD_Result pulse_http_reply(pulse_http_request_t *r, unsigned status,
    ngx_pulse_buf_t *b);

/* The same in two steps, for answers with headers of their own: NULL without
 * memory, and what is made goes with pulse_http_queue(). */
struct MHD_Response *pulse_http_response(ngx_pulse_buf_t *b);
enum MHD_Result pulse_http_queue(pulse_http_request_t *r, unsigned status,
    struct MHD_Response *response);

/* Takes back an answer that was made by a worker and not given yet. */
void pulse_http_discard(pulse_http_request_t *r);

/* Takes up a request that a worker is done with. */
void pulse_http_resume(pulse_http_request_t *r, enum MHD_Result rc);

/* A copy that lives as long as the request; NULL: no memory. */
const char *pulse_http_text(pulse_http_request_t *r, const char *text);

/* A header of the request, or len 0. */
ngx_str_t pulse_http_header(pulse_http_request_t *r, const char *name);

/* An argument of the query, decoded, or len 0. */
ngx_str_t pulse_http_arg(pulse_http_request_t *r, const char *name);

/* An error as OpenAI writes it; "param" and "code" may be NULL. */
enum MHD_Result pulse_http_error(pulse_http_request_t *r, unsigned status,
    const char *type, const char *param, const char *code,
    const char *message);


#endif /* _PULSE_HTTP_H_INCLUDED_ */
