
#include "pulse_pay_conf.h"
#include "unit.h"


/*
 * A byte that says what follows and of which provider: an answer about a
 * checkout or a payment, a webhook, the fields of a browser, or money.  Money
 * that was read is written and read again; nothing that bears no proof is
 * taken for a provider's.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_account(pulse_pay_account_t *account,
    const pulse_pay_provider_t *provider);
static void fuzz_answer(pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_str_t *text, ngx_uint_t what);
static void fuzz_webhook(pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_str_t *text);
static void fuzz_money(const ngx_str_t *text);


static const pulse_pay_provider_t *const  fuzz_providers[] = {
    &pulse_pay_hyperpay, &pulse_pay_paytabs, &pulse_pay_zaincash,
    &pulse_pay_zaincash_v1
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t             text, order;
    ngx_pool_t           *pool;
    pulse_pay_account_t   account;

    if (size == 0) {
        return 0;
    }

    pool = unit_pool();

    /* on the heap and of its own size, for the sanitizer */

    text.len = size - 1;
    text.data = malloc(size);
    memcpy(text.data, data + 1, text.len);

    fuzz_account(&account, fuzz_providers[data[0] % 4]);

    switch (data[0] / 4 % 5) {

    case 0:
    case 1:
        fuzz_answer(&account, pool, &text, data[0] / 4 % 5);
        break;

    case 2:
        fuzz_webhook(&account, pool, &text);
        break;

    case 3:
        if (account.provider->browser
            && account.provider->browser(&account, pool, &text, &order)
               == NGX_OK)
        {
            abort();
        }

        break;

    default:
        fuzz_money(&text);
        break;
    }

    free(text.data);
    ngx_destroy_pool(pool);

    return 0;
}


static void
fuzz_account(pulse_pay_account_t *account,
    const pulse_pay_provider_t *provider)
{
    ngx_str_t  code;

    ngx_memzero(account, sizeof(pulse_pay_account_t));

    ngx_str_set(&code, "JOD");

    account->provider = provider;
    account->currency = pulse_currency_find(&code);
    ngx_str_set(&account->id, "42");
    ngx_str_set(&account->secret, "a key that no input has");
    ngx_str_set(&account->options[0], "9640000000000");
    ngx_str_set(&account->signer, "000102030405060708090a0b0c0d0e0f"
                                  "000102030405060708090a0b0c0d0e0f");

    if (provider->accept(account) != NULL) {
        abort();
    }
}


static void
fuzz_answer(pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_str_t *text, ngx_uint_t what)
{
    pulse_pay_event_t     event;
    pulse_pay_answer_t    answer;
    pulse_pay_checkout_t  checkout;

    answer.status = 200;
    answer.body = *text;

    if (what) {
        if (account->provider->checkout_read(account, pool, &answer,
                                             &checkout)
            == NGX_OK
            && !pulse_pay_id(&checkout.reference))
        {
            abort();
        }

        return;
    }

    if (account->provider->status_read(account, pool, &answer, &event)
        == NGX_OK
        && (event.state > pulse_pay_charged_back || event.key.len == 0
            || (event.money.currency && event.money.amount < 0)))
    {
        abort();
    }
}


/* the first 28 bytes are the vector and the tag, in digits */

static void
fuzz_webhook(pulse_pay_account_t *account, ngx_pool_t *pool,
    const ngx_str_t *text)
{
    size_t               i;
    u_char               digits[56];
    pulse_pay_event_t    event;
    pulse_pay_webhook_t  webhook;

    static const u_char  hex[] = "0123456789abcdef";

    if (text->len < 28 || account->provider->webhook == NULL) {
        return;
    }

    for (i = 0; i < 28; i++) {
        digits[2 * i] = hex[text->data[i] >> 4];
        digits[2 * i + 1] = hex[text->data[i] & 15];
    }

    webhook.vector.data = digits;
    webhook.vector.len = 24;
    webhook.tag.data = digits + 24;
    webhook.tag.len = 32;
    webhook.signature.data = digits;
    webhook.signature.len = 56;
    webhook.body.data = text->data + 28;
    webhook.body.len = text->len - 28;
    webhook.now = 0;

    if (account->provider->webhook(account, pool, &webhook, &event)
        != NGX_DECLINED)
    {
        abort();
    }
}


static void
fuzz_money(const ngx_str_t *text)
{
    ngx_str_t         code, again;
    pulse_money_t     money, same;
    ngx_pulse_buf_t   b;

    ngx_str_set(&code, "JOD");

    if (pulse_money_read(&money, text, pulse_currency_find(&code)) != NGX_OK)
    {
        return;
    }

    if (money.amount == 0) {
        return;
    }

    ngx_pulse_buf_init(&b, 0);

    if (pulse_money_write(&b, &money, 3) != NGX_OK) {
        abort();
    }

    again.data = b.data;
    again.len = b.len;

    if (pulse_money_read(&same, &again, money.currency) != NGX_OK
        || same.amount != money.amount)
    {
        abort();
    }

    ngx_pulse_buf_free(&b);
}
