
#include <time.h>
#include "ngx_pulse_id.h"
#include "pulse_links.h"
#include "pulse_s3.h"
#include "pulse_shelf.h"


#define PULSE_LINKS_TIME  300           /* seconds that one lives */


static void pulse_links_bucket(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const pulse_s3_link_t *link);
static void pulse_links_form(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const pulse_s3_link_t *link);
static void pulse_links_sign(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    ngx_pulse_link_t *link, const u_char *id, const ngx_str_t *name);


void
pulse_links_download(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const u_char *id, const char *type, const ngx_str_t *name)
{
    time_t  end;
    u_char  expires[24];

    ngx_pulse_buf_literal(b, "\"download_url\":");

    end = pulse_links_url(r, b, id, type, name);
    ngx_pulse_rfc3339(expires, end * 1000);

    ngx_pulse_buf_literal(b, ",\"expires_at\":\"");
    ngx_pulse_buf_append(b, expires, sizeof(expires));
    ngx_pulse_buf_char(b, '"');
}


time_t
pulse_links_url(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const u_char *id, const char *type, const ngx_str_t *name)
{
    char              object[PULSE_SHELF_OBJECT];
    pulse_s3_link_t   there;
    ngx_pulse_buf_t   disposition;
    ngx_pulse_link_t  here;

    here.method = "GET";
    here.expires = time(NULL) + PULSE_LINKS_TIME;
    here.size = -1;

    if (pulse_shelf_is_bucket()) {
        ngx_pulse_buf_init(&disposition, 0);
        ngx_pulse_buf_literal(&disposition, "attachment; filename*=UTF-8''");
        ngx_pulse_link_escape(&disposition, name);

        pulse_shelf_object(object, id, 0);

        there.method = "GET";
        there.object.data = (u_char *) object;
        there.object.len = strlen(object);
        there.type = type;
        there.disposition.data = disposition.data;
        there.disposition.len = disposition.len;
        there.expires = PULSE_LINKS_TIME;

        pulse_links_bucket(r, b, &there);

        b->failed |= disposition.failed;
        ngx_pulse_buf_free(&disposition);

    } else {
        pulse_links_sign(r, b, &here, id, name);
    }

    return here.expires;
}


void
pulse_links_upload(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const u_char *id, const char *type, size_t size, ngx_uint_t form)
{
    char              object[PULSE_SHELF_OBJECT];
    ngx_str_t         none;
    pulse_s3_link_t   there;
    ngx_pulse_link_t  here;

    pulse_shelf_object(object, id, 1);

    there.method = "PUT";
    there.object.data = (u_char *) object;
    there.object.len = strlen(object);
    there.type = type;
    there.size = size;
    there.expires = PULSE_LINKS_TIME;

    ngx_pulse_buf_literal(b, "\"expires_in\":");
    ngx_pulse_buf_int(b, PULSE_LINKS_TIME);
    ngx_pulse_buf_literal(b, ",\"upload_url\":");

    if (form) {
        pulse_links_form(r, b, &there);
        return;
    }

    if (pulse_shelf_is_bucket()) {
        pulse_links_bucket(r, b, &there);

    } else {
        here.method = "PUT";
        here.expires = time(NULL) + PULSE_LINKS_TIME;
        here.size = size;
        ngx_str_null(&none);

        pulse_links_sign(r, b, &here, id, &none);
    }

    ngx_pulse_buf_literal(b, ",\"method\":\"PUT\",\"headers\":"
                          "{\"Content-Type\":");
    ngx_pulse_buf_json(b, (u_char *) type, strlen(type));
    ngx_pulse_buf_char(b, '}');
}


static void
pulse_links_bucket(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const pulse_s3_link_t *link)
{
    ngx_pulse_buf_t  url;

    ngx_pulse_buf_init(&url, 0);

    if (pulse_s3_link(r->pool, link, &url) != NGX_OK) {
        b->failed = 1;
    }

    ngx_pulse_buf_json(b, url.data, url.len);
    ngx_pulse_buf_free(&url);
}


static void
pulse_links_form(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    const pulse_s3_link_t *link)
{
    ngx_pulse_buf_t  url, fields;

    ngx_pulse_buf_init(&url, 0);
    ngx_pulse_buf_init(&fields, 0);

    if (pulse_s3_form(r->pool, link, &url, &fields) != NGX_OK) {
        b->failed = 1;
    }

    ngx_pulse_buf_json(b, url.data, url.len);
    ngx_pulse_buf_literal(b, ",\"method\":\"POST\",\"fields\":");
    ngx_pulse_buf_append(b, fields.data, fields.len);

    ngx_pulse_buf_free(&url);
    ngx_pulse_buf_free(&fields);
}


/* The address as a JSON string; what is signed is the path as nginx reads
 * it. */

static void
pulse_links_sign(pulse_http_request_t *r, ngx_pulse_buf_t *b,
    ngx_pulse_link_t *link, const u_char *id, const ngx_str_t *name)
{
    u_char           signature[NGX_PULSE_LINK_SIGNATURE_LEN];
    ngx_str_t        base;
    ngx_pulse_buf_t  path, url;

    ngx_pulse_buf_init(&path, 0);
    ngx_pulse_buf_init(&url, 0);

    ngx_pulse_buf_literal(&path, "/files/");
    ngx_pulse_buf_append(&path, id, PULSE_SHELF_ID);

    base = pulse_http_header(r, "X-Pulse-Url");

    ngx_pulse_buf_str(&url, &base);
    ngx_pulse_buf_str(&url, &path);

    if (name->len) {
        ngx_pulse_buf_char(&path, '/');
        ngx_pulse_buf_str(&path, name);

        ngx_pulse_buf_char(&url, '/');
        ngx_pulse_link_escape(&url, name);
    }

    link->path.data = path.data;
    link->path.len = path.len;

    if (path.failed
        || ngx_pulse_link_sign(pulse_shelf_key(), link, signature) != NGX_OK)
    {
        b->failed = 1;
    }

    ngx_pulse_buf_literal(&url, "?expires=");
    ngx_pulse_buf_int(&url, link->expires);

    if (link->size != -1) {
        ngx_pulse_buf_literal(&url, "&size=");
        ngx_pulse_buf_int(&url, link->size);
    }

    ngx_pulse_buf_literal(&url, "&signature=");
    ngx_pulse_buf_append(&url, signature, sizeof(signature));

    ngx_pulse_buf_json(b, url.data, url.len);
    b->failed |= url.failed;

    ngx_pulse_buf_free(&path);
    ngx_pulse_buf_free(&url);
}
