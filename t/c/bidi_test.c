
#include "pulse_bidi.h"
#include "unit.h"


/* a line as it is split: "[...]" goes to the right, "{...}" to the left, "<"
 * is a mark of the run's own direction */

typedef struct {
    ngx_uint_t   rtl;
    const char  *line;
    const char  *runs;
} test_split_t;


typedef struct {
    ngx_uint_t   rtl;           /* the document's */
    ngx_uint_t   base;
    const char  *line;
} test_base_t;


static void test_base(void);
static void test_split(void);
static void test_clean(void);
static void test_whole(void);


static const test_split_t  test_splits[] = {

    { 1, "", "" },
    { 1, "   ", "{   }" },
    { 1, "مهندسة برمجيات", "{مهندسة برمجيات}" },
    { 1, "مهندسة C++ خبيرة", "{مهندسة }[C++<]{ خبيرة}" },
    { 1, "لغة C#، ثم .NET", "{لغة }[C#<]{، ثم }[<.NET]" },
    { 1, "خلال 820 ms فقط", "{خلال }[<820 ms]{ فقط}" },
    { 1, "هاتف +962 79 555 0123", "{هاتف }[<+962 79 555 0123<]" },
    { 1, "هاتف (079) 555 0123.", "{هاتف }[<(079) 555 0123<]{.}" },
    { 1, "منذ 2021 – 2023", "{منذ 2021 – 2023}" },
    { 1, "منذ 2021 - 2023", "{منذ 2021 - 2023}" },
    { 1, "بتاريخ 2021-03-05", "{بتاريخ }[<2021-03-05<]" },
    { 1, "عددها 15 فقط", "{عددها 15 فقط}" },
    { 1, "نسبة 15% فقط", "{نسبة }[<15%<]{ فقط}" },
    { 1, "نظام (Linux) مفتوح", "{نظام (}[Linux]{) مفتوح}" },
    { 1, "دالة main() أولا", "{دالة }[main()<]{ أولا}" },
    { 1, "و-Python", "{و}[<-Python]" },
    { 1, "a@b.example | +962 79 555 0123",
         "[a@b.example]{ | <}[<+962 79 555 0123<]" },
    { 1, "Go، Rust", "[Go]{، <}[Rust]" },
    { 1, "Built an API in C++.", "[Built an API in C++.<]" },
    { 1, "خدمة REST API v2 في Amman 2024.",
         "{خدمة }[REST API v2<]{ في }[Amman 2024<]{.}" },
    { 1, "مَنْ Ünïted é", "{مَنْ }[Ünïted é]" },
    { 1, "سعر $5 USD", "{سعر }[<$5 USD]" },
    { 1, "رقم ١٢٣-٤٥٦", "{رقم }[<١٢٣-٤٥٦<]" },

    { 0, "Plain text, 2021 - 2023.", "[Plain text, 2021 - 2023.]" },
    { 0, "Works at شركة النور in Amman",
         "[Works at ]{شركة النور}[ in Amman]" },
    { 0, "شركة النور 2020", "{شركة النور 2020<}" },
    { 0, "شركة النور.", "{شركة النور.<}" },
    { 0, "عمان | إربد", "{عمان}[ | <]{إربد}" },
    { 0, "اسم (قديم) here", "{اسم (قديم)<}[ here]" },
};


static const test_base_t  test_bases[] = {

    { 0, 0, "" },
    { 0, 0, "Plain text, 2021 - 2023." },
    { 0, 0, "مهندسة برمجيات" },
    { 0, 0, "Works at شركة النور in Amman" },
    { 0, 0, "شركة النور is the company that she works for" },
    { 0, 1, "طورت خدمة بلغة Go في Amman" },
    { 0, 1, "«مهندسة في Example»" },
    { 0, 1, "2021: عملت على Redis" },
    { 0, 1, "عملت: Go, Rust, Java, Perl, Python، ثم C" },
    { 0, 0, "عمان | Amman" },
    { 0, 0, "عمان · Amman" },

    { 1, 1, "" },
    { 1, 1, "مهندسة برمجيات" },
    { 1, 1, "Built an API in C++." },
    { 1, 0, "Built a payments API for شركة النور in Amman." },
    { 1, 0, "\"Grew مشروع into a product of three teams\"" },
    { 1, 1, "طورت خدمة بلغة Go في Amman" },
    { 1, 1, "PostgreSQL هي قاعدة بيانات" },
    { 1, 1, "PostgreSQL خبرة" },
    { 1, 1, "JavaScript و TypeScript" },
    { 1, 1, "React, Node.js, GraphQL, Docker و Redis" },
    { 1, 1, "Go, Rust, Java, Perl, Python، ثم C" },
    { 1, 1, "layla@studio.example | +962 79 555 0123 | in the city of عمان" },
};


