
#include "pulse_images.h"
#include "pulse_parts.h"
#include "pulse_raster.h"
#include "pulse_reply.h"


#define PULSE_IMAGES_PROMPT  32000      /* characters */
#define PULSE_IMAGES_EDGE    8192
#define PULSE_IMAGES_PARTS   3          /* pictures before the last one */


typedef enum {
    PULSE_IMAGES_TEXT = 0,
    PULSE_IMAGES_NUMBER,
    PULSE_IMAGES_FLAG
} pulse_images_type_e;


typedef struct {
    const char          *name;
    pulse_images_type_e  type;
    unsigned             studio:1;
    unsigned             openai:1;
} pulse_images_member_t;


static ngx_pulse_json_value_t *pulse_images_body(pulse_images_t *images,
    enum MHD_Result *rc);
static ngx_int_t pulse_images_parts(pulse_images_t *images,
    enum MHD_Result *rc);
static ngx_pulse_json_value_t *pulse_images_fields(pulse_images_t *images,
    enum MHD_Result *rc);
static ngx_int_t pulse_images_field(pulse_images_t *images,
    const pulse_part_t *part, ngx_pulse_json_value_t *object,
    ngx_pulse_json_value_t *v);
static ngx_int_t pulse_images_known(pulse_images_t *images,
    ngx_pulse_json_value_t *v, enum MHD_Result *rc);
static const pulse_images_member_t *pulse_images_member(
    pulse_images_t *images, const ngx_str_t *name);
static void pulse_images_members(pulse_images_t *images,
    ngx_pulse_json_value_t *v);
static void pulse_images_options(pulse_images_t *images,
    ngx_pulse_json_value_t *v);
static void pulse_images_size(pulse_images_t *images,
    ngx_pulse_json_value_t *v);
static void pulse_images_prompt(pulse_images_t *images,
    ngx_pulse_json_value_t *v);
static void pulse_images_spoken(pulse_images_t *images);
static ngx_str_t pulse_images_choice(pulse_images_t *images,
    ngx_pulse_json_value_t *v, const char *name, const char *const *names);
static ngx_int_t pulse_images_answer(pulse_images_t *images,
    enum MHD_Result *rc);
static ngx_int_t pulse_images_model(pulse_images_t *images,
    ngx_pulse_json_value_t *v, enum MHD_Result *rc);
static const pulse_media_model_t *pulse_images_default(
    pulse_images_t *images);
static ngx_int_t pulse_images_suits(pulse_images_t *images,
    enum MHD_Result *rc);
static ngx_int_t pulse_images_extras(pulse_images_t *images,
    enum MHD_Result *rc);
static ngx_int_t pulse_images_inputs(pulse_images_t *images,
    enum MHD_Result *rc);
static ngx_int_t pulse_images_input(pulse_images_t *images,
    const pulse_part_t *part, enum MHD_Result *rc);
static const char *pulse_images_pointer(pulse_images_t *images);
static ngx_int_t pulse_images_refuse(pulse_images_t *images,
    const char *pointer, const char *arabic, const char *english,
    enum MHD_Result *rc);


static const pulse_images_member_t  pulse_images_known_members[] = {
    { "model", PULSE_IMAGES_TEXT, 1, 1 },
    { "prompt", PULSE_IMAGES_TEXT, 1, 1 },
    { "negative_prompt", PULSE_IMAGES_TEXT, 1, 0 },
    { "count", PULSE_IMAGES_NUMBER, 1, 0 },
    { "width", PULSE_IMAGES_NUMBER, 1, 0 },
    { "height", PULSE_IMAGES_NUMBER, 1, 0 },
    { "locale", PULSE_IMAGES_TEXT, 1, 0 },
    { "n", PULSE_IMAGES_NUMBER, 0, 1 },
    { "size", PULSE_IMAGES_TEXT, 1, 1 },
    { "quality", PULSE_IMAGES_TEXT, 1, 1 },
    { "background", PULSE_IMAGES_TEXT, 1, 1 },
    { "output_format", PULSE_IMAGES_TEXT, 1, 1 },
    { "output_compression", PULSE_IMAGES_NUMBER, 1, 1 },
    { "response_format", PULSE_IMAGES_TEXT, 0, 1 },
    { "moderation", PULSE_IMAGES_TEXT, 0, 1 },
    { "input_fidelity", PULSE_IMAGES_TEXT, 1, 1 },
    { "stream", PULSE_IMAGES_FLAG, 0, 1 },
    { "partial_images", PULSE_IMAGES_NUMBER, 0, 1 },

    /* who it is for: taken, and not passed on */

    { "user", PULSE_IMAGES_TEXT, 0, 1 },
    { "safety_identifier", PULSE_IMAGES_TEXT, 0, 1 },
    { NULL, PULSE_IMAGES_TEXT, 0, 0 }
};

