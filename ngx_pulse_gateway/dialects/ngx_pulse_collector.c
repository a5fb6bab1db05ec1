
#include "ngx_pulse_conversation.h"


static ngx_int_t ngx_pulse_collect_text(ngx_pulse_collector_t *collector,
    ngx_pulse_part_e type, const ngx_str_t *text);
static ngx_int_t ngx_pulse_collect_signature(ngx_pulse_collector_t *collector,
    const ngx_str_t *text);
static ngx_int_t ngx_pulse_collect_call(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_collect_arguments(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev);
static ngx_int_t ngx_pulse_collect_citation(ngx_pulse_collector_t *collector,
    const ngx_pulse_citation_t *citation);
static ngx_int_t ngx_pulse_collect_image(ngx_pulse_collector_t *collector,
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


ngx_int_t
ngx_pulse_collector_init(ngx_pulse_collector_t *collector, ngx_pool_t *pool,
    size_t max)
{
    ngx_memzero(collector, sizeof(ngx_pulse_collector_t));

    collector->pool = pool;
    collector->last = &collector->parts;

    if (ngx_pulse_buf_init_pool(&collector->open, max, pool) != NGX_OK
        || ngx_pulse_buf_init_pool(&collector->logprobs, max, pool) != NGX_OK)
    {
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

        if (ngx_pulse_collect_text(collector, NGX_PULSE_PART_TEXT, &ev->text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ev->logprobs.len && collector->logprobs.len) {
            ngx_pulse_buf_char(&collector->logprobs, ',');
        }

        return ngx_pulse_collect_append(&collector->logprobs, &ev->logprobs);

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

    case NGX_PULSE_ANSWER_CITATION:
        return ngx_pulse_collect_citation(collector, ev->citation);

    case NGX_PULSE_ANSWER_IMAGE:
        return ngx_pulse_collect_image(collector, ev);

    case NGX_PULSE_ANSWER_LOST:
        return NGX_OK;

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


/* some come when their text is over, even with other parts after it */

static ngx_int_t
ngx_pulse_collect_citation(ngx_pulse_collector_t *collector,
    const ngx_pulse_citation_t *citation)
{
    ngx_pulse_part_t      *part, *text;
    ngx_pulse_citation_t  *copy, **last;

    text = NULL;

    for (part = collector->parts; part; part = part->next) {
        if (part->type == NGX_PULSE_PART_TEXT) {
            text = part;
        }
    }

    if (text == NULL) {

        /* of a text that is to come */

        if (ngx_pulse_collect_open(collector, NGX_PULSE_PART_TEXT) != NGX_OK) {
            return NGX_ERROR;
        }

        text = collector->current;
    }

    copy = ngx_pcalloc(collector->pool, sizeof(ngx_pulse_citation_t));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    copy->start = citation->start;
    copy->end = citation->end;
    copy->part = citation->part;
    copy->from = citation->from;
    copy->to = citation->to;

    for (last = &text->citations; *last; last = &(*last)->next) { /* void */ }

    *last = copy;

    if (ngx_pulse_collect_copy(collector, &copy->url, citation->url.data,
                               citation->url.len)
        != NGX_OK
        || ngx_pulse_collect_copy(collector, &copy->title,
                                  citation->title.data, citation->title.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_collect_copy(collector, &copy->text, citation->text.data,
                                  citation->text.len);
}


static ngx_int_t
ngx_pulse_collect_image(ngx_pulse_collector_t *collector,
    ngx_pulse_answer_event_t *ev)
{
    if (ngx_pulse_collect_open(collector, NGX_PULSE_PART_IMAGE) != NGX_OK
        || ngx_pulse_collect_copy(collector,
                                  &collector->current->media_type,
                                  ev->name.data, ev->name.len)
           != NGX_OK
        || ngx_pulse_collect_append(&collector->open, &ev->text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_pulse_collect_close(collector);
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
    case NGX_PULSE_PART_IMAGE:
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

    if (part->type == NGX_PULSE_PART_TEXT
        && ngx_pulse_collect_copy(collector, &part->logprobs,
                                  collector->logprobs.data,
                                  collector->logprobs.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    open->len = 0;
    collector->signature.len = 0;
    collector->logprobs.len = 0;
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
