
#ifndef _NGX_HTTP_PULSE_H_INCLUDED_
#define _NGX_HTTP_PULSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
#include "ngx_http_pulse_compat.h"
#include "ngx_pulse_buf.h"
#include "ngx_pulse_id.h"
#include "ngx_pulse_json.h"
#include "ngx_pulse_metrics.h"
#include "ngx_pulse_pg.h"
#include "ngx_pulse_redis.h"


#define NGX_HTTP_PULSE_UUID_LEN     36

#define NGX_HTTP_PULSE_STUDIO       0       /* dialects */
#define NGX_HTTP_PULSE_OPENAI       1
#define NGX_HTTP_PULSE_ANTHROPIC    2
#define NGX_HTTP_PULSE_GEMINI       3
#define NGX_HTTP_PULSE_RESPONSES    4

#define NGX_HTTP_PULSE_AR           0       /* locales */
#define NGX_HTTP_PULSE_EN           1

#define NGX_HTTP_PULSE_BY_NONE      0       /* how a caller was known */
#define NGX_HTTP_PULSE_BY_COOKIE    1
#define NGX_HTTP_PULSE_BY_BEARER    2
#define NGX_HTTP_PULSE_BY_KEY       3


/* error codes of API.md; the table in ngx_http_pulse_reply.c has the rest */

typedef enum {
    NGX_HTTP_PULSE_OK = 0,
    NGX_HTTP_PULSE_INVALID_REQUEST,
    NGX_HTTP_PULSE_CONTENT_FLAGGED,
    NGX_HTTP_PULSE_UNAUTHORIZED,
    NGX_HTTP_PULSE_NO_SUBSCRIPTION,
    NGX_HTTP_PULSE_QUOTA_EXCEEDED,
    NGX_HTTP_PULSE_FEATURE_NOT_IN_PLAN,
    NGX_HTTP_PULSE_FORBIDDEN,
    NGX_HTTP_PULSE_CSRF_REJECTED,
    NGX_HTTP_PULSE_NOT_FOUND,
    NGX_HTTP_PULSE_METHOD_NOT_ALLOWED,
    NGX_HTTP_PULSE_IDEMPOTENCY_MISMATCH,
    NGX_HTTP_PULSE_REQUEST_TOO_LARGE,
    NGX_HTTP_PULSE_UNSUPPORTED_MEDIA_TYPE,
    NGX_HTTP_PULSE_MODEL_NOT_FOUND,
    NGX_HTTP_PULSE_RATE_LIMIT_EXCEEDED,
    NGX_HTTP_PULSE_INTERNAL_ERROR,
    NGX_HTTP_PULSE_PROVIDER_ERROR,
    NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE,
    NGX_HTTP_PULSE_STORE_UNAVAILABLE,
    NGX_HTTP_PULSE_SERVICE_UNAVAILABLE,
    NGX_HTTP_PULSE_GATEWAY_TIMEOUT,
    NGX_HTTP_PULSE_NCODES
} ngx_http_pulse_code_e;


typedef struct {
    ngx_pulse_pg_conf_t      pg;            /* conninfo.len 0: none */
    ngx_pulse_redis_conf_t   redis;
    ngx_flag_t               redis_on;
    ngx_str_t                node;          /* name of this node */
    ngx_str_t                public_url;    /* https://studio.example */
    ngx_str_t                upgrade_url;   /* for 402 answers */
    ngx_str_t                sidecar;       /* unix:/path of its socket */
    ngx_array_t              routes;        /* ngx_http_pulse_route_t */
} ngx_http_pulse_main_conf_t;


typedef struct {
    ngx_uint_t               dialect;       /* shape of errors here */
} ngx_http_pulse_loc_conf_t;


/*
 * What the modules know of a request, one for each main request.  It lives
 * in a pool cleanup, so that internal redirects, which wipe the contexts of
 * modules, do not lose it; strings are in r->pool or static.
 */

typedef struct ngx_http_pulse_reservation_s  ngx_http_pulse_reservation_t;

