
#include "ngx_pulse_form.h"
#include "ngx_pulse_json_string.h"


/* more would not be sure to fit into 64 bits */

#define NGX_PULSE_FORM_DIGITS  18


static void ngx_pulse_form_slot(ngx_pulse_form_t *form, size_t start,
    size_t end, ngx_uint_t value, ngx_uint_t number);
static u_char *ngx_pulse_form_count(u_char *p, u_char *last,
    ngx_str_t *value);
static u_char *ngx_pulse_form_text(ngx_pool_t *pool, u_char *p, u_char *last,
    ngx_str_t *value);
static ngx_int_t ngx_pulse_form_decode(ngx_pool_t *pool, u_char *end,
    ngx_str_t *value);


void
ngx_pulse_form_forget(ngx_pulse_form_t *form)
{
    form->n = 0;
    form->kept = 0;
}


void
ngx_pulse_form_add(ngx_pulse_form_t *form, const ngx_pulse_json_value_t *v,
    ngx_uint_t value)
{
    if (v == NULL) {
        return;
    }

    switch (v->type) {

    case NGX_PULSE_JSON_STRING:
        ngx_pulse_form_slot(form, v->start + 1, v->end - 1, value, 0);
        break;

    case NGX_PULSE_JSON_NUMBER:
        ngx_pulse_form_slot(form, v->start, v->end, value, 1);
        break;

    default:
        form->n = NGX_PULSE_FORM_SLOTS + 1;
    }
}


void
ngx_pulse_form_string(ngx_pulse_form_t *form, size_t start, size_t end,
    ngx_uint_t value)
{
    ngx_pulse_form_slot(form, start, end, value, 0);
}


/* without recursion, as all that reads what others wrote */

void
ngx_pulse_form_numbers(ngx_pulse_form_t *form, const ngx_pulse_json_value_t *v)
{
    const ngx_pulse_json_value_t  *root;

    if (v == NULL) {
        return;
    }

    root = v;

    for ( ;; ) {

        if (v->type == NGX_PULSE_JSON_NUMBER) {
            ngx_pulse_form_add(form, v, NGX_PULSE_FORM_ANY);
        }

        if (v->children) {
            v = v->children;
            continue;
        }

        while (v != root && v->next == NULL) {
            v = v->parent;
        }

        if (v == root) {
            return;
        }

        v = v->next;
    }
}


/* In the order of the event; one that is there already is only numbered. */

static void
ngx_pulse_form_slot(ngx_pulse_form_t *form, size_t start, size_t end,
    ngx_uint_t value, ngx_uint_t number)
{
    ngx_uint_t              i;
    ngx_pulse_form_slot_t  *slots;

    slots = form->slots;

    for (i = 0; i < form->n && i < NGX_PULSE_FORM_SLOTS; i++) {
        if (slots[i].start == start) {
            slots[i].value = value;
            return;
        }
    }

    if (form->n >= NGX_PULSE_FORM_SLOTS) {
        form->n = NGX_PULSE_FORM_SLOTS + 1;
        return;
    }

    for (i = form->n++; i && slots[i - 1].start > start; i--) {
        slots[i] = slots[i - 1];
    }

    slots[i].start = (uint32_t) start;
    slots[i].end = (uint32_t) end;
    slots[i].value = (uint8_t) value;
    slots[i].number = (uint8_t) number;
}


void
ngx_pulse_form_keep(ngx_pulse_form_t *form, const ngx_str_t *data)
{
    u_char      *p;
    size_t       len, from;
    ngx_uint_t   i;

    len = data->len;

    if (form->n == 0 || form->n > NGX_PULSE_FORM_SLOTS || len > UINT32_MAX) {
        return;
    }

    for (i = 0; i < form->n; i++) {
        len -= form->slots[i].end - form->slots[i].start;
    }

    if (len > NGX_PULSE_FORM_LEN) {
        return;
    }

    p = form->bytes;
    from = 0;

    for (i = 0; i < form->n; i++) {
        p = ngx_cpymem(p, data->data + from, form->slots[i].start - from);
        from = form->slots[i].end;
    }

    ngx_memcpy(p, data->data + from, data->len - from);

    form->len = len;
    form->kept = 1;
}


