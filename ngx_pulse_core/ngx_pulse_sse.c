
#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_sse.h"


/* Each end is looked for once, however the lines of a piece end. */

typedef struct {
    u_char  *p;
    u_char  *last;
    u_char  *lf;                    /* next LF from "p" on, or "last" */
    u_char  *cr;
} ngx_pulse_sse_lines_t;


static ngx_int_t ngx_pulse_sse_event(ngx_pulse_sse_t *sse, u_char *p,
    u_char *last, u_char *only);
static ngx_int_t ngx_pulse_sse_keep(ngx_pulse_sse_t *sse, u_char *p,
    u_char *line, u_char *last);
static ngx_int_t ngx_pulse_sse_dispatch(ngx_pulse_sse_t *sse, u_char *p,
    u_char *last, u_char *only);
static ngx_int_t ngx_pulse_sse_field(ngx_pulse_sse_t *sse,
    ngx_pulse_sse_event_t *ev, u_char *p, u_char *last);
static ngx_int_t ngx_pulse_sse_data(ngx_pulse_sse_t *sse,
    ngx_pulse_sse_event_t *ev, ngx_str_t *value);
static void ngx_pulse_sse_lines(ngx_pulse_sse_lines_t *lines, u_char *p,
    u_char *last);
static u_char *ngx_pulse_sse_line_end(ngx_pulse_sse_lines_t *lines);


void
ngx_pulse_sse_init(ngx_pulse_sse_t *sse, size_t max,
    ngx_pulse_sse_handler_pt handler, void *ctx)
{
    ngx_memzero(sse, sizeof(ngx_pulse_sse_t));

    ngx_pulse_buf_init(&sse->raw, max);
    ngx_pulse_buf_init(&sse->data, max);

    sse->handler = handler;
    sse->ctx = ctx;
}


ngx_int_t
ngx_pulse_sse_feed(ngx_pulse_sse_t *sse, u_char *p, size_t len)
{
    u_char                 *start, *line, *end, *only;
    ngx_int_t               rc;
    ngx_pulse_sse_lines_t   lines;

    if (len == 0) {
        return NGX_OK;
    }

    ngx_pulse_sse_lines(&lines, p, p + len);

    start = p;
    only = NULL;

    if (sse->cr && *p == '\n') {
        lines.p++;
    }

    sse->cr = 0;

    /* NULL while in a line that an earlier piece has begun */

    line = (sse->raw.len == sse->scanned) ? lines.p : NULL;

    for ( ;; ) {

        end = ngx_pulse_sse_line_end(&lines);

        if (end == lines.last) {
            return ngx_pulse_sse_keep(sse, start, line, end);
        }

        lines.p = end + 1;

        if (*end == '\r') {

            if (lines.p == lines.last) {
                sse->cr = 1;

            } else if (*lines.p == '\n') {
                lines.p++;
            }
        }

        if (end == line) {
            rc = ngx_pulse_sse_event(sse, start, lines.p, only);

            if (rc != NGX_OK) {
                return rc;
            }

            start = lines.p;
            only = NULL;

        } else {

            /* most events have one line, which need not be looked for again */

            only = (line == start) ? end : NULL;
        }

        line = lines.p;
    }
}


ngx_int_t
ngx_pulse_sse_finish(ngx_pulse_sse_t *sse)
{
    return ngx_pulse_sse_event(sse, NULL, NULL, NULL);
}


void
ngx_pulse_sse_free(ngx_pulse_sse_t *sse)
{
    ngx_pulse_buf_free(&sse->raw);
    ngx_pulse_buf_free(&sse->data);

    sse->scanned = 0;
}


/*
 * An event ends here: what was kept of it, then the bytes given.  "only" is
 * where their only line ends, or NULL.
 */

static ngx_int_t
ngx_pulse_sse_event(ngx_pulse_sse_t *sse, u_char *p, u_char *last,
    u_char *only)
{
    ngx_int_t  rc;

    if (sse->raw.len == 0) {

        if (sse->raw.max && (size_t) (last - p) > sse->raw.max) {
            return NGX_ERROR;
        }

        return (p != last) ? ngx_pulse_sse_dispatch(sse, p, last, only)
                           : NGX_OK;
    }

    ngx_pulse_buf_append(&sse->raw, p, last - p);

    if (sse->raw.failed) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_sse_dispatch(sse, sse->raw.data,
                                sse->raw.data + sse->raw.len, NULL);
    sse->raw.len = 0;
    sse->scanned = 0;

    return rc;
}


/* Keeps an unfinished event; "line" is where its last line begins. */

