
#ifndef _NGX_HTTP_PULSE_MODERATION_H_INCLUDED_
#define _NGX_HTTP_PULSE_MODERATION_H_INCLUDED_


#include "ngx_http_pulse_gateway.h"
#include "ngx_pulse_moderation.h"
#include "ngx_pulse_moderation_question.h"


#define NGX_HTTP_PULSE_MODERATION_LOCAL     0x01
#define NGX_HTTP_PULSE_MODERATION_PROVIDER  0x02


typedef struct {
    ngx_pulse_moderation_rules_t  *rules;       /* NULL: none are read */
    ngx_str_t                      key;         /* of hashes */
    ngx_str_t                      name;        /* of the provider */
    ngx_str_t                      model;
    ngx_msec_t                     timeout;
    ngx_http_pulse_provider_t     *provider;    /* NULL: nobody asks it */
    ngx_http_upstream_conf_t       upstream;    /* to its moderation */
    ngx_http_complex_value_t       ssl_name;
    ngx_shm_zone_t                *zone;        /* ngx_pulse_breaker_t */
} ngx_http_pulse_moderation_main_conf_t;


typedef struct {
    ngx_uint_t                     mode;        /* bits */
    ngx_uint_t                     pass;        /* if the provider is down */
} ngx_http_pulse_moderation_loc_conf_t;


/* How the question to a provider ended. */

typedef enum {
    NGX_HTTP_PULSE_MODERATION_PASSED = 0,
    NGX_HTTP_PULSE_MODERATION_FLAGGED,          /* by m->categories */
    NGX_HTTP_PULSE_MODERATION_UNFIT,            /* it takes no such picture */
    NGX_HTTP_PULSE_MODERATION_DOWN
} ngx_http_pulse_moderation_e;


typedef struct ngx_http_pulse_moderation_ctx_s
    ngx_http_pulse_moderation_ctx_t;

typedef void (*ngx_http_pulse_moderation_pt)(ngx_http_request_t *r,
    void *data);


/* What is asked of the provider for one request. */

struct ngx_http_pulse_moderation_ctx_s {
    ngx_http_request_t                *request;
    ngx_http_pulse_moderation_pt       handler;
    void                              *data;
    ngx_pulse_moderation_question_t    question;
    ngx_http_pulse_moderation_e        verdict;
    ngx_pulse_buf_t                    categories;  /* JSON */
    ngx_msec_t                         start;
    ngx_uint_t                         ticket;      /* of a probe, or 0 */
    unsigned                           asked:1;     /* the breaker waits */

    /* the call that runs */

    ngx_http_status_t                  status;
    ngx_http_chunked_t                 chunked;
    off_t                              length;      /* of it, or -1 */
    ngx_pulse_buf_t                    body;
    ngx_pulse_buf_t                    answer;
    unsigned                           chunks:1;
    unsigned                           complete:1;
    unsigned                           over:1;
};


/* --- what the gateway asks (ngx_http_pulse_moderation.c) --- */

/* By the rules, where the location has them checked: NGX_OK, or NGX_DECLINED
 * with the result of an answer in "*rc". */
ngx_int_t ngx_http_pulse_moderation_local(ngx_http_request_t *r,
    const ngx_str_t *body, ngx_int_t *rc);

/*
 * By the provider, where the location has it asked.  "handler" is called if
 * the request may go on, which may be at once; else it is answered and
 * finalized.  The caller holds it, as for ngx_http_pulse_pg(); "body" must
 * live until then.
 */
void ngx_http_pulse_moderation_ask(ngx_http_request_t *r,
    const ngx_str_t *body, ngx_http_pulse_moderation_pt handler, void *data);

/* What the sidecar is told of the location: "both pass". */
ngx_str_t ngx_http_pulse_moderation_header(ngx_http_request_t *r);


/* --- a question (ngx_http_pulse_moderation_call.c) --- */

typedef enum {
    NGX_HTTP_PULSE_MODERATION_WORKS = 0,
    NGX_HTTP_PULSE_MODERATION_BREAKS,
    NGX_HTTP_PULSE_MODERATION_FORBIDS,          /* the key is no good */
    NGX_HTTP_PULSE_MODERATION_NOTHING           /* says nothing of it */
} ngx_http_pulse_moderation_report_e;

/* Asks all of ctx->question; ends in ngx_http_pulse_moderation_done(). */
void ngx_http_pulse_moderation_call(ngx_http_pulse_moderation_ctx_t *ctx);

/* What a call says of the provider, for the breaker. */
void ngx_http_pulse_moderation_told(ngx_http_pulse_moderation_ctx_t *ctx,
    ngx_http_pulse_moderation_report_e report);

/* ctx->verdict is known. */
void ngx_http_pulse_moderation_done(ngx_http_pulse_moderation_ctx_t *ctx);


/* --- figures (ngx_http_pulse_moderation_metric.c) --- */

typedef enum {
    NGX_HTTP_PULSE_MODERATION_COUNT_PASSED = 0,
    NGX_HTTP_PULSE_MODERATION_COUNT_RULES,
    NGX_HTTP_PULSE_MODERATION_COUNT_PROVIDER,
    NGX_HTTP_PULSE_MODERATION_COUNT_UNFIT,
    NGX_HTTP_PULSE_MODERATION_COUNT_REFUSED,    /* the provider was down */
    NGX_HTTP_PULSE_MODERATION_COUNT_UNCHECKED,  /* the same, but it passed */
    NGX_HTTP_PULSE_MODERATION_NCOUNTS
} ngx_http_pulse_moderation_count_e;

ngx_int_t ngx_http_pulse_moderation_metrics(ngx_conf_t *cf);

/* A category, of rules or of the provider, gets a series. */
void ngx_http_pulse_moderation_category(const ngx_str_t *name);

void ngx_http_pulse_moderation_count(ngx_http_pulse_moderation_count_e count);

/* Each of a JSON array of categories. */
void ngx_http_pulse_moderation_count_categories(const ngx_str_t *names);

/* What the sidecar says it found: "flagged_by_rules [...]", with the result as
 * the metric has it and, of a refusal, its categories. */
void ngx_http_pulse_moderation_count_told(const ngx_str_t *told);

/* How long the provider took. */
void ngx_http_pulse_moderation_observe(ngx_msec_t ms);


extern ngx_module_t  ngx_http_pulse_moderation_module;


#endif /* _NGX_HTTP_PULSE_MODERATION_H_INCLUDED_ */
