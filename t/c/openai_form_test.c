
#include "unit.h"
#include "ngx_pulse_openai.h"


/*
 * An event that is the last one but for its text is not read as JSON: what is
 * known after it must be what reading it would have told.
 */


#define TEST_HEAD  "{\"id\":\"c-1\",\"model\":\"m\",\"choices\":[{\"index\":0,"
#define TEST_TAIL  "\"},\"finish_reason\":null}]}"
#define TEST_TEXT  TEST_HEAD "\"delta\":{\"content\":\""


typedef struct {
    const char  *name;
    const char  *first;
    const char  *next;
    ngx_uint_t   read;                  /* as JSON */
} test_form_t;


static void test_forms(void);
static void test_form(test_form_t *t, ngx_uint_t hide);
static ngx_uint_t test_event(ngx_pulse_openai_answer_t *answer,
    const char *data, ngx_pulse_buf_t *b);
static void test_long(void);


static test_form_t  test_form_table[] = {
    { "another text", TEST_TEXT "one" TEST_TAIL, TEST_TEXT " two" TEST_TAIL,
      0 },
    { "the same text", TEST_TEXT "one" TEST_TAIL, TEST_TEXT "one" TEST_TAIL,
      0 },
    { "no text", TEST_TEXT "one" TEST_TAIL, TEST_TEXT TEST_TAIL, 0 },
    { "a text after none", TEST_TEXT TEST_TAIL, TEST_TEXT "one" TEST_TAIL,
      1 },
    { "Arabic", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "\xd9\x85\xd8\xb1" TEST_TAIL, 0 },
    { "an escape before", TEST_TEXT "a\\n\\u0041" TEST_TAIL,
      TEST_TEXT "one" TEST_TAIL, 0 },
    { "an escape", TEST_TEXT "one" TEST_TAIL, TEST_TEXT "a\\nb" TEST_TAIL,
      1 },
    { "a quote that is escaped", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "a\\\"b" TEST_TAIL, 1 },
    { "a backslash before the end", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "a\\" TEST_TAIL, 1 },
    { "a reason in the text's place", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "a\"},\"finish_reason\":\"stop\"},{\"delta\":{\"content\":\"b"
      TEST_TAIL, 1 },
    { "an error in the text's place", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "a\"}}],\"error\":{},\"x\":[{\"y\":{\"z\":\"b" TEST_TAIL, 1 },
    { "a control character", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "a\tb" TEST_TAIL, 1 },
    { "half of a character", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "a\xd9" TEST_TAIL, 1 },
    { "the end is the beginning", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "\"}", 1 },
    { "one quote for both", TEST_TEXT "one\"}}]}", TEST_TEXT "}}]}", 1 },
    { "another end", TEST_TEXT "one" TEST_TAIL,
      TEST_TEXT "\"},\"finish_reason\":\"stop\"}]}", 1 },
    { "another name", TEST_TEXT "one" TEST_TAIL,
      TEST_HEAD "\"delta\":{\"nontent\":\"one" TEST_TAIL, 1 },
    { "two texts", TEST_HEAD "\"delta\":{\"name\":\"f\",\"arguments\":\"x"
      TEST_TAIL, TEST_HEAD "\"delta\":{\"name\":\"f\",\"arguments\":\"yy"
      TEST_TAIL, 1 },
    { "usage null behind", TEST_TEXT "one\"}}],\"usage\":null}",
      TEST_TEXT "number two\"}}],\"usage\":null}", 0 },
    { "usage null before",
      "{\"usage\":null,\"choices\":[{\"delta\":{\"content\":\"longer\"}}]}",
      "{\"usage\":null,\"choices\":[{\"delta\":{\"content\":\"b\"}}]}", 0 },
    { "usage null between",
      "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"longer\"}}],"
      "\"usage\":null,\"model\":\"m\"}",
      "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"\"}}],"
      "\"usage\":null,\"model\":\"m\"}", 0 },
    { "usage",
      TEST_TEXT "a\"}}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":9}}",
      TEST_TEXT "b\"}}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":9}}",
      0 },
    { "usage that grows",
      TEST_TEXT "a\"}}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":8}}",
      TEST_TEXT "b\"}}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":9}}",
      1 }
};


