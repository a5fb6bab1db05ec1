
#include "harness.h"


typedef struct {
    const fuzz_dialect_t       *fuzz;
    ngx_pool_t                 *pool;
    void                       *reader;
    void                       *writer;
    ngx_uint_t                  ends;
    ngx_pulse_buf_t             out;
    ngx_pulse_collector_t       collector;
    ngx_pulse_conversation_t    cv;
} fuzz_stream_t;


static void fuzz_request(const fuzz_dialect_t *fuzz, ngx_str_t *body,
    ngx_uint_t flags);
static void fuzz_target(ngx_pulse_target_t *target, ngx_uint_t flags);
static ngx_int_t fuzz_write(const fuzz_dialect_t *fuzz, ngx_pool_t *pool,
    const ngx_pulse_target_t *target, const ngx_str_t *body,
    ngx_pulse_buf_t *b);
static void fuzz_edits(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body);
static void fuzz_answer(const fuzz_dialect_t *fuzz, ngx_str_t *body,
    ngx_uint_t stream);
static void fuzz_start(fuzz_stream_t *s, const fuzz_dialect_t *fuzz);
static void fuzz_end(fuzz_stream_t *s);
static ngx_int_t fuzz_feed(fuzz_stream_t *s, u_char *text, size_t len);
static ngx_int_t fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev);
static ngx_int_t fuzz_said(void *ctx, ngx_pulse_answer_event_t *ev);
static void fuzz_error(const fuzz_dialect_t *fuzz, const ngx_str_t *body);
static void fuzz_json(ngx_pool_t *pool, const ngx_pulse_buf_t *b);


void
fuzz_dialect(const fuzz_dialect_t *fuzz, const uint8_t *data, size_t size)
{
    ngx_str_t  body;

    if (size < 3) {
        return;
    }

    /* a block of its own, so that a read past its end is seen */

    body.len = size - 2;
    body.data = malloc(body.len);
    memcpy(body.data, data + 2, body.len);

    switch (data[0] % 4) {

    case 0:
        fuzz_request(fuzz, &body, data[1]);
        break;

    case 1:
        fuzz_answer(fuzz, &body, 1);
        break;

    case 2:
        fuzz_answer(fuzz, &body, 0);
        break;

    default:
        fuzz_error(fuzz, &body);
    }

    free(body.data);
}


static void
fuzz_request(const fuzz_dialect_t *fuzz, ngx_str_t *body, ngx_uint_t flags)
{
    ngx_str_t            text;
    ngx_uint_t           i, last;
    ngx_pool_t          *pool;
    ngx_pulse_buf_t      b[3];
    ngx_pulse_target_t   target;

    pool = unit_pool();
    fuzz_target(&target, flags);

    last = fuzz->settled ? 1 : 2;
    text = *body;

    for (i = 0; i < 3; i++) {
        ngx_pulse_buf_init(&b[i], 0);
    }

    for (i = 0; i <= last; i++) {

        if (fuzz_write(fuzz, pool, &target, &text, &b[i]) != NGX_OK) {

            if (i != 0) {
                abort();
            }

            goto done;
        }

        text.data = b[i].data;
        text.len = b[i].len;
    }

    if (b[last].len != b[last - 1].len
        || memcmp(b[last].data, b[last - 1].data, b[last].len) != 0)
    {
        abort();
    }

done:

    for (i = 0; i < 3; i++) {
        ngx_pulse_buf_free(&b[i]);
    }

    ngx_destroy_pool(pool);
}


static void
fuzz_target(ngx_pulse_target_t *target, ngx_uint_t flags)
{
    memset(target, 0, sizeof(ngx_pulse_target_t));

    ngx_str_set(&target->model, "model");
    target->max_tokens = 3000;
    target->prefill = 1;
    target->https_images = 1;
    target->named_choice = 1;
    target->developer = 1;

    target->sampling = (flags & 1) != 0;
    target->forced_choice = (flags & 2) != 0;
    target->effort = (flags & 4) != 0;
    target->effort_none = (flags & 8) != 0;
    target->thinking_budget = (flags & 8) != 0;
    target->thinking_off = (flags & 16) != 0;
    target->reasoning_content = (flags & 16) != 0;
    target->between_tools = (flags & 32) != 0;
    target->system_inside = (flags & 64) != 0;
}


