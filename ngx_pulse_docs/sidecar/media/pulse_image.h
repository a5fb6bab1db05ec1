
#ifndef _PULSE_IMAGE_H_INCLUDED_
#define _PULSE_IMAGE_H_INCLUDED_


#include <curl/curl.h>
#include "pulse_base64.h"
#include "pulse_json_stream.h"
#include "pulse_media_conf.h"
#include "pulse_pieces.h"
#include "pulse_shelf.h"


/*
 * Pictures that providers make.  A run is one request of a person's: it asks
 * a model, by one call or several at the same time, and another model if
 * nothing at all came of the first.  A call is one exchange with a provider,
 * which may take several requests of HTTP.
 */

#define PULSE_IMAGE_MAX     10          /* pictures of a run */
#define PULSE_IMAGE_INPUTS  16
#define PULSE_IMAGE_BYTES   (64 * 1024 * 1024)      /* of a picture */
#define PULSE_IMAGE_TEXT    256         /* of what a provider says */
#define PULSE_IMAGE_URI     2048
#define PULSE_IMAGE_URIS    4
#define PULSE_IMAGE_TIMEOUT 240         /* s of a run */


typedef struct pulse_image_run_s   pulse_image_run_t;
typedef struct pulse_image_call_s  pulse_image_call_t;


/* Files with their first byte at offset 0, which stay open. */

typedef struct {
    int                        fd;
    size_t                     size;
    const char                *type;    /* by its content */
} pulse_image_input_t;


typedef struct {
    const pulse_media_model_t *model;
    ngx_str_t                  prompt;
    ngx_str_t                  negative;    /* len 0: none */
    ngx_str_t                  spoken;      /* both, in words */
    ngx_uint_t                 count;
    ngx_uint_t                 width;       /* 0: as the model likes */
    ngx_uint_t                 height;
    ngx_str_t                  quality;     /* these: len 0 if not said */
    ngx_str_t                  background;
    ngx_str_t                  format;      /* "png", "jpeg", "webp" */
    ngx_str_t                  moderation;
    ngx_str_t                  fidelity;
    ngx_int_t                  compression; /* -1: not said */
    pulse_image_input_t        inputs[PULSE_IMAGE_INPUTS];
    ngx_uint_t                 ninputs;
    pulse_image_input_t        mask;        /* fd -1: none */
} pulse_image_wish_t;


/* Why nothing came, the gravest last. */

typedef enum {
    pulse_image_fine = 0,
    pulse_image_none,                   /* it made no picture */
    pulse_image_down,                   /* no answer, or a useless one */
    pulse_image_busy,                   /* 429, 503: later */
    pulse_image_unpaid,                 /* our key or credit, not to be tried
                                         * again */
    pulse_image_refused,                /* what was asked cannot be done */
    pulse_image_flagged                 /* against the provider's rules */
} pulse_image_fault_e;


/* One that came, or is coming. */

typedef struct {
    u_char                     id[PULSE_SHELF_ID + 1];
    int                        fd;
    size_t                     size;
    const char                *type;
    ngx_uint_t                 width;
    ngx_uint_t                 height;
    u_char                     thumbnail[PULSE_SHELF_ID + 1];   /* or "" */
    size_t                     thumbnail_size;
    ngx_uint_t                 thumbnail_width;
    ngx_uint_t                 thumbnail_height;
    unsigned                   whole:1;
} pulse_image_t;


typedef struct {
    uint64_t                   input;
    uint64_t                   output;
    uint64_t                   input_text;
    uint64_t                   input_image;
    uint64_t                   output_text;
    uint64_t                   output_image;
    unsigned                   known:1;
} pulse_image_usage_t;


/* How a provider is spoken to. */

typedef struct {
    const char           *name;

    /* Writes the request of call->step: address, headers, pieces.  NGX_ERROR:
     * no memory. */
    ngx_int_t           (*write)(pulse_image_call_t *call);

    /* of its answer; what is passed is base64, or with call->uri a URI */
    pulse_json_want_e   (*wanted)(pulse_image_call_t *call, const char *path);
    void                (*value)(pulse_image_call_t *call, const char *path,
                                 const ngx_str_t *text);

    /* The answer was whole and good: NGX_OK if that is all, NGX_AGAIN if
     * another request follows, after call->delay ms. */
    ngx_int_t           (*answered)(pulse_image_call_t *call);
} pulse_image_provider_t;


struct pulse_image_call_s {
    pulse_image_run_t     *run;
    ngx_uint_t             wanted;      /* pictures */
    ngx_uint_t             step;
    ngx_uint_t             tries;
    int64_t                begin;       /* ms; not before */
    int64_t                delay;
    pulse_image_fault_e    fault;
    char                   message[PULSE_IMAGE_TEXT];
    char                   code[PULSE_IMAGE_TEXT];
    ngx_uint_t             after;       /* s, 0: it did not say */
    pulse_image_usage_t    usage;

