
#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>
#include "ngx_pulse_json.h"


/* an object with more keys than this gets a hash table */

#define NGX_PULSE_JSON_FEW_KEYS  8

#define NGX_PULSE_JSON_FREE      0xffffffff


typedef struct {
    uint32_t                    hash;
    uint32_t                    escaped;
    size_t                      offset;     /* in the input or in "keys" */
    size_t                      len;
} ngx_pulse_json_key_t;


/*
 * An open array or object.  Its keys and its table lie at the end of the
 * reader's stacks, for whatever is open inside it is closed by the time it
 * gets another key.
 */

typedef struct {
    ngx_uint_t                  type;
    ngx_uint_t                  index;      /* in its parent */
    ngx_uint_t                  nelts;
    size_t                      key_start;
    size_t                      start;
    size_t                      entries;    /* first key, bytes */
    size_t                      slots;      /* table, bytes */
    size_t                      text;       /* its part of "keys", bytes */
    ngx_uint_t                  nkeys;
    ngx_uint_t                  nslots;

    /* the member being read */

    size_t                      member;     /* start of its key */
    size_t                      offset;     /* of its key in "keys" */
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

    uint64_t                    seed;
    ngx_uint_t                  values;
    ngx_uint_t                  open;
    ngx_uint_t                  ended;      /* unsigned  ended:1; */

    ngx_pulse_buf_t             entries;    /* ngx_pulse_json_key_t */
    ngx_pulse_buf_t             slots;      /* uint32_t, number of a key */
    ngx_pulse_buf_t             keys;       /* keys with escapes, decoded */

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
static int ngx_pulse_json_key(void *data, const u_char *p, size_t len);
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

static int ngx_pulse_json_member(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_key_t *key, const u_char *p);
static const u_char *ngx_pulse_json_keep(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_key_t *key, const u_char *p);
static ngx_uint_t ngx_pulse_json_known(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_frame_t *frame, ngx_pulse_json_key_t *key,
    const u_char *p);
static ngx_int_t ngx_pulse_json_rehash(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_frame_t *frame);
static void ngx_pulse_json_slot(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_frame_t *frame, uint32_t hash, uint32_t n);
static uint32_t ngx_pulse_json_hash(uint64_t seed, const u_char *p,
    size_t len);


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

    /* an address that the writer of the text does not know */

    rd.seed = (uint64_t) (uintptr_t) &rd * 0x9e3779b97f4a7c15;

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

    ngx_pulse_buf_init(&rd.entries, 0);
    ngx_pulse_buf_init(&rd.slots, 0);
    ngx_pulse_buf_init(&rd.keys, 0);

    rd.yajl = yajl_alloc(&ngx_pulse_json_callbacks, NULL, &rd);
    if (rd.yajl == NULL) {
        return NGX_ABORT;
    }

    rc = ngx_pulse_json_run(&rd);

    yajl_free(rd.yajl);

    ngx_pulse_buf_free(&rd.entries);
    ngx_pulse_buf_free(&rd.slots);
    ngx_pulse_buf_free(&rd.keys);

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
        (void) ngx_pulse_json_blank(rd, &rd->last);
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
    frame->entries = rd->entries.len;
    frame->slots = rd->slots.len;
    frame->text = rd->keys.len;

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

    rd->entries.len = frame->entries;
    rd->slots.len = frame->slots;
    rd->keys.len = frame->text;

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
    ngx_pulse_json_key_t     key;
    ngx_pulse_json_frame_t  *frame;

    if (!ngx_pulse_json_token(rd, &start, &end)) {
        return 0;
    }

    key.len = len;
    key.offset = start + 1;
    key.escaped = (len != end - start - 2);

    if (key.escaped && !ngx_pulse_json_escapes(rd, start, end)) {
        return 0;
    }

    frame = &rd->frames[rd->open - 1];
    frame->member = start;

    if (frame->nkeys >= rd->limits.keys) {
        return ngx_pulse_json_refuse(rd, "too many names in one object",
                                     start);
    }

    key.hash = ngx_pulse_json_hash(rd->seed, p, len);

    if (ngx_pulse_json_known(rd, frame, &key, p)) {
        return ngx_pulse_json_refuse(rd, "a name stands twice in one object",
                                     start);
    }

    return ngx_pulse_json_member(rd, &key, p);
}


static int
ngx_pulse_json_member(ngx_pulse_json_reader_t *rd, ngx_pulse_json_key_t *key,
    const u_char *p)
{
    ngx_str_t               *name;
    ngx_pulse_json_frame_t  *frame;

    frame = &rd->frames[rd->open - 1];
    name = &rd->path[rd->open - 1];

    p = ngx_pulse_json_keep(rd, key, p);
    if (p == NULL) {
        rd->rc = NGX_ABORT;
        return 0;
    }

    name->data = (u_char *) p;
    name->len = key->len;

    frame->escaped = key->escaped;
    frame->offset = key->offset;

    ngx_pulse_buf_append(&rd->entries, (u_char *) key,
                         sizeof(ngx_pulse_json_key_t));

    if (rd->entries.failed || ngx_pulse_json_rehash(rd, frame) != NGX_OK) {
        rd->rc = NGX_ABORT;
        return 0;
    }

    if (frame->nslots) {
        ngx_pulse_json_slot(rd, frame, key->hash, frame->nkeys);
    }

    frame->nkeys++;

    return 1;
}


