
#include "ngx_pulse_base64url.h"
#include "ngx_pulse_jwk.h"
#include "pulse_pay.h"
#include "unit.h"


static void test_calls(void);
static void test_tokens(void);
static void test_status(void);
static void test_webhooks(void);
static void test_webhook(const char *head, const char *claims,
    const char *secret, ngx_int_t rc, pulse_pay_state_e state);
static ngx_str_t test_jwt(const char *head, const char *claims,
    const char *secret);
static void test_account(pulse_pay_account_t *account);


static ngx_pool_t  *pool;


int
main(void)
{
    pool = unit_pool();

    test_calls();
    test_tokens();
    test_status();
    test_webhooks();

    ngx_destroy_pool(pool);

    return unit_done();
}


static void
test_calls(void)
{
    pulse_pay_call_t      call;
    pulse_pay_order_t     order;
    pulse_pay_answer_t    answer;
    pulse_pay_account_t   account;
    pulse_pay_checkout_t  checkout;

    test_account(&account);
    ngx_memzero(&order, sizeof(pulse_pay_order_t));

    order.money.amount = 25000;
    order.money.currency = account.currency;
    ngx_str_set(&order.id, "018f2b1e-0000-7000-8000-000000000001");
    ngx_str_set(&order.url, "https://studio.example/back");
    ngx_str_set(&order.bearer, "abc");
    ngx_str_set(&order.reference, "tx-1");

    check_int(pulse_pay_zaincash.token(&account, pool, &call), NGX_OK);
    check_text((char *) call.url.data,
               "https://pg-api-uat.zaincash.iq/oauth2/token");
    check_text((char *) call.body.data, "grant_type=client_credentials"
               "&client_id=client&client_secret=s%26cret&scope=payment%3Aread"
               "+payment%3Awrite");

    check_int(pulse_pay_zaincash.checkout(&account, pool, &order, &call),
              NGX_OK);
    check_text((char *) call.url.data, "https://pg-api-uat.zaincash.iq/api/v2"
               "/payment-gateway/transaction/init");
    check_text((char *) call.authorization.data, "Bearer abc");
    check_text((char *) call.body.data, "{\"language\":\"en\",\"amount\":"
               "{\"currency\":\"IQD\",\"value\":\"25000\"},"
               "\"externalReferenceId\":\"018f2b1e-0000-7000-8000-"
               "000000000001\",\"orderId\":\"018f2b1e-0000-7000-8000-"
               "000000000001\",\"serviceType\":\"plans\",\"redirectUrls\":"
               "{\"successUrl\":\"https://studio.example/back\","
               "\"failureUrl\":\"https://studio.example/back\"}}");

    check_int(pulse_pay_zaincash.status(&account, pool, &order, &call),
              NGX_OK);
    check_text((char *) call.url.data, "https://pg-api-uat.zaincash.iq/api/v2"
               "/payment-gateway/transaction/inquiry/tx-1");

    answer.status = 200;
    ngx_str_set(&answer.body, "{\"status\":\"SUCCESS\",\"transactionDetails\":"
                "{\"transactionId\":\"tx-1\"},\"redirectUrl\":\"https://z\"}");
    check_int(pulse_pay_zaincash.checkout_read(&account, pool, &answer,
                                               &checkout), NGX_OK);
    check_str(&checkout.reference, "tx-1");
    check_str(&checkout.url, "https://z");

    ngx_str_set(&answer.body, "{\"status\":\"FAILED\",\"transactionDetails\":"
                "{\"transactionId\":\"tx-1\"},\"redirectUrl\":\"https://z\"}");
    check_int(pulse_pay_zaincash.checkout_read(&account, pool, &answer,
                                               &checkout), NGX_DECLINED);
}


static void
test_tokens(void)
{
    size_t              i;
    int64_t             lives;
    ngx_str_t           bearer;
    pulse_pay_answer_t  answer;

    static const char *const  refused[] = {
        "", "{}", "{\"error\":\"invalid_client\"}",
        "{\"access_token\":\"abc\"}",
        "{\"access_token\":\"\",\"expires_in\":10}",
        "{\"access_token\":\"a b\",\"expires_in\":10}",
        "{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":10}",
        "{\"access_token\":\"abc\",\"expires_in\":1e9}"
    };

    answer.status = 200;

    ngx_str_set(&answer.body, "{\"access_token\":\"abc\",\"expires_in\":86399}");
    check_int(pulse_pay_zaincash.token_read(pool, &answer, &bearer, &lives),
              NGX_OK);
    check_str(&bearer, "abc");
    check_int(lives, 86399);

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        unit_case("%s", refused[i]);
        answer.body.data = (u_char *) refused[i];
        answer.body.len = strlen(refused[i]);
        check_int(pulse_pay_zaincash.token_read(pool, &answer, &bearer,
                                                &lives), NGX_DECLINED);
    }

    unit_case(NULL);
}


