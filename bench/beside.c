
/*
 * Known libraries at what the blocks do, each as somebody would use it: what
 * it made is given back each time.
 */


#include "blocks.h"
#include <hiredis/hiredis.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_tree.h>

#if __has_include(<jwt.h>)
#define BESIDE_JWT    1
#include <jwt.h>
#endif

#if __has_include(<pcre2.h>)
#define BESIDE_PCRE2  1
#define PCRE2_CODE_UNIT_WIDTH  8
#include <pcre2.h>
#endif


#define BESIDE_ADDRESS  "unix:"
#define BESIDE_KEY      "bench:quota"

/* a quota as it is kept in Redis: what is left is looked at and taken */

#define BESIDE_TAKE                                                           \
    "local used = tonumber(redis.call('GET', KEYS[1]) or '0')"                \
    " if used + ARGV[1] > tonumber(ARGV[2]) then return 0 end"                \
    " return redis.call('INCRBY', KEYS[1], ARGV[1])"


typedef struct {
    redisContext  *redis;
    redisReply    *script;
    uint64_t       calls;
} beside_quota_t;


static void beside_print(const char *block, const char *library, double ns);
static void beside_parse(void *data);
static yajl_val beside_tree(ngx_str_t *json);
static void beside_convert(void *data);
static void beside_gen(yajl_gen gen, const char *text);
static void beside_gen_string(yajl_gen gen, const char *text);

#if (BESIDE_JWT)

typedef struct {
    char       *token;
    ngx_str_t  *secret;
} beside_token_t;

static void beside_verify(void *data);

#endif

#if (BESIDE_PCRE2)

typedef struct {
    pcre2_code        *code;
    pcre2_match_data  *match;
    ngx_str_t         *text;
} beside_words_t;

static void beside_alternation(ngx_pulse_buf_t *b, ngx_str_t *rules);
static void beside_match(void *data);

#endif

#if !(BESIDE_JWT && BESIDE_PCRE2)
static void beside_missing(const char *block, const char *package);
#endif

static void beside_quota(void *data);
static double beside_redis_ns(redisContext *redis);
static double beside_redis_spent(const char *info, const char *name);
static redisReply *beside_reply(redisContext *redis, const char *format, ...);


static void
beside_print(const char *block, const char *library, double ns)
{
    printf("{\"block\":\"%s\",\"beside\":\"%s\",\"ns\":%.1f}\n", block,
           library, ns);
}


#if (BESIDE_JWT)

void
beside_token(const char *block, ngx_str_t *token, ngx_str_t *secret)
{
    beside_token_t  t;

    t.token = strndup((char *) token->data, token->len);
    t.secret = secret;

    if (t.token == NULL) {
        blocks_fail("strndup() failed");
    }

    beside_print(block, "libjwt", blocks_time(beside_verify, &t));

    free(t.token);
}


/* the signature and the claims that we look at, too */

static void
beside_verify(void *data)
{
    beside_token_t *t = data;

    jwt_t       *jwt;
    const char  *issuer, *audience;

    if (jwt_decode(&jwt, t->token, t->secret->data, t->secret->len) != 0) {
        blocks_fail("libjwt refused a token");
    }

    issuer = jwt_get_grant(jwt, "iss");
    audience = jwt_get_grant(jwt, "aud");

    if (issuer == NULL || strcmp(issuer, "pulse") != 0
        || audience == NULL || strcmp(audience, "pulse") != 0
        || jwt_get_grant_int(jwt, "exp") < 1900000000)
    {
        blocks_fail("libjwt read other claims");
    }

    jwt_free(jwt);
}

#else

void
beside_token(const char *block, ngx_str_t *token, ngx_str_t *secret)
{
    beside_missing(block, "libjwt-dev");
}

#endif


void
beside_read(const char *block, ngx_str_t *json)
{
    beside_print(block, "yajl, a tree", blocks_time(beside_parse, json));
}


static void
beside_parse(void *data)
{
    yajl_tree_free(beside_tree(data));
}


