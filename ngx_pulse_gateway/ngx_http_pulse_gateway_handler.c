
#include "ngx_http_pulse_moderation.h"


#define NGX_HTTP_PULSE_GATEWAY_OUTPUT_MAX  131072

/* of a picture, where the catalogue does not say */

#define NGX_HTTP_PULSE_GATEWAY_IMAGE_LOW   300
#define NGX_HTTP_PULSE_GATEWAY_IMAGE_HIGH  3000


static void ngx_http_pulse_gateway_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_pulse_gateway_choose(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t *rc);
static void ngx_http_pulse_gateway_moderated(ngx_http_request_t *r,
    void *data);
static void ngx_http_pulse_gateway_reserve(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_reserved(ngx_http_request_t *r, void *data,
    ngx_int_t rc);
static void ngx_http_pulse_gateway_cleanup(void *data);


ngx_int_t
ngx_http_pulse_gateway_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_pulse_gateway_check(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_pulse_read_body(r, ngx_http_pulse_gateway_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


ngx_int_t
ngx_http_pulse_gateway_check(ngx_http_request_t *r)
{
    static ngx_str_t  post = ngx_string("POST");

    if (r != r->main) {

        /* who asks, what it costs and the stream are of a main request */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pulse gateway: a subrequest is refused: \"%V\"",
                      &r->uri);
        return NGX_HTTP_FORBIDDEN;
    }

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_pulse_set_header(r, "Allow", &post) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_METHOD_NOT_ALLOWED,
                                    NULL);
    }

    if (r->headers_in.content_type && !ngx_http_pulse_is_json(r)) {
        return ngx_http_pulse_error(r, NGX_HTTP_PULSE_UNSUPPORTED_MEDIA_TYPE,
                                    NULL);
    }

    return NGX_DECLINED;
}


static void
ngx_http_pulse_gateway_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_pool_cleanup_t            *cln;
    ngx_http_pulse_gateway_ctx_t  *ctx;

    /* a block of its own: most of a block of the pool would be left empty */

    ctx = ngx_pmemalign(r->pool, sizeof(ngx_http_pulse_gateway_ctx_t),
                        NGX_CPU_CACHE_LINE);
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (ctx == NULL || cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_memzero(ctx, sizeof(ngx_http_pulse_gateway_ctx_t));

    /* the splitter and the buffers are on the heap */

    cln->handler = ngx_http_pulse_gateway_cleanup;
    cln->data = ctx;

    ngx_pulse_buf_init(&ctx->body, 0);
    ngx_pulse_buf_init(&ctx->edited, 0);

    ctx->request = r;
    ctx->record = ngx_http_pulse_record(r);

    ngx_http_set_ctx(r, ctx, ngx_http_pulse_gateway_module);

    if (ctx->record == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_http_pulse_gateway_read(r, ctx, &rc) != NGX_OK
        || ngx_http_pulse_gateway_choose(r, ctx, &rc) != NGX_OK
        || ngx_http_pulse_moderation_local(r, &ctx->text, &rc) != NGX_OK
        || ngx_http_pulse_gateway_claim_read(r, ctx, &rc) != NGX_OK)
    {
        ngx_http_finalize_request(r, rc);
        return;
    }

    ngx_http_pulse_gateway_estimate(ctx);

    if (ctx->claim) {
        ngx_http_pulse_gateway_claim_find(r, ctx);
        return;
    }

    ngx_http_pulse_gateway_moderate(r, ctx);
}


void
ngx_http_pulse_gateway_moderate(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    if (ctx->moderated) {
        ngx_http_pulse_gateway_reserve(r, ctx);
        return;
    }

    ngx_http_pulse_moderation_ask(r, &ctx->text,
                                  ngx_http_pulse_gateway_moderated, ctx);
}


static void
ngx_http_pulse_gateway_moderated(ngx_http_request_t *r, void *data)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    /* a key that is waited for brings it here again */

    ctx->moderated = 1;

    ngx_http_pulse_gateway_reserve(r, ctx);
}


