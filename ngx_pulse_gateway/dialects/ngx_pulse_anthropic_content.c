
#include "ngx_pulse_anthropic.h"

#include <string.h>
#include <openssl/evp.h>


typedef struct {
    const char                *type;
    ngx_int_t                (*handler)(ngx_pulse_anthropic_request_t *rq,
                                        const ngx_pulse_json_value_t *v,
                                        ngx_pulse_turn_t *turn);
} ngx_pulse_anthropic_block_t;


static ngx_int_t ngx_pulse_anthropic_read_message(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_anthropic_read_content(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *content,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_block(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_text(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_sources(
    ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *citations);
static ngx_int_t ngx_pulse_anthropic_read_image(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_document(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_inner(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    const ngx_pulse_json_value_t *source, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_blocks(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *source,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_found(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_source(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *source,
    ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_anthropic_read_plain(
    ngx_pulse_anthropic_request_t *rq, ngx_pulse_part_t *part);
static ngx_int_t ngx_pulse_anthropic_read_call(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_result(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_thought(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_read_redacted(
    ngx_pulse_anthropic_request_t *rq, const ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_anthropic_cut(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v);
static ngx_uint_t ngx_pulse_anthropic_prefix(ngx_str_t *s, const char *prefix);


/* any other block is kept whole, for a provider that knows it */

static ngx_pulse_anthropic_block_t  ngx_pulse_anthropic_blocks[] = {
    { "text", ngx_pulse_anthropic_read_text },
    { "image", ngx_pulse_anthropic_read_image },
    { "document", ngx_pulse_anthropic_read_document },
    { "search_result", ngx_pulse_anthropic_read_found },
    { "tool_use", ngx_pulse_anthropic_read_call },
    { "tool_result", ngx_pulse_anthropic_read_result },
    { "thinking", ngx_pulse_anthropic_read_thought },
    { "redacted_thinking", ngx_pulse_anthropic_read_redacted },
    { NULL, NULL }
};


ngx_int_t
ngx_pulse_anthropic_read_system(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_part_t        *part;
    ngx_pulse_turn_t        *turn;
    ngx_pulse_json_value_t  *system, *v;

    system = ngx_pulse_member(root, "system");

    if (system == NULL) {
        return NGX_OK;
    }

    turn = ngx_pulse_turn_add(rq->cv, rq->pool, NGX_PULSE_ROLE_SYSTEM);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_anthropic_read_content(rq, system, turn);

    if (rc != NGX_OK) {
        return rc;
    }

    v = system->children;

    for (part = turn->parts; part; part = part->next) {

        if (part->type != NGX_PULSE_PART_TEXT) {
            return ngx_pulse_refuse(rq->refusal, v, "type", "must be text");
        }

        v = v ? v->next : NULL;
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_anthropic_read_messages(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *messages, *v;

    if (ngx_pulse_member_array(root, "messages", &messages, rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (messages == NULL) {
        return ngx_pulse_refuse(rq->refusal, root, "messages", "is required");
    }

    if (messages->children == NULL) {
        return ngx_pulse_refuse(rq->refusal, messages, NULL,
                                "must not be empty");
    }

    rq->cv->at = messages;

    for (v = messages->children; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
        }

        rc = ngx_pulse_anthropic_read_message(rq, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_message(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_int_t                rc;
    ngx_str_t                role;
    ngx_uint_t               n;
    ngx_pulse_edit_t        *last;
    ngx_pulse_turn_t        *turn;
    ngx_pulse_json_value_t  *content;

    static const char  *known[] = { "role", "content", NULL };

    if (ngx_pulse_anthropic_required(rq, v, "role", &role) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&role, "user")) {
        n = NGX_PULSE_ROLE_USER;

    } else if (ngx_pulse_is(&role, "assistant")) {
        n = NGX_PULSE_ROLE_ASSISTANT;

    } else if (ngx_pulse_is(&role, "system")) {
        n = NGX_PULSE_ROLE_SYSTEM;

    } else {
        return ngx_pulse_refuse(rq->refusal, v, "role",
                                "must be user, assistant or system");
    }

    content = ngx_pulse_member(v, "content");

    if (content == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "content", "is required");
    }

    turn = ngx_pulse_turn_add(rq->cv, rq->pool, n);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    rq->cuts = 0;
    rq->text = NULL;
    ngx_str_null(&rq->signature);
    ngx_pulse_unknown_members(rq->cv, v, known);

    last = rq->cv->last_edit;

    rc = ngx_pulse_anthropic_read_content(rq, content, turn);

    if (rc != NGX_OK || rq->cuts == 0 || rq->cuts < content->nelts) {
        return rc;
    }

    /* a message of nothing is refused, neighbors of one role are not */

    ngx_pulse_edit_back(rq->cv, last);

    return ngx_pulse_edit_add(rq->cv, rq->pool, v->start, v->end) ? NGX_OK
                                                                  : NGX_ERROR;
}


static ngx_int_t
ngx_pulse_anthropic_read_content(ngx_pulse_anthropic_request_t *rq,
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

        return NGX_OK;
    }

    if (content->type != NGX_PULSE_JSON_ARRAY) {
        return ngx_pulse_refuse(rq->refusal, content, NULL,
                                "must be a string or an array");
    }

    for (v = content->children; v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
        }

        turn->at = v;
        rc = ngx_pulse_anthropic_read_block(rq, v, turn);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_block(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                     type;
    ngx_pulse_part_t             *part;
    ngx_pulse_anthropic_block_t  *block;

    if (ngx_pulse_anthropic_required(rq, v, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    for (block = ngx_pulse_anthropic_blocks; block->type; block++) {

        if (ngx_pulse_is(&type, block->type)) {
            return block->handler(rq, v, turn);
        }
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_RAW);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->name = type;
    part->data = ngx_pulse_raw(rq->body, v);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_text(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *citations;

    static const char  *known[] = { "type", "text", "cache_control", NULL };
    static const char  *plain[] = {
        "type", "text", "cache_control", "citations", NULL
    };

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_TEXT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    rq->text = part;

    if (ngx_pulse_member(v, "text") == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "text", "is required");
    }

    /* an empty list is what an answer without any has */

    citations = ngx_pulse_member(v, "citations");

    ngx_pulse_unknown_members(rq->cv, v,
                              (citations && citations->nelts) ? known
                                                              : plain);

    if (ngx_pulse_member_string(v, "text", &part->text, rq->refusal) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_pulse_anthropic_read_sources(rq, citations) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_pulse_anthropic_read_cache(rq, v, &part->cache);
}


/* those of another vendor's answer are refused by this one */

static ngx_int_t
ngx_pulse_anthropic_read_sources(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *citations)
{
    ngx_pulse_edit_t        *edit;
    ngx_pulse_json_value_t  *v, *index;

    if (citations == NULL || citations->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_OK;
    }

    for (v = citations->children; v; v = v->next) {
        index = ngx_pulse_json_get(v, "encrypted_index");

        if (index == NULL || index->type != NGX_PULSE_JSON_STRING
            || !ngx_pulse_is(&index->string, NGX_PULSE_ANTHROPIC_OF_SOURCE))
        {
            continue;
        }

        edit = ngx_pulse_edit_add(rq->cv, rq->pool, v->start, v->end);
        if (edit == NULL) {
            return NGX_ERROR;
        }

        edit->name = "citations";
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_image(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *source;

    static const char  *known[] = { "type", "source", "cache_control", NULL };

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_IMAGE);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_member_object(v, "source", &source, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (source == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "source", "is required");
    }

    if (ngx_pulse_anthropic_read_cache(rq, v, &part->cache) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    return ngx_pulse_anthropic_read_source(rq, source, part);
}


static ngx_int_t
ngx_pulse_anthropic_read_document(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                type;
    ngx_uint_t               cite;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *source, *citations;

    static const char  *known[] = {
        "type", "source", "title", "cache_control", NULL
    };
    static const char  *plain[] = {
        "type", "source", "title", "cache_control", "citations", NULL
    };

    cite = 0;

    if (ngx_pulse_member_object(v, "source", &source, rq->refusal) != NGX_OK
        || ngx_pulse_member_object(v, "citations", &citations, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_bool(citations, "enabled", &cite, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (source == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "source", "is required");
    }

    if (ngx_pulse_anthropic_required(rq, source, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    /* only this dialect numbers the sentences of a document */

    ngx_pulse_unknown_members(rq->cv, v, cite ? known : plain);

    if (ngx_pulse_is(&type, "content")) {
        return ngx_pulse_anthropic_read_inner(rq, v, source, turn);
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_DOCUMENT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_member_string(v, "title", &part->filename, rq->refusal)
        != NGX_OK
        || ngx_pulse_anthropic_read_cache(rq, v, &part->cache) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_pulse_anthropic_read_source(rq, source, part);
}


/* a document that is blocks itself: whoever does not cite reads them as they
 * are, after its title */

static ngx_int_t
ngx_pulse_anthropic_read_inner(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, const ngx_pulse_json_value_t *source,
    ngx_pulse_turn_t *turn)
{
    ngx_str_t          title;
    ngx_pulse_part_t  *part;

    ngx_str_null(&title);

    if (ngx_pulse_member_string(v, "title", &title, rq->refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_TEXT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->text = title;

    if (ngx_pulse_anthropic_read_cache(rq, v, &part->cache) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_pulse_anthropic_read_blocks(rq, source, turn);
}


static ngx_int_t
ngx_pulse_anthropic_read_blocks(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *source, ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_uint_t               inside;
    ngx_pulse_json_value_t  *content;

    content = ngx_pulse_member(source, "content");

    if (content == NULL) {
        return ngx_pulse_refuse(rq->refusal, source, "content",
                                "is required");
    }

    /* blocks that have blocks would recurse as deep as the client likes */

    if (rq->blocks) {
        return ngx_pulse_refuse(rq->refusal, source, NULL,
                                "must not be inside another document");
    }

    inside = rq->inside;

    rq->blocks = 1;
    rq->inside = 1;
    rc = ngx_pulse_anthropic_read_content(rq, content, turn);
    rq->inside = inside;
    rq->blocks = 0;

    return rc;
}


/* what a search of the client's own found, told in plain words */

static ngx_int_t
ngx_pulse_anthropic_read_found(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t                title, source;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *content, *citations;

    static const char  *known[] = {
        "type", "title", "source", "content", "cache_control", NULL
    };
    static const char  *plain[] = {
        "type", "title", "source", "content", "cache_control", "citations",
        NULL
    };

    if (ngx_pulse_anthropic_required(rq, v, "title", &title) != NGX_OK
        || ngx_pulse_anthropic_required(rq, v, "source", &source) != NGX_OK
        || ngx_pulse_member_array(v, "content", &content, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(v, "citations", &citations, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, v,
                              ngx_pulse_member(citations, "enabled") ? known
                                                                     : plain);

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_TEXT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->text.data = ngx_pnalloc(rq->pool, title.len + source.len + 3);
    if (part->text.data == NULL) {
        return NGX_ERROR;
    }

    /* TITLE (SOURCE), and its texts */

    part->text.len = title.len + source.len + 3;
    ngx_memcpy(part->text.data, title.data, title.len);
    ngx_memcpy(part->text.data + title.len, " (", 2);
    ngx_memcpy(part->text.data + title.len + 2, source.data, source.len);
    part->text.data[part->text.len - 1] = ')';

    if (ngx_pulse_anthropic_read_cache(rq, v, &part->cache) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_pulse_anthropic_read_blocks(rq, v, turn);
}


static ngx_int_t
ngx_pulse_anthropic_read_source(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *source, ngx_pulse_part_t *part)
{
    ngx_str_t  type, url;

    if (ngx_pulse_anthropic_required(rq, source, "type", &type) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&type, "url")) {

        if (ngx_pulse_anthropic_required(rq, source, "url", &url) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (ngx_pulse_part_url(part, &url) != NGX_OK) {
            return ngx_pulse_refuse(rq->refusal, source, "url",
                                    "must be an https URL");
        }

        return NGX_OK;
    }

    if (ngx_pulse_is(&type, "file")) {
        return ngx_pulse_anthropic_required(rq, source, "file_id",
                                            &part->file_id);
    }

    if (ngx_pulse_is(&type, "base64")) {

        if (ngx_pulse_anthropic_required(rq, source, "media_type",
                                         &part->media_type)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        return ngx_pulse_anthropic_required(rq, source, "data", &part->data);
    }

    if (ngx_pulse_is(&type, "text") && part->type == NGX_PULSE_PART_DOCUMENT) {

        if (ngx_pulse_anthropic_required(rq, source, "data", &part->data)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }

        return ngx_pulse_anthropic_read_plain(rq, part);
    }

    return ngx_pulse_refuse(rq->refusal, source, "type",
                            "is no kind of source known here");
}


/* documents are base64 in a conversation, whatever they are */

static ngx_int_t
ngx_pulse_anthropic_read_plain(ngx_pulse_anthropic_request_t *rq,
    ngx_pulse_part_t *part)
{
    u_char  *p;
    size_t   len;

    len = (part->data.len + 2) / 3 * 4;

    p = ngx_pnalloc(rq->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) EVP_EncodeBlock(p, part->data.data, (int) part->data.len);

    part->data.data = p;
    part->data.len = len;
    ngx_str_set(&part->media_type, "text/plain");

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_call(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *input;

    static const char  *known[] = {
        "type", "id", "name", "input", "cache_control", "caller", NULL
    };

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_CALL);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_anthropic_required(rq, v, "id", &part->id) != NGX_OK
        || ngx_pulse_anthropic_required(rq, v, "name", &part->name) != NGX_OK
        || ngx_pulse_member_object(v, "input", &input, rq->refusal) != NGX_OK
        || ngx_pulse_anthropic_read_cache(rq, v, &part->cache) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (input == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, "input", "is required");
    }

    part->arguments = ngx_pulse_raw(rq->body, input);
    part->signature = rq->signature;
    ngx_str_null(&rq->signature);

    ngx_pulse_unknown_members(rq->cv, v, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_anthropic_read_result(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_uint_t               error;
    ngx_pulse_part_t        *part;
    ngx_pulse_turn_t         inner;
    ngx_pulse_json_value_t  *content;

    static const char  *known[] = {
        "type", "tool_use_id", "content", "is_error", "cache_control", NULL
    };

    error = 0;

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_RESULT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (ngx_pulse_anthropic_required(rq, v, "tool_use_id", &part->id) != NGX_OK
        || ngx_pulse_member_bool(v, "is_error", &error, rq->refusal) != NGX_OK
        || ngx_pulse_anthropic_read_cache(rq, v, &part->cache) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    part->error = (error != 0);

    ngx_pulse_unknown_members(rq->cv, v, known);

    content = ngx_pulse_member(v, "content");

    if (content == NULL) {
        return NGX_OK;
    }

    /* a result inside a result would recurse as deep as the client likes */

    if (rq->inside) {
        return ngx_pulse_refuse(rq->refusal, v, NULL,
                                "must not be inside another result");
    }

    ngx_memzero(&inner, sizeof(ngx_pulse_turn_t));
    inner.last = &inner.parts;

    rq->inside = 1;
    rc = ngx_pulse_anthropic_read_content(rq, content, &inner);
    rq->inside = 0;

    part->content = inner.parts;

    return rc;
}


/* a signature of ours belongs to the call that follows, the text before */

static ngx_int_t
ngx_pulse_anthropic_read_thought(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_str_t          text, signature;
    ngx_uint_t         own;
    ngx_pulse_part_t  *part;

    static const char  *known[] = { "type", "thinking", "signature", NULL };

    ngx_str_null(&text);
    ngx_str_null(&signature);

    if (ngx_pulse_member_string(v, "thinking", &text, rq->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "signature", &signature, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    own = !ngx_pulse_anthropic_foreign(&signature);

    if (ngx_pulse_anthropic_prefix(&signature, NGX_PULSE_ANTHROPIC_OF_CALL)) {
        rq->signature = signature;
        return ngx_pulse_anthropic_cut(rq, v);
    }

    if (ngx_pulse_anthropic_prefix(&signature, NGX_PULSE_ANTHROPIC_OF_TEXT)) {

        if (rq->text) {
            rq->text->signature = signature;
        }

        return ngx_pulse_anthropic_cut(rq, v);
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_THINKING);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->text = text;
    part->signature = signature;

    return own ? NGX_OK : ngx_pulse_anthropic_cut(rq, v);
}


static ngx_int_t
ngx_pulse_anthropic_read_redacted(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_pulse_part_t  *part;

    static const char  *known[] = { "type", "data", NULL };

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_REDACTED);
    if (part == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_unknown_members(rq->cv, v, known);

    if (ngx_pulse_anthropic_required(rq, v, "data", &part->data) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_pulse_anthropic_foreign(&part->data)
           ? ngx_pulse_anthropic_cut(rq, v) : NGX_OK;
}


/* the vendor refuses a request with what it has not signed itself */

static ngx_int_t
ngx_pulse_anthropic_cut(ngx_pulse_anthropic_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    /* results have none of their own */

    if (rq->inside) {
        return NGX_OK;
    }

    rq->cuts++;

    return ngx_pulse_edit_add(rq->cv, rq->pool, v->start, v->end) ? NGX_OK
                                                                  : NGX_ERROR;
}


/* takes the prefix off */

static ngx_uint_t
ngx_pulse_anthropic_prefix(ngx_str_t *s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    if (s->len <= len || ngx_memcmp(s->data, prefix, len) != 0) {
        return 0;
    }

    s->data += len;
    s->len -= len;

    return 1;
}
