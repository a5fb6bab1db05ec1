
#include "unit_stream.h"

#include <string.h>


/*
 * What a client of OpenAI's asks, written for a provider of another dialect
 * and read as that dialect's, means the same.  Requests are made up from
 * seeds; PULSE_SEED=N has one of them tried alone.
 *
 * May differ: how turns of one role are split into messages; spaces in
 * arguments and schemas; the type of an image that has a URL, which may be
 * guessed; the limit of tokens, which is the target's; what is named as left
 * out, of the names that a dialect is known for.
 */


#define TEST_CASES  1000


typedef struct {
    const char             *name;
    ngx_pulse_dialect_t    *dialect;
    const char             *letters;    /* see unit_target() */
    const char             *lost;       /* may be named as left out */
    unsigned                audio:1;
    unsigned                custom:1;
} test_way_t;


typedef struct {
    uint64_t                state;
    ngx_pulse_buf_t        *b;
    ngx_uint_t              calls;
    const test_way_t       *way;
} test_maker_t;


static void test_way(const test_way_t *way, uint64_t seed);
static void test_make(test_maker_t *mk);
static void test_make_turns(test_maker_t *mk);
static void test_make_user(test_maker_t *mk);
static void test_make_part(test_maker_t *mk);
static void test_make_calls(test_maker_t *mk);
static void test_make_tools(test_maker_t *mk, ngx_uint_t n);
static void test_make_settings(test_maker_t *mk, ngx_uint_t tools);
static void test_make_json(test_maker_t *mk, ngx_uint_t depth);
static void test_make_string(test_maker_t *mk);
static void test_make_char(test_maker_t *mk, uint32_t ch);
static void test_make_utf8(test_maker_t *mk, uint32_t ch);
static uint32_t test_random(test_maker_t *mk, uint32_t n);
static void test_put(test_maker_t *mk, const char *s);

static void test_say(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b);
static void test_say_part(const ngx_pulse_part_t *part, ngx_pool_t *pool,
    const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b);
static void test_say_tools(const ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b);
static void test_say_settings(const ngx_pulse_conversation_t *cv,
    ngx_pool_t *pool, const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b);
static void test_say_json(const ngx_str_t *raw, ngx_pool_t *pool,
    ngx_pulse_buf_t *b);
static void test_say_value(const ngx_pulse_json_value_t *v,
    ngx_pulse_buf_t *b);
static void test_say_line(ngx_pulse_buf_t *b, const char *name,
    const ngx_str_t *s, const ngx_pulse_dropped_t *dropped);
static ngx_uint_t test_lost(const ngx_pulse_dropped_t *dropped,
    const char *name);


static const test_way_t  test_ways[] = {

    { "anthropic", &ngx_pulse_dialect_anthropic, "efhns",
      "temperature top_p presence_penalty frequency_penalty seed detail name "
      "response_format", 0, 0 },

    { "gemini", &ngx_pulse_dialect_gemini, "efhns",
      "detail name strict parallel_tool_calls user response_format filename "
      "seed", 1, 0 },

    { "responses", &ngx_pulse_dialect_responses, "efhns",
      "presence_penalty frequency_penalty seed stop name", 0, 1 },

    { NULL, NULL, NULL, NULL, 0, 0 }
};


int
main(void)
{
    uint64_t           seed;
    const char        *one;
    const test_way_t  *way;

    one = getenv("PULSE_SEED");

    for (way = test_ways; way->name; way++) {

        if (one) {
            test_way(way, strtoull(one, NULL, 10));
            continue;
        }

        for (seed = 1; seed <= TEST_CASES; seed++) {
            test_way(way, seed);
        }
    }

    return unit_done();
}


