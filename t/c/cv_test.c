
#include "pulse_cv.h"
#include "unit.h"


/* what a request says in paragraphs: a line each, "role: text", links as
 * <address>, strong spans in stars */

typedef struct {
    const char  *name;
    const char  *locale;
    const char  *request;
    const char  *document;
} test_cv_t;


typedef struct {
    const char      *request;
    const char      *pointer;
    pulse_reason_e   reason;
} test_refusal_t;


static void test_documents(void);
static void test_document(const test_cv_t *test);
static void test_refusals(void);
static void test_limits(void);
static void test_warnings(void);
static void test_memory(void);
static ngx_int_t test_read(ngx_pool_t *pool, const char *request,
    const char *locale, pulse_form_t *form, pulse_cv_t *cv);
static void test_write(const pulse_document_t *document, ngx_pulse_buf_t *b);


#define TEST_HEAD  "\"full_name\":\"Sami Haddad\",\"title\":\"Engineer\","    \
                   "\"summary\":\"Builds.\""


static const char *const  test_roles[] = {
    "name", "headline", "contact", "section", "entry", "organization", "meta",
    "text", "bullet"
};


static const test_cv_t  test_cvs[] = {

    { "the least", "en", "{" TEST_HEAD "}",
      "en-US ltr\n"
      "name: Sami Haddad\n"
      "headline: Engineer\n"
      "section: Summary\n"
      "text: Builds.\n" },

    { "contact", "en",
      "{" TEST_HEAD ",\"email\":\"sami@example.com\",\"phone\":"
      "\"+962 79 555 0123\",\"location\":\" Amman \",\"links\":"
      "[\"https://sami.example/cv\",\"http://old.example\"]}",
      "en-US ltr\n"
      "name: Sami Haddad\n"
      "headline: Engineer\n"
      "contact: <mailto:sami@example.com>sami@example.com | +962 79 555 0123"
          " | Amman | <https://sami.example/cv>sami.example/cv"
          " | <http://old.example>http://old.example\n"
      "section: Summary\n"
      "text: Builds.\n" },

    { "history", "en",
      "{" TEST_HEAD ",\"experience\":[{\"title\":\"Lead\",\"company\":\"Nour\","
      "\"location\":\"Amman\",\"start_date\":\"2021-03\",\"end_date\":null,"
      "\"highlights\":[\"One\",\"\",\"Two\"]},{\"title\":\"Developer\","
      "\"company\":\"Bahar\",\"start_date\":\"2018\",\"end_date\":"
      "\"2021-02-28\",\"description\":\"Wrote:\\r\\n - no\\n- tools\\n"
      "\xe2\x80\xa2 tests\"}],\"education\":[{\"degree\":\"BSc\","
      "\"institution\":\"Example University\",\"start_date\":\"2014\"}]}",
      "en-US ltr\n"
      "name: Sami Haddad\n"
      "headline: Engineer\n"
      "section: Summary\n"
      "text: Builds.\n"
      "section: Experience\n"
      "entry: Lead\n"
      "organization: Nour\n"
      "meta: Mar 2021 – Present | Amman\n"
      "bullet: One\n"
      "bullet: Two\n"
      "entry: Developer\n"
      "organization: Bahar\n"
      "meta: 2018 – Feb 2021\n"
      "text: Wrote:\n"
      "text:  - no\n"
      "bullet: tools\n"
      "bullet: tests\n"
      "section: Education\n"
      "entry: BSc\n"
      "organization: Example University\n"
      "meta: 2014\n" },

    { "Arabic", "ar",
      "{\"full_name\":\"ليان\",\"title\":\"مهندسة\",\"summary\":\"أبني.\","
      "\"experience\":[{\"title\":\"أولى\",\"company\":\"النور\","
      "\"start_date\":\"2021-04\"}],\"skills\":[\"C++\",{\"name\":\"Go\","
      "\"level\":\"جيد\"},{\"name\":\"أدوات\",\"keywords\":[\"Git\","
      "\"Make\"]}],\"languages\":[{\"language\":\"العربية\",\"level\":"
      "\"أم\"}],\"certifications\":[{\"name\":\"شهادة\",\"issuer\":\"جهة\","
      "\"date\":\"2020-12\",\"url\":\"https://c.example\"}],"
      "\"digits\":\"arab\"}",
      "ar-JO rtl\n"
      "name: ليان\n"
      "headline: مهندسة\n"
      "section: الملخص المهني\n"
      "text: أبني.\n"
      "section: الخبرة العملية\n"
      "entry: أولى\n"
      "organization: النور\n"
      "meta: نيسان ٢٠٢١ – الآن\n"
      "section: المهارات\n"
      "text: C++، Go (جيد)\n"
      "text: *أدوات*: Git، Make\n"
      "section: الشهادات\n"
      "bullet: <https://c.example>*شهادة* – جهة – كانون الأول ٢٠٢٠\n"
      "section: اللغات\n"
      "bullet: *العربية* – أم\n" },

    { "locale and months", "en",
      "{\"full_name\":\"س\",\"title\":\"ص\",\"summary\":\"ع\",\"locale\":"
      "\"ar-EG\",\"projects\":[{\"name\":\"م\",\"start_date\":\"2020-04\"}]}",
      "ar-EG rtl\n"
      "name: س\n"
      "headline: ص\n"
      "section: الملخص المهني\n"
      "text: ع\n"
      "section: المشاريع\n"
      "entry: م\n"
      "meta: أبريل 2020\n" },

    { "JSON Resume", "ar",
      "{\"basics\":{\"name\":\"Sami\",\"label\":\"Engineer\",\"image\":\"\","
      "\"url\":\"https://sami.example\",\"location\":{\"city\":\"Irbid\","
      "\"countryCode\":\"JO\"},\"profiles\":[{\"network\":\"Example\",\"url\":"
      "\"https://x.example/sami\"},{\"network\":\"None\"}]},"
      "\"work\":[{\"name\":\"Nour\",\"position\":\"Lead\",\"startDate\":"
      "\"2020-01\",\"highlights\":[\"One\"]}],"
      "\"education\":[{\"institution\":\"Uni\",\"studyType\":\"BSc\","
      "\"area\":\"Physics\",\"score\":\"3.9\",\"endDate\":\"2019\","
      "\"courses\":[\"Optics\",\"Waves\"]}],"
      "\"interests\":[{\"name\":\"Sea\",\"keywords\":[\"Boats\"]}],"
      "\"references\":[{\"name\":\"Rana\",\"reference\":\"Good.\"}],"
      "\"meta\":{\"locale\":\"en-GB\",\"sections\":[\"interests\",\"work\","
      "\"education\",\"references\"],\"labels\":{\"work\":\"Jobs\"}}}",
      "en-GB ltr\n"
      "name: Sami\n"
      "headline: Engineer\n"
      "contact: Irbid, JO | <https://sami.example>sami.example | "
          "<https://x.example/sami>x.example/sami\n"
      "section: Interests\n"
      "text: *Sea*: Boats\n"
      "section: Jobs\n"
      "entry: Lead\n"
      "organization: Nour\n"
      "meta: Jan 2020 – Present\n"
      "bullet: One\n"
      "section: Education\n"
      "entry: BSc, Physics\n"
      "organization: Uni\n"
      "meta: 2019 | 3.9\n"
      "text: Optics, Waves\n"
      "section: References\n"
      "entry: Rana\n"
      "text: Good.\n" },

    { "JSON Resume in Arabic", "en",
      "{\"basics\":{\"name\":\"سامي\",\"location\":{\"city\":\"إربد\","
      "\"region\":\"الشمال\",\"countryCode\":\"JO\"}},\"locale\":\"ar\"}",
      "ar-JO rtl\n"
      "name: سامي\n"
      "contact: إربد، الشمال، JO\n" },
};


