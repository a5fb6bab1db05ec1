
#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>
#include "ngx_pulse_json.h"
#include "ngx_pulse_json_names.h"


/* an open array or object */

typedef struct {
    ngx_uint_t                  type;
    ngx_uint_t                  index;      /* in its parent */
    ngx_uint_t                  nelts;
    size_t                      key_start;
    size_t                      start;
    ngx_pulse_json_object_t     object;

    /* the member being read */

    size_t                      member;     /* start of its key */
    size_t                      offset;     /* of a name with escapes */
    ngx_uint_t                  escaped;
} ngx_pulse_json_frame_t;


typedef struct {
    const u_char               *data;
    size_t                      len;
    size_t                      last;       /* end of the token before */
    yajl_handle                 yajl;

    ngx_pulse_json_limits_t     limits;
    ngx_pulse_json_handler_pt   handler;
    void                       *ctx;
    ngx_pulse_json_error_t     *err;
    ngx_int_t                   rc;

    ngx_uint_t                  values;
    ngx_uint_t                  open;
    ngx_uint_t                  ended;      /* unsigned  ended:1; */

    ngx_pulse_json_names_t      names;
    ngx_str_t                   path[NGX_PULSE_JSON_MAX_DEPTH];
    ngx_pulse_json_frame_t      frames[NGX_PULSE_JSON_MAX_DEPTH];
} ngx_pulse_json_reader_t;


static ngx_int_t ngx_pulse_json_run(ngx_pulse_json_reader_t *rd);
static void ngx_pulse_json_failed(ngx_pulse_json_reader_t *rd);
static int ngx_pulse_json_refuse(ngx_pulse_json_reader_t *rd,
    const char *reason, size_t offset);

static int ngx_pulse_json_null(void *data);
static int ngx_pulse_json_boolean(void *data, int value);
static int ngx_pulse_json_number(void *data, const char *p, size_t len);
static int ngx_pulse_json_string(void *data, const u_char *p, size_t len);
static int ngx_pulse_json_start_map(void *data);
static int ngx_pulse_json_end_map(void *data);
static int ngx_pulse_json_start_array(void *data);
static int ngx_pulse_json_end_array(void *data);

static int ngx_pulse_json_scalar(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev, ngx_uint_t type);
static int ngx_pulse_json_open(ngx_pulse_json_reader_t *rd, ngx_uint_t type);
static int ngx_pulse_json_close(ngx_pulse_json_reader_t *rd, ngx_uint_t type);
static int ngx_pulse_json_value(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev);
static int ngx_pulse_json_handle(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev);
static int ngx_pulse_json_token(ngx_pulse_json_reader_t *rd, size_t *start,
    size_t *end);
static int ngx_pulse_json_blank(ngx_pulse_json_reader_t *rd, size_t *p);
static int ngx_pulse_json_escapes(ngx_pulse_json_reader_t *rd, size_t start,
    size_t end);
static ngx_uint_t ngx_pulse_json_hex4(const u_char *p);
static int ngx_pulse_json_key(void *data, const u_char *p, size_t len);
static void ngx_pulse_json_member(ngx_pulse_json_reader_t *rd,
    const ngx_pulse_json_name_t *name);


static const ngx_pulse_json_limits_t  ngx_pulse_json_limits = {
    1024 * 1024, 32, 65536, 1024
};


static const yajl_callbacks  ngx_pulse_json_callbacks = {
    ngx_pulse_json_null,
    ngx_pulse_json_boolean,
    NULL,
    NULL,
    ngx_pulse_json_number,
    ngx_pulse_json_string,
    ngx_pulse_json_start_map,
    ngx_pulse_json_key,
    ngx_pulse_json_end_map,
    ngx_pulse_json_start_array,
    ngx_pulse_json_end_array
};


/* what yajl says, the first that matches, and what we say */

static const char  *ngx_pulse_json_reasons[][2] = {
    { "premature EOF",            "the JSON text ends too early" },
    { "trailing garbage",         "something follows the JSON value" },
    { "invalid char in json",     "a character that cannot stand here" },
    { "invalid character inside", "a control character in a string" },
    { "inside a string, '\\'",    "an unknown escape in a string" },
    { "hex character",            "\\u without four hexadecimal digits" },
    { "invalid string in json",   "a word that is not JSON" },
    { "malformed number",         "a malformed number" },
    { "map key",                  "a member's name must be a string" },
    { "object key",               "a member's name must be a string" },
    { "':'",                      "a colon is missing after a name" },
    { NULL,                       "a syntax error" }
};


