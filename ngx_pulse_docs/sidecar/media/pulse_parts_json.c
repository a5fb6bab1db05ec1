
#include <string.h>
#include "ngx_pulse_json.h"
#include "pulse_parts.h"


/*
 * The members of an object as the parts of a form would be: text in memory,
 * and what images[].image_url and mask.image_url have as data: URLs in files.
 */



static const char *pulse_parts_json_name(pulse_parts_t *parts,
    const char *path, ngx_uint_t *file);
static pulse_json_want_e pulse_parts_json_wanted(void *ctx, const char *path);
static ngx_int_t pulse_parts_json_value(void *ctx, const char *path,
    const ngx_str_t *text);
static ngx_uint_t pulse_parts_json_is(const ngx_str_t *text,
    const char *other);
static ngx_int_t pulse_parts_json_begin(pulse_parts_t *parts,
    const char *name, ngx_uint_t type, ngx_uint_t file);
static ngx_int_t pulse_parts_json_piece(void *ctx, const char *path,
    const u_char *p, size_t len);
static ngx_int_t pulse_parts_json_ended(pulse_parts_t *parts);
static ngx_int_t pulse_parts_json_head(pulse_parts_t *parts,
    const u_char **p, const u_char *last);
static ngx_int_t pulse_parts_json_bytes(pulse_parts_t *parts,
    const u_char *p, const u_char *last);
static ngx_int_t pulse_parts_json_flush(pulse_parts_t *parts);
static ngx_int_t pulse_parts_json_unusable(pulse_parts_t *parts);
static ngx_int_t pulse_parts_json_refuse(pulse_parts_t *parts,
    const char *pointer, const char *reason);


static const pulse_json_stream_pt  pulse_parts_json_handlers = {
    pulse_parts_json_wanted, pulse_parts_json_value, pulse_parts_json_piece
};

static const char  pulse_parts_json_text[] = "this is no valid JSON";

static const char  pulse_parts_json_data[] =
    "must be given by image_url as a data: URL in base64; no other address is"
    " fetched, and file_id is not known here";


void
pulse_parts_json_init(pulse_parts_t *parts)
{
    parts->object = 1;

    pulse_json_stream_init(&parts->json, &pulse_parts_json_handlers, parts);
}


void
pulse_parts_json_feed(pulse_parts_t *parts, const u_char *p, size_t len)
{
    if (pulse_json_stream_feed(&parts->json, p, len) != NGX_OK
        && !parts->failed && !parts->too_large)
    {
        (void) pulse_parts_json_refuse(parts, NULL, pulse_parts_json_text);
    }
}


ngx_int_t
pulse_parts_json_end(pulse_parts_t *parts)
{
    if (pulse_json_stream_end(&parts->json) == NGX_OK) {
        return NGX_OK;
    }

    (void) pulse_parts_json_refuse(parts, NULL, pulse_parts_json_text);

    return NGX_DECLINED;
}


/* Of the part that a value at this path is; NULL: none may be there. */

static const char *
pulse_parts_json_name(pulse_parts_t *parts, const char *path,
    ngx_uint_t *file)
{
    size_t                     key;
    ngx_uint_t                 depth;
    const pulse_json_level_t  *levels;

    key = strcspn(path, ".");
    depth = parts->json.depth;
    levels = parts->json.levels;

    *file = 1;

    if (depth == 0 || levels[0].array) {
        (void) pulse_parts_json_refuse(parts, NULL,
                                       "a JSON object is wanted");
        return NULL;
    }

    if (key == 6 && memcmp(path, "images", key) == 0) {

        if (depth == 3 && levels[1].array
            && strcmp(path + 7 + strspn(path + 7, "0123456789"),
                      ".image_url") == 0)
        {
            return "images";
        }

        (void) pulse_parts_json_refuse(parts, "/images",
                                       pulse_parts_json_data);
        return NULL;
    }

    if (key == 4 && memcmp(path, "mask", key) == 0) {

        if (depth == 2 && strcmp(path, "mask.image_url") == 0) {
            return "mask";
        }

        (void) pulse_parts_json_refuse(parts, "/mask", pulse_parts_json_data);
        return NULL;
    }

    *file = 0;

    if (depth != 1 || strlen(path) >= PULSE_MULTIPART_NAME) {
        (void) pulse_parts_json_refuse(parts, NULL,
                                       "a member is not known, or of the"
                                       " wrong type");
        return NULL;
    }

    return path;
}


static pulse_json_want_e
pulse_parts_json_wanted(void *ctx, const char *path)
{
    pulse_parts_t *parts = ctx;

    ngx_uint_t   file;
    const char  *name;

    if (parts->reason || parts->failed) {
        return PULSE_JSON_SKIP;
    }

    name = pulse_parts_json_name(parts, path, &file);

    if (name == NULL
        || pulse_parts_json_begin(parts, name, NGX_PULSE_JSON_STRING, file)
           != NGX_OK)
    {
        return PULSE_JSON_SKIP;
    }

    return PULSE_JSON_PASS;
}


/* What is null is as if it were not there: clients write all members. */

