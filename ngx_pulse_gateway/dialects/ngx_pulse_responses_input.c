
#include "ngx_pulse_responses.h"

#include <string.h>


typedef struct {
    const char                *type;
    ngx_int_t                (*handler)(ngx_pulse_responses_request_t *rq,
                                        const ngx_pulse_json_value_t *v);
} ngx_pulse_responses_item_t;


static ngx_int_t ngx_pulse_responses_read_item(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_responses_read_message(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_responses_read_call(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_responses_read_result(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_responses_read_thought(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_uint_t ngx_pulse_responses_foreign(const ngx_str_t *opaque,
    const ngx_pulse_json_value_t *content);
static ngx_int_t ngx_pulse_responses_read_tagged(
    ngx_pulse_responses_request_t *rq, ngx_str_t *opaque);
static ngx_int_t ngx_pulse_responses_read_reference(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_responses_read_raw(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_responses_read_content(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *content,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_responses_read_part(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_responses_read_image(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_responses_read_file(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_responses_read_cache(
    ngx_pulse_responses_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_responses_join(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *list, const char *key, ngx_str_t *text);
static ngx_pulse_turn_t *ngx_pulse_responses_turn(
    ngx_pulse_responses_request_t *rq, ngx_uint_t role);
static ngx_uint_t ngx_pulse_responses_prefix(ngx_str_t *s,
    const char *prefix);


/* all other items are of tools that only this vendor runs */

static const ngx_pulse_responses_item_t  ngx_pulse_responses_items[] = {
    { "message", ngx_pulse_responses_read_message },
    { "function_call", ngx_pulse_responses_read_call },
    { "custom_tool_call", ngx_pulse_responses_read_call },
    { "function_call_output", ngx_pulse_responses_read_result },
    { "custom_tool_call_output", ngx_pulse_responses_read_result },
    { "reasoning", ngx_pulse_responses_read_thought },
    { "item_reference", ngx_pulse_responses_read_reference },
    { NULL, ngx_pulse_responses_read_raw }
};


ngx_int_t
ngx_pulse_responses_read_input(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_turn_t        *turn;
    ngx_pulse_json_value_t  *input, *instructions, *v;

    instructions = ngx_pulse_member(root, "instructions");

    if (instructions) {
        if (instructions->type != NGX_PULSE_JSON_STRING) {
            return ngx_pulse_refuse(rq->refusal, instructions, NULL,
                                    "must be a string");
        }

        turn = ngx_pulse_turn_add(rq->cv, rq->pool, NGX_PULSE_ROLE_SYSTEM);
        if (turn == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_pulse_responses_read_content(rq, instructions, turn);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    input = ngx_pulse_member(root, "input");

    if (input && input->type == NGX_PULSE_JSON_STRING) {
        turn = ngx_pulse_turn_add(rq->cv, rq->pool, NGX_PULSE_ROLE_USER);
        if (turn == NULL) {
            return NGX_ERROR;
        }

        return ngx_pulse_responses_read_content(rq, input, turn);
    }

    if (input == NULL || input->type != NGX_PULSE_JSON_ARRAY) {
        return ngx_pulse_refuse(rq->refusal, root, "input",
                                "must be a string or an array");
    }

    if (input->nelts == 0) {
        return ngx_pulse_refuse(rq->refusal, input, NULL, "is empty");
    }

    rq->cv->at = input;

    for (v = input->children; v; v = v->next) {
        rc = ngx_pulse_responses_read_item(rq, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_item(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t                          type;
    const ngx_pulse_responses_item_t  *item;

    if (v->type != NGX_PULSE_JSON_OBJECT) {
        return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
    }

    /* a message may go without its type */

    ngx_str_set(&type, "message");

    if (ngx_pulse_member_string(v, "type", &type, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (item = ngx_pulse_responses_items; item->type; item++) {
        if (ngx_pulse_is(&type, item->type)) {
            break;
        }
    }

    /* a signature is of the very next item, or of none */

    if (item->handler != ngx_pulse_responses_read_call) {
        ngx_str_null(&rq->signature);
    }

    return item->handler(rq, v);
}


static ngx_int_t
ngx_pulse_responses_read_message(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t                role;
    ngx_pulse_turn_t        *turn;
    ngx_pulse_json_value_t  *content;

    static const char  *known[] = {
        "type", "role", "content", "id", "status", NULL
    };

    if (ngx_pulse_responses_required(rq, v, "role", &role) != NGX_OK) {
        return NGX_DECLINED;
    }

    content = ngx_pulse_member(v, "content");

    if (content == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "content", "is required");
    }

    if (ngx_pulse_is(&role, "user")) {
        turn = ngx_pulse_turn_add(rq->cv, rq->pool, NGX_PULSE_ROLE_USER);

    } else if (ngx_pulse_is(&role, "assistant")) {
        turn = ngx_pulse_responses_turn(rq, NGX_PULSE_ROLE_ASSISTANT);

    } else if (ngx_pulse_is(&role, "system")
               || ngx_pulse_is(&role, "developer"))
    {
        turn = ngx_pulse_turn_add(rq->cv, rq->pool, NGX_PULSE_ROLE_SYSTEM);

    } else {
        return ngx_pulse_refuse(rq->refusal, v, "role",
                                "must be user, assistant, system or"
                                " developer");
    }

    if (turn == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    return ngx_pulse_responses_read_content(rq, content, turn);
}


static ngx_int_t
ngx_pulse_responses_read_call(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_part_t  *part;
    ngx_pulse_turn_t  *turn;

    static const char  *known[] = {
        "type", "id", "call_id", "name", "arguments", "input", "status", NULL
    };

    turn = ngx_pulse_responses_turn(rq, NGX_PULSE_ROLE_ASSISTANT);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    turn->at = v;

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_CALL);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->custom = (ngx_pulse_member(v, "input") != NULL);

    if (ngx_pulse_responses_required(rq, v, "call_id", &part->id) != NGX_OK
        || ngx_pulse_responses_required(rq, v, "name", &part->name) != NGX_OK
        || ngx_pulse_member_string(v, "id", &part->item_id, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_string(v, part->custom ? "input" : "arguments",
                                   &part->arguments, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (part->arguments.len == 0 && !part->custom) {
        ngx_str_set(&part->arguments, "{}");
    }

    /* other dialects have an object in its place */

    if (!part->custom && rq->cv->native.reason == NULL
        && !ngx_pulse_json_is_object(&part->arguments))
    {
        (void) ngx_pulse_refuse(&rq->cv->native, v, "arguments",
                                "must be a string that is a JSON object");
    }

    part->signature = rq->signature;
    ngx_str_null(&rq->signature);
    rq->signable = part;

    ngx_pulse_unknown_members(rq->cv, v, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_result(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                rc;
    ngx_str_t                type;
    ngx_pulse_part_t        *part;
    ngx_pulse_turn_t        *turn, inner;
    ngx_pulse_json_value_t  *output;

    static const char  *known[] = {
        "type", "id", "call_id", "output", "status", NULL
    };

    turn = ngx_pulse_responses_turn(rq, NGX_PULSE_ROLE_USER);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    turn->at = v;

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_RESULT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_responses_required(rq, v, "type", &type) != NGX_OK
        || ngx_pulse_responses_required(rq, v, "call_id", &part->id) != NGX_OK
        || ngx_pulse_member_string(v, "id", &part->item_id, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    part->custom = ngx_pulse_is(&type, "custom_tool_call_output");
    part->name = ngx_pulse_call_name(rq->cv, &part->id);

    output = ngx_pulse_member(v, "output");

    if (output == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "output", "is required");
    }

    ngx_memzero(&inner, sizeof(ngx_pulse_turn_t));
    inner.last = &inner.parts;

    rc = ngx_pulse_responses_read_content(rq, output, &inner);

    part->content = inner.parts;

    ngx_pulse_unknown_members(rq->cv, v, known);

    return rc;
}


static ngx_int_t
ngx_pulse_responses_read_thought(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                rc;
    ngx_str_t                text, opaque;
    ngx_pulse_part_t        *part;
    ngx_pulse_turn_t        *turn;
    ngx_pulse_json_value_t  *summary, *content;

    static const char  *known[] = {
        "type", "id", "summary", "content", "encrypted_content", "status",
        NULL
    };

    ngx_str_null(&text);
    ngx_str_null(&opaque);

    if (ngx_pulse_member_string(v, "encrypted_content", &opaque, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_array(v, "summary", &summary, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_array(v, "content", &content, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    if (ngx_pulse_responses_foreign(&opaque, content)
        && ngx_pulse_edit_add(rq->cv, rq->pool, v->start, v->end) == NULL)
    {
        return NGX_ERROR;
    }

    if (opaque.len) {
        rc = ngx_pulse_responses_read_tagged(rq, &opaque);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    rc = ngx_pulse_responses_join(rq, summary, "text", &text);

    if (rc == NGX_OK && text.len == 0) {
        rc = ngx_pulse_responses_join(rq, content, "text", &text);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (text.len == 0 && opaque.len == 0) {

        /* only an id, of an item that is not stored here */

        ngx_pulse_unknown_note(rq->cv, "reasoning");
        return NGX_OK;
    }

    turn = ngx_pulse_responses_turn(rq, NGX_PULSE_ROLE_ASSISTANT);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_THINKING);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->text = text;
    part->signature = opaque;

    return ngx_pulse_member_string(v, "id", &part->item_id, rq->refusal);
}


/* OpenAI refuses what it has not signed, and as it is to store nothing, it
 * does not find what is not signed at all; others send thinking openly */

static ngx_uint_t
ngx_pulse_responses_foreign(const ngx_str_t *opaque,
    const ngx_pulse_json_value_t *content)
{
    size_t  len;

    if (opaque->len == 0) {
        return content == NULL || content->nelts == 0;
    }

    len = sizeof(NGX_PULSE_RESPONSES_OPAQUE) - 1;

    return opaque->len < len
           || ngx_memcmp(opaque->data, NGX_PULSE_RESPONSES_OPAQUE, len) != 0;
}


/* What the writer of answers put into a reasoning item; else DECLINED. */

static ngx_int_t
ngx_pulse_responses_read_tagged(ngx_pulse_responses_request_t *rq,
    ngx_str_t *opaque)
{
    ngx_pulse_part_t  *part;
    ngx_pulse_turn_t  *turn;

    if (ngx_pulse_responses_prefix(opaque, NGX_PULSE_RESPONSES_NEXT)) {
        rq->signature = *opaque;
        return NGX_OK;
    }

    if (ngx_pulse_responses_prefix(opaque, NGX_PULSE_RESPONSES_LAST)) {
        if (rq->signable) {
            rq->signable->signature = *opaque;
        }

        return NGX_OK;
    }

    if (!ngx_pulse_responses_prefix(opaque, NGX_PULSE_RESPONSES_REDACTED)) {
        return NGX_DECLINED;
    }

    turn = ngx_pulse_responses_turn(rq, NGX_PULSE_ROLE_ASSISTANT);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_REDACTED);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->data = *opaque;

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_reference(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    return ngx_pulse_refuse(rq->refusal, v, NULL,
                            "items are not stored here: send the item itself");
}


static ngx_int_t
ngx_pulse_responses_read_raw(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_part_t  *part;
    ngx_pulse_turn_t  *turn;

    turn = ngx_pulse_responses_turn(rq, NGX_PULSE_ROLE_ASSISTANT);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    turn->at = v;

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_RAW);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->data = ngx_pulse_raw(rq->body, v);

    return ngx_pulse_member_string(v, "type", &part->name, rq->refusal);
}


/* A string, or an array of parts: of a message, of a tool's result. */

static ngx_int_t
ngx_pulse_responses_read_content(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *content, ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *v;

    turn->at = content;

    if (content->type == NGX_PULSE_JSON_STRING) {
        part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_TEXT);
        if (part == NULL) {
            return NGX_ERROR;
        }

        part->text = content->string;

        if (turn->role == NGX_PULSE_ROLE_ASSISTANT) {
            rq->signable = part;
        }

        return NGX_OK;
    }

    if (content->type != NGX_PULSE_JSON_ARRAY) {
        return ngx_pulse_refuse(rq->refusal, content, NULL,
                                "must be a string or an array");
    }

    for (v = content->children; v; v = v->next) {
        turn->at = v;
        rc = ngx_pulse_responses_read_part(rq, v, turn);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_part(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                type;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *annotations;

    static const char  *known[] = {
        "type", "text", "refusal", "image_url", "file_id", "detail",
        "file_url", "file_data", "filename", "prompt_cache_breakpoint",
        "logprobs", "annotations", NULL
    };

    if (ngx_pulse_responses_required(rq, v, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    /* an empty list is what an answer without any has */

    annotations = ngx_pulse_member(v, "annotations");

    if (annotations && annotations->nelts) {
        ngx_pulse_unknown_note(rq->cv, "annotations");
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_TEXT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_responses_read_cache(rq, v, part) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&type, "input_text") || ngx_pulse_is(&type, "output_text")
        || ngx_pulse_is(&type, "text"))
    {
        if (turn->role == NGX_PULSE_ROLE_ASSISTANT) {
            rq->signable = part;
        }

        return ngx_pulse_responses_required(rq, v, "text", &part->text);
    }

    if (ngx_pulse_is(&type, "refusal")) {
        part->type = NGX_PULSE_PART_REFUSAL;
        return ngx_pulse_responses_required(rq, v, "refusal", &part->text);
    }

    if (ngx_pulse_is(&type, "input_image")) {
        part->type = NGX_PULSE_PART_IMAGE;
        return ngx_pulse_responses_read_image(rq, v, part);
    }

    if (ngx_pulse_is(&type, "input_file")) {
        part->type = NGX_PULSE_PART_DOCUMENT;
        return ngx_pulse_responses_read_file(rq, v, part);
    }

    return ngx_pulse_refuse(rq->refusal, v, "type",
                            "must be input_text, input_image, input_file,"
                            " output_text or refusal");
}


static ngx_int_t
ngx_pulse_responses_read_image(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_part_t *part)
{
    ngx_str_t  url;

    ngx_str_null(&url);

    if (ngx_pulse_member_string(v, "image_url", &url, rq->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "file_id", &part->file_id, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_string(v, "detail", &part->detail, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (url.len == 0) {
        return part->file_id.len ? NGX_OK
                                 : ngx_pulse_refuse(rq->refusal, v,
                                                    "image_url",
                                                    "is required");
    }

    if (ngx_pulse_part_url(part, &url) != NGX_OK) {
        return ngx_pulse_refuse(rq->refusal, v, "image_url",
                                "must be an https or a base64 data URL");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_file(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_part_t *part)
{
    ngx_str_t    url;
    const char  *key;

    static const char  *known[] = {
        "type", "file_id", "file_data", "file_url", "filename",
        "prompt_cache_breakpoint", NULL
    };

    ngx_str_null(&url);

    if (ngx_pulse_member_string(v, "file_id", &part->file_id, rq->refusal)
        != NGX_OK
        || ngx_pulse_member_string(v, "filename", &part->filename,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    key = ngx_pulse_member(v, "file_url") ? "file_url" : "file_data";

    if (ngx_pulse_member_string(v, key, &url, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (url.len == 0) {
        return part->file_id.len ? NGX_OK
                                 : ngx_pulse_refuse(rq->refusal, v, key,
                                                    "is required");
    }

    if (ngx_pulse_part_url(part, &url) != NGX_OK) {
        return ngx_pulse_refuse(rq->refusal, v, key,
                                "must be an https or a base64 data URL");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_responses_read_cache(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_part_t *part)
{
    ngx_pulse_json_value_t  *mark;

    if (ngx_pulse_member_object(v, "prompt_cache_breakpoint", &mark,
                                rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (mark == NULL) {
        return NGX_OK;
    }

    ngx_str_set(&part->cache, "30m");

    return ngx_pulse_member_string(mark, "ttl", &part->cache, rq->refusal);
}


/* Texts of a list as one, with blank lines between. */

static ngx_int_t
ngx_pulse_responses_join(ngx_pulse_responses_request_t *rq,
    const ngx_pulse_json_value_t *list, const char *key, ngx_str_t *text)
{
    u_char                  *p;
    size_t                   len;
    ngx_str_t                piece;
    ngx_pulse_json_value_t  *v;

    len = 0;

    for (v = list ? list->children : NULL; v; v = v->next) {
        if (ngx_pulse_responses_required(rq, v, key, &piece) != NGX_OK) {
            return NGX_DECLINED;
        }

        len += piece.len + 2;
    }

    if (len == 0) {
        return NGX_OK;
    }

    text->data = ngx_pnalloc(rq->pool, len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = text->data;

    for (v = list->children; v; v = v->next) {
        piece = ngx_pulse_member(v, key)->string;

        p = ngx_cpymem(p, piece.data, piece.len);
        p = ngx_cpymem(p, "\n\n", 2);
    }

    text->len = len - 2;

    return NGX_OK;
}


/*
 * Items of the model that follow each other are one turn, and so are the
 * results that a client sends for several calls: other dialects have them
 * in one message.
 */

static ngx_pulse_turn_t *
ngx_pulse_responses_turn(ngx_pulse_responses_request_t *rq, ngx_uint_t role)
{
    ngx_pulse_turn_t  *turn;

    turn = rq->cv->last;

    if (turn && turn->role == role
        && (role == NGX_PULSE_ROLE_ASSISTANT
            || (turn->parts && turn->parts->type == NGX_PULSE_PART_RESULT)))
    {
        return turn;
    }

    return ngx_pulse_turn_add(rq->cv, rq->pool, role);
}


/* Cuts the prefix off; 1 if it was there. */

static ngx_uint_t
ngx_pulse_responses_prefix(ngx_str_t *s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    if (s->len < len || ngx_memcmp(s->data, prefix, len) != 0) {
        return 0;
    }

    s->data += len;
    s->len -= len;

    return 1;
}
