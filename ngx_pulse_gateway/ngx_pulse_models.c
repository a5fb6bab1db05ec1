
#include "ngx_pulse_models.h"
#include "ngx_pulse_conversation.h"
#include "ngx_pulse_id.h"
#include "ngx_pulse_json.h"

#include <string.h>


#define NGX_PULSE_MODELS_PRICE_MAX  1000000000     /* one dollar a token */


/* of a model's flat fields */

#define ngx_pulse_models_rate(part)                                           \
    offsetof(ngx_pulse_model_t, price.rates[NGX_PULSE_PRICE_##part])


typedef struct {
    ngx_pool_t              *pool;
    ngx_pulse_models_t      *models;
    const ngx_str_t         *text;
    ngx_pulse_buf_t         *err;
} ngx_pulse_models_reader_t;


typedef ngx_int_t (*ngx_pulse_models_member_pt)(
    ngx_pulse_models_reader_t *reader, ngx_pulse_json_value_t *v, void *to);


typedef struct {
    const char                  *name;
    ngx_pulse_models_member_pt   handler;
    size_t                       offset;
} ngx_pulse_models_member_t;


static ngx_int_t ngx_pulse_models_model(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, ngx_pulse_model_t *model);
static ngx_int_t ngx_pulse_models_verify(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, ngx_pulse_model_t *model);
static ngx_int_t ngx_pulse_models_members(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, ngx_pulse_models_member_t *table, void *to);
static ngx_int_t ngx_pulse_models_string(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_kind(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_count(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_price(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_prices(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_day(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_aliases(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_capabilities(
    ngx_pulse_models_reader_t *reader, ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_flag(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_efforts(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_parameters(
    ngx_pulse_models_reader_t *reader, ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_names(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_said(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_number(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_text(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to);
static ngx_int_t ngx_pulse_models_fail(ngx_pulse_models_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *key, const char *reason);
static ngx_uint_t ngx_pulse_models_escaped(const ngx_str_t *name);
static ngx_uint_t ngx_pulse_models_is(const ngx_str_t *s, const char *name);


static ngx_pulse_models_member_t  ngx_pulse_models_table[] = {
    { "id", ngx_pulse_models_string,
      offsetof(ngx_pulse_model_t, id) },
    { "provider", ngx_pulse_models_string,
      offsetof(ngx_pulse_model_t, provider) },
    { "name", ngx_pulse_models_string,
      offsetof(ngx_pulse_model_t, name) },
    { "kind", ngx_pulse_models_kind,
      0 },
    { "context_window", ngx_pulse_models_count,
      offsetof(ngx_pulse_model_t, context_window) },
    { "max_output_tokens", ngx_pulse_models_count,
      offsetof(ngx_pulse_model_t, max_output_tokens) },
    { "input_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(INPUT) },
    { "cached_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(CACHED) },
    { "cache_write_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(CACHE_WRITE) },
    { "cache_hour_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(CACHE_HOUR) },
    { "output_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(OUTPUT) },
    { "reasoning_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(REASONING) },
    { "image_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(IMAGE) },
    { "second_price", ngx_pulse_models_price,
      ngx_pulse_models_rate(SECOND) },
    { "prices", ngx_pulse_models_prices,
      0 },
    { "retires", ngx_pulse_models_string,
      offsetof(ngx_pulse_model_t, retires) },
    { "aliases", ngx_pulse_models_aliases,
      0 },
    { "capabilities", ngx_pulse_models_capabilities,
      0 },
    { NULL, NULL, 0 }
};


/* of an element of "prices" */

static ngx_pulse_models_member_t  ngx_pulse_models_price_table[] = {
    { "from", ngx_pulse_models_day,
      offsetof(ngx_pulse_price_t, from) },
    { "above", ngx_pulse_models_count,
      offsetof(ngx_pulse_price_t, above) },
    { "input", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_INPUT]) },
    { "cached", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_CACHED]) },
    { "cache_write", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_CACHE_WRITE]) },
    { "cache_hour", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_CACHE_HOUR]) },
    { "output", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_OUTPUT]) },
    { "reasoning", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_REASONING]) },
    { "image", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_IMAGE]) },
    { "second", ngx_pulse_models_price,
      offsetof(ngx_pulse_price_t, rates[NGX_PULSE_PRICE_SECOND]) },
    { NULL, NULL, 0 }
};


static ngx_pulse_models_member_t  ngx_pulse_models_capability_table[] = {
    { "max_tokens_parameter", ngx_pulse_models_string,
      offsetof(ngx_pulse_model_t, parameter) },
    { "image_tokens_low", ngx_pulse_models_count,
      offsetof(ngx_pulse_model_t, image_low) },
    { "image_tokens_high", ngx_pulse_models_count,
      offsetof(ngx_pulse_model_t, image_high) },
    { "streaming", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, streaming) },
    { "tools", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, tools) },
    { "tools_by_responses_only", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, responses_tools) },
    { "tools_with_effort_by_responses_only", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, responses_effort) },
    { "forced_tool_choice", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, forced_choice) },
    { "vision", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, vision) },
    { "reasoning", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, reasoning) },
    { "sampling", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, sampling) },
    { "prefill", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, prefill) },
    { "thinking_budget", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, thinking_budget) },
    { "thinking_off", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, thinking_off) },
    { "thinking_between_tools", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, between_tools) },
    { "system_messages", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, system_inside) },
    { "reasoning_content", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, reasoning_content) },
    { "named_tool_choice", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, named_choice) },
    { "developer_role", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, developer) },
    { "extra_content", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, extra_content) },
    { "parameters", ngx_pulse_models_parameters,
      0 },
    { "https_images", ngx_pulse_models_flag,
      offsetof(ngx_pulse_model_t, https_images) },
    { "efforts", ngx_pulse_models_efforts,
      offsetof(ngx_pulse_model_t, efforts) },

    /* of pictures and videos: the sidecar reads them where they stand */

    { "edits", ngx_pulse_models_said, 0 },
    { "masks", ngx_pulse_models_said, 0 },
    { "negative_prompt", ngx_pulse_models_said, 0 },
    { "standby", ngx_pulse_models_said, 0 },
    { "max_count", ngx_pulse_models_number, 0 },
    { "max_inputs", ngx_pulse_models_number, 0 },
    { "min_duration", ngx_pulse_models_number, 0 },
    { "max_duration", ngx_pulse_models_number, 0 },
    { "version", ngx_pulse_models_text, 0 },
    { "sizes", ngx_pulse_models_names, 0 },
    { "qualities", ngx_pulse_models_names, 0 },
    { "aspect_ratios", ngx_pulse_models_names, 0 },
    { "resolutions", ngx_pulse_models_names, 0 },
    { NULL, NULL, 0 }
};


