
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include "ngx_pulse_moderation_question.h"
#include "pulse_call.h"
#include "pulse_log.h"
#include "pulse_media_conf.h"
#include "pulse_moderate_fetch.h"


#define PULSE_MODERATE_FETCH_TIMEOUT  10                /* s */
#define PULSE_MODERATE_FETCH_PAUSE    5                 /* s, after a failure */
#define PULSE_MODERATE_FETCH_ANSWER   (1024 * 1024)
#define PULSE_MODERATE_FETCH_MODEL    "omni-moderation-latest"


static pulse_moderate_e pulse_moderate_fetch_texts(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *names);
static pulse_moderate_e pulse_moderate_fetch_image(pulse_http_request_t *r,
    const pulse_moderate_image_t *image, ngx_pulse_buf_t *names);
static ngx_int_t pulse_moderate_fetch_data(ngx_pulse_buf_t *body,
    const ngx_str_t *data);
static pulse_moderate_e pulse_moderate_fetch_file(pulse_http_request_t *r,
    ngx_pulse_buf_t *body, const char *path, ngx_pulse_buf_t *names);
static pulse_moderate_e pulse_moderate_fetch_call(pulse_http_request_t *r,
    const ngx_pulse_buf_t *body, pulse_pieces_t *pieces, ngx_uint_t picture,
    ngx_uint_t inputs, ngx_pulse_buf_t *names);
static pulse_moderate_e pulse_moderate_fetch_judge(pulse_http_request_t *r,
    pulse_call_t *call, ngx_uint_t picture, const ngx_pulse_buf_t *answer,
    ngx_uint_t inputs, ngx_pulse_buf_t *names);
static ngx_int_t pulse_moderate_fetch_write(void *ctx, const u_char *p,
    size_t len);
static ngx_uint_t pulse_moderate_fetch_paused(void);
static void pulse_moderate_fetch_told(const pulse_call_t *call,
    ngx_uint_t works);


static const char  pulse_moderate_fetch_tail[] = "\"}}]}";

static unsigned         pulse_moderate_fetch_seconds =
    PULSE_MODERATE_FETCH_TIMEOUT;

/* when it may be asked again, 0 if it answers */

static pthread_mutex_t  pulse_moderate_fetch_mutex =
    PTHREAD_MUTEX_INITIALIZER;
static time_t           pulse_moderate_fetch_until;


void
pulse_moderate_fetch_timeout(unsigned seconds)
{
    pulse_moderate_fetch_seconds = seconds;
}


pulse_moderate_e
pulse_moderate_fetch(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *names)
{
    ngx_uint_t        i;
    pulse_moderate_e  verdict;

    verdict = pulse_moderate_fetch_texts(r, input, names);

    for (i = 0; verdict == PULSE_MODERATE_PASSES && i < input->nimages; i++) {
        verdict = pulse_moderate_fetch_image(r, &input->images[i], names);
    }

    return verdict;
}


static pulse_moderate_e
pulse_moderate_fetch_texts(pulse_http_request_t *r,
    const pulse_moderate_input_t *input, ngx_pulse_buf_t *names)
{
    ngx_uint_t                        i;
    ngx_pulse_buf_t                   body;
    pulse_moderate_e                  verdict;
    ngx_pulse_moderation_question_t  *q;

    static ngx_str_t  model = ngx_string(PULSE_MODERATE_FETCH_MODEL);

    /* with its buffer it is of the pool, which outlives this */

    q = ngx_palloc(r->pool, sizeof(ngx_pulse_moderation_question_t));

    if (q == NULL || ngx_pulse_moderation_question(q, r->pool) != NGX_OK) {
        return PULSE_MODERATE_ERROR;
    }

    for (i = 0; i < input->ntexts; i++) {
        ngx_pulse_moderation_question_add(q, &input->texts[i]);
    }

    ngx_pulse_buf_init(&body, 0);

    verdict = q->text.failed ? PULSE_MODERATE_ERROR : PULSE_MODERATE_PASSES;

    while (verdict == PULSE_MODERATE_PASSES
           && ngx_pulse_moderation_question_write(q, &model, &body) == NGX_OK)
    {
        verdict = pulse_moderate_fetch_call(r, &body, NULL, 0, q->inputs,
                                            names);
        body.len = 0;
    }

    ngx_pulse_buf_free(&body);

    return verdict;
}


