
#include <curl/curl.h>
#include <pthread.h>
#include "pulse_log.h"
#include "ngx_pulse_link.h"
#include "pulse_s3_request.h"


#define PULSE_S3_ATTEMPTS  3
#define PULSE_S3_PAUSE     100              /* ms, then four times that */
#define PULSE_S3_CONNECT   5000L
#define PULSE_S3_TIMEOUT   60000L
#define PULSE_S3_REFUSAL   4096             /* of what an error says */
#define PULSE_S3_HOST      512


typedef struct {
    const pulse_s3_conf_t  *conf;
    pulse_sigv4_key_t       key;
    ngx_str_t               scheme;         /* "https://" */
    ngx_str_t               bucket;
    char                    host[PULSE_S3_HOST];
    pthread_key_t           easy;           /* of a thread, with connections */
} pulse_s3_t;


typedef struct {
    pulse_s3_request_t     *request;
    CURL                   *easy;
    ngx_pulse_buf_t         url;            /* with a NUL */
    ngx_pulse_buf_t         refusal;
} pulse_s3_call_t;


static void pulse_s3_done(void *easy);
static ngx_int_t pulse_s3_attempt(pulse_s3_call_t *call, CURLcode *code);
static CURL *pulse_s3_easy(void);
static ngx_int_t pulse_s3_prepare(pulse_s3_call_t *call, ngx_pool_t *pool,
    struct curl_slist **headers);
static ngx_int_t pulse_s3_header(struct curl_slist **headers,
    const char *name, const ngx_str_t *value);
static void pulse_s3_url(pulse_s3_call_t *call, const ngx_str_t *path);
static ngx_int_t pulse_s3_options(pulse_s3_call_t *call,
    struct curl_slist *headers);
static size_t pulse_s3_write(char *data, size_t size, size_t n, void *ctx);
static ngx_uint_t pulse_s3_passes(pulse_s3_request_t *q, CURLcode code);
static ngx_int_t pulse_s3_failed(pulse_s3_call_t *call, CURLcode code);


static pulse_s3_t  pulse_s3;


const char *
pulse_s3_open(const pulse_s3_conf_t *conf)
{
    int          n;
    const char  *p, *slash;

    p = strstr(conf->url, "://");

    if (p == NULL || (strncmp(conf->url, "https://", 8) != 0
                      && strncmp(conf->url, "http://", 7) != 0))
    {
        return "it is no http:// or https:// address";
    }

    p += 3;
    slash = strchr(p, '/');

    if (slash == NULL || slash == p || slash[1] == '\0'
        || strchr(slash + 1, '/') || strpbrk(conf->url, "?#@ "))
    {
        return "it is no address of a bucket, as https://HOST/BUCKET";
    }

    if (conf->access == NULL || conf->secret == NULL
        || conf->access[0] == '\0' || conf->secret[0] == '\0')
    {
        return "there is no key: set PULSE_S3_ACCESS_KEY and"
               " PULSE_S3_SECRET_KEY";
    }

    pulse_s3.conf = conf;

    pulse_s3.scheme.data = (u_char *) conf->url;
    pulse_s3.scheme.len = p - conf->url;
    pulse_s3.bucket.data = (u_char *) slash + 1;
    pulse_s3.bucket.len = strlen(slash + 1);

    n = conf->virtual
        ? snprintf(pulse_s3.host, PULSE_S3_HOST, "%s.%.*s", slash + 1,
                   (int) (slash - p), p)
        : snprintf(pulse_s3.host, PULSE_S3_HOST, "%.*s", (int) (slash - p),
                   p);

    if (n >= PULSE_S3_HOST) {
        return "its name is too long";
    }

    pulse_s3.key.access.data = (u_char *) conf->access;
    pulse_s3.key.access.len = strlen(conf->access);
    pulse_s3.key.secret.data = (u_char *) conf->secret;
    pulse_s3.key.secret.len = strlen(conf->secret);
    pulse_s3.key.token.data = (u_char *) conf->token;
    pulse_s3.key.token.len = conf->token ? strlen(conf->token) : 0;
    pulse_s3.key.region.data = (u_char *) conf->region;
    pulse_s3.key.region.len = strlen(conf->region);
    ngx_str_set(&pulse_s3.key.service, "s3");

    return pthread_key_create(&pulse_s3.easy, pulse_s3_done) ? "no memory"
                                                             : NULL;
}


static void
pulse_s3_done(void *easy)
{
    curl_easy_cleanup(easy);
}


ngx_int_t
pulse_s3_signer(ngx_pool_t *pool, const char *object, pulse_sigv4_t *s,
    pulse_sigv4_pair_t *host)
{
    size_t   len;
    u_char  *p;

    ngx_memzero(s, sizeof(pulse_sigv4_t));

    len = strlen(object);
    p = ngx_pnalloc(pool, len + pulse_s3.bucket.len + 2);

    if (p == NULL) {
        return NGX_ERROR;
    }

    s->path.data = p;
    *p++ = '/';

    if (!pulse_s3.conf->virtual) {
        p = ngx_cpymem(p, pulse_s3.bucket.data, pulse_s3.bucket.len);

        if (len) {
            *p++ = '/';
        }
    }

    p = ngx_cpymem(p, object, len);
    s->path.len = p - s->path.data;

    ngx_str_set(&host->name, "Host");
    host->value.data = (u_char *) pulse_s3.host;
    host->value.len = strlen(pulse_s3.host);

    s->pool = pool;
    s->key = &pulse_s3.key;
    s->headers = host;
    s->nheaders = 1;
    s->time = time(NULL);

    return NGX_OK;
}


