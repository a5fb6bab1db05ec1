
#include "ngx_pulse_conversation.h"

#include <stdlib.h>
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


/* a call by its id; of those that share one the last counts */

typedef struct {
    const ngx_pulse_part_t  *part;
    ngx_uint_t               order;
} ngx_pulse_call_t;


static void ngx_pulse_name_results(ngx_pulse_conversation_t *cv);
static int ngx_pulse_call_compare(const void *one, const void *two);
static int ngx_pulse_id_compare(const ngx_str_t *one, const ngx_str_t *two);
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
    part->at = turn->at;

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

    tool->at = cv->at;

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
    ngx_str_t  s;

    s.data = (u_char *) name;
    s.len = strlen(name);

    ngx_pulse_dropped_name(dropped, &s);
}


void
ngx_pulse_dropped_name(ngx_pulse_dropped_t *dropped, const ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < dropped->n; i++) {
        if (dropped->names[i].len == name->len
            && ngx_memcmp(dropped->names[i].data, name->data, name->len) == 0)
        {
            return;
        }
    }

    if (dropped->n < NGX_PULSE_CHAT_DROPPED) {
        dropped->names[dropped->n++] = *name;
    }
}


ngx_uint_t
ngx_pulse_effort(const ngx_pulse_target_t *target, ngx_uint_t effort)
{
    ngx_uint_t  less, more;

    if (effort == NGX_PULSE_EFFORT_UNSET || target->efforts == 0) {
        return effort;
    }

    for (less = effort; less > NGX_PULSE_EFFORT_NONE; less--) {
        if (target->efforts & (1 << less)) {
            return less;
        }
    }

    for (more = effort; more <= NGX_PULSE_EFFORT_MAX; more++) {
        if (target->efforts & (1 << more)) {
            return more;
        }
    }

    return less;
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
        cv->prompt.frames |= NGX_PULSE_TOKENS_TOOLS;
    }

    if (cv->format == NGX_PULSE_FORMAT_SCHEMA) {
        cv->prompt.frames |= NGX_PULSE_TOKENS_SCHEMA;
    }

    if (cv->effort > NGX_PULSE_EFFORT_NONE || cv->budget || cv->adaptive) {
        cv->prompt.frames |= NGX_PULSE_TOKENS_THINKING;
    }

    for (tool = cv->tools; tool; tool = tool->next) {
        ngx_pulse_tokens_extra(&cv->prompt, NGX_PULSE_CHAT_PER_TOOL);
        ngx_pulse_count_text(cv, &tool->name);
        ngx_pulse_count_text(cv, &tool->description);
        ngx_pulse_count_json(cv, &tool->parameters);
        ngx_pulse_count_json(cv, &tool->raw);
    }

    ngx_pulse_count_text(cv, &cv->format_name);
    ngx_pulse_count_text(cv, &cv->format_description);
    ngx_pulse_count_json(cv, &cv->format_schema);

    ngx_pulse_name_results(cv);
}


/*
 * Measured on recordings, beyond what each tool and the first one add.
 * Anthropic's prompt for tools is the longest, and longer where one of them
 * must be called.
 */

uint64_t
ngx_pulse_conversation_frames(const ngx_pulse_tokens_t *prompt,
    ngx_uint_t dialect)
{
    uint64_t  n;

    static const struct {
        uint64_t  tools;
        uint64_t  schema;
        uint64_t  thinking;
    } frames[] = {
        { 0, 0, 32 },           /* NGX_PULSE_DIALECT_OPENAI */
        { 144, 0, 48 },         /* NGX_PULSE_DIALECT_RESPONSES */
        { 530, 180, 40 },       /* NGX_PULSE_DIALECT_ANTHROPIC */
        { 136, 32, 0 }          /* NGX_PULSE_DIALECT_GEMINI */
    };

    n = 0;

    if (prompt->frames & NGX_PULSE_TOKENS_TOOLS) {
        n += frames[dialect].tools;
    }

    if (prompt->frames & NGX_PULSE_TOKENS_SCHEMA) {
        n += frames[dialect].schema;
    }

    if (prompt->frames & NGX_PULSE_TOKENS_THINKING) {
        n += frames[dialect].thinking;
    }

    return n;
}


