
#include "ngx_http_pulse_gateway.h"


/* The models that can be had, in the shapes of Anthropic and of Gemini. */


#define NGX_HTTP_PULSE_MODELS_SHAPE_MAX  (4 * 1024 * 1024)


static void ngx_http_pulse_models_limit(ngx_pulse_buf_t *b, const char *name,
    int64_t n);


void
ngx_http_pulse_models_anthropic(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_uint_t                           i;
    ngx_pulse_buf_t                      b;
    ngx_pulse_model_t                   *model, *first, *last;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_MODELS_SHAPE_MAX);
    first = NULL;
    last = NULL;

    ngx_pulse_buf_literal(&b, "{\"data\":[");

    for (i = 0; i < gmcf->models.nelts; i++) {
        model = &gmcf->models.elts[i];

        if (model->kind != NGX_PULSE_MODEL_CHAT
            || !ngx_http_pulse_models_available(gmcf, model))
        {
            continue;
        }

        if (first == NULL) {
            first = model;
        }

        last = model;

        /* when a model was made is not in the catalogue */

        ngx_pulse_json_comma(&b);
        ngx_pulse_buf_literal(&b, "{\"type\":\"model\"");
        ngx_pulse_json_string(&b, "id", &model->id);
        ngx_pulse_json_string(&b, "display_name", &model->name);
        ngx_pulse_json_literal(&b, "created_at", "1970-01-01T00:00:00Z");
        ngx_http_pulse_models_limit(&b, "max_input_tokens",
                                    model->context_window);
        ngx_http_pulse_models_limit(&b, "max_tokens",
                                    model->max_output_tokens);
        ngx_pulse_buf_char(&b, '}');
    }

    ngx_pulse_buf_literal(&b, "],\"has_more\":false");

    if (first) {
        ngx_pulse_json_string(&b, "first_id", &first->id);
        ngx_pulse_json_string(&b, "last_id", &last->id);
    }

    ngx_pulse_buf_char(&b, '}');

    ngx_http_pulse_models_send(r, call, &b);
}


void
ngx_http_pulse_models_gemini(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_uint_t                           i;
    ngx_pulse_buf_t                      b;
    ngx_pulse_model_t                   *model;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_MODELS_SHAPE_MAX);
    ngx_pulse_buf_literal(&b, "{\"models\":[");

    for (i = 0; i < gmcf->models.nelts; i++) {
        model = &gmcf->models.elts[i];

        if (model->kind != NGX_PULSE_MODEL_CHAT
            || !ngx_http_pulse_models_available(gmcf, model))
        {
            continue;
        }

        /* a catalogue's names need no escape */

        ngx_pulse_json_comma(&b);
        ngx_pulse_buf_literal(&b, "{\"name\":\"models/");
        ngx_pulse_buf_str(&b, &model->id);
        ngx_pulse_buf_char(&b, '"');
        ngx_pulse_json_string(&b, "displayName", &model->name);
        ngx_http_pulse_models_limit(&b, "inputTokenLimit",
                                    model->context_window);
        ngx_http_pulse_models_limit(&b, "outputTokenLimit",
                                    model->max_output_tokens);
        ngx_pulse_buf_literal(&b, ",\"supportedGenerationMethods\":["
                                  "\"generateContent\",\"countTokens\"]}");
    }

    ngx_pulse_buf_literal(&b, "]}");

    ngx_http_pulse_models_send(r, call, &b);
}


static void
ngx_http_pulse_models_limit(ngx_pulse_buf_t *b, const char *name, int64_t n)
{
    if (n) {
        ngx_pulse_json_number(b, name, n);
    }
}
