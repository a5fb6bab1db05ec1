
#include "ngx_pulse_form.h"
#include "ngx_pulse_json_string.h"


void
ngx_pulse_form_keep(ngx_pulse_form_t *form, const u_char *p, size_t len,
    size_t start, size_t end)
{
    size_t  after;

    after = len - end;

    if (start + after > NGX_PULSE_FORM_LEN) {
        form->before = 0;
        return;
    }

    ngx_memcpy(form->bytes, p, start);
    ngx_memcpy(form->bytes + start, p + end, after);

    form->before = start;
    form->after = after;
}


void
ngx_pulse_form_value(ngx_pulse_form_t *form, const ngx_str_t *data,
    const ngx_pulse_json_value_t *type, const ngx_pulse_json_value_t *text)
{
    if (type != NULL && text != NULL && text->type == NGX_PULSE_JSON_STRING) {
        ngx_pulse_form_keep(form, data->data, data->len, text->start + 1,
                            text->end - 1);
    }
}


ngx_int_t
ngx_pulse_form_match(ngx_pulse_form_t *form, const ngx_str_t *data,
    ngx_str_t *text)
{
    u_char  *p, *last;

    if (form->before == 0) {
        return NGX_DECLINED;
    }

    p = data->data + form->before;
    last = data->data + data->len - form->after;

    if (data->len < form->before + form->after
        || ngx_memcmp(data->data, form->bytes, form->before) != 0
        || ngx_memcmp(last, form->bytes + form->before, form->after) != 0
        || ngx_pulse_json_plain(p, last) != last
        || ngx_pulse_utf8_check(p, last - p, NULL) != NGX_OK)
    {
        form->before = 0;
        return NGX_DECLINED;
    }

    text->data = p;
    text->len = last - p;

    return NGX_OK;
}
