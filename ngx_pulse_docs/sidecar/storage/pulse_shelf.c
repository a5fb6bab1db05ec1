
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
