
#include "unit.h"
#include "ngx_pulse_conversation.h"


static void test_urls(void);
static void test_results(void);
static void test_counting(void);
static void test_pointers(void);
static void test_lists(void);
static void test_collector(void);
static void test_side_by_side(void);
static void test_limits(void);
static void test_memory(void);

static ngx_int_t test_say(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_e type, ngx_uint_t index, const char *text);
static ngx_str_t test_str(const char *s);


int
main(void)
{
    test_urls();
    test_results();
    test_counting();
    test_pointers();
    test_lists();
    test_collector();
    test_side_by_side();
    test_limits();
    test_memory();

    return unit_done();
}


static void
test_urls(void)
{
    ngx_str_t         url;
    ngx_uint_t        i;
    ngx_pulse_part_t  part;

    static const char  *bad[] = {
        "", "http://e.test/", "https://", "file:///etc/passwd", "data:",
        "data:image/png,AA", "data:;base64,AA", "data:image/png;base64,",
        "data:image/png;base64", "javascript:alert(1)"
    };

    memset(&part, 0, sizeof(part));
    url = test_str("DATA:text/plain;charset=utf-8;base64,QUJD");
    check_int(ngx_pulse_part_url(&part, &url), NGX_OK);
    check_str(&part.media_type, "text/plain");
    check_str(&part.data, "QUJD");
    check_int(part.url.len, 0);

    memset(&part, 0, sizeof(part));
    url = test_str("https://e.test/a.png");
    check_int(ngx_pulse_part_url(&part, &url), NGX_OK);
    check_str(&part.url, "https://e.test/a.png");
    check_int(part.data.len, 0);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_case("%s", bad[i]);
        memset(&part, 0, sizeof(part));
        url = test_str(bad[i]);
        check_int(ngx_pulse_part_url(&part, &url), NGX_DECLINED);
    }

    unit_case(NULL);
}


/* results find the last call of their id, and only that */

static void
test_results(void)
{
    ngx_str_t                  id, name;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_part_t          *part;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_conversation_t   cv;

    static const char  *calls[] = { "b", "f1", "a", "f2", "b", "f3",
                                    "long", "f4" };
    static const char  *results[] = { "a", "f2", "b", "f3", "c", "", "", "",
                                      "long", "f4" };

    pool = unit_pool();
    memset(&cv, 0, sizeof(cv));
    cv.pool = pool;

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_ASSISTANT);

    for (i = 0; i < 8; i += 2) {
        part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_CALL);
        part->id = test_str(calls[i]);
        part->name = test_str(calls[i + 1]);
    }

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);

    for (i = 0; i < 10; i += 2) {
        part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_RESULT);
        part->id = test_str(results[i]);
    }

    ngx_pulse_conversation_count(&cv);

    i = 0;

    for (part = cv.last->parts; part; part = part->next) {
        name = test_str(results[i + 1]);
        check_mem(part->name.data, part->name.len, name.data, name.len);

        id = test_str(results[i]);
        name = ngx_pulse_call_name(&cv, &id);
        check_mem(name.data, name.len, part->name.data, part->name.len);
        i += 2;
    }

    check_int(i, 10);

    ngx_destroy_pool(pool);
}


