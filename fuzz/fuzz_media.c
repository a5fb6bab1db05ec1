
#include "unit.h"
#include "pulse_base64.h"
#include "pulse_json_stream.h"
#include "pulse_multipart.h"


/*
 * What is read as it arrives says the same however it is cut.  The first byte
 * chooses a JSON text or a form, and how the pieces are.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ngx_int_t fuzz_run(ngx_pulse_buf_t *told, ngx_uint_t form,
    const uint8_t *data, size_t size, size_t piece);
static ngx_int_t fuzz_json(ngx_pulse_buf_t *told, const uint8_t *data,
    size_t size, size_t piece);
static ngx_int_t fuzz_form(ngx_pulse_buf_t *told, const uint8_t *data,
    size_t size, size_t piece);
static pulse_json_want_e fuzz_wanted(void *ctx, const char *path);
static ngx_int_t fuzz_value(void *ctx, const char *path,
    const ngx_str_t *text);
static ngx_int_t fuzz_piece(void *ctx, const char *path, const u_char *p,
    size_t len);
static ngx_int_t fuzz_part(void *ctx, const pulse_multipart_part_t *part);
static ngx_int_t fuzz_data(void *ctx, const u_char *p, size_t len);


static const pulse_json_stream_pt  fuzz_json_handlers = {
    fuzz_wanted, fuzz_value, fuzz_piece
};

static const pulse_multipart_pt  fuzz_form_handlers = {
    fuzz_part, fuzz_data
};

static pulse_base64_t  fuzz_base64;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t        one, two;
    ngx_pulse_buf_t  whole, parts;

    if (size < 1) {
        return 0;
    }

    ngx_pulse_buf_init(&whole, 0);
    ngx_pulse_buf_init(&parts, 0);

    one = fuzz_run(&whole, data[0] & 1, data + 1, size - 1, size);
    two = fuzz_run(&parts, data[0] & 1, data + 1, size - 1,
                   (data[0] >> 1) % 16 + 1);

    if (one != two) {
        abort();
    }

    /* of what is wrong a part may have been told */

    if (one == NGX_OK
        && (whole.len != parts.len
            || (whole.len
                && memcmp(whole.data, parts.data, whole.len) != 0)))
    {
        abort();
    }

    ngx_pulse_buf_free(&whole);
    ngx_pulse_buf_free(&parts);

    return 0;
}


static ngx_int_t
fuzz_run(ngx_pulse_buf_t *told, ngx_uint_t form, const uint8_t *data,
    size_t size, size_t piece)
{
    pulse_base64_init(&fuzz_base64);

    return form ? fuzz_form(told, data, size, piece)
                : fuzz_json(told, data, size, piece);
}


static ngx_int_t
fuzz_json(ngx_pulse_buf_t *told, const uint8_t *data, size_t size,
    size_t piece)
{
    size_t                n;
    ngx_int_t             rc;
    pulse_json_stream_t  *s;

    s = malloc(sizeof(pulse_json_stream_t));
    rc = NGX_OK;

    pulse_json_stream_init(s, &fuzz_json_handlers, told);

    for ( /* void */ ; size && rc == NGX_OK; data += n, size -= n) {
        n = ngx_min(piece, size);
        rc = pulse_json_stream_feed(s, data, n);
    }

    if (rc == NGX_OK) {
        rc = pulse_json_stream_end(s);
    }

    pulse_json_stream_free(s);
    free(s);

    return rc;
}


static ngx_int_t
fuzz_form(ngx_pulse_buf_t *told, const uint8_t *data, size_t size,
    size_t piece)
{
    size_t              n;
    ngx_int_t           rc;
    ngx_str_t           type;
    pulse_multipart_t  *m;

    m = malloc(sizeof(pulse_multipart_t));

    ngx_str_set(&type, "multipart/form-data; boundary=B");

    rc = pulse_multipart_init(m, &type, &fuzz_form_handlers, told);

    for ( /* void */ ; size && rc == NGX_OK; data += n, size -= n) {
        n = ngx_min(piece, size);
        rc = pulse_multipart_feed(m, data, n);
    }

    if (rc == NGX_OK) {
        rc = pulse_multipart_end(m);
    }

    free(m);

    return rc;
}


static pulse_json_want_e
fuzz_wanted(void *ctx, const char *path)
{
    return strlen(path) % 3;
}


static ngx_int_t
fuzz_value(void *ctx, const char *path, const ngx_str_t *text)
{
    ngx_pulse_buf_append(ctx, (u_char *) path, strlen(path));
    ngx_pulse_buf_str((ngx_pulse_buf_t *) ctx, text);

    return NGX_OK;
}


/* Some strings are told as they are, the others decoded. */

static ngx_int_t
fuzz_piece(void *ctx, const char *path, const u_char *p, size_t len)
{
    u_char   *out;
    ssize_t   n;

    if (strlen(path) & 1) {
        ngx_pulse_buf_append(ctx, p, len);
        return NGX_OK;
    }

    out = malloc(pulse_base64_room(len));

    n = len ? pulse_base64_decode(&fuzz_base64, p, len, out)
            : pulse_base64_end(&fuzz_base64, out);

    if (n > 0) {
        ngx_pulse_buf_append(ctx, out, n);
    }

    free(out);

    if (len == 0) {
        pulse_base64_init(&fuzz_base64);
    }

    return n < 0 ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
fuzz_part(void *ctx, const pulse_multipart_part_t *part)
{
    ngx_pulse_buf_append(ctx, (u_char *) part->name, strlen(part->name));
    ngx_pulse_buf_append(ctx, (u_char *) part->type, strlen(part->type));
    ngx_pulse_buf_char(ctx, part->file ? 'f' : '-');

    return NGX_OK;
}


static ngx_int_t
fuzz_data(void *ctx, const u_char *p, size_t len)
{
    ngx_pulse_buf_append(ctx, p, len);

    return NGX_OK;
}
