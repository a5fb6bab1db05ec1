
#include "unit.h"
#include "ngx_pulse_anthropic.h"
#include "ngx_pulse_sse.h"


/*
 * The first byte chooses: a request, which once written must be read again
 * and say the same when written anew; a stream or a whole answer, of which
 * the stream and the answer written for a client must be read again; an
 * error.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef struct {
    ngx_pool_t                     *pool;
    ngx_pulse_collector_t           collector;
    ngx_pulse_conversation_t        cv;
    ngx_pulse_buf_t                 out;
    ngx_pulse_anthropic_reader_t    reader;
    ngx_pulse_anthropic_writer_t    writer;
} fuzz_stream_t;


static void fuzz_request(u_char *text, size_t len, ngx_uint_t flags);
static void fuzz_edits(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body);
static void fuzz_answer(u_char *text, size_t len, ngx_uint_t stream);
static void fuzz_start(fuzz_stream_t *s);
static void fuzz_end(fuzz_stream_t *s);
static ngx_int_t fuzz_feed(fuzz_stream_t *s, u_char *text, size_t len);
static ngx_int_t fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev);
static ngx_int_t fuzz_said(void *ctx, ngx_pulse_answer_event_t *ev);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                  *text;
    ngx_pool_t              *pool;
    ngx_pulse_chat_error_t   error;

    if (size < 3) {
        return 0;
    }

    /* a block of its own, so that a read past its end is seen */

    text = malloc(size - 2);
    memcpy(text, data + 2, size - 2);

    switch (data[0] % 4) {

    case 0:
        fuzz_request(text, size - 2, data[1]);
        break;

    case 1:
        fuzz_answer(text, size - 2, 1);
        break;

    case 2:
        fuzz_answer(text, size - 2, 0);
        break;

    default:
        pool = unit_pool();
        (void) ngx_pulse_anthropic_read_error(&error, pool, text, size - 2);
        ngx_destroy_pool(pool);
    }

    free(text);

    return 0;
}


static void
fuzz_request(u_char *text, size_t len, ngx_uint_t flags)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b, again;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&again, 0);
    memset(&dropped, 0, sizeof(dropped));
    memset(&target, 0, sizeof(target));

    ngx_str_set(&target.model, "model");
    target.max_tokens = 3000;
    target.sampling = (flags & 1) != 0;
    target.forced_choice = (flags & 2) != 0;
    target.prefill = 1;
    target.effort = (flags & 4) != 0;
    target.thinking_budget = (flags & 8) != 0;
    target.thinking_off = (flags & 16) != 0;
    target.between_tools = (flags & 32) != 0;
    target.system_inside = (flags & 64) != 0;
    target.https_images = 1;

    body.data = text;
    body.len = len;

    rc = ngx_pulse_anthropic_read(&cv, pool, &body, &refusal);

    if (rc == NGX_OK) {
        fuzz_edits(&cv, pool, &body);

        rc = ngx_pulse_anthropic_write(&cv, &target, pool, &dropped, &refusal,
                                       &b);
    }

    if (rc != NGX_OK) {
        if (rc != NGX_DECLINED || refusal.reason == NULL
            || memchr(refusal.pointer, 0, sizeof(refusal.pointer)) == NULL)
        {
            abort();
        }

        goto done;
    }

    body.data = b.data;
    body.len = b.len;

    if (ngx_pulse_anthropic_read(&cv, pool, &body, &refusal) != NGX_OK
        || ngx_pulse_anthropic_write(&cv, &target, pool, &dropped, &refusal,
                                     &again)
           != NGX_OK
        || again.len != b.len || memcmp(again.data, b.data, b.len) != 0)
    {
        abort();
    }

done:

    ngx_pulse_buf_free(&again);
    ngx_pulse_buf_free(&b);
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
    ngx_int_t      rc;
    ngx_str_t      body;
    fuzz_stream_t  s, again;

    fuzz_start(&s);
    fuzz_start(&again);

    body.data = text;
    body.len = len;

    rc = stream ? fuzz_feed(&s, text, len)
                : ngx_pulse_anthropic_read_answer(s.pool, &body, fuzz_said,
                                                  &s);

    if (rc == NGX_OK
        && (s.out.failed || fuzz_feed(&again, s.out.data, s.out.len) != NGX_OK
            || again.collector.failed != s.collector.failed))
    {
        abort();
    }

    again.out.len = 0;
    ngx_pulse_anthropic_write_answer(&s.collector, &s.cv, 0, &again.out);

    body.data = again.out.data;
    body.len = again.out.len;

    if (ngx_pulse_anthropic_read_answer(s.pool, &body, ngx_pulse_collect,
                                        &again.collector)
        != NGX_OK)
    {
        abort();
    }

    fuzz_end(&again);
    fuzz_end(&s);
}


static void
fuzz_start(fuzz_stream_t *s)
{
    memset(s, 0, sizeof(fuzz_stream_t));

    s->pool = unit_pool();
    ngx_pulse_buf_init(&s->out, 0);

    if (ngx_pulse_collector_init(&s->collector, s->pool, 0) != NGX_OK) {
        abort();
    }
}


static void
fuzz_end(fuzz_stream_t *s)
{
    ngx_pulse_buf_free(&s->out);
    ngx_destroy_pool(s->pool);
}


static ngx_int_t
fuzz_feed(fuzz_stream_t *s, u_char *text, size_t len)
{
    ngx_int_t        rc;
    ngx_pulse_sse_t  sse;

    ngx_pulse_sse_init(&sse, 1024 * 1024, fuzz_event, s);

    rc = ngx_pulse_sse_feed(&sse, text, len);

    if (rc == NGX_OK) {
        rc = ngx_pulse_sse_finish(&sse);
    }

    ngx_pulse_sse_free(&sse);

    if (rc == NGX_OK) {
        rc = ngx_pulse_anthropic_read_end(&s->reader, fuzz_said, s);
    }

    return rc;
}


static ngx_int_t
fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev)
{
    fuzz_stream_t  *s = ctx;

    if (!ev->has_data) {
        return NGX_OK;
    }

    return unit_read_event(&ngx_pulse_dialect_anthropic, &s->reader, ev,
                           fuzz_said, s);
}


static ngx_int_t
fuzz_said(void *ctx, ngx_pulse_answer_event_t *ev)
{
    fuzz_stream_t  *s = ctx;

    ngx_pulse_anthropic_write_event(&s->writer, &s->cv, ev, &s->out);

    return ngx_pulse_collect(&s->collector, ev);
}