static const char *const  pulse_images_qualities[] = {
    "auto", "low", "medium", "high", "xhigh", "max", NULL
};

static const char *const  pulse_images_backgrounds[] = {
    "auto", "transparent", "opaque", NULL
};

static const char *const  pulse_images_formats[] = {
    "png", "jpeg", "webp", NULL
};

static const char *const  pulse_images_moderations[] = {
    "auto", "low", NULL
};

static const char *const  pulse_images_fidelities[] = {
    "high", "low", NULL
};

static const char *const  pulse_images_answers[] = {
    "b64_json", "url", NULL
};


ngx_int_t
pulse_images_read(pulse_images_t *images, enum MHD_Result *rc)
{
    ngx_pulse_json_value_t  *v;

    images->wish.mask.fd = -1;
    images->url = images->request->studio;

    if (pulse_form_init(&images->form, images->request->pool) != NGX_OK) {
        *rc = pulse_reply_error(images->request, pulse_reply_internal, NULL);
        return NGX_DECLINED;
    }

    v = pulse_images_body(images, rc);

    if (v == NULL || pulse_images_known(images, v, rc) != NGX_OK) {
        return NGX_DECLINED;
    }

    pulse_images_members(images, v);

    if (images->form.rc != NGX_OK) {
        *rc = pulse_reply_form(images->request, &images->form);
        return NGX_DECLINED;
    }

    if (pulse_images_answer(images, rc) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (images->edit && pulse_images_inputs(images, rc) != NGX_OK) {
        return NGX_DECLINED;
    }

    return pulse_images_model(images, v, rc);
}


static ngx_pulse_json_value_t *
pulse_images_body(pulse_images_t *images, enum MHD_Result *rc)
{
    pulse_http_request_t  *r;

    r = images->request;

    if (!images->edit) {
        return pulse_reply_body(r, rc);
    }

    if (r->parts == NULL) {
        (void) pulse_images_refuse(images, "",
                                   "المطلوب نموذج multipart/form-data.",
                                   "multipart/form-data is wanted", rc);
        return NULL;
    }

    if (pulse_images_parts(images, rc) != NGX_OK) {
        return NULL;
    }

    return pulse_images_fields(images, rc);
}


static ngx_int_t
pulse_images_parts(pulse_images_t *images, enum MHD_Result *rc)
{
    pulse_parts_t         *parts;
    pulse_http_request_t  *r;

    r = images->request;
    parts = r->parts;

    if (pulse_parts_end(parts) == NGX_OK) {
        return NGX_OK;
    }

    if (parts->reason) {
        return pulse_images_refuse(images,
                                   parts->pointer ? parts->pointer : "",
                                   "النموذج المرسل غير سليم.",
                                   parts->reason, rc);
    }

    *rc = pulse_reply_error(r, parts->too_large ? pulse_reply_too_large
                                                : pulse_reply_store, NULL);

    return NGX_DECLINED;
}


/* The fields of a form as the members of an object would be. */

static ngx_pulse_json_value_t *
pulse_images_fields(pulse_images_t *images, enum MHD_Result *rc)
{
    ngx_uint_t               i;
    pulse_parts_t           *parts;
    ngx_pulse_json_value_t  *object, *v, **link;

    parts = images->request->parts;

    object = ngx_pcalloc(images->request->pool,
                         (parts->n + 1) * sizeof(ngx_pulse_json_value_t));
    if (object == NULL) {
        *rc = pulse_reply_error(images->request, pulse_reply_internal, NULL);
        return NULL;
    }

    object->type = NGX_PULSE_JSON_OBJECT;
    link = &object->children;

    for (i = 0; i < parts->n; i++) {

        if (parts->elts[i].fd != -1) {
            continue;
        }

        v = &object[i + 1];

        if (pulse_images_field(images, &parts->elts[i], object, v) != NGX_OK)
        {
            (void) pulse_images_refuse(images, "",
                              "في النموذج حقل مكرر أو ليس نص UTF-8.",
                              "a field of the form is there twice, or is not"
                              " UTF-8", rc);
            return NULL;
        }

        *link = v;
        link = &v->next;
        object->nelts++;
    }

    return object;
}


static ngx_int_t
pulse_images_field(pulse_images_t *images, const pulse_part_t *part,
    ngx_pulse_json_value_t *object, ngx_pulse_json_value_t *v)
{
    int64_t                       n;
    ngx_str_t                     name;
    const pulse_images_member_t  *member;

    name.data = (u_char *) part->name;
    name.len = strlen(part->name);

    if (ngx_pulse_json_get(object, part->name)
        || ngx_pulse_utf8_check(name.data, name.len, NULL) != NGX_OK
        || ngx_pulse_utf8_check(part->text.data, part->text.len, NULL)
           != NGX_OK
        || memchr(part->text.data, '\0', part->text.len))
    {
        return NGX_ERROR;
    }

    v->type = NGX_PULSE_JSON_STRING;
    v->key = name;
    v->string = part->text;
    v->parent = object;

    if (images->request->parts->object) {
        v->type = part->json;
        v->boolean = (part->json == NGX_PULSE_JSON_BOOL
                      && part->text.data[0] == 't');
        return NGX_OK;
    }

    /* in a form all is text */

    member = pulse_images_member(images, &name);

    if (member == NULL) {
        return NGX_OK;
    }

    if (member->type == PULSE_IMAGES_NUMBER
        && ngx_pulse_json_int(&part->text, &n) == NGX_OK)
    {
        v->type = NGX_PULSE_JSON_NUMBER;
    }

    if (member->type == PULSE_IMAGES_FLAG
        && (pulse_image_is(&part->text, "true")
            || pulse_image_is(&part->text, "false")))
    {
        v->type = NGX_PULSE_JSON_BOOL;
        v->boolean = (part->text.data[0] == 't');
    }

    return NGX_OK;
}


/* What is not known is refused in the dialect, as OpenAI does, and named in a
 * warning of the studio's. */

static ngx_int_t
pulse_images_known(pulse_images_t *images, ngx_pulse_json_value_t *v,
    enum MHD_Result *rc)
{
    char  pointer[PULSE_MULTIPART_NAME];

    for (v = v->children; v; v = v->next) {

        if (pulse_images_member(images, &v->key)) {
            continue;
        }

        if (images->request->studio) {

            if (images->nwarnings < PULSE_IMAGES_WARNINGS) {
                images->warnings[images->nwarnings++] = v->key;
            }

            continue;
        }

        snprintf(pointer, sizeof(pointer), "/%.*s",
                 (int) ngx_min(v->key.len, 64), v->key.data);

        if (ngx_pulse_utf8_check((u_char *) pointer, strlen(pointer), NULL)
            != NGX_OK)
        {
            pointer[0] = '\0';
        }

        return pulse_images_refuse(images, pointer, "معامل غير معروف.",
                                   "Unknown parameter", rc);
    }

    return NGX_OK;
}


static const pulse_images_member_t *
pulse_images_member(pulse_images_t *images, const ngx_str_t *name)
{
    const pulse_images_member_t  *member;

    for (member = pulse_images_known_members; member->name; member++) {
        if (pulse_image_is(name, member->name)
            && (images->request->studio ? member->studio : member->openai))
        {
            return member;
        }
    }

    return NULL;
}


static void
pulse_images_members(pulse_images_t *images, ngx_pulse_json_value_t *v)
{
    ngx_uint_t           studio;
    pulse_form_t        *form;
    pulse_image_wish_t  *wish;

    form = &images->form;
    wish = &images->wish;
    studio = images->request->studio;

    pulse_images_prompt(images, v);

    wish->count = studio ? pulse_form_integer(form, v, "count", 1,
                                              PULSE_IMAGES_STUDIO, 1)
                         : pulse_form_integer(form, v, "n", 1,
                                              PULSE_IMAGE_MAX, 1);

    pulse_images_size(images, v);
    pulse_images_options(images, v);
}


static void
pulse_images_prompt(pulse_images_t *images, ngx_pulse_json_value_t *v)
{
    images->wish.prompt = pulse_form_text(&images->form, v, "prompt",
                                          PULSE_IMAGES_PROMPT,
                                          PULSE_FORM_REQUIRED
                                          |PULSE_FORM_LINES);

    images->wish.negative = pulse_form_text(&images->form, v,
                                            "negative_prompt",
                                            PULSE_IMAGES_PROMPT,
                                            PULSE_FORM_LINES);

    pulse_images_spoken(images);
}


/* Few models have a member for what is to be left out. */

static void
pulse_images_spoken(pulse_images_t *images)
{
    u_char               *p;
    pulse_image_wish_t   *wish;

    static const char  avoid[] = "\n\nAvoid: ";

    wish = &images->wish;
    wish->spoken = wish->prompt;

    if (wish->negative.len == 0 || images->form.rc != NGX_OK) {
        return;
    }

    p = ngx_pnalloc(images->request->pool, wish->prompt.len
                                           + sizeof(avoid) - 1
                                           + wish->negative.len);
    if (p == NULL) {
        images->form.rc = NGX_ERROR;
        return;
    }

    wish->spoken.data = p;

    p = ngx_cpymem(p, wish->prompt.data, wish->prompt.len);
    p = ngx_cpymem(p, avoid, sizeof(avoid) - 1);
    p = ngx_cpymem(p, wish->negative.data, wish->negative.len);

    wish->spoken.len = p - wish->spoken.data;
}


static void
pulse_images_options(pulse_images_t *images, ngx_pulse_json_value_t *v)
{
    ngx_str_t            answer;
    pulse_form_t        *form;
    pulse_image_wish_t  *wish;

    form = &images->form;
    wish = &images->wish;

    wish->quality = pulse_images_choice(images, v, "quality",
                                        pulse_images_qualities);
    wish->background = pulse_images_choice(images, v, "background",
                                           pulse_images_backgrounds);
    wish->format = pulse_images_choice(images, v, "output_format",
                                       pulse_images_formats);
    wish->moderation = pulse_images_choice(images, v, "moderation",
                                           pulse_images_moderations);
    wish->fidelity = pulse_images_choice(images, v, "input_fidelity",
                                         pulse_images_fidelities);
    wish->compression = pulse_form_integer(form, v, "output_compression", 0,
                                           100, -1);

    if (images->request->studio) {
        return;
    }

    answer = pulse_images_choice(images, v, "response_format",
                                 pulse_images_answers);

    images->url = pulse_image_is(&answer, "url");

    images->stream = pulse_form_flag(form, v, "stream", 0);

    /* how many may come before it is whole: none does, for only then is it
     * kept, and so known */

    (void) pulse_form_integer(form, v, "partial_images", 0,
                              PULSE_IMAGES_PARTS, 0);
}


static ngx_str_t
pulse_images_choice(pulse_images_t *images, ngx_pulse_json_value_t *v,
    const char *name, const char *const *names)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    ngx_str_null(&value);

    i = pulse_form_choice(&images->form, v, name, names, NGX_MAX_INT_T_VALUE);

    if (i != NGX_MAX_INT_T_VALUE && images->form.rc == NGX_OK) {
        value.data = (u_char *) names[i];
        value.len = strlen(names[i]);
    }

    return value;
}


