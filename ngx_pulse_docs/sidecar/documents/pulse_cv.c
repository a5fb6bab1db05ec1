
#include "pulse_cv.h"


#define PULSE_CV_SHORT  200             /* characters */
#define PULSE_CV_LONG   4000
#define PULSE_CV_ITEM   1000
#define PULSE_CV_ITEMS  30
#define PULSE_CV_LINKS  10
#define PULSE_CV_NAME   120
#define PULSE_CV_LABEL  60

#define PULSE_CV_ACCENT  0x1f4e79


/* where a member of an entry goes, and what it is */

typedef enum {
    pulse_cv_text = 0,
    pulse_cv_lines,
    pulse_cv_list,
    pulse_cv_day,
    pulse_cv_link
} pulse_cv_kind_e;


typedef struct {
    const char         *key;
    size_t              offset;         /* in pulse_cv_entry_t */
    pulse_cv_kind_e     kind;
    ngx_uint_t          flags;          /* PULSE_FORM_* */
} pulse_cv_field_t;


typedef struct {
    const char         *key;            /* NULL: the form has no such section */
    ngx_uint_t          max;            /* entries */
    ngx_uint_t          text;           /* an entry may be its title alone */
    pulse_cv_field_t    fields[12];
} pulse_cv_shape_t;


static void pulse_cv_studio(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_cv_t *cv);
static void pulse_cv_resume(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_cv_t *cv);
static ngx_str_t pulse_cv_place(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, ngx_uint_t arabic);
static void pulse_cv_profiles(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_cv_t *cv);
static void pulse_cv_options(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *locale, pulse_cv_t *cv);
static void pulse_cv_order(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_cv_t *cv);
static void pulse_cv_labels(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, pulse_cv_t *cv);
static void pulse_cv_section(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const pulse_cv_shape_t *shape,
    pulse_cv_t *cv, pulse_cv_section_t *section);
static void pulse_cv_entry(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const pulse_cv_shape_t *shape,
    pulse_cv_entry_t *entry);
static void pulse_cv_field(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const pulse_cv_field_t *field,
    pulse_cv_entry_t *entry);
static void pulse_cv_texts(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key, ngx_str_t **texts,
    ngx_uint_t *n);
static pulse_cv_date_t pulse_cv_date(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const char *key, ngx_uint_t flags);
static ngx_uint_t pulse_cv_digits(const ngx_str_t *text, size_t start,
    size_t len);
static void pulse_cv_unknown(pulse_form_t *form,
    const ngx_pulse_json_value_t *v, const pulse_cv_shape_t *shape,
    const char *const *known, pulse_cv_t *cv);
static ngx_uint_t pulse_cv_is_known(const ngx_pulse_json_value_t *member,
    const pulse_cv_shape_t *shapes, const char *const *known);
static ngx_uint_t pulse_cv_is_field(const ngx_pulse_json_value_t *member,
    const pulse_cv_shape_t *shape);
static ngx_uint_t pulse_cv_same(const ngx_str_t *text, const char *name);


#define pulse_cv_offset(member)  offsetof(pulse_cv_entry_t, member)

#define pulse_cv_title(key, flags)                                            \
    { key, pulse_cv_offset(title), pulse_cv_text, flags }
#define pulse_cv_detail(key)                                                  \
    { key, pulse_cv_offset(detail), pulse_cv_text, 0 }
#define pulse_cv_organization(key, flags)                                     \
    { key, pulse_cv_offset(organization), pulse_cv_text, flags }
#define pulse_cv_at(key)                                                      \
    { key, pulse_cv_offset(place), pulse_cv_text, 0 }
#define pulse_cv_score(key)                                                   \
    { key, pulse_cv_offset(score), pulse_cv_text, 0 }
#define pulse_cv_url(key)                                                     \
    { key, pulse_cv_offset(url), pulse_cv_link, 0 }
#define pulse_cv_prose(key)                                                   \
    { key, pulse_cv_offset(summary), pulse_cv_lines, PULSE_FORM_LINES }
#define pulse_cv_items(key)                                                   \
    { key, pulse_cv_offset(items), pulse_cv_list, 0 }
#define pulse_cv_words(key)                                                   \
    { key, pulse_cv_offset(words), pulse_cv_list, 0 }
#define pulse_cv_start(key, flags)                                            \
    { key, pulse_cv_offset(start), pulse_cv_day, flags }
#define pulse_cv_end(key)                                                     \
    { key, pulse_cv_offset(end), pulse_cv_day, 0 }