void
pulse_s3_base(ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_str(b, &pulse_s3.scheme);
    ngx_pulse_buf_append(b, (u_char *) pulse_s3.host, strlen(pulse_s3.host));
}


ngx_str_t
pulse_s3_bucket(void)
{
    return pulse_s3.bucket;
}


void
pulse_s3_argument(pulse_s3_request_t *q, const char *name, const char *value)
{
    pulse_sigv4_pair_t  *pair;

    pair = &q->query[q->nquery++];

    pair->name.data = (u_char *) name;
    pair->name.len = strlen(name);
    pair->value.data = (u_char *) value;
    pair->value.len = strlen(value);
}


ngx_int_t
pulse_s3_request(pulse_s3_request_t *q)
{
    CURLcode          code;
    ngx_int_t         rc;
    ngx_uint_t        n;
    pulse_s3_call_t   call;

    call.request = q;
    call.easy = pulse_s3_easy();

    if (call.easy == NULL) {
        errno = ENOMEM;
        return NGX_ERROR;
    }

    ngx_pulse_buf_init(&call.url, 0);
    ngx_pulse_buf_init(&call.refusal, PULSE_S3_REFUSAL);

    for (n = 0; /* void */ ; n++) {

        if (n) {
            usleep(1000 * (PULSE_S3_PAUSE << (2 * (n - 1))));
        }

        rc = pulse_s3_attempt(&call, &code);

        if (rc != NGX_OK || n + 1 == PULSE_S3_ATTEMPTS
            || !pulse_s3_passes(q, code))
        {
            break;
        }
    }

    if (rc == NGX_OK
        && (code != CURLE_OK || q->status < 200 || q->status >= 300))
    {
        rc = pulse_s3_failed(&call, code);
    }

    ngx_pulse_buf_free(&call.url);
    ngx_pulse_buf_free(&call.refusal);

    return rc;
}


/* NGX_OK with whatever came of it in "*code" and the status; NGX_ERROR: no
 * memory. */

static ngx_int_t
pulse_s3_attempt(pulse_s3_call_t *call, CURLcode *code)
{
    ngx_int_t             rc;
    ngx_pool_t           *pool;
    struct curl_header   *etag;
    struct curl_slist    *headers;
    pulse_s3_request_t   *q;

    q = call->request;

    q->status = 0;
    q->etag[0] = '\0';
    call->refusal.len = 0;

    if (q->out) {
        q->out->len = 0;
        q->out->failed = 0;
    }

    pool = ngx_create_pool(4096, NULL);

    if (pool == NULL) {
        errno = ENOMEM;
        return NGX_ERROR;
    }

    headers = NULL;
    rc = pulse_s3_prepare(call, pool, &headers);

    if (rc == NGX_OK) {
        *code = curl_easy_perform(call->easy);

        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &q->status);

        if (curl_easy_header(call->easy, "ETag", 0, CURLH_HEADER, -1, &etag)
            == CURLHE_OK)
        {
            snprintf(q->etag, PULSE_S3_ETAG, "%s", etag->value);
        }

    } else {
        errno = ENOMEM;
    }

    curl_slist_free_all(headers);
    ngx_destroy_pool(pool);

    return rc;
}


/* A thread's own, which keeps its connections. */

static CURL *
pulse_s3_easy(void)
{
    CURL  *easy;

    easy = pthread_getspecific(pulse_s3.easy);

    if (easy == NULL) {
        easy = curl_easy_init();

        if (easy && pthread_setspecific(pulse_s3.easy, easy) != 0) {
            curl_easy_cleanup(easy);
            easy = NULL;
        }
    }

    return easy;
}


static ngx_int_t
pulse_s3_prepare(pulse_s3_call_t *call, ngx_pool_t *pool,
    struct curl_slist **headers)
{
    u_char                hash[PULSE_SIGV4_HEX + 1];
    ngx_str_t             date, type, none;
    pulse_sigv4_t         s;
    pulse_sigv4_pair_t    host;
    pulse_s3_request_t   *q;

    q = call->request;
    ngx_str_null(&none);

    if (pulse_sigv4_hash(q->data, q->len, hash) != NGX_OK
        || pulse_s3_signer(pool, q->object, &s, &host) != NGX_OK)
    {
        return NGX_ERROR;
    }

    s.method = q->method;
    s.query = q->query;
    s.nquery = q->nquery;
    s.payload.data = hash;
    s.payload.len = PULSE_SIGV4_HEX;
    s.say_payload = 1;

