
#include "pulse_json_stream.h"

#include <stdio.h>
#include <string.h>


enum {
    PULSE_JSON_VALUE = 0,
    PULSE_JSON_ELEMENT,             /* or the end of an empty array */
    PULSE_JSON_FIRST,               /* a key, or the end of an empty object */
    PULSE_JSON_KEY,
    PULSE_JSON_COLON,
    PULSE_JSON_AFTER,               /* a value */
    PULSE_JSON_STRING,
    PULSE_JSON_ESCAPE,
    PULSE_JSON_HEX,
    PULSE_JSON_ATOM,
    PULSE_JSON_DONE
};


static ngx_int_t pulse_json_char(pulse_json_stream_t *s, u_char ch);
static ngx_int_t pulse_json_begin(pulse_json_stream_t *s, u_char ch);
static ngx_int_t pulse_json_open(pulse_json_stream_t *s, ngx_uint_t array);
static ngx_int_t pulse_json_close(pulse_json_stream_t *s, ngx_uint_t array);
static ngx_int_t pulse_json_after(pulse_json_stream_t *s, u_char ch);
static void pulse_json_ended(pulse_json_stream_t *s);
static void pulse_json_component(pulse_json_stream_t *s, const u_char *p,
    size_t len);
static void pulse_json_index(pulse_json_stream_t *s);
static ngx_int_t pulse_json_string(pulse_json_stream_t *s, const u_char *p,
    const u_char *last, const u_char **end);
static ngx_int_t pulse_json_string_begin(pulse_json_stream_t *s,
    ngx_uint_t key);
static ngx_int_t pulse_json_string_ended(pulse_json_stream_t *s);
static ngx_int_t pulse_json_escape(pulse_json_stream_t *s, u_char ch);
static ngx_int_t pulse_json_hex(pulse_json_stream_t *s, u_char ch);
static ngx_int_t pulse_json_code(pulse_json_stream_t *s, uint32_t code);
static ngx_int_t pulse_json_lone(pulse_json_stream_t *s);
static ngx_int_t pulse_json_text(pulse_json_stream_t *s, const u_char *p,
    size_t len);
static ngx_int_t pulse_json_atom(pulse_json_stream_t *s);
static ngx_uint_t pulse_json_space(u_char ch);
static ngx_uint_t pulse_json_atomic(u_char ch);


void
pulse_json_stream_init(pulse_json_stream_t *s,
    const pulse_json_stream_pt *handlers, void *ctx)
{
    memset(s, 0, sizeof(pulse_json_stream_t));

    s->handlers = handlers;
    s->ctx = ctx;

    ngx_pulse_buf_init(&s->token, 0);
}


void
pulse_json_stream_free(pulse_json_stream_t *s)
{
    ngx_pulse_buf_free(&s->token);
}