static void
test_counting(void)
{
    uint64_t                   before;
    ngx_pool_t                *pool;
    ngx_pulse_part_t          *part;
    ngx_pulse_tool_t          *tool;
    ngx_pulse_turn_t          *turn;
    ngx_pulse_conversation_t   cv;

    pool = unit_pool();
    memset(&cv, 0, sizeof(cv));

    turn = ngx_pulse_turn_add(&cv, pool, NGX_PULSE_ROLE_USER);
    ngx_pulse_conversation_count(&cv);
    before = ngx_pulse_tokens_bound(&cv.prompt);
    check(before > 0);

    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_TEXT);
    part->text = test_str("\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 world");
    ngx_pulse_conversation_count(&cv);
    check(ngx_pulse_tokens_bound(&cv.prompt) > before);
    before = ngx_pulse_tokens_bound(&cv.prompt);

    /* the same again is the same, not the sum */

    ngx_pulse_conversation_count(&cv);
    check_int(ngx_pulse_tokens_bound(&cv.prompt), before);

    /* a schema counts for its words, a broken one for all its bytes */

    tool = ngx_pulse_tool_add(&cv, pool);
    tool->parameters = test_str("{\"type\":\"object\"}");
    ngx_pulse_conversation_count(&cv);
    check(ngx_pulse_tokens_bound(&cv.prompt) > before + 100);
    before = ngx_pulse_tokens_bound(&cv.prompt);
    tool->parameters = test_str("{\"type\":\"object\"");
    ngx_pulse_conversation_count(&cv);
    check(ngx_pulse_tokens_bound(&cv.prompt) > before);

    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_IMAGE);
    part->detail = test_str("low");
    (void) ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_IMAGE);
    ngx_pulse_conversation_count(&cv);
    check_int(cv.images_low, 1);
    check_int(cv.images_high, 1);

    /* what is in a result counts as what is in a turn */

    part = ngx_pulse_part_add(turn, pool, NGX_PULSE_PART_RESULT);
    part->content = ngx_pcalloc(pool, sizeof(ngx_pulse_part_t));
    part->content->type = NGX_PULSE_PART_IMAGE;
    ngx_pulse_conversation_count(&cv);
    check_int(cv.images_high, 2);

    ngx_destroy_pool(pool);
}


