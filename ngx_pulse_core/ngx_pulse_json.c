
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"
#include "ngx_pulse_json_token.h"


/* an object with more keys than this gets a hash table */

#define NGX_PULSE_JSON_FEW_KEYS  8

#define NGX_PULSE_JSON_FREE      0xffffffff


/* what may come next */

typedef enum {
    ngx_pulse_json_want_value = 0,
    ngx_pulse_json_want_element,        /* or the end of the array */
    ngx_pulse_json_want_name,
    ngx_pulse_json_want_member,         /* or the end of the object */
    ngx_pulse_json_want_colon,
    ngx_pulse_json_want_more,           /* a comma, or the end of either */
    ngx_pulse_json_want_nothing
} ngx_pulse_json_want_e;


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
    size_t                      start;      /* of the token */
    size_t                      pos;
    ngx_pulse_json_want_e       want;

    ngx_pulse_json_limits_t     limits;
    ngx_pulse_json_handler_pt   handler;
    void                       *ctx;
    ngx_pulse_json_error_t     *err;
    ngx_int_t                   rc;

    uint64_t                    seed;
    ngx_uint_t                  values;
    ngx_uint_t                  open;

    ngx_pulse_buf_t             entries;    /* ngx_pulse_json_key_t */
    ngx_pulse_buf_t             slots;      /* uint32_t, number of a key */
    ngx_pulse_buf_t             keys;       /* keys with escapes, decoded */
    ngx_pulse_buf_t             text;       /* the string with escapes */

    ngx_str_t                   path[NGX_PULSE_JSON_MAX_DEPTH];
    ngx_pulse_json_frame_t      frames[NGX_PULSE_JSON_MAX_DEPTH];
} ngx_pulse_json_reader_t;


static void ngx_pulse_json_run(ngx_pulse_json_reader_t *rd);
static int ngx_pulse_json_step(ngx_pulse_json_reader_t *rd);
static int ngx_pulse_json_early(ngx_pulse_json_reader_t *rd);
static int ngx_pulse_json_refuse(ngx_pulse_json_reader_t *rd,
    const char *reason, size_t offset);

static int ngx_pulse_json_begin(ngx_pulse_json_reader_t *rd, u_char ch);
static int ngx_pulse_json_word(ngx_pulse_json_reader_t *rd, u_char ch);
static int ngx_pulse_json_number(ngx_pulse_json_reader_t *rd);
static int ngx_pulse_json_string(ngx_pulse_json_reader_t *rd,
    ngx_str_t *string, ngx_uint_t *escaped);
static int ngx_pulse_json_key(ngx_pulse_json_reader_t *rd);

static int ngx_pulse_json_scalar(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev, ngx_uint_t type);
static int ngx_pulse_json_open(ngx_pulse_json_reader_t *rd, ngx_uint_t type);
static int ngx_pulse_json_close(ngx_pulse_json_reader_t *rd);
static int ngx_pulse_json_value(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev);
static int ngx_pulse_json_handle(ngx_pulse_json_reader_t *rd,
    ngx_pulse_json_event_t *ev);

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
    rd.len = len;
    rd.start = 0;
    rd.pos = 0;
    rd.want = ngx_pulse_json_want_value;
    rd.limits = limits ? *limits : ngx_pulse_json_limits;
    rd.handler = handler;
    rd.ctx = ctx;
    rd.err = err;
    rd.rc = NGX_OK;
    rd.values = 0;
    rd.open = 0;

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
    ngx_pulse_buf_init(&rd.text, 0);

    ngx_pulse_json_run(&rd);

    ngx_pulse_buf_free(&rd.entries);
    ngx_pulse_buf_free(&rd.slots);
    ngx_pulse_buf_free(&rd.keys);
    ngx_pulse_buf_free(&rd.text);

    return rd.rc;
}


static void
ngx_pulse_json_run(ngx_pulse_json_reader_t *rd)
{
    u_char  ch;

    for ( ;; ) {

        for ( /* void */ ; rd->pos < rd->len; rd->pos++) {
            ch = rd->data[rd->pos];

            if (ch != ' ' && ch != '\n' && ch != '\r' && ch != '\t') {
                break;
            }
        }

        rd->start = rd->pos;

        if (rd->pos == rd->len) {

            if (rd->want != ngx_pulse_json_want_nothing) {
                (void) ngx_pulse_json_early(rd);
            }

            return;
        }

        if (!ngx_pulse_json_step(rd)) {
            return;
        }
    }
}


