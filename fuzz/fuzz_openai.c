
#include "unit.h"
#include "ngx_pulse_openai.h"


/*
 * The first byte chooses: a request, which once spliced must still be read
 * and say what was spliced in; a stream, which must come out as it came in
 * when nothing is hidden; an answer; an error.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_request(u_char *text, size_t len, ngx_uint_t studio);
static void fuzz_stream(u_char *text, size_t len, ngx_uint_t hide);
static void fuzz_answer(u_char *text, size_t len);
static ngx_int_t fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev);


typedef struct {
    ngx_pulse_openai_answer_t   answer;
    ngx_pulse_buf_t             edited;
    ngx_pulse_buf_t             out;
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
        fuzz_stream(text, size - 1, data[0] & 4);
        break;

    default:
        fuzz_answer(text, size - 1);
    }

    free(text);

    return 0;
}


static void
fuzz_request(u_char *text, size_t len, ngx_uint_t studio)
{
    ngx_int_t                    rc;
    ngx_str_t                    body;
    ngx_pool_t                  *pool;
    ngx_pulse_buf_t              b;
    ngx_pulse_openai_edit_t      edit;
    ngx_pulse_chat_refusal_t     refusal;
    ngx_pulse_openai_request_t   req;

    body.data = text;
    body.len = len;

    pool = unit_pool();

    rc = ngx_pulse_openai_read(&req, pool, &body, studio, &refusal);

    if (rc == NGX_DECLINED
        && (refusal.reason == NULL
            || memchr(refusal.pointer, 0, sizeof(refusal.pointer)) == NULL))
    {
        abort();
    }

    if (rc != NGX_OK) {
        ngx_destroy_pool(pool);
        return;
    }

    ngx_str_set(&edit.model, "model");
    ngx_str_set(&edit.parameter, "max_tokens");
    edit.max_tokens = 3;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_openai_write(&req, &edit, &b);

    body.data = b.data;
    body.len = b.len;

    if (ngx_pulse_openai_read(&req, pool, &body, 0, &refusal) != NGX_OK
        || req.model.len != 5
        || memcmp(req.model.data, "model", 5) != 0
        || req.max_tokens < 1 || req.max_tokens > 3
        || (req.stream && !req.include_usage))
    {
        abort();
    }

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
fuzz_stream(u_char *text, size_t len, ngx_uint_t hide)
{
    ngx_int_t         rc;
    fuzz_stream_t     s;
    ngx_pulse_sse_t   sse;

    memset(&s, 0, sizeof(s));
    s.answer.hide = (hide != 0);

    ngx_pulse_buf_init(&s.edited, 0);
    ngx_pulse_buf_init(&s.out, 0);
    ngx_pulse_sse_init(&sse, 65536, fuzz_event, &s);

    rc = ngx_pulse_sse_feed(&sse, text, len);

    if (rc == NGX_OK) {
        rc = ngx_pulse_sse_finish(&sse);
    }

    if (rc == NGX_OK && !hide
        && (s.out.len != len || memcmp(s.out.data, text, len) != 0))
    {
        abort();
    }

    if (rc == NGX_OK && s.out.len > 2 * len + 64) {
        abort();
    }

    ngx_pulse_sse_free(&sse);
    ngx_pulse_buf_free(&s.edited);
    ngx_pulse_buf_free(&s.out);
}


static ngx_int_t
fuzz_event(void *ctx, ngx_pulse_sse_event_t *ev)
{
    fuzz_stream_t  *s = ctx;

    s->edited.len = 0;

    switch (ngx_pulse_openai_event(&s->answer, ev, &s->edited)) {

    case NGX_PULSE_OPENAI_PASS:
        ngx_pulse_buf_append(&s->out, ev->raw.data, ev->raw.len);
        return NGX_OK;

    case NGX_PULSE_OPENAI_EDITED:
        ngx_pulse_buf_append(&s->out, s->edited.data, s->edited.len);
        return NGX_OK;

    case NGX_PULSE_OPENAI_DROP:
        return NGX_OK;

    default: /* NGX_PULSE_OPENAI_BAD */
        return NGX_ERROR;
    }
}


static void
fuzz_answer(u_char *text, size_t len)
{
    ngx_str_t                   provider;
    ngx_pool_t                 *pool;
    ngx_pulse_buf_t             b;
    ngx_pulse_json_error_t      err;
    ngx_pulse_chat_error_t      error;
    ngx_pulse_chat_usage_t      usage;
    ngx_pulse_openai_answer_t   answer;

    memset(&answer, 0, sizeof(answer));
    memset(&usage, 0, sizeof(usage));

    pool = unit_pool();

    (void) ngx_pulse_openai_error(&error, pool, text, len);

    if (ngx_pulse_openai_answer(&answer, text, len) == NGX_OK) {
        ngx_str_set(&provider, "p");

        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_openai_studio(&answer, text, &provider, &b);

        if (len < 65536
            && ngx_pulse_json_tree(pool, b.data, b.len, NULL, &err) == NULL)
        {
            abort();
        }

        b.len = 0;
        ngx_pulse_openai_finish(&answer, "length", &usage, &b);
        ngx_pulse_buf_free(&b);
    }

    ngx_destroy_pool(pool);
}
