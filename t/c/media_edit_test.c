
#include "unit.h"
#include "pulse_edit.h"


#define EDIT_FILE  "\"file_id\":\"01234567-89ab-7def-8123-456789abcdef\""


static pulse_form_t *edit_picture(const char *text,
    pulse_edit_picture_t *edit);
static pulse_form_t *edit_clip(const char *text, pulse_edit_clip_t *edit);
static ngx_pulse_json_value_t *edit_json(const char *text);


static ngx_pool_t  *pool;


static void
test_picture(void)
{
    pulse_form_t          *form;
    pulse_raster_t         raster;
    pulse_edit_picture_t   edit;

    form = edit_picture("{" EDIT_FILE ",\"format\":\"jpeg\",\"operations\":["
                        "{\"crop\":{\"x\":1,\"y\":2,\"width\":3,"
                        "\"height\":4}},"
                        "{\"resize\":{\"height\":5,\"fit\":\"cover\"}},"
                        "{\"text\":{\"text\":\" مرحبا \",\"color\":\"102030\","
                        "\"opacity\":50,\"background\":\"000000\","
                        "\"align\":\"end\",\"vertical_align\":\"middle\","
                        "\"direction\":\"rtl\",\"font\":\"kufi\"}}]}", &edit);

    check_int(form->rc, NGX_OK);
    check_int(edit.plan.nsteps, 3);
    check_int(edit.plan.quality, 90);

    check_int(edit.plan.steps[0].step, pulse_raster_crop);
    check_int(edit.plan.steps[0].x, 1);
    check_int(edit.plan.steps[0].height, 4);

    check_int(edit.plan.steps[1].step, pulse_raster_resize);
    check_int(edit.plan.steps[1].width, 0);
    check_int(edit.plan.steps[1].fit, pulse_raster_cover);

    check_int(edit.plan.steps[2].step, pulse_raster_overlay);
    check_str(&edit.plan.steps[2].text.text, "مرحبا");
    check_int(edit.plan.steps[2].text.color, 0x10203080);
    check_int(edit.plan.steps[2].text.background, 0x00000099);
    check_int(edit.plan.steps[2].text.align, pulse_raster_end);
    check_int(edit.plan.steps[2].text.valign, pulse_raster_middle);
    check_int(edit.plan.steps[2].text.direction, pulse_raster_rtl);
    check_int(edit.plan.steps[2].text.font, pulse_raster_kufi);

    /* what is not said goes by the original */

    raster.type = pulse_raster_webp;
    pulse_edit_fit_picture(&edit, &raster);
    check_int(edit.plan.type, pulse_raster_jpeg);
    check(edit.plan.steps[2].text.size > 0);

    (void) edit_picture("{" EDIT_FILE ",\"operations\":["
                        "{\"resize\":{\"width\":5}}]}", &edit);
    pulse_edit_fit_picture(&edit, &raster);
    check_int(edit.plan.type, pulse_raster_png);

    raster.type = pulse_raster_jpeg;
    pulse_edit_fit_picture(&edit, &raster);
    check_int(edit.plan.type, pulse_raster_jpeg);
}


static void
test_picture_refused(void)
{
    ngx_uint_t             i;
    pulse_form_t          *form;
    pulse_edit_picture_t   edit;

    static const struct {
        const char  *text;
        const char  *pointer;
    } wrong[] = {
        { "{\"operations\":[{\"resize\":{\"width\":5}}]}", "/file_id" },
        { "{\"file_id\":\"x\",\"operations\":[{\"resize\":{\"width\":5}}]}",
          "/file_id" },
        { "{" EDIT_FILE "}", "/operations" },
        { "{" EDIT_FILE ",\"operations\":[]}", "/operations" },
        { "{" EDIT_FILE ",\"operations\":[7]}", "/operations/0" },
        { "{" EDIT_FILE ",\"operations\":[{}]}", "/operations/0" },
        { "{" EDIT_FILE ",\"operations\":[{\"crop\":{\"width\":1,"
          "\"height\":1},\"resize\":{}}]}", "/operations/0" },
        { "{" EDIT_FILE ",\"operations\":[{\"resize\":{}}]}",
          "/operations/0/resize/width" },
        { "{" EDIT_FILE ",\"operations\":[{\"resize\":{\"width\":16385}}]}",
          "/operations/0/resize/width" },
        { "{" EDIT_FILE ",\"operations\":[{\"crop\":{\"x\":-1,\"width\":1,"
          "\"height\":1}}]}", "/operations/0/crop/x" },
        { "{" EDIT_FILE ",\"operations\":[{\"text\":{\"text\":\" \"}}]}",
          "/operations/0/text/text" },
        { "{" EDIT_FILE ",\"operations\":[{\"text\":{\"text\":\"a\","
          "\"color\":\"red\"}}]}", "/operations/0/text/color" },
        { "{" EDIT_FILE ",\"format\":\"gif\",\"operations\":[{\"resize\":"
          "{\"width\":5}}]}", "/format" },
        { NULL, NULL }
    };

    for (i = 0; wrong[i].text; i++) {
        unit_case("%s", wrong[i].text);

        form = edit_picture(wrong[i].text, &edit);
        ngx_pulse_buf_char(&form->pointer, '\0');

        check_int(form->rc, NGX_DECLINED);
        check(strcmp((char *) form->pointer.data, wrong[i].pointer) == 0);
    }

    unit_case(NULL);
}


