
#include "ngx_pulse_conversation.h"

#include <string.h>


static ngx_int_t ngx_pulse_json_object_value(void *ctx,
    ngx_pulse_json_event_t *ev);


void
ngx_pulse_json_comma(ngx_pulse_buf_t *b)
{
    u_char  ch;

    if (b->len == 0) {
        return;
    }

    ch = b->data[b->len - 1];

    if (ch != '{' && ch != '[') {
        ngx_pulse_buf_char(b, ',');
    }
}


void
ngx_pulse_json_key(ngx_pulse_buf_t *b, const char *key)
{
    u_char  *p;
    size_t   len;

    ngx_pulse_json_comma(b);

    len = strlen(key);
    p = ngx_pulse_buf_reserve(b, len + 3);

    if (p != NULL) {
        *p++ = '"';
        p = ngx_cpymem(p, key, len);
        *p++ = '"';
        *p = ':';

        b->len += len + 3;
    }
}


void
ngx_pulse_json_string(ngx_pulse_buf_t *b, const char *key, const ngx_str_t *s)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_json(b, s->len ? s->data : (u_char *) "", s->len);
}


void
ngx_pulse_json_literal(ngx_pulse_buf_t *b, const char *key, const char *s)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_json(b, (u_char *) s, strlen(s));
}


void
ngx_pulse_json_raw(ngx_pulse_buf_t *b, const char *key, const ngx_str_t *raw)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_str(b, raw);
}


void
ngx_pulse_json_number(ngx_pulse_buf_t *b, const char *key, int64_t n)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_int(b, n);
}


void
ngx_pulse_json_compact(const ngx_str_t *raw, ngx_pulse_buf_t *b)
{
    u_char      *p, *last, *start;
    ngx_uint_t   string;

    if (raw->len == 0) {
        return;
    }

    string = 0;
    start = raw->data;
    last = raw->data + raw->len;

    for (p = start; p < last; p++) {

        if (string && *p == '\\') {
            p++;
            continue;
        }

        if (*p == '"') {
            string = !string;
            continue;
        }

        if (!string
            && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        {
            ngx_pulse_buf_append(b, start, p - start);
            start = p + 1;
        }
    }

    ngx_pulse_buf_append(b, start, last - start);
}


ngx_uint_t
ngx_pulse_json_is_object(const ngx_str_t *text)
{
    ngx_uint_t               object;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    object = 0;

    limits.size = text->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = text->len;
    limits.keys = text->len;

    return ngx_pulse_json_read(text->data, text->len, &limits,
                               ngx_pulse_json_object_value, &object, &err)
           == NGX_OK && object;
}


static ngx_int_t
ngx_pulse_json_object_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_uint_t *object = ctx;

    if (ev->depth == 0 && ev->type == NGX_PULSE_JSON_OBJECT) {
        *object = 1;
    }

    return NGX_OK;
}