/* Members that do not go together. */

static ngx_int_t
pulse_images_answer(pulse_images_t *images, enum MHD_Result *rc)
{
    if (images->stream && images->wish.count > 1) {
        return pulse_images_refuse(images, "/n",
                                   "البث stream لصورة واحدة فقط.",
                                   "Streaming is only supported with n=1.",
                                   rc);
    }

    if (images->stream && images->url) {
        return pulse_images_refuse(images, "/response_format",
                                   "مع stream تأتي الصورة بصيغة b64_json.",
                                   "with stream must be b64_json", rc);
    }

    /* what is kept under a key has no bytes in it */

    if (images->request->claim && images->stream) {
        return pulse_images_refuse(images, "/stream",
                                   "لا بث stream مع Idempotency-Key.",
                                   "is not to be had with an"
                                   " Idempotency-Key", rc);
    }

    if (images->request->claim && !images->url) {
        return pulse_images_refuse(images, "/response_format",
                         "مع Idempotency-Key اطلب response_format بقيمة url.",
                         "with an Idempotency-Key must be url", rc);
    }

    return NGX_OK;
}


/* "WIDTHxHEIGHT" or "auto"; the studio's may be two numbers instead. */

static void
pulse_images_size(pulse_images_t *images, ngx_pulse_json_value_t *v)
{
    int                  end;
    char                 text[32];
    unsigned             width, height;
    ngx_str_t            size;
    pulse_form_t        *form;
    pulse_image_wish_t  *wish;

    form = &images->form;
    wish = &images->wish;

    wish->width = pulse_form_integer(form, v, "width", 64, PULSE_IMAGES_EDGE,
                                     0);
    wish->height = pulse_form_integer(form, v, "height", 64,
                                      PULSE_IMAGES_EDGE, 0);
    size = pulse_form_text(form, v, "size", sizeof(text) - 1, 0);

    if (form->rc != NGX_OK) {
        return;
    }

    if ((wish->width != 0) != (wish->height != 0)) {
        pulse_form_refuse(form, v, wish->width ? "height" : "width",
                          pulse_reason_required);
        return;
    }

    if (size.len == 0 || pulse_image_is(&size, "auto")) {
        return;
    }

    snprintf(text, sizeof(text), "%.*s", (int) size.len, size.data);
    end = 0;

    if (wish->width
        || sscanf(text, "%4ux%4u%n", &width, &height, &end) != 2
        || text[end] != '\0' || width < 64 || height < 64
        || width > PULSE_IMAGES_EDGE || height > PULSE_IMAGES_EDGE)
    {
        pulse_form_refuse(form, v, "size", pulse_reason_choice);
        return;
    }

    wish->width = width;
    wish->height = height;
}