static void
test_way(const test_way_t *way, uint64_t seed)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    test_maker_t               mk;
    ngx_pulse_buf_t            asked, sent, one, two;
    ngx_pulse_target_t         target;
    ngx_pulse_dropped_t        dropped;
    ngx_pulse_conversation_t   from, to;
    ngx_pulse_chat_refusal_t   refusal;

    unit_case("by %s, PULSE_SEED=%lu", way->name, (unsigned long) seed);

    pool = unit_pool();
    ngx_pulse_buf_init(&asked, 0);
    ngx_pulse_buf_init(&sent, 0);
    ngx_pulse_buf_init(&one, 0);
    ngx_pulse_buf_init(&two, 0);
    memset(&dropped, 0, sizeof(dropped));
    memset(&refusal, 0, sizeof(refusal));
    memset(&mk, 0, sizeof(mk));

    mk.state = seed * 0x9e3779b97f4a7c15ull + 1;
    mk.b = &asked;
    mk.way = way;

    test_make(&mk);
    unit_target(&target, way->letters, 400);

    body.data = asked.data;
    body.len = asked.len;

    memset(&from, 0, sizeof(from));
    memset(&to, 0, sizeof(to));
    from.pool = pool;
    to.pool = pool;

    rc = ngx_pulse_dialect_openai.read(&from, pool, &body, &refusal);
    check_int(rc, NGX_OK);

    if (rc == NGX_OK) {
        check_int(from.nunknown, 0);
        rc = way->dialect->write(&from, &target, pool, &dropped, &refusal,
                                 &sent);
        check_int(rc, NGX_OK);
    }

    if (rc == NGX_OK) {
        body.data = sent.data;
        body.len = sent.len;

        rc = way->dialect->read(&to, pool, &body, &refusal);
        check_int(rc, NGX_OK);
    }

    if (rc == NGX_OK) {
        test_say(&from, pool, &dropped, &one);
        test_say(&to, pool, &dropped, &two);

        check_mem(two.data, two.len, one.data, one.len);

        for (i = 0; i < dropped.n; i++) {
            check(memmem(way->lost, strlen(way->lost), dropped.names[i].data,
                         dropped.names[i].len)
                  != NULL);
        }

    } else {
        printf("# %s: %s\n# %.*s\n", refusal.pointer,
               refusal.reason ? refusal.reason : "", (int) asked.len,
               asked.data);
    }

    ngx_pulse_buf_free(&two);
    ngx_pulse_buf_free(&one);
    ngx_pulse_buf_free(&sent);
    ngx_pulse_buf_free(&asked);
    ngx_destroy_pool(pool);
    unit_case(NULL);
}


static void
test_make(test_maker_t *mk)
{
    ngx_uint_t  tools;

    tools = test_random(mk, 4);

    test_put(mk, "{\"model\":\"m\",\"messages\":[");
    test_make_turns(mk);
    test_put(mk, "]");

    if (tools) {
        test_make_tools(mk, tools);
    }

    test_make_settings(mk, tools);
    test_put(mk, "}");
}


static void
test_make_turns(test_maker_t *mk)
{
    ngx_uint_t  i, n;

    if (test_random(mk, 2)) {
        test_put(mk, test_random(mk, 2) ? "{\"role\":\"system\",\"content\":"
                                        : "{\"role\":\"developer\","
                                          "\"content\":");
        test_make_string(mk);
        test_put(mk, "},");
    }

    test_make_user(mk);

    n = test_random(mk, 4);

    for (i = 0; i < n; i++) {
        test_put(mk, ",{\"role\":\"assistant\",\"content\":");

        if (test_random(mk, 3) == 0) {
            test_put(mk, "null");
            test_make_calls(mk);

        } else {
            test_make_string(mk);

            if (test_random(mk, 2)) {
                test_make_calls(mk);

            } else {
                test_put(mk, "}");
            }
        }

        test_put(mk, ",");
        test_make_user(mk);
    }
}


static void
test_make_user(test_maker_t *mk)
{
    ngx_uint_t  i, n;

    test_put(mk, "{\"role\":\"user\",\"content\":");

    if (test_random(mk, 2)) {
        test_make_string(mk);
        test_put(mk, "}");
        return;
    }

    test_put(mk, "[");

    n = 1 + test_random(mk, 4);

    for (i = 0; i < n; i++) {
        test_put(mk, i ? "," : "");
        test_make_part(mk);
    }

    test_put(mk, "]}");
}


