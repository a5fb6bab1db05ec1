
#include "ngx_http_pulse_gateway.h"


/* The models that can be had, in the shapes of Anthropic and of Gemini. */


#define NGX_HTTP_PULSE_MODELS_SHAPE_MAX  (4 * 1024 * 1024)
#define NGX_HTTP_PULSE_MODELS_PAGE_MAX   1000


/* Arguments that page through a list; where a page begins is said by the
 * model before it, or for going back by the one after it. */

typedef struct {
    const char           *limit;
    const char           *after;
    const char           *before;       /* or NULL */
    ngx_uint_t            size;         /* unless said */
} ngx_http_pulse_models_args_t;


typedef struct {
    ngx_pulse_model_t   **elts;
    ngx_uint_t            n;
    unsigned              more:1;
} ngx_http_pulse_models_page_t;


static ngx_int_t ngx_http_pulse_models_page(ngx_http_request_t *r,
    const ngx_http_pulse_models_args_t *args,
    ngx_http_pulse_models_page_t *page);
static ngx_int_t ngx_http_pulse_models_place(ngx_http_request_t *r,
    const char *name, const ngx_http_pulse_models_page_t *page,
    ngx_uint_t *place);
static ngx_int_t ngx_http_pulse_models_refuse(ngx_http_request_t *r,
    const char *reason);
static void ngx_http_pulse_models_anthropic_object(ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_models_gemini_object(ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b);
static void ngx_http_pulse_models_limit(ngx_pulse_buf_t *b, const char *name,
    int64_t n);


void
ngx_http_pulse_models_anthropic(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_uint_t                     i;
    ngx_pulse_buf_t                b;
    ngx_http_pulse_models_page_t   page;

    static const ngx_http_pulse_models_args_t  args = {
        "limit", "after_id", "before_id", 20
    };

    if (ngx_http_pulse_models_page(r, &args, &page) != NGX_OK) {
        return;
    }

    ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_MODELS_SHAPE_MAX);
    ngx_pulse_buf_literal(&b, "{\"data\":[");

    for (i = 0; i < page.n; i++) {
        ngx_pulse_json_comma(&b);
        ngx_http_pulse_models_anthropic_object(page.elts[i], &b);
    }

    ngx_pulse_buf_literal(&b, "],\"has_more\":");

    if (page.more) {
        ngx_pulse_buf_literal(&b, "true");

    } else {
        ngx_pulse_buf_literal(&b, "false");
    }

    if (page.n) {
        ngx_pulse_json_string(&b, "first_id", &page.elts[0]->id);
        ngx_pulse_json_string(&b, "last_id", &page.elts[page.n - 1]->id);

    } else {
        ngx_pulse_buf_literal(&b, ",\"first_id\":null,\"last_id\":null");
    }

    ngx_pulse_buf_char(&b, '}');

    ngx_http_pulse_models_send(r, call, &b);
}


void
ngx_http_pulse_models_gemini(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_uint_t                     i;
    ngx_pulse_buf_t                b;
    ngx_http_pulse_models_page_t   page;

    static const ngx_http_pulse_models_args_t  args = {
        "pageSize", "pageToken", NULL, 50
    };

    if (ngx_http_pulse_models_page(r, &args, &page) != NGX_OK) {
        return;
    }

    ngx_pulse_buf_init(&b, NGX_HTTP_PULSE_MODELS_SHAPE_MAX);
    ngx_pulse_buf_literal(&b, "{\"models\":[");

    for (i = 0; i < page.n; i++) {
        ngx_pulse_json_comma(&b);
        ngx_http_pulse_models_gemini_object(page.elts[i], &b);
    }

    ngx_pulse_buf_char(&b, ']');

    if (page.more) {
        ngx_pulse_json_string(&b, "nextPageToken",
                              &page.elts[page.n - 1]->id);
    }

    ngx_pulse_buf_char(&b, '}');

    ngx_http_pulse_models_send(r, call, &b);
}


/* NGX_OK, or NGX_DECLINED with the request ended */

