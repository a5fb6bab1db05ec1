
#include "pulse_pay_conf.h"
#include "pulse_query.h"
#include "unit.h"


static void test_published(void);
static void test_browser(const char *fields, ngx_int_t rc);
static void test_callbacks(void);
static ngx_int_t test_webhook(const char *body, const char *signature,
    pulse_pay_event_t *event);
static void test_states(void);
static void test_calls(void);
static void test_queries(void);
static void test_configuration(void);
static void test_conf(const char *text, const char *reason);
static void test_account(pulse_pay_account_t *account);


static ngx_pool_t  *pool;


int
main(void)
{
    pool = unit_pool();

    test_published();
    test_callbacks();
    test_states();
    test_calls();
    test_queries();
    test_configuration();

    ngx_destroy_pool(pool);

    return unit_done();
}


#define TEST_RETURN                                                           \
    "acquirerMessage=&acquirerRRN=&cartId=cart_11111&customerEmail=email"     \
    "%40domain.com&respCode=G84718&respMessage=Authorised&respStatus=A&"      \
    "signature="

#define TEST_SIGNATURE                                                        \
    "7a181a32c768621eb6966107752ee70205a01f1c4403a3d13c0ff604f591f988"


/* the published vector, and what is near to it */

static void
test_published(void)
{
    test_browser(TEST_RETURN TEST_SIGNATURE
                 "&token=&tranRef=TST2215201242166", NGX_OK);
    test_browser("tranRef=TST2215201242166&" TEST_RETURN TEST_SIGNATURE
                 "&extra=0", NGX_OK);
    test_browser(TEST_RETURN TEST_SIGNATURE
                 "&token=&tranRef=TST2215201242167", NGX_DECLINED);
    test_browser(TEST_RETURN "8" TEST_SIGNATURE "&token=&tranRef="
                 "TST2215201242166", NGX_DECLINED);
    test_browser(TEST_RETURN "&token=&tranRef=TST2215201242166",
                 NGX_DECLINED);
    test_browser(TEST_RETURN TEST_SIGNATURE "&tranRef=TST2215201242166&"
                 "respStatus=A", NGX_DECLINED);
    test_browser(TEST_RETURN TEST_SIGNATURE "&tranRef=%00", NGX_DECLINED);
    test_browser(TEST_RETURN TEST_SIGNATURE "&tranRef=%4", NGX_DECLINED);
    test_browser("", NGX_DECLINED);
}


static void
test_browser(const char *fields, ngx_int_t rc)
{
    ngx_str_t            text, order;
    pulse_pay_account_t  account;

    unit_case("%s", fields);
    test_account(&account);
    ngx_str_set(&account.secret, "SGJNZ96JLG-JDMKHGRWT9-RWRK2KJNRJ");

    text.data = (u_char *) fields;
    text.len = strlen(fields);

    check_int(pulse_pay_paytabs.browser(&account, pool, &text, &order), rc);

    if (rc == NGX_OK) {
        check_str(&order, "cart_11111");
    }

    unit_case(NULL);
}


#define TEST_BODY                                                             \
    "{\"tran_ref\":\"TST1\",\"profile_id\":42,\"cart_id\":\"order1\","        \
    "\"cart_currency\":\"JOD\",\"cart_amount\":\"5.00\",\"tran_currency\":"   \
    "\"JOD\",\"tran_total\":\"5.00\",\"tran_type\":\"Sale\","                 \
    "\"payment_result\":{\"response_status\":\"A\",\"transaction_time\":"     \
    "\"t1\"}}"

/* of these bytes with the key "server-key", by openssl dgst */

#define TEST_HMAC                                                             \
    "92a92d3ef647b5fa744df76ba9aa78a6fa1f15cd6d37f217f1cac1b73ff9c7e7"


static void
test_callbacks(void)
{
    size_t             i;
    char               signature[65];
    pulse_pay_event_t  event;

    static const char  good[] = TEST_HMAC;

    check_int(test_webhook(TEST_BODY, good, &event), NGX_OK);
    check_int(event.state, pulse_pay_paid);
    check_int(event.money.amount, 5000);
    check_str(&event.order, "order1");
    check_str(&event.payment, "TST1");
    check_str(&event.key, "TST1|A|t1");

    for (i = 0; i < sizeof(good) - 1; i++) {
        strcpy(signature, good);
        signature[i] = (signature[i] == '0') ? '1' : '0';
        check_int(test_webhook(TEST_BODY, signature, &event), NGX_DECLINED);

        signature[i] = '\0';
        check_int(test_webhook(TEST_BODY, signature, &event), NGX_DECLINED);
    }

    check_int(test_webhook(TEST_BODY " ", good, &event), NGX_DECLINED);
    check_int(test_webhook("", good, &event), NGX_DECLINED);
}


