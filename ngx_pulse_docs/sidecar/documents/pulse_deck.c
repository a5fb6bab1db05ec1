
#include <math.h>
#include <openssl/evp.h>
#include "pulse_deck.h"


#define PULSE_DECK_TITLE     200        /* characters */
#define PULSE_DECK_BULLET    400
#define PULSE_DECK_QUOTE     500
#define PULSE_DECK_NOTES     4000
#define PULSE_DECK_CONTENT   4000
#define PULSE_DECK_ALT       300
#define PULSE_DECK_CELL      200
#define PULSE_DECK_NAME      60
#define PULSE_DECK_TOPIC     1000
#define PULSE_DECK_ID        64
#define PULSE_DECK_IMAGE     11000000   /* bytes of base64 */

/* of all the PNGs in a PDF, each of which is unpacked and packed again */

#define PULSE_DECK_PIXELS    (400 * 1000 * 1000)

#define PULSE_DECK_ACCENT    0x1f4e79


typedef struct {
    pulse_form_t        *form;
    pulse_deck_t        *deck;
    pulse_deck_file_pt   file;
    void                *ctx;
    size_t               pixels;        /* of the PNGs so far */
    ngx_uint_t           warn;          /* of what is of no use */
} pulse_deck_reader_t;


static ngx_int_t pulse_deck_no_file(void *ctx, ngx_pool_t *pool,
    const ngx_str_t *id, ngx_str_t *data);
static void pulse_deck_options(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *locale);
static void pulse_deck_slides(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v);
static void pulse_deck_slide(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide);
static void pulse_deck_layout(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide);
static ngx_str_t pulse_deck_text(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *key, ngx_uint_t max,
    ngx_uint_t flags);
static void pulse_deck_bullets(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, ngx_uint_t flags,
    pulse_column_t *column);
static void pulse_deck_content(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_column_t *column);
static void pulse_deck_halves(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide);
static ngx_uint_t pulse_deck_whole(const ngx_pulse_json_value_t *v);
static void pulse_deck_column(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *key,
    pulse_column_t *column);
static pulse_picture_t *pulse_deck_picture(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, ngx_uint_t flags);
static void pulse_deck_uploaded(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *key,
    pulse_picture_t *picture);
static void pulse_deck_inline(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_picture_t *picture);
static ngx_int_t pulse_deck_image(pulse_deck_reader_t *reader,
    pulse_picture_t *picture);
static void pulse_deck_table(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide);
static void pulse_deck_row(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *cell, const ngx_pulse_json_value_t *row,
    pulse_table_t *table);
static void pulse_deck_chart(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide);
static void pulse_deck_series(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_chart_t *chart);
static ngx_uint_t pulse_deck_has(const ngx_pulse_json_value_t *v,
    const char *key);
static void *pulse_deck_alloc(pulse_deck_reader_t *reader, size_t size);


static const char *const  pulse_deck_layouts[] = {
    "title", "section", "bullets", "columns", "image", "table", "chart",
    "quote", "twoColumn", "two_columns", "content", NULL
};

static const pulse_slide_layout_e  pulse_deck_layout_of[] = {
    pulse_slide_title, pulse_slide_section, pulse_slide_bullets,
    pulse_slide_columns, pulse_slide_image, pulse_slide_table,
    pulse_slide_chart, pulse_slide_quote, pulse_slide_columns,
    pulse_slide_columns, pulse_slide_bullets
};

/* what each layout, in the order of pulse_slide_layout_e, has a use for */

#define PULSE_DECK_MEMBERS  "layout", "title", "notes"
#define PULSE_DECK_PICTURE  "image", "image_file_id", "image_alt"