static ngx_int_t
ngx_http_pulse_models_page(ngx_http_request_t *r,
    const ngx_http_pulse_models_args_t *args,
    ngx_http_pulse_models_page_t *page)
{
    ngx_int_t                            size;
    ngx_str_t                            limit;
    ngx_uint_t                           i, start, end;
    ngx_pulse_model_t                   *model;
    ngx_http_pulse_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_get_module_main_conf(r, ngx_http_pulse_gateway_module);

    page->n = 0;
    page->elts = ngx_palloc(r->pool, (gmcf->models.nelts + 1)
                                     * sizeof(ngx_pulse_model_t *));
    if (page->elts == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_DECLINED;
    }

    for (i = 0; i < gmcf->models.nelts; i++) {
        model = &gmcf->models.elts[i];

        if (model->kind == NGX_PULSE_MODEL_CHAT
            && ngx_http_pulse_models_available(gmcf, model))
        {
            page->elts[page->n++] = model;
        }
    }

    size = args->size;
    limit = ngx_http_pulse_arg(r, args->limit);

    if (limit.len) {
        size = ngx_atoi(limit.data, limit.len);

        if (size < 1 || size > NGX_HTTP_PULSE_MODELS_PAGE_MAX) {
            return ngx_http_pulse_models_refuse(r, "a page is of 1 to 1000");
        }
    }

    start = page->n;
    end = page->n;

    if (ngx_http_pulse_models_place(r, args->after, page, &start) != NGX_OK
        || (args->before
            && ngx_http_pulse_models_place(r, args->before, page, &end)
               != NGX_OK))
    {
        return NGX_DECLINED;
    }

    start = (start < page->n) ? start + 1 : 0;

    /* going back, what is left out is before the page */

    page->more = (end > start && end - start > (ngx_uint_t) size);

    if (page->more && end < page->n) {
        start = end - size;

    } else if (page->more) {
        end = start + size;
    }

    page->elts += start;
    page->n = (end > start) ? end - start : 0;

    return NGX_OK;
}


/* leaves the place as it is where the argument is not there */

static ngx_int_t
ngx_http_pulse_models_place(ngx_http_request_t *r, const char *name,
    const ngx_http_pulse_models_page_t *page, ngx_uint_t *place)
{
    ngx_str_t   id;
    ngx_uint_t  i;

    id = ngx_http_pulse_arg(r, name);

    if (id.len == 0) {
        return NGX_OK;
    }

    for (i = 0; i < page->n; i++) {

        if (page->elts[i]->id.len == id.len
            && ngx_memcmp(page->elts[i]->id.data, id.data, id.len) == 0)
        {
            *place = i;
            return NGX_OK;
        }
    }

    return ngx_http_pulse_models_refuse(r, "a page begins at no such model");
}


static ngx_int_t
ngx_http_pulse_models_refuse(ngx_http_request_t *r, const char *reason)
{
    ngx_http_finalize_request(r, ngx_http_pulse_invalid(r, "", reason));

    return NGX_DECLINED;
}


void
ngx_http_pulse_models_anthropic_one(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_http_pulse_models_one(r, call,
                              ngx_http_pulse_models_anthropic_object);
}


void
ngx_http_pulse_models_gemini_one(ngx_http_request_t *r,
    ngx_http_pulse_call_t *call)
{
    ngx_http_pulse_models_one(r, call, ngx_http_pulse_models_gemini_object);
}


static void
ngx_http_pulse_models_anthropic_object(ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"type\":\"model\"");
    ngx_pulse_json_string(b, "id", &model->id);
    ngx_pulse_json_string(b, "display_name", &model->name);

    /* when a model was made is not in the catalogue */

    ngx_pulse_json_literal(b, "created_at", "1970-01-01T00:00:00Z");
    ngx_pulse_json_literal(b, "lifecycle",
                           model->retires.len ? "deprecated" : "active");
    ngx_http_pulse_models_limit(b, "max_input_tokens", model->context_window);
    ngx_http_pulse_models_limit(b, "max_tokens", model->max_output_tokens);
    ngx_pulse_buf_char(b, '}');
}


static void
ngx_http_pulse_models_gemini_object(ngx_pulse_model_t *model,
    ngx_pulse_buf_t *b)
{
    /* a catalogue's names need no escape */

    ngx_pulse_buf_literal(b, "{\"name\":\"models/");
    ngx_pulse_buf_str(b, &model->id);
    ngx_pulse_buf_char(b, '"');
    ngx_pulse_json_string(b, "displayName", &model->name);
    ngx_http_pulse_models_limit(b, "inputTokenLimit", model->context_window);
    ngx_http_pulse_models_limit(b, "outputTokenLimit",
                                model->max_output_tokens);

    if (ngx_pulse_model_can(model->reasoning, 0)) {
        ngx_pulse_buf_literal(b, ",\"thinking\":true");
    }

    ngx_pulse_buf_literal(b, ",\"supportedGenerationMethods\":["
                             "\"generateContent\",\"countTokens\"]}");
}


static void
ngx_http_pulse_models_limit(ngx_pulse_buf_t *b, const char *name, int64_t n)
{
    if (n) {
        ngx_pulse_json_number(b, name, n);
    }
}