    /* a request */

    CURL                  *easy;
    struct curl_slist     *headers;
    ngx_pulse_buf_t        url;
    ngx_pulse_buf_t        text;        /* that is being written */
    pulse_pieces_t         body;        /* n 0: it is a GET */
    unsigned               get:1;
    unsigned               raw:1;       /* the answer is a picture */
    unsigned               elsewhere:1; /* not at the provider's own host */

    /* its answer */

    long                   status;
    pulse_json_stream_t    json;
    pulse_base64_t         base64;
    size_t                 got;
    unsigned               uri:1;       /* what is passed is one */
    unsigned               inside:1;    /* its data have begun */
    unsigned               broken:1;
    unsigned               done:1;
    size_t                 uri_len;
    char                   uri_text[PULSE_IMAGE_URI];
    pulse_image_t          drafts[PULSE_IMAGE_MAX];
    ngx_uint_t             ndrafts;

    /* of a provider */

    ngx_int_t              part;        /* of Gemini's answer */
    ngx_int_t              thought;
    char                   id[64];      /* of a prediction */
    char                   state[32];
    char                  *uris[PULSE_IMAGE_URIS];
    ngx_uint_t             nuris;
};


struct pulse_image_run_s {
    ngx_pool_t                    *pool;
    const char                    *trace;
    const pulse_image_wish_t      *wish;

    /* Takes one that is checked and on the shelf; NGX_ERROR: it cannot be
     * kept, and no more are wanted. */
    ngx_int_t                    (*came)(pulse_image_run_t *run,
                                         pulse_image_t *image);
    void                          *ctx;

    const pulse_media_model_t     *model;       /* that was asked last */
    const pulse_image_provider_t  *provider;
    pulse_image_t                  images[PULSE_IMAGE_MAX];
    ngx_uint_t                     n;
    pulse_image_usage_t            usage;
    pulse_image_fault_e            fault;       /* of what did not come */
    char                           message[PULSE_IMAGE_TEXT];
    ngx_uint_t                     after;

    CURLM                         *multi;
    pulse_image_call_t            *calls;
    ngx_uint_t                     ncalls;
    int64_t                        deadline;    /* ms */
    unsigned                       last:1;      /* no other model is left */
    unsigned                       broken:1;    /* nothing can be kept */
};


/* --- a run (pulse_image_run.c) --- */

/* Asks until all came or nothing more can: run->n pictures, and if these are
 * fewer than wanted, run->fault.  Blocks for minutes. */
void pulse_image_run(pulse_image_run_t *run);

/* Closes the files of those that came. */
void pulse_image_close(pulse_image_run_t *run);

/* How long a run may take, seconds; before the start. */
void pulse_image_timeout(ngx_uint_t seconds);

/* Has all runs end soon, as if nobody answered. */
void pulse_image_stop(void);

/* Milliseconds of a clock that only goes forward. */
int64_t pulse_image_now(void);


/* --- a call (pulse_image_call.c) --- */

ngx_int_t pulse_image_call_init(pulse_image_call_t *call,
    pulse_image_run_t *run, ngx_uint_t wanted);

/* Writes and sends the request of call->step. */
ngx_int_t pulse_image_call_send(pulse_image_call_t *call);

/* The answer is over: NGX_OK if the call is, else it goes on at
 * call->begin. */
ngx_int_t pulse_image_call_ended(pulse_image_call_t *call, CURLcode code);

/* Ends it as it is. */
void pulse_image_call_abort(pulse_image_call_t *call, const char *why);

void pulse_image_call_free(pulse_image_call_t *call);


/* for providers: a header, a piece of text (call->text, which is empty
 * afterwards), a file as it is or in base64 */

ngx_int_t pulse_image_header(pulse_image_call_t *call, const char *name,
    const char *value);
void pulse_image_piece(pulse_image_call_t *call);
void pulse_image_file(pulse_image_call_t *call,
    const pulse_image_input_t *input, ngx_uint_t base64);
void pulse_image_say(pulse_image_call_t *call, const char *text);

/* What went wrong; the first that is said stays. */
void pulse_image_fault(pulse_image_call_t *call, pulse_image_fault_e fault,
    const ngx_str_t *message);

/* "text" as a number, 0 if it is none. */
uint64_t pulse_image_number(const ngx_str_t *text);

/* 1 if the text is this. */
ngx_uint_t pulse_image_is(const ngx_str_t *text, const char *other);


extern const pulse_image_provider_t  pulse_image_openai;
extern const pulse_image_provider_t  pulse_image_gemini;
extern const pulse_image_provider_t  pulse_image_replicate;


#endif /* _PULSE_IMAGE_H_INCLUDED_ */
