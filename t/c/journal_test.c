
/* Records of the journal: whatever is in the file, the whole ones are found
 * and nothing else is. */

#include "unit.h"
#include "ngx_pulse_journal.h"
#include "ngx_pulse_json.h"


static void test_round(void);
static void test_truncated(void);
static void test_flipped(void);
static void test_garbage(void);
static void test_lengths(void);
static void test_strings(void);
static void test_json(void);
static void test_first(void);
static void test_uuid(void);
static size_t sample(ngx_pulse_journal_record_t *record, u_char *p,
    ngx_uint_t n);
static ngx_uint_t same(const ngx_pulse_journal_record_t *a,
    const ngx_pulse_journal_record_t *b);


int
main(void)
{
    test_round();
    test_truncated();
    test_flipped();
    test_garbage();
    test_lengths();
    test_strings();
    test_json();
    test_first();
    test_uuid();

    return unit_done();
}


static void
test_round(void)
{
    u_char                       buf[2 * NGX_PULSE_JOURNAL_MAX];
    size_t                       len, used, garbage;
    ngx_uint_t                   i;
    ngx_pulse_journal_record_t   a, b;

    for (i = 0; i < 200; i++) {
        len = sample(&a, buf, i);

        check(ngx_pulse_journal_read(buf, len, &b, &used, &garbage)
              == NGX_OK);
        check_int(used, len);
        check_int(garbage, 0);
        check(same(&a, &b));
    }
}


/* cut at any byte it may still be coming: nothing is skipped */

static void
test_truncated(void)
{
    u_char                       buf[2 * NGX_PULSE_JOURNAL_MAX], *p;
    size_t                       len, n, used, garbage, next;
    ngx_pulse_journal_record_t   a, b;

    len = sample(&a, buf, 7);

    for (n = 0; n < len; n++) {
        p = malloc(n + 1);
        memcpy(p, buf, n);

        check_int(ngx_pulse_journal_read(p, n, &b, &used, &garbage),
                  NGX_AGAIN);
        check_int(used, 0);
        free(p);

        /* unless another follows: then it was cut for good */

        p = malloc(n + NGX_PULSE_JOURNAL_MAX);
        memcpy(p, buf, n);
        next = sample(&a, p + n, 8);

        check_int(ngx_pulse_journal_read(p, n + next, &b, &used, &garbage),
                  NGX_OK);
        check_int(used, n + next);
        check_int(garbage, n);
        check(same(&a, &b));
        free(p);
    }
}


static void
test_flipped(void)
{
    u_char                       buf[2 * NGX_PULSE_JOURNAL_MAX];
    size_t                       first, len, used, garbage, bit;
    ngx_pulse_journal_record_t   a, b;

    first = sample(&a, buf, 3);
    len = first + sample(&a, buf + first, 4);

    for (bit = 0; bit < first * 8; bit++) {
        buf[bit / 8] ^= 1 << bit % 8;

        check_int(ngx_pulse_journal_read(buf, len, &b, &used, &garbage),
                  NGX_OK);
        check_int(used, len);
        check_int(garbage, first);
        check(same(&a, &b));

        buf[bit / 8] ^= 1 << bit % 8;
    }
}


static void
test_garbage(void)
{
    u_char                       buf[4096];
    size_t                       len, used, garbage;
    ngx_pulse_journal_record_t   a, b;

    memset(buf, 0, sizeof(buf));

    check_int(ngx_pulse_journal_read(buf, sizeof(buf), &b, &used, &garbage),
              NGX_AGAIN);
    check_int(used, sizeof(buf));

    /* the start of a magic at the end may be one */

    memcpy(buf + sizeof(buf) - 2, "PU", 2);

    check_int(ngx_pulse_journal_read(buf, sizeof(buf), &b, &used, &garbage),
              NGX_AGAIN);
    check_int(used, sizeof(buf) - 2);

    memset(buf, 'P', 1000);
    memcpy(buf + 500, "PUJ2PUJ1", 8);
    len = 1000 + sample(&a, buf + 1000, 5);

    check_int(ngx_pulse_journal_read(buf, len, &b, &used, &garbage), NGX_OK);
    check_int(used, len);
    check_int(garbage, 1000);
    check(same(&a, &b));
}


/* a length that lies is not followed */

static void
test_lengths(void)
{
    u_char                       buf[2 * NGX_PULSE_JOURNAL_MAX];
    size_t                       len, used, garbage;
    ngx_uint_t                   i;
    ngx_pulse_journal_record_t   a;

    for (i = 0; i < 65536; i++) {
        len = sample(&a, buf, 9);

        if (i == len) {
            continue;
        }

        buf[4] = i & 0xff;
        buf[5] = i >> 8;

        check_int(ngx_pulse_journal_read(buf, len, &a, &used, &garbage),
                  NGX_AGAIN);
        check_int(used, len);
    }
}


static void
test_strings(void)
{
    u_char     field[8];
    ngx_str_t  s;

    ngx_str_set(&s, "gpt-4o");
    check_int(ngx_pulse_journal_string(field, 8, &s), 6);
    check_mem(field, 6, "gpt-4o", 6);

    /* cut between characters */

    ngx_str_set(&s, "abcdef\xd8\xb3\xd8\xa7");
    check_int(ngx_pulse_journal_string(field, 8, &s), 8);
    check_int(ngx_pulse_journal_string(field, 7, &s), 6);

    ngx_str_set(&s, "a\nb\x7f\xff");
    check_int(ngx_pulse_journal_string(field, 8, &s), 5);
    check_mem(field, 5, "a?b??", 5);

    ngx_str_null(&s);
    check_int(ngx_pulse_journal_string(field, 8, &s), 0);
}


