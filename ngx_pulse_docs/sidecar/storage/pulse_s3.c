
#include <time.h>
#include "pulse_log.h"
#include "pulse_s3_request.h"


#define PULSE_S3_UPLOAD   512               /* of an upload's id */
#define PULSE_S3_ANSWER   65536
#define PULSE_S3_PAGE     (4 * 1024 * 1024)
#define PULSE_S3_NAME     1024              /* of an object, at most */
#define PULSE_S3_NUMBER   16


static ngx_int_t pulse_s3_put_parts(const char *object, const char *type,
    const u_char *data, size_t len);
static ngx_int_t pulse_s3_begin(const char *object, const char *type,
    char *upload);
static ngx_int_t pulse_s3_parts(const char *object, const char *upload,
    const u_char *data, size_t len, ngx_pulse_buf_t *parts);
static ngx_int_t pulse_s3_complete(const char *object, const char *upload,
    const ngx_pulse_buf_t *parts);
static ngx_int_t pulse_s3_page(char *page, pulse_s3_list_pt handler,
    void *ctx);
static char *pulse_s3_element(char *xml, const char *name, size_t *len);
static time_t pulse_s3_time(const char *text);


ngx_int_t
pulse_s3_put(const char *object, const char *type, const u_char *data,
    size_t len)
{
    pulse_s3_request_t  q;

    if (len > PULSE_S3_PART) {
        return pulse_s3_put_parts(object, type, data, len);
    }

    ngx_memzero(&q, sizeof(q));

    q.method = "PUT";
    q.object = object;
    q.type = type;
    q.data = data;
    q.len = len;

    return pulse_s3_request(&q);
}


/* An object is there when all of its parts are said to be, and not before. */

