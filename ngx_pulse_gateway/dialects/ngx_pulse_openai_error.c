
#include "ngx_pulse_openai.h"


/*
 * Errors in the shapes of those who speak this dialect: {"error": {"message",
 * "type", "code"}}, the same in an array (Gemini), {"error": "text", "code"}
 * (xAI), {"object": "error", "message", "type", "code"} (Mistral, vLLM), and
 * what a request lacks as {"detail": [{"loc", "msg"}]} (both).  Codes may be
 * numbers.
 */


static void ngx_pulse_openai_error_object(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_error_bare(ngx_pulse_chat_error_t *error,
    ngx_pool_t *pool, const ngx_pulse_json_value_t *root);
static ngx_int_t ngx_pulse_openai_error_detail(ngx_pulse_chat_error_t *error,
    ngx_pool_t *pool, const ngx_pulse_json_value_t *v);
static void ngx_pulse_openai_error_text(ngx_str_t *to,
    const ngx_pulse_json_value_t *v, const char *name);
static ngx_uint_t ngx_pulse_openai_is_quota(const ngx_str_t *code);



static const char  *ngx_pulse_openai_quota_codes[] = {
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "402",                              /* OpenRouter, inside of a stream */
    NULL
};


ngx_int_t
ngx_pulse_openai_error(ngx_pulse_chat_error_t *error, ngx_pool_t *pool,
    const u_char *p, size_t len)
{
    ngx_int_t                      rc;
    ngx_pulse_json_error_t         err;
    const ngx_pulse_json_value_t  *root, *v;

    ngx_memzero(error, sizeof(ngx_pulse_chat_error_t));

    root = ngx_pulse_json_tree(pool, p, len, NULL, &err);

    if (root && root->type == NGX_PULSE_JSON_ARRAY) {
        root = root->children;
    }

    v = ngx_pulse_json_get(root, "error");
    rc = NGX_OK;

    if (v && v->type == NGX_PULSE_JSON_OBJECT) {
        ngx_pulse_openai_error_object(error, v);

    } else if (v && v->type == NGX_PULSE_JSON_STRING) {
        error->message = v->string;
        ngx_pulse_openai_error_text(&error->code, root, "code");

    } else {
        rc = ngx_pulse_openai_error_bare(error, pool, root);
    }

    error->quota = ngx_pulse_openai_is_quota(&error->code)
                   || ngx_pulse_openai_is_quota(&error->type);

    return rc;
}


static void
ngx_pulse_openai_error_object(ngx_pulse_chat_error_t *error,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_openai_error_text(&error->message, v, "message");
    ngx_pulse_openai_error_text(&error->type, v, "type");
    ngx_pulse_openai_error_text(&error->code, v, "code");
}


/* "message" alone could be anything's */

static ngx_int_t
ngx_pulse_openai_error_bare(ngx_pulse_chat_error_t *error, ngx_pool_t *pool,
    const ngx_pulse_json_value_t *root)
{
    const ngx_pulse_json_value_t  *object, *detail, *message;

    object = ngx_pulse_json_get(root, "object");
    detail = ngx_pulse_json_get(root, "detail");

    if (object && object->type == NGX_PULSE_JSON_STRING
        && ngx_pulse_is(&object->string, "error"))
    {
        ngx_pulse_openai_error_object(error, root);

        message = ngx_pulse_json_get(root, "message");

        if (message && message->type == NGX_PULSE_JSON_OBJECT) {
            detail = ngx_pulse_json_get(message, "detail");
        }

    } else if (detail == NULL) {
        return NGX_DECLINED;
    }

    if (error->message.len || detail == NULL) {
        return NGX_OK;
    }

    if (detail->type == NGX_PULSE_JSON_STRING) {
        error->message = detail->string;
        return NGX_OK;
    }

    return ngx_pulse_openai_error_detail(error, pool, detail->children);
}


/* [{"loc": ["body", "seed"], "msg": "no"}] as "seed: no" */

static ngx_int_t
ngx_pulse_openai_error_detail(ngx_pulse_chat_error_t *error, ngx_pool_t *pool,
    const ngx_pulse_json_value_t *v)
{
    u_char                        *p;
    ngx_str_t                      message, place;
    const ngx_pulse_json_value_t  *loc;

    ngx_str_null(&message);
    ngx_str_null(&place);

    ngx_pulse_openai_error_text(&message, v, "msg");

    loc = ngx_pulse_json_get(v, "loc");

    for (loc = loc ? loc->children : NULL; loc; loc = loc->next) {
        if (loc->type == NGX_PULSE_JSON_STRING) {
            place = loc->string;
        }
    }

    if (place.len == 0) {
        error->message = message;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, place.len + 2 + message.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    error->message.data = p;

    p = ngx_cpymem(p, place.data, place.len);
    p = ngx_cpymem(p, ": ", 2);
    p = ngx_cpymem(p, message.data, message.len);

    error->message.len = p - error->message.data;

    return NGX_OK;
}


static void
ngx_pulse_openai_error_text(ngx_str_t *to, const ngx_pulse_json_value_t *v,
    const char *name)
{
    v = ngx_pulse_json_get(v, name);

    if (v && (v->type == NGX_PULSE_JSON_STRING
              || v->type == NGX_PULSE_JSON_NUMBER))
    {
        *to = v->string;
    }
}


static ngx_uint_t
ngx_pulse_openai_is_quota(const ngx_str_t *code)
{
    ngx_uint_t  i;

    for (i = 0; ngx_pulse_openai_quota_codes[i]; i++) {
        if (ngx_pulse_is(code, ngx_pulse_openai_quota_codes[i])) {
            return 1;
        }
    }

    return 0;
}
