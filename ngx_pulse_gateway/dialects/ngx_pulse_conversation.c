
#include "ngx_pulse_conversation.h"

#include <string.h>
#include <strings.h>


#define NGX_PULSE_CHAT_PER_REQUEST   4
#define NGX_PULSE_CHAT_PER_MESSAGE   5
#define NGX_PULSE_CHAT_PER_CALL      10
#define NGX_PULSE_CHAT_PER_TOOL      12
#define NGX_PULSE_CHAT_FIRST_TOOL    100        /* newer models, at most */
#define NGX_PULSE_CHAT_PER_FILE      600
#define NGX_PULSE_CHAT_FILE_BYTES    16
#define NGX_PULSE_CHAT_AUDIO_BYTES   200


static void ngx_pulse_count_text(ngx_pulse_conversation_t *cv,
    const ngx_str_t *s);
static void ngx_pulse_count_json(ngx_pulse_conversation_t *cv,
    const ngx_str_t *raw);
static ngx_int_t ngx_pulse_count_value(void *ctx, ngx_pulse_json_event_t *ev);
static void ngx_pulse_count_parts(ngx_pulse_conversation_t *cv,
    const ngx_pulse_part_t *part);
static void ngx_pulse_count_part(ngx_pulse_conversation_t *cv,
    const ngx_pulse_part_t *part);

static ngx_int_t ngx_pulse_member_type(const ngx_pulse_json_value_t *v,
    const char *key, ngx_uint_t type, const char *reason,
    ngx_pulse_json_value_t **member, ngx_pulse_chat_refusal_t *refusal);

static ngx_int_t ngx_pulse_collect_text(ngx_pulse_collector_t *collector,
    ngx_pulse_part_e type, const ngx_str_t *text);
static ngx_int_t ngx_pulse_collect_signature(ngx_pulse_collector_t *collector,
    const ngx_str_t *text);
