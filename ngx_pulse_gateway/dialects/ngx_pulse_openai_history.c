
#include "ngx_pulse_openai.h"

#include <stdio.h>


#define NGX_PULSE_OPENAI_ID_TEXT  (sizeof("call_") - 1 + NGX_INT64_LEN)


static ngx_int_t ngx_pulse_openai_thought(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn,
    ngx_pulse_part_t **open);
static ngx_int_t ngx_pulse_openai_join(ngx_pulse_openai_turns_t *ts,
    ngx_str_t *to, const ngx_str_t *from);
static ngx_int_t ngx_pulse_openai_signed(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_str_t *signature);
static ngx_int_t ngx_pulse_openai_call(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_call_legacy(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_pulse_turn_t *turn);
static ngx_int_t ngx_pulse_openai_arguments(ngx_pulse_openai_turns_t *ts,
    const ngx_pulse_json_value_t *v, ngx_str_t *arguments);


/*
 * Thinking of the turn before as we or a vendor gave it out: its pieces with
 * what signs them, or nothing but the text.
 */

ngx_int_t
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


ngx_int_t
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

    turn->at = v;

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

        if (ngx_pulse_openai_object(ts, v, "custom", &inner) != NGX_OK
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

    if (ngx_pulse_openai_object(ts, v, "function", &inner) != NGX_OK
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

    turn->at = v;

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