#define PULSE_CV_DATES  pulse_cv_start("startDate", 0), pulse_cv_end("endDate")


/* as API.md has it */

static const pulse_cv_shape_t  pulse_cv_studio_shapes[] = {

    { NULL, 0, 0, { { NULL, 0, 0, 0 } } },

    { "experience", 40, 0,
      { pulse_cv_title("title", PULSE_FORM_REQUIRED),
        pulse_cv_organization("company", PULSE_FORM_REQUIRED),
        pulse_cv_at("location"),
        pulse_cv_start("start_date", PULSE_FORM_REQUIRED),
        pulse_cv_end("end_date"), pulse_cv_prose("description"),
        pulse_cv_items("highlights"), pulse_cv_url("url") } },

    { "education", 20, 0,
      { pulse_cv_title("degree", PULSE_FORM_REQUIRED),
        pulse_cv_organization("institution", PULSE_FORM_REQUIRED),
        pulse_cv_at("location"), pulse_cv_start("start_date", 0),
        pulse_cv_end("end_date"), pulse_cv_prose("description"),
        pulse_cv_url("url") } },

    { "skills", 60, 1,
      { pulse_cv_title("name", PULSE_FORM_REQUIRED), pulse_cv_detail("level"),
        pulse_cv_words("keywords") } },

    { "projects", 40, 1,
      { pulse_cv_title("name", PULSE_FORM_REQUIRED),
        pulse_cv_prose("description"), pulse_cv_items("highlights"),
        pulse_cv_words("keywords"), pulse_cv_url("url"),
        pulse_cv_start("start_date", 0), pulse_cv_end("end_date") } },

    { "certifications", 40, 1,
      { pulse_cv_title("name", PULSE_FORM_REQUIRED),
        pulse_cv_organization("issuer", 0), pulse_cv_start("date", 0),
        pulse_cv_url("url") } },

    { NULL, 0, 0, { { NULL, 0, 0, 0 } } },
    { NULL, 0, 0, { { NULL, 0, 0, 0 } } },
    { NULL, 0, 0, { { NULL, 0, 0, 0 } } },

    { "languages", 20, 1,
      { pulse_cv_title("language", PULSE_FORM_REQUIRED),
        pulse_cv_detail("level"), pulse_cv_detail("fluency") } },

    { NULL, 0, 0, { { NULL, 0, 0, 0 } } },
    { NULL, 0, 0, { { NULL, 0, 0, 0 } } }
};


/* JSON Resume, schema 1.0.0 */

static const pulse_cv_shape_t  pulse_cv_resume_shapes[] = {

    { NULL, 0, 0, { { NULL, 0, 0, 0 } } },

    { "work", 40, 0,
      { pulse_cv_title("position", 0), pulse_cv_organization("name", 0),
        pulse_cv_detail("description"), pulse_cv_at("location"),
        pulse_cv_url("url"), PULSE_CV_DATES, pulse_cv_prose("summary"),
        pulse_cv_items("highlights") } },

    { "education", 20, 0,
      { pulse_cv_title("studyType", 0), pulse_cv_detail("area"),
        pulse_cv_organization("institution", 0), pulse_cv_url("url"),
        PULSE_CV_DATES, pulse_cv_score("score"), pulse_cv_words("courses") } },

    { "skills", 40, 1,
      { pulse_cv_title("name", 0), pulse_cv_detail("level"),
        pulse_cv_words("keywords") } },

    { "projects", 40, 1,
      { pulse_cv_title("name", 0), pulse_cv_organization("entity", 0),
        pulse_cv_prose("description"), pulse_cv_items("highlights"),
        pulse_cv_words("keywords"), PULSE_CV_DATES, pulse_cv_url("url"),
        pulse_cv_detail("type") } },

    { "certificates", 40, 1,
      { pulse_cv_title("name", 0), pulse_cv_organization("issuer", 0),
        pulse_cv_start("date", 0), pulse_cv_url("url") } },

    { "awards", 30, 0,
      { pulse_cv_title("title", 0), pulse_cv_organization("awarder", 0),
        pulse_cv_start("date", 0), pulse_cv_prose("summary") } },

    { "publications", 60, 0,
      { pulse_cv_title("name", 0), pulse_cv_organization("publisher", 0),
        pulse_cv_start("releaseDate", 0), pulse_cv_url("url"),
        pulse_cv_prose("summary") } },

    { "volunteer", 20, 0,
      { pulse_cv_title("position", 0),
        pulse_cv_organization("organization", 0), pulse_cv_url("url"),
        PULSE_CV_DATES, pulse_cv_prose("summary"),
        pulse_cv_items("highlights") } },

    { "languages", 20, 1,
      { pulse_cv_title("language", 0), pulse_cv_detail("fluency") } },

    { "interests", 20, 1,
      { pulse_cv_title("name", 0), pulse_cv_words("keywords") } },

    { "references", 10, 0,
      { pulse_cv_title("name", 0), pulse_cv_prose("reference") } }
};