/* by a sorted list: a search for each would be as slow as a client likes.
 * Without memory they stay without a name, and a writer searches. */

static void
ngx_pulse_name_results(ngx_pulse_conversation_t *cv)
{
    size_t             n, low, high, middle;
    ngx_pulse_call_t  *calls;
    ngx_pulse_part_t  *part;
    ngx_pulse_turn_t  *turn;

    n = 0;

    for (turn = cv->turns; turn; turn = turn->next) {
        for (part = turn->parts; part; part = part->next) {
            n += (part->type == NGX_PULSE_PART_CALL);
        }
    }

    if (n == 0 || cv->pool == NULL) {
        return;
    }

    calls = ngx_palloc(cv->pool, n * sizeof(ngx_pulse_call_t));
    if (calls == NULL) {
        return;
    }

    n = 0;

    for (turn = cv->turns; turn; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (part->type == NGX_PULSE_PART_CALL) {
                calls[n].part = part;
                calls[n].order = n;
                n++;
            }
        }
    }

    qsort(calls, n, sizeof(ngx_pulse_call_t), ngx_pulse_call_compare);

    for (turn = cv->turns; turn; turn = turn->next) {

        for (part = turn->parts; part; part = part->next) {

            if (part->type != NGX_PULSE_PART_RESULT || part->name.len) {
                continue;
            }

            /* the first call whose id is after it; the one before is its */

            low = 0;
            high = n;

            while (low < high) {
                middle = (low + high) / 2;

                if (ngx_pulse_id_compare(&calls[middle].part->id, &part->id)
                    > 0)
                {
                    high = middle;

                } else {
                    low = middle + 1;
                }
            }

            if (low && ngx_pulse_id_compare(&calls[low - 1].part->id,
                                            &part->id)
                       == 0)
            {
                part->name = calls[low - 1].part->name;
            }
        }
    }
}


static int
ngx_pulse_call_compare(const void *one, const void *two)
{
    int                      rc;
    const ngx_pulse_call_t  *a = one;
    const ngx_pulse_call_t  *b = two;

    rc = ngx_pulse_id_compare(&a->part->id, &b->part->id);

    return rc ? rc : (a->order > b->order) - (a->order < b->order);
}


static int
ngx_pulse_id_compare(const ngx_str_t *one, const ngx_str_t *two)
{
    if (one->len != two->len) {
        return (one->len > two->len) ? 1 : -1;
    }

    return one->len ? ngx_memcmp(one->data, two->data, one->len) : 0;
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
ngx_pulse_native_members(ngx_pulse_conversation_t *cv,
    const ngx_pulse_json_value_t *v, const char **members)
{
    for ( /* void */ ; *members && cv->native.reason == NULL; members += 2) {

        if (ngx_pulse_member(v, members[0])) {
            (void) ngx_pulse_refuse(&cv->native, v, members[0], members[1]);
        }
    }
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


void
ngx_pulse_unknown_note(ngx_pulse_conversation_t *cv, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < cv->nunknown; i++) {
        if (ngx_pulse_is(&cv->unknown[i], name)) {
            return;
        }
    }

    if (cv->nunknown < NGX_PULSE_CHAT_DROPPED) {
        cv->unknown[cv->nunknown].data = (u_char *) name;
        cv->unknown[cv->nunknown].len = strlen(name);
        cv->nunknown++;
    }
}


ngx_uint_t
ngx_pulse_is(const ngx_str_t *s, const char *literal)
{
    size_t  len;

    len = strlen(literal);

    return s->len == len && ngx_memcmp(s->data, literal, len) == 0;
}
