
#include "unit.h"
#include <sys/mman.h>
#include "pulse_raster_rows.h"


/*
 * Anything as a picture: what is taken by its header is read to its end or
 * refused with a reason, and a thumbnail of it is a picture again.
 */

#define FUZZ_PIXELS  (512 * 512)        /* more is not worth the time */


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_file(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              in, out;
    u_char          *exif;
    ngx_uint_t       turn;
    pulse_raster_t   raster;

    /* a block of its own, so that a read past its end is seen */

    exif = malloc(size + (size == 0));
    memcpy(exif, data, size);

    turn = pulse_raster_exif_turn(exif, size);

    free(exif);

    if (turn < 1 || turn > 8) {
        abort();
    }

    pulse_raster_limits.pixels = FUZZ_PIXELS;

    in = fuzz_file(data, size);
    out = fuzz_file(NULL, 0);

    if (pulse_raster_thumbnail(in, out, 32, &raster) == NGX_OK
        && (pulse_raster_check(out, &raster) != NGX_OK
            || raster.type != pulse_raster_jpeg || raster.width > 32
            || raster.height > 32))
    {
        abort();
    }

    close(in);
    close(out);

    return 0;
}


static int
fuzz_file(const uint8_t *data, size_t size)
{
    int  fd;

    fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd == -1 || write(fd, data, size) != (ssize_t) size) {
        abort();
    }

    return fd;
}
