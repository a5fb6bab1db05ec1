
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"
#include "ngx_pulse_json_names.h"
#include "ngx_pulse_json_string.h"


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
    const u_char               *p;          /* what is read next */
    const u_char               *last;
    ngx_pulse_buf_t             text;       /* the last string with escapes,
                                             * decoded */
    ngx_pulse_json_limits_t     limits;
    ngx_pulse_json_handler_pt   handler;
    void                       *ctx;
    ngx_pulse_json_error_t     *err;
    ngx_int_t                   rc;         /* why reading stopped */

    ngx_uint_t                  values;
    ngx_uint_t                  open;

    ngx_pulse_json_names_t      names;
    ngx_str_t                   path[NGX_PULSE_JSON_MAX_DEPTH];
    ngx_pulse_json_frame_t      frames[NGX_PULSE_JSON_MAX_DEPTH];
} ngx_pulse_json_reader_t;


static ngx_int_t ngx_pulse_json_run(ngx_pulse_json_reader_t *rd);
static ngx_int_t ngx_pulse_json_next(ngx_pulse_json_reader_t *rd);
static ngx_int_t ngx_pulse_json_any(ngx_pulse_json_reader_t *rd);
static ngx_int_t ngx_pulse_json_number(ngx_pulse_json_reader_t *rd);
static const u_char *ngx_pulse_json_digits(const u_char *p,
    const u_char *last);
static ngx_int_t ngx_pulse_json_word(ngx_pulse_json_reader_t *rd,
    const char *word, size_t len, ngx_uint_t type);
static ngx_int_t ngx_pulse_json_string(ngx_pulse_json_reader_t *rd);
static ngx_int_t ngx_pulse_json_text(ngx_pulse_json_reader_t *rd,
    ngx_str_t *s);
static ngx_int_t ngx_pulse_json_escaped(ngx_pulse_json_reader_t *rd,
    const u_char *p, ngx_str_t *s);
static ngx_int_t ngx_pulse_json_endless(ngx_pulse_json_reader_t *rd,
    const u_char *p);
static ngx_int_t ngx_pulse_json_open(ngx_pulse_json_reader_t *rd,
    ngx_uint_t type);
static ngx_int_t ngx_pulse_json_close(ngx_pulse_json_reader_t *rd);
static ngx_int_t ngx_pulse_json_key(ngx_pulse_json_reader_t *rd);
static void ngx_pulse_json_member(ngx_pulse_json_reader_t *rd,
    const ngx_pulse_json_name_t *name);
