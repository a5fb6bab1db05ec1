
#include "pulse_pay_conf.h"
#include "unit.h"


static void test_published(void);
static void test_forged(void);
static void test_codes(void);
static void test_code(const char *code, ngx_uint_t live,
    pulse_pay_state_e state, ngx_uint_t alarm);
static void test_calls(void);
static void test_checkouts(void);
static void test_status(void);
static void test_amounts(void);
static void test_event(const char *text, ngx_int_t rc,
    pulse_pay_state_e state, int64_t amount);
static void test_account(pulse_pay_account_t *account);
static ngx_int_t test_webhook(const char *vector, const char *tag,
    const char *body, pulse_pay_event_t *event);


static ngx_pool_t  *pool;


int
main(void)
{
    pool = unit_pool();

    test_published();
    test_forged();
    test_codes();
    test_calls();
    test_checkouts();
    test_status();
    test_amounts();

    ngx_destroy_pool(pool);

    return unit_done();
}


/* Both messages of the documentation are authentic, in digits and in JSON,
 * and say nothing of a payment. */

static void
test_published(void)
{
    pulse_pay_event_t  event;

    check_int(test_webhook("000000000000000000000000",
                           "CE573FB7A41AB78E743180DC83FF09BD",
                           "0A3471C72D9BE49A8520F79C66BBD9A12FF9", &event),
              NGX_DONE);
    check_int(test_webhook("3D575574536D450F71AC76D8",
                           "19FDD068C6F383C173D3A906F7BD1D83",
                           "F8E2F759E528CB69375E51DB2AF9B53734E393", &event),
              NGX_DONE);
    check_int(test_webhook("3d575574536d450f71ac76d8",
                           "19fdd068c6f383c173d3a906f7bd1d83",
                           "{\"encryptedBody\":"
                           "\"F8E2F759E528CB69375E51DB2AF9B53734E393\"}",
                           &event),
              NGX_DONE);
}


static void
test_forged(void)
{
    size_t             i, len;
    char               tag[40], body[64];
    pulse_pay_event_t  event;

    static const char  vector[] = "000000000000000000000000";
    static const char  good[] = "CE573FB7A41AB78E743180DC83FF09BD";
    static const char  cipher[] = "0A3471C72D9BE49A8520F79C66BBD9A12FF9";

    /* a tag that is cut, at every length, and each of its digits */

    for (len = 0; len < sizeof(good) - 1; len++) {
        snprintf(tag, sizeof(tag), "%.*s", (int) len, good);
        check_int(test_webhook(vector, tag, cipher, &event), NGX_DECLINED);

        strcpy(tag, good);
        tag[len] = (tag[len] == '0') ? '1' : '0';
        check_int(test_webhook(vector, tag, cipher, &event), NGX_DECLINED);
    }

    for (i = 0; i < sizeof(cipher) - 1; i++) {
        strcpy(body, cipher);
        body[i] = (body[i] == '0') ? '1' : '0';
        check_int(test_webhook(vector, good, body, &event), NGX_DECLINED);

        body[i] = 'g';
        check_int(test_webhook(vector, good, body, &event), NGX_DECLINED);
    }

    check_int(test_webhook("00", good, cipher, &event), NGX_DECLINED);
    check_int(test_webhook("", "", "", &event), NGX_DECLINED);
    check_int(test_webhook(vector, good, "", &event), NGX_DECLINED);
    check_int(test_webhook(vector, good, "{", &event), NGX_DECLINED);
    check_int(test_webhook(vector, good, "{\"encryptedBody\":7}", &event),
              NGX_DECLINED);
    check_int(test_webhook(vector, good,
                           "CjRxxy2b5JqFIPecZrvZoS/5", &event), NGX_DECLINED);
    check_int(test_webhook(vector, good,
                           "{\"encryptedBody\":\"CjRxxy2b5JqFIPecZrvZ\"}",
                           &event), NGX_DECLINED);
}


/* at least one code of each group, and those that two expressions match */

