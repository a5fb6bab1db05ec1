
#include "pulse_raster_rows.h"


#define PULSE_RASTER_EXIF_ENTRY   12
#define PULSE_RASTER_EXIF_TURN    0x0112    /* the tag */


static ngx_uint_t pulse_raster_exif_tiff(const u_char *p, size_t len);
static ngx_uint_t pulse_raster_exif_number(const u_char *p, ngx_uint_t n,
    ngx_uint_t little);


/* segments up to a scan (ITU T.81, B.1.1); EXIF is an APP1 (EXIF 2.32,
 * 4.7.2) */

ngx_uint_t
pulse_raster_exif_turn(const u_char *p, size_t len)
{
    size_t         n;
    const u_char  *end;

    end = p + len;

    if (len < 4 || p[0] != 0xff || p[1] != 0xd8) {
        return 1;
    }

    for (p += 2; end - p >= 4 && p[0] == 0xff && p[1] != 0xda; p += 2 + n) {
        n = p[2] << 8 | p[3];

        if (n < 2 || n + 2 > (size_t) (end - p)) {
            break;
        }

        if (p[1] == 0xe1 && n >= 8 && memcmp(p + 4, "Exif\0", 6) == 0) {
            return pulse_raster_exif_tiff(p + 10, n - 8);
        }
    }

    return 1;
}


/* the first directory's entries (TIFF 6.0, section 2) */

static ngx_uint_t
pulse_raster_exif_tiff(const u_char *p, size_t len)
{
    size_t      at;
    ngx_uint_t  n, turn, little;

    if (len < 10) {
        return 1;
    }

    little = (p[0] == 'I');
    at = pulse_raster_exif_number(p + 4, 4, little);

    if (at > len - 2) {
        return 1;
    }

    n = pulse_raster_exif_number(p + at, 2, little);

    for (at += 2; n && len - at >= PULSE_RASTER_EXIF_ENTRY; n--) {

        if (pulse_raster_exif_number(p + at, 2, little)
            == PULSE_RASTER_EXIF_TURN)
        {
            turn = pulse_raster_exif_number(p + at + 8, 2, little);

            return (turn >= 1 && turn <= 8) ? turn : 1;
        }

        at += PULSE_RASTER_EXIF_ENTRY;
    }

    return 1;
}


static ngx_uint_t
pulse_raster_exif_number(const u_char *p, ngx_uint_t n, ngx_uint_t little)
{
    ngx_uint_t  i, number;

    number = 0;

    for (i = 0; i < n; i++) {
        number = number << 8 | p[little ? n - 1 - i : i];
    }

    return number;
}