ngx_int_t
ngx_pulse_form_match(ngx_pulse_form_t *form, ngx_pool_t *pool,
    const ngx_str_t *data, ngx_str_t *values)
{
    u_char                 *p, *next, *last, *bytes;
    size_t                  from, len, rest;
    ngx_str_t               value;
    ngx_pulse_form_slot_t  *slot, *end;

    if (!form->kept) {
        return NGX_DECLINED;
    }

    p = data->data;
    last = p + data->len;

    bytes = form->bytes;
    rest = form->len;
    from = 0;

    end = form->slots + form->n;

    for (slot = form->slots; slot < end; slot++) {
        len = slot->start - from;
        from = slot->end;

        if ((size_t) (last - p) < len || ngx_memcmp(p, bytes, len) != 0) {
            goto other;
        }

        p += len;
        bytes += len;
        rest -= len;

        next = slot->number ? ngx_pulse_form_count(p, last, &value)
                            : ngx_pulse_form_text(pool, p, last, &value);
        if (next == NULL) {
            goto other;
        }

        if (slot->value < NGX_PULSE_FORM_SLOTS) {
            values[slot->value] = value;
        }

        slot->grown = (int32_t) ((next - p) - (slot->end - slot->start));
        slot->start = (uint32_t) (p - data->data);
        slot->end = (uint32_t) (next - data->data);

        p = next;
    }

    if ((size_t) (last - p) == rest && ngx_memcmp(p, bytes, rest) == 0) {
        return NGX_OK;
    }

other:

    ngx_pulse_form_forget(form);

    return NGX_DECLINED;
}


/* Where the number ends, or NULL. */

static u_char *
ngx_pulse_form_count(u_char *p, u_char *last, ngx_str_t *value)
{
    value->data = p;

    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    value->len = p - value->data;

    if (value->len == 0 || value->len > NGX_PULSE_FORM_DIGITS
        || (*value->data == '0' && value->len > 1))
    {
        return NULL;
    }

    return p;
}


/* The quote that ends the string, or NULL. */

static u_char *
ngx_pulse_form_text(ngx_pool_t *pool, u_char *p, u_char *last,
    ngx_str_t *value)
{
    u_char  *end;

    value->data = p;

    p = (u_char *) ngx_pulse_json_plain(p, last);
    end = p;

    if (p < last && *p == '\\') {
        end = (u_char *) ngx_pulse_json_string_end(p, last);
    }

    if (end == NULL || end == last || *end != '"'
        || ngx_pulse_utf8_check(value->data, end - value->data, NULL)
           != NGX_OK)
    {
        return NULL;
    }

    value->len = end - value->data;

    if (end != p && ngx_pulse_form_decode(pool, end, value) != NGX_OK) {
        return NULL;
    }

    return end;
}


/* A string is never longer than what it is written as. */

static ngx_int_t
ngx_pulse_form_decode(ngx_pool_t *pool, u_char *end, ngx_str_t *value)
{
    const u_char     *bad;
    ngx_pulse_buf_t   b;

    if (pool == NULL
        || ngx_pulse_json_escapes(value->data, end, &bad) != NULL)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_buf_init(&b, value->len);

    b.data = ngx_pnalloc(pool, value->len);
    b.size = value->len;

    if (b.data == NULL) {
        return NGX_DECLINED;
    }

    ngx_pulse_json_decode(&b, value->data, end);

    value->data = b.data;
    value->len = b.len;

    return b.failed ? NGX_DECLINED : NGX_OK;
}


size_t
ngx_pulse_form_moved(const ngx_pulse_form_t *form, size_t at)
{
    ngx_uint_t  i;

    for (i = 0; i < form->n; i++) {

        /* those before have moved it by now */

        if (at > form->slots[i].start) {
            at += form->slots[i].grown;
        }
    }

    return at;
}