ngx_int_t
pulse_json_stream_feed(pulse_json_stream_t *s, const u_char *p, size_t len)
{
    const u_char  *last;

    last = p + len;

    while (p < last) {

        if (s->state == PULSE_JSON_STRING) {
            if (pulse_json_string(s, p, last, &p) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (pulse_json_char(s, *p++) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return s->token.failed ? NGX_ERROR : NGX_OK;
}


ngx_int_t
pulse_json_stream_end(pulse_json_stream_t *s)
{
    /* only the end of the text tells that of a number */

    if (s->state == PULSE_JSON_ATOM && s->depth == 0
        && pulse_json_atom(s) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (s->state == PULSE_JSON_DONE) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_json_char(pulse_json_stream_t *s, u_char ch)
{
    switch (s->state) {

    case PULSE_JSON_ESCAPE:
        return pulse_json_escape(s, ch);

    case PULSE_JSON_HEX:
        return pulse_json_hex(s, ch);

    case PULSE_JSON_ATOM:

        if (pulse_json_atomic(ch)) {
            return pulse_json_text(s, &ch, 1);
        }

        if (pulse_json_atom(s) != NGX_OK) {
            return NGX_ERROR;
        }

        /* what ended it is looked at as what follows a value */

        break;
    }

    if (pulse_json_space(ch)) {
        return NGX_OK;
    }

    switch (s->state) {

    case PULSE_JSON_ELEMENT:

        if (ch == ']') {
            return pulse_json_close(s, 1);
        }

        /* fall through */

    case PULSE_JSON_VALUE:
        return pulse_json_begin(s, ch);

    case PULSE_JSON_FIRST:

        if (ch == '}') {
            return pulse_json_close(s, 0);
        }

        /* fall through */

    case PULSE_JSON_KEY:
        return (ch == '"') ? pulse_json_string_begin(s, 1) : NGX_ERROR;

    case PULSE_JSON_COLON:
        s->state = PULSE_JSON_VALUE;
        return (ch == ':') ? NGX_OK : NGX_ERROR;

    case PULSE_JSON_AFTER:
        return pulse_json_after(s, ch);

    default: /* PULSE_JSON_DONE */
        return NGX_ERROR;
    }
}


static ngx_int_t
pulse_json_begin(pulse_json_stream_t *s, u_char ch)
{
    if (s->depth && s->levels[s->depth - 1].array) {
        pulse_json_index(s);
    }

    switch (ch) {

    case '{':
        return pulse_json_open(s, 0);

    case '[':
        return pulse_json_open(s, 1);

    case '"':
        return pulse_json_string_begin(s, 0);
    }

    if (!pulse_json_atomic(ch)) {
        return NGX_ERROR;
    }

    s->state = PULSE_JSON_ATOM;
    s->want = PULSE_JSON_KEEP;
    s->key = 0;
    s->token.len = 0;

    return pulse_json_text(s, &ch, 1);
}


static ngx_int_t
pulse_json_open(pulse_json_stream_t *s, ngx_uint_t array)
{
    pulse_json_level_t  *level;

    if (s->depth == PULSE_JSON_STREAM_DEPTH) {
        return NGX_ERROR;
    }

    level = &s->levels[s->depth++];

    level->path = strlen(s->path);
    level->index = 0;
    level->array = array;

    s->state = array ? PULSE_JSON_ELEMENT : PULSE_JSON_FIRST;

    return NGX_OK;
}


static ngx_int_t
pulse_json_close(pulse_json_stream_t *s, ngx_uint_t array)
{
    if (s->depth == 0 || s->levels[s->depth - 1].array != array) {
        return NGX_ERROR;
    }

    s->depth--;

    pulse_json_ended(s);

    return NGX_OK;
}


static ngx_int_t
pulse_json_after(pulse_json_stream_t *s, u_char ch)
{
    pulse_json_level_t  *level;

    level = &s->levels[s->depth - 1];

    switch (ch) {

    case ',':
        level->index++;
        s->state = level->array ? PULSE_JSON_VALUE : PULSE_JSON_KEY;
        return NGX_OK;

    case '}':
        return pulse_json_close(s, 0);

    case ']':
        return pulse_json_close(s, 1);
    }

    return NGX_ERROR;
}


/* A value has ended: the path is again that of what it is in. */

static void
pulse_json_ended(pulse_json_stream_t *s)
{
    if (s->depth == 0) {
        s->path[0] = '\0';
        s->state = PULSE_JSON_DONE;
        return;
    }

    s->path[s->levels[s->depth - 1].path] = '\0';
    s->state = PULSE_JSON_AFTER;
}


/* What is too long for a path is of no concern, and neither is what is in
 * it. */

static void
pulse_json_component(pulse_json_stream_t *s, const u_char *p, size_t len)
{
    size_t  n;

    n = s->levels[s->depth - 1].path;

    if (n + 1 + len > PULSE_JSON_STREAM_PATH || memchr(p, '\0', len)) {

        /* the place of a "?" is always there but at the very end */

        p = (const u_char *) "?";
        len = (n + 2 <= PULSE_JSON_STREAM_PATH) ? 1 : 0;
    }

    if (n && len) {
        s->path[n++] = '.';
    }

    memcpy(s->path + n, p, len);
    s->path[n + len] = '\0';
}


static void
pulse_json_index(pulse_json_stream_t *s)
{
    char  text[NGX_INT_T_LEN + 1];

    snprintf(text, sizeof(text), "%lu", s->levels[s->depth - 1].index);

    pulse_json_component(s, (u_char *) text, strlen(text));
}


static ngx_int_t
pulse_json_string_begin(pulse_json_stream_t *s, ngx_uint_t key)
{
    s->state = PULSE_JSON_STRING;
    s->key = key;
    s->high = 0;
    s->token.len = 0;
    s->want = key ? PULSE_JSON_KEEP : s->handlers->wanted(s->ctx, s->path);

    return NGX_OK;
}


/* Up to its end, an escape, or what has come. */

static ngx_int_t
pulse_json_string(pulse_json_stream_t *s, const u_char *p, const u_char *last,
    const u_char **end)
{
    const u_char  *start;

    for (start = p; p < last; p++) {
        if (*p == '"' || *p == '\\' || *p < ' ') {
            break;
        }
    }

    if (p > start
        && (pulse_json_lone(s) != NGX_OK
            || pulse_json_text(s, start, p - start) != NGX_OK))
    {
        return NGX_ERROR;
    }

    *end = p;

    if (p == last) {
        return NGX_OK;
    }

    *end = p + 1;

    if (*p == '\\') {
        s->state = PULSE_JSON_ESCAPE;
        return NGX_OK;
    }

    return (*p == '"') ? pulse_json_string_ended(s) : NGX_ERROR;
}


static ngx_int_t
pulse_json_string_ended(pulse_json_stream_t *s)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    if (pulse_json_lone(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->key) {
        pulse_json_component(s, s->token.data ? s->token.data
                                              : (u_char *) "", s->token.len);
        s->state = PULSE_JSON_COLON;
        return NGX_OK;
    }

    rc = NGX_OK;

    if (s->want == PULSE_JSON_PASS) {
        rc = s->handlers->piece(s->ctx, s->path, NULL, 0);

    } else if (s->want == PULSE_JSON_KEEP) {
        text.data = s->token.data;
        text.len = s->token.len;

        rc = s->handlers->value(s->ctx, s->path, &text);
    }

    pulse_json_ended(s);

    return rc;
}


static ngx_int_t
pulse_json_escape(pulse_json_stream_t *s, u_char ch)
{
    static const char  names[] = "\"\\/bfnrt";
    static const char  codes[] = "\"\\/\b\f\n\r\t";

    const char  *p;

    s->state = PULSE_JSON_STRING;

    if (ch == 'u') {
        s->state = PULSE_JSON_HEX;
        s->digits = 4;
        s->code = 0;
        return NGX_OK;
    }

    p = ch ? strchr(names, ch) : NULL;

    if (p == NULL || pulse_json_lone(s) != NGX_OK) {
        return NGX_ERROR;
    }

    return pulse_json_text(s, (u_char *) &codes[p - names], 1);
}


static ngx_int_t
pulse_json_hex(pulse_json_stream_t *s, u_char ch)
{
    uint32_t  code;

    s->code <<= 4;

    if (ch >= '0' && ch <= '9') {
        s->code |= ch - '0';

    } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
        s->code |= (ch | 0x20) - 'a' + 10;

    } else {
        return NGX_ERROR;
    }

    if (--s->digits) {
        return NGX_OK;
    }

    s->state = PULSE_JSON_STRING;
    code = s->code;

    if (code >= 0xd800 && code < 0xdc00) {

        if (pulse_json_lone(s) != NGX_OK) {
            return NGX_ERROR;
        }

        s->high = code;
        return NGX_OK;
    }

    if (code >= 0xdc00 && code < 0xe000) {

        if (s->high == 0) {
            return pulse_json_code(s, 0xfffd);
        }

        code = 0x10000 + ((s->high - 0xd800) << 10) + (code - 0xdc00);
        s->high = 0;

        return pulse_json_code(s, code);
    }

    return (pulse_json_lone(s) == NGX_OK) ? pulse_json_code(s, code)
                                          : NGX_ERROR;
}


/* A high surrogate that nothing fits to. */

static ngx_int_t
pulse_json_lone(pulse_json_stream_t *s)
{
    if (s->high == 0) {
        return NGX_OK;
    }

    s->high = 0;

    return pulse_json_code(s, 0xfffd);
}


static ngx_int_t
pulse_json_code(pulse_json_stream_t *s, uint32_t code)
{
    size_t  n;
    u_char  text[4];

    if (code < 0x80) {
        text[0] = code;
        n = 1;

    } else if (code < 0x800) {
        text[0] = 0xc0 | (code >> 6);
        text[1] = 0x80 | (code & 0x3f);
        n = 2;

    } else if (code < 0x10000) {
        text[0] = 0xe0 | (code >> 12);
        text[1] = 0x80 | ((code >> 6) & 0x3f);
        text[2] = 0x80 | (code & 0x3f);
        n = 3;

    } else {
        text[0] = 0xf0 | (code >> 18);
        text[1] = 0x80 | ((code >> 12) & 0x3f);
        text[2] = 0x80 | ((code >> 6) & 0x3f);
        text[3] = 0x80 | (code & 0x3f);
        n = 4;
    }

    return pulse_json_text(s, text, n);
}


static ngx_int_t
pulse_json_text(pulse_json_stream_t *s, const u_char *p, size_t len)
{
    switch (s->want) {

    case PULSE_JSON_PASS:
        return s->handlers->piece(s->ctx, s->path, p, len);

    case PULSE_JSON_KEEP:
        ngx_pulse_buf_append(&s->token, p,
                             ngx_min(len, PULSE_JSON_STREAM_KEEP
                                          - s->token.len));

        return s->token.failed ? NGX_ERROR : NGX_OK;

    default: /* PULSE_JSON_SKIP */
        return NGX_OK;
    }
}


/* A number or a word has ended.  What it is is the handler's to see: nothing
 * is made of one that is wrong. */

static ngx_int_t
pulse_json_atom(pulse_json_stream_t *s)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    text.data = s->token.data;
    text.len = s->token.len;

    rc = s->handlers->value(s->ctx, s->path, &text);

    pulse_json_ended(s);

    return rc;
}


static ngx_uint_t
pulse_json_space(u_char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}


/* what numbers, true, false and null are made of */

static ngx_uint_t
pulse_json_atomic(u_char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || ch == 'E'
           || ch == '-' || ch == '+' || ch == '.';
}
