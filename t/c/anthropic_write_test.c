
#include "unit_stream.h"
#include "ngx_pulse_anthropic.h"


typedef struct {
    const char              *name;
    const char              *target;        /* letters, see unit_target() */
    int64_t                  max_tokens;
    const char              *body;
    const char              *expected;
    const char              *dropped;       /* joined with commas */
} test_write_t;


static void test_writes(void);
static void test_foreign(void);
static void test_write_refusals(void);


#define USER  "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define SAME  "\"messages\":[{\"role\":\"user\",\"content\":"                 \
              "[{\"type\":\"text\",\"text\":\"x\"}]}]"
#define HEAD  "{\"model\":\"m\",\"max_tokens\":4096,"


/* what is written for a provider from what a client of the dialect wrote */

static test_write_t  test_write_table[] = {

    { "the least", "", 4096,
      "{" USER "}",
      HEAD SAME "}", "" },

    { "stream, user, stops, sampling", "s", 4096,
      "{" USER ",\"stream\":true,\"metadata\":{\"user_id\":\"u\"},"
      "\"stop_sequences\":[\"a\",\" \"],\"temperature\":0.5,\"top_k\":3}",
      "{\"model\":\"m\",\"max_tokens\":4096,\"stream\":true," SAME ","
      "\"stop_sequences\":[\"a\"],\"temperature\":0.5,\"top_k\":3,"
      "\"metadata\":{\"user_id\":\"u\"}}", "stop" },

    { "no sampling at all", "", 4096,
      "{" USER ",\"temperature\":0.5,\"top_k\":3,\"top_p\":0.9}",
      HEAD SAME "}", "temperature,top_p,top_k" },

    { "the default is not missed", "", 4096,
      "{" USER ",\"temperature\":1}",
      HEAD SAME "}", "" },

    { "one of temperature and top_p, clamped", "s", 4096,
      "{" USER ",\"temperature\":1.5,\"top_p\":0.9}",
      HEAD SAME ",\"temperature\":1}", "temperature,top_p" },

    { "system as one text", "", 4096,
      "{\"system\":\"s\"," USER "}",
      "{\"model\":\"m\",\"max_tokens\":4096,\"system\":\"s\"," SAME "}", "" },

    { "system in blocks, with a marker", "", 4096,
      "{\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
      "\"text\":\"b\",\"cache_control\":{\"type\":\"ephemeral\","
      "\"ttl\":\"1h\"}}]," USER "}",
      "{\"model\":\"m\",\"max_tokens\":4096,\"system\":[{\"type\":\"text\","
      "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\",\"cache_control\":"
      "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}]," SAME "}", "" },

    { "a later system message as the user's", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"system\",\"content\":\"s\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"},{\"type\":\"text\",\"text\":\"s\"}]}]}", "" },

    { "a later system message where it may be", "i", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"system\",\"content\":\"s\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"system\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"s\"}]}]}", "" },

    { "results first, neighbors merged, blank texts gone", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
      "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"\"},"
      "{\"type\":\"tool_use\",\"id\":\"a.b\",\"name\":\"f\",\"input\":"
      "{\"k\":[1, 2]}},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"g\","
      "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"y\"},{\"type\":\"tool_result\",\"tool_use_id\":\"a.b\","
      "\"content\":\"r\"}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"is_error\":true},"
      "{\"type\":\"text\",\"text\":\"z\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":["
      "{\"type\":\"tool_use\",\"id\":\"a_b\",\"name\":\"f\",\"input\":"
      "{\"k\":[1, 2]}},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"g\","
      "\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a_b\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"r\"}]},{\"type\":\"tool_result\","
      "\"tool_use_id\":\"c\",\"is_error\":true},{\"type\":\"text\","
      "\"text\":\"y\"},{\"type\":\"text\",\"text\":\"z\"}]}]}", "" },

    { "images and documents", "h", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
      "\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
      "\"data\":\"iVBO\"}},{\"type\":\"image\",\"source\":{\"type\":\"url\","
      "\"url\":\"https://e.test/a.png\"}},{\"type\":\"document\",\"source\":"
      "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":"
      "\"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xf0\x9f\x91\x8b\"},"
      "\"title\":\"t\"},{\"type\":\"document\",\"source\":{\"type\":\"base64\""
      ",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":"
      "\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f1\"}}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
      "\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
      "\"data\":\"iVBO\"}},{\"type\":\"image\",\"source\":{\"type\":\"url\","
      "\"url\":\"https://e.test/a.png\"}},{\"type\":\"document\",\"source\":"
      "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":"
      "\"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xf0\x9f\x91\x8b\"},"
      "\"title\":\"t\"},{\"type\":\"document\",\"source\":{\"type\":\"base64\""
      ",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":"
      "\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f1\"}}]}]}",
      "" },

    { "blocks and tools of the vendor's own", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"container_upload\", \"file_id\":\"f\"}]}],"
      "\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"container_upload\", \"file_id\":\"f\"}]}],"
      "\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]}",
      "" },

    { "tools, forced choice, one at a time", "f", 4096,
      "{" USER ",\"tools\":[{\"name\":\"f\",\"description\":\"d\","
      "\"input_schema\":{\"type\":\"object\"},\"strict\":true,"
      "\"cache_control\":{\"type\":\"ephemeral\"}}],\"tool_choice\":"
      "{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}}",
      HEAD SAME ",\"tools\":[{\"name\":\"f\",\"description\":\"d\","
      "\"input_schema\":{\"type\":\"object\"},\"strict\":true,"
      "\"cache_control\":{\"type\":\"ephemeral\"}}],\"tool_choice\":"
      "{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}}",
      "" },

    { "forced choice where there is none, schemas completed", "", 4096,
      "{" USER ",\"tools\":[{\"name\":\"f\",\"input_schema\":{}},"
      "{\"name\":\"g\",\"input_schema\":{\"properties\":{}}}],"
      "\"tool_choice\":{\"type\":\"any\"}}",
      HEAD SAME ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":"
      "\"object\",\"properties\":{}}},{\"name\":\"g\",\"input_schema\":"
      "{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":{\"type\":"
      "\"auto\"}}", "tool_choice" },

    { "a choice without tools", "f", 4096,
      "{" USER ",\"tool_choice\":{\"type\":\"any\"}}",
      HEAD SAME "}", "" },

    { "thinking by budget", "bs", 4096,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},"
      "\"temperature\":0.5}",
      HEAD SAME ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
      "temperature" },

    { "a budget above what may be asked for", "b", 1500,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
      "{\"model\":\"m\",\"max_tokens\":1500," SAME ",\"thinking\":"
      "{\"type\":\"enabled\",\"budget_tokens\":1499}}", "" },

    { "too little for any thinking", "b", 1000,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}}",
      "{\"model\":\"m\",\"max_tokens\":1000," SAME "}", "thinking" },

    { "a budget where there are levels", "e", 4096,
      "{" USER ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":20000}}",
      HEAD SAME ",\"thinking\":{\"type\":\"adaptive\",\"display\":"
      "\"summarized\"},\"output_config\":{\"effort\":\"high\"}}",
      "budget_tokens" },

    { "adaptive where there are budgets", "b", 4096,
      "{" USER ",\"thinking\":{\"type\":\"adaptive\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}}",
      "" },

    { "adaptive, not shown", "e", 4096,
      "{" USER ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},"
      "\"output_config\":{\"effort\":\"max\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"adaptive\",\"display\":"
      "\"omitted\"},\"output_config\":{\"effort\":\"max\"}}", "" },

    { "off, the effort of the answer kept", "eo", 4096,
      "{" USER ",\"thinking\":{\"type\":\"disabled\"},"
      "\"output_config\":{\"effort\":\"medium\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"disabled\"},\"output_config\":"
      "{\"effort\":\"medium\"}}", "" },

    { "between tools instead of off", "et", 4096,
      "{" USER ",\"thinking\":{\"type\":\"disabled\"}}",
      HEAD SAME ",\"thinking\":{\"type\":\"between_tools\"}}", "" },

    { "never off", "e", 4096,
      "{" USER ",\"thinking\":{\"type\":\"disabled\"}}",
      HEAD SAME ",\"output_config\":{\"effort\":\"low\"}}", "thinking" },

    { "effort alone", "eb", 4096,
      "{" USER ",\"output_config\":{\"effort\":\"low\"}}",
      HEAD SAME ",\"output_config\":{\"effort\":\"low\"}}", "" },

    { "effort above what the model takes", "e1", 4096,
      "{" USER ",\"output_config\":{\"effort\":\"max\"}}",
      HEAD SAME ",\"output_config\":{\"effort\":\"high\"}}", "effort" },

    { "effort where there is none", "b", 4096,
      "{" USER ",\"output_config\":{\"effort\":\"low\"}}",
      HEAD SAME "}", "effort" },

    { "going on after calls without their thinking", "b", 4096,
      "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
      "\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
      "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
      "\"a\"}]}]}", "thinking" },

    { "thinking sent back, but what another signed", "b", 4096,
      "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"h\","
      "\"signature\":\"EpAD\"},{\"type\":\"redacted_thinking\",\"data\":"
      "\"Eq\"},{\"type\":\"thinking\",\"thinking\":\"o\",\"signature\":"
      "\"gAAAAABo\"},{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
      "\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"thinking\",\"thinking\":\"h\",\"signature\":\"EpAD\"},{\"type\":"
      "\"redacted_thinking\",\"data\":\"Eq\"},{\"type\":\"tool_use\",\"id\":"
      "\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}]}],\"thinking\":"
      "{\"type\":\"enabled\",\"budget_tokens\":2000}}", "thinking" },

    { "a schema of the answer", "e", 4096,
      "{" USER ",\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":"
      "\"json_schema\",\"schema\":{\"type\":\"object\"}}}}",
      HEAD SAME ",\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":"
      "\"json_schema\",\"schema\":{\"type\":\"object\"}}}}", "" },

    { "prefill, without blanks at its end", "p", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":\"It is \\n\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"text\",\"text\":\"It is\"}]}]}", "" },

    { "neighbors of a turn that is left out", "", 4096,
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
      "\"h\"}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
      "\"tool_use_id\":\"a\"}]}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"a\"},{\"type\":\"text\","
      "\"text\":\"x\"}]}]}", "thinking" },

    { "the assistant first", "", 4096,
      "{\"messages\":[{\"role\":\"assistant\",\"content\":\"hi\"},{\"role\":"
      "\"user\",\"content\":\"x\"}]}",
      HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"text\",\"text\":\".\"}]},{\"role\":\"assistant\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"hi\"}]},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]}",
      "messages[0].role" },

    { "markers: the last four", "", 4096,
      "{\"cache_control\":{\"type\":\"ephemeral\"},\"messages\":[{\"role\":"
      "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
      "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\","
      "\"text\":\"b\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":"
      "\"text\",\"text\":\"c\",\"cache_control\":{\"type\":\"ephemeral\"}},"
      "{\"type\":\"text\",\"text\":\"d\",\"cache_control\":{\"type\":"
      "\"ephemeral\"}}]}]}",
      HEAD "\"cache_control\":{\"type\":\"ephemeral\"},\"messages\":[{"
      "\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
      "{\"type\":\"text\",\"text\":\"b\",\"cache_control\":{\"type\":"
      "\"ephemeral\"}},{\"type\":\"text\",\"text\":\"c\",\"cache_control\":"
      "{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"d\","
      "\"cache_control\":{\"type\":\"ephemeral\"}}]}]}", "cache_control" }
};