static void
test_clip(void)
{
    pulse_clip_t        clip;
    pulse_form_t       *form;
    pulse_edit_clip_t   edit;

    form = edit_clip("{" EDIT_FILE ",\"trim\":{\"start\":0.5,\"end\":1e1},"
                     "\"style\":{\"size\":30},\"captions\":["
                     "{\"end\":1.25,\"text\":\"a\"},"
                     "{\"start\":1.25,\"end\":2,\"text\":\"b\\nc\"}]}",
                     &edit);

    check_int(form->rc, NGX_OK);
    check_int(edit.plan.start, 500);
    check_int(edit.plan.end, 10000);
    check_int(edit.plan.ncaptions, 2);
    check_int(edit.plan.captions[0].start, 0);
    check_int(edit.plan.captions[0].end, 1250);
    check_str(&edit.plan.captions[1].text.text, "b\nc");
    check_int(edit.plan.captions[1].text.size, 30);
    check_int(edit.plan.captions[1].text.background, 0x00000099);

    clip.height = 720;
    (void) edit_clip("{" EDIT_FILE ",\"captions\":[{\"end\":1,"
                     "\"text\":\"a\"}]}", &edit);
    pulse_edit_fit_clip(&edit, &clip);
    check_int(edit.plan.captions[0].text.size, 40);
    check_int(edit.plan.end, 0);

    check_int(edit_clip("{" EDIT_FILE "}", &edit)->rc, NGX_DECLINED);
    check_int(edit_clip("{" EDIT_FILE ",\"trim\":{\"start\":-1}}", &edit)->rc,
              NGX_DECLINED);
    check_int(edit_clip("{" EDIT_FILE ",\"trim\":{\"start\":1e400}}",
                        &edit)->rc, NGX_DECLINED);
    check_int(edit_clip("{" EDIT_FILE ",\"trim\":{\"start\":2,\"end\":2}}",
                        &edit)->rc, NGX_DECLINED);
    check_int(edit_clip("{" EDIT_FILE ",\"captions\":[{\"end\":0,"
                        "\"text\":\"a\"}]}", &edit)->rc, NGX_DECLINED);
}


static void
test_limits(void)
{
    check_int(pulse_edit_set("jobs=7,clip-seconds=30"), NGX_OK);
    check_int(pulse_edit_limits.jobs, 7);
    check_int(pulse_clip_limits.duration, 30000);

    check_int(pulse_edit_set(""), NGX_ERROR);
    check_int(pulse_edit_set("jobs"), NGX_ERROR);
    check_int(pulse_edit_set("jobs=0"), NGX_ERROR);
    check_int(pulse_edit_set("jobs=-1"), NGX_ERROR);
    check_int(pulse_edit_set("jobs=3x"), NGX_ERROR);
    check_int(pulse_edit_set("job=3"), NGX_ERROR);
    check_int(pulse_edit_set("jobs=3,"), NGX_ERROR);
    check_int(pulse_edit_set("captions=51"), NGX_ERROR);
}


static pulse_form_t *
edit_picture(const char *text, pulse_edit_picture_t *edit)
{
    pulse_form_t  *form;

    form = pulse_form_create(pool);
    pulse_edit_read_picture(form, edit_json(text), edit);

    return form;
}


static pulse_form_t *
edit_clip(const char *text, pulse_edit_clip_t *edit)
{
    pulse_form_t  *form;

    form = pulse_form_create(pool);
    pulse_edit_read_clip(form, edit_json(text), edit);

    return form;
}


static ngx_pulse_json_value_t *
edit_json(const char *text)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_tree(pool, (u_char *) text, strlen(text), NULL, &err);

    check(v != NULL);

    return v;
}


int
main(void)
{
    pool = unit_pool();

    test_picture();
    test_picture_refused();
    test_clip();
    test_limits();

    ngx_destroy_pool(pool);

    return unit_done();
}