static pulse_moderate_e
pulse_moderate_fetch_image(pulse_http_request_t *r,
    const pulse_moderate_image_t *image, ngx_pulse_buf_t *names)
{
    ngx_pulse_buf_t   body;
    pulse_moderate_e  verdict;

    ngx_pulse_buf_init(&body, 0);

    ngx_pulse_buf_literal(&body, "{\"model\":\""
                          PULSE_MODERATE_FETCH_MODEL "\",\"input\":["
                          "{\"type\":\"image_url\",\"image_url\":{\"url\":"
                          "\"data:");
    ngx_pulse_buf_append(&body, (const u_char *) image->type,
                         strlen(image->type));
    ngx_pulse_buf_literal(&body, ";base64,");

    if (image->data.len == 0) {
        verdict = pulse_moderate_fetch_file(r, &body, image->path, names);

    } else if (pulse_moderate_fetch_data(&body, &image->data) == NGX_OK) {
        verdict = pulse_moderate_fetch_call(r, &body, NULL, 1, 1, names);

    } else {
        verdict = PULSE_MODERATE_ERROR;
    }

    ngx_pulse_buf_free(&body);

    return verdict;
}


static ngx_int_t
pulse_moderate_fetch_data(ngx_pulse_buf_t *body, const ngx_str_t *data)
{
    u_char  *p;

    /* it ends what it encodes with a NUL */

    p = ngx_pulse_buf_reserve(body, (data->len + 2) / 3 * 4 + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->len += EVP_EncodeBlock(p, data->data, (int) data->len);
    ngx_pulse_buf_literal(body, pulse_moderate_fetch_tail);

    return body->failed ? NGX_ERROR : NGX_OK;
}


/* A file is sent as it is read. */

static pulse_moderate_e
pulse_moderate_fetch_file(pulse_http_request_t *r, ngx_pulse_buf_t *body,
    const char *path, ngx_pulse_buf_t *names)
{
    int                fd;
    struct stat        sb;
    pulse_pieces_t    *pieces;
    pulse_moderate_e   verdict;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return PULSE_MODERATE_ERROR;
    }

    verdict = PULSE_MODERATE_ERROR;
    pieces = ngx_palloc(r->pool, sizeof(pulse_pieces_t));

    if (pieces && !body->failed && fstat(fd, &sb) == 0) {
        pulse_pieces_init(pieces);
        pulse_pieces_text(pieces, body->data, body->len);
        pulse_pieces_file(pieces, fd, sb.st_size, 1);
        pulse_pieces_literal(pieces, pulse_moderate_fetch_tail);

        verdict = pulse_moderate_fetch_call(r, body, pieces, 1, 1, names);
    }

    close(fd);

    return verdict;
}


