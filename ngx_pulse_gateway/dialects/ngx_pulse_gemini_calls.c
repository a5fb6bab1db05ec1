
#include "ngx_pulse_gemini.h"
#include "ngx_pulse_id.h"


/* of a made-up id the part that is the answer's own; OpenAI takes 40 bytes */

#define NGX_PULSE_GEMINI_CALL_ID     28


static ngx_int_t ngx_pulse_gemini_call_start(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *name,
    const ngx_str_t *signature);
static void ngx_pulse_gemini_call_id(ngx_pulse_gemini_reader_t *rd,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_call_args(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, ngx_pulse_buf_t *b);

static ngx_int_t ngx_pulse_gemini_partial(ngx_pulse_gemini_partial_t *partial,
    const ngx_str_t *text, const ngx_pulse_json_value_t *v,
    ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_partial_go(
    ngx_pulse_gemini_partial_t *partial, const ngx_str_t *path,
    ngx_pulse_buf_t *b);
static void ngx_pulse_gemini_partial_end(ngx_pulse_gemini_partial_t *partial,
    ngx_uint_t from, ngx_pulse_buf_t *b);
static ngx_int_t ngx_pulse_gemini_steps(const ngx_str_t *path,
    ngx_str_t *steps, ngx_uint_t *nsteps);
static ngx_uint_t ngx_pulse_gemini_step_name(const ngx_str_t *step,
    ngx_str_t *name);
static void ngx_pulse_gemini_quoted(ngx_pulse_buf_t *b, const ngx_str_t *s,
    ngx_uint_t first, ngx_uint_t last);


/*
 * A call is one part, or with streamed arguments several: the first has the
 * name, and all but the last say that there is more.
 */

ngx_int_t
ngx_pulse_gemini_call(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *signature)
{
    ngx_int_t                   rc;
    ngx_str_t                   name;
    ngx_pulse_buf_t             b;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_gemini_reader_t  *rd;

    rd = chunk->rd;

    name = ngx_pulse_gemini_string(call, "name");

    if (name.len) {
        rc = ngx_pulse_gemini_call_start(chunk, call, &name, signature);
        if (rc != NGX_OK) {
            return rc;
        }

    } else if (!rd->open) {
        return NGX_ERROR;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (name.len == 0 && signature->len) {
        ev.type = NGX_PULSE_ANSWER_SIGNATURE;
        ev.text = *signature;

        rc = chunk->handler(chunk->ctx, &ev);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_pulse_buf_init(&b, 0);

    rc = ngx_pulse_gemini_call_args(chunk, call, &b);

    if (rc == NGX_OK && b.len) {
        ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
        ev.index = rd->calls - 1;
        ev.text.data = b.data;
        ev.text.len = b.len;

        rc = chunk->handler(chunk->ctx, &ev);
    }

    ngx_pulse_buf_free(&b);

    if (rc != NGX_OK || ngx_pulse_gemini_true(call, "willContinue")) {
        return rc;
    }

    return ngx_pulse_gemini_call_end(rd, chunk->handler, chunk->ctx);
}


static ngx_int_t
ngx_pulse_gemini_call_start(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, const ngx_str_t *name,
    const ngx_str_t *signature)
{
    ngx_int_t                   rc;
    ngx_pulse_buf_t             b;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_gemini_reader_t  *rd;

    rd = chunk->rd;

    rc = ngx_pulse_gemini_call_end(rd, chunk->handler, chunk->ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CALL;
    ev.index = rd->calls++;
    ev.id = ngx_pulse_gemini_string(call, "id");
    ev.name = *name;
    ev.signature = *signature;

    rd->open = 1;
    rd->whole = 0;

    ngx_pulse_buf_init(&b, 0);

    if (ev.id.len == 0) {
        ngx_pulse_gemini_call_id(rd, &b);
        ev.id.data = b.data;
        ev.id.len = b.len;
    }

    rc = b.failed ? NGX_ERROR : chunk->handler(chunk->ctx, &ev);

    ngx_pulse_buf_free(&b);

    return rc;
}


/* older models give no ids: unique, and the same if read again */

static void
ngx_pulse_gemini_call_id(ngx_pulse_gemini_reader_t *rd, ngx_pulse_buf_t *b)
{
    u_char  ch, random[NGX_PULSE_GEMINI_CALL_ID / 2];
    size_t  i, n;

    static const u_char  hex[] = "0123456789abcdef";

    ngx_pulse_buf_literal(b, "call_");
    n = b->len;

    for (i = 0; i < rd->id_len; i++) {
        ch = rd->id[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
            || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_')
        {
            if (b->len - n < NGX_PULSE_GEMINI_CALL_ID) {
                ngx_pulse_buf_char(b, ch);
            }
        }
    }

    if (b->len == n) {

        if (ngx_pulse_random(random, sizeof(random)) != NGX_OK) {
            b->failed = 1;
            return;
        }

        for (i = 0; i < sizeof(random); i++) {
            ngx_pulse_buf_char(b, hex[random[i] >> 4]);
            ngx_pulse_buf_char(b, hex[random[i] & 0xf]);
        }
    }

    ngx_pulse_buf_char(b, '_');
    ngx_pulse_buf_int(b, rd->calls - 1);
}


static ngx_int_t
ngx_pulse_gemini_call_args(ngx_pulse_gemini_chunk_t *chunk,
    const ngx_pulse_json_value_t *call, ngx_pulse_buf_t *b)
{
    ngx_int_t                rc;
    ngx_str_t                raw;
    ngx_pulse_json_value_t  *args;

    args = ngx_pulse_member(call, "args");

    if (args) {

        if (args->type != NGX_PULSE_JSON_OBJECT
            || chunk->rd->whole
            || chunk->rd->partial.begun)
        {
            return NGX_ERROR;
        }

        chunk->rd->whole = 1;

        raw = ngx_pulse_raw(chunk->text, args);
        ngx_pulse_json_compact(&raw, b);
    }

    args = ngx_pulse_member(call, "partialArgs");

    if (args && args->type == NGX_PULSE_JSON_ARRAY) {

        if (chunk->rd->whole) {
            return NGX_ERROR;
        }

        for (args = args->children; args; args = args->next) {

            rc = ngx_pulse_gemini_partial(&chunk->rd->partial, chunk->text,
                                          args, b);
            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return b->failed ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_pulse_gemini_call_end(ngx_pulse_gemini_reader_t *rd,
    ngx_pulse_answer_pt handler, void *ctx)
{
    ngx_int_t                 rc;
    ngx_pulse_buf_t           b;
    ngx_pulse_answer_event_t  ev;

    if (!rd->open) {
        return NGX_OK;
    }

    rd->open = 0;
    rc = NGX_OK;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ev.index = rd->calls - 1;

    if (rd->partial.begun) {
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_gemini_partial_end(&rd->partial, 0, &b);

        ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
        ev.text.data = b.data;
        ev.text.len = b.len;

        rc = b.failed ? NGX_ERROR : handler(ctx, &ev);

        ngx_pulse_buf_free(&b);
        ngx_memzero(&rd->partial, sizeof(ngx_pulse_gemini_partial_t));
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ev.type = NGX_PULSE_ANSWER_CALL_END;
    ngx_str_null(&ev.text);

    return handler(ctx, &ev);
}


/* a value at a path; strings may come in several */

static ngx_int_t
ngx_pulse_gemini_partial(ngx_pulse_gemini_partial_t *partial,
    const ngx_str_t *text, const ngx_pulse_json_value_t *v, ngx_pulse_buf_t *b)
{
    ngx_str_t                path, raw;
    ngx_uint_t               more, same;
    ngx_pulse_json_value_t  *value;

    path = ngx_pulse_gemini_string(v, "jsonPath");
    more = ngx_pulse_gemini_true(v, "willContinue");

    same = partial->string && path.len == partial->len
           && ngx_memcmp(path.data, partial->path, path.len) == 0;

    value = ngx_pulse_member(v, "stringValue");

    if (value && value->type != NGX_PULSE_JSON_STRING) {
        return NGX_ERROR;
    }

    if (same) {

        if (value) {
            ngx_pulse_gemini_quoted(b, &value->string, 0, !more);

        } else if (!more) {
            ngx_pulse_buf_char(b, '"');
        }

        partial->string = more;

        return NGX_OK;
    }

    if (ngx_pulse_gemini_partial_go(partial, &path, b) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value) {
        ngx_pulse_gemini_quoted(b, &value->string, 1, !more);
        partial->string = more;
        return NGX_OK;
    }

    value = ngx_pulse_member(v, "numberValue");

    if (value == NULL) {
        value = ngx_pulse_member(v, "boolValue");
    }

    if (value == NULL) {
        ngx_pulse_buf_literal(b, "null");
        return NGX_OK;
    }

    if (value->type != NGX_PULSE_JSON_NUMBER
        && value->type != NGX_PULSE_JSON_BOOL)
    {
        return NGX_ERROR;
    }

    raw = ngx_pulse_raw(text, value);
    ngx_pulse_buf_str(b, &raw);

    return NGX_OK;
}


/* closes what the last path was in and the next is not, opens the rest */

static ngx_int_t
ngx_pulse_gemini_partial_go(ngx_pulse_gemini_partial_t *partial,
    const ngx_str_t *path, ngx_pulse_buf_t *b)
{
    ngx_str_t   name, steps[NGX_PULSE_GEMINI_PATH_MAX];
    ngx_uint_t  i, nsteps, common, named;

    if (path->len > NGX_PULSE_GEMINI_PATH_LEN
        || ngx_pulse_gemini_steps(path, steps, &nsteps) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (common = 0; common < nsteps && common < partial->nsteps; common++) {

        if (steps[common].len != partial->steps[common].len
            || ngx_memcmp(steps[common].data, partial->steps[common].data,
                          steps[common].len) != 0)
        {
            break;
        }
    }

    /* a value where there is one already, or inside of it */

    if (common == nsteps || (partial->begun && common == partial->nsteps)) {
        return NGX_ERROR;
    }

    if (partial->begun) {
        ngx_pulse_gemini_partial_end(partial, common + 1, b);
        ngx_pulse_buf_char(b, ',');
    }

    for (i = common; i < nsteps; i++) {
        named = ngx_pulse_gemini_step_name(&steps[i], &name);

        if (i > common || !partial->begun) {
            ngx_pulse_buf_char(b, named ? '{' : '[');
        }

        if (named) {
            ngx_pulse_gemini_quoted(b, &name, 1, 1);
            ngx_pulse_buf_char(b, ':');
        }
    }

    ngx_memcpy(partial->path, path->data, path->len);

    for (i = 0; i < nsteps; i++) {
        partial->steps[i].data = partial->path + (steps[i].data - path->data);
        partial->steps[i].len = steps[i].len;
    }

    partial->len = path->len;
    partial->nsteps = nsteps;
    partial->begun = 1;

    return NGX_OK;
}


/* closes objects and arrays of the path from the last to that of "from" */

static void
ngx_pulse_gemini_partial_end(ngx_pulse_gemini_partial_t *partial,
    ngx_uint_t from, ngx_pulse_buf_t *b)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    if (partial->string) {
        ngx_pulse_buf_char(b, '"');
        partial->string = 0;
    }

    for (i = partial->nsteps; i > from; i--) {
        ngx_pulse_buf_char(b,
            ngx_pulse_gemini_step_name(&partial->steps[i - 1], &name)
                ? '}' : ']');
    }
}


/* "$.name[0]['other name']": each step begins with its '.' or '[' */

static ngx_int_t
ngx_pulse_gemini_steps(const ngx_str_t *path, ngx_str_t *steps,
    ngx_uint_t *nsteps)
{
    u_char  *p, *last, *start, quote;

    *nsteps = 0;

    if (path->len == 0 || path->data[0] != '$') {
        return NGX_ERROR;
    }

    p = path->data + 1;
    last = path->data + path->len;

    while (p < last) {

        if (*nsteps == NGX_PULSE_GEMINI_PATH_MAX) {
            return NGX_ERROR;
        }

        start = p++;

        if (*start == '[' && p < last && (*p == '\'' || *p == '"')) {
            quote = *p++;
            while (p < last && *p != quote) { p++; }

            if (last - p < 2 || p[1] != ']') {
                return NGX_ERROR;
            }

            p += 2;

        } else if (*start == '[') {
            while (p < last && *p >= '0' && *p <= '9') { p++; }

            if (p == last || *p != ']' || p == start + 1) {
                return NGX_ERROR;
            }

            p++;

        } else if (*start == '.') {
            while (p < last && *p != '.' && *p != '[') { p++; }

            if (p == start + 1) {
                return NGX_ERROR;
            }

        } else {
            return NGX_ERROR;
        }

        steps[*nsteps].data = start;
        steps[*nsteps].len = p - start;
        (*nsteps)++;
    }

    /* arguments are an object */

    return (*nsteps && (steps[0].data[0] == '.' || steps[0].data[1] == '\''
                        || steps[0].data[1] == '"'))
           ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_pulse_gemini_step_name(const ngx_str_t *step, ngx_str_t *name)
{
    if (step->data[0] == '.') {
        name->data = step->data + 1;
        name->len = step->len - 1;
        return 1;
    }

    if (step->data[1] == '\'' || step->data[1] == '"') {
        name->data = step->data + 2;
        name->len = step->len - 4;
        return 1;
    }

    return 0;
}


/* a JSON string, with its first quote and its last only if asked for */

static void
ngx_pulse_gemini_quoted(ngx_pulse_buf_t *b, const ngx_str_t *s,
    ngx_uint_t first, ngx_uint_t last)
{
    size_t  mark;

    mark = b->len;

    ngx_pulse_buf_json(b, s->len ? s->data : (u_char *) "", s->len);

    if (b->failed) {
        return;
    }

    if (!last) {
        b->len--;
    }

    if (!first) {
        b->len--;
        ngx_memmove(b->data + mark, b->data + mark + 1, b->len - mark);
    }
}
