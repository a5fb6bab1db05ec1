
#include "ngx_pulse_gemini.h"

#include <strings.h>
#include <openssl/evp.h>


typedef struct {
    const char                   *name;
    ngx_int_t                   (*handler)(ngx_pulse_gemini_request_t *rq,
                                           ngx_pulse_json_value_t *part,
                                           ngx_pulse_json_value_t *v,
                                           ngx_pulse_turn_t *turn);
} ngx_pulse_gemini_kind_t;


static ngx_int_t ngx_pulse_gemini_read_content(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *content);
static ngx_int_t ngx_pulse_gemini_read_parts(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *content, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_read_part(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_read_text(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *part, ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_cut(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_read_inline(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *part, ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_read_file(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *part, ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_read_call(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *part, ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_sign(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_gemini_read_result(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *part, ngx_pulse_json_value_t *v,
    ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_gemini_read_response(
    ngx_pulse_gemini_request_t *rq, ngx_pulse_json_value_t *v,
    ngx_pulse_part_t *result, ngx_pulse_turn_t *inner);
static ngx_int_t ngx_pulse_gemini_read_raw(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *part, const ngx_str_t *name,
    ngx_pulse_turn_t *turn);

static ngx_pulse_part_t *ngx_pulse_gemini_answered(
    ngx_pulse_gemini_request_t *rq, const ngx_str_t *id,
    const ngx_str_t *name);
static ngx_int_t ngx_pulse_gemini_media(const ngx_str_t *type,
    ngx_pulse_part_e *part);
static ngx_int_t ngx_pulse_gemini_unwrap(ngx_pulse_gemini_request_t *rq,
    const ngx_str_t *signature, ngx_pulse_part_t *part);


/* any other part is kept whole, for a provider that knows it */

static ngx_pulse_gemini_kind_t  ngx_pulse_gemini_kinds[] = {
    { "text", ngx_pulse_gemini_read_text },
    { "inlineData", ngx_pulse_gemini_read_inline },
    { "fileData", ngx_pulse_gemini_read_file },
    { "functionCall", ngx_pulse_gemini_read_call },
    { "functionResponse", ngx_pulse_gemini_read_result },
    { NULL, NULL }
};


ngx_int_t
ngx_pulse_gemini_read_system(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_part_t        *part;
    ngx_pulse_turn_t        *turn;
    ngx_pulse_json_value_t  *system;

    if (ngx_pulse_gemini_object(rq, root, "systemInstruction", &system)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (system == NULL) {
        return NGX_OK;
    }

    turn = ngx_pulse_turn_add(rq->cv, rq->pool, NGX_PULSE_ROLE_SYSTEM);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_pulse_gemini_read_parts(rq, system, turn);

    for (part = turn->parts; rc == NGX_OK && part; part = part->next) {
        if (part->type != NGX_PULSE_PART_TEXT) {
            return ngx_pulse_refuse(rq->refusal, part->at, NULL,
                                    "must be text");
        }
    }

    return rc;
}


ngx_int_t
ngx_pulse_gemini_read_contents(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *root)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *v;

    rc = ngx_pulse_gemini_list(rq, root, "contents", &v);

    if (rc == NGX_OK && v == NULL) {
        return ngx_pulse_refuse(rq->refusal, root, "contents", "is required");
    }

    rq->cv->at = ngx_pulse_member(root, "contents");
    rq->alone = (ngx_pulse_member(root, "contents")->type
                 != NGX_PULSE_JSON_ARRAY);

    for ( /* void */ ; rc == NGX_OK && v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
        }

        ngx_pulse_gemini_camel(v);

        rc = ngx_pulse_gemini_read_content(rq, v);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_read_content(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *content)
{
    ngx_int_t                rc;
    ngx_str_t                role;
    ngx_uint_t               n;
    ngx_pulse_edit_t        *edit, *last;
    ngx_pulse_part_t        *part;
    ngx_pulse_turn_t        *turn;
    ngx_pulse_json_value_t  *parts;

    static const char  *known[] = { "role", "parts", NULL };

    ngx_str_null(&role);

    if (ngx_pulse_member_string(content, "role", &role, rq->refusal)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ngx_pulse_is(&role, "model")) {
        n = NGX_PULSE_ROLE_ASSISTANT;

    } else if (role.len == 0 || ngx_pulse_is(&role, "user")
               || ngx_pulse_is(&role, "function"))
    {
        n = NGX_PULSE_ROLE_USER;

    } else {
        return ngx_pulse_refuse(rq->refusal, content, "role",
                                "must be user or model");
    }

    ngx_pulse_unknown_members(rq->cv, content, known);

    turn = ngx_pulse_turn_add(rq->cv, rq->pool, n);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    rq->cuts = 0;
    rq->called = 0;
    last = rq->cv->last_edit;

    rc = ngx_pulse_gemini_read_parts(rq, content, turn);
    if (rc != NGX_OK) {
        return rc;
    }

    /* calls before a question need no signature */

    for (part = turn->parts; part; part = part->next) {
        if (n == NGX_PULSE_ROLE_USER && part->type != NGX_PULSE_PART_RESULT) {
            rq->cv->sign_from = content->end;
            break;
        }
    }

    parts = ngx_pulse_member(content, "parts");

    if (rq->cuts == 0
        || (parts->type == NGX_PULSE_JSON_ARRAY && rq->cuts < parts->nelts))
    {
        return NGX_OK;
    }

    /* a content without parts is refused */

    ngx_pulse_edit_back(rq->cv, last);

    edit = ngx_pulse_edit_add(rq->cv, rq->pool, content->start, content->end);
    if (edit == NULL) {
        return NGX_ERROR;
    }

    if (rq->alone) {
        ngx_str_set(&edit->text, "[]");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_read_parts(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *content, ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_pulse_json_value_t  *v;

    rc = ngx_pulse_gemini_list(rq, content, "parts", &v);

    for ( /* void */ ; rc == NGX_OK && v; v = v->next) {

        if (v->type != NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_refuse(rq->refusal, v, NULL, "must be an object");
        }

        ngx_pulse_gemini_camel(v);

        turn->at = v;
        rc = ngx_pulse_gemini_read_part(rq, v, turn);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_gemini_read_part(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn)
{
    ngx_pulse_json_value_t   *member;
    ngx_pulse_gemini_kind_t  *kind;

    const char  *known[] = { NULL, "thought", "thoughtSignature", NULL };

    for (kind = ngx_pulse_gemini_kinds; kind->name; kind++) {

        member = ngx_pulse_member(v, kind->name);

        if (member) {
            known[0] = kind->name;
            ngx_pulse_unknown_members(rq->cv, v, known);

            return kind->handler(rq, v, member, turn);
        }
    }

    for (member = v->children; member; member = member->next) {

        if (member->type == NGX_PULSE_JSON_OBJECT) {
            return ngx_pulse_gemini_read_raw(rq, v, &member->key, turn);
        }
    }

    if (ngx_pulse_member(v, "thoughtSignature") == NULL) {
        return ngx_pulse_refuse(rq->refusal, v, NULL, "has no data");
    }

    return ngx_pulse_gemini_read_text(rq, v, NULL, turn);
}


/*
 * Signatures of thoughts are another vendor's, in our wrapping; those of
 * Gemini's that a client has put there go with a text of nothing.
 */

static ngx_int_t
ngx_pulse_gemini_read_text(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_json_value_t *text,
    ngx_pulse_turn_t *turn)
{
    ngx_int_t          rc;
    ngx_str_t          signature;
    ngx_uint_t         thought;
    ngx_pulse_part_t  *part;

    thought = 0;
    ngx_str_null(&signature);

    if (text && text->type != NGX_PULSE_JSON_STRING) {
        return ngx_pulse_refuse(rq->refusal, text, NULL, "must be a string");
    }

    if (ngx_pulse_member_bool(v, "thought", &thought, rq->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "thoughtSignature", &signature,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (thought) {
        part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_THINKING);
        if (part == NULL) {
            return NGX_ERROR;
        }

        if (text) {
            part->text = text->string;
        }

        rc = ngx_pulse_gemini_unwrap(rq, &signature, part);

        if (rc == NGX_OK && (part->signature.len || part->data.len)) {
            return ngx_pulse_gemini_cut(rq, v, turn);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }

        text = NULL;
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_TEXT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (text) {
        part->text = text->string;
    }

    part->signature = signature;

    return NGX_OK;
}


/* what another vendor signed is refused by this one */

static ngx_int_t
ngx_pulse_gemini_cut(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const ngx_pulse_turn_t *turn)
{
    if (turn->role != NGX_PULSE_ROLE_ASSISTANT) {
        return NGX_OK;
    }

    rq->cuts++;

    return ngx_pulse_edit_add(rq->cv, rq->pool, v->start, v->end) ? NGX_OK
                                                                  : NGX_ERROR;
}


static ngx_int_t
ngx_pulse_gemini_read_inline(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_json_value_t *data,
    ngx_pulse_turn_t *turn)
{
    size_t             i;
    ngx_str_t          type, text, name, signature;
    ngx_pulse_part_t  *part;
    ngx_pulse_part_e   kind;

    static const char  *known[] = { "mimeType", "data", "displayName", NULL };

    ngx_str_null(&name);
    ngx_str_null(&signature);
    ngx_pulse_gemini_camel(data);

    if (ngx_pulse_gemini_required(rq, data, "mimeType", &type) != NGX_OK
        || ngx_pulse_gemini_required(rq, data, "data", &text) != NGX_OK
        || ngx_pulse_member_string(data, "displayName", &name, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_string(v, "thoughtSignature", &signature,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* pictures of a thought are for Gemini's eyes only, and nobody else takes
     * back what a model drew */

    if (ngx_pulse_gemini_true(v, "thought")
        || turn->role == NGX_PULSE_ROLE_ASSISTANT
        || ngx_pulse_gemini_media(&type, &kind) != NGX_OK)
    {
        return ngx_pulse_gemini_read_raw(rq, v, &data->key, turn);
    }

    part = ngx_pulse_part_add(turn, rq->pool, kind);
    if (part == NULL) {
        return NGX_ERROR;
    }

    if (name.len && kind == NGX_PULSE_PART_IMAGE) {
        ngx_pulse_unknown_note(rq->cv, "displayName");
    }

    /* protobuf takes the alphabet of URLs too, other vendors do not */

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '-') {
            text.data[i] = '+';

        } else if (text.data[i] == '_') {
            text.data[i] = '/';
        }
    }

    part->media_type = type;
    part->data = text;
    part->filename = name;
    part->signature = signature;

    ngx_pulse_unknown_members(rq->cv, data, known);

    return NGX_OK;
}


/* files of Google's and videos are of no use to another vendor */

static ngx_int_t
ngx_pulse_gemini_read_file(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_json_value_t *data,
    ngx_pulse_turn_t *turn)
{
    ngx_str_t          type, uri;
    ngx_pulse_part_t  *part;
    ngx_pulse_part_e   kind;

    static const char  *known[] = { "mimeType", "fileUri", NULL };

    static const char  google[] = "https://generativelanguage.googleapis.com/";

    ngx_str_null(&type);
    ngx_pulse_gemini_camel(data);

    if (ngx_pulse_member_string(data, "mimeType", &type, rq->refusal)
        != NGX_OK
        || ngx_pulse_gemini_required(rq, data, "fileUri", &uri) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (type.len == 0 || turn->role == NGX_PULSE_ROLE_ASSISTANT
        || ngx_pulse_gemini_media(&type, &kind) != NGX_OK)
    {
        return ngx_pulse_gemini_read_raw(rq, v, &data->key, turn);
    }

    part = ngx_pulse_part_add(turn, rq->pool, kind);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->media_type = type;

    if (uri.len <= 8
        || ngx_strncmp(uri.data, "https://", 8) != 0
        || (uri.len >= sizeof(google) - 1
            && ngx_strncmp(uri.data, google, sizeof(google) - 1) == 0))
    {
        part->file_id = uri;

    } else {
        part->url = uri;
    }

    ngx_pulse_unknown_members(rq->cv, data, known);

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_read_call(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_json_value_t *call,
    ngx_pulse_turn_t *turn)
{
    ngx_pulse_buf_t               b;
    ngx_pulse_part_t             *part;
    ngx_pulse_json_value_t       *args;
    ngx_pulse_gemini_waiting_t   *waiting, **last;

    static const char  *known[] = { "id", "name", "args", NULL };

    if (turn->role != NGX_PULSE_ROLE_ASSISTANT) {
        return ngx_pulse_refuse(rq->refusal, call, NULL,
                                "must be in a content of the model");
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_CALL);
    waiting = ngx_pcalloc(rq->pool, sizeof(ngx_pulse_gemini_waiting_t));

    if (part == NULL || waiting == NULL) {
        return NGX_ERROR;
    }

    ngx_pulse_gemini_camel(call);

    if (ngx_pulse_gemini_required(rq, call, "name", &part->name) != NGX_OK
        || ngx_pulse_member_string(call, "id", &part->id, rq->refusal)
           != NGX_OK
        || ngx_pulse_member_object(call, "args", &args, rq->refusal) != NGX_OK
        || ngx_pulse_member_string(v, "thoughtSignature", &part->signature,
                                   rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_pulse_unknown_members(rq->cv, call, known);

    if (part->signature.len == 0 && !rq->called
        && ngx_pulse_gemini_sign(rq, v) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rq->called = 1;
    waiting->call = part;

    for (last = &rq->waiting; *last; last = &(*last)->next) { /* void */ }

    *last = waiting;

    if (args) {
        part->arguments = ngx_pulse_raw(rq->body, args);

    } else {
        ngx_str_set(&part->arguments, "{}");
    }

    rq->calls++;

    if (part->id.len) {
        return NGX_OK;
    }

    /* the same each time, for the provider's cache of prompts */

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "call_");
    ngx_pulse_buf_int(&b, rq->calls);

    return ngx_pulse_gemini_copy(rq, &b, &part->id);
}


/* of calls side by side the first must be signed, by whoever made them */

static ngx_int_t
ngx_pulse_gemini_sign(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v)
{
    ngx_pulse_edit_t  *edit;

    edit = ngx_pulse_edit_add(rq->cv, rq->pool, v->start, v->start + 1);
    if (edit == NULL) {
        return NGX_ERROR;
    }

    edit->sign = 1;
    ngx_str_set(&edit->text, "{\"thoughtSignature\":\""
                             NGX_PULSE_GEMINI_NO_SIGNATURE "\",");

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_gemini_read_result(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_json_value_t *response,
    ngx_pulse_turn_t *turn)
{
    ngx_int_t                rc;
    ngx_str_t                id, name;
    ngx_pulse_part_t        *call, *part;
    ngx_pulse_turn_t         inner;
    ngx_pulse_json_value_t  *object;

    static const char  *known[] = { "id", "name", "response", "parts", NULL };

    ngx_str_null(&id);
    ngx_pulse_gemini_camel(response);

    if (turn->role != NGX_PULSE_ROLE_USER) {
        return ngx_pulse_refuse(rq->refusal, response, NULL,
                                "must be in a content of the user");
    }

    if (ngx_pulse_member_string(response, "id", &id, rq->refusal) != NGX_OK
        || ngx_pulse_gemini_required(rq, response, "name", &name) != NGX_OK
        || ngx_pulse_member_object(response, "response", &object, rq->refusal)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    call = ngx_pulse_gemini_answered(rq, &id, &name);

    if (call == NULL) {
        return ngx_pulse_refuse(rq->refusal, response, NULL,
                                "answers no functionCall before it");
    }

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_RESULT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->id = call->id;
    part->name = call->name;

    ngx_memzero(&inner, sizeof(ngx_pulse_turn_t));
    inner.role = NGX_PULSE_ROLE_SYSTEM;
    inner.last = &inner.parts;

    rc = object ? ngx_pulse_gemini_read_response(rq, object, part, &inner)
                : NGX_OK;

    /* with neither role there can be no results inside of results */

    if (rc == NGX_OK) {
        rc = ngx_pulse_gemini_read_parts(rq, response, &inner);
    }

    part->content = inner.parts;

    ngx_pulse_unknown_members(rq->cv, response, known);

    return rc;
}


/* a text alone may be under these names; anything else is text as it is */

static ngx_int_t
ngx_pulse_gemini_read_response(ngx_pulse_gemini_request_t *rq,
    ngx_pulse_json_value_t *v, ngx_pulse_part_t *result,
    ngx_pulse_turn_t *inner)
{
    ngx_str_t                raw;
    ngx_pulse_buf_t          b;
    ngx_pulse_part_t        *part;
    ngx_pulse_json_value_t  *only;

    part = ngx_pulse_part_add(inner, rq->pool, NGX_PULSE_PART_TEXT);
    if (part == NULL) {
        return NGX_ERROR;
    }

    only = v->children;

    if (v->nelts == 1 && ngx_pulse_is(&only->key, "error")) {
        result->error = 1;
    }

    if (v->nelts == 1
        && only->type == NGX_PULSE_JSON_STRING
        && (result->error
            || ngx_pulse_is(&only->key, "result")
            || ngx_pulse_is(&only->key, "output")))
    {
        part->text = only->string;
        return NGX_OK;
    }

    raw = ngx_pulse_raw(rq->body, v);

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_json_compact(&raw, &b);

    return ngx_pulse_gemini_copy(rq, &b, &part->text);
}


static ngx_int_t
ngx_pulse_gemini_read_raw(ngx_pulse_gemini_request_t *rq,
    const ngx_pulse_json_value_t *v, const ngx_str_t *name,
    ngx_pulse_turn_t *turn)
{
    ngx_pulse_part_t  *part;

    part = ngx_pulse_part_add(turn, rq->pool, NGX_PULSE_PART_RAW);
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->name = *name;
    part->data = ngx_pulse_raw(rq->body, v);

    return NGX_OK;
}


/* by the id, of that name before others; else the first call of that name
 * that still waits */

static ngx_pulse_part_t *
ngx_pulse_gemini_answered(ngx_pulse_gemini_request_t *rq, const ngx_str_t *id,
    const ngx_str_t *name)
{
    ngx_uint_t                    same, named;
    ngx_pulse_part_t             *call;
    ngx_pulse_gemini_waiting_t  **p, **found, **first;

    found = NULL;
    first = NULL;

    for (p = &rq->waiting; *p; p = &(*p)->next) {
        call = (*p)->call;

        same = (id->len && call->id.len == id->len
                && ngx_memcmp(call->id.data, id->data, id->len) == 0);

        named = (call->name.len == name->len
                 && ngx_memcmp(call->name.data, name->data, name->len) == 0);

        if (same && named) {
            found = p;
            break;
        }

        if (same && found == NULL) {
            found = p;
        }

        if (named && first == NULL) {
            first = p;
        }
    }

    found = found ? found : first;

    if (found == NULL) {
        return NULL;
    }

    call = (*found)->call;
    *found = (*found)->next;

    return call;
}


/* NGX_DECLINED for what is neither image, sound nor text */

static ngx_int_t
ngx_pulse_gemini_media(const ngx_str_t *type, ngx_pulse_part_e *part)
{
    if (type->len > 6 && strncasecmp((char *) type->data, "image/", 6) == 0) {
        *part = NGX_PULSE_PART_IMAGE;
        return NGX_OK;
    }

    if (type->len > 6 && strncasecmp((char *) type->data, "audio/", 6) == 0) {
        *part = NGX_PULSE_PART_AUDIO;
        return NGX_OK;
    }

    if ((type->len > 5 && strncasecmp((char *) type->data, "text/", 5) == 0)
        || (type->len > 12
            && strncasecmp((char *) type->data, "application/", 12) == 0))
    {
        *part = NGX_PULSE_PART_DOCUMENT;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* what the writer of answers has wrapped; NGX_DECLINED if it is Gemini's */

static ngx_int_t
ngx_pulse_gemini_unwrap(ngx_pulse_gemini_request_t *rq,
    const ngx_str_t *signature, ngx_pulse_part_t *part)
{
    int         n;
    size_t      i, len;
    u_char     *text, *data, ch;
    ngx_str_t   s;

    if (signature->len == 0) {
        return NGX_OK;
    }

    /* some SDKs write it in the alphabet of URLs, or without the padding */

    len = (signature->len + 3) / 4 * 4;

    text = ngx_pnalloc(rq->pool, len);
    data = ngx_pnalloc(rq->pool, len);

    if (text == NULL || data == NULL) {
        return NGX_ERROR;
    }

    ngx_memset(text, '=', len);

    for (i = 0; i < signature->len; i++) {
        ch = signature->data[i];
        text[i] = (ch == '-') ? '+' : (ch == '_') ? '/' : ch;
    }

    n = EVP_DecodeBlock(data, text, (int) len);

    while (n > 0 && len > 0 && text[len - 1] == '=') {
        len--;
        n--;
    }

    if (n <= NGX_PULSE_GEMINI_WORD) {
        return NGX_DECLINED;
    }

    s.data = data + NGX_PULSE_GEMINI_WORD;
    s.len = n - NGX_PULSE_GEMINI_WORD;

    if (ngx_pulse_utf8_check(s.data, s.len, NULL) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_memcmp(data, NGX_PULSE_GEMINI_SIGNATURE, NGX_PULSE_GEMINI_WORD)
        == 0)
    {
        part->signature = s;
        return NGX_OK;
    }

    if (ngx_memcmp(data, NGX_PULSE_GEMINI_REDACTED, NGX_PULSE_GEMINI_WORD)
        == 0)
    {
        part->type = NGX_PULSE_PART_REDACTED;
        part->data = s;
        return NGX_OK;
    }

    return NGX_DECLINED;
}
