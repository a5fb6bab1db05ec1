
#include "unit.h"
#include "ngx_pulse_anthropic.h"
#include "ngx_pulse_form.h"


/*
 * A stream's events whose form is known are not read as JSON: what a reader
 * says of each must be what one says that knows no form.
 */


#define TEXT(index, text)                                                     \
    "{\"type\":\"content_block_delta\",\"index\":" index                      \
    ",\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}}"

#define START                                                                 \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"a\","  \
    "\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}"

#define BLOCK(index)                                                          \
    "{\"type\":\"content_block_start\",\"index\":" index                      \
    ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"

#define STOP(index)                                                           \
    "{\"type\":\"content_block_stop\",\"index\":" index "}"


static void test_same(void);
static void test_match(void);
static void read_events(ngx_uint_t forget, ngx_pulse_buf_t *said);
static ngx_int_t note(void *ctx, ngx_pulse_answer_event_t *ev);
static void test_values(void);
static void keep(ngx_pulse_form_t *form, const char *data);
static ngx_int_t match(ngx_pulse_form_t *form, const char *data,
    ngx_str_t *values);


static const char  *events[] = {
    START, BLOCK("0"), TEXT("0", "one"), TEXT("0", " two"), TEXT("0", ""),
    TEXT("0", "\330\263\331\204"), TEXT("0", "a\\nb"), TEXT("0", "c"),
    TEXT("0", "d\\\"e"), TEXT("0", "f"),
    TEXT("0", "g\"},\"type\":\"ping\",\"x\":{\"y\":\"h"), TEXT("0", "i"),
    STOP("0"), BLOCK("1"), TEXT("1", "j"), TEXT("1", "k"), STOP("1"),
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
    "\"usage\":{\"output_tokens\":9}}",
    "{\"type\":\"message_stop\"}", TEXT("1", "late"), NULL
};


int
main(void)
{
    test_same();
    test_match();
    test_values();

    return unit_done();
}


static void
test_same(void)
{
    ngx_pulse_buf_t  said, expected;

    ngx_pulse_buf_init(&said, 0);
    ngx_pulse_buf_init(&expected, 0);

    read_events(0, &said);
    read_events(1, &expected);

    check(said.len > 100);
    check_mem(said.data, said.len, expected.data, expected.len);

    ngx_pulse_buf_free(&said);
    ngx_pulse_buf_free(&expected);
}


/* "forget": no event is known by its form */

static void
read_events(ngx_uint_t forget, ngx_pulse_buf_t *said)
{
    void                          *state;
    ngx_int_t                      rc;
    ngx_uint_t                     i;
    ngx_pulse_sse_event_t          ev;
    ngx_pulse_anthropic_reader_t  *reader;

    state = calloc(1, ngx_pulse_dialect_anthropic.reader_size);
    reader = state;

    for (i = 0; events[i]; i++) {

        if (forget) {
            ngx_pulse_form_forget(&reader->form);
        }

        ngx_memzero(&ev, sizeof(ngx_pulse_sse_event_t));
        ev.data.data = (u_char *) events[i];
        ev.data.len = strlen(events[i]);
        ev.has_data = 1;

        rc = unit_read_event(&ngx_pulse_dialect_anthropic, state, &ev, note,
                             said);

        ngx_pulse_buf_char(said, '\n');
        ngx_pulse_buf_int(said, rc);

        unit_case("event %d", (int) i);

        if (!forget && rc == NGX_OK
            && strncmp(events[i], TEXT("0", ""), 40) == 0)
        {
            check(reader->form.kept);
        }
    }

    unit_case(NULL);

    free(state);
}


static ngx_int_t
note(void *ctx, ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_buf_t *said = ctx;

    ngx_pulse_buf_char(said, ' ');
    ngx_pulse_buf_int(said, ev->type);
    ngx_pulse_buf_char(said, ':');
    ngx_pulse_buf_str(said, &ev->text);

    return NGX_OK;
}