static void
test_codes(void)
{
    test_code("000.000.000", 0, pulse_pay_paid, 0);
    test_code("000.000.100", 1, pulse_pay_paid, 0);
    test_code("000.300.000", 1, pulse_pay_paid, 0);
    test_code("000.600.000", 1, pulse_pay_paid, 0);
    test_code("000.400.110", 1, pulse_pay_paid, 0);
    test_code("000.400.120", 1, pulse_pay_paid, 0);

    test_code("000.100.110", 0, pulse_pay_paid, 0);
    test_code("000.100.110", 1, pulse_pay_failed, 1);
    test_code("000.100.112", 1, pulse_pay_failed, 1);
    test_code("000.100.105", 1, pulse_pay_paid, 0);

    test_code("000.400.000", 0, pulse_pay_review, 0);
    test_code("000.400.020", 0, pulse_pay_review, 0);
    test_code("000.400.100", 0, pulse_pay_review, 0);
    test_code("000.400.030", 0, pulse_pay_uncertain, 0);

    test_code("000.200.000", 0, pulse_pay_pending, 0);
    test_code("000.200.100", 0, pulse_pay_pending, 0);
    test_code("800.400.500", 0, pulse_pay_pending, 0);
    test_code("100.400.500", 0, pulse_pay_pending, 0);
    test_code("800.120.100", 0, pulse_pay_pending, 0);
    test_code("700.400.580", 0, pulse_pay_pending, 0);
    test_code("200.300.404", 0, pulse_pay_pending, 0);

    test_code("900.100.300", 0, pulse_pay_uncertain, 0);
    test_code("900.100.100", 0, pulse_pay_uncertain, 0);

    test_code("300.100.100", 0, pulse_pay_failed, 0);
    test_code("000.400.101", 0, pulse_pay_failed, 0);
    test_code("000.400.200", 0, pulse_pay_failed, 0);
    test_code("800.100.151", 0, pulse_pay_failed, 0);
    test_code("800.700.100", 0, pulse_pay_failed, 0);
    test_code("800.500.100", 0, pulse_pay_failed, 0);
    test_code("999.999.999", 0, pulse_pay_failed, 0);
    test_code("100.396.101", 0, pulse_pay_failed, 0);
    test_code("100.400.000", 0, pulse_pay_failed, 0);
    test_code("800.400.100", 0, pulse_pay_failed, 0);
    test_code("100.380.401", 0, pulse_pay_failed, 0);
    test_code("100.100.701", 0, pulse_pay_failed, 0);
    test_code("800.200.159", 0, pulse_pay_failed, 0);
    test_code("800.110.100", 0, pulse_pay_failed, 0);
    test_code("100.800.100", 0, pulse_pay_failed, 0);
    test_code("100.700.100", 0, pulse_pay_failed, 0);
    test_code("100.100.101", 0, pulse_pay_failed, 0);
    test_code("100.550.300", 0, pulse_pay_failed, 0);

    test_code("600.200.400", 0, pulse_pay_failed, 1);
    test_code("100.150.100", 0, pulse_pay_failed, 1);
    test_code("700.100.100", 0, pulse_pay_failed, 1);
    test_code("200.100.101", 0, pulse_pay_failed, 1);

    test_code("000.100.220", 0, pulse_pay_charged_back, 1);

    /* none that is known */

    test_code("123.456.789", 0, pulse_pay_failed, 1);
    test_code("000-000-000", 0, pulse_pay_failed, 1);
    test_code("000.000.00x", 0, pulse_pay_failed, 1);
}


static void
test_code(const char *code, ngx_uint_t live, pulse_pay_state_e state,
    ngx_uint_t alarm)
{
    char                 text[256];
    pulse_pay_event_t    event;
    pulse_pay_answer_t   answer;
    pulse_pay_account_t  account;

    unit_case("%s %s", code, live ? "live" : "test");

    test_account(&account);
    account.live = live;

    answer.status = 200;
    answer.body.data = (u_char *) text;
    answer.body.len = snprintf(text, sizeof(text),
                               "{\"id\":\"p\",\"paymentType\":\"DB\",\"amount"
                               "\":\"5.00\",\"currency\":\"JOD\",\"result\":"
                               "{\"code\":\"%s\"}}", code);

    check_int(pulse_pay_hyperpay.status_read(&account, pool, &answer, &event),
              NGX_OK);
    check_int(event.state, state);
    check_int(event.alarm, alarm);

    unit_case(NULL);
}


static void
test_calls(void)
{
    pulse_pay_call_t     call;
    pulse_pay_order_t    order;
    pulse_pay_account_t  account;

    test_account(&account);
    ngx_memzero(&order, sizeof(pulse_pay_order_t));

    order.money.amount = 3000;
    order.money.currency = account.currency;
    ngx_str_set(&order.id, "018f2b1e-0000-7000-8000-000000000001");
    ngx_str_set(&order.email, "a+b&c=d@example.com");

    check_int(pulse_pay_hyperpay.checkout(&account, pool, &order, &call),
              NGX_OK);
    check_text(call.method, "POST");
    check_text((char *) call.url.data, "https://eu-test.oppwa.com"
               "/v1/checkouts");
    check_text((char *) call.authorization.data, "Bearer secret");
    check_text((char *) call.body.data, "entityId=8a82&amount=3.00&currency="
               "JOD&paymentType=DB&merchantTransactionId=018f2b1e-0000-7000-"
               "8000-000000000001&customer.email=a%2Bb%26c%3Dd%40example.com"
               "&integrity=true&testMode=EXTERNAL");

    account.live = 1;
    check_int(pulse_pay_hyperpay.checkout(&account, pool, &order, &call),
              NGX_OK);
    check(strstr((char *) call.body.data, "testMode") == NULL);

    order.money.amount = 3005;
    check_int(pulse_pay_hyperpay.checkout(&account, pool, &order, &call),
              NGX_DECLINED);

    ngx_str_set(&order.reference, "300BF82C.uat01-vm-tx02");
    order.age = 60;
    check_int(pulse_pay_hyperpay.status(&account, pool, &order, &call),
              NGX_OK);
    check_text(call.method, "GET");
    check_text((char *) call.url.data, "https://eu-test.oppwa.com/v1/checkouts"
               "/300BF82C.uat01-vm-tx02/payment?entityId=8a82");

    order.age = 1800;
    check_int(pulse_pay_hyperpay.status(&account, pool, &order, &call),
              NGX_OK);
    check_text((char *) call.url.data, "https://eu-test.oppwa.com/v1/query?"
               "entityId=8a82&merchantTransactionId=018f2b1e-0000-7000-8000-"
               "000000000001");
}


