
#include "pulse_pay_jwt.h"
#include "pulse_query.h"
#include "unit.h"


/* of the merchant that is published for tests */

#define TEST_SECRET  "$2y$10$hBbAZo2GfSSvyqAyV2SaqOfYewgYpfR1O19gIh4SqyGWdmyS" \
                     "ZYPuS"
#define TEST_ORDER   "018f2b1e-0000-7000-8000-000000000001"


static void test_checkout(void);
static void test_checkout_read(void);
static void test_status(void);
static void test_states(void);
static void test_browser(void);
static void test_tokens(void);
static void test_claims(const ngx_str_t *body, const char *text);
static void test_account(pulse_pay_account_t *account);
static void test_order(pulse_pay_order_t *order,
    const pulse_pay_account_t *account);


static ngx_pool_t  *pool;


int
main(void)
{
    pool = unit_pool();

    test_checkout();
    test_checkout_read();
    test_status();
    test_states();
    test_browser();
    test_tokens();

    ngx_destroy_pool(pool);

    return unit_done();
}


static void
test_checkout(void)
{
    pulse_pay_call_t     call;
    pulse_pay_order_t    order;
    pulse_pay_account_t  account;

    test_account(&account);
    test_order(&order, &account);

    check_int(pulse_pay_zaincash_v1.checkout(&account, pool, &order, &call),
              NGX_OK);
    check_text(call.method, "POST");
    check_text(call.type, "application/x-www-form-urlencoded");
    check_text((char *) call.url.data,
               "https://test.zaincash.iq/transaction/init");
    test_claims(&call.body, "{\"amount\":25000,\"serviceType\":\"plans\","
                "\"orderId\":\"" TEST_ORDER "\",\"redirectUrl\":"
                "\"https://studio.example/back\",\"msisdn\":"
                "\"9647835077893\",\"iat\":1000,\"exp\":15400}");
    check(strstr((char *) call.body.data,
                 "&merchantId=5ffacf6612b5777c6d44266f&lang=ar") != NULL);

    order.arabic = 0;
    check_int(pulse_pay_zaincash_v1.checkout(&account, pool, &order, &call),
              NGX_OK);
    check(strstr((char *) call.body.data, "&lang=en") != NULL);

    order.money.amount = 0;
    check_int(pulse_pay_zaincash_v1.checkout(&account, pool, &order, &call),
              NGX_DECLINED);
}


static void
test_checkout_read(void)
{
    size_t                i;
    pulse_pay_answer_t    answer;
    pulse_pay_account_t   account;
    pulse_pay_checkout_t  checkout;

    static const char *const  refused[] = {
        "", "[]", "{}", "{\"err\":{\"msg\":\"Invalid token\"}}",
        "{\"id\":\"\"}", "{\"id\":\"a/b\"}", "{\"id\":\"..\"}",
        "{\"id\":\"a&id=b\"}", "{\"id\":{}}",
        "{\"id\":\"58650f0f90c6362288da08cf\",\"err\":{}}"
    };

    test_account(&account);
    answer.status = 200;

    ngx_str_set(&answer.body, "{\"id\":\"58650f0f90c6362288da08cf\","
                "\"amount\":\"25000\",\"status\":\"pending\"}");
    check_int(pulse_pay_zaincash_v1.checkout_read(&account, pool, &answer,
                                                  &checkout), NGX_OK);
    check_str(&checkout.reference, "58650f0f90c6362288da08cf");
    check_text((char *) checkout.url.data, "https://test.zaincash.iq"
               "/transaction/pay?id=58650f0f90c6362288da08cf");

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        unit_case("%s", refused[i]);
        answer.body.data = (u_char *) refused[i];
        answer.body.len = strlen(refused[i]);
        check_int(pulse_pay_zaincash_v1.checkout_read(&account, pool, &answer,
                                                      &checkout),
                  NGX_DECLINED);
    }

    unit_case(NULL);
}


