
#include <arpa/inet.h>
#include <netinet/in.h>
#include "pulse_address.h"
#include "pulse_signature.h"
#include "unit.h"


#define TEST_SECRET     "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define TEST_SIGNATURE  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define TEST_TIME       1614265330


static void test_key(void);
static void test_published(void);
static void test_time(void);
static ngx_int_t test_check(const char *id, const char *timestamp,
    const char *signatures, const char *body, int64_t now);
static void test_addresses(void);
static void test_hosts(void);


int
main(void)
{
    test_key();
    test_published();
    test_time();
    test_addresses();
    test_hosts();

    return unit_done();
}


static void
test_key(void)
{
    u_char  key[PULSE_SIGNATURE_KEY];

    check_int(pulse_signature_key(TEST_SECRET, key), 24);
    check_int(pulse_signature_key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key),
              NGX_ERROR);
    check_int(pulse_signature_key("whsec_", key), NGX_ERROR);
    check_int(pulse_signature_key("whsec_c2hvcnQ=", key), NGX_ERROR);
    check_int(pulse_signature_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZ!o2LaLaSw",
                                  key), NGX_ERROR);
}


/* the example that Standard Webhooks publishes, and what is near it */

static void
test_published(void)
{
    size_t  i;

    static const struct {
        const char  *id;
        const char  *signatures;
        const char  *body;
        ngx_int_t    rc;
    } cases[] = {
        { "msg_p5jXN8AQM9LWM0D4loKWxJek", TEST_SIGNATURE,
          "{\"test\": 2432232314}", NGX_OK },
        { "msg_p5jXN8AQM9LWM0D4loKWxJek", "v1,bm90aGluZw== " TEST_SIGNATURE
          " v2,x", "{\"test\": 2432232314}", NGX_OK },
        { "msg_p5jXN8AQM9LWM0D4loKWxJek", TEST_SIGNATURE,
          "{\"test\":2432232314}", NGX_DECLINED },
        { "msg_p5jXN8AQM9LWM0D4loKWxJel", TEST_SIGNATURE,
          "{\"test\": 2432232314}", NGX_DECLINED },
        { "", TEST_SIGNATURE, "{\"test\": 2432232314}", NGX_DECLINED },
        { "msg_p5jXN8AQM9LWM0D4loKWxJek", "", "{\"test\": 2432232314}",
          NGX_DECLINED },
        { "msg_p5jXN8AQM9LWM0D4loKWxJek", "v1,", "{\"test\": 2432232314}",
          NGX_DECLINED },
        { "msg_p5jXN8AQM9LWM0D4loKWxJek",
          "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
          "{\"test\": 2432232314}", NGX_DECLINED },
        { "msg_p5jXN8AQM9LWM0D4loKWxJek",
          "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
          "{\"test\": 2432232314}", NGX_DECLINED },
        { "msg_p5jXN8AQM9LWM0D4loKWxJek", TEST_SIGNATURE "=",
          "{\"test\": 2432232314}", NGX_DECLINED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].signatures);
        check_int(test_check(cases[i].id, "1614265330", cases[i].signatures,
                             cases[i].body, TEST_TIME), cases[i].rc);
    }

    unit_case(NULL);
}


