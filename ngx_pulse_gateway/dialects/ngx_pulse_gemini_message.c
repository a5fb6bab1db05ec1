
#include "ngx_pulse_gemini.h"

#include <string.h>
#include <strings.h>


typedef struct {
    const char                      *suffix;
    const char                      *type;
} ngx_pulse_gemini_suffix_t;


static const ngx_pulse_turn_t *ngx_pulse_gemini_out_question(
    const ngx_pulse_conversation_t *cv);
static ngx_int_t ngx_pulse_gemini_out_part(ngx_pulse_gemini_out_t *o,
    ngx_uint_t role, const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_gemini_out_foreign(ngx_pulse_gemini_out_t *o,
    ngx_uint_t role, const ngx_pulse_part_t *part);
static void ngx_pulse_gemini_out_begin(ngx_pulse_gemini_out_t *o,
    ngx_uint_t role);
static void ngx_pulse_gemini_out_text(ngx_pulse_gemini_out_t *o,
    ngx_uint_t role, const ngx_pulse_part_t *part);
static void ngx_pulse_gemini_out_thinking(ngx_pulse_gemini_out_t *o,
    ngx_uint_t role, const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_gemini_out_media(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part);
static void ngx_pulse_gemini_out_media_end(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part);
static void ngx_pulse_gemini_out_media_type(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part);
static const char *ngx_pulse_gemini_out_suffix(const ngx_pulse_part_t *part);
static void ngx_pulse_gemini_out_call(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_gemini_out_result(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part);
static void ngx_pulse_gemini_out_response(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_gemini_out_inner(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part);


static ngx_pulse_gemini_suffix_t  ngx_pulse_gemini_suffixes[] = {
    { ".png", "image/png" },
    { ".webp", "image/webp" },
    { ".gif", "image/gif" },
    { ".heic", "image/heic" },
    { ".heif", "image/heif" },
    { ".jpg", "image/jpeg" },
    { ".jpeg", "image/jpeg" },
    { ".pdf", "application/pdf" },
    { ".txt", "text/plain" },
    { NULL, NULL }
};


void
ngx_pulse_gemini_out_system(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_turn_t *last)
{
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn;

    b = o->b;

    ngx_pulse_json_key(b, "systemInstruction");
    ngx_pulse_buf_literal(b, "{\"parts\":[");

    for (turn = o->cv->turns; turn != last; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (part->type != NGX_PULSE_PART_TEXT || part->text.len == 0) {
                continue;
            }

            if (part->cache.len) {
                ngx_pulse_dropped_add(o->dropped, "cache_control");
            }

            ngx_pulse_json_comma(b);
            ngx_pulse_buf_char(b, '{');
            ngx_pulse_json_string(b, "text", &part->text);
            ngx_pulse_buf_char(b, '}');
        }
    }

    if (b->len && b->data[b->len - 1] == '[') {

        /* no text in any: an empty list would be refused */

        ngx_pulse_buf_literal(b, "{\"text\":\" \"}");
    }

    ngx_pulse_buf_literal(b, "]}");
}


ngx_int_t
ngx_pulse_gemini_out_contents(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_turn_t *turn)
{
    ngx_uint_t               role;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *question;

    ngx_pulse_json_key(o->b, "contents");
    ngx_pulse_buf_char(o->b, '[');

    question = ngx_pulse_gemini_out_question(o->cv);
    o->current = (question == NULL);

    for ( /* void */ ; turn; turn = turn->next) {

        role = (turn->role == NGX_PULSE_ROLE_ASSISTANT)
               ? NGX_PULSE_ROLE_ASSISTANT : NGX_PULSE_ROLE_USER;

        if (turn->name.len) {
            ngx_pulse_dropped_add(o->dropped, "name");
        }

        for (part = turn->parts; part; part = part->next) {
            if (ngx_pulse_gemini_out_part(o, role, part) != NGX_OK) {
                return NGX_DECLINED;
            }
        }

        if (turn == question) {
            o->current = 1;
        }
    }

    if (o->role == NGX_PULSE_ROLE_SYSTEM) {

        /* nothing was said: an empty text is taken, no content is not */

        ngx_pulse_gemini_out_begin(o, NGX_PULSE_ROLE_USER);
        ngx_pulse_buf_literal(o->b, "{\"text\":\"\"}");
    }

    ngx_pulse_buf_literal(o->b, "]}]");

    return NGX_OK;
}


/* the last turn that is more than results: after it calls must be signed */

static const ngx_pulse_turn_t *
ngx_pulse_gemini_out_question(const ngx_pulse_conversation_t *cv)
{
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn, *question;

    question = NULL;

    for (turn = cv->turns; turn; turn = turn->next) {

        if (turn->role == NGX_PULSE_ROLE_ASSISTANT) {
            continue;
        }

        for (part = turn->parts; part; part = part->next) {
            if (part->type != NGX_PULSE_PART_RESULT) {
                question = turn;
                break;
            }
        }
    }

    return question;
}


static ngx_int_t
ngx_pulse_gemini_out_part(ngx_pulse_gemini_out_t *o, ngx_uint_t role,
    const ngx_pulse_part_t *part)
{
    if (part->cache.len) {
        ngx_pulse_dropped_add(o->dropped, "cache_control");
    }

    switch (part->type) {

    case NGX_PULSE_PART_TEXT:
    case NGX_PULSE_PART_REFUSAL:
        ngx_pulse_gemini_out_text(o, role, part);
        return NGX_OK;

    case NGX_PULSE_PART_THINKING:
    case NGX_PULSE_PART_REDACTED:
        ngx_pulse_gemini_out_thinking(o, role, part);
        return NGX_OK;

    case NGX_PULSE_PART_RAW:

        if (o->cv->dialect != NGX_PULSE_DIALECT_GEMINI) {
            return ngx_pulse_gemini_out_foreign(o, role, part);
        }

        break;

    default:
        break;
    }

    ngx_pulse_gemini_out_begin(o, role);

    switch (part->type) {

    case NGX_PULSE_PART_CALL:
        ngx_pulse_gemini_out_call(o, part);
        return NGX_OK;

    case NGX_PULSE_PART_RESULT:
        return ngx_pulse_gemini_out_result(o, part);

    case NGX_PULSE_PART_RAW:
        ngx_pulse_buf_str(o->b, &part->data);
        return NGX_OK;

    default: /* IMAGE, DOCUMENT, AUDIO */
        return ngx_pulse_gemini_out_media(o, part);
    }
}


/* what a model of another vendor's did is history, what the user sends is
 * what the answer must be about */

static ngx_int_t
ngx_pulse_gemini_out_foreign(ngx_pulse_gemini_out_t *o, ngx_uint_t role,
    const ngx_pulse_part_t *part)
{
    if (role == NGX_PULSE_ROLE_ASSISTANT) {
        ngx_pulse_dropped_name(o->dropped, &part->name);
        return NGX_OK;
    }

    return ngx_pulse_gemini_out_refuse(o, part->at,
                   "a part of a message is of another provider only");
}


/* of neighbors with one role one content is made, for roles must alternate */

static void
ngx_pulse_gemini_out_begin(ngx_pulse_gemini_out_t *o, ngx_uint_t role)
{
    if (role != o->role) {

        if (o->role != NGX_PULSE_ROLE_SYSTEM) {
            ngx_pulse_buf_literal(o->b, "]}");
        }

        ngx_pulse_json_comma(o->b);
        ngx_pulse_buf_char(o->b, '{');
        ngx_pulse_json_literal(o->b, "role",
                               role == NGX_PULSE_ROLE_ASSISTANT ? "model"
                                                                : "user");
        ngx_pulse_json_key(o->b, "parts");
        ngx_pulse_buf_char(o->b, '[');

        o->role = role;
        o->called = 0;
    }

    ngx_pulse_json_comma(o->b);
}


static void
ngx_pulse_gemini_out_text(ngx_pulse_gemini_out_t *o, ngx_uint_t role,
    const ngx_pulse_part_t *part)
{
    if (part->text.len == 0 && part->signature.len == 0) {
        return;
    }

    ngx_pulse_gemini_out_begin(o, role);

    ngx_pulse_buf_char(o->b, '{');
    ngx_pulse_json_string(o->b, "text", &part->text);

    if (part->signature.len) {
        ngx_pulse_json_string(o->b, "thoughtSignature", &part->signature);
    }

    ngx_pulse_buf_char(o->b, '}');
}


/* signatures of thoughts are other vendors', and Gemini's carry none */

static void
ngx_pulse_gemini_out_thinking(ngx_pulse_gemini_out_t *o, ngx_uint_t role,
    const ngx_pulse_part_t *part)
{
    if (part->signature.len || part->data.len
        || o->cv->dialect != NGX_PULSE_DIALECT_GEMINI)
    {
        ngx_pulse_dropped_add(o->dropped, "thinking");
        return;
    }

    if (part->text.len == 0) {
        return;
    }

    ngx_pulse_gemini_out_begin(o, role);

    ngx_pulse_buf_char(o->b, '{');
    ngx_pulse_json_string(o->b, "text", &part->text);
    ngx_pulse_buf_literal(o->b, ",\"thought\":true}");
}


static ngx_int_t
ngx_pulse_gemini_out_media(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part)
{
    if (part->detail.len && !ngx_pulse_is(&part->detail, "auto")) {
        ngx_pulse_dropped_add(o->dropped, "detail");
    }

    if (part->filename.len) {
        ngx_pulse_dropped_add(o->dropped, "filename");
    }

    if (part->data.len) {
        ngx_pulse_buf_literal(o->b, "{\"inlineData\":{");
        ngx_pulse_gemini_out_media_type(o, part);
        ngx_pulse_json_string(o->b, "data", &part->data);
        ngx_pulse_gemini_out_media_end(o, part);
        return NGX_OK;
    }

    if (part->url.len && !o->target->https_images) {
        return ngx_pulse_gemini_out_refuse(o, part->at,
                   "this model does not fetch files by their URL: send the "
                   "data instead");
    }

    if (part->url.len == 0
        && (part->file_id.len == 0
            || o->cv->dialect != NGX_PULSE_DIALECT_GEMINI))
    {
        return ngx_pulse_gemini_out_refuse(o, part->at,
                   "files of another provider cannot be used with this model: "
                   "send the data instead");
    }

    ngx_pulse_buf_literal(o->b, "{\"fileData\":{");
    ngx_pulse_gemini_out_media_type(o, part);
    ngx_pulse_json_string(o->b, "fileUri",
                          part->url.len ? &part->url : &part->file_id);
    ngx_pulse_gemini_out_media_end(o, part);

    return NGX_OK;
}


/* images that a model made are signed as texts and calls are */

static void
ngx_pulse_gemini_out_media_end(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_char(o->b, '}');

    if (part->signature.len) {
        ngx_pulse_json_string(o->b, "thoughtSignature", &part->signature);
    }

    ngx_pulse_buf_char(o->b, '}');
}


static void
ngx_pulse_gemini_out_media_type(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part)
{
    if (part->media_type.len == 0) {
        ngx_pulse_json_literal(o->b, "mimeType",
                               ngx_pulse_gemini_out_suffix(part));
        return;
    }

    ngx_pulse_json_string(o->b, "mimeType", &part->media_type);
}


static const char *
ngx_pulse_gemini_out_suffix(const ngx_pulse_part_t *part)
{
    size_t                      len, n;
    const u_char               *p;
    const ngx_str_t            *url;
    ngx_pulse_gemini_suffix_t  *known;

    url = part->url.len ? &part->url : &part->file_id;

    for (len = 0; len < url->len; len++) {
        if (url->data[len] == '?' || url->data[len] == '#') {
            break;
        }
    }

    for (known = ngx_pulse_gemini_suffixes; known->suffix; known++) {
        n = strlen(known->suffix);
        p = url->data + len - n;

        if (len > n && strncasecmp((char *) p, known->suffix, n) == 0) {
            return known->type;
        }
    }

    return part->type == NGX_PULSE_PART_IMAGE ? "image/jpeg"
                                              : "application/pdf";
}


/* of calls side by side the first has the signature */

static void
ngx_pulse_gemini_out_call(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = o->b;

    ngx_pulse_buf_literal(b, "{\"functionCall\":{");

    if (part->id.len) {
        ngx_pulse_json_string(b, "id", &part->id);
    }

    ngx_pulse_json_string(b, "name", &part->name);
    ngx_pulse_json_key(b, "args");

    if (part->custom) {
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_string(b, "input", &part->arguments);
        ngx_pulse_buf_char(b, '}');

    } else {
        ngx_pulse_gemini_args(&part->arguments, b);
    }

    ngx_pulse_buf_char(b, '}');

    if (part->signature.len) {
        ngx_pulse_json_string(b, "thoughtSignature", &part->signature);

    } else if (o->levels && o->current && !o->called) {
        ngx_pulse_json_literal(b, "thoughtSignature",
                               NGX_PULSE_GEMINI_NO_SIGNATURE);
    }

    ngx_pulse_buf_char(b, '}');

    o->called = 1;
}


static ngx_int_t
ngx_pulse_gemini_out_result(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part)
{
    ngx_int_t         rc;
    ngx_str_t         name;
    ngx_pulse_buf_t  *b;

    b = o->b;

    name = part->name;

    if (name.len == 0) {
        name = ngx_pulse_call_name(o->cv, &part->id);
    }

    if (name.len == 0) {
        return ngx_pulse_gemini_out_refuse(o, part->at,
                   "a tool's result answers no call of the conversation");
    }

    ngx_pulse_buf_literal(b, "{\"functionResponse\":{");

    if (part->id.len) {
        ngx_pulse_json_string(b, "id", &part->id);
    }

    ngx_pulse_json_string(b, "name", &name);
    ngx_pulse_json_key(b, "response");

    ngx_pulse_gemini_out_response(o, part);

    rc = NGX_OK;

    if (o->levels) {
        rc = ngx_pulse_gemini_out_inner(o, part->content);
    }

    ngx_pulse_buf_literal(b, "}}");

    if (rc != NGX_OK || o->levels) {
        return rc;
    }

    /* up to Gemini 2.5 results are text: what is none goes beside them */

    for (part = part->content; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_TEXT
            && ngx_pulse_gemini_out_part(o, NGX_PULSE_ROLE_USER, part)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* it must be an object: a text that is one is left as it is */

static void
ngx_pulse_gemini_out_response(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part)
{
    ngx_str_t                s;
    ngx_uint_t               n;
    ngx_pulse_buf_t          text;
    const ngx_pulse_part_t  *inner;

    ngx_pulse_buf_init(&text, 0);
    n = 0;

    for (inner = part->content; inner; inner = inner->next) {

        if (inner->type != NGX_PULSE_PART_TEXT) {
            continue;
        }

        if (n++) {
            ngx_pulse_buf_char(&text, '\n');
        }

        ngx_pulse_buf_str(&text, &inner->text);
    }

    s.data = text.data;
    s.len = text.len;

    if (text.failed) {
        o->b->failed = 1;

    } else if (s.len && ngx_pulse_json_is_object(&s)) {
        ngx_pulse_json_compact(&s, o->b);

    } else {
        ngx_pulse_buf_char(o->b, '{');
        ngx_pulse_json_string(o->b, part->error ? "error" : "result", &s);
        ngx_pulse_buf_char(o->b, '}');
    }

    ngx_pulse_buf_free(&text);
}


/* images of a result */

static ngx_int_t
ngx_pulse_gemini_out_inner(ngx_pulse_gemini_out_t *o,
    const ngx_pulse_part_t *part)
{
    ngx_uint_t  n;

    n = 0;

    for ( /* void */ ; part; part = part->next) {

        switch (part->type) {

        case NGX_PULSE_PART_TEXT:
            continue;

        case NGX_PULSE_PART_IMAGE:
        case NGX_PULSE_PART_DOCUMENT:
        case NGX_PULSE_PART_AUDIO:
            break;

        default:
            return ngx_pulse_gemini_out_foreign(o, NGX_PULSE_ROLE_USER, part);
        }

        if (n++ == 0) {
            ngx_pulse_json_key(o->b, "parts");
            ngx_pulse_buf_char(o->b, '[');
        }

        ngx_pulse_json_comma(o->b);

        if (ngx_pulse_gemini_out_media(o, part) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    if (n) {
        ngx_pulse_buf_char(o->b, ']');
    }

    return NGX_OK;
}
