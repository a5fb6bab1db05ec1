
#include "ngx_http_pulse_gateway.h"


#define NGX_HTTP_PULSE_MODELS_FILE_MAX  (1024 * 1024)
#define NGX_HTTP_PULSE_MODELS_LIST_MAX  (4 * 1024 * 1024)



static void ngx_http_pulse_models_openai(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_models_openai_one(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_models_openai_object(ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_models_studio(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call);
static void ngx_http_pulse_models_studio_object(
    ngx_http_pulse_gateway_main_conf_t *gmcf, ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b);



ngx_http_pulse_route_t  ngx_http_pulse_models_routes[] = {

    { NGX_HTTP_GET, ngx_string("/v1/models"), 0,
      ngx_http_pulse_models_openai },

    { NGX_HTTP_GET, ngx_string("/v1/models/{id}"), 0,
      ngx_http_pulse_models_openai_one },

    { NGX_HTTP_GET, ngx_string("/v1/chat/models"), 0,
      ngx_http_pulse_models_studio },

    { NGX_HTTP_GET, ngx_string("/v1beta/models"), 0,
      ngx_http_pulse_models_gemini },

    { NGX_HTTP_GET, ngx_string("/v1beta/models/{id}"), 0,
      ngx_http_pulse_models_gemini_one },

    { 0, ngx_null_string, 0, NULL }
};


static ngx_str_t  ngx_http_pulse_models_json =
    ngx_string("application/json; charset=utf-8");


char *
ngx_http_pulse_models_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_pulse_gateway_main_conf_t *gmcf = conf;

    ngx_int_t         rc;
    ngx_str_t        *value, text, reason;
    ngx_pulse_buf_t   err;

    if (gmcf->models.elts) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_pulse_gateway_file(cf, &value[1],
                                    NGX_HTTP_PULSE_MODELS_FILE_MAX, &text)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_pulse_buf_init(&err, 1024);

    rc = ngx_pulse_models_read(&gmcf->models, cf->pool, &text, &err);

    if (rc != NGX_OK) {
        reason.data = err.data;
        reason.len = err.len;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pulse models: \"%V\": %V", &value[1], &reason);
    }

    ngx_pulse_buf_free(&err);

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_pulse_gateway_file(ngx_conf_t *cf, ngx_str_t *name, size_t max,
    ngx_str_t *text)
{
    off_t            size;
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    file.fd = fd;
    file.name = *name;
    file.log = cf->log;

    n = NGX_ERROR;
    size = 0;

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR) {
        size = ngx_file_size(&fi);
    }

    if (size > 0 && size <= (off_t) max) {
        text->data = ngx_pnalloc(cf->pool, size);

        if (text->data) {
            n = ngx_read_file(&file, text->data, size, 0);
        }
    }

    (void) ngx_close_file(fd);

    if (n != (ssize_t) size || size == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pulse gateway: \"%V\" cannot be read, is empty or"
                           " too large", name);
        return NGX_ERROR;
    }

    text->len = n;

    return NGX_OK;
}


ngx_uint_t
ngx_http_pulse_models_available(ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_pulse_model_t *model)
{
    ngx_http_pulse_provider_t   *provider;
    ngx_http_pulse_main_conf_t  *pmcf;

    if (model->kind == NGX_PULSE_MODEL_MODERATION) {
        return 0;
    }

    /* it is the sidecar that asks for pictures and videos */

    pmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_pulse_module);

    if (pmcf->sidecar.len == 0
        && (model->kind == NGX_PULSE_MODEL_IMAGE
            || model->kind == NGX_PULSE_MODEL_VIDEO))
    {
        return 0;
    }

    provider = ngx_http_pulse_provider_find(gmcf, &model->provider);

    return provider && provider->available;
}


static void
ngx_http_pulse_models_openai(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_uint_t                           i, n;
    ngx_pulse_buf_t                      b;
    ngx_pulse_model_t                   *model;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    if (call->record->dialect == NGX_HTTP_PULSE_ANTHROPIC) {
        ngx_http_pulse_models_anthropic(r, call);
        return;
    }

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_MODELS_LIST_MAX);
    ngx_pulse_buf_literal(&b, "{\"object\":\"list\",\"data\":[");

    n = 0;

    for (i = 0; i < gmcf->models.nelts; i++) {
        model = &gmcf->models.elts[i];

        if (!ngx_http_pulse_models_available(gmcf, model)) {
            continue;
        }

        if (n++) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_http_pulse_models_openai_object(model, &b);
    }

    ngx_pulse_buf_literal(&b, "]}");

    ngx_http_pulse_models_send(r, call, &b);
}


static void
ngx_http_pulse_models_openai_one(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    if (call->record->dialect == NGX_HTTP_PULSE_ANTHROPIC) {
        ngx_http_pulse_models_anthropic_one(r, call);
        return;
    }

    ngx_http_pulse_models_one(r, call, ngx_http_pulse_models_openai_object);
}