static ngx_int_t
pulse_images_model(pulse_images_t *images, ngx_pulse_json_value_t *v,
    enum MHD_Result *rc)
{
    ngx_str_t         name;
    ngx_pulse_buf_t   details;

    name = pulse_form_text(&images->form, v, "model", 128, 0);

    if (images->form.rc != NGX_OK) {
        *rc = pulse_reply_form(images->request, &images->form);
        return NGX_DECLINED;
    }

    if (name.len == 0 || pulse_image_is(&name, "auto")) {
        images->wish.model = pulse_images_default(images);

        if (images->wish.model == NULL) {
            *rc = pulse_reply_error(images->request,
                                    pulse_reply_no_provider, NULL);
            return NGX_DECLINED;
        }

        return pulse_images_suits(images, rc);
    }

    images->wish.model = pulse_media_find(NGX_PULSE_MODEL_IMAGE, &name);

    if (images->wish.model) {
        return pulse_images_suits(images, rc);
    }

    ngx_pulse_buf_init(&details, 0);
    ngx_pulse_buf_literal(&details, "{\"model\":");
    ngx_pulse_buf_json(&details, name.data, name.len);
    ngx_pulse_buf_char(&details, '}');

    *rc = pulse_reply_error(images->request, pulse_reply_no_model, &details);