ngx_int_t
ngx_http_pulse_gateway_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t *rc)
{
    ngx_int_t                           status;
    ngx_str_t                           body;
    ngx_uint_t                          studio;
    ngx_pulse_chat_refusal_t            refusal;
    ngx_http_pulse_gateway_loc_conf_t  *glcf;

    *rc = ngx_http_pulse_body(r, &body);

    if (*rc != NGX_OK) {
        return NGX_DECLINED;
    }

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_gateway_module);

    ctx->text = body;
    ctx->route.kind = glcf->kind;
    ctx->dialect = ngx_http_pulse_gateway_dialect_of(ctx->record->dialect);

    if (glcf->kind == NGX_PULSE_MODEL_EMBEDDING) {
        status = ngx_http_pulse_gateway_embedding_read(r, ctx, &body,
                                                       &refusal);

    } else if (ctx->dialect == NGX_PULSE_DIALECT_OPENAI) {
        studio = (ctx->record->dialect == NGX_HTTP_PULSE_STUDIO);

        status = ngx_pulse_openai_read(&ctx->chat, r->pool, &body, studio,
                                       &refusal);

    } else {
        status = ngx_http_pulse_gateway_dialect_read(r, ctx, &body, &refusal);
    }

    switch (status) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        *rc = ngx_http_pulse_invalid(r, refusal.pointer, refusal.reason);
        return NGX_DECLINED;

    default: /* NGX_ERROR */
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DECLINED;
    }

    if (ctx->chat.locale.len == 2
        && ngx_strncmp(ctx->chat.locale.data, "ar", 2) == 0)
    {
        ctx->record->locale = NGX_HTTP_PULSE_AR;

    } else if (ctx->chat.locale.len == 2
               && ngx_strncmp(ctx->chat.locale.data, "en", 2) == 0)
    {
        ctx->record->locale = NGX_HTTP_PULSE_EN;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_choose(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_int_t *rc)
{
    size_t                               size;
    ngx_http_pulse_candidate_t           elts[
                                           NGX_HTTP_PULSE_GATEWAY_CANDIDATES];
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    static const char  *makes[] = {             /* by NGX_PULSE_MODEL_* */
        NULL,
        "is a model that makes images only, at /v1/images/generate",
        "is a model that makes videos only, at /v1/video/generate",
        "is a model that makes embeddings only, at /v1/embeddings"
    };

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    ctx->route.elts = elts;

    ngx_http_pulse_gateway_route(gmcf, &ctx->chat, &ctx->route);

    if (ctx->route.n) {

        /* most often one, for as long as the answer takes */

        size = ctx->route.n * sizeof(ngx_http_pulse_candidate_t);

        ctx->route.elts = ngx_palloc(r->pool, size);
        if (ctx->route.elts == NULL) {
            *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
            return NGX_DECLINED;
        }

        ngx_memcpy(ctx->route.elts, elts, size);

        return NGX_OK;
    }

    if (ctx->route.elsewhere) {
        *rc = ngx_http_pulse_invalid(r, "/model",
                                     ctx->embedding
                                     ? "is no model that makes embeddings"
                                     : makes[ctx->route.elsewhere->kind]);
        return NGX_DECLINED;
    }

    *rc = ngx_http_pulse_models_error(r,
                                      ctx->route.known
                                      ? NGX_HTTP_PULSE_PROVIDER_UNAVAILABLE
                                      : NGX_HTTP_PULSE_MODEL_NOT_FOUND,
                                      &ctx->chat.model);

    return NGX_DECLINED;
}


void
ngx_http_pulse_gateway_estimate(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t                     low, high, images, bound, likely;
    ngx_uint_t                   i;
    ngx_pulse_model_t           *model;
    ngx_pulse_learned_t         *learned;
    ngx_pulse_openai_request_t  *chat;

    chat = &ctx->chat;

    ctx->prompt = ngx_pulse_tokens_bound(&chat->prompt);
    ctx->likely = ngx_pulse_tokens_likely(&chat->prompt);

    for (i = 0; i < ctx->route.n; i++) {
        model = ctx->route.elts[i].model;

        low = NGX_HTTP_PULSE_GATEWAY_IMAGE_LOW;
        high = NGX_HTTP_PULSE_GATEWAY_IMAGE_HIGH;

        if (model && model->image_low) {
            low = model->image_low;
        }

        if (model && model->image_high) {
            high = model->image_high;
        }

        images = low * chat->images_low + high * chat->images_high;

        learned = ngx_http_pulse_gateway_learned(ctx->request,
                                                 &ctx->route.elts[i], 0);

        bound = ngx_http_pulse_gateway_bound(&chat->prompt,
                                             ctx->route.elts[i].provider);
        bound = ngx_pulse_learn_bound(learned, bound);
        likely = ngx_pulse_learn_likely(learned,
                                     ngx_pulse_tokens_likely(&chat->prompt));

        ctx->prompt = ngx_max(ctx->prompt, bound + images);
        ctx->likely = ngx_max(ctx->likely, likely + images / 2);
    }

    ctx->likely = ngx_min(ctx->likely, ctx->prompt);

    if (ctx->embedding) {

        /* the least that anybody counts is a token for each */

        ctx->prompt = ngx_max(ctx->prompt, ctx->embedding->inputs);
        ctx->likely = ngx_max(ctx->likely, ctx->embedding->inputs);
    }
}


static void
ngx_http_pulse_gateway_reserve(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t                            most, least;
    ngx_int_t                           rc;
    ngx_pulse_model_t                  *model;
    ngx_http_pulse_gateway_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_gateway_module);

    model = ctx->route.elts[0].model;
    most = NGX_HTTP_PULSE_GATEWAY_OUTPUT_MAX;

    if (model && model->max_output_tokens) {
        most = model->max_output_tokens;
    }

    ctx->max_tokens = ctx->chat.max_tokens ? ctx->chat.max_tokens
                                           : glcf->default_max_tokens;
    ctx->max_tokens = ngx_min(ctx->max_tokens, most);

    least = ctx->prompt + ctx->chat.n;
    ctx->record->claimed = (ctx->claim != NULL);

    if (ctx->embedding) {

        /* there is no output, and half of the inputs is of no use */

        ctx->max_tokens = 0;
        least = ctx->prompt;
    }

    rc = ngx_http_pulse_usage_reserve(r, NGX_HTTP_PULSE_TOKENS,
                                      ctx->prompt
                                      + ctx->max_tokens * ctx->chat.n,
                                      least,
                                      ngx_http_pulse_gateway_reserved, ctx);

    if (rc == NGX_AGAIN) {

        /* body reading holds the request until reserved() is called */

        return;
    }

    ngx_http_pulse_gateway_reserved(r, ctx, rc);
}


