
#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <time.h>
#include "pulse_file.h"
#include "pulse_log.h"
#include "pulse_media_conf.h"


#define PULSE_MEDIA_CATALOGUE  (1024 * 1024)
#define PULSE_MEDIA_POOL       16384
#define PULSE_MEDIA_NAME       128      /* bytes of "PROVIDER:ID" */


typedef struct {
    const char              *key;       /* names in the environment */
    const char              *base;
    const char              *absent;
    pulse_media_provider_t   conf;
} pulse_media_known_t;


static ngx_int_t pulse_media_environment(pulse_media_known_t *known);
static ngx_int_t pulse_media_base(pulse_media_known_t *known, CURLU *url,
    const char *base);
static ngx_uint_t pulse_media_loopback(const char *host);
static ngx_int_t pulse_media_catalogue(const char *file);
static ngx_int_t pulse_media_models(const ngx_pulse_models_t *models);
static ngx_int_t pulse_media_model(const ngx_pulse_model_t *model,
    pulse_media_model_t *to);
static ngx_uint_t pulse_media_named(const pulse_media_model_t *model,
    const ngx_str_t *name);
static ngx_uint_t pulse_media_same(const ngx_str_t *one, const ngx_str_t *two);


static pulse_media_known_t  pulse_media_providers[] = {

    { "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1",
      { "openai", NULL, NULL, NULL } },

    { "GOOGLE_API_KEY", "GOOGLE_BASE_URL",
      "https://generativelanguage.googleapis.com/v1beta",
      { "google", NULL, NULL, NULL } },

    /* the key is a file, and the host that of VERTEX_LOCATION */

    { "VERTEX_SERVICE_ACCOUNT", "VERTEX_BASE_URL",
      "https://us-central1-aiplatform.googleapis.com/v1",
      { "google-vertex", NULL, NULL, NULL } },

    { "REPLICATE_API_KEY", "REPLICATE_BASE_URL",
      "https://api.replicate.com/v1",
      { "replicate", NULL, NULL, NULL } },

    { NULL, NULL, NULL, { NULL, NULL, NULL, NULL } }
};

static struct {
    ngx_pool_t           *pool;         /* lives as long as the process */
    pulse_media_model_t  *models;
    ngx_uint_t            nmodels;
} pulse_media;


