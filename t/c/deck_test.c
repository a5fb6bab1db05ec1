
#include "pulse_deck.h"
#include "unit.h"


typedef struct {
    const char      *request;
    const char      *pointer;
    pulse_reason_e   reason;
} test_refusal_t;


typedef struct {
    const char      *before;
    const char      *one;
    ngx_uint_t       max;
    const char      *after;
} test_limit_t;


static void test_layouts(void);
static void test_content(void);
static void test_warnings(void);
static void test_outline(void);
static void test_refusals(void);
static void test_limits(void);
static void test_pictures(void);
static void test_pieces(void);
static void test_uploaded(void);
static void test_memory(void);
static ngx_int_t test_picture(const char *bytes, size_t len,
    pulse_picture_t *picture);
static ngx_int_t test_read(ngx_pool_t *pool, const char *request,
    pulse_form_t *form, pulse_deck_t *deck);
static ngx_int_t test_file(void *ctx, ngx_pool_t *pool, const ngx_str_t *id,
    ngx_str_t *data);


/* 3 by 2 pixels */

#define TEST_IHDR(size, sum)                                                  \
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" size "\10\2\0\0\0" sum
#define TEST_END  "\0\0\0\0IEND\256\102\140\202"
#define TEST_PNG(size, sum)  TEST_IHDR(size, sum) TEST_END

#define TEST_HEAD  TEST_IHDR("\0\0\0\3\0\0\0\2", "\022\026\361\115")
#define TEST_SMALL  TEST_HEAD TEST_END

/* its APP0, then a frame of 5 by 4 pixels */

#define TEST_PHOTO(size)                                                      \
    "\xff\xd8\xff\xe0\0\4JF\xff\xc0\0\13\10" size "\1\1\x11\0\xff\xd9"
#define TEST_JPEG  TEST_PHOTO("\0\4\0\5")

/* the same, as it was held when it was taken */

#define TEST_EXIF(turn)                                                       \
    "\xff\xd8\xff\xe1\0\x22" "Exif\0\0II*\0\10\0\0\0\1\0\x12\1\3\0\1\0" \
    "\0\0" turn "\0\0\0\0\0\0\0\xff\xc0\0\13\10\0\4\0\5\1\1\x11\0"      \
    "\xff\xd9"

#define TEST_DATA   "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCA" \
                    "IAAAASFvFNAAAAAElFTkSuQmCC"
#define TEST_IMAGE  "{\"data\":\"" TEST_DATA "\",\"alt\":\"a\"}"

/* 4000 by 4000 */

#define TEST_LARGE  "{\"title\":\"t\",\"image\":{\"alt\":\"a\",\"data\":"      \
                    "\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAD6AAAA+"  \
                    "gCAIAAABhHXRVAAAAAElFTkSuQmCC\"}}"

#define TEST_SLIDE(members)  "{\"title\":\"T\",\"slides\":[{" members "}]}"
#define TEST_TABLE(members)                                                   \
    TEST_SLIDE("\"layout\":\"table\",\"title\":\"t\",\"table\":{" members "}")
#define TEST_CHART(members)                                                   \
    TEST_SLIDE("\"layout\":\"chart\",\"title\":\"t\",\"chart\":{" members "}")


static const char  test_all[] =
    "{\"presentation_title\":\"T\",\"locale\":\"ar\",\"theme\":\"dark\","
    "\"ratio\":\"4:3\",\"slides\":["
    "{\"layout\":\"title\",\"title\":\"1\",\"subtitle\":\"s\","
        "\"notes\":\"a\\nb\"},"
    "{\"layout\":\"section\",\"title\":\"2\"},"
    "{\"title\":\"3\",\"bullets\":[\"x\",{\"text\":\"y\",\"level\":2}]},"
    "{\"layout\":\"content\",\"title\":\"4\",\"content\":\"- x\\n\\n* y\"},"
    "{\"layout\":\"twoColumn\",\"title\":\"5\",\"first\":{\"heading\":\"h\","
        "\"bullets\":[\"x\"]},\"second\":{\"image\":" TEST_IMAGE "}},"
    "{\"layout\":\"image\",\"title\":\"6\",\"image\":" TEST_IMAGE ","
        "\"caption\":\"c\"},"
    "{\"layout\":\"table\",\"title\":\"7\",\"table\":{\"header\":[\"a\","
        "\"b\"],\"rows\":[[\"1\",\"2\"],[\"3\",\"\"]]}},"
    "{\"layout\":\"chart\",\"title\":\"8\",\"chart\":{\"type\":\"line\","
        "\"categories\":[\"a\",\"b\"],\"series\":[{\"name\":\"s\","
        "\"values\":[1.5,-2e3]}]}},"
    "{\"layout\":\"quote\",\"quote\":\"9\",\"attribution\":\"w\"}]}";


