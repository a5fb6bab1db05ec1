
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_json.h"


typedef struct {
    ngx_pool_t                 *pool;
    const u_char               *data;
    size_t                      len;
    u_char                     *copy;       /* of the input */
    ngx_pulse_json_value_t     *root;
    ngx_pulse_json_value_t     *parent;
    ngx_pulse_json_value_t     *last[NGX_PULSE_JSON_MAX_DEPTH + 1];
} ngx_pulse_json_tree_t;


static ngx_int_t ngx_pulse_json_tree_add(void *ctx,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_json_tree_text(ngx_pulse_json_tree_t *tree,
    ngx_str_t *dst, ngx_str_t *src);


ngx_pulse_json_value_t *
ngx_pulse_json_tree(ngx_pool_t *pool, const u_char *data, size_t len,
    const ngx_pulse_json_limits_t *limits, ngx_pulse_json_error_t *err)
{
    ngx_int_t              rc;
    ngx_pulse_json_tree_t  tree;

    tree.pool = pool;
    tree.data = data;
    tree.len = len;
    tree.copy = NULL;
    tree.root = NULL;
    tree.parent = NULL;

    rc = ngx_pulse_json_read(data, len, limits, ngx_pulse_json_tree_add,
                             &tree, err);
    if (rc == NGX_OK) {
        return tree.root;
    }

    if (rc == NGX_ABORT) {
        err->reason = "no memory";
    }

    return NULL;
}


static ngx_int_t
ngx_pulse_json_tree_add(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_json_tree_t *tree = ctx;

    ngx_pulse_json_value_t  *v, *parent;

    parent = tree->parent;

    if (ev->type == NGX_PULSE_JSON_OBJECT_END
        || ev->type == NGX_PULSE_JSON_ARRAY_END)
    {
        parent->end = ev->end;
        tree->parent = parent->parent;
        return NGX_OK;
    }

    v = ngx_pcalloc(tree->pool, sizeof(ngx_pulse_json_value_t));
    if (v == NULL) {
        return NGX_ERROR;
    }

    v->type = ev->type;
    v->boolean = ev->boolean;
    v->start = ev->start;
    v->end = ev->end;
    v->parent = parent;

    if (ngx_pulse_json_tree_text(tree, &v->key, &ev->key) != NGX_OK
        || ngx_pulse_json_tree_text(tree, &v->string, &ev->string) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (parent == NULL) {
        tree->root = v;

    } else {

        if (parent->nelts++ == 0) {
            parent->children = v;

        } else {
            tree->last[ev->depth]->next = v;
        }
    }

    tree->last[ev->depth] = v;

    if (v->type == NGX_PULSE_JSON_OBJECT || v->type == NGX_PULSE_JSON_ARRAY) {
        tree->parent = v;
    }

    return NGX_OK;
}


/* The input is copied once, as a whole; only decoded strings come apart. */

static ngx_int_t
ngx_pulse_json_tree_text(ngx_pulse_json_tree_t *tree, ngx_str_t *dst,
    ngx_str_t *src)
{
    if (src->data == NULL) {
        return NGX_OK;
    }

    dst->len = src->len;

    if (src->data >= tree->data && src->data < tree->data + tree->len) {

        if (tree->copy == NULL) {
            tree->copy = ngx_pnalloc(tree->pool, tree->len);
            if (tree->copy == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(tree->copy, tree->data, tree->len);
        }

        dst->data = tree->copy + (src->data - tree->data);

        return NGX_OK;
    }

    dst->data = ngx_pnalloc(tree->pool, src->len ? src->len : 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, src->data, src->len);

    return NGX_OK;
}


ngx_pulse_json_value_t *
ngx_pulse_json_get(const ngx_pulse_json_value_t *v, const char *key)
{
    size_t                   len;
    ngx_pulse_json_value_t  *child;

    if (v == NULL || v->type != NGX_PULSE_JSON_OBJECT) {
        return NULL;
    }

    len = ngx_strlen(key);

    for (child = v->children; child != NULL; child = child->next) {

        if (child->key.len == len
            && ngx_memcmp(child->key.data, key, len) == 0)
        {
            return child;
        }
    }

    return NULL;
}


ngx_int_t
ngx_pulse_json_int(const ngx_str_t *number, int64_t *n)
{
    u_char     *p, *last;
    uint64_t    u, max;
    ngx_uint_t  minus;

    p = number->data;
    last = p + number->len;

    minus = (p < last && *p == '-');

    if (minus) {
        p++;
    }

    if (p == last) {
        return NGX_ERROR;
    }

    max = (uint64_t) INT64_MAX + minus;

    for (u = 0; p < last; p++) {

        if (*p < '0' || *p > '9'
            || u > (max - (uint64_t) (*p - '0')) / 10)
        {
            return NGX_ERROR;
        }

        u = u * 10 + (*p - '0');
    }

    *n = (int64_t) (minus ? - u : u);

    return NGX_OK;
}


void
ngx_pulse_json_pointer(const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_buf_t *b)
{
    u_char                         *p;
    size_t                          len;
    ngx_uint_t                      i, n, index;
    ngx_pulse_json_value_t         *child;
    const ngx_pulse_json_value_t   *stack[NGX_PULSE_JSON_MAX_DEPTH + 1];

    for (n = 0; v != NULL && v->parent != NULL; v = v->parent) {
        stack[n++] = v;
    }

    for (i = n; i > 0 || key != NULL; i--) {

        ngx_pulse_buf_char(b, '/');

        if (i == 0) {
            p = (u_char *) key;
            len = ngx_strlen(key);
            key = NULL;

        } else if (stack[i - 1]->key.data != NULL) {
            p = stack[i - 1]->key.data;
            len = stack[i - 1]->key.len;

        } else {
            index = 0;

            for (child = stack[i - 1]->parent->children;
                 child != stack[i - 1];
                 child = child->next)
            {
                index++;
            }

            ngx_pulse_buf_int(b, index);
            continue;
        }

        for ( /* void */ ; len; p++, len--) {

            switch (*p) {

            case '~':
                ngx_pulse_buf_literal(b, "~0");
                break;

            case '/':
                ngx_pulse_buf_literal(b, "~1");
                break;

            default:
                ngx_pulse_buf_char(b, *p);
            }
        }

        if (i == 0) {
            break;
        }
    }
}
