
#include "ngx_pulse_models.h"


ngx_pulse_model_t *
ngx_pulse_models_find(const ngx_pulse_models_t *models,
    const ngx_str_t *provider, const ngx_str_t *name)
{
    ngx_uint_t          i, j;
    ngx_pulse_model_t  *model;

    for (i = 0; i < models->nelts; i++) {
        model = &models->elts[i];

        if (provider && !ngx_pulse_models_equal(&model->provider, provider)) {
            continue;
        }

        if (ngx_pulse_models_equal(&model->id, name)) {
            return model;
        }

        for (j = 0; j < model->naliases; j++) {
            if (ngx_pulse_models_equal(&model->aliases[j], name)) {
                return model;
            }
        }
    }

    return NULL;
}


ngx_pulse_model_t *
ngx_pulse_models_base(const ngx_pulse_models_t *models,
    const ngx_str_t *provider, const ngx_str_t *name)
{
    ngx_str_t          *id;
    ngx_uint_t          i;
    ngx_pulse_model_t  *model, *best;

    best = NULL;

    for (i = 0; i < models->nelts; i++) {
        model = &models->elts[i];
        id = &model->id;

        if (name->len > id->len && name->data[id->len] == '-'
            && ngx_memcmp(name->data, id->data, id->len) == 0
            && ngx_pulse_models_equal(&model->provider, provider)
            && (best == NULL || id->len > best->id.len))
        {
            best = model;
        }
    }

    return best;
}


ngx_pulse_model_t *
ngx_pulse_models_pattern(const ngx_pulse_models_t *models,
    const ngx_str_t *provider, const ngx_str_t *name, ngx_uint_t kind)
{
    ngx_uint_t          i;
    ngx_pulse_model_t  *pattern, *best;

    best = NULL;

    for (i = 0; i < models->npatterns; i++) {
        pattern = &models->patterns[i];

        if (pattern->kind == kind
            && ngx_pulse_models_equal(&pattern->provider, provider)
            && (best == NULL || pattern->id.len > best->id.len)
            && ngx_pulse_models_glob(&pattern->id, name))
        {
            best = pattern;
        }
    }

    return best;
}


ngx_uint_t
ngx_pulse_models_glob(const ngx_str_t *glob, const ngx_str_t *name)
{
    size_t  g, n, star, mark;

    g = 0;
    n = 0;
    mark = 0;
    star = glob->len;

    /* a mismatch goes back to the last star, which takes one byte more */

    while (n < name->len) {

        if (g < glob->len && glob->data[g] == '*') {
            star = g++;
            mark = n;
            continue;
        }

        if (g < glob->len && glob->data[g] == name->data[n]) {
            g++;
            n++;
            continue;
        }

        if (star == glob->len) {
            return 0;
        }

        g = star + 1;
        n = ++mark;
    }

    while (g < glob->len && glob->data[g] == '*') {
        g++;
    }

    return g == glob->len;
}