static void
test_make_part(test_maker_t *mk)
{
    switch (test_random(mk, mk->way->audio ? 6 : 5)) {

    case 0:
        test_put(mk, "{\"type\":\"image_url\",\"image_url\":{\"url\":"
                     "\"https://e.test/a.png\"}}");
        break;

    case 1:
        test_put(mk, "{\"type\":\"image_url\",\"image_url\":{\"url\":"
                     "\"data:image/png;base64,iVBORw0KGgo=\",\"detail\":"
                     "\"low\"}}");
        break;

    case 2:
        test_put(mk, "{\"type\":\"file\",\"file\":{\"filename\":"
                     "\"\xd8\xb9.pdf\",\"file_data\":"
                     "\"data:application/pdf;base64,JVBERi0=\"}}");
        break;

    case 5:
        test_put(mk, "{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
                     "\"UklGRg==\",\"format\":\"wav\"}}");
        break;

    default:
        test_put(mk, "{\"type\":\"text\",\"text\":");
        test_make_string(mk);
        test_put(mk, "}");
    }
}


/* side by side, with their results, which may come in another order */

static void
test_make_calls(test_maker_t *mk)
{
    char             id[32];
    ngx_uint_t       i, n, first;
    ngx_pulse_buf_t  arguments, *b;

    n = 1 + test_random(mk, 3);
    first = mk->calls;
    mk->calls += n;

    test_put(mk, ",\"tool_calls\":[");

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "call_%lu",
                        (unsigned long) (first + i));

        test_put(mk, i ? ",{\"id\":\"" : "{\"id\":\"");
        test_put(mk, id);
        test_put(mk, "\",\"type\":\"function\",\"function\":{\"name\":\"f_");
        test_put(mk, i ? "two" : "one");
        test_put(mk, "\",\"arguments\":");

        /* JSON in a string */

        ngx_pulse_buf_init(&arguments, 0);
        b = mk->b;
        mk->b = &arguments;
        test_put(mk, "{\"a\": ");
        test_make_json(mk, 0);
        test_put(mk, "}");
        mk->b = b;

        ngx_pulse_buf_json(b, arguments.data, arguments.len);
        ngx_pulse_buf_free(&arguments);

        test_put(mk, "}}");
    }

    test_put(mk, "]}");

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "call_%lu",
                        (unsigned long) (first + i));

        test_put(mk, ",{\"role\":\"tool\",\"tool_call_id\":\"");
        test_put(mk, id);
        test_put(mk, "\",\"content\":");
        test_make_string(mk);
        test_put(mk, "}");
    }
}


static void
test_make_tools(test_maker_t *mk, ngx_uint_t n)
{
    ngx_uint_t  i;

    static const char  *names[] = { "f_one", "f_two", "f-three" };

    test_put(mk, ",\"tools\":[");

    for (i = 0; i < n; i++) {
        test_put(mk, i ? "," : "");

        if (mk->way->custom && i == 2) {
            test_put(mk, "{\"type\":\"custom\",\"custom\":{\"name\":"
                         "\"f-three\",\"description\":");
            test_make_string(mk);
            test_put(mk, "}}");
            break;
        }

        test_put(mk, "{\"type\":\"function\",\"function\":{\"name\":\"");
        test_put(mk, names[i]);
        test_put(mk, "\",\"description\":");
        test_make_string(mk);
        test_put(mk, ",\"parameters\":{\"type\":\"object\",\"properties\":"
                     "{\"\xd8\xb3\":{\"type\":\"string\",\"enum\":[");
        test_make_string(mk);
        test_put(mk, "]}},\"required\":[\"\xd8\xb3\"],"
                     "\"additionalProperties\":false}");
        test_put(mk, test_random(mk, 3) ? "}}" : ",\"strict\":true}}");
    }

    test_put(mk, "]");

    switch (test_random(mk, 5)) {

    case 0:
        test_put(mk, ",\"tool_choice\":\"required\"");
        break;

    case 1:
        test_put(mk, ",\"tool_choice\":\"none\"");
        break;

    case 2:
        test_put(mk, ",\"tool_choice\":{\"type\":\"function\",\"function\":"
                     "{\"name\":\"f_one\"}},\"parallel_tool_calls\":false");
        break;

    case 3:
        test_put(mk, ",\"tool_choice\":\"auto\"");
    }
}


