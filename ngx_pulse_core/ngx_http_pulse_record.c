
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_http_pulse.h"


#define NGX_HTTP_PULSE_VAR_STR    0      /* what a variable reads */
#define NGX_HTTP_PULSE_VAR_COUNT  1
#define NGX_HTTP_PULSE_VAR_INDEX  2

#define ngx_http_pulse_var(type, field)                                       \
    (((uintptr_t) type << 16) | offsetof(ngx_http_pulse_record_t, field))


static void ngx_http_pulse_record_cleanup(void *data);
static ngx_int_t ngx_http_pulse_record_trace(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record);
static ngx_uint_t ngx_http_pulse_traceparent_valid(ngx_str_t *value);
static ngx_uint_t ngx_http_pulse_accept_locale(ngx_str_t *value);
static ngx_uint_t ngx_http_pulse_quality(u_char *p, u_char *last);

static ngx_int_t ngx_http_pulse_trace_filter(ngx_http_request_t *r);

static ngx_int_t ngx_http_pulse_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_pulse_variable_first_token(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_pulse_variable_verdict(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_pulse_variable_locale(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_pulse_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t n);


static ngx_http_variable_t  ngx_http_pulse_variables[] = {

    { ngx_string("pulse_trace_id"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_STR, trace_id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_user"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_STR, user_id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_plan"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_STR, plan),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_model"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_STR, model),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_provider"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_STR, provider),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_tokens_in"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_COUNT, input),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_tokens_out"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_COUNT, output),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_cached"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_COUNT, cached),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_reasoning"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_COUNT, reasoning),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_estimated"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_INDEX, estimated),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_attempts"), NULL, ngx_http_pulse_variable,
      ngx_http_pulse_var(NGX_HTTP_PULSE_VAR_INDEX, attempts),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_first_token"), NULL,
      ngx_http_pulse_variable_first_token, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_verdict"), NULL,
      ngx_http_pulse_variable_verdict, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("pulse_locale"), NULL,
      ngx_http_pulse_variable_locale, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


ngx_http_pulse_record_t *
ngx_http_pulse_record(ngx_http_request_t *r)
{
    ngx_str_t                  *value;
    ngx_pool_cleanup_t         *cln;
    ngx_http_pulse_record_t    *record;
    ngx_http_pulse_loc_conf_t  *plcf;

    record = ngx_http_pulse_record_find(r);
    if (record != NULL) {
        return record;
    }

    r = r->main;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_pulse_record_t));
    if (cln == NULL) {
        return NULL;
    }

    record = cln->data;
    ngx_memzero(record, sizeof(ngx_http_pulse_record_t));

    /* the handler is what ngx_http_pulse_record_find() knows it by */

    cln->handler = ngx_http_pulse_record_cleanup;

    if (ngx_http_pulse_record_trace(r, record) != NGX_OK) {
        cln->handler = NULL;
        return NULL;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_pulse_module);
    record->dialect = plcf->dialect;
    record->price = -1;

    /* /v1/models is a path of OpenAI's and of Anthropic's, whose clients are
     * known by this */

    if (plcf->dialect == NGX_HTTP_PULSE_OPENAI
        && (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))
        && ngx_http_pulse_header(r, "anthropic-version",
                                 sizeof("anthropic-version") - 1))
    {
        record->dialect = NGX_HTTP_PULSE_ANTHROPIC;
    }

    value = ngx_http_pulse_header(r, "accept-language",
                                  sizeof("accept-language") - 1);

    record->locale = value ? ngx_http_pulse_accept_locale(value)
                           : NGX_HTTP_PULSE_AR;

    return record;
}


/*
 * It is asked for with each event of a stream, which may have put thousands
 * of cleanups before it: so it goes ahead of them, as its own does nothing
 * that could come too late.
 */

