
#include "pulse_video.h"
#include "pulse_file.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static pulse_json_want_e pulse_video_wanted(void *ctx, const char *path);
static ngx_int_t pulse_video_value(void *ctx, const char *path,
    const ngx_str_t *text);
static ngx_int_t pulse_video_piece(void *ctx, const char *path,
    const u_char *p, size_t len);
static ngx_int_t pulse_video_decode(pulse_video_answer_t *answer,
    const u_char *p, size_t len);
static ngx_int_t pulse_video_write(pulse_video_answer_t *answer,
    const u_char *p, size_t len);
static void pulse_video_log(pulse_video_answer_t *answer, const u_char *p,
    size_t len);
static ngx_uint_t pulse_video_below(const char *path, const char *name);
static ngx_int_t pulse_video_copy(ngx_pool_t *pool, ngx_str_t *to,
    const u_char *p, size_t len);


static const pulse_json_stream_pt  pulse_video_handlers = {
    pulse_video_wanted,
    pulse_video_value,
    pulse_video_piece
};


void
pulse_video_answer_init(pulse_video_answer_t *answer, ngx_pool_t *pool,
    int fd)
{
    ngx_memzero(answer, sizeof(pulse_video_answer_t));

    answer->pool = pool;
    answer->fd = fd;

    pulse_json_stream_init(&answer->stream, &pulse_video_handlers, answer);
    pulse_base64_init(&answer->base64);
}


ngx_int_t
pulse_video_answer_read(void *answer, const u_char *p, size_t len)
{
    return pulse_json_stream_feed(&((pulse_video_answer_t *) answer)->stream,
                                  p, len);
}


ngx_int_t
pulse_video_answer_end(pulse_video_answer_t *answer)
{
    ngx_int_t  rc;

    rc = pulse_json_stream_end(&answer->stream);

    pulse_json_stream_free(&answer->stream);

    return rc;
}


/* What was asked for comes back from some, pictures and all. */

static pulse_json_want_e
pulse_video_wanted(void *ctx, const char *path)
{
    pulse_video_answer_t *answer = ctx;

    if (strncmp(path, "input", 5) == 0
        && (path[5] == '.' || path[5] == '\0'))
    {
        return PULSE_JSON_SKIP;
    }

    if (strcmp(path, "logs") == 0) {
        return PULSE_JSON_PASS;
    }

    if (pulse_video_below(path, "bytesBase64Encoded")
        || pulse_video_below(path, "data"))
    {
        return answer->len ? PULSE_JSON_SKIP : PULSE_JSON_PASS;
    }

    return PULSE_JSON_KEEP;
}


