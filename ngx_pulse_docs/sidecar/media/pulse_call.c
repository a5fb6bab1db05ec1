
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include "pulse_address.h"
#include "pulse_call.h"


#define PULSE_CALL_CONNECT  5000L       /* ms */
#define PULSE_CALL_SLOW     20L         /* s with less than that a second: */
#define PULSE_CALL_BYTES    64L


typedef struct {
    CURL          *easy;
    pulse_call_t  *call;
    ngx_uint_t     bytes;
} pulse_call_run_t;


static struct curl_slist *pulse_call_headers(const pulse_call_t *call);
static ngx_int_t pulse_call_set(pulse_call_run_t *run,
    struct curl_slist *headers);
static void pulse_call_method(pulse_call_run_t *run, CURLcode *code);
static size_t pulse_call_read(char *data, size_t size, size_t n, void *arg);
static void pulse_call_ended(pulse_call_run_t *run, CURLcode code);
static size_t pulse_call_write(char *data, size_t size, size_t n, void *arg);
static int pulse_call_progress(void *arg, curl_off_t dltotal,
    curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow);
static curl_socket_t pulse_call_socket(void *arg, curlsocktype purpose,
    struct curl_sockaddr *address);
static ngx_uint_t pulse_call_part(CURLU *url, CURLUPart part,
    const char *wanted);


ngx_int_t
pulse_call(pulse_call_t *call)
{
    CURLcode            code;
    pulse_call_run_t    run;
    struct curl_slist  *headers;

    call->status = 0;
    call->sent = 0;
    call->stopped = 0;
    call->refused = 0;
    call->too_large = 0;
    call->location[0] = '\0';
    call->error[0] = '\0';

    run.call = call;
    run.bytes = 0;
    run.easy = curl_easy_init();

    code = CURLE_OUT_OF_MEMORY;
    headers = pulse_call_headers(call);

    if (run.easy && headers && pulse_call_set(&run, headers) == NGX_OK) {
        code = curl_easy_perform(run.easy);
        pulse_call_ended(&run, code);
    }

    curl_easy_cleanup(run.easy);
    curl_slist_free_all(headers);

    if (code == CURLE_OK) {
        return NGX_OK;
    }

    snprintf(call->error, sizeof(call->error), "%s",
             call->stopped ? "the sidecar ends"
             : call->too_large ? "the answer is too large"
             : call->refused ? "the answer is not to be used"
             : curl_easy_strerror(code));

    return NGX_ERROR;
}


static struct curl_slist *
pulse_call_headers(const pulse_call_t *call)
{
    char                type[128];
    ngx_uint_t          i, n;
    const char         *fields[16];
    struct curl_slist  *list, *longer;

    /* libcurl would wait for a 100 before longer bodies */

    n = 0;
    fields[n++] = "Expect:";

    if (call->type) {
        snprintf(type, sizeof(type), "Content-Type: %s", call->type);
        fields[n++] = type;
    }

    if (call->credential) {
        fields[n++] = call->credential;
    }

    for (i = 0; call->fields && call->fields[i] && n < 16; i++) {
        fields[n++] = call->fields[i];
    }

    list = NULL;

    for (i = 0; i < n; i++) {
        longer = curl_slist_append(list, fields[i]);

        if (longer == NULL) {
            curl_slist_free_all(list);
            return NULL;
        }

        list = longer;
    }

    return list;
}


static ngx_int_t
pulse_call_set(pulse_call_run_t *run, struct curl_slist *headers)
{
    CURL          *easy;
    CURLcode       code;
    pulse_call_t  *call;

    easy = run->easy;
    call = run->call;

    /* a signal for the timeout would hit whatever thread */

    code = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    code |= curl_easy_setopt(easy, CURLOPT_URL, call->url);
    code |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
                             call->loopback ? "http,https" : "https");
    code |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    code |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                             PULSE_CALL_CONNECT);
    code |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                             (long) call->timeout * 1000);
    code |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
    code |= curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    code |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, pulse_call_write);
    code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, run);
    code |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
                             pulse_call_socket);
    code |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    code |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                             (curl_off_t) call->max);

    if (call->stop) {
        code |= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
        code |= curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION,
                                 pulse_call_progress);
        code |= curl_easy_setopt(easy, CURLOPT_XFERINFODATA, call);
        code |= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                                 PULSE_CALL_SLOW);
        code |= curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT,
                                 PULSE_CALL_BYTES);
    }

    pulse_call_method(run, &code);

    return (code == CURLE_OK) ? NGX_OK : NGX_ERROR;
}