static ngx_int_t
ngx_pulse_sse_keep(ngx_pulse_sse_t *sse, u_char *p, u_char *line,
    u_char *last)
{
    ngx_pulse_buf_append(&sse->raw, p, last - p);

    if (sse->raw.failed) {
        return NGX_ERROR;
    }

    if (line != NULL) {
        sse->scanned = sse->raw.len - (last - line);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_sse_dispatch(ngx_pulse_sse_t *sse, u_char *p, u_char *last,
    u_char *only)
{
    u_char                 *end;
    ngx_int_t               rc;
    ngx_pulse_sse_event_t   ev;
    ngx_pulse_sse_lines_t   lines;

    ngx_memzero(&ev, sizeof(ngx_pulse_sse_event_t));

    ev.raw.data = p;
    ev.raw.len = last - p;

    if (!sse->bom) {
        sse->bom = 1;

        if (last - p >= 3 && ngx_memcmp(p, "\xef\xbb\xbf", 3) == 0) {
            p += 3;
        }
    }

    if (only) {
        rc = ngx_pulse_sse_field(sse, &ev, p, only);

        return (rc == NGX_OK) ? sse->handler(sse->ctx, &ev) : rc;
    }

    ngx_pulse_sse_lines(&lines, p, last);

    while (lines.p < last) {
        end = ngx_pulse_sse_line_end(&lines);

        rc = ngx_pulse_sse_field(sse, &ev, lines.p, end);

        if (rc != NGX_OK) {
            return rc;
        }

        /* the LF of a CRLF passes for an empty line */

        lines.p = end + 1;
    }

    return sse->handler(sse->ctx, &ev);
}


static ngx_int_t
ngx_pulse_sse_field(ngx_pulse_sse_t *sse, ngx_pulse_sse_event_t *ev,
    u_char *p, u_char *last)
{
    size_t      len, most;
    ngx_str_t   value;

    /* the names that count are short */

    most = ngx_min(last - p, 6);

    for (len = 0; len < most && p[len] != ':'; len++) { /* void */ }

    if (len == most) {
        len = last - p;
        value.data = last;

    } else {
        value.data = p + len + 1;

        if (value.data < last && *value.data == ' ') {
            value.data++;
        }
    }

    value.len = last - value.data;

    if (len == 4 && ngx_memcmp(p, "data", 4) == 0) {
        return ngx_pulse_sse_data(sse, ev, &value);
    }

    if (len == 5 && ngx_memcmp(p, "event", 5) == 0) {
        ev->name = value;
    }

    return NGX_OK;
}


/* A single line of data stays where it is; more of them have to be joined. */

static ngx_int_t
ngx_pulse_sse_data(ngx_pulse_sse_t *sse, ngx_pulse_sse_event_t *ev,
    ngx_str_t *value)
{
    if (!ev->has_data) {
        ev->has_data = 1;
        ev->data = *value;
        return NGX_OK;
    }

    if (ev->data.data != sse->data.data) {
        sse->data.len = 0;
        ngx_pulse_buf_str(&sse->data, &ev->data);
    }

    ngx_pulse_buf_char(&sse->data, '\n');
    ngx_pulse_buf_str(&sse->data, value);

    ev->data.data = sse->data.data;
    ev->data.len = sse->data.len;

    return sse->data.failed ? NGX_ERROR : NGX_OK;
}


static void
ngx_pulse_sse_lines(ngx_pulse_sse_lines_t *lines, u_char *p, u_char *last)
{
    lines->p = p;
    lines->last = last;
    lines->lf = NULL;
    lines->cr = NULL;
}


static u_char *
ngx_pulse_sse_line_end(ngx_pulse_sse_lines_t *lines)
{
    size_t  rest;

    rest = lines->last - lines->p;

    /* an event ends with an empty line, and most pieces with an event */

    if (rest == 0 || *lines->p == '\n') {
        return lines->p;
    }

    if (lines->lf < lines->p) {
        lines->lf = memchr(lines->p, '\n', rest);

        if (lines->lf == NULL) {
            lines->lf = lines->last;
        }
    }

    if (lines->cr < lines->p) {
        lines->cr = memchr(lines->p, '\r', rest);

        if (lines->cr == NULL) {
            lines->cr = lines->last;
        }
    }

    return ngx_min(lines->lf, lines->cr);
}


void
ngx_pulse_sse_write(ngx_pulse_buf_t *b, const ngx_str_t *name,
    const ngx_str_t *data)
{
    u_char  *p, *last, *end;

    if (name != NULL && name->len) {
        ngx_pulse_buf_literal(b, "event: ");
        ngx_pulse_buf_str(b, name);
        ngx_pulse_buf_char(b, '\n');
    }

    p = data->data;
    last = p + data->len;

    for ( ;; ) {
        end = memchr(p, '\n', last - p);

        ngx_pulse_buf_literal(b, "data: ");
        ngx_pulse_buf_append(b, p, (end ? end : last) - p);
        ngx_pulse_buf_char(b, '\n');

        if (end == NULL) {
            break;
        }

        p = end + 1;
    }

    ngx_pulse_buf_char(b, '\n');
}