static ngx_int_t ngx_pulse_collect_call(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_collect_arguments(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_collect_finish(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_collect_error(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_collect_open(ngx_pulse_collector_t *collector,
    ngx_pulse_part_e type);
static ngx_int_t ngx_pulse_collect_close(ngx_pulse_collector_t *collector);
static ngx_int_t ngx_pulse_collect_append(ngx_pulse_buf_t *b,
    const ngx_str_t *text);
static ngx_int_t ngx_pulse_collect_copy(ngx_pulse_collector_t *collector,
    ngx_str_t *to, const u_char *p, size_t len);


ngx_pulse_turn_t *
ngx_pulse_turn_add(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    ngx_uint_t role)
{
    ngx_pulse_turn_t  *turn;

    turn = ngx_pcalloc(pool, sizeof(ngx_pulse_turn_t));
    if (turn == NULL) {
        return NULL;
    }

    turn->role = role;
    turn->last = &turn->parts;

    if (cv->last) {
        cv->last->next = turn;

    } else {
        cv->turns = turn;
    }

    cv->last = turn;

    return turn;
}


ngx_pulse_part_t *
ngx_pulse_part_add(ngx_pulse_turn_t *turn, ngx_pool_t *pool,
    ngx_pulse_part_e type)
{
    ngx_pulse_part_t  *part;

    part = ngx_pcalloc(pool, sizeof(ngx_pulse_part_t));
    if (part == NULL) {
        return NULL;
    }

    part->type = type;

    *turn->last = part;
    turn->last = &part->next;

    return part;
}


ngx_pulse_tool_t *
ngx_pulse_tool_add(ngx_pulse_conversation_t *cv, ngx_pool_t *pool)
{
    ngx_pulse_tool_t  *tool;

    tool = ngx_pcalloc(pool, sizeof(ngx_pulse_tool_t));
    if (tool == NULL) {
        return NULL;
    }

    if (cv->last_tool) {
        cv->last_tool->next = tool;

    } else {
        cv->tools = tool;
    }

    cv->last_tool = tool;

    return tool;
}


void
ngx_pulse_dropped_add(ngx_pulse_dropped_t *dropped, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < dropped->n; i++) {
        if (ngx_pulse_is(&dropped->names[i], name)) {
            return;
        }
    }

    if (dropped->n == NGX_PULSE_CHAT_DROPPED) {
        return;
    }

    dropped->names[dropped->n].len = strlen(name);
    dropped->names[dropped->n].data = (u_char *) name;
    dropped->n++;
}


ngx_str_t
ngx_pulse_call_name(const ngx_pulse_conversation_t *cv, const ngx_str_t *id)
{
    ngx_str_t                name;
    const ngx_pulse_part_t  *part;
    const ngx_pulse_turn_t  *turn;

    ngx_str_null(&name);

    if (id->len == 0) {
        return name;
    }

    for (turn = cv->turns; turn; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (part->type == NGX_PULSE_PART_CALL
                && part->id.len == id->len
                && ngx_memcmp(part->id.data, id->data, id->len) == 0)
            {
                /* the last one counts: some clients number calls anew */
                name = part->name;
            }
        }
    }

    return name;
}


ngx_int_t
ngx_pulse_part_url(ngx_pulse_part_t *part, const ngx_str_t *url)
{
    u_char  *p, *last, *comma;

    /* RFC 2397 */

    if (url->len > 8 && strncasecmp((char *) url->data, "https://", 8) == 0) {
        part->url = *url;
        return NGX_OK;
    }

    if (url->len < 5 || strncasecmp((char *) url->data, "data:", 5) != 0) {
        return NGX_DECLINED;
    }

    p = url->data + 5;
    last = url->data + url->len;

    comma = memchr(p, ',', last - p);

    if (comma == NULL || comma - p < 8
        || strncasecmp((char *) comma - 7, ";base64", 7) != 0
        || comma + 1 == last)
    {
        return NGX_DECLINED;
    }

    part->media_type.data = p;
    part->media_type.len = comma - 7 - p;

    /* "text/plain;charset=utf-8;base64": parameters are of no use */

    last = memchr(p, ';', comma - p);
    part->media_type.len = last - p;

    part->data.data = comma + 1;
    part->data.len = url->data + url->len - part->data.data;

    return part->media_type.len ? NGX_OK : NGX_DECLINED;
}


void
ngx_pulse_conversation_count(ngx_pulse_conversation_t *cv)
{
    const ngx_pulse_turn_t  *turn;
    const ngx_pulse_tool_t  *tool;

    ngx_memzero(&cv->prompt, sizeof(ngx_pulse_tokens_t));
    cv->images_low = 0;
    cv->images_high = 0;

    ngx_pulse_tokens_extra(&cv->prompt, NGX_PULSE_CHAT_PER_REQUEST);

    for (turn = cv->turns; turn; turn = turn->next) {
        ngx_pulse_tokens_extra(&cv->prompt, NGX_PULSE_CHAT_PER_MESSAGE);
        ngx_pulse_count_text(cv, &turn->name);
        ngx_pulse_count_parts(cv, turn->parts);
    }

    if (cv->tools) {
        cv->prompt.bound += NGX_PULSE_CHAT_FIRST_TOOL;
    }

    for (tool = cv->tools; tool; tool = tool->next) {
        ngx_pulse_tokens_extra(&cv->prompt, NGX_PULSE_CHAT_PER_TOOL);
        ngx_pulse_count_text(cv, &tool->name);
        ngx_pulse_count_text(cv, &tool->description);
        ngx_pulse_count_json(cv, &tool->parameters);
        ngx_pulse_count_json(cv, &tool->raw);
    }

    ngx_pulse_count_text(cv, &cv->format_name);
    ngx_pulse_count_json(cv, &cv->format_schema);
}


static void
ngx_pulse_count_text(ngx_pulse_conversation_t *cv, const ngx_str_t *s)
{
    if (s->len) {
        ngx_pulse_tokens_add(&cv->prompt, s->data, s->len);
    }
}


/* models are shown names and values, with hardly any of the punctuation */

static void
ngx_pulse_count_json(ngx_pulse_conversation_t *cv, const ngx_str_t *raw)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_limits_t  limits;

    if (raw->len == 0) {
        return;
    }

    limits.size = raw->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH;
    limits.values = raw->len;
    limits.keys = raw->len;

    if (ngx_pulse_json_read(raw->data, raw->len, &limits,
                            ngx_pulse_count_value, &cv->prompt, &err)
        != NGX_OK)
    {
        /* no JSON but the free text of a custom tool: some of it may be
         * counted twice, which only makes the bound larger */

        ngx_pulse_count_text(cv, raw);
    }
}


static ngx_int_t
ngx_pulse_count_value(void *ctx, ngx_pulse_json_event_t *ev)
{
    ngx_pulse_tokens_t *prompt = ctx;

    if (ev->type == NGX_PULSE_JSON_OBJECT_END
        || ev->type == NGX_PULSE_JSON_ARRAY_END)
    {
        return NGX_OK;
    }

    if (ev->key.data) {
        ngx_pulse_tokens_add(prompt, ev->key.data, ev->key.len);
    }

    if (ev->type == NGX_PULSE_JSON_STRING
        || ev->type == NGX_PULSE_JSON_NUMBER)
    {
        ngx_pulse_tokens_add(prompt, ev->string.data, ev->string.len);
    }

    return NGX_OK;
}


static void
ngx_pulse_count_parts(ngx_pulse_conversation_t *cv,
    const ngx_pulse_part_t *part)
{
    for ( /* void */ ; part; part = part->next) {
        ngx_pulse_count_part(cv, part);
    }
}


static void
ngx_pulse_count_part(ngx_pulse_conversation_t *cv,
    const ngx_pulse_part_t *part)
{
    switch (part->type) {

    case NGX_PULSE_PART_TEXT:
    case NGX_PULSE_PART_THINKING:
    case NGX_PULSE_PART_REFUSAL:
        ngx_pulse_count_text(cv, &part->text);
        break;

    case NGX_PULSE_PART_REDACTED:
    case NGX_PULSE_PART_RAW:
        ngx_pulse_count_json(cv, &part->data);
        break;

    case NGX_PULSE_PART_IMAGE:

        if (ngx_pulse_is(&part->detail, "low")) {
            cv->images_low++;

        } else {
            cv->images_high++;
        }

        break;

    case NGX_PULSE_PART_DOCUMENT:
        ngx_pulse_count_text(cv, &part->filename);
        ngx_pulse_tokens_extra(&cv->prompt,
                               NGX_PULSE_CHAT_PER_FILE
                               + part->data.len / NGX_PULSE_CHAT_FILE_BYTES);
        break;

    case NGX_PULSE_PART_AUDIO:
        ngx_pulse_tokens_extra(&cv->prompt,
                               part->data.len / NGX_PULSE_CHAT_AUDIO_BYTES
                               + 1);
        break;

    case NGX_PULSE_PART_CALL:
        ngx_pulse_tokens_extra(&cv->prompt, NGX_PULSE_CHAT_PER_CALL);
        ngx_pulse_count_text(cv, &part->name);
        ngx_pulse_count_json(cv, &part->arguments);
        break;

    case NGX_PULSE_PART_RESULT:
        ngx_pulse_tokens_extra(&cv->prompt, NGX_PULSE_CHAT_PER_CALL);
        ngx_pulse_count_parts(cv, part->content);
        break;
    }
}


ngx_int_t
ngx_pulse_refuse(ngx_pulse_chat_refusal_t *refusal,
    const ngx_pulse_json_value_t *v, const char *key, const char *reason)
{
    size_t           len;
    ngx_pulse_buf_t  b;

    refusal->pointer[0] = '\0';
    refusal->reason = reason;

    if (v == NULL) {
        return NGX_DECLINED;
    }

    /* a pointer cut short would name another value: then none at all */

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_json_pointer(v, key, &b);

    len = b.len;

    if (!b.failed && len && len < NGX_PULSE_CHAT_POINTER_LEN) {
        ngx_memcpy(refusal->pointer, b.data, len);
        refusal->pointer[len] = '\0';
    }

    ngx_pulse_buf_free(&b);

    return NGX_DECLINED;
}


ngx_pulse_json_value_t *
ngx_pulse_member(const ngx_pulse_json_value_t *v, const char *key)
{
    ngx_pulse_json_value_t  *member;

    member = ngx_pulse_json_get(v, key);

    if (member && member->type == NGX_PULSE_JSON_NULL) {
        return NULL;
    }

    return member;
}


static ngx_int_t
ngx_pulse_member_type(const ngx_pulse_json_value_t *v, const char *key,
    ngx_uint_t type, const char *reason, ngx_pulse_json_value_t **member,
    ngx_pulse_chat_refusal_t *refusal)
{
    *member = ngx_pulse_member(v, key);

    if (*member && (*member)->type != type) {
        return ngx_pulse_refuse(refusal, *member, NULL, reason);
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_member_string(const ngx_pulse_json_value_t *v, const char *key,
    ngx_str_t *s, ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *member;

    rc = ngx_pulse_member_type(v, key, NGX_PULSE_JSON_STRING,
                               "must be a string", &member, refusal);

    if (rc == NGX_OK && member) {
        *s = member->string;
    }

    return rc;
}


ngx_int_t
ngx_pulse_member_number(const ngx_pulse_json_value_t *v, const char *key,
    ngx_str_t *number, ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *member;

    rc = ngx_pulse_member_type(v, key, NGX_PULSE_JSON_NUMBER,
                               "must be a number", &member, refusal);

    if (rc == NGX_OK && member) {
        *number = member->string;
    }

    return rc;
}


ngx_int_t
ngx_pulse_member_count(const ngx_pulse_json_value_t *v, const char *key,
    int64_t min, int64_t *n, ngx_pulse_chat_refusal_t *refusal)
{
    int64_t                  count;
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *member;

    rc = ngx_pulse_member_type(v, key, NGX_PULSE_JSON_NUMBER,
                               "must be an integer", &member, refusal);

    if (rc != NGX_OK || member == NULL) {
        return rc;
    }

    if (ngx_pulse_json_int(&member->string, &count) != NGX_OK) {
        return ngx_pulse_refuse(refusal, member, NULL, "must be an integer");
    }

    if (count < min) {
        return ngx_pulse_refuse(refusal, member, NULL, "is too small");
    }

    if (count > INT32_MAX) {
        return ngx_pulse_refuse(refusal, member, NULL, "is too large");
    }

    *n = count;

    return NGX_OK;
}


ngx_int_t
ngx_pulse_member_bool(const ngx_pulse_json_value_t *v, const char *key,
    ngx_uint_t *flag, ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *member;

    rc = ngx_pulse_member_type(v, key, NGX_PULSE_JSON_BOOL,
                               "must be a boolean", &member, refusal);

    if (rc == NGX_OK && member) {
        *flag = member->boolean;
    }

    return rc;
}


ngx_int_t
ngx_pulse_member_object(const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **member, ngx_pulse_chat_refusal_t *refusal)
{
    return ngx_pulse_member_type(v, key, NGX_PULSE_JSON_OBJECT,
                                 "must be an object", member, refusal);
}


ngx_int_t
ngx_pulse_member_array(const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **member, ngx_pulse_chat_refusal_t *refusal)
{
    return ngx_pulse_member_type(v, key, NGX_PULSE_JSON_ARRAY,
                                 "must be an array", member, refusal);
}


ngx_str_t
ngx_pulse_raw(const ngx_str_t *text, const ngx_pulse_json_value_t *v)
{
    ngx_str_t  raw;

    raw.data = text->data + v->start;
    raw.len = v->end - v->start;

    return raw;
}


void
ngx_pulse_unknown_members(ngx_pulse_conversation_t *cv,
    const ngx_pulse_json_value_t *v, const char **known)
{
    ngx_uint_t                     i;
    const char                   **name;
    const ngx_pulse_json_value_t  *member;

    for (member = v->children; member; member = member->next) {

        if (member->type == NGX_PULSE_JSON_NULL) {
            continue;
        }

        for (name = known; *name; name++) {
            if (ngx_pulse_is(&member->key, *name)) {
                break;
            }
        }

        if (*name) {
            continue;
        }

        for (i = 0; i < cv->nunknown; i++) {
            if (cv->unknown[i].len == member->key.len
                && ngx_memcmp(cv->unknown[i].data, member->key.data,
                              member->key.len) == 0)
            {
                break;
            }
        }

        if (i == cv->nunknown && i < NGX_PULSE_CHAT_DROPPED) {
            cv->unknown[cv->nunknown++] = member->key;
        }
    }
}


ngx_uint_t
ngx_pulse_is(const ngx_str_t *s, const char *literal)
{
    size_t  len;

    len = strlen(literal);

    return s->len == len && ngx_memcmp(s->data, literal, len) == 0;
}


void
ngx_pulse_json_comma(ngx_pulse_buf_t *b)
{
    u_char  ch;

    if (b->len == 0) {
        return;
    }

    ch = b->data[b->len - 1];

    if (ch != '{' && ch != '[') {
        ngx_pulse_buf_char(b, ',');
    }
}


void
ngx_pulse_json_key(ngx_pulse_buf_t *b, const char *key)
{
    ngx_pulse_json_comma(b);
    ngx_pulse_buf_json(b, (u_char *) key, strlen(key));
    ngx_pulse_buf_char(b, ':');
}


void
ngx_pulse_json_string(ngx_pulse_buf_t *b, const char *key, const ngx_str_t *s)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_json(b, s->len ? s->data : (u_char *) "", s->len);
}


void
ngx_pulse_json_literal(ngx_pulse_buf_t *b, const char *key, const char *s)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_json(b, (u_char *) s, strlen(s));
}


void
ngx_pulse_json_raw(ngx_pulse_buf_t *b, const char *key, const ngx_str_t *raw)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_str(b, raw);
}


