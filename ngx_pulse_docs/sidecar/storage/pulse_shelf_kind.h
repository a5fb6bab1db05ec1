
#ifndef _PULSE_SHELF_KIND_H_INCLUDED_
#define _PULSE_SHELF_KIND_H_INCLUDED_


#include "pulse_shelf.h"


/* What a kind of shelf does; pulse_shelf.h says what is expected. */

typedef struct {
    ngx_int_t  (*write)(const u_char *id, const char *type,
                        const u_char *data, size_t len);
    int        (*draft)(const u_char *id);
    ngx_int_t  (*keep)(const u_char *id, const char *type, int fd);
    void       (*drop)(const u_char *id);
    int        (*take)(const u_char *id, size_t max);
    ngx_int_t  (*read)(const u_char *id, ngx_pulse_buf_t *b);
    ngx_int_t  (*quarantined)(const u_char *id, ngx_pulse_buf_t *b);
    ngx_int_t  (*remove)(const u_char *id);
    ngx_int_t  (*discard)(const u_char *id);
    ngx_int_t  (*walk)(time_t age, pulse_shelf_pt handler, void *ctx);
} pulse_shelf_kind_t;


extern const pulse_shelf_kind_t  pulse_shelf_disk;
extern const pulse_shelf_kind_t  pulse_shelf_bucket;


ngx_int_t pulse_shelf_disk_open(const char *dir, const char *key);


#endif /* _PULSE_SHELF_KIND_H_INCLUDED_ */