static const test_refusal_t  test_refusals_of[] = {
    { "[]", "", pulse_reason_type },
    { "{}", "/presentation_title", pulse_reason_required },
    { "{\"title\":7}", "/title", pulse_reason_type },
    { "{\"title\":\"T\",\"theme\":\"pink\"}", "/theme", pulse_reason_choice },
    { "{\"title\":\"T\",\"ratio\":\"1:1\"}", "/ratio", pulse_reason_choice },
    { "{\"title\":\"T\",\"num_slides\":31}", "/num_slides",
      pulse_reason_number },
    { "{\"title\":\"T\",\"num_slides\":0}", "/num_slides",
      pulse_reason_number },
    { "{\"title\":\"T\",\"slides\":[]}", "/slides", pulse_reason_few },
    { "{\"title\":\"T\",\"slides\":{}}", "/slides", pulse_reason_type },
    { "{\"title\":\"T\",\"slides\":[1]}", "/slides/0", pulse_reason_type },
    { TEST_SLIDE(""), "/slides/0/title", pulse_reason_required },
    { TEST_SLIDE("\"layout\":\"x\""), "/slides/0/layout",
      pulse_reason_choice },
    { TEST_SLIDE("\"title\":\"t\",\"bullets\":[{\"level\":1}]"),
      "/slides/0/bullets/0/text", pulse_reason_required },
    { TEST_SLIDE("\"title\":\"t\",\"bullets\":[{\"text\":\"x\","
                 "\"level\":3}]"),
      "/slides/0/bullets/0/level", pulse_reason_number },
    { TEST_SLIDE("\"title\":\"t\",\"bullets\":[\"x\"],\"content\":\"y\""),
      "/slides/0/content", pulse_reason_either },
    { TEST_SLIDE("\"layout\":\"columns\",\"title\":\"t\",\"first\":{}"),
      "/slides/0/second", pulse_reason_required },
    { TEST_SLIDE("\"layout\":\"columns\",\"title\":\"t\",\"first\":{"
                 "\"bullets\":[\"x\"],\"image\":" TEST_IMAGE "}"),
      "/slides/0/first/image", pulse_reason_either },
    { TEST_SLIDE("\"layout\":\"image\",\"title\":\"t\""),
      "/slides/0/image", pulse_reason_required },
    { TEST_SLIDE("\"layout\":\"image\",\"title\":\"t\",\"image\":{}"),
      "/slides/0/image/alt", pulse_reason_required },
    { TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":\"a\"}"),
      "/slides/0/image/data", pulse_reason_either },
    { TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":\"a\",\"data\":"
                 "\"data:image/png;base64,iVBO!w0K\"}"),
      "/slides/0/image/data", pulse_reason_image },
    { TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":\"a\",\"data\":"
                 "\"data:image/png;base64,\"}"),
      "/slides/0/image/data", pulse_reason_image },
    { TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":\"a\",\"data\":"
                 "\"data:image/png,iVBORw0K\"}"),
      "/slides/0/image/data", pulse_reason_image },
    { TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":\"a\",\"data\":"
                 "\"data:text/html;base64,PGI+\"}"),
      "/slides/0/image/data", pulse_reason_image },
    { TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":\"a\",\"file_id\":"
                 "\"none\"}"),
      "/slides/0/image/file_id", pulse_reason_image },
    { TEST_SLIDE("\"title\":\"t\",\"image_file_id\":\"none\""),
      "/slides/0/image_file_id", pulse_reason_image },
    { TEST_SLIDE("\"layout\":\"table\",\"title\":\"t\""),
      "/slides/0/table", pulse_reason_required },
    { TEST_TABLE("\"header\":[],\"rows\":[]"), "/slides/0/table/header",
      pulse_reason_few },
    { TEST_TABLE("\"header\":[\"a\"],\"rows\":[\"x\"]"),
      "/slides/0/table/rows/0", pulse_reason_type },
    { TEST_TABLE("\"header\":[\"a\"],\"rows\":[[\"1\"],[\"1\",\"2\"]]"),
      "/slides/0/table/rows/1", pulse_reason_cells },
    { TEST_TABLE("\"header\":[\"a\"],\"rows\":[[1]]"),
      "/slides/0/table/rows/0/0", pulse_reason_type },
    { TEST_CHART("\"categories\":[\"a\"],\"series\":[{\"name\":\"s\","
                 "\"values\":[1,2]}]"),
      "/slides/0/chart/series/0/values", pulse_reason_cells },
    { TEST_CHART("\"categories\":[\"a\"],\"series\":[{\"name\":\"s\","
                 "\"values\":[\"1\"]}]"),
      "/slides/0/chart/series/0/values/0", pulse_reason_number },
    { TEST_CHART("\"categories\":[\"a\"],\"series\":[{\"name\":\"s\","
                 "\"values\":[1e999]}]"),
      "/slides/0/chart/series/0/values/0", pulse_reason_number },
    { TEST_CHART("\"type\":\"3d\",\"categories\":[\"a\"],\"series\":[{}]"),
      "/slides/0/chart/type", pulse_reason_choice },
    { TEST_CHART("\"categories\":[\"a\"],\"series\":[1]"),
      "/slides/0/chart/series/0", pulse_reason_type },
    { TEST_SLIDE("\"layout\":\"columns\",\"title\":\"t\",\"bullets\":["
                 "\"x\"]"),
      "/slides/0/first", pulse_reason_required },
    { TEST_SLIDE("\"layout\":\"title\",\"title\":\"t\",\"subtitle\":\"s\","
                 "\"content\":\"c\""),
      "/slides/0/content", pulse_reason_either },
    { TEST_SLIDE("\"layout\":\"quote\",\"title\":\"t\""),
      "/slides/0/quote", pulse_reason_required }
};


