
#include <curl/curl.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "ngx_pulse_jwt.h"
#include "pulse_call.h"
#include "pulse_file.h"
#include "pulse_log.h"
#include "pulse_query.h"
#include "pulse_video.h"


#define PULSE_VERTEX_FILE     (64 * 1024)
#define PULSE_VERTEX_POOL     4096
#define PULSE_VERTEX_TEXT     256
#define PULSE_VERTEX_TOKEN    4096
#define PULSE_VERTEX_LIVES    3600      /* s, of an assertion */
#define PULSE_VERTEX_EARLY    120       /* s before a token ends */
#define PULSE_VERTEX_TIMEOUT  20
#define PULSE_VERTEX_FIELD    "Authorization: Bearer "


/* The service account, read once; the token is everybody's. */

typedef struct {
    ngx_pool_t       *pool;
    ngx_pulse_jwk_t   key;
    char              email[PULSE_VERTEX_TEXT];
    char              project[PULSE_VERTEX_TEXT];
    char              location[PULSE_VERTEX_TEXT];
    char              base[PULSE_VERTEX_TEXT];
    char              token_uri[PULSE_VERTEX_TEXT];
    ngx_str_t         storage;      /* gs://BUCKET/..., or empty */
    ngx_uint_t        loopback;

    pthread_mutex_t   mutex;
    char              token[PULSE_VERTEX_TOKEN];
    int64_t           until;
} pulse_vertex_t;


static const char *pulse_vertex_accept(void);
static const char *pulse_vertex_account(const ngx_pulse_json_value_t *v);
static const char *pulse_vertex_key(const ngx_str_t *pem,
    const ngx_str_t *kid);
static void pulse_vertex_forget(void *pkey);
static const char *pulse_vertex_settings(void);
static ngx_int_t pulse_vertex_text(const ngx_pulse_json_value_t *v,
    const char *name, char *text);
static const char *pulse_vertex_base(void);
static ngx_int_t pulse_vertex_credential(ngx_pool_t *pool,
    const char **field);
static void pulse_vertex_refused(const char *field);
static ngx_int_t pulse_vertex_ask(ngx_pool_t *pool);
static const char *pulse_vertex_assertion(ngx_pool_t *pool, size_t *len);
static ngx_int_t pulse_vertex_submit(ngx_pool_t *pool,
    const pulse_video_order_t *order, pulse_video_request_t *request);
static void pulse_vertex_instance(const pulse_video_order_t *order,
    ngx_pulse_buf_t *b);
static ngx_int_t pulse_vertex_poll(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request);
static const char *pulse_vertex_url(ngx_pool_t *pool, const char *model,
    const char *what);
static void pulse_vertex_read(const pulse_video_answer_t *answer,
    ngx_pool_t *pool, pulse_video_said_t *said);
static void pulse_vertex_result(const pulse_video_answer_t *answer,
    ngx_pool_t *pool, pulse_video_said_t *said);
static ngx_str_t pulse_vertex_stored(ngx_pool_t *pool, const ngx_str_t *uri);
static size_t pulse_vertex_origin(void);


/* Where results are that were asked to be put into a bucket. */

static const char *const  pulse_vertex_hosts[] = {
    "storage.googleapis.com", NULL
};

static pulse_vertex_t  pulse_vertex = {
    .mutex = PTHREAD_MUTEX_INITIALIZER
};


const pulse_video_provider_t  pulse_video_vertex = {
    "google-vertex",
    pulse_vertex_hosts,
    pulse_vertex_hosts,
    { NULL, NULL },
    pulse_vertex_accept,
    pulse_vertex_base,
    pulse_vertex_credential,
    pulse_vertex_refused,
    pulse_vertex_submit,
    pulse_vertex_poll,
    NULL,                               /* operations cannot be canceled */
    pulse_vertex_read
};