/* One token; 0 ends the reading, with rd->rc. */

static int
ngx_pulse_json_step(ngx_pulse_json_reader_t *rd)
{
    u_char      ch;
    ngx_uint_t  object;

    ch = rd->data[rd->pos];

    switch (rd->want) {

    case ngx_pulse_json_want_element:

        if (ch == ']') {
            return ngx_pulse_json_close(rd);
        }

        /* fall through */

    case ngx_pulse_json_want_value:
        return ngx_pulse_json_begin(rd, ch);

    case ngx_pulse_json_want_member:

        if (ch == '}') {
            return ngx_pulse_json_close(rd);
        }

        /* fall through */

    case ngx_pulse_json_want_name:

        if (ch != '"') {
            return ngx_pulse_json_refuse(rd, "a member's name must be a"
                                         " string", rd->pos);
        }

        rd->want = ngx_pulse_json_want_colon;

        return ngx_pulse_json_key(rd);

    case ngx_pulse_json_want_colon:

        if (ch != ':') {
            return ngx_pulse_json_refuse(rd, "a colon is missing after a"
                                         " name", rd->pos);
        }

        rd->pos++;
        rd->want = ngx_pulse_json_want_value;

        return 1;

    case ngx_pulse_json_want_more:
        object = rd->frames[rd->open - 1].type == NGX_PULSE_JSON_OBJECT;

        if (ch == ',') {
            rd->pos++;
            rd->want = object ? ngx_pulse_json_want_name
                              : ngx_pulse_json_want_value;
            return 1;
        }

        if (ch == (object ? '}' : ']')) {
            return ngx_pulse_json_close(rd);
        }

        return ngx_pulse_json_refuse(rd, "a syntax error", rd->pos);

    default: /* ngx_pulse_json_want_nothing */
        return ngx_pulse_json_refuse(rd, "something follows the JSON value",
                                     rd->pos);
    }
}


