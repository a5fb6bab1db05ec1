
#include "ngx_http_pulse_gateway.h"


/*
 * Answers between dialects.  The reader of the provider's dialect says what
 * happened, the writer of the client's puts it on the wire.  Where both are
 * the same the provider's own bytes go on, and what the writer says of them
 * is left out; it then knows enough to end a stream that the provider does
 * not.
 */


#define NGX_HTTP_PULSE_GATEWAY_ELEMENT_MAX  (16 * 1024 * 1024)
#define NGX_HTTP_PULSE_GATEWAY_EVENT_POOL   8192
#define NGX_HTTP_PULSE_GATEWAY_WARNING_MAX  1024
#define NGX_HTTP_PULSE_GATEWAY_NAME_MAX     64


static ngx_int_t ngx_http_pulse_gateway_relay(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_pool_t *ngx_http_pulse_gateway_event_pool(ngx_log_t *log);
static void ngx_http_pulse_gateway_event_done(ngx_pool_t *pool);
static ngx_int_t ngx_http_pulse_gateway_translate_ended(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t rc, ngx_str_t *raw);
static ngx_int_t ngx_http_pulse_gateway_answer(void *data,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_http_pulse_gateway_deliver(void *data,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_http_pulse_gateway_note(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_http_pulse_gateway_bears(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *text);
static void ngx_http_pulse_gateway_note_usage(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_chat_usage_t *usage);
static ngx_int_t ngx_http_pulse_gateway_send_events(
    ngx_http_pulse_gateway_ctx_t *ctx, u_char *p, size_t len);
static ngx_int_t ngx_http_pulse_gateway_element(void *data,
    ngx_pulse_sse_event_t *ev);
static ngx_int_t ngx_http_pulse_gateway_array_end(
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_warning_names(ngx_http_request_t *r,
    ngx_str_t *names, ngx_uint_t n, ngx_str_t *more, ngx_uint_t nmore,
    ngx_pulse_dropped_t *lost, ngx_str_t *text);
static ngx_int_t ngx_http_pulse_gateway_tell_lost(
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_warning_name(ngx_str_t *name, ngx_buf_t *b);


static ngx_pool_t  *ngx_http_pulse_gateway_spare;

static ngx_str_t  ngx_http_pulse_gateway_sse =
    ngx_string("text/event-stream; charset=utf-8");

static ngx_str_t  ngx_http_pulse_gateway_array =
    ngx_string("application/json; charset=utf-8");


ngx_int_t
ngx_http_pulse_gateway_translate_init(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_pulse_dialect_t  *reader, *writer;

    reader = ngx_http_pulse_gateway_dialect(ctx->spoken);
    writer = ngx_http_pulse_gateway_dialect(ctx->dialect);

    ctx->reader = ngx_pcalloc(r->pool, reader->reader_size);
    ctx->writer = ngx_pcalloc(r->pool, writer->writer_size);

    if (ctx->reader == NULL || ctx->writer == NULL
        || ngx_http_pulse_gateway_relay(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->array) {
        ctx->content_type = ngx_http_pulse_gateway_array;

        ngx_pulse_sse_init(&ctx->framer, NGX_HTTP_PULSE_GATEWAY_ELEMENT_MAX,
                           ngx_http_pulse_gateway_element, ctx);

    } else if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_TRANSLATE) {
        ctx->content_type = ngx_http_pulse_gateway_sse;
    }

    return NGX_OK;
}


/* Between dialects only: bytes that pass have all of it. */

static ngx_int_t
ngx_http_pulse_gateway_relay(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->mode != NGX_HTTP_PULSE_GATEWAY_TRANSLATE) {
        return NGX_OK;
    }

    ctx->lost = ngx_pcalloc(r->pool, sizeof(ngx_pulse_dropped_t));
    ctx->relay = ngx_pcalloc(r->pool, sizeof(ngx_pulse_relay_t));

    if (ctx->lost == NULL || ctx->relay == NULL) {
        return NGX_ERROR;
    }

    ctx->conversation->lost = ctx->lost;

    return ngx_pulse_relay_init(ctx->relay, ctx->conversation,
                                ngx_http_pulse_gateway_deliver, ctx);
}


ngx_int_t
ngx_http_pulse_gateway_translate_event(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_sse_event_t *ev)
{
    ngx_int_t             rc;
    ngx_pool_t           *pool;
    ngx_pulse_dialect_t  *dialect;

    ctx->edited.len = 0;

    if (!ev->has_data) {
        return ngx_http_pulse_gateway_translate_ended(ctx, NGX_OK, &ev->raw);
    }

    pool = ngx_http_pulse_gateway_event_pool(ctx->request->connection->log);
    if (pool == NULL) {
        return NGX_ABORT;
    }

    dialect = ngx_http_pulse_gateway_dialect(ctx->spoken);
    ctx->bore = 0;

    rc = dialect->read_event(ctx->reader, pool, &ev->name, &ev->data,
                             ngx_http_pulse_gateway_answer, ctx);

    ngx_http_pulse_gateway_event_done(pool);

    return ngx_http_pulse_gateway_translate_ended(ctx, rc, &ev->raw);
}


/*
 * Each event has a pool of its own, so that a stream takes no more memory the
 * longer it is.  The worker keeps one for the next event of any stream; while
 * one is being read it is nobody else's.
 */

static ngx_pool_t *
ngx_http_pulse_gateway_event_pool(ngx_log_t *log)
{
    ngx_pool_t  *pool;

    pool = ngx_http_pulse_gateway_spare;

    if (pool == NULL) {
        return ngx_create_pool(NGX_HTTP_PULSE_GATEWAY_EVENT_POOL, log);
    }

    ngx_http_pulse_gateway_spare = NULL;
    pool->log = log;

    return pool;
}


static void
ngx_http_pulse_gateway_event_done(ngx_pool_t *pool)
{
    /* what took more than most do is given back */

    if (ngx_http_pulse_gateway_spare || pool->d.next || pool->large
        || pool->cleanup)
    {
        ngx_destroy_pool(pool);
        return;
    }

    ngx_reset_pool(pool);

    pool->log = ngx_cycle->log;
    ngx_http_pulse_gateway_spare = pool;
}


ngx_int_t
ngx_http_pulse_gateway_translate_end(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_str_t             none;
    ngx_pulse_dialect_t  *dialect;

    ngx_str_null(&none);

    dialect = ngx_http_pulse_gateway_dialect(ctx->spoken);

    ctx->edited.len = 0;
    ctx->closing = 1;

    rc = dialect->read_end(ctx->reader, ngx_http_pulse_gateway_answer, ctx);

    return ngx_http_pulse_gateway_translate_ended(ctx, rc, &none);
}


/* An event was read: what goes to the client of it. */

static ngx_int_t
ngx_http_pulse_gateway_translate_ended(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_int_t rc, ngx_str_t *raw)
{
    ngx_str_t  text;

    if (ctx->edited.failed || rc == NGX_ABORT) {
        return NGX_ABORT;
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "pulse gateway: provider \"%V\" sent an event that"
                      " makes no sense", &ctx->record->provider);
        ctx->broken = 1;
        return NGX_ERROR;
    }

    text.data = ctx->edited.data;
    text.len = ctx->edited.len;

    if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_PASS) {

        if (rc == NGX_DONE) {
            return ngx_http_pulse_gateway_cut(ctx);
        }

        /* but what the writer makes of an error that is our own business,
         * and of an end that lacks its mark */

        if (!(ctx->answer.failed && ctx->error.quota)
            && !(ctx->closing && ctx->answer.done))
        {
            text = *raw;

            if (ctx->answer.failed) {
                ngx_http_pulse_gateway_redact(ctx, text.data, text.len);
            }
        }
    }

    if (ctx->answer.done) {
        ngx_http_pulse_gateway_done(ctx);
    }

    if ((ctx->answer.finished
         && ngx_http_pulse_gateway_tell_lost(ctx) != NGX_OK)
        || ngx_http_pulse_gateway_send_events(ctx, text.data, text.len)
           != NGX_OK)
    {
        return NGX_ABORT;
    }

    if (rc == NGX_DONE) {
        return ngx_http_pulse_gateway_cut(ctx);
    }

    return ctx->ended ? ngx_http_pulse_gateway_array_end(ctx) : NGX_OK;
}


/* What a reader found; NGX_DONE where the grant ends. */

static ngx_int_t
ngx_http_pulse_gateway_answer(void *data, ngx_pulse_answer_event_t *ev)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    ngx_int_t  rc;

    if (ev->type == NGX_PULSE_ANSWER_ERROR) {
        ctx->error.quota = ev->error.quota;

        ngx_http_pulse_gateway_redact(ctx, ev->error.message.data,
                                      ev->error.message.len);

        if (ev->error.quota) {

            /* it is our money that is missing, not the client's */

            ngx_memzero(&ev->error, sizeof(ngx_pulse_chat_error_t));

            ev->error.message = ngx_http_pulse_code_message(ctx->request,
                                         NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE);
            ev->error.code = *ngx_http_pulse_code_name(
                                         NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE);
            ngx_str_set(&ev->error.type, "server_error");
        }
    }

    if (ctx->closing && ev->type == NGX_PULSE_ANSWER_ERROR) {

        /* of a stream that was cut; how it ends is ours to say */

        return NGX_OK;
    }

    rc = ngx_http_pulse_gateway_note(ctx, ev);

    if (rc == NGX_DONE && ctx->mode == NGX_HTTP_PULSE_GATEWAY_PASS
        && (ev->type == NGX_PULSE_ANSWER_TEXT
            || ev->type == NGX_PULSE_ANSWER_THINKING))
    {
        /* bytes that passed have opened the part, which bears nothing until
         * now: the writer hears of it to close it */

        ev->text.len = 0;

    } else if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_TRANSLATE) {
        return ngx_pulse_relay(ctx->relay, ev);
    }

    if (ctx->closing && ctx->mode == NGX_HTTP_PULSE_GATEWAY_PASS
        && ev->type == NGX_PULSE_ANSWER_END)
    {
        ctx->edited.len = 0;
        ev->told = 1;
    }

    (void) ngx_http_pulse_gateway_deliver(ctx, ev);

    return rc;
}


static ngx_int_t
ngx_http_pulse_gateway_deliver(void *data, ngx_pulse_answer_event_t *ev)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    ngx_pulse_dialect_t  *dialect;

    if (ctx->collector) {
        return ngx_pulse_collect(ctx->collector, ev);
    }

    dialect = ngx_http_pulse_gateway_dialect(ctx->dialect);
    dialect->write_event(ctx->writer, ctx->conversation, ev, &ctx->edited);

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_note(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_answer_event_t *ev)
{
    switch (ev->type) {

    case NGX_PULSE_ANSWER_TEXT:
    case NGX_PULSE_ANSWER_THINKING:
    case NGX_PULSE_ANSWER_REFUSAL:
    case NGX_PULSE_ANSWER_ARGUMENTS:
        return ngx_http_pulse_gateway_bears(ctx, &ev->text);

    case NGX_PULSE_ANSWER_CALL:
        return ngx_http_pulse_gateway_bears(ctx, &ev->name);

    case NGX_PULSE_ANSWER_IMAGE:
        ngx_http_pulse_gateway_began(ctx);
        break;

    case NGX_PULSE_ANSWER_START:
    case NGX_PULSE_ANSWER_USAGE:
        ngx_http_pulse_gateway_note_usage(ctx, &ev->usage);
        break;

    case NGX_PULSE_ANSWER_FINISH:
        ctx->answer.finished = 1;
        ngx_http_pulse_gateway_note_usage(ctx, &ev->usage);
        break;

    case NGX_PULSE_ANSWER_ERROR:
        ctx->answer.failed = 1;
        break;

    case NGX_PULSE_ANSWER_END:
        ctx->answer.done = 1;
        break;

    default:
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_bears(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_str_t *text)
{
    if (text->len == 0) {
        return NGX_OK;
    }

    ngx_pulse_tokens_add_written(&ctx->answer.output, text->data, text->len);

    if (ctx->bore || ctx->collector) {
        return NGX_OK;
    }

    ctx->bore = 1;
    ctx->answer.deltas++;

    return ngx_http_pulse_gateway_delta(ctx);
}


/* What comes first is not "known" yet, and still better than an estimate. */

static void
ngx_http_pulse_gateway_note_usage(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_chat_usage_t *usage)
{
    if (usage->known || (usage->input && !ctx->answer.usage.known)) {
        ctx->answer.usage = *usage;
    }
}


ngx_int_t
ngx_http_pulse_gateway_translate_finish(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_uint_t finish)
{
    ngx_pulse_dialect_t       *dialect;
    ngx_pulse_answer_event_t   ev;

    dialect = ngx_http_pulse_gateway_dialect(ctx->dialect);

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ctx->edited.len = 0;

    ev.told = (ctx->mode == NGX_HTTP_PULSE_GATEWAY_PASS
               && ctx->answer.finished);

    if (!ctx->answer.finished) {
        ctx->answer.finished = 1;

        ev.type = NGX_PULSE_ANSWER_FINISH;
        ev.finish = finish;
        ev.usage.input = ctx->record->input;
        ev.usage.cached = ctx->record->cached;
        ev.usage.output = ctx->record->output;
        ev.usage.reasoning = ctx->record->reasoning;
        ev.usage.known = 1;

        dialect->write_event(ctx->writer, ctx->conversation, &ev,
                             &ctx->edited);
    }

    ev.type = NGX_PULSE_ANSWER_END;

    dialect->write_event(ctx->writer, ctx->conversation, &ev, &ctx->edited);

    if (ctx->edited.failed
        || ngx_http_pulse_gateway_tell_lost(ctx) != NGX_OK
        || ngx_http_pulse_gateway_send_events(ctx, ctx->edited.data,
                                              ctx->edited.len)
           != NGX_OK)
    {
        return NGX_ABORT;
    }

    return ngx_http_pulse_gateway_array_end(ctx);
}


ngx_int_t
ngx_http_pulse_gateway_translate_error(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_http_pulse_code_e code, const ngx_str_t *details)
{
    ngx_int_t                  rc;
    ngx_str_t                  name, data;
    ngx_pulse_buf_t            text;
    ngx_pulse_dialect_t       *dialect;
    ngx_pulse_answer_event_t   ev;

    ctx->edited.len = 0;

    ngx_pulse_buf_init(&text, 0);
    ngx_str_null(&name);

    ngx_http_pulse_error_text(ctx->request, code, details, &text);

    if (ctx->dialect == NGX_PULSE_DIALECT_RESPONSES) {

        /* its error events are numbered as all others are */

        ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

        ev.type = NGX_PULSE_ANSWER_ERROR;

        if (text.failed
            || ngx_pulse_openai_error(&ev.error, ctx->request->pool,
                                      text.data, text.len)
               != NGX_OK)
        {
            text.failed = 1;
        }

        dialect = ngx_http_pulse_gateway_dialect(ctx->dialect);
        dialect->write_event(ctx->writer, ctx->conversation, &ev,
                             &ctx->edited);

    } else {
        data.data = text.data;
        data.len = text.len;

        if (ctx->dialect == NGX_PULSE_DIALECT_ANTHROPIC) {
            ngx_str_set(&name, "error");
        }

        ngx_pulse_sse_write(&ctx->edited, &name, &data);
    }

    rc = NGX_ABORT;

    if (!text.failed && !ctx->edited.failed
        && ngx_http_pulse_gateway_send_events(ctx, ctx->edited.data,
                                              ctx->edited.len)
           == NGX_OK)
    {
        rc = ngx_http_pulse_gateway_array_end(ctx);
    }

    ngx_pulse_buf_free(&text);

    return rc;
}


/* Events as they are, or each an element of an array. */

static ngx_int_t
ngx_http_pulse_gateway_send_events(ngx_http_pulse_gateway_ctx_t *ctx,
    u_char *p, size_t len)
{
    if (!ctx->array) {
        return ngx_http_pulse_gateway_output(ctx, p, len);
    }

    return (ngx_pulse_sse_feed(&ctx->framer, p, len) == NGX_OK) ? NGX_OK
                                                                : NGX_ABORT;
}


static ngx_int_t
ngx_http_pulse_gateway_element(void *data, ngx_pulse_sse_event_t *ev)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    u_char  *before;

    if (!ev->has_data) {
        return NGX_OK;
    }

    before = (u_char *) (ctx->elements ? ",\r\n" : "[");
    ctx->elements = 1;

    if (ngx_http_pulse_gateway_output(ctx, before, ngx_strlen(before))
        != NGX_OK)
    {
        return NGX_ABORT;
    }

    return ngx_http_pulse_gateway_output(ctx, ev->data.data, ev->data.len);
}


static ngx_int_t
ngx_http_pulse_gateway_array_end(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t  end;

    if (!ctx->array) {
        return NGX_OK;
    }

    ngx_str_set(&end, "[]");

    if (ctx->elements) {
        ngx_str_set(&end, "]");
    }

    ctx->array = 0;

    return ngx_http_pulse_gateway_output(ctx, end.data, end.len);
}


ngx_int_t
ngx_http_pulse_gateway_translate_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t                           body;
    ngx_pulse_dialect_t                *dialect;
    ngx_http_pulse_gateway_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_gateway_module);

    ctx->collector = ngx_pcalloc(r->pool, sizeof(ngx_pulse_collector_t));

    if (ctx->collector == NULL
        || ngx_pulse_collector_init(ctx->collector, r->pool,
                                    glcf->answer_max)
           != NGX_OK
        || ngx_http_pulse_gateway_relay(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    body.data = ctx->body.data;
    body.len = ctx->body.len;

    dialect = ngx_http_pulse_gateway_dialect(ctx->spoken);

    if (dialect->read_answer(r->pool, &body, ngx_http_pulse_gateway_answer,
                             ctx)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ctx->answer.failed ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_translate_answer(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_dialect_t  *dialect;

    dialect = ngx_http_pulse_gateway_dialect(ctx->dialect);

    dialect->write_answer(ctx->collector, ctx->conversation, ngx_time(), b);

    return b->failed ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_warning(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t  value;

    if (ngx_http_pulse_gateway_warning_text(r, ctx, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return value.len ? ngx_http_pulse_set_header(r, "X-Pulse-Warning", &value)
                     : NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_warning_text(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *text)
{
    ngx_uint_t                 n;
    ngx_str_t                 *names;
    ngx_pulse_conversation_t  *cv;

    cv = ctx->conversation;
    names = NULL;
    n = 0;

    /* what we have no name for is passed on in the client's own words */

    if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_TRANSLATE && cv) {
        names = cv->unknown;
        n = cv->nunknown;
    }

    return ngx_http_pulse_gateway_warning_names(r,
                                ctx->dropped ? ctx->dropped->names : NULL,
                                ctx->dropped ? ctx->dropped->n : 0, names, n,
                                ctx->lost, text);
}


static ngx_int_t
ngx_http_pulse_gateway_warning_names(ngx_http_request_t *r, ngx_str_t *names,
    ngx_uint_t n, ngx_str_t *more, ngx_uint_t nmore,
    ngx_pulse_dropped_t *lost, ngx_str_t *text)
{
    ngx_buf_t   *b;
    ngx_uint_t   i, nlost;

    ngx_str_null(text);

    nlost = lost ? lost->n : 0;

    if (n + nmore + nlost == 0) {
        return NGX_OK;
    }

    b = ngx_create_temp_buf(r->pool, NGX_HTTP_PULSE_GATEWAY_WARNING_MAX);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, "left out:", sizeof("left out:") - 1);

    for (i = 0; i < n; i++) {
        ngx_http_pulse_gateway_warning_name(&names[i], b);
    }

    for (i = 0; i < nmore; i++) {
        ngx_http_pulse_gateway_warning_name(&more[i], b);
    }

    for (i = 0; i < nlost; i++) {
        ngx_http_pulse_gateway_warning_name(&lost->names[i], b);
    }

    /* less the last comma */

    text->data = b->pos;
    text->len = b->last - b->pos - 1;

    return NGX_OK;
}


/*
 * What of a stream was left out is known at its end, long after the headers:
 * a comment says it before the reason to finish, of an array an element.
 */

static ngx_int_t
ngx_http_pulse_gateway_tell_lost(ngx_http_pulse_gateway_ctx_t *ctx)
{
    u_char     *p, *last;
    ngx_str_t   text;

    if (ctx->lost == NULL || ctx->lost->n == 0) {
        return NGX_OK;
    }

    if (ngx_http_pulse_gateway_warning_names(ctx->request, NULL, 0, NULL, 0,
                                             ctx->lost, &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->lost->n = 0;

    p = ngx_pnalloc(ctx->request->pool, text.len + 64);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ctx->array
           ? ngx_sprintf(p, "data: {\"pulseWarning\":\"%V\"}\n\n", &text)
           : ngx_sprintf(p, ": X-Pulse-Warning: %V\n\n", &text);

    return ngx_http_pulse_gateway_send_events(ctx, p, last - p);
}


/* Names may be the client's, and a header takes no line ends. */

static void
ngx_http_pulse_gateway_warning_name(ngx_str_t *name, ngx_buf_t *b)
{
    u_char  ch;
    size_t  i, len;

    len = ngx_min(name->len, NGX_HTTP_PULSE_GATEWAY_NAME_MAX);

    if ((size_t) (b->end - b->last) < len + 2) {
        return;
    }

    *b->last++ = ' ';

    for (i = 0; i < len; i++) {
        ch = name->data[i];
        *b->last++ = (ch > ' ' && ch < 0x7f && ch != ',' && ch != '"'
                      && ch != '\\')
                     ? ch : '_';
    }

    *b->last++ = ',';
}
