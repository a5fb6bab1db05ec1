
#include "pulse_multipart.h"

#include <string.h>
#include <strings.h>


enum {
    PULSE_MULTIPART_PREAMBLE = 0,
    PULSE_MULTIPART_DELIMITED,          /* the rest of a delimiter's line */
    PULSE_MULTIPART_CLOSING,            /* "-" of the last delimiter */
    PULSE_MULTIPART_LINE,               /* LF of a delimiter's line */
    PULSE_MULTIPART_FIELDS,
    PULSE_MULTIPART_DATA,
    PULSE_MULTIPART_EPILOGUE
};


static ngx_int_t pulse_multipart_boundary(pulse_multipart_t *m,
    const ngx_str_t *type);
static ngx_int_t pulse_multipart_char(pulse_multipart_t *m, u_char ch);
static ngx_int_t pulse_multipart_delimited(pulse_multipart_t *m, u_char ch);
static ngx_int_t pulse_multipart_field(pulse_multipart_t *m, u_char ch);
static ngx_int_t pulse_multipart_header(pulse_multipart_t *m);
static ngx_int_t pulse_multipart_disposition(pulse_multipart_t *m,
    const char *p);
static const char *pulse_multipart_parameter(const char *p, const char *name,
    char *value, size_t size, ngx_uint_t *found);
static ngx_int_t pulse_multipart_body(pulse_multipart_t *m, const u_char *p,
    const u_char *last, const u_char **end);
static ngx_int_t pulse_multipart_data(pulse_multipart_t *m, const u_char *p,
    size_t len);
static ngx_int_t pulse_multipart_fail(pulse_multipart_t *m,
    const char *reason);


ngx_int_t
pulse_multipart_init(pulse_multipart_t *m, const ngx_str_t *type,
    const pulse_multipart_pt *handlers, void *ctx)
{
    memset(m, 0, sizeof(pulse_multipart_t));

    m->handlers = handlers;
    m->ctx = ctx;

    if (pulse_multipart_boundary(m, type) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the first delimiter needs no line end before it */

    m->matched = 2;

    return NGX_OK;
}


static ngx_int_t
pulse_multipart_boundary(pulse_multipart_t *m, const ngx_str_t *type)
{
    char         text[PULSE_MULTIPART_HEADER];
    char         value[PULSE_MULTIPART_BOUNDARY + 2];
    size_t       len;
    ngx_uint_t   found;
    const char  *wrong;

    static const char  prefix[] = "multipart/form-data";

    if (type->len >= sizeof(text) || type->len < sizeof(prefix) - 1
        || strncasecmp((char *) type->data, prefix, sizeof(prefix) - 1) != 0)
    {
        return NGX_ERROR;
    }

    memcpy(text, type->data, type->len);
    text[type->len] = '\0';

    wrong = pulse_multipart_parameter(text + sizeof(prefix) - 1, "boundary",
                                      value, sizeof(value), &found);

    len = (wrong == NULL && found) ? strlen(value) : 0;

    if (len == 0 || len > PULSE_MULTIPART_BOUNDARY
        || strpbrk(value, "\r\n"))
    {
        return NGX_ERROR;
    }

    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, value, len);
    m->len = len + 4;

    return NGX_OK;
}


