
#include "ngx_pulse_openai.h"


static ngx_int_t ngx_pulse_openai_events_thinking(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *message);
static ngx_int_t ngx_pulse_openai_events_detail(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v);
static ngx_int_t ngx_pulse_openai_events_content(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *content);
static ngx_int_t ngx_pulse_openai_events_media(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message);
static ngx_int_t ngx_pulse_openai_events_signature(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *message);
static ngx_int_t ngx_pulse_openai_events_call(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, ngx_uint_t position);
static ngx_int_t ngx_pulse_openai_events_begin(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, const ngx_pulse_json_value_t *inner,
    int64_t key);
static ngx_int_t ngx_pulse_openai_events_arguments(
    ngx_pulse_openai_events_t *es, const ngx_pulse_json_value_t *inner,
    ngx_uint_t call);
static ngx_uint_t ngx_pulse_openai_events_find(ngx_pulse_openai_events_t *es,
    int64_t key);


ngx_int_t
ngx_pulse_openai_events_message(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message)
{
    ngx_int_t                      rc;
    ngx_str_t                      refusal;
    ngx_uint_t                     n;
    const ngx_pulse_json_value_t  *v;

    rc = ngx_pulse_openai_events_thinking(es, message);

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_events_content(es, ngx_pulse_member(message,
                                                              "content"));
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_cite_all(es->handler, es->ctx, es->choice,
                                NGX_PULSE_CITED_HERE, message);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_events_media(es, message);
    }

    if (rc == NGX_OK) {
        refusal = ngx_pulse_openai_events_string(message, "refusal");
        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_REFUSAL,
                                          &refusal);
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_events_signature(es, message);
    }

    v = ngx_pulse_openai_events_list(message, "tool_calls");

    for (n = 0; v && rc == NGX_OK; v = v->next) {
        rc = ngx_pulse_openai_events_call(es, v, n++);
    }

    v = ngx_pulse_member(message, "function_call");

    if (v && rc == NGX_OK) {
        rc = ngx_pulse_openai_events_call(es, v, 0);
    }

    return rc;
}


/* the same text may be there twice, whole and in pieces: those say more */

static ngx_int_t
ngx_pulse_openai_events_thinking(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message)
{
    ngx_int_t                      rc;
    ngx_str_t                      text;
    ngx_uint_t                     pieces;
    const ngx_pulse_json_value_t  *details, *v;

    details = ngx_pulse_openai_events_list(message, "reasoning_details");
    pieces = 0;

    for (v = details; v; v = v->next) {

        if (ngx_pulse_openai_events_string(v, "thinking").len
            || ngx_pulse_openai_events_string(v, "text").len
            || ngx_pulse_openai_events_string(v, "summary").len)
        {
            pieces = 1;
        }
    }

    if (!pieces) {
        text = ngx_pulse_openai_events_string(message, "reasoning_content");

        if (text.len == 0) {
            text = ngx_pulse_openai_events_string(message, "reasoning");
        }

        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_THINKING,
                                          &text);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (v = details; v; v = v->next) {
        rc = ngx_pulse_openai_events_detail(es, v);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_pulse_openai_events_detail(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v)
{
    int64_t                     index;
    ngx_int_t                   rc;
    ngx_str_t                   text, signature, data;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;
    index = es->whole ? stream->detail + 1 : stream->detail;

    (void) ngx_pulse_openai_events_number(v, "index", &index);

    if (stream->detailed && index != stream->detail
        && stream->last == NGX_PULSE_ANSWER_THINKING)
    {
        rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_PART_END);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    stream->detailed = 1;
    stream->detail = index;

    text = ngx_pulse_openai_events_string(v, "thinking");

    if (text.len == 0) {
        text = ngx_pulse_openai_events_string(v, "text");
    }

    if (text.len == 0) {
        text = ngx_pulse_openai_events_string(v, "summary");
    }

    signature = ngx_pulse_openai_events_string(v, "signature");
    data = ngx_pulse_openai_events_string(v, "data");

    rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_THINKING, &text);

    if (rc == NGX_OK && signature.len) {

        /* thinking that is not shown is signed too */

        if (stream->last != NGX_PULSE_ANSWER_THINKING) {
            stream->last = NGX_PULSE_ANSWER_THINKING;
            rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_THINKING);
        }

        if (rc == NGX_OK) {
            rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_SIGNATURE,
                                              &signature);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_REDACTED,
                                          &data);
    }

    return rc;
}


/* a string; of some vendors parts, among them {"type": "thinking"} */

