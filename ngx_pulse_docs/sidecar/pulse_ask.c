
#include "ngx_pulse_id.h"
#include "pulse_ask.h"
#include "pulse_log.h"
#include "pulse_once.h"
#include "pulse_reply.h"


#define PULSE_ASK_ATTEMPTS  2
#define PULSE_ASK_TIME      240000      /* ms, for all of them */
#define PULSE_ASK_BODY      (4 * 1024 * 1024)
#define PULSE_ASK_SAID      20000       /* bytes of a bad answer told again */


static enum MHD_Result pulse_ask_again(pulse_http_request_t *r,
    pulse_ask_t *ask);
static void pulse_ask_write(pulse_ask_t *ask, ngx_pulse_buf_t *b);
static void pulse_ask_message(ngx_pulse_buf_t *b, const char *role,
    const ngx_str_t *text);
static enum MHD_Result pulse_ask_answered(pulse_http_request_t *r);
static enum MHD_Result pulse_ask_refused(pulse_http_request_t *r,
    pulse_ask_t *ask);
static ngx_uint_t pulse_ask_passes(unsigned status, const ngx_str_t *code);
static ngx_int_t pulse_ask_read(pulse_http_request_t *r, pulse_ask_t *ask);
static ngx_int_t pulse_ask_check(pulse_http_request_t *r, pulse_ask_t *ask);
static ngx_str_t pulse_ask_bare(ngx_str_t text);
static ngx_str_t pulse_ask_string(const ngx_pulse_json_value_t *v,
    const char *key);