ngx_int_t
pulse_multipart_feed(pulse_multipart_t *m, const u_char *p, size_t len)
{
    const u_char  *last;

    last = p + len;

    while (p < last) {

        if (m->state == PULSE_MULTIPART_DATA
            || m->state == PULSE_MULTIPART_PREAMBLE)
        {
            if (pulse_multipart_body(m, p, last, &p) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (pulse_multipart_char(m, *p++) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
pulse_multipart_end(pulse_multipart_t *m)
{
    if (m->state == PULSE_MULTIPART_EPILOGUE) {
        return NGX_OK;
    }

    return pulse_multipart_fail(m, "the form ends before its last boundary");
}


static ngx_int_t
pulse_multipart_char(pulse_multipart_t *m, u_char ch)
{
    switch (m->state) {

    case PULSE_MULTIPART_DELIMITED:
    case PULSE_MULTIPART_CLOSING:
    case PULSE_MULTIPART_LINE:
        return pulse_multipart_delimited(m, ch);

    case PULSE_MULTIPART_FIELDS:
        return pulse_multipart_field(m, ch);

    default: /* PULSE_MULTIPART_EPILOGUE: to be ignored */
        return NGX_OK;
    }
}


static ngx_int_t
pulse_multipart_delimited(pulse_multipart_t *m, u_char ch)
{
    switch (m->state) {

    case PULSE_MULTIPART_DELIMITED:

        if (ch == '-') {
            m->state = PULSE_MULTIPART_CLOSING;
            return NGX_OK;
        }

        if (ch == '\r') {
            m->state = PULSE_MULTIPART_LINE;
            return NGX_OK;
        }

        /* padding that transports may have added */

        if (ch == ' ' || ch == '\t') {
            return NGX_OK;
        }

        break;

    case PULSE_MULTIPART_CLOSING:

        if (ch == '-') {
            m->state = PULSE_MULTIPART_EPILOGUE;
            return NGX_OK;
        }

        break;

    default: /* PULSE_MULTIPART_LINE */

        if (ch != '\n') {
            break;
        }

        if (m->parts++ == PULSE_MULTIPART_PARTS) {
            return pulse_multipart_fail(m, "the form has too many parts");
        }

        memset(&m->part, 0, sizeof(pulse_multipart_part_t));

        m->named = 0;
        m->header = 0;
        m->matched = 0;
        m->state = PULSE_MULTIPART_FIELDS;

        return NGX_OK;
    }

    return pulse_multipart_fail(m, "a boundary of the form is malformed");
}


/* m->line holds the header up to here; m->matched is where its line began. */

static ngx_int_t
pulse_multipart_field(pulse_multipart_t *m, u_char ch)
{
    size_t  len;

    if (ch == '\0') {
        return pulse_multipart_fail(m, "a part's header is malformed");
    }

    if (m->header == PULSE_MULTIPART_HEADER) {
        return pulse_multipart_fail(m, "a part's header is too large");
    }

    m->line[m->header++] = ch;

    if (ch != '\n') {
        return NGX_OK;
    }

    len = m->header - m->matched;

    if (len < 2 || m->line[m->header - 2] != '\r') {
        return pulse_multipart_fail(m, "a part's header is malformed");
    }

    if (len > 2) {
        m->line[m->header - 2] = '\0';

        if (pulse_multipart_header(m) != NGX_OK) {
            return NGX_ERROR;
        }

        m->matched = m->header;

        return NGX_OK;
    }

    if (!m->named) {
        return pulse_multipart_fail(m, "a part of the form has no name");
    }

    m->state = PULSE_MULTIPART_DATA;
    m->matched = 0;

    return m->handlers->part(m->ctx, &m->part);
}


static ngx_int_t
pulse_multipart_header(pulse_multipart_t *m)
{
    size_t       len;
    const char  *p;

    static const char  disposition[] = "content-disposition:";
    static const char  type[] = "content-type:";

    p = (char *) m->line + m->matched;

    if (strncasecmp(p, disposition, sizeof(disposition) - 1) == 0) {
        return pulse_multipart_disposition(m, p + sizeof(disposition) - 1);
    }

    if (strncasecmp(p, type, sizeof(type) - 1) == 0) {
        p += sizeof(type) - 1;
        p += strspn(p, " \t");
        len = ngx_min(strcspn(p, "; \t"), PULSE_MULTIPART_NAME - 1);

        memcpy(m->part.type, p, len);
        m->part.type[len] = '\0';
    }

    /* others say nothing here (RFC 7578, section 4.8) */

    return NGX_OK;
}


static ngx_int_t
pulse_multipart_disposition(pulse_multipart_t *m, const char *p)
{
    char         filename[PULSE_MULTIPART_HEADER];
    const char  *wrong;
    ngx_uint_t   found, file;

    static const char  form[] = "form-data";

    p += strspn(p, " \t");

    if (strncasecmp(p, form, sizeof(form) - 1) != 0 || m->named) {
        return pulse_multipart_fail(m, "a part's header is malformed");
    }

    p += sizeof(form) - 1;

    wrong = pulse_multipart_parameter(p, "name", m->part.name,
                                      PULSE_MULTIPART_NAME, &found);

    if (wrong == NULL) {
        wrong = pulse_multipart_parameter(p, "filename", filename,
                                          sizeof(filename), &file);
    }

    if (wrong) {
        return pulse_multipart_fail(m, wrong);
    }

    m->named = found;
    m->part.file = file;

    return NGX_OK;
}


/* NULL, or what is wrong.  A value is a token or a quoted string. */

static const char *
pulse_multipart_parameter(const char *p, const char *name, char *value,
    size_t size, ngx_uint_t *found)
{
    size_t      len, n;
    ngx_uint_t  quoted, ours;

    *found = 0;
    n = 0;

    for ( ;; ) {
        p += strspn(p, " \t;");
        len = strcspn(p, "=; \t");

        if (len == 0 || p[len] != '=') {
            break;
        }

        ours = (len == strlen(name) && strncasecmp(p, name, len) == 0);

        if (ours && *found) {
            return "a part's header has a parameter twice";
        }

        p += len + 1;
        quoted = (*p == '"');
        p += quoted;
        *found |= ours;

        for ( /* void */ ; *p && *p != (quoted ? '"' : ';'); p++) {

            if (quoted && *p == '\\' && (p[1] == '"' || p[1] == '\\')) {
                p++;
            }

            if (!quoted && (*p == ' ' || *p == '\t')) {
                break;
            }

            if (!ours) {
                continue;
            }

            if (n == size - 1) {
                return "a name in a part's header is too long";
            }

            value[n++] = *p;
        }

        if (quoted && *p++ != '"') {
            return "a part's header is malformed";
        }
    }

    value[n] = '\0';

    return NULL;
}


/*
 * Up to the end of a delimiter, or of what has come.  CR is in a delimiter at
 * its beginning only, so that what did not match is data, but for a CR that
 * begins another.
 */

static ngx_int_t
pulse_multipart_body(pulse_multipart_t *m, const u_char *p,
    const u_char *last, const u_char **end)
{
    size_t         matched;
    const u_char  *start;

    for ( ;; ) {

        while (m->matched && p < last) {

            if (*p != m->delimiter[m->matched]) {
                matched = m->matched;
                m->matched = 0;

                if (pulse_multipart_data(m, m->delimiter, matched)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }

                break;
            }

            p++;

            if (++m->matched == m->len) {
                *end = p;

                return pulse_multipart_data(m, NULL, 0);
            }
        }

        if (p == last) {
            *end = p;
            return NGX_OK;
        }

        start = p;
        p = memchr(start, '\r', last - start);

        if (p == NULL) {
            p = last;
        }

        if (p > start
            && pulse_multipart_data(m, start, p - start) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (p < last) {
            p++;
            m->matched = 1;
        }
    }
}


/* What comes before the first delimiter is of no concern. */

static ngx_int_t
pulse_multipart_data(pulse_multipart_t *m, const u_char *p, size_t len)
{
    ngx_uint_t  preamble;

    preamble = (m->state == PULSE_MULTIPART_PREAMBLE);

    if (len == 0) {
        m->state = PULSE_MULTIPART_DELIMITED;
    }

    return preamble ? NGX_OK : m->handlers->data(m->ctx, p, len);
}


static ngx_int_t
pulse_multipart_fail(pulse_multipart_t *m, const char *reason)
{
    m->reason = reason;

    return NGX_ERROR;
}
