
#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/random.h>
#include "ngx_pulse_id.h"


#define NGX_PULSE_ID_RANDOM  10
#define NGX_PULSE_ID_POOL    320


/* absent in programs that are not nginx: they read the clock itself */

#pragma weak ngx_cached_time
#pragma weak ngx_pid


static ngx_int_t ngx_pulse_id_random(u_char *p);
static void ngx_pulse_decimal(u_char *p, ngx_uint_t n, ngx_uint_t digits);
static ngx_uint_t ngx_pulse_digits(const u_char *p, size_t len);


static const u_char  ngx_pulse_hex[] = "0123456789abcdef";


void
ngx_pulse_uuid7(u_char *text)
{
    int64_t     ms;
    u_char      id[16];
    ngx_uint_t  i;

    ms = ngx_pulse_now();

    for (i = 0; i < 6; i++) {
        id[i] = (u_char) (ms >> (40 - 8 * i));
    }

    if (ngx_pulse_id_random(&id[6]) != NGX_OK) {

        /* cannot happen on a kernel that has booted: getrandom() blocks */

        ngx_memzero(&id[6], NGX_PULSE_ID_RANDOM);
    }

    id[6] = (id[6] & 0x0f) | 0x70;
    id[8] = (id[8] & 0x3f) | 0x80;

    for (i = 0; i < 16; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *text++ = '-';
        }

        *text++ = ngx_pulse_hex[id[i] >> 4];
        *text++ = ngx_pulse_hex[id[i] & 0xf];
    }
}


/*
 * An id for each request and reservation: the kernel is asked for many at a
 * time.  A worker must not go on with what its master has left, so it is
 * kept with the pid that nginx sets after fork().
 */

static ngx_int_t
ngx_pulse_id_random(u_char *p)
{
    static u_char     pool[NGX_PULSE_ID_POOL];
    static size_t     left;
    static ngx_pid_t  owner;

    if (&ngx_pid == NULL) {
        return ngx_pulse_random(p, NGX_PULSE_ID_RANDOM);
    }

    if (left == 0 || owner != ngx_pid) {
        left = 0;

        if (ngx_pulse_random(pool, NGX_PULSE_ID_POOL) != NGX_OK) {
            return NGX_ERROR;
        }

        left = NGX_PULSE_ID_POOL;
        owner = ngx_pid;
    }

    left -= NGX_PULSE_ID_RANDOM;
    ngx_memcpy(p, pool + left, NGX_PULSE_ID_RANDOM);

    return NGX_OK;
}


ngx_uint_t
ngx_pulse_uuid_valid(const ngx_str_t *s)
{
    u_char      ch;
    ngx_uint_t  i;

    if (s->len != 36) {
        return 0;
    }

    for (i = 0; i < 36; i++) {
        ch = s->data[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (ch != '-') {
                return 0;
            }

            continue;
        }

        if (ch >= '0' && ch <= '9') {
            continue;
        }

        ch |= 0x20;

        if (ch < 'a' || ch > 'f') {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_pulse_name_valid(const ngx_str_t *s)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < s->len; i++) {
        ch = s->data[i];

        if ((ch < '0' || ch > '9') && (ch < 'A' || ch > 'Z')
            && (ch < 'a' || ch > 'z')
            && ch != '.' && ch != '_' && ch != '-')
        {
            return 0;
        }
    }

    return s->len != 0;
}


ngx_int_t
ngx_pulse_random(u_char *p, size_t len)
{
    ssize_t  n;

    while (len) {
        n = getrandom(p, len, 0);

        if (n > 0) {
            p += n;
            len -= n;
            continue;
        }

        if (n == 0 || errno != EINTR) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_pulse_rfc3339(u_char *text, int64_t ms)
{
    time_t     sec;
    struct tm  tm;

    sec = ms / 1000;
    ms %= 1000;

    if (ms < 0) {
        ms += 1000;
        sec--;
    }

    (void) gmtime_r(&sec, &tm);

    ngx_memcpy(text, "0000-00-00T00:00:00.000Z", 24);

    ngx_pulse_decimal(text, tm.tm_year + 1900, 4);
    ngx_pulse_decimal(text + 5, tm.tm_mon + 1, 2);
    ngx_pulse_decimal(text + 8, tm.tm_mday, 2);
    ngx_pulse_decimal(text + 11, tm.tm_hour, 2);
    ngx_pulse_decimal(text + 14, tm.tm_min, 2);
    ngx_pulse_decimal(text + 17, tm.tm_sec, 2);
    ngx_pulse_decimal(text + 20, ms, 3);
}


static void
ngx_pulse_decimal(u_char *p, ngx_uint_t n, ngx_uint_t digits)
{
    while (digits) {
        p[--digits] = (u_char) (n % 10 + '0');
        n /= 10;
    }
}


int64_t
ngx_pulse_rfc3339_parse(const ngx_str_t *text)
{
    u_char       buf[24];
    int64_t      ms;
    struct tm    tm;
    ngx_uint_t   fields[7], i;

    static const u_char  offsets[] = { 0, 5, 8, 11, 14, 17, 20, 24 };

    if (text->len != sizeof(buf)) {
        return -1;
    }

    for (i = 0; i < 7; i++) {
        fields[i] = ngx_pulse_digits(text->data + offsets[i],
                                     offsets[i + 1] - offsets[i] - 1);
    }

    ngx_memzero(&tm, sizeof(struct tm));

    tm.tm_year = (int) fields[0] - 1900;
    tm.tm_mon = (int) fields[1] - 1;
    tm.tm_mday = fields[2];
    tm.tm_hour = fields[3];
    tm.tm_min = fields[4];
    tm.tm_sec = fields[5];

    ms = (int64_t) timegm(&tm) * 1000 + fields[6];

    /* what was no digit, no separator or no date is written another way */

    ngx_pulse_rfc3339(buf, ms);

    return (ngx_memcmp(buf, text->data, sizeof(buf)) == 0) ? ms : -1;
}


static ngx_uint_t
ngx_pulse_digits(const u_char *p, size_t len)
{
    ngx_uint_t  n;

    for (n = 0; len; len--) {
        n = n * 10 + (*p++ - '0') % 10U;
    }

    return n;
}


int64_t
ngx_pulse_now(void)
{
    ngx_time_t       *tp;
    struct timespec   ts;

    if (&ngx_cached_time != NULL && ngx_cached_time != NULL) {
        tp = ngx_timeofday();

        return (int64_t) tp->sec * 1000 + tp->msec;
    }

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
