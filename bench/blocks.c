
#include "blocks.h"
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include "ngx_pulse_anthropic.h"
#include "ngx_pulse_jwt.h"
#include "ngx_pulse_meter.h"
#include "ngx_pulse_moderation.h"
#include "ngx_pulse_openai.h"


/*
 * Blocks of a request by themselves: a line of JSON for each, with the
 * nanoseconds of CPU that one takes.  Nothing of nginx is in it.
 *
 *     blocks [unix:PATH]      with a Redis to reserve in, for comparison
 */


#define BLOCKS_NS      300000000
#define BLOCKS_METER   (1024 * 1024)
#define BLOCKS_LARGE   (64 * 1024)
#define BLOCKS_KB      1024

#define BLOCKS_CLAIMS  "{\"iss\":\"pulse\",\"aud\":\"pulse\",\"sub\":\"u\","  \
                       "\"exp\":2000000000}"


typedef struct {
    ngx_str_t           token;
    ngx_pulse_jwks_t    jwks;
    ngx_pulse_jwk_t     key;
} blocks_token_t;


typedef struct {
    ngx_pulse_openai_answer_t   answer;
    ngx_pulse_buf_t             edited;
    ngx_str_t                   text;
    ngx_uint_t                  read;   /* each as JSON */
} blocks_event_t;


/* an event of Anthropic for a client of OpenAI */

typedef struct {
    ngx_pulse_anthropic_reader_t   reader;
    void                          *writer;
    ngx_pulse_conversation_t       cv;
    ngx_pulse_buf_t                out;
    ngx_str_t                      text;
    ngx_uint_t                     read;    /* each as JSON */
} blocks_translation_t;


/* a kilobyte of prose, by the rules that a studio begins with */

typedef struct {
    ngx_pulse_moderation_t          moderation;
    ngx_pulse_moderation_rules_t   *rules;
    u_char                          text[BLOCKS_KB];
} blocks_prose_t;


typedef struct {
    ngx_pulse_meter_t            meter;
    ngx_pulse_meter_account_t   *account;
    u_char                      *tables;
} blocks_meter_t;


static void blocks_measure(const char *name, blocks_pt block, void *data);
static uint64_t blocks_now(void);

static void blocks_tokens(void);
static void blocks_token(const char *name, ngx_uint_t alg, EVP_PKEY *pkey);
static void blocks_verify(void *data);
static void blocks_bodies(void);
static void blocks_body(const char *name, size_t size);
static void blocks_read(void *data);
static void blocks_events(void);
static void blocks_event(void *data);
static void blocks_translations(void);
static void blocks_translate(void *data);
static ngx_int_t blocks_write(void *data, ngx_pulse_answer_event_t *ev);
static void blocks_moderation(void);
static void blocks_prose(blocks_prose_t *prose, ngx_str_t *rules,
    const char *name, const char *words);
static void blocks_moderate(void *data);
static void blocks_meter(const char *redis);
static void blocks_reserve(void *data);


int
main(int argc, char **argv)
{
    blocks_tokens();
    blocks_bodies();
    blocks_events();
    blocks_translations();
    blocks_moderation();
    blocks_meter(argv[1]);

    return 0;
}


static void
blocks_measure(const char *name, blocks_pt block, void *data)
{
    printf("{\"block\":\"%s\",\"ns\":%.1f}\n", name,
           blocks_time(block, data));
}


double
blocks_time(blocks_pt block, void *data)
{
    uint64_t  n, i, start, spent;

    for (n = 16; /* void */ ; n *= 2) {
        start = blocks_now();

        for (i = 0; i < n; i++) {
            block(data);
        }

        spent = blocks_now() - start;

        if (spent > BLOCKS_NS) {
            break;
        }
    }

    return (double) spent / n;
}


static uint64_t
blocks_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


void
blocks_fail(const char *what)
{
    fprintf(stderr, "blocks: %s\n", what);
    exit(1);
}