static void
test_status(void)
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
        { "PENDING", pulse_pay_pending, 0 },
        { "OTP_SENT", pulse_pay_pending, 0 },
        { "CUSTOMER_AUTHENTICATION_REQUIRED", pulse_pay_pending, 0 },
        { "SUCCESS", pulse_pay_paid, 0 },
        { "FAILED", pulse_pay_failed, 0 },
        { "EXPIRED", pulse_pay_failed, 0 },
        { "REFUNDED", pulse_pay_refunded, 0 },
        { "success", pulse_pay_pending, 1 },
        { "NEW", pulse_pay_pending, 1 }
    };

    test_account(&account);
    answer.status = 200;
    answer.body.data = (u_char *) text;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].status);

        answer.body.len = snprintf(text, sizeof(text), "{\"status\":\"%s\","
            "\"transactionDetails\":{\"transactionId\":\"tx-1\","
            "\"externalReferenceId\":\"o\",\"amount\":{\"currency\":\"IQD\","
            "\"value\":25000,\"feeValue\":1}}}", cases[i].status);

        check_int(pulse_pay_zaincash.status_read(&account, pool, &answer,
                                                 &event), NGX_OK);
        check_int(event.state, cases[i].state);
        check_int(event.alarm, cases[i].alarm);
        check_int(event.money.amount, 25000);
        check_str(&event.order, "o");
    }

    unit_case(NULL);

    ngx_str_set(&answer.body, "{\"status\":\"SUCCESS\"}");
    check_int(pulse_pay_zaincash.status_read(&account, pool, &answer, &event),
              NGX_DECLINED);
}


#define TEST_HEAD    "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define TEST_KEY     "an api key of 24 letters"
#define TEST_DATA(status)                                                     \
    "\"eventId\":\"e1\",\"data\":{\"transactionId\":\"tx-1\","                \
    "\"merchantReferenceId\":\"o\",\"currentStatus\":\"" status "\","         \
    "\"amount\":{\"value\":\"25000\",\"currency\":\"IQD\"}}"


static void
test_webhooks(void)
{
    size_t               len;
    ngx_str_t            token;
    ngx_pulse_buf_t      b;
    pulse_pay_event_t    event;
    pulse_pay_account_t  account;
    pulse_pay_webhook_t  webhook;

    test_webhook(TEST_HEAD, "{" TEST_DATA("SUCCESS") "}", TEST_KEY, NGX_OK,
                 pulse_pay_paid);
    test_webhook(TEST_HEAD, "{\"exp\":2000," TEST_DATA("FAILED") "}",
                 TEST_KEY, NGX_OK, pulse_pay_failed);
    test_webhook(TEST_HEAD, "{\"exp\":900," TEST_DATA("SUCCESS") "}",
                 TEST_KEY, NGX_DECLINED, 0);
    test_webhook(TEST_HEAD, "{\"exp\":\"never\"," TEST_DATA("SUCCESS") "}",
                 TEST_KEY, NGX_DECLINED, 0);
    test_webhook(TEST_HEAD, "{\"nbf\":1100," TEST_DATA("SUCCESS") "}",
                 TEST_KEY, NGX_DECLINED, 0);
    test_webhook(TEST_HEAD, "{" TEST_DATA("SUCCESS") "}", "s&cret",
                 NGX_DECLINED, 0);
    test_webhook("{\"alg\":\"none\"}", "{" TEST_DATA("SUCCESS") "}", TEST_KEY,
                 NGX_DECLINED, 0);
    test_webhook("{\"alg\":\"HS512\"}", "{" TEST_DATA("SUCCESS") "}",
                 TEST_KEY, NGX_DECLINED, 0);
    test_webhook("{\"alg\":[\"HS256\"]}", "{" TEST_DATA("SUCCESS") "}",
                 TEST_KEY, NGX_DECLINED, 0);
    test_webhook(TEST_HEAD, "[]", TEST_KEY, NGX_DECLINED, 0);
    test_webhook(TEST_HEAD, "{\"eventType\":\"OTHER\"}", TEST_KEY, NGX_DONE,
                 0);

    /* a signature that is cut, at every length */

    test_account(&account);
    ngx_memzero(&webhook, sizeof(pulse_pay_webhook_t));
    webhook.now = 1000;

    ngx_str_set(&webhook.body, "{}");
    check_int(pulse_pay_zaincash.webhook(&account, pool, &webhook, &event),
              NGX_DECLINED);

    token = test_jwt(TEST_HEAD, "{" TEST_DATA("SUCCESS") "}", TEST_KEY);

    for (len = 0; len < token.len; len++) {
        ngx_pulse_buf_init(&b, 0);
        ngx_pulse_buf_literal(&b, "{\"webhook_token\":\"");
        ngx_pulse_buf_append(&b, token.data, len);
        ngx_pulse_buf_literal(&b, "\"}");

        webhook.body.data = b.data;
        webhook.body.len = b.len;

        check_int(pulse_pay_zaincash.webhook(&account, pool, &webhook,
                                             &event), NGX_DECLINED);
        ngx_pulse_buf_free(&b);
    }
}


