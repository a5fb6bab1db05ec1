
#include "ngx_pulse_responses.h"


static ngx_int_t ngx_pulse_responses_read_image(
    ngx_pulse_responses_reader_t *rd, const ngx_pulse_json_value_t *item);
static ngx_int_t ngx_pulse_responses_contents(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_responses_slot_t *slot, const ngx_pulse_json_value_t *list);


ngx_int_t
ngx_pulse_responses_read_output(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *response)
{
    int64_t                      index;
    ngx_int_t                    rc;
    ngx_pulse_json_value_t      *output, *item;
    ngx_pulse_responses_slot_t  *slot;

    output = ngx_pulse_member(response, "output");

    if (output == NULL || output->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_OK;
    }

    index = 0;

    for (item = output->children; item; item = item->next) {
        rc = ngx_pulse_responses_read_open(rd, index++, item, &slot);

        if (rc == NGX_OK && slot) {
            rc = ngx_pulse_responses_read_close(rd, slot, item);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* An item begins; NULL in "*opened" if it is of no interest. */

ngx_int_t
ngx_pulse_responses_read_open(ngx_pulse_responses_reader_t *rd, int64_t index,
    const ngx_pulse_json_value_t *item, ngx_pulse_responses_slot_t **opened)
{
    ngx_str_t                    type;
    ngx_pulse_answer_event_t     ev;
    ngx_pulse_responses_slot_t  *slot;

    *opened = NULL;
    rd->answer->items = 1;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    type = ngx_pulse_responses_string(item, "type");
    ev.custom = ngx_pulse_is(&type, "custom_tool_call");

    if (ev.custom || ngx_pulse_is(&type, "function_call")) {
        ev.type = NGX_PULSE_ANSWER_CALL;

    } else if (ngx_pulse_is(&type, "reasoning")) {
        ev.type = NGX_PULSE_ANSWER_THINKING;

    } else if (ngx_pulse_is(&type, "message")) {
        ev.type = NGX_PULSE_ANSWER_TEXT;

    } else if (ngx_pulse_is(&type, "image_generation_call")) {
        return ngx_pulse_responses_read_image(rd, item);

    } else {

        /* what tools of the vendor's own did */

        return ngx_pulse_lose(rd->handler, rd->ctx, &type);
    }

    /* the same index again is the same place: what stood there is over */

    slot = ngx_pulse_responses_read_slot(rd, index);

    if (slot == NULL) {
        slot = ngx_pulse_responses_read_slot(rd, NGX_PULSE_RESPONSES_FREE);

        if (slot == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(slot, sizeof(ngx_pulse_responses_slot_t));

    slot->used = 1;
    slot->index = index;
    slot->kind = ev.type;
    slot->custom = ev.custom;

    *opened = slot;

    if (ev.type != NGX_PULSE_ANSWER_CALL) {
        return NGX_OK;
    }

    ev.id = ngx_pulse_responses_string(item, "call_id");

    if (ev.id.len == 0) {
        ev.id = ngx_pulse_responses_string(item, "id");
    }

    ev.name = ngx_pulse_responses_string(item, "name");
    ev.index = rd->answer->calls++;
    slot->call = ev.index;

    return ngx_pulse_responses_read_emit(rd, &ev);
}


/* it comes whole, when its item is over */

static ngx_int_t
ngx_pulse_responses_read_image(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *item)
{
    ngx_str_t                 format;
    ngx_pulse_answer_event_t  ev;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_IMAGE;
    ev.text = ngx_pulse_responses_string(item, "result");

    if (ev.text.len == 0) {
        return NGX_OK;
    }

    format = ngx_pulse_responses_string(item, "output_format");

    if (ngx_pulse_is(&format, "jpeg")) {
        ngx_str_set(&ev.name, "image/jpeg");

    } else if (ngx_pulse_is(&format, "webp")) {
        ngx_str_set(&ev.name, "image/webp");

    } else {
        ngx_str_set(&ev.name, "image/png");
    }

    return ngx_pulse_responses_read_emit(rd, &ev);
}


/* An item is over: what no delta brought is in it. */

ngx_int_t
ngx_pulse_responses_read_close(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_responses_slot_t *slot, const ngx_pulse_json_value_t *item)
{
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_pulse_json_value_t    *list;
    ngx_pulse_answer_event_t   ev;

    rc = NGX_OK;

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ev.type = NGX_PULSE_ANSWER_PART_END;

    if (slot->kind == NGX_PULSE_ANSWER_CALL) {
        ev.type = NGX_PULSE_ANSWER_CALL_END;
        ev.index = slot->call;

        if (!slot->any) {
            text = ngx_pulse_responses_string(item, slot->custom
                                                    ? "input" : "arguments");
            rc = ngx_pulse_responses_read_piece(rd, slot,
                                           NGX_PULSE_ANSWER_ARGUMENTS, 0,
                                           &text);
        }

    } else if (!slot->any) {
        list = ngx_pulse_member(item, "summary");

        if (list == NULL || list->nelts == 0) {
            list = ngx_pulse_member(item, "content");
        }

        rc = ngx_pulse_responses_contents(rd, slot, list);
    }

    text = ngx_pulse_responses_string(item, "encrypted_content");

    if (rc == NGX_OK && text.len
        && slot->kind == NGX_PULSE_ANSWER_THINKING)
    {
        rc = ngx_pulse_responses_read_piece(rd, slot,
                                            NGX_PULSE_ANSWER_SIGNATURE,
                                            slot->part, &text);
    }

    slot->used = 0;

    return (rc == NGX_OK) ? ngx_pulse_responses_read_emit(rd, &ev) : rc;
}


static ngx_int_t
ngx_pulse_responses_contents(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_responses_slot_t *slot, const ngx_pulse_json_value_t *list)
{
    int64_t                  part;
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_uint_t               kind;
    ngx_pulse_json_value_t  *v;

    part = 0;

    for (v = list ? list->children : NULL; v; v = v->next) {

        kind = slot->kind;
        text = ngx_pulse_responses_string(v, "text");

        if (text.len == 0 && ngx_pulse_member(v, "refusal")) {
            kind = NGX_PULSE_ANSWER_REFUSAL;
            text = ngx_pulse_responses_string(v, "refusal");
        }

        ngx_pulse_responses_read_logprobs(rd, v);

        rc = ngx_pulse_responses_read_piece(rd, slot, kind, part++, &text);

        if (rc == NGX_OK) {
            rc = ngx_pulse_cite_all(rd->handler, rd->ctx, 0,
                                    NGX_PULSE_CITED_PART, v);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_pulse_responses_read_piece(ngx_pulse_responses_reader_t *rd,
    ngx_pulse_responses_slot_t *slot, ngx_uint_t kind, int64_t part,
    const ngx_str_t *text)
{
    ngx_int_t                 rc;
    ngx_pulse_answer_event_t  ev;

    if (text->len == 0
        && (kind != NGX_PULSE_ANSWER_TEXT || rd->logprobs.len == 0))
    {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));
    ev.type = kind;

    if (kind == NGX_PULSE_ANSWER_ARGUMENTS) {

        /* without the item there is no call to add to: its end has all */

        if (slot == NULL || slot->kind != NGX_PULSE_ANSWER_CALL) {
            return NGX_OK;
        }

        ev.index = slot->call;
    }

    if (slot) {

        if (kind == NGX_PULSE_ANSWER_THINKING && slot->any
            && slot->part != part)
        {
            ngx_str_set(&ev.text, "\n\n");
            rc = ngx_pulse_responses_read_emit(rd, &ev);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (kind == NGX_PULSE_ANSWER_TEXT && slot->any && slot->part != part) {

            /* another part, whose annotations count from its start */

            ev.type = NGX_PULSE_ANSWER_PART_END;
            rc = ngx_pulse_responses_read_emit(rd, &ev);

            if (rc != NGX_OK) {
                return rc;
            }

            ev.type = kind;
        }

        slot->any = 1;
        slot->part = part;
    }

    ev.text = *text;

    if (kind == NGX_PULSE_ANSWER_TEXT) {
        ev.logprobs = rd->logprobs;
        ngx_str_null(&rd->logprobs);
    }

    return ngx_pulse_responses_read_emit(rd, &ev);
}


void
ngx_pulse_responses_read_logprobs(ngx_pulse_responses_reader_t *rd,
    const ngx_pulse_json_value_t *v)
{
    ngx_str_t                raw;
    ngx_pulse_json_value_t  *list;

    list = ngx_pulse_member(v, "logprobs");

    if (list && list->type == NGX_PULSE_JSON_ARRAY && list->nelts) {
        raw = ngx_pulse_raw(rd->data, list);

        rd->logprobs.data = raw.data + 1;
        rd->logprobs.len = raw.len - 2;
    }
}


/* The open item of an index; for FREE one that is not in use. */

ngx_pulse_responses_slot_t *
ngx_pulse_responses_read_slot(ngx_pulse_responses_reader_t *rd, int64_t index)
{
    ngx_uint_t                   i;
    ngx_pulse_responses_slot_t  *slot;

    for (i = 0; i < NGX_PULSE_RESPONSES_SLOTS; i++) {
        slot = &rd->answer->slots[i];

        if (slot->used ? slot->index == index
                       : index == NGX_PULSE_RESPONSES_FREE)
        {
            return slot;
        }
    }

    return NULL;
}
