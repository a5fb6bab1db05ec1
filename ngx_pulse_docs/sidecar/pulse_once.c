
#include <openssl/evp.h>
#include "ngx_pulse_id.h"
#include "pulse_chat.h"
#include "pulse_hex.h"
#include "pulse_log.h"
#include "pulse_once.h"
#include "pulse_parts.h"
#include "pulse_reply.h"
#include "pulse_worker.h"


#define PULSE_ONCE_HASH  32


struct pulse_once_s {
    char           event[37];
    unsigned char  hash[PULSE_ONCE_HASH];   /* of method, path and body */
    unsigned       kept:1;
};


static ngx_uint_t pulse_once_valid(const ngx_str_t *key);
static ngx_int_t pulse_once_hash(pulse_http_request_t *r,
    pulse_once_t *claim);
static enum MHD_Result pulse_once_known(pulse_http_request_t *r,
    PGresult *res);


static const char  pulse_once_answered[] =
    "SELECT idempotency_keep($1, $2, 'application/json', NULL,"
    "                        convert_to($3, 'UTF8'))";


ngx_int_t
pulse_once_begin(pulse_http_request_t *r, enum MHD_Result *rc)
{
    char           hash[2 + 2 * PULSE_ONCE_HASH + 1];
    PGresult      *res;
    ngx_str_t      key;
    const char    *params[4];
    pulse_once_t  *claim;

    key = pulse_http_header(r, "X-Pulse-Key");

    if (key.data == NULL) {
        return NGX_OK;
    }

    if (!pulse_once_valid(&key)) {
        *rc = pulse_reply_field(r, "", "قيمة Idempotency-Key يجب أن تكون من 1"
                                " إلى 255 محرفًا ظاهرًا من ASCII.",
                                "Idempotency-Key is not 1 to 255 visible"
                                " characters of ASCII");
        return NGX_DONE;
    }

    claim = ngx_pcalloc(r->pool, sizeof(pulse_once_t));

    if (claim == NULL || pulse_once_hash(r, claim) != NGX_OK) {
        *rc = pulse_reply_error(r, pulse_reply_internal, NULL);
        return NGX_DONE;
    }

    if (pulse_worker_store(r) != NGX_OK) {
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return NGX_DONE;
    }

    ngx_pulse_uuid7((u_char *) claim->event);

    memcpy(hash, "\\x", 2);
    pulse_hex(hash + 2, claim->hash, PULSE_ONCE_HASH);

    params[0] = (char *) r->user.data;
    params[1] = (char *) key.data;
    params[2] = hash;
    params[3] = claim->event;

    res = pulse_store_query(r->store,
                            "SELECT state, status, convert_from(body, 'UTF8')"
                            "  FROM document_claim($1, $2, $3, $4)",
                            4, params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse once: a key cannot be claimed: %s",
                  r->store->error);
        *rc = pulse_reply_error(r, pulse_reply_store, NULL);
        return NGX_DONE;
    }

    if (strcmp(PQgetvalue(res, 0, 0), "claimed") == 0) {
        PQclear(res);
        r->claim = claim;
        return NGX_OK;
    }

    *rc = pulse_once_known(r, res);

    PQclear(res);

    return NGX_DONE;
}


static ngx_uint_t
pulse_once_valid(const ngx_str_t *key)
{
    size_t  i;

    for (i = 0; i < key->len; i++) {
        if (key->data[i] <= ' ' || key->data[i] >= 0x7f) {
            return 0;
        }
    }

    return i > 0 && i <= PULSE_ONCE_KEY;
}