static const test_refusal_t  test_refusals_of[] = {

    { "[]", "", pulse_reason_type },
    { "{}", "/full_name", pulse_reason_required },
    { "{\"full_name\":\" \"}", "/full_name", pulse_reason_required },
    { "{\"full_name\":1}", "/full_name", pulse_reason_type },
    { "{\"full_name\":null}", "/full_name", pulse_reason_required },
    { "{\"full_name\":\"a\",\"title\":\"b\"}", "/summary",
      pulse_reason_required },
    { "{" TEST_HEAD ",\"email\":\"a@\"}", "/email", pulse_reason_email },
    { "{" TEST_HEAD ",\"email\":\"a@b@c\"}", "/email", pulse_reason_email },
    { "{" TEST_HEAD ",\"email\":\"a b@c\"}", "/email", pulse_reason_email },
    { "{" TEST_HEAD ",\"phone\":\"call me\"}", "/phone",
      pulse_reason_phone },
    { "{" TEST_HEAD ",\"phone\":\"\xd9\"}", "json", 0 },
    { "{" TEST_HEAD ",\"phone\":\"٠٧٩م\"}", "/phone", pulse_reason_phone },
    { "{" TEST_HEAD ",\"links\":[\"javascript:alert(1)\"]}", "/links/0",
      pulse_reason_url },
    { "{" TEST_HEAD ",\"links\":[\"https://a b\"]}", "/links/0",
      pulse_reason_url },
    { "{" TEST_HEAD ",\"links\":[\"\"]}", "/links/0",
      pulse_reason_required },
    { "{" TEST_HEAD ",\"links\":{}}", "/links", pulse_reason_type },
    { "{" TEST_HEAD ",\"links\":[1]}", "/links/0", pulse_reason_type },
    { "{" TEST_HEAD ",\"experience\":[{\"title\":\"t\",\"company\":\"c\"}]}",
      "/experience/0/start_date", pulse_reason_required },
    { "{" TEST_HEAD ",\"experience\":[\"t\"]}", "/experience/0",
      pulse_reason_type },
    { "{" TEST_HEAD ",\"experience\":[{\"title\":\"t\",\"company\":\"c\","
      "\"start_date\":\"2020-13\"}]}", "/experience/0/start_date",
      pulse_reason_date },
    { "{" TEST_HEAD ",\"experience\":[{\"title\":\"t\",\"company\":\"c\","
      "\"start_date\":\"2020-1\"}]}", "/experience/0/start_date",
      pulse_reason_date },
    { "{" TEST_HEAD ",\"experience\":[{\"title\":\"t\",\"company\":\"c\","
      "\"start_date\":\"20x0\"}]}", "/experience/0/start_date",
      pulse_reason_date },
    { "{" TEST_HEAD ",\"experience\":[{\"title\":\"t\",\"company\":\"c\","
      "\"start_date\":\"2020-00-01\"}]}", "/experience/0/start_date",
      pulse_reason_date },
    { "{" TEST_HEAD ",\"skills\":[[]]}", "/skills/0", pulse_reason_type },
    { "{" TEST_HEAD ",\"locale\":\"fr\"}", "/locale", pulse_reason_choice },
    { "{" TEST_HEAD ",\"template\":\"x\"}", "/template",
      pulse_reason_choice },
    { "{" TEST_HEAD ",\"export_format\":\"odt\"}", "/export_format",
      pulse_reason_choice },
    { "{" TEST_HEAD ",\"ats_friendly\":\"yes\"}", "/ats_friendly",
      pulse_reason_type },
    { "{" TEST_HEAD ",\"accent\":\"12345\"}", "/accent",
      pulse_reason_color },
    { "{" TEST_HEAD ",\"accent\":\"1234567\"}", "/accent",
      pulse_reason_color },
    { "{" TEST_HEAD ",\"accent\":\"12345g\"}", "/accent",
      pulse_reason_color },
    { "{" TEST_HEAD ",\"sections\":[\"work\",\"work\"]}", "/sections/1",
      pulse_reason_choice },
    { "{" TEST_HEAD ",\"sections\":[0]}", "/sections/0",
      pulse_reason_choice },
    { "{\"basics\":[]}", "/basics", pulse_reason_type },
    { "{\"basics\":{}}", "/basics/name", pulse_reason_required },
    { "{\"basics\":{\"name\":\"n\",\"url\":\"ftp://x\"}}", "/basics/url",
      pulse_reason_url },
    { "{\"basics\":{\"name\":\"n\"},\"meta\":{\"paper\":\"A5\"}}",
      "/meta/paper", pulse_reason_choice }
};