static void
ngx_http_pulse_gateway_reserved(ngx_http_request_t *r, void *data,
    ngx_int_t rc)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    uint64_t  granted;

    if (rc != NGX_OK) {

        if (ctx->claim
            && ngx_http_pulse_gateway_claim_refused(r, ctx) == NGX_OK)
        {
            return;
        }

        ngx_http_finalize_request(r, ngx_http_pulse_usage_refuse(r));
        return;
    }

    ctx->reservation = ctx->record->reservation;
    ctx->granted = ngx_http_pulse_usage_granted(r);
    granted = (ctx->granted - ctx->prompt) / ctx->chat.n;

    if (granted < ctx->max_tokens) {
        ctx->max_tokens = granted;
        ctx->record->clamped = granted;
    }

    ctx->most = ctx->max_tokens * ctx->chat.n;

    if (ctx->claim) {
        ngx_http_pulse_gateway_claim_take(r, ctx);
        return;
    }

    ngx_http_pulse_gateway_start(r, ctx);
}


static void
ngx_http_pulse_gateway_cleanup(void *data)
{
    ngx_http_pulse_gateway_ctx_t *ctx = data;

    if (ctx->ticket) {

        /* whatever ended the request, another one may probe */

        ngx_http_pulse_gateway_report(ctx, NGX_HTTP_PULSE_GATEWAY_NOTHING);
    }

    ngx_http_pulse_gateway_timers_stop(ctx);

    if (ctx->claim) {
        ngx_http_pulse_gateway_claim_free(ctx->claim);
    }

    ngx_pulse_buf_free(&ctx->body);
    ngx_pulse_buf_free(&ctx->edited);
    ngx_pulse_sse_free(&ctx->splitter);
    ngx_pulse_sse_free(&ctx->framer);
}