static const test_limit_t  test_limits_of[] = {
    { "{\"title\":\"", "م", 200, "\"}" },
    { "{\"title\":\"T\",\"topic\":\"", "x", 1000, "\"}" },
    { "{\"title\":\"T\",\"slides\":[{\"title\":\"t\"}",
      ",{\"title\":\"t\"}", 199, "]}" },
    { "{\"title\":\"T\",\"slides\":[{\"title\":\"t\",\"bullets\":[\"b\"",
      ",\"b\"", 11, "]}]}" },
    { "{\"title\":\"T\",\"slides\":[{\"title\":\"t\",\"content\":\"", "b\\n",
      12, "\"}]}" },
    { "{\"title\":\"T\",\"slides\":[{\"title\":\"t\",\"bullets\":[\"", "ب",
      400, "\"]}]}" },
    { "{\"title\":\"T\",\"slides\":[{\"title\":\"t\",\"notes\":\"", "n",
      4000, "\"}]}" },
    { "{\"title\":\"T\",\"slides\":[{\"layout\":\"quote\",\"quote\":\"", "q",
      500, "\"}]}" },
    { "{\"title\":\"T\",\"slides\":[{\"layout\":\"table\",\"title\":\"t\","
      "\"table\":{\"header\":[\"a\"],\"rows\":[[\"1\"]", ",[\"1\"]", 19,
      "]}}]}" },
    { "{\"title\":\"T\",\"slides\":[{\"layout\":\"chart\",\"title\":\"t\","
      "\"chart\":{\"categories\":[\"a\"],\"series\":[{\"name\":\"s\","
      "\"values\":[1]}", ",{\"name\":\"s\",\"values\":[1]}", 5, "]}}]}" },
    { "{\"title\":\"T\",\"export_format\":\"pdf\",\"slides\":[" TEST_LARGE,
      "," TEST_LARGE, 24, "]}" }
};


