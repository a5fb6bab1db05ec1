
#include <ctype.h>
#include "pulse_image.h"


/*
 * A prediction, for which it is waited, then asked, and whose pictures are
 * fetched unless they are in the answer.
 */


#define PULSE_IMAGE_REPLICATE_POLL  500     /* ms, doubled up to 4 s */


enum {
    PULSE_IMAGE_CREATE = 0,
    PULSE_IMAGE_GET,
    PULSE_IMAGE_FETCH                       /* and on, one step each */
};


static ngx_int_t pulse_image_replicate_write(pulse_image_call_t *call);
static void pulse_image_replicate_input(pulse_image_call_t *call);
static void pulse_image_replicate_picture(pulse_image_call_t *call,
    const char *name, const pulse_image_input_t *input);
static void pulse_image_replicate_number(pulse_image_call_t *call,
    const char *name, ngx_uint_t n);
static pulse_json_want_e pulse_image_replicate_wanted(
    pulse_image_call_t *call, const char *path);
static void pulse_image_replicate_value(pulse_image_call_t *call,
    const char *path, const ngx_str_t *text);
static void pulse_image_replicate_copy(char *to, size_t size,
    const ngx_str_t *text);
static ngx_int_t pulse_image_replicate_answered(pulse_image_call_t *call);
static ngx_int_t pulse_image_replicate_fetch(pulse_image_call_t *call);
static ngx_uint_t pulse_image_replicate_ours(pulse_image_call_t *call,
    const char *uri);
static ngx_uint_t pulse_image_replicate_base(pulse_image_call_t *call,
    const char *uri);


const pulse_image_provider_t  pulse_image_replicate = {
    "replicate",
    pulse_image_replicate_write,
    pulse_image_replicate_wanted,
    pulse_image_replicate_value,
    pulse_image_replicate_answered
};


