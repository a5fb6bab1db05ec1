
#include "ngx_pulse_splice.h"

#include <string.h>


#define NGX_PULSE_SPLICE_VALUE   0      /* what is written */
#define NGX_PULSE_SPLICE_MEMBER  1
#define NGX_PULSE_SPLICE_INNER   2      /* an object with the member */
#define NGX_PULSE_SPLICE_OUTER   3      /* a member with that object */


typedef struct {
    size_t                       start;     /* of what gives way */
    size_t                       end;
    ngx_uint_t                   how;       /* NGX_PULSE_SPLICE_* */
    unsigned                     found:1;   /* the member */
    unsigned                     parent:1;  /* its parent */
    unsigned                     more:1;    /* members follow */
} ngx_pulse_splice_place_t;


typedef struct {
    const ngx_pulse_splice_t    *splices;
    ngx_uint_t                   n;
    ngx_pulse_splice_place_t     places[NGX_PULSE_SPLICE_MAX];
} ngx_pulse_splice_ctx_t;


static ngx_int_t ngx_pulse_splice_value(void *data,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_splice_outer(const ngx_pulse_splice_t *splice,
    ngx_pulse_splice_place_t *place, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_splice_inner(const ngx_pulse_splice_t *splice,
    ngx_pulse_splice_place_t *place, ngx_pulse_json_event_t *ev);
static ngx_uint_t ngx_pulse_splice_follows(const ngx_pulse_splice_ctx_t *ctx,
    const ngx_pulse_splice_place_t *place);
static void ngx_pulse_splice_write(const ngx_pulse_splice_t *splice,
    ngx_pulse_splice_place_t *place, ngx_pulse_buf_t *b);
static void ngx_pulse_splice_key(const char *key, ngx_pulse_buf_t *b);
static ngx_uint_t ngx_pulse_splice_is(const ngx_str_t *key,
    const char *const *names);


ngx_int_t
ngx_pulse_splice(const ngx_str_t *text, const ngx_pulse_splice_t *splices,
    ngx_uint_t n, const ngx_pulse_json_limits_t *limits, ngx_pulse_buf_t *b)
{
    size_t                     pos;
    ngx_uint_t                 i, j, next;
    ngx_pulse_json_error_t     err;
    ngx_pulse_splice_ctx_t     ctx;
    ngx_pulse_splice_place_t  *place;

    ngx_memzero(&ctx, sizeof(ngx_pulse_splice_ctx_t));

    ctx.splices = splices;
    ctx.n = ngx_min(n, NGX_PULSE_SPLICE_MAX);

    if (ngx_pulse_json_read(text->data, text->len, limits,
                            ngx_pulse_splice_value, &ctx, &err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    pos = 0;

    for (i = 0; i < ctx.n; i++) {

        /* in the order of the text; equal places keep theirs */

        next = ctx.n;

        for (j = 0; j < ctx.n; j++) {
            place = &ctx.places[j];

            if (place->end
                && (next == ctx.n || place->start < ctx.places[next].start))
            {
                next = j;
            }
        }

        if (next == ctx.n) {
            break;
        }

        place = &ctx.places[next];

        if (splices[next].value.len) {
            place->more |= ngx_pulse_splice_follows(&ctx, place);

            ngx_pulse_buf_append(b, text->data + pos, place->start - pos);
            ngx_pulse_splice_write(&splices[next], place, b);
            pos = place->end;
        }

        place->end = 0;
    }

    ngx_pulse_buf_append(b, text->data + pos, text->len - pos);

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_splice_value(void *data, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_splice_ctx_t *ctx = data;

    ngx_int_t                  rc;
    ngx_uint_t                 i;
    const ngx_pulse_splice_t  *splice;
    ngx_pulse_splice_place_t  *place;

    if (ev->depth > 2 || ev->type == NGX_PULSE_JSON_ARRAY_END
        || ev->type == NGX_PULSE_JSON_OBJECT_END)
    {
        return NGX_OK;
    }

    if (ev->depth == 0 && ev->type != NGX_PULSE_JSON_OBJECT) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->n; i++) {
        splice = &ctx->splices[i];
        place = &ctx->places[i];
        rc = NGX_OK;

        if (ev->depth == 0) {

            /* where it goes if it is nowhere */

            place->start = ev->end;
            place->end = ev->end;
            place->how = splice->parent[0] ? NGX_PULSE_SPLICE_OUTER
                                           : NGX_PULSE_SPLICE_MEMBER;

        } else if (ev->depth == 1) {
            rc = ngx_pulse_splice_outer(splice, place, ev);

        } else {
            rc = ngx_pulse_splice_inner(splice, place, ev);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        /* of what is no scalar the end is not known yet */

        if (ev->depth && place->start == ev->start
            && (ev->type == NGX_PULSE_JSON_OBJECT
                || ev->type == NGX_PULSE_JSON_ARRAY))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* no name stands twice: what is found again is spelled the other way, and
 * which of the two counts is up to who reads it */

static ngx_int_t
ngx_pulse_splice_outer(const ngx_pulse_splice_t *splice,
    ngx_pulse_splice_place_t *place, ngx_pulse_json_event_t *ev)
{
    const char *const  *names;

    names = splice->parent[0] ? splice->parent : splice->key;

    if (place->found || place->parent) {
        return ngx_pulse_splice_is(&ev->key, names) ? NGX_ERROR : NGX_OK;
    }

    place->more = 1;

    if (!ngx_pulse_splice_is(&ev->key, names)) {
        return NGX_OK;
    }

    place->start = ev->start;
    place->end = ev->end;

    if (splice->parent[0] == NULL) {
        place->found = 1;
        place->how = NGX_PULSE_SPLICE_VALUE;
        return NGX_OK;
    }

    place->parent = 1;
    place->how = NGX_PULSE_SPLICE_INNER;

    if (ev->type == NGX_PULSE_JSON_OBJECT) {
        place->start = ev->end;
        place->how = NGX_PULSE_SPLICE_MEMBER;
        place->more = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_splice_inner(const ngx_pulse_splice_t *splice,
    ngx_pulse_splice_place_t *place, ngx_pulse_json_event_t *ev)
{
    if (!place->parent || ev->key.data == NULL || ev->path[0].data == NULL
        || !ngx_pulse_splice_is(&ev->path[0], splice->parent))
    {
        return NGX_OK;
    }

    if (place->found) {
        return ngx_pulse_splice_is(&ev->key, splice->key) ? NGX_ERROR
                                                          : NGX_OK;
    }

    place->more = 1;

    if (ngx_pulse_splice_is(&ev->key, splice->key)) {
        place->found = 1;
        place->start = ev->start;
        place->end = ev->end;
        place->how = NGX_PULSE_SPLICE_VALUE;
    }

    return NGX_OK;
}


/* 1 if another member is put into the same place after this one */

static ngx_uint_t
ngx_pulse_splice_follows(const ngx_pulse_splice_ctx_t *ctx,
    const ngx_pulse_splice_place_t *place)
{
    ngx_uint_t                       i;
    const ngx_pulse_splice_place_t  *other;

    for (i = 0; i < ctx->n; i++) {
        other = &ctx->places[i];

        if (other != place && other->end == place->end && other->end
            && ctx->splices[i].value.len)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_pulse_splice_write(const ngx_pulse_splice_t *splice,
    ngx_pulse_splice_place_t *place, ngx_pulse_buf_t *b)
{
    if (place->how == NGX_PULSE_SPLICE_OUTER) {
        ngx_pulse_splice_key(splice->parent[0], b);
    }

    if (place->how >= NGX_PULSE_SPLICE_INNER) {
        ngx_pulse_buf_char(b, '{');
    }

    if (place->how != NGX_PULSE_SPLICE_VALUE) {
        ngx_pulse_splice_key(splice->key[0], b);
    }

    ngx_pulse_buf_str(b, &splice->value);

    if (place->how >= NGX_PULSE_SPLICE_INNER) {
        ngx_pulse_buf_char(b, '}');
    }

    if (place->more
        && (place->how == NGX_PULSE_SPLICE_MEMBER
            || place->how == NGX_PULSE_SPLICE_OUTER))
    {
        ngx_pulse_buf_char(b, ',');
    }
}


static void
ngx_pulse_splice_key(const char *key, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_json(b, (u_char *) key, strlen(key));
    ngx_pulse_buf_char(b, ':');
}


static ngx_uint_t
ngx_pulse_splice_is(const ngx_str_t *key, const char *const *names)
{
    ngx_uint_t  i;

    for (i = 0; i < 2 && names[i]; i++) {
        if (key->len == strlen(names[i])
            && ngx_memcmp(key->data, names[i], key->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