static ngx_int_t
test_webhook(const char *body, const char *signature,
    pulse_pay_event_t *event)
{
    pulse_pay_account_t  account;
    pulse_pay_webhook_t  webhook;

    test_account(&account);
    ngx_memzero(&webhook, sizeof(pulse_pay_webhook_t));

    webhook.body.data = (u_char *) body;
    webhook.body.len = strlen(body);
    webhook.signature.data = (u_char *) signature;
    webhook.signature.len = strlen(signature);

    return pulse_pay_paytabs.webhook(&account, pool, &webhook, event);
}


static void
test_states(void)
{
    size_t               i;
    char                 text[512];
    ngx_int_t            rc;
    pulse_pay_event_t    event;
    pulse_pay_answer_t   answer;
    pulse_pay_account_t  account;

    static const struct {
        const char         *type;
        const char         *status;
        const char         *total;
        ngx_uint_t          live;
        pulse_pay_state_e   state;
        int64_t             amount;
    } cases[] = {
        { "Sale", "A", "5.00", 0, pulse_pay_paid, 5000 },
        { "sale", "A", "4.50", 0, pulse_pay_paid, 4500 },
        { "Sale", "A", "5.00", 1, pulse_pay_failed, 5000 },
        { "Sale", "H", "5.00", 0, pulse_pay_review, 5000 },
        { "Sale", "P", "5.00", 0, pulse_pay_pending, 5000 },
        { "Sale", "V", "5.00", 0, pulse_pay_refunded, 5000 },
        { "Sale", "D", "5.00", 0, pulse_pay_failed, 5000 },
        { "Sale", "E", "5.00", 0, pulse_pay_failed, 5000 },
        { "Sale", "X", "5.00", 0, pulse_pay_failed, 5000 },
        { "Sale", "Q", "5.00", 0, pulse_pay_pending, 5000 },
        { "Refund", "A", "2.00", 0, pulse_pay_refunded, 2000 },
        { "Refund", "P", "2.00", 0, pulse_pay_pending, 2000 },
        { "Void", "A", "5.00", 0, pulse_pay_refunded, 5000 },
        { "Auth", "A", "5.00", 0, pulse_pay_pending, 5000 },
        { "Sale", "A", "-5.00", 0, pulse_pay_paid, -1 },
        { "Sale", "A", "5e9", 0, pulse_pay_paid, -1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s %s %s", cases[i].type, cases[i].status,
                  cases[i].total);
        test_account(&account);
        account.live = cases[i].live;

        answer.status = 200;
        answer.body.data = (u_char *) text;
        answer.body.len = snprintf(text, sizeof(text),
            "{\"tran_ref\":\"TST1\",\"profile_id\":\"42\",\"cart_amount\":"
            "\"5.00\",\"cart_currency\":\"JOD\",\"tran_total\":\"%s\","
            "\"tran_currency\":\"JOD\",\"tran_type\":\"%s\",\"payment_result"
            "\":{\"response_status\":\"%s\"}}", cases[i].total,
            cases[i].type, cases[i].status);

        rc = pulse_pay_paytabs.status_read(&account, pool, &answer, &event);

        check_int(rc, NGX_OK);
        check_int(event.state, cases[i].state);
        check_int(event.money.currency ? event.money.amount : -1,
                  cases[i].amount);
    }

    unit_case(NULL);

    ngx_str_set(&answer.body, "{\"tran_ref\":\"TST1\",\"profile_id\":43,"
                "\"payment_result\":{\"response_status\":\"A\"}}");
    check_int(pulse_pay_paytabs.status_read(&account, pool, &answer, &event),
              NGX_DECLINED);
    ngx_str_set(&answer.body, "{\"code\":4,\"message\":\"Duplicate\"}");
    check_int(pulse_pay_paytabs.status_read(&account, pool, &answer, &event),
              NGX_DECLINED);
}


