
#include <unistd.h>
#include "pulse_image.h"


/*
 * POST /models/MODEL:generateContent; one picture at a time.  What it is asked
 * for is a shape and a resolution, of which the nearest is taken.
 */


static ngx_int_t pulse_image_gemini_write(pulse_image_call_t *call);
static void pulse_image_gemini_parts(pulse_image_call_t *call);
static void pulse_image_gemini_shape(pulse_image_call_t *call);
static void pulse_image_gemini_ratio(pulse_image_call_t *call);
static void pulse_image_gemini_resolution(pulse_image_call_t *call);
static pulse_json_want_e pulse_image_gemini_wanted(pulse_image_call_t *call,
    const char *path);
static const char *pulse_image_gemini_part(const char *path, ngx_int_t *part);
static void pulse_image_gemini_value(pulse_image_call_t *call,
    const char *path, const ngx_str_t *text);
static void pulse_image_gemini_said(pulse_image_call_t *call,
    const char *path, const ngx_str_t *text);
static ngx_int_t pulse_image_gemini_answered(pulse_image_call_t *call);


const pulse_image_provider_t  pulse_image_gemini = {
    "google",
    pulse_image_gemini_write,
    pulse_image_gemini_wanted,
    pulse_image_gemini_value,
    pulse_image_gemini_answered
};


static ngx_int_t
pulse_image_gemini_write(pulse_image_call_t *call)
{
    const pulse_media_provider_t  *provider;

    provider = call->run->model->provider;

    ngx_pulse_buf_append(&call->url, (u_char *) provider->base,
                         strlen(provider->base));
    ngx_pulse_buf_literal(&call->url, "/models/");
    ngx_pulse_buf_append(&call->url, (u_char *) call->run->model->id,
                         strlen(call->run->model->id));
    ngx_pulse_buf_literal(&call->url, ":generateContent");

    pulse_image_say(call, "{\"contents\":[{\"role\":\"user\",\"parts\":[");
    pulse_image_gemini_parts(call);
    pulse_image_say(call, "]}],\"generationConfig\":"
                    "{\"responseModalities\":[\"IMAGE\"]");
    pulse_image_gemini_shape(call);
    pulse_image_say(call, "}}");
    pulse_image_piece(call);

    return (pulse_image_header(call, "x-goog-api-key", provider->key)
            == NGX_OK
            && pulse_image_header(call, "Content-Type", "application/json")
               == NGX_OK)
           ? NGX_OK : NGX_ERROR;
}


static void
pulse_image_gemini_parts(pulse_image_call_t *call)
{
    ngx_uint_t                 i;
    const pulse_image_wish_t  *wish;

    wish = call->run->wish;

    pulse_image_say(call, "{\"text\":");
    ngx_pulse_buf_json(&call->text, wish->spoken.data, wish->spoken.len);
    pulse_image_say(call, "}");

    for (i = 0; i < wish->ninputs; i++) {
        pulse_image_say(call, ",{\"inlineData\":{\"mimeType\":\"");
        pulse_image_say(call, wish->inputs[i].type);
        pulse_image_say(call, "\",\"data\":\"");
        pulse_image_file(call, &wish->inputs[i], 1);
        pulse_image_say(call, "\"}}");
    }
}


static void
pulse_image_gemini_shape(pulse_image_call_t *call)
{
    if (call->run->wish->width == 0) {
        return;
    }

    pulse_image_say(call, ",\"imageConfig\":{\"aspectRatio\":\"");
    pulse_image_gemini_ratio(call);
    pulse_image_gemini_resolution(call);
    pulse_image_say(call, "}");
}


/* The nearest of those that the catalogue has. */

static void
pulse_image_gemini_ratio(pulse_image_call_t *call)
{
    char                     text[16];
    double                   wanted, ratio, away, least;
    unsigned                 width, height;
    ngx_str_t                best;
    ngx_pulse_json_value_t  *v;

    ngx_str_set(&best, "1:1");

    wanted = (double) call->run->wish->width / call->run->wish->height;
    least = 1e9;

    v = ngx_pulse_json_get(call->run->model->capabilities, "aspect_ratios");

    for (v = v ? v->children : NULL; v; v = v->next) {
        snprintf(text, sizeof(text), "%.*s", (int) v->string.len,
                 v->string.data);

        if (sscanf(text, "%u:%u", &width, &height) != 2 || height == 0
            || width == 0)
        {
            continue;
        }

        ratio = (double) width / height;
        away = (ratio > wanted) ? ratio / wanted : wanted / ratio;

        if (away < least) {
            least = away;
            best = v->string;
        }
    }

    ngx_pulse_buf_str(&call->text, &best);
    pulse_image_say(call, "\"");
}


/* By the longer edge: "1K" is about 1024 pixels of a square. */

