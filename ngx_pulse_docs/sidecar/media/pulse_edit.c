
#include "pulse_edit.h"
#include "ngx_pulse_id.h"


#define PULSE_EDIT_ID        36
#define PULSE_EDIT_SIZE      500            /* pixels of a font */
#define PULSE_EDIT_PICTURE   48             /* where none is said */
#define PULSE_EDIT_CLIP      18             /* a share of its height, inverse */
#define PULSE_EDIT_QUALITY   90
#define PULSE_EDIT_SECONDS   86400
#define PULSE_EDIT_NUMBER    32


static void pulse_edit_file(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, ngx_str_t *file);
static void pulse_edit_operation(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_raster_step_t *step);
static void pulse_edit_box(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_raster_step_t *step);
static void pulse_edit_text(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, ngx_uint_t flags,
    pulse_raster_text_t *text);
static uint32_t pulse_edit_color(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *color, const char *opacity,
    uint32_t absent, ngx_uint_t opaque);
static void pulse_edit_trim(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_clip_plan_t *plan);
static void pulse_edit_captions(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_edit_clip_t *edit);
static ngx_uint_t pulse_edit_seconds(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key, ngx_uint_t flags);


pulse_edit_limits_t  pulse_edit_limits = {
    .operations = 20,
    .text = 500,
    .captions = PULSE_EDIT_CAPTIONS,
    .jobs = 3
};


static const struct {
    const char    *name;
    size_t        *limit;
    size_t         unit;
} pulse_edit_options[] = {
    { "operations", &pulse_edit_limits.operations, 1 },
    { "text", &pulse_edit_limits.text, 1 },
    { "captions", &pulse_edit_limits.captions, 1 },
    { "jobs", &pulse_edit_limits.jobs, 1 },
    { "image-bytes", &pulse_raster_limits.bytes, 1 },
    { "image-pixels", &pulse_raster_limits.pixels, 1 },
    { "image-whole", &pulse_raster_limits.whole, 1 },
    { "clip-bytes", &pulse_clip_limits.bytes, 1 },
    { "clip-pixels", &pulse_clip_limits.pixels, 1 },
    { "clip-seconds", &pulse_clip_limits.duration, 1000 },
    { "clip-time", &pulse_clip_limits.time, 1000 },
    { NULL, NULL, 0 }
};


static const char *const  pulse_edit_formats[] = { "png", "jpeg", NULL };
static const char *const  pulse_edit_fits[] = {
    "inside", "cover", "fill", NULL
};
static const char *const  pulse_edit_fonts[] = {
    "sans", "naskh", "kufi", NULL
};
static const char *const  pulse_edit_aligns[] = {
    "start", "center", "end", NULL
};
static const char *const  pulse_edit_heights[] = {
    "top", "middle", "bottom", NULL
};
static const char *const  pulse_edit_directions[] = {
    "auto", "rtl", "ltr", NULL
};


ngx_int_t
pulse_edit_set(const char *text)
{
    char       *end;
    size_t      len, n;
    ngx_uint_t  i;

    for ( ;; ) {
        len = strcspn(text, "=");

        for (i = 0; pulse_edit_options[i].name; i++) {
            if (strlen(pulse_edit_options[i].name) == len
                && strncmp(pulse_edit_options[i].name, text, len) == 0)
            {
                break;
            }
        }

        if (pulse_edit_options[i].name == NULL || text[len] != '='
            || text[len + 1] < '0' || text[len + 1] > '9')
        {
            return NGX_ERROR;
        }

        n = strtoul(text + len + 1, &end, 10);

        if (n == 0 || n > NGX_MAX_INT32_VALUE
            || (*end != ',' && *end != '\0'))
        {
            return NGX_ERROR;
        }

        *pulse_edit_options[i].limit = n * pulse_edit_options[i].unit;

        if (*end == '\0') {
            break;
        }

        text = end + 1;
    }

    return (pulse_edit_limits.captions <= PULSE_EDIT_CAPTIONS) ? NGX_OK
                                                               : NGX_ERROR;
}


void
pulse_edit_read_picture(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_edit_picture_t *edit)
{
    ngx_uint_t               n;
    ngx_pulse_json_value_t  *operation;

    memset(edit, 0, sizeof(pulse_edit_picture_t));

    pulse_edit_file(form, v, &edit->file);

    edit->format = pulse_form_choice(form, v, "format", pulse_edit_formats,
                                     PULSE_EDIT_SAME);
    edit->plan.quality = pulse_form_integer(form, v, "quality", 1, 100,
                                            PULSE_EDIT_QUALITY);

    operation = pulse_form_array(form, v, "operations",
                                 pulse_edit_limits.operations,
                                 PULSE_FORM_REQUIRED);
    if (operation == NULL) {
        return;
    }

    n = operation->parent->nelts;

    edit->plan.steps = ngx_pcalloc(form->pool,
                                   n * sizeof(pulse_raster_step_t));
    if (edit->plan.steps == NULL) {
        form->rc = NGX_ERROR;
        return;
    }

    for ( /* void */ ; operation; operation = operation->next) {
        pulse_edit_operation(form, operation,
                             &edit->plan.steps[edit->plan.nsteps++]);
    }
}