static ngx_int_t
pulse_once_hash(pulse_http_request_t *r, pulse_once_t *claim)
{
    ngx_int_t    rc;
    EVP_MD_CTX  *digest;

    digest = EVP_MD_CTX_new();
    if (digest == NULL) {
        return NGX_ERROR;
    }

    rc = (EVP_DigestInit_ex(digest, EVP_sha256(), NULL)
          && EVP_DigestUpdate(digest, r->path, strlen(r->path) + 1)
          && EVP_DigestUpdate(digest, r->body.data, r->body.len)
          && (r->parts == NULL || pulse_parts_digest(r->parts, digest))
          && EVP_DigestFinal_ex(digest, claim->hash, NULL))
         ? NGX_OK : NGX_ERROR;

    EVP_MD_CTX_free(digest);

    return rc;
}


/* Somebody was first: another request, or this one. */

static enum MHD_Result
pulse_once_known(pulse_http_request_t *r, PGresult *res)
{
    ngx_pulse_buf_t       b;
    struct MHD_Response  *response;

    if (strcmp(PQgetvalue(res, 0, 0), "kept") != 0) {
        return pulse_reply_error(r, strcmp(PQgetvalue(res, 0, 0), "mismatch")
                                    == 0
                                    ? pulse_reply_mismatch
                                    : pulse_reply_running, NULL);
    }

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_append(&b, (u_char *) PQgetvalue(res, 0, 2),
                         PQgetlength(res, 0, 2));

    response = pulse_http_response(&b);
    if (response == NULL) {
        return MHD_NO;
    }

    MHD_add_response_header(response, "Idempotent-Replayed", "true");

    return pulse_http_queue(r, atoi(PQgetvalue(res, 0, 1)), response);
}


void
pulse_once_keep(pulse_http_request_t *r, unsigned status,
    const ngx_pulse_buf_t *body)
{
    char         number[NGX_INT32_LEN + 1];
    u_char      *text;
    PGresult    *res;
    const char  *params[3];

    if (r->claim == NULL || body->failed || status >= MHD_HTTP_BAD_REQUEST) {
        return;
    }

    text = ngx_pnalloc(r->pool, body->len + 1);

    if (text == NULL || pulse_worker_store(r) != NGX_OK) {
        return;
    }

    memcpy(text, body->data, body->len);
    text[body->len] = '\0';

    snprintf(number, sizeof(number), "%u", status);

    params[0] = r->claim->event;
    params[1] = number;
    params[2] = (char *) text;

    res = pulse_store_query(r->store, pulse_once_answered, 3, params);

    /* a key that is free again would have the same made, and charged, once
     * more: where a connection broke it is done again on another one */

    if (res == NULL && r->store->conn == NULL
        && pulse_worker_store(r) == NGX_OK)
    {
        res = pulse_store_query(r->store, pulse_once_answered, 3, params);
    }

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse once: an answer cannot be kept: %s",
                  r->store->error);
        return;
    }

    PQclear(res);

    r->claim->kept = 1;
}


void
pulse_once_forget(pulse_http_request_t *r)
{
    if (r->claim) {
        r->claim->kept = 0;
    }
}


void
pulse_once_end(pulse_http_request_t *r)
{
    PGresult    *res;
    const char  *params[1];

    if (r->claim == NULL || r->claim->kept
        || pulse_worker_store(r) != NGX_OK)
    {
        return;
    }

    params[0] = r->claim->event;

    res = pulse_store_query(r->store, "SELECT document_release($1)", 1,
                            params);

    if (res == NULL) {
        pulse_log(PULSE_LOG_ERR, "pulse once: a key cannot be freed: %s",
                  r->store->error);
    }

    PQclear(res);
}


void
pulse_once_derive(pulse_http_request_t *r, ngx_uint_t n, char *key)
{
    int            len;
    ngx_str_t      base;
    unsigned char  hash[PULSE_ONCE_HASH];

    key[0] = '\0';

    base = pulse_http_header(r, "X-Pulse-Key");

    if (r->claim && EVP_Digest(base.data, base.len, hash, NULL, EVP_sha256(),
                               NULL))
    {
        len = sprintf(key, "document-");
        pulse_hex(key + len, hash, PULSE_ONCE_HASH);
        sprintf(key + len + 2 * PULSE_ONCE_HASH, "-%lu", n);
    }
}
