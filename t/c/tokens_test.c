
#include "unit.h"
#include "ngx_pulse_tokens.h"


/* The figures by their definition, a run at a time, beside what is counted in
 * blocks. */

static void test_random(void);
static void test_lengths(void);
static void compare(const u_char *p, size_t len);
static void count(ngx_pulse_tokens_t *t, const u_char *p, size_t len);
static void count_high(ngx_pulse_tokens_t *t, u_char ch);
static size_t run_of(const u_char *p, size_t len);
static ngx_uint_t is_space(u_char ch);
static ngx_uint_t is_digit(u_char ch);
static ngx_uint_t is_lower(u_char ch);
static ngx_uint_t is_upper(u_char ch);


int
main(void)
{
    test_random();
    test_lengths();

    return unit_done();
}


static void
test_random(void)
{
    u_char      text[700];
    size_t      len, n, piece;
    uint64_t    seed;
    ngx_uint_t  i;

    static const char  *pieces[] = {
        "a", "word", "Word", "WORD", "wORd", "antidisestablishmentarianism",
        " ", "  ", "\t", "\n", "\r\n", "                        ", "7",
        "2026", "31415926535897932384626433832795028841971", ".", ", ", "--",
        "\303\251", "\330\263\331\204", "\346\227\245", "\360\237\231\202",
        "\200", "{\"", "\013", "\177", NULL
    };

    seed = 7;

    for (i = 0; i < 20000; i++) {

        for (len = 0; len < 600; len += n) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            piece = (seed >> 33) % (sizeof(pieces) / sizeof(pieces[0]));

            if (pieces[piece] == NULL) {
                break;
            }

            n = strlen(pieces[piece]);
            ngx_memcpy(text + len, pieces[piece], n);
        }

        unit_case("text %d", (int) i);
        compare(text, len);
    }
}


/* a run that begins and ends at each place around the ends of blocks */

static void
test_lengths(void)
{
    u_char      text[300];
    size_t      before, len;
    ngx_uint_t  i;

    static const u_char  fill[] = "aA7 \n.\331";

    for (i = 0; fill[i]; i++) {
        for (before = 0; before < 70; before++) {
            for (len = 0; len < 200; len++) {
                ngx_memset(text, '.', sizeof(text));
                ngx_memset(text + before, fill[i], len);

                unit_case("%d of \\x%x after %d", (int) len, fill[i],
                          (int) before);
                compare(text, before + len + 3);
            }
        }
    }
}


static void
compare(const u_char *p, size_t len)
{
    ngx_pulse_tokens_t  t, written, expected;

    ngx_memzero(&t, sizeof(ngx_pulse_tokens_t));
    ngx_memzero(&written, sizeof(ngx_pulse_tokens_t));
    ngx_memzero(&expected, sizeof(ngx_pulse_tokens_t));

    ngx_pulse_tokens_add(&t, p, len);
    count(&expected, p, len);

    check_int(t.bound, expected.bound);
    check_int(t.ascii, expected.ascii);
    check_int(t.pairs, expected.pairs);
    check_int(t.triples, expected.triples);
    check_int(t.quads, expected.quads);

    ngx_pulse_tokens_add_written(&written, p, len);
    written.bound = expected.bound;

    check_mem(&written, sizeof(ngx_pulse_tokens_t),
              &expected, sizeof(ngx_pulse_tokens_t));
}


static void
count(ngx_pulse_tokens_t *t, const u_char *p, size_t len)
{
    size_t  n;

    for ( /* void */ ; len; p += n, len -= n) {

        if (*p >= 0x80) {
            n = 1;
            count_high(t, *p);
            continue;
        }

        n = run_of(p, len);
        t->ascii += n;

        if (is_space(*p)) {
            t->bound += (n == 1 && *p == ' ') ? 0 : 1 + n / 8;

        } else if (is_digit(*p)) {
            t->bound += (n + 2) / 3;

        } else if (is_lower(*p) || is_upper(*p)) {
            t->bound += (n + 3) / 4;

        } else {
            t->bound += n;
        }
    }
}


static void
count_high(ngx_pulse_tokens_t *t, u_char ch)
{
    if (ch >= 0xf0) {
        t->quads++;
        t->bound += 3;

    } else if (ch >= 0xe0) {
        t->triples++;
        t->bound += 2;

    } else if (ch >= 0xc0) {
        t->pairs++;
        t->bound++;
    }
}


static size_t
run_of(const u_char *p, size_t len)
{
    size_t  n;

    n = 0;

    if (is_space(*p)) {
        while (n < len && is_space(p[n])) {
            n++;
        }

    } else if (is_digit(*p)) {
        while (n < len && is_digit(p[n])) {
            n++;
        }

    } else if (is_lower(*p) || is_upper(*p)) {
        while (n < len && is_upper(p[n])) {
            n++;
        }

        while (n < len && is_lower(p[n])) {
            n++;
        }

    } else {
        n = 1;
    }

    return n;
}


static ngx_uint_t
is_space(u_char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}


static ngx_uint_t
is_digit(u_char ch)
{
    return ch >= '0' && ch <= '9';
}


static ngx_uint_t
is_lower(u_char ch)
{
    return ch >= 'a' && ch <= 'z';
}


static ngx_uint_t
is_upper(u_char ch)
{
    return ch >= 'A' && ch <= 'Z';
}