static ngx_int_t
fuzz_write(const fuzz_dialect_t *fuzz, ngx_pool_t *pool,
    const ngx_pulse_target_t *target, const ngx_str_t *body,
    ngx_pulse_buf_t *b)
{
    ngx_int_t                  rc;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    memset(&dropped, 0, sizeof(dropped));
    memset(&refusal, 0, sizeof(refusal));

    rc = fuzz->dialect->read(&cv, pool, body, &refusal);

    if (rc == NGX_OK) {
        fuzz_edits(&cv, pool, body);

        rc = fuzz->dialect->write(&cv, target, pool, &dropped, &refusal, b);
    }

    if (rc != NGX_OK
        && (rc != NGX_DECLINED || refusal.reason == NULL
            || memchr(refusal.pointer, 0, sizeof(refusal.pointer)) == NULL))
    {
        abort();
    }

    return rc;
}


/* the body less what others signed is still one that can be read */

static void
fuzz_edits(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_str_t *body)
{
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_edit_body(cv, body, 1, &b);

    fuzz_json(pool, &b);

    ngx_pulse_buf_free(&b);
}


static void
fuzz_answer(const fuzz_dialect_t *fuzz, ngx_str_t *body, ngx_uint_t stream)
{
    ngx_int_t             rc;
    ngx_str_t             text;
    fuzz_stream_t         s, again;
    ngx_pulse_dialect_t  *dialect;

    dialect = fuzz->dialect;

    fuzz_start(&s, fuzz);
    fuzz_start(&again, fuzz);

    rc = stream ? fuzz_feed(&s, body->data, body->len)
                : dialect->read_answer(s.pool, body, fuzz_said, &s);

    if (rc == NGX_OK
        && (s.out.failed || fuzz_feed(&again, s.out.data, s.out.len) != NGX_OK
            || again.collector.failed != s.collector.failed))
    {
        abort();
    }

    again.out.len = 0;
    s.ends = 0;

    if (rc == NGX_OK && !s.collector.failed) {
        dialect->write_answer(&s.collector, &s.cv, 0, &again.out);

        text.data = again.out.data;
        text.len = again.out.len;

        if (dialect->read_answer(s.pool, &text, fuzz_said, &s) != NGX_OK
            || s.ends != 1)
        {
            abort();
        }
    }

    fuzz_end(&again);
    fuzz_end(&s);
}


static void
fuzz_start(fuzz_stream_t *s, const fuzz_dialect_t *fuzz)
{
    memset(s, 0, sizeof(fuzz_stream_t));

    s->fuzz = fuzz;
    s->pool = unit_pool();
    s->cv.pool = s->pool;
    s->reader = ngx_pcalloc(s->pool, fuzz->dialect->reader_size);
    s->writer = ngx_pcalloc(s->pool, fuzz->dialect->writer_size);

    ngx_pulse_buf_init(&s->out, 0);

    if (s->reader == NULL || s->writer == NULL
        || ngx_pulse_collector_init(&s->collector, s->pool, 0) != NGX_OK)
    {
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
        rc = s->fuzz->dialect->read_end(s->reader, fuzz_said, s);
    }

    return rc;
}


static ngx_int_t
fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev)
{
    fuzz_stream_t *s = ctx;

    if (!ev->has_data) {
        return NGX_OK;
    }

    return unit_read_event(s->fuzz->dialect, s->reader, ev, fuzz_said, s);
}


static ngx_int_t
fuzz_said(void *ctx, ngx_pulse_answer_event_t *ev)
{
    fuzz_stream_t *s = ctx;

    s->ends += (ev->type == NGX_PULSE_ANSWER_END);

    s->fuzz->dialect->write_event(s->writer, &s->cv, ev, &s->out);

    return ngx_pulse_collect(&s->collector, ev);
}


static void
fuzz_error(const fuzz_dialect_t *fuzz, const ngx_str_t *body)
{
    ngx_pool_t              *pool;
    ngx_pulse_buf_t          b;
    ngx_pulse_chat_error_t   error;

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);

    if (fuzz->dialect->read_error(&error, pool, body->data, body->len)
        == NGX_OK
        && fuzz->write_error)
    {
        fuzz->write_error(&error, 503, &b);
        fuzz_json(pool, &b);
    }

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
fuzz_json(ngx_pool_t *pool, const ngx_pulse_buf_t *b)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    limits.size = b->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = b->len;
    limits.keys = b->len;

    if (b->failed
        || ngx_pulse_json_tree(pool, b->data, b->len, &limits, &err) == NULL)
    {
        abort();
    }
}