typedef struct {
    ngx_str_t                trace_id;      /* X-Request-ID or made */
    ngx_str_t                traceparent;   /* valid W3C header, or empty */

    /* auth */

    ngx_uint_t               by;            /* NGX_HTTP_PULSE_BY_* */
    ngx_str_t                user_id;       /* UUID text, empty: nobody */
    ngx_str_t                session_id;    /* UUID text, cookie or bearer */
    ngx_str_t                key_id;        /* UUID text, API key */
    ngx_uint_t               locale;        /* NGX_HTTP_PULSE_AR or _EN */
    ngx_uint_t               internal;      /* a service key or unix peer */

    /* usage; counts are tokens */

    ngx_http_pulse_reservation_t  *reservation;
    ngx_str_t                plan;          /* slug, empty: not known */
    uint64_t                 input;
    uint64_t                 cached;
    uint64_t                 output;
    uint64_t                 reasoning;
    uint64_t                 cache_write;
    int64_t                  price;         /* nano-USD, -1: not known */
    ngx_uint_t               estimated;     /* not the provider's figures */
    uint64_t                 clamped;       /* max_tokens lowered to, or 0 */
    ngx_uint_t               claimed;       /* an idempotency key waits for
                                               the end of the reservation */

    /* gateway */

    ngx_str_t                model;         /* of the catalogue */
    ngx_str_t                provider;
    ngx_uint_t               attempts;
    ngx_msec_t               first_token;   /* ms after the start, or 0 */

    ngx_uint_t               dialect;
    ngx_http_pulse_code_e    code;          /* verdict, OK if none */
} ngx_http_pulse_record_t;


/* --- record (ngx_http_pulse_record.c) --- */

/* The record of r->main, made at the first call (trace id, dialect of the
 * location, locale from Accept-Language).  NULL without memory. */
ngx_http_pulse_record_t *ngx_http_pulse_record(ngx_http_request_t *r);

/* The record if it was made already, else NULL; for log handlers. */
ngx_http_pulse_record_t *ngx_http_pulse_record_find(ngx_http_request_t *r);

/* The variables of the access log, and the counters of errors; called by the
 * core module before the configuration is read. */
ngx_int_t ngx_http_pulse_add_variables(ngx_conf_t *cf);

/* The header filter that puts X-Trace-ID on every answer; called by the core
 * module after the configuration is read. */
ngx_int_t ngx_http_pulse_trace_filter_init(ngx_conf_t *cf);


/* --- replies (ngx_http_pulse_reply.c) --- */

/*
 * Send a whole answer and return what ngx_http_finalize_request() takes.
 * They discard a body that was not read.  In a handler that holds the
 * request: ngx_http_finalize_request(r, ngx_http_pulse_reply(...)).
 */

/* The studio envelope around "data", a JSON text. */
ngx_int_t ngx_http_pulse_reply(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *data);

/* A body as it is. */
ngx_int_t ngx_http_pulse_reply_raw(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *content_type, const ngx_str_t *body);

/* An error in the dialect of the record, in the caller's language; sets
 * record->code.  "details": JSON object text or NULL.  402, 401 and 4xx of
 * ours carry x-should-retry: false on dialect endpoints, but for 429 and a 409
 * whose Retry-After was set before. */
ngx_int_t ngx_http_pulse_error(ngx_http_request_t *r,
    ngx_http_pulse_code_e code, const ngx_str_t *details);

/* INVALID_REQUEST with details.field = "pointer" and details.reason. */
ngx_int_t ngx_http_pulse_invalid(ngx_http_request_t *r, const char *pointer,
    const char *reason);

/* For phase handlers: sends the error, finalizes, returns NGX_DONE. */
ngx_int_t ngx_http_pulse_refuse(ngx_http_request_t *r,
    ngx_http_pulse_code_e code, const ngx_str_t *details);

/* Takes note that an error is answered by somebody else, for the access log
 * and pulse_errors_total; done already where these functions answer it. */