static void
test_webhook(const char *head, const char *claims, const char *secret,
    ngx_int_t rc, pulse_pay_state_e state)
{
    ngx_str_t            token;
    ngx_pulse_buf_t      b;
    pulse_pay_event_t    event;
    pulse_pay_account_t  account;
    pulse_pay_webhook_t  webhook;

    unit_case("%s %s", head, claims);
    test_account(&account);
    ngx_memzero(&webhook, sizeof(pulse_pay_webhook_t));

    token = test_jwt(head, claims, secret);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"webhook_token\":\"");
    ngx_pulse_buf_str(&b, &token);
    ngx_pulse_buf_literal(&b, "\"}");

    webhook.body.data = b.data;
    webhook.body.len = b.len;
    webhook.now = 1000;

    check_int(pulse_pay_zaincash.webhook(&account, pool, &webhook, &event),
              rc);

    if (rc == NGX_OK) {
        check_int(event.state, state);
        check_int(event.money.amount, 25000);
        check_str(&event.key, "e1");
        check_str(&event.order, "o");
    }

    ngx_pulse_buf_free(&b);
    unit_case(NULL);
}


static ngx_str_t
test_jwt(const char *head, const char *claims, const char *secret)
{
    u_char           encoded[1024];
    ngx_str_t        token, input;
    ngx_pulse_buf_t  b, signature;
    ngx_pulse_jwk_t  key;

    ngx_memzero(&key, sizeof(ngx_pulse_jwk_t));
    key.alg = NGX_PULSE_JWK_HS256;
    key.secret_key = 1;
    key.secret.data = (u_char *) secret;
    key.secret.len = strlen(secret);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_init(&signature, 0);

    ngx_pulse_buf_append(&b, encoded,
        ngx_pulse_base64url_encode(encoded, (u_char *) head, strlen(head))
        - encoded);
    ngx_pulse_buf_char(&b, '.');
    ngx_pulse_buf_append(&b, encoded,
        ngx_pulse_base64url_encode(encoded, (u_char *) claims, strlen(claims))
        - encoded);

    input.data = b.data;
    input.len = b.len;

    check_int(ngx_pulse_jwk_sign(&key, &input, &signature), NGX_OK);

    ngx_pulse_buf_char(&b, '.');
    ngx_pulse_buf_append(&b, encoded,
        ngx_pulse_base64url_encode(encoded, signature.data, signature.len)
        - encoded);
    ngx_pulse_buf_free(&signature);

    check_int(pulse_pay_take(pool, &b, &token), NGX_OK);

    return token;
}


static void
test_account(pulse_pay_account_t *account)
{
    ngx_str_t  code;

    ngx_memzero(account, sizeof(pulse_pay_account_t));

    ngx_str_set(&code, "IQD");

    account->provider = &pulse_pay_zaincash;
    account->currency = pulse_currency_find(&code);
    ngx_str_set(&account->base, "https://pg-api-uat.zaincash.iq");
    ngx_str_set(&account->id, "client");
    ngx_str_set(&account->secret, "s&cret");
    ngx_str_set(&account->signer, TEST_KEY);
    ngx_str_set(&account->options[0], "plans");

    check(pulse_pay_zaincash.accept(account) == NULL);
}