int
main(void)
{
    test_writes();
    test_foreign();
    test_write_refusals();

    return unit_done();
}


static void
test_writes(void)
{
    char                       text[4096];
    ngx_str_t                  body;
    ngx_uint_t                 i, k;
    ngx_pool_t                *pool;
    test_write_t              *t;
    ngx_pulse_buf_t            b;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_json_value_t    *one, *two;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < sizeof(test_write_table) / sizeof(test_write_t); i++) {
        t = &test_write_table[i];
        unit_case("%s", t->name);

        pool = unit_pool();
        body = unit_str(t->body);
        ngx_pulse_buf_init(&b, 0);
        memset(&dropped, 0, sizeof(dropped));

        unit_target(&target, t->target, t->max_tokens);

        check_int(ngx_pulse_anthropic_read(&cv, pool, &body, &refusal),
                  NGX_OK);
        check_int(cv.nunknown, 0);
        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_OK);

        one = unit_tree(pool, b.data, b.len);
        two = unit_tree(pool, (u_char *) t->expected, strlen(t->expected));

        check(one != NULL && two != NULL);

        if (!unit_same(one, two)) {
            check_mem(b.data, b.len, t->expected, strlen(t->expected));
        }

        text[0] = '\0';

        for (k = 0; k < dropped.n; k++) {
            (void) snprintf(text + strlen(text), sizeof(text) - strlen(text),
                            "%s%.*s", k ? "," : "",
                            (int) dropped.names[k].len, dropped.names[k].data);
        }

        check_mem(text, strlen(text), t->dropped, strlen(t->dropped));

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* what only other dialects can say */