static int
ngx_pulse_json_early(ngx_pulse_json_reader_t *rd)
{
    return ngx_pulse_json_refuse(rd, "the JSON text ends too early", rd->len);
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


/* A value by its first byte. */

static int
ngx_pulse_json_begin(ngx_pulse_json_reader_t *rd, u_char ch)
{
    ngx_uint_t              escaped;
    ngx_pulse_json_event_t  ev;

    switch (ch) {

    case '"':
        return ngx_pulse_json_string(rd, &ev.string, &escaped)
               && ngx_pulse_json_scalar(rd, &ev, NGX_PULSE_JSON_STRING);

    case '{':
        return ngx_pulse_json_open(rd, NGX_PULSE_JSON_OBJECT);

    case '[':
        return ngx_pulse_json_open(rd, NGX_PULSE_JSON_ARRAY);

    case 't':
    case 'f':
    case 'n':
        return ngx_pulse_json_word(rd, ch);

    default:

        if (ch == '-' || (ch >= '0' && ch <= '9')) {
            return ngx_pulse_json_number(rd);
        }

        return ngx_pulse_json_refuse(rd, "a character that cannot stand here",
                                     rd->pos);
    }
}


static int
ngx_pulse_json_word(ngx_pulse_json_reader_t *rd, u_char ch)
{
    const char              *reason, *word;
    ngx_pulse_json_event_t   ev;

    word = (ch == 't') ? "true" : (ch == 'f') ? "false" : "null";

    reason = ngx_pulse_json_token_word(rd->data, rd->len, &rd->pos, word);
    if (reason) {
        return ngx_pulse_json_refuse(rd, reason, rd->pos);
    }

    ngx_str_null(&ev.string);
    ev.boolean = (ch == 't');

    return ngx_pulse_json_scalar(rd, &ev, (ch == 'n') ? NGX_PULSE_JSON_NULL
                                                      : NGX_PULSE_JSON_BOOL);
}


static int
ngx_pulse_json_number(ngx_pulse_json_reader_t *rd)
{
    const char              *reason;
    ngx_pulse_json_event_t   ev;

    reason = ngx_pulse_json_token_number(rd->data, rd->len, &rd->pos);
    if (reason) {
        return ngx_pulse_json_refuse(rd, reason, rd->pos);
    }

    ev.string.data = (u_char *) rd->data + rd->start;
    ev.string.len = rd->pos - rd->start;

    return ngx_pulse_json_scalar(rd, &ev, NGX_PULSE_JSON_NUMBER);
}


/* Of the input, or of rd->text until the next string if it has escapes. */

static int
ngx_pulse_json_string(ngx_pulse_json_reader_t *rd, ngx_str_t *string,
    ngx_uint_t *escaped)
{
    const char  *reason;

    reason = ngx_pulse_json_token_string(rd->data, rd->len, &rd->pos, escaped);
    if (reason) {
        return ngx_pulse_json_refuse(rd, reason, rd->pos);
    }

    string->data = (u_char *) rd->data + rd->start + 1;
    string->len = rd->pos - rd->start - 2;

    if (!*escaped) {
        return 1;
    }

    rd->text.len = 0;

    if (ngx_pulse_buf_reserve(&rd->text, string->len) == NULL) {
        rd->rc = NGX_ABORT;
        return 0;
    }

    string->len = ngx_pulse_json_token_decode(rd->text.data, string->data,
                                              string->len);
    string->data = rd->text.data;

    return 1;
}


static int
ngx_pulse_json_scalar(ngx_pulse_json_reader_t *rd, ngx_pulse_json_event_t *ev,
    ngx_uint_t type)
{
    ev->type = type;
    ev->start = rd->start;
    ev->end = rd->pos;

    if (type != NGX_PULSE_JSON_BOOL) {
        ev->boolean = 0;
    }

    rd->want = rd->open ? ngx_pulse_json_want_more
                        : ngx_pulse_json_want_nothing;

    return ngx_pulse_json_value(rd, ev);
}


static int
ngx_pulse_json_open(ngx_pulse_json_reader_t *rd, ngx_uint_t type)
{
    ngx_pulse_json_event_t   ev;
    ngx_pulse_json_frame_t  *frame;

    if (rd->open >= rd->limits.depth) {
        return ngx_pulse_json_refuse(rd, "nested too deep", rd->start);
    }

    ev.type = type;
    ev.start = rd->start;
    ev.end = ++rd->pos;
    ev.boolean = 0;
    ngx_str_null(&ev.string);

    if (!ngx_pulse_json_value(rd, &ev)) {
        return 0;
    }

    rd->want = (type == NGX_PULSE_JSON_OBJECT) ? ngx_pulse_json_want_member
                                               : ngx_pulse_json_want_element;

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
ngx_pulse_json_close(ngx_pulse_json_reader_t *rd)
{
    ngx_pulse_json_event_t   ev;
    ngx_pulse_json_frame_t  *frame;

    frame = &rd->frames[--rd->open];

    rd->entries.len = frame->entries;
    rd->slots.len = frame->slots;
    rd->keys.len = frame->text;

    rd->want = rd->open ? ngx_pulse_json_want_more
                        : ngx_pulse_json_want_nothing;

    ev.type = (frame->type == NGX_PULSE_JSON_OBJECT)
              ? NGX_PULSE_JSON_OBJECT_END : NGX_PULSE_JSON_ARRAY_END;
    ev.boolean = 0;
    ev.index = frame->index;
    ev.key_start = frame->key_start;
    ev.start = frame->start;
    ev.end = ++rd->pos;
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


static int
ngx_pulse_json_key(ngx_pulse_json_reader_t *rd)
{
    size_t                   start;
    ngx_str_t                name;
    ngx_uint_t               escaped;
    ngx_pulse_json_key_t     key;
    ngx_pulse_json_frame_t  *frame;

    start = rd->start;

    if (!ngx_pulse_json_string(rd, &name, &escaped)) {
        return 0;
    }

    key.len = name.len;
    key.offset = start + 1;
    key.escaped = escaped;

    frame = &rd->frames[rd->open - 1];
    frame->member = start;

    if (frame->nkeys >= rd->limits.keys) {
        return ngx_pulse_json_refuse(rd, "too many names in one object",
                                     start);
    }

    key.hash = ngx_pulse_json_hash(rd->seed, name.data, name.len);

    if (ngx_pulse_json_known(rd, frame, &key, name.data)) {
        return ngx_pulse_json_refuse(rd, "a name stands twice in one object",
                                     start);
    }

    return ngx_pulse_json_member(rd, &key, name.data);
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
 * overwritten by the next string, so it is copied.
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