static const char *
pulse_vertex_accept(void)
{
    ngx_str_t                text;
    const char              *file, *wrong;
    ngx_pulse_buf_t          b;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    file = pulse_media_provider("google-vertex")->key;

    pulse_vertex.pool = ngx_create_pool(PULSE_VERTEX_POOL, NULL);
    if (pulse_vertex.pool == NULL) {
        return "no memory";
    }

    ngx_pulse_buf_init(&b, PULSE_VERTEX_FILE);

    if (pulse_file_read(file, &b) != NGX_OK) {
        return "VERTEX_SERVICE_ACCOUNT cannot be read";
    }

    text.data = b.data;
    text.len = b.len;

    v = ngx_pulse_json_tree(pulse_vertex.pool, text.data, text.len, NULL,
                            &err);

    wrong = v ? pulse_vertex_account(v)
              : "VERTEX_SERVICE_ACCOUNT is no JSON file";

    ngx_pulse_buf_free(&b);

    return wrong ? wrong : pulse_vertex_settings();
}


static const char *
pulse_vertex_account(const ngx_pulse_json_value_t *v)
{
    ngx_str_t                kid;
    ngx_pulse_json_value_t  *pem, *id;

    if (pulse_vertex_text(v, "client_email", pulse_vertex.email) != NGX_OK
        || pulse_vertex_text(v, "token_uri", pulse_vertex.token_uri)
           != NGX_OK)
    {
        return "VERTEX_SERVICE_ACCOUNT has no client_email or token_uri";
    }

    (void) pulse_vertex_text(v, "project_id", pulse_vertex.project);

    pem = ngx_pulse_json_get(v, "private_key");
    id = ngx_pulse_json_get(v, "private_key_id");

    ngx_str_null(&kid);

    if (id && id->type == NGX_PULSE_JSON_STRING) {
        kid = id->string;
    }

    return (pem && pem->type == NGX_PULSE_JSON_STRING)
           ? pulse_vertex_key(&pem->string, &kid)
           : "VERTEX_SERVICE_ACCOUNT has no private_key";
}


static const char *
pulse_vertex_key(const ngx_str_t *pem, const ngx_str_t *kid)
{
    BIO                 *bio;
    EVP_PKEY            *pkey;
    ngx_pool_cleanup_t  *cln;

    bio = BIO_new_mem_buf(pem->data, pem->len);
    pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    cln = ngx_pool_cleanup_add(pulse_vertex.pool, 0);

    BIO_free(bio);

    if (pkey == NULL || cln == NULL || EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA)
    {
        EVP_PKEY_free(pkey);
        return "VERTEX_SERVICE_ACCOUNT has no private_key of RSA";
    }

    cln->handler = pulse_vertex_forget;
    cln->data = pkey;

    pulse_vertex.key.alg = NGX_PULSE_JWK_RS256;
    pulse_vertex.key.kid = *kid;
    pulse_vertex.key.pkey = pkey;
    pulse_vertex.key.secret_key = 1;

    return NULL;
}


static void
pulse_vertex_forget(void *pkey)
{
    EVP_PKEY_free(pkey);
}


static const char *
pulse_vertex_settings(void)
{
    const char                    *location, *project, *base, *storage;
    const pulse_media_provider_t  *provider;

    static const char *const  hosts[] = { ".googleapis.com", NULL };

    provider = pulse_media_provider("google-vertex");
    location = getenv("VERTEX_LOCATION");
    project = getenv("VERTEX_PROJECT");
    base = getenv("VERTEX_BASE_URL");
    storage = getenv("VERTEX_STORAGE_URI");

    if (storage) {
        pulse_vertex.storage.data = (u_char *) storage;
        pulse_vertex.storage.len = strlen(storage);
    }

    if (location == NULL || location[0] == '\0') {
        location = "us-central1";
    }

    snprintf(pulse_vertex.location, PULSE_VERTEX_TEXT, "%s", location);

    if (project && project[0] != '\0') {
        snprintf(pulse_vertex.project, PULSE_VERTEX_TEXT, "%s", project);
    }

    /* a region has a host of its own */

    if (base && base[0] != '\0') {
        snprintf(pulse_vertex.base, PULSE_VERTEX_TEXT, "%s", provider->base);
        pulse_vertex.loopback = pulse_call_is_loopback(provider->host);

    } else {
        snprintf(pulse_vertex.base, PULSE_VERTEX_TEXT,
                 "https://%.64s-aiplatform.googleapis.com/v1", location);
    }

    if (pulse_vertex.project[0] == '\0'
        || strspn(pulse_vertex.project, "abcdefghijklmnopqrstuvwxyz"
                  "0123456789-.:") != strlen(pulse_vertex.project)
        || strspn(location, "abcdefghijklmnopqrstuvwxyz0123456789-")
           != strlen(location))
    {
        return "there is no VERTEX_PROJECT, or VERTEX_LOCATION is none";
    }

    if (!pulse_call_allowed(pulse_vertex.token_uri, hosts, pulse_vertex.base,
                            pulse_vertex.loopback))
    {
        return "the token_uri of VERTEX_SERVICE_ACCOUNT is not Google's";
    }

    return NULL;
}


