
#include "ngx_pulse_openai.h"

#include <string.h>


/* bytes from "start" to "end" give way to what follows, in this order */

typedef struct {
    size_t                       start;
    size_t                       end;
    const char                  *text;
    ngx_str_t                    raw;
    const ngx_str_t             *string;    /* as JSON */
    const char                  *after;
    int64_t                      number;    /* if not 0 */
} ngx_pulse_openai_splice_t;


typedef struct {
    ngx_pulse_openai_splice_t    elts[NGX_PULSE_OPENAI_MAX_EDITS];
    ngx_uint_t                   n;
} ngx_pulse_openai_splices_t;


static void ngx_pulse_openai_piece(ngx_pulse_openai_pieces_t *pieces,
    ngx_uint_t own, size_t start, size_t end);
static void ngx_pulse_openai_splice_write(const ngx_pulse_openai_splice_t *s,
    ngx_pulse_buf_t *b);
static ngx_pulse_openai_splice_t *ngx_pulse_openai_splice(
    ngx_pulse_openai_splices_t *splices, size_t start, size_t end);
static void ngx_pulse_openai_splice_model(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit);
static void ngx_pulse_openai_splice_usage(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req);
static void ngx_pulse_openai_splice_limit(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit);
static void ngx_pulse_openai_splice_studio(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req);


static ngx_str_t  ngx_pulse_openai_max_tokens = ngx_string("max_tokens");

static ngx_str_t  ngx_pulse_openai_max_completion_tokens =
    ngx_string("max_completion_tokens");


void
ngx_pulse_openai_write(const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit, ngx_pulse_buf_t *b)
{
    ngx_uint_t                  i;
    ngx_pulse_buf_t             text;
    ngx_pulse_openai_piece_t   *piece;
    ngx_pulse_openai_pieces_t   pieces;

    ngx_pulse_buf_init(&text, 0);

    ngx_pulse_openai_pieces(req, edit, &pieces, &text);

    for (i = 0; i < pieces.n; i++) {
        piece = &pieces.elts[i];

        ngx_pulse_buf_append(b, (piece->own ? text.data : req->body.data)
                                + piece->start,
                             piece->end - piece->start);
    }

    if (text.failed) {
        b->failed = 1;
    }

    ngx_pulse_buf_free(&text);
}


void
ngx_pulse_openai_pieces(const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit, ngx_pulse_openai_pieces_t *pieces,
    ngx_pulse_buf_t *b)
{
    size_t                       pos, start;
    ngx_uint_t                   i, j;
    ngx_pulse_openai_splice_t    splice, *s;
    ngx_pulse_openai_splices_t   splices;

    splices.n = 0;

    ngx_pulse_openai_splice_studio(&splices, req);
    ngx_pulse_openai_splice_model(&splices, req, edit);
    ngx_pulse_openai_splice_limit(&splices, req, edit);

    if (req->stream && !req->include_usage) {
        ngx_pulse_openai_splice_usage(&splices, req);
    }

    /* in the order of the body; equal places keep theirs */

    for (i = 1; i < splices.n; i++) {
        splice = splices.elts[i];

        for (j = i; j && splices.elts[j - 1].start > splice.start; j--) {
            splices.elts[j] = splices.elts[j - 1];
        }

        splices.elts[j] = splice;
    }

    pieces->n = 0;
    pos = 0;

    for (i = 0; i < splices.n; i++) {
        s = &splices.elts[i];
        start = b->len;

        ngx_pulse_openai_splice_write(s, b);

        ngx_pulse_openai_piece(pieces, 0, pos, s->start);
        ngx_pulse_openai_piece(pieces, 1, start, b->len);

        pos = s->end;
    }

    ngx_pulse_openai_piece(pieces, 0, pos, req->body.len);
}


static void
ngx_pulse_openai_piece(ngx_pulse_openai_pieces_t *pieces, ngx_uint_t own,
    size_t start, size_t end)
{
    ngx_pulse_openai_piece_t  *piece;

    if (start == end) {
        return;
    }

    piece = &pieces->elts[pieces->n++];

    piece->start = start;
    piece->end = end;
    piece->own = own;
}


static void
ngx_pulse_openai_splice_write(const ngx_pulse_openai_splice_t *s,
    ngx_pulse_buf_t *b)
{
    if (s->text) {
        ngx_pulse_buf_append(b, (u_char *) s->text, strlen(s->text));
    }

    ngx_pulse_buf_str(b, &s->raw);

    if (s->string) {
        ngx_pulse_buf_json(b, s->string->data, s->string->len);
    }

    if (s->after) {
        ngx_pulse_buf_append(b, (u_char *) s->after, strlen(s->after));
    }

    if (s->number) {
        ngx_pulse_buf_int(b, s->number);
    }
}


static ngx_pulse_openai_splice_t *
ngx_pulse_openai_splice(ngx_pulse_openai_splices_t *splices, size_t start,
    size_t end)
{
    ngx_pulse_openai_splice_t  *s;

    s = &splices->elts[splices->n++];

    ngx_memzero(s, sizeof(ngx_pulse_openai_splice_t));

    s->start = start;
    s->end = end;

    return s;
}


static void
ngx_pulse_openai_splice_model(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit)
{
    ngx_pulse_openai_splice_t      *s;
    const ngx_pulse_openai_span_t  *span;

    span = &req->fields[NGX_PULSE_OPENAI_MODEL];

    if (!span->set) {
        s = ngx_pulse_openai_splice(splices, req->tail, req->tail);
        s->text = ",\"model\":";
        s->string = &edit->model;
        return;
    }

    if (req->model.len != edit->model.len
        || ngx_memcmp(req->model.data, edit->model.data, edit->model.len) != 0)
    {
        s = ngx_pulse_openai_splice(splices, span->start, span->end);
        s->string = &edit->model;
    }
}