static void
test_make_settings(test_maker_t *mk, ngx_uint_t tools)
{
    if (test_random(mk, 3) == 0) {
        test_put(mk, test_random(mk, 2) ? ",\"temperature\":0.25"
                                        : ",\"top_p\":0.90");
    }

    if (test_random(mk, 4) == 0) {
        test_put(mk, ",\"seed\":9007199254740993,\"presence_penalty\":-0.5,"
                     "\"frequency_penalty\":1e-1");
    }

    if (test_random(mk, 3) == 0) {
        test_put(mk, ",\"stop\":[");
        test_make_string(mk);
        test_put(mk, ",\"\xd9\x82\xd9\x81\"]");
    }

    if (test_random(mk, 3) == 0) {
        test_put(mk, ",\"user\":\"u-1\"");
    }

    if (test_random(mk, 3) == 0) {
        test_put(mk, ",\"stream\":true");
    }

    if (tools == 0 && test_random(mk, 3) == 0) {
        test_put(mk, ",\"response_format\":{\"type\":\"json_schema\","
                     "\"json_schema\":{\"name\":\"answer\",\"strict\":true,"
                     "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":"
                     "{\"type\":\"string\",\"description\":");
        test_make_string(mk);
        test_put(mk, "}},\"required\":[\"a\"],\"additionalProperties\":false"
                     "}}}");
    }
}


static void
test_make_json(test_maker_t *mk, ngx_uint_t depth)
{
    ngx_uint_t  i, n;

    static const char  *scalars[] = {
        "null", "true", "false", "0", "-1.50e+10", "12345678901234567890",
        "0.1", "\"\"", "[]", "{}"
    };

    n = test_random(mk, 3);

    switch (depth < 3 ? test_random(mk, 4) : test_random(mk, 2)) {

    case 0:
        test_make_string(mk);
        break;

    case 1:
        test_put(mk, scalars[test_random(mk, sizeof(scalars)
                                             / sizeof(char *))]);
        break;

    case 2:
        test_put(mk, "[ ");

        for (i = 0; i <= n; i++) {
            test_put(mk, i ? " ,\n" : "");
            test_make_json(mk, depth + 1);
        }

        test_put(mk, "]");
        break;

    default:
        test_put(mk, "{");

        for (i = 0; i <= n; i++) {
            test_put(mk, i == 0 ? "\"\xd8\xa7\":" : i == 1 ? ",\"k k\" : "
                                                           : ",\"\":");
            test_make_json(mk, depth + 1);
        }

        test_put(mk, "}");
    }
}


/* never blank, which some vendors refuse or leave out */

static void
test_make_string(test_maker_t *mk)
{
    ngx_uint_t  i, n;

    static const uint32_t  chars[] = {

        'a', 'Z', '7', ' ', '"', '\\', '/', '\n', '\t', 0x01, 0x7f, '<',

        /* Arabic, with marks that combine, and a letter of its own width */

        0x0645, 0x0631, 0x062d, 0x0628, 0x0627, 0x064b, 0x0651, 0x0670,
        0xfefb, 0x06cc,

        /* the direction of text, joiners */

        0x200f, 0x202b, 0x202e, 0x2066, 0x2069, 0x200c, 0x200d, 0xfeff,

        /* combining, a family, a flag, beyond the first plane */

        0x0301, 0x1f468, 0x1f469, 0x1f1f8, 0x1f1e6, 0x1f3fd, 0x10348,
        0x10ffff, 0x2028, 0x2029, 0xfffd, 0xffff
    };

    test_put(mk, "\"x");

    n = test_random(mk, 12);

    for (i = 0; i < n; i++) {
        test_make_char(mk, chars[test_random(mk, sizeof(chars)
                                                 / sizeof(uint32_t))]);
    }

    test_put(mk, "y\"");
}


