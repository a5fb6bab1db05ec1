
#include "unit.h"
#include <sys/mman.h>
#include "pulse_raster_rows.h"


#define RASTER_SIDE  300
#define RASTER_TURN  29                 /* where it is in the EXIF below */


/* a PNG's header with a sum that fits: 100000 by 100000 pixels */

static const u_char  raster_bomb[] =
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x06\0\0\0"
    "\x0d\x84\x38\x6e\0\0\0\x0cIDAT";


/* two pixels, red and blue */

static const u_char  raster_two[] =
    "\211\120\116\107\015\012\032\012\000\000\000\015\111\110\104\122"
    "\000\000\000\002\000\000\000\001\010\002\000\000\000\173\100\350"
    "\335\000\000\000\015\111\104\101\124\170\234\143\370\317\000\004"
    "\377\001\007\000\001\377\342\043\236\131\000\000\000\000\111\105"
    "\116\104\256\102\140\202";

/* an APP1 with one entry, the orientation */

static u_char  raster_exif[] =
    "\377\341\000\042\105\170\151\146\000\000\115\115\000\052\000\000"
    "\000\010\000\001\001\022\000\003\000\000\000\001\000\001\000\000"
    "\000\000\000\000";


static int raster_turned(int in);
static void raster_pixel(int fd, ngx_uint_t x, ngx_uint_t y, uint32_t color);
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
    check_int(raster.why, pulse_raster_large);
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


/* The left half red, the right half blue. */

static int
raster_halves(ngx_uint_t width, ngx_uint_t height)
{
    int                  from, to;
    pulse_raster_t       raster;
    pulse_raster_plan_t  plan;
    pulse_raster_step_t  step;

    memset(&plan, 0, sizeof(pulse_raster_plan_t));
    memset(&step, 0, sizeof(pulse_raster_step_t));

    step.step = pulse_raster_resize;
    step.fit = pulse_raster_fill;
    step.width = 2 * width;
    step.height = height;

    from = raster_file(raster_two, sizeof(raster_two) - 1);
    to = raster_file("", 0);

    /* what is between the centers of the two is blended */

    plan.steps = &step;
    plan.nsteps = 1;

    check_int(pulse_raster_transform(from, to, &plan, &raster), NGX_OK);
    check_int(raster.width, 2 * width);

    close(from);

    return to;
}


static void
test_steps(void)
{
    int                  in, out;
    ngx_uint_t           step;
    pulse_raster_t       raster;
    pulse_raster_plan_t  plan;
    pulse_raster_step_t  steps[2];

    memset(&plan, 0, sizeof(pulse_raster_plan_t));
    memset(steps, 0, sizeof(steps));

    in = raster_halves(100, 40);
    out = raster_file("", 0);

    raster_pixel(in, 0, 0, 0xff0000ff);
    raster_pixel(in, 49, 39, 0xff0000ff);
    raster_pixel(in, 150, 0, 0x0000ffff);
    raster_pixel(in, 199, 39, 0x0000ffff);

    plan.steps = steps;
    plan.nsteps = 2;

    steps[0].step = pulse_raster_crop;
    steps[0].x = 150;
    steps[0].y = 10;
    steps[0].width = 50;
    steps[0].height = 30;
    steps[1].step = pulse_raster_resize;
    steps[1].width = 25;

    check_int(pulse_raster_transform(in, out, &plan, &raster), NGX_OK);
    check_int(raster.width, 25);
    check_int(raster.height, 15);
    raster_pixel(out, 0, 0, 0x0000ffff);

    /* half of either is their mean */

    steps[0].step = pulse_raster_resize;
    steps[0].x = 0;
    steps[0].y = 0;
    steps[0].width = 1;
    steps[0].height = 1;
    steps[0].fit = pulse_raster_fill;
    plan.nsteps = 1;

    check_int(pulse_raster_transform(in, out, &plan, &raster), NGX_OK);
    raster_pixel(out, 0, 0, 0x800080ff);

    /* shapes */

    steps[0].width = 50;
    steps[0].height = 50;
    steps[0].fit = pulse_raster_inside;
    check_int(pulse_raster_transform(in, out, &plan, &raster), NGX_OK);
    check_int(raster.width, 50);
    check_int(raster.height, 10);

    steps[0].fit = pulse_raster_cover;
    check_int(pulse_raster_transform(in, out, &plan, &raster), NGX_OK);
    check_int(raster.width, 50);
    check_int(raster.height, 50);

    /* what does not fit is said, with the step */

    plan.nsteps = 2;
    steps[1].step = pulse_raster_crop;
    steps[1].width = 51;
    steps[1].height = 1;
    check_int(pulse_raster_probe(in, &raster), NGX_OK);
    check_int(pulse_raster_try(&plan, &raster, &step), NGX_DECLINED);
    check_int(raster.why, pulse_raster_outside);
    check_int(step, 1);
    check_int(pulse_raster_transform(in, out, &plan, &raster), NGX_DECLINED);
    check_int(raster.why, pulse_raster_outside);

    close(in);
    close(out);
}