static void
test_calls(void)
{
    ngx_str_t             code;
    pulse_pay_call_t      call;
    pulse_pay_order_t     order;
    pulse_pay_answer_t    answer;
    pulse_pay_account_t   account;
    pulse_pay_checkout_t  checkout;

    test_account(&account);
    ngx_memzero(&order, sizeof(pulse_pay_order_t));

    order.money.amount = 5000;
    order.money.currency = account.currency;
    order.arabic = 1;
    ngx_str_set(&order.id, "order1");
    ngx_str_set(&order.title, "Pulse \"AI\"");
    ngx_str_set(&order.url, "https://studio.example/back");
    ngx_str_set(&order.callback, "https://studio.example/hook");

    check_int(pulse_pay_paytabs.checkout(&account, pool, &order, &call),
              NGX_OK);
    check_text((char *) call.url.data, "https://secure-jordan.paytabs.com"
               "/payment/request");
    check_text((char *) call.authorization.data, "server-key");
    check_text((char *) call.body.data, "{\"profile_id\":42,\"tran_type\":"
               "\"sale\",\"tran_class\":\"ecom\",\"cart_currency\":\"JOD\","
               "\"cart_amount\":5.00,\"cart_id\":\"order1\","
               "\"cart_description\":\"Pulse \\\"AI\\\"\",\"callback\":"
               "\"https://studio.example/hook\",\"return\":"
               "\"https://studio.example/back\",\"hide_shipping\":true,"
               "\"paypage_lang\":\"ar\"}");

    ngx_str_set(&code, "IQD");
    order.money.currency = pulse_currency_find(&code);
    order.money.amount = 25000;
    check_int(pulse_pay_paytabs.checkout(&account, pool, &order, &call),
              NGX_OK);
    check(strstr((char *) call.body.data, "\"cart_amount\":25000,") != NULL);

    ngx_str_set(&order.reference, "TST1");
    check_int(pulse_pay_paytabs.status(&account, pool, &order, &call),
              NGX_OK);
    check_text((char *) call.body.data,
               "{\"profile_id\":42,\"tran_ref\":\"TST1\"}");

    ngx_str_set(&answer.body, "{\"tran_ref\":\"TST1\",\"redirect_url\":"
                "\"https://secure.paytabs.com/payment/page/1\"}");
    answer.status = 200;
    check_int(pulse_pay_paytabs.checkout_read(&account, pool, &answer,
                                              &checkout), NGX_OK);
    check_str(&checkout.url, "https://secure.paytabs.com/payment/page/1");

    ngx_str_set(&answer.body, "{\"code\":4,\"message\":\"Duplicate\"}");
    check_int(pulse_pay_paytabs.checkout_read(&account, pool, &answer,
                                              &checkout), NGX_DECLINED);
}


static void
test_queries(void)
{
    ngx_str_t          text;
    pulse_query_t      query;
    ngx_pulse_buf_t    b;

    ngx_str_set(&text, "a=1&&b=%D8%B3+x&c&=d&e=%2b");
    check_int(pulse_query_read(pool, &text, &query), NGX_OK);
    check_int(query.n, 5);
    check_str(pulse_query_get(&query, "b"), "\xd8\xb3 x");
    check_str(pulse_query_get(&query, "c"), "");
    check_str(pulse_query_get(&query, ""), "d");
    check_str(pulse_query_get(&query, "e"), "+");
    check(pulse_query_get(&query, "f") == NULL);

    ngx_str_set(&text, "a=1&a=2");
    check_int(pulse_query_read(pool, &text, &query), NGX_DECLINED);
    ngx_str_set(&text, "a=%g0");
    check_int(pulse_query_read(pool, &text, &query), NGX_DECLINED);

    /* as PHP 8 has it: urlencode("aZ9-_. ~*'(\xd8\xb3") */

    ngx_pulse_buf_init(&b, 0);
    ngx_str_set(&text, "aZ9-_. ~*'(\xd8\xb3");
    pulse_query_escape(&b, &text);
    check_mem(b.data, b.len, "aZ9-_.+%7E%2A%27%28%D8%B3", 25);
    ngx_pulse_buf_free(&b);
}


#define TEST_HYPERPAY(base)                                                   \
    "\"hyperpay\":{\"base_url\":\"" base "\",\"currency\":\"JOD\","           \
    "\"entity_id\":\"8a82\",\"token\":\"env:TEST_TOKEN\",\"webhook_key\":"    \
    "\"env:TEST_KEY\",\"brands\":\"VISA\"}"

#define TEST_CONF(mode, url, providers)                                       \
    "{\"mode\":\"" mode "\",\"url\":\"" url "\",\"providers\":{" providers    \
    "}}"


