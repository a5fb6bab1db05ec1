
#include <dirent.h>
#include <sys/stat.h>
#include "ngx_pulse_id.h"
#include "pulse_file.h"
#include "pulse_hex.h"
#include "pulse_shelf_kind.h"


#define PULSE_SHELF_QUARANTINE  "quarantine"
#define PULSE_SHELF_DRAFT       ".draft"
#define PULSE_SHELF_KEY_TEXT    (2 * NGX_PULSE_LINK_KEY_LEN)


typedef struct {
    const char            *dir;
    ngx_pulse_link_key_t   key;
} pulse_shelf_t;


static ngx_int_t pulse_shelf_disk_write(const u_char *id, const char *type,
    const u_char *data, size_t len);
static int pulse_shelf_disk_draft(const u_char *id);
static ngx_int_t pulse_shelf_disk_keep(const u_char *id, const char *type,
    int fd);
static void pulse_shelf_disk_drop(const u_char *id);
static ngx_int_t pulse_shelf_drafted(char *path, const u_char *id);
static int pulse_shelf_disk_take(const u_char *id, size_t max);
static ngx_int_t pulse_shelf_disk_read(const u_char *id, ngx_pulse_buf_t *b);
static ngx_int_t pulse_shelf_disk_quarantined(const u_char *id,
    ngx_pulse_buf_t *b);
static ngx_int_t pulse_shelf_disk_remove(const u_char *id);
static ngx_int_t pulse_shelf_disk_discard(const u_char *id);
static ngx_int_t pulse_shelf_disk_walk(time_t age, pulse_shelf_pt handler,
    void *ctx);
static ngx_int_t pulse_shelf_open_key(const char *name);
static ngx_int_t pulse_shelf_new_key(const char *name);
static void pulse_shelf_quarantine(char *path, const u_char *id);
static ngx_int_t pulse_shelf_path(char *path, const u_char *id);
static ngx_int_t pulse_shelf_directory(const char *path);
static ngx_int_t pulse_shelf_sync(const char *path);
static ngx_int_t pulse_shelf_walk_shard(const char *shard, time_t before,
    pulse_shelf_pt handler, void *ctx);


static pulse_shelf_t  pulse_shelf;


const pulse_shelf_kind_t  pulse_shelf_disk = {
    pulse_shelf_disk_write,
    pulse_shelf_disk_draft,
    pulse_shelf_disk_keep,
    pulse_shelf_disk_drop,
    pulse_shelf_disk_take,
    pulse_shelf_disk_read,
    pulse_shelf_disk_quarantined,
    pulse_shelf_disk_remove,
    pulse_shelf_disk_discard,
    pulse_shelf_disk_walk
};