static void
ngx_pulse_openai_splice_usage(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req)
{
    u_char                          ch;
    size_t                          pos;
    ngx_pulse_openai_splice_t      *s;
    const ngx_pulse_openai_span_t  *options;

    options = &req->fields[NGX_PULSE_OPENAI_STREAM_OPTIONS];

    if (!options->set) {
        s = ngx_pulse_openai_splice(splices, req->tail, req->tail);
        s->text = ",\"stream_options\":{\"include_usage\":true}";
        return;
    }

    if (options->null) {
        s = ngx_pulse_openai_splice(splices, options->start, options->end);
        s->text = "{\"include_usage\":true}";
        return;
    }

    if (req->usage.set) {
        s = ngx_pulse_openai_splice(splices, req->usage.start, req->usage.end);
        s->text = "true";
        return;
    }

    /* the object may be empty */

    for (pos = options->start + 1; pos < options->end; pos++) {
        ch = req->body.data[pos];

        if (ch != ' ' && ch != '\t' && ch != CR && ch != LF) {
            break;
        }
    }

    s = ngx_pulse_openai_splice(splices, options->start + 1,
                                options->start + 1);
    s->text = "\"include_usage\":true";
    s->after = (req->body.data[pos] == '}') ? NULL : ",";
}


static void
ngx_pulse_openai_splice_limit(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req,
    const ngx_pulse_openai_edit_t *edit)
{
    int64_t                         n;
    ngx_str_t                       number, *name;
    ngx_uint_t                      i, own;
    ngx_pulse_openai_splice_t      *s;
    const ngx_pulse_openai_span_t  *span, *other;

    own = NGX_PULSE_OPENAI_MAX_COMPLETION_TOKENS;

    name = &ngx_pulse_openai_max_completion_tokens;

    if (edit->parameter.len == ngx_pulse_openai_max_tokens.len) {
        own = NGX_PULSE_OPENAI_MAX_TOKENS;
        name = &ngx_pulse_openai_max_tokens;
    }

    i = (own == NGX_PULSE_OPENAI_MAX_TOKENS)
        ? NGX_PULSE_OPENAI_MAX_COMPLETION_TOKENS : NGX_PULSE_OPENAI_MAX_TOKENS;

    span = &req->fields[own];
    other = &req->fields[i];

    if (!span->set && other->set && !other->null) {

        /* the client wrote the name that this model does not know */

        s = ngx_pulse_openai_splice(splices, other->key, other->end);
        s->string = name;
        s->after = ":";
        s->number = ngx_min(req->max_tokens, edit->max_tokens);
        return;
    }

    if (!span->set) {
        s = ngx_pulse_openai_splice(splices, req->tail, req->tail);
        s->text = ",";
        s->string = name;
        s->after = ":";
        s->number = edit->max_tokens;
        return;
    }

    for (i = NGX_PULSE_OPENAI_MAX_TOKENS;
         i <= NGX_PULSE_OPENAI_MAX_COMPLETION_TOKENS;
         i++)
    {
        span = &req->fields[i];

        if (!span->set || (span->null && i != own)) {
            continue;
        }

        number.data = req->body.data + span->start;
        number.len = span->end - span->start;

        if (span->null
            || ngx_pulse_json_int(&number, &n) != NGX_OK
            || n > edit->max_tokens)
        {
            s = ngx_pulse_openai_splice(splices, span->start, span->end);
            s->number = edit->max_tokens;
        }
    }
}


/* what only the studio knows is taken out, the system prompt moved */

static void
ngx_pulse_openai_splice_studio(ngx_pulse_openai_splices_t *splices,
    const ngx_pulse_openai_request_t *req)
{
    size_t                          tail;
    ngx_uint_t                      i, n;
    ngx_pulse_openai_splice_t      *s;
    const ngx_pulse_openai_span_t  *span, *gone[NGX_PULSE_OPENAI_NFIELDS];

    n = 0;

    for (i = NGX_PULSE_OPENAI_FALLBACKS; i < NGX_PULSE_OPENAI_NFIELDS; i++) {
        span = &req->fields[i];

        if (span->set) {
            gone[n++] = span;
        }
    }

    /* those that end the object take the comma before them along */

    tail = req->tail;

    for (i = 0; i < n; /* void */ ) {
        if (gone[i] && gone[i]->end == tail) {
            (void) ngx_pulse_openai_splice(splices, gone[i]->prev, tail);
            tail = gone[i]->prev;
            gone[i] = NULL;
            i = 0;
            continue;
        }

        i++;
    }

    for (i = 0; i < n; i++) {
        if (gone[i]) {
            (void) ngx_pulse_openai_splice(splices, gone[i]->key,
                                           gone[i]->next);
        }
    }

    span = &req->fields[NGX_PULSE_OPENAI_SYSTEM];

    if (!span->set || span->null) {
        return;
    }

    i = req->fields[NGX_PULSE_OPENAI_MESSAGES].start + 1;

    s = ngx_pulse_openai_splice(splices, i, i);
    s->text = "{\"role\":\"system\",\"content\":";
    s->raw.data = req->body.data + span->start;
    s->raw.len = span->end - span->start;
    s->after = "},";
}