static pulse_moderate_e
pulse_moderate_fetch_call(pulse_http_request_t *r,
    const ngx_pulse_buf_t *body, pulse_pieces_t *pieces, ngx_uint_t picture,
    ngx_uint_t inputs, ngx_pulse_buf_t *names)
{
    pulse_call_t                   call;
    ngx_pulse_buf_t                answer, url, key;
    pulse_moderate_e               verdict;
    const pulse_media_provider_t  *provider;

    provider = pulse_media_provider("openai");

    if (provider == NULL || provider->key == NULL
        || pulse_moderate_fetch_paused())
    {
        return PULSE_MODERATE_DOWN;
    }

    ngx_pulse_buf_init(&answer, 0);
    ngx_pulse_buf_init(&url, 0);
    ngx_pulse_buf_init(&key, 0);

    ngx_pulse_buf_append(&url, (const u_char *) provider->base,
                         strlen(provider->base));
    ngx_pulse_buf_append(&url, (const u_char *) "/moderations",
                         sizeof("/moderations"));

    ngx_pulse_buf_literal(&key, "Authorization: Bearer ");
    ngx_pulse_buf_append(&key, (const u_char *) provider->key,
                         strlen(provider->key) + 1);

    verdict = PULSE_MODERATE_ERROR;

    if (!body->failed && !url.failed && !key.failed) {
        memset(&call, 0, sizeof(pulse_call_t));

        call.method = "POST";
        call.url = (char *) url.data;
        call.credential = (char *) key.data;
        call.type = "application/json";
        call.body.data = body->data;
        call.body.len = body->len;
        call.pieces = pieces;
        call.loopback = pulse_call_is_loopback(provider->host);
        call.timeout = pulse_moderate_fetch_seconds;
        call.max = PULSE_MODERATE_FETCH_ANSWER;
        call.write = pulse_moderate_fetch_write;
        call.ctx = &answer;

        verdict = pulse_moderate_fetch_judge(r, &call, picture, &answer,
                                             inputs, names);
    }

    ngx_pulse_buf_free(&answer);
    ngx_pulse_buf_free(&url);
    ngx_pulse_buf_free(&key);

    return verdict;
}


/* What is no good for the endpoint must not come past it: a picture that it
 * cannot read is refused, whatever "down" says. */

static pulse_moderate_e
pulse_moderate_fetch_judge(pulse_http_request_t *r, pulse_call_t *call,
    ngx_uint_t picture, const ngx_pulse_buf_t *answer, ngx_uint_t inputs,
    ngx_pulse_buf_t *names)
{
    ngx_int_t         rc;
    pulse_moderate_e  verdict;

    verdict = PULSE_MODERATE_DOWN;

    if (pulse_call(call) == NGX_OK) {

        if (call->status == 200) {
            rc = ngx_pulse_moderation_answer(r->pool, answer->data,
                                             answer->len, inputs, names);

            verdict = (rc == NGX_OK) ? PULSE_MODERATE_PASSES
                      : (rc == NGX_DECLINED) ? PULSE_MODERATE_FLAGGED
                                             : PULSE_MODERATE_DOWN;

        } else if (picture
                   && (call->status == 400 || call->status == 413
                       || call->status == 415 || call->status == 422))
        {
            verdict = PULSE_MODERATE_UNFIT;
        }
    }

    pulse_moderate_fetch_told(call, verdict != PULSE_MODERATE_DOWN);

    return verdict;
}


static ngx_int_t
pulse_moderate_fetch_write(void *ctx, const u_char *p, size_t len)
{
    ngx_pulse_buf_t *answer = ctx;

    ngx_pulse_buf_append(answer, p, len);

    return answer->failed ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
pulse_moderate_fetch_paused(void)
{
    ngx_uint_t  paused;

    pthread_mutex_lock(&pulse_moderate_fetch_mutex);
    paused = (time(NULL) < pulse_moderate_fetch_until);
    pthread_mutex_unlock(&pulse_moderate_fetch_mutex);

    return paused;
}


/* An outage has two lines, whatever number of requests it meets. */

static void
pulse_moderate_fetch_told(const pulse_call_t *call, ngx_uint_t works)
{
    time_t  was;

    pthread_mutex_lock(&pulse_moderate_fetch_mutex);

    was = pulse_moderate_fetch_until;
    pulse_moderate_fetch_until = works
                                 ? 0
                                 : time(NULL) + PULSE_MODERATE_FETCH_PAUSE;

    pthread_mutex_unlock(&pulse_moderate_fetch_mutex);

    if (!works && was == 0) {
        pulse_log(PULSE_LOG_ERR, "pulse moderation: the provider gives no"
                  " verdict: status %ld %s", call->status, call->error);

    } else if (works && was) {
        pulse_log(PULSE_LOG_NOTICE, "pulse moderation: the provider answers"
                  " again");
    }
}
