
#include "ngx_http_pulse_gateway.h"


/*
 * How an answer ends.  finalize() is called once by nginx, with 0 at the end
 * of a body and a status or a negative code otherwise, and before nginx sends
 * the last byte.  After 0 and a header that went out nginx sends that byte
 * itself; after a status it only flushes.
 */


#define NGX_HTTP_PULSE_GATEWAY_USAGE_MAX  10000000  /* of unknown models */


static ngx_uint_t ngx_http_pulse_gateway_gone(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_pulse_gateway_reply(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static ngx_http_pulse_code_e ngx_http_pulse_gateway_failure(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_pulse_gateway_reply_answer(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_reply_studio(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *text);
static ngx_int_t ngx_http_pulse_gateway_reply_invalid(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_reply_refused(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_reason(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_http_pulse_gateway_reply_failure(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_end(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_pulse_gateway_end_early(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_pulse_gateway_end_output(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_pulse_gateway_end_stream(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_pulse_gateway_end_event(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc);
static ngx_uint_t ngx_http_pulse_gateway_spent(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_uint_t ngx_http_pulse_gateway_absurd(
    ngx_http_pulse_gateway_ctx_t *ctx);


static ngx_str_t  ngx_http_pulse_gateway_json =
    ngx_string("application/json; charset=utf-8");


void
ngx_http_pulse_gateway_finalize(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_upstream_t           *u;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    u = r->upstream;

    /* an internal redirect may have wiped the module's context */

    ctx = u->input_filter_ctx;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "pulse gateway: finalize rc:%i, header sent:%d, hold:%d",
                   rc, u->header_sent, ctx->hold);

    /* also called from cleanups, on a request that has ended */

    if (ctx->finalized) {
        return;
    }

    ctx->finalized = 1;

    ngx_http_pulse_gateway_timers_stop(ctx);

    if (ctx->early) {

        /* nginx need not know when */

        r->header_sent = 1;
        u->header_sent = 1;
    }

    if (rc == NGX_OK && !ctx->committed && !ctx->complete) {

        /* a body that ended with its connection */

        ctx->complete = 1;
        ngx_http_pulse_gateway_verdict(r, ctx);
    }

    if (ngx_http_pulse_gateway_gone(r, ctx, rc)) {
        ctx->gone = 1;
        ngx_http_pulse_gateway_settle(r, ctx);
        ngx_http_pulse_gateway_count(ctx, NGX_HTTP_PULSE_GATEWAY_GONE);
        return;
    }

    if (ctx->committed) {
        ngx_http_pulse_gateway_end(r, ctx, rc);

    } else if (ctx->early) {
        ngx_http_pulse_gateway_end_early(r, ctx, rc);

    } else {
        ngx_http_pulse_gateway_reply(r, ctx, rc);
    }
}


static ngx_uint_t
ngx_http_pulse_gateway_gone(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc)
{
    if (rc < 0 || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || rc == NGX_HTTP_REQUEST_TIME_OUT)
    {
        return 1;
    }

    /* one that was read to its end and has a key is written, for later */

    return r->connection->error
           && !(ctx->draining && ctx->claim && ctx->claim->taken
                && (ctx->ended || !ctx->chat.stream));
}


/* Nothing was sent yet: the whole answer, or an error. */

static void
ngx_http_pulse_gateway_reply(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc)
{
    ngx_uint_t            outcome;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        ngx_http_pulse_gateway_hop_end(ctx, "timeout");
    }

    if (rc != NGX_OK) {
        ctx->code = ngx_http_pulse_gateway_failure(ctx, rc);
        ctx->pass = 0;

        /* nginx closes the connection after this; let the header say so */

        r->keepalive = 0;
    }

    ctx->hold = 0;

    if (ctx->code == NGX_HTTP_PULSE_OK) {
        outcome = NGX_HTTP_PULSE_GATEWAY_SERVED;
        (void) ngx_http_pulse_gateway_reply_answer(r, ctx);

    } else if (ctx->refused) {
        outcome = NGX_HTTP_PULSE_GATEWAY_REFUSED;
        (void) ngx_http_pulse_gateway_reply_invalid(r, ctx);

    } else if (ctx->pass) {
        outcome = NGX_HTTP_PULSE_GATEWAY_REFUSED;
        (void) ngx_http_pulse_gateway_reply_refused(r, ctx);

    } else {
        outcome = NGX_HTTP_PULSE_GATEWAY_FAILED;
        (void) ngx_http_pulse_gateway_reply_failure(r, ctx);
    }

    ngx_http_pulse_gateway_count(ctx, outcome);

    /*
     * The reply has its own last byte.  A second one must not follow: with
     * rc 0 nginx leaves it out if it thinks that no header was sent, with a
     * status it would make a page of its own then.
     */

    u->header_sent = (rc != NGX_OK);
}


static ngx_http_pulse_code_e
ngx_http_pulse_gateway_failure(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_int_t rc)
{
    if (rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        return NGX_HTTP_PULSE_GATEWAY_TIMEOUT;
    }

    if (ctx->refused) {
        return NGX_HTTP_PULSE_INVALID_REQUEST;
    }

    if (ctx->unavailable && !ctx->started) {
        return NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE;
    }

    if (rc == NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return NGX_HTTP_PULSE_INTERNAL_ERROR;
    }

    return ctx->broken ? NGX_HTTP_PULSE_PROVIDER_ERROR
                       : NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE;
}


static ngx_int_t
ngx_http_pulse_gateway_reply_answer(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_int_t        rc;
    ngx_str_t        text, *type;
    ngx_pulse_buf_t  b;

    ngx_http_pulse_gateway_first_token(r, ctx);
    ngx_http_pulse_gateway_settle(r, ctx);

    ngx_pulse_buf_init(&b, 0);

    text.data = ctx->body.data;
    text.len = ctx->body.len;
    type = ctx->content_type.len ? &ctx->content_type
                                 : &ngx_http_pulse_gateway_json;

    if (ctx->embedding) {

        if (ctx->edited.len) {
            text.data = ctx->edited.data;
            text.len = ctx->edited.len;
            type = &ngx_http_pulse_gateway_json;
        }

    } else if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_TRANSLATE) {
        (void) ngx_http_pulse_gateway_translate_answer(ctx, &b);

        text.data = b.data;
        text.len = b.len;
        type = &ngx_http_pulse_gateway_json;
    }

    /* after it was written, which shows what cannot be said */

    if (ngx_http_pulse_gateway_headers(r, ctx) != NGX_OK) {
        ngx_pulse_buf_free(&b);
        return NGX_ERROR;
    }

    if (b.failed) {
        rc = ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR, NULL);

    } else if (ctx->record->dialect == NGX_HTTP_PULSE_STUDIO
               && ctx->embedding == NULL)
    {
        rc = ngx_http_pulse_gateway_reply_studio(r, ctx, &text);

    } else {
        rc = ngx_http_pulse_reply_raw(r, NGX_HTTP_OK, type, &text);
    }

    ngx_pulse_buf_free(&b);

    return rc;
}


/* An answer of OpenAI in the studio's envelope. */

static ngx_int_t
ngx_http_pulse_gateway_reply_studio(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *text)
{
    ngx_int_t                   rc;
    ngx_str_t                   envelope;
    ngx_pulse_buf_t             data;
    ngx_pulse_openai_answer_t   answer;

    ngx_memzero(&answer, sizeof(ngx_pulse_openai_answer_t));
    ngx_pulse_buf_init(&data, 0);

    if (ngx_pulse_openai_answer(&answer, text->data, text->len) != NGX_OK) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR, NULL);
    }

    ngx_pulse_openai_studio(&answer, text->data, &ctx->record->provider,
                            &data);

    envelope.data = data.data;
    envelope.len = data.len;

    if (data.failed) {
        rc = ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR, NULL);

    } else {
        rc = ngx_http_pulse_reply(r, NGX_HTTP_OK, &envelope);
    }

    ngx_pulse_buf_free(&data);

    return rc;
}


/* No candidate's dialect can say what the client asked for. */

static ngx_int_t
ngx_http_pulse_gateway_reply_invalid(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_http_pulse_usage_cancel(r);
    ctx->settled = 1;

    if (ngx_http_pulse_gateway_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_pulse_invalid(r, ctx->refusal.pointer,
                                  ctx->refusal.reason);
}


/* The provider says what is wrong with the request: so it is passed on. */

static ngx_int_t
ngx_http_pulse_gateway_reply_refused(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_int_t        rc;
    ngx_str_t        text;
    ngx_pulse_buf_t  details;

    static ngx_str_t  no = ngx_string("false");

    ngx_http_pulse_usage_cancel(r);
    ctx->settled = 1;

    ctx->record->code = ctx->code;

    if (ngx_http_pulse_gateway_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->record->dialect != NGX_HTTP_PULSE_STUDIO
        && ctx->mode != NGX_HTTP_PULSE_GATEWAY_TRANSLATE)
    {
        text.data = ctx->body.data;
        text.len = ctx->body.len;

        if (ngx_http_pulse_set_header(r, "x-should-retry", &no) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_pulse_reply_raw(r, ctx->status.code,
                                        &ngx_http_pulse_gateway_json, &text);
    }

    ngx_pulse_buf_init(&details, 0);
    ngx_http_pulse_gateway_reason(ctx, &details);

    text.data = details.data;
    text.len = details.len;

    rc = ngx_http_pulse_error(r, ctx->code, details.failed ? NULL : &text);

    ngx_pulse_buf_free(&details);

    return rc;
}


/* Details of an error, in the words of the provider or of a writer. */

static void
ngx_http_pulse_gateway_reason(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_buf_t *b)
{
    const char  *pointer, *reason;

    if (ctx->refused) {
        pointer = ctx->refusal.pointer;
        reason = ctx->refusal.reason;

        ngx_pulse_buf_literal(b, "{\"field\":");
        ngx_pulse_buf_json(b, (u_char *) pointer, ngx_strlen(pointer));
        ngx_pulse_buf_literal(b, ",\"reason\":");
        ngx_pulse_buf_json(b, (u_char *) reason, ngx_strlen(reason));
        ngx_pulse_buf_char(b, '}');
        return;
    }

    ngx_pulse_buf_literal(b, "{\"provider\":");
    ngx_pulse_buf_json(b, ctx->record->provider.data,
                       ctx->record->provider.len);
    ngx_pulse_buf_literal(b, ",\"reason\":");
    ngx_pulse_buf_json(b, ctx->error.message.data, ctx->error.message.len);

    if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_TRANSLATE) {

        /* the messages of the dialects have room for one of the two */

        ngx_pulse_buf_literal(b, ",\"model\":");
        ngx_pulse_buf_json(b, ctx->record->model.data,
                           ctx->record->model.len);
    }

    ngx_pulse_buf_char(b, '}');
}


static ngx_int_t
ngx_http_pulse_gateway_reply_failure(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t  value;

    ngx_http_pulse_usage_cancel(r);
    ctx->settled = 1;

    if (ctx->again && ctx->code == NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE) {
        value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%M", (ctx->again + 999) / 1000)
                    - value.data;

        if (ngx_http_pulse_set_header(r, "Retry-After", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_pulse_gateway_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_pulse_error(r, ctx->code, NULL);
}


/* The end of a stream, as good as it can be made. */

static void
ngx_http_pulse_gateway_end(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc)
{
    ngx_uint_t  outcome;

    ngx_http_pulse_gateway_append(ctx);

    if (!ctx->ended && !ctx->broken
        && ngx_http_pulse_gateway_end_stream(ctx, rc) == NGX_ABORT)
    {
        return;
    }

    if (rc != NGX_OK || ctx->broken) {
        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_BREAKS);
    }

    outcome = NGX_HTTP_PULSE_GATEWAY_SERVED;

    if (ctx->cut || (!ctx->ended && !ctx->answer.finished)
        || ctx->answer.failed)
    {
        outcome = NGX_HTTP_PULSE_GATEWAY_CUT;
    }

    ngx_http_pulse_gateway_count(ctx, outcome);

    ngx_http_pulse_gateway_settle(r, ctx);

    if (!ctx->ended && ngx_http_pulse_gateway_end_event(r, ctx, rc) != NGX_OK)
    {
        return;
    }

    ngx_http_pulse_gateway_end_output(r, ctx, rc);
}


/* Only the header was sent, and nobody answers: an event says so. */

static void
ngx_http_pulse_gateway_end_early(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc)
{
    ngx_int_t        sent;
    ngx_str_t        text;
    ngx_pulse_buf_t  details;

    if (rc != NGX_OK) {
        ctx->code = ngx_http_pulse_gateway_failure(ctx, rc);
        ctx->pass = 0;
    }

    ctx->record->code = ctx->code;

    ngx_http_pulse_usage_cancel(r);
    ctx->settled = 1;

    ngx_http_pulse_gateway_count(ctx, (ctx->refused || ctx->pass)
                                      ? NGX_HTTP_PULSE_GATEWAY_REFUSED
                                      : NGX_HTTP_PULSE_GATEWAY_FAILED);

    ngx_http_pulse_gateway_append(ctx);

    if (ctx->writer == NULL
        && (ctx->dialect == NGX_PULSE_DIALECT_RESPONSES || ctx->array)
        && ngx_http_pulse_gateway_translate_init(r, ctx) != NGX_OK)
    {
        return;
    }

    ngx_pulse_buf_init(&details, 0);

    if (ctx->refused || ctx->pass) {
        ngx_http_pulse_gateway_reason(ctx, &details);
    }

    text.data = details.data;
    text.len = details.len;

    sent = details.failed ? NGX_ABORT
           : ngx_http_pulse_gateway_translate_error(ctx, ctx->code,
                                                 text.len ? &text : NULL);

    ngx_pulse_buf_free(&details);

    if (sent == NGX_OK) {
        ngx_http_pulse_gateway_end_output(r, ctx, rc);
    }
}


static void
ngx_http_pulse_gateway_end_output(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (ctx->out) {
        ctx->out->flush = 1;
    }

    if (u->out_bufs && ngx_http_output_filter(r, u->out_bufs) == NGX_ERROR) {
        return;
    }

    if (rc != NGX_OK) {

        /* a clean end of the message, which nginx would leave out */

        (void) ngx_http_send_special(r, NGX_HTTP_LAST);
    }
}


/*
 * The provider ended it: a last event may lack its blank line.  Where it
 * broke off, what lacks may be no more than a mark of the end.
 */

static ngx_int_t
ngx_http_pulse_gateway_end_stream(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_int_t rc)
{
    if (rc == NGX_OK) {
        rc = ngx_pulse_sse_finish(&ctx->splitter);
    }

    if (rc == NGX_ABORT || ctx->mode == NGX_HTTP_PULSE_GATEWAY_SPLICE
        || ctx->ended || ctx->broken || ctx->answer.failed)
    {
        return rc;
    }

    return ngx_http_pulse_gateway_translate_end(ctx);
}


static ngx_int_t
ngx_http_pulse_gateway_end_event(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_pulse_code_e  code;

    if (ctx->answer.failed) {

        /* the client was told when it came */

        ctx->record->code = ctx->error.quota
                            ? NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE
                            : NGX_HTTP_PULSE_PROVIDER_ERROR;
        return NGX_OK;
    }

    if (ctx->answer.finished) {
        return ngx_http_pulse_gateway_finish(ctx, NGX_PULSE_FINISH_STOP);
    }

    code = (rc == NGX_HTTP_GATEWAY_TIME_OUT) ? NGX_HTTP_PULSE_GATEWAY_TIMEOUT
                                             : NGX_HTTP_PULSE_PROVIDER_ERROR;

    ctx->record->code = code;

    return ngx_http_pulse_gateway_translate_error(ctx, code, NULL);
}


void
ngx_http_pulse_gateway_settle(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t                  most;
    ngx_http_pulse_record_t  *record;

    if (ctx->settled) {
        return;
    }

    ctx->settled = 1;
    record = ctx->record;

    if (ngx_http_pulse_gateway_absurd(ctx)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: provider \"%V\" reported a usage that"
                      " cannot be: %uL and %uL tokens", &record->provider,
                      ctx->answer.usage.input, ctx->answer.usage.output);

        ngx_memzero(&ctx->answer.usage, sizeof(ngx_pulse_chat_usage_t));
    }

    if (!ngx_http_pulse_gateway_spent(r, ctx)) {
        ngx_http_pulse_usage_cancel(r);
        return;
    }

    if (ctx->answer.usage.known && !ctx->cut) {
        record->input = ctx->answer.usage.input;
        record->cached = ctx->answer.usage.cached;
        record->output = ctx->answer.usage.output;
        record->reasoning = ctx->answer.usage.reasoning;
        record->cache_write = ctx->answer.usage.cache_write;

        ngx_http_pulse_gateway_learn(ctx);

    } else {
        most = ngx_http_pulse_gateway_most(ctx);

        record->input = ctx->answer.usage.input ? ctx->answer.usage.input
                                                : ctx->likely;
        record->cached = ctx->answer.usage.cached;
        record->cache_write = ctx->answer.usage.cache_write;
        record->output = ngx_pulse_tokens_likely(&ctx->answer.output);
        record->output = ngx_min(record->output, most);

        /* some providers told a part of it */

        record->output = ngx_max(record->output, ctx->answer.usage.output);
        record->reasoning = ctx->answer.usage.reasoning;

        record->estimated = 1;
    }

    ngx_http_pulse_gateway_count_tokens(record);
    ngx_http_pulse_gateway_price(ctx);

    ngx_http_pulse_usage_settle(r, record->input + record->output);
}


/*
 * A provider charges from the moment it has the request, so a client that
 * leaves owes the prompt.  A provider that fails before it says anything, or
 * that it thought, is owed nothing.
 */

static ngx_uint_t
ngx_http_pulse_gateway_spent(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->answer.usage.known || ctx->answer.usage.reasoning
        || ngx_pulse_tokens_likely(&ctx->answer.output))
    {
        return 1;
    }

    return ctx->gone && r->upstream->request_body_sent
           && ctx->code == NGX_HTTP_PULSE_OK
           && !ngx_http_pulse_gateway_hop_over(ctx);
}


/* No model takes or writes more than its context and its longest answer. */

static ngx_uint_t
ngx_http_pulse_gateway_absurd(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t                 most;
    ngx_pulse_model_t       *model;
    ngx_pulse_chat_usage_t  *usage;

    usage = &ctx->answer.usage;
    model = ctx->route.elts[ctx->candidate].model;

    most = NGX_HTTP_PULSE_GATEWAY_USAGE_MAX;

    if (model && model->context_window) {
        most = model->context_window + model->max_output_tokens;
    }

    return usage->input > most || usage->output / ctx->chat.n > most;
}


ngx_int_t
ngx_http_pulse_gateway_headers(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", ctx->record->attempts)
                - value.data;

    if (ngx_http_pulse_set_header(r, "X-Pulse-Provider",
                                  &ctx->record->provider)
        != NGX_OK
        || ngx_http_pulse_set_header(r, "X-Pulse-Model", &ctx->record->model)
           != NGX_OK
        || ngx_http_pulse_set_header(r, "X-Pulse-Attempts", &value) != NGX_OK
        || ngx_http_pulse_gateway_hop_header(r, ctx) != NGX_OK
        || ngx_http_pulse_gateway_warning(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_pulse_gateway_headers_common(r, ctx);
}


ngx_int_t
ngx_http_pulse_gateway_headers_common(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    const char  *name;

    name = NULL;

    switch (ctx->record->dialect) {

    case NGX_HTTP_PULSE_OPENAI:
    case NGX_HTTP_PULSE_RESPONSES:
        name = "x-request-id";
        break;

    case NGX_HTTP_PULSE_ANTHROPIC:
        name = "request-id";
        break;
    }

    if (name && ngx_http_pulse_set_header(r, name, &ctx->record->trace_id)
                != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_pulse_usage_headers(r);
}