static void
blocks_tokens(void)
{
    blocks_token("JWT HS256", NGX_PULSE_JWK_HS256, NULL);
    blocks_token("JWT RS256", NGX_PULSE_JWK_RS256, EVP_RSA_gen(2048));
    blocks_token("JWT ES256", NGX_PULSE_JWK_ES256, EVP_EC_gen("P-256"));
    blocks_token("JWT EdDSA", NGX_PULSE_JWK_EDDSA,
                 EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}


static void
blocks_token(const char *name, ngx_uint_t alg, EVP_PKEY *pkey)
{
    ngx_str_t        claims;
    blocks_token_t   t;
    ngx_pulse_buf_t  b;

    memset(&t, 0, sizeof(blocks_token_t));

    t.key.alg = alg;
    t.key.pkey = pkey;
    t.key.secret_key = 1;
    ngx_str_set(&t.key.kid, "bench");
    ngx_str_set(&t.key.secret, "a secret of thirty-two bytes, ok!");
    t.jwks.keys = &t.key;
    t.jwks.nkeys = 1;

    ngx_str_set(&claims, BLOCKS_CLAIMS);
    ngx_pulse_buf_init(&b, 0);

    if (ngx_pulse_jwt_sign(&t.key, &claims, &b) != NGX_OK) {
        blocks_fail("ngx_pulse_jwt_sign() failed");
    }

    t.token.data = b.data;
    t.token.len = b.len;

    blocks_measure(name, blocks_verify, &t);

    if (pkey == NULL) {
        beside_token(name, &t.token, &t.key.secret);
    }

    ngx_pulse_buf_free(&b);
    EVP_PKEY_free(pkey);
}


static void
blocks_verify(void *data)
{
    blocks_token_t *t = data;

    ngx_pool_t              *pool;
    ngx_pulse_jwt_t          jwt;
    ngx_pulse_jwt_rules_t    rules;

    ngx_str_set(&rules.issuer, "pulse");
    ngx_str_set(&rules.audience, "pulse");
    rules.leeway = 0;

    pool = unit_pool();

    if (ngx_pulse_jwt_parse(pool, &t->token, &jwt) != NULL
        || ngx_pulse_jwt_verify(&jwt, &t->jwks, &rules, 1900000000) != NULL)
    {
        blocks_fail("a token was refused");
    }

    ngx_destroy_pool(pool);
}


static void
blocks_bodies(void)
{
    blocks_body("question of 2 kB", 2048);
    blocks_body("question of 64 kB", BLOCKS_LARGE);
}


static void
blocks_body(const char *name, size_t size)
{
    size_t           i;
    ngx_str_t        body;
    ngx_pulse_buf_t  b;

    static u_char  words[] = "What is asked here is long. ";

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "{\"model\":\"o-1\",\"max_tokens\":100,"
                              "\"messages\":[{\"role\":\"user\","
                              "\"content\":\"");

    for (i = 0; b.len < size - 4; i++) {
        ngx_pulse_buf_char(&b, words[i % (sizeof(words) - 1)]);
    }

    ngx_pulse_buf_literal(&b, "\"}]}\0");

    body.data = b.data;
    body.len = b.len - 1;

    blocks_measure(name, blocks_read, &body);
    beside_read(name, &body);

    ngx_pulse_buf_free(&b);
}


static void
blocks_read(void *data)
{
    ngx_pool_t                  *pool;
    ngx_pulse_chat_refusal_t     refusal;
    ngx_pulse_openai_request_t   req;

    pool = unit_pool();

    if (ngx_pulse_openai_read(&req, pool, data, 0, &refusal) != NGX_OK) {
        blocks_fail("a question was refused");
    }

    ngx_destroy_pool(pool);
}


static void
blocks_events(void)
{
    blocks_event_t  e;

    memset(&e, 0, sizeof(blocks_event_t));

    ngx_str_set(&e.text, "{\"id\":\"chatcmpl-bench\",\"object\":"
                         "\"chat.completion.chunk\",\"created\":1700000000,"
                         "\"model\":\"o-1\",\"choices\":[{\"index\":0,"
                         "\"delta\":{\"content\":\"twenty-four bytes of it\"},"
                         "\"finish_reason\":null}]}");

    ngx_pulse_buf_init(&e.edited, 0);

    e.read = 1;
    blocks_measure("chunk that is read", blocks_event, &e);
    beside_read("chunk that is read", &e.text);

    e.read = 0;
    blocks_measure("chunk like the last", blocks_event, &e);
    beside_read("chunk like the last", &e.text);
}


static void
blocks_event(void *data)
{
    blocks_event_t *e = data;

    ngx_pulse_sse_event_t  ev;

    if (e->read) {
        ngx_pulse_form_forget(&e->answer.form);
    }

    memset(&ev, 0, sizeof(ngx_pulse_sse_event_t));

    ev.has_data = 1;
    ev.data = e->text;
    ev.raw = e->text;

    if (ngx_pulse_openai_event(&e->answer, &ev, &e->edited)
        != NGX_PULSE_OPENAI_PASS)
    {
        blocks_fail("a chunk did not pass");
    }
}


