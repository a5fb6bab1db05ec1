
#include "unit.h"
#include <sys/mman.h>
#include "pulse_raster.h"


#define RASTER_SIDE  300


/* a PNG's header with a sum that fits: 100000 by 100000 pixels */

static const u_char  raster_bomb[] =
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x06\0\0\0"
    "\x0d\x84\x38\x6e\0\0\0\x0cIDAT";


static int raster_file(const void *data, size_t len);
static int raster_sample(ngx_uint_t width, ngx_uint_t height);
static ngx_str_t raster_bytes(int fd);


static void
test_probe(void)
{
    int             fd;
    pulse_raster_t  raster;

    fd = raster_sample(RASTER_SIDE, RASTER_SIDE / 2);

    check_int(pulse_raster_probe(fd, &raster), NGX_OK);
    check_int(raster.type, pulse_raster_png);
    check_int(raster.width, RASTER_SIDE);
    check_int(raster.height, RASTER_SIDE / 2);
    check_int(raster.alpha, 1);
    check_int(pulse_raster_check(fd, &raster), NGX_OK);

    close(fd);
}


static void
test_refused(void)
{
    int             fd;
    ngx_str_t       png;
    pulse_raster_t  raster;

    fd = raster_file("GIF89a, which is none of the three", 34);
    check_int(pulse_raster_probe(fd, &raster), NGX_DECLINED);
    check_int(raster.why, pulse_raster_unknown);
    close(fd);

    fd = raster_file("\x89PNG", 4);
    check_int(pulse_raster_probe(fd, &raster), NGX_DECLINED);
    check_int(raster.why, pulse_raster_unknown);
    close(fd);

    fd = raster_file(raster_bomb, sizeof(raster_bomb));
    check_int(pulse_raster_probe(fd, &raster), NGX_DECLINED);
    close(fd);

    /* the header is whole, what follows is not */

    fd = raster_sample(RASTER_SIDE, RASTER_SIDE);
    png = raster_bytes(fd);
    close(fd);

    fd = raster_file(png.data, png.len / 2);
    check_int(pulse_raster_probe(fd, &raster), NGX_OK);
    check_int(pulse_raster_check(fd, &raster), NGX_DECLINED);
    check_int(raster.why, pulse_raster_broken);
    close(fd);

    free(png.data);
}


static void
test_thumbnail(void)
{
    int             in, out;
    pulse_raster_t  raster;

    in = raster_sample(2 * RASTER_SIDE, RASTER_SIDE);
    out = raster_file("", 0);

    check_int(pulse_raster_thumbnail(in, out, 100, &raster), NGX_OK);
    check_int(raster.type, pulse_raster_jpeg);
    check_int(raster.width, 100);
    check_int(raster.height, 50);

    check_int(pulse_raster_probe(out, &raster), NGX_OK);
    check_int(raster.type, pulse_raster_jpeg);
    check_int(raster.width, 100);

    /* what is small already stays as small */

    check_int(pulse_raster_thumbnail(out, in, 512, &raster), NGX_OK);
    check_int(raster.width, 100);
    check_int(raster.height, 50);
    check_int(pulse_raster_check(in, &raster), NGX_OK);

    close(in);
    close(out);
}


static int
raster_sample(ngx_uint_t width, ngx_uint_t height)
{
    int                  fd, text;
    pulse_raster_t       raster;
    pulse_raster_plan_t  plan;
    pulse_raster_step_t  step, drawn;

    memset(&plan, 0, sizeof(pulse_raster_plan_t));
    memset(&step, 0, sizeof(pulse_raster_step_t));

    step.width = width;
    step.height = height;
    step.text.text = (ngx_str_t) ngx_string("مرحبا 123");
    step.text.size = 40;
    step.text.color = 0x204080ff;

    text = raster_file("", 0);
    check_int(pulse_raster_draw(text, &step, &drawn, &raster), NGX_OK);
    check(drawn.x + drawn.width <= width);
    check(drawn.y + drawn.height <= height);

    step.step = pulse_raster_resize;
    step.fit = pulse_raster_fill;
    plan.steps = &step;
    plan.nsteps = 1;

    fd = raster_file("", 0);
    check_int(pulse_raster_transform(text, fd, &plan, &raster), NGX_OK);
    close(text);

    return fd;
}


static int
raster_file(const void *data, size_t len)
{
    int  fd;

    fd = memfd_create("raster", MFD_CLOEXEC);

    check(fd != -1);
    check_int(write(fd, data, len), len);

    return fd;
}


static ngx_str_t
raster_bytes(int fd)
{
    ngx_str_t  bytes;

    bytes.len = lseek(fd, 0, SEEK_END);
    bytes.data = malloc(bytes.len);

    check_int(pread(fd, bytes.data, bytes.len, 0), bytes.len);

    return bytes;
}


int
main(void)
{
    test_probe();
    test_refused();
    test_thumbnail();

    return unit_done();
}