static const char *const  pulse_cv_section_names[] = {
    "summary", "work", "education", "skills", "projects", "certificates",
    "awards", "publications", "volunteer", "languages", "interests",
    "references", NULL
};

static const char *const  pulse_cv_studio_known[] = {
    "full_name", "email", "phone", "location", "links", "title", "summary",
    "locale", "template", "ats_friendly", "export_format", "accent", "font",
    "paper", "digits", "calendar_months", "sections", "labels", NULL
};

static const char *const  pulse_cv_resume_known[] = {
    "$schema", "basics", "meta", "locale", "template", "ats_friendly",
    "export_format", "format", NULL
};

static const char *const  pulse_cv_formats[] = { "docx", "pdf", NULL };
static const char *const  pulse_cv_templates[] = {
    "classic", "compact", "modern", NULL
};
static const char *const  pulse_cv_fonts[] = {
    "default", "naskh", "sans", NULL
};
static const char *const  pulse_cv_papers[] = { "A4", "Letter", NULL };
static const char *const  pulse_cv_digit_names[] = { "latn", "arab", NULL };
static const char *const  pulse_cv_months[] = {
    "auto", "levant", "gregorian", NULL
};


void
pulse_cv_read(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *locale, pulse_cv_t *cv)
{
    ngx_uint_t               i;
    const pulse_cv_shape_t  *shapes;

    ngx_memzero(cv, sizeof(pulse_cv_t));

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        pulse_form_refuse(form, v, NULL, pulse_reason_type);
        return;
    }

    if (ngx_pulse_json_get(v, "basics")) {
        shapes = pulse_cv_resume_shapes;
        pulse_cv_resume(form, v, cv);
        pulse_cv_unknown(form, v, shapes, pulse_cv_resume_known, cv);

    } else {
        shapes = pulse_cv_studio_shapes;
        pulse_cv_studio(form, v, cv);
        pulse_cv_unknown(form, v, shapes, pulse_cv_studio_known, cv);
    }

    for (i = 0; i < pulse_cv_sections; i++) {
        if (shapes[i].key) {
            pulse_cv_section(form, v, &shapes[i], cv, &cv->sections[i]);
        }
    }

    pulse_cv_options(form, v, locale, cv);

    if (shapes == pulse_cv_resume_shapes) {
        cv->place = pulse_cv_place(form, v, cv->arabic);
    }
}


static void
pulse_cv_studio(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_cv_t *cv)
{
    pulse_cv_entry_t        *summary;
    ngx_pulse_json_value_t  *link;

    summary = ngx_pcalloc(form->pool, sizeof(pulse_cv_entry_t));
    cv->links = ngx_pcalloc(form->pool, PULSE_CV_LINKS * sizeof(ngx_str_t));

    if (summary == NULL || cv->links == NULL) {
        form->rc = NGX_ERROR;
        return;
    }

    cv->name = pulse_form_text(form, v, "full_name", PULSE_CV_NAME,
                               PULSE_FORM_REQUIRED);
    cv->headline = pulse_form_text(form, v, "title", PULSE_CV_SHORT,
                                   PULSE_FORM_REQUIRED);
    cv->email = pulse_form_email(form, v, "email");
    cv->phone = pulse_form_phone(form, v, "phone");
    cv->place = pulse_form_text(form, v, "location", PULSE_CV_SHORT, 0);

    summary->summary = pulse_form_text(form, v, "summary", PULSE_CV_LONG,
                                       PULSE_FORM_REQUIRED|PULSE_FORM_LINES);

    cv->sections[pulse_cv_summary].entries = summary;
    cv->sections[pulse_cv_summary].nentries = 1;

    link = pulse_form_array(form, v, "links", PULSE_CV_LINKS, 0);

    for ( /* void */ ; link; link = link->next) {
        cv->links[cv->nlinks++] = pulse_form_address(form, link);
    }
}


