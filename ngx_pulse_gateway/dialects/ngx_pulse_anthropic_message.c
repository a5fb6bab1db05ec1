
#include "ngx_pulse_anthropic.h"

#include <string.h>
#include <openssl/evp.h>


/* of a turn of which nothing is written: its neighbors meet */

#define NGX_PULSE_ANTHROPIC_NOBODY  3


static ngx_uint_t ngx_pulse_anthropic_role(
    const ngx_pulse_anthropic_out_t *out, const ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_write_group(
    ngx_pulse_anthropic_out_t *out, const ngx_pulse_turn_t *first,
    const ngx_pulse_turn_t *end, ngx_uint_t role);
static ngx_int_t ngx_pulse_anthropic_write_part(
    ngx_pulse_anthropic_out_t *out, const ngx_pulse_part_t *part);
static void ngx_pulse_anthropic_write_text(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_anthropic_write_image(
    ngx_pulse_anthropic_out_t *out, const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_anthropic_write_document(
    ngx_pulse_anthropic_out_t *out, const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_anthropic_write_plain(
    ngx_pulse_anthropic_out_t *out, const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_anthropic_write_reference(
    ngx_pulse_anthropic_out_t *out, const ngx_pulse_part_t *part);
static void ngx_pulse_anthropic_write_base64(ngx_pulse_anthropic_out_t *out,
    const char *type, const ngx_str_t *data);
static void ngx_pulse_anthropic_write_call(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_anthropic_write_result(
    ngx_pulse_anthropic_out_t *out, const ngx_pulse_part_t *part);
static void ngx_pulse_anthropic_write_thinking(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part);
static void ngx_pulse_anthropic_write_id(ngx_pulse_anthropic_out_t *out,
    const char *key, const ngx_str_t *id);
static ngx_int_t ngx_pulse_anthropic_input_value(void *ctx,
    ngx_pulse_json_event_t *ev);


static const char  *ngx_pulse_anthropic_images[] = {
    "image/jpeg", "image/png", "image/gif", "image/webp", NULL
};


ngx_int_t
ngx_pulse_anthropic_write_system(ngx_pulse_anthropic_out_t *out)
{
    ngx_uint_t               blocks, n;
    ngx_pulse_buf_t         *b, joined;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn;

    b = out->b;
    n = 0;
    blocks = 0;

    for (turn = out->cv->turns; turn != out->turns; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (part->type != NGX_PULSE_PART_TEXT) {
                return ngx_pulse_anthropic_refuse(out, part->at,
                                       "messages of the system are text only");
            }

            if (part->text.len) {
                n++;
                blocks |= (part->cache.len != 0 || part != turn->parts);
            }
        }
    }

    if (out->cv->format == NGX_PULSE_FORMAT_JSON) {
        n++;
        ngx_pulse_dropped_add(out->dropped, "response_format");
    }

    if (n == 0) {
        return NGX_OK;
    }

    /* several messages become one text, several parts stay what they are */

    ngx_pulse_buf_init(&joined, 0);
    ngx_pulse_json_key(b, "system");

    if (blocks) {
        ngx_pulse_buf_char(b, '[');
    }

    for (turn = out->cv->turns; turn != out->turns; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (part->text.len == 0) {
                continue;
            }

            if (blocks) {
                ngx_pulse_anthropic_write_text(out, part);
                continue;
            }

            if (joined.len) {
                ngx_pulse_buf_literal(&joined, "\n\n");
            }

            ngx_pulse_buf_str(&joined, &part->text);
        }
    }

    if (out->cv->format == NGX_PULSE_FORMAT_JSON) {

        if (joined.len) {
            ngx_pulse_buf_literal(&joined, "\n\n");
        }

        ngx_pulse_buf_literal(&joined,
                     "Answer with one JSON object and with nothing else.");

        if (blocks) {
            ngx_pulse_json_comma(b);
            ngx_pulse_buf_literal(b, "{\"type\":\"text\",\"text\":");
            ngx_pulse_buf_json(b, joined.data, joined.len);
            ngx_pulse_buf_char(b, '}');
        }
    }

    if (blocks) {
        ngx_pulse_buf_char(b, ']');

    } else if (joined.failed) {
        b->failed = 1;

    } else {
        ngx_pulse_buf_json(b, joined.data, joined.len);
    }

    ngx_pulse_buf_free(&joined);

    return NGX_OK;
}


ngx_int_t
ngx_pulse_anthropic_write_messages(ngx_pulse_anthropic_out_t *out)
{
    size_t                   mark;
    ngx_uint_t               role, next;
    const ngx_pulse_turn_t  *first, *turn;

    ngx_pulse_json_key(out->b, "messages");
    ngx_pulse_buf_char(out->b, '[');

    mark = out->b->len;

    for (first = out->turns; first; first = turn) {
        role = NGX_PULSE_ANTHROPIC_NOBODY;

        for (turn = first; turn; turn = turn->next) {
            next = ngx_pulse_anthropic_role(out, turn);

            if (next == NGX_PULSE_ANTHROPIC_NOBODY) {
                continue;
            }

            if (role != NGX_PULSE_ANTHROPIC_NOBODY && next != role) {
                break;
            }

            role = next;
        }

        /* a conversation starts with the user */

        if (out->b->len == mark && role == NGX_PULSE_ROLE_ASSISTANT) {
            ngx_pulse_buf_literal(out->b, "{\"role\":\"user\",\"content\":"
                                   "[{\"type\":\"text\",\"text\":\".\"}]}");
            ngx_pulse_dropped_add(out->dropped, "messages[0].role");
        }

        if (ngx_pulse_anthropic_write_group(out, first, turn, role)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_pulse_buf_char(out->b, ']');

    return NGX_OK;
}


static ngx_uint_t
ngx_pulse_anthropic_role(const ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_turn_t *turn)
{
    const ngx_pulse_part_t  *part;

    for (part = turn->parts;
         part && ngx_pulse_anthropic_empty(out, part);
         part = part->next)
    {
        /* void */
    }

    if (part == NULL) {
        return NGX_PULSE_ANTHROPIC_NOBODY;
    }

    if (turn->role == NGX_PULSE_ROLE_SYSTEM && !out->target->system_inside) {
        return NGX_PULSE_ROLE_USER;
    }

    return turn->role;
}


/* neighbors of one role are one message, in which results come first */

static ngx_int_t
ngx_pulse_anthropic_write_group(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_turn_t *first, const ngx_pulse_turn_t *end,
    ngx_uint_t role)
{
    ngx_int_t                rc;
    ngx_uint_t               results;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn;

    static const char  *names[] = { "system", "user", "assistant" };

    b = out->b;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "role", names[role]);
    ngx_pulse_json_key(b, "content");
    ngx_pulse_buf_char(b, '[');

    for (results = 1; ; results--) {

        for (turn = first; turn != end; turn = turn->next) {

            out->turn = turn;

            if (turn->name.len) {
                ngx_pulse_dropped_add(out->dropped, "name");
            }

            for (part = turn->parts; part; part = part->next) {

                if ((part->type == NGX_PULSE_PART_RESULT) != results) {
                    continue;
                }

                rc = ngx_pulse_anthropic_write_part(out, part);

                if (rc != NGX_OK) {
                    return rc;
                }
            }
        }

        if (results == 0) {
            break;
        }
    }

    ngx_pulse_buf_literal(b, "]}");

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_write_part(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    if (part->signature.len && part->type != NGX_PULSE_PART_THINKING) {
        ngx_pulse_dropped_add(out->dropped, "thought_signature");
    }

    switch (part->type) {

    case NGX_PULSE_PART_TEXT:
    case NGX_PULSE_PART_REFUSAL:
        ngx_pulse_anthropic_write_text(out, part);
        return NGX_OK;

    case NGX_PULSE_PART_IMAGE:
        return ngx_pulse_anthropic_write_image(out, part);

    case NGX_PULSE_PART_DOCUMENT:
        return ngx_pulse_anthropic_write_document(out, part);

    case NGX_PULSE_PART_AUDIO:
        return ngx_pulse_anthropic_refuse(out, part->at,
                                          "this model takes no audio");

    case NGX_PULSE_PART_CALL:
        ngx_pulse_anthropic_write_call(out, part);
        return NGX_OK;

    case NGX_PULSE_PART_RESULT:
        return ngx_pulse_anthropic_write_result(out, part);

    case NGX_PULSE_PART_THINKING:
    case NGX_PULSE_PART_REDACTED:
        ngx_pulse_anthropic_write_thinking(out, part);
        return NGX_OK;

    case NGX_PULSE_PART_RAW:

        if (out->cv->dialect != NGX_PULSE_DIALECT_ANTHROPIC) {

            /* what a model did is history, which goes on without it */

            if (out->turn->role == NGX_PULSE_ROLE_ASSISTANT) {
                ngx_pulse_dropped_name(out->dropped, &part->name);
                return NGX_OK;
            }

            return ngx_pulse_anthropic_refuse(out, part->at,
                        "a part of a message is of another provider only");
        }

        ngx_pulse_json_comma(out->b);
        ngx_pulse_buf_str(out->b, &part->data);
        return NGX_OK;
    }

    return NGX_OK;
}


static void
ngx_pulse_anthropic_write_text(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    u_char     ch;
    ngx_str_t  text;

    /* a blank text, or a last one that ends in blanks, is refused */

    if (ngx_pulse_anthropic_blank(&part->text)) {

        if (part->cache.len) {
            ngx_pulse_dropped_add(out->dropped, "cache_control");
        }

        return;
    }

    text = part->text;

    while (part == out->last) {
        ch = text.data[text.len - 1];

        if (ch != ' ' && ch != '\t' && ch != CR && ch != LF) {
            break;
        }

        text.len--;
    }

    ngx_pulse_json_comma(out->b);
    ngx_pulse_buf_char(out->b, '{');
    ngx_pulse_json_literal(out->b, "type", "text");
    ngx_pulse_json_string(out->b, "text", &text);
    ngx_pulse_anthropic_write_cache(out, &part->cache);
    ngx_pulse_buf_char(out->b, '}');
}


static ngx_int_t
ngx_pulse_anthropic_write_image(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    const char       **type;
    ngx_pulse_buf_t   *b;

    b = out->b;

    if (part->detail.len && !ngx_pulse_is(&part->detail, "auto")) {
        ngx_pulse_dropped_add(out->dropped, "detail");
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "image");

    if (part->data.len) {
        type = ngx_pulse_anthropic_images;

        if (!ngx_pulse_is(&part->media_type, "image/jpg")) {

            while (*type && !ngx_pulse_is(&part->media_type, *type)) {
                type++;
            }
        }

        if (*type == NULL) {
            return ngx_pulse_anthropic_refuse(out, part->at,
                       "this model takes images of jpeg, png, gif and webp");
        }

        ngx_pulse_anthropic_write_base64(out, *type, &part->data);

    } else if (ngx_pulse_anthropic_write_reference(out, part) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_anthropic_write_cache(out, &part->cache);
    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_write_document(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = out->b;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "document");

    if (ngx_pulse_is(&part->media_type, "text/plain")) {

        if (ngx_pulse_anthropic_write_plain(out, part) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (part->data.len) {

        if (!ngx_pulse_is(&part->media_type, "application/pdf")) {
            return ngx_pulse_anthropic_refuse(out, part->at,
                            "this model takes documents of PDF and text");
        }

        ngx_pulse_anthropic_write_base64(out, "application/pdf", &part->data);

    } else if (ngx_pulse_anthropic_write_reference(out, part) != NGX_OK) {
        return NGX_ERROR;
    }

    if (part->filename.len) {
        ngx_pulse_json_string(b, "title", &part->filename);
    }

    ngx_pulse_anthropic_write_cache(out, &part->cache);
    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_write_plain(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    int      n;
    u_char  *p;
    size_t   len;

    len = part->data.len;

    p = ngx_pnalloc(out->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    n = EVP_DecodeBlock(p, part->data.data, (int) len);

    /* it counts what padding stands for */

    while (n > 0 && len && part->data.data[len - 1] == '=') {
        n--;
        len--;
    }

    if (n <= 0 || ngx_pulse_utf8_check(p, n, NULL) != NGX_OK) {
        return ngx_pulse_anthropic_refuse(out, part->at,
                                      "a text document is not UTF-8 in base64");
    }

    ngx_pulse_json_key(out->b, "source");
    ngx_pulse_buf_literal(out->b, "{\"type\":\"text\","
                                  "\"media_type\":\"text/plain\",\"data\":");
    ngx_pulse_buf_json(out->b, p, n);
    ngx_pulse_buf_char(out->b, '}');

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_write_reference(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = out->b;

    if (part->url.len && out->target->https_images) {
        ngx_pulse_json_key(b, "source");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "type", "url");
        ngx_pulse_json_string(b, "url", &part->url);
        ngx_pulse_buf_char(b, '}');
        return NGX_OK;
    }

    if (part->url.len) {
        return ngx_pulse_anthropic_refuse(out, part->at,
                             "this model fetches no URL: send the data itself");
    }

    if (part->file_id.len
        && out->cv->dialect == NGX_PULSE_DIALECT_ANTHROPIC)
    {
        ngx_pulse_json_key(b, "source");
        ngx_pulse_buf_char(b, '{');
        ngx_pulse_json_literal(b, "type", "file");
        ngx_pulse_json_string(b, "file_id", &part->file_id);
        ngx_pulse_buf_char(b, '}');
        return NGX_OK;
    }

    return ngx_pulse_anthropic_refuse(out, part->at,
                               "a file is stored at another provider: send it");
}


static void
ngx_pulse_anthropic_write_base64(ngx_pulse_anthropic_out_t *out,
    const char *type, const ngx_str_t *data)
{
    ngx_pulse_json_key(out->b, "source");
    ngx_pulse_buf_char(out->b, '{');
    ngx_pulse_json_literal(out->b, "type", "base64");
    ngx_pulse_json_literal(out->b, "media_type", type);
    ngx_pulse_json_string(out->b, "data", data);
    ngx_pulse_buf_char(out->b, '}');
}


static void
ngx_pulse_anthropic_write_call(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    if (part->signature.len) {
        ngx_pulse_dropped_add(out->dropped, "thought_signature");
    }

    ngx_pulse_json_comma(out->b);
    ngx_pulse_buf_char(out->b, '{');
    ngx_pulse_json_literal(out->b, "type", "tool_use");
    ngx_pulse_anthropic_write_id(out, "id", &part->id);
    ngx_pulse_json_string(out->b, "name", &part->name);
    ngx_pulse_json_key(out->b, "input");

    if (part->custom) {
        ngx_pulse_buf_char(out->b, '{');
        ngx_pulse_json_string(out->b, "input", &part->arguments);
        ngx_pulse_buf_char(out->b, '}');

    } else {
        ngx_pulse_anthropic_input(&part->arguments, out->b);
    }

    ngx_pulse_anthropic_write_cache(out, &part->cache);
    ngx_pulse_buf_char(out->b, '}');
}


static ngx_int_t
ngx_pulse_anthropic_write_result(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    size_t                   mark, content;
    ngx_int_t                rc;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *inner;

    b = out->b;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", "tool_result");
    ngx_pulse_anthropic_write_id(out, "tool_use_id", &part->id);

    mark = b->len;

    ngx_pulse_json_key(b, "content");
    ngx_pulse_buf_char(b, '[');

    content = b->len;

    for (inner = part->content; inner; inner = inner->next) {

        rc = ngx_pulse_anthropic_write_part(out, inner);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (b->len == content && !b->failed) {
        b->len = mark;

    } else {
        ngx_pulse_buf_char(b, ']');
    }

    if (part->error) {
        ngx_pulse_json_key(b, "is_error");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_anthropic_write_cache(out, &part->cache);
    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


/* a signature is verified: what another provider signed is left out */

static void
ngx_pulse_anthropic_write_thinking(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    ngx_uint_t        redacted;
    const ngx_str_t  *opaque;

    redacted = (part->type == NGX_PULSE_PART_REDACTED);
    opaque = redacted ? &part->data : &part->signature;

    if (ngx_pulse_anthropic_foreign(opaque)) {
        ngx_pulse_dropped_add(out->dropped, "thinking");
        return;
    }

    ngx_pulse_json_comma(out->b);
    ngx_pulse_buf_char(out->b, '{');

    if (redacted) {
        ngx_pulse_json_literal(out->b, "type", "redacted_thinking");
        ngx_pulse_json_string(out->b, "data", opaque);

    } else {
        ngx_pulse_json_literal(out->b, "type", "thinking");
        ngx_pulse_json_string(out->b, "thinking", &part->text);
        ngx_pulse_json_string(out->b, "signature", opaque);
    }

    ngx_pulse_buf_char(out->b, '}');
}


/* calls and results alike, so that they still meet */

static void
ngx_pulse_anthropic_write_id(ngx_pulse_anthropic_out_t *out, const char *key,
    const ngx_str_t *id)
{
    u_char   ch;
    size_t   i;

    ngx_pulse_json_key(out->b, key);
    ngx_pulse_buf_char(out->b, '"');

    if (id->len == 0) {
        ngx_pulse_buf_char(out->b, '_');
    }

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-'))
        {
            ch = '_';
        }

        ngx_pulse_buf_char(out->b, ch);
    }

    ngx_pulse_buf_char(out->b, '"');
}


void
ngx_pulse_anthropic_write_cache(ngx_pulse_anthropic_out_t *out,
    const ngx_str_t *cache)
{
    if (cache->len == 0) {
        return;
    }

    /* of too many the last ones cover what those before them do */

    if (out->markers) {
        out->markers--;
        ngx_pulse_dropped_add(out->dropped, "cache_control");
        return;
    }

    ngx_pulse_json_key(out->b, "cache_control");
    ngx_pulse_buf_literal(out->b, "{\"type\":\"ephemeral\"");

    if (!ngx_pulse_is(cache, "5m")) {
        ngx_pulse_json_literal(out->b, "ttl", "1h");
    }

    ngx_pulse_buf_char(out->b, '}');
}


ngx_int_t
ngx_pulse_anthropic_refuse(ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_json_value_t *at, const char *reason)
{
    (void) ngx_pulse_refuse(out->refusal, at, NULL, reason);

    return NGX_ERROR;
}


ngx_uint_t
ngx_pulse_anthropic_blank(const ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] > ' ') {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_pulse_anthropic_empty(const ngx_pulse_anthropic_out_t *out,
    const ngx_pulse_part_t *part)
{
    switch (part->type) {

    case NGX_PULSE_PART_TEXT:
    case NGX_PULSE_PART_REFUSAL:
        return ngx_pulse_anthropic_blank(&part->text);

    case NGX_PULSE_PART_THINKING:
        return ngx_pulse_anthropic_foreign(&part->signature);

    case NGX_PULSE_PART_REDACTED:
        return ngx_pulse_anthropic_foreign(&part->data);

    case NGX_PULSE_PART_RAW:
        return out->cv->dialect != NGX_PULSE_DIALECT_ANTHROPIC;

    default:
        return 0;
    }
}


/* none at all, or one by another's hand: OpenAI's are Fernet tokens */

ngx_uint_t
ngx_pulse_anthropic_foreign(const ngx_str_t *opaque)
{
    return opaque->len == 0
           || (opaque->len > 5 && ngx_memcmp(opaque->data, "gAAAA", 5) == 0);
}


void
ngx_pulse_anthropic_input(const ngx_str_t *arguments, ngx_pulse_buf_t *b)
{
    ngx_uint_t               i;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    if (ngx_pulse_anthropic_blank(arguments)) {
        ngx_pulse_buf_literal(b, "{}");
        return;
    }

    for (i = 0; arguments->data[i] <= ' '; i++) { /* void */ }

    limits.size = arguments->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH - 16;
    limits.values = arguments->len;
    limits.keys = arguments->len;

    if (arguments->data[i] == '{'
        && ngx_pulse_json_read(arguments->data, arguments->len, &limits,
                               ngx_pulse_anthropic_input_value, NULL, &err)
           == NGX_OK)
    {
        ngx_pulse_buf_str(b, arguments);
        return;
    }

    ngx_pulse_buf_literal(b, "{\"INVALID_JSON\":");
    ngx_pulse_buf_json(b, arguments->data, arguments->len);
    ngx_pulse_buf_char(b, '}');
}


static ngx_int_t
ngx_pulse_anthropic_input_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    return NGX_OK;
}