static ngx_int_t
ngx_pulse_openai_events_content(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *content)
{
    ngx_int_t                      rc;
    ngx_str_t                      text;
    const ngx_pulse_json_value_t  *v, *inner;

    if (content == NULL) {
        return NGX_OK;
    }

    if (content->type == NGX_PULSE_JSON_STRING) {
        return ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_TEXT,
                                            &content->string);
    }

    if (content->type != NGX_PULSE_JSON_ARRAY) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    for (v = content->children; v && rc == NGX_OK; v = v->next) {

        text = ngx_pulse_openai_events_string(v, "text");
        rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_TEXT, &text);

        if (rc == NGX_OK) {
            text = ngx_pulse_openai_events_string(v, "refusal");
            rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_REFUSAL,
                                              &text);
        }

        inner = ngx_pulse_openai_events_list(v, "thinking");

        for ( /* void */ ; inner && rc == NGX_OK; inner = inner->next) {
            text = ngx_pulse_openai_events_string(inner, "text");
            rc = ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_THINKING,
                                              &text);
        }
    }

    return rc;
}


/* pictures as OpenRouter has them; what is spoken has no event */

static ngx_int_t
ngx_pulse_openai_events_media(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message)
{
    ngx_int_t                      rc;
    ngx_str_t                      url;
    ngx_pulse_part_t               image;
    ngx_pulse_answer_event_t       ev;
    const ngx_pulse_json_value_t  *v;

    static const ngx_str_t  audio = ngx_string("audio");
    static const ngx_str_t  images = ngx_string("images");

    rc = NGX_OK;

    if (ngx_pulse_member(message, "audio")) {
        rc = ngx_pulse_lose(es->handler, es->ctx, &audio);
    }

    v = ngx_pulse_openai_events_list(message, "images");

    for ( /* void */ ; v && rc == NGX_OK; v = v->next) {

        url = ngx_pulse_openai_events_string(ngx_pulse_member(v, "image_url"),
                                             "url");

        ngx_memzero(&image, sizeof(ngx_pulse_part_t));

        if (ngx_pulse_part_url(&image, &url) != NGX_OK || image.data.len == 0)
        {
            rc = ngx_pulse_lose(es->handler, es->ctx, &images);
            continue;
        }

        rc = ngx_pulse_openai_events_close(es);

        if (rc == NGX_OK) {
            ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

            ev.type = NGX_PULSE_ANSWER_IMAGE;
            ev.choice = es->choice;
            ev.name = image.media_type;
            ev.text = image.data;
            es->stream->last = ev.type;

            rc = es->handler(es->ctx, &ev);
        }
    }

    return rc;
}