static void
pulse_cv_resume(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_cv_t *cv)
{
    pulse_cv_entry_t        *summary;
    ngx_pulse_json_value_t  *basics;

    summary = ngx_pcalloc(form->pool, sizeof(pulse_cv_entry_t));
    if (summary == NULL) {
        form->rc = NGX_ERROR;
        return;
    }

    basics = pulse_form_member(form, v, "basics", NGX_PULSE_JSON_OBJECT,
                               PULSE_FORM_REQUIRED);

    cv->name = pulse_form_text(form, basics, "name", PULSE_CV_NAME,
                               PULSE_FORM_REQUIRED);
    cv->headline = pulse_form_text(form, basics, "label", PULSE_CV_SHORT, 0);
    cv->email = pulse_form_email(form, basics, "email");
    cv->phone = pulse_form_phone(form, basics, "phone");
    cv->url = pulse_form_url(form, basics, "url");

    pulse_cv_profiles(form, basics, cv);

    summary->summary = pulse_form_text(form, basics, "summary", PULSE_CV_LONG,
                                       PULSE_FORM_LINES);

    if (summary->summary.len) {
        cv->sections[pulse_cv_summary].entries = summary;
        cv->sections[pulse_cv_summary].nentries = 1;
    }
}


/* "Amman, JO": what a reader of the CV needs, without street and code */

static ngx_str_t
pulse_cv_place(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    ngx_uint_t arabic)
{
    size_t       len;
    ngx_str_t    place, parts[3];
    ngx_uint_t   i;
    const char  *comma;

    comma = arabic ? "، " : ", ";
    len = strlen(comma);

    v = pulse_form_member(form, v, "basics", NGX_PULSE_JSON_OBJECT, 0);
    v = pulse_form_member(form, v, "location", NGX_PULSE_JSON_OBJECT, 0);

    parts[0] = pulse_form_text(form, v, "city", PULSE_CV_SHORT, 0);
    parts[1] = pulse_form_text(form, v, "region", PULSE_CV_SHORT, 0);
    parts[2] = pulse_form_text(form, v, "countryCode", 2, 0);

    ngx_str_null(&place);

    place.data = ngx_pnalloc(form->pool, parts[0].len + parts[1].len
                                         + parts[2].len + 2 * len);
    if (place.data == NULL) {
        form->rc = NGX_ERROR;
        return place;
    }

    for (i = 0; i < 3; i++) {

        if (parts[i].len == 0) {
            continue;
        }

        if (place.len) {
            ngx_memcpy(place.data + place.len, comma, len);
            place.len += len;
        }

        ngx_memcpy(place.data + place.len, parts[i].data, parts[i].len);
        place.len += parts[i].len;
    }

    return place;
}


static void
pulse_cv_profiles(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_cv_t *cv)
{
    ngx_pulse_json_value_t  *profile;

    cv->links = ngx_pcalloc(form->pool, PULSE_CV_LINKS * sizeof(ngx_str_t));
    if (cv->links == NULL) {
        form->rc = NGX_ERROR;
        return;
    }

    profile = pulse_form_array(form, v, "profiles", PULSE_CV_LINKS, 0);

    for ( /* void */ ; profile; profile = profile->next) {
        cv->links[cv->nlinks] = pulse_form_url(form, profile, "url");

        if (cv->links[cv->nlinks].len) {
            cv->nlinks++;
        }
    }
}


/* the studio's form has them beside the rest, a resume in "meta" or there */

static void
pulse_cv_options(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *locale, pulse_cv_t *cv)
{
    ngx_uint_t               months, format;
    pulse_locale_t           spoken;
    ngx_pulse_json_value_t  *meta;

    format = pulse_form_choice(form, v, "format", pulse_cv_formats, 0);
    cv->pdf = pulse_form_choice(form, v, "export_format", pulse_cv_formats,
                                format);

    /* all templates are, whatever it says */

    (void) pulse_form_flag(form, v, "ats_friendly", 1);

    cv->template = pulse_form_choice(form, v, "template", pulse_cv_templates,
                                     pulse_template_classic);

    meta = pulse_form_member(form, v, "meta", NGX_PULSE_JSON_OBJECT, 0);

    if (meta) {
        cv->template = pulse_form_choice(form, meta, "template",
                                         pulse_cv_templates, cv->template);

    } else {
        meta = (ngx_pulse_json_value_t *) v;
    }

    pulse_form_locale(form, ngx_pulse_json_get(v, "locale") ? v : meta,
                      "locale", locale, &spoken);

    cv->language = spoken.tag;
    cv->arabic = spoken.arabic;

    cv->accent = pulse_form_color(form, meta, "accent", PULSE_CV_ACCENT);
    cv->font = pulse_form_choice(form, meta, "font", pulse_cv_fonts,
                                 pulse_font_default);
    cv->letter = pulse_form_choice(form, meta, "paper", pulse_cv_papers, 0);
    cv->digits = pulse_form_choice(form, meta, "digits",
                                   pulse_cv_digit_names, 0);

    months = pulse_form_choice(form, meta,
                               ngx_pulse_json_get(meta, "calendarMonths")
                               ? "calendarMonths" : "calendar_months",
                               pulse_cv_months, 0);

    cv->levant = (months == 1) || (months == 0 && spoken.levant);

    pulse_cv_order(form, meta, cv);
    pulse_cv_labels(form, meta, cv);
}