static void
pulse_edit_file(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    ngx_str_t *file)
{
    *file = pulse_form_text(form, v, "file_id", PULSE_EDIT_ID,
                            PULSE_FORM_REQUIRED);

    if (form->rc == NGX_OK && !ngx_pulse_uuid_valid(file)) {
        pulse_form_refuse(form, v, "file_id", pulse_reason_choice);
    }
}


/* an object with one member, which says what is done */

static void
pulse_edit_operation(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_raster_step_t *step)
{
    ngx_pulse_json_value_t  *member;

    if (form->rc != NGX_OK) {
        return;
    }

    if (v->type != NGX_PULSE_JSON_OBJECT || v->nelts != 1) {
        pulse_form_refuse(form, v, NULL, pulse_reason_either);
        return;
    }

    member = pulse_form_member(form, v, "crop", NGX_PULSE_JSON_OBJECT, 0);

    if (member) {
        step->step = pulse_raster_crop;
        pulse_edit_box(form, member, step);

        if (step->width == 0 || step->height == 0) {
            pulse_form_refuse(form, member, step->width ? "height" : "width",
                              pulse_reason_required);
        }

        return;
    }

    member = pulse_form_member(form, v, "resize", NGX_PULSE_JSON_OBJECT, 0);

    if (member) {
        step->step = pulse_raster_resize;
        pulse_edit_box(form, member, step);
        step->fit = pulse_form_choice(form, member, "fit", pulse_edit_fits,
                                      pulse_raster_inside);

        if (step->width == 0 && step->height == 0) {
            pulse_form_refuse(form, member, "width", pulse_reason_required);
        }

        return;
    }

    member = pulse_form_member(form, v, "text", NGX_PULSE_JSON_OBJECT, 0);

    if (member) {
        step->step = pulse_raster_overlay;
        pulse_edit_box(form, member, step);
        pulse_edit_text(form, member, PULSE_FORM_REQUIRED, &step->text);
        return;
    }

    pulse_form_refuse(form, v, NULL, pulse_reason_either);
}


static void
pulse_edit_box(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_raster_step_t *step)
{
    step->x = pulse_form_integer(form, v, "x", 0, PULSE_RASTER_EDGE, 0);
    step->y = pulse_form_integer(form, v, "y", 0, PULSE_RASTER_EDGE, 0);
    step->width = pulse_form_integer(form, v, "width", 1, PULSE_RASTER_EDGE,
                                     0);
    step->height = pulse_form_integer(form, v, "height", 1,
                                      PULSE_RASTER_EDGE, 0);
}


static void
pulse_edit_text(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    ngx_uint_t flags, pulse_raster_text_t *text)
{
    text->text = pulse_form_text(form, v, "text", pulse_edit_limits.text,
                                 flags|PULSE_FORM_LINES);
    text->size = pulse_form_integer(form, v, "size", 4, PULSE_EDIT_SIZE, 0);
    text->font = pulse_form_choice(form, v, "font", pulse_edit_fonts,
                                   pulse_raster_sans);
    text->align = pulse_form_choice(form, v, "align", pulse_edit_aligns,
                                    pulse_raster_start);
    text->valign = pulse_form_choice(form, v, "vertical_align",
                                     pulse_edit_heights, pulse_raster_start);
    text->direction = pulse_form_choice(form, v, "direction",
                                        pulse_edit_directions,
                                        pulse_raster_auto);
    text->bold = pulse_form_flag(form, v, "bold", 0);

    text->color = pulse_edit_color(form, v, "color", "opacity", 0xffffff,
                                   100);

    if (pulse_form_member(form, v, "background", NGX_PULSE_JSON_STRING, 0)) {
        text->background = pulse_edit_color(form, v, "background",
                                            "background_opacity", 0, 60);
    }
}


static uint32_t
pulse_edit_color(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *color, const char *opacity, uint32_t absent,
    ngx_uint_t opaque)
{
    uint32_t    rgb;
    ngx_uint_t  percent;

    rgb = pulse_form_color(form, v, color, absent);
    percent = pulse_form_integer(form, v, opacity, 0, 100, opaque);

    return rgb << 8 | (percent * 255 + 50) / 100;
}