static void
test_checkouts(void)
{
    size_t                i;
    pulse_pay_answer_t    answer;
    pulse_pay_account_t   account;
    pulse_pay_checkout_t  checkout;

    static const char *const  refused[] = {
        "", "<html>", "{}", "[]",
        "{\"id\":\"a\",\"result\":{\"code\":\"200.300.404\"}}",
        "{\"result\":{\"code\":\"000.200.100\"}}",
        "{\"id\":7e400,\"result\":{\"code\":\"000.200.100\"},\"id\":\"a\"}",
        "{\"id\":\"a/b\",\"result\":{\"code\":\"000.200.100\"}}",
        "{\"id\":\"..\",\"result\":{\"code\":\"000.200.100\"}}",
        "{\"id\":\"a?b\",\"result\":{\"code\":\"000.200.100\"}}"
    };

    test_account(&account);
    answer.status = 200;

    ngx_str_set(&answer.body, "{\"id\":\"300BF82C.uat01-vm-tx02\",\"integrity"
                "\":\"sha384-x\",\"result\":{\"code\":\"000.200.100\"},"
                "\"new\":[1]}");
    check_int(pulse_pay_hyperpay.checkout_read(&account, pool, &answer,
                                               &checkout), NGX_OK);
    check_str(&checkout.reference, "300BF82C.uat01-vm-tx02");
    check_str(&checkout.integrity, "sha384-x");
    check_int(checkout.url.len, 0);

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        unit_case("%s", refused[i]);
        answer.body.data = (u_char *) refused[i];
        answer.body.len = strlen(refused[i]);
        check_int(pulse_pay_hyperpay.checkout_read(&account, pool, &answer,
                                                   &checkout), NGX_DECLINED);
    }

    unit_case(NULL);
}


#define TEST_OBJECT(type, code)                                               \
    "{\"id\":\"pay1\",\"paymentType\":\"" type "\",\"amount\":\"5.00\","      \
    "\"currency\":\"JOD\",\"merchantTransactionId\":\"order1\",\"ndc\":"      \
    "\"chk_1_abc\",\"timestamp\":\"t1\",\"referencedId\":\"pay0\","           \
    "\"result\":{\"code\":\"" code "\"}}"


static void
test_status(void)
{
    pulse_pay_event_t    event;
    pulse_pay_answer_t   answer;
    pulse_pay_account_t  account;

    test_account(&account);
    answer.status = 200;

    ngx_str_set(&answer.body, TEST_OBJECT("DB", "000.000.000"));
    check_int(pulse_pay_hyperpay.status_read(&account, pool, &answer, &event),
              NGX_OK);
    check_str(&event.payment, "pay1");
    check_str(&event.order, "order1");
    check_str(&event.reference, "chk_1");
    check_str(&event.parent, "pay0");
    check_str(&event.code, "000.000.000");
    check_str(&event.key, "pay1|000.000.000|t1");

    test_event(TEST_OBJECT("DB", "000.000.000"), NGX_OK, pulse_pay_paid, 5000);
    test_event(TEST_OBJECT("PA", "000.000.000"), NGX_OK, pulse_pay_pending,
               5000);
    test_event(TEST_OBJECT("RF", "000.000.000"), NGX_OK, pulse_pay_refunded,
               5000);
    test_event(TEST_OBJECT("RV", "000.000.000"), NGX_OK, pulse_pay_refunded,
               5000);
    test_event(TEST_OBJECT("RF", "800.100.151"), NGX_OK, pulse_pay_pending,
               5000);
    test_event(TEST_OBJECT("CB", "000.100.220"), NGX_OK,
               pulse_pay_charged_back, 5000);

    /* the answer to the question, and no payment, is no success */

    test_event("{\"result\":{\"code\":\"000.000.100\"},\"payments\":[]}",
               NGX_OK, pulse_pay_pending, -1);
    test_event("{\"result\":{\"code\":\"000.000.000\"}}", NGX_OK,
               pulse_pay_pending, -1);

    /* one good payment among several, wherever it is */

    test_event("{\"result\":{\"code\":\"000.000.100\"},\"payments\":["
               TEST_OBJECT("DB", "800.100.151") ","
               TEST_OBJECT("DB", "000.000.000") ","
               TEST_OBJECT("RF", "000.000.000") ","
               TEST_OBJECT("DB", "800.100.152") "]}",
               NGX_OK, pulse_pay_paid, 5000);
    test_event("{\"result\":{\"code\":\"000.000.100\"},\"payments\":["
               TEST_OBJECT("DB", "900.100.300") ","
               TEST_OBJECT("DB", "800.100.151") "]}",
               NGX_OK, pulse_pay_uncertain, 5000);

    test_event("", NGX_DECLINED, 0, 0);
    test_event("{}", NGX_DECLINED, 0, 0);
    test_event("{\"result\":7}", NGX_DECLINED, 0, 0);
    test_event("{\"result\":{\"code\":\"000.000.0000\"}}", NGX_DECLINED, 0,
               0);
}


