
#include "ngx_pulse_id.h"
#include "pulse_shelf_kind.h"


static const pulse_shelf_kind_t  *pulse_shelf_kind = &pulse_shelf_disk;


ngx_int_t
pulse_shelf_open(const char *dir, const char *key)
{
    pulse_shelf_kind = &pulse_shelf_disk;

    return pulse_shelf_disk_open(dir, key);
}


void
pulse_shelf_open_bucket(void)
{
    pulse_shelf_kind = &pulse_shelf_bucket;
}


ngx_uint_t
pulse_shelf_is_bucket(void)
{
    return pulse_shelf_kind == &pulse_shelf_bucket;
}


ngx_int_t
pulse_shelf_write(const u_char *id, const char *type, const u_char *data,
    size_t len)
{
    return pulse_shelf_kind->write(id, type, data, len);
}


int
pulse_shelf_draft(const u_char *id)
{
    return pulse_shelf_kind->draft(id);
}


ngx_int_t
pulse_shelf_keep(const u_char *id, const char *type, int fd)
{
    return pulse_shelf_kind->keep(id, type, fd);
}


void
pulse_shelf_drop(const u_char *id)
{
    pulse_shelf_kind->drop(id);
}


int
pulse_shelf_scratch(void)
{
    int     fd;
    u_char  id[PULSE_SHELF_ID];

    ngx_pulse_uuid7(id);

    fd = pulse_shelf_draft(id);

    if (fd != -1) {
        pulse_shelf_drop(id);
    }

    return fd;
}


int
pulse_shelf_take(const u_char *id, size_t max)
{
    return pulse_shelf_kind->take(id, max);
}


ngx_int_t
pulse_shelf_read(const u_char *id, ngx_pulse_buf_t *b)
{
    return pulse_shelf_kind->read(id, b);
}


ngx_int_t
pulse_shelf_quarantined(const u_char *id, ngx_pulse_buf_t *b)
{
    return pulse_shelf_kind->quarantined(id, b);
}


ngx_int_t
pulse_shelf_remove(const u_char *id)
{
    return pulse_shelf_kind->remove(id);
}


ngx_int_t
pulse_shelf_discard(const u_char *id)
{
    return pulse_shelf_kind->discard(id);
}


ngx_int_t
pulse_shelf_walk(time_t age, pulse_shelf_pt handler, void *ctx)
{
    return pulse_shelf_kind->walk(age, handler, ctx);
}