    ngx_pulse_buf_free(&details);

    return NGX_DECLINED;
}


/* The first that is to be had, and does what is asked. */

static const pulse_media_model_t *
pulse_images_default(pulse_images_t *images)
{
    const pulse_media_model_t  *model;

    for (model = pulse_media_next(NGX_PULSE_MODEL_IMAGE, NULL); model;
         model = pulse_media_next(NGX_PULSE_MODEL_IMAGE, model))
    {
        if (model->provider->key
            && (!images->edit || pulse_media_can(model, "edits", 0)))
        {
            return model;
        }
    }

    return NULL;
}


/* What this model does not do is said here, and not by the provider. */

static ngx_int_t
pulse_images_suits(pulse_images_t *images, enum MHD_Result *rc)
{
    char                  size[32];
    ngx_str_t             value;
    pulse_image_wish_t   *wish;

    wish = &images->wish;

    if (images->edit && !pulse_media_can(wish->model, "edits", 0)) {
        return pulse_images_refuse(images, "/model",
                                   "هذا النموذج لا يعدّل الصور.",
                                   "makes no edits", rc);
    }

    if (wish->ninputs
        > (ngx_uint_t) pulse_media_most(wish->model, "max_inputs",
                                        PULSE_IMAGE_INPUTS))
    {
        return pulse_images_refuse(images, pulse_images_pointer(images),
                                   "عدد الصور أكبر مما يقبله النموذج.",
                                   "are more pictures than the model takes",
                                   rc);
    }

    if (wish->mask.fd != -1 && !pulse_media_can(wish->model, "masks", 0)) {
        return pulse_images_refuse(images, "/mask",
                                   "هذا النموذج لا يقبل قناعًا.",
                                   "is of no use to this model", rc);
    }

    if (wish->quality.len && !pulse_image_is(&wish->quality, "auto")
        && !pulse_media_offers(wish->model, "qualities", &wish->quality, 0))
    {
        return pulse_images_refuse(images, "/quality",
                                   "هذا النموذج لا يعرف هذه الجودة.",
                                   "is none that this model has", rc);
    }

    if (wish->width) {
        value.data = (u_char *) size;
        value.len = snprintf(size, sizeof(size), "%lux%lu", wish->width,
                             wish->height);

        if (!pulse_media_offers(wish->model, "sizes", &value, 1)) {
            return pulse_images_refuse(images, "/size",
                                       "هذا النموذج لا يعرف هذا المقاس.",
                                       "is none that this model has", rc);
        }
    }

    return pulse_images_extras(images, rc);
}


