
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include "pulse_clamd.h"
#include "pulse_log.h"


#define PULSE_CLAMD_TIMEOUT  30
#define PULSE_CLAMD_REPLY    512


static int pulse_clamd_connect(const char *path);
static ngx_int_t pulse_clamd_ask(int fd, const ngx_pulse_buf_t *data,
    char *reply);
static ngx_int_t pulse_clamd_send(int fd, const void *data, size_t len);


ngx_int_t
pulse_clamd_scan(const char *socket, const ngx_pulse_buf_t *data)
{
    int        fd;
    char       reply[PULSE_CLAMD_REPLY];
    ngx_int_t  rc;

    fd = pulse_clamd_connect(socket);
    if (fd == -1) {
        pulse_log(PULSE_LOG_ERR, "pulse clamd: \"%s\": %s", socket,
                  strerror(errno));
        return NGX_ERROR;
    }

    rc = pulse_clamd_ask(fd, data, reply);

    if (rc != NGX_OK) {
        pulse_log(PULSE_LOG_ERR, "pulse clamd: no answer: %s",
                  strerror(errno));

    } else if (strcmp(reply, "stream: OK") != 0) {
        rc = strstr(reply, " FOUND") ? NGX_DECLINED : NGX_ERROR;

        pulse_log(PULSE_LOG_WARN, "pulse clamd: it says: %s", reply);
    }

    close(fd);

    return rc;
}


static int
pulse_clamd_connect(const char *path)
{
    int                 fd, saved;
    struct timeval      tv;
    struct sockaddr_un  addr;

    memset(&addr, 0, sizeof(addr));
    addr.sun_family = AF_UNIX;

    if (strlen(path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    strcpy(addr.sun_path, path);

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }

    tv.tv_sec = PULSE_CLAMD_TIMEOUT;
    tv.tv_usec = 0;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0
        && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0
        && connect(fd, (struct sockaddr *) &addr, sizeof(addr)) == 0)
    {
        return fd;
    }

    saved = errno;
    close(fd);
    errno = saved;

    return -1;
}


/* one chunk and the empty one that ends the stream; clamd(8) */

static ngx_int_t
pulse_clamd_ask(int fd, const ngx_pulse_buf_t *data, char *reply)
{
    size_t    len;
    ssize_t   n;
    uint32_t  size, end;

    size = htonl(data->len);
    end = 0;

    if (pulse_clamd_send(fd, "zINSTREAM", sizeof("zINSTREAM")) != NGX_OK
        || pulse_clamd_send(fd, &size, sizeof(size)) != NGX_OK
        || pulse_clamd_send(fd, data->data, data->len) != NGX_OK
        || pulse_clamd_send(fd, &end, sizeof(end)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = 0;

    do {
        n = read(fd, reply + len, PULSE_CLAMD_REPLY - 1 - len);

        if (n > 0) {
            len += n;
        }

    } while (n > 0 && len < PULSE_CLAMD_REPLY - 1 && reply[len - 1] != '\0');

    reply[len] = '\0';

    return (n >= 0 && len) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_clamd_send(int fd, const void *data, size_t len)
{
    ssize_t      n;
    const char  *p;

    for (p = data; len; p += n, len -= n) {
        n = send(fd, p, len, MSG_NOSIGNAL);

        if (n == -1) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