static ngx_int_t
pulse_image_replicate_write(pulse_image_call_t *call)
{
    char                           value[1024];
    const char                    *uri;
    const pulse_media_provider_t  *provider;

    provider = call->run->model->provider;

    uri = NULL;

    if (call->step >= PULSE_IMAGE_FETCH) {
        uri = call->uris[call->step - PULSE_IMAGE_FETCH];

        call->get = 1;
        call->raw = 1;
        call->elsewhere = !pulse_image_replicate_base(call, uri);
        ngx_pulse_buf_append(&call->url, (u_char *) uri, strlen(uri));
    }

    /* the credential is for who gave it, and not for whoever has its files */

    snprintf(value, sizeof(value), "Bearer %s", provider->key);

    if (!call->elsewhere
        && pulse_image_header(call, "Authorization", value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (uri) {
        return NGX_OK;
    }

    ngx_pulse_buf_append(&call->url, (u_char *) provider->base,
                         strlen(provider->base));
    ngx_pulse_buf_literal(&call->url, "/predictions");

    call->state[0] = '\0';
    call->nuris = 0;

    if (call->step == PULSE_IMAGE_GET) {
        call->get = 1;
        ngx_pulse_buf_char(&call->url, '/');
        ngx_pulse_buf_append(&call->url, (u_char *) call->id,
                             strlen(call->id));
        return NGX_OK;
    }

    call->id[0] = '\0';
    pulse_image_replicate_input(call);

    return (pulse_image_header(call, "Content-Type", "application/json")
            == NGX_OK
            && pulse_image_header(call, "Prefer", "wait") == NGX_OK)
           ? NGX_OK : NGX_ERROR;
}


static void
pulse_image_replicate_input(pulse_image_call_t *call)
{
    ngx_str_t                  name;
    const pulse_image_wish_t  *wish;
    ngx_pulse_json_value_t    *version;

    wish = call->run->wish;
    version = ngx_pulse_json_get(call->run->model->capabilities, "version");
    name = version ? version->string : call->run->model->model->id;

    pulse_image_say(call, "{\"version\":");
    ngx_pulse_buf_json(&call->text, name.data, name.len);
    pulse_image_say(call, ",\"input\":{\"prompt\":");
    ngx_pulse_buf_json(&call->text, wish->prompt.data, wish->prompt.len);

    if (wish->negative.len) {
        pulse_image_say(call, ",\"negative_prompt\":");
        ngx_pulse_buf_json(&call->text, wish->negative.data,
                           wish->negative.len);
    }

    if (wish->width) {

        /* it takes multiples of 8 */

        pulse_image_replicate_number(call, "width", (wish->width + 7) & ~7ul);
        pulse_image_replicate_number(call, "height",
                                     (wish->height + 7) & ~7ul);
    }

    pulse_image_replicate_number(call, "num_outputs", call->wanted);

    if (wish->ninputs) {
        pulse_image_replicate_picture(call, "image", &wish->inputs[0]);
    }

    if (wish->mask.fd != -1) {
        pulse_image_replicate_picture(call, "mask", &wish->mask);
    }

    pulse_image_say(call, "}}");
    pulse_image_piece(call);
}


static void
pulse_image_replicate_picture(pulse_image_call_t *call, const char *name,
    const pulse_image_input_t *input)
{
    pulse_image_say(call, ",\"");
    pulse_image_say(call, name);
    pulse_image_say(call, "\":\"data:");
    pulse_image_say(call, input->type);
    pulse_image_say(call, ";base64,");
    pulse_image_file(call, input, 1);
    pulse_image_say(call, "\"");
}


static void
pulse_image_replicate_number(pulse_image_call_t *call, const char *name,
    ngx_uint_t n)
{
    pulse_image_say(call, ",\"");
    pulse_image_say(call, name);
    pulse_image_say(call, "\":");
    ngx_pulse_buf_int(&call->text, n);
}


static pulse_json_want_e
pulse_image_replicate_wanted(pulse_image_call_t *call, const char *path)
{
    if (strcmp(path, "output") == 0
        || (strncmp(path, "output.", 7) == 0
            && path[7 + strspn(path + 7, "0123456789")] == '\0'))
    {
        call->uri = 1;
        return PULSE_JSON_PASS;
    }

    return (strcmp(path, "id") == 0 || strcmp(path, "status") == 0
            || strcmp(path, "error") == 0 || strcmp(path, "detail") == 0)
           ? PULSE_JSON_KEEP : PULSE_JSON_SKIP;
}


static void
pulse_image_replicate_value(pulse_image_call_t *call, const char *path,
    const ngx_str_t *text)
{
    if (strcmp(path, "id") == 0) {
        pulse_image_replicate_copy(call->id, sizeof(call->id), text);

    } else if (strcmp(path, "status") == 0) {
        pulse_image_replicate_copy(call->state, sizeof(call->state), text);

    } else if ((strcmp(path, "error") == 0 && !pulse_image_is(text, "null"))
               || strcmp(path, "detail") == 0)
    {
        snprintf(call->message, sizeof(call->message), "%.*s",
                 (int) text->len, text->data);
    }
}


/* It goes into an address: what is not of letters and digits is none. */

static void
pulse_image_replicate_copy(char *to, size_t size, const ngx_str_t *text)
{
    size_t  i;

    to[0] = '\0';

    for (i = 0; i < text->len; i++) {
        if (!isalnum(text->data[i])) {
            return;
        }
    }

    if (text->len < size) {
        *ngx_cpymem(to, text->data, text->len) = '\0';
    }
}


static ngx_int_t
pulse_image_replicate_answered(pulse_image_call_t *call)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    if (call->step >= PULSE_IMAGE_FETCH) {
        return pulse_image_replicate_fetch(call);
    }

    /* while it is said to be processing it may have come */

    if (call->ndrafts + call->nuris) {
        call->step = PULSE_IMAGE_FETCH - 1;
        return pulse_image_replicate_fetch(call);
    }

    if (strcmp(call->state, "starting") == 0
        || strcmp(call->state, "processing") == 0)
    {
        if (call->id[0] == '\0') {
            pulse_image_fault(call, pulse_image_down, &none);
            return NGX_OK;
        }

        call->delay = call->step == PULSE_IMAGE_CREATE
                      ? PULSE_IMAGE_REPLICATE_POLL
                      : ngx_min(call->delay * 2, 4000);
        call->step = PULSE_IMAGE_GET;

        return NGX_AGAIN;
    }

    /* its filter says so in words only */

    if (strstr(call->message, "NSFW")) {
        pulse_image_fault(call, pulse_image_flagged, &none);
    }

    pulse_image_fault(call, pulse_image_none, &none);

    return NGX_OK;
}


/* The next picture that is elsewhere, none but where the provider keeps
 * them: the address is what a stranger's model wrote. */

static ngx_int_t
pulse_image_replicate_fetch(pulse_image_call_t *call)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    for ( ;; ) {
        call->step++;

        if (call->step - PULSE_IMAGE_FETCH >= call->nuris) {
            return NGX_OK;
        }

        if (pulse_image_replicate_ours(call,
                              call->uris[call->step - PULSE_IMAGE_FETCH]))
        {
            call->delay = 0;
            return NGX_AGAIN;
        }

        pulse_image_fault(call, pulse_image_down, &none);
    }
}


static ngx_uint_t
pulse_image_replicate_ours(pulse_image_call_t *call, const char *uri)
{
    char        *host, *user;
    size_t       len;
    CURLU       *url;
    ngx_uint_t   ours;

    static const char  theirs[] = ".replicate.delivery";

    host = NULL;
    user = NULL;
    ours = 0;

    url = curl_url();

    if (url && curl_url_set(url, CURLUPART_URL, uri, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_USER, &user, 0) != CURLUE_OK)
    {
        len = strlen(host);

        ours = (strncmp(uri, "https://", 8) == 0
                && (strcasecmp(host, theirs + 1) == 0
                    || (len > sizeof(theirs) - 1
                        && strcasecmp(host + len - sizeof(theirs) + 1,
                                      theirs) == 0)));

        ours |= pulse_image_replicate_base(call, uri);
    }

    curl_free(host);
    curl_free(user);
    curl_url_cleanup(url);

    return ours;
}


/* whether it has the scheme, host and port that are asked for all else */

static ngx_uint_t
pulse_image_replicate_base(pulse_image_call_t *call, const char *uri)
{
    size_t       len;
    const char  *base, *host;

    base = call->run->model->provider->base;
    host = strstr(base, "://") + 3;
    len = host - base + strcspn(host, "/");

    return strncmp(uri, base, len) == 0 && uri[len] == '/';
}
