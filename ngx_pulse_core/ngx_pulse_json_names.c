
#include "ngx_pulse_json_names.h"


/* an object with more names than this gets a hash table */

#define NGX_PULSE_JSON_FEW_NAMES  8

#define NGX_PULSE_JSON_FREE       0xffffffff


static ngx_uint_t ngx_pulse_json_names_known(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object, ngx_pulse_json_name_t *name,
    const u_char *p);
static ngx_int_t ngx_pulse_json_names_rehash(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object);
static void ngx_pulse_json_names_slot(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object, uint32_t hash, uint32_t n);
static uint32_t ngx_pulse_json_names_hash(uint64_t seed, const u_char *p,
    size_t len);


void
ngx_pulse_json_names_init(ngx_pulse_json_names_t *names, const u_char *input)
{
    /* an address that the writer of the text does not know */

    names->seed = (uint64_t) (uintptr_t) names * 0x9e3779b97f4a7c15;
    names->input = input;

    ngx_pulse_buf_init(&names->entries, 0);
    ngx_pulse_buf_init(&names->slots, 0);
    ngx_pulse_buf_init(&names->text, 0);
}


void
ngx_pulse_json_names_free(ngx_pulse_json_names_t *names)
{
    ngx_pulse_buf_free(&names->entries);
    ngx_pulse_buf_free(&names->slots);
    ngx_pulse_buf_free(&names->text);
}


void
ngx_pulse_json_names_open(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object)
{
    object->entries = names->entries.len;
    object->slots = names->slots.len;
    object->text = names->text.len;
    object->n = 0;
    object->nslots = 0;
}


void
ngx_pulse_json_names_close(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object)
{
    names->entries.len = object->entries;
    names->slots.len = object->slots;
    names->text.len = object->text;
}


ngx_int_t
ngx_pulse_json_names_add(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object, ngx_pulse_json_name_t *name,
    const u_char *p)
{
    name->hash = ngx_pulse_json_names_hash(names->seed, p, name->len);

    if (ngx_pulse_json_names_known(names, object, name, p)) {
        return NGX_DECLINED;
    }

    if (name->escaped) {
        name->offset = names->text.len;
        ngx_pulse_buf_append(&names->text, p, name->len);
    }

    ngx_pulse_buf_append(&names->entries, (u_char *) name,
                         sizeof(ngx_pulse_json_name_t));

    if (names->text.failed || names->entries.failed
        || ngx_pulse_json_names_rehash(names, object) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (object->nslots) {
        ngx_pulse_json_names_slot(names, object, name->hash, object->n);
    }

    object->n++;

    return NGX_OK;
}


static ngx_uint_t
ngx_pulse_json_names_known(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object, ngx_pulse_json_name_t *name,
    const u_char *p)
{
    uint32_t               *slots, mask, i, n;
    const u_char           *text;
    ngx_pulse_json_name_t  *entries, *entry;

    if (object->n == 0) {
        return 0;
    }

    entries = (ngx_pulse_json_name_t *)
                  (names->entries.data + object->entries);
    slots = NULL;
    mask = 0;
    i = 0;

    if (object->nslots) {
        slots = (uint32_t *) (names->slots.data + object->slots);
        mask = object->nslots - 1;
        i = name->hash & mask;
    }

    for ( ;; ) {

        n = slots ? slots[i] : i;

        if (n == NGX_PULSE_JSON_FREE || n >= object->n) {
            return 0;
        }

        entry = &entries[n];

        if (entry->hash == name->hash && entry->len == name->len) {
            text = entry->escaped ? names->text.data : names->input;

            if (ngx_memcmp(text + entry->offset, p, name->len) == 0) {
                return 1;
            }
        }

        i = slots ? ((i + 1) & mask) : i + 1;
    }
}


/* Keeps the table at most half full; few names need none. */

static ngx_int_t
ngx_pulse_json_names_rehash(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object)
{
    u_char                 *p;
    size_t                  size;
    ngx_uint_t              i;
    ngx_pulse_json_name_t  *entries;

    if (object->n < NGX_PULSE_JSON_FEW_NAMES
        || object->n * 2 < object->nslots)
    {
        return NGX_OK;
    }

    names->slots.len = object->slots;

    object->nslots = object->nslots ? object->nslots * 2
                                    : NGX_PULSE_JSON_FEW_NAMES * 4;

    size = object->nslots * sizeof(uint32_t);

    p = ngx_pulse_buf_reserve(&names->slots, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memset(p, 0xff, size);

    names->slots.len += size;

    entries = (ngx_pulse_json_name_t *)
                  (names->entries.data + object->entries);

    for (i = 0; i < object->n; i++) {
        ngx_pulse_json_names_slot(names, object, entries[i].hash, i);
    }

    return NGX_OK;
}


static void
ngx_pulse_json_names_slot(ngx_pulse_json_names_t *names,
    ngx_pulse_json_object_t *object, uint32_t hash, uint32_t n)
{
    uint32_t  *slots, mask, i;

    slots = (uint32_t *) (names->slots.data + object->slots);
    mask = object->nslots - 1;

    for (i = hash & mask; slots[i] != NGX_PULSE_JSON_FREE; i = (i + 1) & mask) {
        /* void */
    }

    slots[i] = n;
}


static uint32_t
ngx_pulse_json_names_hash(uint64_t seed, const u_char *p, size_t len)
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