void ngx_http_pulse_verdict(ngx_http_request_t *r, ngx_http_pulse_code_e code);

/* The body of that error alone, for an error event inside a stream. */
void ngx_http_pulse_error_text(ngx_http_request_t *r,
    ngx_http_pulse_code_e code, const ngx_str_t *details, ngx_pulse_buf_t *b);

/* Code, HTTP status and name of a code. */
ngx_uint_t ngx_http_pulse_code_status(ngx_http_pulse_code_e code);
ngx_str_t *ngx_http_pulse_code_name(ngx_http_pulse_code_e code);

/* What it says to people, in the language of the caller. */
ngx_str_t ngx_http_pulse_code_message(ngx_http_request_t *r,
    ngx_http_pulse_code_e code);

/* The code with this name, or NGX_HTTP_PULSE_INTERNAL_ERROR. */
ngx_http_pulse_code_e ngx_http_pulse_code_find(const ngx_str_t *name);

/* Adds or replaces a response header; both strings must outlive the request's
 * output.  NGX_ERROR without memory. */
ngx_int_t ngx_http_pulse_set_header(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value);

/* An empty buffer of at most "max" bytes (0: no limit) whose memory goes with
 * the request, or NULL. */
ngx_pulse_buf_t *ngx_http_pulse_buf(ngx_http_request_t *r, size_t max);

/* Details of RATE_LIMIT_EXCEEDED: "window" in seconds, "reset" in unix ms. */
ngx_int_t ngx_http_pulse_limit_details(ngx_http_request_t *r,
    ngx_uint_t limit, ngx_uint_t window, int64_t reset, ngx_str_t *details);

/* First header of the request with this lowercase name, or NULL. */
ngx_str_t *ngx_http_pulse_header(ngx_http_request_t *r, const char *lowcase,
    size_t len);

/* Registers pulse_errors_total; called by ngx_http_pulse_add_variables(). */
ngx_int_t ngx_http_pulse_reply_metrics(ngx_conf_t *cf);


/* --- waiting (ngx_http_pulse_waiter.c) --- */

/*
 * A request suspended for a statement or a command.  The link between the
 * two is on the heap: a client that leaves detaches it, and the late answer
 * finds nobody and says nothing.  The handler runs in the request's own log
 * context with posted requests run after it.  The caller holds the request:
 * by NGX_AGAIN from a phase handler (resume with ngx_http_pulse_resume()),
 * or by r->main->count++ in a content handler (end with
 * ngx_http_finalize_request()).  While it waits r->read_event_handler
 * notices a client that goes away.
 *
 * NGX_OK if sent; NGX_ERROR if the store cannot be reached or without
 * memory (the handler is then never called).
 */

typedef void (*ngx_http_pulse_pg_handler_pt)(ngx_http_request_t *r,
    void *data, ngx_pulse_pg_result_t *res);

ngx_int_t ngx_http_pulse_pg(ngx_http_request_t *r,
    ngx_pulse_pg_statement_t *statement, ngx_str_t *params,
    ngx_http_pulse_pg_handler_pt handler, void *data);

typedef void (*ngx_http_pulse_redis_handler_pt)(ngx_http_request_t *r,
    void *data, redisReply *reply);

ngx_int_t ngx_http_pulse_redis(ngx_http_request_t *r, ngx_uint_t n,
    ngx_str_t *args, ngx_http_pulse_redis_handler_pt handler, void *data);

/* Runs the phases of a request that an access handler suspended. */
void ngx_http_pulse_resume(ngx_http_request_t *r);


/* --- endpoints (ngx_http_pulse_api.c) --- */

/*
 * "pulse_api;" in a location serves the routes registered here.  A path may
 * end with one "{id}" segment, or have it in the middle; it matches a UUID
 * or slug ([A-Za-z0-9._-], 1 to 64 bytes).  The body, where the route wants
 * one, is read, must be application/json, and comes as a tree; "locale" in
 * it is taken into the record.  The handler owns the request (count is
 * held): each path ends in ngx_http_finalize_request().
 */