int
main(void)
{
    test_layouts();
    test_content();
    test_warnings();
    test_outline();
    test_refusals();
    test_limits();
    test_pictures();
    test_pieces();
    test_uploaded();
    test_memory();

    return unit_done();
}


static void
test_layouts(void)
{
    ngx_uint_t      i;
    ngx_pool_t     *pool;
    pulse_deck_t    deck;
    pulse_form_t    form;
    pulse_slide_t  *slide;

    static const pulse_slide_layout_e  layouts[] = {
        pulse_slide_title, pulse_slide_section, pulse_slide_bullets,
        pulse_slide_bullets, pulse_slide_columns, pulse_slide_image,
        pulse_slide_table, pulse_slide_chart, pulse_slide_quote
    };

    pool = unit_pool();

    check_int(test_read(pool, test_all, &form, &deck), NGX_OK);
    check_int(deck.nslides, 9);
    check_int(deck.rtl, 1);
    check_int(deck.wide, 0);
    check_int(deck.template, pulse_template_dark);
    check_str(&deck.language, "ar-JO");

    slide = deck.slides;

    for (i = 0; i < 9; i++) {
        check_int(slide[i].layout, layouts[i]);
    }

    check_str(&slide[0].notes, "a\nb");
    check_int(slide[2].first.nbullets, 2);
    check_int(slide[2].first.bullets[1].level, 2);
    check_int(slide[3].first.nbullets, 2);
    check_str(&slide[3].first.bullets[1].text, "y");
    check_str(&slide[4].first.heading, "h");
    check_int(slide[4].second.picture->width, 3);
    check_int(slide[5].picture->height, 2);
    check_str(&slide[5].caption, "c");
    check_int(slide[6].table->rows, 3);
    check_str(&slide[6].table->cells[4], "3");
    check(slide[7].chart->series[0].values[1] == -2000);
    check_str(&slide[8].quote, "9");

    ngx_destroy_pool(pool);
}


/* what API.md has for every layout: "content" or "bullets", a picture */

static void
test_content(void)
{
    ngx_pool_t     *pool;
    pulse_deck_t    deck;
    pulse_form_t    form;
    pulse_slide_t  *slide;

    pool = unit_pool();

    check_int(test_read(pool, "{\"title\":\"T\",\"slides\":["
        "{\"layout\":\"title\",\"title\":\"1\",\"content\":\"a\"},"
        "{\"layout\":\"section\",\"title\":\"2\",\"content\":\"b\"},"
        "{\"layout\":\"quote\",\"content\":\"c\"},"
        "{\"layout\":\"image\",\"title\":\"4\",\"image_file_id\":\"good\","
            "\"content\":\"d\"},"
        "{\"layout\":\"two_columns\",\"title\":\"5\",\"bullets\":[\"e\","
            "\"f\",\"g\"]},"
        "{\"layout\":\"columns\",\"title\":\"6\",\"content\":\"h\","
            "\"image_file_id\":\"good\"}]}", &form, &deck), NGX_OK);

    slide = deck.slides;

    check_str(&slide[0].subtitle, "a");
    check_str(&slide[1].subtitle, "b");
    check_str(&slide[2].quote, "c");
    check_str(&slide[3].caption, "d");
    check_int(slide[4].first.nbullets, 2);
    check_int(slide[4].second.nbullets, 1);
    check_str(&slide[4].second.bullets[0].text, "g");
    check_int(slide[5].first.nbullets, 1);
    check_int(slide[5].second.nbullets, 0);
    check(slide[5].second.picture != NULL);
    check_int(deck.warnings.n, 0);

    ngx_destroy_pool(pool);
}