static const char *const  pulse_deck_members[][12] = {
    { PULSE_DECK_MEMBERS, "subtitle", "content", NULL },
    { PULSE_DECK_MEMBERS, "subtitle", "content", NULL },
    { PULSE_DECK_MEMBERS, PULSE_DECK_PICTURE, "bullets", "content", NULL },
    { PULSE_DECK_MEMBERS, "first", "second", NULL },
    { PULSE_DECK_MEMBERS, PULSE_DECK_PICTURE, "caption", "content", NULL },
    { PULSE_DECK_MEMBERS, "table", NULL },
    { PULSE_DECK_MEMBERS, "chart", NULL },
    { PULSE_DECK_MEMBERS, "quote", "content", "attribution", NULL }
};

static const char *const  pulse_deck_known[] = {
    "title", "presentation_title", "subtitle", "author", "locale", "template",
    "theme", "accent", "ratio", "slide_numbers", "export_format", "slides",
    "topic", "audience", "num_slides", "model", NULL
};

static const char *const  pulse_deck_themes[] = {
    "classic", "modern", "dark", "minimal", NULL
};

static const pulse_template_e  pulse_deck_theme_of[] = {
    pulse_template_classic, pulse_template_modern, pulse_template_dark,
    pulse_template_minimal
};

static const char *const  pulse_deck_formats[] = { "pptx", "pdf", NULL };
static const char *const  pulse_deck_ratios[] = { "16:9", "4:3", NULL };
static const char *const  pulse_deck_fits[] = { "contain", "cover", NULL };
static const char *const  pulse_deck_charts[] = {
    "bar", "column", "line", "pie", NULL
};


void
pulse_deck_read(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    const char *locale, pulse_deck_file_pt file, void *ctx,
    pulse_deck_t *deck)
{
    pulse_deck_reader_t  reader;

    ngx_memzero(deck, sizeof(pulse_deck_t));

    reader.form = form;
    reader.deck = deck;
    reader.file = file;
    reader.ctx = ctx;
    reader.pixels = 0;
    reader.warn = 1;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        pulse_form_refuse(form, v, NULL, pulse_reason_type);
        return;
    }

    pulse_deck_options(&reader, v, locale);
    pulse_form_unused(form, v, pulse_deck_known, &deck->warnings);

    if (pulse_deck_has(v, "slides")) {
        pulse_deck_slides(&reader, v);
        return;
    }

    deck->outline.topic = pulse_form_text(form, v, "topic", PULSE_DECK_TOPIC,
                                          PULSE_FORM_LINES);
    deck->outline.audience = pulse_form_text(form, v, "audience",
                                             PULSE_DECK_TITLE, 0);
    deck->outline.slides = pulse_form_integer(form, v, "num_slides", 1,
                                              PULSE_DECK_WANTED, 0);
    deck->outline.model = pulse_form_text(form, v, "model", PULSE_DECK_TITLE,
                                          0);
}


void
pulse_deck_read_slides(pulse_form_t *form, const ngx_pulse_json_value_t *v,
    pulse_deck_t *deck)
{
    pulse_deck_reader_t  reader;

    reader.form = form;
    reader.deck = deck;
    reader.file = pulse_deck_no_file;
    reader.ctx = NULL;
    reader.pixels = 0;
    reader.warn = 0;

    deck->nslides = 0;

    pulse_deck_slides(&reader, v);

    if (form->rc == NGX_OK && deck->nslides > PULSE_DECK_WANTED) {
        pulse_form_refuse(form, v, "slides", pulse_reason_many);
    }
}


static ngx_int_t
pulse_deck_no_file(void *ctx, ngx_pool_t *pool, const ngx_str_t *id,
    ngx_str_t *data)
{
    return NGX_DECLINED;
}