/* What only models of OpenAI's can be told. */

static ngx_int_t
pulse_images_extras(pulse_images_t *images, enum MHD_Result *rc)
{
    ngx_uint_t           i;
    pulse_image_wish_t  *wish;

    wish = &images->wish;

    const struct {
        const char  *pointer;
        ngx_uint_t   said;
    } extras[] = {
        { "/background", wish->background.len
                         && !pulse_image_is(&wish->background, "auto") },
        { "/output_format", wish->format.len },
        { "/output_compression", wish->compression != -1 },
        { "/input_fidelity", wish->fidelity.len },
        { NULL, 0 }
    };

    if (strcmp(wish->model->provider->name, "openai") == 0) {
        return NGX_OK;
    }

    for (i = 0; extras[i].pointer; i++) {
        if (extras[i].said) {
            return pulse_images_refuse(images, extras[i].pointer,
                                       "هذا النموذج لا يقبل هذا الخيار.",
                                       "is of no use to this model", rc);
        }
    }

    return NGX_OK;
}


static ngx_int_t
pulse_images_inputs(pulse_images_t *images, enum MHD_Result *rc)
{
    ngx_uint_t      i;
    pulse_part_t   *part;
    pulse_parts_t  *parts;

    parts = images->request->parts;

    for (i = 0; i < parts->n; i++) {
        part = &parts->elts[i];

        if (part->fd != -1 && pulse_images_input(images, part, rc) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (images->wish.ninputs == 0) {
        return pulse_images_refuse(images, pulse_images_pointer(images),
                                   "هذا الحقل مطلوب.",
                                   "This field is required.", rc);
    }

    return NGX_OK;
}


/* Looked at as a whole, for what is broken a provider would find only after
 * it was held and sent. */

static ngx_int_t
pulse_images_input(pulse_images_t *images, const pulse_part_t *part,
    enum MHD_Result *rc)
{
    char                  pointer[PULSE_MULTIPART_NAME + 1];
    ngx_int_t             taken;
    ngx_uint_t            mask;
    pulse_raster_t        raster;
    pulse_image_wish_t   *wish;
    pulse_image_input_t  *input;

    wish = &images->wish;
    mask = (strcmp(part->name, "mask") == 0);

    if (!mask && !images->request->parts->object
        && strcmp(part->name, "image") != 0
        && strcmp(part->name, "image[]") != 0)
    {
        return pulse_images_refuse(images, "",
                                   "الملفات المقبولة هي image و mask.",
                                   "files are image and mask", rc);
    }

    if (mask ? wish->mask.fd != -1 : wish->ninputs == PULSE_IMAGE_INPUTS) {
        return pulse_images_refuse(images,
                                   mask ? "/mask"
                                        : pulse_images_pointer(images),
                                   "العدد هنا أكبر مما يُقبل.",
                                   "There are too many of these.", rc);
    }

    input = mask ? &wish->mask : &wish->inputs[wish->ninputs++];

    input->fd = part->fd;
    input->size = part->size;

    taken = pulse_raster_check(part->fd, &raster);

    if (taken == NGX_DECLINED) {
        snprintf(pointer, sizeof(pointer), "/%.*s",
                 (int) strcspn(part->name, "["), part->name);

        return pulse_images_refuse(images, pointer,
                                   pulse_raster_reason(raster.why, 1),
                                   pulse_raster_reason(raster.why, 0), rc);
    }

    if (taken != NGX_OK) {
        *rc = pulse_reply_error(images->request, pulse_reply_internal, NULL);
        return NGX_DECLINED;
    }

    if (mask && raster.type != pulse_raster_png) {
        return pulse_images_refuse(images, "/mask", "القناع صورة PNG.",
                                   "is not a PNG", rc);
    }

    input->type = pulse_raster_content_type(raster.type);

    return NGX_OK;
}


/* To where pictures are. */

static const char *
pulse_images_pointer(pulse_images_t *images)
{
    pulse_parts_t  *parts;

    parts = images->request->parts;

    return (parts && parts->object) ? "/images" : "/image";
}


static ngx_int_t
pulse_images_refuse(pulse_images_t *images, const char *pointer,
    const char *arabic, const char *english, enum MHD_Result *rc)
{
    *rc = pulse_reply_field(images->request, pointer, arabic, english);

    return NGX_DECLINED;
}
