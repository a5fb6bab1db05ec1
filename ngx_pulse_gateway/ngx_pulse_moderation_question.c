
#include "ngx_pulse_json.h"
#include "ngx_pulse_moderation.h"
#include "ngx_pulse_moderation_question.h"


#define NGX_PULSE_MODERATION_ANSWERS  1024      /* values of an input's */


/* What is known of an object that is open. */

typedef struct {
    ngx_str_t                          type;    /* "image/png" */
    ngx_str_t                          data;
    ngx_str_t                          url;
    ngx_str_t                          source;  /* URL of the member */
    unsigned                           image:1; /* its type is */
} ngx_pulse_moderation_object_t;


typedef struct {
    const ngx_str_t                   *body;
    ngx_pulse_moderation_question_t   *q;
    ngx_uint_t                         skip;    /* until this depth ends */
    ngx_pulse_moderation_object_t      objects[NGX_PULSE_JSON_MAX_DEPTH + 1];
} ngx_pulse_moderation_reader_t;


static ngx_int_t ngx_pulse_moderation_event(void *data,
    ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_moderation_member(
    ngx_pulse_moderation_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_moderation_object(
    ngx_pulse_moderation_reader_t *reader, ngx_pulse_json_event_t *ev);
static ngx_int_t ngx_pulse_moderation_image(ngx_pulse_moderation_question_t *q,
    const ngx_str_t *type, const ngx_str_t *data);
static ngx_uint_t ngx_pulse_moderation_named(const ngx_str_t *key,
    const char **names);
static ngx_uint_t ngx_pulse_moderation_is(const ngx_str_t *s,
    const char *literal);
static ngx_uint_t ngx_pulse_moderation_begins(const ngx_str_t *s,
    const char *with);
static size_t ngx_pulse_moderation_piece(const u_char *p, size_t len);
static void ngx_pulse_moderation_flags(const ngx_pulse_json_value_t *result,
    ngx_pulse_buf_t *b);
static ngx_uint_t ngx_pulse_moderation_listed(const ngx_pulse_buf_t *b,
    const ngx_str_t *name);


/* Members that say what something is, which one it is, or whose, and data
 * that is no text: no model reads them as a prompt. */

static const char  *ngx_pulse_moderation_marks[] = {
    "type", "role", "model", "id", "call_id", "tool_call_id", "tool_use_id",
    "previous_response_id", "user", "user_id", "safety_identifier",
    "prompt_cache_key", "media_type", "mime_type", "mimeType", "detail",
    "encoding_format", "signature", "thoughtSignature", "thought_signature",
    "encrypted_content", "file_data", "file_id", "fileUri", "file_uri",
    "b64_json", "format", "effort", "locale", NULL
};


static const char  *ngx_pulse_moderation_types[] = {
    "media_type", "mime_type", "mimeType", NULL
};


static const char  *ngx_pulse_moderation_kinds[] = {
    "image", "input_image", "image_url", NULL
};


ngx_int_t
ngx_pulse_moderation_question(ngx_pulse_moderation_question_t *q,
    ngx_pool_t *pool)
{
    q->told = 0;
    q->nimages = 0;
    q->shown = 0;
    q->inputs = 0;

    return ngx_pulse_buf_init_pool(&q->text, 0, pool);
}


ngx_int_t
ngx_pulse_moderation_question_read(ngx_pulse_moderation_question_t *q,
    const ngx_str_t *body)
{
    ngx_int_t                      rc;
    ngx_pulse_json_error_t         error;
    ngx_pulse_json_limits_t        limits;
    ngx_pulse_moderation_reader_t  reader;

    /* its reader has taken it before, with limits of its own */

    limits.size = body->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = body->len;
    limits.keys = body->len;

    reader.body = body;
    reader.q = q;
    reader.skip = 0;

    rc = ngx_pulse_json_read(body->data, body->len, &limits,
                             ngx_pulse_moderation_event, &reader, &error);

    if (rc == NGX_DONE) {
        return NGX_DECLINED;
    }

    return (rc == NGX_OK && !q->text.failed) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_pulse_moderation_event(void *data, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_moderation_reader_t *reader = data;

    static const char  *metadata[] = { "metadata", NULL };

    switch (ev->type) {

    case NGX_PULSE_JSON_OBJECT:
        ngx_memzero(&reader->objects[ev->depth],
                    sizeof(ngx_pulse_moderation_object_t));

        if (reader->skip == 0 && ev->depth == 1
            && ngx_pulse_moderation_named(&ev->key, metadata))
        {
            reader->skip = 1;
        }

        return NGX_OK;

    case NGX_PULSE_JSON_OBJECT_END:

        if (reader->skip) {
            reader->skip = (ev->depth != 1);
            return NGX_OK;
        }

        return ngx_pulse_moderation_object(reader, ev);

    case NGX_PULSE_JSON_STRING:
        return reader->skip ? NGX_OK
                            : ngx_pulse_moderation_member(reader, ev);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_pulse_moderation_member(ngx_pulse_moderation_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_str_t                       raw;
    ngx_pulse_moderation_object_t  *object;

    if (ev->key.data == NULL) {
        ngx_pulse_moderation_question_add(reader->q, &ev->string);
        return NGX_OK;
    }

    object = &reader->objects[ev->depth - 1];

    raw.data = reader->body->data + ev->start + 1;
    raw.len = ev->end - ev->start - 2;

    if (ngx_pulse_moderation_named(&ev->key, ngx_pulse_moderation_types)) {

        if (ngx_pulse_moderation_begins(&ev->string, "image/")) {
            object->type = raw;
        }

        return NGX_OK;
    }

    if (ngx_pulse_moderation_is(&ev->key, "image_url")
        || (ngx_pulse_moderation_is(&ev->key, "url") && ev->depth > 1
            && ngx_pulse_moderation_is(&ev->path[ev->depth - 2], "image_url")))
    {
        if (ngx_pulse_moderation_begins(&ev->string, "data:image/")
            || ngx_pulse_moderation_begins(&ev->string, "http"))
        {
            return ngx_pulse_moderation_image(reader->q, NULL, &raw);
        }

        return NGX_OK;
    }

    if (ngx_pulse_moderation_is(&ev->key, "data")
        && ngx_pulse_moderation_base64(raw.data, raw.data + raw.len, 0))
    {
        object->data = raw;
        return NGX_OK;
    }

    if (ngx_pulse_moderation_is(&ev->key, "url")) {
        object->url = raw;
    }

    if (ngx_pulse_moderation_is(&ev->key, "type")) {
        object->image = ngx_pulse_moderation_named(&ev->string,
                                                 ngx_pulse_moderation_kinds);
    }

    if (!ngx_pulse_moderation_named(&ev->key, ngx_pulse_moderation_marks)) {
        ngx_pulse_moderation_question_add(reader->q, &ev->string);
    }

    return NGX_OK;
}


/* Anthropic's pictures and Gemini's say what they are beside the data, in
 * whatever order. */

static ngx_int_t
ngx_pulse_moderation_object(ngx_pulse_moderation_reader_t *reader,
    ngx_pulse_json_event_t *ev)
{
    ngx_pulse_moderation_object_t  *object;

    object = &reader->objects[ev->depth];

    if (object->type.len && object->data.len) {
        return ngx_pulse_moderation_image(reader->q, &object->type,
                                          &object->data);
    }

    if (object->image && object->source.len) {
        return ngx_pulse_moderation_image(reader->q, NULL, &object->source);
    }

    if (ev->depth && ngx_pulse_moderation_is(&ev->key, "source")) {
        reader->objects[ev->depth - 1].source = object->url;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_moderation_image(ngx_pulse_moderation_question_t *q,
    const ngx_str_t *type, const ngx_str_t *data)
{
    ngx_pulse_moderation_image_t  *image;

    if (q->nimages == NGX_PULSE_MODERATION_IMAGES) {
        return NGX_DONE;
    }

    image = &q->images[q->nimages++];

    ngx_str_null(&image->type);

    if (type) {
        image->type = *type;
    }

    image->data = *data;

    return NGX_OK;
}


static ngx_uint_t
ngx_pulse_moderation_named(const ngx_str_t *key, const char **names)
{
    for ( /* void */ ; *names; names++) {
        if (ngx_pulse_moderation_is(key, *names)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_pulse_moderation_is(const ngx_str_t *s, const char *literal)
{
    return s->len == ngx_strlen(literal)
           && ngx_memcmp(s->data, literal, s->len) == 0;
}


static ngx_uint_t
ngx_pulse_moderation_begins(const ngx_str_t *s, const char *with)
{
    return s->len >= ngx_strlen(with)
           && ngx_strncmp(s->data, with, ngx_strlen(with)) == 0;
}


void
ngx_pulse_moderation_question_add(ngx_pulse_moderation_question_t *q,
    const ngx_str_t *text)
{
    if (text->len) {
        ngx_pulse_buf_str(&q->text, text);
        ngx_pulse_buf_char(&q->text, LF);
    }
}


ngx_int_t
ngx_pulse_moderation_question_write(ngx_pulse_moderation_question_t *q,
    const ngx_str_t *model, ngx_pulse_buf_t *b)
{
    size_t                         n;
    ngx_pulse_moderation_image_t  *image;

    if (q->told == q->text.len && q->shown == q->nimages) {
        return NGX_DONE;
    }

    ngx_pulse_buf_literal(b, "{\"model\":");
    ngx_pulse_buf_json(b, model->data, model->len);
    ngx_pulse_buf_literal(b, ",\"input\":[");

    q->inputs = 0;

    while (q->told < q->text.len && q->inputs < NGX_PULSE_MODERATION_PIECES) {

        if (q->inputs++) {
            ngx_pulse_buf_char(b, ',');
        }

        n = ngx_pulse_moderation_piece(q->text.data + q->told,
                                       q->text.len - q->told);

        ngx_pulse_buf_json(b, q->text.data + q->told, n);
        q->told += n;
    }

    if (q->inputs == 0) {
        image = &q->images[q->shown++];
        q->inputs = 1;

        ngx_pulse_buf_literal(b, "{\"type\":\"image_url\",\"image_url\":"
                                 "{\"url\":\"");

        if (image->type.len) {
            ngx_pulse_buf_literal(b, "data:");
            ngx_pulse_buf_str(b, &image->type);
            ngx_pulse_buf_literal(b, ";base64,");
        }

        ngx_pulse_buf_str(b, &image->data);
        ngx_pulse_buf_literal(b, "\"}}");
    }

    ngx_pulse_buf_literal(b, "]}");

    return NGX_OK;
}


/* As much as is an input: to the end of a line or a word, if there is one. */

static size_t
ngx_pulse_moderation_piece(const u_char *p, size_t len)
{
    size_t  n;

    if (len <= NGX_PULSE_MODERATION_PIECE) {
        return len;
    }

    for (n = NGX_PULSE_MODERATION_PIECE;
         n > NGX_PULSE_MODERATION_PIECE / 2;
         n--)
    {
        if (p[n - 1] == LF || p[n - 1] == ' ') {
            return n;
        }
    }

    for (n = NGX_PULSE_MODERATION_PIECE; (p[n] & 0xc0) == 0x80; n--) {
        /* void */
    }

    return n;
}


ngx_int_t
ngx_pulse_moderation_answer(ngx_pool_t *pool, const u_char *p, size_t len,
    ngx_uint_t inputs, ngx_pulse_buf_t *b)
{
    ngx_uint_t                n;
    ngx_pulse_json_error_t    error;
    ngx_pulse_json_value_t   *root, *results, *result, *flagged;
    ngx_pulse_json_limits_t   limits;

    limits.size = len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = (inputs + 1) * NGX_PULSE_MODERATION_ANSWERS;
    limits.keys = NGX_PULSE_MODERATION_ANSWERS;

    root = ngx_pulse_json_tree(pool, p, len, &limits, &error);
    results = ngx_pulse_json_get(root, "results");

    if (results == NULL || results->type != NGX_PULSE_JSON_ARRAY
        || results->nelts != inputs)
    {
        return NGX_ERROR;
    }

    n = 0;

    for (result = results->children; result; result = result->next) {
        flagged = ngx_pulse_json_get(result, "flagged");

        if (flagged == NULL || flagged->type != NGX_PULSE_JSON_BOOL) {
            return NGX_ERROR;
        }

        if (flagged->boolean) {

            if (n++ == 0) {
                ngx_pulse_buf_char(b, '[');
            }

            ngx_pulse_moderation_flags(result, b);
        }
    }

    if (n == 0) {
        return NGX_OK;
    }

    ngx_pulse_buf_char(b, ']');

    return b->failed ? NGX_ERROR : NGX_DECLINED;
}


/* Categories that are true, each once for all results. */

static void
ngx_pulse_moderation_flags(const ngx_pulse_json_value_t *result,
    ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *categories, *v;

    categories = ngx_pulse_json_get(result, "categories");

    if (categories == NULL || categories->type != NGX_PULSE_JSON_OBJECT) {
        return;
    }

    for (v = categories->children; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_BOOL || !v->boolean
            || ngx_pulse_moderation_listed(b, &v->key))
        {
            continue;
        }

        if (b->len && b->data[b->len - 1] != '[') {
            ngx_pulse_buf_char(b, ',');
        }

        ngx_pulse_buf_json(b, v->key.data, v->key.len);
    }
}


static ngx_uint_t
ngx_pulse_moderation_listed(const ngx_pulse_buf_t *b, const ngx_str_t *name)
{
    size_t  i;

    for (i = 1; i + name->len < b->len; i++) {
        if (b->data[i - 1] == '"' && b->data[i + name->len] == '"'
            && ngx_memcmp(b->data + i, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
