
#include <unistd.h>
#include "pulse_file.h"
#include "pulse_log.h"
#include "pulse_parts.h"
#include "pulse_shelf.h"


static void pulse_parts_cleanup(void *data);
static ngx_int_t pulse_parts_ended(pulse_parts_t *parts, pulse_part_t *part);
static ngx_int_t pulse_parts_write(pulse_parts_t *parts, pulse_part_t *part,
    const u_char *p, size_t len);
static ngx_int_t pulse_parts_failed(pulse_parts_t *parts);


static const pulse_multipart_pt  pulse_parts_handlers = {
    pulse_parts_part, pulse_parts_data
};


ngx_int_t
pulse_parts_begin(pulse_http_request_t *r)
{
    ngx_str_t            type;
    ngx_uint_t           form;
    pulse_parts_t       *parts;
    ngx_pool_cleanup_t  *cleanup;

    static const char  multipart[] = "multipart/form-data";

    type = pulse_http_header(r, "Content-Type");

    form = (type.len >= sizeof(multipart) - 1
            && strncasecmp((char *) type.data, multipart,
                           sizeof(multipart) - 1) == 0);

    if (!form && r->studio) {
        return NGX_OK;
    }

    parts = ngx_pcalloc(r->pool, sizeof(pulse_parts_t));
    cleanup = ngx_pool_cleanup_add(r->pool, 0);

    if (parts == NULL || cleanup == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_init(&parts->text, PULSE_PARTS_TEXT);

    parts->digest = EVP_MD_CTX_new();

    cleanup->handler = pulse_parts_cleanup;
    cleanup->data = parts;

    if (parts->digest == NULL
        || !EVP_DigestInit_ex(parts->digest, EVP_sha256(), NULL))
    {
        return NGX_ERROR;
    }

    r->parts = parts;

    if (!form) {

        /* nginx lets only these two kinds pass */

        pulse_parts_json_init(parts);
        return NGX_OK;
    }

    if (pulse_multipart_init(&parts->reader, &type, &pulse_parts_handlers,
                             parts)
        != NGX_OK)
    {
        parts->reason = "the form has no usable boundary";
    }

    return NGX_OK;
}


static void
pulse_parts_cleanup(void *data)
{
    pulse_parts_t *parts = data;

    ngx_uint_t  i;

    for (i = 0; i < parts->n; i++) {
        if (parts->elts[i].fd != -1) {
            close(parts->elts[i].fd);
        }

        free(parts->elts[i].text.data);
    }

    if (parts->object) {
        pulse_json_stream_free(&parts->json);
    }

    ngx_pulse_buf_free(&parts->text);
    EVP_MD_CTX_free(parts->digest);
}


void
pulse_parts_feed(pulse_parts_t *parts, const u_char *p, size_t len)
{
    if (parts->reason || parts->failed || parts->too_large) {
        return;
    }

    if (parts->object) {
        pulse_parts_json_feed(parts, p, len);
        return;
    }

    if (pulse_multipart_feed(&parts->reader, p, len) != NGX_OK) {
        parts->reason = parts->reader.reason;
    }
}


ngx_int_t
pulse_parts_end(pulse_parts_t *parts)
{
    if (parts->reason || parts->failed || parts->too_large) {
        return NGX_DECLINED;
    }

    if (parts->object) {
        return pulse_parts_json_end(parts);
    }

    if (pulse_multipart_end(&parts->reader) != NGX_OK) {
        parts->reason = parts->reader.reason;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


int
pulse_parts_digest(pulse_parts_t *parts, EVP_MD_CTX *digest)
{
    unsigned       len;
    unsigned char  hash[EVP_MAX_MD_SIZE];

    return EVP_DigestFinal_ex(parts->digest, hash, &len)
           && EVP_DigestUpdate(digest, hash, len);
}


ngx_int_t
pulse_parts_part(void *ctx, const pulse_multipart_part_t *header)
{
    pulse_parts_t *parts = ctx;

    pulse_part_t  *part;

    part = &parts->elts[parts->n++];

    memcpy(part->name, header->name, sizeof(part->name));
    memcpy(part->type, header->type, sizeof(part->type));
    part->fd = -1;

    parts->text.len = 0;

    /* names may hold no NUL, so that it tells where one ends */

    if (!EVP_DigestUpdate(parts->digest, part->name, strlen(part->name) + 1))
    {
        return pulse_parts_failed(parts);
    }

    if (header->file) {
        part->fd = pulse_shelf_scratch();

        if (part->fd == -1) {
            return pulse_parts_failed(parts);
        }
    }

    return NGX_OK;
}


ngx_int_t
pulse_parts_data(void *ctx, const u_char *p, size_t len)
{
    pulse_parts_t *parts = ctx;

    pulse_part_t  *part;

    part = &parts->elts[parts->n - 1];

    if (len == 0) {
        return pulse_parts_ended(parts, part);
    }

    part->size += len;

    if (!EVP_DigestUpdate(parts->digest, p, len)) {
        return pulse_parts_failed(parts);
    }

    if (part->fd != -1) {
        return pulse_parts_write(parts, part, p, len);
    }

    parts->texts += len;

    if (parts->texts > PULSE_PARTS_TEXT) {
        parts->too_large = 1;
        return NGX_ERROR;
    }

    ngx_pulse_buf_append(&parts->text, p, len);

    return parts->text.failed ? pulse_parts_failed(parts) : NGX_OK;
}


/* The length makes it certain where one part ends in what was hashed. */

static ngx_int_t
pulse_parts_ended(pulse_parts_t *parts, pulse_part_t *part)
{
    if (!EVP_DigestUpdate(parts->digest, &part->size, sizeof(part->size))) {
        return pulse_parts_failed(parts);
    }

    if (part->fd != -1) {
        return NGX_OK;
    }

    part->text.data = malloc(parts->text.len + 1);

    if (part->text.data == NULL) {
        return pulse_parts_failed(parts);
    }

    part->text.len = parts->text.len;

    /* nothing was allocated for parts that are empty */

    if (part->text.len) {
        memcpy(part->text.data, parts->text.data, part->text.len);
    }

    part->text.data[part->text.len] = '\0';

    return NGX_OK;
}


static ngx_int_t
pulse_parts_write(pulse_parts_t *parts, pulse_part_t *part, const u_char *p,
    size_t len)
{
    parts->files += len;

    if (part->size > PULSE_PARTS_FILE || parts->files > PULSE_PARTS_ALL) {
        parts->too_large = 1;
        return NGX_ERROR;
    }

    return (pulse_file_append(part->fd, p, len) == NGX_OK)
           ? NGX_OK : pulse_parts_failed(parts);
}


static ngx_int_t
pulse_parts_failed(pulse_parts_t *parts)
{
    parts->failed = 1;

    pulse_log(PULSE_LOG_ERR, "pulse parts: a form cannot be taken: %s",
              strerror(errno));

    return NGX_ERROR;
}