static void
test_warnings(void)
{
    ngx_uint_t     i;
    ngx_pool_t    *pool;
    pulse_deck_t   deck;
    pulse_form_t   form;

    static const char *const  fields[] = {
        "/color", "/slides/0/bullets", "/slides/1/subtitle",
        "/slides/2/bullets", "/slides/3/image"
    };

    pool = unit_pool();

    check_int(test_read(pool, "{\"title\":\"T\",\"color\":\"red\","
        "\"slides\":[{\"layout\":\"title\",\"title\":\"1\",\"bullets\":["
            "\"x\"],\"quote\":\"\",\"first\":{},\"table\":null},"
        "{\"title\":\"2\",\"bullets\":[\"x\"],\"subtitle\":\"s\"},"
        "{\"layout\":\"columns\",\"title\":\"3\",\"first\":{},\"second\":{},"
            "\"bullets\":[\"x\"]},"
        "{\"layout\":\"quote\",\"quote\":\"4\",\"image\":" TEST_IMAGE
            "}]}", &form, &deck), NGX_OK);

    check_int(deck.warnings.n, 5);

    for (i = 0; i < deck.warnings.n; i++) {
        check_mem(deck.warnings.fields[i].data, deck.warnings.fields[i].len,
                  fields[i], strlen(fields[i]));
    }

    ngx_destroy_pool(pool);
}


/* null is as good as nothing, for clients that write all they have */

static void
test_outline(void)
{
    ngx_pool_t    *pool;
    pulse_deck_t   deck;
    pulse_form_t   form;

    pool = unit_pool();

    check_int(test_read(pool, "{\"presentation_title\":\"T\",\"title\":null,"
                        "\"topic\":\"Sea\",\"num_slides\":9,\"slides\":null,"
                        "\"template\":null,\"theme\":\"minimal\"}",
                        &form, &deck),
              NGX_OK);
    check_str(&deck.title, "T");
    check_str(&deck.outline.topic, "Sea");
    check_int(deck.outline.slides, 9);
    check_int(deck.nslides, 0);
    check_int(deck.template, pulse_template_minimal);

    ngx_destroy_pool(pool);
}


