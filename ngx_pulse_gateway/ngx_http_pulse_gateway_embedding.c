
#include "ngx_http_pulse_gateway.h"


/*
 * Embeddings are a request without output: what is reserved is the bound of
 * the inputs, what is settled the provider's figure.  Models are never
 * exchanged for one another, as vectors of two cannot be compared.
 */


ngx_int_t
ngx_http_pulse_gateway_embedding_read(ngx_http_request_t *r,
    ngx_http_pulse_gateway_ctx_t *ctx, const ngx_str_t *body,
    ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                       rc;
    ngx_pulse_embedding_request_t  *req;

    req = ngx_palloc(r->pool, sizeof(ngx_pulse_embedding_request_t));
    if (req == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_embedding_read(req, r->pool, body, refusal);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->embedding = req;
    ctx->dialect = NGX_PULSE_DIALECT_OPENAI;

    ctx->chat.body = *body;
    ctx->chat.model = req->model;
    ctx->chat.n = 1;
    ctx->chat.prompt = req->prompt;

    return NGX_OK;
}


void
ngx_http_pulse_gateway_embedding_choose(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_uint_t                  openai;
    ngx_http_pulse_provider_t  *provider;

    provider = ctx->route.elts[ctx->candidate].provider;

    /* the endpoint belongs to neither of the two dialects of chat */

    openai = 1 << NGX_PULSE_DIALECT_OPENAI | 1 << NGX_PULSE_DIALECT_RESPONSES;

    if (provider->dialects & openai) {
        ctx->spoken = NGX_PULSE_DIALECT_OPENAI;
        ctx->mode = NGX_HTTP_PULSE_GATEWAY_SPLICE;
        return;
    }

    ctx->spoken = provider->dialect;
    ctx->mode = NGX_HTTP_PULSE_GATEWAY_TRANSLATE;
}


ngx_int_t
ngx_http_pulse_gateway_embedding_write(ngx_http_pulse_gateway_ctx_t *ctx,
    ngx_pulse_buf_t *b)
{
    ngx_str_t  *model;

    static char  pointer[] = "/model";

    model = &ctx->route.elts[ctx->candidate].name;

    switch (ctx->spoken) {

    case NGX_PULSE_DIALECT_OPENAI:
        return ngx_pulse_embedding_write(ctx->embedding, model, b);

    case NGX_PULSE_DIALECT_GEMINI:
        return ngx_pulse_embedding_write_gemini(ctx->embedding, model,
                                                ctx->dropped,
                                                &ctx->refusal, b);

    default:
        ngx_memcpy(ctx->refusal.pointer, pointer, sizeof(pointer));
        ctx->refusal.reason = "is of a provider that makes no embeddings";
        return NGX_DECLINED;
    }
}


/*
 * What the client is to get is written here, before anything is charged: an
 * answer that cannot be is no answer.
 */

ngx_int_t
ngx_http_pulse_gateway_embedding_answer(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_str_t                      body;
    ngx_uint_t                     gemini;
    ngx_pulse_embedding_answer_t   answer;

    body.data = ctx->body.data;
    body.len = ctx->body.len;

    gemini = (ctx->spoken == NGX_PULSE_DIALECT_GEMINI);
    ctx->edited.len = 0;

    if (ngx_pulse_embedding_answer(&answer, ctx->embedding, gemini, &body)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!answer.known) {
        answer.input = ctx->likely;
    }

    if (gemini) {
        if (ngx_pulse_embedding_from_gemini(ctx->embedding, &body,
                                     &ctx->route.elts[ctx->candidate].name,
                                     answer.input, &ctx->edited)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (answer.recode
               && ngx_pulse_embedding_recode(ctx->embedding, &body,
                                             &ctx->edited)
                  != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->answer.usage.input = answer.input;
    ctx->answer.usage.known = 1;
    ctx->record->estimated = !answer.known;

    return NGX_OK;
}
