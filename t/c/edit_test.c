
#include "unit_stream.h"
#include "ngx_pulse_openai.h"


/* what each dialect would have to change in its own body */

typedef struct {
    const char           *name;
    ngx_pulse_dialect_t  *dialect;
    ngx_uint_t            sign;
    const char           *body;
    const char           *expected;
} test_edit_t;


static void test_edits(void);
static void test_foreign(void);
static void test_order(void);
static void test_memory(void);


#define ASK    "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"        \
               "{\"role\":\"assistant\",\"content\":["
#define ASKED  "]},{\"role\":\"user\",\"content\":\"y\"}]}"
#define CALL   "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","          \
               "\"input\":{}}"
#define OWN    "{\"type\":\"thinking\",\"thinking\":\"h\",\"signature\":"     \
               "\"EpAD\"}"

#define SOURCE(s)                                                             \
    "{\"type\":\"web_search_result_location\",\"encrypted_index\":\"" s "\"}"

#define SAY    "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]},"               \
               "{\"role\":\"model\",\"parts\":["
#define SAID   "]}]}"
#define WRAP   "{\"thought\":true,\"text\":\"h\",\"thoughtSignature\":"       \
               "\"cHVsc2U6RXBBRA==\"}"
#define FCALL  "\"functionCall\":{\"name\":\"f\"}}"
#define ITEMS  "{\"model\":\"m\",\"input\":["
#define ITEM   "{\"role\":\"user\",\"content\":\"x\"}"
#define REASON(s)                                                             \
    "{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"" s "\"}"
#define SKIP   "{\"thoughtSignature\":\"skip_thought_signature_validator\","