static void
test_make_char(test_maker_t *mk, uint32_t ch)
{
    char  text[16];

    if (ch >= ' ' && ch != '"' && ch != '\\' && test_random(mk, 3)) {
        test_make_utf8(mk, ch);
        return;
    }

    if (ch > 0xffff) {
        (void) snprintf(text, sizeof(text), "\\u%04x\\u%04X",
                        0xd800 + ((ch - 0x10000) >> 10),
                        0xdc00 + ((ch - 0x10000) & 0x3ff));

    } else {
        (void) snprintf(text, sizeof(text), "\\u%04x", ch);
    }

    test_put(mk, text);
}


static void
test_make_utf8(test_maker_t *mk, uint32_t ch)
{
    ngx_uint_t  n;

    static const u_char  first[] = { 0, 0xc0, 0xe0, 0xf0 };

    if (ch < 0x80) {
        ngx_pulse_buf_char(mk->b, (u_char) ch);
        return;
    }

    n = (ch < 0x800) ? 1 : (ch < 0x10000) ? 2 : 3;

    ngx_pulse_buf_char(mk->b, (u_char) (first[n] | (ch >> (6 * n))));

    while (n--) {
        ngx_pulse_buf_char(mk->b, (u_char) (0x80 | ((ch >> (6 * n)) & 0x3f)));
    }
}


/* xorshift64*: below "n" */

static uint32_t
test_random(test_maker_t *mk, uint32_t n)
{
    mk->state ^= mk->state >> 12;
    mk->state ^= mk->state << 25;
    mk->state ^= mk->state >> 27;

    return (uint32_t) ((mk->state * 0x2545f4914f6cdd1dull) >> 33) % n;
}


static void
test_put(test_maker_t *mk, const char *s)
{
    ngx_pulse_buf_append(mk->b, (u_char *) s, strlen(s));
}


static void
test_say(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b)
{
    ngx_int_t                role;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn;

    static const char  *roles[] = { "system:\n", "user:\n", "assistant:\n" };

    role = -1;

    for (turn = cv->turns; turn; turn = turn->next) {

        if (role != (ngx_int_t) turn->role) {
            role = turn->role;
            ngx_pulse_buf_append(b, (u_char *) roles[role],
                                 strlen(roles[role]));
        }

        for (part = turn->parts; part; part = part->next) {
            test_say_part(part, pool, dropped, b);
        }
    }

    test_say_tools(cv, pool, dropped, b);
    test_say_settings(cv, pool, dropped, b);
}


static void
test_say_part(const ngx_pulse_part_t *part, ngx_pool_t *pool,
    const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b)
{
    const ngx_pulse_part_t  *inner;

    static const char  *types[] = {
        "text", "image", "document", "audio", "call", "result", "thinking",
        "redacted", "refusal", "raw"
    };

    ngx_pulse_buf_append(b, (u_char *) types[part->type],
                         strlen(types[part->type]));
    ngx_pulse_buf_char(b, '\n');

    test_say_line(b, "text", &part->text, NULL);
    test_say_line(b, "url", &part->url, NULL);
    test_say_line(b, "data", &part->data, NULL);

    if (part->data.len) {
        test_say_line(b, "media_type", &part->media_type, NULL);
    }

    test_say_line(b, "filename", &part->filename, dropped);
    test_say_line(b, "id", &part->id, NULL);
    test_say_line(b, "name", &part->name, NULL);

    if (!ngx_pulse_is(&part->detail, "auto")) {
        test_say_line(b, "detail", &part->detail, dropped);
    }

    if (part->arguments.len) {
        test_say_json(&part->arguments, pool, b);
    }

    for (inner = part->content; inner; inner = inner->next) {
        test_say_part(inner, pool, dropped, b);
    }
}