static void
test_json(void)
{
    u_char                       buf[NGX_PULSE_JOURNAL_MAX];
    ngx_pool_t                  *pool;
    ngx_pulse_buf_t              b;
    ngx_pulse_json_value_t      *v;
    ngx_pulse_json_error_t       err;
    ngx_pulse_journal_record_t   a;

    pool = unit_pool();
    (void) sample(&a, buf, 0);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_journal_json(&b, &a);

    v = ngx_pulse_json_tree(pool, b.data, b.len, NULL, &err);

    check(v != NULL);
    check_str(&ngx_pulse_json_get(v, "id")->string,
              "00010203-0405-0607-0809-0a0b0c0d0e0f");
    check_str(&ngx_pulse_json_get(v, "amount")->string, "1004");
    check_str(&ngx_pulse_json_get(v, "period")->string, "-1");
    check(ngx_pulse_json_get(v, "model") == NULL);
    check(ngx_pulse_json_get(v, "estimated")->boolean == 0);
    check_str(&ngx_pulse_json_get(v, "cache_write")->string, "9");
    check(ngx_pulse_json_get(v, "price") == NULL);

    ngx_pulse_buf_free(&b);
    ngx_destroy_pool(pool);
}


/* a close of the first version, as a node wrote it before its upgrade */

static void
test_first(void)
{
    size_t                       i, n, used, garbage;
    u_char                       buf[150];
    unsigned                     byte;
    ngx_pulse_journal_record_t   a;

    static const char  old[] =
        "50554a3196000301093384ef000102030405060708090a0b"
        "0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
        "2425262728292a2b2c2d2e2f0003010200401e18240a0600"
        "7b68e5cf8b010000f4010000000000000b00000000000000"
        "2a000000000000002c000000000000002800000000000000"
        "030000000000000004000000000000000200000000000000"
        "6d2d31707437";

    for (i = 0; i < sizeof(buf); i++) {
        sscanf(old + 2 * i, "%2x", &byte);
        buf[i] = byte;
    }

    for (n = 0; n < sizeof(buf); n++) {
        check_int(ngx_pulse_journal_read(buf, n, &a, &used, &garbage),
                  NGX_AGAIN);
        check_int(used, 0);
    }

    check_int(ngx_pulse_journal_read(buf, n, &a, &used, &garbage), NGX_OK);
    check_int(used, sizeof(buf));
    check_int(a.amount, 44);
    check_int(a.reasoning, 2);
    check_int(a.cache_write, 0);
    check_int(a.price, -1);
    check_mem(a.model, a.model_len, "m-1", 3);
    check_mem(a.trace, a.trace_len, "t7", 2);
}


static void
test_uuid(void)
{
    u_char  id[16], text[36];

    ngx_pulse_uuid_bytes(id, (u_char *)
                         "0123ABCD-ef45-6789-abcd-0123456789ab");
    ngx_pulse_uuid_text(text, id);

    check_mem(text, 36, "0123abcd-ef45-6789-abcd-0123456789ab", 36);
}


static size_t
sample(ngx_pulse_journal_record_t *record, u_char *p, ngx_uint_t n)
{
    ngx_uint_t  i;

    memset(record, 0, sizeof(ngx_pulse_journal_record_t));

    for (i = 0; i < 16; i++) {
        record->id[i] = n + i;
        record->lease[i] = n * 3 + i;
        record->user[i] = n * 7 + i;
    }

    record->type = n % 4 + 1;
    record->kind = n % 3;
    record->estimated = n % 2;
    record->period = (int64_t) n * 1000000007 - 1;
    record->created = 1700000000000 + n;
    record->reserved = n << 20;
    record->estimate = 1000 + n;
    record->settled = 1003 + n;
    record->amount = 1004 + n;
    record->input = (uint64_t) 1 << n % 64;
    record->cached = n;
    record->output = n * n;
    record->reasoning = 5;
    record->cache_write = 9 + n;
    record->price = (int64_t) n * 1000000 - 1;
    record->claimed = n / 2 % 2;
    record->pending = n / 4 % 2;

    record->model_len = n % (NGX_PULSE_JOURNAL_MODEL + 1);
    record->provider_len = n % (NGX_PULSE_JOURNAL_PROVIDER + 1);
    record->trace_len = n % (NGX_PULSE_JOURNAL_TRACE + 1);

    memset(record->model, 'm', record->model_len);
    memset(record->provider, 'p', record->provider_len);
    memset(record->trace, 't', record->trace_len);

    return ngx_pulse_journal_write(p, record);
}


static ngx_uint_t
same(const ngx_pulse_journal_record_t *a, const ngx_pulse_journal_record_t *b)
{
    u_char  p[NGX_PULSE_JOURNAL_MAX], q[NGX_PULSE_JOURNAL_MAX];
    size_t  n;

    n = ngx_pulse_journal_write(p, a);

    return ngx_pulse_journal_write(q, b) == n && memcmp(p, q, n) == 0;
}
