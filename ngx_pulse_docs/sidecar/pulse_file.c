
#include "pulse_file.h"


#define PULSE_FILE_STEP  16384


static ngx_int_t pulse_file_fill(int fd, mode_t mode, const u_char *data,
    size_t len);


ngx_int_t
pulse_file_write(const char *path, mode_t mode, const u_char *data, size_t len)
{
    int   fd, n, saved;
    char  temp[NGX_MAX_PATH];

    n = snprintf(temp, sizeof(temp), "%s.XXXXXX", path);

    if (n < 0 || n >= (int) sizeof(temp)) {
        errno = ENAMETOOLONG;
        return NGX_ERROR;
    }

    fd = mkostemp(temp, O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    if (pulse_file_fill(fd, mode, data, len) != NGX_OK
        || rename(temp, path) == -1)
    {
        saved = errno;
        unlink(temp);
        errno = saved;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_file_fill(int fd, mode_t mode, const u_char *data, size_t len)
{
    int  saved;

    if (pulse_file_append(fd, data, len) == NGX_OK && fchmod(fd, mode) == 0
        && fsync(fd) == 0)
    {
        return close(fd) == 0 ? NGX_OK : NGX_ERROR;
    }

    saved = errno;
    close(fd);
    errno = saved;

    return NGX_ERROR;
}


ngx_int_t
pulse_file_append(int fd, const u_char *data, size_t len)
{
    ssize_t  n;

    for ( /* void */ ; len; data += n, len -= n) {
        n = write(fd, data, len);

        if (n == -1) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
pulse_file_put(int fd, const u_char *data, size_t len, off_t offset)
{
    ssize_t  n;

    for ( /* void */ ; len; data += n, len -= n, offset += n) {
        n = pwrite(fd, data, len, offset);

        if (n == -1) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
pulse_file_read(const char *path, ngx_pulse_buf_t *b)
{
    int      fd, saved;
    size_t   step;
    u_char  *p;
    ssize_t  n;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    do {
        step = ngx_min(PULSE_FILE_STEP, b->max - b->len);
        p = step ? ngx_pulse_buf_reserve(b, step) : NULL;

        if (p == NULL) {
            errno = EFBIG;
            n = -1;
            break;
        }

        n = read(fd, p, step);

        if (n > 0) {
            b->len += n;
        }

    } while (n > 0);

    saved = errno;
    close(fd);
    errno = saved;

    return (n == 0) ? NGX_OK : NGX_ERROR;
}
