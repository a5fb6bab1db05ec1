
#include <stdlib.h>
#include <string.h>
#include "unit.h"
#include "ngx_pulse_moderation.h"
#include "ngx_pulse_moderation_question.h"


/* Ways to write words of rules that are found, and words like them that are
 * not.  The words are invented but for some of English that hold others. */


#define check_buf(b, literal)                                                 \
    check_mem((b)->data, (b)->len, literal, sizeof(literal) - 1)


static void test_file(const char *text, ngx_uint_t line, const char *reason);
static ngx_pulse_moderation_rules_t *rules_of(ngx_pool_t *pool,
    const char *text);
static uint32_t found_in(const char *text);
static void find_all(const char *what, const char **texts, uint32_t expected);


static ngx_pulse_moderation_rules_t  *rules;


static const char  moderation_rules[] =
    "# two categories\n"
    "[violence]\r\n"
    "zorb* ! zorbay, zorbard*, bath zorb\n"
    "build a flarn\n"
    "زمبلة\n"
    "صنع متفرقعات\n"
    "\n"
    "[hate]\n"
    "ass ! smart ass\n"
    "*grox*\n"
    "bad\n"
    "  kill yourself  \n";


static const char  *violence[] = {
    "a zorb here", "zorbs", "ZORB!", "z0rb", "z0r8", "zоrb", "ｚｏｒｂ",
    "𝐳𝐨𝐫𝐛", "🆉🅾🆁🅱", "zoooorb", "zorbbbbbs", "z​o​r​b", "zo­rb", "zörb",
    "zо\u0301rb", "ⓩⓞⓡⓑ", "z o r b", "z.o.r.b", "z-o-r-b s", "I z o r b",
    "z\xf0\x9f\x92\xa3o\xf0\x9f\x92\xa3r\xf0\x9f\x92\xa3" "b",
    "bath zorb zorb", "build  a -- flarn", "buildaflarn", "#BuildAFlarn",
    "b u i l d   a   f l a r n", "b u i l d a f l a r n",
    "زمبلة", "زُمْبُلَة", "زمـبـلـة", "زمبله", "الزمبلة", "والزمبلة", "بالزمبله",
    "للزمبلة", "كزمبلة", "فبالزمبلة", "ز م ب ل ة", "ز.م.ب.ل.ة", "زمبللللة",
    "ﺯﻣﺒﻠﺔ", "زمبلۀ", "صنع متفرقعات", "صنع المتفرقعات", "وصنع المتفرقعات",
    "صُنْع\nالمُتفرقعات", "{\"a\":\"\\u0632\\u0645\\u0628\\u0644\\u0629\"}",
    NULL
};


static const char  *hate[] = {
    "ass", "4ss", "@ss", "a$$", "@$$", "aaaasss", "assss", "smart ass ass",
    "xgroxx", "a  BAD, thing", "x\\nbad", "x\\bad", "\\bad", "b a d", "b.a.d.",
    "U.S.A is bad", "b\xff" "ad", "b\xef\xbf\xbd" "ad", "b\xe2\x80" "ad",
    "k1ll y0urself", "killlll yourself", "kíll yoursélf", "kıll yourself",
    "bаd", "βad", "b\xcc\xb6" "a\xcc\xb6" "d", NULL
};


static const char  *neither[] = {
    "", "zorbay", "a bath zorb", "zorbards", "flarn", "build flarn", "as",
    "assassin", "class", "pass the grass", "embassy", "smart ass",
    "Smart-Ass", "badge", "Baden-Baden", "abad", "forbade", "kill time",
    "455", "A55", "4$$ 45 5", "$$$", "1!|", "b.ad", "يزمبلة", "زمبلات", "مزمبلة",
    "زمبل", "a s h", "ba", "b  a  n", "gro x", "\\", "\\u", "\\u06", "\\u063",
    "\xf0\x9f", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80", NULL
};


