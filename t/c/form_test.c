
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
static ngx_int_t match(ngx_pulse_form_t *form, const char *data,
    ngx_str_t *text);


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
            reader->form.before = 0;
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
            && strncmp(events[i], TEXT("0", ""), 40) == 0
            && strchr(events[i], '\\') == NULL)
        {
            check(reader->form.before != 0);
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
    ngx_str_t          text;
    ngx_pulse_form_t   form;

    ngx_memzero(&form, sizeof(ngx_pulse_form_t));

    check_int(match(&form, "{\"a\":\"x\"}", &text), NGX_DECLINED);

    ngx_pulse_form_keep(&form, (u_char *) "{\"a\":\"x\"}", 9, 6, 7);

    check_int(match(&form, "{\"a\":\"yz\"}", &text), NGX_OK);
    check_str(&text, "yz");
    check_int(match(&form, "{\"a\":\"\"}", &text), NGX_OK);
    check_int(text.len, 0);

    /* what does not match is the end of the form */

    check_int(match(&form, "{\"b\":\"x\"}", &text), NGX_DECLINED);
    check_int(match(&form, "{\"a\":\"x\"}", &text), NGX_DECLINED);

    ngx_pulse_form_keep(&form, (u_char *) "{\"a\":\"x\"}", 9, 6, 7);
    check_int(match(&form, "{\"a\":\"\377\"}", &text), NGX_DECLINED);

    ngx_pulse_form_keep(&form, (u_char *) "{\"a\":\"x\"}", 9, 6, 7);
    check_int(match(&form, "{\"a\"}", &text), NGX_DECLINED);

    memset(longer, ' ', sizeof(longer));
    ngx_pulse_form_keep(&form, (u_char *) longer, sizeof(longer), 6, 7);
    check_int(form.before, 0);
}


static ngx_int_t
match(ngx_pulse_form_t *form, const char *data, ngx_str_t *text)
{
    ngx_str_t  s;

    s.data = (u_char *) data;
    s.len = strlen(data);

    return ngx_pulse_form_match(form, &s, text);
}
