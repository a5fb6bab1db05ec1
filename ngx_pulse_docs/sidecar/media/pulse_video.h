
#ifndef _PULSE_VIDEO_H_INCLUDED_
#define _PULSE_VIDEO_H_INCLUDED_


#include "ngx_pulse_json.h"
#include "pulse_base64.h"
#include "pulse_json_stream.h"
#include "pulse_media_conf.h"


/*
 * Providers of videos behind the same few functions.  They write requests and
 * read answers; what carries these, and when, is not theirs.  What they make
 * lives in the pool that they get; strings of a request are NUL terminated.
 */

#define PULSE_VIDEO_OPERATION  512      /* bytes of a provider's name of it */
#define PULSE_VIDEO_MEMBERS    256      /* of an answer that are kept */
#define PULSE_VIDEO_TAIL       256      /* bytes of a log that are */
#define PULSE_VIDEO_MAX        (256 * 1024 * 1024)      /* of a video */


/* What is to be made, as it was asked for. */

typedef struct {
    const char            *model;       /* the provider's name of it */
    ngx_str_t              prompt;
    ngx_str_t              negative;    /* or empty */
    ngx_str_t              ratio;       /* "16:9", or empty */
    ngx_str_t              resolution;  /* "1080p", or empty */
    ngx_uint_t             duration;    /* s; 0: as the provider likes */
    int64_t                seed;        /* -1: none */
    ngx_str_t              image;       /* in base64, or empty */
    const char            *image_type;
    ngx_str_t              callback;    /* URL of our webhook, or empty */
} pulse_video_order_t;


typedef struct {
    const char            *method;
    const char            *url;
    ngx_str_t              body;        /* JSON, or empty */
} pulse_video_request_t;


/* An answer, read as it comes: its members by their paths, and bytes that it
 * has in base64, which go to a file. */

typedef struct {
    ngx_str_t              path;
    ngx_str_t              value;
} pulse_video_member_t;

typedef struct {
    long                   status;      /* of HTTP; 200 of a webhook */
    pulse_video_member_t  *members;
    ngx_uint_t             n;
    char                   tail[PULSE_VIDEO_TAIL + 1];  /* of "logs" */
    size_t                 len;         /* bytes in the file; 0: none */
    int                    fd;
    ngx_uint_t             failed;      /* it cannot be written */

    /* of the reader */

    ngx_pool_t            *pool;
    pulse_json_stream_t    stream;
    pulse_base64_t         base64;
    size_t                 tail_len;
} pulse_video_answer_t;


typedef enum {
    pulse_video_running = 0,
    pulse_video_done,
    pulse_video_flagged,                /* the provider's rules refuse it */
    pulse_video_failed,
    pulse_video_unclear                 /* the answer says nothing of it */
} pulse_video_state_e;


/* What an answer says. */

typedef struct {
    pulse_video_state_e    state;
    ngx_str_t              operation;   /* of one that was begun */
    ngx_str_t              url;         /* of the result; empty: it came in
                                           the answer */
    ngx_int_t              progress;    /* percent, -1: not said */
} pulse_video_said_t;


/*
 * "hosts" is where results may be besides the base's own host, see
 * pulse_address_listed(), and "trusted" which of these get the credential too.
 * "credential" makes a header field, for which it may ask somebody: NGX_OK, or
 * NGX_ERROR with a line in the log.  "refused", which is NULL where it never
 * changes, is told of a field that was answered with 401: the next one is
 * another.  Writers return NGX_OK, or NGX_ERROR
 * without memory; "cancel" is NULL where nothing can be canceled.
 * "accept", which may be NULL, is asked once, before the start: NULL, or why
 * it cannot be used.
 */

typedef struct {
    const char            *name;        /* as in the catalogue */
    const char *const     *hosts;
    const char *const     *trusted;
    const char            *fields[2];   /* of the header of all requests */

    const char          *(*accept)(void);
    const char          *(*base)(void);
    ngx_int_t            (*credential)(ngx_pool_t *pool, const char **field);
    void                 (*refused)(const char *field);
    ngx_int_t            (*submit)(ngx_pool_t *pool,
                             const pulse_video_order_t *order,
                             pulse_video_request_t *request);
    ngx_int_t            (*poll)(ngx_pool_t *pool, const char *model,
                             const ngx_str_t *operation,
                             pulse_video_request_t *request);
    ngx_int_t            (*cancel)(ngx_pool_t *pool, const char *model,
                             const ngx_str_t *operation,
                             pulse_video_request_t *request);

    /* of an answer to a submission and to a poll, or of a webhook */

    void                 (*read)(const pulse_video_answer_t *answer,
                             ngx_pool_t *pool, pulse_video_said_t *said);
} pulse_video_provider_t;


extern const pulse_video_provider_t  pulse_video_replicate;
extern const pulse_video_provider_t  pulse_video_vertex;
extern const pulse_video_provider_t  pulse_video_interactions;

/* By its name in the catalogue, with a key; NULL: there is none. */
const pulse_video_provider_t *pulse_video_provider(const char *name);

/* Asks all that have a key what is wrong with their settings; NGX_ERROR with
 * a line in the log. */
ngx_int_t pulse_video_init(void);


/* --- what providers have in common (pulse_video_answer.c) --- */

/* Begins to read; bytes in base64, which are those of members whose path ends
 * with "bytesBase64Encoded" or "data", go to the file. */
void pulse_video_answer_init(pulse_video_answer_t *answer, ngx_pool_t *pool,
    int fd);

/* A piece of it, as pulse_call() has it. */
ngx_int_t pulse_video_answer_read(void *answer, const u_char *p, size_t len);

/* NGX_OK if a whole JSON text was read; frees what the reader had. */
ngx_int_t pulse_video_answer_end(pulse_video_answer_t *answer);

/* A member by its whole path; empty if there is none. */
ngx_str_t pulse_video_get(const pulse_video_answer_t *answer,
    const char *path);

/* The first member whose path ends so, after "above" and a point. */
ngx_str_t pulse_video_find(const pulse_video_answer_t *answer,
    const char *above, const char *name);

/* 1 if the text speaks of what is refused for its content. */
ngx_uint_t pulse_video_says_flagged(const ngx_str_t *text);

/* What a buffer holds as the pool's, NUL terminated; NULL: no memory.  The
 * buffer is empty then. */
const char *pulse_video_take(ngx_pool_t *pool, ngx_pulse_buf_t *b,
    size_t *len);

/* Appends ',"NAME":"VALUE"', of a value that is not empty. */
void pulse_video_member(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value);

/* 1 if an operation's name can stand in a path: letters, digits and what
 * is in "also". */
ngx_uint_t pulse_video_named(const ngx_str_t *operation, const char *also);


#endif /* _PULSE_VIDEO_H_INCLUDED_ */
