
#include "pulse_query.h"


static ngx_int_t pulse_query_decode(ngx_pool_t *pool, ngx_str_t *text);


ngx_int_t
pulse_query_read(ngx_pool_t *pool, const ngx_str_t *body,
    pulse_query_t *query)
{
    u_char               *p, *last, *end, *equals;
    ngx_int_t             rc;
    ngx_uint_t            i;
    pulse_query_field_t  *field;

    query->n = 0;

    if (body->len == 0) {
        return NGX_OK;
    }

    p = body->data;
    last = p + body->len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = memchr(p, '&', last - p);
        end = end ? end : last;

        if (end == p) {
            continue;
        }

        if (query->n == PULSE_QUERY_FIELDS) {
            return NGX_DECLINED;
        }

        equals = memchr(p, '=', end - p);
        equals = equals ? equals : end;

        field = &query->fields[query->n];

        field->name.data = p;
        field->name.len = equals - p;
        field->value.data = (equals < end) ? equals + 1 : end;
        field->value.len = end - field->value.data;

        rc = pulse_query_decode(pool, &field->name);

        if (rc == NGX_OK) {
            rc = pulse_query_decode(pool, &field->value);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        /* which of two counts is for nobody to guess */

        for (i = 0; i < query->n; i++) {
            if (query->fields[i].name.len == field->name.len
                && ngx_memcmp(query->fields[i].name.data, field->name.data,
                              field->name.len)
                   == 0)
            {
                return NGX_DECLINED;
            }
        }

        query->n++;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_query_decode(ngx_pool_t *pool, ngx_str_t *text)
{
    int      high, low;
    size_t   i;
    u_char  *p, *start, ch;

    start = ngx_pnalloc(pool, text->len + 1);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (ch == '+') {
            ch = ' ';

        } else if (ch == '%') {

            if (text->len - i < 3) {
                return NGX_DECLINED;
            }

            high = pulse_query_digit(text->data[i + 1]);
            low = pulse_query_digit(text->data[i + 2]);

            if (high == -1 || low == -1) {
                return NGX_DECLINED;
            }

            ch = high << 4 | low;
            i += 2;
        }

        if (ch == '\0') {
            return NGX_DECLINED;
        }

        *p++ = ch;
    }

    *p = '\0';

    text->data = start;
    text->len = p - start;

    return NGX_OK;
}


int
pulse_query_digit(u_char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : -1;
}


const ngx_str_t *
pulse_query_get(const pulse_query_t *query, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < query->n; i++) {
        if (query->fields[i].name.len == strlen(name)
            && ngx_memcmp(query->fields[i].name.data, name, strlen(name))
               == 0)
        {
            return &query->fields[i].value;
        }
    }

    return NULL;
}


void
pulse_query_add(ngx_pulse_buf_t *b, const char *name, const ngx_str_t *value)
{
    ngx_str_t  text;

    text.data = (u_char *) name;
    text.len = strlen(name);

    if (b->len) {
        ngx_pulse_buf_char(b, '&');
    }

    pulse_query_escape(b, &text);
    ngx_pulse_buf_char(b, '=');
    pulse_query_escape(b, value);
}


void
pulse_query_text(ngx_pulse_buf_t *b, const char *name, const char *value)
{
    ngx_str_t  text;

    text.data = (u_char *) value;
    text.len = strlen(value);

    pulse_query_add(b, name, &text);
}


void
pulse_query_escape(ngx_pulse_buf_t *b, const ngx_str_t *text)
{
    size_t   i;
    u_char   ch;

    static const u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
            || (ch >= 'a' && ch <= 'z')
            || ch == '-' || ch == '_' || ch == '.')
        {
            ngx_pulse_buf_char(b, ch);

        } else if (ch == ' ') {
            ngx_pulse_buf_char(b, '+');

        } else {
            ngx_pulse_buf_char(b, '%');
            ngx_pulse_buf_char(b, hex[ch >> 4]);
            ngx_pulse_buf_char(b, hex[ch & 15]);
        }
    }
}