/* what is not said is the whole; what is said and cannot be read is none */

static void
test_amounts(void)
{
    size_t                   i;
    ngx_str_t                text;
    pulse_money_t            money;
    ngx_pulse_json_value_t  *v;

    static const struct {
        const char  *text;
        int64_t      amount;
        ngx_uint_t   known;
    } cases[] = {
        { "{\"amount\":\"5.00\",\"currency\":\"JOD\"}", 5000, 1 },
        { "{\"amount\":5.0,\"currency\":\"JOD\"}", 5000, 1 },
        { "{\"currency\":\"JOD\"}", 0, 0 },
        { "{\"amount\":null,\"currency\":null}", 0, 0 },
        { "{}", 0, 0 },
        { "{\"amount\":\"5,00\",\"currency\":\"JOD\"}", -1, 0 },
        { "{\"amount\":\"\",\"currency\":\"JOD\"}", -1, 0 },
        { "{\"amount\":\"5.00\",\"currency\":\"XYZ\"}", -1, 0 },
        { "{\"amount\":\"5.00\"}", -1, 0 },
        { "{\"amount\":[5],\"currency\":\"JOD\"}", -1, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].text);

        text.data = (u_char *) cases[i].text;
        text.len = strlen(cases[i].text);

        v = pulse_pay_json(pool, &text);
        check(v != NULL);

        pulse_pay_money(v, "amount", "currency", &money);

        check_int(money.amount, cases[i].amount);
        check_int(money.currency != NULL, cases[i].known);
    }

    unit_case(NULL);
}


static void
test_event(const char *text, ngx_int_t rc, pulse_pay_state_e state,
    int64_t amount)
{
    pulse_pay_event_t    event;
    pulse_pay_answer_t   answer;
    pulse_pay_account_t  account;

    unit_case("%s", text);
    test_account(&account);

    answer.status = 200;
    answer.body.data = (u_char *) text;
    answer.body.len = strlen(text);

    check_int(pulse_pay_hyperpay.status_read(&account, pool, &answer, &event),
              rc);

    if (rc == NGX_OK) {
        check_int(event.state, state);
        check_int(event.money.currency ? event.money.amount : -1, amount);
    }

    unit_case(NULL);
}


static void
test_account(pulse_pay_account_t *account)
{
    ngx_str_t  code;

    ngx_memzero(account, sizeof(pulse_pay_account_t));

    ngx_str_set(&code, "JOD");

    account->provider = &pulse_pay_hyperpay;
    account->currency = pulse_currency_find(&code);
    ngx_str_set(&account->base, "https://eu-test.oppwa.com");
    ngx_str_set(&account->id, "8a82");
    ngx_str_set(&account->secret, "secret");
    ngx_str_set(&account->signer, "000102030405060708090a0b0c0d0e0f"
                                  "000102030405060708090A0B0C0D0E0F");

    check(pulse_pay_hyperpay.accept(account) == NULL);
}


static ngx_int_t
test_webhook(const char *vector, const char *tag, const char *body,
    pulse_pay_event_t *event)
{
    pulse_pay_account_t  account;
    pulse_pay_webhook_t  webhook;

    test_account(&account);
    ngx_memzero(&webhook, sizeof(pulse_pay_webhook_t));

    webhook.vector.data = (u_char *) vector;
    webhook.vector.len = strlen(vector);
    webhook.tag.data = (u_char *) tag;
    webhook.tag.len = strlen(tag);
    webhook.body.data = (u_char *) body;
    webhook.body.len = strlen(body);

    return pulse_pay_hyperpay.webhook(&account, pool, &webhook, event);
}