static void
pulse_cv_order(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_cv_t *cv)
{
    ngx_uint_t               i, k;
    ngx_pulse_json_value_t  *name;

    name = pulse_form_array(form, v, "sections", pulse_cv_sections, 0);

    if (name == NULL) {
        for (i = 0; i < pulse_cv_sections; i++) {
            cv->order[i] = i;
        }

        cv->norder = pulse_cv_sections;
        return;
    }

    for ( /* void */ ; name; name = name->next) {

        for (i = 0; pulse_cv_section_names[i]; i++) {
            if (name->type == NGX_PULSE_JSON_STRING
                && pulse_cv_same(&name->string, pulse_cv_section_names[i]))
            {
                break;
            }
        }

        for (k = 0; k < cv->norder; k++) {
            if (cv->order[k] == i) {
                i = pulse_cv_sections;
            }
        }

        if (i == pulse_cv_sections) {
            pulse_form_refuse(form, name, NULL, pulse_reason_choice);
            return;
        }

        cv->order[cv->norder++] = i;
    }
}


static void
pulse_cv_labels(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_cv_t *cv)
{
    ngx_uint_t               i;
    ngx_pulse_json_value_t  *labels;

    labels = pulse_form_member(form, v, "labels", NGX_PULSE_JSON_OBJECT, 0);

    for (i = 0; labels && i < pulse_cv_sections; i++) {
        cv->sections[i].label = pulse_form_text(form, labels,
                                                pulse_cv_section_names[i],
                                                PULSE_CV_LABEL, 0);
    }
}


static void
pulse_cv_section(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const pulse_cv_shape_t *shape, pulse_cv_t *cv, pulse_cv_section_t *section)
{
    pulse_cv_entry_t        *entry;
    ngx_pulse_json_value_t  *value;

    value = pulse_form_array(form, v, shape->key, shape->max, 0);
    if (value == NULL) {
        return;
    }

    entry = ngx_pcalloc(form->pool,
                        value->parent->nelts * sizeof(pulse_cv_entry_t));
    if (entry == NULL) {
        form->rc = NGX_ERROR;
        return;
    }

    section->entries = entry;

    for ( /* void */ ; value && form->rc == NGX_OK; value = value->next) {
        pulse_cv_entry(form, value, shape, entry++);
        pulse_cv_unknown(form, value, shape, NULL, cv);
        section->nentries++;
    }
}


static void
pulse_cv_entry(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const pulse_cv_shape_t *shape, pulse_cv_entry_t *entry)
{
    const pulse_cv_field_t  *field;

    if (shape->text && v->type == NGX_PULSE_JSON_STRING) {
        entry->title = pulse_form_string(form, v, PULSE_CV_SHORT,
                                         PULSE_FORM_REQUIRED);
        return;
    }

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        pulse_form_refuse(form, v, NULL, pulse_reason_type);
        return;
    }

    for (field = shape->fields; field->key; field++) {
        pulse_cv_field(form, v, field, entry);
    }
}