static ngx_int_t
pulse_video_value(void *ctx, const char *path, const ngx_str_t *text)
{
    pulse_video_answer_t *answer = ctx;

    pulse_video_member_t  *member;

    /* what is null is not there */

    if (answer->n == PULSE_VIDEO_MEMBERS
        || (text->len == 4 && memcmp(text->data, "null", 4) == 0))
    {
        return NGX_OK;
    }

    if (answer->members == NULL) {
        answer->members = ngx_palloc(answer->pool, PULSE_VIDEO_MEMBERS
                                               * sizeof(pulse_video_member_t));
        if (answer->members == NULL) {
            return NGX_ERROR;
        }
    }

    member = &answer->members[answer->n];

    if (pulse_video_copy(answer->pool, &member->path, (u_char *) path,
                         strlen(path)) != NGX_OK
        || pulse_video_copy(answer->pool, &member->value, text->data,
                            text->len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    answer->n++;

    return NGX_OK;
}


static ngx_int_t
pulse_video_copy(ngx_pool_t *pool, ngx_str_t *to, const u_char *p, size_t len)
{
    to->data = ngx_pnalloc(pool, len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    if (len) {
        memcpy(to->data, p, len);
    }

    to->data[len] = '\0';
    to->len = len;

    return NGX_OK;
}


static ngx_int_t
pulse_video_piece(void *ctx, const char *path, const u_char *p, size_t len)
{
    pulse_video_answer_t *answer = ctx;

    if (strcmp(path, "logs") == 0) {

        if (len) {
            pulse_video_log(answer, p, len);
        }

        return NGX_OK;
    }

    return pulse_video_decode(answer, p, len);
}


static ngx_int_t
pulse_video_decode(pulse_video_answer_t *answer, const u_char *p, size_t len)
{
    size_t   part;
    ssize_t  n;
    u_char   bytes[pulse_base64_room(4096)];

    if (len == 0) {
        n = pulse_base64_end(&answer->base64, bytes);
        return (n < 0) ? NGX_ERROR : pulse_video_write(answer, bytes, n);
    }

    while (len) {
        part = ngx_min(len, 4096);
        n = pulse_base64_decode(&answer->base64, p, part, bytes);

        if (n < 0 || pulse_video_write(answer, bytes, n) != NGX_OK) {
            return NGX_ERROR;
        }

        p += part;
        len -= part;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_video_write(pulse_video_answer_t *answer, const u_char *p, size_t len)
{
    if (answer->len + len > PULSE_VIDEO_MAX) {
        return NGX_ERROR;
    }

    if (pulse_file_put(answer->fd, p, len, answer->len) != NGX_OK) {
        answer->failed = 1;
        return NGX_ERROR;
    }

    answer->len += len;

    return NGX_OK;
}


/* the end of it is the newest */

static void
pulse_video_log(pulse_video_answer_t *answer, const u_char *p, size_t len)
{
    size_t  keep;

    if (len >= PULSE_VIDEO_TAIL) {
        p += len - PULSE_VIDEO_TAIL;
        len = PULSE_VIDEO_TAIL;
    }

    keep = ngx_min(answer->tail_len, PULSE_VIDEO_TAIL - len);

    memmove(answer->tail, answer->tail + answer->tail_len - keep, keep);
    memcpy(answer->tail + keep, p, len);

    answer->tail_len = keep + len;
    answer->tail[answer->tail_len] = '\0';
}


ngx_str_t
pulse_video_get(const pulse_video_answer_t *answer, const char *path)
{
    ngx_str_t   none;
    ngx_uint_t  i;

    for (i = 0; i < answer->n; i++) {
        if (strcmp((char *) answer->members[i].path.data, path) == 0) {
            return answer->members[i].value;
        }
    }

    ngx_str_null(&none);

    return none;
}


ngx_str_t
pulse_video_find(const pulse_video_answer_t *answer, const char *above,
    const char *name)
{
    size_t       len;
    ngx_str_t    none;
    ngx_uint_t   i;
    const char  *path;

    len = strlen(above);

    for (i = 0; i < answer->n; i++) {
        path = (char *) answer->members[i].path.data;

        if (strncmp(path, above, len) == 0
            && (len == 0 || path[len] == '.')
            && pulse_video_below(path, name))
        {
            return answer->members[i].value;
        }
    }

    ngx_str_null(&none);

    return none;
}


/* whether it is the last key of a path */

static ngx_uint_t
pulse_video_below(const char *path, const char *name)
{
    const char  *last;

    last = strrchr(path, '.');

    return strcmp(last ? last + 1 : path, name) == 0;
}


ngx_uint_t
pulse_video_says_flagged(const ngx_str_t *text)
{
    ngx_uint_t  i;

    static const char *const  words[] = {
        "safety", "sensitive", "nsfw", "prohibited", "responsible ai",
        "content policy", "content_policy", "usage guidelines", "moderation",
        "blocked", "flagged"
    };

    for (i = 0; text->len && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr((char *) text->data, words[i])) {
            return 1;
        }
    }

    return 0;
}


const char *
pulse_video_take(ngx_pool_t *pool, ngx_pulse_buf_t *b, size_t *len)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    rc = b->failed ? NGX_ERROR
                   : pulse_video_copy(pool, &text, b->data, b->len);

    ngx_pulse_buf_free(b);

    if (rc != NGX_OK) {
        return NULL;
    }

    if (len) {
        *len = text.len;
    }

    return (char *) text.data;
}


void
pulse_video_member(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *value)
{
    if (value->len == 0) {
        return;
    }

    ngx_pulse_buf_char(b, ',');
    ngx_pulse_buf_json(b, (u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ':');
    ngx_pulse_buf_json(b, value->data, value->len);
}


ngx_uint_t
pulse_video_named(const ngx_str_t *operation, const char *also)
{
    size_t  i;

    for (i = 0; i < operation->len; i++) {
        if (!isalnum(operation->data[i])
            && (operation->data[i] == '\0'
                || strchr(also, operation->data[i]) == NULL))
        {
            return 0;
        }
    }

    return i > 0 && i <= PULSE_VIDEO_OPERATION;
}
