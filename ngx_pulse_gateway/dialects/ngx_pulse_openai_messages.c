
#include "ngx_pulse_openai.h"


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


static const char  *ngx_pulse_openai_message_members[] = {
    "role", "content", "name", "tool_calls", "tool_call_id", "function_call",
    "refusal", "audio", "reasoning", "reasoning_content",
    "reasoning_details", "extra_content", "cache_control",
    "prompt_cache_breakpoint", "annotations", NULL
};


static const char  *ngx_pulse_openai_part_members[] = {
    "type", "text", "refusal", "image_url", "input_audio", "file",
    "cache_control", "prompt_cache_breakpoint", NULL
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

    cv->at = messages;

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
    ngx_str_t                role;
    ngx_pulse_json_value_t  *annotations;

    if (ngx_pulse_openai_required(v, "role", &role, ts->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(ts->cv, v, ngx_pulse_openai_message_members);

    /* an empty list is what an answer without any has */

    annotations = ngx_pulse_member(v, "annotations");

    if (annotations && annotations->nelts) {
        ngx_pulse_unknown_note(ts->cv, "annotations");
    }

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

    ts->results->at = v;

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

    turn->at = content;

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
            turn->at = one;
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

        ngx_pulse_unknown_members(ts->cv, v, ngx_pulse_openai_part_members);

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
        if (ngx_pulse_openai_object(ts, v, "image_url", &image) != NGX_OK
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

    if (ngx_pulse_openai_object(ts, v, "input_audio", &audio) != NGX_OK
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

    if (ngx_pulse_openai_object(ts, v, "file", &file) != NGX_OK
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


ngx_int_t
ngx_pulse_openai_object(ngx_pulse_openai_turns_t *ts,
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


ngx_int_t
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
