
#ifndef _NGX_PULSE_MODELS_H_INCLUDED_
#define _NGX_PULSE_MODELS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"
#include "ngx_pulse_chat.h"
#include "ngx_pulse_price.h"


/*
 * The catalogue of models (conf/models.json): what they are called, what
 * they cost and what they can do.  Facts, not code.
 */

#define NGX_PULSE_MODEL_CHAT         0
#define NGX_PULSE_MODEL_IMAGE        1
#define NGX_PULSE_MODEL_VIDEO        2
#define NGX_PULSE_MODEL_EMBEDDING    3
#define NGX_PULSE_MODEL_MODERATION   4

#define NGX_PULSE_MODEL_UNSAID       0      /* of what it can do */
#define NGX_PULSE_MODEL_NO           1
#define NGX_PULSE_MODEL_YES          2


typedef struct {
    ngx_str_t    id;
    ngx_str_t    provider;
    ngx_str_t    name;
    ngx_str_t    kind_name;
    ngx_str_t    retires;               /* date, or empty */
    ngx_str_t    capabilities;          /* the JSON object as written */
    ngx_str_t    parameter;             /* max-token field, or empty */
    ngx_uint_t   kind;
    int64_t      context_window;        /* tokens; 0: not known */
    int64_t      max_output_tokens;
    int64_t      image_low;             /* tokens of a picture; 0: not known */
    int64_t      image_high;
    ngx_uint_t   efforts;               /* 1 << NGX_PULSE_EFFORT_* */

    /* NGX_PULSE_MODEL_UNSAID, _NO or _YES */

    ngx_uint_t   streaming;
    ngx_uint_t   tools;
    ngx_uint_t   responses_tools;       /* tools only by /responses */
    ngx_uint_t   responses_effort;      /* the same, beside an effort */
    ngx_uint_t   forced_choice;
    ngx_uint_t   vision;
    ngx_uint_t   reasoning;
    ngx_uint_t   sampling;
    ngx_uint_t   prefill;
    ngx_uint_t   thinking_budget;
    ngx_uint_t   thinking_off;
    ngx_uint_t   between_tools;
    ngx_uint_t   system_inside;
    ngx_uint_t   https_images;
    ngx_uint_t   reasoning_content;     /* takes thinking back as that */
    ngx_uint_t   named_choice;
    ngx_uint_t   developer;
    ngx_uint_t   extra_content;

    ngx_pulse_chat_parameter_t  *parameters;    /* other names, or refused */
    ngx_uint_t                   nparameters;

    ngx_str_t   *aliases;
    ngx_uint_t   naliases;

    ngx_pulse_price_t   price;          /* for ever and any prompt */
    ngx_pulse_price_t  *prices;         /* this one first, then all others */
    ngx_uint_t          nprices;
} ngx_pulse_model_t;


/*
 * An entry whose id has a '*' is no model but a pattern: what is known of all
 * models that a provider has by such names.
 */

typedef struct {
    ngx_pulse_model_t  *elts;
    ngx_uint_t          nelts;
    ngx_pulse_model_t  *patterns;
    ngx_uint_t          npatterns;
} ngx_pulse_models_t;


/* as many characters of it are in the ledger */

#define NGX_PULSE_MODELS_PROVIDER_MAX  32
#define NGX_PULSE_MODELS_PROVIDER                                             \
    "1 to 32 letters, digits, \".\", \"_\" and \"-\""


/*
 * Reads a catalogue.  "text" must live as long as the pool.  NGX_ERROR with
 * one line in "err" that names the place.
 */
ngx_int_t ngx_pulse_models_read(ngx_pulse_models_t *models, ngx_pool_t *pool,
    const ngx_str_t *text, ngx_pulse_buf_t *err);

/* 1 if a provider may be called so: the ledger, labels, headers and
 * "provider:model" have it as it is. */
ngx_uint_t ngx_pulse_models_provider(const ngx_str_t *name);

/* A model by id or alias; "provider" NULL: of any. */
ngx_pulse_model_t *ngx_pulse_models_find(const ngx_pulse_models_t *models,
    const ngx_str_t *provider, const ngx_str_t *name);

/* The model that a dated or tuned name is a version of ("gpt-4o-2024-08-06"
 * of gpt-4o), for its limits; NULL if there is none. */
ngx_pulse_model_t *ngx_pulse_models_base(const ngx_pulse_models_t *models,
    const ngx_str_t *provider, const ngx_str_t *name);

/* What is known of names like this one among models of a kind: the longest
 * pattern, or NULL. */
ngx_pulse_model_t *ngx_pulse_models_pattern(const ngx_pulse_models_t *models,
    const ngx_str_t *provider, const ngx_str_t *name, ngx_uint_t kind);

/* 1 if two names are the same; neither folds case. */
static ngx_inline ngx_uint_t
ngx_pulse_models_equal(const ngx_str_t *one, const ngx_str_t *two)
{
    return one->len == two->len
           && ngx_memcmp(one->data, two->data, one->len) == 0;
}

/* What a model can do, or "otherwise" where the catalogue does not say. */
#define ngx_pulse_model_can(said, otherwise)                                  \
    ((said) == NGX_PULSE_MODEL_UNSAID ? (otherwise)                           \
                                      : (said) == NGX_PULSE_MODEL_YES)

/* 1 if the name is matched; '*' stands for any run of characters. */
ngx_uint_t ngx_pulse_models_glob(const ngx_str_t *glob, const ngx_str_t *name);


#endif /* _NGX_PULSE_MODELS_H_INCLUDED_ */