static void
test_status(void)
{
    size_t               i;
    pulse_pay_call_t     call;
    pulse_pay_order_t    order;
    pulse_pay_event_t    event;
    pulse_pay_answer_t   answer;
    pulse_pay_account_t  account;

    static const char *const  refused[] = {
        "", "{}", "{\"err\":{\"msg\":\"not found\"}}",
        "{\"id\":\"t1\",\"orderId\":\"o\",\"amount\":\"1\"}",
        "{\"status\":\"completed\",\"orderId\":\"o\",\"amount\":\"1\"}",
        "{\"status\":\"completed\",\"id\":\"t1\",\"amount\":\"1\"}",
        "{\"status\":[\"completed\"],\"id\":\"t1\",\"orderId\":\"o\"}"
    };

    test_account(&account);
    test_order(&order, &account);

    check_int(pulse_pay_zaincash_v1.status(&account, pool, &order, &call),
              NGX_OK);
    check_text((char *) call.url.data,
               "https://test.zaincash.iq/transaction/get");
    test_claims(&call.body, "{\"id\":\"t1\",\"msisdn\":\"9647835077893\","
                "\"iat\":1000,\"exp\":15400}");

    answer.status = 200;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        unit_case("%s", refused[i]);
        answer.body.data = (u_char *) refused[i];
        answer.body.len = strlen(refused[i]);
        check_int(pulse_pay_zaincash_v1.status_read(&account, pool, &answer,
                                                    &event), NGX_DECLINED);
    }

    unit_case(NULL);

    ngx_str_set(&answer.body, "{\"status\":\"completed\",\"id\":\"t1\","
                "\"orderId\":\"o\",\"amount\":\"0.5\"}");
    check_int(pulse_pay_zaincash_v1.status_read(&account, pool, &answer,
                                                &event), NGX_OK);
    check(event.money.currency == NULL);
}


static void
test_states(void)
{
    size_t               i;
    char                 text[256];
    pulse_pay_event_t    event;
    pulse_pay_answer_t   answer;
    pulse_pay_account_t  account;

    static const struct {
        const char         *status;
        pulse_pay_state_e   state;
        ngx_uint_t          alarm;
    } cases[] = {
        { "pending", pulse_pay_pending, 0 },
        { "pending_otp", pulse_pay_pending, 0 },
        { "completed", pulse_pay_paid, 0 },
        { "failed", pulse_pay_failed, 0 },
        { "cancel", pulse_pay_failed, 0 },
        { "success", pulse_pay_uncertain, 1 },
        { "complete", pulse_pay_uncertain, 1 },
        { "COMPLETED", pulse_pay_uncertain, 1 }
    };

    test_account(&account);
    answer.status = 200;
    answer.body.data = (u_char *) text;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].status);

        answer.body.len = snprintf(text, sizeof(text), "{\"status\":\"%s\","
            "\"id\":\"t1\",\"orderId\":\"o\",\"amount\":\"25000\"}",
            cases[i].status);

        check_int(pulse_pay_zaincash_v1.status_read(&account, pool, &answer,
                                                    &event), NGX_OK);
        check_int(event.state, cases[i].state);
        check_int(event.alarm, cases[i].alarm);
        check_int(event.money.amount, 25000);
        check_text(event.money.currency->code, "IQD");
        check_str(&event.reference, "t1");
        check_str(&event.payment, "t1");
        check_str(&event.order, "o");
    }

    unit_case(NULL);
}