int
main(void)
{
    test_documents();
    test_refusals();
    test_limits();
    test_warnings();
    test_memory();

    return unit_done();
}


static void
test_documents(void)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(test_cvs) / sizeof(test_cvs[0]); i++) {
        unit_case("%s", test_cvs[i].name);
        test_document(&test_cvs[i]);
    }

    unit_case(NULL);
}


static void
test_document(const test_cv_t *test)
{
    ngx_pool_t        *pool;
    pulse_cv_t         cv;
    pulse_form_t       form;
    ngx_pulse_buf_t    b;
    pulse_document_t  *document;

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);

    check_int(test_read(pool, test->request, test->locale, &form, &cv),
              NGX_OK);

    document = pulse_cv_document(pool, &cv);
    check(document != NULL);

    test_write(document, &b);
    check_mem(b.data, b.len, test->document, strlen(test->document));

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_refusals(void)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_pool_t            *pool;
    pulse_cv_t             cv;
    pulse_form_t           form;
    const test_refusal_t  *test;

    for (i = 0; i < sizeof(test_refusals_of) / sizeof(test_refusals_of[0]);
         i++)
    {
        test = &test_refusals_of[i];
        unit_case("%s", test->request);

        pool = unit_pool();
        rc = test_read(pool, test->request, "en", &form, &cv);

        if (strcmp(test->pointer, "json") == 0) {
            check_int(rc, NGX_ERROR);

        } else {
            check_int(rc, NGX_DECLINED);
            check_int(form.reason, test->reason);
            check_mem(form.pointer.data, form.pointer.len, test->pointer,
                      strlen(test->pointer));
            check(pulse_form_reason(&form, 0)[0] != '\0');
            check((u_char) pulse_form_reason(&form, 1)[0] >= 0xd8);
        }

        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* each list and each text at its limit, and one past it; characters count,
 * not bytes */

static void
test_limits(void)
{
    char            *request;
    ngx_int_t        rc;
    ngx_uint_t       i, k, past;
    ngx_pool_t      *pool;
    pulse_cv_t       cv;
    pulse_form_t     form;
    ngx_pulse_buf_t  b;

    static const struct {
        const char  *before;
        const char  *one;
        ngx_uint_t   max;
        const char  *after;
    } limits[] = {
        { "{\"title\":\"t\",\"summary\":\"s\",\"full_name\":\"", "م", 120,
          "\"}" },
        { "{" TEST_HEAD ",\"location\":\"", "\\ud83d\\ude00", 200, "\"}" },
        { "{\"full_name\":\"f\",\"title\":\"t\",\"summary\":\"", "x", 4000,
          "\"}" },
        { "{" TEST_HEAD ",\"skills\":[\"s\"", ",\"s\"", 59, "]}" },
        { "{" TEST_HEAD ",\"links\":[\"https://a\"", ",\"https://b\"", 9,
          "]}" },
        { "{" TEST_HEAD ",\"education\":[{\"degree\":\"d\",\"institution\":"
          "\"i\"}", ",{\"degree\":\"d\",\"institution\":\"i\"}", 19, "]}" }
    };

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        for (past = 0; past < 2; past++) {
            unit_case("limit %d, past it: %d", (int) i, (int) past);

            ngx_pulse_buf_init(&b, 0);
            ngx_pulse_buf_append(&b, (u_char *) limits[i].before,
                                 strlen(limits[i].before));

            for (k = 0; k < limits[i].max + past; k++) {
                ngx_pulse_buf_append(&b, (u_char *) limits[i].one,
                                     strlen(limits[i].one));
            }

            ngx_pulse_buf_append(&b, (u_char *) limits[i].after,
                                 strlen(limits[i].after) + 1);

            request = (char *) b.data;
            pool = unit_pool();

            rc = test_read(pool, request, "en", &form, &cv);
            check_int(rc, past ? NGX_DECLINED : NGX_OK);

            if (rc == NGX_OK) {
                check(pulse_cv_document(pool, &cv) != NULL);
            }

            ngx_destroy_pool(pool);
            ngx_pulse_buf_free(&b);
        }
    }

    unit_case(NULL);
}


