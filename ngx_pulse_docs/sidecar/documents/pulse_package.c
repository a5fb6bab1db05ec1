
#include <malloc.h>
#include <zip.h>
#include "pulse_package.h"


/* 1980-01-01 00:00, the first that a ZIP archive can tell; with the DOS form
 * there is no time zone in it */

#define PULSE_PACKAGE_DATE  ((1 << 5) | 1)
#define PULSE_PACKAGE_TIME  0

#define PULSE_PACKAGE_MAPPED  (1024 * 1024)
#define PULSE_PACKAGE_KEPT    (8 * 1024 * 1024)


typedef struct pulse_package_copied_s  pulse_package_copied_t;

struct pulse_package_copied_s {
    zip_t                   *zip;
    pulse_package_copied_t  *next;
};


struct pulse_package_s {
    zip_t                   *zip;
    zip_source_t            *archive;
    pulse_package_copied_t  *copied;    /* read when the package is written */
    ngx_pool_t              *pool;
};


struct pulse_parts_s {
    ngx_pulse_buf_t          archive;
};


static ngx_int_t pulse_package_start(pulse_package_t *package);
static void pulse_package_discard(void *data);
static ngx_int_t pulse_package_list(pulse_package_t *package,
    const pulse_part_t *part);
static ngx_int_t pulse_package_put(pulse_package_t *package,
    const char *name, zip_source_t *source, zip_int32_t method);
static ngx_int_t pulse_package_read(zip_source_t *archive,
    ngx_pulse_buf_t *out);


void
pulse_package_init(void)
{
    /* what is larger than a part's buffers still goes back at once */

    (void) mallopt(M_MMAP_THRESHOLD, PULSE_PACKAGE_MAPPED);
    (void) mallopt(M_TRIM_THRESHOLD, PULSE_PACKAGE_KEPT);
}


pulse_parts_t *
pulse_package_parts(const pulse_part_t *list)
{
    pulse_parts_t    *parts;
    pulse_package_t   package;

    parts = calloc(1, sizeof(pulse_parts_t));
    if (parts == NULL) {
        return NULL;
    }

    ngx_memzero(&package, sizeof(pulse_package_t));
    ngx_pulse_buf_init(&parts->archive, 0);

    if (pulse_package_start(&package) == NGX_OK
        && pulse_package_list(&package, list) == NGX_OK
        && pulse_package_finish(&package, &parts->archive) == NGX_OK)
    {
        return parts;
    }

    pulse_package_discard(&package);
    pulse_package_free_parts(parts);

    return NULL;
}


void
pulse_package_free_parts(pulse_parts_t *parts)
{
    ngx_pulse_buf_free(&parts->archive);
    free(parts);
}


pulse_package_t *
pulse_package_create(ngx_pool_t *pool)
{
    pulse_package_t     *package;
    ngx_pool_cleanup_t  *cleanup;

    package = ngx_pcalloc(pool, sizeof(pulse_package_t));
    if (package == NULL) {
        return NULL;
    }

    cleanup = ngx_pool_cleanup_add(pool, 0);
    if (cleanup == NULL) {
        return NULL;
    }

    package->pool = pool;

    cleanup->handler = pulse_package_discard;
    cleanup->data = package;

    return pulse_package_start(package) == NGX_OK ? package : NULL;
}


static ngx_int_t
pulse_package_start(pulse_package_t *package)
{
    package->archive = zip_source_buffer_create(NULL, 0, 0, NULL);
    if (package->archive == NULL) {
        return NGX_ERROR;
    }

    package->zip = zip_open_from_source(package->archive,
                                        ZIP_CREATE|ZIP_TRUNCATE, NULL);
    if (package->zip == NULL) {
        zip_source_free(package->archive);
        package->archive = NULL;
        return NGX_ERROR;
    }

    /* one reference is the archive's; the bytes are read after its end */

    zip_source_keep(package->archive);

    return NGX_OK;
}


static void
pulse_package_discard(void *data)
{
    pulse_package_t  *package = data;

    if (package->zip) {
        zip_discard(package->zip);
        package->zip = NULL;
    }

    if (package->archive) {
        zip_source_free(package->archive);
        package->archive = NULL;
    }

    while (package->copied) {
        zip_discard(package->copied->zip);
        package->copied = package->copied->next;
    }
}