static ngx_int_t
pulse_vertex_text(const ngx_pulse_json_value_t *v, const char *name,
    char *text)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, name);

    if (member == NULL || member->type != NGX_PULSE_JSON_STRING
        || member->string.len == 0
        || member->string.len >= PULSE_VERTEX_TEXT)
    {
        return NGX_ERROR;
    }

    memcpy(text, member->string.data, member->string.len);
    text[member->string.len] = '\0';

    return NGX_OK;
}


static const char *
pulse_vertex_base(void)
{
    return pulse_vertex.base;
}


/* Threads that want a new token wait for the first to get it. */

static ngx_int_t
pulse_vertex_credential(ngx_pool_t *pool, const char **field)
{
    ngx_int_t        rc;
    ngx_pulse_buf_t  b;

    rc = NGX_OK;

    pthread_mutex_lock(&pulse_vertex.mutex);

    if (pulse_vertex.until <= time(NULL)) {
        rc = pulse_vertex_ask(pool);
    }

    if (rc == NGX_OK) {
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, PULSE_VERTEX_FIELD);
        ngx_pulse_buf_append(&b, (u_char *) pulse_vertex.token,
                             strlen(pulse_vertex.token));
        *field = pulse_video_take(pool, &b, NULL);

        if (*field == NULL) {
            rc = NGX_ERROR;
        }
    }

    pthread_mutex_unlock(&pulse_vertex.mutex);

    return rc;
}


/* It ended before its time.  Who heard of that later than others must not end
 * the one that they have by now. */

static void
pulse_vertex_refused(const char *field)
{
    pthread_mutex_lock(&pulse_vertex.mutex);

    if (strcmp(field + sizeof(PULSE_VERTEX_FIELD) - 1, pulse_vertex.token)
        == 0)
    {
        pulse_vertex.until = 0;
    }

    pthread_mutex_unlock(&pulse_vertex.mutex);
}


/* RFC 7523: what we sign is exchanged for a token. */

static ngx_int_t
pulse_vertex_ask(ngx_pool_t *pool)
{
    ngx_int_t             rc;
    ngx_str_t             token, lives;
    pulse_call_t          call;
    pulse_video_answer_t  answer;

    ngx_memzero(&call, sizeof(pulse_call_t));

    call.method = "POST";
    call.url = pulse_vertex.token_uri;
    call.type = "application/x-www-form-urlencoded";
    call.body.data = (u_char *) pulse_vertex_assertion(pool, &call.body.len);
    call.loopback = pulse_vertex.loopback;
    call.timeout = PULSE_VERTEX_TIMEOUT;
    call.max = PULSE_VERTEX_FILE;
    call.write = pulse_video_answer_read;
    call.ctx = &answer;

    if (call.body.data == NULL) {
        return NGX_ERROR;
    }

    pulse_video_answer_init(&answer, pool, -1);

    rc = pulse_call(&call);

    if (pulse_video_answer_end(&answer) != NGX_OK) {
        rc = NGX_ERROR;
    }

    token = pulse_video_get(&answer, "access_token");
    lives = pulse_video_get(&answer, "expires_in");

    if (rc != NGX_OK || call.status != 200 || token.len == 0
        || token.len >= PULSE_VERTEX_TOKEN)
    {
        pulse_log(PULSE_LOG_ERR, "pulse video: google-vertex gave no token:"
                  " it answered %ld %s", call.status, call.error);
        return NGX_ERROR;
    }

    memcpy(pulse_vertex.token, token.data, token.len + 1);
    pulse_vertex.until = time(NULL) - PULSE_VERTEX_EARLY
                         + (lives.len ? atoi((char *) lives.data) : 0);

    return NGX_OK;
}


