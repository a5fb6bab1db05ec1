
#include <stdarg.h>
#include "pulse_xml.h"


static const char *pulse_xml_reference(u_char ch);


void
pulse_xml_text(ngx_pulse_buf_t *b, const ngx_str_t *text)
{
    size_t       i, start;
    const char  *reference;

    start = 0;

    for (i = 0; i < text->len; i++) {
        reference = pulse_xml_reference(text->data[i]);

        if (reference == NULL) {
            continue;
        }

        ngx_pulse_buf_append(b, text->data + start, i - start);
        ngx_pulse_buf_append(b, (u_char *) reference, strlen(reference));

        start = i + 1;
    }

    if (start < text->len) {
        ngx_pulse_buf_append(b, text->data + start, text->len - start);
    }
}


static const char *
pulse_xml_reference(u_char ch)
{
    switch (ch) {

    case '<':
        return "&lt;";

    case '>':
        return "&gt;";

    case '&':
        return "&amp;";

    case '"':
        return "&quot;";

    /* a parser makes a space of one in an attribute */

    case '\n':
        return "&#10;";

    case '\t':
        return "&#9;";

    default:
        return NULL;
    }
}


void
pulse_xml_format(ngx_pulse_buf_t *b, const char *format, ...)
{
    va_list      args;
    const char  *p, *text;

    va_start(args, format);

    for ( ;; ) {
        p = strchrnul(format, '%');

        ngx_pulse_buf_append(b, (u_char *) format, p - format);

        if (*p == '\0') {
            break;
        }

        switch (p[1]) {

        case 's':
            pulse_xml_text(b, va_arg(args, const ngx_str_t *));
            break;

        case 't':
            text = va_arg(args, const char *);
            ngx_pulse_buf_append(b, (u_char *) text, strlen(text));
            break;

        case 'd':
            ngx_pulse_buf_int(b, va_arg(args, ngx_int_t));
            break;

        default:
            ngx_pulse_buf_char(b, p[1]);
        }

        format = p + 2;
    }

    va_end(args);
}
