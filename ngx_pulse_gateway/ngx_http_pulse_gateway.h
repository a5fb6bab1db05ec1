
#ifndef _NGX_HTTP_PULSE_GATEWAY_H_INCLUDED_
#define _NGX_HTTP_PULSE_GATEWAY_H_INCLUDED_


#include "ngx_http_pulse.h"
#include "ngx_http_pulse_usage.h"
#include "ngx_pulse_breaker.h"
#include "ngx_pulse_conversation.h"
#include "ngx_pulse_embedding.h"
#include "ngx_pulse_learn.h"
#include "ngx_pulse_models.h"
#include "ngx_pulse_openai.h"
#include "ngx_pulse_sse.h"


#define NGX_HTTP_PULSE_GATEWAY_EVENT_MAX   (16 * 1024 * 1024)
#define NGX_HTTP_PULSE_GATEWAY_RETRY_MAX   86400000    /* ms, a day */
#define NGX_HTTP_PULSE_GATEWAY_CANDIDATES  (NGX_PULSE_CHAT_FALLBACKS + 8)

/* how a candidate is asked and its answer is passed on */

#define NGX_HTTP_PULSE_GATEWAY_SPLICE     0     /* OpenAI at both ends */
#define NGX_HTTP_PULSE_GATEWAY_PASS       1     /* another, at both ends */
#define NGX_HTTP_PULSE_GATEWAY_TRANSLATE  2


/*
 * A provider as configured.  The three upstream configurations differ in
 * read_timeout only, which nginx takes from u->conf whenever it waits: until
 * the answer starts, between reads of it, and after its last event for the
 * end of the body that leaves the connection fit for reuse.
 */

typedef struct {
    ngx_str_t                       name;
    ngx_str_t                       host;           /* Host header */
    ngx_str_t                       ssl_name;
    ngx_str_t                       path;           /* before the endpoint */
    ngx_str_t                       headers;        /* lines; a secret */
    ngx_str_t                       key;            /* the secret itself */
    ngx_uint_t                      dialect;        /* NGX_PULSE_DIALECT_* */
    ngx_uint_t                      dialects;       /* bits: all it speaks */
    ngx_array_t                     globs;          /* ngx_str_t */
    ngx_http_upstream_srv_conf_t   *peers;
    ngx_http_upstream_conf_t        waiting;
    ngx_http_upstream_conf_t        reading;
    ngx_http_upstream_conf_t        ending;
    ngx_pulse_breaker_limits_t      breaker;
    ngx_pulse_breaker_t            *health;         /* in shared memory */
    ngx_uint_t                      row;            /* of metrics */
    ngx_msec_t                      token_timeout;  /* to the first; 0: none */
    ngx_msec_t                      total_timeout;  /* 0: none */
    ngx_msec_t                      drain_time;
    size_t                          drain_max;
    ngx_uint_t                      drain;          /* if the client goes */
    unsigned                        available:1;
    unsigned                        standby:1;      /* only if alone */
    unsigned                        prefix_only:1;  /* not by bare names */
} ngx_http_pulse_provider_t;


typedef struct {
    ngx_array_t                     providers;   /* of pointers, in order */
    ngx_pulse_models_t              models;
    ngx_array_t                    *defaults;    /* ngx_str_t, models */
    ngx_array_t                    *routes;      /* that have a name */
    ngx_http_upstream_srv_conf_t    balancer;    /* over the candidates */
    ngx_shm_zone_t                 *zone;        /* health of providers */
    ngx_shm_zone_t                 *learned;     /* ngx_pulse_learned_t */
} ngx_http_pulse_gateway_main_conf_t;


typedef struct {
    size_t                          answer_max;
    ngx_msec_t                      keepalive;
    ngx_int_t                       default_max_tokens;
    ngx_uint_t                      kind;        /* NGX_PULSE_MODEL_* */
} ngx_http_pulse_gateway_loc_conf_t;