static void
blocks_translations(void)
{
    blocks_translation_t  t;

    memset(&t, 0, sizeof(blocks_translation_t));

    ngx_str_set(&t.text, "{\"type\":\"content_block_delta\",\"index\":0,"
                         "\"delta\":{\"type\":\"text_delta\","
                         "\"text\":\"twenty-four bytes of it\"}}");

    t.writer = calloc(1, ngx_pulse_dialect_openai.writer_size);

    if (t.writer == NULL) {
        blocks_fail("calloc() failed");
    }

    ngx_pulse_buf_init(&t.out, 0);

    t.read = 1;
    blocks_measure("event translated", blocks_translate, &t);
    beside_translate("event translated", &t.text);

    t.read = 0;
    blocks_measure("event translated, like the last", blocks_translate, &t);
    beside_translate("event translated, like the last", &t.text);

    ngx_pulse_buf_free(&t.out);
    free(t.writer);
}


static void
blocks_translate(void *data)
{
    blocks_translation_t *t = data;

    ngx_str_t    name;
    ngx_pool_t  *pool;

    if (t->read) {
        ngx_pulse_form_forget(&t->reader.form);
    }

    ngx_str_null(&name);
    pool = unit_pool();
    t->out.len = 0;

    if (ngx_pulse_dialect_anthropic.read_event(&t->reader, pool, &name,
                                               &t->text, blocks_write, t)
        != NGX_OK || t->out.len == 0)
    {
        blocks_fail("an event was not translated");
    }

    ngx_destroy_pool(pool);
}


static ngx_int_t
blocks_write(void *data, ngx_pulse_answer_event_t *ev)
{
    blocks_translation_t *t = data;

    ngx_pulse_dialect_openai.write_event(t->writer, &t->cv, ev, &t->out);

    return t->out.failed ? NGX_ERROR : NGX_OK;
}


static void
blocks_moderation(void)
{
    ngx_str_t                      text;
    ngx_pool_t                    *pool;
    blocks_prose_t                 prose;
    ngx_pulse_moderation_fault_t   fault;

    pool = unit_pool();
    text = unit_file("conf/moderation.txt");

    prose.rules = text.data ? ngx_pulse_moderation_read(pool, &text, &fault)
                            : NULL;

    if (prose.rules == NULL) {
        blocks_fail("conf/moderation.txt cannot be read");
    }

    blocks_prose(&prose, &text, "moderation, 1 kB of English",
                 "What is asked here is long, and nothing of it is about"
                 " harm. ");
    blocks_prose(&prose, &text, "moderation, 1 kB of Arabic",
                 "ما يُسأل عنه هنا طويل، وليس فيه شيء من الأذى، فاكتب لي"
                 " خطة للعمل. ");

    free(text.data);
    ngx_destroy_pool(pool);
}


static void
blocks_prose(blocks_prose_t *prose, ngx_str_t *rules, const char *name,
    const char *words)
{
    size_t     i;
    ngx_str_t  text;

    for (i = 0; i < BLOCKS_KB; i++) {
        prose->text[i] = words[i % strlen(words)];
    }

    text.data = prose->text;
    text.len = BLOCKS_KB;

    blocks_measure(name, blocks_moderate, prose);
    beside_words(name, rules, &text);
}


static void
blocks_moderate(void *data)
{
    blocks_prose_t *prose = data;

    ngx_pulse_moderation_start(&prose->moderation, prose->rules);
    ngx_pulse_moderation_feed(&prose->moderation, prose->text, BLOCKS_KB);

    if (ngx_pulse_moderation_end(&prose->moderation) != 0) {
        blocks_fail("prose was flagged");
    }
}


static void
blocks_meter(const char *redis)
{
    blocks_meter_t  m;

    static u_char  id[16];

    memset(&m, 0, sizeof(blocks_meter_t));

    m.tables = malloc(BLOCKS_METER);

    if (m.tables == NULL
        || ngx_pulse_meter_init(&m.meter, m.tables, BLOCKS_METER) != NGX_OK)
    {
        blocks_fail("ngx_pulse_meter_init() failed");
    }

    m.account = ngx_pulse_meter_account(&m.meter, id, 0, id, 0);

    if (m.account == NULL) {
        blocks_fail("ngx_pulse_meter_account() failed");
    }

    m.account->lease.granted = (uint64_t) 1 << 60;

    blocks_measure("reserve and settle", blocks_reserve, &m);

    if (redis) {
        beside_reserve("reserve and settle", redis);
    }

    free(m.tables);
}


static void
blocks_reserve(void *data)
{
    blocks_meter_t *m = data;

    ngx_pulse_meter_reservation_t  *res;

    static u_char  id[16] = "reservation";

    res = ngx_pulse_meter_reserve(&m->meter, m->account, 4000, 1, id, 0, 0);

    if (res == NULL) {
        blocks_fail("nothing was reserved");
    }

    ngx_pulse_meter_settle(&m->meter, res, 500);
    ngx_pulse_meter_release(&m->meter, res, id);
}
