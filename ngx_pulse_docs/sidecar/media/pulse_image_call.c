
#include <unistd.h>
#include "ngx_pulse_id.h"
#include "pulse_address.h"
#include "pulse_file.h"
#include "pulse_image.h"
#include "pulse_log.h"


#define PULSE_IMAGE_CONNECT  5000L              /* ms */
#define PULSE_IMAGE_ANSWER   (1024 * 1024)      /* beside the pictures */
#define PULSE_IMAGE_STEP     4096               /* of base64 at a time */
#define PULSE_IMAGE_TRIES    2
#define PULSE_IMAGE_AFTER    20                 /* s to wait, at most */


static ngx_int_t pulse_image_call_prepare(pulse_image_call_t *call);
static curl_socket_t pulse_image_socket(void *ctx, curlsocktype purpose,
    struct curl_sockaddr *address);
static size_t pulse_image_read(char *buf, size_t size, size_t n, void *ctx);
static int pulse_image_seek(void *ctx, curl_off_t offset, int origin);
static size_t pulse_image_write(char *data, size_t size, size_t n, void *ctx);
static pulse_json_want_e pulse_image_wanted(void *ctx, const char *path);
static ngx_int_t pulse_image_value(void *ctx, const char *path,
    const ngx_str_t *text);
static ngx_int_t pulse_image_passed(void *ctx, const char *path,
    const u_char *p, size_t len);
static ngx_int_t pulse_image_uri(pulse_image_call_t *call, const u_char **p,
    size_t *len);
static ngx_int_t pulse_image_decode(pulse_image_call_t *call, const u_char *p,
    size_t len);
static ngx_int_t pulse_image_decoded(pulse_image_call_t *call);
static ngx_int_t pulse_image_link(pulse_image_call_t *call);
static ngx_int_t pulse_image_store(pulse_image_call_t *call, const u_char *p,
    size_t len);
static pulse_image_t *pulse_image_draft(pulse_image_call_t *call);
static void pulse_image_reset(pulse_image_call_t *call);
static void pulse_image_discard(pulse_image_call_t *call);
static void pulse_image_judge(pulse_image_call_t *call, CURLcode code);
static void pulse_image_after(pulse_image_call_t *call);
static ngx_uint_t pulse_image_again(pulse_image_call_t *call, CURLcode code);


static const pulse_json_stream_pt  pulse_image_json = {
    pulse_image_wanted, pulse_image_value, pulse_image_passed
};


ngx_int_t
pulse_image_call_init(pulse_image_call_t *call, pulse_image_run_t *run,
    ngx_uint_t wanted)
{
    memset(call, 0, sizeof(pulse_image_call_t));

    call->run = run;
    call->wanted = wanted;
    call->part = -1;
    call->thought = -1;

    ngx_pulse_buf_init(&call->url, 0);
    ngx_pulse_buf_init(&call->text, 0);
    pulse_json_stream_init(&call->json, &pulse_image_json, call);

    return NGX_OK;
}


ngx_int_t
pulse_image_call_send(pulse_image_call_t *call)
{
    pulse_image_reset(call);

    if (call->run->provider->write(call) != NGX_OK || call->url.failed
        || call->body.failed)
    {
        return NGX_ERROR;
    }

    ngx_pulse_buf_char(&call->url, '\0');

    return pulse_image_call_prepare(call);
}


static void
pulse_image_reset(pulse_image_call_t *call)
{
    if (call->easy) {
        (void) curl_multi_remove_handle(call->run->multi, call->easy);
        curl_easy_cleanup(call->easy);
        call->easy = NULL;
    }

    curl_slist_free_all(call->headers);
    call->headers = NULL;

    pulse_pieces_init(&call->body);
    pulse_json_stream_free(&call->json);
    pulse_json_stream_init(&call->json, &pulse_image_json, call);

    call->url.len = 0;
    call->text.len = 0;
    call->status = 0;
    call->got = 0;
    call->get = 0;
    call->raw = 0;
    call->elsewhere = 0;
    call->uri = 0;
    call->inside = 0;
    call->broken = 0;
    call->after = 0;
}


