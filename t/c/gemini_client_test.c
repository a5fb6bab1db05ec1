
#include "unit_stream.h"
#include "ngx_pulse_gemini.h"


static void test_signatures(void);
static void test_held(void);
static void test_spare(void);
static void test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const char *body);


int
main(void)
{
    test_signatures();
    test_held();
    test_spare();

    return unit_done();
}


/* what another vendor signed comes back as it was, also from SDKs that write
 * base64 in another way; what Gemini signed stays with a text */

static void
test_signatures(void)
{
    size_t                      i;
    u_char                     *p;
    ngx_str_t                   body;
    ngx_pulse_buf_t             b;
    unit_stream_t               s;
    ngx_pulse_part_t           *part;
    ngx_pulse_conversation_t    cv;
    ngx_pulse_answer_event_t    ev;

    unit_case("signatures of another vendor");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    memset(&ev, 0, sizeof(ev));

    ev.type = NGX_PULSE_ANSWER_THINKING;
    ev.text = unit_str("hm");
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_SIGNATURE;
    ev.text = unit_str("a+/b???\xc3\xbf\xc3\xbe=");
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_REDACTED;
    ev.text = unit_str("secret");
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_END;
    check_int(ngx_pulse_collect(&s.collector, &ev), NGX_OK);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"contents\":[{\"role\":\"model\",\"parts\":");

    ngx_pulse_gemini_write_answer(&s.collector, &s.cv, 0, &s.out);
    ngx_pulse_buf_char(&s.out, '\0');

    p = (u_char *) strstr((char *) s.out.data, "[{\"text\"");
    check(p != NULL);
    ngx_pulse_buf_append(&b, p, strchr((char *) p, ']') + 1 - (char *) p);
    ngx_pulse_buf_literal(&b, "}]}");

    for (i = 0; i < 2; i++) {
        body.data = b.data;
        body.len = b.len;

        check_int(ngx_pulse_gemini_read(&cv, s.pool, &body,
                                        &(ngx_pulse_chat_refusal_t) { 0 }),
                  NGX_OK);

        part = cv.turns->parts;
        check_int(part->type, NGX_PULSE_PART_THINKING);
        check_str(&part->text, "hm");
        check_str(&part->signature, "a+/b???\xc3\xbf\xc3\xbe=");

        part = part->next;
        check_int(part->type, NGX_PULSE_PART_REDACTED);
        check_str(&part->data, "secret");

        for (p = b.data; p < b.data + b.len; p++) {
            *p = (*p == '+') ? '-' : (*p == '/') ? '_' : *p;
        }
    }

    ngx_pulse_buf_free(&b);

    unit_case("signatures of Gemini");

    test_read(&cv, s.pool,
        "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"thought\":true,"
        "\"text\":\"hm\",\"thoughtSignature\":\"Q2ln\"},{\"thought_signature\""
        ":\"Q2lo\"}]}]}");

    part = cv.turns->parts;
    check_int(part->type, NGX_PULSE_PART_THINKING);
    check_int(part->signature.len, 0);

    part = part->next;
    check_int(part->type, NGX_PULSE_PART_TEXT);
    check_int(part->text.len, 0);
    check_str(&part->signature, "Q2ln");
    check_str(&part->next->signature, "Q2lo");

    unit_end(&s);
    unit_case(NULL);
}


/* calls side by side, in deltas, one of them cut short */

static void
test_held(void)
{
    ngx_uint_t                 i;
    unit_stream_t              s;
    ngx_pulse_answer_event_t   ev;

    static const struct {
        ngx_pulse_answer_e   type;
        ngx_uint_t           index;
        const char          *text;
    } events[] = {
        { NGX_PULSE_ANSWER_CALL, 0, "f" },
        { NGX_PULSE_ANSWER_ARGUMENTS, 0, "{\"a\": " },
        { NGX_PULSE_ANSWER_CALL, 1, "g" },
        { NGX_PULSE_ANSWER_ARGUMENTS, 0, "\"b c\" }" },
        { NGX_PULSE_ANSWER_ARGUMENTS, 1, "{\"d" },
        { NGX_PULSE_ANSWER_CALL_END, 0, "" },
        { NGX_PULSE_ANSWER_CALL, 2, "h" },
        { NGX_PULSE_ANSWER_FINISH, 0, "" },
        { NGX_PULSE_ANSWER_END, 0, "" }
    };

    static const char  expected[] =
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":"
        "{\"name\":\"f\",\"args\":{\"a\":\"b c\"}}}],\"role\":\"model\"},"
        "\"index\":0}]}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":"
        "{\"name\":\"g\",\"args\":{\"INVALID_JSON\":\"{\\\"d\"}}}],\"role\":"
        "\"model\"},\"index\":0}]}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":"
        "{\"name\":\"h\",\"args\":{}}}],\"role\":\"model\"},"
        "\"index\":0}]}\r\n\r\n"
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],"
        "\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\",\"index\":0}]}"
        "\r\n\r\n";

    unit_case("calls side by side");

    unit_start(&s, &ngx_pulse_dialect_gemini);

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        memset(&ev, 0, sizeof(ev));

        ev.type = events[i].type;
        ev.index = events[i].index;
        ev.finish = NGX_PULSE_FINISH_LENGTH;
        ev.name = unit_str(events[i].text);
        ev.text = unit_str(events[i].text);

        ngx_pulse_gemini_write_event(s.writer, &s.cv, &ev, &s.out);
    }

    check_int(s.out.failed, 0);
    check_mem(s.out.data, s.out.len, expected, sizeof(expected) - 1);

    unit_end(&s);
    unit_case(NULL);
}


/* what one call took is the next one's: the pool has no more of many */

static void
test_spare(void)
{
    ngx_uint_t                 i, n, first;
    unit_stream_t              s;
    ngx_pool_large_t          *l;
    ngx_pulse_answer_event_t   ev;

    unit_case("calls one after the other");

    unit_start(&s, &ngx_pulse_dialect_gemini);
    first = 0;

    for (i = 0; i < 100; i++) {
        memset(&ev, 0, sizeof(ev));

        ev.type = NGX_PULSE_ANSWER_CALL;
        ev.index = i;
        ev.id = unit_str("call_1");
        ev.name = unit_str("f");
        ev.signature = unit_str("Q2ln");
        ev.text = unit_str("{}");

        ngx_pulse_gemini_write_event(s.writer, &s.cv, &ev, &s.out);

        ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
        ngx_pulse_gemini_write_event(s.writer, &s.cv, &ev, &s.out);

        ev.type = NGX_PULSE_ANSWER_CALL_END;
        ngx_pulse_gemini_write_event(s.writer, &s.cv, &ev, &s.out);

        for (l = s.pool->large, n = 0; l; l = l->next) {
            n++;
        }

        if (i == 0) {
            first = n;
        }

        check_int(n, first);
    }

    check_int(s.out.failed, 0);

    unit_end(&s);
    unit_case(NULL);
}


static void
test_read(ngx_pulse_conversation_t *cv, ngx_pool_t *pool, const char *body)
{
    ngx_str_t                  text;
    ngx_pulse_chat_refusal_t   refusal;

    text = unit_str(body);

    check_int(ngx_pulse_gemini_read(cv, pool, &text, &refusal), NGX_OK);
}