static const char *
pulse_vertex_assertion(ngx_pool_t *pool, size_t *len)
{
    time_t           now;
    ngx_int_t        rc;
    ngx_str_t        claims, text;
    ngx_pulse_buf_t  b, token;

    now = time(NULL);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&token, 0);

    ngx_pulse_buf_literal(&b, "{\"iss\":");
    ngx_pulse_buf_json(&b, (u_char *) pulse_vertex.email,
                       strlen(pulse_vertex.email));
    ngx_pulse_buf_literal(&b, ",\"aud\":");
    ngx_pulse_buf_json(&b, (u_char *) pulse_vertex.token_uri,
                       strlen(pulse_vertex.token_uri));
    ngx_pulse_buf_literal(&b, ",\"scope\":"
                          "\"https://www.googleapis.com/auth/cloud-platform\""
                          ",\"iat\":");
    ngx_pulse_buf_int(&b, now);
    ngx_pulse_buf_literal(&b, ",\"exp\":");
    ngx_pulse_buf_int(&b, now + PULSE_VERTEX_LIVES);
    ngx_pulse_buf_char(&b, '}');

    claims.data = b.data;
    claims.len = b.len;

    rc = b.failed ? NGX_ERROR
                  : ngx_pulse_jwt_sign(&pulse_vertex.key, &claims, &token);

    b.len = 0;
    text.data = token.data;
    text.len = token.len;

    pulse_query_text(&b, "grant_type",
                     "urn:ietf:params:oauth:grant-type:jwt-bearer");
    pulse_query_add(&b, "assertion", &text);

    b.failed |= (rc != NGX_OK) | token.failed;

    ngx_pulse_buf_free(&token);

    return pulse_video_take(pool, &b, len);
}


static ngx_int_t
pulse_vertex_submit(ngx_pool_t *pool, const pulse_video_order_t *order,
    pulse_video_request_t *request)
{
    ngx_pulse_buf_t  b;

    request->method = "POST";
    request->url = pulse_vertex_url(pool, order->model, "predictLongRunning");

    ngx_pulse_buf_init(&b, 0);
    pulse_vertex_instance(order, &b);

    ngx_pulse_buf_literal(&b, ",\"parameters\":{\"sampleCount\":1");
    pulse_video_member(&b, "negativePrompt", &order->negative);
    pulse_video_member(&b, "aspectRatio", &order->ratio);
    pulse_video_member(&b, "resolution", &order->resolution);

    if (order->duration) {
        ngx_pulse_buf_literal(&b, ",\"durationSeconds\":");
        ngx_pulse_buf_int(&b, order->duration);
    }

    if (order->seed >= 0) {
        ngx_pulse_buf_literal(&b, ",\"seed\":");
        ngx_pulse_buf_int(&b, order->seed);
    }

    pulse_video_member(&b, "storageUri", &pulse_vertex.storage);
    ngx_pulse_buf_literal(&b, "}}");

    request->body.data = (u_char *) pulse_video_take(pool, &b,
                                                     &request->body.len);

    return (request->url && request->body.data) ? NGX_OK : NGX_ERROR;
}


static void
pulse_vertex_instance(const pulse_video_order_t *order, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "{\"instances\":[{\"prompt\":");
    ngx_pulse_buf_json(b, order->prompt.data, order->prompt.len);

    if (order->image.len) {
        ngx_pulse_buf_literal(b, ",\"image\":{\"mimeType\":\"");
        ngx_pulse_buf_append(b, (u_char *) order->image_type,
                             strlen(order->image_type));
        ngx_pulse_buf_literal(b, "\",\"bytesBase64Encoded\":\"");
        ngx_pulse_buf_str(b, &order->image);
        ngx_pulse_buf_literal(b, "\"}");
    }

    ngx_pulse_buf_literal(b, "}]");
}


static ngx_int_t
pulse_vertex_poll(ngx_pool_t *pool, const char *model,
    const ngx_str_t *operation, pulse_video_request_t *request)
{
    ngx_pulse_buf_t  b;

    request->method = "POST";
    request->url = pulse_vertex_url(pool, model, "fetchPredictOperation");

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"operationName\":");
    ngx_pulse_buf_json(&b, operation->data, operation->len);
    ngx_pulse_buf_char(&b, '}');

    request->body.data = (u_char *) pulse_video_take(pool, &b,
                                                     &request->body.len);

    return (request->url && request->body.data) ? NGX_OK : NGX_ERROR;
}