static ngx_int_t
pulse_image_call_prepare(pulse_image_call_t *call)
{
    CURL      *easy;
    CURLcode   code;

    easy = curl_easy_init();
    call->easy = easy;

    if (easy == NULL || pulse_image_header(call, "Expect", "") != NGX_OK) {
        return NGX_ERROR;
    }

    code = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_URL, call->url.data);
    code |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
                             strncmp((char *) call->url.data, "https:", 6)
                             == 0 ? "https" : "http");
    code |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    code |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                             PULSE_IMAGE_CONNECT);
    code |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                             (long) ngx_max(call->run->deadline
                                            - pulse_image_now(), 1));
    code |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
    code |= curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    code |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, pulse_image_write);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    code |= curl_easy_setopt(easy, CURLOPT_PRIVATE, call);

    if (call->elsewhere) {
        code |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
                                 pulse_image_socket);
    }

    if (!call->get) {
        code |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        code |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t) call->body.length);
        code |= curl_easy_setopt(easy, CURLOPT_READFUNCTION,
                                 pulse_image_read);
        code |= curl_easy_setopt(easy, CURLOPT_READDATA, call);
        code |= curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION,
                                 pulse_image_seek);
        code |= curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
    }

    return (code == CURLE_OK
            && curl_multi_add_handle(call->run->multi, easy) == CURLM_OK)
           ? NGX_OK : NGX_ERROR;
}


/* By the address that is really connected to: a name may stand for any. */

static curl_socket_t
pulse_image_socket(void *ctx, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    return pulse_address_public(&address->addr)
           ? socket(address->family, address->socktype|SOCK_CLOEXEC,
                    address->protocol)
           : CURL_SOCKET_BAD;
}


static size_t
pulse_image_read(char *buf, size_t size, size_t n, void *ctx)
{
    pulse_image_call_t *call = ctx;

    ssize_t  read;

    read = pulse_pieces_read(&call->body, (u_char *) buf, size * n);

    return (read < 0) ? CURL_READFUNC_ABORT : (size_t) read;
}


/* A connection that was kept may be gone, and all is sent on another. */

static int
pulse_image_seek(void *ctx, curl_off_t offset, int origin)
{
    pulse_image_call_t *call = ctx;

    if (offset != 0 || origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }

    pulse_pieces_rewind(&call->body);

    return CURL_SEEKFUNC_OK;
}


static size_t
pulse_image_write(char *data, size_t size, size_t n, void *ctx)
{
    pulse_image_call_t *call = ctx;

    ngx_int_t  rc;

    size *= n;
    call->got += size;

    if (call->status == 0) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
    }

    if (call->raw && call->status == 200) {
        rc = pulse_image_store(call, (u_char *) data, size);

    } else {
        rc = pulse_json_stream_feed(&call->json, (u_char *) data, size);
    }

    if (rc == NGX_OK
        && call->got < (size_t) PULSE_IMAGE_ANSWER
                       + call->wanted * (PULSE_IMAGE_BYTES / 3 * 4))
    {
        return size;
    }

    call->broken = 1;

    return 0;
}


static pulse_json_want_e
pulse_image_wanted(void *ctx, const char *path)
{
    pulse_image_call_t *call = ctx;

    call->uri = 0;
    call->uri_len = 0;
    call->inside = 0;
    pulse_base64_init(&call->base64);

    return call->run->provider->wanted(call, path);
}


static ngx_int_t
pulse_image_value(void *ctx, const char *path, const ngx_str_t *text)
{
    pulse_image_call_t *call = ctx;

    call->run->provider->value(call, path, text);

    return NGX_OK;
}