/* One place to ask: a provider and the name of the model there. */

typedef struct {
    ngx_http_pulse_provider_t      *provider;
    ngx_pulse_model_t              *model;       /* for limits, or NULL */
    ngx_str_t                       name;
} ngx_http_pulse_candidate_t;


typedef struct {
    ngx_http_pulse_candidate_t     *elts;        /* room for ..._CANDIDATES */
    ngx_uint_t                      n;
    ngx_uint_t                      kind;        /* that is wanted */
    ngx_pulse_model_t              *elsewhere;   /* of another endpoint */
    unsigned                        known:1;     /* but not to be had now */
} ngx_http_pulse_route_list_t;


/* One that was asked, or passed over. */

typedef struct {
    ngx_http_pulse_provider_t      *provider;
    const char                     *outcome;     /* NULL: not over */
    ngx_uint_t                      status;      /* 0: it said none */
    ngx_msec_t                      start;
    ngx_msec_t                      ms;
} ngx_http_pulse_hop_t;


/* A request with an Idempotency-Key, and what its client is told. */

typedef struct {
    ngx_str_t                       key;
    ngx_str_t                       hash;        /* as bytea is written */
    ngx_event_t                     wait;
    ngx_msec_t                      pause;       /* until it is asked again */
    ngx_msec_t                      until;       /* patience ends */
    ngx_uint_t                      status;
    ngx_str_t                       type;
    ngx_pulse_buf_t                 headers;     /* lines */
    ngx_pulse_buf_t                 body;
    unsigned                        taken:1;     /* the key is ours */
    unsigned                        refused:3;   /* by the meter: looks */
} ngx_http_pulse_claim_t;


