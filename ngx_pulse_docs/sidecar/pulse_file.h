
#ifndef _PULSE_FILE_H_INCLUDED_
#define _PULSE_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_pulse_buf.h"


/*
 * Writes a file as a whole: under another name beside it, synced, then
 * renamed over "path", so that a reader never sees a part of it and a crash
 * leaves the old one.  NGX_ERROR with errno.
 */
ngx_int_t pulse_file_write(const char *path, mode_t mode, const u_char *data,
    size_t len);

/* Writes all of it, where the file is or at a place of it; NGX_ERROR with
 * errno, and how much was written is not told. */
ngx_int_t pulse_file_append(int fd, const u_char *data, size_t len);
ngx_int_t pulse_file_put(int fd, const u_char *data, size_t len, off_t offset);

/* Reads a file of less than b->max bytes into "b"; NGX_ERROR with errno. */
ngx_int_t pulse_file_read(const char *path, ngx_pulse_buf_t *b);


#endif /* _PULSE_FILE_H_INCLUDED_ */
