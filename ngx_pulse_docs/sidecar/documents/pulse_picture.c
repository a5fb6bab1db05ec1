
#include <zlib.h>
#include "pulse_deck.h"
#include "pulse_raster_rows.h"


#define PULSE_PICTURE_SIGNATURE  8
#define PULSE_PICTURE_CHUNK      12         /* bytes of one besides its data */


static ngx_int_t pulse_picture_png(pulse_picture_t *picture);
static ngx_int_t pulse_picture_chunks(const u_char *p, const u_char *end);
static ngx_int_t pulse_picture_jpeg(pulse_picture_t *picture);
static void pulse_picture_turned(pulse_picture_t *picture);
static ngx_uint_t pulse_picture_number(const u_char *p, ngx_uint_t n);


ngx_int_t
pulse_picture_read(pulse_picture_t *picture)
{
    if (pulse_picture_png(picture) != NGX_OK
        && pulse_picture_jpeg(picture) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return (picture->width && picture->height) ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
pulse_picture_fits(const pulse_picture_t *picture)
{
    return picture->width <= (picture->jpeg ? PULSE_PICTURE_PHOTO
                                            : PULSE_PICTURE_PIXELS)
                             / picture->height;
}


ngx_uint_t
pulse_picture_aside(const pulse_picture_t *picture)
{
    return picture->turn > 4;
}


/* the signature, then always IHDR (PNG 3rd edition, 5.2, 11.2.1) */

static ngx_int_t
pulse_picture_png(pulse_picture_t *picture)
{
    const u_char  *p;

    p = picture->data.data;

    if (picture->data.len < 33
        || ngx_memcmp(p, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) != 0)
    {
        return NGX_DECLINED;
    }

    picture->width = pulse_picture_number(p + 16, 4);
    picture->height = pulse_picture_number(p + 20, 4);
    picture->jpeg = 0;
    picture->turn = 1;

    return pulse_picture_chunks(p + PULSE_PICTURE_SIGNATURE,
                                p + picture->data.len);
}


/* each with its sum right, up to the one that ends the file (5.3) */

static ngx_int_t
pulse_picture_chunks(const u_char *p, const u_char *end)
{
    size_t  len;

    while (end - p >= PULSE_PICTURE_CHUNK) {
        len = pulse_picture_number(p, 4);

        if (len > (size_t) (end - p) - PULSE_PICTURE_CHUNK
            || crc32(0, p + 4, len + 4)
               != pulse_picture_number(p + 8 + len, 4))
        {
            return NGX_DECLINED;
        }

        if (ngx_memcmp(p + 4, "IEND", 4) == 0) {
            return NGX_OK;
        }

        p += PULSE_PICTURE_CHUNK + len;
    }

    return NGX_DECLINED;
}


/* The letters of what has to be understood are capital (5.4); of the rest
 * transparency alone is drawn. */

ngx_uint_t
pulse_picture_piece(const pulse_picture_t *picture, ngx_str_t *piece)
{
    u_char  *end;

    if (piece->data == NULL) {
        piece->data = picture->data.data;
        piece->len = PULSE_PICTURE_SIGNATURE;
        return 1;
    }

    end = picture->data.data + picture->data.len;

    do {
        piece->data += piece->len;

        if (end - piece->data < PULSE_PICTURE_CHUNK) {
            return 0;
        }

        piece->len = PULSE_PICTURE_CHUNK
                     + pulse_picture_number(piece->data, 4);

        if (piece->len > (size_t) (end - piece->data)) {
            return 0;
        }

    } while (piece->data[4] >= 'a'
             && ngx_memcmp(piece->data + 4, "tRNS", 4) != 0);

    return 1;
}


/* segments up to a frame header (ITU T.81, B.1.1, B.2.2) */

static ngx_int_t
pulse_picture_jpeg(pulse_picture_t *picture)
{
    u_char         marker;
    ngx_uint_t     len;
    const u_char  *p, *end;

    p = picture->data.data;
    end = p + picture->data.len;

    if (picture->data.len < 4 || p[0] != 0xff || p[1] != 0xd8) {
        return NGX_DECLINED;
    }

    for (p += 2; end - p >= 9; p += 2 + len) {

        if (p[0] != 0xff) {
            return NGX_DECLINED;
        }

        marker = p[1];
        len = pulse_picture_number(p + 2, 2);

        /* SOF0..SOF15 without DHT, JPG and DAC, which share the range */

        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4
            && marker != 0xc8 && marker != 0xcc)
        {
            picture->height = pulse_picture_number(p + 5, 2);
            picture->width = pulse_picture_number(p + 7, 2);
            picture->jpeg = 1;

            pulse_picture_turned(picture);

            return end - p >= (ngx_int_t) (2 + len) ? NGX_OK : NGX_DECLINED;
        }

        /* a scan before any frame */

        if (marker == 0xda || len < 2 || (ngx_uint_t) (end - p) < 2 + len) {
            return NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


/* Cameras and telephones keep a photo as the sensor sees it, and say how it was
 * held. */

static void
pulse_picture_turned(pulse_picture_t *picture)
{
    ngx_uint_t  width;

    picture->turn = pulse_raster_exif_turn(picture->data.data,
                                           picture->data.len);

    if (pulse_picture_aside(picture)) {
        width = picture->width;
        picture->width = picture->height;
        picture->height = width;
    }
}


static ngx_uint_t
pulse_picture_number(const u_char *p, ngx_uint_t n)
{
    ngx_uint_t  number;

    for (number = 0; n > 0; n--) {
        number = number << 8 | *p++;
    }

    return number;
}
