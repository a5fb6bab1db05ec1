
#include <curl/curl.h>
#include "pulse_fetch.h"


#define PULSE_FETCH_CONNECT  4000       /* ms */
#define PULSE_FETCH_TOTAL    10000


static struct curl_slist *pulse_fetch_headers(const pulse_pay_call_t *call);
static struct curl_slist *pulse_fetch_header(struct curl_slist *list,
    const char *name, const char *value);
static ngx_int_t pulse_fetch_set(CURL *curl, const pulse_pay_call_t *call,
    struct curl_slist *headers, ngx_pulse_buf_t *body);
static size_t pulse_fetch_write(char *data, size_t size, size_t n, void *arg);


ngx_int_t
pulse_fetch(ngx_pool_t *pool, const pulse_pay_call_t *call,
    pulse_pay_answer_t *answer, char *error)
{
    long                status;
    CURL               *curl;
    CURLcode            code;
    ngx_pulse_buf_t     body;
    struct curl_slist  *headers;

    code = CURLE_OUT_OF_MEMORY;
    curl = curl_easy_init();
    headers = pulse_fetch_headers(call);

    ngx_pulse_buf_init(&body, PULSE_PAY_BODY_MAX);

    if (curl && headers
        && pulse_fetch_set(curl, call, headers, &body) == NGX_OK)
    {
        code = curl_easy_perform(curl);
    }

    if (code == CURLE_OK) {
        (void) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        answer->status = status;
    }

    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);

    if (code == CURLE_OK
        && pulse_pay_take(pool, &body, &answer->body) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_pulse_buf_free(&body);
    snprintf(error, PULSE_FETCH_ERROR, "%s", curl_easy_strerror(code));

    return NGX_ERROR;
}


static struct curl_slist *
pulse_fetch_headers(const pulse_pay_call_t *call)
{
    struct curl_slist  *list;

    list = pulse_fetch_header(NULL, "Accept", "application/json");

    /* libcurl would wait for a 100 before longer bodies */

    list = pulse_fetch_header(list, "Expect", "");

    if (call->type) {
        list = pulse_fetch_header(list, "Content-Type", call->type);
    }

    if (call->authorization.len) {
        list = pulse_fetch_header(list, "Authorization",
                                  (char *) call->authorization.data);
    }

    return list;
}


static struct curl_slist *
pulse_fetch_header(struct curl_slist *list, const char *name,
    const char *value)
{
    ngx_pulse_buf_t     b;
    struct curl_slist  *longer;

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) name, strlen(name));
    ngx_pulse_buf_literal(&b, ": ");
    ngx_pulse_buf_append(&b, (u_char *) value, strlen(value));
    ngx_pulse_buf_char(&b, '\0');

    longer = b.failed ? NULL : curl_slist_append(list, (char *) b.data);

    /* a request that lacks a header is not sent */

    if (longer == NULL) {
        curl_slist_free_all(list);
    }

    ngx_pulse_buf_free(&b);

    return longer;
}


static ngx_int_t
pulse_fetch_set(CURL *curl, const pulse_pay_call_t *call,
    struct curl_slist *headers, ngx_pulse_buf_t *body)
{
    CURLcode  code;

    /* a signal for the timeout would hit whatever thread */

    code = curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code |= curl_easy_setopt(curl, CURLOPT_URL, call->url.data);
    code |= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR,
                             ngx_strncmp(call->url.data, "https:", 6) == 0
                             ? "https" : "http");
    code |= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    code |= curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                             (long) PULSE_FETCH_CONNECT);
    code |= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                             (long) PULSE_FETCH_TOTAL);
    code |= curl_easy_setopt(curl, CURLOPT_PROXY, "");
    code |= curl_easy_setopt(curl, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    code |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    code |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, pulse_fetch_write);
    code |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);

    if (ngx_strcmp(call->method, "POST") == 0) {
        code |= curl_easy_setopt(curl, CURLOPT_POST, 1L);
        code |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t) call->body.len);
        code |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.data);
    }

    return (code == CURLE_OK) ? NGX_OK : NGX_ERROR;
}


static size_t
pulse_fetch_write(char *data, size_t size, size_t n, void *arg)
{
    ngx_pulse_buf_t *body = arg;

    ngx_pulse_buf_append(body, (u_char *) data, size * n);

    return body->failed ? 0 : size * n;
}