static test_edit_t  test_edit_table[] = {

    { "Anthropic's own thinking stays", &ngx_pulse_dialect_anthropic, 0,
      ASK OWN ", {\"type\":\"redacted_thinking\",\"data\":\"Eq\"}," CALL ASKED,
      ASK OWN ", {\"type\":\"redacted_thinking\",\"data\":\"Eq\"}," CALL
      ASKED },

    { "a signature of Gemini's call", &ngx_pulse_dialect_anthropic, 0,
      ASK OWN " , {\"type\":\"thinking\",\"thinking\":\"\",\"signature\":"
      "\"pulse.call.CiwB\"} , " CALL ASKED,
      ASK OWN " , " CALL ASKED },

    { "that of its text, at the end", &ngx_pulse_dialect_anthropic, 0,
      ASK "{\"type\":\"text\",\"text\":\"a\"} , {\"type\":\"thinking\","
      "\"thinking\":\"\",\"signature\":\"pulse.text.CiwB\"} " ASKED,
      ASK "{\"type\":\"text\",\"text\":\"a\"}  " ASKED },

    { "thinking of OpenAI's, and unsigned", &ngx_pulse_dialect_anthropic, 0,
      ASK "{\"type\":\"thinking\",\"thinking\":\"o\",\"signature\":"
      "\"gAAAAABo\"},{\"type\":\"thinking\",\"thinking\":\"d\"}," CALL ASKED,
      ASK CALL ASKED },

    { "sources of another vendor's answer", &ngx_pulse_dialect_anthropic, 0,
      ASK "{\"type\":\"text\",\"text\":\"a\",\"citations\":[" SOURCE("E")
      "," SOURCE("pulse.source") "]},{\"type\":\"text\",\"text\":\"b\","
      "\"citations\":[" SOURCE("pulse.source") "]}" ASKED,
      ASK "{\"type\":\"text\",\"text\":\"a\",\"citations\":[" SOURCE("E")
      "]},{\"type\":\"text\",\"text\":\"b\",\"citations\":[]}" ASKED },

    { "a message of nothing else", &ngx_pulse_dialect_anthropic, 0,
      ASK "{\"type\":\"thinking\",\"thinking\":\"d\"},"
      "{\"type\":\"redacted_thinking\",\"data\":\"gAAAAABo\"}" ASKED,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"user\",\"content\":\"y\"}]}" },

    { "thinking that would have to lead to the calls",
      &ngx_pulse_dialect_anthropic, 0,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"d\"},"
      CALL "]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
      "\"tool_use_id\":\"a\"}]}],\"thinking\": {\"type\":\"enabled\","
      "\"budget_tokens\":2000}}",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[" CALL "]},{\"role\":\"user\",\"content\":"
      "[{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}],\"thinking\": "
      "{\"type\":\"disabled\"}}" },

    { "thinking inside of results is left alone",
      &ngx_pulse_dialect_anthropic, 0,
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":"
      "\"thinking\",\"thinking\":\"d\"}]}]}]}",
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":"
      "\"thinking\",\"thinking\":\"d\"}]}]}]}" },

    { "Gemini's own signatures stay", &ngx_pulse_dialect_gemini, 1,
      SAY "{\"text\":\"a\",\"thoughtSignature\":\"CiwB\"},"
      "{\"thoughtSignature\":\"CiwC\"," FCALL ",{" FCALL SAID,
      SAY "{\"text\":\"a\",\"thoughtSignature\":\"CiwB\"},"
      "{\"thoughtSignature\":\"CiwC\"," FCALL ",{" FCALL SAID },

    { "thoughts that another signed", &ngx_pulse_dialect_gemini, 0,
      SAY WRAP ",\n{\"text\":\"a\"},{\"thought\":true,\"text\":\"\","
      "\"thought_signature\":\"cHVsc2UhRXE=\"}" SAID,
      SAY "{\"text\":\"a\"}" SAID },

    { "a content of nothing else", &ngx_pulse_dialect_gemini, 0,
      SAY WRAP "]},{\"parts\":[{\"text\":\"y\"}" SAID,
      "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]},{\"parts\":[{\"text\":"
      "\"y\"}]}]}" },

    { "one that is not in a list", &ngx_pulse_dialect_gemini, 0,
      "{\"contents\":{\"role\":\"model\",\"parts\":" WRAP "}}",
      "{\"contents\":[]}" },

    { "calls of another vendor, for models that want them signed",
      &ngx_pulse_dialect_gemini, 1,
      SAY WRAP ",{" FCALL ",{" FCALL SAID,
      SAY SKIP FCALL ",{" FCALL SAID },

    { "and for others", &ngx_pulse_dialect_gemini, 0,
      SAY "{" FCALL SAID,
      SAY "{" FCALL SAID },

    { "calls before the last question", &ngx_pulse_dialect_gemini, 1,
      SAY "{" FCALL "]},{\"parts\":[{\"functionResponse\":{\"name\":\"f\"}}]"
      "},{\"parts\":[{\"text\":\"y\"}]},{\"role\":\"model\",\"parts\":[{"
      FCALL SAID,
      SAY "{" FCALL "]},{\"parts\":[{\"functionResponse\":{\"name\":\"f\"}}]"
      "},{\"parts\":[{\"text\":\"y\"}]},{\"role\":\"model\",\"parts\":["
      SKIP FCALL SAID },

    { "OpenAI's own reasoning stays", &ngx_pulse_dialect_responses, 0,
      ITEMS "{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":"
      "\"gAAAAABo\"},{\"type\":\"reasoning\",\"summary\":[],\"content\":[{"
      "\"type\":\"reasoning_text\",\"text\":\"open\"}]}," ITEM "]}",
      ITEMS "{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":"
      "\"gAAAAABo\"},{\"type\":\"reasoning\",\"summary\":[],\"content\":[{"
      "\"type\":\"reasoning_text\",\"text\":\"open\"}]}," ITEM "]}" },

    { "that of others, signed, hidden, of a call, of nobody",
      &ngx_pulse_dialect_responses, 0,
      ITEMS "{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":"
      "\"EpAD\"}," REASON("pulse.redacted:EqAD") "," REASON("pulse.next:Ciw")
      "," ITEM " , " REASON("pulse.last:Ciw") ",{\"type\":\"reasoning\","
      "\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
      "\"hm\"}]}]}",
      ITEMS ITEM " ]}" }
};


/* the same where bodies are spliced, and what a model knows of it */

typedef struct {
    const char           *name;
    ngx_uint_t            keep;
    const char           *body;
    const char           *expected;             /* NULL: as it is */
} test_foreign_t;


#define CHAT  "{\"messages\":[{\"role\":\"assistant\",\"content\":\"c\""
#define TOLD  "\"reasoning_content\":\"hm\""
#define PIECE "\"reasoning_details\" : [{\"type\":\"thinking\",\"index\":0,"   \
              "\"thinking\":\"hm\",\"signature\":\"EpAD\"}]"
#define EXTRA "\"extra_content\":{\"google\":{\"thought_signature\":\"Ciw\"}}"
#define TOOL  "\"tool_calls\":[{\"id\":\"a\""