static ngx_int_t
pulse_s3_put_parts(const char *object, const char *type, const u_char *data,
    size_t len)
{
    int                  saved;
    char                 upload[PULSE_S3_UPLOAD];
    ngx_int_t            rc;
    ngx_pulse_buf_t      parts;
    pulse_s3_request_t   q;

    if (pulse_s3_begin(object, type, upload) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_init(&parts, 0);

    rc = pulse_s3_parts(object, upload, data, len, &parts);

    if (rc == NGX_OK) {
        rc = pulse_s3_complete(object, upload, &parts);
    }

    if (rc != NGX_OK) {
        saved = errno;

        /* parts that nobody asks for cost money */

        ngx_memzero(&q, sizeof(q));
        q.method = "DELETE";
        q.object = object;
        pulse_s3_argument(&q, "uploadId", upload);

        (void) pulse_s3_request(&q);

        errno = saved;
    }

    ngx_pulse_buf_free(&parts);

    return rc;
}


static ngx_int_t
pulse_s3_begin(const char *object, const char *type, char *upload)
{
    char                *id;
    size_t               len;
    ngx_int_t            rc;
    ngx_pulse_buf_t      out;
    pulse_s3_request_t   q;

    ngx_memzero(&q, sizeof(q));
    ngx_pulse_buf_init(&out, PULSE_S3_ANSWER);

    q.method = "POST";
    q.object = object;
    q.type = type;
    q.out = &out;
    pulse_s3_argument(&q, "uploads", "");

    rc = pulse_s3_request(&q);

    if (rc == NGX_OK) {
        ngx_pulse_buf_char(&out, '\0');

        id = out.failed ? NULL : pulse_s3_element((char *) out.data,
                                                  "UploadId", &len);

        if (id && len < PULSE_S3_UPLOAD) {
            ngx_memcpy(upload, id, len);
            upload[len] = '\0';

        } else {
            pulse_log(PULSE_LOG_ERR, "pulse s3: POST \"%s\": no UploadId",
                      object);
            errno = EIO;
            rc = NGX_ERROR;
        }
    }

    ngx_pulse_buf_free(&out);

    return rc;
}


static ngx_int_t
pulse_s3_parts(const char *object, const char *upload, const u_char *data,
    size_t len, ngx_pulse_buf_t *parts)
{
    char                 number[PULSE_S3_NUMBER];
    size_t               sent;
    ngx_uint_t           n;
    pulse_s3_request_t   q;

    ngx_pulse_buf_literal(parts, "<CompleteMultipartUpload>");

    for (sent = 0, n = 1; sent < len; sent += q.len, n++) {
        ngx_memzero(&q, sizeof(q));

        snprintf(number, sizeof(number), "%lu", n);

        q.method = "PUT";
        q.object = object;
        q.data = data + sent;
        q.len = ngx_min(len - sent, PULSE_S3_PART);
        pulse_s3_argument(&q, "partNumber", number);
        pulse_s3_argument(&q, "uploadId", upload);

        if (pulse_s3_request(&q) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_pulse_buf_literal(parts, "<Part><PartNumber>");
        ngx_pulse_buf_int(parts, n);
        ngx_pulse_buf_literal(parts, "</PartNumber><ETag>");
        ngx_pulse_buf_append(parts, (u_char *) q.etag, strlen(q.etag));
        ngx_pulse_buf_literal(parts, "</ETag></Part>");
    }

    ngx_pulse_buf_literal(parts, "</CompleteMultipartUpload>");

    if (parts->failed) {
        errno = ENOMEM;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_s3_complete(const char *object, const char *upload,
    const ngx_pulse_buf_t *parts)
{
    ngx_int_t            rc;
    ngx_pulse_buf_t      out;
    pulse_s3_request_t   q;

    ngx_memzero(&q, sizeof(q));
    ngx_pulse_buf_init(&out, PULSE_S3_ANSWER);

    q.method = "POST";
    q.object = object;
    q.type = "application/xml";
    q.data = parts->data;
    q.len = parts->len;
    q.out = &out;
    pulse_s3_argument(&q, "uploadId", upload);

    rc = pulse_s3_request(&q);

    /* the status comes before it is known whether it works out */

    if (rc == NGX_OK) {
        ngx_pulse_buf_char(&out, '\0');

        if (out.failed
            || strstr((char *) out.data, "<CompleteMultipartUploadResult")
               == NULL)
        {
            pulse_log(PULSE_LOG_ERR, "pulse s3: POST \"%s\": the parts were"
                      " not put together", object);
            errno = EIO;
            rc = NGX_ERROR;
        }
    }

    ngx_pulse_buf_free(&out);

    return rc;
}


ngx_int_t
pulse_s3_get(const char *object, ngx_pulse_buf_t *b)
{
    pulse_s3_request_t  q;

    ngx_memzero(&q, sizeof(q));

    q.method = "GET";
    q.object = object;
    q.out = b;

    return pulse_s3_request(&q);
}


ngx_int_t
pulse_s3_remove(const char *object)
{
    pulse_s3_request_t  q;

    ngx_memzero(&q, sizeof(q));

    q.method = "DELETE";
    q.object = object;

    return (pulse_s3_request(&q) == NGX_OK || errno == ENOENT) ? NGX_OK
                                                               : NGX_ERROR;
}


ngx_int_t
pulse_s3_list(const char *prefix, pulse_s3_list_pt handler, void *ctx)
{
    char                *next, from[PULSE_S3_NAME];
    size_t               len;
    ngx_int_t            rc;
    ngx_pulse_buf_t      out;
    pulse_s3_request_t   q;

    from[0] = '\0';
    ngx_pulse_buf_init(&out, PULSE_S3_PAGE);

    do {
        ngx_memzero(&q, sizeof(q));

        q.method = "GET";
        q.object = "";
        q.out = &out;
        pulse_s3_argument(&q, "list-type", "2");

        if (prefix[0] != '\0') {
            pulse_s3_argument(&q, "prefix", prefix);
        }

        if (from[0] != '\0') {
            pulse_s3_argument(&q, "continuation-token", from);
        }

        rc = pulse_s3_request(&q);

        if (rc != NGX_OK) {
            break;
        }

        ngx_pulse_buf_char(&out, '\0');

        if (out.failed) {
            errno = EFBIG;
            rc = NGX_ERROR;
            break;
        }

        next = pulse_s3_element((char *) out.data, "NextContinuationToken",
                                &len);
        from[0] = '\0';

        if (next && len < PULSE_S3_NAME) {
            ngx_memcpy(from, next, len);
            from[len] = '\0';
        }

        rc = pulse_s3_page((char *) out.data, handler, ctx);

    } while (rc == NGX_OK && from[0] != '\0');

    ngx_pulse_buf_free(&out);

    return rc;
}


static ngx_int_t
pulse_s3_page(char *page, pulse_s3_list_pt handler, void *ctx)
{
    char       *p, *key, *modified;
    size_t      len;
    ngx_str_t   object;

    for (p = strstr(page, "<Contents>"); p; p = strstr(p + 1, "<Contents>")) {

        key = pulse_s3_element(p, "Key", &object.len);
        modified = pulse_s3_element(p, "LastModified", &len);

        if (key == NULL || modified == NULL) {
            break;
        }

        object.data = (u_char *) key;

        if (handler(ctx, &object, pulse_s3_time(modified)) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The text of the first such element, as it is written. */

static char *
pulse_s3_element(char *xml, const char *name, size_t *len)
{
    char  tag[64], *p, *end;

    snprintf(tag, sizeof(tag), "<%s>", name);
    p = strstr(xml, tag);

    if (p == NULL) {
        return NULL;
    }

    p += strlen(tag);

    snprintf(tag, sizeof(tag), "</%s>", name);
    end = strstr(p, tag);

    if (end == NULL) {
        return NULL;
    }

    *len = end - p;

    return p;
}


/* One that cannot be read is as young as can be. */

static time_t
pulse_s3_time(const char *text)
{
    struct tm  tm;

    ngx_memzero(&tm, sizeof(tm));

    return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm)
                                                    : time(NULL);
}
