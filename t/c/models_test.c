
#include "unit.h"
#include "ngx_pulse_models.h"
#include "ngx_pulse_json.h"


static void test_read(void);
static void test_wrong(void);
static void test_catalogue(void);
static void test_find(void);
static void test_globs(void);

static ngx_str_t test_str(const char *s);


int
main(void)
{
    test_read();
    test_wrong();
    test_catalogue();
    test_find();
    test_globs();

    return unit_done();
}


static void
test_read(void)
{
    ngx_str_t            text;
    ngx_pool_t          *pool;
    ngx_pulse_buf_t      err;
    ngx_pulse_model_t   *m;
    ngx_pulse_models_t   models;

    pool = unit_pool();
    ngx_pulse_buf_init(&err, 0);

    text = test_str("{\"models\":[{\"id\":\"a-1\",\"provider\":\"p\","
                    "\"kind\":\"chat\",\"context_window\":100,"
                    "\"max_output_tokens\":50,\"input_price\":150,"
                    "\"cached_price\":null,\"cache_hour_price\":7,"
                    "\"prices\":[{\"from\":\"2026-12-01\",\"second\":9},"
                    "{\"above\":272000,\"input\":null}],"
                    "\"output_price\":0,"
                    "\"retires\":\"2027-01-14\",\"aliases\":[\"a\"],"
                    "\"capabilities\":{\"vision\":true,"
                    "\"image_tokens_low\":85,"
                    "\"max_tokens_parameter\":\"max_tokens\"}},"
                    "{\"id\":\"b\",\"provider\":\"q\",\"kind\":\"image\","
                    "\"name\":\"B\"}]}");

    check_int(ngx_pulse_models_read(&models, pool, &text, &err), NGX_OK);
    check_int(err.len, 0);
    check_int(models.nelts, 2);

    m = &models.elts[0];
    check_str(&m->id, "a-1");
    check_str(&m->name, "a-1");
    check_str(&m->provider, "p");
    check_str(&m->retires, "2027-01-14");
    check_str(&m->parameter, "max_tokens");
    check_str(&m->capabilities, "{\"vision\":true,\"image_tokens_low\":85,"
                                "\"max_tokens_parameter\":\"max_tokens\"}");
    check_int(m->kind, NGX_PULSE_MODEL_CHAT);
    check_int(m->context_window, 100);
    check_int(m->max_output_tokens, 50);
    check_int(m->nprices, 3);
    check_int(m->prices[0].rates[NGX_PULSE_PRICE_INPUT], 150);
    check_int(m->prices[0].rates[NGX_PULSE_PRICE_CACHED],
              NGX_PULSE_PRICE_UNKNOWN);
    check_int(m->prices[0].rates[NGX_PULSE_PRICE_OUTPUT], 0);
    check_int(m->prices[0].rates[NGX_PULSE_PRICE_CACHE_HOUR], 7);
    check_int(m->prices[1].from, 1796083200);
    check_int(m->prices[1].above, 0);
    check_int(m->prices[1].rates[NGX_PULSE_PRICE_SECOND], 9);
    check_int(m->prices[2].above, 272000);
    check_int(m->prices[2].rates[NGX_PULSE_PRICE_INPUT],
              NGX_PULSE_PRICE_UNKNOWN);
    check_int(m->image_low, 85);
    check_int(m->image_high, 0);
    check_int(m->naliases, 1);

    m = &models.elts[1];
    check_str(&m->name, "B");
    check_int(m->kind, NGX_PULSE_MODEL_IMAGE);
    check_int(m->nprices, 1);
    check_int(m->prices[0].rates[NGX_PULSE_PRICE_INPUT],
              NGX_PULSE_PRICE_UNKNOWN);

    ngx_pulse_buf_free(&err);
    ngx_destroy_pool(pool);
}