static void
test_pointers(void)
{
    char                       text[512];
    int64_t                    n;
    ngx_str_t                  s;
    ngx_uint_t                 flag;
    ngx_pool_t                *pool;
    ngx_pulse_json_error_t     err;
    ngx_pulse_json_value_t    *root, *member;
    ngx_pulse_chat_refusal_t   refusal;

    static const char  json[] = "{\"a\":{\"b\":\"x\"},\"n\":3,\"t\":true,"
                                "\"z\":null,\"l\":[1.5]}";

    pool = unit_pool();
    root = ngx_pulse_json_tree(pool, (u_char *) json, sizeof(json) - 1, NULL,
                               &err);
    check(root != NULL);

    n = 7;
    flag = 9;
    s = test_str("kept");

    check_int(ngx_pulse_member_string(root, "z", &s, &refusal), NGX_OK);
    check_int(ngx_pulse_member_string(root, "none", &s, &refusal), NGX_OK);
    check_str(&s, "kept");
    check_int(ngx_pulse_member_count(root, "z", 1, &n, &refusal), NGX_OK);
    check_int(n, 7);
    check_int(ngx_pulse_member_count(root, "n", 3, &n, &refusal), NGX_OK);
    check_int(n, 3);
    check_int(ngx_pulse_member_count(root, "n", 4, &n, &refusal),
              NGX_DECLINED);
    check_mem(refusal.pointer, strlen(refusal.pointer), "/n", 2);
    check_int(ngx_pulse_member_bool(root, "t", &flag, &refusal), NGX_OK);
    check_int(flag, 1);
    check_int(ngx_pulse_member_bool(root, "n", &flag, &refusal),
              NGX_DECLINED);
    check_int(ngx_pulse_member_number(root, "t", &s, &refusal), NGX_DECLINED);
    check_int(ngx_pulse_member_array(root, "l", &member, &refusal), NGX_OK);
    check_int(member->nelts, 1);

    s = test_str(json);
    s = ngx_pulse_raw(&s, member);
    check_str(&s, "[1.5]");

    check_int(ngx_pulse_member_object(root, "l", &member, &refusal),
              NGX_DECLINED);
    check_int(ngx_pulse_member_object(root, "a", &member, &refusal), NGX_OK);
    check_int(ngx_pulse_refuse(&refusal, member, "c", "why"), NGX_DECLINED);
    check_mem(refusal.pointer, strlen(refusal.pointer), "/a/c", 4);
    check_int(ngx_pulse_refuse(&refusal, NULL, NULL, "why"), NGX_DECLINED);
    check_int(strlen(refusal.pointer), 0);

    /* one that does not fit is left out, not cut */

    memset(text, 'k', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    check_int(ngx_pulse_refuse(&refusal, member, text, "why"), NGX_DECLINED);
    check_int(strlen(refusal.pointer), 0);

    ngx_destroy_pool(pool);
}


static void
test_lists(void)
{
    char                       names[64][8];
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_pulse_buf_t            b;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_json_error_t     err;
    ngx_pulse_json_value_t    *root;
    ngx_pulse_conversation_t   cv;

    static const char   json[] = "{\"a\":1,\"b\":null,\"c\":2,\"d\":3}";
    static const char  *known[] = { "a", NULL };

    memset(&dropped, 0, sizeof(dropped));
    ngx_pulse_dropped_add(&dropped, "seed");
    ngx_pulse_dropped_add(&dropped, "seed");
    check_int(dropped.n, 1);

    for (i = 0; i < 64; i++) {
        (void) snprintf(names[i], sizeof(names[i]), "n%d", (int) i);
        ngx_pulse_dropped_add(&dropped, names[i]);
    }

    check_int(dropped.n, NGX_PULSE_CHAT_DROPPED);

    pool = unit_pool();
    memset(&cv, 0, sizeof(cv));
    root = ngx_pulse_json_tree(pool, (u_char *) json, sizeof(json) - 1, NULL,
                               &err);
    ngx_pulse_unknown_members(&cv, root, known);
    ngx_pulse_unknown_members(&cv, root, known);
    check_int(cv.nunknown, 2);
    check_str(&cv.unknown[0], "c");
    check_str(&cv.unknown[1], "d");

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_char(&b, '{');
    ngx_pulse_json_number(&b, "n", -5);
    ngx_pulse_json_literal(&b, "s", "a\"");
    ngx_pulse_json_string(&b, "e", &cv.model);
    ngx_pulse_json_key(&b, "l");
    ngx_pulse_buf_char(&b, '[');
    ngx_pulse_json_comma(&b);
    ngx_pulse_buf_literal(&b, "1");
    ngx_pulse_json_comma(&b);
    ngx_pulse_buf_literal(&b, "2]}");
    check_str(&b, "{\"n\":-5,\"s\":\"a\\\"\",\"e\":\"\",\"l\":[1,2]}");
    ngx_pulse_buf_free(&b);

    ngx_destroy_pool(pool);
}


static void
test_collector(void)
{
    ngx_pool_t                *pool;
    ngx_pulse_part_t          *part;
    ngx_pulse_collector_t      c;
    ngx_pulse_answer_event_t   ev;

    pool = unit_pool();
    check_int(ngx_pulse_collector_init(&c, pool, 0), NGX_OK);

    check_int(test_say(&c, NGX_PULSE_ANSWER_SIGNATURE, 0, "hidden"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_PART_END, 0, ""), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_THINKING, 0, "h"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_THINKING, 0, "m"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_SIGNATURE, 0, "s"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_TEXT, 0, "a"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_PART_END, 0, ""), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_TEXT, 0, "b"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_REDACTED, 0, "r"), NGX_OK);

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_TEXT;
    ev.choice = 1;
    ev.text = test_str("another choice");
    check_int(ngx_pulse_collect(&c, &ev), NGX_OK);

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_FINISH;
    ev.finish = NGX_PULSE_FINISH_LENGTH;
    ev.native = test_str("max");
    ev.usage.known = 1;
    ev.usage.output = 3;
    check_int(ngx_pulse_collect(&c, &ev), NGX_OK);

    part = c.parts;
    check_int(part->type, NGX_PULSE_PART_THINKING);
    check_int(part->text.len, 0);
    check_str(&part->signature, "hidden");

    part = part->next;
    check_str(&part->text, "hm");
    check_str(&part->signature, "s");

    part = part->next;
    check_int(part->type, NGX_PULSE_PART_TEXT);
    check_str(&part->text, "a");
    check_int(part->signature.len, 0);

    part = part->next;
    check_str(&part->text, "b");

    part = part->next;
    check_int(part->type, NGX_PULSE_PART_REDACTED);
    check_str(&part->data, "r");
    check(part->next == NULL);

    check_int(c.finished, 1);
    check_int(c.finish, NGX_PULSE_FINISH_LENGTH);
    check_str(&c.native, "max");
    check_int(c.usage.output, 3);

    ngx_destroy_pool(pool);
}


