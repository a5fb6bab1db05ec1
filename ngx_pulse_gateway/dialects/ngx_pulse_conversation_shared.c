
#include "ngx_pulse_conversation.h"

#include <string.h>


/*
 * OpenAI's two APIs have members in common that only steer.  Between them
 * they pass as they were written; others have no word for them.
 */


static const char  *ngx_pulse_shared_names[] = {
    "metadata", "moderation", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "service_tier", NULL
};


static ngx_uint_t ngx_pulse_shared_says(const ngx_pulse_json_value_t *v);
static ngx_uint_t ngx_pulse_shared_asks(const ngx_pulse_shared_t *shared);


void
ngx_pulse_shared_read(ngx_pulse_conversation_t *cv, const ngx_str_t *body,
    const ngx_pulse_json_value_t *root)
{
    const char                   **name;
    ngx_pulse_shared_t            *shared;
    const ngx_pulse_json_value_t  *v;

    for (name = ngx_pulse_shared_names; *name; name++) {
        v = ngx_pulse_member(root, *name);

        if (v == NULL || !ngx_pulse_shared_says(v)) {
            continue;
        }

        shared = &cv->shared[cv->nshared++];
        shared->name = *name;
        shared->value = ngx_pulse_raw(body, v);
    }
}


/* "auto" is what both do unless told */

static ngx_uint_t
ngx_pulse_shared_says(const ngx_pulse_json_value_t *v)
{
    return v->type != NGX_PULSE_JSON_STRING
           || !ngx_pulse_is(&v->key, "service_tier")
           || !ngx_pulse_is(&v->string, "auto");
}


/* the older of two names for who asks; alone it is the same as the newer */

ngx_int_t
ngx_pulse_shared_user(ngx_pulse_conversation_t *cv,
    const ngx_pulse_json_value_t *root, ngx_pulse_chat_refusal_t *refusal)
{
    if (ngx_pulse_member_string(root, "user", &cv->old_user, refusal) != NGX_OK
        || ngx_pulse_member_string(root, "safety_identifier", &cv->user,
                                   refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (cv->user.len == 0) {
        cv->user = cv->old_user;
        ngx_str_null(&cv->old_user);
    }

    return NGX_OK;
}


void
ngx_pulse_shared_write(const ngx_pulse_conversation_t *cv, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < cv->nshared; i++) {
        ngx_pulse_json_raw(b, cv->shared[i].name, &cv->shared[i].value);
    }
}


void
ngx_pulse_shared_drop(const ngx_pulse_conversation_t *cv,
    ngx_pulse_dropped_t *dropped)
{
    ngx_uint_t  i;

    for (i = 0; i < cv->nshared; i++) {

        if (ngx_pulse_shared_asks(&cv->shared[i])) {
            ngx_pulse_dropped_add(dropped, cv->shared[i].name);
        }
    }

    if (cv->old_user.len) {
        ngx_pulse_dropped_add(dropped, "user");
    }

    if (cv->format_description.len) {
        ngx_pulse_dropped_add(dropped, "description");
    }
}


/* the ordinary tier is what any provider gives unless asked */

static ngx_uint_t
ngx_pulse_shared_asks(const ngx_pulse_shared_t *shared)
{
    return strcmp(shared->name, "service_tier") != 0
           || !ngx_pulse_is(&shared->value, "\"default\"");
}