int
main(void)
{
    test_forms();
    test_long();

    return unit_done();
}


static void
test_forms(void)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(test_form_table) / sizeof(test_form_t); i++) {
        unit_case("%s", test_form_table[i].name);

        test_form(&test_form_table[i], 0);
        test_form(&test_form_table[i], 1);
    }

    unit_case(NULL);
}


static void
test_form(test_form_t *t, ngx_uint_t hide)
{
    ngx_uint_t                  i, action;
    ngx_pulse_buf_t             b, expected;
    ngx_pulse_openai_answer_t   answer, read;

    memset(&answer, 0, sizeof(ngx_pulse_openai_answer_t));
    memset(&read, 0, sizeof(ngx_pulse_openai_answer_t));
    answer.hide = (hide != 0);
    read.hide = (hide != 0);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&expected, 0);

    (void) test_event(&answer, t->first, &b);
    (void) test_event(&read, t->first, &b);

    /* twice: what the first repetition leaves is what the second goes by */

    for (i = 0; i < 2; i++) {
        b.len = 0;
        expected.len = 0;
        ngx_pulse_form_forget(&read.form);

        action = test_event(&read, t->next, &expected);
        check_int(test_event(&answer, t->next, &b), action);
        check_mem(b.data, b.len, expected.data, expected.len);

        check_mem(&answer, offsetof(ngx_pulse_openai_answer_t, form),
                  &read, offsetof(ngx_pulse_openai_answer_t, form));
    }

    /* only who reads it counts the choices again */

    memset(&answer, 0, sizeof(ngx_pulse_openai_answer_t));

    (void) test_event(&answer, t->first, &b);
    answer.choices = 77;
    (void) test_event(&answer, t->next, &b);
    check_int(answer.choices != 77, t->read);

    ngx_pulse_buf_free(&b);
    ngx_pulse_buf_free(&expected);
}


/* The text is in a block of its own, so that a read past its end is seen. */

static ngx_uint_t
test_event(ngx_pulse_openai_answer_t *answer, const char *data,
    ngx_pulse_buf_t *b)
{
    ngx_uint_t              action;
    ngx_pulse_sse_event_t   ev;

    memset(&ev, 0, sizeof(ngx_pulse_sse_event_t));

    ev.has_data = 1;
    ev.data.len = strlen(data);
    ev.data.data = malloc(ev.data.len);
    memcpy(ev.data.data, data, ev.data.len);
    ev.raw = ev.data;

    action = ngx_pulse_openai_event(answer, &ev, b);

    free(ev.data.data);

    return action;
}


/* What does not fit is not kept. */

static void
test_long(void)
{
    char                        data[NGX_PULSE_FORM_LEN + 256];
    int                         fill;
    size_t                      before;
    ngx_uint_t                  kept;
    ngx_pulse_buf_t             b;
    ngx_pulse_openai_answer_t   answer;

    static const char  head[] = "\"choices\":[{\"delta\":{\"content\":\"";
    static const char  tail[] = "\"}}]}";

    memset(&answer, 0, sizeof(ngx_pulse_openai_answer_t));
    ngx_pulse_buf_init(&b, 0);

    for (fill = 400; fill < 600; fill++) {
        (void) snprintf(data, sizeof(data), "{\"x\":\"%0*d\",%stext%s", fill,
                        0, head, tail);

        check_int(test_event(&answer, data, &b), NGX_PULSE_OPENAI_PASS);

        before = strlen("{\"x\":\"\",") + fill + strlen(head);
        kept = before + strlen(tail) <= NGX_PULSE_FORM_LEN;

        check_int(answer.form.kept, kept);
        check_int(answer.form.slots[0].start, before);
    }

    check_int(answer.deltas, 200);

    ngx_pulse_buf_free(&b);
}