static void
test_say_tools(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b)
{
    const ngx_pulse_tool_t  *tool;

    for (tool = cv->tools; tool; tool = tool->next) {
        test_say_line(b, tool->custom ? "custom" : "tool", &tool->name, NULL);
        test_say_line(b, "description", &tool->description, NULL);

        if (tool->parameters.len) {
            test_say_json(&tool->parameters, pool, b);
        }

        if (tool->strict && !test_lost(dropped, "strict")) {
            ngx_pulse_buf_literal(b, "strict\n");
        }
    }

    /* to choose freely is what is done anyway */

    if (cv->choice > NGX_PULSE_CHOICE_AUTO) {
        ngx_pulse_buf_literal(b, "choice ");
        ngx_pulse_buf_int(b, cv->choice);
        ngx_pulse_buf_char(b, '\n');
        test_say_line(b, "choice_name", &cv->choice_name, NULL);
    }

    if (cv->no_parallel && !test_lost(dropped, "parallel_tool_calls")) {
        ngx_pulse_buf_literal(b, "no_parallel\n");
    }
}


static void
test_say_settings(const ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_pulse_dropped_t *dropped, ngx_pulse_buf_t *b)
{
    ngx_uint_t  i;

    test_say_line(b, "temperature", &cv->temperature, dropped);
    test_say_line(b, "top_p", &cv->top_p, dropped);
    test_say_line(b, "seed", &cv->seed, dropped);
    test_say_line(b, "presence_penalty", &cv->presence_penalty, dropped);
    test_say_line(b, "frequency_penalty", &cv->frequency_penalty, dropped);
    test_say_line(b, "user", &cv->user, dropped);

    for (i = 0; i < cv->nstops; i++) {
        test_say_line(b, "stop", &cv->stops[i], dropped);
    }

    if (cv->format != NGX_PULSE_FORMAT_TEXT) {
        ngx_pulse_buf_literal(b, "format ");
        ngx_pulse_buf_int(b, cv->format);
        ngx_pulse_buf_char(b, '\n');
        test_say_json(&cv->format_schema, pool, b);
    }
}


static void
test_say_json(const ngx_str_t *raw, ngx_pool_t *pool, ngx_pulse_buf_t *b)
{
    ngx_pulse_json_value_t  *v;

    v = unit_tree(pool, raw->data, raw->len);
    check(v != NULL);

    if (v) {
        test_say_value(v, b);
        ngx_pulse_buf_char(b, '\n');
    }
}


static void
test_say_value(const ngx_pulse_json_value_t *v, ngx_pulse_buf_t *b)
{
    const ngx_pulse_json_value_t  *child;

    ngx_pulse_buf_int(b, v->type);
    ngx_pulse_buf_json(b, v->key.data, v->key.len);
    ngx_pulse_buf_json(b, v->string.data, v->string.len);
    ngx_pulse_buf_int(b, v->boolean);
    ngx_pulse_buf_char(b, '(');

    for (child = v->children; child; child = child->next) {
        test_say_value(child, b);
    }

    ngx_pulse_buf_char(b, ')');
}


static void
test_say_line(ngx_pulse_buf_t *b, const char *name, const ngx_str_t *s,
    const ngx_pulse_dropped_t *dropped)
{
    if (s->len == 0 || (dropped && test_lost(dropped, name))) {
        return;
    }

    ngx_pulse_buf_append(b, (u_char *) name, strlen(name));
    ngx_pulse_buf_char(b, ' ');
    ngx_pulse_buf_json(b, s->data, s->len);
    ngx_pulse_buf_char(b, '\n');
}


static ngx_uint_t
test_lost(const ngx_pulse_dropped_t *dropped, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < dropped->n; i++) {
        if (ngx_pulse_is(&dropped->names[i], name)) {
            return 1;
        }
    }

    return 0;
}