static ngx_int_t ngx_pulse_json_value(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_json_handle(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev);
static void ngx_pulse_json_blank(ngx_pulse_json_reader_t *rd);
static ngx_int_t ngx_pulse_json_unexpected(ngx_pulse_json_reader_t *rd,
    const char *reason);
static ngx_int_t ngx_pulse_json_refuse(ngx_pulse_json_reader_t *rd,
    const char *reason, const u_char *at);


static const ngx_pulse_json_limits_t  ngx_pulse_json_limits = {
    1024 * 1024, 32, 65536, 1024
};


ngx_int_t
ngx_pulse_json_read(const u_char *data, size_t len,
    const ngx_pulse_json_limits_t *limits, ngx_pulse_json_handler_pt handler,
    void *ctx, ngx_pulse_json_error_t *err)
{
    size_t                   bad;
    ngx_pulse_json_reader_t  rd;

    err->reason = NULL;
    err->offset = 0;

    rd.data = data;
    rd.p = data;
    rd.last = data + len;
    rd.limits = limits ? *limits : ngx_pulse_json_limits;
    rd.handler = handler;
    rd.ctx = ctx;
    rd.err = err;
    rd.rc = NGX_OK;
    rd.values = 0;
    rd.open = 0;

    if (rd.limits.depth > NGX_PULSE_JSON_MAX_DEPTH) {
        rd.limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    }

    if (len > rd.limits.size) {
        (void) ngx_pulse_json_refuse(&rd, "the JSON text is too long",
                                     data + rd.limits.size);
        return rd.rc;
    }

    if (ngx_pulse_utf8_check(data, len, &bad) != NGX_OK) {
        (void) ngx_pulse_json_refuse(&rd, "the text is not UTF-8",
                                     data + bad);
        return rd.rc;
    }

    ngx_pulse_buf_init(&rd.text, 0);
    ngx_pulse_json_names_init(&rd.names, data);

    (void) ngx_pulse_json_run(&rd);

    ngx_pulse_buf_free(&rd.text);
    ngx_pulse_json_names_free(&rd.names);

    return rd.rc;
}


/* Each value in turn, and what stands between it and the next one. */

static ngx_int_t
ngx_pulse_json_run(ngx_pulse_json_reader_t *rd)
{
    ngx_int_t  rc;

    do {
        rc = ngx_pulse_json_any(rd);

        while (rc == NGX_OK && rd->open) {
            rc = ngx_pulse_json_next(rd);
        }

    } while (rc == NGX_AGAIN);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_pulse_json_blank(rd);

    if (rd->p < rd->last) {
        return ngx_pulse_json_refuse(rd, "something follows the JSON value",
                                     rd->p);
    }

    return NGX_OK;
}


/* In an array or object: NGX_AGAIN if a value follows, NGX_OK if it ended. */

static ngx_int_t
ngx_pulse_json_next(ngx_pulse_json_reader_t *rd)
{
    ngx_pulse_json_frame_t  *frame;

    frame = &rd->frames[rd->open - 1];

    ngx_pulse_json_blank(rd);

    if (rd->p == rd->last) {
        return ngx_pulse_json_unexpected(rd, NULL);
    }

    if (*rd->p == (frame->type == NGX_PULSE_JSON_OBJECT ? '}' : ']')) {
        return ngx_pulse_json_close(rd);
    }

    if (frame->nelts) {

        if (*rd->p != ',') {
            return ngx_pulse_json_unexpected(rd, "a comma is missing");
        }

        rd->p++;
        ngx_pulse_json_blank(rd);
    }

    if (frame->type == NGX_PULSE_JSON_OBJECT
        && ngx_pulse_json_key(rd) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_pulse_json_any(ngx_pulse_json_reader_t *rd)
{
    ngx_pulse_json_blank(rd);

    if (rd->p == rd->last) {
        return ngx_pulse_json_unexpected(rd, NULL);
    }

    switch (*rd->p) {

    case '"':
        return ngx_pulse_json_string(rd);

    case '{':
        return ngx_pulse_json_open(rd, NGX_PULSE_JSON_OBJECT);

    case '[':
        return ngx_pulse_json_open(rd, NGX_PULSE_JSON_ARRAY);

    case 't':
        return ngx_pulse_json_word(rd, "true", 4, NGX_PULSE_JSON_BOOL);

    case 'f':
        return ngx_pulse_json_word(rd, "false", 5, NGX_PULSE_JSON_BOOL);

    case 'n':
        return ngx_pulse_json_word(rd, "null", 4, NGX_PULSE_JSON_NULL);

    case '-':
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return ngx_pulse_json_number(rd);

    default:
        return ngx_pulse_json_unexpected(rd,
                                       "a character that cannot stand here");
    }
}


/* RFC 8259: no zero before other digits, and some on both sides of a point */

static ngx_int_t
ngx_pulse_json_number(ngx_pulse_json_reader_t *rd)
{
    ngx_uint_t               bad;
    const u_char            *p, *first, *last;
    ngx_pulse_json_event_t   ev;

    last = rd->last;
    first = rd->p + (*rd->p == '-');

    p = ngx_pulse_json_digits(first, last);
    bad = (p == first || (*first == '0' && p > first + 1));

    if (!bad && p < last && *p == '.') {
        first = p + 1;
        p = ngx_pulse_json_digits(first, last);
        bad = (p == first);
    }

    if (!bad && p < last && (*p == 'e' || *p == 'E')) {
        first = p + 1;
        first += (first < last && (*first == '+' || *first == '-'));
        p = ngx_pulse_json_digits(first, last);
        bad = (p == first);
    }

    if (bad) {
        return ngx_pulse_json_refuse(rd, "a malformed number", p);
    }

    ev.type = NGX_PULSE_JSON_NUMBER;
    ev.boolean = 0;
    ev.string.data = (u_char *) rd->p;
    ev.string.len = p - rd->p;
    ev.start = rd->p - rd->data;
    ev.end = p - rd->data;

    rd->p = p;

    return ngx_pulse_json_value(rd, &ev);
}


static const u_char *
ngx_pulse_json_digits(const u_char *p, const u_char *last)
{
    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    return p;
}


static ngx_int_t
ngx_pulse_json_word(ngx_pulse_json_reader_t *rd, const char *word, size_t len,
    ngx_uint_t type)
{
    ngx_pulse_json_event_t  ev;

    if ((size_t) (rd->last - rd->p) < len
        || ngx_memcmp(rd->p, word, len) != 0)
    {
        while (rd->p < rd->last && *rd->p == (u_char) *word) {
            rd->p++;
            word++;
        }

        return ngx_pulse_json_unexpected(rd, "a word that is not JSON");
    }

    ev.type = type;
    ev.boolean = (*word == 't');
    ngx_str_null(&ev.string);
    ev.start = rd->p - rd->data;
    ev.end = ev.start + len;

    rd->p += len;

    return ngx_pulse_json_value(rd, &ev);
}


static ngx_int_t
ngx_pulse_json_string(ngx_pulse_json_reader_t *rd)
{
    ngx_pulse_json_event_t  ev;

    ev.type = NGX_PULSE_JSON_STRING;
    ev.boolean = 0;
    ev.start = rd->p - rd->data;

    if (ngx_pulse_json_text(rd, &ev.string) != NGX_OK) {
        return NGX_ERROR;
    }

    ev.end = rd->p - rd->data;

    return ngx_pulse_json_value(rd, &ev);
}


/* From quote to quote: "s" is what it says, until the next one is read. */

static ngx_int_t
ngx_pulse_json_text(ngx_pulse_json_reader_t *rd, ngx_str_t *s)
{
    const u_char  *p, *first;

    first = rd->p + 1;
    p = ngx_pulse_json_plain(first, rd->last);

    if (p == rd->last || *p != '"') {
        return ngx_pulse_json_escaped(rd, p, s);
    }

    s->data = (u_char *) first;
    s->len = p - first;

    rd->p = p + 1;

    return NGX_OK;
}


/* The same of one that is no plain text at "p". */

static ngx_int_t
ngx_pulse_json_escaped(ngx_pulse_json_reader_t *rd, const u_char *p,
    ngx_str_t *s)
{
    const char    *reason;
    const u_char  *end, *bad;

    end = ngx_pulse_json_string_end(p, rd->last);

    if (end == NULL) {
        return ngx_pulse_json_endless(rd, p);
    }

    reason = ngx_pulse_json_escapes(p, end, &bad);

    if (reason != NULL) {
        return ngx_pulse_json_refuse(rd, reason, bad);
    }

    rd->text.len = 0;
    ngx_pulse_json_decode(&rd->text, rd->p + 1, end);

    if (rd->text.failed) {
        rd->rc = NGX_ABORT;
        return NGX_ERROR;
    }

    s->data = rd->text.data;
    s->len = rd->text.len;

    rd->p = end + 1;

    return NGX_OK;
}


/* A string that does not end: of the text's end, or a character before. */

static ngx_int_t
ngx_pulse_json_endless(ngx_pulse_json_reader_t *rd, const u_char *p)
{
    while (rd->last - p > 1 && *p == '\\') {
        p = ngx_pulse_json_plain(p + 2, rd->last);
    }

    rd->p = (p < rd->last && *p < ' ') ? p : rd->last;

    return ngx_pulse_json_unexpected(rd, "a control character in a string");
}


static ngx_int_t
ngx_pulse_json_open(ngx_pulse_json_reader_t *rd, ngx_uint_t type)
{
    ngx_pulse_json_event_t   ev;
    ngx_pulse_json_frame_t  *frame;

    if (rd->open >= rd->limits.depth) {
        return ngx_pulse_json_refuse(rd, "nested too deep", rd->p);
    }

    ev.type = type;
    ev.boolean = 0;
    ngx_str_null(&ev.string);
    ev.start = rd->p - rd->data;
    ev.end = ev.start + 1;

    rd->p++;

    if (ngx_pulse_json_value(rd, &ev) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&rd->path[rd->open]);

    frame = &rd->frames[rd->open++];

    frame->type = type;
    frame->index = ev.index;
    frame->nelts = 0;
    frame->key_start = ev.key_start;
    frame->start = ev.start;
    frame->escaped = 0;

    ngx_pulse_json_names_open(&rd->names, &frame->object);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_json_close(ngx_pulse_json_reader_t *rd)
{
    ngx_pulse_json_event_t   ev;
    ngx_pulse_json_frame_t  *frame;

    frame = &rd->frames[--rd->open];

    ngx_pulse_json_names_close(&rd->names, &frame->object);

    rd->p++;

    ev.type = (frame->type == NGX_PULSE_JSON_OBJECT)
              ? NGX_PULSE_JSON_OBJECT_END : NGX_PULSE_JSON_ARRAY_END;
    ev.boolean = 0;
    ev.index = frame->index;
    ev.key_start = frame->key_start;
    ev.start = frame->start;
    ev.end = rd->p - rd->data;
    ngx_str_null(&ev.string);

    return ngx_pulse_json_handle(rd, &ev);
}


/* A name and its colon. */

static ngx_int_t
ngx_pulse_json_key(ngx_pulse_json_reader_t *rd)
{
    ngx_str_t                text;
    const u_char            *start;
    ngx_pulse_json_name_t    name;
    ngx_pulse_json_frame_t  *frame;

    start = rd->p;

    if (start == rd->last || *start != '"') {
        return ngx_pulse_json_unexpected(rd,
                                         "a member's name must be a string");
    }

    if (ngx_pulse_json_text(rd, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    name.len = text.len;
    name.offset = start + 1 - rd->data;
    name.escaped = (text.data != start + 1);

    frame = &rd->frames[rd->open - 1];
    frame->member = start - rd->data;

    if (frame->object.n >= rd->limits.keys) {
        return ngx_pulse_json_refuse(rd, "too many names in one object",
                                     start);
    }

    switch (ngx_pulse_json_names_add(&rd->names, &frame->object, &name,
                                     text.data))
    {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_pulse_json_refuse(rd, "a name stands twice in one object",
                                     start);

    default: /* NGX_ERROR */
        rd->rc = NGX_ABORT;
        return NGX_ERROR;
    }

    ngx_pulse_json_member(rd, &name);
    ngx_pulse_json_blank(rd);

    if (rd->p == rd->last || *rd->p != ':') {
        return ngx_pulse_json_unexpected(rd,
                                         "a colon is missing after a name");
    }

    rd->p++;

    return NGX_OK;
}


/*
 * A name without escapes stays in the input.  Others are copied, for what was
 * decoded is there until the next string; their block may have moved, and so
 * the names in the path.
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


static ngx_int_t
ngx_pulse_json_value(ngx_pulse_json_reader_t *rd, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_json_frame_t  *frame;

    if (rd->values++ >= rd->limits.values) {
        return ngx_pulse_json_refuse(rd, "too many values",
                                     rd->data + ev->start);
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


static ngx_int_t
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
        return NGX_OK;
    }

    rd->rc = (rc == NGX_DONE) ? NGX_DONE : NGX_ABORT;

    return NGX_ERROR;
}


static void
ngx_pulse_json_blank(ngx_pulse_json_reader_t *rd)
{
    const u_char  *p;

    for (p = rd->p; p < rd->last; p++) {

        if (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t') {
            break;
        }
    }

    rd->p = p;
}


/* At the end of the text it is only that. */

static ngx_int_t
ngx_pulse_json_unexpected(ngx_pulse_json_reader_t *rd, const char *reason)
{
    return ngx_pulse_json_refuse(rd, (rd->p < rd->last) ? reason
                                     : "the JSON text ends too early",
                                 rd->p);
}


static ngx_int_t
ngx_pulse_json_refuse(ngx_pulse_json_reader_t *rd, const char *reason,
    const u_char *at)
{
    rd->err->reason = reason;
    rd->err->offset = at - rd->data;
    rd->rc = NGX_ERROR;

    return NGX_ERROR;
}