static void
test_refusals(void)
{
    ngx_uint_t             i;
    ngx_pool_t            *pool;
    pulse_deck_t           deck;
    pulse_form_t           form;
    const test_refusal_t  *test;

    for (i = 0; i < sizeof(test_refusals_of) / sizeof(test_refusals_of[0]);
         i++)
    {
        test = &test_refusals_of[i];
        unit_case("%s", test->request);

        pool = unit_pool();

        check_int(test_read(pool, test->request, &form, &deck),
                  NGX_DECLINED);
        check_int(form.reason, test->reason);
        check_mem(form.pointer.data, form.pointer.len, test->pointer,
                  strlen(test->pointer));

        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* at the limit, and one past it; characters count, not bytes */

static void
test_limits(void)
{
    ngx_uint_t           i, k, past;
    ngx_pool_t          *pool;
    pulse_deck_t         deck;
    pulse_form_t         form;
    ngx_pulse_buf_t      b;
    const test_limit_t  *limit;

    for (i = 0; i < sizeof(test_limits_of) / sizeof(test_limits_of[0]); i++) {
        limit = &test_limits_of[i];

        for (past = 0; past < 2; past++) {
            unit_case("limit %d, past it: %d", (int) i, (int) past);

            ngx_pulse_buf_init(&b, 0);
            ngx_pulse_buf_append(&b, (u_char *) limit->before,
                                 strlen(limit->before));

            for (k = 0; k < limit->max + past; k++) {
                ngx_pulse_buf_append(&b, (u_char *) limit->one,
                                     strlen(limit->one));
            }

            ngx_pulse_buf_append(&b, (u_char *) limit->after,
                                 strlen(limit->after) + 1);

            pool = unit_pool();
            check_int(test_read(pool, (char *) b.data, &form, &deck),
                      past ? NGX_DECLINED : NGX_OK);

            ngx_destroy_pool(pool);
            ngx_pulse_buf_free(&b);
        }
    }

    unit_case(NULL);
}


/* no header that is cut anywhere passes, or is read past its end */

static void
test_pictures(void)
{
    size_t           n;
    pulse_picture_t  picture;

    check_int(test_picture(TEST_SMALL, sizeof(TEST_SMALL) - 1, &picture),
              NGX_OK);
    check_int(picture.width, 3);
    check_int(picture.height, 2);
    check_int(picture.jpeg, 0);

    check_int(test_picture(TEST_JPEG, sizeof(TEST_JPEG) - 1, &picture),
              NGX_OK);
    check_int(picture.width, 5);
    check_int(picture.height, 4);
    check_int(picture.jpeg, 1);

    for (n = 0; n < sizeof(TEST_SMALL) - 1; n++) {
        check_int(test_picture(TEST_SMALL, n, &picture), NGX_DECLINED);
    }

    for (n = 0; n < sizeof(TEST_JPEG) - 3; n++) {
        check_int(test_picture(TEST_JPEG, n, &picture), NGX_DECLINED);
    }

    /* no pixels, too many, and so many that their product is small again */

    check_int(test_picture(TEST_PNG("\0\0\0\0\0\0\0\2", "\371\041\112\116"), 45,
                           &picture), NGX_DECLINED);
    check_int(test_picture(TEST_PNG("\0\0\x27\x11\0\0\x0f\xa1",
                                    "\367\052\051\145"), 45, &picture),
              NGX_OK);
    check_int(pulse_picture_fits(&picture), 0);
    check_int(test_picture(TEST_PNG("\xff\xff\xff\xff\xff\xff\xff\xff",
                                    "\135\224\271\151"), 45, &picture),
              NGX_OK);
    check_int(pulse_picture_fits(&picture), 0);

    /* as many as there may be, and one more */

    check_int(test_picture(TEST_PNG("\000\000\017\240\000\000\017\240",
                                    "\141\035\164\125"), 45, &picture), NGX_OK);
    check_int(picture.width * picture.height, PULSE_PICTURE_PIXELS);
    check_int(pulse_picture_fits(&picture), 1);
    check_int(test_picture(TEST_PNG("\000\364\044\001\000\000\000\001",
                                    "\341\271\172\340"), 45, &picture),
              NGX_OK);
    check_int(pulse_picture_fits(&picture), 0);

    /* a photo of 24 megapixels */

    check_int(test_picture(TEST_PHOTO("\x0f\xa0\x17\x70"),
                           sizeof(TEST_PHOTO("\0\0\0\0")) - 1, &picture),
              NGX_OK);
    check_int(picture.width, 6000);
    check_int(picture.height, 4000);
    check_int(pulse_picture_fits(&picture), 1);
    check_int(test_picture(TEST_PHOTO("\x1f\x40\x1f\x40"),
                           sizeof(TEST_PHOTO("\0\0\0\0")) - 1, &picture),
              NGX_OK);
    check_int(pulse_picture_fits(&picture), 0);

    /* seen upright, whatever its rows are */

    check_int(test_picture(TEST_EXIF("\3"), sizeof(TEST_EXIF("\0")) - 1,
                           &picture), NGX_OK);
    check_int(picture.turn, 3);
    check_int(picture.width, 5);

    check_int(test_picture(TEST_EXIF("\6"), sizeof(TEST_EXIF("\0")) - 1,
                           &picture), NGX_OK);
    check_int(picture.turn, 6);
    check_int(picture.width, 4);
    check_int(picture.height, 5);
    check_int(pulse_picture_aside(&picture), 1);

    /* a sum that is wrong */

    check_int(test_picture(TEST_PNG("\0\0\0\3\0\0\0\2", "\1\2\3\4"), 45,
                           &picture), NGX_DECLINED);
}


/* texts and times are not unpacked, wherever they stand */

static void
test_pieces(void)
{
    ngx_str_t         piece;
    ngx_pulse_buf_t   b;
    pulse_picture_t   picture;

    static const u_char  head[] = TEST_HEAD;
    static const u_char  all[] =
        TEST_HEAD "\0\0\0\3tEXta\0b\1\2\3\4" "\0\0\0\2tRNSxy\1\2\3\4"
        "\0\0\0\0zTXt\1\2\3\4" "\0\0\0\1IDATz\1\2\3\4"
        "\0\0\0\0tIME\1\2\3\4" TEST_END "\0\0\0\1more";
    static const u_char  drawn[] =
        TEST_HEAD "\0\0\0\2tRNSxy\1\2\3\4" "\0\0\0\1IDATz\1\2\3\4"
        TEST_END;

    ngx_memzero(&picture, sizeof(pulse_picture_t));
    picture.data.data = (u_char *) all;
    picture.data.len = sizeof(all) - 1;

    ngx_str_null(&piece);
    ngx_pulse_buf_init(&b, 0);

    while (pulse_picture_piece(&picture, &piece)) {
        ngx_pulse_buf_str(&b, &piece);
    }

    check_mem(b.data, b.len, drawn, sizeof(drawn) - 1);
    ngx_pulse_buf_free(&b);

    /* one that is longer than what is left */

    picture.data.len = sizeof(head) - 1 + 14;

    ngx_str_null(&piece);
    check_int(pulse_picture_piece(&picture, &piece), 1);
    check_int(pulse_picture_piece(&picture, &piece), 1);
    check_int(pulse_picture_piece(&picture, &piece), 0);
}


static void
test_uploaded(void)
{
    ngx_pool_t    *pool;
    pulse_deck_t   deck;
    pulse_form_t   form;

    pool = unit_pool();

    check_int(test_read(pool, TEST_SLIDE("\"title\":\"t\","
                        "\"image_file_id\":\"good\""), &form, &deck),
              NGX_OK);

    /* what a slide is called says what its picture shows */

    check_str(&deck.slides[0].picture->alt, "t");
    check_int(deck.slides[0].picture->jpeg, 1);

    check_int(test_read(pool, TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":"
                        "\"a\",\"data\":null,\"file_id\":\"good\"}"),
                        &form, &deck),
              NGX_OK);
    check_str(&deck.slides[0].picture->alt, "a");

    check_int(test_read(pool, TEST_SLIDE("\"title\":\"t\",\"image\":{\"alt\":"
                        "\"a\",\"file_id\":\"broken\"}"), &form, &deck),
              NGX_ERROR);

    ngx_destroy_pool(pool);
}


/* whichever allocation fails, the request ends with an error and no leak */

static void
test_memory(void)
{
    ngx_int_t      rc;
    ngx_uint_t     n;
    ngx_pool_t    *pool;
    pulse_deck_t   deck;
    pulse_form_t   form;

    rc = NGX_ERROR;

    for (n = 1; rc != NGX_OK && n < 1000; n++) {
        pool = unit_pool();
        unit_fail_allocation(n);

        rc = test_read(pool, test_all, &form, &deck);

        unit_fail_allocation(0);
        ngx_destroy_pool(pool);

        check(rc == NGX_OK || rc == NGX_ERROR);
    }

    check(n > 100 && n < 1000);
}


/* from the heap, of its own size, for the sanitizer */

static ngx_int_t
test_picture(const char *bytes, size_t len, pulse_picture_t *picture)
{
    ngx_int_t  rc;

    ngx_memzero(picture, sizeof(pulse_picture_t));

    picture->data.len = len;
    picture->data.data = malloc(len ? len : 1);
    memcpy(picture->data.data, bytes, len);

    rc = pulse_picture_read(picture);

    free(picture->data.data);

    return rc;
}


/* NGX_ERROR also if it is not JSON */

static ngx_int_t
test_read(ngx_pool_t *pool, const char *request, pulse_form_t *form,
    pulse_deck_t *deck)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_tree(pool, (u_char *) request, strlen(request), NULL,
                            &err);

    if (v == NULL || pulse_form_init(form, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    pulse_deck_read(form, v, "en", test_file, NULL, deck);

    return form->rc;
}


static ngx_int_t
test_file(void *ctx, ngx_pool_t *pool, const ngx_str_t *id, ngx_str_t *data)
{
    if (id->len == 6) {
        return NGX_ERROR;
    }

    data->data = (u_char *) TEST_JPEG;
    data->len = sizeof(TEST_JPEG) - 1;

    return ngx_strncmp(id->data, "good", 4) == 0 ? NGX_OK : NGX_DECLINED;
}
