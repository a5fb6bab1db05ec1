
#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>
#include "ngx_pulse_json.h"
#include "ngx_pulse_json_names.h"
#include "ngx_pulse_json_string.h"


/* what yajl needs for a text without long escaped strings */

#define NGX_PULSE_JSON_MEMORY  768

/* a string that yajl is not shown, bytes */

#define NGX_PULSE_JSON_LONG    128


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
    size_t                      shown;      /* offset of what yajl has */
    size_t                      cut;        /* the string it has empty */
    ngx_pulse_buf_t             text;       /* ... decoded */
    size_t                      used;       /* of "memory" */

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
    uint64_t                    memory[NGX_PULSE_JSON_MEMORY / 8];
} ngx_pulse_json_reader_t;


static void *ngx_pulse_json_alloc(void *ctx, size_t size);
static void *ngx_pulse_json_realloc(void *ctx, void *p, size_t size);
static void ngx_pulse_json_free(void *ctx, void *p);
static ngx_uint_t ngx_pulse_json_is_own(ngx_pulse_json_reader_t *rd, void *p);
static ngx_int_t ngx_pulse_json_run(ngx_pulse_json_reader_t *rd);
static yajl_status ngx_pulse_json_parse(ngx_pulse_json_reader_t *rd);
static yajl_status ngx_pulse_json_show(ngx_pulse_json_reader_t *rd,
    const u_char *p, const u_char *last);
static size_t ngx_pulse_json_consumed(ngx_pulse_json_reader_t *rd);
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
static int ngx_pulse_json_decoded(ngx_pulse_json_reader_t *rd, size_t start,
    size_t end, ngx_str_t *s);
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
    yajl_alloc_funcs         alloc;
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

    rd.shown = 0;
    rd.cut = (size_t) -1;
    rd.used = 0;

    ngx_pulse_buf_init(&rd.text, 0);

    alloc.malloc = ngx_pulse_json_alloc;
    alloc.realloc = ngx_pulse_json_realloc;
    alloc.free = ngx_pulse_json_free;
    alloc.ctx = &rd;

    rd.yajl = yajl_alloc(&ngx_pulse_json_callbacks, &alloc, &rd);
    if (rd.yajl == NULL) {
        return NGX_ABORT;
    }

    rc = ngx_pulse_json_run(&rd);

    yajl_free(rd.yajl);

    ngx_pulse_buf_free(&rd.text);
    ngx_pulse_json_names_free(&rd.names);

    return rc;
}


/*
 * Most texts are small, and yajl wants a few small blocks for each: they are
 * taken from the reader itself, and given back with it.
 */

static void *
ngx_pulse_json_alloc(void *ctx, size_t size)
{
    ngx_pulse_json_reader_t *rd = ctx;

    u_char  *p;

    size = ngx_align(size, sizeof(uint64_t));

    if (size > NGX_PULSE_JSON_MEMORY - rd->used) {
        return malloc(size);
    }

    p = (u_char *) rd->memory + rd->used;
    rd->used += size;

    return p;
}


static void *
ngx_pulse_json_realloc(void *ctx, void *p, size_t size)
{
    ngx_pulse_json_reader_t *rd = ctx;

    u_char  *new;
    size_t   rest;

    if (p == NULL) {
        return ngx_pulse_json_alloc(ctx, size);
    }

    if (!ngx_pulse_json_is_own(rd, p)) {
        return realloc(p, size);
    }

    /* how long it was is not known, but where the last one ends */

    rest = (u_char *) rd->memory + rd->used - (u_char *) p;

    new = malloc(size);
    if (new != NULL) {
        ngx_memcpy(new, p, ngx_min(size, rest));
    }

    return new;
}


static void
ngx_pulse_json_free(void *ctx, void *p)
{
    if (!ngx_pulse_json_is_own(ctx, p)) {
        free(p);
    }
}


static ngx_uint_t
ngx_pulse_json_is_own(ngx_pulse_json_reader_t *rd, void *p)
{
    return (u_char *) p >= (u_char *) rd->memory
           && (u_char *) p < (u_char *) rd->memory + NGX_PULSE_JSON_MEMORY;
}