    if (pulse_sigv4_sign(&s) != NGX_OK) {
        return NGX_ERROR;
    }

    pulse_s3_url(call, &s.path);

    date.data = s.date;
    date.len = PULSE_SIGV4_DATE;
    type.data = (u_char *) q->type;
    type.len = q->type ? strlen(q->type) : 0;

    if (call->url.failed
        || pulse_s3_header(headers, "Authorization", &s.authorization)
           != NGX_OK
        || pulse_s3_header(headers, "X-Amz-Date", &date) != NGX_OK
        || pulse_s3_header(headers, "X-Amz-Content-Sha256", &s.payload)
           != NGX_OK
        || (s.key->token.len
            && pulse_s3_header(headers, "X-Amz-Security-Token",
                               &s.key->token) != NGX_OK)
        || pulse_s3_header(headers, "Content-Type", &type) != NGX_OK
        || pulse_s3_header(headers, "Expect", &none) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_s3_options(call, *headers);
}


/* An empty one takes away what libcurl would send. */

static ngx_int_t
pulse_s3_header(struct curl_slist **headers, const char *name,
    const ngx_str_t *value)
{
    char               *line;
    struct curl_slist  *list;

    if (asprintf(&line, "%s:%s%.*s", name, value->len ? " " : "",
                 (int) value->len, value->data)
        == -1)
    {
        return NGX_ERROR;
    }

    list = curl_slist_append(*headers, line);

    free(line);

    if (list == NULL) {
        return NGX_ERROR;
    }

    *headers = list;

    return NGX_OK;
}


static void
pulse_s3_url(pulse_s3_call_t *call, const ngx_str_t *path)
{
    ngx_uint_t           i;
    ngx_pulse_buf_t     *b;
    pulse_s3_request_t  *q;

    q = call->request;
    b = &call->url;

    b->len = 0;

    pulse_s3_base(b);
    pulse_sigv4_escape_path(b, path);

    for (i = 0; i < q->nquery; i++) {
        ngx_pulse_buf_char(b, i ? '&' : '?');
        ngx_pulse_link_escape(b, &q->query[i].name);
        ngx_pulse_buf_char(b, '=');
        ngx_pulse_link_escape(b, &q->query[i].value);
    }

    ngx_pulse_buf_char(b, '\0');
}


static ngx_int_t
pulse_s3_options(pulse_s3_call_t *call, struct curl_slist *headers)
{
    CURL                *easy;
    pulse_s3_request_t  *q;

    q = call->request;
    easy = call->easy;

    curl_easy_reset(easy);

    /* with a body as a POST is sent, and under the name that was signed */

    if (curl_easy_setopt(easy, CURLOPT_URL, call->url.data) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, PULSE_S3_CONNECT)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, PULSE_S3_TIMEOUT)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) != CURLE_OK
        || (strcmp(q->method, "GET") != 0
            && (curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                 q->len ? (char *) q->data : "") != CURLE_OK
                || curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                    (curl_off_t) q->len) != CURLE_OK
                || curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method)
                   != CURLE_OK))
        || curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, pulse_s3_write)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) != CURLE_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static size_t
pulse_s3_write(char *data, size_t size, size_t n, void *ctx)
{
    pulse_s3_call_t *call = ctx;

    long              status;
    ngx_pulse_buf_t  *b;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);

    if (status < 200 || status >= 300) {
        ngx_pulse_buf_append(&call->refusal, (u_char *) data, size * n);
        return size * n;
    }

    b = call->request->out;

    if (b == NULL) {
        return size * n;
    }

    ngx_pulse_buf_append(b, (u_char *) data, size * n);

    return b->failed ? 0 : size * n;
}


/* 1 if it may be better the next time. */

static ngx_uint_t
pulse_s3_passes(pulse_s3_request_t *q, CURLcode code)
{
    switch (code) {

    case CURLE_OK:
        return q->status >= 500 || q->status == 429;

    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return 1;

    default:
        return 0;
    }
}


static ngx_int_t
pulse_s3_failed(pulse_s3_call_t *call, CURLcode code)
{
    char                *said, *end;
    pulse_s3_request_t  *q;

    q = call->request;

    if (code == CURLE_OK && q->status == 404) {
        errno = ENOENT;
        return NGX_ERROR;
    }

    if (q->out && q->out->failed) {
        errno = EFBIG;
        return NGX_ERROR;
    }

    ngx_pulse_buf_char(&call->refusal, '\0');

    said = call->refusal.failed ? NULL
                                : strstr((char *) call->refusal.data,
                                         "<Code>");
    end = said ? strstr(said, "</Code>") : NULL;

    if (code != CURLE_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse s3: %s \"%s\": %s", q->method,
                  q->object, curl_easy_strerror(code));

    } else {
        pulse_log(PULSE_LOG_ERR, "pulse s3: %s \"%s\": %ld %.*s", q->method,
                  q->object, q->status, end ? (int) (end - said - 6) : 0,
                  end ? said + 6 : "");
    }

    errno = EIO;

    return NGX_ERROR;
}