ngx_int_t
ngx_pulse_json_read(const u_char *data, size_t len,
    const ngx_pulse_json_limits_t *limits, ngx_pulse_json_handler_pt handler,
    void *ctx, ngx_pulse_json_error_t *err)
{
    size_t                   bad;
    ngx_int_t                rc;
    ngx_pulse_json_reader_t  rd;

    err->reason = NULL;
    err->offset = 0;

    rd.data = data;
    rd.len = len;
    rd.last = 0;
    rd.limits = limits ? *limits : ngx_pulse_json_limits;
    rd.handler = handler;
    rd.ctx = ctx;
    rd.err = err;
    rd.rc = NGX_OK;
    rd.values = 0;
    rd.open = 0;
    rd.ended = 0;

    if (rd.limits.depth > NGX_PULSE_JSON_MAX_DEPTH) {
        rd.limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    }

    if (len > rd.limits.size) {
        (void) ngx_pulse_json_refuse(&rd, "the JSON text is too long",
                                     rd.limits.size);
        return rd.rc;
    }

    if (ngx_pulse_utf8_check(data, len, &bad) != NGX_OK) {
        (void) ngx_pulse_json_refuse(&rd, "the text is not UTF-8", bad);
        return rd.rc;
    }

    ngx_pulse_json_names_init(&rd.names, data);

    rd.yajl = yajl_alloc(&ngx_pulse_json_callbacks, NULL, &rd);
    if (rd.yajl == NULL) {
        return NGX_ABORT;
    }

    rc = ngx_pulse_json_run(&rd);

    yajl_free(rd.yajl);

    ngx_pulse_json_names_free(&rd.names);

    return rc;
}


static ngx_int_t
ngx_pulse_json_run(ngx_pulse_json_reader_t *rd)
{
    yajl_status  status;

    /* checked above, and stricter than yajl does */

    (void) yajl_config(rd->yajl, yajl_dont_validate_strings, 1);

    status = yajl_parse(rd->yajl, rd->data, rd->len);

    if (status == yajl_status_ok) {

        /* a number that ends the text becomes a token only now */

        rd->ended = 1;
        status = yajl_complete_parse(rd->yajl);
    }

    switch (status) {

    case yajl_status_error:
        ngx_pulse_json_failed(rd);
        break;

    case yajl_status_ok:

        /* it takes the beginning of a string after the value for its end */

        if (ngx_pulse_json_blank(rd, &rd->last) && rd->last < rd->len) {
            (void) ngx_pulse_json_refuse(rd,
                                         "something follows the JSON value",
                                         rd->last);
        }

        break;

    case yajl_status_client_canceled:
        break;
    }

    return rd->rc;
}


static void
ngx_pulse_json_failed(ngx_pulse_json_reader_t *rd)
{
    u_char      *text;
    size_t       offset;
    ngx_uint_t   i;

    text = yajl_get_error(rd->yajl, 0, NULL, 0);

    for (i = 0; ngx_pulse_json_reasons[i][0] != NULL; i++) {

        if (text != NULL
            && ngx_strstr(text, ngx_pulse_json_reasons[i][0]) != NULL)
        {
            break;
        }
    }

    yajl_free_error(rd->yajl, text);

    offset = rd->ended ? rd->len : yajl_get_bytes_consumed(rd->yajl);

    (void) ngx_pulse_json_refuse(rd, ngx_pulse_json_reasons[i][1],
                                 ngx_min(offset, rd->len));
}


static int
ngx_pulse_json_refuse(ngx_pulse_json_reader_t *rd, const char *reason,
    size_t offset)
{
    rd->err->reason = reason;
    rd->err->offset = offset;
    rd->rc = NGX_ERROR;

    return 0;
}


static int
ngx_pulse_json_null(void *data)
{
    ngx_pulse_json_event_t  ev;

    return ngx_pulse_json_scalar(data, &ev, NGX_PULSE_JSON_NULL);
}


static int
ngx_pulse_json_boolean(void *data, int value)
{
    ngx_pulse_json_event_t  ev;

    ev.boolean = value;

    return ngx_pulse_json_scalar(data, &ev, NGX_PULSE_JSON_BOOL);
}


static int
ngx_pulse_json_number(void *data, const char *p, size_t len)
{
    ngx_pulse_json_event_t  ev;

    return ngx_pulse_json_scalar(data, &ev, NGX_PULSE_JSON_NUMBER);
}


static int
ngx_pulse_json_string(void *data, const u_char *p, size_t len)
{
    ngx_pulse_json_event_t  ev;

    ev.string.data = (u_char *) p;
    ev.string.len = len;

    return ngx_pulse_json_scalar(data, &ev, NGX_PULSE_JSON_STRING);
}


static int
ngx_pulse_json_start_map(void *data)
{
    return ngx_pulse_json_open(data, NGX_PULSE_JSON_OBJECT);
}