static void
pulse_deck_options(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *locale)
{
    pulse_deck_t    *deck;
    pulse_form_t    *form;
    pulse_locale_t   spoken;

    form = reader->form;
    deck = reader->deck;

    /* both names are in use; the studio's own is asked for */

    deck->title = pulse_form_text(form, v, pulse_deck_has(v, "title")
                                           ? "title" : "presentation_title",
                                  PULSE_DECK_TITLE, PULSE_FORM_REQUIRED);
    deck->subtitle = pulse_form_text(form, v, "subtitle", PULSE_DECK_TITLE,
                                     0);
    deck->author = pulse_form_text(form, v, "author", PULSE_DECK_TITLE, 0);

    pulse_form_locale(form, v, "locale", locale, &spoken);

    deck->language = spoken.tag;
    deck->rtl = spoken.arabic;

    deck->template = pulse_deck_theme_of[
                         pulse_form_choice(form, v,
                                           pulse_deck_has(v, "template")
                                           ? "template" : "theme",
                                           pulse_deck_themes, 0)];
    deck->accent = pulse_form_color(form, v, "accent", PULSE_DECK_ACCENT);
    deck->wide = !pulse_form_choice(form, v, "ratio", pulse_deck_ratios, 0);
    deck->numbers = pulse_form_flag(form, v, "slide_numbers", 1);
    deck->pdf = pulse_form_choice(form, v, "export_format",
                                  pulse_deck_formats, 0);
}


static void
pulse_deck_slides(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v)
{
    pulse_slide_t           *slide;
    ngx_pulse_json_value_t  *value;

    value = pulse_form_array(reader->form, v, "slides", PULSE_DECK_SLIDES,
                             PULSE_FORM_REQUIRED);
    if (value == NULL) {
        return;
    }

    slide = pulse_deck_alloc(reader, value->parent->nelts
                                     * sizeof(pulse_slide_t));
    if (slide == NULL) {
        return;
    }

    reader->deck->slides = slide;

    for ( /* void */ ; value && reader->form->rc == NGX_OK;
         value = value->next)
    {
        pulse_deck_slide(reader, value, slide++);
        reader->deck->nslides++;
    }
}


static void
pulse_deck_slide(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide)
{
    ngx_uint_t     n;
    pulse_form_t  *form;

    form = reader->form;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        pulse_form_refuse(form, v, NULL, pulse_reason_type);
        return;
    }

    n = pulse_form_choice(form, v, "layout", pulse_deck_layouts,
                          pulse_slide_bullets);
    slide->layout = pulse_deck_layout_of[n];

    /* each slide has a title, for readers of outlines and of screens; a quote
     * is one */

    slide->title = pulse_form_text(form, v, "title", PULSE_DECK_TITLE,
                                   slide->layout == pulse_slide_quote
                                   ? 0 : PULSE_FORM_REQUIRED);
    slide->notes = pulse_form_text(form, v, "notes", PULSE_DECK_NOTES,
                                   PULSE_FORM_LINES);

    pulse_deck_layout(reader, v, slide);

    if (slide->layout == pulse_slide_columns && pulse_deck_whole(v)) {
        n = pulse_slide_bullets;
    } else {
        n = slide->layout;
    }

    if (reader->warn) {
        pulse_form_unused(form, v, pulse_deck_members[n],
                          &reader->deck->warnings);
    }
}


static void
pulse_deck_layout(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide)
{
    pulse_form_t  *form;

    form = reader->form;

    switch (slide->layout) {

    case pulse_slide_bullets:
        pulse_deck_bullets(reader, v, 0, &slide->first);
        pulse_deck_content(reader, v, &slide->first);
        slide->picture = pulse_deck_picture(reader, v, 0);
        break;

    case pulse_slide_columns:
        if (pulse_deck_whole(v)) {
            pulse_deck_halves(reader, v, slide);
            break;
        }

        pulse_deck_column(reader, v, "first", &slide->first);
        pulse_deck_column(reader, v, "second", &slide->second);
        break;

    case pulse_slide_image:
        slide->picture = pulse_deck_picture(reader, v, PULSE_FORM_REQUIRED);
        slide->caption = pulse_deck_text(reader, v, "caption",
                                         PULSE_DECK_BULLET, 0);
        break;

    case pulse_slide_table:
        pulse_deck_table(reader, v, slide);
        break;

    case pulse_slide_chart:
        pulse_deck_chart(reader, v, slide);
        break;

    case pulse_slide_quote:
        slide->quote = pulse_deck_text(reader, v, "quote", PULSE_DECK_QUOTE,
                                       PULSE_FORM_REQUIRED);
        slide->attribution = pulse_form_text(form, v, "attribution",
                                             PULSE_DECK_TITLE, 0);
        break;

    default: /* pulse_slide_title, pulse_slide_section */
        slide->subtitle = pulse_deck_text(reader, v, "subtitle",
                                          PULSE_DECK_TITLE, 0);
    }
}