static ngx_int_t
ngx_pulse_json_run(ngx_pulse_json_reader_t *rd)
{
    yajl_status  status;

    /* checked above, and stricter than yajl does */

    (void) yajl_config(rd->yajl, yajl_dont_validate_strings, 1);

    status = ngx_pulse_json_parse(rd);

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


/*
 * yajl takes its time for each byte of a string, and most of a long text is
 * in strings: a long one is empty as far as yajl knows, and is checked and
 * decoded when its event comes.  One that does not end, or has what may not
 * be there, is left to yajl to refuse.
 */

static yajl_status
ngx_pulse_json_parse(ngx_pulse_json_reader_t *rd)
{
    yajl_status    status;
    const u_char  *p, *last, *from, *end;

    from = rd->data;
    last = rd->data + rd->len;

    p = (rd->len < NGX_PULSE_JSON_LONG) ? last : from;

    while (p < last) {

        if (*p++ != '"') {
            continue;
        }

        end = ngx_pulse_json_string_end(p, last);

        if (end == NULL) {
            break;
        }

        if (end - p >= NGX_PULSE_JSON_LONG) {

            status = ngx_pulse_json_show(rd, from, p);
            if (status != yajl_status_ok) {
                return status;
            }

            /* strings before this one have been read */

            rd->cut = p - 1 - rd->data;
            from = end;
        }

        p = end + 1;
    }

    return ngx_pulse_json_show(rd, from, last);
}


static yajl_status
ngx_pulse_json_show(ngx_pulse_json_reader_t *rd, const u_char *p,
    const u_char *last)
{
    rd->shown = p - rd->data;

    return yajl_parse(rd->yajl, p, last - p);
}


static size_t
ngx_pulse_json_consumed(ngx_pulse_json_reader_t *rd)
{
    if (rd->ended) {
        return rd->len;
    }

    return rd->shown + yajl_get_bytes_consumed(rd->yajl);
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

    offset = ngx_pulse_json_consumed(rd);

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

        if (!ngx_pulse_json_decoded(rd, ev->start, ev->end, &ev->string)) {
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

    *end = ngx_pulse_json_consumed(rd);

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


/* What a string says: "s" is that as far as yajl knows. */

static int
ngx_pulse_json_decoded(ngx_pulse_json_reader_t *rd, size_t start, size_t end,
    ngx_str_t *s)
{
    size_t         len;
    const char    *reason;
    const u_char  *p, *bad;

    p = rd->data + start + 1;
    len = end - start - 2;

    /* yajl decodes into its own memory only if there are escapes */

    if (start != rd->cut && s->len == len) {
        return 1;
    }

    reason = ngx_pulse_json_escapes(p, p + len, &bad);

    if (reason != NULL) {
        return ngx_pulse_json_refuse(rd, reason, bad - rd->data);
    }

    if (start != rd->cut) {
        return 1;
    }

    s->data = (u_char *) p;
    s->len = len;

    if (memchr(p, '\\', len) == NULL) {
        return 1;
    }

    rd->text.len = 0;
    ngx_pulse_json_decode(&rd->text, p, p + len);

    if (rd->text.failed) {
        rd->rc = NGX_ABORT;
        return 0;
    }

    s->data = rd->text.data;
    s->len = rd->text.len;

    return 1;
}


static int
ngx_pulse_json_key(void *data, const u_char *p, size_t len)
{
    ngx_pulse_json_reader_t *rd = data;

    size_t                   start, end;
    ngx_str_t                text;
    ngx_pulse_json_name_t    name;
    ngx_pulse_json_frame_t  *frame;

    text.data = (u_char *) p;
    text.len = len;

    if (!ngx_pulse_json_token(rd, &start, &end)
        || !ngx_pulse_json_decoded(rd, start, end, &text))
    {
        return 0;
    }

    name.len = text.len;
    name.offset = start + 1;
    name.escaped = (text.len != end - start - 2);

    frame = &rd->frames[rd->open - 1];
    frame->member = start;

    if (frame->object.n >= rd->limits.keys) {
        return ngx_pulse_json_refuse(rd, "too many names in one object",
                                     start);
    }

    switch (ngx_pulse_json_names_add(&rd->names, &frame->object, &name,
                                     text.data))
    {

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
