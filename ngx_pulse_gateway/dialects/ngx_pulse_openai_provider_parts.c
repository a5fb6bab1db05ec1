
#include "ngx_pulse_openai.h"

#include <openssl/evp.h>
#include <string.h>


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


ngx_int_t
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
        return ngx_pulse_openai_put_refuse(pr, part->at,
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
        return ngx_pulse_openai_put_refuse(pr, part->at,
                   "has an image by file id, which this model does not take");
    }

    if (part->url.len && !pr->target->https_images) {
        return ngx_pulse_openai_put_refuse(pr, part->at,
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
        return ngx_pulse_openai_put_refuse(pr, part->at,
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
        return ngx_pulse_openai_put_refuse(pr, part->at,
                   "has a document by its id at another provider");
    }

    if (part->url.len) {
        return ngx_pulse_openai_put_refuse(pr, part->at,
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
    text.at = part->at;
    text.text.data = p;

    if (part->filename.len) {
        p = ngx_cpymem(p, part->filename.data, part->filename.len);
        *p++ = '\n';
        *p++ = '\n';
    }

    n = (len % 4 == 0) ? EVP_DecodeBlock(p, part->data.data, (int) len) : -1;
    last = p + n - pad;

    if (n < (int) pad || ngx_pulse_utf8_check(p, last - p, NULL) != NGX_OK) {
        return ngx_pulse_openai_put_refuse(pr, part->at,
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
        return ngx_pulse_openai_put_refuse(pr, part->at,
                                    "has a file whose type is not a MIME one");
    }

    if (part->data.len == 0 || !ngx_pulse_openai_safe(&part->data, "+/=")) {
        return ngx_pulse_openai_put_refuse(pr, part->at,
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