typedef struct {

    /*
     * What each event of a stream is looked at with.  It is together, since
     * with some hundred streams nothing of one is in a cache when the next
     * event comes, and what lies elsewhere is waited for by itself.
     */

    ngx_http_request_t             *request;
    ngx_http_pulse_record_t        *record;
    ngx_http_pulse_reservation_t   *reservation; /* of the record */
    ngx_http_pulse_claim_t         *claim;       /* NULL: it has no key */
    ngx_uint_t                      mode;        /* NGX_HTTP_..._SPLICE */
    uint64_t                        prompt;      /* bound, tokens */
    uint64_t                        likely;      /* of the prompt */
    uint64_t                        granted;     /* for it and the answer */
    uint64_t                        max_tokens;  /* of each choice */
    uint64_t                        most;        /* of all choices */
    ngx_chain_t                   **last_out;
    ngx_buf_t                      *out;
    ngx_http_chunked_t              chunked;
    off_t                           length;      /* of its body, or -1 */
    unsigned                        chunks:1;    /* transfer coding */
    unsigned                        begun:1;     /* a stream, not sent yet */
    unsigned                        committed:1; /* events go out */
    unsigned                        broken:1;    /* it cannot be used */
    unsigned                        bore:1;      /* the event had output */
    unsigned                        ended:1;     /* last event is out */
    unsigned                        cut:1;       /* by us, at the grant */
    unsigned                        draining:1;  /* the client is gone */
    ngx_pulse_buf_t                 edited;
    ngx_pulse_sse_t                 splitter;
    ngx_pulse_openai_answer_t       answer;      /* what came of it */

    /* the question */

    ngx_str_t                       text;        /* the body as it came */
    ngx_uint_t                      dialect;     /* NGX_PULSE_DIALECT_* */
    ngx_pulse_openai_request_t      chat;        /* of other dialects: what
                                                  * routes and meters it */
    ngx_pulse_conversation_t       *conversation;    /* or not needed yet */
    ngx_pulse_embedding_request_t  *embedding;   /* instead of a chat */
    ngx_http_pulse_route_list_t     route;

    /* balancer */

    ngx_uint_t                      candidate;
    ngx_event_get_peer_pt           get;         /* of the provider's own */
    ngx_event_free_peer_pt          free;
#if (NGX_HTTP_SSL)
    ngx_event_set_peer_session_pt   set_session;
    ngx_event_save_peer_session_pt  save_session;
#endif
    void                           *data;
    ngx_uint_t                      tries;
    ngx_http_pulse_hop_t           *hops;
    ngx_uint_t                      nhops;
    ngx_uint_t                      most_hops;
    ngx_uint_t                      ticket;      /* of a probe, or 0 */
    ngx_msec_t                      again;       /* shortest wait known, ms */
    unsigned                        held:1;      /* candidate asked for it */
    unsigned                        told:1;      /* how candidate did */
    unsigned                        unavailable:1;  /* nobody may be asked */

    /* request to the candidate */

    ngx_uint_t                      spoken;      /* NGX_PULSE_DIALECT_* */
    ngx_pulse_buf_t                *question;    /* what we wrote of it */
    ngx_pulse_dropped_t            *dropped;     /* NULL: nothing ever */
    ngx_pulse_dropped_t            *lost;        /* of its answer; NULL: it
                                                  * passes as it is */
    ngx_pulse_chat_refusal_t        refusal;     /* if "refused" */
    unsigned                        moderated:1; /* by the provider */

    /* answer of the provider being asked */

    ngx_http_status_t               status;
    ngx_str_t                       content_type;
    ngx_msec_t                      retry_after; /* ms; 0: not said */
    ngx_pulse_buf_t                 body;
    ngx_pulse_chat_error_t          error;
    ngx_http_pulse_code_e           code;        /* our verdict on it */
    unsigned                        started:1;   /* balancer of candidate */
    unsigned                        answered:1;  /* its first byte came */
    unsigned                        encoded:1;   /* content coding */
    unsigned                        sse:1;
    unsigned                        complete:1;  /* body is whole */
    unsigned                        pass:1;      /* error goes on as it is */

    /* answer to the client */

    ngx_event_t                     alive;       /* the next sign of life */
    ngx_event_t                     total;       /* end of all patience */
    ngx_msec_t                      asked;       /* when it began */
    size_t                          awaited;     /* bytes before a token */
    size_t                          drained;     /* bytes after the client */
    ngx_int_t                       first;       /* result of their last */
    unsigned                        early:1;     /* header went out before */
    unsigned                        passing:1;   /* ... as it does now */

    void                           *reader;      /* states of dialects */
    void                           *writer;
    ngx_pulse_collector_t          *collector;   /* of what is no stream */
    ngx_pulse_relay_t              *relay;
    ngx_pulse_sse_t                 framer;      /* events into an array */
    unsigned                        refused:1;   /* no candidate takes it */
    unsigned                        array:1;     /* a stream, but no SSE */
    unsigned                        elements:1;  /* it has some */
    unsigned                        closing:1;   /* no events follow */
    unsigned                        hold:1;      /* header is not sent yet */
    unsigned                        extended:1;  /* by a dear prompt */
    unsigned                        gone:1;      /* the client is */
    unsigned                        finalized:1;
    unsigned                        settled:1;
} ngx_http_pulse_gateway_ctx_t;


/* --- configuration (ngx_http_pulse_provider.c) --- */

char *ngx_http_pulse_provider_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The provider of this name, or NULL. */
ngx_http_pulse_provider_t *ngx_http_pulse_provider_find(
    ngx_http_pulse_gateway_main_conf_t *gmcf, const ngx_str_t *name);


/* --- catalogue (ngx_http_pulse_models.c) --- */

char *ngx_http_pulse_models_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

extern ngx_http_pulse_route_t  ngx_http_pulse_models_routes[];

/* Reads a file of the configuration, of 1 to "max" bytes; its name becomes
 * whole.  NGX_ERROR, and a line. */
ngx_int_t ngx_http_pulse_gateway_file(ngx_conf_t *cf, ngx_str_t *name,
    size_t max, ngx_str_t *text);