static void
test_warnings(void)
{
    ngx_pool_t    *pool;
    pulse_cv_t     cv;
    pulse_form_t   form;

    pool = unit_pool();

    check_int(test_read(pool, "{" TEST_HEAD ",\"photo\":1,\"skills\":[\"a\","
                        "{\"name\":\"b\",\"years\":3}]}", "en", &form, &cv),
              NGX_OK);

    check_int(cv.warnings.n, 2);
    check_str(&cv.warnings.fields[0], "/photo");
    check_str(&cv.warnings.fields[1], "/skills/1/years");

    ngx_destroy_pool(pool);
}


/* whichever allocation fails, the request ends with an error and no leak */

static void
test_memory(void)
{
    ngx_int_t          rc;
    ngx_uint_t         n;
    ngx_pool_t        *pool;
    pulse_cv_t         cv;
    pulse_form_t       form;
    pulse_document_t  *document;

    document = NULL;

    for (n = 1; document == NULL && n < 1000; n++) {
        pool = unit_pool();
        unit_fail_allocation(n);

        rc = test_read(pool, test_cvs[3].request, "ar", &form, &cv);

        if (rc == NGX_OK) {
            document = pulse_cv_document(pool, &cv);
        }

        unit_fail_allocation(0);
        ngx_destroy_pool(pool);
    }

    check(n > 50 && n < 1000);
}