static void
test_time(void)
{
    size_t  i;

    static const struct {
        const char  *timestamp;
        int64_t      now;
        ngx_int_t    rc;
    } cases[] = {
        { "1614265330", TEST_TIME + 300, NGX_OK },
        { "1614265330", TEST_TIME - 300, NGX_OK },
        { "1614265330", TEST_TIME + 301, NGX_DECLINED },
        { "1614265330", TEST_TIME - 301, NGX_DECLINED },
        { "01614265330", TEST_TIME, NGX_DECLINED },
        { "1614265330.0", TEST_TIME, NGX_DECLINED },
        { "-1614265330", TEST_TIME, NGX_DECLINED },
        { "99999999999999999999", TEST_TIME, NGX_DECLINED },
        { "", TEST_TIME, NGX_DECLINED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s at %ld", cases[i].timestamp, (long) cases[i].now);
        check_int(test_check("msg_p5jXN8AQM9LWM0D4loKWxJek",
                             cases[i].timestamp, TEST_SIGNATURE,
                             "{\"test\": 2432232314}", cases[i].now),
                  cases[i].rc);
    }

    unit_case(NULL);
}


static ngx_int_t
test_check(const char *id, const char *timestamp, const char *signatures,
    const char *body, int64_t now)
{
    u_char             key[PULSE_SIGNATURE_KEY];
    ssize_t            len;
    pulse_signature_t  s;

    s.id.data = (u_char *) id;
    s.id.len = strlen(id);
    s.timestamp.data = (u_char *) timestamp;
    s.timestamp.len = strlen(timestamp);
    s.signatures.data = (u_char *) signatures;
    s.signatures.len = strlen(signatures);
    s.body.data = (u_char *) body;
    s.body.len = strlen(body);

    len = pulse_signature_key(TEST_SECRET, key);

    return pulse_signature_check(&s, key, len, now);
}


static void
test_addresses(void)
{
    size_t               i;
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    static const struct {
        const char  *text;
        ngx_uint_t   public;
        ngx_uint_t   loopback;
    } cases[] = {
        { "8.8.8.8", 1, 0 }, { "172.15.255.255", 1, 0 },
        { "172.32.0.1", 1, 0 }, { "100.128.0.1", 1, 0 },
        { "0.0.0.0", 0, 0 }, { "10.1.2.3", 0, 0 }, { "100.64.0.1", 0, 0 },
        { "127.0.0.1", 0, 1 }, { "127.9.9.9", 0, 1 },
        { "169.254.169.254", 0, 0 }, { "172.16.0.1", 0, 0 },
        { "172.31.255.255", 0, 0 }, { "192.168.1.1", 0, 0 },
        { "192.0.2.1", 0, 0 }, { "198.18.0.1", 0, 0 },
        { "198.19.255.255", 0, 0 }, { "203.0.113.9", 0, 0 },
        { "224.0.0.1", 0, 0 }, { "240.0.0.1", 0, 0 },
        { "255.255.255.255", 0, 0 },
        { "2606:4700::1", 1, 0 }, { "2a00:1450::1", 1, 0 },
        { "::", 0, 0 }, { "::1", 0, 1 }, { "::ffff:127.0.0.1", 0, 0 },
        { "::ffff:169.254.169.254", 0, 0 }, { "::ffff:8.8.8.8", 1, 0 },
        { "64:ff9b::10.0.0.1", 0, 0 }, { "64:ff9b::8.8.8.8", 1, 0 },
        { "2002:7f00:1::", 0, 0 }, { "2002:808:808::", 1, 0 },
        { "2001:0:1::1", 0, 0 }, { "2001:db8::1", 0, 0 },
        { "fc00::1", 0, 0 }, { "fd12:3456::1", 0, 0 }, { "fe80::1", 0, 0 },
        { "ff02::1", 0, 0 }, { "3fff::1", 0, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_case("%s", cases[i].text);

        ngx_memzero(&sin, sizeof(sin));
        ngx_memzero(&sin6, sizeof(sin6));

        sin.sin_family = AF_INET;
        sin6.sin6_family = AF_INET6;

        if (inet_pton(AF_INET, cases[i].text, &sin.sin_addr) == 1) {
            check_int(pulse_address_public((struct sockaddr *) &sin),
                      cases[i].public);
            check_int(pulse_address_loopback((struct sockaddr *) &sin),
                      cases[i].loopback);
            continue;
        }

        check_int(inet_pton(AF_INET6, cases[i].text, &sin6.sin6_addr), 1);
        check_int(pulse_address_public((struct sockaddr *) &sin6),
                  cases[i].public);
        check_int(pulse_address_loopback((struct sockaddr *) &sin6),
                  cases[i].loopback);
    }

    unit_case(NULL);

    sin.sin_family = AF_UNIX;
    check(!pulse_address_public((struct sockaddr *) &sin));
    check(!pulse_address_loopback((struct sockaddr *) &sin));
}


static void
test_hosts(void)
{
    static const char *const  hosts[] = {
        "storage.example", ".delivery.example", NULL
    };

    check(pulse_address_listed("storage.example", hosts));
    check(pulse_address_listed("Storage.Example", hosts));
    check(pulse_address_listed("a.b.delivery.example", hosts));
    check(!pulse_address_listed("delivery.example", hosts));
    check(!pulse_address_listed("evildelivery.example", hosts));
    check(!pulse_address_listed("x.storage.example", hosts));
    check(!pulse_address_listed("a.delivery.example.evil", hosts));
    check(!pulse_address_listed("", hosts));
}