/* what is read here is followed by a zero */

static yajl_val
beside_tree(ngx_str_t *json)
{
    yajl_val  tree;

    tree = yajl_tree_parse((char *) json->data, NULL, 0);

    if (tree == NULL) {
        blocks_fail("yajl refused JSON");
    }

    return tree;
}


void
beside_translate(const char *block, ngx_str_t *event)
{
    beside_print(block, "yajl, a tree, and written",
                 blocks_time(beside_convert, event));
}


/* the text of an event of Anthropic in one of OpenAI */

static void
beside_convert(void *data)
{
    size_t                len;
    yajl_gen              gen;
    yajl_val              tree, text;
    const unsigned char  *written;

    static const char  *path[] = { "delta", "text", NULL };

    tree = beside_tree(data);
    text = yajl_tree_get(tree, path, yajl_t_string);
    gen = yajl_gen_alloc(NULL);

    if (text == NULL || gen == NULL) {
        blocks_fail("yajl read another event");
    }

    beside_gen(gen, YAJL_GET_STRING(text));

    if (yajl_gen_get_buf(gen, &written, &len) != yajl_gen_status_ok
        || len == 0)
    {
        blocks_fail("yajl wrote no event");
    }

    yajl_gen_free(gen);
    yajl_tree_free(tree);
}


static void
beside_gen(yajl_gen gen, const char *text)
{
    yajl_gen_map_open(gen);
    beside_gen_string(gen, "id");
    beside_gen_string(gen, "chatcmpl-bench");
    beside_gen_string(gen, "object");
    beside_gen_string(gen, "chat.completion.chunk");
    beside_gen_string(gen, "created");
    yajl_gen_integer(gen, 1700000000);
    beside_gen_string(gen, "model");
    beside_gen_string(gen, "a-1");
    beside_gen_string(gen, "choices");
    yajl_gen_array_open(gen);
    yajl_gen_map_open(gen);
    beside_gen_string(gen, "index");
    yajl_gen_integer(gen, 0);
    beside_gen_string(gen, "delta");
    yajl_gen_map_open(gen);
    beside_gen_string(gen, "content");
    beside_gen_string(gen, text);
    yajl_gen_map_close(gen);
    beside_gen_string(gen, "finish_reason");
    yajl_gen_null(gen);
    yajl_gen_map_close(gen);
    yajl_gen_array_close(gen);
    yajl_gen_map_close(gen);
}


static void
beside_gen_string(yajl_gen gen, const char *text)
{
    yajl_gen_string(gen, (const unsigned char *) text, strlen(text));
}


#if (BESIDE_PCRE2)

void
beside_words(const char *block, ngx_str_t *rules, ngx_str_t *text)
{
    int              error;
    size_t           offset;
    beside_words_t   w;
    ngx_pulse_buf_t  b;

    ngx_pulse_buf_init(&b, 0);
    beside_alternation(&b, rules);

    w.text = text;
    w.code = pcre2_compile(b.data, b.len,
                           PCRE2_UTF|PCRE2_UCP|PCRE2_CASELESS
                           |PCRE2_MATCH_INVALID_UTF, &error, &offset, NULL);

    if (w.code == NULL
        || pcre2_jit_compile(w.code, PCRE2_JIT_COMPLETE) != 0)
    {
        blocks_fail("PCRE2 refused the phrases");
    }

    w.match = pcre2_match_data_create_from_pattern(w.code, NULL);

    if (pcre2_match(w.code, rules->data, rules->len, 0, 0, w.match, NULL) < 0)
    {
        blocks_fail("PCRE2 does not find the phrases");
    }

    beside_print(block, "PCRE2 with JIT, as one alternation",
                 blocks_time(beside_match, &w));

    pcre2_match_data_free(w.match);
    pcre2_code_free(w.code);
    ngx_pulse_buf_free(&b);
}


/* phrases by their letters alone, without exceptions and other spellings */

