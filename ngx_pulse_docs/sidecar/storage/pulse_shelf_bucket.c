
#include <sys/mman.h>
#include <sys/stat.h>
#include "ngx_pulse_id.h"
#include "pulse_file.h"
#include "pulse_s3.h"
#include "pulse_shelf_kind.h"


#define PULSE_SHELF_QUARANTINE  "quarantine/"


typedef struct {
    pulse_shelf_pt   handler;
    void            *ctx;
    time_t           before;
} pulse_shelf_walk_t;


static ngx_int_t pulse_shelf_bucket_write(const u_char *id, const char *type,
    const u_char *data, size_t len);
static int pulse_shelf_bucket_draft(const u_char *id);
static ngx_int_t pulse_shelf_bucket_keep(const u_char *id, const char *type,
    int fd);
static void pulse_shelf_bucket_drop(const u_char *id);
static int pulse_shelf_bucket_take(const u_char *id, size_t max);
static ngx_int_t pulse_shelf_bucket_read(const u_char *id,
    ngx_pulse_buf_t *b);
static ngx_int_t pulse_shelf_bucket_quarantined(const u_char *id,
    ngx_pulse_buf_t *b);
static ngx_int_t pulse_shelf_bucket_remove(const u_char *id);
static ngx_int_t pulse_shelf_bucket_discard(const u_char *id);
static ngx_int_t pulse_shelf_bucket_walk(time_t age, pulse_shelf_pt handler,
    void *ctx);
static ngx_int_t pulse_shelf_bucket_seen(void *ctx, const ngx_str_t *object,
    time_t modified);


const pulse_shelf_kind_t  pulse_shelf_bucket = {
    pulse_shelf_bucket_write,
    pulse_shelf_bucket_draft,
    pulse_shelf_bucket_keep,
    pulse_shelf_bucket_drop,
    pulse_shelf_bucket_take,
    pulse_shelf_bucket_read,
    pulse_shelf_bucket_quarantined,
    pulse_shelf_bucket_remove,
    pulse_shelf_bucket_discard,
    pulse_shelf_bucket_walk
};


void
pulse_shelf_object(char *object, const u_char *id, ngx_uint_t quarantine)
{
    if (quarantine) {
        snprintf(object, PULSE_SHELF_OBJECT, PULSE_SHELF_QUARANTINE "%.*s",
                 PULSE_SHELF_ID, id);

    } else {
        snprintf(object, PULSE_SHELF_OBJECT, "%.2s/%.*s",
                 id + PULSE_SHELF_ID - 2, PULSE_SHELF_ID, id);
    }
}


static ngx_int_t
pulse_shelf_bucket_write(const u_char *id, const char *type,
    const u_char *data, size_t len)
{
    char  object[PULSE_SHELF_OBJECT];

    pulse_shelf_object(object, id, 0);

    return pulse_s3_put(object, type, data, len);
}


/* On this machine, without a name, until it is whole. */

static int
pulse_shelf_bucket_draft(const u_char *id)
{
    int   fd;
    char  path[] = "/var/tmp/pulse-draft.XXXXXX";

    fd = mkostemp(path, O_CLOEXEC);

    if (fd != -1) {
        (void) unlink(path);
    }

    return fd;
}


static ngx_int_t
pulse_shelf_bucket_keep(const u_char *id, const char *type, int fd)
{
    int           saved;
    void         *data;
    ngx_int_t     rc;
    struct stat   sb;

    if (fstat(fd, &sb) == -1) {
        return NGX_ERROR;
    }

    if (sb.st_size == 0) {
        return pulse_shelf_bucket_write(id, type, (u_char *) "", 0);
    }

    /* of the page cache's pages, which the kernel may take back */

    data = mmap(NULL, sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    if (data == MAP_FAILED) {
        return NGX_ERROR;
    }

    rc = pulse_shelf_bucket_write(id, type, data, sb.st_size);

    saved = errno;
    munmap(data, sb.st_size);
    errno = saved;

    return rc;
}


static void
pulse_shelf_bucket_drop(const u_char *id)
{
    /* it goes with its descriptor */
}


static int
pulse_shelf_bucket_take(const u_char *id, size_t max)
{
    int              fd, saved;
    ngx_int_t        rc;
    ngx_pulse_buf_t  b;

    fd = pulse_shelf_bucket_draft(id);
    if (fd == -1) {
        return -1;
    }

    ngx_pulse_buf_init(&b, max + 1);

    rc = pulse_shelf_bucket_read(id, &b);

    if (rc == NGX_OK) {
        rc = pulse_file_append(fd, b.data, b.len);
    }

    saved = errno;
    ngx_pulse_buf_free(&b);

    if (rc != NGX_OK) {
        close(fd);
        fd = -1;
    }

    errno = saved;

    return fd;
}


static ngx_int_t
pulse_shelf_bucket_read(const u_char *id, ngx_pulse_buf_t *b)
{
    char  object[PULSE_SHELF_OBJECT];

    pulse_shelf_object(object, id, 0);

    return pulse_s3_get(object, b);
}


static ngx_int_t
pulse_shelf_bucket_quarantined(const u_char *id, ngx_pulse_buf_t *b)
{
    char  object[PULSE_SHELF_OBJECT];

    pulse_shelf_object(object, id, 1);

    return pulse_s3_get(object, b);
}


static ngx_int_t
pulse_shelf_bucket_remove(const u_char *id)
{
    char  object[PULSE_SHELF_OBJECT];

    pulse_shelf_object(object, id, 0);

    return pulse_s3_remove(object);
}


static ngx_int_t
pulse_shelf_bucket_discard(const u_char *id)
{
    char  object[PULSE_SHELF_OBJECT];

    pulse_shelf_object(object, id, 1);

    return pulse_s3_remove(object);
}


static ngx_int_t
pulse_shelf_bucket_walk(time_t age, pulse_shelf_pt handler, void *ctx)
{
    pulse_shelf_walk_t  walk;

    walk.handler = handler;
    walk.ctx = ctx;
    walk.before = time(NULL) - age;

    return pulse_s3_list("", pulse_shelf_bucket_seen, &walk);
}


/* What has another name is not of this studio, and is left alone. */

static ngx_int_t
pulse_shelf_bucket_seen(void *ctx, const ngx_str_t *object, time_t modified)
{
    pulse_shelf_walk_t *walk = ctx;

    char        name[PULSE_SHELF_OBJECT];
    ngx_str_t   id;
    ngx_uint_t  quarantine;

    if (object->len < PULSE_SHELF_ID || modified > walk->before) {
        return NGX_OK;
    }

    id.data = object->data + object->len - PULSE_SHELF_ID;
    id.len = PULSE_SHELF_ID;

    if (!ngx_pulse_uuid_valid(&id)) {
        return NGX_OK;
    }

    for (quarantine = 0; quarantine < 2; quarantine++) {
        pulse_shelf_object(name, id.data, quarantine);

        if (strlen(name) == object->len
            && memcmp(name, object->data, object->len) == 0)
        {
            return walk->handler(walk->ctx, id.data, quarantine);
        }
    }

    return NGX_OK;
}