/*
 * A key without escapes stays in the input; the decoded form of another is
 * in yajl's memory until the next string, so it is copied.
 */

static const u_char *
ngx_pulse_json_keep(ngx_pulse_json_reader_t *rd, ngx_pulse_json_key_t *key,
    const u_char *p)
{
    u_char      *last;
    ngx_uint_t   i;

    if (!key->escaped) {
        return rd->data + key->offset;
    }

    last = rd->keys.data;

    key->offset = rd->keys.len;

    if (ngx_pulse_buf_reserve(&rd->keys, key->len) == NULL) {
        return NULL;
    }

    ngx_pulse_buf_append(&rd->keys, p, key->len);

    if (rd->keys.data != last) {

        /* the block has moved: so have the names in the path */

        for (i = 0; i + 1 < rd->open; i++) {
            if (rd->frames[i].escaped) {
                rd->path[i].data = rd->keys.data + rd->frames[i].offset;
            }
        }
    }

    return rd->keys.data + key->offset;
}


static ngx_uint_t
ngx_pulse_json_known(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_frame_t *frame, ngx_pulse_json_key_t *key, const u_char *p)
{
    uint32_t              *slots, mask, i, n;
    const u_char          *text;
    ngx_pulse_json_key_t  *entries, *entry;

    if (frame->nkeys == 0) {
        return 0;
    }

    entries = (ngx_pulse_json_key_t *) (rd->entries.data + frame->entries);
    slots = NULL;
    mask = 0;
    i = 0;

    if (frame->nslots) {
        slots = (uint32_t *) (rd->slots.data + frame->slots);
        mask = frame->nslots - 1;
        i = key->hash & mask;
    }

    for ( ;; ) {

        n = slots ? slots[i] : i;

        if (n == NGX_PULSE_JSON_FREE || n >= frame->nkeys) {
            return 0;
        }

        entry = &entries[n];

        if (entry->hash == key->hash && entry->len == key->len) {
            text = entry->escaped ? rd->keys.data : rd->data;

            if (ngx_memcmp(text + entry->offset, p, key->len) == 0) {
                return 1;
            }
        }

        i = slots ? ((i + 1) & mask) : i + 1;
    }
}


/* Keeps the table at most half full; few keys need none. */

static ngx_int_t
ngx_pulse_json_rehash(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_frame_t *frame)
{
    u_char                *p;
    size_t                 size;
    ngx_uint_t             i;
    ngx_pulse_json_key_t  *entries;

    if (frame->nkeys < NGX_PULSE_JSON_FEW_KEYS
        || frame->nkeys * 2 < frame->nslots)
    {
        return NGX_OK;
    }

    rd->slots.len = frame->slots;

    frame->nslots = frame->nslots ? frame->nslots * 2
                                  : NGX_PULSE_JSON_FEW_KEYS * 4;

    size = frame->nslots * sizeof(uint32_t);

    p = ngx_pulse_buf_reserve(&rd->slots, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memset(p, 0xff, size);

    rd->slots.len += size;

    entries = (ngx_pulse_json_key_t *) (rd->entries.data + frame->entries);

    for (i = 0; i < frame->nkeys; i++) {
        ngx_pulse_json_slot(rd, frame, entries[i].hash, i);
    }

    return NGX_OK;
}


static void
ngx_pulse_json_slot(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_frame_t *frame, uint32_t hash, uint32_t n)
{
    uint32_t  *slots, mask, i;

    slots = (uint32_t *) (rd->slots.data + frame->slots);
    mask = frame->nslots - 1;

    for (i = hash & mask; slots[i] != NGX_PULSE_JSON_FREE; i = (i + 1) & mask) {
        /* void */
    }

    slots[i] = n;
}


static uint32_t
ngx_pulse_json_hash(uint64_t seed, const u_char *p, size_t len)
{
    uint64_t  h, word;

    h = seed ^ len;

    while (len >= sizeof(word)) {
        ngx_memcpy(&word, p, sizeof(word));

        h = (h ^ word) * 0xff51afd7ed558ccd;
        h ^= h >> 32;

        p += sizeof(word);
        len -= sizeof(word);
    }

    word = 0;
    ngx_memcpy(&word, p, len);

    h = (h ^ word) * 0xc4ceb9fe1a85ec53;

    return (uint32_t) (h ^ (h >> 32));
}