ngx_int_t
pulse_media_conf(const char *file)
{
    pulse_media_known_t  *known;

    for (known = pulse_media_providers; known->key; known++) {
        if (pulse_media_environment(known) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return file ? pulse_media_catalogue(file) : NGX_OK;
}


static ngx_int_t
pulse_media_environment(pulse_media_known_t *known)
{
    CURLU       *url;
    ngx_int_t    rc;
    const char  *base, *key;

    key = getenv(known->key);
    base = getenv(known->base);

    known->conf.key = (key && key[0] != '\0') ? key : NULL;

    if (base == NULL || base[0] == '\0') {
        base = known->absent;
    }

    url = curl_url();

    rc = url ? pulse_media_base(known, url, base) : NGX_ERROR;

    curl_url_cleanup(url);

    if (rc == NGX_ERROR) {
        pulse_log(PULSE_LOG_ERR, "pulse media: %s: it is no http: or https:"
                  " URL without credential and query", known->base);
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED && known->conf.key) {

        /* nginx may be allowed to chat there */

        pulse_log(PULSE_LOG_WARN, "pulse media: %s: no pictures and videos"
                  " are asked for there: http: is for loopback", known->base);
        known->conf.key = NULL;
    }

    return NGX_OK;
}


/* NGX_DECLINED: it would leave this machine unencrypted. */

static ngx_int_t
pulse_media_base(pulse_media_known_t *known, CURLU *url, const char *base)
{
    char       *host, *scheme, *other, *p;
    size_t      len;
    ngx_int_t   rc;

    static const CURLUPart  none[] = {
        CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
        CURLUPART_FRAGMENT
    };

    ngx_uint_t  i;

    if (curl_url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        if (curl_url_get(url, none[i], &other, 0) == CURLUE_OK) {
            curl_free(other);
            return NGX_ERROR;
        }
    }

    host = NULL;
    scheme = NULL;
    rc = NGX_ERROR;

    if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
    {
        for (p = host; *p; p++) {
            *p = tolower((u_char) *p);
        }

        if (strcmp(scheme, "https") == 0) {
            rc = NGX_OK;

        } else if (strcmp(scheme, "http") == 0) {
            rc = pulse_media_loopback(host) ? NGX_OK : NGX_DECLINED;
        }
    }

    if (rc != NGX_ERROR) {

        /* a path begins with a slash, which some write at the end, too */

        for (len = strlen(base); base[len - 1] == '/'; len--) { /* void */ }

        known->conf.base = strndup(base, len);
        known->conf.host = strdup(host);

        if (known->conf.base == NULL || known->conf.host == NULL) {
            rc = NGX_ERROR;
        }
    }

    curl_free(host);
    curl_free(scheme);

    return rc;
}


static ngx_uint_t
pulse_media_loopback(const char *host)
{
    struct in_addr  address;

    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0
           || (inet_pton(AF_INET, host, &address) == 1
               && ntohl(address.s_addr) >> 24 == 127);
}


static ngx_int_t
pulse_media_catalogue(const char *file)
{
    ngx_int_t            rc;
    ngx_str_t            text;
    ngx_pulse_buf_t     *b, err;
    ngx_pulse_models_t  *models;

    pulse_media.pool = ngx_create_pool(PULSE_MEDIA_POOL, NULL);
    if (pulse_media.pool == NULL) {
        return NGX_ERROR;
    }

    b = ngx_palloc(pulse_media.pool, sizeof(ngx_pulse_buf_t));
    models = ngx_palloc(pulse_media.pool, sizeof(ngx_pulse_models_t));

    if (b == NULL || models == NULL
        || ngx_pulse_buf_init_pool(b, PULSE_MEDIA_CATALOGUE, pulse_media.pool)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (pulse_file_read(file, b) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse media: \"%s\" cannot be read: %s",
                  file, strerror(errno));
        return NGX_ERROR;
    }

    text.data = b->data;
    text.len = b->len;

    ngx_pulse_buf_init(&err, 1024);

    rc = ngx_pulse_models_read(models, pulse_media.pool, &text, &err);

    if (rc != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse media: \"%s\": %.*s", file,
                  (int) err.len, err.data);
    }

    ngx_pulse_buf_free(&err);

    return (rc == NGX_OK) ? pulse_media_models(models) : NGX_ERROR;
}


static ngx_int_t
pulse_media_models(const ngx_pulse_models_t *models)
{
    ngx_uint_t                i;
    const ngx_pulse_model_t  *model;

    pulse_media.models = ngx_pcalloc(pulse_media.pool, (models->nelts + 1)
                                             * sizeof(pulse_media_model_t));
    if (pulse_media.models == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < models->nelts; i++) {
        model = &models->elts[i];

        if (model->kind != NGX_PULSE_MODEL_IMAGE
            && model->kind != NGX_PULSE_MODEL_VIDEO)
        {
            continue;
        }

        switch (pulse_media_model(model,
                                 &pulse_media.models[pulse_media.nmodels]))
        {
        case NGX_OK:
            pulse_media.nmodels++;
            break;

        case NGX_ERROR:
            return NGX_ERROR;

        default: /* NGX_DECLINED: nothing here speaks to its provider */
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_media_model(const ngx_pulse_model_t *model, pulse_media_model_t *to)
{
    u_char                  *id;
    char                     name[PULSE_MEDIA_NAME];
    ngx_pulse_json_error_t   err;

    snprintf(name, sizeof(name), "%.*s", (int) model->provider.len,
             model->provider.data);

    to->model = model;
    to->provider = pulse_media_provider(name);

    if (to->provider == NULL) {
        return NGX_DECLINED;
    }

    id = ngx_pnalloc(pulse_media.pool, model->id.len + 1);
    if (id == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(id, model->id.data, model->id.len) = '\0';
    to->id = (char *) id;

    if (model->capabilities.len == 0) {
        return NGX_OK;
    }

    to->capabilities = ngx_pulse_json_tree(pulse_media.pool,
                                           model->capabilities.data,
                                           model->capabilities.len, NULL,
                                           &err);

    return to->capabilities ? NGX_OK : NGX_ERROR;
}


const pulse_media_provider_t *
pulse_media_provider(const char *name)
{
    pulse_media_known_t  *known;

    for (known = pulse_media_providers; known->key; known++) {
        if (strcmp(known->conf.name, name) == 0) {
            return &known->conf;
        }
    }

    return NULL;
}


const pulse_media_model_t *
pulse_media_find(ngx_uint_t kind, const ngx_str_t *name)
{
    const pulse_media_model_t  *model;

    for (model = pulse_media_next(kind, NULL); model;
         model = pulse_media_next(kind, model))
    {
        if (pulse_media_named(model, name)) {
            return model;
        }
    }

    return NULL;
}


static ngx_uint_t
pulse_media_named(const pulse_media_model_t *model, const ngx_str_t *name)
{
    size_t      len;
    ngx_str_t   rest;
    ngx_uint_t  i;

    if (pulse_media_same(&model->model->id, name)) {
        return 1;
    }

    for (i = 0; i < model->model->naliases; i++) {
        if (pulse_media_same(&model->model->aliases[i], name)) {
            return 1;
        }
    }

    len = model->model->provider.len;

    if (name->len <= len || name->data[len] != ':'
        || memcmp(name->data, model->model->provider.data, len) != 0)
    {
        return 0;
    }

    rest.data = name->data + len + 1;
    rest.len = name->len - len - 1;

    return pulse_media_same(&model->model->id, &rest);
}


static ngx_uint_t
pulse_media_same(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && memcmp(one->data, two->data, one->len) == 0;
}


const pulse_media_model_t *
pulse_media_next(ngx_uint_t kind, const pulse_media_model_t *after)
{
    ngx_uint_t  i;

    i = after ? after - pulse_media.models + 1 : 0;

    for ( /* void */ ; i < pulse_media.nmodels; i++) {
        if (pulse_media.models[i].model->kind == kind) {
            return &pulse_media.models[i];
        }
    }

    return NULL;
}


ngx_uint_t
pulse_media_can(const pulse_media_model_t *model, const char *capability,
    ngx_uint_t absent)
{
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_get(model->capabilities, capability);

    return v ? v->boolean : absent;
}


ngx_int_t
pulse_media_most(const pulse_media_model_t *model, const char *capability,
    ngx_int_t absent)
{
    int64_t                  n;
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_get(model->capabilities, capability);

    return (v && ngx_pulse_json_int(&v->string, &n) == NGX_OK) ? n : absent;
}


ngx_uint_t
pulse_media_offers(const pulse_media_model_t *model, const char *capability,
    const ngx_str_t *value, ngx_uint_t absent)
{
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_get(model->capabilities, capability);

    if (v == NULL) {
        return absent;
    }

    for (v = v->children; v; v = v->next) {
        if (pulse_media_same(&v->string, value)) {
            return 1;
        }
    }

    return 0;
}


int64_t
pulse_media_price(const pulse_media_model_t *model, ngx_uint_t part,
    ngx_uint_t n)
{
    uint64_t                  counts[NGX_PULSE_PRICE_PARTS];
    const ngx_pulse_price_t  *price;

    memset(counts, 0, sizeof(counts));
    counts[part] = n;

    price = ngx_pulse_price_find(model->model->prices, model->model->nprices,
                                 time(NULL), 0);

    return price ? ngx_pulse_price_sum(price, counts)
                 : NGX_PULSE_PRICE_UNKNOWN;
}