static const char  *ngx_pulse_models_kinds[] = {
    "chat", "image", "video", "embedding", "moderation", NULL
};


ngx_int_t
ngx_pulse_models_read(ngx_pulse_models_t *models, ngx_pool_t *pool,
    const ngx_str_t *text, ngx_pulse_buf_t *err)
{
    ngx_pulse_model_t           model;
    ngx_pulse_json_error_t      error;
    ngx_pulse_json_value_t     *root, *list, *v;
    ngx_pulse_models_reader_t   reader;

    reader.pool = pool;
    reader.models = models;
    reader.text = text;
    reader.err = err;

    ngx_memzero(models, sizeof(ngx_pulse_models_t));

    root = ngx_pulse_json_tree(pool, text->data, text->len, NULL, &error);

    if (root == NULL) {
        ngx_pulse_buf_append(err, (u_char *) error.reason,
                             strlen(error.reason));
        ngx_pulse_buf_literal(err, " at byte ");
        ngx_pulse_buf_int(err, error.offset);
        return NGX_ERROR;
    }

    list = ngx_pulse_json_get(root, "models");

    if (list == NULL || list->type != NGX_PULSE_JSON_ARRAY) {
        return ngx_pulse_models_fail(&reader, root, "models",
                                     "must be an array");
    }

    models->elts = ngx_pcalloc(pool, (list->nelts + 1)
                                     * sizeof(ngx_pulse_model_t));
    models->patterns = ngx_pcalloc(pool, (list->nelts + 1)
                                         * sizeof(ngx_pulse_model_t));

    if (models->elts == NULL || models->patterns == NULL) {
        return NGX_ERROR;
    }

    for (v = list->children; v; v = v->next) {
        ngx_memzero(&model, sizeof(ngx_pulse_model_t));

        if (ngx_pulse_models_model(&reader, v, &model) != NGX_OK) {
            return NGX_ERROR;
        }

        if (memchr(model.id.data, '*', model.id.len)) {
            models->patterns[models->npatterns++] = model;

        } else {
            models->elts[models->nelts++] = model;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_model(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, ngx_pulse_model_t *model)
{
    ngx_pulse_price_init(&model->price);

    if (ngx_pulse_models_members(reader, v, ngx_pulse_models_table, model)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (model->prices == NULL) {
        model->prices = ngx_palloc(reader->pool, sizeof(ngx_pulse_price_t));
        if (model->prices == NULL) {
            return NGX_ERROR;
        }

        model->nprices = 1;
    }

    model->prices[0] = model->price;

    return ngx_pulse_models_verify(reader, v, model);
}


static ngx_int_t
ngx_pulse_models_verify(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, ngx_pulse_model_t *model)
{
    ngx_uint_t          i;
    ngx_pulse_model_t  *pattern;

    if (model->id.len == 0) {
        return ngx_pulse_models_fail(reader, v, "id", "is required");
    }

    if (model->provider.len == 0) {
        return ngx_pulse_models_fail(reader, v, "provider", "is required");
    }

    if (!ngx_pulse_models_provider(&model->provider)) {
        return ngx_pulse_models_fail(reader, v, "provider",
                                     "must be " NGX_PULSE_MODELS_PROVIDER);
    }

    if (model->kind_name.len == 0) {
        return ngx_pulse_models_fail(reader, v, "kind", "is required");
    }

    if (model->name.len == 0) {
        model->name = model->id;
    }

    for (i = 0; i < reader->models->npatterns; i++) {
        pattern = &reader->models->patterns[i];

        if (ngx_pulse_models_equal(&pattern->id, &model->id)
            && ngx_pulse_models_equal(&pattern->provider, &model->provider))
        {
            return ngx_pulse_models_fail(reader, v, "id", "is there twice");
        }
    }

    if (ngx_pulse_models_find(reader->models, &model->provider, &model->id)) {
        return ngx_pulse_models_fail(reader, v, "id", "is there twice");
    }

    if (model->naliases && memchr(model->id.data, '*', model->id.len)) {
        return ngx_pulse_models_fail(reader, v, "aliases",
                                     "are of a model, not of a pattern");
    }

    for (i = 0; i < model->naliases; i++) {
        if (ngx_pulse_models_find(reader->models, NULL, &model->aliases[i])) {
            return ngx_pulse_models_fail(reader, v, "aliases",
                                         "has a name that is taken");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_members(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, ngx_pulse_models_member_t *table, void *to)
{
    ngx_pulse_json_value_t     *child;
    ngx_pulse_models_member_t  *m;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_models_fail(reader, v, NULL, "must be an object");
    }

    for (child = v->children; child; child = child->next) {

        for (m = table; m->name; m++) {
            if (ngx_pulse_models_is(&child->key, m->name)) {
                break;
            }
        }

        if (m->name == NULL) {
            return ngx_pulse_models_fail(reader, child, NULL,
                                         "is not known here");
        }

        if (m->handler(reader, child, (u_char *) to + m->offset) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_string(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_str_t  *s = to;

    if (v->type != NGX_PULSE_JSON_STRING || v->string.len == 0) {
        return ngx_pulse_models_fail(reader, v, NULL,
                                     "must be a string that is not empty");
    }

    *s = v->string;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_kind(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_pulse_model_t *model = to;

    ngx_uint_t  i;

    for (i = 0; ngx_pulse_models_kinds[i]; i++) {
        if (v->type == NGX_PULSE_JSON_STRING
            && ngx_pulse_models_is(&v->string, ngx_pulse_models_kinds[i]))
        {
            model->kind = i;
            model->kind_name = v->string;
            return NGX_OK;
        }
    }

    return ngx_pulse_models_fail(reader, v, NULL,
                 "must be chat, image, video, embedding or moderation");
}


static ngx_int_t
ngx_pulse_models_count(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    int64_t *n = to;

    if (v->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&v->string, n) != NGX_OK
        || *n < 1 || *n > INT32_MAX)
    {
        return ngx_pulse_models_fail(reader, v, NULL,
                                     "must be a positive integer");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_price(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    int64_t *n = to;

    if (v->type == NGX_PULSE_JSON_NULL) {
        *n = NGX_PULSE_PRICE_UNKNOWN;
        return NGX_OK;
    }

    if (v->type != NGX_PULSE_JSON_NUMBER
        || ngx_pulse_json_int(&v->string, n) != NGX_OK
        || *n < 0 || *n > NGX_PULSE_MODELS_PRICE_MAX)
    {
        return ngx_pulse_models_fail(reader, v, NULL,
                              "must be an integer of nano-USD, or null");
    }

    return NGX_OK;
}


/* What is charged from a day on, or above a length of the prompt; the first
 * element is left to the model's flat fields. */

static ngx_int_t
ngx_pulse_models_prices(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_pulse_model_t *model = to;

    ngx_pulse_price_t       *price;
    ngx_pulse_json_value_t  *child;

    if (v->type != NGX_PULSE_JSON_ARRAY) {
        return ngx_pulse_models_fail(reader, v, NULL, "must be an array");
    }

    model->prices = ngx_pcalloc(reader->pool, (v->nelts + 1)
                                              * sizeof(ngx_pulse_price_t));
    if (model->prices == NULL) {
        return NGX_ERROR;
    }

    model->nprices = 1;

    for (child = v->children; child; child = child->next) {
        price = &model->prices[model->nprices++];

        ngx_pulse_price_init(price);

        if (ngx_pulse_models_members(reader, child,
                                     ngx_pulse_models_price_table, price)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (price->from == 0 && price->above == 0) {
            return ngx_pulse_models_fail(reader, child, NULL,
                                         "needs \"from\" or \"above\"");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_day(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    int64_t *from = to;

    u_char     text[24];
    int64_t    ms;
    ngx_str_t  s;

    ms = -1;

    if (v->type == NGX_PULSE_JSON_STRING && v->string.len == 10) {
        ngx_memcpy(ngx_cpymem(text, v->string.data, 10), "T00:00:00.000Z",
                   14);

        s.data = text;
        s.len = sizeof(text);

        ms = ngx_pulse_rfc3339_parse(&s);
    }

    if (ms <= 0) {
        return ngx_pulse_models_fail(reader, v, NULL,
                                     "must be a date, YYYY-MM-DD");
    }

    *from = ms / 1000;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_aliases(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_pulse_model_t *model = to;

    ngx_pulse_json_value_t  *child;

    if (ngx_pulse_models_names(reader, v, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    model->aliases = ngx_pcalloc(reader->pool,
                                 (v->nelts + 1) * sizeof(ngx_str_t));
    if (model->aliases == NULL) {
        return NGX_ERROR;
    }

    for (child = v->children; child; child = child->next) {
        model->aliases[model->naliases++] = child->string;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_capabilities(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_pulse_model_t *model = to;

    model->capabilities.data = reader->text->data + v->start;
    model->capabilities.len = v->end - v->start;

    return ngx_pulse_models_members(reader, v,
                                    ngx_pulse_models_capability_table, model);
}


static ngx_int_t
ngx_pulse_models_flag(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_uint_t *said = to;

    if (v->type != NGX_PULSE_JSON_BOOL) {
        return ngx_pulse_models_fail(reader, v, NULL, "must be a boolean");
    }

    *said = v->boolean ? NGX_PULSE_MODEL_YES : NGX_PULSE_MODEL_NO;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_efforts(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_uint_t *efforts = to;

    ngx_uint_t               i;
    ngx_pulse_json_value_t  *child;

    /* in the order of NGX_PULSE_EFFORT_NONE and on */

    static const char  *names[] = {
        "none", "minimal", "low", "medium", "high", "xhigh", "max", NULL
    };

    if (ngx_pulse_models_names(reader, v, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    for (child = v->children; child; child = child->next) {

        for (i = 0; names[i]; i++) {

            if (ngx_pulse_models_is(&child->string, names[i])) {
                *efforts |= 1 << (NGX_PULSE_EFFORT_NONE + i);
                break;
            }
        }

        if (names[i] == NULL) {
            return ngx_pulse_models_fail(reader, v, NULL,
                                         "has an effort that is unknown");
        }
    }

    return NGX_OK;
}


/* {"seed": "random_seed", "logprobs": null} */

static ngx_int_t
ngx_pulse_models_parameters(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_pulse_model_t *model = to;

    ngx_pulse_json_value_t      *child;
    ngx_pulse_chat_parameter_t  *parameter;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_models_fail(reader, v, NULL, "must be an object");
    }

    model->parameters = ngx_pcalloc(reader->pool, (v->nelts + 1)
                                     * sizeof(ngx_pulse_chat_parameter_t));
    if (model->parameters == NULL) {
        return NGX_ERROR;
    }

    for (child = v->children; child; child = child->next) {
        parameter = &model->parameters[model->nparameters++];
        parameter->name = child->key;

        if (child->type == NGX_PULSE_JSON_NULL && child->key.len) {
            continue;
        }

        if (child->key.len == 0 || child->type != NGX_PULSE_JSON_STRING
            || child->string.len == 0
            || ngx_pulse_models_escaped(&child->string))
        {
            return ngx_pulse_models_fail(reader, child, NULL,
                                 "must be null or another plain name");
        }

        parameter->as = child->string;
    }

    return NGX_OK;
}


/* such a name is written into requests as it is */

static ngx_uint_t
ngx_pulse_models_escaped(const ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] < ' ' || name->data[i] == '"'
            || name->data[i] == '\\')
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_pulse_models_names(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_pulse_json_value_t  *child;

    if (v->type != NGX_PULSE_JSON_ARRAY) {
        return ngx_pulse_models_fail(reader, v, NULL,
                                     "must be an array of strings");
    }

    for (child = v->children; child; child = child->next) {
        if (child->type != NGX_PULSE_JSON_STRING || child->string.len == 0) {
            return ngx_pulse_models_fail(reader, v, NULL,
                                         "must be an array of strings");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_models_said(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_uint_t  said;

    return ngx_pulse_models_flag(reader, v, &said);
}


static ngx_int_t
ngx_pulse_models_number(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    int64_t  n;

    return ngx_pulse_models_count(reader, v, &n);
}


static ngx_int_t
ngx_pulse_models_text(ngx_pulse_models_reader_t *reader,
    ngx_pulse_json_value_t *v, void *to)
{
    ngx_str_t  text;

    return ngx_pulse_models_string(reader, v, &text);
}


static ngx_int_t
ngx_pulse_models_fail(ngx_pulse_models_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *key, const char *reason)
{
    ngx_pulse_json_pointer(v, key, reader->err);
    ngx_pulse_buf_char(reader->err, ' ');
    ngx_pulse_buf_append(reader->err, (u_char *) reason, strlen(reason));

    return NGX_ERROR;
}


ngx_uint_t
ngx_pulse_models_provider(const ngx_str_t *name)
{
    return ngx_pulse_name_valid(name)
           && name->len <= NGX_PULSE_MODELS_PROVIDER_MAX;
}


static ngx_uint_t
ngx_pulse_models_is(const ngx_str_t *s, const char *name)
{
    return s->len == strlen(name) && ngx_memcmp(s->data, name, s->len) == 0;
}