int
main(void)
{
    test_base();
    test_split();
    test_clean();
    test_whole();

    return unit_done();
}


static void
test_base(void)
{
    ngx_str_t   line;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(test_bases) / sizeof(test_bases[0]); i++) {
        unit_case("%s", test_bases[i].line);

        line.data = (u_char *) test_bases[i].line;
        line.len = strlen(test_bases[i].line);

        check(pulse_bidi_base(&line, test_bases[i].rtl)
              == test_bases[i].base);
    }

    unit_case(NULL);
}


static void
test_split(void)
{
    ngx_str_t          line;
    ngx_uint_t         i, k, n;
    ngx_pool_t        *pool;
    ngx_pulse_buf_t    b;
    pulse_bidi_run_t  *runs;

    for (i = 0; i < sizeof(test_splits) / sizeof(test_splits[0]); i++) {
        unit_case("%s", test_splits[i].line);

        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);

        line.data = (u_char *) test_splits[i].line;
        line.len = strlen(test_splits[i].line);

        runs = pulse_bidi_split(pool, &line, test_splits[i].rtl, &n);
        check(runs != NULL);

        for (k = 0; k < n; k++) {
            ngx_pulse_buf_char(&b, runs[k].rtl ? '{' : '[');

            if (runs[k].mark_before) {
                ngx_pulse_buf_char(&b, '<');
            }

            ngx_pulse_buf_str(&b, &runs[k].text);

            if (runs[k].mark_after) {
                ngx_pulse_buf_char(&b, '<');
            }

            ngx_pulse_buf_char(&b, runs[k].rtl ? '}' : ']');
        }

        check_mem(b.data, b.len, test_splits[i].runs,
                  strlen(test_splits[i].runs));

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_clean(void)
{
    ngx_pulse_buf_t  b;

    static const ngx_str_t  text = ngx_string(
        "a\x01\tb\x7f\xe2\x80\xae" "c\xe2\x81\xa6" "d\xe2\x80\x8e"
        "\xe2\x80\x8c" "e\xef\xbf\xbe\xef\xb7\x90\xef\xbb\xbf\xc2\x85"
        "f\n");
    static const ngx_str_t  lines = ngx_string(
        "a\r\nb\rc\vd\xe2\x80\xa8" "e\xe2\x80\xa9" "f\r\n");

    ngx_pulse_buf_init(&b, 0);
    pulse_bidi_clean(&b, &text);

    check_mem(b.data, b.len, "a\tbcd\xe2\x80\x8e\xe2\x80\x8c" "e\nf\n", 15);

    b.len = 0;
    pulse_bidi_clean(&b, &lines);

    check_mem(b.data, b.len, "a\nb\nc\nd\ne\nf\n", 12);

    ngx_pulse_buf_free(&b);
}


/* whatever the line, its runs in their order are the line, and none is
 * empty */

static void
test_whole(void)
{
    u_char             text[256];
    ngx_str_t          line;
    ngx_uint_t         i, k, n, seed;
    ngx_pool_t        *pool;
    ngx_pulse_buf_t    b;
    pulse_bidi_run_t  *runs;

    static const char *const  pieces[] = {
        "a", "Z9", "م", "َ", " ", "1", "٢", "(", ")", "+", "-", "|", "،",
        ".", "/", "\xf0\x9f\x98\x80", "\xe2\x80\x8e", "א", "#"
    };

    for (seed = 1; seed <= 3000; seed++) {
        srandom(seed);
        unit_case("seed %d", (int) seed);

        line.data = text;
        line.len = 0;

        for (i = random() % 32; i > 0; i--) {
            k = random() % (sizeof(pieces) / sizeof(pieces[0]));

            memcpy(text + line.len, pieces[k], strlen(pieces[k]));
            line.len += strlen(pieces[k]);
        }

        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);

        runs = pulse_bidi_split(pool, &line, seed % 2, &n);

        for (k = 0; k < n; k++) {
            check(runs[k].text.len > 0);
            ngx_pulse_buf_str(&b, &runs[k].text);
        }

        check_mem(b.data, b.len, line.data, line.len);

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}