static int
ngx_pulse_json_end_map(void *data)
{
    return ngx_pulse_json_close(data, NGX_PULSE_JSON_OBJECT_END);
}


static int
ngx_pulse_json_start_array(void *data)
{
    return ngx_pulse_json_open(data, NGX_PULSE_JSON_ARRAY);
}


static int
ngx_pulse_json_end_array(void *data)
{
    return ngx_pulse_json_close(data, NGX_PULSE_JSON_ARRAY_END);
}


static int
ngx_pulse_json_scalar(ngx_pulse_json_reader_t *rd, ngx_pulse_json_event_t *ev,
    ngx_uint_t type)
{
    ev->type = type;

    if (!ngx_pulse_json_token(rd, &ev->start, &ev->end)) {
        return 0;
    }

    switch (type) {

    case NGX_PULSE_JSON_STRING:

        /* yajl decodes into its own memory only if there are escapes */

        if (ev->string.len != ev->end - ev->start - 2
            && !ngx_pulse_json_escapes(rd, ev->start, ev->end))
        {
            return 0;
        }

        break;

    case NGX_PULSE_JSON_NUMBER:
        ev->string.data = (u_char *) rd->data + ev->start;
        ev->string.len = ev->end - ev->start;
        break;

    default:
        ngx_str_null(&ev->string);
    }

    if (type != NGX_PULSE_JSON_BOOL) {
        ev->boolean = 0;
    }

    return ngx_pulse_json_value(rd, ev);
}


static int
ngx_pulse_json_open(ngx_pulse_json_reader_t *rd, ngx_uint_t type)
{
    ngx_pulse_json_event_t   ev;
    ngx_pulse_json_frame_t  *frame;

    if (!ngx_pulse_json_token(rd, &ev.start, &ev.end)) {
        return 0;
    }

    if (rd->open >= rd->limits.depth) {
        return ngx_pulse_json_refuse(rd, "nested too deep", ev.start);
    }

    ev.type = type;
    ev.boolean = 0;
    ngx_str_null(&ev.string);

    if (!ngx_pulse_json_value(rd, &ev)) {
        return 0;
    }

    ngx_str_null(&rd->path[rd->open]);

    frame = &rd->frames[rd->open++];

    ngx_memzero(frame, sizeof(ngx_pulse_json_frame_t));

    frame->type = type;
    frame->index = ev.index;
    frame->key_start = ev.key_start;
    frame->start = ev.start;

    ngx_pulse_json_names_open(&rd->names, &frame->object);

    return 1;
}


static int
ngx_pulse_json_close(ngx_pulse_json_reader_t *rd, ngx_uint_t type)
{
    size_t                   start;
    ngx_pulse_json_event_t   ev;
    ngx_pulse_json_frame_t  *frame;

    if (!ngx_pulse_json_token(rd, &start, &ev.end)) {
        return 0;
    }

    frame = &rd->frames[--rd->open];

    ngx_pulse_json_names_close(&rd->names, &frame->object);

    ev.type = type;
    ev.boolean = 0;
    ev.index = frame->index;
    ev.key_start = frame->key_start;
    ev.start = frame->start;
    ngx_str_null(&ev.string);

    return ngx_pulse_json_handle(rd, &ev);
}


static int
ngx_pulse_json_value(ngx_pulse_json_reader_t *rd, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_json_frame_t  *frame;

    if (rd->values++ >= rd->limits.values) {
        return ngx_pulse_json_refuse(rd, "too many values", ev->start);
    }

    ev->index = 0;
    ev->key_start = ev->start;

    if (rd->open) {
        frame = &rd->frames[rd->open - 1];

        ev->index = frame->nelts++;

        if (frame->type == NGX_PULSE_JSON_OBJECT) {
            ev->key_start = frame->member;
        }
    }

    return ngx_pulse_json_handle(rd, ev);
}


static int
ngx_pulse_json_handle(ngx_pulse_json_reader_t *rd, ngx_pulse_json_event_t *ev)
{
    ngx_int_t  rc;

    ev->depth = rd->open;
    ev->path = rd->path;

    if (rd->open) {
        ev->key = rd->path[rd->open - 1];

    } else {
        ngx_str_null(&ev->key);
    }

    rc = rd->handler(rd->ctx, ev);

    if (rc == NGX_OK) {
        return 1;
    }

    rd->rc = (rc == NGX_DONE) ? NGX_DONE : NGX_ABORT;

    return 0;
}


/* yajl tells where the token ends; it begins where the blanks end. */