enum MHD_Result
pulse_ask(pulse_http_request_t *r, pulse_ask_t *ask)
{
    if (!pulse_chat_possible()) {
        return pulse_reply_error(r, pulse_reply_busy, NULL);
    }

    if (ngx_pulse_buf_init_pool(&ask->chat.body, PULSE_ASK_BODY, r->pool)
        != NGX_OK
        || ngx_pulse_buf_init_pool(&ask->chat.answer, PULSE_CHAT_ANSWER,
                                   r->pool)
           != NGX_OK)
    {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    r->ctx = ask;

    ask->chat.handler = pulse_ask_answered;
    ask->until = ngx_pulse_now() + PULSE_ASK_TIME;

    return pulse_ask_again(r, ask);
}


static enum MHD_Result
pulse_ask_again(pulse_http_request_t *r, pulse_ask_t *ask)
{
    pulse_chat_t  *chat;

    chat = &ask->chat;

    chat->body.len = 0;
    pulse_ask_write(ask, &chat->body);

    if (chat->body.failed) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    ask->attempts++;

    pulse_once_derive(r, ask->attempts, chat->key);

    chat->timeout = ngx_max(ask->until - ngx_pulse_now(), 1);

    r->chat = chat;

    return MHD_YES;
}


static void
pulse_ask_write(pulse_ask_t *ask, ngx_pulse_buf_t *b)
{
    ngx_str_t        text;
    ngx_pulse_buf_t  fault;

    ngx_pulse_buf_char(b, '{');

    if (ask->model.len) {
        ngx_pulse_buf_literal(b, "\"model\":");
        ngx_pulse_buf_json(b, ask->model.data, ask->model.len);
        ngx_pulse_buf_char(b, ',');
    }

    ngx_pulse_buf_literal(b, "\"messages\":[");
    pulse_ask_message(b, "system", &ask->system);
    ngx_pulse_buf_char(b, ',');
    pulse_ask_message(b, "user", &ask->prompt);

    if (ask->attempts) {
        ngx_pulse_buf_init(&fault, 0);

        ngx_pulse_buf_literal(&fault, "That cannot be used: ");
        ngx_pulse_buf_append(&fault, (u_char *) ask->fault,
                             strlen(ask->fault));
        ngx_pulse_buf_literal(&fault, "\nWrite all of it again, right this"
                              " time, as JSON and nothing else.");

        text.data = fault.data;
        text.len = fault.len;

        /* one that was cut or is huge is not worth its tokens */

        if (ask->answer.len && ask->answer.len <= PULSE_ASK_SAID) {
            ngx_pulse_buf_char(b, ',');
            pulse_ask_message(b, "assistant", &ask->answer);
            ngx_pulse_buf_char(b, ',');
            pulse_ask_message(b, "user", &text);
        }

        b->failed |= fault.failed;
        ngx_pulse_buf_free(&fault);
    }

    ngx_pulse_buf_literal(b, "],\"response_format\":{\"type\":\"json_schema\","
                          "\"json_schema\":{\"strict\":true,\"name\":");
    ngx_pulse_buf_json(b, (u_char *) ask->name, strlen(ask->name));
    ngx_pulse_buf_literal(b, ",\"schema\":");
    ngx_pulse_buf_append(b, (u_char *) ask->schema, strlen(ask->schema));
    ngx_pulse_buf_literal(b, "}}}");
}


static void
pulse_ask_message(ngx_pulse_buf_t *b, const char *role, const ngx_str_t *text)
{
    ngx_pulse_buf_literal(b, "{\"role\":");
    ngx_pulse_buf_json(b, (u_char *) role, strlen(role));
    ngx_pulse_buf_literal(b, ",\"content\":");
    ngx_pulse_buf_json(b, text->data, text->len);
    ngx_pulse_buf_char(b, '}');
}


/* A worker's, once the gateway has answered, or is known not to. */

static enum MHD_Result
pulse_ask_answered(pulse_http_request_t *r)
{
    ngx_int_t     rc;
    pulse_ask_t  *ask;

    ask = r->ctx;

    r->tokens = ask->chat.tokens;
    r->warning = ask->chat.warning;

    if (ask->chat.status != MHD_HTTP_OK) {
        return pulse_ask_refused(r, ask);
    }

    ask->fault[0] = '\0';

    rc = pulse_ask_read(r, ask);

    if (rc == NGX_OK) {
        rc = pulse_ask_check(r, ask);
    }

    if (rc == NGX_OK) {
        return ask->done(r);
    }

    if (rc == NGX_ERROR) {
        return pulse_reply_error(r, pulse_reply_internal, NULL);
    }

    if (ask->attempts < PULSE_ASK_ATTEMPTS) {
        return pulse_ask_again(r, ask);
    }

    /* of the pointer and what is wrong there, not of what was written */

    pulse_log(PULSE_LOG_WARN, "pulse ask: %s: no use after %lu attempts: %s",
              ask->name, ask->attempts, ask->fault);

    return pulse_reply_error(r, pulse_reply_provider, NULL);
}


/* What the gateway refuses for the person's plan or for the provider is told
 * as it said it. */

static enum MHD_Result
pulse_ask_refused(pulse_http_request_t *r, pulse_ask_t *ask)
{
    ngx_str_t                code;
    pulse_chat_t            *chat;
    ngx_pulse_buf_t          body;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    chat = &ask->chat;

    if (chat->status == 0) {
        return pulse_reply_error(r, pulse_reply_busy, NULL);
    }

    v = ngx_pulse_json_tree(r->pool, chat->answer.data, chat->answer.len,
                            NULL, &err);
    code = pulse_ask_string(ngx_pulse_json_get(v, "error"), "code");

    if (!pulse_ask_passes(chat->status, &code)) {
        pulse_log(PULSE_LOG_ERR, "pulse ask: %s: the gateway answered %ld:"
                  " %.*s", ask->name, chat->status, (int) code.len, code.data);

        return pulse_reply_error(r, pulse_reply_provider, NULL);
    }

    ngx_pulse_buf_init(&body, 0);
    ngx_pulse_buf_str(&body, &chat->answer);

    return pulse_reply_passed(r, chat->status, &code, chat->retry_after,
                              &body);
}


static ngx_uint_t
pulse_ask_passes(unsigned status, const ngx_str_t *code)
{
    size_t        len;
    const char  **name;

    static const char  *names[] = {
        "CONTENT_FLAGGED", "UNAUTHORIZED", "NO_SUBSCRIPTION",
        "QUOTA_EXCEEDED", "MODEL_NOT_FOUND", "IDEMPOTENCY_MISMATCH",
        "RATE_LIMIT_EXCEEDED", "PROVIDER_ERROR", "PROVIDER_UNAVAILABLE",
        "STORE_UNAVAILABLE", "SERVICE_UNAVAILABLE", "GATEWAY_TIMEOUT", NULL
    };

    for (name = names; *name; name++) {
        len = strlen(*name);

        if (len == code->len && memcmp(*name, code->data, len) == 0) {
            return status >= MHD_HTTP_BAD_REQUEST;
        }
    }

    return 0;
}


/* The text of the first choice, in the studio's own dialect. */

static ngx_int_t
pulse_ask_read(pulse_http_request_t *r, pulse_ask_t *ask)
{
    ngx_str_t                reason, text;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v, *choices, *usage;
    ngx_pulse_json_limits_t  limits;

    limits.size = PULSE_CHAT_ANSWER;
    limits.depth = 32;
    limits.values = 65536;
    limits.keys = 1024;

    v = ngx_pulse_json_tree(r->pool, ask->chat.answer.data,
                            ask->chat.answer.len, &limits, &err);
    v = ngx_pulse_json_get(v, "data");
    choices = ngx_pulse_json_get(v, "choices");
    usage = ngx_pulse_json_get(v, "usage");

    if (choices == NULL || choices->type != NGX_PULSE_JSON_ARRAY
        || choices->children == NULL)
    {
        snprintf(ask->fault, sizeof(ask->fault), "there is no answer");
        return NGX_DECLINED;
    }

    ask->by = pulse_ask_string(v, "model");
    reason = pulse_ask_string(choices->children, "finish_reason");
    text = pulse_ask_string(ngx_pulse_json_get(choices->children, "message"),
                            "content");

    /* the buffer is the next answer's */

    if (usage) {
        ask->usage.len = usage->end - usage->start;
        ask->usage.data = ngx_pnalloc(r->pool, ask->usage.len);

        if (ask->usage.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(ask->usage.data, ask->chat.answer.data + usage->start,
                   ask->usage.len);
    }

    ask->answer = text;

    if (reason.len == 6 && ngx_memcmp(reason.data, "length", 6) == 0) {
        snprintf(ask->fault, sizeof(ask->fault), "it was too long and is cut"
                 " off: write less");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
pulse_ask_check(pulse_http_request_t *r, pulse_ask_t *ask)
{
    ngx_str_t                text;
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *v;

    text = pulse_ask_bare(ask->answer);
    v = ngx_pulse_json_tree(r->pool, text.data, text.len, NULL, &err);

    if (v == NULL) {
        snprintf(ask->fault, sizeof(ask->fault), "it is no JSON: %s",
                 err.reason);
        return NGX_DECLINED;
    }

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        snprintf(ask->fault, sizeof(ask->fault), "it is no JSON object");
        return NGX_DECLINED;
    }

    return ask->check(ask, v);
}


/* Models that know no schemas put JSON into a block of Markdown. */

static ngx_str_t
pulse_ask_bare(ngx_str_t text)
{
    u_char  *p, *last;

    p = text.data;
    last = text.data + text.len;

    while (p < last && *p != '{' && *p != '[') {
        p++;
    }

    while (last > p && last[-1] != '}' && last[-1] != ']') {
        last--;
    }

    if (p < last) {
        text.data = p;
        text.len = last - p;
    }

    return text;
}


static ngx_str_t
pulse_ask_string(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_str_t                none;
    ngx_pulse_json_value_t  *member;

    ngx_str_null(&none);

    member = ngx_pulse_json_get(v, key);

    return (member && member->type == NGX_PULSE_JSON_STRING) ? member->string
                                                             : none;
}


void
pulse_ask_members(const pulse_ask_t *ask, ngx_pulse_buf_t *b)
{
    ngx_pulse_buf_literal(b, "\"model\":");
    ngx_pulse_buf_json(b, ask->by.data, ask->by.len);
    ngx_pulse_buf_literal(b, ",\"usage\":");

    if (ask->usage.len) {
        ngx_pulse_buf_str(b, &ask->usage);

    } else {
        ngx_pulse_buf_literal(b, "null");
    }
}