static ngx_int_t
ngx_pulse_openai_events_signature(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *message)
{
    ngx_int_t                rc;
    ngx_str_t                signature;
    ngx_pulse_json_value_t  *extra;

    extra = ngx_pulse_member(message, "extra_content");
    extra = ngx_pulse_member(extra, "google");

    signature = ngx_pulse_openai_events_string(extra, "thought_signature");

    if (signature.len == 0) {
        return NGX_OK;
    }

    if (es->stream->last != NGX_PULSE_ANSWER_TEXT) {
        es->stream->last = NGX_PULSE_ANSWER_TEXT;
        rc = ngx_pulse_openai_events_send(es, NGX_PULSE_ANSWER_TEXT);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_pulse_openai_events_text(es, NGX_PULSE_ANSWER_SIGNATURE,
                                        &signature);
}


static ngx_int_t
ngx_pulse_openai_events_call(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, ngx_uint_t position)
{
    int64_t                        key;
    ngx_int_t                      rc;
    ngx_str_t                      id, name;
    ngx_uint_t                     call;
    ngx_pulse_openai_stream_t     *stream;
    const ngx_pulse_json_value_t  *inner;

    stream = es->stream;

    inner = ngx_pulse_member(v, "function");

    if (inner == NULL) {
        inner = ngx_pulse_member(v, "custom");
    }

    if (inner == NULL) {
        inner = v;      /* function_call, of old */
    }

    id = ngx_pulse_openai_events_string(v, "id");
    name = ngx_pulse_openai_events_string(inner, "name");

    /* some do not count, or give all calls of a chunk the same number */

    key = es->whole ? (int64_t) position : -1;

    if (ngx_pulse_openai_events_number(v, "index", &key) != NGX_OK
        && key < 0 && id.len)
    {
        key = ngx_pulse_openai_events_hash(&id);
    }

    call = ngx_pulse_openai_events_find(es, key);

    if (call == 0
        || (id.len && name.len
            && stream->calls[call - 1].hash
               != ngx_pulse_openai_events_hash(&id)))
    {
        if (id.len == 0 && name.len == 0) {
            return NGX_ERROR;
        }

        rc = ngx_pulse_openai_events_begin(es, v, inner, key);

        if (rc != NGX_OK) {
            return rc;
        }

        call = stream->ncalls;
    }

    rc = ngx_pulse_openai_events_arguments(es, inner, call);

    if (rc == NGX_OK && es->whole) {
        rc = ngx_pulse_openai_events_close(es);
    }

    return rc;
}


static ngx_int_t
ngx_pulse_openai_events_begin(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *v, const ngx_pulse_json_value_t *inner,
    int64_t key)
{
    ngx_int_t                   rc;
    ngx_pulse_buf_t             b;
    ngx_pulse_json_value_t     *extra;
    ngx_pulse_openai_call_t    *call;
    ngx_pulse_answer_event_t    ev;
    ngx_pulse_openai_stream_t  *stream;

    stream = es->stream;

    rc = ngx_pulse_openai_events_close(es);

    if (rc != NGX_OK) {
        return rc;
    }

    if (stream->ncalls == NGX_PULSE_OPENAI_CALLS) {
        return NGX_ERROR;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    ev.type = NGX_PULSE_ANSWER_CALL;
    ev.choice = es->choice;
    ev.index = stream->called[es->choice]++;
    ev.id = ngx_pulse_openai_events_string(v, "id");
    ev.name = ngx_pulse_openai_events_string(inner, "name");
    ev.custom = (ngx_pulse_member(v, "custom") != NULL);

    extra = ngx_pulse_member(v, "extra_content");
    extra = ngx_pulse_member(extra, "google");
    ev.signature = ngx_pulse_openai_events_string(extra, "thought_signature");

    call = &stream->calls[stream->ncalls++];

    call->hash = ngx_pulse_openai_events_hash(&ev.id);
    call->key = (uint32_t) key;
    call->choice = (u_char) es->choice;
    call->index = (u_char) ev.index;

    stream->open = stream->ncalls;
    stream->last = NGX_PULSE_ANSWER_CALL;

    if (ev.id.len) {
        return es->handler(es->ctx, &ev);
    }

    /* a result must be able to name it */

    ngx_pulse_buf_init(&b, 0);
    ngx_pulse_buf_literal(&b, "call_");
    ngx_pulse_buf_int(&b, stream->hash);
    ngx_pulse_buf_char(&b, '_');
    ngx_pulse_buf_int(&b, stream->ncalls);

    ev.id.data = b.data;
    ev.id.len = b.len;

    rc = b.failed ? NGX_ERROR : es->handler(es->ctx, &ev);

    ngx_pulse_buf_free(&b);

    return rc;
}


static ngx_int_t
ngx_pulse_openai_events_arguments(ngx_pulse_openai_events_t *es,
    const ngx_pulse_json_value_t *inner, ngx_uint_t call)
{
    ngx_pulse_answer_event_t   ev;
    ngx_pulse_json_value_t    *arguments;

    arguments = ngx_pulse_member(inner, "arguments");

    if (arguments == NULL) {
        arguments = ngx_pulse_member(inner, "input");
    }

    if (arguments == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&ev, sizeof(ngx_pulse_answer_event_t));

    if (arguments->type == NGX_PULSE_JSON_STRING) {
        ev.text = arguments->string;

    } else if (arguments->type == NGX_PULSE_JSON_OBJECT) {
        ev.text = ngx_pulse_raw(es->data, arguments);

    } else {
        return NGX_ERROR;
    }

    if (ev.text.len == 0) {
        return NGX_OK;
    }

    ev.type = NGX_PULSE_ANSWER_ARGUMENTS;
    ev.choice = es->stream->calls[call - 1].choice;
    ev.index = es->stream->calls[call - 1].index;

    return es->handler(es->ctx, &ev);
}


/* from 1, the last one first; without a number the one that is open */

static ngx_uint_t
ngx_pulse_openai_events_find(ngx_pulse_openai_events_t *es, int64_t key)
{
    ngx_uint_t                  n;
    ngx_pulse_openai_call_t    *call;

    for (n = es->stream->ncalls; n; n--) {
        call = &es->stream->calls[n - 1];

        if (call->choice == es->choice
            && (key < 0 || call->key == (uint32_t) key))
        {
            return n;
        }
    }

    return 0;
}