static void
test_match(void)
{
    char               longer[2 * NGX_PULSE_FORM_LEN];
    ngx_str_t          values[NGX_PULSE_FORM_SLOTS];
    ngx_pulse_form_t   form;

    static const char  text[] = "{\"a\":\"x\"}";

    ngx_memzero(&form, sizeof(ngx_pulse_form_t));

    check_int(match(&form, text, values), NGX_DECLINED);

    keep(&form, text);

    check_int(match(&form, "{\"a\":\"yz\"}", values), NGX_OK);
    check_str(&values[NGX_PULSE_FORM_TEXT], "yz");
    check_int(match(&form, "{\"a\":\"\"}", values), NGX_OK);
    check_int(values[NGX_PULSE_FORM_TEXT].len, 0);

    /* what does not match is the end of the form */

    check_int(match(&form, "{\"b\":\"x\"}", values), NGX_DECLINED);
    check_int(match(&form, text, values), NGX_DECLINED);

    keep(&form, text);
    check_int(match(&form, "{\"a\":\"\377\"}", values), NGX_DECLINED);

    keep(&form, text);
    check_int(match(&form, "{\"a\"}", values), NGX_DECLINED);

    keep(&form, text);
    check_int(match(&form, "{\"a\":\"x\"} ", values), NGX_DECLINED);

    memset(longer, ' ', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memcpy(longer, text, sizeof(text) - 1);

    keep(&form, longer);
    check_int(form.kept, 0);
}


/* Strings and numbers in any order; what they were moves with them. */

static void
test_values(void)
{
    ngx_uint_t               i;
    ngx_str_t                s, values[NGX_PULSE_FORM_SLOTS];
    ngx_pool_t              *pool;
    ngx_pulse_form_t         form;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *root;

    static const char  text[] = "{\"n\":17,\"pad\":\"xyz\",\"t\":\"a\","
                                "\"u\":{\"v\":[1,2.5]}}";

    static const char  *others[] = {
        "{\"n\":-1,\"pad\":\"\",\"t\":\"b\",\"u\":{\"v\":[1,2]}}",
        "{\"n\":01,\"pad\":\"\",\"t\":\"b\",\"u\":{\"v\":[1,2]}}",
        "{\"n\":1.0,\"pad\":\"\",\"t\":\"b\",\"u\":{\"v\":[1,2]}}",
        "{\"n\":,\"pad\":\"\",\"t\":\"b\",\"u\":{\"v\":[1,2]}}",
        "{\"n\":1234567890123456789,\"pad\":\"\",\"t\":\"b\","
        "\"u\":{\"v\":[1,2]}}",
        "{\"n\":1,\"pad\":\"\\n\",\"t\":\"b\",\"u\":{\"v\":[1,2]}}",
        "{\"n\":1,\"pad\":\"\",\"t\":\"b\",\"u\":{\"v\":[1,2]",
        "{\"n\":1", "", NULL
    };

    pool = unit_pool();
    root = ngx_pulse_json_tree(pool, (u_char *) text, sizeof(text) - 1, NULL,
                               &err);
    check(root != NULL);

    ngx_str_set(&s, text);
    ngx_memzero(&form, sizeof(ngx_pulse_form_t));

    for (i = 0; others[i]; i++) {
        unit_case("other %d", (int) i);

        ngx_pulse_form_forget(&form);
        ngx_pulse_form_numbers(&form, ngx_pulse_json_get(root, "u"));
        ngx_pulse_form_add(&form, ngx_pulse_json_get(root, "t"),
                           NGX_PULSE_FORM_TEXT);
        ngx_pulse_form_add(&form, ngx_pulse_json_get(root, "n"), 3);
        ngx_pulse_form_add(&form, ngx_pulse_json_get(root, "pad"),
                           NGX_PULSE_FORM_ANY);
        ngx_pulse_form_add(&form, ngx_pulse_json_get(root, "none"), 4);
        ngx_pulse_form_keep(&form, &s);

        check_int(form.n, 5);
        check_int(match(&form, "{\"n\":4,\"pad\":\"\",\"t\":\"longer\","
                               "\"u\":{\"v\":[1000,3]}}", values),
                  NGX_OK);
        check_str(&values[NGX_PULSE_FORM_TEXT], "longer");
        check_str(&values[3], "4");

        /* a digit less, three letters less, five more */

        check_int(ngx_pulse_form_moved(&form, 1), 1);
        check_int(ngx_pulse_form_moved(&form, 9), 8);
        check_int(ngx_pulse_form_moved(&form, 20), 16);
        check_int(ngx_pulse_form_moved(&form, 29), 30);

        check_int(match(&form, others[i], values), NGX_DECLINED);
    }

    unit_case(NULL);

    /* what is neither a string nor a number */

    ngx_pulse_form_forget(&form);
    ngx_pulse_form_add(&form, ngx_pulse_json_get(root, "u"), 0);
    ngx_pulse_form_keep(&form, &s);
    check_int(form.kept, 0);

    ngx_destroy_pool(pool);
}


/* The form of {"a":"x"}, and whatever follows it. */

static void
keep(ngx_pulse_form_t *form, const char *data)
{
    ngx_str_t  s;

    s.data = (u_char *) data;
    s.len = strlen(data);

    ngx_pulse_form_forget(form);
    ngx_pulse_form_string(form, 6, 7, NGX_PULSE_FORM_TEXT);
    ngx_pulse_form_keep(form, &s);
}


static ngx_int_t
match(ngx_pulse_form_t *form, const char *data, ngx_str_t *values)
{
    ngx_str_t  s;

    s.data = (u_char *) data;
    s.len = strlen(data);

    return ngx_pulse_form_match(form, NULL, &s, values);
}