/* 1 if it chats or embeds and its provider is there. */
ngx_uint_t ngx_http_pulse_models_available(
    ngx_http_pulse_gateway_main_conf_t *gmcf, ngx_pulse_model_t *model);

/* The list in the caller's dialect: bare, or in the studio's envelope; ends
 * the request. */
void ngx_http_pulse_models_send(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call, ngx_pulse_buf_t *b);

/* An error whose details are the name of a model. */
ngx_int_t ngx_http_pulse_models_error(ngx_http_request_t *r,
    ngx_http_pulse_code_e code, const ngx_str_t *name);

/* The one that call->id names as "object" writes it, or the error that there
 * is none; ends the request. */
void ngx_http_pulse_models_one(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call,
    void (*object)(ngx_pulse_model_t *model, ngx_pulse_buf_t *b));

/* Lists in the shapes of others, page by page, and one of them
 * (ngx_http_pulse_models_shape.c). */
void ngx_http_pulse_models_anthropic(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
void ngx_http_pulse_models_anthropic_one(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
void ngx_http_pulse_models_gemini(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
void ngx_http_pulse_models_gemini_one(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);


/* --- routes (ngx_http_pulse_gateway_route.c) --- */

/* "pulse_route NAME MODEL [weight=N] [backup] ...;" */
char *ngx_http_pulse_route_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* NGX_ERROR, and a line, if a route has a member that nobody could serve;
 * their turns begin anew. */
ngx_int_t ngx_http_pulse_route_check(ngx_conf_t *cf,
    ngx_http_pulse_gateway_main_conf_t *gmcf);

/*
 * Candidates for a request in the order they are to be asked: the model
 * named (or the default of a chat), then the fallbacks.  Of models it takes
 * those of route->kind.  Sets route->known if none is available that exists,
 * route->elsewhere if one exists that does something else.
 */
void ngx_http_pulse_gateway_route(ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_pulse_openai_request_t *chat, ngx_http_pulse_route_list_t *route);


/* --- prices and estimates (ngx_http_pulse_gateway_price.c) --- */

ngx_int_t ngx_http_pulse_gateway_learn_zone(ngx_conf_t *cf,
    ngx_http_pulse_gateway_main_conf_t *gmcf);

/* The bound of the text of a prompt at a provider, whichever of its dialects
 * it is asked in. */
uint64_t ngx_http_pulse_gateway_bound(const ngx_pulse_tokens_t *prompt,
    ngx_http_pulse_provider_t *provider);

/* What is known of the estimates for a candidate, or NULL; as
 * ngx_pulse_learn_find(). */
ngx_pulse_learned_t *ngx_http_pulse_gateway_learned(ngx_http_request_t *r,
    ngx_http_pulse_candidate_t *candidate, ngx_uint_t create);

/* An answer came with the provider's figures. */
void ngx_http_pulse_gateway_learn(ngx_http_pulse_gateway_ctx_t *ctx);

/* What the answer cost, by the figures of the record, into record->price. */
void ngx_http_pulse_gateway_price(ngx_http_pulse_gateway_ctx_t *ctx);

/* The members of a listed model that say what it costs. */
void ngx_http_pulse_models_prices(ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b);

/* ,"name":n, or null where it is "unknown" (ngx_http_pulse_models.c). */
void ngx_http_pulse_models_number(ngx_pulse_buf_t *b, const char *name,
    int64_t n, int64_t unknown);


/* --- counting (ngx_http_pulse_gateway_count.c) --- */

/* "pulse_count_tokens": what a prompt would come to, by our own estimate. */
ngx_int_t ngx_http_pulse_gateway_count_handler(ngx_http_request_t *r);


/* --- request (ngx_http_pulse_gateway_handler.c, _request.c) --- */

ngx_int_t ngx_http_pulse_gateway_handler(ngx_http_request_t *r);

/* A POST of JSON is NGX_DECLINED; all else was answered. */
ngx_int_t ngx_http_pulse_gateway_check(ngx_http_request_t *r);

/* Reads the body in the dialect of ctx->record; NGX_OK, or NGX_DECLINED and
 * "*rc" is of the answer that was sent instead. */
ngx_int_t ngx_http_pulse_gateway_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t *rc);

/* What the prompt may come to at the dearest of the candidates. */
void ngx_http_pulse_gateway_estimate(ngx_http_pulse_gateway_ctx_t *ctx);

/* Writes the request for the current candidate into u->request_bufs.
 * NGX_DECLINED if its dialect cannot say it, with ctx->refusal. */
ngx_int_t ngx_http_pulse_gateway_build(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Has it moderated, reserves what it may cost and goes on; owns the request. */
void ngx_http_pulse_gateway_moderate(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Starts the upstream once the tokens are reserved; owns the request. */
void ngx_http_pulse_gateway_start(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);


/* --- idempotency (ngx_http_pulse_gateway_claim.c, _keep.c) --- */

/* Statements and metrics; from preconfiguration. */
ngx_int_t ngx_http_pulse_gateway_claim_init(ngx_conf_t *cf);
ngx_int_t ngx_http_pulse_gateway_keep_init(ngx_conf_t *cf);

/* Makes ctx->claim if the request has a key; NGX_DECLINED and "*rc" is of the
 * answer that was sent if it cannot be one. */
ngx_int_t ngx_http_pulse_gateway_claim_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t *rc);

/* Asks what became of the key: answers with that, or goes on to reserve; owns
 * the request. */
void ngx_http_pulse_gateway_claim_find(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Takes the key for what was reserved, and starts; owns the request. */
void ngx_http_pulse_gateway_claim_take(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* The meter refused: NGX_OK if the key is looked at first, NGX_DECLINED if it
 * was before. */
ngx_int_t ngx_http_pulse_gateway_claim_refused(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

void ngx_http_pulse_gateway_claim_free(ngx_http_pulse_claim_t *claim);

/* 1 if the answer is made for a later request too: a client that leaves does
 * not end it. */
#define ngx_http_pulse_gateway_lasts(ctx)                                     \
    ((ctx)->claim && (ctx)->claim->taken && !(ctx)->chat.stream)

/* Notes what goes to the client; with the last byte of what was charged it is
 * sent to the store. */
void ngx_http_pulse_gateway_keep_header(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
void ngx_http_pulse_gateway_keep_body(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_chain_t *in);

/* Answers with a row of type idempotency_reply that has an answer; as
 * ngx_http_pulse_reply(). */
ngx_int_t ngx_http_pulse_gateway_keep_reply(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_pg_result_t *res);


/* --- dialects (ngx_http_pulse_gateway_dialect.c) --- */

/* The one with this name, or NGX_PULSE_DIALECTS; its functions. */
ngx_uint_t ngx_http_pulse_gateway_dialect_find(const ngx_str_t *name);
ngx_pulse_dialect_t *ngx_http_pulse_gateway_dialect(ngx_uint_t dialect);

/* Of the clients of a location, by the NGX_HTTP_PULSE_* of its record. */
ngx_uint_t ngx_http_pulse_gateway_dialect_of(ngx_uint_t family);

/* Reads a request that is not in the dialect of OpenAI; results as those of
 * ngx_pulse_openai_read(). */
ngx_int_t ngx_http_pulse_gateway_dialect_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal);

/* How the current candidate is asked: ctx->spoken and ctx->mode. */
void ngx_http_pulse_gateway_dialect_choose(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* The endpoint of the candidate, behind its path. */
ngx_int_t ngx_http_pulse_gateway_dialect_endpoint(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *endpoint);

/* The body for it; NGX_OK, NGX_DECLINED with ctx->refusal, NGX_ERROR. */
ngx_int_t ngx_http_pulse_gateway_dialect_write(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b);

/* The same in pieces of the client's body where that is possible, else
 * NGX_DECLINED. */
ngx_int_t ngx_http_pulse_gateway_dialect_pieces(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_openai_pieces_t *pieces,
    ngx_pulse_buf_t *b);


/* --- translation of answers (ngx_http_pulse_gateway_translate.c) --- */

/* Before the first event of a stream. */
ngx_int_t ngx_http_pulse_gateway_translate_init(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* One event of the provider; as ngx_http_pulse_gateway_event(). */
ngx_int_t ngx_http_pulse_gateway_translate_event(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_sse_event_t *ev);

/* The provider's stream is over. */
ngx_int_t ngx_http_pulse_gateway_translate_end(
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Ends the client's stream: whole, or at the grant. */
ngx_int_t ngx_http_pulse_gateway_translate_finish(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_uint_t finish);

/* Ends it with an error of ours; "details" as of ngx_http_pulse_error(). */
ngx_int_t ngx_http_pulse_gateway_translate_error(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_http_pulse_code_e code,
    const ngx_str_t *details);

/* Reads a whole answer: NGX_OK if it can be used. */
ngx_int_t ngx_http_pulse_gateway_translate_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Writes it in the client's dialect. */
ngx_int_t ngx_http_pulse_gateway_translate_answer(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b);

/* X-Pulse-Warning, if anything was left out; its value, or an empty one. */
ngx_int_t ngx_http_pulse_gateway_warning(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
ngx_int_t ngx_http_pulse_gateway_warning_text(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *text);


/* --- embeddings (ngx_http_pulse_gateway_embedding.c) --- */

/* Reads a request for them; results as of ngx_pulse_openai_read(). */
ngx_int_t ngx_http_pulse_gateway_embedding_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal);

/* As the functions of dialects above. */
void ngx_http_pulse_gateway_embedding_choose(
    ngx_http_pulse_gateway_ctx_t *ctx);
ngx_int_t ngx_http_pulse_gateway_embedding_write(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b);

/* Looks at a whole answer: NGX_OK if it can be used.  What the client gets
 * is then in ctx->edited, or, if that is empty, the body as it came. */
ngx_int_t ngx_http_pulse_gateway_embedding_answer(
    ngx_http_pulse_gateway_ctx_t *ctx);


/* --- balancer (ngx_http_pulse_gateway_peer.c) --- */

ngx_int_t ngx_http_pulse_gateway_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);


/* No other candidate of the current one's provider is asked. */
void ngx_http_pulse_gateway_forget(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);


/* --- hops (ngx_http_pulse_gateway_hop.c) --- */

/* $pulse_hops; from preconfiguration. */
ngx_int_t ngx_http_pulse_gateway_hop_init(ngx_conf_t *cf);

/* The current candidate is asked; what came of it, a static word, of which
 * the first counts. */
void ngx_http_pulse_gateway_hop(ngx_http_pulse_gateway_ctx_t *ctx);
void ngx_http_pulse_gateway_hop_end(ngx_http_pulse_gateway_ctx_t *ctx,
    const char *outcome);

/* 1 if something came of the one asked last. */
ngx_uint_t ngx_http_pulse_gateway_hop_over(ngx_http_pulse_gateway_ctx_t *ctx);

/* X-Pulse-Hops, if any are over. */
ngx_int_t ngx_http_pulse_gateway_hop_header(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);


/* --- health of providers (ngx_http_pulse_gateway_health.c) --- */

typedef enum {
    NGX_HTTP_PULSE_GATEWAY_WORKS = 0,
    NGX_HTTP_PULSE_GATEWAY_BREAKS,
    NGX_HTTP_PULSE_GATEWAY_OWED,            /* money is, or the key is bad */
    NGX_HTTP_PULSE_GATEWAY_NOTHING          /* can be said of it */
} ngx_http_pulse_gateway_report_e;

#define ngx_http_pulse_gateway_shpool(r)                                      \
    ((ngx_slab_pool_t *) ((ngx_http_pulse_gateway_main_conf_t *)              \
        ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module))      \
            ->zone->shm.addr)

ngx_int_t ngx_http_pulse_gateway_health_zone(ngx_conf_t *cf,
    ngx_http_pulse_gateway_main_conf_t *gmcf);

/* NGX_OK if the current candidate may be asked, NGX_BUSY if not now. */
ngx_int_t ngx_http_pulse_gateway_admit(ngx_http_pulse_gateway_ctx_t *ctx);

/* How the provider of the current candidate did. */
void ngx_http_pulse_gateway_report(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_http_pulse_gateway_report_e report);

/* It is not asked before what it said in Retry-After, if it did. */
void ngx_http_pulse_gateway_hold(ngx_http_pulse_gateway_ctx_t *ctx);


/* --- answer: the provider's (ngx_http_pulse_gateway_response.c) --- */

/* Forgets what an earlier candidate said. */
void ngx_http_pulse_gateway_reset(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

ngx_int_t ngx_http_pulse_gateway_filter_init(void *data);
ngx_int_t ngx_http_pulse_gateway_filter(void *data, ssize_t bytes);

/*
 * Takes a part of the body.  NGX_DONE at its end, NGX_AGAIN if more is to
 * come, NGX_ERROR if it makes no sense, NGX_ABORT without memory.
 */
ngx_int_t ngx_http_pulse_gateway_body(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_buf_t *b);


/* --- what it means (ngx_http_pulse_gateway_verdict.c) --- */

/* An answer that was collected, into ctx->code. */
void ngx_http_pulse_gateway_verdict(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* The same of an error event that is all of a stream. */
void ngx_http_pulse_gateway_event_error(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Stars what is of us in the words of the current candidate's provider
 * (ngx_pulse_redact()): whatever of its errors may reach the client. */
void ngx_http_pulse_gateway_redact(ngx_http_pulse_gateway_ctx_t *ctx,
    u_char *p, size_t len);


/* --- answer: a stream (ngx_http_pulse_gateway_stream.c) --- */

/*
 * The provider's header is here.  Its events are read as part of the header
 * until one bears output, so that another candidate can be asked until then.
 */
ngx_int_t ngx_http_pulse_gateway_stream(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Forgets what came of another candidate. */
void ngx_http_pulse_gateway_stream_reset(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Type and such of the answer. */
ngx_int_t ngx_http_pulse_gateway_stream_type(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Output is appended to what is there already. */
void ngx_http_pulse_gateway_append(ngx_http_pulse_gateway_ctx_t *ctx);

/* Bytes of it; results as of ngx_http_pulse_gateway_body(). */
ngx_int_t ngx_http_pulse_gateway_feed(ngx_http_pulse_gateway_ctx_t *ctx,
    u_char *p, size_t len);

ngx_int_t ngx_http_pulse_gateway_event(void *data, ngx_pulse_sse_event_t *ev);

/* An event bore output, which is counted: NGX_OK, or NGX_DONE if it is more
 * than was granted. */
ngx_int_t ngx_http_pulse_gateway_delta(ngx_http_pulse_gateway_ctx_t *ctx);

/* What the output may come to: the limit that was asked for, and no more than
 * the prompt left of the grant, where the provider has said what that was. */
uint64_t ngx_http_pulse_gateway_most(ngx_http_pulse_gateway_ctx_t *ctx);

/* The grant is used up and the provider goes on: the stream ends here. */
ngx_int_t ngx_http_pulse_gateway_cut(ngx_http_pulse_gateway_ctx_t *ctx);

/* The last event is here. */
void ngx_http_pulse_gateway_done(ngx_http_pulse_gateway_ctx_t *ctx);

/* Ends it as the provider would have; "finish" is NGX_PULSE_FINISH_STOP or
 * NGX_PULSE_FINISH_LENGTH. */
ngx_int_t ngx_http_pulse_gateway_finish(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_uint_t finish);

/* Appends to what goes to the client; NGX_ABORT without memory. */
ngx_int_t ngx_http_pulse_gateway_output(ngx_http_pulse_gateway_ctx_t *ctx,
    const u_char *p, size_t len);


/* --- clients that leave (ngx_http_pulse_gateway_client.c) --- */

/* The provider to be asked now is drained: we watch, instead of nginx. */
void ngx_http_pulse_gateway_client_watch(ngx_http_request_t *r);

/* The client is gone: NGX_OK if the provider is read to its end, NGX_DECLINED
 * if the request is to be ended. */
ngx_int_t ngx_http_pulse_gateway_drain(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* Ends a request whose client is gone while its upstream is at work; posted
 * requests are to be run after it. */
void ngx_http_pulse_gateway_leave(ngx_http_request_t *r);

#define ngx_http_pulse_gateway_drain_max(ctx)                                 \
    ((ctx)->route.elts[(ctx)->candidate].provider->drain_max)

/* In front of the filter "next". */
ngx_int_t ngx_http_pulse_gateway_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in, ngx_http_output_body_filter_pt next);


/* --- answer: its end (ngx_http_pulse_gateway_finish.c) --- */

void ngx_http_pulse_gateway_finalize(ngx_http_request_t *r, ngx_int_t rc);

/* Closes the books on the request, once. */
void ngx_http_pulse_gateway_settle(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* X-Pulse-*, X-Usage-* and the like; those that no provider has a part in. */
ngx_int_t ngx_http_pulse_gateway_headers(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
ngx_int_t ngx_http_pulse_gateway_headers_common(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);


/* --- timers (ngx_http_pulse_gateway_timer.c) --- */

void ngx_http_pulse_gateway_timers_start(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
void ngx_http_pulse_gateway_timers_stop(ngx_http_pulse_gateway_ctx_t *ctx);

/* The time of the current candidate begins. */
void ngx_http_pulse_gateway_total(ngx_http_pulse_gateway_ctx_t *ctx);

/* Its first token is here. */
void ngx_http_pulse_gateway_began(ngx_http_pulse_gateway_ctx_t *ctx);


/* --- metrics (ngx_http_pulse_gateway_metric.c) --- */

typedef enum {
    NGX_HTTP_PULSE_GATEWAY_SERVED = 0,
    NGX_HTTP_PULSE_GATEWAY_REFUSED,         /* the request, by the provider */
    NGX_HTTP_PULSE_GATEWAY_FAILED,
    NGX_HTTP_PULSE_GATEWAY_CUT,             /* within the answer */
    NGX_HTTP_PULSE_GATEWAY_GONE,            /* the client was */
    NGX_HTTP_PULSE_GATEWAY_NOUTCOMES
} ngx_http_pulse_gateway_outcome_e;


/* Registers them; from preconfiguration. */
ngx_int_t ngx_http_pulse_gateway_metrics(ngx_conf_t *cf);

/* The row of a provider in them; taken for good when it is asked for first,
 * the last one, "other", is of all that come too late. */
ngx_uint_t ngx_http_pulse_gateway_row(const ngx_str_t *provider);

void ngx_http_pulse_gateway_count(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_http_pulse_gateway_outcome_e outcome);

/* What is added to the breakers of a provider that are open and half open. */
void ngx_http_pulse_gateway_count_breaker(ngx_http_pulse_provider_t *provider,
    ngx_int_t open, ngx_int_t half);
void ngx_http_pulse_gateway_count_tokens(ngx_http_pulse_record_t *record);
void ngx_http_pulse_gateway_first_token(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);

/* ms since the request came. */
ngx_msec_t ngx_http_pulse_gateway_elapsed(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_pulse_gateway_module;


#endif /* _NGX_HTTP_PULSE_GATEWAY_H_INCLUDED_ */