static int
ngx_pulse_json_token(ngx_pulse_json_reader_t *rd, size_t *start, size_t *end)
{
    *start = rd->last;

    if (!ngx_pulse_json_blank(rd, start)) {
        return 0;
    }

    *end = rd->ended ? rd->len : yajl_get_bytes_consumed(rd->yajl);

    rd->last = *end;

    return 1;
}


/*
 * Passes what may stand between two tokens: white space, commas and colons,
 * whose places yajl has checked.  It takes VT and FF too, RFC 8259 does not.
 */

static int
ngx_pulse_json_blank(ngx_pulse_json_reader_t *rd, size_t *p)
{
    for ( /* void */ ; *p < rd->len; (*p)++) {

        switch (rd->data[*p]) {

        case ' ':
        case '\n':
        case '\r':
        case '\t':
        case ',':
        case ':':
            break;

        case '\v':
        case '\f':
            return ngx_pulse_json_refuse(rd,
                                         "a character that cannot stand here",
                                         *p);

        default:
            return 1;
        }
    }

    return 1;
}


/* yajl checked the syntax; it makes '?' of lone surrogates and takes NUL */

static int
ngx_pulse_json_escapes(ngx_pulse_json_reader_t *rd, size_t start, size_t end)
{
    ngx_uint_t     ch;
    const u_char  *p, *last, *escape;

    p = rd->data + start + 1;
    last = rd->data + end - 1;

    while (p < last) {

        p = memchr(p, '\\', last - p);
        if (p == NULL) {
            break;
        }

        if (p[1] != 'u') {
            p += 2;
            continue;
        }

        escape = p;
        ch = ngx_pulse_json_hex4(p + 2);
        p += 6;

        if (ch == 0) {
            return ngx_pulse_json_refuse(rd, "U+0000 in a string",
                                         escape - rd->data);
        }

        if (ch < 0xd800 || ch > 0xdfff) {
            continue;
        }

        if (ch < 0xdc00 && p[0] == '\\' && p[1] == 'u') {
            ch = ngx_pulse_json_hex4(p + 2);

            if (ch >= 0xdc00 && ch <= 0xdfff) {
                p += 6;
                continue;
            }
        }

        return ngx_pulse_json_refuse(rd, "half of a surrogate pair",
                                     escape - rd->data);
    }

    return 1;
}


static ngx_uint_t
ngx_pulse_json_hex4(const u_char *p)
{
    ngx_uint_t  i, ch, n;

    n = 0;

    for (i = 0; i < 4; i++) {
        ch = p[i];
        n = n * 16 + ((ch <= '9') ? ch - '0' : (ch | 0x20) - 'a' + 10);
    }

    return n;
}


static int
ngx_pulse_json_key(void *data, const u_char *p, size_t len)
{
    ngx_pulse_json_reader_t *rd = data;

    size_t                   start, end;
    ngx_pulse_json_name_t    name;
    ngx_pulse_json_frame_t  *frame;

    if (!ngx_pulse_json_token(rd, &start, &end)) {
        return 0;
    }

    name.len = len;
    name.offset = start + 1;
    name.escaped = (len != end - start - 2);

    if (name.escaped && !ngx_pulse_json_escapes(rd, start, end)) {
        return 0;
    }

    frame = &rd->frames[rd->open - 1];
    frame->member = start;

    if (frame->object.n >= rd->limits.keys) {
        return ngx_pulse_json_refuse(rd, "too many names in one object",
                                     start);
    }

    switch (ngx_pulse_json_names_add(&rd->names, &frame->object, &name, p)) {

    case NGX_OK:
        ngx_pulse_json_member(rd, &name);
        return 1;

    case NGX_DECLINED:
        return ngx_pulse_json_refuse(rd, "a name stands twice in one object",
                                     start);

    default: /* NGX_ERROR */
        rd->rc = NGX_ABORT;
        return 0;
    }
}


/*
 * A name without escapes stays in the input.  Others are copied, for what
 * yajl decoded is there until the next string; their block may have moved,
 * and so the names in the path.
 */

static void
ngx_pulse_json_member(ngx_pulse_json_reader_t *rd,
    const ngx_pulse_json_name_t *name)
{
    ngx_uint_t               i;
    ngx_pulse_json_frame_t  *frame;

    frame = &rd->frames[rd->open - 1];

    frame->escaped = name->escaped;
    frame->offset = name->offset;

    rd->path[rd->open - 1].len = name->len;

    if (!name->escaped) {
        rd->path[rd->open - 1].data = (u_char *) rd->data + name->offset;
        return;
    }

    for (i = 0; i < rd->open; i++) {
        if (rd->frames[i].escaped) {
            rd->path[i].data = rd->names.text.data + rd->frames[i].offset;
        }
    }
}