ngx_http_pulse_record_t *
ngx_http_pulse_record_find(ngx_http_request_t *r)
{
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln, **p;

    pool = r->main->pool;

    for (p = &pool->cleanup; *p != NULL; p = &(*p)->next) {
        cln = *p;

        if (cln->handler == ngx_http_pulse_record_cleanup) {
            *p = cln->next;
            cln->next = pool->cleanup;
            pool->cleanup = cln;

            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_http_pulse_record_cleanup(void *data)
{
    /* the record goes with the pool that holds it */
}


static ngx_int_t
ngx_http_pulse_record_trace(ngx_http_request_t *r,
    ngx_http_pulse_record_t *record)
{
    ngx_str_t  *value;

    value = ngx_http_pulse_header(r, "traceparent", sizeof("traceparent") - 1);

    if (value != NULL && ngx_http_pulse_traceparent_valid(value)) {
        record->traceparent = *value;
    }

    value = ngx_http_pulse_header(r, "x-request-id",
                                  sizeof("x-request-id") - 1);

    if (value != NULL && value->len <= 128 && ngx_pulse_name_valid(value))
    {
        record->trace_id = *value;
        return NGX_OK;
    }

    record->trace_id.data = ngx_pnalloc(r->pool, NGX_HTTP_PULSE_UUID_LEN);
    if (record->trace_id.data == NULL) {
        return NGX_ERROR;
    }

    record->trace_id.len = NGX_HTTP_PULSE_UUID_LEN;
    ngx_pulse_uuid7(record->trace_id.data);

    return NGX_OK;
}


/* W3C Trace Context, version 00: 00-<32 hex>-<16 hex>-<2 hex> */

static ngx_uint_t
ngx_http_pulse_traceparent_valid(ngx_str_t *value)
{
    u_char      ch, *p;
    ngx_uint_t  i, trace, parent;

    p = value->data;

    if (value->len != 55 || p[0] != '0' || p[1] != '0') {
        return 0;
    }

    trace = 0;
    parent = 0;

    for (i = 2; i < 55; i++) {
        ch = p[i];

        if (i == 2 || i == 35 || i == 52) {
            if (ch != '-') {
                return 0;
            }

            continue;
        }

        if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'f')) {
            return 0;
        }

        if (i < 35) {
            trace |= ch ^ '0';

        } else if (i < 52) {
            parent |= ch ^ '0';
        }
    }

    return trace && parent;
}


/* RFC 9110, 12.5.4: the better of our two languages, the first of equals */

static ngx_uint_t
ngx_http_pulse_accept_locale(ngx_str_t *value)
{
    u_char      *p, *last, *comma, *tag, *end;
    ngx_uint_t   locale, best, found, q;

    p = value->data;
    last = p + value->len;

    best = 0;
    found = NGX_HTTP_PULSE_AR;

    for ( /* void */ ; p < last; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');
        if (comma == NULL) {
            comma = last;
        }

        while (p < comma && (*p == ' ' || *p == '\t')) {
            p++;
        }

        tag = p;

        for (end = p; end < comma; end++) {
            if (*end == ';' || *end == '-' || *end == ' ' || *end == '\t') {
                break;
            }
        }

        if (end - tag != 2) {
            continue;
        }

        if (ngx_strncasecmp(tag, (u_char *) "ar", 2) == 0) {
            locale = NGX_HTTP_PULSE_AR;

        } else if (ngx_strncasecmp(tag, (u_char *) "en", 2) == 0) {
            locale = NGX_HTTP_PULSE_EN;

        } else {
            continue;
        }

        q = ngx_http_pulse_quality(end, comma);

        if (q > best) {
            best = q;
            found = locale;
        }
    }

    return found;
}


/* The weight among the parameters, in thousandths; 1000 if there is none. */

static ngx_uint_t
ngx_http_pulse_quality(u_char *p, u_char *last)
{
    ngx_uint_t  q, unit;

    p = ngx_strlchr(p, last, ';');
    if (p == NULL) {
        return 1000;
    }

    for (p++; p < last && (*p == ' ' || *p == '\t'); p++) { /* void */ }

    if (last - p < 3 || (*p | 0x20) != 'q' || p[1] != '=') {
        return 1000;
    }

    p += 2;

    if (*p == '1') {
        return 1000;
    }

    if (*p++ != '0' || p == last || *p++ != '.') {
        return 0;
    }

    q = 0;

    for (unit = 100; unit && p < last && *p >= '0' && *p <= '9'; p++) {
        q += unit * (*p - '0');
        unit /= 10;
    }

    return q;
}


/* Puts X-Trace-ID on what others answer: proxied replies, files, pages. */

static ngx_int_t
ngx_http_pulse_trace_filter(ngx_http_request_t *r)
{
    ngx_http_pulse_record_t  *record;

    if (r == r->main) {
        record = ngx_http_pulse_record(r);

        if (record == NULL
            || ngx_http_pulse_set_header(r, "X-Trace-ID", &record->trace_id)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_pulse_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                   *field;
    ngx_str_t                *s;
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    field = (u_char *) record + (data & 0xffff);

    switch (data >> 16) {

    case NGX_HTTP_PULSE_VAR_COUNT:
        return ngx_http_pulse_variable_number(r, v, *(uint64_t *) field);

    case NGX_HTTP_PULSE_VAR_INDEX:
        return ngx_http_pulse_variable_number(r, v, *(ngx_uint_t *) field);

    default: /* NGX_HTTP_PULSE_VAR_STR */
        break;
    }

    s = (ngx_str_t *) field;

    if (s->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = s->len;
    v->data = s->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_variable_first_token(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL || record->first_token == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_pulse_variable_number(r, v, record->first_token);
}


static ngx_int_t
ngx_http_pulse_variable_verdict(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                *name;
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = ngx_http_pulse_code_name(record->code);

    v->len = name->len;
    v->data = name->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_variable_locale(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_pulse_record_t  *record;

    record = ngx_http_pulse_record_find(r);

    if (record == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = 2;
    v->data = (u_char *) ((record->locale == NGX_HTTP_PULSE_EN) ? "en" : "ar");
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_pulse_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t n)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(p, "%uL", n) - p;
    v->data = p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_pulse_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_pulse_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return ngx_http_pulse_reply_metrics(cf);
}


ngx_int_t
ngx_http_pulse_trace_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_pulse_trace_filter;

    return NGX_OK;
}