static void
test_texts(void)
{
    find_all("violence", violence, 1);
    find_all("hate", hate, 2);
    find_all("neither", neither, 0);

    check_int(found_in("bad zorb"), 3);
}


/* Pieces of a text are one, texts are not. */

static void
test_pieces(void)
{
    size_t                   i, len;
    const char             **text;
    ngx_pulse_moderation_t   m;

    ngx_pulse_moderation_start(&m, rules);

    for (text = violence; *text; text++) {
        unit_case("%s by bytes", *text);
        len = strlen(*text);

        for (i = 0; i < len; i++) {
            ngx_pulse_moderation_feed(&m, (u_char *) *text + i, 1);
        }

        check_int(ngx_pulse_moderation_end(&m), 1);
    }

    unit_case(NULL);

    ngx_pulse_moderation_start(&m, rules);

    ngx_pulse_moderation_feed(&m, (u_char *) "zo", 2);
    check_int(ngx_pulse_moderation_end(&m), 0);
    ngx_pulse_moderation_feed(&m, (u_char *) "rb", 2);
    check_int(ngx_pulse_moderation_end(&m), 0);
    check_int(m.categories, 0);
}


static void
test_json(void)
{
    ngx_uint_t              i;
    ngx_str_t               text, where;
    ngx_pulse_moderation_t  m;

    static const struct {
        const char  *text;
        const char  *where;
    } texts[] = {
        { "{\"a\":[\"fine\",{\"b\":\"it is bad\"}]}", "it is bad" },
        { "{\"bad\":1}", "bad" },
        { "\"b\\u0061d\"", "b\\u0061d" },
        { "[\"x\\nbad\"]", "x\\nbad" },
        { "[\"\\ud835\\udc1b\\ud835\\udc1a\\ud835\\udc1d\"]",
          "\\ud835\\udc1b\\ud835\\udc1a\\ud835\\udc1d" },
        { "{\"q\":\"{\\\"a\\\":\\\"\\\\u0062ad\\\"}\"}",
          "{\\\"a\\\":\\\"\\\\u0062ad\\\"}" },
        { "{\"data\":\"bad\"}", "bad" },
        { "{\"text\":\"bad/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAA\"}", "bad/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
        { "{\"data\":\"/bad/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAA\"}", NULL },
        { "{\"url\":\"data:image/png;base64,\\/bad\\/AAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", NULL },
        { "{\"encrypted_content\":\"-bad-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "AAAAAAAAAAAAAAAAAAAAAAAAAA\"}", NULL },
        { "[\"b\",\"ad\"]", NULL },
        { "[1,true,null,{}]", NULL },
        { "[\"\"]", NULL }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unit_case("%s", texts[i].text);

        text.data = (u_char *) texts[i].text;
        text.len = strlen(texts[i].text);

        ngx_pulse_moderation_start(&m, rules);
        ngx_str_null(&where);

        check_int(ngx_pulse_moderation_json(&m, &text, &where),
                  texts[i].where ? 2 : 0);

        if (texts[i].where) {
            check_mem(where.data, where.len, texts[i].where,
                      strlen(texts[i].where));
        }
    }

    unit_case(NULL);
}


static void
test_names(void)
{
    ngx_str_t        key = ngx_string("01234567890123456789012345678901");
    u_char           hash[NGX_PULSE_MODERATION_HASH];
    u_char           other[NGX_PULSE_MODERATION_HASH];
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    ngx_pulse_moderation_names(rules, 3, &b);
    check_buf(&b, "[\"violence\",\"hate\"]");

    ngx_pulse_buf_free(&b);

    ngx_pulse_moderation_hash(&key, (u_char *) "bad", 3, hash);
    ngx_pulse_moderation_hash(&key, (u_char *) "bae", 3, other);
    check(memcmp(hash, other, sizeof(hash)) != 0);

    key.len--;
    ngx_pulse_moderation_hash(&key, (u_char *) "bad", 3, other);
    check(memcmp(hash, other, sizeof(hash)) != 0);
}


static void
test_files(void)
{
    test_file("x y\n", 1, "is before any [category]");
    test_file("", 1, "is the last, and there is no rule");
    test_file("# a", 1, "is the last, and there is no rule");
    test_file("\n# a\n", 2, "is the last, and there is no rule");
    test_file("[a\n", 1, "is no [category] of at most 32 characters");
    test_file("[A]\n", 1, "has a [category] of other characters than a-z, -,"
                          " / and _");
    test_file("[a]\nx\n", 2, "has a phrase of less than two letters");
    test_file("[a]\nxy\n*\n", 3, "has a phrase of less than two letters");
    test_file("[a]\nx*y\n", 2, "has \"*\" elsewhere than at the ends of a"
                               " phrase");
    test_file("[a]\nxyyyz\n", 2, "has a letter three times in a row");
    test_file("[a]\nдом\n", 2, "has a letter that is neither Latin nor"
                               " Arabic");
    test_file("[a]\nx\xffy\n", 2, "is not UTF-8");
    test_file("[a]\nxy ! zz\n", 2, "has an exception without the phrase in"
                                   " it");
    test_file("[a]\nxy ! xy\n", 2, "has an exception that is the phrase"
                                   " itself");
    test_file("[a]\nxy !\n", 2, "has a phrase of less than two letters");
}


/* Whatever allocation fails, none is lost and none is used after. */

static void
test_memory(void)
{
    ngx_str_t                      text;
    ngx_uint_t                     i;
    ngx_pool_t                    *pool;
    ngx_pulse_moderation_fault_t   fault;

    text.data = (u_char *) moderation_rules;
    text.len = sizeof(moderation_rules) - 1;

    for (i = 1; i < 100; i++) {
        pool = unit_pool();

        unit_fail_allocation(i);

        if (ngx_pulse_moderation_read(pool, &text, &fault) != NULL) {
            unit_fail_allocation(0);
            ngx_destroy_pool(pool);
            break;
        }

        unit_fail_allocation(0);
        check(fault.reason == NULL);

        ngx_destroy_pool(pool);
    }

    check(i > 1 && i < 100);
}


static void
test_question(void)
{
    ngx_str_t                         body, model = ngx_string("m");
    ngx_pool_t                       *pool;
    ngx_pulse_buf_t                   b;
    ngx_pulse_moderation_question_t   q;

    static const char  request[] =
        "{\"model\":\"x\",\"user\":\"me\",\"metadata\":{\"a\":{\"b\":\"c\"}},"
        "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
        "\"text\":\"one \\u0062\"},{\"type\":\"image_url\",\"image_url\":"
        "{\"url\":\"data:image/png;base64,AA\\/A\"}}]}],\"stop\":[\"two\"]}";

    pool = unit_pool();

    body.data = (u_char *) request;
    body.len = sizeof(request) - 1;

    ngx_pulse_buf_init(&b, 0);

    check_int(ngx_pulse_moderation_question(&q, pool), NGX_OK);
    check_int(ngx_pulse_moderation_question_read(&q, &body), NGX_OK);

    check_int(ngx_pulse_moderation_question_write(&q, &model, &b), NGX_OK);
    check_buf(&b, "{\"model\":\"m\",\"input\":[\"one b\\ntwo\\n\"]}");
    check(!ngx_pulse_moderation_question_shows(&q));

    b.len = 0;
    check_int(ngx_pulse_moderation_question_write(&q, &model, &b), NGX_OK);
    check_buf(&b, "{\"model\":\"m\",\"input\":[{\"type\":\"image_url\","
                  "\"image_url\":{\"url\":\"data:image/png;base64,AA\\/A\"}}]}");
    check(ngx_pulse_moderation_question_shows(&q));

    check_int(ngx_pulse_moderation_question_write(&q, &model, &b), NGX_DONE);

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


static void
test_answer(void)
{
    ngx_uint_t        i;
    ngx_pool_t       *pool;
    ngx_pulse_buf_t   b;

    static const struct {
        const char  *text;
        ngx_uint_t   inputs;
        ngx_int_t    rc;
        const char  *names;
    } answers[] = {
        { "{\"results\":[{\"flagged\":false,\"categories\":{}}]}", 1, NGX_OK,
          "" },
        { "{\"results\":[{\"flagged\":true,\"categories\":{\"a\":true,\"b\":"
          "false,\"a/c\":true}},{\"flagged\":true,\"categories\":{\"a\":true,"
          "\"d\":true}}]}", 2, NGX_DECLINED, "[\"a\",\"a/c\",\"d\"]" },
        { "{\"results\":[{\"flagged\":true}]}", 1, NGX_DECLINED, "[]" },
        { "{\"results\":[{\"flagged\":false}]}", 2, NGX_ERROR, "" },
        { "{\"results\":[{\"flagged\":0}]}", 1, NGX_ERROR, "" },
        { "{\"results\":{}}", 1, NGX_ERROR, "" },
        { "{}", 1, NGX_ERROR, "" },
        { "[]", 1, NGX_ERROR, "" },
        { "x", 1, NGX_ERROR, "" }
    };

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        unit_case("%s", answers[i].text);

        pool = unit_pool();
        ngx_pulse_buf_init(&b, 0);

        check_int(ngx_pulse_moderation_answer(pool,
                                              (u_char *) answers[i].text,
                                              strlen(answers[i].text),
                                              answers[i].inputs, &b),
                  answers[i].rc);
        check_mem(b.data, b.len, answers[i].names, strlen(answers[i].names));

        ngx_pulse_buf_free(&b);
        ngx_destroy_pool(pool);
    }

    unit_case(NULL);
}


/* The file that a studio begins with. */

static void
test_own(void)
{
    ngx_str_t                      text;
    ngx_pool_t                    *pool;
    ngx_pulse_moderation_fault_t   fault;

    pool = unit_pool();
    text = unit_file("conf/moderation.txt");

    check(text.data != NULL);
    check(ngx_pulse_moderation_read(pool, &text, &fault) != NULL);

    free(text.data);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    ngx_pool_t  *pool;

    pool = unit_pool();
    rules = rules_of(pool, moderation_rules);

    check(rules != NULL);

    if (rules) {
        test_texts();
        test_pieces();
        test_json();
        test_names();
    }

    ngx_destroy_pool(pool);

    test_files();
    test_memory();
    test_question();
    test_answer();
    test_own();

    return unit_done();
}


static ngx_pulse_moderation_rules_t *
rules_of(ngx_pool_t *pool, const char *text)
{
    ngx_str_t                     s;
    ngx_pulse_moderation_fault_t  fault;

    s.data = (u_char *) text;
    s.len = strlen(text);

    return ngx_pulse_moderation_read(pool, &s, &fault);
}


static void
test_file(const char *text, ngx_uint_t line, const char *reason)
{
    ngx_str_t                      s;
    ngx_pool_t                    *pool;
    ngx_pulse_moderation_fault_t   fault;

    unit_case("%s", text);

    pool = unit_pool();

    s.data = (u_char *) strdup(text);
    s.len = strlen(text);

    check(ngx_pulse_moderation_read(pool, &s, &fault) == NULL);
    check_int(fault.line, line);

    if (fault.reason) {
        check_mem(fault.reason, strlen(fault.reason), reason,
                  strlen(reason));
    }

    free(s.data);
    ngx_destroy_pool(pool);

    unit_case(NULL);
}


static uint32_t
found_in(const char *text)
{
    ngx_pulse_moderation_t  m;

    ngx_pulse_moderation_start(&m, rules);
    ngx_pulse_moderation_feed(&m, (const u_char *) text, strlen(text));

    return ngx_pulse_moderation_end(&m);
}


static void
find_all(const char *what, const char **texts, uint32_t expected)
{
    for ( /* void */ ; *texts; texts++) {
        unit_case("%s: %s", what, *texts);
        check_int(found_in(*texts), expected);
    }

    unit_case(NULL);
}