static void
test_browser(void)
{
    size_t               len;
    ngx_str_t            claims, token, fields, order;
    ngx_pulse_buf_t      b;
    pulse_pay_account_t  account;

    test_account(&account);

    ngx_str_set(&claims, "{\"status\":\"success\",\"orderid\":\"" TEST_ORDER
                "\",\"id\":\"t1\",\"iat\":1,\"exp\":2}");
    check_int(pulse_pay_jwt_write(pool, &account.secret, &claims, &token),
              NGX_OK);

    for (len = 0; len <= token.len; len++) {
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, "token=");
        ngx_pulse_buf_append(&b, token.data, len);
        check_int(pulse_pay_take(pool, &b, &fields), NGX_OK);

        ngx_str_null(&order);
        check_int(pulse_pay_zaincash_v1.browser(&account, pool, &fields,
                                                &order),
                  len == token.len ? NGX_OK : NGX_DECLINED);
    }

    check_str(&order, TEST_ORDER);

    ngx_str_set(&fields, "payment=1");
    check_int(pulse_pay_zaincash_v1.browser(&account, pool, &fields, &order),
              NGX_DECLINED);
}


/* RFC 7515, A.1, has another key; this is of jwt.io's first page. */

static void
test_tokens(void)
{
    ngx_str_t                key, claims, token, said;
    ngx_pulse_json_value_t  *v;

    ngx_str_set(&key, "your-256-bit-secret");
    ngx_str_set(&claims, "{\"sub\":\"1234567890\",\"name\":\"John Doe\","
                "\"iat\":1516239022}");
    check_int(pulse_pay_jwt_write(pool, &key, &claims, &token), NGX_OK);
    check_str(&token, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0N"
              "TY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
              "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c");
    check_int(pulse_pay_jwt_read(pool, &key, &token, 1, &v), NGX_OK);
    said = pulse_pay_text(v, "name", 20);
    check_str(&said, "John Doe");

    ngx_str_set(&claims, "{\"exp\":1000}");
    check_int(pulse_pay_jwt_write(pool, &key, &claims, &token), NGX_OK);
    check_int(pulse_pay_jwt_read(pool, &key, &token, 1059, &v), NGX_OK);
    check_int(pulse_pay_jwt_read(pool, &key, &token, 1060, &v),
              NGX_DECLINED);
    check_int(pulse_pay_jwt_read(pool, &key, &token, 0, &v), NGX_OK);
}


/* The token of a form is what the merchant's secret makes of the claims. */

static void
test_claims(const ngx_str_t *body, const char *text)
{
    ngx_str_t             claims, token;
    pulse_query_t         query;
    const ngx_str_t      *said;
    pulse_pay_account_t   account;

    test_account(&account);

    claims.data = (u_char *) text;
    claims.len = strlen(text);

    check_int(pulse_pay_jwt_write(pool, &account.secret, &claims, &token),
              NGX_OK);
    check_int(pulse_query_read(pool, body, &query), NGX_OK);

    said = pulse_query_get(&query, "token");
    check(said != NULL && said->len == token.len
          && ngx_memcmp(said->data, token.data, token.len) == 0);
}


static void
test_account(pulse_pay_account_t *account)
{
    ngx_str_t  code;

    ngx_memzero(account, sizeof(pulse_pay_account_t));

    ngx_str_set(&code, "IQD");

    account->provider = &pulse_pay_zaincash_v1;
    account->currency = pulse_currency_find(&code);
    ngx_str_set(&account->base, "https://test.zaincash.iq");
    ngx_str_set(&account->id, "5ffacf6612b5777c6d44266f");
    ngx_str_set(&account->secret, TEST_SECRET);
    ngx_str_set(&account->options[0], "9647835077893");
    ngx_str_set(&account->options[1], "plans");

    check(pulse_pay_zaincash_v1.accept(account) == NULL);
}


static void
test_order(pulse_pay_order_t *order, const pulse_pay_account_t *account)
{
    ngx_memzero(order, sizeof(pulse_pay_order_t));

    order->money.amount = 25000;
    order->money.currency = account->currency;
    order->now = 1000;
    order->arabic = 1;
    ngx_str_set(&order->id, TEST_ORDER);
    ngx_str_set(&order->reference, "t1");
    ngx_str_set(&order->url, "https://studio.example/back?payment=1");
}