static void
pulse_image_gemini_resolution(pulse_image_call_t *call)
{
    ngx_str_t    size;
    ngx_uint_t   edge;

    edge = ngx_max(call->run->wish->width, call->run->wish->height);

    if (edge <= 512) {
        ngx_str_set(&size, "512");

    } else if (edge <= 1536) {
        ngx_str_set(&size, "1K");

    } else if (edge <= 2560) {
        ngx_str_set(&size, "2K");

    } else {
        ngx_str_set(&size, "4K");
    }

    if (!pulse_media_offers(call->run->model, "resolutions", &size, 0)) {
        return;
    }

    pulse_image_say(call, ",\"imageSize\":\"");
    ngx_pulse_buf_str(&call->text, &size);
    pulse_image_say(call, "\"");
}


static pulse_json_want_e
pulse_image_gemini_wanted(pulse_image_call_t *call, const char *path)
{
    ngx_int_t    part;
    const char  *member;

    member = pulse_image_gemini_part(path, &part);

    if (member == NULL) {
        return PULSE_JSON_KEEP;
    }

    /* signatures may be megabytes */

    if (strcmp(member, "inlineData.data") != 0 || part == call->thought) {
        return PULSE_JSON_SKIP;
    }

    call->part = part;

    return PULSE_JSON_PASS;
}


/* What follows "candidates.0.content.parts.N.", or NULL. */

static const char *
pulse_image_gemini_part(const char *path, ngx_int_t *part)
{
    char  *end;

    static const char  prefix[] = "candidates.0.content.parts.";

    if (strncmp(path, prefix, sizeof(prefix) - 1) != 0) {
        return NULL;
    }

    *part = strtol(path + sizeof(prefix) - 1, &end, 10);

    return (*end == '.') ? end + 1 : NULL;
}


static void
pulse_image_gemini_value(pulse_image_call_t *call, const char *path,
    const ngx_str_t *text)
{
    ngx_int_t      part;
    const char    *member;
    pulse_image_t *image;

    member = pulse_image_gemini_part(path, &part);

    if (member == NULL) {
        pulse_image_gemini_said(call, path, text);
        return;
    }

    /* a sketch on the way, whose mark may come before or after it */

    if (strcmp(member, "thought") == 0 && pulse_image_is(text, "true")) {
        call->thought = part;

        if (call->part == part && call->ndrafts) {
            image = &call->drafts[call->ndrafts - 1];

            pulse_shelf_drop(image->id);
            close(image->fd);
            call->ndrafts--;
        }
    }
}


static void
pulse_image_gemini_said(pulse_image_call_t *call, const char *path,
    const ngx_str_t *text)
{
    char         number[32];
    double       delay;
    ngx_str_t    none;
    const char  *last;

    ngx_str_null(&none);

    last = strrchr(path, '.');
    last = last ? last + 1 : path;

    if (strcmp(path, "usageMetadata.promptTokenCount") == 0) {
        call->usage.input = pulse_image_number(text);
        call->usage.known = 1;

    } else if (strcmp(path, "usageMetadata.candidatesTokenCount") == 0
               || strcmp(path, "usageMetadata.thoughtsTokenCount") == 0)
    {
        call->usage.output += pulse_image_number(text);

    } else if (strcmp(path, "promptFeedback.blockReason") == 0) {
        pulse_image_fault(call, pulse_image_flagged, &none);

    } else if (strcmp(path, "candidates.0.finishReason") == 0) {

        if (pulse_image_is(text, "SAFETY")
            || pulse_image_is(text, "IMAGE_SAFETY")
            || pulse_image_is(text, "PROHIBITED_CONTENT")
            || pulse_image_is(text, "IMAGE_PROHIBITED_CONTENT")
            || pulse_image_is(text, "BLOCKLIST")
            || pulse_image_is(text, "SPII")
            || pulse_image_is(text, "RECITATION")
            || pulse_image_is(text, "IMAGE_RECITATION"))
        {
            pulse_image_fault(call, pulse_image_flagged, &none);
        }

    } else if (strcmp(path, "error.message") == 0) {
        snprintf(call->message, sizeof(call->message), "%.*s",
                 (int) text->len, text->data);

    } else if (strcmp(path, "error.status") == 0) {
        snprintf(call->code, sizeof(call->code), "%.*s", (int) text->len,
                 text->data);

    } else if (strncmp(path, "error.details.", 14) == 0) {

        if (strcmp(last, "reason") == 0
            && pulse_image_is(text, "API_KEY_INVALID"))
        {
            pulse_image_fault(call, pulse_image_unpaid, &none);
        }

        if (strcmp(last, "retryDelay") == 0) {
            snprintf(number, sizeof(number), "%.*s", (int) text->len,
                     text->data);
            delay = strtod(number, NULL);
            call->after = (delay > 0 && delay < 86400) ? delay + 1 : 0;
        }
    }
}


static ngx_int_t
pulse_image_gemini_answered(pulse_image_call_t *call)
{
    return NGX_OK;
}
