
#include "unit_stream.h"


/*
 * Arabic, marks that combine, the direction of text and emoji through the
 * reader of each dialect and out to a client of each, cut at every byte: in
 * characters, in escapes and between the halves of a surrogate pair.
 */


static void test_cuts(ngx_pulse_dialect_t *dialect, const char *text);
static void test_text(unit_stream_t *s);


#define RAW      "\u0645\u0631\u062d\u0628\u0627\u064b \u202e\u2066x\u2069 "  \
                 "e\u0301 \U0001f468\u200d\U0001f469 "
#define ESCAPED  "\\u0633\\u0651\\u200f \\ud83c\\uDDF8\\uD83C\\udde6\\n"
#define SAID     RAW "\u0633\u0651\u200f \U0001f1f8\U0001f1e6\n"


static ngx_pulse_dialect_t  *test_dialects[] = {
    &ngx_pulse_dialect_openai,
    &ngx_pulse_dialect_responses,
    &ngx_pulse_dialect_anthropic,
    &ngx_pulse_dialect_gemini,
    NULL
};


/* in the order of the dialects */

static const char  *test_streams[] = {

    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
    RAW "\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" ESCAPED "\"}"
    "}]}\r\n\r\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\""
    "}]}\n\ndata: [DONE]\n\n",

    "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
    "\"content_index\":0,\"delta\":\"" RAW "\"}\n\n"
    "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
    "\"content_index\":0,\"delta\":\"" ESCAPED "\"}\r\r"
    "data: {\"type\":\"response.completed\",\"response\":{\"status\":"
    "\"completed\"}}\n\n",

    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
    "{\"id\":\"m\",\"usage\":{}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\","
    "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
    "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" RAW
    "\"}}\r\n\r\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
    "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" ESCAPED
    "\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
    "\"index\":0}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
    "{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",

    "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":"
    "[{\"text\":\"" RAW "\"}]}}]}\r\n\r\n"
    "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":"
    "[{\"text\":\"" ESCAPED "\"}]},\"finishReason\":\"STOP\"}]}\n\n"
};


int
main(void)
{
    ngx_uint_t  i;

    for (i = 0; test_dialects[i]; i++) {
        test_cuts(test_dialects[i], test_streams[i]);
    }

    return unit_done();
}


static void
test_cuts(ngx_pulse_dialect_t *dialect, const char *text)
{
    size_t                cut, len;
    ngx_uint_t            i;
    unit_stream_t         s, back;
    ngx_pulse_dialect_t  *client;

    len = strlen(text);

    for (cut = 0; cut < len; cut++) {
        client = test_dialects[cut % 4];

        unit_case("%.*s for %.*s, cut at %lu", (int) dialect->name.len,
                  dialect->name.data, (int) client->name.len,
                  client->name.data, (unsigned long) cut);

        /* 0: each byte alone */

        unit_translate(&s, dialect, client);
        check_int(unit_feed(&s, (u_char *) text, len, cut, cut ? len : 1),
                  NGX_OK);
        test_text(&s);

        /* what the client got, cut in the same way */

        for (i = 0; i < 2; i++) {
            unit_start(&back, client);
            check_int(unit_feed(&back, s.out.data, s.out.len,
                                i ? cut % s.out.len : 0, i ? len : 1),
                      NGX_OK);
            test_text(&back);
            unit_end(&back);
        }

        unit_end(&s);
    }

    unit_case(NULL);
}


static void
test_text(unit_stream_t *s)
{
    ngx_pulse_buf_t    text;
    ngx_pulse_part_t  *part;

    ngx_pulse_buf_init(&text, 0);

    for (part = s->collector.parts; part; part = part->next) {
        if (part->type == NGX_PULSE_PART_TEXT) {
            ngx_pulse_buf_str(&text, &part->text);
        }
    }

    check_int(s->collector.failed, 0);
    check_mem(text.data, text.len, SAID, sizeof(SAID) - 1);

    ngx_pulse_buf_free(&text);
}