/* by its own name, or as "content", by which the text of any layout goes */

static ngx_str_t
pulse_deck_text(pulse_deck_reader_t *reader, const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t max, ngx_uint_t flags)
{
    ngx_str_t  text, content;

    text = pulse_form_text(reader->form, v, key, max, 0);
    content = pulse_form_text(reader->form, v, "content", max, 0);

    if (text.len && content.len) {
        pulse_form_refuse(reader->form, v, "content", pulse_reason_either);
    }

    if (text.len == 0) {
        text = content;
    }

    if (text.len == 0 && (flags & PULSE_FORM_REQUIRED)) {
        pulse_form_refuse(reader->form, v, key, pulse_reason_required);
    }

    return text;
}


static void
pulse_deck_bullets(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, ngx_uint_t flags, pulse_column_t *column)
{
    pulse_bullet_t          *bullet;
    ngx_pulse_json_value_t  *value;

    value = pulse_form_array(reader->form, v, "bullets", PULSE_DECK_BULLETS,
                             flags);
    if (value == NULL) {
        return;
    }

    bullet = pulse_deck_alloc(reader, value->parent->nelts
                                      * sizeof(pulse_bullet_t));
    if (bullet == NULL) {
        return;
    }

    column->bullets = bullet;

    for ( /* void */ ; value; value = value->next, bullet++) {

        if (value->type == NGX_PULSE_JSON_OBJECT) {
            bullet->text = pulse_form_text(reader->form, value, "text",
                                           PULSE_DECK_BULLET,
                                           PULSE_FORM_REQUIRED);
            bullet->level = pulse_form_integer(reader->form, value, "level",
                                               0, 2, 0);
        } else {
            bullet->text = pulse_form_string(reader->form, value,
                                             PULSE_DECK_BULLET,
                                             PULSE_FORM_REQUIRED);
        }

        column->nbullets++;
    }
}


/* text in place of bullets: a bullet each line */

static void
pulse_deck_content(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_column_t *column)
{
    u_char          *p, *end, *last;
    ngx_str_t        text;
    pulse_bullet_t  *bullet;

    text = pulse_form_text(reader->form, v, "content", PULSE_DECK_CONTENT,
                           PULSE_FORM_LINES);
    if (text.len == 0) {
        return;
    }

    if (column->nbullets) {
        pulse_form_refuse(reader->form, v, "content", pulse_reason_either);
        return;
    }

    bullet = pulse_deck_alloc(reader, PULSE_DECK_BULLETS
                                      * sizeof(pulse_bullet_t));
    column->bullets = bullet;
    last = text.data + text.len;

    for (p = text.data; bullet && p < last; p = end + 1) {

        end = memchr(p, '\n', last - p);

        if (end == NULL) {
            end = last;
        }

        if (end - p > 2 && (p[0] == '-' || p[0] == '*') && p[1] == ' ') {
            p += 2;
        }

        if (end == p) {
            continue;
        }

        if (column->nbullets == PULSE_DECK_BULLETS) {
            pulse_form_refuse(reader->form, v, "content", pulse_reason_many);
            return;
        }

        bullet->text.data = p;
        bullet->text.len = end - p;

        bullet++;
        column->nbullets++;
    }
}


/* one list for two columns, the second of which a picture may be */