static ngx_int_t
pulse_package_list(pulse_package_t *package, const pulse_part_t *part)
{
    zip_source_t  *source;

    for ( /* void */ ; part->name; part++) {
        source = zip_source_buffer_create(part->text, strlen(part->text), 0,
                                          NULL);

        if (pulse_package_put(package, part->name, source, ZIP_CM_DEFLATE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
pulse_package_copy(pulse_package_t *package, pulse_parts_t *parts)
{
    zip_int64_t              i, n;
    zip_source_t            *source;
    pulse_package_copied_t  *copied;

    copied = ngx_palloc(package->pool, sizeof(pulse_package_copied_t));
    if (copied == NULL) {
        return NGX_ERROR;
    }

    source = zip_source_buffer_create(parts->archive.data, parts->archive.len,
                                      0, NULL);
    if (source == NULL) {
        return NGX_ERROR;
    }

    copied->zip = zip_open_from_source(source, ZIP_RDONLY, NULL);
    if (copied->zip == NULL) {
        zip_source_free(source);
        return NGX_ERROR;
    }

    copied->next = package->copied;
    package->copied = copied;

    n = zip_get_num_entries(copied->zip, 0);

    for (i = 0; i < n; i++) {

        /* as a whole, so without inflating it */

        source = zip_source_zip(package->zip, copied->zip, i, 0, 0, -1);

        if (pulse_package_put(package, zip_get_name(copied->zip, i, 0),
                              source, ZIP_CM_DEFAULT)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
pulse_package_add(pulse_package_t *package, const char *name,
    ngx_pulse_buf_t *b)
{
    zip_source_t  *source;

    if (b->failed) {
        ngx_pulse_buf_free(b);
        return NGX_ERROR;
    }

    source = zip_source_buffer_create(b->data, b->len, 1, NULL);
    if (source == NULL) {
        ngx_pulse_buf_free(b);
        return NGX_ERROR;
    }

    /* the source frees the bytes */

    b->data = NULL;
    ngx_pulse_buf_free(b);

    return pulse_package_put(package, name, source, ZIP_CM_DEFLATE);
}


ngx_int_t
pulse_package_store(pulse_package_t *package, const char *name,
    const ngx_str_t *data)
{
    zip_source_t  *source;

    source = zip_source_buffer_create(data->data, data->len, 0, NULL);

    return pulse_package_put(package, name, source, ZIP_CM_STORE);
}


static ngx_int_t
pulse_package_put(pulse_package_t *package, const char *name,
    zip_source_t *source, zip_int32_t method)
{
    zip_int64_t  i;

    if (source == NULL) {
        return NGX_ERROR;
    }

    i = zip_file_add(package->zip, name, source, ZIP_FL_ENC_UTF_8);

    if (i == -1) {
        zip_source_free(source);
        return NGX_ERROR;
    }

    if (method != ZIP_CM_DEFAULT
        && zip_set_file_compression(package->zip, i, method, 0) != 0)
    {
        return NGX_ERROR;
    }

    return zip_file_set_dostime(package->zip, i, PULSE_PACKAGE_TIME,
                                PULSE_PACKAGE_DATE, 0)
           ? NGX_ERROR : NGX_OK;
}


ngx_int_t
pulse_package_finish(pulse_package_t *package, ngx_pulse_buf_t *out)
{
    ngx_int_t  rc;

    rc = NGX_ERROR;

    if (zip_close(package->zip) == 0) {
        package->zip = NULL;
        rc = pulse_package_read(package->archive, out);
    }

    pulse_package_discard(package);

    return rc;
}


static ngx_int_t
pulse_package_read(zip_source_t *archive, ngx_pulse_buf_t *out)
{
    u_char       *p;
    zip_stat_t    st;
    zip_int64_t   n;

    if (zip_source_stat(archive, &st) != 0 || !(st.valid & ZIP_STAT_SIZE)) {
        return NGX_ERROR;
    }

    p = ngx_pulse_buf_reserve(out, st.size);

    if (p == NULL || zip_source_open(archive) != 0) {
        return NGX_ERROR;
    }

    n = zip_source_read(archive, p, st.size);

    zip_source_close(archive);

    if (n < 0 || (zip_uint64_t) n != st.size) {
        return NGX_ERROR;
    }

    out->len += n;

    return NGX_OK;
}
