
#include "ngx_pulse_conversation.h"


static size_t ngx_pulse_edit_cut(const ngx_str_t *body, size_t end,
    size_t from, ngx_pulse_buf_t *b);
static ngx_uint_t ngx_pulse_edit_blank(u_char ch);


ngx_pulse_edit_t *
ngx_pulse_edit_add(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    size_t start, size_t end)
{
    ngx_pulse_edit_t  *edit, **last;

    edit = ngx_pcalloc(pool, sizeof(ngx_pulse_edit_t));
    if (edit == NULL) {
        return NULL;
    }

    edit->start = start;
    edit->end = end;

    /* all but a few come in the order of the body */

    if (cv->last_edit && cv->last_edit->start <= start) {
        last = &cv->last_edit->next;

    } else {
        for (last = &cv->edits; *last && (*last)->start <= start;
             last = &(*last)->next)
        {
            /* void */
        }
    }

    edit->next = *last;
    *last = edit;

    if (edit->next == NULL) {
        cv->last_edit = edit;
    }

    return edit;
}


ngx_int_t
ngx_pulse_edit_member(ngx_pulse_conversation_t *cv, const ngx_str_t *body,
    const ngx_pulse_json_value_t *v)
{
    size_t             key;
    ngx_pulse_edit_t  *edit;

    key = ngx_pulse_edit_key(body, v);

    edit = ngx_pulse_edit_add(cv, cv->pool, key ? key : v->start, v->end);
    if (edit == NULL) {
        return NGX_ERROR;
    }

    if (key == 0) {
        ngx_str_set(&edit->text, "null");
    }

    return NGX_OK;
}


size_t
ngx_pulse_edit_key(const ngx_str_t *body, const ngx_pulse_json_value_t *v)
{
    size_t  pos;

    for (pos = v->start; body->data[pos - 1] != '"'; pos--) { /* void */ }

    pos -= v->key.len + 2;

    return (body->data[pos] == '"'
            && ngx_memcmp(body->data + pos + 1, v->key.data, v->key.len) == 0)
           ? pos : 0;
}


void
ngx_pulse_edit_back(ngx_pulse_conversation_t *cv, ngx_pulse_edit_t *last)
{
    cv->last_edit = last;

    if (last) {
        last->next = NULL;

    } else {
        cv->edits = NULL;
    }
}


void
ngx_pulse_edit_body(const ngx_pulse_conversation_t *cv, const ngx_str_t *body,
    ngx_uint_t sign, ngx_pulse_buf_t *b)
{
    size_t             pos, from;
    ngx_pulse_edit_t  *edit;

    pos = 0;
    from = b->len;

    for (edit = cv->edits; edit; edit = edit->next) {

        if (edit->sign && (!sign || edit->start < cv->sign_from)) {
            continue;
        }

        ngx_pulse_buf_append(b, body->data + pos, edit->start - pos);

        if (edit->text.len) {
            ngx_pulse_buf_str(b, &edit->text);
            pos = edit->end;

        } else {
            pos = ngx_pulse_edit_cut(body, edit->end, from, b);
        }
    }

    ngx_pulse_buf_append(b, body->data + pos, body->len - pos);
}


/* the comma after an element goes with it, of the last one that before */

static size_t
ngx_pulse_edit_cut(const ngx_str_t *body, size_t end, size_t from,
    ngx_pulse_buf_t *b)
{
    size_t  i, len;

    for (i = end; i < body->len && ngx_pulse_edit_blank(body->data[i]); i++) {
        /* void */
    }

    if (i < body->len && body->data[i] == ',') {

        for (i++; i < body->len && ngx_pulse_edit_blank(body->data[i]); i++) {
            /* void */
        }

        return i;
    }

    for (len = b->len;
         len > from && ngx_pulse_edit_blank(b->data[len - 1]);
         len--)
    {
        /* void */
    }

    if (len > from && b->data[len - 1] == ',') {
        b->len = len - 1;
    }

    return end;
}


static ngx_uint_t
ngx_pulse_edit_blank(u_char ch)
{
    return ch == ' ' || ch == '\t' || ch == CR || ch == LF;
}