static void
pulse_deck_halves(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide)
{
    ngx_uint_t  n;

    pulse_deck_bullets(reader, v, 0, &slide->first);
    pulse_deck_content(reader, v, &slide->first);

    slide->second.picture = pulse_deck_picture(reader, v, 0);

    n = slide->first.nbullets;

    if (slide->second.picture) {
        return;
    }

    if (n < 2) {
        pulse_form_refuse(reader->form, v, "first", pulse_reason_required);
        return;
    }

    slide->second.nbullets = n / 2;
    slide->first.nbullets = n - n / 2;
    slide->second.bullets = slide->first.bullets + slide->first.nbullets;
}


/* if columns are not said apart */

static ngx_uint_t
pulse_deck_whole(const ngx_pulse_json_value_t *v)
{
    return !pulse_deck_has(v, "first") && !pulse_deck_has(v, "second");
}


static void
pulse_deck_column(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *key, pulse_column_t *column)
{
    ngx_pulse_json_value_t  *value;

    value = pulse_form_member(reader->form, v, key, NGX_PULSE_JSON_OBJECT,
                              PULSE_FORM_REQUIRED);
    if (value == NULL) {
        return;
    }

    column->heading = pulse_form_text(reader->form, value, "heading",
                                      PULSE_DECK_TITLE, 0);

    pulse_deck_bullets(reader, value, 0, column);
    pulse_deck_content(reader, value, column);

    column->picture = pulse_deck_picture(reader, value, 0);

    if (column->nbullets && column->picture) {
        pulse_form_refuse(reader->form, value, "image", pulse_reason_either);
    }
}


/* "image": {"data" | "file_id", "alt", "fit"}, or "image_file_id" */

static pulse_picture_t *
pulse_deck_picture(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, ngx_uint_t flags)
{
    pulse_form_t            *form;
    pulse_picture_t         *picture;
    ngx_pulse_json_value_t  *image;

    form = reader->form;

    if (pulse_deck_has(v, "image_file_id")) {
        picture = pulse_deck_alloc(reader, sizeof(pulse_picture_t));

        if (picture) {
            picture->alt = pulse_form_text(form, v, "image_alt",
                                           PULSE_DECK_ALT, 0);

            if (picture->alt.len == 0) {
                picture->alt = pulse_form_text(form, v, "title",
                                               PULSE_DECK_TITLE, 0);
            }

            pulse_deck_uploaded(reader, v, "image_file_id", picture);
        }

        return picture;
    }

    image = pulse_form_member(form, v, "image", NGX_PULSE_JSON_OBJECT, flags);
    if (image == NULL) {
        return NULL;
    }

    picture = pulse_deck_alloc(reader, sizeof(pulse_picture_t));
    if (picture == NULL) {
        return NULL;
    }

    /* who cannot see it hears this */

    picture->alt = pulse_form_text(form, image, "alt", PULSE_DECK_ALT,
                                   PULSE_FORM_REQUIRED);
    picture->cover = pulse_form_choice(form, image, "fit", pulse_deck_fits,
                                       0);

    if (pulse_deck_has(image, "data")
        == pulse_deck_has(image, "file_id"))
    {
        pulse_form_refuse(form, image, "data", pulse_reason_either);

    } else if (pulse_deck_has(image, "data")) {
        pulse_deck_inline(reader, image, picture);

    } else {
        pulse_deck_uploaded(reader, image, "file_id", picture);
    }

    return picture;
}


static void
pulse_deck_uploaded(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, const char *key,
    pulse_picture_t *picture)
{
    ngx_int_t   rc;
    ngx_str_t   id;

    id = pulse_form_text(reader->form, v, key, PULSE_DECK_ID,
                         PULSE_FORM_REQUIRED);

    if (reader->form->rc != NGX_OK) {
        return;
    }

    rc = reader->file(reader->ctx, reader->form->pool, &id, &picture->data);

    if (rc == NGX_ERROR) {
        reader->form->rc = NGX_ERROR;
        return;
    }

    if (rc != NGX_OK || pulse_deck_image(reader, picture) != NGX_OK) {
        pulse_form_refuse(reader->form, v, key, pulse_reason_image);
    }
}


/* a data: URL (RFC 2397) in base64; what it claims to be does not count */

