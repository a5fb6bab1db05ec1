
#include "unit.h"
#include "ngx_pulse_json.h"
#include "ngx_pulse_redact.h"


/* What errors of providers say of us, and what they say of the client. */

typedef struct {
    const char  *text;
    const char  *expected;          /* NULL: as it is */
} test_case_t;


static void test_texts(void);
static void test_json(void);


static test_case_t  test_table[] = {

    /* keys: ours as it is, others' as they begin */

    { "a ours-0123456789 b", "a *************** b" },
    { "xours-0123456789x", "x***************x" },
    { "Incorrect API key provided: sk-ab12***yz. You can",
      "Incorrect API key provided: sk-****" "***yz. You can" },
    { "key sk-ant-api03-x_Y", "key sk-*************" },
    { "(gsk_1a)", "(gsk_**)" },
    { "`AIzaSyD-9_x`", "`AIza*******`" },
    { "xai-abcdef", "xai-******" },
    { "\\nsk-abc\\n", "\\nsk-***\\n" },
    { "\\u0027sk-abc\\u0027", "\\u0027sk-***\\u0027" },
    { "risk-free, ask-me", NULL },
    { "sk-", NULL },
    { "org-wi", NULL },
    { "user_id", NULL },

    /* accounts */

    { "in organization org-7Xq2aB on tokens per min (TPM): Limit 30000",
      "in organization org-****** on tokens per min (TPM): Limit 30000" },
    { "in organization `org_01habc` service tier `on_demand`",
      "in organization `org_******` service tier `on_demand`" },
    { "Project `proj_aB1` does not have access",
      "Project `proj_***` does not have access" },
    { "Your team 3f2504e0-4f89-11d3-9a0c-0305e82c3301 has",
      "Your team ************************************ has" },
    { "Gemini API has not been used in project 123456789012 before",
      "Gemini API has not been used in project ************ before" },
    { "consumer \\u0027project_number:123456789012\\u0027",
      "consumer \\u0027project_number:************\\u0027" },
    { "projects/123456789012/locations", "projects/************/locations" },
    { "\"user_id\":\"user_2aBcDeF01\"", "\"user_id\":\"**************\"" },
    { "\"project_number\": 123456789,", "\"project_number\": 999999999," },
    { "\"project\\\\u\", 123456", NULL },
    { "project \\\"123456\\\"", "project \\\"******\\\"" },
    { "\"account_name\": \"Nour \\\"& sons\\\" \xd8\xb9\", \"code\": 404",
      "\"account_name\": \"******************\", \"code\": 404" },
    { "account omar.saleh@studio.example has", "account ***************"
      "********** has" },
    { "write to help@vendor.example.", "write to *******************." },
    { "a @ b, @x.y and a@b", NULL },

    /* what is the client's own */

    { "The model `gpt-6-astra-2026` does not exist or you do not have access",
      NULL },
    { "This project does not exist, the account has 2 of 10 requests", NULL },
    { "messages.0.content.1: must have 65536 tokens; project managers", NULL },
    { "subproject 123456789", NULL },
    { "organization", NULL },
    { "\"account_name\"", NULL },
    { "\"account_name\": null", NULL },
    { "account_name\":\"open", "account_name\":\"****" },
    { "\xd9\x85\xd8\xb4\xd8\xb1\xd9\x88\xd8\xb9 123456", NULL },
    { "", NULL }
};


int
main(void)
{
    test_texts();
    test_json();

    return unit_done();
}


static void
test_texts(void)
{
    u_char       *p;
    size_t        len;
    ngx_str_t     key;
    ngx_uint_t    i;
    test_case_t  *t;

    ngx_str_set(&key, "ours-0123456789x");
    key.len--;

    for (i = 0; i < sizeof(test_table) / sizeof(test_case_t); i++) {
        t = &test_table[i];
        unit_case("%s", t->text);

        /* a block of its own, so that a read past its end is seen */

        len = strlen(t->text);
        p = malloc(len + (len == 0));
        memcpy(p, t->text, len);

        ngx_pulse_redact(p, len, &key);

        check_mem(p, len, t->expected ? t->expected : t->text,
                  t->expected ? strlen(t->expected) : len);
        free(p);
    }

    unit_case(NULL);
}


/* what was JSON still is, and without a key at all */

static void
test_json(void)
{
    u_char                   text[] = "{\"error\":{\"message\":\"org-abcdef "
                                      "\\\"x\\\" sk-a\\u0027\",\"team_name\":"
                                      "\"\\\\\",\"code\":null}}";
    ngx_pool_t              *pool;
    ngx_pulse_json_error_t   err;

    unit_case("JSON");

    pool = unit_pool();

    ngx_pulse_redact(text, sizeof(text) - 1, NULL);
    check(ngx_pulse_json_tree(pool, text, sizeof(text) - 1, NULL, &err)
          != NULL);
    check_text((char *) text,
               "{\"error\":{\"message\":\"org-****** \\\"x\\\" sk-*\\u0027\","
               "\"team_name\":\"**\",\"code\":null}}");

    ngx_destroy_pool(pool);

    unit_case(NULL);
}