static void
pulse_cv_field(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const pulse_cv_field_t *field, pulse_cv_entry_t *entry)
{
    void             *member;
    ngx_str_t         text;
    pulse_cv_date_t   date;

    member = (u_char *) entry + field->offset;

    switch (field->kind) {

    case pulse_cv_text:
        text = pulse_form_text(form, v, field->key, PULSE_CV_SHORT,
                               field->flags);
        break;

    case pulse_cv_lines:
        text = pulse_form_text(form, v, field->key, PULSE_CV_LONG,
                               field->flags);
        break;

    case pulse_cv_link:
        text = pulse_form_url(form, v, field->key);
        break;

    case pulse_cv_list:
        if (field->offset == pulse_cv_offset(items)) {
            pulse_cv_texts(form, v, field->key, &entry->items,
                           &entry->nitems);
        } else {
            pulse_cv_texts(form, v, field->key, &entry->words,
                           &entry->nwords);
        }

        return;

    default: /* pulse_cv_day */
        date = pulse_cv_date(form, v, field->key, field->flags);
        ngx_memcpy(member, &date, sizeof(pulse_cv_date_t));
        return;
    }

    /* of two members for the same thing the first that is there counts */

    if (((ngx_str_t *) member)->len == 0) {
        *(ngx_str_t *) member = text;
    }
}


static void
pulse_cv_texts(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_str_t **texts, ngx_uint_t *n)
{
    ngx_str_t                text;
    ngx_pulse_json_value_t  *value;

    value = pulse_form_array(form, v, key, PULSE_CV_ITEMS, 0);
    if (value == NULL) {
        return;
    }

    *texts = ngx_palloc(form->pool, value->parent->nelts * sizeof(ngx_str_t));
    if (*texts == NULL) {
        form->rc = NGX_ERROR;
        return;
    }

    for ( /* void */ ; value; value = value->next) {
        text = pulse_form_string(form, value, PULSE_CV_ITEM, 0);

        if (text.len) {
            (*texts)[(*n)++] = text;
        }
    }
}


/* YYYY, YYYY-MM or YYYY-MM-DD */

static pulse_cv_date_t
pulse_cv_date(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t flags)
{
    ngx_str_t        text;
    pulse_cv_date_t  date;

    ngx_memzero(&date, sizeof(pulse_cv_date_t));

    text = pulse_form_text(form, v, key, PULSE_CV_SHORT, flags);
    if (text.len == 0) {
        return date;
    }

    if (text.len == 4 || (text.len == 7 && text.data[4] == '-')
        || (text.len == 10 && text.data[4] == '-' && text.data[7] == '-'))
    {
        date.year = pulse_cv_digits(&text, 0, 4);
        date.month = pulse_cv_digits(&text, 5, 2);
        date.day = pulse_cv_digits(&text, 8, 2);
    }

    if (date.year < 1900 || date.year > 2999
        || date.month > 12 || date.day > 31
        || (text.len > 4 && date.month == 0)
        || (text.len > 7 && date.day == 0))
    {
        pulse_form_refuse(form, v, key, pulse_reason_date);
    }

    return date;
}


/* 0 if they are not there, a large number if they are no digits */

static ngx_uint_t
pulse_cv_digits(const ngx_str_t *text, size_t start, size_t len)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = start; i < start + len && i < text->len; i++) {

        if (text->data[i] < '0' || text->data[i] > '9') {
            return NGX_MAX_UINT32_VALUE;
        }

        n = n * 10 + text->data[i] - '0';
    }

    return n;
}


/* "known" are the members of the request itself, NULL for those of an entry */

static void
pulse_cv_unknown(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const pulse_cv_shape_t *shape, const char *const *known, pulse_cv_t *cv)
{
    ngx_pulse_json_value_t  *member;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return;
    }

    for (member = v->children; member; member = member->next) {
        if (!(known ? pulse_cv_is_known(member, shape, known)
                    : pulse_cv_is_field(member, shape)))
        {
            pulse_form_warn(form, member, &cv->warnings);
        }
    }
}


static ngx_uint_t
pulse_cv_is_known(const ngx_pulse_json_value_t *member,
    const pulse_cv_shape_t *shapes, const char *const *known)
{
    ngx_uint_t  i;

    for (i = 0; known[i]; i++) {
        if (pulse_cv_same(&member->key, known[i])) {
            return 1;
        }
    }

    for (i = 0; i < pulse_cv_sections; i++) {
        if (shapes[i].key && pulse_cv_same(&member->key, shapes[i].key)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
pulse_cv_is_field(const ngx_pulse_json_value_t *member,
    const pulse_cv_shape_t *shape)
{
    const pulse_cv_field_t  *field;

    for (field = shape->fields; field->key; field++) {
        if (pulse_cv_same(&member->key, field->key)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
pulse_cv_same(const ngx_str_t *text, const char *name)
{
    return text->len == strlen(name)
           && ngx_memcmp(text->data, name, text->len) == 0;
}