static void
pulse_deck_inline(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_picture_t *picture)
{
    int                      n;
    u_char                  *p;
    size_t                   len;
    ngx_pulse_json_value_t  *data;

    data = pulse_form_member(reader->form, v, "data", NGX_PULSE_JSON_STRING,
                             PULSE_FORM_REQUIRED);
    if (data == NULL) {
        return;
    }

    if (data->string.len > PULSE_DECK_IMAGE) {
        pulse_form_refuse(reader->form, data, NULL, pulse_reason_long);
        return;
    }

    p = ngx_strlchr(data->string.data, data->string.data + data->string.len,
                    ',');

    if (p == NULL || ngx_strncmp(data->string.data, "data:image/", 11) != 0
        || p - data->string.data < 18
        || ngx_memcmp(p - 7, ";base64", 7) != 0)
    {
        pulse_form_refuse(reader->form, data, NULL, pulse_reason_image);
        return;
    }

    p++;
    len = data->string.data + data->string.len - p;

    picture->data.data = ngx_palloc(reader->form->pool, len / 4 * 3 + 3);
    if (picture->data.data == NULL) {
        reader->form->rc = NGX_ERROR;
        return;
    }

    n = EVP_DecodeBlock(picture->data.data, p, len);

    if (len % 4 == 0 && len > 4 && n > 0) {
        picture->data.len = n - (p[len - 1] == '=') - (p[len - 2] == '=');
    }

    if (pulse_deck_image(reader, picture) != NGX_OK) {
        pulse_form_refuse(reader->form, data, NULL, pulse_reason_image);
    }
}


/* What is past all that a deck may hold is as good as none. */

static ngx_int_t
pulse_deck_image(pulse_deck_reader_t *reader, pulse_picture_t *picture)
{
    if (pulse_picture_read(picture) != NGX_OK
        || !pulse_picture_fits(picture))
    {
        return NGX_DECLINED;
    }

    if (reader->deck->pdf && !picture->jpeg) {
        reader->pixels += picture->width * picture->height;
    }

    return (reader->pixels <= PULSE_DECK_PIXELS) ? NGX_OK : NGX_DECLINED;
}


static void
pulse_deck_table(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide)
{
    pulse_table_t           *table;
    ngx_pulse_json_value_t  *value, *header, *row;

    value = pulse_form_member(reader->form, v, "table", NGX_PULSE_JSON_OBJECT,
                              PULSE_FORM_REQUIRED);
    header = pulse_form_array(reader->form, value, "header",
                              PULSE_DECK_COLUMNS, PULSE_FORM_REQUIRED);
    row = pulse_form_array(reader->form, value, "rows", PULSE_DECK_ROWS,
                           PULSE_FORM_REQUIRED);

    table = pulse_deck_alloc(reader, sizeof(pulse_table_t));

    if (header == NULL || row == NULL || table == NULL) {
        return;
    }

    slide->table = table;

    table->columns = header->parent->nelts;
    table->alt = pulse_form_text(reader->form, value, "alt", PULSE_DECK_ALT,
                                 0);
    table->cells = pulse_deck_alloc(reader, (row->parent->nelts + 1)
                                            * table->columns
                                            * sizeof(ngx_str_t));

    pulse_deck_row(reader, header, header->parent, table);

    for ( /* void */ ; row && reader->form->rc == NGX_OK; row = row->next) {

        if (row->type != NGX_PULSE_JSON_ARRAY) {
            pulse_form_refuse(reader->form, row, NULL, pulse_reason_type);
            return;
        }

        pulse_deck_row(reader, row->children, row, table);
    }
}


static void
pulse_deck_row(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *cell, const ngx_pulse_json_value_t *row,
    pulse_table_t *table)
{
    ngx_str_t  *text;

    if (row->nelts != table->columns) {
        pulse_form_refuse(reader->form, row, NULL, pulse_reason_cells);
        return;
    }

    for (text = table->cells + table->rows * table->columns;
         cell && reader->form->rc == NGX_OK; cell = cell->next)
    {
        *text++ = pulse_form_string(reader->form, cell, PULSE_DECK_CELL, 0);
    }

    table->rows++;
}