static void
test_wrong(void)
{
    ngx_str_t            text;
    ngx_uint_t           i;
    ngx_pool_t          *pool;
    ngx_pulse_buf_t      err;
    ngx_pulse_models_t   models;

    static const char  *cases[][2] = {
        { "{\"models\":{}}", "/models must be an array" },
        { "{}", "/models must be an array" },
        { "{\"models\":[3]}", "/models/0 must be an object" },
        { "{\"models\":[{\"provider\":\"p\",\"kind\":\"chat\"}]}",
          "/models/0/id is required" },
        { "{\"models\":[{\"id\":\"a\",\"kind\":\"chat\"}]}",
          "/models/0/provider is required" },
        { "{\"models\":[{\"id\":\"a\",\"provider\":\"my own\","
          "\"kind\":\"chat\"}]}",
          "/models/0/provider must be 1 to 32 letters, digits, \".\","
          " \"_\" and \"-\"" },
        { "{\"models\":[{\"id\":\"a\",\"provider\":"
          "\"p23456789012345678901234567890123\",\"kind\":\"chat\"}]}",
          "/models/0/provider must be 1 to 32 letters, digits, \".\","
          " \"_\" and \"-\"" },
        { "{\"models\":[{\"id\":\"a\",\"provider\":\"p\"}]}",
          "/models/0/kind is required" },
        { "{\"models\":[{\"id\":\"a\",\"provider\":\"p\",\"kind\":\"x\"}]}",
          "/models/0/kind must be chat, image, video, embedding or"
          " moderation" },
        { "{\"models\":[{\"id\":\"\"}]}",
          "/models/0/id must be a string that is not empty" },
        { "{\"models\":[{\"id\":\"a\",\"prize\":1}]}",
          "/models/0/prize is not known here" },
        { "{\"models\":[{\"input_price\":0.5}]}",
          "/models/0/input_price must be an integer of nano-USD, or null" },
        { "{\"models\":[{\"capabilities\":{\"parameters\":{\"a\":1}}}]}",
          "/models/0/capabilities/parameters/a must be null or another plain"
          " name" },
        { "{\"models\":[{\"capabilities\":{\"parameters\":{\"a\":\"\\\"\"}}}"
          "]}",
          "/models/0/capabilities/parameters/a must be null or another plain"
          " name" },
        { "{\"models\":[{\"capabilities\":{\"parameters\":[]}}]}",
          "/models/0/capabilities/parameters must be an object" },
        { "{\"models\":[{\"id\":\"a*\",\"provider\":\"p\",\"kind\":"
          "\"chat\"},{\"id\":\"a*\",\"provider\":\"p\",\"kind\":"
          "\"chat\"}]}", "/models/1/id is there twice" },
        { "{\"models\":[{\"id\":\"a*\",\"provider\":\"p\",\"kind\":"
          "\"chat\",\"aliases\":[\"b\"]}]}",
          "/models/0/aliases are of a model, not of a pattern" },
        { "{\"models\":[{\"prices\":{}}]}",
          "/models/0/prices must be an array" },
        { "{\"models\":[{\"prices\":[{\"input\":1}]}]}",
          "/models/0/prices/0 needs \"from\" or \"above\"" },
        { "{\"models\":[{\"prices\":[{\"from\":\"2026-02-30\"}]}]}",
          "/models/0/prices/0/from must be a date, YYYY-MM-DD" },
        { "{\"models\":[{\"prices\":[{\"tax\":1}]}]}",
          "/models/0/prices/0/tax is not known here" },
        { "{\"models\":[{\"context_window\":-5}]}",
          "/models/0/context_window must be a positive integer" },
        { "{\"models\":[{\"aliases\":[1]}]}",
          "/models/0/aliases must be an array of strings" },
        { "{\"models\":[{\"capabilities\":{\"tools\":1}}]}",
          "/models/0/capabilities/tools must be a boolean" },
        { "{\"models\":[{\"capabilities\":{\"flying\":true}}]}",
          "/models/0/capabilities/flying is not known here" },
        { "{\"models\":[{\"id\":\"a\",\"provider\":\"p\",\"kind\":\"chat\"},"
          "{\"id\":\"a\",\"provider\":\"p\",\"kind\":\"chat\"}]}",
          "/models/1/id is there twice" },
        { "{\"models\":[{\"id\":\"a\",\"provider\":\"p\",\"kind\":\"chat\"},"
          "{\"id\":\"b\",\"provider\":\"p\",\"kind\":\"chat\","
          "\"aliases\":[\"a\"]}]}",
          "/models/1/aliases has a name that is taken" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pool = unit_pool();
        ngx_pulse_buf_init(&err, 0);

        unit_case("%s", cases[i][0]);

        text = test_str(cases[i][0]);

        check_int(ngx_pulse_models_read(&models, pool, &text, &err),
                  NGX_ERROR);
        check_mem(err.data, err.len, cases[i][1], strlen(cases[i][1]));

        ngx_pulse_buf_free(&err);
        ngx_destroy_pool(pool);
    }

    unit_case("no JSON");

    pool = unit_pool();
    ngx_pulse_buf_init(&err, 0);

    text = test_str("{\"models\":[");
    check_int(ngx_pulse_models_read(&models, pool, &text, &err), NGX_ERROR);
    check(err.len != 0);

    ngx_pulse_buf_free(&err);
    ngx_destroy_pool(pool);

    unit_case(NULL);
}


/* the catalogue that is shipped */

static void
test_catalogue(void)
{
    ngx_str_t            text, name;
    ngx_pool_t          *pool;
    ngx_pulse_buf_t      err;
    ngx_pulse_model_t   *m;
    ngx_pulse_models_t   models;

    pool = unit_pool();
    ngx_pulse_buf_init(&err, 0);

    text = unit_file("conf/models.json");
    check(text.data != NULL);

    if (text.data) {
        check_int(ngx_pulse_models_read(&models, pool, &text, &err), NGX_OK);
        check_mem(err.data, err.len, "", 0);
        check(models.nelts > 40);

        name = test_str("demo");
        check(ngx_pulse_models_find(&models, NULL, &name) != NULL);

        /* 0.15 dollars a million is 150 nano-dollars each */

        name = test_str("gpt-4o-mini");
        m = ngx_pulse_models_find(&models, NULL, &name);
        check(m != NULL);
        check_int(m ? m->price.rates[NGX_PULSE_PRICE_INPUT] : 0, 150);

        free(text.data);
    }

    ngx_pulse_buf_free(&err);
    ngx_destroy_pool(pool);
}


static void
test_find(void)
{
    ngx_str_t            text, name, p, q;
    ngx_pool_t          *pool;
    ngx_pulse_buf_t      err;
    ngx_pulse_models_t   models;

    pool = unit_pool();
    ngx_pulse_buf_init(&err, 0);

    text = test_str("{\"models\":["
                    "{\"id\":\"g-4\",\"provider\":\"p\",\"kind\":\"chat\"},"
                    "{\"id\":\"g-4-mini\",\"provider\":\"p\","
                    "\"kind\":\"chat\",\"aliases\":[\"small\"]},"
                    "{\"id\":\"g-*\",\"provider\":\"q\",\"kind\":\"chat\","
                    "\"capabilities\":{\"parameters\":{\"seed\":\"s\","
                    "\"user\":null},\"developer_role\":false}},"
                    "{\"id\":\"g-*-old\",\"provider\":\"q\","
                    "\"kind\":\"chat\"},"
                    "{\"id\":\"g-4\",\"provider\":\"q\",\"kind\":\"chat\"}"
                    "]}");

    check_int(ngx_pulse_models_read(&models, pool, &text, &err), NGX_OK);

    p = test_str("p");
    q = test_str("q");

    name = test_str("g-4");
    check(ngx_pulse_models_find(&models, NULL, &name) == &models.elts[0]);
    check(ngx_pulse_models_find(&models, &q, &name) == &models.elts[2]);
    check(ngx_pulse_models_base(&models, &p, &name) == NULL);

    name = test_str("small");
    check(ngx_pulse_models_find(&models, NULL, &name) == &models.elts[1]);
    check(ngx_pulse_models_find(&models, &q, &name) == NULL);

    name = test_str("g-4-mini-2026");
    check(ngx_pulse_models_find(&models, NULL, &name) == NULL);
    check(ngx_pulse_models_base(&models, &p, &name) == &models.elts[1]);
    check(ngx_pulse_models_base(&models, &q, &name) == &models.elts[2]);

    name = test_str("g-44");
    check(ngx_pulse_models_base(&models, &p, &name) == NULL);

    /* patterns are no models; the longest says most */

    check_int(models.nelts, 3);
    check_int(models.npatterns, 2);

    check(ngx_pulse_models_pattern(&models, &p, &name,
                                   NGX_PULSE_MODEL_CHAT) == NULL);
    check(ngx_pulse_models_pattern(&models, &q, &name,
                                   NGX_PULSE_MODEL_CHAT)
          == &models.patterns[0]);

    check(ngx_pulse_models_pattern(&models, &q, &name,
                                   NGX_PULSE_MODEL_EMBEDDING) == NULL);

    name = test_str("g-44-old");
    check(ngx_pulse_models_pattern(&models, &q, &name,
                                   NGX_PULSE_MODEL_CHAT)
          == &models.patterns[1]);

    name = test_str("g-*");
    check(ngx_pulse_models_find(&models, NULL, &name) == NULL);

    check_int(models.patterns[0].developer, NGX_PULSE_MODEL_NO);
    check_int(models.patterns[0].nparameters, 2);
    check_str(&models.patterns[0].parameters[0].name, "seed");
    check_str(&models.patterns[0].parameters[0].as, "s");
    check_str(&models.patterns[0].parameters[1].name, "user");
    check_int(models.patterns[0].parameters[1].as.len, 0);

    ngx_pulse_buf_free(&err);
    ngx_destroy_pool(pool);
}


static void
test_globs(void)
{
    ngx_str_t   glob, name;
    ngx_uint_t  i;

    static struct {
        const char  *glob;
        const char  *name;
        ngx_uint_t   matches;
    } cases[] = {
        { "gpt-*", "gpt-6", 1 },
        { "gpt-*", "gpt-", 1 },
        { "gpt-*", "gp", 0 },
        { "gpt-*", "xgpt-6", 0 },
        { "*", "", 1 },
        { "*", "anything", 1 },
        { "", "", 1 },
        { "", "a", 0 },
        { "a", "a", 1 },
        { "a", "ab", 0 },
        { "*-mini", "gpt-4o-mini", 1 },
        { "*-mini", "gpt-4o-mini-2", 0 },
        { "a*b*c", "aXbYbZc", 1 },
        { "a*b*c", "aXbYbZ", 0 },
        { "a**c", "abc", 1 },
        { "*aab", "aaaab", 1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s %s", cases[i].glob, cases[i].name);

        glob = test_str(cases[i].glob);
        name = test_str(cases[i].name);

        check_int(ngx_pulse_models_glob(&glob, &name), cases[i].matches);
    }

    unit_case(NULL);
}


static ngx_str_t
test_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}
