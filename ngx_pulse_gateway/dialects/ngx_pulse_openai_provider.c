
#include "ngx_pulse_openai.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>


#define NGX_PULSE_OPENAI_STOPS      4
#define NGX_PULSE_OPENAI_ID_MAX     40      /* of a call, in a request */

/* budgets of thinking tokens, up to which an effort is the nearest */

#define NGX_PULSE_OPENAI_LOW        2048
#define NGX_PULSE_OPENAI_MEDIUM     8192


typedef struct {
    const ngx_pulse_conversation_t  *cv;
    const ngx_pulse_target_t        *target;
    ngx_pool_t                      *pool;
    ngx_pulse_dropped_t             *dropped;
    ngx_pulse_chat_refusal_t        *refusal;
    ngx_pulse_buf_t                 *b;
} ngx_pulse_openai_provider_t;


static ngx_int_t ngx_pulse_openai_put_turn(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn);
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
static ngx_int_t ngx_pulse_openai_put_part(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_openai_put_image(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_openai_put_audio(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_openai_put_document(
    ngx_pulse_openai_provider_t *pr, const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_openai_put_plain(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_openai_put_data(ngx_pulse_openai_provider_t *pr,
    const char *key, const ngx_pulse_part_t *part);
static ngx_uint_t ngx_pulse_openai_safe(const ngx_str_t *s,
    const char *others);
static ngx_int_t ngx_pulse_openai_join_parts(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part, ngx_pulse_part_e type,
    const char *separator, ngx_str_t *text);

static ngx_int_t ngx_pulse_openai_put_tools(ngx_pulse_openai_provider_t *pr);
static ngx_int_t ngx_pulse_openai_put_tool(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool);
static ngx_int_t ngx_pulse_openai_put_custom(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool);
static void ngx_pulse_openai_put_choice(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_named(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_format(ngx_pulse_openai_provider_t *pr);
static ngx_int_t ngx_pulse_openai_put_sampling(
    ngx_pulse_openai_provider_t *pr);
static ngx_int_t ngx_pulse_openai_put_stops(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_effort(ngx_pulse_openai_provider_t *pr);
static void ngx_pulse_openai_put_limits(ngx_pulse_openai_provider_t *pr);

static void ngx_pulse_openai_drop(ngx_pulse_openai_provider_t *pr,
    const ngx_str_t *name);
static ngx_int_t ngx_pulse_openai_put_refuse(ngx_pulse_openai_provider_t *pr,
    const char *reason);


/* in the order of NGX_PULSE_EFFORT_* */

static const char  *ngx_pulse_openai_effort_names[] = {
    NULL, "none", "minimal", "low", "medium", "high", "xhigh", "max"
};


ngx_int_t
ngx_pulse_openai_provide(const ngx_pulse_conversation_t *cv,
    const ngx_pulse_target_t *target, ngx_pool_t *pool,
    ngx_pulse_dropped_t *dropped, ngx_pulse_chat_refusal_t *refusal,
    ngx_pulse_buf_t *b)
{
    ngx_int_t                     rc;
    const ngx_pulse_turn_t       *turn;
    ngx_pulse_openai_provider_t   pr;

    pr.cv = cv;
    pr.target = target;
    pr.pool = pool;
    pr.dropped = dropped;
    pr.refusal = refusal;
    pr.b = b;

    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "model", &target->model);

    ngx_pulse_json_key(b, "messages");
    ngx_pulse_buf_char(b, '[');

    for (turn = cv->turns; turn; turn = turn->next) {
        rc = ngx_pulse_openai_put_turn(&pr, turn);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_pulse_buf_char(b, ']');

    /* elsewhere a last turn of the model's is the start of its answer */

    if (cv->last && cv->last->role == NGX_PULSE_ROLE_ASSISTANT
        && cv->dialect != NGX_PULSE_DIALECT_OPENAI && !target->prefill)
    {
        ngx_pulse_dropped_add(dropped, "prefill");
    }

    if (cv->cache.len) {
        ngx_pulse_dropped_add(dropped, "cache_control");
    }

    rc = ngx_pulse_openai_put_tools(&pr);

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_put_sampling(&pr);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_put_stops(&pr);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_pulse_openai_put_format(&pr);
    ngx_pulse_openai_put_effort(&pr);
    ngx_pulse_openai_put_limits(&pr);

    ngx_pulse_buf_char(b, '}');

    return b->failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_turn(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_turn_t *turn)
{
    const ngx_pulse_part_t  *part;

    for (part = turn->parts; part; part = part->next) {

        if (part->cache.len) {
            ngx_pulse_dropped_add(pr->dropped, "cache_control");
        }

        if (part->type == NGX_PULSE_PART_RAW) {
            ngx_pulse_openai_drop(pr, &part->name);
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
            ngx_pulse_openai_drop(pr, &part->name);
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
    ngx_uint_t               calls;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_part_t  *part;

    b = pr->b;
    calls = 0;

    for (part = turn->parts; part; part = part->next) {
        calls += (part->type == NGX_PULSE_PART_CALL);
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
ngx_pulse_openai_put_part(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    switch (part->type) {

    case NGX_PULSE_PART_TEXT:
        ngx_pulse_json_comma(b);
        ngx_pulse_buf_literal(b, "{\"type\":\"text\"");
        ngx_pulse_json_string(b, "text", &part->text);
        ngx_pulse_buf_char(b, '}');
        return NGX_OK;

    case NGX_PULSE_PART_IMAGE:
        return ngx_pulse_openai_put_image(pr, part);

    case NGX_PULSE_PART_AUDIO:
        return ngx_pulse_openai_put_audio(pr, part);

    case NGX_PULSE_PART_DOCUMENT:
        return ngx_pulse_openai_put_document(pr, part);

    default:
        return ngx_pulse_openai_put_refuse(pr,
                     "has content that this model cannot be sent by a user");
    }
}


static ngx_int_t
ngx_pulse_openai_put_image(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    if (part->file_id.len) {
        return ngx_pulse_openai_put_refuse(pr,
                   "has an image by file id, which this model does not take");
    }

    if (part->url.len && !pr->target->https_images) {
        return ngx_pulse_openai_put_refuse(pr,
                       "has an image by URL, which this model does not fetch: "
                       "send its data");
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"image_url\",\"image_url\":{");

    if (part->url.len) {
        ngx_pulse_json_string(b, "url", &part->url);

    } else if (ngx_pulse_openai_put_data(pr, "url", part) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (part->detail.len) {
        ngx_pulse_json_string(b, "detail", &part->detail);
    }

    ngx_pulse_buf_literal(b, "}}");

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_audio(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part)
{
    const char       *format;
    ngx_pulse_buf_t  *b;

    b = pr->b;

    if (ngx_pulse_is(&part->media_type, "audio/wav")
        || ngx_pulse_is(&part->media_type, "audio/x-wav")
        || ngx_pulse_is(&part->media_type, "audio/wave"))
    {
        format = "wav";

    } else if (ngx_pulse_is(&part->media_type, "audio/mp3")
               || ngx_pulse_is(&part->media_type, "audio/mpeg"))
    {
        format = "mp3";

    } else {
        format = NULL;
    }

    if (format == NULL || part->data.len == 0) {
        return ngx_pulse_openai_put_refuse(pr,
                   "has audio that is not the data of WAV or MP3, which is "
                   "all that this model hears");
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"input_audio\",\"input_audio\":{");
    ngx_pulse_json_string(b, "data", &part->data);
    ngx_pulse_json_literal(b, "format", format);
    ngx_pulse_buf_literal(b, "}}");

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_document(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    static const ngx_str_t  unnamed = ngx_string("document.pdf");

    b = pr->b;

    if (part->file_id.len
        && pr->cv->dialect != NGX_PULSE_DIALECT_OPENAI
        && pr->cv->dialect != NGX_PULSE_DIALECT_RESPONSES)
    {
        return ngx_pulse_openai_put_refuse(pr,
                   "has a document by its id at another provider");
    }

    if (part->url.len) {
        return ngx_pulse_openai_put_refuse(pr,
                       "has a document by URL, which this model does not "
                       "fetch: send its data");
    }

    if (part->media_type.len > 5
        && ngx_strncmp(part->media_type.data, "text/", 5) == 0)
    {
        return ngx_pulse_openai_put_plain(pr, part);
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"file\",\"file\":{");

    if (part->file_id.len) {
        ngx_pulse_json_string(b, "file_id", &part->file_id);

    } else {
        ngx_pulse_json_string(b, "filename", part->filename.len
                                             ? &part->filename : &unnamed);

        if (ngx_pulse_openai_put_data(pr, "file_data", part) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    ngx_pulse_buf_literal(b, "}}");

    return NGX_OK;
}


/* plain text is no file here: what it says is put into the message */

static ngx_int_t
ngx_pulse_openai_put_plain(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_part_t *part)
{
    int                n;
    size_t             len, pad;
    u_char            *p, *last;
    ngx_pulse_part_t   text;

    len = part->data.len;

    for (pad = 0; pad < 2 && pad < len; pad++) {
        if (part->data.data[len - pad - 1] != '=') {
            break;
        }
    }

    p = ngx_pnalloc(pr->pool, part->filename.len + 2 + len / 4 * 3 + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&text, sizeof(ngx_pulse_part_t));
    text.type = NGX_PULSE_PART_TEXT;
    text.text.data = p;

    if (part->filename.len) {
        p = ngx_cpymem(p, part->filename.data, part->filename.len);
        *p++ = '\n';
        *p++ = '\n';
    }

    n = (len % 4 == 0) ? EVP_DecodeBlock(p, part->data.data, (int) len) : -1;
    last = p + n - pad;

    if (n < (int) pad || ngx_pulse_utf8_check(p, last - p, NULL) != NGX_OK) {
        return ngx_pulse_openai_put_refuse(pr,
                          "has a text document that is not base64 of UTF-8");
    }

    text.text.len = last - text.text.data;

    return ngx_pulse_openai_put_part(pr, &text);
}


/* "data:TYPE;base64,DATA" as a member, without a copy of the data */

static ngx_int_t
ngx_pulse_openai_put_data(ngx_pulse_openai_provider_t *pr, const char *key,
    const ngx_pulse_part_t *part)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    if (part->media_type.len == 0
        || !ngx_pulse_openai_safe(&part->media_type, "/+-."))
    {
        return ngx_pulse_openai_put_refuse(pr,
                                    "has a file whose type is not a MIME one");
    }

    if (part->data.len == 0 || !ngx_pulse_openai_safe(&part->data, "+/=")) {
        return ngx_pulse_openai_put_refuse(pr,
                                   "has a file whose data is not base64");
    }

    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_literal(b, "\"data:");
    ngx_pulse_buf_str(b, &part->media_type);
    ngx_pulse_buf_literal(b, ";base64,");
    ngx_pulse_buf_str(b, &part->data);
    ngx_pulse_buf_char(b, '"');

    return NGX_OK;
}


static ngx_uint_t
ngx_pulse_openai_safe(const ngx_str_t *s, const char *others)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < s->len; i++) {
        ch = s->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || (ch && strchr(others, ch)))
        {
            continue;
        }

        return 0;
    }

    return 1;
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


static ngx_int_t
ngx_pulse_openai_put_tools(ngx_pulse_openai_provider_t *pr)
{
    size_t                           start, empty;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_tool_t          *tool;
    const ngx_pulse_conversation_t  *cv;

    b = pr->b;
    cv = pr->cv;
    start = b->len;

    ngx_pulse_json_key(b, "tools");
    ngx_pulse_buf_char(b, '[');

    empty = b->len;

    for (tool = cv->tools; tool; tool = tool->next) {
        if (ngx_pulse_openai_put_tool(pr, tool) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (b->len == empty) {
        b->len = start;

        if (cv->choice == NGX_PULSE_CHOICE_ANY
            || cv->choice == NGX_PULSE_CHOICE_NAMED)
        {
            return ngx_pulse_openai_put_refuse(pr,
                          "forces a call, but this model has none of the "
                          "tools");
        }

        return NGX_OK;
    }

    ngx_pulse_buf_char(b, ']');

    ngx_pulse_openai_put_choice(pr);

    if (cv->no_parallel) {
        ngx_pulse_json_key(b, "parallel_tool_calls");
        ngx_pulse_buf_literal(b, "false");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_tool(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    if (tool->cache.len) {
        ngx_pulse_dropped_add(pr->dropped, "cache_control");
    }

    if (tool->raw.len) {

        if (tool->dialect == NGX_PULSE_DIALECT_OPENAI) {
            ngx_pulse_json_comma(b);
            ngx_pulse_buf_str(b, &tool->raw);

        } else {
            ngx_pulse_openai_drop(pr, &tool->name);
        }

        return NGX_OK;
    }

    if (tool->custom) {
        return ngx_pulse_openai_put_custom(pr, tool);
    }

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"function\",\"function\":{");
    ngx_pulse_json_string(b, "name", &tool->name);

    if (tool->description.len) {
        ngx_pulse_json_string(b, "description", &tool->description);
    }

    if (tool->parameters.len) {
        ngx_pulse_json_raw(b, "parameters", &tool->parameters);
    }

    if (tool->strict) {
        ngx_pulse_json_key(b, "strict");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_buf_literal(b, "}}");

    return NGX_OK;
}


/* a grammar is kept flat, as Responses has it: here it is wrapped */

static ngx_int_t
ngx_pulse_openai_put_custom(ngx_pulse_openai_provider_t *pr,
    const ngx_pulse_tool_t *tool)
{
    ngx_str_t                raw;
    ngx_pulse_buf_t         *b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *format, *syntax, *definition;

    b = pr->b;
    format = NULL;

    ngx_pulse_json_comma(b);
    ngx_pulse_buf_literal(b, "{\"type\":\"custom\",\"custom\":{");
    ngx_pulse_json_string(b, "name", &tool->name);

    if (tool->description.len) {
        ngx_pulse_json_string(b, "description", &tool->description);
    }

    if (tool->parameters.len) {
        format = ngx_pulse_json_tree(pr->pool, tool->parameters.data,
                                     tool->parameters.len, NULL, &err);
        if (format == NULL) {
            return NGX_ERROR;
        }
    }

    syntax = ngx_pulse_member(format, "syntax");
    definition = ngx_pulse_member(format, "definition");

    if (syntax && definition) {
        ngx_pulse_json_key(b, "format");
        ngx_pulse_buf_literal(b, "{\"type\":\"grammar\",\"grammar\":{");

        raw = ngx_pulse_raw(&tool->parameters, definition);
        ngx_pulse_json_raw(b, "definition", &raw);

        raw = ngx_pulse_raw(&tool->parameters, syntax);
        ngx_pulse_json_raw(b, "syntax", &raw);

        ngx_pulse_buf_literal(b, "}}");
    }

    ngx_pulse_buf_literal(b, "}}");

    return NGX_OK;
}


static void
ngx_pulse_openai_put_choice(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t        choice;
    ngx_pulse_buf_t  *b;

    b = pr->b;
    choice = pr->cv->choice;

    if (!pr->target->forced_choice
        && (choice == NGX_PULSE_CHOICE_ANY
            || choice == NGX_PULSE_CHOICE_NAMED))
    {
        ngx_pulse_dropped_add(pr->dropped, "tool_choice");
        choice = NGX_PULSE_CHOICE_AUTO;
    }

    switch (choice) {

    case NGX_PULSE_CHOICE_AUTO:
        ngx_pulse_json_literal(b, "tool_choice", "auto");
        break;

    case NGX_PULSE_CHOICE_NONE:
        ngx_pulse_json_literal(b, "tool_choice", "none");
        break;

    case NGX_PULSE_CHOICE_ANY:
        ngx_pulse_json_literal(b, "tool_choice", "required");
        break;

    case NGX_PULSE_CHOICE_NAMED:
        ngx_pulse_openai_put_named(pr);
        break;
    }
}


static void
ngx_pulse_openai_put_named(ngx_pulse_openai_provider_t *pr)
{
    const char              *type;
    const ngx_str_t         *name;
    ngx_pulse_buf_t         *b;
    const ngx_pulse_tool_t  *tool;

    b = pr->b;
    name = &pr->cv->choice_name;
    type = "function";

    for (tool = pr->cv->tools; tool; tool = tool->next) {

        if (tool->custom && tool->name.len == name->len
            && ngx_memcmp(tool->name.data, name->data, name->len) == 0)
        {
            type = "custom";
        }
    }

    ngx_pulse_json_key(b, "tool_choice");
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_literal(b, "type", type);
    ngx_pulse_json_key(b, type);
    ngx_pulse_buf_char(b, '{');
    ngx_pulse_json_string(b, "name", name);
    ngx_pulse_buf_literal(b, "}}");
}


static ngx_int_t
ngx_pulse_openai_put_sampling(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t                       i;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    b = pr->b;
    cv = pr->cv;

    struct {
        const char       *name;
        const ngx_str_t  *number;
    } members[] = {
        { "temperature", &cv->temperature },
        { "top_p", &cv->top_p },
        { "presence_penalty", &cv->presence_penalty },
        { "frequency_penalty", &cv->frequency_penalty },
        { NULL, NULL }
    };

    for (i = 0; members[i].name; i++) {

        if (members[i].number->len == 0) {
            continue;
        }

        if (pr->target->sampling) {
            ngx_pulse_json_raw(b, members[i].name, members[i].number);

        } else {
            ngx_pulse_dropped_add(pr->dropped, members[i].name);
        }
    }

    if (cv->top_k.len) {
        ngx_pulse_dropped_add(pr->dropped, "top_k");
    }

    if (cv->seed.len) {
        ngx_pulse_json_raw(b, "seed", &cv->seed);
    }

    if (cv->n > 1) {
        ngx_pulse_json_number(b, "n", cv->n);
    }

    if (cv->user.len) {
        ngx_pulse_json_string(b, "user", &cv->user);
    }

    if (cv->verbosity.len) {
        ngx_pulse_json_string(b, "verbosity", &cv->verbosity);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_put_stops(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t                       i;
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    b = pr->b;
    cv = pr->cv;

    if (cv->nstops == 0) {
        return NGX_OK;
    }

    if (cv->nstops > NGX_PULSE_OPENAI_STOPS) {
        return ngx_pulse_openai_put_refuse(pr,
                    "has more than the 4 stop sequences that this model takes");
    }

    ngx_pulse_json_key(b, "stop");
    ngx_pulse_buf_char(b, '[');

    for (i = 0; i < cv->nstops; i++) {
        ngx_pulse_json_comma(b);
        ngx_pulse_buf_json(b, cv->stops[i].data, cv->stops[i].len);
    }

    ngx_pulse_buf_char(b, ']');

    return NGX_OK;
}


static void
ngx_pulse_openai_put_format(ngx_pulse_openai_provider_t *pr)
{
    ngx_pulse_buf_t                 *b;
    const ngx_pulse_conversation_t  *cv;

    static const ngx_str_t  unnamed = ngx_string("answer");

    b = pr->b;
    cv = pr->cv;

    if (cv->format == NGX_PULSE_FORMAT_TEXT) {
        return;
    }

    ngx_pulse_json_key(b, "response_format");

    if (cv->format == NGX_PULSE_FORMAT_JSON) {
        ngx_pulse_buf_literal(b, "{\"type\":\"json_object\"}");
        return;
    }

    ngx_pulse_buf_literal(b, "{\"type\":\"json_schema\",\"json_schema\":{");
    ngx_pulse_json_string(b, "name", cv->format_name.len ? &cv->format_name
                                                         : &unnamed);
    ngx_pulse_json_raw(b, "schema", &cv->format_schema);

    if (cv->format_strict) {
        ngx_pulse_json_key(b, "strict");
        ngx_pulse_buf_literal(b, "true");
    }

    ngx_pulse_buf_literal(b, "}}");
}


static void
ngx_pulse_openai_put_effort(ngx_pulse_openai_provider_t *pr)
{
    ngx_uint_t                       effort;
    const ngx_pulse_conversation_t  *cv;

    cv = pr->cv;
    effort = cv->effort;

    if (cv->budget && effort == NGX_PULSE_EFFORT_UNSET) {
        ngx_pulse_dropped_add(pr->dropped, "budget_tokens");

        if (!pr->target->effort) {
            return;
        }

        effort = (cv->budget <= NGX_PULSE_OPENAI_LOW)
                 ? NGX_PULSE_EFFORT_LOW
                 : (cv->budget <= NGX_PULSE_OPENAI_MEDIUM)
                 ? NGX_PULSE_EFFORT_MEDIUM : NGX_PULSE_EFFORT_HIGH;
    }

    if (effort == NGX_PULSE_EFFORT_UNSET) {
        return;
    }

    if (!pr->target->effort) {

        /* a model that does not think has what "none" asks for */

        if (effort != NGX_PULSE_EFFORT_NONE) {
            ngx_pulse_dropped_add(pr->dropped, "reasoning_effort");
        }

        return;
    }

    if (effort == NGX_PULSE_EFFORT_NONE && !pr->target->effort_none) {
        ngx_pulse_dropped_add(pr->dropped, "reasoning_effort");
        effort = NGX_PULSE_EFFORT_LOW;
    }

    ngx_pulse_json_literal(pr->b, "reasoning_effort",
                           ngx_pulse_openai_effort_names[effort]);
}


static void
ngx_pulse_openai_put_limits(ngx_pulse_openai_provider_t *pr)
{
    ngx_pulse_buf_t  *b;

    b = pr->b;

    ngx_pulse_json_number(b,
                  ngx_pulse_is(&pr->target->max_tokens_name, "max_tokens")
                  ? "max_tokens" : "max_completion_tokens",
                  pr->target->max_tokens);

    if (pr->cv->stream) {
        ngx_pulse_json_key(b, "stream");
        ngx_pulse_buf_literal(b, "true");
        ngx_pulse_json_key(b, "stream_options");
        ngx_pulse_buf_literal(b, "{\"include_usage\":true}");
    }
}


static void
ngx_pulse_openai_drop(ngx_pulse_openai_provider_t *pr, const ngx_str_t *name)
{
    ngx_uint_t            i;
    ngx_pulse_dropped_t  *dropped;

    dropped = pr->dropped;

    for (i = 0; i < dropped->n; i++) {
        if (dropped->names[i].len == name->len
            && ngx_memcmp(dropped->names[i].data, name->data, name->len) == 0)
        {
            return;
        }
    }

    if (dropped->n < NGX_PULSE_CHAT_DROPPED) {
        dropped->names[dropped->n++] = *name;
    }
}


static ngx_int_t
ngx_pulse_openai_put_refuse(ngx_pulse_openai_provider_t *pr,
    const char *reason)
{
    return ngx_pulse_refuse(pr->refusal, NULL, NULL, reason);
}