static void
beside_alternation(ngx_pulse_buf_t *b, ngx_str_t *rules)
{
    u_char  *p, *line, *last, *end;

    end = rules->data + rules->len;

    for (line = rules->data; line < end; line = last + 1) {
        last = memchr(line, '\n', end - line);

        if (last == NULL) {
            last = end;
        }

        if (line == last || *line == '#' || *line == '[') {
            continue;
        }

        p = memchr(line, '!', last - line);
        p = p ? p - 1 : last;

        if (p[-1] == '*') {
            p--;
        }

        if (b->len) {
            ngx_pulse_buf_char(b, '|');
        }

        ngx_pulse_buf_literal(b, "\\Q");
        ngx_pulse_buf_append(b, line, p - line);
        ngx_pulse_buf_literal(b, "\\E");
    }

    if (b->failed || b->len == 0) {
        blocks_fail("no phrases");
    }
}


static void
beside_match(void *data)
{
    beside_words_t *w = data;

    int  rc;

    rc = pcre2_match(w->code, w->text->data, w->text->len, 0, 0, w->match,
                     NULL);

    if (rc != PCRE2_ERROR_NOMATCH) {
        blocks_fail("PCRE2 found something in prose");
    }
}

#else

void
beside_words(const char *block, ngx_str_t *rules, ngx_str_t *text)
{
    beside_missing(block, "libpcre2-dev");
}

#endif


#if !(BESIDE_JWT && BESIDE_PCRE2)

static void
beside_missing(const char *block, const char *package)
{
    fprintf(stderr, "blocks: \"%s\" stands alone without %s\n", block,
            package);
}

#endif


/* Waiting costs nothing here, but Redis works too: its CPU is added. */

void
beside_reserve(const char *block, const char *address)
{
    double          ns, before;
    beside_quota_t  q;

    q.calls = 0;
    q.redis = redisConnectUnix(address + sizeof(BESIDE_ADDRESS) - 1);

    if (q.redis == NULL || q.redis->err) {
        blocks_fail("Redis cannot be reached");
    }

    q.script = beside_reply(q.redis, "SCRIPT LOAD %s", BESIDE_TAKE);

    before = beside_redis_ns(q.redis);
    ns = blocks_time(beside_quota, &q);
    ns += (beside_redis_ns(q.redis) - before) / q.calls;

    beside_print(block, "Redis, a script and DECRBY, CPU of both", ns);

    freeReplyObject(q.script);
    freeReplyObject(beside_reply(q.redis, "DEL " BESIDE_KEY));
    redisFree(q.redis);
}


static void
beside_quota(void *data)
{
    beside_quota_t *q = data;

    redisReply  *reply;

    reply = beside_reply(q->redis, "EVALSHA %s 1 " BESIDE_KEY
                                   " 4000 1000000000", q->script->str);

    if (reply->integer != 4000) {
        blocks_fail("Redis reserved something else");
    }

    freeReplyObject(reply);
    freeReplyObject(beside_reply(q->redis, "DECRBY " BESIDE_KEY " 4000"));

    q->calls++;
}


static double
beside_redis_ns(redisContext *redis)
{
    double       ns;
    redisReply  *info;

    info = beside_reply(redis, "INFO cpu");

    ns = beside_redis_spent(info->str, "used_cpu_sys:")
         + beside_redis_spent(info->str, "used_cpu_user:");

    freeReplyObject(info);

    return ns;
}


static double
beside_redis_spent(const char *info, const char *name)
{
    const char  *p;

    p = strstr(info, name);

    if (p == NULL) {
        blocks_fail("Redis does not tell its CPU");
    }

    return strtod(p + strlen(name), NULL) * 1e9;
}


static redisReply *
beside_reply(redisContext *redis, const char *format, ...)
{
    va_list      args;
    redisReply  *reply;

    va_start(args, format);
    reply = redisvCommand(redis, format, args);
    va_end(args);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        blocks_fail(reply ? reply->str : redis->errstr);
    }

    return reply;
}
