
#include "ngx_http_pulse_gateway.h"
#include "ngx_pulse_splice.h"


/* of texts that were read before */

#define NGX_HTTP_PULSE_GATEWAY_BODY_MAX  (16 * 1024 * 1024)


static ngx_int_t ngx_http_pulse_gateway_dialect_path(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_pulse_gateway_conversation(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_uint_t ngx_http_pulse_gateway_by_responses(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx);
static uint64_t ngx_http_pulse_gateway_dialect_limit(
    ngx_http_pulse_gateway_ctx_t *ctx);
static ngx_uint_t ngx_http_pulse_gateway_dialect_lowered(
    ngx_http_pulse_gateway_ctx_t *ctx);
static void ngx_http_pulse_gateway_dialect_edits(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_openai_edit_t *edit);
static ngx_int_t ngx_http_pulse_gateway_dialect_splice(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b);
static ngx_int_t ngx_http_pulse_gateway_dialect_vendor(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b);
static ngx_uint_t ngx_http_pulse_gateway_dialect_keep(
    const ngx_pulse_target_t *target);
static ngx_int_t ngx_http_pulse_gateway_dialect_pass(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b);
static void ngx_http_pulse_gateway_dialect_edit(
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b);
static void ngx_http_pulse_gateway_target(
    ngx_http_pulse_candidate_t *candidate, ngx_pulse_target_t *target);


/* in the order of NGX_PULSE_DIALECT_* */

static ngx_pulse_dialect_t  *ngx_http_pulse_gateway_dialects[] = {
    &ngx_pulse_dialect_openai,
    &ngx_pulse_dialect_responses,
    &ngx_pulse_dialect_anthropic,
    &ngx_pulse_dialect_gemini
};


ngx_uint_t
ngx_http_pulse_gateway_dialect_find(const ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_pulse_dialect_t  *dialect;

    for (i = 0; i < NGX_PULSE_DIALECTS; i++) {
        dialect = ngx_http_pulse_gateway_dialects[i];

        if (dialect->name.len == name->len
            && ngx_memcmp(dialect->name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    return i;
}


ngx_pulse_dialect_t *
ngx_http_pulse_gateway_dialect(ngx_uint_t dialect)
{
    return ngx_http_pulse_gateway_dialects[dialect];
}


ngx_uint_t
ngx_http_pulse_gateway_dialect_of(ngx_uint_t family)
{
    switch (family) {

    case NGX_HTTP_PULSE_ANTHROPIC:
        return NGX_PULSE_DIALECT_ANTHROPIC;

    case NGX_HTTP_PULSE_GEMINI:
        return NGX_PULSE_DIALECT_GEMINI;

    case NGX_HTTP_PULSE_RESPONSES:
        return NGX_PULSE_DIALECT_RESPONSES;

    default: /* NGX_HTTP_PULSE_STUDIO, NGX_HTTP_PULSE_OPENAI */
        return NGX_PULSE_DIALECT_OPENAI;
    }
}


ngx_int_t
ngx_http_pulse_gateway_dialect_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                    rc;
    ngx_pulse_conversation_t    *cv;
    ngx_pulse_openai_request_t  *chat;

    cv = ngx_pcalloc(r->pool, sizeof(ngx_pulse_conversation_t));
    if (cv == NULL) {
        return NGX_ERROR;
    }

    cv->pool = r->pool;
    ctx->conversation = cv;

    rc = ngx_http_pulse_gateway_dialects[ctx->dialect]->read(cv, r->pool,
                                                             body, refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->dialect == NGX_PULSE_DIALECT_GEMINI
        && ngx_http_pulse_gateway_dialect_path(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    chat = &ctx->chat;

    chat->body = *body;
    chat->stream = cv->stream;
    chat->include_usage = 1;
    chat->model = cv->model;
    chat->max_tokens = cv->max_tokens;
    chat->n = ngx_max(cv->n, 1);
    chat->prompt = cv->prompt;
    chat->images_low = cv->images_low;
    chat->images_high = cv->images_high;

    return NGX_OK;
}


/*
 * /v1beta/models/MODEL:METHOD.  A model may have colons of its own, and
 * slashes.
 */

static ngx_int_t
ngx_http_pulse_gateway_dialect_path(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    u_char                    *p, *last;
    ngx_str_t                  alt;
    ngx_pulse_conversation_t  *cv;

    static ngx_str_t  stream = ngx_string("streamGenerateContent");

    cv = ctx->conversation;

    last = r->uri.data + r->uri.len;
    p = ngx_strlcasestrn(r->uri.data, last, (u_char *) "/models/", 8 - 1);

    cv->model.data = p ? p + 8 : last;

    for (p = last; p > cv->model.data && p[-1] != ':'; p--) { /* void */ }

    cv->model.len = (p > cv->model.data) ? p - 1 - cv->model.data : 0;

    cv->stream = ((size_t) (last - p) == stream.len
                  && ngx_memcmp(p, stream.data, stream.len) == 0);

    alt = ngx_http_pulse_arg(r, "alt");

    ctx->array = cv->stream
                 && (alt.len != 3 || ngx_strncmp(alt.data, "sse", 3) != 0);

    return NGX_OK;
}


/* What a client of OpenAI said, once another dialect is to say it. */

static ngx_int_t
ngx_http_pulse_gateway_conversation(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_pulse_buf_t           *text;
    ngx_pulse_openai_edit_t    edit;
    ngx_pulse_conversation_t  *cv;

    if (ctx->conversation) {
        return NGX_OK;
    }

    cv = ngx_pcalloc(r->pool, sizeof(ngx_pulse_conversation_t));
    text = ngx_palloc(r->pool, sizeof(ngx_pulse_buf_t));

    if (cv == NULL || text == NULL
        || ngx_pulse_buf_init_pool(text, 0, r->pool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* with a model, and without what only the studio has */

    edit.model = ctx->route.elts[ctx->candidate].name;
    edit.max_tokens = ngx_http_pulse_gateway_dialect_limit(ctx);
    ngx_str_set(&edit.parameter, "max_completion_tokens");

    ngx_pulse_openai_write(&ctx->chat, &edit, text);

    if (text->failed) {
        return NGX_ERROR;
    }

    body.data = text->data;
    body.len = text->len;

    cv->pool = r->pool;

    rc = ngx_http_pulse_gateway_dialects[NGX_PULSE_DIALECT_OPENAI]->read(cv,
                                           r->pool, &body, &ctx->refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    cv->include_usage = ctx->chat.include_usage;
    ctx->conversation = cv;

    return NGX_OK;
}


void
ngx_http_pulse_gateway_dialect_choose(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_uint_t                  both;
    ngx_http_pulse_provider_t  *provider;

    if (ctx->embedding) {
        ngx_http_pulse_gateway_embedding_choose(ctx);
        return;
    }

    provider = ctx->route.elts[ctx->candidate].provider;

    both = 1 << NGX_PULSE_DIALECT_OPENAI | 1 << NGX_PULSE_DIALECT_RESPONSES;

    ctx->spoken = provider->dialect;

    if (provider->dialects & (1 << ctx->dialect)) {
        ctx->spoken = ctx->dialect;
    }

    if (ctx->spoken == NGX_PULSE_DIALECT_OPENAI
        && (provider->dialects & both) == both
        && ngx_http_pulse_gateway_by_responses(r, ctx))
    {
        ctx->spoken = NGX_PULSE_DIALECT_RESPONSES;
    }

    if (ctx->spoken != ctx->dialect) {
        ctx->mode = NGX_HTTP_PULSE_GATEWAY_TRANSLATE;

    } else if (ctx->dialect == NGX_PULSE_DIALECT_OPENAI) {
        ctx->mode = NGX_HTTP_PULSE_GATEWAY_SPLICE;

    } else {
        ctx->mode = NGX_HTTP_PULSE_GATEWAY_PASS;
    }
}


/* Some models of OpenAI take tools at one of its two endpoints only. */

static ngx_uint_t
ngx_http_pulse_gateway_by_responses(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_pulse_model_t         *model;
    ngx_pulse_openai_span_t   *tools;
    ngx_pulse_conversation_t  *cv;

    model = ctx->route.elts[ctx->candidate].model;
    tools = &ctx->chat.fields[NGX_PULSE_OPENAI_TOOLS];

    if (model == NULL
        || (!ngx_pulse_model_can(model->responses_tools, 0)
            && !ngx_pulse_model_can(model->responses_effort, 0))
        || (ctx->conversation == NULL && (!tools->set || tools->null))
        || ngx_http_pulse_gateway_conversation(r, ctx) != NGX_OK)
    {
        return 0;
    }

    cv = ctx->conversation;

    return cv->tools && (ngx_pulse_model_can(model->responses_tools, 0)
                         || cv->effort != NGX_PULSE_EFFORT_NONE);
}


ngx_int_t
ngx_http_pulse_gateway_dialect_endpoint(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_str_t *endpoint)
{
    u_char      *p;
    size_t       len;
    ngx_str_t   *name, *path;
    const char  *method;

    switch (ctx->spoken) {

    case NGX_PULSE_DIALECT_RESPONSES:
        ngx_str_set(endpoint, "/responses");
        return NGX_OK;

    case NGX_PULSE_DIALECT_ANTHROPIC:
        path = &ctx->route.elts[ctx->candidate].provider->path;

        /* a base URL is meant without the version, but some write it */

        if (path->len >= 3
            && ngx_strncmp(path->data + path->len - 3, "/v1", 3) == 0)
        {
            ngx_str_set(endpoint, "/messages");

        } else {
            ngx_str_set(endpoint, "/v1/messages");
        }

        return NGX_OK;

    case NGX_PULSE_DIALECT_GEMINI:
        break;

    default: /* NGX_PULSE_DIALECT_OPENAI */

        if (ctx->embedding) {
            ngx_str_set(endpoint, "/embeddings");

        } else {
            ngx_str_set(endpoint, "/chat/completions");
        }

        return NGX_OK;
    }

    name = &ctx->route.elts[ctx->candidate].name;
    method = ctx->chat.stream ? ":streamGenerateContent?alt=sse"
                              : ":generateContent";

    if (ctx->embedding) {
        method = ":batchEmbedContents";
    }

    len = name->len + 2 * ngx_escape_uri(NULL, name->data, name->len,
                                         NGX_ESCAPE_URI_COMPONENT);

    p = ngx_pnalloc(r->pool, sizeof("/models/") - 1 + len
                             + ngx_strlen(method));
    if (p == NULL) {
        return NGX_ERROR;
    }

    endpoint->data = p;

    p = ngx_cpymem(p, "/models/", sizeof("/models/") - 1);
    p = (u_char *) ngx_escape_uri(p, name->data, name->len,
                                  NGX_ESCAPE_URI_COMPONENT);
    p = ngx_cpymem(p, method, ngx_strlen(method));

    endpoint->len = p - endpoint->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_gateway_dialect_write(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b)
{
    ngx_int_t                    rc;
    ngx_pulse_target_t           target;
    ngx_http_pulse_candidate_t  *candidate;

    if (ctx->dropped == NULL) {
        ctx->dropped = ngx_palloc(r->pool, sizeof(ngx_pulse_dropped_t));
        if (ctx->dropped == NULL) {
            return NGX_ERROR;
        }
    }

    ctx->dropped->n = 0;

    if (ctx->lost) {
        ctx->lost->n = 0;
    }

    if (ngx_http_pulse_gateway_dialect_lowered(ctx)) {
        ngx_pulse_dropped_add(ctx->dropped, "max_tokens");
    }

    if (ctx->embedding) {
        return ngx_http_pulse_gateway_embedding_write(ctx, b);
    }

    if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_SPLICE) {
        return ngx_http_pulse_gateway_dialect_splice(r, ctx, b);
    }

    if (ctx->mode == NGX_HTTP_PULSE_GATEWAY_PASS) {
        return ngx_http_pulse_gateway_dialect_pass(ctx, b);
    }

    rc = ngx_http_pulse_gateway_conversation(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->conversation->native.reason) {
        ctx->refusal = ctx->conversation->native;
        return NGX_DECLINED;
    }

    if (ctx->dialect == NGX_PULSE_DIALECT_ANTHROPIC
        && ngx_http_pulse_header(r, "anthropic-beta",
                                 sizeof("anthropic-beta") - 1))
    {
        ngx_pulse_dropped_add(ctx->dropped, "anthropic-beta");
    }

    candidate = &ctx->route.elts[ctx->candidate];

    ngx_http_pulse_gateway_target(candidate, &target);
    target.max_tokens = ngx_http_pulse_gateway_dialect_limit(ctx);

    rc = ngx_http_pulse_gateway_dialects[ctx->spoken]->write(
                                      ctx->conversation, &target, r->pool,
                                      ctx->dropped, &ctx->refusal, b);

    if (rc == NGX_OK && ctx->spoken == NGX_PULSE_DIALECT_OPENAI) {
        return ngx_http_pulse_gateway_dialect_vendor(r, ctx, b);
    }

    return rc;
}


ngx_int_t
ngx_http_pulse_gateway_dialect_pieces(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_openai_pieces_t *pieces, ngx_pulse_buf_t *b)
{
    ngx_pulse_target_t        target;
    ngx_pulse_openai_edit_t   edit;

    if (ctx->embedding || ctx->mode != NGX_HTTP_PULSE_GATEWAY_SPLICE
        || ctx->chat.foreign || ngx_http_pulse_gateway_dialect_lowered(ctx))
    {
        return NGX_DECLINED;
    }

    ngx_http_pulse_gateway_target(&ctx->route.elts[ctx->candidate], &target);

    /* what a vendor refuses is looked for in the whole */

    if (target.nparameters || !target.named_choice || !target.forced_choice
        || !target.developer)
    {
        return NGX_DECLINED;
    }

    if (ctx->dropped) {
        ctx->dropped->n = 0;
    }

    ngx_http_pulse_gateway_dialect_edits(ctx, &edit);
    ngx_pulse_openai_pieces(&ctx->chat, &edit, pieces, b);

    return b->failed ? NGX_ERROR : NGX_OK;
}


/* A candidate behind the first may write less than that one. */

static uint64_t
ngx_http_pulse_gateway_dialect_limit(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_pulse_model_t  *model;

    model = ctx->route.elts[ctx->candidate].model;

    if (model && model->max_output_tokens) {
        return ngx_min(ctx->max_tokens, (uint64_t) model->max_output_tokens);
    }

    return ctx->max_tokens;
}


/* X-Usage-Clamped tells of what the grant leaves, but of nothing less. */

static ngx_uint_t
ngx_http_pulse_gateway_dialect_lowered(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t  limit;

    limit = ngx_http_pulse_gateway_dialect_limit(ctx);

    return (uint64_t) ctx->chat.max_tokens > limit
           && limit != ctx->record->clamped;
}


static void
ngx_http_pulse_gateway_dialect_edits(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_openai_edit_t *edit)
{
    ngx_http_pulse_candidate_t  *candidate;

    candidate = &ctx->route.elts[ctx->candidate];

    edit->model = candidate->name;
    edit->max_tokens = ngx_http_pulse_gateway_dialect_limit(ctx);

    if (candidate->model && candidate->model->parameter.len) {
        edit->parameter = candidate->model->parameter;

    } else {
        ngx_str_set(&edit->parameter, "max_completion_tokens");
    }
}


static ngx_int_t
ngx_http_pulse_gateway_dialect_splice(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b)
{
    ngx_pulse_openai_edit_t  edit;

    ngx_http_pulse_gateway_dialect_edits(ctx, &edit);

    ngx_pulse_openai_write(&ctx->chat, &edit, b);

    return b->failed ? NGX_ERROR
                     : ngx_http_pulse_gateway_dialect_vendor(r, ctx, b);
}


/*
 * In OpenAI's dialect, as this vendor takes it: less what models of others
 * have said in turns before, and what its row of the catalogue refuses.
 */

static ngx_int_t
ngx_http_pulse_gateway_dialect_vendor(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, ngx_pulse_buf_t *b)
{
    ngx_int_t            rc;
    ngx_str_t            body;
    ngx_pool_t          *pool;
    ngx_pulse_buf_t      own;
    ngx_pulse_target_t   target;

    ngx_http_pulse_gateway_target(&ctx->route.elts[ctx->candidate], &target);

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, r->connection->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    body.data = b->data;
    body.len = b->len;

    ngx_pulse_buf_init(&own, 0);

    rc = NGX_DECLINED;

    if (ctx->chat.foreign) {
        rc = ngx_pulse_openai_foreign(&body, pool,
                           ngx_http_pulse_gateway_dialect_keep(&target), &own);
    }

    if (rc == NGX_OK) {
        b->len = 0;
        ngx_pulse_buf_append(b, own.data, own.len);
        ngx_pulse_dropped_add(ctx->dropped, "thinking");

        body.data = b->data;
        body.len = b->len;
        own.len = 0;
    }

    if (rc != NGX_ERROR && !b->failed) {
        rc = ngx_pulse_openai_vendor(&body, pool, &target, ctx->dropped,
                                     &own);
    }

    if (rc == NGX_OK) {
        b->len = 0;
        ngx_pulse_buf_append(b, own.data, own.len);
    }

    ngx_destroy_pool(pool);
    ngx_pulse_buf_free(&own);

    return (rc == NGX_ERROR || b->failed) ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
ngx_http_pulse_gateway_dialect_keep(const ngx_pulse_target_t *target)
{
    ngx_uint_t  keep;

    keep = 0;

    if (target->no_thinking) {
        keep |= NGX_PULSE_OPENAI_NO_THINKING;
    }

    if (target->reasoning_content) {
        keep |= NGX_PULSE_OPENAI_KEEP_THINKING;
    }

    if (target->extra_content) {
        keep |= NGX_PULSE_OPENAI_KEEP_EXTRA;
    }

    return keep;
}


/* The client's own body, with the model and the limit that are ours. */

static ngx_int_t
ngx_http_pulse_gateway_dialect_pass(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_buf_t *b)
{
    u_char                    number[NGX_INT64_LEN];
    ngx_int_t                 rc;
    ngx_str_t                *name, body;
    ngx_pulse_buf_t           model, edited;
    ngx_pulse_splice_t        splices[3];
    ngx_pulse_json_limits_t   limits;

    limits.size = NGX_HTTP_PULSE_GATEWAY_BODY_MAX;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = 1024 * 1024;
    limits.keys = 65536;

    ngx_memzero(splices, sizeof(splices));

    name = &ctx->route.elts[ctx->candidate].name;

    ngx_pulse_buf_init(&model, 0);
    ngx_pulse_buf_json(&model, name->data, name->len);

    splices[0].value.data = number;
    splices[0].value.len = ngx_sprintf(number, "%uL",
                                    ngx_http_pulse_gateway_dialect_limit(ctx))
                           - number;

    splices[1].key[0] = "model";
    splices[1].value.data = model.data;
    splices[1].value.len = model.len;

    switch (ctx->dialect) {

    case NGX_PULSE_DIALECT_ANTHROPIC:
        splices[0].key[0] = "max_tokens";
        break;

    case NGX_PULSE_DIALECT_RESPONSES:
        splices[0].key[0] = "max_output_tokens";

        /* what they keep could be read by whoever has our key */

        splices[2].key[0] = "store";
        ngx_str_set(&splices[2].value, "false");
        break;

    default: /* NGX_PULSE_DIALECT_GEMINI: the model is in the path */
        splices[0].parent[0] = "generationConfig";
        splices[0].parent[1] = "generation_config";
        splices[0].key[0] = "maxOutputTokens";
        splices[0].key[1] = "max_output_tokens";
        ngx_str_null(&splices[1].value);
    }

    body = ctx->chat.body;
    ngx_pulse_buf_init(&edited, 0);

    if (ctx->conversation->edits) {
        ngx_http_pulse_gateway_dialect_edit(ctx, &edited);
        body.data = edited.data;
        body.len = edited.len;
    }

    rc = (model.failed || edited.failed)
         ? NGX_ERROR : ngx_pulse_splice(&body, splices, 3, &limits, b);

    ngx_pulse_buf_free(&edited);
    ngx_pulse_buf_free(&model);

    /* it was read before, so unless memory is short it is what we set */

    if (rc == NGX_ERROR && !model.failed && !b->failed) {
        return ngx_pulse_refuse(&ctx->refusal, NULL, NULL,
                                "the model, the limit of tokens and \"store\""
                                " must be there once, and not as an object"
                                " or an array");
    }

    return rc;
}


/* Less what another vendor signed, which this one would refuse. */

static void
ngx_http_pulse_gateway_dialect_edit(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_edit_t    *edit;
    ngx_pulse_target_t   target;

    ngx_http_pulse_gateway_target(&ctx->route.elts[ctx->candidate], &target);

    ngx_pulse_edit_body(ctx->conversation, &ctx->chat.body,
                        target.effort && !target.thinking_budget, b);

    for (edit = ctx->conversation->edits; edit; edit = edit->next) {

        if (!edit->sign) {
            ngx_pulse_dropped_add(ctx->dropped,
                                  edit->name ? edit->name : "thinking");
        }
    }
}


/* A model that is not in the catalogue is taken for an ordinary one. */

static void
ngx_http_pulse_gateway_target(ngx_http_pulse_candidate_t *candidate,
    ngx_pulse_target_t *target)
{
    ngx_pulse_model_t  *model, unknown;

    model = candidate->model;

    if (model == NULL) {
        ngx_memzero(&unknown, sizeof(ngx_pulse_model_t));
        model = &unknown;
    }

    ngx_memzero(target, sizeof(ngx_pulse_target_t));

    target->model = candidate->name;
    target->max_tokens_name = model->parameter;

    if (target->max_tokens_name.len == 0) {
        ngx_str_set(&target->max_tokens_name, "max_completion_tokens");
    }

    target->sampling = ngx_pulse_model_can(model->sampling, 1);
    target->forced_choice = ngx_pulse_model_can(model->forced_choice, 1);
    target->prefill = ngx_pulse_model_can(model->prefill, 1);
    target->efforts = model->efforts;
    target->effort_none = (model->efforts & 1 << NGX_PULSE_EFFORT_NONE) != 0;
    target->effort = (model->efforts > 1 << NGX_PULSE_EFFORT_NONE);
    target->thinking_budget = ngx_pulse_model_can(model->thinking_budget, 0);
    target->thinking_off = ngx_pulse_model_can(model->thinking_off, 0);
    target->between_tools = ngx_pulse_model_can(model->between_tools, 0);
    target->system_inside = ngx_pulse_model_can(model->system_inside, 0);
    target->https_images = ngx_pulse_model_can(model->https_images, 1);
    target->reasoning_content = ngx_pulse_model_can(model->reasoning_content,
                                                    0);
    target->no_thinking = !ngx_pulse_model_can(model->reasoning_content, 1);
    target->named_choice = ngx_pulse_model_can(model->named_choice, 1);
    target->developer = ngx_pulse_model_can(model->developer, 1);
    target->extra_content = ngx_pulse_model_can(model->extra_content, 0);
    target->parameters = model->parameters;
    target->nparameters = model->nparameters;
}
