
#include "ngx_pulse_openai.h"

#include <stdio.h>
#include <string.h>


#define NGX_PULSE_OPENAI_ID_TEXT  (sizeof("call_") - 1 + NGX_INT64_LEN)


typedef struct {
    ngx_pulse_conversation_t   *cv;
    ngx_pool_t                 *pool;
    ngx_pulse_chat_refusal_t   *refusal;
    ngx_pulse_turn_t           *results;    /* where the next one goes */
    ngx_pulse_part_t           *called;     /* first call of the last turn */
    ngx_pulse_part_t           *legacy;     /* the last function_call */
    ngx_uint_t                  calls;      /* that came without an id */
} ngx_pulse_openai_turns_t;


typedef ngx_int_t (*ngx_pulse_openai_part_pt)(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);


typedef struct {
    const char                 *name;
    ngx_pulse_openai_part_pt    handler;
    ngx_uint_t                  roles;      /* bits 1 << NGX_PULSE_ROLE_* */
} ngx_pulse_openai_kind_t;


static ngx_int_t ngx_pulse_openai_turn(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_turn_plain(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_uint_t role);
static ngx_int_t ngx_pulse_openai_turn_assistant(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_turn_result(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_uint_t legacy);
static void ngx_pulse_openai_called(ngx_pulse_openai_turns_t *ts,
    ngx_pulse_part_t *result);
static ngx_int_t ngx_pulse_openai_content(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_part(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_part_text(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_part_refusal(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_part_image(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_part_audio(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_part_file(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_inner(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **inner);
static ngx_int_t ngx_pulse_openai_add(ngx_pulse_openai_turns_t *ts,
    ngx_pulse_turn_t *turn, ngx_pulse_part_e type, const ngx_str_t *text);

static ngx_int_t ngx_pulse_openai_thoughts(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_thought(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn,
    ngx_pulse_part_t **open);
static ngx_int_t ngx_pulse_openai_join(ngx_pulse_openai_turns_t *ts,
    ngx_str_t *to, const ngx_str_t *from);
static ngx_int_t ngx_pulse_openai_signed(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_str_t *signature);

static ngx_int_t ngx_pulse_openai_calls(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_call(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_call_legacy(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_arguments(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_str_t *arguments);


static const char  *ngx_pulse_openai_message_members[] = {
    "role", "content", "name", "tool_calls", "tool_call_id", "function_call",
    "refusal", "annotations", "audio", "reasoning", "reasoning_content",
    "reasoning_details", "extra_content", NULL
};


#define NGX_PULSE_OPENAI_BY(role)  (1 << (role))

static ngx_pulse_openai_kind_t  ngx_pulse_openai_kinds[] = {

    { "text", ngx_pulse_openai_part_text,
      NGX_PULSE_OPENAI_BY(NGX_PULSE_ROLE_SYSTEM)
      |NGX_PULSE_OPENAI_BY(NGX_PULSE_ROLE_USER)
      |NGX_PULSE_OPENAI_BY(NGX_PULSE_ROLE_ASSISTANT) },

    { "refusal", ngx_pulse_openai_part_refusal,
      NGX_PULSE_OPENAI_BY(NGX_PULSE_ROLE_ASSISTANT) },

    { "image_url", ngx_pulse_openai_part_image,
      NGX_PULSE_OPENAI_BY(NGX_PULSE_ROLE_USER) },

    { "input_audio", ngx_pulse_openai_part_audio,
      NGX_PULSE_OPENAI_BY(NGX_PULSE_ROLE_USER) },

    { "file", ngx_pulse_openai_part_file,
      NGX_PULSE_OPENAI_BY(NGX_PULSE_ROLE_USER) },

    { NULL, NULL, 0 }
};


ngx_int_t
ngx_pulse_openai_turns(ngx_pulse_conversation_t *cv, ngx_pool_t *pool,
    const ngx_pulse_json_value_t *root, ngx_pulse_chat_refusal_t *refusal)
{
    ngx_int_t                  rc;
    ngx_pulse_json_value_t    *messages, *v;
    ngx_pulse_openai_turns_t   ts;

    ngx_memzero(&ts, sizeof(ngx_pulse_openai_turns_t));

    ts.cv = cv;
    ts.pool = pool;
    ts.refusal = refusal;

    if (ngx_pulse_member_array(root, "messages", &messages, refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (messages == NULL) {
        return ngx_pulse_refuse(refusal, root, "messages", "is required");
    }

    if (messages->nelts == 0) {
        return ngx_pulse_refuse(refusal, messages, NULL, "must not be empty");
    }

    for (v = messages->children; v; v = v->next) {
        rc = ngx_pulse_openai_turn(&ts, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_turn(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t  role;

    if (ngx_pulse_openai_required(v, "role", &role, ts->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(ts->cv, v, ngx_pulse_openai_message_members);

    if (ngx_pulse_is(&role, "tool")) {
        return ngx_pulse_openai_turn_result(ts, v, 0);
    }

    if (ngx_pulse_is(&role, "function")) {
        return ngx_pulse_openai_turn_result(ts, v, 1);
    }

    ts->results = NULL;

    if (ngx_pulse_is(&role, "assistant")) {
        return ngx_pulse_openai_turn_assistant(ts, v);
    }

    if (ngx_pulse_is(&role, "user")) {
        return ngx_pulse_openai_turn_plain(ts, v, NGX_PULSE_ROLE_USER);
    }

    if (ngx_pulse_is(&role, "system") || ngx_pulse_is(&role, "developer")) {
        return ngx_pulse_openai_turn_plain(ts, v, NGX_PULSE_ROLE_SYSTEM);
    }

    return ngx_pulse_refuse(ts->refusal, v, "role",
                            "must be system, developer, user, assistant, "
                            "tool or function");
}


static ngx_int_t
ngx_pulse_openai_turn_plain(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_uint_t role)
{
    ngx_pulse_turn_t  *turn;

    turn = ngx_pulse_turn_add(ts->cv, ts->pool, role);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_member_string(v, "name", &turn->name, ts->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_pulse_member(v, "content") == NULL) {
        return ngx_pulse_refuse(ts->refusal, v, "content", "is required");
    }

    return ngx_pulse_openai_content(ts, v, turn);
}


static ngx_int_t
ngx_pulse_openai_turn_assistant(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t          rc;
    ngx_str_t          refusal;
    ngx_pulse_turn_t  *turn;

    turn = ngx_pulse_turn_add(ts->cv, ts->pool, NGX_PULSE_ROLE_ASSISTANT);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    ngx_str_null(&refusal);

    ts->called = NULL;

    if (ngx_pulse_member_string(v, "name", &turn->name, ts->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "refusal", &refusal, ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_pulse_member(v, "audio")) {
        return ngx_pulse_refuse(ts->refusal, v, "audio",
                                "refers to speech that only the provider "
                                "who made it has");
    }

    rc = ngx_pulse_openai_thoughts(ts, v, turn);

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_content(ts, v, turn);
    }

    if (rc == NGX_OK && refusal.len) {
        rc = ngx_pulse_openai_add(ts, turn, NGX_PULSE_PART_REFUSAL, &refusal);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_calls(ts, v, turn);
    }

    return rc;
}


/* results that follow each other are one turn, as the calls were */

static ngx_int_t
ngx_pulse_openai_turn_result(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_uint_t legacy)
{
    ngx_int_t          rc;
    ngx_pulse_part_t  *part;
    ngx_pulse_turn_t   content;

    if (ngx_pulse_member(v, "content") == NULL) {
        return ngx_pulse_refuse(ts->refusal, v, "content", "is required");
    }

    if (ts->results == NULL) {
        ts->results = ngx_pulse_turn_add(ts->cv, ts->pool,
                                         NGX_PULSE_ROLE_USER);
        if (ts->results == NULL) {
            return NGX_ERROR;
        }
    }

    part = ngx_pulse_part_add(ts->results, ts->pool, NGX_PULSE_PART_RESULT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_member_string(v, "name", &part->name, ts->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (legacy) {

        if (ts->legacy == NULL) {
            return ngx_pulse_refuse(ts->refusal, v, "role",
                                    "must follow a function_call");
        }

        part->id = ts->legacy->id;
        part->name = ts->legacy->name;

    } else {

        if (ngx_pulse_openai_required(v, "tool_call_id", &part->id,
                                      ts->refusal)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        if (part->name.len == 0) {
            ngx_pulse_openai_called(ts, part);
        }
    }

    ngx_memzero(&content, sizeof(ngx_pulse_turn_t));
    content.role = NGX_PULSE_ROLE_USER;
    content.last = &content.parts;

    rc = ngx_pulse_openai_content(ts, v, &content);

    part->content = content.parts;

    return rc;
}


/* only the turn before is searched, so that long histories cost no more */

static void
ngx_pulse_openai_called(ngx_pulse_openai_turns_t *ts, ngx_pulse_part_t *result)
{
    ngx_pulse_part_t  *part;

    for (part = ts->called; part; part = part->next) {

        if (part->id.len == result->id.len
            && ngx_memcmp(part->id.data, result->id.data, part->id.len) == 0)
        {
            result->name = part->name;
            return;
        }
    }
}


static ngx_int_t
ngx_pulse_openai_content(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *content, *one;

    content = ngx_pulse_member(v, "content");

    if (content == NULL) {
        return NGX_OK;
    }

    if (content->type == NGX_PULSE_JSON_STRING) {

        if (content->string.len) {
            rc = ngx_pulse_openai_add(ts, turn, NGX_PULSE_PART_TEXT,
                                      &content->string);
            if (rc != NGX_OK) {
                return rc;
            }
        }

    } else if (content->type == NGX_PULSE_JSON_ARRAY) {

        for (one = content->children; one; one = one->next) {
            rc = ngx_pulse_openai_part(ts, one, turn);

            if (rc != NGX_OK) {
                return rc;
            }
        }

    } else {
        return ngx_pulse_refuse(ts->refusal, content, NULL,
                                "must be a string, an array or null");
    }

    if (turn->parts == NULL || turn->role == NGX_PULSE_ROLE_ASSISTANT) {
        return NGX_OK;
    }

    /* a marker of the whole message is one of its last part */

    for (part = turn->parts; part->next; part = part->next) { /* void */ }

    return ngx_pulse_openai_marker(v, &part->cache, ts->refusal);
}


static ngx_int_t
ngx_pulse_openai_part(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_int_t                 rc;
    ngx_str_t                 type;
    ngx_pulse_part_t        **part;
    ngx_pulse_openai_kind_t  *kind;

    if (ngx_pulse_openai_required(v, "type", &type, ts->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (kind = ngx_pulse_openai_kinds; kind->name; kind++) {

        if (!ngx_pulse_is(&type, kind->name)) {
            continue;
        }

        if ((kind->roles & NGX_PULSE_OPENAI_BY(turn->role)) == 0) {
            return ngx_pulse_refuse(ts->refusal, v, "type",
                                    "is no part of a message of this role");
        }

        part = turn->last;

        rc = kind->handler(ts, v, turn);

        if (rc != NGX_OK || *part == NULL) {
            return rc;
        }

        return ngx_pulse_openai_marker(v, &(*part)->cache, ts->refusal);
    }

    return ngx_pulse_refuse(ts->refusal, v, "type",
                            "is no kind of content known here");
}


static ngx_int_t
ngx_pulse_openai_part_text(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t  text;

    if (ngx_pulse_openai_required(v, "text", &text, ts->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (text.len == 0) {
        return NGX_OK;
    }

    return ngx_pulse_openai_add(ts, turn, NGX_PULSE_PART_TEXT, &text);
}


static ngx_int_t
ngx_pulse_openai_part_refusal(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t  text;

    if (ngx_pulse_openai_required(v, "refusal", &text, ts->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_pulse_openai_add(ts, turn, NGX_PULSE_PART_REFUSAL, &text);
}


static ngx_int_t
ngx_pulse_openai_part_image(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                url;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *image;

    part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_IMAGE);
    if (part == NULL) {
        return NGX_ERROR;
    }

    image = ngx_pulse_member(v, "image_url");

    if (image && image->type == NGX_PULSE_JSON_STRING) {
        url = image->string;

    } else {
        if (ngx_pulse_openai_inner(ts, v, "image_url", &image) != NGX_OK
            || ngx_pulse_openai_required(image, "url", &url, ts->refusal)
               != NGX_OK
            || ngx_pulse_member_string(image, "detail", &part->detail,
                                       ts->refusal)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (ngx_pulse_part_url(part, &url) != NGX_OK) {
        return ngx_pulse_refuse(ts->refusal, v, "image_url",
                                "must be an https or a base64 data URL");
    }

    if (part->data.len
        && (part->media_type.len < 6
            || ngx_strncmp(part->media_type.data, "image/", 6) != 0))
    {
        return ngx_pulse_refuse(ts->refusal, v, "image_url",
                                "must be of a type image/*");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_part_audio(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                format;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *audio;

    part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_AUDIO);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_openai_inner(ts, v, "input_audio", &audio) != NGX_OK
        || ngx_pulse_openai_required(audio, "data", &part->data, ts->refusal)
           != NGX_OK
        || ngx_pulse_openai_required(audio, "format", &format, ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&format, "wav")) {
        ngx_str_set(&part->media_type, "audio/wav");

    } else if (ngx_pulse_is(&format, "mp3")) {
        ngx_str_set(&part->media_type, "audio/mp3");

    } else {
        return ngx_pulse_refuse(ts->refusal, audio, "format",
                                "must be wav or mp3");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_part_file(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                data;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *file;

    part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_DOCUMENT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    ngx_str_null(&data);

    if (ngx_pulse_openai_inner(ts, v, "file", &file) != NGX_OK
        || ngx_pulse_member_string(file, "file_id", &part->file_id,
                                   ts->refusal)
           != NGX_OK
        || ngx_pulse_member_string(file, "filename", &part->filename,
                                   ts->refusal)
           != NGX_OK
        || ngx_pulse_member_string(file, "file_data", &data, ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (part->file_id.len) {
        return NGX_OK;
    }

    if (ngx_pulse_part_url(part, &data) != NGX_OK) {
        return ngx_pulse_refuse(ts->refusal, file, "file_data",
                                "must be a base64 data URL");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_inner(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, const char *key,
    ngx_pulse_json_value_t **inner)
{
    if (ngx_pulse_member_object(v, key, inner, ts->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (*inner == NULL) {
        return ngx_pulse_refuse(ts->refusal, v, key, "is required");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_add(ngx_pulse_openai_turns_t *ts, ngx_pulse_turn_t *turn,
    ngx_pulse_part_e type, const ngx_str_t *text)
{
    ngx_pulse_part_t  *part;

    part = ngx_pulse_part_add(turn, ts->pool, type);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->text = *text;

    return NGX_OK;
}


/*
 * Thinking of the turn before as we or a vendor gave it out: its pieces with
 * what signs them, or nothing but the text.
 */

static ngx_int_t
ngx_pulse_openai_thoughts(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_pulse_part_t        *open;
    ngx_pulse_json_value_t  *details, *one;

    ngx_str_null(&text);

    if (ngx_pulse_member_string(v, "reasoning", &text, ts->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "reasoning_content", &text, ts->refusal)
           != NGX_OK
        || ngx_pulse_member_array(v, "reasoning_details", &details,
                                  ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (details == NULL || details->nelts == 0) {

        if (text.len == 0) {
            return NGX_OK;
        }

        return ngx_pulse_openai_add(ts, turn, NGX_PULSE_PART_THINKING, &text);
    }

    open = NULL;

    for (one = details->children; one; one = one->next) {
        rc = ngx_pulse_openai_thought(ts, one, turn, &open);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* a client may have kept the signature only */

    open = turn->parts;

    if (open && open->next == NULL && open->type == NGX_PULSE_PART_THINKING
        && open->text.len == 0)
    {
        open->text = text;
    }

    return NGX_OK;
}


/*
 * Clients put the deltas of a stream together as they like: pieces of one
 * thought may be apart still, and its signature ends it.
 */

static ngx_int_t
ngx_pulse_openai_thought(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn,
    ngx_pulse_part_t **open)
{
    ngx_int_t          rc;
    ngx_str_t          text, data, signature;
    ngx_pulse_part_t  *part;

    ngx_str_null(&text);
    ngx_str_null(&data);
    ngx_str_null(&signature);

    if (ngx_pulse_member_string(v, "summary", &text, ts->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "text", &text, ts->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "thinking", &text, ts->refusal)
           != NGX_OK
        || ngx_pulse_member_string(v, "data", &data, ts->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "signature", &signature, ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (data.len) {
        part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_REDACTED);
        if (part == NULL) {
            return NGX_ERROR;
        }

        part->data = data;
        *open = NULL;

        return NGX_OK;
    }

    if (text.len == 0 && signature.len == 0) {
        return NGX_OK;
    }

    part = *open;

    if (part == NULL) {
        part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_THINKING);
        if (part == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_pulse_openai_join(ts, &part->text, &text);

    part->signature = signature;
    *open = signature.len ? NULL : part;

    return rc;
}


static ngx_int_t
ngx_pulse_openai_join(ngx_pulse_openai_turns_t *ts, ngx_str_t *to,
    const ngx_str_t *from)
{
    size_t   len;
    u_char  *p;

    if (to->len == 0 || from->len == 0) {
        *to = to->len ? *to : *from;
        return NGX_OK;
    }

    len = to->len + from->len;

    p = ngx_pnalloc(ts->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(p, to->data, to->len), from->data, from->len);

    to->data = p;
    to->len = len;

    return NGX_OK;
}


/* {"extra_content": {"google": {"thought_signature"}}} */

static ngx_int_t
ngx_pulse_openai_signed(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_str_t *signature)
{
    ngx_pulse_json_value_t  *extra, *google;

    if (ngx_pulse_member_object(v, "extra_content", &extra, ts->refusal)
        != NGX_OK
        || ngx_pulse_member_object(extra, "google", &google, ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_pulse_member_string(google, "thought_signature", signature,
                                   ts->refusal);
}


static ngx_int_t
ngx_pulse_openai_calls(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_str_t                signature;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *calls, *one, *legacy;

    ngx_str_null(&signature);

    if (ngx_pulse_openai_signed(ts, v, &signature) != NGX_OK
        || ngx_pulse_member_array(v, "tool_calls", &calls, ts->refusal)
           != NGX_OK
        || ngx_pulse_member_object(v, "function_call", &legacy, ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (signature.len) {

        /* of the text; where there is none, of an empty one */

        for (part = turn->parts; part; part = part->next) {
            if (part->type == NGX_PULSE_PART_TEXT && part->next == NULL) {
                break;
            }
        }

        if (part == NULL) {
            part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_TEXT);
            if (part == NULL) {
                return NGX_ERROR;
            }
        }

        part->signature = signature;
    }

    if (calls && calls->nelts > NGX_PULSE_OPENAI_CALLS) {
        return ngx_pulse_refuse(ts->refusal, calls, NULL,
                                "has too many calls");
    }

    for (one = calls ? calls->children : NULL; one; one = one->next) {
        rc = ngx_pulse_openai_call(ts, one, turn);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return legacy ? ngx_pulse_openai_call_legacy(ts, legacy, turn) : NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_call(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                type;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *inner;

    part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_CALL);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ts->called == NULL) {
        ts->called = part;
    }

    ngx_str_set(&type, "function");

    if (ngx_pulse_openai_required(v, "id", &part->id, ts->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "type", &type, ts->refusal) != NGX_OK
        || ngx_pulse_openai_signed(ts, v, &part->signature) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&type, "custom")) {
        part->custom = 1;

        if (ngx_pulse_openai_inner(ts, v, "custom", &inner) != NGX_OK
            || ngx_pulse_openai_required(inner, "name", &part->name,
                                         ts->refusal)
               != NGX_OK)
        {
            return NGX_DECLINED;
        }

        return ngx_pulse_openai_required(inner, "input", &part->arguments,
                                         ts->refusal);
    }

    if (!ngx_pulse_is(&type, "function")) {
        return ngx_pulse_refuse(ts->refusal, v, "type",
                                "must be function or custom");
    }

    if (ngx_pulse_openai_inner(ts, v, "function", &inner) != NGX_OK
        || ngx_pulse_openai_required(inner, "name", &part->name, ts->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_pulse_openai_arguments(ts, inner, &part->arguments);
}


static ngx_int_t
ngx_pulse_openai_call_legacy(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    u_char            *p;
    ngx_pulse_part_t  *part;

    part = ngx_pulse_part_add(turn, ts->pool, NGX_PULSE_PART_CALL);
    if (part == NULL) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(ts->pool, NGX_PULSE_OPENAI_ID_TEXT + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    part->id.data = p;
    part->id.len = snprintf((char *) p, NGX_PULSE_OPENAI_ID_TEXT + 1,
                            "call_%lu", (unsigned long) ts->calls++);

    ts->legacy = part;

    if (ngx_pulse_openai_required(v, "name", &part->name, ts->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_pulse_openai_arguments(ts, v, &part->arguments);
}


/* other dialects have it as an object: it must be one to go into theirs */

static ngx_int_t
ngx_pulse_openai_arguments(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_str_t *arguments)
{
    ngx_pulse_json_error_t   err;
    ngx_pulse_json_value_t  *tree;
    ngx_pulse_json_limits_t  limits;

    if (ngx_pulse_openai_required(v, "arguments", arguments, ts->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (arguments->len == 0) {
        ngx_str_set(arguments, "{}");
        return NGX_OK;
    }

    limits.size = arguments->len;
    limits.depth = NGX_PULSE_JSON_MAX_DEPTH - 16;
    limits.values = 262144;
    limits.keys = 4096;

    tree = ngx_pulse_json_tree(ts->pool, arguments->data, arguments->len,
                               &limits, &err);

    if (tree == NULL || tree->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_refuse(ts->refusal, v, "arguments",
                                "must be a string that is a JSON object");
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_openai_required(const ngx_pulse_json_value_t *v, const char *key,
    ngx_str_t *s, ngx_pulse_chat_refusal_t *refusal)
{
    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_refuse(refusal, v, NULL, "must be an object");
    }

    if (ngx_pulse_member(v, key) == NULL) {
        return ngx_pulse_refuse(refusal, v, key, "is required");
    }

    return ngx_pulse_member_string(v, key, s, refusal);
}


/* OpenAI's own marker, and that of other vendors of the dialect */

ngx_int_t
ngx_pulse_openai_marker(const ngx_pulse_json_value_t *v, ngx_str_t *cache,
    ngx_pulse_chat_refusal_t *refusal)
{
    ngx_pulse_json_value_t  *own, *other;

    if (ngx_pulse_member_object(v, "prompt_cache_breakpoint", &own, refusal)
        != NGX_OK
        || ngx_pulse_member_object(v, "cache_control", &other, refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (own) {
        ngx_str_set(cache, "30m");

    } else if (other) {
        ngx_str_set(cache, "5m");
        own = other;
    }

    return ngx_pulse_member_string(own, "ttl", cache, refusal);
}
