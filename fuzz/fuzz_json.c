
#include "unit.h"
#include "ngx_pulse_json.h"


/*
 * Any bytes: each event keeps its contract, what the tree takes can be cut
 * out by its spans and read again, and strings survive a writer and a reader.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ngx_int_t fuzz_event(void *ctx, ngx_pulse_json_event_t *ev);
static void fuzz_tree(ngx_pulse_json_value_t *root, const u_char *text,
    size_t len);
static void fuzz_value(ngx_pulse_json_value_t *v, const u_char *text);
static void fuzz_string(ngx_str_t *s);


static const ngx_pulse_json_limits_t  fuzz_limits = { 65536, 16, 4096, 64 };

static const u_char  *fuzz_text;
static size_t         fuzz_len;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                  *text;
    ngx_int_t                rc;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root;

    text = malloc(size ? size : 1);
    memcpy(text, data, size);

    fuzz_text = text;
    fuzz_len = size;

    rc = ngx_pulse_json_read(text, size, &fuzz_limits, fuzz_event, NULL, &err);

    if (rc != NGX_OK && rc != NGX_ERROR) {
        abort();
    }

    if (rc == NGX_ERROR && (err.reason == NULL || err.offset > size)) {
        abort();
    }

    pool = unit_pool();

    root = ngx_pulse_json_tree(pool, text, size, &fuzz_limits, &err);

    if ((root != NULL) != (rc == NGX_OK)) {
        abort();
    }

    if (root != NULL) {
        fuzz_tree(root, text, size);
    }

    ngx_destroy_pool(pool);
    free(text);

    return 0;
}


static ngx_int_t
fuzz_event(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_uint_t  i;

    if (ev->start >= ev->end || ev->end > fuzz_len || ev->depth > 16
        || ev->key_start > ev->start)
    {
        abort();
    }

    for (i = 0; i < ev->depth; i++) {

        /* reads each byte of the path */

        if (ev->path[i].data != NULL
            && ngx_pulse_utf8_check(ev->path[i].data, ev->path[i].len, NULL)
               != NGX_OK)
        {
            abort();
        }
    }

    if (ev->depth && ev->path[ev->depth - 1].data != ev->key.data) {
        abort();
    }

    if (ev->key.data != NULL && fuzz_text[ev->key_start] != '"') {
        abort();
    }

    return NGX_OK;
}


/* without recursion, as the reader */

static void
fuzz_tree(ngx_pulse_json_value_t *root, const u_char *text, size_t len)
{
    ngx_pulse_buf_t          b;
    ngx_pulse_json_value_t  *v;

    ngx_pulse_buf_init(&b, 0);

    v = root;

    for ( ;; ) {
        fuzz_value(v, text);

        b.len = 0;
        ngx_pulse_json_pointer(v, "x", &b);

        if (v->children != NULL) {
            v = v->children;
            continue;
        }

        while (v != root && v->next == NULL) {
            v = v->parent;
        }

        if (v == root) {
            break;
        }

        v = v->next;
    }

    ngx_pulse_buf_free(&b);
}


static void
fuzz_value(ngx_pulse_json_value_t *v, const u_char *text)
{
    int64_t                  n;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *again;

    if (v->key.data != NULL) {
        fuzz_string(&v->key);
    }

    switch (v->type) {

    case NGX_PULSE_JSON_OBJECT:
    case NGX_PULSE_JSON_ARRAY:
        return;

    case NGX_PULSE_JSON_NUMBER:
        (void) ngx_pulse_json_int(&v->string, &n);
        break;

    case NGX_PULSE_JSON_STRING:
        fuzz_string(&v->string);
        break;
    }

    pool = unit_pool();

    again = ngx_pulse_json_tree(pool, text + v->start, v->end - v->start, NULL,
                                &err);

    if (again == NULL || again->type != v->type
        || again->boolean != v->boolean
        || again->string.len != v->string.len
        || (v->string.len && memcmp(again->string.data, v->string.data,
                                    v->string.len) != 0))
    {
        abort();
    }

    ngx_destroy_pool(pool);
}


static void
fuzz_string(ngx_str_t *s)
{
    ngx_pool_t              *pool;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_json(&b, s->data, s->len);

    pool = unit_pool();

    v = ngx_pulse_json_tree(pool, b.data, b.len, NULL, &err);

    if (v == NULL || v->string.len != s->len
        || (s->len && memcmp(v->string.data, s->data, s->len) != 0))
    {
        abort();
    }

    ngx_destroy_pool(pool);
    ngx_pulse_buf_free(&b);
}