void
ngx_pulse_json_number(ngx_pulse_buf_t *b, const char *key, int64_t n)
{
    ngx_pulse_json_key(b, key);
    ngx_pulse_buf_int(b, n);
}


ngx_int_t
ngx_pulse_collector_init(ngx_pulse_collector_t *collector, ngx_pool_t *pool,
    size_t max)
{
    ngx_memzero(collector, sizeof(ngx_pulse_collector_t));

    collector->pool = pool;
    collector->last = &collector->parts;

    if (ngx_pulse_buf_init_pool(&collector->open, max, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_pulse_buf_init_pool(&collector->signature, max, pool);
}


ngx_int_t
ngx_pulse_collect(void *ctx, ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_collector_t *collector = ctx;

    if (ev->choice != 0) {
        return NGX_OK;
    }

    switch (ev->type) {

    case NGX_PULSE_ANSWER_START:

        if (collector->started) {
            return NGX_OK;
        }

        collector->started = 1;

        if (ngx_pulse_collect_copy(collector, &collector->id, ev->id.data,
                                   ev->id.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_pulse_collect_copy(collector, &collector->model,
                                      ev->model.data, ev->model.len);

    case NGX_PULSE_ANSWER_TEXT:
        return ngx_pulse_collect_text(collector, NGX_PULSE_PART_TEXT,
                                      &ev->text);

    case NGX_PULSE_ANSWER_THINKING:
        return ngx_pulse_collect_text(collector, NGX_PULSE_PART_THINKING,
                                      &ev->text);

    case NGX_PULSE_ANSWER_REFUSAL:
        return ngx_pulse_collect_text(collector, NGX_PULSE_PART_REFUSAL,
                                      &ev->text);

    case NGX_PULSE_ANSWER_SIGNATURE:
        return ngx_pulse_collect_signature(collector, &ev->text);

    case NGX_PULSE_ANSWER_REDACTED:

        if (ngx_pulse_collect_open(collector, NGX_PULSE_PART_REDACTED)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_pulse_collect_append(&collector->open, &ev->text) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_pulse_collect_close(collector);

    case NGX_PULSE_ANSWER_CALL:
        return ngx_pulse_collect_call(collector, ev);

    case NGX_PULSE_ANSWER_ARGUMENTS:
        return ngx_pulse_collect_arguments(collector, ev);

    case NGX_PULSE_ANSWER_CALL_END:
    case NGX_PULSE_ANSWER_PART_END:
    case NGX_PULSE_ANSWER_END:
        return ngx_pulse_collect_close(collector);

    case NGX_PULSE_ANSWER_FINISH:
        return ngx_pulse_collect_finish(collector, ev);

    case NGX_PULSE_ANSWER_USAGE:
        collector->usage = ev->usage;
        return NGX_OK;

    case NGX_PULSE_ANSWER_ERROR:
        return ngx_pulse_collect_error(collector, ev);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_collect_text(ngx_pulse_collector_t *collector, ngx_pulse_part_e type,
    const ngx_str_t *text)
{
    ngx_pulse_part_t  *part;

    part = collector->current;

    if (part == NULL || part->type != type) {
        if (ngx_pulse_collect_open(collector, type) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_pulse_collect_append(&collector->open, text);
}


static ngx_int_t
ngx_pulse_collect_signature(ngx_pulse_collector_t *collector,
    const ngx_str_t *text)
{
    /* thinking that is not shown at all still has to be sent back */

    if (collector->current == NULL
        && ngx_pulse_collect_open(collector, NGX_PULSE_PART_THINKING)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_collect_append(&collector->signature, text);
}


static ngx_int_t
ngx_pulse_collect_call(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_part_t  *part;

    if (ngx_pulse_collect_open(collector, NGX_PULSE_PART_CALL) != NGX_OK) {
        return NGX_ERROR;
    }

    part = collector->current;
    part->custom = ev->custom;
    collector->index = ev->index;

    if (ngx_pulse_collect_copy(collector, &part->id, ev->id.data, ev->id.len)
        != NGX_OK
        || ngx_pulse_collect_copy(collector, &part->name, ev->name.data,
                                  ev->name.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_collect_append(&collector->signature, &ev->signature);
}


static ngx_int_t
ngx_pulse_collect_arguments(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev)
{
    ngx_uint_t         n;
    ngx_pulse_part_t  *part;

    part = collector->current;

    if (part && part->type == NGX_PULSE_PART_CALL
        && collector->index == ev->index)
    {
        return ngx_pulse_collect_append(&collector->open, &ev->text);
    }

    /* calls side by side: one that seemed to be over goes on */

    if (ngx_pulse_collect_close(collector) != NGX_OK) {
        return NGX_ERROR;
    }

    n = 0;

    for (part = collector->parts; part; part = part->next) {

        if (part->type == NGX_PULSE_PART_CALL && n++ == ev->index) {
            break;
        }
    }

    if (part == NULL) {
        return NGX_ERROR;
    }

    collector->current = part;
    collector->index = ev->index;

    /* "{}" stood for arguments that had not come yet */

    if (!ngx_pulse_is(&part->arguments, "{}")
        && ngx_pulse_collect_append(&collector->open, &part->arguments)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_pulse_collect_append(&collector->signature, &part->signature)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_collect_append(&collector->open, &ev->text);
}


static ngx_int_t
ngx_pulse_collect_finish(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev)
{
    collector->finished = 1;
    collector->finish = ev->finish;

    if (ev->usage.known) {
        collector->usage = ev->usage;
    }

    if (ngx_pulse_collect_close(collector) != NGX_OK
        || ngx_pulse_collect_copy(collector, &collector->native,
                                  ev->native.data, ev->native.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_collect_copy(collector, &collector->stop, ev->stop.data,
                                  ev->stop.len);
}


static ngx_int_t
ngx_pulse_collect_error(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev)
{
    ngx_pulse_chat_error_t  *to, *from;

    to = &collector->error;
    from = &ev->error;

    collector->failed = 1;
    to->quota = from->quota;

    if (ngx_pulse_collect_copy(collector, &to->message, from->message.data,
                               from->message.len)
        != NGX_OK
        || ngx_pulse_collect_copy(collector, &to->type, from->type.data,
                                  from->type.len)
           != NGX_OK
        || ngx_pulse_collect_copy(collector, &to->code, from->code.data,
                                  from->code.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_collect_close(collector);
}


static ngx_int_t
ngx_pulse_collect_open(ngx_pulse_collector_t *collector, ngx_pulse_part_e type)
{
    ngx_pulse_part_t  *part;

    if (ngx_pulse_collect_close(collector) != NGX_OK) {
        return NGX_ERROR;
    }

    part = ngx_pcalloc(collector->pool, sizeof(ngx_pulse_part_t));
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->type = type;

    *collector->last = part;
    collector->last = &part->next;
    collector->current = part;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_collect_close(ngx_pulse_collector_t *collector)
{
    ngx_str_t         *to;
    ngx_pulse_buf_t   *open;
    ngx_pulse_part_t  *part;

    part = collector->current;

    if (part == NULL) {
        return NGX_OK;
    }

    open = &collector->open;

    switch (part->type) {

    case NGX_PULSE_PART_CALL:
        to = &part->arguments;
        break;

    case NGX_PULSE_PART_REDACTED:
        to = &part->data;
        break;

    default:
        to = &part->text;
    }

    if (part->type == NGX_PULSE_PART_CALL && open->len == 0) {
        ngx_str_set(to, "{}");

    } else if (ngx_pulse_collect_copy(collector, to, open->data, open->len)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_pulse_collect_copy(collector, &part->signature,
                               collector->signature.data,
                               collector->signature.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    open->len = 0;
    collector->signature.len = 0;
    collector->current = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_collect_append(ngx_pulse_buf_t *b, const ngx_str_t *text)
{
    ngx_pulse_buf_str(b, text);

    return b->failed ? NGX_ERROR : NGX_OK;
}


/* "max" holds for the sum: an answer in many small parts is as long */

static ngx_int_t
ngx_pulse_collect_copy(ngx_pulse_collector_t *collector, ngx_str_t *to,
    const u_char *p, size_t len)
{
    size_t  max;

    ngx_str_null(to);

    if (len == 0) {
        return NGX_OK;
    }

    max = collector->open.max;

    if (max && (len > max || collector->total > max - len)) {
        return NGX_ERROR;
    }

    to->data = ngx_pnalloc(collector->pool, len);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, p, len);
    to->len = len;
    collector->total += len;

    return NGX_OK;
}
