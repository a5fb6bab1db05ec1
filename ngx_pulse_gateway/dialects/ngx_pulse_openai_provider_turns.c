
#include "ngx_pulse_openai.h"

#include <openssl/sha.h>
#include <string.h>


#define NGX_PULSE_OPENAI_ID_MAX  40     /* of a call, in a request */


static ngx_int_t ngx_pulse_openai_put_system(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_put_user(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_put_result(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_openai_put_attached(
    ngx_pulse_openai_provider_t *pr, const ngx_pulse_part_t *result,
    ngx_uint_t *n);
static ngx_int_t ngx_pulse_openai_put_assistant(
    ngx_pulse_openai_provider_t *pr, const ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_put_thinking(
    ngx_pulse_openai_provider_t *pr, const ngx_pulse_turn_t *turn);
static void ngx_pulse_openai_put_call(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);
static void ngx_pulse_openai_put_call_id(ngx_pulse_openai_provider_t *pr,
    const char *key, const ngx_str_t *id);
static ngx_int_t ngx_pulse_openai_join_parts(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part, ngx_pulse_part_e type,
    const char *separator, ngx_str_t *text);


ngx_int_t
ngx_pulse_openai_put_turn(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn)
{
    const ngx_pulse_part_t  *part;

    for (part = turn->parts; part; part = part->next) {

        if (part->cache.len) {
            ngx_pulse_dropped_add(pr->dropped, "cache_control");
        }

        if (part->type == NGX_PULSE_PART_RAW) {

            /* a model's own is history, which goes on without it */

            if (turn->role != NGX_PULSE_ROLE_ASSISTANT) {
                return ngx_pulse_openai_put_refuse(pr, part->at,
                                "only the vendor of the request's format "
                                "understands this");
            }

            ngx_pulse_dropped_name(pr->dropped, &part->name);
        }

        if (part->signature.len && part->type != NGX_PULSE_PART_THINKING) {
            ngx_pulse_dropped_add(pr->dropped, "thought_signature");
        }
    }

    switch (turn->role) {

    case NGX_PULSE_ROLE_SYSTEM:
        return ngx_pulse_openai_put_system(pr, turn);

    case NGX_PULSE_ROLE_USER:
        return ngx_pulse_openai_put_user(pr, turn);

    default: /* NGX_PULSE_ROLE_ASSISTANT */
        return ngx_pulse_openai_put_assistant(pr, turn);
    }
}


static ngx_int_t
ngx_pulse_openai_put_system(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn)
{
    ngx_str_t        text;
    ngx_pulse_buf_t *b;

    b = pr->b;

    if (ngx_pulse_openai_join_parts(pr, turn->parts, NGX_PULSE_PART_TEXT,
                                    "\n\n", &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"role\":\"system\"");
    ngx_pulse_json_string(b, "content", &text);

    if (turn->name.len) {
        ngx_pulse_json_string(b, "name", &turn->name);
    }

    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


/* results must come right after the calls: before all else of the turn */

static ngx_int_t
ngx_pulse_openai_put_user(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn)
{
    size_t                   start;
    ngx_int_t                rc;
    ngx_uint_t               n, results;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *part;

    b = pr->b;
    rc = NGX_OK;
    n = 0;
    results = 0;

    for (part = turn->parts; part && rc == NGX_OK; part = part->next) {
        if (part->type == NGX_PULSE_PART_RESULT) {
            rc = ngx_pulse_openai_put_result(pr, part);
            results++;
        }
    }

    start = b->len;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"role\":\"user\"");

    if (turn->name.len) {
        ngx_pulse_json_string(b, "name", &turn->name);
    }

    ngx_pulse_json_key(b, "content");

    part = turn->parts;

    if (part && part->next == NULL && part->type == NGX_PULSE_PART_TEXT) {
        ngx_pulse_buf_json(b, part->text.data, part->text.len);
        ngx_pulse_buf_char(b, '}');
        return rc;
    }

    ngx_pulse_buf_char(b, '[');

    for ( /* void */ ; part && rc == NGX_OK; part = part->next) {

        switch (part->type) {

        case NGX_PULSE_PART_RAW:
            break;

        case NGX_PULSE_PART_RESULT:
            rc = ngx_pulse_openai_put_attached(pr, part, &n);
            break;

        default:
            rc = ngx_pulse_openai_put_part(pr, part);
            n++;
        }
    }

    if (n == 0) {

        /* it was nothing but results, or an empty text */

        b->len = start;

        if (results == 0) {
            ngx_pulse_json_comma(b);
            ngx_pulse_buf_literal(b, "{\"role\":\"user\",\"content\":\"\"}");
        }

        return rc;
    }

    ngx_pulse_buf_literal(b, "]}");

    return rc;
}


static ngx_int_t
ngx_pulse_openai_put_result(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part)
{
    ngx_str_t         text;
    ngx_pulse_buf_t  *b;

    b = pr->b;

    if (part->error) {
        ngx_pulse_dropped_add(pr->dropped, "is_error");
    }

    if (ngx_pulse_openai_join_parts(pr, part->content, NGX_PULSE_PART_TEXT,
                                    "\n\n", &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"role\":\"tool\"");
    ngx_pulse_openai_put_call_id(pr, "tool_call_id", &part->id);
    ngx_pulse_json_string(b, "content", &text);
    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


/* messages of tools have no room for more than text */

static ngx_int_t
ngx_pulse_openai_put_attached(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *result, ngx_uint_t *n)
{
    ngx_int_t                rc;
    ngx_uint_t               told;
    ngx_pulse_buf_t         *b, label;
    const ngx_pulse_part_t  *part;

    b = pr->b;
    told = 0;

    for (part = result->content; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_TEXT) {
            continue;
        }

        if (part->type == NGX_PULSE_PART_RAW) {
            ngx_pulse_dropped_name(pr->dropped, &part->name);
            continue;
        }

        if (!told) {
            told = 1;

            ngx_pulse_buf_init(&label, 0);
            ngx_pulse_buf_literal(&label, "From the result of ");
            ngx_pulse_buf_str(&label, &result->id);
            ngx_pulse_buf_char(&label, ':');

            ngx_pulse_json_comma(b);
            ngx_pulse_buf_literal(b, "{\"type\":\"text\",\"text\":");
            ngx_pulse_buf_json(b, label.data, label.len);
            ngx_pulse_buf_char(b, '}');

            rc = label.failed ? NGX_ERROR : NGX_OK;

            ngx_pulse_buf_free(&label);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        rc = ngx_pulse_openai_put_part(pr, part);

        if (rc != NGX_OK) {
            return rc;
        }

        (*n)++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_assistant(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn)
{
    ngx_str_t                text, refusal;
    ngx_uint_t               calls, others, said;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *part;

    b = pr->b;
    calls = 0;
    others = 0;
    said = (turn->parts == NULL);

    for (part = turn->parts; part; part = part->next) {
        calls += (part->type == NGX_PULSE_PART_CALL);

        said |= (part->type == NGX_PULSE_PART_TEXT
                 || part->type == NGX_PULSE_PART_REFUSAL
                 || part->type == NGX_PULSE_PART_CALL
                 || (part->type == NGX_PULSE_PART_THINKING && part->text.len
                     && pr->target->reasoning_content));

        others |= (part->type == NGX_PULSE_PART_THINKING
                   || part->type == NGX_PULSE_PART_REDACTED);
    }

    /* a turn of nothing but what this model is not told */

    if (!said) {

        if (others) {
            ngx_pulse_dropped_add(pr->dropped, "thinking");
        }

        return NGX_OK;
    }

    if (ngx_pulse_openai_join_parts(pr, turn->parts, NGX_PULSE_PART_TEXT, "",
                                    &text)
        != NGX_OK
        || ngx_pulse_openai_join_parts(pr, turn->parts,
                                       NGX_PULSE_PART_REFUSAL, "", &refusal)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"role\":\"assistant\"");

    if (turn->name.len) {
        ngx_pulse_json_string(b, "name", &turn->name);
    }

    if (text.len == 0 && (calls || refusal.len)) {
        ngx_pulse_json_key(b, "content");
        ngx_pulse_buf_literal(b, "null");

    } else {
        ngx_pulse_json_string(b, "content", &text);
    }

    if (refusal.len) {
        ngx_pulse_json_string(b, "refusal", &refusal);
    }

    if (ngx_pulse_openai_put_thinking(pr, turn) != NGX_OK) {
        return NGX_ERROR;
    }

    if (calls) {
        ngx_pulse_json_key(b, "tool_calls");
        ngx_pulse_buf_char(b, '[');

        for (part = turn->parts; part; part = part->next) {
            if (part->type == NGX_PULSE_PART_CALL) {
                ngx_pulse_openai_put_call(pr, part);
            }
        }

        ngx_pulse_buf_char(b, ']');
    }

    ngx_pulse_buf_char(b, '}');

    return NGX_OK;
}


/* some vendors want it back between calls; no one can be given a signature */

static ngx_int_t
ngx_pulse_openai_put_thinking(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn)
{
    ngx_str_t                text;
    const ngx_pulse_part_t  *part;

    for (part = turn->parts; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_REDACTED
            || (part->type == NGX_PULSE_PART_THINKING
                && !pr->target->reasoning_content))
        {
            ngx_pulse_dropped_add(pr->dropped, "thinking");
        }
    }

    if (!pr->target->reasoning_content) {
        return NGX_OK;
    }

    if (ngx_pulse_openai_join_parts(pr, turn->parts, NGX_PULSE_PART_THINKING,
                                    "", &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (text.len) {
        ngx_pulse_json_string(pr->b, "reasoning_content", &text);
    }

    return NGX_OK;
}


static void
ngx_pulse_openai_put_call(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_openai_put_call_id(pr, "id", &part->id);

    ngx_pulse_json_literal(b, "type", part->custom ? "custom" : "function");
    ngx_pulse_json_key(b, part->custom ? "custom" : "function");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "name", &part->name);
    ngx_pulse_json_string(b, part->custom ? "input" : "arguments",
                          &part->arguments);
    ngx_pulse_buf_literal(b, "}}");
}


/* an id that is too long is given the same short one wherever it is */

static void
ngx_pulse_openai_put_call_id(ngx_pulse_openai_provider_t *pr, const char *key,
    const ngx_str_t *id)
{
    u_char      text[NGX_PULSE_OPENAI_ID_MAX], hash[SHA256_DIGEST_LENGTH];
    ngx_str_t   short_id;
    ngx_uint_t  i;

    static const u_char  hex[] = "0123456789abcdef";

    if (id->len <= NGX_PULSE_OPENAI_ID_MAX) {
        ngx_pulse_json_string(pr->b, key, id);
        return;
    }

    (void) SHA256(id->data, id->len, hash);

    ngx_memcpy(text, "call_", 5);

    for (i = 0; i < 16; i++) {
        text[5 + 2 * i] = hex[hash[i] >> 4];
        text[6 + 2 * i] = hex[hash[i] & 0x0f];
    }

    short_id.data = text;
    short_id.len = 5 + 32;

    ngx_pulse_json_string(pr->b, key, &short_id);
}


static ngx_int_t
ngx_pulse_openai_join_parts(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part, ngx_pulse_part_e type,
    const char *separator, ngx_str_t *text)
{
    size_t                   len;
    u_char                  *p;
    ngx_uint_t               n;
    const ngx_pulse_part_t  *one, *last;

    ngx_str_null(text);

    len = 0;
    n = 0;
    last = NULL;

    for (one = part; one; one = one->next) {
        if (one->type == type && one->text.len) {
            len += one->text.len + strlen(separator);
            last = one;
            n++;
        }
    }

    if (n < 2) {
        if (last) {
            *text = last->text;
        }

        return NGX_OK;
    }

    p = ngx_pnalloc(pr->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (one = part; one; one = one->next) {
        if (one->type == type && one->text.len) {
            p = ngx_cpymem(p, one->text.data, one->text.len);

            if (one != last) {
                p = ngx_cpymem(p, separator, strlen(separator));
            }
        }
    }

    text->len = p - text->data;

    return NGX_OK;
}
