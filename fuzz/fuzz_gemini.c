
#include "unit.h"
#include "ngx_pulse_gemini.h"
#include "ngx_pulse_sse.h"


/*
 * The first byte chooses: a request, which written again must be read and
 * written the same; a stream or a whole answer, of which our own writers must
 * make what our reader takes; an error.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_request(u_char *text, size_t len, ngx_uint_t levels);
static void fuzz_edits(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body);
static void fuzz_answer(u_char *text, size_t len, ngx_uint_t stream);
static ngx_int_t fuzz_sse(void *ctx, ngx_pulse_sse_event_t *ev);
static ngx_int_t fuzz_event(void *ctx, ngx_pulse_answer_event_t *ev);
static ngx_int_t fuzz_again(void *ctx, ngx_pulse_answer_event_t *ev);
static void fuzz_error(u_char *text, size_t len);


typedef struct {
    ngx_pool_t                 *pool;
    void                       *reader;
    void                       *writer;
    ngx_pulse_collector_t       collector;
    ngx_pulse_conversation_t    cv;
    ngx_pulse_buf_t             out;
    ngx_uint_t                  done;
} fuzz_stream_t;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char  *text;

    if (size < 2) {
        return 0;
    }

    /* a block of its own, so that a read past its end is seen */

    text = malloc(size - 1);
    memcpy(text, data + 1, size - 1);

    switch (data[0] % 4) {

    case 0:
        fuzz_request(text, size - 1, data[0] & 4);
        break;

    case 1:
        fuzz_error(text, size - 1);
        break;

    default:
        fuzz_answer(text, size - 1, data[0] & 1);
    }

    free(text);

    return 0;
}


static void
fuzz_request(u_char *text, size_t len, ngx_uint_t levels)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_uint_t                 i;
    ngx_pulse_buf_t            b[2];
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    memset(&target, 0, sizeof(target));
    memset(&refusal, 0, sizeof(refusal));

    target.max_tokens = 3;
    target.sampling = 1;
    target.forced_choice = 1;
    target.https_images = 1;
    target.effort = 1;
    target.thinking_budget = !levels;
    target.thinking_off = 1;
    target.effort_none = 1;

    pool = unit_pool();
    body.data = text;
    body.len = len;

    ngx_pulse_buf_init(&b[0], 0);
    ngx_pulse_buf_init(&b[1], 0);

    for (i = 0; i < 2; i++) {
        rc = ngx_pulse_gemini_read(&cv, pool, &body, &refusal);

        if (rc == NGX_OK) {
            fuzz_edits(&cv, pool, &body);

            memset(&dropped, 0, sizeof(dropped));
            rc = ngx_pulse_gemini_write(&cv, &target, pool, &dropped,
                                        &refusal, &b[i]);
        }

        if (rc == NGX_DECLINED
            && (refusal.reason == NULL
                || memchr(refusal.pointer, 0, sizeof(refusal.pointer))
                   == NULL))
        {
            abort();
        }

        if (rc != NGX_OK) {

            if (i == 1) {
                abort();
            }

            break;
        }

        body.data = b[i].data;
        body.len = b[i].len;
    }

    if (i == 2
        && (b[0].len != b[1].len
            || memcmp(b[0].data, b[1].data, b[0].len) != 0))
    {
        abort();
    }

    ngx_pulse_buf_free(&b[0]);
    ngx_pulse_buf_free(&b[1]);
    ngx_destroy_pool(pool);
}


/* the body less what others signed is still one that can be read */

static void
fuzz_edits(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body)
{
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_edit_body(cv, body, 1, &b);

    limits.size = b.len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = b.len;
    limits.keys = b.len;

    if (b.failed
        || ngx_pulse_json_tree(pool, b.data, b.len, &limits, &err) == NULL)
    {
        abort();
    }

    ngx_pulse_buf_free(&b);
}


static void
fuzz_answer(u_char *text, size_t len, ngx_uint_t stream)
{
    ngx_int_t         rc;
    ngx_str_t         body;
    fuzz_stream_t     s;
    ngx_pulse_buf_t   b;
    ngx_pulse_sse_t   sse;

    memset(&s, 0, sizeof(s));

    s.pool = unit_pool();
    s.cv.pool = s.pool;
    s.reader = ngx_pcalloc(s.pool, ngx_pulse_dialect_gemini.reader_size);
    s.writer = ngx_pcalloc(s.pool, ngx_pulse_dialect_gemini.writer_size);

    ngx_pulse_buf_init(&s.out, 0);

    if (ngx_pulse_collector_init(&s.collector, s.pool, 0) != NGX_OK) {
        abort();
    }

    body.data = text;
    body.len = len;

    if (stream) {
        ngx_pulse_sse_init(&sse, 0, fuzz_sse, &s);
        rc = ngx_pulse_sse_feed(&sse, text, len);

        if (rc == NGX_OK) {
            rc = ngx_pulse_sse_finish(&sse);
        }

        if (rc == NGX_OK) {
            rc = ngx_pulse_gemini_read_end(s.reader, fuzz_event, &s);
        }

        ngx_pulse_sse_free(&sse);

    } else {
        rc = ngx_pulse_gemini_read_answer(s.pool, &body, fuzz_event, &s);
    }

    if (s.out.failed) {
        abort();
    }

    if (rc == NGX_OK && !s.collector.failed) {
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_gemini_write_answer(&s.collector, &s.cv, 0, &b);

        body.data = b.data;
        body.len = b.len;
        s.done = 0;

        if (ngx_pulse_gemini_read_answer(s.pool, &body, fuzz_again, &s)
            != NGX_OK
            || s.done != 1)
        {
            abort();
        }

        ngx_pulse_buf_free(&b);
    }

    ngx_pulse_buf_free(&s.out);
    ngx_destroy_pool(s.pool);
}


static ngx_int_t
fuzz_sse(void *ctx, ngx_pulse_sse_event_t *ev)
{
    fuzz_stream_t  *s = ctx;

    if (!ev->has_data) {
        return NGX_OK;
    }

    return unit_read_event(&ngx_pulse_dialect_gemini, s->reader, ev,
                           fuzz_event, s);
}


static ngx_int_t
fuzz_event(void *ctx, ngx_pulse_answer_event_t *ev)
{
    fuzz_stream_t  *s = ctx;

    ngx_pulse_gemini_write_event(s->writer, &s->cv, ev, &s->out);

    return ngx_pulse_collect(&s->collector, ev);
}


static ngx_int_t
fuzz_again(void *ctx, ngx_pulse_answer_event_t *ev)
{
    fuzz_stream_t  *s = ctx;

    s->done += (ev->type == NGX_PULSE_ANSWER_END);

    return NGX_OK;
}


static void
fuzz_error(u_char *text, size_t len)
{
    ngx_pool_t              *pool;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_chat_error_t   error;

    pool = unit_pool();

    if (ngx_pulse_gemini_read_error(&error, pool, text, len) == NGX_OK) {
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_gemini_write_error(&error, 503, &b);

        if (b.len < 1024 * 1024
            && ngx_pulse_json_tree(pool, b.data, b.len, NULL, &err) == NULL)
        {
            abort();
        }

        ngx_pulse_buf_free(&b);
    }

    ngx_destroy_pool(pool);
}