static void
pulse_call_method(pulse_call_run_t *run, CURLcode *code)
{
    pulse_call_t  *call;

    call = run->call;

    if (strcmp(call->method, "GET") == 0) {
        return;
    }

    *code |= curl_easy_setopt(run->easy, CURLOPT_POST, 1L);

    if (call->pieces) {
        *code |= curl_easy_setopt(run->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                  (curl_off_t) call->pieces->length);
        *code |= curl_easy_setopt(run->easy, CURLOPT_READFUNCTION,
                                  pulse_call_read);
        *code |= curl_easy_setopt(run->easy, CURLOPT_READDATA, call->pieces);
        return;
    }

    *code |= curl_easy_setopt(run->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                              (curl_off_t) call->body.len);
    *code |= curl_easy_setopt(run->easy, CURLOPT_POSTFIELDS,
                              call->body.len ? (char *) call->body.data : "");
}


static size_t
pulse_call_read(char *data, size_t size, size_t n, void *arg)
{
    ssize_t  read;

    read = pulse_pieces_read(arg, (u_char *) data, size * n);

    return (read == NGX_ERROR) ? CURL_READFUNC_ABORT : (size_t) read;
}


static void
pulse_call_ended(pulse_call_run_t *run, CURLcode code)
{
    long           n;
    char          *url;
    pulse_call_t  *call;

    call = run->call;

    if (curl_easy_getinfo(run->easy, CURLINFO_REQUEST_SIZE, &n) == CURLE_OK) {
        call->sent = (n > 0);
    }

    call->too_large |= (code == CURLE_FILESIZE_EXCEEDED);

    if (code != CURLE_OK) {
        return;
    }

    (void) curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE,
                             &call->status);

    if (curl_easy_getinfo(run->easy, CURLINFO_REDIRECT_URL, &url) == CURLE_OK
        && url && strlen(url) < sizeof(call->location))
    {
        strcpy(call->location, url);
    }
}


static size_t
pulse_call_write(char *data, size_t size, size_t n, void *arg)
{
    pulse_call_run_t *run = arg;

    pulse_call_t  *call;

    call = run->call;
    run->bytes += size * n;

    if (call->max && run->bytes > call->max) {
        call->too_large = 1;
        return 0;
    }

    if (call->write(call->ctx, (u_char *) data, size * n) != NGX_OK) {
        call->refused = 1;
        return 0;
    }

    return size * n;
}


static int
pulse_call_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    pulse_call_t *call = arg;

    call->stopped = call->stop();

    return call->stopped;
}


/* By the address that is really connected to: a name may stand for any. */

static curl_socket_t
pulse_call_socket(void *arg, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    pulse_call_t *call = arg;

    if (call->loopback ? !pulse_address_loopback(&address->addr)
                       : !pulse_address_public(&address->addr))
    {
        return CURL_SOCKET_BAD;
    }

    return socket(address->family, address->socktype|SOCK_CLOEXEC,
                  address->protocol);
}


ngx_uint_t
pulse_call_is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0
           || strncmp(host, "127.", 4) == 0;
}


ngx_uint_t
pulse_call_allowed(const char *url, const char *const *hosts,
    const char *base, ngx_uint_t loopback)
{
    char        *host;
    CURLU       *parsed, *ours;
    ngx_uint_t   allowed;

    allowed = 0;
    host = NULL;
    parsed = curl_url();
    ours = curl_url();

    if (parsed == NULL || ours == NULL
        || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK
        || curl_url_set(ours, CURLUPART_URL, base, 0) != CURLUE_OK
        || !pulse_call_part(parsed, CURLUPART_USER, NULL)
        || !pulse_call_part(parsed, CURLUPART_PASSWORD, NULL)
        || curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
    {
        goto done;
    }

    if (loopback) {
        allowed = pulse_call_is_loopback(host)
                  && pulse_call_part(ours, CURLUPART_HOST, host);
        goto done;
    }

    allowed = pulse_call_part(parsed, CURLUPART_SCHEME, "https")
              && (pulse_call_part(parsed, CURLUPART_PORT, NULL)
                  || pulse_call_part(parsed, CURLUPART_PORT, "443"))
              && (pulse_call_part(ours, CURLUPART_HOST, host)
                  || pulse_address_listed(host, hosts));

done:

    curl_free(host);
    curl_url_cleanup(parsed);
    curl_url_cleanup(ours);

    return allowed;
}


/* 1 if it is that; NULL: if there is none */

static ngx_uint_t
pulse_call_part(CURLU *url, CURLUPart part, const char *wanted)
{
    char        *value;
    ngx_uint_t   is;

    if (curl_url_get(url, part, &value, 0) != CURLUE_OK) {
        return wanted == NULL;
    }

    is = (wanted != NULL && strcmp(value, wanted) == 0);

    curl_free(value);

    return is;
}