void
pulse_edit_read_clip(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_edit_clip_t *edit)
{
    memset(edit, 0, sizeof(pulse_edit_clip_t));

    pulse_edit_file(form, v, &edit->file);
    pulse_edit_trim(form, v, &edit->plan);
    pulse_edit_captions(form, v, edit);

    if (edit->plan.ncaptions == 0 && ngx_pulse_json_get(v, "trim") == NULL) {
        pulse_form_refuse(form, v, "trim", pulse_reason_required);
    }
}


static void
pulse_edit_trim(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_clip_plan_t *plan)
{
    ngx_pulse_json_value_t  *trim;

    trim = pulse_form_member(form, v, "trim", NGX_PULSE_JSON_OBJECT, 0);

    if (trim) {
        plan->start = pulse_edit_seconds(form, trim, "start", 0);
        plan->end = pulse_edit_seconds(form, trim, "end", 0);

        if (plan->end && plan->end <= plan->start) {
            pulse_form_refuse(form, trim, "end", pulse_reason_number);
        }
    }
}


/* All look alike, as "style" says. */

static void
pulse_edit_captions(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_edit_clip_t *edit)
{
    pulse_raster_text_t      look;
    pulse_clip_caption_t    *caption;
    ngx_pulse_json_value_t  *element, *style;

    static const pulse_raster_text_t  usual = {
        .color = 0xffffffff, .background = 0x00000099
    };

    element = pulse_form_array(form, v, "captions",
                               pulse_edit_limits.captions, 0);
    style = pulse_form_member(form, v, "style", NGX_PULSE_JSON_OBJECT, 0);

    if (element == NULL) {
        return;
    }

    look = usual;

    if (style) {
        pulse_edit_text(form, style, 0, &look);
    }

    edit->plan.captions = ngx_pcalloc(form->pool, element->parent->nelts
                                      * sizeof(pulse_clip_caption_t));
    if (edit->plan.captions == NULL) {
        form->rc = NGX_ERROR;
        return;
    }

    for ( /* void */ ; element && form->rc == NGX_OK; element = element->next)
    {
        caption = &edit->plan.captions[edit->plan.ncaptions++];

        if (element->type != NGX_PULSE_JSON_OBJECT) {
            pulse_form_refuse(form, element, NULL, pulse_reason_type);
            return;
        }

        caption->text = look;
        caption->text.text = pulse_form_text(form, element, "text",
                                             pulse_edit_limits.text,
                                             PULSE_FORM_REQUIRED
                                             |PULSE_FORM_LINES);
        caption->start = pulse_edit_seconds(form, element, "start", 0);
        caption->end = pulse_edit_seconds(form, element, "end",
                                          PULSE_FORM_REQUIRED);

        if (caption->end <= caption->start) {
            pulse_form_refuse(form, element, "end", pulse_reason_number);
        }
    }
}


/* in milliseconds; 0 if it is absent */

static ngx_uint_t
pulse_edit_seconds(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t flags)
{
    char                     text[PULSE_EDIT_NUMBER];
    double                   seconds;
    ngx_pulse_json_value_t  *member;

    member = pulse_form_member(form, v, key, NGX_PULSE_JSON_NUMBER, flags);
    if (member == NULL) {
        return 0;
    }

    seconds = -1;

    if (member->string.len < sizeof(text)) {
        memcpy(text, member->string.data, member->string.len);
        text[member->string.len] = '\0';
        seconds = strtod(text, NULL);
    }

    if (!(seconds >= 0 && seconds <= PULSE_EDIT_SECONDS)) {
        pulse_form_refuse(form, member, NULL, pulse_reason_number);
        return 0;
    }

    return seconds * 1000 + 0.5;
}


void
pulse_edit_fit_picture(pulse_edit_picture_t *edit,
    const pulse_raster_t *raster)
{
    ngx_uint_t           i;
    pulse_raster_text_t  *text;

    edit->plan.type = edit->format;

    if (edit->format == PULSE_EDIT_SAME) {
        edit->plan.type = (raster->type == pulse_raster_jpeg)
                          ? pulse_raster_jpeg : pulse_raster_png;
    }

    for (i = 0; i < edit->plan.nsteps; i++) {
        text = &edit->plan.steps[i].text;

        if (text->size == 0) {
            text->size = PULSE_EDIT_PICTURE;
        }
    }
}


void
pulse_edit_fit_clip(pulse_edit_clip_t *edit, const pulse_clip_t *clip)
{
    ngx_uint_t            i;
    pulse_raster_text_t  *text;

    for (i = 0; i < edit->plan.ncaptions; i++) {
        text = &edit->plan.captions[i].text;

        if (text->size == 0) {
            text->size = ngx_max(clip->height / PULSE_EDIT_CLIP, 8);
        }
    }
}