static void
test_turned(void)
{
    int             in, out;
    u_char          head[4];
    ngx_str_t       jpeg;
    ngx_uint_t      turn, seen;
    pulse_raster_t  raster;

    static const struct {
        uint32_t    color;              /* where the left half is seen */
        ngx_uint_t  x;
        ngx_uint_t  y;
    } left[] = {
        { 0, 0, 0 },                    /* there is no turn 0 */
        { 0xff0000ff, 5, 20 }, { 0xff0000ff, 190, 20 },
        { 0xff0000ff, 190, 20 }, { 0xff0000ff, 5, 20 },
        { 0xff0000ff, 20, 5 }, { 0xff0000ff, 20, 5 },
        { 0xff0000ff, 20, 190 }, { 0xff0000ff, 20, 190 }
    };

    in = raster_halves(100, 40);
    out = raster_file("", 0);

    check_int(pulse_raster_thumbnail(in, out, 512, &raster), NGX_OK);
    jpeg = raster_bytes(out);
    close(out);
    memcpy(head, jpeg.data, 2);

    for (turn = 1; turn <= 8; turn++) {
        unit_case("turn %d", (int) turn);

        out = raster_file(head, 2);
        raster_exif[RASTER_TURN] = turn;
        check_int(write(out, raster_exif, sizeof(raster_exif) - 1),
                  sizeof(raster_exif) - 1);
        check_int(write(out, jpeg.data + 2, jpeg.len - 2), jpeg.len - 2);

        check_int(pulse_raster_probe(out, &raster), NGX_OK);
        check_int(raster.turn, turn);
        check_int(raster.width, turn < 5 ? 200 : 40);

        seen = raster_turned(out);
        raster_pixel(seen, left[turn].x, left[turn].y, left[turn].color);

        close(seen);
        close(out);
    }

    unit_case(NULL);

    free(jpeg.data);
    close(in);
}


/* as a PNG, without a turn */

static int
raster_turned(int in)
{
    int                  out;
    pulse_raster_t       raster;
    pulse_raster_plan_t  plan;

    memset(&plan, 0, sizeof(pulse_raster_plan_t));

    out = raster_file("", 0);

    check_int(pulse_raster_transform(in, out, &plan, &raster), NGX_OK);
    check_int(raster.turn, 1);

    return out;
}


/* within what a JPEG loses */

static void
raster_pixel(int fd, ngx_uint_t x, ngx_uint_t y, uint32_t color)
{
    int                  one;
    FILE                *file;
    u_char               row[PULSE_RASTER_PIXEL];
    ngx_uint_t           i;
    pulse_raster_t       raster;
    pulse_raster_plan_t  plan;
    pulse_raster_step_t  step;
    pulse_raster_rows_t *rows;

    memset(&plan, 0, sizeof(pulse_raster_plan_t));
    memset(&step, 0, sizeof(pulse_raster_step_t));

    step.step = pulse_raster_crop;
    step.x = x;
    step.y = y;
    step.width = 1;
    step.height = 1;
    plan.steps = &step;
    plan.nsteps = 1;

    one = raster_file("", 0);
    check_int(pulse_raster_transform(fd, one, &plan, &raster), NGX_OK);

    check_int(pulse_raster_probe(one, &raster), NGX_OK);
    (void) lseek(one, 0, SEEK_SET);
    file = fdopen(one, "rb");

    check_int(pulse_raster_png_read(file, &raster, &rows), NGX_OK);
    check_int(rows->next(rows, row), NGX_OK);

    for (i = 0; i < PULSE_RASTER_PIXEL; i++) {
        check(abs((int) row[i] - (int) (color >> (24 - 8 * i) & 0xff)) <= 4);
    }

    rows->close(rows);
    fclose(file);
}


/* where a text begins: at the right where it is Arabic, whatever its first
 * word is */

static void
test_direction(void)
{
    int                  out;
    ngx_uint_t           i;
    pulse_raster_t       raster;
    pulse_raster_step_t  step, drawn;

    static const struct {
        ngx_str_t    text;
        ngx_uint_t   right;
    } texts[] = {
        { ngx_string("Only words"), 0 },
        { ngx_string("1234"), 0 },
        { ngx_string("متوفر الآن iPhone 15"), 1 },
        { ngx_string("iPhone 15 متوفر الآن"), 1 },
        { ngx_string("They say مرحبا to all who come"), 0 }
    };

    memset(&step, 0, sizeof(pulse_raster_step_t));

    step.width = 900;
    step.height = 60;
    step.text.size = 20;
    step.text.color = 0xff;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unit_case("text %d", (int) i);

        step.text.text = texts[i].text;
        out = raster_file("", 0);

        check_int(pulse_raster_draw(out, &step, &drawn, &raster), NGX_OK);

        if (texts[i].right) {
            check(drawn.x + drawn.width >= 895);
        } else {
            check(drawn.x <= 5);
        }

        close(out);
    }

    unit_case(NULL);
}


static void
test_whole(void)
{
    int              in;
    size_t           limit;
    ngx_str_t        png;
    pulse_raster_t   raster;

    in = raster_sample(RASTER_SIDE, RASTER_SIDE);
    png = raster_bytes(in);
    close(in);

    limit = pulse_raster_limits.bytes;
    pulse_raster_limits.bytes = png.len - 1;

    in = raster_file(png.data, png.len);
    check_int(pulse_raster_probe(in, &raster), NGX_DECLINED);
    check_int(raster.why, pulse_raster_heavy);

    pulse_raster_limits.bytes = limit;
    limit = pulse_raster_limits.pixels;
    pulse_raster_limits.pixels = RASTER_SIDE * RASTER_SIDE - 1;

    check_int(pulse_raster_probe(in, &raster), NGX_DECLINED);
    check_int(raster.why, pulse_raster_large);

    pulse_raster_limits.pixels = limit;

    check_int(pulse_raster_hold(&raster, pulse_raster_limits.whole), NGX_OK);
    check_int(pulse_raster_hold(&raster, 1), NGX_DECLINED);
    check_int(raster.why, pulse_raster_whole);
    pulse_raster_release();
    check_int(pulse_raster_hold(&raster, 1), NGX_OK);
    pulse_raster_release();

    free(png.data);
    close(in);
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
    test_steps();
    test_turned();
    test_direction();
    test_whole();

    return unit_done();
}