static ngx_int_t
pulse_parts_json_value(void *ctx, const char *path, const ngx_str_t *text)
{
    pulse_parts_t *parts = ctx;

    ngx_uint_t   file, type;
    const char  *name;

    if (parts->reason || parts->failed) {
        return NGX_ERROR;
    }

    if (pulse_parts_json_is(text, "null")) {
        return NGX_OK;
    }

    type = (pulse_parts_json_is(text, "true")
            || pulse_parts_json_is(text, "false"))
           ? NGX_PULSE_JSON_BOOL : NGX_PULSE_JSON_NUMBER;

    if (type == NGX_PULSE_JSON_NUMBER && text->data[0] != '-'
        && (text->data[0] < '0' || text->data[0] > '9'))
    {
        return NGX_ERROR;
    }

    name = pulse_parts_json_name(parts, path, &file);

    if (name == NULL) {
        return NGX_ERROR;
    }

    if (file) {
        return pulse_parts_json_refuse(parts, (name[0] == 'm') ? "/mask"
                                                               : "/images",
                                       pulse_parts_json_data);
    }

    if (pulse_parts_json_begin(parts, name, type, 0) != NGX_OK
        || pulse_parts_data(parts, text->data, text->len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_parts_data(parts, NULL, 0);
}


static ngx_uint_t
pulse_parts_json_is(const ngx_str_t *text, const char *other)
{
    return text->len == strlen(other)
           && memcmp(text->data, other, text->len) == 0;
}


/* A number and the same as text are not the same request. */

static ngx_int_t
pulse_parts_json_begin(pulse_parts_t *parts, const char *name,
    ngx_uint_t type, ngx_uint_t file)
{
    u_char                  kind;
    pulse_multipart_part_t  part;

    if (parts->n == PULSE_MULTIPART_PARTS) {
        return pulse_parts_json_refuse(parts, NULL,
                                       "there are too many members");
    }

    memset(&part, 0, sizeof(pulse_multipart_part_t));
    strcpy(part.name, name);
    part.file = file;

    kind = type;

    if (!EVP_DigestUpdate(parts->digest, &kind, 1)
        || pulse_parts_part(parts, &part) != NGX_OK)
    {
        parts->failed = 1;
        return NGX_ERROR;
    }

    parts->elts[parts->n - 1].json = type;
    parts->inside = 0;
    parts->head_len = 0;
    parts->gathered = 0;

    pulse_base64_init(&parts->base64);

    return NGX_OK;
}


static ngx_int_t
pulse_parts_json_piece(void *ctx, const char *path, const u_char *p,
    size_t len)
{
    pulse_parts_t *parts = ctx;

    const u_char  *last;

    if (parts->elts[parts->n - 1].fd == -1) {
        return pulse_parts_data(parts, p, len);
    }

    if (len == 0) {
        return pulse_parts_json_ended(parts);
    }

    last = p + len;

    if (!parts->inside && pulse_parts_json_head(parts, &p, last) != NGX_OK) {
        return NGX_ERROR;
    }

    return pulse_parts_json_bytes(parts, p, last);
}


static ngx_int_t
pulse_parts_json_ended(pulse_parts_t *parts)
{
    u_char   out[pulse_base64_room(0)];
    ssize_t  n;

    if (!parts->inside) {
        return pulse_parts_json_unusable(parts);
    }

    if (pulse_parts_json_flush(parts) != NGX_OK) {
        return NGX_ERROR;
    }

    n = pulse_base64_end(&parts->base64, out);

    if (n == NGX_ERROR) {
        return pulse_parts_json_unusable(parts);
    }

    if (n && pulse_parts_data(parts, out, n) != NGX_OK) {
        return NGX_ERROR;
    }

    return pulse_parts_data(parts, NULL, 0);
}


/* "data:image/png;base64,": nobody looks at what it is said to be. */

static ngx_int_t
pulse_parts_json_head(pulse_parts_t *parts, const u_char **p,
    const u_char *last)
{
    size_t  len;
    u_char  ch;

    static const char  end[] = ";base64";

    while (*p < last) {
        ch = *(*p)++;

        if (ch != ',') {

            if (parts->head_len == PULSE_PARTS_HEAD) {
                return pulse_parts_json_unusable(parts);
            }

            parts->head[parts->head_len++] = ch;
            continue;
        }

        len = sizeof(end) - 1;

        if (parts->head_len < 5 + len
            || strncasecmp((char *) parts->head, "data:", 5) != 0
            || strncasecmp((char *) parts->head + parts->head_len - len, end,
                           len) != 0)
        {
            return pulse_parts_json_unusable(parts);
        }

        parts->inside = 1;
        break;
    }

    return NGX_OK;
}


/* Some clients escape each slash, and any byte may be: what is between two
 * escapes is no piece to be written by itself. */

static ngx_int_t
pulse_parts_json_bytes(pulse_parts_t *parts, const u_char *p,
    const u_char *last)
{
    size_t  n;

    for ( /* void */ ; p < last; p += n) {
        n = ngx_min((size_t) (last - p), PULSE_PARTS_STEP - parts->gathered);

        memcpy(parts->gather + parts->gathered, p, n);
        parts->gathered += n;

        if (parts->gathered == PULSE_PARTS_STEP
            && pulse_parts_json_flush(parts) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_parts_json_flush(pulse_parts_t *parts)
{
    u_char   out[pulse_base64_room(PULSE_PARTS_STEP)];
    ssize_t  n;

    n = pulse_base64_decode(&parts->base64, parts->gather, parts->gathered,
                            out);
    parts->gathered = 0;

    if (n == NGX_ERROR) {
        return pulse_parts_json_unusable(parts);
    }

    return n ? pulse_parts_data(parts, out, n) : NGX_OK;
}


/* Of the picture that is being read. */

static ngx_int_t
pulse_parts_json_unusable(pulse_parts_t *parts)
{
    return pulse_parts_json_refuse(parts,
                                   parts->elts[parts->n - 1].name[0] == 'm'
                                   ? "/mask" : "/images",
                                   pulse_parts_json_data);
}


/* The first that is wrong is told. */

static ngx_int_t
pulse_parts_json_refuse(pulse_parts_t *parts, const char *pointer,
    const char *reason)
{
    if (parts->reason == NULL) {
        parts->pointer = pointer;
        parts->reason = reason;
    }

    return NGX_ERROR;
}
