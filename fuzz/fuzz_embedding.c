
#include "unit.h"
#include "ngx_pulse_embedding.h"


/*
 * The first byte chooses: a request, which is read again as it was once it
 * is spliced, and makes JSON for Gemini; or an answer, which must be JSON of
 * as many vectors when it was coded anew, and then no more than once.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_request(ngx_str_t *text);
static void fuzz_answer(ngx_str_t *text, ngx_uint_t base64,
    ngx_uint_t gemini);
static void fuzz_json(ngx_pool_t *pool, ngx_pulse_buf_t *b);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t  text;

    if (size < 2) {
        return 0;
    }

    /* a block of its own, so that a read past its end is seen */

    text.len = size - 1;
    text.data = malloc(text.len);
    memcpy(text.data, data + 1, text.len);

    if (data[0] & 1) {
        fuzz_answer(&text, data[0] & 2, data[0] & 4);

    } else {
        fuzz_request(&text);
    }

    free(text.data);

    return 0;
}


static void
fuzz_request(ngx_str_t *text)
{
    ngx_int_t                       rc;
    ngx_str_t                       model, body;
    ngx_pool_t                     *pool;
    ngx_pulse_buf_t                 b;
    ngx_pulse_dropped_t             dropped;
    ngx_pulse_chat_refusal_t        refusal;
    ngx_pulse_embedding_request_t   req, again;

    pool = unit_pool();

    rc = ngx_pulse_embedding_read(&req, pool, text, &refusal);

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

    ngx_str_set(&model, "model");
    memset(&dropped, 0, sizeof(ngx_pulse_dropped_t));

    ngx_pulse_buf_init(&b, 0);

    if (ngx_pulse_embedding_write(&req, &model, &b) != NGX_OK) {
        abort();
    }

    body.data = b.data;
    body.len = b.len;

    if (ngx_pulse_embedding_read(&again, pool, &body, &refusal) != NGX_OK
        || again.model.len != 5 || memcmp(again.model.data, "model", 5) != 0
        || again.inputs != req.inputs || again.base64 != req.base64
        || again.dimensions != req.dimensions || req.inputs == 0)
    {
        abort();
    }

    b.len = 0;

    if (ngx_pulse_embedding_write_gemini(&req, &model, &dropped, &refusal, &b)
        == NGX_OK)
    {
        fuzz_json(pool, &b);
    }

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
fuzz_answer(ngx_str_t *text, ngx_uint_t base64, ngx_uint_t gemini)
{
    ngx_int_t                       rc;
    ngx_str_t                       model, body;
    ngx_pool_t                     *pool;
    ngx_pulse_buf_t                 b;
    ngx_pulse_embedding_answer_t    answer, again;
    ngx_pulse_embedding_request_t   req;

    memset(&req, 0, sizeof(ngx_pulse_embedding_request_t));

    req.inputs = 1;
    req.base64 = (base64 != 0);

    if (ngx_pulse_embedding_answer(&answer, &req, gemini, text) != NGX_OK) {
        return;
    }

    ngx_str_set(&model, "model");

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);

    rc = gemini ? ngx_pulse_embedding_from_gemini(&req, text, &model, 1, &b)
                : ngx_pulse_embedding_recode(&req, text, &b);

    if (rc == NGX_OK) {
        fuzz_json(pool, &b);

        body.data = b.data;
        body.len = b.len;

        if (ngx_pulse_embedding_answer(&again, &req, 0, &body) != NGX_OK
            || again.recode)
        {
            abort();
        }
    }

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
fuzz_json(ngx_pool_t *pool, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_error_t  err;

    /* a larger one may pass the limits of a tree that has none of its own */

    if (b->len < 65536
        && ngx_pulse_json_tree(pool, b->data, b->len, NULL, &err) == NULL)
    {
        abort();
    }
}