static void
test_configuration(void)
{
    setenv("TEST_TOKEN", "token", 1);
    setenv("TEST_KEY", "0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef", 1);
    setenv("TEST_SHORT", "0123", 1);

    test_conf(TEST_CONF("test", "https://studio.example",
                        TEST_HYPERPAY("https://eu-test.oppwa.com")), NULL);
    test_conf(TEST_CONF("live", "https://studio.example",
                        TEST_HYPERPAY("https://eu-prod.oppwa.com")), NULL);
    test_conf(TEST_CONF("test", "http://127.0.0.1:8080",
                        TEST_HYPERPAY("http://127.0.0.1:9000")), NULL);

    test_conf(TEST_CONF("live", "https://studio.example",
                        TEST_HYPERPAY("https://eu-test.oppwa.com")),
              "hyperpay: \"base_url\" is not of the mode \"live\"");
    test_conf(TEST_CONF("test", "https://studio.example",
                        TEST_HYPERPAY("https://eu-prod.oppwa.com")),
              "hyperpay: \"base_url\" is not of the mode \"test\"");
    test_conf(TEST_CONF("live", "https://studio.example",
                        TEST_HYPERPAY("https://127.0.0.1")),
              "hyperpay: \"base_url\" is not of the mode \"live\"");
    test_conf(TEST_CONF("test", "https://studio.example",
                        TEST_HYPERPAY("http://eu-test.oppwa.com")),
              "hyperpay: \"base_url\" is not https:");
    test_conf(TEST_CONF("test", "https://studio.example",
                        TEST_HYPERPAY("https://eu-test.oppwa.com@evil")),
              "hyperpay: \"base_url\" is not https: with a host and nothing"
              " after it");
    test_conf(TEST_CONF("test", "https://studio.example",
                        TEST_HYPERPAY("https://eu-test.oppwa.com/")),
              "hyperpay: \"base_url\" is not https: with a host and nothing"
              " after it");
    test_conf(TEST_CONF("live", "http://127.0.0.1:8080",
                        TEST_HYPERPAY("https://eu-prod.oppwa.com")),
              "\"url\" is not https: with a host and nothing after it");
    test_conf(TEST_CONF("both", "https://studio.example", ""),
              "\"mode\" is \"test\" or \"live\"");
    test_conf(TEST_CONF("test", "https://studio.example", ""),
              "\"providers\" has none");
    test_conf(TEST_CONF("test", "https://studio.example", "\"bank\":{}"),
              "there is no provider \"bank\"");
    test_conf(TEST_CONF("test", "https://studio.example",
                        "\"hyperpay\":{\"base_url\":"
                        "\"https://eu-test.oppwa.com\",\"tokn\":\"x\"}"),
              "hyperpay: \"tokn\" is not known");
    test_conf(TEST_CONF("test", "https://studio.example",
                        "\"hyperpay\":{\"base_url\":"
                        "\"https://eu-test.oppwa.com\",\"currency\":\"XXX\""
                        "}"), "hyperpay: \"currency\" is none that it takes");
    test_conf(TEST_CONF("test", "https://studio.example",
                        "\"hyperpay\":{\"base_url\":"
                        "\"https://eu-test.oppwa.com\",\"currency\":\"JOD\","
                        "\"entity_id\":\"8a\",\"token\":\"secret\"}"),
              "hyperpay: \"token\" is not \"env:NAME\" or \"file:PATH\" of a"
              " secret");
    test_conf(TEST_CONF("test", "https://studio.example",
                        "\"hyperpay\":{\"base_url\":"
                        "\"https://eu-test.oppwa.com\",\"currency\":\"JOD\","
                        "\"entity_id\":\"8a\",\"token\":\"env:TEST_TOKEN\","
                        "\"webhook_key\":\"env:TEST_SHORT\",\"brands\":\"V\""
                        "}"),
              "hyperpay: \"webhook_key\" is not 64 hexadecimal digits");
    test_conf("{", "it is no JSON: the JSON text ends too early at byte 1");
}


/* NULL: it is good */

static void
test_conf(const char *text, const char *reason)
{
    ngx_int_t         rc;
    ngx_str_t         data;
    pulse_pay_conf_t  conf;

    unit_case("%s", text);

    conf.pool = pool;
    data.data = (u_char *) text;
    data.len = strlen(text);

    rc = pulse_pay_conf_read(&conf, &data);

    check_int(rc, reason ? NGX_ERROR : NGX_OK);

    if (reason) {
        check_mem(conf.reason, strlen(conf.reason), reason, strlen(reason));
    }

    unit_case(NULL);
}


static void
test_account(pulse_pay_account_t *account)
{
    ngx_str_t  code;

    ngx_memzero(account, sizeof(pulse_pay_account_t));

    ngx_str_set(&code, "JOD");

    account->provider = &pulse_pay_paytabs;
    account->currency = pulse_currency_find(&code);
    ngx_str_set(&account->base, "https://secure-jordan.paytabs.com");
    ngx_str_set(&account->id, "42");
    ngx_str_set(&account->secret, "server-key");

    check(pulse_pay_paytabs.accept(account) == NULL);
}
