
#include "ngx_http_pulse_gateway.h"


#define NGX_HTTP_PULSE_GATEWAY_ZONE_SIZE  (128 * 1024)


static ngx_int_t ngx_http_pulse_gateway_learn_init(ngx_shm_zone_t *zone,
    void *data);
static ngx_uint_t ngx_http_pulse_gateway_priced(
    ngx_http_pulse_candidate_t *candidate);
static void ngx_http_pulse_gateway_unpriced(
    ngx_http_pulse_gateway_ctx_t *ctx);


/* names in the catalogue's flat fields, and in its "prices" */

static const char  *ngx_http_pulse_models_parts[] = {
    "input", "cached", "cache_write", "cache_hour", "output", "reasoning",
    "image", "second"
};


ngx_int_t
ngx_http_pulse_gateway_learn_zone(ngx_conf_t *cf,
    ngx_http_pulse_gateway_main_conf_t *gmcf)
{
    static ngx_str_t  name = ngx_string("pulse_models");

    gmcf->learned = ngx_shared_memory_add(cf, &name,
                                          NGX_HTTP_PULSE_GATEWAY_ZONE_SIZE,
                                          &ngx_http_pulse_gateway_module);
    if (gmcf->learned == NULL) {
        return NGX_ERROR;
    }

    gmcf->learned->init = ngx_http_pulse_gateway_learn_init;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_gateway_learn_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *pool;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = pool->data;
        return NGX_OK;
    }

    zone->data = ngx_slab_calloc(pool, NGX_PULSE_LEARN_MODELS
                                       * sizeof(ngx_pulse_learned_t));
    pool->data = zone->data;

    return zone->data ? NGX_OK : NGX_ERROR;
}


ngx_pulse_learned_t *
ngx_http_pulse_gateway_learned(ngx_http_request_t *r,
    ngx_http_pulse_candidate_t *candidate, ngx_uint_t create)
{
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    return ngx_pulse_learn_find(gmcf->learned->data,
                                &candidate->provider->name, &candidate->name,
                                create);
}


uint64_t
ngx_http_pulse_gateway_bound(const ngx_pulse_tokens_t *prompt,
    ngx_http_pulse_provider_t *provider)
{
    uint64_t    n, frames;
    ngx_uint_t  i;

    frames = 0;

    for (i = 0; i < NGX_PULSE_DIALECTS; i++) {

        if (provider->dialects & (1 << i)) {
            n = ngx_pulse_conversation_frames(prompt, i);
            frames = ngx_max(frames, n);
        }
    }

    return ngx_pulse_tokens_bound(prompt) + frames;
}


void
ngx_http_pulse_gateway_learn(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t                     bound, likely;
    ngx_pulse_learned_t         *learned;
    ngx_http_pulse_candidate_t  *candidate;

    /* what pictures come to is not of the text */

    if (ctx->chat.images_low || ctx->chat.images_high) {
        return;
    }

    candidate = &ctx->route.elts[ctx->candidate];

    learned = ngx_http_pulse_gateway_learned(ctx->request, candidate, 1);
    if (learned == NULL) {
        return;
    }

    bound = ngx_http_pulse_gateway_bound(&ctx->chat.prompt,
                                         candidate->provider);
    likely = ngx_pulse_tokens_likely(&ctx->chat.prompt);

    ngx_pulse_learn_note(learned, bound, likely, ctx->answer.usage.input);
}


