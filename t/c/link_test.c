
#include "unit.h"
#include "ngx_pulse_link.h"


static void test_key(void);
static void test_sign(void);
static void test_escape(void);


static const char  digits[] =
    "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n";


int
main(void)
{
    test_key();
    test_sign();
    test_escape();

    return unit_done();
}


static void
test_key(void)
{
    ngx_str_t             text;
    ngx_pulse_link_key_t  key;

    text.data = (u_char *) digits;

    for (text.len = 0; text.len < 64; text.len++) {
        check_int(ngx_pulse_link_key(&key, &text), NGX_ERROR);
    }

    check_int(ngx_pulse_link_key(&key, &text), NGX_OK);

    text.len = 65;
    check_int(ngx_pulse_link_key(&key, &text), NGX_OK);
    check_int(key.bytes[31], 31);

    ngx_str_set(&text, "g00102030405060708090a0b0c0d0e0f"
                       "101112131415161718191A1B1C1D1E1F");
    check_int(ngx_pulse_link_key(&key, &text), NGX_ERROR);
}


static void
test_sign(void)
{
    u_char                i, signature[NGX_PULSE_LINK_SIGNATURE_LEN];
    ngx_str_t             text;
    ngx_pulse_link_t      link;
    ngx_pulse_link_key_t  key;

    for (i = 0; i < NGX_PULSE_LINK_KEY_LEN; i++) {
        key.bytes[i] = i;
    }

    link.method = "GET";
    link.expires = 1000;
    link.size = -1;
    ngx_str_set(&link.path, "/files/x");

    text.data = signature;
    text.len = NGX_PULSE_LINK_SIGNATURE_LEN;

    /* as HMAC-SHA256 of another library has it */

    check_int(ngx_pulse_link_sign(&key, &link, signature), NGX_OK);
    check_str(&text, "yJ4BjtZ6V3lJN08QMqApakl3IsgEX6Yll9x3N5xEHoQ");
    check_int(ngx_pulse_link_check(&key, &link, &text), NGX_OK);

    for (i = 0; i < text.len; i++) {
        signature[i] ^= 1;
        check_int(ngx_pulse_link_check(&key, &link, &text), NGX_ERROR);
        signature[i] ^= 1;
    }

    text.len--;
    check_int(ngx_pulse_link_check(&key, &link, &text), NGX_ERROR);
    text.len++;

    link.expires++;
    check_int(ngx_pulse_link_check(&key, &link, &text), NGX_ERROR);
    link.expires--;

    link.size = 1;
    check_int(ngx_pulse_link_check(&key, &link, &text), NGX_ERROR);
    link.size = -1;

    link.method = "PUT";
    check_int(ngx_pulse_link_check(&key, &link, &text), NGX_ERROR);
    link.method = "GET";

    link.path.len--;
    check_int(ngx_pulse_link_check(&key, &link, &text), NGX_ERROR);
}


static void
test_escape(void)
{
    ngx_str_t        text;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);

    ngx_str_set(&text, "aZ9-._~ \"%'*/\\\r\n\xd8\xb3");
    ngx_pulse_link_escape(&b, &text);

    check_mem(b.data, b.len, "aZ9-._~%20%22%25%27%2A%2F%5C%0D%0A%D8%B3",
              sizeof("aZ9-._~%20%22%25%27%2A%2F%5C%0D%0A%D8%B3") - 1);
    ngx_pulse_buf_free(&b);
}