#define NGX_HTTP_PULSE_ROUTE_BODY      0x01     /* JSON object wanted */
#define NGX_HTTP_PULSE_ROUTE_OPTIONAL  0x02     /* ... or none at all */
#define NGX_HTTP_PULSE_ROUTE_INTERNAL  0x04     /* record->internal only */
#define NGX_HTTP_PULSE_ROUTE_PUBLIC    0x08     /* nobody need be signed in */

typedef struct {
    ngx_str_t                id;            /* of the path, or empty */
    ngx_pulse_json_value_t  *body;          /* object, or NULL */
    ngx_str_t                text;          /* the body's bytes */
    ngx_http_pulse_record_t *record;
} ngx_http_pulse_call_t;

typedef void (*ngx_http_pulse_call_pt)(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);

typedef struct {
    ngx_uint_t               method;        /* NGX_HTTP_GET ... */
    ngx_str_t                path;
    ngx_uint_t               flags;
    ngx_http_pulse_call_pt   handler;
} ngx_http_pulse_route_t;

/* Adds a NULL-path terminated table; from postconfiguration or before. */
ngx_int_t ngx_http_pulse_routes(ngx_conf_t *cf,
    ngx_http_pulse_route_t *routes);

/*
 * Sends a statement whose one row is (status int, code text, data text) and
 * answers with it: code NULL is a success with "data" in the envelope,
 * otherwise "data" is the details.  Every studio endpoint that is one
 * statement ends here.  Finalizes the request in every case.
 */
void ngx_http_pulse_call_pg(ngx_http_request_t *r,
    ngx_pulse_pg_statement_t *statement, ngx_str_t *params);

/* The answer to such a row, for a handler that did more with it. */
ngx_int_t ngx_http_pulse_reply_row(ngx_http_request_t *r,
    ngx_pulse_pg_result_t *res);

/* 1 if the request says that its body is JSON. */
ngx_uint_t ngx_http_pulse_is_json(ngx_http_request_t *r);

/* What a content handler returns for that of reading the body, "rc": our own
 * reply where the body is too large. */
ngx_int_t ngx_http_pulse_body_begun(ngx_http_request_t *r, ngx_int_t rc);

/* ngx_http_read_client_request_body() for a body that is to be in one piece;
 * the handler ends the request with 500 or calls ngx_http_pulse_body(). */
ngx_int_t ngx_http_pulse_read_body(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/*
 * Has the body in one piece of memory, wherever nginx put it; NGX_OK with
 * "*body" in r->pool, NGX_HTTP_* on failure.  Call after the body was read.
 */
ngx_int_t ngx_http_pulse_body(ngx_http_request_t *r, ngx_str_t *body);

/* Gives the memory of such a body back, if it has a block of its own; "*body"
 * is empty then. */
void ngx_http_pulse_body_free(ngx_http_request_t *r, ngx_str_t *body);

/* Setters of "pulse_api;" and "pulse_error;". */
char *ngx_http_pulse_api_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_pulse_error_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* A query argument, unescaped into r->pool; data NULL if absent, U+FFFD if it
 * is no text (NUL, or no UTF-8). */
ngx_str_t ngx_http_pulse_arg(ngx_http_request_t *r, const char *name);


/* --- health (ngx_http_pulse_health.c) --- */

/* Routes /health, /ready and /metrics; called by the core module before the
 * configuration is read. */
ngx_int_t ngx_http_pulse_health_init(ngx_conf_t *cf);


/* --- the worker --- */

/* NULL where not configured and in processes that are no workers. */
extern ngx_pulse_pg_t     *ngx_http_pulse_pg_pool;
extern ngx_pulse_redis_t  *ngx_http_pulse_redis_link;

extern ngx_module_t  ngx_http_pulse_module;


#endif /* _NGX_HTTP_PULSE_H_INCLUDED_ */