void
ngx_http_pulse_gateway_price(ngx_http_pulse_gateway_ctx_t *ctx)
{
    uint64_t                     counts[NGX_PULSE_PRICE_PARTS];
    ngx_http_pulse_record_t     *record;
    ngx_pulse_chat_usage_t       usage;
    const ngx_pulse_price_t     *price;
    ngx_http_pulse_candidate_t  *candidate;

    record = ctx->record;
    candidate = &ctx->route.elts[ctx->candidate];
    price = NULL;

    if (ngx_http_pulse_gateway_priced(candidate)) {
        price = ngx_pulse_price_find(candidate->model->prices,
                                     candidate->model->nprices, ngx_time(),
                                     record->input);
    }

    if (price) {
        ngx_memzero(&usage, sizeof(ngx_pulse_chat_usage_t));

        usage.input = record->input;
        usage.cached = record->cached;
        usage.cache_write = record->cache_write;
        usage.cache_hour = ctx->answer.usage.cache_hour;
        usage.output = record->output;
        usage.reasoning = record->reasoning;

        ngx_pulse_price_counts(&usage, counts);
        record->price = ngx_pulse_price_sum(price, counts);
    }

    if (record->price == NGX_PULSE_PRICE_UNKNOWN) {
        ngx_http_pulse_gateway_unpriced(ctx);
    }
}


/* The model itself, or a dated version of it; one that was tuned has another
 * price, and those that a pattern matches have each its own. */

static ngx_uint_t
ngx_http_pulse_gateway_priced(ngx_http_pulse_candidate_t *candidate)
{
    size_t      i;
    u_char      ch;
    ngx_str_t  *id, *name;

    if (candidate->model == NULL) {
        return 0;
    }

    id = &candidate->model->id;
    name = &candidate->name;

    if (ngx_strlchr(id->data, id->data + id->len, '*')) {
        return 0;
    }

    for (i = id->len; i < name->len; i++) {
        ch = name->data[i];

        if ((ch < '0' || ch > '9') && ch != '-') {
            return 0;
        }
    }

    return 1;
}


/* once for each model, as long as the zone lives */

static void
ngx_http_pulse_gateway_unpriced(ngx_http_pulse_gateway_ctx_t *ctx)
{
    ngx_pulse_learned_t         *learned;
    ngx_http_pulse_candidate_t  *candidate;

    candidate = &ctx->route.elts[ctx->candidate];
    learned = ngx_http_pulse_gateway_learned(ctx->request, candidate, 1);

    if (learned && __sync_bool_compare_and_swap(&learned->warned, 0, 1)) {
        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "pulse gateway: model \"%V\" of \"%V\" has no price",
                      &candidate->name, &candidate->provider->name);
    }
}


void
ngx_http_pulse_models_prices(ngx_pulse_model_t *model, ngx_pulse_buf_t *b)
{
    char                      name[32];
    u_char                    text[24];
    ngx_uint_t                i, n;
    const ngx_pulse_price_t  *price;

    price = ngx_pulse_price_find(model->prices, model->nprices, ngx_time(),
                                 0);

    for (i = 0; i < NGX_PULSE_PRICE_PARTS; i++) {
        (void) snprintf(name, sizeof(name), "%s_price",
                        ngx_http_pulse_models_parts[i]);

        ngx_http_pulse_models_number(b, name, price->rates[i],
                                     NGX_PULSE_PRICE_UNKNOWN);
    }

    ngx_pulse_buf_literal(b, ",\"price_unit\":\"nano-USD/token\","
                             "\"prices\":[");

    for (n = 1; n < model->nprices; n++) {
        price = &model->prices[n];

        if (n > 1) {
            ngx_pulse_buf_char(b, ',');
        }

        ngx_pulse_buf_literal(b, "{\"from\":");

        if (price->from) {
            ngx_pulse_rfc3339(text, price->from * 1000);
            ngx_pulse_buf_json(b, text, sizeof("YYYY-MM-DD") - 1);

        } else {
            ngx_pulse_buf_literal(b, "null");
        }

        ngx_http_pulse_models_number(b, "above", price->above, 0);

        for (i = 0; i < NGX_PULSE_PRICE_PARTS; i++) {
            ngx_http_pulse_models_number(b, ngx_http_pulse_models_parts[i],
                                         price->rates[i],
                                         NGX_PULSE_PRICE_UNKNOWN);
        }

        ngx_pulse_buf_char(b, '}');
    }

    ngx_pulse_buf_char(b, ']');
}