/* deltas of calls that take turns */

static void
test_side_by_side(void)
{
    ngx_pool_t             *pool;
    ngx_pulse_part_t       *part;
    ngx_pulse_collector_t   c;

    pool = unit_pool();
    check_int(ngx_pulse_collector_init(&c, pool, 0), NGX_OK);

    check_int(test_say(&c, NGX_PULSE_ANSWER_CALL, 0, ""), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_CALL, 1, ""), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_CALL, 2, ""), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_ARGUMENTS, 0, "{\"a\""), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_ARGUMENTS, 1, "{\"b\""), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_ARGUMENTS, 0, ":1}"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_ARGUMENTS, 1, ":2}"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_ARGUMENTS, 3, "x"), NGX_ERROR);
    check_int(test_say(&c, NGX_PULSE_ANSWER_END, 0, ""), NGX_OK);

    part = c.parts;
    check_str(&part->arguments, "{\"a\":1}");
    part = part->next;
    check_str(&part->arguments, "{\"b\":2}");
    part = part->next;
    check_str(&part->arguments, "{}");
    check(part->next == NULL);

    ngx_destroy_pool(pool);
}


/* the cap holds for one part, and for many small ones together */

static void
test_limits(void)
{
    ngx_uint_t              i;
    ngx_pool_t             *pool;
    ngx_pulse_collector_t   c;

    pool = unit_pool();
    check_int(ngx_pulse_collector_init(&c, pool, 8), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_TEXT, 0, "12345678"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_TEXT, 0, "9"), NGX_ERROR);
    ngx_destroy_pool(pool);

    pool = unit_pool();
    check_int(ngx_pulse_collector_init(&c, pool, 8), NGX_OK);

    for (i = 0; i < 8; i++) {
        check_int(test_say(&c, NGX_PULSE_ANSWER_TEXT, 0, "1"), NGX_OK);
        check_int(test_say(&c, NGX_PULSE_ANSWER_PART_END, 0, ""), NGX_OK);
    }

    check_int(test_say(&c, NGX_PULSE_ANSWER_TEXT, 0, "1"), NGX_OK);
    check_int(test_say(&c, NGX_PULSE_ANSWER_PART_END, 0, ""), NGX_ERROR);
    ngx_destroy_pool(pool);
}


static void
test_memory(void)
{
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_pool_t             *pool;
    ngx_pulse_collector_t   c;

    for (n = 1; n < 50; n++) {
        pool = unit_pool();
        unit_fail_allocation(n);

        rc = ngx_pulse_collector_init(&c, pool, 0);

        if (rc == NGX_OK) {
            rc = test_say(&c, NGX_PULSE_ANSWER_CALL, 0, "");
        }

        if (rc == NGX_OK) {
            rc = test_say(&c, NGX_PULSE_ANSWER_ARGUMENTS, 0, "{\"a\":1}");
        }

        if (rc == NGX_OK) {
            rc = test_say(&c, NGX_PULSE_ANSWER_END, 0, "");
        }

        unit_fail_allocation(0);
        ngx_destroy_pool(pool);

        if (rc == NGX_OK) {
            break;
        }

        check_int(rc, NGX_ERROR);
    }

    check(n > 4 && n < 50);
}


static ngx_int_t
test_say(ngx_pulse_collector_t *collector, ngx_pulse_answer_e type,
    ngx_uint_t index, const char *text)
{
    ngx_pulse_answer_event_t  ev;

    memset(&ev, 0, sizeof(ev));

    ev.type = type;
    ev.index = index;
    ev.id = test_str("id");
    ev.name = test_str("f");
    ev.text = test_str(text);

    return ngx_pulse_collect(collector, &ev);
}


static ngx_str_t
test_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}