static test_foreign_t  test_foreign_table[] = {
    { "nothing", 0, CHAT "," TOLD "}]}", NULL },
    { "a text of that name", 0,
      "{\"messages\":[{\"role\":\"user\",\"content\":"
      "\"\\\"extra_content\\\"\"}],"
      "\"extra_content\":1}", NULL },
    { "another vendor's", 0,
      CHAT ",\"reasoning_details\":[{\"type\":\"reasoning.text\"}]}]}", NULL },
    { "ours", 0, CHAT "," TOLD ", " PIECE "}]}", CHAT "}]}" },
    { "ours, first", 0,
      "{\"messages\":[{" PIECE " ,\n\"role\":\"assistant\"}]}",
      "{\"messages\":[{\"role\":\"assistant\"}]}" },
    { "its text is wanted", NGX_PULSE_OPENAI_KEEP_THINKING,
      CHAT "," TOLD "," PIECE "}]}", CHAT "," TOLD "}]}" },
    { "signatures", 0,
      CHAT "," EXTRA "," TOOL "," EXTRA ",\"type\":\"function\"}]}]}",
      CHAT "," TOOL ",\"type\":\"function\"}]}]}" },
    { "signatures are wanted", NGX_PULSE_OPENAI_KEEP_EXTRA,
      CHAT "," EXTRA "," TOOL "," EXTRA "}]}]}", NULL },
    { "a name with escapes", 0,
      CHAT ",\"reasoning\\u005fcontent\":\"hm\"," PIECE "}]}",
      CHAT ",\"reasoning\\u005fcontent\":null}]}" },
    { "no thinking at all", NGX_PULSE_OPENAI_NO_THINKING,
      CHAT "," TOLD ",\"reasoning\":\"hm\",\"reasoning_details\":[]}],"
      "\"reasoning_effort\":\"low\"}",
      CHAT "}],\"reasoning_effort\":\"low\"}" },
    { "no messages", 0, "{\"messages\":{\"extra_content\":1}}", NULL }
};


int
main(void)
{
    test_edits();
    test_foreign();
    test_order();
    test_memory();

    return unit_done();
}


static void
test_edits(void)
{
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    test_edit_t               *t;
    ngx_pulse_buf_t            b;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < sizeof(test_edit_table) / sizeof(test_edit_t); i++) {
        t = &test_edit_table[i];
        unit_case("%s", t->name);

        pool = unit_pool();
        body = unit_str(t->body);
        ngx_pulse_buf_init(&b, 0);

        check_int(t->dialect->read(&cv, pool, &body, &refusal), NGX_OK);
        ngx_pulse_edit_body(&cv, &body, t->sign, &b);
        check_mem(b.data, b.len, t->expected, strlen(t->expected));

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


static void
test_foreign(void)
{
    ngx_str_t         body;
    ngx_uint_t        i;
    ngx_pool_t       *pool;
    test_foreign_t   *t;
    ngx_pulse_buf_t   b;

    for (i = 0; i < sizeof(test_foreign_table) / sizeof(test_foreign_t); i++) {
        t = &test_foreign_table[i];
        unit_case("%s", t->name);

        pool = unit_pool();
        body = unit_str(t->body);
        ngx_pulse_buf_init(&b, 0);

        check_int(ngx_pulse_openai_foreign(&body, pool, t->keep, &b),
                  t->expected ? NGX_OK : NGX_DECLINED);

        if (t->expected) {
            check_mem(b.data, b.len, t->expected, strlen(t->expected));
        }

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* edits are in the order of the body, whichever came first */

static void
test_order(void)
{
    ngx_str_t                  body;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_edit_t          *edit, *last;
    ngx_pulse_conversation_t   cv;

    unit_case("order");

    pool = unit_pool();
    memset(&cv, 0, sizeof(cv));
    ngx_pulse_buf_init(&b, 0);
    body = unit_str("[10,20,30,40]");

    check(ngx_pulse_edit_add(&cv, pool, 7, 9) != NULL);
    last = cv.last_edit;
    check(ngx_pulse_edit_add(&cv, pool, 10, 12) != NULL);
    edit = ngx_pulse_edit_add(&cv, pool, 1, 3);
    edit->text = unit_str("9");

    ngx_pulse_edit_body(&cv, &body, 0, &b);
    check_mem(b.data, b.len, "[9,20]", 6);

    ngx_pulse_edit_back(&cv, last);
    b.len = 0;
    ngx_pulse_edit_body(&cv, &body, 0, &b);
    check_mem(b.data, b.len, "[9,20,40]", 9);

    ngx_pulse_edit_back(&cv, NULL);
    b.len = 0;
    ngx_pulse_edit_body(&cv, &body, 0, &b);
    check_mem(b.data, b.len, body.data, body.len);

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_memory(void)
{
    ngx_pool_t                *pool;
    ngx_pulse_conversation_t   cv;

    unit_case("without memory");

    pool = unit_pool();
    memset(&cv, 0, sizeof(cv));

    unit_fail_allocation(1);
    check(ngx_pulse_edit_add(&cv, pool, 1, 2) == NULL);
    unit_fail_allocation(0);
    check(cv.edits == NULL);

    ngx_destroy_pool(pool);
}
