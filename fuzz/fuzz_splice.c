
#include "unit.h"
#include "ngx_pulse_splice.h"

#include <string.h>


/*
 * What passes through has the gateway's members and is otherwise what the
 * client wrote, byte for byte.  The first byte chooses the members.
 */


#define FUZZ_MEMBERS  3


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_compare(const ngx_str_t *from, const ngx_str_t *to,
    const ngx_pulse_splice_t *splices);
static void fuzz_object(const ngx_str_t *from, const ngx_str_t *to,
    const ngx_pulse_json_value_t *one, const ngx_pulse_json_value_t *two,
    const ngx_pulse_splice_t *splices, const ngx_str_t *parent);
static const ngx_pulse_splice_t *fuzz_find(const ngx_pulse_splice_t *splices,
    const ngx_str_t *parent, const ngx_str_t *key);
static ngx_uint_t fuzz_is(const ngx_str_t *key, const char *const *names);
static void fuzz_is_value(const ngx_str_t *text,
    const ngx_pulse_json_value_t *root, const ngx_pulse_splice_t *splice);
static const ngx_pulse_json_value_t *fuzz_member(
    const ngx_pulse_json_value_t *v, const char *const *names);


/* as the gateway has them for each of the dialects */

static ngx_pulse_splice_t  fuzz_splices[][FUZZ_MEMBERS] = {
    {
        { { NULL, NULL }, { "max_tokens", NULL }, ngx_string("7") },
        { { NULL, NULL }, { "model", NULL }, ngx_string("\"m\"") },
        { { NULL, NULL }, { NULL, NULL }, ngx_null_string }
    },
    {
        { { NULL, NULL }, { "max_output_tokens", NULL }, ngx_string("7") },
        { { NULL, NULL }, { "model", NULL }, ngx_string("\"m\"") },
        { { NULL, NULL }, { "store", NULL }, ngx_string("false") }
    },
    {
        { { "generationConfig", "generation_config" },
          { "maxOutputTokens", "max_output_tokens" }, ngx_string("7") },
        { { NULL, NULL }, { "model", NULL }, ngx_null_string },
        { { NULL, NULL }, { NULL, NULL }, ngx_null_string }
    }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t            text, result;
    ngx_pulse_buf_t      b;
    ngx_pulse_splice_t  *splices;

    if (size < 1) {
        return 0;
    }

    splices = fuzz_splices[data[0] % 3];

    /* a block of its own, so that a read past its end is seen */

    text.len = size - 1;
    text.data = malloc(size);
    memcpy(text.data, data + 1, text.len);

    ngx_pulse_buf_init(&b, 0);

    if (ngx_pulse_splice(&text, splices, FUZZ_MEMBERS, NULL, &b) == NGX_OK) {
        result.data = b.data;
        result.len = b.len;

        fuzz_compare(&text, &result, splices);
    }

    ngx_pulse_buf_free(&b);
    free(text.data);

    return 0;
}


static void
fuzz_compare(const ngx_str_t *from, const ngx_str_t *to,
    const ngx_pulse_splice_t *splices)
{
    ngx_uint_t               i;
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *one, *two;

    pool = unit_pool();

    one = ngx_pulse_json_tree(pool, from->data, from->len, NULL, &err);
    two = ngx_pulse_json_tree(pool, to->data, to->len, NULL, &err);

    if (one == NULL || two == NULL) {
        abort();
    }

    fuzz_object(from, to, one, two, splices, NULL);

    for (i = 0; i < FUZZ_MEMBERS; i++) {
        if (splices[i].value.len) {
            fuzz_is_value(to, two, &splices[i]);
        }
    }

    ngx_destroy_pool(pool);
}


/* all that is not spliced is there still, and nothing else */

static void
fuzz_object(const ngx_str_t *from, const ngx_str_t *to,
    const ngx_pulse_json_value_t *one, const ngx_pulse_json_value_t *two,
    const ngx_pulse_splice_t *splices, const ngx_str_t *parent)
{
    char                           key[256];
    ngx_str_t                      a, b;
    ngx_uint_t                     kept;
    const ngx_pulse_splice_t      *splice;
    const ngx_pulse_json_value_t  *v, *w;

    kept = 0;

    for (v = one->children; v; v = v->next) {

        splice = fuzz_find(splices, parent, &v->key);

        if (splice && splice->parent[0] == NULL) {
            continue;
        }

        if (splice && parent) {
            continue;
        }

        if (v->key.len >= sizeof(key)) {
            return;
        }

        memcpy(key, v->key.data, v->key.len);
        key[v->key.len] = '\0';

        w = ngx_pulse_json_get(two, key);

        if (w == NULL) {
            abort();
        }

        kept++;

        if (splice) {
            if (v->type == NGX_PULSE_JSON_OBJECT) {
                fuzz_object(from, to, v, w, splices, &v->key);
            }

            continue;
        }

        a = ngx_pulse_raw(from, v);
        b = ngx_pulse_raw(to, w);

        if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0) {
            abort();
        }
    }

    for (w = two->children; w; w = w->next) {
        if (fuzz_find(splices, parent, &w->key) == NULL && kept-- == 0) {
            abort();
        }
    }
}


/* the one that a member gives way to, or that has it for a parent */

static const ngx_pulse_splice_t *
fuzz_find(const ngx_pulse_splice_t *splices, const ngx_str_t *parent,
    const ngx_str_t *key)
{
    ngx_uint_t                 i;
    const ngx_pulse_splice_t  *splice;

    for (i = 0; i < FUZZ_MEMBERS; i++) {
        splice = &splices[i];

        if (splice->value.len == 0) {
            continue;
        }

        if (parent == NULL) {
            if (fuzz_is(key, splice->parent[0] ? splice->parent
                                               : splice->key))
            {
                return splice;
            }

        } else if (fuzz_is(parent, splice->parent)
                   && fuzz_is(key, splice->key))
        {
            return splice;
        }
    }

    return NULL;
}


static ngx_uint_t
fuzz_is(const ngx_str_t *key, const char *const *names)
{
    ngx_uint_t  i;

    for (i = 0; i < 2 && names[i]; i++) {
        if (ngx_pulse_is(key, names[i])) {
            return 1;
        }
    }

    return 0;
}


static void
fuzz_is_value(const ngx_str_t *text, const ngx_pulse_json_value_t *root,
    const ngx_pulse_splice_t *splice)
{
    ngx_str_t                      raw;
    const ngx_pulse_json_value_t  *v;

    v = splice->parent[0] ? fuzz_member(root, splice->parent) : root;
    v = fuzz_member(v, splice->key);

    raw = ngx_pulse_raw(text, v);

    if (raw.len != splice->value.len
        || memcmp(raw.data, splice->value.data, raw.len) != 0)
    {
        abort();
    }
}


/* in one of its spellings: another would count for some */

static const ngx_pulse_json_value_t *
fuzz_member(const ngx_pulse_json_value_t *v, const char *const *names)
{
    ngx_uint_t                     i;
    const ngx_pulse_json_value_t  *member, *found;

    found = NULL;

    for (i = 0; i < 2 && names[i]; i++) {
        member = ngx_pulse_json_get(v, names[i]);

        if (member && found) {
            abort();
        }

        found = member ? member : found;
    }

    if (found == NULL) {
        abort();
    }

    return found;
}