static const char *
pulse_vertex_url(ngx_pool_t *pool, const char *model, const char *what)
{
    ngx_uint_t       i;
    ngx_pulse_buf_t  b;

    const char  *parts[] = {
        pulse_vertex.base, "/projects/", pulse_vertex.project, "/locations/",
        pulse_vertex.location, "/publishers/google/models/", model, ":", what
    };

    ngx_pulse_buf_init(&b, 0);

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        ngx_pulse_buf_append(&b, (u_char *) parts[i], strlen(parts[i]));
    }

    return pulse_video_take(pool, &b, NULL);
}


/* An operation; while it runs it has no "done". */

static void
pulse_vertex_read(const pulse_video_answer_t *answer, ngx_pool_t *pool,
    pulse_video_said_t *said)
{
    ngx_str_t  name, done, message;

    name = pulse_video_get(answer, "name");
    done = pulse_video_get(answer, "done");
    message = pulse_video_get(answer, "error.message");

    if (pulse_video_named(&name, "-_./")) {
        said->operation = name;
    }

    if (message.len) {
        said->state = pulse_video_says_flagged(&message)
                      ? pulse_video_flagged
                      : done.len ? pulse_video_failed : pulse_video_unclear;
        return;
    }

    if (name.len == 0) {
        return;
    }

    if (done.len == 0 || strcmp((char *) done.data, "true") != 0) {
        said->state = pulse_video_running;
        return;
    }

    pulse_vertex_result(answer, pool, said);
}


static void
pulse_vertex_result(const pulse_video_answer_t *answer, ngx_pool_t *pool,
    pulse_video_said_t *said)
{
    ngx_str_t  uri, filtered;

    if (answer->len) {
        said->state = pulse_video_done;
        return;
    }

    uri = pulse_video_get(answer, "response.videos.0.gcsUri");

    if (uri.len) {
        said->url = pulse_vertex_stored(pool, &uri);
        said->state = said->url.len ? pulse_video_done : pulse_video_failed;
        return;
    }

    filtered = pulse_video_get(answer, "response.raiMediaFilteredCount");

    said->state = (filtered.len && filtered.data[0] != '0')
                  ? pulse_video_flagged : pulse_video_failed;
}


/* "gs://BUCKET/OBJECT" as Cloud Storage's JSON API has it; what stands in for
 * Google on loopback stands in for that too. */

static ngx_str_t
pulse_vertex_stored(ngx_pool_t *pool, const ngx_str_t *uri)
{
    char             *bucket, *object;
    ngx_str_t         url;
    const char       *slash;
    ngx_pulse_buf_t   b;

    ngx_str_null(&url);

    slash = (uri->len > 5 && memcmp(uri->data, "gs://", 5) == 0)
            ? strchr((char *) uri->data + 5, '/') : NULL;

    if (slash == NULL) {
        return url;
    }

    bucket = curl_easy_escape(NULL, (char *) uri->data + 5,
                              slash - (char *) uri->data - 5);
    object = curl_easy_escape(NULL, slash + 1, 0);

    if (bucket && object) {
        ngx_pulse_buf_init(&b, 0);

        if (pulse_vertex.loopback) {
            ngx_pulse_buf_append(&b, (u_char *) pulse_vertex.base,
                                 pulse_vertex_origin());

        } else {
            ngx_pulse_buf_literal(&b, "https://storage.googleapis.com");
        }

        ngx_pulse_buf_literal(&b, "/storage/v1/b/");
        ngx_pulse_buf_append(&b, (u_char *) bucket, strlen(bucket));
        ngx_pulse_buf_literal(&b, "/o/");
        ngx_pulse_buf_append(&b, (u_char *) object, strlen(object));
        ngx_pulse_buf_literal(&b, "?alt=media");

        url.data = (u_char *) pulse_video_take(pool, &b, &url.len);
    }

    curl_free(bucket);
    curl_free(object);

    return url;
}


/* how much of the base is its scheme, host and port */

static size_t
pulse_vertex_origin(void)
{
    const char  *host;

    host = strstr(pulse_vertex.base, "://") + 3;

    return host - pulse_vertex.base + strcspn(host, "/");
}