static void
test_foreign(void)
{
    ngx_str_t                  url;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_part_t          *part;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    static const char  expected[] =
        "{\"model\":\"m\",\"max_tokens\":8192,\"system\":\"one\\n\\ntwo\\n\\n"
        "Answer with one JSON object and with nothing else.\",\"messages\":"
        "[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":"
        "{\"type\":\"base64\",\"media_type\":\"image/jpeg\",\"data\":\"/9j/\""
        "}},{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":"
        "\"ephemeral\",\"ttl\":\"1h\"}}]},{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"f\",\"input\":"
        "{\"INVALID_JSON\":\"{\\\"a\\\":\"}}]},{\"role\":\"user\",\"content\":"
        "[{\"type\":\"tool_result\",\"tool_use_id\":\"call_1\"}]}],"
        "\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":"
        "\"low\"}}";

    pool = unit_pool();
    ngx_pulse_buf_init(&b, 0);
    memset(&cv, 0, sizeof(cv));
    memset(&dropped, 0, sizeof(dropped));

    unit_target(&target, "e", 8192);

    cv.dialect = NGX_PULSE_DIALECT_OPENAI;
    cv.n = 1;
    cv.effort = NGX_PULSE_EFFORT_MINIMAL;
    cv.format = NGX_PULSE_FORMAT_JSON;
    cv.seed = unit_str("7");
    cv.presence_penalty = unit_str("1");
    cv.frequency_penalty = unit_str("1");
    cv.verbosity = unit_str("low");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_SYSTEM);
    ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT)->text = unit_str("one");
    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_SYSTEM);
    ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT)->text = unit_str("two");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
    turn->name = unit_str("Samira");
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_IMAGE);
    url = unit_str("data:image/jpg;base64,/9j/");
    check_int(ngx_pulse_part_url(part, &url), NGX_OK);
    part->detail = unit_str("low");
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT);
    part->text = unit_str("x");
    part->cache = unit_str("30m");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_ASSISTANT);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_CALL);
    part->id = unit_str("call_1");
    part->name = unit_str("f");
    part->arguments = unit_str("{\"a\":");

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_RESULT);
    part->id = unit_str("call_1");

    check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped, &refusal,
                                        &b),
              NGX_OK);
    check_mem(b.data, b.len, expected, sizeof(expected) - 1);
    check_int(dropped.n, 7);

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_write_refusals(void)
{
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_part_t          *part;
    ngx_pulse_tool_t          *tool;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   cv;
    ngx_pulse_chat_refusal_t   refusal;

    for (i = 0; i < 12; i++) {
        unit_case("%d", (int) i);

        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);
        memset(&cv, 0, sizeof(cv));
        memset(&dropped, 0, sizeof(dropped));
        unit_target(&target, "", 10);

        cv.n = 1;
        turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
        part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT);
        part->text = unit_str("x");

        switch (i) {

        case 0:
            cv.n = 2;
            break;

        case 1:
            part->type = NGX_PULSE_PART_AUDIO;
            break;

        case 2:
            turn->role = NGX_PULSE_ROLE_ASSISTANT;
            break;

        case 3:
            turn->role = NGX_PULSE_ROLE_SYSTEM;
            break;

        case 4:
            part->text = unit_str(" \n");
            break;

        case 5:
            tool = ngx_pulse_tool_add(&cv, pool);
            tool->raw = unit_str("{}");
            tool->dialect = NGX_PULSE_DIALECT_GEMINI;
            break;

        case 6:
            ngx_pulse_tool_add(&cv, pool)->custom = 1;
            break;

        case 7:
            part->type = NGX_PULSE_PART_IMAGE;
            part->url = unit_str("https://e.test/");
            break;

        case 8:
            part->type = NGX_PULSE_PART_IMAGE;
            part->data = unit_str("AAAA");
            part->media_type = unit_str("image/tiff");
            break;

        case 9:
            part->type = NGX_PULSE_PART_DOCUMENT;
            part->file_id = unit_str("file-1");
            break;

        case 10:
            part->type = NGX_PULSE_PART_DOCUMENT;
            part->data = unit_str("/////w==");
            part->media_type = unit_str("text/plain");
            break;

        default:
            part->type = NGX_PULSE_PART_RAW;
            part->data = unit_str("{}");
        }

        check_int(ngx_pulse_anthropic_write(&cv, &target, pool, &dropped,
                                            &refusal, &b),
                  NGX_DECLINED);
        check(refusal.reason != NULL);

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}