void
ngx_http_pulse_models_one(ngx_http_request_t *r, ngx_http_pulse_call_t *call,
    void (*object)(ngx_pulse_model_t *model, ngx_pulse_buf_t *b))
{
    ngx_int_t                            rc;
    ngx_pulse_buf_t                      b;
    ngx_pulse_model_t                   *model;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    model = ngx_pulse_models_find(&gmcf->models, NULL, &call->id);

    if (model && ngx_http_pulse_models_available(gmcf, model)
        && (model->kind == NGX_PULSE_MODEL_CHAT
            || call->record->dialect == NGX_HTTP_PULSE_OPENAI))
    {
        ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_MODELS_LIST_MAX);
        object(model, &b);
        ngx_http_pulse_models_send(r, call, &b);
        return;
    }

    rc = ngx_http_pulse_models_error(r, NGX_HTTP_PULSE_MODEL_NOT_FOUND,
                                     &call->id);

    ngx_http_finalize_request(r, rc);
}


ngx_int_t
ngx_http_pulse_models_error(ngx_http_request_t *r, ngx_http_pulse_code_e code,
    const ngx_str_t *name)
{
    ngx_int_t        rc;
    ngx_str_t        details;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"model\":");
    ngx_pulse_buf_json(&b, name->data, name->len);
    ngx_pulse_buf_char(&b, '}');

    details.data = b.data;
    details.len = b.len;

    rc = ngx_http_pulse_error(r, code, b.failed ? NULL : &details);

    ngx_pulse_buf_free(&b);

    return rc;
}


static void
ngx_http_pulse_models_openai_object(ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"id\":");
    ngx_pulse_buf_json(b, model->id.data, model->id.len);

    /* when a model was made is not in the catalogue */

    ngx_pulse_buf_literal(b, ",\"object\":\"model\",\"created\":0,"
                             "\"owned_by\":");
    ngx_pulse_buf_json(b, model->provider.data, model->provider.len);
    ngx_pulse_buf_literal(b, ",\"kind\":");
    ngx_pulse_buf_json(b, model->kind_name.data, model->kind_name.len);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_http_pulse_models_studio(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_uint_t                           i;
    ngx_pulse_buf_t                      b;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_MODELS_LIST_MAX);
    ngx_pulse_buf_literal(&b, "{\"models\":[");

    for (i = 0; i < gmcf->models.nelts; i++) {

        if (i) {
            ngx_pulse_buf_char(&b, ',');
        }

        ngx_http_pulse_models_studio_object(gmcf, &gmcf->models.elts[i], &b);
    }

    ngx_pulse_buf_literal(&b, "]}");

    ngx_http_pulse_models_send(r, call, &b);
}


static void
ngx_http_pulse_models_studio_object(ngx_http_pulse_gateway_main_conf_t *gmcf,
    ngx_pulse_model_t *model, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"id\":");
    ngx_pulse_buf_json(b, model->id.data, model->id.len);
    ngx_pulse_buf_literal(b, ",\"name\":");
    ngx_pulse_buf_json(b, model->name.data, model->name.len);
    ngx_pulse_buf_literal(b, ",\"provider\":");
    ngx_pulse_buf_json(b, model->provider.data, model->provider.len);
    ngx_pulse_buf_literal(b, ",\"kind\":");
    ngx_pulse_buf_json(b, model->kind_name.data, model->kind_name.len);

    ngx_http_pulse_models_number(b, "context_window", model->context_window,
                                 0);
    ngx_http_pulse_models_number(b, "max_output_tokens",
                                 model->max_output_tokens, 0);
    ngx_http_pulse_models_prices(model, b);

    ngx_pulse_buf_literal(b, ",\"capabilities\":");

    if (model->capabilities.len) {
        ngx_pulse_buf_str(b, &model->capabilities);

    } else {
        ngx_pulse_buf_literal(b, "{}");
    }

    ngx_pulse_buf_literal(b, ",\"retires\":");

    if (model->retires.len) {
        ngx_pulse_buf_json(b, model->retires.data, model->retires.len);

    } else {
        ngx_pulse_buf_literal(b, "null");
    }

    if (ngx_http_pulse_models_available(gmcf, model)) {
        ngx_pulse_buf_literal(b, ",\"available\":true}");

    } else {
        ngx_pulse_buf_literal(b, ",\"available\":false}");
    }
}


void
ngx_http_pulse_models_number(ngx_pulse_buf_t *b, const char *name, int64_t n,
    int64_t unknown)
{
    ngx_pulse_buf_literal(b, ",\"");
    ngx_pulse_buf_append(b, (u_char *) name, ngx_strlen(name));
    ngx_pulse_buf_literal(b, "\":");

    if (n == unknown) {
        ngx_pulse_buf_literal(b, "null");

    } else {
        ngx_pulse_buf_int(b, n);
    }
}


void
ngx_http_pulse_models_send(ngx_http_request_t *r, ngx_http_pulse_call_t *call,
    ngx_pulse_buf_t *b)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    text.data = b->data;
    text.len = b->len;

    if (b->failed) {
        rc = ngx_http_pulse_error(r, NGX_HTTP_PULSE_INTERNAL_ERROR, NULL);

    } else if (call->record->dialect == NGX_HTTP_PULSE_STUDIO) {
        rc = ngx_http_pulse_reply(r, NGX_HTTP_OK, &text);

    } else {
        rc = ngx_http_pulse_reply_raw(r, NGX_HTTP_OK,
                                      &ngx_http_pulse_models_json, &text);
    }

    ngx_pulse_buf_free(b);

    ngx_http_finalize_request(r, rc);
}