ngx_int_t
pulse_shelf_disk_open(const char *dir, const char *key)
{
    char  path[NGX_MAX_PATH];

    pulse_shelf.dir = dir;

    if (snprintf(path, sizeof(path), "%s/" PULSE_SHELF_QUARANTINE, dir)
        >= (int) sizeof(path))
    {
        errno = ENAMETOOLONG;
        return NGX_ERROR;
    }

    if (pulse_shelf_directory(dir) != NGX_OK
        || pulse_shelf_directory(path) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return pulse_shelf_open_key(key);
}


static ngx_int_t
pulse_shelf_open_key(const char *name)
{
    ngx_int_t        rc;
    ngx_str_t        text;
    ngx_pulse_buf_t  b;

    if (access(name, F_OK) == -1 && pulse_shelf_new_key(name) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_pulse_buf_init(&b, 2 * PULSE_SHELF_KEY_TEXT);

    rc = pulse_file_read(name, &b);

    if (rc == NGX_OK) {
        text.data = b.data;
        text.len = b.len;

        rc = ngx_pulse_link_key(&pulse_shelf.key, &text);
        errno = EINVAL;
    }

    ngx_pulse_buf_free(&b);

    return rc;
}


static ngx_int_t
pulse_shelf_new_key(const char *name)
{
    u_char  bytes[NGX_PULSE_LINK_KEY_LEN];
    char    text[PULSE_SHELF_KEY_TEXT + 2];

    if (ngx_pulse_random(bytes, sizeof(bytes)) != NGX_OK) {
        return NGX_ERROR;
    }

    pulse_hex(text, bytes, NGX_PULSE_LINK_KEY_LEN);
    text[PULSE_SHELF_KEY_TEXT] = '\n';

    return pulse_file_write(name, 0600, (u_char *) text,
                            PULSE_SHELF_KEY_TEXT + 1);
}


const ngx_pulse_link_key_t *
pulse_shelf_key(void)
{
    return &pulse_shelf.key;
}


static ngx_int_t
pulse_shelf_disk_write(const u_char *id, const char *type,
    const u_char *data, size_t len)
{
    char   path[NGX_MAX_PATH], *slash;

    if (pulse_shelf_path(path, id) != NGX_OK) {
        return NGX_ERROR;
    }

    slash = strrchr(path, '/');
    *slash = '\0';

    if (pulse_shelf_directory(path) != NGX_OK) {
        return NGX_ERROR;
    }

    *slash = '/';

    if (pulse_file_write(path, 0600, data, len) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a name is durable with its directory */

    *slash = '\0';

    return pulse_shelf_sync(path);
}


/* Beside the place of the file, where pulse_shelf_walk() takes away what is
 * left of a writer that was killed. */

static int
pulse_shelf_disk_draft(const u_char *id)
{
    char  path[NGX_MAX_PATH], *slash;

    if (pulse_shelf_drafted(path, id) != NGX_OK) {
        return -1;
    }

    slash = strrchr(path, '/');
    *slash = '\0';

    if (pulse_shelf_directory(path) != NGX_OK) {
        return -1;
    }

    *slash = '/';

    return open(path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);
}


static ngx_int_t
pulse_shelf_disk_keep(const u_char *id, const char *type, int fd)
{
    char  path[NGX_MAX_PATH], draft[NGX_MAX_PATH], *slash;

    if (pulse_shelf_path(path, id) != NGX_OK
        || pulse_shelf_drafted(draft, id) != NGX_OK
        || fsync(fd) == -1 || rename(draft, path) == -1)
    {
        return NGX_ERROR;
    }

    slash = strrchr(path, '/');
    *slash = '\0';

    return pulse_shelf_sync(path);
}


static void
pulse_shelf_disk_drop(const u_char *id)
{
    char  draft[NGX_MAX_PATH];

    if (pulse_shelf_drafted(draft, id) == NGX_OK) {
        (void) unlink(draft);
    }
}


static ngx_int_t
pulse_shelf_drafted(char *path, const u_char *id)
{
    size_t  len;

    if (pulse_shelf_path(path, id) != NGX_OK) {
        return NGX_ERROR;
    }

    len = strlen(path);

    if (len + sizeof(PULSE_SHELF_DRAFT) > NGX_MAX_PATH) {
        errno = ENAMETOOLONG;
        return NGX_ERROR;
    }

    memcpy(path + len, PULSE_SHELF_DRAFT, sizeof(PULSE_SHELF_DRAFT));

    return NGX_OK;
}


static int
pulse_shelf_disk_take(const u_char *id, size_t max)
{
    int          fd;
    char         path[NGX_MAX_PATH];
    struct stat  sb;

    if (pulse_shelf_path(path, id) != NGX_OK) {
        return -1;
    }

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd != -1 && fstat(fd, &sb) == 0 && (size_t) sb.st_size > max) {
        close(fd);
        errno = EFBIG;
        return -1;
    }

    return fd;
}


static ngx_int_t
pulse_shelf_disk_read(const u_char *id, ngx_pulse_buf_t *b)
{
    char  path[NGX_MAX_PATH];

    if (pulse_shelf_path(path, id) != NGX_OK) {
        return NGX_ERROR;
    }

    return pulse_file_read(path, b);
}


static ngx_int_t
pulse_shelf_disk_quarantined(const u_char *id, ngx_pulse_buf_t *b)
{
    char  path[NGX_MAX_PATH];

    pulse_shelf_quarantine(path, id);

    return pulse_file_read(path, b);
}


static ngx_int_t
pulse_shelf_disk_remove(const u_char *id)
{
    char  path[NGX_MAX_PATH];

    if (pulse_shelf_path(path, id) != NGX_OK) {
        return NGX_ERROR;
    }

    return (unlink(path) == 0 || errno == ENOENT) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_shelf_disk_discard(const u_char *id)
{
    char  path[NGX_MAX_PATH];

    pulse_shelf_quarantine(path, id);

    return (unlink(path) == 0 || errno == ENOENT) ? NGX_OK : NGX_ERROR;
}


/* its directory's name was found short enough when it was made */

static void
pulse_shelf_quarantine(char *path, const u_char *id)
{
    snprintf(path, NGX_MAX_PATH, "%s/" PULSE_SHELF_QUARANTINE "/%.*s",
             pulse_shelf.dir, PULSE_SHELF_ID, id);
}


static ngx_int_t
pulse_shelf_path(char *path, const u_char *id)
{
    int  n;

    n = snprintf(path, NGX_MAX_PATH, "%s/%.2s/%.*s", pulse_shelf.dir,
                 id + PULSE_SHELF_ID - 2, PULSE_SHELF_ID, id);

    if (n < NGX_MAX_PATH) {
        return NGX_OK;
    }

    errno = ENAMETOOLONG;

    return NGX_ERROR;
}


static ngx_int_t
pulse_shelf_directory(const char *path)
{
    return (mkdir(path, 0700) == 0 || errno == EEXIST) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_shelf_sync(const char *path)
{
    int  fd, rc, saved;

    fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return NGX_ERROR;
    }

    rc = fsync(fd);

    saved = errno;
    close(fd);
    errno = saved;

    return (rc == 0) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
pulse_shelf_disk_walk(time_t age, pulse_shelf_pt handler, void *ctx)
{
    DIR            *dir;
    size_t          len;
    time_t          before;
    ngx_int_t       rc;
    struct dirent  *entry;

    dir = opendir(pulse_shelf.dir);
    if (dir == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    before = time(NULL) - age;

    while (rc == NGX_OK) {
        entry = readdir(dir);
        if (entry == NULL) {
            break;
        }

        len = strlen(entry->d_name);

        if (entry->d_name[0] != '.'
            && (len == 2 || strcmp(entry->d_name, PULSE_SHELF_QUARANTINE)
                            == 0))
        {
            rc = pulse_shelf_walk_shard(entry->d_name, before, handler, ctx);
        }
    }

    closedir(dir);

    return rc;
}


static ngx_int_t
pulse_shelf_walk_shard(const char *shard, time_t before,
    pulse_shelf_pt handler, void *ctx)
{
    int             fd;
    char            path[NGX_MAX_PATH];
    DIR            *dir;
    ngx_int_t       rc;
    ngx_str_t       id;
    struct stat     sb;
    struct dirent  *entry;

    snprintf(path, sizeof(path), "%s/%s", pulse_shelf.dir, shard);

    dir = opendir(path);
    if (dir == NULL) {
        return (errno == ENOTDIR) ? NGX_OK : NGX_ERROR;
    }

    rc = NGX_OK;
    fd = dirfd(dir);

    while (rc == NGX_OK) {
        entry = readdir(dir);
        if (entry == NULL) {
            break;
        }

        id.data = (u_char *) entry->d_name;
        id.len = strlen(entry->d_name);

        if (entry->d_name[0] == '.'
            || fstatat(fd, entry->d_name, &sb, AT_SYMLINK_NOFOLLOW) == -1
            || !S_ISREG(sb.st_mode) || sb.st_mtime > before)
        {
            continue;
        }

        if (id.len == PULSE_SHELF_ID && ngx_pulse_uuid_valid(&id)) {
            rc = handler(ctx, id.data, shard[2] != '\0');
            continue;
        }

        /* what a writer left that was killed: no name was given yet */

        (void) unlinkat(fd, entry->d_name, 0);
    }

    closedir(dir);

    return rc;
}
