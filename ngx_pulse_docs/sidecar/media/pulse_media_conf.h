
#ifndef _PULSE_MEDIA_CONF_H_INCLUDED_
#define _PULSE_MEDIA_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"
#include "ngx_pulse_models.h"


/*
 * What makes pictures and videos: the models of these kinds in the catalogue
 * (conf/models.json, --models), and the providers that serve them, whose keys
 * and addresses come from the environment as those of conf/providers.conf do:
 * OPENAI_API_KEY and OPENAI_BASE_URL, GOOGLE_..., REPLICATE_....
 *
 * All is read once, before the first thread starts, and never changes.
 */

typedef struct {
    const char   *name;             /* "openai", "google", "replicate" */
    const char   *base;             /* without a "/" at its end */
    const char   *key;              /* NULL: it is not to be had */
    const char   *host;             /* of the base, in lower case */
} pulse_media_provider_t;


typedef struct {
    const ngx_pulse_model_t       *model;   /* id, name, kind, prices */
    const pulse_media_provider_t  *provider;
    const ngx_pulse_json_value_t  *capabilities;    /* or NULL */
    const char                    *id;      /* model->id, NUL terminated */
} pulse_media_model_t;


/* Reads the catalogue and the environment; "file" NULL: there are no models.
 * NGX_ERROR with a line in the log, which has no key in it. */
ngx_int_t pulse_media_conf(const char *file);

/* A provider by its name, with a key or without; NULL: there is none. */
const pulse_media_provider_t *pulse_media_provider(const char *name);

/*
 * A model of a kind (NGX_PULSE_MODEL_IMAGE, _VIDEO) by its id, an alias, or
 * "PROVIDER:ID"; NULL if there is none.  Whether it is to be had, its
 * provider's key says.
 */
const pulse_media_model_t *pulse_media_find(ngx_uint_t kind,
    const ngx_str_t *name);

/* The models of a kind one after the other, as the catalogue has them; the
 * first is that after NULL, NULL the one after the last. */
const pulse_media_model_t *pulse_media_next(ngx_uint_t kind,
    const pulse_media_model_t *after);

/* What the catalogue says of what a model can do: a flag, a number, or if a
 * value is in a list; "absent" where it does not say. */
ngx_uint_t pulse_media_can(const pulse_media_model_t *model,
    const char *capability, ngx_uint_t absent);
ngx_int_t pulse_media_most(const pulse_media_model_t *model,
    const char *capability, ngx_int_t absent);
ngx_uint_t pulse_media_offers(const pulse_media_model_t *model,
    const char *capability, const ngx_str_t *value, ngx_uint_t absent);

/* The price of "n" pictures or seconds (NGX_PULSE_PRICE_IMAGE, _SECOND) in
 * nano-USD, NGX_PULSE_PRICE_UNKNOWN if it is not known. */
int64_t pulse_media_price(const pulse_media_model_t *model, ngx_uint_t part,
    ngx_uint_t n);


#endif /* _PULSE_MEDIA_CONF_H_INCLUDED_ */