static void
pulse_deck_chart(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_slide_t *slide)
{
    pulse_chart_t           *chart;
    ngx_pulse_json_value_t  *value, *category, *series;

    value = pulse_form_member(reader->form, v, "chart", NGX_PULSE_JSON_OBJECT,
                              PULSE_FORM_REQUIRED);
    category = pulse_form_array(reader->form, value, "categories",
                                PULSE_DECK_CATEGORIES, PULSE_FORM_REQUIRED);
    series = pulse_form_array(reader->form, value, "series",
                              PULSE_DECK_SERIES, PULSE_FORM_REQUIRED);

    chart = pulse_deck_alloc(reader, sizeof(pulse_chart_t));

    if (category == NULL || series == NULL || chart == NULL) {
        return;
    }

    slide->chart = chart;

    chart->type = pulse_form_choice(reader->form, value, "type",
                                    pulse_deck_charts, pulse_chart_column);
    chart->alt = pulse_form_text(reader->form, value, "alt", PULSE_DECK_ALT,
                                 0);
    chart->categories = pulse_deck_alloc(reader, category->parent->nelts
                                                 * sizeof(ngx_str_t));
    chart->series = pulse_deck_alloc(reader, series->parent->nelts
                                             * sizeof(pulse_series_t));

    for ( /* void */ ; category && reader->form->rc == NGX_OK;
         category = category->next)
    {
        chart->categories[chart->ncategories++] =
            pulse_form_string(reader->form, category, PULSE_DECK_NAME, 0);
    }

    for ( /* void */ ; series && reader->form->rc == NGX_OK;
         series = series->next)
    {
        pulse_deck_series(reader, series, chart);
    }
}


static void
pulse_deck_series(pulse_deck_reader_t *reader,
    const ngx_pulse_json_value_t *v, pulse_chart_t *chart)
{
    char                     number[64];
    double                  *value;
    pulse_series_t          *series;
    ngx_pulse_json_value_t  *element;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        pulse_form_refuse(reader->form, v, NULL, pulse_reason_type);
        return;
    }

    series = &chart->series[chart->nseries++];

    series->name = pulse_form_text(reader->form, v, "name", PULSE_DECK_NAME,
                                   PULSE_FORM_REQUIRED);
    element = pulse_form_array(reader->form, v, "values",
                               PULSE_DECK_CATEGORIES, PULSE_FORM_REQUIRED);

    if (element && element->parent->nelts != chart->ncategories) {
        pulse_form_refuse(reader->form, element->parent, NULL,
                          pulse_reason_cells);
        return;
    }

    value = pulse_deck_alloc(reader, chart->ncategories * sizeof(double));
    series->values = value;

    for ( /* void */ ; element && value; element = element->next, value++) {

        if (element->type != NGX_PULSE_JSON_NUMBER
            || element->string.len >= sizeof(number))
        {
            pulse_form_refuse(reader->form, element, NULL,
                              pulse_reason_number);
            return;
        }

        ngx_memcpy(number, element->string.data, element->string.len);
        number[element->string.len] = '\0';

        /* JSON's numbers are C's, in the locale "C" that the program is in */

        *value = strtod(number, NULL);

        if (!isfinite(*value)) {
            pulse_form_refuse(reader->form, element, NULL,
                              pulse_reason_number);
            return;
        }
    }
}


/* null says nothing */

static ngx_uint_t
pulse_deck_has(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, key);

    return member && member->type != NGX_PULSE_JSON_NULL;
}


/* zeroed, or NULL with form->rc set */

static void *
pulse_deck_alloc(pulse_deck_reader_t *reader, size_t size)
{
    void  *p;

    if (reader->form->rc != NGX_OK) {
        return NULL;
    }

    p = ngx_pcalloc(reader->form->pool, size);

    if (p == NULL) {
        reader->form->rc = NGX_ERROR;
    }

    return p;
}