static ngx_int_t
pulse_image_passed(void *ctx, const char *path, const u_char *p, size_t len)
{
    pulse_image_call_t *call = ctx;

    if (len == 0) {
        return (call->uri && !call->inside) ? pulse_image_link(call)
                                            : pulse_image_decoded(call);
    }

    if (call->uri && !call->inside
        && pulse_image_uri(call, &p, &len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return len ? pulse_image_decode(call, p, len) : NGX_OK;
}


/* Up to the comma of "data:image/png;base64,"; what is left is data. */

static ngx_int_t
pulse_image_uri(pulse_image_call_t *call, const u_char **p, size_t *len)
{
    while (*len) {

        if (call->uri_len == PULSE_IMAGE_URI - 1) {
            return NGX_ERROR;
        }

        call->uri_text[call->uri_len++] = **p;

        (*p)++;
        (*len)--;

        if (call->uri_text[call->uri_len - 1] == ','
            && strncmp(call->uri_text, "data:", 5) == 0)
        {
            call->inside = 1;
            return NGX_OK;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_image_link(pulse_image_call_t *call)
{
    u_char  *uri;

    if (call->uri_len == 0 || call->nuris == PULSE_IMAGE_URIS) {
        return NGX_OK;
    }

    uri = ngx_pnalloc(call->run->pool, call->uri_len + 1);
    if (uri == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(uri, call->uri_text, call->uri_len) = '\0';

    call->uris[call->nuris++] = (char *) uri;

    return NGX_OK;
}


static ngx_int_t
pulse_image_decode(pulse_image_call_t *call, const u_char *p, size_t len)
{
    size_t   n;
    u_char   out[pulse_base64_room(PULSE_IMAGE_STEP)];
    ssize_t  size;

    for ( /* void */ ; len; p += n, len -= n) {
        n = ngx_min(len, PULSE_IMAGE_STEP);
        size = pulse_base64_decode(&call->base64, p, n, out);

        if (size < 0 || pulse_image_store(call, out, size) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_image_decoded(pulse_image_call_t *call)
{
    u_char          out[2];
    ssize_t         size;
    pulse_image_t  *image;

    size = pulse_base64_end(&call->base64, out);

    if (size < 0 || pulse_image_store(call, out, size) != NGX_OK) {
        return NGX_ERROR;
    }

    image = pulse_image_draft(call);

    if (image) {
        image->whole = 1;
    }

    return NGX_OK;
}


/* Appends to the picture that is coming, which begins with its first byte. */

static ngx_int_t
pulse_image_store(pulse_image_call_t *call, const u_char *p, size_t len)
{
    pulse_image_t  *image;

    if (len == 0) {
        return NGX_OK;
    }

    image = pulse_image_draft(call);

    if (image == NULL) {

        if (call->ndrafts == PULSE_IMAGE_MAX) {
            return NGX_ERROR;
        }

        image = &call->drafts[call->ndrafts];

        memset(image, 0, sizeof(pulse_image_t));
        ngx_pulse_uuid7(image->id);

        image->fd = pulse_shelf_draft(image->id);

        if (image->fd == -1) {
            pulse_log(PULSE_LOG_ERR, "pulse images: a file cannot be made:"
                      " %s", strerror(errno));
            return NGX_ERROR;
        }

        call->ndrafts++;
    }

    image->size += len;

    if (image->size > PULSE_IMAGE_BYTES) {
        return NGX_ERROR;
    }

    if (pulse_file_append(image->fd, p, len) != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse images: a file cannot be written: %s",
                  strerror(errno));
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The one that is not whole, or NULL. */

static pulse_image_t *
pulse_image_draft(pulse_image_call_t *call)
{
    if (call->ndrafts == 0 || call->drafts[call->ndrafts - 1].whole) {
        return NULL;
    }

    return &call->drafts[call->ndrafts - 1];
}


ngx_int_t
pulse_image_call_ended(pulse_image_call_t *call, CURLcode code)
{
    ngx_int_t       rc;
    pulse_image_t  *image;

    if (code == CURLE_OK) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);

        if (!(call->raw && call->status == 200)
            && pulse_json_stream_end(&call->json) != NGX_OK)
        {
            call->broken = 1;
        }

        if (call->raw && call->status == 200) {
            image = pulse_image_draft(call);

            if (image) {
                image->whole = 1;
            }
        }
    }

    pulse_image_after(call);

    /* what was not whole when it ended never will be */

    if (pulse_image_draft(call)) {
        pulse_image_discard(call);
    }

    rc = NGX_OK;

    if (code == CURLE_OK && call->status / 100 == 2 && !call->broken) {
        rc = call->run->provider->answered(call);

    } else {
        pulse_image_judge(call, code);

        if (pulse_image_again(call, code)) {
            rc = NGX_AGAIN;
        }
    }

    if (rc == NGX_AGAIN) {
        call->begin = pulse_image_now() + call->delay;
        return NGX_AGAIN;
    }

    return NGX_OK;
}


static void
pulse_image_discard(pulse_image_call_t *call)
{
    pulse_image_t  *image;

    image = &call->drafts[--call->ndrafts];

    pulse_shelf_drop(image->id);
    close(image->fd);
}


static void
pulse_image_judge(pulse_image_call_t *call, CURLcode code)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    /* a provider that knows better has said so with its values */

    if (code != CURLE_OK || call->broken || call->status == 0) {

        if (call->status / 100 == 2 || call->status == 0) {
            pulse_log(PULSE_LOG_ERR, "pulse images: %s: %s",
                      call->run->model->provider->name,
                      call->broken ? "an answer that is of no use"
                                   : curl_easy_strerror(code));
        }
    }

    switch (call->status) {

    case 400:
    case 413:
    case 415:
    case 422:
        pulse_image_fault(call, pulse_image_refused, &none);
        break;

    case 401:
    case 402:
    case 403:
        pulse_image_fault(call, pulse_image_unpaid, &none);
        break;

    case 429:
    case 503:
    case 529:
        pulse_image_fault(call, pulse_image_busy, &none);
        break;

    default:

        /* a model that is not there (404) is as good as one that is down */

        pulse_image_fault(call, pulse_image_down, &none);
        break;
    }

    if (call->status && call->status / 100 != 2) {
        pulse_log(PULSE_LOG_ERR, "pulse images: %s: status %ld%s%s",
                  call->run->model->provider->name, call->status,
                  call->code[0] ? ", " : "", call->code);
    }
}


static void
pulse_image_after(pulse_image_call_t *call)
{
    long                 n;
    char                *end;
    struct curl_header  *header;

    if (curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER, -1,
                         &header) != CURLHE_OK)
    {
        return;
    }

    n = strtol(header->value, &end, 10);

    if (end == header->value) {
        n = (long) (curl_getdate(header->value, NULL) - time(NULL));
    }

    call->after = ngx_max(ngx_min(n, 86400), 0);
}


/* The same once more, if there is nobody else to ask and nothing came.  Where
 * it is not known what was done it is not: it may have been. */

static ngx_uint_t
pulse_image_again(pulse_image_call_t *call, CURLcode code)
{
    if (!call->run->last || ++call->tries == PULSE_IMAGE_TRIES
        || call->ndrafts || call->step
        || (call->fault != pulse_image_busy && call->fault != pulse_image_down)
        || (code != CURLE_OK && code != CURLE_COULDNT_CONNECT)
        || (code == CURLE_OK && call->status < 429)
        || call->after > PULSE_IMAGE_AFTER)
    {
        return 0;
    }

    call->delay = ngx_max(call->after * 1000, 500);

    call->fault = pulse_image_fine;
    call->message[0] = '\0';
    call->code[0] = '\0';

    return 1;
}


void
pulse_image_call_abort(pulse_image_call_t *call, const char *why)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    pulse_log(PULSE_LOG_ERR, "pulse images: %s: %s",
              call->run->model->provider->name, why);

    if (pulse_image_draft(call)) {
        pulse_image_discard(call);
    }

    pulse_image_fault(call, pulse_image_down, &none);

    call->done = 1;
}


void
pulse_image_call_free(pulse_image_call_t *call)
{
    pulse_image_reset(call);

    while (call->ndrafts) {
        pulse_image_discard(call);
    }

    pulse_json_stream_free(&call->json);
    ngx_pulse_buf_free(&call->url);
    ngx_pulse_buf_free(&call->text);
}


ngx_int_t
pulse_image_header(pulse_image_call_t *call, const char *name,
    const char *value)
{
    char               *line;
    struct curl_slist  *list;

    /* "Name:" alone takes away one of libcurl's own */

    if (asprintf(&line, "%s:%s%s", name, value[0] ? " " : "", value) == -1) {
        return NGX_ERROR;
    }

    list = curl_slist_append(call->headers, line);

    free(line);

    if (list == NULL) {
        return NGX_ERROR;
    }

    call->headers = list;

    return NGX_OK;
}


void
pulse_image_piece(pulse_image_call_t *call)
{
    u_char  *copy;

    if (call->text.len == 0) {
        return;
    }

    copy = ngx_pnalloc(call->run->pool, call->text.len);

    if (copy == NULL || call->text.failed) {
        call->body.failed = 1;
        return;
    }

    memcpy(copy, call->text.data, call->text.len);
    pulse_pieces_text(&call->body, copy, call->text.len);

    call->text.len = 0;
}


void
pulse_image_file(pulse_image_call_t *call, const pulse_image_input_t *input,
    ngx_uint_t base64)
{
    pulse_image_piece(call);
    pulse_pieces_file(&call->body, input->fd, input->size, base64);
}


void
pulse_image_say(pulse_image_call_t *call, const char *text)
{
    ngx_pulse_buf_append(&call->text, (u_char *) text, strlen(text));
}


void
pulse_image_fault(pulse_image_call_t *call, pulse_image_fault_e fault,
    const ngx_str_t *message)
{
    if (call->fault == pulse_image_fine) {
        call->fault = fault;
    }

    if (message->len && call->message[0] == '\0') {
        snprintf(call->message, sizeof(call->message), "%.*s",
                 (int) message->len, message->data);
    }
}


uint64_t
pulse_image_number(const ngx_str_t *text)
{
    int64_t  n;

    return (ngx_pulse_json_int(text, &n) == NGX_OK && n > 0) ? n : 0;
}


ngx_uint_t
pulse_image_is(const ngx_str_t *text, const char *other)
{
    return text->len == strlen(other)
           && memcmp(text->data, other, text->len) == 0;
}