/* NGX_ERROR also if it is not JSON */

static ngx_int_t
test_read(ngx_pool_t *pool, const char *request, const char *locale,
    pulse_form_t *form, pulse_cv_t *cv)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    v = ngx_pulse_json_tree(pool, (u_char *) request, strlen(request), NULL,
                            &err);

    if (v == NULL || pulse_form_init(form, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    pulse_cv_read(form, v, locale, cv);

    return form->rc;
}


static void
test_write(const pulse_document_t *document, ngx_pulse_buf_t *b)
{
    ngx_uint_t                i, k;
    const char               *role;
    const pulse_span_t       *span;
    const pulse_paragraph_t  *paragraph;

    ngx_pulse_buf_str(b, &document->language);
    ngx_pulse_buf_append(b, (u_char *) (document->rtl ? " rtl\n" : " ltr\n"),
                         5);

    for (i = 0; i < document->nparagraphs; i++) {
        paragraph = &document->paragraphs[i];
        role = test_roles[paragraph->role];

        ngx_pulse_buf_append(b, (u_char *) role, strlen(role));
        ngx_pulse_buf_literal(b, ": ");

        for (k = 0; k < paragraph->nspans; k++) {
            span = &paragraph->spans[k];

            if (span->url.len) {
                ngx_pulse_buf_char(b, '<');
                ngx_pulse_buf_str(b, &span->url);
                ngx_pulse_buf_char(b, '>');
            }

            if (span->strong) {
                ngx_pulse_buf_char(b, '*');
            }

            ngx_pulse_buf_str(b, &span->text);

            if (span->strong) {
                ngx_pulse_buf_char(b, '*');
            }
        }

        ngx_pulse_buf_char(b, '\n');
    }
}
